/*
 * The window and the accesses through it; see paging.h.
 */
#include "guests/paging/paging.h"

#include "guests/lib/pages.h"
#include "guests/lib/segments.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/x86.h"

u8 window[PAGE_SIZE] __attribute__((aligned(4096)));
u64 page_one[PAGE_SIZE / 8] __attribute__((aligned(4096))) = { VALUE_ONE };
u64 page_two[PAGE_SIZE / 8] __attribute__((aligned(4096))) = { VALUE_TWO };

CODE(code_user_load, 64, "mov (%rax), %rbx" END_EXCURSION);
CODE(code_user_store, 64, "mov %rbx, (%rax)" END_EXCURSION);

u64 *window_entry(void)
{
	return page_entry((u64)window);
}

void window_show(const void *page, u64 flags)
{
	*window_entry() = (u64)page | flags;
	invlpg(window);
}

struct fault try_load(const void *at, u64 *value)
{
	fault_clear();
	__asm__ volatile(TRY("mov (%1), %0") : "+r"(*value) : "r"(at) : "memory");
	return fault_taken();
}

struct fault try_store(void *at, u64 value)
{
	fault_clear();
	__asm__ volatile(TRY("mov %0, (%1)") : : "r"(value), "r"(at) : "memory");
	return fault_taken();
}

/* How the excursion ended, as a fault; its own end is none. */
static struct fault excursion(u64 rip, const void *rax, u16 cs, u16 ss)
{
	struct excursion start = { .rip = rip, .cs = cs, .ss = ss, .rax = (u64)rax };
	struct exception_frame end;

	excursion_run(&start, &end);
	return (struct fault){
		.raised = end.vector != EXCURSION_END,
		.vector = (u8)end.vector,
		.error_code = (u32)end.error_code,
		.address = read_cr2(),
	};
}

struct fault user_load(const void *at)
{
	return excursion((u64)code_user_load, at, SEL_USER_CODE64, SEL_USER_DATA);
}

struct fault user_store(void *at)
{
	return excursion((u64)code_user_store, at, SEL_USER_CODE64, SEL_USER_DATA);
}

struct fault execute(const void *at)
{
	return excursion((u64)at, NULL, SEL_CODE64, SEL_DATA);
}

void expect_none(const char *what, struct fault fault)
{
	test_equal(what, fault.raised ? fault.vector : ~0ULL, ~0ULL);
}

void expect_fault(const char *what, struct fault fault, u64 error)
{
	if (!test_true(what, fault.raised))
		return;
	test_equal("the vector", fault.vector, EXC_PF);
	test_equal("the error code", fault.error_code, error);
	test_equal("CR2", fault.address, (u64)window);
}
