/*
 * Command lines made of words `name=value` between spaces. A word without "=" is ignored: loaders
 * put the image's name first. Wrong words end the guest with a sentence: see words_allow().
 */
#ifndef GUESTS_LIB_WORDS_H
#define GUESTS_LIB_WORDS_H

#include "l1-hypervisor/leaf/types.h"

/* Ends the guest when a word's name is not in `names`, a list ended by NULL. */
void words_allow(const char *words, const char *const *names);

/*
 * Copies the value of word `name` to `value`, cut to nothing when absent; returns whether the word
 * is there. Ends the guest when the value does not fit.
 */
bool words_text(const char *words, const char *name, char *value, size_t size);

/* The number of word `name`, or `otherwise` when absent. Ends the guest when it is no number. */
u64 words_number(const char *words, const char *name, u64 otherwise);

/*
 * The index of the value of word `name` in `choices`, a list ended by NULL; 0 when absent. Ends
 * the guest when the value is none of them.
 */
u32 words_choice(const char *words, const char *name, const char *const *choices);

/* Decimal digits only; returns whether the whole of `text` is a number that fits. */
bool parse_number(const char *text, u64 *number);

/*
 * Takes the next item of a list: copies what stands before `separator` (or the end) to `item` and
 * returns what follows it, or NULL when `list` is empty. Items longer than the buffer are cut.
 */
const char *list_next(const char *list, char separator, char *item, size_t size);

#endif
