/* What a bad disk does: errors at any call, a process that ends at any call, a file that goes, and slowness. */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "faulty_disk.h"
#include "history_fixture.h"

#define PARTNERS 5

static void enter(void)
{
    history_enter();
    faults_install();
    log_level_set(LOG_LEVEL_ERROR - 1); /* each failure would be told */
}

static void leave(void)
{
    faults_remove();
    history_leave();
}

TestSuite(history_faults, .init = enter, .fini = leave, .timeout = 120);

/* The file holds exactly what the work up to the step that it names makes. Returns that step. */
static uint64_t expect_whole_steps(uint64_t at_least, uint64_t at_most)
{
    char what[64];
    struct life *life = life_begin(PARTNERS);
    uint64_t step = life->step;
    cr_expect(life->opened == HISTORY_KEPT || (life->opened == HISTORY_NEW && !at_least), "%s", life->problem);
    cr_expect(step >= at_least && step <= at_most, "step %" PRIu64 " of %" PRIu64 " to %" PRIu64, step, at_least,
              at_most);
    snprintf(what, sizeof what, "step %" PRIu64, step);
    expect_same(dump_ledger(life->fixture.ledger), dump_after(PARTNERS, step), what);
    life_end(life);
    return step;
}

static int64_t count_rows(const char *table)
{
    sqlite3 *db;
    char sql[64];
    int64_t count = -1;
    snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", table);
    cr_assert_eq(sqlite3_open_v2(HISTORY_PATH, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    cr_expect_eq(history_number(db, sql, &count), SQLITE_OK);
    sqlite3_close(db);
    return count;
}

Test(history_faults, what_failed_is_stored_when_it_can_be)
{
    static const enum fault kinds[] = {FAULT_IO, FAULT_FULL, FAULT_OPEN, FAULT_TORN, FAULT_LATE};
    struct life *life = life_begin(PARTNERS);
    uint64_t failures = 0;
    for (int round = 0; round < 40; round++) {
        faults_set(kinds[round % 5], (uint64_t)round % 7, 1 + (uint64_t)round % 2, 1);
        for (int i = 0; i < 3; i++) {
            life_work(life);
            life_store(life);
        }
    }
    faults_set(FAULT_NONE, 0, 0, 0);
    struct history_counts counts = history_counts(life->history);
    failures = counts.failed_batches;
    cr_expect_gt(failures, 20);
    cr_expect_eq(counts.lost, 0);
    cr_expect_eq(counts.batches, 120);
    cr_expect_not(history_failing(life->history, life->problem, sizeof life->problem));
    int64_t transitions = (int64_t)life->fixture.count;
    cr_expect_gt(transitions, 10);
    life_end(life);
    cr_expect_eq(count_rows("transitions"), transitions, "each once");
    expect_whole_steps(120, 120);
}

/* A life that works and stores until it is killed or its disk ends it; it writes to `stored` what it knows to be stored. */
static void child(uint64_t steps, volatile uint64_t *stored)
{
    struct life *life = life_begin(PARTNERS);
    for (uint64_t i = 0; i < steps; i++) {
        life_work(life);
        life_store(life);
        *stored = life->step;
    }
    _exit(0);
}

/* Kills it some moments after it has stored so many more steps; 0: leaves it alone. */
static void live(uint64_t steps, volatile uint64_t *stored, uint64_t more, unsigned moments)
{
    int status;
    uint64_t before = *stored;
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0)
        child(steps, stored);
    for (int i = 0; more && i < 20000 && *stored < before + more; i++)
        usleep(1000);
    if (more) {
        usleep(moments);
        kill(pid, SIGKILL);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_expect(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 9 || WEXITSTATUS(status) == 0,
              "status %x", status);
}

static uint64_t *shared_number(void)
{
    void *memory = mmap(NULL, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(memory, MAP_FAILED);
    return memory;
}

Test(history_faults, a_process_that_ends_at_any_write_leaves_a_whole_batch)
{
    uint64_t *stored = shared_number();
    for (uint64_t call = 0; call < 120; call += 1 + call / 10) {
        faults_set(FAULT_EXIT, call, 1, 1);
        live(30, stored, 0, 0);
        faults_set(FAULT_NONE, 0, 0, 0);
        *stored = expect_whole_steps(*stored, *stored + 1);
    }
    cr_expect_gt(*stored, 20);
    munmap(stored, sizeof *stored);
}

Test(history_faults, a_killed_process_leaves_a_whole_batch)
{
    uint64_t *stored = shared_number();
    for (int round = 0; round < 40; round++) {
        live(UINT64_MAX, stored, 1 + (uint64_t)round % 3, (unsigned)round * 797 % 3000);
        *stored = expect_whole_steps(*stored, *stored + 1);
    }
    cr_expect_geq(*stored, 60);
    munmap(stored, sizeof *stored);
}

static int64_t now(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CHECKED 4 /* times slower */
#else
#define CHECKED 1
#endif

Test(history_faults, a_slow_disk_is_not_waited_for)
{
    char problem[HISTORY_PROBLEM];
    struct life *life = life_begin(1000);
    life_work(life);
    life_store(life); /* 1,000 partners are there now */
    faults->delay = 200;
    uint64_t first = history_ended(life->history), number = first, begun = 0;
    int64_t until = now(CLOCK_MONOTONIC) + CLOCK_SECOND, cpu = 0;
    while (now(CLOCK_MONOTONIC) < until) {
        for (int i = 0; i < 334; i++)
            life_work(life); /* three walks each */
        int64_t before = now(CLOCK_THREAD_CPUTIME_ID), start = now(CLOCK_MONOTONIC);
        uint64_t was = number;
        number = history_step(life->history, life->fixture.ledger, life->fixture.wall, life->fixture.run);
        int64_t used = now(CLOCK_THREAD_CPUTIME_ID) - before;
        cpu = used > cpu ? used : cpu;
        begun += number > was;
        cr_expect_lt(now(CLOCK_MONOTONIC) - start, 100000, "it has waited for the disk");
        history_failing(life->history, problem, sizeof problem);
        history_counts(life->history);
        poll(NULL, 0, 5);
    }
    cr_expect_lt(cpu, 5000 * CHECKED, "%" PRId64 " us for 1,000 changed rows and more", cpu);
    cr_expect_leq(begun, 3, "batches grow, there are not more of them");
    faults->delay = 0;
    life_store(life);
    uint64_t step = life->step;
    life_end(life);
    life = life_begin(1000);
    cr_expect_eq(life->step, step);
    expect_same(dump_ledger(life->fixture.ledger), dump_after(1000, step), "all of it");
    life_end(life);
}

/* The file belongs to who ended well before; the disk is full when the next one starts. */
Test(history_faults, a_history_that_cannot_be_written_is_read_and_gone_on_with)
{
    struct life *life = life_begin(PARTNERS);
    for (int i = 0; i < 50; i++)
        life_work(life);
    life_end(life);
    for (int i = 0; i < 2; i++) {
        faults_set(i ? FAULT_READONLY : FAULT_SHARED, 0, UINT64_MAX, 1);
        uint64_t step = 50 + 2 * (uint64_t)i;
        life = life_begin(PARTNERS);
        cr_assert_eq(life->opened, HISTORY_KEPT, "%d %s", i, life->problem);
        cr_expect(strstr(life->problem, "It is read, and goes on in memory until it can be written"), "%s",
                  life->problem);
        cr_expect(history_failing(life->history, life->problem, sizeof life->problem));
        cr_expect_eq(life->step, step);
        expect_same(dump_ledger(life->fixture.ledger), dump_after(PARTNERS, step), "read");
        life_work(life);
        history_step(life->history, life->fixture.ledger, life->fixture.wall, life->fixture.run);
        life_work(life);
        faults_set(FAULT_NONE, 0, 0, 0);
        life_store(life);
        cr_expect_not(history_failing(life->history, life->problem, sizeof life->problem), "%s", life->problem);
        life_end(life);
        cr_expect_eq(expect_whole_steps(step + 2, step + 2), step + 2);
    }
}

/* The end does not wait for a disk that is full. */
Test(history_faults, the_end_comes_though_nothing_can_be_written)
{
    struct life *life = life_begin(PARTNERS);
    for (int i = 0; i < 10; i++) {
        life_work(life);
        life_store(life);
    }
    faults_set(FAULT_FULL, 0, UINT64_MAX, 1);
    for (int i = 0; i < 10; i++) {
        life_work(life);
        history_step(life->history, life->fixture.ledger, life->fixture.wall, life->fixture.run);
    }
    int64_t start = now(CLOCK_MONOTONIC);
    life_end(life);
    cr_expect_lt(now(CLOCK_MONOTONIC) - start, 5 * CLOCK_SECOND);
    faults_set(FAULT_NONE, 0, 0, 0);
    expect_whole_steps(10, 11);
}
