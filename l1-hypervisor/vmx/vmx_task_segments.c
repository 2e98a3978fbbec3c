/*
 * The segment registers and LDTR of a new task: SDM 3A "Task Switching", table "Exception
 * Conditions Checked During a Task Switch". Faults are the new task's.
 */
#include "l1-hypervisor/vmx/vmx_task.h"

#include "nested-ept/gpt_walk.h"
#include "shadow-vmcs/vmx_operand.h"

#define CONFORMING_AR 0x9fU
#define V86_AR        0xf3U
#define V86_LIMIT     0xffffU

static void write_segment(u32 segment, u32 base, u32 limit, u32 ar)
{
	vmwrite_raw(VMCS_GUEST_ES_BASE + 2 * segment, base);
	vmwrite_raw(VMCS_GUEST_ES_LIMIT + 2 * segment, limit);
	vmwrite_raw(VMCS_GUEST_ES_AR + 2 * segment, ar);
}

/* Loads what was checked, as accessed. */
static bool install(const struct task_switch *t, u32 segment, struct descriptor *d)
{
	if (!(descriptor_type(d->raw) & DESCRIPTOR_ACCESSED))
		task_write_descriptor(t, d, d->raw | (u64)DESCRIPTOR_ACCESSED << 40);
	write_segment(segment, descriptor_base(d->raw), descriptor_limit(d->raw),
		      descriptor_ar(d->raw));
	return true;
}

static bool is_code(u64 raw)
{
	return descriptor_type(raw) & DESCRIPTOR_CODE;
}

static bool load_ldtr(const struct task_switch *t, u32 selector)
{
	struct descriptor d;
	u32 ar;

	if (SELECTOR_TABLE(selector))
		return task_fault(t, EXC_TS, selector);
	if (SELECTOR_IS_NULL(selector))
		return true;
	if (!task_read_descriptor(t, selector, EXC_TS, 0, &d))
		return false;
	ar = descriptor_ar(d.raw);
	if ((ar & (AR_S | AR_TYPE_MASK)) != DESCRIPTOR_LDT || !(ar & AR_P))
		return task_fault(t, EXC_TS, selector);
	vmcs_write(GUEST_LDTR_BASE, descriptor_base(d.raw));
	vmcs_write(GUEST_LDTR_LIMIT, descriptor_limit(d.raw));
	vmcs_write(GUEST_LDTR_AR, ar);
	return true;
}

static bool load_ss(const struct task_switch *t, u32 selector, u32 cpl)
{
	struct descriptor d;
	u32 ar;

	if (SELECTOR_IS_NULL(selector))
		return task_fault(t, EXC_TS, selector);
	if (!task_read_descriptor(t, selector, EXC_TS, GPT_WRITE, &d))
		return false;
	ar = descriptor_ar(d.raw);
	if (!(ar & AR_S) || is_code(d.raw) || !(ar & DESCRIPTOR_WRITABLE))
		return task_fault(t, EXC_TS, selector);
	if (!(ar & AR_P))
		return task_fault(t, EXC_SS, selector);
	if (descriptor_dpl(d.raw) != cpl || SELECTOR_RPL(selector) != cpl)
		return task_fault(t, EXC_TS, selector);
	return install(t, SEG_SS, &d);
}

static bool load_data(const struct task_switch *t, u32 segment, u32 selector, u32 cpl)
{
	struct descriptor d;
	u32 ar, dpl;

	if (SELECTOR_IS_NULL(selector))
		return true;
	if (!task_read_descriptor(t, selector, EXC_TS, GPT_WRITE, &d))
		return false;
	ar = descriptor_ar(d.raw);
	dpl = descriptor_dpl(d.raw);
	if (!(ar & AR_S) || (is_code(d.raw) && !(ar & DESCRIPTOR_WRITABLE)))
		return task_fault(t, EXC_TS, selector);
	if (!(is_code(d.raw) && (ar & DESCRIPTOR_CONFORMING)) &&
	    (dpl < cpl || dpl < SELECTOR_RPL(selector)))
		return task_fault(t, EXC_TS, selector);
	if (!(ar & AR_P))
		return task_fault(t, EXC_NP, selector);
	return install(t, segment, &d);
}

static bool load_cs(const struct task_switch *t, u32 selector, u32 cpl)
{
	struct descriptor d;
	u32 ar, dpl;

	if (SELECTOR_IS_NULL(selector))
		return task_fault(t, EXC_TS, selector);
	if (!task_read_descriptor(t, selector, EXC_TS, GPT_WRITE, &d))
		return false;
	ar = descriptor_ar(d.raw);
	dpl = descriptor_dpl(d.raw);
	if (!(ar & AR_S) || !is_code(d.raw))
		return task_fault(t, EXC_TS, selector);
	if (ar & DESCRIPTOR_CONFORMING ? dpl > cpl : dpl != cpl)
		return task_fault(t, EXC_TS, selector);
	if (!(ar & AR_P))
		return task_fault(t, EXC_NP, selector);
	return install(t, SEG_CS, &d);
}

static u32 selector_of(const struct task_switch *t, u32 segment)
{
	const struct tss_format *f = t->format;

	if (segment >= f->segment_count)
		return 0;
	return task_field(t, f->segments + segment * f->segment_step, 2);
}

/* What a fault leaves (SDM 3A "Interrupt 10-Invalid TSS Exception (#TS)": the state may not be
 * consistent): every selector and the CPL of the new task, with nothing behind them but the old
 * task's CS and SS, which a VM entry cannot do without. */
static void begin_segments(const struct task_switch *t, u32 cpl)
{
	u32 cs_ar = vmcs_read(GUEST_CS_AR) & (u32)(AR_G | AR_DB);
	u32 ss_ar = vmcs_read(GUEST_SS_AR) & ~(u32)AR_DPL_MASK;

	for (u32 segment = SEG_ES; segment <= SEG_GS; segment++) {
		vmwrite_raw(VMCS_GUEST_ES_SELECTOR + 2 * segment, selector_of(t, segment));
		vmwrite_raw(VMCS_GUEST_ES_AR + 2 * segment, AR_UNUSABLE);
	}
	vmcs_write(GUEST_CS_AR, cs_ar | CONFORMING_AR);
	vmcs_write(GUEST_SS_AR, ss_ar | cpl << AR_DPL_SHIFT);
	vmcs_write(GUEST_LDTR_SELECTOR, task_field(t, t->format->ldt, 2));
	vmcs_write(GUEST_LDTR_AR, AR_UNUSABLE);
}

/* SDM 3B "Virtual-8086 Mode": segments as in real-address mode. */
static void load_v86(const struct task_switch *t)
{
	for (u32 segment = SEG_ES; segment <= SEG_GS; segment++)
		write_segment(segment, selector_of(t, segment) << 4, V86_LIMIT, V86_AR);
}

bool task_load_segments(const struct task_switch *t, bool is_v86)
{
	u32 cpl = SELECTOR_RPL(selector_of(t, SEG_CS));

	begin_segments(t, cpl);
	if (is_v86)
		load_v86(t);
	if (!load_ldtr(t, task_field(t, t->format->ldt, 2)))
		return false;
	return is_v86 || (load_ss(t, selector_of(t, SEG_SS), cpl) &&
			  load_data(t, SEG_DS, selector_of(t, SEG_DS), cpl) &&
			  load_data(t, SEG_ES, selector_of(t, SEG_ES), cpl) &&
			  load_data(t, SEG_FS, selector_of(t, SEG_FS), cpl) &&
			  load_data(t, SEG_GS, selector_of(t, SEG_GS), cpl) &&
			  load_cs(t, selector_of(t, SEG_CS), cpl));
}
