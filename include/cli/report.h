#ifndef FEDWARDEN_CLI_REPORT_H
#define FEDWARDEN_CLI_REPORT_H

/*
 * fedwarden report: one page of HTML about a period, out of the history that the daemon writes. Main thread.
 * What is gathered is bounded by the number of partners, what is written by the constants below: a page about 100,000
 * partners is a few megabytes.
 */

#include <stdio.h>

#include "cli/show.h"

/*
 * cli_report(argc, argv): argv[0] is "report". Returns the exit status: 0, 1 not written, 3 wrong usage, cannot be
 * read.
 */
int cli_report(int argc, char **argv);

#define REPORT_SLOTS       240  /* of a timeline */
#define REPORT_FEW         12   /* up to so many partners nothing is folded */
#define REPORT_FULL        100  /* partners that are not folded */
#define REPORT_FOLDED      1000 /* further ones that are */
#define REPORT_ALARMS      200  /* alarms in full; as many again folded as partners are */
#define REPORT_REASONS     30
#define REPORT_ENDINGS     40   /* certificates, those that end first; REPORT_ENDINGS_OPEN of them not folded */
#define REPORT_ENDINGS_OPEN 15
#define REPORT_TRANSITIONS 200  /* the newest; the first REPORT_TRANSITIONS_OPEN of them not folded */
#define REPORT_TRANSITIONS_OPEN 40
#define REPORT_WEEKS       26   /* of the plot of certificates */

/* How a partner was within the period. */
struct report_partner {
    const struct show_partner *row;
    enum health state; /* as of `at`; unknown before the first verdict */
    int64_t at;        /* wall time up to which it is known */
    bool judged;       /* there was a verdict */
    int64_t spent[HEALTH_UNKNOWN + 1]; /* microseconds */
    uint32_t changes;                  /* verdicts that changed the health, within the period */
    uint8_t slots[REPORT_SLOTS];       /* the worst health in each: enum health, 0 nothing known */
};

struct report_reason {
    enum reason reason;
    uint64_t count; /* failures that are kept of the period */
    uint64_t ever;  /* all that were ever counted */
    int64_t last_wall;
};

struct report {
    const struct show *show;
    const char *host;
    int64_t since, until; /* wall; until: when it was made */
    int64_t known;        /* what is later was not seen: the last batch */
    size_t count;
    struct report_partner *partners; /* by name until report_end; then as they are shown */
    size_t reason_count;
    struct report_reason *reasons; /* after report_end those with failures in the period, the most frequent first */
    uint64_t failures;             /* of the period */
    struct transition *transitions; /* a ring of the newest */
    uint64_t transition_count;      /* all of the period */
    int64_t observed, available;    /* partner-microseconds: known, and not critical */
};

/* report_new(show, host, since, until): both live until report_free. Aborts without memory. */
struct report *report_new(const struct show *show, const char *host, int64_t since, int64_t until);
void report_free(struct report *report); /* NULL is allowed */

/*
 * What happened, oldest first: of verdicts also those before the period, so that it is known how it began; of failures
 * and transitions what lies before it is left out. They are callbacks of the history's reader; context: the report.
 */
void report_verdict(void *report, const struct history_verdict_row *row);
void report_failure(void *report, const struct history_failure_row *row);
void report_transition(void *report, const struct transition *transition);

/* report_end(report): all was told; closes the spans and puts everything into its order. Once, before report_page. */
void report_end(struct report *report);

/* report_availability(observed, available, out, size): "99.95 %", never rounded up; "-" when nothing is known. */
const char *report_availability(int64_t observed, int64_t available, char *out, size_t size);
/* report_calm(partner): it was and is well all the time that is known. */
bool report_calm(const struct report_partner *partner);
int64_t report_observed(const struct report_partner *partner);
int64_t report_available(const struct report_partner *partner);

/* report_page(out, report): the whole page. */
void report_page(FILE *out, const struct report *report);

#endif
