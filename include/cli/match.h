#ifndef FEDWARDEN_CLI_MATCH_H
#define FEDWARDEN_CLI_MATCH_H

/*
 * fedwarden match: which lines of a log the rules of a preset read, as the daemon would, with what they take from them,
 * and what they do not read, so that a rule can be written and tried in minutes.
 */

/* cli_match(argc, argv): argv[0] is "match". 0 read, 1 the preset or the configuration has errors, 2 wrong usage or no
 * file. */
int cli_match(int argc, char **argv);

/* ---- What no rule matched: lines that differ only in their values are one shape. ---- */

#include <stddef.h>
#include <stdint.h>

struct match_shapes;
struct match_shapes *match_shapes_new(void);
void match_shapes_free(struct match_shapes *shapes);
/* match_shapes_add(shapes, line, length, number): one line; at most 10,000 shapes are told apart. */
void match_shapes_add(struct match_shapes *shapes, const char *line, size_t length, uint64_t number);

struct match_shape {
    uint64_t count, first_line;
    char example[256]; /* the first such line, printable */
};
/* match_shapes_top(shapes, out, most): the most frequent ones first; returns how many were written. */
size_t match_shapes_top(const struct match_shapes *shapes, struct match_shape *out, size_t most);
uint64_t match_shapes_others(const struct match_shapes *shapes); /* lines beyond the 10,000 shapes */

#endif
