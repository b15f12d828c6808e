/* What is kept, and what becomes of a file that is not as it should be. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <poll.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "history_fixture.h"

static void enter(void)
{
    history_enter();
    log_level_set(LOG_LEVEL_ERROR - 1);
}

TestSuite(history, .init = enter, .fini = history_leave, .timeout = 120);

static uint64_t random_state;

static uint64_t random_number(void)
{
    random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
    uint64_t mixed = random_state ^ random_state >> 33;
    return mixed * UINT64_C(0xff51afd7ed558ccd);
}

/* ---- rows ---- */

static void fill_text(char *member, size_t size)
{
    size_t length = random_number() % size;
    for (size_t i = 0; i < length; i++)
        member[i] = (char)(' ' + random_number() % 95);
    member[length] = '\0';
}

static void fill(const struct history_column *column, uint8_t *member)
{
    uint64_t number = random_number();
    switch (column->type) {
    case COLUMN_KIND:
        number %= column->limit;
        memcpy(member, &number, column->size);
        break;
    case COLUMN_REASON:
        *(enum reason *)member = reason_at(number % reason_count())->reason;
        break;
    case COLUMN_FLAG:
        *(bool *)member = number & 1;
        break;
    case COLUMN_RUN:
    case COLUMN_OFFSET:
        *(int64_t *)member = number & 1 ? (int64_t)(number >> 8) : 0;
        break;
    case COLUMN_TEXT:
        fill_text((char *)member, column->size);
        break;
    case COLUMN_ADDRESS:
        *(struct address *)member = (struct address){.family = (uint8_t)(number % 3)};
        for (int i = 0; i < (number % 3 == ADDRESS_IPV4 ? 4 : number % 3 == ADDRESS_IPV6 ? 16 : 0); i++)
            ((struct address *)member)->octets[i] = (uint8_t)(random_number() >> 11);
        break;
    case COLUMN_WINDOW:
        for (int i = 0; i < (int)(number % 40); i++)
            window_add((struct window *)member, 900, 1000000000 + i * 7000000, (uint32_t)random_number());
        break;
    default:
        for (size_t i = 0; i < column->size; i++)
            member[i] = (uint8_t)(random_number() >> 23);
    }
}

static struct history_buffer packed(unsigned table, const uint32_t *key, const void *row)
{
    struct history_buffer buffer = {0};
    history_pack(&buffer, table, key, row);
    return buffer;
}

static void write_packed(sqlite3 *db, const struct history_buffer *buffer, enum history_sql what, int64_t base)
{
    char sql[HISTORY_SQL_MAX];
    struct history_packed head;
    sqlite3_stmt *statement;
    size_t at = 0;
    const uint8_t *data = history_unpack(buffer, &at, &head);
    cr_assert_eq(sqlite3_prepare_v2(db, history_sql(head.table, what, sql), -1, &statement, NULL), SQLITE_OK, "%s: %s",
                 sql, sqlite3_errmsg(db));
    cr_expect_eq(history_bind(statement, &head, data, base), SQLITE_OK);
    cr_expect_eq(sqlite3_step(statement), SQLITE_DONE, "%s", sqlite3_errmsg(db));
    sqlite3_finalize(statement);
}

/* Writes a row with random values, reads it back, and removes it. */
static void round_trip(sqlite3 *db, unsigned number)
{
    const struct history_table *table = &history_tables[number];
    char sql[HISTORY_SQL_MAX];
    uint32_t key[INDEX_PARTS] = {0}, found_key[INDEX_PARTS];
    sqlite3_stmt *statement;
    uint8_t *row = calloc(1, table->size), *found = calloc(1, table->size);
    for (unsigned i = 0; i < table->parts; i++) {
        key[i] = (uint32_t)random_number();
        if (table->keys[i].size == 4)
            memcpy(row + table->keys[i].offset, &key[i], 4);
    }
    for (size_t i = 0; i < table->count; i++)
        fill(&table->columns[i], row + table->columns[i].offset);
    struct history_buffer buffer = packed(number, key, row);
    write_packed(db, &buffer, SQL_REPLACE, INT64_C(1767225600000000));
    cr_assert_eq(sqlite3_prepare_v2(db, history_sql(number, SQL_SELECT, sql), -1, &statement, NULL), SQLITE_OK);
    cr_assert_eq(sqlite3_step(statement), SQLITE_ROW);
    cr_expect(history_fetch(statement, number, INT64_C(1767225600000000), found_key, found));
    cr_expect_eq(memcmp(key, found_key, sizeof key), 0);
    struct history_buffer again = packed(number, key, found);
    cr_expect_eq(again.length, buffer.length, "%s", table->name);
    cr_expect(again.length == buffer.length && memcmp(again.data, buffer.data, buffer.length) == 0, "%s", table->name);
    cr_expect_eq(sqlite3_step(statement), SQLITE_DONE);
    sqlite3_finalize(statement);
    if (table->parts) {
        struct history_buffer gone = packed(number, key, NULL);
        write_packed(db, &gone, SQL_DELETE, 0);
        history_buffer_clear(&gone);
    } else {
        text_format(sql, sizeof sql, "DELETE FROM %s", table->name);
        cr_expect_eq(history_run(db, sql), SQLITE_OK);
    }
    history_buffer_clear(&buffer);
    history_buffer_clear(&again);
    free(row);
    free(found);
}

Test(history, rows_of_every_kind_come_back_as_they_were)
{
    sqlite3 *db;
    cr_assert_eq(sqlite3_open(":memory:", &db), SQLITE_OK);
    cr_assert_eq(history_create(db), SQLITE_OK, "%s", sqlite3_errmsg(db));
    for (unsigned table = LEDGER_ROW_STATE; table < HISTORY_TABLES; table++)
        for (int i = 0; i < 50; i++)
            round_trip(db, table);
    sqlite3_close(db);
}

Test(history, numbers_that_make_no_sense_are_refused)
{
    sqlite3 *db;
    sqlite3_stmt *statement;
    char sql[HISTORY_SQL_MAX];
    uint32_t key[INDEX_PARTS];
    struct ledger_cell cell;
    struct history_verdict_row verdict;
    cr_assert_eq(sqlite3_open(":memory:", &db), SQLITE_OK);
    cr_assert_eq(history_create(db), SQLITE_OK);
    history_run(db,
                "INSERT INTO verdicts (wall, partner, health, reason) VALUES (1, 'p' || char(27) || '[31m', 9, 302)");
    sqlite3_prepare_v2(db, history_sql(HISTORY_VERDICTS, SQL_SELECT, sql), -1, &statement, NULL);
    cr_assert_eq(sqlite3_step(statement), SQLITE_ROW);
    cr_expect_not(history_fetch(statement, HISTORY_VERDICTS, 0, key, &verdict), "there is no health 9");
    sqlite3_finalize(statement);
    history_run(db, "UPDATE verdicts SET health = 3, reason = 77");
    sqlite3_prepare_v2(db, history_sql(HISTORY_VERDICTS, SQL_SELECT, sql), -1, &statement, NULL);
    cr_assert_eq(sqlite3_step(statement), SQLITE_ROW);
    cr_expect(history_fetch(statement, HISTORY_VERDICTS, 0, key, &verdict));
    cr_expect_eq(verdict.reason, REASON_UNCLASSIFIED);
    cr_expect_str_eq(verdict.partner, "p\\x1b[31m");
    sqlite3_finalize(statement);

    memset(&cell, 0, sizeof cell);
    cell.event = EVENT_DNS;
    window_add(&cell.window, 900, 5000000, 3);
    struct history_buffer buffer = packed(LEDGER_ROW_TOTAL, (uint32_t[]){7, 0, 0}, &cell);
    write_packed(db, &buffer, SQL_REPLACE, 0);
    history_buffer_clear(&buffer);
    static const char *const windows[] = {"x",
                                          "900",
                                          "900 1",
                                          "900 1 2 x",
                                          "0 1 2 3",
                                          "-5 -5 -5 -5",
                                          "900 9223372036854775807 9223372036854775807 1",
                                          "99999999999 1 1 1"};
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
        text_format(sql, sizeof sql, "UPDATE totals SET window = '%s'", windows[i]);
        cr_expect_eq(history_run(db, sql), SQLITE_OK);
        sqlite3_prepare_v2(db, history_sql(LEDGER_ROW_TOTAL, SQL_SELECT, sql), -1, &statement, NULL);
        cr_assert_eq(sqlite3_step(statement), SQLITE_ROW);
        cr_expect(history_fetch(statement, LEDGER_ROW_TOTAL, 0, key, &cell));
        cr_expect_leq(window_sum(&cell.window, 900, 6000000), 1, "%s", windows[i]);
        sqlite3_finalize(statement);
    }
    sqlite3_close(db);
}

/* ---- restarts ---- */

Test(history, a_ledger_goes_on_as_it_was)
{
    struct stat status;
    struct life *life = life_begin(7);
    cr_expect_eq(life->opened, HISTORY_NEW);
    cr_expect_str_eq(life->problem, "");
    for (int i = 0; i < 200; i++)
        life_work(life);
    life_store(life);
    cr_expect_eq(stat(HISTORY_PATH, &status), 0);
    cr_expect_eq(status.st_mode & 07777, 0640, "%o", status.st_mode);
    cr_expect_eq(stat(HISTORY_PATH "-wal", &status), 0);
    cr_expect_eq(status.st_mode & 07777, 0640, "%o", status.st_mode);
    char *before = dump_ledger(life->fixture.ledger);
    life_end(life);

    life = life_begin(7);
    cr_expect_eq(life->opened, HISTORY_KEPT, "%s", life->problem);
    cr_expect_eq(life->step, 200);
    expect_same(dump_ledger(life->fixture.ledger), before, "loaded");
    for (int i = 0; i < 100; i++)
        life_work(life);
    expect_same(dump_ledger(life->fixture.ledger), dump_after(7, 300), "gone on");
    life_end(life);
}

Test(history, a_removed_or_replaced_file_is_begun_anew_with_everything)
{
    struct life *life = life_begin(5);
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 20; i++)
            life_work(life);
        life_store(life);
        char other[64];
        switch (round) {
        case 0:
            unlink(HISTORY_PATH);
            break;
        case 1:
            rename(HISTORY_PATH, "moved");
            break;
        default:
            snprintf(other, sizeof other, "cp %s copy && mv copy " HISTORY_PATH, round == 2 ? "/bin/true" : "moved");
            cr_assert_eq(system(other), 0);
        }
    }
    life_work(life);
    life_store(life);
    cr_expect_eq(history_counts(life->history).lost, 0);
    life_end(life);
    life = life_begin(5);
    cr_expect_eq(life->opened, HISTORY_KEPT, "%s", life->problem);
    cr_expect_eq(life->step, 81);
    expect_same(dump_ledger(life->fixture.ledger), dump_after(5, 81), "all of it");
    life_end(life);
    glob_t found;
    cr_expect_eq(glob(HISTORY_PATH ".broken-*[0-9]", 0, NULL, &found), 0);
    cr_expect_eq(found.gl_pathc, 2, "what replaced it was set aside");
    globfree(&found);
}

static void store_steps(size_t partners, int steps)
{
    struct life *life = life_begin(partners);
    for (int i = 0; i < steps; i++)
        life_work(life);
    life_end(life);
}

Test(history, run_times_mean_the_same_after_another_start_of_the_machine)
{
    struct life *life = life_begin(1);
    int64_t run = life->fixture.run;
    fixture_walk(&life->fixture, 0, REASON_TCP_REFUSED);
    fixture_walk(&life->fixture, 0, REASON_TCP_REFUSED);
    life_end(life);

    enum history_opened opened;
    char problem[HISTORY_PROBLEM];
    struct history *history = history_open(HISTORY_PATH, &opened, problem, sizeof problem);
    cr_assert_eq(opened, HISTORY_KEPT, "%s", problem);
    /* 300 seconds later, and the machine has run for 5: they were 295 s before it started */
    int64_t wall = FIXTURE_WALL + 300 * CLOCK_SECOND, now = 5 * CLOCK_SECOND;
    cr_assert_lt(now, run);
    struct ledger *ledger = history_load(history, wall, now, fixture_report, &(struct fixture){0});
    cr_assert_not_null(ledger);
    struct ledger_cell *cell = index_find(&ledger->partner_events, (uint32_t[]){1, EVENT_CONNECTION});
    cr_assert_not_null(cell);
    cr_expect_eq(cell->last.run, -295 * CLOCK_SECOND);
    cr_expect_eq(window_sum(&cell->window, 900, now), 2);
    cr_expect_eq(window_sum(&cell->window, 900, 500 * CLOCK_SECOND), 2);
    cr_expect_eq(window_sum(&cell->window, 900, 700 * CLOCK_SECOND), 0);
    ledger_free(ledger);
    history_close(history, NULL, wall, now);
}

Test(history, a_wall_clock_that_jumps_moves_no_run_time)
{
    struct life *life = life_begin(1);
    fixture_walk(&life->fixture, 0, REASON_TCP_REFUSED);
    life->fixture.wall += 3600 * CLOCK_SECOND;
    life->fixture.run += CLOCK_SECOND;
    life_end(life);
    enum history_opened opened;
    char problem[HISTORY_PROBLEM];
    struct history *history = history_open(HISTORY_PATH, &opened, problem, sizeof problem);
    int64_t now = FIXTURE_START + 10 * CLOCK_SECOND; /* the wall clock has jumped back meanwhile */
    struct ledger *ledger =
        history_load(history, FIXTURE_WALL - 3600 * CLOCK_SECOND, now, fixture_report, &(struct fixture){0});
    cr_assert_not_null(ledger);
    struct ledger_cell *cell = index_find(&ledger->partner_events, (uint32_t[]){1, EVENT_CONNECTION});
    cr_assert_not_null(cell);
    cr_expect_eq(cell->last.run, FIXTURE_START, "within one start of the machine");
    ledger_free(ledger);
    history_close(history, NULL, 0, now);
}

/* ---- one file, two daemons ---- */

Test(history, a_second_daemon_is_refused)
{
    struct life *life = life_begin(1);
    enum history_opened opened;
    char problem[HISTORY_PROBLEM], wanted[HISTORY_PROBLEM];
    life_work(life);
    life_store(life);
    struct history *second = history_open(HISTORY_PATH, &opened, problem, sizeof problem);
    cr_expect_eq(opened, HISTORY_TAKEN);
    snprintf(
        wanted, sizeof wanted,
        "history.db is written by another fedwarden, process %ld. Two must not share a history: end that one, or name"
        " another file in history.file",
        (long)getpid());
    cr_expect_str_eq(problem, wanted);
    cr_expect(history_failing(second, problem, sizeof problem));
    cr_expect_null(history_load(second, 1, 1, fixture_report, NULL));
    cr_expect_eq(history_step(second, life->fixture.ledger, 1, 1), 0, "nothing is ever written");
    history_close(second, life->fixture.ledger, 1, 1);
    life_end(life);
    life = life_begin(1);
    cr_expect_eq(life->opened, HISTORY_KEPT, "the lock is gone with its holder");
    life_end(life);
}

/* ---- damage ---- */

static void overwrite(const char *path, off_t at, size_t count)
{
    int descriptor = open(path, O_WRONLY);
    for (size_t i = 0; i < count; i++) {
        uint8_t octet = (uint8_t)random_number();
        cr_assert_eq(pwrite(descriptor, &octet, 1, at + (off_t)i), 1);
    }
    close(descriptor);
}

static off_t size_of(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? status.st_size : -1;
}

static void expect_set_aside(struct life *life, const char *why, size_t count)
{
    glob_t found;
    cr_expect_eq(life->opened, HISTORY_BROKEN, "%s: %d %s", why, life->opened, life->problem);
    cr_expect(strstr(life->problem, why), "\"%s\" is not in \"%s\"", why, life->problem);
    cr_expect(strstr(life->problem, ". It was set aside as history.db.broken-2"), "%s", life->problem);
    cr_expect(strstr(life->problem, "counters begin again"), "%s", life->problem);
    cr_expect_eq(life->step, 0);
    cr_expect_eq(glob(HISTORY_PATH ".broken-*[0-9]", 0, NULL, &found), 0);
    cr_expect_eq(found.gl_pathc, count, "%zu of %zu", found.gl_pathc, count);
    globfree(&found);
    life_work(life);
    life_store(life);
    cr_expect_not(history_failing(life->history, life->problem, sizeof life->problem), "%s", life->problem);
}

Test(history, damage_is_set_aside_and_a_new_history_begun)
{
    static const char *const whys[] = {"is damaged", "is empty", "is damaged", "is damaged: ", "is damaged"};
    for (size_t i = 0; i < sizeof whys / sizeof *whys; i++) {
        store_steps(3, 100);
        off_t size = size_of(HISTORY_PATH);
        switch (i) {
        case 0: /* the header */
            overwrite(HISTORY_PATH, 0, 100);
            break;
        case 1:
            cr_assert_eq(truncate(HISTORY_PATH, 0), 0);
            break;
        case 2:
            cr_assert_eq(truncate(HISTORY_PATH, size / 2), 0);
            break;
        case 3: /* pages in the middle */
            overwrite(HISTORY_PATH, size / 8192 * 4096, 4096);
            break;
        default:
            overwrite(HISTORY_PATH, 0, (size_t)size);
        }
        struct life *life = life_begin(3);
        expect_set_aside(life, whys[i], i + 1 < HISTORY_ASIDE_MAX ? i + 1 : HISTORY_ASIDE_MAX);
        life_end(life);
    }
}

/* Whatever is in the file: it is a history, or set aside, and nothing worse. */
Test(history, random_octets_do_no_harm)
{
    store_steps(3, 60);
    cr_assert_eq(rename(HISTORY_PATH, "good"), 0);
    off_t size = size_of("good");
    int kept = 0, broken = 0;
    for (int i = 0; i < 60; i++) {
        random_state = (uint64_t)i;
        cr_assert_eq(system("cp good " HISTORY_PATH), 0);
        for (int k = 0; k < 1 + i % 8; k++)
            overwrite(HISTORY_PATH, (off_t)(random_number() % (uint64_t)(size - 4)), 1 + (size_t)i % 4);
        struct life *life = life_begin(3);
        kept += life->opened == HISTORY_KEPT;
        broken += life->opened == HISTORY_BROKEN;
        life_work(life);
        life_store(life);
        life_end(life);
        cr_assert_eq(unlink(HISTORY_PATH), 0);
    }
    cr_expect_eq(kept + broken, 60);
    cr_expect_gt(broken, 10);
    cr_expect_gt(kept, 5);
}

static void make_database(const char *sql)
{
    sqlite3 *db;
    unlink(HISTORY_PATH);
    cr_assert_eq(sqlite3_open(HISTORY_PATH, &db), SQLITE_OK);
    cr_assert_eq(history_run(db, sql), SQLITE_OK, "%s", sqlite3_errmsg(db));
    sqlite3_close(db);
}

Test(history, what_is_no_history_of_ours_is_set_aside)
{
    make_database("CREATE TABLE contacts (name)");
    struct life *life = life_begin(1);
    expect_set_aside(life, "history.db is a database, but no history of fedwarden", 1);
    life_end(life);
    make_database("PRAGMA application_id = 1180125257; PRAGMA user_version = 99; CREATE TABLE state (x)");
    life = life_begin(1);
    expect_set_aside(life,
                     "history.db was written by a newer fedwarden (schema 99, this one knows 1). Run the newer one", 2);
    life_end(life);
    make_database("PRAGMA application_id = 1180125257; PRAGMA user_version = 1; CREATE TABLE state (x)");
    life = life_begin(1);
    expect_set_aside(life, "is damaged: no such column", 3);
    life_end(life);
}

Test(history, a_file_that_cannot_be_used_is_told_and_tried_again)
{
    cr_assert_eq(mkdir(HISTORY_PATH, 0700), 0);
    struct life *life = life_begin(2);
    cr_expect_eq(life->opened, HISTORY_NONE);
    cr_expect_str_eq(life->problem, "history.db is no regular file. Name another in history.file");
    cr_expect(history_failing(life->history, life->problem, sizeof life->problem));
    life_work(life);
    history_step(life->history, life->fixture.ledger, life->fixture.wall, life->fixture.run);
    life_work(life);
    cr_assert_eq(rmdir(HISTORY_PATH), 0);
    life_store(life);
    cr_expect_not(history_failing(life->history, life->problem, sizeof life->problem), "%s", life->problem);
    life_end(life);
    life = life_begin(2);
    cr_expect_eq(life->opened, HISTORY_KEPT);
    cr_expect_eq(life->step, 2);
    expect_same(dump_ledger(life->fixture.ledger), dump_after(2, 2), "all of it");
    life_end(life);
}

/* ---- versions of the schema ---- */

static int64_t number_of(const char *sql)
{
    sqlite3 *db;
    int64_t number = -1;
    cr_assert_eq(sqlite3_open_v2(HISTORY_PATH, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    cr_expect_eq(history_number(db, sql, &number), SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(db));
    sqlite3_close(db);
    return number;
}

Test(history, an_older_schema_is_brought_up_to_date_or_left_alone)
{
    static const struct history_step good[] = {{"ALTER TABLE verdicts ADD COLUMN note TEXT NOT NULL DEFAULT 'older'"},
                                               {"CREATE TABLE extra (a); INSERT INTO extra VALUES (3)"}};
    static const struct history_step bad[] = {{"ALTER TABLE verdicts ADD COLUMN other TEXT"}, {"DROP TABLE nothing"}};
    sqlite3 *db;
    store_steps(3, 50);
    int64_t verdicts = number_of("SELECT count(*) FROM verdicts");
    cr_assert_gt(verdicts, 0);
    cr_assert_eq(sqlite3_open(HISTORY_PATH, &db), SQLITE_OK);
    cr_expect_neq(history_migrate(db, bad, 2), SQLITE_OK);
    cr_expect_eq(number_of("PRAGMA user_version"), 1);
    cr_expect_eq(number_of("SELECT count(*) FROM pragma_table_info('verdicts') WHERE name = 'other'"), 0,
                 "all steps or none");
    cr_expect_eq(history_migrate(db, good, 2), SQLITE_OK, "%s", sqlite3_errmsg(db));
    cr_expect_eq(number_of("PRAGMA user_version"), 3);
    cr_expect_eq(number_of("SELECT count(*) FROM verdicts WHERE note = 'older'"), verdicts);
    cr_expect_eq(number_of("SELECT a FROM extra"), 3);
    cr_expect_eq(history_migrate(db, good, 2), SQLITE_OK, "twice is once");
    cr_expect_eq(number_of("SELECT count(*) FROM extra"), 1);
    sqlite3_close(db);
}

struct heard {
    size_t count;
    uint64_t first, last;
    bool ordered;
};

static void hear(void *context, const struct transition *transition)
{
    struct heard *heard = context;
    if (!heard->count)
        *heard = (struct heard){.first = transition->sequence, .ordered = true};
    else if (transition->sequence <= heard->last)
        heard->ordered = false;
    heard->last = transition->sequence;
    heard->count++;
}

Test(history, columns_that_are_missing_are_damage)
{
    enum history_opened opened;
    char problem[HISTORY_PROBLEM];
    sqlite3 *db;
    store_steps(3, 5);
    cr_assert_eq(sqlite3_open(HISTORY_PATH, &db), SQLITE_OK);
    cr_assert_eq(history_run(db, "ALTER TABLE verdicts RENAME COLUMN health TO wealth"), SQLITE_OK);
    sqlite3_close(db);
    history_close(history_open(HISTORY_PATH, &opened, problem, sizeof problem), NULL, 0, 0);
    cr_expect_eq(opened, HISTORY_BROKEN, "not one that reads another thing, and that nothing can be written to");
}

/* What was written by another fedwarden. */
static void run_file(const char *path)
{
    char sql[65536];
    sqlite3 *db;
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file, "%s", path);
    size_t length = fread(sql, 1, sizeof sql - 1, file);
    cr_assert(feof(file));
    fclose(file);
    sql[length] = '\0';
    cr_assert_eq(sqlite3_open(HISTORY_PATH, &db), SQLITE_OK);
    cr_assert_eq(history_run(db, sql), SQLITE_OK, "%s", sqlite3_errmsg(db));
    sqlite3_close(db);
}

Test(history, what_the_first_schema_holds_goes_on)
{
    struct heard heard = {0};
    enum history_opened opened;
    char problem[HISTORY_PROBLEM];
    run_file(SCHEMAS "/history_schema_1.sql");
    struct history *history = history_open(HISTORY_PATH, &opened, problem, sizeof problem);
    cr_assert_eq(opened, HISTORY_KEPT, "%s", problem);
    cr_expect_eq(history_unsent(history, 100, hear, &heard), 12);
    cr_expect(heard.ordered && heard.first == 1 && heard.last == 12);
    history_close(history, NULL, 0, 0);
    cr_expect_eq(number_of("SELECT count(*) FROM failures"), 7);
    cr_expect_eq(number_of("SELECT count(*) FROM verdicts"), 21);

    struct life *life = life_begin(2);
    struct ledger *ledger = life->fixture.ledger;
    cr_assert_eq(life->opened, HISTORY_KEPT, "%s", life->problem);
    cr_expect_eq(life->step, 12, "the mark");
    cr_expect_eq(ledger->events[EVENT_AUTH_SOURCE].count, 54);
    cr_expect_eq(ledger->events[EVENT_CONNECTION].count, 15);
    cr_expect_eq(ledger->alarms.count, 4);
    cr_expect_not_null(index_find(&ledger->alarms, (uint32_t[]){7}));
    cr_expect_eq(ledger->sequence, 12, "nothing is told again");
    life_work(life);
    life_store(life);
    life_end(life);
    cr_expect_eq(number_of("PRAGMA user_version"), HISTORY_SCHEMA);
    cr_expect_eq(number_of("SELECT skip FROM marks"), 13);
}

/* ---- what is appended ---- */

Test(history, notifications_that_were_not_sent_are_told_again)
{
    struct life *life = life_begin(5);
    for (int i = 0; i < 100; i++)
        life_work(life);
    uint64_t sequence = life->fixture.ledger->sequence;
    cr_assert_gt(sequence, 20);
    for (uint64_t i = 1; i <= sequence - 10; i++) {
        if (i == 12)
            life_store(life); /* some before they are stored, some after */
        history_sent(life->history, i);
    }
    life_end(life);

    life = life_begin(5);
    struct heard all = {0}, some = {0};
    cr_expect_eq(history_unsent(life->history, 1000, hear, &all), 10);
    cr_expect_eq(all.count, 10);
    cr_expect(all.ordered);
    cr_expect_eq(all.first, sequence - 9);
    cr_expect_eq(all.last, sequence);
    cr_expect_eq(history_unsent(life->history, 3, hear, &some), 10);
    cr_expect_eq(some.count, 3);
    cr_expect_eq(some.first, sequence - 2, "the newest");
    for (uint64_t i = sequence - 9; i <= sequence; i++)
        history_sent(life->history, i);
    life_end(life);
    life = life_begin(5);
    cr_expect_eq(history_unsent(life->history, 1000, hear, &all), 0);
    life_end(life);
}

Test(history, marks_come_back)
{
    enum history_opened opened;
    char problem[HISTORY_PROBLEM];
    const struct history_mark *marks;
    struct life *life = life_begin(1);
    uint8_t *large = malloc(HISTORY_MARK_MAX);
    for (size_t i = 0; i < HISTORY_MARK_MAX; i++)
        large[i] = (uint8_t)(i * 7 >> 3);
    cr_expect_eq(history_marks(life->history, &marks), 0);
    history_mark(life->history, &(struct history_mark){"b", 5, HISTORY_MARK_MAX, large});
    history_mark(life->history, &(struct history_mark){"a", 1, 3, "one"});
    history_mark(life->history, &(struct history_mark){"c", 1, 3, "one"});
    life_work(life);
    life_store(life);
    history_mark(life->history, &(struct history_mark){"a", 9, 0, NULL});
    history_mark(life->history, &(struct history_mark){"d", 4, 0, NULL});
    history_forget_mark(life->history, "c");
    history_forget_mark(life->history, "feed");
    history_forget_mark(life->history, "nobody");
    life_end(life);

    struct history *history = history_open(HISTORY_PATH, &opened, problem, sizeof problem);
    cr_assert_eq(history_marks(history, &marks), 3);
    cr_expect_str_eq(marks[0].feed, "a");
    cr_expect_eq(marks[0].skip, 9);
    cr_expect_eq(marks[0].length, 3);
    cr_expect_eq(memcmp(marks[0].data, "one", 3), 0);
    cr_expect_str_eq(marks[1].feed, "b");
    cr_expect_eq(marks[1].length, HISTORY_MARK_MAX);
    cr_expect_eq(memcmp(marks[1].data, large, HISTORY_MARK_MAX), 0);
    cr_expect_str_eq(marks[2].feed, "d");
    cr_expect_eq(marks[2].skip, 4);
    cr_expect_eq(marks[2].length, 0);
    history_close(history, NULL, 0, 0);
    free(large);
}

static struct life *begin_with_limits(uint32_t days, uint32_t most)
{
    struct life *life = life_begin(5);
    life->fixture.conf->history.days = days;
    life->fixture.conf->history.transitions = life->fixture.conf->history.verdicts = most;
    life->fixture.conf->history.failures = most;
    history_limits(life->history, life->fixture.conf);
    return life;
}

Test(history, old_and_many_rows_go_in_small_steps)
{
    struct life *life = life_begin(5);
    life_work(life);
    life_end(life);
    sqlite3 *db;
    cr_assert_eq(sqlite3_open(HISTORY_PATH, &db), SQLITE_OK);
    cr_assert_eq(
        history_run(db, "DELETE FROM verdicts; DELETE FROM failures;"
                        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 2999)"
                        " INSERT INTO verdicts (wall, partner, health, reason)"
                        " SELECT 1767225600000000 - 86400000000 * (3000 - i) / 100, 'p', 1, 1 FROM n;"
                        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 2999)"
                        " INSERT INTO failures (wall, event, reason, count, partner, target, address, port, detail)"
                        " SELECT 1767225600000000, 1, 302, 1, 'p', 't', '', 0, '' FROM n"),
        SQLITE_OK, "%s", sqlite3_errmsg(db));
    sqlite3_close(db);
    life = begin_with_limits(10, 1500); /* verdicts: 100 a day for 30 days; failures: all of today */
    for (int i = 1; i <= 4; i++) {
        life_work(life);
        life_store(life);
        int64_t verdicts = number_of("SELECT count(*) FROM verdicts");
        cr_expect_geq(verdicts, 3000 - 500 * i);
        cr_expect_leq(verdicts, 3000 - 500 * i + 20);
    }
    cr_expect_leq(number_of("SELECT count(*) FROM failures"), 1500);
    cr_expect_geq(number_of("SELECT count(*) FROM failures"), 1490);
    /* a clock that runs ahead for a while removes nothing */
    int64_t before = number_of("SELECT count(*) FROM verdicts");
    life_work(life);
    life->fixture.wall += INT64_C(20) * 365 * 86400 * CLOCK_SECOND;
    life_store(life);
    cr_expect_geq(number_of("SELECT count(*) FROM verdicts"), before);
    life_end(life);
}

Test(history, what_waits_is_bounded_and_counted)
{
    struct history_waiting *waiting = history_waiting_new();
    struct history_batch *batch = calloc(1, sizeof *batch);
    struct transition transition = {.kind = TRANSITION_RAISED};
    struct history_verdict_row verdict = {.partner = "p"};
    struct history_failure_row failure = {.count = 2, .event = EVENT_DNS, .reason = REASON_DNS_TIMEOUT};
    cr_expect_not(history_waiting_any(waiting));
    for (uint64_t i = 0; i < HISTORY_TRANSITIONS_WAIT + 7; i++) {
        transition.sequence = i;
        history_waiting_transition(waiting, &transition);
        history_waiting_verdict(waiting, &verdict);
    }
    for (uint32_t i = 0; i < HISTORY_FAILURES_WAIT + 5; i++)
        for (uint32_t k = 0; k < 3; k++) {
            failure.wall = i * 3 + k;
            history_waiting_failure(waiting, &failure, i, 0);
        }
    for (uint64_t i = 0; i < HISTORY_SENT_WAIT + 3; i++)
        history_waiting_sent(waiting, i);
    cr_expect_eq(history_waiting_lost(waiting), 7 + 7 + 5 * 3 * 2);
    history_waiting_take(waiting, batch);
    cr_expect_not(history_waiting_any(waiting));
    cr_expect_eq(batch->appended.rows, HISTORY_TRANSITIONS_WAIT + HISTORY_VERDICTS_WAIT + HISTORY_FAILURES_WAIT);
    struct history_packed head;
    size_t at = 0;
    uint64_t sequence;
    memcpy(&sequence, history_unpack(&batch->appended, &at, &head), sizeof sequence);
    cr_expect_eq(head.table, HISTORY_TRANSITIONS);
    cr_expect_eq(sequence, 7, "the oldest went");
    cr_expect_eq(batch->sent_count, HISTORY_SENT_WAIT);
    cr_expect_eq(batch->sent[0], 3);
    history_waiting_failure(waiting, &failure, 1, 0);
    cr_expect(history_waiting_any(waiting));
    history_waiting_free(waiting);
    history_batch_free(batch);
}

/* ---- the reader ---- */

static void count_row(void *context, const struct history_failure_row *row)
{
    (void)row;
    ++*(int64_t *)context;
}

static void count_verdict(void *context, const struct history_verdict_row *row)
{
    (void)row;
    ++*(int64_t *)context;
}

Test(history, a_reader_sees_one_state_beside_the_daemon)
{
    char problem[HISTORY_PROBLEM];
    struct life *life = life_begin(5);
    for (int i = 0; i < 100; i++)
        life_work(life);
    life_store(life);
    struct history_reader *reader = history_reader_open(HISTORY_PATH, problem, sizeof problem);
    cr_assert_not_null(reader, "%s", problem);
    cr_expect_eq(history_reader_written(reader), life->fixture.wall);
    int64_t run = life->fixture.run, wall = life->fixture.wall;
    for (int i = 0; i < 100; i++)
        life_work(life);
    life_store(life);
    struct ledger *ledger = history_reader_ledger(reader, wall, run);
    cr_assert_not_null(ledger);
    expect_same(dump_ledger(ledger), dump_after(5, 100), "the state of the first read");
    ledger_free(ledger);
    history_reader_refresh(reader);
    ledger = history_reader_ledger(reader, life->fixture.wall, life->fixture.run);
    expect_same(dump_ledger(ledger), dump_after(5, 200), "the state of then");
    ledger_free(ledger);

    struct history_filter filter = {0};
    struct heard heard = {0};
    cr_expect(history_read_transitions(reader, &filter, hear, &heard));
    cr_expect_eq(heard.count, life->fixture.count);
    cr_expect(heard.ordered);
    heard.count = 0;
    filter.limit = 4;
    cr_expect(history_read_transitions(reader, &filter, hear, &heard));
    cr_expect_eq(heard.count, 4);
    cr_expect_eq(heard.last, life->fixture.ledger->sequence);
    int64_t all = 0, p1 = 0, nobody = 0, early = 0, late = 0, event = 0, verdicts = 0;
    cr_expect(history_read_failures(reader, &(struct history_filter){0}, count_row, &all));
    cr_expect(history_read_failures(reader, &(struct history_filter){.partner = "p1"}, count_row, &p1));
    cr_expect(history_read_failures(reader, &(struct history_filter){.partner = ""}, count_row, &nobody));
    int64_t middle = FIXTURE_WALL + 1000 * CLOCK_SECOND;
    cr_expect(history_read_failures(reader, &(struct history_filter){.until = middle}, count_row, &early));
    cr_expect(history_read_failures(reader, &(struct history_filter){.since = middle}, count_row, &late));
    cr_expect(history_read_failures(reader, &(struct history_filter){.event = EVENT_AUTH_SOURCE}, count_row, &event));
    cr_expect(history_read_verdicts(reader, &(struct history_filter){.partner = "p1"}, count_verdict, &verdicts));
    cr_expect_eq(all, number_of("SELECT count(*) FROM failures"));
    cr_expect_eq(p1, number_of("SELECT count(*) FROM failures WHERE partner = 'p1'"));
    cr_expect_eq(event, number_of("SELECT count(*) FROM failures WHERE event = 2"));
    cr_expect_eq(verdicts, number_of("SELECT count(*) FROM verdicts WHERE partner = 'p1'"));
    cr_expect_gt(p1, 0);
    cr_expect_gt(nobody, 0);
    cr_expect_gt(early, 0);
    cr_expect_gt(late, 0);
    cr_expect_eq(early + late, all);
    history_reader_close(reader);
    life_end(life);
}

Test(history, a_reader_tells_what_it_cannot_read)
{
    char problem[HISTORY_PROBLEM];
    cr_expect_null(history_reader_open("none.db", problem, sizeof problem));
    cr_expect_str_eq(problem, "there is no history at none.db: No such file or directory. Has fedwarden run with this"
                              " configuration?");
    cr_assert_eq(mkfifo("pipe.db", 0600), 0);
    cr_expect_null(history_reader_open("pipe.db", problem, sizeof problem));
    cr_expect_str_eq(problem, "pipe.db is no history of fedwarden: it is no regular file");
    make_database("CREATE TABLE contacts (name)");
    cr_expect_null(history_reader_open(HISTORY_PATH, problem, sizeof problem));
    cr_expect_str_eq(problem, "history.db is no history of fedwarden");
    make_database("PRAGMA application_id = 1180125257; PRAGMA user_version = 99; CREATE TABLE state (x)");
    cr_expect_null(history_reader_open(HISTORY_PATH, problem, sizeof problem));
    cr_expect(strstr(problem, "has schema 99, this fedwarden knows 1"), "%s", problem);
    overwrite(HISTORY_PATH, 0, 100);
    cr_expect_null(history_reader_open(HISTORY_PATH, problem, sizeof problem));
    cr_expect(strstr(problem, "history.db cannot be read: file is not a database"), "%s", problem);
}
