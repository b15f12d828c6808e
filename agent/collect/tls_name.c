/*
 * Reference identities against the subject alternative names of a certificate. The subject's common name is never
 * looked at (RFC 9525 section 2), so a certificate without such names matches nothing.
 *
 * A presented name counts only when its ASN.1 type is the right one, all its octets are ASCII and none is NUL: what
 * an application further down could read as another name must not match here. Names are compared as whole strings
 * without regard to ASCII case; internationalised names are compared as A-labels, which is how both sides have them.
 */
#include "collect/tls_internal.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

struct span {
    const char *text;
    size_t length;
};

static bool plain(struct span name)
{
    for (size_t i = 0; i < name.length; i++) {
        if (name.text[i] <= ' ' || name.text[i] >= 0x7f)
            return false; /* char may be signed: octets of 0x80 and more are below ' ' then, else above 0x7f */
    }
    return name.length > 0;
}

static struct span string_span(const ASN1_STRING *string)
{
    return (struct span){(const char *)ASN1_STRING_get0_data(string), (size_t)ASN1_STRING_length(string)};
}

static bool equal(struct span a, struct span b)
{
    return a.length == b.length && strncasecmp(a.text, b.text, a.length) == 0;
}

/*
 * RFC 9525 section 6.3: the wildcard is the complete left-most label and stands for exactly one label. At least two
 * labels must follow it, so that nobody holds a certificate for a whole top-level domain.
 */
static bool matches_host(struct span presented, struct span wanted, bool wildcards)
{
    if (!plain(presented))
        return false;
    if (equal(presented, wanted))
        return memchr(presented.text, '*', presented.length) == NULL;
    if (!wildcards || presented.length < 2 || presented.text[0] != '*' || presented.text[1] != '.')
        return false;
    struct span suffix = {presented.text + 1, presented.length - 1};
    if (memchr(suffix.text, '*', suffix.length) || !memchr(suffix.text + 1, '.', suffix.length - 1))
        return false;
    const char *dot = memchr(wanted.text, '.', wanted.length);
    if (!dot || dot == wanted.text)
        return false;
    return equal(suffix, (struct span){dot, wanted.length - (size_t)(dot - wanted.text)});
}

static bool is_dns(const GENERAL_NAME *name)
{
    return name->type == GEN_DNS && ASN1_STRING_type(name->d.dNSName) == V_ASN1_IA5STRING;
}

static bool any_dns(const GENERAL_NAMES *names, int count, struct span wanted, bool wildcards)
{
    for (int i = 0; i < count; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (is_dns(name) && matches_host(string_span(name->d.dNSName), wanted, wildcards))
            return true;
    }
    return false;
}

static bool any_address(const GENERAL_NAMES *names, int count, const uint8_t *octets, size_t length)
{
    for (int i = 0; i < count; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_IPADD || ASN1_STRING_type(name->d.iPAddress) != V_ASN1_OCTET_STRING)
            continue;
        struct span presented = string_span(name->d.iPAddress);
        if (presented.length == length && memcmp(presented.text, octets, length) == 0)
            return true;
    }
    return false;
}

static bool matches_host_identity(const GENERAL_NAMES *names, int count, const char *name, struct span wanted)
{
    uint8_t octets[16];
    if (inet_pton(AF_INET, name, octets) == 1)
        return any_address(names, count, octets, 4);
    if (inet_pton(AF_INET6, name, octets) == 1)
        return any_address(names, count, octets, 16);
    return any_dns(names, count, wanted, true);
}

/*
 * The host part of a URI that is a SIP domain identity (RFC 5922 section 7.1): scheme "sip", not "sips", and no user
 * part. Port, parameters and headers are no part of it.
 */
static bool sip_domain(const GENERAL_NAME *name, struct span *domain)
{
    if (name->type != GEN_URI || ASN1_STRING_type(name->d.uniformResourceIdentifier) != V_ASN1_IA5STRING)
        return false;
    struct span uri = string_span(name->d.uniformResourceIdentifier);
    if (!plain(uri) || uri.length <= 4 || strncasecmp(uri.text, "sip:", 4) != 0 || memchr(uri.text, '@', uri.length))
        return false;
    domain->text = uri.text + 4;
    domain->length = 0;
    while (domain->length < uri.length - 4 && !strchr(":;?", domain->text[domain->length]))
        domain->length++;
    return domain->length > 0;
}

static bool matches_sip_identity(const GENERAL_NAMES *names, int count, struct span wanted)
{
    bool has_domain = false;
    for (int i = 0; i < count; i++) {
        struct span domain;
        if (!sip_domain(sk_GENERAL_NAME_value(names, i), &domain))
            continue;
        has_domain = true;
        if (matches_host(domain, wanted, false))
            return true;
    }
    return !has_domain && any_dns(names, count, wanted, false);
}

#define XMPP_SERVER "_xmpp-server."
#define XMPP_CLIENT "_xmpp-client."

/* otherName: SRVName (RFC 4985) is an IA5String "_service.domain", XmppAddr (RFC 6120) a UTF8String. */
static bool xmpp_domain(const GENERAL_NAME *name, const char *service, struct span *domain)
{
    size_t length = strlen(service);
    if (name->type != GEN_OTHERNAME)
        return false;
    const ASN1_TYPE *value = name->d.otherName->value;
    int kind = OBJ_obj2nid(name->d.otherName->type_id);
    if (kind == NID_XmppAddr && value->type == V_ASN1_UTF8STRING) {
        *domain = string_span(value->value.utf8string);
        return true;
    }
    if (kind != NID_SRVName || value->type != V_ASN1_IA5STRING)
        return false;
    *domain = string_span(value->value.ia5string);
    if (domain->length <= length || strncasecmp(domain->text, service, length) != 0)
        return false;
    domain->text += length;
    domain->length -= length;
    return true;
}

static bool matches_other_name(const GENERAL_NAME *name, const char *service, struct span wanted)
{
    struct span domain;
    return xmpp_domain(name, service, &domain) && matches_host(domain, wanted, false);
}

static bool matches_xmpp_identity(const GENERAL_NAMES *names, int count, const char *service, struct span wanted)
{
    for (int i = 0; i < count; i++) {
        if (matches_other_name(sk_GENERAL_NAME_value(names, i), service, wanted))
            return true;
    }
    return any_dns(names, count, wanted, true);
}

bool tls_name_matches(X509 *certificate, enum tls_identity identity, const char *name)
{
    struct span wanted = {name, strlen(name)};
    if (wanted.length > 0 && name[wanted.length - 1] == '.')
        wanted.length--;
    if (!plain(wanted) || memchr(name, '*', wanted.length))
        return false;
    /* NULL also when the extension is there twice or cannot be decoded */
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    if (!names)
        return false;
    int count = sk_GENERAL_NAME_num(names);
    if (count > TLS_NAMES_MAX)
        count = TLS_NAMES_MAX;
    bool matches = false;
    switch (identity) {
    case TLS_IDENTITY_HOST:
        matches = matches_host_identity(names, count, name, wanted);
        break;
    case TLS_IDENTITY_SIP:
        matches = matches_sip_identity(names, count, wanted);
        break;
    case TLS_IDENTITY_XMPP:
        matches = matches_xmpp_identity(names, count, XMPP_SERVER, wanted);
        break;
    case TLS_IDENTITY_XMPP_CLIENT:
        matches = matches_xmpp_identity(names, count, XMPP_CLIENT, wanted);
        break;
    case TLS_IDENTITY_ANY:
        break;
    }
    GENERAL_NAMES_free(names);
    return matches;
}

/* The domain that one name stands for: of a wildcard the domain around it. */
static bool any_domain(const GENERAL_NAME *name, struct span *domain)
{
    if (is_dns(name))
        *domain = string_span(name->d.dNSName);
    else if (!sip_domain(name, domain) && !xmpp_domain(name, XMPP_SERVER, domain))
        return false;
    if (domain->length > 2 && domain->text[0] == '*' && domain->text[1] == '.') {
        domain->text += 2;
        domain->length -= 2;
    }
    return plain(*domain) && domain->length < OBSERVATION_NAME;
}

size_t tls_name_domains(X509 *certificate, char (*domains)[OBSERVATION_NAME], size_t max)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    size_t count = 0;
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && i < TLS_NAMES_MAX && count < max; i++) {
        struct span domain;
        char text[OBSERVATION_NAME];
        if (!any_domain(sk_GENERAL_NAME_value(names, i), &domain))
            continue;
        memcpy(text, domain.text, domain.length);
        text[domain.length] = '\0';
        count += conf_hostname(text, domains[count]);
    }
    GENERAL_NAMES_free(names);
    return count;
}
