#include "history_fixture.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

#define STEP (10 * CLOCK_SECOND) /* so long that a batch is begun at each */

static char folder[64];

void history_enter(void)
{
    snprintf(folder, sizeof folder, "/tmp/fedwarden-history-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(chdir(folder), 0);
}

void history_leave(void)
{
    DIR *directory = opendir(folder);
    for (struct dirent *entry = readdir(directory); entry; entry = readdir(directory))
        if (unlinkat(dirfd(directory), entry->d_name, 0) < 0)
            unlinkat(dirfd(directory), entry->d_name, AT_REMOVEDIR);
    closedir(directory);
    cr_assert_eq(chdir("/"), 0);
    cr_expect_eq(rmdir(folder), 0);
}

/* ---- what is in it ---- */

struct lines {
    size_t count, room;
    char **lines;
};

static void add_row(void *context, enum ledger_row kind, const uint32_t key[INDEX_PARTS], const void *row)
{
    struct lines *lines = context;
    const struct history_table *table = &history_tables[kind];
    struct history_buffer buffer = {0};
    struct ledger_source source;
    if (!row) /* went since it was stored */
        return;
    if (kind == LEDGER_ROW_SOURCE) { /* only the order of these numbers is kept */
        source = *(const struct ledger_source *)row;
        source.used = 0;
        row = &source;
    }
    history_pack(&buffer, kind, key, row);
    size_t length = buffer.length - sizeof(struct history_packed);
    char *line = malloc(64 + 2 * length);
    int used = sprintf(line, "%02d %010" PRIu32 " %010" PRIu32 " %010" PRIu32 " %s ", kind, key[0], key[1], key[2],
                       table->name);
    text_hex(line + used, 2 * length + 1, buffer.data + sizeof(struct history_packed), length);
    history_buffer_clear(&buffer);
    if (lines->count == lines->room) {
        lines->room = lines->room ? 2 * lines->room : 64;
        lines->lines = realloc(lines->lines, lines->room * sizeof *lines->lines);
    }
    lines->lines[lines->count++] = line;
}

static int compare(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

char *dump_ledger(struct ledger *ledger)
{
    struct lines lines = {0};
    size_t length = 1;
    ledger_changes_all(ledger);
    ledger_changes_take(ledger, &lines, add_row);
    if (lines.count)
        qsort(lines.lines, lines.count, sizeof *lines.lines, compare);
    for (size_t i = 0; i < lines.count; i++)
        length += strlen(lines.lines[i]) + 1;
    char *text = malloc(length), *end = text;
    *text = '\0';
    for (size_t i = 0; i < lines.count; i++) {
        end += sprintf(end, "%s\n", lines.lines[i]);
        free(lines.lines[i]);
    }
    free(lines.lines);
    return text;
}

/* ---- a life ---- */

static void on_transition(void *context, const struct transition *transition)
{
    struct life *life = context;
    fixture_report(&life->fixture, transition);
    if (life->history)
        history_transition(life->history, transition);
}

static void on_failure(void *context, const struct ledger_failure *failure, enum event event, uint32_t count,
                       const struct ledger_partner *partner, const struct ledger_source *source)
{
    struct life *life = context;
    history_failure(life->history, failure, event, count, partner, source);
}

static void on_verdict(void *context, const struct ledger_partner *partner)
{
    struct life *life = context;
    history_verdict(life->history, partner, life->fixture.wall);
}

static void at_step(struct life *life, uint64_t step)
{
    life->step = step;
    life->fixture.wall = FIXTURE_WALL + (int64_t)step * STEP;
    life->fixture.run = FIXTURE_START + (int64_t)step * STEP;
}

struct life *life_begin(size_t partners)
{
    struct life *life = calloc(1, sizeof *life);
    struct fixture *fixture = &life->fixture;
    const struct history_mark *marks;
    life->history = history_open(HISTORY_PATH, &life->opened, life->problem, sizeof life->problem);
    at_step(life, 0);
    if (history_marks(life->history, &marks) == 1)
        at_step(life, marks[0].skip);
    fixture->conf = fixture_conf(partners);
    fixture->conf->history.days = 3650;
    fixture->conf->history.transitions = fixture->conf->history.verdicts = fixture->conf->history.failures = 10000000;
    history_limits(life->history, fixture->conf);
    fixture->ledger = history_load(life->history, fixture->wall, fixture->run, on_transition, life);
    if (fixture->ledger)
        ledger_bind(fixture->ledger, fixture->conf, fixture->wall, fixture->run);
    else
        fixture->ledger = ledger_new(fixture->conf, fixture->wall, fixture->run, on_transition, life);
    ledger_failures(fixture->ledger, on_failure, life);
    ledger_verdicts(fixture->ledger, on_verdict, life);
    return life;
}

void life_end(struct life *life)
{
    history_close(life->history, life->fixture.ledger, life->fixture.wall, life->fixture.run);
    ledger_free(life->fixture.ledger);
    fixture_conf_free(life->fixture.conf);
    free(life);
}

static uint32_t mix(uint64_t number)
{
    number = (number + 1) * UINT64_C(0x9E3779B97F4A7C15);
    number ^= number >> 31;
    number *= UINT64_C(0xBF58476D1CE4E5B9);
    return (uint32_t)(number >> 32);
}

static void work_event(struct fixture *fixture, uint32_t random)
{
    struct observation observation = {
        .kind = OBSERVATION_EVENT, .partner = OBSERVATION_NO_PARTNER, .wall = fixture->wall, .run = fixture->run};
    struct observation_event *event = &observation.event;
    event->event = EVENT_AUTH_SOURCE;
    event->reason = REASON_AUTH_BAD_CREDENTIALS;
    event->count = 1 + random % 30;
    event->address = (struct address){ADDRESS_IPV4, {203, 0, 113, (uint8_t)(random >> 8)}};
    text_format(event->user, sizeof event->user, "user%u", random >> 16 & 15);
    text_copy(event->rule, sizeof event->rule, "test/rule");
    ledger_apply(fixture->ledger, &observation);
}

static void work(struct fixture *fixture, uint64_t step)
{
    static const enum reason reasons[] = {REASON_NONE, REASON_TLS_INCOMPLETE_CHAIN, REASON_NONE, REASON_TCP_REFUSED};
    uint32_t random = mix(step);
    ledger_tick(fixture->ledger, fixture->wall, fixture->run);
    for (uint32_t i = 0; i < 3; i++)
        fixture_walk(fixture, (random + i) % (uint32_t)fixture->conf->partner_count,
                     reasons[(random >> (8 + 2 * i)) % 4]);
    if (random % 3 == 0)
        work_event(fixture, random);
}

void life_work(struct life *life)
{
    at_step(life, life->step + 1);
    work(&life->fixture, life->step);
    struct history_mark mark = {.skip = life->step};
    char data[64];
    text_copy(mark.feed, sizeof mark.feed, "feed");
    if (life->step % 2) {
        mark.length = (size_t)snprintf(data, sizeof data, "at %" PRIu64, life->step);
        mark.data = data;
    }
    history_mark(life->history, &mark);
}

static void wait_for(struct life *life, uint64_t number)
{
    struct pollfd ready = {history_descriptor(life->history), POLLIN, 0};
    while (history_ended(life->history) < number) {
        /* what came back because the file is another one goes out anew */
        number = history_step(life->history, life->fixture.ledger, life->fixture.wall, life->fixture.run);
        if (poll(&ready, 1, 20000) != 1) {
            history_failing(life->history, life->problem, sizeof life->problem);
            cr_assert_fail("a batch does not end: %s", life->problem);
        }
    }
}

void life_store(struct life *life)
{
    wait_for(life, life->begun);
    life->begun = history_step(life->history, life->fixture.ledger, life->fixture.wall, life->fixture.run);
    wait_for(life, life->begun);
}

static void ignore(void *context, const struct transition *transition)
{
    (void)context;
    (void)transition;
}

char *dump_after(size_t partners, uint64_t steps)
{
    struct life life = {0};
    struct fixture *fixture = &life.fixture;
    at_step(&life, 0);
    fixture->conf = fixture_conf(partners);
    fixture->ledger = ledger_new(fixture->conf, fixture->wall, fixture->run, ignore, NULL);
    for (uint64_t step = 1; step <= steps; step++) {
        at_step(&life, step);
        work(fixture, step);
    }
    char *dump = dump_ledger(fixture->ledger);
    ledger_free(fixture->ledger);
    fixture_conf_free(fixture->conf);
    return dump;
}

void expect_same(char *found, char *wanted, const char *what)
{
    size_t at = 0, line = 0;
    for (; found[at] && found[at] == wanted[at]; at++)
        if (found[at] == '\n')
            line = at + 1;
    if (found[at] || wanted[at])
        cr_expect_fail("%s: found  %.*s\n wanted %.*s", what, (int)strcspn(found + line, "\n"), found + line,
                       (int)strcspn(wanted + line, "\n"), wanted + line);
    free(found);
    free(wanted);
}
