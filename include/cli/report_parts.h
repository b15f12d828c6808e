#ifndef FEDWARDEN_CLI_REPORT_PARTS_H
#define FEDWARDEN_CLI_REPORT_PARTS_H

/*
 * What the report*.c files share.
 *
 *   report.c           the command: options, reading, the file
 *   report_data.c      what happened, gathered
 *   report_page.c      the page: head, summary, what follows what
 *   report_alarms.c    open alarms with guidance, and what happened to alarms
 *   report_partners.c  health over the period
 *   report_plots.c     failures by reason, ends of certificates
 *   report_html.c      text and times in HTML
 *   report_style.c     the style sheet
 */

#include "cli/report.h"

/* html_text(out, text): from outside: printable, escaped for content and for attributes in double quotes. */
void html_text(FILE *out, const char *text);

/*
 * html_foreign(out, text): the same in an element of its own direction, so that it reorders nothing around it; nothing
 * for "".
 */
void html_foreign(FILE *out, const char *text);

/* html_time(out, wall): <time> with UTC as its value and local time, to the minute, as its text; "never". */
void html_time(FILE *out, int64_t wall);

/*
 * html_cell(out, label): begins a cell; the label is shown in front of it where tables become cards. html_short_cell:
 * one whose text is never broken.
 */
void html_cell(FILE *out, const char *label);
void html_short_cell(FILE *out, const char *label);

/* html_table(out, caption, titles, count): begins a table up to its body; html_table_end. */
void html_table(FILE *out, const char *caption, const char *const *titles, size_t count);
void html_table_end(FILE *out);

/* html_badge(out, class, word): a word that stands out: class "ok", "warning", "critical", "unknown". */
void html_badge(FILE *out, const char *class, const char *word);

/* html_severity_class(severity): the class for its badge. */
const char *html_severity_class(enum severity severity);

/* html_fold(out, format, ...): begins what is folded, under a line that says what it is; html_fold_end. */
void html_fold(FILE *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
void html_fold_end(FILE *out);

/* html_bar(out, share): a bar of that share, 0 to 1, for eyes alone: the number stands beside it. */
void html_bar(FILE *out, double share, const char *class);

/* The style sheet, and the source expression that allows it and no other (CSP Level 3, 2.3.1). */
extern const char report_style[];
extern const char report_style_source[];

void report_alarms(FILE *out, const struct report *report);
void report_transitions(FILE *out, const struct report *report);
void report_partners(FILE *out, const struct report *report);
void report_reasons(FILE *out, const struct report *report);
void report_endings(FILE *out, const struct report *report);

#endif
