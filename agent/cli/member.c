#include "cli/member.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/observation.h"
#include "base/text.h"

void member_set(json_t *object, const char *name, json_t *value)
{
    if (!value || json_object_set_new(object, name, value) != 0)
        abort();
}

void member_append(json_t *array, json_t *value)
{
    if (!value || json_array_append_new(array, value) != 0)
        abort();
}

json_t *member_string(const char *text)
{
    char safe[4 * OBSERVATION_DETAIL];
    json_t *json = json_string(text);
    if (json)
        return json;
    text_printable(safe, sizeof safe, text, strlen(text));
    return json_string(safe);
}

void member_text(json_t *object, const char *name, const char *text)
{
    member_set(object, name, member_string(text));
}

void member_number(json_t *object, const char *name, int64_t number)
{
    member_set(object, name, json_integer(number));
}

void member_time(json_t *object, const char *name, int64_t wall)
{
    char text[CLOCK_TEXT_SIZE];
    member_set(object, name, wall == CLOCK_NEVER ? json_null() : json_string(clock_text(wall, text, sizeof text)));
}

/* An error of the stream stays in it; the caller sees it at the end. */
void member_print(FILE *out, json_t *object, size_t flags)
{
    char *text = object ? json_dumps(object, JSON_COMPACT | flags) : NULL;
    if (!text)
        abort();
    fputs(text, out);
    free(text);
    json_decref(object);
}
