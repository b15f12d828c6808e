#ifndef FEDWARDEN_REPORT_TABLE_H
#define FEDWARDEN_REPORT_TABLE_H

/*
 * What FEDWARDEN-MIB shows, free of any SNMP library: tables and groups of scalars as constant descriptors over the
 * sorted indexes of the ledger, and the order in which GETNEXT goes through them (RFC 3416). A name here is what
 * follows the root of the objects: {branch, 1, column, index...} in a table, {branch, column, 0} of a scalar. Main
 * thread only.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/index.h"
#include "ledger/ledger.h"
#include "report/notify.h"
#include "report/session.h"

enum value_type {
    VALUE_INTEGER = 1, /* Integer32 and enumerations */
    VALUE_UNSIGNED,    /* Unsigned32 and Gauge32 */
    VALUE_COUNTER64,
    VALUE_TIMETICKS,
    VALUE_OCTETS,
    VALUE_OID,
};

#define VALUE_OCTETS_MAX 255
#define VALUE_OID_MAX    32

/* The value of one instance. It may point into the ledger: use it before anything is applied to that. */
struct value {
    enum value_type type;
    union {
        int32_t integer;
        uint32_t number; /* VALUE_UNSIGNED, VALUE_TIMETICKS */
        uint64_t counter64;
        struct {
            const void *data;
            size_t length;
        } octets;
        size_t oid_length; /* of `oid` */
    };
    union {
        uint8_t room[16]; /* for octets that lie nowhere else */
        uint32_t oid[VALUE_OID_MAX];
    };
};

void value_integer(struct value *value, int64_t integer);  /* held to the range of Integer32 */
void value_unsigned(struct value *value, uint64_t number); /* stays at 4294967295 */
void value_counter(struct value *value, uint64_t count);
void value_ticks(struct value *value, uint32_t centiseconds);
/* value_text(value, text): at most VALUE_OCTETS_MAX octets, cut on a character's boundary; `text` is kept by reference.
 */
void value_text(struct value *value, const char *text);
/* value_foreign(value, text): the same of text that may hold anything; valid until the next call. */
void value_foreign(struct value *value, const char *text);
/* value_octets(value, data, length): kept by reference. */
void value_octets(struct value *value, const void *data, size_t length);
void value_address_type(struct value *value, const struct address *address);
void value_address(struct value *value, const struct address *address);
/* value_date(value, wall): DateAndTime in UTC, 11 octets; eight zero octets for CLOCK_NEVER. */
void value_date(struct value *value, int64_t wall);

/* What all values of one request are computed from. */
struct moment {
    const struct ledger *ledger;
    const struct session_status *status;
    int64_t wall, run;
    int64_t uptime_zero; /* run time at which sysUpTime of the master was 0 */
    struct notify_counts notifications;
};

/* value_age(value, moment, wall, run): seconds since; 4294967295 for CLOCK_NEVER. `run` 0: only the wall time is known.
 */
void value_age(struct value *value, const struct moment *moment, int64_t wall, int64_t run);
/* value_left(value, moment, wall): seconds until, 2147483647 for CLOCK_NEVER (FedwSecondsLeft). */
void value_left(struct value *value, const struct moment *moment, int64_t wall);
/* value_uptime(value, moment, run): the sysUpTime at `run`; 0 before it started (TimeStamp). */
void value_uptime(struct value *value, const struct moment *moment, int64_t run);

struct table {
    const char *name; /* as in the MIB, for the log */
    uint32_t branch;  /* under the root of the objects */
    bool scalars;     /* one row, key 0, and no sub-identifier of an entry */
    uint32_t last;    /* highest column, at most 63 */
    uint64_t columns; /* bit n: column n can be read */
    const struct index *(*rows)(const struct moment *moment);
    /* Gives `value` of a readable column of a row that is there. */
    void (*value)(const struct moment *moment, const struct index_entry *row, uint32_t column, struct value *value);
};

/* TABLE_COLUMNS(first, last): the bits of a run of columns. */
#define TABLE_COLUMNS(first, last) (((UINT64_C(2) << (last)) - 1) & ~((UINT64_C(1) << (first)) - 1))

/* The one row of a group of scalars. */
extern const struct index table_scalar_row;

#define TABLE_SET_MAX 16

struct table_set {
    const struct table *const *tables; /* in the order of their branches */
    size_t count;                      /* at most TABLE_SET_MAX */
    size_t hints[TABLE_SET_MAX];       /* row that was found last: makes a walk O(1) a step */
};

#define TABLE_NAME_MAX (3 + INDEX_PARTS)

/* One instance that is there. Valid until anything is applied to the ledger. */
struct position {
    size_t table; /* in the set */
    uint32_t column;
    size_t row;
    const struct index *rows;
};

enum table_found {
    TABLE_FOUND = 1,
    TABLE_NO_OBJECT,   /* noSuchObject */
    TABLE_NO_INSTANCE, /* noSuchInstance */
};

/* table_get(set, moment, name, length, position): the instance of exactly that name. O(log n). */
enum table_found table_get(struct table_set *set, const struct moment *moment, const uint32_t *name, size_t length,
                           struct position *position);
/* table_next(set, moment, name, length, position): the first instance behind that name; false at the end. */
bool table_next(struct table_set *set, const struct moment *moment, const uint32_t *name, size_t length,
                struct position *position);
/* table_step(set, moment, position): the instance behind an instance. O(1). */
bool table_step(struct table_set *set, const struct moment *moment, struct position *position);

/* table_name(set, position, name): writes its name to TABLE_NAME_MAX integers; returns how many. */
size_t table_name(const struct table_set *set, const struct position *position, uint32_t *name);
void table_value(const struct table_set *set, const struct moment *moment, const struct position *position,
                 struct value *value);

#endif
