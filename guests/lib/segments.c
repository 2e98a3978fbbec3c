/*
 * The guests' descriptor table and TSS; see segments.h.
 */
#include "guests/lib/segments.h"
#include "l1-hypervisor/leaf/x86.h"

#define GDT_ENTRIES (SEL_SPARE / 8 + SEL_SPARES)

/* Base 0 and limit 4 GiB; `access` as segment_descriptor() takes it. */
#define FLAT(access) \
	(0x000f00000000ffffULL | ((u64)((access)&0xff) << 40) | ((u64)((access)&0xf000) << 40))

#define ACCESS_CODE 0x9b
#define ACCESS_DATA 0x93
#define ACCESS_USER AR_DPL_MASK
#define ACCESS_TSS  0x89

#define STACK_SIZE 4096

u64 guest_gdt[GDT_ENTRIES] = {
	[SEL_CODE64 / 8] = FLAT(ACCESS_CODE | AR_L | AR_G),
	[SEL_DATA / 8] = FLAT(ACCESS_DATA | AR_DB | AR_G),
	[SEL_CODE32 / 8] = FLAT(ACCESS_CODE | AR_DB | AR_G),
	[SEL_USER_CODE32 / 8] = FLAT(ACCESS_CODE | ACCESS_USER | AR_DB | AR_G),
	[SEL_USER_DATA / 8] = FLAT(ACCESS_DATA | ACCESS_USER | AR_DB | AR_G),
	[SEL_USER_CODE64 / 8] = FLAT(ACCESS_CODE | ACCESS_USER | AR_L | AR_G),
	[SEL_CODE16 / 8] = FLAT(ACCESS_CODE),
	[SEL_DATA16 / 8] = FLAT(ACCESS_DATA),
};

struct table_pointer guest_gdt_pointer = { sizeof(guest_gdt) - 1, (u64)guest_gdt };

struct tss guest_tss;

/* For exceptions from CPL 3, and for double faults, whose own stack may be bad. */
static u8 privilege_stack[STACK_SIZE] __attribute__((aligned(16)));
static u8 double_fault_stack[STACK_SIZE] __attribute__((aligned(16)));

u64 segment_descriptor(u32 base, u32 limit, u16 access)
{
	return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)(access & 0xff) << 40 |
	       (u64)(limit >> 16 & 0xf) << 48 | (u64)(access & 0xf000) << 40 |
	       (u64)(base >> 24) << 56;
}

void segment_set(u16 selector, u64 descriptor)
{
	guest_gdt[selector / 8] = descriptor;
}

void segments_init(void)
{
	guest_tss.rsp[0] = (u64)(privilege_stack + STACK_SIZE);
	guest_tss.ist[IST_DOUBLE_FAULT - 1] = (u64)(double_fault_stack + STACK_SIZE);
	guest_tss.io_map = sizeof(guest_tss);
	segment_set(SEL_TSS,
		    segment_descriptor((u32)(u64)&guest_tss, sizeof(guest_tss) - 1, ACCESS_TSS));
	__asm__ volatile("ltr %w0" : : "r"(SEL_TSS));
}
