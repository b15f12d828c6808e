#ifndef FEDWARDEN_COLLECT_WALK_H
#define FEDWARDEN_COLLECT_WALK_H

/*
 * The story of one walk of a partner, in order: what `fedwarden check` prints and what observations are made from. By
 * value; written by the probe's thread, read by whoever the walk is handed to.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/conf.h"
#include "base/guidance.h"
#include "base/observation.h"

enum stage { /* the words of interface: --json */
    STAGE_SERVICE = 1, /* "srv": SRV or MX */
    STAGE_ADDRESS,     /* "address": A and AAAA */
    STAGE_CONNECT,     /* "connect" */
    STAGE_PROXY,       /* "proxy" */
    STAGE_STARTTLS,    /* "starttls" */
    STAGE_TLS,         /* "tls" */
    STAGE_CERTIFICATE, /* "certificate" */
    STAGE_NAME,        /* "name" */
    STAGE_CLIENT,      /* "client": our certificate */
    STAGE_APPLICATION, /* "app" */
};
const char *stage_name(enum stage stage);

enum step_state { STEP_OK = 1, STEP_FAILED, STEP_SKIPPED }; /* skipped: not reached */

struct walk_step {
    enum stage stage;
    enum step_state state;
    int endpoint; /* position in walk->endpoints; -1 for lookups */
    char target[OBSERVATION_NAME];
    struct address address; /* ADDRESS_UNKNOWN where none */
    uint16_t port;
    enum reason reason;
    uint32_t duration; /* microseconds */
    char resolver[64];
    int rcode; /* -1 no reply */
    int ede;   /* -1 none */
    uint32_t ttl;
    int alert; /* -1 none */
    char tls_version[8];
    char cipher[48];
    char detail[OBSERVATION_DETAIL]; /* what was found, for people: "2 targets, TTL 3600" or why it failed */
};

/* One endpoint of the walk: an address and port of one target, with the worst of its steps. */
struct walk_endpoint {
    char target[OBSERVATION_NAME];
    struct address address;
    uint16_t port;
    enum reason reason;
    struct observation_probe probe; /* ready to be told */
    size_t certificate_count;
    struct observation_certificate *certificates; /* owned by the walk */
    size_t peer_ca_count; /* CAs from which the peer takes our certificate, as it named them; 0: any, or not asked */
    char (*peer_cas)[OBSERVATION_DETAIL]; /* owned by the walk */
    uint8_t chain_sha256[32];
};

struct walk_lookup { /* one service or address lookup, ready to be told */
    struct observation_probe probe;
};

struct walk {
    const struct conf_partner *partner;
    uint32_t position; /* of the partner in its conf */
    int64_t wall, run; /* at its end */
    uint32_t duration; /* microseconds */
    uint32_t late;
    enum reason reason;     /* the worst; of equals the first */
    enum stage stage;       /* where that reason was found; STAGE_APPLICATION + 0 when healthy is not used: 0 */
    int endpoint;           /* whose reason it is, -1: a lookup's */
    char detail[OBSERVATION_DETAIL]; /* of that reason */
    size_t step_count, step_room;
    struct walk_step *steps;
    size_t endpoint_count, endpoint_room;
    struct walk_endpoint *endpoints;
    size_t lookup_count, lookup_room;
    struct walk_lookup *lookups;
    int64_t not_after; /* earliest end of a presented certificate; CLOCK_NEVER none */
};

/* walk_new(partner, position): an empty walk, not yet judged. Aborts without memory, as the next two. */
struct walk *walk_new(const struct conf_partner *partner, uint32_t position);

/* walk_free(walk): frees it and all it owns; NULL is allowed. */
void walk_free(struct walk *walk);

/*
 * walk_add_step(walk, step), walk_add_lookup(walk, probe), walk_add_endpoint(walk, endpoint): append a copy;
 * the endpoint's certificates and CAs become the walk's. walk_add_endpoint returns the position.
 */
void walk_add_step(struct walk *walk, const struct walk_step *step);
void walk_add_lookup(struct walk *walk, const struct observation_probe *probe);
size_t walk_add_endpoint(struct walk *walk, const struct walk_endpoint *endpoint);

/* step_init(step, stage, state): a step with nothing known: no endpoint, no address, no reply, no alert. */
void step_init(struct walk_step *step, enum stage stage, enum step_state state);

/* step_worsen(step, reason, detail): it failed with `reason`, unless it already has one that is as bad. */
void step_worsen(struct walk_step *step, enum reason reason, const char *detail);

/* walk_judge(walk): sets reason, stage, endpoint, detail and not_after from its steps and endpoints. */
void walk_judge(struct walk *walk);

/* walk_guidance(walk, address): whom the guidance of its reason is about; valid as long as the walk and `address` are. */
struct guidance walk_guidance(const struct walk *walk, char address[ADDRESS_TEXT_SIZE]);

/* walk_endpoints_ok(walk): endpoints without a reason. */
size_t walk_endpoints_ok(const struct walk *walk);

#endif
