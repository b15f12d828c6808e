/* The page of a period: what is computed, what it says, that foreign text is inert in it and that it stays small. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/text.h"
#include "cli/report_parts.h"
#include "ledger_fixture.h"

#define HOUR (3600 * CLOCK_SECOND)
#define DAY  (24 * HOUR)

static struct fixture *f;
static struct show *show;
static struct report *report;
static char *page;

static void open_ledger(void)
{
    setenv("TZ", "UTC", 1);
    tzset();
    f = fixture_new(3);
}

static void close_ledger(void)
{
    report_free(report);
    show_free(show);
    fixture_free(f);
    free(page);
}

TestSuite(report, .init = open_ledger, .fini = close_ledger);

/* A report of the last ten days of the ledger as it is. */
static void begin(int64_t written_ago)
{
    show = show_new(f->ledger, f->wall, f->run, f->wall - written_ago);
    report = report_new(show, "monitor.example", f->wall - 10 * DAY, f->wall);
}

static void verdict(const char *partner, int64_t ago, enum health health)
{
    struct history_verdict_row row = {
        .wall = f->wall - ago, .health = health, .reason = health == HEALTH_OK ? REASON_NONE : REASON_TLS_EXPIRED};
    text_copy(row.partner, sizeof row.partner, partner);
    report_verdict(report, &row);
}

static const struct report_partner *partner(const char *name)
{
    for (size_t i = 0; i < report->count; i++)
        if (strcmp(report->partners[i].row->name, name) == 0)
            return &report->partners[i];
    return NULL;
}

static const char *written(void)
{
    size_t size;
    report_end(report);
    FILE *out = open_memstream(&page, &size);
    report_page(out, report);
    fclose(out);
    return page;
}

static size_t occurrences(const char *all, const char *what)
{
    size_t count = 0;
    for (const char *at = all; (at = strstr(at, what)); at += strlen(what))
        count++;
    return count;
}

Test(report, availability_is_of_the_time_that_is_known)
{
    begin(0);
    verdict("p0", 12 * DAY, HEALTH_OK); /* before the period: how it began */
    verdict("p0", 5 * DAY, HEALTH_CRITICAL);
    verdict("p1", 4 * DAY, HEALTH_OK); /* not looked at before */
    verdict("p0", 4 * DAY, HEALTH_WARNING);
    verdict("nobody", 3 * DAY, HEALTH_CRITICAL);
    verdict("p1", 1 * DAY, HEALTH_CRITICAL);
    report_end(report);
    cr_assert_eq(partner("p0")->spent[HEALTH_OK], 5 * DAY);
    cr_assert_eq(partner("p0")->spent[HEALTH_CRITICAL], 1 * DAY);
    cr_assert_eq(partner("p0")->spent[HEALTH_WARNING], 4 * DAY);
    cr_assert_eq(partner("p0")->changes, 2);
    cr_assert_eq(report_observed(partner("p1")), 4 * DAY);
    cr_assert_eq(report_available(partner("p1")), 3 * DAY);
    cr_assert_eq(partner("p1")->changes, 1);
    cr_assert_eq(report_observed(partner("p2")), 0);
    cr_assert_eq(report->observed, 14 * DAY);
    cr_assert_eq(report->available, 12 * DAY);
}

Test(report, a_partner_whose_verdicts_are_gone_is_as_its_row_says)
{
    fixture_walk(f, 0, REASON_NONE);
    f->wall += 20 * DAY;
    f->run += 20 * DAY;
    fixture_walk(f, 1, REASON_TCP_REFUSED);
    f->wall += 2 * DAY;
    f->run += 2 * DAY;
    begin(0);
    report_end(report);
    cr_assert_eq(partner("p0")->spent[HEALTH_OK], 10 * DAY);
    cr_assert_eq(partner("p1")->spent[HEALTH_CRITICAL], 2 * DAY);
    cr_assert_eq(partner("p1")->slots[0], 0);
    cr_assert_eq(partner("p1")->slots[REPORT_SLOTS - 1], HEALTH_CRITICAL);
}

Test(report, nothing_is_known_after_the_last_batch)
{
    begin(2 * DAY);
    verdict("p0", 9 * DAY, HEALTH_OK);
    report_end(report);
    cr_assert_eq(partner("p0")->spent[HEALTH_OK], 7 * DAY);
    cr_assert_eq(partner("p0")->slots[REPORT_SLOTS * 75 / 100], HEALTH_OK);
    cr_assert_eq(partner("p0")->slots[REPORT_SLOTS * 85 / 100], 0);
}

Test(report, a_slot_shows_the_worst_within_it)
{
    begin(0);
    verdict("p0", 11 * DAY, HEALTH_OK);
    verdict("p0", 5 * DAY, HEALTH_CRITICAL); /* for a minute only */
    verdict("p0", 5 * DAY - 60 * CLOCK_SECOND, HEALTH_OK);
    report_end(report);
    size_t critical = 0;
    for (size_t slot = 0; slot < REPORT_SLOTS; slot++)
        critical += partner("p0")->slots[slot] == HEALTH_CRITICAL;
    cr_assert_eq(critical, 1);
    cr_assert_eq(partner("p0")->slots[REPORT_SLOTS / 2], HEALTH_CRITICAL);
}

Test(report, availability_is_never_rounded_up)
{
    char out[32];
    cr_assert_str_eq(report_availability(0, 0, out, sizeof out), "-");
    cr_assert_str_eq(report_availability(DAY, DAY, out, sizeof out), "100.00 %");
    cr_assert_str_eq(report_availability(30 * DAY, 30 * DAY - CLOCK_SECOND, out, sizeof out), "99.99 %");
    cr_assert_str_eq(report_availability(3, 1, out, sizeof out), "33.33 %");
    cr_assert_str_eq(report_availability(DAY, 0, out, sizeof out), "0.00 %");
}

Test(report, what_was_worse_comes_first)
{
    for (uint32_t i = 0; i < 3; i++)
        fixture_walk(f, i, REASON_NONE);
    begin(0);
    verdict("p2", 5 * DAY, HEALTH_CRITICAL);
    verdict("p2", 4 * DAY, HEALTH_OK);
    verdict("p1", 3 * DAY, HEALTH_WARNING);
    verdict("p1", 2 * DAY, HEALTH_OK);
    report_end(report);
    cr_assert_str_eq(report->partners[0].row->name, "p2");
    cr_assert_str_eq(report->partners[1].row->name, "p1");
    cr_assert_str_eq(report->partners[2].row->name, "p0");
}

static void failure(enum reason reason, int64_t ago, uint32_t count)
{
    struct history_failure_row row = {
        .wall = f->wall - ago, .reason = reason, .event = reason_info(reason)->event, .count = count};
    report_failure(report, &row);
}

Test(report, failures_by_reason)
{
    begin(0);
    failure(REASON_TLS_EXPIRED, 11 * DAY, 1000);
    failure(REASON_TLS_EXPIRED, 3 * DAY, 2);
    failure(REASON_TCP_REFUSED, 2 * DAY, 40);
    failure(REASON_TLS_EXPIRED, 1 * DAY, 1);
    const char *all = written();
    cr_assert_eq(report->failures, 43);
    cr_assert_eq(report->reason_count, 2);
    cr_assert_eq(report->reasons[0].reason, REASON_TCP_REFUSED);
    cr_assert_eq(report->reasons[1].count, 3);
    cr_assert(strstr(all, "tcpRefused <small>"));
    cr_assert_lt(strstr(all, "<th scope=\"row\">tcpRefused"), strstr(all, "<th scope=\"row\">tlsExpired"));
    cr_assert(strstr(all, "width=\"7.5%\""), "3 of 40");
}

static void raise_alarms(void)
{
    for (int i = 0; i < 3; i++) {
        fixture_walk(f, 0, REASON_TLS_EXPIRED);
        fixture_walk(f, 1, REASON_TLS_EXPIRED);
        fixture_walk(f, 2, REASON_NONE);
        fixture_advance(f, 60);
    }
    ledger_self(f->ledger, REASON_MON_MASTER_LOST, true, "nobody answers", f->wall, f->run);
}

Test(report, guidance_is_told_once_a_reason)
{
    raise_alarms();
    begin(0);
    for (size_t i = 0; i < f->count; i++)
        report_transition(report, &f->transitions[i]);
    const char *all = written();
    cr_assert_eq(occurrences(all, "<article>"), 2);
    cr_assert_eq(occurrences(all, "<dt>Resolution</dt>"), 2);
    cr_assert(strstr(all, "2 alarms: tlsExpired"));
    cr_assert(strstr(all, "the monitor itself</th>"));
    cr_assert(strstr(all, "nobody answers"));
    cr_assert(strstr(all, "<small><bdi>noc@example.net</bdi></small>"));
    cr_assert(strstr(all, "raised</span>"));
    cr_assert(strstr(all, "2026-01-01 00:03"));
    cr_assert(strstr(all, "datetime=\"2026-01-01T00:03:00Z\""));
}

Test(report, needs_nothing_from_elsewhere)
{
    raise_alarms();
    begin(0);
    const char *all = written();
    static const char *const forbidden[] = {"<script", "<link", "<img",   "<iframe", "<object", "src=",      "url(",
                                            "@import", "http:", "https:", "style=",  "onload",  "javascript"};
    for (size_t i = 0; i < sizeof forbidden / sizeof forbidden[0]; i++)
        cr_assert(strstr(all, forbidden[i]) == NULL, "%s", forbidden[i]);
    const char *policy = strstr(all, "Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-");
    cr_assert(policy && policy < strstr(all, "<style>"));
}

Test(report, hostile_text_is_inert)
{
    char out[2048];
    FILE *stream = fmemopen(out, sizeof out, "w");
    html_text(stream, "<script>alert(1)</script>&amp;\"'\033[31m\u202egnp.exe\xff\u2028");
    fclose(stream);
    cr_assert_str_eq(out,
                     "&lt;script&gt;alert(1)&lt;/script&gt;&amp;amp;&quot;&#39;\\x1b[31m\\xe2\\x80\\xaegnp.exe\\xff"
                     "\\xe2\\x80\\xa8");
    struct conf *conf = fixture_conf(1);
    fixture_conf_name(conf, 0, "</title><script>x</script>");
    fixture_bind(f, conf);
    struct observation observation = fixture_probe(f, 0, PROBE_ENDPOINT, 9, REASON_TLS_EXPIRED);
    text_copy(observation.probe.target, sizeof observation.probe.target, "\"><img src=x onerror=alert(1)>");
    text_copy(observation.probe.detail, sizeof observation.probe.detail,
              "</bdi></td><script>alert(2)</script>\033\u202e");
    for (int i = 0; i < 3; i++) {
        ledger_apply(f->ledger, &observation);
        fixture_walked(f, 0, REASON_TLS_EXPIRED, 1);
    }
    begin(0);
    report->host = "<b>&host";
    for (size_t i = 0; i < f->count; i++)
        report_transition(report, &f->transitions[i]);
    const char *all = written();
    cr_assert(strstr(all, "<script") == NULL);
    cr_assert(strstr(all, "<img") == NULL);
    cr_assert(strstr(all, "<b>&host") == NULL && strstr(all, "&lt;b&gt;&amp;host"));
    cr_assert(strchr(all, '\033') == NULL);
    cr_assert(strstr(all, "\u202e") == NULL);
    cr_assert(strstr(all, "&lt;/title&gt;&lt;script&gt;x"));
    cr_assert(strstr(all, "onerror=alert(1)&gt;"));
}

Test(report, ends_of_certificates)
{
    static const int64_t left[] = {-1, 3, 100};
    for (uint32_t i = 0; i < 3; i++) {
        struct observation observation = fixture_probe(f, i, PROBE_ENDPOINT, 9, REASON_NONE);
        observation.probe.not_after = f->wall + left[i] * DAY + HOUR;
        ledger_apply(f->ledger, &observation);
        struct observation certificate = {
            .kind = OBSERVATION_CERTIFICATE, .partner = i, .wall = f->wall, .run = f->run};
        text_copy(certificate.certificate.target, sizeof certificate.certificate.target, observation.probe.target);
        certificate.certificate.address = observation.probe.address;
        certificate.certificate.port = observation.probe.port;
        certificate.certificate.length = 1;
        certificate.certificate.not_after = observation.probe.not_after;
        text_format(certificate.certificate.subject, sizeof certificate.certificate.subject, "CN=leaf%u", i);
        text_copy(certificate.certificate.issuer, sizeof certificate.certificate.issuer, "CN=Some & CA");
        ledger_apply(f->ledger, &certificate);
        fixture_walked(f, i, REASON_NONE, 1);
    }
    begin(0);
    const char *all = written();
    const char *section = strstr(all, "<section id=\"certificates\"");
    cr_assert(strstr(section, "<span>ended</span> <b>1</b>"));
    cr_assert(strstr(section, "<span>within 7 days</span> <b>1</b>"));
    cr_assert(strstr(section, "<span>later</span> <b>1</b>"));
    cr_assert(strstr(section, "week 1: 1, week 15: 1</desc>"), "%s", section);
    cr_assert_lt(strstr(section, "<bdi>p0</bdi>"), strstr(section, "<bdi>p1</bdi>"));
    cr_assert_lt(strstr(section, "<bdi>p1</bdi>"), strstr(section, "<bdi>p2</bdi>"));
    cr_assert(strstr(section, "CN=leaf1</bdi> <small>of <bdi>CN=Some &amp; CA</bdi>"));
    cr_assert(strstr(section, ">ended</td>") && strstr(section, ">3 d</td>") && strstr(section, ">100 d</td>"));
}

Test(report, newest_changes_first_and_bounded)
{
    begin(0);
    struct transition transition = {
        .kind = TRANSITION_RAISED,
        .alarm = {.event = EVENT_DNS, .severity = SEVERITY_MAJOR, .reason = REASON_DNS_NX_DOMAIN, .name = "p0"}};
    for (uint32_t i = 0; i < 1000; i++) {
        transition.alarm.id = i + 1;
        transition.sequence = i + 1;
        transition.wall = f->wall - (1000 - i) * CLOCK_SECOND;
        report_transition(report, &transition);
    }
    transition.wall = report->since - 1;
    report_transition(report, &transition);
    const char *all = written();
    const char *section = strstr(all, "<section id=\"changes\"");
    cr_assert_eq(occurrences(section, "raised</span>"), REPORT_TRANSITIONS);
    cr_assert_lt(strstr(section, ">1000</td>"), strstr(section, ">999</td>"));
    cr_assert(strstr(section, ">801</td>") && !strstr(section, ">800</td>"));
    cr_assert(strstr(section, "800 still older ones"));
}

Test(report, a_hundred_thousand_partners_are_a_few_megabytes)
{
    struct conf *conf = fixture_conf(100000);
    fixture_bind(f, conf);
    for (uint32_t i = 0; i < 100000; i++)
        for (int k = 0; k < (i % 20 ? 1 : 3); k++)
            fixture_walk(f, i, i % 20 ? REASON_NONE : REASON_TLS_EXPIRED);
    begin(0);
    for (int64_t ago = 9; ago > 0; ago--)
        for (uint32_t i = 0; i < 100000; i += 10) {
            char name[CONF_NAME_MAX + 1];
            snprintf(name, sizeof name, "p%u", i);
            verdict(name, ago * DAY, ago % 2 ? HEALTH_OK : HEALTH_CRITICAL);
        }
    const char *all = written();
    cr_assert_lt(strlen(all), 3000000);
    cr_assert_eq(occurrences(all, "<svg class=\"time\""), REPORT_FULL + REPORT_FOLDED);
    cr_assert(strstr(all, "3900 critical"), "those that are not listed are counted");
    cr_assert(strstr(all, "are not listed here"));
}

Test(report, who_was_well_all_the_time_is_folded)
{
    fixture_bind(f, fixture_conf(20));
    for (uint32_t i = 0; i < 20; i++)
        fixture_walk(f, i, REASON_NONE);
    begin(0);
    verdict("p7", 5 * DAY, HEALTH_WARNING);
    verdict("p7", 4 * DAY, HEALTH_OK);
    const char *all = written();
    const char *fold = strstr(all, "<details><summary>19 that were well all the time");
    cr_assert(fold);
    cr_assert_lt(strstr(all, "<bdi>p7</bdi>"), fold);
    cr_assert_gt(strstr(all, "<bdi>p0</bdi>"), fold);
}

Test(report, an_empty_ledger_has_a_page)
{
    fixture_bind(f, fixture_conf(0));
    begin(CLOCK_SECOND);
    const char *all = written();
    cr_assert(strstr(all, "There is no partner."));
    cr_assert(strstr(all, "No alarm is raised."));
    cr_assert(strstr(all, "No failure is kept"));
    cr_assert(strstr(all, "</html>"));
}
