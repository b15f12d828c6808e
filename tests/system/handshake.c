/*
 * One TLS session by the program's own code, told as JSON:
 *
 *   handshake [options] address port sni verify-name [address port sni verify-name ...]
 *
 * Several targets are visited one after another with the same trust profile, one line each. "-" is an empty sni.
 *   --ca FILE  --ca-dir DIR  --crl FILE  --cert FILE  --key FILE  --min 1.2|1.3  --pin HEX
 *   --identity host|sip|xmpp|any  --alpn NAME  --expiry DAYS  --timeout MS  --after MS  --spoken
 *   --at SECONDS  chains are verified as of that time (Unix)
 *   --say TEXT  sends TEXT once the session is open and reads the answer
 *   --self-test runs the start-up self-test instead
 *   --cases     each line of standard input is one case with a trust profile of its own, its words parted by tabs ("-"
 *               is none): CA file, CRL file, time, identity, address, port, sni, verify-name
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "collect/tls_internal.h"

struct options {
    struct conf_trust conf;
    struct tls_target target;
    time_t at; /* 0 now */
    int timeout, after; /* milliseconds */
    const char *say;
};

static int connect_to(const char *address, const char *port)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo(address, port, &hints, &found) != 0) {
        fprintf(stderr, "handshake: %s port %s: not an address and a port\n", address, port);
        exit(2);
    }
    int descriptor = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0 || connect(descriptor, found->ai_addr, found->ai_addrlen) != 0) {
        fprintf(stderr, "handshake: %s port %s: %s\n", address, port, strerror(errno));
        exit(2);
    }
    fcntl(descriptor, F_SETFL, O_NONBLOCK);
    freeaddrinfo(found);
    return descriptor;
}

/* Waits at most until `deadline`; false when it has passed. */
static bool wait_for(int descriptor, enum tls_want want, int64_t deadline)
{
    int64_t left = (deadline - clock_run() + 999) / 1000;
    struct pollfd item = {.fd = descriptor, .events = want == TLS_WANT_WRITE ? POLLOUT : POLLIN};
    return left > 0 && poll(&item, 1, (int)left) > 0;
}

static void shake_hands(struct tls_session *session, int descriptor, const struct options *options)
{
    int64_t deadline = clock_run() + options->timeout * INT64_C(1000);
    enum tls_phase phase = tls_phase(session);
    enum tls_want want;
    while ((want = tls_step(session)) != TLS_WANT_NONE) {
        if (tls_phase(session) != phase) {
            phase = tls_phase(session);
            deadline = clock_run() + options->after * INT64_C(1000);
        }
        if (!wait_for(descriptor, want, deadline))
            tls_timeout(session);
    }
}

/* Says something and reads once, as a stage of a protocol would. */
static void converse(struct tls_session *session, int descriptor, const struct options *options)
{
    char answer[4096];
    enum tls_want want;
    int64_t deadline = clock_run() + options->timeout * INT64_C(1000);
    long moved = tls_write(session, options->say, strlen(options->say), &want);
    while (moved >= 0 && (moved = tls_read(session, answer, sizeof answer, &want)) == 0) {
        if (!wait_for(descriptor, want, deadline))
            return;
    }
}

static json_t *time_json(int64_t wall)
{
    char text[CLOCK_TEXT_SIZE];
    return wall == CLOCK_NEVER ? json_null() : json_string(clock_text(wall, text, sizeof text));
}

static json_t *certificate_json(const struct observation_certificate *certificate)
{
    char sha256[65];
    text_hex(sha256, sizeof sha256, certificate->sha256, sizeof certificate->sha256);
    return json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:i, s:s, s:s}", "depth", certificate->depth,
                     "subject", certificate->subject, "names", certificate->names, "issuer", certificate->issuer,
                     "serial", certificate->serial, "sha256", sha256, "not_before", time_json(certificate->not_before),
                     "not_after", time_json(certificate->not_after), "key", certificate->key_algorithm, "bits",
                     certificate->key_bits, "signature", certificate->signature_algorithm, "reason",
                     reason_name(certificate->reason));
}

static json_t *facts_json(const struct tls_facts *facts)
{
    json_t *errors = json_array();
    for (size_t i = 0; i < facts->error_count; i++)
        json_array_append_new(
            errors, json_pack("[i, i, i]", facts->errors[i].code, facts->errors[i].depth, facts->errors[i].presented));
    return json_pack("{s:i, s:b, s:i, s:i, s:b, s:b, s:b, s:I, s:i, s:b, s:i, s:b, s:o}", "phase", facts->phase,
                     "failed", facts->failed, "alert", facts->first_alert, "own_alert", facts->own_alert, "asked",
                     facts->certificate_asked, "sent", facts->certificate_sent, "answered", facts->answered, "library",
                     (json_int_t)(facts->library & 0xffffff), "errno", facts->errno_value, "end", facts->end_of_file,
                     "octets", (int)facts->first_count, "server_hello", facts->server_hello, "errors", errors);
}

static json_t *cas_json(const struct tls_session *session)
{
    char names[4][OBSERVATION_DETAIL];
    json_t *array = json_array();
    size_t count = tls_peer_cas(session, names, sizeof names / sizeof names[0]);
    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, json_string(names[i]));
    return array;
}

static void print_result(const struct tls_session *session, const struct tls_result *result, enum tls_phase phase)
{
    json_t *chain = json_array();
    char sha256[65];
    text_hex(sha256, sizeof sha256, result->chain_sha256, sizeof result->chain_sha256);
    for (size_t i = 0; i < result->certificate_count; i++)
        json_array_append_new(chain, certificate_json(&result->certificates[i]));
    json_t *all = json_pack(
        "{s:s, s:i, s:s, s:s, s:s, s:s, s:i, s:b, s:o, s:s, s:s, s:s, s:b, s:s, s:o, s:o, s:o}", "reason",
        reason_name(result->reason), "code", (int)result->reason, "detail", result->detail, "version", result->version,
        "cipher", result->cipher, "group", result->group, "verify_error", result->verify_error,
        "client_certificate_accepted", result->client_certificate_accepted, "not_after", time_json(result->not_after),
        "certificate_reason", reason_name(result->certificate_reason), "name_reason", reason_name(result->name_reason),
        "client_reason", reason_name(result->client_reason), "open", phase == TLS_OPEN, "chain_sha256", sha256, "facts",
        facts_json(&result->facts), "certificates", chain, "peer_cas", cas_json(session));
    char *text = json_dumps(all, JSON_COMPACT);
    puts(text ? text : "null");
    fflush(stdout);
    free(text);
    json_decref(all);
}

static struct tls_trust *load_trust(const struct options *options)
{
    char error[512];
    struct tls_trust *trust = tls_trust_new(&options->conf, error, sizeof error);
    if (!trust)
        abort();
    if (error[0])
        fprintf(stderr, "handshake: %s\n", error);
    if (options->at)
        X509_VERIFY_PARAM_set_time(SSL_CTX_get0_param(trust->context), options->at);
    return trust;
}

static void visit(struct tls_trust *trust, char **words, struct options *options)
{
    options->target.sni = strcmp(words[2], "-") == 0 ? "" : words[2];
    options->target.verify_name = words[3];
    int descriptor = connect_to(words[0], words[1]);
    struct tls_session *session = tls_start(trust, descriptor, &options->target);
    if (!session)
        abort();
    shake_hands(session, descriptor, options);
    if (options->say && tls_phase(session) == TLS_OPEN)
        converse(session, descriptor, options);
    enum tls_phase phase = tls_phase(session);
    const struct tls_result *result = tls_result(session);
    tls_close(session);
    print_result(session, result, phase);
    tls_free(session);
    close(descriptor);
}

static void add_pin(struct conf_trust *conf, const char *hex)
{
    if (conf->pin_count == CONF_PINS_MAX)
        return;
    for (size_t i = 0; i < 32 && strlen(hex) == 64; i++) {
        char octet[3] = {hex[2 * i], hex[2 * i + 1], 0};
        conf->pins[conf->pin_count][i] = (uint8_t)strtoul(octet, NULL, 16);
    }
    conf->pin_count++;
}

static enum tls_identity identity(const char *word)
{
    return strcmp(word, "sip") == 0    ? TLS_IDENTITY_SIP
           : strcmp(word, "xmpp") == 0 ? TLS_IDENTITY_XMPP
           : strcmp(word, "any") == 0  ? TLS_IDENTITY_ANY
                                       : TLS_IDENTITY_HOST;
}

static int run_cases(struct options *options)
{
    enum { CA_FILE, CRL_FILE, AT, IDENTITY, WORDS, ALL = WORDS + 4 };
    char line[4096], *words[ALL];
    while (fgets(line, sizeof line, stdin)) {
        char *rest = line;
        line[strcspn(line, "\n")] = '\0';
        for (int i = 0; i < ALL; i++) {
            words[i] = strsep(&rest, "\t");
            if (!words[i]) {
                fprintf(stderr, "handshake: a case has fewer than %d words\n", ALL);
                return 2;
            }
        }
        options->conf.ca_file = words[CA_FILE];
        options->conf.crl_file = strcmp(words[CRL_FILE], "-") == 0 ? "" : words[CRL_FILE];
        options->at = strtol(words[AT], NULL, 10);
        options->target.identity = identity(words[IDENTITY]);
        struct tls_trust *trust = load_trust(options);
        visit(trust, words + WORDS, options);
        tls_trust_free(trust);
    }
    return 0;
}

static int self_test(void)
{
    char error[256];
    if (!tls_self_test(error, sizeof error)) {
        fprintf(stderr, "handshake: self-test: %s\n", error);
        return 1;
    }
    puts("self-test passed");
    return 0;
}

int main(int argc, char **argv)
{
    enum {
        CA = 256,
        CA_DIR,
        CRL,
        CERT,
        KEY,
        MIN,
        PIN,
        IDENTITY,
        ALPN,
        EXPIRY,
        TIMEOUT,
        AFTER,
        SPOKEN,
        SAY,
        SELF_TEST,
        AT,
        CASES
    };
    static const struct option names[] = {
        {"ca", 1, NULL, CA},         {"ca-dir", 1, NULL, CA_DIR},     {"crl", 1, NULL, CRL},
        {"cert", 1, NULL, CERT},     {"key", 1, NULL, KEY},           {"min", 1, NULL, MIN},
        {"pin", 1, NULL, PIN},       {"identity", 1, NULL, IDENTITY}, {"alpn", 1, NULL, ALPN},
        {"expiry", 1, NULL, EXPIRY}, {"timeout", 1, NULL, TIMEOUT},   {"after", 1, NULL, AFTER},
        {"spoken", 0, NULL, SPOKEN}, {"say", 1, NULL, SAY},           {"self-test", 0, NULL, SELF_TEST},
        {"at", 1, NULL, AT},         {"cases", 0, NULL, CASES},
        {NULL, 0, NULL, 0},
    };
    struct options options = {
        .conf = {.name = "test",
                 .ca_file = "",
                 .ca_dir = "",
                 .crl_file = "",
                 .certificate = "",
                 .key = "",
                 .tls_min = 0x0303},
        .target = {.identity = TLS_IDENTITY_HOST, .alpn = "", .conf = &options.conf},
        .timeout = 5000,
        .after = 300,
    };
    int option;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (option) {
        case CA:
            options.conf.ca_file = optarg;
            break;
        case CA_DIR:
            options.conf.ca_dir = optarg;
            break;
        case CRL:
            options.conf.crl_file = optarg;
            break;
        case CERT:
            options.conf.certificate = optarg;
            break;
        case KEY:
            options.conf.key = optarg;
            break;
        case MIN:
            options.conf.tls_min = strcmp(optarg, "1.3") == 0 ? 0x0304 : 0x0303;
            break;
        case PIN:
            add_pin(&options.conf, optarg);
            break;
        case IDENTITY:
            options.target.identity = identity(optarg);
            break;
        case ALPN:
            options.target.alpn = optarg;
            break;
        case EXPIRY:
            options.target.expiry_days = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case TIMEOUT:
            options.timeout = (int)strtol(optarg, NULL, 10);
            break;
        case AFTER:
            options.after = (int)strtol(optarg, NULL, 10);
            break;
        case SPOKEN:
            options.target.spoken = true;
            break;
        case SAY:
            options.say = optarg;
            break;
        case SELF_TEST:
            return self_test();
        case AT:
            options.at = strtol(optarg, NULL, 10);
            break;
        case CASES:
            return run_cases(&options);
        default:
            return 2;
        }
    }
    if (optind == argc || (argc - optind) % 4 != 0) {
        fprintf(stderr, "usage: handshake [options] address port sni verify-name ...\n");
        return 2;
    }
    struct tls_trust *trust = load_trust(&options);
    for (int i = optind; i < argc; i += 4)
        visit(trust, argv + i, &options);
    tls_trust_free(trust);
    return 0;
}
