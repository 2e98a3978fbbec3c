/*
 * Where a guest goes on behind an instruction that exited: byte by byte in every mode, at the edges
 * of pages and address spaces, and what is remembered of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/host/svm_code.h"

static struct svm_code code;
static struct svm_sites sites;

static int forget_sites(void **state)
{
	(void)state;
	memset(&sites, 0, sizeof(sites));
	return 0;
}

/* As L1 asks: for a place that it knows already, else by decoding. */
static bool next_rip(u32 exit, u64 *next)
{
	return svm_known_next_rip(&sites, &code.vmcb, exit, next) ||
	       svm_decode_next_rip(&sites, &code.vmcb, exit, &code.access, next);
}

/* The length of the instruction at RIP, 0 when there is no such one. With what is remembered and
 * without it is the same. */
static u32 length_at_rip(u32 exit)
{
	u64 next = 0, again = 0;
	bool found = svm_decode_next_rip(NULL, &code.vmcb, exit, &code.access, &next);

	assert_int_equal(next_rip(exit, &again), found);
	if (!found)
		return 0;
	assert_int_equal(again, next);
	return (u32)(next - code.vmcb.s.rip);
}

static u32 length(u32 exit, const u8 *bytes, u32 count)
{
	svm_code_put(&code, 0x800, bytes, count);
	return length_at_rip(exit);
}

#define LENGTH(exit, ...) \
	length(SVM_EXIT_##exit, (const u8[]){ __VA_ARGS__ }, sizeof((const u8[]){ __VA_ARGS__ }))

static void each_row_without_prefixes(void **state)
{
	static const struct {
		u32 exit;
		u8 byte[3], length;
	} rows[] = {
		{ SVM_EXIT_RDTSC, { 0x0f, 0x31 }, 2 },
		{ SVM_EXIT_RDPMC, { 0x0f, 0x33 }, 2 },
		{ SVM_EXIT_PUSHF, { 0x9c }, 1 },
		{ SVM_EXIT_POPF, { 0x9d }, 1 },
		{ SVM_EXIT_CPUID, { 0x0f, 0xa2 }, 2 },
		{ SVM_EXIT_RSM, { 0x0f, 0xaa }, 2 },
		{ SVM_EXIT_IRET, { 0xcf }, 1 },
		{ SVM_EXIT_INVD, { 0x0f, 0x08 }, 2 },
		{ SVM_EXIT_PAUSE, { 0xf3, 0x90 }, 2 },
		{ SVM_EXIT_HLT, { 0xf4 }, 1 },
		{ SVM_EXIT_INVLPGA, { 0x0f, 0x01, 0xdf }, 3 },
		{ SVM_EXIT_VMRUN, { 0x0f, 0x01, 0xd8 }, 3 },
		{ SVM_EXIT_VMMCALL, { 0x0f, 0x01, 0xd9 }, 3 },
		{ SVM_EXIT_VMLOAD, { 0x0f, 0x01, 0xda }, 3 },
		{ SVM_EXIT_VMSAVE, { 0x0f, 0x01, 0xdb }, 3 },
		{ SVM_EXIT_STGI, { 0x0f, 0x01, 0xdc }, 3 },
		{ SVM_EXIT_CLGI, { 0x0f, 0x01, 0xdd }, 3 },
		{ SVM_EXIT_SKINIT, { 0x0f, 0x01, 0xde }, 3 },
		{ SVM_EXIT_RDTSCP, { 0x0f, 0x01, 0xf9 }, 3 },
		{ SVM_EXIT_ICEBP, { 0xf1 }, 1 },
		{ SVM_EXIT_WBINVD, { 0x0f, 0x09 }, 2 },
		{ SVM_EXIT_MONITOR, { 0x0f, 0x01, 0xc8 }, 3 },
		{ SVM_EXIT_MWAIT, { 0x0f, 0x01, 0xc9 }, 3 },
		{ SVM_EXIT_XSETBV, { 0x0f, 0x01, 0xd1 }, 3 },
		{ SVM_EXIT_RDPRU, { 0x0f, 0x01, 0xfd }, 3 },
	};

	(void)state;
	svm_code_64(&code);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		u8 other[3];

		assert_int_equal(length(rows[i].exit, rows[i].byte, 3), rows[i].length);
		/* Any other byte is another instruction. */
		for (u32 n = 0; n < rows[i].length; n++) {
			memcpy(other, rows[i].byte, 3);
			other[n] ^= 0x80;
			assert_int_equal(length(rows[i].exit, other, 3), 0);
		}
	}
}

/* RDMSR and WRMSR make the same exit; EXITINFO1 says which. */
static void msr_accesses(void **state)
{
	(void)state;
	svm_code_64(&code);
	assert_int_equal(LENGTH(MSR, 0x0f, 0x32), 2);
	assert_int_equal(LENGTH(MSR, 0x0f, 0x30), 0);
	code.vmcb.c.exit_info1 = 1;
	assert_int_equal(LENGTH(MSR, 0x0f, 0x30), 2);
	assert_int_equal(LENGTH(MSR, 0x0f, 0x32), 0);
}

/* "EXITINFO2 holds the rIP of the instruction following the IN/OUT." */
static void port_accesses(void **state)
{
	u64 next;

	(void)state;
	svm_code_64(&code);
	code.vmcb.c.exit_info2 = 0x1234567;
	assert_true(next_rip(SVM_EXIT_IOIO, &next));
	assert_int_equal(next, 0x1234567);
}

/* QUIRK(qemu-7.2): RDTSCP exits as RDTSC does. */
static void rdtscp_as_rdtsc(void **state)
{
	(void)state;
	svm_code_64(&code);
	assert_int_equal(LENGTH(RDTSC, 0x0f, 0x01, 0xf9), 3);
	assert_int_equal(LENGTH(RDTSC, 0x66, 0x0f, 0x01, 0xf9), 4);
	assert_int_equal(LENGTH(RDTSCP, 0x0f, 0x31, 0x90), 0);
}

static void prefixes_count(void **state)
{
	(void)state;
	svm_code_64(&code);
	assert_int_equal(LENGTH(CPUID, 0x66, 0x0f, 0xa2), 3);
	assert_int_equal(LENGTH(CPUID, 0x67, 0x48, 0x0f, 0xa2), 4);
	assert_int_equal(LENGTH(CPUID, 0xf2, 0xf3, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65, 0x0f, 0xa2),
			 10);
	/* A REX prefix that is not the last one has no meaning, but is there. */
	assert_int_equal(LENGTH(VMMCALL, 0x41, 0x66, 0x4f, 0x0f, 0x01, 0xd9), 6);
	/* "The LOCK prefix ... with any other instruction is an invalid-opcode exception." */
	assert_int_equal(LENGTH(CPUID, 0xf0, 0x0f, 0xa2), 0);
	/* WBNOINVD is intercepted as WBINVD is; VMGEXIT is VMMCALL where there is no SEV-ES. */
	assert_int_equal(LENGTH(WBINVD, 0xf3, 0x0f, 0x09), 3);
	assert_int_equal(LENGTH(VMMCALL, 0xf3, 0x0f, 0x01, 0xd9), 4);
}

/* NOP has the opcode of PAUSE. */
static void pause_is_a_prefix(void **state)
{
	(void)state;
	svm_code_64(&code);
	assert_int_equal(LENGTH(PAUSE, 0xf3, 0x90), 2);
	assert_int_equal(LENGTH(PAUSE, 0xf3, 0x66, 0x40, 0x90), 4);
	assert_int_equal(LENGTH(PAUSE, 0x90), 0);
	assert_int_equal(LENGTH(PAUSE, 0xf3, 0xf2, 0x90), 0);
	assert_int_equal(LENGTH(PAUSE, 0xf2, 0xf3, 0x90), 3);
	assert_int_equal(LENGTH(PAUSE, 0x41, 0xf3, 0x90), 3);
}

/* "The maximum length of an instruction is 15 bytes"; one more is a general-protection exception.
 */
static void fifteen_bytes_at_most(void **state)
{
	u8 bytes[17];

	(void)state;
	svm_code_64(&code);
	memset(bytes, 0x66, sizeof(bytes));
	memcpy(bytes + 13, (u8[]){ 0x0f, 0xa2 }, 2);
	assert_int_equal(length(SVM_EXIT_CPUID, bytes, 17), 15);
	memcpy(bytes + 13, (u8[]){ 0x66, 0x0f, 0xa2 }, 3);
	assert_int_equal(length(SVM_EXIT_CPUID, bytes, 17), 0);
}

/* 40 to 4F are INC and DEC outside 64-bit mode. */
static void rex_is_of_64_bit_mode(void **state)
{
	(void)state;
	svm_code_compat(&code);
	assert_int_equal(LENGTH(CPUID, 0x48, 0x0f, 0xa2), 0);
	assert_int_equal(LENGTH(CPUID, 0x66, 0x0f, 0xa2), 3);
	svm_code_real(&code);
	assert_int_equal(LENGTH(CPUID, 0x40, 0x0f, 0xa2), 0);
}

static svm_code_mode *const modes[] = { svm_code_64,  svm_code_64_la57,   svm_code_compat,
					svm_code_pae, svm_code_two_level, svm_code_unpaged,
					svm_code_real };

static void every_mode_at_every_place_of_a_page(void **state)
{
	static const u8 vmrun[] = { 0x66, 0x0f, 0x01, 0xd8 };

	(void)state;
	for (size_t m = 0; m < ARRAY_SIZE(modes); m++) {
		modes[m](&code);
		for (u32 offset = 0x800; offset <= PAGE_SIZE; offset++) {
			svm_code_put(&code, offset, vmrun, 4);
			assert_int_equal(length_at_rip(SVM_EXIT_VMRUN), 4);
			assert_int_equal(length_at_rip(SVM_EXIT_CPUID), 0);
		}
	}
}

/* The page behind an instruction need not be there; the page that it ends in must. */
static void instructions_at_the_end_of_a_page(void **state)
{
	static const u8 cpuid[] = { 0x0f, 0xa2 };

	(void)state;
	for (size_t m = 0; m < ARRAY_SIZE(modes); m++) {
		modes[m](&code);
		if (!code.leaf[1])
			continue;
		svm_code_put(&code, 0xfff, cpuid, 2);
		assert_int_equal(length_at_rip(SVM_EXIT_CPUID), 2);
		*code.leaf[1] = modes[m] == svm_code_two_level ? *code.leaf[1] & ~BITS(63, 32) : 0;
		assert_int_equal(length_at_rip(SVM_EXIT_CPUID), 0);
		svm_code_put(&code, 0xffe, cpuid, 2);
		assert_int_equal(length_at_rip(SVM_EXIT_CPUID), 2);
	}
}

static void absent_memory_is_no_instruction(void **state)
{
	static const u8 hlt[] = { 0xf4 };

	(void)state;
	svm_code_64(&code);
	svm_code_put(&code, 0x800, hlt, 1);
	*code.leaf[0] = 0x7000000000 | PTE_P | PTE_A;
	assert_int_equal(length_at_rip(SVM_EXIT_HLT), 0);
	code.vmcb.s.cr3 = 0x7000000000;
	assert_int_equal(length_at_rip(SVM_EXIT_HLT), 0);
}

/* Outside 64-bit mode RIP and linear addresses have 32 bits; in it they have 64. */
static void addresses_wrap_at_4_gib(void **state)
{
	u64 next;

	(void)state;
	svm_code_unpaged(&code);
	svm_code_put(&code, 0x800, (u8[]){ 0x0f, 0xa2 }, 2);
	code.vmcb.s.cs.base = code.vmcb.s.rip + 1;
	code.vmcb.s.rip = 0xffffffff;
	assert_true(next_rip(SVM_EXIT_CPUID, &next));
	assert_int_equal(next, 1);
	/* What hardware left in the upper half means nothing. */
	code.vmcb.s.rip |= BITS(63, 32);
	assert_true(next_rip(SVM_EXIT_CPUID, &next));
	assert_int_equal(next, 1);

	svm_code_64(&code);
	code.vmcb.s.cs.base = 0x123456789; /* ignored in 64-bit mode */
	assert_int_equal(LENGTH(CPUID, 0x0f, 0xa2), 2);
}

/* A place is believed without another look at memory but for what led there ... */
static void a_place_is_remembered(void **state)
{
	u64 reads, next;

	(void)state;
	svm_code_64(&code);
	assert_int_equal(LENGTH(VMLOAD, 0x0f, 0x01, 0xda), 3);
	reads = code.memory.reads;
	for (u32 i = 0; i < 3; i++) {
		assert_true(next_rip(SVM_EXIT_VMLOAD, &next));
		assert_int_equal(next, code.vmcb.s.rip + 3);
	}
	assert_int_equal(code.memory.reads, reads);
	/* ... and a handler has two VMLOADs. */
	svm_code_put(&code, 0x900, (u8[]){ 0x48, 0x0f, 0x01, 0xda }, 4);
	assert_true(next_rip(SVM_EXIT_VMLOAD, &next));
	reads = code.memory.reads;
	for (u32 i = 0; i < 4; i++) {
		code.vmcb.s.rip = code.first + (i & 1 ? 0x900 : 0x800);
		assert_true(next_rip(SVM_EXIT_VMLOAD, &next));
		assert_int_equal(next, code.vmcb.s.rip + (i & 1 ? 4 : 3));
	}
	assert_int_equal(code.memory.reads, reads);
}

/* ... and what led there is each table, the bytes and the mode. */
static void a_place_that_changed_is_not_believed(void **state)
{
	(void)state;
	svm_code_64(&code);
	assert_int_equal(LENGTH(CPUID, 0x0f, 0xa2), 2);
	svm_code_put(&code, 0x800, (u8[]){ 0x66, 0x0f, 0xa2 }, 3);
	assert_int_equal(length_at_rip(SVM_EXIT_CPUID), 3);

	/* Another page is there. */
	memcpy((u8 *)code.memory.page[15] + 0x800, (u8[]){ 0x66, 0x66, 0x0f, 0xa2 }, 4);
	*code.leaf[0] ^= fake_page_address(SVM_CODE_PAGE) ^ fake_page_address(15);
	assert_int_equal(length_at_rip(SVM_EXIT_CPUID), 4);

	/* Another address space: the same tables from another root, but for the leaf. */
	memcpy(code.memory.page[16], code.memory.page[0], PAGE_SIZE);
	memcpy(code.memory.page[17], code.memory.page[1], PAGE_SIZE);
	code.memory.page[16][511] = fake_page_address(17) | PTE_P | PTE_A;
	code.memory.page[17][510] = 0;
	code.vmcb.s.cr3 = fake_page_address(16);
	assert_int_equal(length_at_rip(SVM_EXIT_CPUID), 0);
	code.vmcb.s.cr3 = fake_page_address(0);
	assert_int_equal(length_at_rip(SVM_EXIT_CPUID), 4);

	/* Other modes: five levels lead nowhere here, and compatibility mode has 32 bits. */
	code.vmcb.s.cr4 |= CR4_LA57;
	assert_int_equal(length_at_rip(SVM_EXIT_CPUID), 0);
	code.vmcb.s.cr4 &= ~CR4_LA57;
	code.vmcb.s.cs.attributes &= (u16)~SEG_L;
	assert_int_equal(length_at_rip(SVM_EXIT_CPUID), 0);
}

/* Makes an entry other than it was at first, for a while. */
static void flip(struct fake_random *random, u64 *entry, u64 bit)
{
	bool is_set = (*entry & bit) != 0;
	bool was_set = bit == PTE_P;

	if (is_set != was_set || fake_once_in(random, 8))
		*entry ^= bit;
}

/* Tables, code, registers and exits change at random: what is remembered never shows. */
static void what_is_remembered_never_shows(void **state)
{
	static const struct {
		u32 exit;
		u8 byte[3];
	} insns[] = {
		{ SVM_EXIT_CPUID, { 0x0f, 0xa2 } },
		{ SVM_EXIT_VMLOAD, { 0x0f, 0x01, 0xda } },
		{ SVM_EXIT_HLT, { 0xf4 } },
		{ SVM_EXIT_MSR, { 0x0f, 0x32 } },
	};
	static const u8 bytes[] = { 0x0f, 0xa2, 0x01, 0xda, 0xf4, 0x32, 0x66, 0xf3, 0x48 };
	struct fake_random random = { 11 };
	u32 found = 0;

	(void)state;
	svm_code_64(&code);
	/* A second address space, and large pages: levels refer to other levels' tables. */
	memcpy(code.memory.page[5], code.memory.page[0], PAGE_SIZE);
	for (u32 n = 0; n < 300000; n++) {
		u8 *at = (u8 *)code.memory.page[fake_once_in(&random, 4) ? 15 : SVM_CODE_PAGE];
		u32 place = 0x800 + fake_below(&random, 12);
		u32 insn = fake_below(&random, ARRAY_SIZE(insns));

		if (fake_once_in(&random, 4))
			memcpy(at + place, insns[insn].byte, 3);
		if (fake_once_in(&random, 3))
			at[place] = bytes[fake_below(&random, sizeof(bytes))];
		if (fake_once_in(&random, 40))
			*code.leaf[0] ^= fake_page_address(SVM_CODE_PAGE) ^ fake_page_address(15);
		if (fake_once_in(&random, 40))
			code.vmcb.s.cr3 ^= fake_page_address(0) ^ fake_page_address(5);
		if (fake_once_in(&random, 30)) {
			flip(&random, &code.memory.page[5][511], PTE_P);
			flip(&random, &code.memory.page[1][510], PTE_PS);
			flip(&random, &code.memory.page[2][9], PTE_PS);
			code.vmcb.s.cs.attributes = fake_once_in(&random, 8) ? SEG_P
									     : SEG_P | SEG_L;
		}
		code.vmcb.s.rip = code.first + place;
		found += length_at_rip(insns[insn].exit) != 0;
	}
	assert_true(found > 10000);
}

/* Random bytes at random places, up to the end of memory. */
static void noise_is_read_with_care(void **state)
{
	struct fake_random random = { 12 };

	(void)state;
	for (u32 n = 0; n < 3000; n++) {
		modes[n % ARRAY_SIZE(modes)](&code);
		for (u32 i = 0; i < 200; i++)
			code.memory
				.page[fake_below(&random, FAKE_PAGES)][fake_below(&random, 512)] =
				fake_random(&random);
		for (u32 i = 0; i < 20; i++) {
			code.vmcb.s.rip = fake_once_in(&random, 2)
						  ? fake_random(&random)
						  : code.first + fake_below(&random, 0x2000);
			length_at_rip(SVM_EXIT_RDTSC + fake_below(&random, 0x20));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(each_row_without_prefixes, forget_sites),
		cmocka_unit_test_setup(msr_accesses, forget_sites),
		cmocka_unit_test_setup(port_accesses, forget_sites),
		cmocka_unit_test_setup(rdtscp_as_rdtsc, forget_sites),
		cmocka_unit_test_setup(prefixes_count, forget_sites),
		cmocka_unit_test_setup(pause_is_a_prefix, forget_sites),
		cmocka_unit_test_setup(fifteen_bytes_at_most, forget_sites),
		cmocka_unit_test_setup(rex_is_of_64_bit_mode, forget_sites),
		cmocka_unit_test_setup(every_mode_at_every_place_of_a_page, forget_sites),
		cmocka_unit_test_setup(instructions_at_the_end_of_a_page, forget_sites),
		cmocka_unit_test_setup(absent_memory_is_no_instruction, forget_sites),
		cmocka_unit_test_setup(addresses_wrap_at_4_gib, forget_sites),
		cmocka_unit_test_setup(a_place_is_remembered, forget_sites),
		cmocka_unit_test_setup(a_place_that_changed_is_not_believed, forget_sites),
		cmocka_unit_test_setup(what_is_remembered_never_shows, forget_sites),
		cmocka_unit_test_setup(noise_is_read_with_care, forget_sites),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
