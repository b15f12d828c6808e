/*
 * A storm. Looked at are the walks of the last STORM_WINDOW, one a partner, or the newest STORM_LEAST of them where
 * walks are rare: a queue by the time of the last walk, kept with its counts as walks end, O(1) a walk. A walk fails in
 * a kind when none of its endpoints was reached and its verdict is one that this host or its network may have caused.
 *
 *   none  -> storm  of at least STORM_LEAST partners STORM_BEGINS percent fail in one kind or the other and are not in
 *                   alarm for it already (what was told before is no news); or, of at least STORM_FEW, all find
 *                   no resolver that answers
 *   storm -> none   fewer than STORM_ENDS percent fail (of few partners: fewer than half), fresh or not
 *
 * A storm that was told by an older process goes on, with no walk looked at yet. Walks that succeed are faster than those
 * that time out, so it does not end before there was time for both.
 *
 * While it lasts, a failure of a storm's kinds is counted but says nothing about its partner (storm_holds): no window,
 * no state, no alarm; one that goes on failing afterwards begins to be counted then.
 *
 * The clocks. Wall less run is constant but for the slow hand of time synchronisation. When it jumps, nobody can know
 * which time was right, so what is judged by dates is held the same way until the wall clock is back where it was, or
 * has stood by its new time for CLOCK_SETTLED.
 */
#include "ledger/storm.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/text.h"
#include "ledger/changes.h"

static enum storm_kind kind_of(enum reason reason)
{
    switch (reason) {
    case REASON_DNS_TIMEOUT:
    case REASON_DNS_REFUSED:
    case REASON_DNS_SERV_FAIL:
    case REASON_DNS_UNREACHABLE_AUTHORITY:
        return STORM_RESOLVERS;
    case REASON_TCP_TIMEOUT:
    case REASON_NET_UNREACHABLE:
    case REASON_HOST_UNREACHABLE:
    case REASON_ADMIN_PROHIBITED:
    case REASON_NO_USABLE_ADDRESS:
    case REASON_LOCAL_RESOURCE:
    case REASON_PROXY_UNREACHABLE:
        return STORM_NETWORK;
    default:
        return STORM_NONE;
    }
}

static bool is_judged_by_date(enum reason reason)
{
    return reason == REASON_TLS_EXPIRED || reason == REASON_TLS_NOT_YET_VALID || reason == REASON_TLS_EXPIRING_SOON ||
           reason == REASON_DNS_SIGNATURE_EXPIRED;
}

bool storm_doubts(const struct ledger *ledger, enum reason reason)
{
    return ledger->storm.clock_doubtful && is_judged_by_date(reason);
}

bool storm_holds(const struct ledger *ledger, enum reason reason)
{
    return storm_doubts(ledger, reason) || (ledger->storm.reason != REASON_NONE && kind_of(reason) != STORM_NONE);
}

/* ---- the walks that are looked at ---- */

static void count(struct ledger_storm *storm, const struct ledger_partner *partner, int change)
{
    storm->walked += (uint32_t)change;
    storm->failed[partner->storm_kind] += (uint32_t)change;
    if (partner->storm_fresh)
        storm->fresh[partner->storm_kind] += (uint32_t)change;
}

static void take_out(struct ledger_storm *storm, struct ledger_partner *partner)
{
    if (!partner->storm_listed)
        return;
    count(storm, partner, -1);
    *(partner->storm_newer ? &partner->storm_newer->storm_older : &storm->newest) = partner->storm_older;
    *(partner->storm_older ? &partner->storm_older->storm_newer : &storm->oldest) = partner->storm_newer;
    partner->storm_newer = partner->storm_older = NULL;
    partner->storm_listed = false;
}

static void put_first(struct ledger_storm *storm, struct ledger_partner *partner)
{
    partner->storm_older = storm->newest;
    *(storm->newest ? &storm->newest->storm_newer : &storm->oldest) = partner;
    storm->newest = partner;
    partner->storm_listed = true;
    count(storm, partner, 1);
}

static void forget_old(struct ledger_storm *storm, int64_t run)
{
    while (storm->walked > STORM_LEAST && run - storm->oldest->walk_run > STORM_WINDOW)
        take_out(storm, storm->oldest);
}

static bool in_alarm_for(const struct ledger_partner *partner, enum storm_kind kind)
{
    for (int event = EVENT_NONE + 1; event < EVENT_END; event++)
        if (partner->events[event] && partner->events[event]->alarm &&
            kind_of(partner->events[event]->alarm->reason) == kind)
            return true;
    return false;
}

/* ---- begin and end ---- */

static uint32_t failed_in_all(const struct ledger_storm *storm)
{
    return storm->failed[STORM_NETWORK] + storm->failed[STORM_RESOLVERS];
}

static uint32_t fresh_in_all(const struct ledger_storm *storm)
{
    return storm->fresh[STORM_NETWORK] + storm->fresh[STORM_RESOLVERS];
}

static bool begins(const struct ledger_storm *storm)
{
    if (storm->walked >= STORM_LEAST)
        return (uint64_t)fresh_in_all(storm) * 100 >= (uint64_t)storm->walked * STORM_BEGINS;
    return storm->fresh[STORM_RESOLVERS] >= STORM_FEW && storm->failed[STORM_RESOLVERS] == storm->walked;
}

/* Too few walks say nothing, unless there are no more partners. */
static bool ends(const struct ledger *ledger)
{
    const struct ledger_storm *storm = &ledger->storm;
    if (storm->restored || (storm->walked < STORM_FEW && storm->walked < ledger->partners.count))
        return false;
    uint64_t percent = storm->walked >= STORM_LEAST ? STORM_ENDS : 50;
    return (uint64_t)failed_in_all(storm) * 100 < storm->walked * percent || !storm->walked;
}

static void begin(struct ledger *ledger, enum reason last, int64_t wall, int64_t run)
{
    struct ledger_storm *storm = &ledger->storm;
    bool resolvers = storm->failed[STORM_RESOLVERS] > storm->failed[STORM_NETWORK];
    char detail[OBSERVATION_DETAIL];
    text_format(detail, sizeof detail,
                "%" PRIu32 " of the %" PRIu32 " partners looked at last fail alike, the last by %s",
                failed_in_all(storm), storm->walked, reason_name(last));
    storm->reason = resolvers ? REASON_MON_RESOLVERS_DOWN : REASON_MON_NETWORK_DOWN;
    ledger_self(ledger, storm->reason, true, detail, wall, run);
}

static void end(struct ledger *ledger, int64_t wall, int64_t run)
{
    enum reason reason = ledger->storm.reason;
    ledger->storm.reason = REASON_NONE;
    ledger->storm.restored = false;
    ledger_self(ledger, reason, false, "", wall, run);
}

void storm_walked(struct ledger *ledger, struct ledger_partner *partner, const struct observation *observation)
{
    struct ledger_storm *storm = &ledger->storm;
    const struct observation_walk *walk = &observation->walk;
    take_out(storm, partner);
    enum storm_kind kind = walk->endpoints_ok ? STORM_NONE : kind_of(walk->reason);
    partner->storm_kind = (uint8_t)kind;
    partner->storm_fresh = kind != STORM_NONE && !in_alarm_for(partner, kind);
    partner->walk_run = observation->run;
    put_first(storm, partner);
    forget_old(storm, observation->run);
    if (storm->reason == REASON_NONE && kind != STORM_NONE && begins(storm))
        begin(ledger, walk->reason, observation->wall, observation->run);
    else if (storm->reason != REASON_NONE && ends(ledger))
        end(ledger, observation->wall, observation->run);
}

void storm_judged(struct ledger *ledger, struct ledger_partner *partner)
{
    if (!partner->storm_fresh || !in_alarm_for(partner, partner->storm_kind))
        return;
    count(&ledger->storm, partner, -1);
    partner->storm_fresh = false;
    count(&ledger->storm, partner, 1);
}

void storm_forget(struct ledger *ledger)
{
    struct ledger_storm *storm = &ledger->storm;
    while (storm->newest)
        take_out(storm, storm->newest);
}

void storm_bound(struct ledger *ledger, int64_t wall, int64_t run)
{
    const struct ledger_storm *storm = &ledger->storm;
    if (storm->reason != REASON_NONE && !ledger->partners.count)
        end(ledger, wall, run);
}

bool storm_lasts(const struct ledger *ledger, enum reason reason)
{
    return (reason != REASON_NONE && reason == ledger->storm.reason) ||
           (reason == REASON_MON_CLOCK_UNSYNCHRONISED && ledger->storm.clock_doubtful);
}

static bool in_alarm(const struct ledger *ledger, enum reason reason)
{
    const struct ledger_cell *cell = index_find(&ledger->self, (uint32_t[]){(uint32_t)reason});
    return cell && cell->alarm;
}

void storm_restore(struct ledger *ledger)
{
    struct ledger_storm *storm = &ledger->storm;
    storm->reason = in_alarm(ledger, REASON_MON_NETWORK_DOWN)     ? REASON_MON_NETWORK_DOWN
                    : in_alarm(ledger, REASON_MON_RESOLVERS_DOWN) ? REASON_MON_RESOLVERS_DOWN
                                                                  : REASON_NONE;
    storm->restored = storm->reason != REASON_NONE;
    if (!in_alarm(ledger, REASON_MON_CLOCK_UNSYNCHRONISED))
        storm->clock_doubtful = false;
}

void storm_tick(struct ledger *ledger, int64_t wall, int64_t run)
{
    struct ledger_storm *storm = &ledger->storm;
    if (!storm->restored || run - ledger->start_run < LEDGER_SELF_GRACE)
        return;
    storm->restored = false;
    if (ends(ledger))
        end(ledger, wall, run);
}

/* ---- the clocks ---- */

static bool is_jump(int64_t from, int64_t to)
{
    return to - from >= CLOCK_JUMP || from - to >= CLOCK_JUMP;
}

static void clock_jumped(struct ledger *ledger, int64_t offset, int64_t wall, int64_t run)
{
    struct ledger_storm *storm = &ledger->storm;
    int64_t seconds = (offset - storm->clock_offset) / CLOCK_SECOND;
    char detail[OBSERVATION_DETAIL], span[32];
    text_format(detail, sizeof detail, "the wall clock jumped %s by %s", seconds < 0 ? "back" : "forward",
                clock_span(llabs(seconds), span, sizeof span));
    if (!storm->clock_doubtful)
        storm->clock_before = storm->clock_offset;
    storm->clock_doubtful = true;
    storm->clock_run = run;
    changes_state(ledger);
    ledger_self(ledger, REASON_MON_CLOCK_UNSYNCHRONISED, true, detail, wall, run);
}

void storm_clock(struct ledger *ledger, int64_t wall, int64_t run)
{
    struct ledger_storm *storm = &ledger->storm;
    int64_t offset = wall - run;
    bool returned = storm->clock_doubtful && !is_jump(storm->clock_before, offset);
    if (storm->clock_known && is_jump(storm->clock_offset, offset) && !returned)
        clock_jumped(ledger, offset, wall, run);
    storm->clock_known = true;
    storm->clock_offset = offset;
    if (storm->clock_doubtful && (returned || run - storm->clock_run >= CLOCK_SETTLED)) {
        storm->clock_doubtful = false;
        changes_state(ledger);
        ledger_self(ledger, REASON_MON_CLOCK_UNSYNCHRONISED, false, "", wall, run);
    }
}
