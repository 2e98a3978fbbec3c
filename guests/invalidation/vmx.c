/*
 * Invalidations of VMX: of EPT and VPIDs.
 */
#include "guests/invalidation/invalidation.h"
#include "guests/lib/inner.h"
#include "l1-hypervisor/leaf/string.h"

#define VPIDS_OF_L1 8

CODE(vmx_read_page, 64, "mov (%rsi), %rax\n\tvmcall");

/* EPTs that share everything but their root. */
static u8 roots[ROOTS][PAGE_SIZE] __attribute__((aligned(4096)));

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

/* What L1 does by itself for an L3 without VPID. */
static void keep(u32 round)
{
	(void)round;
}

static const struct op ops[] = {
	{ "invept-single", invept_single, false, true },
	{ "invept-global", invept_global, false, true },
	{ "eptp", change_eptp, false, false },
	{ "eptps", change_eptps, false, false },
	{ "invvpid-address", invvpid_address, false, false },
	{ "invvpid-single", invvpid_single, false, false },
	{ "invvpid-all", invvpid_all, false, false },
	{ "vpid", change_vpid, false, false },
	{ "no-vpid", keep, true, false },
	{ .name = NULL },
};

static void run_l3(u64 expected)
{
	struct inner_exit exit;

	inner_regs.rsi = L3_PAGE;
	vmx_set(VMCS_GUEST_RIP, (u64)vmx_read_page);
	inner_run(&exit);
	if (inner_exited(&exit, VMX_EXIT_VMCALL))
		test_equal("what L3 found", inner_regs.rax, expected);
}

static void start(const struct op *op)
{
	const struct vmx_controls controls = {
		.proc2 = PROC2_EPT | (op->untagged ? 0 : PROC2_VPID),
	};

	inner_reset(vmx_read_page, &controls);
	show(0);
	for (u32 i = 0; i < ROOTS; i++)
		memcpy(roots[i], inner_ept.root, PAGE_SIZE);
}

const struct extension vmx_extension = {
	.ops = ops,
	.tagged = "tlb=vpid",
	.init = inner_init,
	.start = start,
	.run_l3 = run_l3,
};
