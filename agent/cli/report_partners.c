/*
 * A timeline is a row of slots, the worst health within each. What is worse is higher, so that it is seen without
 * colour too; runs of equal slots are one rectangle, and those of one health one path. It has no text, so that it can
 * be stretched to any width.
 */
#include "cli/report_parts.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/term.h"

#define HEIGHT 28

static const struct {
    enum health health;
    const char *name;
    unsigned height;
} marks[] = {{HEALTH_OK, "ok", 8}, {HEALTH_WARNING, "warning", 17}, {HEALTH_CRITICAL, "critical", HEIGHT}};
#define MARKS (sizeof marks / sizeof marks[0])

static void print_runs(FILE *out, const uint8_t *slots, size_t mark)
{
    bool any = false;
    for (size_t slot = 0, end; slot < REPORT_SLOTS; slot = end) {
        for (end = slot + 1; end < REPORT_SLOTS && slots[end] == slots[slot];)
            end++;
        if (slots[slot] != marks[mark].health)
            continue;
        if (!any)
            fprintf(out, "<path class=\"%s\" d=\"", marks[mark].name);
        fprintf(out, "M%zu %uh%zuv%uh-%zuz", slot, HEIGHT - marks[mark].height, end - slot, marks[mark].height,
                end - slot);
        any = true;
    }
    if (any)
        fputs("\"/>", out);
}

/* What the picture shows, in words. */
static void print_description(FILE *out, const struct report *report, const struct report_partner *partner)
{
    char span[32];
    bool any = false;
    for (size_t i = MARKS; i-- > 0;) {
        int64_t spent = partner->spent[marks[i].health];
        if (spent < CLOCK_SECOND)
            continue;
        fprintf(out, "%s%s for %s", any ? ", " : "", marks[i].name, term_span(spent / CLOCK_SECOND, span, sizeof span));
        any = true;
    }
    int64_t unknown = report->until - report->since - report_observed(partner);
    if (unknown >= 60 * CLOCK_SECOND || !any)
        fprintf(out, "%snot known for %s", any ? ", " : "", term_span(unknown / CLOCK_SECOND, span, sizeof span));
}

static void print_timeline(FILE *out, const struct report *report, const struct report_partner *partner, size_t number)
{
    fprintf(
        out,
        "<svg class=\"time\" role=\"img\" aria-labelledby=\"t%zu d%zu\" width=\"100%%\" height=\"%d\" viewBox=\"0 0 "
        "%d %d\" preserveAspectRatio=\"none\"><title id=\"t%zu\">",
        number, number, HEIGHT, REPORT_SLOTS, HEIGHT, number);
    html_text(out, partner->row->name);
    fprintf(out, "</title><desc id=\"d%zu\">", number);
    print_description(out, report, partner);
    fprintf(out, "</desc><rect class=\"track\" y=\"%d\" width=\"%d\" height=\"1\"/>", HEIGHT - 1, REPORT_SLOTS);
    for (size_t mark = 0; mark < MARKS; mark++)
        print_runs(out, partner->slots, mark);
    fputs("</svg>", out);
}

static void print_now(FILE *out, const struct show_partner *row)
{
    html_badge(out, health_name(row->health), health_name(row->health));
    if (row->reason != REASON_NONE)
        fprintf(out, " %s", reason_name(row->reason));
    if (row->alarm)
        fprintf(out, ", alarm %" PRIu32, row->alarm->id);
}

static void print_partner(FILE *out, const struct report *report, const struct report_partner *partner, size_t number)
{
    char text[32];
    fputs("<tr><th scope=\"row\">", out);
    html_foreign(out, partner->row->name);
    fputs("</th>", out);
    html_cell(out, "Now");
    print_now(out, partner->row);
    fputs("</td>", out);
    html_short_cell(out, "Since");
    html_time(out, partner->row->partner->since_wall);
    fputs("</td><td class=\"wide\">", out);
    print_timeline(out, report, partner, number);
    fputs("</td>", out);
    html_short_cell(out, "Available");
    fprintf(out, "%s</td>",
            report_availability(report_observed(partner), report_available(partner), text, sizeof text));
    html_short_cell(out, "Changes");
    fprintf(out, "%" PRIu32 "</td></tr>\n", partner->changes);
}

static void print_table(FILE *out, const struct report *report, const char *caption, size_t from, size_t to)
{
    static const char *const titles[] = {"Partner", "Now", "Since", "Over the period", "Available", "Changes"};
    html_table(out, caption, titles, sizeof titles / sizeof titles[0]);
    for (size_t i = from; i < to; i++)
        print_partner(out, report, &report->partners[i], i);
    html_table_end(out);
}

static void print_legend(FILE *out, const struct report *report)
{
    char slot[32];
    fputs("<p class=\"legend\">", out);
    for (size_t i = 0; i < MARKS; i++)
        fprintf(out,
                "<span><svg aria-hidden=\"true\" width=\"14\" height=\"%d\"><rect class=\"%s\" y=\"%u\" width=\"14\" "
                "height=\"%u\"/></svg> %s</span> ",
                HEIGHT, marks[i].name, HEIGHT - marks[i].height, marks[i].height, marks[i].name);
    fprintf(out,
            "<span><svg aria-hidden=\"true\" width=\"14\" height=\"%d\"><rect class=\"track\" y=\"%d\" width=\"14\" "
            "height=\"1\"/></svg> not known</span></p>\n<p class=\"dim\">From ",
            HEIGHT, HEIGHT - 1);
    html_time(out, report->since);
    fputs(" on the left to ", out);
    html_time(out, report->until);
    fprintf(out,
            " on the right; each step is %s and shows the worst within it. Available is the share of the time that is "
            "known and not critical.</p>\n",
            term_span((report->until - report->since) / REPORT_SLOTS / CLOCK_SECOND, slot, sizeof slot));
}

/* Of those that are not listed: how they are. */
static void print_rest(FILE *out, const struct report *report, size_t from)
{
    size_t of_health[HEALTH_UNKNOWN + 1] = {0};
    for (size_t i = from; i < report->count; i++)
        of_health[report->partners[i].row->health]++;
    fprintf(out,
            "<p>%zu further partners are not listed here: %zu critical, %zu warning, %zu not looked at yet, %zu ok. "
            "<code>fedwarden status</code> has all.</p>\n",
            report->count - from, of_health[HEALTH_CRITICAL], of_health[HEALTH_WARNING], of_health[HEALTH_UNKNOWN],
            of_health[HEALTH_OK]);
}

/* How many of those that stand first are not folded: those with something to tell, or all when they are few. */
static size_t count_open(const struct report *report)
{
    size_t open = 0;
    if (report->count <= REPORT_FEW)
        return report->count;
    while (open < report->count && open < REPORT_FULL && !report_calm(&report->partners[open]))
        open++;
    return open;
}

void report_partners(FILE *out, const struct report *report)
{
    size_t open = count_open(report);
    size_t folded = report->count - open < REPORT_FOLDED ? report->count - open : REPORT_FOLDED;
    fputs("<section id=\"partners\" aria-labelledby=\"partners-title\">\n<h2 id=\"partners-title\">Partners</h2>\n",
          out);
    if (report->count == 0)
        fputs("<p>There is no partner.</p>\n", out);
    else
        print_legend(out, report);
    if (open)
        print_table(out, report, "Health and availability, what needs attention first", 0, open);
    if (folded) {
        bool calm = report_calm(&report->partners[open]);
        html_fold(out, calm ? "%zu that were well all the time" : "%zu more", folded);
        print_table(out, report, "Further partners", open, open + folded);
        html_fold_end(out);
    }
    if (report->count > open + folded)
        print_rest(out, report, open + folded);
    fputs("</section>\n", out);
}
