#ifndef FEDWARDEN_COLLECT_TLS_INTERNAL_H
#define FEDWARDEN_COLLECT_TLS_INTERNAL_H

/* What the files of tls share, and their tests see. Nothing else includes it. */

#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "collect/tls.h"

#define TLS_DEPTH_MAX    10           /* certificates between leaf and root */
#define TLS_CHAIN_OCTETS (128 * 1024) /* of one Certificate message */
#define TLS_INPUT_OCTETS (256 * 1024) /* before a session is open */
#define TLS_NAMES_MAX    10000        /* of one certificate; those beyond do not match */

/*
 * What the profiles of one shard share: intermediates of chains that verified, and the records of certificates that
 * were decoded before. Both bounded; counted references, one thread.
 */
#define TLS_POOL_MAX 1024
#define TLS_RECORDS  1024

struct tls_record {
    uint8_t sha256[32];
    struct observation_certificate certificate;
};

struct tls_pool {
    unsigned references;
    EVP_MD *sha256;
    EVP_MD_CTX *digest;
    size_t count;
    X509 *intermediates[TLS_POOL_MAX];
    uint8_t fingerprints[TLS_POOL_MAX][32];
    struct tls_record *records[TLS_RECORDS];
};

struct tls_pool *tls_pool_new(void);
struct tls_pool *tls_pool_ref(struct tls_pool *pool);
void tls_pool_free(struct tls_pool *pool); /* drops one reference; NULL is allowed */

/* tls_pool_fingerprint(pool, certificate, out): SHA-256 of its DER; false without memory. */
bool tls_pool_fingerprint(struct tls_pool *pool, X509 *certificate, uint8_t out[32]);

/* tls_pool_add(pool, certificate): remembers an intermediate CA; others are ignored. The oldest makes room. */
void tls_pool_add(struct tls_pool *pool, X509 *certificate);

/* tls_pool_issuers(pool, certificate, out): pushes those that may have issued it to `out`, each with a reference. */
void tls_pool_issuers(const struct tls_pool *pool, X509 *certificate, STACK_OF(X509) * out);

/* tls_pool_record(pool, certificate, out): what is told of a certificate, decoded once. */
void tls_pool_record(struct tls_pool *pool, X509 *certificate, struct observation_certificate *out);

struct tls_trust {
    SSL_CTX *context;
    X509_STORE *store;
    BIO_METHOD *transport;
    STACK_OF(X509) * chain; /* intermediates of our own certificate */
    struct tls_pool *pool;
    bool has_certificate;
    bool server; /* of sessions that tls_accept makes */
    int64_t own_begin, own_end; /* of our certificate, wall microseconds */
    bool own_misused;           /* it is not one of a client */
    char own_subject[OBSERVATION_DETAIL];
    bool local_problem, trust_missing;
    char problem[OBSERVATION_DETAIL];
    OSSL_LIB_CTX *library;
    STACK_OF(X509_CRL) * fetched[CONF_CRL_URLS_MAX]; /* by URL; NULL: none has come yet */
    STACK_OF(X509_CRL) * crls; /* all of them, borrowed; NULL none */
    char crl_problem[OBSERVATION_DETAIL];
};

/*
 * tls_library(): the library context of sessions and of what they verify: one with fewer parts than OpenSSL's own, which
 * NULL stands for. Any thread. tls_library_close(): from now on it is NULL; the self-test calls it when it fails with the
 * smaller one, before there are other threads, trust profiles or sessions.
 */
OSSL_LIB_CTX *tls_library(void);
void tls_library_close(void);

/* What a profile is made of; tls_trust_build takes it all over. */
struct tls_material {
    OSSL_LIB_CTX *library; /* of the certificates in the store and of the sessions */
    bool key_unknown;      /* a CA has a key that cannot be decoded there */
    X509_STORE *store;
    bool revocation; /* CRLs are in the store */
    X509 *certificate;
    EVP_PKEY *key;
    STACK_OF(X509) * chain;
    int tls_min;
    bool server;
};
/* tls_trust_build(material, problem): `problem` non-empty makes every session end in it. NULL without memory. */
struct tls_trust *tls_trust_build(struct tls_material *material, bool trust_missing, const char *problem);

struct tls_session {
    bool dane; /* TLSA records decide; libssl compares the names */
    struct tls_trust *trust;
    const struct tls_target *target;
    SSL *ssl;
    int descriptor;
    enum tls_phase phase;
    struct tls_facts facts;
    size_t received; /* octets */
    size_t input_max; /* of them until it is open */
    int write_errno; /* a send failed; what the peer said before is still read */
    int read_errno;
    bool at_end;               /* the peer's FIN was read */
    bool shut;                 /* no close_notify may be sent any more */
    struct tls_result *result; /* made when there is something to put in */
};

/* tls_session_result(session): its result, made on the first call; NULL without memory. */
struct tls_result *tls_session_result(struct tls_session *session);

/* tls_verify(store, unused): for SSL_CTX_set_cert_verify_callback. */
int tls_verify(X509_STORE_CTX *store, void *unused);

/* tls_add_error(facts, code, presented): notes one more error of the chain, as far as there is room. */
void tls_add_error(struct tls_facts *facts, int code, int presented);

/*
 * tls_note_staple(ssl, unused): for SSL_CTX_set_tlsext_status_cb. tls_staple_judge(der, size, chain, store, facts): what a
 * response says of chain[0], which chain[1] has issued, into staple and staple_time. tls_must_staple(leaf): whether it
 * demands one.
 */
int tls_note_staple(SSL *ssl, void *unused);
void tls_staple_judge(const unsigned char *der, long size, STACK_OF(X509) * chain, X509_STORE *store,
                      struct tls_facts *facts);
bool tls_must_staple(const X509 *leaf);

/* tls_crl_free(trust): the lists that were fetched. */
void tls_crl_free(struct tls_trust *trust);

/* tls_own_describe(trust, certificate): what there is to be known of our certificate. */
void tls_own_describe(struct tls_trust *trust, X509 *certificate);
/* tls_own_facts(session): what the session tells of it and of the CAs that the peer named, into facts and result. */
void tls_own_facts(struct tls_session *session);

/* The transport of a session and its other callbacks; tls.c. */
int tls_transport_read(BIO *bio, char *data, size_t size, size_t *done);
int tls_transport_write(BIO *bio, const char *data, size_t size, size_t *done);
long tls_transport_control(BIO *bio, int command, long number, void *pointer);
void tls_note_alert(const SSL *ssl, int where, int value);
int tls_note_request(SSL *ssl, void *unused);
int tls_note_ticket(SSL *ssl, SSL_SESSION *ticket);

/* tls_name_matches(certificate, identity, name): whether one of its subject alternative names is `name`. */
bool tls_name_matches(X509 *certificate, enum tls_identity identity, const char *name);

/* tls_name_domains(certificate, domains, max): as tls_peer_domains has it. */
size_t tls_name_domains(X509 *certificate, char (*domains)[OBSERVATION_NAME], size_t max);

/* tls_record_certificate(certificate, out): everything but target, address, port, depth, length, sha256 and reason. */
void tls_record_certificate(X509 *certificate, struct observation_certificate *out);
/* tls_record_name(name, out, size): RFC 4514, printable. */
void tls_record_name(const X509_NAME *name, char *out, size_t size);
/* tls_record_time(time): wall microseconds; CLOCK_NEVER for what is no time. */
int64_t tls_record_time(const ASN1_TIME *time);

#endif
