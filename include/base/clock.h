#ifndef FEDWARDEN_BASE_CLOCK_H
#define FEDWARDEN_BASE_CLOCK_H

/* The two clocks. Any thread. */

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define CLOCK_SECOND INT64_C(1000000) /* both clocks count microseconds */
#define CLOCK_NEVER INT64_C(0)        /* a time stamp of something that never happened */

/* clock_wall(): microseconds since 1970-01-01 UTC; may jump; for records and for the dates of certificates. */
int64_t clock_wall(void);

/* clock_run(): microseconds since boot, suspend included (CLOCK_BOOTTIME); never jumps; for schedules and windows. */
int64_t clock_run(void);

#define CLOCK_TEXT_SIZE sizeof "-292277022657-01-27T08:29:52Z"
/* clock_text(wall, out, size): RFC 3339 in UTC, to the second, "never" for CLOCK_NEVER; returns `out`. */
const char *clock_text(int64_t wall, char *out, size_t size);

/* clock_span(seconds, out, size): a span for people, in its two largest units: "45s", "12m", "3h 5m", "6d 2h". */
const char *clock_span(int64_t seconds, char *out, size_t size);

#endif
