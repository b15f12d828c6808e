#ifndef FEDWARDEN_BASE_SCHEDULE_H
#define FEDWARDEN_BASE_SCHEDULE_H

/*
 * Which item is due next: a heap of times, and the arithmetic that spreads them. It waits for nothing and asks no clock.
 * One thread. Times are clock_run microseconds.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct schedule;

/* schedule_new(items): for items 0 to items - 1, none of them due; NULL without memory. schedule_free: NULL is allowed. */
struct schedule *schedule_new(size_t items);
void schedule_free(struct schedule *schedule);

/* schedule_set(schedule, item, due): due then, and no longer at an earlier set time. */
void schedule_set(struct schedule *schedule, size_t item, int64_t due);
/* schedule_remove(schedule, item): not due at all. */
void schedule_remove(struct schedule *schedule, size_t item);
/* schedule_next(schedule): the earliest due time; INT64_MAX when nothing is. */
int64_t schedule_next(const struct schedule *schedule);
/* schedule_take(schedule, now, item, due): takes the earliest item out when it is due at `now`; false when none is. */
bool schedule_take(struct schedule *schedule, int64_t now, size_t *item, int64_t *due);

/*
 * schedule_phase(name, span): where in a span of microseconds the item of that name lies: the same after every restart,
 * spread evenly over names. 0 <= result < span; 0 for a span of 0.
 */
int64_t schedule_phase(const char *name, int64_t span);

/* schedule_jitter(interval, percent, random): the interval changed by at most +- percent, by 32 random bits. */
int64_t schedule_jitter(int64_t interval, uint32_t percent, uint32_t random);

#endif
