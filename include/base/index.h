#ifndef FEDWARDEN_BASE_INDEX_H
#define FEDWARDEN_BASE_INDEX_H

/*
 * An ordered index: cells under keys of one to INDEX_PARTS unsigned integers, in the order of an SMI table. The ledger
 * keeps its cells in such indexes and the MIB reads them as they stand. One thread.
 * Look-ups are O(log n), in the order of a walk O(1); insertion at the end is O(1), elsewhere O(n).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INDEX_PARTS 3

struct index_entry {
    uint32_t key[INDEX_PARTS]; /* parts beyond the index's own number are 0 */
    void *cell;
};

struct index {
    unsigned parts; /* of the keys, 1 to INDEX_PARTS */
    struct index_entry *entries;
    size_t count;
    size_t room;
};

/* index_init(index, parts): an empty index. index_clear(index): frees the entries, not the cells. */
void index_init(struct index *index, unsigned parts);
void index_clear(struct index *index);

/* index_insert(index, key, cell): false, and nothing changed, when the key is there already. Aborts without memory. */
bool index_insert(struct index *index, const uint32_t key[], void *cell);

/* index_remove(index, key): takes the entry out and returns its cell; NULL when there is none. */
void *index_remove(struct index *index, const uint32_t key[]);

/* index_find(index, key): the cell, or NULL. */
void *index_find(const struct index *index, const uint32_t key[]);

/* index_after(index, key): the position of the first entry greater than `key`; index->count when there is none. */
size_t index_after(const struct index *index, const uint32_t key[]);
/* index_from(index, key): the position of the first entry not less than `key`. */
size_t index_from(const struct index *index, const uint32_t key[]);

#endif
