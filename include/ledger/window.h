#ifndef FEDWARDEN_LEDGER_WINDOW_H
#define FEDWARDEN_LEDGER_WINDOW_H

/*
 * A sliding window: how many in the last N seconds. Pure values: the time is given, never asked. Main thread.
 * The window is divided into WINDOW_BUCKETS - 1 spans of equal length. What lies in the oldest, partly left span still
 * counts: a sum is never too small, and what it holds is at most one span older than the window.
 */

#include <stdint.h>

#define WINDOW_BUCKETS 30

struct window {
    int64_t epoch; /* number of the newest bucket's span since boot; the others lie before it */
    uint32_t buckets[WINDOW_BUCKETS];
};

/* window_add(window, seconds, run, count): counts at `run` (clock_run microseconds) in a window of `seconds`. */
void window_add(struct window *window, uint32_t seconds, int64_t run, uint32_t count);

/* window_sum(window, seconds, run): the count of the last `seconds` before `run`; at most UINT32_MAX. */
uint32_t window_sum(const struct window *window, uint32_t seconds, int64_t run);

/*
 * window_resize(window, from, to, run): what was counted in a window of `from` seconds, at `run`, as a window of `to`.
 * What lies beyond the longer of the two is not known; nothing is lost that is.
 */
void window_resize(struct window *window, uint32_t from, uint32_t to, int64_t run);

void window_clear(struct window *window);

#endif
