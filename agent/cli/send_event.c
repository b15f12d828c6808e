/*
 * fedwarden event: writes events to the inbox of a running daemon, one connection for all, one answer for each. What is
 * wrong with an event is told by the daemon, which knows the configuration in force. A connection that is closed before
 * the event was read took nothing, so it is sent once more over a new one: the daemon closes connections that were silent
 * for long, and when it is restarted. One that ends after that without an answer may have taken it, since the daemon
 * answers what it has stored; only who sent it can tell whether once too often is better than not at all.
 *
 * An answer comes when the event is stored, which a slow disk delays: of several lines, up to AHEAD are sent
 * before the first is answered. Answers come in the order of the events, so a script that waits for the answer to a line
 * before it writes the next has it at once.
 *
 * Scripts hand on what attackers wrote. --hex lets them do so without showing it to a shell.
 */
#include "cli/cli.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/conf.h"
#include "base/event.h"
#include "base/text.h"
#include "collect/inbox.h"

enum { TAKEN = 0, REFUSED = 1, NOT_SENT = 2 };

struct sender {
    char path[CONF_SOCKET_MAX + 1];
    long timeout; /* seconds */
    int descriptor;
    int told; /* the error that was told last: many events have one */
    bool quiet;
};

enum option_number { OPTION_SOCKET = 256, OPTION_TIMEOUT, OPTION_HEX, OPTION_MEMBER };

/* An option for each member but the event, in the order of OPTION_MEMBER and following. */
static const char *const member_names[] = {"reason", "partner", "domain", "address", "port",  "user",
                                           "target", "subject", "issuer", "serial",  "count", "detail"};
#define MEMBERS (sizeof member_names / sizeof member_names[0])
#define OTHERS  6
#define AHEAD   64 /* events without an answer yet; at most INBOX_UNANSWERED */

static void usage(FILE *out)
{
    fputs("usage: fedwarden event [-c FILE] [--socket PATH] [--timeout SECONDS] [-q] EVENT [MEMBERS]\n"
          "       fedwarden event [-c FILE] [--socket PATH] [--timeout SECONDS] [-q] -\n\n"
          "Tells the running fedwarden of a failure that an edge saw, and prints its answer. The socket is inbox.path "
          "of\n"
          "FILE (" CLI_CONF_PATH ") unless --socket names it. \"-\" reads events from standard input, one\n"
          "JSON object a line.\n\n"
          "EVENT is a name or number:",
          out);
    for (int event = EVENT_TLS_OUTGOING; event <= EVENT_DNS; event++)
        fprintf(out, "%s %d %s", event > EVENT_TLS_OUTGOING ? "," : "", event, event_name((enum event)event));
    fputs(".\n"
          "MEMBERS are --reason, --partner, --domain, --address, --port, --user, --target, --subject, --issuer,\n"
          "--serial, --count, --detail, each with a value. After --hex, values of --user, --target, --domain,\n"
          "--subject, --issuer and --detail are read as hexadecimal octets, for scripts whose shell must not see what\n"
          "others chose.\n\n"
          "Exit status: 0 stored, 1 refused, 2 not sent, or not known. The daemon may take up to "
          "SECONDS (10) to answer.\n",
          out);
}

/* ---- the connection ---- */

static void not_connected(struct sender *sender, int error)
{
    const char *why = strerrordesc_np(error);
    if (error == sender->told)
        return;
    sender->told = error;
    if (error == ENOENT || error == ECONNREFUSED)
        fprintf(stderr,
                "fedwarden event: nobody serves %s (%s). Is fedwarden running, and is inbox.path set in its "
                "configuration?\n",
                sender->path, why);
    else if (error == EACCES)
        fprintf(stderr,
                "fedwarden event: %s may not be written: %s. Become a member of inbox.group, or see inbox.mode.\n",
                sender->path, why);
    else if (error == EPROTOTYPE)
        fprintf(stderr, "fedwarden event: %s is no inbox of fedwarden: %s\n", sender->path, why);
    else
        fprintf(stderr, "fedwarden event: %s cannot be used: %s\n", sender->path, why);
}

/* 0, or an error number. */
static int connect_inbox(struct sender *sender)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval timeout = {.tv_sec = sender->timeout};
    text_copy(address.sun_path, sizeof address.sun_path, sender->path);
    sender->descriptor = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (sender->descriptor >= 0 &&
        setsockopt(sender->descriptor, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout) == 0 &&
        setsockopt(sender->descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) == 0 &&
        connect(sender->descriptor, (const struct sockaddr *)&address, sizeof address) == 0)
        return 0;
    int error = errno;
    if (sender->descriptor >= 0)
        close(sender->descriptor);
    sender->descriptor = -1;
    return error;
}

static void hang_up(struct sender *sender)
{
    if (sender->descriptor >= 0)
        close(sender->descriptor);
    sender->descriptor = -1;
}

/* Sends one and reads its answer: octets of it, 0 it was not read by the daemon, -1 with errno; 0 there: it was read. */
static ssize_t exchange(struct sender *sender, const char *text, size_t length, char *answer, size_t size)
{
    if (send(sender->descriptor, text, length, MSG_NOSIGNAL) < 0)
        return errno == EPIPE || errno == ECONNRESET ? 0 : -1;
    ssize_t got = recv(sender->descriptor, answer, size - 1, 0);
    if (got <= 0) {
        errno = got < 0 ? errno : 0;
        return errno == ECONNRESET ? 0 : -1;
    }
    answer[got] = '\0';
    return got;
}

/* What an answer means; anything that is none of ours was not told by an inbox. */
static int judge(const struct sender *sender, const char *answer, size_t length)
{
    json_error_t problem;
    json_t *object = json_loadb(answer, length, JSON_REJECT_DUPLICATES, &problem);
    const json_t *good = json_object_get(object, "ok");
    int status = json_is_true(good) ? TAKEN : json_is_false(good) ? REFUSED : NOT_SENT;
    json_decref(object);
    if (status == NOT_SENT)
        fprintf(stderr, "fedwarden event: what serves %s does not answer as fedwarden does\n", sender->path);
    else if (!sender->quiet || status == REFUSED)
        printf("%s\n", answer);
    fflush(stdout);
    return status;
}

static int send_one(struct sender *sender, const char *text, size_t length)
{
    char answer[INBOX_ANSWER_MAX];
    for (int attempt = 0; attempt < 2; attempt++) {
        int error = sender->descriptor < 0 ? connect_inbox(sender) : 0;
        if (error) {
            not_connected(sender, error);
            return NOT_SENT;
        }
        ssize_t got = exchange(sender, text, length, answer, sizeof answer);
        if (got > 0)
            return judge(sender, answer, (size_t)got);
        error = errno;
        hang_up(sender);
        if (got == 0)
            continue;
        if (error == EAGAIN || error == EWOULDBLOCK)
            fprintf(stderr,
                    "fedwarden event: no answer from %s within %ld s: the daemon, or the disk on which it stores "
                    "events, is busy; it may have counted the event, or still do so\n",
                    sender->path, sender->timeout);
        else if (error == 0)
            fprintf(stderr,
                    "fedwarden event: %s hung up before it answered; whether it counted the event is not known\n",
                    sender->path);
        else if (error == EMSGSIZE)
            fprintf(stderr, "fedwarden event: the event is too long: %zu octets, %d are possible\n", length,
                    INBOX_MESSAGE_MAX);
        else
            not_connected(sender, error);
        return NOT_SENT;
    }
    fprintf(stderr, "fedwarden event: %s hung up twice without an answer; the event was not taken\n", sender->path);
    return NOT_SENT;
}

static int worse(int a, int b)
{
    return a > b ? a : b;
}

/* ---- lines ---- */

struct lines {
    char data[INBOX_MESSAGE_MAX + 2]; /* a line and its end */
    size_t length, used;
    bool skipping; /* within a line that was too long */
    bool ended;
    bool failed;
};

static void read_lines(struct lines *lines)
{
    memmove(lines->data, lines->data + lines->used, lines->length - lines->used);
    lines->length -= lines->used;
    lines->used = 0;
    ssize_t got = read(STDIN_FILENO, lines->data + lines->length, sizeof lines->data - lines->length);
    if (got < 0 && errno == EINTR)
        return;
    if (got < 0) {
        perror("fedwarden event: standard input");
        lines->failed = true;
    }
    lines->ended = got <= 0;
    lines->length += got > 0 ? (size_t)got : 0;
}

/* The next whole line that was read, which lies in the buffer; false: there is none yet. */
static bool next_line(struct lines *lines, const char **line, size_t *length)
{
    for (;;) {
        const char *start = lines->data + lines->used;
        size_t left = lines->length - lines->used;
        const char *end = memchr(start, '\n', left);
        bool full = !end && left == sizeof lines->data;
        if (!end && !full && (!lines->ended || !left))
            return false;
        *line = start;
        *length = end ? (size_t)(end - start) : left;
        lines->used += *length + (end ? 1 : 0);
        while (*length && start[*length - 1] == '\r')
            --*length;
        bool skipped = lines->skipping;
        lines->skipping = full;
        if (!skipped && (full || *length > INBOX_MESSAGE_MAX)) {
            fprintf(stderr, "fedwarden event: a line is too long: %d octets are possible\n", INBOX_MESSAGE_MAX);
            lines->failed = true;
        } else if (!skipped && *length) {
            return true;
        }
    }
}

/* Takes the answer to the oldest of `count` events, which has come or is too late; false: there will be none for any. */
static bool take_answer(struct sender *sender, size_t count, int *status)
{
    char answer[INBOX_ANSWER_MAX];
    ssize_t got = recv(sender->descriptor, answer, sizeof answer - 1, MSG_DONTWAIT);
    if (got > 0) {
        answer[got] = '\0';
        *status = worse(*status, judge(sender, answer, (size_t)got));
        return true;
    }
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        fprintf(stderr,
                "fedwarden event: %zu events had no answer from %s within %ld s: the daemon, or the disk on which it "
                "stores events, is busy; it may have counted them, or still do so\n",
                count, sender->path, sender->timeout);
    else
        fprintf(stderr,
                "fedwarden event: %s hung up before it answered %zu events; whether it counted them is not known\n",
                sender->path, count);
    hang_up(sender);
    *status = NOT_SENT;
    return false;
}

/* Sends without waiting for the answer. `count` events have none yet; true: there is one more. */
static bool send_ahead(struct sender *sender, const char *text, size_t length, size_t *count, int *status)
{
    if (*count && send(sender->descriptor, text, length, MSG_NOSIGNAL) >= 0)
        return true;
    while (*count && take_answer(sender, *count, status))
        --*count;
    *count = 0;
    for (int attempt = 0; attempt < 2; attempt++) {
        int error = sender->descriptor < 0 ? connect_inbox(sender) : 0;
        if (!error && send(sender->descriptor, text, length, MSG_NOSIGNAL) >= 0)
            return true;
        error = error ? error : errno;
        hang_up(sender);
        if ((error == EPIPE || error == ECONNRESET) && attempt == 0)
            continue;
        not_connected(sender, error);
        break;
    }
    *status = NOT_SENT;
    return false;
}

/* One event a line; a line that cannot be sent does not keep the next from being tried. */
static int send_lines(struct sender *sender)
{
    struct lines *lines = calloc(1, sizeof *lines);
    int status = TAKEN;
    size_t count = 0, unsent = 0;
    if (!lines)
        abort();
    for (;;) {
        const char *line;
        size_t length;
        while (count < AHEAD && next_line(lines, &line, &length)) {
            if (send_ahead(sender, line, length, &count, &status))
                count++;
            else
                unsent++;
        }
        if (lines->ended && !count)
            break;
        struct pollfd wait[2] = {{.fd = count < AHEAD && !lines->ended ? STDIN_FILENO : -1, .events = POLLIN},
                                 {.fd = count ? sender->descriptor : -1, .events = POLLIN}};
        int ready = poll(wait, 2, count ? (int)sender->timeout * 1000 : -1);
        if (count && (ready == 0 || wait[1].revents))
            count = take_answer(sender, count, &status) ? count - 1 : 0;
        if (ready > 0 && wait[0].revents)
            read_lines(lines);
    }
    if (unsent > 1)
        fprintf(stderr, "fedwarden event: %zu events were not sent\n", unsent);
    status = lines->failed ? NOT_SENT : status;
    free(lines);
    return status;
}

/* ---- the arguments ---- */

static int hex_digit(char digit)
{
    const char digits[] = "0123456789abcdef";
    const char *at = digit ? strchr(digits, tolower((unsigned char)digit)) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* The octets of hexadecimal text, printable; false when it is none. */
static bool from_hex(const char *hex, char *out, size_t size)
{
    unsigned char octets[INBOX_MESSAGE_MAX / 4];
    size_t length = strlen(hex);
    if (length % 2 || length / 2 > sizeof octets)
        return false;
    for (size_t i = 0; i < length; i += 2) {
        int high = hex_digit(hex[i]), low = hex_digit(hex[i + 1]);
        if (high < 0 || low < 0)
            return false;
        octets[i / 2] = (unsigned char)(high << 4 | low);
    }
    text_printable(out, size, octets, length / 2);
    return true;
}

static bool may_be_hex(const char *name)
{
    static const char *const names[] = {"user", "target", "domain", "subject", "issuer", "detail"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static bool whole_number(const char *text, json_int_t *number)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    *number = value;
    return isdigit((unsigned char)text[text[0] == '-']) && !*end && errno == 0;
}

/* Adds a member; numbers become numbers, all else is text. False with a message. */
static bool add_member(json_t *object, const char *name, const char *text, bool hex)
{
    char printable[INBOX_MESSAGE_MAX];
    json_int_t number;
    if (hex && may_be_hex(name)) {
        if (!from_hex(text, printable, sizeof printable)) {
            fprintf(stderr, "fedwarden event: --%s: after --hex pairs of hexadecimal digits are expected\n", name);
            return false;
        }
    } else {
        text_printable(printable, sizeof printable, text, strlen(text));
    }
    bool numeric = strcmp(name, "count") == 0 || strcmp(name, "port") == 0 || strcmp(name, "event") == 0 ||
                   strcmp(name, "reason") == 0;
    json_t *value = numeric && whole_number(printable, &number) ? json_integer(number) : json_string(printable);
    if (!value || json_object_set_new(object, name, value) < 0)
        abort();
    return true;
}

/* The path of the socket, from the configuration unless it was given; false with a message. */
static bool find_socket(struct sender *sender, const char *given, const char *conf_path)
{
    struct conf_errors errors;
    char text[1024];
    if (given) {
        if (strlen(given) > CONF_SOCKET_MAX)
            fprintf(stderr, "fedwarden event: --socket: the path of a socket has at most %d octets\n", CONF_SOCKET_MAX);
        else
            text_copy(sender->path, sizeof sender->path, given);
        return *sender->path;
    }
    struct conf *conf = conf_load(conf_path, &errors);
    if (conf && *conf->inbox.path) {
        text_copy(sender->path, sizeof sender->path, conf->inbox.path);
    } else if (conf) {
        fprintf(stderr,
                "fedwarden event: inbox.path is not set in %s, so fedwarden takes no events. Set it, or name the "
                "socket with --socket\n",
                conf_path);
    } else {
        if (errors.count)
            conf_error_text(&errors.errors[0], text, sizeof text);
        fprintf(stderr, "fedwarden event: %s\nWho may not read the configuration names the socket with --socket\n",
                errors.count ? text : conf_path);
    }
    conf_errors_clear(&errors);
    conf_free(conf);
    return *sender->path;
}

static int send_event(struct sender *sender, json_t *object)
{
    char *text = json_dumps(object, JSON_COMPACT);
    if (!text)
        abort();
    int status = send_one(sender, text, strlen(text));
    free(text);
    return status;
}

static void fill_options(struct option *options)
{
    static const struct option others[OTHERS] = {
        {"config", required_argument, NULL, 'c'},
        {"quiet", no_argument, NULL, 'q'},
        {"help", no_argument, NULL, 'h'},
        {"socket", required_argument, NULL, OPTION_SOCKET},
        {"timeout", required_argument, NULL, OPTION_TIMEOUT},
        {"hex", no_argument, NULL, OPTION_HEX},
    };
    memcpy(options, others, sizeof others);
    for (size_t i = 0; i < MEMBERS; i++)
        options[OTHERS + i] = (struct option){member_names[i], required_argument, NULL, (int)(OPTION_MEMBER + i)};
    options[OTHERS + MEMBERS] = (struct option){0};
}

struct arguments {
    const char *conf_path, *socket;
    json_t *object;
    bool hex;
};

/* One option; -1: go on, else the exit status. */
static int take_option(struct sender *sender, struct arguments *arguments, int option)
{
    json_int_t number;
    switch (option) {
    case 'c':
        arguments->conf_path = optarg;
        return -1;
    case 'q':
        sender->quiet = true;
        return -1;
    case OPTION_SOCKET:
        arguments->socket = optarg;
        return -1;
    case OPTION_HEX:
        arguments->hex = true;
        return -1;
    case OPTION_TIMEOUT:
        if (whole_number(optarg, &number) && number >= 1 && number <= 3600) {
            sender->timeout = (long)number;
            return -1;
        }
        fputs("fedwarden event: --timeout: 1 to 3600 seconds are possible\n", stderr);
        return NOT_SENT;
    case 'h':
        usage(stdout);
        return TAKEN;
    default:
        if (option < OPTION_MEMBER) {
            usage(stderr);
            return NOT_SENT;
        }
        return add_member(arguments->object, member_names[option - OPTION_MEMBER], optarg, arguments->hex) ? -1
                                                                                                           : NOT_SENT;
    }
}

int cli_event(int argc, char **argv)
{
    struct option options[OTHERS + MEMBERS + 1];
    struct sender sender = {.timeout = 10, .descriptor = -1};
    struct arguments arguments = {.conf_path = CLI_CONF_PATH, .object = json_object()};
    int status = -1;
    fill_options(options);
    for (int option; status < 0 && (option = getopt_long(argc, argv, "c:qh", options, NULL)) != -1;)
        status = take_option(&sender, &arguments, option);
    bool lines = status < 0 && optind + 1 == argc && strcmp(argv[optind], "-") == 0;
    if (status < 0 && (optind + 1 != argc || (lines && json_object_size(arguments.object)))) {
        usage(stderr);
        status = NOT_SENT;
    }
    if (status < 0 && !find_socket(&sender, arguments.socket, arguments.conf_path))
        status = NOT_SENT;
    if (status < 0 && lines)
        status = send_lines(&sender);
    else if (status < 0)
        status = add_member(arguments.object, "event", argv[optind], false) ? send_event(&sender, arguments.object)
                                                                            : NOT_SENT;
    hang_up(&sender);
    json_decref(arguments.object);
    return status;
}
