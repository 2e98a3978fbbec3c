/*
 * What changes translations, n times: so that the invalidations that L1 executed can be counted
 * over one round, since an emulator hides a missing one. L3 reads a page and says what it found, so
 * that each round also shows that the change took effect. Words: op=..., n=rounds, at=address (of
 * memory that is not ours, for op=absent).
 */
#include "guests/lib/inner.h"
#include "guests/lib/nestbed.h"
#include "guests/lib/tap.h"
#include "guests/lib/words.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/string.h"

#define PAGE_2M     BIT(21)
#define L3_PAGE     BIT(30) /* where L3 reads */
#define ROOTS       12
#define VPIDS_OF_L1 8

CODE(read_page, 64, "mov (%rsi), %rax\n\tvmcall");

/* Two pages of memory, one of which L3 finds, and EPTs that share everything but their root. */
static u64 *pages[2];
static u8 roots[ROOTS][PAGE_SIZE] __attribute__((aligned(4096)));
static u64 address;

static u64 eptp_of_root(u32 i)
{
	return (u64)roots[i] | EPTP_WALK_4 | MEMTYPE_WB;
}

/* Which of the pages L3 finds from now on, once that is invalidated. */
static void show(u32 page)
{
	stage2_map(&inner_ept, L3_PAGE, (u64)pages[page], PAGE_2M, EPT_RAM, 21);
}

static void invalidate(enum vmx_status status)
{
	test_equal("status of the invalidation", status, VMX_SUCCEED);
}

static void nothing(u32 round)
{
	(void)round;
}

static void invept_single(u32 round)
{
	show(round % 2);
	invalidate(vmx_invept(INVEPT_SINGLE, vmx_ept_pointer(&inner_ept), 0));
}

static void invept_global(u32 round)
{
	show(round % 2);
	invalidate(vmx_invept(INVEPT_GLOBAL, 0, 0));
}

static void change_eptp(u32 round)
{
	vmx_set(VMCS_EPTP, eptp_of_root(round % 2));
}

/* More of them than L1 keeps. */
static void change_eptps(u32 round)
{
	vmx_set(VMCS_EPTP, eptp_of_root(round % ROOTS));
}

static void invvpid_address(u32 round)
{
	(void)round;
	invalidate(vmx_invvpid(INVVPID_ADDRESS, 1, L3_PAGE));
}

static void invvpid_single(u32 round)
{
	(void)round;
	invalidate(vmx_invvpid(INVVPID_SINGLE, 1, 0));
}

static void invvpid_all(u32 round)
{
	(void)round;
	invalidate(vmx_invvpid(INVVPID_ALL, 0, 0));
}

/* Two VPIDs for which L1 has only one. */
static void change_vpid(u32 round)
{
	vmx_set(VMCS_VPID, 1 + round % 2 * VPIDS_OF_L1);
}

static void drop_stage2(u32 round)
{
	(void)round;
	test_equal("status of the hypercall", nestbed_call(NB_OP_DROP_STAGE2), NB_OK);
}

static void change_ways(u32 round)
{
	const char *way = round % 2 ? "tlb=flush" : "tlb=vpid";

	test_equal("status of the hypercall", nestbed_call_text(NB_OP_STRATEGY, way), NB_OK);
}

/* A store to memory that is not there is forgotten after the next exit. */
static void store_absent(u32 round)
{
	volatile u64 *at = (volatile u64 *)address;

	*at = round;
	(void)cpuid(0, 0);
	test_equal("absent memory", *at, ~0ULL);
}

static const struct op {
	const char *name;
	void (*round)(u32 round);
	bool without_vpid;
	bool remaps; /* L3 finds the other page in each round */
} ops[] = {
	{ "none", nothing, false, false },
	{ "invept-single", invept_single, false, true },
	{ "invept-global", invept_global, false, true },
	{ "eptp", change_eptp, false, false },
	{ "eptps", change_eptps, false, false },
	{ "invvpid-address", invvpid_address, false, false },
	{ "invvpid-single", invvpid_single, false, false },
	{ "invvpid-all", invvpid_all, false, false },
	{ "vpid", change_vpid, false, false },
	{ "no-vpid", nothing, true, false },
	{ "drop", drop_stage2, false, false },
	{ "ways", change_ways, false, false },
	{ "absent", store_absent, false, false },
};

static const struct op *find_op(const char *words)
{
	char name[32] = "";

	words_text(words, "op", name, sizeof(name));
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
		if (strcmp(name, ops[i].name) == 0)
			return &ops[i];
	guest_fail("there is no op=%s", name);
}

static void make_pages(const struct guest_args *args)
{
	u64 start = ALIGN_UP(args->free_start, PAGE_2M);

	if (start + 2 * PAGE_2M > args->free_end)
		guest_fail("there is too little memory");
	for (u32 i = 0; i < 2; i++) {
		pages[i] = (u64 *)(start + i * PAGE_2M);
		*pages[i] = i;
	}
}

static void run_l3(u64 expected)
{
	struct inner_exit exit;

	inner_regs.rsi = L3_PAGE;
	vmx_set(VMCS_GUEST_RIP, (u64)read_page);
	inner_run(&exit);
	if (inner_exited(&exit, VMX_EXIT_VMCALL))
		test_equal("what L3 found", inner_regs.rax, expected);
}

static void start(const struct op *op)
{
	const struct vmx_controls controls = {
		.proc2 = PROC2_EPT | (op->without_vpid ? 0 : PROC2_VPID),
	};

	inner_reset(read_page, &controls);
	show(0);
	for (u32 i = 0; i < ROOTS; i++)
		memcpy(roots[i], inner_ept.root, PAGE_SIZE);
	run_l3(0);
}

int main(const struct guest_args *args)
{
	static const char *const names[] = { "op", "n", "at", NULL };
	const struct op *op = find_op(args->words);
	u64 rounds;

	words_allow(args->words, names);
	rounds = words_number(args->words, "n", 1);
	address = words_number(args->words, "at", 0);
	make_pages(args);
	inner_init();
	tap_plan(1);
	test_begin(op->name, "what L2 changes and invalidates takes effect for L3");
	start(op);
	for (u32 round = 1; round <= rounds; round++) {
		op->round(round);
		run_l3(op->remaps ? round % 2 : 0);
	}
	test_end();
	return tap_status();
}
