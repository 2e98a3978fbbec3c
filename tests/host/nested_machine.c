/*
 * Nested VMX on the host; see nested_machine.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "nested-ept/ept.h"
#include "shadow-vmcs/vmcs_hw.h"
#include "shadow-vmcs/vmx_insn_simple.h"
#include "tests/host/entry.h"
#include "tests/host/nested_machine.h"

#define POOL_PAGES  256
#define POOL12_AT   0x50000000ULL
#define POOL13_AT   0x60000000ULL
#define EPTP12      (POOL12_AT | EPTP_WALK_4 | MEMTYPE_WB)
#define BITMAPS_AT  0x70000000ULL
#define REVISION_AT 0

struct nested_machine machine;

static u8 pool12_pages[16 * PAGE_SIZE] __attribute__((aligned(4096)));
static u8 pool13_pages[POOL_PAGES * PAGE_SIZE] __attribute__((aligned(4096)));
static struct nept_pool pool12, pool13;
static struct nept_table ept12;
static struct bitmap_page bitmaps[8];
static u8 rows_offered[VMCS_ENCODINGS];
static struct vmx_caps platform;
static void (*entry_stub)(struct vcpu *vcpu);

void vmx_resume(struct vcpu *vcpu)
{
	(void)vcpu;
	fail_msg("an entry stub is only chosen, never called");
}

void vmx_launch(struct vcpu *vcpu)
{
	vmx_resume(vcpu);
}

/* --- The core. --- */

static bool is_ram(pa2_t at, u64 length)
{
	return at.v <= L2_MEMORY && length <= L2_MEMORY - at.v;
}

static bool read_l2(pa2_t at, void *to, u64 length)
{
	if (!is_ram(at, length))
		return false;
	memcpy(to, machine.memory + at.v, length);
	return true;
}

static bool write_l2(pa2_t at, const void *from, u64 length)
{
	if (!is_ram(at, length))
		return false;
	memcpy(machine.memory + at.v, from, length);
	return true;
}

static const void *pointer_to_l2(pa2_t at)
{
	assert_true(is_ram(at, PAGE_SIZE));
	return machine.memory + at.v;
}

static void read_or_ones(void *ctx, pa2_t at, void *to, size_t size)
{
	(void)ctx;
	if (!read_l2(at, to, size))
		memset(to, 0xff, size);
}

static u64 *entry_of_l2(void *ctx, pa2_t at)
{
	(void)ctx;
	return is_ram(at, sizeof(u64)) ? (u64 *)(void *)(machine.memory + at.v) : NULL;
}

static const struct nept_memory l2_entries = { .entry = entry_of_l2 };

static bool never_there(pa2_t at, u32 rights)
{
	(void)at;
	(void)rights;
	return false;
}

static struct nested_msr *find_msr(u32 index)
{
	for (u32 i = 0; i < NESTED_MSRS; i++)
		if (machine.msr[i].index == index)
			return &machine.msr[i];
	return NULL;
}

static bool read_msr(u32 index, u64 *value)
{
	struct nested_msr *msr = find_msr(index);

	if (msr)
		*value = msr->value;
	return msr;
}

static bool write_msr(u32 index, u64 value)
{
	struct nested_msr *msr = find_msr(index);

	/* What would change L1's own mode is not for L2 to write. */
	assert_int_not_equal(index, MSR_EFER);
	if (msr)
		msr->value = value;
	return msr;
}

static void end_l2(const char *sentence)
{
	if (!machine.on_abort)
		fail_msg("%s", sentence);
	longjmp(*machine.on_abort, 1);
}

static const struct vmx_core core = {
	.read = read_l2,
	.write = write_l2,
	.is_ram = is_ram,
	.pointer = pointer_to_l2,
	.touch = never_there,
	.memory = &l2_entries,
	.rdmsr = read_msr,
	.wrmsr = write_msr,
	.absent = { ABSENT_PAGE },
	.eptp12 = EPTP12,
	.physical_bits = NESTED_WIDTH,
	.abort = end_l2,
};

/* --- Start, as the core does it. --- */

static void put64(u64 at, u64 value)
{
	memcpy(machine.memory + at, &value, sizeof(value));
}

/* L2's page tables map all to itself, with a page of 1 GiB; so do its EPTs for L3. */
static void make_tables(void)
{
	put64(L2_PML4, L2_PDPT | PTE_P | PTE_W);
	put64(L2_PDPT, PTE_P | PTE_W | PTE_PS);
	for (u32 i = 0; i < L2_EPTS; i++) {
		put64(L2_EPT(i), (L2_EPT(i) + PAGE_SIZE) | NEPT_RWX);
		put64(L2_EPT(i) + PAGE_SIZE, NEPT_RWX | EPT_LEAF | MEMTYPE_WB << EPT_TYPE_SHIFT);
	}
}

static void make_stage2(void)
{
	struct nept_features features = { .physical_bits = NESTED_WIDTH,
					  .max_shift = NEPT_SHIFT_1G,
					  .execute_only = true };
	struct nept_cache_config config = { .format = &nept_format_ept,
					    .memory = l2_entries,
					    .lookup12 = { &ept12, nept_table_find },
					    .pool = &pool13 };
	struct nept_range ram = { PA2(0), PA1(0), L2_MEMORY, NEPT_RWX, MEMTYPE_WB };
	struct nept_range own = { PA2(L1_OWN), PA1(ABSENT_PAGE), L1_OWN_END - L1_OWN,
				  NEPT_R | NEPT_X, MEMTYPE_WB };

	nept_pool_init(&pool12, pool12_pages, PA1(POOL12_AT), sizeof(pool12_pages) / PAGE_SIZE);
	nept_pool_init(&pool13, pool13_pages, PA1(POOL13_AT), POOL_PAGES);
	assert_true(nept_table_init(&ept12, &nept_format_ept, &pool12));
	assert_true(nept_map(&ept12, &ram, NEPT_SHIFT_2M));
	assert_true(nept_map_scratch(&ept12, &own));
	nept_format_ept.make_rules(&features, &config.rules);
	assert_true(nept_cache_init(&machine.n.cache, &config));
}

static void make_pages(struct vmx_nested *n)
{
	memset(bitmaps, 0, sizeof(bitmaps));
	n->vmread_bitmap = &bitmaps[0];
	n->vmwrite_bitmap = &bitmaps[1];
	n->msr_bitmap12 = &bitmaps[2];
	n->msr_bitmap13 = &bitmaps[3];
	n->io_bitmaps12 = &bitmaps[4];
	n->io_bitmaps13 = &bitmaps[6];
	n->msr_bitmap13_at = PA1(BITMAPS_AT);
	n->io_bitmaps13_at = PA1(BITMAPS_AT + PAGE_SIZE);
	memset(n->msr_bitmap13, 0xff, PAGE_SIZE);
	bitmap_set(&n->io_bitmaps12[0], 0xf4);
	memcpy(n->io_bitmaps13, n->io_bitmaps12, 2 * PAGE_SIZE);
	n->rows_offered = rows_offered;
}

static void make_vmcss(struct vmx_nested *n)
{
	for (u32 i = 0; i < VMX_SLOTS; i++) {
		n->slot[i].at = NO_VMCS;
		n->slot[i].vmcs13 = (struct hw_vmcs){ fake_vmcs_new(), vmx_launch };
		n->slot[i].shadow = (struct hw_vmcs){ fake_vmcs_new(), vmx_launch };
		fake_vmcs_at(n->slot[i].vmcs13.region)->fields.f[F_LINK_POINTER] = ~0ULL;
	}
	for (u32 i = 0; i < VMX_VPIDS; i++)
		n->vpid23[i] = ~0U;
	n->vmcs12 = (struct hw_vmcs){ fake_vmcs_new(), vmx_launch };
	vmx_load(n, &n->vmcs12);
	n->vmcs12.enter = vmx_resume;
}

/* The controls of vmcs12, and L2 in 64-bit mode at CPL 0. */
static void make_vmcs12(struct vmx_nested *n)
{
	struct vmcs_fields *v = &n->v12;
	struct entry e;

	vmcs_set(v, PIN_CONTROLS, vmx_cap_must(&platform, MSR_VMX_TRUE_PINBASED_CTLS));
	vmcs_set(v, PROC_CONTROLS,
		 vmx_cap_must(&platform, MSR_VMX_TRUE_PROCBASED_CTLS) | PROC_MSR_BITMAPS |
			 PROC_IO_BITMAPS | PROC_SECONDARY);
	vmcs_set(v, EXIT_CONTROLS,
		 vmx_cap_must(&platform, MSR_VMX_TRUE_EXIT_CTLS) | EXIT_HOST_64 | EXIT_SAVE_DEBUG |
			 EXIT_SAVE_EFER | EXIT_LOAD_EFER);
	vmcs_set(v, ENTRY_CONTROLS,
		 vmx_cap_must(&platform, MSR_VMX_TRUE_ENTRY_CTLS) | ENTRY_LOAD_DEBUG |
			 ENTRY_LOAD_EFER);
	vmcs_set(v, EPTP, EPTP12);
	entry_64(&e);
	for (int row = 0; row < VMCS_ROWS; row++)
		fake_vmx.current->fields.f[row] =
			vmcs_table[row].type == VMCS_TYPE_GUEST ? e.v.f[row] : v->f[row];
	vmcs_write(ENTRY_CONTROLS, vmcs_get(v, ENTRY_CONTROLS) | ENTRY_GUEST_64);
	vmcs_write(CR0_SHADOW, vmcs_read(GUEST_CR0));
	vmcs_write(GUEST_CR3, L2_PML4);
	vmcs_write(GUEST_CR4, CR4_PAE | CR4_VMXE);
	vmcs_write(CR4_MASK, CR4_VMXE);
	vmcs_write(CR4_SHADOW, CR4_PAE | CR4_VMXE);
}

void nested_set_ways(const struct nested_ways *ways)
{
	struct vmx_nested *n = &machine.n;
	struct vmx_offer offer = { .ept = !ways->no_ept };
	struct vmcs_expose set;
	const char *bad;
	size_t length;
	u32 vpid = ways->flush ? 0 : PROC2_VPID;

	vmx_caps_offer(&platform, &offer, &n->offered);
	n->ways.access = ways->shadow ? &vmx_access_shadow : &vmx_access_trap;
	n->ways.full = ways->full;
	n->ways.flush = ways->flush;
	assert_int_equal(vmcs_expose_set("all", 3, &set, &bad, &length), VMCS_EXPOSE_OK);
	if (!ways->shadow)
		assert_int_equal(vmcs_expose_set("none", 4, &set, &bad, &length), VMCS_EXPOSE_OK);
	vmx_caps_limit_expose(&n->offered, &set);
	vmx_exposure_make(&n->exposure, &set);
	vmcs_expose_bitmaps(&set, n->vmread_bitmap, n->vmwrite_bitmap);
	vmx_slot_offer(n);
	vmcs_set(&n->v12, PROC_CONTROLS2,
		 PROC2_EPT | PROC2_UNRESTRICTED_GUEST | PROC2_RDTSCP | PROC2_INVPCID |
			 PROC2_XSAVES | vpid);
	vmcs_write(PROC_CONTROLS2, vmcs_get(&n->v12, PROC_CONTROLS2));
	vmcs_write(LINK_POINTER, ~0ULL);
}

void nested_init(const struct nested_ways *ways)
{
	struct vmx_nested *n = &machine.n;

	memset(&machine, 0, sizeof(machine));
	fake_vmx_reset();
	entry_platform(&platform);
	machine.level = 2;
	machine.regs.r[REG_RSP] = REG_RSP_POISON;
	n->regs = &machine.regs;
	n->fault = &machine.fault;
	n->level = &machine.level;
	n->enter = &entry_stub;
	n->core = &core;
	n->platform = &platform;
	n->enabled = true;
	n->env = (struct vmx_check_env){
		.physical_reserved = ~BITS(NESTED_WIDTH - 1, 0),
		.linear_width = 48,
		.efer_allowed = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE,
		.debugctl_allowed = BITS(15, 6) | BITS(1, 0),
		.read = read_or_ones,
	};
	make_tables();
	make_stage2();
	make_pages(n);
	make_vmcss(n);
	make_vmcs12(n);
	nested_set_ways(ways);
}

/* --- What L2 does. --- */

/* The VM-exit instruction information of an operand at L2_OPERAND, DS-relative without registers,
 * in 64-bit code, with RAX as the second operand; and of two registers, RCX and RAX. */
#define INFO_MEMORY    (2U << 7 | 3U << 15 | BIT32(22) | BIT32(27))
#define INFO_REGISTERS (OPERAND_IS_REGISTER | 1U << 3)

/* The entry by the stub that L1 chose: VMLAUNCH needs a clear VMCS, VMRESUME a launched one. */
static void hardware_enters(void)
{
	assert_ptr_equal(entry_stub, fake_vmx.current->launched ? vmx_resume : vmx_launch);
	fake_vmx.current->launched = true;
	entry_stub = vmx_resume;
}

/* The three that are executed most have a short way, as in the core's table of handlers. */
static enum outcome emulate(u32 reason)
{
	switch (reason) {
	case VMX_EXIT_VMREAD:
		return vmx_insn_vmread(&machine.n);
	case VMX_EXIT_VMWRITE:
		return vmx_insn_vmwrite(&machine.n);
	case VMX_EXIT_VMRESUME:
		return vmx_insn_vmresume(&machine.n);
	default:
		return vmx_insn(&machine.n, reason);
	}
}

enum outcome l2_executes(u32 reason, u32 info, u64 displacement)
{
	enum outcome outcome;

	assert_int_equal(machine.level, 2);
	assert_ptr_equal(fake_vmx.current, fake_vmcs_at(machine.n.vmcs12.region));
	vmcs_write(EXIT_REASON, reason);
	vmcs_write(EXIT_QUALIFICATION, displacement);
	vmcs_write(EXIT_INSN_INFO, info);
	outcome = emulate(reason);
	assert_int_equal(outcome == OUTCOME_RESUME, machine.level == 3);
	if (machine.level == 3)
		assert_ptr_equal(fake_vmx.current, l3_vmcs());
	else
		assert_ptr_equal(fake_vmx.current, fake_vmcs_at(machine.n.vmcs12.region));
	if (machine.level == 3 && machine.nmi)
		vmx_reflect_nmi(&machine.n);
	hardware_enters();
	return outcome;
}

static enum outcome execute(u32 reason, u32 info)
{
	return l2_executes(reason, info, L2_OPERAND);
}

enum outcome l2_pointer(u32 reason, u64 pointer)
{
	put64(L2_OPERAND, pointer);
	return execute(reason, INFO_MEMORY);
}

enum outcome l2_invalidate(u32 reason, u64 type, u64 first, u64 second)
{
	put64(L2_OPERAND, first);
	put64(L2_OPERAND + 8, second);
	machine.regs.r[REG_RAX] = type;
	return execute(reason, INFO_MEMORY);
}

/* Where an access by L2 goes without an exit, or NULL. */
static u64 *shadowed(int row, const struct bitmap_page *bitmap)
{
	if (!(vmcs_read(PROC_CONTROLS2) & PROC2_VMCS_SHADOWING) ||
	    bitmap_test(bitmap, vmcs_table[row].encoding))
		return NULL;
	return &fake_vmcs_at(PA1(vmcs_read(LINK_POINTER)))->fields.f[row];
}

void l2_vmwrite(int row, u64 value)
{
	u64 *field = shadowed(row, machine.n.vmwrite_bitmap);

	if (field) {
		*field = value & vmcs_value_mask(row);
		return;
	}
	machine.regs.r[REG_RAX] = vmcs_table[row].encoding;
	machine.regs.r[REG_RCX] = value;
	assert_int_equal(execute(VMX_EXIT_VMWRITE, INFO_REGISTERS), OUTCOME_VMSUCCEED);
}

u64 l2_vmread(int row)
{
	const u64 *field = shadowed(row, machine.n.vmread_bitmap);

	if (field)
		return *field;
	machine.regs.r[REG_RAX] = vmcs_table[row].encoding;
	assert_int_equal(execute(VMX_EXIT_VMREAD, INFO_REGISTERS), OUTCOME_VMSUCCEED);
	return machine.regs.r[REG_RCX];
}

/* A vmcs23 that passes the checks, with nothing intercepted that need not be. */
static void make_v23(struct vmcs_fields *v, u32 i)
{
	struct entry e;

	entry_64(&e);
	*v = e.v;
	vmcs_set(v, PIN_CONTROLS, vmx_cap_must(&machine.n.offered, MSR_VMX_TRUE_PINBASED_CTLS));
	vmcs_set(v, PROC_CONTROLS,
		 vmx_cap_must(&machine.n.offered, MSR_VMX_TRUE_PROCBASED_CTLS) | PROC_IO_BITMAPS |
			 PROC_MSR_BITMAPS | PROC_SECONDARY);
	vmcs_set(v, PROC_CONTROLS2,
		 vmx_cap_may(&machine.n.offered, MSR_VMX_PROCBASED_CTLS2) &
			 (PROC2_EPT | PROC2_VPID));
	vmcs_set(v, IO_BITMAP_A, L2_IO_BITMAP_A);
	vmcs_set(v, IO_BITMAP_B, L2_IO_BITMAP_B);
	vmcs_set(v, MSR_BITMAP, L2_MSR_BITMAP);
	vmcs_set(v, VIRTUAL_APIC_ADDR, L2_VIRTUAL_APIC);
	vmcs_set(v, APIC_ACCESS_ADDR, L2_VIRTUAL_APIC);
	vmcs_set(v, TPR_THRESHOLD, 0);
	vmcs_set(v, EPTP, L2_EPT(i % L2_EPTS) | EPTP_WALK_4 | MEMTYPE_WB);
	vmcs_set(v, VPID, i + 1);
	vmcs_set(v, GUEST_CR3, L2_PML4);
	vmcs_set(v, HOST_CR3, L2_PML4);
}

void l2_make_vmcs(u32 i)
{
	struct vmcs_fields v;
	u64 at = L2_VMCS(i);

	assert_int_equal(l2_pointer(VMX_EXIT_VMCLEAR, at), OUTCOME_VMSUCCEED);
	put64(at + REVISION_AT, VMX_CAPS_REVISION);
	assert_int_equal(l2_pointer(VMX_EXIT_VMPTRLD, at), OUTCOME_VMSUCCEED);
	make_v23(&v, i);
	for (int row = 0; row < VMCS_ROWS; row++)
		if (vmcs_table[row].type != VMCS_TYPE_INFO &&
		    vmx_caps_field_exists(&machine.n.offered, row))
			l2_vmwrite(row, v.f[row]);
}

void l2_start(u32 i)
{
	put64(L2_VMXON, VMX_CAPS_REVISION);
	assert_int_equal(l2_pointer(VMX_EXIT_VMXON, L2_VMXON), OUTCOME_VMSUCCEED);
	l2_make_vmcs(i);
}

enum outcome l2_enter(bool launch)
{
	return execute(launch ? VMX_EXIT_VMLAUNCH : VMX_EXIT_VMRESUME, 0);
}

/* --- What the hardware does. --- */

struct fake_vmcs *l3_vmcs(void)
{
	return fake_vmcs_at(machine.n.current->vmcs13.region);
}

/* SDM 3C "Recording VM-Exit Information and Updating VM-Entry Control Fields" (28.2). */
static void record_exit(u32 reason, u64 qualification)
{
	assert_int_equal(machine.level, 3);
	assert_ptr_equal(fake_vmx.current, l3_vmcs());
	vmcs_write(EXIT_REASON, reason);
	vmcs_write(EXIT_QUALIFICATION, qualification);
	vmcs_write(ENTRY_INTR_INFO, vmcs_read(ENTRY_INTR_INFO) & ~INTR_INFO_VALID);
	vmcs_write(IDT_VECTORING_INFO, 0);
}

bool l3_exits(u32 reason, u64 qualification)
{
	record_exit(reason, qualification);
	if (!vmx_l2_wants(&machine.n, reason))
		return false;
	vmx_reflect(&machine.n, reason);
	assert_int_equal(machine.level, 2);
	return true;
}

bool l3_misses(u64 address, u64 access)
{
	record_exit(VMX_EXIT_EPT_VIOLATION,
		    access | EPT_VIOLATION_LINEAR_VALID | EPT_VIOLATION_TRANSLATED);
	vmcs_write(GUEST_PHYSICAL_ADDRESS, address);
	assert_false(vmx_l2_wants(&machine.n, VMX_EXIT_EPT_VIOLATION));
	return vmx_stage2_miss(&machine.n, VMX_EXIT_EPT_VIOLATION) == OUTCOME_REFLECT;
}
