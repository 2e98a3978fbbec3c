/*
 * Instructions that exit always or by a control, what each says, that they do not exit without the
 * control, and what comes before the exit. SDM 3C "Instructions That Cause VM Exits" (26.1).
 */
#include "guests/vmx-exit/exit_case.h"
#include "guests/lib/segments.h"
#include "l1-hypervisor/leaf/insn.h"

#define SOME_ADDRESS 0x3456789abcULL
#define LOW_ADDRESS  0x12345678ULL

static u8 buffer[PAGE_SIZE] __attribute__((aligned(4096)));
#define BUFFER ((u64)buffer)

CODE(x_cpuid, 64, "cpuid" INNER_DONE);
CODE(x_hlt, 64, "hlt" INNER_DONE);
CODE(x_invd, 64, "invd" INNER_DONE);
CODE(x_wbinvd, 64, "wbinvd" INNER_DONE);
CODE(x_invlpg, 64, "invlpg (%rdi)" INNER_DONE);
CODE(x_invlpg_sum, 64, "invlpg 0x10(%rdi, %rcx, 2)" INNER_DONE);
CODE(x_rdpmc, 64, "rdpmc" INNER_DONE);
CODE(x_rdtsc, 64, "rdtsc" INNER_DONE);
CODE(x_rdtscp, 64, "rdtscp" INNER_DONE);
CODE(x_vmcall, 64, "vmcall" INNER_DONE);
CODE(x_pause, 64, "pause" INNER_DONE);
CODE(x_pause_loop, 64, "1:\tpause\n\tjmp 1b");
CODE(x_monitor, 64, "monitor" INNER_DONE);
CODE(x_mwait, 64, "mwait" INNER_DONE);
CODE(x_xsetbv, 64, "xsetbv" INNER_DONE);
CODE(x_rdrand, 64, "rdrand %ebx" INNER_DONE);
CODE(x_rdrand64, 64, "rdrand %r10" INNER_DONE);
CODE(x_rdseed, 64, "rdseed %ecx" INNER_DONE);
CODE(x_invpcid, 64, "invpcid 0x10(%rdi, %rcx, 4), %rdx" INNER_DONE);
CODE(x_mov_from_dr, 64, "mov %dr7, %rbx" INNER_DONE);
CODE(x_mov_to_dr, 64, "mov %rsi, %dr2" INNER_DONE);
CODE(x_xsaves, 64, "xsaves (%rdi)\n\txrstors (%rdi)" INNER_DONE);
CODE(x_ud, 64, "ud2" INNER_DONE);

#define QUAL_DR(number, from, reg) ((number) | (from) << 4 | (reg) << 8)

static void allow_xsetbv(void)
{
	inner_set_bits(VMCS_GUEST_CR4, CR4_OSXSAVE);
}

static void allow_xsaves(void)
{
	allow_xsetbv();
	vmx_set(VMCS_XSS_BITMAP, ~0ULL);
}

static void disable_tsc(void)
{
	inner_set_bits(VMCS_GUEST_CR4, CR4_TSD);
}

static void set_pause_window(void)
{
	vmx_set(VMCS_PLE_GAP, 100);
	vmx_set(VMCS_PLE_WINDOW, 1000);
}

#define RULE_ALWAYS \
	"The following instructions cause VM exits when executed in VMX non-root operation"
#define RULE_BY(control)  "The instruction causes a VM exit if the \"" control "\" control is 1"
#define RULE_NOT(control) "The instruction does not exit if the \"" control "\" control is 0"
#define RULE_FIRST                                                                             \
	"Faults that depend on CPL, and #UD, come before VM exits that an instruction causes " \
	"by a control"
#define RULE_ENABLE(control) "If the \"" control "\" control is 0, the instruction causes #UD"

static const struct exit_case exits[] = {
	{ "CPUID exits", RULE_ALWAYS, x_cpuid, .reason = VMX_EXIT_CPUID, .length = 2 },
	{ "CPUID exits at CPL 3", RULE_ALWAYS, x_cpuid, .reason = VMX_EXIT_CPUID, .length = 2,
	  .user = true },
	{ "INVD exits", RULE_ALWAYS, x_invd, .reason = VMX_EXIT_INVD, .length = 2 },
	{ "VMCALL exits", RULE_ALWAYS, x_vmcall, .reason = VMX_EXIT_VMCALL, .length = 3 },
	{ "VMCALL exits at CPL 3", RULE_ALWAYS, x_vmcall, .reason = VMX_EXIT_VMCALL, .length = 3,
	  .user = true },
	{ "XSETBV exits", RULE_ALWAYS, x_xsetbv, .reason = VMX_EXIT_XSETBV, .length = 3,
	  .prepare = allow_xsetbv },
	{ "HLT exits", RULE_BY("HLT exiting"), x_hlt, .more.proc = PROC_HLT, .reason = VMX_EXIT_HLT,
	  .length = 1 },
	{ "INVLPG exits", RULE_BY("INVLPG exiting"), x_invlpg, .more.proc = PROC_INVLPG,
	  .reason = VMX_EXIT_INVLPG, .length = 3, .rdi = SOME_ADDRESS,
	  .qualification = SOME_ADDRESS },
	{ "INVLPG of a sum exits", "the qualification is the linear-address operand", x_invlpg_sum,
	  .more.proc = PROC_INVLPG, .reason = VMX_EXIT_INVLPG, .length = 5, .rdi = LOW_ADDRESS,
	  .rcx = 0x100, .qualification = LOW_ADDRESS + 0x210 },
	{ "RDPMC exits", RULE_BY("RDPMC exiting"), x_rdpmc, .more.proc = PROC_RDPMC,
	  .reason = VMX_EXIT_RDPMC, .length = 2 },
	{ "RDTSC exits", RULE_BY("RDTSC exiting"), x_rdtsc, .more.proc = PROC_RDTSC,
	  .reason = VMX_EXIT_RDTSC, .length = 2 },
	{ "RDTSC exits at CPL 3", RULE_BY("RDTSC exiting"), x_rdtsc, .more.proc = PROC_RDTSC,
	  .reason = VMX_EXIT_RDTSC, .length = 2, .user = true },
	{ "RDTSCP exits", RULE_BY("RDTSC exiting"), x_rdtscp, .more.proc = PROC_RDTSC,
	  .more.proc2 = PROC2_RDTSCP, .reason = VMX_EXIT_RDTSCP, .length = 3 },
	{ "PAUSE exits", RULE_BY("PAUSE exiting"), x_pause, .more.proc = PROC_PAUSE,
	  .reason = VMX_EXIT_PAUSE, .length = 2 },
	{ "PAUSE exits at CPL 3", RULE_BY("PAUSE exiting"), x_pause, .more.proc = PROC_PAUSE,
	  .reason = VMX_EXIT_PAUSE, .length = 2, .user = true },
	{ "a loop of PAUSE exits",
	  "If the \"PAUSE-loop exiting\" control is 1 and CPL = 0, a loop "
	  "of PAUSEs longer than PLE_Window exits",
	  x_pause_loop, .more.proc2 = PROC2_PAUSE_LOOP_EXITING, .reason = VMX_EXIT_PAUSE,
	  .prepare = set_pause_window },
	{ "MONITOR exits", RULE_BY("MONITOR exiting"), x_monitor, .more.proc = PROC_MONITOR,
	  .reason = VMX_EXIT_MONITOR, .length = 3, .rax = BUFFER },
	{ "MWAIT exits", RULE_BY("MWAIT exiting"), x_mwait, .more.proc = PROC_MWAIT,
	  .reason = VMX_EXIT_MWAIT, .length = 3 },
	{ "WBINVD exits", RULE_BY("WBINVD exiting"), x_wbinvd, .more.proc2 = PROC2_WBINVD,
	  .reason = VMX_EXIT_WBINVD, .length = 2 },
	{ "RDRAND exits", RULE_BY("RDRAND exiting"), x_rdrand, .more.proc2 = PROC2_RDRAND,
	  .reason = VMX_EXIT_RDRAND, .length = 3, .info = INFO_REG1(R_BX),
	  .info_mask = INFO_REG1(15) },
	{ "RDRAND of 64 bits exits", RULE_BY("RDRAND exiting"), x_rdrand64,
	  .more.proc2 = PROC2_RDRAND, .reason = VMX_EXIT_RDRAND, .length = 4,
	  .info = INFO_REG1(R_10) | BIT32(12), .info_mask = INFO_REG1(15) | BIT32(12) | BIT32(11) },
	{ "RDSEED exits", RULE_BY("RDSEED exiting"), x_rdseed, .more.proc2 = PROC2_RDSEED,
	  .reason = VMX_EXIT_RDSEED, .length = 3, .info = INFO_REG1(R_CX),
	  .info_mask = INFO_REG1(15) },
	{ "INVPCID exits", "INVPCID exits if \"enable INVPCID\" and \"INVLPG exiting\" are both 1",
	  x_invpcid, .more.proc = PROC_INVLPG, .more.proc2 = PROC2_INVPCID,
	  .reason = VMX_EXIT_INVPCID, .length = 7, .qualification = 0x10, .rdi = BUFFER, .rdx = 2,
	  .info = INFO_SCALE(2) | INFO_ADDRESS_64 | INFO_SEGMENT(SEG_DS) | INFO_INDEX(R_CX) |
		  INFO_BASE(R_DI) | INFO_REG2(R_DX),
	  .info_mask = MASK_FULL | MASK_REG2 },
	{ "MOV from DR exits", RULE_BY("MOV-DR exiting"), x_mov_from_dr, .more.proc = PROC_MOV_DR,
	  .reason = VMX_EXIT_DR_ACCESS, .length = 3, .qualification = QUAL_DR(7, 1, R_BX) },
	{ "MOV from DR exits at CPL 3",
	  "These VM exits take priority over general-protection exceptions based on privilege "
	  "level",
	  x_mov_from_dr, .more.proc = PROC_MOV_DR, .reason = VMX_EXIT_DR_ACCESS, .length = 3,
	  .qualification = QUAL_DR(7, 1, R_BX), .user = true },
	{ "MOV to DR exits", RULE_BY("MOV-DR exiting"), x_mov_to_dr, .more.proc = PROC_MOV_DR,
	  .reason = VMX_EXIT_DR_ACCESS, .length = 3, .qualification = QUAL_DR(2, 0, R_SI) },
};

static const struct exit_case no_exits[] = {
	{ "INVLPG does not exit", RULE_NOT("INVLPG exiting"), x_invlpg, NO_EXIT, .rdi = BUFFER },
	{ "RDTSC does not exit", RULE_NOT("RDTSC exiting"), x_rdtsc, NO_EXIT },
	{ "RDTSCP does not exit", RULE_NOT("RDTSC exiting"), x_rdtscp, NO_EXIT,
	  .more.proc2 = PROC2_RDTSCP },
	{ "PAUSE does not exit", RULE_NOT("PAUSE exiting"), x_pause, NO_EXIT },
	{ "WBINVD does not exit", RULE_NOT("WBINVD exiting"), x_wbinvd, NO_EXIT },
	{ "RDRAND does not exit", RULE_NOT("RDRAND exiting"), x_rdrand, NO_EXIT },
	{ "RDSEED does not exit", RULE_NOT("RDSEED exiting"), x_rdseed, NO_EXIT },
	{ "INVPCID does not exit", RULE_NOT("INVLPG exiting"), x_invpcid, NO_EXIT,
	  .more.proc2 = PROC2_INVPCID, .rdi = BUFFER, .rdx = 2 },
	{ "XSAVES and XRSTORS do not exit",
	  "XSAVES exits if EDX:EAX & IA32_XSS & XSS-exiting bitmap is not 0", x_xsaves, NO_EXIT,
	  .more.proc2 = PROC2_XSAVES, .rax = 1, .rdi = BUFFER, .prepare = allow_xsaves },
	{ "MOV from DR does not exit", RULE_NOT("MOV-DR exiting"), x_mov_from_dr, NO_EXIT },
	{ "MOV to DR does not exit", RULE_NOT("MOV-DR exiting"), x_mov_to_dr, NO_EXIT },
};

static const struct exit_case faults[] = {
	{ "HLT at CPL 3 is #GP", RULE_FIRST, x_hlt, RAISES_GP, .more.proc = PROC_HLT,
	  .user = true },
	{ "INVD at CPL 3 is #GP", RULE_FIRST, x_invd, RAISES_GP, .user = true },
	{ "WBINVD at CPL 3 is #GP", RULE_FIRST, x_wbinvd, RAISES_GP, .more.proc2 = PROC2_WBINVD,
	  .user = true },
	{ "INVLPG at CPL 3 is #GP", RULE_FIRST, x_invlpg, RAISES_GP, .more.proc = PROC_INVLPG,
	  .user = true },
	{ "XSETBV without CR4.OSXSAVE is #UD", RULE_FIRST, x_xsetbv, RAISES_UD },
	{ "RDTSC with CR4.TSD at CPL 3 is #GP", RULE_FIRST, x_rdtsc, RAISES_GP,
	  .more.proc = PROC_RDTSC, .user = true, .prepare = disable_tsc },
	{ "RDTSCP not enabled is #UD", RULE_ENABLE("enable RDTSCP"), x_rdtscp, RAISES_UD },
	{ "RDTSCP not enabled is #UD before it exits", RULE_ENABLE("enable RDTSCP"), x_rdtscp,
	  RAISES_UD, .more.proc = PROC_RDTSC },
	{ "INVPCID not enabled is #UD", RULE_ENABLE("enable INVPCID"), x_invpcid, RAISES_UD },
	{ "INVPCID not enabled is #UD before it exits", RULE_ENABLE("enable INVPCID"), x_invpcid,
	  RAISES_UD, .more.proc = PROC_INVLPG },
	{ "XSAVES not enabled is #UD", RULE_ENABLE("enable XSAVES/XRSTORS"), x_xsaves, RAISES_UD,
	  .rax = 1, .rdi = BUFFER, .prepare = allow_xsetbv },
	{ "UD2 is #UD", "an exception by the bitmap", x_ud, RAISES_UD },
};

static u32 count(void)
{
	return ARRAY_SIZE(exits) + ARRAY_SIZE(no_exits) + ARRAY_SIZE(faults);
}

static void run(void)
{
	exit_cases_run(exits, ARRAY_SIZE(exits));
	exit_cases_run(no_exits, ARRAY_SIZE(no_exits));
	exit_cases_run(faults, ARRAY_SIZE(faults));
}

const struct suite insns_suite = { count, run };
