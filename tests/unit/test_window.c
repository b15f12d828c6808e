#include <criterion/criterion.h>
#include <string.h>

#include "base/clock.h"
#include "ledger/window.h"

#define WINDOW 900
#define SPAN   (WINDOW * CLOCK_SECOND / (WINDOW_BUCKETS - 1) + 1)

Test(window, empty_is_zero_at_any_time)
{
    struct window window = {0};
    cr_assert_eq(window_sum(&window, WINDOW, 0), 0);
    cr_assert_eq(window_sum(&window, WINDOW, INT64_MAX / 2), 0);
}

Test(window, counts_for_the_whole_window_and_at_most_a_span_longer)
{
    for (int64_t start = 5 * CLOCK_SECOND; start < 3000 * CLOCK_SECOND; start += 7919 * 1000) {
        struct window window = {0};
        window_add(&window, WINDOW, start, 1);
        cr_assert_eq(window_sum(&window, WINDOW, start), 1);
        cr_assert_eq(window_sum(&window, WINDOW, start + WINDOW * CLOCK_SECOND), 1);
        cr_assert_eq(window_sum(&window, WINDOW, start + WINDOW * CLOCK_SECOND + SPAN), 0);
    }
}

Test(window, newer_counts_push_old_ones_out)
{
    struct window window = {0};
    for (int64_t minute = 1; minute <= 600; minute++)
        window_add(&window, WINDOW, minute * 60 * CLOCK_SECOND, 1);
    uint32_t sum = window_sum(&window, WINDOW, 600 * 60 * CLOCK_SECOND);
    cr_assert(sum == 15 || sum == 16, "%u of one a minute within 15 minutes", sum);
}

Test(window, late_results_count_where_they_belong)
{
    struct window window = {0};
    window_add(&window, WINDOW, 5000 * CLOCK_SECOND, 1);
    window_add(&window, WINDOW, 4500 * CLOCK_SECOND, 2);
    window_add(&window, WINDOW, 1000 * CLOCK_SECOND, 4); /* left the window long ago */
    cr_assert_eq(window_sum(&window, WINDOW, 5000 * CLOCK_SECOND), 3);
    cr_assert_eq(window_sum(&window, WINDOW, 5500 * CLOCK_SECOND), 1);
}

Test(window, a_reader_behind_the_newest_count_sees_it)
{
    struct window window = {0};
    window_add(&window, WINDOW, 5000 * CLOCK_SECOND, 3);
    cr_assert_eq(window_sum(&window, WINDOW, 4999 * CLOCK_SECOND), 3);
}

Test(window, saturates)
{
    struct window window = {0};
    window_add(&window, WINDOW, 100 * CLOCK_SECOND, UINT32_MAX - 1);
    window_add(&window, WINDOW, 100 * CLOCK_SECOND, 5);
    window_add(&window, WINDOW, 200 * CLOCK_SECOND, UINT32_MAX);
    cr_assert_eq(window_sum(&window, WINDOW, 200 * CLOCK_SECOND), UINT32_MAX);
}

Test(window, of_one_second_and_of_the_longest)
{
    struct window window = {0};
    window_add(&window, 1, 10 * CLOCK_SECOND, 1);
    cr_assert_eq(window_sum(&window, 1, 11 * CLOCK_SECOND), 1);
    cr_assert_eq(window_sum(&window, 1, 11 * CLOCK_SECOND + 40000), 0);
    window_clear(&window);
    window_add(&window, UINT32_MAX, 10 * CLOCK_SECOND, 1);
    cr_assert_eq(window_sum(&window, UINT32_MAX, (int64_t)UINT32_MAX * CLOCK_SECOND), 1);
}

Test(window, resizing_keeps_what_is_known)
{
    int64_t now = 10000 * CLOCK_SECOND;
    struct window window = {0};
    window_add(&window, 900, now - 800 * CLOCK_SECOND, 1);
    window_add(&window, 900, now - 100 * CLOCK_SECOND, 2);
    window_add(&window, 900, now, 4);

    struct window longer = window;
    window_resize(&longer, 3600, now);
    cr_assert_eq(window_sum(&longer, 3600, now), 7);
    cr_assert_eq(window_sum(&longer, 3600, now + 2700 * CLOCK_SECOND), 7);
    cr_assert_eq(window_sum(&longer, 3600, now + 4000 * CLOCK_SECOND), 0);

    struct window shorter = window;
    window_resize(&shorter, 300, now);
    cr_assert_eq(window_sum(&shorter, 300, now), 6);
    cr_assert_eq(window_sum(&shorter, 300, now + 400 * CLOCK_SECOND), 0);

    struct window same = window;
    window_resize(&same, 900, now);
    cr_assert_eq(memcmp(&same, &window, sizeof window), 0);
}

Test(window, moved_it_holds_what_it_held_for_at_most_a_span_longer)
{
    static const int64_t moves[] = {1, -1, 31000000, -31000000, 86400 * CLOCK_SECOND, -86400 * CLOCK_SECOND};
    for (size_t i = 0; i < sizeof moves / sizeof moves[0]; i++)
        for (int64_t start = 50 * CLOCK_SECOND; start < 3000 * CLOCK_SECOND; start += 7919 * 1000) {
            struct window window = {0};
            window_add(&window, WINDOW, start, 1);
            window_move(&window, moves[i]);
            int64_t moved = start + moves[i];
            cr_assert_eq(window_sum(&window, WINDOW, moved), 1);
            cr_assert_eq(window_sum(&window, WINDOW, moved + WINDOW * CLOCK_SECOND), 1);
            cr_assert_eq(window_sum(&window, WINDOW, moved + WINDOW * CLOCK_SECOND + 2 * SPAN), 0);
        }
}

/* After a reboot: what was counted before the machine started. */
Test(window, goes_on_from_before_the_start_of_the_clock)
{
    struct window window = {0};
    window_add(&window, WINDOW, 5000 * CLOCK_SECOND, 3);
    window_add(&window, WINDOW, 5300 * CLOCK_SECOND, 4);
    window_move(&window, -5400 * CLOCK_SECOND);
    cr_assert_eq(window_sum(&window, WINDOW, 20 * CLOCK_SECOND), 7);
    window_add(&window, WINDOW, 30 * CLOCK_SECOND, 1);
    cr_assert_eq(window_sum(&window, WINDOW, 30 * CLOCK_SECOND), 8);
    cr_assert_eq(window_sum(&window, WINDOW, 600 * CLOCK_SECOND), 5);
    window_resize(&window, 2 * WINDOW, 600 * CLOCK_SECOND);
    cr_assert_eq(window_sum(&window, 2 * WINDOW, 600 * CLOCK_SECOND), 8);
}

Test(window, what_lies_in_the_future_is_moved_back)
{
    struct window window = {0};
    window_add(&window, WINDOW, 5000 * CLOCK_SECOND, 3);
    window_until(&window, 1000 * CLOCK_SECOND);
    cr_assert_eq(window_sum(&window, WINDOW, 1000 * CLOCK_SECOND), 3);
    cr_assert_eq(window_sum(&window, WINDOW, 1000 * CLOCK_SECOND + WINDOW * CLOCK_SECOND + SPAN), 0);
    window.epoch = INT64_MAX;
    window_until(&window, 1000 * CLOCK_SECOND);
    window_add(&window, WINDOW, 1000 * CLOCK_SECOND, 1);
    window.epoch = INT64_MIN;
    window_until(&window, 1000 * CLOCK_SECOND);
    cr_assert_eq(window_sum(&window, WINDOW, 1000 * CLOCK_SECOND), 0);
}
