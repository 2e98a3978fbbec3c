/*
 * Makes the plan that brings an L2 image to life. The boot loader left image and modules anywhere,
 * often where the image itself wants to be. So whatever lies in the way is first copied to memory
 * that nothing else uses; after that no copy overwrites the source of a later one.
 */
#include "l1-hypervisor/loader_job.h"

#include "l1-hypervisor/leaf/string.h"

/* L2's block goes below 640 KiB when it can, above the first page with its real-mode vectors:
 * images expect the rest of memory to be theirs. */
#define BLOCK_FLOOR   PAGE_SIZE
#define BLOCK_CEILING 0xa0000U
#define ONE_MIB       BIT(20)

static const struct image_kind *const kinds[] = { &image_multiboot, &image_bzimage,
						  &image_vmlinux };

bool job_read(const struct load_job *job, u64 offset, void *to, u64 length)
{
	if (offset > job->image_length || length > job->image_length - offset)
		return false;
	memcpy(to, job->image + offset, length);
	return true;
}

bool job_add_segment(struct load_job *job, struct load_segment segment)
{
	if (segment.offset > job->image_length ||
	    segment.length > job->image_length - segment.offset)
		return refuse(job->why, "the L2 image is cut off: it ends at byte %llu",
			      (unsigned long long)job->image_length);
	if (job->segment_count == SEGMENTS_MAX)
		return refuse(job->why, "the L2 image has more than %d segments", SEGMENTS_MAX);
	job->segment[job->segment_count++] = segment;
	return true;
}

static void make_busy(struct load_job *job, struct memory_range range)
{
	if (range.start < range.end)
		job->busy[job->busy_count++] = range;
}

/* Finds RAM that nothing uses and reserves it. */
static bool find_place(struct load_job *job, u64 length, u64 align, u64 floor, u64 ceiling, u64 *to)
{
	if (!memory_map_find(&job->boot->map, length, align, floor, ceiling, job->busy,
			     job->busy_count, to))
		return false;
	make_busy(job, (struct memory_range){ *to, *to + length });
	return true;
}

static void add_step(struct load_plan *plan, struct load_step step)
{
	plan->step[plan->step_count++] = step;
}

/* Every segment must be L2's RAM, and is out of bounds for everything else. */
static bool claim_segments(struct load_job *job)
{
	for (u32 i = 0; i < job->segment_count; i++) {
		u64 start = job->segment[i].to;
		u64 end = start + job->segment[i].claim;

		if (end < start || end > FOUR_GIB ||
		    !memory_map_is_ram(&job->boot->map, (struct memory_range){ start, end }))
			return refuse(job->why,
				      "too little memory: the L2 image wants 0x%llx to 0x%llx, "
				      "which is not all RAM that L2 has",
				      (unsigned long long)start, (unsigned long long)end);
		make_busy(job, (struct memory_range){ start, end });
	}
	return true;
}

static bool is_in_the_way(const struct load_job *job, struct memory_range range)
{
	for (u32 i = 0; i < job->segment_count; i++) {
		const struct load_segment *s = &job->segment[i];

		if (memory_ranges_overlap(range, (struct memory_range){ s->to, s->to + s->claim }))
			return true;
	}
	return false;
}

/* Moves what lies at `range` to a free place below `ceiling`. */
static bool move_away(struct load_job *job, struct memory_range *range, u64 align, u64 ceiling,
		      const char *what)
{
	u64 length = range->end - range->start;
	u64 to;

	if (!find_place(job, length, align, ONE_MIB, ceiling, &to))
		return refuse(job->why, "too little memory: no room for %s of %llu KiB", what,
			      (unsigned long long)length / 1024);
	add_step(job->plan, (struct load_step){ .to = to, .from = range->start, .length = length });
	*range = (struct memory_range){ to, to + length };
	return true;
}

/* Brings the modules to where L2 can use them: in its RAM, out of its image's way. */
static bool settle_modules(struct load_job *job)
{
	for (u32 i = 0; i < job->module_count; i++) {
		struct memory_range *module = &job->module[i];

		if (module->start == module->end ||
		    (!is_in_the_way(job, *module) && !(module->start & (job->module_align - 1)) &&
		     module->end <= job->module_ceiling &&
		     memory_map_is_ram(&job->boot->map, *module)))
			continue;
		if (!move_away(job, module, job->module_align, job->module_ceiling, "a module"))
			return false;
	}
	return true;
}

static bool settle_image(struct load_job *job)
{
	const struct boot_module *file = &job->boot->module[0];
	struct memory_range image = { file->start, file->end };

	if (is_in_the_way(job, image) && !move_away(job, &image, 1, FOUR_GIB, "the L2 image"))
		return false;
	for (u32 i = 0; i < job->segment_count; i++) {
		const struct load_segment *s = &job->segment[i];

		add_step(job->plan, (struct load_step){ .to = s->to,
							.from = image.start + s->offset,
							.length = s->length,
							.clear = s->clear });
	}
	return true;
}

static bool place_block(struct load_job *job)
{
	u64 *at = &job->plan->block_at;

	return find_place(job, LOAD_BLOCK_MAX, PAGE_SIZE, BLOCK_FLOOR, BLOCK_CEILING, at) ||
	       find_place(job, LOAD_BLOCK_MAX, PAGE_SIZE, ONE_MIB, FOUR_GIB, at) ||
	       refuse(job->why, "too little memory: no room for what L2 is told at its start");
}

void *job_block(struct load_job *job, u64 length, u64 align, u64 *physical)
{
	struct load_plan *plan = job->plan;
	u64 offset = ALIGN_UP((u64)plan->block_length, align);

	if (offset > LOAD_BLOCK_MAX || length > LOAD_BLOCK_MAX - offset) {
		refuse(job->why, "what L2 is told at its start is longer than %d KiB",
		       LOAD_BLOCK_MAX / 1024);
		return NULL;
	}
	plan->block_length = (u32)(offset + length);
	*physical = plan->block_at + offset;
	return plan->block + offset;
}

bool job_block_text(struct load_job *job, const char *text, u64 *physical)
{
	u64 length = strlen(text) + 1;
	char *to = job_block(job, length, 1, physical);

	if (to)
		memcpy(to, text, length);
	return to;
}

/* Collects what is where now: the image to load and L2's modules. */
static bool job_start(struct load_job *job)
{
	const struct boot_info *boot = job->boot;

	if (!boot->module_count)
		return refuse(job->why, "no L2 image: give one as the first Multiboot module");
	job->image_length = boot->module[0].end - boot->module[0].start;
	job->image = job->at(boot->module[0].start, job->image_length);
	if (!job->image)
		return refuse(job->why, "the L2 image lies outside of memory");
	for (u32 i = 0; i < boot->module_count; i++)
		make_busy(job, (struct memory_range){ boot->module[i].start, boot->module[i].end });
	for (u32 i = 1; i < boot->module_count; i++)
		job->module[job->module_count++] =
			(struct memory_range){ boot->module[i].start, boot->module[i].end };
	return true;
}

bool load_make_plan(struct load_plan *plan, const struct boot_info *boot, physical_at *at,
		    struct refusal *why)
{
	struct load_job job = {
		.plan = plan,
		.boot = boot,
		.at = at,
		.why = why,
		.module_align = 1,
		.module_ceiling = FOUR_GIB,
	};
	u32 i = 0;

	memset(plan, 0, sizeof(*plan));
	if (!job_start(&job))
		return false;
	while (i < ARRAY_SIZE(kinds) && !kinds[i]->matches(&job))
		i++;
	if (i == ARRAY_SIZE(kinds))
		return refuse(why, "the L2 image is no Multiboot 1 image, no Linux bzImage and no "
				   "Linux vmlinux");
	if (!kinds[i]->scan(&job) || !claim_segments(&job) || !settle_modules(&job) ||
	    !settle_image(&job) || !place_block(&job) || !kinds[i]->describe(&job))
		return false;
	add_step(plan, (struct load_step){
			       .to = plan->block_at,
			       .length = plan->block_length,
			       .from_block = true,
		       });
	return true;
}

void load_apply(const struct load_plan *plan, physical_at *at)
{
	for (u32 i = 0; i < plan->step_count; i++) {
		const struct load_step *step = &plan->step[i];
		u8 *to = at(step->to, step->length + step->clear);

		if (step->from_block)
			memcpy(to, plan->block + step->from, step->length);
		else
			memcpy(to, at(step->from, step->length), step->length);
		memset(to + step->length, 0, step->clear);
	}
}
