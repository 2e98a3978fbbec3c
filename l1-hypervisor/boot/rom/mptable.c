/*
 * The table by which an operating system without ACPI finds CPUs and interrupt lines:
 * "MultiProcessor Specification version 1.4", "MP Configuration Table" (4). One ISA bus, one I/O
 * APIC; the timer (IRQ 0) arrives at its input 2, as on every PC.
 */
#include "l1-hypervisor/boot/rom/rom.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/string.h"

#define LOCAL_APIC      0xfee00000U
#define LOCAL_APIC_VER  (*(volatile u32 *)(LOCAL_APIC + 0x30))
#define IO_APIC         0xfec00000U
#define IO_APIC_SELECT  (*(volatile u32 *)IO_APIC)
#define IO_APIC_WINDOW  (*(volatile u32 *)(IO_APIC + 0x10))
#define IO_APIC_VERSION 1

#define ISA_BUS     0
#define ISA_IRQS    16
#define ALL_APICS   0xff
#define CPU_ENABLED 1
#define CPU_BSP     2
#define SPEC_1_4    4

/* The BIOS data area's segment of the extended one and KiB of base memory; see rom.lds. */
extern volatile u16 bda_ebda_segment, bda_base_memory;

enum entry_type { ENTRY_CPU, ENTRY_BUS, ENTRY_IO_APIC, ENTRY_INTERRUPT, ENTRY_LOCAL_INTERRUPT };
enum interrupt_type { INTERRUPT_VECTORED, INTERRUPT_NMI, INTERRUPT_SMI, INTERRUPT_EXTINT };

struct floating_pointer {
	char signature[4];
	u32 table;
	u8 length, revision, checksum, features[5];
};

struct table {
	char signature[4];
	u16 length;
	u8 revision, checksum;
	char oem[8], product[12];
	u32 oem_table;
	u16 oem_size, entries;
	u32 local_apic;
	u32 extended;
};

struct cpu_entry {
	u8 type, id, version, flags;
	u32 signature, features, reserved[2];
};

struct bus_entry {
	u8 type, id;
	char name[6];
};

struct io_apic_entry {
	u8 type, id, version, flags;
	u32 address;
};

struct interrupt_entry {
	u8 type, kind;
	u16 flags;
	u8 bus, irq, apic, pin;
};

static u8 checksum(const void *data, u32 length)
{
	const u8 *bytes = data;
	u8 sum = 0;

	while (length--)
		sum = (u8)(sum + *bytes++);
	return (u8)-sum;
}

static void append(struct table *table, const void *entry, u16 length)
{
	memcpy((u8 *)table + table->length, entry, length);
	table->length = (u16)(table->length + length);
	table->entries++;
}

static void append_interrupt(struct table *table, enum entry_type type, enum interrupt_type kind,
			     u8 irq, u8 apic, u8 pin)
{
	struct interrupt_entry entry = { .type = (u8)type,
					 .kind = (u8)kind,
					 .bus = ISA_BUS,
					 .irq = irq,
					 .apic = apic,
					 .pin = pin };

	append(table, &entry, sizeof(entry));
}

static void append_cpus(struct table *table, u32 cpus)
{
	struct cpuid_regs id = cpuid(1, 0);

	for (u32 i = 0; i < cpus; i++) {
		struct cpu_entry cpu = { .type = ENTRY_CPU,
					 .id = (u8)i,
					 .version = (u8)LOCAL_APIC_VER,
					 .flags = i ? CPU_ENABLED : CPU_ENABLED | CPU_BSP,
					 .signature = id.eax & 0xfff,
					 .features = id.edx };

		append(table, &cpu, sizeof(cpu));
	}
}

static void append_io_apic(struct table *table, u8 id)
{
	struct io_apic_entry entry = {
		.type = ENTRY_IO_APIC, .id = id, .flags = 1, .address = IO_APIC
	};

	IO_APIC_SELECT = IO_APIC_VERSION;
	entry.version = (u8)IO_APIC_WINDOW;
	append(table, &entry, sizeof(entry));
}

void mptable_build(u32 cpus)
{
	struct floating_pointer *pointer = (void *)ROM_BASE_MEMORY_END;
	struct table *table = (void *)(pointer + 1);
	const struct bus_entry isa = { .type = ENTRY_BUS, .id = ISA_BUS, .name = "ISA   " };
	u8 io_apic = (u8)cpus; /* CPUs have the identifiers 0 .. cpus - 1 */

	*table = (struct table){ .signature = "PCMP",
				 .length = sizeof(*table),
				 .revision = SPEC_1_4,
				 .oem = "NESTBED ",
				 .product = "RESET ROM   ",
				 .local_apic = LOCAL_APIC };
	append_cpus(table, cpus);
	append(table, &isa, sizeof(isa));
	append_io_apic(table, io_apic);
	for (u8 irq = 0; irq < ISA_IRQS; irq++) {
		if (irq != 2) /* the cascade: no line of its own */
			append_interrupt(table, ENTRY_INTERRUPT, INTERRUPT_VECTORED, irq, io_apic,
					 irq ? irq : 2);
	}
	append_interrupt(table, ENTRY_LOCAL_INTERRUPT, INTERRUPT_EXTINT, 0, ALL_APICS, 0);
	append_interrupt(table, ENTRY_LOCAL_INTERRUPT, INTERRUPT_NMI, 0, ALL_APICS, 1);
	table->checksum = checksum(table, table->length);

	*pointer = (struct floating_pointer){ .signature = "_MP_",
					      .table = (u32)(uintptr_t)table,
					      .length = sizeof(*pointer) / 16,
					      .revision = SPEC_1_4 };
	pointer->checksum = checksum(pointer, sizeof(*pointer));
	bda_ebda_segment = ROM_BASE_MEMORY_END >> 4;
	bda_base_memory = ROM_BASE_MEMORY_END / 1024;
}
