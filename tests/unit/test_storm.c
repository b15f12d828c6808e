/* Storms: the counts of the walks that are looked at against a plain recount; many partners; a reload in the middle. */
#include <criterion/criterion.h>
#include <time.h>

#include "ledger/storm.h"
#include "ledger_fixture.h"

static uint32_t random_state = 7;

static uint32_t random_below(uint32_t bound)
{
    random_state = random_state * 1664525 + 1013904223;
    return (uint32_t)(((uint64_t)random_state * bound) >> 32);
}

/* The queue is in the order of the walks, holds the last minute or the last ten, and its counts are those of its rows.
 */
static void recount(const struct fixture *f)
{
    const struct ledger_storm *storm = &f->ledger->storm;
    uint32_t walked = 0, failed[STORM_KINDS] = {0}, fresh[STORM_KINDS] = {0}, recent = 0;
    int64_t newer = INT64_MAX;
    for (const struct ledger_partner *at = storm->newest; at; at = at->storm_older) {
        cr_assert(at->storm_listed && at->walk_run <= newer);
        newer = at->walk_run;
        walked++;
        failed[at->storm_kind]++;
        fresh[at->storm_kind] += at->storm_fresh;
    }
    for (size_t i = 0; i < f->ledger->partners.count; i++) {
        const struct ledger_partner *at = f->ledger->partners.entries[i].cell;
        recent += at->walk_run != 0 && f->run - at->walk_run <= STORM_WINDOW;
        if (at->walk_run != 0 && f->run - at->walk_run <= STORM_WINDOW)
            cr_assert(at->storm_listed);
    }
    cr_assert_eq(storm->walked, walked);
    cr_assert(walked == recent || (walked > recent && walked <= STORM_LEAST), "%u of %u", walked, recent);
    cr_assert_arr_eq(storm->failed, failed, sizeof failed);
    cr_assert_arr_eq(storm->fresh, fresh, sizeof fresh);
}

Test(storm, counts_what_it_looks_at)
{
    static const enum reason reasons[] = {REASON_NONE, REASON_TCP_TIMEOUT, REASON_TLS_EXPIRED, REASON_NET_UNREACHABLE};
    struct fixture *f = fixture_new(30);
    uint32_t health = 0, storms = 0;
    for (int i = 0; i < 3000; i++) {
        if (i % 100 == 0)
            health = random_below(101);
        bool before = f->ledger->storm.reason != REASON_NONE;
        uint32_t p = random_below(30);
        fixture_walk(f, p, random_below(100) < health ? REASON_NONE : reasons[random_below(4)]);
        storms += !before && f->ledger->storm.reason != REASON_NONE;
        recount(f);
        fixture_advance(f, random_below(50) == 0 ? random_below(600) : random_below(6));
        f->count = 0;
    }
    cr_assert_gt(storms, 5);
    fixture_free(f);
}

Test(storm, of_many_partners_is_one_alarm)
{
    const uint32_t partners = 4000;
    struct fixture *f = fixture_new(partners);
    for (uint32_t i = 0; i < partners; i++)
        fixture_walk(f, i, REASON_NONE);
    fixture_advance(f, 30);
    clock_t started = clock();
    for (int round = 0; round < 4; round++) {
        for (uint32_t i = 0; i < partners; i++)
            fixture_walk(f, i, REASON_HOST_UNREACHABLE);
        fixture_advance(f, 60);
    }
    cr_assert_lt((double)(clock() - started) / CLOCKS_PER_SEC, 20);
    cr_assert_eq(f->count, 1);
    cr_assert_eq(f->transitions[0].alarm.reason, REASON_MON_NETWORK_DOWN);
    cr_assert_eq(f->ledger->alarms.count, 1);
    cr_assert_eq(f->ledger->events[EVENT_CONNECTION].count, 4 * partners);
    /* 1,199 walks before it began changed their partner; nothing that follows did. */
    cr_assert_eq(f->ledger->storm.held, 4 * partners - 1199);
    uint32_t ok = 0;
    for (uint32_t i = 0; i < partners; i++)
        ok += f->ledger->bound[i]->health == HEALTH_OK;
    cr_assert_eq(ok, partners - 1199);

    for (uint32_t i = 0; i < partners; i++)
        fixture_walk(f, i, REASON_NONE);
    cr_assert_eq(f->ledger->alarms.count, 0);
    cr_assert_eq(f->count, 2);
    fixture_free(f);
}

Test(storm, a_reload_keeps_it_and_looks_anew)
{
    struct fixture *f = fixture_new(12);
    for (uint32_t i = 0; i < 12; i++)
        fixture_walk(f, i, REASON_TCP_TIMEOUT);
    cr_assert_eq(f->ledger->storm.reason, REASON_MON_NETWORK_DOWN);
    fixture_bind(f, fixture_conf(4));
    cr_assert_eq(f->ledger->storm.reason, REASON_MON_NETWORK_DOWN);
    cr_assert_eq(f->ledger->storm.walked, 0);
    cr_assert_null(f->ledger->storm.newest);
    fixture_walk(f, 0, REASON_NONE);
    fixture_walk(f, 1, REASON_NONE);
    cr_assert_eq(f->ledger->storm.reason, REASON_MON_NETWORK_DOWN);
    fixture_walk(f, 2, REASON_NONE);
    cr_assert_eq(f->ledger->storm.reason, REASON_NONE);
    cr_assert_eq(f->ledger->alarms.count, 0);
    fixture_free(f);
}

Test(storm, a_partner_with_an_endpoint_that_works_is_none)
{
    struct fixture *f = fixture_new(12);
    for (int round = 0; round < 2; round++)
        for (uint32_t i = 0; i < 12; i++) {
            fixture_endpoint(f, i, 1, REASON_HOST_UNREACHABLE);
            fixture_endpoint(f, i, 2, REASON_NONE);
            struct observation observation = {.kind = OBSERVATION_WALK, .partner = i, .wall = f->wall, .run = f->run};
            observation.walk =
                (struct observation_walk){.reason = REASON_HOST_UNREACHABLE, .endpoints = 2, .endpoints_ok = 1};
            ledger_apply(f->ledger, &observation);
        }
    cr_assert_eq(f->ledger->storm.reason, REASON_NONE);
    cr_assert_eq(f->ledger->storm.held, 0);
    fixture_free(f);
}
