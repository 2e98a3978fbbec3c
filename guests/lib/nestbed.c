/*
 * Hypercalls and the CPUID signature; see nestbed.h. The one place that knows which instruction
 * makes a hypercall.
 */
#include "guests/lib/nestbed.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/string.h"

/* RAX, RBX, RCX, RDX, RSI of a hypercall. */
struct hypercall {
	u64 rax, rbx, rcx, rdx, rsi;
};

bool nestbed_is_svm(void)
{
	static enum { UNKNOWN, VMX, SVM } known;

	if (known == UNKNOWN)
		known = cpu_vendor_has_svm() ? SVM : VMX;
	return known == SVM;
}

const char *const *nestbed_access_names(void)
{
	static const char *const vmx[NESTBED_ACCESSES] = { "vmreads", "vmwrites", "vmptrlds" };
	static const char *const svm[NESTBED_ACCESSES] = { "vmloads", "vmsaves", "map_words" };

	return nestbed_is_svm() ? svm : vmx;
}

u32 nestbed_level(void)
{
	struct cpuid_regs r = cpuid(NB_CPUID_BASE, 0);

	if (r.ebx != NB_SIGNATURE_EBX || r.ecx != NB_SIGNATURE_ECX || r.edx != NB_SIGNATURE_EDX)
		return 0;
	return cpuid(NB_CPUID_INFO, 0).ebx;
}

#define HYPERCALL(mnemonic, c)                                                             \
	__asm__ volatile(mnemonic                                                          \
			 : "+a"((c)->rax), "+b"((c)->rbx), "+c"((c)->rcx), "+d"((c)->rdx), \
			   "+S"((c)->rsi)                                                  \
			 :                                                                 \
			 : "memory")

static enum nb_status call(struct hypercall *c)
{
	if (nestbed_is_svm())
		HYPERCALL("vmmcall", c);
	else
		HYPERCALL("vmcall", c);
	return (enum nb_status)c->rax;
}

enum nb_status nestbed_call(enum nb_op op)
{
	struct hypercall c = { .rax = NB_CALL((u32)op) };

	return call(&c);
}

enum nb_status nestbed_counters(struct nestbed_counters *counters)
{
	struct hypercall c = { .rax = NB_CALL((u32)NB_OP_COUNTERS) };
	enum nb_status status = call(&c);

	*counters = (struct nestbed_counters){
		.exits = c.rbx,
		.accesses = { c.rcx, c.rdx, c.rsi },
	};
	return status;
}

enum nb_status nestbed_call_text(enum nb_op op, const char *text)
{
	struct hypercall c = {
		.rax = NB_CALL((u32)op),
		.rbx = (u64)text,
		.rcx = strlen(text),
	};

	return call(&c);
}
