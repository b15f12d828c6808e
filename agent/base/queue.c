/*
 * A ring under one mutex. The descriptor is an eventfd that is written when the ring stops being empty and read when it
 * becomes empty again, both under the mutex, so that it is readable exactly while there is something to take: one wake-up
 * for a burst, none lost.
 *
 * Numbers are not kept with the observations: they are put in and taken in the same order, so two counters do. Which
 * origins have told events since their last mark is a bit each; it belongs to the thread that takes.
 */
#include "base/queue.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/observation.h"

#define WATCHERS_MAX 4

struct queue {
    int descriptor;
    size_t room; /* constant */
    /* of the main thread */
    uint64_t taken;
    uint32_t unsettled; /* a bit for each origin */
    pthread_mutex_t mutex;
    /* shared, under the mutex */
    size_t head; /* position of the oldest */
    size_t count;
    uint64_t dropped;
    uint64_t put; /* the number of the newest */
    uint64_t stored;
    int watchers[WATCHERS_MAX];
    size_t watcher_count;
    struct observation *ring;
};

struct queue *queue_new(size_t room)
{
    struct queue *queue = calloc(1, sizeof *queue);
    if (!queue)
        return NULL;
    queue->room = room;
    queue->ring = calloc(room, sizeof *queue->ring);
    queue->descriptor = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (!queue->ring || queue->descriptor < 0) {
        int saved = errno;
        if (queue->descriptor >= 0)
            close(queue->descriptor);
        free(queue->ring);
        free(queue);
        errno = saved;
        return NULL;
    }
    pthread_mutex_init(&queue->mutex, NULL);
    return queue;
}

void queue_free(struct queue *queue)
{
    if (!queue)
        return;
    pthread_mutex_destroy(&queue->mutex);
    close(queue->descriptor);
    free(queue->ring);
    free(queue);
}

static void raise_descriptor(const struct queue *queue)
{
    uint64_t one = 1;
    /* It cannot block: the counter is 0 here. */
    if (write(queue->descriptor, &one, sizeof one) < 0)
        abort();
}

static void lower_descriptor(const struct queue *queue)
{
    uint64_t value;
    if (read(queue->descriptor, &value, sizeof value) < 0)
        abort();
}

/* Copies between the ring at `position` and `count` observations elsewhere, in at most two pieces. */
static size_t first_piece(const struct queue *queue, size_t position, size_t count)
{
    size_t to_end = queue->room - position;
    return count < to_end ? count : to_end;
}

/* Under the mutex; there is room, and at least one. */
static void put(struct queue *queue, const struct observation *observations, size_t count)
{
    size_t tail = (queue->head + queue->count) % queue->room;
    size_t piece = first_piece(queue, tail, count);
    memcpy(&queue->ring[tail], observations, piece * sizeof *observations);
    memcpy(&queue->ring[0], observations + piece, (count - piece) * sizeof *observations);
    if (queue->count == 0)
        raise_descriptor(queue);
    queue->count += count;
    queue->put += count;
}

/* What may be put in by those who can wait. */
static size_t room_of_offers(const struct queue *queue)
{
    size_t limit = queue->room - queue->room / 4;
    return queue->count < limit ? limit - queue->count : 0;
}

bool queue_post(struct queue *queue, const struct observation *observations, size_t count)
{
    if (count == 0)
        return true;
    pthread_mutex_lock(&queue->mutex);
    bool taken = count <= queue->room - queue->count;
    if (taken)
        put(queue, observations, count);
    else
        queue->dropped += count;
    pthread_mutex_unlock(&queue->mutex);
    return taken;
}

size_t queue_offer(struct queue *queue, const struct observation *observations, size_t count)
{
    pthread_mutex_lock(&queue->mutex);
    size_t room = room_of_offers(queue);
    size_t taken = count < room ? count : room;
    if (taken)
        put(queue, observations, taken);
    pthread_mutex_unlock(&queue->mutex);
    return taken;
}

bool queue_offer_whole(struct queue *queue, const struct observation *observations, size_t count, uint64_t *number)
{
    pthread_mutex_lock(&queue->mutex);
    bool taken = count > 0 && count <= room_of_offers(queue);
    if (taken)
        put(queue, observations, count);
    if (taken && number)
        *number = queue->put;
    pthread_mutex_unlock(&queue->mutex);
    return taken;
}

/* How many of the oldest are taken: up to a mark. */
static size_t until_mark(const struct queue *queue, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (queue->ring[(queue->head + i) % queue->room].kind == OBSERVATION_MARK)
            return i + 1;
    return count;
}

static void note_taken(struct queue *queue, const struct observation *taken, size_t count)
{
    queue->taken += count;
    for (size_t i = 0; i < count; i++) {
        uint32_t bit = taken[i].origin == ORIGIN_NONE ? 0 : 1u << taken[i].origin;
        if (taken[i].kind == OBSERVATION_MARK)
            queue->unsettled &= ~bit;
        else
            queue->unsettled |= bit;
    }
}

size_t queue_take(struct queue *queue, struct observation *out, size_t max)
{
    pthread_mutex_lock(&queue->mutex);
    size_t count = until_mark(queue, queue->count < max ? queue->count : max);
    if (count > 0) {
        size_t piece = first_piece(queue, queue->head, count);
        memcpy(out, &queue->ring[queue->head], piece * sizeof *out);
        memcpy(out + piece, &queue->ring[0], (count - piece) * sizeof *out);
        queue->head = (queue->head + count) % queue->room;
        queue->count -= count;
        if (queue->count == 0)
            lower_descriptor(queue);
    }
    pthread_mutex_unlock(&queue->mutex);
    note_taken(queue, out, count);
    return count;
}

bool queue_settled(const struct queue *queue)
{
    return queue->unsettled == 0;
}

uint64_t queue_taken(const struct queue *queue)
{
    return queue->taken;
}

void queue_stored(struct queue *queue, uint64_t number)
{
    pthread_mutex_lock(&queue->mutex);
    bool more = number > queue->stored;
    if (more)
        queue->stored = number;
    for (size_t i = 0; more && i < queue->watcher_count; i++)
        eventfd_write(queue->watchers[i], 1);
    pthread_mutex_unlock(&queue->mutex);
}

bool queue_is_stored(struct queue *queue, uint64_t number)
{
    pthread_mutex_lock(&queue->mutex);
    bool stored = number <= queue->stored;
    pthread_mutex_unlock(&queue->mutex);
    return stored;
}

void queue_watch_stored(struct queue *queue, int descriptor)
{
    pthread_mutex_lock(&queue->mutex);
    if (queue->watcher_count == WATCHERS_MAX)
        abort();
    queue->watchers[queue->watcher_count++] = descriptor;
    pthread_mutex_unlock(&queue->mutex);
}

void queue_unwatch_stored(struct queue *queue, int descriptor)
{
    pthread_mutex_lock(&queue->mutex);
    for (size_t i = 0; i < queue->watcher_count; i++)
        if (queue->watchers[i] == descriptor)
            queue->watchers[i--] = queue->watchers[--queue->watcher_count];
    pthread_mutex_unlock(&queue->mutex);
}

int queue_descriptor(const struct queue *queue)
{
    return queue->descriptor;
}

uint64_t queue_dropped(struct queue *queue)
{
    pthread_mutex_lock(&queue->mutex);
    uint64_t dropped = queue->dropped;
    pthread_mutex_unlock(&queue->mutex);
    return dropped;
}
