/*
 * Each thread is a shard: an event loop, a prober, and a schedule of its partners. A partner is always in one of four
 * places: in the schedule, in the line of those that are due but wait for a place under in_flight, in flight, or (not
 * enabled) in none. So there is at most one walk of a partner at a time, and what is over the cap waits in the order in
 * which it fell due and is late, which its walk tells; nothing is left out.
 *
 * After a walk the next is due one interval later, changed by the jitter. After a verdict that differs from the one
 * before it, up to three quick walks confirm it, paid from a bucket that a tenth of the base rate fills: when thousands
 * of partners change at once, most of them wait for their interval.
 *
 * Everything is made by the thread that starts the shards, so that a failure is found before any of them runs. A shard
 * is told to end by an event descriptor in its loop.
 */
#include "collect/collector.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/schedule.h"
#include "base/text.h"
#include "collect/collector_thread.h"
#include "collect/probe.h"
#include "collect/walk_tell.h"

#define CONFIRMS 3
static const int64_t confirm_after[CONFIRMS] = {5 * CLOCK_SECOND, 15 * CLOCK_SECOND, 45 * CLOCK_SECOND};

struct item { /* a partner of this shard */
    struct shard *shard;
    uint32_t position; /* in conf->partners */
    uint16_t reason;   /* of its last walk */
    uint8_t confirmed; /* quick walks since its verdict changed */
    int64_t due;       /* of the walk that waits or is in flight */
    int64_t late;      /* at its start */
    struct probe *probe;
    struct item *next_waiting;
    struct walk_memory told;
};

struct shard {
    const struct conf *conf;
    struct queue *queue;
    struct collector_thread *thread;
    unsigned number;
    sd_event *loop;
    struct prober *prober;
    struct schedule *schedule;
    sd_event_source *timer;
    sd_event_source *stop_source;
    int stop;
    size_t item_count;
    struct item *items;
    size_t in_flight;
    struct item *waiting, **waiting_end;
    _Atomic uint64_t waiting_count;
    double confirm_tokens, confirm_rate; /* walks, walks a second */
    int64_t confirm_at;
    uint64_t random; /* state of xorshift64*: jitter has to be spread, not secret */
    bool drop_logged;
};

struct collectors {
    unsigned count;
    unsigned running;
    struct shard shards[];
};

static uint32_t random_bits(struct shard *shard)
{
    shard->random ^= shard->random >> 12;
    shard->random ^= shard->random << 25;
    shard->random ^= shard->random >> 27;
    return (uint32_t)((shard->random * UINT64_C(0x2545F4914F6CDD1D)) >> 32);
}

/* ---- what happens after a walk ---- */

static bool take_confirm_token(struct shard *shard, int64_t now)
{
    double burst = shard->confirm_rate > 1 ? shard->confirm_rate : 1;
    shard->confirm_tokens += (double)(now - shard->confirm_at) / (double)CLOCK_SECOND * shard->confirm_rate;
    if (shard->confirm_tokens > burst)
        shard->confirm_tokens = burst;
    shard->confirm_at = now;
    if (shard->confirm_tokens < 1)
        return false;
    shard->confirm_tokens -= 1;
    return true;
}

static void plan_next(struct shard *shard, struct item *item, enum reason reason)
{
    const struct conf_collectors *conf = &shard->conf->collectors;
    int64_t interval = (int64_t)shard->conf->partners[item->position].interval * CLOCK_SECOND;
    int64_t now = clock_run();
    int64_t due = now + schedule_jitter(interval, conf->jitter, random_bits(shard));
    if (reason != item->reason)
        item->confirmed = 0;
    item->reason = (uint16_t)reason;
    uint32_t confirms = conf->confirm < CONFIRMS ? conf->confirm : CONFIRMS;
    if (item->confirmed < confirms && now + confirm_after[item->confirmed] < due) {
        if (take_confirm_token(shard, now))
            due = now + confirm_after[item->confirmed++];
        else
            item->confirmed = CONFIRMS;
    }
    schedule_set(shard->schedule, (size_t)(item - shard->items), due);
}

static void post(struct shard *shard, struct item *item, const struct walk *walk)
{
    size_t count;
    struct observation *observations = walk_tell(walk, &item->told, &count);
    if (queue_post(shard->queue, observations, count)) {
        walk_told(walk, &item->told);
        shard->drop_logged = false;
    } else if (!shard->drop_logged) {
        shard->drop_logged = true;
        log_warning("collector",
                    "the queue is full: the result of a walk of \"%s\" is lost, as may be others; raise "
                    "collectors.queue or probe less often",
                    walk->partner->name);
    }
    free(observations);
}

/* ---- walks ---- */

static void start_due(struct shard *shard);

static void walk_ended(void *context, struct walk *walk)
{
    struct item *item = context;
    struct shard *shard = item->shard;
    item->probe = NULL;
    shard->in_flight--;
    int64_t late = (int64_t)walk->late + item->late;
    walk->late = late > UINT32_MAX ? UINT32_MAX : (uint32_t)late;
    post(shard, item, walk);
    plan_next(shard, item, walk->reason);
    walk_free(walk);
    start_due(shard);
}

static void start_walk(struct shard *shard, struct item *item)
{
    int64_t late = clock_run() - item->due;
    item->late = late > 0 ? late : 0;
    item->probe = probe_start(shard->prober, item->position, walk_ended, item);
    if (item->probe)
        shard->in_flight++;
    else
        schedule_set(shard->schedule, (size_t)(item - shard->items), clock_run() + CLOCK_SECOND);
}

static void wait_in_line(struct shard *shard, struct item *item)
{
    item->next_waiting = NULL;
    *shard->waiting_end = item;
    shard->waiting_end = &item->next_waiting;
    atomic_fetch_add_explicit(&shard->waiting_count, 1, memory_order_relaxed);
}

static struct item *first_in_line(struct shard *shard)
{
    struct item *item = shard->waiting;
    shard->waiting = item->next_waiting;
    if (!shard->waiting)
        shard->waiting_end = &shard->waiting;
    atomic_fetch_sub_explicit(&shard->waiting_count, 1, memory_order_relaxed);
    return item;
}

static void arm(struct shard *shard)
{
    int64_t next = schedule_next(shard->schedule);
    if (next == INT64_MAX) {
        sd_event_source_set_enabled(shard->timer, SD_EVENT_OFF);
        return;
    }
    sd_event_source_set_time(shard->timer, next > 0 ? (uint64_t)next : 0);
    sd_event_source_set_enabled(shard->timer, SD_EVENT_ONESHOT);
}

/* Moves what is due into the line and starts from it as much as may be in flight. */
static void start_due(struct shard *shard)
{
    size_t number;
    int64_t due, now = clock_run();
    while (schedule_take(shard->schedule, now, &number, &due)) {
        shard->items[number].due = due;
        wait_in_line(shard, &shard->items[number]);
    }
    while (shard->waiting && shard->in_flight < shard->conf->collectors.in_flight)
        start_walk(shard, first_in_line(shard));
    arm(shard);
}

static int timer_fired(sd_event_source *source, uint64_t due, void *context)
{
    (void)source;
    (void)due;
    start_due(context);
    return 0;
}

static int told_to_stop(sd_event_source *source, int descriptor, uint32_t events, void *context)
{
    struct shard *shard = context;
    (void)source;
    (void)descriptor;
    (void)events;
    return sd_event_exit(shard->loop, 0);
}

static void *run(void *context)
{
    struct shard *shard = context;
    start_due(shard);
    int result = sd_event_loop(shard->loop);
    if (result < 0)
        log_error("collector", "the event loop of thread %u ended: %s; its partners are not probed any more, restart",
                  shard->number, strerrordesc_np(-result));
    for (size_t i = 0; i < shard->item_count; i++)
        if (shard->items[i].probe)
            probe_cancel(shard->items[i].probe);
    return NULL;
}

/* ---- start and stop ---- */

/* FNV-1a of the name, so that a partner stays in its shard whatever else is configured. */
static unsigned shard_of(const char *name, unsigned count)
{
    uint32_t hash = UINT32_C(2166136261);
    for (; *name; name++)
        hash = (hash ^ (uint8_t)*name) * UINT32_C(16777619);
    return (hash ^ hash >> 16) % count;
}

static void shard_free(struct shard *shard)
{
    prober_free(shard->prober);
    schedule_free(shard->schedule);
    for (size_t i = 0; i < shard->item_count; i++)
        walk_memory_clear(&shard->items[i].told);
    free(shard->items);
    sd_event_source_disable_unref(shard->timer);
    sd_event_source_disable_unref(shard->stop_source);
    sd_event_unref(shard->loop);
    if (shard->stop >= 0)
        close(shard->stop);
}

static bool fill(struct shard *shard, unsigned count)
{
    const struct conf *conf = shard->conf;
    double rate = 0;
    for (size_t i = 0; i < conf->partner_count; i++)
        if (conf->partners[i].enabled && shard_of(conf->partners[i].name, count) == shard->number)
            shard->item_count++;
    shard->items = calloc(shard->item_count ? shard->item_count : 1, sizeof shard->items[0]);
    shard->schedule = schedule_new(shard->item_count);
    if (!shard->items || !shard->schedule) {
        shard->item_count = 0;
        return false;
    }
    int64_t now = clock_run();
    size_t used = 0;
    for (size_t i = 0; i < conf->partner_count; i++) {
        const struct conf_partner *partner = &conf->partners[i];
        if (!partner->enabled || shard_of(partner->name, count) != shard->number)
            continue;
        struct item *item = &shard->items[used];
        item->shard = shard;
        item->position = (uint32_t)i;
        item->reason = REASON_NONE;
        item->confirmed = CONFIRMS;
        uint32_t spread =
            partner->interval < conf->collectors.first_spread ? partner->interval : conf->collectors.first_spread;
        schedule_set(shard->schedule, used++, now + schedule_phase(partner->name, (int64_t)spread * CLOCK_SECOND));
        rate += 1.0 / (partner->interval ? partner->interval : 1);
    }
    shard->confirm_rate = rate / 10 > 1.0 / count ? rate / 10 : 1.0 / count;
    shard->confirm_tokens = 1;
    shard->confirm_at = now;
    return true;
}

static bool shard_make(struct shard *shard, const struct conf *conf, struct queue *queue, unsigned number,
                       unsigned count)
{
    shard->conf = conf;
    shard->queue = queue;
    shard->number = number;
    shard->waiting_end = &shard->waiting;
    if (getrandom(&shard->random, sizeof shard->random, GRND_NONBLOCK) != sizeof shard->random || !shard->random)
        shard->random = (uint64_t)clock_run() | 1;
    shard->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (shard->stop < 0 || sd_event_new(&shard->loop) < 0 ||
        sd_event_add_io(shard->loop, &shard->stop_source, shard->stop, EPOLLIN, told_to_stop, shard) < 0 ||
        sd_event_add_time(shard->loop, &shard->timer, CLOCK_BOOTTIME, 0, 1000, timer_fired, shard) < 0)
        return false;
    sd_event_source_set_priority(shard->stop_source, SD_EVENT_PRIORITY_IMPORTANT);
    sd_event_source_set_enabled(shard->timer, SD_EVENT_OFF);
    shard->prober = prober_new(shard->loop, conf);
    return shard->prober && fill(shard, count);
}

static bool start_thread(struct shard *shard)
{
    char name[16];
    text_format(name, sizeof name, "probe-%u", shard->number + 1);
    shard->thread = collector_thread_start(name, run, shard);
    return shard->thread != NULL;
}

struct collectors *collectors_start(const struct conf *conf, struct queue *queue)
{
    unsigned count = conf->collectors.threads ? conf->collectors.threads : 1;
    struct collectors *collectors = calloc(1, sizeof *collectors + count * sizeof collectors->shards[0]);
    if (!collectors) {
        log_error("collector", "out of memory for %u collector threads", count);
        return NULL;
    }
    for (unsigned i = 0; i < count; i++)
        collectors->shards[i].stop = -1;
    for (unsigned i = 0; i < count; i++) {
        collectors->count = i + 1;
        if (shard_make(&collectors->shards[i], conf, queue, i, count))
            continue;
        log_error("collector",
                  "collector thread %u of %u cannot be prepared: out of memory or descriptors; lower "
                  "collectors.threads or raise the limits (LimitNOFILE)",
                  i + 1, count);
        collectors_stop(collectors);
        return NULL;
    }
    for (unsigned i = 0; i < count; i++) {
        if (start_thread(&collectors->shards[i])) {
            collectors->running++;
            continue;
        }
        log_error("collector",
                  "collector thread %u of %u cannot be started: %s; lower collectors.threads or raise the "
                  "limits (TasksMax)",
                  i + 1, count, strerror(errno));
        collectors_stop(collectors);
        return NULL;
    }
    return collectors;
}

void collectors_stop(struct collectors *collectors)
{
    if (!collectors)
        return;
    for (unsigned i = 0; i < collectors->running; i++)
        eventfd_write(collectors->shards[i].stop, 1);
    for (unsigned i = 0; i < collectors->running; i++)
        collector_thread_join(collectors->shards[i].thread);
    for (unsigned i = 0; i < collectors->count; i++)
        shard_free(&collectors->shards[i]);
    free(collectors);
}

uint64_t collectors_waiting(const struct collectors *collectors)
{
    uint64_t waiting = 0;
    for (unsigned i = 0; i < collectors->count; i++)
        waiting += atomic_load_explicit(&collectors->shards[i].waiting_count, memory_order_relaxed);
    return waiting;
}
