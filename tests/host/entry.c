/*
 * The valid vmcs23 of the host tests, its variants, and the runner of broken rules.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "shadow-vmcs/vmx_bits.h"
#include "tests/host/entry.h"

#define CODE_64 0xa09bU
#define CODE_32 0xc09bU
#define DATA    0xc093U
#define TSS     0x8bU
#define LDT     0x82U
#define V86     0xf3U
#define REAL    0x93U

static void put_cap(struct vmx_caps *caps, u32 msr, u64 value)
{
	caps->msr[msr - MSR_VMX_BASIC] = value;
}

void entry_platform(struct vmx_caps *caps)
{
	static const u64 msrs[VMX_CAPS_MSRS] = {
		0x00d810000000002bULL, /* BASIC */
		0x0000007f00000016ULL, /* PINBASED_CTLS */
		0xf7f9fffe0401e172ULL, /* PROCBASED_CTLS */
		0x007fffff00036dffULL, /* EXIT_CTLS */
		0x0000ffff000011ffULL, /* ENTRY_CTLS */
		0x00000000600401e0ULL, /* MISC */
		0x0000000080000021ULL, /* CR0_FIXED0 */
		0x00000000ffffffffULL, /* CR0_FIXED1 */
		0x0000000000002000ULL, /* CR4_FIXED0 */
		0x00000000003727ffULL, /* CR4_FIXED1 */
		0x0000000000000034ULL, /* VMCS_ENUM */
		0x02177fff00000000ULL, /* PROCBASED_CTLS2 */
		0x00000f0106334141ULL, /* EPT_VPID_CAP */
		0x0000007f00000016ULL, /* TRUE_PINBASED_CTLS */
		0xf7f9fffe04006172ULL, /* TRUE_PROCBASED_CTLS */
		0x007fffff00036dfbULL, /* TRUE_EXIT_CTLS */
		0x0000ffff000011fbULL, /* TRUE_ENTRY_CTLS */
		0x0000000000000001ULL, /* VMFUNC */
	};

	memcpy(caps->msr, msrs, sizeof(msrs));
}

static void read_memory(void *ctx, pa2_t at, void *to, size_t size)
{
	const struct entry *e = ctx;

	memset(to, 0xff, size);
	if (at.v <= ENTRY_MEMORY - size)
		memcpy(to, e->memory + at.v, size);
}

static void put_memory(struct entry *e, u32 at, u64 value)
{
	memcpy(e->memory + at, &value, sizeof(value));
}

static void make_surroundings(struct entry *e)
{
	struct vmx_caps platform;
	struct vmx_offer offer = { .ept = true };

	memset(e, 0, sizeof(*e));
	entry_platform(&platform);
	vmx_caps_offer(&platform, &offer, &e->offered);
	e->env = (struct vmx_check_env){
		.physical_reserved = ~(ENTRY_BEYOND_BIT - 1),
		.linear_width = 48,
		.long_mode = true,
		.efer_allowed = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE,
		.debugctl_allowed = BITS(15, 6) | DEBUGCTL_BTF | DEBUGCTL_LBR,
		.current_vmcs = PA2(ENTRY_CURRENT),
		.read = read_memory,
		.ctx = e,
	};
	put_memory(e, ENTRY_VIRTUAL_APIC + 0x80, 0x50);
	put_memory(e, ENTRY_LINK, VMX_CAPS_REVISION);
	put_memory(e, ENTRY_CURRENT, VMX_CAPS_REVISION);
	put_memory(e, ENTRY_SHADOW_VMCS, VMX_CAPS_REVISION | BIT(31));
	for (u32 i = 0; i < 3; i++)
		put_memory(e, ENTRY_PDPTES + i * 8, 0xb000 + i * 0x1000 + PTE_P);
	put_memory(e, ENTRY_PDPTES + 3 * 8, 0xfffffffffffffffeULL);
	put_memory(e, ENTRY_BAD_PDPTES + 8, PTE_P | PTE_A);
}

static void make_controls(struct vmcs_fields *v, const struct vmx_caps *caps)
{
	v->f[F_PIN_CONTROLS] = vmx_cap_must(caps, MSR_VMX_TRUE_PINBASED_CTLS) |
			       PIN_EXTERNAL_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMI;
	v->f[F_PROC_CONTROLS] = vmx_cap_must(caps, MSR_VMX_TRUE_PROCBASED_CTLS) | PROC_HLT |
				PROC_TPR_SHADOW | PROC_IO_BITMAPS | PROC_MSR_BITMAPS |
				PROC_SECONDARY;
	v->f[F_PROC_CONTROLS2] = PROC2_EPT | PROC2_VPID;
	v->f[F_EXIT_CONTROLS] = vmx_cap_must(caps, MSR_VMX_TRUE_EXIT_CTLS) | EXIT_HOST_64 |
				EXIT_LOAD_PAT | EXIT_LOAD_EFER;
	v->f[F_ENTRY_CONTROLS] = vmx_cap_must(caps, MSR_VMX_TRUE_ENTRY_CTLS) | ENTRY_LOAD_DEBUG |
				 ENTRY_GUEST_64 | ENTRY_LOAD_PAT | ENTRY_LOAD_EFER;
	v->f[F_CR3_TARGET_COUNT] = 4;
	v->f[F_IO_BITMAP_A] = 0x1000;
	v->f[F_IO_BITMAP_B] = ENTRY_TOP_BIT;
	v->f[F_MSR_BITMAP] = 0x2000;
	v->f[F_VIRTUAL_APIC_ADDR] = ENTRY_VIRTUAL_APIC;
	v->f[F_APIC_ACCESS_ADDR] = 0xfee00000;
	v->f[F_TPR_THRESHOLD] = 5;
	v->f[F_VPID] = 1;
	v->f[F_EPTP] = 0x5000 | MEMTYPE_WB | EPTP_WALK_4;
}

static void make_host(struct vmcs_fields *v)
{
	v->f[F_HOST_CR0] = CR0_PE | CR0_NE | CR0_WP | CR0_PG;
	v->f[F_HOST_CR3] = ENTRY_TOP_BIT;
	v->f[F_HOST_CR4] = CR4_PAE | CR4_VMXE;
	v->f[F_HOST_EFER] = EFER_LME | EFER_LMA | EFER_NXE;
	v->f[F_HOST_PAT] = 0x0007040600070406ULL;
	v->f[F_HOST_CS_SELECTOR] = 0x08;
	v->f[F_HOST_TR_SELECTOR] = 0x40;
	v->f[F_HOST_RIP] = 0xffff800000001000ULL;
	v->f[F_HOST_GS_BASE] = 0xffff800000000000ULL;
	v->f[F_HOST_TR_BASE] = 0x00007fffffffffffULL;
}

static void make_segments(struct vmcs_fields *v, u32 code)
{
	for (int row = F_GUEST_ES_SELECTOR; row <= F_GUEST_GS_SELECTOR; row++) {
		int segment = row - F_GUEST_ES_SELECTOR;

		v->f[row] = 0x10;
		v->f[F_GUEST_ES_BASE + segment] = 0;
		v->f[F_GUEST_ES_LIMIT + segment] = 0xffffffff;
		v->f[F_GUEST_ES_AR + segment] = DATA;
	}
	v->f[F_GUEST_CS_SELECTOR] = 0x08;
	v->f[F_GUEST_CS_AR] = code;
	v->f[F_GUEST_LDTR_SELECTOR] = 0x28;
	v->f[F_GUEST_LDTR_LIMIT] = 0x1f;
	v->f[F_GUEST_LDTR_AR] = LDT;
	v->f[F_GUEST_TR_SELECTOR] = 0x40;
	v->f[F_GUEST_TR_LIMIT] = 0x67;
	v->f[F_GUEST_TR_AR] = TSS;
}

static void make_guest(struct vmcs_fields *v)
{
	v->f[F_GUEST_CR0] = CR0_PE | CR0_NE | CR0_WP | CR0_PG;
	v->f[F_GUEST_CR3] = ENTRY_PDPTES;
	v->f[F_GUEST_CR4] = CR4_PAE | CR4_VMXE;
	v->f[F_GUEST_EFER] = EFER_LME | EFER_LMA;
	v->f[F_GUEST_PAT] = 0x0007040600070406ULL;
	v->f[F_GUEST_DR7] = 0x400;
	v->f[F_GUEST_RFLAGS] = RFLAGS_FIXED | RFLAGS_IF;
	v->f[F_GUEST_RIP] = 0xffffffff81000000ULL;
	v->f[F_GUEST_FS_BASE] = 0x00007fffffffffffULL;
	v->f[F_GUEST_GDTR_LIMIT] = 0xffff;
	v->f[F_GUEST_IDTR_LIMIT] = 0xffff;
	v->f[F_LINK_POINTER] = ~0ULL;
}

void entry_64(struct entry *e)
{
	make_surroundings(e);
	make_controls(&e->v, &e->offered);
	make_host(&e->v);
	make_segments(&e->v, CODE_64);
	make_guest(&e->v);
}

void entry_32(struct entry *e)
{
	entry_64(e);
	e->env.long_mode = false;
	e->v.f[F_EXIT_CONTROLS] &= ~(u64)EXIT_HOST_64;
	e->v.f[F_ENTRY_CONTROLS] &= ~(u64)ENTRY_GUEST_64;
	e->v.f[F_HOST_EFER] = EFER_NXE;
	e->v.f[F_HOST_SS_SELECTOR] = 0x10;
	e->v.f[F_HOST_RIP] = 0xffffffff;
	e->v.f[F_GUEST_CR4] = CR4_VMXE;
	e->v.f[F_GUEST_EFER] = 0;
	e->v.f[F_GUEST_CS_AR] = CODE_32;
	e->v.f[F_GUEST_RIP] = 0xffffffff;
}

void entry_pae(struct entry *e)
{
	entry_32(e);
	e->v.f[F_GUEST_CR4] |= CR4_PAE;
	e->v.f[F_GUEST_PDPTE0] = ENTRY_TOP_BIT | PTE_PCD | PTE_PWT | PTE_P;
	e->v.f[F_GUEST_PDPTE3] = 0xfffffffffffffffeULL;
}

void entry_pae_no_ept(struct entry *e)
{
	entry_pae(e);
	e->v.f[F_PROC_CONTROLS2] = PROC2_VPID;
}

void entry_v86(struct entry *e)
{
	entry_32(e);
	e->v.f[F_GUEST_RFLAGS] |= RFLAGS_VM;
	for (int segment = 0; segment < 6; segment++) {
		e->v.f[F_GUEST_ES_SELECTOR + segment] = 0x1234;
		e->v.f[F_GUEST_ES_BASE + segment] = 0x12340;
		e->v.f[F_GUEST_ES_LIMIT + segment] = 0xffff;
		e->v.f[F_GUEST_ES_AR + segment] = V86;
	}
}

void entry_unrestricted(struct entry *e)
{
	entry_64(e);
	e->v.f[F_PROC_CONTROLS2] |= PROC2_UNRESTRICTED_GUEST;
}

void entry_real(struct entry *e)
{
	entry_unrestricted(e);
	e->v.f[F_ENTRY_CONTROLS] &= ~(u64)ENTRY_GUEST_64;
	e->v.f[F_GUEST_CR0] = CR0_NE;
	e->v.f[F_GUEST_CR4] = CR4_VMXE;
	e->v.f[F_GUEST_EFER] = 0;
	e->v.f[F_GUEST_RIP] = 0xfff0;
	for (int segment = 0; segment < 6; segment++) {
		e->v.f[F_GUEST_ES_SELECTOR + segment] = 0xf003;
		e->v.f[F_GUEST_ES_BASE + segment] = 0xf0000;
		e->v.f[F_GUEST_ES_LIMIT + segment] = 0xffff;
		e->v.f[F_GUEST_ES_AR + segment] = REAL;
	}
}

void entry_cet(struct entry *e)
{
	entry_64(e);
	put_cap(&e->offered, MSR_VMX_CR4_FIXED1,
		vmx_cap(&e->offered, MSR_VMX_CR4_FIXED1) | CR4_CET);
	e->v.f[F_GUEST_CR4] |= CR4_CET;
	e->v.f[F_HOST_CR4] |= CR4_CET;
}

void entry_rtm(struct entry *e)
{
	entry_64(e);
	e->env.has_rtm = true;
	e->v.f[F_GUEST_PENDING_DEBUG] = PENDING_DEBUG_RTM | PENDING_DEBUG_ENABLED;
}

void entry_sgx(struct entry *e)
{
	entry_64(e);
	e->env.has_sgx = true;
	e->v.f[F_GUEST_INTERRUPTIBILITY] = INTERRUPTIBILITY_ENCLAVE;
}

void entry_link(struct entry *e)
{
	entry_64(e);
	e->v.f[F_LINK_POINTER] = ENTRY_LINK;
}

void entry_few_offers(struct entry *e)
{
	entry_64(e);
	put_cap(&e->offered, MSR_VMX_EPT_VPID_CAP,
		vmx_cap(&e->offered, MSR_VMX_EPT_VPID_CAP) & ~EPT_CAP_AD);
	put_cap(&e->offered, MSR_VMX_MISC,
		vmx_cap(&e->offered, MSR_VMX_MISC) & ~(MISC_INJECT_LENGTH_0 | MISC_HLT));
}

void entry_msr_lists(struct entry *e)
{
	entry_64(e);
	e->v.f[F_EXIT_MSR_STORE_COUNT] = 1;
	e->v.f[F_EXIT_MSR_STORE_ADDR] = ENTRY_BEYOND_BIT - 16;
	e->v.f[F_EXIT_MSR_LOAD_COUNT] = 256;
	e->v.f[F_EXIT_MSR_LOAD_ADDR] = 0xf010;
	e->v.f[F_ENTRY_MSR_LOAD_COUNT] = 2;
	e->v.f[F_ENTRY_MSR_LOAD_ADDR] = 0xf020;
}

entry_variant *const entry_variants[] = {
	entry_64,           entry_32,         entry_pae,       entry_pae_no_ept, entry_v86,
	entry_unrestricted, entry_real,       entry_cet,       entry_rtm,        entry_sgx,
	entry_link,         entry_few_offers, entry_msr_lists,
};
const size_t entry_variant_count = ARRAY_SIZE(entry_variants);

u32 entry_edit(struct entry *e, const struct edit *edit)
{
	if (edit->clear == 0 && edit->set == 0)
		return 0;
	e->v.f[edit->row] = (e->v.f[edit->row] & ~edit->clear) | edit->set;
	return 1U << vmcs_table[edit->row].group;
}

const char *entry_run(entry_check *check, const struct entry *e, u32 groups)
{
	struct vmx_verdict verdict;
	bool passes = check(&e->v, &e->offered, &e->env, groups, &verdict);

	assert_int_equal(passes, verdict.rule == NULL);
	if (passes)
		return "passes";
	assert_int_equal(verdict.qualification, verdict.rule->qualification);
	return verdict.rule->text;
}

static void expect_valid(entry_variant *variant)
{
	struct entry e;

	variant(&e);
	assert_string_equal(entry_run(vmx_check_controls, &e, VG_ALL), "passes");
	assert_string_equal(entry_run(vmx_check_host, &e, VG_ALL), "passes");
	assert_string_equal(entry_run(vmx_check_guest, &e, VG_ALL), "passes");
}

void entry_expect_broken(entry_check *check, const struct broken_rule *rules, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct entry e;
		u32 stale = 0;

		expect_valid(rules[i].variant);
		rules[i].variant(&e);
		for (size_t k = 0; k < ARRAY_SIZE(rules[i].edits); k++)
			stale |= entry_edit(&e, &rules[i].edits[k]);
		assert_string_equal(entry_run(check, &e, VG_ALL), rules[i].quote);
		assert_string_equal(entry_run(check, &e, stale), rules[i].quote);
	}
}

void entry_expect_quoted(const char *number, const struct broken_rule *rules, size_t count)
{
	for (int id = RULE_NONE + 1; id < RULE_COUNT; id++) {
		size_t i = 0;

		if (strcmp(vmx_rules[id].area->number, number) != 0)
			continue;
		while (i < count && strcmp(rules[i].quote, vmx_rules[id].text) != 0)
			i++;
		if (i == count)
			fail_msg("no case breaks: %s", vmx_rules[id].text);
	}
}
