#ifndef FEDWARDEN_CLI_CHECK_CONFIG_H
#define FEDWARDEN_CLI_CHECK_CONFIG_H

#include <stddef.h>

#include "base/conf.h"

/*
 * cli_check_config(argc, argv): reads a configuration as the daemon would and tells all of its errors, one a line, on
 * standard error, or in one line on standard output what it holds. argv[0] is the name of the subcommand.
 * Returns the exit status: 0 good, 1 with errors, 2 wrong usage. Starts nothing; main thread.
 */
int cli_check_config(int argc, char **argv);

/*
 * cli_check_trusts(conf, tell): tries the CAs, CRLs, certificates and keys of each trust profile as the collectors will,
 * and tells what is wrong with each that cannot be used; returns how many those are. Missing CAs of the system itself
 * are told but do not count: probes then say monTrustStoreMissing until they are installed. Main thread.
 */
size_t cli_check_trusts(const struct conf *conf, void (*tell)(const char *text));

#endif
