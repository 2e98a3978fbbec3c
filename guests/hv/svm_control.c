/*
 * The VMCB's view of control registers; see svm_control.h. What exits without decode assists says
 * which register of the processor, and no more: the instruction is taken from the guest's memory.
 */
#include "guests/hv/svm_control.h"

#include "guests/hv/control.h"
#include "guests/hv/cpuid.h"
#include "guests/hv/shadow.h"
#include "guests/hv/svm_vm.h"

#define CODE_MAX 8 /* bytes that the instructions here have at most, and that are looked at */

#define REX       0x40
#define REX_MASK  0xf0
#define REX_B     0x01
#define ESCAPE    0x0f
#define OP_CLTS   0x06
#define OP_CR_TO  0x22
#define OP_CR_OF  0x20
#define OP_GROUP7 0x01
#define LMSW      6
#define INVLPG    7

#define MODRM_MOD(modrm) ((modrm) >> 6)
#define MODRM_REG(modrm) ((modrm) >> 3 & 7)
#define MODRM_RM(modrm)  ((modrm)&7)
#define MOD_REGISTER     3
#define RM_SIB           4
#define RM_DISPLACEMENT  5 /* with mod 0, and as the base in a SIB byte */
#define REGISTER_RSP     4

/* An instruction of two opcode bytes with a ModRM byte. */
struct decoded {
	u8 opcode, modrm;
	u32 rm; /* the register that it names */
	u32 length;
};

/* Bytes of a memory operand behind the ModRM byte, in 32-bit and 64-bit addressing. */
static u32 operand_length(u8 modrm, u8 sib)
{
	u32 length = MODRM_RM(modrm) == RM_SIB;
	u32 base = length ? MODRM_RM(sib) : MODRM_RM(modrm);

	if (MODRM_MOD(modrm) == 1)
		return length + 1;
	if (MODRM_MOD(modrm) == 2 || (MODRM_MOD(modrm) == 0 && base == RM_DISPLACEMENT))
		return length + 4;
	return length;
}

static bool decode(const struct vm *vm, struct decoded *d)
{
	const u8 *code = svm_code(vm, CODE_MAX);
	u32 rex = 0, at = 0;

	if (!code)
		return false;
	if ((svm_vmcb.s.cs.attributes & SEG_L) && (code[0] & REX_MASK) == REX)
		rex = code[at++];
	if (code[at++] != ESCAPE)
		return false;
	d->opcode = code[at++];
	d->length = at;
	if (d->opcode == OP_CLTS)
		return true;
	d->modrm = code[at];
	d->rm = MODRM_RM(d->modrm) | (rex & REX_B ? 8 : 0);
	d->length++;
	if (MODRM_MOD(d->modrm) != MOD_REGISTER)
		d->length += operand_length(d->modrm, code[at + 1]);
	return true;
}

void svm_collect_control(struct vm *vm)
{
	if (!vm->stage2)
		return;
	vm->cr0 = svm_vmcb.s.cr0;
	vm->cr3 = svm_vmcb.s.cr3;
	vm->cr4 = svm_vmcb.s.cr4;
	vm->efer = svm_vmcb.s.efer & ~EFER_SVME;
}

/* With NPT only EFER comes here, and the processor reads PDPTEs itself. With shadow page tables
 * paging is always on, with PAE. */
void svm_publish_control(struct vm *vm, u32 which)
{
	struct vmcb_save *s = &svm_vmcb.s;

	if (which & CONTROL_CR0)
		s->cr0 = vm->cr0 | CR0_PG | CR0_WP;
	if (which & CONTROL_CR4)
		s->cr4 = vm->cr4 | CR4_PAE;
	if (which & CONTROL_EFER) {
		s->efer = vm->efer | EFER_SVME;
		if (!vm->stage2 && !(vm->efer & EFER_LMA))
			s->efer &= ~EFER_LME;
	}
	svm_vmcb.c.clean &= ~BIT32(CLEAN_CR);
}

static u64 read_register(const struct vm *vm, u32 number)
{
	switch (number) {
	case 0:
		return vm->cr0;
	case 3:
		return vm->cr3;
	default:
		return vm->cr4;
	}
}

/* Outside 64-bit code the upper half of a register is not part of the operand. */
static u64 operand(const struct vm *vm, u32 reg)
{
	u64 value = reg == REGISTER_RSP ? svm_vmcb.s.rsp : vm->regs.gpr[reg];

	return svm_vmcb.s.cs.attributes & SEG_L ? value : (u32)value;
}

void svm_exit_cr_access(struct vm *vm)
{
	u32 number = svm_exit_of(vm->svm.seen.c.exit_code) & 0xf;
	struct decoded d = { 0 };
	bool known = decode(vm, &d), done = true;

	svm_collect_control(vm);
	if (known && d.opcode == OP_CR_TO)
		done = control_write(vm, number, operand(vm, d.rm));
	else if (known && d.opcode == OP_CLTS)
		done = control_write(vm, 0, vm->cr0 & ~CR0_TS);
	else if (known && d.opcode == OP_GROUP7 && MODRM_REG(d.modrm) == LMSW &&
		 MODRM_MOD(d.modrm) == MOD_REGISTER)
		done = control_write(vm, 0, control_lmsw(vm, operand(vm, d.rm)));
	else if (known && d.opcode == OP_CR_OF && d.rm != REGISTER_RSP)
		vm->regs.gpr[d.rm] = read_register(vm, number);
	else
		known = false;

	if (!known)
		svm_unknown_insn(vm);
	else if (done)
		svm_continue(vm, vm->svm.seen.s.rip + d.length);
	else
		svm_fault(EXC_GP);
}

/* Without decode assists the address is in the operand: everything is dropped instead. */
void svm_exit_invlpg(struct vm *vm)
{
	struct decoded d = { 0 };

	if (!decode(vm, &d) || d.opcode != OP_GROUP7 || MODRM_REG(d.modrm) != INVLPG) {
		svm_unknown_insn(vm);
		return;
	}
	shadow_drop(vm);
	svm_continue(vm, vm->svm.seen.s.rip + d.length);
}

void svm_control_create(struct vm *vm)
{
	vm->cr4_allowed = cpuid_cr4_allowed();
	if (vm->stage2)
		return;
	svm_vmcb.s.cr3 = shadow_root();
	shadow_drop(vm);
	svm_publish_control(vm, CONTROL_CR0 | CONTROL_CR4 | CONTROL_EFER);
}
