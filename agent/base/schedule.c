/*
 * A binary heap of items by due time, with the place of each item in the heap, so that an item is moved or taken out in
 * O(log n). Phases come from FNV-1a of the name: it needs to be spread evenly, not secret, and the same for ever.
 */
#include "base/schedule.h"

#include <stdlib.h>

#define NOWHERE SIZE_MAX

struct schedule {
    size_t count;  /* items in the heap */
    size_t *heap;  /* items, the earliest first */
    size_t *place; /* of each item in the heap; NOWHERE: not due */
    int64_t *due;  /* of each item */
};

struct schedule *schedule_new(size_t items)
{
    struct schedule *schedule = calloc(1, sizeof *schedule);
    if (!schedule)
        return NULL;
    size_t room = items ? items : 1;
    schedule->heap = calloc(room, sizeof *schedule->heap);
    schedule->place = calloc(room, sizeof *schedule->place);
    schedule->due = calloc(room, sizeof *schedule->due);
    if (!schedule->heap || !schedule->place || !schedule->due) {
        schedule_free(schedule);
        return NULL;
    }
    for (size_t i = 0; i < items; i++)
        schedule->place[i] = NOWHERE;
    return schedule;
}

void schedule_free(struct schedule *schedule)
{
    if (!schedule)
        return;
    free(schedule->heap);
    free(schedule->place);
    free(schedule->due);
    free(schedule);
}

static void put(struct schedule *schedule, size_t place, size_t item)
{
    schedule->heap[place] = item;
    schedule->place[item] = place;
}

static void sift_up(struct schedule *schedule, size_t place, size_t item)
{
    while (place > 0) {
        size_t parent = (place - 1) / 2;
        if (schedule->due[schedule->heap[parent]] <= schedule->due[item])
            break;
        put(schedule, place, schedule->heap[parent]);
        place = parent;
    }
    put(schedule, place, item);
}

static void sift_down(struct schedule *schedule, size_t place, size_t item)
{
    for (;;) {
        size_t child = 2 * place + 1;
        if (child >= schedule->count)
            break;
        if (child + 1 < schedule->count &&
            schedule->due[schedule->heap[child + 1]] < schedule->due[schedule->heap[child]])
            child++;
        if (schedule->due[item] <= schedule->due[schedule->heap[child]])
            break;
        put(schedule, place, schedule->heap[child]);
        place = child;
    }
    put(schedule, place, item);
}

static void settle(struct schedule *schedule, size_t item)
{
    sift_up(schedule, schedule->place[item], item);
    sift_down(schedule, schedule->place[item], item);
}

void schedule_set(struct schedule *schedule, size_t item, int64_t due)
{
    schedule->due[item] = due;
    if (schedule->place[item] == NOWHERE)
        put(schedule, schedule->count++, item);
    settle(schedule, item);
}

void schedule_remove(struct schedule *schedule, size_t item)
{
    size_t place = schedule->place[item];
    if (place == NOWHERE)
        return;
    schedule->place[item] = NOWHERE;
    size_t last = schedule->heap[--schedule->count];
    if (last == item)
        return;
    put(schedule, place, last);
    settle(schedule, last);
}

int64_t schedule_next(const struct schedule *schedule)
{
    return schedule->count ? schedule->due[schedule->heap[0]] : INT64_MAX;
}

bool schedule_take(struct schedule *schedule, int64_t now, size_t *item, int64_t *due)
{
    if (schedule_next(schedule) > now || schedule->count == 0)
        return false;
    *item = schedule->heap[0];
    *due = schedule->due[*item];
    schedule_remove(schedule, *item);
    return true;
}

int64_t schedule_phase(const char *name, int64_t span)
{
    if (span <= 0)
        return 0;
    uint64_t hash = UINT64_C(14695981039346656037);
    for (const unsigned char *s = (const unsigned char *)name; *s; s++)
        hash = (hash ^ *s) * UINT64_C(1099511628211);
    hash ^= hash >> 32; /* the low bits of FNV-1a of short names are not even enough */
    hash *= UINT64_C(0x9e3779b97f4a7c15);
    return (int64_t)((unsigned __int128)hash * (uint64_t)span >> 64);
}

int64_t schedule_jitter(int64_t interval, uint32_t percent, uint32_t random)
{
    int64_t width = interval / 100 * percent;
    return interval - width + (int64_t)((unsigned __int128)random * (uint64_t)(2 * width + 1) >> 32);
}
