/*
 * Leaf types: fixed-width integers and the address types of the levels. An address of one level
 * is a struct of its own, so that mixing two levels does not compile. Everything may include this
 * file; it includes only freestanding headers.
 */
#ifndef LEAF_TYPES_H
#define LEAF_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

/* Physical address as L1 sees it: what ept12 and ept13 point to. */
typedef struct {
	u64 v;
} pa1_t;

/* Guest-physical address of L2: what ept23 and every pointer in vmcs23 hold. */
typedef struct {
	u64 v;
} pa2_t;

/* Guest-physical address of L3: what ept23 translates. */
typedef struct {
	u64 v;
} pa3_t;

#define PA1(x) ((pa1_t){ (x) })
#define PA2(x) ((pa2_t){ (x) })
#define PA3(x) ((pa3_t){ (x) })

#define BIT(n)           (1ULL << (n))
#define BIT32(n)         (1U << (n))
#define BITS(hi, lo)     ((~0ULL >> (63 - (hi))) & (~0ULL << (lo)))
#define ARRAY_SIZE(a)    (sizeof(a) / sizeof((a)[0]))
#define ALIGN_UP(x, a)   (((x) + (a)-1) & ~((a)-1))
#define ALIGN_DOWN(x, a) ((x) & ~((a)-1))
#define PAGE_SHIFT       12
#define PAGE_SIZE        4096ULL
#define PAGE_MASK        (PAGE_SIZE - 1)

/* Makes the compiler forget how a value came about, where it would compute parts of it again. */
#define forget_origin(x) __asm__("" : "+r"(x))

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#endif
