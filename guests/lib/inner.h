/*
 * The inner guest of a conformance test: one VMCS with ordinary contents, that a test changes and
 * enters, and what an exit said. The inner guest runs at CPL 0 in 64-bit mode on our page tables,
 * segments, GDT and IDT with a stack of its own, and says by VMCALL that it is done. With an EPT it
 * is the identity map of 4 GiB.
 */
#ifndef GUESTS_LIB_INNER_H
#define GUESTS_LIB_INNER_H

#include "guests/lib/guest.h"
#include "guests/lib/segments.h"
#include "guests/lib/test.h"
#include "guests/lib/vmx.h"

/* What an entry led to. The fields behind `error` are valid when status is VMX_SUCCEED. */
struct inner_exit {
	enum vmx_status status;
	u32 error; /* VM-instruction error, when status is VMX_FAIL_VALID */
	u32 reason;
	u32 insn_length;
	u32 intr_info, intr_error;
	u32 vectoring_info, vectoring_error;
	u64 qualification;
};

/* An entry of an MSR list. */
struct inner_msr {
	u32 index, reserved;
	u64 value;
};

extern union vmx_regs inner_regs;
extern struct vmx_region inner_vmxon, inner_vmcs, inner_other_vmcs;
extern u8 inner_msr_bitmap[], inner_io_bitmap_a[], inner_io_bitmap_b[];
extern struct stage2 inner_ept;
extern const struct vmx_features *const inner_features;

/* What main() of a conformance guest does: runs the suites under the word ept=on|off. */
int inner_main(const struct guest_args *args, const struct suite *const *suites);

/* Reads the word ept=on|off; inner_main() does. */
void inner_read_words(const char *words);

/* False with ept=off: tests that need EPT are left out, as on a platform that has none. */
bool inner_with_ept(void);

/* VMXON; ends the guest when there is no VMX. Once, before everything else. */
void inner_init(void);

/*
 * A fresh VMCS, and all bitmaps zeroed, for an inner guest that starts at `code`. `more` are
 * controls beyond the usual ones, NULL for none; PROC2_EPT among them makes the EPT anew too. Ends
 * the guest when VMX does not have a control: a test must ask for what is there only.
 */
void inner_reset(const char *code, const struct vmx_controls *more);

/* VMLAUNCH the first time after inner_reset(), VMRESUME later. */
void inner_run(struct inner_exit *exit);

/* The same by force: what a test of these two instructions needs. */
void inner_launch(struct inner_exit *exit);
void inner_resume(struct inner_exit *exit);

/* Moves the inner guest behind the instruction that caused the last exit. */
void inner_skip(const struct inner_exit *exit);

/* Maps the 2 MiB around an address by 4 KiB pages in inner_ept, for a test to change one. */
void inner_split_ept(u64 address);

/* Changes bits of a field of the current VMCS. */
void inner_set_bits(u32 field, u64 bits);
void inner_clear_bits(u32 field, u64 bits);

/* Makes the inner guest start at CPL 3. */
static inline void inner_make_user(void)
{
	vmx_set(VMCS_GUEST_CS_SELECTOR, SEL_USER_CODE64);
	vmx_set(VMCS_GUEST_CS_AR, ACCESS_USER_CODE64);
	vmx_set(VMCS_GUEST_SS_SELECTOR, SEL_USER_DATA);
	vmx_set(VMCS_GUEST_SS_AR, ACCESS_USER_DATA);
}

/* Checks the exit: the entry was made, and the exit has this reason. Returns whether so. */
bool inner_exited(const struct inner_exit *exit, enum vmx_exit_reason reason);

/* inner_run() to the inner guest's VMCALL; checks that it is the next exit. */
void inner_run_to_end(void);

/* The inner guest's way to say that it is done. */
#define INNER_DONE "\n\tvmcall"

#endif
