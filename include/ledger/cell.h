#ifndef FEDWARDEN_LEDGER_CELL_H
#define FEDWARDEN_LEDGER_CELL_H

/* Cells of partners. For the files of ledger/ alone. */

#include "ledger/ledger.h"

/* ledger_cell_make(ledger, partner, event): the cell of that event, made when there is none yet. */
struct ledger_cell *ledger_cell_make(struct ledger *ledger, struct ledger_partner *partner, enum event event);

#endif
