/*
 * Permission maps: the ones that L3 runs on, made of L1's and L2's.
 *
 * MSRPM: the words with MSRs that operating systems use often are merged at every entry; any other
 * MSR exits, and L2's map is asked then. IOPM: every access to a port exits when L2 intercepts
 * any, and L2's map is asked; only a string instruction runs on merged bits.
 */
#include "shadow-vmcs/svm_maps.h"
#include "shadow-vmcs/svm_hw.h"

/* APM 2 "MSR Intercepts" (15.11): ranges from 0, 0xc0000000 and 0xc0010000. */
bool svm_msrpm_bit(u32 msr, u32 *bit)
{
	u32 range;

	if (msr < MSRPM_RANGE)
		range = 0;
	else if (msr - 0xc0000000U < MSRPM_RANGE)
		range = 1;
	else if (msr - 0xc0010000U < MSRPM_RANGE)
		range = 2;
	else
		return false;
	*bit = range * MSRPM_RANGE_BYTES * 8 + 2 * (msr & (MSRPM_RANGE - 1));
	return true;
}

static const u8 *map_of(const struct svm_nested *n, u64 base, u64 size)
{
	pa2_t at = PA2(ALIGN_DOWN(base, PAGE_SIZE));

	return n->core->is_ram(at, size) ? n->core->pointer(at) : n->maps.ones;
}

bool svm_l2_wants_msr(const struct svm_nested *n, u32 msr, bool is_write)
{
	const u8 *map = map_of(n, n->current->v23.msrpm_base, MSRPM_SIZE);
	u32 bit;

	if (!svm_msrpm_bit(msr, &bit))
		return true;
	bit += is_write;
	return __atomic_load_n(&map[bit / 8], __ATOMIC_RELAXED) >> (bit % 8) & 1;
}

/* APM 2 "I/O Intercepts" (15.10.1): the bit of each port that the access touches; those behind the
 * last port are in the third page. */
bool svm_iopm_exits(const u8 *map, u16 port, u32 size)
{
	for (u32 p = port; p < (u32)port + size; p++)
		if (__atomic_load_n(&map[p / 8], __ATOMIC_RELAXED) >> (p % 8) & 1)
			return true;
	return false;
}

bool svm_l2_wants_port(const struct svm_nested *n, u16 port, u32 size)
{
	return svm_iopm_exits(map_of(n, n->current->v23.iopm_base, IOPM_SIZE), port, size);
}

const u64 *svm_find_msrpm(const struct svm_nested *n, const struct vmcb_control *v23)
{
	if (!(v23->intercept1 & INTERCEPT1_MSR))
		return (const u64 *)n->maps.msrpm12;
	return (const u64 *)map_of(n, v23->msrpm_base, MSRPM_SIZE);
}

void svm_merge_iopm(struct svm_nested *n)
{
	struct svm_slot *s = n->current;
	const u64 *map12 = (const u64 *)n->maps.iopm12;
	const u64 *map23 = (const u64 *)map_of(n, s->v23.iopm_base, IOPM_SIZE);
	u64 *map13 = (u64 *)n->maps.iopm13;

	for (u32 i = 0; i < IOPM_SIZE / sizeof(u64); i++)
		map13[i] = map12[i] | __atomic_load_n(&map23[i], __ATOMIC_RELAXED);
	svm_count_map_words(IOPM_SIZE / sizeof(u64));
	s->iopm_is_merged = true;
	s->vmcb13.vmcb->c.iopm_base = n->maps.iopm13_at.v;
	svm_changed(s->vmcb13.vmcb, CLEAN_MAPS);
}
