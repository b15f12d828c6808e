/* fedwAgent and fedwSummary: the scalars. */

#include "base/clock.h"
#include "config.h"
#include "ledger/source.h"
#include "report/mib.h"

static const struct index *one_row(const struct moment *moment)
{
    (void)moment;
    return &table_scalar_row;
}

enum {
    AGENT_VERSION = 1,
    START_TIME,
    START_AGE,
    DISCONTINUITY,
    CONFIG_FILE,
    CONFIG_TIME,
    CONFIG_AGE,
    CONFIG_STATUS,
    CONFIG_ERROR,
    WALKS,
    WALKS_LATE,
    OBSERVATIONS,
    DROPPED,
    FEED_LINES,
    FEED_UNPARSED,
    SENT,
    SUPPRESSED,
    WAITING,
    EDGE_FAILURES,
    SOURCES,
    SOURCES_MAX,
    SOURCES_EVICTED,
    SOURCES_REFUSED,
    FAILURES_HELD,
    SEQUENCE = MIB_AGENT_SEQUENCE,
    VANTAGE = MIB_AGENT_VANTAGE,
};

static void agent_value(const struct moment *moment, const struct index_entry *row, uint32_t column,
                        struct value *value)
{
    (void)row;
    const struct session_status *status = moment->status;
    const struct ledger *ledger = moment->ledger;
    switch (column) {
    case AGENT_VERSION:
        return value_text(value, PACKAGE_STRING);
    case START_TIME:
        return value_date(value, status->start_wall);
    case START_AGE:
        return value_age(value, moment, status->start_wall, status->start_run);
    case DISCONTINUITY:
        return value_uptime(value, moment, ledger->counted_run);
    case CONFIG_FILE:
        return value_foreign(value, ledger->conf->path);
    case CONFIG_TIME:
        return value_date(value, status->loaded_wall);
    case CONFIG_AGE:
        return value_age(value, moment, status->loaded_wall, 0);
    case CONFIG_STATUS:
        return value_integer(value, status->load_failed ? 2 : 1);
    case CONFIG_ERROR:
        return value_foreign(value, status->load_error);
    case WALKS:
        return value_counter(value, ledger->walks);
    case WALKS_LATE:
        return value_counter(value, ledger->walks_late);
    case OBSERVATIONS:
        return value_counter(value, ledger->observations);
    case DROPPED:
        return value_counter(value, status->dropped);
    case FEED_LINES:
        return value_counter(value, status->feed_lines);
    case FEED_UNPARSED:
        return value_counter(value, status->feed_unparsed);
    case SENT:
        return value_counter(value, moment->notifications.sent);
    case SUPPRESSED:
        return value_counter(value, moment->notifications.suppressed);
    case WAITING:
        return value_unsigned(value, moment->notifications.waiting);
    case EDGE_FAILURES:
        return value_counter(value, ledger->edge_failures);
    case SOURCES:
        return value_unsigned(value, sources_counts(ledger).rows);
    case SOURCES_MAX:
        return value_unsigned(value, sources_counts(ledger).max);
    case SOURCES_EVICTED:
        return value_counter(value, sources_counts(ledger).evicted);
    case SOURCES_REFUSED:
        return value_counter(value, sources_counts(ledger).refused);
    case FAILURES_HELD:
        return value_counter(value, ledger->storm.held);
    case SEQUENCE:
        return value_unsigned(value, (uint32_t)ledger->sequence);
    case VANTAGE:
        return value_foreign(value, ledger->conf->agent.vantage);
    }
}

const struct table mib_agent_table = {
    .name = "fedwAgent",
    .branch = MIB_AGENT,
    .scalars = true,
    .last = VANTAGE,
    .columns = TABLE_COLUMNS(AGENT_VERSION, VANTAGE),
    .rows = one_row,
    .value = agent_value,
};

/* Summing up goes through all partners: once a request, not once a scalar. */
static const struct ledger_summary *summary_of(const struct moment *moment)
{
    static struct ledger_summary summary;
    static const struct ledger *ledger;
    static int64_t run;
    static uint64_t observations, sequence;
    if (ledger != moment->ledger || run != moment->run || observations != moment->ledger->observations ||
        sequence != moment->ledger->sequence) {
        ledger_summarise(moment->ledger, &summary);
        ledger = moment->ledger;
        run = moment->run;
        observations = ledger->observations;
        sequence = ledger->sequence;
    }
    return &summary;
}

enum {
    HEALTH = 1,
    PARTNERS,
    PARTNERS_OK,
    PARTNERS_WARNING,
    PARTNERS_CRITICAL,
    PARTNERS_UNKNOWN,
    ALARMS,
    WORST_SEVERITY,
    LAST_CHANGE,
    CHANGE_TIME,
    CHANGE_AGE,
    CERT_NOT_AFTER,
    CERT_SECONDS_LEFT,
    CERT_PARTNER_INDEX,
    CERT_PARTNER_NAME,
};

static void summary_value(const struct moment *moment, const struct index_entry *row, uint32_t column,
                          struct value *value)
{
    (void)row;
    const struct ledger_summary *summary = summary_of(moment);
    switch (column) {
    case HEALTH:
        return value_integer(value, summary->health);
    case PARTNERS:
        return value_unsigned(value, summary->partners);
    case PARTNERS_OK:
        return value_unsigned(value, summary->ok);
    case PARTNERS_WARNING:
        return value_unsigned(value, summary->warning);
    case PARTNERS_CRITICAL:
        return value_unsigned(value, summary->critical);
    case PARTNERS_UNKNOWN:
        return value_unsigned(value, summary->unknown);
    case ALARMS:
        return value_unsigned(value, summary->alarms);
    case WORST_SEVERITY:
        return value_integer(value, summary->worst);
    case LAST_CHANGE:
        return value_uptime(value, moment, moment->ledger->alarms_changed_run);
    case CHANGE_TIME:
        return value_date(value, moment->ledger->alarms_changed_wall);
    case CHANGE_AGE:
        return value_age(value, moment, moment->ledger->alarms_changed_wall, moment->ledger->alarms_changed_run);
    case CERT_NOT_AFTER:
        return value_date(value, summary->not_after);
    case CERT_SECONDS_LEFT:
        return value_left(value, moment, summary->not_after);
    case CERT_PARTNER_INDEX:
        return value_unsigned(value, summary->not_after_partner);
    case CERT_PARTNER_NAME:
        return value_foreign(value, mib_partner_name(moment, summary->not_after_partner));
    }
}

const struct table mib_summary_table = {
    .name = "fedwSummary",
    .branch = MIB_SUMMARY,
    .scalars = true,
    .last = CERT_PARTNER_NAME,
    .columns = TABLE_COLUMNS(HEALTH, CERT_PARTNER_NAME),
    .rows = one_row,
    .value = summary_value,
};
