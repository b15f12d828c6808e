/*
 * Everything that is not a constant of ours goes through html_text: made printable first (which takes controls and
 * direction overrides), then escaped, so that it is inert both as content and within a quoted attribute.
 */
#include "cli/report_parts.h"

#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/text.h"

void html_text(FILE *out, const char *text)
{
    char safe[4 * OBSERVATION_DETAIL];
    text_printable(safe, sizeof safe, text, strlen(text));
    for (const char *at = safe; *at; at++) {
        switch (*at) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        case '\'':
            fputs("&#39;", out);
            break;
        default:
            fputc(*at, out);
        }
    }
}

void html_foreign(FILE *out, const char *text)
{
    if (!*text)
        return;
    fputs("<bdi>", out);
    html_text(out, text);
    fputs("</bdi>", out);
}

void html_time(FILE *out, int64_t wall)
{
    char utc[CLOCK_TEXT_SIZE], local[64];
    struct tm parts;
    time_t seconds = (time_t)(wall / CLOCK_SECOND);
    if (wall == CLOCK_NEVER || !localtime_r(&seconds, &parts) ||
        strftime(local, sizeof local, "%Y-%m-%d %H:%M", &parts) == 0) {
        fputs("never", out);
        return;
    }
    fprintf(out, "<time datetime=\"%s\">%s</time>", clock_text(wall, utc, sizeof utc), local);
}

void html_cell(FILE *out, const char *label)
{
    fprintf(out, "<td data-label=\"%s\">", label);
}

void html_short_cell(FILE *out, const char *label)
{
    fprintf(out, "<td class=\"short\" data-label=\"%s\">", label);
}

void html_table(FILE *out, const char *caption, const char *const *titles, size_t count)
{
    fprintf(out, "<table>\n<caption>%s</caption>\n<thead><tr>", caption);
    for (size_t i = 0; i < count; i++)
        fprintf(out, "<th scope=\"col\">%s</th>", titles[i]);
    fputs("</tr></thead>\n<tbody>\n", out);
}

void html_table_end(FILE *out)
{
    fputs("</tbody>\n</table>\n", out);
}

void html_badge(FILE *out, const char *class, const char *word)
{
    fprintf(out, "<span class=\"badge %s\">%s</span>", class, word);
}

const char *html_severity_class(enum severity severity)
{
    if (severity == SEVERITY_CLEARED)
        return "ok";
    return severity_rank(severity) >= severity_rank(SEVERITY_MAJOR) ? "critical" : "warning";
}

void html_fold(FILE *out, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("<details><summary>", out);
    vfprintf(out, format, arguments);
    fputs("</summary>\n", out);
    va_end(arguments);
}

void html_fold_end(FILE *out)
{
    fputs("</details>\n", out);
}

void html_bar(FILE *out, double share, const char *class)
{
    double percent = share <= 0 ? 0 : share >= 1 ? 100 : share * 100;
    fprintf(
        out,
        "<svg class=\"bar\" aria-hidden=\"true\" width=\"100%%\" height=\"12\"><rect class=\"track\" width=\"100%%\" "
        "height=\"12\"/><rect class=\"%s\" width=\"%.1f%%\" height=\"12\"/></svg>",
        class, percent > 0 && percent < 0.5 ? 0.5 : percent);
}
