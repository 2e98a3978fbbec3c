/*
 * Random SVM instructions with random operands, and entries with random VMCBs. What would end this
 * guest itself, as it would on a bare processor, is kept sane: where the inner guest starts, and
 * that it leaves at whatever it does.
 */
#include "guests/hostile/hostile.h"
#include "guests/hostile/random.h"
#include "guests/lib/exceptions.h"
#include "guests/lib/svm_inner.h"
#include "guests/lib/tap.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/string.h"

#define CANARY 0xa5

CODE(svm_fuzz_code, 64, "vmmcall");

struct field {
	u16 offset, size;
};

/* Every field of the VMCB. */
static const struct field fields[] = {
#define VMCB_CONTROL(type, name, offset, group) { offset, sizeof(type) },
#define VMCB_SAVE(type, name, offset, group) \
	{ sizeof(struct vmcb_control) + (offset), sizeof(type) },
#include "shadow-vmcs/vmcb_fields.def"
};

static const struct hostile *hostile;
static struct vmcb pages[4], ours;
static u8 canary[PAGE_SIZE] __attribute__((aligned(4096)));
static u32 entries;

/* Mostly our own pages, else something odd. */
static u64 random_pointer(void)
{
	switch (random_below(8)) {
	case 0:
		return hostile->theirs + random_below(256) * PAGE_SIZE;
	case 1:
		return random_word();
	case 2:
		return (u64)&pages[random_below(ARRAY_SIZE(pages))] + random_below(PAGE_SIZE);
	default:
		return (u64)&pages[random_below(ARRAY_SIZE(pages))];
	}
}

static u64 random_value(void)
{
	switch (random_below(6)) {
	case 0:
		return random_word();
	case 1:
		return BIT(random_below(64));
	case 2:
		return ~0ULL;
	case 3:
		return random_pointer();
	default:
		return random_below(16);
	}
}

/* A field, or now and then any bytes at all. */
static void spoil(struct vmcb *vmcb)
{
	struct field f = fields[random_below(ARRAY_SIZE(fields))];
	u64 value[2] = { random_value(), random_value() };

	if (!random_below(16))
		f = (struct field){ (u16)(8 * random_below(PAGE_SIZE / 8)), 8 };
	memcpy((u8 *)vmcb + f.offset, value, f.size);
}

/*
 * The inner guest leaves at once, whatever else is wrong with it.
 *
 * QUIRK(bochs-2.7): an exit from virtual-8086 mode to a host in long mode ends the emulator.
 */
static void make_entry_safe(struct vmcb *vmcb)
{
	vmcb->c.intercept_exceptions = ~0U;
	vmcb->c.intercept1 |= INTERCEPT1_SHUTDOWN | INTERCEPT1_HLT | INTERCEPT1_INTR;
	vmcb->c.intercept2 |= INTERCEPT2_VMMCALL;
	vmcb->s.rip = (u64)svm_fuzz_code;
	vmcb->s.cs.base = 0;
	vmcb->s.idtr.limit = 0;
	vmcb->s.rflags &= ~RFLAGS_VM;
}

/* A VMCB that would run, with some wrong fields. */
static void enter(void)
{
	union svm_regs regs = svm_inner_regs;

	if (!random_below(4))
		svm_inner_reset(svm_fuzz_code);
	if (!random_below(4))
		svm_inner_use_npt();
	for (u64 i = random_below(4); i; i--)
		spoil(&svm_inner_vmcb);
	make_entry_safe(&svm_inner_vmcb);
	svm_enter(&regs, &svm_inner_vmcb, random_below(2) ? SVM_ENTRY_PLAIN : SVM_ENTRY_GIF);
	entries += svm_exit_of(svm_inner_vmcb.c.exit_code) != SVM_EXIT_INVALID;
}

#define TRY_INSN(text)                                                \
	__asm__ volatile(TRY(text)                                    \
			 :                                            \
			 : "a"(random_pointer()), "c"(random_value()) \
			 : "cc", "memor"                              \
				 "y")

static void execute_one(void)
{
	switch (random_below(12)) {
	case 0:
		svm_vmsave((u64)&ours);
		TRY_INSN("vmload %%rax");
		svm_vmload((u64)&ours);
		break;
	case 1:
		TRY_INSN("vmsave %%rax");
		break;
	case 2:
		/* Of what a VMSAVE or nothing has left in the pages. */
		for (u32 i = 0; i < ARRAY_SIZE(pages); i++)
			make_entry_safe(&pages[i]);
		TRY_INSN("vmrun %%rax");
		break;
	case 3:
		svm_stgi();
		break;
	case 4:
		svm_clgi();
		break;
	case 5:
		TRY_INSN("invlpga %%rax, %%ecx");
		break;
	case 6:
		TRY_INSN("skinit %%eax");
		break;
	case 7:
		try_wrmsr(MSR_VM_HSAVE_PA, random_pointer());
		break;
	case 8:
		if (!random_below(8)) {
			wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~EFER_SVME);
			TRY_INSN("vmrun %%rax");
			svm_inner_init();
		}
		break;
	case 9:
		spoil(&pages[random_below(ARRAY_SIZE(pages))]);
		break;
	default:
		enter();
		break;
	}
}

static bool canary_lives(void)
{
	for (u32 i = 0; i < sizeof(canary); i++) {
		if (canary[i] != CANARY)
			return false;
	}
	return true;
}

int hostile_svm_fuzz(const struct hostile *h)
{
	struct svm_inner_exit exit;

	hostile = h;
	random_seed(h->seed);
	memset(canary, CANARY, sizeof(canary));
	tap_plan(3);
	svm_inner_init();
	svm_inner_reset(svm_fuzz_code);
	for (u64 i = 0; i < h->count; i++)
		execute_one();
	svm_stgi();
	tap_note("{\"entries\":%u}", entries);
	tap_ok(canary_lives(), "our memory is as it was");
	tap_ok(entries > 0, "some random entries were made");
	svm_inner_init();
	svm_inner_reset(svm_fuzz_code);
	svm_inner_run(&exit);
	tap_ok(exit.exit == SVM_EXIT_VMMCALL, "an ordinary entry works after all");
	return tap_status();
}
