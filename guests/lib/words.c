/*
 * Words of command lines; see words.h.
 */
#include "guests/lib/words.h"
#include "guests/lib/guest.h"
#include "l1-hypervisor/leaf/string.h"

#define NAME_MAX_LENGTH 32
#define VALUE_MAX       256

/* One word; value is NULL when there is no "=". */
struct word {
	const char *name, *value;
	size_t name_length, value_length;
};

/* Reads the word at *words and moves behind it; false at the end of the line. */
static bool next_word(const char **words, struct word *word)
{
	const char *c = *words;

	while (*c == ' ')
		c++;
	*word = (struct word){ .name = c };
	while (*c && *c != ' ' && *c != '=')
		c++;
	word->name_length = (size_t)(c - word->name);
	if (*c == '=') {
		word->value = ++c;
		while (*c && *c != ' ')
			c++;
		word->value_length = (size_t)(c - word->value);
	}
	*words = c;
	return c != word->name;
}

static bool has_name(const struct word *word, const char *name)
{
	return word->value && word->name_length == strlen(name) &&
	       !memcmp(word->name, name, word->name_length);
}

void words_allow(const char *words, const char *const *names)
{
	struct word word;

	while (next_word(&words, &word)) {
		bool known = !word.value;

		for (const char *const *name = names; !known && *name; name++)
			known = has_name(&word, *name);
		if (!known)
			guest_fail("unknown word '%.*s'", (int)word.name_length, word.name);
	}
}

bool words_text(const char *words, const char *name, char *value, size_t size)
{
	struct word word;

	value[0] = 0;
	while (next_word(&words, &word)) {
		if (!has_name(&word, name))
			continue;
		if (word.value_length >= size)
			guest_fail("the value of '%s' is too long", name);
		memcpy(value, word.value, word.value_length);
		value[word.value_length] = 0;
		return true;
	}
	return false;
}

bool parse_number(const char *text, u64 *number)
{
	*number = 0;
	for (const char *c = text; *c; c++) {
		if (*c < '0' || *c > '9' || *number > (~0ULL - 9) / 10)
			return false;
		*number = *number * 10 + (u64)(*c - '0');
	}
	return *text;
}

u64 words_number(const char *words, const char *name, u64 otherwise)
{
	char value[NAME_MAX_LENGTH];
	u64 number;

	if (!words_text(words, name, value, sizeof(value)))
		return otherwise;
	if (!parse_number(value, &number))
		guest_fail("'%s' needs a decimal number, not '%s'", name, value);
	return number;
}

u32 words_choice(const char *words, const char *name, const char *const *choices)
{
	char value[VALUE_MAX];

	if (!words_text(words, name, value, sizeof(value)))
		return 0;
	for (u32 i = 0; choices[i]; i++) {
		if (!strcmp(value, choices[i]))
			return i;
	}
	guest_fail("'%s' cannot be '%s'", name, value);
}

const char *list_next(const char *list, char separator, char *item, size_t size)
{
	size_t n = 0;

	if (!*list)
		return NULL;
	for (; *list && *list != separator; list++) {
		if (n + 1 < size)
			item[n++] = *list;
	}
	item[n] = 0;
	return *list ? list + 1 : list;
}
