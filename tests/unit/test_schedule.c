#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/schedule.h"

Test(schedule, earliest_first)
{
    struct schedule *schedule = schedule_new(4);
    size_t item;
    int64_t due;
    cr_assert_eq(schedule_next(schedule), INT64_MAX);
    cr_assert_not(schedule_take(schedule, INT64_MAX, &item, &due));
    schedule_set(schedule, 0, 30);
    schedule_set(schedule, 1, 10);
    schedule_set(schedule, 2, 20);
    schedule_set(schedule, 1, 40);
    cr_assert_eq(schedule_next(schedule), 20);
    cr_assert_not(schedule_take(schedule, 19, &item, &due));
    cr_assert(schedule_take(schedule, 25, &item, &due));
    cr_assert_eq(item, 2);
    cr_assert_eq(due, 20);
    schedule_remove(schedule, 0);
    schedule_remove(schedule, 3);
    cr_assert_eq(schedule_next(schedule), 40);
    schedule_free(schedule);
    schedule_free(NULL);
}

/* Random operations against a plain search of the smallest. */
Test(schedule, model)
{
    enum { ITEMS = 200, STEPS = 20000 };
    static int64_t model[ITEMS]; /* 0: not due */
    struct schedule *schedule = schedule_new(ITEMS);
    srand(11);
    for (int step = 0; step < STEPS; step++) {
        size_t item = (size_t)(rand() % ITEMS);
        int64_t due;
        switch (rand() % 3) {
        case 0:
            model[item] = 1 + rand() % 1000000;
            schedule_set(schedule, item, model[item]);
            break;
        case 1:
            model[item] = 0;
            schedule_remove(schedule, item);
            break;
        default: {
            int64_t smallest = INT64_MAX;
            for (size_t i = 0; i < ITEMS; i++)
                if (model[i] && model[i] < smallest)
                    smallest = model[i];
            cr_assert_eq(schedule_next(schedule), smallest);
            if (schedule_take(schedule, 500000, &item, &due)) {
                cr_assert_eq(model[item], smallest);
                cr_assert_eq(due, smallest);
                model[item] = 0;
            } else {
                cr_assert_gt(smallest, 500000);
            }
        }
        }
    }
    schedule_free(schedule);
}

Test(schedule, phases_spread_evenly_and_stay)
{
    enum { SLOTS = 10, NAMES = 10000 };
    int slots[SLOTS] = {0};
    char name[32];
    for (int i = 0; i < NAMES; i++) {
        snprintf(name, sizeof name, "partner-%d", i);
        int64_t phase = schedule_phase(name, 300000000);
        cr_assert(phase >= 0 && phase < 300000000);
        slots[phase / 30000000]++;
    }
    for (int i = 0; i < SLOTS; i++)
        cr_expect(slots[i] > NAMES / SLOTS * 85 / 100 && slots[i] < NAMES / SLOTS * 115 / 100, "slot %d: %d", i,
                  slots[i]);
    cr_assert_eq(schedule_phase("contoso", 1000000), schedule_phase("contoso", 1000000));
    cr_assert_eq(schedule_phase("contoso", 0), 0);
}

Test(schedule, jitter_stays_within_its_percentage)
{
    cr_assert_eq(schedule_jitter(1000000, 0, 12345), 1000000);
    cr_assert_eq(schedule_jitter(1000000, 2, 0), 980000);
    cr_assert_eq(schedule_jitter(1000000, 2, UINT32_MAX), 1020000);
    cr_assert_eq(schedule_jitter(1000000, 2, UINT32_MAX / 2), 1000000);
}
