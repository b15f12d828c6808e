#ifndef FEDWARDEN_COLLECT_DNSSEC_H
#define FEDWARDEN_COLLECT_DNSSEC_H

/*
 * DNSSEC validation on this host, by libunbound: whether what a resolver answers is proven by the trust anchors (RFC
 * 4033). Used by the thread of one shard; libunbound works in a thread of its own for each resolver. A build without
 * libunbound has the functions, and each of them says that it cannot.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

enum dnssec_state {
    DNSSEC_SECURE = 1, /* proven */
    DNSSEC_INSECURE,   /* proven to be unsigned, or below no trust anchor */
    DNSSEC_BOGUS,      /* should be signed, and is not or wrongly */
    DNSSEC_EXPIRED,    /* bogus because a signature has expired */
    DNSSEC_FAILED,     /* the resolver did not give what is needed to tell */
};

struct dnssec_verdict {
    enum dnssec_state state;
    const char *why; /* of what is bogus or failed, printable; "" nothing */
    const uint8_t *packet; /* the reply as validated; NULL when there is none */
    size_t length;
};

struct dnssec;
struct dnssec_query;
typedef void dnssec_done(void *context, const struct dnssec_verdict *verdict);

/* dnssec_new(loop, anchors): `anchors` is a file of DS or DNSKEY records, read at the first question. NULL without memory. */
struct dnssec *dnssec_new(sd_event *loop, const char *anchors);
/* dnssec_free(dnssec): after its questions were told or cancelled. NULL is allowed. */
void dnssec_free(struct dnssec *dnssec);

/*
 * dnssec_ask(dnssec, forwarder, name, type, done, context): asks `forwarder` ("192.0.2.53@53") alone, for the records and
 * for what proves them. `done` is called once, from the event loop and never from within dnssec_ask. NULL, with the cause
 * in dnssec_error, when it cannot be asked.
 */
struct dnssec_query *dnssec_ask(struct dnssec *dnssec, const char *forwarder, const char *name, int type, dnssec_done *done,
                                void *context);
/* dnssec_cancel(query): `done` will not be called. */
void dnssec_cancel(struct dnssec_query *query);
/* dnssec_error(dnssec): why the last dnssec_ask gave NULL. */
const char *dnssec_error(const struct dnssec *dnssec);

#endif
