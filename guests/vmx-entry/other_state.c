/*
 * Checks on guest state that is no register, SDM 3C "Checks on Guest Non-Register State"
 * (27.3.1.5), on page-directory-pointer-table entries (27.3.1.6), and on virtual-8086 guests
 * (27.3.1.2).
 *
 * QUIRK(bochs-2.7): accepted although the manual forbids it: events other than those that HLT
 * allows, pending debug exceptions that do not fit RFLAGS.TF and blocking, an NMI injected while
 * virtual NMIs are blocked.
 */
#include "guests/vmx-entry/entry_case.h"
#include "guests/lib/segments.h"
#include "l1-hypervisor/leaf/string.h"

#define MISALIGNED 8
#define V86_CODE   0x50000U /* low memory that nobody uses */
#define V86_AR     0xf3
#define V86_LIMIT  0xffff

#define INJECT(type, vector) SET(ENTRY_INTR_INFO, INTR_INFO_VALID | (u32)(type) | (vector))
#define WITH_IF              OR(GUEST_RFLAGS, RFLAGS_IF)
#define CPL_3                                                                          \
	SET(GUEST_CS_SELECTOR, SEL_USER_CODE64), SET(GUEST_CS_AR, ACCESS_USER_CODE64), \
		SET(GUEST_SS_SELECTOR, SEL_USER_DATA), SET(GUEST_SS_AR, ACCESS_USER_DATA)

extern u64 guest_pds[];

static u64 pdpt[4] __attribute__((aligned(32)));
static u64 wrong_vmcs[PAGE_SIZE / 8] __attribute__((aligned(4096)));

static void use_pdpt(void)
{
	for (u32 i = 0; i < ARRAY_SIZE(pdpt); i++)
		pdpt[i] = ((u64)guest_pds + i * PAGE_SIZE) | PTE_P;
	vmx_set(VMCS_GUEST_CR3, (u64)pdpt);
}

static void use_pdpt_with_reserved_bit(void)
{
	use_pdpt();
	pdpt[3] |= PTE_W;
}

static void use_pdpt_too_wide(void)
{
	use_pdpt();
	pdpt[1] |= TOO_WIDE;
}

static void use_pdpt_absent(void)
{
	use_pdpt();
	pdpt[2] = PTE_W | TOO_WIDE;
}

/* A virtual-8086 guest that is right; the rows spoil one thing. */
static void set_v86(void)
{
	memcpy((void *)(u64)V86_CODE, entry_code, 16);
	use_pdpt();
	for (u32 i = 0; i <= VMCS_GUEST_GS_SELECTOR - VMCS_GUEST_ES_SELECTOR; i += 2) {
		vmx_set(VMCS_GUEST_ES_SELECTOR + i, V86_CODE >> 4);
		vmx_set(VMCS_GUEST_ES_BASE + i, V86_CODE);
		vmx_set(VMCS_GUEST_ES_LIMIT + i, V86_LIMIT);
		vmx_set(VMCS_GUEST_ES_AR + i, V86_AR);
	}
	inner_set_bits(VMCS_GUEST_RFLAGS, RFLAGS_VM);
	vmx_set(VMCS_GUEST_RIP, 0);
	vmx_set(VMCS_GUEST_RSP, 0);
}

static void set_v86_wrong_base(void)
{
	set_v86();
	vmx_set(VMCS_GUEST_DS_BASE, V86_CODE + 0x10);
}

static void set_v86_wrong_limit(void)
{
	set_v86();
	vmx_set(VMCS_GUEST_SS_LIMIT, V86_LIMIT - 1);
}

static void set_v86_wrong_rights(void)
{
	set_v86();
	vmx_set(VMCS_GUEST_CS_AR, 0xfb);
}

#define RULE_ACTIVITY "The activity-state field must contain a value in the range 0 - 3"
#define RULE_HLT      "The activity-state field must not indicate HLT if the DPL for SS is not 0"
#define RULE_BLOCKED                                                                             \
	"The activity-state field must indicate the active state if the interruptibility-state " \
	"field indicates blocking by either MOV-SS or by STI"
#define RULE_INJECT_STATE                                                                       \
	"If the valid bit in the VM-entry interruption-information field is 1, the event must " \
	"not be one that would normally be blocked in that activity state"
#define RULE_RESERVED "The reserved bits (bits 31:5) must be 0"
#define RULE_BOTH     "The field cannot indicate blocking by both STI and MOV SS"
#define RULE_STI      "Bit 0 (blocking by STI) must be 0 if the IF flag is 0"
#define RULE_EXTERNAL                                                                         \
	"Bits 0 and 1 must be 0 if the valid bit is 1 and the interruption type is external " \
	"interrupt"
#define RULE_NMI     "Bit 1 (blocking by MOV-SS) must be 0 if an NMI is injected"
#define RULE_SMI     "Bit 2 (blocking by SMI) must be 0 if the processor is not in SMM"
#define RULE_PENDING "Bits 11:4, bit 13, bit 15, and bits 63:17 must be 0"
#define RULE_LINK                                                                                 \
	"If the field contains a value other than FFFFFFFF_FFFFFFFFH: bits 11:0 must be 0, no "   \
	"bit "                                                                                    \
	"beyond the physical-address width is 1, the revision there is right, and it is not the " \
	"current VMCS"
#define RULE_PDPTE "A PDPTE that is present has no reserved bit set to 1"
#define RULE_V86   "A virtual-8086 guest has base = selector << 4, limit FFFFH and access rights F3H"

static const struct entry_case state_cases[] = {
	{ "guest activity state 4", RULE_ACTIVITY, EXITS_33,
	  .changes = { SET(GUEST_ACTIVITY, 4) } },
	{ "guest HLT at CPL 3", RULE_HLT, EXITS_33,
	  .changes = { CPL_3, SET(GUEST_ACTIVITY, VMX_HALTED) } },
	{ "guest HLT with blocking by STI", RULE_BLOCKED, EXITS_33,
	  .changes = { WITH_IF, SET(GUEST_ACTIVITY, VMX_HALTED),
		       SET(GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI) } },
	{ "guest shutdown with blocking by MOV SS", RULE_BLOCKED, EXITS_33,
	  .changes = { SET(GUEST_ACTIVITY, VMX_SHUTDOWN),
		       SET(GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_MOV_SS) } },
	{ "an external interrupt injected into shutdown", RULE_INJECT_STATE, EXITS_33,
	  .changes = { WITH_IF, INJECT(INTR_TYPE_EXTERNAL, 32),
		       SET(GUEST_ACTIVITY, VMX_SHUTDOWN) } },
	{ "#UD injected into shutdown", RULE_INJECT_STATE, EXITS_33,
	  .changes = { INJECT(INTR_TYPE_HARDWARE_EXCEPTION, EXC_UD),
		       SET(GUEST_ACTIVITY, VMX_SHUTDOWN) } },
	{ "an external interrupt injected into wait-for-SIPI", RULE_INJECT_STATE, EXITS_33,
	  .changes = { WITH_IF, INJECT(INTR_TYPE_EXTERNAL, 32),
		       SET(GUEST_ACTIVITY, VMX_WAIT_FOR_SIPI) } },
	{ "an NMI injected into wait-for-SIPI", RULE_INJECT_STATE, EXITS_33,
	  .changes = { INJECT(INTR_TYPE_NMI, EXC_NMI), SET(GUEST_ACTIVITY, VMX_WAIT_FOR_SIPI) } },
	{ "guest interruptibility with reserved bit 5", RULE_RESERVED, EXITS_33,
	  .changes = { SET(GUEST_INTERRUPTIBILITY, BIT(5)) } },
	{ "guest interruptibility with reserved bit 31", RULE_RESERVED, EXITS_33,
	  .changes = { SET(GUEST_INTERRUPTIBILITY, BIT(31)) } },
	{ "guest blocking by STI and by MOV SS", RULE_BOTH, EXITS_33,
	  .changes = { WITH_IF, SET(GUEST_INTERRUPTIBILITY,
				    INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS) } },
	{ "guest blocking by STI with RFLAGS.IF = 0", RULE_STI, EXITS_33,
	  .changes = { SET(GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI) } },
	{ "guest blocking by STI with RFLAGS.IF = 1", RULE_STI, ENTERS,
	  .changes = { WITH_IF, SET(GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI) } },
	{ "guest blocking by MOV SS", RULE_BOTH, ENTERS,
	  .changes = { SET(GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_MOV_SS) } },
	{ "an external interrupt injected with blocking by STI", RULE_EXTERNAL, EXITS_33,
	  .changes = { WITH_IF, INJECT(INTR_TYPE_EXTERNAL, 32),
		       SET(GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI) } },
	{ "an external interrupt injected with blocking by MOV SS", RULE_EXTERNAL, EXITS_33,
	  .changes = { WITH_IF, INJECT(INTR_TYPE_EXTERNAL, 32),
		       SET(GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_MOV_SS) } },
	{ "an NMI injected with blocking by MOV SS", RULE_NMI, EXITS_33,
	  .changes = { INJECT(INTR_TYPE_NMI, EXC_NMI),
		       SET(GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_MOV_SS) } },
	{ "guest blocking by SMI outside SMM", RULE_SMI, EXITS_33,
	  .changes = { SET(GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_SMI) } },
	{ "guest pending debug exceptions with reserved bit 5", RULE_PENDING, EXITS_33,
	  .changes = { SET(GUEST_PENDING_DEBUG, BIT(5)) } },
	{ "guest pending debug exceptions with reserved bit 13", RULE_PENDING, EXITS_33,
	  .changes = { SET(GUEST_PENDING_DEBUG, BIT(13)) } },
};

static const struct entry_case link_cases[] = {
	{ "VMCS link pointer misaligned", RULE_LINK, EXITS_33, ENTRY_FAILURE_LINK,
	  .changes = { SET(LINK_POINTER, (u64)&inner_other_vmcs + MISALIGNED) } },
	{ "VMCS link pointer too wide", RULE_LINK, EXITS_33, ENTRY_FAILURE_LINK,
	  .changes = { SET(LINK_POINTER, (u64)&inner_other_vmcs + TOO_WIDE) } },
	{ "VMCS link pointer to a wrong revision", RULE_LINK, EXITS_33, ENTRY_FAILURE_LINK,
	  .changes = { SET(LINK_POINTER, (u64)wrong_vmcs) } },
	{ "VMCS link pointer to the current VMCS", RULE_LINK, EXITS_33, ENTRY_FAILURE_LINK,
	  .changes = { SET(LINK_POINTER, (u64)&inner_vmcs) } },
};

static const struct entry_case paging_cases[] = {
	{ "guest with PAE paging", RULE_PDPTE, ENTERS, .changes = { GUEST_32 },
	  .prepare = use_pdpt },
	{ "guest with PAE paging and a reserved bit in a PDPTE", RULE_PDPTE, EXITS_33,
	  ENTRY_FAILURE_PDPTE, .changes = { GUEST_32 }, .prepare = use_pdpt_with_reserved_bit },
	{ "guest with PAE paging and a PDPTE too wide", RULE_PDPTE, EXITS_33, ENTRY_FAILURE_PDPTE,
	  .changes = { GUEST_32 }, .prepare = use_pdpt_too_wide },
	{ "guest with PAE paging and reserved bits in an absent PDPTE", RULE_PDPTE, ENTERS,
	  .changes = { GUEST_32 }, .prepare = use_pdpt_absent },
	{ "guest in virtual-8086 mode", RULE_V86, ENTERS, .changes = { GUEST_32 },
	  .prepare = set_v86 },
	{ "guest in virtual-8086 mode with a wrong base", RULE_V86, EXITS_33,
	  .changes = { GUEST_32 }, .prepare = set_v86_wrong_base },
	{ "guest in virtual-8086 mode with a wrong limit", RULE_V86, EXITS_33,
	  .changes = { GUEST_32 }, .prepare = set_v86_wrong_limit },
	{ "guest in virtual-8086 mode with wrong access rights", RULE_V86, EXITS_33,
	  .changes = { GUEST_32 }, .prepare = set_v86_wrong_rights },
};

static u32 count(void)
{
	return ARRAY_SIZE(state_cases) + ARRAY_SIZE(link_cases) + ARRAY_SIZE(paging_cases);
}

static void run(void)
{
	entry_cases_run(state_cases, ARRAY_SIZE(state_cases));
	entry_cases_run(link_cases, ARRAY_SIZE(link_cases));
	entry_cases_run(paging_cases, ARRAY_SIZE(paging_cases));
}

const struct suite other_state_suite = { count, run };
