/*
 * Facts of a TLS session -> one reason. Pure: no session, no clock, no I/O.
 *
 * The order is what makes it right. Our own unusable certificate or CAs explain everything that follows. What our
 * verification found outranks the alert that we sent because of it and the way the peer took that. Then our timer, then
 * what the peer said (its alert), and only at the end how the connection broke. Every path that does not end in an open
 * session without errors ends in a reason.
 *
 * Of several verification errors the one with the highest rank decides; of equals the first.
 */
#include "collect/tls_internal.h"

#include <errno.h>
#include <openssl/err.h>

/* RFC 8446 section 6 and what older versions had. */
enum alert {
    ALERT_BAD_RECORD_MAC = 20,
    ALERT_RECORD_OVERFLOW = 22,
    ALERT_UNEXPECTED_MESSAGE = 10,
    ALERT_HANDSHAKE_FAILURE = 40,
    ALERT_NO_CERTIFICATE = 41,
    ALERT_BAD_CERTIFICATE = 42,
    ALERT_UNSUPPORTED_CERTIFICATE = 43,
    ALERT_CERTIFICATE_REVOKED = 44,
    ALERT_CERTIFICATE_EXPIRED = 45,
    ALERT_CERTIFICATE_UNKNOWN = 46,
    ALERT_ILLEGAL_PARAMETER = 47,
    ALERT_UNKNOWN_CA = 48,
    ALERT_ACCESS_DENIED = 49,
    ALERT_DECODE_ERROR = 50,
    ALERT_DECRYPT_ERROR = 51,
    ALERT_PROTOCOL_VERSION = 70,
    ALERT_INSUFFICIENT_SECURITY = 71,
    ALERT_INTERNAL_ERROR = 80,
    ALERT_INAPPROPRIATE_FALLBACK = 86,
    ALERT_MISSING_EXTENSION = 109,
    ALERT_UNSUPPORTED_EXTENSION = 110,
    ALERT_UNRECOGNIZED_NAME = 112,
    ALERT_CERTIFICATE_REQUIRED = 116,
    ALERT_NO_APPLICATION_PROTOCOL = 120,
};

static const struct {
    int number;
    const char *name;
} alert_names[] = {
    {0, "close_notify"},
    {ALERT_UNEXPECTED_MESSAGE, "unexpected_message"},
    {ALERT_BAD_RECORD_MAC, "bad_record_mac"},
    {21, "decryption_failed"},
    {ALERT_RECORD_OVERFLOW, "record_overflow"},
    {30, "decompression_failure"},
    {ALERT_HANDSHAKE_FAILURE, "handshake_failure"},
    {ALERT_NO_CERTIFICATE, "no_certificate"},
    {ALERT_BAD_CERTIFICATE, "bad_certificate"},
    {ALERT_UNSUPPORTED_CERTIFICATE, "unsupported_certificate"},
    {ALERT_CERTIFICATE_REVOKED, "certificate_revoked"},
    {ALERT_CERTIFICATE_EXPIRED, "certificate_expired"},
    {ALERT_CERTIFICATE_UNKNOWN, "certificate_unknown"},
    {ALERT_ILLEGAL_PARAMETER, "illegal_parameter"},
    {ALERT_UNKNOWN_CA, "unknown_ca"},
    {ALERT_ACCESS_DENIED, "access_denied"},
    {ALERT_DECODE_ERROR, "decode_error"},
    {ALERT_DECRYPT_ERROR, "decrypt_error"},
    {60, "export_restriction"},
    {ALERT_PROTOCOL_VERSION, "protocol_version"},
    {ALERT_INSUFFICIENT_SECURITY, "insufficient_security"},
    {ALERT_INTERNAL_ERROR, "internal_error"},
    {ALERT_INAPPROPRIATE_FALLBACK, "inappropriate_fallback"},
    {90, "user_canceled"},
    {100, "no_renegotiation"},
    {ALERT_MISSING_EXTENSION, "missing_extension"},
    {ALERT_UNSUPPORTED_EXTENSION, "unsupported_extension"},
    {111, "certificate_unobtainable"},
    {ALERT_UNRECOGNIZED_NAME, "unrecognized_name"},
    {113, "bad_certificate_status_response"},
    {114, "bad_certificate_hash_value"},
    {115, "unknown_psk_identity"},
    {ALERT_CERTIFICATE_REQUIRED, "certificate_required"},
    {ALERT_NO_APPLICATION_PROTOCOL, "no_application_protocol"},
};

const char *tls_alert_name(int number)
{
    for (size_t i = 0; i < sizeof alert_names / sizeof alert_names[0]; i++) {
        if (alert_names[i].number == number)
            return alert_names[i].name;
    }
    return "unknown";
}

static enum reason revocation_reason(int code)
{
    switch (code) {
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_UNABLE_TO_DECRYPT_CRL_SIGNATURE:
    case X509_V_ERR_CRL_SIGNATURE_FAILURE:
    case X509_V_ERR_CRL_NOT_YET_VALID:
    case X509_V_ERR_CRL_HAS_EXPIRED:
    case X509_V_ERR_ERROR_IN_CRL_LAST_UPDATE_FIELD:
    case X509_V_ERR_ERROR_IN_CRL_NEXT_UPDATE_FIELD:
    case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
    case X509_V_ERR_KEYUSAGE_NO_CRL_SIGN:
    case X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION:
    case X509_V_ERR_DIFFERENT_CRL_SCOPE:
    case X509_V_ERR_CRL_PATH_VALIDATION_ERROR:
    case X509_V_ERR_OCSP_VERIFY_NEEDED:
    case X509_V_ERR_OCSP_VERIFY_FAILED:
    case X509_V_ERR_OCSP_CERT_UNKNOWN:
        return REASON_TLS_REVOCATION_UNKNOWN;
    default:
        return REASON_NONE;
    }
}

static enum reason constraint_reason(int code)
{
    switch (code) {
    case X509_V_ERR_PATH_LENGTH_EXCEEDED:
    case X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED:
    case X509_V_ERR_PROXY_CERTIFICATES_NOT_ALLOWED:
    case X509_V_ERR_KEYUSAGE_NO_CERTSIGN:
    case X509_V_ERR_KEYUSAGE_NO_DIGITAL_SIGNATURE:
    case X509_V_ERR_INVALID_NON_CA:
    case X509_V_ERR_NO_EXPLICIT_POLICY:
    case X509_V_ERR_UNNESTED_RESOURCE:
    case X509_V_ERR_PERMITTED_VIOLATION:
    case X509_V_ERR_EXCLUDED_VIOLATION:
    case X509_V_ERR_SUBTREE_MINMAX:
    case X509_V_ERR_UNSUPPORTED_CONSTRAINT_TYPE:
    case X509_V_ERR_UNSUPPORTED_CONSTRAINT_SYNTAX:
    case X509_V_ERR_UNSUPPORTED_NAME_SYNTAX:
    case X509_V_ERR_PROXY_SUBJECT_NAME_VIOLATION:
    case X509_V_ERR_INVALID_CA:
    case X509_V_ERR_PATHLEN_INVALID_FOR_NON_CA:
    case X509_V_ERR_PATHLEN_WITHOUT_KU_KEY_CERT_SIGN:
    case X509_V_ERR_KU_KEY_CERT_SIGN_INVALID_FOR_NON_CA:
        return REASON_TLS_CONSTRAINT_VIOLATED;
    default:
        return REASON_NONE;
    }
}

static enum reason malformed_reason(int code)
{
    switch (code) {
    case X509_V_ERR_UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY:
    case X509_V_ERR_ERROR_IN_CERT_NOT_BEFORE_FIELD:
    case X509_V_ERR_ERROR_IN_CERT_NOT_AFTER_FIELD:
    case X509_V_ERR_NO_ISSUER_PUBLIC_KEY:
    case X509_V_ERR_INVALID_EXTENSION:
    case X509_V_ERR_INVALID_POLICY_EXTENSION:
    case X509_V_ERR_UNSUPPORTED_EXTENSION_FEATURE:
    case X509_V_ERR_PATH_LOOP:
    case X509_V_ERR_UNSUPPORTED_SIGNATURE_ALGORITHM:
    case X509_V_ERR_SIGNATURE_ALGORITHM_MISMATCH:
    case X509_V_ERR_SIGNATURE_ALGORITHM_INCONSISTENCY:
        return REASON_TLS_MALFORMED_CERTIFICATE;
    default:
        return code >= X509_V_ERR_ISSUER_NAME_EMPTY && code <= X509_V_ERR_EXTENSIONS_REQUIRE_VERSION_3
                   ? REASON_TLS_MALFORMED_CERTIFICATE
                   : REASON_NONE;
    }
}

enum reason tls_verify_reason(int code, int depth)
{
    (void)depth;
    switch (code) {
    case X509_V_OK:
        return REASON_NONE;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        return REASON_TLS_UNTRUSTED_ROOT;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        return REASON_TLS_SELF_SIGNED;
    case X509_V_ERR_UNABLE_TO_DECRYPT_CERT_SIGNATURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        return REASON_TLS_BAD_SIGNATURE;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return REASON_TLS_NOT_YET_VALID;
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return REASON_TLS_EXPIRED;
    case X509_V_ERR_CERT_CHAIN_TOO_LONG:
        return REASON_TLS_DEPTH_EXCEEDED;
    case X509_V_ERR_CERT_REVOKED:
        return REASON_TLS_REVOKED;
    case X509_V_ERR_INVALID_PURPOSE:
        return REASON_TLS_WRONG_USAGE;
    case X509_V_ERR_CERT_UNTRUSTED:
    case X509_V_ERR_CERT_REJECTED:
        return REASON_TLS_DISTRUSTED;
    case X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION:
        return REASON_TLS_UNKNOWN_CRITICAL_EXTENSION;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_EMAIL_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return REASON_TLS_WRONG_PRINCIPAL;
    case X509_V_ERR_DANE_NO_MATCH:
        return REASON_TLS_DANE_MISMATCH;
    case X509_V_ERR_EE_KEY_TOO_SMALL:
    case X509_V_ERR_CA_KEY_TOO_SMALL:
    case X509_V_ERR_EC_KEY_EXPLICIT_PARAMS: /* a curve of their own making */
        return REASON_TLS_WEAK_KEY;
    case X509_V_ERR_CA_MD_TOO_WEAK:
        return REASON_TLS_WEAK_SIGNATURE;
    default:
        break;
    }
    enum reason reason = revocation_reason(code);
    if (reason == REASON_NONE)
        reason = constraint_reason(code);
    if (reason == REASON_NONE)
        reason = malformed_reason(code);
    return reason == REASON_NONE ? REASON_TLS_OTHER : reason;
}

/*
 * Which of several findings about a chain is told: first what makes it a forgery, then what makes it worthless, then
 * what its CAs did wrong, then whether it is the right one, then its dates, then its strength, and last what could not
 * be found out.
 */
static int rank(enum reason reason)
{
    static const enum reason order[] = {
        REASON_TLS_REVOCATION_UNKNOWN,
        REASON_TLS_WEAK_SIGNATURE,
        REASON_TLS_WEAK_KEY,
        REASON_TLS_OTHER,
        REASON_TLS_NOT_YET_VALID,
        REASON_TLS_EXPIRED,
        REASON_TLS_PIN_MISMATCH,
        REASON_TLS_WRONG_PRINCIPAL,
        REASON_TLS_WRONG_USAGE,
        REASON_TLS_CONSTRAINT_VIOLATED,
        REASON_TLS_UNKNOWN_CRITICAL_EXTENSION,
        REASON_TLS_UNTRUSTED_ROOT,
        REASON_TLS_INCOMPLETE_CHAIN,
        REASON_TLS_DEPTH_EXCEEDED, /* the search for an issuer ended there: that none was found follows from it */
        REASON_TLS_SELF_SIGNED,
        REASON_TLS_DANE_MISMATCH, /* where DANE decides, our CAs are not asked */
        REASON_TLS_MALFORMED_CERTIFICATE,
        REASON_TLS_DISTRUSTED,
        REASON_TLS_REVOKED,
        REASON_TLS_BAD_SIGNATURE,
    };
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        if (order[i] == reason)
            return (int)i + 1;
    }
    return 0;
}

static enum reason error_reason(const struct tls_facts *facts, const struct tls_verify_error *error)
{
    enum reason reason = tls_verify_reason(error->code, error->depth);
    bool incomplete = facts->intermediate_known || facts->leaf_alone;
    return reason == REASON_TLS_UNTRUSTED_ROOT && incomplete ? REASON_TLS_INCOMPLETE_CHAIN : reason;
}

enum reason tls_judge_chain(const struct tls_facts *facts, int *deciding)
{
    enum reason worst = REASON_NONE;
    *deciding = -1;
    for (size_t i = 0; i < facts->error_count && i < TLS_ERRORS_MAX; i++) {
        enum reason reason = error_reason(facts, &facts->errors[i]);
        if (rank(reason) > rank(worst)) {
            worst = reason;
            *deciding = (int)i;
        }
    }
    if (facts->name_wrong && rank(REASON_TLS_WRONG_PRINCIPAL) > rank(worst)) {
        worst = REASON_TLS_WRONG_PRINCIPAL;
        *deciding = -1;
    }
    if (facts->pin_wrong && rank(REASON_TLS_PIN_MISMATCH) > rank(worst)) {
        worst = REASON_TLS_PIN_MISMATCH;
        *deciding = -1;
    }
    return worst;
}

/* An alert that speaks of our certificate: only when the peer asked for one can it mean that. */
static enum reason client_alert(const struct tls_facts *facts)
{
    switch (facts->first_alert) {
    case ALERT_CERTIFICATE_REQUIRED:
        return facts->certificate_sent ? REASON_TLS_CLIENT_CERT_REJECTED : REASON_TLS_CLIENT_CERT_REQUIRED;
    case ALERT_HANDSHAKE_FAILURE:
    case ALERT_NO_CERTIFICATE:
    case ALERT_BAD_CERTIFICATE:
    case ALERT_UNSUPPORTED_CERTIFICATE:
    case ALERT_CERTIFICATE_REVOKED:
    case ALERT_CERTIFICATE_EXPIRED:
    case ALERT_CERTIFICATE_UNKNOWN:
    case ALERT_ACCESS_DENIED:
    case ALERT_DECRYPT_ERROR:
        if (!facts->certificate_asked)
            return REASON_NONE;
        return facts->certificate_sent ? REASON_TLS_CLIENT_CERT_REJECTED : REASON_TLS_CLIENT_CERT_REQUIRED;
    case ALERT_UNKNOWN_CA:
        if (!facts->certificate_asked)
            return REASON_NONE;
        return facts->certificate_sent ? REASON_TLS_CLIENT_CERT_REJECTED_CA : REASON_TLS_CLIENT_CERT_REQUIRED;
    default:
        return REASON_NONE;
    }
}

/* Alerts that say themselves what is wrong with our certificate. */
static bool says_what(int alert)
{
    return alert == ALERT_CERTIFICATE_EXPIRED || alert == ALERT_CERTIFICATE_REVOKED || alert == ALERT_UNKNOWN_CA;
}

enum reason tls_refusal(const struct tls_facts *facts, enum reason reason)
{
    if (!facts->certificate_sent || says_what(facts->first_alert))
        return reason;
    if (facts->own_misused)
        return REASON_TLS_LOCAL_CERTIFICATE_PROBLEM;
    return facts->ca_count > 0 && !facts->ca_ours ? REASON_TLS_CLIENT_CERT_REJECTED_CA : reason;
}

static enum reason alert_reason(const struct tls_facts *facts)
{
    enum reason reason = client_alert(facts);
    if (reason != REASON_NONE)
        return tls_refusal(facts, reason);
    switch (facts->first_alert) {
    case ALERT_HANDSHAKE_FAILURE:
    case ALERT_INSUFFICIENT_SECURITY:
        return REASON_TLS_NO_SHARED_CIPHER;
    case ALERT_PROTOCOL_VERSION:
    case ALERT_INAPPROPRIATE_FALLBACK:
        return REASON_TLS_NO_SHARED_PROTOCOL;
    case ALERT_UNRECOGNIZED_NAME:
        return REASON_TLS_SNI_REJECTED;
    case ALERT_NO_APPLICATION_PROTOCOL:
        return REASON_TLS_ALPN_MISMATCH;
    case ALERT_INTERNAL_ERROR:
        return REASON_TLS_PEER_INTERNAL_ERROR;
    default:
        return REASON_TLS_OTHER;
    }
}

/* No TLS record begins like this: content types are 20 to 24, the version's first octet is 3 (RFC 8446 section 5.1). */
static bool plaintext(const struct tls_facts *facts)
{
    return (facts->first_count > 0 && (facts->first[0] < 20 || facts->first[0] > 24)) ||
           (facts->first_count > 1 && facts->first[1] != 3);
}

/* What OpenSSL itself found wrong with the peer's messages. */
static enum reason library_reason(const struct tls_facts *facts)
{
    if (ERR_GET_LIB(facts->library) != ERR_LIB_SSL)
        return REASON_NONE;
    switch (ERR_GET_REASON(facts->library)) {
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_UNSUPPORTED_SSL_VERSION:
    case SSL_R_UNKNOWN_SSL_VERSION:
    case SSL_R_LEGACY_SIGALG_DISALLOWED_OR_UNSUPPORTED:
        return REASON_TLS_NO_SHARED_PROTOCOL;
    case SSL_R_DH_KEY_TOO_SMALL:
        return REASON_TLS_WEAK_PARAMETERS;
    case SSL_R_EE_KEY_TOO_SMALL:
    case SSL_R_CA_KEY_TOO_SMALL:
        return REASON_TLS_WEAK_KEY;
    case SSL_R_CA_MD_TOO_WEAK:
        return REASON_TLS_WEAK_SIGNATURE;
    case SSL_R_BAD_SIGNATURE:
        return REASON_TLS_KEY_PROOF_FAILED;
    case SSL_R_CERTIFICATE_VERIFY_FAILED: /* without an error of ours: the list of certificates was empty */
        return facts->chain_presented ? REASON_TLS_OTHER : REASON_TLS_NO_CERTIFICATE;
    case ERR_R_ASN1_LIB:
    case ERR_R_X509_LIB:
    case SSL_R_UNABLE_TO_FIND_PUBLIC_KEY_PARAMETERS:
    case SSL_R_UNKNOWN_CERTIFICATE_TYPE:
    case SSL_R_CERT_LENGTH_MISMATCH:
        return REASON_TLS_MALFORMED_CERTIFICATE;
    default:
        return REASON_NONE;
    }
}

/* What the alert says that we sent because of the peer's messages; not set off by the end of the connection. */
static enum reason own_alert_reason(const struct tls_facts *facts)
{
    switch (facts->own_alert) {
    case ALERT_UNEXPECTED_MESSAGE:
    case ALERT_BAD_RECORD_MAC:
    case ALERT_RECORD_OVERFLOW:
    case ALERT_ILLEGAL_PARAMETER:
    case ALERT_DECODE_ERROR:
    case ALERT_MISSING_EXTENSION:
    case ALERT_UNSUPPORTED_EXTENSION:
        return REASON_TLS_PROTOCOL_VIOLATION;
    case ALERT_DECRYPT_ERROR:
        return REASON_TLS_KEY_PROOF_FAILED;
    case ALERT_PROTOCOL_VERSION:
        return REASON_TLS_NO_SHARED_PROTOCOL;
    case ALERT_INSUFFICIENT_SECURITY:
        return REASON_TLS_WEAK_PARAMETERS;
    default:
        return REASON_TLS_OTHER;
    }
}

static enum reason connection_reason(const struct tls_facts *facts)
{
    switch (facts->errno_value) {
    case ETIMEDOUT:
        return REASON_TLS_HANDSHAKE_TIMEOUT;
    case ENETUNREACH:
        return REASON_NET_UNREACHABLE;
    case EHOSTUNREACH:
        return REASON_HOST_UNREACHABLE;
    case ENOMEM:
    case ENOBUFS:
        return REASON_LOCAL_RESOURCE;
    case 0:
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE:
        return facts->first_count == 0 && !facts->spoken ? REASON_TCP_RESET
                                                         : tls_refusal(facts, REASON_TLS_CLOSED_DURING_HANDSHAKE);
    default:
        return REASON_CONNECTION_OTHER;
    }
}

static enum reason failure_reason(const struct tls_facts *facts)
{
    if (facts->timed_out)
        return REASON_TLS_HANDSHAKE_TIMEOUT;
    if (facts->first_alert > 0)
        return alert_reason(facts);
    if (facts->flooded)
        return REASON_TLS_PROTOCOL_VIOLATION;
    if (plaintext(facts))
        return REASON_TLS_PLAINTEXT;
    if (facts->end_of_file || facts->errno_value != 0)
        return connection_reason(facts);
    enum reason reason = library_reason(facts);
    return reason != REASON_NONE ? reason : own_alert_reason(facts);
}

/*
 * An open session that ended: a peer that has not yet proven to take our certificate refused it; for any other, the end
 * is a matter of what was spoken inside.
 */
static enum reason open_reason(const struct tls_facts *facts)
{
    if (!facts->failed)
        return REASON_NONE;
    if (facts->first_alert > 0 && facts->first_alert_fatal)
        return alert_reason(facts);
    if (facts->certificate_asked && !facts->answered)
        return facts->errno_value || facts->end_of_file ? tls_refusal(facts, REASON_TLS_CLOSED_DURING_HANDSHAKE)
                                                        : REASON_TLS_OTHER;
    return REASON_NONE;
}

enum reason tls_judge(const struct tls_facts *facts)
{
    int deciding;
    if (facts->local_problem)
        return facts->trust_missing ? REASON_MON_TRUST_STORE_MISSING : REASON_TLS_LOCAL_CERTIFICATE_PROBLEM;
    if (facts->certificate_asked && facts->own_expired)
        return REASON_TLS_LOCAL_CERTIFICATE_PROBLEM;
    enum reason reason = tls_judge_chain(facts, &deciding);
    if (reason == REASON_NONE)
        reason = facts->phase == TLS_OPEN ? open_reason(facts) : failure_reason(facts);
    if (reason == REASON_NONE && !facts->chain_presented)
        return REASON_TLS_NO_CERTIFICATE;
    return reason == REASON_NONE && (facts->expiring || facts->own_expiring) ? REASON_TLS_EXPIRING_SOON : reason;
}

size_t tls_reasons(const struct tls_facts *facts, enum reason reasons[TLS_REASONS_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < facts->error_count + 2 && i < TLS_REASONS_MAX; i++) {
        enum reason reason = REASON_NONE;
        if (i < facts->error_count)
            reason = error_reason(facts, &facts->errors[i]);
        else if (i == facts->error_count && facts->name_wrong)
            reason = REASON_TLS_WRONG_PRINCIPAL;
        else if (i > facts->error_count && facts->pin_wrong)
            reason = REASON_TLS_PIN_MISMATCH;
        size_t k = 0;
        while (k < count && reasons[k] != reason)
            k++;
        if (k == count && reason != REASON_NONE)
            reasons[count++] = reason;
    }
    return count;
}
