/*
 * Ends of L1; see panic.h.
 */
#include "l1-hypervisor/panic.h"

#include "l1-hypervisor/cpu.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/nestbed_abi.h"
#include "l1-hypervisor/leaf/string.h"
#include "l1-hypervisor/log.h"
#include "l1-hypervisor/report.h"
#include "l1-hypervisor/vcpu.h"

static bool panicking;

void end_platform(u32 status)
{
	log_begin("end");
	log_number("status", status);
	log_end();
	outl(NB_PORT_QEMU_EXIT, status);
	if (status == 0)
		outb(NB_PORT_BOCHS_EXIT, 'D');
	for (const char *c = "Shutdown"; *c; c++)
		outb(NB_PORT_BOCHS_EXIT, (u8)*c);
	for (;;)
		__asm__ volatile("cli; hlt");
}

void end_with_error(const char *sentence)
{
	log_begin("error");
	log_text("text", sentence);
	log_end();
	end_platform(1);
}

static void dump_guest(void)
{
	struct vcpu *vcpu = cpu_count() ? this_vcpu() : NULL;

	if (!vcpu)
		return;
	backend.dump(vcpu);
	trace_log(&vcpu->trace, backend.reason_name);
}

void panic(const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_panic_mode();
	log_begin("panic");
	log_text("text", text);
	log_end();
	if (!panicking) {
		panicking = true;
		dump_guest();
		report_write();
	}
	end_platform(1);
}
