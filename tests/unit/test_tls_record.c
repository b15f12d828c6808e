#include <criterion/criterion.h>
#include <openssl/dsa.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <string.h>
#include <unistd.h>

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

/* Once more as where the smaller context cannot be had. */
Test(tls_record, self_test_passes_in_openssls_own_context)
{
    char error[256];
    cr_assert(tls_self_test(error, sizeof error), "%s", error);
    tls_library_close();
    cr_expect_null(tls_library());
    cr_expect(tls_self_test(error, sizeof error), "%s", error);
}

Test(tls_record, the_smaller_context_is_used_unless_openssl_is_configured)
{
    char error[256];
    bool configured = !OSSL_PROVIDER_available(NULL, "default") || EVP_default_properties_is_fips_enabled(NULL);
    if (configured || OPENSSL_VERSION_MINOR != 0)
        cr_skip_test("another OpenSSL than the one this was written for");
    cr_expect_not_null(tls_library());
    cr_expect(tls_self_test(error, sizeof error), "%s", error);
    cr_expect_not_null(tls_library(), "the self-test fell back: %s", error);
}

/* A CA whose key the smaller context leaves out is as good as any. */
Test(tls_record, a_profile_with_a_dsa_ca_uses_openssls_own_context)
{
    char path[] = "/tmp/fedwarden-ca-XXXXXX", error[512];
    struct conf_trust conf = {.name = "dsa", .ca_file = path, .ca_dir = "", .crl_file = "", .certificate = "", .key = "",
                              .tls_min = TLS1_2_VERSION};
    EVP_PKEY_CTX *maker = EVP_PKEY_CTX_new_from_name(NULL, "DSA", NULL);
    EVP_PKEY *parameters = NULL, *key = NULL;
    cr_assert(EVP_PKEY_paramgen_init(maker) > 0 && EVP_PKEY_CTX_set_dsa_paramgen_bits(maker, 1024) > 0 &&
              EVP_PKEY_generate(maker, &parameters) > 0);
    EVP_PKEY_CTX *keys = EVP_PKEY_CTX_new_from_pkey(NULL, parameters, NULL);
    cr_assert(EVP_PKEY_keygen_init(keys) > 0 && EVP_PKEY_generate(keys, &key) > 0);
    X509 *made = X509_new();
    X509_set_version(made, X509_VERSION_3);
    add_name(X509_get_subject_name(made), "CN", "DSA CA", -1);
    X509_set_issuer_name(made, X509_get_subject_name(made));
    X509_gmtime_adj(X509_getm_notBefore(made), -100);
    X509_gmtime_adj(X509_getm_notAfter(made), 100000);
    cr_assert(X509_set_pubkey(made, key) && X509_sign(made, key, EVP_sha256()) > 0);
    FILE *file = fdopen(mkstemp(path), "w");
    cr_assert(file && PEM_write_X509(file, made) && fclose(file) == 0);
    struct tls_trust *trust = tls_trust_new(&conf, error, sizeof error);
    unlink(path);
    cr_assert_not_null(trust);
    cr_expect_str_empty(error);
    STACK_OF(X509) *kept = X509_STORE_get1_all_certs(trust->store);
    cr_expect_eq(sk_X509_num(kept), 1);
    cr_expect_not_null(X509_get0_pubkey(sk_X509_value(kept, 0)), "its key is not known");
    sk_X509_pop_free(kept, X509_free);
    tls_trust_free(trust);
    X509_free(made);
    EVP_PKEY_free(key);
    EVP_PKEY_free(parameters);
    EVP_PKEY_CTX_free(keys);
    EVP_PKEY_CTX_free(maker);
}
