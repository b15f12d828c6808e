#ifndef FEDWARDEN_COLLECT_FEED_H
#define FEDWARDEN_COLLECT_FEED_H

/*
 * One thread that follows all logs of the configuration, by name through rotation (rename and create, copytruncate,
 * compression), truncation, part lines and late appearance, and systemd's journal; lines go through rules, events to the
 * queue. A feed may not drop: while the queue is full it stops reading; the file is its buffer.
 *
 * An existing log is followed from its end, one that appears later from its beginning; with the marks of before, from
 * where it was left. Then what was rotated meanwhile is read first, also when it was copied and truncated, or compressed
 * by gzip.
 *
 * Marks: all that must be known to go on, as octets: how far the files or the journal of a feed were read, and the records
 * of several lines that were open there. Where events were found, a mark of all feeds follows them through the queue, at
 * most half a second later; without events there is one a second while something is read. What the main thread does:
 *
 *   at start       feeds_start gets the marks that were stored, in any order; what has none is followed as if new
 *   on draining    OBSERVATION_MARK of ORIGIN_FEEDS: feeds_mark_take(feeds, number, &marks) gives the marks of the feeds
 *                  that moved; they replace those that are kept and belong to the next transaction; feed_marks_clear
 *   at a commit    only while queue_settled(queue): then events and marks are of the same moment
 *   at a reload    feeds_stop until it is true, each time draining the queue, which brings a last mark; feeds_marks gives
 *                  the marks for the next feeds_start; feeds_free
 *   at the end     the same, then the last commit
 *
 * The first mark comes right after the start: from then on no line is lost or counted twice, however the process ends.
 */

#include "base/conf.h"
#include "base/queue.h"

struct feeds;

#define FEED_MARK_MAX (1u << 20) /* octets of one; of more open records than fit, the least recently used are left out */

/* How far one feed was read: a value that can be kept. From outside it may hold anything: what is no mark is not used. */
struct feed_mark {
    char feed[CONF_NAME_MAX + 1];
    size_t length;
    void *data;
};

struct feed_marks { /* {0} at first */
    size_t count;
    struct feed_mark *marks;
};
/* feed_marks_put(marks, feed, data, length): replaces that of the feed, or adds it; copied. feed_marks_clear(marks): {0}. */
void feed_marks_put(struct feed_marks *marks, const char *feed, const void *data, size_t length);
void feed_marks_clear(struct feed_marks *marks);

/*
 * feeds_check(conf, errors): whether every preset of the feeds compiles; adds the mistakes to `errors`.
 */
bool feeds_check(const struct conf *conf, struct conf_errors *errors);

/*
 * feeds_start(conf, queue, from): finds the logs and starts the thread; NULL with a logged message when it cannot be
 * started. `from` (NULL: none) is where the feeds of the same name were left; it is copied. With no feed enabled it starts no thread
 * and returns something that can be stopped. What is wrong with one log stops no other. Main thread.
 */
struct feeds *feeds_start(const struct conf *conf, struct queue *queue, const struct feed_marks *from);

/*
 * feeds_mark_take(feeds, number, out): the marks that OBSERVATION_MARK `number` stands for, to be cleared by the caller.
 * Once for each, in order; before feeds_free. Main thread.
 */
void feeds_mark_take(struct feeds *feeds, uint64_t number, struct feed_marks *out);

/*
 * feeds_stop(feeds): ends the thread within milliseconds and tells what it had read, and a last mark. False: the queue is
 * full, or marks are not taken yet; drain and call again. Main thread; true for NULL. Then the queue is drained, and
 * feeds_marks and feeds_free are left.
 */
bool feeds_stop(struct feeds *feeds);
/* feeds_marks(feeds, out): where each log was left, for all feeds that are on; after feeds_stop. */
void feeds_marks(struct feeds *feeds, struct feed_marks *out);
void feeds_free(struct feeds *feeds); /* NULL is allowed; what feeds_stop could not tell is told by who goes on */

/* What one feed has come to; position by position as conf->feeds. Any thread. */
struct feed_status {
    uint64_t lines, events, unparsed; /* unparsed: lines that begin in no way that the preset knows */
    bool readable;       /* the file or journal is open */
    bool limits;         /* the problem is a rule that hits its limits, not the log */
    char problem[160];   /* what keeps the log, or a part of it, from being read; "" none */
};
struct feed_status feeds_status(const struct feeds *feeds, size_t feed);

/*
 * feeds_journal_dir(): FEDWARDEN_JOURNAL of the environment: a folder of journal files that is followed instead of the
 * system's journal; NULL none.
 */
const char *feeds_journal_dir(void);

#endif
