/*
 * How far a feed was read, as octets: what is written is read back; what is cut short or has an octet changed is
 * understood as a whole or not at all, and never does harm.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "collect/feed_parts.h"

static struct feed_state *make_state(void)
{
    struct feed_state *state = calloc(1, sizeof *state);
    state->begun = true;
    state->log = UINT64_C(0x0123456789abcdef);
    state->survey = INT64_C(1795345381160000000);
    state->finished_count = FINISHED_MAX;
    for (uint32_t i = 0; i < FINISHED_MAX; i++)
        state->finished[i] = (struct feed_head){i * 7, i};
    state->count = 2;
    for (uint32_t i = 0; i < 2; i++) {
        text_format(state->positions[i].name, sizeof state->positions[i].name, "a%u.log", i);
        state->positions[i].device = 1;
        state->positions[i].inode = UINT64_MAX - i;
        state->positions[i].offset = INT64_MAX;
        state->positions[i].skipping = i;
        state->positions[i].head = (struct feed_head){42, FEED_HEAD_MAX};
    }
    return state;
}

Test(mark, is_read_back)
{
    struct feed_state *state = make_state(), *other = calloc(1, sizeof *other);
    struct pack pack = {.most = FEED_MARK_MAX};
    feed_state_pack(state, &pack);
    cr_expect(!pack.full);
    struct unpack unpack = {.data = pack.data, .length = pack.length};
    cr_assert(feed_state_unpack(&unpack, other));
    cr_expect_eq(unpack.length, 0);
    struct pack again = {.most = FEED_MARK_MAX};
    feed_state_pack(other, &again);
    cr_expect(again.length == pack.length && memcmp(again.data, pack.data, pack.length) == 0);
    cr_expect_eq(other->positions[1].inode, UINT64_MAX - 1);
    cr_expect_eq(other->positions[1].offset, INT64_MAX);
    cr_expect(other->positions[1].skipping && !other->positions[0].skipping);
    cr_expect_str_eq(other->positions[1].name, "a1.log");
    cr_expect_eq(other->finished[5].length, 5);
    free(again.data);
    free(state);
    free(other);
    free(pack.data);
}

Test(mark, every_part_is_no_mark)
{
    struct feed_state *state = make_state(), *other = calloc(1, sizeof *other);
    struct pack pack = {.most = FEED_MARK_MAX};
    feed_state_pack(state, &pack);
    for (size_t length = 0; length < pack.length; length++) {
        unsigned char *part = malloc(length + 1);
        memcpy(part, pack.data, length);
        struct unpack unpack = {.data = part, .length = length};
        cr_expect(!feed_state_unpack(&unpack, other), "%zu of %zu octets", length, pack.length);
        free(part);
    }
    free(state);
    free(other);
    free(pack.data);
}

/* A name that leads out of the folder, a count beyond its array, and one bit anywhere. */
Test(mark, what_is_not_possible_is_none)
{
    struct feed_state *state = make_state(), *other = calloc(1, sizeof *other);
    struct pack pack = {.most = FEED_MARK_MAX};
    text_copy(state->positions[1].name, sizeof state->positions[1].name, "../passwd");
    feed_state_pack(state, &pack);
    struct unpack unpack = {.data = pack.data, .length = pack.length};
    cr_expect(!feed_state_unpack(&unpack, other));
    for (size_t i = 0; i < pack.length; i++)
        for (unsigned value = 1; value < 256; value *= 2) {
            pack.data[i] ^= (unsigned char)value;
            memset(other, 0, sizeof *other);
            unpack = (struct unpack){.data = pack.data, .length = pack.length};
            if (feed_state_unpack(&unpack, other))
                cr_expect(other->count <= FILES_MAX && other->finished_count <= FINISHED_MAX);
            pack.data[i] ^= (unsigned char)value;
        }
    free(state);
    free(other);
    free(pack.data);
}

Test(mark, what_does_not_fit_is_not_there)
{
    struct pack pack = {.most = 10};
    pack_u64(&pack, 1);
    pack_text(&pack, "text");
    cr_expect(pack.full);
    cr_expect_eq(pack.length, 8);
    pack_cut(&pack, 8);
    pack_u8(&pack, 2);
    cr_expect(!pack.full);
    struct unpack unpack = {.data = pack.data, .length = pack.length};
    cr_expect_eq(unpack_u64(&unpack), 1);
    cr_expect_eq(unpack_u8(&unpack), 2);
    cr_expect_eq(unpack_u32(&unpack), 0);
    cr_expect(unpack.bad);
    free(pack.data);
}

Test(mark, marks_are_kept_by_name)
{
    struct feed_marks marks = {0};
    feed_marks_put(&marks, "a", "one", 3);
    feed_marks_put(&marks, "b", "", 0);
    feed_marks_put(&marks, "a", "second", 6);
    cr_assert_eq(marks.count, 2);
    cr_expect_eq(marks.marks[0].length, 6);
    cr_expect_eq(memcmp(marks.marks[0].data, "second", 6), 0);
    feed_marks_clear(&marks);
    cr_expect_eq(marks.count, 0);
}
