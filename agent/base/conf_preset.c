/*
 * Presets, read by the rows of conf_schema.c, so that every mistake is told with its file, its line and what was
 * probably meant. All strings are kept in one list that goes with the preset; the rules are one array.
 */
#include "base/conf_preset.h"

#include <stdlib.h>
#include <string.h>

#include "base/conf_parts.h"
#include "base/text.h"

struct whole { /* what preset_free frees */
    struct preset preset;
    char **texts;
    size_t text_count;
    void **arrays;
    size_t array_count;
};

struct reading { /* the reader that every row gets, and what belongs to it */
    struct conf_reader reader;
    struct whole *whole;
    struct preset_words words; /* of the preset */
};

#define ROW_COUNT(rows)           (sizeof(rows) / sizeof((rows)[0]))
#define MEMBER(structure, member) offsetof(struct structure, member), sizeof(((struct structure *)0)->member)

static struct reading *reading_of(struct conf_reader *reader)
{
    return (struct reading *)((char *)reader - offsetof(struct reading, reader));
}

static const char *keep(struct whole *whole, const char *text)
{
    whole->texts = realloc(whole->texts, (whole->text_count + 1) * sizeof *whole->texts);
    char *copy = strdup(text);
    if (!whole->texts || !copy)
        abort();
    return whole->texts[whole->text_count++] = copy;
}

static void *keep_array(struct whole *whole, size_t count, size_t size)
{
    whole->arrays = realloc(whole->arrays, (whole->array_count + 1) * sizeof *whole->arrays);
    void *array = calloc(count ? count : 1, size);
    if (!whole->arrays || !array)
        abort();
    return whole->arrays[whole->array_count++] = array;
}

static struct conf_place place_of(struct conf_reader *reader, const config_setting_t *setting)
{
    struct conf_place place = conf_source_place(reader->source, config_setting_source_line(setting));
    place.file = keep(reading_of(reader)->whole, place.file); /* it outlives the source */
    return place;
}

/* ---- Texts and patterns ---- */

static const char *read_text(struct conf_reader *reader, const config_setting_t *setting, size_t max, bool empty)
{
    static const char nothing[] = "";
    const char *text = config_setting_get_string(setting);
    if (!text) {
        conf_wrong(reader, setting, "must be a text in quotes");
        return NULL;
    }
    size_t length = strlen(text);
    if (length > max) {
        conf_wrong(reader, setting, "is %zu octets long: at most %zu are possible", length, max);
        return NULL;
    }
    char *printable = malloc(4 * length + 1);
    if (!printable)
        abort();
    text_printable(printable, 4 * length + 1, text, length);
    bool clean = strcmp(printable, text) == 0;
    if (!clean)
        conf_wrong(reader, setting, "holds control characters or is not UTF-8: \"%.200s\"", printable);
    free(printable);
    if (!clean)
        return NULL;
    if (!length && !empty) {
        conf_wrong(reader, setting, "may not be empty");
        return NULL;
    }
    return length ? keep(reading_of(reader)->whole, text) : nothing;
}

static void read_pattern(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                         void *into)
{
    const char *text = read_text(reader, setting, (size_t)row->max, !row->required);
    if (text)
        *(const char **)((char *)into + row->offset) = text;
}

/* A name that stands before or behind a "/" and in reports. */
static void read_name(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                      void *into)
{
    const char *text = read_text(reader, setting, (size_t)row->max, false);
    if (!text)
        return;
    if (text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-")])
        conf_wrong(reader, setting, "\"%.64s\" is no name: it may have a-z, 0-9 and -", text);
    else
        *(const char **)((char *)into + row->offset) = text;
}

/* ---- Groups ---- */

static const char *const field_names[FIELD_END] = {
#define FIELD_ROW(enumerator, name) [FIELD_##enumerator] = #name,
#include "base/preset_field_list.h"
#undef FIELD_ROW
};

const char *preset_field_name(enum preset_field field)
{
    return field > FIELD_NONE && field < FIELD_END ? field_names[field] : "none";
}

enum preset_field preset_field_find(const char *name, size_t length)
{
    for (int i = FIELD_NONE + 1; i < FIELD_END; i++)
        if (strncmp(field_names[i], name, length) == 0 && !field_names[i][length])
            return (enum preset_field)i;
    return FIELD_NONE;
}

static enum preset_field read_one_field(struct conf_reader *reader, const config_setting_t *setting)
{
    const char *text = read_text(reader, setting, 64, false);
    if (!text)
        return FIELD_NONE;
    enum preset_field field = preset_field_find(text, strlen(text));
    if (!field)
        conf_unknown(reader, setting, "group", text, field_names + 1, FIELD_END - 1);
    return field;
}

static void read_field(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                       void *into)
{
    *(enum preset_field *)((char *)into + row->offset) = read_one_field(reader, setting);
}

/* The elements of a list, or a text or group alone. */
static int elements(struct conf_reader *reader, const config_setting_t *setting, int max)
{
    int type = config_setting_type(setting);
    if (type == CONFIG_TYPE_STRING || type == CONFIG_TYPE_GROUP)
        return 1;
    if (type != CONFIG_TYPE_LIST && type != CONFIG_TYPE_ARRAY) {
        conf_wrong(reader, setting, "must be a list: ( ..., ... )");
        return 0;
    }
    int length = config_setting_length(setting);
    if (length <= max)
        return length;
    conf_wrong(reader, setting, "has %d elements: at most %d are possible", length, max);
    return 0;
}

static const config_setting_t *element(const config_setting_t *setting, int i)
{
    int type = config_setting_type(setting);
    return type == CONFIG_TYPE_STRING || type == CONFIG_TYPE_GROUP ? setting
                                                                   : config_setting_get_elem(setting, (unsigned)i);
}

static void read_names(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                       void *into)
{
    struct preset_names *names = (void *)((char *)into + row->offset);
    int count = elements(reader, setting, PRESET_NAMES_MAX);
    for (int i = 0; i < count; i++) {
        enum preset_field field = read_one_field(reader, element(setting, i));
        if (field)
            names->fields[names->count++] = field;
    }
}

/* ---- Reasons and words ---- */

static void read_reason(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                        void *into)
{
    const char *text = read_text(reader, setting, 64, false);
    if (!text)
        return;
    enum reason reason = reason_find(text);
    if (reason) {
        *(enum reason *)((char *)into + row->offset) = reason;
        return;
    }
    const char **names = keep_array(reading_of(reader)->whole, reason_count(), sizeof *names);
    for (size_t i = 0; i < reason_count(); i++)
        names[i] = reason_at(i)->name;
    const char *near = text_nearest(text, names, reason_count());
    conf_wrong(reader, setting, "there is no reason \"%.64s\"; fedwarden explain --list shows all%s%s%s", text,
               near ? ". Did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static const struct conf_row word_rows[] = {
    {"text", read_pattern, MEMBER(preset_word, text), 1, 256, 0, "", NULL, true},
    {"reason", read_reason, MEMBER(preset_word, reason), 0, 0, 0, NULL, NULL, true},
};

static void append_words(struct whole *whole, struct preset_words *into, const struct preset_words *more)
{
    struct preset_word *all = keep_array(whole, into->count + more->count, sizeof *all);
    if (into->count)
        memcpy(all, into->words, into->count * sizeof *all);
    if (more->count)
        memcpy(all + into->count, more->words, more->count * sizeof *all);
    into->words = all;
    into->count += more->count;
}

static void read_words_into(struct conf_reader *reader, const config_setting_t *setting, struct preset_words *into)
{
    static const char *const known[] = {"tls", "handshake", "connection", "dns", "preset"};
    struct reading *reading = reading_of(reader);
    int count = elements(reader, setting, PRESET_WORDS_MAX);
    for (int i = 0; i < count; i++) {
        const config_setting_t *one = element(setting, i);
        if (config_setting_is_group(one)) {
            struct preset_word word = {.text = ""};
            conf_rows_read(reader, word_rows, ROW_COUNT(word_rows), one, &word);
            append_words(reading->whole, into, &(struct preset_words){1, &word});
            continue;
        }
        const char *name = read_text(reader, one, 64, false);
        const struct preset_words *words = !name                         ? NULL
                                           : strcmp(name, "preset") == 0 ? &reading->words
                                                                         : preset_vocabulary(name);
        if (words)
            append_words(reading->whole, into, words);
        else if (name)
            conf_unknown(reader, one, "vocabulary", name, known, ROW_COUNT(known));
    }
}

static void read_preset_words(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                              void *into)
{
    read_words_into(reader, setting, &reading_of(reader)->words);
    (void)row;
    (void)into;
}

static void read_rule_words(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                            void *into)
{
    read_words_into(reader, setting, (struct preset_words *)((char *)into + row->offset));
}

/* ---- Rules ---- */

static void read_event(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                       void *into)
{
    static const struct {
        const char *name;
        enum preset_source source;
    } sources[] = {
        {"bySource", PRESET_BY_SOURCE}, {"bySourceKnown", PRESET_BY_SOURCE_KNOWN}, {"byGroup", PRESET_BY_GROUP}};
    struct preset_rule *rule = into;
    const char *names[EVENT_COUNT + ROW_COUNT(sources)];
    size_t count = 0;
    const char *text = read_text(reader, setting, 64, false);
    if (!text)
        return;
    for (size_t i = 0; i < ROW_COUNT(sources); i++) {
        names[count++] = sources[i].name;
        if (strcmp(sources[i].name, text) == 0)
            rule->source = sources[i].source;
    }
    for (int event = EVENT_TLS_OUTGOING; event <= EVENT_DNS; event++) {
        names[count++] = event_name((enum event)event);
        if (strcmp(names[count - 1], text) == 0)
            rule->event = (enum event)event;
    }
    if (!rule->event && !rule->source)
        conf_unknown(reader, setting, "event", text, names, count);
    if (!rule->role)
        rule->role = PRESET_EVENT;
    (void)row;
}

static const struct conf_word role_words[] = {
    {"begin", PRESET_BEGIN}, {"add", PRESET_ADD}, {"end", PRESET_END}, {"ignore", PRESET_IGNORE}, {NULL, 0}};
static const struct conf_word direction_words[] = {{"in", PRESET_IN}, {"out", PRESET_OUT}, {NULL, 0}};
static const struct conf_word serial_words[] = {
    {"hex", PRESET_HEX}, {"decimal", PRESET_DECIMAL}, {"reversed", PRESET_REVERSED}, {NULL, 0}};

static const struct conf_row rule_rows[] = {
    {"name", read_name, MEMBER(preset_rule, name), 1, 31, 0, "", NULL, true},
    {"pattern", read_pattern, MEMBER(preset_rule, pattern), 1, PRESET_TEXT_MAX, 0, "", NULL, true},
    {"role", conf_read_word, MEMBER(preset_rule, role), 1, 64, 0, NULL, role_words, false},
    {"event", read_event, MEMBER(preset_rule, event), 0, 0, 0, NULL, NULL, false},
    {"reason", read_reason, MEMBER(preset_rule, reason), 0, 0, 0, NULL, NULL, false},
    {"words", read_rule_words, MEMBER(preset_rule, words), 0, 0, 0, NULL, NULL, false},
    {"read", read_field, MEMBER(preset_rule, read), 0, 0, 0, NULL, NULL, false},
    {"program", read_pattern, MEMBER(preset_rule, program), 0, 256, 0, "", NULL, false},
    {"session", read_pattern, MEMBER(preset_rule, session), 0, 256, 0, "", NULL, false},
    {"level", read_pattern, MEMBER(preset_rule, level), 0, 256, 0, "", NULL, false},
    {"key", read_field, MEMBER(preset_rule, key), 0, 0, 0, NULL, NULL, false},
    {"join", conf_read_switch, MEMBER(preset_rule, join), 0, 0, 0, NULL, NULL, false},
    {"last", conf_read_switch, MEMBER(preset_rule, last), 0, 0, 0, NULL, NULL, false},
    {"tells", read_field, MEMBER(preset_rule, tells), 0, 0, 0, NULL, NULL, false},
    {"needs", read_names, MEMBER(preset_rule, needs), 0, 0, 0, NULL, NULL, false},
    {"same", read_names, MEMBER(preset_rule, same), 0, 0, 0, NULL, NULL, false},
    {"once", read_names, MEMBER(preset_rule, once), 0, 0, 0, NULL, NULL, false},
    {"within", conf_read_number, MEMBER(preset_rule, within), 1, 86400, 10, NULL, NULL, false},
    {"lasts", conf_read_number, MEMBER(preset_rule, lasts), 1, 86400, 30, NULL, NULL, false},
    {"direction", conf_read_word, MEMBER(preset_rule, direction), 1, 64, 0, NULL, direction_words, false},
    {"serial", conf_read_word, MEMBER(preset_rule, serial), 1, 64, 0, NULL, serial_words, false},
    {"until", read_pattern, MEMBER(preset_rule, until), 0, PRESET_TEXT_MAX, 0, "", NULL, false},
};

/* What the settings of a rule must be together. */
static void check_rule(struct conf_reader *reader, const struct preset_rule *rule, const config_setting_t *group)
{
    bool is_event = rule->event || rule->source;
    if (!is_event && rule->role <= PRESET_EVENT)
        conf_wrong(reader, group, "the rule has neither an event nor a role: what shall its lines do?");
    if (is_event && rule->role > PRESET_EVENT)
        conf_wrong(reader, group, "a rule has either an event or a role");
    if (is_event && !rule->reason && !rule->words.count)
        conf_wrong(reader, group, "the event has neither a reason nor words that tell it");
    if (!is_event && *rule->until)
        conf_wrong(reader, group, "\"until\" belongs to a rule with an event");
}

static void read_rules(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                       void *into)
{
    struct preset *preset = into;
    int count = elements(reader, setting, PRESET_RULES_MAX);
    preset->rules = keep_array(reading_of(reader)->whole, (size_t)count, sizeof *preset->rules);
    for (int i = 0; i < count; i++) {
        const config_setting_t *group = element(setting, i);
        struct preset_rule *rule = &preset->rules[preset->rule_count++];
        conf_rows_initial(rule_rows, ROW_COUNT(rule_rows), rule);
        rule->key = FIELD_PID;
        rule->read = FIELD_REASON;
        struct conf_place place = place_of(reader, group);
        rule->line = place.line;
        rule->file = place.file;
        size_t before = reader->errors->count;
        conf_rows_read(reader, rule_rows, ROW_COUNT(rule_rows), group, rule);
        if (reader->errors->count == before)
            check_rule(reader, rule, group);
        for (size_t other = 0; other + 1 < preset->rule_count; other++)
            if (*rule->name && strcmp(preset->rules[other].name, rule->name) == 0)
                conf_wrong(reader, group, "another rule is called \"%s\" too", rule->name);
    }
    (void)row;
}

/* ---- Heads ---- */

struct own_head {
    const char *name, *base, *inner, *pattern;
};

static const struct conf_row head_rows[] = {
    {"name", read_name, MEMBER(own_head, name), 1, 31, 0, "", NULL, false},
    {"base", read_name, MEMBER(own_head, base), 1, 31, 0, "", NULL, false},
    {"inner", read_pattern, MEMBER(own_head, inner), 0, 1024, 0, "", NULL, false},
    {"pattern", read_pattern, MEMBER(own_head, pattern), 0, PRESET_TEXT_MAX, 0, "", NULL, false},
};

static void add_head(struct conf_reader *reader, struct preset *preset, const config_setting_t *setting,
                     const char *name, const char *pattern, const char *inner)
{
    struct conf_place place = place_of(reader, setting);
    if (preset->head_count == PRESET_HEADS_MAX)
        conf_wrong(reader, setting, "more than %d heads", PRESET_HEADS_MAX);
    else
        preset->heads[preset->head_count++] = (struct preset_head){name, pattern, inner, place.line, place.file};
}

/* Known heads of that name; "syslog" and "any" are all heads whose names begin so. */
static void add_known(struct conf_reader *reader, struct preset *preset, const config_setting_t *setting,
                      const char *name, const char *inner)
{
    const char *names[64] = {"syslog", "any"};
    size_t count = 2, before = preset->head_count, length = strlen(name);
    for (const struct preset_known_head *head = preset_heads(); head->name; head++) {
        names[count++] = head->name;
        bool family = strcmp(name, "syslog") == 0 || strcmp(name, "any") == 0;
        if (strcmp(head->name, name) == 0 || (family && strncmp(head->name, name, length) == 0))
            add_head(reader, preset, setting, head->name, head->pattern, inner);
    }
    if (preset->head_count == before && before < PRESET_HEADS_MAX)
        conf_unknown(reader, setting, "head", name, names, count);
}

static void read_heads(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                       void *into)
{
    struct preset *preset = into;
    int count = elements(reader, setting, PRESET_HEADS_MAX);
    for (int i = 0; i < count; i++) {
        const config_setting_t *one = element(setting, i);
        if (!config_setting_is_group(one)) {
            const char *name = read_text(reader, one, 31, false);
            if (name)
                add_known(reader, preset, one, name, "");
            continue;
        }
        struct own_head head = {"", "", "", ""};
        conf_rows_read(reader, head_rows, ROW_COUNT(head_rows), one, &head);
        if (*head.base && !*head.pattern)
            add_known(reader, preset, one, head.base, head.inner);
        else if (*head.name && *head.pattern && !*head.base)
            add_head(reader, preset, one, head.name, head.pattern, head.inner);
        else
            conf_wrong(reader, one, "a head has either a base and an inner pattern, or a name and a pattern");
    }
    (void)row;
}

static const struct conf_row preset_rows[] = {
    {"product", read_name, MEMBER(preset, product), 1, 15, 0, "", NULL, true},
    {"program", read_pattern, MEMBER(preset, program), 0, 256, 0, "", NULL, false},
    {"heads", read_heads, MEMBER(preset, heads), 0, 0, 0, NULL, NULL, true},
    {"words", read_preset_words, 0, 0, 0, 0, 0, NULL, NULL, false},
    {"rules", read_rules, MEMBER(preset, rules), 0, 0, 0, NULL, NULL, true},
};

/* ---- The file ---- */

void preset_wrong(struct conf_errors *errors, const char *file, unsigned line, const char *setting, const char *format,
                  ...)
{
    struct conf_place place = {file, line, line};
    va_list arguments;
    va_start(arguments, format);
    conf_error_add(errors, &place, setting, format, arguments);
    va_end(arguments);
}

static void tell_syntax(const struct conf_source *source, const config_t *config, struct conf_errors *errors)
{
    char near[64];
    unsigned line = config_error_line(config) > 0 ? (unsigned)config_error_line(config) : 0;
    struct conf_place place = conf_source_place(source, line);
    const char *text = config_error_text(config);
    conf_source_token(source, line, near, sizeof near);
    bool plain = !text || strcmp(text, "syntax error") == 0;
    preset_wrong(errors, place.file, place.line, "", "%s at or before \"%s\"%s", plain ? "syntax error" : text, near,
                 plain ? ": is a \";\", a \",\" or a bracket missing?" : "");
}

struct preset *preset_read(const char *path, struct conf_errors *errors)
{
    struct conf_source source;
    config_t config;
    size_t before = errors->count;
    if (!conf_source_read(&source, path, errors)) {
        conf_source_clear(&source);
        return NULL;
    }
    struct whole *whole = calloc(1, sizeof *whole);
    if (!whole)
        abort();
    struct preset *preset = &whole->preset;
    struct reading reading = {.reader = {.errors = errors, .source = &source}, .whole = whole};
    conf_rows_initial(preset_rows, ROW_COUNT(preset_rows), preset);
    preset->path = keep(whole, path);
    config_init(&config);
    if (config_read_string(&config, source.text))
        conf_rows_read(&reading.reader, preset_rows, ROW_COUNT(preset_rows), config_root_setting(&config), preset);
    else
        tell_syntax(&source, &config, errors);
    config_destroy(&config);
    conf_source_clear(&source);
    if (errors->count == before)
        return preset;
    conf_errors_sort(errors);
    preset_free(preset);
    return NULL;
}

void preset_free(struct preset *preset)
{
    struct whole *whole = (struct whole *)preset;
    if (!whole)
        return;
    for (size_t i = 0; i < whole->text_count; i++)
        free(whole->texts[i]);
    for (size_t i = 0; i < whole->array_count; i++)
        free(whole->arrays[i]);
    free(whole->texts);
    free(whole->arrays);
    free(whole);
}
