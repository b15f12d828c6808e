/*
 * Rows come in the order of enum ledger_row, so that each finds what it belongs to: names before partners, partners before
 * their cells, cells before alarms. What can be told from other rows is told from them: how many rows there are, which
 * severities are active, which cell has an alarm. ledger_bind settles the rest, as after any other configuration.
 *
 * A row is believed as to its meaning, not as to its form: numbers that index arrays, ends of texts and times are put
 * right, so that a row that somebody changed by hand may tell nonsense but does no harm. Where a row is not as it was told
 * any more it counts as changed: it has to be the same after another restart.
 */
#include <stdlib.h>
#include <string.h>

#include "ledger/alarm.h"
#include "ledger/cell.h"
#include "ledger/changes.h"
#include "ledger/storm.h"

/* ---- run times ---- */

typedef void change_run(int64_t *run, int64_t by);
typedef void change_window(struct window *window, int64_t by);

static void runs_of_cell(struct ledger_cell *cell, change_run *change, change_window *slide, int64_t by)
{
    change(&cell->last.run, by);
    change(&cell->quiet_since, by);
    change(&cell->edge_run, by);
    slide(&cell->window, by);
}

static void runs_of_partner(struct ledger_partner *partner, change_run *change, int64_t by)
{
    change(&partner->walk_run, by);
    change(&partner->success_run, by);
    change(&partner->failure_run, by);
    change(&partner->edge.last_run, by);
}

static void runs_of_state(struct ledger_state *state, change_run *change, int64_t by)
{
    change(&state->counted_run, by);
    change(&state->seen_run, by);
    change(&state->alarms_changed_run, by);
    change(&state->clock_run, by);
}

static void runs_of(enum ledger_row kind, void *row, change_run *change, change_window *slide, int64_t by)
{
    switch (kind) {
    case LEDGER_ROW_STATE:
        runs_of_state(row, change, by);
        break;
    case LEDGER_ROW_TOTAL:
    case LEDGER_ROW_SELF:
    case LEDGER_ROW_PARTNER_EVENT:
        runs_of_cell(row, change, slide, by);
        break;
    case LEDGER_ROW_PARTNER:
        runs_of_partner(row, change, by);
        break;
    case LEDGER_ROW_PROBE:
        change(&((struct ledger_probe *)row)->last_run, by);
        change(&((struct ledger_probe *)row)->success_run, by);
        break;
    case LEDGER_ROW_SOURCE:
        runs_of_cell(&((struct ledger_source *)row)->cell, change, slide, by);
        break;
    case LEDGER_ROW_ALARM:
        change(&((struct ledger_alarm *)row)->told_run, by);
        break;
    default:
        break;
    }
}

static void add(int64_t *run, int64_t by)
{
    if (*run == CLOCK_NEVER)
        return;
    if (__builtin_add_overflow(*run, by, run))
        *run = by < 0 ? INT64_MIN : INT64_MAX;
    if (*run == CLOCK_NEVER)
        *run = -1;
}

void ledger_row_move(enum ledger_row kind, void *row, int64_t by)
{
    runs_of(kind, row, add, window_move, by);
    if (kind == LEDGER_ROW_STATE) {
        struct ledger_state *state = row;
        state->clock_offset -= by;
        state->clock_before -= by;
    }
}

/* What says that it was later than now was told by another clock. */
static void limit(int64_t *run, int64_t now)
{
    if (*run > now)
        *run = now;
    if (*run < INT64_MIN / 4)
        *run = INT64_MIN / 4;
}

/* ---- form ---- */

#define END_TEXT(text) ((text)[sizeof(text) - 1] = '\0')

static void set_reason(enum reason *reason)
{
    *reason = reason_info(*reason)->reason;
}

static void set_health(enum health *health)
{
    if (*health < HEALTH_OK || *health > HEALTH_UNKNOWN)
        *health = HEALTH_UNKNOWN;
}

static void set_address(struct address *address)
{
    if (address->family > ADDRESS_IPV6)
        *address = (struct address){.family = ADDRESS_UNKNOWN};
}

/* One that never was anything else keeps its 0. */
static void set_failure(struct ledger_failure *failure)
{
    if (failure->wall != CLOCK_NEVER)
        set_reason(&failure->reason);
    set_address(&failure->address);
    END_TEXT(failure->target);
    END_TEXT(failure->detail);
}

/* Nobody saw what was while nothing ran: what has been quiet for a while has been so for as long as it was looked at. */
static void set_cell(const struct ledger *ledger, struct ledger_cell *cell)
{
    set_failure(&cell->last);
    if (cell->health)
        set_health(&cell->health);
    if (!cell->quiet_since)
        return;
    int64_t quiet = ledger->seen_run - cell->quiet_since;
    cell->quiet_since = quiet > 0 ? ledger->start_run - quiet : ledger->start_run;
}

static void *row_copy(enum ledger_row kind, const void *row)
{
    void *copy = cell_allocate(ledger_row_size(kind));
    memcpy(copy, row, ledger_row_size(kind));
    return copy;
}

/* ---- rows ---- */

static bool restore_state(struct ledger *ledger, const struct ledger_state *state)
{
    ledger->counted_wall = state->counted_wall;
    ledger->counted_run = state->counted_run;
    ledger->seen_run = state->seen_run;
    ledger->alarms_changed_wall = state->alarms_changed_wall;
    ledger->alarms_changed_run = state->alarms_changed_run;
    ledger->storm.clock_known = true;
    ledger->storm.clock_offset = state->clock_offset;
    ledger->storm.clock_before = state->clock_before;
    ledger->storm.clock_run = state->clock_run;
    ledger->storm.clock_doubtful = state->clock_doubtful;
    ledger->walks = state->walks;
    ledger->walks_late = state->walks_late;
    ledger->observations = state->observations;
    ledger->edge_failures = state->edge_failures;
    ledger->storm.held = state->held;
    ledger->sequence = state->sequence;
    ledger->partner_last = state->partner_last;
    ledger->alarm_last = state->alarm_last;
    sources_restore(ledger, &(struct source_counts){.evicted = state->sources_evicted,
                                                    .refused = state->sources_refused,
                                                    .index_last = state->source_last});
    return true;
}

/* Room for one more at the end of an array of `count`, which doubles. */
static void *room_for_one(void *array, size_t count, size_t size)
{
    if (count & (count - 1))
        return array;
    array = reallocarray(array, count ? 2 * count : 1, size);
    if (!array)
        abort();
    return array;
}

#define NAMES_MAX 10000000 /* a number is a place in an array */

static bool restore_name(struct ledger *ledger, uint32_t number, const struct ledger_name *name)
{
    if (!number || number > NAMES_MAX || !name->name[0])
        return false;
    ledger->names = room_for_one(ledger->names, ledger->name_count, sizeof *ledger->names);
    struct ledger_name *copy = &ledger->names[ledger->name_count++];
    *copy = *name;
    copy->number = number;
    END_TEXT(copy->name);
    changes_kept(ledger, LEDGER_ROW_NAME, &copy->mark);
    if (number > ledger->name_last)
        ledger->name_last = number;
    return true;
}

static bool restore_fixed(struct ledger *ledger, uint32_t index)
{
    if (!index)
        return false;
    ledger->fixed = room_for_one(ledger->fixed, ledger->fixed_count, sizeof *ledger->fixed);
    ledger->fixed[ledger->fixed_count++] = index;
    return true;
}

static bool restore_total(struct ledger *ledger, uint32_t event, struct ledger_cell *row)
{
    struct ledger_cell *total = event_info((enum event)event) ? &ledger->events[event] : NULL;
    if (!total)
        return false;
    const struct ledger_mark mark = total->mark;
    set_cell(ledger, row);
    *total = *row;
    total->event = (enum event)event;
    total->mark = mark;
    changes_kept(ledger, LEDGER_ROW_TOTAL, &total->mark);
    return true;
}

static bool restore_reason(struct ledger *ledger, uint32_t reason, const struct ledger_reason *row)
{
    struct ledger_reason *known = index_find(&ledger->reasons, (uint32_t[]){reason});
    if (!known)
        return false;
    const struct ledger_mark mark = known->mark;
    *known = *row;
    known->reason = (enum reason)reason;
    known->mark = mark;
    changes_kept(ledger, LEDGER_ROW_REASON, &known->mark);
    return true;
}

static bool reason_known(uint32_t reason)
{
    return reason_info((enum reason)reason)->reason == (enum reason)reason;
}

/* Takes a copy of a row into an index; false, and it is freed, when its key is taken. */
static bool restore_into(struct ledger *ledger, struct index *index, enum ledger_row kind, const uint32_t key[],
                         void *copy)
{
    if (!index_insert(index, key, copy)) {
        free(copy);
        return false;
    }
    changes_kept(ledger, kind, changes_mark_of(kind, copy));
    return true;
}

static bool restore_self(struct ledger *ledger, const uint32_t key[], struct ledger_cell *row)
{
    if (!reason_known(key[0]))
        return false;
    set_cell(ledger, row);
    row->event = EVENT_MONITOR_SELF;
    row->source = 0;
    if (row->last.wall != CLOCK_NEVER)
        row->last.reason = (enum reason)key[0];
    row->unconfirmed = true;
    return restore_into(ledger, &ledger->self, LEDGER_ROW_SELF, key, row_copy(LEDGER_ROW_SELF, row));
}

static bool restore_partner(struct ledger *ledger, const uint32_t key[], struct ledger_partner *row)
{
    if (!ledger->name_positions)
        names_sort(ledger);
    struct ledger_name *name = ledger_name_at(ledger, row->name);
    if (!key[0] || !name || name->index != key[0] || name->partner)
        return false;
    row->index = key[0];
    set_health(&row->health);
    set_reason(&row->reason);
    if (row->edge.since_wall != CLOCK_NEVER)
        set_reason(&row->edge.reason);
    if (!event_info(row->edge.event))
        row->edge.event = EVENT_NONE;
    struct ledger_partner *copy = row_copy(LEDGER_ROW_PARTNER, row);
    copy->probe_count = 0;
    if (!restore_into(ledger, &ledger->partners, LEDGER_ROW_PARTNER, key, copy))
        return false;
    name->partner = copy;
    return true;
}

static bool restore_partner_event(struct ledger *ledger, const uint32_t key[], struct ledger_cell *row)
{
    struct ledger_partner *partner = index_find(&ledger->partners, key);
    if (!partner || !event_info((enum event)key[1]))
        return false;
    set_cell(ledger, row);
    row->event = (enum event)key[1];
    row->source = 0;
    struct ledger_cell *copy = row_copy(LEDGER_ROW_PARTNER_EVENT, row);
    if (!restore_into(ledger, &ledger->partner_events, LEDGER_ROW_PARTNER_EVENT, key, copy))
        return false;
    partner->events[key[1]] = copy;
    return true;
}

static bool restore_partner_reason(struct ledger *ledger, const uint32_t key[], struct ledger_reason *row)
{
    if (!index_find(&ledger->partners, key) || !reason_known(key[1]))
        return false;
    row->reason = (enum reason)key[1];
    return restore_into(ledger, &ledger->partner_reasons, LEDGER_ROW_PARTNER_REASON, key,
                        row_copy(LEDGER_ROW_PARTNER_REASON, row));
}

static bool restore_probe(struct ledger *ledger, const uint32_t key[], struct ledger_probe *row)
{
    struct ledger_partner *partner = index_find(&ledger->partners, key);
    struct observation_probe *value = &row->value;
    if (!partner || !key[1] || partner->probe_count >= LEDGER_PROBES_MAX || value->kind < PROBE_SERVICE ||
        value->kind > PROBE_ENDPOINT)
        return false;
    row->index = key[1];
    set_health(&row->health);
    set_reason(&value->reason);
    set_address(&value->address);
    if (!event_info(value->event))
        value->event = EVENT_NONE;
    END_TEXT(value->target);
    END_TEXT(value->resolver);
    END_TEXT(value->tls_version);
    END_TEXT(value->cipher);
    END_TEXT(value->detail);
    struct ledger_probe *copy = row_copy(LEDGER_ROW_PROBE, row);
    copy->certificate_count = 0;
    if (!restore_into(ledger, &ledger->probes, LEDGER_ROW_PROBE, key, copy))
        return false;
    partner->probe_count++;
    if (key[1] > partner->probe_last)
        partner->probe_last = key[1];
    return true;
}

static bool restore_certificate(struct ledger *ledger, const uint32_t key[], struct ledger_certificate *row)
{
    struct ledger_probe *probe = index_find(&ledger->probes, key);
    struct observation_certificate *value = &row->value;
    if (!probe || !key[2] || key[2] > OBSERVATION_CHAIN_MAX)
        return false;
    set_reason(&value->reason);
    set_address(&value->address);
    END_TEXT(value->target);
    END_TEXT(value->subject);
    END_TEXT(value->names);
    END_TEXT(value->issuer);
    END_TEXT(value->serial);
    END_TEXT(value->key_algorithm);
    END_TEXT(value->signature_algorithm);
    if (!restore_into(ledger, &ledger->certificates, LEDGER_ROW_CERTIFICATE, key,
                      row_copy(LEDGER_ROW_CERTIFICATE, row)))
        return false;
    probe->certificate_count++;
    return true;
}

static bool restore_source(struct ledger *ledger, uint32_t index, struct ledger_source *row)
{
    if (!index || !event_info(row->cell.event))
        return false;
    row->index = row->cell.source = index;
    set_cell(ledger, &row->cell);
    set_address(&row->address);
    END_TEXT(row->name);
    END_TEXT(row->subject);
    END_TEXT(row->issuer);
    END_TEXT(row->serial);
    if (row->user_count > SOURCE_USERS)
        row->user_count = SOURCE_USERS;
    for (size_t i = 0; i < SOURCE_USERS; i++)
        END_TEXT(row->users[i]);
    if (row->reason_count > SOURCE_REASONS)
        row->reason_count = SOURCE_REASONS;
    for (size_t i = 0; i < row->reason_count; i++)
        set_reason(&row->reasons[i].reason);
    struct ledger_source *copy = row_copy(LEDGER_ROW_SOURCE, row);
    if (!source_restore(ledger, copy)) {
        free(copy);
        return false;
    }
    changes_kept(ledger, LEDGER_ROW_SOURCE, &copy->cell.mark);
    return true;
}

static struct ledger_cell *cell_of(struct ledger *ledger, const struct ledger_alarm *alarm)
{
    if (alarm->source) {
        struct ledger_source *source = source_at(ledger, alarm->source);
        return source ? &source->cell : NULL;
    }
    if (!alarm->partner)
        return index_find(&ledger->self, (uint32_t[]){(uint32_t)alarm->reason});
    const struct ledger_partner *partner = index_find(&ledger->partners, &alarm->partner);
    return partner && event_info(alarm->event) ? partner->events[alarm->event] : NULL;
}

static bool restore_alarm(struct ledger *ledger, const uint32_t key[], struct ledger_alarm *row)
{
    struct ledger_cell *cell = cell_of(ledger, row);
    bool severe = row->severity >= SEVERITY_INDETERMINATE && row->severity <= SEVERITY_WARNING;
    if (!key[0] || !cell || cell->alarm || cell->event != row->event || !severe || row->state != ALARM_RAISED)
        return false;
    row->id = key[0];
    set_reason(&row->reason);
    set_reason(&row->told_reason);
    set_address(&row->address);
    END_TEXT(row->name);
    END_TEXT(row->contact);
    END_TEXT(row->target);
    END_TEXT(row->detail);
    struct ledger_alarm *copy = row_copy(LEDGER_ROW_ALARM, row);
    if (!restore_into(ledger, &ledger->alarms, LEDGER_ROW_ALARM, key, copy))
        return false;
    copy->cell = cell;
    cell->alarm = copy;
    if (cell->source)
        source_pin(ledger, cell);
    alarm_count_active(ledger, copy, 1);
    if (row->id > ledger->alarm_last)
        ledger->alarm_last = row->id;
    ledger->self_unconfirmed |= !row->partner && !row->source;
    return true;
}

static bool restore(struct ledger *ledger, enum ledger_row kind, const uint32_t key[], void *row)
{
    switch (kind) {
    case LEDGER_ROW_STATE:
        return restore_state(ledger, row);
    case LEDGER_ROW_NAME:
        return restore_name(ledger, key[0], row);
    case LEDGER_ROW_TOTAL:
        return restore_total(ledger, key[0], row);
    case LEDGER_ROW_REASON:
        return restore_reason(ledger, key[0], row);
    case LEDGER_ROW_SELF:
        return restore_self(ledger, key, row);
    case LEDGER_ROW_PARTNER:
        return restore_partner(ledger, key, row);
    case LEDGER_ROW_PARTNER_EVENT:
        return restore_partner_event(ledger, key, row);
    case LEDGER_ROW_PARTNER_REASON:
        return restore_partner_reason(ledger, key, row);
    case LEDGER_ROW_PROBE:
        return restore_probe(ledger, key, row);
    case LEDGER_ROW_CERTIFICATE:
        return restore_certificate(ledger, key, row);
    case LEDGER_ROW_SOURCE:
        return restore_source(ledger, key[0], row);
    case LEDGER_ROW_ALARM:
        return restore_alarm(ledger, key, row);
    case LEDGER_ROW_FIXED:
    case LEDGER_ROW_END:
        break;
    }
    return false;
}

struct ledger *ledger_restore_begin(int64_t wall, int64_t run, ledger_report *report, void *context)
{
    struct ledger *ledger = ledger_begin(wall, run, report, context);
    ledger->seen_run = INT64_MIN / 2; /* not known: nothing has been quiet for any time */
    return ledger;
}

bool ledger_restore_row(struct ledger *ledger, enum ledger_row kind, const uint32_t key[INDEX_PARTS], const void *row)
{
    if (kind == LEDGER_ROW_FIXED)
        return restore_fixed(ledger, key[0]);
    size_t size = ledger_row_size(kind);
    if (!size)
        return false;
    union any_row told, room;
    memcpy(&told, row, size);
    image_strip(kind, &told);
    memcpy(&room, &told, size);
    runs_of(kind, &room, limit, window_until, ledger->start_run);
    if (!restore(ledger, kind, key, &room))
        return false;
    image_strip(kind, &room);
    if (memcmp(&room, &told, size) != 0)
        image_differs(ledger, kind, key);
    return true;
}

void restore_settle(struct ledger *ledger)
{
    names_sort(ledger);
    fixed_sort(ledger, ledger->fixed_count);
    storm_restore(ledger);
    ledger->seen_run = ledger->start_run;
}
