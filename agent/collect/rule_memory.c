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

void rule_memory_clear(struct rule_memory *memory)
{
    while (memory->newest)
        rule_memory_remove(memory, memory->newest);
}

void rule_memory_free(struct rule_memory *memory)
{
    if (!memory)
        return;
    rule_memory_clear(memory);
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

bool rule_memory_is_empty(const struct rule_memory *memory)
{
    return memory->count == 0;
}

/* ---- as octets ---- */

static void pack_note(const struct rule_note *note, int64_t run, struct pack *pack)
{
    size_t count = 0;
    for (int i = 0; i < FIELD_END; i++)
        count += note->values[i] != NULL;
    pack_data(pack, note->key, note->key_length);
    pack_u64(pack, run > note->run ? (uint64_t)(run - note->run) : 0);
    pack_u32(pack, (uint32_t)note->clock);
    pack_u32(pack, note->lasts);
    pack_u8(pack, (uint8_t)count);
    for (int i = 0; i < FIELD_END; i++) {
        if (!note->values[i])
            continue;
        pack_u8(pack, (uint8_t)i);
        pack_text(pack, note->values[i]);
    }
}

void rule_memory_pack(const struct rule_memory *memory, int64_t run, struct pack *pack)
{
    const size_t others = 1024; /* what follows must fit too */
    size_t at = pack->length;
    uint32_t count = 0;
    pack_u32(pack, 0);
    for (const struct rule_note *note = memory->newest; note; note = note->older) {
        size_t before = pack->length;
        if (is_over(note, run, -1))
            continue;
        pack_note(note, run, pack);
        if (pack->full || pack->most - pack->length < others) {
            pack_cut(pack, before);
            break;
        }
        count++;
    }
    pack_set_u32(pack, at, count);
}

/* Behind all that are there. */
static struct rule_note *add_oldest(struct rule_memory *memory, const unsigned char *key, size_t length)
{
    struct rule_note *note = calloc(1, sizeof *note + length);
    if (!note)
        abort();
    note->hash = hash_of(memory, (const char *)key, length);
    note->key_length = length;
    memcpy(note->key, key, length);
    struct rule_note **bucket = &memory->buckets[note->hash & memory->mask];
    note->next = *bucket;
    *bucket = note;
    note->newer = memory->oldest;
    *(note->newer ? &note->newer->older : &memory->newest) = note;
    memory->oldest = note;
    memory->count++;
    return note;
}

static bool is_known(const struct rule_memory *memory, const unsigned char *key, size_t length)
{
    uint64_t hash = hash_of(memory, (const char *)key, length);
    const struct rule_note *note = memory->buckets[hash & memory->mask];
    while (note && (note->hash != hash || note->key_length != length || memcmp(note->key, key, length) != 0))
        note = note->next;
    return note != NULL;
}

static void unpack_values(struct unpack *unpack, struct rule_note *note)
{
    char text[VALUE_MAX + 1];
    for (size_t count = unpack_u8(unpack); count && !unpack->bad; count--) {
        uint8_t field = unpack_u8(unpack);
        unpack_text(unpack, text, sizeof text);
        if (field >= FIELD_END || note->values[field])
            unpack->bad = true;
        else
            rule_note_set(note, field, &(struct rule_value){.text = text, .length = strlen(text)});
    }
}

static void unpack_note(struct rule_memory *memory, struct unpack *unpack, int64_t run)
{
    size_t length;
    const unsigned char *key = unpack_data(unpack, &length, KEY_MAX);
    uint64_t age = unpack_u64(unpack);
    int32_t clock = (int32_t)unpack_u32(unpack);
    uint32_t lasts = unpack_u32(unpack);
    if (unpack->bad || is_known(memory, key, length) || age > lasts * UINT64_C(1000000) || clock < -1 ||
        clock > 100 * 3600) {
        unpack->bad = true;
        return;
    }
    struct rule_note *note = add_oldest(memory, key, length);
    note->run = run - (int64_t)age;
    note->clock = clock;
    note->lasts = lasts;
    unpack_values(unpack, note);
}

void rule_memory_unpack(struct rule_memory *memory, struct unpack *unpack, int64_t run)
{
    size_t count = unpack_u32(unpack);
    if (count > memory->most)
        unpack->bad = true;
    for (size_t i = 0; i < count && !unpack->bad; i++)
        unpack_note(memory, unpack, run);
    if (unpack->bad)
        rule_memory_clear(memory);
}
