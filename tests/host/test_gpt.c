/*
 * The rules of a guest's own paging (SDM 3A, chapter "Paging"), each on hand-made tables: modes and
 * page sizes, access rights, protection keys, error codes, accessed and dirty flags.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "l1-hypervisor/leaf/x86.h"
#include "nested-ept/gpt_walk.h"
#include "tests/host/fake_memory.h"

#define LINEAR 0x00005a3c7e654321ULL
#define FRAME  0x34567000ULL

static struct fake_memory fake;
static struct nept_memory memory;
static struct gpt_context context;
static struct gpt_walk walk;
static u64 *entry[5]; /* of LINEAR, by level */

/* 4-level tables: LINEAR is a user-mode, writable, executable 4-KByte page at FRAME. */
static int make_4_levels(void **state)
{
	u32 level;

	(void)state;
	memset(&fake, 0, sizeof(fake));
	memory = fake_memory_access(&fake);
	context = (struct gpt_context){ .cr0 = CR0_PG | CR0_PE,
					.cr3 = fake_page_address(0),
					.cr4 = CR4_PAE,
					.efer = EFER_LME | EFER_LMA | EFER_NXE,
					.physical_bits = 40,
					.has_1g_pages = true,
					.memory = &memory };
	for (level = 4; level >= 1; level--) {
		entry[level] = &fake.page[4 - level][(LINEAR >> (3 + 9 * level)) & 511];
		*entry[level] = (level > 1 ? fake_page_address(5 - level) : FRAME) | PTE_P | PTE_W |
				PTE_U;
	}
	return 0;
}

static enum gpt_result go(u32 access)
{
	return gpt_walk(&context, LINEAR, access, &walk);
}

static void assert_fault(u32 access, u64 error_code)
{
	assert_int_equal(go(access), GPT_FAULT);
	assert_int_equal(walk.error_code, error_code);
}

static void assert_ok(u32 access, u64 physical)
{
	assert_int_equal(go(access), GPT_OK);
	assert_int_equal(walk.pa2.v, physical);
}

/* The 4-byte entries of 32-bit paging. */
static void put_small(u32 page, u32 index, u64 value)
{
	u32 shift = index % 2 * 32;

	fake.page[page][index / 2] &= ~(BITS(31, 0) << shift);
	fake.page[page][index / 2] |= value << shift;
}

static u32 small(u32 page, u32 index)
{
	return (u32)(fake.page[page][index / 2] >> (index % 2 * 32));
}

/* "If CR0.PG = 0, paging is not used. The logical processor treats all linear addresses as if they
 * were physical addresses." */
static void without_paging_linear_is_physical(void **state)
{
	(void)state;
	context.cr0 = CR0_PE;
	assert_int_equal(gpt_walk(&context, 0x89abcdef, GPT_WRITE, &walk), GPT_OK);
	assert_int_equal(walk.pa2.v, 0x89abcdef);
	assert_int_equal(fake.reads, 0);
}

/* "4-Level Paging and 5-Level Paging": 4-KByte, 2-MByte and 1-GByte pages; bit 7 of a PDPTE is
 * reserved where 1-GByte pages are not supported. */
static void pages_of_4_level_paging(void **state)
{
	(void)state;
	assert_ok(0, FRAME | (LINEAR & 0xfff));
	*entry[2] = 0x3456800000ULL | PTE_P | PTE_PS | BIT(12); /* PAT */
	assert_ok(0, 0x3456800000ULL | (LINEAR & 0x1fffff));
	*entry[3] = 0x4c0000000ULL | PTE_P | PTE_PS;
	assert_ok(0, 0x4c0000000ULL | (LINEAR & 0x3fffffff));
	context.has_1g_pages = false;
	assert_fault(0, PF_P | PF_RSVD);
}

/* "32-Bit Paging": 10 and 10 bits; with CR4.PSE = 1 and PS = 1 a 4-MByte page whose address bits
 * 39:32 are in bits 20:13 of the PDE; with CR4.PSE = 0 bit 7 is ignored. */
static void pages_of_32_bit_paging(void **state)
{
	(void)state;
	context.cr4 = 0;
	context.efer = 0;
	put_small(0, 0x7e654321 >> 22, fake_page_address(1) | 1);
	put_small(1, (0x7e654321 >> 12) & 1023, 0x87654000 | 1);
	assert_ok(0, 0x87654321);
	assert_int_equal(small(1, (0x7e654321 >> 12) & 1023), 0x87654000 | PTE_A | 1);

	put_small(0, 0x7e654321 >> 22, fake_page_address(1) | PTE_PS | 1);
	assert_ok(0, 0x87654321);
	context.cr4 = CR4_PSE;
	put_small(0, 0x7e654321 >> 22, 0x12400000 | 0x5a << 13 | PTE_PS | 1);
	assert_ok(GPT_WRITE, 0x5a12400000ULL | 0x254321);
	assert_int_equal(small(0, 0x7e654321 >> 22),
			 0x12400000 | 0x5a << 13 | PTE_PS | PTE_A | PTE_D | 1);
	context.physical_bits = 38;
	assert_fault(0, PF_P | PF_RSVD);
	put_small(0, 0x7e654321 >> 22, 0x12400000 | BIT(21) | PTE_PS | 1);
	assert_fault(0, PF_P | PF_RSVD);
}

/* "PAE Paging": bits 31:30 choose one of four PDPTE registers, which have neither rights nor
 * accessed flags; reserved bits reach up to 62. */
static void pages_of_pae_paging(void **state)
{
	u64 pdptes[4] = { 0, fake_page_address(2) | 1, 0, 0 };
	u64 *pde = &fake.page[2][(0x7e654321 >> 21) & 511];

	(void)state;
	context.efer = EFER_NXE;
	context.pdptes = pdptes;
	assert_ok(GPT_USER | GPT_WRITE, FRAME | (LINEAR & 0xfff));
	assert_int_equal(pdptes[1], fake_page_address(2) | 1);
	*entry[1] |= BIT(55);
	assert_fault(0, PF_P | PF_RSVD);
	*pde = 0x87600000 | PTE_PS | PTE_P;
	assert_ok(0, 0x87600000 | (LINEAR & 0x1fffff));
	pdptes[1] = 0;
	assert_fault(0, 0);

	/* From memory at CR3, 32-byte aligned, where there are no registers. */
	context.pdptes = NULL;
	context.cr3 = fake_page_address(6) + 0x20;
	fake.page[6][4 + 1] = fake_page_address(2) | 1;
	assert_ok(0, 0x87600000 | (LINEAR & 0x1fffff));
	fake.page[6][4 + 1] |= PTE_W;
	assert_fault(0, PF_P | PF_RSVD);
}

/* "User-mode accesses ... data may be read from any user-mode address"; "data may be written to any
 * user-mode address with a translation for which the R/W flag is 1 in every paging-structure entry
 * controlling the translation"; "... XD flag is 0 in every paging-structure entry". */
static void user_mode_accesses(void **state)
{
	u32 level;

	for (level = 1; level <= 4; level++) {
		make_4_levels(state);
		*entry[level] &= ~PTE_U;
		assert_fault(GPT_USER, PF_P | PF_U);
		make_4_levels(state);
		*entry[level] &= ~PTE_W;
		assert_int_equal(go(GPT_USER), GPT_OK);
		assert_fault(GPT_USER | GPT_WRITE, PF_P | PF_U | PF_W);
		make_4_levels(state);
		*entry[level] |= PTE_NX;
		assert_int_equal(go(GPT_USER), GPT_OK);
		assert_fault(GPT_USER | GPT_FETCH, PF_P | PF_U | PF_I);
	}
}

/* "If CR0.WP = 0, data may be written to any supervisor-mode address"; "If CR0.WP = 1, ... for
 * which the R/W flag is 1 in every paging-structure entry". The same for user-mode addresses. */
static void supervisor_writes_obey_wp(void **state)
{
	u64 user;

	for (user = 0; user <= PTE_U; user += PTE_U) {
		make_4_levels(state);
		*entry[1] = FRAME | PTE_P | user;
		assert_int_equal(go(GPT_WRITE), GPT_OK);
		context.cr0 |= CR0_WP;
		assert_fault(GPT_WRITE, PF_P | PF_W);
		*entry[1] |= PTE_W;
		assert_int_equal(go(GPT_WRITE), GPT_OK);
	}
}

/* "If CR4.SMEP = 1, instructions may not be fetched from any user-mode address"; "If CR4.SMAP = 1
 * ... if EFLAGS.AC = 1 and the access is explicit, data may be read from any user-mode address". */
static void supervisor_accesses_obey_smep_and_smap(void **state)
{
	(void)state;
	assert_int_equal(go(GPT_FETCH), GPT_OK);
	context.cr4 |= CR4_SMEP;
	assert_fault(GPT_FETCH, PF_P | PF_I);
	assert_int_equal(go(GPT_FETCH | GPT_USER), GPT_OK);

	context.cr4 |= CR4_SMAP;
	assert_fault(0, PF_P);
	assert_fault(GPT_WRITE, PF_P | PF_W);
	assert_int_equal(go(GPT_USER), GPT_OK);
	context.rflags = RFLAGS_AC;
	assert_int_equal(go(GPT_WRITE), GPT_OK);
	assert_fault(GPT_IMPLICIT, PF_P);
	/* An implicit access of code at CPL 3 is a supervisor-mode access. */
	assert_fault(GPT_IMPLICIT | GPT_USER, PF_P);
	*entry[4] &= ~PTE_U;
	assert_int_equal(go(GPT_IMPLICIT | GPT_USER), GPT_OK);
	assert_int_equal(go(GPT_FETCH), GPT_OK);
}

/* "Protection Keys": bits 62:59; ADi forbids data accesses; WDi forbids writes, of supervisor mode
 * only if CR0.WP = 1; PKRU is for user-mode addresses, IA32_PKRS for supervisor-mode ones. "The PK
 * flag is 1 if ... the access ... was a data access ... and [the key forbids it]". */
static void protection_keys(void **state)
{
	(void)state;
	*entry[1] |= 5ULL << 59;
	context.pkru = 1U << 10;
	assert_int_equal(go(GPT_USER), GPT_OK);
	context.cr4 |= CR4_PKE;
	assert_fault(GPT_USER, PF_P | PF_U | PF_PK);
	assert_fault(0, PF_P | PF_PK);
	assert_int_equal(go(GPT_USER | GPT_FETCH), GPT_OK);
	context.pkru = 2U << 10;
	assert_int_equal(go(GPT_USER), GPT_OK);
	assert_fault(GPT_USER | GPT_WRITE, PF_P | PF_U | PF_W | PF_PK);
	assert_int_equal(go(GPT_WRITE), GPT_OK);
	context.cr0 |= CR0_WP;
	assert_fault(GPT_WRITE, PF_P | PF_W | PF_PK);

	*entry[2] &= ~PTE_U;
	assert_int_equal(go(GPT_WRITE), GPT_OK);
	context.cr4 |= CR4_PKS;
	context.pkrs = 1U << 10;
	assert_fault(0, PF_P | PF_PK);
	context.pkru = 0;
	assert_fault(0, PF_P | PF_PK);
	/* Denied by rights and key: both are told. */
	assert_fault(GPT_USER, PF_P | PF_U | PF_PK);
}

/* "P flag: 0 if ... caused by a not-present page"; "RSVD flag: 1 if there is no translation ...
 * because a reserved bit was set"; "I/D flag: 1 if (1) the access ... was an instruction fetch; and
 * (2) either (a) CR4.SMEP = 1; or (b) both (i) CR4.PAE = 1 and (ii) IA32_EFER.NXE = 1". */
static void error_codes(void **state)
{
	u32 level;

	for (level = 1; level <= 4; level++) {
		make_4_levels(state);
		*entry[level] &= ~PTE_P;
		*entry[level] |= BIT(50);
		assert_fault(GPT_USER | GPT_WRITE, PF_U | PF_W);
		*entry[level] |= PTE_P;
		assert_fault(GPT_USER | GPT_FETCH, PF_P | PF_RSVD | PF_U | PF_I);
		make_4_levels(state);
		context.efer &= ~EFER_NXE;
		*entry[level] |= PTE_NX;
		assert_fault(GPT_FETCH, PF_P | PF_RSVD);
	}
	make_4_levels(state);
	*entry[4] |= PTE_PS;
	assert_fault(0, PF_P | PF_RSVD);
	/* An entry that is not present ends the walk, whatever the entries above deny. */
	make_4_levels(state);
	*entry[4] &= ~PTE_U;
	*entry[1] = 0;
	assert_fault(GPT_USER, PF_U);
}

/* "Whenever the processor uses a paging-structure entry as part of linear-address translation, it
 * sets the accessed flag in that entry"; "Whenever there is a write to a linear address, the
 * processor sets the dirty flag ... in the paging-structure entry that identifies the final
 * physical address". */
static void accessed_and_dirty_flags(void **state)
{
	u32 level;

	(void)state;
	*entry[1] &= ~PTE_W;
	assert_int_equal(go(GPT_USER | GPT_WRITE), GPT_FAULT);
	for (level = 1; level <= 4; level++)
		assert_int_equal(*entry[level] & (PTE_A | PTE_D), 0);
	assert_int_equal(go(0), GPT_OK);
	for (level = 1; level <= 4; level++)
		assert_int_equal(*entry[level] & (PTE_A | PTE_D), PTE_A);
	assert_int_equal(go(GPT_WRITE), GPT_OK);
	for (level = 1; level <= 4; level++)
		assert_int_equal(*entry[level] & (PTE_A | PTE_D),
				 level == 1 ? PTE_A | PTE_D : PTE_A);
}

/* Another CPU changes an entry between check and flag: checked again, and not for ever. */
static void an_entry_changed_meanwhile_is_checked_again(void **state)
{
	fake.races = 1;
	fake.race_flips = PTE_P;
	assert_fault(0, 0);
	make_4_levels(state);
	fake.races = ~0U;
	fake.race_flips = BIT(9);
	assert_int_equal(go(0), GPT_RETRY);
}

/* Absent memory reads as all ones: reserved bits in the modes that have them. */
static void tables_in_absent_memory(void **state)
{
	(void)state;
	context.cr3 = 0x7000000000ULL;
	assert_fault(0, PF_P | PF_RSVD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(without_paging_linear_is_physical, make_4_levels),
		cmocka_unit_test_setup(pages_of_4_level_paging, make_4_levels),
		cmocka_unit_test_setup(pages_of_32_bit_paging, make_4_levels),
		cmocka_unit_test_setup(pages_of_pae_paging, make_4_levels),
		cmocka_unit_test_setup(user_mode_accesses, make_4_levels),
		cmocka_unit_test_setup(supervisor_writes_obey_wp, make_4_levels),
		cmocka_unit_test_setup(supervisor_accesses_obey_smep_and_smap, make_4_levels),
		cmocka_unit_test_setup(protection_keys, make_4_levels),
		cmocka_unit_test_setup(error_codes, make_4_levels),
		cmocka_unit_test_setup(accessed_and_dirty_flags, make_4_levels),
		cmocka_unit_test_setup(an_entry_changed_meanwhile_is_checked_again, make_4_levels),
		cmocka_unit_test_setup(tables_in_absent_memory, make_4_levels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
