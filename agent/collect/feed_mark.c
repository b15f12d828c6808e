/*
 * How far a feed was read, as octets behind a version. What is read back may be anything: counts, lengths and names are
 * held against what is possible, and one thing that is not makes all of it nothing.
 */
#include "collect/feed_parts.h"

#include <stdlib.h>
#include <string.h>

#define VERSION 1

void feed_marks_put(struct feed_marks *marks, const char *feed, const void *data, size_t length)
{
    struct feed_mark *mark = NULL;
    for (size_t i = 0; i < marks->count && !mark; i++)
        if (strcmp(marks->marks[i].feed, feed) == 0)
            mark = &marks->marks[i];
    if (!mark) {
        marks->marks = reallocarray(marks->marks, marks->count + 1, sizeof *marks->marks);
        if (!marks->marks)
            abort();
        mark = &marks->marks[marks->count++];
        *mark = (struct feed_mark){.length = 0};
        strncpy(mark->feed, feed, sizeof mark->feed - 1);
    }
    void *copy = malloc(length ? length : 1);
    if (!copy)
        abort();
    if (length)
        memcpy(copy, data, length);
    free(mark->data);
    mark->data = copy;
    mark->length = length;
}

void feed_marks_clear(struct feed_marks *marks)
{
    for (size_t i = 0; i < marks->count; i++)
        free(marks->marks[i].data);
    free(marks->marks);
    *marks = (struct feed_marks){0};
}

static void pack_head(struct pack *pack, const struct feed_head *head)
{
    pack_u64(pack, head->hash);
    pack_u32(pack, head->length);
}

void feed_state_pack(const struct feed_state *state, struct pack *pack)
{
    pack_u32(pack, VERSION);
    pack_u8(pack, state->begun);
    pack_u64(pack, state->log);
    pack_u64(pack, (uint64_t)state->survey);
    pack_text(pack, state->cursor);
    pack_u32(pack, (uint32_t)state->finished_count);
    for (size_t i = 0; i < state->finished_count; i++)
        pack_head(pack, &state->finished[i]);
    pack_u32(pack, (uint32_t)state->count);
    for (size_t i = 0; i < state->count; i++) {
        const struct feed_position *position = &state->positions[i];
        pack_text(pack, position->name);
        pack_u64(pack, position->device);
        pack_u64(pack, position->inode);
        pack_u64(pack, position->offset);
        pack_u8(pack, position->skipping);
        pack_head(pack, &position->head);
    }
}

static struct feed_head unpack_head(struct unpack *unpack)
{
    struct feed_head head;
    head.hash = unpack_u64(unpack);
    head.length = unpack_u32(unpack);
    if (head.length > FEED_HEAD_MAX)
        unpack->bad = true;
    return head;
}

static size_t unpack_count(struct unpack *unpack, size_t most)
{
    size_t count = unpack_u32(unpack);
    if (count > most)
        unpack->bad = true;
    return unpack->bad ? 0 : count;
}

static void unpack_position(struct unpack *unpack, struct feed_position *position)
{
    unpack_text(unpack, position->name, sizeof position->name);
    position->device = unpack_u64(unpack);
    position->inode = unpack_u64(unpack);
    position->offset = unpack_u64(unpack);
    uint8_t skipping = unpack_u8(unpack);
    position->skipping = skipping;
    position->head = unpack_head(unpack);
    if (!*position->name || strchr(position->name, '/') || position->offset > INT64_MAX || skipping > 1)
        unpack->bad = true;
}

bool feed_state_unpack(struct unpack *unpack, struct feed_state *state)
{
    if (unpack_u32(unpack) != VERSION)
        unpack->bad = true;
    state->begun = unpack_u8(unpack);
    state->log = unpack_u64(unpack);
    state->survey = (int64_t)unpack_u64(unpack);
    unpack_text(unpack, state->cursor, sizeof state->cursor);
    state->finished_count = unpack_count(unpack, FINISHED_MAX);
    for (size_t i = 0; i < state->finished_count; i++)
        state->finished[i] = unpack_head(unpack);
    state->count = unpack_count(unpack, FILES_MAX);
    for (size_t i = 0; i < state->count; i++)
        unpack_position(unpack, &state->positions[i]);
    return !unpack->bad;
}
