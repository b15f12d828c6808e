/*
 * What the profiles of one shard remember of certificates.
 *
 * Intermediates: only of chains that verified up to a trusted root, so that nobody fills the pool with certificates
 * of his own making; a ring of TLS_POOL_MAX that forgets the oldest. It is searched along its whole length, but only
 * after a verification failed for want of an issuer.
 *
 * Records: a table indexed by the fingerprint's first octets, where a newcomer replaces who was there. An unchanged
 * certificate is decoded into text once, which is most of what telling it costs.
 */
#include "collect/tls_internal.h"

#include <stdlib.h>
#include <string.h>

#define DER_ROOM 8192 /* certificates beyond it take the heap */

struct tls_pool *tls_pool_new(void)
{
    struct tls_pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return NULL;
    pool->references = 1;
    pool->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    pool->digest = EVP_MD_CTX_new();
    if (!pool->sha256 || !pool->digest) {
        tls_pool_free(pool);
        return NULL;
    }
    return pool;
}

struct tls_pool *tls_pool_ref(struct tls_pool *pool)
{
    pool->references++;
    return pool;
}

void tls_pool_free(struct tls_pool *pool)
{
    if (!pool || --pool->references > 0)
        return;
    for (size_t i = 0; i < TLS_POOL_MAX; i++)
        X509_free(pool->intermediates[i]);
    for (size_t i = 0; i < TLS_RECORDS; i++)
        free(pool->records[i]);
    EVP_MD_CTX_free(pool->digest);
    EVP_MD_free(pool->sha256);
    free(pool);
}

bool tls_pool_fingerprint(struct tls_pool *pool, X509 *certificate, uint8_t out[32])
{
    unsigned char room[DER_ROOM], *der = room, *end;
    int length = i2d_X509(certificate, NULL);
    if (length <= 0 || (length > DER_ROOM && !(der = malloc((size_t)length))))
        return false;
    end = der;
    bool done = i2d_X509(certificate, &end) == length && EVP_DigestInit_ex(pool->digest, pool->sha256, NULL) &&
                EVP_DigestUpdate(pool->digest, der, (size_t)length) && EVP_DigestFinal_ex(pool->digest, out, NULL);
    if (der != room)
        free(der);
    return done;
}

static bool remembered(const struct tls_pool *pool, const uint8_t fingerprint[32])
{
    size_t held = pool->count < TLS_POOL_MAX ? pool->count : TLS_POOL_MAX;
    for (size_t i = 0; i < held; i++) {
        if (memcmp(pool->fingerprints[i], fingerprint, 32) == 0)
            return true;
    }
    return false;
}

void tls_pool_add(struct tls_pool *pool, X509 *certificate)
{
    uint8_t fingerprint[32];
    uint32_t flags = X509_get_extension_flags(certificate);
    if (!(flags & EXFLAG_CA) || (flags & (EXFLAG_SI | EXFLAG_INVALID)))
        return;
    if (!tls_pool_fingerprint(pool, certificate, fingerprint) || remembered(pool, fingerprint) ||
        !X509_up_ref(certificate))
        return;
    size_t slot = pool->count++ % TLS_POOL_MAX;
    X509_free(pool->intermediates[slot]);
    pool->intermediates[slot] = certificate;
    memcpy(pool->fingerprints[slot], fingerprint, 32);
}

void tls_pool_issuers(const struct tls_pool *pool, X509 *certificate, STACK_OF(X509) * out)
{
    size_t held = pool->count < TLS_POOL_MAX ? pool->count : TLS_POOL_MAX;
    for (size_t i = 0; i < held; i++) {
        X509 *candidate = pool->intermediates[i];
        if (X509_check_issued(candidate, certificate) == X509_V_OK)
            X509_add_cert(out, candidate, X509_ADD_FLAG_UP_REF | X509_ADD_FLAG_NO_DUP);
    }
}

void tls_pool_record(struct tls_pool *pool, X509 *certificate, struct observation_certificate *out)
{
    uint8_t fingerprint[32];
    if (!tls_pool_fingerprint(pool, certificate, fingerprint)) {
        tls_record_certificate(certificate, out);
        return;
    }
    struct tls_record **slot = &pool->records[(fingerprint[0] << 8 | fingerprint[1]) % TLS_RECORDS];
    struct tls_record *record = *slot;
    if (!record || memcmp(record->sha256, fingerprint, 32) != 0) {
        if (!record && !(record = *slot = malloc(sizeof *record))) {
            tls_record_certificate(certificate, out);
            return;
        }
        tls_record_certificate(certificate, &record->certificate);
        memcpy(record->sha256, fingerprint, 32);
        memcpy(record->certificate.sha256, fingerprint, 32);
    }
    *out = record->certificate;
}
