/*
 * The page is written to a file beside the one that is wanted and renamed over it when it is whole and on disk: a web
 * server that serves the folder never sees half of one, and a full disk leaves the old one.
 */
#include "cli/report.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/when.h"

#define STATUS_FAILED  1
#define STATUS_UNKNOWN 3
#define PERIOD         (7 * 86400 * CLOCK_SECOND)

struct options {
    struct show_source source;
    const char *html; /* "-": standard output */
    int64_t now, since;
};

static void usage(FILE *out)
{
    fputs(
        "usage: fedwarden report --html FILE|- [--since T] [-c FILE | --file HISTORY]\n\n"
        "Writes one page about a period: open alarms with what to do, health of each partner over time, failures by\n"
        "reason, certificates that end, what happened. It needs nothing besides itself: no script, font or picture.\n\n"
        "      --html FILE         what to write, replaced as a whole; - for standard output\n"
        "  -s, --since T           from then on, 7d unless given: " WHEN_FORMS "\n"
        "  -c, --config FILE       instead of " CLI_CONF_PATH "\n"
        "  -f, --file HISTORY      the history itself, not that of the configuration\n\n"
        "Exit status: 0 written, 1 not written, 3 wrong usage or a history that cannot be read.\n",
        out);
}

/* ---- gathering ---- */

static bool gather(struct report *report, struct history_reader *reader)
{
    struct history_filter all = {0}, period = {.since = report->since};
    return history_read_verdicts(reader, &all, report_verdict, report) &&
           history_read_failures(reader, &period, report_failure, report) &&
           history_read_transitions(reader, &period, report_transition, report);
}

/* ---- the file ---- */

static int refuse_file(const char *path, const char *what)
{
    fprintf(stderr, "fedwarden report: %s: %s: %s\n", path, what, strerror(errno));
    return STATUS_FAILED;
}

/* What replaces a file has its permissions; a new one has what the umask leaves. */
static mode_t wanted_mode(const char *path)
{
    struct stat old;
    mode_t mask = umask(0);
    umask(mask);
    return stat(path, &old) == 0 && S_ISREG(old.st_mode) ? old.st_mode & 0777 : 0666 & ~mask;
}

static int write_page(FILE *out, const struct report *report)
{
    report_page(out, report);
    return fflush(out) == 0 && !ferror(out) ? 0 : -1;
}

static int write_beside(const char *path, const char *beside, int descriptor, const struct report *report)
{
    FILE *out = fdopen(descriptor, "w");
    if (!out)
        abort();
    bool good = write_page(out, report) == 0 && fchmod(descriptor, wanted_mode(path)) == 0 && fsync(descriptor) == 0;
    int error = errno;
    good = fclose(out) == 0 && good;
    errno = error;
    if (!good)
        return refuse_file(beside, "cannot be written");
    return rename(beside, path) == 0 ? 0 : refuse_file(path, "cannot be replaced");
}

static int write_file(const char *path, const struct report *report)
{
    char beside[4096], target[4096];
    struct stat there;
    /* A link stays one: what it leads to is replaced. */
    char *real = realpath(path, NULL);
    text_copy(target, sizeof target, real ? real : path);
    free(real);
    if (stat(target, &there) == 0 && !S_ISREG(there.st_mode)) { /* a pipe or a device is written as it is */
        FILE *out = fopen(target, "w");
        if (!out)
            return refuse_file(path, "cannot be opened");
        int status = write_page(out, report);
        return fclose(out) == 0 && status == 0 ? 0 : refuse_file(path, "cannot be written");
    }
    if (text_format(beside, sizeof beside, "%s.XXXXXX", target) + 1 >= sizeof beside) {
        errno = ENAMETOOLONG;
        return refuse_file(path, "cannot be written");
    }
    int descriptor = mkostemp(beside, O_CLOEXEC);
    if (descriptor < 0)
        return refuse_file(beside, "cannot be made");
    int status = write_beside(target, beside, descriptor, report);
    if (status != 0)
        unlink(beside);
    return status;
}

static int write_report(const struct options *options, const struct report *report)
{
    if (strcmp(options->html, "-") != 0)
        return write_file(options->html, report);
    report_page(stdout, report);
    return 0;
}

static int run(struct options *options)
{
    char host[256] = "";
    struct ledger *ledger;
    struct show *show = show_read(&options->source, &ledger);
    if (!show)
        return STATUS_UNKNOWN;
    if (gethostname(host, sizeof host - 1) != 0)
        host[0] = '\0';
    struct report *report = report_new(show, host, options->since, show->wall);
    int status = STATUS_UNKNOWN;
    if (gather(report, options->source.reader)) {
        report_end(report);
        status = write_report(options, report);
    } else {
        fprintf(stderr, "fedwarden report: %s cannot be read to its end\n", options->source.path);
    }
    report_free(report);
    show_free(show);
    ledger_free(ledger);
    return status;
}

/* ---- options ---- */

enum { OPTION_HTML = 256 };

/* -1: go on; otherwise the exit status. */
static int read_options(struct options *options, int argc, char **argv)
{
    static const struct option known[] = {{"html", required_argument, NULL, OPTION_HTML},
                                          {"since", required_argument, NULL, 's'},
                                          {"config", required_argument, NULL, 'c'},
                                          {"file", required_argument, NULL, 'f'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    for (int option; (option = getopt_long(argc, argv, "s:c:f:h", known, NULL)) != -1;) {
        switch (option) {
        case OPTION_HTML:
            options->html = optarg;
            break;
        case 's':
            if (!when_parse(optarg, options->now, &options->since) || options->since >= options->now) {
                fprintf(stderr, "fedwarden report: --since: \"%s\" is no time before now; write %s\n", optarg,
                        WHEN_FORMS);
                return STATUS_UNKNOWN;
            }
            break;
        case 'c':
            options->source.conf_path = optarg;
            break;
        case 'f':
            options->source.file = optarg;
            break;
        case 'h':
            usage(stdout);
            return 0;
        default:
            usage(stderr);
            return STATUS_UNKNOWN;
        }
    }
    if (!options->html || optind < argc) {
        usage(stderr);
        return STATUS_UNKNOWN;
    }
    return -1;
}

int cli_report(int argc, char **argv)
{
    int64_t now = clock_wall();
    struct options options = {
        .source = {.command = "report", .conf_path = CLI_CONF_PATH}, .now = now, .since = now - PERIOD};
    int status = read_options(&options, argc, argv);
    if (status >= 0)
        return status;
    status = show_open(&options.source) ? run(&options) : STATUS_UNKNOWN;
    show_close(&options.source);
    return status;
}
