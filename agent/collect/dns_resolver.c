/*
 * Resolvers and the channels of c-ares to them.
 *
 * c-ares does not tell which server answered, and one odd reply changes a whole channel, so each resolver has its own:
 * one for UDP, where c-ares ignores truncation, and one for TCP, to which a truncated question is taken by us. So it is
 * known by which way a reply came or did not come. A UDP channel closes its socket whenever nothing is under way and is
 * replaced after CHANNEL_QUESTIONS, so that source ports do not stay what somebody has found out. A TCP channel carries
 * one question at a time: a reply that comes octet by octet holds up nobody else's.
 *
 * The sockets are opened, read and written here, because c-ares tells nobody why one failed, and because it reads UDP
 * for as long as something comes: a server that sends faster than we read would hold the thread for ever. After
 * READS_MAX datagrams it is told that there are no more for now.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "collect/dns_parts.h"

#define CHANNEL_QUESTIONS 1000 /* then a UDP channel is replaced */
#define SOCKET_BUFFER (1 << 20)
#define DEFAULT_PORT 53
#define READS_MAX 256

/* Keeps why a call failed, for who asks what became of its question; errno stays what it is. */
static ssize_t noted(struct channel *channel, ssize_t result)
{
    if (result >= 0)
        channel->error = 0;
    else if (errno != EAGAIN && errno != EINPROGRESS && errno != EINTR)
        channel->error = errno;
    return result;
}

static ares_socket_t socket_open(int family, int type, int protocol, void *context)
{
    const int size = SOCKET_BUFFER, yes = 1;
    int descriptor = (int)noted(context, socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol));
    if (descriptor >= 0) { /* where the system allows less, it gives what it allows */
        setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
        if (type == SOCK_DGRAM) /* without it Linux keeps from us that a router knows no way (ip(7)) */
            setsockopt(descriptor, family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP,
                       family == AF_INET6 ? IPV6_RECVERR : IP_RECVERR, &yes, sizeof yes);
    }
    return descriptor;
}

static int socket_close(ares_socket_t descriptor, void *context)
{
    (void)context;
    return close(descriptor);
}

static int socket_connect(ares_socket_t descriptor, const struct sockaddr *address, ares_socklen_t length, void *context)
{
    return (int)noted(context, connect(descriptor, address, length));
}

static ares_ssize_t socket_read(ares_socket_t descriptor, void *data, size_t size, int flags, struct sockaddr *from,
                                ares_socklen_t *from_length, void *context)
{
    struct channel *channel = context;
    if (channel->reads++ >= READS_MAX) {
        errno = EAGAIN;
        return -1;
    }
    return noted(channel, recvfrom(descriptor, data, size, flags, from, from_length));
}

static ares_ssize_t socket_write(ares_socket_t descriptor, const struct iovec *parts, int count, void *context)
{
    struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = (size_t)count};
    return noted(context, sendmsg(descriptor, &message, MSG_NOSIGNAL));
}

static const struct ares_socket_functions socket_functions = {socket_open, socket_close, socket_connect, socket_read,
                                                              socket_write};

static int io_handle(sd_event_source *source, int descriptor, uint32_t events, void *context)
{
    struct channel *channel = context;
    struct dns *dns = channel->resolver->dns;
    (void)source;
    bool readable = (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0, writable = (events & EPOLLOUT) != 0;
    channel->reads = 0;
    ares_process_fd(channel->ares, readable ? descriptor : ARES_SOCKET_BAD, writable ? descriptor : ARES_SOCKET_BAD);
    dns_settle(dns);
    return 0;
}

static void socket_state(void *context, ares_socket_t descriptor, int readable, int writable)
{
    struct channel *channel = context;
    uint32_t events = (readable ? EPOLLIN : 0u) | (writable ? EPOLLOUT : 0u);
    if (events == 0) {
        channel->io = sd_event_source_disable_unref(channel->io);
    } else if (channel->io != NULL) {
        sd_event_source_set_io_events(channel->io, events);
    } else {
        int status = sd_event_add_io(channel->resolver->dns->loop, &channel->io, descriptor, events, io_handle, channel);
        if (status < 0)
            log_error("dns", "cannot watch a socket to resolver %s: %s; its answers will be missed",
                      channel->resolver->text, strerror(-status));
    }
}

static void channel_free(struct channel *channel)
{
    ares_destroy(channel->ares); /* calls back for all that it holds, and for its socket */
    LIST_REMOVE(channel, link);
    free(channel);
}

/*
 * All that c-ares would otherwise look up in files is given, so that it opens none: not even the server comes from
 * resolv.conf. NULL without memory.
 */
static struct channel *channel_new(struct resolver *resolver, bool tcp)
{
    struct dns *dns = resolver->dns;
    struct in_addr none = {.s_addr = htonl(INADDR_LOOPBACK)}; /* replaced before anything is sent */
    struct channel *channel = calloc(1, sizeof *channel);
    if (channel == NULL)
        return NULL;
    struct ares_options options = {
        .flags = ARES_FLAG_NOCHECKRESP | ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES,
        .timeout = dns->try_milliseconds,
        .tries = 1,
        .ndots = 1,
        .servers = &none,
        .nservers = 1,
        .lookups = (char[]){"b"},
        .sock_state_cb = socket_state,
        .sock_state_cb_data = channel,
        .ednspsz = 1232,
    };
    if (tcp)
        options.flags |= ARES_FLAG_USEVC;
    else
        options.flags |= ARES_FLAG_IGNTC | (resolver->plain_until == CLOCK_NEVER ? ARES_FLAG_EDNS : 0);
    channel->resolver = resolver;
    channel->tcp = tcp;
    int status = ares_init_options(&channel->ares, &options,
                                   ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS |
                                       ARES_OPT_SERVERS | ARES_OPT_DOMAINS | ARES_OPT_SORTLIST | ARES_OPT_LOOKUPS |
                                       ARES_OPT_SOCK_STATE_CB | ARES_OPT_EDNSPSZ | ARES_OPT_NOROTATE);
    if (status != ARES_SUCCESS) {
        free(channel);
        return NULL;
    }
    LIST_INSERT_HEAD(&dns->channels, channel, link);
    ares_set_socket_functions(channel->ares, &socket_functions, channel);
    if (ares_set_servers_ports(channel->ares, &resolver->server) != ARES_SUCCESS) {
        channel_free(channel);
        return NULL;
    }
    return channel;
}

void dns_channel_retire(struct channel **channel)
{
    if (*channel != NULL)
        (*channel)->retired = true;
    *channel = NULL;
}

void dns_channels_reap(struct dns *dns)
{
    struct channel *channel = LIST_FIRST(&dns->channels);
    while (channel != NULL) {
        struct channel *next = LIST_NEXT(channel, link);
        if (channel->retired && channel->held == 0)
            channel_free(channel);
        channel = next;
    }
}

struct channel *dns_channel_get(struct resolver *resolver, bool tcp)
{
    struct channel **channel = tcp ? &resolver->tcp : &resolver->udp;
    if (*channel != NULL && (tcp ? (*channel)->held > 0 : (*channel)->asked >= CHANNEL_QUESTIONS))
        dns_channel_retire(channel);
    if (*channel == NULL)
        *channel = channel_new(resolver, tcp);
    return *channel;
}

uint16_t dns_id_take(struct resolver *resolver)
{
    struct dns *dns = resolver->dns;
    for (;;) {
        if (dns->random_left == 0) {
            if (getrandom(dns->random, sizeof dns->random, 0) != (ssize_t)sizeof dns->random)
                continue; /* a signal at start-up; up to 256 octets are never cut short */
            dns->random_left = sizeof dns->random / sizeof *dns->random;
        }
        uint16_t id = dns->random[--dns->random_left];
        uint64_t *word = &resolver->ids[id / 64], bit = UINT64_C(1) << id % 64;
        if ((*word & bit) == 0) {
            *word |= bit;
            return id;
        }
    }
}

void dns_channels_free(struct dns *dns)
{
    while (!LIST_EMPTY(&dns->channels))
        channel_free(LIST_FIRST(&dns->channels));
}

struct resolver *dns_resolver_at(const struct dns_query *query, size_t position)
{
    return &query->dns->resolvers[query->resolvers != NULL ? query->resolvers[position] : position];
}

static void resolver_init(struct dns *dns, struct resolver *resolver, int family, const void *octets, uint16_t port,
                          bool trusted)
{
    char text[INET6_ADDRSTRLEN];
    resolver->dns = dns;
    resolver->trusted = trusted;
    resolver->server.family = family;
    resolver->server.udp_port = resolver->server.tcp_port = port;
    memcpy(&resolver->server.addr, octets, family == AF_INET ? 4 : 16);
    TAILQ_INIT(&resolver->waiting);
    inet_ntop(family, octets, text, sizeof text);
    text_format(resolver->forwarder, sizeof resolver->forwarder, "%s@%u", text, port);
    text_format(resolver->text, sizeof resolver->text, family == AF_INET ? "%s:%u" : "[%s]:%u", text, port);
}

static bool resolvers_from_conf(struct dns *dns, const struct conf *conf)
{
    dns->resolvers = calloc(conf->resolver_count, sizeof *dns->resolvers);
    if (dns->resolvers == NULL)
        return false;
    dns->resolver_count = conf->resolver_count;
    for (size_t i = 0; i < conf->resolver_count; i++) {
        const struct conf_resolver *from = &conf->resolvers[i];
        resolver_init(dns, &dns->resolvers[i], from->address.family == ADDRESS_IPV6 ? AF_INET6 : AF_INET,
                      from->address.octets, from->port != 0 ? from->port : DEFAULT_PORT, from->trusted);
    }
    return true;
}

/* What c-ares reads from resolv.conf: without one it takes 127.0.0.1, as resolver(5) says. */
static bool resolvers_from_system(struct dns *dns)
{
    ares_channel channel;
    struct ares_addr_port_node *servers = NULL;
    char list[256] = "";
    if (ares_init(&channel) != ARES_SUCCESS)
        return false;
    int status = ares_get_servers_ports(channel, &servers);
    ares_destroy(channel);
    if (status != ARES_SUCCESS)
        return false;
    size_t count = 0;
    for (struct ares_addr_port_node *at = servers; at != NULL; at = at->next)
        count++;
    dns->resolvers = calloc(count + 1, sizeof *dns->resolvers);
    for (struct ares_addr_port_node *at = servers; dns->resolvers != NULL && at != NULL; at = at->next) {
        struct resolver *resolver = &dns->resolvers[dns->resolver_count++];
        resolver_init(dns, resolver, at->family, &at->addr, at->udp_port != 0 ? (uint16_t)at->udp_port : DEFAULT_PORT,
                      false);
        text_append(list, sizeof list, "%s%s", list[0] == '\0' ? "" : ", ", resolver->text);
    }
    ares_free_data(servers);
    if (dns->resolver_count > 0)
        log_info("dns", "no resolvers configured; asking those of /etc/resolv.conf: %s", list);
    return dns->resolver_count > 0;
}

bool dns_resolvers_load(struct dns *dns, const struct conf *conf)
{
    if (conf->resolver_count > 0 ? resolvers_from_conf(dns, conf) : resolvers_from_system(dns))
        return true;
    log_error("dns", "no resolver to ask; name some under resolvers in the configuration");
    return false;
}
