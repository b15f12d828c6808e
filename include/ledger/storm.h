#ifndef FEDWARDEN_LEDGER_STORM_H
#define FEDWARDEN_LEDGER_STORM_H

/*
 * One cause of this host that makes many partners fail is one alarm of the monitor itself, not one for each of them; so
 * is a wall clock that jumps, for what is judged by it. See storm.c. For the files of ledger/ alone.
 */

#include "ledger/ledger.h"

#define STORM_WINDOW  (60 * CLOCK_SECOND)  /* walks within it are looked at, */
#define STORM_LEAST   10                   /* or the last walks of so many partners */
#define STORM_BEGINS  30                   /* percent of them that fail alike */
#define STORM_ENDS    15                   /* fewer than so many percent */
#define STORM_FEW     3                    /* so many partners, and all, without any resolver: at once */
#define CLOCK_JUMP    (60 * CLOCK_SECOND)  /* of the wall clock against the run clock, between two ticks */
#define CLOCK_SETTLED (900 * CLOCK_SECOND) /* without another jump the new time is believed */

/* storm_walked(ledger, partner, observation): a walk has ended; told before its verdict is judged. */
void storm_walked(struct ledger *ledger, struct ledger_partner *partner, const struct observation *observation);

/* storm_judged(ledger, partner): the alarms of that walk have been judged. */
void storm_judged(struct ledger *ledger, struct ledger_partner *partner);

/*
 * storm_holds(ledger, reason): whether failures with this reason say nothing about a partner now: they are counted, but
 * no state, window or alarm of a partner follows from them.
 */
bool storm_holds(const struct ledger *ledger, enum reason reason);

/* storm_doubts(ledger, reason): whether it is judged by the date, and that is not to be believed now. */
bool storm_doubts(const struct ledger *ledger, enum reason reason);

/* storm_lasts(ledger, reason): whether what this reason of the monitor itself says goes on now. */
bool storm_lasts(const struct ledger *ledger, enum reason reason);

/*
 * storm_restore(ledger): once alarms are restored: a storm that was told goes on. storm_tick(ledger, wall, run): it ends
 * when LEDGER_SELF_GRACE is over and walks do not confirm it.
 */
void storm_restore(struct ledger *ledger);
void storm_tick(struct ledger *ledger, int64_t wall, int64_t run);

/* storm_clock(ledger, wall, run): looks at both clocks, each tick, before anything is judged. */
void storm_clock(struct ledger *ledger, int64_t wall, int64_t run);

/* storm_forget(ledger): looks anew from the next walk on; before partners go. */
void storm_forget(struct ledger *ledger);
/* storm_bound(ledger, wall, run): after another configuration has been put in force. */
void storm_bound(struct ledger *ledger, int64_t wall, int64_t run);

#endif
