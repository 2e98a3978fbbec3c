/*
 * Brings an image to life in the machine as Nestbed does: the same plan, from the same code. So
 * everything that Nestbed can boot runs here too, and finds the same machine state.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guests/kvmclient/client.h"
#include "l1-hypervisor/leaf/multiboot.h"
#include "l1-hypervisor/leaf/x86.h"

#define LOW_MEMORY         0x9f000ULL
#define FILES_AT           (16 * ONE_MIB) /* above the images' places; guests use what is behind */
#define FLAT_LIMIT         0xffffffffU
#define TYPE_CODE          0xb
#define TYPE_DATA          0x3
#define PROTECTED_SELECTOR 0x08

/* Reads all of a file to `to`. */
static void read_file(int fd, u8 *to, u64 length, const char *path)
{
	for (u64 done = 0; done < length;) {
		ssize_t now = read(fd, to + done, length - done);

		if (now <= 0)
			fail("%s cannot be read", path);
		done += (u64)now;
	}
}

/* Puts a file into memory at `at` as the boot loader's module; returns the page after it. */
static u64 add_file(struct boot_info *boot, const char *path, const char *text, u64 at)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status;
	u64 length;
	u8 *to;

	if (fd < 0 || fstat(fd, &status) < 0)
		fail("%s cannot be opened: %s", path, strerror(errno));
	length = (u64)status.st_size;
	to = memory_at(at, length);
	if (boot->module_count == BOOT_MODULES_MAX || !to)
		fail("%s does not fit into the machine: give it more memory with -m", path);
	read_file(fd, to, length, path);
	close(fd);
	boot->module[boot->module_count++] = (struct boot_module){ at, at + length, text };
	return ALIGN_UP(at + length, PAGE_SIZE);
}

static struct kvm_segment flat_segment(u16 selector, u8 type, bool is_64)
{
	return (struct kvm_segment){
		.limit = FLAT_LIMIT,
		.selector = selector,
		.type = type,
		.present = 1,
		.db = !is_64,
		.l = is_64,
		.s = 1,
		.g = 1,
	};
}

static void set_segments(struct kvm_sregs *sregs, u16 code, bool is_64)
{
	sregs->cs = flat_segment(code, TYPE_CODE, is_64);
	sregs->ds = flat_segment(code + 8, TYPE_DATA, false);
	sregs->es = sregs->fs = sregs->gs = sregs->ss = sregs->ds;
}

/* Multiboot Specification 0.6.96, "Machine state"; The Linux/x86 Boot Protocol, "64-bit Boot
 * Protocol". */
static void set_registers(const struct machine *m, const struct load_plan *plan)
{
	struct kvm_regs regs = { .rip = plan->entry, .rflags = RFLAGS_FIXED };
	struct kvm_sregs sregs = { 0 };

	kvm_call(m->vcpu, KVM_GET_SREGS, &sregs, "its registers");
	sregs.cr0 = CR0_PE | CR0_ET;
	if (plan->mode == LOAD_LONG) {
		regs.rsi = plan->info;
		set_segments(&sregs, LOAD_LONG_CS, true);
		sregs.gdt.base = plan->gdt;
		sregs.gdt.limit = (u16)plan->gdt_limit;
		sregs.cr0 |= CR0_PG;
		sregs.cr3 = plan->cr3;
		sregs.cr4 = CR4_PAE;
		sregs.efer = EFER_LME | EFER_LMA;
	} else {
		regs.rax = MULTIBOOT_BOOT_MAGIC;
		regs.rbx = plan->info;
		set_segments(&sregs, PROTECTED_SELECTOR, false);
	}
	kvm_call(m->vcpu, KVM_SET_SREGS, &sregs, "its system registers");
	kvm_call(m->vcpu, KVM_SET_REGS, &regs, "its general registers");
}

enum load_mode load_image(struct machine *m, char **arguments)
{
	static struct boot_info boot = { .words = "" };
	static struct load_plan plan;
	struct refusal why;
	u64 at = FILES_AT;

	for (; arguments[0] && arguments[1]; arguments += 2)
		at = add_file(&boot, arguments[0], arguments[1], at);
	if (!memory_map_add(&boot.map, 0, LOW_MEMORY, MEMORY_RAM, &why) ||
	    !memory_map_add(&boot.map, LOW_MEMORY, ONE_MIB - LOW_MEMORY, MEMORY_RESERVED, &why) ||
	    !memory_map_add(&boot.map, ONE_MIB, m->memory_size - ONE_MIB, MEMORY_RAM, &why) ||
	    !load_make_plan(&plan, &boot, memory_at, &why))
		fail("%s", why.text);
	load_apply(&plan, memory_at);
	set_registers(m, &plan);
	return plan.mode;
}
