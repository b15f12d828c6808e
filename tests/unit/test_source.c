/*
 * The source table: what a row remembers, against a model that is too simple to be wrong, and under a flood of a
 * million addresses; and what event_fitting_reason makes of each reason.
 */
#include <criterion/criterion.h>
#include <malloc.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "ledger/event_apply.h"
#include "ledger_fixture.h"

static struct fixture *f;

static void open_ledger(uint32_t rows)
{
    f = fixture_new(2);
    f->conf->edge.sources_max = rows;
    ledger_bind(f->ledger, f->conf, f->wall, f->run);
}

static void close_ledger(void)
{
    fixture_free(f);
}

static struct address address_of(uint32_t number)
{
    return (struct address){ADDRESS_IPV4, {11, (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number}};
}

static struct observation event_from(enum event event, uint32_t number, enum reason reason, uint32_t count)
{
    struct observation observation = {
        .kind = OBSERVATION_EVENT, .partner = OBSERVATION_NO_PARTNER, .wall = f->wall, .run = f->run};
    observation.event =
        (struct observation_event){.event = event, .reason = reason, .count = count, .address = address_of(number)};
    return observation;
}

static void apply_from(enum event event, uint32_t number, enum reason reason, uint32_t count)
{
    struct observation observation = event_from(event, number, reason, count);
    ledger_apply(f->ledger, &observation);
}

static const struct ledger_source *row(enum event event, uint32_t number)
{
    struct address address = address_of(number);
    return source_find(f->ledger, event, &address, "");
}

static void try_user(uint32_t number, const char *user)
{
    struct observation observation = event_from(EVENT_AUTH_SOURCE, number, REASON_AUTH_BAD_CREDENTIALS, 1);
    text_copy(observation.event.user, sizeof observation.event.user, user);
    ledger_apply(f->ledger, &observation);
}

Test(source, remembers_the_last_users_once_each)
{
    open_ledger(16);
    try_user(1, "a");
    try_user(1, "b");
    try_user(1, "a");
    const struct ledger_source *source = row(EVENT_AUTH_SOURCE, 1);
    cr_assert_eq(source->user_count, 2);
    cr_assert_str_eq(source->users[0], "a");
    cr_assert_str_eq(source->users[1], "b");
    cr_assert_not(source->users_more);
    cr_assert_str_eq(source->cell.last.detail, "users a, b");
    for (char user[] = "c"; user[0] <= 'h'; user[0]++)
        try_user(1, user);
    cr_assert_eq(source->user_count, SOURCE_USERS);
    cr_assert_str_eq(source->users[0], "h");
    cr_assert_str_eq(source->users[SOURCE_USERS - 1], "c");
    cr_assert(source->users_more);
    cr_assert_str_eq(source->cell.last.detail, "users h, g, f, e, d, c and others");
    cr_assert_eq(source->cell.count, 9);
    close_ledger();
}

Test(source, counts_each_failure_code)
{
    open_ledger(16);
    struct observation observation = event_from(EVENT_INVALID_CERT, 1, REASON_TLS_EXPIRED, 3);
    text_copy(observation.event.serial, sizeof observation.event.serial, "0a1b");
    text_copy(observation.event.subject, sizeof observation.event.subject, "CN=sip.contoso.example");
    ledger_apply(f->ledger, &observation);
    for (int i = 0; i < SOURCE_REASONS + 3; i++)
        apply_from(EVENT_INVALID_CERT, 1, REASON_TLS_UNTRUSTED_ROOT + i, 1);
    const struct ledger_source *source = row(EVENT_INVALID_CERT, 1);
    cr_assert_eq(source->reason_count, SOURCE_REASONS);
    cr_assert_eq(source->reasons[0].reason, REASON_TLS_EXPIRED);
    cr_assert_eq(source->reasons[0].count, 4);
    uint64_t sum = source->reasons_other;
    for (size_t i = 0; i < source->reason_count; i++)
        sum += source->reasons[i].count;
    cr_assert_eq(sum, source->cell.count);
    cr_assert_str_eq(source->serial, "0a1b");
    cr_assert_str_eq(source->subject, "CN=sip.contoso.example");
    cr_assert_eq(source->index, 1);
    cr_assert_eq(source_at(f->ledger, 1), source);
    cr_assert_null(source_at(f->ledger, 2));
    close_ledger();
}

Test(source, the_same_address_has_a_row_for_each_event)
{
    open_ledger(16);
    apply_from(EVENT_AUTH_SOURCE, 1, REASON_AUTH_BAD_CREDENTIALS, 2);
    apply_from(EVENT_INVALID_CERT, 1, REASON_TLS_EXPIRED, 3);
    cr_assert_eq(row(EVENT_AUTH_SOURCE, 1)->cell.count, 2);
    cr_assert_eq(row(EVENT_INVALID_CERT, 1)->cell.count, 3);
    cr_assert_eq(sources_counts(f->ledger).rows, 2);
    close_ledger();
}

Test(source, what_is_out_of_range_is_counted_as_what_it_can_be)
{
    open_ledger(16);
    struct observation observation = event_from(200, 1, 12345, 0);
    observation.partner = 77;
    observation.event.address.family = 9;
    ledger_apply(f->ledger, &observation);
    cr_assert_eq(f->ledger->events[EVENT_CONNECTION].count, 1);
    cr_assert_eq(f->ledger->events[EVENT_CONNECTION].last.reason, REASON_UNCLASSIFIED);
    cr_assert_eq(f->ledger->edge_failures, 1);
    cr_assert_eq(sources_counts(f->ledger).rows, 1);
    close_ledger();
}

Test(source, a_smaller_table_lets_the_oldest_go_and_keeps_alarms)
{
    open_ledger(64);
    apply_from(EVENT_AUTH_SOURCE, 1, REASON_AUTH_BAD_CREDENTIALS, 20);
    for (uint32_t i = 2; i <= 40; i++)
        apply_from(EVENT_AUTH_SOURCE, i, REASON_AUTH_BAD_CREDENTIALS, 1);
    struct conf *conf = fixture_conf(2);
    conf->edge.sources_max = 16;
    fixture_bind(f, conf);
    struct source_counts counts = sources_counts(f->ledger);
    cr_assert_eq(counts.rows, 16);
    cr_assert_eq(counts.evicted, 24);
    cr_assert_not_null(row(EVENT_AUTH_SOURCE, 1)->cell.alarm);
    cr_assert_null(row(EVENT_AUTH_SOURCE, 25));
    cr_assert_not_null(row(EVENT_AUTH_SOURCE, 26));
    cr_assert_eq(sources_rows(f->ledger)->count, 16);
    close_ledger();
}

/* ---- a model ---- */

#define MODEL_ROWS      16
#define MODEL_ADDRESSES 40
#define MODEL_THRESHOLD 3
#define MODEL_WINDOW    290 /* seconds: spans of ten */

struct model_row {
    bool there, raised;
    uint64_t used, count;
    uint32_t index;
    size_t times;
    int64_t time[512];
    int64_t quiet_since;
};

static struct model_row model[MODEL_ADDRESSES];
static uint64_t model_clock, model_evicted, model_refused;
static uint32_t model_index;

static uint32_t model_sum(const struct model_row *at, int64_t run)
{
    int64_t span = MODEL_WINDOW / (WINDOW_BUCKETS - 1) * CLOCK_SECOND;
    uint32_t sum = 0;
    for (size_t i = 0; i < at->times; i++)
        sum += run / span - at->time[i] / span < WINDOW_BUCKETS;
    return sum;
}

static bool model_room(void)
{
    size_t rows = 0;
    struct model_row *oldest = NULL;
    for (size_t i = 0; i < MODEL_ADDRESSES; i++) {
        rows += model[i].there;
        if (model[i].there && !model[i].raised && (!oldest || model[i].used < oldest->used))
            oldest = &model[i];
    }
    if (rows < MODEL_ROWS)
        return true;
    if (!oldest)
        return false;
    oldest->there = false;
    model_evicted++;
    return true;
}

static void model_apply(size_t address, int64_t run)
{
    struct model_row *at = &model[address];
    if (!at->there) {
        if (!model_room()) {
            model_refused++;
            return;
        }
        *at = (struct model_row){.there = true, .index = ++model_index};
    }
    at->used = ++model_clock;
    at->count++;
    at->time[at->times++ % 512] = run;
    if (model_sum(at, run) >= MODEL_THRESHOLD)
        at->raised = true;
}

/* In the order of the alarms' raising, which is that of their clearing here: by use. */
static void model_tick(int64_t run)
{
    for (size_t i = 0; i < MODEL_ADDRESSES; i++) {
        struct model_row *at = &model[i];
        if (!at->raised)
            continue;
        if (2 * model_sum(at, run) >= MODEL_THRESHOLD) {
            at->quiet_since = 0;
            continue;
        }
        if (!at->quiet_since)
            at->quiet_since = run;
        if (run - at->quiet_since >= MODEL_WINDOW * CLOCK_SECOND) {
            at->raised = false;
            at->quiet_since = 0;
        }
    }
}

static void model_compare(void)
{
    size_t rows = 0, raised = 0;
    for (uint32_t i = 0; i < MODEL_ADDRESSES; i++) {
        const struct ledger_source *found = row(EVENT_AUTH_SOURCE, i);
        cr_assert_eq(found != NULL, model[i].there, "row of %u", i);
        if (!found)
            continue;
        rows++;
        raised += model[i].raised;
        cr_assert_eq(found->cell.count, model[i].count);
        cr_assert_eq(found->index, model[i].index);
        cr_assert_eq(found->cell.alarm != NULL, model[i].raised, "alarm of %u", i);
        cr_assert_eq(ledger_window(f->ledger, &found->cell, NULL, f->run), model_sum(&model[i], f->run));
        cr_assert_eq(source_at(f->ledger, found->index), found);
    }
    struct source_counts counts = sources_counts(f->ledger);
    cr_assert_eq(counts.rows, rows);
    cr_assert_eq(counts.evicted, model_evicted);
    cr_assert_eq(counts.refused, model_refused);
    cr_assert_eq(sources_rows(f->ledger)->count, rows);
    size_t told = 0;
    for (size_t i = 0; i < f->ledger->alarms.count; i++)
        told += ((struct ledger_alarm *)f->ledger->alarms.entries[i].cell)->event == EVENT_AUTH_SOURCE;
    cr_assert_eq(told, raised);
}

Test(source, agrees_with_a_model)
{
    uint32_t random = 20261122;
    f = fixture_new(0);
    f->conf->edge.sources_max = MODEL_ROWS;
    f->conf->thresholds[EVENT_AUTH_SOURCE] = (struct conf_threshold){MODEL_THRESHOLD, MODEL_WINDOW, 0};
    ledger_bind(f->ledger, f->conf, f->wall, f->run);
    uint32_t width = MODEL_ADDRESSES;
    for (int step = 0; step < 6000; step++) {
        random = random * 1664525 + 1013904223;
        if (step % 100 == 0)
            width = step % 300 == 0 ? 18 : MODEL_ADDRESSES; /* few addresses: more alarms than there are rows */
        uint32_t address = (uint32_t)(((uint64_t)(random >> 8) * width) >> 24);
        apply_from(EVENT_AUTH_SOURCE, address, REASON_AUTH_BAD_CREDENTIALS, 1);
        model_apply(address, f->run);
        model_compare();
        for (uint32_t seconds = step % 500 == 499 ? 700 : random % 8 == 0; seconds; seconds--) {
            size_t before = f->ledger->alarms.count;
            fixture_advance(f, 1);
            model_tick(f->run);
            /* Of alarms that end in one tick the ledger's last one is the one used last. */
            if (before != f->ledger->alarms.count)
                for (size_t i = 0; i < FIXTURE_TRANSITIONS && i < f->count; i++)
                    if (f->transitions[i].kind == TRANSITION_CLEARED && f->transitions[i].alarm.source)
                        model[f->transitions[i].alarm.address.octets[3]].used = ++model_clock;
            f->count = 0;
        }
    }
    cr_assert_gt(model_evicted, 100);
    cr_assert_gt(model_refused, 10);
    close_ledger();
}

Test(source, a_million_spoofed_addresses)
{
    const uint32_t million = 1000000;
    open_ledger(4096);
    apply_from(EVENT_AUTH_SOURCE, 0xffffff, REASON_AUTH_BAD_CREDENTIALS, 20);
    uint32_t alarm = row(EVENT_AUTH_SOURCE, 0xffffff)->cell.alarm->id;
    for (uint32_t i = 0; i < 4096; i++)
        apply_from(EVENT_AUTH_SOURCE, i, REASON_AUTH_UNKNOWN_USER, 1);
    /* the index of the MIB takes its room when it is first asked for */
    cr_assert_eq(sources_rows(f->ledger)->count, 4096);
    struct mallinfo2 before = mallinfo2();
    clock_t started = clock();
    for (uint32_t i = 0; i < million; i++) {
        f->run += 10;
        f->wall += 10;
        apply_from(EVENT_AUTH_SOURCE, i * 2654435761u >> 8 & 0xfffffe, REASON_AUTH_UNKNOWN_USER, 1);
        if (i % 100000 == 0)
            cr_assert_eq(sources_rows(f->ledger)->count, 4096);
    }
    double seconds = (double)(clock() - started) / CLOCKS_PER_SEC;
    struct mallinfo2 after = mallinfo2();
    struct source_counts counts = sources_counts(f->ledger);
    cr_assert_eq(counts.rows, 4096);
    cr_assert_eq(counts.refused, 0);
    cr_assert_eq(f->ledger->events[EVENT_AUTH_SOURCE].count, 20 + 4096 + million);
    cr_assert_eq(row(EVENT_AUTH_SOURCE, 0xffffff)->cell.alarm->id, alarm);
    cr_assert_eq(f->ledger->alarms.count, 1);
    /* under a sanitizer malloc cannot be asked: both are 0 */
    cr_assert_leq(after.uordblks, before.uordblks + 65536);
    cr_assert_lt(seconds, 60); /* generous: a table of O(n) would take hours */
    cr_log_info("a million addresses in %.2f s", seconds);
    close_ledger();
}

Test(source, monitor_has_a_full_table_as_long_as_one_is)
{
    open_ledger(16);
    size_t before = f->count;
    ledger_full(f->ledger, LEDGER_FULL_QUEUE, true, "queue", f->wall, f->run);
    ledger_full(f->ledger, LEDGER_FULL_SOURCES, true, "sources", f->wall, f->run);
    cr_assert_eq(f->count, before + 1);
    cr_assert_eq(f->transitions[before].kind, TRANSITION_RAISED);
    ledger_full(f->ledger, LEDGER_FULL_SOURCES, false, "", f->wall, f->run);
    ledger_full(f->ledger, LEDGER_FULL_SOURCES, false, "", f->wall, f->run);
    cr_assert_eq(f->count, before + 1, "the queue is full still");
    ledger_full(f->ledger, LEDGER_FULL_QUEUE, false, "", f->wall, f->run);
    cr_assert_eq(f->count, before + 2);
    cr_assert_eq(f->transitions[before + 1].kind, TRANSITION_CLEARED);
    close_ledger();
}

Test(source, indexes_rise)
{
    open_ledger(16);
    for (uint32_t i = 0; i < 100; i++)
        apply_from(EVENT_AUTH_SOURCE, i, REASON_AUTH_UNKNOWN_USER, 1);
    const struct index *rows = sources_rows(f->ledger);
    cr_assert_eq(rows->count, 16);
    for (size_t i = 0; i < rows->count; i++)
        cr_assert_eq(rows->entries[i].key[0], 85 + i);
    close_ledger();
}

/* ---- reasons ---- */

Test(source, reasons_fit_the_event_that_it_is)
{
    static const struct {
        enum event event;
        bool foreign;
        enum reason given, fitting;
    } cases[] = {
        {EVENT_AUTH_SOURCE, false, REASON_DOM_USER_UNKNOWN, REASON_AUTH_UNKNOWN_USER},
        {EVENT_AUTH_SOURCE, true, REASON_DOM_RECIPIENT_NOT_LOCAL, REASON_AUTH_NOT_PERMITTED},
        {EVENT_AUTH_SOURCE, false, REASON_DOM_SENDER_NOT_ALLOWED, REASON_AUTH_NOT_PERMITTED},
        {EVENT_AUTH_SOURCE, false, REASON_AUTH_BAD_CREDENTIALS, REASON_AUTH_BAD_CREDENTIALS},
        {EVENT_DOMAIN_PARTNER, false, REASON_AUTH_UNKNOWN_USER, REASON_DOM_USER_UNKNOWN},
        {EVENT_DOMAIN_PARTNER, false, REASON_AUTH_NOT_PERMITTED, REASON_DOM_SENDER_NOT_ALLOWED},
        {EVENT_DOMAIN_PARTNER, true, REASON_AUTH_NOT_PERMITTED, REASON_DOM_RECIPIENT_NOT_LOCAL},
        {EVENT_DOMAIN_PARTNER, true, REASON_DOM_OUTBOUND_UNSUPPORTED, REASON_DOM_RECIPIENT_NOT_LOCAL},
        {EVENT_DOMAIN_PARTNER, false, REASON_AUTH_REPLAY, REASON_AUTH_REPLAY},
        {EVENT_DOMAIN_LOCAL, true, REASON_AUTH_NOT_PERMITTED, REASON_DOM_OUTBOUND_UNSUPPORTED},
        {EVENT_DOMAIN_LOCAL, false, REASON_AUTH_SOURCE_NOT_ALLOWED, REASON_DOM_OUTBOUND_WRONG_ROUTE},
        {EVENT_DOMAIN_LOCAL, true, REASON_DOM_RECIPIENT_NOT_LOCAL, REASON_DOM_OUTBOUND_UNSUPPORTED},
        {EVENT_DOMAIN_LOCAL, false, REASON_DOM_BLOCKED_PARTNER, REASON_AUTH_NOT_PERMITTED},
        {EVENT_INVALID_CERT, false, REASON_TLS_EXPIRED, REASON_TLS_EXPIRED},
        {EVENT_DNS, false, REASON_DOM_USER_UNKNOWN, REASON_DOM_USER_UNKNOWN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        cr_assert_eq(event_fitting_reason(cases[i].event, cases[i].given, cases[i].foreign), cases[i].fitting,
                     "case %zu", i);
}

Test(source, every_reason_of_events_2_to_4_belongs_to_the_event_it_is_counted_as)
{
    for (size_t i = 0; i < reason_count(); i++) {
        enum reason given = reason_at(i)->reason;
        if (given / 100 != 5)
            continue;
        enum reason unknown = event_fitting_reason(EVENT_AUTH_SOURCE, given, true);
        cr_assert(unknown / 100 == 4 || unknown == REASON_DOM_IDENTITY_MISMATCH, "%s", reason_name(given));
        enum reason own = event_fitting_reason(EVENT_DOMAIN_LOCAL, given, true);
        cr_assert_neq(own, REASON_DOM_RECIPIENT_NOT_LOCAL);
        enum reason partner = event_fitting_reason(EVENT_DOMAIN_PARTNER, given, true);
        cr_assert_neq(reason_info(partner)->event, EVENT_DOMAIN_LOCAL);
    }
}
