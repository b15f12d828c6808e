#ifndef FEDWARDEN_REPORT_NOTIFY_H
#define FEDWARDEN_REPORT_NOTIFY_H

/*
 * Notifications: made from a transition alone, kept while no master is there, paced so that no burst can block a master
 * (it and a subagent may otherwise wait for each other for ever). Main thread only.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/conf.h"
#include "ledger/ledger.h"

/* notify_open(agent): rates and how many are kept. Called by session_open's user after it; again after a reload. With
 * agent.mode none nothing is kept or counted. */
void notify_open(const struct conf_agent *agent);
void notify_close(void);

/*
 * notify_submit(transition): copied and sent in order as rate and master allow. When more wait than may be kept, the
 * oldest whose alarm has changed since goes first, then the oldest; each is counted as suppressed, and logged.
 * Sequences rise from one call to the next.
 */
void notify_submit(const struct transition *transition);

/*
 * Stored, then sent: after notify_hold(true) a notification waits until notify_stored was called with its sequence or a
 * later one, but NOTIFY_HELD at most; after notify_hold(false), as at first, for nothing.
 */
#define NOTIFY_HELD (5 * CLOCK_SECOND)
void notify_hold(bool hold);
void notify_stored(uint64_t sequence);

/*
 * notify_watch(done, context): `done` is called with the sequence of each notification that was handed over, or given
 * up: that need not be sent after a restart. NULL: nobody is told, as at first.
 */
typedef void notify_done(void *context, uint64_t sequence);
void notify_watch(notify_done *done, void *context);

/* notify_step(): sends what is due; called by session_turn and by the tick. */
void notify_step(void);

struct notify_counts {
    uint64_t sent;       /* handed to the master, or to the trap sinks */
    uint64_t suppressed; /* given up because too many waited */
    uint64_t waiting;
};
struct notify_counts notify_counts(void);

#endif
