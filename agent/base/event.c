#include "base/event.h"

#include <strings.h>

static const struct event_info event_rows[EVENT_COUNT] = {
#define EVENT_ROW(number, enumerator, name, notification, title, count, window, clear)                                 \
    [number] = {number, #name, #notification, title, count, window, clear},
#include "base/event_list.h"
#undef EVENT_ROW
};

const struct event_info *event_info(enum event event)
{
    if (event <= EVENT_NONE || event >= EVENT_END)
        return NULL;
    return &event_rows[event];
}

const char *event_name(enum event event)
{
    if (event == EVENT_NONE)
        return "none";
    const struct event_info *info = event_info(event);
    return info ? info->name : "unknown";
}

enum event event_find(const char *name)
{
    for (int i = 1; i < EVENT_COUNT; i++)
        if (strcasecmp(event_rows[i].name, name) == 0)
            return event_rows[i].event;
    return EVENT_NONE;
}
