/*
 * What the suites of the paging guest share: a window, that is, a page whose translation tests
 * change, and accesses through it.
 */
#ifndef GUESTS_PAGING_PAGING_H
#define GUESTS_PAGING_PAGING_H

#include "guests/lib/exceptions.h"
#include "guests/lib/test.h"
#include "l1-hypervisor/leaf/types.h"

extern const struct suite rights_suite, flags_suite, events_suite, registers_suite, modes_suite;

/* Gives the events suite memory, 64 KiB, that nothing has touched. */
void events_init(u64 untouched);

/* Linear address of the window, its entry, and two pages it can show. */
extern u8 window[PAGE_SIZE];
extern u64 page_one[PAGE_SIZE / 8], page_two[PAGE_SIZE / 8];

/* What the first words of the two pages hold. */
#define VALUE_ONE 0x1111111111111111ULL
#define VALUE_TWO 0x2222222222222222ULL

/* Points the window at `page` with these flags, and invalidates it. */
void window_show(const void *page, u64 flags);

/* The entry that maps the window. */
u64 *window_entry(void);

/* One access to an address, whose fault is recorded. */
struct fault try_load(const void *at, u64 *value);
struct fault try_store(void *at, u64 value);

/* A load, a store or an instruction at `at`, as a user; what faulted is in the result. */
struct fault user_load(const void *at);
struct fault user_store(void *at);
struct fault execute(const void *at);

/* Checks that there was no fault, or that there was this page fault at the window. */
void expect_none(const char *what, struct fault fault);
void expect_fault(const char *what, struct fault fault, u64 error);

#endif
