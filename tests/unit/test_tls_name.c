#include <criterion/criterion.h>
#include <stdarg.h>
#include <string.h>

#include "collect/tls_internal.h"

/* A certificate with these names, as a decoder would have made it: through DER. */
static X509 *certificate_of(GENERAL_NAMES *names)
{
    X509 *made = X509_new();
    X509_NAME_add_entry_by_txt(X509_get_subject_name(made), "CN", MBSTRING_ASC, (const unsigned char *)"cn.test", -1,
                               -1, 0);
    if (names)
        cr_assert(X509_add1_ext_i2d(made, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT));
    GENERAL_NAMES_free(names);
    return made;
}

static void add_octets(GENERAL_NAMES *names, int kind, const void *octets, int length)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *string = ASN1_STRING_type_new(kind == GEN_IPADD ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING);
    ASN1_STRING_set(string, octets, length);
    GENERAL_NAME_set0_value(name, kind, string);
    sk_GENERAL_NAME_push(names, name);
}

static void add_other(GENERAL_NAMES *names, int kind, int type, const char *text)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_TYPE *value = ASN1_TYPE_new();
    ASN1_STRING *string = ASN1_STRING_type_new(type);
    ASN1_STRING_set(string, text, -1);
    ASN1_TYPE_set(value, type, string);
    GENERAL_NAME_set0_othername(name, OBJ_dup(OBJ_nid2obj(kind)), value);
    sk_GENERAL_NAME_push(names, name);
}

static GENERAL_NAMES *parse(const char *list)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    char copy[256], *rest = copy, *word;
    strcpy(copy, list);
    while ((word = strsep(&rest, " ")) && *word) {
        char *value = strchr(word, ':') + 1;
        if (!strncmp(word, "DNS:", 4))
            add_octets(names, GEN_DNS, value, (int)strlen(value));
        else if (!strncmp(word, "URI:", 4))
            add_octets(names, GEN_URI, value, (int)strlen(value));
        else if (!strncmp(word, "SRV:", 4))
            add_other(names, NID_SRVName, V_ASN1_IA5STRING, value);
        else
            add_other(names, NID_XmppAddr, V_ASN1_UTF8STRING, value);
    }
    return names;
}

static const struct {
    const char *names;
    enum tls_identity identity;
    const char *wanted;
    bool matches;
} cases[] = {
    {"DNS:a.test", TLS_IDENTITY_HOST, "a.test", true},
    {"DNS:A.Test", TLS_IDENTITY_HOST, "a.tEST", true},
    {"DNS:a.test", TLS_IDENTITY_HOST, "a.test.", true},
    {"DNS:a.test", TLS_IDENTITY_HOST, "a.test.evil", false},
    {"DNS:a.test", TLS_IDENTITY_HOST, "b.a.test", false},
    {"DNS:b.test DNS:a.test", TLS_IDENTITY_HOST, "a.test", true},
    {"DNS:a.test.", TLS_IDENTITY_HOST, "a.test", false},
    {"DNS:*.p.test", TLS_IDENTITY_HOST, "a.p.test", true},
    {"DNS:*.p.test", TLS_IDENTITY_HOST, "p.test", false},
    {"DNS:*.p.test", TLS_IDENTITY_HOST, ".p.test", false},
    {"DNS:*.p.test", TLS_IDENTITY_HOST, "b.a.p.test", false},
    {"DNS:*.p.test", TLS_IDENTITY_HOST, "*.p.test", false},
    {"DNS:*.test", TLS_IDENTITY_HOST, "a.test", false},
    {"DNS:*", TLS_IDENTITY_HOST, "test", false},
    {"DNS:*.*.test", TLS_IDENTITY_HOST, "a.b.test", false},
    {"DNS:a*.p.test", TLS_IDENTITY_HOST, "ab.p.test", false},
    {"DNS:a.*.test", TLS_IDENTITY_HOST, "a.p.test", false},
    {"DNS:*.p.test", TLS_IDENTITY_HOST, "xn--bcher-kva.p.test", true},
    {"DNS:xn--bcher-kva.test", TLS_IDENTITY_HOST, "xn--bcher-kva.test", true},
    {"DNS:b\xc3\xbc"
     "cher.test",
     TLS_IDENTITY_HOST,
     "b\xc3\xbc"
     "cher.test",
     false},
    {"DNS:192.0.2.1", TLS_IDENTITY_HOST, "192.0.2.1", false},
    {"URI:sip:a.test", TLS_IDENTITY_HOST, "a.test", false},
    {"", TLS_IDENTITY_HOST, "cn.test", false},
    {"DNS:a.test", TLS_IDENTITY_HOST, "", false},
    {"DNS:", TLS_IDENTITY_HOST, "", false},
    {"URI:sip:a.test", TLS_IDENTITY_SIP, "a.test", true},
    {"URI:SIP:A.test", TLS_IDENTITY_SIP, "a.test", true},
    {"URI:sip:a.test:5061;transport=tls", TLS_IDENTITY_SIP, "a.test", true},
    {"URI:sip:user@a.test", TLS_IDENTITY_SIP, "a.test", false},
    {"URI:sip:a.test;x=user@b", TLS_IDENTITY_SIP, "a.test", false},
    {"URI:sips:a.test", TLS_IDENTITY_SIP, "a.test", false},
    {"URI:https://a.test", TLS_IDENTITY_SIP, "a.test", false},
    {"URI:sip:*.p.test", TLS_IDENTITY_SIP, "a.p.test", false},
    {"DNS:a.test", TLS_IDENTITY_SIP, "a.test", true},
    {"DNS:*.p.test", TLS_IDENTITY_SIP, "a.p.test", false},
    {"DNS:a.test URI:sip:b.test", TLS_IDENTITY_SIP, "a.test", false},
    {"DNS:a.test URI:sip:user@b.test", TLS_IDENTITY_SIP, "a.test", true},
    {"DNS:a.test URI:sip:b.test", TLS_IDENTITY_SIP, "b.test", true},
    {"DNS:b.a.test", TLS_IDENTITY_SIP, "a.test", false},
    {"SRV:_xmpp-server.a.test", TLS_IDENTITY_XMPP, "a.test", true},
    {"SRV:_XMPP-Server.A.test", TLS_IDENTITY_XMPP, "a.test", true},
    {"SRV:_xmpp-client.a.test", TLS_IDENTITY_XMPP, "a.test", false},
    {"SRV:_xmpp-server.*.p.test", TLS_IDENTITY_XMPP, "a.p.test", false},
    {"SRV:_xmpp-server.", TLS_IDENTITY_XMPP, "a.test", false},
    {"XMPP:a.test", TLS_IDENTITY_XMPP, "a.test", true},
    {"XMPP:user@a.test", TLS_IDENTITY_XMPP, "a.test", false},
    {"DNS:a.test", TLS_IDENTITY_XMPP, "a.test", true},
    {"DNS:*.p.test", TLS_IDENTITY_XMPP, "a.p.test", true},
    {"SRV:_xmpp-server.a.test", TLS_IDENTITY_HOST, "a.test", false},
    {"XMPP:a.test", TLS_IDENTITY_SIP, "a.test", false},
};

Test(tls_name, identities)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        X509 *made = certificate_of(cases[i].names[0] ? parse(cases[i].names) : NULL);
        cr_expect_eq(tls_name_matches(made, cases[i].identity, cases[i].wanted), cases[i].matches, "%s for %s",
                     cases[i].names, cases[i].wanted);
        X509_free(made);
    }
}

Test(tls_name, a_nul_does_not_end_a_name)
{
    static const char hidden[] = "a.test\0.evil.test";
    for (int kind = GEN_DNS; kind <= GEN_URI; kind += GEN_URI - GEN_DNS) {
        GENERAL_NAMES *names = GENERAL_NAMES_new();
        add_octets(names, kind, hidden, sizeof hidden - 1);
        add_octets(names, kind, "a.test", 7);
        add_octets(names, GEN_URI, "sip:a.test", 11);
        X509 *made = certificate_of(names);
        for (enum tls_identity identity = TLS_IDENTITY_HOST; identity <= TLS_IDENTITY_XMPP; identity++)
            cr_expect_not(tls_name_matches(made, identity, "a.test"));
        X509_free(made);
    }
}

Test(tls_name, addresses)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    unsigned char ipv6[16] = {0x20, 1, 0xd, 0xb8, [15] = 1};
    add_octets(names, GEN_IPADD, "\xc0\x00\x02\x01", 4);
    add_octets(names, GEN_IPADD, ipv6, 16);
    add_octets(names, GEN_IPADD, "\xc0\x00\x02\x07\xff", 5);
    X509 *made = certificate_of(names);
    cr_expect(tls_name_matches(made, TLS_IDENTITY_HOST, "192.0.2.1"));
    cr_expect(tls_name_matches(made, TLS_IDENTITY_HOST, "2001:db8:0::1"));
    cr_expect_not(tls_name_matches(made, TLS_IDENTITY_HOST, "192.0.2.7"));
    cr_expect_not(tls_name_matches(made, TLS_IDENTITY_HOST, "2001:db8::2"));
    X509_free(made);
}

Test(tls_name, thousands_of_names_are_bounded)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    for (int i = 0; i < TLS_NAMES_MAX; i++)
        add_octets(names, GEN_DNS, i == TLS_NAMES_MAX - 1 ? "last.test" : "x.test", i == TLS_NAMES_MAX - 1 ? 9 : 6);
    add_octets(names, GEN_DNS, "beyond.test", 11);
    X509 *made = certificate_of(names);
    cr_expect(tls_name_matches(made, TLS_IDENTITY_HOST, "last.test"));
    cr_expect_not(tls_name_matches(made, TLS_IDENTITY_HOST, "beyond.test"));
    X509_free(made);
}

Test(tls_name, an_extension_twice_or_broken_matches_nothing)
{
    X509 *made = certificate_of(parse("DNS:a.test"));
    X509_EXTENSION *again = X509_EXTENSION_dup(X509_get_ext(made, 0));
    X509_add_ext(made, again, -1);
    cr_expect_not(tls_name_matches(made, TLS_IDENTITY_HOST, "a.test"));
    X509_EXTENSION_free(again);
    X509_free(made);
    made = certificate_of(parse("DNS:a.test"));
    ASN1_OCTET_STRING *data = X509_EXTENSION_get_data(X509_get_ext(made, 0));
    cr_assert(ASN1_STRING_set(data,
                              "\x30\x7f\x82\x06"
                              "a.test",
                              10));
    cr_expect_not(tls_name_matches(made, TLS_IDENTITY_HOST, "a.test"));
    X509_free(made);
}
