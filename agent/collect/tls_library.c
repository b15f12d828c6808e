/*
 * OpenSSL 3.0 decodes each public key by trying what all its providers offer, anew for each certificate: some forty
 * decoders and eighteen kinds of keys, of which a TLS client needs a handful. A third of what a handshake costs goes
 * there. A library context whose one provider offers the default provider's algorithms, but of its decoders only those
 * of a SubjectPublicKeyInfo in DER and of its kinds of keys only those of TLS, gives the same results for less. All
 * algorithms, their code and their data stay those of the default provider.
 *
 * This is for the case that everybody has: where the configuration of OpenSSL activates something else, FIPS for
 * instance, or where the provider does not offer what is known here, OpenSSL's own context is used; for a trust profile
 * with a CA of another kind of key (DSA, SM2), too.
 */
#include "collect/tls_internal.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <string.h>

#define ALGORITHMS_MAX 32

/* First names of the algorithms in the provider's lists. */
static const char *const public_keys[] = {"RSA", "RSA-PSS", "EC", "ED25519", "ED448"};
static const char *const other_keys[] = {"X25519", "X448", "DH", "HKDF", "TLS1-PRF", "HMAC"};

static CRYPTO_ONCE opened = CRYPTO_ONCE_STATIC_INIT;
static OSSL_LIB_CTX *library; /* for as long as the program runs */
static bool closed;
static OSSL_PROVIDER *base; /* OpenSSL's "default" */

static OSSL_ALGORITHM decoders[ALGORITHMS_MAX + 1], keys[ALGORITHMS_MAX + 1]; /* ended by one without a name */

static bool is_named(const OSSL_ALGORITHM *algorithm, const char *const *names, size_t count)
{
    size_t length = strcspn(algorithm->algorithm_names, ":");
    for (size_t i = 0; i < count; i++)
        if (strlen(names[i]) == length && strncmp(algorithm->algorithm_names, names[i], length) == 0)
            return true;
    return false;
}

static bool is_public_key(const OSSL_ALGORITHM *algorithm)
{
    return is_named(algorithm, public_keys, sizeof public_keys / sizeof public_keys[0]);
}

static bool decoder_wanted(const OSSL_ALGORITHM *algorithm)
{
    const char *properties = algorithm->property_definition;
    return is_public_key(algorithm) && strstr(properties, "input=der") &&
           strstr(properties, "structure=SubjectPublicKeyInfo");
}

static bool key_wanted(const OSSL_ALGORITHM *algorithm)
{
    return is_public_key(algorithm) || is_named(algorithm, other_keys, sizeof other_keys / sizeof other_keys[0]);
}

/* How many of the base's algorithms for `operation` were wanted, and copied. */
static size_t choose(int operation, bool (*wanted)(const OSSL_ALGORITHM *), OSSL_ALGORITHM *chosen)
{
    int no_store = 0;
    size_t count = 0;
    const OSSL_ALGORITHM *offered = OSSL_PROVIDER_query_operation(base, operation, &no_store);
    for (const OSSL_ALGORITHM *at = offered; at && at->algorithm_names && count < ALGORITHMS_MAX; at++)
        if (wanted(at))
            chosen[count++] = *at;
    memset(&chosen[count], 0, sizeof chosen[count]);
    return count;
}

static const OSSL_ALGORITHM *query(void *context, int operation, int *no_store)
{
    (void)context;
    *no_store = 0;
    switch (operation) {
    case OSSL_OP_DECODER:
        return decoders;
    case OSSL_OP_KEYMGMT:
        return keys;
    case OSSL_OP_ENCODER:
    case OSSL_OP_STORE:
        return NULL;
    default:
        return OSSL_PROVIDER_query_operation(base, operation, no_store);
    }
}

static int capabilities(void *context, const char *capability, OSSL_CALLBACK *tell, void *argument)
{
    (void)context;
    return OSSL_PROVIDER_get_capabilities(base, capability, tell, argument);
}

static void teardown(void *context)
{
    (void)context; /* it is the base's */
}

static int start_provider(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out,
                          void **context)
{
    static const OSSL_DISPATCH functions[] = {
        {OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query},
        {OSSL_FUNC_PROVIDER_GET_CAPABILITIES, (void (*)(void))capabilities},
        {OSSL_FUNC_PROVIDER_TEARDOWN, (void (*)(void))teardown},
        {0, NULL},
    };
    (void)handle, (void)in;
    *out = functions;
    *context = OSSL_PROVIDER_get0_provider_ctx(base);
    return 1;
}

static int note_other(OSSL_PROVIDER *provider, void *other)
{
    if (strcmp(OSSL_PROVIDER_get0_name(provider), "default") != 0)
        *(bool *)other = true;
    return 1;
}

static bool only_default(void)
{
    bool other = false;
    return OSSL_PROVIDER_available(NULL, "default") && OSSL_PROVIDER_do_all(NULL, note_other, &other) && !other &&
           !EVP_default_properties_is_fips_enabled(NULL);
}

static void open_library(void)
{
    if (!only_default() || !(base = OSSL_PROVIDER_load(NULL, "default")))
        return;
    const size_t public_count = sizeof public_keys / sizeof public_keys[0];
    const size_t other_count = sizeof other_keys / sizeof other_keys[0];
    bool known = choose(OSSL_OP_DECODER, decoder_wanted, decoders) == public_count &&
                 choose(OSSL_OP_KEYMGMT, key_wanted, keys) == public_count + other_count;
    library = known ? OSSL_LIB_CTX_new() : NULL;
    if (library && (!OSSL_PROVIDER_add_builtin(library, "fedwarden", start_provider) ||
                    !OSSL_PROVIDER_load(library, "fedwarden"))) {
        OSSL_LIB_CTX_free(library);
        library = NULL;
    }
    ERR_clear_error();
}

OSSL_LIB_CTX *tls_library(void)
{
    if (closed || !CRYPTO_THREAD_run_once(&opened, open_library))
        return NULL;
    return library;
}

void tls_library_close(void)
{
    closed = true;
}
