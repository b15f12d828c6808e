/*
 * bench_history [PARTNERS [FOLDER]]: what the history costs for so many partners (100,000), each with a lookup, two endpoints
 * and a certificate: the copy and the writing of everything, of what a second brings, and opening, checking and loading.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "report/history.h"

struct moment {
    int64_t run, cpu; /* of this thread */
};

static struct moment moment_now(void)
{
    struct timespec cpu;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
    return (struct moment){clock_run(), (int64_t)cpu.tv_sec * CLOCK_SECOND + cpu.tv_nsec / 1000};
}

static void say(const char *what, double value, const char *unit)
{
    printf("%-40s %10.2f %s\n", what, value, unit);
}

/* For people, and a line of JSON for tests/bench/run. */
static void say_since(const char *what, struct moment since)
{
    struct moment now = moment_now();
    double run = (double)(now.run - since.run) / 1000, cpu = (double)(now.cpu - since.cpu) / 1000;
    printf("%-40s %10.2f ms, %.2f ms of them computing in this thread\n", what, run, cpu);
    printf("{\"bench\":\"history\",\"case\":\"%s\",\"ms\":%.3f,\"cpu_ms\":%.3f}\n", what, run, cpu);
}

static struct conf *make_conf(uint32_t count)
{
    struct conf *conf = calloc(1, sizeof *conf);
    char *names = calloc(count, CONF_NAME_MAX + 1);
    conf->partners = calloc(count, sizeof *conf->partners);
    if (!names || !conf->partners)
        abort();
    conf->partner_count = count;
    conf->history = (struct conf_history){"", 90, 100000, 200000, 200000};
    for (int event = EVENT_NONE + 1; event < EVENT_END; event++) {
        const struct event_info *info = event_info((enum event)event);
        conf->thresholds[event] = (struct conf_threshold){info->count, info->window, info->clear};
    }
    for (uint32_t i = 0; i < count; i++) {
        struct conf_partner *partner = &conf->partners[i];
        char *name = names + (size_t)i * (CONF_NAME_MAX + 1);
        snprintf(name, CONF_NAME_MAX + 1, "partner-%06u", i);
        *partner = (struct conf_partner){.name = name,
                                         .domain = "partner.example.net",
                                         .protocol = PROTOCOL_SIP,
                                         .service = "_sipfederationtls._tcp.partner.example.net",
                                         .host = "",
                                         .verify_name = "",
                                         .sni = "",
                                         .proxy = "",
                                         .contact = "noc@partner.example.net",
                                         .interval = 60,
                                         .enabled = true};
        memcpy(partner->thresholds, conf->thresholds, sizeof conf->thresholds);
    }
    return conf;
}

static void walk(struct ledger *ledger, uint32_t partner, int64_t wall, int64_t run)
{
    struct observation told = {.kind = OBSERVATION_PROBE, .partner = partner, .wall = wall, .run = run};
    told.probe = (struct observation_probe){.kind = PROBE_SERVICE,
                                            .target = "_sipfederationtls._tcp.partner.example.net",
                                            .reason = REASON_NONE,
                                            .rcode = 0,
                                            .ede = -1,
                                            .alert = -1,
                                            .ttl = 3600,
                                            .resolver = "192.0.2.53:53"};
    ledger_apply(ledger, &told);
    for (uint8_t i = 1; i <= 2; i++) {
        told.probe.kind = PROBE_ENDPOINT;
        told.probe.address = (struct address){ADDRESS_IPV4, {10, (uint8_t)(partner >> 12), (uint8_t)(partner >> 4), i}};
        told.probe.port = 5061;
        told.probe.not_after = wall + 90 * 86400 * CLOCK_SECOND;
        text_copy(told.probe.tls_version, sizeof told.probe.tls_version, "1.3");
        text_copy(told.probe.cipher, sizeof told.probe.cipher, "TLS_AES_256_GCM_SHA384");
        text_format(told.probe.target, sizeof told.probe.target, "sip%u.partner.example.net", i);
        ledger_apply(ledger, &told);
    }
    struct observation chain = {.kind = OBSERVATION_CERTIFICATE, .partner = partner, .wall = wall, .run = run};
    chain.certificate =
        (struct observation_certificate){.address = told.probe.address,
                                         .port = 5061,
                                         .length = 1,
                                         .target = "sip2.partner.example.net",
                                         .subject = "CN=sip2.partner.example.net,O=Partner,C=NL",
                                         .names = "DNS:sip2.partner.example.net, DNS:partner.example.net",
                                         .issuer = "CN=Example Issuing CA 3,O=Example,C=NL",
                                         .serial = "0a1b2c3d4e5f60718293a4b5c6d7e8f9",
                                         .not_before = wall,
                                         .not_after = wall + 90 * 86400 * CLOCK_SECOND,
                                         .key_algorithm = "EC P-256",
                                         .key_bits = 256,
                                         .signature_algorithm = "ecdsa-with-SHA256",
                                         .reason = REASON_NONE};
    ledger_apply(ledger, &chain);
    struct observation end = {.kind = OBSERVATION_WALK, .partner = partner, .wall = wall, .run = run};
    end.walk = (struct observation_walk){.reason = REASON_NONE, .endpoints = 2, .endpoints_ok = 2};
    ledger_apply(ledger, &end);
}

static void ignore(void *context, const struct transition *transition)
{
    (void)context;
    (void)transition;
}

/* A batch: how long it holds the main thread, and how long until it is stored. */
static void batch(struct history *history, struct ledger *ledger, int64_t wall, int64_t run, const char *what)
{
    char label[64];
    struct pollfd ended = {history_descriptor(history), POLLIN, 0};
    struct moment since = moment_now();
    uint64_t number = history_step(history, ledger, wall, run);
    snprintf(label, sizeof label, "%s: main thread", what);
    say_since(label, since);
    while (history_ended(history) < number)
        poll(&ended, 1, 1000);
    snprintf(label, sizeof label, "%s: stored after", what);
    say_since(label, since);
}

int main(int count, char **arguments)
{
    uint32_t partners = count > 1 ? (uint32_t)strtoul(arguments[1], NULL, 10) : 100000;
    enum history_opened opened;
    char problem[512];
    struct rusage usage;
    if ((count > 2 && chdir(arguments[2]) < 0) || !partners || partners > CONF_PARTNERS_MAX)
        return 2;
    struct conf *conf = make_conf(partners);
    int64_t wall = clock_wall(), run = clock_run();
    struct history *history = history_open("bench-history.db", &opened, problem, sizeof problem);
    if (opened != HISTORY_NEW) {
        fprintf(stderr, "bench_history: bench-history.db is there already; %s\n", problem);
        return 1;
    }
    history_limits(history, conf);
    struct ledger *ledger = ledger_new(conf, wall, run, ignore, NULL);
    for (uint32_t i = 0; i < partners; i++)
        walk(ledger, i, wall, run);
    batch(history, ledger, wall, run, "everything");
    for (int k = 0; k < 3; k++) {
        char what[48];
        uint32_t walks = partners / 60 ? partners / 60 : 1;
        for (uint32_t i = 0; i < walks; i++)
            walk(ledger, (i * 61 + (uint32_t)k) % partners, wall, run);
        run += 10 * CLOCK_SECOND;
        wall += 10 * CLOCK_SECOND;
        snprintf(what, sizeof what, "a second of walks, %d", k + 1);
        batch(history, ledger, wall, run, what);
    }
    struct moment since = moment_now();
    history_close(history, ledger, wall, run);
    say_since("close", since);
    ledger_free(ledger);
    since = moment_now();
    history = history_open("bench-history.db", &opened, problem, sizeof problem);
    say_since("open, with the check of integrity", since);
    since = moment_now();
    ledger = history_load(history, wall, run, ignore, NULL);
    say_since("load", since);
    since = moment_now();
    ledger_bind(ledger, conf, wall, run);
    say_since("bind", since);
    history_close(history, ledger, wall, run);
    ledger_free(ledger);
    getrusage(RUSAGE_SELF, &usage);
    say("memory at most", (double)usage.ru_maxrss / 1024, "MB");
    FILE *file = fopen("bench-history.db", "r");
    fseek(file, 0, SEEK_END);
    say("file", (double)ftell(file) / 1e6, "MB");
    fclose(file);
    unlink("bench-history.db");
    unlink("bench-history.db.lock");
    free((void *)conf->partners[0].name);
    free(conf->partners);
    free(conf);
    return 0;
}
