/*
 * The collectors started and stopped many times, at once and in the middle of walks, against listeners on loopback that
 * refuse, accept and stay silent, or hang up, some of them as proxies; meanwhile this thread drains the queue as the
 * daemon does. Run under ThreadSanitizer. Needs a loopback interface, nothing else: all partners have fixed addresses.
 */
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/observation.h"
#include "base/queue.h"
#include "collect/collector.h"

#define ROUNDS       40
#define PARTNERS     60
#define STOP_AT_MOST (500 * 1000) /* microseconds; milliseconds without a sanitizer on an idle machine */

/* A root that nobody has the key of, so that the profile is sound and cheap to load. */
static const char root[] = "-----BEGIN CERTIFICATE-----\n"
                           "MIIBlDCCATmgAwIBAgIUCc5sI9MQ4fpDZuAPp7qm1nU0DA8wCgYIKoZIzj0EAwIw\n"
                           "HjEcMBoGA1UEAwwTY29sbGVjdG9yIHRlc3Qgcm9vdDAgFw0yNjExMjIwODE3MTda\n"
                           "GA8yMTI2MTAyOTA4MTcxN1owHjEcMBoGA1UEAwwTY29sbGVjdG9yIHRlc3Qgcm9v\n"
                           "dDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABJgPDn1GLFr2nl/Khop8tXQOhQT7\n"
                           "Ds7ROrHz3od5bhmhzLFZymumY3OHCLOFGEWRHd9p4xD6yL2O7ydw5Jgy5LmjUzBR\n"
                           "MB0GA1UdDgQWBBRtue8Uur8HyM/l5SEpvO3eLcMo1zAfBgNVHSMEGDAWgBRtue8U\n"
                           "ur8HyM/l5SEpvO3eLcMo1zAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0kA\n"
                           "MEYCIQDYYmXfE8fo0Fmxv6camZIpsGrMYKmdihUcL3rf+9v1BQIhAI+irKuqK+/6\n"
                           "lzf5qm9AxMY49hpS9lc7a8dfqKe3ZMR7\n"
                           "-----END CERTIFICATE-----\n";

static void write_root(char *path)
{
    int descriptor = mkstemp(path);
    if (descriptor < 0 || write(descriptor, root, sizeof root - 1) != sizeof root - 1 || close(descriptor) != 0) {
        perror(path);
        exit(1);
    }
}

static int listener(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0 || bind(descriptor, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(descriptor, 512) != 0 || getsockname(descriptor, (struct sockaddr *)&address, &length) != 0) {
        perror("listener");
        exit(1);
    }
    *port = ntohs(address.sin_port);
    return descriptor;
}

/* Accepts and hangs up, until its listener is shut down. */
static void *hang_up(void *context)
{
    int descriptor;
    while ((descriptor = accept4(*(int *)context, NULL, NULL, SOCK_CLOEXEC)) >= 0)
        close(descriptor);
    return NULL;
}

static void make_partners(struct conf_partner *partners, char names[][16], char proxies[3][40], const uint16_t ports[3])
{
    static const enum protocol protocols[] = {PROTOCOL_TLS, PROTOCOL_SMTP, PROTOCOL_XMPP, PROTOCOL_SIP, PROTOCOL_HTTPS};
    for (size_t i = 0; i < 3; i++)
        snprintf(proxies[i], 40, "%s://127.0.0.1:%u", i ? "http" : "socks5", ports[i]);
    for (size_t i = 0; i < PARTNERS; i++) {
        snprintf(names[i], 16, "partner%zu", i);
        partners[i] = (struct conf_partner){.name = names[i],
                                            .domain = "peer.example",
                                            .protocol = protocols[i % 5],
                                            .service = "",
                                            .host = "",
                                            .address = {ADDRESS_IPV4, {127, 0, 0, 1}},
                                            .port = ports[i % 3],
                                            .verify_name = "",
                                            .sni = "",
                                            .interval = 1,
                                            .proxy = i % 4 == 3 ? proxies[i / 4 % 3] : "",
                                            .contact = "",
                                            .enabled = i % 10 != 9,
                                            .families = FAMILIES_AUTO};
    }
}

/* Takes what is there, counting walks; every walk must name an enabled partner and be complete. */
static size_t drain(struct queue *queue)
{
    static struct observation batch[64];
    size_t count, walks = 0;
    while ((count = queue_take(queue, batch, 64)) > 0)
        for (size_t i = 0; i < count; i++) {
            if (batch[i].partner % 10 == 9) {
                fprintf(stderr, "partner %u is not enabled but was probed\n", batch[i].partner);
                exit(1);
            }
            walks += batch[i].kind == OBSERVATION_WALK;
        }
    return walks;
}

/* One life of the collectors, ended after `walks` of them were told. */
static int64_t live(const struct conf *conf, struct queue *queue, size_t walks)
{
    struct collectors *collectors = collectors_start(conf, queue);
    if (!collectors) {
        fputs("the collectors did not start\n", stderr);
        exit(1);
    }
    for (size_t seen = 0; seen < walks;) {
        struct pollfd ready = {.fd = queue_descriptor(queue), .events = POLLIN};
        if (poll(&ready, 1, 20000) <= 0) {
            fprintf(stderr, "only %zu of %zu walks in 20 s, %llu wait\n", seen, walks,
                    (unsigned long long)collectors_waiting(collectors));
            exit(1);
        }
        seen += drain(queue);
    }
    int64_t began = clock_run();
    collectors_stop(collectors);
    int64_t took = clock_run() - began;
    drain(queue);
    return took;
}

int main(void)
{
    uint16_t ports[3];
    char path[] = "/tmp/fedwarden-root-XXXXXX";
    char names[PARTNERS][16], proxies[3][40];
    struct conf_partner partners[PARTNERS];
    struct conf_trust trust = {.name = "system",
                               .ca_file = path,
                               .ca_dir = "",
                               .crl_file = "",
                               .certificate = "",
                               .key = "",
                               .tls_min = 0x0303};
    struct conf_resolver resolver = {.name = "none", .address = {ADDRESS_IPV4, {127, 0, 0, 1}}, .port = 9};
    pthread_t thread;
    int silent = listener(&ports[0]), hanging = listener(&ports[1]), closed = listener(&ports[2]);
    close(closed);
    if (pthread_create(&thread, NULL, hang_up, &hanging) != 0)
        return 1;
    make_partners(partners, names, proxies, ports);
    write_root(path);
    struct conf conf = {.path = "",
                        .trust_count = 1,
                        .trusts = &trust,
                        .resolver_count = 1,
                        .resolvers = &resolver,
                        .partner_count = PARTNERS,
                        .partners = partners,
                        .collectors = {.threads = 4,
                                       .in_flight = 5,
                                       .dns_in_flight = 10,
                                       .endpoints_per_partner = 8,
                                       .handshakes_per_second = 500,
                                       .queue = 4096,
                                       .jitter = 2,
                                       .first_spread = 0,
                                       .confirm = 3,
                                       .budget = {.dns_try = 300, .dns = 900, .connect = 200, .proxy = 200, .starttls = 200,
                                                  .tls = 200, .after = 50, .app = 200, .walk = 2000, .fetch = 1000}}};
    struct queue *queue = queue_new(conf.collectors.queue);
    if (!queue)
        return 1;
    int64_t slowest = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        conf.collectors.threads = 1 + round % 4;
        conf.collectors.handshakes_per_second = round % 2 ? 500 : 0;
        int64_t took = live(&conf, queue, round % 8 * 6);
        slowest = took > slowest ? took : slowest;
    }
    queue_free(queue);
    shutdown(hanging, SHUT_RDWR);
    pthread_join(thread, NULL);
    close(hanging);
    close(silent);
    unlink(path);
    printf("%d starts and stops, the slowest stop took %.1f ms\n", ROUNDS, (double)slowest / 1000);
    return slowest < STOP_AT_MOST ? 0 : 1;
}
