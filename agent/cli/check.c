/*
 * One event loop in the main thread, one prober, as many walks at once as in_flight allows. Results come in any order
 * and are shown in the order of the configuration: what is done waits for what stands before it.
 */
#include "cli/check.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/text.h"
#include "cli/cli.h"
#include "collect/probe.h"
#include "collect/tls.h"

#define STATUS_UNKNOWN 3
#define A_HANDFUL      5 /* partners up to which there is no progress bar */
#define BAR_CELLS      24
#define BAR_PAUSE      100000 /* microseconds between two pictures of it */

enum output { OUTPUT_TEXT, OUTPUT_JSON, OUTPUT_NAGIOS };

struct check {
    enum output output;
    struct check_style style;
    const char *path;
    enum protocol protocol; /* 0: partners of a configuration */
    size_t conf_count;
    struct conf **confs; /* with --protocol one for each domain */
    struct conf *conf;   /* what is probed: the only one, or `merged` */
    struct conf merged;
    size_t count;
    uint32_t *positions;
    struct walk **walks; /* in the order of positions; NULL until done */
    size_t started, done, shown, failing;
    struct prober *prober;
    sd_event *loop;
    int64_t begun, drawn;
    bool bar, bar_drawn;
    size_t counts[HEALTH_UNKNOWN + 1];
};

static void usage(FILE *out)
{
    fputs("usage: fedwarden check [-c FILE] [--json | --nagios] [-v] [PARTNER...]\n"
          "       fedwarden check --protocol sip|xmpp|xmpp-client|smtp|imap|pop3|ldap|https|tls\n"
          "                       [--json | --nagios] [-v] DOMAIN...\n\n"
          "Probes partners of the configuration (all that are enabled, when none is named), or any domain, now.\n\n"
          "  -c, --config FILE    instead of " CLI_CONF_PATH "\n"
          "  -p, --protocol NAME  check domains without a configuration\n"
          "      --json           one JSON object a line and partner\n"
          "      --nagios         one line as a Nagios plugin prints it\n"
          "  -v, --verbose        all steps of all partners\n\n"
          "Exit status: 0 healthy, 1 warning, 2 critical, 3 unknown.\n",
          out);
}

/* ---- the progress bar ---- */

static void erase_bar(struct check *check)
{
    if (!check->bar_drawn)
        return;
    fputs("\r\033[K", stderr);
    check->bar_drawn = false;
}

static void draw_bar(struct check *check)
{
    char left[32];
    int64_t now = clock_run();
    if (!check->bar || check->done == 0 || (check->drawn && now - check->drawn < BAR_PAUSE))
        return;
    check->drawn = now;
    int64_t seconds =
        (now - check->begun) * (int64_t)(check->count - check->done) / (int64_t)check->done / CLOCK_SECOND;
    size_t full = check->done * BAR_CELLS / check->count;
    fputs("\r[", stderr);
    for (size_t i = 0; i < BAR_CELLS; i++)
        fputc(i < full ? '#' : '.', stderr);
    fprintf(stderr, "] %zu/%zu, %zu failing, %s left\033[K", check->done, check->count, check->failing,
            clock_span(seconds, left, sizeof left));
    fflush(stderr);
    check->bar_drawn = true;
}

/* ---- running ---- */

static void show(struct check *check, const struct walk *walk)
{
    check->counts[reason_health(walk->reason)]++;
    if (check->output == OUTPUT_JSON) {
        check_json(stdout, walk);
    } else if (check->output == OUTPUT_TEXT && (check->count == 1 || check->style.verbose)) {
        if (check->shown > 0)
            putchar('\n');
        check_text_full(stdout, walk, &check->style);
    } else if (check->output == OUTPUT_TEXT && walk->reason != REASON_NONE) {
        check_text_line(stdout, walk, &check->style);
    }
}

/* Shows what is done and has nothing undone before it; only Nagios needs all walks at the end. */
static void show_done(struct check *check)
{
    if (check->shown < check->count && check->walks[check->shown])
        erase_bar(check);
    for (; check->shown < check->count && check->walks[check->shown]; check->shown++) {
        show(check, check->walks[check->shown]);
        if (check->output == OUTPUT_NAGIOS)
            continue;
        walk_free(check->walks[check->shown]);
        check->walks[check->shown] = NULL;
    }
    fflush(stdout);
}

struct running { /* one walk under way */
    struct check *check;
    size_t number;
};

static void start_more(struct check *check);

static void walk_done(void *context, struct walk *walk)
{
    struct running *running = context;
    struct check *check = running->check;
    check->walks[running->number] = walk;
    free(running);
    check->done++;
    check->failing += walk->reason != REASON_NONE;
    show_done(check);
    draw_bar(check);
    if (check->done == check->count)
        sd_event_exit(check->loop, 0);
    else
        start_more(check);
}

static void start_more(struct check *check)
{
    while (check->started < check->count && check->started - check->done < (size_t)check->conf->collectors.in_flight) {
        struct running *running = malloc(sizeof *running);
        if (!running)
            abort();
        running->check = check;
        running->number = check->started;
        if (!probe_start(check->prober, check->positions[check->started], walk_done, running))
            abort();
        check->started++;
    }
}

static int worst_status(const struct check *check)
{
    for (enum health health = HEALTH_UNKNOWN; health > HEALTH_OK; health--)
        if (check->counts[health] > 0)
            return (int)health - 1;
    return 0;
}

static void summarise(const struct check *check)
{
    if (check->output != OUTPUT_TEXT || check->count == 1)
        return;
    if (check->failing > 0 || check->style.verbose)
        putchar('\n');
    printf("%zu partners: %zu critical, %zu warning, %zu ok, in %.1f s\n", check->count, check->counts[HEALTH_CRITICAL],
           check->counts[HEALTH_WARNING], check->counts[HEALTH_OK],
           (double)(clock_run() - check->begun) / (double)CLOCK_SECOND);
}

/* A failure that keeps anything from being checked; Nagios reads it on standard output. */
static int refuse(const struct check *check, const char *message)
{
    if (check->output == OUTPUT_NAGIOS)
        printf("FEDWARDEN UNKNOWN - %s\n", message);
    else
        fprintf(stderr, "fedwarden check: %s\n", message);
    return STATUS_UNKNOWN;
}

static int run(struct check *check)
{
    char error[256], message[320];
    if (!tls_self_test(error, sizeof error)) {
        text_format(message, sizeof message, "TLS cannot be trusted on this machine: self-test: %s", error);
        return refuse(check, message);
    }
    if (sd_event_new(&check->loop) < 0)
        return refuse(check, "no event loop: out of memory or descriptors");
    check->prober = prober_new(check->loop, check->conf);
    if (!check->prober)
        return refuse(check, "the prober cannot be started; see the message above");
    check->walks = calloc(check->count, sizeof check->walks[0]);
    if (!check->walks)
        abort();
    check->begun = clock_run();
    check->bar = check->count > A_HANDFUL && isatty(STDERR_FILENO);
    start_more(check);
    int result = sd_event_loop(check->loop);
    erase_bar(check);
    if (result < 0)
        return refuse(check, strerrordesc_np(-result));
    if (check->output == OUTPUT_NAGIOS)
        check_nagios(stdout, check->walks, check->count);
    summarise(check);
    return worst_status(check);
}

/* ---- what is to be checked ---- */

static void add_position(struct check *check, uint32_t position)
{
    for (size_t i = 0; i < check->count; i++)
        if (check->positions[i] == position)
            return;
    check->positions[check->count++] = position;
}

static int compare_positions(const void *a, const void *b)
{
    uint32_t first = *(const uint32_t *)a, second = *(const uint32_t *)b;
    return (first > second) - (first < second);
}

static int unknown_partner(const struct check *check, const char *name)
{
    char message[OBSERVATION_DETAIL];
    const char **names = calloc(check->conf->partner_count + 1, sizeof *names);
    if (!names)
        abort();
    for (size_t i = 0; i < check->conf->partner_count; i++)
        names[i] = check->conf->partners[i].name;
    const char *nearest = text_nearest(name, names, check->conf->partner_count);
    free(names);
    text_format(message, sizeof message, "%s: no partner \"%s\".", check->conf->path, name);
    if (nearest)
        text_append(message, sizeof message, " Did you mean \"%s\"?", nearest);
    else
        text_append(message, sizeof message, " With --protocol, any domain can be checked.");
    return refuse(check, message);
}

static int select_partners(struct check *check, char **names, size_t name_count)
{
    const struct conf *conf = check->conf;
    check->positions = calloc(conf->partner_count + 1, sizeof check->positions[0]);
    if (!check->positions)
        abort();
    for (size_t i = 0; i < conf->partner_count; i++)
        if (check->protocol || (name_count == 0 && conf->partners[i].enabled))
            check->positions[check->count++] = (uint32_t)i;
    for (size_t i = 0; i < name_count && !check->protocol; i++) {
        long position = conf_partner_find(conf, names[i]);
        if (position < 0)
            return unknown_partner(check, names[i]);
        add_position(check, (uint32_t)position);
    }
    if (check->count == 0)
        return refuse(check, "the configuration has no enabled partner; name one, or use --protocol NAME DOMAIN");
    qsort(check->positions, check->count, sizeof check->positions[0], compare_positions);
    return 0;
}

static int tell_errors(const struct check *check, struct conf_errors *errors)
{
    char text[1024] = "the configuration cannot be used";
    for (size_t i = 0; i < errors->count; i++) {
        conf_error_text(&errors->errors[i], text, sizeof text);
        if (check->output == OUTPUT_NAGIOS)
            break;
        fprintf(stderr, "%s\n", text);
    }
    if (check->output == OUTPUT_NAGIOS)
        printf("FEDWARDEN UNKNOWN - %s\n", text);
    conf_errors_clear(errors);
    return STATUS_UNKNOWN;
}

static int load_file(struct check *check)
{
    struct conf_errors errors = {0};
    check->confs = calloc(1, sizeof check->confs[0]);
    if (!check->confs)
        abort();
    check->confs[0] = conf_load(check->path, &errors);
    if (!check->confs[0])
        return tell_errors(check, &errors);
    conf_errors_clear(&errors);
    check->conf_count = 1;
    check->conf = check->confs[0];
    return 0;
}

/* All domains side by side in one configuration, so that they share DNS channels and trust. */
static int make_adhoc(struct check *check, char **domains, size_t count)
{
    struct conf_errors errors = {0};
    check->confs = calloc(count, sizeof check->confs[0]);
    struct conf_partner *partners = calloc(count, sizeof partners[0]);
    if (!check->confs || !partners)
        abort();
    for (size_t i = 0; i < count; i++) {
        check->confs[i] = conf_adhoc(check->protocol, domains[i], &errors);
        if (!check->confs[i]) {
            free(partners);
            return tell_errors(check, &errors);
        }
        conf_errors_clear(&errors);
        check->conf_count++;
        partners[i] = check->confs[i]->partners[0];
    }
    check->merged = *check->confs[0];
    check->merged.partners = partners;
    check->merged.partner_count = count;
    check->conf = &check->merged;
    return 0;
}

/* ---- options ---- */

enum { OPTION_JSON = 256, OPTION_NAGIOS };

static int set_protocol(struct check *check, const char *name)
{
    char message[160];
    check->protocol = protocol_find(name);
    if (check->protocol)
        return 0;
    text_format(message, sizeof message,
                "no protocol \"%s\" (have: sip, xmpp, xmpp-client, smtp, imap, pop3, ldap, https, tls)", name);
    return refuse(check, message);
}

/* -1: go on; otherwise the exit status. */
static int read_options(struct check *check, int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"protocol", required_argument, NULL, 'p'},
                                            {"json", no_argument, NULL, OPTION_JSON},
                                            {"nagios", no_argument, NULL, OPTION_NAGIOS},
                                            {"verbose", no_argument, NULL, 'v'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    const char *protocol = NULL;
    enum output output;
    int option;
    while ((option = getopt_long(argc, argv, "c:p:vh", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            check->path = optarg;
            break;
        case 'p':
            protocol = optarg;
            break;
        case OPTION_JSON:
        case OPTION_NAGIOS:
            output = option == OPTION_JSON ? OUTPUT_JSON : OUTPUT_NAGIOS;
            if (check->output && check->output != output) {
                fputs("fedwarden check: --json and --nagios exclude each other\n", stderr);
                usage(stderr);
                return STATUS_UNKNOWN;
            }
            check->output = output;
            break;
        case 'v':
            check->style.verbose = true;
            break;
        case 'h':
            usage(stdout);
            return 0;
        default:
            usage(stderr);
            return STATUS_UNKNOWN;
        }
    }
    if (protocol && set_protocol(check, protocol) != 0)
        return STATUS_UNKNOWN;
    if (protocol && optind >= argc)
        return refuse(check, "--protocol needs a domain to check");
    return -1;
}

static void clear(struct check *check)
{
    for (size_t i = 0; check->walks && i < check->count; i++)
        walk_free(check->walks[i]);
    free(check->walks);
    prober_free(check->prober);
    sd_event_unref(check->loop);
    free(check->positions);
    if (check->conf == &check->merged)
        free(check->merged.partners);
    for (size_t i = 0; i < check->conf_count; i++)
        conf_free(check->confs[i]);
    free(check->confs);
}

int cli_check(int argc, char **argv)
{
    struct check check = {.path = CLI_CONF_PATH};
    int status = read_options(&check, argc, argv);
    if (status >= 0)
        return status;
    check.style.term = term_of(stdout);
    signal(SIGPIPE, SIG_IGN); /* a peer that went away is a result */
    size_t count = (size_t)(argc - optind);
    status = check.protocol ? make_adhoc(&check, argv + optind, count) : load_file(&check);
    if (status == 0)
        status = select_partners(&check, argv + optind, count);
    if (status == 0)
        status = run(&check);
    clear(&check);
    return status;
}
