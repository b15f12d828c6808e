#ifndef FEDWARDEN_LEDGER_CELL_H
#define FEDWARDEN_LEDGER_CELL_H

/* Cells and what is counted in them. For the files of ledger/ alone. */

#include "ledger/ledger.h"

/* cell_allocate(size): zeroed; aborts without memory. */
void *cell_allocate(size_t size);

/* ledger_cell_make(ledger, partner, event): the cell of that event, made when there is none yet. */
struct ledger_cell *ledger_cell_make(struct ledger *ledger, struct ledger_partner *partner, enum event event);

/* cell_count_total(ledger, failure, event, count): in the total of the event. */
void cell_count_total(struct ledger *ledger, const struct ledger_failure *failure, enum event event, uint32_t count);

/* cell_failed(ledger, failure, event, count, partner, source): tells whom ledger_failures named; once a failure. */
void cell_failed(struct ledger *ledger, const struct ledger_failure *failure, enum event event, uint32_t count,
                 const struct ledger_partner *partner, const struct ledger_source *source);

/* cell_count_reason(ledger, partner, reason, count, wall): in the catalogue, and of the partner; NULL: of none. */
void cell_count_reason(struct ledger *ledger, const struct ledger_partner *partner, enum reason reason, uint32_t count,
                       int64_t wall);

#endif
