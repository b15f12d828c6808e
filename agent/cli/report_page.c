/*
 * One page without anything from elsewhere: no script, no font, no picture, no link out. The policy in its head forbids
 * all of it but the one style sheet, which is named by its hash: even text that escaped escaping could load and run
 * nothing. It has to come before what it forbids.
 */
#include "config.h"

#include "cli/report_parts.h"

#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/term.h"

static void print_head(FILE *out, const struct report *report)
{
    fprintf(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src '%s'; base-uri 'none'; "
        "form-action 'none'\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        "<meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n"
        "<meta name=\"robots\" content=\"noindex\">\n<meta name=\"generator\" content=\"fedwarden " PACKAGE_VERSION
        "\">\n<title>Federation health",
        report_style_source);
    if (*report->host) {
        fputs(" seen from ", out);
        html_text(out, report->host);
    }
    fprintf(out, "</title>\n<style>%s</style>\n</head>\n", report_style);
}

static void print_zone(FILE *out, int64_t wall)
{
    char zone[64];
    struct tm parts;
    time_t seconds = (time_t)(wall / CLOCK_SECOND);
    if (localtime_r(&seconds, &parts) && strftime(zone, sizeof zone, "%Z, UTC%z", &parts) > 0)
        html_text(out, strcmp(zone, "UTC, UTC+0000") == 0 ? "UTC" : zone);
}

static void print_header(FILE *out, const struct report *report)
{
    char span[32];
    fputs("<header>\n<h1>Federation health", out);
    if (*report->host) {
        fputs(" <small>seen from ", out);
        html_foreign(out, report->host);
        fputs("</small>", out);
    }
    fputs("</h1>\n<p class=\"dim\">", out);
    html_time(out, report->since);
    fputs(" to ", out);
    html_time(out, report->until);
    fprintf(out, " (%s), times are local (",
            term_span((report->until - report->since) / CLOCK_SECOND, span, sizeof span));
    print_zone(out, report->until);
    fputs(")</p>\n", out);
    if (show_stale(report->show)) {
        fputs("<p class=\"note\"><strong>The daemon seems not to run.</strong> It last wrote ", out);
        html_time(out, report->show->written);
        fputs("; what is later is not known.</p>\n", out);
    }
    fputs("<nav aria-label=\"Sections\"><a href=\"#alarms\">Alarms</a> <a href=\"#partners\">Partners</a> "
          "<a href=\"#reasons\">Failures</a> <a href=\"#certificates\">Certificates</a> "
          "<a href=\"#changes\">Changes</a></nav>\n</header>\n",
          out);
}

static void print_tile(FILE *out, const char *class, const char *label, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void print_tile(FILE *out, const char *class, const char *label, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(out, "<li%s%s%s><span>%s</span> <b>", *class ? " class=\"" : "", class, *class ? "\"" : "", label);
    vfprintf(out, format, arguments);
    fputs("</b></li>", out);
    va_end(arguments);
}

static const char *tile_class(size_t count, const char *class)
{
    return count ? class : "";
}

static void print_summary(FILE *out, const struct report *report)
{
    const struct show *show = report->show;
    const size_t *of = show->of_health;
    char number[32];
    fputs("<section id=\"summary\" aria-labelledby=\"summary-title\">\n<h2 id=\"summary-title\">Summary</h2>\n"
          "<ul class=\"tiles\">",
          out);
    print_tile(out, health_name(show->health), "now", "%s", health_name(show->health));
    print_tile(out, "", "partners", "%s", term_number(show->count, number, sizeof number));
    print_tile(out, tile_class(of[HEALTH_CRITICAL], "critical"), "critical", "%zu", of[HEALTH_CRITICAL]);
    print_tile(out, tile_class(of[HEALTH_WARNING], "warning"), "warning", "%zu", of[HEALTH_WARNING]);
    print_tile(out, tile_class(of[HEALTH_OK], "ok"), "ok", "%zu", of[HEALTH_OK]);
    if (of[HEALTH_UNKNOWN])
        print_tile(out, "unknown", "not looked at yet", "%zu", of[HEALTH_UNKNOWN]);
    print_tile(out, "", "open alarms", "%zu", show->alarm_count);
    print_tile(out, "", "available", "%s",
               report_availability(report->observed, report->available, number, sizeof number));
    print_tile(out, "", "failures", "%s", term_number(report->failures, number, sizeof number));
    print_tile(out, "", "walks ever", "%s", term_number(show->ledger->walks, number, sizeof number));
    fputs("</ul>\n</section>\n", out);
}

void report_page(FILE *out, const struct report *report)
{
    print_head(out, report);
    fputs("<body>\n", out);
    print_header(out, report);
    fputs("<main>\n", out);
    print_summary(out, report);
    report_alarms(out, report);
    report_partners(out, report);
    report_reasons(out, report);
    report_endings(out, report);
    report_transitions(out, report);
    fputs("</main>\n<footer class=\"dim\"><p>Made by fedwarden " PACKAGE_VERSION " on ", out);
    html_time(out, report->until);
    fputs(".</p></footer>\n</body>\n</html>\n", out);
}
