#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>

static int64_t read_clock(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * CLOCK_SECOND + now.tv_nsec / 1000;
}

int64_t clock_wall(void)
{
    return read_clock(CLOCK_REALTIME);
}

int64_t clock_run(void)
{
    return read_clock(CLOCK_BOOTTIME);
}

const char *clock_text(int64_t wall, char *out, size_t size)
{
    time_t seconds = (time_t)(wall / CLOCK_SECOND - (wall % CLOCK_SECOND < 0));
    struct tm parts;
    if (wall == CLOCK_NEVER || !gmtime_r(&seconds, &parts) || strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
        snprintf(out, size, "never");
    return out;
}

const char *clock_span(int64_t seconds, char *out, size_t size)
{
    if (seconds < 0)
        seconds = 0;
    if (seconds < 60)
        snprintf(out, size, "%" PRId64 "s", seconds);
    else if (seconds < 3600)
        snprintf(out, size, "%" PRId64 "m", seconds / 60);
    else if (seconds < 86400)
        snprintf(out, size, "%" PRId64 "h %" PRId64 "m", seconds / 3600, seconds % 3600 / 60);
    else
        snprintf(out, size, "%" PRId64 "d %" PRId64 "h", seconds / 86400, seconds % 86400 / 3600);
    return out;
}
