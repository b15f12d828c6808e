/*
 * The OCSP response that a server staples to its handshake (RFC 6066 section 8, RFC 6960), looked at once its chain has
 * been verified. What is not signed by the issuer of the certificate, or by whom that issuer has made its responder,
 * says nothing. What it finds becomes an error of the verification like any other:
 *
 *   revoked                                   X509_V_ERR_CERT_REVOKED
 *   the responder does not know it            X509_V_ERR_OCSP_CERT_UNKNOWN
 *   stale, or cannot be verified              X509_V_ERR_OCSP_VERIFY_FAILED
 *   none came, and the certificate demands it X509_V_ERR_OCSP_VERIFY_NEEDED (RFC 7633, "must-staple")
 *
 * None at all is no error otherwise: most servers staple nothing.
 */
#include "collect/tls_internal.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <string.h>

#include "base/clock.h"

#define RESPONSES_MAX 64  /* single responses looked at */
#define CLOCK_SKEW    300 /* seconds that the clocks may differ */
#define STATUS_REQUEST 5  /* the TLS feature of RFC 7633 */

/* Each single response names its certificate by digests of its own choice. */
static bool is_about(OCSP_SINGLERESP *single, X509 *leaf, X509 *issuer)
{
    ASN1_OBJECT *kind = NULL;
    OCSP_CERTID *id = (OCSP_CERTID *)OCSP_SINGLERESP_get0_id(single);
    OCSP_id_get0_info(NULL, &kind, NULL, NULL, id);
    const EVP_MD *digest = kind ? EVP_get_digestbyobj(kind) : NULL;
    OCSP_CERTID *own = digest ? OCSP_cert_to_id(digest, leaf, issuer) : NULL;
    bool same = own && OCSP_id_cmp(own, id) == 0;
    OCSP_CERTID_free(own);
    return same;
}

static void judge_single(OCSP_SINGLERESP *single, struct tls_facts *facts)
{
    ASN1_GENERALIZEDTIME *revoked = NULL, *begin = NULL, *end = NULL;
    int reason, status = OCSP_single_get0_status(single, &reason, &revoked, &begin, &end);
    if (status == V_OCSP_CERTSTATUS_REVOKED) { /* it stays so, however old the response is */
        facts->staple = TLS_STAPLE_REVOKED;
        facts->staple_time = tls_record_time(revoked);
    } else if (OCSP_check_validity(begin, end, CLOCK_SKEW, -1) != 1) {
        facts->staple = TLS_STAPLE_STALE;
        facts->staple_time = end ? tls_record_time(end) : CLOCK_NEVER;
    } else
        facts->staple = status == V_OCSP_CERTSTATUS_GOOD ? TLS_STAPLE_GOOD : TLS_STAPLE_UNKNOWN;
}

void tls_staple_judge(const unsigned char *der, long size, STACK_OF(X509) * chain, X509_STORE *store,
                      struct tls_facts *facts)
{
    X509 *leaf = sk_X509_value(chain, 0), *issuer = sk_X509_value(chain, sk_X509_num(chain) > 1 ? 1 : 0);
    const unsigned char *at = der;
    OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &at, size);
    OCSP_BASICRESP *basic = response ? OCSP_response_get1_basic(response) : NULL;
    facts->staple = TLS_STAPLE_UNVERIFIED;
    if (basic && at == der + size && OCSP_response_status(response) == OCSP_RESPONSE_STATUS_SUCCESSFUL &&
        OCSP_basic_verify(basic, chain, store, 0) == 1) {
        facts->staple = TLS_STAPLE_UNKNOWN;
        for (int i = 0; i < OCSP_resp_count(basic) && i < RESPONSES_MAX; i++) {
            OCSP_SINGLERESP *single = OCSP_resp_get0(basic, i);
            if (is_about(single, leaf, issuer)) {
                judge_single(single, facts);
                break;
            }
        }
    }
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(response);
    ERR_clear_error();
}

bool tls_must_staple(const X509 *leaf)
{
    TLS_FEATURE *features = X509_get_ext_d2i(leaf, NID_tlsfeature, NULL, NULL);
    bool must = false;
    for (int i = 0; i < sk_ASN1_INTEGER_num(features) && !must; i++)
        must = ASN1_INTEGER_get(sk_ASN1_INTEGER_value(features, i)) == STATUS_REQUEST;
    TLS_FEATURE_free(features);
    return must;
}

static int staple_error(enum tls_staple staple, bool demanded)
{
    switch (staple) {
    case TLS_STAPLE_NONE:
        return demanded ? X509_V_ERR_OCSP_VERIFY_NEEDED : X509_V_OK;
    case TLS_STAPLE_GOOD:
        return X509_V_OK;
    case TLS_STAPLE_REVOKED:
        return X509_V_ERR_CERT_REVOKED;
    case TLS_STAPLE_UNKNOWN:
        return X509_V_ERR_OCSP_CERT_UNKNOWN;
    case TLS_STAPLE_STALE:
    case TLS_STAPLE_UNVERIFIED:
        break;
    }
    return X509_V_ERR_OCSP_VERIFY_FAILED;
}

/* Called by libssl for each handshake whose chain was accepted, with or without a response. */
int tls_note_staple(SSL *ssl, void *unused)
{
    (void)unused;
    struct tls_session *session = SSL_get_app_data(ssl);
    struct tls_facts *facts = &session->facts;
    STACK_OF(X509) *chain = SSL_get0_verified_chain(ssl);
    const unsigned char *der = NULL;
    long size = SSL_get_tlsext_status_ocsp_resp(ssl, &der);
    if (sk_X509_num(chain) < 1)
        return 0;
    if (session->dane && sk_X509_num(chain) == 1) /* DANE-EE: there is no issuer who could be asked (RFC 7672, 3.1.1) */
        return 1;
    bool came = der && size > 0;
    if (came)
        tls_staple_judge(der, size, chain, session->trust->store, facts);
    int code = staple_error(facts->staple, !came && tls_must_staple(sk_X509_value(chain, 0)));
    if (code == X509_V_OK)
        return 1;
    struct tls_result *result = tls_session_result(session);
    tls_add_error(facts, code, 0);
    if (result)
        tls_pool_record(session->trust->pool, sk_X509_value(chain, 0), &result->culprit);
    return 0;
}
