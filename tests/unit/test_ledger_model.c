/*
 * The ledger against a model that is too simple to be wrong: a list of the times of all failures, of walks and of what
 * the edge saw, per partner and event, and the rules of raising and clearing in a few lines. And the cost of a whole
 * round of 20,000 partners.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <time.h>

#include "ledger_fixture.h"

#define PARTNERS  5
#define ENDPOINTS 3
#define TIMES     4096

static uint32_t random_state;

static uint32_t random_below(uint32_t bound)
{
    random_state = random_state * 1664525 + 1013904223;
    return (uint32_t)(((uint64_t)random_state * bound) >> 32);
}

struct model {
    size_t count;
    int64_t times[TIMES];
    bool raised, failing;
    uint32_t good_walks;
    int64_t quiet_since;
    int64_t edge_run; /* when the edge last told of it; 0 never */
};

static struct model models[PARTNERS][EVENT_COUNT];
static size_t transitions_expected;

/* Those of the last `seconds`, with the whole of the span in which that began (window.h). */
static uint32_t model_sum(const struct model *model, uint32_t seconds, int64_t run)
{
    int64_t length = (seconds * CLOCK_SECOND + WINDOW_BUCKETS - 2) / (WINDOW_BUCKETS - 1);
    int64_t oldest = (run / length - (WINDOW_BUCKETS - 1)) * length;
    uint32_t sum = 0;
    for (size_t i = 0; i < model->count; i++)
        sum += model->times[i] >= oldest;
    return sum;
}

/* Between the exact sum of the window and that of a window that is one span longer. */
static void model_bounds(const struct model *model, uint32_t seconds, int64_t run, uint32_t sum)
{
    uint32_t least = 0, most = 0;
    for (size_t i = 0; i < model->count; i++) {
        int64_t age = run - model->times[i];
        least += age <= seconds * CLOCK_SECOND;
        most += age <= seconds * CLOCK_SECOND * WINDOW_BUCKETS / (WINDOW_BUCKETS - 1) + WINDOW_BUCKETS;
    }
    cr_assert(least <= sum && sum <= most, "%u is not within %u to %u", sum, least, most);
}

static void model_walked(struct model *model, const struct conf_threshold *threshold, int failed, int passed,
                         int64_t run)
{
    if (!failed && !passed)
        return;
    model->failing = failed > 0;
    model->good_walks = failed ? 0 : model->good_walks + 1;
    bool before = model->raised;
    if (failed && model_sum(model, threshold->window, run) >= threshold->count)
        model->raised = true;
    bool edge_quiet = !model->edge_run || run - model->edge_run >= threshold->window * CLOCK_SECOND;
    if (!failed && threshold->clear && model->good_walks >= threshold->clear && edge_quiet)
        model->raised = false;
    if (model->raised != before)
        model->quiet_since = 0;
    transitions_expected += model->raised != before;
}

static void model_tick(struct model *model, const struct conf_threshold *threshold, int64_t run)
{
    if (!model->raised)
        return;
    bool quiet = !model->failing && 2 * model_sum(model, threshold->window, run) < threshold->count;
    if (!quiet)
        model->quiet_since = 0;
    else if (!model->quiet_since)
        model->quiet_since = run;
    if (quiet && run - model->quiet_since >= threshold->window * CLOCK_SECOND) {
        model->raised = false;
        model->quiet_since = 0;
        transitions_expected++;
    }
}

static void compare(struct fixture *f)
{
    uint64_t totals[EVENT_COUNT] = {0};
    uint32_t sums[EVENT_COUNT] = {0};
    size_t raised = 0;
    for (int p = 0; p < PARTNERS; p++)
        for (int event = 1; event < EVENT_COUNT; event++) {
            struct model *model = &models[p][event];
            const struct ledger_cell *cell = fixture_cell(f, (uint32_t)p, event);
            totals[event] += model->count;
            raised += model->raised;
            if (!cell) {
                cr_assert_eq(model->count, 0);
                continue;
            }
            uint32_t seconds = f->conf->partners[p].thresholds[event].window;
            uint32_t sum = ledger_window(f->ledger, cell, f->ledger->bound[p], f->run);
            cr_assert_eq(cell->count, model->count);
            cr_assert_eq(sum, model_sum(model, seconds, f->run));
            model_bounds(model, seconds, f->run, sum);
            cr_assert_eq(cell->alarm != NULL, model->raised, "%s of p%d", event_name(event), p);
            sums[event] += model_sum(model, f->conf->thresholds[event].window, f->run);
        }
    for (int event = 1; event < EVENT_COUNT; event++) {
        const struct ledger_cell *total = &f->ledger->events[event];
        cr_assert_eq(total->count, totals[event]);
        cr_assert_eq(ledger_window(f->ledger, total, NULL, f->run), sums[event]);
    }
    cr_assert_eq(f->ledger->alarms.count, raised);
}

static const enum reason outcomes[] = {REASON_NONE,
                                       REASON_NONE,
                                       REASON_NONE,
                                       REASON_TCP_REFUSED,
                                       REASON_TLS_EXPIRED,
                                       REASON_TLS_OTHER,
                                       REASON_TLS_EXPIRING_SOON,
                                       REASON_TLS_PIN_MISMATCH};

/* One walk of one partner, told to both. `health`: of 100 results so many are fine whatever is drawn. */
static void random_walk(struct fixture *f, uint32_t p, uint32_t health)
{
    int failed[EVENT_COUNT] = {0}, passed[EVENT_COUNT] = {0};
    enum reason verdict = REASON_NONE;
    bool dns = random_below(100) >= health && random_below(3) == 0;
    uint32_t endpoints = dns ? 0 : 1 + random_below(ENDPOINTS);
    fixture_lookup(f, p, dns ? REASON_DNS_NX_DOMAIN : REASON_NONE);
    *(dns ? &failed[EVENT_DNS] : &passed[EVENT_DNS]) += 1;
    if (dns)
        models[p][EVENT_DNS].times[models[p][EVENT_DNS].count++] = f->run;
    for (uint32_t i = 0; i < endpoints; i++) {
        enum reason reason =
            random_below(100) < health ? REASON_NONE : outcomes[random_below(sizeof outcomes / sizeof outcomes[0])];
        fixture_endpoint(f, p, (uint8_t)(i + 1), reason);
        enum event event = reason == REASON_NONE ? EVENT_NONE : reason_info(reason)->event;
        if (event != EVENT_NONE) {
            failed[event]++;
            models[p][event].times[models[p][event].count++] = f->run;
        }
        bool past_connection = event != EVENT_CONNECTION, past_tls = past_connection && event != EVENT_TLS_OUTGOING;
        passed[EVENT_CONNECTION] += past_connection;
        passed[EVENT_TLS_OUTGOING] += past_tls;
        passed[EVENT_CERT_EXPIRY] += event == EVENT_NONE;
        passed[EVENT_CONFIG_DRIFT] += event == EVENT_NONE;
        verdict = verdict == REASON_NONE ? reason : verdict;
    }
    fixture_walked(f, p, dns ? REASON_DNS_NX_DOMAIN : verdict, endpoints);
    for (int event = 1; event < EVENT_COUNT; event++)
        model_walked(&models[p][event], &f->conf->partners[p].thresholds[event], failed[event], passed[event], f->run);
}

/* What the edge saw of one partner, told to both; one observation may stand for several failures. */
static void random_event(struct fixture *f, uint32_t p)
{
    static const enum reason reasons[] = {REASON_TLS_UNTRUSTED_ROOT, REASON_DOM_USER_UNKNOWN, REASON_TCP_REFUSED,
                                          REASON_DNS_NX_DOMAIN};
    enum reason reason = reasons[random_below(sizeof reasons / sizeof reasons[0])];
    struct observation observation = {.kind = OBSERVATION_EVENT, .partner = p, .wall = f->wall, .run = f->run};
    observation.event =
        (struct observation_event){.event = reason_info(reason)->event, .reason = reason, .count = 1 + random_below(3)};
    ledger_apply(f->ledger, &observation);

    struct model *model = &models[p][observation.event.event];
    const struct conf_threshold *threshold = &f->conf->partners[p].thresholds[observation.event.event];
    for (uint32_t i = 0; i < observation.event.count; i++)
        model->times[model->count++] = f->run;
    model->edge_run = f->run;
    if (!model->raised && model_sum(model, threshold->window, f->run) >= threshold->count) {
        model->raised = true;
        model->quiet_since = 0;
        transitions_expected++;
    }
}

static void pass_time(struct fixture *f, uint32_t seconds)
{
    while (seconds--) {
        fixture_advance(f, 1);
        for (int p = 0; p < PARTNERS; p++)
            for (int event = 1; event < EVENT_COUNT; event++)
                model_tick(&models[p][event], &f->conf->partners[p].thresholds[event], f->run);
    }
}

static size_t lifecycle_transitions(const struct fixture *f)
{
    size_t count = 0;
    for (size_t i = 0; i < f->count && i < FIXTURE_TRANSITIONS; i++) {
        cr_assert_eq(f->transitions[i].sequence, i + 1);
        count += f->transitions[i].kind != TRANSITION_CHANGED;
    }
    return count;
}

static void play(uint32_t seed)
{
    random_state = seed;
    transitions_expected = 0;
    for (int p = 0; p < PARTNERS; p++)
        for (int event = 1; event < EVENT_COUNT; event++)
            models[p][event] = (struct model){.count = 0};
    struct fixture *f = fixture_new(PARTNERS);
    f->conf->partners[1].thresholds[EVENT_CONNECTION] = (struct conf_threshold){5, 300, 0};
    f->conf->partners[2].thresholds[EVENT_TLS_OUTGOING] = (struct conf_threshold){8, 3600, 4};
    uint32_t health = 50;
    for (int i = 0; i < 3000; i++) {
        if (i % 100 == 0)
            health = random_below(101);
        random_walk(f, random_below(PARTNERS), health);
        if (random_below(4) == 0)
            random_event(f, random_below(PARTNERS));
        pass_time(f, random_below(40) == 0 ? random_below(2000) : random_below(20));
        compare(f);
        if (f->count >= FIXTURE_TRANSITIONS)
            break;
    }
    cr_assert_gt(transitions_expected, 50, "the walks of seed %u are too dull", seed);
    cr_assert_lt(f->count, FIXTURE_TRANSITIONS);
    cr_assert_eq(lifecycle_transitions(f), transitions_expected);
    fixture_free(f);
}

Test(ledger_model, agrees_on_counts_windows_and_alarms)
{
    for (uint32_t seed = 1; seed <= 4; seed++)
        play(seed * 2654435761u);
}

static double seconds_used(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

/* A round of all partners in the order of a schedule, which is no order: steps of a prime through the positions. */
static double round_of_walks(struct fixture *f, uint32_t partners, enum reason reason)
{
    double start = seconds_used();
    for (uint32_t i = 0; i < partners; i++) {
        uint32_t p = (uint32_t)((uint64_t)i * 7919 % partners);
        fixture_lookup(f, p, REASON_NONE);
        fixture_endpoint(f, p, 1, reason);
        fixture_endpoint(f, p, 2, REASON_NONE);
        fixture_walked(f, p, reason, 2);
    }
    return seconds_used() - start;
}

/* AddressSanitizer moves memory octet by octet: there it is a quarter of the partners. */
#ifdef __SANITIZE_ADDRESS__
#define MANY 5000
#else
#define MANY 20000
#endif

Test(ledger_model, a_round_of_many_partners)
{
    const uint32_t partners = MANY;
    struct fixture *f = fixture_new(partners);
    double first = round_of_walks(f, partners, REASON_NONE);
    cr_assert_eq(f->ledger->probes.count, 3 * partners);
    fixture_advance(f, 60);
    double healthy = round_of_walks(f, partners, REASON_NONE);
    for (int i = 0; i < 3; i++) {
        fixture_advance(f, 60);
        round_of_walks(f, partners, REASON_TCP_REFUSED);
    }
    cr_assert_eq(f->ledger->alarms.count, partners);
    double start = seconds_used();
    fixture_advance(f, 10);
    double tick = (seconds_used() - start) / 10;
    round_of_walks(f, partners, REASON_NONE);
    start = seconds_used();
    round_of_walks(f, partners, REASON_NONE);
    double clearing = seconds_used() - start;
    cr_assert_eq(f->ledger->alarms.count, 0);
    cr_assert_eq(f->count, 2 * partners);
    cr_assert_eq(f->ledger->events[EVENT_CONNECTION].count, 3 * partners);
    /* Generous even for a slow machine under sanitizers: a round that took O(n) a walk would take minutes. */
    cr_assert_lt(first, 60.0 * MANY / 20000);
    cr_assert_lt(healthy, 10.0 * MANY / 20000);
    cr_assert_lt(tick, 1.0 * MANY / 20000);
    cr_assert_lt(clearing, 30.0 * MANY / 20000);
    cr_log_info("first round %.2f s, next %.2f s, tick with all alarms %.3f s, clearing %.2f s", first, healthy, tick,
                clearing);
    fixture_free(f);
}
