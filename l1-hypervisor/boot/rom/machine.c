/*
 * What firmware leaves behind in the machine: both interrupt controllers initialized and masked,
 * and on every CPU VMX allowed and locked in IA32_FEATURE_CONTROL. The other CPUs run a few
 * real-mode instructions for that and halt until the next INIT.
 */
#include "l1-hypervisor/boot/rom/rom.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/string.h"
#include "l1-hypervisor/leaf/x86.h"

#define PIC1_COMMAND 0x20
#define PIC1_DATA    0x21
#define PIC2_COMMAND 0xa0
#define PIC2_DATA    0xa1
#define PIC_ICW1     0x11 /* edge triggered, cascaded, ICW4 follows */
#define PIC_ICW4     0x01 /* 8086 mode */
#define PIC1_VECTOR  0x08 /* as PC firmware leaves them */
#define PIC2_VECTOR  0x70
#define PIC_CASCADE  2

#define APIC_ICR_LOW          (*(volatile u32 *)0xfee00300)
#define ICR_INIT_ALL_BUT_SELF 0x000c4500U
#define ICR_SIPI_ALL_BUT_SELF 0x000c4600U
#define AP_POLLS_MAX          1000000U
#define CPUS_MAX              32U

#define CPUID1_ECX_VMX BIT(5)

static void pic_init(void)
{
	outb(PIC1_COMMAND, PIC_ICW1);
	outb(PIC1_DATA, PIC1_VECTOR);
	outb(PIC1_DATA, 1U << PIC_CASCADE);
	outb(PIC1_DATA, PIC_ICW4);
	outb(PIC2_COMMAND, PIC_ICW1);
	outb(PIC2_DATA, PIC2_VECTOR);
	outb(PIC2_DATA, PIC_CASCADE);
	outb(PIC2_DATA, PIC_ICW4);
	outb(PIC1_DATA, 0xff);
	outb(PIC2_DATA, 0xff);
}

static void start_aps(u32 expected, u32 feature_control)
{
	volatile u32 *count = (volatile u32 *)ROM_AP_COUNT;

	*(volatile u32 *)ROM_AP_FEATURE_CONTROL = feature_control;
	*count = 0;
	memcpy((void *)ROM_AP_PAGE, ap_code, (size_t)(ap_code_end - ap_code));
	APIC_ICR_LOW = ICR_INIT_ALL_BUT_SELF;
	APIC_ICR_LOW = ICR_SIPI_ALL_BUT_SELF | ROM_AP_PAGE >> PAGE_SHIFT;
	for (u32 i = 0; *count < expected; i++) {
		if (i == AP_POLLS_MAX)
			rom_fail("The machine has fewer CPUs than its boot disk says.");
		cpu_relax();
	}
}

void machine_init(u32 cpus)
{
	u32 feature_control = 0;

	if (!cpus || cpus > CPUS_MAX)
		rom_fail("The reset ROM handles 1 to 32 CPUs.");
	if (cpuid(1, 0).ecx & CPUID1_ECX_VMX) {
		feature_control = FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX_OUTSIDE_SMX;
		wrmsr(MSR_FEATURE_CONTROL, feature_control);
	}
	pic_init();
	if (cpus > 1)
		start_aps(cpus - 1, feature_control);
}
