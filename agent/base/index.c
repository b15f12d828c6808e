/* A sorted array: rows come rarely and are read often, mostly in order, and a walk over an array is its own hint. */
#include "base/index.h"

#include <stdlib.h>
#include <string.h>

void index_init(struct index *index, unsigned parts)
{
    *index = (struct index){.parts = parts};
}

void index_clear(struct index *index)
{
    free(index->entries);
    index_init(index, index->parts);
}

static int compare(const struct index *index, const uint32_t a[], const uint32_t b[])
{
    for (unsigned i = 0; i < index->parts; i++)
        if (a[i] != b[i])
            return a[i] < b[i] ? -1 : 1;
    return 0;
}

size_t index_from(const struct index *index, const uint32_t key[])
{
    size_t low = 0, high = index->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(index, index->entries[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool found_at(const struct index *index, size_t position, const uint32_t key[])
{
    return position < index->count && compare(index, index->entries[position].key, key) == 0;
}

size_t index_after(const struct index *index, const uint32_t key[])
{
    size_t position = index_from(index, key);
    return position + found_at(index, position, key);
}

void *index_find(const struct index *index, const uint32_t key[])
{
    size_t position = index_from(index, key);
    return found_at(index, position, key) ? index->entries[position].cell : NULL;
}

static void grow(struct index *index)
{
    size_t room = index->room ? 2 * index->room : 16;
    struct index_entry *entries = reallocarray(index->entries, room, sizeof *entries);
    if (!entries)
        abort();
    index->entries = entries;
    index->room = room;
}

bool index_insert(struct index *index, const uint32_t key[], void *cell)
{
    /* Rows mostly come in the order of their keys. */
    size_t position = index->count;
    if (position > 0 && compare(index, index->entries[position - 1].key, key) >= 0)
        position = index_from(index, key);
    if (found_at(index, position, key))
        return false;
    if (index->count == index->room)
        grow(index);
    struct index_entry *entry = &index->entries[position];
    memmove(entry + 1, entry, (index->count - position) * sizeof *entry);
    *entry = (struct index_entry){.cell = cell};
    memcpy(entry->key, key, index->parts * sizeof key[0]);
    index->count++;
    return true;
}

void *index_remove(struct index *index, const uint32_t key[])
{
    size_t position = index_from(index, key);
    if (!found_at(index, position, key))
        return NULL;
    struct index_entry *entry = &index->entries[position];
    void *cell = entry->cell;
    index->count--;
    memmove(entry, entry + 1, (index->count - position) * sizeof *entry);
    return cell;
}
