#ifndef FEDWARDEN_CLI_CHECK_CONFIG_H
#define FEDWARDEN_CLI_CHECK_CONFIG_H

/*
 * cli_check_config(argc, argv): reads a configuration as the daemon would and tells all of its errors, one a line, on
 * standard error, or in one line on standard output what it holds. argv[0] is the name of the subcommand.
 * Returns the exit status: 0 good, 1 with errors, 2 wrong usage. Starts nothing; main thread.
 */
int cli_check_config(int argc, char **argv);

#endif
