#ifndef FEDWARDEN_CLI_TERM_H
#define FEDWARDEN_CLI_TERM_H

/* What may be shown where the output goes, and text that fits there. Main thread. */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/reason.h"

#define TERM_WIDTH 80 /* columns where nobody says how many there are */

struct term {
    bool colour;
    bool utf8;     /* marks beyond ASCII can be seen */
    size_t width;  /* columns; a line is never longer */
    size_t height; /* lines; 0: as many as there are */
};

/*
 * term_of(out): of a terminal its size, colour unless NO_COLOR or TERM=dumb, marks when its locale is UTF-8; of
 * anything else 80 columns (or COLUMNS) and neither. Sets LC_CTYPE.
 */
struct term term_of(FILE *out);

/* term_colour(term, code): "\033[CODEm"; "" without colour. term_end: what ends it. */
const char *term_colour(const struct term *term, const char *code);
const char *term_end(const struct term *term);
const char *term_health_colour(const struct term *term, enum health health);
const char *term_severity_colour(const struct term *term, enum severity severity);

/* term_health_word(health): "ok", "WARNING", "CRITICAL", "UNKNOWN": what is bad stands out without colour too. */
const char *term_health_word(enum health health);

/* term_columns(text): how many columns it takes: wide characters two, combining ones none. */
size_t term_columns(const char *text);

/* term_put(out, term, text, width): `text` in exactly `width` columns: cut with an ellipsis, or padded. */
void term_put(FILE *out, const struct term *term, const char *text, size_t width);

/*
 * term_wrap(out, term, indent, text): broken at blanks to the width of the terminal, each line behind `indent` blanks.
 */
void term_wrap(FILE *out, const struct term *term, size_t indent, const char *text);

/* term_age(seconds, out, size): a span in its largest unit: "45s", "12m", "3h", "6d"; for columns that are narrow. */
const char *term_age(long long seconds, char *out, size_t size);

/* term_span(seconds, out, size): as clock_span, but "7d" instead of "7d 0h". */
const char *term_span(long long seconds, char *out, size_t size);

/* term_number(number, out, size): with commas between thousands: "1,284,003". */
const char *term_number(unsigned long long number, char *out, size_t size);

#endif
