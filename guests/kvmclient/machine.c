/*
 * The machine that KVM makes: its memory, its virtual CPU with what KVM offers, and the loop that
 * runs it. See client.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "guests/kvmclient/client.h"
#include "l1-hypervisor/leaf/x86.h"

#define CPUID_ENTRIES   128
#define CPUID_1_ECX_VMX BIT(5)
#define KVM_TSS_AREA    0xfffbd000UL
#define KVM_IDENTITY    0xfffbc000ULL

static u8 *memory;
static u64 memory_size;

int kvm_call(int fd, unsigned long request, const void *argument, const char *what)
{
	int result = ioctl(fd, request, argument);

	if (result < 0)
		fail("KVM refuses %s: %s", what, strerror(errno));
	return result;
}

void *memory_at(u64 address, u64 length)
{
	if (address > memory_size || length > memory_size - address)
		return NULL;
	return memory + address;
}

/* Small pages, all present: a guest's first touch of a page is an exit to KVM, and no more. */
static void make_memory(struct machine *m)
{
	struct kvm_userspace_memory_region region = { .memory_size = m->memory_size };

	memory_size = m->memory_size;
	memory =
		mmap(NULL, memory_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		fail("there are no %llu MiB of memory for the machine",
		     (unsigned long long)(memory_size / ONE_MIB));
	madvise(memory, memory_size, MADV_NOHUGEPAGE);
	memset(memory, 0, memory_size);
	region.userspace_addr = (u64)memory;
	kvm_call(m->vm, KVM_SET_USER_MEMORY_REGION, &region, "memory");
}

static void open_kvm(struct machine *m)
{
	int version;

	m->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (m->kvm < 0 && (errno == ENOENT || errno == ENODEV || errno == ENXIO))
		fail("there is no /dev/kvm: load kvm-intel or kvm-amd on a CPU that has VMX or "
		     "SVM");
	if (m->kvm < 0)
		fail("/dev/kvm cannot be opened: %s", strerror(errno));
	version = ioctl(m->kvm, KVM_GET_API_VERSION, NULL);
	if (version != KVM_API_VERSION)
		fail("/dev/kvm speaks version %d of KVM's interface, and version %d is needed",
		     version, KVM_API_VERSION);
}

/* A list for KVM: a head and `count` entries behind it. */
static void *make_list(size_t head, size_t entry, u32 count)
{
	void *list = calloc(1, head + count * entry);

	if (!list)
		fail("there is no memory");
	return list;
}

static bool has_vmx(const struct kvm_cpuid2 *cpuid)
{
	for (u32 i = 0; i < cpuid->nent; i++) {
		if (cpuid->entries[i].function == 1)
			return cpuid->entries[i].ecx & CPUID_1_ECX_VMX;
	}
	return false;
}

/* VMX is switched on as firmware does; SVM needs nothing. */
static void enable_vmx(const struct machine *m)
{
	struct kvm_msrs *msrs = make_list(sizeof(*msrs), sizeof(msrs->entries[0]), 1);

	msrs->nmsrs = 1;
	msrs->entries[0] = (struct kvm_msr_entry){
		.index = MSR_FEATURE_CONTROL,
		.data = FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX_OUTSIDE_SMX,
	};
	kvm_call(m->vcpu, KVM_SET_MSRS, msrs, "VMX in the machine");
	free(msrs);
}

static void set_features(const struct machine *m)
{
	struct kvm_cpuid2 *cpuid =
		make_list(sizeof(*cpuid), sizeof(cpuid->entries[0]), CPUID_ENTRIES);

	cpuid->nent = CPUID_ENTRIES;
	kvm_call(m->kvm, KVM_GET_SUPPORTED_CPUID, cpuid, "its features");
	kvm_call(m->vcpu, KVM_SET_CPUID2, cpuid, "these features");
	if (has_vmx(cpuid))
		enable_vmx(m);
	free(cpuid);
}

void machine_make(struct machine *m, u64 size)
{
	const struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	const u64 identity = KVM_IDENTITY;
	size_t run_size;

	m->memory_size = size;
	open_kvm(m);
	m->vm = kvm_call(m->kvm, KVM_CREATE_VM, NULL, "a machine");
	kvm_call(m->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity, "its identity map");
	kvm_call(m->vm, KVM_SET_TSS_ADDR, (const void *)KVM_TSS_AREA, "its task state");
	kvm_call(m->vm, KVM_CREATE_IRQCHIP, NULL, "interrupt controllers");
	kvm_call(m->vm, KVM_CREATE_PIT2, &pit, "a timer");
	make_memory(m);
	m->vcpu = kvm_call(m->vm, KVM_CREATE_VCPU, NULL, "a virtual CPU");
	run_size = (size_t)kvm_call(m->kvm, KVM_GET_VCPU_MMAP_SIZE, NULL, "its run area");
	m->run = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, m->vcpu, 0);
	if (m->run == MAP_FAILED)
		fail("the virtual CPU's run area cannot be mapped");
	set_features(m);
}

/* Ends the client over an exit that no guest of ours should cause. */
__attribute__((noreturn)) static void fail_at_exit(const struct machine *m)
{
	const struct kvm_run *run = m->run;

	switch (run->exit_reason) {
	case KVM_EXIT_SHUTDOWN:
		fail("the guest ended by a triple fault");
	case KVM_EXIT_FAIL_ENTRY:
		fail("the processor refuses to enter the guest: reason 0x%llx",
		     run->fail_entry.hardware_entry_failure_reason);
	case KVM_EXIT_INTERNAL_ERROR:
		fail("KVM gave up on the guest: internal error %u", run->internal.suberror);
	default:
		fail("the machine stopped with KVM's exit reason %u", run->exit_reason);
	}
}

void machine_run(struct machine *m)
{
	while (!m->ended) {
		if (ioctl(m->vcpu, KVM_RUN, NULL) < 0 && errno != EINTR)
			fail("KVM stopped: %s", strerror(errno));
		switch (m->run->exit_reason) {
		case KVM_EXIT_IO:
			ports_serve(m);
			break;
		case KVM_EXIT_MMIO: /* nothing is there */
			memset(m->run->mmio.data, 0xff, sizeof(m->run->mmio.data));
			break;
		case KVM_EXIT_INTR:
			break;
		default:
			fail_at_exit(m);
		}
	}
}
