/*
 * Prefixes that change nothing, in front of every instruction: it does what it does without them,
 * and RIP comes behind it. On a processor that saves no next RIP, a hypervisor finds the length by
 * looking at the instruction's bytes.
 */
#include "guests/svm-insn/insn_case.h"
#include "l1-hypervisor/leaf/string.h"

#define NAME_SIZE    80
#define PREFIXES_MAX 11 /* an instruction has at most 15 bytes, the opcode 3 */

struct prefix {
	const char *name;
	const char *bytes;
};

static const struct prefix prefixes[] = {
	{ "an operand-size prefix", "\x66" },
	{ "REX.W", "\x48" },
	{ "an empty REX", "\x40" },
	{ "all REX bits", "\x4f" },
	{ "a CS prefix", "\x2e" },
	{ "an SS prefix", "\x36" },
	{ "a DS prefix", "\x3e" },
	{ "an ES prefix", "\x26" },
	{ "an FS prefix", "\x64" },
	{ "a GS prefix", "\x65" },
	{ "an address-size prefix", "\x67" },
	{ "prefixes of all kinds", "\x64\x66\x67\x4f" },
	{ "eleven prefixes", "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x48" },
};

struct insn {
	const char *name;
	u8 opcode; /* behind 0F 01 */
	void *operand;
	void (*prepare)(void);
	void (*finish)(const struct exception_frame *end);
};

static const struct insn insns[] = {
	{ "VMRUN", 0xd8, &svm_inner_vmcb, insn_prepare_run, insn_ran },
	{ "VMLOAD", 0xda, &insn_vls, NULL, NULL },
	{ "VMSAVE", 0xdb, &insn_vls, NULL, NULL },
	{ "STGI", 0xdc, NULL, NULL, NULL },
	{ "CLGI", 0xdd, NULL, NULL, NULL },
	{ "INVLPGA", 0xdf, NULL, NULL, NULL },
};

static u32 count(void)
{
	return ARRAY_SIZE(insns) * ARRAY_SIZE(prefixes);
}

static void run_one(const struct insn *insn, const struct prefix *prefix)
{
	static u8 code[PREFIXES_MAX + 5];
	size_t length = strlen(prefix->bytes);
	const u8 rest[] = { 0x0f, 0x01, insn->opcode, 0xcd, EXCURSION_END };
	char name[NAME_SIZE];
	const struct insn_case c = {
		.name = name,
		.rule = "the operand-size and segment-override prefixes are ignored, REX.W too",
		.code = (const char *)code,
		.end = (const char *)code + length + 3,
		.want = SUCCEEDS,
		.rax = (u64)insn->operand,
		.prepare = insn->prepare,
		.finish = insn->finish,
	};

	memcpy(code, prefix->bytes, length);
	memcpy(code + length, rest, sizeof(rest));
	snprintf(name, sizeof(name), "%s with %s", insn->name, prefix->name);
	insn_case_run(&c);
}

static void run(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(insns); i++) {
		for (size_t p = 0; p < ARRAY_SIZE(prefixes); p++)
			run_one(&insns[i], &prefixes[p]);
	}
}

const struct suite prefixes_suite = { count, run };
