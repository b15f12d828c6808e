/*
 * The transport of look-ups. c-ares carries messages that dns_packet.c wrote and reads; what to ask whom, how often and
 * for how long is decided here.
 *
 * Channels: c-ares does not tell which server answered, and one odd reply changes a whole channel, so each resolver has
 * its own: one for UDP, where c-ares ignores truncation, and one for TCP, to which a truncated question is taken by us.
 * So it is known by which way a reply came or did not come. A UDP channel closes its socket whenever nothing is under
 * way and is replaced after CHANNEL_QUESTIONS, so that source ports do not stay what somebody has found out.
 *
 * A question is WAITING for a place under the resolver's cap, TRYING, READY to be moved on, or FINISHED. Callbacks of
 * c-ares only note what came and make the question READY: c-ares is never called from within c-ares, and `done` never
 * from within either. dns_settle, called at the end of each event, moves questions on and tells the finished ones.
 *
 * c-ares cannot cancel one query. What c-ares holds is therefore a struct try of its own, which is detached from its
 * question at the deadline or a cancel and freed when c-ares lets go of it.
 *
 * Times: the deadline of a try is its start plus dns_try, that of a question its start plus dns. Both are constants, so
 * two lists in the order of starting are sorted by deadline, and one timer, set again only when it fires or has nothing
 * to wait for, is enough. ares_timeout, which walks all queries, is not used.
 *
 * EDNS: c-ares answers a FORMERR without OPT by asking again without OPT, but from then on its channel cuts UDP replies
 * to 512 octets. When we see a FORMERR we ask once without OPT; if that helps, the resolver is asked so for a while.
 */

#include "collect/dns.h"

#include <ares.h>
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"

#define TRIES_PER_RESOLVER 2
#define CHANNEL_QUESTIONS 1000        /* then a UDP channel is replaced */
#define PLAIN_SPAN (600 * CLOCK_SECOND) /* how long a resolver that knows no EDNS is not offered it */
#define SOCKET_BUFFER (1 << 20)
#define OPT_SIZE 11
#define MESSAGE_ROOM (12 + 255 + 4 + OPT_SIZE) /* of a query: header, longest name, type and class, OPT */
#define PLAIN_REPLY_MAX 512
#define TIMER_ACCURACY 1000 /* microseconds */
#define DEFAULT_PORT 53

struct try;
TAILQ_HEAD(query_list, dns_query);
TAILQ_HEAD(try_list, try);
LIST_HEAD(channel_list, channel);

struct channel {
    LIST_ENTRY(channel) link;
    struct resolver *resolver;
    ares_channel ares;
    sd_event_source *io; /* of the one socket that it has at a time, NULL none */
    bool tcp;
    bool retired;    /* replaced; freed when nothing is under way */
    unsigned held;   /* tries that c-ares holds */
    unsigned asked;
};

struct resolver {
    struct dns *dns;
    struct ares_addr_port_node server;
    char text[64];
    bool trusted;
    int64_t plain_until; /* no EDNS before; CLOCK_NEVER: EDNS */
    struct channel *udp, *tcp;
    unsigned in_flight; /* tries that a question waits for */
    struct query_list waiting;
    uint64_t ids[65536 / 64]; /* those that c-ares holds */
};

/* One message that was given to c-ares. */
struct try {
    TAILQ_ENTRY(try) link;
    struct channel *channel;
    struct dns_query *query; /* NULL: nobody waits for it any more */
    int64_t deadline;
    uint16_t id;
    bool plain; /* was sent without OPT */
};

enum state { WAITING = 1, TRYING, READY, FINISHED };

enum outcome { OUTCOME_NONE, OUTCOME_SILENT, OUTCOME_REFUSED, OUTCOME_UNSENT, OUTCOME_REPLY };

struct story { /* what became of the question at one resolver */
    uint8_t tries;
    uint8_t outcome; /* enum outcome, of the last try */
    bool tcp;
    int16_t rcode;
    enum reason reason;
    int error; /* errno of OUTCOME_UNSENT */
};

struct dns_query {
    TAILQ_ENTRY(dns_query) stage; /* in the list of its state */
    TAILQ_ENTRY(dns_query) open;  /* in dns->open unless FINISHED */
    struct dns *dns;
    const struct conf_partner *partner;
    dns_done *done;
    void *context;
    enum state state;
    int64_t started;
    int64_t deadline;
    size_t resolver_count;
    size_t turn; /* tries begun; the resolver is turn % resolver_count */
    struct try *try;
    struct resolver *resolver; /* of WAITING and TRYING */
    bool again;     /* the turn goes on: over TCP or without OPT */
    bool over_tcp;
    bool plain;
    uint16_t message_length;
    uint8_t message[MESSAGE_ROOM]; /* as it is sent, but for the id */
    struct dns_answer answer;
    struct story stories[]; /* one a resolver, in its order */
};

struct dns {
    sd_event *loop;
    sd_event_source *timer;
    sd_event_source *deferred;
    int64_t timer_due; /* INT64_MAX: off */
    int64_t try_span, span; /* microseconds */
    int try_milliseconds;
    unsigned cap;
    struct try_list tries;   /* all that c-ares holds, by deadline */
    struct query_list open;  /* all that are not finished, by deadline */
    struct query_list ready;
    struct query_list finished;
    struct channel_list channels;
    uint16_t random[256];
    size_t random_left;
    size_t resolver_count;
    struct resolver *resolvers;
};

/* Wakes for `due` if the timer would wake later. */
static void timer_need(struct dns *dns, int64_t due)
{
    if (due >= dns->timer_due)
        return;
    dns->timer_due = due;
    sd_event_source_set_time(dns->timer, (uint64_t)due);
    sd_event_source_set_enabled(dns->timer, SD_EVENT_ONESHOT);
}

static void timer_rearm(struct dns *dns)
{
    dns->timer_due = INT64_MAX;
    if (!TAILQ_EMPTY(&dns->tries))
        timer_need(dns, TAILQ_FIRST(&dns->tries)->deadline);
    if (!TAILQ_EMPTY(&dns->open))
        timer_need(dns, TAILQ_FIRST(&dns->open)->deadline);
}

static void query_ready(struct dns_query *query)
{
    query->state = READY;
    TAILQ_INSERT_TAIL(&query->dns->ready, query, stage);
}

/* The question no longer waits for its try. */
static void try_detach(struct try *try)
{
    struct dns_query *query = try->query;
    if (query == NULL)
        return;
    query->try = NULL;
    try->query = NULL;
    try->channel->resolver->in_flight--;
}

/* c-ares has let go of it. */
static void try_free(struct try *try)
{
    struct resolver *resolver = try->channel->resolver;
    try_detach(try);
    resolver->ids[try->id / 64] &= ~(UINT64_C(1) << try->id % 64);
    try->channel->held--;
    TAILQ_REMOVE(&resolver->dns->tries, try, link);
    free(try);
}

static int io_handle(sd_event_source *source, int descriptor, uint32_t events, void *context);

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
        .socket_send_buffer_size = SOCKET_BUFFER,
        .socket_receive_buffer_size = SOCKET_BUFFER,
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
                                       ARES_OPT_SOCK_STATE_CB | ARES_OPT_SOCK_SNDBUF | ARES_OPT_SOCK_RCVBUF |
                                       ARES_OPT_EDNSPSZ | ARES_OPT_NOROTATE);
    if (status != ARES_SUCCESS) {
        free(channel);
        return NULL;
    }
    LIST_INSERT_HEAD(&dns->channels, channel, link);
    if (ares_set_servers_ports(channel->ares, &resolver->server) != ARES_SUCCESS) {
        channel_free(channel);
        return NULL;
    }
    return channel;
}

static void channel_retire(struct channel **channel)
{
    if (*channel != NULL)
        (*channel)->retired = true;
    *channel = NULL;
}

/* Frees the replaced channels of which nothing is awaited; not from within c-ares. */
static void channels_reap(struct dns *dns)
{
    struct channel *channel = LIST_FIRST(&dns->channels);
    while (channel != NULL) {
        struct channel *next = LIST_NEXT(channel, link);
        if (channel->retired && channel->held == 0)
            channel_free(channel);
        channel = next;
    }
}

/* The channel for the next message; NULL without memory. */
static struct channel *channel_get(struct resolver *resolver, bool tcp)
{
    struct channel **channel = tcp ? &resolver->tcp : &resolver->udp;
    if (*channel != NULL && !tcp && (*channel)->asked >= CHANNEL_QUESTIONS)
        channel_retire(channel);
    if (*channel == NULL)
        *channel = channel_new(resolver, tcp);
    return *channel;
}

/* An unpredictable id that nothing under way to that resolver has. */
static uint16_t id_take(struct resolver *resolver)
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

static size_t story_at(const struct dns_query *query)
{
    return (query->turn - 1) % query->resolver_count;
}

static struct resolver *resolver_at(const struct dns_query *query, size_t position)
{
    if (query->partner != NULL && query->partner->resolver_count > 0)
        return &query->dns->resolvers[query->partner->resolvers[position]];
    return &query->dns->resolvers[position];
}

/* A try brought no reply. It never hides what a reply of an earlier try said. */
static void outcome_note(struct dns_query *query, enum outcome outcome, bool tcp, int error)
{
    struct story *story = &query->stories[story_at(query)];
    *story = (struct story){.tries = story->tries, .outcome = outcome, .tcp = tcp, .rcode = -1, .error = error};
    if (tcp) { /* a reply was there, but only in part */
        query->answer.reason = REASON_DNS_MALFORMED;
        query->answer.tcp = true;
        text_copy(query->answer.resolver, sizeof query->answer.resolver, query->resolver->text);
    } else if (query->answer.rcode < 0 && query->answer.reason != REASON_DNS_MALFORMED) {
        bool local = error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
        query->answer.reason = local ? REASON_LOCAL_RESOURCE : REASON_DNS_TIMEOUT;
        text_copy(query->answer.resolver, sizeof query->answer.resolver, query->resolver->text);
    }
}

/* An answer or a negative answer ends the search, also one that a policy or the partner's own records made. */
static bool answer_final(const struct dns_answer *answer)
{
    switch (answer->reason) {
    case REASON_NONE:
    case REASON_DNS_NX_DOMAIN:
    case REASON_DNS_NO_DATA:
    case REASON_DNS_SERVICE_DENIED:
    case REASON_DNS_LOOP:
        return true;
    case REASON_DNS_FILTERED:
        return answer->rcode == 0 || answer->rcode == 3;
    default:
        return false;
    }
}

static void query_finish(struct dns_query *query)
{
    struct dns *dns = query->dns;
    query->state = FINISHED;
    query->answer.duration = (uint32_t)(clock_run() - query->started);
    TAILQ_REMOVE(&dns->open, query, open);
    TAILQ_INSERT_TAIL(&dns->finished, query, stage);
}

static void detail_start(const struct dns_answer *answer, char *out, size_t size)
{
    bool long_name = strlen(answer->name) > 100;
    text_format(out, size, "%.100s%s %s: ", answer->name, long_name ? "..." : "", dns_type_name(answer->type));
}

/* What a reply said that needs no other resolver's story. */
static void detail_reply(struct dns_query *query)
{
    struct dns_answer *answer = &query->answer;
    char detail[OBSERVATION_DETAIL];
    if (answer->reason == REASON_NONE) {
        answer->detail[0] = '\0';
        return;
    }
    detail_start(answer, detail, sizeof detail);
    text_append(detail, sizeof detail, "%s from %s", answer->detail, answer->resolver);
    text_copy(answer->detail, sizeof answer->detail, detail);
}

static void story_phrase(const struct story *story, char *out, size_t size)
{
    const char *way = story->tcp ? " by TCP, after a truncated reply by UDP," : "";
    switch ((enum outcome)story->outcome) {
    case OUTCOME_SILENT:
        text_format(out, size, "no reply%s from", way);
        break;
    case OUTCOME_REFUSED:
        text_format(out, size, "refused or broken off%s by", way);
        break;
    case OUTCOME_UNSENT:
        text_format(out, size, "cannot send (%s) to", strerror(story->error));
        break;
    case OUTCOME_REPLY:
        text_format(out, size, "%s from",
                    story->reason == REASON_DNS_MALFORMED && story->rcode != 1 ? "malformed reply"
                                                                              : dns_rcode_name(story->rcode));
        break;
    case OUTCOME_NONE:
        text_copy(out, size, "not asked:");
        break;
    }
}

/* The stories of all resolvers that were asked; what several have in common is said once. */
static void detail_failure(struct dns_query *query)
{
    struct dns_answer *answer = &query->answer;
    char detail[OBSERVATION_DETAIL], before[96] = "", phrase[96];
    detail_start(answer, detail, sizeof detail);
    size_t empty = strlen(detail);
    for (size_t i = 0; i < query->resolver_count; i++) {
        const struct story *story = &query->stories[i];
        if (story->tries == 0)
            continue;
        story_phrase(story, phrase, sizeof phrase);
        bool same = strcmp(phrase, before) == 0;
        const char *joint = detail[empty] == '\0' ? "" : same ? ", " : "; ";
        text_append(detail, sizeof detail, "%s%s%s%s (%u %s)", joint, same ? "" : phrase, same ? "" : " ",
                    resolver_at(query, i)->text, story->tries, story->tries == 1 ? "try" : "tries");
        text_copy(before, sizeof before, phrase);
    }
    if (answer->ede >= 0)
        text_append(detail, sizeof detail, "; EDE %d %s", answer->ede, answer->ede_text);
    if (query->resolver != NULL && query->state == WAITING)
        text_append(detail, sizeof detail, "%swaited for a place among %u questions to %s; see dns_in_flight",
                    detail[empty] == '\0' ? "" : "; ", query->resolver->in_flight, query->resolver->text);
    text_copy(answer->detail, sizeof answer->detail, detail);
}

static void query_fail(struct dns_query *query)
{
    detail_failure(query);
    query_finish(query);
}

/* Judges what came for a try. */
static void reply_take(struct dns_query *query, const struct try *try, const uint8_t *packet, size_t length)
{
    struct dns_answer *answer = &query->answer;
    struct story *story = &query->stories[story_at(query)];
    struct channel *channel = try->channel;
    struct resolver *resolver = channel->resolver;
    bool truncated = length >= 4 && (packet[2] & 0x02) != 0;

    dns_judge(answer, packet, length);
    answer->authentic = answer->authentic && resolver->trusted;
    answer->tcp = channel->tcp;
    text_copy(answer->resolver, sizeof answer->resolver, resolver->text);
    bool cut = !channel->tcp && length == PLAIN_REPLY_MAX && answer->reason == REASON_DNS_MALFORMED;
    if (!channel->tcp && (truncated || cut)) {
        query->again = query->over_tcp = true;
        return;
    }
    if (answer->rcode == 1 && !try->plain) {
        query->again = query->plain = true;
        if (!channel->tcp && resolver->udp == channel)
            channel_retire(&resolver->udp); /* it has given up EDNS for all replies */
        return;
    }
    if (query->plain && answer->rcode >= 0 && answer->rcode != 1 && resolver->plain_until == CLOCK_NEVER) {
        log_info("dns", "resolver %s does not know EDNS; asking it without", resolver->text);
        resolver->plain_until = clock_run() + PLAIN_SPAN;
        channel_retire(&resolver->udp);
    }
    *story = (struct story){.tries = story->tries, .outcome = OUTCOME_REPLY, .tcp = channel->tcp,
                            .rcode = (int16_t)answer->rcode, .reason = answer->reason};
}

/* From within c-ares: c-ares is done with a try. */
static void try_done(void *context, int status, int timeouts, unsigned char *packet, int length)
{
    struct try *try = context;
    struct dns_query *query = try->query;
    (void)timeouts;
    if (query != NULL) {
        if (status == ARES_SUCCESS)
            reply_take(query, try, packet, (size_t)length);
        else if (status == ARES_ETIMEOUT)
            outcome_note(query, OUTCOME_SILENT, try->channel->tcp, 0);
        else
            outcome_note(query, OUTCOME_REFUSED, try->channel->tcp, 0);
        query_ready(query);
    }
    try_free(try);
}

/* Sends the question to query->resolver, where there is a place for it. */
static void query_send(struct dns_query *query)
{
    struct dns *dns = query->dns;
    struct resolver *resolver = query->resolver;
    struct channel *channel = channel_get(resolver, query->over_tcp);
    struct try *try = channel == NULL ? NULL : malloc(sizeof *try);
    if (try == NULL) {
        outcome_note(query, OUTCOME_UNSENT, query->over_tcp, ENOMEM);
        query_ready(query);
        return;
    }
    *try = (struct try){.channel = channel, .query = query, .id = id_take(resolver)};
    try->plain = query->plain || resolver->plain_until != CLOCK_NEVER;
    try->deadline = clock_run() + dns->try_span;
    TAILQ_INSERT_TAIL(&dns->tries, try, link);
    channel->held++;
    channel->asked++;
    resolver->in_flight++;
    query->try = try;
    query->state = TRYING;
    query->message[0] = (uint8_t)(try->id >> 8);
    query->message[1] = (uint8_t)try->id;
    query->message[11] = try->plain ? 0 : 1; /* number of additional records: the OPT at the end */
    timer_need(dns, try->deadline);
    errno = 0;
    ares_send(channel->ares, query->message, query->message_length - (try->plain ? OPT_SIZE : 0), try_done, try);
    /* It may have failed at once: then errno says why. */
    int error = errno;
    struct story *story = &query->stories[story_at(query)];
    if (query->state == READY && story->outcome == OUTCOME_REFUSED && error != 0)
        outcome_note(query, OUTCOME_UNSENT, query->over_tcp, error);
}

/* Asks query->resolver now, or lets the question wait for its turn. */
static void query_admit(struct dns_query *query, bool first)
{
    struct resolver *resolver = query->resolver;
    if (resolver->in_flight < query->dns->cap && (first || TAILQ_EMPTY(&resolver->waiting))) {
        query_send(query);
        return;
    }
    query->state = WAITING;
    if (first)
        TAILQ_INSERT_HEAD(&resolver->waiting, query, stage);
    else
        TAILQ_INSERT_TAIL(&resolver->waiting, query, stage);
}

/* Begins the next turn, or ends the question. */
static void query_advance(struct dns_query *query)
{
    if (query->again) {
        query->again = false;
        query_admit(query, true);
        return;
    }
    if (query->turn > 0 && query->stories[story_at(query)].outcome == OUTCOME_REPLY && answer_final(&query->answer)) {
        detail_reply(query);
        query_finish(query);
        return;
    }
    if (query->turn >= TRIES_PER_RESOLVER * query->resolver_count) {
        query_fail(query);
        return;
    }
    query->resolver = resolver_at(query, query->turn % query->resolver_count);
    query->turn++;
    query->over_tcp = query->plain = false;
    query->answer.tries++;
    query->stories[story_at(query)].tries++;
    if (query->resolver->plain_until != CLOCK_NEVER && clock_run() >= query->resolver->plain_until) {
        query->resolver->plain_until = CLOCK_NEVER;
        channel_retire(&query->resolver->udp);
    }
    query_admit(query, false);
}

/* Takes the question out of whatever it is in but dns->open. */
static void query_withdraw(struct dns_query *query)
{
    switch (query->state) {
    case WAITING:
        TAILQ_REMOVE(&query->resolver->waiting, query, stage);
        break;
    case TRYING:
        try_detach(query->try);
        break;
    case READY:
        TAILQ_REMOVE(&query->dns->ready, query, stage);
        break;
    case FINISHED:
        TAILQ_REMOVE(&query->dns->finished, query, stage);
        break;
    }
}

/* Moves on what can move, then tells what is finished. At the end of each event. */
static void dns_settle(struct dns *dns)
{
    struct dns_query *query;
    do {
        while ((query = TAILQ_FIRST(&dns->ready)) != NULL) {
            TAILQ_REMOVE(&dns->ready, query, stage);
            query_advance(query);
        }
        for (size_t i = 0; i < dns->resolver_count; i++) {
            struct resolver *resolver = &dns->resolvers[i];
            while (resolver->in_flight < dns->cap && (query = TAILQ_FIRST(&resolver->waiting)) != NULL) {
                TAILQ_REMOVE(&resolver->waiting, query, stage);
                query_send(query);
            }
        }
    } while (!TAILQ_EMPTY(&dns->ready));
    channels_reap(dns);
    while ((query = TAILQ_FIRST(&dns->finished)) != NULL) {
        TAILQ_REMOVE(&dns->finished, query, stage);
        query->done(query->context, &query->answer);
        free(query);
    }
}

static int io_handle(sd_event_source *source, int descriptor, uint32_t events, void *context)
{
    struct channel *channel = context;
    struct dns *dns = channel->resolver->dns;
    (void)source;
    bool readable = (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0, writable = (events & EPOLLOUT) != 0;
    ares_process_fd(channel->ares, readable ? descriptor : ARES_SOCKET_BAD, writable ? descriptor : ARES_SOCKET_BAD);
    dns_settle(dns);
    return 0;
}

static int deferred_handle(sd_event_source *source, void *context)
{
    (void)source;
    dns_settle(context);
    return 0;
}

/* Tries whose time is up; c-ares gets as much time again to let go of them. */
static void tries_expire(struct dns *dns, int64_t now)
{
    struct try *try;
    while ((try = TAILQ_FIRST(&dns->tries)) != NULL && try->deadline <= now) {
        struct channel *channel = try->channel;
        struct dns_query *query = try->query;
        if (query != NULL) {
            try_detach(try);
            outcome_note(query, OUTCOME_SILENT, channel->tcp, 0);
            query_ready(query);
        }
        TAILQ_REMOVE(&dns->tries, try, link);
        try->deadline = now + dns->try_span;
        TAILQ_INSERT_TAIL(&dns->tries, try, link);
        ares_process_fd(channel->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    }
}

static void queries_expire(struct dns *dns, int64_t now)
{
    struct dns_query *query;
    while ((query = TAILQ_FIRST(&dns->open)) != NULL && query->deadline <= now) {
        struct try *try = query->try;
        if (query->state == TRYING)
            outcome_note(query, OUTCOME_SILENT, try->channel->tcp, 0);
        query_withdraw(query);
        query_fail(query);
    }
}

static int timer_handle(sd_event_source *source, uint64_t due, void *context)
{
    struct dns *dns = context;
    int64_t now = clock_run();
    (void)source;
    (void)due;
    tries_expire(dns, now);
    queries_expire(dns, now);
    timer_rearm(dns);
    dns_settle(dns);
    return 0;
}

/* What the answer says before anything came. */
static void answer_begin(struct dns_answer *answer, const char *name, enum dns_type type)
{
    memset(answer, 0, offsetof(struct dns_answer, targets));
    answer->address_count = answer->address_total = 0;
    answer->type = type;
    answer->reason = REASON_DNS_TIMEOUT;
    answer->rcode = answer->ede = -1;
    text_copy(answer->name, sizeof answer->name, name);
}

struct dns_query *dns_ask(struct dns *dns, const struct conf_partner *partner, const char *name, enum dns_type type,
                          dns_done *done, void *context)
{
    size_t count = partner != NULL && partner->resolver_count > 0 ? partner->resolver_count : dns->resolver_count;
    struct dns_query *query = malloc(sizeof *query + count * sizeof *query->stories);
    if (query == NULL)
        return NULL;
    /* Not the message and the answer's 5 KB of records, which counts say the use of: it shows in the cost of a look-up. */
    memset(query, 0, offsetof(struct dns_query, message));
    memset(query->stories, 0, count * sizeof *query->stories);
    query->dns = dns;
    query->partner = partner;
    query->done = done;
    query->context = context;
    query->resolver_count = count;
    query->started = clock_run();
    query->deadline = query->started + dns->span;
    answer_begin(&query->answer, name, type);
    TAILQ_INSERT_TAIL(&dns->open, query, open);
    timer_need(dns, query->deadline);
    query->message_length = (uint16_t)dns_write(query->message, sizeof query->message, 0, name, type);
    if (query->message_length == 0 || strlen(name) >= sizeof query->answer.name) {
        query->answer.reason = REASON_DNS_NAME_INVALID;
        detail_start(&query->answer, query->answer.detail, sizeof query->answer.detail);
        text_append(query->answer.detail, sizeof query->answer.detail, "no name that DNS could be asked for");
        query_finish(query);
    } else {
        query_advance(query);
    }
    if (query->state == READY || query->state == FINISHED)
        sd_event_source_set_enabled(dns->deferred, SD_EVENT_ONESHOT);
    return query;
}

void dns_cancel(struct dns_query *query)
{
    struct dns *dns = query->dns;
    query_withdraw(query);
    if (query->state != FINISHED)
        TAILQ_REMOVE(&dns->open, query, open);
    free(query);
    /* Its place may be another question's now. */
    sd_event_source_set_enabled(dns->deferred, SD_EVENT_ONESHOT);
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

static bool sources_add(struct dns *dns)
{
    int status = sd_event_add_time(dns->loop, &dns->timer, CLOCK_BOOTTIME, 0, TIMER_ACCURACY, timer_handle, dns);
    if (status >= 0)
        status = sd_event_source_set_enabled(dns->timer, SD_EVENT_OFF);
    if (status >= 0)
        status = sd_event_add_defer(dns->loop, &dns->deferred, deferred_handle, dns);
    if (status >= 0)
        status = sd_event_source_set_enabled(dns->deferred, SD_EVENT_OFF);
    if (status < 0)
        log_error("dns", "cannot prepare look-ups: the event loop: %s", strerror(-status));
    return status >= 0;
}

struct dns *dns_new(sd_event *loop, const struct conf *conf)
{
    const struct conf_collectors *collectors = &conf->collectors;
    struct dns *dns = calloc(1, sizeof *dns);
    if (dns == NULL) {
        log_error("dns", "cannot prepare look-ups: out of memory");
        return NULL;
    }
    dns->loop = sd_event_ref(loop);
    dns->timer_due = INT64_MAX;
    dns->try_milliseconds = (int)collectors->budget.dns_try;
    dns->try_span = (int64_t)collectors->budget.dns_try * 1000;
    dns->span = (int64_t)collectors->budget.dns * 1000;
    dns->cap = collectors->dns_in_flight > 0 ? collectors->dns_in_flight : 1;
    TAILQ_INIT(&dns->tries);
    TAILQ_INIT(&dns->open);
    TAILQ_INIT(&dns->ready);
    TAILQ_INIT(&dns->finished);
    LIST_INIT(&dns->channels);
    if (!(conf->resolver_count > 0 ? resolvers_from_conf(dns, conf) : resolvers_from_system(dns))) {
        log_error("dns", "no resolver to ask; name some under resolvers in the configuration");
        dns_free(dns);
        return NULL;
    }
    if (!sources_add(dns)) {
        dns_free(dns);
        return NULL;
    }
    return dns;
}

void dns_free(struct dns *dns)
{
    struct dns_query *query;
    if (dns == NULL)
        return;
    while ((query = TAILQ_FIRST(&dns->open)) != NULL) {
        query_withdraw(query);
        TAILQ_REMOVE(&dns->open, query, open);
        free(query);
    }
    while ((query = TAILQ_FIRST(&dns->finished)) != NULL) {
        query_withdraw(query);
        free(query);
    }
    while (!LIST_EMPTY(&dns->channels))
        channel_free(LIST_FIRST(&dns->channels));
    sd_event_source_disable_unref(dns->timer);
    sd_event_source_disable_unref(dns->deferred);
    sd_event_unref(dns->loop);
    free(dns->resolvers);
    free(dns);
}
