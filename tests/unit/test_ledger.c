#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "ledger_fixture.h"

static struct fixture *f;

static void open_fixture(void)
{
    f = fixture_new(3);
}

static void close_fixture(void)
{
    fixture_free(f);
}

TestSuite(ledger, .init = open_fixture, .fini = close_fixture);

static struct ledger_partner *partner(uint32_t position)
{
    return f->ledger->bound[position];
}

static struct ledger_probe *row(uint32_t position, uint32_t index)
{
    return index_find(&f->ledger->probes, (uint32_t[]){partner(position)->index, index});
}

static void successes(uint32_t dns, uint32_t connection, uint32_t tls, uint32_t expiry, uint32_t drift)
{
    const uint32_t expected[EVENT_COUNT] = {[EVENT_DNS] = dns,
                                            [EVENT_CONNECTION] = connection,
                                            [EVENT_TLS_OUTGOING] = tls,
                                            [EVENT_CERT_EXPIRY] = expiry,
                                            [EVENT_CONFIG_DRIFT] = drift};
    for (int event = 1; event < EVENT_COUNT; event++) {
        const struct ledger_cell *cell = fixture_cell(f, 0, event);
        cr_assert_eq(cell ? cell->successes_in_walk : 0, expected[event], "%s", event_name(event));
    }
}

static void failures(enum event failed)
{
    for (int event = 1; event < EVENT_COUNT; event++) {
        const struct ledger_cell *cell = fixture_cell(f, 0, event);
        cr_assert_eq(cell ? cell->failures_in_walk : 0, event == (int)failed, "%s", event_name(event));
    }
}

/* A fresh ledger whose partner 0 has cells of all events that probes count. */
static void with_all_cells(void)
{
    struct conf *conf = fixture_conf(3);
    conf->partners[0].expiry_days = 30;
    conf->partners[0].expected_count = 1;
    conf->partners[0].expected[0] = "sip1.example.net:5061";
    fixture_bind(f, conf);
}

Test(ledger, what_a_result_proves)
{
    static const struct {
        enum probe_kind kind;
        enum reason reason;
        enum event failed;
        uint32_t passed[5]; /* dns, connection, tlsOutgoing, certExpiry, configDrift */
    } cases[] = {
        {PROBE_SERVICE, REASON_NONE, EVENT_NONE, {1, 0, 0, 0, 0}},
        {PROBE_ADDRESS, REASON_NONE, EVENT_NONE, {1, 0, 0, 0, 0}},
        {PROBE_SERVICE, REASON_DNS_NX_DOMAIN, EVENT_DNS, {0, 0, 0, 0, 0}},
        {PROBE_ADDRESS, REASON_DNS_TIMEOUT, EVENT_DNS, {0, 0, 0, 0, 0}},
        {PROBE_SERVICE, REASON_DNS_UNEXPECTED_ANSWER, EVENT_CONFIG_DRIFT, {1, 0, 0, 0, 0}},
        {PROBE_ENDPOINT, REASON_NONE, EVENT_NONE, {0, 1, 1, 1, 1}},
        {PROBE_ENDPOINT, REASON_TCP_REFUSED, EVENT_CONNECTION, {0, 0, 0, 0, 0}},
        {PROBE_ENDPOINT, REASON_APP_REJECTED, EVENT_CONNECTION, {0, 0, 0, 0, 0}},
        {PROBE_ENDPOINT, REASON_UNCLASSIFIED, EVENT_CONNECTION, {0, 0, 0, 0, 0}},
        {PROBE_ENDPOINT, REASON_TLS_EXPIRED, EVENT_TLS_OUTGOING, {0, 1, 0, 0, 0}},
        {PROBE_ENDPOINT, REASON_TLS_EXPIRING_SOON, EVENT_CERT_EXPIRY, {0, 1, 1, 0, 0}},
        {PROBE_ENDPOINT, REASON_TLS_PIN_MISMATCH, EVENT_CONFIG_DRIFT, {0, 1, 1, 0, 0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        with_all_cells();
        struct observation observation = fixture_probe(f, 0, cases[i].kind, 1, cases[i].reason);
        ledger_apply(f->ledger, &observation);
        const uint32_t *passed = cases[i].passed;
        successes(passed[0], passed[1], passed[2], passed[3], passed[4]);
        failures(cases[i].failed);
        fixture_walked(f, 0, cases[i].reason, 1);
    }
}

Test(ledger, event_of_a_probe_goes_before_that_of_its_reason)
{
    struct observation observation = fixture_probe(f, 0, PROBE_ENDPOINT, 1, REASON_LOCAL_RESOURCE);
    observation.probe.event = EVENT_TLS_OUTGOING;
    ledger_apply(f->ledger, &observation);
    failures(EVENT_TLS_OUTGOING);
}

Test(ledger, an_event_that_is_none_falls_back_on_the_reason)
{
    struct observation observation = fixture_probe(f, 0, PROBE_ENDPOINT, 1, REASON_TLS_EXPIRED);
    observation.probe.event = 77;
    ledger_apply(f->ledger, &observation);
    failures(EVENT_TLS_OUTGOING);
    observation.probe.reason = 12345;
    ledger_apply(f->ledger, &observation);
    cr_assert_eq(fixture_cell(f, 0, EVENT_CONNECTION)->last.reason, REASON_UNCLASSIFIED);
}

Test(ledger, a_failure_counts_once_in_each_place)
{
    fixture_walk(f, 1, REASON_TLS_EXPIRED);
    const struct ledger_cell *cell = fixture_cell(f, 1, EVENT_TLS_OUTGOING), *total;
    total = &f->ledger->events[EVENT_TLS_OUTGOING];
    cr_assert_eq(cell->count, 1);
    cr_assert_eq(total->count, 1);
    cr_assert_eq(ledger_window(f->ledger, cell, partner(1), f->run), 1);
    cr_assert_eq(ledger_window(f->ledger, total, NULL, f->run), 1);
    const struct ledger_reason *mine = index_find(&f->ledger->partner_reasons, (uint32_t[]){2, REASON_TLS_EXPIRED});
    const struct ledger_reason *all = index_find(&f->ledger->reasons, (uint32_t[]){REASON_TLS_EXPIRED});
    cr_assert_eq(mine->count, 1);
    cr_assert_eq(all->count, 1);
    cr_assert_eq(mine->first_wall, f->wall);
    cr_assert_eq(row(1, 2)->failures, 1);
    cr_assert_eq(total->last.partner, 2);
    cr_assert_eq(total->last.reason, REASON_TLS_EXPIRED);
    cr_assert_str_eq(total->last.target, "sip10.example.net");
    cr_assert_eq(f->ledger->observations, 3);
    cr_assert_eq(f->ledger->walks, 1);
    int64_t first = f->wall;
    fixture_advance(f, 60);
    fixture_walk(f, 1, REASON_TLS_EXPIRED);
    cr_assert_eq(mine->first_wall, first);
    cr_assert_eq(mine->last_wall, f->wall);
}

Test(ledger, catalogue_has_every_reason)
{
    cr_assert_eq(f->ledger->reasons.count, reason_count());
    for (size_t i = 0; i < reason_count(); i++)
        cr_assert_eq(f->ledger->reasons.entries[i].key[0], (uint32_t)reason_at(i)->reason);
}

Test(ledger, verdict_of_a_walk)
{
    cr_assert_eq(partner(0)->health, HEALTH_UNKNOWN);
    fixture_walk(f, 0, REASON_NONE);
    cr_assert_eq(partner(0)->health, HEALTH_OK);
    int64_t since = f->wall;
    cr_assert_eq(partner(0)->since_wall, since);
    fixture_advance(f, 60);
    fixture_walk(f, 0, REASON_NONE);
    cr_assert_eq(partner(0)->since_wall, since);
    cr_assert_eq(partner(0)->success_wall, f->wall);
    cr_assert_eq(partner(0)->failure_wall, CLOCK_NEVER);
    fixture_advance(f, 60);
    fixture_walk(f, 0, REASON_TLS_WEAK_KEY);
    cr_assert_eq(partner(0)->health, HEALTH_WARNING);
    cr_assert_eq(partner(0)->reason, REASON_TLS_WEAK_KEY);
    cr_assert_eq(partner(0)->since_wall, f->wall);
    cr_assert_eq(partner(0)->failure_run, f->run);
    cr_assert_eq(partner(0)->success_run, f->run - 60 * CLOCK_SECOND);
    cr_assert_eq(partner(0)->walks, 3);
    cr_assert_eq(partner(0)->endpoints, 1);
    cr_assert_eq(partner(0)->endpoints_ok, 0);
}

Test(ledger, probe_rows_keep_index_and_counts)
{
    fixture_walk(f, 0, REASON_NONE);
    fixture_advance(f, 60);
    fixture_walk(f, 0, REASON_TCP_TIMEOUT);
    fixture_walk(f, 0, REASON_TCP_TIMEOUT);
    cr_assert_eq(f->ledger->probes.count, 2);
    const struct ledger_probe *service = row(0, 1), *endpoint = row(0, 2);
    cr_assert_eq(service->value.kind, PROBE_SERVICE);
    cr_assert_eq(service->successes, 3);
    cr_assert_eq(endpoint->successes, 1);
    cr_assert_eq(endpoint->failures, 2);
    cr_assert_eq(endpoint->failures_in_row, 2);
    cr_assert_eq(endpoint->health, HEALTH_CRITICAL);
    cr_assert_eq(endpoint->success_run, FIXTURE_START);
    cr_assert_eq(endpoint->last_run, f->run);
    cr_assert(endpoint->present);
}

Test(ledger, index_of_a_probe_is_not_used_again)
{
    fixture_endpoint(f, 0, 1, REASON_NONE);
    fixture_walked(f, 0, REASON_NONE, 1);
    for (int i = 0; i < LEDGER_ABSENT_WALKS; i++) {
        fixture_endpoint(f, 0, 2, REASON_NONE);
        fixture_walked(f, 0, REASON_NONE, 1);
    }
    cr_assert_null(row(0, 1));
    fixture_endpoint(f, 0, 1, REASON_NONE);
    fixture_walked(f, 0, REASON_NONE, 2);
    cr_assert_not_null(row(0, 3));
    cr_assert_eq(row(0, 3)->value.address.octets[3], 1);
}

Test(ledger, hostile_targets_get_no_more_than_their_rows)
{
    for (int walk = 0; walk < 50; walk++) {
        for (int i = 0; i < 200; i++) {
            struct observation observation = fixture_probe(f, 0, PROBE_ENDPOINT, 1, REASON_TCP_REFUSED);
            text_format(observation.probe.target, OBSERVATION_NAME, "t%d-%d.example.net", walk, i);
            ledger_apply(f->ledger, &observation);
        }
        fixture_walked(f, 0, REASON_TCP_REFUSED, 200);
        cr_assert_eq(f->ledger->probes.count, LEDGER_PROBES_MAX);
        cr_assert_eq(partner(0)->probe_count, LEDGER_PROBES_MAX);
        fixture_advance(f, 1);
    }
    cr_assert_eq(fixture_cell(f, 0, EVENT_CONNECTION)->count, 50 * 200);
    const struct ledger_probe *first = f->ledger->probes.entries[0].cell;
    cr_assert_eq(strncmp(first->value.target, "t49-", 4), 0, "the newest are kept, not %s", first->value.target);
}

Test(ledger, what_is_not_present_makes_room_first)
{
    /* 64 endpoints; then half of them vanish, and one that was seen longest ago but is present stays. */
    for (int i = 0; i < LEDGER_PROBES_MAX; i++)
        fixture_endpoint(f, 0, (uint8_t)(i + 1), REASON_NONE);
    fixture_walked(f, 0, REASON_NONE, LEDGER_PROBES_MAX);
    fixture_advance(f, 60);
    for (int i = 0; i < 32; i++)
        fixture_endpoint(f, 0, (uint8_t)(i + 1), REASON_NONE);
    fixture_walked(f, 0, REASON_NONE, 32);
    fixture_advance(f, 60);
    fixture_endpoint(f, 0, 200, REASON_NONE);
    cr_assert_null(row(0, 33));
    cr_assert_not_null(row(0, 1));
    cr_assert_eq(row(0, 65)->value.address.octets[3], 200);
}

static void certificate(uint8_t depth, uint8_t length, const char *subject)
{
    struct observation observation = {.kind = OBSERVATION_CERTIFICATE, .partner = 0, .wall = f->wall, .run = f->run};
    struct observation probe = fixture_probe(f, 0, PROBE_ENDPOINT, 1, REASON_NONE);
    struct observation_certificate *value = &observation.certificate;
    text_copy(value->target, sizeof value->target, probe.probe.target);
    value->address = probe.probe.address;
    value->port = probe.probe.port;
    value->depth = depth;
    value->length = length;
    text_copy(value->subject, sizeof value->subject, subject);
    ledger_apply(f->ledger, &observation);
}

Test(ledger, certificates_follow_their_endpoint)
{
    certificate(0, 1, "CN=nobody");
    cr_assert_eq(f->ledger->certificates.count, 0, "no endpoint, no certificate");
    fixture_endpoint(f, 0, 1, REASON_NONE);
    for (uint8_t depth = 0; depth < 3; depth++)
        certificate(depth, 3, "CN=old");
    cr_assert_eq(f->ledger->certificates.count, 3);
    cr_assert_eq(row(0, 1)->certificate_count, 3);
    certificate(0, 2, "CN=new");
    cr_assert_eq(f->ledger->certificates.count, 2, "rows beyond the chain are gone");
    cr_assert_eq(row(0, 1)->certificate_count, 2);
    const struct ledger_certificate *leaf = index_find(&f->ledger->certificates, (uint32_t[]){1, 1, 1});
    cr_assert_str_eq(leaf->value.subject, "CN=new");
    certificate(5, 2, "CN=beyond its own chain");
    certificate(0, 200, "CN=too long a chain");
    cr_assert_eq(f->ledger->certificates.count, 2);
    cr_assert_str_eq(leaf->value.subject, "CN=new");
    fixture_walked(f, 0, REASON_NONE, 1);
    for (int i = 0; i < LEDGER_ABSENT_WALKS; i++)
        fixture_walked(f, 0, REASON_NONE, 0);
    cr_assert_eq(f->ledger->certificates.count, 0);
    cr_assert_eq(f->ledger->probes.count, 0);
}

static void endpoint_that_ends(uint8_t octet, enum reason reason, int64_t not_after)
{
    struct observation observation = fixture_probe(f, 0, PROBE_ENDPOINT, octet, reason);
    observation.probe.not_after = not_after;
    ledger_apply(f->ledger, &observation);
}

Test(ledger, end_of_certificates)
{
    const int64_t day = 86400 * CLOCK_SECOND;
    struct ledger_summary summary;
    endpoint_that_ends(1, REASON_NONE, f->wall + 50 * day);
    endpoint_that_ends(2, REASON_NONE, f->wall + 40 * day);
    fixture_walked(f, 0, REASON_NONE, 2);
    cr_assert_eq(partner(0)->not_after, FIXTURE_WALL + 40 * day);
    ledger_summarise(f->ledger, &summary);
    cr_assert_eq(summary.not_after, FIXTURE_WALL + 40 * day);
    cr_assert_eq(summary.not_after_partner, 1);
    endpoint_that_ends(1, REASON_NONE, f->wall + 50 * day);
    endpoint_that_ends(2, REASON_TCP_REFUSED, CLOCK_NEVER); /* what was seen last is still true */
    fixture_walked(f, 0, REASON_TCP_REFUSED, 2);
    cr_assert_eq(partner(0)->not_after, FIXTURE_WALL + 40 * day);
    endpoint_that_ends(1, REASON_NONE, f->wall + 50 * day); /* the other one is no longer present */
    fixture_walked(f, 0, REASON_NONE, 1);
    cr_assert_eq(partner(0)->not_after, FIXTURE_WALL + 50 * day);
}

Test(ledger, of_two_certificates_the_one_that_ends_first_is_named)
{
    const int64_t day = 86400 * CLOCK_SECOND;
    endpoint_that_ends(1, REASON_TLS_EXPIRING_SOON, f->wall + 20 * day);
    endpoint_that_ends(2, REASON_TLS_EXPIRING_SOON, f->wall + 10 * day);
    endpoint_that_ends(3, REASON_TLS_EXPIRING_SOON, f->wall + 15 * day);
    fixture_walked(f, 0, REASON_TLS_EXPIRING_SOON, 3);
    cr_assert_eq(f->count, 1);
    cr_assert_str_eq(f->transitions[0].alarm.target, "sip2.example.net");
    cr_assert_eq(f->transitions[0].alarm.total, 3);
}

Test(ledger, summary)
{
    struct ledger_summary summary;
    ledger_summarise(f->ledger, &summary);
    cr_assert_eq(summary.health, HEALTH_UNKNOWN);
    cr_assert_eq(summary.partners, 3);
    cr_assert_eq(summary.unknown, 3);
    cr_assert_eq(summary.worst, SEVERITY_CLEARED);
    fixture_walk(f, 0, REASON_NONE);
    ledger_summarise(f->ledger, &summary);
    cr_assert_eq(summary.health, HEALTH_OK);
    for (int i = 0; i < 3; i++) {
        fixture_walk(f, 1, REASON_TLS_WEAK_KEY);
        fixture_walk(f, 2, REASON_TCP_REFUSED);
    }
    ledger_summarise(f->ledger, &summary);
    cr_assert_eq(summary.health, HEALTH_CRITICAL);
    cr_assert_eq(summary.ok, 1);
    cr_assert_eq(summary.warning, 1);
    cr_assert_eq(summary.critical, 1);
    cr_assert_eq(summary.unknown, 0);
    cr_assert_eq(summary.alarms, 2);
    cr_assert_eq(summary.worst, SEVERITY_MAJOR);
    cr_assert_eq(summary.not_after, CLOCK_NEVER);
    cr_assert_eq(f->ledger->events[EVENT_TLS_OUTGOING].health, HEALTH_WARNING);
    cr_assert_eq(f->ledger->events[EVENT_CONNECTION].health, HEALTH_CRITICAL);
}

Test(ledger, positions_that_are_no_partner_are_harmless)
{
    fixture_walk(f, 3, REASON_TCP_REFUSED);
    fixture_walk(f, UINT32_MAX, REASON_TCP_REFUSED);
    cr_assert_eq(f->ledger->observations, 6);
    cr_assert_eq(f->ledger->walks, 0);
    cr_assert_eq(f->ledger->events[EVENT_CONNECTION].count, 0);
    ledger_free(NULL);
}

Test(ledger, of_no_partners)
{
    struct fixture *none = fixture_new(0);
    struct ledger_summary summary;
    ledger_summarise(none->ledger, &summary);
    cr_assert_eq(summary.health, HEALTH_OK);
    fixture_bind(none, fixture_conf(2));
    cr_assert_eq(none->ledger->partners.count, 2);
    fixture_bind(none, fixture_conf(0));
    cr_assert_eq(none->ledger->partners.count, 0);
    cr_assert_eq(none->ledger->partner_events.count, 0);
    fixture_free(none);
}

Test(ledger, a_reload_renumbers_every_row)
{
    fixture_walk(f, 0, REASON_TLS_EXPIRED);
    certificate(0, 1, "CN=none"); /* of another endpoint: not stored */
    fixture_endpoint(f, 0, 1, REASON_NONE);
    certificate(0, 1, "CN=leaf");
    fixture_walked(f, 0, REASON_NONE, 1);
    fixture_walk(f, 0, REASON_TLS_EXPIRED);
    fixture_walk(f, 0, REASON_TLS_EXPIRED);
    struct ledger_partner *before = partner(0);
    struct conf *conf = fixture_conf(2);
    conf->partners[0].index = 70;
    conf->partners[1].index = 1;
    fixture_bind(f, conf);
    cr_assert_eq(partner(0), before);
    cr_assert_eq(partner(0)->index, 70);
    cr_assert_eq(partner(1)->index, 1);
    cr_assert_eq(f->ledger->partners.count, 2);
    cr_assert_eq(index_find(&f->ledger->partners, (uint32_t[]){70}), before);
    cr_assert_not_null(index_find(&f->ledger->probes, (uint32_t[]){70, 3}));
    cr_assert_not_null(index_find(&f->ledger->certificates, (uint32_t[]){70, 3, 1}));
    cr_assert_null(index_find(&f->ledger->certificates, (uint32_t[]){1, 3, 1}));
    cr_assert_not_null(index_find(&f->ledger->partner_reasons, (uint32_t[]){70, REASON_TLS_EXPIRED}));
    cr_assert_eq(index_find(&f->ledger->partner_events, (uint32_t[]){70, EVENT_TLS_OUTGOING}),
                 fixture_cell(f, 0, EVENT_TLS_OUTGOING));
    cr_assert_eq(fixture_cell(f, 0, EVENT_TLS_OUTGOING)->last.partner, 70);
    cr_assert_eq(f->ledger->events[EVENT_TLS_OUTGOING].last.partner, 70);
    cr_assert_eq(fixture_cell(f, 0, EVENT_TLS_OUTGOING)->alarm->partner, 70);
}

Test(ledger, numbers_are_never_given_twice)
{
    bool given[4096] = {false};
    char name[CONF_NAME_MAX + 1];
    uint32_t random = 7;
    for (int round = 0; round < 50; round++) {
        struct conf *conf = fixture_conf(20);
        for (size_t i = 0; i < 20; i++) {
            text_format(name, sizeof name, "r%d-%zu", round, i);
            fixture_conf_name(conf, i, name);
            random = random * 1664525 + 1013904223;
            /* Some fixed, all apart and ahead of what was given out so far. */
            if (random >> 30 == 0)
                conf->partners[i].index = (uint32_t)(round * 20 + (int)i + 1500);
        }
        fixture_bind(f, conf);
        cr_assert_eq(f->ledger->partners.count, 20);
        for (size_t i = 0; i < f->ledger->partners.count; i++) {
            uint32_t index = f->ledger->partners.entries[i].key[0];
            cr_assert_lt(index, 4096);
            cr_assert_not(given[index], "%u in round %d", index, round);
            given[index] = true;
        }
    }
}
