#ifndef FEDWARDEN_LEDGER_PROBE_ROWS_H
#define FEDWARDEN_LEDGER_PROBE_ROWS_H

/* Rows of the probe and certificate tables: made, kept and given up as walks see them. For the files of ledger/ alone.
 */

#include "ledger/ledger.h"

/* probe_row_apply(ledger, partner, observation): stores an OBSERVATION_PROBE; nothing when there is no room for its
 * row. */
void probe_row_apply(struct ledger *ledger, struct ledger_partner *partner, const struct observation *observation);

/* probe_row_certificate(...): stores an OBSERVATION_CERTIFICATE with the row of its endpoint; nothing without one. */
void probe_row_certificate(struct ledger *ledger, struct ledger_partner *partner,
                           const struct observation *observation);

/* probe_row_walked(ledger, partner, walk): judges who was absent, gives up rows, sets partner->not_after. */
void probe_row_walked(struct ledger *ledger, struct ledger_partner *partner, const struct observation_walk *walk);

#endif
