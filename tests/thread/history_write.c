/*
 * The thread that writes the history beside the main thread: batches, marks that both hold, a file that is removed, a reader,
 * and the end while a batch is under way. Run under ThreadSanitizer. What is stored at the end must be all that was done.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "report/history.h"

enum { LIVES = 6, STEPS = 400 };

static void on_transition(void *context, const struct transition *transition)
{
    history_transition(context, transition);
}

static void fail(const char *what)
{
    puts(what);
    exit(1);
}

static void work(struct history *history, struct ledger *ledger, int64_t wall, int64_t run, uint64_t step)
{
    char data[2048];
    struct history_mark mark = {"feed", step, sizeof data, data};
    char problem[256];
    memset(data, (int)step, sizeof data);
    ledger_tick(ledger, wall, run);
    ledger_self(ledger, REASON_MON_TABLE_FULL, step % 5 < 3, "full", wall, run);
    history_mark(history, &mark);
    history_sent(history, step);
    if (step % 100 == 50)
        unlink("history.db");
    history_step(history, ledger, wall, run);
    if (history_failing(history, problem, sizeof problem))
        fail(problem);
    history_counts(history);
}

/* A process in small: goes on from what is there, and ends with a batch under way. */
static void live(uint64_t *step)
{
    enum history_opened opened;
    char problem[512];
    const struct history_mark *marks;
    struct conf conf = {.thresholds[EVENT_MONITOR_SELF] = {1, 900, 1},
                        .history = {.days = 90, .transitions = 1000, .verdicts = 1000, .failures = 1000}};
    int64_t wall = 1767225600 * CLOCK_SECOND + (int64_t)*step * CLOCK_SECOND, run = wall / 2;
    struct history *history = history_open("history.db", &opened, problem, sizeof problem);
    history_limits(history, &conf);
    if (opened != (*step ? HISTORY_KEPT : HISTORY_NEW))
        fail(problem);
    if (*step && (history_marks(history, &marks) != 1 || marks[0].skip != *step || marks[0].length != 2048 ||
                  ((const char *)marks[0].data)[2047] != (char)*step))
        fail("what was done last is not stored");
    struct ledger *ledger = history_load(history, wall, run, on_transition, history);
    if (ledger)
        ledger_bind(ledger, &conf, wall, run);
    else
        ledger = ledger_new(&conf, wall, run, on_transition, history);
    for (int i = 0; i < STEPS; i++) {
        struct pollfd ended = {history_descriptor(history), POLLIN, 0};
        wall += CLOCK_SECOND;
        run += CLOCK_SECOND;
        work(history, ledger, wall, run, ++*step);
        if (i % 3 == 0 && poll(&ended, 1, 100) == 1)
            history_ended(history);
        if (i == STEPS / 2) {
            struct history_reader *reader = history_reader_open("history.db", problem, sizeof problem);
            if (reader)
                ledger_free(history_reader_ledger(reader, wall, run));
            history_reader_close(reader);
        }
    }
    history_close(history, ledger, wall, run);
    ledger_free(ledger);
}

int main(void)
{
    char folder[] = "/tmp/fedwarden-history-XXXXXX";
    uint64_t step = 0;
    if (!mkdtemp(folder) || chdir(folder) < 0)
        fail("no folder");
    for (int i = 0; i < LIVES; i++)
        live(&step);
    unlink("history.db");
    unlink("history.db.lock");
    if (chdir("/") < 0 || rmdir(folder) < 0)
        fail("something was left beside the history");
    puts("all of it was stored");
    return 0;
}
