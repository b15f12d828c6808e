/*
 * What is told of a certificate: every value is taken from a decoded X509, made printable and cut to its room, because
 * the peer chose each octet of it. Names beyond the room are counted out with "..." and never decoded into text.
 */
#include "collect/tls_internal.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"

/* RFC 4514 as OpenSSL writes RFC 2253, except that UTF-8 stays UTF-8. */
#define NAME_FLAGS (XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB)

void tls_record_name(const X509_NAME *name, char *out, size_t size)
{
    out[0] = '\0';
    BIO *memory = BIO_new(BIO_s_mem());
    if (!memory)
        return;
    if (X509_NAME_print_ex(memory, name, 0, NAME_FLAGS) >= 0) {
        char *data = NULL;
        long length = BIO_get_mem_data(memory, &data);
        if (length > 0)
            text_printable(out, size, data, (size_t)length);
    }
    BIO_free(memory);
}

int64_t tls_record_time(const ASN1_TIME *time)
{
    struct tm parts;
    if (!time || !ASN1_TIME_to_tm(time, &parts))
        return CLOCK_NEVER;
    int64_t wall = (int64_t)timegm(&parts) * CLOCK_SECOND;
    return wall == CLOCK_NEVER ? 1 : wall;
}

static void address_name(const ASN1_OCTET_STRING *octets, char *out, size_t size)
{
    int length = ASN1_STRING_length(octets);
    const unsigned char *data = ASN1_STRING_get0_data(octets);
    out[0] = '\0';
    if (length == 4)
        inet_ntop(AF_INET, data, out, (socklen_t)size);
    else if (length == 16)
        inet_ntop(AF_INET6, data, out, (socklen_t)size);
    else
        text_hex(out, size, data, (size_t)length);
}

static void string_name(const char *kind, const ASN1_STRING *string, char *out, size_t size)
{
    char value[OBSERVATION_DETAIL];
    text_printable(value, sizeof value, ASN1_STRING_get0_data(string), (size_t)ASN1_STRING_length(string));
    text_format(out, size, "%s:%s", kind, value);
}

static void other_name(const OTHERNAME *other, char *out, size_t size)
{
    int kind = OBJ_obj2nid(other->type_id);
    const ASN1_TYPE *value = other->value;
    if (kind == NID_SRVName && value->type == V_ASN1_IA5STRING)
        string_name("SRV", value->value.ia5string, out, size);
    else if (kind == NID_XmppAddr && value->type == V_ASN1_UTF8STRING)
        string_name("XMPP", value->value.utf8string, out, size);
    else {
        char oid[80];
        OBJ_obj2txt(oid, sizeof oid, other->type_id, 1);
        text_format(out, size, "other:%s", oid);
    }
}

static void general_name(const GENERAL_NAME *name, char *out, size_t size)
{
    char address[64];
    switch (name->type) {
    case GEN_DNS:
        string_name("DNS", name->d.dNSName, out, size);
        break;
    case GEN_URI:
        string_name("URI", name->d.uniformResourceIdentifier, out, size);
        break;
    case GEN_EMAIL:
        string_name("email", name->d.rfc822Name, out, size);
        break;
    case GEN_IPADD:
        address_name(name->d.iPAddress, address, sizeof address);
        text_format(out, size, "IP:%s", address);
        break;
    case GEN_OTHERNAME:
        other_name(name->d.otherName, out, size);
        break;
    default:
        text_format(out, size, "type %d", name->type);
        break;
    }
}

static void record_names(X509 *certificate, char *out, size_t size)
{
    static const char more[] = ", ...";
    out[0] = '\0';
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    size_t used = 0;
    int count = names ? sk_GENERAL_NAME_num(names) : 0;
    for (int i = 0; i < count; i++) {
        char text[OBSERVATION_DETAIL];
        general_name(sk_GENERAL_NAME_value(names, i), text, sizeof text);
        size_t room = size - used - (i + 1 < count ? sizeof more : 1);
        if (strlen(text) + (used ? 2 : 0) > room) {
            text_append(out, size, "%s", used ? more : "...");
            break;
        }
        used = text_append(out, size, "%s%s", used ? ", " : "", text);
    }
    GENERAL_NAMES_free(names);
}

static void record_key(X509 *certificate, struct observation_certificate *out)
{
    EVP_PKEY *key = X509_get0_pubkey(certificate);
    if (!key)
        return;
    int bits = EVP_PKEY_get_bits(key);
    out->key_bits = bits < 0 ? 0 : bits > UINT16_MAX ? UINT16_MAX : (uint16_t)bits;
    char group[20] = "";
    const char *curve;
    switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA:
        text_copy(out->key_algorithm, sizeof out->key_algorithm, "RSA");
        break;
    case EVP_PKEY_RSA_PSS:
        text_copy(out->key_algorithm, sizeof out->key_algorithm, "RSA-PSS");
        break;
    case EVP_PKEY_EC:
        EVP_PKEY_get_group_name(key, group, sizeof group, NULL);
        curve = EC_curve_nid2nist(OBJ_sn2nid(group));
        text_format(out->key_algorithm, sizeof out->key_algorithm, "EC %s", curve ? curve : group);
        break;
    default:
        if (EVP_PKEY_get0_type_name(key))
            text_copy(out->key_algorithm, sizeof out->key_algorithm, EVP_PKEY_get0_type_name(key));
        break;
    }
}

/* RFC 5280 forbids a negative serial number; a hostile one is shown as it is. */
static void record_serial(X509 *certificate, char *out, size_t size)
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(certificate);
    size_t sign = ASN1_STRING_type(serial) == V_ASN1_NEG_INTEGER ? text_copy(out, size, "-") : 0;
    text_hex(out + sign, size - sign, ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial));
}

void tls_record_certificate(X509 *certificate, struct observation_certificate *out)
{
    memset(out, 0, sizeof *out);
    tls_record_name(X509_get_subject_name(certificate), out->subject, sizeof out->subject);
    tls_record_name(X509_get_issuer_name(certificate), out->issuer, sizeof out->issuer);
    record_names(certificate, out->names, sizeof out->names);
    record_serial(certificate, out->serial, sizeof out->serial);
    out->not_before = tls_record_time(X509_get0_notBefore(certificate));
    out->not_after = tls_record_time(X509_get0_notAfter(certificate));
    record_key(certificate, out);
    const X509_ALGOR *algorithm;
    const ASN1_OBJECT *object;
    X509_get0_signature(NULL, &algorithm, certificate);
    X509_ALGOR_get0(&object, NULL, NULL, algorithm);
    OBJ_obj2txt(out->signature_algorithm, sizeof out->signature_algorithm, object, 0);
    out->reason = REASON_NONE;
}
