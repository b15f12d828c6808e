/*
 * fedwarden history: what happened to alarms, and which failures were seen, out of the history that the daemon writes.
 */
#include "cli/show_history.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/status.h"
#include "cli/when.h"

#define STATUS_UNKNOWN 3

static const char *const kinds[] = {
    [TRANSITION_RAISED] = "raised", [TRANSITION_CHANGED] = "changed", [TRANSITION_CLEARED] = "cleared"};

struct options {
    struct show_source source;
    struct history_filter filter;
    struct term term;
    bool failures, json;
    size_t shown;
};

static void usage(FILE *out)
{
    fputs(
        "usage: fedwarden history [-c FILE | --file HISTORY] [--partner P] [--since T] [--until T] [--event E]\n"
        "                         [--limit N] [--failures] [--json]\n\n"
        "What happened to alarms (raised, changed, cleared), or which failures were seen of late, in their order.\n\n"
        "  -c, --config FILE   instead of " CLI_CONF_PATH "\n"
        "  -f, --file HISTORY  the history itself, not that of the configuration\n"
        "  -p, --partner P     of this partner; \"\": of none\n"
        "  -s, --since T       from then on: " WHEN_FORMS "\n"
        "  -u, --until T       before then\n"
        "  -e, --event E       of this event: tlsOutgoing, dns, ... (or its number)\n"
        "  -n, --limit N       the newest N\n"
        "      --failures      failures instead of alarms; only the newer ones are kept\n"
        "      --json          one object a line. Alarms: time, kind, sequence, duration_s (when cleared, else null)\n"
        "                      and what \"alarms\" of status --json have; failures: time, event, event_name, reason,\n"
        "                      code, count, partner, target, address, port, detail\n\n"
        "Exit status: 0, or 3 when the history cannot be read.\n",
        out);
}

/* ---- alarms ---- */

static void print_detail(FILE *out, const struct term *term, const char *detail)
{
    char text[4 * OBSERVATION_DETAIL];
    text_printable(text, sizeof text, detail, strlen(detail));
    if (*text)
        term_wrap(out, term, 21, text);
}

void history_transition_text(FILE *out, const struct term *term, const struct transition *transition)
{
    const struct ledger_alarm *alarm = &transition->alarm;
    char time[WHEN_TEXT_SIZE], where[2 * OBSERVATION_NAME], text[3 * OBSERVATION_NAME], span[32];
    bool cleared = transition->kind == TRANSITION_CLEARED;
    fprintf(out, "%s  %s", when_text(transition->wall, time, sizeof time),
            cleared ? term_health_colour(term, HEALTH_OK) : term_severity_colour(term, alarm->severity));
    text_format(text, sizeof text, "%s %" PRIu32, kinds[transition->kind], alarm->id);
    term_put(out, term, text, 13);
    fputs(term_end(term), out);
    if (cleared)
        text_format(text, sizeof text, " after %s",
                    term_span((transition->wall - alarm->raised_wall) / CLOCK_SECOND, span, sizeof span));
    else
        text_format(text, sizeof text, " %s", severity_name(alarm->severity));
    text_append(text, sizeof text, "  %s  %s  %s",
                *alarm->name    ? alarm->name
                : alarm->source ? "-"
                                : "monitor",
                event_name(alarm->event), reason_name(alarm->reason));
    term_put(out, term, text, term_columns(text));
    fputc('\n', out);
    show_where(alarm, where, sizeof where);
    if (*where)
        term_wrap(out, term, 21, where);
    if (!cleared)
        print_detail(out, term, alarm->detail);
}

void history_transition_json(FILE *out, const struct transition *transition)
{
    const struct ledger_alarm *alarm = &transition->alarm;
    json_t *object = json_object();
    member_time(object, "time", transition->wall);
    member_text(object, "kind", kinds[transition->kind]);
    member_number(object, "sequence", (int64_t)transition->sequence);
    member_set(object, "duration_s",
               transition->kind == TRANSITION_CLEARED
                   ? json_integer((transition->wall - alarm->raised_wall) / CLOCK_SECOND)
                   : json_null());
    json_t *more = status_alarm_object(alarm, alarm->window_count);
    if (json_object_update_new(object, more) != 0)
        abort();
    member_print(out, object, 0);
    fputc('\n', out);
}

/* ---- failures ---- */

void history_failure_text(FILE *out, const struct term *term, const struct history_failure_row *row)
{
    char time[WHEN_TEXT_SIZE], endpoint[ADDRESS_TEXT_SIZE + 16], text[OBSERVATION_NAME + 96];
    fprintf(out, "%s  %s  ", when_text(row->wall, time, sizeof time), *row->partner ? row->partner : "-");
    fprintf(out, "%s  %s", event_name(row->event), reason_name(row->reason));
    if (row->count > 1)
        fprintf(out, "  %" PRIu32 " times", row->count);
    fputc('\n', out);
    text_printable(text, sizeof text, row->target, strlen(row->target));
    if (row->address.family != ADDRESS_UNKNOWN)
        text_append(text, sizeof text, "%s%s", *text ? " " : "",
                    show_endpoint(&row->address, row->port, endpoint, sizeof endpoint));
    if (*text)
        term_wrap(out, term, 21, text);
    print_detail(out, term, row->detail);
}

void history_failure_json(FILE *out, const struct history_failure_row *row)
{
    char address[ADDRESS_TEXT_SIZE];
    json_t *object = json_object();
    member_time(object, "time", row->wall);
    member_number(object, "event", row->event);
    member_text(object, "event_name", event_name(row->event));
    member_text(object, "reason", reason_name(row->reason));
    member_number(object, "code", reason_info(row->reason)->reason);
    member_number(object, "count", row->count);
    member_text(object, "partner", row->partner);
    member_text(object, "target", row->target);
    member_text(object, "address", address_text(&row->address, address));
    member_number(object, "port", row->port);
    member_text(object, "detail", row->detail);
    member_print(out, object, 0);
    fputc('\n', out);
}

/* ---- reading ---- */

static void on_transition(void *context, const struct transition *transition)
{
    struct options *options = context;
    options->shown++;
    if (options->json)
        history_transition_json(stdout, transition);
    else
        history_transition_text(stdout, &options->term, transition);
}

static void on_failure(void *context, const struct history_failure_row *row)
{
    struct options *options = context;
    options->shown++;
    if (options->json)
        history_failure_json(stdout, row);
    else
        history_failure_text(stdout, &options->term, row);
}

static int run(struct options *options)
{
    struct history_reader *reader = options->source.reader;
    options->term = term_of(stdout);
    bool read = options->failures ? history_read_failures(reader, &options->filter, on_failure, options)
                                  : history_read_transitions(reader, &options->filter, on_transition, options);
    if (!read) {
        fprintf(stderr, "fedwarden history: %s cannot be read to its end\n", options->source.path);
        return STATUS_UNKNOWN;
    }
    if (options->shown == 0 && !options->json)
        fprintf(stderr, "fedwarden history: nothing is known of that\n");
    return 0;
}

/* ---- options ---- */

static bool read_time(const char *name, const char *text, int64_t *wall)
{
    if (when_parse(text, clock_wall(), wall))
        return true;
    fprintf(stderr, "fedwarden history: --%s: \"%s\" is no time; write %s\n", name, text, WHEN_FORMS);
    return false;
}

static bool read_event(const char *text, enum event *event)
{
    const char *names[EVENT_COUNT];
    size_t count = 0;
    char *end;
    unsigned long number = strtoul(text, &end, 10);
    *event = event_find(text);
    if (*event == EVENT_NONE && *text && !*end && number < EVENT_END && event_info((enum event)number))
        *event = (enum event)number;
    if (*event != EVENT_NONE)
        return true;
    for (int i = EVENT_NONE + 1; i < EVENT_END; i++)
        names[count++] = event_name(i);
    const char *nearest = text_nearest(text, names, count);
    fprintf(stderr, "fedwarden history: there is no event \"%s\".", text);
    if (nearest)
        fprintf(stderr, " Did you mean \"%s\"?\n", nearest);
    else
        fputs(" Have: tlsOutgoing, authSource, domainPartner, domainLocal, invalidCert, connection, dns, certExpiry, "
              "configDrift, monitorSelf.\n",
              stderr);
    return false;
}

static bool read_limit(const char *text, size_t *limit)
{
    char *end;
    unsigned long number = strtoul(text, &end, 10);
    if (*text >= '0' && *text <= '9' && !*end && number <= UINT32_MAX) {
        *limit = number;
        return true;
    }
    fprintf(stderr, "fedwarden history: --limit: \"%s\" is no number\n", text);
    return false;
}

enum { OPTION_JSON = 256, OPTION_FAILURES };

static bool read_option(struct options *options, int option)
{
    switch (option) {
    case 'c':
        options->source.conf_path = optarg;
        return true;
    case 'f':
        options->source.file = optarg;
        return true;
    case 'p':
        options->filter.partner = optarg;
        return true;
    case 's':
        return read_time("since", optarg, &options->filter.since);
    case 'u':
        return read_time("until", optarg, &options->filter.until);
    case 'e':
        return read_event(optarg, &options->filter.event);
    case 'n':
        return read_limit(optarg, &options->filter.limit);
    case OPTION_JSON:
        return options->json = true;
    case OPTION_FAILURES:
        return options->failures = true;
    default:
        usage(stderr);
        return false;
    }
}

/* -1: go on; otherwise the exit status. */
static int read_options(struct options *options, int argc, char **argv)
{
    static const struct option known[] = {{"config", required_argument, NULL, 'c'},
                                          {"file", required_argument, NULL, 'f'},
                                          {"partner", required_argument, NULL, 'p'},
                                          {"since", required_argument, NULL, 's'},
                                          {"until", required_argument, NULL, 'u'},
                                          {"event", required_argument, NULL, 'e'},
                                          {"limit", required_argument, NULL, 'n'},
                                          {"failures", no_argument, NULL, OPTION_FAILURES},
                                          {"json", no_argument, NULL, OPTION_JSON},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    for (int option; (option = getopt_long(argc, argv, "c:f:p:s:u:e:n:h", known, NULL)) != -1;) {
        if (option == 'h') {
            usage(stdout);
            return 0;
        }
        if (!read_option(options, option))
            return STATUS_UNKNOWN;
    }
    if (optind < argc) {
        fprintf(stderr, "fedwarden history: \"%s\" is one argument too many; --partner %s?\n", argv[optind],
                argv[optind]);
        return STATUS_UNKNOWN;
    }
    return -1;
}

int cli_history(int argc, char **argv)
{
    struct options options = {.source = {.command = "history", .conf_path = CLI_CONF_PATH}};
    int status = read_options(&options, argc, argv);
    if (status >= 0)
        return status;
    status = show_open(&options.source) ? run(&options) : STATUS_UNKNOWN;
    show_close(&options.source);
    return status;
}
