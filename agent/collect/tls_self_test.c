/*
 * The self-test of the program's start: whatever library is installed, a good peer must be accepted, and an untrusted
 * one, a wrong name and an expired certificate refused, by tls_start and tls_step themselves. Certificates are made
 * with keys of the moment; client and server talk through a pair of local sockets in this one thread. When it fails in
 * the library context of fewer parts (tls_library.c), OpenSSL's own one is taken and tested instead.
 */
#include "collect/tls_internal.h"

#include <openssl/err.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"

#define STEPS_MAX 100 /* a handshake takes fewer than ten turns */

struct authority {
    X509 *certificate;
    EVP_PKEY *key;
};

static bool add_extension(X509 *certificate, int kind, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
    bool added = extension && X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
    return added;
}

/* A certificate for `key`, signed by `issuer`, or by itself when that is NULL. Ends `days` from now. */
static X509 *make_certificate(EVP_PKEY *key, const char *name, const struct authority *issuer, long days)
{
    X509 *certificate = X509_new();
    if (!certificate)
        return NULL;
    X509_NAME *subject = X509_get_subject_name(certificate);
    char names[80];
    text_format(names, sizeof names, "DNS:%s", name);
    bool made = X509_set_version(certificate, X509_VERSION_3) &&
                ASN1_INTEGER_set(X509_get_serialNumber(certificate), issuer ? 2 : 1) &&
                X509_gmtime_adj(X509_getm_notBefore(certificate), -20 * 86400L) &&
                X509_gmtime_adj(X509_getm_notAfter(certificate), days * 86400L) && X509_set_pubkey(certificate, key) &&
                X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0) &&
                X509_set_issuer_name(certificate, issuer ? X509_get_subject_name(issuer->certificate) : subject) &&
                (issuer ? add_extension(certificate, NID_subject_alt_name, names)
                        : add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE")) &&
                X509_sign(certificate, issuer ? issuer->key : key, EVP_sha256()) > 0;
    if (!made) {
        X509_free(certificate);
        return NULL;
    }
    return certificate;
}

static bool make_authority(struct authority *authority, const char *name)
{
    authority->key = EVP_EC_gen("P-256");
    authority->certificate = authority->key ? make_certificate(authority->key, name, NULL, 10) : NULL;
    return authority->certificate != NULL;
}

static void free_authority(struct authority *authority)
{
    X509_free(authority->certificate);
    EVP_PKEY_free(authority->key);
}

static struct tls_trust *make_trust(const struct authority *authority)
{
    struct tls_material material = {
        .library = tls_library(), .store = X509_STORE_new(), .tls_min = TLS1_2_VERSION};
    struct tls_trust *trust = NULL;
    if (material.store && X509_STORE_add_cert(material.store, authority->certificate))
        trust = tls_trust_build(&material, false, "");
    X509_STORE_free(material.store);
    return trust;
}

static SSL *make_server(SSL_CTX *context, int descriptor, X509 *certificate, EVP_PKEY *key, int version)
{
    if (!context || !SSL_CTX_use_cert_and_key(context, certificate, key, NULL, 1) ||
        !SSL_CTX_set_min_proto_version(context, version) || !SSL_CTX_set_max_proto_version(context, version))
        return NULL;
    SSL *server = SSL_new(context);
    if (server && SSL_set_fd(server, descriptor))
        SSL_set_accept_state(server);
    return server;
}

/* One handshake in turns; what the client made of it. */
static enum reason shake_hands(struct tls_trust *trust, SSL *server, int descriptor)
{
    static const struct tls_target target = {
        .sni = "peer.test", .identity = TLS_IDENTITY_HOST, .verify_name = "peer.test", .alpn = ""};
    struct tls_session *client = tls_start(trust, descriptor, &target);
    if (!client)
        return REASON_LOCAL_RESOURCE;
    for (int i = 0; i < STEPS_MAX && tls_step(client) != TLS_WANT_NONE; i++) {
        ERR_clear_error();
        SSL_do_handshake(server);
    }
    tls_timeout(client);
    enum reason reason = tls_result(client)->reason;
    tls_free(client);
    return reason;
}

struct trial {
    const char *what;
    const char *name; /* in the server's certificate */
    long days;        /* to its end */
    bool untrusted;
    enum reason expected;
};

static enum reason run(const struct trial *trial, struct authority authorities[2], int version)
{
    int pair[2];
    enum reason reason = REASON_LOCAL_RESOURCE;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0)
        return reason;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = key ? make_certificate(key, trial->name, &authorities[trial->untrusted], trial->days) : NULL;
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    SSL *server = certificate ? make_server(context, pair[1], certificate, key, version) : NULL;
    struct tls_trust *trust = make_trust(&authorities[0]);
    if (server && trust)
        reason = shake_hands(trust, server, pair[0]);
    tls_trust_free(trust);
    SSL_free(server);
    SSL_CTX_free(context);
    X509_free(certificate);
    EVP_PKEY_free(key);
    close(pair[0]);
    close(pair[1]);
    return reason;
}

static bool test(char *error, size_t size)
{
    static const struct trial trials[] = {
        {"a good certificate", "peer.test", 10, false, REASON_NONE},
        {"a certificate of an untrusted CA", "peer.test", 10, true, REASON_TLS_UNTRUSTED_ROOT},
        {"a certificate with another name", "other.test", 10, false, REASON_TLS_WRONG_PRINCIPAL},
        {"an expired certificate", "peer.test", -10, false, REASON_TLS_EXPIRED},
    };
    struct authority authorities[2] = {{NULL, NULL}, {NULL, NULL}};
    error[0] = '\0';
    if (!make_authority(&authorities[0], "trusted") || !make_authority(&authorities[1], "untrusted"))
        text_copy(error, size, "OpenSSL cannot make certificates; check its installation and openssl.cnf");
    for (size_t i = 0; error[0] == '\0' && i < 2 * sizeof trials / sizeof trials[0]; i++) {
        const struct trial *trial = &trials[i / 2];
        enum reason reason = run(trial, authorities, i % 2 ? TLS1_3_VERSION : TLS1_2_VERSION);
        if (reason != trial->expected)
            text_format(error, size,
                        "%s over TLS 1.%d: %s instead of %s; check the installation of OpenSSL and openssl.cnf",
                        trial->what, i % 2 ? 3 : 2, reason_name(reason), reason_name(trial->expected));
    }
    free_authority(&authorities[0]);
    free_authority(&authorities[1]);
    ERR_clear_error();
    return error[0] == '\0';
}

bool tls_self_test(char *error, size_t size)
{
    if (test(error, size))
        return true;
    if (!tls_library())
        return false;
    tls_library_close();
    return test(error, size);
}
