#include "ledger_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

struct conf *fixture_conf(size_t count)
{
    struct conf *conf = calloc(1, sizeof *conf);
    conf->partners = calloc(count ? count : 1, sizeof *conf->partners);
    conf->partner_count = count;
    conf->agent.vantage = "";
    for (int event = 1; event < EVENT_COUNT; event++) {
        const struct event_info *info = event_info(event);
        conf->thresholds[event] = (struct conf_threshold){info->count, info->window, info->clear};
    }
    for (size_t i = 0; i < count; i++) {
        struct conf_partner *partner = &conf->partners[i];
        char *name = malloc(CONF_NAME_MAX + 1);
        snprintf(name, CONF_NAME_MAX + 1, "p%zu", i);
        partner->name = name;
        partner->domain = "example.net";
        partner->service = "_sipfederationtls._tcp.example.net";
        partner->host = partner->verify_name = partner->sni = partner->proxy = "";
        partner->contact = "noc@example.net";
        partner->interval = 60;
        partner->enabled = true;
        partner->protocol = PROTOCOL_SIP;
        partner->expiry_minor = 7;
        partner->expiry_major = 2;
        memcpy(partner->thresholds, conf->thresholds, sizeof conf->thresholds);
    }
    return conf;
}

void fixture_conf_free(struct conf *conf)
{
    if (!conf)
        return;
    for (size_t i = 0; i < conf->partner_count; i++)
        free((char *)conf->partners[i].name);
    free(conf->partners);
    free(conf);
}

void fixture_conf_name(struct conf *conf, size_t position, const char *name)
{
    free((char *)conf->partners[position].name);
    conf->partners[position].name = strdup(name);
}

void fixture_report(void *context, const struct transition *transition)
{
    struct fixture *fixture = context;
    if (fixture->count < FIXTURE_TRANSITIONS)
        fixture->transitions[fixture->count] = *transition;
    fixture->count++;
}

struct fixture *fixture_new(size_t partners)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    fixture->conf = fixture_conf(partners);
    fixture->wall = FIXTURE_WALL;
    fixture->run = FIXTURE_START;
    fixture->ledger = ledger_new(fixture->conf, fixture->wall, fixture->run, fixture_report, fixture);
    return fixture;
}

void fixture_free(struct fixture *fixture)
{
    ledger_free(fixture->ledger);
    fixture_conf_free(fixture->conf);
    free(fixture);
}

void fixture_bind(struct fixture *fixture, struct conf *conf)
{
    ledger_bind(fixture->ledger, conf, fixture->wall, fixture->run);
    fixture_conf_free(fixture->conf);
    fixture->conf = conf;
}

void fixture_advance(struct fixture *fixture, int64_t seconds)
{
    for (int64_t i = 0; i < seconds; i++) {
        fixture->wall += CLOCK_SECOND;
        fixture->run += CLOCK_SECOND;
        ledger_tick(fixture->ledger, fixture->wall, fixture->run);
    }
}

struct observation fixture_probe(const struct fixture *fixture, uint32_t partner, enum probe_kind kind, uint8_t octet,
                                 enum reason reason)
{
    struct observation observation = {
        .kind = OBSERVATION_PROBE, .partner = partner, .wall = fixture->wall, .run = fixture->run};
    struct observation_probe *probe = &observation.probe;
    probe->kind = kind;
    probe->reason = reason;
    probe->event = reason_info(reason)->event;
    probe->rcode = probe->alert = -1;
    probe->ede = -1;
    if (kind == PROBE_ENDPOINT) {
        text_format(probe->target, sizeof probe->target, "sip%u.example.net", octet);
        probe->address = (struct address){ADDRESS_IPV4, {192, 0, 2, octet}};
        probe->port = 5061;
    } else if (kind == PROBE_ADDRESS) {
        text_format(probe->target, sizeof probe->target, "sip%u.example.net", octet);
    } else {
        text_copy(probe->target, sizeof probe->target, "_sipfederationtls._tcp.example.net");
    }
    text_format(probe->detail, sizeof probe->detail, "%s at %u", reason_name(reason), octet);
    return observation;
}

void fixture_lookup(struct fixture *fixture, uint32_t partner, enum reason reason)
{
    struct observation observation = fixture_probe(fixture, partner, PROBE_SERVICE, 0, reason);
    ledger_apply(fixture->ledger, &observation);
}

void fixture_endpoint(struct fixture *fixture, uint32_t partner, uint8_t octet, enum reason reason)
{
    struct observation observation = fixture_probe(fixture, partner, PROBE_ENDPOINT, octet, reason);
    ledger_apply(fixture->ledger, &observation);
}

void fixture_walked(struct fixture *fixture, uint32_t partner, enum reason reason, uint32_t endpoints)
{
    struct observation observation = {
        .kind = OBSERVATION_WALK, .partner = partner, .wall = fixture->wall, .run = fixture->run};
    observation.walk.reason = reason;
    observation.walk.endpoints = endpoints;
    observation.walk.endpoints_ok = reason == REASON_NONE ? endpoints : 0;
    ledger_apply(fixture->ledger, &observation);
}

void fixture_walk(struct fixture *fixture, uint32_t partner, enum reason reason)
{
    fixture_lookup(fixture, partner, REASON_NONE);
    fixture_endpoint(fixture, partner, 10, reason);
    fixture_walked(fixture, partner, reason, 1);
}

struct ledger_cell *fixture_cell(struct fixture *fixture, uint32_t partner, enum event event)
{
    return fixture->ledger->bound[partner]->events[event];
}
