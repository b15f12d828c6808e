#ifndef FEDWARDEN_CLI_SHOW_HISTORY_H
#define FEDWARDEN_CLI_SHOW_HISTORY_H

/* fedwarden history: what happened, in its order. Main thread. */

#include <stdio.h>

#include "cli/term.h"
#include "report/history.h"

/* cli_history(argc, argv): argv[0] is "history". Returns the exit status: 0, or 3 (wrong usage, cannot be read). */
int cli_history(int argc, char **argv);

/*
 * One row for people: a line, and below it where that was and what is known of it; or as an object of JSON on a line.
 */
void history_transition_text(FILE *out, const struct term *term, const struct transition *transition);
void history_transition_json(FILE *out, const struct transition *transition);
void history_failure_text(FILE *out, const struct term *term, const struct history_failure_row *row);
void history_failure_json(FILE *out, const struct history_failure_row *row);

#endif
