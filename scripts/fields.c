/*
 * Prints the tables of VMCS and VMCB fields for people: `make fields`. Everything comes from
 * vmcs_fields.def and vmcb_fields.def, by inclusion or by the tables that are made of them.
 */
#include <stdio.h>

#include "l1-hypervisor/leaf/types.h"
#include "shadow-vmcs/vmcb.h"
#include "shadow-vmcs/vmcs_fields.h"

struct column_texts {
	const char *group, *need, *check;
};

static const struct column_texts texts[VMCS_ROWS] = {
#define VMCS_FIELD(NAME, width, type, index, group, expose, need, check) { #group, #need, #check },
#include "shadow-vmcs/vmcs_fields.def"
};

static const char *const widths[] = { "16", "64", "32", "natural" };
static const char *const types[] = { "control", "info", "guest", "host" };
static const char *const accesses[] = { "trap", "read", "rw" };

static const struct vmcb_text {
	const char *area, *name, *group;
	size_t offset, size;
} vmcb_texts[] = {
#define VMCB_CONTROL(type, name, offset, group) { "control", #name, #group, offset, sizeof(type) },
#define VMCB_SAVE(type, name, offset, group)    { "save", #name, #group, offset, sizeof(type) },
#include "shadow-vmcs/vmcb_fields.def"
};

static void print_vmcs(void)
{
	printf("%-24s %-8s %-8s %-8s %-11s %-5s %-5s %-8s %-28s %s\n", "field", "encoding", "width",
	       "type", "group", "most", "kvm", "minimal", "exists with", "shape");
	for (int row = 0; row < VMCS_ROWS; row++) {
		const struct vmcs_row *r = &vmcs_table[row];

		printf("%-24s 0x%04x   %-8s %-8s %-11s %-5s %-5s %-8s %-28s %s\n",
		       vmcs_field_name(row), r->encoding, widths[r->width], types[r->type],
		       texts[row].group, accesses[r->expose], accesses[r->expose_kvm],
		       accesses[r->expose_minimal], texts[row].need, texts[row].check);
	}
	printf("%d fields. most, kvm, minimal: how far hardware shadowing may expose a field to L2 "
	       "at "
	       "most, and how far the sets kvm and minimal do.\n",
	       VMCS_ROWS);
}

static void print_vmcb(void)
{
	printf("%-8s %-24s %-8s %-6s %s\n", "area", "field", "offset", "bytes", "group");
	for (size_t i = 0; i < ARRAY_SIZE(vmcb_texts); i++) {
		const struct vmcb_text *f = &vmcb_texts[i];

		printf("%-8s %-24s 0x%03zx    %-6zu %s\n", f->area, f->name, f->offset, f->size,
		       f->group);
	}
	printf("%zu fields. group: the clean bit that covers a field, or why none does (vmcb.h).\n",
	       ARRAY_SIZE(vmcb_texts));
}

int main(void)
{
	print_vmcs();
	printf("\n");
	print_vmcb();
	return 0;
}
