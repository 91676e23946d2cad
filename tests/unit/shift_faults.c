/*
 * A commit that moves data in place is whole after a kill or a failure at any of its
 * system calls, as in commit_faults.c, and after a power cut at any moment of the file
 * system's moving, which is put together here.
 */
#include "tests/unit/commit_faults.h"
#include <linux/magic.h>
#include <sys/vfs.h>

/* Which blocks of all sizes divide. */
#define GAP 8192
#define HEADER_MAX 20000
#define BLOCK 4096

/* As a header that outgrows its space: two blocks more, and data behind it. */
static int plan_header(struct plan *plan, uint64_t header)
{
	static char text[HEADER_MAX];

	memset(text, 'h', header + GAP);
	if (plan_cut(plan, 0, NULL) < 0 ||
		plan_bytes(plan, text, header + GAP, NULL) < 0 ||
		plan_old(plan, header, OLD_SIZE - header, NULL) < 0)
		return -1;
	return plan_write(plan, 50000, "edited as well", 14, NULL);
}

static int plan_small_header(struct plan *plan)
{
	return plan_header(plan, 1000);
}

static int plan_more_data(struct plan *plan)
{
	if (plan_header(plan, 5000) < 0 || plan_bytes(plan, "new data", 8, NULL) < 0)
		return -1;
	return plan_fill(plan, 'd', 9000, NULL);
}

static const struct kind kinds[] = {
	{"a shift", COMMIT_AUTO, false, true, plan_small_header},
	{"a shift that grows a file with two names too", COMMIT_AUTO, true, true,
		plan_more_data},
};

/* Kills the edit at each call until it has left its journal and nothing else. */
static void look_for_journal(const struct kind *kind, struct torn *torn)
{
	struct mishap mishap = {.fault = KILL};
	bool met = true;

	for (mishap.n = 1; met && torn->model_len != OLD_SIZE && mishap.n < CALLS_MAX;
		mishap.n++) {
		fresh(kind);
		met = run(&(struct job){.kind = kind}, &mishap);
		(void)take_torn(torn);
	}
}

/* A sanitizer makes calls of its own, not always as many: a moment may be missed. */
static void take_journal(const struct kind *kind, struct torn *torn)
{
	torn->model_len = 0;
	for (int i = 0; i < 5 && torn->model_len != OLD_SIZE; i++)
		look_for_journal(kind, torn);
	CHECK_INT(torn->model_len, OLD_SIZE);
}

/* What was old from `from` on has moved. */
static void tear(struct torn *torn, size_t from)
{
	memset(torn->model, 0, OLD_SIZE + GAP);
	memcpy(torn->model, before, from);
	memcpy(torn->model + from + GAP, before + from, OLD_SIZE - from);
	torn->model_len = OLD_SIZE + GAP;
}

/* At every block, from the end to the gap. */
static void cut_short(const struct kind *kind)
{
	static struct torn torn;
	size_t gap = kind->plan == plan_small_header ? 0 : BLOCK;

	take_journal(kind, &torn);
	for (size_t from = gap; from < OLD_SIZE + BLOCK; from += BLOCK) {
		tear(&torn, from < OLD_SIZE ? from : OLD_SIZE);
		place(kind, &torn);
		CHECK_INT(check_whole(kind, &(struct mishap){0}), 1);
		n_torn++;
	}
	for (size_t from = gap; from <= gap + 2 * BLOCK; from += BLOCK) {
		tear(&torn, from);
		kill_recovery(kind, &torn);
	}
}

/* A hole that no shift leaves, or one too long: nothing is guessed. */
static void refuse_holes(const struct kind *kind)
{
	const size_t holes[][2] = {{20480, GAP / 2}, {20480, GAP + BLOCK}, {0, BLOCK}};
	static struct torn torn;

	take_journal(kind, &torn);
	for (size_t i = 0; i < sizeof holes / sizeof holes[0]; i++) {
		const struct container_options options = {.mode = COMMIT_AUTO};
		struct container *c = NULL;

		memset(torn.model, 'x', OLD_SIZE + GAP);
		memset(torn.model + holes[i][0], 0, holes[i][1]);
		torn.model_len = OLD_SIZE + GAP;
		place(kind, &torn);
		CHECK_INT(container_open(&c, MODEL, &options, NULL), 0);
		CHECK(container_readonly(c) != NULL &&
			strstr(container_readonly(c), "which no shift leaves") != NULL);
		container_close(&c);
		CHECK(leftover(".journal") != NULL);
	}
}

/* Whether the test's folder lies where a shift is made. */
static bool look_for_shift(void)
{
	struct statfs fs;
	int fd = open(MODEL, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	bool can = fd >= 0 && write(fd, before, OLD_SIZE) == OLD_SIZE &&
		   fstatfs(fd, &fs) == 0 && fs.f_type == EXT4_SUPER_MAGIC &&
		   fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, GAP) == 0;

	close(fd);
	return can;
}

int main(void)
{
	const struct kinds all = {kinds, sizeof kinds / sizeof kinds[0]};
	int code = faults_begin();

	if (code != 0)
		return code;
	if (!look_for_shift()) {
		printf("data is moved in place on ext4 only, and the test's folder is "
		       "not "
		       "there\n");
		return 77;
	}
	faults_of(&all);
	all_kinds(&all,
		"cut off at every block, a shift is finished, though its recovery is "
		"killed",
		cut_short);
	all_kinds(&(struct kinds){kinds + 1, 1},
		"a model with holes that no shift leaves is not touched", refuse_holes);
	return faults_end();
}
