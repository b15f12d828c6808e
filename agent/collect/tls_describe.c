/*
 * The text of a reason: the values that whoever has to act needs, those first that the reason's resolution speaks of,
 * because a notification has less room. Pure, as the judgement is.
 */
#include "collect/tls_internal.h"

#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"

static const char *date(int64_t wall, char out[CLOCK_TEXT_SIZE])
{
    return clock_text(wall, out, CLOCK_TEXT_SIZE);
}

/* The certificate that ends first. */
static const char *first_to_end(const struct tls_result *result)
{
    for (size_t i = 0; i < result->certificate_count; i++) {
        if (result->certificates[i].not_after == result->not_after)
            return result->certificates[i].subject;
    }
    return "";
}

static void describe_revocation(struct tls_result *result)
{
    const struct observation_certificate *culprit = &result->culprit;
    const struct tls_facts *facts = &result->facts;
    char *out = result->detail, when[CLOCK_TEXT_SIZE];
    size_t size = sizeof result->detail;
    switch (result->verify_error) {
    case X509_V_ERR_OCSP_VERIFY_NEEDED:
        text_format(out, size, "no OCSP response came, and the certificate demands one (must-staple): \"%s\"",
                    culprit->subject);
        break;
    case X509_V_ERR_OCSP_CERT_UNKNOWN:
        text_format(out, size, "the OCSP response does not know serial %s of \"%s\"", culprit->serial,
                    culprit->subject);
        break;
    case X509_V_ERR_OCSP_VERIFY_FAILED:
        if (facts->staple == TLS_STAPLE_STALE && facts->staple_time != CLOCK_NEVER)
            text_format(out, size, "the OCSP response that came ended %s", date(facts->staple_time, when));
        else
            text_format(out, size, "the OCSP response that came is %s",
                        facts->staple == TLS_STAPLE_STALE ? "not of now" : "not one of the certificate's issuer");
        text_append(out, size, ": \"%s\"", culprit->subject);
        break;
    default:
        text_format(out, size, "no valid CRL of \"%s\"%s", culprit->issuer,
                    result->verify_error == X509_V_ERR_CRL_HAS_EXPIRED ? ", only an expired one" : "");
        break;
    }
}

static void describe_verification(struct tls_result *result, const struct tls_target *target)
{
    const char *wanted = target->verify_name;
    const struct observation_certificate *culprit = &result->culprit;
    const struct tls_facts *facts = &result->facts;
    char *out = result->detail, when[CLOCK_TEXT_SIZE];
    size_t size = sizeof result->detail;
    switch (result->reason) {
    case REASON_TLS_UNTRUSTED_ROOT:
        if (strcmp(culprit->subject, culprit->issuer) == 0)
            text_format(out, size, "root \"%s\" is not trusted here", culprit->subject);
        else
            text_format(out, size, "issuer \"%s\" is neither sent nor trusted here", culprit->issuer);
        break;
    case REASON_TLS_INCOMPLETE_CHAIN:
        text_format(out, size, "issuer \"%s\" not sent%s", result->missing,
                    facts->intermediate_known ? "" : ", nor known here");
        break;
    case REASON_TLS_WRONG_PRINCIPAL:
        text_format(out, size, "wanted %.100s, offered %s", wanted,
                    result->certificate_count && result->certificates[0].names[0] ? result->certificates[0].names
                                                                                  : "no names");
        break;
    case REASON_TLS_EXPIRED:
        text_format(out, size, "ended %s: \"%s\"", date(culprit->not_after, when), culprit->subject);
        break;
    case REASON_TLS_NOT_YET_VALID:
        text_format(out, size, "begins %s: \"%s\"", date(culprit->not_before, when), culprit->subject);
        break;
    case REASON_TLS_SELF_SIGNED:
        text_format(out, size, "signed by itself: \"%s\"", culprit->subject);
        break;
    case REASON_TLS_REVOKED:
        if (facts->staple == TLS_STAPLE_REVOKED)
            text_format(out, size, "revoked %s, says its OCSP response: serial %s of \"%s\"",
                        date(facts->staple_time, when), culprit->serial, culprit->subject);
        else
            text_format(out, size, "revoked: serial %s of \"%s\"", culprit->serial, culprit->subject);
        break;
    case REASON_TLS_REVOCATION_UNKNOWN:
        describe_revocation(result);
        break;
    case REASON_TLS_DANE_MISMATCH:
        text_format(out, size, "the chain fits none of the %zu TLSA records of %s; leaf \"%s\"", target->tlsa_count,
                    target->tlsa_host, result->certificate_count ? result->certificates[0].subject : "");
        break;
    case REASON_TLS_PIN_MISMATCH:
        text_format(out, size, "no key of the chain is pinned; leaf \"%s\"",
                    result->certificate_count ? result->certificates[0].subject : "");
        break;
    default:
        break;
    }
    if (result->verify_error && out[0] == '\0')
        text_format(out, size, "%s: \"%s\"", X509_verify_cert_error_string(result->verify_error), culprit->subject);
}

static void describe_connection(struct tls_result *result)
{
    const struct tls_facts *facts = &result->facts;
    char *out = result->detail, text[40];
    size_t size = sizeof result->detail;
    const char *when = facts->first_count == 0 ? "before it sent anything"
                       : facts->phase == TLS_HANDSHAKE
                           ? (facts->certificate_asked ? "after it asked for our certificate" : "in the handshake")
                           : "after the handshake";
    if (facts->first_alert > 0)
        text_format(out, size, "%s alert %d %s received%s", facts->first_alert_fatal ? "fatal" : "warning",
                    facts->first_alert, tls_alert_name(facts->first_alert),
                    !facts->certificate_asked ? ""
                    : facts->certificate_sent ? " for our certificate"
                                              : ", a certificate was asked for and we have none");
    else if (facts->timed_out)
        text_format(out, size, "silent %s", facts->first_count == 0 ? "since our ClientHello" : "in mid-handshake");
    else if (facts->flooded)
        text_format(out, size, "more than %d octets before the handshake was done", TLS_INPUT_OCTETS);
    else if (result->reason == REASON_TLS_PLAINTEXT) {
        text_printable(text, sizeof text, facts->first, facts->first_count);
        text_format(out, size, "answered \"%s\"", text);
    } else if (facts->errno_value)
        text_format(out, size, "%s %s", strerror(facts->errno_value), when);
    else if (facts->end_of_file)
        text_format(out, size, "closed %s", when);
    else if (facts->library) {
        const char *said = ERR_reason_error_string(facts->library);
        text_format(out, size, "%s", said ? said : "error without a text");
    }
}

/* What else is wrong with the chain, behind the deciding error, which is cut for it: its names may be long. */
static void describe_others(struct tls_result *result)
{
    enum reason reasons[TLS_REASONS_MAX];
    char others[OBSERVATION_DETAIL / 2] = "", first[OBSERVATION_DETAIL];
    size_t count = tls_reasons(&result->facts, reasons);
    for (size_t i = 0; i < count; i++)
        if (reasons[i] != result->reason)
            text_append(others, sizeof others, "%s%s", others[0] ? ", " : "; also ", reason_name(reasons[i]));
    text_copy(first, sizeof result->detail - strlen(others), result->detail);
    text_format(result->detail, sizeof result->detail, "%s%s", first, others);
}

void tls_describe_own(const struct tls_result *result, char *out, size_t size)
{
    const struct tls_facts *facts = &result->facts;
    if (facts->certificate_sent && facts->own_misused)
        text_append(out, size, "; our certificate is not one of a client (extended key usage): \"%s\"",
                    result->own_subject);
    if (facts->ca_count > 0 && !facts->ca_ours)
        text_append(out, size, "; %s %zu CAs that it names: %s",
                    facts->certificate_sent ? "the issuer of ours is none of the" : "it takes those of the",
                    facts->ca_count, result->peer_cas);
}

static bool is_refusal(enum reason reason)
{
    return reason == REASON_TLS_CLIENT_CERT_REQUIRED || reason == REASON_TLS_CLIENT_CERT_REJECTED ||
           reason == REASON_TLS_CLIENT_CERT_REJECTED_CA || reason == REASON_TLS_LOCAL_CERTIFICATE_PROBLEM ||
           reason == REASON_TLS_CLOSED_DURING_HANDSHAKE;
}

static void describe_own_dates(struct tls_result *result)
{
    const struct tls_facts *facts = &result->facts;
    char when[CLOCK_TEXT_SIZE];
    bool begun = clock_wall() >= facts->own_begin;
    text_format(result->detail, sizeof result->detail, "our own certificate %s %s and the peer asks for it: \"%s\"",
                begun ? "ended" : "begins", date(begun ? facts->own_end : facts->own_begin, when), result->own_subject);
}

static void describe_expiring(struct tls_result *result)
{
    char when[CLOCK_TEXT_SIZE];
    bool ours = result->facts.own_expiring && result->facts.own_end == result->not_after;
    text_format(result->detail, sizeof result->detail, "%sends %s: \"%s\"", ours ? "our own certificate " : "",
                date(result->not_after, when), ours ? result->own_subject : first_to_end(result));
}

void tls_describe(struct tls_result *result, const struct tls_target *target)
{
    const struct tls_facts *facts = &result->facts;
    int deciding;
    result->detail[0] = '\0';
    if (result->reason == REASON_NONE || facts->local_problem)
        return;
    if (result->reason == REASON_TLS_EXPIRING_SOON)
        describe_expiring(result);
    else if (tls_judge_chain(facts, &deciding) == result->reason) {
        describe_verification(result, target);
        describe_others(result);
    } else if (facts->own_expired && result->reason == REASON_TLS_LOCAL_CERTIFICATE_PROBLEM)
        describe_own_dates(result);
    else {
        describe_connection(result);
        if (is_refusal(result->reason))
            tls_describe_own(result, result->detail, sizeof result->detail);
    }
}
