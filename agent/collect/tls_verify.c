/*
 * The verification of a peer's chain, called by libssl in the middle of the handshake.
 *
 * X509_verify_cert stops at the first error unless a callback lets it go on; ours notes each error and goes on, so that
 * an expired certificate of an unknown CA is known to be both. Then come the checks that are ours: the reference
 * identity and the pins. Nothing is accepted unless X509_verify_cert succeeded, no error was noted and these hold.
 *
 * "Issuer not found" has two causes that need two different people: the peer did not send an intermediate, or its CA is
 * not trusted here. A second verification, offline, with the intermediates that were seen elsewhere tells: if it
 * reaches a trusted root now, the chain was incomplete.
 *
 * A server is told the same of its client, but goes on with the handshake, so that the client can be told as well.
 *
 * The chain is recorded here, because a failed handshake has no better moment for it.
 */
#include "collect/tls_internal.h"

#include <openssl/err.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"

static struct tls_session *session_of(X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    return ssl ? SSL_get_app_data(ssl) : NULL;
}

static int position(const STACK_OF(X509) * presented, const X509 *certificate)
{
    for (int i = 0; i < sk_X509_num(presented); i++) {
        X509 *other = sk_X509_value(presented, i);
        if (other == certificate || (certificate && X509_cmp(other, certificate) == 0))
            return i;
    }
    return -1;
}

static int note_error(int ok, X509_STORE_CTX *store)
{
    struct tls_session *session = session_of(store);
    if (ok || !session)
        return ok;
    struct tls_facts *facts = &session->facts;
    int code = X509_STORE_CTX_get_error(store), depth = X509_STORE_CTX_get_error_depth(store);
    for (size_t i = 0; i < facts->error_count; i++) {
        if (facts->errors[i].code == code && facts->errors[i].depth == depth)
            return 1;
    }
    struct tls_verify_error *error = &facts->errors[facts->error_count];
    if (facts->error_count == TLS_ERRORS_MAX)
        error = &facts->errors[TLS_ERRORS_MAX - 1]; /* the last stands for what no longer fits */
    else
        facts->error_count++;
    error->code = code;
    error->depth = depth;
    error->presented = position(X509_STORE_CTX_get0_untrusted(store), X509_STORE_CTX_get_current_cert(store));
    return 1;
}

void tls_add_error(struct tls_facts *facts, int code, int presented)
{
    if (facts->error_count < TLS_ERRORS_MAX)
        facts->errors[facts->error_count++] =
            (struct tls_verify_error){.code = code, .depth = presented, .presented = presented};
}

static bool has_error(const struct tls_facts *facts, int code)
{
    for (size_t i = 0; i < facts->error_count; i++) {
        if (facts->errors[i].code == code)
            return true;
    }
    return false;
}

static bool issuer_unknown(const struct tls_facts *facts)
{
    return has_error(facts, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY) ||
           has_error(facts, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT) ||
           has_error(facts, X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE);
}

/* Whether the root was reached: all other errors are none of trust. */
static bool trusted(const struct tls_facts *facts)
{
    return !issuer_unknown(facts) && !has_error(facts, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT) &&
           !has_error(facts, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN) && !has_error(facts, X509_V_ERR_CERT_UNTRUSTED) &&
           !has_error(facts, X509_V_ERR_CERT_SIGNATURE_FAILURE) && !has_error(facts, X509_V_ERR_INVALID_CA);
}

/* Issuers of what is already there, of these, and so on, as far as the pool and our own chain know them. */
static STACK_OF(X509) * extended_chain(const struct tls_session *session, const STACK_OF(X509) * presented)
{
    STACK_OF(X509) *chain = sk_X509_new_null();
    if (!chain || !X509_add_certs(chain, (STACK_OF(X509) *)presented, X509_ADD_FLAG_UP_REF) ||
        (session->trust->chain &&
         !X509_add_certs(chain, session->trust->chain, X509_ADD_FLAG_UP_REF | X509_ADD_FLAG_NO_DUP))) {
        sk_X509_pop_free(chain, X509_free);
        return NULL;
    }
    for (int i = 0; i < sk_X509_num(chain) && i < 4 * TLS_DEPTH_MAX; i++)
        tls_pool_issuers(session->trust->pool, sk_X509_value(chain, i), chain);
    return chain;
}

/* A certificate whose extensions contradict themselves issues nothing and has no issuer: OpenSSL says only the latter.
 */
static void note_malformed(struct tls_facts *facts, const STACK_OF(X509) * presented)
{
    for (int i = 0; i < sk_X509_num(presented) && i <= TLS_DEPTH_MAX; i++) {
        if (X509_get_extension_flags(sk_X509_value(presented, i)) & EXFLAG_INVALID)
            tls_add_error(facts, X509_V_ERR_INVALID_EXTENSION, i);
    }
}

static int note_trust(int ok, X509_STORE_CTX *store)
{
    int code = X509_STORE_CTX_get_error(store);
    /* the dates are none of this question; anything else is left to fail */
    return ok || code == X509_V_ERR_CERT_HAS_EXPIRED || code == X509_V_ERR_CERT_NOT_YET_VALID;
}

/* The first certificate of a chain that was not presented and is no root: what the peer should have sent. */
static void name_missing(struct tls_session *session, const STACK_OF(X509) * built, const STACK_OF(X509) * presented)
{
    struct tls_result *result = tls_session_result(session);
    for (int i = 0; result && i < sk_X509_num(built); i++) {
        X509 *certificate = sk_X509_value(built, i);
        if (position(presented, certificate) < 0) {
            tls_record_name(X509_get_subject_name(certificate), result->missing, sizeof result->missing);
            return;
        }
    }
}

/* Whether a certificate names a place from which that of its issuer can be had: issuers of leaves are intermediates. */
static bool tells_issuer_place(const X509 *certificate)
{
    AUTHORITY_INFO_ACCESS *access = X509_get_ext_d2i(certificate, NID_info_access, NULL, NULL);
    bool found = false;
    for (int i = 0; i < sk_ACCESS_DESCRIPTION_num(access) && !found; i++)
        found = OBJ_obj2nid(sk_ACCESS_DESCRIPTION_value(access, i)->method) == NID_ad_ca_issuers;
    AUTHORITY_INFO_ACCESS_free(access);
    return found;
}

/* Nobody has shown the intermediate yet, but that one is missing can be seen all the same. */
static void note_leaf_alone(struct tls_session *session, X509 *leaf, const STACK_OF(X509) * presented)
{
    struct tls_result *result = tls_session_result(session);
    if (sk_X509_num(presented) != 1 || !tells_issuer_place(leaf))
        return;
    session->facts.leaf_alone = true;
    if (result)
        tls_record_name(X509_get_issuer_name(leaf), result->missing, sizeof result->missing);
}

static void verify_again(struct tls_session *session, X509_STORE_CTX *first)
{
    const STACK_OF(X509) *presented = X509_STORE_CTX_get0_untrusted(first);
    STACK_OF(X509) *chain = extended_chain(session, presented);
    X509_STORE_CTX *store = chain ? X509_STORE_CTX_new() : NULL;
    if (store && X509_STORE_CTX_init(store, session->trust->store, X509_STORE_CTX_get0_cert(first), chain) == 1) {
        X509_STORE_CTX_set_default(store, session->trust->server ? "ssl_client" : "ssl_server");
        X509_STORE_CTX_set_depth(store, TLS_DEPTH_MAX);
        X509_STORE_CTX_set_verify_cb(store, note_trust);
        session->facts.intermediate_known = X509_verify_cert(store) == 1;
        if (session->facts.intermediate_known)
            name_missing(session, X509_STORE_CTX_get0_chain(store), presented);
        else
            note_leaf_alone(session, X509_STORE_CTX_get0_cert(first), presented);
    }
    X509_STORE_CTX_free(store);
    sk_X509_pop_free(chain, X509_free);
}

/*
 * RFC 7469 section 2.6: a pin holds when it is in the chain as validated; what the peer merely sent along does not
 * count.
 */
static bool pinned(struct tls_session *session, const STACK_OF(X509) * built)
{
    const struct conf_trust *conf = session->target->conf;
    struct tls_pool *pool = session->trust->pool;
    for (int i = 0; i < sk_X509_num(built); i++) {
        unsigned char *der = NULL, digest[32];
        int length = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(sk_X509_value(built, i)), &der);
        bool done = length > 0 && EVP_DigestInit_ex(pool->digest, pool->sha256, NULL) &&
                    EVP_DigestUpdate(pool->digest, der, (size_t)length) &&
                    EVP_DigestFinal_ex(pool->digest, digest, NULL);
        OPENSSL_free(der);
        for (size_t p = 0; done && p < conf->pin_count && p < CONF_PINS_MAX; p++) {
            if (memcmp(digest, conf->pins[p], sizeof digest) == 0)
                return true;
        }
    }
    return false;
}

static void record_chain(struct tls_session *session, X509_STORE_CTX *store)
{
    struct tls_result *result = tls_session_result(session);
    const STACK_OF(X509) *presented = X509_STORE_CTX_get0_untrusted(store);
    if (!result)
        return;
    int count = sk_X509_num(presented);
    if (count > OBSERVATION_CHAIN_MAX)
        count = OBSERVATION_CHAIN_MAX;
    for (int i = 0; i < count; i++) {
        struct observation_certificate *certificate = &result->certificates[i];
        tls_pool_record(session->trust->pool, sk_X509_value(presented, i), certificate);
        certificate->depth = (uint8_t)i;
        certificate->length = (uint8_t)count;
    }
    result->certificate_count = count < 0 ? 0 : (size_t)count;
}

/* The earliest end that matters: of the chain as built, without its root. */
static void note_end(struct tls_session *session, const STACK_OF(X509) * built)
{
    struct tls_result *result = tls_session_result(session);
    for (int i = 0; result && i < sk_X509_num(built); i++) {
        X509 *certificate = sk_X509_value(built, i);
        if (i > 0 && (X509_get_extension_flags(certificate) & EXFLAG_SI))
            break;
        int64_t end = tls_record_time(X509_get0_notAfter(certificate));
        if (end != CLOCK_NEVER && (result->not_after == CLOCK_NEVER || end < result->not_after))
            result->not_after = end;
    }
}

/* The certificate of the deciding error, for the detail. */
static void note_culprit(struct tls_session *session, X509_STORE_CTX *store, int deciding)
{
    const STACK_OF(X509) *built = X509_STORE_CTX_get0_chain(store);
    struct tls_result *result = tls_session_result(session);
    const STACK_OF(X509) *presented = X509_STORE_CTX_get0_untrusted(store);
    struct tls_verify_error leaf = {0}, *error = deciding >= 0 ? &session->facts.errors[deciding] : &leaf;
    X509 *certificate = X509_STORE_CTX_get0_cert(store);
    if (error->presented >= 0 && error->presented < sk_X509_num(presented))
        certificate = sk_X509_value(presented, error->presented);
    else if (error->depth < sk_X509_num(built))
        certificate = sk_X509_value(built, error->depth);
    if (result && certificate)
        tls_pool_record(session->trust->pool, certificate, &result->culprit);
}

static int alert_code(const struct tls_facts *facts, enum reason reason, int deciding)
{
    if (deciding >= 0)
        return facts->errors[deciding].code;
    return reason == REASON_TLS_WRONG_PRINCIPAL ? X509_V_ERR_HOSTNAME_MISMATCH : X509_V_ERR_APPLICATION_VERIFICATION;
}

/* The verification as OpenSSL has it. */
static bool verify_chain(struct tls_session *session, X509_STORE_CTX *store)
{
    struct tls_facts *facts = &session->facts;
    X509_STORE_CTX_set_verify_cb(store, note_error);
    if (session->trust->crls)
        X509_STORE_CTX_set0_crls(store, session->trust->crls);
    int verified = X509_verify_cert(store);
    if (verified != 1 && facts->error_count == 0) {
        int code = X509_STORE_CTX_get_error(store);
        tls_add_error(facts, code != X509_V_OK ? code : X509_V_ERR_UNSPECIFIED, 0);
    }
    return verified == 1 && facts->error_count == 0;
}

/* The checks that are ours. */
static void check_identity(struct tls_session *session, X509_STORE_CTX *store)
{
    const struct tls_target *target = session->target;
    X509 *leaf = X509_STORE_CTX_get0_cert(store);
    session->facts.name_wrong = target->identity != TLS_IDENTITY_ANY && !session->dane &&
                                (!leaf || !tls_name_matches(leaf, target->identity, target->verify_name));
    if (target->conf && target->conf->pin_count > 0)
        session->facts.pin_wrong = !pinned(session, X509_STORE_CTX_get0_chain(store));
}

static void remember_intermediates(struct tls_session *session, const STACK_OF(X509) * built)
{
    for (int i = 1; i < sk_X509_num(built) - 1; i++)
        tls_pool_add(session->trust->pool, sk_X509_value(built, i));
}

int tls_verify(X509_STORE_CTX *store, void *unused)
{
    (void)unused;
    struct tls_session *session = session_of(store);
    if (!session) {
        X509_STORE_CTX_set_error(store, X509_V_ERR_UNSPECIFIED);
        return 0;
    }
    struct tls_facts *facts = &session->facts;
    facts->chain_presented = true;
    bool verified = verify_chain(session, store);
    record_chain(session, store);
    note_end(session, X509_STORE_CTX_get0_chain(store));
    check_identity(session, store);
    if (trusted(facts))
        remember_intermediates(session, X509_STORE_CTX_get0_chain(store));
    else if (issuer_unknown(facts)) {
        note_malformed(facts, X509_STORE_CTX_get0_untrusted(store));
        verify_again(session, store);
    }
    ERR_clear_error();
    int deciding;
    enum reason reason = tls_judge_chain(facts, &deciding);
    if (reason == REASON_NONE && verified && !facts->name_wrong && !facts->pin_wrong) {
        X509_STORE_CTX_set_error(store, X509_V_OK);
        return 1;
    }
    note_culprit(session, store, deciding);
    X509_STORE_CTX_set_error(store, alert_code(facts, reason, deciding));
    return session->trust->server;
}
