/* fedwEventTable: ten rows that are always there. The ledger keeps them in an array, so the index is made here. */

#include "report/mib.h"

static const struct index *event_rows(const struct moment *moment)
{
    static struct index_entry entries[EVENT_COUNT - 1];
    static const struct index rows = {
        .parts = 1, .entries = entries, .count = EVENT_COUNT - 1, .room = EVENT_COUNT - 1};
    for (uint32_t i = 0; i < EVENT_COUNT - 1; i++) {
        entries[i].key[0] = i + 1;
        entries[i].cell = (void *)&moment->ledger->events[i + 1];
    }
    return &rows;
}

enum {
    NAME = 2,
    TITLE,
    HEALTH,
    COUNT,
    WINDOW_COUNT,
    WINDOW_SECONDS,
    THRESHOLD,
    LAST_TIME,
    LAST_AGE,
    LAST_REASON,
    LAST_PARTNER_INDEX,
    LAST_PARTNER_NAME,
    LAST_HOST,
    LAST_ADDRESS_TYPE,
    LAST_ADDRESS,
    LAST_PORT,
    LAST_DETAIL,
    LAST_ACTOR,
};

static void event_value(const struct moment *moment, const struct index_entry *row, uint32_t column,
                        struct value *value)
{
    const struct ledger_cell *cell = row->cell;
    enum event event = (enum event)row->key[0];
    if (column >= LAST_TIME) /* these stand in the order of the parts of a failure */
        return mib_failure_value(moment, &cell->last, column - LAST_TIME + MIB_FAILURE_TIME, value);
    switch (column) {
    case NAME:
        return value_text(value, event_info(event)->name);
    case TITLE:
        return value_text(value, event_info(event)->title);
    case HEALTH:
        return value_integer(value, cell->health);
    case COUNT:
        return value_counter(value, cell->count);
    case WINDOW_COUNT:
        return value_unsigned(value, ledger_window(moment->ledger, cell, NULL, moment->run));
    case WINDOW_SECONDS:
        return value_unsigned(value, ledger_threshold(moment->ledger, NULL, event)->window);
    case THRESHOLD:
        return value_unsigned(value, ledger_threshold(moment->ledger, NULL, event)->count);
    }
}

const struct table mib_event_table = {
    .name = "fedwEventTable",
    .branch = MIB_EVENT,
    .last = LAST_ACTOR,
    .columns = TABLE_COLUMNS(NAME, LAST_ACTOR),
    .rows = event_rows,
    .value = event_value,
};
