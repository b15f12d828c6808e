#ifndef FEDWARDEN_BASE_QUEUE_H
#define FEDWARDEN_BASE_QUEUE_H

/*
 * The one road from the collectors to the main thread: a bounded queue of observations by value, under one mutex that
 * is held only to copy, with a descriptor that is readable while there is something to take.
 *
 * Exactly once: what is read from logs and from reports can be read again after a crash, so it must be stored together
 * with how far it was read. Who reads (an enum observation_origin) puts an OBSERVATION_MARK behind the events that it
 * found before; until that is taken, the queue is not settled. All that may be stored at once lies between two moments
 * at which it is settled. Marks come at least every half second while there are events, so that is never far away.
 *
 * What cannot be read again (the inbox) is answered when it is stored. For that each observation has a number, from 1 on
 * in the order in which it was put in, dropped ones not counted. The main thread:
 *
 *     count = queue_take(queue, batch, BATCH);
 *     apply each, or for an OBSERVATION_MARK note what feeds_mark_take gives, or what it holds (collect/tlsrpt.h);
 *     if (queue_settled(queue))
 *         begin a transaction of all that changed (history_step); it holds what has the number queue_taken(queue) or less
 *     when a transaction has ended well: queue_stored(queue, its number);
 *     without a history, or while it fails: queue_stored(queue, queue_taken(queue)) at once, so that nobody waits
 *
 * If the queue was not settled for 10 s (a log on a file system that hangs), it is better to store what there is.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct observation;
struct queue;

/* queue_new(room): a queue for `room` observations; NULL without memory or descriptors (errno). Main thread. */
struct queue *queue_new(size_t room);
/* queue_free(queue): after the last thread that posts has been joined. NULL is allowed. */
void queue_free(struct queue *queue);

/*
 * queue_post(queue, observations, count): copies all `count` or, when there is no room for all, none, and counts those
 * as dropped. Never waits. Returns whether they were taken. Any thread.
 */
bool queue_post(struct queue *queue, const struct observation *observations, size_t count);

/*
 * queue_offer(queue, observations, count): copies as many from the first on as there is room for and returns how many.
 * A quarter of the room is left to those who post and cannot wait. Nothing counts as dropped: the caller keeps the rest
 * and offers it again. Any thread.
 */
size_t queue_offer(struct queue *queue, const struct observation *observations, size_t count);

/*
 * queue_offer_whole(queue, observations, count, number): the same, but all or none of them; `number` (NULL is allowed)
 * becomes that of the last. A `count` beyond three quarters of the room would never be taken. Any thread.
 */
bool queue_offer_whole(struct queue *queue, const struct observation *observations, size_t count, uint64_t *number);

/*
 * queue_take(queue, out, max): moves up to `max` observations, oldest first, to `out`; returns how many. Stops behind an
 * OBSERVATION_MARK, which so is the last of `out`. Main thread.
 */
size_t queue_take(struct queue *queue, struct observation *out, size_t max);
/* queue_settled(queue): no origin has told an event since its last mark, as far as was taken. Main thread. */
bool queue_settled(const struct queue *queue);
/* queue_taken(queue): the number of the observation that was taken last; 0 none. Main thread. */
uint64_t queue_taken(const struct queue *queue);

/*
 * queue_stored(queue, number): what has this number or a smaller one is stored. Main thread.
 * queue_is_stored(queue, number): whether it is. Any thread.
 * queue_watch_stored(queue, descriptor): an eventfd that is written whenever more is stored; at most 4 of them.
 * queue_unwatch_stored(queue, descriptor): not any more. Any thread.
 */
void queue_stored(struct queue *queue, uint64_t number);
bool queue_is_stored(struct queue *queue, uint64_t number);
void queue_watch_stored(struct queue *queue, int descriptor);
void queue_unwatch_stored(struct queue *queue, int descriptor);

/* queue_descriptor(queue): readable while the queue is not empty; for poll only. Owned by the queue. */
int queue_descriptor(const struct queue *queue);

/* queue_dropped(queue): observations dropped since the start. Any thread. */
uint64_t queue_dropped(struct queue *queue);

#endif
