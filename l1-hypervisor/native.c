/*
 * The jump out of L1; see native.h.
 */
#include "l1-hypervisor/native.h"

#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/multiboot.h"
#include "l1-hypervisor/leaf/string.h"
#include "l1-hypervisor/memory.h"

extern const u8 native_trampoline[], native_trampoline_end[];
extern const u8 native_long_trampoline[], native_long_trampoline_end[];

/* Protected mode is reached through code that is mapped at its own physical address. */
__attribute__((noreturn)) static void enter_protected(const struct load_plan *plan)
{
	void *page = memory_pages(1);
	u64 address = physical_of(page).v;

	memcpy(page, native_trampoline, (u64)(native_trampoline_end - native_trampoline));
	memory_map_identity(address);
	__asm__ volatile("jmp *%%rbx"
			 :
			 : "b"(address), "D"(plan->entry), "S"(plan->info),
			   "d"((u64)MULTIBOOT_BOOT_MAGIC)
			 : "memory");
	__builtin_unreachable();
}

/* The page holds the trampoline and, in its second half, the image of GDTR. */
__attribute__((noreturn)) static void enter_long(const struct load_plan *plan)
{
	u8 *page = memory_pages(1);
	u64 address = physical_of(page).v;
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) gdtr = { (u16)plan->gdt_limit, plan->gdt };

	memcpy(page, native_long_trampoline,
	       (u64)(native_long_trampoline_end - native_long_trampoline));
	memcpy(page + PAGE_SIZE / 2, &gdtr, sizeof(gdtr));
	memory_map_identity(address);
	__asm__ volatile("jmp *%%rbx"
			 :
			 : "b"(address), "D"(plan->cr3), "S"(plan->info), "d"(plan->entry),
			   "c"(address + PAGE_SIZE / 2)
			 : "memory");
	__builtin_unreachable();
}

void native_run(const struct load_plan *plan)
{
	if (plan->mode == LOAD_PROTECTED)
		enter_protected(plan);
	enter_long(plan);
}
