/*
 * The transport of look-ups. c-ares carries messages that dns_packet.c wrote and reads; what to ask whom, how often and
 * for how long is decided here.
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
 * VALIDATING is what lies between the answer and FINISHED where `dnssec` wishes it: libunbound asks the same resolver for
 * the records and their proof. What it proved is then the answer, so that nothing unproven stands beside a proof.
 *
 * A negative answer is doubted while there is a resolver that has not been asked: it is laid aside, and the next turn
 * asks that one. Only resolvers without a try are asked for this; what they bring other than the records changes nothing.
 *
 * EDNS: c-ares answers a FORMERR without OPT by asking again without OPT, but from then on its channel cuts UDP replies
 * to 512 octets. When we see a FORMERR we ask once without OPT; if that helps, the resolver is asked so for a while.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "collect/dns_parts.h"

#define TRIES_PER_RESOLVER 2
#define PLAIN_SPAN (600 * CLOCK_SECOND) /* how long a resolver that knows no EDNS is not offered it */
#define PLAIN_REPLY_MAX 512
#define TIMER_ACCURACY 1000 /* microseconds */

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

static bool answer_negative(const struct dns_query *query)
{
    switch (query->answer.reason) {
    case REASON_DNS_NX_DOMAIN:
    case REASON_DNS_FILTERED:
        return true;
    case REASON_DNS_NO_DATA:
        return query->confirm_no_data || (query->answer.type != DNS_A && query->answer.type != DNS_AAAA);
    default:
        return false;
    }
}

/* The negative answer that was laid aside stands. */
static void denial_restore(struct dns_query *query)
{
    unsigned tries = query->answer.tries;
    query->answer = *query->denial;
    query->answer.tries = tries;
    free(query->denial);
    query->denial = NULL;
}

static void query_free(struct dns_query *query)
{
    free(query->denial);
    free(query);
}

static void query_finish(struct dns_query *query)
{
    struct dns *dns = query->dns;
    query->state = FINISHED;
    query->answer.duration = (uint32_t)(clock_run() - query->started);
    TAILQ_REMOVE(&dns->open, query, open);
    TAILQ_INSERT_TAIL(&dns->finished, query, stage);
}

static bool worth_validating(const struct dns_answer *answer)
{
    switch (answer->reason) {
    case REASON_NONE:
    case REASON_DNS_NX_DOMAIN:
    case REASON_DNS_NO_DATA:
    case REASON_DNS_SERVICE_DENIED:
    case REASON_DNS_SERV_FAIL: /* a resolver that validates, but does not say that it is this */
    case REASON_DNS_BOGUS:
    case REASON_DNS_SIGNATURE_EXPIRED:
        return true;
    default:
        return false;
    }
}

/* From within libunbound. */
static void validated(void *context, const struct dnssec_verdict *verdict)
{
    struct dns_query *query = context;
    query->validation = NULL;
    dns_story_prove(query, verdict);
    query_finish(query);
    sd_event_source_set_enabled(query->dns->deferred, SD_EVENT_ONESHOT);
}

/* The resolver whose reply is the answer. */
static const struct resolver *answer_resolver(const struct dns_query *query)
{
    for (size_t i = 0; i < query->resolver_count; i++)
        if (strcmp(dns_resolver_at(query, i)->text, query->answer.resolver) == 0)
            return dns_resolver_at(query, i);
    return query->resolver;
}

/* The answer is there, but for its proof where that is wished. */
static void query_end(struct dns_query *query)
{
    struct dnssec *dnssec = query->dns->dnssec;
    struct dns_answer *answer = &query->answer;
    if (dnssec == NULL || !worth_validating(answer)) {
        query_finish(query);
        return;
    }
    query->validation =
        dnssec_ask(dnssec, answer_resolver(query)->forwarder, answer->name, (int)answer->type, validated, query);
    query->state = VALIDATING;
    if (query->validation == NULL) {
        answer->reason = REASON_MON_TRUST_STORE_MISSING;
        answer->authentic = false;
        dns_tell_question(answer, answer->detail, sizeof answer->detail);
        text_append(answer->detail, sizeof answer->detail, "cannot be validated by the trust_anchors: %s",
                    dnssec_error(dnssec));
        query_finish(query);
    }
}

static void query_fail(struct dns_query *query)
{
    if (query->denial != NULL) {
        denial_restore(query);
        dns_tell_reply(query);
    } else {
        dns_tell_failure(query);
    }
    query_end(query);
}

/* A final reply has come; false when another resolver is to be asked whether it is true. */
static bool query_conclude(struct dns_query *query)
{
    bool negative = answer_negative(query), others = query->turn < query->resolver_count;
    if (negative && query->denial == NULL && others) {
        query->denial = malloc(sizeof *query->denial);
        if (query->denial != NULL) {
            *query->denial = query->answer;
            return false;
        }
    }
    query->answer.unconfirmed = query->answer.reason == REASON_DNS_NO_DATA && query->denial == NULL && others;
    if (negative && query->denial != NULL)
        denial_restore(query);
    dns_tell_reply(query);
    query_end(query);
    return true;
}

/* Judges what came for a try. */
static void reply_take(struct dns_query *query, const struct try *try, const uint8_t *packet, size_t length)
{
    struct dns_answer *answer = &query->answer;
    struct story *story = dns_story(query);
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
            dns_channel_retire(&resolver->udp); /* it has given up EDNS for all replies */
        return;
    }
    if (query->plain && answer->rcode >= 0 && answer->rcode != 1 && resolver->plain_until == CLOCK_NEVER) {
        log_info("dns", "resolver %s does not know EDNS; asking it without", resolver->text);
        resolver->plain_until = clock_run() + PLAIN_SPAN;
        dns_channel_retire(&resolver->udp);
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
            dns_story_note(query, OUTCOME_SILENT, try->channel->tcp, 0);
        else
            dns_story_note(query, OUTCOME_BROKEN, try->channel->tcp, try->channel->error);
        query_ready(query);
    }
    try_free(try);
}

/* Sends the question to query->resolver, where there is a place for it. */
static void query_send(struct dns_query *query)
{
    struct dns *dns = query->dns;
    struct resolver *resolver = query->resolver;
    struct channel *channel = dns_channel_get(resolver, query->over_tcp);
    struct try *try = channel == NULL ? NULL : malloc(sizeof *try);
    if (try == NULL) {
        dns_story_note(query, OUTCOME_BROKEN, query->over_tcp, ENOMEM);
        query_ready(query);
        return;
    }
    *try = (struct try){.channel = channel, .query = query, .id = dns_id_take(resolver)};
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
    ares_send(channel->ares, query->message, query->message_length - (try->plain ? DNS_OPT_SIZE : 0), try_done, try);
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
    if (query->turn > 0 && dns_story(query)->outcome == OUTCOME_REPLY && answer_final(&query->answer) &&
        query_conclude(query))
        return;
    if (query->turn >= (query->denial != NULL ? 1 : TRIES_PER_RESOLVER) * query->resolver_count) {
        query_fail(query);
        return;
    }
    query->resolver = dns_resolver_at(query, query->turn % query->resolver_count);
    query->turn++;
    query->over_tcp = query->plain = false;
    query->answer.tries++;
    dns_story(query)->tries++;
    if (query->resolver->plain_until != CLOCK_NEVER && clock_run() >= query->resolver->plain_until) {
        query->resolver->plain_until = CLOCK_NEVER;
        dns_channel_retire(&query->resolver->udp);
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
    case VALIDATING:
        dnssec_cancel(query->validation);
        break;
    case FINISHED:
        TAILQ_REMOVE(&query->dns->finished, query, stage);
        break;
    }
}

void dns_settle(struct dns *dns)
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
    dns_channels_reap(dns);
    while ((query = TAILQ_FIRST(&dns->finished)) != NULL) {
        TAILQ_REMOVE(&dns->finished, query, stage);
        query->done(query->context, &query->answer);
        query_free(query);
    }
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
            dns_story_note(query, OUTCOME_SILENT, channel->tcp, 0);
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
        static const struct dnssec_verdict late = {.state = DNSSEC_FAILED, .why = "the time was over"};
        struct try *try = query->try;
        enum state state = query->state;
        if (state == TRYING)
            dns_story_note(query, OUTCOME_SILENT, try->channel->tcp, 0);
        query_withdraw(query);
        if (state == VALIDATING)
            dns_story_prove(query, &late);
        else if (query->denial != NULL)
            denial_restore(query), dns_tell_reply(query);
        else
            dns_tell_failure(query);
        query_finish(query);
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

struct dns_query *dns_ask(struct dns *dns, const struct dns_question *question, dns_done *done, void *context)
{
    const char *name = question->name;
    size_t count = question->resolver_count > 0 ? question->resolver_count : dns->resolver_count;
    struct dns_query *query = malloc(sizeof *query + count * sizeof *query->stories);
    if (query == NULL)
        return NULL;
    /* Not the message and the answer's 5 KB of records, which counts say the use of: it shows in the cost of a look-up. */
    memset(query, 0, offsetof(struct dns_query, message));
    memset(query->stories, 0, count * sizeof *query->stories);
    query->dns = dns;
    query->denial = NULL;
    query->resolvers = question->resolver_count > 0 ? question->resolvers : NULL;
    query->confirm_no_data = question->confirm_no_data;
    query->done = done;
    query->context = context;
    query->resolver_count = count;
    query->started = clock_run();
    query->deadline = query->started + dns->span;
    answer_begin(&query->answer, name, question->type);
    TAILQ_INSERT_TAIL(&dns->open, query, open);
    timer_need(dns, query->deadline);
    query->message_length = (uint16_t)dns_write(query->message, sizeof query->message, 0, name, question->type);
    if (query->message_length == 0 || strlen(name) >= sizeof query->answer.name) {
        query->answer.reason = REASON_DNS_NAME_INVALID;
        dns_tell_question(&query->answer, query->answer.detail, sizeof query->answer.detail);
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
    query_free(query);
    /* Its place may be another question's now. */
    sd_event_source_set_enabled(dns->deferred, SD_EVENT_ONESHOT);
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
    if (conf->dnssec == DNSSEC_VALIDATE && (dns->dnssec = dnssec_new(loop, conf->trust_anchors)) == NULL) {
        log_error("dns", "cannot prepare look-ups: out of memory");
        dns_free(dns);
        return NULL;
    }
    if (!dns_resolvers_load(dns, conf) || !sources_add(dns)) {
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
        query_free(query);
    }
    while ((query = TAILQ_FIRST(&dns->finished)) != NULL) {
        query_withdraw(query);
        query_free(query);
    }
    dns_channels_free(dns);
    dnssec_free(dns->dnssec);
    sd_event_source_disable_unref(dns->timer);
    sd_event_source_disable_unref(dns->deferred);
    sd_event_unref(dns->loop);
    free(dns->resolvers);
    free(dns);
}
