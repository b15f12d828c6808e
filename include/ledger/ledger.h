#ifndef FEDWARDEN_LEDGER_LEDGER_H
#define FEDWARDEN_LEDGER_LEDGER_H

/*
 * What is remembered: counters, windows, last failures, probes, certificates and alarms. Main thread only. It does no
 * I/O, asks no clock and takes no lock: everything that happens to it comes in by ledger_apply and ledger_tick with its
 * time, and everything that follows from it goes out as transitions. The MIB reads its indexes as they stand.
 */

#include <stdbool.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/guidance.h"
#include "base/hash.h"
#include "base/index.h"
#include "base/observation.h"
#include "ledger/window.h"

/* Of each row: whether it is as whoever keeps the rows has it; see ledger/image.h. */
struct ledger_mark {
    uint32_t listed; /* it has changed: its place in the list of changes, from 1; 0 it has not */
    bool kept;       /* a row with its key has been told before */
};

/* A failure that a cell counted, whole. Of the failures of one walk the worst one is kept, of equals the first. */
struct ledger_failure {
    int64_t wall; /* CLOCK_NEVER: there was none */
    int64_t run;
    enum reason reason;
    uint32_t partner; /* index of the MIB; 0 none */
    char target[OBSERVATION_NAME];
    struct address address;
    uint16_t port;
    char detail[OBSERVATION_DETAIL];
    int64_t not_after; /* of the chain that was presented, for tlsExpiringSoon; CLOCK_NEVER none */
};

/* A count with its window: of an event, or of an event of a partner. */
struct ledger_cell {
    enum event event;
    uint64_t count;
    struct window window; /* its seconds are those of the threshold in force; 0 while nothing was counted */
    struct ledger_failure last;
    enum health health; /* of a partner's cell: after its last walk that told of the event, unknown before;
                           of an event: worst of the alarms with this event */
    uint32_t failures_in_walk; /* of the walk that is being told */
    uint32_t successes_in_walk;
    uint32_t successes_in_row; /* walks without a failure of this event since the last one with one; counted up to the
                                  threshold's `clear` */
    int64_t quiet_since;       /* of a cell with an alarm: run time since when the last walk was no failure and the window's
                                  sum is below half the threshold; 0 that is not so */
    int64_t edge_run;          /* when the edge last saw this event of the partner; 0 never */
    uint32_t held_in_walk;     /* failures of the walk that is being told that say nothing of the partner: see storm */
    uint32_t source;           /* of a row of fedwSourceTable: its index; 0 of a partner or of the monitor itself */
    bool unconfirmed; /* of the monitor itself: an older process told it, and nobody has since */
    struct ledger_alarm *alarm; /* NULL: none is active */
    struct ledger_mark mark;    /* that of a row of fedwSourceTable too */
};

struct ledger_reason { /* partner x reason, and the catalogue */
    enum reason reason;
    uint64_t count;
    int64_t first_wall;
    int64_t last_wall;
    struct ledger_mark mark;
};

struct ledger_certificate {
    struct observation_certificate value;
    int64_t seen_wall;
    struct ledger_mark mark;
};

#define LEDGER_PROBES_MAX 64   /* rows of one partner; beyond them what was seen longest ago goes, else it is only counted */
#define LEDGER_ABSENT_WALKS 3  /* walks that would have seen a probe and did not: its row and certificates go */

struct ledger_probe {
    uint32_t index; /* within the partner; never used for another one */
    int64_t last_wall, last_run; /* of the last result; CLOCK_NEVER none */
    int64_t success_wall, success_run;
    uint64_t successes, failures;
    uint32_t failures_in_row;
    enum health health;
    bool seen_in_walk; /* of the walk that is being told */
    bool present;      /* it was part of the last walk that came far enough to know */
    uint32_t absent_walks; /* in a row; at LEDGER_ABSENT_WALKS the row goes */
    int64_t not_after;     /* earliest end in the last chain that was seen, kept while nothing is seen; CLOCK_NEVER none */
    struct observation_probe value; /* the last result, whole */
    size_t certificate_count;
    struct ledger_partner *partner;                  /* of an endpoint */
    struct ledger_probe *peer_next, **peer_link;     /* endpoints with addresses of one bucket: see peer.h */
    struct ledger_mark mark;
};

/* What the edge itself saw of a partner, since it last was quiet for a whole window: the other half of its state. */
struct ledger_edge {
    uint64_t count;
    int64_t since_wall;          /* the first of these failures; CLOCK_NEVER there was none */
    int64_t last_wall, last_run; /* the last one */
    enum event event;            /* of the last one */
    enum reason reason;
};

struct ledger_partner {
    uint32_t index; /* of the MIB */
    uint32_t name;  /* number of its struct ledger_name */
    const struct conf_partner *conf; /* NULL after ledger_restore_row until ledger_bind */
    enum health health; /* unknown until a walk has ended */
    enum reason reason; /* worst of the last walk */
    int64_t since_wall; /* when health or reason last changed */
    int64_t walk_wall, walk_run; /* end of the last walk */
    int64_t success_wall, success_run; /* last walk without any failure */
    int64_t failure_wall, failure_run;
    int64_t not_after;  /* earliest end of a certificate of its present probes; CLOCK_NEVER none */
    uint32_t endpoints, endpoints_ok; /* of the last walk */
    uint64_t walks;
    struct ledger_cell *events[EVENT_COUNT]; /* NULL until counted or configured: see ledger->partner_events */
    uint32_t probe_last; /* highest probe index that was given out */
    uint32_t probe_count;
    /* of the walk that is being told */
    uint32_t service_failures_in_walk, endpoints_in_walk;
    uint32_t next_index; /* while a configuration is being bound: the index to be, 0 it goes */
    struct ledger_edge edge;
    /* what storm.c knows of its last walk */
    struct ledger_partner *storm_newer, *storm_older;
    uint8_t storm_kind; /* enum storm_kind */
    bool storm_listed, storm_fresh;
    struct ledger_mark mark;
};

/* What a failure says when many partners have it at once. */
enum storm_kind { STORM_NONE = 0, STORM_NETWORK, STORM_RESOLVERS, STORM_KINDS };

/* See storm.h. */
struct ledger_storm {
    enum reason reason; /* monNetworkDown or monResolversDown while there is one; else REASON_NONE */
    uint64_t held;      /* failures that changed no partner's state because of it, or of the clock */
    /* the walks that are looked at, the newest first, and how many of them failed in which way */
    struct ledger_partner *newest, *oldest;
    uint32_t walked, failed[STORM_KINDS], fresh[STORM_KINDS]; /* fresh: of partners without an alarm for it */
    bool restored; /* an older process saw it begin: it lasts until there was time to see whether it still does */
    bool clock_known, clock_doubtful;
    int64_t clock_offset, clock_before; /* wall less run: at the last tick, and before it jumped */
    int64_t clock_run;                  /* when it last jumped */
};

enum alarm_state { ALARM_CLEARED = 1, ALARM_RAISED = 2 }; /* as RFC 3877 has it: 1 is clear */

struct ledger_alarm {
    uint32_t id; /* rises, never used again */
    enum alarm_state state;
    enum event event;
    enum severity severity;
    enum reason reason;
    uint32_t partner;       /* index of the MIB; 0 none */
    char name[CONF_NAME_MAX + 1]; /* of the partner; "" none */
    char contact[OBSERVATION_DETAIL];
    char target[OBSERVATION_NAME];
    struct address address;
    uint16_t port;
    int64_t raised_wall, changed_wall;
    uint32_t window_count, window_seconds;
    uint64_t total; /* the cell's count */
    char detail[OBSERVATION_DETAIL];
    uint32_t source;          /* index of the row of fedwSourceTable; 0 none */
    struct ledger_cell *cell; /* whose alarm it is */
    /* what the last transition told, and when: a change is told at most once in LEDGER_CHANGE_GAP */
    enum reason told_reason;
    enum severity told_severity;
    int64_t told_run;
    uint64_t told_sequence;
    struct ledger_mark mark;
};
#define LEDGER_CHANGE_GAP (2 * CLOCK_SECOND)

/* ledger_guidance(alarm, address): whom its guidance is about; valid as long as the alarm and `address` are. */
struct guidance ledger_guidance(const struct ledger_alarm *alarm, char address[ADDRESS_TEXT_SIZE]);

/* What happened to an alarm, by value: a notification is made from it alone. */
enum transition_kind { TRANSITION_RAISED = 1, TRANSITION_CHANGED, TRANSITION_CLEARED };

struct transition {
    enum transition_kind kind;
    uint64_t sequence; /* rises by one for each transition of this ledger */
    int64_t wall;
    struct ledger_alarm alarm; /* as it is now; `cell` is NULL */
};

/* Called from within ledger functions; must not call back into the ledger. */
typedef void ledger_report(void *context, const struct transition *transition);
struct ledger_source;
typedef void ledger_failed(void *context, const struct ledger_failure *failure, enum event event, uint32_t count,
                           const struct ledger_partner *partner, const struct ledger_source *source);
typedef void ledger_judged(void *context, const struct ledger_partner *partner);

/* Which index a name has, for ever. */
struct ledger_name {
    char name[CONF_NAME_MAX + 1];
    uint32_t index;
    uint32_t number;                /* of the name itself, from 1 in the order in which names were first seen */
    struct ledger_partner *partner; /* NULL: not in the configuration in force, or disabled */
    struct ledger_mark mark;
};

struct ledger {
    int64_t start_wall, start_run;
    int64_t counted_wall, counted_run; /* when counts began: at the start of the first of all processes that went on with it */
    int64_t seen_run;                  /* of the last tick */
    const struct conf *conf;           /* NULL after ledger_restore_begin until ledger_bind */
    struct ledger_partner **bound; /* by position in conf->partners */
    ledger_report *report;
    void *report_context;

    /* Cells in the order of the MIB's indexes. */
    struct index partners;        /* (partner) -> struct ledger_partner */
    struct index partner_events;  /* (partner, event) -> struct ledger_cell */
    struct index partner_reasons; /* (partner, reason) -> struct ledger_reason */
    struct index probes;          /* (partner, probe) -> struct ledger_probe */
    struct index certificates;    /* (partner, probe, depth + 1) -> struct ledger_certificate */
    struct index alarms;          /* (alarm id) -> struct ledger_alarm: those that are raised */
    struct index self;            /* (reason) -> struct ledger_cell of monitorSelf, one a reason */

    struct ledger_cell events[EVENT_COUNT]; /* totals; element 0 unused */
    struct index reasons;                   /* (reason) -> struct ledger_reason, all rows of the list */

    uint64_t walks, walks_late, observations; /* late: started more than a tenth of the interval after due */
    uint32_t partner_last, alarm_last; /* highest given out, of partners without a fixed index */
    size_t name_count;
    struct ledger_name *names; /* every partner that ever was, in the order of names */
    uint32_t name_last;        /* highest number of a name */
    size_t *name_positions;    /* in `names`, plus 1, by number; 0 there is no such name */
    size_t fixed_count;
    uint32_t *fixed; /* every index that a configuration ever fixed, ascending */
    uint32_t active[EVENT_COUNT][SEVERITY_WARNING + 1]; /* alarms, by enum event and enum severity */
    uint64_t sequence;
    int64_t alarms_changed_run; /* of the last transition; 0 never */
    int64_t alarms_changed_wall;

    unsigned full;          /* what is: enum ledger_full */
    uint64_t edge_failures; /* failures that OBSERVATION_EVENT told, with their counts */
    struct source_table *sources; /* see source.h */
    struct ledger_storm storm;
    struct hash_key peer_key;
    size_t peer_buckets; /* a power of two */
    struct ledger_probe **peers;

    struct changes *changes; /* see changes.h */
    bool self_unconfirmed;   /* alarms of the monitor itself were restored and LEDGER_SELF_GRACE is not over */
    ledger_failed *failed;   /* see image.h */
    void *failed_context;
    ledger_judged *judged;
    void *judged_context;
};

/*
 * ledger_new(conf, wall, run, report, context): a ledger of the partners of `conf`, with their indexes given out; every
 * transition goes to `report`. `conf` must live until the next ledger_bind or ledger_free.
 */
struct ledger *ledger_new(const struct conf *conf, int64_t wall, int64_t run, ledger_report *report, void *context);
void ledger_free(struct ledger *ledger); /* NULL is allowed */

/*
 * ledger_bind(ledger, conf, wall, run): puts another configuration in force, between two walks. Partners are the same by
 * name and keep index, counts and alarms; alarms of partners that are gone or disabled are cleared and their rows go;
 * their index waits for them. A fixed index wins: whoever had it before gets a new one, a number that nobody ever had.
 * Of two partners with the same fixed index the first has it. A threshold that changed counts from the next
 * observation on.
 */
void ledger_bind(struct ledger *ledger, const struct conf *conf, int64_t wall, int64_t run);

/*
 * ledger_apply(ledger, observation): counts it, once. Alarms are raised, changed and cleared by the OBSERVATION_WALK that
 * closes a walk, so that each is told at most once a walk, with the worst of its reasons. An observation of a partner
 * that is disabled or does not exist counts as an observation only.
 * What is fine follows from a probe's result: a lookup without a reason, or with one of configDrift, is a success of dns;
 * an endpoint passes connection, then tlsOutgoing, then certExpiry and configDrift, and a failure of one is a success of
 * those before it. A walk that says nothing about an event leaves its alarm as it is.
 *
 * An OBSERVATION_EVENT is what the edge saw. Who it was: the partner that it names; else, where the same wording is event
 * 2, 3 or 4 by its source (by_source, or event authSource) and an address is told, whose address that is: the own
 * network's, a partner's by configuration or by its probes, or nobody's, whatever domain it claims; else the partner of
 * the domain, else that of the address. It is counted at once, with its count, in the total of the event, in the
 * catalogue, with the partner, and by its key: events 2 and 5 by address, 4 by address and target domain, others by
 * partner or, where none is known, by name; what has no partner as key has a row in the source table. Alarms are judged
 * at once and cleared by a quiet window.
 */
void ledger_apply(struct ledger *ledger, const struct observation *observation);

/* ledger_tick(ledger, wall, run): once a second: what falls quiet, what escalates, and changes that had to wait. */
void ledger_tick(struct ledger *ledger, int64_t wall, int64_t run);

/*
 * ledger_self(ledger, reason, failing, detail, wall, run): the monitor's own state: `failing` counts event monitorSelf
 * and raises one alarm per reason, at once; not failing clears it.
 */
void ledger_self(struct ledger *ledger, enum reason reason, bool failing, const char *detail, int64_t wall, int64_t run);

/*
 * ledger_full(ledger, what, is_full, detail, wall, run): ledger_self with monTableFull, which lasts as long as any of
 * these is full.
 */
enum ledger_full { LEDGER_FULL_QUEUE = 1, LEDGER_FULL_SOURCES = 2 };
void ledger_full(struct ledger *ledger, enum ledger_full what, bool is_full, const char *detail, int64_t wall,
                 int64_t run);

/* ledger_threshold(ledger, partner, event): the one in force; `partner` may be NULL. */
const struct conf_threshold *ledger_threshold(const struct ledger *ledger, const struct ledger_partner *partner,
                                              enum event event);

/* ledger_window(ledger, cell, partner, run): the sum of the cell's window now. `partner` NULL for a total. Also before
 * ledger_bind, in the length that it had. */
uint32_t ledger_window(const struct ledger *ledger, const struct ledger_cell *cell, const struct ledger_partner *partner,
                       int64_t run);

/* What one GET of the summary tells: computed from the cells, now. */
struct ledger_summary {
    enum health health; /* worst of partners and alarms; unknown partners count only while all of them are unknown */
    uint32_t partners, ok, warning, critical, unknown;
    uint32_t alarms;
    enum severity worst; /* SEVERITY_CLEARED: no alarm */
    /* earliest end of a certificate */
    int64_t not_after;   /* earliest of all partners; CLOCK_NEVER none */
    uint32_t not_after_partner;
};
void ledger_summarise(const struct ledger *ledger, struct ledger_summary *summary);

#endif
