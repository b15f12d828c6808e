/*
 * When walks happen: over the cap in_flight they wait, in order, and tell how late they are; a verdict that changed is
 * confirmed after five seconds, not before, though the interval is an hour, and not at all where that is off. Needs a
 * loopback interface.
 */
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/observation.h"
#include "base/queue.h"
#include "collect/collector.h"

#define PARTNERS       5
#define CONNECT_BUDGET 200 /* milliseconds */

static int failures;

#define CHECK(condition, ...)                                                                                          \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            failures++;                                                                                                \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);                                            \
            fprintf(stderr, __VA_ARGS__);                                                                              \
            fputc('\n', stderr);                                                                                       \
        }                                                                                                              \
    } while (0)

/* A port on which connections are accepted by the kernel and nobody says anything. */
static int silent_listener(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0 || bind(descriptor, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(descriptor, 64) != 0 || getsockname(descriptor, (struct sockaddr *)&address, &length) != 0) {
        perror("listener");
        exit(1);
    }
    *port = ntohs(address.sin_port);
    return descriptor;
}

/* The next walk that is told, within so many milliseconds; false when there is none. */
static bool next_walk(struct queue *queue, int milliseconds, struct observation *out)
{
    int64_t end = clock_run() + (int64_t)milliseconds * 1000;
    for (;;) {
        while (queue_take(queue, out, 1) == 1)
            if (out->kind == OBSERVATION_WALK)
                return true;
        int64_t left = (end - clock_run()) / 1000;
        struct pollfd ready = {.fd = queue_descriptor(queue), .events = POLLIN};
        if (left <= 0 || poll(&ready, 1, (int)left) <= 0)
            return false;
    }
}

static void test_waiting(const struct conf *conf, struct queue *queue)
{
    struct observation walk;
    bool seen[PARTNERS] = {false};
    uint32_t before = 0;
    struct collectors *collectors = collectors_start(conf, queue);
    CHECK(collectors, "did not start");
    for (size_t i = 0; collectors && i < PARTNERS; i++) {
        if (!next_walk(queue, 5000, &walk)) {
            CHECK(false, "only %zu walks", i);
            break;
        }
        CHECK(!seen[walk.partner], "partner %u again", walk.partner);
        seen[walk.partner] = true;
        CHECK(walk.walk.reason == REASON_TLS_HANDSHAKE_TIMEOUT, "%s", reason_name(walk.walk.reason));
        CHECK(i == 0 || walk.walk.late >= before + CONNECT_BUDGET * 800, "late %u after %u", walk.walk.late, before);
        before = walk.walk.late;
        if (i + 2 < PARTNERS) /* one is in flight by now or will be */
            CHECK(collectors_waiting(collectors) >= PARTNERS - i - 2, "%llu wait",
                  (unsigned long long)collectors_waiting(collectors));
    }
    collectors_stop(collectors);
    while (queue_take(queue, &walk, 1) == 1)
        ;
}

static void test_confirm(const struct conf *conf, struct queue *queue)
{
    struct observation walk = {0};
    struct collectors *collectors = collectors_start(conf, queue);
    CHECK(collectors && next_walk(queue, 3000, &walk), "no first walk");
    int64_t first = walk.run;
    bool again = next_walk(queue, 7000, &walk);
    CHECK(again == (conf->collectors.confirm > 0), "a walk more: %d", again);
    if (again) {
        CHECK(walk.run - first >= 5 * CLOCK_SECOND - 100000, "after %lld us", (long long)(walk.run - first));
        CHECK(walk.walk.reason == REASON_TCP_REFUSED, "%s", reason_name(walk.walk.reason));
    }
    collectors_stop(collectors);
    while (queue_take(queue, &walk, 1) == 1)
        ;
}

int main(void)
{
    uint16_t silent_port, closed_port;
    char names[PARTNERS][16];
    struct conf_partner partners[PARTNERS];
    struct conf_trust trust = {
        .name = "system", .ca_file = "", .ca_dir = "", .crl_file = "", .certificate = "", .key = "", .tls_min = 0x0303};
    struct conf_resolver resolver = {.name = "none", .address = {ADDRESS_IPV4, {127, 0, 0, 1}}, .port = 9};
    int silent = silent_listener(&silent_port), closed = silent_listener(&closed_port);
    close(closed);
    for (size_t i = 0; i < PARTNERS; i++) {
        snprintf(names[i], sizeof names[i], "partner%zu", i);
        partners[i] = (struct conf_partner){.name = names[i],
                                            .domain = "peer.example",
                                            .protocol = PROTOCOL_TLS,
                                            .service = "",
                                            .host = "",
                                            .address = {ADDRESS_IPV4, {127, 0, 0, 1}},
                                            .port = silent_port,
                                            .verify_name = "",
                                            .sni = "",
                                            .interval = 3600,
                                            .proxy = "",
                                            .contact = "",
                                            .enabled = true,
                                            .families = FAMILIES_AUTO};
    }
    struct conf conf = {.path = "",
                        .trust_count = 1,
                        .trusts = &trust,
                        .resolver_count = 1,
                        .resolvers = &resolver,
                        .partner_count = PARTNERS,
                        .partners = partners,
                        .collectors = {.threads = 1,
                                       .in_flight = 1,
                                       .dns_in_flight = 10,
                                       .endpoints_per_partner = 8,
                                       .queue = 4096,
                                       .jitter = 2,
                                       .first_spread = 0,
                                       .confirm = 0,
                                       .budget = {.dns_try = 300, .dns = 900, .connect = CONNECT_BUDGET, .proxy = 200,
                                                  .starttls = 200, .tls = CONNECT_BUDGET, .after = 50, .app = 200,
                                                  .walk = 2000, .fetch = 1000}}};
    struct queue *queue = queue_new(conf.collectors.queue);
    if (!queue)
        return 1;
    test_waiting(&conf, queue);

    conf.partner_count = 1;
    partners[0].port = closed_port;
    conf.collectors.confirm = 3;
    test_confirm(&conf, queue);
    conf.collectors.confirm = 0;
    test_confirm(&conf, queue);
    queue_free(queue);
    close(silent);
    return failures > 0;
}
