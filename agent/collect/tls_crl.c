/*
 * Revocation lists that come while sessions run. A store in use is never changed; these lists are given to each
 * verification beside it, so that a newer one takes the place of its predecessor and nothing grows. Whether a list is
 * signed by the issuer and in force is left to that verification.
 */
#include "collect/tls_internal.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"

#define LISTS_MAX 100 /* of one file */

static X509_CRL *new_list(const struct tls_trust *trust)
{
    return X509_CRL_new_ex(trust->library, NULL);
}

/* A list has no password: who asks for one would be answered by nobody, and the loop would wait at a prompt. */
static int no_password(char *data, int size, int writing, void *context)
{
    (void)data, (void)size, (void)writing, (void)context;
    return -1;
}

static bool is_pem(const uint8_t *data, size_t size)
{
    static const char begin[] = "-----BEGIN ";
    return memmem(data, size < 1024 ? size : 1024, begin, sizeof begin - 1) != NULL;
}

/* All lists of a file, DER (RFC 5280 4.2.1.13) or PEM; NULL when there is none. */
static STACK_OF(X509_CRL) * decode(const struct tls_trust *trust, const uint8_t *data, size_t size)
{
    STACK_OF(X509_CRL) *lists = sk_X509_CRL_new_null();
    BIO *memory = size <= INT32_MAX ? BIO_new_mem_buf(data, (int)size) : NULL;
    bool pem = is_pem(data, size), more = lists && memory;
    while (more && sk_X509_CRL_num(lists) < LISTS_MAX) {
        X509_CRL *list = new_list(trust);
        more = list &&
               (pem ? PEM_read_bio_X509_CRL(memory, &list, no_password, NULL) : d2i_X509_CRL_bio(memory, &list)) &&
               sk_X509_CRL_push(lists, list) > 0;
        if (!more)
            X509_CRL_free(list); /* where decoding failed it has been freed and is NULL */
        more = more && pem;
    }
    BIO_free(memory);
    ERR_clear_error();
    if (sk_X509_CRL_num(lists) > 0)
        return lists;
    sk_X509_CRL_free(lists);
    return NULL;
}

/* What each verification is given: the lists of all places. */
static void gather(struct tls_trust *trust)
{
    sk_X509_CRL_free(trust->crls);
    trust->crls = sk_X509_CRL_new_null();
    for (size_t place = 0; trust->crls && place < CONF_CRL_URLS_MAX; place++)
        for (int i = 0; i < sk_X509_CRL_num(trust->fetched[place]); i++)
            sk_X509_CRL_push(trust->crls, sk_X509_CRL_value(trust->fetched[place], i));
}

bool tls_trust_set_crls(struct tls_trust *trust, size_t place, const uint8_t *data, size_t size, int64_t *next_update)
{
    STACK_OF(X509_CRL) *lists = decode(trust, data, size);
    *next_update = CLOCK_NEVER;
    if (!lists)
        return false;
    for (int i = 0; i < sk_X509_CRL_num(lists); i++) {
        const ASN1_TIME *next = X509_CRL_get0_nextUpdate(sk_X509_CRL_value(lists, i));
        int64_t end = next ? tls_record_time(next) : CLOCK_NEVER;
        if (end != CLOCK_NEVER && (*next_update == CLOCK_NEVER || end < *next_update))
            *next_update = end;
    }
    sk_X509_CRL_pop_free(trust->fetched[place], X509_CRL_free);
    trust->fetched[place] = lists;
    gather(trust);
    return true;
}

void tls_trust_crl_problem(struct tls_trust *trust, const char *problem)
{
    text_copy(trust->crl_problem, sizeof trust->crl_problem, problem);
}

void tls_crl_free(struct tls_trust *trust)
{
    sk_X509_CRL_free(trust->crls);
    for (size_t place = 0; place < CONF_CRL_URLS_MAX; place++)
        sk_X509_CRL_pop_free(trust->fetched[place], X509_CRL_free);
}
