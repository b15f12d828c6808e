/*
 * How fast log lines go through the rules, on one thread, beside pcre2grep and grep -P over the same file in the same
 * run.
 *
 *   bench_rule [--size MB] [--presets FOLDER] [--folder FOLDER] [--lines FILE]...
 *
 * The log is made of the lines of the given files, or of the lines below: those that the rules do not match, with other
 * digits each time, and one in a thousand that they do. It is written to FOLDER (/var/tmp) and removed. Times are those
 * of the processor, for the other programs too: the machine may be doing other things. Prints a table, and the same as
 * one JSON object a line.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "collect/rule.h"

#define LINES_MAX 20000

static const char *const own_lines[] = {
    "Nov 22 05:44:56 sip-edge1 /usr/sbin/kamailio[2126]: INFO: {1 2 REGISTER d13fdcdeee4ca2c@10.10.0.21} <script>: "
    "Authentication ok for user alice from 10.10.0.21:44400",
    "Nov 22 05:45:09 sip-edge1 /usr/sbin/kamailio[2135]: ERROR: <core> [core/tcp_read.c:1476]: tcp_read_req(): ERROR: "
    "tcp_read_req: error reading - c: 0x7f0014544630 r: 0x7f0014544758 (-1)",
    "Nov 22 05:45:15 sip-edge1 /usr/sbin/kamailio[2126]: INFO: {1 2 MESSAGE c7f996d459da08@10.10.0.21} <core> "
    "[core/tcp_main.c:3006]: tcpconn_1st_send(): quick connect for 0x7f00145459a0 sock 9",
    "Nov 22 05:44:56 sip-edge1 /usr/sbin/kamailio[2126]: NOTICE: {1 2 REGISTER 6f81067b12de7c@203.0.113.40} <script>: "
    "Authentication failed for user alice from 203.0.113.40:38702 (rc -2)",
    "Nov 22 05:42:24 sip-edge1 postfix/submission/smtpd[1577]: connect from unknown[203.0.113.42]",
    "Nov 22 05:42:24 sip-edge1 postfix/submission/smtpd[1577]: 32726A78203: client=unknown[10.10.0.21], "
    "sasl_method=PLAIN, sasl_username=alice@alpha.example",
    "Nov 22 05:42:24 sip-edge1 postfix/discard[1603]: 32726A78203: to=<bob@alpha.example>, relay=none, delay=0.02, "
    "delays=0.01/0.01/0/0, dsn=2.0.0, status=sent (alpha.example)",
    "Nov 22 05:42:24 sip-edge1 postfix/cleanup[1583]: 32726A78203: "
    "message-id=<20261122054224.32726A78203@alpha.example>",
    "Nov 22 05:42:24 sip-edge1 postfix/qmgr[1547]: 32726A78203: from=<alice@alpha.example>, size=342, nrcpt=1 (queue "
    "active)",
    "Nov 22 05:42:38 sip-edge1 postfix/smtp[1718]: connect to mx.refused.example[198.51.100.20]:25: Connection refused",
    "Nov 22 05:28:33 sip-edge1 prosody[560]: c2s559117124f60: Stream encrypted (TLSv1.3 with TLS_AES_256_GCM_SHA384)",
    "Nov 22 05:28:33 sip-edge1 prosody[560]: c2s559117124f60: Client disconnected: unexpected eof while reading",
    "Nov 22 05:28:33 sip-edge1 prosody[560]: c2s559117124f60: Failed authentication attempt (not-authorized) for user "
    "alice@alpha.example from IP: 203.0.113.40",
    "Nov 22 05:43:08 sip-edge1 dovecot: imap-login: Login: user=<alice>, method=PLAIN, rip=10.10.0.21, lip=192.0.2.10, "
    "mpid=1799, session=<eey389ZgSYYKCgAV>",
    "Nov 22 05:43:00 sip-edge1 dovecot: imap-login: Disconnected: Aborted login by logging out (auth failed, 1 "
    "attempts in 2 secs): user=<alice>, method=PLAIN, rip=203.0.113.40, lip=192.0.2.10, session=<9zAf89Zgu8nLAHEo>",
};

struct bag { /* lines */
    size_t count;
    char *lines[LINES_MAX];
};

static uint64_t state = 88172645463325252u;

static uint64_t next_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void count_hit(void *context, const struct rule_hit *hit)
{
    *(uint64_t *)context += hit->event.count;
}

static struct rule_set *load(const char *path)
{
    struct conf_errors errors = {0};
    char text[1024];
    struct rule_set *set = rule_set_load(path, "", &errors);
    for (size_t i = 0; i < errors.count; i++) {
        conf_error_text(&errors.errors[i], text, sizeof text);
        fprintf(stderr, "%s\n", text);
    }
    if (!set)
        exit(2);
    return set;
}

static void keep(struct bag *bag, const char *line, size_t length)
{
    if (bag->count < LINES_MAX && !(bag->lines[bag->count++] = strndup(line, length)))
        abort();
}

/* Sorts lines by whether they count or feed a record by themselves. */
static void sort_line(const struct rule_set *set, const char *line, size_t length, struct bag *noise, struct bag *hits)
{
    uint64_t found = 0;
    struct rule_reader *reader = rule_reader_new(set, NULL, count_hit, &found);
    rule_read(reader, line, length, 0);
    struct rule_counts counts = rule_reader_counts(reader);
    if (found)
        keep(hits, line, length);
    else if (!counts.matched && !counts.headless)
        keep(noise, line, length);
    rule_reader_free(reader);
}

static void sort_file(const struct rule_set *set, const char *path, struct bag *noise, struct bag *hits)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    FILE *file = fopen(path, "r");
    if (!file) {
        perror(path);
        exit(2);
    }
    while ((length = getline(&line, &room, file)) > 0)
        sort_line(set, line, (size_t)length - (line[length - 1] == '\n'), noise, hits);
    free(line);
    fclose(file);
}

/* One line with other digits behind its head, so that no two are the same. */
static size_t vary(const char *line, char *out)
{
    size_t length = strlen(line);
    memcpy(out, line, length);
    for (size_t i = 24; i < length; i++)
        if (out[i] >= '1' && out[i] <= '8' && next_random() % 2)
            out[i] = (char)('1' + next_random() % 8);
    out[length] = '\n';
    return length + 1;
}

/* `size` octets of lines; one in `rate` from `hits`. */
static char *make_log(size_t *size, const struct bag *noise, const struct bag *hits, unsigned rate)
{
    char *log = malloc(*size + 65536);
    size_t used = 0;
    if (!log || !noise->count || !hits->count)
        abort();
    while (used < *size) {
        const struct bag *from = next_random() % rate == 0 ? hits : noise;
        used += vary(from->lines[next_random() % from->count], log + used);
    }
    *size = used;
    return log;
}

struct result {
    double seconds;
    uint64_t lines, events;
    double worst; /* microseconds for one line, where it was measured */
};

static struct result read_log(const struct rule_set *set, const char *log, size_t size)
{
    struct result result = {0};
    struct rule_reader *reader = rule_reader_new(set, NULL, count_hit, &result.events);
    double start = seconds();
    for (const char *at = log, *end = log + size; at < end;) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        rule_read(reader, at, (size_t)(line_end - at), 0);
        at = line_end + 1;
    }
    result.seconds = seconds() - start;
    result.lines = rule_reader_counts(reader).lines;
    rule_reader_free(reader);
    return result;
}

static void tell(const char *name, const struct result *result, size_t size)
{
    printf("%-44s %8.0f MB/s %9.0f klines/s %9llu events\n", name, (double)size / 1e6 / result->seconds,
           (double)result->lines / 1e3 / result->seconds, (unsigned long long)result->events);
    printf("{\"bench\":\"rule\",\"case\":\"%s\",\"octets\":%zu,\"lines\":%llu,\"seconds\":%.3f,\"mb_per_s\":%.1f,"
           "\"lines_per_s\":%.0f,\"events\":%llu}\n",
           name, size, (unsigned long long)result->lines, result->seconds, (double)size / 1e6 / result->seconds,
           (double)result->lines / result->seconds, (unsigned long long)result->events);
    fflush(stdout);
}

/* A program over the file. */
static void tell_program(const char *name, char *const *words, const char *path, size_t size, uint64_t lines)
{
    int pipes[2];
    char answer[64] = "";
    struct rusage used = {0};
    if (pipe(pipes) < 0)
        abort();
    pid_t child = fork();
    if (child == 0) {
        dup2(pipes[1], 1);
        close(pipes[0]);
        setenv("LC_ALL", "C", 1);
        execvp(words[0], words);
        _exit(127);
    }
    close(pipes[1]);
    ssize_t got = read(pipes[0], answer, sizeof answer - 1);
    int status = 0;
    wait4(child, &status, 0, &used);
    close(pipes[0]);
    struct result result = {.seconds = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                                       (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6,
                            .lines = lines,
                            .events = got > 0 ? strtoull(answer, NULL, 10) : 0};
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        printf("%-44s is not installed\n", name);
    else
        tell(name, &result, size);
    (void)path;
}

static void compare_programs(const char *folder, const char *log, size_t size, uint64_t lines)
{
    static char pattern[] = "Authentication failed for user \\S+ from|SASL \\w+ authentication failed:|"
                            "certificate verification failed for|reject: RCPT from|connect to \\S+:\\d+: |"
                            "Forbidding insecure connection|auth failed, \\d+ attempts|SERVFAIL <";
    char path[512];
    text_format(path, sizeof path, "%s/bench_rule.%d", folder, (int)getpid());
    FILE *file = fopen(path, "w");
    if (!file || fwrite(log, 1, size, file) != size || fclose(file) != 0) {
        perror(path);
        exit(2);
    }
    char *pcre2grep[] = {"pcre2grep", "-c", pattern, path, NULL};
    char *grep[] = {"grep", "-cP", pattern, path, NULL};
    tell_program("pcre2grep -c, 8-way alternation", pcre2grep, path, size, lines);
    tell_program("grep -cP, 8-way alternation", grep, path, size, lines);
    unlink(path);
}

/* ---- Hostile lines: what an attacker can put behind a head, over and over, up to RULE_LINE_MAX ---- */

static const char *const heads[] = {
    "Nov 22 05:44:56 h /usr/sbin/kamailio[1]: NOTICE: {",
    "Nov 22 05:44:56 h postfix/smtpd[1]: ",
    "Nov 22 05:44:56 h prosody[1]: s2sin55: ",
    "Nov 22 05:44:56 h dovecot: imap-login: ",
    "2026-11-22 05:33:57.756265+00:00 [warning] <0.506.0>@ejabberd_c2s:f/3:280 (tls|<0.506.0>) ",
    "[2026-11-22 07:01:02] SECURITY[2101] ",
    "2026-11-22 07:10:00.000000 90.00% [WARNING] sofia_reg.c:1792 ",
    "<11>Nov 22 08:00:11 L LS_Protocol_Stack[0]: ",
    "{\"provider_name\":\"LS Protocol Stack\",",
    "Nov 22 07:40:00 192.0.2.10 ",
};
static const char *const fragments[] = {
    "a",
    " ",
    "<",
    ">",
    "} <script>: ",
    "} <script>: Authentication failed for user x from 1",
    "<script>: <script>: ",
    "} <script>: fedevents: event=2 ip=1 a=\"b\" c=d ",
    "a=b ",
    "x from 1.2.3.4",
    ", rip=1.2.3.4",
    "user=<>, rip=1 ",
    "ABC: reject: RCPT from h[1.2.3.4]: 550 5.1.1 <",
    "<a>",
    "a@b from 1: ",
    "Failed c2s PLAIN authentication for a@b from 1: ",
    " because its certificate ",
    "Forbidding insecure connection to/from a because its certificate is ",
    "a->b closed: ",
    "res_security_log.c: "
    "SecurityEvent=\"InvalidPassword\",EventTV=\"\",Severity=\"Error\",Service=\"\",EventVersion=\"1\",AccountID=\"",
    "\",SessionID=\"\",LocalAddress=\"IPV4/UDP/1/1\",RemoteAddress=\"IPV4/UDP/1/1\"",
    "' failed for '1:1' (callid: ",
    "SIP auth failure (REGISTER) on sofia profile '' for [",
    "] from ip 1",
    "\"message\":\"",
    "\t",
    "A significant number of invalid certificates have been provided by remote IP address 1 when attempting to "
    "establish an MTLS peer. There have been 1 such failures in the last 1 minutes. Certificate Names associated with "
    "this peer were ",
    " The serial number of this certificate is 1 The issuer of this certificate is ",
    "ABC: to=<a>, relay=b, delay=1, ",
    "[S=1] ",
    "(auth failed, 1 attempts): user=<",
    "Closing c2s session for a/b: Stream closed by local host: (",
};

static void tell_hostile(const char *name, const struct rule_set *set)
{
    static char line[RULE_LINE_MAX];
    const size_t head_count = sizeof heads / sizeof heads[0], count = sizeof fragments / sizeof fragments[0];
    struct result result = {0};
    char worst_line[128] = "", limited[1024] = "";
    uint64_t errors = 0;
    double total = seconds();
    for (size_t h = 0; h < head_count; h++)
        for (size_t a = 0; a < count; a++)
            for (size_t b = 0; b < count; b++) {
                size_t used = strlen(heads[h]);
                memcpy(line, heads[h], used);
                for (bool first = true; used < sizeof line; first = false) {
                    const char *fragment = first ? fragments[a] : fragments[b];
                    size_t length = strlen(fragment);
                    if (length > sizeof line - used)
                        length = sizeof line - used;
                    memcpy(line + used, fragment, length);
                    used += length;
                }
                struct rule_reader *reader = rule_reader_new(set, NULL, count_hit, &result.events);
                rule_read(reader, line, sizeof line, 0);
                double taken = 1e9;
                for (int again = 0; again < 5 && taken > result.worst; again++) { /* others use this processor too */
                    double start = seconds();
                    rule_read(reader, line, sizeof line, 0);
                    double once = (seconds() - start) * 1e6;
                    taken = once < taken ? once : taken;
                }
                struct rule_counts counts = rule_reader_counts(reader);
                errors += counts.errors;
                if (counts.last_error_rule && !strstr(limited, counts.last_error_rule))
                    text_append(limited, sizeof limited, " %s", counts.last_error_rule);
                result.lines++;
                if (taken > result.worst) {
                    result.worst = taken;
                    text_format(worst_line, sizeof worst_line, "%.30s...%.30s, %s", heads[h], fragments[b],
                                counts.last_error_rule ? counts.last_error_rule : "no limit");
                }
                rule_reader_free(reader);
            }
    result.seconds = seconds() - total;
    printf("%-44s %8.0f us worst of %llu lines of 16 KiB (%s), %llu limits hit%s%s\n", name, result.worst,
           (unsigned long long)result.lines, worst_line, (unsigned long long)errors, errors ? " by" : "", limited);
    printf("{\"bench\":\"rule\",\"case\":\"%s\",\"lines\":%llu,\"worst_us\":%.0f,\"limits\":%llu}\n", name,
           (unsigned long long)result.lines, result.worst, (unsigned long long)errors);
}

static void measure(const char *name, const char *path, const char *log, size_t size, bool slow)
{
    char title[128];
    struct rule_set *set = load(path);
    struct result result = read_log(set, log, size);
    tell(name, &result, size);
    if (slow) {
        rule_set_no_prefilter(set);
        size_t part = size < 64u << 20 ? size : 64u << 20;
        while (log[part - 1] != '\n')
            part--;
        result = read_log(set, log, part);
        text_format(title, sizeof title, "%s, without prefilter", name);
        tell(title, &result, part);
    }
    rule_set_free(set);
}

int main(int argc, char **argv)
{
    static struct bag noise, hits;
    const char *presets = "conf/presets", *folder = "/var/tmp";
    size_t size = 256;
    int files = 0;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--size") == 0)
            size = strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--presets") == 0)
            presets = argv[i + 1];
        else if (strcmp(argv[i], "--folder") == 0)
            folder = argv[i + 1];
        else if (strcmp(argv[i], "--lines") == 0)
            files++;
    }
    struct rule_set *all = load(presets);
    for (int i = 1; i + 1 < argc; i += 2)
        if (strcmp(argv[i], "--lines") == 0)
            sort_file(all, argv[i + 1], &noise, &hits);
    for (size_t i = 0; !files && i < sizeof own_lines / sizeof own_lines[0]; i++)
        sort_line(all, own_lines[i], strlen(own_lines[i]), &noise, &hits);
    size <<= 20;
    char *log = make_log(&size, &noise, &hits, 1000);
    printf("%zu MB of %zu kinds of lines, 1 in 1,000 of %zu kinds that count\n", size >> 20, noise.count, hits.count);
    static const char *const one[] = {"kamailio", "postfix", "prosody", "dovecot"};
    char path[512], name[64];
    for (size_t i = 0; i < sizeof one / sizeof one[0]; i++) {
        text_format(path, sizeof path, "%s/%s.conf", presets, one[i]);
        text_format(name, sizeof name, "one preset, %s", one[i]);
        measure(name, path, log, size, true);
    }
    measure("all presets", presets, log, size, true);
    struct result result = read_log(all, log, size);
    compare_programs(folder, log, size, result.lines);
    free(log);
    size = 64 << 20;
    log = make_log(&size, &hits, &hits, 2);
    result = read_log(all, log, size);
    tell("all presets, every line counts", &result, size);
    free(log);
    tell_hostile("hostile lines, all presets", all);
    rule_set_free(all);
    return 0;
}
