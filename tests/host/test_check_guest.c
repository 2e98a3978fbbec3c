/*
 * VM-entry checks on the guest-state area but for segments: every rule is quoted and broken alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "shadow-vmcs/vmx_bits.h"
#include "tests/host/entry.h"

#define NOT_CANONICAL        0x0000800000000000ULL
#define INJECT(type, vector) SET(ENTRY_INTR_INFO, (u64)INTR_INFO_VALID | (type) | (vector))

static const struct broken_rule registers[] = {
	{ "the CR0 field must not set any bit to a value not supported in VMX operation",
	  entry_64,
	  { CLEAR(GUEST_CR0, CR0_NE) } },
	{ "the CR0 field must not set any bit to a value not supported in VMX operation",
	  entry_32,
	  { CLEAR(GUEST_CR0, CR0_PG) } },
	{ "the CR0 field must not set any bit to a value not supported in VMX operation",
	  entry_real,
	  { CLEAR(GUEST_CR0, CR0_NE) } },
	{ "if CR0.PG is 1, CR0.PE must also be 1", entry_real, { OR(GUEST_CR0, CR0_PG) } },
	{ "the CR4 field must not set any bit to a value not supported in VMX operation",
	  entry_64,
	  { CLEAR(GUEST_CR4, CR4_VMXE) } },
	{ "the CR4 field must not set any bit to a value not supported in VMX operation",
	  entry_64,
	  { OR(GUEST_CR4, BIT(40)) } },
	{ "if CR4.CET is 1, CR0.WP must also be 1", entry_cet, { CLEAR(GUEST_CR0, CR0_WP) } },
	{ "load debug controls: bits reserved in the IA32_DEBUGCTL MSR must be 0",
	  entry_64,
	  { OR(GUEST_DEBUGCTL, BIT(3)) } },
	{ "IA-32e mode guest: CR0.PG and CR4.PAE must each be 1",
	  entry_64,
	  { CLEAR(GUEST_CR4, CR4_PAE) } },
	{ "IA-32e mode guest: CR0.PG and CR4.PAE must each be 1",
	  entry_unrestricted,
	  { CLEAR(GUEST_CR0, CR0_PG) } },
	{ "if IA-32e mode guest is 0, CR4.PCIDE must be 0",
	  entry_32,
	  { OR(GUEST_CR4, CR4_PCIDE) } },
	{ "CR3: bits 63:52 and bits beyond the physical-address width are 0",
	  entry_64,
	  { OR(GUEST_CR3, ENTRY_BEYOND_BIT) } },
	{ "load debug controls: bits 63:32 in DR7 must be 0",
	  entry_64,
	  { OR(GUEST_DR7, BIT(32)) } },
	{ "IA32_SYSENTER_ESP and IA32_SYSENTER_EIP must each contain a canonical address",
	  entry_64,
	  { SET(GUEST_SYSENTER_ESP, NOT_CANONICAL) } },
	{ "IA32_SYSENTER_ESP and IA32_SYSENTER_EIP must each contain a canonical address",
	  entry_64,
	  { SET(GUEST_SYSENTER_EIP, NOT_CANONICAL) } },
	{ "load IA32_PAT: each of the 8 bytes must be 0, 1, 4, 5, 6 or 7",
	  entry_64,
	  { SET(GUEST_PAT, 0x0300) } },
	{ "load IA32_EFER: bits reserved in the IA32_EFER MSR must be 0",
	  entry_64,
	  { OR(GUEST_EFER, EFER_SVME) } },
	{ "load IA32_EFER: LMA must equal the value of IA-32e mode guest",
	  entry_64,
	  { CLEAR(GUEST_EFER, EFER_LMA | EFER_LME) } },
	{ "load IA32_EFER: LMA must be identical to LME if CR0.PG is 1",
	  entry_32,
	  { OR(GUEST_EFER, EFER_LME) } },
};

static const struct broken_rule tables[] = {
	{ "GDTR and IDTR: the base must be a canonical address",
	  entry_64,
	  { SET(GUEST_GDTR_BASE, NOT_CANONICAL) } },
	{ "GDTR and IDTR: the base must be a canonical address",
	  entry_64,
	  { SET(GUEST_IDTR_BASE, NOT_CANONICAL) } },
	{ "GDTR and IDTR: bits 31:16 of each limit must be 0",
	  entry_64,
	  { OR(GUEST_GDTR_LIMIT, 0x10000) } },
	{ "GDTR and IDTR: bits 31:16 of each limit must be 0",
	  entry_64,
	  { OR(GUEST_IDTR_LIMIT, BIT(31)) } },
};

static const struct broken_rule rip_rflags[] = {
	{ "RIP bits 63:32 must be 0 if IA-32e mode guest is 0 or the L bit of CS is 0",
	  entry_32,
	  { SET(GUEST_RIP, BIT(32)) } },
	{ "RIP bits 63:32 must be 0 if IA-32e mode guest is 0 or the L bit of CS is 0",
	  entry_64,
	  { CLEAR(GUEST_CS_AR, AR_L) } },
	{ "RIP bits 63:N must be identical if IA-32e mode guest and the L bit of CS are 1",
	  entry_64,
	  { SET(GUEST_RIP, BIT(48)) } },
	{ "RFLAGS bits 63:22, 15, 5 and 3 must be 0, and bit 1 must be 1",
	  entry_64,
	  { OR(GUEST_RFLAGS, BIT(63)) } },
	{ "RFLAGS bits 63:22, 15, 5 and 3 must be 0, and bit 1 must be 1",
	  entry_64,
	  { OR(GUEST_RFLAGS, BIT(15)) } },
	{ "RFLAGS bits 63:22, 15, 5 and 3 must be 0, and bit 1 must be 1",
	  entry_64,
	  { CLEAR(GUEST_RFLAGS, RFLAGS_FIXED) } },
	{ "RFLAGS.VM must be 0 if IA-32e mode guest is 1 or CR0.PE is 0",
	  entry_v86,
	  { OR(PROC_CONTROLS2, PROC2_UNRESTRICTED_GUEST), CLEAR(GUEST_CR0, CR0_PE | CR0_PG) } },
	{ "RFLAGS.IF must be 1 if an external interrupt is injected",
	  entry_64,
	  { CLEAR(GUEST_RFLAGS, RFLAGS_IF), INJECT(INTR_TYPE_EXTERNAL, 0x30) } },
};

#define BLOCKED_QUOTE  "the injected event must not be one that the activity state normally blocks"
#define PENDING_QUOTE  "pending debug exceptions: bits 11:4, 13, 15 and 63:17 must be 0"
#define BS_SET_QUOTE   "STI, MOV SS or HLT: BS (bit 14) must be 1 if RFLAGS.TF is 1 and BTF is 0"
#define BS_CLEAR_QUOTE "STI, MOV SS or HLT: BS (bit 14) must be 0 if RFLAGS.TF is 0 or BTF is 1"
#define RTM_QUOTE      "RTM (bit 16): bits 14, 11:0 must be 0, bit 12 1, no MOV SS, RTM supported"

static const struct broken_rule others[] = {
	{ "the activity state must be 0-3, one supported by the implementation",
	  entry_64,
	  { SET(GUEST_ACTIVITY, 4) } },
	{ "the activity state must be 0-3, one supported by the implementation",
	  entry_few_offers,
	  { SET(GUEST_ACTIVITY, VMX_HALTED) } },
	{ "the activity state must not be HLT if the DPL of SS is not 0",
	  entry_v86,
	  { SET(GUEST_ACTIVITY, VMX_HALTED) } },
	{ "the activity state must be active if blocking by STI or by MOV SS is indicated",
	  entry_64,
	  { SET(GUEST_ACTIVITY, VMX_HALTED), SET(GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI) } },
	{ "the activity state must be active if blocking by STI or by MOV SS is indicated",
	  entry_64,
	  { SET(GUEST_ACTIVITY, VMX_SHUTDOWN),
	    SET(GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_MOV_SS) } },
	{ BLOCKED_QUOTE,
	  entry_64,
	  { SET(GUEST_ACTIVITY, VMX_HALTED), INJECT(INTR_TYPE_HARDWARE_EXCEPTION, EXC_UD) } },
	{ BLOCKED_QUOTE,
	  entry_64,
	  { SET(GUEST_ACTIVITY, VMX_SHUTDOWN), INJECT(INTR_TYPE_EXTERNAL, EXC_MC) } },
	{ BLOCKED_QUOTE,
	  entry_64,
	  { SET(GUEST_ACTIVITY, VMX_SHUTDOWN), INJECT(INTR_TYPE_HARDWARE_EXCEPTION, EXC_DB) } },
	{ BLOCKED_QUOTE,
	  entry_64,
	  { SET(GUEST_ACTIVITY, VMX_WAIT_FOR_SIPI), INJECT(INTR_TYPE_NMI, EXC_NMI) } },
	{ "interruptibility: reserved bits 31:5 must be 0",
	  entry_64,
	  { SET(GUEST_INTERRUPTIBILITY, BIT(5)) } },
	{ "the field cannot indicate blocking by both STI and MOV SS",
	  entry_64,
	  { SET(GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS) } },
	{ "blocking by STI must be 0 if RFLAGS.IF is 0",
	  entry_64,
	  { SET(GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI), CLEAR(GUEST_RFLAGS, RFLAGS_IF) } },
	{ "blocking by STI and MOV SS must both be 0 if an external interrupt is injected",
	  entry_64,
	  { SET(GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI), INJECT(INTR_TYPE_EXTERNAL, 32) } },
	{ "blocking by STI and MOV SS must both be 0 if an external interrupt is injected",
	  entry_64,
	  { SET(GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_MOV_SS),
	    INJECT(INTR_TYPE_EXTERNAL, 32) } },
	{ "blocking by MOV SS must be 0 if an NMI is injected",
	  entry_64,
	  { SET(GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_MOV_SS),
	    INJECT(INTR_TYPE_NMI, EXC_NMI) } },
	{ "blocking by STI must be 0 if an NMI is injected",
	  entry_64,
	  { SET(GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI), INJECT(INTR_TYPE_NMI, EXC_NMI) } },
	{ "blocking by SMI must be 0 if the processor is not in SMM",
	  entry_64,
	  { SET(GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_SMI) } },
	{ "blocking by NMI must be 0 if virtual NMIs is 1 and an NMI is injected",
	  entry_64,
	  { SET(GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_NMI), INJECT(INTR_TYPE_NMI, EXC_NMI) } },
	{ "enclave interruption: MOV-SS blocking must be 0 and the processor must support SGX",
	  entry_64,
	  { SET(GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_ENCLAVE) } },
	{ "enclave interruption: MOV-SS blocking must be 0 and the processor must support SGX",
	  entry_sgx,
	  { OR(GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_MOV_SS) } },
	{ PENDING_QUOTE, entry_64, { SET(GUEST_PENDING_DEBUG, BIT(4)) } },
	{ PENDING_QUOTE, entry_64, { SET(GUEST_PENDING_DEBUG, BIT(13)) } },
	{ PENDING_QUOTE, entry_64, { SET(GUEST_PENDING_DEBUG, BIT(63)) } },
	{ BS_SET_QUOTE,
	  entry_64,
	  { OR(GUEST_RFLAGS, RFLAGS_TF), SET(GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI) } },
	{ BS_SET_QUOTE,
	  entry_64,
	  { OR(GUEST_RFLAGS, RFLAGS_TF), SET(GUEST_ACTIVITY, VMX_HALTED) } },
	{ BS_CLEAR_QUOTE,
	  entry_64,
	  { SET(GUEST_PENDING_DEBUG, PENDING_DEBUG_BS),
	    SET(GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_MOV_SS) } },
	{ RTM_QUOTE, entry_64, { SET(GUEST_PENDING_DEBUG, BIT(16) | BIT(12)) } },
	{ RTM_QUOTE, entry_rtm, { CLEAR(GUEST_PENDING_DEBUG, PENDING_DEBUG_ENABLED) } },
	{ RTM_QUOTE, entry_rtm, { OR(GUEST_PENDING_DEBUG, BIT(0)) } },
	{ RTM_QUOTE, entry_rtm, { SET(GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_MOV_SS) } },
	{ "VMCS link pointer: bits 11:0 must be 0, none beyond the physical width",
	  entry_link,
	  { OR(LINK_POINTER, 0x10) } },
	{ "VMCS link pointer: bits 11:0 must be 0, none beyond the physical width",
	  entry_link,
	  { OR(LINK_POINTER, ENTRY_BEYOND_BIT) } },
	{ "VMCS link pointer: bits 30:0 there must be the revision identifier, bit 31 be 0",
	  entry_link,
	  { SET(LINK_POINTER, ENTRY_NO_VMCS) } },
	{ "VMCS link pointer: bits 30:0 there must be the revision identifier, bit 31 be 0",
	  entry_link,
	  { SET(LINK_POINTER, ENTRY_SHADOW_VMCS) } },
	{ "VMCS link pointer: bits 30:0 there must be the revision identifier, bit 31 be 0",
	  entry_link,
	  { SET(LINK_POINTER, ENTRY_TOP_BIT) } },
	{ "VMCS link pointer: the field must not contain the current VMCS pointer",
	  entry_link,
	  { SET(LINK_POINTER, ENTRY_CURRENT) } },
};

static const struct broken_rule pdptes[] = {
	{ "PAE paging: a PDPTE that is present must not set any reserved bit",
	  entry_pae,
	  { OR(GUEST_PDPTE0, BIT(1)) } },
	{ "PAE paging: a PDPTE that is present must not set any reserved bit",
	  entry_pae,
	  { SET(GUEST_PDPTE1, PTE_P | BIT(8)) } },
	{ "PAE paging: a PDPTE that is present must not set any reserved bit",
	  entry_pae,
	  { SET(GUEST_PDPTE2, PTE_P | ENTRY_BEYOND_BIT) } },
	{ "PAE paging: a PDPTE that is present must not set any reserved bit",
	  entry_pae,
	  { OR(GUEST_PDPTE3, PTE_P) } },
	{ "PAE paging: a PDPTE that is present must not set any reserved bit",
	  entry_pae_no_ept,
	  { SET(GUEST_CR3, ENTRY_BAD_PDPTES) } },
	{ "PAE paging: a PDPTE that is present must not set any reserved bit",
	  entry_pae_no_ept,
	  { SET(GUEST_CR3, ENTRY_MEMORY) } },
};

static void test_each_rule_broken_alone(void **state)
{
	(void)state;
	entry_expect_broken(vmx_check_guest, registers, ARRAY_SIZE(registers));
	entry_expect_broken(vmx_check_guest, tables, ARRAY_SIZE(tables));
	entry_expect_broken(vmx_check_guest, rip_rflags, ARRAY_SIZE(rip_rflags));
	entry_expect_broken(vmx_check_guest, others, ARRAY_SIZE(others));
	entry_expect_broken(vmx_check_guest, pdptes, ARRAY_SIZE(pdptes));
}

static void test_every_rule_is_quoted(void **state)
{
	(void)state;
	entry_expect_quoted("27.3.1.1", registers, ARRAY_SIZE(registers));
	entry_expect_quoted("27.3.1.3", tables, ARRAY_SIZE(tables));
	entry_expect_quoted("27.3.1.4", rip_rflags, ARRAY_SIZE(rip_rflags));
	entry_expect_quoted("27.3.1.5", others, ARRAY_SIZE(others));
	entry_expect_quoted("27.3.1.6", pdptes, ARRAY_SIZE(pdptes));
}

/* SDM 3C "VM-Entry Failures During or After Loading Guest State" (27.8). */
static void test_exit_qualifications(void **state)
{
	struct vmx_verdict verdict;
	struct entry e;

	(void)state;
	entry_link(&e);
	e.v.f[F_LINK_POINTER] = ENTRY_CURRENT;
	assert_false(vmx_check_guest(&e.v, &e.offered, &e.env, VG_ALL, &verdict));
	assert_int_equal(verdict.qualification, 4);
	entry_64(&e);
	e.v.f[F_GUEST_INTERRUPTIBILITY] = INTERRUPTIBILITY_STI;
	e.v.f[F_ENTRY_INTR_INFO] = INTR_INFO_VALID | (u64)INTR_TYPE_NMI | EXC_NMI;
	assert_false(vmx_check_guest(&e.v, &e.offered, &e.env, VG_ALL, &verdict));
	assert_int_equal(verdict.qualification, 3);
	entry_pae(&e);
	e.v.f[F_GUEST_PDPTE1] = ~0ULL;
	assert_false(vmx_check_guest(&e.v, &e.offered, &e.env, VG_ALL, &verdict));
	assert_int_equal(verdict.qualification, 2);
	entry_64(&e);
	e.v.f[F_GUEST_RFLAGS] = 0;
	assert_false(vmx_check_guest(&e.v, &e.offered, &e.env, VG_ALL, &verdict));
	assert_int_equal(verdict.qualification, 0);
}

/* What a link pointer and CR3 point to is memory: looked at also when no group is stale. */
static void test_memory_is_read_at_every_entry(void **state)
{
	struct entry e;

	(void)state;
	entry_link(&e);
	assert_string_equal(entry_run(vmx_check_guest, &e, 0), "passes");
	e.memory[ENTRY_LINK] ^= 1;
	assert_string_not_equal(entry_run(vmx_check_guest, &e, 0), "passes");
	entry_pae_no_ept(&e);
	assert_string_equal(entry_run(vmx_check_guest, &e, 0), "passes");
	e.memory[ENTRY_PDPTES] |= 2;
	assert_string_not_equal(entry_run(vmx_check_guest, &e, 0), "passes");
}

/* Events that the activity states let through, and states that inject nothing. */
static void test_events_that_inactive_states_admit(void **state)
{
	static const struct edit good[][2] = {
		{ SET(GUEST_ACTIVITY, VMX_HALTED), INJECT(INTR_TYPE_EXTERNAL, 0x20) },
		{ SET(GUEST_ACTIVITY, VMX_HALTED), INJECT(INTR_TYPE_NMI, EXC_NMI) },
		{ SET(GUEST_ACTIVITY, VMX_HALTED), INJECT(INTR_TYPE_HARDWARE_EXCEPTION, EXC_DB) },
		{ SET(GUEST_ACTIVITY, VMX_HALTED), INJECT(INTR_TYPE_HARDWARE_EXCEPTION, EXC_MC) },
		{ SET(GUEST_ACTIVITY, VMX_HALTED), INJECT(INTR_TYPE_OTHER, 0) },
		{ SET(GUEST_ACTIVITY, VMX_SHUTDOWN), INJECT(INTR_TYPE_NMI, EXC_NMI) },
		{ SET(GUEST_ACTIVITY, VMX_SHUTDOWN), INJECT(INTR_TYPE_HARDWARE_EXCEPTION, EXC_MC) },
		{ SET(GUEST_ACTIVITY, VMX_WAIT_FOR_SIPI) },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct entry e;

		entry_64(&e);
		for (size_t k = 0; k < ARRAY_SIZE(good[i]); k++)
			entry_edit(&e, &good[i][k]);
		assert_string_equal(entry_run(vmx_check_guest, &e, VG_ALL), "passes");
	}
}

/* The manual asks for identical bits 63:N, so bit 47 alone is let through. */
static void test_rip_with_bit_47_passes(void **state)
{
	struct entry e;

	(void)state;
	entry_64(&e);
	e.v.f[F_GUEST_RIP] = NOT_CANONICAL;
	assert_string_equal(entry_run(vmx_check_guest, &e, VG_ALL), "passes");
}

static void test_unloaded_registers_may_hold_anything(void **state)
{
	struct entry e;

	(void)state;
	entry_64(&e);
	e.v.f[F_ENTRY_CONTROLS] &= ~(u64)(ENTRY_LOAD_DEBUG | ENTRY_LOAD_PAT | ENTRY_LOAD_EFER);
	e.v.f[F_GUEST_DR7] = ~0ULL;
	e.v.f[F_GUEST_DEBUGCTL] = ~0ULL;
	e.v.f[F_GUEST_PAT] = ~0ULL;
	e.v.f[F_GUEST_EFER] = ~0ULL;
	e.v.f[F_GUEST_PDPTE0] = ~0ULL;
	assert_string_equal(entry_run(vmx_check_guest, &e, VG_ALL), "passes");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_rule_broken_alone),
		cmocka_unit_test(test_every_rule_is_quoted),
		cmocka_unit_test(test_exit_qualifications),
		cmocka_unit_test(test_memory_is_read_at_every_entry),
		cmocka_unit_test(test_events_that_inactive_states_admit),
		cmocka_unit_test(test_rip_with_bit_47_passes),
		cmocka_unit_test(test_unloaded_registers_may_hold_anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
