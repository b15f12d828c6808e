#include "cli/status.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

#define STATUS_UNKNOWN 3
#define WATCH_SECONDS  2
#define WATCH_MOST     3600

struct options {
    struct show_source source;
    unsigned watch; /* seconds; 0: once */
    bool json;
};

static void usage(FILE *out)
{
    fputs("usage: fedwarden status [-c FILE | --file HISTORY] [--watch [SECONDS]] [--json] [PARTNER...]\n\n"
          "How the partners are, the worst first, from the history that the daemon writes; SNMP is not needed. For\n"
          "partners that are named also what to do.\n\n"
          "  -c, --config FILE      instead of " CLI_CONF_PATH "\n"
          "  -f, --file HISTORY     the history itself, not that of the configuration\n"
          "  -w, --watch [SECONDS]  again every 2 seconds, or as many as are given, until q or Ctrl-C\n"
          "      --json             one JSON object: time, written, stale, health, ok, warning, critical, unknown, "
          "walks,\n"
          "                         partners [partner, health, reason, code, event, who, since, count, window_s,\n"
          "                         certificate_end, certificate_days, last_walk, last_ok, endpoints, endpoints_ok, "
          "walks,\n"
          "                         alarm, severity], alarms [alarm, of (partner, source, monitor), severity, event,\n"
          "                         event_name, reason, code, partner, target, address, port, raised, changed, count,\n"
          "                         window_s, total, detail, cause, resolution, who, contact]; what is not known is "
          "null\n\n"
          "Exit status: 0 healthy, 1 warning, 2 critical, 3 unknown: also when the daemon seems not to run.\n",
          out);
}

/* "--watch 5" has its number in the next argument, where getopt looks for none when an argument is optional. */
static bool read_seconds(struct options *options, int argc, char **argv)
{
    const char *text = optarg;
    char *end;
    options->watch = WATCH_SECONDS;
    if (!text && optind < argc && argv[optind][0] && strspn(argv[optind], "0123456789") == strlen(argv[optind]))
        text = argv[optind++];
    if (!text)
        return true;
    unsigned long seconds = strtoul(text, &end, 10);
    if (*end || end == text || seconds < 1 || seconds > WATCH_MOST) {
        fprintf(stderr, "fedwarden status: --watch takes 1 to %d seconds, not \"%s\"\n", WATCH_MOST, text);
        return false;
    }
    options->watch = (unsigned)seconds;
    return true;
}

enum { OPTION_JSON = 256 };

/* -1: go on; otherwise the exit status. */
static int read_options(struct options *options, int argc, char **argv)
{
    static const struct option known[] = {
        {"config", required_argument, NULL, 'c'}, {"file", required_argument, NULL, 'f'},
        {"watch", optional_argument, NULL, 'w'},  {"json", no_argument, NULL, OPTION_JSON},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0}};
    for (int option; (option = getopt_long(argc, argv, "c:f:w::h", known, NULL)) != -1;) {
        switch (option) {
        case 'c':
            options->source.conf_path = optarg;
            break;
        case 'f':
            options->source.file = optarg;
            break;
        case 'w':
            if (!read_seconds(options, argc, argv))
                return STATUS_UNKNOWN;
            break;
        case OPTION_JSON:
            options->json = true;
            break;
        case 'h':
            usage(stdout);
            return 0;
        default:
            usage(stderr);
            return STATUS_UNKNOWN;
        }
    }
    return -1;
}

static int refuse_name(const struct show *show, const char *name, const char *path)
{
    const char *nearest = show_nearest(show, name);
    fprintf(stderr, "fedwarden status: %s knows no partner \"%s\".", path, name);
    if (nearest)
        fprintf(stderr, " Did you mean \"%s\"?", nearest);
    fputc('\n', stderr);
    return STATUS_UNKNOWN;
}

static int show_once(struct options *options, char *const *names, size_t count)
{
    struct ledger *ledger;
    struct show *show = show_read(&options->source, &ledger);
    if (!show)
        return STATUS_UNKNOWN;
    const char *missing = count ? show_select(show, names, count) : NULL;
    int status = status_exit(show);
    if (missing) {
        status = refuse_name(show, missing, options->source.path);
    } else if (options->json) {
        status_json(stdout, show);
    } else {
        struct term term = term_of(stdout);
        term.height = 0; /* what is longer than the terminal can be scrolled */
        status_text(stdout, show, &term, count > 0);
    }
    show_free(show);
    ledger_free(ledger);
    return status;
}

int cli_status(int argc, char **argv)
{
    struct options options = {.source = {.command = "status", .conf_path = CLI_CONF_PATH}};
    int status = read_options(&options, argc, argv);
    if (status >= 0)
        return status;
    size_t count = (size_t)(argc - optind);
    status = STATUS_UNKNOWN;
    if (show_open(&options.source)) {
        if (options.watch)
            status = status_watch(&options.source, argv + optind, count, options.watch, options.json);
        else
            status = show_once(&options, argv + optind, count);
    }
    show_close(&options.source);
    return status;
}
