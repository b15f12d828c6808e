/*
 * Widths are counted in columns, not octets: a row that is one column too long is broken by the terminal and spoils the
 * whole picture. wcwidth(3) knows them, where the locale is UTF-8; elsewhere a character counts as one.
 */
#include "cli/term.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "base/clock.h"
#include "base/text.h"

#define WIDTH_LEAST 40

static size_t environment_size(const char *name)
{
    const char *value = getenv(name);
    long size = value ? strtol(value, NULL, 10) : 0;
    return size > 0 && size < 10000 ? (size_t)size : 0;
}

struct term term_of(FILE *out)
{
    struct term term = {.width = environment_size("COLUMNS")};
    const char *no_colour = getenv("NO_COLOR"), *kind = getenv("TERM");
    struct winsize size;
    setlocale(LC_CTYPE, "");
    if (isatty(fileno(out))) {
        term.utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
        term.colour = (!no_colour || !*no_colour) && kind && strcmp(kind, "dumb") != 0;
        if (ioctl(fileno(out), TIOCGWINSZ, &size) == 0) {
            if (size.ws_col)
                term.width = size.ws_col;
            term.height = size.ws_row;
        }
    }
    if (term.width == 0)
        term.width = TERM_WIDTH;
    if (term.width < WIDTH_LEAST)
        term.width = WIDTH_LEAST;
    return term;
}

const char *term_colour(const struct term *term, const char *code)
{
    return term->colour ? code : "";
}

const char *term_end(const struct term *term)
{
    return term_colour(term, "\033[0m");
}

const char *term_health_colour(const struct term *term, enum health health)
{
    static const char *const codes[] = {[HEALTH_OK] = "\033[32m",
                                        [HEALTH_WARNING] = "\033[33m",
                                        [HEALTH_CRITICAL] = "\033[1;31m",
                                        [HEALTH_UNKNOWN] = "\033[35m"};
    return term_colour(term, codes[health]);
}

const char *term_severity_colour(const struct term *term, enum severity severity)
{
    if (severity == SEVERITY_CLEARED)
        return term_health_colour(term, HEALTH_OK);
    return term_health_colour(term, severity_rank(severity) >= severity_rank(SEVERITY_MAJOR) ? HEALTH_CRITICAL
                                                                                             : HEALTH_WARNING);
}

const char *term_health_word(enum health health)
{
    static const char *const words[] = {
        [HEALTH_OK] = "ok", [HEALTH_WARNING] = "WARNING", [HEALTH_CRITICAL] = "CRITICAL", [HEALTH_UNKNOWN] = "UNKNOWN"};
    return words[health];
}

/* The octets of the character at `text` and the columns it takes. */
static size_t character(const char *text, size_t *columns)
{
    wchar_t wide;
    mbstate_t state = {0};
    if (*text >= ' ' && *text <= '~') {
        *columns = 1;
        return 1;
    }
    size_t octets = mbrtowc(&wide, text, strlen(text), &state);
    if (octets != (size_t)-1 && octets != (size_t)-2 && octets > 0) {
        int width = wcwidth(wide);
        *columns = width >= 0 ? (size_t)width : 1;
        return octets;
    }
    octets = 1;
    while (((unsigned char)text[octets] & 0xc0) == 0x80)
        octets++;
    *columns = 1;
    return octets;
}

size_t term_columns(const char *text)
{
    size_t count = 0, columns;
    while (*text) {
        text += character(text, &columns);
        count += columns;
    }
    return count;
}

/* How many octets of `text` fit into `width` columns; *used says how many columns they take. */
static size_t fitting(const char *text, size_t width, size_t *used)
{
    size_t octets = 0, columns;
    *used = 0;
    while (text[octets]) {
        size_t length = character(text + octets, &columns);
        if (*used + columns > width)
            break;
        *used += columns;
        octets += length;
    }
    return octets;
}

void term_put(FILE *out, const struct term *term, const char *text, size_t width)
{
    size_t used;
    size_t octets = fitting(text, width, &used);
    if (text[octets]) {
        const char *ellipsis = term->utf8 ? "\u2026" : "..";
        size_t room = term->utf8 ? 1 : 2;
        octets = fitting(text, width > room ? width - room : 0, &used);
        fwrite(text, 1, octets, out);
        if (width >= room) {
            fputs(ellipsis, out);
            used += room;
        }
    } else {
        fwrite(text, 1, octets, out);
    }
    for (; used < width; used++)
        fputc(' ', out);
}

void term_wrap(FILE *out, const struct term *term, size_t indent, const char *text)
{
    size_t room = term->width > indent + 20 ? term->width - indent : 20, used;
    while (*text) {
        size_t octets = fitting(text, room, &used);
        if (text[octets] && text[octets] != ' ') {
            size_t blank = octets;
            while (blank > 0 && text[blank] != ' ')
                blank--;
            if (blank > 0)
                octets = blank;
        }
        fprintf(out, "%*s%.*s\n", (int)indent, "", (int)octets, text);
        text += octets;
        text += strspn(text, " ");
    }
}

const char *term_age(long long seconds, char *out, size_t size)
{
    if (seconds < 60)
        text_format(out, size, "%llds", seconds < 0 ? 0 : seconds);
    else if (seconds < 3600)
        text_format(out, size, "%lldm", seconds / 60);
    else if (seconds < 2 * 86400)
        text_format(out, size, "%lldh", seconds / 3600);
    else
        text_format(out, size, "%lldd", seconds / 86400);
    return out;
}

const char *term_span(long long seconds, char *out, size_t size)
{
    clock_span(seconds, out, size);
    char *second = strstr(out, " 0");
    if (second)
        *second = '\0';
    return out;
}

const char *term_number(unsigned long long number, char *out, size_t size)
{
    char digits[32];
    size_t length = text_format(digits, sizeof digits, "%llu", number), at = 0;
    for (size_t i = 0; i < length && at + 2 < size; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return out;
}
