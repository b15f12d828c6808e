/* One pass over the partners; the alarms are counted as they come and go. */
#include "ledger/ledger.h"

static void summarise_partner(struct ledger_summary *summary, const struct ledger_partner *partner)
{
    summary->partners++;
    switch (partner->health) {
    case HEALTH_OK:
        summary->ok++;
        break;
    case HEALTH_WARNING:
        summary->warning++;
        break;
    case HEALTH_CRITICAL:
        summary->critical++;
        break;
    case HEALTH_UNKNOWN:
        summary->unknown++;
        break;
    }
    if (partner->not_after != CLOCK_NEVER &&
        (summary->not_after == CLOCK_NEVER || partner->not_after < summary->not_after)) {
        summary->not_after = partner->not_after;
        summary->not_after_partner = partner->index;
    }
}

static enum health summary_health(const struct ledger *ledger, const struct ledger_summary *summary)
{
    enum health health = HEALTH_OK;
    if (summary->critical)
        health = HEALTH_CRITICAL;
    else if (summary->warning)
        health = HEALTH_WARNING;
    for (int event = EVENT_NONE + 1; event < EVENT_END; event++)
        if (ledger->events[event].health > health)
            health = ledger->events[event].health;
    if (health == HEALTH_OK && summary->partners && summary->unknown == summary->partners)
        health = HEALTH_UNKNOWN;
    return health;
}

void ledger_summarise(const struct ledger *ledger, struct ledger_summary *summary)
{
    *summary = (struct ledger_summary){.worst = SEVERITY_CLEARED, .not_after = CLOCK_NEVER};
    for (size_t i = 0; i < ledger->partners.count; i++)
        summarise_partner(summary, ledger->partners.entries[i].cell);
    summary->alarms = (uint32_t)ledger->alarms.count;
    for (int event = EVENT_NONE + 1; event < EVENT_END; event++)
        for (int severity = SEVERITY_INDETERMINATE; severity <= SEVERITY_WARNING; severity++)
            if (ledger->active[event][severity] && severity_rank(severity) > severity_rank(summary->worst))
                summary->worst = severity;
    summary->health = summary_health(ledger, summary);
}
