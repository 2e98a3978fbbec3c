/*
 * Random SVM instructions with random operands, and entries with random VMCBs. What would end this
 * guest itself, as it would on a bare processor, is kept sane: where the inner guest starts, and
 * that it leaves at whatever it does.
 */
#include "guests/hostile/fuzz.h"
#include "guests/hostile/random.h"
#include "guests/lib/exceptions.h"
#include "guests/lib/svm_inner.h"
#include "l1-hypervisor/leaf/insn.h"
#include "l1-hypervisor/leaf/string.h"

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

static struct vmcb pages[FUZZ_PAGES], ours;

/* A field, or now and then any bytes at all. */
static void spoil(struct vmcb *vmcb)
{
	struct field f = fields[random_below(ARRAY_SIZE(fields))];
	u64 value[2] = { fuzz_value(), fuzz_value() };

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
static bool enter(void)
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
	return svm_exit_of(svm_inner_vmcb.c.exit_code) != SVM_EXIT_INVALID;
}

#define TRY_INSN(text) \
	__asm__ volatile(TRY(text) : : "a"(fuzz_pointer()), "c"(fuzz_value()) : "cc", "memory")

static bool execute_one(void)
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
		for (u32 i = 0; i < FUZZ_PAGES; i++)
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
		try_wrmsr(MSR_VM_HSAVE_PA, fuzz_pointer());
		break;
	case 8:
		if (!random_below(8)) {
			wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~EFER_SVME);
			TRY_INSN("vmrun %%rax");
			svm_inner_init();
		}
		break;
	case 9:
		spoil(&pages[random_below(FUZZ_PAGES)]);
		break;
	default:
		return enter();
	}
	return false;
}

static void start(void)
{
	svm_inner_init();
	svm_inner_reset(svm_fuzz_code);
}

static bool still_enters(void)
{
	struct svm_inner_exit exit;

	svm_stgi();
	start();
	svm_inner_run(&exit);
	return exit.exit == SVM_EXIT_VMMCALL;
}

int hostile_svm_fuzz(const struct hostile *h)
{
	static const struct fuzz svm = {
		.pages = pages,
		.start = start,
		.execute_one = execute_one,
		.still_enters = still_enters,
	};

	return fuzz_run(&svm, h);
}
