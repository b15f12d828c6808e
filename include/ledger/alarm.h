#ifndef FEDWARDEN_LEDGER_ALARM_H
#define FEDWARDEN_LEDGER_ALARM_H

/* When a cell's alarm is raised, changed and cleared. For the files of ledger/ alone; others read ledger->alarms. */

#include "ledger/ledger.h"

/*
 * alarm_severity(reason, not_after, wall, conf): of an alarm with that reason. That of the reason, but: what is
 * unclassified, or the "other" of a layer, has no guidance of its own and is a warning; tlsExpiringSoon is a warning, and
 * minor or major from so many days before `not_after` as the partner's `conf` says (NULL: it stays a warning).
 */
enum severity alarm_severity(enum reason reason, int64_t not_after, int64_t wall, const struct conf_partner *conf);

/*
 * alarm_failure_worse(a, b, wall, conf): of two failures of one walk, whether `a` says more about what to do than `b`: by severity
 * at `wall`, then by the earlier end of a certificate.
 */
bool alarm_failure_worse(const struct ledger_failure *a, const struct ledger_failure *b, int64_t wall,
                         const struct conf_partner *conf);

/*
 * alarm_walked(ledger, partner, cell, wall, run): a walk that told of this cell's event has ended; the counts of the
 * walk are still in the cell.
 */
void alarm_walked(struct ledger *ledger, struct ledger_partner *partner, struct ledger_cell *cell, int64_t wall,
                  int64_t run);

/* alarm_counted(ledger, partner, cell, wall, run): a failure has been counted in the cell outside of any walk. */
void alarm_counted(struct ledger *ledger, const struct ledger_partner *partner, struct ledger_cell *cell, int64_t wall,
                   int64_t run);

/* alarm_threshold(ledger, partner, cell): the one in force for the cell; rows of sources have that of the event. */
const struct conf_threshold *alarm_threshold(const struct ledger *ledger, const struct ledger_partner *partner,
                                             const struct ledger_cell *cell);

/* alarm_raise(ledger, partner, cell, wall, run): of a cell without an alarm, now; `partner` NULL for the monitor's own.
 */
void alarm_raise(struct ledger *ledger, const struct ledger_partner *partner, struct ledger_cell *cell, int64_t wall,
                 int64_t run);

/* alarm_refresh(ledger, partner, alarm, wall, run): takes over what its cell says now and tells what has to be told. */
void alarm_refresh(struct ledger *ledger, const struct ledger_partner *partner, struct ledger_alarm *alarm,
                   int64_t wall, int64_t run);

/* alarm_clear(ledger, alarm, wall, run): tells it, takes it out of ledger->alarms and frees it. */
void alarm_clear(struct ledger *ledger, struct ledger_alarm *alarm, int64_t wall, int64_t run);

/* alarm_count_active(ledger, alarm, change): the alarm has come (1) or goes (-1), with its severity of now. */
void alarm_count_active(struct ledger *ledger, const struct ledger_alarm *alarm, int change);

/* alarm_tick(ledger, wall, run): ledger_tick for all alarms. */
void alarm_tick(struct ledger *ledger, int64_t wall, int64_t run);

#endif
