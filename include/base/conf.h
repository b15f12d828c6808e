#ifndef FEDWARDEN_BASE_CONF_H
#define FEDWARDEN_BASE_CONF_H

/*
 * The configuration: read by libconfig from fedwarden.conf and what it includes, checked as a whole, then constant. A
 * published struct conf is never changed; every thread may read it until the collectors have been joined and the next
 * one is in force. All strings are owned by the conf and never NULL unless it says so.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/event.h"
#include "base/log.h"
#include "base/observation.h"

enum protocol {
    PROTOCOL_SIP = 1, /* RFC 3261 over TLS; SRV _sipfederationtls._tcp unless `service` says other */
    PROTOCOL_XMPP,    /* RFC 6120 server to server with STARTTLS; SRV _xmpp-server._tcp */
    PROTOCOL_SMTP,    /* RFC 5321 with STARTTLS; MX */
    PROTOCOL_HTTPS,   /* TLS to port 443 of the domain, no SRV unless `service` is set */
    PROTOCOL_TLS,     /* bare TLS; host and port, or `service` */
    PROTOCOL_IMAP,    /* RFC 9051 with STARTTLS; port 143 of the domain, no SRV unless `service` is set, as those below */
    PROTOCOL_POP3,    /* RFC 2595; 110 */
    PROTOCOL_LDAP,    /* RFC 4511 with StartTLS; 389 */
    PROTOCOL_XMPP_CLIENT, /* RFC 6120 of clients with STARTTLS; SRV _xmpp-client._tcp */
};
#define PROTOCOL_LAST PROTOCOL_XMPP_CLIENT
/* protocol_name(protocol): "sip", "xmpp", "xmpp-client", ... protocol_find(name): 0 when there is none. */
const char *protocol_name(enum protocol protocol);
enum protocol protocol_find(const char *name);

enum conf_families { /* which addresses are probed */
    FAMILIES_AUTO = 1, /* those that this host has a route for */
    FAMILIES_IPV4,
    FAMILIES_IPV6,
    FAMILIES_BOTH,
};

#define CONF_VANTAGE_MAX 32 /* octets */
#define CONF_NAME_MAX 32 /* octets of a partner's name: it must fit into a notification */
#define CONF_CRL_URLS_MAX 8
#define CONF_PARTNER_RESOLVERS 4
#define CONF_EXPECTED_MAX 16
#define CONF_PINS_MAX 8
#define CONF_INSPECTION_MAX 8
#define CONF_PARTNERS_MAX 100000

struct conf_resolver {
    const char *name;
    struct address address;
    uint16_t port;
    bool trusted; /* its AD bit is believed */
};

struct conf_trust {
    const char *name;
    const char *ca_file; /* PEM; "" none */
    const char *ca_dir;  /* hashed directory; "" none. Neither: the system's CAs */
    const char *crl_file; /* PEM; "" none. Neither a file nor a URL: lists are not looked at */
    size_t crl_url_count;
    const char *crl_urls[CONF_CRL_URLS_MAX]; /* http:// or https://, without user and password */
    const char *crl_proxy; /* for these URLs, as conf_partner has its proxy; "" none */
    const char *certificate; /* our own, PEM, leaf first and its chain behind it; "" none */
    const char *key;         /* PEM */
    int tls_min;             /* 0x0303 (1.2) or 0x0304 (1.3), as on the wire */
    size_t pin_count;
    uint8_t pins[CONF_PINS_MAX][32]; /* SHA-256 of a SubjectPublicKeyInfo of the chain (RFC 7469) */
    size_t inspection_count;
    const char *inspection[CONF_INSPECTION_MAX]; /* CAs by which a device on our side re-signs what it inspects: the
                                                    common name, or the whole subject (RFC 4514) */
};

struct conf_threshold {
    uint32_t count;  /* failures within the window that raise; at least 1 */
    uint32_t window; /* seconds */
    uint32_t clear;  /* successful walks in a row that clear; 0: only a quiet window clears */
};

struct conf_network {
    struct address address; /* host bits are zero */
    uint8_t prefix;         /* length in bits */
};

struct conf_partner {
    const char *name;    /* unique, at most CONF_NAME_MAX octets */
    uint32_t index;      /* of the MIB; 0: allocated by the ledger */
    const char *domain;  /* A-label form, lower case, no dot at the end */
    enum protocol protocol;
    const char *service; /* full name of the SRV (SMTP: MX) record set; "" no such lookup */
    const char *host;    /* fixed host instead of the service lookup; "" none */
    struct address address; /* fixed address of `host` (or of `domain`); ADDRESS_UNKNOWN none */
    uint16_t port;       /* of a fixed host or address, of MX targets and of https; otherwise 0 */
    const char *verify_name; /* reference identity of the certificate; "" as the protocol has it */
    const char *sni;         /* "" as the protocol has it */
    uint32_t interval;       /* seconds, at least 1 */
    uint32_t trust;          /* position in conf->trusts; the first unless configured */
    size_t resolver_count;   /* 0: all of conf->resolvers, in their order */
    uint32_t resolvers[CONF_PARTNER_RESOLVERS]; /* positions in conf->resolvers */
    size_t view_count;   /* 0 or at least 2 */
    uint32_t views[CONF_PARTNER_RESOLVERS]; /* resolvers whose answers are compared: positions in conf->resolvers */
    const char *proxy;   /* URL: http://, socks5://, socks5h://, socks4a:// with host:port; "" none. Holds a secret
                            when it holds credentials: never logged */
    size_t expected_count;
    const char *expected[CONF_EXPECTED_MAX]; /* "host:port" of SRV or MX targets, or addresses; empty: not compared */
    size_t allowed_count;
    const char *allowed[CONF_EXPECTED_MAX]; /* domains outside `domain` that SRV targets may lie in; "*" any */
    size_t network_count;
    struct conf_network *networks; /* from which it connects to us, besides the addresses of its own records */
    const char *contact;
    bool enabled;   /* configured so, and in the share of this agent */
    bool elsewhere; /* it would be enabled, but another agent's share holds it */
    enum conf_families families;
    bool app;  /* inside TLS the service is asked a question, and its answer judged: SIP, XMPP, SMTP, HTTPS, IMAP, POP3 */
    bool dane; /* SMTP, XMPP: where DNSSEC proves the answers, TLSA records are looked for and decide */
    uint32_t expiry_days;  /* a certificate that ends within this many days is tlsExpiringSoon, a warning; 0 off */
    uint32_t expiry_minor; /* from so many days on its alarm is minor, then major; 0: it does not become that */
    uint32_t expiry_major;
    struct conf_threshold thresholds[EVENT_COUNT]; /* indexed by enum event: defaults, event, partner merged */
};

enum agent_mode {
    AGENT_SUBAGENT = 1, /* AgentX to a running snmpd */
    AGENT_STANDALONE,   /* own master */
    AGENT_NONE,         /* no SNMP: probes and log only */
};

struct conf_agent {
    enum agent_mode mode;
    const char *agentx_socket;  /* as Net-SNMP writes them: a path or "tcp:localhost:705" */
    uint32_t reconnect;         /* seconds between attempts and between pings, 1 to 60 */
    const char *listen;         /* standalone: "udp:127.0.0.1:16161", several separated by commas */
    const char *access_file;    /* standalone: Net-SNMP style: rocommunity, createUser, rouser, trap2sink, ... */
    const char *vantage;        /* where this agent looks from, for people: a site, a network; "" not told */
    const char *state_dir;      /* the SNMPv3 engine; must be writable */
    uint32_t notifications_per_minute; /* bucket rate; 0 no limit */
    uint32_t notifications_burst;
    uint32_t notifications_kept;       /* how many wait while no master is there, 1 to 100000 */
    bool resend_alarms;                /* those that stand are told again whenever a master is there again */
};

struct conf_budget { /* milliseconds */
    uint32_t dns_try;   /* one question to one resolver */
    uint32_t dns;       /* one lookup in all */
    uint32_t connect;
    uint32_t proxy;
    uint32_t starttls;
    uint32_t tls;
    uint32_t after;     /* waiting after the handshake for a refusal of our certificate */
    uint32_t app;       /* the question inside TLS and its answer */
    uint32_t walk;      /* the whole walk */
    uint32_t fetch;     /* one revocation list from its URL; the first walks wait for it */
};

struct conf_collectors {
    uint32_t threads;             /* 1 to 16 shards */
    uint32_t in_flight;           /* walks under way in one shard */
    uint32_t dns_in_flight;       /* questions under way to one resolver from one shard */
    uint32_t endpoints_per_partner; /* addresses probed in one walk; those beyond are not looked at and said so */
    uint32_t handshakes_per_second; /* started by one shard; 0 no limit */
    uint32_t queue;               /* observations that may wait for the main thread */
    uint32_t jitter;              /* percent of the interval, 0 to 20 */
    uint32_t first_spread;        /* seconds over which first walks are spread at most */
    uint32_t confirm;             /* quick walks after a verdict changed, 5, 15 and 45 s apart, 0 to 3: an alarm and
                                     its clear do not wait for whole intervals */
    struct conf_budget budget;
};

/* What this edge is, so that the same line can be told to be event 2, 3 or 4. */
struct conf_edge {
    size_t network_count;
    struct conf_network *networks; /* own: what comes from there is event 4 */
    size_t domain_count;
    const char **domains; /* own, as conf_hostname writes them */
    size_t port_count;
    uint16_t *ports; /* own listening ports: a TLS failure on one of them is inbound */
    uint32_t sources_max; /* rows of the source table, 16 to 65536 */
};

/* One log to follow. Exactly one of file and journal is used. */
struct conf_feed {
    const char *name;   /* unique */
    const char *file;   /* path; the last component may be a pattern of fnmatch(3); "" none */
    bool journal;       /* systemd's journal */
    const char *unit;       /* filters of the journal, "" none */
    const char *identifier; /* SYSLOG_IDENTIFIER */
    int priority;           /* this and more urgent, 0 to 7 */
    const char *preset; /* path of the preset, found in conf_presets_dir() when it was only a name */
    const char *head;   /* name of the record head; "" the preset's heads are tried until one fits */
    bool enabled;
};

/* Events pushed by an edge (collect/inbox.h). */
struct conf_inbox {
    const char *path; /* of the Unix socket, at most CONF_SOCKET_MAX octets; "" off */
    uint32_t mode;    /* permissions of the socket: who may write to it may tell events */
    const char *group; /* exists; "" that of the process */
    uint32_t connections_max;
};
#define CONF_SOCKET_MAX 107 /* sun_path without its terminator, unix(7) */

/* Reports of others about TLS to us (collect/tlsrpt.h). */
struct conf_tlsrpt {
    const char *directory; /* into which reports are dropped; "" off */
    uint32_t keep_files, keep_days; /* of those that were read, in each of "done" and "bad" */
};

/* An address and a port of ours. */
struct conf_endpoint {
    struct address address;
    uint16_t port;
};

#define CONF_LISTEN_ENDPOINTS 16

/* Where partners can prove their client certificates (collect/listen.h). */
struct conf_listen {
    bool enabled;
    size_t endpoint_count; /* at least 1 when enabled */
    struct conf_endpoint *endpoints;
    const char *certificate; /* ours as the server, PEM, leaf first and its chain behind it */
    const char *key;         /* PEM */
    uint32_t trust;          /* position in conf->trusts: its CAs and CRLs verify the clients */
    uint32_t connections_max;
    uint32_t connections_per_address; /* an IPv6 address counts by its /64 */
    uint32_t per_minute_per_address;  /* connections, in bursts of at most as many */
    uint32_t handshake_seconds;       /* of a whole connection */
    uint32_t bytes_max;               /* octets that one connection may send */
};

#define CONF_SHARDS_MAX 64

/* The share of the partners that this agent probes, where several have the same file. */
struct conf_shard {
    const char *text; /* as configured; "" all of them */
    unsigned count;   /* shares in all; 0: this agent probes all partners */
    uint64_t mine;    /* bit i: share i + 1 is ours */
};

/* What outlives the process (report/history.h). */
struct conf_history {
    const char *file;  /* "" off; by default history.db in agent.state_dir */
    uint32_t days;     /* what is older goes, 1 to 3650 */
    uint32_t transitions, verdicts, failures; /* at most so many of each are kept, the newest */
};

enum conf_dnssec {
    DNSSEC_OFF,      /* the AD bit of trusted resolvers is believed */
    DNSSEC_VALIDATE, /* each answer is validated here */
};

struct conf {
    const char *path; /* of the file; "" when made without one */
    int64_t loaded;   /* wall microseconds */
    enum log_level log_level;
    struct conf_agent agent;
    struct conf_collectors collectors;
    struct conf_shard shard;
    size_t trust_count;
    struct conf_trust *trusts; /* at least one: "system" when none is configured */
    size_t resolver_count;
    struct conf_resolver *resolvers; /* none configured: those of /etc/resolv.conf */
    enum conf_dnssec dnssec;
    const char *trust_anchors; /* file of DS or DNSKEY records */
    size_t partner_count;
    struct conf_partner *partners;
    const uint32_t *partner_order; /* positions in the order of names; NULL: conf_partner_find looks at each */
    const struct conf_who *who;    /* prepared for conf_partner_at and conf_is_own; NULL: they look at each */
    struct conf_threshold thresholds[EVENT_COUNT]; /* per event, for what has no partner */
    struct conf_edge edge;
    size_t feed_count;
    struct conf_feed *feeds;
    struct conf_inbox inbox;
    struct conf_tlsrpt tlsrpt;
    struct conf_listen listen;
    struct conf_history history;
};

/* One thing that is wrong. */
struct conf_error {
    char *file;
    unsigned line; /* 0: the file as a whole */
    unsigned position; /* in the order of reading, includes in their place */
    char *setting; /* path as in "partners[3].trust"; "" none */
    char *message; /* what is wrong and what to do */
};

struct conf_errors {
    size_t count;
    struct conf_error *errors; /* in the order of files and lines */
    size_t dropped;            /* beyond the first 200 */
};

/*
 * conf_load(path, errors): reads and checks `path`. Returns the configuration, owned by the caller, or NULL with every
 * error in `errors` (which the caller clears in either case). Nothing is started or changed. Main thread.
 * Certificates and keys are opened and parsed here only so far that a missing or unreadable file is an error with its
 * line.
 */
struct conf *conf_load(const char *path, struct conf_errors *errors);

/*
 * conf_adhoc(protocol, domain, errors): a configuration of defaults with one partner, for a check without a file.
 * NULL with an error when the domain is no legal name. PROTOCOL_TLS, which has no port of its own, probes port 443 of
 * the domain.
 */
struct conf *conf_adhoc(enum protocol protocol, const char *domain, struct conf_errors *errors);

/* conf_free(conf): NULL is allowed. */
void conf_free(struct conf *conf);

/* conf_error_text(error, out, size): "fedwarden.conf:41: partners[3].trust: no trust profile ..." */
void conf_error_text(const struct conf_error *error, char *out, size_t size);
/* conf_error_brief(error, out, size): without the folder, for where there is little room. */
void conf_error_brief(const struct conf_error *error, char *out, size_t size);
void conf_errors_clear(struct conf_errors *errors);

/*
 * conf_partner_at(conf, domain, address): who a line of a log is about: the partner with that domain or a domain above
 * it, the longest first, else the one with a configured address or network that holds `address` (NULL or
 * ADDRESS_UNKNOWN: not known), the longest prefix first; of equals the first in the file; -1 when nobody. `domain` (NULL
 * or "": not known) may be any text. Disabled partners count too. Any thread; O(log n) of all networks.
 * conf_is_own(conf, address): whether it lies in one of the edge's own networks.
 * network_holds(network, address): false for ADDRESS_UNKNOWN. For all of them an IPv4-mapped IPv6 address (RFC 4291,
 * 2.5.5.2) is the IPv4 address in it.
 */
long conf_partner_at(const struct conf *conf, const char *domain, const struct address *address);
/* conf_partner_next(conf, position): the next partner in the file with the domain of that one; -1: no more. */
long conf_partner_next(const struct conf *conf, long position);
bool conf_is_own(const struct conf *conf, const struct address *address);
bool network_holds(const struct conf_network *network, const struct address *address);

/*
 * conf_presets_dir(): the folder in which a preset is looked for that is given by name alone, as NAME.conf: that of the
 * installation, or FEDWARDEN_PRESETS of the environment. Any thread.
 */
const char *conf_presets_dir(void);

/*
 * conf_shard_of(name, count): the share, 1 to `count`, that a partner of that name is in; the same for ever and on every
 * machine. conf_shard_holds(shard, name): whether it is one of ours. Any thread.
 */
unsigned conf_shard_of(const char *name, unsigned count);
bool conf_shard_holds(const struct conf_shard *shard, const char *name);

/* conf_partner_find(conf, name): position in conf->partners, or -1. */
long conf_partner_find(const struct conf *conf, const char *name);

/*
 * conf_hostname(text, out): writes the A-label form of a host or domain name, lower case, without the dot at the end,
 * to `out` of OBSERVATION_NAME octets; false when it is no legal name (RFC 1123, RFC 5891; underscores as in service
 * names are allowed); `out` is then "". Any thread.
 */
bool conf_hostname(const char *text, char *out);

/* address_parse(text, address): an IPv4 or IPv6 literal; false when it is none. address_text: its text, "" for none. */
#define ADDRESS_TEXT_SIZE 46
bool address_parse(const char *text, struct address *address);
const char *address_text(const struct address *address, char out[ADDRESS_TEXT_SIZE]);
bool address_equal(const struct address *a, const struct address *b);

#endif
