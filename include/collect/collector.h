#ifndef FEDWARDEN_COLLECT_COLLECTOR_H
#define FEDWARDEN_COLLECT_COLLECTOR_H

/*
 * The threads that probe: each owns a shard of the partners, an event loop, a prober and a schedule, and shares the
 * queue and the constant configuration. They block all signals.
 */

#include "base/conf.h"
#include "base/queue.h"

struct collectors;

/*
 * collectors_start(conf, queue): starts the threads. NULL with a logged message when one cannot be started; then none
 * runs. `conf` and `queue` must outlive collectors_stop. Main thread.
 */
struct collectors *collectors_start(const struct conf *conf, struct queue *queue);

/* collectors_stop(collectors): cancels the walks under way, joins all threads, within milliseconds. NULL is allowed. */
void collectors_stop(struct collectors *collectors);

/* collectors_waiting(collectors): walks that are due but wait for a place under a cap. Any thread. */
uint64_t collectors_waiting(const struct collectors *collectors);

#endif
