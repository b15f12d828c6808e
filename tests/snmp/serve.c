/*
 * Serves FEDWARDEN-MIB over a ledger of literal observations, without any probing, for the tests of report/. What is in
 * it is what tests/snmp/tree.txt says. It ends on "quit" and at the end of its standard input.
 *
 *   serve --mode subagent|standalone|none [--agentx ADDRESS] [--listen ADDRESSES] [--access FILE] [--state DIR]
 *         [--reconnect SECONDS] [--rate PER_MINUTE] [--burst N] [--kept N] [--partners N] [--resend] [--debug]
 *
 * Commands, one a line, each answered by one line:
 *   status         {"connected":..., "sent":..., "suppressed":..., "waiting":..., "late_ms":..., "turns":...,
 *                  "done": how many need not be sent any more, "last_done": their last sequence}
 *   notify EVENT raised|cleared    one notification, of a literal alarm with long texts and an IPv6 address
 *   burst N        N notifications, their fedwAlarmTotalCount counting from 1
 *   same N         N notifications of one alarm
 *   alarm on|off   an alarm of monitorSelf in the ledger
 *   edge EVENT     so many failures that the edge saw that the ledger raises an alarm, which is sent
 *   hold on|off    whether notifications wait until they are stored
 *   stored N       those up to this sequence are
 *   quiet          two windows pass for the ledger without a failure
 *   quit
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "ledger/ledger.h"
#include "report/notify.h"
#include "report/session.h"

static struct conf conf = {.path = "/etc/fedwarden/fedwarden.conf",
                           .agent = {.mode = AGENT_NONE,
                                     .agentx_socket = "",
                                     .reconnect = 5,
                                     .listen = "",
                                     .access_file = "",
                                     .vantage = "site 1",
                                     .state_dir = "",
                                     .notifications_per_minute = 20,
                                     .notifications_burst = 20,
                                     .notifications_kept = 1000}};
static struct ledger *ledger;
static struct session_status status;
static bool ending, telling;
static uint64_t turns, done, last_done;
static int64_t tick_due, latest;

static void add_partner(size_t at, const char *name, uint32_t index, enum protocol protocol, const char *domain,
                        const char *service)
{
    struct conf_partner *partner = &conf.partners[at];
    *partner = (struct conf_partner){.name = name,
                                     .index = index,
                                     .domain = domain,
                                     .protocol = protocol,
                                     .service = service,
                                     .host = "",
                                     .verify_name = "",
                                     .sni = "",
                                     .proxy = "",
                                     .contact = "noc@contoso.example\nsecond line",
                                     .interval = 60,
                                     .enabled = true};
    memcpy(partner->thresholds, conf.thresholds, sizeof conf.thresholds);
}

static void make_conf(size_t extra)
{
    for (int event = 1; event < EVENT_COUNT; event++) {
        const struct event_info *info = event_info(event);
        conf.thresholds[event] = (struct conf_threshold){info->count, info->window, info->clear};
    }
    conf.partner_count = 3 + extra;
    conf.partners = calloc(conf.partner_count, sizeof *conf.partners);
    add_partner(0, "contoso", 7, PROTOCOL_SIP, "contoso.example", "_sipfederationtls._tcp.contoso.example");
    add_partner(1, "fabrikam", 8, PROTOCOL_XMPP, "fabrikam.example", "_xmpp-server._tcp.fabrikam.example");
    add_partner(2, "woodgrove", 300, PROTOCOL_SMTP, "woodgrove.example", "woodgrove.example");
    for (size_t i = 0; i < extra; i++) {
        char *name = malloc(CONF_NAME_MAX + 1);
        snprintf(name, CONF_NAME_MAX + 1, "load%05zu", i);
        add_partner(3 + i, name, (uint32_t)(1000 + i), PROTOCOL_HTTPS, "load.example", "");
    }
}

static struct observation observe(uint32_t partner, enum observation_kind kind)
{
    return (struct observation){.kind = kind, .partner = partner, .wall = clock_wall(), .run = clock_run()};
}

static void lookup(uint32_t partner, const char *target, enum reason reason)
{
    struct observation observation = observe(partner, OBSERVATION_PROBE);
    struct observation_probe *probe = &observation.probe;
    probe->kind = PROBE_SERVICE;
    text_copy(probe->target, sizeof probe->target, target);
    probe->reason = reason;
    probe->event = reason_info(reason)->event;
    probe->duration = 4000;
    probe->interval = 60;
    text_copy(probe->resolver, sizeof probe->resolver, "192.0.2.53:53");
    probe->rcode = reason == REASON_DNS_NX_DOMAIN ? 3 : 0;
    probe->ede = reason == REASON_NONE ? -1 : 9;
    probe->ttl = reason == REASON_NONE ? 3600 : 0;
    probe->alert = -1;
    if (reason != REASON_NONE)
        text_format(probe->detail, sizeof probe->detail, "%s does not exist", target);
    ledger_apply(ledger, &observation);
}

static struct observation_probe endpoint(uint32_t partner, const char *target, struct address address,
                                         enum reason reason, const char *detail)
{
    struct observation observation = observe(partner, OBSERVATION_PROBE);
    struct observation_probe *probe = &observation.probe;
    probe->kind = PROBE_ENDPOINT;
    text_copy(probe->target, sizeof probe->target, target);
    probe->address = address;
    probe->port = 5061;
    probe->reason = reason;
    probe->event = reason_info(reason)->event;
    probe->duration = 18000;
    probe->interval = 60;
    probe->rcode = -1;
    probe->ede = -1;
    text_copy(probe->tls_version, sizeof probe->tls_version, "1.3");
    text_copy(probe->cipher, sizeof probe->cipher, "TLS_AES_256_GCM_SHA384");
    probe->verify_error = reason == REASON_NONE ? 0 : 20;
    probe->alert = -1;
    probe->not_after = clock_wall() + 61 * 86400 * CLOCK_SECOND;
    text_copy(probe->detail, sizeof probe->detail, detail);
    ledger_apply(ledger, &observation);
    return *probe;
}

static void certificate(uint32_t partner, const struct observation_probe *probe, uint8_t depth, const char *subject,
                        const char *issuer, enum reason reason)
{
    struct observation observation = observe(partner, OBSERVATION_CERTIFICATE);
    struct observation_certificate *seen = &observation.certificate;
    memcpy(seen->target, probe->target, sizeof seen->target);
    seen->address = probe->address;
    seen->port = probe->port;
    seen->depth = depth;
    seen->length = 2;
    text_copy(seen->subject, sizeof seen->subject, subject);
    text_copy(seen->names, sizeof seen->names, depth ? "" : "DNS:sip1.contoso.example, DNS:contoso.example");
    text_copy(seen->issuer, sizeof seen->issuer, issuer);
    text_copy(seen->serial, sizeof seen->serial, depth ? "01" : "0a1b2c");
    for (size_t i = 0; i < sizeof seen->sha256; i++)
        seen->sha256[i] = (uint8_t)(i + depth);
    seen->not_before = INT64_C(1767225600) * CLOCK_SECOND; /* 2026-01-01 */
    seen->not_after = probe->not_after;
    text_copy(seen->key_algorithm, sizeof seen->key_algorithm, "EC P-256");
    seen->key_bits = 256;
    text_copy(seen->signature_algorithm, sizeof seen->signature_algorithm, "ecdsa-with-SHA256");
    seen->reason = reason;
    ledger_apply(ledger, &observation);
}

static void walked(uint32_t partner, enum reason reason, uint32_t endpoints, uint32_t endpoints_ok)
{
    struct observation observation = observe(partner, OBSERVATION_WALK);
    observation.walk = (struct observation_walk){
        .reason = reason, .duration = 22000, .endpoints = endpoints, .endpoints_ok = endpoints_ok};
    ledger_apply(ledger, &observation);
}

static void observe_all(void)
{
    for (int i = 0; i < 3; i++) {
        lookup(0, "_sipfederationtls._tcp.contoso.example", REASON_NONE);
        struct observation_probe refused =
            endpoint(0, "sip1.contoso.example", (struct address){ADDRESS_IPV4, {192, 0, 2, 10}},
                     REASON_TLS_INCOMPLETE_CHAIN, "issuer CN=Issuing CA 3 not sent");
        certificate(0, &refused, 0, "CN=sip1.contoso.example", "CN=Issuing CA 3", REASON_TLS_INCOMPLETE_CHAIN);
        certificate(0, &refused, 1, "CN=Unrelated CA", "CN=Unrelated Root", REASON_NONE);
        walked(0, REASON_TLS_INCOMPLETE_CHAIN, 1, 0);

        lookup(1, "_xmpp-server._tcp.fabrikam.example", REASON_NONE);
        endpoint(1, "xmpp.fabrikam.example", (struct address){ADDRESS_IPV6, {0x20, 0x01, 0x0d, 0xb8, [15] = 0x10}},
                 REASON_NONE, "");
        walked(1, REASON_NONE, 1, 1);

        lookup(2, "woodgrove.example", REASON_DNS_NX_DOMAIN);
        walked(2, REASON_DNS_NX_DOMAIN, 0, 0);
    }
}

static void edge_event(uint32_t partner, enum event event, const char *address, const char *user, const char *target,
                       enum reason reason, uint32_t count)
{
    struct observation observation = observe(partner, OBSERVATION_EVENT);
    struct observation_event *seen = &observation.event;
    *seen = (struct observation_event){.event = event, .reason = reason, .count = count, .port = 5061};
    address_parse(address, &seen->address);
    text_copy(seen->user, sizeof seen->user, user);
    text_copy(seen->target, sizeof seen->target, target);
    text_copy(seen->rule, sizeof seen->rule, "edge/test");
    if (event == EVENT_INVALID_CERT) {
        text_copy(seen->subject, sizeof seen->subject, "CN=sip.nowhere.example");
        text_copy(seen->issuer, sizeof seen->issuer, "CN=Issuing CA 9");
        text_copy(seen->serial, sizeof seen->serial, "0a1b2c");
    }
    ledger_apply(ledger, &observation);
}

static void edge_all(void)
{
    const uint32_t nobody = OBSERVATION_NO_PARTNER;
    edge_event(nobody, EVENT_AUTH_SOURCE, "203.0.113.5", "bob", "", REASON_AUTH_BAD_CREDENTIALS, 12);
    edge_event(nobody, EVENT_AUTH_SOURCE, "203.0.113.5", "alice", "", REASON_AUTH_UNKNOWN_USER, 9);
    edge_event(nobody, EVENT_INVALID_CERT, "2001:db8::99", "", "", REASON_TLS_EXPIRED, 2);
    edge_event(nobody, EVENT_DOMAIN_LOCAL, "10.0.0.5", "carol", "nowhere.example", REASON_DOM_OUTBOUND_UNSUPPORTED, 1);
    edge_event(0, EVENT_DOMAIN_PARTNER, "198.51.100.7", "dave", "alpha.example", REASON_DOM_USER_UNKNOWN, 4);
}

/* Texts as long as the ledger can hold: what a notification carries of them must fit into one datagram. */
static struct transition literal(enum event event, bool raised, uint32_t id, uint64_t total)
{
    static uint64_t sequence;
    struct transition transition = {
        .kind = raised ? TRANSITION_RAISED : TRANSITION_CLEARED, .sequence = ++sequence, .wall = clock_wall()};
    struct ledger_alarm *alarm = &transition.alarm;
    alarm->id = id;
    alarm->state = raised ? ALARM_RAISED : ALARM_CLEARED;
    alarm->event = event;
    alarm->severity = SEVERITY_MAJOR;
    alarm->reason = REASON_DNS_NX_DOMAIN; /* one with a resolution near the limit */
    alarm->partner = 7;
    memset(alarm->name, 'n', CONF_NAME_MAX);
    for (size_t i = 0; i < 250; i++)
        alarm->target[i] = i % 10 == 9 ? '.' : 't';
    alarm->address = (struct address){ADDRESS_IPV6, {0x20, 0x01, 0x0d, 0xb8, [15] = 0x10}};
    alarm->port = 65535;
    alarm->window_count = 4000000000;
    alarm->window_seconds = 900;
    alarm->total = total;
    for (size_t i = 0; i + 1 < 250; i += 2)
        memcpy(alarm->detail + i, "\xc3\xa4", 2); /* a character of two octets */
    return transition;
}

static void submit(enum event event, bool raised, uint32_t id, uint64_t total)
{
    struct transition transition = literal(event, raised, id, total);
    notify_submit(&transition);
}

static void answer_status(void)
{
    struct notify_counts counts = notify_counts();
    printf("{\"connected\":%s,\"sent\":%" PRIu64 ",\"suppressed\":%" PRIu64 ",\"waiting\":%" PRIu64
           ",\"late_ms\":%" PRId64 ",\"turns\":%" PRIu64 ",\"done\":%" PRIu64 ",\"last_done\":%" PRIu64 "}\n",
           session_connected() ? "true" : "false", counts.sent, counts.suppressed, counts.waiting,
           latest / (CLOCK_SECOND / 1000), turns, done, last_done);
}

static void on_done(void *context, uint64_t sequence)
{
    (void)context;
    done++;
    last_done = sequence;
}

static void command(char *line)
{
    char word[32];
    unsigned long number;
    if (strcmp(line, "status") == 0) {
        answer_status();
    } else if (strcmp(line, "quit") == 0) {
        ending = true;
        puts("{}");
    } else if (sscanf(line, "burst %lu", &number) == 1) {
        for (unsigned long i = 1; i <= number; i++)
            submit(EVENT_CONNECTION, true, (uint32_t)i, i);
        answer_status();
    } else if (sscanf(line, "same %lu", &number) == 1) {
        for (unsigned long i = 1; i <= number; i++)
            submit(EVENT_CONNECTION, i % 2, 1, i);
        answer_status();
    } else if (sscanf(line, "notify %31s", word) == 1 && event_find(word)) {
        submit(event_find(word), strstr(line, " raised") != NULL, 4000000000, UINT64_C(10000000000));
        answer_status();
    } else if (sscanf(line, "edge %31s", word) == 1 && event_find(word)) {
        telling = true;
        bool of_partner = event_find(word) == EVENT_DOMAIN_PARTNER;
        enum reason reason = event_find(word) == EVENT_INVALID_CERT ? REASON_TLS_EXPIRED : REASON_DOM_USER_UNKNOWN;
        edge_event(of_partner ? 1 : OBSERVATION_NO_PARTNER, event_find(word), "203.0.113.77", "mallory", "beta.example",
                   reason, 100);
        telling = false;
        answer_status();
    } else if (strncmp(line, "hold ", 5) == 0) {
        notify_hold(strcmp(line, "hold on") == 0);
        answer_status();
    } else if (sscanf(line, "stored %lu", &number) == 1) {
        notify_stored(number);
        answer_status();
    } else if (strcmp(line, "quiet") == 0) {
        telling = true;
        for (int i = 1; i <= 3; i++)
            ledger_tick(ledger, clock_wall() + i * 1000 * CLOCK_SECOND, clock_run() + i * 1000 * CLOCK_SECOND);
        telling = false;
        answer_status();
    } else if (strncmp(line, "alarm ", 6) == 0) {
        ledger_self(ledger, REASON_MON_FEED_UNREADABLE, strcmp(line, "alarm on") == 0, "/var/log/edge.log",
                    clock_wall(), clock_run());
        answer_status();
    } else {
        puts("{\"error\":\"what?\"}");
    }
    fflush(stdout);
}

static void on_input(int descriptor, void *context)
{
    (void)context;
    static char buffer[4096];
    static size_t held;
    ssize_t got = read(descriptor, buffer + held, sizeof buffer - 1 - held);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
        ending = true;
    if (got <= 0)
        return;
    held += (size_t)got;
    buffer[held] = '\0';
    char *line = buffer;
    for (char *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        command(line);
    }
    held = strlen(line);
    memmove(buffer, line, held);
}

static void on_tick(void *context)
{
    (void)context;
    int64_t now = clock_run();
    if (tick_due && now - tick_due > latest)
        latest = now - tick_due;
    tick_due = now + CLOCK_SECOND;
    ledger_tick(ledger, clock_wall(), now);
    notify_step();
}

static void on_transition(void *context, const struct transition *transition)
{
    (void)context;
    if (telling) /* everything else that the tests want to receive they submit themselves */
        notify_submit(transition);
}

static size_t parse_options(int argc, char **argv)
{
    static const struct option options[] = {
        {"mode", 1, NULL, 'm'},  {"agentx", 1, NULL, 'x'},   {"listen", 1, NULL, 'l'},    {"access", 1, NULL, 'a'},
        {"state", 1, NULL, 's'}, {"rate", 1, NULL, 'r'},     {"burst", 1, NULL, 'b'},     {"kept", 1, NULL, 'k'},
        {"debug", 0, NULL, 'd'}, {"partners", 1, NULL, 'p'}, {"reconnect", 1, NULL, 'c'}, {"resend", 0, NULL, 'e'},
        {NULL, 0, NULL, 0}};
    size_t extra = 0;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'm':
            conf.agent.mode = strcmp(optarg, "subagent") == 0     ? AGENT_SUBAGENT
                              : strcmp(optarg, "standalone") == 0 ? AGENT_STANDALONE
                                                                  : AGENT_NONE;
            break;
        case 'x':
            conf.agent.agentx_socket = optarg;
            break;
        case 'l':
            conf.agent.listen = optarg;
            break;
        case 'a':
            conf.agent.access_file = optarg;
            break;
        case 's':
            conf.agent.state_dir = optarg;
            break;
        case 'r':
            conf.agent.notifications_per_minute = (uint32_t)atol(optarg);
            break;
        case 'b':
            conf.agent.notifications_burst = (uint32_t)atol(optarg);
            break;
        case 'k':
            conf.agent.notifications_kept = (uint32_t)atol(optarg);
            break;
        case 'c':
            conf.agent.reconnect = (uint32_t)atol(optarg);
            break;
        case 'p':
            extra = (size_t)atol(optarg);
            break;
        case 'e':
            conf.agent.resend_alarms = true;
            break;
        case 'd':
            log_level_set(LOG_LEVEL_DEBUG);
            break;
        default:
            exit(2);
        }
    }
    return extra;
}

int main(int argc, char **argv)
{
    make_conf(parse_options(argc, argv));
    conf.loaded = clock_wall();
    status.start_wall = clock_wall();
    status.start_run = clock_run();
    status.loaded_wall = conf.loaded;
    ledger = ledger_new(&conf, status.start_wall, status.start_run, on_transition, NULL);
    observe_all();
    edge_all();
    if (!session_open(&conf, ledger, &status))
        return 1;
    notify_open(&conf.agent);
    notify_watch(on_done, NULL);
    fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
    session_watch(STDIN_FILENO, on_input, NULL);
    session_every(1, on_tick, NULL);
    puts("{\"ready\":true}");
    fflush(stdout);
    for (; !ending; turns++)
        session_turn();
    int64_t started = clock_run();
    session_close();
    notify_close();
    fprintf(stderr, "closed in %" PRId64 " ms\n", (clock_run() - started) / (CLOCK_SECOND / 1000));
    ledger_free(ledger);
    for (size_t i = 3; i < conf.partner_count; i++)
        free((char *)conf.partners[i].name);
    free(conf.partners);
    return 0;
}
