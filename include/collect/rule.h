#ifndef FEDWARDEN_COLLECT_RULE_H
#define FEDWARDEN_COLLECT_RULE_H

/*
 * From lines of logs to events. A rule_set is a compiled preset (base/conf_preset.h): record heads, then patterns of
 * PCRE2 with named groups, chosen by head and product, behind a multi-pattern prefilter. It is constant once loaded. A
 * rule_reader holds what lines have to do with each other: the record of several lines that one process writes about one
 * failure is joined and counted once. One reader a feed, one thread.
 *
 * Whatever a line holds, reading it ends: lines are cut at RULE_LINE_MAX, patterns run under match limits and with a JIT
 * stack that such lines cannot overflow; every return code that is neither a match nor "no match" is counted and names
 * the rule.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/conf.h"
#include "base/observation.h"
#include "collect/pack.h"

#define RULE_LINE_MAX 16384 /* octets of a line that are looked at */

struct rule_set;
struct rule_reader;

/*
 * rule_set_load(path, head, errors): reads and compiles the preset at `path`, or all presets (*.conf) of a folder; `head`
 * names the one head to use, "" all that it has. NULL with every mistake added to `errors` (file, line, rule).
 * rule_set_no_prefilter(set): rules are tried one by one from now on, with the same result: for tests and measurements.
 * Before any reader is made.
 */
struct rule_set *rule_set_load(const char *path, const char *head, struct conf_errors *errors);
void rule_set_no_prefilter(struct rule_set *set);
void rule_set_free(struct rule_set *set); /* NULL is allowed; after its readers */

/*
 * One event that was read. Of an event by source (by_source) `event` is what the configuration tells; the ledger, which
 * knows the addresses of partners' records too, decides. EVENT_NONE: only if the source turns out to be known (known_only).
 */
struct rule_hit {
    uint64_t line; /* number of the line that tells it, from 1 */
    uint64_t first_line, last_line; /* of its record */
    struct observation_event event;
    /* what else the named groups gave, for `fedwarden match`: pairs of name and printable value */
    size_t field_count;
    struct {
        const char *name;
        char value[256];
    } fields[16];
};

/* Called from within rule_read and rule_flush; the hit lives until it returns. */
typedef void rule_found(void *context, const struct rule_hit *hit);

/*
 * rule_reader_new(set, conf, found, context): `conf` tells own networks, domains, ports and partners; both must outlive
 * the reader.
 */
struct rule_reader *rule_reader_new(const struct rule_set *set, const struct conf *conf, rule_found *found,
                                    void *context);
void rule_reader_free(struct rule_reader *reader); /* NULL is allowed */

/*
 * rule_read(reader, line, length, run): one line without its end, any octets; `run` is clock_run() or the line's own time
 * where it is read later. rule_flush(reader, run): tells what waited for further lines longer than a record lasts.
 */
void rule_read(struct rule_reader *reader, const char *line, size_t length, int64_t run);
void rule_flush(struct rule_reader *reader, int64_t run);

/*
 * rule_pack(reader, run, pack): what lines have left behind for later ones, appended; of more than fits, what was used
 * least recently is left out. rule_unpack(reader, unpack, run): a new reader goes on with it, as if no time had passed in
 * between. Any octets; with what is none, or of other rules, it stays as it is.
 * rule_is_idle(reader): nothing is left behind.
 */
void rule_pack(const struct rule_reader *reader, int64_t run, struct pack *pack);
void rule_unpack(struct rule_reader *reader, struct unpack *unpack, int64_t run);
bool rule_is_idle(const struct rule_reader *reader);

struct rule_counts {
    uint64_t lines, headless; /* headless: no record head fits */
    uint64_t matched, events; /* lines that a rule matched; failures told, with their counts */
    uint64_t cut;             /* lines longer than RULE_LINE_MAX */
    uint64_t errors;          /* return codes of PCRE2 below "no match" */
    const char *last_error_rule; /* NULL none */
};
struct rule_counts rule_reader_counts(const struct rule_reader *reader);

#endif
