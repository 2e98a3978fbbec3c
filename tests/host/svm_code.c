/*
 * The guest whose code is decoded: page tables by hand, mode by mode.
 */
#include <string.h>

#include "l1-hypervisor/leaf/x86.h"
#include "tests/host/svm_code.h"

#define PRESENT (PTE_P | PTE_W | PTE_A | PTE_D)

static void begin(struct svm_code *code, u64 first, u16 attributes)
{
	memset(code, 0, sizeof(*code));
	code->access = fake_memory_access(&code->memory);
	code->first = first;
	code->vmcb.s.cs.attributes = attributes;
	code->vmcb.s.cr0 = CR0_PE | CR0_PG;
	code->vmcb.s.cr3 = fake_page_address(0);
}

/* Tables of 8-byte entries in pages 0, 1, ... for both pages of code. */
static void map_8(struct svm_code *code, u32 levels)
{
	for (u32 n = 0; n < 2; n++) {
		u64 linear = code->first + n * PAGE_SIZE;

		for (u32 level = levels; level > 0; level--) {
			u32 page = levels - level;
			u64 flags = level == 3 && levels == 3 ? PTE_P : PRESENT;
			u64 *entry = &code->memory.page[page][(linear >> (3 + 9 * level)) & 511];

			if (level > 1)
				*entry = fake_page_address(page + 1) | flags;
			else
				*entry = fake_page_address(n ? SVM_CODE_NEXT_PAGE : SVM_CODE_PAGE) |
					 flags;
			code->leaf[n] = entry;
		}
	}
}

void svm_code_64(struct svm_code *code)
{
	begin(code, 0xffffffff81234000, SEG_P | SEG_L);
	code->vmcb.s.efer = EFER_LME | EFER_LMA;
	code->vmcb.s.cr4 = CR4_PAE;
	map_8(code, 4);
}

void svm_code_64_la57(struct svm_code *code)
{
	svm_code_64(code);
	memset(&code->memory.page, 0, sizeof(code->memory.page));
	code->first = 0x00f2345678abc000;
	code->vmcb.s.cr4 |= CR4_LA57;
	map_8(code, 5);
}

void svm_code_compat(struct svm_code *code)
{
	begin(code, 0x81234000, SEG_P | SEG_DB);
	code->vmcb.s.cs.base = 0x90000000;
	code->vmcb.s.efer = EFER_LME | EFER_LMA;
	code->vmcb.s.cr4 = CR4_PAE;
	map_8(code, 4);
}

void svm_code_pae(struct svm_code *code)
{
	begin(code, 0xc1234000, SEG_P | SEG_DB);
	code->vmcb.s.cr4 = CR4_PAE;
	map_8(code, 3);
}

void svm_code_two_level(struct svm_code *code)
{
	begin(code, 0xc0234000, SEG_P | SEG_DB);
	for (u32 n = 0; n < 2; n++) {
		u64 linear = code->first + n * PAGE_SIZE;
		u32 *directory = (u32 *)code->memory.page[0] + (linear >> 22);
		u32 index = (u32)(linear >> 12) & 1023;
		u64 page = fake_page_address(n ? SVM_CODE_NEXT_PAGE : SVM_CODE_PAGE);

		*directory = (u32)(fake_page_address(1) | PRESENT);
		code->leaf[n] = &code->memory.page[1][index / 2];
		*code->leaf[n] |= (page | PRESENT) << (index & 1 ? 32 : 0);
	}
}

void svm_code_unpaged(struct svm_code *code)
{
	begin(code, fake_page_address(SVM_CODE_PAGE), SEG_P | SEG_DB);
	code->vmcb.s.cr0 = CR0_PE;
}

void svm_code_real(struct svm_code *code)
{
	begin(code, fake_page_address(SVM_CODE_PAGE), SEG_P);
	code->vmcb.s.cs.base = fake_page_address(SVM_CODE_PAGE) - 0x800;
	code->vmcb.s.cr0 = 0;
}

void svm_code_put(struct svm_code *code, u32 offset, const u8 *bytes, u32 count)
{
	struct vmcb_save *s = &code->vmcb.s;
	u32 next_page = s->cr0 & CR0_PG ? SVM_CODE_NEXT_PAGE : SVM_CODE_PAGE + 1;

	for (u32 i = 0; i < count; i++) {
		u32 at = offset + i;
		u32 page = at < PAGE_SIZE ? SVM_CODE_PAGE : next_page;

		((u8 *)code->memory.page[page])[at % PAGE_SIZE] = bytes[i];
	}
	s->rip = code->first + offset;
	if (!(s->cs.attributes & SEG_L))
		s->rip = (u32)(s->rip - s->cs.base);
}
