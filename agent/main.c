/* The table of contents: one file per subcommand under cli/, the daemon in cli/run.c. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/check.h"
#include "cli/check_config.h"
#include "cli/cli.h"
#include "cli/match.h"
#include "cli/report.h"
#include "cli/show_history.h"
#include "cli/status.h"

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} commands[] = {
    {"run", cli_run, "probe the partners and report over SNMP, until told to end"},
    {"check", cli_check, "walk partners once, now, and say what is wrong"},
    {"status", cli_status, "how the partners are, as the running daemon has them"},
    {"history", cli_history, "what happened to alarms, and when"},
    {"report", cli_report, "a page of HTML about a period"},
    {"check-config", cli_check_config, "say what is wrong with the configuration"},
    {"explain", cli_explain, "what a failure reason means and what to do"},
    {"event", cli_event, "tell a running fedwarden of a failure that an edge saw"},
    {"import", cli_import, "make partners of targets of blackbox_exporter, or of a table"},
    {"match", cli_match, "read a log by the rules of a preset and say what they take from it"},
};
#define COMMANDS (sizeof commands / sizeof commands[0])

static void usage(FILE *out)
{
    fputs("usage: fedwarden COMMAND [ARGUMENTS]\n\n", out);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-14s%s\n", commands[i].name, commands[i].summary);
    fputs("\nfedwarden COMMAND --help tells more.\n", out);
}

static int unknown(const char *name)
{
    const char *names[COMMANDS];
    for (size_t i = 0; i < COMMANDS; i++)
        names[i] = commands[i].name;
    const char *nearest = text_nearest(name, names, COMMANDS);
    if (nearest)
        fprintf(stderr, "fedwarden: there is no command \"%s\". Did you mean \"%s\"?\n", name, nearest);
    else
        fprintf(stderr, "fedwarden: there is no command \"%s\"; fedwarden --help lists them.\n", name);
    return 3;
}

/* Where the caller closed one of the first three descriptors, a peer's socket would get its number and our output. */
static bool hold_standard_descriptors(void)
{
    int descriptor;
    do
        descriptor = open("/dev/null", O_RDWR);
    while (descriptor >= 0 && descriptor <= STDERR_FILENO);
    return descriptor >= 0 && close(descriptor) == 0;
}

/* The status of a command, unless what it printed is lost. */
static int written(const char *name, int status)
{
    errno = 0;
    bool lost = fflush(stdout) != 0 || ferror(stdout);
    if (lost)
        fprintf(stderr, "fedwarden %s: what it printed could not be written%s%s\n", name, errno ? ": " : "",
                errno ? strerror(errno) : "");
    return lost ? 3 : status;
}

int main(int argc, char **argv)
{
    if (!hold_standard_descriptors())
        return 3;
    if (argc < 2) {
        usage(stderr);
        return 3;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        usage(stdout);
        return 0;
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        puts("fedwarden " PACKAGE_VERSION);
        return 0;
    }
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return written(name, commands[i].run(argc - 1, argv + 1));
    return unknown(name);
}
