/* Counts are exact wherever they appear: one failure is one in each of the places that it belongs to. */
#include "ledger/cell.h"

#include <stdlib.h>

#include "ledger/changes.h"

void *cell_allocate(size_t size)
{
    void *cell = calloc(1, size);
    if (!cell)
        abort();
    return cell;
}

struct ledger_cell *ledger_cell_make(struct ledger *ledger, struct ledger_partner *partner, enum event event)
{
    if (!partner->events[event]) {
        struct ledger_cell *cell = cell_allocate(sizeof *cell);
        cell->event = event;
        cell->health = HEALTH_UNKNOWN;
        partner->events[event] = cell;
        index_insert(&ledger->partner_events, (uint32_t[]){partner->index, (uint32_t)event}, cell);
        changes_cell(ledger, partner->index, cell);
    }
    return partner->events[event];
}

static void count_reason(struct ledger *ledger, enum ledger_row kind, const uint32_t key[], enum reason reason,
                         uint32_t count, int64_t wall)
{
    struct index *index = kind == LEDGER_ROW_REASON ? &ledger->reasons : &ledger->partner_reasons;
    struct ledger_reason *row = index_find(index, key);
    if (!row) {
        row = cell_allocate(sizeof *row);
        row->reason = reason;
        index_insert(index, key, row);
    }
    if (!row->count)
        row->first_wall = wall;
    row->count += count;
    row->last_wall = wall;
    changes_row(ledger, kind, &row->mark, key);
}

void cell_count_total(struct ledger *ledger, const struct ledger_failure *failure, enum event event, uint32_t count)
{
    struct ledger_cell *total = &ledger->events[event];
    total->count += count;
    window_add(&total->window, ledger_threshold(ledger, NULL, event)->window, failure->run, count);
    total->last = *failure;
    changes_total(ledger, total);
}

void cell_failed(struct ledger *ledger, const struct ledger_failure *failure, enum event event, uint32_t count,
                 const struct ledger_partner *partner, const struct ledger_source *source)
{
    if (ledger->failed)
        ledger->failed(ledger->failed_context, failure, event, count, partner, source);
}

void cell_count_reason(struct ledger *ledger, const struct ledger_partner *partner, enum reason reason, uint32_t count,
                       int64_t wall)
{
    count_reason(ledger, LEDGER_ROW_REASON, (uint32_t[]){(uint32_t)reason}, reason, count, wall);
    if (partner)
        count_reason(ledger, LEDGER_ROW_PARTNER_REASON, (uint32_t[]){partner->index, (uint32_t)reason}, reason, count,
                     wall);
}
