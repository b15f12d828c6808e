/*
 * An event of the edge goes through four questions: who was it, which event is that, which reason says so there, and by
 * which key is it counted.
 *
 * An address that packets really came from is worth more than a domain that anybody may write: where the source decides
 * which event it is, only the address is asked when there is one, so that who claims a partner's domain from elsewhere
 * is an unknown source, and no partner is blamed for it. A domain counts where the rule itself knows what it is about,
 * or where the product tells no address; and among partners that share an address.
 *
 * What a partner's cell tells as its last failure is what the probes say as long as these fail too: theirs is the
 * better evidence, and an alarm that took both in turn would be told as changed with every walk.
 */
#include "ledger/event_apply.h"

#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "ledger/alarm.h"
#include "ledger/cell.h"
#include "ledger/changes.h"
#include "ledger/peer.h"
#include "ledger/storm.h"

enum side { SIDE_UNKNOWN = 1, SIDE_OWN, SIDE_PARTNER };

struct who {
    enum side side;
    struct ledger_partner *partner; /* NULL also for one that is disabled */
};

/* An IPv4-mapped IPv6 address (RFC 4291, 2.5.5.2) is the IPv4 address in it. */
static struct address plain(const struct address *address)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct address out = {.family = address->family};
    if (address->family == ADDRESS_IPV6 && memcmp(address->octets, mapped, sizeof mapped) == 0) {
        out.family = ADDRESS_IPV4;
        memcpy(out.octets, address->octets + sizeof mapped, 4);
    } else if (address->family == ADDRESS_IPV4) {
        memcpy(out.octets, address->octets, 4);
    } else if (address->family == ADDRESS_IPV6) {
        memcpy(out.octets, address->octets, 16);
    } else {
        out.family = ADDRESS_UNKNOWN;
    }
    return out;
}

/* Whether `name` is one of the edge's own domains or lies below one. */
static bool is_own_domain(const struct conf *conf, const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < conf->edge.domain_count; i++) {
        size_t own = strlen(conf->edge.domains[i]);
        if (length < own || strcasecmp(name + length - own, conf->edge.domains[i]) != 0)
            continue;
        if (length == own || name[length - own - 1] == '.')
            return true;
    }
    return false;
}

static struct who partner_in(const struct ledger *ledger, long position)
{
    return (struct who){SIDE_PARTNER, ledger->bound[position]};
}

/* Of several partners with an address the one that is also named is meant, and of several with a domain the one that
 * also has the address. */
static bool has_address(const struct ledger *ledger, const struct ledger_partner *partner,
                        const struct address *address)
{
    const struct conf_partner *conf = partner->conf;
    for (size_t i = 0; i < conf->network_count; i++)
        if (network_holds(&conf->networks[i], address))
            return true;
    return peer_has(ledger, partner, address);
}

/* The partner with that domain, or one above it, and that address; NULL. */
static struct ledger_partner *partner_named_at(const struct ledger *ledger, const char *domain,
                                               const struct address *address)
{
    for (long i = conf_partner_at(ledger->conf, domain, NULL); i >= 0; i = conf_partner_next(ledger->conf, i))
        if (ledger->bound[i] && has_address(ledger, ledger->bound[i], address))
            return ledger->bound[i];
    return NULL;
}

static struct who who_at(const struct ledger *ledger, const struct address *address, const char *domain)
{
    if (conf_is_own(ledger->conf, address))
        return (struct who){SIDE_OWN, NULL};
    struct ledger_partner *named = partner_named_at(ledger, domain, address);
    if (named)
        return (struct who){SIDE_PARTNER, named};
    long position = conf_partner_at(ledger->conf, NULL, address);
    if (position >= 0)
        return partner_in(ledger, position);
    struct ledger_partner *peer = peer_at(ledger, address);
    return (struct who){peer ? SIDE_PARTNER : SIDE_UNKNOWN, peer};
}

static struct who who_called(const struct ledger *ledger, const char *domain)
{
    long position = conf_partner_at(ledger->conf, domain, NULL);
    if (position >= 0)
        return partner_in(ledger, position);
    return (struct who){domain[0] && is_own_domain(ledger->conf, domain) ? SIDE_OWN : SIDE_UNKNOWN, NULL};
}

static bool source_decides(const struct observation_event *event)
{
    return event->by_source || event->event == EVENT_AUTH_SOURCE;
}

static struct who who_was_it(const struct ledger *ledger, const struct observation *observation,
                             const struct observation_event *event)
{
    if (observation->partner < ledger->conf->partner_count)
        return partner_in(ledger, observation->partner);
    if (event->address.family == ADDRESS_UNKNOWN)
        return who_called(ledger, event->domain);
    if (!source_decides(event)) {
        struct ledger_partner *named = partner_named_at(ledger, event->domain, &event->address);
        struct who called = named ? (struct who){SIDE_PARTNER, named} : who_called(ledger, event->domain);
        if (called.side == SIDE_PARTNER)
            return called;
    }
    return who_at(ledger, &event->address, event->domain);
}

static enum event event_of(const struct observation_event *event, const struct who *who)
{
    if (source_decides(event))
        return who->side == SIDE_OWN       ? EVENT_DOMAIN_LOCAL
               : who->side == SIDE_PARTNER ? EVENT_DOMAIN_PARTNER
                                           : EVENT_AUTH_SOURCE;
    if (event_info(event->event))
        return event->event;
    enum event usual = reason_info(event->reason)->event;
    return usual != EVENT_NONE ? usual : EVENT_CONNECTION;
}

static enum reason reason_from_partner(enum reason reason, bool foreign)
{
    switch (reason) {
    case REASON_AUTH_UNKNOWN_USER:
        return REASON_DOM_USER_UNKNOWN;
    case REASON_AUTH_NOT_PERMITTED:
    case REASON_AUTH_SOURCE_NOT_ALLOWED:
        return foreign ? REASON_DOM_RECIPIENT_NOT_LOCAL : REASON_DOM_SENDER_NOT_ALLOWED;
    case REASON_DOM_OUTBOUND_UNSUPPORTED:
    case REASON_DOM_OUTBOUND_WRONG_ROUTE:
        return REASON_DOM_RECIPIENT_NOT_LOCAL;
    default:
        return reason;
    }
}

static enum reason reason_from_own(enum reason reason, bool foreign)
{
    switch (reason) {
    case REASON_AUTH_UNKNOWN_USER:
        return REASON_DOM_USER_UNKNOWN;
    case REASON_AUTH_NOT_PERMITTED:
    case REASON_AUTH_SOURCE_NOT_ALLOWED:
        return foreign ? REASON_DOM_OUTBOUND_UNSUPPORTED : REASON_DOM_OUTBOUND_WRONG_ROUTE;
    default:
        return reason;
    }
}

static enum reason reason_from_unknown(enum reason reason)
{
    switch (reason) {
    case REASON_DOM_OUTBOUND_UNSUPPORTED: /* attempts to relay */
    case REASON_DOM_OUTBOUND_WRONG_ROUTE:
        return REASON_AUTH_NOT_PERMITTED;
    case REASON_DOM_PARTNER_OVER_LIMIT:
        return REASON_AUTH_SOURCE_NOT_ALLOWED;
    default:
        return reason;
    }
}

/* What the list of wordings says goes first; the rest is for rules that know nothing of other sources. */
enum reason event_fitting_reason(enum event event, enum reason given, bool foreign)
{
    enum reason reason = reason_by_source(given, event);
    if (reason != given)
        return reason;
    return event == EVENT_DOMAIN_PARTNER ? reason_from_partner(reason, foreign)
           : event == EVENT_DOMAIN_LOCAL ? reason_from_own(reason, foreign)
           : event == EVENT_AUTH_SOURCE  ? reason_from_unknown(reason)
                                         : reason;
}

static const char *first_of(const char *a, const char *b, const char *c)
{
    return a[0] ? a : b[0] ? b : c;
}

static void lower(char *text)
{
    for (; *text; text++)
        if (*text >= 'A' && *text <= 'Z')
            *text += 'a' - 'A';
}

/* The row that counts it; NULL: its partner's cell does, or there is no row for it. */
static struct ledger_source *source_for(struct ledger *ledger, enum event event, const struct observation_event *told,
                                        const struct ledger_partner *partner, int64_t wall)
{
    char name[OBSERVATION_NAME] = "";
    struct address address = told->address;
    bool by_address = event == EVENT_AUTH_SOURCE || event == EVENT_INVALID_CERT;
    bool known = address.family != ADDRESS_UNKNOWN;
    if (event == EVENT_DOMAIN_LOCAL)
        text_copy(name, sizeof name, first_of(told->target, known ? "" : told->domain, ""));
    else if (by_address && !known)
        text_copy(name, sizeof name, first_of(told->domain, told->subject, told->target));
    else if (!by_address)
        text_copy(name, sizeof name, first_of(told->domain, told->target, ""));
    if (!by_address && event != EVENT_DOMAIN_LOCAL && name[0])
        address = (struct address){.family = ADDRESS_UNKNOWN};
    lower(name);
    struct ledger_source *source = source_use(ledger, event, &address, name, wall);
    if (source)
        source->partner = partner ? partner->index : 0;
    return source;
}

static bool counted_by_source(enum event event, const struct ledger_partner *partner)
{
    return !partner || event == EVENT_AUTH_SOURCE || event == EVENT_INVALID_CERT || event == EVENT_DOMAIN_LOCAL;
}

static struct ledger_failure failure_of(const struct observation *observation, const struct observation_event *told,
                                        enum event event, enum reason reason, const struct ledger_partner *partner,
                                        const struct ledger_source *source)
{
    struct ledger_failure failure = {.wall = observation->wall,
                                     .run = observation->run,
                                     .reason = reason,
                                     .partner = partner ? partner->index : 0,
                                     .address = told->address,
                                     .port = told->port};
    char text[ADDRESS_TEXT_SIZE];
    const char *address = address_text(&told->address, text);
    if (event == EVENT_AUTH_SOURCE || event == EVENT_INVALID_CERT)
        text_copy(failure.target, sizeof failure.target, first_of(address, told->domain, told->subject));
    else
        text_copy(failure.target, sizeof failure.target,
                  first_of(told->target, told->domain, partner ? partner->conf->domain : address));
    event_describe(event, reason, told, source, failure.detail, sizeof failure.detail);
    return failure;
}

static void count_edge(struct ledger *ledger, struct ledger_partner *partner, enum event event,
                       const struct ledger_failure *failure, uint32_t count)
{
    struct ledger_edge *edge = &partner->edge;
    int64_t window = ledger_threshold(ledger, partner, event)->window * CLOCK_SECOND;
    if (edge->since_wall == CLOCK_NEVER || failure->run - edge->last_run > window)
        *edge = (struct ledger_edge){.since_wall = failure->wall};
    edge->count += count;
    edge->last_wall = failure->wall;
    edge->last_run = failure->run;
    edge->event = event;
    edge->reason = failure->reason;
}

static void count_in(struct ledger *ledger, const struct ledger_partner *partner, struct ledger_cell *cell,
                     const struct ledger_failure *failure, uint32_t count, bool held, bool judged)
{
    bool walk_fails = cell->health == HEALTH_WARNING || cell->health == HEALTH_CRITICAL;
    cell->count += count;
    changes_cell(ledger, partner ? partner->index : 0, cell);
    if (cell->last.wall == CLOCK_NEVER || (!held && !walk_fails))
        cell->last = *failure;
    if (held)
        return;
    cell->edge_run = failure->run;
    window_add(&cell->window, alarm_threshold(ledger, partner, cell)->window, failure->run, count);
    if (judged)
        alarm_counted(ledger, partner, cell, failure->wall, failure->run);
}

void event_apply(struct ledger *ledger, const struct observation *observation)
{
    struct observation_event told = observation->event;
    told.address = plain(&told.address);
    told.count = told.count ? told.count : 1;
    enum reason given = reason_info(told.reason)->reason;
    if (given == REASON_NONE)
        given = REASON_UNCLASSIFIED;

    struct who who = who_was_it(ledger, observation, &told);
    if (told.by_source && told.known_only && who.side == SIDE_UNKNOWN)
        return;
    enum event event = event_of(&told, &who);
    bool foreign = told.target[0] && !is_own_domain(ledger->conf, told.target);
    enum reason reason = event_fitting_reason(event, given, foreign);
    struct ledger_partner *partner = who.partner;
    bool by_source = counted_by_source(event, partner);
    bool held = storm_holds(ledger, reason);

    struct ledger_source *source = by_source ? source_for(ledger, event, &told, partner, observation->wall) : NULL;
    if (source)
        source_remember(source, &told, reason);
    struct ledger_failure failure = failure_of(observation, &told, event, reason, partner, source);
    ledger->edge_failures += told.count;
    cell_failed(ledger, &failure, event, told.count, partner, source);
    cell_count_total(ledger, &failure, event, told.count);
    cell_count_reason(ledger, partner, reason, told.count, observation->wall);
    if (held)
        ledger->storm.held += told.count;
    if (partner) {
        count_edge(ledger, partner, event, &failure, told.count);
        changes_partner(ledger, partner);
        count_in(ledger, partner, ledger_cell_make(ledger, partner, event), &failure, told.count, held, !by_source);
    }
    if (source)
        count_in(ledger, partner, &source->cell, &failure, told.count, held, true);
}
