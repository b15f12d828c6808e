/*
 * A TLS session: HANDSHAKE -> AFTER -> OPEN -> CLOSED, or CLOSED from any of them.
 *
 * A TLS 1.3 client is done before the server has looked at its certificate, so AFTER reads once more: a session ticket
 * or application data proves that the server took our Finished and all before it; an alert or the end is its refusal.
 * With TLS 1.2 the server's own Finished is that proof. A server has seen everything when its handshake is done: it has
 * no AFTER.
 *
 * The octets pass through a transport (BIO) of our own, because the facts are there and nowhere else: errno at the very
 * call, the FIN, the first octets even when they are no TLS, and how much came. A failed send is kept to itself: the
 * peer may have said why it closed, and that is still to be read; OpenSSL would give up without reading it.
 *
 * Traps of OpenSSL 3.0 that this respects: its error queue is per thread, so it is emptied before each call; the end of
 * the stream is reported as a protocol error with an alert of our own, which is not the peer's.
 */
#include "collect/tls_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/text.h"
#include "collect/dns.h"

int tls_transport_read(BIO *bio, char *data, size_t size, size_t *done)
{
    struct tls_session *session = BIO_get_data(bio);
    struct tls_facts *facts = &session->facts;
    BIO_clear_retry_flags(bio);
    *done = 0;
    if (session->phase < TLS_OPEN) {
        if (session->received >= session->input_max) {
            facts->flooded = true;
            return 0;
        }
        size_t left = session->input_max - session->received;
        size = size < left ? size : left;
    }
    ssize_t got = recv(session->descriptor, data, size, 0);
    if (got > 0) {
        for (ssize_t i = 0; i < got && facts->first_count < sizeof facts->first; i++)
            facts->first[facts->first_count++] = (uint8_t)data[i];
        session->received += (size_t)got;
        *done = (size_t)got;
        return 1;
    }
    if (got == 0)
        session->at_end = true;
    else if ((errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) && !session->write_errno)
        BIO_set_retry_read(bio);
    else
        session->read_errno = session->write_errno ? session->write_errno : errno;
    return 0;
}

int tls_transport_write(BIO *bio, const char *data, size_t size, size_t *done)
{
    struct tls_session *session = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *done = size;
    if (session->write_errno)
        return 1;
    ssize_t sent = send(session->descriptor, data, size, MSG_NOSIGNAL);
    if (sent > 0)
        *done = (size_t)sent;
    else if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) {
        *done = 0;
        BIO_set_retry_write(bio);
        return 0;
    } else
        session->write_errno = errno;
    return 1;
}

long tls_transport_control(BIO *bio, int command, long number, void *pointer)
{
    (void)number, (void)pointer;
    const struct tls_session *session = BIO_get_data(bio);
    switch (command) {
    case BIO_CTRL_FLUSH:
        return 1;
    case BIO_CTRL_EOF:
        return session && session->at_end;
    default:
        return 0;
    }
}

/* A fatal alert replaces a warning: some servers warn about the name and go on. */
void tls_note_alert(const SSL *ssl, int where, int value)
{
    if (!(where & SSL_CB_ALERT))
        return;
    struct tls_session *session = SSL_get_app_data(ssl);
    struct tls_facts *facts = &session->facts;
    int number = value & 0xff;
    bool fatal = value >> 8 == SSL3_AL_FATAL;
    if (number == SSL3_AD_CLOSE_NOTIFY) {
        facts->end_of_file = facts->end_of_file || (where & SSL_CB_READ);
    } else if (!(where & SSL_CB_READ)) {
        if (facts->own_alert < 0)
            facts->own_alert = number;
    } else if (facts->first_alert < 0 || (fatal && !facts->first_alert_fatal)) {
        facts->first_alert = number;
        facts->first_alert_fatal = fatal;
    }
}

int tls_note_request(SSL *ssl, void *unused)
{
    (void)unused;
    struct tls_session *session = SSL_get_app_data(ssl);
    session->facts.certificate_asked = true;
    return 1;
}

int tls_note_ticket(SSL *ssl, SSL_SESSION *ticket)
{
    (void)ticket;
    struct tls_session *session = SSL_get_app_data(ssl);
    if (SSL_version(ssl) >= TLS1_3_VERSION)
        session->facts.answered = true;
    return 0;
}

static bool is_address(const char *name)
{
    unsigned char octets[16];
    return inet_pton(AF_INET, name, octets) == 1 || inet_pton(AF_INET6, name, octets) == 1;
}

static bool set_extensions(SSL *ssl, const struct tls_target *target)
{
    if (target->sni[0] && !is_address(target->sni) && !SSL_set_tlsext_host_name(ssl, target->sni))
        return false;
    size_t length = strlen(target->alpn);
    if (length == 0)
        return true;
    unsigned char list[256];
    if (length > 255)
        return false;
    list[0] = (unsigned char)length;
    memcpy(list + 1, target->alpn, length);
    return SSL_set_alpn_protos(ssl, list, (unsigned)length + 1) == 0;
}

/* Whether DANE can go by it (RFC 7672, 2.1.1 and 3.1.3): the usages that name our CAs are none of its. */
static bool tlsa_usable(const struct dns_tlsa *tlsa)
{
    static const uint16_t lengths[] = {0, 32, 64}; /* of the certificate or key itself, SHA-256, SHA-512 */
    enum { DANE_TA = 2, DANE_EE = 3, SPKI = 1 }; /* RFC 7218 */
    return (tlsa->usage == DANE_TA || tlsa->usage == DANE_EE) && tlsa->selector <= SPKI &&
           tlsa->matching < sizeof lengths / sizeof lengths[0] &&
           (lengths[tlsa->matching] == 0 || lengths[tlsa->matching] == tlsa->length);
}

static bool set_dane(struct tls_session *session)
{
    const struct tls_target *target = session->target;
    for (size_t i = 0; i < target->tlsa_count; i++) {
        const struct dns_tlsa *tlsa = &target->tlsa[i];
        if (!tlsa_usable(tlsa))
            continue;
        if (!session->dane && (SSL_dane_enable(session->ssl, target->tlsa_host) <= 0 ||
                               !SSL_add1_host(session->ssl, target->verify_name)))
            return false;
        session->dane = true;
        if (SSL_dane_tlsa_add(session->ssl, tlsa->usage, tlsa->selector, tlsa->matching, tlsa->data, tlsa->length) < 0)
            return false;
    }
    if (session->dane) {
        SSL_dane_set_flags(session->ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
        SSL_set_hostflags(session->ssl, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    }
    ERR_clear_error();
    return true;
}

static bool set_transport(struct tls_session *session)
{
    BIO *bio = BIO_new(session->trust->transport);
    if (!bio)
        return false;
    BIO_set_data(bio, session);
    BIO_set_init(bio, 1);
    SSL_set_bio(session->ssl, bio, bio);
    return true;
}

static struct tls_session *make_session(struct tls_trust *trust, int descriptor, const struct tls_target *target,
                                        size_t input_max)
{
    struct tls_session *session = calloc(1, sizeof *session);
    if (!session)
        return NULL;
    session->trust = trust;
    session->target = target;
    session->descriptor = descriptor;
    session->input_max = input_max;
    session->facts.first_alert = session->facts.own_alert = -1;
    session->facts.local_problem = trust->local_problem;
    session->facts.trust_missing = trust->trust_missing;
    session->facts.spoken = target->spoken;
    session->phase = TLS_HANDSHAKE;
    if (trust->local_problem) {
        session->phase = TLS_CLOSED;
        session->facts.phase = TLS_HANDSHAKE;
        session->facts.failed = true;
        return session;
    }
    ERR_clear_error();
    session->ssl = SSL_new(trust->context);
    if (!session->ssl || !set_transport(session) || !set_extensions(session->ssl, target) ||
        !set_dane(session)) {
        tls_free(session);
        return NULL;
    }
    SSL_set_app_data(session->ssl, session);
    if (trust->server)
        SSL_set_accept_state(session->ssl);
    else
        SSL_set_connect_state(session->ssl);
    return session;
}

struct tls_session *tls_start(struct tls_trust *trust, int descriptor, const struct tls_target *target)
{
    return make_session(trust, descriptor, target, TLS_INPUT_OCTETS);
}

struct tls_session *tls_accept(struct tls_trust *trust, int descriptor, size_t octets_max)
{
    static const struct tls_target anybody = {.sni = "", .identity = TLS_IDENTITY_ANY, .verify_name = "", .alpn = ""};
    return make_session(trust, descriptor, &anybody, octets_max);
}

void tls_free(struct tls_session *session)
{
    if (!session)
        return;
    SSL_free(session->ssl);
    free(session->result);
    free(session);
}

/* The first error of libssl, for those of libcrypto before it say less about the protocol. Empties the queue. */
static unsigned long first_error(void)
{
    unsigned long first = 0, code;
    while ((code = ERR_get_error()) != 0) {
        if (first == 0 || (ERR_GET_LIB(first) != ERR_LIB_SSL && ERR_GET_LIB(code) == ERR_LIB_SSL))
            first = code;
    }
    return first;
}

static enum tls_want fail(struct tls_session *session)
{
    struct tls_facts *facts = &session->facts;
    facts->phase = session->phase;
    facts->failed = true;
    if (!facts->library)
        facts->library = first_error();
    facts->errno_value = session->read_errno;
    facts->end_of_file = facts->end_of_file || session->at_end;
    session->phase = TLS_CLOSED;
    session->shut = true;
    return TLS_WANT_NONE;
}

/* What to wait for after a call that did not succeed; or the session has failed. */
static enum tls_want after_call(struct tls_session *session, int value)
{
    switch (SSL_get_error(session->ssl, value)) {
    case SSL_ERROR_WANT_READ:
        return TLS_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return TLS_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        session->facts.end_of_file = true;
        return fail(session);
    default:
        return fail(session);
    }
}

static enum tls_want step_handshake(struct tls_session *session)
{
    ERR_clear_error();
    int value = SSL_do_handshake(session->ssl);
    if (value != 1)
        return after_call(session, value);
    if (session->trust->server) {
        session->facts.answered = true;
        session->phase = TLS_OPEN;
        return TLS_WANT_NONE;
    }
    /* libssl cannot get here without the callback having agreed; whoever changes that must not make peers healthy */
    if (SSL_get_verify_result(session->ssl) != X509_V_OK || !session->facts.chain_presented)
        return fail(session);
    if (SSL_version(session->ssl) < TLS1_3_VERSION) {
        session->facts.answered = true;
        session->phase = TLS_OPEN;
        return TLS_WANT_NONE;
    }
    session->phase = TLS_AFTER;
    return TLS_WANT_READ;
}

static enum tls_want step_after(struct tls_session *session)
{
    char octet;
    ERR_clear_error();
    int value = SSL_peek(session->ssl, &octet, 1);
    if (value > 0)
        session->facts.answered = true;
    enum tls_want want = value > 0 ? TLS_WANT_NONE : after_call(session, value);
    if (session->phase == TLS_AFTER && session->facts.answered) {
        session->phase = TLS_OPEN;
        return TLS_WANT_NONE;
    }
    return want;
}

enum tls_want tls_step(struct tls_session *session)
{
    enum tls_want want = TLS_WANT_NONE;
    if (session->phase == TLS_HANDSHAKE)
        want = step_handshake(session);
    if (session->phase == TLS_AFTER)
        want = step_after(session);
    return want;
}

enum tls_phase tls_phase(const struct tls_session *session)
{
    return session->phase;
}

void tls_timeout(struct tls_session *session)
{
    if (session->phase == TLS_AFTER)
        session->phase = TLS_OPEN;
    else if (session->phase == TLS_HANDSHAKE) {
        session->facts.timed_out = true;
        fail(session);
    }
}

long tls_read(struct tls_session *session, void *data, size_t size, enum tls_want *want)
{
    *want = TLS_WANT_NONE;
    if (session->phase != TLS_OPEN)
        return -1;
    ERR_clear_error();
    int value = SSL_read(session->ssl, data, size > INT_MAX ? INT_MAX : (int)size);
    if (value > 0) {
        session->facts.answered = true;
        return value;
    }
    *want = after_call(session, value);
    return session->phase == TLS_OPEN ? 0 : -1;
}

long tls_write(struct tls_session *session, const void *data, size_t size, enum tls_want *want)
{
    *want = TLS_WANT_NONE;
    if (session->phase != TLS_OPEN)
        return -1;
    if (size == 0)
        return 0;
    ERR_clear_error();
    int value = SSL_write(session->ssl, data, size > INT_MAX ? INT_MAX : (int)size);
    if (value > 0)
        return value;
    *want = after_call(session, value);
    return session->phase == TLS_OPEN ? 0 : -1;
}

void tls_close(struct tls_session *session)
{
    bool open = session->phase == TLS_OPEN || session->phase == TLS_AFTER;
    if (open)
        session->facts.phase = TLS_OPEN;
    session->phase = TLS_CLOSED;
    if (!open || session->shut)
        return;
    session->shut = true;
    ERR_clear_error();
    SSL_shutdown(session->ssl);
    ERR_clear_error();
}

struct tls_result *tls_session_result(struct tls_session *session)
{
    if (!session->result)
        session->result = calloc(1, sizeof *session->result);
    return session->result;
}

static void complete_facts(struct tls_session *session)
{
    struct tls_facts *facts = &session->facts;
    if (!facts->failed && session->phase == TLS_OPEN)
        facts->phase = TLS_OPEN;
    facts->server_hello =
        facts->first_count >= 6 && facts->first[0] == SSL3_RT_HANDSHAKE && facts->first[5] == SSL3_MT_SERVER_HELLO;
    tls_own_facts(session);
    int64_t end = session->result->not_after;
    facts->expiring = session->target->expiry_days > 0 && end != CLOCK_NEVER &&
                      end - clock_wall() < (int64_t)session->target->expiry_days * 86400 * CLOCK_SECOND;
}

static const char *version_text(int version)
{
    switch (version) {
    case TLS1_3_VERSION:
        return "1.3";
    case TLS1_2_VERSION:
        return "1.2";
    case TLS1_1_VERSION:
        return "1.1";
    case TLS1_VERSION:
        return "1.0";
    default:
        return "";
    }
}

static void describe_parameters(struct tls_session *session, struct tls_result *result)
{
    const SSL_CIPHER *cipher = session->ssl ? SSL_get_current_cipher(session->ssl) : NULL;
    if (!cipher && session->ssl) /* TLS 1.2 before its keys are changed */
        cipher = SSL_get_pending_cipher(session->ssl);
    if (!session->facts.server_hello || !cipher)
        return;
    text_copy(result->version, sizeof result->version, version_text(SSL_version(session->ssl)));
    text_copy(result->cipher, sizeof result->cipher, SSL_CIPHER_get_name(cipher));
    int group = (int)SSL_get_negotiated_group(session->ssl);
    const char *name = group > 0 ? SSL_group_to_name(session->ssl, group) : NULL;
    if (name)
        text_copy(result->group, sizeof result->group, name);
}

static void judge_parts(struct tls_result *result)
{
    const struct tls_facts *facts = &result->facts;
    int deciding;
    struct tls_facts chain = *facts;
    chain.name_wrong = false;
    result->name_reason = facts->name_wrong ? REASON_TLS_WRONG_PRINCIPAL : REASON_NONE;
    result->certificate_reason = tls_judge_chain(&chain, &deciding);
    if (result->certificate_reason == REASON_NONE && result->reason == REASON_TLS_EXPIRING_SOON)
        result->certificate_reason = result->reason;
    switch (result->reason) {
    case REASON_TLS_CLIENT_CERT_REQUIRED:
    case REASON_TLS_CLIENT_CERT_REJECTED:
    case REASON_TLS_CLIENT_CERT_REJECTED_CA:
    case REASON_TLS_LOCAL_CERTIFICATE_PROBLEM:
        result->client_reason = result->reason;
        break;
    case REASON_TLS_CLOSED_DURING_HANDSHAKE:
        result->client_reason = facts->certificate_asked ? result->reason : REASON_NONE;
        break;
    default:
        result->client_reason = REASON_NONE;
        break;
    }
    result->client_certificate_accepted = facts->certificate_sent && facts->answered &&
                                          (result->reason == REASON_NONE || result->reason == REASON_TLS_EXPIRING_SOON);
    tls_judge_chain(facts, &deciding);
    result->verify_error = deciding >= 0       ? facts->errors[deciding].code
                           : facts->name_wrong ? X509_V_ERR_HOSTNAME_MISMATCH
                           : facts->pin_wrong  ? X509_V_ERR_APPLICATION_VERIFICATION
                                               : X509_V_OK;
}

/* Each certificate's own worst finding; what its chain lacks or what is wrong with its name is the leaf's. */
static void judge_certificates(struct tls_result *result)
{
    const struct tls_facts *facts = &result->facts;
    for (size_t i = 0; i < result->certificate_count; i++) {
        struct tls_facts own = {.intermediate_known = facts->intermediate_known, .leaf_alone = facts->leaf_alone};
        for (size_t e = 0; e < facts->error_count; e++) {
            bool here = facts->errors[e].presented == (int)i;
            if (here || (i == 0 && facts->errors[e].presented < 0))
                own.errors[own.error_count++] = facts->errors[e];
        }
        own.name_wrong = i == 0 && facts->name_wrong;
        own.pin_wrong = i == 0 && facts->pin_wrong;
        int deciding;
        struct observation_certificate *certificate = &result->certificates[i];
        certificate->reason = tls_judge_chain(&own, &deciding);
        if (certificate->reason == REASON_NONE && facts->expiring && certificate->not_after == result->not_after)
            certificate->reason = REASON_TLS_EXPIRING_SOON;
    }
}

static void digest_chain(struct tls_session *session, struct tls_result *result)
{
    struct tls_pool *pool = session->trust->pool;
    memset(result->chain_sha256, 0, sizeof result->chain_sha256);
    if (!result->certificate_count || !EVP_DigestInit_ex(pool->digest, pool->sha256, NULL))
        return;
    /* the fingerprints stand for the DER */
    for (size_t i = 0; i < result->certificate_count; i++) {
        EVP_DigestUpdate(pool->digest, result->certificates[i].sha256, sizeof result->certificates[i].sha256);
        EVP_DigestUpdate(pool->digest, &result->certificates[i].reason, sizeof result->certificates[i].reason);
    }
    EVP_DigestFinal_ex(pool->digest, result->chain_sha256, NULL);
}

const struct tls_result *tls_result(struct tls_session *session)
{
    static const struct tls_result no_memory = {
        .reason = REASON_LOCAL_RESOURCE,
        .detail = "no memory for the result",
        .facts = {.phase = TLS_CLOSED, .failed = true, .first_alert = -1, .own_alert = -1},
        .certificate_reason = REASON_NONE,
        .name_reason = REASON_NONE,
        .client_reason = REASON_NONE,
    };
    struct tls_result *result = tls_session_result(session);
    if (!result)
        return &no_memory;
    complete_facts(session);
    result->facts = session->facts;
    result->reason = tls_judge(&result->facts);
    describe_parameters(session, result);
    judge_parts(result);
    judge_certificates(result);
    digest_chain(session, result);
    tls_describe(result, session->target);
    if (result->reason == REASON_TLS_REVOCATION_UNKNOWN && session->trust->crl_problem[0])
        text_append(result->detail, sizeof result->detail, "; %s", session->trust->crl_problem);
    if (session->facts.local_problem)
        text_copy(result->detail, sizeof result->detail, session->trust->problem);
    return result;
}

size_t tls_peer_domains(const struct tls_session *session, char (*domains)[OBSERVATION_NAME], size_t max)
{
    X509 *certificate = session->ssl ? SSL_get0_peer_certificate(session->ssl) : NULL;
    return certificate ? tls_name_domains(certificate, domains, max) : 0;
}
