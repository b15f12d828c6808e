/*
 * The acceptor by itself, for tests/system/test_listen.py:
 *
 *   listen_serve FILE
 *
 * starts it as the configuration FILE says, prints {"listening": true}, then each event as a JSON line, until its
 * standard input ends; then {"counts": {...}}.
 */
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/conf.h"
#include "base/log.h"
#include "base/observation.h"
#include "base/queue.h"
#include "collect/listen.h"

static void print(json_t *value)
{
    if (!value || json_dumpf(value, stdout, JSON_COMPACT) != 0)
        abort();
    json_decref(value);
    putchar('\n');
    fflush(stdout);
}

static void tell(const struct conf *conf, const struct observation *observation)
{
    const struct observation_event *event = &observation->event;
    char address[ADDRESS_TEXT_SIZE];
    bool known = observation->partner < conf->partner_count;
    if (observation->kind != OBSERVATION_EVENT || (!known && observation->partner != OBSERVATION_NO_PARTNER))
        abort();
    print(json_pack("{ss ss ss si ss si ss ss ss ss ss ss}", "partner",
                    known ? conf->partners[observation->partner].name : "", "event", event_name(event->event), "reason",
                    reason_name(event->reason), "count", (int)event->count, "address",
                    address_text(&event->address, address), "port", (int)event->port, "domain", event->domain,
                    "subject", event->subject, "issuer", event->issuer, "serial", event->serial, "rule", event->rule,
                    "detail", event->detail));
}

/* What the queue holds. */
static void drain(const struct conf *conf, struct queue *queue)
{
    struct observation observation;
    while (queue_take(queue, &observation, 1) == 1)
        tell(conf, &observation);
}

static bool input_ended(void)
{
    char waste[64];
    return read(STDIN_FILENO, waste, sizeof waste) <= 0;
}

static void serve(const struct conf *conf, struct queue *queue)
{
    struct pollfd items[] = {{.fd = queue_descriptor(queue), .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
    for (bool ended = false; !ended;) {
        if (poll(items, 2, -1) < 0)
            abort();
        ended = items[1].revents && input_ended();
        drain(conf, queue);
    }
}

int main(int argc, char **argv)
{
    struct conf_errors errors;
    char problem[OBSERVATION_DETAIL];
    struct conf *conf = argc == 2 ? conf_load(argv[1], &errors) : NULL;
    struct queue *queue = queue_new(4096);
    if (!conf || !queue) {
        fputs("usage: listen_serve FILE, without mistakes in it\n", stderr);
        return 2;
    }
    log_level_set(conf->log_level);
    struct listeners *listeners = listeners_start(conf, queue, problem, sizeof problem);
    if (!listeners) {
        print(json_pack("{sb ss}", "listening", 0, "problem", problem));
        queue_free(queue);
        conf_free(conf);
        return 1;
    }
    print(json_pack("{sb}", "listening", 1));
    serve(conf, queue);
    struct listeners_counts counts = listeners_counts(listeners);
    listeners_stop(listeners);
    drain(conf, queue);
    print(json_pack("{s{sI sI sI sI sI}}", "counts", "good", (json_int_t)counts.good, "refused",
                    (json_int_t)counts.refused, "limited", (json_int_t)counts.limited, "timeouts",
                    (json_int_t)counts.timeouts, "other", (json_int_t)counts.other));
    queue_free(queue);
    conf_free(conf);
    return 0;
}
