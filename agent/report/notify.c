/*
 * Notifications wait in a list in their order. A step sends from its head while there is a token in the bucket and
 * fewer than WIRE_WINDOW are unanswered; what the master answered is done, and what was unanswered when the link went
 * down goes back to the head, in order, to be sent again: at least once, never out of order.
 *
 * Where more wait than may be kept, one that tells an old state of an alarm is given up first: a later one of the same
 * alarm waits too. Each record knows whether that is so. The search for the oldest of them starts where the last one
 * ended: before that cursor there is none.
 *
 * While notifications are to be stored first, the head waits for notify_stored, and all behind it with it: sequences rise
 * along the list. Alarms that are told again after a reconnect go before the head, since theirs are lower.
 */

#include <net-snmp/net-snmp-config.h>
#include <net-snmp/net-snmp-includes.h>

#include "report/notify.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "report/mib.h"
#include "report/wire.h"

/* What a notification may hold of a text, so that it fits into one datagram. */
#define NOTIFY_TARGET     64
#define NOTIFY_DETAIL     128
#define NOTIFY_CAUSE      128
#define NOTIFY_RESOLUTION 200

struct record {
    struct record *next, *previous;
    struct record *chain; /* in `newest` */
    uint64_t order;     /* rises along the list */
    bool superseded;    /* a later one of the same alarm waits */
    int64_t held_until; /* run time until which it waits to be stored */
    struct transition transition;
};

static struct record *head, *tail; /* waiting, unanswered ones not included */
static struct record *cursor;      /* before it no record is superseded; NULL: none is at all */
static struct record *unanswered[WIRE_WINDOW];
static size_t unanswered_count;
static struct notify_counts counts;
#define MIDDLE_ORDER (UINT64_C(1) << 62)
static uint64_t last_order = MIDDLE_ORDER, first_order = MIDDLE_ORDER;

/* The newest waiting record of each alarm. */
#define NEWEST_SIZE 4096
static struct record *newest[NEWEST_SIZE];

static int64_t token_interval; /* microseconds for one; 0: no limit */
static int64_t bucket_full;    /* run time at which the bucket is full again; one token is one interval before that */
static int64_t bucket_room;    /* how far bucket_full may lie ahead */
static uint32_t kept;
static char vantage[CONF_VANTAGE_MAX + 1];
static bool nobody; /* there is no SNMP at all */
static bool resend;
static bool hold;
static uint64_t stored; /* up to this sequence */
static notify_done *told;
static void *told_context;
static int64_t told_suppressed_run;
static uint64_t told_suppressed;

static struct record **newest_of(uint32_t alarm)
{
    struct record **at = &newest[alarm % NEWEST_SIZE];
    while (*at && (*at)->transition.alarm.id != alarm)
        at = &(*at)->chain;
    return at;
}

static void forget_newest(struct record *record)
{
    struct record **at = newest_of(record->transition.alarm.id);
    if (*at == record)
        *at = record->chain;
}

static void take_out(struct record *record)
{
    forget_newest(record);
    if (cursor == record)
        cursor = record->next;
    *(record->previous ? &record->previous->next : &head) = record->next;
    *(record->next ? &record->next->previous : &tail) = record->previous;
    record->next = record->previous = NULL;
    counts.waiting--;
}

static void append(struct record *record)
{
    struct record **at = newest_of(record->transition.alarm.id);
    struct record *older = *at;
    if (older) {
        older->superseded = true;
        *at = older->chain;
        if (!cursor || older->order < cursor->order)
            cursor = older;
    }
    record->chain = *at;
    *at = record;
    record->previous = tail;
    *(tail ? &tail->next : &head) = record;
    tail = record;
    counts.waiting++;
}

static void put_back(struct record *record)
{
    struct record **at = newest_of(record->transition.alarm.id);
    record->superseded = *at != NULL;
    if (record->superseded) {
        cursor = record;
    } else {
        record->chain = NULL;
        *at = record;
    }
    record->next = head;
    record->previous = NULL;
    *(head ? &head->previous : &tail) = record;
    head = record;
    counts.waiting++;
}

static void end(struct record *record)
{
    if (told)
        told(told_context, record->transition.sequence);
    free(record);
}

static void give_up_one(void)
{
    while (cursor && !cursor->superseded)
        cursor = cursor->next;
    struct record *victim = cursor ? cursor : head;
    take_out(victim);
    counts.suppressed++;
    log_info("notify", "given up: alarm %" PRIu32 " %s", victim->transition.alarm.id,
             victim->transition.kind == TRANSITION_CLEARED ? "cleared" : "raised");
    end(victim);
}

static void hold_to_limit(void)
{
    while (counts.waiting > kept)
        give_up_one();
    int64_t now = clock_run();
    if (counts.suppressed != told_suppressed && now - told_suppressed_run >= CLOCK_SECOND) {
        log_warning("notify",
                    "%" PRIu64 " notifications given up, %" PRIu64 " in all: more waited than "
                    "agent.notifications_kept (%" PRIu32 ")",
                    counts.suppressed - told_suppressed, counts.suppressed, kept);
        told_suppressed = counts.suppressed;
        told_suppressed_run = now;
    }
}

void notify_open(const struct conf_agent *agent)
{
    int64_t burst = agent->notifications_burst ? agent->notifications_burst : 1;
    token_interval = agent->notifications_per_minute ? 60 * CLOCK_SECOND / agent->notifications_per_minute : 0;
    bucket_room = burst * token_interval;
    kept = agent->notifications_kept ? agent->notifications_kept : 1;
    nobody = agent->mode == AGENT_NONE;
    resend = agent->resend_alarms;
    text_copy(vantage, sizeof vantage, agent->vantage);
    hold_to_limit();
}

void notify_close(void)
{
    notify_lost();
    if (counts.waiting)
        log_warning("notify", "%" PRIu64 " notifications were not sent%s", counts.waiting,
                    told ? "; they will be after the next start" : "");
    while (head) {
        struct record *record = head;
        take_out(record);
        free(record);
    }
}

struct notify_counts notify_counts(void)
{
    struct notify_counts all = counts;
    all.waiting += unanswered_count;
    return all;
}

void notify_submit(const struct transition *transition)
{
    struct record *record = calloc(1, sizeof *record);
    if (!record)
        abort();
    record->transition = *transition;
    if (nobody)
        return end(record);
    record->order = ++last_order;
    record->held_until = clock_run() + NOTIFY_HELD;
    append(record);
    hold_to_limit();
}

void notify_hold(bool wanted)
{
    hold = wanted;
}

void notify_stored(uint64_t sequence)
{
    stored = sequence;
}

void notify_watch(notify_done *done, void *context)
{
    told = done;
    told_context = context;
}

static int by_sequence(const void *a, const void *b)
{
    const struct ledger_alarm *const *first = a, *const *second = b;
    return ((*first)->told_sequence > (*second)->told_sequence) - ((*first)->told_sequence < (*second)->told_sequence);
}

void notify_connected(const struct ledger *ledger)
{
    if (!resend || nobody)
        return;
    size_t count = 0, room = counts.waiting < kept ? kept - counts.waiting : 0;
    const struct ledger_alarm **alarms = calloc(ledger->alarms.count + 1, sizeof *alarms);
    if (!alarms)
        abort();
    for (size_t i = 0; i < ledger->alarms.count; i++) {
        const struct ledger_alarm *alarm = ledger->alarms.entries[i].cell;
        if (!*newest_of(alarm->id))
            alarms[count++] = alarm;
    }
    qsort(alarms, count, sizeof *alarms, by_sequence);
    size_t left = count > room ? count - room : 0;
    for (size_t i = count; i > left; i--) {
        struct record *record = calloc(1, sizeof *record);
        if (!record)
            abort();
        record->order = --first_order;
        record->transition = (struct transition){.kind = TRANSITION_RAISED,
                                                 .sequence = alarms[i - 1]->told_sequence,
                                                 .wall = alarms[i - 1]->changed_wall,
                                                 .alarm = *alarms[i - 1]};
        record->transition.alarm.cell = NULL;
        put_back(record);
    }
    free(alarms);
    counts.suppressed += left;
    if (count)
        log_notice("notify", "%zu alarms that stand are told again", count - left);
    hold_to_limit();
}

void notify_answered(uint64_t tag)
{
    for (size_t i = 0; i < unanswered_count; i++) {
        if (unanswered[i]->order != tag)
            continue;
        end(unanswered[i]);
        for (size_t k = i + 1; k < unanswered_count; k++)
            unanswered[k - 1] = unanswered[k];
        unanswered_count--;
        counts.sent++;
        return;
    }
}

void notify_lost(void)
{
    while (unanswered_count)
        put_back(unanswered[--unanswered_count]);
    hold_to_limit();
}

static void add_octets(netsnmp_variable_list **last, oid *name, size_t length, const struct value *value, size_t limit)
{
    char text[VALUE_OCTETS_MAX + 1], cut[VALUE_OCTETS_MAX + 1];
    size_t octets = value->octets.length;
    const void *data = value->octets.data;
    if (limit && octets > limit) {
        memcpy(text, data, octets);
        text[octets] = '\0';
        octets = text_copy(cut, limit + 1, text);
        data = cut;
    }
    snmp_varlist_add_variable(last, name, length, ASN_OCTET_STR, data, octets);
}

static void add_object(netsnmp_variable_list **last, const struct ledger_alarm *alarm, uint32_t column)
{
    oid name[32];
    size_t length = 0;
    for (; length < mib_root_length; length++)
        name[length] = mib_root[length];
    const oid rest[] = {MIB_OBJECTS, MIB_ALARM, 1, column, alarm->id};
    for (size_t i = 0; i < sizeof rest / sizeof rest[0]; i++)
        name[length++] = rest[i];

    struct value value;
    mib_alarm_value(NULL, alarm, column, &value);
    if (value.type == VALUE_OCTETS) {
        size_t limit = column == MIB_ALARM_TARGET       ? NOTIFY_TARGET
                       : column == MIB_ALARM_DETAIL     ? NOTIFY_DETAIL
                       : column == MIB_ALARM_CAUSE      ? NOTIFY_CAUSE
                       : column == MIB_ALARM_RESOLUTION ? NOTIFY_RESOLUTION
                                                        : 0;
        add_octets(last, name, length, &value, limit);
    } else if (value.type == VALUE_INTEGER) {
        long number = value.integer;
        snmp_varlist_add_variable(last, name, length, ASN_INTEGER, &number, sizeof number);
    } else {
        u_long number = value.number;
        snmp_varlist_add_variable(last, name, length, ASN_GAUGE, &number, sizeof number);
    }
}

/* A scalar of fedwAgent. */
static void add_scalar(netsnmp_variable_list **last, uint32_t column, u_char type, const void *data, size_t octets)
{
    oid name[32];
    size_t length = 0;
    for (; length < mib_root_length; length++)
        name[length] = mib_root[length];
    const oid rest[] = {MIB_OBJECTS, MIB_AGENT, column, 0};
    for (size_t i = 0; i < sizeof rest / sizeof rest[0]; i++)
        name[length++] = rest[i];
    snmp_varlist_add_variable(last, name, length, type, data, octets);
}

/* snmpTrapOID.0 and the 18 objects; sysUpTime.0 is put before them by the master. */
static netsnmp_variable_list *make_variables(const struct transition *transition)
{
    static const oid trap_oid[] = {1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0};
    oid notification[32];
    size_t length = 0;
    for (; length < mib_root_length; length++)
        notification[length] = mib_root[length];
    notification[length++] = MIB_NOTIFICATIONS;
    notification[length++] = mib_notification(transition->alarm.event, transition->kind != TRANSITION_CLEARED);

    netsnmp_variable_list *variables = NULL;
    snmp_varlist_add_variable(&variables, trap_oid, OID_LENGTH(trap_oid), ASN_OBJECT_ID, notification,
                              length * sizeof notification[0]);
    for (uint32_t column = MIB_ALARM_ID; column <= MIB_ALARM_RESOLUTION; column++)
        add_object(&variables, &transition->alarm, column);
    u_long sequence = (uint32_t)transition->sequence;
    add_scalar(&variables, MIB_AGENT_SEQUENCE, ASN_GAUGE, &sequence, sizeof sequence);
    add_scalar(&variables, MIB_AGENT_VANTAGE, ASN_OCTET_STR, vantage, strlen(vantage));
    return variables;
}

/* Whether there is a token at `now`: the bucket is full at bucket_full, and empty a whole room before that. */
static bool token_at(int64_t now)
{
    return bucket_full - now + token_interval <= bucket_room;
}

static void take_token(int64_t now)
{
    bucket_full = (bucket_full > now ? bucket_full : now) + token_interval;
}

static bool is_held(const struct record *record, int64_t now)
{
    return hold && record->transition.sequence > stored && now < record->held_until;
}

int64_t notify_due(void)
{
    if (!head || unanswered_count == WIRE_WINDOW)
        return INT64_MAX;
    int64_t due = bucket_full + token_interval - bucket_room;
    return is_held(head, due) ? head->held_until : due;
}

void notify_step(void)
{
    int64_t now = clock_run();
    hold_to_limit();
    while (head && unanswered_count < WIRE_WINDOW && token_at(now) && !is_held(head, now)) {
        struct record *record = head;
        netsnmp_variable_list *variables = make_variables(&record->transition);
        enum wire_sent sent = wire_send(variables, record->order);
        snmp_free_varbind(variables);
        if (sent == WIRE_DOWN)
            return;
        take_out(record);
        take_token(now);
        if (sent == WIRE_AWAITED) {
            unanswered[unanswered_count++] = record;
        } else {
            counts.sent++;
            end(record);
        }
    }
}
