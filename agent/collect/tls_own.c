/*
 * Our own certificate as a client: what is wrong with it is ours, whatever the peer says of it. What can be known
 * without the peer (its dates, what it may be used for) is noted when it is loaded; whether the peer would take one of
 * its issuer follows from the CAs that the peer names in its request (RFC 8446 section 4.2.4, RFC 5246 section 7.4.4).
 * Most name some; who names none takes any.
 */
#include "collect/tls_internal.h"

#include <string.h>

#include "base/clock.h"
#include "base/text.h"

void tls_own_describe(struct tls_trust *trust, X509 *certificate)
{
    uint32_t usage = X509_get_extended_key_usage(certificate); /* all bits where there is no such extension */
    trust->has_certificate = true;
    trust->own_begin = tls_record_time(X509_get0_notBefore(certificate));
    trust->own_end = tls_record_time(X509_get0_notAfter(certificate));
    trust->own_misused = !(usage & (XKU_SSL_CLIENT | XKU_ANYEKU));
    tls_record_name(X509_get_subject_name(certificate), trust->own_subject, sizeof trust->own_subject);
}

static bool is_among(const STACK_OF(X509_NAME) * names, const X509_NAME *name)
{
    for (int i = 0; i < sk_X509_NAME_num(names); i++)
        if (X509_NAME_cmp(sk_X509_NAME_value(names, i), name) == 0)
            return true;
    return false;
}

static bool issuer_is_among(const struct tls_trust *trust, const STACK_OF(X509_NAME) * names)
{
    X509 *own = SSL_CTX_get0_certificate(trust->context);
    if (own && is_among(names, X509_get_issuer_name(own)))
        return true;
    for (int i = 0; i < sk_X509_num(trust->chain); i++)
        if (is_among(names, X509_get_issuer_name(sk_X509_value(trust->chain, i))))
            return true;
    return false;
}

static const STACK_OF(X509_NAME) * named_cas(const struct tls_session *session)
{
    return session->ssl && !session->trust->server ? SSL_get0_peer_CA_list(session->ssl) : NULL;
}

static void quote_names(const STACK_OF(X509_NAME) * names, char *out, size_t size)
{
    out[0] = '\0';
    for (int i = 0; i < sk_X509_NAME_num(names); i++) {
        char name[OBSERVATION_DETAIL];
        tls_record_name(sk_X509_NAME_value(names, i), name, sizeof name);
        size_t used = strlen(out), needed = strlen(name) + sizeof ", \"\", ...";
        if (used + needed > size) {
            text_append(out, size, "%s", used ? ", ..." : "...");
            return;
        }
        text_append(out, size, "%s\"%s\"", used ? ", " : "", name);
    }
}

void tls_own_facts(struct tls_session *session)
{
    struct tls_facts *facts = &session->facts;
    struct tls_result *result = session->result;
    const struct tls_trust *trust = session->trust;
    const STACK_OF(X509_NAME) *names = named_cas(session);
    int64_t now = clock_wall(), period = (int64_t)session->target->expiry_days * 86400 * CLOCK_SECOND;
    int scheme;
    /* libssl has chosen how to sign only when it found our certificate fit for what the peer asked */
    facts->certificate_sent = session->ssl && facts->certificate_asked && trust->has_certificate &&
                              SSL_get_signature_nid(session->ssl, &scheme) == 1;
    facts->own_begin = trust->own_begin;
    facts->own_end = trust->own_end;
    facts->own_expired = trust->has_certificate && (now < trust->own_begin || now > trust->own_end);
    facts->own_expiring = facts->certificate_sent && !facts->own_expired && trust->own_end - now < period;
    facts->own_misused = trust->has_certificate && trust->own_misused;
    facts->ca_count = names ? (size_t)sk_X509_NAME_num(names) : 0;
    facts->ca_ours = trust->has_certificate && issuer_is_among(trust, names);
    text_copy(result->own_subject, sizeof result->own_subject, trust->own_subject);
    quote_names(names, result->peer_cas, sizeof result->peer_cas);
    if (facts->own_expiring && result->not_after != CLOCK_NEVER && trust->own_end < result->not_after)
        result->not_after = trust->own_end;
}

size_t tls_peer_cas(const struct tls_session *session, char (*names)[OBSERVATION_DETAIL], size_t max)
{
    const STACK_OF(X509_NAME) *named = named_cas(session);
    size_t count = named ? (size_t)sk_X509_NAME_num(named) : 0;
    if (count > max)
        count = max;
    for (size_t i = 0; i < count; i++)
        tls_record_name(sk_X509_NAME_value(named, (int)i), names[i], OBSERVATION_DETAIL);
    return count;
}
