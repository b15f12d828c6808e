/* Calendar days are those of the local time zone; mktime(3) settles days on which clocks are set. */
#include "cli/when.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/text.h"

#define SPAN_MOST (INT64_C(100) * 366 * 86400) /* seconds */

static bool parse_span(const char *text, int64_t *seconds)
{
    static const struct {
        char letter;
        int64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 7 * 86400}};
    *seconds = 0;
    if (!*text)
        return false;
    while (*text) {
        int64_t number = 0;
        size_t digits = strspn(text, "0123456789"), unit = 0;
        if (digits == 0 || digits > 9)
            return false;
        for (size_t i = 0; i < digits; i++)
            number = number * 10 + (text[i] - '0');
        text += digits;
        while (unit < sizeof units / sizeof units[0] && units[unit].letter != *text)
            unit++;
        if (unit == sizeof units / sizeof units[0])
            return false;
        *seconds += number * units[unit].seconds;
        if (*seconds > SPAN_MOST)
            return false;
        text++;
    }
    return true;
}

/* The midnight that began the day of `now`, and `days` before it. */
static int64_t midnight(int64_t now, int days)
{
    struct tm parts;
    time_t seconds = (time_t)(now / CLOCK_SECOND);
    localtime_r(&seconds, &parts);
    parts.tm_hour = parts.tm_min = parts.tm_sec = 0;
    parts.tm_mday -= days;
    parts.tm_isdst = -1;
    return (int64_t)mktime(&parts) * CLOCK_SECOND;
}

/* Exactly `count` digits at *text, which moves on behind them. */
static bool digits(const char **text, int count, int least, int most, int *value)
{
    *value = 0;
    for (int i = 0; i < count; i++, (*text)++) {
        if (**text < '0' || **text > '9')
            return false;
        *value = *value * 10 + (**text - '0');
    }
    return *value >= least && *value <= most;
}

static bool accept(const char **text, const char *any)
{
    if (!**text || !strchr(any, **text))
        return false;
    (*text)++;
    return true;
}

static bool parse_clock(const char **text, struct tm *parts)
{
    if (!digits(text, 2, 0, 23, &parts->tm_hour) || !accept(text, ":") || !digits(text, 2, 0, 59, &parts->tm_min))
        return false;
    return !accept(text, ":") || digits(text, 2, 0, 59, &parts->tm_sec);
}

/* "Z", "+01:00", "-0330": seconds east of UTC. */
static bool parse_zone(const char **text, int *east)
{
    int sign = **text == '-' ? -1 : 1, hours, minutes = 0;
    *east = 0;
    if (accept(text, "Zz"))
        return true;
    if (!accept(text, "+-") || !digits(text, 2, 0, 14, &hours))
        return false;
    accept(text, ":");
    if (**text && !digits(text, 2, 0, 59, &minutes))
        return false;
    *east = sign * (hours * 3600 + minutes * 60);
    return true;
}

static bool parse_date(const char *text, int64_t *wall)
{
    struct tm parts = {.tm_isdst = -1}, day;
    int east;
    bool zoned = false;
    if (!digits(&text, 4, 1970, 9999, &parts.tm_year) || !accept(&text, "-") ||
        !digits(&text, 2, 1, 12, &parts.tm_mon) || !accept(&text, "-") || !digits(&text, 2, 1, 31, &parts.tm_mday))
        return false;
    parts.tm_year -= 1900;
    parts.tm_mon--;
    if (accept(&text, "Tt ")) {
        if (!parse_clock(&text, &parts))
            return false;
        zoned = *text != '\0';
        if (zoned && !parse_zone(&text, &east))
            return false;
    }
    day = parts;
    timegm(&day);
    if (*text || day.tm_mday != parts.tm_mday) /* the 30th of February */
        return false;
    time_t seconds = zoned ? timegm(&parts) - east : mktime(&parts);
    *wall = (int64_t)seconds * CLOCK_SECOND;
    return true;
}

bool when_parse(const char *text, int64_t now, int64_t *wall)
{
    int64_t seconds;
    if (strcmp(text, "now") == 0) {
        *wall = now;
    } else if (strcmp(text, "today") == 0) {
        *wall = midnight(now, 0);
    } else if (strcmp(text, "yesterday") == 0) {
        *wall = midnight(now, 1);
    } else if (parse_span(text, &seconds)) {
        *wall = now - seconds * CLOCK_SECOND;
    } else {
        return parse_date(text, wall);
    }
    return true;
}

const char *when_text(int64_t wall, char *out, size_t size)
{
    struct tm parts;
    time_t seconds = (time_t)(wall / CLOCK_SECOND);
    if (wall == CLOCK_NEVER || !localtime_r(&seconds, &parts) || strftime(out, size, "%Y-%m-%d %H:%M:%S", &parts) == 0)
        text_copy(out, size, "never");
    return out;
}
