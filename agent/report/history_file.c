/*
 * The file. One process writes it: a lock (flock) on FILE.lock is held for as long as the history is open; it is another
 * file because SQLite's own locks end when any descriptor of the database is closed, and because the database may be
 * replaced. Readers need no lock of ours: WAL gives each a state of its own.
 *
 * What is there is taken for a history when its application id, its version and the integrity of its pages say so; what is
 * there and is none is renamed, with its log, and kept (HISTORY_ASIDE_MAX of them), never removed: an operator may want to
 * look into it. That the disk does not answer (SQLITE_IOERR, SQLITE_CANTOPEN, SQLITE_FULL) says nothing about what is on
 * it, so that is never a reason to rename.
 */
#include "report/history_parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

#define NAME_ASIDE ".broken-"

/* From version v to v + 1 at position v - 1. */
static const struct history_step steps[] = {{NULL}};
#define STEP_COUNT (sizeof steps / sizeof steps[0] - 1)
static_assert(STEP_COUNT == HISTORY_SCHEMA - 1, "each version but the first has the step that leads to it");

int history_run(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? SQLITE_OK : sqlite3_extended_errcode(db);
}

int history_number(sqlite3 *db, const char *sql, int64_t *value)
{
    sqlite3_stmt *statement;
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (code != SQLITE_OK)
        return code;
    code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return code == SQLITE_ROW ? SQLITE_OK : code == SQLITE_DONE ? SQLITE_ERROR : code;
}

bool history_is_damage(int code)
{
    int plain = code & 0xff;
    return plain == SQLITE_CORRUPT || plain == SQLITE_NOTADB || plain == SQLITE_ERROR || plain == SQLITE_MISMATCH ||
           plain == SQLITE_CONSTRAINT || plain == SQLITE_RANGE;
}

int history_migrate(sqlite3 *db, const struct history_step *list, size_t count)
{
    char sql[64];
    int64_t version = 0;
    int code = history_run(db, "BEGIN IMMEDIATE");
    if (code == SQLITE_OK)
        code = history_number(db, "PRAGMA user_version", &version);
    for (size_t i = version > 0 ? (size_t)version - 1 : count; i < count && code == SQLITE_OK; i++)
        code = history_run(db, list[i].sql);
    if (code == SQLITE_OK) {
        text_format(sql, sizeof sql, "PRAGMA user_version = %zu", count + 1);
        code = history_run(db, sql);
    }
    if (code == SQLITE_OK)
        code = history_run(db, "COMMIT");
    if (code != SQLITE_OK)
        history_run(db, "ROLLBACK");
    return code;
}

void history_file_init(struct history_file *file, const char *path)
{
    *file = (struct history_file){.path = strdup(path), .lock = -1};
    if (!file->path)
        abort();
    while (getrandom(&file->session, sizeof file->session, 0) != (ssize_t)sizeof file->session)
        if (errno != EINTR)
            abort();
    file->session >>= 1; /* a number that SQLite can hold */
    history_boot(file->boot);
}

void history_file_close(struct history_file *file)
{
    for (int i = 0; i < STATEMENTS; i++) {
        sqlite3_finalize(file->statements[i]);
        file->statements[i] = NULL;
    }
    sqlite3_close(file->db);
    file->db = NULL;
    file->only_read = false;
}

void history_file_end(struct history_file *file)
{
    history_file_close(file);
    if (file->lock >= 0)
        close(file->lock);
    file->lock = -1;
    free(file->path);
    file->path = NULL;
}

bool history_file_same(const struct history_file *file)
{
    struct stat status;
    return stat(file->path, &status) == 0 && status.st_dev == file->device && status.st_ino == file->inode;
}

uint64_t history_file_octets(const struct history_file *file)
{
    struct stat status;
    return stat(file->path, &status) == 0 ? (uint64_t)status.st_size : 0;
}

static void beside(const struct history_file *file, const char *ending, char *out, size_t size)
{
    text_format(out, size, "%s%s", file->path, ending);
}

/* The folder of the file, "." when it names none. */
static void folder_of(const char *path, char *out, size_t size)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        text_copy(out, size, ".");
    else
        text_format(out, size, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

/* FILE_OPEN when we hold the lock. */
static enum file_state take_lock(struct history_file *file, char *problem, size_t size)
{
    char path[PATH_MAX], folder[PATH_MAX], holder[24] = "";
    if (file->lock >= 0)
        return FILE_OPEN;
    beside(file, ".lock", path, sizeof path);
    folder_of(file->path, folder, sizeof folder);
    if (mkdir(folder, 0750) < 0 && errno != EEXIST && errno != EROFS) {
        text_format(problem, size, "the folder %s cannot be made: %s. Make it, writable by the fedwarden user", folder,
                    strerror(errno));
        return FILE_NONE;
    }
    int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0640);
    if (lock < 0 && errno == EROFS) /* that of before will do until it can be written again */
        lock = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (lock < 0) {
        text_format(problem, size, "%s cannot be written: %s. The folder has to be writable by the fedwarden user",
                    path, strerror(errno));
        return FILE_NONE;
    }
    if (flock(lock, LOCK_EX | LOCK_NB) < 0) {
        int error = errno;
        ssize_t length = pread(lock, holder, sizeof holder - 1, 0);
        holder[length > 0 ? strspn(holder, "0123456789") : 0] = '\0';
        close(lock);
        if (error != EWOULDBLOCK) {
            text_format(problem, size, "%s cannot be locked: %s", path, strerror(error));
            return FILE_NONE;
        }
        text_format(
            problem, size,
            "%s is written by another fedwarden%s%s. Two must not share a history: end that one, or name another"
            " file in history.file",
            file->path, *holder ? ", process " : "", holder);
        return FILE_TAKEN;
    }
    int length = snprintf(holder, sizeof holder, "%ld\n", (long)getpid());
    if (ftruncate(lock, 0) < 0 || pwrite(lock, holder, (size_t)length, 0) < 0)
        *holder = '\0'; /* it only helps the other one's message; a full disk is told when a batch is written */
    file->lock = lock;
    return FILE_OPEN;
}

/* Looks at what is there; FILE_MADE: nothing. */
static enum file_state find_file(const struct history_file *file, char *problem, size_t size)
{
    struct stat status;
    if (stat(file->path, &status) < 0) {
        if (errno == ENOENT)
            return FILE_MADE;
        text_format(problem, size, "%s cannot be read: %s", file->path, strerror(errno));
        return FILE_NONE;
    }
    if (!S_ISREG(status.st_mode)) {
        text_format(problem, size, "%s is no regular file. Name another in history.file", file->path);
        return FILE_NONE;
    }
    if (status.st_size == 0) {
        text_format(problem, size, "%s is empty", file->path);
        return FILE_DAMAGED;
    }
    return FILE_OPEN;
}

/* How the database is used. SQLITE_OK, or what went wrong. */
static int set_up(sqlite3 *db)
{
    char sql[256];
    sqlite3_stmt *statement;
    sqlite3_extended_result_codes(db, 1);
    sqlite3_busy_timeout(db, HISTORY_BUSY_MS);
    int code = sqlite3_prepare_v2(db, "PRAGMA journal_mode = WAL", -1, &statement, NULL);
    if (code != SQLITE_OK)
        return code;
    code = sqlite3_step(statement);
    bool wal = code == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(statement, 0), "wal") == 0;
    sqlite3_finalize(statement);
    if (!wal)
        return code == SQLITE_ROW ? SQLITE_CANTOPEN : code;
    text_format(sql, sizeof sql,
                "PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = %d; PRAGMA journal_size_limit = %d;"
                "PRAGMA cache_size = -16384; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON",
                HISTORY_WAL_PAGES, HISTORY_WAL_OCTETS);
    return history_run(db, sql);
}

/* Whether all pages are as they should be; otherwise the first finding. */
static int check_integrity(sqlite3 *db, char *problem, size_t size)
{
    sqlite3_stmt *statement;
    int code = sqlite3_prepare_v2(db, "PRAGMA integrity_check(1)", -1, &statement, NULL);
    if (code != SQLITE_OK)
        return code;
    code = sqlite3_step(statement);
    const char *found = code == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    if (found && strcmp(found, "ok") == 0) {
        code = SQLITE_OK;
    } else if (found) {
        char line[160];
        text_printable(line, sizeof line, found, strlen(found));
        text_format(problem, size, "is damaged: %s", line);
        code = SQLITE_CORRUPT;
    }
    sqlite3_finalize(statement);
    return code;
}

/* Whether the tables are those that we know, by making their statements ready. */
static int check_tables(sqlite3 *db)
{
    char sql[HISTORY_SQL_MAX];
    int code = SQLITE_OK;
    for (unsigned i = LEDGER_ROW_STATE; i < HISTORY_TABLES && code == SQLITE_OK; i++) {
        sqlite3_stmt *statement = NULL;
        code = sqlite3_prepare_v2(db, history_sql(i, SQL_SELECT, sql), -1, &statement, NULL);
        sqlite3_finalize(statement);
    }
    return code;
}

/* A history of ours, brought up to date. SQLITE_OK, or a code with the rest of a sentence about the file. */
static int check_content(sqlite3 *db, bool check, char *problem, size_t size)
{
    int64_t application = 0, version = 0;
    sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DML, 0, NULL); /* a column that is not there is no text of its name */
    int code = history_number(db, "PRAGMA application_id", &application);
    if (code == SQLITE_OK)
        code = history_number(db, "PRAGMA user_version", &version);
    if (code == SQLITE_OK && (application != HISTORY_APPLICATION || version < 1)) {
        text_format(problem, size, "is a database, but no history of fedwarden");
        return SQLITE_NOTADB;
    }
    if (code == SQLITE_OK && version > HISTORY_SCHEMA) {
        text_format(problem, size,
                    "was written by a newer fedwarden (schema %" PRId64 ", this one knows %d). Run the newer one to go"
                    " on with it",
                    version, HISTORY_SCHEMA);
        return SQLITE_NOTADB;
    }
    if (code == SQLITE_OK && check)
        code = check_integrity(db, problem, size);
    if (code == SQLITE_OK && version < HISTORY_SCHEMA)
        code = history_migrate(db, steps, STEP_COUNT);
    return code == SQLITE_OK ? check_tables(db) : code;
}

static int make_content(sqlite3 *db)
{
    int code = history_run(db, "BEGIN IMMEDIATE");
    if (code == SQLITE_OK)
        code = history_create(db);
    if (code == SQLITE_OK)
        code = history_run(db, "COMMIT");
    return code;
}

/* Where the database is gone, its log is worth nothing, and must not be taken for that of the next one. */
static void remove_log(const struct history_file *file)
{
    static const char *const endings[] = {"-wal", "-shm", "-journal"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        char path[PATH_MAX];
        beside(file, endings[i], path, sizeof path);
        unlink(path);
    }
}

/*
 * A file with our permissions and all tables, under another name first: whenever this process ends, there is no history or
 * a whole one. SQLite gives the files beside it the same permissions.
 */
static enum file_state make_file(const struct history_file *file, char *problem, size_t size)
{
    char path[PATH_MAX], journal[PATH_MAX];
    sqlite3 *db = NULL;
    beside(file, ".new", path, sizeof path);
    beside(file, ".new-journal", journal, sizeof journal);
    unlink(journal);
    unlink(path);
    int descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (descriptor < 0) {
        text_format(problem, size, "%s cannot be made: %s. The folder has to be writable by the fedwarden user", path,
                    strerror(errno));
        return FILE_NONE;
    }
    close(descriptor);
    int code = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code == SQLITE_OK)
        code = make_content(db);
    if (code != SQLITE_OK)
        text_format(problem, size, "%s cannot be made: %s", path, db ? sqlite3_errmsg(db) : sqlite3_errstr(code));
    sqlite3_close(db);
    if (code == SQLITE_OK)
        remove_log(file);
    if (code == SQLITE_OK && rename(path, file->path) == 0)
        return FILE_MADE;
    if (code == SQLITE_OK)
        text_format(problem, size, "%s cannot be made: %s", file->path, strerror(errno));
    unlink(journal);
    unlink(path);
    return FILE_NONE;
}

static enum file_state open_database(struct history_file *file, bool check, char *problem, size_t size)
{
    struct stat status;
    struct history_clock clock;
    char what[HISTORY_PROBLEM] = "";
    int code = sqlite3_open_v2(file->path, &file->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code == SQLITE_OK)
        code = set_up(file->db);
    if (code == SQLITE_OK)
        code = check_content(file->db, check, what, sizeof what);
    if (code == SQLITE_OK && stat(file->path, &status) < 0)
        code = SQLITE_CANTOPEN;
    if (code == SQLITE_OK) {
        file->device = status.st_dev;
        file->inode = status.st_ino;
        return history_load_clock(file->db, &clock) ? FILE_OPEN : FILE_MADE;
    }
    bool damaged = history_is_damage(code);
    if (*what)
        text_format(problem, size, "%s %s", file->path, what);
    else
        text_format(problem, size, "%s %s: %s", file->path, damaged ? "is damaged" : "cannot be opened",
                    code == sqlite3_errcode(file->db) ? sqlite3_errmsg(file->db) : sqlite3_errstr(code));
    history_file_close(file);
    return damaged ? FILE_DAMAGED : FILE_NONE;
}

enum file_state history_file_open(struct history_file *file, bool check, char *problem, size_t size)
{
    enum file_state state = take_lock(file, problem, size);
    if (state != FILE_OPEN)
        return state;
    state = find_file(file, problem, size);
    if (state == FILE_MADE)
        state = make_file(file, problem, size);
    if (state == FILE_OPEN || state == FILE_MADE)
        state = open_database(file, check, problem, size);
    return state;
}

/* "file:/var/lib/x%20y?immutable=1" */
int history_file_immutable(const char *path, sqlite3 **db)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-~";
    char uri[3 * PATH_MAX + 32] = "file:", log[PATH_MAX];
    struct stat status;
    text_format(log, sizeof log, "%s-wal", path);
    if (stat(log, &status) == 0 && status.st_size > 0)
        return SQLITE_CANTOPEN; /* what is in it would be missing, or half of it */
    size_t length = strlen(uri);
    for (; *path && length < 3 * PATH_MAX; path++)
        length += (size_t)sprintf(uri + length, strchr(plain, *path) ? "%c" : "%%%02X", (unsigned char)*path);
    strcpy(uri + length, "?immutable=1");
    return sqlite3_open_v2(uri, db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI, NULL);
}

/* A log without the memory that is shared with readers, for which there may be no room: we hold the lock. */
static int open_alone(const char *path, sqlite3 **db)
{
    int code = sqlite3_open_v2(path, db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code != SQLITE_OK)
        return code;
    sqlite3_db_config(*db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_busy_timeout(*db, HISTORY_BUSY_MS);
    return history_run(*db, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA query_only = ON");
}

enum file_state history_file_read(struct history_file *file)
{
    struct stat status;
    struct history_clock clock;
    char what[HISTORY_PROBLEM];
    if (stat(file->path, &status) < 0 || !S_ISREG(status.st_mode) || !status.st_size)
        return FILE_NONE;
    for (int alone = file->lock >= 0; alone >= 0; alone--) {
        int code = alone ? open_alone(file->path, &file->db) : history_file_immutable(file->path, &file->db);
        if (code == SQLITE_OK)
            code = check_content(file->db, true, what, sizeof what);
        if (code == SQLITE_OK && history_load_clock(file->db, &clock)) {
            file->only_read = true;
            file->device = status.st_dev;
            file->inode = status.st_ino;
            return FILE_OPEN;
        }
        history_file_close(file);
    }
    return FILE_NONE;
}

static int compare_names(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

/* Keeps the newest HISTORY_ASIDE_MAX of those that were set aside. The names hold the time. */
static void remove_oldest(const struct history_file *file)
{
    char folder[PATH_MAX], begin[PATH_MAX];
    const char *slash = strrchr(file->path, '/');
    char *names[256];
    size_t count = 0;
    folder_of(file->path, folder, sizeof folder);
    text_format(begin, sizeof begin, "%s" NAME_ASIDE, slash ? slash + 1 : file->path);
    DIR *directory = opendir(folder);
    if (!directory)
        return;
    for (struct dirent *entry = readdir(directory); entry && count < 256; entry = readdir(directory)) {
        size_t length = strlen(entry->d_name);
        bool log = length > 4 && strcmp(entry->d_name + length - 4, "-wal") == 0;
        if (strncmp(entry->d_name, begin, strlen(begin)) == 0 && !log && (names[count] = strdup(entry->d_name)))
            count++;
    }
    if (count)
        qsort(names, count, sizeof *names, compare_names);
    for (size_t i = 0; i < count; i++) {
        char log[PATH_MAX];
        text_format(log, sizeof log, "%s-wal", names[i]);
        if (i + HISTORY_ASIDE_MAX < count && unlinkat(dirfd(directory), names[i], 0) == 0)
            unlinkat(dirfd(directory), log, 0);
        free(names[i]);
    }
    closedir(directory);
}

bool history_file_set_aside(struct history_file *file, char *problem, size_t size)
{
    char aside[PATH_MAX], from[PATH_MAX], to[PATH_MAX], time_text[24];
    time_t seconds = (time_t)(clock_wall() / CLOCK_SECOND);
    struct tm parts;
    struct stat status;
    history_file_close(file);
    gmtime_r(&seconds, &parts);
    strftime(time_text, sizeof time_text, "%Y%m%dT%H%M%S", &parts);
    text_format(aside, sizeof aside, "%s" NAME_ASIDE "%s", file->path, time_text);
    for (int i = 1; i < 100 && lstat(aside, &status) == 0; i++)
        text_format(aside, sizeof aside, "%s" NAME_ASIDE "%s.%02d", file->path, time_text, i);
    beside(file, "-wal", from, sizeof from);
    text_format(to, sizeof to, "%s-wal", aside);
    /* Its log first: a new database must never meet the log of an old one. */
    if ((rename(from, to) < 0 && errno != ENOENT) || (rename(file->path, aside) < 0 && errno != ENOENT)) {
        text_append(problem, size, ". It cannot be set aside: %s. Move it away", strerror(errno));
        return false;
    }
    beside(file, "-shm", from, sizeof from);
    unlink(from);
    remove_oldest(file);
    text_append(problem, size, ". It was set aside as %s", aside);
    return true;
}
