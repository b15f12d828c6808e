#ifndef FEDWARDEN_REPORT_NOTIFY_H
#define FEDWARDEN_REPORT_NOTIFY_H

/*
 * Notifications: made from a transition alone, kept while no master is there, paced so that no burst can block a master
 * (it and a subagent may otherwise wait for each other for ever). Main thread only.
 */

#include <stdint.h>

#include "base/conf.h"
#include "ledger/ledger.h"

/* notify_open(agent): rates and how many are kept. Called by session_open's user after it; again after a reload. With
 * agent.mode none nothing is kept or counted. */
void notify_open(const struct conf_agent *agent);
void notify_close(void);

/*
 * notify_submit(transition): copied and sent in order as rate and master allow. When more wait than may be kept, the
 * oldest whose alarm has changed since goes first, then the oldest; each is counted as suppressed, and logged.
 */
void notify_submit(const struct transition *transition);

/* notify_step(): sends what is due; called by session_turn and by the tick. */
void notify_step(void);

struct notify_counts {
    uint64_t sent;       /* handed to the master, or to the trap sinks */
    uint64_t suppressed; /* given up because too many waited */
    uint64_t waiting;
};
struct notify_counts notify_counts(void);

#endif
