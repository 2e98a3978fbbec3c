/*
 * What the parts of kvmclient share: the machine, and the way to end with a sentence. The machine
 * has memory, one virtual CPU, two serial lines (output only) and the exit ports; interrupt
 * controllers and timer are KVM's. Assumes Linux 4.14 or later; anything that KVM refuses ends the
 * client, since a machine without it would measure something else.
 */
#ifndef KVMCLIENT_CLIENT_H
#define KVMCLIENT_CLIENT_H

#include <linux/kvm.h>

#include "guests/kvmclient/uart.h"
#include "l1-hypervisor/leaf/types.h"
#include "l1-hypervisor/loader.h"

#define ONE_MIB (1ULL << 20)

struct machine {
	int kvm, vm, vcpu;
	struct kvm_run *run;
	u64 memory_size;
	struct uart com1, com2;
	bool ended; /* by the guest, at an exit port */
	bool good;
};

/* Ends the client with a sentence on standard error. */
__attribute__((noreturn, format(printf, 1, 2))) void fail(const char *format, ...);

/* ioctl() that must succeed; `what` completes "KVM refuses ...". */
int kvm_call(int fd, unsigned long request, const void *argument, const char *what);

/* The guest's memory as L1's loader wants to reach it; NULL outside of it. */
void *memory_at(u64 address, u64 length);

/* Makes a machine with `memory_size` bytes of zeroed memory, with all features that KVM offers. */
void machine_make(struct machine *m, u64 memory_size);

/* Runs the machine until it ends by an exit port, or fails. */
void machine_run(struct machine *m);

/* Loads an image and its modules as Nestbed does, and sets the CPU's registers for its entry.
 * `arguments`: file, words, file, words, ..., NULL; the first pair is the image. */
enum load_mode load_image(struct machine *m, char **arguments);

/* Does the access to ports that the run area describes. */
void ports_serve(struct machine *m);

/* Prints KVM's own counters of the virtual CPU that are not zero, one line each. */
void statistics_print(const struct machine *m);

#endif
