/*
 * The two programs of the Linux guest that a shell cannot be: `init`, the first process, which
 * notes the time stamp counter before anything else happens in user space and then becomes the
 * session script; and `leave STATUS`, which ends the machine as the project's other guests do, once
 * the serial line is drained. Static and without a C library, so that starting it costs nothing.
 */
#include <asm/unistd.h>

#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/nestbed_abi.h"
#include "l1-hypervisor/leaf/types.h"

#define COM1_LINE_STATUS  0x3fd
#define LINE_STATUS_EMPTY 0x60
#define IOPL_ALL          3
#define TCSBRK            0x5409 /* with an argument of 1: wait until all output is sent */
#define TICKS_VARIABLE    "USER_TICKS="
#define DIGITS_MAX        20

__attribute__((noreturn, used)) void start(const u64 *stack);

/* The kernel enters with the argument count at RSP. */
__asm__(".globl _start\n_start:\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall start\n");

static long system_call(long number, long a, long b, long c)
{
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return result;
}

/* Writes `value` in decimal digits. */
static void put_decimal(char *text, u64 value)
{
	u64 scale = 1;

	while (value / scale >= 10)
		scale *= 10;
	for (; scale; scale /= 10)
		*text++ = (char)('0' + value / scale % 10);
	*text = 0;
}

__attribute__((noreturn)) static void become_session(void)
{
	static char ticks[sizeof(TICKS_VARIABLE) + DIGITS_MAX] = TICKS_VARIABLE;
	static const char *const environment[] = { ticks, "PATH=/bin", "HOME=/", "TERM=dumb",
						   NULL };
	static const char *const arguments[] = { "sh", "/etc/session", NULL };

	put_decimal(ticks + sizeof(TICKS_VARIABLE) - 1, rdtsc());
	system_call(__NR_execve, (long)"/bin/busybox", (long)arguments, (long)environment);
	system_call(__NR_exit, 1, 0, 0);
	__builtin_unreachable();
}

__attribute__((noreturn)) static void leave(u32 status)
{
	system_call(__NR_ioctl, 1, TCSBRK, 1);
	if (system_call(__NR_iopl, IOPL_ALL, 0, 0) == 0) {
		while ((inb(COM1_LINE_STATUS) & LINE_STATUS_EMPTY) != LINE_STATUS_EMPTY)
			cpu_relax();
		outl(NB_PORT_QEMU_EXIT, status);
		for (const char *c = status ? "Shutdown" : "D"; *c; c++)
			outb(NB_PORT_BOCHS_EXIT, (u8)*c);
	}
	for (;;)
		system_call(__NR_pause, 0, 0, 0);
}

/* Whether a path ends in "leave". The kernel gives `init` arguments of its own. */
static bool is_leave(const char *path)
{
	const char *name = path;

	for (; *path; path++) {
		if (*path == '/')
			name = path + 1;
	}
	return name[0] == 'l';
}

void start(const u64 *stack)
{
	const char *const *arguments = (const char *const *)(stack + 1);

	if (!is_leave(arguments[0]))
		become_session();
	leave(stack[0] > 1 ? (u32)(arguments[1][0] - '0') : 0);
}
