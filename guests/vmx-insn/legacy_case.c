/*
 * Runs rows of 32-bit instruction tests: carries the VMCS over in memory, sets the segments, makes
 * the excursion, compares. See legacy_case.h.
 */
#include "guests/vmx-insn/legacy_case.h"
#include "guests/lib/segments.h"
#include "l1-hypervisor/leaf/string.h"

#define ACCESS_DATA      (0x93 | AR_DB)
#define ACCESS_READ_ONLY (0x91 | AR_DB)
#define ACCESS_DOWN      (0x97 | AR_DB)
#define ACCESS_EXECUTE   (0x99 | AR_DB | AR_G)
#define ACCESS_CODE16    0x9b

u8 legacy_area[LEGACY_AREA_SIZE] __attribute__((aligned(4096)));

/* Where virtual-8086 code can run: low memory that nobody uses. */
#define V86_CODE      0x50000U
#define V86_CODE_SIZE 16

static void set_segments(const struct legacy_case *c)
{
	u32 base = (u32)(u64)legacy_area;

	segment_set(SEL_BASED, segment_descriptor(base, 0xfffff, ACCESS_DATA | AR_G));
	segment_set(SEL_LIMITED, segment_descriptor(base, LEGACY_LIMIT, ACCESS_DATA));
	segment_set(SEL_READ_ONLY, segment_descriptor(base, 0xfffff, ACCESS_READ_ONLY));
	segment_set(SEL_EXPAND_DOWN, segment_descriptor(base, LEGACY_LIMIT, ACCESS_DOWN));
	segment_set(SEL_EXECUTE, segment_descriptor(0, 0xfffff, ACCESS_EXECUTE));
	segment_set(SEL_STACK,
		    segment_descriptor(base + LEGACY_STACK_BASE, LEGACY_LIMIT, ACCESS_DATA));
	segment_set(SEL_SHORT_CODE, segment_descriptor((u32)(u64)c->code, 0xffff, ACCESS_CODE16));
}

static u32 or_flat(u32 selector)
{
	return selector ? selector : SEL_DATA;
}

static struct legacy_job job_of(const struct legacy_case *c)
{
	bool own_stack = c->ss == SEL_STACK;
	struct legacy_job job = {
		.eip = c->cs == SEL_SHORT_CODE ? 0 : (u32)(u64)c->code,
		.cs = c->cs ? c->cs : SEL_CODE32,
		.eflags = (u32)(RFLAGS_FIXED | RFLAGS_ARITHMETIC) | c->eflags,
		.ss = or_flat(c->ss),
		.ds = c->null_ds ? 0 : or_flat(c->ds),
		.es = or_flat(c->es),
		.fs = or_flat(c->fs),
		.gs = or_flat(c->gs),
		.inner_ss = own_stack ? SEL_STACK : SEL_DATA,
		.inner_esp = LEGACY_STACK_START +
			     (own_stack ? 0 : (u32)(u64)legacy_area + LEGACY_STACK_BASE),
		.eax = c->eax,
		.ebx = c->ebx,
		.ecx = c->ecx,
		.edx = c->edx,
		.esi = c->esi,
		.edi = c->edi,
		.vmx = c->vmx,
		.vmxon = (u32)(u64)&operand_vmxon,
		.vmcs = (u32)(u64)&operand_vmcs,
	};

	if (c->eflags & RFLAGS_VM) {
		memcpy((void *)(u64)V86_CODE, c->code, V86_CODE_SIZE);
		job.cs = V86_CODE >> 4;
		job.eip = 0;
		job.ss = job.ds = job.es = job.fs = job.gs = V86_CODE >> 4;
	}
	return job;
}

/* VMX operation cannot be taken along; the VMCS's data can, in memory. */
static void prepare_vmcs(void)
{
	insn_reach(STATE_CURRENT);
	vmx_set(PLAIN_FIELD, LEGACY_VALUE);
	vmx_set(VMCS_TSC_OFFSET, LEGACY_VALUE);
	vmx_vmclear((u64)&inner_vmcs);
	vmx_vmclear((u64)&inner_other_vmcs);
	insn_reach(STATE_OFF);
}

static void legacy_case_run(const struct legacy_case *c)
{
	struct exception_frame end;
	struct legacy_job job;

	test_begin(c->name, c->rule);
	prepare_vmcs();
	memset(legacy_area, 0, sizeof(legacy_area));
	set_segments(c);
	if (c->prepare)
		c->prepare();
	job = job_of(c);
	legacy_job_run(&job);
	inner_init();
	vmx_vmptrld((u64)&inner_vmcs);
	end = (struct exception_frame){
		.vector = job.end.vector,
		.error_code = job.end.error_code,
		.rflags = job.end.eflags,
	};
	insn_compare(&c->want, &end);
	if (c->finish)
		c->finish(&job.end);
	test_end();
}

void legacy_cases_run(const struct legacy_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++)
		legacy_case_run(&cases[i]);
}
