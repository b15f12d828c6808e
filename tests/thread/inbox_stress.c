/*
 * Several senders push events through the socket while the queue is full most of the time and the inbox is stopped and
 * started again, as a reload does. Each event that was answered with ok must be taken and stored exactly once,
 * those of one sender in their order; each bad one must be refused; nobody may lose a connection. Run under
 * ThreadSanitizer.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/observation.h"
#include "base/queue.h"
#include "collect/inbox.h"

enum { SENDERS = 6, EVENTS = 500, BAD_EACH = 10, ROOM = 4, RELOADS = 20 };

static char path[64];
static atomic_uint answered, refused, broken, stored;

static int connect_inbox(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int descriptor = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    if (descriptor < 0 || connect(descriptor, (struct sockaddr *)&address, sizeof address) < 0)
        abort();
    return descriptor;
}

/* The number of the event stands in `port`, that of the sender in `count`; three are sent before answers are read. */
static void *send_all(void *argument)
{
    unsigned sender = (unsigned)(uintptr_t)argument, sent = 0, got = 0;
    int descriptor = connect_inbox();
    while (got < EVENTS) {
        char text[256], answer[INBOX_ANSWER_MAX];
        while (sent < EVENTS && sent < got + 3) {
            sent++;
            snprintf(text, sizeof text, "{\"event\":2,\"address\":\"192.0.2.%u\",\"count\":%u,\"port\":%u%s}",
                     sender + 1, sender + 1, sent, sent % BAD_EACH ? "" : ",\"bad\":1");
            if (send(descriptor, text, strlen(text), MSG_NOSIGNAL) < 0)
                abort();
        }
        ssize_t length = recv(descriptor, answer, sizeof answer - 1, 0);
        if (length <= 0) {
            atomic_fetch_add(&broken, 1);
            break;
        }
        answer[length] = '\0';
        got++;
        bool good = strcmp(answer, "{\"ok\":true}") == 0;
        if (good == !(got % BAD_EACH))
            atomic_fetch_add(&broken, 1);
        unsigned count = atomic_fetch_add(good ? &answered : &refused, 1);
        if (good && count >= atomic_load(&stored)) /* answered before it was stored */
            atomic_fetch_add(&broken, 1);
    }
    close(descriptor);
    return NULL;
}

static bool take(struct queue *queue, size_t max, unsigned *taken, unsigned *last)
{
    struct observation out[ROOM];
    size_t count = queue_take(queue, out, max);
    for (size_t i = 0; i < count; i++) {
        const struct observation_event *event = &out[i].event;
        unsigned sender = event->count - 1;
        if (out[i].kind != OBSERVATION_EVENT || sender >= SENDERS || event->address.octets[3] != sender + 1 ||
            event->port <= last[sender] || event->port % BAD_EACH == 0) {
            printf("sender %u: event %u after %u\n", sender, event->port, last[sender]);
            return false;
        }
        last[sender] = event->port;
        (*taken)++;
    }
    return true;
}

static void store(struct queue *queue, unsigned taken)
{
    atomic_store(&stored, taken);
    queue_stored(queue, queue_taken(queue));
}

static bool removed(void)
{
    struct stat status;
    return stat(path, &status) < 0;
}

int main(void)
{
    char folder[] = "/tmp/fedwarden-inbox-XXXXXX";
    pthread_t threads[SENDERS];
    unsigned taken = 0, last[SENDERS] = {0}, wanted = SENDERS * (EVENTS - EVENTS / BAD_EACH);
    bool good = mkdtemp(folder) != NULL;
    snprintf(path, sizeof path, "%s/inbox", folder);
    log_level_set(LOG_LEVEL_ERROR);
    struct conf conf = {.inbox = {.path = path, .mode = 0600, .group = "", .connections_max = SENDERS}};
    struct conf next = conf;
    struct queue *queue = queue_new(ROOM);
    struct inbox *inbox = inbox_start(&conf, queue, NULL);
    good = good && !*inbox_problem(inbox);
    struct inbox *second = inbox_start(&conf, queue, NULL);
    good = good && *inbox_problem(second); /* somebody listens there */
    inbox_free(second);
    for (uintptr_t i = 0; good && i < SENDERS; i++)
        if (pthread_create(&threads[i], NULL, send_all, (void *)i) != 0)
            abort();
    int64_t end = clock_run() + 120 * CLOCK_SECOND;
    for (unsigned turn = 0, reloads = 0; good && taken < wanted; turn++) {
        good = take(queue, 1 + turn % ROOM, &taken, last);
        if (turn % 5 == 0)
            store(queue, taken);
        if (taken > reloads * wanted / RELOADS) {
            reloads++;
            inbox_stop(inbox);
            inbox = inbox_start(reloads % 2 ? &next : &conf, queue, inbox);
        }
        if (clock_run() > end) {
            printf("only %u of %u events after two minutes\n", taken, wanted);
            return 1;
        }
    }
    store(queue, taken);
    for (unsigned i = 0; good && i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    good = good && take(queue, ROOM, &taken, last);
    inbox_stop(inbox);
    inbox_free(inbox);
    printf("%u answered, %u refused, %u taken, %u broken, %llu dropped\n", answered, refused, taken, broken,
           (unsigned long long)queue_dropped(queue));
    good = good && answered == taken && taken == wanted && refused == SENDERS * (EVENTS / BAD_EACH) && !broken &&
           !queue_dropped(queue) && removed();
    queue_free(queue);
    rmdir(folder);
    return good ? 0 : 1;
}
