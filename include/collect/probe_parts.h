#ifndef FEDWARDEN_COLLECT_PROBE_PARTS_H
#define FEDWARDEN_COLLECT_PROBE_PARTS_H

/*
 * What the probe*.c files share: a walk under way. It has pieces: the service lookup, each host's address lookup, each
 * view, each endpoint. A piece is begun with piece_begin and ended with piece_end; the walk is over
 * when no piece is left.
 */

#include <systemd/sd-event.h>

#include "collect/dns.h"
#include "collect/probe.h"
#include "collect/proto.h"
#include "collect/proxy.h"
#include "collect/revocation.h"
#include "collect/tls.h"

#define TIMER_ACCURACY 5000 /* microseconds that a timer may be late, so that wake-ups are shared */

struct prober {
    sd_event *loop;
    const struct conf *conf;
    struct dns *dns;
    struct proxy_pool *proxies; /* NULL until one is needed */
    struct tls_trust **trusts;  /* by position in conf->trusts; NULL until needed */
    struct revocation **revocations; /* of the same; NULL: it has no URL of a list */
    struct fetcher *fetcher;         /* NULL until one is needed */
    struct probe *held;              /* walks that wait for the first lists of their profile */
    char hostname[OBSERVATION_NAME]; /* ours, for EHLO */

    int64_t routes_checked; /* clock_run; the two below hold for ROUTE_SECONDS */
    bool route_ipv4, route_ipv6;

    /* Token bucket of handshakes_per_second; endpoints that found it empty wait in the order they came. */
    double tokens;
    int64_t tokens_at;
    struct endpoint *waiting, **waiting_end;
    sd_event_source *waiting_timer;
};

struct host { /* whose addresses are looked up */
    struct probe *probe;
    char name[OBSERVATION_NAME];
    bool of_service;      /* target of an SRV or MX record */
    bool ended;
    bool fixed;           /* its address is configured: nothing to look up */
    bool doubted;         /* no address was found and the resolvers have been asked once more */
    size_t port_count;
    uint16_t ports[DNS_TARGETS_MAX];
    struct host_query {
        struct host *host;
        struct dns_query *query; /* NULL when not under way */
        struct dns_answer *answer;
    } queries[2]; /* A, AAAA */
    struct host_tlsa { /* for the endpoints at one of the ports */
        struct host *host;
        char name[OBSERVATION_NAME]; /* _25._tcp.HOST */
        struct dns_query *query;     /* NULL when not under way */
        struct dns_answer *answer;   /* NULL: there are none that DNSSEC proves */
    } *tlsa; /* port_count of them; NULL when they are not looked for */
    size_t tlsa_left; /* questions under way */
    struct walk_step step;
    struct observation_probe told;
    size_t endpoint_count;
    struct endpoint **endpoints;
};

struct probe {
    struct prober *prober;
    const struct conf_partner *partner;
    uint32_t position;
    probe_done *done;
    void *context;
    int64_t started;
    uint32_t late; /* microseconds that an endpoint waited for its turn */
    bool starting; /* inside probe_start */
    struct probe *next_held;
    bool over;     /* the time of the walk is */
    size_t pieces; /* under way */
    sd_event_source *timer; /* of the whole walk; also ends a walk that ended within probe_start */
    bool service_asked;
    struct dns_query *service;
    bool service_authentic; /* DNSSEC proved the answer */
    struct walk_step service_step;
    struct observation_probe service_told;
    size_t host_count;
    struct host *hosts;
    size_t endpoint_count; /* of all hosts */
    size_t endpoints_left_out; /* beyond endpoints_per_partner */
    struct view *views; /* partner->view_count of them */
};

enum nudge { NUDGE_NONE, NUDGE_WRITE, NUDGE_READ };

struct endpoint {
    struct probe *probe;
    struct host *host;
    struct address address;
    uint16_t port;
    bool ended;

    int descriptor;
    sd_event_source *io;
    sd_event_source *timer;
    enum stage stage;      /* the one under way; 0 while it waits for its turn */
    int64_t stage_started;
    int64_t waiting_since;
    struct endpoint *next_waiting;

    struct proxy_connect *proxy;
    struct proto *proto;
    struct tls_session *tls;
    struct tls_target target;
    enum tls_want want;
    bool reading_after;    /* the timer is that of the time after the handshake */
    enum nudge nudge;
    bool app;              /* the question inside TLS is under way or answered */
    char *reply;           /* HTTPS: the first octets of the answer */
    size_t nudge_done, reply_length;

    uint32_t durations[STAGE_APPLICATION + 1]; /* of the stages that ended */
    size_t step_count;
    struct walk_step steps[8];
    struct walk_endpoint result;
};

void piece_begin(struct probe *probe);
/* piece_end(probe): the probe may be gone when it returns. */
void piece_end(struct probe *probe);

/* ---- probe.c ---- */

/* prober_trust(prober, position): the profile, loaded at its first use; NULL without memory. */
struct tls_trust *prober_trust(struct prober *prober, uint32_t position);
/* prober_address_usable(prober, address): whether this host has a route to it. */
bool prober_address_usable(struct prober *prober, const struct address *address);
/* prober_family_routed(prober, family): whether there is a way to the network at large in that family. */
bool prober_family_routed(struct prober *prober, enum address_family family);
/* prober_take_token(prober, endpoint): true when a handshake may start now; otherwise it waits and is called back. */
bool prober_take_token(struct prober *prober, struct endpoint *endpoint);
/* prober_leave_queue(prober, endpoint): it no longer waits. */
void prober_leave_queue(struct prober *prober, struct endpoint *endpoint);

/* ---- probe_lookup.c ---- */

/* lookup_start(probe): the service lookup, or the hosts at once. lookup_timeout(probe): the walk's time is over. */
void lookup_start(struct probe *probe);
void lookup_timeout(struct probe *probe);
/* lookup_free(probe): cancels and frees hosts and their endpoints. */
void lookup_free(struct probe *probe);

/* lookup_tlsa(host, port): the TLSA records that DNSSEC proved, NULL none. */
const struct host_tlsa *lookup_tlsa(const struct host *host, uint16_t port);
/* lookup_told_init(told, kind, partner): nothing known. lookup_tell(told, step): what is told is what is shown. */
void lookup_told_init(struct observation_probe *told, enum probe_kind kind, const struct conf_partner *partner);
void lookup_tell(struct observation_probe *told, const struct walk_step *step);
/* lookup_more_telling(a, aaaa): neither has an address: the answer that says more than "no data". */
const struct dns_answer *lookup_more_telling(const struct dns_answer *a, const struct dns_answer *aaaa);
/* lookup_timeout_answer(answer, name, type, probe): what stands for an answer when the walk's time is over. */
void lookup_timeout_answer(struct dns_answer *answer, const char *name, enum dns_type type, const struct probe *probe);

/* ---- probe_expected.c ---- */

/*
 * expected_targets(partner, answer, step), expected_addresses(partner, name, addresses, count, step): compare what was
 * found with what is expected and worsen the step by what differs; false when nothing of the kind is expected.
 */
bool expected_targets(const struct conf_partner *partner, const struct dns_answer *answer, struct walk_step *step);
bool expected_addresses(const struct conf_partner *partner, const char *name, const struct address *addresses,
                        size_t count, struct walk_step *step);

/* ---- probe_view.c ---- */

/* view_start(probe): asks the views of the partner. view_timeout(probe): the walk's time is over. */
void view_start(struct probe *probe);
void view_timeout(struct probe *probe);
/* view_add(probe, walk): a step and a lookup for each view. view_free(probe): cancels and frees them. */
void view_add(struct probe *probe, struct walk *walk);
void view_free(struct probe *probe);

/* ---- probe_endpoint.c ---- */

/* endpoint_starttls(partner): the protocol that is spoken before TLS; 0 for none. */
enum proto_kind endpoint_starttls(const struct conf_partner *partner);
/* endpoint_new(host, address, port): begun as a piece. Aborts without memory. */
struct endpoint *endpoint_new(struct host *host, const struct address *address, uint16_t port);
/* endpoint_start(endpoint): goes as far as it can at once. endpoint_go(endpoint): its turn has come. */
void endpoint_start(struct endpoint *endpoint);
void endpoint_go(struct endpoint *endpoint);
/* endpoint_timeout(endpoint): the walk's time is over. */
void endpoint_timeout(struct endpoint *endpoint);
void endpoint_free(struct endpoint *endpoint);

/* ---- probe_result.c ---- */

/* endpoint_fail(endpoint, reason, detail): the present stage failed; the steps behind it are skipped. */
void endpoint_fail(struct endpoint *endpoint, enum reason reason, const char *detail);
/* endpoint_judge_tls(endpoint, override, detail): the steps of TLS; `override` other than REASON_NONE is a refusal that
   was told inside TLS. */
void endpoint_judge_tls(struct endpoint *endpoint, enum reason override, const char *detail);

#endif
