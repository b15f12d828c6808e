#ifndef FEDWARDEN_COLLECT_WALK_TELL_H
#define FEDWARDEN_COLLECT_WALK_TELL_H

/*
 * A walk as observations (base/observation.h), and the memory of which chains were told: the certificates of an
 * endpoint are told again only when they changed. One thread.
 */

#include "collect/walk.h"

struct told_chain;
struct walk_memory { /* of one partner; all zero is an empty one */
    size_t count;
    struct told_chain *chains;
};

/*
 * walk_tell(walk, memory, count): the observations of a walk: its lookups, its endpoints, the chains that `memory` does
 * not hold, and the walk itself. The caller frees the array; aborts without memory.
 */
struct observation *walk_tell(const struct walk *walk, const struct walk_memory *memory, size_t *count);

/* walk_told(walk, memory): the observations of `walk` were posted: remembers the chains of its endpoints, and no other. */
void walk_told(const struct walk *walk, struct walk_memory *memory);

/* walk_memory_clear(memory): forgets everything. */
void walk_memory_clear(struct walk_memory *memory);

#endif
