#ifndef FEDWARDEN_CLI_SHOW_H
#define FEDWARDEN_CLI_SHOW_H

/*
 * What status, history and report have in common: where the history is, and its ledger put into the order in which
 * people want to see it. A ledger of a history is bound to no configuration. Main thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/conf.h"
#include "ledger/source.h"
#include "report/history.h"

#define SHOW_STALE (60 * CLOCK_SECOND) /* a daemon writes every 10 s: longer ago, it does not run */

/* A partner as it is shown. */
struct show_partner {
    const char *name;
    const struct ledger_partner *partner;
    const struct ledger_alarm *alarm; /* the worst one that is raised; NULL none */
    enum health health;
    enum reason reason; /* of the last walk; where that was fine, of the alarm */
    enum event event;   /* whose window `count` is of; EVENT_NONE: none */
    uint32_t count, window; /* failures in the last `window` seconds */
};

/* One state of a ledger; what it points to is the ledger's. */
struct show {
    const struct ledger *ledger;
    int64_t wall, run, written; /* written: wall time of the last batch */
    size_t count;
    struct show_partner *partners; /* the worst first, then by name */
    size_t of_health[HEALTH_UNKNOWN + 1];
    size_t alarm_count;
    const struct ledger_alarm **alarms; /* raised, the worst first, then the oldest */
    enum health health;                 /* of all */
};

/* show_new(ledger, wall, run, written): never NULL. show_free: NULL is allowed; the ledger is left alone. */
struct show *show_new(const struct ledger *ledger, int64_t wall, int64_t run, int64_t written);
void show_free(struct show *show);

/*
 * show_select(show, names, count): keeps these partners and their alarms only, and makes `health` theirs. Returns the
 * first name that is no partner's, NULL when all are.
 */
const char *show_select(struct show *show, char *const *names, size_t count);

/* show_nearest(show, name): the partner that a mistyped name may mean; NULL. Valid until show_free. */
const char *show_nearest(const struct show *show, const char *name);

/* show_stale(show): nothing was written for so long that the daemon seems not to run. */
bool show_stale(const struct show *show);

/* Where an alarm belongs. */
enum show_place { SHOW_PARTNER = 1, SHOW_SOURCE, SHOW_MONITOR };
enum show_place show_place(const struct ledger_alarm *alarm);

/* show_window(show, alarm): the count of its window now. */
uint32_t show_window(const struct show *show, const struct ledger_alarm *alarm);

/*
 * show_where(alarm, out, size): "sip1.contoso.example 192.0.2.10:5061", printable; for a source its address, name and
 * whose it is.
 */
void show_where(const struct ledger_alarm *alarm, char *out, size_t size);

/* show_days(not_after, wall): whole days until then, negative when it is past. */
long show_days(int64_t not_after, int64_t wall);

/* show_left(not_after, wall, out, size): "61 d", "5 h", "ended", "" when it is not known. */
const char *show_left(int64_t not_after, int64_t wall, char *out, size_t size);

/*
 * show_endpoint(address, port, out, size): "192.0.2.10:5061", "[2001:db8::1]:5061", the address alone without a port.
 */
const char *show_endpoint(const struct address *address, uint16_t port, char *out, size_t size);

/* ---- the history to be read ---- */

#define SHOW_PROBLEM 512 /* octets of a text about what is wrong */

struct show_source {
    const char *command;   /* for messages: "status" */
    const char *conf_path; /* -c */
    const char *file;      /* --file; NULL: that of the configuration */
    struct history_reader *reader;
    char path[4096];
};

/*
 * show_open(source): with command, conf_path and file set; false after it has said on stderr what is wrong and what to
 * do. show_close: whatever was opened.
 */
bool show_open(struct show_source *source);
void show_close(struct show_source *source);

/* A state read from it. NULL after it has said on stderr what is wrong. */
struct show *show_read(struct show_source *source, struct ledger **ledger);

/*
 * show_again(source, ledger, problem): the state of now, from a reader that is opened and closed for it: between two
 * pictures nothing of the daemon's file is held, and a file that was replaced is found. NULL: `problem` says why.
 */
struct show *show_again(struct show_source *source, struct ledger **ledger, char problem[SHOW_PROBLEM]);

#endif
