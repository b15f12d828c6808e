#ifndef FEDWARDEN_COLLECT_DNS_PARTS_H
#define FEDWARDEN_COLLECT_DNS_PARTS_H

/*
 * What the dns*.c files share; nobody else includes it.
 *
 *   dns_packet.c    messages: writes the query, judges the reply
 *   dns_resolver.c  whom we ask: resolvers, and the channels of c-ares to each
 *   dns_story.c     what became of a question at each resolver, and how it is told
 *   dnssec.c        whether an answer is proven
 *   dns.c           what is asked whom, how often and for how long
 */

#include <ares.h>
#include <sys/queue.h>

#include "collect/dns.h"
#include "collect/dnssec.h"

#define DNS_OPT_SIZE 11
#define DNS_MESSAGE_ROOM (12 + 255 + 4 + DNS_OPT_SIZE) /* of a query: header, longest name, type and class, OPT */

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
    unsigned reads;  /* since its socket was last said to be readable */
    int error;       /* errno of what its socket did last, 0 when that went well */
};

struct resolver {
    struct dns *dns;
    struct ares_addr_port_node server;
    char text[64];
    char forwarder[64]; /* the same as libunbound writes it */
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

enum state { WAITING = 1, TRYING, READY, VALIDATING, FINISHED };

enum outcome { OUTCOME_NONE, OUTCOME_SILENT, OUTCOME_BROKEN, OUTCOME_REPLY };

struct story { /* what became of the question at one resolver */
    uint8_t tries;
    uint8_t outcome; /* enum outcome, of the last try */
    bool tcp;
    int16_t rcode;
    enum reason reason;
    int error; /* errno of OUTCOME_BROKEN; 0: the resolver closed the connection */
};

struct dns_query {
    TAILQ_ENTRY(dns_query) stage; /* in the list of its state */
    TAILQ_ENTRY(dns_query) open;  /* in dns->open unless FINISHED */
    struct dns *dns;
    const uint32_t *resolvers; /* NULL: all */
    bool confirm_no_data;
    dns_done *done;
    void *context;
    enum state state;
    int64_t started;
    int64_t deadline;
    size_t resolver_count;
    size_t turn; /* tries begun; the resolver is turn % resolver_count */
    struct try *try;
    struct dnssec_query *validation; /* of VALIDATING */
    struct resolver *resolver; /* of WAITING and TRYING */
    bool again;     /* the turn goes on: over TCP or without OPT */
    bool over_tcp;
    bool plain;
    uint16_t message_length;
    uint8_t message[DNS_MESSAGE_ROOM]; /* as it is sent, but for the id */
    struct dns_answer answer;
    struct dns_answer *denial; /* a negative answer for which another resolver is asked, NULL none */
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
    struct dnssec *dnssec; /* NULL: answers are not validated here */
};

/* dns_settle(dns): moves on what can move, then tells what is finished. At the end of each event. */
void dns_settle(struct dns *dns);

/* ---- dns_resolver.c ---- */

/* dns_resolvers_load(dns, conf): false with a logged message when there is none. */
bool dns_resolvers_load(struct dns *dns, const struct conf *conf);
/* dns_resolver_at(query, position): of the resolvers that the question goes to. */
struct resolver *dns_resolver_at(const struct dns_query *query, size_t position);
/* dns_channel_get(resolver, tcp): the channel for the next message; NULL without memory. */
struct channel *dns_channel_get(struct resolver *resolver, bool tcp);
/* dns_channel_retire(channel): it is replaced at its next use. */
void dns_channel_retire(struct channel **channel);
/* dns_channels_reap(dns): frees the replaced channels of which nothing is awaited; not from within c-ares. */
void dns_channels_reap(struct dns *dns);
/* dns_channels_free(dns): all of them; c-ares calls back for what it still holds. */
void dns_channels_free(struct dns *dns);
/* dns_id_take(resolver): an unpredictable id that nothing under way to that resolver has. */
uint16_t dns_id_take(struct resolver *resolver);

/* ---- dns_story.c ---- */

/* dns_story(query): that of the resolver whose turn it is. */
struct story *dns_story(struct dns_query *query);
/* dns_story_note(query, outcome, tcp, error): a try brought no reply. It never hides what a reply of an earlier try said. */
void dns_story_note(struct dns_query *query, enum outcome outcome, bool tcp, int error);
/* dns_tell_question(answer, out, size): the beginning of each detail: what was asked. */
void dns_tell_question(const struct dns_answer *answer, char *out, size_t size);
/* dns_tell_reply(query): the detail where a reply was final, with what other resolvers said. dns_tell_failure(query): the stories of all resolvers. */
void dns_tell_reply(struct dns_query *query);
void dns_tell_failure(struct dns_query *query);
/* dns_story_prove(query, verdict): what DNSSEC says of the answer that is there. */
void dns_story_prove(struct dns_query *query, const struct dnssec_verdict *verdict);

#endif
