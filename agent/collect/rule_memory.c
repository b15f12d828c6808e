/*
 * What is remembered from line to line: a hash table of notes under keys that attackers may choose, bounded, the least
 * recently used note goes first. A note outlives its time by the clock of the reader or by the clock of the lines, so
 * that a backlog of hours that is read in a second does not look like one second.
 */
#include "collect/rule_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct rule_memory {
    size_t count, most, mask;
    uint64_t seed;
    struct rule_note **buckets;
    struct rule_note *newest, *oldest;
};

static uint64_t hash_of(const struct rule_memory *memory, const char *key, size_t length)
{
    uint64_t hash = memory->seed;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)key[i]) * UINT64_C(0x9e3779b97f4a7c15) ^ hash >> 29;
    return hash ^ hash >> 32;
}

struct rule_memory *rule_memory_new(size_t most)
{
    struct rule_memory *memory = calloc(1, sizeof *memory);
    size_t buckets = 64;
    while (buckets < most)
        buckets *= 2;
    if (!memory || !(memory->buckets = calloc(buckets, sizeof *memory->buckets)))
        abort();
    memory->most = most;
    memory->mask = buckets - 1;
    if (getrandom(&memory->seed, sizeof memory->seed, GRND_NONBLOCK) != sizeof memory->seed)
        memory->seed = (uintptr_t)memory;
    return memory;
}

static void unlink_use(struct rule_memory *memory, struct rule_note *note)
{
    *(note->newer ? &note->newer->older : &memory->newest) = note->older;
    *(note->older ? &note->older->newer : &memory->oldest) = note->newer;
}

static void link_newest(struct rule_memory *memory, struct rule_note *note)
{
    note->newer = NULL;
    note->older = memory->newest;
    *(note->older ? &note->older->newer : &memory->oldest) = note;
    memory->newest = note;
}

static void forget_values(struct rule_note *note)
{
    for (int i = 0; i < FIELD_END; i++) {
        free(note->values[i]);
        note->values[i] = NULL;
    }
}

void rule_memory_remove(struct rule_memory *memory, struct rule_note *note)
{
    struct rule_note **at = &memory->buckets[note->hash & memory->mask];
    while (*at != note)
        at = &(*at)->next;
    *at = note->next;
    unlink_use(memory, note);
    forget_values(note);
    free(note);
    memory->count--;
}

void rule_memory_free(struct rule_memory *memory)
{
    if (!memory)
        return;
    while (memory->newest)
        rule_memory_remove(memory, memory->newest);
    free(memory->buckets);
    free(memory);
}

static bool is_over(const struct rule_note *note, int64_t run, int32_t clock)
{
    if (run - note->run > (int64_t)note->lasts * 1000000)
        return true;
    if (clock < 0 || note->clock < 0)
        return false;
    int32_t passed = clock - note->clock; /* lines of two processes may be a little out of order */
    if (passed < -43200)
        passed += 86400; /* midnight */
    return passed > 0 && (uint32_t)passed > note->lasts;
}

struct rule_note *rule_memory_find(struct rule_memory *memory, const char *key, size_t length, int64_t run,
                                   int32_t clock)
{
    uint64_t hash = hash_of(memory, key, length);
    struct rule_note *note = memory->buckets[hash & memory->mask];
    while (note && (note->hash != hash || note->key_length != length || memcmp(note->key, key, length) != 0))
        note = note->next;
    if (!note)
        return NULL;
    if (is_over(note, run, clock)) {
        rule_memory_remove(memory, note);
        return NULL;
    }
    unlink_use(memory, note);
    link_newest(memory, note);
    return note;
}

struct rule_note *rule_memory_get(struct rule_memory *memory, const char *key, size_t length, int64_t run,
                                  int32_t clock, uint32_t lasts)
{
    struct rule_note *note = rule_memory_find(memory, key, length, run, clock);
    if (note)
        return note;
    if (memory->count == memory->most)
        rule_memory_remove(memory, memory->oldest);
    note = calloc(1, sizeof *note + length);
    if (!note)
        abort();
    note->hash = hash_of(memory, key, length);
    note->run = run;
    note->clock = clock;
    note->lasts = lasts;
    note->key_length = length;
    memcpy(note->key, key, length);
    struct rule_note **bucket = &memory->buckets[note->hash & memory->mask];
    note->next = *bucket;
    *bucket = note;
    link_newest(memory, note);
    memory->count++;
    return note;
}

void rule_note_set(struct rule_note *note, enum preset_field field, const struct rule_value *value)
{
    size_t length = value->length < VALUE_MAX ? value->length : VALUE_MAX;
    char *copy = malloc(length + 1);
    if (!copy)
        abort();
    memcpy(copy, value->text, length);
    copy[length] = '\0';
    free(note->values[field]);
    note->values[field] = copy;
}
