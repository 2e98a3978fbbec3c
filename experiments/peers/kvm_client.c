/*
 * A KVM client as small as can be: it runs one of the project's Multiboot images in a virtual
 * machine of Linux's KVM, so that KVM can be measured with the same images on the same CPU.
 *
 *   kvm_client IMAGE WORDS [MODULE TEXT]...
 *
 * Owns: memory, one virtual CPU, the first serial line (output only), the exit ports. Interrupt
 * controllers and timer are KVM's. What the guest writes appears when it has ended, so that writing
 * it does not disturb the measurement. Status: the guest's, 1 when it cannot run.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "l1-hypervisor/leaf/multiboot.h"
#include "l1-hypervisor/leaf/nestbed_abi.h"
#include "l1-hypervisor/leaf/x86.h"
#include "l1-hypervisor/loader.h"

#define MEMORY_SIZE    (96ULL << 20)
#define LOW_MEMORY     0x9f000ULL
#define ONE_MIB        (1ULL << 20)
#define FILES_AT       (16 * ONE_MIB) /* above the images' places; guests use what is behind */
#define CPUID_ENTRIES  128
#define OUTPUT_MAX     (1U << 20)
#define KVM_TSS_AREA   0xfffbd000UL
#define KVM_IDENTITY   0xfffbc000ULL
#define COM1           0x3f8
#define COM1_LINE      (COM1 + 3)
#define COM1_STATUS    (COM1 + 5)
#define COM1_LAST      (COM1 + 7)
#define STATUS_DRAINED 0x60 /* line status: everything is sent */
#define LINE_DIVISOR   0x80 /* line control: the data register is the divisor */
#define FLAT_LIMIT     0xffffffffU
#define CODE_SELECTOR  0x08
#define DATA_SELECTOR  0x10

struct machine {
	int kvm, vm, vcpu;
	struct kvm_run *run;
	bool ended;
	bool good;
	u8 line_control;
	size_t output_length;
	char output[OUTPUT_MAX];
};

static struct machine machine;
static u8 *memory;

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "kvm_client: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n");
	va_end(args);
	exit(EXIT_FAILURE);
}

static int kvm_call(int fd, unsigned long request, const void *argument, const char *what)
{
	int result = ioctl(fd, request, argument);

	if (result < 0)
		fail("KVM refuses %s: %s", what, strerror(errno));
	return result;
}

static void *memory_at(u64 address, u64 length)
{
	if (address > MEMORY_SIZE || length > MEMORY_SIZE - address)
		return NULL;
	return memory + address;
}

/* Small pages, all present: a guest's first touch of a page is an exit to KVM, and no more. */
static void make_memory(struct machine *m)
{
	struct kvm_userspace_memory_region region = { .memory_size = MEMORY_SIZE };

	memory =
		mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		fail("no %llu MiB of memory", MEMORY_SIZE >> 20);
	madvise(memory, MEMORY_SIZE, MADV_NOHUGEPAGE);
	memset(memory, 0, MEMORY_SIZE);
	region.userspace_addr = (u64)memory;
	kvm_call(m->vm, KVM_SET_USER_MEMORY_REGION, &region, "memory");
}

static void make_machine(struct machine *m)
{
	const struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	const u64 identity = KVM_IDENTITY;
	size_t run_size;

	m->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (m->kvm < 0)
		fail("/dev/kvm cannot be opened: %s", strerror(errno));
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
}

/* Puts a file into memory at `at` as the boot loader's module; the page after it. */
static u64 add_file(struct boot_info *boot, const char *path, const char *text, u64 at)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status;
	u64 length;

	if (fd < 0 || fstat(fd, &status) < 0)
		fail("%s cannot be opened: %s", path, strerror(errno));
	length = (u64)status.st_size;
	if (boot->module_count == BOOT_MODULES_MAX || length > MEMORY_SIZE - at)
		fail("%s does not fit into the machine", path);
	if (read(fd, memory + at, length) != (ssize_t)length)
		fail("%s cannot be read", path);
	close(fd);
	boot->module[boot->module_count++] = (struct boot_module){ at, at + length, text };
	return ALIGN_UP(at + length, PAGE_SIZE);
}

/* Loads as Nestbed does: the same plan, from the same code. */
static void load(struct load_plan *plan, char **arguments)
{
	static struct boot_info boot = { .words = "" };
	struct refusal why;
	u64 at = FILES_AT;

	for (; arguments[0] && arguments[1]; arguments += 2)
		at = add_file(&boot, arguments[0], arguments[1], at);
	if (!memory_map_add(&boot.map, 0, LOW_MEMORY, MEMORY_RAM, &why) ||
	    !memory_map_add(&boot.map, LOW_MEMORY, ONE_MIB - LOW_MEMORY, MEMORY_RESERVED, &why) ||
	    !memory_map_add(&boot.map, ONE_MIB, MEMORY_SIZE - ONE_MIB, MEMORY_RAM, &why) ||
	    !load_make_plan(plan, &boot, memory_at, &why))
		fail("%s", why.text);
	if (plan->mode != LOAD_PROTECTED)
		fail("only Multiboot images can be run");
	load_apply(plan, memory_at);
}

static struct kvm_segment flat_segment(u16 selector, u8 type)
{
	return (struct kvm_segment){
		.limit = FLAT_LIMIT,
		.selector = selector,
		.type = type,
		.present = 1,
		.db = 1,
		.s = 1,
		.g = 1,
	};
}

/* Multiboot Specification 0.6.96, "Machine state". */
static void set_registers(struct machine *m, const struct load_plan *plan)
{
	const struct kvm_regs regs = {
		.rax = MULTIBOOT_BOOT_MAGIC,
		.rbx = plan->info,
		.rip = plan->entry,
		.rflags = RFLAGS_FIXED,
	};
	struct kvm_sregs sregs = { 0 };

	kvm_call(m->vcpu, KVM_GET_SREGS, &sregs, "its registers");
	sregs.cs = flat_segment(CODE_SELECTOR, 0xb);
	sregs.ds = flat_segment(DATA_SELECTOR, 0x3);
	sregs.es = sregs.fs = sregs.gs = sregs.ss = sregs.ds;
	sregs.cr0 = CR0_PE | CR0_ET;
	kvm_call(m->vcpu, KVM_SET_SREGS, &sregs, "its system registers");
	kvm_call(m->vcpu, KVM_SET_REGS, &regs, "its general registers");
}

/* A list for KVM: a head and `count` entries behind it. */
static void *make_list(size_t head, size_t entry, u32 count)
{
	void *list = calloc(1, head + count * entry);

	if (!list)
		fail("no memory");
	return list;
}

/* All that KVM offers, VMX switched on as firmware does. */
static void set_features(struct machine *m)
{
	struct kvm_cpuid2 *cpuid =
		make_list(sizeof(*cpuid), sizeof(cpuid->entries[0]), CPUID_ENTRIES);
	struct kvm_msrs *msrs = make_list(sizeof(*msrs), sizeof(msrs->entries[0]), 1);

	cpuid->nent = CPUID_ENTRIES;
	kvm_call(m->kvm, KVM_GET_SUPPORTED_CPUID, cpuid, "its features");
	kvm_call(m->vcpu, KVM_SET_CPUID2, cpuid, "these features");
	msrs->nmsrs = 1;
	msrs->entries[0] = (struct kvm_msr_entry){
		.index = MSR_FEATURE_CONTROL,
		.data = FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX_OUTSIDE_SMX,
	};
	kvm_call(m->vcpu, KVM_SET_MSRS, msrs, "VMX in the machine");
	free(cpuid);
	free(msrs);
}

static void guest_writes(struct machine *m, u16 port, const u8 *data)
{
	if (port == COM1) {
		if (!(m->line_control & LINE_DIVISOR) && m->output_length < OUTPUT_MAX)
			m->output[m->output_length++] = (char)*data;
	} else if (port == COM1_LINE) {
		m->line_control = *data;
	} else if (port == NB_PORT_BOCHS_EXIT) {
		m->good = *data == 'D';
		m->ended = true;
	}
}

static void serve_port(struct machine *m)
{
	const struct kvm_run *run = m->run;
	u8 *data = (u8 *)m->run + run->io.data_offset;

	for (u32 i = 0; i < run->io.count; i++, data += run->io.size) {
		if (run->io.direction == KVM_EXIT_IO_OUT)
			guest_writes(m, run->io.port, data);
		else if (run->io.port == COM1_STATUS)
			*data = STATUS_DRAINED;
		else
			memset(data, run->io.port >= COM1 && run->io.port <= COM1_LAST ? 0 : 0xff,
			       run->io.size);
	}
}

static void run_machine(struct machine *m)
{
	while (!m->ended) {
		if (ioctl(m->vcpu, KVM_RUN, NULL) < 0 && errno != EINTR)
			fail("KVM stopped: %s", strerror(errno));
		switch (m->run->exit_reason) {
		case KVM_EXIT_IO:
			serve_port(m);
			break;
		case KVM_EXIT_MMIO: /* nothing is there */
			memset(m->run->mmio.data, 0xff, sizeof(m->run->mmio.data));
			break;
		case KVM_EXIT_INTR:
			break;
		default:
			fwrite(m->output, 1, m->output_length, stdout);
			fail("the machine stopped with KVM's exit reason %u", m->run->exit_reason);
		}
	}
}

int main(int count, char **arguments)
{
	static struct load_plan plan;

	if (count < 3 || count % 2 == 0)
		fail("usage: kvm_client IMAGE WORDS [MODULE TEXT]...");
	make_machine(&machine);
	load(&plan, arguments + 1);
	set_features(&machine);
	set_registers(&machine, &plan);
	run_machine(&machine);
	fwrite(machine.output, 1, machine.output_length, stdout);
	return machine.good ? EXIT_SUCCESS : EXIT_FAILURE;
}
