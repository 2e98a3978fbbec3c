/*
 * The hand-made chain of EPT entries.
 */
#include <string.h>

#include "tests/host/ept_chain.h"

void chain_make(struct chain *chain, u32 leaf_level, bool tracks, struct nept_features features)
{
	u32 level;

	memset(chain, 0, sizeof(*chain));
	chain->access = fake_memory_access(&chain->memory);
	nept_format_ept.make_rules(&features, &chain->rules);
	chain->source = (struct nept_source){ .format = &nept_format_ept,
					      .rules = &chain->rules,
					      .memory = &chain->access };
	chain->source.root = nept_format_ept.root23(fake_page_address(0) | EPTP_WALK_4 |
						    MEMTYPE_WB | (tracks ? EPTP_AD : 0));
	for (level = 4; level >= leaf_level; level--) {
		u32 index = (u32)(CHAIN_ADDRESS >> (12 + 9 * (level - 1))) & 511;

		chain->entry[level] = &chain->memory.page[4 - level][index];
		if (level > leaf_level)
			*chain->entry[level] = fake_page_address(5 - level) | 7;
		else
			*chain->entry[level] = (CHAIN_PAGE & ~(BIT(12 + 9 * (level - 1)) - 1)) |
					       (6 << 3) | 7 | (level > 1 ? 0x80 : 0);
	}
}

enum nept_walk_result chain_walk(struct chain *chain, u32 access)
{
	return nept_walk(&chain->source, PA3(CHAIN_ADDRESS), access, &chain->walk);
}
