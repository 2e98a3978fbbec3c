/*
 * hv, a small guest hypervisor: runs the Multiboot image in its module `l3` once for each way and
 * each access profile that its words name, and reports each run as a TAP point. Words:
 *
 *   profiles=P;P…  (or profile=P)  access profiles: minimal, kvm, haxm, or R+W       (minimal)
 *   ways=W;W…      ways of the Nestbed below, each "axis=way,axis=way", for NB_OP_STRATEGY
 *   ept=on|off     EPT or NPT for L3 where it is offered, or shadow page tables       (on)
 *   npt=on|off     the same word
 *
 * VMX or SVM: the one that the CPU has.
 */
#include "guests/hv/cpuid.h"
#include "guests/hv/image.h"
#include "guests/hv/vm.h"
#include "guests/lib/guest.h"
#include "guests/lib/nestbed.h"
#include "guests/lib/print.h"
#include "guests/lib/tap.h"
#include "guests/lib/words.h"
#include "l1-hypervisor/leaf/string.h"

#define LIST_MAX    2048
#define LEVEL_OF_HV 2 /* natively: what it is under Nestbed */

static struct vm vm;

static const struct multiboot_module *module;
static char profiles[LIST_MAX], ways[LIST_MAX];
static bool stage2_wanted;
static u32 guest_level; /* 3, but for Nestbeds in Nestbed */

static void read_words(const char *words)
{
	static const char *const names[] = { "profile", "profiles", "ways", "ept", "npt", NULL };
	static const char *const switches[] = { "on", "off", NULL };
	char item[LIST_MAX];

	words_allow(words, names);
	if (words_text(words, "profile", item, sizeof(item)) &&
	    words_text(words, "profiles", profiles, sizeof(profiles)))
		guest_fail("the words profile= and profiles= exclude each other");
	if (!words_text(words, "profiles", profiles, sizeof(profiles)) &&
	    !words_text(words, "profile", profiles, sizeof(profiles)))
		snprintf(profiles, sizeof(profiles), "minimal");
	words_text(words, "ways", ways, sizeof(ways));
	stage2_wanted = words_choice(words, "ept", switches) == 0 &&
			words_choice(words, "npt", switches) == 0;
}

/* Ends hv when a profile's name is wrong: before anything has run. */
static void check_profiles(void)
{
	char name[PROFILE_NAME_MAX];

	if (!*profiles)
		guest_fail("the list of profiles is empty");
	for (const char *list = profiles; (list = list_next(list, ';', name, sizeof(name)));) {
		const char *refused = vm.vendor->check_profile(name);

		if (refused)
			guest_fail("profile '%s': %s", name, refused);
	}
}

static u32 count_items(const char *list)
{
	char item[2];
	u32 n = 0;

	while ((list = list_next(list, ';', item, sizeof(item))))
		n++;
	return n;
}

/* The guest's memory: behind everything that is in use, where 2-MiB pages can map it. */
static void find_memory(const struct guest_args *args)
{
	u64 start = ALIGN_UP(args->free_start, 2ULL << 20);

	if (start + VM_MEMORY > args->free_end)
		guest_fail("L3 needs %u MiB of memory above %u MiB, and there is less",
			   (u32)(VM_MEMORY >> 20), (u32)(start >> 20));
	vm.memory = (u8 *)start;
}

static void switch_ways(const char *way)
{
	enum nb_status status;

	if (!nestbed_level())
		guest_fail("ways=%s needs a Nestbed below, and there is none", way);
	if (strlen(way) > NB_WORDS_MAX)
		guest_fail("ways=%s is longer than %u characters", way, NB_WORDS_MAX);
	status = nestbed_call_text(NB_OP_STRATEGY, way);
	if (status == NB_ERR_CAPABILITY)
		guest_fail("the Nestbed below refused ways=%s: the platform lacks what it needs",
			   way);
	if (status != NB_OK)
		guest_fail("the Nestbed below refused ways=%s: it knows no such axis or way", way);
}

/* The line that says what the guest's lines after it were measured under. */
static void print_run(const char *profile, const char *way)
{
	char item[NB_WORDS_MAX + 1], axis[NB_WORDS_MAX + 1];

	guest_printf("# {\"run\":{\"profile\":\"%s\"", profile);
	for (const char *list = way; (list = list_next(list, ',', item, sizeof(item)));) {
		const char *value = list_next(item, '=', axis, sizeof(axis));

		guest_printf(",\"%s\":\"%s\"", axis, value ? value : "");
	}
	guest_printf(",\"%s_on\":%s}}\n", vm.vendor->stage2_name, vm.stage2 ? "true" : "false");
}

static void report(const char *profile, const char *way)
{
	bool good = vm.end == VM_EXITED && vm.status == 0;

	if (vm.end == VM_BROKEN)
		tap_note("%s 0x%lx", vm.broken, vm.broken_at);
	else if (!good)
		tap_note("L%u ended with status %u", guest_level, vm.status);
	tap_ok(good, "L%u ran to its end, profile %s%s%s", guest_level, profile, *way ? ", " : "",
	       way);
}

static void run(const char *profile, const char *way)
{
	struct image_start start;
	const char *refused;

	if (*way)
		switch_ways(way);
	refused = image_load(&vm, module, guest_module_words(module), &start);
	if (!refused)
		refused = vm.vendor->start();
	if (!refused)
		refused = vm_create(&vm, profile, stage2_wanted, start.eip, start.info);
	if (refused)
		guest_fail("%s", refused);
	print_run(profile, way);
	vm.vendor->run(&vm);
	vm.vendor->stop();
	report(profile, way);
}

static bool has_vmx(void)
{
	return cpuid(1, 0).ecx & CPUID_1_ECX_VMX;
}

static void run_profiles(const char *way)
{
	char name[PROFILE_NAME_MAX];

	for (const char *list = profiles; (list = list_next(list, ';', name, sizeof(name)));)
		run(name, way);
}

int main(const struct guest_args *args)
{
	u32 level = nestbed_level();
	char way[NB_WORDS_MAX + 2];

	vm.vendor = has_vmx() ? &vmx_vendor : &svm_vendor;
	read_words(args->words);
	check_profiles();
	module = guest_module(args, "l3");
	if (!module)
		guest_fail("hv needs a module named l3: the image that it is to run");
	find_memory(args);
	guest_level = (level ? level : LEVEL_OF_HV) + 1;
	cpuid_init(guest_level);

	tap_plan(count_items(profiles) * (*ways ? count_items(ways) : 1));
	if (!*ways)
		run_profiles("");
	for (const char *list = ways; (list = list_next(list, ';', way, sizeof(way)));)
		run_profiles(way);
	return tap_status();
}
