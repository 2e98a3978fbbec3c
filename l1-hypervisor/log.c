/*
 * The log channel; see log.h. A line is collected in memory and sent whole, so that an inner
 * Nestbed's hypercall carries a whole line and lines of several CPUs stay apart.
 */
#include "l1-hypervisor/log.h"

#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/nestbed_abi.h"
#include "l1-hypervisor/leaf/string.h"
#include "l1-hypervisor/memory.h"

/* Room for a guest's longest line with every character escaped, and the names around it. */
#define LINE_SIZE (6 * NB_LINE_MAX + 512)
#define TEXT_END  (LINE_SIZE - 256)

static struct {
	char line[LINE_SIZE];
	u32 length;
	u32 depth;
	u32 lock;
	bool off;
	bool outer;
} channel __attribute__((aligned(4096))) = { .depth = 1 };

void log_init(void)
{
	struct cpuid_regs r = cpuid(NB_CPUID_BASE, 0);

	channel.outer = r.ebx == NB_SIGNATURE_EBX && r.ecx == NB_SIGNATURE_ECX &&
			r.edx == NB_SIGNATURE_EDX;
	if (channel.outer)
		channel.depth = cpuid(NB_CPUID_INFO, 0).ebx;
}

void log_enable(bool on)
{
	channel.off = !on;
}

u32 log_depth(void)
{
	return channel.depth;
}

static void put(char c)
{
	if (channel.length < LINE_SIZE - 2)
		channel.line[channel.length++] = c;
}

static void put_text(const char *text, size_t length)
{
	for (size_t i = 0; i < length && channel.length < TEXT_END; i++) {
		u8 c = (u8)text[i];

		if (c == '"' || c == '\\') {
			put('\\');
			put((char)c);
		} else if (c < 0x20 || c > 0x7e) {
			char escape[8];

			snprintf(escape, sizeof(escape), "\\u%04x", c);
			for (const char *e = escape; *e; e++)
				put(*e);
		} else {
			put((char)c);
		}
	}
}

static void put_name(const char *name)
{
	if (channel.line[channel.length - 1] != '{')
		put(',');
	put('"');
	put_text(name, strlen(name));
	put('"');
	put(':');
}

void log_begin(const char *event)
{
	while (__atomic_exchange_n(&channel.lock, 1, __ATOMIC_ACQUIRE))
		cpu_relax();
	channel.length = 0;
	put('{');
	log_text("ev", event);
	log_number("depth", channel.depth);
}

void log_text_n(const char *name, const char *text, size_t length)
{
	put_name(name);
	put('"');
	put_text(text, length);
	put('"');
}

void log_text(const char *name, const char *text)
{
	log_text_n(name, text, strlen(text));
}

void log_number(const char *name, u64 value)
{
	char digits[24];

	put_name(name);
	snprintf(digits, sizeof(digits), "%lu", value);
	for (const char *d = digits; *d; d++)
		put(*d);
}

/* NB_OP_LOG of the outer Nestbed. */
static void send_to_outer(void)
{
	u64 status = NB_CALL(NB_OP_LOG);
	u64 address = physical_of(channel.line).v;
	u64 length = channel.length;

	if (cpu_vendor_has_svm())
		__asm__ volatile("vmmcall"
				 : "+a"(status), "+b"(address), "+c"(length)
				 :
				 : "memory");
	else
		__asm__ volatile("vmcall" : "+a"(status), "+b"(address), "+c"(length) : : "memory");
}

void log_end(void)
{
	put('}');
	if (channel.outer && !channel.off) {
		send_to_outer();
	} else if (!channel.off) {
		channel.line[channel.length++] = '\n';
		for (u32 i = 0; i < channel.length; i++)
			outb(NB_PORT_LOG, (u8)channel.line[i]);
	}
	__atomic_store_n(&channel.lock, 0, __ATOMIC_RELEASE);
}

void log_panic_mode(void)
{
	__atomic_store_n(&channel.lock, 0, __ATOMIC_RELEASE);
	channel.off = false;
}
