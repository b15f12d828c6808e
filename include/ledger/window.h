#ifndef FEDWARDEN_LEDGER_WINDOW_H
#define FEDWARDEN_LEDGER_WINDOW_H

/*
 * A sliding window: how many in the last N seconds. Pure values: the time is given, never asked. Main thread.
 * The window is divided into WINDOW_BUCKETS - 1 spans of equal length. What lies in the oldest, partly left span still
 * counts: a sum is never too small, and what it holds is at most one span older than the window.
 */

#include <stdbool.h>
#include <stdint.h>

#define WINDOW_BUCKETS 30

struct window {
    uint32_t seconds; /* its length; 0 while nothing was ever counted */
    int64_t epoch;    /* number of the newest bucket's span since boot, negative before it; the others lie before it */
    uint32_t buckets[WINDOW_BUCKETS];
};

/* window_add(window, seconds, run, count): counts at `run` (clock_run microseconds) in a window of `seconds`, which must
 * be its length if it has one already. */
void window_add(struct window *window, uint32_t seconds, int64_t run, uint32_t count);

/* window_sum(window, seconds, run): the count of the last `seconds` before `run`; at most UINT32_MAX. */
uint32_t window_sum(const struct window *window, uint32_t seconds, int64_t run);

/*
 * window_resize(window, seconds, run): what was counted so far, at `run`, as a window of `seconds`. What lies beyond the
 * longer of the two is not known; nothing is lost that is. False: nothing had to be changed.
 */
bool window_resize(struct window *window, uint32_t seconds, int64_t run);

/* window_move(window, by): as if all had been counted `by` microseconds later, or up to a span later than that. */
void window_move(struct window *window, int64_t by);

/* window_until(window, run): what would lie after `run` is moved back to it; what cannot be is cleared. */
void window_until(struct window *window, int64_t run);

void window_clear(struct window *window);

#endif
