#ifndef FEDWARDEN_CLI_CLI_H
#define FEDWARDEN_CLI_CLI_H

/*
 * The subcommands that are small enough to share a header. Each gets its own name as argv[0] and returns the exit status
 * of the process.
 */

#include <stdio.h>

#define CLI_CONF_PATH SYSCONFDIR "/fedwarden/fedwarden.conf"

/*
 * cli_config_option(argc, argv, usage, path): for subcommands that take -c FILE and -h alone: -1 with the path to use, or
 * the exit status, after `usage` told what is wrong or was asked for.
 */
int cli_config_option(int argc, char **argv, void (*usage)(FILE *out), const char **path);

/* cli_run: the daemon; returns when it was told to end (0) or cannot go on (1). */
int cli_run(int argc, char **argv);

/* cli_explain: prints the rows of the reason list that the arguments may mean; 0, or 3 when one means nothing. */
int cli_explain(int argc, char **argv);

/* cli_event: sends events to the inbox of a running daemon, prints its answers; 0 all taken, 1 one refused, 2 not sent. */
int cli_event(int argc, char **argv);

/* cli_import: prints partners made of a file of targets or a table; 0, 1 when something was left out, 3 not read. */
int cli_import(int argc, char **argv);

#endif
