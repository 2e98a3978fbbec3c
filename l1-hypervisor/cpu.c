/*
 * One CPU's structure, descriptor tables and guarded MSR accesses; see cpu.h.
 */
#include "l1-hypervisor/cpu.h"

#include "l1-hypervisor/exceptions.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/string.h"
#include "l1-hypervisor/leaf/x86.h"
#include "l1-hypervisor/memory.h"
#include "l1-hypervisor/panic.h"

static struct cpu *cpus[CPUS_MAX];
static u32 count;

struct cpu *cpu_get(u32 index)
{
	return index < count ? cpus[index] : NULL;
}

u32 cpu_count(void)
{
	return count;
}

/* A 64-bit available TSS descriptor (SDM 3A "TSS Descriptor in 64-bit mode"). */
static void set_tss_descriptor(u64 *gdt, const struct tss *tss)
{
	u64 base = (u64)tss;

	gdt[0] = (sizeof(*tss) - 1) | ((base & 0xffffff) << 16) | (0x89ULL << 40) |
		 (((base >> 24) & 0xff) << 56);
	gdt[1] = base >> 32;
}

struct cpu *cpu_allocate(void)
{
	struct cpu *cpu = memory_pages(ALIGN_UP(sizeof(*cpu), PAGE_SIZE) / PAGE_SIZE);

	assert(count < CPUS_MAX);
	cpu->head.self = cpu;
	cpu->index = count;
	cpu->gdt[SEL_CODE64 / 8] = 0x00af9b000000ffff;
	cpu->gdt[SEL_DATA / 8] = 0x00cf93000000ffff;
	cpu->gdt[SEL_CODE32 / 8] = 0x00cf9b000000ffff;
	set_tss_descriptor(&cpu->gdt[SEL_TSS / 8], &cpu->tss);
	cpu->tss.io_map = sizeof(cpu->tss);
	cpu->tss.ist[0] = (u64)cpu->nmi_stack + sizeof(cpu->nmi_stack);
	cpus[count] = cpu;
	return cpu;
}

void cpu_commit(void)
{
	count++;
}

void cpu_load(struct cpu *cpu)
{
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) gdtr = { sizeof(cpu->gdt) - 1, (u64)cpu->gdt };
	u64 cr4 = CR4_PAE;

	/* L1 executes XSETBV for L2, so it needs CR4.OSXSAVE where the CPU has it. */
	if (cpuid(1, 0).ecx & BIT(26))
		cr4 |= CR4_OSXSAVE;
	write_cr4(cr4);
	write_cr0(CR0_PE | CR0_ET | CR0_NE | CR0_WP | CR0_PG);
	__asm__ volatile("lgdt %0" : : "m"(gdtr));
	__asm__ volatile("ltr %w0" : : "r"(SEL_TSS));
	exceptions_load();
	wrmsr(MSR_GS_BASE, (u64)cpu);
}

bool rdmsr_safe(u32 msr, u64 *value)
{
	u32 lo, hi, failed = 0;

	__asm__ volatile("1: rdmsr\n"
			 "jmp 3f\n"
			 "2: mov $1, %2\n"
			 "3:\n" EXCEPTION_FIXUP("1b", "2b")
			 : "=a"(lo), "=d"(hi), "+r"(failed)
			 : "c"(msr)
			 : "memory");
	*value = ((u64)hi << 32) | lo;
	return !failed;
}

bool wrmsr_safe(u32 msr, u64 value)
{
	u32 failed = 0;

	__asm__ volatile("1: wrmsr\n"
			 "jmp 3f\n"
			 "2: mov $1, %0\n"
			 "3:\n" EXCEPTION_FIXUP("1b", "2b")
			 : "+r"(failed)
			 : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32))
			 : "memory");
	return !failed;
}

bool xsetbv_safe(u32 index, u64 value)
{
	u32 failed = 0;

	__asm__ volatile("1: xsetbv\n"
			 "jmp 3f\n"
			 "2: mov $1, %0\n"
			 "3:\n" EXCEPTION_FIXUP("1b", "2b")
			 : "+r"(failed)
			 : "c"(index), "a"((u32)value), "d"((u32)(value >> 32))
			 : "memory");
	return !failed;
}
