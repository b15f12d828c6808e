#ifndef FEDWARDEN_BASE_QUEUE_H
#define FEDWARDEN_BASE_QUEUE_H

/*
 * The one road from the collectors to the main thread: a bounded queue of observations by value, under one mutex that
 * is held only to copy, with a descriptor that is readable while there is something to take.
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

/* queue_take(queue, out, max): moves up to `max` observations, oldest first, to `out`; returns how many. Main thread. */
size_t queue_take(struct queue *queue, struct observation *out, size_t max);

/* queue_descriptor(queue): readable while the queue is not empty; for poll only. Owned by the queue. */
int queue_descriptor(const struct queue *queue);

/* queue_dropped(queue): observations dropped since the start. Any thread. */
uint64_t queue_dropped(struct queue *queue);

#endif
