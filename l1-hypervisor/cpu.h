/*
 * One physical CPU of L1: its own structure (at GS:0), descriptor tables, stack, start-up. CPU 0 is
 * the one that booted.
 */
#ifndef L1_CPU_H
#define L1_CPU_H

#include "l1-hypervisor/layout.h"
#include "l1-hypervisor/leaf/percpu.h"
#include "l1-hypervisor/leaf/types.h"

#define CPUS_MAX 16

struct tss {
	u32 reserved0;
	u64 rsp[3];
	u64 reserved1;
	u64 ist[7];
	u64 reserved2;
	u16 reserved3;
	u16 io_map;
} __attribute__((packed));

struct cpu {
	struct cpu_head head;
	u32 index;
	u32 apic_id;
	volatile bool started;
	u64 gdt[6];
	struct tss tss;
	u8 nmi_stack[1024] __attribute__((aligned(16)));
	u8 stack[L1_STACK_SIZE] __attribute__((aligned(16)));
};

static inline struct cpu *this_cpu(void)
{
	struct cpu *cpu;

	__asm__("mov %%gs:0, %0" : "=r"(cpu));
	return cpu;
}

/* The structure of CPU `index`, or NULL when there is no such CPU. */
struct cpu *cpu_get(u32 index);
u32 cpu_count(void);

/* Makes `cpu` current: GS base, GDT, TSS, IDT, and the CR4 bits that L1 needs. */
void cpu_load(struct cpu *cpu);

/* Allocates the structure of the next CPU, which counts only after cpu_commit(). Needs
 * memory_pages(). */
struct cpu *cpu_allocate(void);
void cpu_commit(void);

/* Starts all other CPUs; each calls `run`, which does not return, on its own stack once its
 * structure is current. In smp.c. */
void cpu_start_others(void (*run)(void));

/* RDMSR, WRMSR, XSETBV that may raise #GP: false when they did. */
bool rdmsr_safe(u32 msr, u64 *value);
bool wrmsr_safe(u32 msr, u64 value);
bool xsetbv_safe(u32 index, u64 value);

#endif
