/*
 * From the loader's registers to main(), and the end of the guest; see guest.h.
 */
#include "guests/lib/guest.h"
#include "guests/lib/exceptions.h"
#include "guests/lib/print.h"
#include "guests/lib/segments.h"
#include "guests/lib/serial.h"
#include "guests/lib/timer.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/nestbed_abi.h"
#include "l1-hypervisor/leaf/string.h"

#define HEADER_FLAGS (u32)(MULTIBOOT_WANTS_PAGE_ALIGN | MULTIBOOT_WANTS_MEMORY)
#define MEBIBYTE     0x100000ULL

/* Called by start.S only. */
_Noreturn void guest_start(u32 magic, const struct multiboot_info *info);

extern const char guest_end[];

extern const u32 guest_header[3];

/* Without addresses: an ELF image carries its own. */
const u32 guest_header[3] __attribute__((section(".multiboot"), used)) = {
	MULTIBOOT_HEADER_MAGIC,
	HEADER_FLAGS,
	-(MULTIBOOT_HEADER_MAGIC + HEADER_FLAGS),
};

static const void *low_pointer(u32 address)
{
	return (const void *)(u64)address;
}

static const char *text_at(u32 address)
{
	return address ? low_pointer(address) : "";
}

/* Modules and their strings may lie anywhere: free memory begins behind all of them. */
static u64 end_of_used(const struct multiboot_info *info, const struct guest_args *args)
{
	u64 end = (u64)guest_end;
	u64 words_end = (u64)args->words + strlen(args->words) + 1;
	u64 list_end = info->mods_addr + args->module_count * sizeof(*args->modules);

	if (words_end > end)
		end = words_end;
	if (args->module_count && list_end > end)
		end = list_end;
	for (u32 i = 0; i < args->module_count; i++) {
		const char *text = text_at(args->modules[i].text);

		if (args->modules[i].end > end)
			end = args->modules[i].end;
		if ((u64)text + strlen(text) + 1 > end)
			end = (u64)text + strlen(text) + 1;
	}
	return ALIGN_UP(end, PAGE_SIZE);
}

_Noreturn void guest_start(u32 magic, const struct multiboot_info *info)
{
	struct guest_args args = { .words = "" };

	segments_init();
	exceptions_init();
	serial_init();
	timer_off();
	if (magic != MULTIBOOT_BOOT_MAGIC)
		guest_fail("not started by a Multiboot 1 loader");
	if (info->flags & MULTIBOOT_INFO_CMDLINE)
		args.words = text_at(info->cmdline);
	if (info->flags & MULTIBOOT_INFO_MODULES) {
		args.modules = low_pointer(info->mods_addr);
		args.module_count = info->mods_count;
	}
	args.free_start = end_of_used(info, &args);
	args.free_end = args.free_start;
	if (info->flags & MULTIBOOT_INFO_MEMORY)
		args.free_end = ALIGN_DOWN(MEBIBYTE + info->mem_upper * 1024ULL, PAGE_SIZE);
	guest_exit((u32)main(&args));
}

static size_t word_length(const char *text)
{
	size_t n = 0;

	while (text[n] && text[n] != ' ')
		n++;
	return n;
}

const struct multiboot_module *guest_module(const struct guest_args *args, const char *name)
{
	size_t length = strlen(name);

	for (u32 i = 0; i < args->module_count; i++) {
		const char *text = text_at(args->modules[i].text);

		if (word_length(text) == length && !memcmp(text, name, length))
			return &args->modules[i];
	}
	return NULL;
}

const char *guest_module_words(const struct multiboot_module *module)
{
	const char *text = text_at(module->text);

	text += word_length(text);
	while (*text == ' ')
		text++;
	return text;
}

_Noreturn void guest_exit(u32 status)
{
	serial_drain();
	outl(NB_PORT_QEMU_EXIT, status);
	for (const char *c = status ? "Shutdown" : "D"; *c; c++)
		outb(NB_PORT_BOCHS_EXIT, (u8)*c);
	for (;;)
		__asm__ volatile("cli; hlt");
}

_Noreturn void guest_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	guest_printf("# ");
	guest_vprintf(format, args);
	guest_printf("\n");
	va_end(args);
	guest_exit(1);
}
