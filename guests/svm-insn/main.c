/*
 * Conformance of the SVM instructions: where each is allowed, how each fails, what each does, every
 * form of its operand and its prefixes; the global interrupt flag, the MSRs and CPUID of SVM.
 */
#include "guests/svm-insn/insn_case.h"

int main(const struct guest_args *args)
{
	static const struct suite *const suites[] = {
		&modes_suite, &operands_suite, &prefixes_suite, &effects_suite,
		&gif_suite,   &msrs_suite,     &cpuid_suite,    NULL,
	};

	return svm_inner_main(args, suites);
}
