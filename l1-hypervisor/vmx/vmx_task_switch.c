/*
 * L2's hardware task switches. In VMX non-root operation each one exits once the new TSS descriptor
 * and its privileges have been checked (SDM 3C "Treatment of Task Switches"), and L1 does the rest
 * by the steps of SDM 3A "Task Switching". What cannot be done before the old state is saved faults
 * in the old task, everything later in the new one.
 * DEVIATION: the push of an error code does not check alignment at CPL 3; shadow stacks are not
 * known here.
 */
#include "l1-hypervisor/vmx/vmx_task.h"

#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/string.h"
#include "nested-ept/gpt_walk.h"
#include "shadow-vmcs/vmx_exits.h"
#include "shadow-vmcs/vmx_operand.h"

/* SDM 3C table "Exit Qualification for Task Switches". */
#define TASK_SOURCE_SHIFT 30
enum task_source { TASK_CALL, TASK_IRET, TASK_JMP, TASK_EVENT };

#define TSS_LINK           0
#define TSS_CR3            0x1c
#define TSS_TRAP           0x64
#define TSS_TRAP_BIT       1U
#define ERROR_CODE_EXT     1U
#define DR6_BT             BIT(15)
#define DR7_CLEARED        0x155ULL /* L0 to L3, LE */
#define UPPER_HALF_UNKNOWN 0xffff0000U

static const struct tss_format format16 = {
	.min_limit = 0x2b,
	.save_end = 0x2a,
	.width = 2,
	.ip = 0x0e,
	.flags = 0x10,
	.regs = 0x12,
	.segments = 0x22,
	.segment_step = 2,
	.segment_count = 4,
	.ldt = 0x2a,
};

static const struct tss_format format32 = {
	.min_limit = 0x67,
	.save_end = 0x60,
	.width = 4,
	.ip = 0x20,
	.flags = 0x24,
	.regs = 0x28,
	.segments = 0x48,
	.segment_step = 4,
	.segment_count = 6,
	.ldt = 0x60,
};

bool task_fault(const struct task_switch *t, u8 vector, u32 selector)
{
	*t->n->fault = (struct fault){ .vector = vector,
				       .has_error_code = true,
				       .error_code = (selector & ~3U) | t->external };
	return false;
}

bool task_find(const struct task_switch *t, u64 linear, u32 size, u32 access,
	       struct vmx_linear *where)
{
	return vmx_linear_find(t->n, (u32)linear, size, access | GPT_IMPLICIT, where);
}

u32 task_field(const struct task_switch *t, u32 offset, u32 size)
{
	u32 value = 0;

	memcpy(&value, t->image + offset, size);
	return value;
}

bool task_read_descriptor(const struct task_switch *t, u32 selector, u8 vector, u32 access,
			  struct descriptor *d)
{
	bool is_local = SELECTOR_TABLE(selector);
	u64 base = is_local ? vmcs_read(GUEST_LDTR_BASE) : vmcs_read(GUEST_GDTR_BASE);
	u32 limit = is_local ? vmcs_read(GUEST_LDTR_LIMIT) : vmcs_read(GUEST_GDTR_LIMIT);

	if (SELECTOR_OFFSET(selector) + sizeof(d->raw) - 1 > limit ||
	    (is_local && (vmcs_read(GUEST_LDTR_AR) & AR_UNUSABLE)))
		return task_fault(t, vector, selector);
	if (!task_find(t, base + SELECTOR_OFFSET(selector), sizeof(d->raw), access, &d->where))
		return false;
	vmx_linear_get(t->n, &d->where, &d->raw);
	return true;
}

void task_write_descriptor(const struct task_switch *t, struct descriptor *d, u64 raw)
{
	d->raw = raw;
	vmx_linear_put(t->n, &d->where, &d->raw);
}

static void set_busy(const struct task_switch *t, struct descriptor *d, bool busy)
{
	u64 bit = (u64)DESCRIPTOR_BUSY << 40;

	task_write_descriptor(t, d, busy ? d->raw | bit : d->raw & ~bit);
}

static const struct tss_format *format_of(u32 type)
{
	return (type & ~DESCRIPTOR_BUSY) == DESCRIPTOR_TSS16 ? &format16 : &format32;
}

/* The processor has checked the new TSS, but another CPU of L2 may have changed it since. */
static bool read_new_tss(struct task_switch *t)
{
	u64 raw;
	u32 type;

	if (!task_read_descriptor(t, t->selector, EXC_TS, t->is_iret ? 0 : GPT_WRITE, &t->new_tss))
		return false;
	raw = t->new_tss.raw;
	type = descriptor_type(raw) & ~DESCRIPTOR_BUSY;
	t->format = format_of(type);
	if (type != DESCRIPTOR_TSS16 && type != DESCRIPTOR_TSS32)
		return task_fault(t, EXC_TS, t->selector);
	return descriptor_limit(raw) >= t->format->min_limit || task_fault(t, EXC_TS, t->selector);
}

/* What the switch reads and writes before the new task begins, found before any of it changes. */
struct places {
	struct vmx_linear old_state, new_image, link;
	struct descriptor old_tss;
};

static bool find_places(const struct task_switch *t, const struct tss_format *old, struct places *p)
{
	u32 new_base = descriptor_base(t->new_tss.raw);
	u32 old_selector = vmcs_read(GUEST_TR_SELECTOR);

	if (vmcs_read(GUEST_TR_LIMIT) < old->save_end - 1U)
		return task_fault(t, EXC_TS, old_selector);
	return task_find(t, new_base, t->format->min_limit + 1U, 0, &p->new_image) &&
	       (!t->nests || task_find(t, new_base + TSS_LINK, 2, GPT_WRITE, &p->link)) &&
	       (!t->clears_old ||
		task_read_descriptor(t, old_selector, EXC_TS, GPT_WRITE, &p->old_tss)) &&
	       task_find(t, vmcs_read(GUEST_TR_BASE) + old->ip, old->save_end - (u32)old->ip,
			 GPT_WRITE, &p->old_state);
}

/* SDM 3C "Saving RIP, RSP, RFLAGS, and SSP" (28.3.3): of an exception or interrupt the exit has
 * saved the address to return to, of an instruction its own. */
static u32 return_address(const struct task_switch *t)
{
	u32 rip = (u32)vmcs_read(GUEST_RIP);
	u32 type = t->event & INTR_INFO_TYPE;

	if (t->event && type != INTR_TYPE_SOFTWARE_INTERRUPT &&
	    type != INTR_TYPE_PRIVILEGED_SOFTWARE_EXCEPTION && type != INTR_TYPE_SOFTWARE_EXCEPTION)
		return rip;
	return rip + vmcs_read(EXIT_INSN_LENGTH);
}

static void save_old_state(const struct task_switch *t, const struct tss_format *f,
			   const struct vmx_linear *where)
{
	u8 image[TSS_SIZE];
	u64 flags = vmcs_read(GUEST_RFLAGS);
	u32 ip = return_address(t);

	vmx_linear_get(t->n, where, image + f->ip);
	if (t->is_iret)
		flags &= ~RFLAGS_NT;
	memcpy(image + f->ip, &ip, f->width);
	memcpy(image + f->flags, &flags, f->width);
	for (u32 i = 0; i < 8; i++) {
		u64 value = vmx_operand_reg(t->n, i);

		memcpy(image + f->regs + i * f->width, &value, f->width);
	}
	for (u32 i = 0; i < f->segment_count; i++) {
		u64 selector = vmread_raw(VMCS_GUEST_ES_SELECTOR + 2 * i);

		memcpy(image + f->segments + i * f->segment_step, &selector, 2);
	}
	vmx_linear_put(t->n, where, image + f->ip);
}

/* Up to here the old task is as it was; from here on there is only the new one. */
static bool leave_old_task(struct task_switch *t)
{
	const struct tss_format *old = format_of(vmcs_read(GUEST_TR_AR) & AR_TYPE_MASK);
	u16 link = vmcs_read(GUEST_TR_SELECTOR);
	struct places p;

	if (!read_new_tss(t) || !find_places(t, old, &p))
		return false;
	if (t->clears_old)
		set_busy(t, &p.old_tss, false);
	save_old_state(t, old, &p.old_state);
	if (t->nests)
		vmx_linear_put(t->n, &p.link, &link);
	vmx_linear_get(t->n, &p.new_image, t->image);
	if (!t->is_iret)
		set_busy(t, &t->new_tss, true);
	return true;
}

static void load_registers(const struct task_switch *t, u64 flags)
{
	const struct tss_format *f = t->format;
	u32 upper = f->width == 2 ? UPPER_HALF_UNKNOWN : 0;

	for (u32 i = 0; i < 8; i++)
		vmx_operand_set_reg(t->n, i,
				    upper | task_field(t, f->regs + i * f->width, f->width), false);
	vmcs_write(GUEST_RIP, task_field(t, f->ip, f->width));
	vmcs_write(GUEST_RFLAGS, flags);
}

static void load_task_register(const struct task_switch *t)
{
	vmcs_write(GUEST_TR_SELECTOR, t->selector);
	vmcs_write(GUEST_TR_BASE, descriptor_base(t->new_tss.raw));
	vmcs_write(GUEST_TR_LIMIT, descriptor_limit(t->new_tss.raw));
	vmcs_write(GUEST_TR_AR, descriptor_ar(t->new_tss.raw) | DESCRIPTOR_BUSY);
}

/* What an event, an instruction's end and IRET do besides. */
static void settle_events(const struct task_switch *t)
{
	u32 blocking = vmcs_read(GUEST_INTERRUPTIBILITY) & ~BLOCKING_BY_INSN;

	if (t->event && (t->event & INTR_INFO_TYPE) == INTR_TYPE_NMI)
		blocking |= INTERRUPTIBILITY_NMI;
	if (t->is_iret)
		blocking &= ~INTERRUPTIBILITY_NMI;
	vmcs_write(GUEST_INTERRUPTIBILITY, blocking);
	vmcs_write(GUEST_PENDING_DEBUG, 0);
	vmcs_write(GUEST_ACTIVITY, VMX_ACTIVE);
	vmcs_write(GUEST_CR0, vmcs_read(GUEST_CR0) | CR0_TS);
	vmcs_write(GUEST_DR7, vmcs_read(GUEST_DR7) & ~DR7_CLEARED);
}

/* SDM 3A "PDPTE Registers" (4.4.1). */
static bool load_pdptes(const struct task_switch *t, u32 cr3)
{
	const struct vmx_core *core = t->n->core;
	u64 reserved = ~BITS(core->physical_bits - 1, 0) | BITS(8, 5) | BITS(2, 1);
	u64 entries[4];

	if (!core->read(PA2(cr3 & ~0x1fULL), entries, sizeof(entries)))
		memset(entries, 0xff, sizeof(entries));
	for (u32 i = 0; i < 4; i++) {
		if ((entries[i] & PTE_P) && (entries[i] & reserved))
			return task_fault(t, EXC_TS, 0);
	}
	vmcs_write(GUEST_PDPTE0, entries[0]);
	vmcs_write(GUEST_PDPTE1, entries[1]);
	vmcs_write(GUEST_PDPTE2, entries[2]);
	vmcs_write(GUEST_PDPTE3, entries[3]);
	return true;
}

/* A 16-bit TSS has no CR3, and without paging it is not loaded. */
static bool load_cr3(const struct task_switch *t)
{
	u32 cr3 = task_field(t, TSS_CR3, 4);

	if (t->format != &format32 || !(vmcs_read(GUEST_CR0) & CR0_PG) ||
	    cr3 == vmcs_read(GUEST_CR3))
		return true;
	vmcs_write(GUEST_CR3, cr3);
	/* SDM 3A "Operations that Invalidate TLBs and Paging-Structure Caches". */
	if (vmcs_get(&t->n->v12, VPID))
		invvpid_raw(INVVPID_SINGLE, VPID_L2, 0);
	return !(vmcs_read(GUEST_CR4) & CR4_PAE) || load_pdptes(t, cr3);
}

static bool push_error_code(const struct task_switch *t, u32 error_code)
{
	u32 size = t->format->width;
	u64 rsp = vmcs_read(GUEST_RSP);
	u32 mask = vmcs_read(GUEST_SS_AR) & AR_DB ? 0xffffffff : 0xffff;
	u32 offset = (u32)(rsp - size) & mask;
	bool is_user = vmcs_read(GUEST_SS_AR) & AR_DPL_MASK;
	struct vmx_linear where;

	if (!vmx_operand_segment_allows(SEG_SS, offset, size, true))
		return task_fault(t, EXC_SS, 0);
	if (!vmx_linear_find(t->n, (u32)(vmcs_read(GUEST_SS_BASE) + offset), size,
			     is_user ? GPT_WRITE | GPT_USER : GPT_WRITE, &where))
		return false;
	vmx_linear_put(t->n, &where, &error_code);
	vmcs_write(GUEST_RSP, (rsp & ~(u64)mask) | offset);
	return true;
}

static bool enter_new_task(const struct task_switch *t)
{
	u64 flags = (task_field(t, t->format->flags, t->format->width) & RFLAGS_WRITABLE) |
		    RFLAGS_FIXED | (t->nests ? RFLAGS_NT : 0);
	u32 error_code = vmcs_read(IDT_VECTORING_ERROR_CODE);

	load_task_register(t);
	load_registers(t, flags);
	settle_events(t);
	if (!load_cr3(t) || !task_load_segments(t, flags & RFLAGS_VM))
		return false;
	if ((t->event & INTR_INFO_ERROR_CODE) && !push_error_code(t, error_code))
		return false;
	return vmcs_read(GUEST_RIP) <= vmcs_read(GUEST_CS_LIMIT) || task_fault(t, EXC_GP, 0);
}

static bool is_contributory(u32 vector)
{
	return vector == EXC_DE || (vector >= EXC_TS && vector <= EXC_GP);
}

/* SDM 3A "Interrupt 8-Double Fault Exception (#DF)": when the switch that was to handle one
 * exception faults itself. */
static enum outcome fail(struct vcpu *vcpu, const struct task_switch *t)
{
	struct fault *fault = t->n->fault;
	u32 first = t->event & INTR_INFO_VECTOR;
	bool is_serious = is_contributory(fault->vector) || fault->vector == EXC_PF;

	if ((t->event & INTR_INFO_TYPE) != INTR_TYPE_HARDWARE_EXCEPTION || !is_serious)
		return OUTCOME_EXCEPTION;
	if (first == EXC_DF)
		return vmx_handle_triple_fault(vcpu, VMX_EXIT_TRIPLE_FAULT);
	if (first == EXC_PF || (is_contributory(first) && is_contributory(fault->vector)))
		return vmx_fault(vcpu, EXC_DF, true, 0);
	return OUTCOME_EXCEPTION;
}

static void begin(struct task_switch *t, struct vmx_nested *n)
{
	u64 qualification = vmcs_read(EXIT_QUALIFICATION);
	u32 source = (u32)qualification >> TASK_SOURCE_SHIFT;
	u32 event = source == TASK_EVENT ? vmcs_read(IDT_VECTORING_INFO) : 0;
	u32 type = event & INTR_INFO_TYPE;

	*t = (struct task_switch){
		.n = n,
		.selector = (u16)qualification,
		.is_iret = source == TASK_IRET,
		.nests = source == TASK_CALL || source == TASK_EVENT,
		.clears_old = source == TASK_JMP || source == TASK_IRET,
		.event = event,
		.external = event && type != INTR_TYPE_SOFTWARE_INTERRUPT &&
					    type != INTR_TYPE_SOFTWARE_EXCEPTION
				    ? ERROR_CODE_EXT
				    : 0,
	};
}

enum outcome vmx_handle_task_switch(struct vcpu *vcpu, u64 reason)
{
	struct task_switch t;

	(void)reason;
	begin(&t, &vmx_of(vcpu)->nested);
	if (!leave_old_task(&t) || !enter_new_task(&t))
		return fail(vcpu, &t);
	if (t.format == &format32 && (task_field(&t, TSS_TRAP, 2) & TSS_TRAP_BIT)) {
		write_dr6(read_dr6() | DR6_BT);
		return vmx_fault(vcpu, EXC_DB, false, 0);
	}
	return OUTCOME_RESUME;
}
