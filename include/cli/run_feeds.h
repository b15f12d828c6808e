#ifndef FEDWARDEN_CLI_RUN_FEEDS_H
#define FEDWARDEN_CLI_RUN_FEEDS_H

/*
 * The feeds of the daemon, its inbox, its acceptor and the reports of others: started, stopped and watched by its main
 * thread.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/conf.h"
#include "base/queue.h"
#include "collect/feed.h"
#include "collect/inbox.h"
#include "collect/listen.h"
#include "collect/tlsrpt.h"
#include "ledger/ledger.h"
#include "report/history.h"
#include "report/session.h"

struct run_feeds { /* {0} at first */
    struct feeds *feeds;
    struct inbox *inbox; /* kept over a reload */
    struct tlsrpt *tlsrpt;
    struct listeners *listeners; /* NULL: not enabled, or listen_problem */
    char listen_problem[OBSERVATION_DETAIL]; /* "" none */
    int64_t listen_tried;
    const struct conf *conf;
    struct queue *queue;
    struct history *history; /* keeps the marks; NULL: nobody does */
    uint64_t marked;         /* number in the queue of the first mark since the start; 0 it has not come */
    struct feed_marks marks;                                         /* where those that were stopped were left */
    struct observation_mark tlsrpt_mark;                             /* the last one; length 0 none */
    struct run_feed *each;                                           /* position by position as conf->feeds */
    uint64_t lines, unparsed, events;                                /* of those that were stopped */
    char unreadable[OBSERVATION_DETAIL], unread[OBSERVATION_DETAIL]; /* what the ledger was told; "" all is well */
};

/*
 * run_feeds_restore(run_feeds, conf, history): the marks that `history` has are where the feeds of `conf` were left; those
 * of others it forgets. From now on marks are kept there. Before the first run_feeds_start.
 * run_feeds_forget(run_feeds, old, conf): those of feeds that were on and are not any more.
 */
void run_feeds_restore(struct run_feeds *run_feeds, const struct conf *conf, struct history *history);
void run_feeds_forget(struct run_feeds *run_feeds, const struct conf *old, const struct conf *conf);
/*
 * run_feeds_start(run_feeds, conf, queue): false with a logged message. After run_feeds_stop the feeds go on where they
 * were left.
 */
bool run_feeds_start(struct run_feeds *run_feeds, const struct conf *conf, struct queue *queue);
/*
 * run_feeds_stop(run_feeds, drain, context): all that was read is in the queue; `drain` takes from it when it is full.
 */
void run_feeds_stop(struct run_feeds *run_feeds, void (*drain)(void *context), void *context);
/* run_feeds_mark(run_feeds, observation): an OBSERVATION_MARK was drained. */
void run_feeds_mark(struct run_feeds *run_feeds, const struct observation *observation);
/*
 * run_feeds_safe(run_feeds): where the logs are followed from is stored, so that from now on no line of them is lost.
 */
bool run_feeds_safe(const struct run_feeds *run_feeds);
/* run_feeds_end(run_feeds): after run_feeds_stop, for good. */
void run_feeds_end(struct run_feeds *run_feeds);
/* run_feeds_watch(run_feeds, ledger, status, wall, run): once a second: counters, monFeedUnreadable, monFeedUnparsed.
 */
void run_feeds_watch(struct run_feeds *run_feeds, struct ledger *ledger, struct session_status *status, int64_t wall,
                     int64_t run);

#endif
