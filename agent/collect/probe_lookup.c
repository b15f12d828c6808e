/*
 * From a partner to endpoints: the service lookup names hosts and ports, each host's two address lookups run side by
 * side and are one story, and every address and port is an endpoint. What the names themselves do wrong (a target that
 * is an alias or an address, or lies outside the domain) is judged here, but does not keep the endpoints from being
 * probed.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "collect/probe_parts.h"

void lookup_told_init(struct observation_probe *told, enum probe_kind kind, const struct conf_partner *partner)
{
    memset(told, 0, sizeof *told);
    told->kind = kind;
    told->reason = REASON_NONE;
    told->event = EVENT_NONE;
    told->interval = partner->interval;
    told->rcode = -1;
    told->ede = -1;
    told->alert = -1;
    told->not_after = CLOCK_NEVER;
}

void lookup_tell(struct observation_probe *told, const struct walk_step *step)
{
    memcpy(told->target, step->target, sizeof told->target);
    told->reason = step->reason;
    told->event = step->reason == REASON_NONE ? EVENT_NONE : reason_info(step->reason)->event;
    told->duration = step->duration;
    memcpy(told->resolver, step->resolver, sizeof told->resolver);
    told->rcode = (int16_t)step->rcode;
    told->ede = step->ede;
    told->ttl = step->ttl;
    memcpy(told->detail, step->detail, sizeof told->detail);
}

/* ---- addresses ---- */

static void add_endpoint(struct host *host, const struct address *address, uint16_t port)
{
    struct probe *probe = host->probe;
    for (size_t h = 0; h < probe->host_count; h++)
        for (size_t i = 0; i < probe->hosts[h].endpoint_count; i++) {
            const struct endpoint *other = probe->hosts[h].endpoints[i];
            if (other->port == port && address_equal(&other->address, address) &&
                strcmp(host->name, other->host->name) == 0)
                return;
        }
    if (probe->endpoint_count >= probe->prober->conf->collectors.endpoints_per_partner) {
        probe->endpoints_left_out++;
        return;
    }
    probe->endpoint_count++;
    host->endpoints = reallocarray(host->endpoints, host->endpoint_count + 1, sizeof host->endpoints[0]);
    if (!host->endpoints)
        abort();
    host->endpoints[host->endpoint_count++] = endpoint_new(host, address, port);
}

static bool family_wanted(struct host *host, const struct address *address)
{
    switch (host->probe->partner->families) {
    case FAMILIES_IPV4:
        return address->family == ADDRESS_IPV4;
    case FAMILIES_IPV6:
        return address->family == ADDRESS_IPV6;
    case FAMILIES_BOTH:
        return true;
    default:
        return prober_address_usable(host->probe->prober, address);
    }
}

/*
 * The addresses to probe. When none is usable but this host has no way to the network at large at all, all are tried:
 * the connection then says that the network is unreachable, which is the truth.
 */
static size_t choose_addresses(struct host *host, const struct address *all, size_t count, struct address *chosen)
{
    struct prober *prober = host->probe->prober;
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (family_wanted(host, &all[i]))
            chosen[kept++] = all[i];
    if (kept == 0 && host->probe->partner->families == FAMILIES_AUTO && !prober_family_routed(prober, ADDRESS_IPV4) &&
        !prober_family_routed(prober, ADDRESS_IPV6)) {
        memcpy(chosen, all, count * sizeof *all);
        kept = count;
    }
    return kept;
}

/*
 * That a family has no address is usual, and is not asked of a second resolver. That no address at all is left is a
 * failure of the partner, and is: one resolver that is wrong must not be enough for it.
 */
static bool worth_asking_again(struct host *host, const struct dns_answer *a, const struct dns_answer *aaaa)
{
    struct address chosen[DNS_ADDRESSES_MAX];
    return !host->doubted && !host->probe->over && (a->unconfirmed || aaaa->unconfirmed) &&
           choose_addresses(host, a->addresses, a->address_count, chosen) == 0 &&
           choose_addresses(host, aaaa->addresses, aaaa->address_count, chosen) == 0;
}

const struct dns_answer *lookup_more_telling(const struct dns_answer *a, const struct dns_answer *aaaa)
{
    if (a->reason == REASON_DNS_NO_DATA)
        return aaaa;
    if (aaaa->reason == REASON_DNS_NO_DATA || aaaa->reason == REASON_NONE)
        return a;
    return reason_worse(a->reason, aaaa->reason) == a->reason ? a : aaaa;
}

static void describe_addresses(struct walk_step *step, const struct address *addresses, size_t count, size_t total)
{
    char text[ADDRESS_TEXT_SIZE];
    step->detail[0] = '\0';
    for (size_t i = 0; i < count && i < 4; i++)
        text_append(step->detail, sizeof step->detail, "%s%s", i ? ", " : "", address_text(&addresses[i], text));
    if (total > 4)
        text_append(step->detail, sizeof step->detail, " and %zu more", total - 4);
}

static void judge_no_address(struct host *host, const struct dns_answer *telling)
{
    char detail[OBSERVATION_DETAIL];
    if (host->of_service && telling->reason == REASON_DNS_NO_DATA) {
        text_format(detail, sizeof detail, "target %s has neither an A nor an AAAA record", host->name);
        step_worsen(&host->step, REASON_DNS_SRV_BAD_TARGET, detail);
        return;
    }
    text_copy(detail, sizeof detail, telling->detail);
    if (!*detail)
        text_format(detail, sizeof detail, "neither A nor AAAA of %s: %s", host->name, reason_name(telling->reason));
    step_worsen(&host->step, telling->reason, detail);
}

static void judge_addresses(struct host *host, const struct dns_answer *a, const struct dns_answer *aaaa)
{
    struct address all[2 * DNS_ADDRESSES_MAX], chosen[2 * DNS_ADDRESSES_MAX];
    char detail[OBSERVATION_DETAIL];
    size_t count = 0;
    memcpy(all, a->addresses, a->address_count * sizeof all[0]);
    count += a->address_count;
    memcpy(all + count, aaaa->addresses, aaaa->address_count * sizeof all[0]);
    count += aaaa->address_count;
    if (count == 0) {
        judge_no_address(host, lookup_more_telling(a, aaaa));
        return;
    }
    describe_addresses(&host->step, all, count, a->address_total + aaaa->address_total);
    const struct dns_answer *told = *a->detail && a->reason == REASON_NONE ? a : aaaa;
    if (*told->detail && told->reason == REASON_NONE)
        text_append(host->step.detail, sizeof host->step.detail, " %s", told->detail);
    const struct dns_answer *failed = a->address_count == 0 ? a : aaaa->address_count == 0 ? aaaa : NULL;
    if (failed && failed->reason != REASON_DNS_NO_DATA && failed->reason != REASON_NONE)
        text_append(host->step.detail, sizeof host->step.detail, "; %s: %s", failed == a ? "A" : "AAAA",
                    reason_name(failed->reason));
    const char *canonical = *a->canonical ? a->canonical : aaaa->canonical;
    if (host->of_service && *canonical) {
        text_format(detail, sizeof detail, "target %s is an alias of %s, which RFC 2782 and RFC 2181 forbid",
                    host->name, canonical);
        step_worsen(&host->step, REASON_DNS_SRV_BAD_TARGET, detail);
    }
    expected_addresses(host->probe->partner, host->name, all, count, &host->step);
    size_t kept = choose_addresses(host, all, count, chosen);
    if (kept == 0) {
        text_format(detail, sizeof detail, "%s has only %s addresses and this host probes none of those", host->name,
                    all[0].family == ADDRESS_IPV6 ? "IPv6" : "IPv4");
        step_worsen(&host->step, REASON_NO_USABLE_ADDRESS, detail);
    }
    if (host->probe->over && kept > 0) {
        text_format(detail, sizeof detail, "the look-ups of %s used up the time of the whole walk", host->name);
        step_worsen(&host->step, REASON_DNS_TIMEOUT, detail);
        return;
    }
    size_t left_out = host->probe->endpoints_left_out;
    for (size_t p = 0; p < host->port_count; p++)
        for (size_t i = 0; i < kept; i++)
            add_endpoint(host, &chosen[i], host->ports[p]);
    left_out = host->probe->endpoints_left_out - left_out;
    if (left_out)
        text_append(host->step.detail, sizeof host->step.detail, "; %zu of them not probed (endpoints_per_partner)",
                    left_out);
}

static void start_endpoints(struct host *host)
{
    for (size_t i = 0; i < host->endpoint_count; i++)
        endpoint_start(host->endpoints[i]);
}

static struct dns_query *ask(struct probe *probe, const char *name, enum dns_type type, bool confirm_no_data,
                             dns_done *done, void *context)
{
    const struct dns_question question = {.name = name,
                                          .type = type,
                                          .resolvers = probe->partner->resolvers,
                                          .resolver_count = probe->partner->resolver_count,
                                          .confirm_no_data = confirm_no_data};
    struct dns_query *query = dns_ask(probe->prober->dns, &question, done, context);
    if (!query)
        abort();
    return query;
}

static void finish_host(struct host *host)
{
    lookup_tell(&host->told, &host->step);
    host->ended = true;
    start_endpoints(host);
    piece_end(host->probe);
}

/* ---- TLSA ---- */

const struct host_tlsa *lookup_tlsa(const struct host *host, uint16_t port)
{
    for (size_t i = 0; host->tlsa && i < host->port_count; i++)
        if (host->ports[i] == port && host->tlsa[i].answer)
            return &host->tlsa[i];
    return NULL;
}

/*
 * RFC 7672, 2.1: records that are not proven are none. That they cannot be had is a failure of its own: where DNSSEC is
 * in force, senders then deliver nothing, because somebody may be hiding the records.
 */
static void judge_tlsa(struct host_tlsa *tlsa, const struct dns_answer *answer)
{
    struct walk_step *step = &tlsa->host->step;
    switch (answer->reason) {
    case REASON_NONE:
        if (!answer->authentic)
            return;
        tlsa->answer = malloc(sizeof *tlsa->answer);
        if (!tlsa->answer)
            abort();
        *tlsa->answer = *answer;
        if (step->state == STEP_OK)
            text_append(step->detail, sizeof step->detail, "; %zu TLSA at port %u", answer->tlsa_total,
                        tlsa->host->ports[tlsa - tlsa->host->tlsa]);
        return;
    case REASON_DNS_NX_DOMAIN:
    case REASON_DNS_NO_DATA:
        return;
    default:
        step_worsen(step, answer->reason, answer->detail);
    }
}

static void tlsa_answered(void *context, const struct dns_answer *answer)
{
    struct host_tlsa *tlsa = context;
    tlsa->query = NULL;
    judge_tlsa(tlsa, answer);
    if (--tlsa->host->tlsa_left == 0)
        finish_host(tlsa->host);
}

static bool wants_tlsa(const struct host *host, const struct dns_answer *a, const struct dns_answer *aaaa)
{
    const struct probe *probe = host->probe;
    bool protocol = probe->partner->protocol == PROTOCOL_SMTP || probe->partner->protocol == PROTOCOL_XMPP;
    return protocol && probe->partner->dane && !probe->over && host->endpoint_count > 0 &&
           (!probe->service_asked || probe->service_authentic) && (a->address_count == 0 || a->authentic) &&
           (aaaa->address_count == 0 || aaaa->authentic);
}

static void ask_tlsa(struct host *host)
{
    host->tlsa = calloc(host->port_count, sizeof host->tlsa[0]);
    if (!host->tlsa)
        abort();
    host->tlsa_left = host->port_count;
    for (size_t i = 0; i < host->port_count; i++) {
        struct host_tlsa *tlsa = &host->tlsa[i];
        tlsa->host = host;
        text_format(tlsa->name, sizeof tlsa->name, "_%u._tcp.%s", host->ports[i], host->name);
        tlsa->query = ask(host->probe, tlsa->name, DNS_TLSA, true, tlsa_answered, tlsa);
    }
}

static void end_host(struct host *host)
{
    struct dns_answer *a = host->queries[0].answer, *aaaa = host->queries[1].answer;
    const struct dns_answer *shown = a->address_count || !aaaa->address_count ? a : aaaa;
    if (a->address_count == 0 && aaaa->address_count == 0)
        shown = lookup_more_telling(a, aaaa);
    struct walk_step *step = &host->step;
    step_init(step, STAGE_ADDRESS, STEP_OK);
    text_copy(step->target, sizeof step->target, host->name);
    text_copy(step->resolver, sizeof step->resolver, shown->resolver);
    step->rcode = shown->rcode;
    step->ede = shown->ede;
    step->ttl = a->address_count && aaaa->address_count && aaaa->ttl < a->ttl ? aaaa->ttl : shown->ttl;
    step->duration = a->duration > aaaa->duration ? a->duration : aaaa->duration;
    judge_addresses(host, a, aaaa);
    bool tlsa = wants_tlsa(host, a, aaaa);
    free(a);
    free(aaaa);
    host->queries[0].answer = host->queries[1].answer = NULL;
    if (tlsa)
        ask_tlsa(host);
    else
        finish_host(host);
}

static void ask_addresses(struct host *host);

static void address_answered(void *context, const struct dns_answer *answer)
{
    struct host_query *query = context;
    query->query = NULL;
    query->answer = malloc(sizeof *answer);
    if (!query->answer)
        abort();
    *query->answer = *answer;
    struct host *host = query->host;
    if (!host->queries[0].answer || !host->queries[1].answer)
        return;
    if (!worth_asking_again(host, host->queries[0].answer, host->queries[1].answer)) {
        end_host(host);
        return;
    }
    host->doubted = true;
    for (size_t i = 0; i < 2; i++) {
        free(host->queries[i].answer);
        host->queries[i].answer = NULL;
    }
    ask_addresses(host);
}

void lookup_timeout_answer(struct dns_answer *answer, const char *name, enum dns_type type, const struct probe *probe)
{
    memset(answer, 0, sizeof *answer);
    answer->type = type;
    text_copy(answer->name, sizeof answer->name, name);
    answer->reason = REASON_DNS_TIMEOUT;
    answer->rcode = answer->ede = -1;
    answer->duration = (uint32_t)(clock_run() - probe->started);
    text_format(answer->detail, sizeof answer->detail, "%s: no answer within the %u ms of the whole walk", name,
                probe->prober->conf->collectors.budget.walk);
}

static void ask_addresses(struct host *host)
{
    static const enum dns_type types[2] = {DNS_A, DNS_AAAA};
    for (size_t i = 0; i < 2; i++) {
        struct host_query *query = &host->queries[i];
        query->host = host;
        query->query = ask(host->probe, host->name, types[i], host->doubted, address_answered, query);
    }
}

static void start_host(struct host *host)
{
    lookup_told_init(&host->told, PROBE_ADDRESS, host->probe->partner);
    piece_begin(host->probe);
    ask_addresses(host);
}

/* ---- hosts ---- */

static void add_port(struct host *host, uint16_t port)
{
    for (size_t i = 0; i < host->port_count; i++)
        if (host->ports[i] == port)
            return;
    host->ports[host->port_count++] = port;
}

static void add_host(struct probe *probe, const char *name, uint16_t port, bool of_service)
{
    for (size_t i = 0; i < probe->host_count; i++)
        if (strcmp(probe->hosts[i].name, name) == 0) {
            add_port(&probe->hosts[i], port);
            return;
        }
    struct host *host = &probe->hosts[probe->host_count++];
    host->probe = probe;
    text_copy(host->name, sizeof host->name, name);
    host->of_service = of_service;
    add_port(host, port);
}

static void make_hosts(struct probe *probe, size_t count)
{
    probe->hosts = calloc(count, sizeof probe->hosts[0]);
    if (!probe->hosts)
        abort();
}

/* One host whose name or address is known without the service lookup. */
static void start_single(struct probe *probe)
{
    const struct conf_partner *partner = probe->partner;
    struct address literal = partner->address;
    make_hosts(probe, 1);
    add_host(probe, *partner->host ? partner->host : partner->domain, partner->port, false);
    struct host *host = &probe->hosts[0];
    if (literal.family != ADDRESS_UNKNOWN || address_parse(host->name, &literal)) {
        host->fixed = true;
        host->ended = true;
        add_endpoint(host, &literal, partner->port);
        start_endpoints(host);
        return;
    }
    start_host(host);
}

/* ---- the service ---- */

static bool lies_within(const char *host, const char *domain)
{
    size_t length = strlen(host), suffix = strlen(domain);
    return length >= suffix && strcasecmp(host + length - suffix, domain) == 0 &&
           (length == suffix || host[length - suffix - 1] == '.');
}

/* Judged only where the operator listed domains: a partner whose edge is hosted elsewhere is the norm, not a failure.
 */
static bool target_allowed(const struct conf_partner *partner, const char *host)
{
    if (partner->allowed_count == 0 || lies_within(host, partner->domain))
        return true;
    for (size_t i = 0; i < partner->allowed_count; i++)
        if (strcmp(partner->allowed[i], "*") == 0 || lies_within(host, partner->allowed[i]))
            return true;
    return false;
}

static void take_targets(struct probe *probe, const struct dns_answer *answer)
{
    struct walk_step *step = &probe->service_step;
    char detail[OBSERVATION_DETAIL];
    struct address literal;
    text_format(step->detail, sizeof step->detail, "%zu %s", answer->target_total,
                answer->target_total == 1 ? "target" : "targets");
    if (answer->target_total > answer->target_count)
        text_append(step->detail, sizeof step->detail, ", of which %zu are looked at", answer->target_count);
    if (*answer->detail)
        text_append(step->detail, sizeof step->detail, " %s", answer->detail);
    make_hosts(probe, answer->target_count);
    for (size_t i = 0; i < answer->target_count; i++) {
        const struct dns_target *target = &answer->targets[i];
        if (address_parse(target->host, &literal)) {
            text_format(detail, sizeof detail, "target %s is an address, not a host name", target->host);
            step_worsen(step, REASON_DNS_SRV_BAD_TARGET, detail);
            continue;
        }
        uint16_t port = target->port ? target->port : probe->partner->port;
        if (!*target->host || port == 0) {
            text_format(detail, sizeof detail, "target \"%s.\" with port %u names no endpoint", target->host, port);
            step_worsen(step, REASON_DNS_SRV_BAD_TARGET, detail);
            continue;
        }
        if (!target_allowed(probe->partner, target->host)) {
            text_format(detail, sizeof detail, "target %s lies outside %s and the allowed targets", target->host,
                        probe->partner->domain);
            step_worsen(step, REASON_DNS_SRV_FOREIGN_TARGET, detail);
        }
        add_host(probe, target->host, port, true);
    }
    expected_targets(probe->partner, answer, step);
}

/* RFC 5321 section 5.1: a domain without MX records is its own mail host. */
static bool implicit_mx(struct probe *probe, const struct dns_answer *answer)
{
    if (probe->partner->protocol != PROTOCOL_SMTP || answer->reason != REASON_DNS_NO_DATA)
        return false;
    text_copy(probe->service_step.detail, sizeof probe->service_step.detail,
              "no MX record: the domain's own addresses stand for it (RFC 5321)");
    make_hosts(probe, 1);
    add_host(probe, probe->partner->domain, probe->partner->port, false);
    return true;
}

static void service_answered(void *context, const struct dns_answer *answer)
{
    struct probe *probe = context;
    struct walk_step *step = &probe->service_step;
    probe->service = NULL;
    probe->service_authentic = answer->authentic;
    step_init(step, STAGE_SERVICE, STEP_OK);
    text_copy(step->target, sizeof step->target, probe->partner->service);
    text_copy(step->resolver, sizeof step->resolver, answer->resolver);
    step->rcode = answer->rcode;
    step->ede = answer->ede;
    step->ttl = answer->ttl;
    step->duration = answer->duration;
    if (answer->reason == REASON_NONE) {
        take_targets(probe, answer);
    } else if (!implicit_mx(probe, answer)) {
        step_worsen(step, answer->reason, answer->detail);
    }
    lookup_tell(&probe->service_told, step);
    for (size_t i = 0; i < probe->host_count; i++)
        start_host(&probe->hosts[i]);
    piece_end(probe);
}

void lookup_start(struct probe *probe)
{
    const struct conf_partner *partner = probe->partner;
    view_start(probe);
    if (partner->address.family != ADDRESS_UNKNOWN || *partner->host || !*partner->service) {
        start_single(probe);
        return;
    }
    probe->service_asked = true;
    lookup_told_init(&probe->service_told, PROBE_SERVICE, partner);
    piece_begin(probe);
    probe->service = ask(probe, partner->service, partner->protocol == PROTOCOL_SMTP ? DNS_MX : DNS_SRV, true,
                         service_answered, probe);
}

void lookup_timeout(struct probe *probe)
{
    struct dns_answer answer;
    probe->over = true;
    view_timeout(probe);
    if (probe->service) {
        dns_cancel(probe->service);
        lookup_timeout_answer(&answer, probe->partner->service, DNS_SRV, probe);
        service_answered(probe, &answer);
    }
    for (size_t i = 0; i < probe->host_count; i++) {
        struct host *host = &probe->hosts[i];
        for (size_t k = 0; k < 2 && !host->ended; k++) {
            if (!host->queries[k].query)
                continue;
            dns_cancel(host->queries[k].query);
            lookup_timeout_answer(&answer, host->name, k == 0 ? DNS_A : DNS_AAAA, probe);
            address_answered(&host->queries[k], &answer);
        }
        for (size_t k = 0; host->tlsa && k < host->port_count; k++) {
            if (!host->tlsa[k].query)
                continue;
            dns_cancel(host->tlsa[k].query);
            lookup_timeout_answer(&answer, host->tlsa[k].name, DNS_TLSA, probe);
            tlsa_answered(&host->tlsa[k], &answer);
        }
        for (size_t k = 0; k < host->endpoint_count; k++)
            endpoint_timeout(host->endpoints[k]);
    }
}

void lookup_free(struct probe *probe)
{
    view_free(probe);
    if (probe->service)
        dns_cancel(probe->service);
    for (size_t i = 0; i < probe->host_count; i++) {
        struct host *host = &probe->hosts[i];
        for (size_t k = 0; k < 2; k++) {
            if (host->queries[k].query)
                dns_cancel(host->queries[k].query);
            free(host->queries[k].answer);
        }
        for (size_t k = 0; host->tlsa && k < host->port_count; k++) {
            if (host->tlsa[k].query)
                dns_cancel(host->tlsa[k].query);
            free(host->tlsa[k].answer);
        }
        free(host->tlsa);
        for (size_t k = 0; k < host->endpoint_count; k++)
            endpoint_free(host->endpoints[k]);
        free(host->endpoints);
    }
    free(probe->hosts);
}
