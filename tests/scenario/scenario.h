#ifndef FEDWARDEN_TESTS_SCENARIO_H
#define FEDWARDEN_TESTS_SCENARIO_H

/* A scenario that is being played, and the words of its commands. */

#include "../unit/row_store.h"
#include "ledger/source.h"

#define RUN_START       (1000 * CLOCK_SECOND)
#define WALL_START      (INT64_C(1767225600) * CLOCK_SECOND) /* 2026-01-01 */
#define REBOOTED        (20 * CLOCK_SECOND) /* how long the machine runs when the daemon starts after a reboot */
#define WORDS_MAX       64
#define TRANSITIONS_MAX 10000
#define PARTNERS_MAX    64
#define NETWORKS_MAX    8

struct scenario {
    const char *path;
    unsigned line;
    bool failed;
    struct conf *conf;
    struct conf *next; /* between `conf` and `end` */
    struct ledger *ledger;
    int64_t time; /* microseconds since the start */
    int64_t wall_offset, run_offset; /* of the clocks, against time */
    bool restarts;                   /* after each command */
    bool skipped;
    unsigned ticks;
    ledger_report *report;
    struct row_store store; /* what was kept of the ledger so far */
    size_t count, expected;
    struct transition *transitions;
};

/* The words of a command, one after the other. */
struct words {
    size_t count, next;
    char *word[WORDS_MAX];
};

/* fail(s, format, ...): says what is not as expected; only the first is said. */
void fail(struct scenario *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The clocks of the ledger. */
int64_t now_run(const struct scenario *s);
int64_t now_wall(const struct scenario *s);

/* take(s, words, what): the next word; "" and the scenario fails where there is none. take_if: only if it is `word`. */
const char *take(struct scenario *s, struct words *words, const char *what);
bool take_if(struct words *words, const char *word);

/* What a word means; the scenario fails where it means nothing. */
uint64_t parse_number(struct scenario *s, const char *text);
int64_t parse_time(struct scenario *s, const char *text);
enum event parse_event(struct scenario *s, const char *text);
enum reason parse_reason(struct scenario *s, const char *text);
struct ledger_partner *partner_of(struct scenario *s, const char *name);

/*
 * restart(s, words): ends the ledger and begins another one with what was kept of it; still to be bound.
 * restart_unnoticed(s): the same in no time, bound; nobody may notice.
 */
void restart(struct scenario *s, struct words *words);
void restart_unnoticed(struct scenario *s);

/* jump_wall(s, words): the wall clock jumps by +DURATION or -DURATION. */
void jump_wall(struct scenario *s, struct words *words);

/* run_expect(s, words): the command `expect`; expect_nothing(s): no transition is left over. */
void run_expect(struct scenario *s, struct words *words);
void expect_nothing(struct scenario *s);

#endif
