#ifndef FEDWARDEN_COLLECT_PROTO_H
#define FEDWARDEN_COLLECT_PROTO_H

/*
 * What is spoken on a connection before TLS: SMTP up to STARTTLS (RFC 3207) and an XMPP server stream up to <proceed/>
 * (RFC 6120 section 5), as machines that are fed octets and hold what is to be sent. No I/O, no clock; any thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/observation.h"

enum proto_kind { PROTO_SMTP = 1, PROTO_XMPP };

enum proto_state {
    PROTO_TALKING = 1, /* send what proto_output holds, then feed more */
    PROTO_READY,       /* the go-ahead came and nothing behind it: TLS may start */
    PROTO_FAILED,      /* reason and detail tell why */
};

#define PROTO_LINE 1024      /* octets of one reply line; RFC 5321 has 512 */
#define PROTO_TAG 2048       /* octets of one XML tag */
#define PROTO_OCTETS 32768   /* octets of the whole conversation */
#define PROTO_OUTPUT 640

struct proto {
    enum proto_kind kind;
    enum proto_state state;
    enum reason reason;              /* REASON_NONE until it failed */
    char detail[OBSERVATION_DETAIL]; /* printable */

    /* for the machine alone */
    int step;
    size_t total;
    char name[OBSERVATION_NAME];
    char output[PROTO_OUTPUT];
    size_t output_length, output_sent;
    char buffer[PROTO_TAG];
    size_t length;
    bool offered;   /* STARTTLS was in the list */
    char quote;     /* XMPP: the quote that an attribute value is in */
    bool in_tag;
    unsigned depth;
    int within;     /* XMPP: which child of the stream we are in */
};

/*
 * proto_start(proto, kind, name): a fresh machine. `name` is our own host name for EHLO, or the domain that the XMPP
 * stream is opened to; both legal host names.
 */
void proto_start(struct proto *proto, enum proto_kind kind, const char *name);

/* proto_feed(proto, data, length): octets received. Returns the state; after PROTO_READY or PROTO_FAILED it is final. */
enum proto_state proto_feed(struct proto *proto, const void *data, size_t length);

/* proto_output(proto, length): what is to be sent next; *length 0 when nothing is. proto_sent: `count` of it were. */
const char *proto_output(const struct proto *proto, size_t *length);
void proto_sent(struct proto *proto, size_t count);

/* proto_closed(proto, reset): the peer ended the connection. proto_timeout(proto): its time is over. Both fail it. */
void proto_closed(struct proto *proto, bool reset);
void proto_timeout(struct proto *proto);

/*
 * proto_farewell(kind, name, opened, out, size): what is said inside TLS before it is closed, so that the peer sees a
 * clean end: QUIT, or the XMPP stream, opened (unless `opened` already) and closed. Returns its length.
 */
size_t proto_farewell(enum proto_kind kind, const char *name, bool opened, char *out, size_t size);

/* proto_stream_header(name, out, size): the header that opens an XMPP stream to the domain `name`. Its length. */
size_t proto_stream_header(const char *name, char *out, size_t size);

#endif
