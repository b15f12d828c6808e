/*
 * Which rules a message may match, in one pass over it by Vectorscan: the patterns of the rules, made simpler where they
 * hold what only a backtracking matcher can do, so that what it excludes is excluded and what it lets pass is tried by
 * PCRE2. Nothing depends on it but speed. A pattern that it cannot take is always a candidate, and so is every rule where
 * the library is absent or the processor too old for it.
 *
 * Rules are scanned from where the head ends. A preset that has something between the head and its message is scanned
 * with its patterns' anchors taken off.
 */
#include "config.h"

#include "collect/rule_internal.h"

#include <stdlib.h>
#include <string.h>

#ifdef HAVE_VECTORSCAN

#include <hs.h>

#include "base/log.h"

struct rule_prefilter {
    hs_database_t *database; /* NULL: it has no pattern */
    uint64_t always[RULE_BITS];
};

/* Named groups become plain ones, possessive quantifiers greedy ones: what is let pass only grows. */
static char *simpler(const char *pattern, bool unanchored)
{
    char *out = malloc(strlen(pattern) + 1), *o = out;
    if (!out)
        abort();
    if (unanchored && *pattern == '^')
        pattern++;
    bool set = false; /* within [...] */
    for (const char *p = pattern; *p;) {
        if (*p == '\\' && p[1]) {
            *o++ = *p++;
            *o++ = *p++;
        } else if (set) {
            set = *p != ']';
            *o++ = *p++;
        } else if (*p == '[') {
            set = true;
            *o++ = *p++;
            if (*p == '^')
                *o++ = *p++;
            if (*p == ']')
                *o++ = *p++;
        } else if (strncmp(p, "(?<", 3) == 0 && p[3] != '=' && p[3] != '!' && strchr(p, '>')) {
            *o++ = '(';
            p = strchr(p, '>') + 1;
        } else if (*p == '+' && p > pattern && strchr("*+?}", p[-1]) && (p < pattern + 2 || p[-2] != '\\')) {
            p++;
        } else {
            *o++ = *p++;
        }
    }
    *o = '\0';
    return out;
}

/* An anchor that is not the first character cannot be taken off by leaving one out. */
static bool has_inner_anchor(const char *pattern)
{
    bool set = false;
    for (const char *p = pattern + (*pattern == '^'); *p; p++) {
        if (*p == '\\' && p[1])
            p++;
        else if (set)
            set = *p != ']';
        else if (*p == '[') {
            set = true;
            p += p[1] == '^';
            p += p[1] == ']';
        } else if (*p == '^')
            return true;
    }
    return false;
}

static bool has_inner(const struct rule_set *set, unsigned preset)
{
    for (size_t i = 0; i < set->head_count; i++)
        if (set->heads[i].inner[preset].code)
            return true;
    return false;
}

static void set_bit(uint64_t bits[RULE_BITS], size_t i)
{
    bits[i / 64] |= UINT64_C(1) << i % 64;
}

/* Whether Vectorscan takes this pattern at all: asked before all are compiled together. */
static bool is_possible(const char *pattern, unsigned flags)
{
    hs_expr_info_t *info = NULL;
    hs_compile_error_t *error = NULL;
    bool possible = hs_expression_info(pattern, flags, &info, &error) == HS_SUCCESS;
    free(info);
    hs_free_compile_error(error);
    return possible;
}

struct rule_prefilter *rule_prefilter_new(const struct rule_set *set)
{
    const unsigned flags = HS_FLAG_PREFILTER | HS_FLAG_SINGLEMATCH | HS_FLAG_DOTALL | HS_FLAG_ALLOWEMPTY;
    if (hs_valid_platform() != HS_SUCCESS)
        return NULL;
    struct rule_prefilter *prefilter = calloc(1, sizeof *prefilter);
    char **texts = calloc(set->rule_count + 1, sizeof *texts);
    unsigned *all_flags = calloc(set->rule_count + 1, sizeof *all_flags);
    unsigned *ids = calloc(set->rule_count + 1, sizeof *ids);
    if (!prefilter || !texts || !all_flags || !ids)
        abort();
    unsigned count = 0;
    for (size_t i = 0; i < set->rule_count; i++) {
        const struct rule *rule = &set->rules[i];
        bool inner = has_inner(set, rule->preset);
        char *text = simpler(rule->preset_rule->pattern, inner);
        if ((inner && has_inner_anchor(rule->preset_rule->pattern)) || !is_possible(text, flags)) {
            set_bit(prefilter->always, i);
            free(text);
            continue;
        }
        texts[count] = text;
        all_flags[count] = flags;
        ids[count++] = (unsigned)i;
    }
    hs_compile_error_t *error = NULL;
    if (count && hs_compile_multi((const char *const *)texts, all_flags, ids, count, HS_MODE_BLOCK, NULL,
                                  &prefilter->database, &error) != HS_SUCCESS) {
        log_notice("rule_prefilter", "no prefilter, rules are tried one by one: %s", error ? error->message : "out of memory");
        hs_free_compile_error(error);
        free(prefilter);
        prefilter = NULL;
    }
    for (unsigned i = 0; i < count; i++)
        free(texts[i]);
    free(texts);
    free(all_flags);
    free(ids);
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
