/*
 * Nested VMX on the host: a struct vmx_nested as the core makes it, on the fake hardware, with an
 * L2 in 64-bit mode that has a little memory, and what L2, L3 and the hardware do to it. One
 * machine at a time.
 */
#ifndef TESTS_NESTED_MACHINE_H
#define TESTS_NESTED_MACHINE_H

#include <setjmp.h>

#include "shadow-vmcs/vmx_access.h"
#include "shadow-vmcs/vmx_exits.h"
#include "shadow-vmcs/vmx_nested.h"
#include "tests/host/fake_vmx.h"

/* L2's memory, and behind it the range that L1 took for itself. */
#define L2_MEMORY    0x80000ULL
#define L1_OWN       L2_MEMORY
#define L1_OWN_END   0xa0000ULL
#define ABSENT_PAGE  0x7f000000ULL
#define L2_ABSENT    0x10000000ULL /* no memory of anybody's */
#define NESTED_WIDTH 40U

/* Where things of L2 are. */
#define L2_PML4         0x1000ULL
#define L2_PDPT         0x2000ULL
#define L2_VMXON        0x3000ULL
#define L2_VMCS(i)      (0x4000ULL + (i)*PAGE_SIZE)
#define L2_VMCSS        6U
#define L2_OPERAND      0xa000ULL
#define L2_MSR_BITMAP   0xb000ULL
#define L2_IO_BITMAP_A  0xc000ULL
#define L2_IO_BITMAP_B  0xd000ULL
#define L2_VIRTUAL_APIC 0xe000ULL
#define L2_LIST         0xf000ULL
#define L2_EPT(i)       (0x10000ULL + (i)*3 * PAGE_SIZE) /* tables that map all to itself */
#define L2_EPTS         12U
#define L3_MEMORY       0x40000ULL

struct nested_msr {
	u32 index;
	u64 value;
};

#define NESTED_MSRS 8

struct nested_machine {
	struct vmx_nested n;
	struct regs regs;
	struct fault fault;
	u32 level;
	u8 memory[L2_MEMORY] __attribute__((aligned(4096)));
	struct nested_msr msr[NESTED_MSRS]; /* those that the CPU has */
	bool nmi;          /* one comes just before the next entry to L3, which L2 must want */
	jmp_buf *on_abort; /* where a VMX abort of L2 goes; it fails the test where there is none */
};

extern struct nested_machine machine;

/* Ways of the machine. */
struct nested_ways {
	bool shadow, full, flush, no_ept;
};

/* A machine after start, L2 running, not in VMX operation. */
void nested_init(const struct nested_ways *ways);
/* Changes the ways, as the core does between two entries. */
void nested_set_ways(const struct nested_ways *ways);

/* --- What L2 does. --- */

/* Any VMX instruction, by its VM-exit instruction information and displacement, and the entry that
 * follows, to L3 or back to L2. */
enum outcome l2_executes(u32 reason, u32 info, u64 displacement);
/* A VMX instruction whose memory operand is in L2_OPERAND: VMXON, VMCLEAR, VMPTRLD. */
enum outcome l2_pointer(u32 reason, u64 pointer);
/* INVEPT or INVVPID. */
enum outcome l2_invalidate(u32 reason, u64 type, u64 first, u64 second);
/* VMWRITE and VMREAD of a row between registers; they must succeed. With shadowing those that are
 * exposed reach the shadow VMCS. */
void l2_vmwrite(int row, u64 value);
u64 l2_vmread(int row);
/* VMXON, and VMCS `i` current, in which an entry to a 64-bit L3 succeeds: with EPT and VPID i + 1
 * where L2 is offered them. */
void l2_start(u32 i);
void l2_make_vmcs(u32 i);
/* VMLAUNCH or VMRESUME. */
enum outcome l2_enter(bool launch);

/* --- What the hardware does. --- */

/* L3, which must be running, makes an exit; L1 asks whether L2 wants it and reflects it then.
 * Returns whether so. */
bool l3_exits(u32 reason, u64 qualification);
/* L3 misses in ept13 (or ept12) at an address of its own. Returns whether L2 sees that. */
bool l3_misses(u64 address, u64 access);
/* The VMCS that L3 runs on, or ran on last. */
struct fake_vmcs *l3_vmcs(void);

#endif
