/*
 * What a TLS probe costs by collect/tls.h: COUNT sessions, at most FLIGHT at a time, each a full handshake with the
 * chain and the name verified, both certificates recorded and one more reading until the session ticket. Prints one
 * line of JSON: {"probes":N,"ok":N,"seconds":S,"cpu_ms_per_probe":C}. The CPU time is that of this process, user and
 * system.
 *
 *   tests/bench/bench_tls ADDRESS PORT NAME CA-FILE COUNT FLIGHT [CERTIFICATE KEY]
 *
 * To compare: run a server such as nginx on another core, and in turns, five times and more,
 *   taskset -c 0 tests/bench/bench_tls 127.0.0.1 8443 a.example.test cas.pem 2000 32
 *   taskset -c 0 openssl s_time -new -time 3 -connect 127.0.0.1:8443 -CAfile cas.pem -verify 5   (CPU by time(1))
 * with the root among the CAs of the system in cas.pem, and take medians.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "base/clock.h"
#include "collect/tls.h"

struct bench {
    sd_event *loop;
    struct tls_trust *trust;
    struct tls_target target;
    struct sockaddr_in address;
    unsigned long count, started, done, ok;
    uint64_t octets; /* of what was recorded, so that nothing is left out */
};

struct visit {
    struct bench *bench;
    struct tls_session *session;
    sd_event_source *source;
    int descriptor;
};

static void start(struct bench *bench);

static void fatal(const char *what)
{
    fprintf(stderr, "bench_tls: %s: %s\n", what, strerror(errno));
    exit(2);
}

static void finish(struct visit *visit)
{
    struct bench *bench = visit->bench;
    const struct tls_result *result = tls_result(visit->session);
    if (bench->done == 0 || (result->reason != REASON_NONE && bench->ok + 1 == bench->done))
        fprintf(stderr, "bench_tls: %s %s, %s, %zu certificates\n", reason_name(result->reason), result->detail,
                result->version, result->certificate_count);
    bench->ok += result->reason == REASON_NONE && result->certificate_count > 0;
    bench->octets += result->certificates[0].subject[0];
    tls_close(visit->session);
    tls_free(visit->session);
    sd_event_source_unref(visit->source);
    close(visit->descriptor);
    free(visit);
    if (++bench->done == bench->count)
        sd_event_exit(bench->loop, 0);
    else if (bench->started < bench->count)
        start(bench);
}

static int ready(sd_event_source *source, int descriptor, uint32_t events, void *context)
{
    struct visit *visit = context;
    (void)descriptor, (void)events;
    enum tls_want want = tls_step(visit->session);
    if (want == TLS_WANT_NONE)
        finish(visit);
    else
        sd_event_source_set_io_events(source, want == TLS_WANT_WRITE ? EPOLLOUT : EPOLLIN);
    return 0;
}

static void start(struct bench *bench)
{
    struct visit *visit = calloc(1, sizeof *visit);
    if (!visit)
        abort();
    visit->bench = bench;
    bench->started++;
    visit->descriptor = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (visit->descriptor < 0)
        fatal("socket");
    if (connect(visit->descriptor, (struct sockaddr *)&bench->address, sizeof bench->address) != 0 &&
        errno != EINPROGRESS)
        fatal("connect");
    visit->session = tls_start(bench->trust, visit->descriptor, &bench->target);
    if (!visit->session || sd_event_add_io(bench->loop, &visit->source, visit->descriptor, EPOLLOUT, ready, visit) < 0)
        abort();
}

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv)
{
    if (argc != 7 && argc != 9) {
        fprintf(stderr, "usage: bench_tls ADDRESS PORT NAME CA-FILE COUNT FLIGHT [CERTIFICATE KEY]\n");
        return 2;
    }
    struct conf_trust conf = {.name = "bench",
                              .ca_file = argv[4],
                              .ca_dir = "",
                              .crl_file = "",
                              .tls_min = 0x0303,
                              .certificate = argc == 9 ? argv[7] : "",
                              .key = argc == 9 ? argv[8] : ""};
    struct bench bench = {.target = {.sni = argv[3],
                                     .identity = TLS_IDENTITY_HOST,
                                     .verify_name = argv[3],
                                     .alpn = "",
                                     .expiry_days = 1,
                                     .conf = &conf},
                          .address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))},
                          .count = strtoul(argv[5], NULL, 10)};
    unsigned long flight = strtoul(argv[6], NULL, 10);
    char error[512];
    bench.trust = tls_trust_new(&conf, error, sizeof error);
    if (!bench.trust || error[0] || inet_pton(AF_INET, argv[1], &bench.address.sin_addr) != 1 || bench.count == 0 ||
        flight == 0) {
        fprintf(stderr, "bench_tls: %s\n", error[0] ? error : "bad address, COUNT or FLIGHT");
        return 2;
    }
    if (sd_event_new(&bench.loop) < 0)
        abort();
    double cpu = cpu_seconds();
    int64_t begin = clock_run();
    while (bench.started < bench.count && bench.started < flight)
        start(&bench);
    sd_event_loop(bench.loop);
    double seconds = (double)(clock_run() - begin) / 1e6;
    cpu = cpu_seconds() - cpu;
    printf("{\"probes\":%lu,\"ok\":%lu,\"seconds\":%.3f,\"cpu_ms_per_probe\":%.4f}\n", bench.done, bench.ok, seconds,
           cpu * 1000 / (double)bench.done);
    sd_event_unref(bench.loop);
    tls_trust_free(bench.trust);
    return bench.ok == bench.count ? 0 : 1;
}
