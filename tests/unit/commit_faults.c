/*
 * A commit that is killed before any of its system calls, or in which one of them
 * fails, leaves the old container or the new one, whole, and recovery leaves nothing
 * beside it. So does a recovery that is killed itself.
 */
#include "tests/unit/commit_faults.h"

static int plan_places(struct plan *plan)
{
	const char *bytes = "edited in several places";

	for (uint64_t off = 10; off < OLD_SIZE - 100; off += 20000)
		if (plan_write(plan, off, bytes, strlen(bytes), NULL) < 0)
			return -1;
	return 0;
}

static int plan_growing(struct plan *plan)
{
	static char more[50000];

	memset(more, 'm', sizeof more);
	if (plan_places(plan) < 0)
		return -1;
	return plan_write(plan, OLD_SIZE - 300, more, sizeof more, NULL);
}

static int plan_shrinking(struct plan *plan)
{
	return plan_places(plan) < 0 ? -1 : plan_cut(plan, OLD_SIZE / 2 + 77, NULL);
}

static int plan_moving(struct plan *plan)
{
	if (plan_cut(plan, 0, NULL) < 0 || plan_bytes(plan, "new head", 8, NULL) < 0 ||
		plan_fill(plan, ' ', 5000, NULL) < 0)
		return -1;
	return plan_old(plan, 8, OLD_SIZE - 8, NULL);
}

static const struct kind kinds[] = {
	{"a patch", COMMIT_PATCH, false, false, plan_places},
	{"a patch that grows the file", COMMIT_PATCH, false, false, plan_growing},
	{"a patch that shrinks the file", COMMIT_PATCH, false, false, plan_shrinking},
	{"a patch of a file with two names", COMMIT_PATCH, true, false, plan_places},
	{"a rewrite", COMMIT_REWRITE, false, false, plan_places},
	{"a rewrite that moves all data", COMMIT_AUTO, false, false, plan_moving},
};

int main(void)
{
	int code = faults_begin();

	if (code != 0)
		return code;
	faults_of(&(struct kinds){kinds, sizeof kinds / sizeof kinds[0]});
	OK(n_torn >= 10, "kills tore containers in many ways");
	return faults_end();
}
