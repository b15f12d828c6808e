#include <criterion/criterion.h>

#include "base/clock.h"
#include "collect/revocation.h"

#define MINUTE (60 * CLOCK_SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

Test(revocation, a_list_is_fetched_again_before_it_ends)
{
    const int64_t now = INT64_C(1700000000) * CLOCK_SECOND;
    static const struct {
        int64_t left, wait;
    } cases[] = {
        {10 * HOUR, 9 * HOUR}, {7 * DAY, DAY},        {2 * MINUTE, 108 * CLOCK_SECOND}, {MINUTE, MINUTE}, {0, MINUTE},
        {-5 * DAY, MINUTE},    {25 * HOUR, 81000 * CLOCK_SECOND},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        cr_expect_eq(revocation_wait(now, now + cases[i].left, 0), cases[i].wait, "case %zu", i);
    cr_expect_eq(revocation_wait(now, CLOCK_NEVER, 0), DAY);
    cr_expect_eq(revocation_wait(now, INT64_MAX, 0), DAY);
    cr_expect_eq(revocation_wait(now, -INT64_MAX / 2, 0), MINUTE);
}

Test(revocation, failures_are_tried_again_ever_later)
{
    static const int64_t minutes[] = {1, 2, 4, 8, 16, 32, 60, 60};
    for (unsigned i = 0; i < sizeof minutes / sizeof minutes[0]; i++)
        cr_expect_eq(revocation_wait(0, 1, i + 1), minutes[i] * MINUTE, "%u", i + 1);
    cr_expect_eq(revocation_wait(0, 1, UINT32_MAX), HOUR);
}

Test(revocation, a_profile_without_urls_is_ready)
{
    static const struct conf_trust conf = {.name = "none"};
    cr_assert_null(revocation_new(NULL, NULL, &conf, 1000, NULL, NULL, NULL));
    cr_assert(revocation_is_ready(NULL));
    revocation_free(NULL);
}
