/*
 * The VMCS field table, made from vmcs_fields.def: rows, names, lookup by encoding and by name, and
 * the sets of fields that hardware shadowing exposes to L2 with their VMREAD and VMWRITE bitmaps.
 * Pure; refuses unknown names and fields that must trap.
 */
#include "shadow-vmcs/vmcs_fields.h"

#include "l1-hypervisor/leaf/string.h"
#include "shadow-vmcs/vmx_bits.h"

/* The tokens of the columns `need` and `expose`. */
#define ALWAYS             .need = NEED_ALWAYS
#define NEED(msr, control) .need = NEED_##msr, .need_bit = (u8)__builtin_ctz(msr##_##control)
#define EXPOSE(most, kvm, minimal) \
	EXPOSE_##most, .expose_kvm = EXPOSE_##kvm, .expose_minimal = EXPOSE_##minimal

const struct vmcs_row vmcs_table[VMCS_ROWS] = {
#define VMCS_FIELD(NAME, W, T, I, G, expose_, need_, C) \
	[F_##NAME] = {                                  \
		.encoding = VMCS_##NAME,                \
		.width = VMCS_WIDTH_##W,                \
		.type = VMCS_TYPE_##T,                  \
		.group = G,                             \
		.shape = CHECK_##C,                     \
		need_,                                  \
		.expose = expose_,                      \
	},
#include "shadow-vmcs/vmcs_fields.def"
};

/* A 64-bit field has a second encoding, for its upper half. */
#define HIGH_16(NAME)
#define HIGH_32(NAME)
#define HIGH_N(NAME)
#define HIGH_64(NAME) [VMCS_##NAME | VMCS_HIGH] = F_##NAME + 1,

const u8 vmcs_row_by_encoding[VMCS_ENCODINGS] = {
#define VMCS_FIELD(NAME, width, type, index, group, expose, need, check) \
	[VMCS_##NAME] = F_##NAME + 1, HIGH_##width(NAME)
#include "shadow-vmcs/vmcs_fields.def"
};

_Static_assert(VMCS_ROWS < 255, "vmcs_row_by_encoding holds row + 1 in a byte");

static const char *const names[VMCS_ROWS] = {
#define VMCS_FIELD(NAME, width, type, index, group, expose, need, check) [F_##NAME] = #NAME,
#include "shadow-vmcs/vmcs_fields.def"
};

const char *vmcs_field_name(int row)
{
	return names[row];
}

static bool word_is(const char *word, size_t length, const char *name)
{
	return strlen(name) == length && memcmp(word, name, length) == 0;
}

/* The row of a name, or -1. */
static int row_of_name(const char *name, size_t length)
{
	for (int row = 0; row < VMCS_ROWS; row++)
		if (word_is(name, length, names[row]))
			return row;
	return -1;
}

static u8 access_in_none(const struct vmcs_row *row)
{
	(void)row;
	return EXPOSE_TRAP;
}

static u8 access_in_minimal(const struct vmcs_row *row)
{
	return row->expose_minimal;
}

static u8 access_in_kvm(const struct vmcs_row *row)
{
	return row->expose_kvm;
}

static u8 access_in_all(const struct vmcs_row *row)
{
	return row->expose;
}

static const struct {
	const char *name;
	u8 (*access)(const struct vmcs_row *row);
} presets[] = {
	{ "none", access_in_none },
	{ "minimal", access_in_minimal },
	{ "kvm", access_in_kvm },
	{ "all", access_in_all },
};

static void list_exposed(struct vmcs_expose *set)
{
	set->readable_count = 0;
	set->writable_count = 0;
	for (u8 row = 0; row < VMCS_ROWS; row++) {
		if (set->access[row] >= EXPOSE_READ)
			set->readable[set->readable_count++] = row;
		if (set->access[row] == EXPOSE_RW)
			set->writable[set->writable_count++] = row;
	}
}

static enum vmcs_expose_result add_word(struct vmcs_expose *set, const char *word, size_t length)
{
	int named;

	if (length == 0)
		return VMCS_EXPOSE_EMPTY;
	for (size_t i = 0; i < ARRAY_SIZE(presets); i++) {
		if (!word_is(word, length, presets[i].name))
			continue;
		for (int row = 0; row < VMCS_ROWS; row++) {
			u8 access = presets[i].access(&vmcs_table[row]);

			if (access > set->access[row])
				set->access[row] = access;
		}
		return VMCS_EXPOSE_OK;
	}
	named = row_of_name(word, length);
	if (named < 0)
		return VMCS_EXPOSE_UNKNOWN;
	if (vmcs_table[named].expose == EXPOSE_TRAP)
		return VMCS_EXPOSE_REFUSED;
	set->access[named] = vmcs_table[named].expose;
	return VMCS_EXPOSE_OK;
}

enum vmcs_expose_result vmcs_expose_set(const char *words, size_t length, struct vmcs_expose *out,
					const char **bad, size_t *bad_length)
{
	size_t start = 0;

	memset(out, 0, sizeof(*out));
	for (size_t end = 0; end <= length; end++) {
		enum vmcs_expose_result result;

		if (end < length && words[end] != '+')
			continue;
		result = add_word(out, words + start, end - start);
		if (result != VMCS_EXPOSE_OK) {
			*bad = words + start;
			*bad_length = end - start;
			return result;
		}
		start = end + 1;
	}
	list_exposed(out);
	return VMCS_EXPOSE_OK;
}

void vmcs_expose_limit(struct vmcs_expose *set, bool (*exists)(const void *ctx, int row),
		       const void *ctx)
{
	for (int row = 0; row < VMCS_ROWS; row++)
		if (set->access[row] != EXPOSE_TRAP && !exists(ctx, row))
			set->access[row] = EXPOSE_TRAP;
	list_exposed(set);
}

static void expose_row(struct bitmap_page *bitmap, const struct vmcs_row *row)
{
	bitmap_clear(bitmap, row->encoding);
	if (row->width == VMCS_WIDTH_64)
		bitmap_clear(bitmap, row->encoding | VMCS_HIGH);
}

void vmcs_expose_bitmaps(const struct vmcs_expose *set, struct bitmap_page *read,
			 struct bitmap_page *write)
{
	memset(read, 0xff, sizeof(*read));
	memset(write, 0xff, sizeof(*write));
	for (u8 i = 0; i < set->readable_count; i++)
		expose_row(read, &vmcs_table[set->readable[i]]);
	for (u8 i = 0; i < set->writable_count; i++)
		expose_row(write, &vmcs_table[set->writable[i]]);
}
