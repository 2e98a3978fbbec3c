/*
 * Changes to the guest's own identity map: one 4 KiB page at a time.
 */
#ifndef GUESTS_LIB_PAGES_H
#define GUESTS_LIB_PAGES_H

#include "l1-hypervisor/leaf/types.h"

/*
 * The page-table entry that maps the page of `linear`, which lies below 4 GiB; splits a 2 MiB page
 * first. The caller invalidates what it changes: page_change() does both.
 */
u64 *page_entry(u64 linear);

/* Sets and clears bits of the entry of a page, and invalidates it. Returns the entry before. */
u64 page_change(const void *page, u64 set, u64 clear);

/* Puts back what page_change() returned. */
void page_restore(const void *page, u64 entry);

#endif
