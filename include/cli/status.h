#ifndef FEDWARDEN_CLI_STATUS_H
#define FEDWARDEN_CLI_STATUS_H

/*
 * fedwarden status: how the partners are, out of the history that a daemon writes, without SNMP.
 */

#include <stdio.h>

#include "cli/member.h"
#include "cli/show.h"
#include "cli/term.h"

/*
 * cli_status(argc, argv): argv[0] is "status". Returns the exit status: 0 all healthy, 1 warning, 2 critical, 3 unknown
 * (wrong usage, a history that cannot be read, a daemon that seems not to run, an unknown partner).
 */
int cli_status(int argc, char **argv);

/*
 * status_text(out, show, term, guidance): for people; no more lines than the terminal has; `guidance`: what to do, too.
 */
void status_text(FILE *out, const struct show *show, const struct term *term, bool guidance);

/* status_alarm_object(alarm, count): an alarm as an object of JSON; count: of its window. */
json_t *status_alarm_object(const struct ledger_alarm *alarm, uint32_t count);

/* status_json(out, show): one object, one line; its members are in the usage. Aborts without memory. */
void status_json(FILE *out, const struct show *show);

/*
 * status_watch(source, names, count, seconds, json): shows it again every so many seconds until q, a signal or the end
 * of the output; returns the exit status of the last picture.
 */
int status_watch(struct show_source *source, char *const *names, size_t count, unsigned seconds, bool json);

/* status_exit(show): the exit status that its health makes. */
int status_exit(const struct show *show);

#endif
