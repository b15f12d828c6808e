/*
 * Which rules a message may match, in one pass over it by Vectorscan: for each rule a text that every match of its
 * pattern must hold, the longest that can be read off the pattern; all those texts are sought at once. So what is
 * excluded is excluded for sure, and what passes is tried by PCRE2. (Whole patterns in Vectorscan were measured too:
 * what begins with an optional prefix of any length costs three times as much as the texts.)
 *
 * Nothing depends on it but speed. A rule whose pattern shows no such text is always a candidate, and so are all where
 * the library is absent or the processor too old for it.
 */
#include "config.h"

#include "collect/rule_internal.h"

#include <stdlib.h>
#include <string.h>

#ifdef HAVE_VECTORSCAN

#include <ctype.h>
#include <hs.h>

#include "base/log.h"

#define TEXT_MAX 64
#define TEXT_MIN 4 /* what is shorter stands in too many lines */

struct rule_prefilter {
    hs_database_t *database; /* NULL: it has no pattern */
    uint64_t always[RULE_BITS];
};

/* ---- The text that a pattern must hold ---- */

struct search {
    char now[TEXT_MAX], best[TEXT_MAX]; /* the one that is being read; the longest so far */
    size_t now_length, best_length;
};

/* The text that is being read ends here. */
static void close_text(struct search *search)
{
    if (search->now_length > search->best_length) {
        memcpy(search->best, search->now, search->now_length);
        search->best_length = search->now_length;
    }
    search->now_length = 0;
}

/* Behind "[...]". NULL: it has no end. */
static const char *class_end(const char *p, const char *end)
{
    p += p + 1 < end && p[1] == '^' ? 2 : 1;
    p += p < end && *p == ']';
    for (; p < end && *p != ']'; p++) {
        if (*p == '\\')
            p++;
        else if (*p == '[' && p + 1 < end && p[1] == ':') {
            const char *close = memmem(p + 2, (size_t)(end - p - 2), ":]", 2);
            p = close ? close + 1 : p;
        }
    }
    return p < end ? p + 1 : NULL;
}

/* The ")" of the group that `p` opens, and whether it offers a choice. NULL: it has no end. */
static const char *group_end(const char *p, const char *end, bool *choice)
{
    unsigned depth = 0;
    *choice = false;
    while (p && p < end) {
        if (*p == '\\')
            p += 2;
        else if (*p == '[')
            p = class_end(p, end);
        else {
            depth += *p == '(';
            depth -= *p == ')';
            *choice = *choice || (*p == '|' && depth == 1);
            if (!depth)
                return p;
            p++;
        }
    }
    return NULL;
}

/* A quantifier at `p`: its length, and whether it allows none of what stands before it. */
static size_t quantifier(const char *p, const char *end, bool *none)
{
    size_t length = 0;
    *none = false;
    if (p < end && strchr("*+?", *p)) {
        *none = *p != '+';
        length = 1;
    } else if (p + 1 < end && *p == '{' && strchr("0123456789,", p[1])) {
        const char *close = memchr(p, '}', (size_t)(end - p));
        *none = p[1] == '0' || p[1] == ',';
        length = close ? (size_t)(close + 1 - p) : 0;
    }
    if (length && p + length < end && (p[length] == '?' || p[length] == '+'))
        length++;
    return length;
}

/* One character of the pattern as it is; -1: it stands for several. `p` goes behind it; NULL: it is not understood. */
static int plain_character(const char **p, const char *end)
{
    const char *at = *p;
    *p = at + 1;
    if (*at != '\\')
        return strchr("^$.", *at) ? -1 : (unsigned char)*at;
    if (at + 1 >= end)
        return -1;
    *p = at + 2;
    if (at[1] == 'x' && at + 3 < end && isxdigit((unsigned char)at[2]) && isxdigit((unsigned char)at[3])) {
        char digits[] = {at[2], at[3], '\0'};
        *p = at + 4;
        return (int)strtol(digits, NULL, 16);
    }
    if (!isalnum((unsigned char)at[1]))
        return (unsigned char)at[1];
    if (at[1] == 't')
        return '\t';
    if (!strchr("dDsSwWbB", at[1]))
        *p = NULL;
    return -1;
}

/* Reads a sequence without a choice. False: something in it is not understood. */
static bool read_sequence(struct search *search, const char *p, const char *end)
{
    while (p < end) {
        bool none, choice;
        if (*p == '(') {
            const char *close = group_end(p, end, &choice);
            const char *inner = p + 1;
            bool look = false;
            if (!close || *inner == '*')
                return false;
            if (*inner == '?') {
                bool named = inner[1] == '<' && inner[2] != '=' && inner[2] != '!';
                look = inner[1] == '=' || inner[1] == '!' || (inner[1] == '<' && !named);
                if (!look && !named && inner[1] != ':' && inner[1] != '>')
                    return false;
                inner = named ? memchr(inner, '>', (size_t)(close - inner))
                              : inner + 1; /* the last octet before what is in it */
                if (!inner)
                    return false;
                inner++;
            }
            size_t length = quantifier(close + 1, end, &none);
            bool through = !choice && !look && !none;
            if (!through || length)
                close_text(search);
            if (through && !read_sequence(search, inner, close))
                return false;
            if (length)
                close_text(search);
            p = close + 1 + length;
            continue;
        }
        int character = -1;
        if (*p == '[')
            p = class_end(p, end);
        else
            character = plain_character(&p, end);
        if (!p)
            return false;
        size_t length = quantifier(p, end, &none);
        if (character >= 0 && !none && search->now_length < TEXT_MAX)
            search->now[search->now_length++] = (char)character;
        if (character < 0 || length)
            close_text(search);
        p += length;
    }
    return true;
}

/* The length of the longest text that every match of `pattern` holds; 0 none. */
static size_t find_text(const char *pattern, char text[TEXT_MAX])
{
    struct search search = {.now_length = 0};
    const char *end = pattern + strlen(pattern);
    bool choice = false;
    for (const char *p = pattern; p && p < end && !choice;) {
        bool within;
        if (*p == '(') {
            p = group_end(p, end, &within);
            p = p ? p + 1 : NULL;
        } else if (*p == '[')
            p = class_end(p, end);
        else {
            choice = *p == '|';
            p += *p == '\\' ? 2 : 1;
        }
    }
    if (choice || !read_sequence(&search, pattern, end))
        return 0;
    close_text(&search);
    memcpy(text, search.best, search.best_length);
    return search.best_length;
}

static void set_bit(uint64_t bits[RULE_BITS], size_t i)
{
    bits[i / 64] |= UINT64_C(1) << i % 64;
}

struct rule_prefilter *rule_prefilter_new(const struct rule_set *set)
{
    if (hs_valid_platform() != HS_SUCCESS)
        return NULL;
    struct rule_prefilter *prefilter = calloc(1, sizeof *prefilter);
    struct {
        char (*texts)[TEXT_MAX];
        const char **pointers;
        size_t *lengths;
        unsigned *flags, *ids;
    } all = {calloc(set->rule_count + 1, TEXT_MAX), calloc(set->rule_count + 1, sizeof *all.pointers),
             calloc(set->rule_count + 1, sizeof *all.lengths), calloc(set->rule_count + 1, sizeof *all.flags),
             calloc(set->rule_count + 1, sizeof *all.ids)};
    if (!prefilter || !all.texts || !all.pointers || !all.lengths || !all.flags || !all.ids)
        abort();
    unsigned count = 0;
    for (size_t i = 0; i < set->rule_count; i++) {
        size_t length = find_text(set->rules[i].preset_rule->pattern, all.texts[count]);
        if (length < TEXT_MIN) {
            set_bit(prefilter->always, i);
            continue;
        }
        all.pointers[count] = all.texts[count];
        all.lengths[count] = length;
        all.flags[count] = HS_FLAG_SINGLEMATCH;
        all.ids[count++] = (unsigned)i;
    }
    hs_compile_error_t *error = NULL;
    if (count && hs_compile_lit_multi(all.pointers, all.flags, all.ids, all.lengths, count, HS_MODE_BLOCK, NULL,
                                      &prefilter->database, &error) != HS_SUCCESS) {
        log_notice("rule_prefilter", "no prefilter, rules are tried one by one: %s",
                   error ? error->message : "no memory");
        hs_free_compile_error(error);
        free(prefilter);
        prefilter = NULL;
    }
    free(all.texts);
    free(all.pointers);
    free(all.lengths);
    free(all.flags);
    free(all.ids);
    return prefilter;
}

void rule_prefilter_free(struct rule_prefilter *prefilter)
{
    if (!prefilter)
        return;
    hs_free_database(prefilter->database);
    free(prefilter);
}

void *rule_scratch_new(const struct rule_prefilter *prefilter)
{
    hs_scratch_t *scratch = NULL;
    if (prefilter && prefilter->database && hs_alloc_scratch(prefilter->database, &scratch) != HS_SUCCESS)
        abort();
    return scratch;
}

void rule_scratch_free(void *scratch)
{
    hs_free_scratch(scratch);
}

static int found(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *context)
{
    set_bit(context, id);
    (void)from;
    (void)to;
    (void)flags;
    return 0;
}

void rule_prefilter_scan(const struct rule_prefilter *prefilter, void *scratch, const char *text, size_t length,
                         uint64_t bits[RULE_BITS])
{
    if (!prefilter) {
        memset(bits, 0xff, RULE_BITS * sizeof *bits);
        return;
    }
    memcpy(bits, prefilter->always, sizeof prefilter->always);
    if (prefilter->database &&
        hs_scan(prefilter->database, text, (unsigned)length, 0, scratch, found, bits) != HS_SUCCESS)
        memset(bits, 0xff, RULE_BITS * sizeof *bits);
}

#else

struct rule_prefilter *rule_prefilter_new(const struct rule_set *set)
{
    (void)set;
    return NULL;
}

void rule_prefilter_free(struct rule_prefilter *prefilter)
{
    (void)prefilter;
}

void *rule_scratch_new(const struct rule_prefilter *prefilter)
{
    (void)prefilter;
    return NULL;
}

void rule_scratch_free(void *scratch)
{
    (void)scratch;
}

void rule_prefilter_scan(const struct rule_prefilter *prefilter, void *scratch, const char *text, size_t length,
                         uint64_t bits[RULE_BITS])
{
    memset(bits, 0xff, RULE_BITS * sizeof *bits);
    (void)prefilter;
    (void)scratch;
    (void)text;
    (void)length;
}

#endif
