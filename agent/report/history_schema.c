/*
 * The tables. Each struct of the ledger is described once, by its columns {name, type, where in the struct}; CREATE,
 * INSERT, DELETE, SELECT, the packing of a row for the writing thread and the reading of one back all follow from that.
 * What a walk that is being told leaves in a struct is not kept: after a restart that walk is told anew. Numbers of events
 * and reasons are permanent, so they are kept as they are.
 *
 * A packed row holds of each column what it needs: numbers whole, texts with their length, windows only where something
 * is in them. So a batch of a hundred thousand rows is copied in milliseconds and needs little room.
 *
 * What is read back has passed SQLite's checks but not ours: numbers are bounded by their types and kinds, texts by their
 * room and made printable, so that a damaged file can be wrong but not harmful.
 */
#include "report/history_parts.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define TIMES_MAX (INT64_MAX / 4) /* of what is read back: sums of two do not overflow */

#define COLUMN(type, label, in, member, limit)                                                                         \
    {                                                                                                                  \
        label, COLUMN_##type, offsetof(struct in, member), sizeof(((struct in *)0)->member), limit                     \
    }
#define NUMBER(in, name)  COLUMN(NUMBER, #name, in, name, 0)
#define SIGNED(in, name)  COLUMN(SIGNED, #name, in, name, 0)
#define RUN(in, name)     COLUMN(RUN, #name, in, name, 0)
#define TEXT(in, name)    COLUMN(TEXT, #name, in, name, 0)
#define FLAG(in, name)    COLUMN(FLAG, #name, in, name, 0)
#define HEALTH(in, name)  COLUMN(KIND, #name, in, name, HEALTH_UNKNOWN + 1)
#define EVENT(in, name)   COLUMN(KIND, #name, in, name, EVENT_END)
#define REASON(in, name)  COLUMN(REASON, #name, in, name, 0)
#define ADDRESS(in, name) COLUMN(ADDRESS, #name, in, name, 0)

/* A cell that lies in `in` at `at`. */
#define CELL(in, at)                                                                                                   \
    COLUMN(KIND, "event", in, at event, EVENT_END), COLUMN(NUMBER, "count", in, at count, 0),                          \
        COLUMN(WINDOW, "window", in, at window, 0), COLUMN(SIGNED, "last_wall", in, at last.wall, 0),                  \
        COLUMN(RUN, "last_run", in, at last.run, 0), COLUMN(REASON, "last_reason", in, at last.reason, 0),             \
        COLUMN(NUMBER, "last_partner", in, at last.partner, 0), COLUMN(TEXT, "last_target", in, at last.target, 0),    \
        COLUMN(ADDRESS, "last_address", in, at last.address, 0), COLUMN(NUMBER, "last_port", in, at last.port, 0),     \
        COLUMN(TEXT, "last_detail", in, at last.detail, 0),                                                            \
        COLUMN(SIGNED, "last_not_after", in, at last.not_after, 0),                                                    \
        COLUMN(KIND, "health", in, at health, HEALTH_UNKNOWN + 1),                                                     \
        COLUMN(NUMBER, "successes_in_row", in, at successes_in_row, 0),                                                \
        COLUMN(RUN, "quiet_since", in, at quiet_since, 0), COLUMN(RUN, "edge_run", in, at edge_run, 0)

static const struct history_column state_columns[] = {
    SIGNED(ledger_state, counted_wall),
    RUN(ledger_state, counted_run),
    RUN(ledger_state, seen_run),
    SIGNED(ledger_state, alarms_changed_wall),
    RUN(ledger_state, alarms_changed_run),
    COLUMN(OFFSET, "clock_offset", ledger_state, clock_offset, 0),
    COLUMN(OFFSET, "clock_before", ledger_state, clock_before, 0),
    RUN(ledger_state, clock_run),
    FLAG(ledger_state, clock_doubtful),
    NUMBER(ledger_state, walks),
    NUMBER(ledger_state, walks_late),
    NUMBER(ledger_state, observations),
    NUMBER(ledger_state, edge_failures),
    NUMBER(ledger_state, held),
    NUMBER(ledger_state, sequence),
    NUMBER(ledger_state, sources_evicted),
    NUMBER(ledger_state, sources_refused),
    NUMBER(ledger_state, partner_last),
    NUMBER(ledger_state, alarm_last),
    NUMBER(ledger_state, source_last),
};

static const struct history_column name_columns[] = {
    TEXT(ledger_name, name),
    COLUMN(NUMBER, "partner", ledger_name, index, 0),
};

static const struct history_column cell_columns[] = {CELL(ledger_cell, )};

static const struct history_column reason_columns[] = {
    NUMBER(ledger_reason, count),
    SIGNED(ledger_reason, first_wall),
    SIGNED(ledger_reason, last_wall),
};

static const struct history_column partner_columns[] = {
    NUMBER(ledger_partner, name),
    HEALTH(ledger_partner, health),
    REASON(ledger_partner, reason),
    SIGNED(ledger_partner, since_wall),
    SIGNED(ledger_partner, walk_wall),
    RUN(ledger_partner, walk_run),
    SIGNED(ledger_partner, success_wall),
    RUN(ledger_partner, success_run),
    SIGNED(ledger_partner, failure_wall),
    RUN(ledger_partner, failure_run),
    SIGNED(ledger_partner, not_after),
    NUMBER(ledger_partner, endpoints),
    NUMBER(ledger_partner, endpoints_ok),
    NUMBER(ledger_partner, walks),
    NUMBER(ledger_partner, probe_last),
    COLUMN(NUMBER, "edge_count", ledger_partner, edge.count, 0),
    COLUMN(SIGNED, "edge_since_wall", ledger_partner, edge.since_wall, 0),
    COLUMN(SIGNED, "edge_last_wall", ledger_partner, edge.last_wall, 0),
    COLUMN(RUN, "edge_last_run", ledger_partner, edge.last_run, 0),
    COLUMN(KIND, "edge_event", ledger_partner, edge.event, EVENT_END),
    COLUMN(REASON, "edge_reason", ledger_partner, edge.reason, 0),
};

static const struct history_column probe_columns[] = {
    SIGNED(ledger_probe, last_wall),
    RUN(ledger_probe, last_run),
    SIGNED(ledger_probe, success_wall),
    RUN(ledger_probe, success_run),
    NUMBER(ledger_probe, successes),
    NUMBER(ledger_probe, failures),
    NUMBER(ledger_probe, failures_in_row),
    HEALTH(ledger_probe, health),
    FLAG(ledger_probe, present),
    NUMBER(ledger_probe, absent_walks),
    SIGNED(ledger_probe, not_after),
    COLUMN(KIND, "kind", ledger_probe, value.kind, PROBE_ENDPOINT + 1),
    COLUMN(TEXT, "target", ledger_probe, value.target, 0),
    COLUMN(ADDRESS, "address", ledger_probe, value.address, 0),
    COLUMN(NUMBER, "port", ledger_probe, value.port, 0),
    COLUMN(REASON, "reason", ledger_probe, value.reason, 0),
    COLUMN(KIND, "event", ledger_probe, value.event, EVENT_END),
    COLUMN(NUMBER, "duration", ledger_probe, value.duration, 0),
    COLUMN(NUMBER, "interval", ledger_probe, value.interval, 0),
    COLUMN(TEXT, "resolver", ledger_probe, value.resolver, 0),
    COLUMN(SIGNED, "rcode", ledger_probe, value.rcode, 0),
    COLUMN(SIGNED, "ede", ledger_probe, value.ede, 0),
    COLUMN(NUMBER, "ttl", ledger_probe, value.ttl, 0),
    COLUMN(TEXT, "tls_version", ledger_probe, value.tls_version, 0),
    COLUMN(TEXT, "cipher", ledger_probe, value.cipher, 0),
    COLUMN(SIGNED, "verify_error", ledger_probe, value.verify_error, 0),
    COLUMN(SIGNED, "alert", ledger_probe, value.alert, 0),
    COLUMN(SIGNED, "chain_not_after", ledger_probe, value.not_after, 0),
    COLUMN(TEXT, "detail", ledger_probe, value.detail, 0),
};

static const struct history_column certificate_columns[] = {
    SIGNED(ledger_certificate, seen_wall),
    COLUMN(TEXT, "target", ledger_certificate, value.target, 0),
    COLUMN(ADDRESS, "address", ledger_certificate, value.address, 0),
    COLUMN(NUMBER, "port", ledger_certificate, value.port, 0),
    COLUMN(NUMBER, "depth", ledger_certificate, value.depth, 0),
    COLUMN(NUMBER, "length", ledger_certificate, value.length, 0),
    COLUMN(TEXT, "subject", ledger_certificate, value.subject, 0),
    COLUMN(TEXT, "names", ledger_certificate, value.names, 0),
    COLUMN(TEXT, "issuer", ledger_certificate, value.issuer, 0),
    COLUMN(TEXT, "serial", ledger_certificate, value.serial, 0),
    COLUMN(OCTETS, "sha256", ledger_certificate, value.sha256, 0),
    COLUMN(SIGNED, "not_before", ledger_certificate, value.not_before, 0),
    COLUMN(SIGNED, "not_after", ledger_certificate, value.not_after, 0),
    COLUMN(TEXT, "key_algorithm", ledger_certificate, value.key_algorithm, 0),
    COLUMN(NUMBER, "key_bits", ledger_certificate, value.key_bits, 0),
    COLUMN(TEXT, "signature_algorithm", ledger_certificate, value.signature_algorithm, 0),
    COLUMN(REASON, "reason", ledger_certificate, value.reason, 0),
};

#define SOURCE_USER(n) COLUMN(TEXT, "user" #n, ledger_source, users[n], 0)
#define SOURCE_REASON(n)                                                                                               \
    COLUMN(REASON, "reason" #n, ledger_source, reasons[n].reason, 0),                                                  \
        COLUMN(NUMBER, "count" #n, ledger_source, reasons[n].count, 0)

static const struct history_column source_columns[] = {
    ADDRESS(ledger_source, address),
    TEXT(ledger_source, name),
    NUMBER(ledger_source, partner),
    CELL(ledger_source, cell.),
    SIGNED(ledger_source, first_wall),
    NUMBER(ledger_source, used),
    SOURCE_USER(0),
    SOURCE_USER(1),
    SOURCE_USER(2),
    SOURCE_USER(3),
    SOURCE_USER(4),
    SOURCE_USER(5),
    COLUMN(KIND, "user_count", ledger_source, user_count, SOURCE_USERS + 1),
    FLAG(ledger_source, users_more),
    TEXT(ledger_source, subject),
    TEXT(ledger_source, issuer),
    TEXT(ledger_source, serial),
    SOURCE_REASON(0),
    SOURCE_REASON(1),
    SOURCE_REASON(2),
    SOURCE_REASON(3),
    SOURCE_REASON(4),
    SOURCE_REASON(5),
    SOURCE_REASON(6),
    SOURCE_REASON(7),
    COLUMN(KIND, "reason_count", ledger_source, reason_count, SOURCE_REASONS + 1),
    NUMBER(ledger_source, reasons_other),
};
static_assert(SOURCE_USERS == 6 && SOURCE_REASONS == 8, "a column for each");

/* An alarm that lies in `in` at `at`. */
#define ALARM(in, at)                                                                                                  \
    COLUMN(KIND, "state", in, at state, ALARM_RAISED + 1), COLUMN(KIND, "event", in, at event, EVENT_END),             \
        COLUMN(KIND, "severity", in, at severity, SEVERITY_WARNING + 1), COLUMN(REASON, "reason", in, at reason, 0),   \
        COLUMN(NUMBER, "partner", in, at partner, 0), COLUMN(TEXT, "name", in, at name, 0),                            \
        COLUMN(TEXT, "contact", in, at contact, 0), COLUMN(TEXT, "target", in, at target, 0),                          \
        COLUMN(ADDRESS, "address", in, at address, 0), COLUMN(NUMBER, "port", in, at port, 0),                         \
        COLUMN(SIGNED, "raised_wall", in, at raised_wall, 0), COLUMN(SIGNED, "changed_wall", in, at changed_wall, 0),  \
        COLUMN(NUMBER, "window_count", in, at window_count, 0),                                                        \
        COLUMN(NUMBER, "window_seconds", in, at window_seconds, 0), COLUMN(NUMBER, "total", in, at total, 0),          \
        COLUMN(TEXT, "detail", in, at detail, 0), COLUMN(NUMBER, "source", in, at source, 0),                          \
        COLUMN(REASON, "told_reason", in, at told_reason, 0),                                                          \
        COLUMN(KIND, "told_severity", in, at told_severity, SEVERITY_WARNING + 1),                                     \
        COLUMN(RUN, "told_run", in, at told_run, 0), COLUMN(NUMBER, "told_sequence", in, at told_sequence, 0)

static const struct history_column alarm_columns[] = {ALARM(ledger_alarm, )};

static const struct history_column transition_columns[] = {
    NUMBER(transition, sequence), COLUMN(KIND, "kind", transition, kind, TRANSITION_CLEARED + 1),
    SIGNED(transition, wall),     COLUMN(NUMBER, "alarm", transition, alarm.id, 0),
    ALARM(transition, alarm.),
};

static const struct history_column verdict_columns[] = {
    SIGNED(history_verdict_row, wall),
    TEXT(history_verdict_row, partner),
    HEALTH(history_verdict_row, health),
    REASON(history_verdict_row, reason),
};

static const struct history_column failure_columns[] = {
    SIGNED(history_failure_row, wall),     EVENT(history_failure_row, event),  REASON(history_failure_row, reason),
    NUMBER(history_failure_row, count),    TEXT(history_failure_row, partner), TEXT(history_failure_row, target),
    ADDRESS(history_failure_row, address), NUMBER(history_failure_row, port),  TEXT(history_failure_row, detail),
};

#define KEYED(label, in, parts_of_key, columns_of, ...)                                                                \
    {                                                                                                                  \
        .name = label, .size = sizeof(struct in), .parts = parts_of_key, .keys = {__VA_ARGS__}, .columns = columns_of, \
        .count = sizeof columns_of / sizeof columns_of[0]                                                              \
    }
#define APPENDED(label, in, further, columns_of)                                                                       \
    {                                                                                                                  \
        .name = label, .size = sizeof(struct in), .more = further, .columns = columns_of,                              \
        .count = sizeof columns_of / sizeof columns_of[0]                                                              \
    }
#define KEY(label, in, member)                                                                                         \
    {                                                                                                                  \
        label, offsetof(struct in, member), sizeof(((struct in *)0)->member)                                           \
    }
#define PLAIN(label)                                                                                                   \
    {                                                                                                                  \
        label, 0, 0                                                                                                    \
    }

const struct history_table history_tables[HISTORY_TABLES] = {
    [LEDGER_ROW_STATE] = KEYED("state", ledger_state, 1, state_columns, PLAIN("id")),
    [LEDGER_ROW_NAME] = KEYED("names", ledger_name, 1, name_columns, KEY("number", ledger_name, number)),
    [LEDGER_ROW_FIXED] = {.name = "fixed", .size = sizeof(uint32_t), .parts = 1, .keys = {{"number", 0, 4}}},
    [LEDGER_ROW_TOTAL] = KEYED("totals", ledger_cell, 1, cell_columns, PLAIN("number")),
    [LEDGER_ROW_REASON] = KEYED("reasons", ledger_reason, 1, reason_columns, KEY("reason", ledger_reason, reason)),
    [LEDGER_ROW_SELF] = KEYED("self", ledger_cell, 1, cell_columns, PLAIN("reason")),
    [LEDGER_ROW_PARTNER] = KEYED("partners", ledger_partner, 1, partner_columns, KEY("partner", ledger_partner, index)),
    [LEDGER_ROW_PARTNER_EVENT] =
        KEYED("partner_events", ledger_cell, 2, cell_columns, PLAIN("partner"), PLAIN("number")),
    [LEDGER_ROW_PARTNER_REASON] = KEYED("partner_reasons", ledger_reason, 2, reason_columns, PLAIN("partner"),
                                        KEY("reason", ledger_reason, reason)),
    [LEDGER_ROW_PROBE] =
        KEYED("probes", ledger_probe, 2, probe_columns, PLAIN("partner"), KEY("probe", ledger_probe, index)),
    [LEDGER_ROW_CERTIFICATE] = KEYED("certificates", ledger_certificate, 3, certificate_columns, PLAIN("partner"),
                                     PLAIN("probe"), PLAIN("position")),
    [LEDGER_ROW_SOURCE] = KEYED("sources", ledger_source, 1, source_columns, KEY("number", ledger_source, index)),
    [LEDGER_ROW_ALARM] = KEYED("alarms", ledger_alarm, 1, alarm_columns, KEY("alarm", ledger_alarm, id)),
    [HISTORY_TRANSITIONS] = APPENDED("transitions", transition, "sent INTEGER NOT NULL DEFAULT 0", transition_columns),
    [HISTORY_VERDICTS] = APPENDED("verdicts", history_verdict_row, "id INTEGER PRIMARY KEY", verdict_columns),
    [HISTORY_FAILURES] = APPENDED("failures", history_failure_row, "id INTEGER PRIMARY KEY", failure_columns),
};

/* ---- SQL ---- */

static const char *column_affinity(enum column_type type)
{
    return type == COLUMN_OCTETS                                                    ? "BLOB"
           : type == COLUMN_TEXT || type == COLUMN_ADDRESS || type == COLUMN_WINDOW ? "TEXT"
                                                                                    : "INTEGER";
}

static void sql_columns(const struct history_table *table, char *out)
{
    for (unsigned i = 0; i < table->parts; i++)
        text_append(out, HISTORY_SQL_MAX, "%s\"%s\"", i ? ", " : "", table->keys[i].name);
    for (size_t i = 0; i < table->count; i++)
        text_append(out, HISTORY_SQL_MAX, "%s\"%s\"", i || table->parts ? ", " : "", table->columns[i].name);
}

static void sql_create(const struct history_table *table, unsigned number, char *out)
{
    text_append(out, HISTORY_SQL_MAX, "CREATE TABLE \"%s\" (%s", table->name, table->more ? table->more : "");
    for (unsigned i = 0; i < table->parts; i++)
        text_append(out, HISTORY_SQL_MAX, "%s\"%s\" INTEGER %s", i ? ", " : "", table->keys[i].name,
                    table->parts == 1 ? "PRIMARY KEY" : "NOT NULL");
    for (size_t i = 0; i < table->count; i++)
        text_append(out, HISTORY_SQL_MAX, ", \"%s\" %s %s", table->columns[i].name,
                    column_affinity(table->columns[i].type),
                    number == HISTORY_TRANSITIONS && i == 0 ? "PRIMARY KEY" : "NOT NULL");
    if (table->parts > 1) {
        text_append(out, HISTORY_SQL_MAX, ", PRIMARY KEY (");
        for (unsigned i = 0; i < table->parts; i++)
            text_append(out, HISTORY_SQL_MAX, "%s\"%s\"", i ? ", " : "", table->keys[i].name);
        text_append(out, HISTORY_SQL_MAX, ")");
    }
    text_append(out, HISTORY_SQL_MAX, ")%s", table->parts > 1 ? " WITHOUT ROWID" : "");
}

const char *history_sql(unsigned number, enum history_sql what, char out[HISTORY_SQL_MAX])
{
    const struct history_table *table = &history_tables[number];
    *out = '\0';
    switch (what) {
    case SQL_CREATE:
        sql_create(table, number, out);
        break;
    case SQL_REPLACE:
        text_append(out, HISTORY_SQL_MAX, "INSERT OR REPLACE INTO \"%s\" (", table->name);
        sql_columns(table, out);
        text_append(out, HISTORY_SQL_MAX, ") VALUES (");
        for (size_t i = 0; i < table->parts + table->count; i++)
            text_append(out, HISTORY_SQL_MAX, "%s?", i ? "," : "");
        text_append(out, HISTORY_SQL_MAX, ")");
        break;
    case SQL_DELETE:
        text_append(out, HISTORY_SQL_MAX, "DELETE FROM \"%s\" WHERE ", table->name);
        for (unsigned i = 0; i < table->parts; i++)
            text_append(out, HISTORY_SQL_MAX, "%s\"%s\" = ?", i ? " AND " : "", table->keys[i].name);
        break;
    case SQL_SELECT:
        text_append(out, HISTORY_SQL_MAX, "SELECT ");
        sql_columns(table, out);
        text_append(out, HISTORY_SQL_MAX, " FROM \"%s\"", table->name);
        break;
    }
    return out;
}

int history_create(sqlite3 *db)
{
    char sql[HISTORY_SQL_MAX];
    int code = SQLITE_OK;
    for (unsigned i = LEDGER_ROW_STATE; i < HISTORY_TABLES && code == SQLITE_OK; i++)
        code = history_run(db, history_sql(i, SQL_CREATE, sql));
    if (code == SQLITE_OK)
        code = history_run(db,
                           "CREATE TABLE clock (id INTEGER PRIMARY KEY CHECK (id = 1), wall INTEGER NOT NULL,"
                           " run INTEGER NOT NULL, base INTEGER NOT NULL, boot TEXT NOT NULL, session INTEGER NOT NULL,"
                           " batch INTEGER NOT NULL);"
                           "CREATE TABLE marks (feed TEXT PRIMARY KEY, skip INTEGER NOT NULL, data BLOB NOT NULL)"
                           " WITHOUT ROWID;"
                           "CREATE INDEX transitions_unsent ON transitions (sequence) WHERE sent = 0");
    if (code == SQLITE_OK) {
        text_format(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %d", HISTORY_APPLICATION,
                    HISTORY_SCHEMA);
        code = history_run(db, sql);
    }
    return code;
}

/* ---- packing ---- */

static void put(struct history_buffer *buffer, const void *data, size_t length)
{
    if (buffer->room - buffer->length < length) {
        size_t room = buffer->room ? buffer->room : 4096;
        while (room - buffer->length < length)
            room *= 2;
        buffer->data = realloc(buffer->data, room);
        if (!buffer->data)
            abort();
        buffer->room = room;
    }
    memcpy(buffer->data + buffer->length, data, length);
    buffer->length += length;
}

static void put_text(struct history_buffer *buffer, const char *text, size_t size)
{
    uint16_t length = (uint16_t)strnlen(text, size - 1);
    put(buffer, &length, sizeof length);
    put(buffer, text, length);
}

static bool window_is_empty(const struct window *window)
{
    for (int i = 0; i < WINDOW_BUCKETS; i++)
        if (window->buckets[i])
            return false;
    return true;
}

static void put_column(struct history_buffer *buffer, const struct history_column *column, const uint8_t *member)
{
    uint8_t some;
    switch (column->type) {
    case COLUMN_TEXT:
        put_text(buffer, (const char *)member, column->size);
        break;
    case COLUMN_WINDOW:
        some = !window_is_empty((const struct window *)member);
        put(buffer, &some, 1);
        if (some)
            put(buffer, member, column->size);
        break;
    default:
        put(buffer, member, column->size);
    }
}

void history_pack(struct history_buffer *buffer, unsigned number, const uint32_t key[INDEX_PARTS], const void *row)
{
    const struct history_table *table = &history_tables[number];
    struct history_packed head = {.table = number, .gone = !row};
    size_t start = buffer->length;
    for (unsigned i = 0; i < table->parts; i++)
        head.key[i] = key[i];
    put(buffer, &head, sizeof head);
    for (size_t i = 0; row && i < table->count; i++)
        put_column(buffer, &table->columns[i], (const uint8_t *)row + table->columns[i].offset);
    head.length = (uint32_t)(buffer->length - start - sizeof head);
    memcpy(buffer->data + start, &head, sizeof head);
    buffer->rows++;
}

void history_buffer_append(struct history_buffer *buffer, const struct history_buffer *more)
{
    if (more->length)
        put(buffer, more->data, more->length);
    buffer->rows += more->rows;
}

void history_buffer_clear(struct history_buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct history_buffer){0};
}

const uint8_t *history_unpack(const struct history_buffer *buffer, size_t *at, struct history_packed *head)
{
    if (*at >= buffer->length)
        return NULL;
    memcpy(head, buffer->data + *at, sizeof *head);
    const uint8_t *data = buffer->data + *at + sizeof *head;
    *at += sizeof *head + head->length;
    return data;
}

/* ---- into SQLite ---- */

static uint64_t read_unsigned(const uint8_t *member, size_t size)
{
    uint64_t value64;
    uint32_t value32;
    uint16_t value16;
    switch (size) {
    case 8:
        memcpy(&value64, member, 8);
        return value64;
    case 4:
        memcpy(&value32, member, 4);
        return value32;
    case 2:
        memcpy(&value16, member, 2);
        return value16;
    default:
        return *member;
    }
}

static int64_t read_signed(const uint8_t *member, size_t size)
{
    uint64_t value = read_unsigned(member, size);
    return size == 8 ? (int64_t)value : size == 4 ? (int32_t)value : size == 2 ? (int16_t)value : (int8_t)value;
}

/*
 * A window as text: its length in seconds, its epoch, the base of the clock that the epoch is of, and its buckets as they
 * lie, without zeros at the end: "900 61234 1767225600000000 3 0 1". One with nothing in it is "".
 */
static int bind_window(sqlite3_stmt *statement, int position, const uint8_t *data, int64_t base)
{
    struct window window;
    char text[WINDOW_BUCKETS * 11 + 64];
    int count = WINDOW_BUCKETS;
    memcpy(&window, data, sizeof window);
    while (count > 0 && !window.buckets[count - 1])
        count--;
    text_format(text, sizeof text, "%" PRIu32 " %" PRId64 " %" PRId64, window.seconds, window.epoch, base);
    for (int i = 0; i < count; i++)
        text_append(text, sizeof text, " %" PRIu32, window.buckets[i]);
    return sqlite3_bind_text(statement, position, text, -1, SQLITE_TRANSIENT);
}

static int bind_address(sqlite3_stmt *statement, int position, const uint8_t *data)
{
    struct address address;
    char text[ADDRESS_TEXT_SIZE];
    memcpy(&address, data, sizeof address);
    return sqlite3_bind_text(statement, position, address_text(&address, text), -1, SQLITE_TRANSIENT);
}

/* Binds the column and returns the octets that it took. */
static size_t bind_column(sqlite3_stmt *statement, int position, const struct history_column *column,
                          const uint8_t *data, int64_t base, int *code)
{
    uint16_t length;
    int64_t value;
    switch (column->type) {
    case COLUMN_TEXT:
        memcpy(&length, data, sizeof length);
        *code = sqlite3_bind_text(statement, position, (const char *)data + sizeof length, length, SQLITE_STATIC);
        return sizeof length + length;
    case COLUMN_WINDOW:
        *code = *data ? bind_window(statement, position, data + 1, base)
                      : sqlite3_bind_text(statement, position, "", 0, SQLITE_STATIC);
        return *data ? 1 + column->size : 1;
    case COLUMN_ADDRESS:
        *code = bind_address(statement, position, data);
        break;
    case COLUMN_OCTETS:
        *code = sqlite3_bind_blob(statement, position, data, (int)column->size, SQLITE_STATIC);
        break;
    case COLUMN_RUN:
        value = read_signed(data, column->size);
        *code = sqlite3_bind_int64(statement, position, value ? value + base : 0);
        break;
    case COLUMN_OFFSET:
        *code = sqlite3_bind_int64(statement, position, read_signed(data, column->size) - base);
        break;
    case COLUMN_SIGNED:
        *code = sqlite3_bind_int64(statement, position, read_signed(data, column->size));
        break;
    default:
        *code = sqlite3_bind_int64(statement, position, (int64_t)read_unsigned(data, column->size));
    }
    return column->size;
}

int history_bind(sqlite3_stmt *statement, const struct history_packed *head, const uint8_t *data, int64_t base)
{
    const struct history_table *table = &history_tables[head->table];
    int position = 1, code = SQLITE_OK;
    for (unsigned i = 0; i < table->parts && code == SQLITE_OK; i++)
        code = sqlite3_bind_int64(statement, position++, head->key[i]);
    for (size_t i = 0; !head->gone && i < table->count && code == SQLITE_OK; i++)
        data += bind_column(statement, position++, &table->columns[i], data, base, &code);
    return code;
}

/* ---- out of SQLite ---- */

static void write_unsigned(uint8_t *member, size_t size, uint64_t value)
{
    uint32_t value32 = (uint32_t)value;
    uint16_t value16 = (uint16_t)value;
    switch (size) {
    case 8:
        memcpy(member, &value, 8);
        break;
    case 4:
        memcpy(member, &value32, 4);
        break;
    case 2:
        memcpy(member, &value16, 2);
        break;
    default:
        *member = (uint8_t)value;
    }
}

static void fetch_window(const char *text, int64_t base, struct window *window)
{
    char *end;
    struct window kept = {.seconds = (uint32_t)strtoul(text, &end, 10)};
    kept.epoch = strtoll(end, &end, 10);
    int64_t kept_base = strtoll(end, &end, 10);
    for (int i = 0; i < WINDOW_BUCKETS && *end == ' '; i++)
        kept.buckets[i] = (uint32_t)strtoul(end, &end, 10);
    if (*end || !kept.seconds || kept.epoch > TIMES_MAX || kept.epoch < -TIMES_MAX || kept_base > TIMES_MAX ||
        kept_base < -TIMES_MAX)
        return;
    window_move(&kept, kept_base - base);
    *window = kept;
}

static bool fetch_column(sqlite3_stmt *statement, int position, const struct history_column *column, int64_t base,
                         uint8_t *member)
{
    int64_t number = sqlite3_column_int64(statement, position);
    const char *text;
    if ((column->type == COLUMN_RUN || column->type == COLUMN_OFFSET) && (number > TIMES_MAX || number < -TIMES_MAX))
        return false;
    switch (column->type) {
    case COLUMN_KIND:
        if (number < 0 || number >= column->limit)
            return false;
        write_unsigned(member, column->size, (uint64_t)number);
        break;
    case COLUMN_REASON:
        write_unsigned(member, column->size, number ? reason_info((enum reason)number)->reason : 0);
        break;
    case COLUMN_FLAG:
        *(bool *)member = number != 0;
        break;
    case COLUMN_RUN:
        if (number)
            number = number - base ? number - base : 1;
        write_unsigned(member, column->size, (uint64_t)number);
        break;
    case COLUMN_OFFSET:
        write_unsigned(member, column->size, (uint64_t)(number + base));
        break;
    case COLUMN_TEXT:
        text = (const char *)sqlite3_column_text(statement, position);
        text_printable((char *)member, column->size, text ? text : "",
                       (size_t)sqlite3_column_bytes(statement, position));
        break;
    case COLUMN_ADDRESS:
        text = (const char *)sqlite3_column_text(statement, position);
        if (!text || !address_parse(text, (struct address *)member))
            *(struct address *)member = (struct address){0};
        break;
    case COLUMN_WINDOW:
        text = (const char *)sqlite3_column_text(statement, position);
        if (text)
            fetch_window(text, base, (struct window *)member);
        break;
    case COLUMN_OCTETS:
        if ((uint32_t)sqlite3_column_bytes(statement, position) != column->size)
            return false;
        memcpy(member, sqlite3_column_blob(statement, position), column->size);
        break;
    default:
        write_unsigned(member, column->size, (uint64_t)number);
    }
    return true;
}

bool history_fetch(sqlite3_stmt *statement, unsigned number, int64_t base, uint32_t key[INDEX_PARTS], void *row)
{
    const struct history_table *table = &history_tables[number];
    int position = 0;
    memset(row, 0, table->size);
    memset(key, 0, INDEX_PARTS * sizeof *key);
    for (unsigned i = 0; i < table->parts; i++) {
        int64_t value = sqlite3_column_int64(statement, position++);
        if (value < 0 || value > UINT32_MAX)
            return false;
        key[i] = (uint32_t)value;
        if (table->keys[i].size)
            write_unsigned((uint8_t *)row + table->keys[i].offset, table->keys[i].size, key[i]);
    }
    for (size_t i = 0; i < table->count; i++)
        if (!fetch_column(statement, position++, &table->columns[i], base, (uint8_t *)row + table->columns[i].offset))
            return false;
    return true;
}
