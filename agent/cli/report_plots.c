/*
 * Failures by reason, and when certificates end. The number always stands beside its bar, so a bar is for the eye
 * alone; the plot of weeks says the same in its description.
 */
#include "cli/report_parts.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/text.h"

#define DAY  (86400 * CLOCK_SECOND)
#define WEEK (7 * DAY)

/* ---- failures ---- */

static void print_reason(FILE *out, const struct report_reason *reason, uint64_t most)
{
    const struct reason_info *info = reason_info(reason->reason);
    fprintf(out, "<tr><th scope=\"row\">%s <small>%d</small></th>", info->name, info->reason);
    html_short_cell(out, "Failures");
    fprintf(out, "%" PRIu64 "</td><td class=\"wide\">", reason->count);
    html_bar(out, (double)reason->count / (double)most, "plain");
    fputs("</td>", out);
    html_short_cell(out, "Last");
    html_time(out, reason->last_wall);
    fputs("</td>", out);
    html_short_cell(out, "Ever");
    fprintf(out, "%" PRIu64 "</td>", reason->ever);
    html_cell(out, "Who acts");
    fprintf(out, "%s</td></tr>\n", actor_name(info->actor));
}

void report_reasons(FILE *out, const struct report *report)
{
    static const char *const titles[] = {"Reason", "Failures", "Share of the most frequent",
                                         "Last",   "Ever",     "Who acts"};
    uint64_t others = 0;
    fputs("<section id=\"reasons\" aria-labelledby=\"reasons-title\">\n<h2 id=\"reasons-title\">Failures by "
          "reason</h2>\n",
          out);
    if (report->reason_count == 0) {
        fputs("<p>No failure is kept of this period.</p>\n</section>\n", out);
        return;
    }
    html_table(out, "Failures of the period that are kept, the most frequent reason first", titles,
               sizeof titles / sizeof titles[0]);
    for (size_t i = 0; i < report->reason_count; i++) {
        if (i < REPORT_REASONS)
            print_reason(out, &report->reasons[i], report->reasons[0].count);
        else
            others += report->reasons[i].count;
    }
    html_table_end(out);
    if (others)
        fprintf(out, "<p>%" PRIu64 " failures of other reasons.</p>\n", others);
    fputs(
        "<p class=\"dim\">The oldest failures are given up first where there are many; \"ever\" counts all. What each "
        "reason means: <code>fedwarden explain</code>.</p>\n</section>\n",
        out);
}

/* ---- certificates ---- */

struct endings {
    size_t known;
    size_t ended, week, month, quarter, later;
    size_t weeks[REPORT_WEEKS + 1]; /* the last one: later */
    size_t count;                   /* in `first` */
    const struct show_partner *first[REPORT_ENDINGS];
};

/* Keeps those that end first, in order. */
static void insert_first(struct endings *endings, const struct show_partner *row)
{
    size_t at = endings->count;
    if (at == REPORT_ENDINGS) {
        if (endings->first[at - 1]->partner->not_after <= row->partner->not_after)
            return;
        at--;
    } else {
        endings->count++;
    }
    for (; at > 0 && endings->first[at - 1]->partner->not_after > row->partner->not_after; at--)
        endings->first[at] = endings->first[at - 1];
    endings->first[at] = row;
}

static void collect_endings(struct endings *endings, const struct show *show)
{
    *endings = (struct endings){0};
    for (size_t i = 0; i < show->count; i++) {
        int64_t not_after = show->partners[i].partner->not_after, left = not_after - show->wall;
        if (not_after == CLOCK_NEVER)
            continue;
        endings->known++;
        insert_first(endings, &show->partners[i]);
        if (left < 0)
            endings->ended++;
        else if (left < WEEK)
            endings->week++;
        else if (left < 30 * DAY)
            endings->month++;
        else if (left < 90 * DAY)
            endings->quarter++;
        else
            endings->later++;
        if (left >= 0)
            endings->weeks[left / WEEK < REPORT_WEEKS ? left / WEEK : REPORT_WEEKS]++;
    }
}

/* A column for each week: those that end soonest have the colours of what is bad. */
static void print_weeks(FILE *out, const struct endings *endings)
{
    enum { COLUMN = 10, HEIGHT = 80 };
    size_t most = 1;
    for (size_t week = 0; week < REPORT_WEEKS; week++)
        if (endings->weeks[week] > most)
            most = endings->weeks[week];
    fprintf(
        out,
        "<figure><svg class=\"weeks\" role=\"img\" aria-labelledby=\"weeks-title weeks-desc\" width=\"100%%\" "
        "height=\"%d\" viewBox=\"0 0 %d %d\" preserveAspectRatio=\"none\"><title id=\"weeks-title\">Certificates that "
        "end in each of the next %d weeks</title><desc id=\"weeks-desc\">",
        HEIGHT, COLUMN * REPORT_WEEKS, HEIGHT, REPORT_WEEKS);
    bool any = false;
    for (size_t week = 0; week < REPORT_WEEKS; week++)
        if (endings->weeks[week]) {
            fprintf(out, "%sweek %zu: %zu", any ? ", " : "", week + 1, endings->weeks[week]);
            any = true;
        }
    fprintf(out, "%s</desc><rect class=\"track\" y=\"%d\" width=\"%d\" height=\"1\"/>", any ? "" : "none", HEIGHT - 1,
            COLUMN * REPORT_WEEKS);
    for (size_t week = 0; week < REPORT_WEEKS; week++) {
        size_t height = endings->weeks[week] ? 6 + endings->weeks[week] * (HEIGHT - 6) / most : 0;
        if (height)
            fprintf(out, "<rect class=\"%s\" x=\"%zu\" y=\"%zu\" width=\"%d\" height=\"%zu\"/>",
                    week < 1   ? "critical"
                    : week < 4 ? "warning"
                               : "plain",
                    week * COLUMN + 1, HEIGHT - height, COLUMN - 2, height);
    }
    fprintf(
        out,
        "</svg><div class=\"axis\" aria-hidden=\"true\"><span>now</span><span>%d weeks</span><span>%d weeks</span>"
        "</div><figcaption>Certificates that end in each of the next %d weeks; the highest column is %zu.</figcaption>"
        "</figure>\n",
        REPORT_WEEKS / 2, REPORT_WEEKS, REPORT_WEEKS, most);
}

static const struct ledger_certificate *ending_certificate(const struct ledger *ledger,
                                                           const struct ledger_partner *partner)
{
    const struct index *rows = &ledger->certificates;
    const struct ledger_certificate *found = NULL;
    for (size_t i = index_after(rows, (uint32_t[INDEX_PARTS]){partner->index});
         i < rows->count && rows->entries[i].key[0] == partner->index; i++) {
        const struct ledger_certificate *certificate = rows->entries[i].cell;
        if (certificate->value.not_after == partner->not_after && !found)
            found = certificate;
    }
    return found;
}

static void print_ending(FILE *out, const struct show *show, const struct show_partner *row)
{
    char left[32];
    int64_t not_after = row->partner->not_after;
    const struct ledger_certificate *certificate = ending_certificate(show->ledger, row->partner);
    long days = show_days(not_after, show->wall);
    fputs("<tr><th scope=\"row\">", out);
    html_foreign(out, row->name);
    fputs("</th>", out);
    html_short_cell(out, "Ends");
    html_time(out, not_after);
    fputs("</td>", out);
    html_short_cell(out, "Left");
    fprintf(out, "%s</td><td class=\"wide\">", show_left(not_after, show->wall, left, sizeof left));
    html_bar(out, (double)days / (7 * REPORT_WEEKS), days < 7 ? "critical" : days < 28 ? "warning" : "plain");
    fputs("</td>", out);
    html_cell(out, "Certificate");
    if (certificate) {
        html_foreign(out, *certificate->value.subject ? certificate->value.subject : certificate->value.names);
        fputs(" <small>of ", out);
        html_foreign(out, certificate->value.issuer);
        fputs("</small>", out);
    }
    fputs("</td></tr>\n", out);
}

static void print_endings(FILE *out, const struct show *show, const char *caption,
                          const struct show_partner *const *rows, size_t count)
{
    static const char *const titles[] = {"Partner", "Ends", "Left", "Of half a year", "Certificate"};
    html_table(out, caption, titles, sizeof titles / sizeof titles[0]);
    for (size_t i = 0; i < count; i++)
        print_ending(out, show, rows[i]);
    html_table_end(out);
}

void report_endings(FILE *out, const struct report *report)
{
    struct endings endings;
    collect_endings(&endings, report->show);
    fputs("<section id=\"certificates\" aria-labelledby=\"certificates-title\">\n<h2 id=\"certificates-title\">"
          "Certificates</h2>\n",
          out);
    if (!endings.known) {
        fputs("<p>No certificate has been seen yet.</p>\n</section>\n", out);
        return;
    }
    fprintf(out,
            "<ul class=\"tiles\"><li><span>ended</span> <b>%zu</b></li><li><span>within 7 days</span> <b>%zu</b></li>"
            "<li><span>within 30 days</span> <b>%zu</b></li><li><span>within 90 days</span> <b>%zu</b></li>"
            "<li><span>later</span> <b>%zu</b></li></ul>\n",
            endings.ended, endings.week, endings.month, endings.quarter, endings.later);
    print_weeks(out, &endings);
    size_t open = endings.count < REPORT_ENDINGS_OPEN ? endings.count : REPORT_ENDINGS_OPEN;
    print_endings(out, report->show,
                  "Certificates that end first: of each partner the earliest end in the chains that its endpoints show",
                  endings.first, open);
    if (endings.count > open) {
        html_fold(out, "the next %zu", endings.count - open);
        print_endings(out, report->show, "Certificates that end next", endings.first + open, endings.count - open);
        html_fold_end(out);
    }
    fputs("</section>\n", out);
}
