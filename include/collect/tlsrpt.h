#ifndef FEDWARDEN_COLLECT_TLSRPT_H
#define FEDWARDEN_COLLECT_TLSRPT_H

/*
 * How partners see us: aggregate reports about SMTP TLS (RFC 8460) that others send, dropped into a folder as JSON or as
 * gzip of it. Each kind of failure in one becomes an OBSERVATION_EVENT of the partner that sent the report.
 *
 * A report is moved into the folder's "telling" when it is begun and into "done" when all of it is stored (queue_stored).
 * Its events go through the queue in pieces with an OBSERVATION_MARK of ORIGIN_TLSRPT behind each, whose `data` says how
 * many events of the reports in "telling" were told. The main thread keeps that of the last mark with what it stores, as
 * it does for feeds, under the name TLSRPT_MARK, and gives it to tlsrpt_start: after a crash what was not stored is told,
 * and nothing again.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdint.h>

#include "base/conf.h"
#include "base/observation.h"
#include "base/queue.h"

#define TLSRPT_SIZE_MAX (10 << 20) /* octets of a file, and of what it holds unpacked */
#define TLSRPT_ROWS_MAX 1000       /* observations that one report can become */
#define TLSRPT_MARK     "tlsrpt:"  /* no name that a feed can have */

struct tlsrpt_report {
    char organization[128], id[128]; /* as it says, printable */
    char until[32];                  /* the end of its date-range */
    uint64_t successes, failures;    /* sessions, of policies that are ours */
    size_t foreign;                  /* policies for domains that are not ours: not counted */
    size_t count;
    struct observation *observations; /* complete but for their times */
};

/*
 * tlsrpt_parse(data, length, conf, report, error, size): a report, any octets. False with `error` of `size` octets; the
 * report is empty then. tlsrpt_clear(report) after either. Any thread.
 */
bool tlsrpt_parse(const void *data, size_t length, const struct conf *conf, struct tlsrpt_report *report, char *error,
                  size_t size);
void tlsrpt_clear(struct tlsrpt_report *report);

/*
 * tlsrpt_keep(folder, files_max, days, wall): removes from the folder with that descriptor what came to it more than so
 * many days ago, and the oldest files beyond files_max; returns how many those were. Other folders in it stay. Any thread.
 */
size_t tlsrpt_keep(int folder, uint32_t files_max, uint32_t days, int64_t wall);

struct tlsrpt;

/*
 * tlsrpt_start(conf, queue, mark, length): starts the thread that reads what lies in the folder and what is dropped into it. A file is
 * read once it was closed or moved in; names that begin with "." are left alone until they are renamed. Without a folder
 * it does nothing and can be stopped. `mark` of `length` octets (NULL: none) is the last one of before, any octets: copied.
 * tlsrpt_problem(tlsrpt): why nothing is read, as was logged; "" none. Main thread.
 */
struct tlsrpt *tlsrpt_start(const struct conf *conf, struct queue *queue, const void *mark, size_t length);
const char *tlsrpt_problem(const struct tlsrpt *tlsrpt);

/*
 * tlsrpt_stop(tlsrpt): ends the thread, after the file at hand, and tells the rest of it. False: the queue is full; take
 * from it and call again. What is not stored by then stays in "telling" and is moved after the next start, which needs the
 * mark that was drained last. tlsrpt_free after that. NULL is allowed for both. Main thread.
 */
bool tlsrpt_stop(struct tlsrpt *tlsrpt);
void tlsrpt_free(struct tlsrpt *tlsrpt);

#endif
