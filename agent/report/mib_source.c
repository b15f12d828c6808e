/* fedwSourceTable: where failures come from that are counted by their source. */

#include "ledger/source.h"

#include <inttypes.h>

#include "base/text.h"
#include "report/mib.h"

static const struct index *source_rows(const struct moment *moment)
{
    return sources_rows(moment->ledger);
}

enum {
    EVENT_TYPE = 2,
    EVENT_NAME,
    NAME,
    ADDRESS_TYPE,
    ADDRESS,
    PARTNER_INDEX,
    PARTNER_NAME,
    COUNT,
    WINDOW_COUNT,
    WINDOW_SECONDS,
    THRESHOLD,
    FIRST_TIME,
    FIRST_AGE,
    LAST_TIME,
    LAST_AGE,
    LAST_REASON,
    REASONS,
    USERS,
    SUBJECT,
    ISSUER,
    SERIAL,
    LAST_DETAIL,
    ALARM_ID,
};

static void reasons_value(const struct ledger_source *source, struct value *value)
{
    static char text[VALUE_OCTETS_MAX + 1];
    text[0] = '\0';
    for (size_t i = 0; i < source->reason_count; i++)
        text_append(text, sizeof text, "%s%s %" PRIu64, i ? ", " : "", reason_name(source->reasons[i].reason),
                    source->reasons[i].count);
    if (source->reasons_other)
        text_append(text, sizeof text, ", others %" PRIu64, source->reasons_other);
    value_text(value, text);
}

static void users_value(const struct ledger_source *source, struct value *value)
{
    static char text[VALUE_OCTETS_MAX + 1];
    text[0] = '\0';
    for (size_t i = 0; i < source->user_count; i++)
        text_append(text, sizeof text, "%s%s", i ? ", " : "", source->users[i]);
    value_foreign(value, text);
}

/* The key's address; a row that is counted by name shows where the last failure came from. */
static const struct address *shown_address(const struct ledger_source *source)
{
    return source->address.family != ADDRESS_UNKNOWN ? &source->address : &source->cell.last.address;
}

/* What is asked of the cell and of its last failure. */
static void cell_value(const struct moment *moment, const struct ledger_cell *cell, uint32_t column,
                       struct value *value)
{
    const struct conf_threshold *threshold = ledger_threshold(moment->ledger, NULL, cell->event);
    switch (column) {
    case COUNT:
        return value_counter(value, cell->count);
    case WINDOW_COUNT:
        return value_unsigned(value, ledger_window(moment->ledger, cell, NULL, moment->run));
    case WINDOW_SECONDS:
        return value_unsigned(value, threshold->window);
    case THRESHOLD:
        return value_unsigned(value, threshold->count);
    case LAST_TIME:
        return mib_failure_value(moment, &cell->last, MIB_FAILURE_TIME, value);
    case LAST_AGE:
        return mib_failure_value(moment, &cell->last, MIB_FAILURE_AGE, value);
    case LAST_REASON:
        return mib_failure_value(moment, &cell->last, MIB_FAILURE_REASON, value);
    case LAST_DETAIL:
        return value_foreign(value, cell->last.detail);
    case ALARM_ID:
        return value_unsigned(value, cell->alarm ? cell->alarm->id : 0);
    }
}

static void source_value(const struct moment *moment, const struct index_entry *row, uint32_t column,
                         struct value *value)
{
    const struct ledger_source *source = row->cell;
    switch (column) {
    case EVENT_TYPE:
        return value_integer(value, source->cell.event);
    case EVENT_NAME:
        return value_text(value, event_name(source->cell.event));
    case NAME:
        return value_foreign(value, source->name);
    case ADDRESS_TYPE:
        return value_address_type(value, shown_address(source));
    case ADDRESS:
        return value_address(value, shown_address(source));
    case PARTNER_INDEX:
        return value_unsigned(value, source->partner);
    case PARTNER_NAME:
        return value_foreign(value, mib_partner_name(moment, source->partner));
    case FIRST_TIME:
        return value_date(value, source->first_wall);
    case FIRST_AGE:
        return value_age(value, moment, source->first_wall, 0);
    case REASONS:
        return reasons_value(source, value);
    case USERS:
        return users_value(source, value);
    case SUBJECT:
        return value_foreign(value, source->subject);
    case ISSUER:
        return value_foreign(value, source->issuer);
    case SERIAL:
        return value_foreign(value, source->serial);
    default:
        return cell_value(moment, &source->cell, column, value);
    }
}

const struct table mib_source_table = {
    .name = "fedwSourceTable",
    .branch = MIB_SOURCE,
    .last = ALARM_ID,
    .columns = TABLE_COLUMNS(EVENT_TYPE, ALARM_ID),
    .rows = source_rows,
    .value = source_value,
};
