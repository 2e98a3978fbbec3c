/*
 * How the files of vmx_check state a rule: a check returns the number of the first rule that does
 * not hold. Also the shapes of values that vmcs_fields.def names, as conditions. Private to them.
 */
#ifndef SHADOW_VMCS_VMX_CHECK_RULE_H
#define SHADOW_VMCS_VMX_CHECK_RULE_H

#include "l1-hypervisor/leaf/x86.h"
#include "shadow-vmcs/vmx_check.h"

#define BIT_OF_GROUP(group) (1U << (group))

/* For what few entries come to: kept out of the way of those that most entries take. */
#define NOINLINE      __attribute__((noinline))
#define ALWAYS_INLINE inline __attribute__((always_inline))

/* One rule of vmx_check_rules.def. */
#define REQUIRE(ID, holds)                \
	do {                              \
		if (unlikely(!(holds)))   \
			return RULE_##ID; \
	} while (0)

/* A group of rules in a function of its own. */
#define REQUIRE_ALL_OF(check)                       \
	do {                                        \
		enum vmx_rule_id failed_ = (check); \
		if (unlikely(failed_ != RULE_NONE)) \
			return failed_;             \
	} while (0)

/* Fills *out with a rule that does not hold; returns false. */
bool vmx_check_verdict(enum vmx_rule_id failed, struct vmx_verdict *out);

/* The rules of "Checks on Guest Segment Registers" (27.3.1.2). */
enum vmx_rule_id vmx_check_segments(const struct vmcs_fields *v, const struct vmx_check_env *env);

static inline bool verdict(enum vmx_rule_id failed, struct vmx_verdict *out)
{
	if (unlikely(failed != RULE_NONE))
		return vmx_check_verdict(failed, out);
	out->rule = NULL;
	return true;
}

static inline bool is_set(u64 value, u64 bits)
{
	return (value & bits) != 0;
}

/* Whether CR0 or CR4 has a value that is supported in VMX operation, SDM 3C "Restrictions on VMX
 * Operation" (24.8); the bits of `free` may be 0 in spite of FIXED0. */
static inline bool register_allowed(u64 value, u64 fixed0, u64 fixed1, u64 free)
{
	return !(~value & fixed0 & ~free) && !(value & ~fixed1);
}

/* Whether bits 63:width of an address are identical. */
static inline bool high_bits_identical(u64 address, u32 width)
{
	int64_t high = (int64_t)address >> width;

	return high == 0 || high == -1;
}

/* Whether each byte is 0, 1, 4, 5, 6 or 7: bits 7:3 clear, and bit 1 only together with bit 2. */
static inline bool is_pat(u64 value)
{
	const u64 each = 0x0101010101010101ULL;
	u64 without_bit2 = value & ~(value >> 1);

	return !(value & (each * 0xf8)) && !(without_bit2 & (each << 1));
}

/* The condition behind a shape; the compiler keeps the one case of a constant shape. */
static inline __attribute__((always_inline)) bool shape_holds(enum vmcs_shape shape, u64 value,
							      const struct vmx_check_env *env)
{
	switch (shape) {
	case CHECK_ANY:
		return true;
	case CHECK_CANONICAL:
		return high_bits_identical(value, env->linear_width - 1U);
	case CHECK_PAGE:
		return !(value & (env->physical_reserved | PAGE_MASK));
	case CHECK_AREA:
		return !(value & (env->physical_reserved | 0xf));
	case CHECK_PHYSICAL:
		return !(value & env->physical_reserved);
	case CHECK_LIMIT16:
		return value <= 0xffff;
	case CHECK_LOW32:
		return value <= 0xffffffff;
	case CHECK_SELECTOR:
		return !(value & 7);
	case CHECK_PDPTE:
		return !(value & PTE_P) ||
		       !(value & (env->physical_reserved | BITS(8, 5) | BITS(2, 1)));
	case CHECK_PAT:
		return is_pat(value);
	case CHECK_EFER:
		return !(value & ~env->efer_allowed);
	case CHECK_DEBUGCTL:
		return !(value & ~env->debugctl_allowed);
	}
	return false;
}

/* Whether a field has the shape that its row names. */
#define SHAPED(v, env, NAME) shape_holds((enum vmcs_shape)SHAPE_##NAME, (v)->f[F_##NAME], env)

#endif
