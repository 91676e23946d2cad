/* plan_private: what plan.c and plan_outcome.c share and nobody else includes. */
#ifndef WEIGHTFS_BASE_PLAN_PRIVATE_H
#define WEIGHTFS_BASE_PLAN_PRIVATE_H

#include "decoders/base/plan.h"
#include <stddef.h>
#include <stdint.h>

struct store;

struct plan {
	struct source *old;
	struct region *regions;
	size_t n, cap;
	uint64_t size;	      /* of the new container: where the last region ends */
	struct store *stores; /* the first may have room */
};

/* The index of the region that has offset `off`; plan->n beyond the end. */
size_t plan_find(const struct plan *plan, uint64_t off);

#endif
