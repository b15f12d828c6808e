/*
 * A ring of counts. A run time falls into the span number run / length since boot, before which both are negative; the
 * bucket of span e is e modulo WINDOW_BUCKETS. Only the newest span's number is kept: moving it forward empties the buckets it passes, and a reader
 * leaves out what is too old, so nothing has to happen while nothing is counted.
 *
 * The window's length is WINDOW_BUCKETS - 1 spans, rounded up: together with the span that is under way the ring covers
 * the whole window wherever in its span the reader stands.
 */
#include "ledger/window.h"

#include <string.h>

#include "base/clock.h"

static int64_t span_length(uint32_t seconds)
{
    int64_t spans = WINDOW_BUCKETS - 1;
    return ((int64_t)(seconds ? seconds : 1) * CLOCK_SECOND + spans - 1) / spans;
}

/* Rounded down. */
static int64_t divide(int64_t number, int64_t by)
{
    return number / by - (number % by < 0);
}

static int64_t span_of(uint32_t seconds, int64_t run)
{
    return divide(run, span_length(seconds));
}

static size_t bucket_of(int64_t epoch)
{
    return (size_t)(epoch - divide(epoch, WINDOW_BUCKETS) * WINDOW_BUCKETS);
}

static void advance(struct window *window, int64_t epoch)
{
    if (epoch - window->epoch >= WINDOW_BUCKETS) {
        memset(window->buckets, 0, sizeof window->buckets);
        window->epoch = epoch;
    }
    while (window->epoch < epoch)
        window->buckets[bucket_of(++window->epoch)] = 0;
}

void window_add(struct window *window, uint32_t seconds, int64_t run, uint32_t count)
{
    int64_t epoch = span_of(seconds, run);
    if (!window->seconds)
        *window = (struct window){.seconds = seconds, .epoch = epoch};
    advance(window, epoch);
    /* Collectors' results may come a little out of order; what is older than the ring is older than the window. */
    if (window->epoch - epoch >= WINDOW_BUCKETS)
        return;
    uint32_t *bucket = &window->buckets[bucket_of(epoch)];
    *bucket = count > UINT32_MAX - *bucket ? UINT32_MAX : *bucket + count;
}

uint32_t window_sum(const struct window *window, uint32_t seconds, int64_t run)
{
    int64_t newest = span_of(seconds, run);
    if (newest < window->epoch)
        newest = window->epoch;
    uint64_t sum = 0;
    for (int64_t epoch = window->epoch; newest - epoch < WINDOW_BUCKETS && window->epoch - epoch < WINDOW_BUCKETS;
         epoch--)
        sum += window->buckets[bucket_of(epoch)];
    return sum > UINT32_MAX ? UINT32_MAX : (uint32_t)sum;
}

bool window_resize(struct window *window, uint32_t seconds, int64_t run)
{
    if (!window->seconds || window->seconds == seconds)
        return false;
    int64_t length = span_length(window->seconds);
    struct window resized = {0};
    for (int64_t epoch = window->epoch; epoch > window->epoch - WINDOW_BUCKETS; epoch--) {
        uint32_t count = window->buckets[bucket_of(epoch)];
        /* The newest moment of its span: it never leaves the new window too early. */
        int64_t moment = (epoch + 1) * length - 1;
        if (count)
            window_add(&resized, seconds, moment < run ? moment : run, count);
    }
    *window = resized;
    return true;
}

static void shift(struct window *window, int64_t spans)
{
    struct window moved = {.seconds = window->seconds, .epoch = window->epoch + spans};
    for (int64_t epoch = window->epoch; epoch > window->epoch - WINDOW_BUCKETS; epoch--)
        moved.buckets[bucket_of(epoch + spans)] = window->buckets[bucket_of(epoch)];
    *window = moved;
}

void window_move(struct window *window, int64_t by)
{
    if (window->seconds && by)
        shift(window, -divide(-by, span_length(window->seconds))); /* rounded up: nothing leaves too early */
}

void window_until(struct window *window, int64_t run)
{
    if (window->seconds && window->epoch < -(INT64_MAX / 4) / span_length(window->seconds))
        window_clear(window);
    else if (window->seconds && window->epoch > span_of(window->seconds, run))
        shift(window, span_of(window->seconds, run) - window->epoch);
}

void window_clear(struct window *window)
{
    memset(window, 0, sizeof *window);
}
