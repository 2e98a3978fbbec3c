/*
 * kvmclient, a KVM client as small as can be: it runs a Multiboot image or a Linux kernel in a
 * virtual machine of Linux's KVM, so that KVM can be measured with the same images on the same
 * CPU, and can be Nestbed's guest with a guest of its own, or the hypervisor below Nestbed.
 *
 *   kvmclient [-m MIB] [-l FILE] [-s] IMAGE WORDS [MODULE TEXT]...
 *
 * WORDS and TEXT begin with a name, as with every boot loader. -m: memory (96). -l: where COM2 and
 * Nestbed's log port go (nowhere). -s: KVM's counters at the end. Output of a Multiboot guest
 * appears when it has ended, so that writing it does not disturb the measurement; Linux's at once.
 * Status: 0 if the guest ended well, 1 if not or if it cannot run.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guests/kvmclient/client.h"

#define MEMORY_DEFAULT 96ULL
#define MEMORY_MIN     32ULL
#define MEMORY_MAX     3072ULL
#define OUTPUT_HELD    (4U << 20)

struct arguments {
	u64 memory;
	const char *log;
	bool statistics;
};

void fail(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	va_start(args, format);
	fprintf(stderr, "kvmclient: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n");
	va_end(args);
	exit(EXIT_FAILURE);
}

static u64 read_memory(const char *text)
{
	char *end;
	u64 mib = strtoul(text, &end, 10);

	if (!*text || *end || mib < MEMORY_MIN || mib > MEMORY_MAX)
		fail("-m %s is refused: choose %llu to %llu MiB", text, MEMORY_MIN, MEMORY_MAX);
	return mib * ONE_MIB;
}

/* Returns the index of the first argument that is no option. */
static int read_options(struct arguments *a, int count, char **words)
{
	for (int option; (option = getopt(count, words, "+m:l:s")) != -1;) {
		switch (option) {
		case 'm':
			a->memory = read_memory(optarg);
			break;
		case 'l':
			a->log = optarg;
			break;
		case 's':
			a->statistics = true;
			break;
		default:
			exit(EXIT_FAILURE);
		}
	}
	if (count - optind < 2 || (count - optind) % 2)
		fail("usage: kvmclient [-m MIB] [-l FILE] [-s] IMAGE WORDS [MODULE TEXT]...");
	return optind;
}

int main(int count, char **words)
{
	static char held[OUTPUT_HELD];
	static struct machine machine;
	struct arguments a = { .memory = MEMORY_DEFAULT * ONE_MIB, .log = "/dev/null" };
	int first = read_options(&a, count, words);

	machine.com1.output = stdout;
	machine.com2.output = fopen(a.log, "w");
	if (!machine.com2.output)
		fail("%s cannot be written: %s", a.log, strerror(errno));
	machine_make(&machine, a.memory);
	if (load_image(&machine, words + first) == LOAD_LONG)
		setvbuf(stdout, NULL, _IOLBF, 0);
	else
		setvbuf(stdout, held, _IOFBF, sizeof(held));
	machine_run(&machine);
	if (a.statistics)
		statistics_print(&machine);
	return machine.good ? EXIT_SUCCESS : EXIT_FAILURE;
}
