#ifndef FEDWARDEN_BASE_EVENT_H
#define FEDWARDEN_BASE_EVENT_H

/* The events of base/event_list.h. Constant data; any thread. */

#include <stddef.h>
#include <stdint.h>

enum event {
    EVENT_NONE = 0,
#define EVENT_ROW(number, enumerator, ...) EVENT_##enumerator = number,
#include "base/event_list.h"
#undef EVENT_ROW
    EVENT_END
};

/* Room for an array that is indexed by enum event; element 0 is unused. */
#define EVENT_COUNT EVENT_END

struct event_info {
    enum event event;
    const char *name;         /* "tlsOutgoing": configuration, logs, MIB label */
    const char *notification; /* "TlsOutgoing" */
    const char *title;        /* a sentence's subject, for people */
    uint32_t count;           /* default threshold, failures */
    uint32_t window;          /* default window, seconds */
    uint32_t clear;           /* default successes in a row that clear, 0 = only a quiet window */
};

/* event_info(event): the row of `event`; NULL for EVENT_NONE and for numbers that are no event. */
const struct event_info *event_info(enum event event);

/* event_name(event): its name; "none" for EVENT_NONE, "unknown" for numbers that are no event. Never NULL. */
const char *event_name(enum event event);

/* event_find(name): the event of that name, compared without case; EVENT_NONE when there is none. */
enum event event_find(const char *name);

#endif
