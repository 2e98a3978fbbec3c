/*
 * Random VMX instructions with random operands, and now and then an entry. What would end this
 * guest itself, as it would on a bare processor, is kept sane: host state, exit MSR lists, and
 * where the inner guest starts, so that it leaves at once.
 */
#include "guests/hostile/fuzz.h"
#include "guests/hostile/random.h"
#include "guests/lib/exceptions.h"
#include "guests/lib/inner.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/string.h"

CODE(fuzz_code, 64, "vmcall");

static struct vmx_region regions[FUZZ_PAGES];

/* Nearly always a field that may exist. */
static u64 random_field(void)
{
	u64 field = random_below(4) << 13 | random_below(4) << 10 | random_below(32) << 1;

	return random_below(32) ? field | (random_below(8) == 0) : random_word();
}

/* A field whose value would end us at the next exit. */
static bool is_deadly(u64 field)
{
	u32 type = (field >> 10) & 3;

	return type == VMCS_TYPE_HOST || (field & ~1ULL) == VMCS_EXIT_MSR_STORE_COUNT ||
	       (field & ~1ULL) == VMCS_EXIT_MSR_LOAD_COUNT || (field & ~1ULL) == VMCS_EXIT_CONTROLS;
}

/* An operand of 16 bytes, or an address where none is. */
static const void *random_operand(void)
{
	static u64 operand[2];

	operand[0] = fuzz_pointer();
	operand[1] = fuzz_value();
	return random_below(16) ? (const void *)operand : (const void *)(fuzz_value() | BIT(63));
}

/* The inner guest leaves at once, whatever else is wrong with it. */
static void make_entry_safe(void)
{
	vmx_vmwrite(VMCS_GUEST_RIP, (u64)fuzz_code);
	vmx_vmwrite(VMCS_GUEST_ACTIVITY, random_below(8) ? VMX_ACTIVE : 4 + random_below(8));
	vmx_vmwrite(VMCS_GUEST_IDTR_LIMIT, 0);
	vmx_vmwrite(VMCS_GUEST_CS_BASE, 0);
}

static bool enter(void)
{
	struct inner_exit exit;

	if (!random_below(4))
		inner_reset(fuzz_code, NULL);
	for (u64 i = random_below(4); i; i--) {
		u64 field = random_field();

		if (!is_deadly(field))
			vmx_vmwrite(field, fuzz_value());
	}
	vmx_vmptrld((u64)&inner_vmcs);
	make_entry_safe();
	if (random_below(2))
		inner_launch(&exit);
	else
		inner_resume(&exit);
	return exit.status == VMX_SUCCEED;
}

#define TRY_OPERAND(text) \
	__asm__ volatile(TRY(text) : : "r"(random_operand()), "r"(fuzz_value()) : "cc", "memory")

static bool execute_one(void)
{
	u64 field = random_field(), value = fuzz_value();

	switch (random_below(12)) {
	case 0:
		TRY_OPERAND("vmxon (%0)");
		break;
	case 1:
		TRY_OPERAND("vmclear (%0)");
		break;
	case 2:
	case 3:
		TRY_OPERAND("vmptrld (%0)");
		break;
	case 4:
		TRY_OPERAND("vmptrst (%0)");
		break;
	case 5:
		__asm__ volatile(TRY("vmread %1, %0") : "+r"(value) : "r"(field) : "cc");
		break;
	case 6:
		if (!is_deadly(field))
			__asm__ volatile(TRY("vmwrite %1, %0") : : "r"(field), "r"(value) : "cc");
		break;
	case 7:
		TRY_OPERAND("invept (%0), %1");
		break;
	case 8:
		TRY_OPERAND("invvpid (%0), %1");
		break;
	case 9:
		__asm__ volatile(TRY("vmfunc") : : "a"(value), "c"(field) : "memory");
		break;
	case 10:
		if (!random_below(8)) {
			__asm__ volatile(TRY("vmxoff") : : : "cc", "memory");
			inner_init();
		}
		break;
	default:
		return enter();
	}
	return false;
}

static void start(void)
{
	inner_init();
	for (u32 i = 0; i < FUZZ_PAGES; i++)
		regions[i].revision = inner_vmxon.revision;
	inner_reset(fuzz_code, NULL);
}

static bool still_enters(void)
{
	struct inner_exit exit;

	inner_reset(fuzz_code, NULL);
	inner_run(&exit);
	return exit.status == VMX_SUCCEED && exit.reason == VMX_EXIT_VMCALL;
}

int hostile_vmx_fuzz(const struct hostile *h)
{
	static const struct fuzz vmx = {
		.pages = regions,
		.busy = &inner_vmxon,
		.start = start,
		.execute_one = execute_one,
		.still_enters = still_enters,
	};

	return fuzz_run(&vmx, h);
}
