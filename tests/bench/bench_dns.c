/*
 * What a look-up by collect/dns.h costs: asks one resolver COUNT questions, at most FLIGHT of them at a time, and prints
 * one line of JSON: {"queries":N,"ok":N,"seconds":S,"cpu_us_per_query":U}. `ok` counts those with an answer. The CPU time
 * is that of this process, user and system.
 *
 *   tests/bench/bench_dns ADDRESS PORT COUNT FLIGHT NAMES
 *
 * NAMES is a file of lines "name type", as dnsperf reads it, asked in turn, or a pattern such as "h%.bench.example A", in
 * which the % becomes 0, 1, ... up to 19999 and starts again.
 *
 * To compare: in a network namespace (unshare -n; ip link set lo up) start knotd with a zone that has those names on a
 * private port, and run in turns, five times and more,
 *   taskset -c 0 tests/bench/bench_dns 127.0.0.1 5399 150000 100 names
 *   taskset -c 0 dnsperf -s 127.0.0.1 -p 5399 -d names -q 100 -c 1 -n ROUNDS     (CPU by time(1))
 * with the server on another core, and take medians.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <arpa/inet.h>

#include "base/clock.h"
#include "collect/dns.h"

#define PATTERN_NAMES 20000
#define LINE_ROOM 300

struct question {
    char name[OBSERVATION_NAME];
    enum dns_type type;
};

struct bench {
    sd_event *loop;
    struct dns *dns;
    struct question *questions;
    size_t question_count;
    unsigned long count, asked, done, ok;
};

static enum dns_type type_find(const char *name)
{
    static const enum dns_type types[] = {DNS_A, DNS_CNAME, DNS_MX, DNS_TXT, DNS_AAAA, DNS_SRV, DNS_TLSA};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(dns_type_name(types[i]), name) == 0)
            return types[i];
    }
    fprintf(stderr, "bench_dns: unknown type \"%s\"\n", name);
    exit(2);
}

static void question_add(struct bench *bench, const char *line)
{
    char name[LINE_ROOM], type[LINE_ROOM];
    if (strlen(line) >= LINE_ROOM || sscanf(line, "%299s %299s", name, type) != 2 || strlen(name) >= OBSERVATION_NAME) {
        fprintf(stderr, "bench_dns: no \"name type\": %s\n", line);
        exit(2);
    }
    if ((bench->question_count & (bench->question_count - 1)) == 0) {
        size_t room = bench->question_count == 0 ? 1 : 2 * bench->question_count;
        bench->questions = realloc(bench->questions, room * sizeof *bench->questions);
        if (bench->questions == NULL)
            abort();
    }
    struct question *question = &bench->questions[bench->question_count++];
    snprintf(question->name, sizeof question->name, "%.255s", name);
    question->type = type_find(type);
}

static void questions_read(struct bench *bench, const char *names)
{
    char line[LINE_ROOM];
    const char *mark = strchr(names, '%');
    if (mark != NULL) {
        for (unsigned i = 0; i < PATTERN_NAMES; i++) {
            snprintf(line, sizeof line, "%.*s%u%s", (int)(mark - names), names, i, mark + 1);
            question_add(bench, line);
        }
        return;
    }
    FILE *file = fopen(names, "re");
    if (file == NULL) {
        perror(names);
        exit(2);
    }
    while (fgets(line, sizeof line, file) != NULL)
        question_add(bench, line);
    fclose(file);
    if (bench->question_count == 0) {
        fprintf(stderr, "bench_dns: %s is empty\n", names);
        exit(2);
    }
}

static void answered(void *context, const struct dns_answer *answer);

static void ask(struct bench *bench)
{
    const struct question *question = &bench->questions[bench->asked++ % bench->question_count];
    struct dns_question asked = {.name = question->name, .type = question->type};
    if (dns_ask(bench->dns, &asked, answered, bench) == NULL)
        abort();
}

static void answered(void *context, const struct dns_answer *answer)
{
    struct bench *bench = context;
    bench->ok += answer->reason == REASON_NONE;
    if (++bench->done == bench->count)
        sd_event_exit(bench->loop, 0);
    else if (bench->asked < bench->count)
        ask(bench);
}

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

int main(int argc, char **argv)
{
    struct bench bench = {0};
    struct conf_resolver resolver = {.name = "bench"};
    struct conf conf = {.resolver_count = 1, .resolvers = &resolver};
    if (argc != 6) {
        fprintf(stderr, "usage: bench_dns ADDRESS PORT COUNT FLIGHT NAMES\n");
        return 2;
    }
    resolver.address.family = strchr(argv[1], ':') != NULL ? ADDRESS_IPV6 : ADDRESS_IPV4;
    if (inet_pton(strchr(argv[1], ':') != NULL ? AF_INET6 : AF_INET, argv[1], resolver.address.octets) != 1) {
        fprintf(stderr, "bench_dns: no address: %s\n", argv[1]);
        return 2;
    }
    resolver.port = (uint16_t)atoi(argv[2]);
    bench.count = strtoul(argv[3], NULL, 10);
    conf.collectors.dns_in_flight = (uint32_t)atoi(argv[4]);
    conf.collectors.budget.dns_try = 1500;
    conf.collectors.budget.dns = 5000;
    questions_read(&bench, argv[5]);
    if (bench.count == 0 || conf.collectors.dns_in_flight == 0) {
        fprintf(stderr, "bench_dns: COUNT and FLIGHT must be at least 1\n");
        return 2;
    }
    if (sd_event_new(&bench.loop) < 0 || (bench.dns = dns_new(bench.loop, &conf)) == NULL)
        return 1;
    double cpu = cpu_seconds();
    int64_t start = clock_run();
    while (bench.asked < bench.count && bench.asked < conf.collectors.dns_in_flight)
        ask(&bench);
    if (sd_event_loop(bench.loop) < 0)
        return 1;
    double seconds = (double)(clock_run() - start) / 1e6;
    cpu = cpu_seconds() - cpu;
    printf("{\"queries\":%lu,\"ok\":%lu,\"seconds\":%.3f,\"cpu_us_per_query\":%.3f}\n", bench.done, bench.ok, seconds,
           1e6 * cpu / (double)bench.done);
    dns_free(bench.dns);
    sd_event_unref(bench.loop);
    free(bench.questions);
    return 0;
}
