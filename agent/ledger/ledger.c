/*
 * What an observation does to the cells. A failing probe counts one in the total of its event, in the cell partner x
 * event, in partner x reason and in the catalogue of reasons, and in its own row. A passing probe is a success of the
 * events that it looked at (see passed_before). Alarms are judged when the walk ends: all its observations arrive
 * together, so nothing is late by that, and a walk with several failing endpoints is one change of an alarm, not
 * several.
 */
#include "ledger/ledger.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "ledger/alarm.h"
#include "ledger/cell.h"
#include "ledger/changes.h"
#include "ledger/event_apply.h"
#include "ledger/peer.h"
#include "ledger/probe_rows.h"
#include "ledger/storm.h"

const struct conf_threshold *ledger_threshold(const struct ledger *ledger, const struct ledger_partner *partner,
                                              enum event event)
{
    return partner ? &partner->conf->thresholds[event] : &ledger->conf->thresholds[event];
}

uint32_t ledger_window(const struct ledger *ledger, const struct ledger_cell *cell,
                       const struct ledger_partner *partner, int64_t run)
{
    (void)ledger;
    (void)partner;
    return window_sum(&cell->window, cell->window.seconds, run);
}

void ledger_failures(struct ledger *ledger, ledger_failed *told, void *context)
{
    ledger->failed = told;
    ledger->failed_context = context;
}

void ledger_verdicts(struct ledger *ledger, ledger_judged *told, void *context)
{
    ledger->judged = told;
    ledger->judged_context = context;
}

static struct ledger_failure failure_of(const struct ledger_partner *partner, const struct observation *observation)
{
    const struct observation_probe *probe = &observation->probe;
    struct ledger_failure failure = {.wall = observation->wall,
                                     .run = observation->run,
                                     .reason = reason_info(probe->reason)->reason,
                                     .partner = partner->index,
                                     .address = probe->address,
                                     .port = probe->port,
                                     .not_after = probe->not_after};
    text_copy(failure.target, sizeof failure.target, probe->target);
    text_copy(failure.detail, sizeof failure.detail, probe->detail);
    return failure;
}

static void count_failure(struct ledger *ledger, struct ledger_partner *partner, enum event event,
                          const struct observation *observation)
{
    struct ledger_failure failure = failure_of(partner, observation);
    struct ledger_cell *cell = ledger_cell_make(ledger, partner, event);
    cell->count++;
    changes_cell(ledger, partner->index, cell);
    cell_count_reason(ledger, partner, failure.reason, 1, observation->wall);
    cell_failed(ledger, &failure, event, 1, partner, NULL);
    if (storm_holds(ledger, failure.reason)) {
        cell->held_in_walk++;
        ledger->storm.held++;
        cell_count_total(ledger, &failure, event, 1);
        return;
    }
    window_add(&cell->window, ledger_threshold(ledger, partner, event)->window, observation->run, 1);
    if (!cell->failures_in_walk++ || alarm_failure_worse(&failure, &cell->last, observation->wall, partner->conf))
        cell->last = failure;
    cell_count_total(ledger, &cell->last, event, 1);
}

static void count_success(struct ledger_partner *partner, enum event event)
{
    if (partner->events[event])
        partner->events[event]->successes_in_walk++;
}

/* The event that a result fails; EVENT_NONE: it is healthy. */
static enum event event_failed(const struct observation_probe *probe)
{
    if (probe->reason == REASON_NONE)
        return EVENT_NONE;
    if (event_info(probe->event))
        return probe->event;
    return reason_info(probe->reason)->event;
}

/* Counts the events that a probe which fails `failed` (EVENT_NONE: nothing) has passed. */
static void count_passed(struct ledger_partner *partner, enum probe_kind kind, enum event failed)
{
    if (kind != PROBE_ENDPOINT) {
        if (failed == EVENT_NONE || failed == EVENT_CONFIG_DRIFT)
            count_success(partner, EVENT_DNS);
        return;
    }
    bool past_tls = failed == EVENT_NONE || failed == EVENT_CERT_EXPIRY || failed == EVENT_CONFIG_DRIFT;
    if (past_tls || failed == EVENT_TLS_OUTGOING)
        count_success(partner, EVENT_CONNECTION);
    if (past_tls)
        count_success(partner, EVENT_TLS_OUTGOING);
    if (failed == EVENT_NONE) {
        count_success(partner, EVENT_CERT_EXPIRY);
        count_success(partner, EVENT_CONFIG_DRIFT);
    }
}

static void apply_probe(struct ledger *ledger, struct ledger_partner *partner, const struct observation *observation)
{
    const struct observation_probe *probe = &observation->probe;
    enum event failed = event_failed(probe);
    if (probe->kind == PROBE_SERVICE && failed != EVENT_NONE && failed != EVENT_CONFIG_DRIFT)
        partner->service_failures_in_walk++;
    if (probe->kind == PROBE_ENDPOINT)
        partner->endpoints_in_walk++;
    probe_row_apply(ledger, partner, observation);
    count_passed(partner, probe->kind, failed);
    if (failed != EVENT_NONE)
        count_failure(ledger, partner, failed, observation);
}

static void end_walk_of_cell(struct ledger *ledger, struct ledger_partner *partner, struct ledger_cell *cell,
                             const struct observation *observation)
{
    if (cell->failures_in_walk && storm_holds(ledger, cell->last.reason)) { /* a storm began with this walk */
        ledger->storm.held += cell->failures_in_walk;
        cell->held_in_walk += cell->failures_in_walk;
        cell->failures_in_walk = 0;
    }
    bool held = cell->held_in_walk && !cell->failures_in_walk;
    cell->held_in_walk = 0;
    const struct ledger_cell before = {.health = cell->health, .successes_in_row = cell->successes_in_row};
    if (held || (!cell->failures_in_walk && !cell->successes_in_walk)) {
        cell->successes_in_walk = 0;
        return;
    }
    if (cell->failures_in_walk) {
        cell->health = reason_health(cell->last.reason);
        cell->successes_in_row = 0;
    } else {
        cell->health = HEALTH_OK;
        if (cell->successes_in_row < ledger_threshold(ledger, partner, cell->event)->clear)
            cell->successes_in_row++;
    }
    if (cell->health != before.health || cell->successes_in_row != before.successes_in_row)
        changes_cell(ledger, partner->index, cell);
    alarm_walked(ledger, partner, cell, observation->wall, observation->run);
    cell->failures_in_walk = cell->successes_in_walk = 0;
}

static void take_verdict(struct ledger *ledger, struct ledger_partner *partner, const struct observation *observation)
{
    const struct observation_walk *walk = &observation->walk;
    enum health health = reason_health(walk->reason);
    bool differs = partner->health != health || partner->reason != walk->reason;
    if (differs && !storm_holds(ledger, walk->reason)) {
        partner->since_wall = observation->wall;
        partner->health = health;
        partner->reason = walk->reason;
        if (ledger->judged)
            ledger->judged(ledger->judged_context, partner);
    }
    partner->walk_wall = observation->wall;
    partner->walk_run = observation->run;
    if (walk->reason == REASON_NONE) {
        partner->success_wall = observation->wall;
        partner->success_run = observation->run;
    } else {
        partner->failure_wall = observation->wall;
        partner->failure_run = observation->run;
    }
    partner->endpoints = walk->endpoints;
    partner->endpoints_ok = walk->endpoints_ok;
    partner->walks++;
}

/* A walk that takes longer than its interval delays the next one: a failure of the monitor, told at the partner. */
static void judge_duration(struct ledger *ledger, struct ledger_partner *partner, const struct observation *observation)
{
    uint32_t interval = partner->conf->interval;
    struct observation overrun = {.wall = observation->wall, .run = observation->run};
    if (observation->walk.duration <= interval * CLOCK_SECOND) {
        count_success(partner, EVENT_MONITOR_SELF);
        return;
    }
    overrun.probe = (struct observation_probe){.reason = REASON_MON_PROBE_OVERRUN, .not_after = CLOCK_NEVER};
    text_format(overrun.probe.detail, sizeof overrun.probe.detail, "the walk took %.1f s, and the interval is %u s",
                (double)observation->walk.duration / CLOCK_SECOND, interval);
    count_failure(ledger, partner, EVENT_MONITOR_SELF, &overrun);
}

static void apply_walk(struct ledger *ledger, struct ledger_partner *partner, const struct observation *observation)
{
    ledger->walks++;
    judge_duration(ledger, partner, observation);
    if (observation->walk.late > partner->conf->interval * CLOCK_SECOND / 10)
        ledger->walks_late++;
    storm_walked(ledger, partner, observation);
    take_verdict(ledger, partner, observation);
    probe_row_walked(ledger, partner, &observation->walk);
    for (int event = EVENT_NONE + 1; event < EVENT_END; event++)
        if (partner->events[event])
            end_walk_of_cell(ledger, partner, partner->events[event], observation);
    storm_judged(ledger, partner);
    partner->service_failures_in_walk = partner->endpoints_in_walk = 0;
    changes_partner(ledger, partner);
}

void ledger_apply(struct ledger *ledger, const struct observation *observation)
{
    ledger->observations++;
    changes_state(ledger);
    if (observation->kind == OBSERVATION_EVENT) {
        event_apply(ledger, observation);
        return;
    }
    if (observation->partner >= ledger->conf->partner_count)
        return;
    struct ledger_partner *partner = ledger->bound[observation->partner];
    if (!partner)
        return;
    switch (observation->kind) {
    case OBSERVATION_PROBE:
        apply_probe(ledger, partner, observation);
        break;
    case OBSERVATION_CERTIFICATE:
        probe_row_certificate(ledger, partner, observation);
        break;
    case OBSERVATION_WALK:
        apply_walk(ledger, partner, observation);
        break;
    case OBSERVATION_MARK: /* what it says is for those that keep it */
    case OBSERVATION_EVENT:
        break;
    }
}

/* An alarm that an older process raised and nobody has confirmed is over: who would have to tell may not know of it. */
static void self_tick(struct ledger *ledger, int64_t wall, int64_t run)
{
    if (!ledger->self_unconfirmed || run - ledger->start_run < LEDGER_SELF_GRACE)
        return;
    ledger->self_unconfirmed = false;
    for (size_t i = 0; i < ledger->self.count; i++) {
        struct ledger_cell *cell = ledger->self.entries[i].cell;
        enum reason reason = (enum reason)ledger->self.entries[i].key[0];
        if (cell->alarm && cell->unconfirmed && !storm_lasts(ledger, reason))
            ledger_self(ledger, reason, false, "", wall, run);
    }
}

void ledger_tick(struct ledger *ledger, int64_t wall, int64_t run)
{
    storm_clock(ledger, wall, run);
    storm_tick(ledger, wall, run);
    sources_tick(ledger, wall, run);
    self_tick(ledger, wall, run);
    alarm_tick(ledger, wall, run);
    changes_tick(ledger, run);
}

static struct ledger_cell *self_cell(struct ledger *ledger, enum reason reason)
{
    uint32_t key[] = {(uint32_t)reason};
    struct ledger_cell *cell = index_find(&ledger->self, key);
    if (!cell) {
        cell = cell_allocate(sizeof *cell);
        cell->event = EVENT_MONITOR_SELF;
        index_insert(&ledger->self, key, cell);
    }
    changes_row(ledger, LEDGER_ROW_SELF, &cell->mark, key);
    return cell;
}

void ledger_self(struct ledger *ledger, enum reason reason, bool failing, const char *detail, int64_t wall, int64_t run)
{
    reason = reason_info(reason)->reason;
    struct ledger_cell *cell = self_cell(ledger, reason);
    if (!failing) {
        cell->health = HEALTH_OK;
        if (cell->alarm)
            alarm_clear(ledger, cell->alarm, wall, run);
        return;
    }
    cell->unconfirmed = false;
    cell->health = reason_health(reason);
    cell->count++;
    window_add(&cell->window, ledger_threshold(ledger, NULL, EVENT_MONITOR_SELF)->window, run, 1);
    cell->last = (struct ledger_failure){.wall = wall, .run = run, .reason = reason};
    text_copy(cell->last.detail, sizeof cell->last.detail, detail);
    cell_failed(ledger, &cell->last, EVENT_MONITOR_SELF, 1, NULL, NULL);
    cell_count_total(ledger, &cell->last, EVENT_MONITOR_SELF, 1);
    cell_count_reason(ledger, NULL, reason, 1, wall);
    if (cell->alarm)
        alarm_refresh(ledger, NULL, cell->alarm, wall, run);
    else
        alarm_raise(ledger, NULL, cell, wall, run);
}

struct ledger *ledger_begin(int64_t wall, int64_t run, ledger_report *report, void *context)
{
    struct ledger *ledger = cell_allocate(sizeof *ledger);
    ledger->start_wall = ledger->counted_wall = wall;
    ledger->start_run = ledger->counted_run = ledger->seen_run = run;
    ledger->changes = changes_new();
    ledger->report = report;
    ledger->report_context = context;
    ledger->storm.reason = REASON_NONE;
    ledger->sources = sources_new();
    index_init(&ledger->partners, 1);
    index_init(&ledger->partner_events, 2);
    index_init(&ledger->partner_reasons, 2);
    index_init(&ledger->probes, 2);
    index_init(&ledger->certificates, 3);
    index_init(&ledger->alarms, 1);
    index_init(&ledger->self, 1);
    index_init(&ledger->reasons, 1);
    for (int event = EVENT_NONE + 1; event < EVENT_END; event++) {
        ledger->events[event].event = event;
        ledger->events[event].health = HEALTH_OK;
        changes_total(ledger, &ledger->events[event]);
    }
    for (size_t i = 0; i < reason_count(); i++) {
        struct ledger_reason *row = cell_allocate(sizeof *row);
        row->reason = reason_at(i)->reason;
        const uint32_t key[] = {(uint32_t)row->reason};
        index_insert(&ledger->reasons, key, row);
        changes_row(ledger, LEDGER_ROW_REASON, &row->mark, key);
    }
    return ledger;
}

void ledger_full(struct ledger *ledger, enum ledger_full what, bool is_full, const char *detail, int64_t wall,
                 int64_t run)
{
    ledger->full = is_full ? ledger->full | (unsigned)what : ledger->full & ~(unsigned)what;
    if (is_full || !ledger->full)
        ledger_self(ledger, REASON_MON_TABLE_FULL, is_full, detail, wall, run);
}

struct ledger *ledger_new(const struct conf *conf, int64_t wall, int64_t run, ledger_report *report, void *context)
{
    struct ledger *ledger = ledger_begin(wall, run, report, context);
    storm_clock(ledger, wall, run);
    ledger_bind(ledger, conf, wall, run);
    return ledger;
}

static void free_cells(struct index *index)
{
    for (size_t i = 0; i < index->count; i++)
        free(index->entries[i].cell);
    index_clear(index);
}

void ledger_free(struct ledger *ledger)
{
    if (!ledger)
        return;
    struct index *const indexes[] = {&ledger->partners, &ledger->partner_events, &ledger->partner_reasons,
                                     &ledger->probes,   &ledger->certificates,   &ledger->alarms,
                                     &ledger->self,     &ledger->reasons};
    for (size_t i = 0; i < sizeof indexes / sizeof indexes[0]; i++)
        free_cells(indexes[i]);
    sources_free(ledger->sources);
    peers_free(ledger);
    free(ledger->bound);
    free(ledger->names);
    free(ledger->name_positions);
    free(ledger->fixed);
    changes_free(ledger->changes);
    free(ledger);
}
