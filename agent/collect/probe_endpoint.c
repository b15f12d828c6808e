/*
 * One endpoint: connect (or the proxy's connection) -> STARTTLS -> TLS -> after. One socket, one edge-triggered event
 * source for both directions that lives as long as the socket, one timer that is set anew for each stage: every
 * function goes on until the socket would block and then returns to the loop.
 *
 * "After" is for TLS 1.3, where the handshake is over for us before the peer has looked at our certificate: when it
 * asked for one and has said nothing since, something harmless of the protocol is sent and the answer awaited. HTTPS
 * servers refuse a certificate with an HTTP status instead of an alert, so they are always asked for one page. With the
 * partner's `app` there is always a question (collect/proto.h), and its answer is judged.
 */
#include <errno.h>
#include <time.h>

#include <linux/errqueue.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "collect/probe_parts.h"

#define REPLY_ROOM 4096

static void step_tls(struct endpoint *endpoint);

/* ---- what every stage needs ---- */

static bool is_direct_xmpp(const struct conf_partner *partner)
{
    bool xmpp = partner->protocol == PROTOCOL_XMPP || partner->protocol == PROTOCOL_XMPP_CLIENT;
    return xmpp && strncasecmp(partner->service, "_xmpps-", 7) == 0;
}

/* What is spoken, before TLS or inside; 0 for nothing. */
static enum proto_kind proto_of(const struct conf_partner *partner)
{
    static const enum proto_kind kinds[PROTOCOL_LAST + 1] = {
        [PROTOCOL_SIP] = PROTO_SIP,     [PROTOCOL_XMPP] = PROTO_XMPP, [PROTOCOL_XMPP_CLIENT] = PROTO_XMPP_CLIENT,
        [PROTOCOL_SMTP] = PROTO_SMTP,   [PROTOCOL_IMAP] = PROTO_IMAP, [PROTOCOL_POP3] = PROTO_POP3,
        [PROTOCOL_HTTPS] = PROTO_HTTP, [PROTOCOL_LDAP] = PROTO_LDAP,
    };
    return kinds[partner->protocol];
}

enum proto_kind endpoint_starttls(const struct conf_partner *partner)
{
    enum proto_kind kind = proto_of(partner);
    return kind == PROTO_SIP || kind == PROTO_HTTP || is_direct_xmpp(partner) ? 0 : kind;
}

static void names_of(const struct endpoint *endpoint, struct proto_names *names)
{
    const struct prober *prober = endpoint->probe->prober;
    const struct conf_partner *partner = endpoint->probe->partner;
    bool by_host = partner->protocol == PROTOCOL_HTTPS && *partner->host;
    names->host = prober->hostname;
    names->from = prober->conf->edge.domain_count > 0 ? prober->conf->edge.domains[0] : "";
    names->to = by_host ? partner->host : partner->domain;
    names->token = ((uint64_t)clock_run() ^ (uintptr_t)endpoint) * UINT64_C(0x9E3779B97F4A7C15);
}

static void start_proto(struct endpoint *endpoint, bool inside)
{
    struct proto_names names;
    names_of(endpoint, &names);
    if (!endpoint->proto)
        endpoint->proto = malloc(sizeof *endpoint->proto);
    if (!endpoint->proto)
        abort();
    proto_start(endpoint->proto, proto_of(endpoint->probe->partner), inside, &names);
}

static void release(struct endpoint *endpoint)
{
    sd_event_source_disable_unref(endpoint->io);
    sd_event_source_disable_unref(endpoint->timer);
    endpoint->io = endpoint->timer = NULL;
    proxy_cancel(endpoint->proxy);
    endpoint->proxy = NULL;
    free(endpoint->proto);
    endpoint->proto = NULL;
    free(endpoint->reply);
    endpoint->reply = NULL;
    tls_free(endpoint->tls);
    endpoint->tls = NULL;
    if (endpoint->descriptor >= 0)
        close(endpoint->descriptor);
    endpoint->descriptor = -1;
}

static void end(struct endpoint *endpoint)
{
    endpoint->ended = true;
    release(endpoint);
    piece_end(endpoint->probe);
}

static void fail(struct endpoint *endpoint, enum reason reason, const char *detail)
{
    endpoint_fail(endpoint, reason, detail);
    end(endpoint);
}

static int timer_fired(sd_event_source *source, uint64_t due, void *context);

static void set_timer(struct endpoint *endpoint, uint32_t milliseconds)
{
    uint64_t due = (uint64_t)clock_run() + (uint64_t)milliseconds * 1000;
    if (endpoint->timer) {
        sd_event_source_set_time(endpoint->timer, due);
        sd_event_source_set_enabled(endpoint->timer, SD_EVENT_ONESHOT);
    } else if (sd_event_add_time(endpoint->probe->prober->loop, &endpoint->timer, CLOCK_BOOTTIME, due, TIMER_ACCURACY,
                                 timer_fired, endpoint) < 0) {
        abort();
    }
}

static void enter(struct endpoint *endpoint, enum stage stage, uint32_t milliseconds)
{
    int64_t now = clock_run();
    if (endpoint->stage)
        endpoint->durations[endpoint->stage] = (uint32_t)(now - endpoint->stage_started);
    endpoint->stage = stage;
    endpoint->stage_started = now;
    set_timer(endpoint, milliseconds);
}

static const struct conf_budget *budget(const struct endpoint *endpoint)
{
    return &endpoint->probe->prober->conf->collectors.budget;
}

/* ---- after ---- */

/* What is sent to make the peer speak; its length. */
static size_t nudge_text(const struct endpoint *endpoint, char *out, size_t size)
{
    struct proto_names names;
    enum proto_kind kind = proto_of(endpoint->probe->partner);
    names_of(endpoint, &names);
    switch (kind) {
    case PROTO_SIP:
        return text_copy(out, size, "\r\n\r\n"); /* RFC 5626 section 3.5.1: answered by CRLF */
    case PROTO_XMPP:
    case PROTO_XMPP_CLIENT:
        return proto_stream_header(kind, &names, out, size);
    case PROTO_SMTP:
        return text_format(out, size, "EHLO %s\r\n", names.host);
    case PROTO_IMAP:
        return text_copy(out, size, "a CAPABILITY\r\n");
    case PROTO_POP3:
        return text_copy(out, size, "CAPA\r\n");
    case PROTO_HTTP:
        return text_format(out, size,
                           "GET / HTTP/1.1\r\nHost: %s\r\nUser-Agent: fedwarden\r\nConnection: close\r\n\r\n",
                           names.to);
    default:
        return 0;
    }
}

static bool is_well(const struct tls_result *result)
{
    return result->reason == REASON_NONE || result->reason == REASON_TLS_EXPIRING_SOON;
}

static bool needs_nudge(const struct endpoint *endpoint, const struct tls_result *result)
{
    if (!is_well(result) || !result->facts.certificate_asked || endpoint->nudge != NUDGE_NONE)
        return false;
    if (endpoint->probe->partner->protocol == PROTOCOL_HTTPS)
        return true;
    enum proto_kind kind = proto_of(endpoint->probe->partner);
    return kind && kind != PROTO_LDAP && !result->facts.answered && strcmp(result->version, "1.3") == 0;
}

/* Leaves as the protocol wants it, as far as it can be sent at once. */
static void say_goodbye(struct endpoint *endpoint)
{
    char text[PROTO_OUTPUT];
    enum tls_want want;
    struct proto_names names;
    enum proto_kind kind = proto_of(endpoint->probe->partner);
    bool opened = endpoint->nudge != NUDGE_NONE || endpoint->stage == STAGE_APPLICATION;
    names_of(endpoint, &names);
    size_t length = kind ? proto_farewell(kind, &names, opened, text, sizeof text) : 0;
    if (length > 0)
        tls_write(endpoint->tls, text, length, &want);
    if (tls_phase(endpoint->tls) == TLS_OPEN)
        tls_close(endpoint->tls);
}

static void finish_tls(struct endpoint *endpoint, enum reason override, const char *detail)
{
    if (tls_phase(endpoint->tls) == TLS_OPEN)
        say_goodbye(endpoint);
    endpoint_judge_tls(endpoint, override, detail);
    end(endpoint);
}

/* An HTTP server that wanted a certificate says so with 400 and a page about it, or with 495 or 496 (nginx). */
static void judge_http(struct endpoint *endpoint)
{
    const struct tls_result *result = tls_result(endpoint->tls);
    const char *reply = endpoint->reply;
    char detail[OBSERVATION_DETAIL], line[100];
    int status = 0;
    if (strncmp(reply, "HTTP/1.", 7) == 0 && endpoint->reply_length > 12)
        status = atoi(reply + 9);
    bool refused = status == 495 || status == 496 || (status == 400 && strcasestr(reply, "certificate"));
    text_printable(line, sizeof line, reply, strcspn(reply, "\r\n"));
    if (!refused) {
        enum reason reason = !endpoint->probe->partner->app ? REASON_NONE
                             : status                       ? proto_status_reason(PROTO_HTTP, status)
                                                            : REASON_APP_PROTOCOL_ERROR;
        text_format(detail, sizeof detail, "GET is answered: %s", line);
        finish_tls(endpoint, reason, detail);
        return;
    }
    text_format(detail, sizeof detail, "the server answers \"%s\" %s", line,
                result->facts.certificate_sent ? "to our certificate" : "because we sent no certificate");
    tls_describe_own(result, detail, sizeof detail);
    finish_tls(endpoint,
               result->facts.certificate_sent ? tls_refusal(&result->facts, REASON_TLS_CLIENT_CERT_REJECTED)
                                              : REASON_TLS_CLIENT_CERT_REQUIRED,
               detail);
}

static void read_answer(struct endpoint *endpoint)
{
    enum tls_want want;
    bool https = endpoint->probe->partner->protocol == PROTOCOL_HTTPS;
    for (;;) {
        char dropped[512];
        char *room = https ? endpoint->reply + endpoint->reply_length : dropped;
        size_t size = https ? REPLY_ROOM - 1 - endpoint->reply_length : sizeof dropped;
        long count = size > 0 ? tls_read(endpoint->tls, room, size, &want) : -1;
        if (count == 0)
            return;
        if (https) {
            endpoint->reply_length += count > 0 ? (size_t)count : 0;
            endpoint->reply[endpoint->reply_length] = '\0';
            if (count > 0)
                continue;
            if (endpoint->reply_length > 0) {
                judge_http(endpoint);
                return;
            }
        }
        finish_tls(endpoint, REASON_NONE, "");
        return;
    }
}

static void send_nudge(struct endpoint *endpoint)
{
    char text[PROTO_OUTPUT];
    enum tls_want want;
    size_t length = nudge_text(endpoint, text, sizeof text);
    while (endpoint->nudge_done < length) {
        long count = tls_write(endpoint->tls, text + endpoint->nudge_done, length - endpoint->nudge_done, &want);
        if (count == 0)
            return;
        if (count < 0) {
            finish_tls(endpoint, REASON_NONE, "");
            return;
        }
        endpoint->nudge_done += (size_t)count;
    }
    endpoint->nudge = NUDGE_READ;
    read_answer(endpoint);
}

static void start_nudge(struct endpoint *endpoint)
{
    bool https = endpoint->probe->partner->protocol == PROTOCOL_HTTPS;
    if (https) {
        endpoint->reply = malloc(REPLY_ROOM);
        if (!endpoint->reply)
            abort();
        endpoint->reply[0] = '\0';
    }
    endpoint->nudge = NUDGE_WRITE;
    enter(endpoint, STAGE_APPLICATION, https ? budget(endpoint)->starttls : budget(endpoint)->after);
    send_nudge(endpoint);
}

/* ---- the question inside TLS ---- */

/* HTTPS servers that asked for our certificate get GET instead, whose answer says whether they took it. */
static bool needs_app(const struct endpoint *endpoint, const struct tls_result *result)
{
    enum proto_kind kind = proto_of(endpoint->probe->partner);
    bool asked = kind && kind != PROTO_LDAP && endpoint->probe->partner->app;
    return asked && !endpoint->app && is_well(result) && !(kind == PROTO_HTTP && result->facts.certificate_asked);
}

static void finish_app(struct endpoint *endpoint)
{
    const struct proto *proto = endpoint->proto;
    bool told_by_tls = !is_well(tls_result(endpoint->tls)); /* such as a refusal of our certificate, by an alert */
    if (told_by_tls)
        finish_tls(endpoint, REASON_NONE, "");
    else
        finish_tls(endpoint, proto->state == PROTO_FAILED ? proto->reason : REASON_NONE, proto->detail);
}

static void step_app(struct endpoint *endpoint)
{
    struct proto *proto = endpoint->proto;
    while (proto->state == PROTO_TALKING) {
        char data[2048];
        size_t length;
        enum tls_want want;
        const char *output = proto_output(proto, &length);
        long count = length > 0 ? tls_write(endpoint->tls, output, length, &want)
                                : tls_read(endpoint->tls, data, sizeof data, &want);
        if (count == 0)
            return;
        if (count < 0)
            proto_closed(proto, false);
        else if (length > 0)
            proto_sent(proto, (size_t)count);
        else
            proto_feed(proto, data, (size_t)count);
    }
    finish_app(endpoint);
}

static void start_app(struct endpoint *endpoint)
{
    endpoint->app = true;
    start_proto(endpoint, true);
    enter(endpoint, STAGE_APPLICATION, budget(endpoint)->app);
    step_app(endpoint);
}

/* ---- TLS ---- */

static void tls_over(struct endpoint *endpoint)
{
    bool open = tls_phase(endpoint->tls) == TLS_OPEN;
    if (open && needs_app(endpoint, tls_result(endpoint->tls)))
        start_app(endpoint);
    else if (open && needs_nudge(endpoint, tls_result(endpoint->tls)))
        start_nudge(endpoint);
    else
        finish_tls(endpoint, REASON_NONE, "");
}

static void step_tls(struct endpoint *endpoint)
{
    endpoint->want = tls_step(endpoint->tls);
    if (endpoint->want == TLS_WANT_NONE) {
        tls_over(endpoint);
        return;
    }
    if (tls_phase(endpoint->tls) == TLS_AFTER && !endpoint->reading_after) {
        endpoint->reading_after = true;
        set_timer(endpoint, budget(endpoint)->after);
    }
}

static const char *first_of(const char *a, const char *b)
{
    return *a ? a : b;
}

/* RFC 6066: a literal address is no host name. */
static const char *sni_of(const char *name)
{
    struct address address;
    return address_parse(name, &address) ? "" : name;
}

static void set_target(struct endpoint *endpoint)
{
    const struct conf_partner *partner = endpoint->probe->partner;
    struct tls_target *target = &endpoint->target;
    const char *name = partner->domain;
    target->identity = TLS_IDENTITY_HOST;
    target->alpn = "";
    if (partner->protocol == PROTOCOL_SIP)
        target->identity = TLS_IDENTITY_SIP;
    else if (partner->protocol == PROTOCOL_XMPP)
        target->identity = TLS_IDENTITY_XMPP;
    else if (partner->protocol == PROTOCOL_XMPP_CLIENT)
        target->identity = TLS_IDENTITY_XMPP_CLIENT;
    else if (partner->protocol == PROTOCOL_SMTP)
        name = endpoint->result.target;
    else
        name = first_of(partner->host, partner->domain);
    if (is_direct_xmpp(partner))
        target->alpn = partner->protocol == PROTOCOL_XMPP ? "xmpp-server" : "xmpp-client";
    target->verify_name = first_of(partner->verify_name, name);
    target->sni = sni_of(first_of(partner->sni, name));
    const struct host_tlsa *tlsa = lookup_tlsa(endpoint->host, endpoint->port);
    if (tlsa) {
        target->tlsa_count = tlsa->answer->tlsa_count;
        target->tlsa = tlsa->answer->tlsa;
        target->tlsa_host = endpoint->host->name;
    }
    target->expiry_days = partner->expiry_days;
    target->conf = &endpoint->probe->prober->conf->trusts[partner->trust];
}

static void start_tls(struct endpoint *endpoint)
{
    enter(endpoint, STAGE_TLS, budget(endpoint)->tls);
    set_target(endpoint);
    struct tls_trust *trust = prober_trust(endpoint->probe->prober, endpoint->probe->partner->trust);
    endpoint->tls = trust ? tls_start(trust, endpoint->descriptor, &endpoint->target) : NULL;
    if (!endpoint->tls) {
        fail(endpoint, REASON_LOCAL_RESOURCE, "out of memory for a TLS session");
        return;
    }
    step_tls(endpoint);
}

/* ---- STARTTLS ---- */

static void step_proto(struct endpoint *endpoint)
{
    char data[2048];
    struct proto *proto = endpoint->proto;
    while (proto->state == PROTO_TALKING) {
        size_t length;
        const char *output = proto_output(proto, &length);
        ssize_t count;
        if (length > 0) {
            count = send(endpoint->descriptor, output, length, MSG_NOSIGNAL);
            if (count >= 0) {
                proto_sent(proto, (size_t)count);
                continue;
            }
        } else {
            count = recv(endpoint->descriptor, data, sizeof data, 0);
        }
        if (count > 0)
            proto_feed(proto, data, (size_t)count);
        else if (count < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        else
            proto_closed(proto, count < 0);
    }
    if (proto->state == PROTO_READY)
        start_tls(endpoint);
    else
        fail(endpoint, proto->reason, proto->detail);
}

/* ---- connected ---- */

static int socket_ready(sd_event_source *source, int descriptor, uint32_t events, void *context);

static bool watch(struct endpoint *endpoint)
{
    if (!endpoint->io && sd_event_add_io(endpoint->probe->prober->loop, &endpoint->io, endpoint->descriptor,
                                         EPOLLIN | EPOLLOUT | EPOLLET, socket_ready, endpoint) < 0) {
        fail(endpoint, REASON_LOCAL_RESOURCE, "the event loop cannot watch another socket");
        return false;
    }
    return true;
}

/* The stage behind the connection. */
static void enter_first(struct endpoint *endpoint)
{
    if (endpoint_starttls(endpoint->probe->partner))
        enter(endpoint, STAGE_STARTTLS, budget(endpoint)->starttls);
    else
        enter(endpoint, STAGE_TLS, budget(endpoint)->tls);
}

static void connected(struct endpoint *endpoint)
{
    if (!watch(endpoint))
        return;
    if (!endpoint_starttls(endpoint->probe->partner)) {
        start_tls(endpoint);
        return;
    }
    enter_first(endpoint);
    start_proto(endpoint, false);
    step_proto(endpoint);
}

/* ---- connect ---- */

/* Which ICMP message ended a connection attempt: -1 for none that is known. */
static int icmp_code(int descriptor, bool ipv6)
{
    char control[512], data[64];
    struct iovec part = {data, sizeof data};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    if (recvmsg(descriptor, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
        return -1;
    for (struct cmsghdr *item = CMSG_FIRSTHDR(&message); item; item = CMSG_NXTHDR(&message, item)) {
        struct sock_extended_err error;
        bool wanted = ipv6 ? item->cmsg_level == IPPROTO_IPV6 && item->cmsg_type == IPV6_RECVERR
                           : item->cmsg_level == IPPROTO_IP && item->cmsg_type == IP_RECVERR;
        if (!wanted || item->cmsg_len < CMSG_LEN(sizeof error))
            continue;
        memcpy(&error, CMSG_DATA(item), sizeof error);
        if (error.ee_origin == (ipv6 ? SO_EE_ORIGIN_ICMP6 : SO_EE_ORIGIN_ICMP))
            return error.ee_type << 8 | error.ee_code;
    }
    return -1;
}

/* ICMP messages by which a filter says no: RFC 1812 section 5.2.7.1, RFC 4443 section 3.1. TCP stacks refuse with RST,
   so that a port unreachable comes from a filter, too. */
static bool icmp_is_filter(int code, bool ipv6)
{
    if (ipv6)
        return code == (1 << 8 | 1) || code == (1 << 8 | 4) || code == (1 << 8 | 5) || code == (1 << 8 | 6);
    return code == (ICMP_DEST_UNREACH << 8 | ICMP_PORT_UNREACH) || code == (ICMP_DEST_UNREACH << 8 | ICMP_NET_ANO) ||
           code == (ICMP_DEST_UNREACH << 8 | ICMP_HOST_ANO) || code == (ICMP_DEST_UNREACH << 8 | ICMP_PKT_FILTERED);
}

static enum reason connect_reason(int error)
{
    switch (error) {
    case ECONNREFUSED:
        return REASON_TCP_REFUSED;
    case ETIMEDOUT:
        return REASON_TCP_TIMEOUT;
    case ECONNRESET:
    case EPIPE:
        return REASON_TCP_RESET;
    case ENETUNREACH:
    case EINVAL: /* an unreachable or blackhole route */
        return REASON_NET_UNREACHABLE;
    case EHOSTUNREACH:
    case EHOSTDOWN:
        return REASON_HOST_UNREACHABLE;
    case EACCES:
    case EPERM:
        return REASON_ADMIN_PROHIBITED;
    case EAFNOSUPPORT:
        return REASON_NO_USABLE_ADDRESS;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case EADDRNOTAVAIL:
    case EADDRINUSE:
    case EAGAIN: /* no free local port */
        return REASON_LOCAL_RESOURCE;
    default:
        return REASON_CONNECTION_OTHER;
    }
}

static void connect_failed(struct endpoint *endpoint, int error)
{
    char detail[OBSERVATION_DETAIL];
    bool ipv6 = endpoint->address.family == ADDRESS_IPV6;
    enum reason reason = connect_reason(error);
    int code = endpoint->descriptor >= 0 ? icmp_code(endpoint->descriptor, ipv6) : -1;
    if (code >= 0 && icmp_is_filter(code, ipv6))
        reason = REASON_ADMIN_PROHIBITED;
    text_format(detail, sizeof detail, "%s", strerrordesc_np(error) ? strerrordesc_np(error) : "unknown error");
    if (code >= 0)
        text_append(detail, sizeof detail, " (ICMP%s type %d code %d)", ipv6 ? "v6" : "", code >> 8, code & 255);
    fail(endpoint, reason, detail);
}

static int open_socket(const struct endpoint *endpoint)
{
    int on = 1;
    bool ipv6 = endpoint->address.family == ADDRESS_IPV6;
    int descriptor = socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        return -1;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (ipv6)
        setsockopt(descriptor, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof on);
    else
        setsockopt(descriptor, IPPROTO_IP, IP_RECVERR, &on, sizeof on);
    return descriptor;
}

static int connect_socket(const struct endpoint *endpoint)
{
    struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = htons(endpoint->port)};
    struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_port = htons(endpoint->port)};
    if (endpoint->address.family == ADDRESS_IPV6) {
        memcpy(&ipv6.sin6_addr, endpoint->address.octets, sizeof ipv6.sin6_addr);
        return connect(endpoint->descriptor, (const struct sockaddr *)&ipv6, sizeof ipv6);
    }
    memcpy(&ipv4.sin_addr, endpoint->address.octets, sizeof ipv4.sin_addr);
    return connect(endpoint->descriptor, (const struct sockaddr *)&ipv4, sizeof ipv4);
}

static void start_connect(struct endpoint *endpoint)
{
    enter(endpoint, STAGE_CONNECT, budget(endpoint)->connect);
    endpoint->descriptor = open_socket(endpoint);
    if (endpoint->descriptor < 0) {
        connect_failed(endpoint, errno);
        return;
    }
    if (connect_socket(endpoint) == 0)
        connected(endpoint);
    else if (errno == EINPROGRESS)
        watch(endpoint);
    else
        connect_failed(endpoint, errno);
}

static void step_connect(struct endpoint *endpoint, uint32_t events)
{
    int error = 0;
    socklen_t length = sizeof error;
    if (!(events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
        return;
    if (events & (EPOLLERR | EPOLLHUP)) {
        if (getsockopt(endpoint->descriptor, SOL_SOCKET, SO_ERROR, &error, &length) != 0)
            error = errno;
        /* Resetting needs a connection: what refuses one is ECONNREFUSED. Both may have come before we looked. */
        if (error == ECONNRESET || error == EPIPE)
            enter_first(endpoint);
        if (error) {
            connect_failed(endpoint, error);
            return;
        }
    }
    connected(endpoint);
}

static void proxied(void *context, const struct proxy_outcome *outcome)
{
    struct endpoint *endpoint = context;
    endpoint->proxy = NULL;
    endpoint->stage = outcome->reached ? STAGE_PROXY : STAGE_CONNECT;
    if (outcome->descriptor < 0) {
        fail(endpoint, outcome->reason, outcome->detail);
        return;
    }
    endpoint->descriptor = outcome->descriptor;
    connected(endpoint);
}

static void start_proxy(struct endpoint *endpoint)
{
    struct prober *prober = endpoint->probe->prober;
    if (!prober->proxies)
        prober->proxies = proxy_pool_new(prober->loop);
    enter(endpoint, STAGE_PROXY, budget(endpoint)->proxy);
    if (prober->proxies)
        endpoint->proxy = proxy_start(prober->proxies, endpoint->probe->partner->proxy, endpoint->result.target,
                                      &endpoint->address, endpoint->port, proxied, endpoint);
    if (!endpoint->proxy)
        fail(endpoint, REASON_LOCAL_RESOURCE, "libcurl cannot start a connection through the proxy");
}

/* ---- events ---- */

static int socket_ready(sd_event_source *source, int descriptor, uint32_t events, void *context)
{
    struct endpoint *endpoint = context;
    (void)source;
    (void)descriptor;
    switch (endpoint->stage) {
    case STAGE_CONNECT:
        step_connect(endpoint, events);
        break;
    case STAGE_STARTTLS:
        step_proto(endpoint);
        break;
    case STAGE_TLS:
        /* The first event of a new source says only that one may write: no need to try reading for that. */
        if (endpoint->want != TLS_WANT_READ || (events & ~(uint32_t)EPOLLOUT))
            step_tls(endpoint);
        break;
    case STAGE_APPLICATION:
        if (endpoint->app)
            step_app(endpoint);
        else if (endpoint->nudge == NUDGE_WRITE)
            send_nudge(endpoint);
        else
            read_answer(endpoint);
        break;
    default:
        break;
    }
    return 0;
}

static void stage_timeout(struct endpoint *endpoint)
{
    struct proxy_outcome outcome;
    switch (endpoint->stage) {
    case STAGE_CONNECT:
        fail(endpoint, REASON_TCP_TIMEOUT, "no answer to the connection attempt");
        break;
    case STAGE_PROXY:
        proxy_timeout(endpoint->proxy, &outcome);
        proxied(endpoint, &outcome);
        break;
    case STAGE_STARTTLS:
        proto_timeout(endpoint->proto);
        fail(endpoint, endpoint->proto->reason, endpoint->proto->detail);
        break;
    case STAGE_TLS:
        tls_timeout(endpoint->tls);
        tls_over(endpoint);
        break;
    default: /* no answer to a nudge proves nothing */
        if (endpoint->app) {
            proto_timeout(endpoint->proto);
            finish_app(endpoint);
        } else if (endpoint->reply_length > 0) {
            judge_http(endpoint);
        } else {
            bool asked = endpoint->reply && endpoint->probe->partner->app;
            finish_tls(endpoint, asked ? REASON_APP_TIMEOUT : REASON_NONE, "the answer to GET did not come in time");
        }
        break;
    }
}

static int timer_fired(sd_event_source *source, uint64_t due, void *context)
{
    (void)source;
    (void)due;
    stage_timeout(context);
    return 0;
}

/* ---- for the others ---- */

struct endpoint *endpoint_new(struct host *host, const struct address *address, uint16_t port)
{
    struct endpoint *endpoint = calloc(1, sizeof *endpoint);
    if (!endpoint)
        abort();
    endpoint->probe = host->probe;
    endpoint->host = host;
    endpoint->address = *address;
    endpoint->port = port;
    endpoint->descriptor = -1;
    text_copy(endpoint->result.target, sizeof endpoint->result.target, host->name);
    endpoint->result.address = *address;
    endpoint->result.port = port;
    piece_begin(host->probe);
    return endpoint;
}

void endpoint_start(struct endpoint *endpoint)
{
    if (prober_take_token(endpoint->probe->prober, endpoint))
        endpoint_go(endpoint);
}

void endpoint_go(struct endpoint *endpoint)
{
    if (*endpoint->probe->partner->proxy)
        start_proxy(endpoint);
    else
        start_connect(endpoint);
}

void endpoint_timeout(struct endpoint *endpoint)
{
    bool waits_for_its_turn = endpoint->stage == 0;
    if (endpoint->ended || waits_for_its_turn)
        return;
    stage_timeout(endpoint);
    if (!endpoint->ended)
        stage_timeout(endpoint); /* the first may have led to a nudge */
}

void endpoint_free(struct endpoint *endpoint)
{
    if (!endpoint)
        return;
    if (endpoint->stage == 0 && !endpoint->ended)
        prober_leave_queue(endpoint->probe->prober, endpoint);
    release(endpoint);
    free(endpoint->result.certificates);
    free(endpoint->result.peer_cas);
    free(endpoint);
}
