#ifndef FEDWARDEN_COLLECT_FEED_H
#define FEDWARDEN_COLLECT_FEED_H

/*
 * One thread that follows all logs of the configuration, by name through rotation (rename and create, copytruncate),
 * truncation, part lines and late appearance, and systemd's journal; lines go through rules, events to the queue. A feed
 * may not drop: while the queue is full it stops reading; the file is its buffer.
 *
 * An existing log is followed from its end, one that appears later from its beginning; with the positions of before,
 * from where it was left.
 */

#include "base/conf.h"
#include "base/queue.h"

struct feeds;

/* The first octets of a log, by which it is known again: an inode number is given out anew. */
#define FEED_HEAD_MAX 256
struct feed_head {
    uint64_t hash;
    uint32_t length; /* of them that were there */
};

/* How far one log was read: a value that can be kept. */
struct feed_position {
    char feed[CONF_NAME_MAX + 1];
    uint64_t log; /* hash of what the feed followed: with another setting the position means nothing */
    /* a file; inode 0: the feed was looking for files, so that those that it finds now are new */
    char name[OBSERVATION_NAME]; /* in its folder, under which it was followed */
    uint64_t device, inode;
    uint64_t offset; /* of the first line that was not read whole */
    bool skipping;   /* offset lies within a line of which enough was read */
    struct feed_head head;
    int64_t survey;   /* file system's clock, nanoseconds: files born later are not known yet */
    char cursor[256]; /* of the journal, "" none */
};

struct feed_positions { /* the caller sets it to {0} and frees `positions` */
    size_t count;
    struct feed_position *positions;
};

/*
 * feeds_check(conf, errors): whether every preset of the feeds compiles; adds the mistakes to `errors`.
 */
bool feeds_check(const struct conf *conf, struct conf_errors *errors);

/*
 * feeds_start(conf, queue, from): finds the logs and starts the thread; NULL with a logged message when it cannot be
 * started. `from` (NULL: none) is where the feeds of the same name were left. With no feed enabled it starts no thread
 * and returns something that can be stopped. What is wrong with one log stops no other. Main thread.
 */
struct feeds *feeds_start(const struct conf *conf, struct queue *queue, const struct feed_positions *from);

/*
 * feeds_stop(feeds): ends the thread within milliseconds and tells what it had read. False: the queue is full; take from
 * it and call again. Main thread; true for NULL. Then feeds_positions and feeds_free are left.
 */
bool feeds_stop(struct feeds *feeds);
/* feeds_positions(feeds, out): where each log was left; after feeds_stop. */
void feeds_positions(const struct feeds *feeds, struct feed_positions *out);
void feeds_free(struct feeds *feeds); /* NULL is allowed; what feeds_stop could not tell is lost */

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
