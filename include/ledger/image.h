#ifndef FEDWARDEN_LEDGER_IMAGE_H
#define FEDWARDEN_LEDGER_IMAGE_H

/*
 * The ledger as rows, so that it can be kept and built again: which rows changed since they were last taken, and a ledger
 * out of rows. A row is one struct of the ledger under its key; pointers in it mean nothing outside of the ledger that
 * it was taken from. Times are those of the ledger; who keeps rows over a restart has to move the run times into those
 * of the new process (clock_run starts anew with the machine). Main thread only.
 */

#include "ledger/source.h"

enum ledger_row {
    LEDGER_ROW_STATE = 1,      /* ()                      struct ledger_state: the one row of scalars */
    LEDGER_ROW_NAME,           /* (number of the name)    struct ledger_name; numbers are only given here, from 1 */
    LEDGER_ROW_FIXED,          /* (index)                 nothing but the key: an index that was fixed once */
    LEDGER_ROW_TOTAL,          /* (event)                 struct ledger_cell */
    LEDGER_ROW_REASON,         /* (reason)                struct ledger_reason: the catalogue */
    LEDGER_ROW_SELF,           /* (reason)                struct ledger_cell of monitorSelf */
    LEDGER_ROW_PARTNER,        /* (partner)               struct ledger_partner */
    LEDGER_ROW_PARTNER_EVENT,  /* (partner, event)        struct ledger_cell */
    LEDGER_ROW_PARTNER_REASON, /* (partner, reason)       struct ledger_reason */
    LEDGER_ROW_PROBE,          /* (partner, probe)        struct ledger_probe */
    LEDGER_ROW_CERTIFICATE,    /* (partner, probe, depth + 1) struct ledger_certificate */
    LEDGER_ROW_SOURCE,         /* (source)                struct ledger_source */
    LEDGER_ROW_ALARM,          /* (alarm id)              struct ledger_alarm */
    LEDGER_ROW_END,
};

/* The scalars of a ledger that outlive the process. */
struct ledger_state {
    int64_t counted_wall, counted_run; /* since when counters count: the time of the first start */
    int64_t seen_run;                  /* of the last tick */
    int64_t alarms_changed_wall, alarms_changed_run;
    int64_t clock_offset, clock_before, clock_run; /* see struct ledger_storm */
    bool clock_doubtful;
    uint64_t walks, walks_late, observations, edge_failures, held, sequence, sources_evicted, sources_refused;
    uint32_t partner_last, alarm_last, source_last;
};

/*
 * ledger_changes_take(ledger, context, changed): calls `changed` for each row that was made, changed or removed since the
 * last call (all of a new ledger's), in the order of enum ledger_row, and forgets that they changed. `row` is NULL where
 * the row is gone; it lives until `changed` returns. What means nothing to another process
 * (pointers, marks, what belongs to a walk that is being told) is zero in it, padding is not. A row that was made and
 * went since the last call is not told. Costs what changed, not what there is. `changed` must not call back. The one
 * row of scalars counts as changed at least every LEDGER_STATE_EVERY of ticks.
 * ledger_changes_any(ledger): whether there is anything to take. O(1).
 */
typedef void ledger_changed(void *context, enum ledger_row kind, const uint32_t key[INDEX_PARTS], const void *row);

#define LEDGER_STATE_EVERY (10 * CLOCK_SECOND)
void ledger_changes_take(struct ledger *ledger, void *context, ledger_changed *changed);
bool ledger_changes_any(const struct ledger *ledger);
/* ledger_changes_all(ledger): every row counts as changed, for who has to begin anew. */
void ledger_changes_all(struct ledger *ledger);

/* ledger_row_size(kind): of its struct; 0 for LEDGER_ROW_FIXED. */
size_t ledger_row_size(enum ledger_row kind);

/*
 * ledger_row_move(kind, row, by): adds `by` to all run times in a row that is being kept, windows included, so that they
 * are those of another start of the machine. Windows move by whole spans: they hold what they held, for up to a span
 * longer.
 */
void ledger_row_move(enum ledger_row kind, void *row, int64_t by);

/*
 * A ledger out of rows: ledger_restore_begin, then ledger_restore_row for each row in the order of enum ledger_row (false:
 * it fits nothing, such as a probe of a partner that is not there, and is left out), then ledger_bind, which puts the
 * configuration in force as a reload does: partners that are no longer in it go, their alarms are cleared and told.
 * What was restored does not count as changed, unless it had to be put right; alarms that are there are not told again.
 * Values out of their range are put into it, run times later than `run` become `run`. While nothing was running, windows went on to slide, but nobody
 * saw that it was quiet: what has been quiet for how long goes on from there.
 *
 * Conditions of the monitor itself that nobody confirms by ledger_self within LEDGER_SELF_GRACE of the start are cleared.
 * A storm goes on, and failures are held (see storm.c), until walks say otherwise, not before that time is over; so does
 * the doubt about the wall clock, which also begins when the clocks differ otherwise than before.
 */
#define LEDGER_SELF_GRACE (60 * CLOCK_SECOND)
struct ledger *ledger_restore_begin(int64_t wall, int64_t run, ledger_report *report, void *context);
bool ledger_restore_row(struct ledger *ledger, enum ledger_row kind, const uint32_t key[INDEX_PARTS], const void *row);

/*
 * ledger_failures(ledger, told, context): each failure that is counted is told too, with how many it stands for, to
 * `told`, which must not call back. `partner` NULL: of none; `source`: the row that counted it, NULL a partner's or the
 * monitor's own.
 * ledger_verdicts(ledger, told, context): each time a partner's health or reason has changed.
 */
void ledger_failures(struct ledger *ledger, ledger_failed *told, void *context);
void ledger_verdicts(struct ledger *ledger, ledger_judged *told, void *context);

#endif
