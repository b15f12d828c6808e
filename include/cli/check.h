#ifndef FEDWARDEN_CLI_CHECK_H
#define FEDWARDEN_CLI_CHECK_H

/*
 * fedwarden check: one walk of each named partner (or of all), now, by the code that the daemon probes with, and what
 * came of it, for people, as JSON or for Nagios.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "cli/term.h"
#include "collect/walk.h"

/*
 * cli_check(argc, argv): argv[0] is "check". Returns the exit status: 0 all healthy, 1 warning, 2 critical, 3 unknown
 * (wrong usage, a configuration that cannot be used, an unknown partner).
 */
int cli_check(int argc, char **argv);

/* ---- The ways to show a walk; no walk is changed. ---- */

struct check_style {
    struct term term;
    bool verbose; /* every endpoint in full */
};

/* check_text_full(out, walk, style): all its steps, and what to do. check_text_line: one line. */
void check_text_full(FILE *out, const struct walk *walk, const struct check_style *style);
void check_text_line(FILE *out, const struct walk *walk, const struct check_style *style);

/* check_json(out, walk): one object, one line. Aborts without memory. */
void check_json(FILE *out, const struct walk *walk);

/* check_nagios(out, walks, count): the one line of a plugin about all of them. */
void check_nagios(FILE *out, struct walk *const *walks, size_t count);

/* check_days(not_after): whole days until then, negative when it is past. */
long check_days(int64_t not_after);

#endif
