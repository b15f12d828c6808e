/* fedwAlarmTable; its columns 2 to 17 are also what a notification carries. */

#include "report/mib.h"

#include <string.h>

static const struct index *alarm_rows(const struct moment *moment)
{
    return &moment->ledger->alarms;
}

/* RowPointer to what counted the failure: the first readable column of its row. */
static void resource_value(const struct ledger_alarm *alarm, struct value *value)
{
    uint32_t *oid = value->oid;
    size_t length = mib_root_length;
    memcpy(oid, mib_root, length * sizeof *oid);
    oid[length++] = MIB_OBJECTS;
    oid[length++] = alarm->source ? MIB_SOURCE : alarm->partner ? MIB_PARTNER_EVENT : MIB_EVENT;
    oid[length++] = 1;
    oid[length++] = !alarm->source && alarm->partner ? 1 : 2;
    if (alarm->source || alarm->partner)
        oid[length++] = alarm->source ? alarm->source : alarm->partner;
    if (!alarm->source)
        oid[length++] = alarm->event;
    value->type = VALUE_OID;
    value->oid_length = length;
}

/* As value_foreign: valid until the next call. */
static const char *cause_of(const struct ledger_alarm *alarm)
{
    static char cause[REASON_CAUSE_MAX + 1];
    char address[ADDRESS_TEXT_SIZE];
    struct guidance known = ledger_guidance(alarm, address);
    return guidance_cause(alarm->reason, &known, cause);
}

static const char *resolution_of(const struct ledger_alarm *alarm)
{
    static char resolution[REASON_RESOLUTION_MAX + 1];
    char address[ADDRESS_TEXT_SIZE];
    struct guidance known = ledger_guidance(alarm, address);
    return guidance_resolution(alarm->reason, &known, resolution);
}

void mib_alarm_value(const struct moment *moment, const struct ledger_alarm *alarm, uint32_t column,
                     struct value *value)
{
    switch ((enum mib_alarm_column)column) {
    case MIB_ALARM_ID:
        return value_unsigned(value, alarm->id);
    case MIB_ALARM_STATE:
        return value_integer(value, alarm->state);
    case MIB_ALARM_EVENT:
        return value_integer(value, alarm->event);
    case MIB_ALARM_SEVERITY:
        return value_integer(value, alarm->state == ALARM_CLEARED ? SEVERITY_CLEARED : alarm->severity);
    case MIB_ALARM_REASON:
        return value_integer(value, alarm->reason);
    case MIB_ALARM_PARTNER_NAME:
        return value_foreign(value, alarm->name);
    case MIB_ALARM_TARGET:
        return value_text(value, alarm->target);
    case MIB_ALARM_ADDRESS_TYPE:
        return value_address_type(value, &alarm->address);
    case MIB_ALARM_ADDRESS:
        return value_address(value, &alarm->address);
    case MIB_ALARM_PORT:
        return value_unsigned(value, alarm->port);
    case MIB_ALARM_WINDOW_COUNT:
        return value_unsigned(value, alarm->window_count);
    case MIB_ALARM_WINDOW_SECONDS:
        return value_unsigned(value, alarm->window_seconds);
    case MIB_ALARM_TOTAL:
        return value_unsigned(value, alarm->total);
    case MIB_ALARM_DETAIL:
        return value_text(value, alarm->detail);
    case MIB_ALARM_CAUSE:
        return value_text(value, cause_of(alarm));
    case MIB_ALARM_RESOLUTION:
        return value_text(value, resolution_of(alarm));
    case MIB_ALARM_ACTOR:
        return value_integer(value, reason_info(alarm->reason)->actor);
    case MIB_ALARM_PARTNER_INDEX:
        return value_unsigned(value, alarm->partner);
    case MIB_ALARM_CONTACT:
        return value_foreign(value, alarm->contact);
    case MIB_ALARM_RAISED_TIME:
        return value_date(value, alarm->raised_wall);
    case MIB_ALARM_RAISED_AGE:
        return value_age(value, moment, alarm->raised_wall, 0);
    case MIB_ALARM_CHANGED_TIME:
        return value_date(value, alarm->changed_wall);
    case MIB_ALARM_CHANGED_AGE:
        return value_age(value, moment, alarm->changed_wall, 0);
    case MIB_ALARM_RESOURCE:
        return resource_value(alarm, value);
    }
}

static void alarm_value(const struct moment *moment, const struct index_entry *row, uint32_t column,
                        struct value *value)
{
    mib_alarm_value(moment, row->cell, column, value);
}

const struct table mib_alarm_table = {
    .name = "fedwAlarmTable",
    .branch = MIB_ALARM,
    .last = MIB_ALARM_LAST,
    .columns = TABLE_COLUMNS(MIB_ALARM_ID, MIB_ALARM_LAST),
    .rows = alarm_rows,
    .value = alarm_value,
};
