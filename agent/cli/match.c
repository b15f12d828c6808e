/*
 * The file is read line by line into the same reader that the feeds use; time is that of the lines. A line is unmatched
 * when it neither completed an event nor fed a record.
 */
#include "cli/match.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"
#include "cli/cli.h"
#include "collect/rule.h"

#define SHOWN_SHAPES 10

struct match {
    bool json;
    const char *preset, *head, *conf_path, *file;
    unsigned shapes_shown;
    uint64_t reported, uncounted;
    uint64_t events[EVENT_COUNT];
};

static void usage(FILE *out)
{
    fputs("usage: fedwarden match [--preset PRESET] [--head HEAD] [-c CONF] [--json] FILE|-\n\n"
          "Reads FILE, or standard input, by the rules of PRESET: a name, a file with a \"/\" in its name, or a folder "
          "of\n"
          "presets. Without it all presets are tried. HEAD is the one way in which lines begin; without it all of the\n"
          "preset are tried. CONF tells own networks, domains and ports, and the partners.\n\n"
          "  --json        one object a line for each line that counts\n"
          "  --unmatched N how many kinds of lines that no rule matches are shown (10)\n",
          out);
}

static void print_errors(const struct conf_errors *errors)
{
    char text[2048];
    for (size_t i = 0; i < errors->count; i++) {
        conf_error_text(&errors->errors[i], text, sizeof text);
        fprintf(stderr, "%s\n", text);
    }
    if (errors->dropped)
        fprintf(stderr, "and %zu more errors\n", errors->dropped);
}

/* ---- One hit ---- */

static void set(json_t *object, const char *name, json_t *value)
{
    if (!value || json_object_set_new(object, name, value) != 0)
        abort();
}

static void print_json(const struct rule_hit *hit, enum reason reason)
{
    json_t *object = json_object(), *record = json_array(), *fields = json_object();
    if (!record || json_array_append_new(record, json_integer((json_int_t)hit->first_line)) != 0 ||
        json_array_append_new(record, json_integer((json_int_t)hit->last_line)) != 0)
        abort();
    for (size_t i = 0; i < hit->field_count; i++)
        set(fields, hit->fields[i].name, json_string(hit->fields[i].value));
    set(object, "line", json_integer((json_int_t)hit->line));
    set(object, "record", record);
    set(object, "rule", json_string(hit->event.rule));
    set(object, "event", json_integer(hit->event.event));
    set(object, "reason", json_string(reason_name(reason)));
    set(object, "count", json_integer(hit->event.count));
    set(object, "fields", fields);
    json_dumpf(object, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(object);
}

static void print_text(const struct rule_hit *hit, enum reason reason)
{
    printf("%" PRIu64, hit->first_line);
    if (hit->first_line != hit->last_line)
        printf("-%" PRIu64, hit->last_line);
    printf(": %s  event %d %s  %s (%d)", hit->event.rule, hit->event.event, event_name(hit->event.event),
           reason_name(reason), reason);
    if (hit->event.count != 1)
        printf("  %" PRIu32 " times", hit->event.count);
    printf("\n   ");
    for (size_t i = 0; i < hit->field_count; i++)
        printf(" %s=%s", hit->fields[i].name, hit->fields[i].value);
    putchar('\n');
}

static void found(void *context, const struct rule_hit *hit)
{
    struct match *match = context;
    enum reason reason =
        hit->event.by_source ? reason_by_source(hit->event.reason, hit->event.event) : hit->event.reason;
    if (hit->event.event == EVENT_NONE) { /* counts only when the source is somebody that we know */
        match->uncounted++;
        return;
    }
    match->reported++;
    match->events[hit->event.event] += hit->event.count;
    if (match->json)
        print_json(hit, reason);
    else
        print_text(hit, reason);
}

/* ---- The whole ---- */

static void print_summary(const struct match *match, const struct rule_counts *counts,
                          const struct match_shapes *shapes)
{
    FILE *out = match->json ? stderr : stdout;
    fprintf(out, "%s%" PRIu64 " lines: %" PRIu64 " matched, of them %" PRIu64 " counted", match->json ? "" : "\n",
            counts->lines, counts->matched, match->reported);
    if (match->uncounted)
        fprintf(out, ", %" PRIu64 " not counted because their source is neither own nor a partner", match->uncounted);
    fprintf(out, "; %" PRIu64 " unmatched", counts->lines - counts->matched);
    if (counts->headless)
        fprintf(out, ", %" PRIu64 " of them begin like no known head", counts->headless);
    fputc('\n', out);
    for (int event = EVENT_NONE + 1; event < EVENT_COUNT; event++)
        if (match->events[event])
            fprintf(out, "  event %d %-14s %" PRIu64 "\n", event, event_name((enum event)event), match->events[event]);
    if (counts->cut)
        fprintf(out, "  %" PRIu64 " lines are longer than %d octets: only so much of them was looked at\n", counts->cut,
                RULE_LINE_MAX);
    if (counts->errors)
        fprintf(out,
                "  %" PRIu64 " times a pattern hit its limits, the last time that of %s: it has to backtrack less\n",
                counts->errors, counts->last_error_rule);
    struct match_shape *top = calloc(match->shapes_shown + 1, sizeof *top);
    if (!top)
        abort();
    size_t count = match_shapes_top(shapes, top, match->shapes_shown);
    if (count)
        fputs("\nWhat no rule matches, the most frequent first (times, first line, that line):\n", out);
    for (size_t i = 0; i < count; i++)
        fprintf(out, "%8" PRIu64 "  %8" PRIu64 "  %s\n", top[i].count, top[i].first_line, top[i].example);
    if (match_shapes_others(shapes))
        fprintf(out, "%8" PRIu64 "  lines of more kinds than are told apart\n", match_shapes_others(shapes));
    free(top);
}

static int read_file(struct match *match, FILE *file, const struct rule_set *rules, const struct conf *conf)
{
    struct rule_reader *reader = rule_reader_new(rules, conf, found, match);
    struct match_shapes *shapes = match_shapes_new();
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    uint64_t matched = 0;
    while ((length = getline(&line, &room, file)) >= 0) {
        size_t octets = (size_t)length - (length && line[length - 1] == '\n');
        rule_read(reader, line, octets, 0);
        struct rule_counts counts = rule_reader_counts(reader);
        if (counts.matched == matched)
            match_shapes_add(shapes, line, octets, counts.lines);
        matched = counts.matched;
    }
    int status = 0;
    if (ferror(file)) {
        fprintf(stderr, "fedwarden match: %s: %s\n", match->file, strerror(errno));
        status = 2;
    }
    struct rule_counts counts = rule_reader_counts(reader);
    print_summary(match, &counts, shapes);
    free(line);
    match_shapes_free(shapes);
    rule_reader_free(reader);
    return status;
}

/* The path of what --preset names. */
static void preset_path(const char *name, char *out, size_t size)
{
    size_t length = name ? strlen(name) : 0;
    if (!name)
        text_format(out, size, "%s", conf_presets_dir());
    else if (strchr(name, '/') || strcmp(name, ".") == 0)
        text_format(out, size, "%s", name);
    else
        text_format(out, size, "%s/%s%s", conf_presets_dir(), name,
                    length > 5 && strcmp(name + length - 5, ".conf") == 0 ? "" : ".conf");
}

/* 0 go on, -1 end with 0, otherwise the status to end with. */
static int options(struct match *match, int argc, char **argv)
{
    static const struct option list[] = {{"preset", required_argument, NULL, 'p'},
                                         {"head", required_argument, NULL, 'H'},
                                         {"config", required_argument, NULL, 'c'},
                                         {"json", no_argument, NULL, 'j'},
                                         {"unmatched", required_argument, NULL, 'u'},
                                         {"help", no_argument, NULL, 'h'},
                                         {NULL, 0, NULL, 0}};
    *match = (struct match){.head = "", .shapes_shown = SHOWN_SHAPES};
    for (int option; (option = getopt_long(argc, argv, "p:c:h", list, NULL)) != -1;) {
        if (option == 'p')
            match->preset = optarg;
        else if (option == 'H')
            match->head = optarg;
        else if (option == 'c')
            match->conf_path = optarg;
        else if (option == 'j')
            match->json = true;
        else if (option == 'u' && *optarg && !optarg[strspn(optarg, "0123456789")] && strlen(optarg) < 6)
            match->shapes_shown = (unsigned)atoi(optarg);
        else {
            usage(option == 'h' ? stdout : stderr);
            return option == 'h' ? -1 : 2;
        }
    }
    if (optind + 1 != argc) {
        usage(stderr);
        return 2;
    }
    match->file = argv[optind];
    return 0;
}

/* The rules; NULL with their errors printed. */
static struct rule_set *load_rules(const struct match *match)
{
    char path[4096];
    struct conf_errors errors = {0};
    preset_path(match->preset, path, sizeof path);
    struct rule_set *rules = rule_set_load(path, match->head, &errors);
    print_errors(&errors);
    conf_errors_clear(&errors);
    return rules;
}

int cli_match(int argc, char **argv)
{
    struct match match;
    struct conf_errors errors = {0};
    struct conf *conf = NULL;
    int status = options(&match, argc, argv);
    if (status)
        return status < 0 ? 0 : status;
    if (match.conf_path && !(conf = conf_load(match.conf_path, &errors))) {
        print_errors(&errors);
        conf_errors_clear(&errors);
        return 1;
    }
    struct rule_set *rules = load_rules(&match);
    FILE *file = !rules ? NULL : strcmp(match.file, "-") == 0 ? stdin : fopen(match.file, "r");
    if (!rules)
        status = 1;
    else if (!file) {
        fprintf(stderr, "fedwarden match: %s: %s\n", match.file, strerror(errno));
        status = 2;
    } else
        status = read_file(&match, file, rules, conf);
    if (file && file != stdin)
        fclose(file);
    rule_set_free(rules);
    conf_free(conf);
    return status;
}
