#include <criterion/criterion.h>
#include <string.h>

#include "base/clock.h"
#include "collect/tls_internal.h"

static void add_name(X509_NAME *name, const char *field, const void *octets, int length)
{
    cr_assert(X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, octets, length, -1, 0));
}

static void set_names(X509 *certificate, const char *const *list, size_t count)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    for (size_t i = 0; i < count; i++) {
        GENERAL_NAME *name = GENERAL_NAME_new();
        ASN1_STRING *string = ASN1_STRING_type_new(V_ASN1_IA5STRING);
        ASN1_STRING_set(string, list[i], -1);
        GENERAL_NAME_set0_value(name, GEN_DNS, string);
        sk_GENERAL_NAME_push(names, name);
    }
    cr_assert(X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT));
    GENERAL_NAMES_free(names);
}

Test(tls_record, values_of_a_certificate)
{
    X509 *made = X509_new();
    static const unsigned char serial[] = {0x01, 0xab, 0x00, 0xff};
    EVP_PKEY *key = EVP_EC_gen("P-384");
    X509_set_version(made, X509_VERSION_3);
    ASN1_STRING_set(X509_get_serialNumber(made), serial, sizeof serial);
    ASN1_TIME_set(X509_getm_notBefore(made), 1700000000);
    ASN1_TIME_set(X509_getm_notAfter(made), 1800000000);
    add_name(X509_get_subject_name(made), "O", "Example, Inc.", -1);
    add_name(X509_get_subject_name(made), "CN", "caf\xc3\xa9", -1);
    add_name(X509_get_issuer_name(made), "CN", "CA", -1);
    static const char *const names[] = {"a.test", "b.test"};
    set_names(made, names, 2);
    X509_set_pubkey(made, key);
    cr_assert(X509_sign(made, key, EVP_sha384()) > 0);
    struct observation_certificate record;
    tls_record_certificate(made, &record);
    cr_expect_str_eq(record.subject, "CN=caf\xc3\xa9,O=Example\\, Inc.");
    cr_expect_str_eq(record.issuer, "CN=CA");
    cr_expect_str_eq(record.names, "DNS:a.test, DNS:b.test");
    cr_expect_str_eq(record.serial, "01ab00ff");
    cr_expect_eq(record.not_before, 1700000000 * CLOCK_SECOND);
    cr_expect_eq(record.not_after, 1800000000 * CLOCK_SECOND);
    cr_expect_str_eq(record.key_algorithm, "EC P-384");
    cr_expect_eq(record.key_bits, 384);
    cr_expect_str_eq(record.signature_algorithm, "ecdsa-with-SHA384");
    X509_free(made);
    EVP_PKEY_free(key);
}

Test(tls_record, hostile_text_stays_printable_and_in_its_room)
{
    X509 *made = X509_new();
    char many[200];
    memset(many, 'n', sizeof many - 1);
    many[sizeof many - 1] = '\0';
    const char *const names[] = {"a\nb\x1b[31m.test", many, many, "last.test"};
    set_names(made, names, 4);
    for (int i = 0; i < 40; i++)
        add_name(X509_get_subject_name(made), "CN", "evil\n\x1b]0;title\x07 x", -1);
    struct observation_certificate record;
    tls_record_certificate(made, &record);
    cr_expect_str_eq(record.names + strlen(record.names) - 5, ", ...");
    cr_expect(strncmp(record.names, "DNS:a\\x0ab\\x1b[31m.test, DNS:nnn", 32) == 0, "%s", record.names);
    for (const char *c = record.names; *c; c++)
        cr_expect((unsigned char)*c >= ' ');
    for (const char *c = record.subject; *c; c++)
        cr_expect((unsigned char)*c >= ' ');
    cr_expect_lt(strlen(record.subject), sizeof record.subject);
    X509_free(made);
}

Test(tls_record, odd_serial_numbers_and_times)
{
    X509 *made = X509_new();
    unsigned char huge[200];
    memset(huge, 0xee, sizeof huge);
    ASN1_STRING_set(X509_get_serialNumber(made), huge, sizeof huge);
    ASN1_STRING_set(X509_getm_notAfter(made), "nonsense", 8);
    struct observation_certificate record;
    tls_record_certificate(made, &record);
    cr_expect_lt(strlen(record.serial), sizeof record.serial);
    cr_expect_eq(record.not_after, CLOCK_NEVER);
    cr_expect_eq(record.key_bits, 0);
    BIGNUM *negative = BN_new();
    BN_set_word(negative, 255);
    BN_set_negative(negative, 1);
    BN_to_ASN1_INTEGER(negative, X509_get_serialNumber(made));
    tls_record_certificate(made, &record);
    cr_expect_str_eq(record.serial, "-ff");
    BN_free(negative);
    X509_free(made);
}

Test(tls_record, a_pool_tells_the_same_as_decoding)
{
    struct tls_pool *pool = tls_pool_new();
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *made = X509_new();
    add_name(X509_get_subject_name(made), "CN", "x", -1);
    X509_set_pubkey(made, key);
    cr_assert(X509_sign(made, key, EVP_sha256()) > 0);
    struct observation_certificate first, second, plain;
    tls_pool_record(pool, made, &first);
    tls_pool_record(pool, made, &second);
    tls_record_certificate(made, &plain);
    cr_expect_eq(memcmp(&first, &second, sizeof first), 0);
    unsigned digest_size;
    unsigned char digest[32];
    X509_digest(made, EVP_sha256(), digest, &digest_size);
    cr_expect_eq(memcmp(first.sha256, digest, 32), 0);
    cr_expect_str_eq(first.subject, plain.subject);
    X509_free(made);
    EVP_PKEY_free(key);
    tls_pool_free(pool);
}

Test(tls_record, self_test_passes)
{
    char error[256];
    cr_expect(tls_self_test(error, sizeof error), "%s", error);
}
