/*
 * A ring of counts. A run time falls into the span number run / length since boot; the bucket of span e is e modulo
 * WINDOW_BUCKETS. Only the newest span's number is kept: moving it forward empties the buckets it passes, and a reader
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

static int64_t span_of(uint32_t seconds, int64_t run)
{
    return run > 0 ? run / span_length(seconds) : 0;
}

static void advance(struct window *window, int64_t epoch)
{
    if (epoch - window->epoch >= WINDOW_BUCKETS) {
        memset(window->buckets, 0, sizeof window->buckets);
        window->epoch = epoch;
    }
    while (window->epoch < epoch)
        window->buckets[++window->epoch % WINDOW_BUCKETS] = 0;
}

void window_add(struct window *window, uint32_t seconds, int64_t run, uint32_t count)
{
    int64_t epoch = span_of(seconds, run);
    advance(window, epoch);
    /* Collectors' results may come a little out of order; what is older than the ring is older than the window. */
    if (window->epoch - epoch >= WINDOW_BUCKETS)
        return;
    uint32_t *bucket = &window->buckets[epoch % WINDOW_BUCKETS];
    *bucket = count > UINT32_MAX - *bucket ? UINT32_MAX : *bucket + count;
}

uint32_t window_sum(const struct window *window, uint32_t seconds, int64_t run)
{
    int64_t newest = span_of(seconds, run);
    if (newest < window->epoch)
        newest = window->epoch;
    uint64_t sum = 0;
    for (int64_t epoch = window->epoch;
         epoch >= 0 && newest - epoch < WINDOW_BUCKETS && window->epoch - epoch < WINDOW_BUCKETS; epoch--)
        sum += window->buckets[epoch % WINDOW_BUCKETS];
    return sum > UINT32_MAX ? UINT32_MAX : (uint32_t)sum;
}

void window_resize(struct window *window, uint32_t from, uint32_t to, int64_t run)
{
    int64_t length = span_length(from);
    if (length == span_length(to))
        return;
    struct window resized = {0};
    for (int64_t age = 0; age < WINDOW_BUCKETS && age <= window->epoch; age++) {
        int64_t epoch = window->epoch - age;
        uint32_t count = window->buckets[epoch % WINDOW_BUCKETS];
        /* The newest moment of its span: it never leaves the new window too early. */
        int64_t moment = (epoch + 1) * length - 1;
        if (count)
            window_add(&resized, to, moment < run ? moment : run, count);
    }
    *window = resized;
}

void window_clear(struct window *window)
{
    memset(window, 0, sizeof *window);
}
