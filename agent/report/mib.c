/* The list of tables, and what several of them show alike. */

#include "report/mib.h"

#include "base/clock.h"
#include "config.h"

const uint32_t mib_root[] = {MIB_ROOT};
const size_t mib_root_length = sizeof mib_root / sizeof mib_root[0];

static const struct table *const tables[] = {
    &mib_agent_table,         &mib_summary_table,        &mib_event_table, &mib_partner_table,
    &mib_partner_event_table, &mib_partner_reason_table, &mib_probe_table, &mib_certificate_table,
    &mib_source_table,        &mib_reason_table,         &mib_alarm_table,
};

void mib_tables(struct table_set *set)
{
    *set = (struct table_set){.tables = tables, .count = sizeof tables / sizeof tables[0]};
}

const struct ledger_partner *mib_partner(const struct moment *moment, uint32_t index)
{
    return index ? index_find(&moment->ledger->partners, (const uint32_t[INDEX_PARTS]){index}) : NULL;
}

const char *mib_partner_name(const struct moment *moment, uint32_t index)
{
    const struct ledger_partner *partner = mib_partner(moment, index);
    return partner ? partner->conf->name : "";
}

void mib_failure_value(const struct moment *moment, const struct ledger_failure *failure, enum mib_failure_part part,
                       struct value *value)
{
    bool none = failure->wall == CLOCK_NEVER;
    enum reason reason = none ? REASON_NONE : failure->reason;
    switch (part) {
    case MIB_FAILURE_TIME:
        return value_date(value, failure->wall);
    case MIB_FAILURE_AGE:
        return value_age(value, moment, failure->wall, failure->run);
    case MIB_FAILURE_REASON:
        return value_integer(value, reason);
    case MIB_FAILURE_PARTNER_INDEX:
        return value_unsigned(value, failure->partner);
    case MIB_FAILURE_PARTNER_NAME:
        return value_foreign(value, mib_partner_name(moment, failure->partner));
    case MIB_FAILURE_HOST:
        return value_text(value, failure->target);
    case MIB_FAILURE_ADDRESS_TYPE:
        return value_address_type(value, &failure->address);
    case MIB_FAILURE_ADDRESS:
        return value_address(value, &failure->address);
    case MIB_FAILURE_PORT:
        return value_unsigned(value, failure->port);
    case MIB_FAILURE_DETAIL:
        return value_text(value, failure->detail);
    case MIB_FAILURE_ACTOR:
        return value_integer(value, reason_info(reason)->actor);
    }
}

void mib_count_value(const struct moment *moment, const struct ledger_reason *counted, enum mib_count_part part,
                     struct value *value)
{
    switch (part) {
    case MIB_COUNT:
        return value_counter(value, counted->count);
    case MIB_COUNT_FIRST_TIME:
        return value_date(value, counted->first_wall);
    case MIB_COUNT_FIRST_AGE:
        return value_age(value, moment, counted->first_wall, 0);
    case MIB_COUNT_LAST_TIME:
        return value_date(value, counted->last_wall);
    case MIB_COUNT_LAST_AGE:
        return value_age(value, moment, counted->last_wall, 0);
    }
}
