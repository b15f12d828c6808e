/*
 * Several threads post batches while the main thread takes them, woken by the descriptor alone. Run under
 * ThreadSanitizer. Each batch must arrive whole and in the order of its poster; posted = taken + dropped.
 */
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/observation.h"
#include "base/queue.h"

enum { POSTERS = 4, BATCHES = 3000, BATCH_MAX = 7, ROOM = 64 };

static struct queue *queue;

struct poster {
    pthread_t thread;
    uint32_t number;
    uint64_t posted, refused;
};

static void *post_all(void *argument)
{
    struct poster *poster = argument;
    struct observation batch[BATCH_MAX] = {0};
    for (uint32_t i = 0; i < BATCHES; i++) {
        uint32_t count = 1 + i % BATCH_MAX;
        for (uint32_t k = 0; k < count; k++) {
            batch[k].partner = poster->number;
            batch[k].wall = i;
            batch[k].run = (int64_t)(count - 1 - k); /* how many of the batch follow */
        }
        if (queue_post(queue, batch, count))
            poster->posted += count;
        else
            poster->refused += count;
    }
    return NULL;
}

static bool in_order(const struct observation *observation)
{
    static int64_t batch_now[POSTERS], left_now[POSTERS];
    int64_t *batch = &batch_now[observation->partner], *left = &left_now[observation->partner];
    bool good = *left > 0 ? observation->wall == *batch && observation->run == *left - 1 : observation->wall >= *batch;
    *batch = observation->wall;
    *left = observation->run;
    return good;
}

int main(void)
{
    struct poster posters[POSTERS] = {0};
    struct observation out[32];
    uint64_t total = 0, taken = 0;
    queue = queue_new(ROOM);
    for (uint32_t i = 0; i < POSTERS; i++) {
        posters[i].number = i;
        if (pthread_create(&posters[i].thread, NULL, post_all, &posters[i]) != 0)
            abort();
    }
    for (uint32_t i = 0; i < BATCHES; i++)
        total += POSTERS * (1 + i % BATCH_MAX);
    while (taken + queue_dropped(queue) < total) {
        struct pollfd wait = {queue_descriptor(queue), POLLIN, 0};
        if (poll(&wait, 1, 10000) != 1 && taken + queue_dropped(queue) < total) {
            puts("a wake-up was lost");
            return 1;
        }
        size_t count = queue_take(queue, out, 32);
        taken += count;
        for (size_t i = 0; i < count; i++)
            if (!in_order(&out[i])) {
                puts("a batch was torn or overtaken");
                return 1;
            }
    }
    uint64_t posted = 0, refused = 0;
    for (uint32_t i = 0; i < POSTERS; i++) {
        pthread_join(posters[i].thread, NULL);
        posted += posters[i].posted;
        refused += posters[i].refused;
    }
    bool good = posted == taken && refused == queue_dropped(queue) && taken > 0;
    printf("%llu posted, %llu taken, %llu dropped\n", (unsigned long long)posted, (unsigned long long)taken,
           (unsigned long long)queue_dropped(queue));
    queue_free(queue);
    return good ? 0 : 1;
}
