/* fedwReasonTable: the catalogue, with what was counted of each reason. */

#include "report/mib.h"

static const struct index *reason_rows(const struct moment *moment)
{
    return &moment->ledger->reasons;
}

enum {
    NAME = 2,
    EVENT_TYPE,
    SEVERITY,
    ACTOR,
    CAUSE,
    RESOLUTION,
    ALIASES,
    COUNT,
    FIRST_TIME,
    FIRST_AGE,
    LAST_TIME,
    LAST_AGE,
};

static void reason_value(const struct moment *moment, const struct index_entry *row, uint32_t column,
                         struct value *value)
{
    const struct reason_info *info = reason_info((enum reason)row->key[0]);
    if (column >= COUNT) /* these stand in the order of the parts of a count */
        return mib_count_value(moment, row->cell, column - COUNT + MIB_COUNT, value);
    switch (column) {
    case NAME:
        return value_text(value, info->name);
    case EVENT_TYPE:
        return value_unsigned(value, info->event);
    case SEVERITY:
        return value_integer(value, info->severity);
    case ACTOR:
        return value_integer(value, info->actor);
    case CAUSE:
        return value_text(value, info->cause);
    case RESOLUTION:
        return value_text(value, info->resolution);
    case ALIASES:
        return value_text(value, info->aliases);
    }
}

const struct table mib_reason_table = {
    .name = "fedwReasonTable",
    .branch = MIB_REASON,
    .last = LAST_AGE,
    .columns = TABLE_COLUMNS(NAME, LAST_AGE),
    .rows = reason_rows,
    .value = reason_value,
};
