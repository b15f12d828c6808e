/* fedwPartnerTable, fedwPartnerEventTable and fedwPartnerReasonTable. */

#include "report/mib.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/text.h"

static const struct index *partner_rows(const struct moment *moment)
{
    return &moment->ledger->partners;
}

enum {
    NAME = 2,
    DOMAIN,
    PROTOCOL,
    SERVICE,
    HEALTH,
    REASON,
    ACTOR,
    SINCE_TIME,
    SINCE_AGE,
    WALK_TIME,
    WALK_AGE,
    SUCCESS_TIME,
    SUCCESS_AGE,
    FAILURE_TIME,
    FAILURE_AGE,
    CERT_NOT_AFTER,
    CERT_SECONDS_LEFT,
    ENDPOINTS,
    ENDPOINTS_OK,
    WALKS,
    INTERVAL,
    CONTACT,
    EDGE_COUNT,
    EDGE_REASON,
    EDGE_SINCE_TIME,
    EDGE_SINCE_AGE,
    EDGE_LAST_TIME,
    EDGE_LAST_AGE,
    TEXT,
    RESOLUTION,
};

static void partner_conf_value(const struct conf_partner *conf, uint32_t column, struct value *value)
{
    switch (column) {
    case NAME:
        return value_foreign(value, conf->name);
    case DOMAIN:
        return value_foreign(value, conf->domain);
    case PROTOCOL:
        return value_integer(value, conf->protocol);
    case SERVICE:
        return value_foreign(value, conf->service);
    case INTERVAL:
        return value_unsigned(value, conf->interval);
    case CONTACT:
        return value_foreign(value, conf->contact);
    }
}

static void edge_value(const struct moment *moment, const struct ledger_edge *edge, uint32_t column,
                       struct value *value)
{
    switch (column) {
    case EDGE_COUNT:
        return value_unsigned(value, edge->count);
    case EDGE_REASON:
        return value_integer(value, edge->count ? edge->reason : REASON_NONE);
    case EDGE_SINCE_TIME:
        return value_date(value, edge->since_wall);
    case EDGE_SINCE_AGE:
        return value_age(value, moment, edge->since_wall, 0);
    case EDGE_LAST_TIME:
        return value_date(value, edge->last_wall);
    case EDGE_LAST_AGE:
        return value_age(value, moment, edge->last_wall, edge->last_run);
    }
}

/* What was seen from here, and what the edge saw of late. */
static void text_value(const struct moment *moment, const struct ledger_partner *partner, struct value *value)
{
    static char text[VALUE_OCTETS_MAX + 1];
    char since[CLOCK_TEXT_SIZE];
    const struct ledger_edge *edge = &partner->edge;
    if (partner->health == HEALTH_UNKNOWN)
        text_copy(text, sizeof text, "not looked at yet");
    else
        text_format(text, sizeof text, "%s since %s",
                    partner->reason == REASON_NONE ? "well" : reason_name(partner->reason),
                    clock_text(partner->since_wall, since, sizeof since));
    int64_t window = ledger_threshold(moment->ledger, partner, edge->count ? edge->event : EVENT_CONNECTION)->window;
    if (edge->count && moment->run - edge->last_run <= window * CLOCK_SECOND)
        text_append(text, sizeof text, "; the edge saw %" PRIu64 " failure%s since %s, the last by %s", edge->count,
                    edge->count == 1 ? "" : "s", clock_text(edge->since_wall, since, sizeof since),
                    reason_name(edge->reason));
    value_text(value, text);
}

/* As value_foreign: valid until the next call. */
static const char *resolution_of(const struct ledger_partner *partner)
{
    static char resolution[REASON_RESOLUTION_MAX + 1];
    struct guidance known = {
        .partner = partner->conf->name, .contact = partner->conf->contact, .target = "", .address = ""};
    return guidance_resolution(partner->reason, &known, resolution);
}

static void partner_value(const struct moment *moment, const struct index_entry *row, uint32_t column,
                          struct value *value)
{
    const struct ledger_partner *partner = row->cell;
    switch (column) {
    case HEALTH:
        return value_integer(value, partner->health);
    case REASON:
        return value_integer(value, partner->reason);
    case ACTOR:
        return value_integer(value, reason_info(partner->reason)->actor);
    case RESOLUTION:
        return value_text(value, resolution_of(partner));
    case SINCE_TIME:
        return value_date(value, partner->since_wall);
    case SINCE_AGE:
        return value_age(value, moment, partner->since_wall, 0);
    case WALK_TIME:
        return value_date(value, partner->walk_wall);
    case WALK_AGE:
        return value_age(value, moment, partner->walk_wall, partner->walk_run);
    case SUCCESS_TIME:
        return value_date(value, partner->success_wall);
    case SUCCESS_AGE:
        return value_age(value, moment, partner->success_wall, partner->success_run);
    case FAILURE_TIME:
        return value_date(value, partner->failure_wall);
    case FAILURE_AGE:
        return value_age(value, moment, partner->failure_wall, partner->failure_run);
    case CERT_NOT_AFTER:
        return value_date(value, partner->not_after);
    case CERT_SECONDS_LEFT:
        return value_left(value, moment, partner->not_after);
    case ENDPOINTS:
        return value_unsigned(value, partner->endpoints);
    case ENDPOINTS_OK:
        return value_unsigned(value, partner->endpoints_ok);
    case WALKS:
        return value_counter(value, partner->walks);
    case TEXT:
        return text_value(moment, partner, value);
    default:
        if (column >= EDGE_COUNT)
            return edge_value(moment, &partner->edge, column, value);
        return partner_conf_value(partner->conf, column, value);
    }
}

const struct table mib_partner_table = {
    .name = "fedwPartnerTable",
    .branch = MIB_PARTNER,
    .last = RESOLUTION,
    .columns = TABLE_COLUMNS(NAME, RESOLUTION),
    .rows = partner_rows,
    .value = partner_value,
};

static const struct index *event_rows(const struct moment *moment)
{
    return &moment->ledger->partner_events;
}

enum {
    EVENT_PARTNER_NAME = 1,
    EVENT_NAME,
    EVENT_HEALTH,
    EVENT_CELL_COUNT,
    EVENT_WINDOW_COUNT,
    EVENT_WINDOW_SECONDS,
    EVENT_THRESHOLD,
    EVENT_LAST_TIME,
    EVENT_LAST_AGE,
    EVENT_LAST_REASON,
    EVENT_LAST_HOST,
    EVENT_LAST_ADDRESS_TYPE,
    EVENT_LAST_ADDRESS,
    EVENT_LAST_PORT,
    EVENT_LAST_DETAIL,
    EVENT_ALARM_ID,
};

/* What no walk tells of is as its alarm is. */
static enum health cell_health(const struct ledger_cell *cell)
{
    if (cell->health != HEALTH_UNKNOWN || !cell->count)
        return cell->health;
    return cell->alarm ? reason_health(cell->alarm->reason) : HEALTH_OK;
}

static void event_value(const struct moment *moment, const struct index_entry *row, uint32_t column,
                        struct value *value)
{
    const struct ledger_cell *cell = row->cell;
    const struct ledger_partner *partner = mib_partner(moment, row->key[0]);
    enum event event = (enum event)row->key[1];
    switch (column) {
    case EVENT_PARTNER_NAME:
        return value_foreign(value, mib_partner_name(moment, row->key[0]));
    case EVENT_NAME:
        return value_text(value, event_name(event));
    case EVENT_HEALTH:
        return value_integer(value, cell_health(cell));
    case EVENT_CELL_COUNT:
        return value_counter(value, cell->count);
    case EVENT_WINDOW_COUNT:
        return value_unsigned(value, ledger_window(moment->ledger, cell, partner, moment->run));
    case EVENT_WINDOW_SECONDS:
        return value_unsigned(value, ledger_threshold(moment->ledger, partner, event)->window);
    case EVENT_THRESHOLD:
        return value_unsigned(value, ledger_threshold(moment->ledger, partner, event)->count);
    case EVENT_ALARM_ID:
        return value_unsigned(value, cell->alarm ? cell->alarm->id : 0);
    }
    enum mib_failure_part part = column < EVENT_LAST_HOST ? column - EVENT_LAST_TIME + MIB_FAILURE_TIME
                                                          : column - EVENT_LAST_HOST + MIB_FAILURE_HOST;
    mib_failure_value(moment, &cell->last, part, value);
}

const struct table mib_partner_event_table = {
    .name = "fedwPartnerEventTable",
    .branch = MIB_PARTNER_EVENT,
    .last = EVENT_ALARM_ID,
    .columns = TABLE_COLUMNS(EVENT_PARTNER_NAME, EVENT_ALARM_ID),
    .rows = event_rows,
    .value = event_value,
};

static const struct index *reason_rows(const struct moment *moment)
{
    return &moment->ledger->partner_reasons;
}

enum { REASON_PARTNER_NAME = 1, REASON_ROW_NAME, REASON_ROW_COUNT, REASON_LAST_AGE = REASON_ROW_COUNT + 4 };

static void reason_value(const struct moment *moment, const struct index_entry *row, uint32_t column,
                         struct value *value)
{
    switch (column) {
    case REASON_PARTNER_NAME:
        return value_foreign(value, mib_partner_name(moment, row->key[0]));
    case REASON_ROW_NAME:
        return value_text(value, reason_name((enum reason)row->key[1]));
    default:
        return mib_count_value(moment, row->cell, column - REASON_ROW_COUNT + MIB_COUNT, value);
    }
}

const struct table mib_partner_reason_table = {
    .name = "fedwPartnerReasonTable",
    .branch = MIB_PARTNER_REASON,
    .last = REASON_LAST_AGE,
    .columns = TABLE_COLUMNS(REASON_PARTNER_NAME, REASON_LAST_AGE),
    .rows = reason_rows,
    .value = reason_value,
};
