/*
 * Reads words `name=value` over one table of options, and refuses what contradicts itself.
 */
#include "l1-hypervisor/options.h"

#include "l1-hypervisor/leaf/string.h"

#define MAX_CPUS       64
#define MIN_MEMORY     8
#define DEFAULT_MEMORY 16
#define MAX_MEMORY     32
#define DEFAULT_FIELDS "minimal"

/* Longest part of a user's word that a message repeats. */
#define SHOWN 40

static const char *const off_on[] = { "off", "on" };
static const char *const vmcs_ways[] = { "trap", "shadow" };
static const char *const merge_ways[] = { "full", "dirty" };
static const char *const ept_ways[] = { "nested-lazy", "shadow-on-ept" };
static const char *const vmcb_ways[] = { "copy-all", "clean-bits" };
static const char *const vls_ways[] = { "trap", "virtual" };
static const char *const gif_ways[] = { "trap", "virtual" };
static const char *const npt_ways[] = { "nested-lazy", "shadow-on-npt" };
static const char *const tlb_ways[] = { "vpid", "flush", "asid" };
static const char *const stats_modes[] = { "off", "count", "full" };

/* An option has either names for its values, counted from 0, or a range of numbers (step is not 0),
 * or a text of its own. */
struct word {
	const char *name;
	size_t field; /* offset of a u32 in struct options */
	const char *const *names;
	u32 name_count;
	u32 min, max, step;
	u32 fallback;
};

#define NAMED(word, member, list, value)                                                \
	{                                                                               \
		.name = word, .field = offsetof(struct options, member), .names = list, \
		.name_count = ARRAY_SIZE(list), .fallback = value                       \
	}
#define NUMBER(word, member, low, high, multiple, value)                                          \
	{                                                                                         \
		.name = word, .field = offsetof(struct options, member), .min = low, .max = high, \
		.step = multiple, .fallback = value                                               \
	}

static const struct word words_known[OPTION_COUNT] = {
	[OPTION_VMCS] = NAMED("vmcs", ways.vmcs, vmcs_ways, WAY_VMCS_TRAP),
	[OPTION_MERGE] = NAMED("merge", ways.merge, merge_ways, WAY_MERGE_FULL),
	[OPTION_EPT] = NAMED("ept", ways.ept, ept_ways, WAY_EPT_NESTED_LAZY),
	[OPTION_TLB] = NAMED("tlb", ways.tlb, tlb_ways, WAY_TLB_VPID),
	[OPTION_VMCS_FIELDS] = { .name = "vmcs.fields" },
	[OPTION_VMCB] = NAMED("vmcb", ways.vmcb, vmcb_ways, WAY_VMCB_CLEAN_BITS),
	[OPTION_VLS] = NAMED("vls", ways.vls, vls_ways, WAY_VLS_TRAP),
	[OPTION_GIF] = NAMED("gif", ways.gif, gif_ways, WAY_GIF_TRAP),
	[OPTION_NPT] = NAMED("npt", ways.npt, npt_ways, WAY_NPT_NESTED_LAZY),
	[OPTION_NESTED] = NAMED("nested", nested, off_on, true),
	[OPTION_NATIVE] = NAMED("native", native, off_on, false),
	[OPTION_STATS] = NAMED("stats", stats, stats_modes, STATS_COUNT),
	[OPTION_LOG] = NAMED("log", log, off_on, true),
	[OPTION_CPUS] = NUMBER("cpus", cpus, 1, MAX_CPUS, 1, MAX_CPUS),
	[OPTION_MEMORY] = NUMBER("memory", memory, MIN_MEMORY, MAX_MEMORY, 2, DEFAULT_MEMORY),
};

#define VMX_WAYS     (BIT(OPTION_VMCS) | BIT(OPTION_VMCS_FIELDS) | BIT(OPTION_MERGE) | BIT(OPTION_EPT))
#define SVM_WAYS     (BIT(OPTION_VMCB) | BIT(OPTION_VLS) | BIT(OPTION_GIF) | BIT(OPTION_NPT))
#define NESTING_WAYS (VMX_WAYS | SVM_WAYS)
#define ALL_WAYS     (NESTING_WAYS | BIT(OPTION_TLB))

/* What a vendor's backend calls itself, the axes that are the other's, and the tags that each has
 * for translations. */
static const struct {
	const char *name;
	u64 foreign;
	enum way_tlb tags, foreign_tags;
} vendors[] = { [VENDOR_VMX] = { "VMX", SVM_WAYS, WAY_TLB_VPID, WAY_TLB_ASID },
		[VENDOR_SVM] = { "SVM", VMX_WAYS, WAY_TLB_ASID, WAY_TLB_VPID } };

/* While `option` has `value`, none of `meaningless` may be written. */
static const struct contradiction {
	enum option option;
	u32 value;
	u64 meaningless;
} contradictions[] = {
	{ OPTION_VMCS, WAY_VMCS_TRAP, BIT(OPTION_VMCS_FIELDS) },
	{ OPTION_NESTED, false, NESTING_WAYS },
	{ OPTION_NATIVE, true, ALL_WAYS },
};

/* A piece of a command line that is being read. */
struct piece {
	const char *text;
	size_t length;
};

static int shown(struct piece p)
{
	return p.length < SHOWN ? (int)p.length : SHOWN;
}

static bool piece_is(struct piece p, const char *name)
{
	return strlen(name) == p.length && !strncmp(p.text, name, p.length);
}

/* Takes what stands before the first `end` from `from`, and that character with it. Returns false
 * when `end` does not occur; then the piece is all of the rest. */
static bool take_until(struct piece *from, char end, struct piece *taken)
{
	size_t n = 0;

	while (n < from->length && from->text[n] != end)
		n++;
	*taken = (struct piece){ from->text, n };
	bool found = n < from->length;

	from->text += n + found;
	from->length -= n + found;
	return found;
}

static u32 *value_of(struct options *options, enum option option)
{
	return (u32 *)(void *)((char *)options + words_known[option].field);
}

/* Refuses `value`, telling what the option allows. */
static bool refuse_value(enum option option, struct piece value, struct refusal *why)
{
	const struct word *word = &words_known[option];
	char allowed[96] = "";
	size_t length = 0;

	for (u32 i = 0; i < word->name_count && length < sizeof(allowed); i++)
		length += (size_t)snprintf(allowed + length, sizeof(allowed) - length, "%s%s",
					   i ? "|" : "", word->names[i]);
	if (!word->names)
		return refuse(why,
			      "%s=%.*s is refused: %s takes a number from %u to %u, in steps of %u",
			      word->name, shown(value), value.text, word->name, word->min,
			      word->max, word->step);
	return refuse(why, "%s=%.*s is refused: the allowed values are %s", word->name,
		      shown(value), value.text, allowed);
}

static bool read_number(const struct word *word, struct piece value, u32 *number)
{
	u32 n = 0;

	for (size_t i = 0; i < value.length; i++) {
		if (value.text[i] < '0' || value.text[i] > '9' || n > word->max)
			return false;
		n = n * 10 + (u32)(value.text[i] - '0');
	}
	*number = n;
	return value.length && n >= word->min && n <= word->max && n % word->step == 0;
}

static bool read_name(const struct word *word, struct piece value, u32 *number)
{
	for (u32 i = 0; i < word->name_count; i++) {
		if (piece_is(value, word->names[i])) {
			*number = i;
			return true;
		}
	}
	return false;
}

/* Reads what vmcs.fields= says. */
static bool read_fields(struct ways *ways, struct piece value, struct refusal *why)
{
	struct piece bad = { "", 0 };

	if (value.length >= sizeof(ways->fields))
		return refuse(why, "the value of vmcs.fields= is longer than %d characters",
			      WAY_FIELDS_TEXT_MAX - 1);
	switch (vmcs_expose_set(value.text, value.length, &ways->exposed, &bad.text, &bad.length)) {
	case VMCS_EXPOSE_OK:
		memcpy(ways->fields, value.text, value.length);
		ways->fields[value.length] = 0;
		return true;
	case VMCS_EXPOSE_REFUSED:
		return refuse(why, "vmcs.fields=%.*s is refused: accesses to this field must exit",
			      shown(bad), bad.text);
	default:
		return refuse(why,
			      "vmcs.fields=%.*s is refused: it takes minimal, kvm, all, none and "
			      "field names (see make fields), joined by +",
			      shown(bad), bad.text);
	}
}

static bool read_value(struct options *options, enum option option, struct piece value,
		       struct refusal *why)
{
	const struct word *word = &words_known[option];
	u32 *to = value_of(options, option);

	if (option == OPTION_VMCS_FIELDS)
		return read_fields(&options->ways, value, why);
	if (!(word->names ? read_name(word, value, to) : read_number(word, value, to)))
		return refuse_value(option, value, why);
	return true;
}

static bool refuse_unknown(struct piece word, enum option count, struct refusal *why)
{
	char known[120] = "";
	size_t length = 0;

	for (u32 i = 0; i < count && length < sizeof(known); i++)
		length += (size_t)snprintf(known + length, sizeof(known) - length, "%s%s",
					   i ? " " : "", words_known[i].name);
	return refuse(why, "unknown word \"%.*s\": the words are name=value, with the names %s",
		      shown(word), word.text, known);
}

/* Reads one word; the first `count` options are allowed. */
static bool read_word(struct options *options, struct piece text, enum option count,
		      struct refusal *why)
{
	struct piece value = text;
	struct piece name;
	u32 i = 0;

	bool has_value = take_until(&value, '=', &name);

	while (i < count && !piece_is(name, words_known[i].name))
		i++;
	if (i == count || !has_value)
		return refuse_unknown(text, count, why);
	if (options->given & BIT(i))
		return refuse(why, "%s is given twice: leave one out", words_known[i].name);
	options->given |= (u32)BIT(i);
	return read_value(options, (enum option)i, value, why);
}

static bool check_contradictions(struct options *options, struct refusal *why)
{
	for (u32 i = 0; i < ARRAY_SIZE(contradictions); i++) {
		const struct contradiction *c = &contradictions[i];
		u64 clash = options->given & c->meaningless;

		if (!clash || *value_of(options, c->option) != c->value)
			continue;
		return refuse(why, "%s= has no meaning with %s=%s: leave one of the two out",
			      words_known[__builtin_ctzll(clash)].name, words_known[c->option].name,
			      options_value_name(c->option, c->value));
	}
	return true;
}

/* Whether a first word is the image's name and not an option. */
static bool is_image_name(struct piece word)
{
	struct piece rest = word;
	struct piece before;

	return !take_until(&rest, '=', &before);
}

static void set_defaults(struct options *options)
{
	struct piece fields = { DEFAULT_FIELDS, sizeof(DEFAULT_FIELDS) - 1 };
	struct refusal unused;

	memset(options, 0, sizeof(*options));
	for (u32 i = 0; i < OPTION_COUNT; i++) {
		if (words_known[i].field || words_known[i].names)
			*value_of(options, (enum option)i) = words_known[i].fallback;
	}
	read_fields(&options->ways, fields, &unused);
}

bool options_read(struct options *options, const char *words, struct refusal *why)
{
	struct piece rest = { words, strlen(words) };
	bool first = true;

	set_defaults(options);
	while (rest.length) {
		struct piece word;

		take_until(&rest, ' ', &word);
		if (!word.length)
			continue;
		if (!(first && is_image_name(word)) && !read_word(options, word, OPTION_COUNT, why))
			return false;
		first = false;
	}
	return check_contradictions(options, why);
}

bool options_suit(struct ways *ways, u32 given, enum vendor vendor, struct refusal *why)
{
	u64 clash = given & vendors[vendor].foreign;
	bool tags_clash = ways->tlb == vendors[vendor].foreign_tags;

	if (clash)
		return refuse(why, "%s= has no meaning here, since this CPU has %s: leave it out",
			      words_known[__builtin_ctzll(clash)].name, vendors[vendor].name);
	if (tags_clash && (given & BIT(OPTION_TLB)))
		return refuse(why, "tlb=%s has no meaning here, since this CPU has %s: use tlb=%s",
			      options_value_name(OPTION_TLB, ways->tlb), vendors[vendor].name,
			      options_value_name(OPTION_TLB, vendors[vendor].tags));
	if (tags_clash)
		ways->tlb = vendors[vendor].tags;
	return true;
}

bool options_read_ways(struct ways *ways, const char *text, size_t length, enum vendor vendor,
		       struct refusal *why)
{
	struct options options = { .ways = *ways, .nested = true };
	struct piece rest = { text, length };
	bool more;

	do {
		struct piece word;

		more = take_until(&rest, ',', &word);
		if (!read_word(&options, word, OPTION_NESTED, why))
			return false;
	} while (more);
	if (!options_suit(&options.ways, options.given, vendor, why) ||
	    !check_contradictions(&options, why))
		return false;
	*ways = options.ways;
	return true;
}

const char *options_value_name(enum option option, u32 value)
{
	const struct word *word = &words_known[option];

	return value < word->name_count ? word->names[value] : "";
}
