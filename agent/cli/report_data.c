/*
 * Verdicts come in the order of time, those of all partners mixed. A partner's health is known from its first verdict
 * on, up to the last batch that the daemon wrote: what lies outside is no time at all, neither good nor bad. A partner
 * whose verdicts are no longer kept has been as it is since its row says so.
 */
#include "cli/report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);
    if (!memory)
        abort();
    return memory;
}

static int compare_names(const void *a, const void *b)
{
    const struct report_partner *first = a, *second = b;
    return strcmp(first->row->name, second->row->name);
}

struct report *report_new(const struct show *show, const char *host, int64_t since, int64_t until)
{
    struct report *report = allocate(1, sizeof *report);
    *report = (struct report){.show = show, .host = host, .since = since, .until = until, .known = until};
    if (show->written != CLOCK_NEVER && show_stale(show) && show->written < until)
        report->known = show->written;
    report->partners = allocate(show->count, sizeof *report->partners);
    for (size_t i = 0; i < show->count; i++)
        report->partners[report->count++] =
            (struct report_partner){.row = &show->partners[i], .state = HEALTH_UNKNOWN, .at = since};
    qsort(report->partners, report->count, sizeof *report->partners, compare_names);
    report->reasons = allocate(reason_count(), sizeof *report->reasons);
    for (size_t i = 0; i < reason_count(); i++)
        report->reasons[report->reason_count++].reason = reason_at(i)->reason;
    report->transitions = allocate(REPORT_TRANSITIONS, sizeof *report->transitions);
    return report;
}

void report_free(struct report *report)
{
    if (!report)
        return;
    free(report->partners);
    free(report->reasons);
    free(report->transitions);
    free(report);
}

/* ---- partners ---- */

/* In a slot the worst is seen; what is known outweighs what is not. */
static bool outweighs(enum health health, uint8_t shown)
{
    static const int ranks[] = {0, [HEALTH_OK] = 2, [HEALTH_WARNING] = 3, [HEALTH_CRITICAL] = 4, [HEALTH_UNKNOWN] = 1};
    return ranks[health] > ranks[shown];
}

/* The partner was as it is noted from `at` until `end`. */
static void spend(const struct report *report, struct report_partner *partner, int64_t end)
{
    int64_t length = report->until - report->since;
    if (end > report->known)
        end = report->known;
    if (end <= partner->at)
        return;
    if (partner->state != HEALTH_UNKNOWN && length > 0) {
        size_t first = (size_t)((double)(partner->at - report->since) / (double)length * REPORT_SLOTS);
        size_t last = (size_t)((double)(end - 1 - report->since) / (double)length * REPORT_SLOTS);
        for (size_t slot = first; slot <= last && slot < REPORT_SLOTS; slot++)
            if (outweighs(partner->state, partner->slots[slot]))
                partner->slots[slot] = (uint8_t)partner->state;
    }
    partner->spent[partner->state] += end - partner->at;
    partner->at = end;
}

void report_verdict(void *context, const struct history_verdict_row *row)
{
    struct report *report = context;
    struct show_partner named = {.name = row->partner};
    struct report_partner key = {.row = &named};
    struct report_partner *partner =
        bsearch(&key, report->partners, report->count, sizeof *report->partners, compare_names);
    if (!partner || row->health < HEALTH_OK || row->health > HEALTH_UNKNOWN)
        return;
    if (row->wall > report->since) {
        spend(report, partner, row->wall);
        partner->changes += partner->judged && row->health != partner->state;
    }
    partner->judged = true;
    partner->state = row->health;
}

static void end_partner(struct report *report, struct report_partner *partner)
{
    const struct ledger_partner *row = partner->row->partner;
    if (!partner->judged && row->health != HEALTH_UNKNOWN && row->since_wall != CLOCK_NEVER) {
        if (row->since_wall > report->since)
            spend(report, partner, row->since_wall);
        partner->state = row->health;
    }
    spend(report, partner, report->known);
    report->observed += report_observed(partner);
    report->available += report_available(partner);
}

int64_t report_available(const struct report_partner *partner)
{
    return partner->spent[HEALTH_OK] + partner->spent[HEALTH_WARNING];
}

int64_t report_observed(const struct report_partner *partner)
{
    return report_available(partner) + partner->spent[HEALTH_CRITICAL];
}

const char *report_availability(int64_t observed, int64_t available, char *out, size_t size)
{
    if (observed <= 0) {
        text_copy(out, size, "-");
        return out;
    }
    int64_t hundredths = (int64_t)((double)available / (double)observed * 10000);
    if (hundredths >= 10000 && available < observed)
        hundredths = 9999;
    text_format(out, size, "%" PRId64 ".%02d %%", hundredths / 100, (int)(hundredths % 100));
    return out;
}

static bool needs_attention(const struct report_partner *partner)
{
    return partner->row->health != HEALTH_OK || partner->row->alarm;
}

bool report_calm(const struct report_partner *partner)
{
    return !needs_attention(partner) && !partner->changes && !partner->spent[HEALTH_CRITICAL] &&
           !partner->spent[HEALTH_WARNING];
}

/* As show has them, but of those that are fine now the ones that were not come first. */
static int compare_attention(const void *a, const void *b)
{
    const struct report_partner *first = a, *second = b;
    int order = needs_attention(second) - needs_attention(first);
    if (order == 0 && !needs_attention(first)) {
        int64_t one = first->spent[HEALTH_CRITICAL], other = second->spent[HEALTH_CRITICAL];
        order = (other > one) - (other < one);
        if (order == 0)
            order = report_calm(first) - report_calm(second);
        if (order == 0)
            order = (second->changes > first->changes) - (second->changes < first->changes);
    }
    return order ? order : (first->row > second->row) - (first->row < second->row);
}

/* ---- failures and transitions ---- */

static struct report_reason *find_reason(struct report *report, enum reason reason)
{
    enum reason known = reason_info(reason)->reason;
    for (size_t i = 0; i < report->reason_count; i++)
        if (report->reasons[i].reason == known)
            return &report->reasons[i];
    return NULL;
}

void report_failure(void *context, const struct history_failure_row *row)
{
    struct report *report = context;
    struct report_reason *reason = find_reason(report, row->reason);
    if (!reason || row->wall < report->since)
        return;
    reason->count += row->count;
    reason->last_wall = row->wall;
    report->failures += row->count;
}

void report_transition(void *context, const struct transition *transition)
{
    struct report *report = context;
    if (transition->wall < report->since)
        return;
    report->transitions[report->transition_count++ % REPORT_TRANSITIONS] = *transition;
}

static int compare_reasons(const void *a, const void *b)
{
    const struct report_reason *first = a, *second = b;
    return (second->count > first->count) - (second->count < first->count);
}

static void end_reasons(struct report *report)
{
    const struct index *catalogue = &report->show->ledger->reasons;
    size_t kept = 0;
    for (size_t i = 0; i < report->reason_count; i++) {
        struct report_reason *reason = &report->reasons[i];
        const struct ledger_reason *counted = index_find(catalogue, (uint32_t[INDEX_PARTS]){reason->reason});
        reason->ever = counted ? counted->count : 0;
        if (reason->count)
            report->reasons[kept++] = *reason;
    }
    report->reason_count = kept;
    qsort(report->reasons, kept, sizeof *report->reasons, compare_reasons);
}

void report_end(struct report *report)
{
    for (size_t i = 0; i < report->count; i++)
        end_partner(report, &report->partners[i]);
    qsort(report->partners, report->count, sizeof *report->partners, compare_attention);
    end_reasons(report);
}
