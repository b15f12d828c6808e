/*
 * The acceptor started and stopped many times while clients of another thread shake hands, send what is no TLS, or hang
 * up, and this thread drains the queue and reads the counts. Run under ThreadSanitizer. Needs a loopback interface.
 */
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/observation.h"
#include "base/queue.h"
#include "collect/listen.h"

#define ROUNDS       20
#define STOP_AT_MOST (500 * 1000) /* microseconds */

static atomic_bool ending;
static uint16_t port;

static void must(bool done, const char *what)
{
    if (!done) {
        perror(what);
        ERR_print_errors_fp(stderr);
        exit(1);
    }
}

/* A certificate that signs itself, and its key, in one PEM file. */
static void write_certificate(char *path)
{
    int descriptor = mkstemp(path);
    FILE *file = descriptor >= 0 ? fdopen(descriptor, "w") : NULL;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    must(file && key && certificate, path);
    X509_NAME *name = X509_get_subject_name(certificate);
    must(X509_set_version(certificate, X509_VERSION_3) && ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1) &&
             X509_gmtime_adj(X509_getm_notBefore(certificate), -3600) &&
             X509_gmtime_adj(X509_getm_notAfter(certificate), 3600) && X509_set_pubkey(certificate, key) &&
             X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)"acceptor", -1, -1, 0) &&
             X509_set_issuer_name(certificate, name) && X509_sign(certificate, key, EVP_sha256()) > 0,
         "certificate");
    must(PEM_write_X509(file, certificate) && PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), "PEM");
    fclose(file);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

/* Below the ports that the kernel gives to clients: one of them would connect to itself while nobody listens. */
static uint16_t free_port(void)
{
    for (uint16_t candidate = 20000; candidate < 30000; candidate++) {
        struct sockaddr_in address = {
            .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(candidate)};
        int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bool free = descriptor >= 0 && bind(descriptor, (struct sockaddr *)&address, sizeof address) == 0;
        if (descriptor >= 0)
            close(descriptor);
        if (free)
            return candidate;
    }
    must(false, "a free port");
    return 0;
}

static int connected(void)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor >= 0 && connect(descriptor, (struct sockaddr *)&address, sizeof address) == 0)
        return descriptor;
    if (descriptor >= 0)
        close(descriptor);
    return -1;
}

/* Without a certificate: the line says so. */
static void shake_hands(SSL_CTX *context, int descriptor)
{
    char line[512];
    SSL *client = SSL_new(context);
    must(client && SSL_set_fd(client, descriptor), "client");
    if (SSL_connect(client) == 1)
        SSL_read(client, line, sizeof line);
    SSL_free(client);
}

static void *visit(void *context)
{
    for (unsigned turn = 0; !atomic_load(&ending); turn++) {
        int descriptor = connected();
        if (descriptor < 0) {
            poll(NULL, 0, 1); /* nobody listens between two rounds */
            continue;
        }
        if (turn % 4 == 0)
            (void)!send(descriptor, "GET / HTTP/1.0\r\n\r\n", 18, MSG_NOSIGNAL);
        else if (turn % 4 < 3)
            shake_hands(context, descriptor);
        close(descriptor);
    }
    return NULL;
}

static size_t drain(struct queue *queue)
{
    struct observation observation;
    size_t count = 0;
    while (queue_take(queue, &observation, 1) == 1) {
        must(observation.kind == OBSERVATION_EVENT && observation.event.event == EVENT_INVALID_CERT &&
                 observation.event.reason == REASON_TLS_NO_CERTIFICATE,
             "another observation than was to come");
        count++;
    }
    return count;
}

/* One life of the acceptor, ended after `events` of them; how long the end took. */
static int64_t live(const struct conf *conf, struct queue *queue, size_t events)
{
    char problem[OBSERVATION_DETAIL];
    struct listeners *listeners = listeners_start(conf, queue, problem, sizeof problem);
    if (!listeners) {
        fprintf(stderr, "not started: %s\n", problem);
        exit(1);
    }
    for (size_t seen = 0; seen < events; seen += drain(queue)) {
        struct pollfd ready = {.fd = queue_descriptor(queue), .events = POLLIN};
        must(poll(&ready, 1, 20000) > 0, "no event in 20 s");
    }
    must(listeners_counts(listeners).refused >= events, "events that were not counted");
    int64_t began = clock_run();
    listeners_stop(listeners);
    int64_t took = clock_run() - began;
    drain(queue);
    return took;
}

int main(void)
{
    char path[] = "/tmp/fedwarden-listen-XXXXXX";
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    struct queue *queue = queue_new(1024);
    pthread_t threads[2];
    must(context && queue && signal(SIGPIPE, SIG_IGN) != SIG_ERR, "start");
    write_certificate(path);
    port = free_port();
    struct conf_trust trust = {
        .name = "own", .ca_file = path, .ca_dir = "", .crl_file = "", .certificate = "", .key = "", .tls_min = 0x0303};
    struct conf_endpoint endpoint = {{ADDRESS_IPV4, {127, 0, 0, 1}}, port};
    struct conf conf = {.path = "",
                        .trust_count = 1,
                        .trusts = &trust,
                        .listen = {.enabled = true,
                                   .endpoint_count = 1,
                                   .endpoints = &endpoint,
                                   .certificate = path,
                                   .key = path,
                                   .connections_max = 8,
                                   .connections_per_address = 8,
                                   .per_minute_per_address = 60000,
                                   .handshake_seconds = 5,
                                   .bytes_max = 65536}};
    for (size_t i = 0; i < 2; i++)
        must(pthread_create(&threads[i], NULL, visit, context) == 0, "thread");
    int64_t slowest = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        int64_t took = live(&conf, queue, round % 5);
        slowest = took > slowest ? took : slowest;
    }
    atomic_store(&ending, true);
    for (size_t i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    SSL_CTX_free(context);
    queue_free(queue);
    unlink(path);
    printf("%d starts and stops, the slowest stop took %.1f ms\n", ROUNDS, (double)slowest / 1000);
    return slowest < STOP_AT_MOST ? 0 : 1;
}
