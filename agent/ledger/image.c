/*
 * Each row has a mark: its place in the list of changes of its kind, and whether a row with its key was ever told. A list
 * holds keys, not pointers: what a key finds when changes are taken is what is told, and a row that went is a key that
 * finds nothing. A row is listed once however often it changes; one that is made and goes in between gives its place
 * back. So no list is longer than the rows that there are and those that there were when changes were last taken,
 * however long that is ago.
 *
 * What goes and is made again under the same key (a number that another partner gets) is listed twice: the first entry
 * finds the new row and tells it, the second finds it told.
 *
 * What is told is a copy without what means nothing outside of this process.
 */
#include "ledger/changes.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "ledger/cell.h"

struct change {
    uint32_t key[INDEX_PARTS]; /* [0] is 0 in a place that is free; [1] then is the next free one, from 1; 0 none */
};

struct change_list {
    struct change *entries;
    size_t count, room;
    uint32_t free;
};

struct changes {
    struct change_list lists[LEDGER_ROW_END];
    size_t pending; /* entries that are not free */
    bool state;
    int64_t state_run; /* the tick that listed it */
};

struct changes *changes_new(void)
{
    return cell_allocate(sizeof(struct changes));
}

void changes_free(struct changes *changes)
{
    if (!changes)
        return;
    for (int kind = 0; kind < LEDGER_ROW_END; kind++)
        free(changes->lists[kind].entries);
    free(changes);
}

/* How many parts the keys of a kind have, how large its struct is and where in it the mark is. */
#define KIND(parts, type)      {parts, sizeof(struct type), offsetof(struct type, mark)}
#define KIND_PLAIN(parts, size) {parts, size, SIZE_MAX}
static const struct {
    unsigned parts;
    size_t size, mark;
} kinds[LEDGER_ROW_END] = {
    [LEDGER_ROW_STATE] = KIND_PLAIN(0, sizeof(struct ledger_state)),
    [LEDGER_ROW_NAME] = KIND(1, ledger_name),
    [LEDGER_ROW_FIXED] = KIND_PLAIN(1, 0),
    [LEDGER_ROW_TOTAL] = KIND(1, ledger_cell),
    [LEDGER_ROW_REASON] = KIND(1, ledger_reason),
    [LEDGER_ROW_SELF] = KIND(1, ledger_cell),
    [LEDGER_ROW_PARTNER] = KIND(1, ledger_partner),
    [LEDGER_ROW_PARTNER_EVENT] = KIND(2, ledger_cell),
    [LEDGER_ROW_PARTNER_REASON] = KIND(2, ledger_reason),
    [LEDGER_ROW_PROBE] = KIND(2, ledger_probe),
    [LEDGER_ROW_CERTIFICATE] = KIND(3, ledger_certificate),
    [LEDGER_ROW_SOURCE] = {1, sizeof(struct ledger_source), offsetof(struct ledger_source, cell.mark)},
    [LEDGER_ROW_ALARM] = KIND(1, ledger_alarm),
};

size_t ledger_row_size(enum ledger_row kind)
{
    return kind > 0 && kind < LEDGER_ROW_END ? kinds[kind].size : 0;
}

struct ledger_mark *changes_mark_of(enum ledger_row kind, void *row)
{
    return kinds[kind].mark == SIZE_MAX ? NULL : (struct ledger_mark *)((char *)row + kinds[kind].mark);
}

/* ---- the lists ---- */

static uint32_t list_add(struct changes *changes, enum ledger_row kind, const uint32_t key[])
{
    struct change_list *list = &changes->lists[kind];
    uint32_t place = list->free;
    if (place) {
        list->free = list->entries[place - 1].key[1];
    } else {
        if (list->count == list->room) {
            list->room = list->room ? 2 * list->room : 64;
            list->entries = reallocarray(list->entries, list->room, sizeof *list->entries);
            if (!list->entries)
                abort();
        }
        place = (uint32_t)++list->count;
    }
    struct change *entry = &list->entries[place - 1];
    *entry = (struct change){{0}};
    memcpy(entry->key, key, kinds[kind].parts * sizeof key[0]);
    changes->pending++;
    return place;
}

static void list_drop(struct changes *changes, enum ledger_row kind, uint32_t place)
{
    struct change_list *list = &changes->lists[kind];
    list->entries[place - 1] = (struct change){{0, list->free}};
    list->free = place;
    changes->pending--;
}

void changes_row(struct ledger *ledger, enum ledger_row kind, struct ledger_mark *mark, const uint32_t key[])
{
    if (!mark->listed)
        mark->listed = list_add(ledger->changes, kind, key);
}

void changes_gone(struct ledger *ledger, enum ledger_row kind, struct ledger_mark *mark, const uint32_t key[])
{
    if (mark->kept && !mark->listed)
        list_add(ledger->changes, kind, key);
    else if (!mark->kept && mark->listed)
        list_drop(ledger->changes, kind, mark->listed);
    *mark = (struct ledger_mark){.listed = 0};
}

void changes_kept(struct ledger *ledger, enum ledger_row kind, struct ledger_mark *mark)
{
    if (mark->listed)
        list_drop(ledger->changes, kind, mark->listed);
    *mark = (struct ledger_mark){.kept = true};
}

/* FIXED rows have no mark: they come once and never change. */
void changes_fixed(struct ledger *ledger, uint32_t index)
{
    list_add(ledger->changes, LEDGER_ROW_FIXED, &index);
}

void changes_state(struct ledger *ledger)
{
    ledger->changes->state = true;
}

void changes_tick(struct ledger *ledger, int64_t run)
{
    struct changes *changes = ledger->changes;
    ledger->seen_run = run;
    if (run - changes->state_run < LEDGER_STATE_EVERY)
        return;
    changes->state_run = run;
    changes->state = true;
}

void changes_partner(struct ledger *ledger, struct ledger_partner *partner)
{
    changes_row(ledger, LEDGER_ROW_PARTNER, &partner->mark, &partner->index);
}

void changes_cell(struct ledger *ledger, uint32_t partner, struct ledger_cell *cell)
{
    if (cell->mark.listed)
        return;
    if (cell->source)
        changes_row(ledger, LEDGER_ROW_SOURCE, &cell->mark, &cell->source);
    else if (partner)
        changes_row(ledger, LEDGER_ROW_PARTNER_EVENT, &cell->mark, (uint32_t[]){partner, (uint32_t)cell->event});
    else
        changes_row(ledger, LEDGER_ROW_SELF, &cell->mark, (uint32_t[]){(uint32_t)cell->last.reason});
}

void changes_total(struct ledger *ledger, struct ledger_cell *cell)
{
    changes_row(ledger, LEDGER_ROW_TOTAL, &cell->mark, (uint32_t[]){(uint32_t)cell->event});
}

void changes_probe(struct ledger *ledger, const struct ledger_partner *partner, struct ledger_probe *probe)
{
    changes_row(ledger, LEDGER_ROW_PROBE, &probe->mark, (uint32_t[]){partner->index, probe->index});
}

void changes_alarm(struct ledger *ledger, struct ledger_alarm *alarm)
{
    changes_row(ledger, LEDGER_ROW_ALARM, &alarm->mark, &alarm->id);
}

/* ---- taking them ---- */

static void *row_find(const struct ledger *ledger, enum ledger_row kind, const uint32_t key[])
{
    switch (kind) {
    case LEDGER_ROW_NAME:
        return ledger_name_at(ledger, key[0]);
    case LEDGER_ROW_TOTAL:
        return (void *)&ledger->events[key[0]];
    case LEDGER_ROW_REASON:
        return index_find(&ledger->reasons, key);
    case LEDGER_ROW_SELF:
        return index_find(&ledger->self, key);
    case LEDGER_ROW_PARTNER:
        return index_find(&ledger->partners, key);
    case LEDGER_ROW_PARTNER_EVENT:
        return index_find(&ledger->partner_events, key);
    case LEDGER_ROW_PARTNER_REASON:
        return index_find(&ledger->partner_reasons, key);
    case LEDGER_ROW_PROBE:
        return index_find(&ledger->probes, key);
    case LEDGER_ROW_CERTIFICATE:
        return index_find(&ledger->certificates, key);
    case LEDGER_ROW_SOURCE:
        return source_at(ledger, key[0]);
    case LEDGER_ROW_ALARM:
        return index_find(&ledger->alarms, key);
    case LEDGER_ROW_STATE:
    case LEDGER_ROW_FIXED:
    case LEDGER_ROW_END:
        break;
    }
    return NULL;
}

void image_differs(struct ledger *ledger, enum ledger_row kind, const uint32_t key[])
{
    void *row = row_find(ledger, kind, key);
    struct ledger_mark *mark = row ? changes_mark_of(kind, row) : NULL;
    if (mark)
        changes_row(ledger, kind, mark, key);
    else if (kind == LEDGER_ROW_STATE)
        changes_state(ledger);
}

static void cell_strip(struct ledger_cell *cell)
{
    cell->failures_in_walk = cell->successes_in_walk = cell->held_in_walk = 0;
    cell->alarm = NULL;
    cell->unconfirmed = false;
}

static void partner_strip(struct ledger_partner *partner)
{
    partner->conf = NULL;
    memset(partner->events, 0, sizeof partner->events);
    partner->service_failures_in_walk = partner->endpoints_in_walk = partner->next_index = 0;
    partner->storm_newer = partner->storm_older = NULL;
    partner->storm_kind = STORM_NONE;
    partner->storm_listed = partner->storm_fresh = false;
}

void image_strip(enum ledger_row kind, void *row)
{
    union any_row *any = row;
    struct ledger_mark *mark = changes_mark_of(kind, row);
    if (mark)
        *mark = (struct ledger_mark){.listed = 0};
    switch (kind) {
    case LEDGER_ROW_NAME:
        any->name.partner = NULL;
        break;
    case LEDGER_ROW_TOTAL:
        cell_strip(&any->cell);
        any->cell.health = HEALTH_OK; /* follows from alarms */
        break;
    case LEDGER_ROW_SELF:
    case LEDGER_ROW_PARTNER_EVENT:
        cell_strip(&any->cell);
        break;
    case LEDGER_ROW_PARTNER:
        partner_strip(&any->partner);
        break;
    case LEDGER_ROW_PROBE:
        any->probe.seen_in_walk = false;
        any->probe.partner = NULL;
        any->probe.peer_next = NULL;
        any->probe.peer_link = NULL;
        break;
    case LEDGER_ROW_SOURCE:
        cell_strip(&any->source.cell);
        any->source.chain = any->source.index_chain = NULL;
        any->source.newer = any->source.older = any->source.next = any->source.previous = NULL;
        break;
    case LEDGER_ROW_ALARM:
        any->alarm.cell = NULL;
        break;
    default:
        break;
    }
}

static void list_take(struct ledger *ledger, enum ledger_row kind, void *context, ledger_changed *changed)
{
    struct change_list *list = &ledger->changes->lists[kind];
    union any_row copy;
    for (size_t i = 0; i < list->count; i++) {
        const uint32_t *key = list->entries[i].key;
        if (!key[0])
            continue;
        if (kind == LEDGER_ROW_FIXED) {
            changed(context, kind, key, key);
            continue;
        }
        void *row = row_find(ledger, kind, key);
        struct ledger_mark *mark = row ? changes_mark_of(kind, row) : NULL;
        if (mark && !mark->listed)
            continue;
        if (mark) {
            *mark = (struct ledger_mark){.kept = true};
            memcpy(&copy, row, kinds[kind].size);
            image_strip(kind, &copy);
        }
        changed(context, kind, key, row ? &copy : NULL);
    }
    list->count = 0;
    list->free = 0;
}

struct ledger_state image_state(const struct ledger *ledger)
{
    const struct ledger_storm *storm = &ledger->storm;
    struct source_counts sources = sources_counts(ledger);
    return (struct ledger_state){.counted_wall = ledger->counted_wall,
                                 .counted_run = ledger->counted_run,
                                 .seen_run = ledger->seen_run,
                                 .alarms_changed_wall = ledger->alarms_changed_wall,
                                 .alarms_changed_run = ledger->alarms_changed_run,
                                 .clock_offset = storm->clock_offset,
                                 .clock_before = storm->clock_before,
                                 .clock_run = storm->clock_run,
                                 .clock_doubtful = storm->clock_doubtful,
                                 .walks = ledger->walks,
                                 .walks_late = ledger->walks_late,
                                 .observations = ledger->observations,
                                 .edge_failures = ledger->edge_failures,
                                 .held = storm->held,
                                 .sequence = ledger->sequence,
                                 .sources_evicted = sources.evicted,
                                 .sources_refused = sources.refused,
                                 .partner_last = ledger->partner_last,
                                 .alarm_last = ledger->alarm_last,
                                 .source_last = sources.index_last};
}

void ledger_changes_take(struct ledger *ledger, void *context, ledger_changed *changed)
{
    struct changes *changes = ledger->changes;
    if (changes->state) {
        struct ledger_state state = image_state(ledger);
        changed(context, LEDGER_ROW_STATE, (uint32_t[INDEX_PARTS]){0}, &state);
    }
    for (int kind = LEDGER_ROW_NAME; kind < LEDGER_ROW_END; kind++)
        list_take(ledger, kind, context, changed);
    changes->state = false;
    changes->pending = 0;
}

bool ledger_changes_any(const struct ledger *ledger)
{
    return ledger->changes->state || ledger->changes->pending;
}
