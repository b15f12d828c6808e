/*
 * What waits and what a batch is made of. Transitions and verdicts wait as packed rows, the oldest first, in rings that
 * drop the oldest when they are full; so do the numbers of notifications that were handed over. Failures wait as values,
 * because the next failure of the same partner or source, event and reason is added to the one that waits: an attack of
 * a million lines is a row a batch. They are found by a hash over these four.
 */
#include "report/history_parts.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/text.h"

struct ring { /* of packed rows */
    size_t most, first, count, room;
    struct history_buffer *rows; /* one row each */
};

struct failure {
    struct {
        uint32_t partner, source, event, reason;
    } key;
    struct history_failure_row row;
};

#define FAILURE_SLOTS 4096 /* a power of two, at least twice HISTORY_FAILURES_WAIT */
static_assert(FAILURE_SLOTS >= 2 * HISTORY_FAILURES_WAIT, "slots stay half empty");

struct history_waiting {
    struct ring transitions, verdicts;
    struct hash_key hash;
    size_t failure_count, failure_room;
    struct failure *failures;
    uint16_t *slots; /* position in failures, plus 1 */
    size_t sent_first, sent_count;
    uint64_t *sent; /* a ring of HISTORY_SENT_WAIT; NULL until it is needed */
    uint64_t lost;
};

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (!memory)
        abort();
    return memory;
}

struct history_octets *history_octets_new(const void *data, size_t length)
{
    struct history_octets *octets = malloc(sizeof *octets + length);
    if (!octets)
        abort();
    octets->users = 1;
    octets->length = length;
    if (length)
        memcpy(octets->data, data, length);
    return octets;
}

void history_octets_drop(struct history_octets *octets)
{
    if (octets && --octets->users == 0)
        free(octets);
}

void history_batch_free(struct history_batch *batch)
{
    if (!batch)
        return;
    for (size_t i = 0; i < batch->mark_count; i++)
        history_octets_drop(batch->marks[i].octets);
    free(batch->marks);
    free(batch->sent);
    history_buffer_clear(&batch->rows);
    history_buffer_clear(&batch->appended);
    free(batch);
}

struct history_waiting *history_waiting_new(void)
{
    struct history_waiting *waiting = allocate(1, sizeof *waiting);
    waiting->transitions.most = HISTORY_TRANSITIONS_WAIT;
    waiting->verdicts.most = HISTORY_VERDICTS_WAIT;
    waiting->hash = hash_key_make();
    waiting->slots = allocate(FAILURE_SLOTS, sizeof *waiting->slots);
    return waiting;
}

static void ring_clear(struct ring *ring)
{
    for (size_t i = 0; i < ring->count; i++)
        history_buffer_clear(&ring->rows[(ring->first + i) % ring->room]);
    free(ring->rows);
    *ring = (struct ring){.most = ring->most};
}

void history_waiting_free(struct history_waiting *waiting)
{
    if (!waiting)
        return;
    ring_clear(&waiting->transitions);
    ring_clear(&waiting->verdicts);
    free(waiting->failures);
    free(waiting->slots);
    free(waiting->sent);
    free(waiting);
}

bool history_waiting_any(const struct history_waiting *waiting)
{
    return waiting->transitions.count || waiting->verdicts.count || waiting->failure_count || waiting->sent_count;
}

bool history_waiting_urgent(const struct history_waiting *waiting)
{
    return waiting->transitions.count > 0;
}

uint64_t history_waiting_lost(const struct history_waiting *waiting)
{
    return waiting->lost;
}

static void ring_grow(struct ring *ring)
{
    size_t room = ring->room ? 2 * ring->room : 16;
    room = room < ring->most ? room : ring->most;
    struct history_buffer *rows = allocate(room, sizeof *rows);
    for (size_t i = 0; i < ring->count; i++)
        rows[i] = ring->rows[(ring->first + i) % ring->room];
    free(ring->rows);
    ring->rows = rows;
    ring->room = room;
    ring->first = 0;
}

static void ring_add(struct history_waiting *waiting, struct ring *ring, unsigned table, const void *row)
{
    static const uint32_t key[INDEX_PARTS];
    if (ring->count == ring->most) {
        history_buffer_clear(&ring->rows[ring->first]);
        ring->first = (ring->first + 1) % ring->room;
        ring->count--;
        waiting->lost++;
    }
    if (ring->count == ring->room)
        ring_grow(ring);
    struct history_buffer *place = &ring->rows[(ring->first + ring->count++) % ring->room];
    *place = (struct history_buffer){0};
    history_pack(place, table, key, row);
}

void history_waiting_transition(struct history_waiting *waiting, const struct transition *transition)
{
    ring_add(waiting, &waiting->transitions, HISTORY_TRANSITIONS, transition);
}

void history_waiting_verdict(struct history_waiting *waiting, const struct history_verdict_row *row)
{
    ring_add(waiting, &waiting->verdicts, HISTORY_VERDICTS, row);
}

static uint16_t *find_slot(struct history_waiting *waiting, const struct failure *failure)
{
    uint64_t slot = hash_octets(&waiting->hash, &failure->key, sizeof failure->key);
    for (;; slot++) {
        uint16_t *place = &waiting->slots[slot % FAILURE_SLOTS];
        if (!*place || memcmp(&waiting->failures[*place - 1].key, &failure->key, sizeof failure->key) == 0)
            return place;
    }
}

void history_waiting_failure(struct history_waiting *waiting, const struct history_failure_row *row, uint32_t partner,
                             uint32_t source)
{
    struct failure failure = {.key = {partner, source, row->event, row->reason}, .row = *row};
    uint16_t *slot = find_slot(waiting, &failure);
    if (*slot) {
        struct history_failure_row *waits = &waiting->failures[*slot - 1].row;
        failure.row.count = waits->count > UINT32_MAX - row->count ? UINT32_MAX : waits->count + row->count;
        *waits = failure.row;
        return;
    }
    if (waiting->failure_count == HISTORY_FAILURES_WAIT) {
        waiting->lost += row->count;
        return;
    }
    if (waiting->failure_count == waiting->failure_room) {
        waiting->failure_room = waiting->failure_room ? 2 * waiting->failure_room : 16;
        waiting->failures = reallocarray(waiting->failures, waiting->failure_room, sizeof *waiting->failures);
        if (!waiting->failures)
            abort();
    }
    waiting->failures[waiting->failure_count++] = failure;
    *slot = (uint16_t)waiting->failure_count;
}

void history_waiting_sent(struct history_waiting *waiting, uint64_t sequence)
{
    if (!waiting->sent)
        waiting->sent = allocate(HISTORY_SENT_WAIT, sizeof *waiting->sent);
    if (waiting->sent_count == HISTORY_SENT_WAIT) { /* that notification will be repeated after a restart */
        waiting->sent_first = (waiting->sent_first + 1) % HISTORY_SENT_WAIT;
        waiting->sent_count--;
    }
    waiting->sent[(waiting->sent_first + waiting->sent_count++) % HISTORY_SENT_WAIT] = sequence;
}

static void ring_take(struct ring *ring, struct history_buffer *into)
{
    for (size_t i = 0; i < ring->count; i++)
        history_buffer_append(into, &ring->rows[(ring->first + i) % ring->room]);
    ring_clear(ring);
}

void history_waiting_take(struct history_waiting *waiting, struct history_batch *batch)
{
    static const uint32_t key[INDEX_PARTS];
    ring_take(&waiting->transitions, &batch->appended);
    ring_take(&waiting->verdicts, &batch->appended);
    for (size_t i = 0; i < waiting->failure_count; i++)
        history_pack(&batch->appended, HISTORY_FAILURES, key, &waiting->failures[i].row);
    if (waiting->failure_count)
        memset(waiting->slots, 0, FAILURE_SLOTS * sizeof *waiting->slots);
    waiting->failure_count = waiting->failure_room = 0;
    free(waiting->failures);
    waiting->failures = NULL;
    if (!waiting->sent_count)
        return;
    batch->sent = reallocarray(batch->sent, batch->sent_count + waiting->sent_count, sizeof *batch->sent);
    if (!batch->sent)
        abort();
    while (waiting->sent_count) {
        batch->sent[batch->sent_count++] = waiting->sent[waiting->sent_first];
        waiting->sent_first = (waiting->sent_first + 1) % HISTORY_SENT_WAIT;
        waiting->sent_count--;
    }
}
