/*
 * What a guest may know of Nestbed: the CPUID signature, the hypercalls and the exit ports. Used by
 * L1, by the guest hypervisors and by the bench, at every depth.
 *
 * A hypercall is VMCALL (VMMCALL on AMD) at CPL 0 with RAX = NB_CALL(op) and its arguments in RBX,
 * RCX, RDX, RSI. RAX returns an enum nb_status. Any other VMCALL of L2 is #UD, as it is natively.
 * A guest hypervisor that is asked by its own guest forwards the call to its own hypervisor.
 */
#ifndef LEAF_NESTBED_ABI_H
#define LEAF_NESTBED_ABI_H

/* CPUID leaf NB_CPUID_BASE: EBX, ECX, EDX spell the signature; EAX is the highest leaf. */
#define NB_CPUID_BASE 0x40000000U
/* EAX: interface version (NB_VERSION); EBX: depth of the level that reads it (2 = L2, 3 = L3). */
#define NB_CPUID_INFO 0x40000001U

#define NB_SIGNATURE_EBX 0x7473654eU /* "Nest" */
#define NB_SIGNATURE_ECX 0x20646562U /* "bed " */
#define NB_SIGNATURE_EDX 0x2020314cU /* "L1  " */
#define NB_VERSION       1U

#define NB_CALL_MAGIC 0x4e420000U /* "NB" in the upper half of EAX */
#define NB_CALL_MASK  0xffff0000U
#define NB_CALL(op)   (NB_CALL_MAGIC | (op))

enum nb_op {
	/* Does nothing: the cheapest round trip. */
	NB_OP_NOP = 0,
	/* RBX = guest-physical address and RCX = length (at most NB_WORDS_MAX) of a text
	 * "axis=way,axis=way": switches these ways; nothing is switched when one is refused. */
	NB_OP_STRATEGY = 1,
	/* Returns RBX = hardware exits, RCX = VMREADs, RDX = VMWRITEs, RSI = VMPTRLDs that L1
	 * executed on this CPU since it started; on AMD RCX = VMLOADs, RDX = VMSAVEs, RSI = words
	 * of permission maps merged. */
	NB_OP_COUNTERS = 2,
	/* Forgets every ept13 or npt13 of this CPU, so that the next L3 runs cold. */
	NB_OP_DROP_STAGE2 = 3,
	/* RBX = guest-physical address, RCX = length (at most NB_LINE_MAX) of a line for the log.
	 */
	NB_OP_LOG = 4,
	/* Zeroes the exit table of this CPU. */
	NB_OP_STATS_RESET = 5,
};

enum nb_status {
	NB_OK = 0,
	NB_ERR_UNKNOWN = 1,    /* no such operation, axis or way */
	NB_ERR_CAPABILITY = 2, /* the platform lacks what this way needs */
	NB_ERR_ARGUMENT = 3,   /* a length or an address that cannot be used */
};

#define NB_WORDS_MAX 256
#define NB_LINE_MAX  1024

/* Exit ports. A guest writes its status (0 = good) as 32 bits to NB_PORT_QEMU_EXIT (QEMU's
 * isa-debug-exit), then to NB_PORT_BOCHS_EXIT: the byte 'D' when good, the text "Shutdown" when
 * not. */
#define NB_PORT_QEMU_EXIT  0xf4
#define NB_PORT_BOCHS_EXIT 0x8900
#define NB_PORT_LOG        0xe9

#endif
