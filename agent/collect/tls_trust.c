/*
 * Trust profiles: everything is read and decoded here, once, because OpenSSL 3.0 decodes slowly, and nothing is
 * changed afterwards: a store that sessions use is read-only, a reload makes another one. So a directory of CAs is read
 * as a whole too and never searched during a handshake.
 *
 * A profile that could not be loaded as a whole exists, but each of its sessions ends in the reason for that: a part of
 * what was asked for (some CAs without the CRLs, TLS without our certificate) must not look like the whole.
 */
#include "collect/tls_internal.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/text.h"

#define FILE_OCTETS       (32L * 1024 * 1024)
#define DIRECTORY_ENTRIES 10000

static const char system_cas[] = "/etc/ssl/certs/ca-certificates.crt";

static const char *library_error(void)
{
    unsigned long code = ERR_peek_last_error();
    const char *text = code ? ERR_reason_error_string(code) : NULL;
    return text ? text : "no such content";
}

/* Keys must not be asked for on a terminal. */
static int no_password(char *data, int size, int writing, void *context)
{
    (void)data, (void)size, (void)writing, (void)context;
    return -1;
}

static BIO *open_file(const char *path, char *error, size_t size)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        text_format(error, size, "%s: %s", path, strerror(errno));
        return NULL;
    }
    if (!S_ISREG(status.st_mode) || status.st_size > FILE_OCTETS) {
        text_format(error, size, "%s: not a regular file of less than 32 MB", path);
        return NULL;
    }
    ERR_clear_error();
    BIO *file = BIO_new_file(path, "r");
    if (!file)
        text_format(error, size, "%s: %s", path, strerror(errno));
    return file;
}

static bool add_items(struct tls_material *material, const STACK_OF(X509_INFO) * items, size_t *certificates,
                      size_t *lists)
{
    for (int i = 0; i < sk_X509_INFO_num(items); i++) {
        X509_INFO *item = sk_X509_INFO_value(items, i);
        if (item->x509 && certificates) {
            if (!X509_STORE_add_cert(material->store, item->x509))
                return false;
            if (!X509_get0_pubkey(item->x509))
                material->key_unknown = true;
            ++*certificates;
        }
        if (item->crl && lists) {
            if (!X509_STORE_add_crl(material->store, item->crl))
                return false;
            ++*lists;
        }
    }
    return true;
}

/* Adds the certificates of a PEM file (or its CRLs, where `lists` is given instead) to the store. */
static bool load_file(struct tls_material *material, const char *path, size_t *certificates, size_t *lists, char *error,
                      size_t size)
{
    BIO *file = open_file(path, error, size);
    if (!file)
        return false;
    STACK_OF(X509_INFO) *items = PEM_X509_INFO_read_bio_ex(file, NULL, no_password, NULL, material->library, NULL);
    BIO_free(file);
    bool loaded = items && add_items(material, items, certificates, lists);
    if (!loaded)
        text_format(error, size, "%s: cannot be read as PEM: %s", path, library_error());
    sk_X509_INFO_pop_free(items, X509_INFO_free);
    return loaded;
}

/* Names that c_rehash gives to certificates: eight hexadecimal digits, a dot, a number. */
static bool hashed_name(const char *name)
{
    size_t digits = strspn(name, "0123456789abcdef");
    if (digits != 8 || name[8] != '.' || !isdigit((unsigned char)name[9]))
        return false;
    return name[9 + strspn(name + 9, "0123456789")] == '\0';
}

static bool load_directory(struct tls_material *material, const char *path, size_t *certificates, char *error,
                           size_t size)
{
    DIR *directory = opendir(path);
    if (!directory) {
        text_format(error, size, "%s: %s", path, strerror(errno));
        return false;
    }
    const struct dirent *entry;
    bool loaded = true;
    for (size_t n = 0; loaded && n < DIRECTORY_ENTRIES && (entry = readdir(directory));) {
        char file[PATH_MAX];
        if (!hashed_name(entry->d_name))
            continue;
        n++;
        text_format(file, sizeof file, "%s/%s", path, entry->d_name);
        loaded = load_file(material, file, certificates, NULL, error, size);
    }
    closedir(directory);
    return loaded;
}

static bool load_cas(struct tls_material *material, const struct conf_trust *conf, char *error, size_t size)
{
    size_t count = 0;
    bool own = conf->ca_file[0] || conf->ca_dir[0];
    const char *file = own ? conf->ca_file : system_cas;
    if (file[0] && !load_file(material, file, &count, NULL, error, size))
        return false;
    if (conf->ca_dir[0] && !load_directory(material, conf->ca_dir, &count, error, size))
        return false;
    if (count == 0) {
        text_format(error, size, "%s: no CA certificate in it (a directory needs names made by openssl rehash)",
                    file[0] ? file : conf->ca_dir);
        return false;
    }
    return true;
}

static bool load_lists(struct tls_material *material, const struct conf_trust *conf, char *error, size_t size)
{
    size_t count = 0;
    if (!load_file(material, conf->crl_file, NULL, &count, error, size))
        return false;
    if (count == 0) {
        text_format(error, size, "%s: no CRL in it", conf->crl_file);
        return false;
    }
    return true;
}

static bool load_own_certificate(struct tls_material *material, const char *path, char *error, size_t size)
{
    BIO *file = open_file(path, error, size);
    if (!file)
        return false;
    material->chain = sk_X509_new_null();
    material->certificate = PEM_read_bio_X509(file, NULL, no_password, NULL);
    if (!material->certificate)
        text_format(error, size, "%s: no certificate at its beginning: %s", path, library_error());
    X509 *issuer;
    for (int n = 0; n < TLS_DEPTH_MAX && (issuer = PEM_read_bio_X509(file, NULL, no_password, NULL)); n++) {
        if (!sk_X509_push(material->chain, issuer))
            X509_free(issuer);
    }
    BIO_free(file);
    return material->certificate != NULL;
}

static bool load_own(struct tls_material *material, const struct conf_trust *conf, char *error, size_t size)
{
    if (!load_own_certificate(material, conf->certificate, error, size))
        return false;
    const char *path = conf->key[0] ? conf->key : conf->certificate;
    BIO *file = open_file(path, error, size);
    if (!file)
        return false;
    material->key = PEM_read_bio_PrivateKey(file, NULL, no_password, NULL);
    BIO_free(file);
    if (!material->key) {
        text_format(error, size, "%s: no private key that can be read without a password: %s", path, library_error());
        return false;
    }
    if (X509_check_private_key(material->certificate, material->key) != 1) {
        text_format(error, size, "%s: this key does not belong to the certificate in %s", path, conf->certificate);
        return false;
    }
    return true;
}

/*
 * A server names no CAs when it asks: a client would then keep the certificate to itself that is to be judged. It keeps
 * nothing of a session, so that each is verified anew.
 */
static void set_callbacks(SSL_CTX *context, bool server)
{
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(context, tls_verify, NULL);
    SSL_CTX_dane_enable(context);
    SSL_CTX_set_info_callback(context, tls_note_alert);
    if (server) {
        SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(context, 0);
        SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
        return;
    }
    SSL_CTX_set_cert_cb(context, tls_note_request, NULL);
    SSL_CTX_set_tlsext_status_type(context, TLSEXT_STATUSTYPE_ocsp);
    SSL_CTX_set_tlsext_status_cb(context, tls_note_staple);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, tls_note_ticket); /* returns 0: nothing is kept, so nothing is resumed */
}

static bool set_context(struct tls_trust *trust, struct tls_material *material)
{
    SSL_CTX *context = trust->context;
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(context,
                     SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_max_cert_list(context, TLS_CHAIN_OCTETS);
    SSL_CTX_set_verify_depth(context, TLS_DEPTH_MAX);
    SSL_CTX_set1_cert_store(context, trust->store);
    set_callbacks(context, material->server);
    if (material->revocation)
        X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL |
                                                                     X509_V_FLAG_EXTENDED_CRL_SUPPORT |
                                                                     X509_V_FLAG_USE_DELTAS);
    /* an OPENSSL_CONF may ask for partial chains: an intermediate among the CAs would become an anchor */
    X509_VERIFY_PARAM_clear_flags(SSL_CTX_get0_param(context), X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_NO_CHECK_TIME);
    return SSL_CTX_set_min_proto_version(context,
                                         material->tls_min >= TLS1_3_VERSION ? TLS1_3_VERSION : TLS1_2_VERSION) &&
           SSL_CTX_set_max_proto_version(context, 0);
}

static bool use_own(struct tls_trust *trust, struct tls_material *material)
{
    ERR_clear_error();
    if (SSL_CTX_use_cert_and_key(trust->context, material->certificate, material->key, material->chain, 1) != 1)
        return false;
    tls_own_describe(trust, material->certificate);
    return true;
}

static BIO_METHOD *make_transport(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "fedwarden");
    if (method) {
        BIO_meth_set_read_ex(method, tls_transport_read);
        BIO_meth_set_write_ex(method, tls_transport_write);
        BIO_meth_set_ctrl(method, tls_transport_control);
    }
    return method;
}

struct tls_trust *tls_trust_build(struct tls_material *material, bool trust_missing, const char *problem)
{
    struct tls_trust *trust = calloc(1, sizeof *trust);
    if (!trust)
        return NULL;
    trust->store = material->store;
    trust->chain = material->chain;
    material->store = NULL;
    material->chain = NULL;
    trust->library = material->library;
    trust->trust_missing = trust_missing;
    trust->local_problem = problem[0] != '\0';
    text_copy(trust->problem, sizeof trust->problem, problem);
    trust->server = material->server;
    trust->context =
        SSL_CTX_new_ex(material->library, NULL, material->server ? TLS_server_method() : TLS_client_method());
    trust->transport = make_transport();
    trust->pool = tls_pool_new();
    if (!trust->context || !trust->transport || !trust->pool || !set_context(trust, material)) {
        tls_trust_free(trust);
        return NULL;
    }
    if (!trust->local_problem && material->certificate) {
        material->chain = trust->chain;
        trust->local_problem = !use_own(trust, material);
        material->chain = NULL;
        if (trust->local_problem)
            text_format(trust->problem, sizeof trust->problem, "our certificate cannot be used: %s", library_error());
    }
    return trust;
}

static void material_clear(struct tls_material *material)
{
    X509_STORE_free(material->store);
    X509_free(material->certificate);
    EVP_PKEY_free(material->key);
    sk_X509_pop_free(material->chain, X509_free);
}

/* What is trusted; false with what is wrong in `problem`. */
static bool load_store(struct tls_material *material, const struct conf_trust *conf, char *problem, size_t size)
{
    X509_STORE_free(material->store);
    material->store = X509_STORE_new();
    if (!material->store) {
        text_copy(problem, size, "no memory for the CAs");
        return false;
    }
    material->revocation = conf->crl_file[0] != '\0' || conf->crl_url_count > 0;
    return load_cas(material, conf, problem, size) &&
           (conf->crl_file[0] == '\0' || load_lists(material, conf, problem, size));
}

static struct tls_trust *load(const struct conf_trust *conf, bool server, char *error, size_t size)
{
    struct tls_material material = {.tls_min = conf->tls_min, .library = tls_library(), .server = server};
    char problem[OBSERVATION_DETAIL] = "";
    error[0] = '\0';
    bool trust_missing = !load_store(&material, conf, problem, sizeof problem);
    if (!trust_missing && material.key_unknown && material.library) {
        material.library = NULL; /* OpenSSL's own context may know it */
        trust_missing = !load_store(&material, conf, problem, sizeof problem);
    }
    if (!trust_missing && conf->certificate[0])
        load_own(&material, conf, problem, sizeof problem);
    else if (!trust_missing && server)
        text_copy(problem, sizeof problem, "a server needs a certificate");
    struct tls_trust *trust = tls_trust_build(&material, trust_missing, problem);
    material_clear(&material);
    ERR_clear_error();
    if (trust && trust->local_problem)
        text_format(error, size, "trust profile \"%s\": %s", conf->name ? conf->name : "", trust->problem);
    return trust;
}

struct tls_trust *tls_trust_new(const struct conf_trust *conf, char *error, size_t size)
{
    return load(conf, false, error, size);
}

struct tls_trust *tls_trust_new_server(const struct conf_trust *conf, char *error, size_t size)
{
    return load(conf, true, error, size);
}

void tls_trust_free(struct tls_trust *trust)
{
    if (!trust)
        return;
    SSL_CTX_free(trust->context);
    X509_STORE_free(trust->store);
    BIO_meth_free(trust->transport);
    sk_X509_pop_free(trust->chain, X509_free);
    tls_crl_free(trust);
    tls_pool_free(trust->pool);
    free(trust);
}

void tls_trust_share(struct tls_trust *trust, struct tls_trust *other)
{
    struct tls_pool *own = trust->pool;
    trust->pool = tls_pool_ref(other->pool);
    tls_pool_free(own);
}
