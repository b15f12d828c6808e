#ifndef FEDWARDEN_TESTS_HISTORY_FIXTURE_H
#define FEDWARDEN_TESTS_HISTORY_FIXTURE_H

/* A ledger with a history under it, and ways to look at both. For tests of report/history. */

#include "ledger_fixture.h"
#include "report/history_parts.h"

/* A folder of its own for each test, which is the current one, and what is in it. */
void history_enter(void);
void history_leave(void);
#define HISTORY_PATH "history.db"

/* What a ledger holds: a line a row, in the order of kinds and keys; from malloc. */
char *dump_ledger(struct ledger *ledger);

struct life {
    struct fixture fixture; /* its ledger may have been restored */
    struct history *history;
    enum history_opened opened;
    char problem[HISTORY_PROBLEM];
    uint64_t step;  /* of the work, as the file or the work says */
    uint64_t begun; /* batch of the last life_store */
};

/* Opens HISTORY_PATH and goes on from it, or begins, with `partners` partners. life_end(life): closes all. */
struct life *life_begin(size_t partners);
void life_end(struct life *life);

/* One step of work, which follows from its number alone: walks and events, and a mark that has the number as `skip`. */
void life_work(struct life *life);
/* Writes what changed, and waits until it is stored. */
void life_store(struct life *life);
/* The ledger as it is after `steps` steps without a history. */
char *dump_after(size_t partners, uint64_t steps);

/* expect_same(found, wanted, what): of two dumps; tells the first line that differs. Frees both. */
void expect_same(char *found, char *wanted, const char *what);

#endif
