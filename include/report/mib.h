#ifndef FEDWARDEN_REPORT_MIB_H
#define FEDWARDEN_REPORT_MIB_H

/* FEDWARDEN-MIB as tables (report/table.h) and the numbers of it that others need. Main thread only. */

#include "base/event.h"
#include "report/table.h"

/* Under the root of the module. */
enum { MIB_NOTIFICATIONS = 0, MIB_OBJECTS = 1 };

/* Under the root of the objects. Numbers that are missing are set aside in the MIB. */
enum mib_branch {
    MIB_AGENT = 1,
    MIB_SUMMARY = 2,
    MIB_EVENT = 3,
    MIB_PARTNER = 4,
    MIB_PARTNER_EVENT = 5,
    MIB_PARTNER_REASON = 6,
    MIB_PROBE = 7,
    MIB_CERTIFICATE = 8,
    MIB_SOURCE = 9,
    MIB_REASON = 10,
    MIB_ALARM = 11,
};

/* fedwNotificationSequence */
#define MIB_AGENT_SEQUENCE 25
/* fedwAgentVantage */
#define MIB_AGENT_VANTAGE 26

/* Columns 2 to 17 of fedwAlarmTable are what a notification carries, in this order, and then its sequence
   and the agent's vantage. */
enum mib_alarm_column {
    MIB_ALARM_ID = 2,
    MIB_ALARM_STATE,
    MIB_ALARM_EVENT,
    MIB_ALARM_SEVERITY,
    MIB_ALARM_REASON,
    MIB_ALARM_PARTNER_NAME,
    MIB_ALARM_TARGET,
    MIB_ALARM_ADDRESS_TYPE,
    MIB_ALARM_ADDRESS,
    MIB_ALARM_PORT,
    MIB_ALARM_WINDOW_COUNT,
    MIB_ALARM_WINDOW_SECONDS,
    MIB_ALARM_TOTAL,
    MIB_ALARM_DETAIL,
    MIB_ALARM_CAUSE,
    MIB_ALARM_RESOLUTION,
    MIB_ALARM_ACTOR,
    MIB_ALARM_PARTNER_INDEX,
    MIB_ALARM_CONTACT,
    MIB_ALARM_RAISED_TIME,
    MIB_ALARM_RAISED_AGE,
    MIB_ALARM_CHANGED_TIME,
    MIB_ALARM_CHANGED_AGE,
    MIB_ALARM_RESOURCE,
    MIB_ALARM_LAST = MIB_ALARM_RESOURCE
};

extern const struct table mib_agent_table, mib_summary_table, mib_event_table, mib_partner_table,
    mib_partner_event_table, mib_partner_reason_table, mib_probe_table, mib_certificate_table, mib_source_table,
    mib_reason_table, mib_alarm_table;

/* mib_tables(set): all of them. */
void mib_tables(struct table_set *set);

/* mib_root, mib_root_length: the root of the module. */
extern const uint32_t mib_root[];
extern const size_t mib_root_length;

/*
 * mib_alarm_value(moment, alarm, column, value): a column of fedwAlarmTable for `alarm`, which need not be in the
 * ledger. `moment` may be NULL for the columns of a notification.
 */
void mib_alarm_value(const struct moment *moment, const struct ledger_alarm *alarm, uint32_t column,
                     struct value *value);

/* What a cell tells of its last failure; the columns of several tables are made of these. */
enum mib_failure_part {
    MIB_FAILURE_TIME = 1,
    MIB_FAILURE_AGE,
    MIB_FAILURE_REASON,
    MIB_FAILURE_PARTNER_INDEX,
    MIB_FAILURE_PARTNER_NAME,
    MIB_FAILURE_HOST,
    MIB_FAILURE_ADDRESS_TYPE,
    MIB_FAILURE_ADDRESS,
    MIB_FAILURE_PORT,
    MIB_FAILURE_DETAIL,
    MIB_FAILURE_ACTOR,
};
void mib_failure_value(const struct moment *moment, const struct ledger_failure *failure, enum mib_failure_part part,
                       struct value *value);

/* What a row of struct ledger_reason tells. */
enum mib_count_part {
    MIB_COUNT = 1,
    MIB_COUNT_FIRST_TIME,
    MIB_COUNT_FIRST_AGE,
    MIB_COUNT_LAST_TIME,
    MIB_COUNT_LAST_AGE,
};
void mib_count_value(const struct moment *moment, const struct ledger_reason *counted, enum mib_count_part part,
                     struct value *value);

/* mib_partner(moment, index): NULL for 0 and for one that is gone. */
const struct ledger_partner *mib_partner(const struct moment *moment, uint32_t index);
/* mib_partner_name(moment, index): the name of a partner; "" for 0 and for one that is gone. */
const char *mib_partner_name(const struct moment *moment, uint32_t index);

/* mib_notification(event, raised): its number under MIB_NOTIFICATIONS. */
static inline uint32_t mib_notification(enum event event, bool raised)
{
    return 2 * (uint32_t)event - (raised ? 1 : 0);
}

#endif
