/*
 * The access profiles; see vmx_profile.h. Those with a name are straight code made from one list,
 * so that what is measured is the accesses; the counted ones go through a table.
 */
#include "guests/hv/vmx_profile.h"

#include "guests/lib/vmx.h"
#include "l1-hypervisor/leaf/string.h"

#define MINIMAL_READS(X)  X(EXIT_REASON) X(EXIT_INSN_LENGTH) X(GUEST_RIP)
#define MINIMAL_WRITES(X) X(GUEST_RIP)

/* Linux 6.1's KVM, one CPUID exit of a guest with EPT. */
#define KVM_READS(X)              \
	X(EXIT_REASON)            \
	X(EXIT_QUALIFICATION)     \
	X(EXIT_INTR_INFO)         \
	X(IDT_VECTORING_INFO)     \
	X(EXIT_INSN_LENGTH)       \
	X(GUEST_RIP)              \
	X(GUEST_RSP)              \
	X(GUEST_RFLAGS)           \
	X(GUEST_INTERRUPTIBILITY) \
	X(GUEST_CS_AR)
#define KVM_WRITES(X) X(GUEST_RIP) X(ENTRY_INTR_INFO) X(GUEST_INTERRUPTIBILITY)

/*
 * Intel HAXM's run loop: it looks at what is to be injected and at two access rights before an
 * entry, and reads the IDT-vectoring information and CS's access rights twice in a round.
 */
#define HAXM_READS_WITH(X, FAULT_ADDRESS) \
	X(ENTRY_INTR_INFO)                \
	X(GUEST_CS_AR)                    \
	X(GUEST_TR_AR)                    \
	X(EXIT_REASON)                    \
	X(GUEST_RIP)                      \
	X(IDT_VECTORING_INFO)             \
	X(EXIT_QUALIFICATION)             \
	X(EXIT_INTR_INFO)                 \
	X(EXIT_INTR_ERROR_CODE)           \
	X(IDT_VECTORING_INFO)             \
	X(EXIT_INSN_LENGTH)               \
	X(FAULT_ADDRESS)                  \
	X(GUEST_INTERRUPTIBILITY)         \
	X(GUEST_RFLAGS)                   \
	X(GUEST_RSP)                      \
	X(GUEST_CS_SELECTOR)              \
	X(GUEST_CS_BASE)                  \
	X(GUEST_CS_LIMIT)                 \
	X(GUEST_CS_AR)                    \
	X(GUEST_DS_SELECTOR)              \
	X(GUEST_DS_BASE)                  \
	X(GUEST_DS_LIMIT)                 \
	X(GUEST_DS_AR)                    \
	X(GUEST_ES_SELECTOR)              \
	X(GUEST_ES_BASE)                  \
	X(GUEST_ES_LIMIT)                 \
	X(GUEST_ES_AR)                    \
	X(GUEST_CR0)                      \
	X(CR0_MASK)                       \
	X(GUEST_CR3)                      \
	X(GUEST_CR4)                      \
	X(CR4_MASK)

#define HAXM_READS(X)     HAXM_READS_WITH(X, GUEST_PHYSICAL_ADDRESS)
#define HAXM_OFF_READS(X) HAXM_READS_WITH(X, GUEST_LINEAR_ADDRESS) /* EPT off: no such field */

/* It writes the host state before every entry; FS and GS without their bases, as on Windows. */
#define HAXM_WRITES(X)       \
	X(GUEST_TR_AR)       \
	X(HOST_RIP)          \
	X(HOST_CR3)          \
	X(HOST_CR4)          \
	X(HOST_EFER)         \
	X(HOST_PAT)          \
	X(HOST_CS_SELECTOR)  \
	X(HOST_SS_SELECTOR)  \
	X(HOST_DS_SELECTOR)  \
	X(HOST_ES_SELECTOR)  \
	X(HOST_GS_SELECTOR)  \
	X(HOST_FS_SELECTOR)  \
	X(HOST_TR_SELECTOR)  \
	X(HOST_TR_BASE)      \
	X(HOST_GDTR_BASE)    \
	X(HOST_IDTR_BASE)    \
	X(HOST_SYSENTER_CS)  \
	X(HOST_SYSENTER_EIP) \
	X(HOST_SYSENTER_ESP) \
	X(HOST_CR0)          \
	X(GUEST_RIP)

/*
 * What the counted profiles take from, the first ones first: exit information and running state,
 * then segments, tables and system registers, all of which exist with and without EPT.
 */
#define COUNTED_READS(X)            \
	X(EXIT_REASON)              \
	X(EXIT_INSN_LENGTH)         \
	X(GUEST_RIP)                \
	X(EXIT_QUALIFICATION)       \
	X(EXIT_INTR_INFO)           \
	X(IDT_VECTORING_INFO)       \
	X(GUEST_RSP)                \
	X(GUEST_RFLAGS)             \
	X(GUEST_INTERRUPTIBILITY)   \
	X(GUEST_CS_AR)              \
	X(GUEST_SS_AR)              \
	X(GUEST_CR0)                \
	X(GUEST_CR3)                \
	X(GUEST_CR4)                \
	X(GUEST_CS_SELECTOR)        \
	X(GUEST_CS_BASE)            \
	X(GUEST_CS_LIMIT)           \
	X(GUEST_SS_SELECTOR)        \
	X(GUEST_SS_BASE)            \
	X(GUEST_SS_LIMIT)           \
	X(GUEST_DS_SELECTOR)        \
	X(GUEST_DS_BASE)            \
	X(GUEST_DS_LIMIT)           \
	X(GUEST_DS_AR)              \
	X(GUEST_ES_SELECTOR)        \
	X(GUEST_ES_BASE)            \
	X(GUEST_ES_LIMIT)           \
	X(GUEST_ES_AR)              \
	X(GUEST_FS_SELECTOR)        \
	X(GUEST_FS_BASE)            \
	X(GUEST_FS_LIMIT)           \
	X(GUEST_FS_AR)              \
	X(GUEST_GS_SELECTOR)        \
	X(GUEST_GS_BASE)            \
	X(GUEST_GS_LIMIT)           \
	X(GUEST_GS_AR)              \
	X(GUEST_LDTR_SELECTOR)      \
	X(GUEST_LDTR_BASE)          \
	X(GUEST_LDTR_LIMIT)         \
	X(GUEST_LDTR_AR)            \
	X(GUEST_TR_SELECTOR)        \
	X(GUEST_TR_BASE)            \
	X(GUEST_TR_LIMIT)           \
	X(GUEST_TR_AR)              \
	X(GUEST_GDTR_BASE)          \
	X(GUEST_GDTR_LIMIT)         \
	X(GUEST_IDTR_BASE)          \
	X(GUEST_IDTR_LIMIT)         \
	X(GUEST_DR7)                \
	X(GUEST_DEBUGCTL)           \
	X(GUEST_SYSENTER_CS)        \
	X(GUEST_SYSENTER_ESP)       \
	X(GUEST_SYSENTER_EIP)       \
	X(GUEST_EFER)               \
	X(GUEST_PAT)                \
	X(GUEST_ACTIVITY)           \
	X(GUEST_PENDING_DEBUG)      \
	X(EXIT_INSN_INFO)           \
	X(EXIT_INTR_ERROR_CODE)     \
	X(IDT_VECTORING_ERROR_CODE) \
	X(GUEST_LINEAR_ADDRESS)     \
	X(CR0_MASK)                 \
	X(CR4_MASK)                 \
	X(CR0_SHADOW)

/* Only fields that no guest changes by itself, so that writing back what hv knows is right. */
#define COUNTED_WRITES(X)       \
	X(GUEST_RIP)            \
	X(ENTRY_INTR_INFO)      \
	X(HOST_CR3)             \
	X(HOST_CR4)             \
	X(HOST_CR0)             \
	X(HOST_RIP)             \
	X(HOST_RSP)             \
	X(HOST_FS_BASE)         \
	X(HOST_GS_BASE)         \
	X(HOST_TR_BASE)         \
	X(HOST_GDTR_BASE)       \
	X(HOST_IDTR_BASE)       \
	X(HOST_CS_SELECTOR)     \
	X(HOST_SS_SELECTOR)     \
	X(HOST_DS_SELECTOR)     \
	X(HOST_ES_SELECTOR)     \
	X(HOST_FS_SELECTOR)     \
	X(HOST_GS_SELECTOR)     \
	X(HOST_TR_SELECTOR)     \
	X(HOST_SYSENTER_CS)     \
	X(HOST_SYSENTER_ESP)    \
	X(HOST_SYSENTER_EIP)    \
	X(HOST_EFER)            \
	X(HOST_PAT)             \
	X(PIN_CONTROLS)         \
	X(PROC_CONTROLS)        \
	X(PROC_CONTROLS2)       \
	X(EXIT_CONTROLS)        \
	X(EXCEPTION_BITMAP)     \
	X(PF_ERROR_MASK)        \
	X(PF_ERROR_MATCH)       \
	X(CR3_TARGET_COUNT)     \
	X(CR0_MASK)             \
	X(CR4_MASK)             \
	X(MSR_BITMAP)           \
	X(IO_BITMAP_A)          \
	X(IO_BITMAP_B)          \
	X(EXIT_MSR_STORE_COUNT) \
	X(EXIT_MSR_LOAD_COUNT)  \
	X(ENTRY_MSR_LOAD_COUNT)

#define READ_FIELD(NAME)  fields->f[F_##NAME] = vmx_get(VMCS_##NAME);
#define WRITE_FIELD(NAME) vmx_set(VMCS_##NAME, fields->f[F_##NAME]);
#define ACCESS(NAME)      { F_##NAME, VMCS_##NAME },

#define DEFINE_PROFILE(name, READS, WRITES)                                                    \
	static void name##_read(const struct vmx_profile *profile, struct vmcs_fields *fields) \
	{                                                                                      \
		(void)profile;                                                                 \
		READS(READ_FIELD)                                                              \
	}                                                                                      \
	static void name##_write(const struct vmx_profile *profile,                            \
				 const struct vmcs_fields *fields)                             \
	{                                                                                      \
		(void)profile;                                                                 \
		WRITES(WRITE_FIELD)                                                            \
	}                                                                                      \
	static const struct vmx_access name##_reads[] = { READS(ACCESS) };                     \
	static const struct vmx_access name##_writes[] = { WRITES(ACCESS) };

DEFINE_PROFILE(minimal, MINIMAL_READS, MINIMAL_WRITES)
DEFINE_PROFILE(kvm, KVM_READS, KVM_WRITES)
DEFINE_PROFILE(haxm, HAXM_READS, HAXM_WRITES)
DEFINE_PROFILE(haxm_off, HAXM_OFF_READS, HAXM_WRITES)

static const struct vmx_access counted_reads[] = { COUNTED_READS(ACCESS) };
static const struct vmx_access counted_writes[] = { COUNTED_WRITES(ACCESS) };

static void counted_read(const struct vmx_profile *profile, struct vmcs_fields *fields)
{
	for (u32 i = 0; i < profile->reads; i++)
		fields->f[counted_reads[i].row] = vmx_get(counted_reads[i].encoding);
}

static void counted_write(const struct vmx_profile *profile, const struct vmcs_fields *fields)
{
	for (u32 i = 0; i < profile->writes; i++)
		vmx_set(counted_writes[i].encoding, fields->f[counted_writes[i].row]);
}

struct variant {
	void (*read)(const struct vmx_profile *profile, struct vmcs_fields *fields);
	void (*write)(const struct vmx_profile *profile, const struct vmcs_fields *fields);
	const struct vmx_access *read_list, *write_list;
	u32 reads, writes;
};

#define VARIANT(name)                                                                             \
	{                                                                                         \
		name##_read, name##_write, name##_reads, name##_writes, ARRAY_SIZE(name##_reads), \
			ARRAY_SIZE(name##_writes)                                                 \
	}

static const struct named {
	const char *name;
	struct variant ept_off, ept_on;
} named_profiles[] = {
	{ "minimal", VARIANT(minimal), VARIANT(minimal) },
	{ "kvm", VARIANT(kvm), VARIANT(kvm) },
	{ "haxm", VARIANT(haxm_off), VARIANT(haxm) },
};

static void fill(struct vmx_profile *profile, const struct variant *from)
{
	profile->read = from->read;
	profile->write = from->write;
	profile->reads = from->reads;
	profile->writes = from->writes;
	profile->write_list = from->write_list;
	for (u32 i = 0; i < from->reads; i++)
		profile->reads_row[from->read_list[i].row] = true;
	for (u32 i = 0; i < from->writes; i++)
		profile->writes_row[from->write_list[i].row] = true;
}

static const char *counted(const char *name, struct vmx_profile *profile)
{
	struct variant v = { .read = counted_read,
			     .write = counted_write,
			     .read_list = counted_reads,
			     .write_list = counted_writes };
	const char *refused = profile_counts(name, &v.reads, &v.writes);

	if (!refused)
		fill(profile, &v);
	return refused;
}

_Static_assert(ARRAY_SIZE(counted_reads) == PROFILE_READS_MAX, "as many as a name can ask for");
_Static_assert(ARRAY_SIZE(counted_writes) == PROFILE_WRITES_MAX, "as many as a name can ask for");
_Static_assert(ARRAY_SIZE(kvm_reads) == 10 && ARRAY_SIZE(kvm_writes) == 3, "as measured");
_Static_assert(ARRAY_SIZE(haxm_reads) == 32 && ARRAY_SIZE(haxm_writes) == 21, "as measured");

const char *vmx_profile_find(const char *name, bool ept, struct vmx_profile *profile)
{
	memset(profile, 0, sizeof(*profile));
	snprintf(profile->name, sizeof(profile->name), "%s", name);
	for (size_t i = 0; i < ARRAY_SIZE(named_profiles); i++) {
		const struct named *n = &named_profiles[i];

		if (!strcmp(name, n->name)) {
			fill(profile, ept ? &n->ept_on : &n->ept_off);
			return NULL;
		}
	}
	return counted(name, profile);
}

void vmx_profile_prepare(const struct vmx_profile *profile, struct vmcs_fields *fields)
{
	for (u32 i = 0; i < profile->writes; i++) {
		const struct vmx_access *a = &profile->write_list[i];

		fields->f[a->row] = vmx_get(a->encoding);
	}
}
