#include <criterion/criterion.h>

#include "ledger/alarm.h"
#include "ledger_fixture.h"

static struct fixture *f;

static void open_fixture(void)
{
    f = fixture_new(2);
}

static void close_fixture(void)
{
    fixture_free(f);
}

TestSuite(alarm, .init = open_fixture, .fini = close_fixture);

/* Walks of partner 0, a minute apart. */
static void walks(int count, enum reason reason)
{
    for (int i = 0; i < count; i++) {
        fixture_advance(f, 60);
        fixture_walk(f, 0, reason);
    }
}

static const struct transition *last(void)
{
    cr_assert_gt(f->count, 0);
    return &f->transitions[f->count - 1];
}

Test(alarm, severity_follows_the_reason)
{
    cr_assert_eq(alarm_severity(REASON_TLS_EXPIRED, 0, FIXTURE_WALL, NULL), SEVERITY_CRITICAL);
    cr_assert_eq(alarm_severity(REASON_DNS_NX_DOMAIN, 0, FIXTURE_WALL, NULL), SEVERITY_MAJOR);
    cr_assert_eq(alarm_severity(REASON_UNCLASSIFIED, 0, FIXTURE_WALL, NULL), SEVERITY_WARNING);
    cr_assert_eq(alarm_severity(REASON_DNS_OTHER, 0, FIXTURE_WALL, NULL), SEVERITY_WARNING);
    cr_assert_eq(alarm_severity(REASON_CONNECTION_OTHER, 0, FIXTURE_WALL, NULL), SEVERITY_WARNING);
    cr_assert_eq(alarm_severity(REASON_TLS_OTHER, 0, FIXTURE_WALL, NULL), SEVERITY_WARNING);
}

Test(alarm, severity_of_an_expiring_certificate_escalates)
{
    const int64_t day = 86400 * CLOCK_SECOND, wall = FIXTURE_WALL;
    struct conf_partner conf = {.expiry_days = 14, .expiry_minor = 7, .expiry_major = 2};
    cr_assert_eq(alarm_severity(REASON_TLS_EXPIRING_SOON, CLOCK_NEVER, wall, &conf), SEVERITY_WARNING);
    cr_assert_eq(alarm_severity(REASON_TLS_EXPIRING_SOON, wall + day, wall, NULL), SEVERITY_WARNING);
    cr_assert_eq(alarm_severity(REASON_TLS_EXPIRING_SOON, wall + 7 * day + 1, wall, &conf), SEVERITY_WARNING);
    cr_assert_eq(alarm_severity(REASON_TLS_EXPIRING_SOON, wall + 7 * day, wall, &conf), SEVERITY_MINOR);
    cr_assert_eq(alarm_severity(REASON_TLS_EXPIRING_SOON, wall + 2 * day + 1, wall, &conf), SEVERITY_MINOR);
    cr_assert_eq(alarm_severity(REASON_TLS_EXPIRING_SOON, wall + 2 * day, wall, &conf), SEVERITY_MAJOR);
    cr_assert_eq(alarm_severity(REASON_TLS_EXPIRING_SOON, wall - day, wall, &conf), SEVERITY_MAJOR);
    conf.expiry_major = 0;
    cr_assert_eq(alarm_severity(REASON_TLS_EXPIRING_SOON, wall + 2 * day, wall, &conf), SEVERITY_MINOR);
    conf.expiry_minor = 0;
    cr_assert_eq(alarm_severity(REASON_TLS_EXPIRING_SOON, wall - day, wall, &conf), SEVERITY_WARNING);
    conf.expiry_major = 3650;
    cr_assert_eq(alarm_severity(REASON_TLS_EXPIRING_SOON, wall + 3650 * day, wall, &conf), SEVERITY_MAJOR);
}

Test(alarm, raised_at_the_threshold_with_all_its_values)
{
    walks(2, REASON_TLS_EXPIRED);
    cr_assert_eq(f->count, 0);
    walks(1, REASON_TLS_EXPIRED);
    cr_assert_eq(f->count, 1);
    const struct transition *t = last();
    cr_assert_eq(t->kind, TRANSITION_RAISED);
    cr_assert_eq(t->sequence, 1);
    cr_assert_eq(t->wall, f->wall);
    cr_assert_eq(t->alarm.id, 1);
    cr_assert_eq(t->alarm.state, ALARM_RAISED);
    cr_assert_eq(t->alarm.event, EVENT_TLS_OUTGOING);
    cr_assert_eq(t->alarm.reason, REASON_TLS_EXPIRED);
    cr_assert_eq(t->alarm.severity, SEVERITY_CRITICAL);
    cr_assert_eq(t->alarm.partner, 1);
    cr_assert_str_eq(t->alarm.name, "p0");
    cr_assert_str_eq(t->alarm.contact, "noc@example.net");
    cr_assert_str_eq(t->alarm.target, "sip10.example.net");
    cr_assert_eq(t->alarm.address.octets[3], 10);
    cr_assert_eq(t->alarm.port, 5061);
    cr_assert_eq(t->alarm.window_count, 3);
    cr_assert_eq(t->alarm.window_seconds, 900);
    cr_assert_eq(t->alarm.total, 3);
    cr_assert_str_eq(t->alarm.detail, "tlsExpired at 10");
    cr_assert_null(t->alarm.cell);
    cr_assert_eq(f->ledger->events[EVENT_TLS_OUTGOING].health, HEALTH_CRITICAL);
    cr_assert_eq(f->ledger->events[EVENT_DNS].health, HEALTH_OK);
}

Test(alarm, counts_while_raised_are_not_told)
{
    walks(3, REASON_TLS_EXPIRED);
    walks(7, REASON_TLS_EXPIRED);
    cr_assert_eq(f->count, 1);
    const struct ledger_alarm *alarm = f->ledger->alarms.entries[0].cell;
    cr_assert_eq(alarm->total, 10);
    cr_assert_eq(alarm->window_count, 10);
}

Test(alarm, cleared_by_successes_with_the_same_identity)
{
    walks(3, REASON_TLS_EXPIRED);
    struct transition raised = *last();
    walks(1, REASON_NONE);
    cr_assert_eq(f->count, 1);
    walks(1, REASON_NONE);
    cr_assert_eq(f->count, 2);
    const struct transition *t = last();
    cr_assert_eq(t->kind, TRANSITION_CLEARED);
    cr_assert_eq(t->alarm.state, ALARM_CLEARED);
    cr_assert_eq(t->alarm.id, raised.alarm.id);
    cr_assert_eq(t->alarm.reason, raised.alarm.reason);
    cr_assert_eq(t->alarm.severity, raised.alarm.severity);
    cr_assert_str_eq(t->alarm.target, raised.alarm.target);
    cr_assert_str_eq(t->alarm.detail, raised.alarm.detail);
    cr_assert_eq(t->alarm.raised_wall, raised.alarm.raised_wall);
    cr_assert_eq(f->ledger->alarms.count, 0);
    cr_assert_eq(f->ledger->events[EVENT_TLS_OUTGOING].health, HEALTH_OK);
    cr_assert_null(fixture_cell(f, 0, EVENT_TLS_OUTGOING)->alarm);
}

Test(alarm, ids_are_not_used_again)
{
    walks(3, REASON_TLS_EXPIRED);
    walks(2, REASON_NONE);
    walks(3, REASON_TLS_EXPIRED);
    cr_assert_eq(last()->kind, TRANSITION_RAISED);
    cr_assert_eq(last()->alarm.id, 2);
}

Test(alarm, reason_of_a_walk_is_its_worst)
{
    for (int i = 0; i < 3; i++) {
        fixture_advance(f, 60);
        fixture_endpoint(f, 0, 1, REASON_TLS_WEAK_KEY);
        fixture_endpoint(f, 0, 2, REASON_TLS_EXPIRED);
        fixture_endpoint(f, 0, 3, REASON_TLS_WEAK_SIGNATURE);
        fixture_walked(f, 0, REASON_TLS_EXPIRED, 3);
    }
    cr_assert_eq(f->count, 1);
    cr_assert_eq(last()->alarm.reason, REASON_TLS_EXPIRED);
    cr_assert_str_eq(last()->alarm.target, "sip2.example.net");
}

Test(alarm, change_within_the_gap_waits_for_the_tick)
{
    walks(3, REASON_TLS_EXPIRED);
    f->run += CLOCK_SECOND;
    f->wall += CLOCK_SECOND;
    fixture_walk(f, 0, REASON_TLS_WRONG_PRINCIPAL);
    cr_assert_eq(f->count, 1);
    const struct ledger_alarm *alarm = f->ledger->alarms.entries[0].cell;
    cr_assert_eq(alarm->reason, REASON_TLS_WRONG_PRINCIPAL);
    fixture_advance(f, 1);
    cr_assert_eq(f->count, 2);
    cr_assert_eq(last()->kind, TRANSITION_CHANGED);
    cr_assert_eq(last()->alarm.reason, REASON_TLS_WRONG_PRINCIPAL);
    cr_assert_eq(last()->alarm.id, 1);
    fixture_advance(f, 10);
    cr_assert_eq(f->count, 2);
}

Test(alarm, there_and_back_within_the_gap_is_not_told)
{
    walks(3, REASON_TLS_EXPIRED);
    fixture_walk(f, 0, REASON_TLS_WRONG_PRINCIPAL);
    fixture_walk(f, 0, REASON_TLS_EXPIRED);
    fixture_advance(f, 10);
    cr_assert_eq(f->count, 1);
}

Test(alarm, quiet_window_clears_without_successes)
{
    f->conf->partners[0].thresholds[EVENT_TLS_OUTGOING].clear = 0;
    walks(3, REASON_TLS_EXPIRED);
    walks(1, REASON_NONE);
    fixture_advance(f, 900 + 31 - 120); /* the last failures have left the window, the threshold's half is passed */
    cr_assert_eq(f->count, 1);
    fixture_advance(f, 850);
    cr_assert_eq(f->count, 1);
    fixture_advance(f, 120);
    cr_assert_eq(f->count, 2);
    cr_assert_eq(last()->kind, TRANSITION_CLEARED);
}

Test(alarm, half_the_threshold_is_not_below_half)
{
    f->conf->partners[0].thresholds[EVENT_TLS_OUTGOING] = (struct conf_threshold){4, 300, 0};
    walks(4, REASON_TLS_EXPIRED);
    for (int i = 0; i < 60; i++) { /* two or three failures in the window all the time, with healthy walks between */
        walks(1, REASON_TLS_EXPIRED);
        walks(1, REASON_NONE);
    }
    const struct ledger_cell *cell = fixture_cell(f, 0, EVENT_TLS_OUTGOING);
    cr_assert_eq(cell->quiet_since, 0);
    fixture_advance(f, 61); /* exactly two are left */
    cr_assert_eq(ledger_window(f->ledger, cell, f->ledger->bound[0], f->run), 2);
    cr_assert_eq(cell->quiet_since, 0);
    fixture_advance(f, 180); /* one is left */
    cr_assert_neq(cell->quiet_since, 0);
    cr_assert_eq(f->count, 1);
}

Test(alarm, a_window_that_nobody_looked_into_is_not_quiet)
{
    walks(3, REASON_TLS_EXPIRED);
    fixture_advance(f, 10000);
    cr_assert_eq(f->count, 1);
}

Test(alarm, of_the_monitor_itself_are_one_a_reason)
{
    ledger_self(f->ledger, REASON_MON_MASTER_LOST, true, "no answer", f->wall, f->run);
    ledger_self(f->ledger, REASON_MON_TABLE_FULL, true, "queue", f->wall, f->run);
    ledger_self(f->ledger, REASON_MON_MASTER_LOST, true, "still no answer", f->wall, f->run);
    cr_assert_eq(f->count, 2);
    cr_assert_eq(f->ledger->events[EVENT_MONITOR_SELF].count, 3);
    cr_assert_eq(f->ledger->events[EVENT_MONITOR_SELF].health, HEALTH_CRITICAL);
    fixture_advance(f, 5000); /* a state that lasts is not a quiet window */
    cr_assert_eq(f->count, 2);
    ledger_self(f->ledger, REASON_MON_MASTER_LOST, false, "", f->wall, f->run);
    cr_assert_eq(f->count, 3);
    cr_assert_eq(last()->kind, TRANSITION_CLEARED);
    cr_assert_eq(last()->alarm.id, 1);
    cr_assert_eq(last()->alarm.partner, 0);
    cr_assert_eq(last()->alarm.total, 2);
    cr_assert_str_eq(last()->alarm.detail, "still no answer");
    ledger_self(f->ledger, REASON_MON_MASTER_LOST, false, "", f->wall, f->run);
    cr_assert_eq(f->count, 3);
    cr_assert_eq(f->ledger->alarms.count, 1);
}

Test(alarm, of_partners_are_apart)
{
    for (int i = 0; i < 2; i++) {
        fixture_walk(f, 0, REASON_TCP_REFUSED);
        fixture_walk(f, 1, REASON_TCP_REFUSED);
    }
    cr_assert_eq(f->count, 0);
    fixture_walk(f, 1, REASON_TCP_REFUSED);
    cr_assert_eq(f->count, 1);
    cr_assert_str_eq(last()->alarm.name, "p1");
}
