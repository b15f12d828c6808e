/*
 * Reading beside a daemon, or without one. Each reader has a connection of its own that cannot write. A state is that of
 * the first read after the reader was opened or refreshed, and lasts until it is refreshed: so long SQLite cannot shorten
 * the log of the daemon.
 *
 * A database in WAL mode wants two files beside it. Where a daemon has ended well they are gone, and who may only read the
 * folder cannot make them: then, and only then, the file alone is everything and is read as one that does not change.
 */
#include "report/history_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"

struct history_reader {
    char *path;
    sqlite3 *db;
    bool reading; /* a transaction is open */
};

static int open_database(struct history_reader *reader, int64_t *application)
{
    int code = sqlite3_open_v2(reader->path, &reader->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
    if (code == SQLITE_OK) {
        sqlite3_extended_result_codes(reader->db, 1);
        sqlite3_busy_timeout(reader->db, HISTORY_BUSY_MS);
        code = history_number(reader->db, "PRAGMA application_id", application);
    }
    if ((code & 0xff) != SQLITE_CANTOPEN && (code & 0xff) != SQLITE_READONLY)
        return code;
    sqlite3_close(reader->db);
    reader->db = NULL;
    code = history_file_immutable(reader->path, &reader->db);
    return code == SQLITE_OK ? history_number(reader->db, "PRAGMA application_id", application) : code;
}

/* Whether it is a history that we can read. */
static bool check(struct history_reader *reader, char *problem, size_t size)
{
    struct stat status;
    int64_t application = 0, version = 0;
    if (stat(reader->path, &status) < 0) {
        text_format(problem, size,
                    errno == ENOENT ? "there is no history at %s: %s. Has fedwarden run with this configuration?"
                                    : "the history at %s cannot be read: %s",
                    reader->path, strerror(errno));
        return false;
    }
    if (!S_ISREG(status.st_mode)) { /* a pipe would be waited for */
        text_format(problem, size, "%s is no history of fedwarden: it is no regular file", reader->path);
        return false;
    }
    int code = open_database(reader, &application);
    if (code == SQLITE_OK)
        code = history_number(reader->db, "PRAGMA user_version", &version);
    if (code == SQLITE_OK && application == HISTORY_APPLICATION && version == HISTORY_SCHEMA)
        return true;
    if (code != SQLITE_OK)
        text_format(problem, size, "%s cannot be read: %s", reader->path,
                    reader->db ? sqlite3_errmsg(reader->db) : sqlite3_errstr(code));
    else if (application != HISTORY_APPLICATION)
        text_format(problem, size, "%s is no history of fedwarden", reader->path);
    else
        text_format(problem, size,
                    "%s has schema %" PRId64 ", this fedwarden knows %d: use the one whose daemon writes it, or restart"
                    " the daemon",
                    reader->path, version, HISTORY_SCHEMA);
    return false;
}

struct history_reader *history_reader_open(const char *path, char *problem, size_t size)
{
    struct history_reader *reader = calloc(1, sizeof *reader);
    if (!reader || !(reader->path = strdup(path)))
        abort();
    if (check(reader, problem, size))
        return reader;
    history_reader_close(reader);
    return NULL;
}

void history_reader_close(struct history_reader *reader)
{
    if (!reader)
        return;
    sqlite3_close(reader->db);
    free(reader->path);
    free(reader);
}

void history_reader_refresh(struct history_reader *reader)
{
    if (reader->reading)
        history_run(reader->db, "COMMIT");
    reader->reading = false;
}

/* From here on all reads see one state. */
static bool begin(struct history_reader *reader)
{
    if (!reader->reading)
        reader->reading = history_run(reader->db, "BEGIN") == SQLITE_OK;
    return reader->reading;
}

struct ledger *history_reader_ledger(struct history_reader *reader, int64_t wall, int64_t run)
{
    struct history_clock clock;
    char boot[40];
    int code;
    if (!begin(reader) || !history_load_clock(reader->db, &clock))
        return NULL;
    history_boot(boot);
    return history_load_ledger(reader->db, history_base(&clock, boot, wall, run), wall, run, NULL, NULL, &code);
}

int64_t history_reader_written(struct history_reader *reader)
{
    struct history_clock clock;
    return begin(reader) && history_load_clock(reader->db, &clock) ? clock.wall : CLOCK_NEVER;
}

/* ---- what was appended ---- */

struct query {
    unsigned table;
    const char *id, *by_partner, *by_event; /* its order; conditions */
};

static const struct query transitions = {HISTORY_TRANSITIONS, "sequence", " AND name = ?3", " AND event = ?4"};
static const struct query failures = {HISTORY_FAILURES, "id", " AND partner = ?3", " AND event = ?4"};
static const struct query verdicts = {HISTORY_VERDICTS, "id", " AND partner = ?3", NULL};

static void bind(sqlite3_stmt *statement, const struct query *query, const struct history_filter *filter)
{
    sqlite3_bind_int64(statement, 1, filter->since ? filter->since : INT64_MIN);
    sqlite3_bind_int64(statement, 2, filter->until ? filter->until : INT64_MAX);
    if (filter->partner)
        sqlite3_bind_text(statement, 3, filter->partner, -1, SQLITE_STATIC);
    if (query->by_event && filter->event != EVENT_NONE)
        sqlite3_bind_int(statement, 4, (int)filter->event);
    if (filter->limit)
        sqlite3_bind_int64(statement, 5, (int64_t)filter->limit);
}

/* The newest rows that fit, in the order in which they were written. */
static sqlite3_stmt *select_rows(struct history_reader *reader, const struct query *query,
                                 const struct history_filter *filter)
{
    char rows[HISTORY_SQL_MAX], sql[2 * HISTORY_SQL_MAX];
    sqlite3_stmt *statement = NULL;
    text_format(sql, sizeof sql,
                "%s WHERE %s IN (SELECT %s FROM %s WHERE wall >= ?1 AND wall < ?2%s%s ORDER BY %s DESC%s)"
                " ORDER BY %s",
                history_sql(query->table, SQL_SELECT, rows), query->id, query->id, history_tables[query->table].name,
                filter->partner ? query->by_partner : "",
                query->by_event && filter->event != EVENT_NONE ? query->by_event : "", query->id,
                filter->limit ? " LIMIT ?5" : "", query->id);
    if (!begin(reader) || sqlite3_prepare_v2(reader->db, sql, -1, &statement, NULL) != SQLITE_OK)
        return NULL;
    bind(statement, query, filter);
    return statement;
}

/* The next row that makes sense; false at the end, with `*good` false when that is not the end. */
static bool next(sqlite3_stmt *statement, const struct query *query, void *row, bool *good)
{
    uint32_t key[INDEX_PARTS];
    int code;
    while ((code = statement ? sqlite3_step(statement) : SQLITE_ERROR) == SQLITE_ROW)
        if (history_fetch(statement, query->table, 0, key, row))
            return true;
    *good = code == SQLITE_DONE;
    sqlite3_finalize(statement);
    return false;
}

bool history_read_transitions(struct history_reader *reader, const struct history_filter *filter,
                              history_each_transition *each, void *context)
{
    struct transition row;
    bool good = true;
    sqlite3_stmt *statement = select_rows(reader, &transitions, filter);
    while (next(statement, &transitions, &row, &good))
        each(context, &row);
    return good;
}

bool history_read_failures(struct history_reader *reader, const struct history_filter *filter,
                           history_each_failure *each, void *context)
{
    struct history_failure_row row;
    bool good = true;
    sqlite3_stmt *statement = select_rows(reader, &failures, filter);
    while (next(statement, &failures, &row, &good))
        each(context, &row);
    return good;
}

bool history_read_verdicts(struct history_reader *reader, const struct history_filter *filter,
                           history_each_verdict *each, void *context)
{
    struct history_verdict_row row;
    bool good = true;
    sqlite3_stmt *statement = select_rows(reader, &verdicts, filter);
    while (next(statement, &verdicts, &row, &good))
        each(context, &row);
    return good;
}
