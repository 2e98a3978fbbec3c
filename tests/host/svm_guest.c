/*
 * The valid VMCB of the host tests and its variants.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "l1-hypervisor/leaf/x86.h"
#include "tests/host/svm_guest.h"

#define CODE_64 0x29b
#define CODE_32 0xc9b
#define DATA_32 0xc93
#define REAL    0x093

static void make_segments(struct vmcb_save *s, u16 code, u16 data)
{
	s->es = s->ss = s->ds = (struct vmcb_segment){ 0x10, data, 0xffffffff, 0 };
	s->cs = (struct vmcb_segment){ 0x08, code, 0xffffffff, 0 };
	s->gdtr = (struct vmcb_segment){ .limit = 0x7f, .base = 0x1000 };
	s->idtr = (struct vmcb_segment){ .limit = 0xfff, .base = 0x2000 };
}

void svm_guest_64(struct svm_guest *g)
{
	struct vmcb_control *c = &g->vmcb.c;
	struct vmcb_save *s = &g->vmcb.s;

	memset(g, 0, sizeof(*g));
	g->env = (struct svm_check_env){
		.physical_reserved = ~(BIT(SVM_GUEST_WIDTH) - 1),
		.cr4_allowed = BITS(10, 0) | CR4_FSGSBASE | CR4_OSXSAVE | CR4_SMEP | CR4_PCIDE,
		.efer_allowed = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE | EFER_SVME,
		.asids = 15,
		.host_paging = true,
		.host_long_mode = true,
	};
	c->intercept1 = INTERCEPT1_CPUID | INTERCEPT1_MSR;
	c->intercept2 = INTERCEPT2_VMRUN;
	c->iopm_base = 0x10000;
	c->msrpm_base = 0x14000;
	c->asid = 14;
	c->nested_control = NESTED_NP_ENABLE;
	c->ncr3 = BIT(SVM_GUEST_WIDTH - 1) | 0x5000;
	s->efer = EFER_SVME | EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
	s->cr0 = CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_PE;
	s->cr3 = BIT(SVM_GUEST_WIDTH - 1) | 0x3000;
	s->cr4 = CR4_PAE | CR4_PGE;
	s->dr6 = 0xffff0ff0;
	s->dr7 = 0x400;
	s->rflags = RFLAGS_FIXED;
	s->rip = 0xffffffff80001000;
	s->g_pat = 0x0007040600070406;
	make_segments(s, CODE_64, DATA_32);
}

void svm_guest_compat(struct svm_guest *g)
{
	svm_guest_64(g);
	g->vmcb.s.cs.attributes = CODE_32;
	g->vmcb.s.rip = 0x1000;
}

void svm_guest_pae(struct svm_guest *g)
{
	svm_guest_compat(g);
	g->vmcb.s.efer = EFER_SVME | EFER_NXE;
	g->vmcb.s.cr3 = 0x3020;
	g->vmcb.c.nested_control = 0;
}

void svm_guest_32(struct svm_guest *g)
{
	svm_guest_pae(g);
	g->vmcb.s.cr4 = 0;
	g->env.host_paging = g->env.host_long_mode = false;
}

void svm_guest_of_pae(struct svm_guest *g)
{
	svm_guest_pae(g);
	g->env.host_long_mode = false;
}

void svm_guest_real(struct svm_guest *g)
{
	svm_guest_64(g);
	g->vmcb.s.efer = EFER_SVME;
	g->vmcb.s.cr0 = CR0_ET;
	g->vmcb.s.cr4 = 0;
	g->vmcb.s.rip = 0x7c00;
	make_segments(&g->vmcb.s, REAL, REAL);
}

void svm_guest_paged_real(struct svm_guest *g)
{
	svm_guest_real(g);
	g->vmcb.s.cr0 |= CR0_PG;
}

svm_variant *const svm_variants[] = { svm_guest_64,        svm_guest_compat, svm_guest_pae,
				      svm_guest_32,        svm_guest_of_pae, svm_guest_real,
				      svm_guest_paged_real };
const size_t svm_variant_count = ARRAY_SIZE(svm_variants);

const struct svm_field svm_fields[] = {
#define VMCB_CONTROL(type, name, at, group) { #name, at, sizeof(type), group },
#define VMCB_SAVE(type, name, at, group)    { #name, 0x400 + at, sizeof(type), group },
#include "shadow-vmcs/vmcb_fields.def"
};
const size_t svm_field_count = ARRAY_SIZE(svm_fields);

const struct svm_field *svm_field_at(u32 offset)
{
	for (size_t i = 0; i < svm_field_count; i++)
		if (offset - svm_fields[i].offset < svm_fields[i].size)
			return &svm_fields[i];
	fail_msg("no field of the VMCB is at 0x%x", offset);
	return NULL;
}
