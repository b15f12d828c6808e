/*
 * The reader of lines. For each line: its head is found (the one of the line before first: a file has one), the
 * prefilter tells which rules its message may match, and those are tried in their order until one applies. A rule
 * applies when its pattern matches and everything that it demands holds; otherwise the next is tried.
 *
 * Two memories carry what lines have to do with each other: the records of processes and sessions, and what was counted
 * once. Both are bounded, so a flood of made-up processes costs a record that was older, nothing else.
 *
 * A text with line ends in it can hold whole forged lines. Where a rule sees the beginning of such a text (`until`), no
 * rule is applied to what follows up to the line that ends it, or until more than any such text has gone by. Who knows
 * how the line ends can end it too early; what is then forged still has to pass what its rule demands.
 *
 * Cost is bounded: lines are cut, PCRE2 runs under a match limit with a JIT stack that lines of this length cannot
 * overflow, and each rule is tried at most once a line.
 */
#include "collect/rule_internal.h"

#include <stdlib.h>
#include <string.h>

#define MATCH_LIMIT 100000
#define JIT_STACK   (4u << 20)
#define HEAP_LIMIT  4096 /* KiB; where there is no JIT */
#define RECORDS_MAX 8192
#define ONCE_MAX    8192
#define HOLD_OCTETS (512u << 10) /* longer than any text that a server takes from a client before it knows it */
#define HOLD_RUN    INT64_C(10000000)
#define TAIL_MAX    4096

struct hold {                /* a text with line ends that has begun */
    const struct rule *rule; /* NULL none */
    uint64_t first_line;
    size_t octets;
    int64_t run;
    char *address; /* that `same` demands; NULL any */
};

struct rule_reader {
    const struct rule_set *set;
    const struct conf *conf;
    rule_found *found;
    void *context;
    pcre2_match_data *match;
    pcre2_match_context *limits;
    pcre2_jit_stack *stack;
    void *scratch;
    struct rule_memory *records, *once;
    struct hold hold;
    size_t last_head;
    struct rule_counts counts;
    struct rule_hit hit;
    struct rule_values *inner; /* of this line, by preset: what stands between its head and its message */
};

struct line { /* the one that is read */
    const char *text;
    size_t length;
    const char *tail; /* the end of a line that was cut; NULL */
    size_t tail_length;
    int64_t run;
    int32_t clock;
    unsigned head;
    struct rule_values values; /* of the head */
    const char *message;
    size_t message_length;
    enum { UNKNOWN, FITS, FITS_NOT } presets[PRESETS_MAX];
    struct rule_value messages[PRESETS_MAX];
    const struct rule_values *values_of[PRESETS_MAX]; /* of the head, as this preset reads it */
};

struct rule_reader *rule_reader_new(const struct rule_set *set, const struct conf *conf, rule_found *found,
                                    void *context)
{
    struct rule_reader *reader = calloc(1, sizeof *reader);
    if (!reader)
        abort();
    *reader = (struct rule_reader){.set = set, .conf = conf, .found = found, .context = context};
    reader->match = pcre2_match_data_create(set->captures, NULL);
    reader->limits = pcre2_match_context_create(NULL);
    reader->stack = pcre2_jit_stack_create(32 << 10, JIT_STACK, NULL);
    if (!reader->match || !reader->limits)
        abort();
    pcre2_set_match_limit(reader->limits, MATCH_LIMIT);
    pcre2_set_heap_limit(reader->limits, HEAP_LIMIT);
    if (reader->stack)
        pcre2_jit_stack_assign(reader->limits, NULL, reader->stack);
    reader->scratch = rule_scratch_new(set->prefilter);
    reader->inner = calloc(set->preset_count + 1, sizeof *reader->inner);
    if (!reader->inner)
        abort();
    reader->records = rule_memory_new(RECORDS_MAX);
    reader->once = rule_memory_new(ONCE_MAX);
    return reader;
}

void rule_reader_free(struct rule_reader *reader)
{
    if (!reader)
        return;
    pcre2_match_data_free(reader->match);
    pcre2_match_context_free(reader->limits);
    pcre2_jit_stack_free(reader->stack);
    rule_scratch_free(reader->scratch);
    rule_memory_free(reader->records);
    rule_memory_free(reader->once);
    free(reader->hold.address);
    free(reader->inner);
    free(reader);
}

struct rule_counts rule_reader_counts(const struct rule_reader *reader)
{
    return reader->counts;
}

/* ---- Matching ---- */

/* Whether `pattern` matches; what goes wrong is counted under `name`. No pattern matches all. */
static bool matches(struct rule_reader *reader, const struct rule_pattern *pattern, const char *text, size_t length,
                    const char *name)
{
    if (!pattern->code)
        return true;
    int code = pcre2_match(pattern->code, (PCRE2_SPTR)text, length, 0, 0, reader->match, reader->limits);
    if (code < PCRE2_ERROR_NOMATCH) {
        reader->counts.errors++;
        reader->counts.last_error_rule = name;
    }
    return code >= 0;
}

static bool value_matches(struct rule_reader *reader, const struct rule_pattern *pattern,
                          const struct rule_value *value, const char *name)
{
    return !pattern->code || (value->text && matches(reader, pattern, value->text, value->length, name));
}

/* The groups of the last match. Of two groups of one name the one that took part counts. */
static void take_groups(struct rule_reader *reader, const struct rule_pattern *pattern, const char *text,
                        struct rule_values *values, bool head)
{
    const PCRE2_SIZE *offsets = pcre2_get_ovector_pointer(reader->match);
    uint32_t pairs = pcre2_get_ovector_count(reader->match);
    for (size_t i = 0; i < pattern->group_count; i++) {
        uint32_t group = pattern->groups[i].group;
        if (group >= pairs || offsets[2 * group] == PCRE2_UNSET || offsets[2 * group] > offsets[2 * group + 1])
            continue;
        enum preset_field field = pattern->groups[i].field;
        values->of[field] = (struct rule_value){.text = text + offsets[2 * group],
                                                .length = offsets[2 * group + 1] - offsets[2 * group]};
        values->by_head[field] = head;
    }
}

static size_t match_end(const struct rule_reader *reader)
{
    return pcre2_get_ovector_pointer(reader->match)[1];
}

/* Seconds of the day of "hh:mm:ss"; -1. */
static int32_t clock_of(const struct rule_value *value)
{
    const char *t = value->text;
    if (!t || value->length != 8)
        return -1;
    return ((t[0] - '0') * 10 + t[1] - '0') * 3600 + ((t[3] - '0') * 10 + t[4] - '0') * 60 + (t[6] - '0') * 10 + t[7] -
           '0';
}

static bool try_head(struct rule_reader *reader, struct line *line, size_t number)
{
    const struct rule_head *head = &reader->set->heads[number];
    if (!matches(reader, &head->pattern, line->text, line->length, head->name))
        return false;
    size_t end = match_end(reader);
    take_groups(reader, &head->pattern, line->text, &line->values, true);
    line->head = (unsigned)number;
    line->message = line->text + end;
    line->message_length = line->length - end;
    line->clock = clock_of(&line->values.of[FIELD_CLOCK]);
    reader->last_head = number;
    return true;
}

static bool find_head(struct rule_reader *reader, struct line *line)
{
    const struct rule_head *heads = reader->set->heads;
    size_t last = reader->last_head;
    bool again = !heads[last].any && try_head(reader, line, last);
    for (size_t i = 0; !again && i < reader->set->head_count; i++)
        again = (i != last || heads[last].any) && try_head(reader, line, i);
    return again;
}

/* Whether the line can be one of this preset's product; its message then is line->messages[preset]. */
static bool fits_preset(struct rule_reader *reader, struct line *line, unsigned preset)
{
    if (line->presets[preset] != UNKNOWN)
        return line->presets[preset] == FITS;
    const struct rule_head *head = &reader->set->heads[line->head];
    const struct rule_value *program = &line->values.of[FIELD_PROGRAM];
    line->presets[preset] = FITS_NOT;
    if (!head->used[preset])
        return false;
    /* rsyslog writes "-" for a program with a "/" in its name */
    if (program->text && !(program->length == 1 && *program->text == '-') &&
        !value_matches(reader, &reader->set->programs[preset], program, reader->set->presets[preset]->product))
        return false;
    struct rule_value *message = &line->messages[preset];
    *message = (struct rule_value){.text = line->message, .length = line->message_length};
    line->values_of[preset] = &line->values;
    const struct rule_pattern *inner = &head->inner[preset];
    if (inner->code) {
        if (!matches(reader, inner, message->text, message->length, reader->set->presets[preset]->product))
            return false;
        size_t end = match_end(reader);
        reader->inner[preset] = line->values;
        take_groups(reader, inner, message->text, &reader->inner[preset], true);
        line->values_of[preset] = &reader->inner[preset];
        message->text += end;
        message->length -= end;
    }
    line->presets[preset] = FITS;
    return true;
}

/* ---- What lines have to do with each other ---- */

static void add_key(char key[KEY_MAX], size_t *length, const char *text, size_t size)
{
    if (size > VALUE_MAX)
        size = VALUE_MAX;
    if (*length + size + 1 > KEY_MAX)
        size = KEY_MAX - *length - 1;
    memcpy(key + *length, text, size);
    *length += size;
    key[(*length)++] = '\0';
}

static size_t record_key(const struct rule *rule, const struct rule_values *values, char key[KEY_MAX])
{
    const struct rule_value *value = &values->of[rule->preset_rule->key];
    size_t length = 1;
    key[0] = (char)rule->preset;
    add_key(key, &length, value->text ? value->text : "", value->text ? value->length : 0);
    return length;
}

static size_t once_key(const struct rule *rule, const struct rule_values *values, char key[KEY_MAX])
{
    size_t length = 1;
    key[0] = (char)rule->preset;
    for (size_t i = 0; i < rule->preset_rule->once.count && length + 2 < KEY_MAX; i++) {
        enum preset_field field = rule->preset_rule->once.fields[i];
        const struct rule_value *value = &values->of[field];
        key[length++] = (char)field;
        add_key(key, &length, value->text ? value->text : "", value->text ? value->length : 0);
    }
    return length;
}

static void join(struct rule_values *values, const struct rule_note *record)
{
    for (int i = FIELD_NONE + 1; i < FIELD_END; i++)
        if (record->values[i] && (!values->of[i].text || values->by_head[i])) {
            values->of[i] = (struct rule_value){.text = record->values[i], .length = strlen(record->values[i])};
            values->by_head[i] = false;
        }
}

static bool has_all(const struct rule_values *values, const struct preset_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        if (!values->of[names->fields[i]].text)
            return false;
    return true;
}

static bool same_value(const struct rule_value *value, const char *text, enum preset_field field)
{
    if (!value->text || !text)
        return false;
    if (field != FIELD_IP)
        return strlen(text) == value->length && memcmp(text, value->text, value->length) == 0;
    struct rule_values one = {0}, other = {0};
    struct address a, b;
    one.of[FIELD_IP] = *value;
    other.of[FIELD_IP] = (struct rule_value){.text = text, .length = strlen(text)};
    return rule_address(&one, &a) && rule_address(&other, &b) && address_equal(&a, &b);
}

static bool are_same(const struct rule_values *values, const struct rule_note *record, const struct preset_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        if (!record || !same_value(&values->of[names->fields[i]], record->values[names->fields[i]], names->fields[i]))
            return false;
    return true;
}

/* ---- A rule that matched ---- */

static void note_line(struct rule_reader *reader, const struct rule *rule, const struct line *line,
                      const struct rule_values *values, const char *key, size_t length)
{
    struct rule_note *record = rule_memory_find(reader->records, key, length, line->run, line->clock);
    if (rule->preset_rule->role != PRESET_ADD && record) {
        rule_memory_remove(reader->records, record);
        record = NULL;
    }
    if (rule->preset_rule->role == PRESET_END) {
        char once[KEY_MAX];
        size_t size = once_key(rule, values, once);
        struct rule_note *counted = rule_memory_find(reader->once, once, size, line->run, line->clock);
        if (counted)
            rule_memory_remove(reader->once, counted);
        return;
    }
    record = rule_memory_get(reader->records, key, length, line->run, line->clock, rule->preset_rule->lasts);
    if (!record->first_line)
        record->first_line = reader->counts.lines;
    for (int i = FIELD_NONE + 1; i < FIELD_END; i++)
        if (values->of[i].text && !values->by_head[i]) {
            rule_note_set(record, (enum preset_field)i, &values->of[i]);
            record->lines[i] = reader->counts.lines;
        }
}

/* Whether this was counted already; it counts as such from now on. */
static bool is_counted(struct rule_reader *reader, const struct rule *rule, const struct line *line,
                       const struct rule_values *values)
{
    char key[KEY_MAX];
    if (!rule->preset_rule->once.count)
        return false;
    size_t length = once_key(rule, values, key);
    if (rule_memory_find(reader->once, key, length, line->run, line->clock))
        return true;
    rule_memory_get(reader->once, key, length, line->run, line->clock, rule->preset_rule->within);
    return false;
}

static void tell(struct rule_reader *reader, uint64_t first_line, uint64_t line)
{
    reader->hit.line = line;
    reader->hit.first_line = first_line;
    reader->hit.last_line = reader->counts.lines;
    reader->counts.events += reader->hit.event.count;
    reader->found(reader->context, &reader->hit);
}

static void begin_hold(struct rule_reader *reader, const struct rule *rule, const struct line *line,
                       const struct rule_note *record)
{
    reader->hold = (struct hold){.rule = rule, .first_line = reader->counts.lines, .run = line->run};
    if (record && record->values[FIELD_IP] && !(reader->hold.address = strdup(record->values[FIELD_IP])))
        abort();
}

static void end_hold(struct rule_reader *reader)
{
    free(reader->hold.address);
    reader->hold = (struct hold){0};
}

/* Whether `text` is the end of what is held; then it is told. */
static bool ends_hold(struct rule_reader *reader, const struct rule *rule, const struct line *line, const char *text,
                      size_t length, const char *address)
{
    struct rule_values values = {0};
    if (!matches(reader, &rule->until, text, length, rule->name))
        return false;
    take_groups(reader, &rule->until, text, &values, false);
    if (rule->preset_rule->same.count && !same_value(&values.of[FIELD_IP], address, FIELD_IP))
        return false;
    struct rule_value message = {.text = text, .length = length};
    if (rule_event(rule, reader->conf, &values, &message, &reader->hit) && !is_counted(reader, rule, line, &values))
        tell(reader, reader->hold.rule ? reader->hold.first_line : reader->counts.lines, reader->counts.lines);
    return true;
}

/* False: the rule does not apply after all. */
static bool apply_event(struct rule_reader *reader, const struct rule *rule, const struct line *line,
                        struct rule_values *values)
{
    const struct preset_rule *preset_rule = rule->preset_rule;
    char key[KEY_MAX];
    size_t length = record_key(rule, values, key);
    struct rule_note *record = NULL;
    struct address address;
    uint64_t first_line = reader->counts.lines, told_at = first_line;
    if (preset_rule->join || preset_rule->last || preset_rule->same.count)
        record = rule_memory_find(reader->records, key, length, line->run, line->clock);
    if (rule->until.code) {
        if (!line->tail)
            begin_hold(reader, rule, line, record);
        else
            ends_hold(reader, rule, line, line->tail, line->tail_length, record ? record->values[FIELD_IP] : NULL);
        return true;
    }
    if (record && preset_rule->join) {
        join(values, record);
        first_line = record->first_line;
        if (record->lines[preset_rule->tells])
            told_at = record->lines[preset_rule->tells];
    }
    if (!has_all(values, &preset_rule->needs) || !are_same(values, record, &preset_rule->same))
        return false;
    if (preset_rule->direction && rule_inbound(reader->conf, values) != (preset_rule->direction == PRESET_IN))
        return false;
    if (!rule_address(values, &address) ||
        !rule_event(rule, reader->conf, values, &line->messages[rule->preset], &reader->hit))
        return false;
    if (!is_counted(reader, rule, line, values))
        tell(reader, first_line, told_at);
    if (record && preset_rule->last)
        rule_memory_remove(reader->records, record);
    return true;
}

static bool apply(struct rule_reader *reader, const struct rule *rule, struct line *line)
{
    if (!fits_preset(reader, line, rule->preset))
        return false;
    const struct rule_value *message = &line->messages[rule->preset];
    const struct rule_value *head = line->values_of[rule->preset]->of;
    if (!value_matches(reader, &rule->program, &head[FIELD_PROGRAM], rule->name) ||
        !value_matches(reader, &rule->session, &head[FIELD_SESSION], rule->name) ||
        !value_matches(reader, &rule->level, &head[FIELD_LEVEL], rule->name) ||
        !matches(reader, &rule->pattern, message->text, message->length, rule->name))
        return false;
    struct rule_values values = *line->values_of[rule->preset];
    take_groups(reader, &rule->pattern, message->text, &values, false);
    rule_pairs(&values);
    if (rule->preset_rule->role == PRESET_EVENT)
        return apply_event(reader, rule, line, &values);
    if (rule->preset_rule->role != PRESET_IGNORE) {
        char key[KEY_MAX];
        size_t length = record_key(rule, &values, key);
        note_line(reader, rule, line, &values, key, length);
    }
    return true;
}

static void try_rules(struct rule_reader *reader, struct line *line)
{
    uint64_t bits[RULE_BITS];
    rule_prefilter_scan(reader->set->prefilter, reader->scratch, line->message, line->message_length, bits);
    for (size_t word = 0; word * 64 < reader->set->rule_count; word++)
        for (uint64_t rest = bits[word]; rest; rest &= rest - 1) {
            size_t number = word * 64 + (size_t)__builtin_ctzll(rest);
            if (number >= reader->set->rule_count)
                return;
            if (apply(reader, &reader->set->rules[number], line)) {
                reader->counts.matched++;
                return;
            }
        }
}

/* True: the line is part of a text that is held. */
static bool is_held(struct rule_reader *reader, const struct line *line)
{
    struct hold *hold = &reader->hold;
    if (!hold->rule)
        return false;
    hold->octets += line->length + 1;
    if (hold->octets > HOLD_OCTETS || line->run - hold->run > HOLD_RUN) {
        end_hold(reader);
        return false;
    }
    if (ends_hold(reader, hold->rule, line, line->tail ? line->tail : line->text,
                  line->tail ? line->tail_length : line->length, hold->address)) {
        reader->counts.matched++;
        end_hold(reader);
    }
    return true;
}

void rule_read(struct rule_reader *reader, const char *text, size_t length, int64_t run)
{
    struct line line;
    line.text = text;
    line.length = length;
    line.tail = NULL;
    line.run = run;
    line.clock = -1;
    reader->counts.lines++;
    if (length && text[length - 1] == '\r')
        line.length--;
    if (line.length > RULE_LINE_MAX) {
        line.tail_length = line.length - RULE_LINE_MAX > TAIL_MAX ? TAIL_MAX : line.length - RULE_LINE_MAX;
        line.tail = text + line.length - line.tail_length;
        line.length = RULE_LINE_MAX;
        reader->counts.cut++;
    }
    if (is_held(reader, &line))
        return;
    memset(&line.values, 0, sizeof line.values);
    if (!find_head(reader, &line)) {
        reader->counts.headless++;
        return;
    }
    memset(line.presets, 0, reader->set->preset_count * sizeof line.presets[0]);
    try_rules(reader, &line);
}

void rule_flush(struct rule_reader *reader, int64_t run)
{
    if (reader->hold.rule && run - reader->hold.run > HOLD_RUN)
        end_hold(reader);
}

/* ---- what is left for later lines, as octets ---- */

static uint64_t add_hash(uint64_t hash, const char *text)
{
    for (size_t i = 0; i <= strlen(text); i++)
        hash = (hash ^ (unsigned char)text[i]) * UINT64_C(1099511628211); /* FNV-1a */
    return hash;
}

/* Of all that notes name by its number. */
static uint64_t hash_of_set(const struct rule_set *set)
{
    uint64_t hash = UINT64_C(14695981039346656037) + FIELD_END;
    for (size_t i = 0; i < set->preset_count; i++)
        hash = add_hash(hash, set->presets[i]->product);
    for (size_t i = 0; i < set->head_count; i++)
        hash = add_hash(hash, set->heads[i].name);
    for (size_t i = 0; i < set->rule_count; i++)
        hash = add_hash(hash, set->rules[i].name);
    return hash;
}

bool rule_is_idle(const struct rule_reader *reader)
{
    return !reader->hold.rule && rule_memory_is_empty(reader->records) && rule_memory_is_empty(reader->once);
}

void rule_pack(const struct rule_reader *reader, int64_t run, struct pack *pack)
{
    const struct hold *hold = &reader->hold;
    pack_u64(pack, hash_of_set(reader->set));
    pack_u32(pack, (uint32_t)reader->last_head);
    pack_u8(pack, hold->rule != NULL);
    if (hold->rule) {
        pack_u32(pack, (uint32_t)(hold->rule - reader->set->rules));
        pack_u64(pack, hold->octets);
        pack_u64(pack, run > hold->run ? (uint64_t)(run - hold->run) : 0);
        pack_u8(pack, hold->address != NULL);
        pack_text(pack, hold->address ? hold->address : "");
    }
    rule_memory_pack(reader->records, run, pack);
    rule_memory_pack(reader->once, run, pack);
}

static void unpack_hold(struct rule_reader *reader, struct unpack *unpack, int64_t run)
{
    char address[VALUE_MAX + 1];
    size_t rule = unpack_u32(unpack);
    uint64_t octets = unpack_u64(unpack), age = unpack_u64(unpack);
    uint8_t has_address = unpack_u8(unpack);
    unpack_text(unpack, address, sizeof address);
    if (rule >= reader->set->rule_count || octets > HOLD_OCTETS || !reader->set->rules[rule].until.code)
        unpack->bad = true;
    if (unpack->bad || age > HOLD_RUN)
        return;
    reader->hold =
        (struct hold){.rule = &reader->set->rules[rule], .first_line = 1, .octets = octets, .run = run - (int64_t)age};
    if (has_address && !(reader->hold.address = strdup(address)))
        abort();
}

void rule_unpack(struct rule_reader *reader, struct unpack *unpack, int64_t run)
{
    if (unpack_u64(unpack) != hash_of_set(reader->set))
        unpack->bad = true;
    size_t head = unpack_u32(unpack);
    if (head < reader->set->head_count && !unpack->bad)
        reader->last_head = head;
    if (unpack_u8(unpack))
        unpack_hold(reader, unpack, run);
    rule_memory_unpack(reader->records, unpack, run);
    rule_memory_unpack(reader->once, unpack, run);
    if (!unpack->bad)
        return;
    end_hold(reader);
    rule_memory_clear(reader->records);
}
