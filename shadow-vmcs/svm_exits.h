/*
 * Exits of SVM by name, from svm_exits.def, their names as text, and the small number that stands
 * for an exit code in tables. Guests may use it; the dispatch tables of L1 include the .def
 * themselves.
 */
#ifndef SHADOW_VMCS_SVM_EXITS_H
#define SHADOW_VMCS_SVM_EXITS_H

#include "l1-hypervisor/leaf/types.h"

enum svm_exit {
#define SVM_EXIT(number, NAME, handler, opcode) SVM_EXIT_##NAME = (number),
#include "shadow-vmcs/svm_exits.def"
};

/* Exit codes as the VMCB holds them, where they are not an enum svm_exit. */
#define SVM_CODE_NPF                 0x400ULL
#define SVM_CODE_AVIC_INCOMPLETE_IPI 0x401ULL
#define SVM_CODE_AVIC_NOACCEL        0x402ULL
#define SVM_CODE_INVALID             (~0ULL)

/* Exits are below this: the length of tables indexed by exit. */
#define SVM_EXITS 0xb0U
/* Stands for every code that nobody knows. */
#define SVM_EXIT_UNKNOWN (SVM_EXITS - 1)
/* Codes below this are their own index, and have an intercept bit. */
#define SVM_CODES_WITH_BIT 0xa8U

/* The index of an exit code other than the plain ones. */
static inline u32 svm_exit_of_other(u64 code)
{
	switch (code) {
	case SVM_CODE_NPF:
		return SVM_EXIT_NPF;
	case SVM_CODE_AVIC_INCOMPLETE_IPI:
		return SVM_EXIT_AVIC_INCOMPLETE_IPI;
	case SVM_CODE_AVIC_NOACCEL:
		return SVM_EXIT_AVIC_NOACCEL;
	case SVM_CODE_INVALID:
	/* QUIRK(qemu-7.2): TCG stores VMEXIT_INVALID in 32 bits. */
	case (u32)SVM_CODE_INVALID:
		return SVM_EXIT_INVALID;
	default:
		return SVM_EXIT_UNKNOWN;
	}
}

/* The index of an exit code, below SVM_EXITS. */
static inline u32 svm_exit_of(u64 code)
{
	return likely(code < SVM_CODES_WITH_BIT) ? (u32)code : svm_exit_of_other(code);
}

/* The name of an exit by its index, or NULL for one without a name. */
static inline const char *svm_exit_name(u32 exit)
{
	static const char *const names[SVM_EXITS] = {
#define SVM_EXIT(number, NAME, handler, opcode) [number] = #NAME,
#include "shadow-vmcs/svm_exits.def"
	};

	return exit < SVM_EXITS ? names[exit] : NULL;
}

#endif
