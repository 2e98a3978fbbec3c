/*
 * A hardware task switch of L2 under way, which L1 does since VMX does not: shared by the switch
 * itself (vmx_task_switch.c) and the loading of the new task's segments (vmx_task_segments.c).
 */
#ifndef L1_VMX_TASK_H
#define L1_VMX_TASK_H

#include "l1-hypervisor/vmx/vmx.h"
#include "shadow-vmcs/vmx_linear.h"

#define TSS_SIZE 104 /* of what the processor reads, 32 bits wide */

/* Where things are in a TSS: SDM 3A "Task-State Segment (TSS)", "16-Bit Task-State Segment (TSS)".
 */
struct tss_format {
	u8 min_limit;
	u8 save_end; /* the state that is saved is from `ip` to here */
	u8 width;    /* of the registers */
	u8 ip, flags, regs;
	u8 segments, segment_step, segment_count;
	u8 ldt;
};

/* A descriptor that was read, and where. */
struct descriptor {
	u64 raw;
	struct vmx_linear where;
};

struct task_switch {
	struct vmx_nested *n;
	u16 selector; /* of the new TSS */
	bool is_iret;
	bool nests;      /* the new task returns to the old one: by CALL or an event */
	bool clears_old; /* JMP and IRET end the old task */
	u32 event;       /* IDT-vectoring information; 0 when an instruction switches */
	u32 external;    /* the EXT flag of error codes */
	struct descriptor new_tss;
	const struct tss_format *format; /* of the new TSS */
	u8 image[TSS_SIZE];              /* the new TSS */
};

/* Segment type bits, SDM 3A "Code- and Data-Segment Descriptor Types". */
#define DESCRIPTOR_ACCESSED   BIT32(0)
#define DESCRIPTOR_WRITABLE   BIT32(1) /* of data; of code: readable */
#define DESCRIPTOR_CONFORMING BIT32(2)
#define DESCRIPTOR_CODE       BIT32(3)
#define DESCRIPTOR_LDT        2U
#define DESCRIPTOR_TSS16      1U
#define DESCRIPTOR_TSS32      9U
#define DESCRIPTOR_BUSY       BIT32(1) /* of a TSS */

#define SELECTOR_RPL(s)     ((s)&3U)
#define SELECTOR_LOCAL      4U
#define SELECTOR_TABLE(s)   ((s)&SELECTOR_LOCAL)
#define SELECTOR_OFFSET(s)  ((s) & ~7U)
#define SELECTOR_IS_NULL(s) (!((s) & ~3U))

static inline u32 descriptor_base(u64 raw)
{
	return (u32)(raw >> 16 & 0xffffff) | (u32)(raw >> 32 & 0xff000000);
}

static inline u32 descriptor_limit(u64 raw)
{
	u32 limit = (u32)(raw & 0xffff) | (u32)(raw >> 32 & 0xf0000);

	return raw & BIT(55) ? limit << PAGE_SHIFT | (u32)PAGE_MASK : limit;
}

/* Access rights in the format of the VMCS. */
static inline u32 descriptor_ar(u64 raw)
{
	return (u32)(raw >> 40) & 0xf0ffU;
}

static inline u32 descriptor_type(u64 raw)
{
	return descriptor_ar(raw) & AR_TYPE_MASK;
}

static inline u32 descriptor_dpl(u64 raw)
{
	return (descriptor_ar(raw) & AR_DPL_MASK) >> AR_DPL_SHIFT;
}

/* The fault becomes the outcome of the switch: false. Its error code names `selector`. */
bool task_fault(const struct task_switch *t, u8 vector, u32 selector);

/* Finds the `size` bytes at a linear address as the processor's own access to a TSS or a descriptor
 * table. False with a page fault. */
bool task_find(const struct task_switch *t, u64 linear, u32 size, u32 access,
	       struct vmx_linear *where);

/* Reads the descriptor of `selector` from the GDT or the LDT, with `vector` if it is not there. */
bool task_read_descriptor(const struct task_switch *t, u32 selector, u8 vector, u32 access,
			  struct descriptor *d);
void task_write_descriptor(const struct task_switch *t, struct descriptor *d, u64 raw);

/* A number of `size` bytes in the new TSS. */
u32 task_field(const struct task_switch *t, u32 offset, u32 size);

/* Loads LDTR and the segment registers of the new task. False with the fault of one of them. */
bool task_load_segments(const struct task_switch *t, bool is_v86);

#endif
