#ifndef FEDWARDEN_COLLECT_RULE_INTERNAL_H
#define FEDWARDEN_COLLECT_RULE_INTERNAL_H

/*
 * What the rule*.c files share; nobody else includes it.
 *
 *   rule_set.c        presets -> compiled patterns
 *   rule_prefilter.c  which rules a message may match, in one pass
 *   rule_memory.c     what is remembered from line to line, by key, bounded
 *   rule_event.c      the values of a line -> an event
 *   rule.c            the reader
 */

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/conf_preset.h"
#include "collect/rule.h"

#define RULES_MAX   1024 /* of all presets of a set */
#define PRESETS_MAX 64
#define HEADS_MAX   64
#define VALUE_MAX   255 /* octets of a value that are remembered */
#define KEY_MAX     640 /* of a note */

/* A part of a line, of a record or of what is computed from them; text NULL: there is none. */
struct rule_value {
    const char *text;
    size_t length;
    bool escaped; /* octets that are no parameter of a URI are %XX in it (Kamailio's and OpenSIPS' s.escape.param) */
};

struct rule_values {
    struct rule_value of[FIELD_END];
    bool by_head[FIELD_END]; /* from the head of the line, not from the message */
};

struct rule_pattern {
    pcre2_code *code; /* NULL: any text */
    size_t group_count;
    struct {
        uint32_t group;
        enum preset_field field;
    } groups[FIELD_END];
};

struct rule {
    const struct preset_rule *preset_rule;
    unsigned preset; /* position in the set */
    char name[48];   /* "kamailio/tls-accept" */
    struct rule_pattern pattern, program, session, level, until;
};

struct rule_head {
    const char *name;
    bool any; /* it fits lines of more special heads too: it is always the last that is tried */
    struct rule_pattern pattern;
    bool used[PRESETS_MAX];
    struct rule_pattern inner[PRESETS_MAX];
};

struct rule_set {
    size_t preset_count;
    struct preset *presets[PRESETS_MAX];
    struct rule_pattern programs[PRESETS_MAX];
    size_t head_count;
    struct rule_head *heads;
    size_t rule_count;
    struct rule *rules;
    uint32_t captures; /* pairs of offsets that every pattern fits into */
    struct rule_prefilter *prefilter;
};

/* ---- rule_prefilter.c ---- */

#define RULE_BITS ((RULES_MAX + 63) / 64)

/*
 * rule_prefilter_new(set): NULL where this machine has none; then every rule is a candidate.
 * rule_scratch_new: what one reader needs besides. rule_prefilter_scan: sets the bits of the rules that may match and
 * of no other that it can exclude.
 */
struct rule_prefilter *rule_prefilter_new(const struct rule_set *set);
void rule_prefilter_free(struct rule_prefilter *prefilter);
void *rule_scratch_new(const struct rule_prefilter *prefilter);
void rule_scratch_free(void *scratch);
void rule_prefilter_scan(const struct rule_prefilter *prefilter, void *scratch, const char *text, size_t length,
                         uint64_t bits[RULE_BITS]);

/* ---- rule_memory.c ---- */

struct rule_note {
    struct rule_note *next;          /* of the same bucket */
    struct rule_note *newer, *older; /* by use */
    uint64_t hash;
    uint64_t first_line;
    int64_t run;               /* microseconds, when it was made */
    int32_t clock;             /* seconds of the day as the line tells, -1 unknown */
    uint32_t lasts;            /* seconds */
    char *values[FIELD_END];   /* NULL none */
    uint64_t lines[FIELD_END]; /* that told them */
    size_t key_length;
    char key[];
};

struct rule_memory;
struct rule_memory *rule_memory_new(size_t most);
void rule_memory_free(struct rule_memory *memory);
void rule_memory_clear(struct rule_memory *memory);
/* The note under `key` that has not outlived its time; NULL. */
struct rule_note *rule_memory_find(struct rule_memory *memory, const char *key, size_t length, int64_t run,
                                   int32_t clock);
/* The same, made when there is none; the least recently used one goes when there are too many. */
struct rule_note *rule_memory_get(struct rule_memory *memory, const char *key, size_t length, int64_t run,
                                  int32_t clock, uint32_t lasts);
void rule_memory_remove(struct rule_memory *memory, struct rule_note *note);
void rule_note_set(struct rule_note *note, enum preset_field field, const struct rule_value *value);
bool rule_memory_is_empty(const struct rule_memory *memory);
/* Appends the notes that have not outlived their time, the newest ones if not all fit. The lines are not kept. */
void rule_memory_pack(const struct rule_memory *memory, int64_t run, struct pack *pack);
/* Into an empty memory, as old as they were. What is none makes `unpack` bad; it is empty again then. */
void rule_memory_unpack(struct rule_memory *memory, struct unpack *unpack, int64_t run);

/* ---- rule_event.c ---- */

/* The reason of an event; 0: the rule tells none, it is no event. */
enum reason rule_reason(const struct preset_rule *rule, const struct rule_values *values);
/* Whether the TLS record of these values was accepted by us. */
bool rule_inbound(const struct conf *conf, const struct rule_values *values);
/* address of FIELD_IP; false when there is one that is no address. Without one it is ADDRESS_UNKNOWN. */
bool rule_address(const struct rule_values *values, struct address *address);
/* Fills `hit` (but its lines); false when it is no event after all. */
bool rule_event(const struct rule *rule, const struct conf *conf, const struct rule_values *values,
                const struct rule_value *message, struct rule_hit *hit);
/* Each name=value of FIELD_PAIRS becomes a value where there is none yet. */
void rule_pairs(struct rule_values *values);

#endif
