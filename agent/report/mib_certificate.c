/* fedwCertificateTable: the chains that endpoints presented. */

#include "report/mib.h"

static const struct index *certificate_rows(const struct moment *moment)
{
    return &moment->ledger->certificates;
}

enum {
    PARTNER_NAME = 2,
    DEPTH,
    SUBJECT,
    NAMES,
    ISSUER,
    SERIAL,
    SHA256,
    NOT_BEFORE,
    NOT_AFTER,
    SECONDS_LEFT,
    KEY_ALGORITHM,
    KEY_BITS,
    SIGN_ALGORITHM,
    REASON,
    SEEN_TIME,
    SEEN_AGE,
};

static void certificate_value(const struct moment *moment, const struct index_entry *row, uint32_t column,
                              struct value *value)
{
    const struct ledger_certificate *certificate = row->cell;
    const struct observation_certificate *seen = &certificate->value;
    switch (column) {
    case PARTNER_NAME:
        return value_foreign(value, mib_partner_name(moment, row->key[0]));
    case DEPTH:
        return value_unsigned(value, seen->depth);
    case SUBJECT:
        return value_text(value, seen->subject);
    case NAMES:
        return value_text(value, seen->names);
    case ISSUER:
        return value_text(value, seen->issuer);
    case SERIAL:
        return value_text(value, seen->serial);
    case SHA256:
        return value_octets(value, seen->sha256, sizeof seen->sha256);
    case NOT_BEFORE:
        return value_date(value, seen->not_before);
    case NOT_AFTER:
        return value_date(value, seen->not_after);
    case SECONDS_LEFT:
        return value_left(value, moment, seen->not_after);
    case KEY_ALGORITHM:
        return value_text(value, seen->key_algorithm);
    case KEY_BITS:
        return value_unsigned(value, seen->key_bits);
    case SIGN_ALGORITHM:
        return value_text(value, seen->signature_algorithm);
    case REASON:
        return value_integer(value, seen->reason);
    case SEEN_TIME:
        return value_date(value, certificate->seen_wall);
    case SEEN_AGE:
        return value_age(value, moment, certificate->seen_wall, 0);
    }
}

const struct table mib_certificate_table = {
    .name = "fedwCertificateTable",
    .branch = MIB_CERTIFICATE,
    .last = SEEN_AGE,
    .columns = TABLE_COLUMNS(PARTNER_NAME, SEEN_AGE),
    .rows = certificate_rows,
    .value = certificate_value,
};
