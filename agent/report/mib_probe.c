/* fedwProbeTable: lookups and endpoints. */

#include "report/mib.h"

static const struct index *probe_rows(const struct moment *moment)
{
    return &moment->ledger->probes;
}

enum {
    PARTNER_NAME = 2,
    KIND,
    TARGET,
    ADDRESS_TYPE,
    ADDRESS,
    PORT,
    STATE,
    HEALTH,
    REASON,
    ACTOR,
    DETAIL,
    INTERVAL,
    LAST_TIME,
    LAST_AGE,
    SUCCESS_TIME,
    SUCCESS_AGE,
    DURATION,
    SUCCESSES,
    FAILURES,
    FAILURES_IN_ROW,
    RESOLVER,
    DNS_RCODE,
    DNS_EDE,
    DNS_TTL,
    TLS_VERSION,
    TLS_CIPHER,
    VERIFY_ERROR,
    ALERT,
    CERT_NOT_AFTER,
    CERT_SECONDS_LEFT,
};

/* What the last result says. */
static void result_value(const struct observation_probe *result, uint32_t column, struct value *value)
{
    switch (column) {
    case KIND:
        return value_integer(value, result->kind);
    case TARGET:
        return value_text(value, result->target);
    case ADDRESS_TYPE:
        return value_address_type(value, &result->address);
    case ADDRESS:
        return value_address(value, &result->address);
    case PORT:
        return value_unsigned(value, result->port);
    case REASON:
        return value_integer(value, result->reason);
    case ACTOR:
        return value_integer(value, reason_info(result->reason)->actor);
    case DETAIL:
        return value_text(value, result->detail);
    case INTERVAL:
        return value_unsigned(value, result->interval);
    case DURATION:
        return value_unsigned(value, result->duration);
    case RESOLVER:
        return value_text(value, result->resolver);
    case DNS_RCODE:
        return value_integer(value, result->rcode);
    case DNS_EDE:
        return value_integer(value, result->ede);
    case DNS_TTL:
        return value_unsigned(value, result->ttl);
    case TLS_VERSION:
        return value_text(value, result->tls_version);
    case TLS_CIPHER:
        return value_text(value, result->cipher);
    case VERIFY_ERROR:
        return value_integer(value, result->verify_error);
    case ALERT:
        return value_integer(value, result->alert);
    }
}

static void probe_value(const struct moment *moment, const struct index_entry *row, uint32_t column,
                        struct value *value)
{
    const struct ledger_probe *probe = row->cell;
    switch (column) {
    case PARTNER_NAME:
        return value_foreign(value, mib_partner_name(moment, row->key[0]));
    case STATE:
        return value_integer(value, probe->present ? 1 : 2);
    case HEALTH:
        return value_integer(value, probe->health);
    case LAST_TIME:
        return value_date(value, probe->last_wall);
    case LAST_AGE:
        return value_age(value, moment, probe->last_wall, probe->last_run);
    case SUCCESS_TIME:
        return value_date(value, probe->success_wall);
    case SUCCESS_AGE:
        return value_age(value, moment, probe->success_wall, probe->success_run);
    case SUCCESSES:
        return value_counter(value, probe->successes);
    case FAILURES:
        return value_counter(value, probe->failures);
    case FAILURES_IN_ROW:
        return value_unsigned(value, probe->failures_in_row);
    case CERT_NOT_AFTER: /* what is known stays known while nothing is presented */
        return value_date(value, probe->not_after);
    case CERT_SECONDS_LEFT:
        return value_left(value, moment, probe->not_after);
    default:
        return result_value(&probe->value, column, value);
    }
}

const struct table mib_probe_table = {
    .name = "fedwProbeTable",
    .branch = MIB_PROBE,
    .last = CERT_SECONDS_LEFT,
    .columns = TABLE_COLUMNS(PARTNER_NAME, CERT_SECONDS_LEFT),
    .rows = probe_rows,
    .value = probe_value,
};
