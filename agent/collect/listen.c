/*
 * One thread with an event loop. A connection is in one of three states:
 *
 *   HANDSHAKE  until tls_accept's session is open or has failed
 *   VERDICT    the line and close_notify are being sent
 *   DRAIN      our side is closed; what still comes is read and thrown away until the peer closes too: a socket that
 *              is closed with unread octets resets the connection, and the line or the alert may be lost with it
 *
 * Why it is safe to go on with a handshake whose certificate was refused: nothing is served. An open session gives no
 * right: all that ever goes out is a line about the client's own certificate, nothing that the client says is looked
 * at, no session can be resumed, renegotiated or used for early data. So the certificate decides only which line is
 * said, and the partner learns the reason, which an alert could not tell.
 *
 * What a stranger can take is bounded: connections in all and for each address, how many of them in a minute, how long
 * one lasts in all, whatever it does meanwhile, and how much it sends. Who is over a limit is closed at once. Without
 * descriptors or memory the ports are left alone for a second: accept would fail again at once, for ever. An alarm
 * needs a bad certificate, not a connection; what else happens here is only counted.
 */
#include "collect/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "collect/collector_thread.h"
#include "collect/listen_parts.h"
#include "collect/revocation.h"

#define BACKLOG       64
#define ACCEPTS       16                  /* of one port in one turn */
#define PAUSE         CLOCK_SECOND        /* without descriptors or memory */
#define PAUSE_TOLD    (60 * CLOCK_SECOND) /* between two messages about that */
#define DRAIN_AT_MOST (2 * CLOCK_SECOND)

enum state { STATE_HANDSHAKE = 1, STATE_VERDICT, STATE_DRAIN };

enum outcome { OUTCOME_GOOD, OUTCOME_REFUSED, OUTCOME_LIMITED, OUTCOME_TIMEOUT, OUTCOME_OTHER, OUTCOMES };

struct connection {
    struct listeners *listeners;
    struct connection *next, **link; /* among the open ones */
    enum state state;
    int descriptor;
    struct address address;
    uint16_t port;
    struct caller *caller;
    struct tls_session *session;
    sd_event_source *io, *timer;
    int64_t deadline; /* clock_run */
    size_t drained;
    size_t length, sent; /* of the line */
    char line[LISTEN_VERDICT];
};

struct port {
    struct listeners *listeners;
    int descriptor;
    sd_event_source *source;
};

struct listeners {
    const struct conf *conf;
    struct queue *queue;
    struct collector_thread *thread;
    struct tls_trust *trust;
    struct fetcher *fetcher; /* NULL where its profile has no URL of a revocation list, as the next */
    struct revocation *revocation;
    struct callers *callers;
    sd_event *loop;
    int stop;
    sd_event_source *stop_source, *pause;
    int64_t pause_told; /* clock_run; CLOCK_NEVER never */
    struct connection *open;
    uint32_t open_count;
    _Atomic uint64_t outcomes[OUTCOMES];
    size_t port_count;
    struct port ports[CONF_LISTEN_ENDPOINTS];
};

static void count(struct listeners *listeners, enum outcome outcome)
{
    atomic_fetch_add_explicit(&listeners->outcomes[outcome], 1, memory_order_relaxed);
}

/* ---- a connection ---- */

static void end(struct connection *connection)
{
    *connection->link = connection->next;
    if (connection->next)
        connection->next->link = connection->link;
    connection->listeners->open_count--;
    callers_leave(connection->caller);
    sd_event_source_disable_unref(connection->io);
    sd_event_source_disable_unref(connection->timer);
    tls_free(connection->session);
    close(connection->descriptor);
    free(connection);
}

static void wait_for(struct connection *connection, enum tls_want want)
{
    sd_event_source_set_io_events(connection->io, want == TLS_WANT_WRITE ? EPOLLOUT : EPOLLIN);
}

static void drain(struct connection *connection)
{
    char waste[4096];
    ssize_t got;
    while ((got = recv(connection->descriptor, waste, sizeof waste, 0)) > 0) {
        connection->drained += (size_t)got;
        if (connection->drained > connection->listeners->conf->listen.bytes_max)
            break;
    }
    if (got >= 0 || (errno != EAGAIN && errno != EINTR))
        end(connection);
}

static void start_drain(struct connection *connection)
{
    int64_t latest = clock_run() + DRAIN_AT_MOST;
    tls_close(connection->session);
    shutdown(connection->descriptor, SHUT_WR);
    connection->state = STATE_DRAIN;
    if (latest < connection->deadline)
        sd_event_source_set_time(connection->timer, (uint64_t)latest);
    wait_for(connection, TLS_WANT_READ);
    drain(connection);
}

static void say(struct connection *connection)
{
    enum tls_want want = TLS_WANT_NONE;
    while (connection->sent < connection->length) {
        long moved = tls_write(connection->session, connection->line + connection->sent,
                               connection->length - connection->sent, &want);
        if (moved < 0) {
            end(connection);
            return;
        }
        if (moved == 0) {
            wait_for(connection, want);
            return;
        }
        connection->sent += (size_t)moved;
    }
    start_drain(connection);
}

/* The session is open or has failed: tells the event, and goes on to the verdict when one can be said. */
static void judge(struct connection *connection)
{
    struct listeners *listeners = connection->listeners;
    struct listen_judgement judgement;
    char domains[LISTEN_DOMAINS][OBSERVATION_NAME], address[ADDRESS_TEXT_SIZE];
    const struct tls_result *result = tls_result(connection->session);
    size_t domain_count = tls_peer_domains(connection->session, domains, LISTEN_DOMAINS);
    listen_judge(listeners->conf, result, domains, domain_count, &connection->address, connection->port, &judgement);
    count(listeners, judgement.refused         ? OUTCOME_REFUSED
                     : judgement.said          ? OUTCOME_GOOD
                     : result->facts.timed_out ? OUTCOME_TIMEOUT
                                               : OUTCOME_OTHER);
    log_debug("listen", "%s port %u: %s %s", address_text(&connection->address, address), connection->port,
              judgement.said && !judgement.refused ? "ok" : reason_name(result->reason), result->detail);
    if (judgement.refused)
        queue_post(listeners->queue, &judgement.event, 1);
    if (!judgement.said) {
        if (result->facts.timed_out)
            end(connection);
        else
            start_drain(connection);
        return;
    }
    connection->length = text_copy(connection->line, sizeof connection->line, judgement.line);
    connection->state = STATE_VERDICT;
    say(connection);
}

static void shake_hands(struct connection *connection)
{
    enum tls_want want = tls_step(connection->session);
    if (want == TLS_WANT_NONE)
        judge(connection);
    else
        wait_for(connection, want);
}

static int connection_ready(sd_event_source *source, int descriptor, uint32_t events, void *context)
{
    struct connection *connection = context;
    (void)source, (void)descriptor, (void)events;
    switch (connection->state) {
    case STATE_HANDSHAKE:
        shake_hands(connection);
        break;
    case STATE_VERDICT:
        say(connection);
        break;
    case STATE_DRAIN:
        drain(connection);
        break;
    }
    return 0;
}

static int connection_late(sd_event_source *source, uint64_t due, void *context)
{
    struct connection *connection = context;
    (void)source, (void)due;
    if (connection->state == STATE_HANDSHAKE) {
        tls_timeout(connection->session);
        judge(connection);
    } else {
        end(connection);
    }
    return 0;
}

/* Takes over descriptor and caller, also when it fails: without memory. */
static bool begin(struct listeners *listeners, int descriptor, const struct address *address, uint16_t port,
                  struct caller *caller)
{
    const struct conf_listen *conf = &listeners->conf->listen;
    struct connection *connection = calloc(1, sizeof *connection);
    if (!connection) {
        callers_leave(caller);
        close(descriptor);
        return false;
    }
    *connection = (struct connection){.listeners = listeners,
                                      .next = listeners->open,
                                      .link = &listeners->open,
                                      .state = STATE_HANDSHAKE,
                                      .descriptor = descriptor,
                                      .address = *address,
                                      .port = port,
                                      .caller = caller};
    if (listeners->open)
        listeners->open->link = &connection->next;
    listeners->open = connection;
    listeners->open_count++;
    connection->deadline = clock_run() + (int64_t)conf->handshake_seconds * CLOCK_SECOND;
    connection->session = tls_accept(listeners->trust, descriptor, conf->bytes_max);
    if (connection->session &&
        sd_event_add_io(listeners->loop, &connection->io, descriptor, EPOLLIN, connection_ready, connection) >= 0 &&
        sd_event_add_time(listeners->loop, &connection->timer, CLOCK_BOOTTIME, (uint64_t)connection->deadline, 1000,
                          connection_late, connection) >= 0)
        return true;
    end(connection);
    return false;
}

/* ---- the ports ---- */

static void set_ports(struct listeners *listeners, int enabled)
{
    for (size_t i = 0; i < listeners->port_count; i++)
        sd_event_source_set_enabled(listeners->ports[i].source, enabled);
}

static void pause_ports(struct listeners *listeners, int error)
{
    int64_t now = clock_run();
    set_ports(listeners, SD_EVENT_OFF);
    sd_event_source_set_time(listeners->pause, (uint64_t)(now + PAUSE));
    sd_event_source_set_enabled(listeners->pause, SD_EVENT_ONESHOT);
    if (listeners->pause_told != CLOCK_NEVER && now - listeners->pause_told < PAUSE_TOLD)
        return;
    listeners->pause_told = now;
    log_warning("listen",
                "no connection can be taken for now: %s; lower listen.connections_max or raise the limits of "
                "the service (LimitNOFILE, MemoryMax)",
                strerrordesc_np(error));
}

static int pause_over(sd_event_source *source, uint64_t due, void *context)
{
    (void)source, (void)due;
    set_ports(context, SD_EVENT_ON);
    return 0;
}

static struct address address_of(const struct sockaddr_storage *from, uint16_t *port)
{
    struct address address = {.family = ADDRESS_UNKNOWN};
    if (from->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)from;
        address.family = ADDRESS_IPV4;
        memcpy(address.octets, &in->sin_addr, 4);
        *port = ntohs(in->sin_port);
    } else {
        const struct sockaddr_in6 *in = (const void *)from;
        address.family = ADDRESS_IPV6;
        memcpy(address.octets, &in->sin6_addr, 16);
        *port = ntohs(in->sin6_port);
    }
    return address;
}

/* False when it is better not to take another one now. */
static bool admit(struct listeners *listeners, int descriptor, const struct sockaddr_storage *from)
{
    uint16_t port = 0;
    struct address address = address_of(from, &port);
    struct caller *caller = NULL;
    if (listeners->open_count < listeners->conf->listen.connections_max)
        caller = callers_admit(listeners->callers, &address, clock_run());
    if (!caller) {
        count(listeners, OUTCOME_LIMITED);
        close(descriptor);
        return true;
    }
    if (begin(listeners, descriptor, &address, port, caller))
        return true;
    count(listeners, OUTCOME_OTHER);
    pause_ports(listeners, ENOMEM);
    return false;
}

/* Errors of the one connection that was to be taken, accept(2): the next may be sound. */
static bool is_of_one_connection(int error)
{
    return error == EINTR || error == ECONNABORTED || error == EPROTO || error == ENETDOWN || error == ENOPROTOOPT ||
           error == EHOSTDOWN || error == ENONET || error == EHOSTUNREACH || error == EOPNOTSUPP ||
           error == ENETUNREACH || error == EPERM;
}

static int port_ready(sd_event_source *source, int descriptor, uint32_t events, void *context)
{
    struct port *port = context;
    (void)source, (void)events;
    for (int i = 0; i < ACCEPTS; i++) {
        struct sockaddr_storage from = {.ss_family = AF_UNSPEC};
        socklen_t length = sizeof from;
        int accepted = accept4(descriptor, (struct sockaddr *)&from, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (accepted >= 0) {
            if (!admit(port->listeners, accepted, &from))
                return 0;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return 0;
        } else if (!is_of_one_connection(errno)) {
            pause_ports(port->listeners, errno);
            return 0;
        }
    }
    return 0;
}

/* A listening socket; -1 with errno. */
static int open_port(const struct conf_endpoint *endpoint)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(endpoint->port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(endpoint->port)};
    bool ipv6 = endpoint->address.family == ADDRESS_IPV6;
    int on = 1;
    memcpy(&in.sin_addr, endpoint->address.octets, 4);
    memcpy(&in6.sin6_addr, endpoint->address.octets, 16);
    int descriptor = socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        return -1;
    if (setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        (!ipv6 || setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0) &&
        setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0 &&
        bind(descriptor, ipv6 ? (struct sockaddr *)&in6 : (struct sockaddr *)&in, ipv6 ? sizeof in6 : sizeof in) == 0 &&
        listen(descriptor, BACKLOG) == 0)
        return descriptor;
    int error = errno;
    close(descriptor);
    errno = error;
    return -1;
}

/* ---- start and stop ---- */

static int told_to_stop(sd_event_source *source, int descriptor, uint32_t events, void *context)
{
    (void)source, (void)descriptor, (void)events;
    return sd_event_exit(((struct listeners *)context)->loop, 0);
}

static void *run(void *context)
{
    struct listeners *listeners = context;
    int result = sd_event_loop(listeners->loop);
    if (result < 0)
        log_error("listen", "the event loop ended: %s; certificates are not looked at any more, restart",
                  strerrordesc_np(-result));
    while (listeners->open)
        end(listeners->open);
    return NULL;
}

static bool make_loop(struct listeners *listeners, char *problem, size_t size)
{
    listeners->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (listeners->stop < 0 || sd_event_new(&listeners->loop) < 0 ||
        sd_event_add_io(listeners->loop, &listeners->stop_source, listeners->stop, EPOLLIN, told_to_stop, listeners) <
            0 ||
        sd_event_add_time(listeners->loop, &listeners->pause, CLOCK_BOOTTIME, 0, 1000, pause_over, listeners) < 0 ||
        !(listeners->callers = callers_new(listeners->conf->listen.connections_per_address,
                                           listeners->conf->listen.per_minute_per_address))) {
        text_copy(problem, size, "out of memory or descriptors; raise the limits (LimitNOFILE, MemoryMax)");
        return false;
    }
    sd_event_source_set_priority(listeners->stop_source, SD_EVENT_PRIORITY_IMPORTANT);
    sd_event_source_set_enabled(listeners->pause, SD_EVENT_OFF);
    return true;
}

static struct tls_trust *make_trust(const struct conf *conf, char *problem, size_t size)
{
    struct conf_trust profile = conf->trusts[conf->listen.trust];
    profile.certificate = conf->listen.certificate;
    profile.key = conf->listen.key;
    struct tls_trust *trust = tls_trust_new_server(&profile, problem, size);
    if (!trust)
        text_copy(problem, size, "out of memory for the CAs");
    return trust;
}

bool listeners_check(const struct conf *conf, char *problem, size_t size)
{
    *problem = '\0';
    if (conf->listen.enabled)
        tls_trust_free(make_trust(conf, problem, size));
    return !*problem;
}

static bool open_ports(struct listeners *listeners, char *problem, size_t size)
{
    const struct conf_listen *conf = &listeners->conf->listen;
    for (size_t i = 0; i < conf->endpoint_count; i++) {
        struct port *port = &listeners->ports[i];
        char address[ADDRESS_TEXT_SIZE];
        port->listeners = listeners;
        port->descriptor = open_port(&conf->endpoints[i]);
        int error = port->descriptor < 0 ? errno : 0;
        listeners->port_count = i + 1;
        if (!error)
            error = -sd_event_add_io(listeners->loop, &port->source, port->descriptor, EPOLLIN, port_ready, port);
        if (error > 0) {
            text_format(problem, size, "%s port %u: %s%s", address_text(&conf->endpoints[i].address, address),
                        conf->endpoints[i].port, strerrordesc_np(error),
                        error == EADDRINUSE      ? "; find who has it (ss -ltnp) or set another port"
                        : error == EACCES        ? "; set a port above 1023 or give the service CAP_NET_BIND_SERVICE"
                        : error == EADDRNOTAVAIL ? "; this host has no such address (yet)"
                                                 : "");
            return false;
        }
    }
    return true;
}

static void lists_ready(void *context)
{
    set_ports(context, SD_EVENT_ON);
}

/* Until the first revocation lists are there, or cannot be had, who calls waits in the backlog of the port. */
static bool watch_lists(struct listeners *listeners, char *problem, size_t size)
{
    const struct conf *conf = listeners->conf;
    const struct conf_trust *profile = &conf->trusts[conf->listen.trust];
    if (profile->crl_url_count == 0)
        return true;
    listeners->fetcher = fetcher_new(listeners->loop);
    if (listeners->fetcher)
        listeners->revocation = revocation_new(listeners->fetcher, listeners->loop, profile,
                                               conf->collectors.budget.fetch, listeners->trust, lists_ready, listeners);
    if (listeners->revocation) {
        set_ports(listeners, SD_EVENT_OFF);
        return true;
    }
    text_copy(problem, size, "out of memory or descriptors for fetching revocation lists; raise the limits");
    return false;
}

static void discard(struct listeners *listeners)
{
    revocation_free(listeners->revocation);
    fetcher_free(listeners->fetcher);
    for (size_t i = 0; i < listeners->port_count; i++) {
        sd_event_source_disable_unref(listeners->ports[i].source);
        if (listeners->ports[i].descriptor >= 0)
            close(listeners->ports[i].descriptor);
    }
    sd_event_source_disable_unref(listeners->pause);
    sd_event_source_disable_unref(listeners->stop_source);
    sd_event_unref(listeners->loop);
    if (listeners->stop >= 0)
        close(listeners->stop);
    tls_trust_free(listeners->trust);
    callers_free(listeners->callers);
    free(listeners);
}

struct listeners *listeners_start(const struct conf *conf, struct queue *queue, char *problem, size_t size)
{
    *problem = '\0';
    if (!conf->listen.enabled)
        return NULL;
    struct listeners *listeners = calloc(1, sizeof *listeners);
    if (!listeners) {
        text_copy(problem, size, "out of memory");
        return NULL;
    }
    *listeners = (struct listeners){.conf = conf, .queue = queue, .stop = -1, .pause_told = CLOCK_NEVER};
    if (make_loop(listeners, problem, size) && (listeners->trust = make_trust(conf, problem, size)) && !*problem &&
        open_ports(listeners, problem, size) && watch_lists(listeners, problem, size)) {
        listeners->thread = collector_thread_start("listen", run, listeners);
        if (listeners->thread)
            return listeners;
        text_format(problem, size, "the thread cannot be started: %s; raise the limits of the service (TasksMax)",
                    strerrordesc_np(errno));
    }
    discard(listeners);
    return NULL;
}

void listeners_stop(struct listeners *listeners)
{
    if (!listeners)
        return;
    eventfd_write(listeners->stop, 1);
    collector_thread_join(listeners->thread);
    discard(listeners);
}

struct listeners_counts listeners_counts(const struct listeners *listeners)
{
    uint64_t counts[OUTCOMES];
    for (size_t i = 0; i < OUTCOMES; i++)
        counts[i] = atomic_load_explicit(&listeners->outcomes[i], memory_order_relaxed);
    return (struct listeners_counts){.good = counts[OUTCOME_GOOD],
                                     .refused = counts[OUTCOME_REFUSED],
                                     .limited = counts[OUTCOME_LIMITED],
                                     .timeouts = counts[OUTCOME_TIMEOUT],
                                     .other = counts[OUTCOME_OTHER]};
}
