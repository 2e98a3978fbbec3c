/*
 * The inner guest of a conformance test of SVM; see svm_inner.h.
 */
#include "guests/lib/svm_inner.h"
#include "guests/lib/words.h"
#include "l1-hypervisor/leaf/string.h"

#define STACK_SIZE 8192
#define NPT_PAGES  16
#define NPT_BYTES  BIT(32)
#define NPT_2M     21

union svm_regs svm_inner_regs;
struct vmcb svm_inner_vmcb, svm_inner_other_vmcb;
struct stage2 svm_inner_npt;
u8 svm_inner_msrpm[MSRPM_SIZE] __attribute__((aligned(4096)));
u8 svm_inner_iopm[IOPM_SIZE] __attribute__((aligned(4096)));

static struct svm_features features;
const struct svm_features *const svm_inner_features = &features;

static u8 stack[STACK_SIZE] __attribute__((aligned(16)));
static u8 npt_pages[NPT_PAGES * PAGE_SIZE] __attribute__((aligned(4096)));
static bool without_npt;

void svm_inner_read_words(const char *words)
{
	static const char *const choices[] = { "on", "off", NULL };

	without_npt = words_choice(words, "npt", choices) == 1;
}

int svm_inner_main(const struct guest_args *args, const struct suite *const *suites)
{
	static const char *const names[] = { "npt", NULL };

	words_allow(args->words, names);
	svm_inner_read_words(args->words);
	svm_inner_init();
	return suites_run(suites);
}

bool svm_inner_with_npt(void)
{
	return !without_npt && features.bits & SVM_FEATURE_NPT;
}

void svm_inner_init(void)
{
	const char *refused = svm_start();

	if (refused)
		guest_fail("%s", refused);
	svm_read_features(&features);
}

void svm_inner_use_npt(void)
{
	stage2_init(&svm_inner_npt, npt_pages, NPT_PAGES);
	if (!stage2_map(&svm_inner_npt, 0, 0, NPT_BYTES, NPT_RAM, NPT_2M))
		guest_fail("the pages for NPT tables do not suffice");
	svm_use_npt(&svm_inner_vmcb, &svm_inner_npt);
}

void svm_inner_split_npt(u64 address)
{
	u64 start = ALIGN_DOWN(address, BIT(NPT_2M));

	*stage2_entry(&svm_inner_npt, start, NPT_2M) = 0;
	if (!stage2_map(&svm_inner_npt, start, start, BIT(NPT_2M), NPT_RAM, PAGE_SHIFT))
		guest_fail("the pages for NPT tables do not suffice");
	svm_inner_vmcb.c.tlb_control = TLB_FLUSH_ALL;
}

void svm_inner_reset(const char *code)
{
	memset(svm_inner_msrpm, 0, MSRPM_SIZE);
	memset(svm_inner_iopm, 0, IOPM_SIZE);
	memset(&svm_inner_regs, 0, sizeof(svm_inner_regs));
	svm_write_controls(&svm_inner_vmcb);
	svm_inner_vmcb.c.msrpm_base = (u64)svm_inner_msrpm;
	svm_inner_vmcb.c.iopm_base = (u64)svm_inner_iopm;
	/* Another test's tables may be at the same addresses, and its translations cached. */
	svm_inner_vmcb.c.tlb_control = TLB_FLUSH_ALL;
	svm_write_guest_long(&svm_inner_vmcb, (u64)code, (u64)(stack + STACK_SIZE));
}

void svm_inner_enter(struct svm_inner_exit *exit, enum svm_entry entry)
{
	const struct vmcb_control *c = &svm_inner_vmcb.c;

	svm_enter(&svm_inner_regs, &svm_inner_vmcb, entry);
	*exit = (struct svm_inner_exit){
		.exit = svm_exit_of(c->exit_code),
		.info1 = c->exit_info1,
		.info2 = c->exit_info2,
		.int_info = c->exit_int_info,
		.next_rip = c->next_rip,
	};
}

void svm_inner_run(struct svm_inner_exit *exit)
{
	svm_inner_enter(exit, SVM_ENTRY_FULL);
}

void svm_inner_skip(const struct svm_inner_exit *exit, u32 length)
{
	u64 next = svm_inner_vmcb.s.rip + length;

	if (features.bits & SVM_FEATURE_NRIPS)
		test_equal("next RIP", exit->next_rip, next);
	svm_inner_vmcb.s.rip = next;
}

bool svm_inner_exited(const struct svm_inner_exit *exit, enum svm_exit want)
{
	return test_equal("exit", exit->exit, want);
}

void svm_inner_run_to_end(void)
{
	struct svm_inner_exit exit;

	svm_inner_run(&exit);
	svm_inner_exited(&exit, SVM_EXIT_VMMCALL);
}
