#ifndef FEDWARDEN_CLI_RUN_PARTS_H
#define FEDWARDEN_CLI_RUN_PARTS_H

/*
 * What the files of the daemon's main thread share; nobody else includes it.
 *
 *   run.c          start, loop, reload, end
 *   run_watch.c    once a second: what the daemon has to say of itself
 *   run_history.c  what outlives the process: read at the start, stored batch by batch, notified when it is stored
 *   run_feeds.c    feeds, inbox, acceptor and reports of others: see cli/run_feeds.h
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/conf.h"
#include "base/observation.h"
#include "base/queue.h"
#include "cli/run_feeds.h"
#include "collect/collector.h"
#include "ledger/ledger.h"
#include "report/history.h"
#include "report/session.h"

#define RUN_BATCH 256 /* observations between two steps of SNMP */

struct run_history { /* {0} at first */
    struct history *history; /* NULL: nothing is kept */
    int timer;               /* looks again when a batch could not be begun yet */
    uint64_t batch;          /* begun last */
    uint64_t number;         /* the observation that was taken last before it */
    uint64_t sequence;       /* the transition that was told last before it */
    int64_t begun_run;
    bool ended;            /* it is stored */
    bool hurry;            /* somebody waits until what was taken is stored */
    int64_t unsettled_run; /* since when the queue is not settled; 0 it is */
    int64_t lost_run;      /* when monHistoryLost was raised; 0 not */
    char lost[OBSERVATION_DETAIL];
    char failing[OBSERVATION_DETAIL]; /* what the ledger was told; "" all is well */
};

struct daemon {
    const char *path;
    struct conf *conf;
    struct queue *queue;
    struct ledger *ledger;
    struct collectors *collectors;
    struct run_feeds feeds;
    struct run_history history;
    struct session_status status;
    int signals;
    bool ending;
    int64_t ready_until;   /* READY is to be told, by then at the latest; 0 it is told */
    bool master_lost;      /* the alarm is raised */
    int64_t connected_run; /* when the master was last there */
    int64_t dropped_run;   /* when an observation was last dropped; CLOCK_NEVER: the alarm is not raised */
    struct observation batch[RUN_BATCH];
};

/* run_watch(daemon): the tick. */
void run_watch(struct daemon *daemon);

/*
 * run_history_open(daemon, wall, run): opens the history of daemon->conf and makes daemon->ledger, that of before where
 * there is one, bound to daemon->conf. False with a logged message: another process has it. Before session_open.
 */
bool run_history_open(struct daemon *daemon, int64_t wall, int64_t run);
/* run_history_start(daemon): watches it; after session_open. */
void run_history_start(struct daemon *daemon);
/* run_history_awaited(daemon): somebody waits until what is taken now is stored; before run_history_drained. */
void run_history_awaited(struct daemon *daemon);
/* run_history_drained(daemon): a batch of the queue has been applied, all of it. */
void run_history_drained(struct daemon *daemon);
/* run_history_watch(daemon, wall, run): once a second: monHistoryFailing, monHistoryLost. */
void run_history_watch(struct daemon *daemon, int64_t wall, int64_t run);
/* run_history_bound(daemon, old): daemon->conf has come into force instead of `old`. */
void run_history_bound(struct daemon *daemon, const struct conf *old);
/*
 * run_history_flush(daemon): before the end: what is stored within two seconds is notified. run_history_close(daemon):
 * stores what is left, at most 10 s; before ledger_free.
 */
void run_history_flush(struct daemon *daemon);
void run_history_close(struct daemon *daemon);

#endif
