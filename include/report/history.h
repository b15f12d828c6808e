#ifndef FEDWARDEN_REPORT_HISTORY_H
#define FEDWARDEN_REPORT_HISTORY_H

/*
 * What outlives the process: one SQLite database (WAL, synchronous=NORMAL) with the rows of the ledger, how far each feed
 * was read, notifications that are not sent yet, transitions, verdicts and recent failures. A batch is one transaction
 * that holds all that changed since the batch before, feeds' marks included: after a crash all of it is there or none.
 *
 * The main thread only copies what changed; a thread of the history's own writes it, so that a slow disk delays no answer
 * to SNMP. One batch is written at a time: what changes meanwhile becomes the next one, so that a slow disk makes batches
 * larger, not more. While the disk is full, read-only or gone, the daemon goes on in memory, nothing that changed is
 * forgotten (what is only appended is bounded, the oldest goes first, counted), and the next batch that can be written
 * holds it all.
 *
 * All functions: main thread of the daemon, except that those which take a `struct history_reader` may be used by any one
 * thread of any process, beside a running daemon.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/conf.h"
#include "ledger/image.h"

struct history;

/* How far one feed was read, as collect/feed.h packs it: opaque here. */
struct history_mark {
    char feed[CONF_NAME_MAX + 1];
    uint64_t skip; /* events told since the mark: the same are not to be counted again */
    size_t length;
    const void *data; /* at most HISTORY_MARK_MAX octets */
};
#define HISTORY_MARK_MAX (4u << 20)

enum history_opened {
    HISTORY_KEPT = 1, /* an older history goes on */
    HISTORY_NEW,      /* there was none */
    HISTORY_BROKEN,   /* there was one that is damaged, or of a newer schema: set aside under another name, a new one begun */
    HISTORY_NONE,     /* it can neither be read nor made: the daemon works without, and tries again. What is found then
                         is set aside, because it is not what the daemon began with, and a new one is begun */
    HISTORY_TAKEN,    /* another process writes it: this one must not run on it; nothing is ever written */
};

/*
 * history_open(path, opened, problem, size): opens or makes the database, brings an older schema up to date, checks
 * integrity, and starts the writing thread. Never NULL. `problem` names what is wrong and what to do; "" nothing.
 */
struct history *history_open(const char *path, enum history_opened *opened, char *problem, size_t size);

/*
 * history_load(history, wall, run, report, context): the ledger of before (see ledger/image.h; not bound yet), its times
 * moved into those of this process, as if the time that it was off had passed. NULL: there is none; make a new one.
 * Before the first history_step.
 */
struct ledger *history_load(struct history *history, int64_t wall, int64_t run, ledger_report *report, void *context);

/* history_marks(history, out): those of before; the array and its data are the history's, until the first history_step. */
size_t history_marks(const struct history *history, const struct history_mark **out);

/* What is only appended; copied. Each is part of the next batch. */
void history_transition(struct history *history, const struct transition *transition);
void history_verdict(struct history *history, const struct ledger_partner *partner, int64_t wall);
void history_failure(struct history *history, const struct ledger_failure *failure, enum event event, uint32_t count,
                     const struct ledger_partner *partner, const struct ledger_source *source);
/* history_mark(history, mark): replaces that of the same feed; `data` NULL: only `skip` changes. */
void history_mark(struct history *history, const struct history_mark *mark);
/* history_forget_mark(history, feed): the feed is not configured any more. */
void history_forget_mark(struct history *history, const char *feed);
/* history_sent(history, sequence): the notification of the transition with that sequence has been handed over. */
void history_sent(struct history *history, uint64_t sequence);

/*
 * history_unsent(history, each, context): the transitions of before whose notifications were not handed over, in order,
 * at most the newest `most`; returns how many there are. Before the first history_step.
 */
typedef void history_each_transition(void *context, const struct transition *transition);
size_t history_unsent(struct history *history, size_t most, history_each_transition *each, void *context);

/*
 * history_step(history, ledger, wall, run): when the thread is free, something changed and it is time, takes the changes of
 * `ledger` and what was appended as a batch and hands it over. It is time at once for a transition, because its notification
 * waits for that; otherwise a quarter of a second after the last batch began, and four times what that one took, at most 5 s;
 * where history_hurry was called, twice what that one took; and every 10 s though nothing changed. To be called after each drained batch, when a batch has ended, and each second.
 * Returns the number of the batch that is under way or was last begun: what is not in it will be in the next one. Between
 * two calls nothing may be applied to the ledger without what belongs to it (a drained batch whole).
 * history_descriptor(history): readable when a batch has ended; then history_ended(history) reads it and returns the
 * number of the last batch that is stored. history_failing(history, problem, size): whether batches cannot be written
 * now, and why: text for monHistoryFailing. history_counts: for the MIB and the log.
 */
uint64_t history_step(struct history *history, struct ledger *ledger, int64_t wall, int64_t run);
/* history_hurry(history): somebody waits until what was counted so far is stored; until the next batch begins. */
void history_hurry(struct history *history);
int history_descriptor(const struct history *history);
uint64_t history_ended(struct history *history);
bool history_failing(const struct history *history, char *problem, size_t size);
struct history_counts {
    uint64_t batches, failed_batches; /* stored; attempts that failed */
    uint64_t lost;                    /* transitions, verdicts and failures that were given up while nothing could be written */
    uint64_t bytes;                   /* of the database */
    uint32_t batch_ms;                /* how long the last one took */
};
struct history_counts history_counts(const struct history *history);

/* history_limits(history, conf): how long and how many transitions, verdicts and failures are kept; after each (re)load. */
void history_limits(struct history *history, const struct conf *conf);

/* history_close(history, ledger, wall, run): writes what is left, at most 10 s, ends the thread. NULL is allowed. */
void history_close(struct history *history, struct ledger *ledger, int64_t wall, int64_t run);

/* ---- reading beside a daemon: fedwarden status, history, report ---- */

struct history_reader;

/* history_reader_open(path, problem, size): NULL with what is wrong and what to do. Reads a consistent state. */
struct history_reader *history_reader_open(const char *path, char *problem, size_t size);
void history_reader_close(struct history_reader *reader);
/* history_reader_refresh(reader): what is read next is the state of then. Also to be called before a wait, as by --watch:
 * while a state is held, the daemon's file grows. */
void history_reader_refresh(struct history_reader *reader);
/* history_reader_ledger(reader, wall, run): as history_load; the caller frees it. Not bound: partner->conf is NULL, its
 * name is that of the struct ledger_name with the number partner->name. NULL: nothing was ever stored. */
struct ledger *history_reader_ledger(struct history_reader *reader, int64_t wall, int64_t run);
/* history_reader_written(reader): wall time of the last batch; CLOCK_NEVER none. A daemon writes at least every 10 s. */
int64_t history_reader_written(struct history_reader *reader);

struct history_filter {
    const char *partner; /* NULL any; "" what has none */
    enum event event;    /* EVENT_NONE any */
    int64_t since, until; /* wall; since inclusive, until exclusive; CLOCK_NEVER: unbounded */
    size_t limit;         /* the newest so many; 0 all */
};

struct history_failure_row {
    int64_t wall;
    enum event event;
    enum reason reason;
    uint32_t count;
    char partner[CONF_NAME_MAX + 1];
    char target[OBSERVATION_NAME];
    struct address address;
    uint16_t port;
    char detail[OBSERVATION_DETAIL];
};
struct history_verdict_row {
    int64_t wall;
    char partner[CONF_NAME_MAX + 1];
    enum health health;
    enum reason reason;
};

/* Each calls `each` in the order of time, oldest first; false when the database cannot be read. */
typedef void history_each_failure(void *context, const struct history_failure_row *row);
typedef void history_each_verdict(void *context, const struct history_verdict_row *row);
bool history_read_transitions(struct history_reader *reader, const struct history_filter *filter,
                              history_each_transition *each, void *context);
bool history_read_failures(struct history_reader *reader, const struct history_filter *filter,
                           history_each_failure *each, void *context);
bool history_read_verdicts(struct history_reader *reader, const struct history_filter *filter,
                           history_each_verdict *each, void *context);

#endif
