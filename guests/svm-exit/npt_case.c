/*
 * The page and the code of tests of nested paging; see npt_case.h.
 */
#include "guests/svm-exit/npt_case.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/string.h"

#define RET 0xc3

u8 npt_page[PAGE_SIZE] __attribute__((aligned(4096)));
u8 npt_other_page[PAGE_SIZE] __attribute__((aligned(4096)));

CODE(npt_read, 64, "mov (%rdi), %al" SVM_INNER_DONE);
CODE(npt_write, 64, "mov %al, (%rdi)" SVM_INNER_DONE);
CODE(npt_call, 64, "call *%rdi" SVM_INNER_DONE);

u64 *npt_start(const char *code)
{
	/* VMRUN takes over our EFER.NXE for the nested tables. */
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NXE);
	svm_inner_reset(code);
	svm_inner_use_npt();
	svm_inner_split_npt((u64)npt_page);
	memset(npt_page, RET, PAGE_SIZE);
	svm_inner_regs.rdi = (u64)npt_page;
	return stage2_entry(&svm_inner_npt, (u64)npt_page, PAGE_SHIFT);
}

void npt_flush(void)
{
	svm_inner_vmcb.c.tlb_control = TLB_FLUSH_ALL;
	svm_inner_vmcb.c.clean = 0;
}

bool npt_faulted(u64 info1, u64 physical)
{
	struct svm_inner_exit exit;

	svm_inner_run(&exit);
	if (!svm_inner_exited(&exit, SVM_EXIT_NPF))
		return false;
	if (!(info1 & NPF_GUEST_TABLE))
		info1 |= NPF_FINAL_ADDRESS;
	/* QUIRK(qemu-7.2): a reserved bit is told without P, by the processor but not by a
	 * hypervisor that reads the tables for it. */
	if (exit.info1 & PF_RSVD)
		exit.info1 |= PF_P;
	test_equal("EXITINFO1", exit.info1, info1);
	test_equal("page of EXITINFO2, from the page",
		   (exit.info2 & ~PAGE_MASK) - (physical & ~PAGE_MASK), 0);
	return true;
}

void npt_again(const char *code)
{
	svm_inner_vmcb.s.rip = (u64)code;
	svm_inner_run_to_end();
}
