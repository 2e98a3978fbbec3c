/*
 * From the boot loader to the run loop: words, memory, the move to the top of RAM, the backend, the
 * other CPUs, L2's image. Everything that can be refused is refused here, in one sentence each.
 */
#include "l1-hypervisor/boot_info.h"
#include "l1-hypervisor/cpu.h"
#include "l1-hypervisor/exceptions.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/multiboot.h"
#include "l1-hypervisor/loader.h"
#include "l1-hypervisor/log.h"
#include "l1-hypervisor/memory.h"
#include "l1-hypervisor/native.h"
#include "l1-hypervisor/options.h"
#include "l1-hypervisor/panic.h"
#include "l1-hypervisor/report.h"
#include "l1-hypervisor/startup.h"
#include "l1-hypervisor/vcpu.h"

#define MIB (1ULL << 20)

__attribute__((noreturn)) void boot_main(u32 magic, u32 info);

static struct boot_info boot;
static struct options options;
static struct load_plan plan;
static struct refusal why;
static volatile u32 turn; /* which CPU makes its virtual CPU: one after the other */

static void *at(u64 address, u64 length)
{
	if (address + length < address || address + length > mapped_memory_end())
		return NULL;
	return physical(address);
}

/* What must survive the move: the image and the modules where the boot loader put them. */
static u32 busy_ranges(struct memory_range *busy)
{
	u32 count = 0;

	busy[count++] = memory_image_loaded();
	for (u32 i = 0; i < boot.module_count; i++)
		busy[count++] = (struct memory_range){ boot.module[i].start, boot.module[i].end };
	return count;
}

static void move_high_after_checks(void)
{
	struct memory_range busy[BOOT_MODULES_MAX + 1];
	struct memory_range taken;
	u32 count = busy_ranges(busy);

	if (!memory_map_take(&boot.map, options.memory * MIB, busy, count, &taken, &why))
		end_with_error(why.text);
	memory_move_high(taken, memory_map_top(&boot.map));
}

/* A CPU that L2 must not have. It stays in VMX root operation, or with GIF clear, where INIT does
 * not reach it. */
__attribute__((noreturn)) static void stay_away(void)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}

/* An application processor: ready, then waiting until L2 starts it. */
static void run_other_cpu(void)
{
	u32 index = this_cpu()->index;
	u8 vector;

	while (turn != index)
		cpu_relax();
	vcpu_create(&options);
	turn = index + 1;
	if (index >= options.cpus)
		stay_away();
	backend.wait_for_sipi(this_vcpu());
	if (startup_wait(&vector))
		backend.start_up(this_vcpu(), vector);
	else if (!backend.waits_for_sipi)
		stay_away();
	vcpu_loop();
}

static void read_input(u32 magic, u32 info)
{
	if (magic != MULTIBOOT_BOOT_MAGIC)
		end_with_error("Nestbed was not started by a Multiboot 1 boot loader");
	if (!boot_info_read(&boot, info, at, &why))
		end_with_error(why.text);
	if (!options_read(&options, boot.words, &why))
		end_with_error(why.text);
	log_enable(options.log);
}

static void choose_backend(void)
{
	static const struct backend *const backends[] = { &vmx_backend, &svm_backend };
	u32 i = 0;

	while (i < ARRAY_SIZE(backends) && !backends[i]->is_there())
		i++;
	if (i == ARRAY_SIZE(backends))
		end_with_error("this CPU has neither VMX nor SVM: run on Bochs, on QEMU's TCG with "
			       "-cpu max, or on KVM with nesting");
	backend = *backends[i];
	if (!options_suit(&options.ways, options.given, backend.vendor, &why) ||
	    !backend.probe(&options, &why))
		end_with_error(why.text);
}

static void load_l2(void)
{
	if (!load_make_plan(&plan, &boot, at, &why))
		end_with_error(why.text);
	load_apply(&plan, at);
}

void boot_main(u32 magic, u32 info)
{
	exceptions_init();
	exceptions_load();
	log_init();
	read_input(magic, info);
	move_high_after_checks();
	if (options.native) {
		load_l2();
		report_native();
		native_run(&plan);
	}
	choose_backend();
	cpu_load(cpu_allocate());
	cpu_commit();
	backend.machine_init(&boot.map);
	cpu_start_others(run_other_cpu);
	if (options.cpus > cpu_count())
		options.cpus = cpu_count();
	startup_watch(options.cpus);
	vcpu_create(&options);
	load_l2();
	backend.start(this_vcpu(), &plan);
	report_start(&options);
	turn = 1;
	vcpu_loop();
}
