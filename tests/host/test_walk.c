/*
 * The rules of the EPT walk, each as the manual (SDM 3C, chapter on VMX support for address
 * translation) has it, on hand-made tables.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/host/ept_chain.h"

static struct chain chain;

/* "EPT Translation Mechanism": "Bits 51:12 are from the EPT PTE. Bits 11:0 are from the original
 * guest-physical address"; "Bits 51:21 are from the EPT PDE. Bits 20:0 ..."; "Bits 51:30 are from
 * the EPT PDPTE. Bits 29:0 are from the original guest-physical address." */
static void pages_of_each_size_are_translated(void **state)
{
	static const u64 offset_mask[] = { 0, 0xfff, 0x1fffff, 0x3fffffff };
	u32 level;

	(void)state;
	for (level = 1; level <= 3; level++) {
		chain_make(&chain, level, false, CHAIN_FEATURES);
		assert_int_equal(chain_walk(&chain, NEPT_R), NEPT_WALK_OK);
		assert_int_equal(chain.walk.shift, 3 + 9 * level);
		assert_int_equal(chain.walk.pa2.v, (CHAIN_PAGE & ~offset_mask[level]) |
							   (CHAIN_ADDRESS & offset_mask[level]));
		assert_int_equal(chain.walk.rights, NEPT_RWX);
		/* Each entry was read once: what was checked is what is used. */
		assert_int_equal(chain.memory.reads, 5 - level);
	}
}

/* "EPT Violations": "Translation of the guest-physical address encounters an EPT paging-structure
 * entry that is not present". "The processor ignores bits 62:3" of such an entry. */
static void an_entry_that_is_not_present_is_a_violation(void **state)
{
	u32 level;

	(void)state;
	for (level = 1; level <= 4; level++) {
		chain_make(&chain, 1, false, CHAIN_FEATURES);
		*chain.entry[level] = ~7ULL;
		assert_int_equal(chain_walk(&chain, NEPT_R), NEPT_WALK_VIOLATION);
		assert_int_equal(chain.walk.rights, 0);
	}
}

/* "The access is a data read and ... bit 0 was clear in any of the EPT paging-structure entries
 * used to translate the guest-physical address"; "a data write and bit 1 ..."; "an instruction
 * fetch and bit 2 was clear in any of the EPT paging-structure entries". */
static void a_right_must_be_in_every_entry(void **state)
{
	u32 level, right;

	(void)state;
	for (level = 1; level <= 4; level++) {
		for (right = NEPT_R; right <= NEPT_X; right <<= 1) {
			/* Without reading there must be no writing (see misconfigurations). */
			u32 cleared = right == NEPT_R ? NEPT_R | NEPT_W : right;

			chain_make(&chain, 1, false, CHAIN_FEATURES);
			*chain.entry[level] &= ~(u64)cleared;
			assert_int_equal(chain_walk(&chain, right), NEPT_WALK_VIOLATION);
			assert_int_equal(chain.walk.rights, NEPT_RWX & ~cleared);
			assert_int_equal(chain_walk(&chain, NEPT_RWX & ~cleared), NEPT_WALK_OK);
		}
	}
}

/* The rights of different entries are combined by AND, not taken from the last one. */
static void rights_of_all_levels_are_combined(void **state)
{
	(void)state;
	chain_make(&chain, 1, false, CHAIN_FEATURES);
	*chain.entry[4] &= ~(u64)NEPT_X;
	*chain.entry[1] &= ~(u64)NEPT_W;
	assert_int_equal(chain_walk(&chain, NEPT_R), NEPT_WALK_OK);
	assert_int_equal(chain.walk.rights, NEPT_R);
	assert_int_equal(chain_walk(&chain, NEPT_R | NEPT_W), NEPT_WALK_VIOLATION);
}

/* "Bit 0 of the entry is clear (indicating that data reads are not allowed) and ... Bit 1 is set
 * (indicating that data writes are allowed)"; "The processor does not support execute-only
 * translations and ... Bit 2 is set". */
static void rights_that_do_not_exist_are_misconfigured(void **state)
{
	struct nept_features without = CHAIN_FEATURES;
	u32 level;

	(void)state;
	without.execute_only = false;
	for (level = 1; level <= 4; level++) {
		chain_make(&chain, 1, false, CHAIN_FEATURES);
		*chain.entry[level] = (*chain.entry[level] & ~7ULL) | NEPT_W;
		assert_int_equal(chain_walk(&chain, NEPT_W), NEPT_WALK_MISCONFIG);
		*chain.entry[level] |= NEPT_X;
		assert_int_equal(chain_walk(&chain, NEPT_X), NEPT_WALK_MISCONFIG);
		*chain.entry[level] &= ~(u64)NEPT_W;
		assert_int_equal(chain_walk(&chain, NEPT_X), NEPT_WALK_OK);
		assert_int_equal(chain.walk.rights, NEPT_X);

		chain_make(&chain, 1, false, without);
		*chain.entry[level] = (*chain.entry[level] & ~7ULL) | NEPT_X;
		assert_int_equal(chain_walk(&chain, NEPT_X), NEPT_WALK_MISCONFIG);
	}
}

/* Walks with each bit of `mask` set in turn in the entry of `level`. */
static void each_bit_gives(u64 mask, u32 leaf_level, u32 level, enum nept_walk_result expected)
{
	u32 n;

	for (n = 0; n < 64; n++) {
		if (!(mask & BIT(n)))
			continue;
		chain_make(&chain, leaf_level, false, CHAIN_FEATURES);
		*chain.entry[level] |= BIT(n);
		assert_int_equal(chain_walk(&chain, NEPT_R), expected);
	}
}

/* "A reserved bit is set. This includes the setting of a bit in the range 51:12 that is beyond the
 * logical processor's physical-address width." The rest from the tables of the entry formats. */
static void reserved_bits_are_misconfigured(void **state)
{
	(void)state;
	each_bit_gives(BITS(51, 40) | BITS(7, 3), 1, 4, NEPT_WALK_MISCONFIG);
	each_bit_gives(BITS(51, 40) | BITS(6, 3), 1, 3, NEPT_WALK_MISCONFIG);
	each_bit_gives(BITS(51, 40) | BITS(6, 3), 1, 2, NEPT_WALK_MISCONFIG);
	each_bit_gives(BITS(51, 40), 1, 1, NEPT_WALK_MISCONFIG);
	each_bit_gives(BITS(51, 40) | BITS(29, 12), 3, 3, NEPT_WALK_MISCONFIG);
	each_bit_gives(BITS(51, 40) | BITS(20, 12), 2, 2, NEPT_WALK_MISCONFIG);
	/* "Ignored": 63:52, 11:8 and in a PTE 7. */
	each_bit_gives(BITS(63, 52) | BITS(11, 8), 1, 4, NEPT_WALK_OK);
	each_bit_gives(BITS(63, 52) | BITS(11, 8), 1, 3, NEPT_WALK_OK);
	each_bit_gives(BITS(63, 52) | BITS(11, 8), 1, 2, NEPT_WALK_OK);
	each_bit_gives(BITS(63, 52) | BITS(11, 7), 1, 1, NEPT_WALK_OK);
	each_bit_gives(BITS(63, 52) | BITS(11, 8) | BIT(6), 2, 2, NEPT_WALK_OK);
}

/* "Not all processors allow bit 7 of an EPT PDPTE to be set to 1. Software should read ...
 * IA32_VMX_EPT_VPID_CAP ... to determine whether this is allowed"; likewise for an EPT PDE. */
static void a_page_size_that_is_not_offered_is_misconfigured(void **state)
{
	struct nept_features features = CHAIN_FEATURES;

	(void)state;
	features.max_shift = NEPT_SHIFT_2M;
	chain_make(&chain, 3, false, features);
	assert_int_equal(chain_walk(&chain, NEPT_R), NEPT_WALK_MISCONFIG);
	chain_make(&chain, 2, false, features);
	assert_int_equal(chain_walk(&chain, NEPT_R), NEPT_WALK_OK);
	features.max_shift = NEPT_SHIFT_4K;
	chain_make(&chain, 2, false, features);
	assert_int_equal(chain_walk(&chain, NEPT_R), NEPT_WALK_MISCONFIG);
}

/* "The entry is the last one used to translate a guest physical address ... and the value of bits
 * 5:3 (EPT memory type) is 2, 3, or 7 (these values are reserved)." */
static void reserved_memory_types_are_misconfigured(void **state)
{
	u32 level, type, ignore_pat;

	(void)state;
	for (level = 1; level <= 3; level++) {
		for (type = 0; type < 16; type++) {
			bool reserved = (type & 7) == 2 || (type & 7) == 3 || (type & 7) == 7;

			ignore_pat = type & 8;
			chain_make(&chain, level, false, CHAIN_FEATURES);
			*chain.entry[level] &= ~(u64)BITS(6, 3);
			*chain.entry[level] |= (u64)(type & 7) << 3 | ignore_pat << 3;
			assert_int_equal(chain_walk(&chain, NEPT_R),
					 reserved ? NEPT_WALK_MISCONFIG : NEPT_WALK_OK);
		}
	}
}

/* "Prioritization of EPT Misconfigurations and EPT Violations": each entry is checked as it is met;
 * privileges only after the last. A misconfiguration below an entry that denies the access comes
 * first; below an entry that is not present nothing is looked at. */
static void misconfiguration_goes_before_denied_access(void **state)
{
	(void)state;
	chain_make(&chain, 1, false, CHAIN_FEATURES);
	*chain.entry[4] &= ~(u64)NEPT_W;
	*chain.entry[1] |= BIT(45);
	assert_int_equal(chain_walk(&chain, NEPT_W), NEPT_WALK_MISCONFIG);
	*chain.entry[2] = 0;
	assert_int_equal(chain_walk(&chain, NEPT_W), NEPT_WALK_VIOLATION);
}

/* Four levels translate 48 bits; the manual makes an access beyond them an EPT violation. */
static void addresses_beyond_48_bits_are_violations(void **state)
{
	(void)state;
	chain_make(&chain, 1, false, CHAIN_FEATURES);
	assert_int_equal(
		nept_walk(&chain.source, PA3(CHAIN_ADDRESS | BIT(48)), NEPT_R, &chain.walk),
		NEPT_WALK_VIOLATION);
	assert_int_equal(chain.walk.rights, 0);
}

/* Absent memory reads as all ones, which is no valid entry at any level. */
static void tables_in_absent_memory_are_misconfigured(void **state)
{
	u32 level;

	(void)state;
	for (level = 2; level <= 4; level++) {
		chain_make(&chain, 1, true, CHAIN_FEATURES);
		*chain.entry[level] = 0x7000000000ULL | 7;
		assert_int_equal(chain_walk(&chain, NEPT_R), NEPT_WALK_MISCONFIG);
	}
	chain_make(&chain, 1, true, CHAIN_FEATURES);
	chain.source.root.table = PA2(0x7000000000ULL);
	assert_int_equal(chain_walk(&chain, NEPT_R), NEPT_WALK_MISCONFIG);
}

/* "Whenever the processor uses an EPT paging-structure entry as part of guest-physical-address
 * translation, it sets the accessed flag in that entry (if it is not already set)." "Whenever there
 * is a write to a guest-physical address, the processor sets the dirty flag ... in the EPT
 * paging-structure entry that identifies the final physical address". */
static void accessed_and_dirty_flags_are_set(void **state)
{
	u32 leaf, level;

	(void)state;
	for (leaf = 1; leaf <= 3; leaf++) {
		chain_make(&chain, leaf, true, CHAIN_FEATURES);
		assert_int_equal(chain_walk(&chain, NEPT_R), NEPT_WALK_OK);
		assert_false(chain.walk.dirty);
		for (level = leaf; level <= 4; level++)
			assert_int_equal(*chain.entry[level] & BITS(9, 8), BIT(8));
		assert_int_equal(chain_walk(&chain, NEPT_R | NEPT_W), NEPT_WALK_OK);
		assert_true(chain.walk.dirty);
		for (level = leaf; level <= 4; level++)
			assert_int_equal(*chain.entry[level] & BITS(9, 8),
					 level == leaf ? BITS(9, 8) : BIT(8));
		/* "These flags are sticky". */
		assert_int_equal(chain_walk(&chain, NEPT_R), NEPT_WALK_OK);
		assert_true(chain.walk.dirty);
	}
}

/* "Accessed and dirty flags for EPT are enabled ... if bit 6 of the EPTP is 1"; and an access that
 * is not allowed marks nothing. */
static void flags_are_left_alone_without_need(void **state)
{
	u32 level;

	(void)state;
	chain_make(&chain, 1, false, CHAIN_FEATURES);
	assert_int_equal(chain_walk(&chain, NEPT_W), NEPT_WALK_OK);
	assert_true(chain.walk.dirty);
	for (level = 1; level <= 4; level++)
		assert_int_equal(*chain.entry[level] & BITS(9, 8), 0);

	chain_make(&chain, 1, true, CHAIN_FEATURES);
	*chain.entry[1] &= ~(u64)NEPT_W;
	assert_int_equal(chain_walk(&chain, NEPT_W), NEPT_WALK_VIOLATION);
	*chain.entry[1] |= BIT(45);
	assert_int_equal(chain_walk(&chain, NEPT_R), NEPT_WALK_MISCONFIG);
	for (level = 1; level <= 4; level++)
		assert_int_equal(*chain.entry[level] & BITS(9, 8), 0);
}

/* Flags are set atomically: an entry that changed since it was checked is checked again. */
static void an_entry_changed_meanwhile_is_walked_again(void **state)
{
	(void)state;
	chain_make(&chain, 1, true, CHAIN_FEATURES);
	chain.memory.races = 1;
	chain.memory.race_flips = BIT(62);
	assert_int_equal(chain_walk(&chain, NEPT_W), NEPT_WALK_OK);
	assert_int_equal(*chain.entry[4] & (BIT(62) | BITS(9, 8)), BIT(62) | BIT(8));

	/* The other CPU takes the right away between check and flag. */
	chain_make(&chain, 1, true, CHAIN_FEATURES);
	chain.memory.races = 1;
	chain.memory.race_flips = NEPT_W;
	assert_int_equal(chain_walk(&chain, NEPT_W), NEPT_WALK_VIOLATION);
	assert_int_equal(*chain.entry[1] & BIT(9), 0);

	/* ... or the entry: nothing of the first round is told. */
	chain_make(&chain, 1, true, CHAIN_FEATURES);
	chain.memory.races = 1;
	chain.memory.race_flips = NEPT_RWX;
	assert_int_equal(chain_walk(&chain, NEPT_R), NEPT_WALK_VIOLATION);
	assert_int_equal(chain.walk.rights, 0);

	/* One that never stops cannot keep L1 in a loop. */
	chain_make(&chain, 1, true, CHAIN_FEATURES);
	chain.memory.races = ~0U;
	chain.memory.race_flips = BIT(62);
	assert_int_equal(chain_walk(&chain, NEPT_R), NEPT_WALK_RETRY);
}

/* An entry that is its own table, at every level, is flagged like any other. */
static void a_table_that_leads_to_itself_is_flagged(void **state)
{
	u64 address = 0x1ffULL << 39 | 0x1ffULL << 30 | 0x1ffULL << 21 | 0x1ffULL << 12;
	u64 *entry = &chain.memory.page[0][511];

	(void)state;
	chain_make(&chain, 1, true, CHAIN_FEATURES);
	*entry = fake_page_address(0) | 7;
	assert_int_equal(nept_walk(&chain.source, PA3(address), NEPT_W, &chain.walk), NEPT_WALK_OK);
	assert_int_equal(*entry & BITS(9, 8), BITS(9, 8));
	assert_int_equal(chain.walk.pa2.v, fake_page_address(0));
}

/* "Exit Qualification for EPT Violations": bits 2:0 tell the access, bits 5:3 are "the logical-AND
 * of bit 0 [1, 2] in the EPT paging-structure entries used to translate the guest-physical
 * address"; "bits 5:3 are cleared to 0 if any of [them] is not present"; bit 7 and 8 tell of the
 * linear address, bit 12 of NMI unblocking. */
static void a_violation_tells_what_l2s_entries_say(void **state)
{
	u64 hardware = BIT(12) | BIT(8) | BIT(7) | BIT(5) | BIT(3) | BIT(1);

	(void)state;
	assert_int_equal(nept_format_ept.violation(hardware, NEPT_R | NEPT_X),
			 BIT(12) | BIT(8) | BIT(7) | BIT(5) | BIT(3) | BIT(1));
	assert_int_equal(nept_format_ept.violation(hardware, NEPT_R),
			 BIT(12) | BIT(8) | BIT(7) | BIT(3) | BIT(1));
	assert_int_equal(nept_format_ept.violation(hardware, 0),
			 BIT(12) | BIT(8) | BIT(7) | BIT(1));
	assert_int_equal(nept_format_ept.violation(BIT(2) | BIT(6), NEPT_RWX), BITS(5, 2));
	/* "If such an access causes an EPT violation, the processor sets both bit 0 and bit 1". */
	assert_int_equal(nept_format_ept.access(BIT(7) | BITS(1, 0)), NEPT_R | NEPT_W);
	assert_int_equal(nept_format_ept.access(BIT(8) | BIT(7) | BIT(2)), NEPT_X);
}

/* "Extended-Page-Table Pointer (EPTP)": 2:0 memory type (6 = write-back), 5:3 "1 less than the EPT
 * page-walk length", 6 accessed and dirty flags, 51:12 the address of the PML4 table. */
static void the_root_pointer_is_an_eptp(void **state)
{
	struct nept_root23 root = nept_format_ept.root23(0xabcdef000ULL | 0x5e);

	(void)state;
	assert_int_equal(nept_format_ept.root_pointer(PA1(0x12345000), false), 0x12345000 | 0x1e);
	assert_int_equal(nept_format_ept.root_pointer(PA1(0x12345000), true), 0x12345000 | 0x5e);
	assert_int_equal(root.table.v, 0xabcdef000ULL);
	assert_true(root.tracks);
	assert_false(nept_format_ept.root23(0xabcdef000ULL | 0x1e).tracks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_of_each_size_are_translated),
		cmocka_unit_test(an_entry_that_is_not_present_is_a_violation),
		cmocka_unit_test(a_right_must_be_in_every_entry),
		cmocka_unit_test(rights_of_all_levels_are_combined),
		cmocka_unit_test(rights_that_do_not_exist_are_misconfigured),
		cmocka_unit_test(reserved_bits_are_misconfigured),
		cmocka_unit_test(a_page_size_that_is_not_offered_is_misconfigured),
		cmocka_unit_test(reserved_memory_types_are_misconfigured),
		cmocka_unit_test(misconfiguration_goes_before_denied_access),
		cmocka_unit_test(addresses_beyond_48_bits_are_violations),
		cmocka_unit_test(tables_in_absent_memory_are_misconfigured),
		cmocka_unit_test(accessed_and_dirty_flags_are_set),
		cmocka_unit_test(flags_are_left_alone_without_need),
		cmocka_unit_test(an_entry_changed_meanwhile_is_walked_again),
		cmocka_unit_test(a_table_that_leads_to_itself_is_flagged),
		cmocka_unit_test(a_violation_tells_what_l2s_entries_say),
		cmocka_unit_test(the_root_pointer_is_an_eptp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
