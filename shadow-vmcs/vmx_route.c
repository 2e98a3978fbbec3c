/*
 * The question "does L2 want this exit of L3?", as the column `wanted` of vmx_exits.def puts it.
 * An exit that L2 does not want was caused by L1's own intercepts, and L1 serves it for L3.
 */
#include "l1-hypervisor/leaf/x86.h"
#include "shadow-vmcs/vmcs_hw.h"
#include "shadow-vmcs/vmx_exits.h"
#include "shadow-vmcs/vmx_nested.h"

static bool always(const struct vmx_nested *n)
{
	(void)n;
	return true;
}

static bool never(const struct vmx_nested *n)
{
	(void)n;
	return false;
}

static const struct vmcs_fields *v23(const struct vmx_nested *n)
{
	return &n->current->v23;
}

/* SDM 3C "Exception Bitmap" (25.6.3): a page fault exits by its error code too, also with its bit
 * clear; vmcs13 has L2's mask and match, so hardware has asked that already. */
static bool exception(const struct vmx_nested *n)
{
	u32 info = vmcs_read(EXIT_INTR_INFO);

	if ((info & INTR_INFO_TYPE) == INTR_TYPE_NMI)
		return vmcs_get(v23(n), PIN_CONTROLS) & PIN_NMI;
	if ((info & INTR_INFO_VECTOR) == EXC_PF)
		return true;
	return vmcs_get(v23(n), EXCEPTION_BITMAP) >> (info & 31) & 1;
}

/* L1 owns no bit of L3's CR0 and CR4, and the other accesses exit by L2's controls. */
static bool cr(const struct vmx_nested *n)
{
	return always(n);
}

/* A page of L2's that hardware does not look at: all ones where there is no memory. */
static const struct bitmap_page *bitmap_of(const struct vmx_nested *n, u64 at)
{
	static const struct bitmap_page ones = { .word = { [0 ... BITMAP_WORDS - 1] = ~0ULL } };

	return n->core->is_ram(PA2(at), PAGE_SIZE) ? n->core->pointer(PA2(at)) : &ones;
}

static bool io(const struct vmx_nested *n)
{
	u64 qualification = vmcs_read(EXIT_QUALIFICATION);
	u32 proc = vmcs_get(v23(n), PROC_CONTROLS);

	if (!(proc & PROC_IO_BITMAPS))
		return proc & PROC_UNCONDITIONAL_IO;
	return io_bitmap_exits(bitmap_of(n, vmcs_get(v23(n), IO_BITMAP_A)),
			       bitmap_of(n, vmcs_get(v23(n), IO_BITMAP_B)),
			       (u16)(qualification >> IO_PORT_SHIFT),
			       (u32)(qualification & IO_SIZE) + 1);
}

static bool rdmsr(const struct vmx_nested *n)
{
	return !(vmcs_get(v23(n), PROC_CONTROLS) & PROC_MSR_BITMAPS) ||
	       msr_bitmap_read_exits(bitmap_of(n, vmcs_get(v23(n), MSR_BITMAP)),
				     (u32)n->regs->r[REG_RCX]);
}

static bool wrmsr(const struct vmx_nested *n)
{
	return !(vmcs_get(v23(n), PROC_CONTROLS) & PROC_MSR_BITMAPS) ||
	       msr_bitmap_write_exits(bitmap_of(n, vmcs_get(v23(n), MSR_BITMAP)),
				      (u32)n->regs->r[REG_RCX]);
}

static bool pause(const struct vmx_nested *n)
{
	return (vmcs_get(v23(n), PROC_CONTROLS) & PROC_PAUSE) ||
	       (vmcs_active_proc2(v23(n)) & PROC2_PAUSE_LOOP_EXITING);
}

static bool xss(const struct vmx_nested *n)
{
	return vmcs_active_proc2(v23(n)) & PROC2_XSAVES;
}

/* A miss in ept13 is L1's to look into; one in ept12 L2 cannot know of. */
static bool stage2(const struct vmx_nested *n)
{
	return never(n);
}

static bool entry_failure(const struct vmx_nested *n)
{
	return always(n);
}

static u32 pin_controls(const struct vmx_nested *n)
{
	return vmcs_get(v23(n), PIN_CONTROLS);
}

static u32 proc_controls(const struct vmx_nested *n)
{
	return vmcs_get(v23(n), PROC_CONTROLS);
}

static u32 proc2_controls(const struct vmx_nested *n)
{
	return vmcs_active_proc2(v23(n));
}

/* A row asks a function, or for a bit of one of the control words. */
struct question {
	bool (*ask)(const struct vmx_nested *n);
	u32 (*controls)(const struct vmx_nested *n);
	u32 bit;
};

#define pin(control)   NULL, .controls = pin_controls, .bit = (control)
#define proc(control)  NULL, .controls = proc_controls, .bit = (control)
#define proc2(control) NULL, .controls = proc2_controls, .bit = (control)

static const struct question questions[VMX_EXIT_REASONS] = {
#define VMX_EXIT(number, NAME, handler, wanted, kind) [number] = { .ask = wanted },
#include "shadow-vmcs/vmx_exits.def"
};

bool vmx_l2_wants(const struct vmx_nested *n, u32 reason)
{
	const struct question *q = &questions[reason];

	if (q->ask)
		return q->ask(n);
	/* A reason without a row. */
	if (unlikely(!q->controls))
		return true;
	return q->controls(n) & q->bit;
}

void vmx_merge_io_bitmaps(struct vmx_nested *n)
{
	const struct vmcs_fields *v = v23(n);
	bool used = vmcs_get(v, PROC_CONTROLS) & PROC_IO_BITMAPS;

	for (u32 i = 0; i < 2; i++) {
		u64 at = i ? vmcs_get(v, IO_BITMAP_B) : vmcs_get(v, IO_BITMAP_A);

		if (used)
			bitmap_merge(&n->io_bitmaps13[i], &n->io_bitmaps12[i], bitmap_of(n, at));
		else
			n->io_bitmaps13[i] = n->io_bitmaps12[i];
	}
	n->current->passes |= PASSES_PORTS;
	vmcs_write(PROC_CONTROLS,
		   (vmcs_read(PROC_CONTROLS) & ~PROC_UNCONDITIONAL_IO) | PROC_IO_BITMAPS);
}

void vmx_pass_dr(struct vmx_nested *n)
{
	n->current->passes |= PASSES_DR;
	vmcs_write(PROC_CONTROLS, vmcs_read(PROC_CONTROLS) & ~PROC_MOV_DR);
}
