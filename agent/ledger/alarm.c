/*
 * An alarm belongs to one cell: to an event of a partner, or to a reason of the monitor itself. States and transitions:
 *
 *   none    -> raised   a walk had a failure and the window's sum is at the threshold    TRANSITION_RAISED
 *   raised  -> raised   another reason or severity than the one last told                 TRANSITION_CHANGED
 *   raised  -> raised   other counts, detail or target                                    not told
 *   raised  -> cleared  `clear` successful walks in a row, or quiet for one whole window  TRANSITION_CLEARED
 *   cleared -> none     at once: it leaves the index and is freed; its id is not used again
 *
 * Raising and clearing have different measures, so that an alarm does not flutter: raised by the sum, cleared by walks
 * that looked and found nothing; or, where walks are too few for that, by one whole window in which the sum stayed
 * below half the threshold and the last walk that told of the event was no failure.
 *
 * What the edge saw is no walk: it raises at once, and no walk that finds all well clears what the edge has seen within
 * the last window. Such an alarm, and that of a row of the source table, ends with a quiet window alone.
 *
 * A failing partner may alternate between two reasons. The row shows the newest one; the change is told at most once in
 * LEDGER_CHANGE_GAP, the tick tells what is still different then. What was told is kept in the alarm for that.
 */
#include "ledger/alarm.h"

#include <stdlib.h>

#include "base/text.h"
#include "ledger/changes.h"
#include "ledger/source.h"
#include "ledger/storm.h"

#define DAY (86400 * CLOCK_SECOND)

/* reason_list.h: x99 is the "other" of a layer; what it can say is "see detail". */
static bool has_own_guidance(enum reason reason)
{
    return reason != REASON_UNCLASSIFIED && reason % 100 != 99;
}

struct guidance ledger_guidance(const struct ledger_alarm *alarm, char address[ADDRESS_TEXT_SIZE])
{
    return (struct guidance){.partner = alarm->name,
                             .contact = alarm->contact,
                             .target = alarm->target,
                             .address = address_text(&alarm->address, address),
                             .port = alarm->port,
                             .detail = alarm->detail};
}

enum severity alarm_severity(enum reason reason, int64_t not_after, int64_t wall, const struct conf_partner *conf)
{
    if (!has_own_guidance(reason))
        return SEVERITY_WARNING;
    if (reason != REASON_TLS_EXPIRING_SOON || not_after == CLOCK_NEVER || !conf)
        return reason_info(reason)->severity;
    if (conf->expiry_major && not_after - wall <= conf->expiry_major * DAY)
        return SEVERITY_MAJOR;
    return conf->expiry_minor && not_after - wall <= conf->expiry_minor * DAY ? SEVERITY_MINOR : SEVERITY_WARNING;
}

bool alarm_failure_worse(const struct ledger_failure *a, const struct ledger_failure *b, int64_t wall,
                         const struct conf_partner *conf)
{
    int rank_a = severity_rank(alarm_severity(a->reason, a->not_after, wall, conf));
    int rank_b = severity_rank(alarm_severity(b->reason, b->not_after, wall, conf));
    if (rank_a != rank_b)
        return rank_a > rank_b;
    return a->reason == REASON_TLS_EXPIRING_SOON && b->reason == REASON_TLS_EXPIRING_SOON &&
           a->not_after != CLOCK_NEVER && (b->not_after == CLOCK_NEVER || a->not_after < b->not_after);
}

static enum health severity_health(enum severity severity)
{
    return severity_rank(severity) >= severity_rank(SEVERITY_MAJOR) ? HEALTH_CRITICAL : HEALTH_WARNING;
}

/* Counts of active alarms, so that an event's health needs no look at all of them. */
void alarm_count_active(struct ledger *ledger, const struct ledger_alarm *alarm, int change)
{
    enum event event = alarm->event;
    ledger->active[event][alarm->severity] += (uint32_t)change;
    enum health health = HEALTH_OK;
    for (int i = SEVERITY_INDETERMINATE; i <= SEVERITY_WARNING; i++)
        if (ledger->active[event][i] && severity_health(i) > health)
            health = severity_health(i);
    ledger->events[event].health = health;
}

static void tell(struct ledger *ledger, struct ledger_alarm *alarm, enum transition_kind kind, int64_t wall,
                 int64_t run)
{
    alarm->changed_wall = wall;
    alarm->told_reason = alarm->reason;
    alarm->told_severity = alarm->severity;
    alarm->told_run = run;
    alarm->told_sequence = ++ledger->sequence;
    if (kind != TRANSITION_CLEARED)
        changes_alarm(ledger, alarm);
    ledger->alarms_changed_wall = wall;
    ledger->alarms_changed_run = run;
    changes_state(ledger);
    struct transition transition = {.kind = kind, .sequence = ledger->sequence, .wall = wall, .alarm = *alarm};
    transition.alarm.cell = NULL;
    transition.alarm.mark = (struct ledger_mark){.listed = 0};
    ledger->report(ledger->report_context, &transition);
}

static void tell_change(struct ledger *ledger, struct ledger_alarm *alarm, int64_t wall, int64_t run)
{
    bool differs = alarm->reason != alarm->told_reason || alarm->severity != alarm->told_severity;
    if (differs && run - alarm->told_run >= LEDGER_CHANGE_GAP)
        tell(ledger, alarm, TRANSITION_CHANGED, wall, run);
}

static void set_severity(struct ledger *ledger, const struct ledger_partner *partner, struct ledger_alarm *alarm,
                         int64_t wall)
{
    if (alarm->severity && storm_doubts(ledger, alarm->reason))
        return;
    enum severity severity =
        alarm_severity(alarm->reason, alarm->cell->last.not_after, wall, partner ? partner->conf : NULL);
    if (severity == alarm->severity)
        return;
    if (alarm->severity)
        alarm_count_active(ledger, alarm, -1);
    alarm->severity = severity;
    alarm_count_active(ledger, alarm, 1);
    changes_alarm(ledger, alarm);
}

/* What the cell says now: everything but the identity of the alarm. */
static void take_over(struct ledger *ledger, const struct ledger_partner *partner, struct ledger_alarm *alarm,
                      int64_t wall, int64_t run)
{
    const struct ledger_cell *cell = alarm->cell;
    changes_alarm(ledger, alarm);
    alarm->reason = cell->last.reason;
    set_severity(ledger, partner, alarm, wall);
    text_copy(alarm->contact, sizeof alarm->contact, partner ? partner->conf->contact : "");
    text_copy(alarm->target, sizeof alarm->target, cell->last.target);
    alarm->address = cell->last.address;
    alarm->port = cell->last.port;
    text_copy(alarm->detail, sizeof alarm->detail, cell->last.detail);
    alarm->window_count = ledger_window(ledger, cell, partner, run);
    alarm->window_seconds = alarm_threshold(ledger, partner, cell)->window;
    alarm->total = cell->count;
}

void alarm_raise(struct ledger *ledger, const struct ledger_partner *partner, struct ledger_cell *cell, int64_t wall,
                 int64_t run)
{
    struct ledger_alarm *alarm = calloc(1, sizeof *alarm);
    if (!alarm)
        abort();
    alarm->id = ++ledger->alarm_last;
    alarm->state = ALARM_RAISED;
    alarm->event = cell->event;
    alarm->partner = partner ? partner->index : 0;
    text_copy(alarm->name, sizeof alarm->name, partner ? partner->conf->name : "");
    alarm->raised_wall = wall;
    alarm->source = cell->source;
    alarm->cell = cell;
    cell->alarm = alarm;
    cell->quiet_since = 0;
    changes_cell(ledger, alarm->partner, cell);
    if (cell->source)
        source_pin(ledger, cell);
    take_over(ledger, partner, alarm, wall, run);
    index_insert(&ledger->alarms, (uint32_t[]){alarm->id}, alarm);
    tell(ledger, alarm, TRANSITION_RAISED, wall, run);
}

void alarm_refresh(struct ledger *ledger, const struct ledger_partner *partner, struct ledger_alarm *alarm,
                   int64_t wall, int64_t run)
{
    take_over(ledger, partner, alarm, wall, run);
    tell_change(ledger, alarm, wall, run);
}

void alarm_clear(struct ledger *ledger, struct ledger_alarm *alarm, int64_t wall, int64_t run)
{
    index_remove(&ledger->alarms, (uint32_t[]){alarm->id});
    changes_gone(ledger, LEDGER_ROW_ALARM, &alarm->mark, &alarm->id);
    alarm_count_active(ledger, alarm, -1);
    alarm->cell->alarm = NULL;
    alarm->cell->quiet_since = 0;
    changes_cell(ledger, alarm->partner, alarm->cell);
    alarm->total = alarm->cell->count;
    alarm->state = ALARM_CLEARED;
    tell(ledger, alarm, TRANSITION_CLEARED, wall, run);
    if (alarm->source)
        source_unpin(ledger, alarm->cell);
    free(alarm);
}

/* Whether, for one whole window, the sum has been below half the threshold while the last walk was no failure. */
static bool is_quiet(struct ledger_cell *cell, const struct conf_threshold *threshold, uint32_t sum, int64_t run)
{
    bool failing = cell->health == HEALTH_WARNING || cell->health == HEALTH_CRITICAL;
    if (failing || (uint64_t)sum * 2 >= threshold->count) {
        cell->quiet_since = 0;
        return false;
    }
    if (!cell->quiet_since)
        cell->quiet_since = run;
    return run - cell->quiet_since >= threshold->window * CLOCK_SECOND;
}

const struct conf_threshold *alarm_threshold(const struct ledger *ledger, const struct ledger_partner *partner,
                                             const struct ledger_cell *cell)
{
    return ledger_threshold(ledger, cell->source ? NULL : partner, cell->event);
}

void alarm_counted(struct ledger *ledger, const struct ledger_partner *partner, struct ledger_cell *cell, int64_t wall,
                   int64_t run)
{
    if (cell->alarm)
        alarm_refresh(ledger, partner, cell->alarm, wall, run);
    else if (ledger_window(ledger, cell, partner, run) >= alarm_threshold(ledger, partner, cell)->count)
        alarm_raise(ledger, partner, cell, wall, run);
}

/* Whether walks that find nothing can end the alarm: it does not hang on the date, and the edge sees nothing either. */
static bool walks_can_clear(const struct ledger *ledger, const struct ledger_cell *cell,
                            const struct conf_threshold *threshold, int64_t run)
{
    bool edge_quiet = !cell->edge_run || run - cell->edge_run >= threshold->window * CLOCK_SECOND;
    return threshold->clear && cell->successes_in_row >= threshold->clear && edge_quiet &&
           !storm_doubts(ledger, cell->alarm->reason);
}

void alarm_walked(struct ledger *ledger, struct ledger_partner *partner, struct ledger_cell *cell, int64_t wall,
                  int64_t run)
{
    const struct conf_threshold *threshold = ledger_threshold(ledger, partner, cell->event);
    if (cell->failures_in_walk && cell->alarm)
        alarm_refresh(ledger, partner, cell->alarm, wall, run);
    else if (cell->failures_in_walk && ledger_window(ledger, cell, partner, run) >= threshold->count)
        alarm_raise(ledger, partner, cell, wall, run);
    else if (cell->alarm && walks_can_clear(ledger, cell, threshold, run))
        alarm_clear(ledger, cell->alarm, wall, run);
}

void alarm_tick(struct ledger *ledger, int64_t wall, int64_t run)
{
    for (size_t i = 0; i < ledger->alarms.count;) {
        struct ledger_alarm *alarm = ledger->alarms.entries[i].cell;
        const struct ledger_partner *partner = index_find(&ledger->partners, (uint32_t[]){alarm->partner});
        const struct conf_threshold *threshold = alarm_threshold(ledger, partner, alarm->cell);
        uint32_t sum = ledger_window(ledger, alarm->cell, partner, run);
        if (alarm->window_count != sum || alarm->window_seconds != threshold->window)
            changes_alarm(ledger, alarm);
        alarm->window_count = sum;
        alarm->window_seconds = threshold->window;
        /* A cell of the monitor itself counts as failing until ledger_self ends it, so it is never quiet. */
        bool doubtful = storm_doubts(ledger, alarm->reason);
        int64_t quiet_since = alarm->cell->quiet_since;
        if (!doubtful && is_quiet(alarm->cell, threshold, sum, run)) {
            alarm_clear(ledger, alarm, wall, run);
            continue;
        }
        if (alarm->cell->quiet_since != quiet_since)
            changes_cell(ledger, alarm->partner, alarm->cell);
        set_severity(ledger, partner, alarm, wall);
        tell_change(ledger, alarm, wall, run);
        i++;
    }
}
