#ifndef FEDWARDEN_COLLECT_PROTO_H
#define FEDWARDEN_COLLECT_PROTO_H

/*
 * What is spoken on a connection, as machines that are fed octets and hold what is to be sent. Before TLS: up to the
 * go-ahead of STARTTLS in SMTP (RFC 3207), XMPP between servers and of clients (RFC 6120 section 5), IMAP (RFC 9051), POP3
 * (RFC 2595) and LDAP (RFC 4511 section 4.14). Inside TLS, where it is wanted: one harmless question and its answer, SIP
 * OPTIONS (RFC 3261 section 11), HTTP HEAD, EHLO, an XMPP stream, CAPABILITY, CAPA. No I/O, no clock; any thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/observation.h"

enum proto_kind { /* LDAP only before TLS, SIP and HTTP only inside */
    PROTO_SMTP = 1,
    PROTO_XMPP,
    PROTO_XMPP_CLIENT,
    PROTO_IMAP,
    PROTO_POP3,
    PROTO_LDAP,
    PROTO_SIP,
    PROTO_HTTP,
};

enum proto_state {
    PROTO_TALKING = 1, /* send what proto_output holds, then feed more */
    PROTO_READY,       /* the go-ahead came and nothing behind it: TLS may start. Inside TLS: the answer is good */
    PROTO_FAILED,      /* reason and detail tell why */
};

#define PROTO_LINE 1024      /* octets of one reply line; RFC 5321 has 512 */
#define PROTO_TAG 2048       /* octets of one XML tag, or of one LDAP message */
#define PROTO_OCTETS 32768   /* octets of the whole conversation */
#define PROTO_OUTPUT 3072

struct proto_names {
    const char *host; /* our own, for EHLO and Via */
    const char *from; /* our own domain, told to XMPP servers; "" none */
    const char *to;   /* the domain, or for HTTP the host, that is asked for */
    uint64_t token;   /* differs between conversations: tags of SIP */
};

struct proto {
    enum proto_kind kind;
    bool inside; /* TLS */
    enum proto_state state;
    enum reason reason;              /* REASON_NONE until it failed */
    char detail[OBSERVATION_DETAIL]; /* printable; inside TLS also what was answered when that is good */

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
    int code;       /* SIP, HTTP: the status; 0 until its line came */
    size_t wanted;  /* LDAP: octets of the message; 0 until that is known */
    const char *rest; /* within proto_feed: what has not been looked at, for details */
    size_t rest_length;
};

/* proto_start(proto, kind, inside, names): a fresh machine. All names are legal host names. */
void proto_start(struct proto *proto, enum proto_kind kind, bool inside, const struct proto_names *names);

/* proto_feed(proto, data, length): octets received. Returns the state; after PROTO_READY or PROTO_FAILED it is final. */
enum proto_state proto_feed(struct proto *proto, const void *data, size_t length);

/* proto_output(proto, length): what is to be sent next; *length 0 when nothing is. proto_sent: `count` of it were. */
const char *proto_output(const struct proto *proto, size_t *length);
void proto_sent(struct proto *proto, size_t count);

/* proto_closed(proto, reset): the peer ended the connection. proto_timeout(proto): its time is over. Both fail it, but
   for a status that came whole. */
void proto_closed(struct proto *proto, bool reset);
void proto_timeout(struct proto *proto);

/*
 * proto_farewell(kind, names, opened, out, size): what is said inside TLS before it is closed, so that the peer sees a
 * clean end: QUIT, LOGOUT, or the XMPP stream, opened (unless `opened` already) and closed. Returns its length.
 */
size_t proto_farewell(enum proto_kind kind, const struct proto_names *names, bool opened, char *out, size_t size);

/* proto_stream_header(kind, names, out, size): the header that opens an XMPP stream to `to`. Its length. */
size_t proto_stream_header(enum proto_kind kind, const struct proto_names *names, char *out, size_t size);

/* proto_status_reason(kind, code): what a final status of SIP or HTTP says of the service; REASON_NONE: it is well. */
enum reason proto_status_reason(enum proto_kind kind, int code);

#endif
