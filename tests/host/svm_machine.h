/*
 * A CPU with nested SVM for the host tests: L2 with a few pages of RAM at the physical addresses
 * that L1 sees them at, and the instructions and exits that drive the nested core.
 */
#ifndef TESTS_SVM_MACHINE_H
#define TESTS_SVM_MACHINE_H

#include "shadow-vmcs/svm_hw.h"
#include "shadow-vmcs/svm_nested.h"
#include "tests/host/fake_memory.h"
#include "tests/host/svm_guest.h"

/* L2's RAM: pages 0 and on hold nothing in particular, the others what their name says. */
#define RAM_BASE   0x100000ULL
#define RAM_PAGES  40U
#define PAGE_VMCB  8U  /* and the next ones */
#define PAGE_MSRPM 16U /* two */
#define PAGE_IOPM  20U /* three */
#define PAGE_NPT   24U /* the root of npt23, which maps L3's low 2 MiB to RAM_BASE's 2 MiB */

#define L1_BASE 0x40000000ULL /* L1's own pages are from here on */

struct svm_machine {
	struct svm_nested n;
	struct regs regs;
	struct fault fault;
	u32 level;
	struct svm_run run;
	struct svm_core core;
	struct svm_caps platform;
	u32 touches; /* calls of core.touch */
	bool pic_is_held;
	u8 in_service; /* at the local APIC */
};

extern struct svm_machine svm_machine;
extern u8 svm_ram[RAM_PAGES][PAGE_SIZE];

/* A machine whose platform has these features, with the ways that need none; EFER.SVME is set. */
void svm_machine_make(u32 features);

static inline pa2_t svm_page(u32 page)
{
	return PA2(RAM_BASE + page * PAGE_SIZE);
}

/* The VMCB `index` of L2's, and one that passes every check put there: 64-bit code, nested paging
 * by PAGE_NPT, permission maps. */
struct vmcb *svm_vmcb_of_l2(u32 index);
struct vmcb *svm_vmcb_make(u32 index, svm_variant *variant);

/* L2 executes an instruction of SVM, at `next_rip` - 3. */
enum outcome svm_execute(u32 exit, u64 rax);
/* VMRUN of the VMCB `index`: whether L3 runs. The outcome is checked. */
bool svm_vmrun(u32 index);

/* The guest that runs exits: hardware stores this, as its manual says. */
void svm_hardware_exits(u64 code, u64 info1, u64 info2);
/* L3 exits with VMMCALL, which L2 must want, and L2 goes on. */
void svm_back_to_l2(void);

/* What must hold whenever L3 is about to run, whatever L2 has done. */
void svm_assert_safe(void);

#endif
