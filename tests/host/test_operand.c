/*
 * Operands of L2's VMX instructions: registers, effective addresses, segmentation, paging, and what
 * faults with which error code, SDM 3C "Information for VM Exits Due to Instruction Execution"
 * (28.2.5), SDM 3A chapters "Protection" and "Paging".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "shadow-vmcs/vmcs_hw.h"
#include "shadow-vmcs/vmx_operand.h"
#include "tests/host/nested_machine.h"

#define ADDRESS_16 (0U << 7)
#define ADDRESS_32 (1U << 7)
#define ADDRESS_64 (2U << 7)
#define SEGMENT(n) ((n) << 15)
#define NO_INDEX   BIT32(22)
#define NO_BASE    BIT32(27)
#define INDEX(n)   ((n) << 18)
#define BASE(n)    ((n) << 23)
#define PLAIN      (NO_INDEX | NO_BASE)

enum { ES, CS, SS, DS, FS, GS };

#define AT    0x20000ULL
#define VALUE 0x1122334455667788ULL

static int setup(void **state)
{
	const struct nested_ways ways = { 0 };

	(void)state;
	nested_init(&ways);
	return 0;
}

/* 32-bit code in IA-32e mode's compatibility sub-mode, so that L2's page tables can stay. */
static int setup_32(void **state)
{
	setup(state);
	vmcs_write(GUEST_CS_AR, 0xc09b);
	return 0;
}

static void put(u64 at, u64 value)
{
	memcpy(machine.memory + at, &value, sizeof(value));
}

static u64 get(u64 at)
{
	u64 value;

	memcpy(&value, machine.memory + at, sizeof(value));
	return value;
}

static bool read(u32 info, u64 displacement, u64 *value)
{
	vmcs_write(EXIT_QUALIFICATION, displacement);
	memset(&machine.fault, 0, sizeof(machine.fault));
	return vmx_operand_read(&machine.n, info, value, sizeof(*value));
}

static bool write(u32 info, u64 displacement, u64 value)
{
	vmcs_write(EXIT_QUALIFICATION, displacement);
	memset(&machine.fault, 0, sizeof(machine.fault));
	return vmx_operand_write(&machine.n, info, &value, sizeof(value));
}

static void expect_read(u32 info, u64 displacement)
{
	u64 value = 0;

	assert_true(read(info, displacement, &value));
	assert_int_equal(value, VALUE);
}

static void expect_fault(u32 info, u64 displacement, u8 vector)
{
	u64 value;

	assert_false(read(info, displacement, &value));
	assert_int_equal(machine.fault.vector, vector);
	assert_true(machine.fault.has_error_code);
	assert_int_equal(machine.fault.error_code, 0);
}

static void test_registers(void **state)
{
	(void)state;
	for (u32 number = 0; number < 16; number++)
		vmx_operand_set_reg(&machine.n, number, VALUE + number, true);
	assert_int_equal(vmcs_read(GUEST_RSP), VALUE + 4);
	assert_int_equal(machine.regs.r[REG_RBP], VALUE + 5);
	assert_int_equal(machine.regs.r[REG_R15], VALUE + 15);
	for (u32 number = 0; number < 16; number++)
		assert_int_equal(vmx_operand_reg(&machine.n, number), VALUE + number);
	/* "32-bit operands generate a 32-bit result, zero-extended". */
	vmx_operand_set_reg(&machine.n, 4, VALUE, false);
	vmx_operand_set_reg(&machine.n, 1, VALUE, false);
	assert_int_equal(vmcs_read(GUEST_RSP), (u32)VALUE);
	assert_int_equal(machine.regs.r[REG_RCX], (u32)VALUE);
}

/* Base + index * scale + displacement, "truncated to the address size". */
static void test_effective_addresses(void **state)
{
	(void)state;
	put(AT, VALUE);
	machine.regs.r[REG_RBX] = 0x10000;
	machine.regs.r[REG_RSI] = 0x2000;
	vmcs_write(GUEST_RSP, AT - 0x40);
	expect_read(ADDRESS_64 | SEGMENT(DS) | PLAIN, AT);
	expect_read(ADDRESS_64 | SEGMENT(DS) | NO_INDEX | BASE(3), AT - 0x10000);
	expect_read(ADDRESS_64 | SEGMENT(DS) | NO_BASE | INDEX(6), AT - 0x2000);
	for (u32 scale = 0; scale < 4; scale++)
		expect_read(scale | ADDRESS_64 | SEGMENT(DS) | BASE(3) | INDEX(6),
			    AT - 0x10000 - (0x2000ULL << scale));
	expect_read(ADDRESS_64 | SEGMENT(SS) | NO_INDEX | BASE(4), 0x40);
	/* Displacements are sign-extended. */
	machine.regs.r[REG_RBX] = AT + 8;
	expect_read(ADDRESS_64 | SEGMENT(DS) | NO_INDEX | BASE(3), -8ULL);
	machine.regs.r[REG_RBX] = 0xdead00000000ULL | AT;
	expect_read(ADDRESS_32 | SEGMENT(DS) | NO_INDEX | BASE(3), 0);
}

/* "In 64-bit mode ... the bases of CS, DS, ES, SS are treated as zero", those of FS and GS not. */
static void test_bases_in_64_bit_code(void **state)
{
	(void)state;
	put(AT, VALUE);
	vmcs_write(GUEST_DS_BASE, 0x5000);
	vmcs_write(GUEST_FS_BASE, AT);
	vmcs_write(GUEST_GS_BASE, AT - 8);
	expect_read(ADDRESS_64 | SEGMENT(DS) | PLAIN, AT);
	expect_read(ADDRESS_64 | SEGMENT(FS) | PLAIN, 0);
	expect_read(ADDRESS_64 | SEGMENT(GS) | PLAIN, 8);
}

/* #GP(0) "if the memory address is in a non-canonical form", for SS #SS(0). */
static void test_canonical_addresses(void **state)
{
	(void)state;
	expect_fault(ADDRESS_64 | SEGMENT(DS) | PLAIN, 0x800000000000ULL, EXC_GP);
	expect_fault(ADDRESS_64 | SEGMENT(SS) | PLAIN, 0x800000000000ULL, EXC_SS);
	/* The last byte counts. */
	expect_fault(ADDRESS_64 | SEGMENT(DS) | PLAIN, 0x7ffffffffffcULL, EXC_GP);
	vmcs_write(GUEST_FS_BASE, 0x7ffffffff000ULL);
	expect_fault(ADDRESS_64 | SEGMENT(FS) | PLAIN, 0x1000, EXC_GP);
}

static void test_segments_in_32_bit_code(void **state)
{
	(void)state;
	put(AT, VALUE);
	vmcs_write(GUEST_DS_BASE, AT - 0x1000);
	vmcs_write(GUEST_DS_LIMIT, 0x1007);
	expect_read(ADDRESS_32 | SEGMENT(DS) | PLAIN, 0x1000);
	expect_fault(ADDRESS_32 | SEGMENT(DS) | PLAIN, 0x1001, EXC_GP);
	expect_fault(ADDRESS_32 | SEGMENT(DS) | PLAIN, 0xfffffffc, EXC_GP);
	machine.regs.r[REG_RBX] = 0xffff1000;
	expect_read(ADDRESS_16 | SEGMENT(DS) | NO_INDEX | BASE(3), 0);
	/* The linear address wraps at 4 GiB. */
	vmcs_write(GUEST_DS_BASE, 0xfffff000);
	vmcs_write(GUEST_DS_LIMIT, 0xffffffff);
	expect_read(ADDRESS_32 | SEGMENT(DS) | PLAIN, AT + 0x1000);
}

/* SDM 3A "Type Checking": what a segment's access rights allow. */
static void test_segment_types(void **state)
{
	static const struct {
		u32 ar;
		bool reads, writes;
	} types[] = {
		{ 0xc093, true, true },   /* data */
		{ 0xc091, true, false },  /* read-only data */
		{ 0xc09b, true, false },  /* readable code */
		{ 0xc099, false, false }, /* code */
		{ 0x1c093, false, false } /* unusable */
	};
	u64 value;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		vmcs_write(GUEST_DS_AR, types[i].ar);
		vmcs_write(GUEST_DS_LIMIT, 0xffffffff);
		assert_int_equal(read(ADDRESS_32 | SEGMENT(DS) | PLAIN, AT, &value),
				 types[i].reads);
		assert_int_equal(write(ADDRESS_32 | SEGMENT(DS) | PLAIN, AT, 0), types[i].writes);
		if (!types[i].writes)
			assert_int_equal(machine.fault.vector, EXC_GP);
	}
	vmcs_write(GUEST_SS_AR, 0x1c093);
	expect_fault(ADDRESS_32 | SEGMENT(SS) | PLAIN, AT, EXC_SS);
}

/* SDM 3A "Limit Checking": of an expand-down segment the bytes above the limit are in it. */
static void test_expand_down(void **state)
{
	u64 value;

	(void)state;
	put(AT, VALUE);
	vmcs_write(GUEST_DS_AR, 0xc097);
	vmcs_write(GUEST_DS_LIMIT, (u32)AT - 1);
	expect_read(ADDRESS_32 | SEGMENT(DS) | PLAIN, AT);
	expect_fault(ADDRESS_32 | SEGMENT(DS) | PLAIN, AT - 1, EXC_GP);
	/* Up to 64 KiB for a 16-bit one. */
	vmcs_write(GUEST_DS_AR, 0x8097);
	vmcs_write(GUEST_DS_LIMIT, 0xfff);
	assert_true(read(ADDRESS_32 | SEGMENT(DS) | PLAIN, 0xfff8, &value));
	expect_fault(ADDRESS_32 | SEGMENT(DS) | PLAIN, 0xfff9, EXC_GP);
}

/* Gives L2 a table with pages of 4 KiB for its first 2 MiB, and returns it. */
static u64 *small_pages(void)
{
	u64 directory = 0x30000, table = 0x31000;

	put(L2_PDPT, directory | PTE_P | PTE_W | PTE_U);
	put(directory, table | PTE_P | PTE_W | PTE_U);
	for (u64 i = 0; i < 512; i++)
		put(table + 8 * i, i * PAGE_SIZE | PTE_P | PTE_W);
	return (u64 *)(void *)(machine.memory + table);
}

static void expect_page_fault(u64 address, u32 error_code)
{
	assert_int_equal(machine.fault.vector, EXC_PF);
	assert_int_equal(machine.fault.error_code, error_code);
	assert_int_equal(machine.fault.address, address);
}

static void test_page_faults(void **state)
{
	u64 *table = small_pages();
	u64 value;

	(void)state;
	table[AT / PAGE_SIZE] = 0;
	assert_false(read(ADDRESS_64 | SEGMENT(DS) | PLAIN, AT + 16, &value));
	expect_page_fault(AT + 16, 0);
	table[AT / PAGE_SIZE] = AT | PTE_P;
	assert_false(write(ADDRESS_64 | SEGMENT(DS) | PLAIN, AT + 16, 0));
	expect_page_fault(AT + 16, PF_P | PF_W);
	table[AT / PAGE_SIZE] = AT | PTE_P | BIT(51);
	assert_false(read(ADDRESS_64 | SEGMENT(DS) | PLAIN, AT, &value));
	expect_page_fault(AT, PF_P | PF_RSVD);
}

/* A store that would fault on its second page leaves the first one alone. */
static void test_operands_on_two_pages(void **state)
{
	u64 *table = small_pages();
	u64 at = AT + PAGE_SIZE - 3;
	u64 value;

	(void)state;
	/* The second page is elsewhere. */
	table[AT / PAGE_SIZE + 1] = (AT + 5 * PAGE_SIZE) | PTE_P | PTE_W;
	assert_true(write(ADDRESS_64 | SEGMENT(DS) | PLAIN, at, VALUE));
	assert_int_equal(get(at) & 0xffffff, VALUE & 0xffffff);
	assert_int_equal(get(AT + 5 * PAGE_SIZE), VALUE >> 24);
	expect_read(ADDRESS_64 | SEGMENT(DS) | PLAIN, at);
	table[AT / PAGE_SIZE + 1] = 0;
	assert_false(write(ADDRESS_64 | SEGMENT(DS) | PLAIN, at, 0));
	expect_page_fault(AT + PAGE_SIZE, PF_W);
	assert_int_equal(get(at) & 0xffffff, VALUE & 0xffffff);
	assert_false(read(ADDRESS_64 | SEGMENT(DS) | PLAIN, at, &value));
	expect_page_fault(AT + PAGE_SIZE, 0);
}

/* Where L2 has no memory, L1's own included, ones are read and what is written is forgotten. */
static void test_absent_memory(void **state)
{
	static const u64 places[] = { L1_OWN, L2_ABSENT };
	u64 value = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		assert_true(write(ADDRESS_64 | SEGMENT(DS) | PLAIN, places[i], VALUE));
		assert_true(read(ADDRESS_64 | SEGMENT(DS) | PLAIN, places[i], &value));
		assert_int_equal(value, ~0ULL);
	}
	put(L1_OWN - 8, VALUE);
	assert_true(read(ADDRESS_64 | SEGMENT(DS) | PLAIN, L1_OWN - 4, &value));
	assert_true(value == ~0ULL || value == (0xffffffff00000000ULL | VALUE >> 32));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_registers, setup),
		cmocka_unit_test_setup(test_effective_addresses, setup),
		cmocka_unit_test_setup(test_bases_in_64_bit_code, setup),
		cmocka_unit_test_setup(test_canonical_addresses, setup),
		cmocka_unit_test_setup(test_segments_in_32_bit_code, setup_32),
		cmocka_unit_test_setup(test_segment_types, setup_32),
		cmocka_unit_test_setup(test_expand_down, setup_32),
		cmocka_unit_test_setup(test_page_faults, setup),
		cmocka_unit_test_setup(test_operands_on_two_pages, setup),
		cmocka_unit_test_setup(test_absent_memory, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
