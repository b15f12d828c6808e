/*
 * A ledger out of the rows of a file, in the order in which they depend on each other. A row that makes no sense, or fits
 * nothing, is left out and counted in the log: the rest is better than nothing.
 */
#include "report/history_parts.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"

void history_boot(char out[40])
{
    int descriptor = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t length = descriptor >= 0 ? read(descriptor, out, 39) : 0;
    if (descriptor >= 0)
        close(descriptor);
    out[length > 0 ? length : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
}

bool history_load_clock(sqlite3 *db, struct history_clock *clock)
{
    sqlite3_stmt *statement;
    *clock = (struct history_clock){0};
    if (sqlite3_prepare_v2(db, "SELECT wall, run, base, boot, session, batch FROM clock", -1, &statement, NULL) !=
        SQLITE_OK)
        return false;
    bool there = sqlite3_step(statement) == SQLITE_ROW;
    if (there) {
        const char *boot = (const char *)sqlite3_column_text(statement, 3);
        clock->wall = sqlite3_column_int64(statement, 0);
        clock->run = sqlite3_column_int64(statement, 1);
        clock->base = sqlite3_column_int64(statement, 2);
        text_copy(clock->boot, sizeof clock->boot, boot ? boot : "");
        clock->session = (uint64_t)sqlite3_column_int64(statement, 4);
        clock->batch = (uint64_t)sqlite3_column_int64(statement, 5);
    }
    sqlite3_finalize(statement);
    return there;
}

int64_t history_base(const struct history_clock *clock, const char *boot, int64_t wall, int64_t run)
{
    if (*boot && strcmp(boot, clock->boot) == 0 && run >= clock->run)
        return clock->base;
    int64_t off = wall > clock->wall ? wall - clock->wall : 0;
    return clock->run + clock->base + off - run;
}

/* The rows of one table into the ledger; a code of SQLite. */
static int load_rows(sqlite3 *db, enum ledger_row kind, int64_t base, struct ledger *ledger, uint64_t *left_out)
{
    char sql[HISTORY_SQL_MAX];
    uint32_t key[INDEX_PARTS];
    sqlite3_stmt *statement;
    history_sql(kind, SQL_SELECT, sql);
    text_append(sql, sizeof sql, " ORDER BY");
    for (unsigned i = 0; i < history_tables[kind].parts; i++)
        text_append(sql, sizeof sql, "%s \"%s\"", i ? "," : "", history_tables[kind].keys[i].name);
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (code != SQLITE_OK)
        return code;
    void *row = calloc(1, history_tables[kind].size);
    if (!row)
        abort();
    while ((code = sqlite3_step(statement)) == SQLITE_ROW)
        if (!history_fetch(statement, kind, base, key, row) || !ledger_restore_row(ledger, kind, key, row)) {
            log_debug("history", "a row of %s is left out: %" PRIu32 " %" PRIu32 " %" PRIu32, history_tables[kind].name,
                      key[0], key[1], key[2]);
            ++*left_out;
        }
    free(row);
    sqlite3_finalize(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

struct ledger *history_load_ledger(sqlite3 *db, int64_t base, int64_t wall, int64_t run, ledger_report *report,
                                   void *context, int *code)
{
    int64_t states = 0;
    uint64_t left_out = 0;
    *code = history_number(db, "SELECT count(*) FROM state", &states);
    if (*code != SQLITE_OK || !states)
        return NULL;
    struct ledger *ledger = ledger_restore_begin(wall, run, report, context);
    for (int kind = LEDGER_ROW_STATE; kind < LEDGER_ROW_END && *code == SQLITE_OK; kind++)
        *code = load_rows(db, (enum ledger_row)kind, base, ledger, &left_out);
    if (*code != SQLITE_OK) {
        ledger_free(ledger);
        return NULL;
    }
    if (left_out)
        log_warning("history", "%" PRIu64 " rows of the history make no sense and are left out", left_out);
    return ledger;
}

size_t history_load_unsent(sqlite3 *db, int64_t base, size_t most, history_each_transition *each, void *context)
{
    char sql[HISTORY_SQL_MAX], all[HISTORY_SQL_MAX + 128];
    uint32_t key[INDEX_PARTS];
    sqlite3_stmt *statement;
    int64_t count = 0;
    history_number(db, "SELECT count(*) FROM transitions WHERE sent = 0", &count);
    text_format(all, sizeof all,
                "%s WHERE sent = 0 AND sequence >= ifnull((SELECT sequence FROM transitions WHERE sent = 0"
                " ORDER BY sequence DESC LIMIT 1 OFFSET ?), 0) ORDER BY sequence",
                history_sql(HISTORY_TRANSITIONS, SQL_SELECT, sql));
    if (!most || sqlite3_prepare_v2(db, all, -1, &statement, NULL) != SQLITE_OK)
        return (size_t)count;
    sqlite3_bind_int64(statement, 1, (int64_t)most - 1);
    while (sqlite3_step(statement) == SQLITE_ROW) {
        struct transition transition;
        if (history_fetch(statement, HISTORY_TRANSITIONS, base, key, &transition))
            each(context, &transition);
    }
    sqlite3_finalize(statement);
    return (size_t)count;
}
