#ifndef FEDWARDEN_BASE_OBSERVATION_H
#define FEDWARDEN_BASE_OBSERVATION_H

/*
 * What the collectors tell the ledger: flat, by value, without pointers, so that nothing is shared between threads. It
 * is made where the raw result is and is judged there into one reason.
 *
 * A walk of a partner is told by one queue_post: an OBSERVATION_PROBE for each lookup and each endpoint that the walk
 * reached, OBSERVATION_CERTIFICATE rows for the chains that changed since they were last told, and one OBSERVATION_WALK
 * that closes it. What the walk did not reach is not told.
 */

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/reason.h"

#define OBSERVATION_NAME 256   /* a DNS name in presentation form and its terminator */
#define OBSERVATION_DETAIL 256 /* SnmpAdminString and its terminator */
#define OBSERVATION_CHAIN_MAX 10 /* certificates of one chain that are told */

enum observation_kind {
    OBSERVATION_PROBE = 1,   /* the result of one lookup or one endpoint */
    OBSERVATION_CERTIFICATE, /* one certificate of the chain that an endpoint presented */
    OBSERVATION_WALK,        /* a walk has ended; its verdict */
    OBSERVATION_EVENT,       /* one or more failures that the edge saw and a feed read */
    OBSERVATION_MARK,        /* how far its origin has read, behind the events that it found there; not for the ledger */
};

/*
 * Who can tell an event again, because it reads it from something that stays: what it told since its last mark is stored
 * together with the mark behind it or not at all (base/queue.h).
 */
enum observation_origin {
    ORIGIN_NONE = 0, /* probes, the inbox, the acceptor: nothing can be told again */
    ORIGIN_FEEDS,    /* collect/feed.h */
    ORIGIN_TLSRPT,   /* collect/tlsrpt.h */
};

#define OBSERVATION_NO_PARTNER UINT32_MAX

/* What a probe looks at; with target, address and port it is the identity of a row of fedwProbeTable. */
enum probe_kind {
    PROBE_SERVICE = 1,  /* SRV or MX records of `target` */
    PROBE_ADDRESS = 2,  /* A and AAAA records of `target` */
    PROBE_ENDPOINT = 3, /* connection and TLS to `address`, `port` */
};

enum address_family { /* numbered as InetAddressType (RFC 4001) */
    ADDRESS_UNKNOWN = 0,
    ADDRESS_IPV4 = 1,
    ADDRESS_IPV6 = 2,
};

struct address {
    uint8_t family;    /* enum address_family */
    uint8_t octets[16]; /* network order; 4 or 16 are used */
};

struct observation_probe {
    enum probe_kind kind;
    char target[OBSERVATION_NAME]; /* SRV name, host name; for an endpoint the host whose address it is */
    struct address address;        /* ADDRESS_UNKNOWN for a lookup */
    uint16_t port;                 /* 0 for a lookup */
    enum reason reason;            /* REASON_NONE: healthy */
    enum event event;              /* which count a failure belongs to; EVENT_NONE when healthy */
    uint32_t duration;             /* microseconds */
    uint32_t interval;             /* seconds to the next walk as configured */
    char resolver[64];             /* "192.0.2.53:53" that answered, "" where none did or none was asked */
    int16_t rcode;                 /* DNS rcode as received; -1 where no reply was */
    int32_t ede;                   /* RFC 8914 info-code; -1 where there was none */
    uint32_t ttl;                  /* seconds; the smallest of the answer; 0 where there was none */
    char tls_version[8];           /* "1.3"; "" before ServerHello */
    char cipher[48];
    int32_t verify_error;          /* X509_V_ERR_* that decided; 0 none */
    int16_t alert;                 /* TLS alert description that the peer sent; -1 none */
    int64_t not_after;             /* wall microseconds: earliest end in the presented chain; CLOCK_NEVER unknown */
    char detail[OBSERVATION_DETAIL]; /* printable UTF-8, one line */
};

struct observation_certificate {
    /* the endpoint that presented it */
    char target[OBSERVATION_NAME];
    struct address address;
    uint16_t port;
    uint8_t depth;  /* 0 is the leaf */
    uint8_t length; /* certificates of this chain that are told; rows at and beyond it are gone */
    char subject[OBSERVATION_DETAIL]; /* RFC 4514, printable */
    char names[OBSERVATION_DETAIL];   /* subject alternative names, "DNS:a, URI:sip:b", cut with "..." */
    char issuer[OBSERVATION_DETAIL];
    char serial[48];        /* hexadecimal, most significant octet first (RFC 5280: at most 20 octets) */
    uint8_t sha256[32];     /* fingerprint of the DER */
    int64_t not_before;     /* wall microseconds */
    int64_t not_after;
    char key_algorithm[24]; /* "RSA", "EC P-256", "ED25519" */
    uint16_t key_bits;
    char signature_algorithm[40];
    enum reason reason; /* the worst found of this certificate, REASON_NONE */
};

struct observation_walk {
    enum reason reason; /* the worst of the walk; REASON_NONE: all healthy */
    uint32_t duration;  /* microseconds */
    uint32_t late;      /* microseconds that the walk started after it was due */
    uint32_t endpoints; /* endpoints in this walk */
    uint32_t endpoints_ok;
};

/*
 * What the edge's own logs, an inbox or the acceptor tell. Text is chosen by attackers: printable, one line, cut. Who it
 * was is settled by the ledger, which knows the addresses that the probes resolved: `partner` of the observation if the
 * feed could tell, else the domain, else the address.
 */
struct observation_event {
    enum event event;    /* as the rule says; with by_source only a hint */
    bool by_source;      /* the same wording is event 4 from the own network, 3 from a partner, 2 from elsewhere */
    bool known_only;     /* with by_source: not counted when it is from elsewhere; `event` is then EVENT_NONE */
    enum reason reason;  /* with by_source the one for a partner; reason_by_source tells that for who it was */
    uint32_t count;      /* failures that this stands for, at least 1 */
    struct address address; /* of the remote; ADDRESS_UNKNOWN where the product does not tell */
    uint16_t port;          /* 0 unknown */
    char domain[OBSERVATION_NAME]; /* federated domain or peer that it is about, "" unknown */
    char target[OBSERVATION_NAME]; /* what was asked for: the domain of the recipient, the name of a query; "" none */
    char user[64];
    char subject[128]; /* of the certificate that was shown */
    char issuer[128];
    char serial[48];   /* hexadecimal, most significant octet first */
    char rule[48];     /* "kamailio/tls-accept", or the name of the inbox */
    char detail[OBSERVATION_DETAIL];
};

/* A mark that is small is in `data`; of ORIGIN_FEEDS feeds_mark_take gives what belongs to `number`. */
#define OBSERVATION_MARK_MAX 1024
struct observation_mark {
    uint64_t number;
    uint32_t length; /* of data */
    uint8_t data[OBSERVATION_MARK_MAX];
};

struct observation {
    enum observation_kind kind;
    uint32_t partner; /* position in conf->partners; OBSERVATION_NO_PARTNER only with OBSERVATION_EVENT and _MARK */
    enum observation_origin origin;
    bool awaited;     /* who told it waits until it is stored */
    int64_t wall;     /* clock_wall() at the result */
    int64_t run;      /* clock_run() at the result */
    union {
        struct observation_probe probe;
        struct observation_certificate certificate;
        struct observation_walk walk;
        struct observation_event event;
        struct observation_mark mark;
    };
};

static_assert(sizeof(struct observation) <= 1408, "an observation is copied twice; keep it small");

#endif
