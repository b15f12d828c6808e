#ifndef FEDWARDEN_COLLECT_TLS_H
#define FEDWARDEN_COLLECT_TLS_H

/*
 * TLS by OpenSSL, non-blocking: the handshake, the facts it leaves and their judgement; as a client, and as a server that
 * wants to see its client's certificate. A tls_trust holds one shared SSL_CTX and X509_STORE of a trust profile for one
 * shard; it and its sessions are used by that shard's thread alone.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/conf.h"

struct dns_tlsa;
struct tls_trust;
struct tls_session;

/*
 * tls_trust_new(conf, error, size): loads the CAs, CRLs, our certificate and key of a profile. It always returns
 * something that can be used, except without memory (NULL): what could not be loaded is told in `error` (else "") and
 * makes every session end in REASON_TLS_LOCAL_CERTIFICATE_PROBLEM or REASON_MON_TRUST_STORE_MISSING, never healthy.
 */
struct tls_trust *tls_trust_new(const struct conf_trust *conf, char *error, size_t size);
/*
 * tls_trust_new_server(conf, error, size): the same for sessions of tls_accept; our certificate and key are then shown
 * to the clients and must be there. No session can be resumed or renegotiated.
 */
struct tls_trust *tls_trust_new_server(const struct conf_trust *conf, char *error, size_t size);
void tls_trust_free(struct tls_trust *trust); /* NULL is allowed; after the sessions that use it */

/*
 * tls_trust_share(trust, other): `trust` forgets the intermediate certificates it has seen and uses those of `other`
 * from now on, so that a chain that is complete at one partner tells what is missing at another. Both must belong to
 * the same thread; call it before the first session.
 */
void tls_trust_share(struct tls_trust *trust, struct tls_trust *other);

/*
 * tls_trust_set_crls(trust, place, data, size, next_update): the lists of a file (DER, or PEM with several) that was
 * fetched from the URL at position `place` of the profile take the place of those before. *next_update: the earliest
 * nextUpdate among them, CLOCK_NEVER none. False when there is no list in it; then nothing changes.
 * tls_trust_crl_problem(trust, problem): why a list cannot be fetched now, for the detail of tlsRevocationUnknown; "".
 */
bool tls_trust_set_crls(struct tls_trust *trust, size_t place, const uint8_t *data, size_t size, int64_t *next_update);
void tls_trust_crl_problem(struct tls_trust *trust, const char *problem);

/*
 * tls_self_test(error, size): in memory, without network: a good chain is accepted, an untrusted one and a wrong name
 * are refused, by the same code that probes use. False, with what failed in `error`, when that does not hold; the
 * program must then not start.
 */
bool tls_self_test(char *error, size_t size);

/* How the identity of the peer is checked. */
enum tls_identity {
    TLS_IDENTITY_HOST = 1, /* RFC 9525: dNSName, one wildcard label; or iPAddress for an address literal */
    TLS_IDENTITY_SIP,      /* RFC 5922 7.1: URI sip:domain; dNSName only where there is no such URI; no wildcards */
    TLS_IDENTITY_XMPP,     /* RFC 6120 13.7.1: SRVName _xmpp-server, XmppAddr, dNSName against the domain */
    TLS_IDENTITY_XMPP_CLIENT, /* the same with SRVName _xmpp-client */
    TLS_IDENTITY_ANY,      /* none is demanded: whose it is follows from the certificate */
};

struct tls_target { /* kept by the caller while the session lives */
    const char *sni;                         /* "" sends none */
    enum tls_identity identity;
    const char *verify_name;                 /* the reference identity */
    const char *alpn;                        /* one protocol such as "xmpp-server"; "" sends none */
    uint32_t expiry_days;                    /* 0: do not look */
    const struct conf_trust *conf;           /* pins; NULL none */
    bool spoken;                             /* the peer has already spoken before TLS (STARTTLS) */
    size_t tlsa_count;                       /* DANE (RFC 7672, RFC 7673): records that DNSSEC proved; where one of them
                                                is of usage DANE-TA or DANE-EE they are asked instead of our CAs, and
                                                with DANE-EE no name either */
    const struct dns_tlsa *tlsa;
    const char *tlsa_host;                   /* a reference identity besides verify_name: whose records they are */
};

enum tls_want { TLS_WANT_NONE = 0, TLS_WANT_READ = 1, TLS_WANT_WRITE = 2 };

enum tls_phase {
    TLS_HANDSHAKE = 1, /* until our Finished is sent */
    TLS_AFTER,         /* reading once more: a TLS 1.3 server refuses our certificate only now */
    TLS_OPEN,          /* proven, or nothing came within the time for it: application data may flow */
    TLS_CLOSED,        /* it has failed, or was closed */
};

#define TLS_ERRORS_MAX 16

struct tls_verify_error {
    int code;      /* X509_V_ERR_* */
    int depth;     /* in the chain as built: 0 the leaf */
    int presented; /* position of that certificate in the chain as presented, -1: not presented */
};

/* What became of the stapled OCSP response. */
enum tls_staple {
    TLS_STAPLE_NONE, /* none came, or it was not looked at because the chain is bad */
    TLS_STAPLE_GOOD,
    TLS_STAPLE_REVOKED,
    TLS_STAPLE_UNKNOWN,    /* the responder does not know the certificate */
    TLS_STAPLE_STALE,      /* outside its dates */
    TLS_STAPLE_UNVERIFIED, /* no response, or not one of who may speak for the issuer */
};

/* What a handshake left; all that tls_judge looks at. */
struct tls_facts {
    enum tls_phase phase;    /* in which it ended; TLS_OPEN also while it lasts */
    bool failed;             /* it ended, and not by tls_close */
    bool timed_out;          /* our timer ended it */
    int first_alert;         /* first alert description received, -1 none; warnings of close_notify do not count */
    bool first_alert_fatal;
    int own_alert;           /* first alert description that we sent, -1 none */
    bool certificate_asked;  /* a CertificateRequest came */
    bool certificate_sent;   /* and we had one to send */
    bool local_problem;      /* our certificate, key or CAs are unusable */
    bool trust_missing;      /* it is the CAs or CRLs */
    bool own_expired;        /* our certificate is outside its dates */
    bool own_expiring;       /* it was sent and ends within expiry_days */
    bool own_misused;        /* its extended key usage does not make it one of a client */
    int64_t own_begin, own_end; /* its dates, wall microseconds */
    size_t ca_count;         /* CAs that the peer named when it asked for our certificate; 0: it named none */
    bool ca_ours;            /* an issuer of our certificate is among them */
    bool chain_presented;    /* a certificate came */
    size_t error_count;
    struct tls_verify_error errors[TLS_ERRORS_MAX]; /* all that the verification found, in order */
    bool intermediate_known; /* the chain verifies when intermediates from elsewhere are added */
    bool leaf_alone;         /* no intermediate came, and the leaf says where to fetch one (RFC 5280 4.2.2.1) */
    bool name_wrong;
    bool pin_wrong;
    enum tls_staple staple;
    int64_t staple_time;     /* when it was revoked, or when the response ended; CLOCK_NEVER not known */
    bool expiring;           /* within expiry_days, otherwise good */
    unsigned long library;   /* first ERR_get_error code of libssl, else of any library; 0 none */
    int errno_value;         /* of a failed read or write, 0 none */
    bool end_of_file;        /* the peer closed without close_notify, or with */
    bool flooded;            /* more octets came before TLS_OPEN than any handshake needs */
    bool spoken;             /* as in the target */
    uint8_t first[8];        /* first octets received */
    size_t first_count;
    bool server_hello;       /* one was received */
    bool answered;           /* proof that the server took our Finished: ticket or application data; TLS 1.2: its own */
};

struct tls_result {
    enum reason reason;
    char detail[OBSERVATION_DETAIL]; /* names, issuer, date, alert: printable */
    struct tls_facts facts;
    char version[8];  /* "1.3"; "" before ServerHello */
    char cipher[48];
    char group[24];
    int verify_error; /* the deciding X509_V_ERR_*, 0 none */
    bool client_certificate_accepted; /* asked, sent and proven */
    int64_t not_after; /* earliest end of the leaf and intermediates in use, or of our own certificate where that is what
                          is told; wall microseconds; CLOCK_NEVER no chain */
    struct observation_certificate culprit; /* whom verify_error is about; its sha256 is zero where there is none */
    char missing[OBSERVATION_DETAIL];       /* subject of the intermediate that was not sent, "" none */
    char own_subject[OBSERVATION_DETAIL];   /* of our certificate, "" none */
    char peer_cas[OBSERVATION_DETAIL];      /* subjects of the CAs that the peer named, quoted, cut with "..." */
    /* what the certificate and the name alone say, for the steps of a check */
    enum reason certificate_reason; /* REASON_NONE, or the worst of the chain's own problems */
    enum reason name_reason;
    enum reason client_reason;      /* REASON_NONE, or what became of our certificate */
    size_t certificate_count;
    struct observation_certificate certificates[OBSERVATION_CHAIN_MAX]; /* target, address and port are empty */
    uint8_t chain_sha256[32]; /* over the DER of the presented chain and the reasons: tells whether it changed */
};

/*
 * tls_start(trust, descriptor, target): a session on a connected, non-blocking socket, which stays the caller's.
 * NULL without memory.
 */
struct tls_session *tls_start(struct tls_trust *trust, int descriptor, const struct tls_target *target);
/*
 * tls_accept(trust, descriptor, octets_max): the server's side, on an accepted, non-blocking socket. It asks for a
 * certificate and goes on whatever comes, so that the client can be told: an OPEN session proves nothing but that the
 * client has the key of the certificate it sent, if it sent one; tls_result has the verdict. The handshake fails when the
 * client sends more than `octets_max` octets in it.
 */
struct tls_session *tls_accept(struct tls_trust *trust, int descriptor, size_t octets_max);
void tls_free(struct tls_session *session); /* sends nothing; NULL is allowed */

/* tls_step(session): goes on; returns what to wait for, or TLS_WANT_NONE when tls_phase became OPEN or CLOSED. */
enum tls_want tls_step(struct tls_session *session);
enum tls_phase tls_phase(const struct tls_session *session);

/*
 * tls_timeout(session): the time of the present phase is over: a handshake becomes REASON_TLS_HANDSHAKE_TIMEOUT, the
 * reading after it becomes TLS_OPEN without proof.
 */
void tls_timeout(struct tls_session *session);

/*
 * tls_read, tls_write(session, data, size): application data once OPEN: octets moved; 0 when it has to wait, with the
 * direction in *want; -1 when the session ended (facts tell why, the phase is CLOSED). OpenSSL reads ahead: tls_read
 * until it has to wait before waiting for the descriptor.
 */
long tls_read(struct tls_session *session, void *data, size_t size, enum tls_want *want);
long tls_write(struct tls_session *session, const void *data, size_t size, enum tls_want *want);

/* tls_close(session): sends close_notify as far as it can be sent at once. What was found so far stands. */
void tls_close(struct tls_session *session);

/*
 * tls_result(session): the facts judged so far; owned by the session, valid until the next call. Call it once the phase
 * is OPEN or CLOSED, and again when tls_read or tls_write returned -1.
 */
const struct tls_result *tls_result(struct tls_session *session);

/*
 * tls_peer_domains(session, domains, max): the domains that the peer's certificate names (dNSName without its wildcard
 * label, SIP URIs, SRVName and XmppAddr), at most `max`, in the form of conf_hostname; whether they are to be believed is
 * the caller's question. Returns how many.
 */
size_t tls_peer_domains(const struct tls_session *session, char (*domains)[OBSERVATION_NAME], size_t max);

/*
 * tls_peer_cas(session, names, max): the subjects of the CAs from which the peer takes a certificate of ours, as it named
 * them in its request, at most `max`; none when it did not ask or takes any. Returns how many.
 */
size_t tls_peer_cas(const struct tls_session *session, char (*names)[OBSERVATION_DETAIL], size_t max);

/*
 * tls_describe_own(result, out, size): appends what is known of our certificate that the peer does not say: that it is not
 * one of a client, or that its issuer is none of the CAs that the peer named.
 */
void tls_describe_own(const struct tls_result *result, char *out, size_t size);

/*
 * The pure parts, for tests.
 *
 * tls_judge(facts): one reason, decided in this order: our own problems; verification errors (a local verification
 * failure outranks the alert that we sent because of it); our timers; the first alert with what we know of
 * CertificateRequest and our certificate; OpenSSL's reason; errno; end of file. REASON_NONE only for an open session
 * without a single error. A peer that resets or closes the connection before it sent one octet is tcpReset, because a
 * filter or connection limit does that; one that does so later, or has spoken before TLS, is tlsClosedDuringHandshake.
 * tls_refusal(facts, reason): what a refusal of our certificate (`reason`) is, given what is known of that certificate:
 * tlsLocalCertificateProblem when it is not one of a client, tlsClientCertRejectedCa when its issuer is not among the CAs
 * that the peer named; else `reason`.
 * tls_judge_chain(facts, deciding): the same from the verification alone; *deciding is the position in errors, or -1.
 * tls_reasons(facts, reasons): each reason that the verification found, once, in its order; returns how many.
 * tls_describe(result, target): what detail says of result->reason and its facts.
 * tls_verify_reason(code, depth): the reason of one X509_V_ERR_*.
 * tls_alert_name(number): "unknown_ca"; "unknown" for a number that has none.
 */
enum reason tls_judge(const struct tls_facts *facts);
enum reason tls_refusal(const struct tls_facts *facts, enum reason reason);
enum reason tls_judge_chain(const struct tls_facts *facts, int *deciding);
#define TLS_REASONS_MAX (TLS_ERRORS_MAX + 2)
size_t tls_reasons(const struct tls_facts *facts, enum reason reasons[TLS_REASONS_MAX]);
void tls_describe(struct tls_result *result, const struct tls_target *target);
enum reason tls_verify_reason(int code, int depth);
const char *tls_alert_name(int number);

#endif
