/*
 * One batch into the file, as one transaction: the clock, the rows of the ledger, what is appended, what was sent, how far
 * feeds were read; and a little of what is too old goes. The clock row says which batch of which process was stored last:
 * when a commit fails and yet was stored (the disk took it and then did not answer), the same batch is not appended twice.
 *
 * Before each batch the path is looked at. Where it leads to another file, or to none, somebody has moved ours away: a
 * new one is made, which has to begin with everything, so the main thread is asked for that. The same when the database
 * turns out to be damaged. What lies at the path and is not ours is set aside, not written over.
 */
#include "report/history_parts.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"

#define PRUNE(name, id)                                                                                                \
    "DELETE FROM " name " WHERE " id " IN (SELECT " id " FROM " name " ORDER BY " id                                   \
    " LIMIT 500) AND (wall < ?1 OR " id " <= (SELECT max(" id ") FROM " name ") - ?2)"

static const char *const statement_texts[STATEMENTS] = {
    [STATEMENT_CLOCK] =
        "INSERT OR REPLACE INTO clock (id, wall, run, base, boot, session, batch) VALUES (1,?,?,?,?,?,?)",
    [STATEMENT_SENT] = "UPDATE transitions SET sent = 1 WHERE sequence = ?",
    [STATEMENT_MARK] = "INSERT OR REPLACE INTO marks (feed, skip, data) VALUES (?,?,?)",
    [STATEMENT_SKIP] = "INSERT INTO marks (feed, skip, data) VALUES (?1,?2,x'') ON CONFLICT DO UPDATE SET skip = ?2",
    [STATEMENT_UNMARK] = "DELETE FROM marks WHERE feed = ?",
    [STATEMENT_PRUNE_TRANSITIONS] = PRUNE("transitions", "sequence"),
    [STATEMENT_PRUNE_VERDICTS] = PRUNE("verdicts", "id"),
    [STATEMENT_PRUNE_FAILURES] = PRUNE("failures", "id"),
};

/* The statement of that number, made ready when it is first used. */
static int get(struct history_file *file, int number, sqlite3_stmt **out)
{
    char sql[HISTORY_SQL_MAX];
    int code = SQLITE_OK;
    if (!file->statements[number]) {
        const char *text = number >= STATEMENT_CLOCK ? statement_texts[number]
                           : number < HISTORY_TABLES ? history_sql((unsigned)number, SQL_REPLACE, sql)
                                                     : history_sql((unsigned)number - HISTORY_TABLES, SQL_DELETE, sql);
        code = sqlite3_prepare_v3(file->db, text, -1, SQLITE_PREPARE_PERSISTENT, &file->statements[number], NULL);
    }
    *out = file->statements[number];
    return code;
}

/* Runs it; what was bound to it need not live on. */
static int done(sqlite3_stmt *statement)
{
    sqlite3_step(statement);
    return sqlite3_reset(statement);
}

static int write_rows(struct history_file *file, const struct history_buffer *buffer)
{
    struct history_packed head;
    size_t at = 0;
    for (const uint8_t *data = history_unpack(buffer, &at, &head); data; data = history_unpack(buffer, &at, &head)) {
        sqlite3_stmt *statement;
        int code = get(file, (int)(head.gone ? HISTORY_TABLES + head.table : head.table), &statement);
        if (code == SQLITE_OK)
            code = history_bind(statement, &head, data, file->base);
        if (code == SQLITE_OK)
            code = done(statement);
        if (code != SQLITE_OK)
            return code;
    }
    return SQLITE_OK;
}

static int write_clock(struct history_file *file, const struct history_batch *batch)
{
    sqlite3_stmt *statement;
    int code = get(file, STATEMENT_CLOCK, &statement);
    if (code != SQLITE_OK)
        return code;
    sqlite3_bind_int64(statement, 1, batch->wall);
    sqlite3_bind_int64(statement, 2, batch->run);
    sqlite3_bind_int64(statement, 3, file->base);
    sqlite3_bind_text(statement, 4, file->boot, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 5, (int64_t)file->session);
    sqlite3_bind_int64(statement, 6, (int64_t)batch->number);
    return done(statement);
}

static int write_sent(struct history_file *file, const struct history_batch *batch)
{
    sqlite3_stmt *statement = NULL;
    int code = SQLITE_OK;
    for (size_t i = 0; i < batch->sent_count && code == SQLITE_OK; i++) {
        code = get(file, STATEMENT_SENT, &statement);
        if (code == SQLITE_OK) {
            sqlite3_bind_int64(statement, 1, (int64_t)batch->sent[i]);
            code = done(statement);
        }
    }
    return code;
}

static int write_mark(struct history_file *file, const struct history_mark_change *mark)
{
    static const int numbers[] = {
        [MARK_WHOLE] = STATEMENT_MARK, [MARK_SKIP] = STATEMENT_SKIP, [MARK_GONE] = STATEMENT_UNMARK};
    sqlite3_stmt *statement;
    int code = get(file, numbers[mark->change], &statement);
    if (code != SQLITE_OK)
        return code;
    sqlite3_bind_text(statement, 1, mark->feed, -1, SQLITE_STATIC);
    if (mark->change != MARK_GONE)
        sqlite3_bind_int64(statement, 2, (int64_t)mark->skip);
    if (mark->change == MARK_WHOLE) {
        size_t length = mark->octets ? mark->octets->length : 0;
        code = length ? sqlite3_bind_blob(statement, 3, mark->octets->data, (int)length, SQLITE_STATIC)
                      : sqlite3_bind_zeroblob(statement, 3, 0);
    }
    int outcome = done(statement);
    return code == SQLITE_OK ? outcome : code;
}

/*
 * Ages are told by the earlier of the two clocks: a wall clock that jumps into the future for a while removes nothing.
 */
static int prune(struct history_file *file, int number, const struct history_batch *batch, uint32_t keep)
{
    sqlite3_stmt *statement;
    int64_t now = batch->wall < batch->run + file->base ? batch->wall : batch->run + file->base;
    int code = get(file, number, &statement);
    if (code != SQLITE_OK)
        return code;
    sqlite3_bind_int64(statement, 1, now - (int64_t)batch->keep.days * 86400 * CLOCK_SECOND);
    sqlite3_bind_int64(statement, 2, keep);
    return done(statement);
}

/* Everything goes: a whole batch has what there is to be. */
static int empty_tables(struct history_file *file)
{
    char sql[64];
    int code = history_run(file->db, "DELETE FROM marks");
    for (unsigned i = LEDGER_ROW_STATE; i < LEDGER_ROW_END && code == SQLITE_OK; i++) {
        text_format(sql, sizeof sql, "DELETE FROM \"%s\"", history_tables[i].name);
        code = history_run(file->db, sql);
    }
    return code;
}

static int write_batch(struct history_file *file, const struct history_batch *batch)
{
    int code = batch->whole ? empty_tables(file) : SQLITE_OK;
    if (code == SQLITE_OK)
        code = write_clock(file, batch);
    if (code == SQLITE_OK)
        code = write_rows(file, &batch->rows);
    if (code == SQLITE_OK)
        code = write_rows(file, &batch->appended);
    if (code == SQLITE_OK)
        code = write_sent(file, batch);
    for (size_t i = 0; i < batch->mark_count && code == SQLITE_OK; i++)
        code = write_mark(file, &batch->marks[i]);
    if (code == SQLITE_OK && batch->keep.days)
        code = prune(file, STATEMENT_PRUNE_TRANSITIONS, batch, batch->keep.transitions);
    if (code == SQLITE_OK && batch->keep.days)
        code = prune(file, STATEMENT_PRUNE_VERDICTS, batch, batch->keep.verdicts);
    if (code == SQLITE_OK && batch->keep.days)
        code = prune(file, STATEMENT_PRUNE_FAILURES, batch, batch->keep.failures);
    return code;
}

static bool is_stored(struct history_file *file, const struct history_batch *batch)
{
    struct history_clock clock;
    return history_load_clock(file->db, &clock) && clock.session == file->session && clock.batch == batch->number;
}

static int transact(struct history_file *file, const struct history_batch *batch)
{
    int code = history_run(file->db, "BEGIN IMMEDIATE");
    if (code != SQLITE_OK)
        return code;
    if (is_stored(file, batch))
        return history_run(file->db, "ROLLBACK");
    code = write_batch(file, batch);
    if (code == SQLITE_OK)
        code = history_run(file->db, "COMMIT");
    if (code != SQLITE_OK)
        history_run(file->db, "ROLLBACK");
    return code;
}

/* Takes what lies at the path out of the way. WRITE_RESTART: it is. */
static enum write_outcome set_aside(struct history_file *file, char *problem, size_t size)
{
    bool gone = history_file_set_aside(file, problem, size);
    file->continues = false;
    if (gone)
        log_warning("history", "%s; a new one is begun with what is in memory", problem);
    return gone ? WRITE_RESTART : WRITE_FAILED;
}

/* Opens it so that the batch can go on from what it holds. WRITE_STORED: it is open. */
static enum write_outcome reopen(struct history_file *file, const struct history_batch *batch, char *problem,
                                 size_t size)
{
    dev_t device = file->device;
    ino_t inode = file->inode;
    enum file_state state = history_file_open(file, false, problem, size);
    if (state == FILE_OPEN && file->continues && device == file->device && inode == file->inode)
        return WRITE_STORED;
    if (state == FILE_OPEN)
        text_format(problem, size, "%s is not the history that this fedwarden went on with", file->path);
    if (state == FILE_OPEN || state == FILE_DAMAGED) {
        enum write_outcome outcome = set_aside(file, problem, size);
        if (outcome != WRITE_RESTART || !batch->whole)
            return outcome;
        state = history_file_open(file, false, problem, size);
    }
    if (state != FILE_MADE)
        return WRITE_FAILED;
    file->continues = true;
    return batch->whole ? WRITE_STORED : WRITE_RESTART;
}

enum write_outcome history_write(struct history_file *file, const struct history_batch *batch, char *problem,
                                 size_t size)
{
    enum write_outcome outcome = WRITE_STORED;
    *problem = '\0';
    if (file->db && !history_file_same(file)) {
        log_warning("history", "%s has been removed or replaced while it was in use", file->path);
        history_file_close(file);
        file->continues = false;
    }
    if (!file->db)
        outcome = reopen(file, batch, problem, size);
    if (outcome != WRITE_STORED)
        return outcome;
    int code = transact(file, batch);
    if (code == SQLITE_OK)
        return WRITE_STORED;
    text_format(problem, size, "%s cannot be written: %s", file->path,
                code == sqlite3_extended_errcode(file->db) ? sqlite3_errmsg(file->db) : sqlite3_errstr(code));
    if (history_is_damage(code))
        return set_aside(file, problem, size);
    if ((code & 0xff) != SQLITE_FULL && (code & 0xff) != SQLITE_BUSY)
        history_file_close(file);
    return WRITE_FAILED;
}
