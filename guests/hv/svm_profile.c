/*
 * The access profiles on SVM; see svm_profile.h. Those with a name are straight code made from one
 * list, so that what is measured is the accesses; the counted ones go through a table.
 */
#include "guests/hv/svm_profile.h"

#include "l1-hypervisor/leaf/string.h"

#define MINIMAL_READS(X) X(c.exit_code) X(s.rip)

#define MINIMAL_WRITES(X) X(s.rip)

/* Linux 6.1's KVM, one CPUID exit of a guest with nested paging. It also executes CLGI, STGI, and
 * VMLOAD and VMSAVE of the guest's state and its own. */
#define KVM_READS(X)       \
	X(s.cr2)           \
	X(s.rsp)           \
	X(s.rip)           \
	X(c.exit_code)     \
	X(c.exit_info1)    \
	X(c.exit_info2)    \
	X(c.exit_int_info) \
	X(c.next_rip)      \
	X(c.int_control)   \
	X(c.int_state)     \
	X(s.rflags)        \
	X(s.cr0)           \
	X(s.cr3)

#define KVM_WRITES(X)    \
	X(s.rsp)         \
	X(s.rip)         \
	X(s.cr2)         \
	X(c.tlb_control) \
	X(c.int_control)

/*
 * What Intel HAXM's run loop reads on VMX, in its order, where the VMCB has it. There is no list of
 * host fields to write: VMRUN saves the host's state itself.
 */
#define HAXM_READS(X)        \
	X(c.event_injection) \
	X(s.cs.attributes)   \
	X(s.tr.attributes)   \
	X(c.exit_code)       \
	X(s.rip)             \
	X(c.exit_int_info)   \
	X(c.exit_info1)      \
	X(c.exit_info2)      \
	X(c.next_rip)        \
	X(c.int_state)       \
	X(s.rflags)          \
	X(s.rsp)             \
	X(s.cs.selector)     \
	X(s.cs.base)         \
	X(s.cs.limit)        \
	X(s.ds.selector)     \
	X(s.ds.base)         \
	X(s.ds.limit)        \
	X(s.ds.attributes)   \
	X(s.es.selector)     \
	X(s.es.base)         \
	X(s.es.limit)        \
	X(s.es.attributes)   \
	X(s.cr0)             \
	X(s.cr3)             \
	X(s.cr4)

#define HAXM_WRITES(X) X(s.tr.attributes) X(s.rip)

/*
 * What the counted profiles take from, the first ones first: words of 8 bytes, exit information and
 * running state, then segments, tables, system registers, and controls.
 */
#define COUNTED_READS(X)          \
	X(c.exit_code)            \
	X(s.rip)                  \
	X(s.rflags)               \
	X(s.rsp)                  \
	X(c.exit_info1)           \
	X(c.exit_info2)           \
	X(c.exit_int_info)        \
	X(c.next_rip)             \
	X(c.int_state)            \
	X(c.event_injection)      \
	X(c.int_control)          \
	X(s.cr0)                  \
	X(s.cr2)                  \
	X(s.cr3)                  \
	X(s.cr4)                  \
	X(s.efer)                 \
	X(s.cs.selector)          \
	X(s.cs.base)              \
	X(s.ss.selector)          \
	X(s.ss.base)              \
	X(s.ds.selector)          \
	X(s.ds.base)              \
	X(s.es.selector)          \
	X(s.es.base)              \
	X(s.fs.selector)          \
	X(s.fs.base)              \
	X(s.gs.selector)          \
	X(s.gs.base)              \
	X(s.ldtr.selector)        \
	X(s.ldtr.base)            \
	X(s.tr.selector)          \
	X(s.tr.base)              \
	X(s.gdtr.selector)        \
	X(s.gdtr.base)            \
	X(s.idtr.selector)        \
	X(s.idtr.base)            \
	X(s.dr6)                  \
	X(s.dr7)                  \
	X(s.star)                 \
	X(s.lstar)                \
	X(s.cstar)                \
	X(s.sfmask)               \
	X(s.kernel_gs_base)       \
	X(s.sysenter_cs)          \
	X(s.sysenter_esp)         \
	X(s.sysenter_eip)         \
	X(s.g_pat)                \
	X(s.debugctl)             \
	X(s.br_from)              \
	X(s.br_to)                \
	X(s.last_excp_from)       \
	X(s.last_excp_to)         \
	X(c.insn_bytes_low)       \
	X(c.insn_bytes_high)      \
	X(c.asid)                 \
	X(c.nested_control)       \
	X(c.ncr3)                 \
	X(c.virt_ext)             \
	X(c.iopm_base)            \
	X(c.msrpm_base)           \
	X(c.tsc_offset)           \
	X(c.intercept_cr)         \
	X(c.intercept_exceptions) \
	X(c.intercept2)

/* Only words that no guest changes by itself while VMSAVE does not move them, and exit information,
 * so that writing back what hv knows is right. */
#define COUNTED_WRITES(X)         \
	X(s.rip)                  \
	X(c.ncr3)                 \
	X(c.nested_control)       \
	X(c.iopm_base)            \
	X(c.msrpm_base)           \
	X(c.tsc_offset)           \
	X(c.intercept_cr)         \
	X(c.intercept_exceptions) \
	X(c.intercept2)           \
	X(c.virt_ext)             \
	X(c.avic_bar)             \
	X(c.avic_backing)         \
	X(c.avic_logical)         \
	X(c.avic_physical)        \
	X(c.ghcb)                 \
	X(c.exit_info1)           \
	X(c.exit_info2)           \
	X(c.exit_int_info)        \
	X(c.exit_code)            \
	X(c.next_rip)             \
	X(c.insn_bytes_low)       \
	X(c.insn_bytes_high)      \
	X(s.fs.selector)          \
	X(s.fs.base)              \
	X(s.gs.selector)          \
	X(s.gs.base)              \
	X(s.ldtr.selector)        \
	X(s.ldtr.base)            \
	X(s.tr.selector)          \
	X(s.tr.base)              \
	X(s.star)                 \
	X(s.lstar)                \
	X(s.cstar)                \
	X(s.sfmask)               \
	X(s.kernel_gs_base)       \
	X(s.sysenter_cs)          \
	X(s.sysenter_esp)         \
	X(s.sysenter_eip)         \
	X(s.last_excp_from)       \
	X(s.last_excp_to)

#define READ_FIELD(field)  seen->field = vmcb->field;
#define WRITE_FIELD(field) vmcb->field = seen->field;
#define WORD(field)        offsetof(struct vmcb, field) / sizeof(u64),

#define DEFINE_PROFILE(name, READS, WRITES)                                                     \
	static void name##_read(const struct svm_profile *profile,                              \
				const volatile struct vmcb *vmcb, struct vmcb *seen)            \
	{                                                                                       \
		(void)profile;                                                                  \
		READS(READ_FIELD)                                                               \
	}                                                                                       \
	static void name##_write(const struct svm_profile *profile, volatile struct vmcb *vmcb, \
				 const struct vmcb *seen)                                       \
	{                                                                                       \
		(void)profile;                                                                  \
		WRITES(WRITE_FIELD)                                                             \
	}

DEFINE_PROFILE(minimal, MINIMAL_READS, MINIMAL_WRITES)
DEFINE_PROFILE(kvm, KVM_READS, KVM_WRITES)
DEFINE_PROFILE(haxm, HAXM_READS, HAXM_WRITES)

static const u16 counted_reads[] = { COUNTED_READS(WORD) };
static const u16 counted_writes[] = { COUNTED_WRITES(WORD) };

_Static_assert(ARRAY_SIZE(counted_reads) == PROFILE_READS_MAX, "as many as a name can ask for");
_Static_assert(ARRAY_SIZE(counted_writes) == PROFILE_WRITES_MAX, "as many as a name can ask for");

static void counted_read(const struct svm_profile *profile, const volatile struct vmcb *vmcb,
			 struct vmcb *seen)
{
	const volatile u64 *from = (const volatile u64 *)vmcb;
	u64 *to = (u64 *)seen;

	for (u32 i = 0; i < profile->reads; i++)
		to[counted_reads[i]] = from[counted_reads[i]];
}

static void counted_write(const struct svm_profile *profile, volatile struct vmcb *vmcb,
			  const struct vmcb *seen)
{
	const u64 *from = (const u64 *)seen;
	volatile u64 *to = (volatile u64 *)vmcb;

	for (u32 i = 0; i < profile->writes; i++)
		to[counted_writes[i]] = from[counted_writes[i]];
}

static const struct svm_profile named_profiles[] = {
	{ .name = "minimal", .read = minimal_read, .write = minimal_write },
	{ .name = "kvm", .read = kvm_read, .write = kvm_write, .entry = SVM_ENTRY_FULL },
	{ .name = "haxm", .read = haxm_read, .write = haxm_write },
};

const char *svm_profile_find(const char *name, struct svm_profile *profile)
{
	for (size_t i = 0; i < ARRAY_SIZE(named_profiles); i++) {
		if (!strcmp(name, named_profiles[i].name)) {
			*profile = named_profiles[i];
			return NULL;
		}
	}
	*profile = (struct svm_profile){ .read = counted_read, .write = counted_write };
	snprintf(profile->name, sizeof(profile->name), "%s", name);
	return profile_counts(name, &profile->reads, &profile->writes);
}
