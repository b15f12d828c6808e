/*
 * history_make FILE [PARTNERS]: a history as a daemon writes it, of a week that ends now, in virtual time: partners
 * that are well, that fail in several ways, that flap; sources; the monitor's own alarms; and texts that an attacker
 * chose. PARTNERS: so many further ones that are well. For the tests of what reads histories.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "ledger/source.h"
#include "report/history.h"

#define MINUTE (60 * CLOCK_SECOND)
#define DAY    (1440 * MINUTE)
#define STEP   (10 * MINUTE)
#define WEEK   (7 * DAY)
#define PLAYED 8 /* partners with a story */

static const char *const names[PLAYED] = {"contoso",
                                          "fabrikam",
                                          "woodgrove",
                                          "litware",
                                          "\"><script>alert(1)</script>",
                                          "a-partner-with-a-name-of-32-byte",
                                          "\u0634\u0631\u064a\u0643",
                                          "adatum"};

struct maker {
    struct conf conf;
    struct ledger *ledger;
    struct history *history;
    int64_t wall, run, end; /* end: wall */
};

static void on_transition(void *context, const struct transition *transition)
{
    struct maker *maker = context;
    history_transition(maker->history, transition);
}

/* ---- the configuration ---- */

static void make_conf(struct conf *conf, size_t further)
{
    char name[CONF_NAME_MAX + 1];
    conf->path = "";
    conf->partner_count = PLAYED + further;
    conf->partners = calloc(conf->partner_count, sizeof *conf->partners);
    for (int event = 1; event < EVENT_COUNT; event++) {
        const struct event_info *info = event_info(event);
        conf->thresholds[event] = (struct conf_threshold){info->count, 3600, info->clear};
    }
    for (size_t i = 0; i < conf->partner_count; i++) {
        struct conf_partner *partner = &conf->partners[i];
        text_format(name, sizeof name, "partner-%05zu", i - PLAYED);
        partner->name = strdup(i < PLAYED ? names[i] : name);
        partner->domain = partner->service = partner->host = "example.net";
        partner->verify_name = partner->sni = partner->proxy = "";
        partner->contact = i == 4 ? "<b>noc</b>@example.net" : "noc@example.net";
        partner->interval = STEP / CLOCK_SECOND;
        partner->enabled = true;
        partner->protocol = PROTOCOL_SIP;
        memcpy(partner->thresholds, conf->thresholds, sizeof conf->thresholds);
    }
}

static void free_conf(struct conf *conf)
{
    for (size_t i = 0; i < conf->partner_count; i++)
        free((char *)conf->partners[i].name);
    free(conf->partners);
}

/* ---- the story ---- */

/* What a partner's endpoint fails with, `ago` before the end. */
static enum reason story(size_t partner, int64_t ago)
{
    switch (partner) {
    case 0:
        return ago < 26 * 60 * MINUTE ? REASON_TLS_INCOMPLETE_CHAIN : REASON_NONE;
    case 2:
        return ago < 8 * DAY && ago % WEEK < 2 * DAY ? REASON_TLS_EXPIRING_SOON : REASON_NONE;
    case 3: /* for an hour every eight */
        return ago > 4 * 60 * MINUTE && ago % (8 * 60 * MINUTE) < 60 * MINUTE ? REASON_TCP_TIMEOUT : REASON_NONE;
    case 4:
        return ago < 3 * DAY ? REASON_TLS_EXPIRED : REASON_NONE;
    case 5:
        return ago < 5 * DAY && ago > 4 * DAY ? REASON_TCP_REFUSED : REASON_NONE;
    case 6:
        return ago < 90 * MINUTE ? REASON_TLS_INCOMPLETE_CHAIN : REASON_NONE;
    default:
        return REASON_NONE;
    }
}

/* Days that a partner's certificate has left at the end. */
static int64_t certificate_days(size_t partner)
{
    static const int64_t played[PLAYED] = {61, 203, 6, 90, -3, 45, 120, 17};
    return partner < PLAYED ? played[partner] : 30 + (int64_t)(partner * 37 % 300);
}

static void describe(size_t partner, enum reason reason, struct observation_probe *probe)
{
    text_format(probe->target, sizeof probe->target, "sip%zu.example.net", partner);
    probe->address = (struct address){ADDRESS_IPV4, {192, 0, 2, (uint8_t)(1 + partner % 250)}};
    probe->port = 5061;
    probe->not_after = 0;
    if (reason == REASON_TLS_INCOMPLETE_CHAIN)
        text_copy(probe->detail, sizeof probe->detail, "issuer \"CN=Example Issuing CA 3\" not sent");
    else if (reason == REASON_TCP_TIMEOUT)
        text_copy(probe->detail, sizeof probe->detail, "no answer within 5000 ms");
    else if (reason == REASON_TLS_EXPIRING_SOON)
        text_copy(probe->detail, sizeof probe->detail, "CN=sip.woodgrove.example ends in 6 days");
    if (partner == 4) { /* as if nothing on its way had made it printable */
        text_copy(probe->target, sizeof probe->target, "\"><img src=x onerror=alert(2)>.example");
        text_copy(probe->detail, sizeof probe->detail,
                  "</td></table><script>alert('3')</script> & \033[31mred\007 \u202egnp.exe\u202c 'quoted' \"twice\"");
    }
}

static void tell_certificate(struct maker *maker, uint32_t partner, const struct observation_probe *probe)
{
    struct observation observation = {
        .kind = OBSERVATION_CERTIFICATE, .partner = partner, .wall = maker->wall, .run = maker->run};
    struct observation_certificate *certificate = &observation.certificate;
    text_copy(certificate->target, sizeof certificate->target, probe->target);
    certificate->address = probe->address;
    certificate->port = probe->port;
    certificate->length = 1;
    text_format(certificate->subject, sizeof certificate->subject,
                partner == 4 ? "CN=<svg onload=alert(4)>" : "CN=sip%" PRIu32 ".example.net,O=Example %" PRIu32, partner,
                partner);
    text_copy(certificate->issuer, sizeof certificate->issuer, "CN=Example Issuing CA 3,O=Example & Sons,C=ZZ");
    text_copy(certificate->serial, sizeof certificate->serial, "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567");
    certificate->not_before = probe->not_after - 365 * DAY;
    certificate->not_after = probe->not_after;
    ledger_apply(maker->ledger, &observation);
}

static void walk(struct maker *maker, uint32_t position)
{
    enum reason reason = story(position, maker->end - maker->wall);
    struct observation observation = {
        .kind = OBSERVATION_PROBE, .partner = position, .wall = maker->wall, .run = maker->run};
    struct observation_probe *probe = &observation.probe;
    struct ledger_partner *partner = maker->ledger->bound[position];
    probe->kind = PROBE_ENDPOINT;
    probe->reason = reason;
    probe->event = reason == REASON_NONE ? EVENT_NONE : reason_info(reason)->event;
    probe->rcode = probe->alert = -1;
    probe->ede = -1;
    describe(position, reason, probe);
    probe->not_after = maker->end + certificate_days(position) * DAY + 60 * MINUTE;
    ledger_apply(maker->ledger, &observation);
    if (partner->walks == 0)
        tell_certificate(maker, position, probe);
    if (reason != REASON_NONE)
        history_failure(maker->history, &partner->events[probe->event]->last, probe->event, 1, partner, NULL);
    struct observation end = {.kind = OBSERVATION_WALK, .partner = position, .wall = maker->wall, .run = maker->run};
    end.walk = (struct observation_walk){.reason = reason, .endpoints = 1, .endpoints_ok = reason == REASON_NONE};
    ledger_apply(maker->ledger, &end);
    if (partner->since_wall == maker->wall)
        history_verdict(maker->history, partner, maker->wall);
}

static void edge_sees(struct maker *maker, const struct observation_event *told)
{
    struct observation observation = {
        .kind = OBSERVATION_EVENT, .partner = OBSERVATION_NO_PARTNER, .wall = maker->wall, .run = maker->run};
    observation.event = *told;
    ledger_apply(maker->ledger, &observation);
}

static void near_the_end(struct maker *maker)
{
    struct observation_event guess = {.event = EVENT_AUTH_SOURCE,
                                      .reason = REASON_AUTH_BAD_CREDENTIALS,
                                      .count = 57,
                                      .address = {ADDRESS_IPV4, {198, 51, 100, 7}},
                                      .user = "root<script>"};
    edge_sees(maker, &guess);
    ledger_self(maker->ledger, REASON_MON_MASTER_LOST, true, "no master at /var/agentx/master for 30 s", maker->wall,
                maker->run);
}

/* Lets what was told become a batch, and waits for it. */
static void store(struct maker *maker)
{
    history_step(maker->history, maker->ledger, maker->wall, maker->run);
}

static void play(struct maker *maker)
{
    for (; maker->wall < maker->end; maker->wall += STEP, maker->run += STEP) {
        ledger_tick(maker->ledger, maker->wall, maker->run);
        for (uint32_t i = 0; i < maker->conf.partner_count; i++)
            walk(maker, i);
        if (maker->end - maker->wall == 3 * STEP)
            near_the_end(maker);
        store(maker);
    }
}

int main(int argc, char **argv)
{
    static struct maker maker;
    char problem[512];
    enum history_opened opened;
    if (argc < 2) {
        fputs("usage: history_make FILE [PARTNERS]\n", stderr);
        return 2;
    }
    make_conf(&maker.conf, argc > 2 ? strtoul(argv[2], NULL, 10) : 30);
    maker.end = clock_wall();
    maker.wall = maker.end - WEEK;
    maker.run = clock_run() - WEEK;
    if (maker.run <= 0) {
        fputs("history_make: this machine has not run for a week: unshare --time --boottime 8640000\n", stderr);
        return 2;
    }
    maker.history = history_open(argv[1], &opened, problem, sizeof problem);
    if (opened != HISTORY_NEW) {
        fprintf(stderr, "history_make: %s: not new: %s\n", argv[1], problem);
        return 1;
    }
    maker.ledger = ledger_new(&maker.conf, maker.wall, maker.run, on_transition, &maker);
    play(&maker);
    history_close(maker.history, maker.ledger, maker.end, maker.run);
    ledger_free(maker.ledger);
    free_conf(&maker.conf);
    return 0;
}
