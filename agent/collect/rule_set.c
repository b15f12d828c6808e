/*
 * Presets -> compiled patterns. Heads of several presets that are the same are one head; what a preset puts between the
 * head and its message is its own. Patterns are of octets, not of UTF-8, so that no line is refused; a dot is any
 * octet, a dollar only the end, since there are no line ends in a line.
 */
#include "collect/rule_internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"

#define OPTIONS (PCRE2_DOTALL | PCRE2_DOLLAR_ENDONLY | PCRE2_DUPNAMES | PCRE2_NEVER_UTF | PCRE2_NEVER_BACKSLASH_C)

struct origin { /* of a pattern, for its mistakes */
    struct conf_errors *errors;
    const char *file;
    unsigned line;
    const char *rule, *setting;
};

static void wrong(const struct origin *origin, const char *message)
{
    char setting[128];
    text_format(setting, sizeof setting, "%s%s%s", origin->rule, *origin->rule ? "." : "", origin->setting);
    preset_wrong(origin->errors, origin->file, origin->line, setting, "%s", message);
}

static void unknown_group(const struct origin *origin, const char *name)
{
    const char *names[FIELD_END];
    char message[512];
    size_t count = 0;
    for (int i = FIELD_NONE + 1; i < FIELD_END; i++)
        names[count++] = preset_field_name((enum preset_field)i);
    const char *near = text_nearest(name, names, count);
    text_format(message, sizeof message, "no group is called \"%s\"%s%s%s", name, near ? ". Did you mean \"" : ": ",
                near ? near : "call it \"text\" when it has no meaning of its own", near ? "\"?" : "");
    wrong(origin, message);
}

static void find_groups(struct rule_pattern *pattern, const struct origin *origin)
{
    uint32_t count = 0, size = 0;
    PCRE2_SPTR table = NULL;
    pcre2_pattern_info(pattern->code, PCRE2_INFO_NAMECOUNT, &count);
    pcre2_pattern_info(pattern->code, PCRE2_INFO_NAMEENTRYSIZE, &size);
    pcre2_pattern_info(pattern->code, PCRE2_INFO_NAMETABLE, &table);
    for (uint32_t i = 0; i < count; i++, table += size) {
        const char *name = (const char *)table + 2;
        enum preset_field field = preset_field_find(name, strlen(name));
        if (!field) {
            unknown_group(origin, name);
        } else if (pattern->group_count < FIELD_END) {
            pattern->groups[pattern->group_count].group = (uint32_t)table[0] << 8 | table[1];
            pattern->groups[pattern->group_count++].field = field;
        }
    }
}

/* An empty pattern is no pattern. False with an error. */
static bool compile(struct rule_set *set, struct rule_pattern *pattern, const char *text, const struct origin *origin)
{
    int code;
    PCRE2_SIZE offset;
    if (!*text)
        return true;
    pattern->code = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, OPTIONS, &code, &offset, NULL);
    if (!pattern->code) {
        char reason[256], message[512];
        pcre2_get_error_message(code, (PCRE2_UCHAR *)reason, sizeof reason);
        text_format(message, sizeof message, "%s, before \"%.60s\"", reason, text + offset);
        wrong(origin, message);
        return false;
    }
    pcre2_jit_compile(pattern->code, PCRE2_JIT_COMPLETE);
    uint32_t captures = 0;
    pcre2_pattern_info(pattern->code, PCRE2_INFO_CAPTURECOUNT, &captures);
    if (captures >= set->captures)
        set->captures = captures + 1;
    find_groups(pattern, origin);
    return true;
}

static struct rule_head *head_of(struct rule_set *set, const struct preset_head *text, const struct origin *origin)
{
    for (size_t i = 0; i < set->head_count; i++)
        if (strcmp(set->heads[i].name, text->name) == 0)
            return &set->heads[i];
    if (set->head_count == HEADS_MAX) {
        wrong(origin, "more than 64 different heads");
        return NULL;
    }
    struct rule_head *head = &set->heads[set->head_count++];
    head->name = text->name;
    head->any = strncmp(text->name, "any-", 4) == 0;
    compile(set, &head->pattern, text->pattern, origin);
    return head;
}

static void add_heads(struct rule_set *set, unsigned number, const char *only, struct conf_errors *errors)
{
    const struct preset *preset = set->presets[number];
    bool any = false;
    for (size_t i = 0; i < preset->head_count; i++) {
        const struct preset_head *text = &preset->heads[i];
        struct origin origin = {errors, text->file, text->line, "", "heads"};
        if (*only && strcmp(only, text->name) != 0)
            continue;
        any = true;
        struct rule_head *head = head_of(set, text, &origin);
        if (!head)
            return;
        head->used[number] = true;
        if (!head->inner[number].code)
            compile(set, &head->inner[number], text->inner, &origin);
    }
    if (!any) {
        const char *names[PRESET_HEADS_MAX];
        char have[256] = "";
        for (size_t i = 0; i < preset->head_count; i++) {
            names[i] = preset->heads[i].name;
            text_append(have, sizeof have, "%s%s", i ? ", " : "", names[i]);
        }
        const char *near = text_nearest(only, names, preset->head_count);
        preset_wrong(errors, preset->path, 0, "heads", "no head \"%.64s\" (have: %s)%s%s%s", only, have,
                     near ? ". Did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    }
}

static void add_rules(struct rule_set *set, unsigned number, struct conf_errors *errors)
{
    const struct preset *preset = set->presets[number];
    if (set->rule_count + preset->rule_count > RULES_MAX) {
        preset_wrong(errors, preset->path, 0, "rules", "more than %d rules in all presets", RULES_MAX);
        return;
    }
    for (size_t i = 0; i < preset->rule_count; i++) {
        const struct preset_rule *text = &preset->rules[i];
        struct rule *rule = &set->rules[set->rule_count++];
        rule->preset_rule = text;
        rule->preset = number;
        text_format(rule->name, sizeof rule->name, "%s/%s", preset->product, text->name);
        struct {
            struct rule_pattern *pattern;
            const char *text, *setting;
        } patterns[] = {{&rule->pattern, text->pattern, "pattern"},
                        {&rule->program, text->program, "program"},
                        {&rule->session, text->session, "session"},
                        {&rule->level, text->level, "level"},
                        {&rule->until, text->until, "until"}};
        for (size_t p = 0; p < sizeof patterns / sizeof patterns[0]; p++) {
            struct origin origin = {errors, text->file, text->line, text->name, patterns[p].setting};
            compile(set, patterns[p].pattern, patterns[p].text, &origin);
        }
    }
}

static void add_preset(struct rule_set *set, const char *path, const char *head, struct conf_errors *errors)
{
    if (set->preset_count == PRESETS_MAX) {
        preset_wrong(errors, path, 0, "", "more than %d presets together", PRESETS_MAX);
        return;
    }
    struct preset *preset = preset_read(path, errors);
    if (!preset)
        return;
    unsigned number = (unsigned)set->preset_count;
    set->presets[set->preset_count++] = preset;
    struct origin origin = {errors, preset->path, 0, "", "program"};
    compile(set, &set->programs[number], preset->program, &origin);
    add_heads(set, number, head, errors);
    add_rules(set, number, errors);
}

static int is_preset(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return length > 5 && entry->d_name[0] != '.' && strcmp(entry->d_name + length - 5, ".conf") == 0;
}

static void add_folder(struct rule_set *set, const char *path, const char *head, struct conf_errors *errors)
{
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, is_preset, alphasort);
    if (count < 0)
        preset_wrong(errors, path, 0, "", "the folder cannot be read: %s", strerror(errno));
    else if (count == 0)
        preset_wrong(errors, path, 0, "", "the folder holds no preset: no file *.conf");
    for (int i = 0; i < count; i++) {
        char file[4096];
        if ((size_t)snprintf(file, sizeof file, "%s/%s", path, entries[i]->d_name) < sizeof file)
            add_preset(set, file, head, errors);
        free(entries[i]);
    }
    free(entries);
}

/* Heads in the order in which known ones are tried; those of one's own before them. */
static int head_rank(const char *name)
{
    const struct preset_known_head *known = preset_heads();
    for (int i = 0; known[i].name; i++)
        if (strcmp(known[i].name, name) == 0)
            return i + 1;
    return 0;
}

static int compare_heads(const void *left, const void *right)
{
    const struct rule_head *a = left, *b = right;
    return head_rank(a->name) - head_rank(b->name);
}

struct rule_set *rule_set_load(const char *path, const char *head, struct conf_errors *errors)
{
    struct stat status;
    size_t before = errors->count;
    struct rule_set *set = calloc(1, sizeof *set);
    if (!set || !(set->rules = calloc(RULES_MAX, sizeof *set->rules)) ||
        !(set->heads = calloc(HEADS_MAX, sizeof *set->heads)))
        abort();
    set->captures = 1;
    if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
        add_folder(set, path, head, errors);
    else
        add_preset(set, path, head, errors);
    if (errors->count != before) {
        rule_set_free(set);
        return NULL;
    }
    qsort(set->heads, set->head_count, sizeof *set->heads, compare_heads);
    set->prefilter = rule_prefilter_new(set);
    return set;
}

void rule_set_no_prefilter(struct rule_set *set)
{
    rule_prefilter_free(set->prefilter);
    set->prefilter = NULL;
}

void rule_set_free(struct rule_set *set)
{
    if (!set)
        return;
    rule_prefilter_free(set->prefilter);
    for (size_t i = 0; i < set->rule_count; i++) {
        struct rule *rule = &set->rules[i];
        pcre2_code_free(rule->pattern.code);
        pcre2_code_free(rule->program.code);
        pcre2_code_free(rule->session.code);
        pcre2_code_free(rule->level.code);
        pcre2_code_free(rule->until.code);
    }
    for (size_t i = 0; i < set->head_count; i++) {
        pcre2_code_free(set->heads[i].pattern.code);
        for (size_t p = 0; p < set->preset_count; p++)
            pcre2_code_free(set->heads[i].inner[p].code);
    }
    for (size_t i = 0; i < set->preset_count; i++) {
        pcre2_code_free(set->programs[i].code);
        preset_free(set->presets[i]);
    }
    free(set->heads);
    free(set->rules);
    free(set);
}
