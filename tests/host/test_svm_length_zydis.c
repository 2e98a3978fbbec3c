/*
 * Lengths of instructions that exited against Zydis, on random prefixes before the opcodes that
 * exit: where one of the two sees the instruction, so does the other, with the same length.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <Zydis/Zydis.h>

#include "tests/host/svm_code.h"

#define ROUNDS 400000

/* The instructions behind an exit. */
struct made_by {
	u32 exit;
	u64 info1;
	u8 opcode[3];
	ZydisMnemonic mnemonic[3];
	/* Intel's manual has no such instruction with 66, F2 or F3; AMD's knows no difference. */
	bool is_plain_on_intel;
};

#define OPCODE(...)  .opcode = { __VA_ARGS__ }
#define IS(a)        .mnemonic = { ZYDIS_MNEMONIC_##a }
#define IS2(a, b)    .mnemonic = { ZYDIS_MNEMONIC_##a, ZYDIS_MNEMONIC_##b }
#define IS3(a, b, c) .mnemonic = { ZYDIS_MNEMONIC_##a, ZYDIS_MNEMONIC_##b, ZYDIS_MNEMONIC_##c }

static const struct made_by made_by[] = {
	{ .exit = SVM_EXIT_RDTSC, OPCODE(0x0f, 0x31, 0xc0), IS2(RDTSC, RDTSCP) },
	{ .exit = SVM_EXIT_RDPMC, OPCODE(0x0f, 0x33, 0xc0), IS(RDPMC) },
	{ .exit = SVM_EXIT_PUSHF, OPCODE(0x9c), IS3(PUSHF, PUSHFD, PUSHFQ) },
	{ .exit = SVM_EXIT_POPF, OPCODE(0x9d), IS3(POPF, POPFD, POPFQ) },
	{ .exit = SVM_EXIT_CPUID, OPCODE(0x0f, 0xa2, 0xc0), IS(CPUID) },
	{ .exit = SVM_EXIT_RSM, OPCODE(0x0f, 0xaa, 0xc0), IS(RSM) },
	{ .exit = SVM_EXIT_IRET, OPCODE(0xcf), IS3(IRET, IRETD, IRETQ) },
	{ .exit = SVM_EXIT_INVD, OPCODE(0x0f, 0x08, 0xc0), IS(INVD) },
	{ .exit = SVM_EXIT_PAUSE, OPCODE(0x90), IS(PAUSE) },
	{ .exit = SVM_EXIT_HLT, OPCODE(0xf4), IS(HLT) },
	{ .exit = SVM_EXIT_MSR, OPCODE(0x0f, 0x32, 0xc0), IS(RDMSR) },
	{ .exit = SVM_EXIT_MSR, OPCODE(0x0f, 0x30, 0xc0), IS(WRMSR), .info1 = 1 },
	{ .exit = SVM_EXIT_INVLPGA, OPCODE(0x0f, 0x01, 0xdf), IS(INVLPGA) },
	{ .exit = SVM_EXIT_VMRUN, OPCODE(0x0f, 0x01, 0xd8), IS(VMRUN) },
	{ .exit = SVM_EXIT_VMMCALL, OPCODE(0x0f, 0x01, 0xd9), IS(VMMCALL) },
	{ .exit = SVM_EXIT_VMLOAD, OPCODE(0x0f, 0x01, 0xda), IS(VMLOAD) },
	{ .exit = SVM_EXIT_VMSAVE, OPCODE(0x0f, 0x01, 0xdb), IS(VMSAVE) },
	{ .exit = SVM_EXIT_STGI, OPCODE(0x0f, 0x01, 0xdc), IS(STGI) },
	{ .exit = SVM_EXIT_CLGI, OPCODE(0x0f, 0x01, 0xdd), IS(CLGI) },
	{ .exit = SVM_EXIT_SKINIT, OPCODE(0x0f, 0x01, 0xde), IS(SKINIT) },
	{ .exit = SVM_EXIT_RDTSCP, OPCODE(0x0f, 0x01, 0xf9), IS(RDTSCP) },
	{ .exit = SVM_EXIT_ICEBP, OPCODE(0xf1), IS(INT1) },
	{ .exit = SVM_EXIT_WBINVD, OPCODE(0x0f, 0x09, 0xc0), IS(WBINVD) },
	{ .exit = SVM_EXIT_RDPRU, OPCODE(0x0f, 0x01, 0xfd), IS(RDPRU) },
	{ .exit = SVM_EXIT_MONITOR,
	  OPCODE(0x0f, 0x01, 0xc8),
	  IS(MONITOR),
	  .is_plain_on_intel = true },
	{ .exit = SVM_EXIT_MWAIT, OPCODE(0x0f, 0x01, 0xc9), IS(MWAIT), .is_plain_on_intel = true },
	{ .exit = SVM_EXIT_MWAIT_ARMED,
	  OPCODE(0x0f, 0x01, 0xc9),
	  IS(MWAIT),
	  .is_plain_on_intel = true },
	{ .exit = SVM_EXIT_XSETBV,
	  OPCODE(0x0f, 0x01, 0xd1),
	  IS(XSETBV),
	  .is_plain_on_intel = true },
};

static const struct {
	svm_code_mode *make;
	ZydisMachineMode mode;
	ZydisStackWidth stack;
} modes[] = {
	{ svm_code_64, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64 },
	{ svm_code_compat, ZYDIS_MACHINE_MODE_LONG_COMPAT_32, ZYDIS_STACK_WIDTH_32 },
	{ svm_code_pae, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32 },
	{ svm_code_real, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16 },
};

static struct svm_code code;

static void random_insn(struct fake_random *random, const struct made_by *row, u8 *bytes)
{
	static const u8 prefixes[] = { 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66,
				       0x67, 0xf0, 0xf2, 0xf3, 0x40, 0x41, 0x48 };
	u32 count = fake_below(random, fake_once_in(random, 3) ? 16 : 4);
	u32 i;

	for (i = 0; i < 24; i++)
		bytes[i] = (u8)fake_random(random);
	for (i = 0; i < count; i++)
		bytes[i] = prefixes[fake_below(random, sizeof(prefixes))];
	memcpy(bytes + count, row->opcode, 3);
	if (fake_once_in(random, 10))
		bytes[count + fake_below(random, 3)] ^= (u8)BIT(fake_below(random, 8));
}

static bool has_mandatory_prefix(const u8 *bytes)
{
	for (u32 i = 0; i < 15 && bytes[i] != 0x0f; i++)
		if (bytes[i] == 0x66 || bytes[i] == 0xf2 || bytes[i] == 0xf3)
			return true;
	return false;
}

/* The length by Zydis, 0 when it is another instruction or none. */
static u32 length_by_zydis(const ZydisDecoder *decoder, const struct made_by *row, const u8 *bytes)
{
	ZydisDecodedInstruction insn;

	if (ZYAN_FAILED(ZydisDecoderDecodeInstruction(decoder, NULL, bytes, 15, &insn)))
		return 0;
	for (u32 i = 0; i < ARRAY_SIZE(row->mnemonic); i++)
		if (row->mnemonic[i] && insn.mnemonic == row->mnemonic[i])
			return insn.length;
	return 0;
}

static void lengths_are_those_of_zydis(void **state)
{
	struct fake_random random = { 5 };
	u32 found = 0;

	(void)state;
	for (size_t m = 0; m < ARRAY_SIZE(modes); m++) {
		ZydisDecoder decoder;

		assert_true(
			ZYAN_SUCCESS(ZydisDecoderInit(&decoder, modes[m].mode, modes[m].stack)));
		modes[m].make(&code);
		for (u32 n = 0; n < ROUNDS / ARRAY_SIZE(modes); n++) {
			const struct made_by *row =
				&made_by[fake_below(&random, ARRAY_SIZE(made_by))];
			u8 bytes[24];
			u64 next;
			u32 ours = 0, theirs;

			random_insn(&random, row, bytes);
			svm_code_put(&code, 0x800, bytes, sizeof(bytes));
			code.vmcb.c.exit_info1 = row->info1;
			if (svm_decode_next_rip(NULL, &code.vmcb, row->exit, &code.access, &next))
				ours = (u32)(next - code.vmcb.s.rip);
			theirs = length_by_zydis(&decoder, row, bytes);
			if (!row->is_plain_on_intel || !has_mandatory_prefix(bytes))
				assert_int_equal(ours, theirs);
			found += ours != 0;
		}
	}
	assert_true(found > ROUNDS / 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lengths_are_those_of_zydis),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
