/*
 * Alarms with one reason have one cause and one resolution: they are told once for all of them, so that a thousand
 * alarms are not a thousand times the same advice.
 */
#include "cli/report_parts.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/term.h"

struct budget { /* of rows that are still written */
    size_t open, folded;
};

static void print_owner(FILE *out, const struct ledger_alarm *alarm)
{
    char where[2 * OBSERVATION_NAME];
    show_where(alarm, where, sizeof where);
    if (*alarm->name)
        html_foreign(out, alarm->name);
    else if (show_place(alarm) == SHOW_SOURCE && *where)
        html_foreign(out, where);
    else
        fputs(show_place(alarm) == SHOW_SOURCE ? "no partner" : "the monitor itself", out);
}

static void print_place(FILE *out, const struct ledger_alarm *alarm)
{
    char where[2 * OBSERVATION_NAME];
    show_where(alarm, where, sizeof where);
    if (*where)
        html_foreign(out, where);
    else
        fputc('-', out);
}

static void print_alarm(FILE *out, const struct report *report, const struct ledger_alarm *alarm)
{
    char window[32];
    fputs("<tr><th scope=\"row\">", out);
    print_owner(out, alarm);
    if (*alarm->contact && reason_info(alarm->reason)->actor == ACTOR_PARTNER) {
        fputs(" <small>", out);
        html_foreign(out, alarm->contact);
        fputs("</small>", out);
    }
    fputs("</th>", out);
    html_short_cell(out, "Alarm");
    html_badge(out, html_severity_class(alarm->severity), severity_name(alarm->severity));
    fprintf(out, " %" PRIu32 "</td>", alarm->id);
    html_short_cell(out, "Since");
    html_time(out, alarm->raised_wall);
    fputs("</td>", out);
    html_cell(out, "Count");
    fprintf(out, "%" PRIu32 " in %s, %" PRIu64 " in all</td>", show_window(report->show, alarm),
            term_span(alarm->window_seconds, window, sizeof window), alarm->total);
    html_cell(out, "Where");
    print_place(out, alarm);
    fputs("</td>", out);
    html_cell(out, "Detail");
    html_foreign(out, alarm->detail);
    fputs("</td></tr>\n", out);
}

static void print_rows(FILE *out, const struct report *report, const struct ledger_alarm *const *alarms, size_t count)
{
    static const char *const titles[] = {"Of", "Alarm", "Since", "Count", "Where", "Detail"};
    char caption[96];
    text_format(caption, sizeof caption, "%zu alarm%s: %s", count, count == 1 ? "" : "s",
                reason_name(alarms[0]->reason));
    html_table(out, caption, titles, sizeof titles / sizeof titles[0]);
    for (size_t i = 0; i < count; i++)
        print_alarm(out, report, alarms[i]);
    html_table_end(out);
}

static void print_guidance(FILE *out, const struct ledger_alarm *alarm)
{
    const struct reason_info *info = reason_info(alarm->reason);
    const struct event_info *event = event_info(alarm->event);
    fprintf(out, "<h3>%s <small>%d", info->name, info->reason);
    if (event)
        fprintf(out, ", %s", event->title);
    fputs("</small></h3>\n<dl class=\"guidance\"><dt>Cause</dt><dd>", out);
    html_text(out, info->cause);
    fputs("</dd><dt>Resolution</dt><dd>", out);
    html_text(out, info->resolution);
    fprintf(out, "</dd><dt>Who acts</dt><dd>%s</dd></dl>\n", actor_name(info->actor));
}

static void print_group(FILE *out, const struct report *report, const struct ledger_alarm *const *alarms, size_t count,
                        struct budget *budget)
{
    size_t open = count < budget->open ? count : budget->open;
    size_t folded = count - open < budget->folded ? count - open : budget->folded;
    fputs("<article>\n", out);
    print_guidance(out, alarms[0]);
    if (open)
        print_rows(out, report, alarms, open);
    if (folded) {
        html_fold(out, "%zu more with this reason", folded);
        print_rows(out, report, alarms + open, folded);
        html_fold_end(out);
    }
    if (count > open + folded)
        fprintf(out, "<p>%zu more with this reason are not listed here: <code>fedwarden status --json</code>.</p>\n",
                count - open - folded);
    fputs("</article>\n", out);
    budget->open -= open;
    budget->folded -= folded;
}

/* An alarm, and the place in the order of the worst one with the same reason. */
struct grouped {
    size_t first, own;
};

static int compare_groups(const void *a, const void *b)
{
    const struct grouped *one = a, *other = b;
    if (one->first != other->first)
        return one->first < other->first ? -1 : 1;
    return (one->own > other->own) - (one->own < other->own);
}

/* The alarms by reason, the reason of the worst alarm first; the caller frees it. */
static const struct ledger_alarm **group_alarms(const struct show *show)
{
    size_t *firsts = calloc(reason_count() + 1, sizeof *firsts);
    struct grouped *order = calloc(show->alarm_count + 1, sizeof *order);
    const struct ledger_alarm **alarms = calloc(show->alarm_count + 1, sizeof alarms[0]);
    if (!firsts || !order || !alarms)
        abort();
    for (size_t i = 0; i < show->alarm_count; i++) {
        size_t reason = 0;
        while (reason < reason_count() && reason_at(reason)->reason != show->alarms[i]->reason)
            reason++;
        if (!firsts[reason])
            firsts[reason] = i + 1;
        order[i] = (struct grouped){firsts[reason], i};
    }
    qsort(order, show->alarm_count, sizeof *order, compare_groups);
    for (size_t i = 0; i < show->alarm_count; i++)
        alarms[i] = show->alarms[order[i].own];
    free(order);
    free(firsts);
    return alarms;
}

void report_alarms(FILE *out, const struct report *report)
{
    const struct show *show = report->show;
    struct budget budget = {REPORT_ALARMS, REPORT_FOLDED};
    fputs("<section id=\"alarms\" aria-labelledby=\"alarms-title\">\n<h2 id=\"alarms-title\">Open alarms</h2>\n", out);
    if (show->alarm_count == 0)
        fputs("<p>No alarm is raised.</p>\n", out);
    const struct ledger_alarm **alarms = group_alarms(show);
    for (size_t i = 0, next; i < show->alarm_count; i = next) {
        for (next = i + 1; next < show->alarm_count && alarms[next]->reason == alarms[i]->reason;)
            next++;
        print_group(out, report, alarms + i, next - i, &budget);
    }
    free(alarms);
    fputs("</section>\n", out);
}

/* ---- what happened ---- */

static void print_transition(FILE *out, const struct transition *transition)
{
    const struct ledger_alarm *alarm = &transition->alarm;
    char span[32];
    fputs("<tr><th scope=\"row\">", out);
    html_time(out, transition->wall);
    fputs("</th>", out);
    html_short_cell(out, "What");
    if (transition->kind == TRANSITION_CLEARED)
        html_badge(out, "ok", "cleared");
    else
        html_badge(out, html_severity_class(alarm->severity),
                   transition->kind == TRANSITION_RAISED ? "raised" : "changed");
    if (transition->kind == TRANSITION_CLEARED)
        fprintf(out, " after %s", term_span((transition->wall - alarm->raised_wall) / CLOCK_SECOND, span, sizeof span));
    else
        fprintf(out, " %s", severity_name(alarm->severity));
    fputs("</td>", out);
    html_short_cell(out, "Alarm");
    fprintf(out, "%" PRIu32 "</td>", alarm->id);
    html_cell(out, "Of");
    print_owner(out, alarm);
    fputs("</td>", out);
    html_cell(out, "Reason");
    fprintf(out, "%s</td>", reason_name(alarm->reason));
    html_cell(out, "Detail");
    html_foreign(out, alarm->detail);
    fputs("</td></tr>\n", out);
}

/* From the newest on: `from` and beyond, up to `to`. */
static void print_transitions(FILE *out, const struct report *report, size_t from, size_t to)
{
    static const char *const titles[] = {"When", "What", "Alarm", "Of", "Reason", "Detail"};
    html_table(out, from ? "Older changes of alarms" : "Changes of alarms, the newest first", titles,
               sizeof titles / sizeof titles[0]);
    for (size_t i = from; i < to; i++)
        print_transition(out, &report->transitions[(report->transition_count - 1 - i) % REPORT_TRANSITIONS]);
    html_table_end(out);
}

void report_transitions(FILE *out, const struct report *report)
{
    size_t kept = report->transition_count < REPORT_TRANSITIONS ? report->transition_count : REPORT_TRANSITIONS;
    size_t open = kept < REPORT_TRANSITIONS_OPEN ? kept : REPORT_TRANSITIONS_OPEN;
    fputs("<section id=\"changes\" aria-labelledby=\"changes-title\">\n<h2 id=\"changes-title\">Recent changes</h2>\n",
          out);
    if (kept == 0)
        fputs("<p>No alarm was raised, changed or cleared in this period.</p>\n", out);
    else
        print_transitions(out, report, 0, open);
    if (kept > open) {
        html_fold(out, "%zu older ones", kept - open);
        print_transitions(out, report, open, kept);
        html_fold_end(out);
    }
    if (report->transition_count > kept)
        fprintf(out, "<p>%" PRIu64 " still older ones of this period: <code>fedwarden history</code>.</p>\n",
                report->transition_count - kept);
    fputs("</section>\n", out);
}
