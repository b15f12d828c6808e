/*
 * Settings as rows {name, how it is read, where it goes, range, initial value}, and the reading of a group by its rows.
 * A group is read in two passes: each of its settings finds its row or is unknown; then the rows are read in the order
 * of their table, so that a row may refer to what an earlier one brought (a partner's trust to the trusts).
 */
#include "base/conf_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define PATH_MAX_OCTETS 256
#define PATH_DEPTH_MAX  16

/* "partners[3].trust" of a setting. */
static void setting_path(const config_setting_t *setting, char *out, size_t size)
{
    const config_setting_t *above[PATH_DEPTH_MAX + 2];
    size_t depth = 0;
    *out = '\0';
    for (; setting && !config_setting_is_root(setting) && depth < PATH_DEPTH_MAX + 2;
         setting = config_setting_parent(setting))
        above[depth++] = setting;
    while (depth--) {
        const char *name = config_setting_name(above[depth]);
        if (name)
            text_append(out, size, "%s%s", *out ? "." : "", name);
        else
            text_append(out, size, "[%d]", config_setting_index(above[depth]));
    }
}

void conf_wrong(struct conf_reader *reader, const config_setting_t *setting, const char *format, ...)
{
    char path[PATH_MAX_OCTETS];
    struct conf_place place = {"", 0, 0};
    setting_path(setting, path, sizeof path);
    if (setting) /* otherwise made without a file */
        place = conf_source_place(reader->source, config_setting_source_line(setting));
    va_list arguments;
    va_start(arguments, format);
    conf_error_add(reader->errors, &place, path, format, arguments);
    va_end(arguments);
}

void conf_join(char *out, size_t size, const char *const *list, size_t count)
{
    *out = '\0';
    for (size_t i = 0; i < count; i++) {
        if (strlen(out) + strlen(list[i]) + 8 > size) {
            text_append(out, size, ", ...");
            return;
        }
        text_append(out, size, "%s%s", i ? ", " : "", list[i]);
    }
}

void conf_unknown(struct conf_reader *reader, const config_setting_t *setting, const char *what, const char *word,
                  const char *const *list, size_t count)
{
    char have[256];
    conf_join(have, sizeof have, list, count);
    const char *near = text_nearest(word, list, count);
    conf_wrong(reader, setting, "no %s \"%.64s\" (have: %s)%s%s%s", what, word, count ? have : "none",
               near ? ". Did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

bool conf_text(struct conf_reader *reader, const config_setting_t *setting, int64_t max, const char **text)
{
    const char *value = config_setting_get_string(setting);
    if (!value) {
        conf_wrong(reader, setting, "must be a text in quotes");
        return false;
    }
    size_t length = strlen(value);
    if ((int64_t)length > max) {
        conf_wrong(reader, setting, "is %zu octets long: at most %" PRId64 " are possible", length, max);
        return false;
    }
    char printable[4 * 1024 + 1]; /* no row allows more than 1023 octets */
    text_printable(printable, sizeof printable, value, length);
    if (strcmp(printable, value) != 0) {
        conf_wrong(reader, setting, "holds control characters or is not UTF-8: \"%.200s\"", printable);
        return false;
    }
    *text = value;
    return true;
}

static void store_number(const struct conf_row *row, void *into, int64_t value)
{
    void *member = (char *)into + row->offset;
    if (row->size == sizeof(uint16_t))
        *(uint16_t *)member = (uint16_t)value;
    else if (row->size == sizeof(uint32_t))
        *(uint32_t *)member = (uint32_t)value;
    else if (row->size == sizeof(bool))
        *(bool *)member = value != 0;
    else
        abort(); /* a row that fits no member */
}

void conf_read_number(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                      void *into)
{
    int type = config_setting_type(setting);
    if (type != CONFIG_TYPE_INT && type != CONFIG_TYPE_INT64) {
        conf_wrong(reader, setting, "must be a whole number, %" PRId64 " to %" PRId64, row->min, row->max);
        return;
    }
    int64_t value = type == CONFIG_TYPE_INT ? config_setting_get_int(setting) : config_setting_get_int64(setting);
    if (value < row->min || value > row->max)
        conf_wrong(reader, setting, "%" PRId64 " is out of range: %" PRId64 " to %" PRId64 " is possible", value,
                   row->min, row->max);
    else
        store_number(row, into, value);
}

void conf_read_switch(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                      void *into)
{
    if (config_setting_type(setting) != CONFIG_TYPE_BOOL)
        conf_wrong(reader, setting, "must be true or false, without quotes");
    else
        store_number(row, into, config_setting_get_bool(setting));
}

void conf_read_text(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting, void *into)
{
    const char *text;
    if (!conf_text(reader, setting, row->max, &text))
        return;
    if (row->min && !*text)
        conf_wrong(reader, setting, "may not be empty");
    else
        *(const char **)((char *)into + row->offset) = conf_string(reader->blocks, text);
}

void conf_read_word(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting, void *into)
{
    const char *text, *list[16];
    size_t count = 0;
    if (!conf_text(reader, setting, row->max, &text))
        return;
    for (const struct conf_word *word = row->words; word->name; word++) {
        if (strcmp(word->name, text) == 0) {
            store_number(row, into, word->value);
            return;
        }
        list[count++] = word->name;
    }
    char all[256];
    conf_join(all, sizeof all, list, count);
    const char *near = text_nearest(text, list, count);
    conf_wrong(reader, setting, "\"%.64s\" is none of %s%s%s%s", text, all, near ? ". Did you mean \"" : "",
               near ? near : "", near ? "\"?" : "");
}

void conf_rows_initial(const struct conf_row *rows, size_t count, void *into)
{
    for (const struct conf_row *row = rows; row < rows + count; row++) {
        if (row->text)
            *(const char **)((char *)into + row->offset) = row->text;
        else if (row->read == conf_read_number || row->read == conf_read_word || row->read == conf_read_switch ||
                 row->read == conf_read_mode)
            store_number(row, into, row->initial);
    }
}

static const struct conf_row *find_row(const struct conf_row *rows, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    return NULL;
}

static void unknown_setting(struct conf_reader *reader, const struct conf_row *rows, size_t count,
                            const config_setting_t *setting)
{
    const char *names[CONF_ROWS_MAX];
    for (size_t i = 0; i < count; i++)
        names[i] = rows[i].name;
    const char *near = text_nearest(config_setting_name(setting), names, count);
    if (near) {
        conf_wrong(reader, setting, "there is no such setting. Did you mean \"%s\"?", near);
        return;
    }
    char all[512];
    conf_join(all, sizeof all, names, count);
    conf_wrong(reader, setting, "there is no such setting (have: %s)", all);
}

uint64_t conf_rows_read(struct conf_reader *reader, const struct conf_row *rows, size_t count,
                        const config_setting_t *group, void *into)
{
    const config_setting_t *found[CONF_ROWS_MAX] = {NULL};
    uint64_t seen = 0;
    if (!config_setting_is_group(group)) {
        conf_wrong(reader, group, "must be a group of settings: { name = value; ... }");
        return 0;
    }
    for (int i = 0; i < config_setting_length(group); i++) {
        const config_setting_t *setting = config_setting_get_elem(group, (unsigned)i);
        const struct conf_row *row = find_row(rows, count, config_setting_name(setting));
        if (row)
            found[row - rows] = setting;
        else
            unknown_setting(reader, rows, count, setting);
    }
    for (size_t i = 0; i < count; i++) {
        if (found[i]) {
            rows[i].read(reader, &rows[i], found[i], into);
            seen |= UINT64_C(1) << i;
        } else if (rows[i].required) {
            conf_wrong(reader, group, "the setting \"%s\" is missing", rows[i].name);
        }
    }
    return seen;
}
