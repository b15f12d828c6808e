#ifndef FEDWARDEN_REPORT_HISTORY_PARTS_H
#define FEDWARDEN_REPORT_HISTORY_PARTS_H

/*
 * What the history*.c files share; nobody else includes it, but their tests.
 *
 *   history.c         the handle: what is copied, when it becomes a batch, what failed and is to be made good
 *   history_batch.c   a batch and what waits to become part of one, bounded
 *   history_thread.c  the thread that writes one batch at a time, again and again until it is stored
 *   history_file.c    the file: the lock, opening, setting aside, versions of the schema
 *   history_write.c   one batch into the file, as one transaction
 *   history_schema.c  the tables, each described once: SQL, packing, reading
 *   history_load.c    a ledger, marks and notifications out of a file
 *   history_read.c    reading beside a daemon
 *
 * Times. A run time means nothing to another process, so it is kept on the history's own clock: the run time plus `base`,
 * which is chosen when the history is opened so that this clock goes on where it was (by the run clock itself within one
 * boot, else by the wall clock, and never back). It began as wall time, and does not jump when the wall clock does.
 */

#include <sys/types.h>

#include "report/history.h"

struct sqlite3;
struct sqlite3_stmt;

/* ---- history_schema.c ---- */

enum column_type {
    COLUMN_NUMBER = 1, /* unsigned, of the size of the member */
    COLUMN_SIGNED,
    COLUMN_KIND,    /* an enumeration that ends at `limit` */
    COLUMN_FLAG,    /* bool */
    COLUMN_REASON,  /* enum reason; numbers that are not known are unclassified */
    COLUMN_RUN,     /* run time; 0 stays 0 */
    COLUMN_OFFSET,  /* wall time less run time */
    COLUMN_TEXT,    /* characters and their terminator */
    COLUMN_OCTETS,  /* all of the member */
    COLUMN_ADDRESS, /* struct address, as text */
    COLUMN_WINDOW,  /* struct window, as text */
};

struct history_column {
    const char *name;
    enum column_type type;
    uint32_t offset, size, limit;
};

struct history_table {
    const char *name;
    uint32_t size; /* of the struct */
    unsigned parts; /* of the key; 0: what is only appended */
    struct {
        const char *name;
        uint32_t offset, size; /* of the member that holds the same number; size 0: none does */
    } keys[INDEX_PARTS];
    const char *more; /* further columns of an appended table, first in CREATE */
    const struct history_column *columns;
    size_t count;
};

/* Tables by number: those of enum ledger_row, then what is only appended. */
enum { HISTORY_TRANSITIONS = LEDGER_ROW_END, HISTORY_VERDICTS, HISTORY_FAILURES, HISTORY_TABLES };
extern const struct history_table history_tables[HISTORY_TABLES];

#define HISTORY_SCHEMA      1          /* PRAGMA user_version */
#define HISTORY_APPLICATION 0x46574849 /* PRAGMA application_id: "FWHI" */

#define HISTORY_SQL_MAX 4096
enum history_sql { SQL_CREATE = 1, SQL_REPLACE, SQL_DELETE, SQL_SELECT };
/* history_sql(table, what, out): the statement, of at most HISTORY_SQL_MAX octets; SELECT: without WHERE and ORDER. */
const char *history_sql(unsigned table, enum history_sql what, char out[HISTORY_SQL_MAX]);
/* history_create(db): all tables, in the transaction that is open; a code of SQLite. */
int history_create(struct sqlite3 *db);

/* Rows one after the other, packed: only what their columns hold. */
struct history_buffer {
    uint8_t *data;
    size_t length, room;
    size_t rows;
};
/* history_pack(buffer, table, key, row): `row` NULL: it is gone. Aborts without memory. */
void history_pack(struct history_buffer *buffer, unsigned table, const uint32_t key[INDEX_PARTS], const void *row);
void history_buffer_append(struct history_buffer *buffer, const struct history_buffer *more);
void history_buffer_clear(struct history_buffer *buffer);

struct history_packed {
    uint32_t table;
    uint32_t length; /* of what follows */
    uint32_t key[INDEX_PARTS];
    uint32_t gone;
};
/* history_unpack(buffer, at, head): the row at `*at`, which moves on; its octets; NULL at the end. */
const uint8_t *history_unpack(const struct history_buffer *buffer, size_t *at, struct history_packed *head);
/* history_bind(statement, head, data, base): of SQL_REPLACE, or SQL_DELETE when the row is gone. */
int history_bind(struct sqlite3_stmt *statement, const struct history_packed *head, const uint8_t *data, int64_t base);
/* history_fetch(statement, table, base, key, row): from SQL_SELECT; false when the row makes no sense. */
bool history_fetch(struct sqlite3_stmt *statement, unsigned table, int64_t base, uint32_t key[INDEX_PARTS], void *row);

/* ---- history_batch.c ---- */

/* How far a feed was read, as batches and the handle share it. Counted by the main thread alone. */
struct history_octets {
    unsigned users;
    size_t length;
    uint8_t data[];
};
struct history_octets *history_octets_new(const void *data, size_t length);
void history_octets_drop(struct history_octets *octets); /* NULL is allowed */

enum mark_change { MARK_WHOLE = 1, MARK_SKIP, MARK_GONE };
struct history_mark_change {
    enum mark_change change;
    char feed[CONF_NAME_MAX + 1];
    uint64_t skip;
    struct history_octets *octets;
};

struct history_keep { /* see history_limits */
    uint32_t days, transitions, verdicts, failures;
};

struct history_batch {
    uint64_t number;
    bool whole; /* everything there is: what the file holds besides goes */
    int64_t wall, run;
    struct history_keep keep;
    struct history_buffer rows;     /* of the ledger */
    struct history_buffer appended; /* transitions, verdicts, failures */
    size_t sent_count;
    uint64_t *sent;
    size_t mark_count;
    struct history_mark_change *marks;
};
void history_batch_free(struct history_batch *batch); /* NULL is allowed */

/* What waits for the next batch. */
#define HISTORY_TRANSITIONS_WAIT 10000
#define HISTORY_VERDICTS_WAIT    10000
#define HISTORY_FAILURES_WAIT    2000
#define HISTORY_SENT_WAIT        100000

struct history_waiting;
struct history_waiting *history_waiting_new(void);
void history_waiting_free(struct history_waiting *waiting);
bool history_waiting_any(const struct history_waiting *waiting);
bool history_waiting_urgent(const struct history_waiting *waiting); /* a transition: notifications wait for it */
/* What was dropped, the oldest first, because there was no room. */
uint64_t history_waiting_lost(const struct history_waiting *waiting);
void history_waiting_transition(struct history_waiting *waiting, const struct transition *transition);
void history_waiting_verdict(struct history_waiting *waiting, const struct history_verdict_row *row);
/* history_waiting_failure(waiting, row, partner, source): adds to one that waits for the same event and reason. */
void history_waiting_failure(struct history_waiting *waiting, const struct history_failure_row *row, uint32_t partner,
                             uint32_t source);
void history_waiting_sent(struct history_waiting *waiting, uint64_t sequence);
/* history_waiting_take(waiting, batch): moves all of it behind what the batch has. */
void history_waiting_take(struct history_waiting *waiting, struct history_batch *batch);

/* ---- history_file.c ---- */

#define HISTORY_PROBLEM     400
#define HISTORY_ASIDE_MAX   3    /* files that were set aside and are kept */
#define HISTORY_BUSY_MS     5000 /* how long another process may hold the database, such as sqlite3 of an operator */
#define HISTORY_WAL_PAGES   1000
#define HISTORY_WAL_OCTETS  (8 << 20)

/* The history's clock at its last batch. */
struct history_clock {
    int64_t wall, run, base;
    char boot[40];
    uint64_t session, batch; /* which process, and which batch of it, was stored last */
};

enum { STATEMENT_CLOCK = 2 * HISTORY_TABLES, STATEMENT_SENT, STATEMENT_MARK, STATEMENT_SKIP, STATEMENT_UNMARK,
       STATEMENT_PRUNE_TRANSITIONS, STATEMENT_PRUNE_VERDICTS, STATEMENT_PRUNE_FAILURES, STATEMENTS };

struct history_file {
    char *path;
    int lock;               /* -1: not held */
    struct sqlite3 *db;     /* NULL: not open */
    dev_t device;           /* of the open file, or of the one that the ledger goes on from */
    ino_t inode;
    bool continues;         /* what is in memory goes on from that file */
    bool only_read;         /* it is open, and nothing can be written so */
    int64_t base;           /* of the clock */
    uint64_t session;
    char boot[40];
    struct sqlite3_stmt *statements[STATEMENTS];
};

enum file_state {
    FILE_OPEN = 1,
    FILE_MADE,    /* there was none, or it was set aside: a new one, without rows */
    FILE_DAMAGED, /* is there, and cannot be used as it is */
    FILE_TAKEN,   /* another process writes it */
    FILE_NONE,    /* cannot be opened or made now */
};

void history_file_init(struct history_file *file, const char *path);
/* history_file_close(file): the database; history_file_end(file): the lock and the rest too. */
void history_file_close(struct history_file *file);
void history_file_end(struct history_file *file);
/*
 * history_file_open(file, check, problem, size): opens or makes it. `check`: with the integrity of all its pages.
 * Not FILE_MADE and not FILE_OPEN: it is closed, and `problem` says why.
 */
enum file_state history_file_open(struct history_file *file, bool check, char *problem, size_t size);
/*
 * history_file_read(file): where it cannot be opened for writing now, what it holds may still be read: FILE_OPEN, or
 * FILE_NONE. Such a connection is to be closed before anything is written.
 */
enum file_state history_file_read(struct history_file *file);
/* history_file_immutable(path, db): opens it as one that does not change; for who may not write beside it. */
int history_file_immutable(const char *path, struct sqlite3 **db);
/* history_file_set_aside(file, problem, size): renames it and its log; appends to `problem` what became of it. */
bool history_file_set_aside(struct history_file *file, char *problem, size_t size);
/* history_file_same(file): whether the path still leads to the file that is open or goes on. */
bool history_file_same(const struct history_file *file);
uint64_t history_file_octets(const struct history_file *file);

/* A step brings the schema of one version to the next, within the transaction of all steps. */
struct history_step {
    const char *sql;
};
/* history_migrate(db, steps, count): from version v on, steps[v - 1] and those behind it; a code of SQLite. */
int history_migrate(struct sqlite3 *db, const struct history_step *steps, size_t count);

int history_run(struct sqlite3 *db, const char *sql); /* statements without results; a code of SQLite */
/* history_number(db, sql, value): the first number of the first row. */
int history_number(struct sqlite3 *db, const char *sql, int64_t *value);
bool history_is_damage(int code);

/* ---- history_write.c ---- */

enum write_outcome {
    WRITE_STORED = 1,
    WRITE_FAILED,  /* to be tried again as it is */
    WRITE_RESTART, /* the file is another one now: everything is wanted */
};
enum write_outcome history_write(struct history_file *file, const struct history_batch *batch, char *problem,
                                 size_t size);

/* ---- history_thread.c ---- */

struct history_thread;
/* history_thread_start(file): owns the file from the first batch on, until it has been stopped. NULL: no thread. */
struct history_thread *history_thread_start(struct history_file *file);
/* history_thread_give(thread, batch): when it has none. The batch is the thread's until it is taken back. */
void history_thread_give(struct history_thread *thread, struct history_batch *batch);
/* history_thread_take(thread, outcome): the batch that has ended; NULL: there is none. */
struct history_batch *history_thread_take(struct history_thread *thread, enum write_outcome *outcome);
int history_thread_descriptor(const struct history_thread *thread); /* readable while there is one to take */
/* history_thread_wait(thread, milliseconds): until a batch can be taken; false: none yet. */
bool history_thread_wait(struct history_thread *thread, int milliseconds);
/* history_thread_hurry(thread): tries at once, and once only from now on: the end is near. */
void history_thread_hurry(struct history_thread *thread);
/* history_thread_stop(thread): false: it is stuck in the disk, and everything that it uses has to stay. */
bool history_thread_stop(struct history_thread *thread, int milliseconds);
/* history_thread_fail(thread, problem): it fails already, before the first attempt. */
void history_thread_fail(struct history_thread *thread, const char *problem);
bool history_thread_failing(struct history_thread *thread, char *problem, size_t size);
struct history_counts history_thread_counts(struct history_thread *thread);

/* ---- history_load.c ---- */

/* history_load_clock(db, clock): false when no batch was ever stored. */
bool history_load_clock(struct sqlite3 *db, struct history_clock *clock);
/* history_base(clock, boot, wall, run): the base with which the clock goes on. */
int64_t history_base(const struct history_clock *clock, const char *boot, int64_t wall, int64_t run);
void history_boot(char out[40]);
/* history_load_ledger(db, base, wall, run, report, context): NULL when there is none; `code` of SQLite. */
struct ledger *history_load_ledger(struct sqlite3 *db, int64_t base, int64_t wall, int64_t run, ledger_report *report,
                                   void *context, int *code);
/* history_load_unsent(...): see history_unsent. */
size_t history_load_unsent(struct sqlite3 *db, int64_t base, size_t most, history_each_transition *each, void *context);

#endif
