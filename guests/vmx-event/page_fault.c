/*
 * Page faults of the inner guest: the exception bitmap's bit 14 together with the error code's mask
 * and match. SDM 3C "Other Causes of VM Exits" (26.2).
 */
#include "guests/vmx-event/event.h"
#include "guests/lib/pages.h"
#include "l1-hypervisor/leaf/string.h"

#define NAME_SIZE 96

static u8 page[PAGE_SIZE] __attribute__((aligned(4096)));

CODE(pf_read, 64, "mov (%rdi), %al\n\tvmcall");
CODE(pf_write, 64, "mov %al, (%rdi)\n\tvmcall");

/* How the page faults. */
struct access {
	const char *name, *code;
	u64 cleared; /* bits of the page's entry */
	u32 error_code;
};

static const struct access absent_read = { "a read of an absent page", pf_read, PTE_P, 0 };
static const struct access absent_write = { "a write to an absent page", pf_write, PTE_P, PF_W };
static const struct access read_only_write = { "a write to a read-only page", pf_write, PTE_W,
					       PF_P | PF_W };

struct filter {
	bool bit;
	u32 mask, match;
	const struct access *access;
	bool exits;
};

static const struct filter filters[] = {
	{ true, 0, 0, &absent_read, true },
	{ true, 0, 0, &read_only_write, true },
	{ false, 0, 0, &absent_read, false },
	{ false, 0, 0, &absent_write, false },
	{ true, 0, 1, &absent_read, false },
	{ false, 0, 1, &absent_read, true },
	{ true, ~0U, PF_W, &absent_write, true },
	{ true, ~0U, PF_W, &absent_read, false },
	{ true, ~0U, PF_W, &read_only_write, false },
	{ false, ~0U, PF_W, &absent_write, false },
	{ false, ~0U, PF_W, &absent_read, true },
	{ true, PF_P, PF_P, &read_only_write, true },
	{ true, PF_P, PF_P, &absent_write, false },
	{ false, PF_P, PF_P, &absent_write, true },
	{ false, PF_P, PF_P, &read_only_write, false },
	{ true, BIT32(31), 0, &absent_write, true },
	{ true, BIT32(31), BIT32(31), &absent_write, false },
	{ true, PF_W, PF_P | PF_W, &read_only_write, false },
};

static void exits(const struct filter *f)
{
	struct inner_exit exit;

	inner_run(&exit);
	event_exited(&exit, INTR_TYPE_HARDWARE_EXCEPTION | INTR_INFO_ERROR_CODE | EXC_PF,
		     f->access->error_code);
	test_equal("exit qualification", exit.qualification, (u64)page);
}

static void is_delivered(const struct filter *f)
{
	event_watch(EXC_PF);
	inner_run_to_end();
	test_equal("number of events seen", event_seen.count, 1);
	test_equal("error code seen", event_seen.frame.error_code, f->access->error_code);
	event_unwatch_all();
}

static void run_filter(const struct filter *f)
{
	char name[NAME_SIZE];
	u64 entry;

	snprintf(name, sizeof(name), "bit 14 %u, mask 0x%x, match 0x%x: %s %s", f->bit, f->mask,
		 f->match, f->access->name, f->exits ? "exits" : "is delivered");
	test_begin(name,
		   "If error code & mask = match, a page fault exits if bit 14 of the exception "
		   "bitmap is 1; if not equal, it exits if bit 14 is 0");
	inner_reset(f->access->code, NULL);
	inner_regs.rdi = (u64)page;
	vmx_set(VMCS_EXCEPTION_BITMAP, f->bit ? BIT32(EXC_PF) : 0);
	vmx_set(VMCS_PF_ERROR_MASK, f->mask);
	vmx_set(VMCS_PF_ERROR_MATCH, f->match);
	entry = page_change(page, 0, f->access->cleared);
	if (f->exits)
		exits(f);
	else
		is_delivered(f);
	page_restore(page, entry);
	test_end();
}

static u32 count(void)
{
	return ARRAY_SIZE(filters);
}

static void run(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(filters); i++)
		run_filter(&filters[i]);
}

const struct suite page_fault_suite = { count, run };
