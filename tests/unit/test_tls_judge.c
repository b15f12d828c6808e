#include <criterion/criterion.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>

#include "collect/tls.h"

#define LIBSSL(reason) ERR_PACK(ERR_LIB_SSL, 0, reason)

/* Facts of a handshake that failed at once; a test changes what it is about. */
static struct tls_facts failed_facts(void)
{
    return (struct tls_facts){.phase = TLS_HANDSHAKE, .failed = true, .first_alert = -1, .own_alert = -1};
}

static struct tls_facts open_facts(void)
{
    return (struct tls_facts){.phase = TLS_OPEN,
                              .first_alert = -1,
                              .own_alert = -1,
                              .chain_presented = true,
                              .answered = true,
                              .server_hello = true,
                              .first = {22, 3, 3, 0, 90, 2},
                              .first_count = 8};
}

static void add(struct tls_facts *facts, int code, int depth)
{
    facts->chain_presented = true;
    facts->errors[facts->error_count++] = (struct tls_verify_error){code, depth, depth};
}

static void is(const struct tls_facts *facts, enum reason expected)
{
    enum reason reason = tls_judge(facts);
    cr_assert_eq(reason, expected, "%s instead of %s", reason_name(reason), reason_name(expected));
}

Test(tls_judge, nothing_is_healthy_but_an_open_session_without_errors)
{
    struct tls_facts facts = open_facts();
    is(&facts, REASON_NONE);
    facts.chain_presented = false;
    is(&facts, REASON_TLS_NO_CERTIFICATE);
    facts = open_facts();
    facts.phase = TLS_HANDSHAKE;
    cr_assert_neq(tls_judge(&facts), REASON_NONE);
    facts.phase = TLS_AFTER;
    cr_assert_neq(tls_judge(&facts), REASON_NONE);
    facts = (struct tls_facts){0};
    cr_assert_neq(tls_judge(&facts), REASON_NONE);
}

Test(tls_judge, every_verification_error_has_a_reason)
{
    for (int code = 1; code < 200; code++) {
        enum reason reason = tls_verify_reason(code, 0);
        cr_assert(reason >= 300 && reason < 400, "%d", code);
        struct tls_facts facts = open_facts();
        add(&facts, code, 0);
        cr_assert_neq(tls_judge(&facts), REASON_NONE, "%d", code);
    }
    cr_assert_eq(tls_verify_reason(X509_V_OK, 0), REASON_NONE);
}

static const struct {
    int codes[4];
    enum reason reason;
} chains[] = {
    {{X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN}, REASON_TLS_UNTRUSTED_ROOT},
    {{X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE},
     REASON_TLS_UNTRUSTED_ROOT},
    {{X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT}, REASON_TLS_SELF_SIGNED},
    {{X509_V_ERR_CERT_HAS_EXPIRED}, REASON_TLS_EXPIRED},
    {{X509_V_ERR_CERT_NOT_YET_VALID}, REASON_TLS_NOT_YET_VALID},
    {{X509_V_ERR_CERT_REVOKED, X509_V_ERR_CERT_HAS_EXPIRED}, REASON_TLS_REVOKED},
    {{X509_V_ERR_CRL_HAS_EXPIRED, X509_V_ERR_CERT_REVOKED}, REASON_TLS_REVOKED},
    {{X509_V_ERR_UNABLE_TO_GET_CRL}, REASON_TLS_REVOCATION_UNKNOWN},
    {{X509_V_ERR_UNABLE_TO_GET_CRL, X509_V_ERR_CERT_HAS_EXPIRED}, REASON_TLS_EXPIRED},
    {{X509_V_ERR_INVALID_PURPOSE}, REASON_TLS_WRONG_USAGE},
    {{X509_V_ERR_INVALID_CA, X509_V_ERR_INVALID_PURPOSE, X509_V_ERR_KEYUSAGE_NO_CERTSIGN},
     REASON_TLS_CONSTRAINT_VIOLATED},
    {{X509_V_ERR_CERT_HAS_EXPIRED, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT}, REASON_TLS_SELF_SIGNED},
    {{X509_V_ERR_CERT_HAS_EXPIRED, X509_V_ERR_CERT_SIGNATURE_FAILURE}, REASON_TLS_BAD_SIGNATURE},
    {{X509_V_ERR_EE_KEY_TOO_SMALL, X509_V_ERR_CERT_HAS_EXPIRED}, REASON_TLS_EXPIRED},
    {{X509_V_ERR_EE_KEY_TOO_SMALL}, REASON_TLS_WEAK_KEY},
    {{X509_V_ERR_CA_MD_TOO_WEAK}, REASON_TLS_WEAK_SIGNATURE},
    {{X509_V_ERR_CERT_CHAIN_TOO_LONG}, REASON_TLS_DEPTH_EXCEEDED},
    {{X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION}, REASON_TLS_UNKNOWN_CRITICAL_EXTENSION},
    {{X509_V_ERR_CERT_REJECTED}, REASON_TLS_DISTRUSTED},
    {{X509_V_ERR_DANE_NO_MATCH}, REASON_TLS_DANE_MISMATCH},
    {{X509_V_ERR_UNSPECIFIED}, REASON_TLS_OTHER},
};

Test(tls_judge, the_worst_of_a_chain_decides)
{
    for (size_t i = 0; i < sizeof chains / sizeof chains[0]; i++) {
        struct tls_facts facts = failed_facts();
        for (int k = 0; k < 4 && chains[i].codes[k]; k++)
            add(&facts, chains[i].codes[k], k);
        is(&facts, chains[i].reason);
    }
}

Test(tls_judge, names_and_pins_among_the_errors)
{
    struct tls_facts facts = failed_facts();
    facts.name_wrong = true;
    is(&facts, REASON_TLS_WRONG_PRINCIPAL);
    facts.pin_wrong = true;
    is(&facts, REASON_TLS_WRONG_PRINCIPAL);
    add(&facts, X509_V_ERR_CERT_HAS_EXPIRED, 0);
    is(&facts, REASON_TLS_WRONG_PRINCIPAL);
    facts.name_wrong = false;
    is(&facts, REASON_TLS_PIN_MISMATCH);
    add(&facts, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, 2);
    is(&facts, REASON_TLS_UNTRUSTED_ROOT);
    int deciding;
    tls_judge_chain(&facts, &deciding);
    cr_assert_eq(deciding, 1);
}

Test(tls_judge, a_known_intermediate_makes_the_chain_incomplete)
{
    struct tls_facts facts = failed_facts();
    add(&facts, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, 0);
    is(&facts, REASON_TLS_UNTRUSTED_ROOT);
    facts.intermediate_known = true;
    is(&facts, REASON_TLS_INCOMPLETE_CHAIN);
    facts.intermediate_known = false;
    facts.leaf_alone = true;
    is(&facts, REASON_TLS_INCOMPLETE_CHAIN);
    facts = failed_facts(); /* a root that came and is not trusted is no matter of what was not sent */
    facts.leaf_alone = true;
    add(&facts, X509_V_ERR_CERT_HAS_EXPIRED, 0);
    is(&facts, REASON_TLS_EXPIRED);
}

Test(tls_judge, our_own_alert_is_not_the_peers)
{
    struct tls_facts facts = failed_facts();
    add(&facts, X509_V_ERR_CERT_HAS_EXPIRED, 0);
    facts.own_alert = 45;
    facts.end_of_file = true;
    facts.errno_value = ECONNRESET;
    is(&facts, REASON_TLS_EXPIRED);
    facts = failed_facts(); /* a bare FIN: OpenSSL sends decode_error */
    facts.first[0] = 22, facts.first[1] = 3, facts.first_count = 8;
    facts.own_alert = 50;
    facts.library = LIBSSL(SSL_R_UNEXPECTED_EOF_WHILE_READING);
    facts.end_of_file = true;
    is(&facts, REASON_TLS_CLOSED_DURING_HANDSHAKE);
}

Test(tls_judge, our_own_problems_come_first)
{
    struct tls_facts facts = failed_facts();
    facts.local_problem = true;
    is(&facts, REASON_TLS_LOCAL_CERTIFICATE_PROBLEM);
    facts.trust_missing = true;
    is(&facts, REASON_MON_TRUST_STORE_MISSING);
    facts = open_facts();
    facts.own_expired = true;
    is(&facts, REASON_NONE);
    facts.certificate_asked = true;
    is(&facts, REASON_TLS_LOCAL_CERTIFICATE_PROBLEM);
}

static const struct {
    int alert;
    bool asked, sent;
    enum reason reason;
} alerts[] = {
    {40, false, false, REASON_TLS_NO_SHARED_CIPHER},
    {40, true, false, REASON_TLS_CLIENT_CERT_REQUIRED},
    {40, true, true, REASON_TLS_CLIENT_CERT_REJECTED},
    {42, true, false, REASON_TLS_CLIENT_CERT_REQUIRED},
    {42, true, true, REASON_TLS_CLIENT_CERT_REJECTED},
    {43, true, true, REASON_TLS_CLIENT_CERT_REJECTED},
    {44, true, true, REASON_TLS_CLIENT_CERT_REJECTED},
    {45, true, true, REASON_TLS_CLIENT_CERT_REJECTED},
    {46, true, true, REASON_TLS_CLIENT_CERT_REJECTED},
    {49, true, true, REASON_TLS_CLIENT_CERT_REJECTED},
    {48, true, true, REASON_TLS_CLIENT_CERT_REJECTED_CA},
    {48, true, false, REASON_TLS_CLIENT_CERT_REQUIRED},
    {48, false, false, REASON_TLS_OTHER},
    {116, true, false, REASON_TLS_CLIENT_CERT_REQUIRED},
    {116, true, true, REASON_TLS_CLIENT_CERT_REJECTED},
    {70, false, false, REASON_TLS_NO_SHARED_PROTOCOL},
    {71, false, false, REASON_TLS_NO_SHARED_CIPHER},
    {80, true, true, REASON_TLS_PEER_INTERNAL_ERROR},
    {112, false, false, REASON_TLS_SNI_REJECTED},
    {120, false, false, REASON_TLS_ALPN_MISMATCH},
    {50, false, false, REASON_TLS_OTHER},
    {255, true, true, REASON_TLS_OTHER},
};

Test(tls_judge, alerts)
{
    for (size_t i = 0; i < sizeof alerts / sizeof alerts[0]; i++) {
        for (enum tls_phase phase = TLS_HANDSHAKE; phase <= TLS_OPEN; phase++) {
            struct tls_facts facts = open_facts();
            facts.phase = phase;
            facts.failed = true;
            facts.answered = false;
            facts.first_alert = alerts[i].alert;
            facts.first_alert_fatal = true;
            facts.certificate_asked = alerts[i].asked;
            facts.certificate_sent = alerts[i].sent;
            facts.errno_value = ECONNRESET;
            is(&facts, alerts[i].reason);
        }
    }
}

Test(tls_judge, ends_of_the_connection)
{
    struct tls_facts facts = failed_facts();
    facts.errno_value = ECONNRESET;
    is(&facts, REASON_TCP_RESET);
    facts.errno_value = 0;
    facts.end_of_file = true;
    is(&facts, REASON_TCP_RESET);
    facts.spoken = true;
    is(&facts, REASON_TLS_CLOSED_DURING_HANDSHAKE);
    facts = open_facts();
    facts.phase = TLS_AFTER;
    facts.failed = facts.end_of_file = true;
    is(&facts, REASON_TLS_CLOSED_DURING_HANDSHAKE);
    facts.end_of_file = false;
    facts.errno_value = ETIMEDOUT;
    is(&facts, REASON_TLS_HANDSHAKE_TIMEOUT);
    facts.errno_value = EHOSTUNREACH;
    is(&facts, REASON_HOST_UNREACHABLE);
}

Test(tls_judge, the_end_of_an_open_session)
{
    struct tls_facts facts = open_facts();
    facts.failed = facts.end_of_file = true;
    is(&facts, REASON_NONE);
    facts.certificate_asked = facts.certificate_sent = true;
    is(&facts, REASON_NONE);
    facts.answered = false; /* nothing has proven yet that it takes our certificate */
    is(&facts, REASON_TLS_CLOSED_DURING_HANDSHAKE);
}

Test(tls_judge, timers_and_plaintext)
{
    struct tls_facts facts = failed_facts();
    facts.timed_out = true;
    is(&facts, REASON_TLS_HANDSHAKE_TIMEOUT);
    facts = failed_facts();
    memcpy(facts.first, "220 mail", 8);
    facts.first_count = 8;
    facts.library = LIBSSL(SSL_R_WRONG_VERSION_NUMBER);
    is(&facts, REASON_TLS_PLAINTEXT);
    facts.first_count = 2;
    facts.end_of_file = true;
    is(&facts, REASON_TLS_PLAINTEXT);
}

static const struct {
    int library, own_alert;
    enum reason reason;
} messages[] = {
    {SSL_R_UNSUPPORTED_PROTOCOL, 70, REASON_TLS_NO_SHARED_PROTOCOL},
    {SSL_R_DH_KEY_TOO_SMALL, 40, REASON_TLS_WEAK_PARAMETERS},
    {SSL_R_BAD_SIGNATURE, 51, REASON_TLS_KEY_PROOF_FAILED},
    {SSL_R_CERTIFICATE_VERIFY_FAILED, 40, REASON_TLS_NO_CERTIFICATE},
    {ERR_R_ASN1_LIB, 42, REASON_TLS_MALFORMED_CERTIFICATE},
    {SSL_R_EXCESSIVE_MESSAGE_SIZE, 47, REASON_TLS_PROTOCOL_VIOLATION},
    {SSL_R_UNEXPECTED_MESSAGE, 10, REASON_TLS_PROTOCOL_VIOLATION},
    {SSL_R_LENGTH_MISMATCH, 50, REASON_TLS_PROTOCOL_VIOLATION},
    {ERR_R_INTERNAL_ERROR, 80, REASON_TLS_OTHER},
};

Test(tls_judge, messages_that_openssl_refuses)
{
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
        struct tls_facts facts = failed_facts();
        facts.first[0] = 22, facts.first[1] = 3, facts.first_count = 8;
        facts.library = LIBSSL(messages[i].library);
        facts.own_alert = messages[i].own_alert;
        is(&facts, messages[i].reason);
    }
}

Test(tls_judge, expiring_only_when_all_else_is_good)
{
    struct tls_facts facts = open_facts();
    facts.expiring = true;
    is(&facts, REASON_TLS_EXPIRING_SOON);
    facts.name_wrong = true;
    is(&facts, REASON_TLS_WRONG_PRINCIPAL);
    facts.name_wrong = false;
    facts.phase = TLS_AFTER;
    facts.failed = true;
    facts.first_alert = 48;
    facts.certificate_asked = facts.certificate_sent = true;
    is(&facts, REASON_TLS_CLIENT_CERT_REJECTED_CA);
}

Test(tls_judge, details_hold_the_values)
{
    static const struct tls_target target = {.verify_name = "a.test"};
    struct tls_result result = {.reason = REASON_TLS_WRONG_PRINCIPAL, .facts = failed_facts(), .certificate_count = 1};
    result.facts.name_wrong = true;
    strcpy(result.certificates[0].names, "DNS:b.test");
    tls_describe(&result, &target);
    cr_assert_str_eq(result.detail, "wanted a.test, offered DNS:b.test");

    result = (struct tls_result){
        .reason = REASON_TLS_EXPIRED, .verify_error = X509_V_ERR_CERT_HAS_EXPIRED, .facts = failed_facts()};
    add(&result.facts, X509_V_ERR_CERT_HAS_EXPIRED, 0);
    result.facts.name_wrong = false;
    result.culprit.not_after = INT64_C(1700000000000000);
    strcpy(result.culprit.subject, "CN=a");
    tls_describe(&result, &target);
    cr_assert_str_eq(result.detail, "ended 2023-11-14T22:13:20Z: \"CN=a\"");

    result = (struct tls_result){.reason = REASON_TLS_CLIENT_CERT_REJECTED_CA, .facts = failed_facts()};
    result.facts.first_alert = 48;
    result.facts.first_alert_fatal = result.facts.certificate_asked = result.facts.certificate_sent = true;
    tls_describe(&result, &target);
    cr_assert_str_eq(result.detail, "fatal alert 48 unknown_ca received for our certificate");
}

/* Who refuses our certificate does not always say why; what we know of it does. */
static const struct {
    int alert;
    bool misused;
    size_t cas;
    bool ours;
    enum reason reason;
} refusals[] = {
    {42, false, 0, false, REASON_TLS_CLIENT_CERT_REJECTED},     {42, false, 2, true, REASON_TLS_CLIENT_CERT_REJECTED},
    {42, false, 2, false, REASON_TLS_CLIENT_CERT_REJECTED_CA},  {43, true, 2, true, REASON_TLS_LOCAL_CERTIFICATE_PROBLEM},
    {46, true, 2, false, REASON_TLS_LOCAL_CERTIFICATE_PROBLEM}, {48, true, 2, true, REASON_TLS_CLIENT_CERT_REJECTED_CA},
    {44, false, 2, false, REASON_TLS_CLIENT_CERT_REJECTED},     {45, true, 2, true, REASON_TLS_CLIENT_CERT_REJECTED},
    {40, false, 1, false, REASON_TLS_CLIENT_CERT_REJECTED_CA},  {-1, false, 0, false, REASON_TLS_CLOSED_DURING_HANDSHAKE},
    {-1, false, 1, true, REASON_TLS_CLOSED_DURING_HANDSHAKE},   {-1, false, 1, false, REASON_TLS_CLIENT_CERT_REJECTED_CA},
    {-1, true, 1, true, REASON_TLS_LOCAL_CERTIFICATE_PROBLEM},  {70, true, 1, false, REASON_TLS_NO_SHARED_PROTOCOL},
};

Test(tls_judge, refusals_of_our_certificate)
{
    static const enum tls_phase phases[] = {TLS_HANDSHAKE, TLS_AFTER, TLS_OPEN};
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        for (size_t k = 0; k < sizeof phases / sizeof phases[0]; k++) {
            struct tls_facts facts = open_facts();
            facts.phase = phases[k];
            facts.failed = facts.certificate_asked = facts.certificate_sent = true;
            facts.answered = false;
            facts.first_count = 8;
            facts.first_alert = refusals[i].alert;
            facts.first_alert_fatal = refusals[i].alert >= 0;
            facts.end_of_file = refusals[i].alert < 0;
            facts.own_misused = refusals[i].misused;
            facts.ca_count = refusals[i].cas;
            facts.ca_ours = refusals[i].ours;
            cr_expect_eq(tls_judge(&facts), refusals[i].reason, "case %zu, phase %d: %s", i, (int)phases[k],
                         reason_name(tls_judge(&facts)));
            /* without a certificate of ours there is nothing to be refused */
            facts.certificate_sent = false;
            cr_expect_neq(tls_judge(&facts), REASON_TLS_LOCAL_CERTIFICATE_PROBLEM);
        }
    }
}

Test(tls_judge, our_own_certificate_ends_soon)
{
    struct tls_facts facts = open_facts();
    facts.own_expiring = true;
    is(&facts, REASON_TLS_EXPIRING_SOON);
    facts.name_wrong = true;
    is(&facts, REASON_TLS_WRONG_PRINCIPAL);
}
