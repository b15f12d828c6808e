#ifndef FEDWARDEN_LEDGER_EVENT_APPLY_H
#define FEDWARDEN_LEDGER_EVENT_APPLY_H

/* What the edge saw. For the files of ledger/ alone. */

#include "ledger/source.h"

/* event_apply(ledger, observation): an OBSERVATION_EVENT: says who it was, counts it and judges the alarm. */
void event_apply(struct ledger *ledger, const struct observation *observation);

/* event_fitting_reason(event, reason, foreign): the reason that says the same where it is counted as `event`;
 * `foreign`: what was asked for is a domain that is not ours. */
enum reason event_fitting_reason(enum event event, enum reason reason, bool foreign);

/*
 * event_describe(event, reason, told, source, out, size): the detail of a failure, for people: the values that guidance
 * needs first, then what the rule gave. `source` is the row that has counted it; NULL: a partner's.
 */
void event_describe(enum event event, enum reason reason, const struct observation_event *told,
                    const struct ledger_source *source, char *out, size_t size);

#endif
