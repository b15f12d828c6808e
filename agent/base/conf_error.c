/*
 * Errors of a configuration: kept as data until all are known, then told in the order in which a reader of the files
 * meets them.
 */
#include "base/conf_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define ERRORS_MAX  200
#define MESSAGE_MAX 1024

static char *copy(const char *text)
{
    char *result = strdup(text);
    if (!result)
        abort();
    return result;
}

void conf_error_add(struct conf_errors *errors, const struct conf_place *place, const char *setting, const char *format,
                    va_list arguments)
{
    if (errors->count >= ERRORS_MAX) {
        errors->dropped++;
        return;
    }
    if (errors->count % 16 == 0) {
        errors->errors = realloc(errors->errors, (errors->count + 16) * sizeof *errors->errors);
        if (!errors->errors)
            abort();
    }
    char raw[MESSAGE_MAX], message[MESSAGE_MAX];
    vsnprintf(raw, sizeof raw, format, arguments);
    text_printable(message, sizeof message, raw, strlen(raw));
    errors->errors[errors->count++] = (struct conf_error){.file = copy(place->file),
                                                          .line = place->line,
                                                          .position = place->position,
                                                          .setting = copy(setting),
                                                          .message = copy(message)};
}

static int compare(const void *left, const void *right)
{
    const struct conf_error *a = left, *b = right;
    if (a->position != b->position)
        return a->position < b->position ? -1 : 1;
    if (a->line != b->line)
        return a->line < b->line ? -1 : 1;
    int setting = strcmp(a->setting, b->setting);
    return setting ? setting : strcmp(a->message, b->message);
}

void conf_errors_sort(struct conf_errors *errors)
{
    if (errors->count)
        qsort(errors->errors, errors->count, sizeof *errors->errors, compare);
}

void conf_error_text(const struct conf_error *error, char *out, size_t size)
{
    if (size)
        *out = '\0';
    text_append(out, size, "%s", error->file);
    if (error->line)
        text_append(out, size, ":%u", error->line);
    text_append(out, size, "%s", *error->file ? ": " : "");
    if (*error->setting)
        text_append(out, size, "%s: ", error->setting);
    text_append(out, size, "%s", error->message);
}

void conf_error_brief(const struct conf_error *error, char *out, size_t size)
{
    struct conf_error brief = *error;
    char *slash = strrchr(error->file, '/');
    if (slash)
        brief.file = slash + 1;
    conf_error_text(&brief, out, size);
}

void conf_errors_clear(struct conf_errors *errors)
{
    for (size_t i = 0; i < errors->count; i++) {
        free(errors->errors[i].file);
        free(errors->errors[i].setting);
        free(errors->errors[i].message);
    }
    free(errors->errors);
    *errors = (struct conf_errors){0};
}
