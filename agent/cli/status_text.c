/*
 * A table that fits: each column is as wide as its widest cell; where the sum is wider than the terminal, the gaps
 * become one blank, alarms lose their severity, reason and partner are cut as far as they stay readable, then the
 * columns that matter least are left out. Health and partner are always there. Below it what has no partner: alarms of
 * the monitor itself, and of sources.
 */
#include "cli/status.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"

#define CELL         64
#define SOURCES_MOST 10 /* alarms of sources that are shown; --json has all */

enum column { PARTNER, HEALTH, REASON, SINCE, COUNT, CERTIFICATE, LAST_OK, ALARM, COLUMNS };

static const char *const titles[] = {
    [PARTNER] = "PARTNER", [HEALTH] = "HEALTH",    [REASON] = "REASON",   [SINCE] = "SINCE",
    [COUNT] = "COUNT",     [CERTIFICATE] = "CERT", [LAST_OK] = "LAST OK", [ALARM] = "ALARM"};

struct layout {
    size_t width[COLUMNS]; /* 0: left out */
    size_t gap;
    uint32_t window; /* of all counts; 0: they differ, each says its own */
    bool brief;      /* alarms without their severity */
    size_t rows;     /* that there is room for */
};

/* ---- cells ---- */

static int64_t age(const struct show *show, int64_t wall)
{
    return (show->wall - wall) / CLOCK_SECOND;
}

static void ago(const struct show *show, int64_t wall, char *out)
{
    if (wall == CLOCK_NEVER)
        text_copy(out, CELL, "never");
    else
        term_age(age(show, wall), out, CELL);
}

static void count_cell(const struct show_partner *row, const struct layout *layout, char *out)
{
    char window[16];
    if (!row->count)
        return;
    text_format(out, CELL, "%" PRIu32, row->count);
    if (!layout->window)
        text_append(out, CELL, "/%s", term_age(row->window, window, sizeof window));
}

static void cell_text(const struct show *show, const struct show_partner *row, const struct layout *layout,
                      enum column column, char *out)
{
    out[0] = '\0';
    switch (column) {
    case PARTNER:
        text_printable(out, CELL, row->name, strlen(row->name));
        break;
    case HEALTH:
        text_copy(out, CELL, term_health_word(row->health));
        break;
    case REASON:
        if (row->reason != REASON_NONE)
            text_copy(out, CELL, reason_name(row->reason));
        else if (row->health == HEALTH_UNKNOWN)
            text_copy(out, CELL, "not looked at yet");
        break;
    case SINCE:
        if (row->health != HEALTH_UNKNOWN)
            ago(show, row->partner->since_wall, out);
        break;
    case COUNT:
        count_cell(row, layout, out);
        break;
    case CERTIFICATE:
        show_left(row->partner->not_after, show->wall, out, CELL);
        break;
    case LAST_OK:
        ago(show, row->partner->success_wall, out);
        break;
    case ALARM:
        if (row->alarm)
            text_format(out, CELL, "%" PRIu32, row->alarm->id);
        if (row->alarm && !layout->brief)
            text_append(out, CELL, " %s", severity_name(row->alarm->severity));
        break;
    case COLUMNS:
        break;
    }
}

static void title_text(const struct layout *layout, enum column column, char *out)
{
    char window[16];
    text_copy(out, CELL, titles[column]);
    if (column == COUNT && layout->window)
        text_append(out, CELL, " %s", term_age(layout->window, window, sizeof window));
}

/* ---- layout ---- */

static size_t total_width(const struct layout *layout)
{
    size_t total = 0;
    for (enum column column = 0; column < COLUMNS; column++)
        if (layout->width[column])
            total += layout->width[column] + (total ? layout->gap : 0);
    return total;
}

static void shrink(struct layout *layout, enum column column, size_t least, size_t width)
{
    size_t total = total_width(layout);
    if (total <= width || layout->width[column] <= least)
        return;
    size_t excess = total - width, most = layout->width[column] - least;
    layout->width[column] -= excess < most ? excess : most;
}

/* One window in the title when all counts have the same. */
static uint32_t common_window(const struct show *show)
{
    uint32_t window = 0;
    for (size_t i = 0; i < show->count; i++) {
        if (!show->partners[i].count)
            continue;
        if (window && window != show->partners[i].window)
            return 0;
        window = show->partners[i].window;
    }
    return window ? window : event_info(EVENT_CONNECTION)->window;
}

static void measure(struct layout *layout, const struct show *show, enum column column)
{
    char text[CELL];
    title_text(layout, column, text);
    layout->width[column] = term_columns(text);
    for (size_t i = 0; i < show->count && i < layout->rows; i++) {
        cell_text(show, &show->partners[i], layout, column, text);
        size_t columns = term_columns(text);
        if (columns > layout->width[column])
            layout->width[column] = columns;
    }
}

static void lay_out(struct layout *layout, const struct show *show, size_t width)
{
    static const enum column spare[] = {LAST_OK, COUNT, SINCE, CERTIFICATE, ALARM};
    layout->window = common_window(show);
    for (enum column column = 0; column < COLUMNS; column++)
        measure(layout, show, column);
    layout->gap = 2;
    if (total_width(layout) > width)
        layout->gap = 1;
    shrink(layout, PARTNER, 20, width);
    if (total_width(layout) > width) {
        layout->brief = true;
        measure(layout, show, ALARM);
    }
    shrink(layout, REASON, 20, width);
    shrink(layout, PARTNER, 14, width);
    for (size_t i = 0; i < sizeof spare / sizeof spare[0] && total_width(layout) > width; i++)
        layout->width[spare[i]] = 0;
    shrink(layout, REASON, 8, width);
    shrink(layout, PARTNER, 8, width);
}

/* ---- the table ---- */

static void print_line(FILE *out, const struct term *term, const struct layout *layout, char cells[COLUMNS][CELL],
                       const struct show_partner *row)
{
    enum column last = ALARM;
    while (last > PARTNER && (!layout->width[last] || !*cells[last]))
        last--;
    for (enum column column = PARTNER; column <= last; column++) {
        const char *code = "";
        if (!layout->width[column])
            continue;
        if (column != PARTNER)
            fprintf(out, "%*s", (int)layout->gap, "");
        if (row && column == HEALTH)
            code = term_health_colour(term, row->health);
        else if (row && column == ALARM && row->alarm)
            code = term_severity_colour(term, row->alarm->severity);
        fputs(code, out);
        size_t width = column == last ? term_columns(cells[column]) : layout->width[column];
        term_put(out, term, cells[column], width < layout->width[column] ? width : layout->width[column]);
        fputs(*code ? term_end(term) : "", out);
    }
    fputc('\n', out);
}

static void print_table(FILE *out, const struct show *show, const struct term *term, const struct layout *layout)
{
    char cells[COLUMNS][CELL];
    for (enum column column = 0; column < COLUMNS; column++)
        title_text(layout, column, cells[column]);
    print_line(out, term, layout, cells, NULL);
    for (size_t i = 0; i < show->count && i < layout->rows; i++) {
        for (enum column column = 0; column < COLUMNS; column++)
            cell_text(show, &show->partners[i], layout, column, cells[column]);
        print_line(out, term, layout, cells, &show->partners[i]);
    }
    if (show->count > layout->rows)
        fprintf(out, "and %zu more that are no worse\n", show->count - layout->rows);
}

/* ---- alarms that have no row in the table ---- */

static void print_guidance(FILE *out, const struct term *term, const struct ledger_alarm *alarm)
{
    const struct reason_info *info = reason_info(alarm->reason);
    char text[3 * OBSERVATION_DETAIL], filled[REASON_RESOLUTION_MAX + 1], address[ADDRESS_TEXT_SIZE];
    struct guidance known = ledger_guidance(alarm, address);
    text_format(text, sizeof text, "cause: %s", guidance_cause(alarm->reason, &known, filled));
    term_wrap(out, term, 4, text);
    text_format(text, sizeof text, "resolution: %s", guidance_resolution(alarm->reason, &known, filled));
    term_wrap(out, term, 4, text);
    text_format(text, sizeof text, "who acts: %s", actor_name(info->actor));
    if (info->actor == ACTOR_PARTNER && *alarm->contact)
        text_append(text, sizeof text, " (%s)", alarm->contact);
    term_wrap(out, term, 4, text);
}

static void print_alarm(FILE *out, const struct show *show, const struct term *term, const struct ledger_alarm *alarm,
                        bool guidance)
{
    char text[2 * OBSERVATION_NAME + 128], where[OBSERVATION_NAME + 128], span[16], window[16];
    char detail[4 * OBSERVATION_DETAIL];
    text_format(text, sizeof text, "%" PRIu32 " %s", alarm->id, severity_name(alarm->severity));
    fprintf(out, "  %s", term_severity_colour(term, alarm->severity));
    term_put(out, term, text, 14);
    fputs(term_end(term), out);
    text_format(text, sizeof text, " %s since %s", reason_name(alarm->reason),
                term_age(age(show, alarm->raised_wall), span, sizeof span));
    if (show_place(alarm) != SHOW_MONITOR)
        text_append(text, sizeof text, ", %" PRIu32 " in %s", show_window(show, alarm),
                    term_age(alarm->window_seconds, window, sizeof window));
    term_put(out, term, text, term_columns(text) < term->width - 16 ? term_columns(text) : term->width - 16);
    fputc('\n', out);
    show_where(alarm, where, sizeof where);
    if (*where)
        term_wrap(out, term, 4, where);
    text_printable(detail, sizeof detail, alarm->detail, strlen(alarm->detail));
    if (*detail)
        term_wrap(out, term, 4, detail);
    if (guidance)
        print_guidance(out, term, alarm);
}

static void print_alarms(FILE *out, const struct show *show, const struct term *term, enum show_place place,
                         const char *title, size_t most, bool guidance)
{
    size_t shown = 0;
    for (size_t i = 0; i < show->alarm_count; i++) {
        if (show_place(show->alarms[i]) != place)
            continue;
        if (shown == 0)
            fprintf(out, "\n%s\n", title);
        if (shown++ < most)
            print_alarm(out, show, term, show->alarms[i], guidance);
    }
    if (shown > most)
        fprintf(out, "  and %zu more; --json has all\n", shown - most);
}

/* ---- around it ---- */

static void add_part(FILE *out, const struct term *term, const char *part, size_t *used)
{
    const char *between = term->utf8 ? " \u00b7 " : ", ";
    size_t width = term_columns(part);
    if (*used && *used + term_columns(between) + width > term->width) {
        fputc('\n', out);
        *used = 0;
    }
    if (*used) {
        fputs(between, out);
        *used += term_columns(between);
    }
    fputs(part, out);
    *used += width;
}

static void print_summary(FILE *out, const struct show *show, const struct term *term)
{
    static const enum health order[] = {HEALTH_CRITICAL, HEALTH_WARNING, HEALTH_UNKNOWN, HEALTH_OK};
    char text[160], number[32];
    size_t used = 0;
    text_format(text, sizeof text, "%s partner%s", term_number(show->count, number, sizeof number),
                show->count == 1 ? "" : "s");
    for (size_t i = 0, told = 0; i < sizeof order / sizeof order[0]; i++)
        if (show->of_health[order[i]])
            text_append(text, sizeof text, "%s%s %s", told++ ? ", " : ": ",
                        term_number(show->of_health[order[i]], number, sizeof number), health_name(order[i]));
    add_part(out, term, text, &used);
    text_format(text, sizeof text, "%zu alarm%s", show->alarm_count, show->alarm_count == 1 ? "" : "s");
    add_part(out, term, text, &used);
    text_format(text, sizeof text, "%s walk%s", term_number(show->ledger->walks, number, sizeof number),
                show->ledger->walks == 1 ? "" : "s");
    add_part(out, term, text, &used);
    if (!show_stale(show)) {
        text_format(text, sizeof text, "as of %s ago", term_age(age(show, show->written), number, sizeof number));
        add_part(out, term, text, &used);
    }
    fputc('\n', out);
}

/* What is shown may be old: that is said first. */
static void print_stale(FILE *out, const struct show *show, const struct term *term)
{
    char text[256], time[CLOCK_TEXT_SIZE], span[32];
    if (show->written == CLOCK_NEVER)
        text_copy(text, sizeof text, "The daemon has written nothing yet. Does it run? systemctl status fedwarden");
    else
        text_format(text, sizeof text,
                    "The daemon seems not to run: it has written nothing for %s, since %s. What follows is from then. "
                    "systemctl status fedwarden",
                    term_span(age(show, show->written), span, sizeof span),
                    clock_text(show->written, time, sizeof time));
    fputs(term_health_colour(term, HEALTH_UNKNOWN), out);
    term_wrap(out, term, 0, text);
    fputs(term_end(term), out);
    fputc('\n', out);
}

static size_t lines_of(const char *text)
{
    size_t lines = 0;
    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

void status_text(FILE *out, const struct show *show, const struct term *term, bool guidance)
{
    struct layout layout = {.rows = SIZE_MAX};
    char *rest = NULL;
    size_t size = 0;
    FILE *below = open_memstream(&rest, &size);
    if (!below)
        abort();
    if (guidance)
        print_alarms(below, show, term, SHOW_PARTNER, "Alarms", SIZE_MAX, true);
    print_alarms(below, show, term, SHOW_MONITOR, "The monitor itself", SIZE_MAX, guidance);
    print_alarms(below, show, term, SHOW_SOURCE, "Sources that are no partner's", SOURCES_MOST, guidance);
    if (ftell(below) > 0)
        fputc('\n', below);
    print_summary(below, show, term);
    if (fclose(below) != 0)
        abort();
    if (show_stale(show))
        print_stale(out, show, term);
    if (term->height) {
        size_t taken = lines_of(rest) + 3 + (show_stale(show) ? 4 : 0);
        layout.rows = term->height > taken + 3 ? term->height - taken : 3;
    }
    lay_out(&layout, show, term->width);
    if (show->count > 0)
        print_table(out, show, term, &layout);
    else
        fputs("There is no partner.\n", out);
    fputs(rest, out);
    free(rest);
}

int status_exit(const struct show *show)
{
    return show_stale(show) ? HEALTH_UNKNOWN - 1 : (int)show->health - 1;
}
