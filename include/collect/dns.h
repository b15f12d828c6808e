#ifndef FEDWARDEN_COLLECT_DNS_H
#define FEDWARDEN_COLLECT_DNS_H

/*
 * DNS look-ups by c-ares: we write the query and read the reply, c-ares carries it over UDP and TCP. One struct dns a
 * shard, used by that shard's thread alone. Each resolver has c-ares channels of its own, so that it is known who
 * answered. Nothing is cached: a probe wants to know what is so now.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "base/conf.h"

enum dns_type { DNS_A = 1, DNS_CNAME = 5, DNS_MX = 15, DNS_TXT = 16, DNS_AAAA = 28, DNS_SRV = 33, DNS_TLSA = 52 };

#define DNS_TARGETS_MAX 16   /* SRV or MX records that are used; those beyond are counted */
#define DNS_ADDRESSES_MAX 16 /* addresses of one name that are used */
#define DNS_ALIASES_MAX 8    /* CNAME records in a row that are followed within one reply */

struct dns_target { /* of an SRV (RFC 2782) or MX (RFC 5321) record */
    uint16_t priority;
    uint16_t weight; /* 0 for MX */
    uint16_t port;   /* 0 for MX */
    char host[OBSERVATION_NAME]; /* lower case, \DDD for what is no letter, digit or one of -_*+=/; no dot at the end;
                                    "" is the root, which denies the service when it is the only target */
};

#define DNS_TLSA_MAX 8         /* TLSA records of one name that are used */
#define DNS_TLSA_OCTETS 512    /* of their data; longer ones are counted, but not kept */

struct dns_tlsa { /* RFC 6698, 2.1 */
    uint8_t usage, selector, matching;
    uint16_t length;
    uint8_t data[DNS_TLSA_OCTETS];
};

/* What one question brought, with the facts that it was judged by. */
struct dns_answer {
    enum dns_type type;
    char name[OBSERVATION_NAME]; /* as asked */
    enum reason reason;          /* REASON_NONE when there is at least one record of the type */
    int rcode;                   /* as received, extended by EDNS; -1 when no usable reply came */
    int ede;                     /* RFC 8914 info-code, -1 none */
    char ede_text[64];           /* its EXTRA-TEXT, printable */
    bool authentic;              /* AD bit of a resolver that is configured as trusted */
    bool tcp;                    /* the reply came by TCP */
    uint32_t ttl;                /* smallest of the records used, seconds; of a negative answer the SOA's (RFC 2308) */
    char resolver[64];           /* "192.0.2.53:53": whose reply `reason` judges, without any the last asked; IPv6 as
                                    "[2001:db8::53]:53" */
    uint32_t duration;           /* microseconds, all tries */
    unsigned tries; /* turns at a resolver; going over to TCP is none of its own */
    char detail[OBSERVATION_DETAIL]; /* for people: what of which resolver; of a positive answer: what other resolvers
                                        did not bring; "" when there is nothing to add */
    bool unconfirmed; /* negative, by one resolver alone, although there are others that have not been asked */
    char canonical[OBSERVATION_NAME]; /* last alias target, "" when the name is no alias */
    size_t target_count;
    size_t target_total; /* with those beyond DNS_TARGETS_MAX */
    size_t tlsa_count;
    size_t tlsa_total;   /* with those that are not kept */
    union { /* by the type of the question */
        struct dns_target targets[DNS_TARGETS_MAX]; /* in the order of priority, then weight downwards, then host; the
                                                       first ones of that order; without duplicates */
        struct dns_tlsa tlsa[DNS_TLSA_MAX]; /* in the order of the reply */
    };
    size_t address_count;
    size_t address_total;
    struct address addresses[DNS_ADDRESSES_MAX]; /* in the order of their octets, without duplicates */
};

struct dns;
struct dns_query;

/*
 * Called once a query, from the event loop and never from within dns_ask; `answer` lives until the call returns. It may
 * ask and cancel other queries, but not free the struct dns.
 */
typedef void dns_done(void *context, const struct dns_answer *answer);

/*
 * dns_new(loop, conf): channels to every resolver of `conf` (those of /etc/resolv.conf when it has none) on `loop`.
 * NULL with a logged message when it cannot be.
 */
struct dns *dns_new(sd_event *loop, const struct conf *conf);
/* dns_free(dns): cancels what is under way without calling back. NULL is allowed. */
void dns_free(struct dns *dns);

struct dns_question {
    const char *name;
    enum dns_type type;
    const uint32_t *resolvers; /* positions in conf->resolvers, in the order of asking; lives until `done` */
    size_t resolver_count;     /* 0: all resolvers */
    bool confirm_no_data;      /* NODATA is doubted as NXDOMAIN is; for address types, where it is usual, it is not */
};

/*
 * dns_ask(dns, question, done, context): asks the resolvers of the question in their order, and then once more in that
 * order: an answer ends it; a timeout, SERVFAIL, REFUSED, NOTIMP or malformed reply goes on to the next, each within the
 * budget dns_try (once more over TCP when a reply was truncated), all within the budget dns. A negative answer (NXDOMAIN,
 * a filter's, or NODATA when so wished) ends it when a second resolver gives one too or none other is left that replies;
 * when another has the records, those are the answer, and the detail says which resolver had not.
 * What fails everywhere is judged by the last reply, because a resolver that says something tells more than one that is
 * silent; without any reply it is dnsTimeout, or, where no resolver could be asked at all, what the network said:
 * netUnreachable, hostUnreachable, adminProhibited. The detail names all resolvers that were asked. A name that cannot be
 * asked is dnsNameInvalid; a socket that cannot be had is localResource.
 * Returns a handle for dns_cancel, valid until `done`. NULL only without memory.
 */
struct dns_query *dns_ask(struct dns *dns, const struct dns_question *question, dns_done *done, void *context);
/* dns_cancel(query): `done` will not be called. */
void dns_cancel(struct dns_query *query);

/*
 * The pure parts, for tests and fuzzers.
 *
 * dns_write(out, size, id, name, type): a query (RFC 1035) with RD, AD and an OPT record of 1232 octets (RFC 6891);
 * returns its length, 0 when the name cannot be written or `size` is too small.
 *
 * dns_judge(answer, packet, length): reads a reply to the question answer->name, answer->type into `answer` and sets
 * reason, rcode, ttl, records. Whatever `packet` holds, it reads no octet beyond `length` and ends; returns false when
 * the packet is no reply to that question (id is the caller's to compare).
 */
size_t dns_write(uint8_t *out, size_t size, uint16_t id, const char *name, enum dns_type type);
bool dns_judge(struct dns_answer *answer, const uint8_t *packet, size_t length);

const char *dns_type_name(enum dns_type type); /* "SRV" */
const char *dns_rcode_name(int rcode);         /* "SERVFAIL"; words for an rcode without a name */

#endif
