#ifndef FEDWARDEN_COLLECT_FEED_H
#define FEDWARDEN_COLLECT_FEED_H

/*
 * One thread that follows all logs of the configuration, by name through rotation (rename and create, copytruncate),
 * truncation, part lines and late appearance, and systemd's journal; lines go through rules, events to the queue. A feed
 * may not drop: while the queue is full it stops reading; the file is its buffer.
 */

#include "base/conf.h"
#include "base/queue.h"

struct feeds;

/*
 * feeds_start(conf, queue): starts the thread; NULL with a logged message when it cannot be started. With no feed
 * configured it starts nothing and returns something that can be stopped. Main thread.
 */
struct feeds *feeds_start(const struct conf *conf, struct queue *queue);
void feeds_stop(struct feeds *feeds); /* joins within milliseconds; NULL is allowed */

/* What one feed has come to; position by position as conf->feeds. Any thread. */
struct feed_status {
    uint64_t lines, events, unparsed;
    bool readable;       /* the file or journal is open */
    char problem[160];   /* why not, or the rule that hits its limits; "" none */
};
struct feed_status feeds_status(const struct feeds *feeds, size_t feed);

#endif
