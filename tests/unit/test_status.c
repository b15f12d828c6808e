/* How status and history show a ledger, as text and as JSON, and the times that are written on a command line. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <string.h>

#include "base/text.h"
#include "cli/show_history.h"
#include "cli/status.h"
#include "cli/when.h"
#include "ledger_fixture.h"

static struct fixture *f;
static char *text;
static const struct term plain = {.width = 80};

static void open_ledger(void)
{
    setenv("TZ", "UTC", 1);
    tzset();
    struct conf *conf = fixture_conf(3);
    fixture_conf_name(conf, 0, "contoso");
    fixture_conf_name(conf, 1, "fabrikam");
    fixture_conf_name(conf, 2, "woodgrove");
    f = fixture_new(0);
    fixture_bind(f, conf);
}

static void close_ledger(void)
{
    fixture_free(f);
    free(text);
    text = NULL;
}

TestSuite(status, .init = open_ledger, .fini = close_ledger);

static void fail_three_times(uint32_t partner, enum reason reason)
{
    for (int i = 0; i < 3; i++) {
        fixture_walk(f, partner, reason);
        fixture_advance(f, 60);
    }
}

static void guess_passwords(const char *user, uint32_t count)
{
    struct observation observation = {
        .kind = OBSERVATION_EVENT, .partner = OBSERVATION_NO_PARTNER, .wall = f->wall, .run = f->run};
    observation.event = (struct observation_event){.event = EVENT_AUTH_SOURCE,
                                                   .reason = REASON_AUTH_BAD_CREDENTIALS,
                                                   .count = count,
                                                   .address = {ADDRESS_IPV4, {198, 51, 100, 7}}};
    text_copy(observation.event.user, sizeof observation.event.user, user);
    ledger_apply(f->ledger, &observation);
}

static struct show *shown(int64_t written_ago)
{
    return show_new(f->ledger, f->wall, f->run, f->wall - written_ago * CLOCK_SECOND);
}

/* The text of the ledger as it is now; freed with it. */
static const char *status(const struct term *term, int64_t written_ago, bool guidance)
{
    size_t size;
    struct show *show = shown(written_ago);
    free(text);
    FILE *out = open_memstream(&text, &size);
    status_text(out, show, term, guidance);
    fclose(out);
    show_free(show);
    return text;
}

/* The line that begins with `start`; "" when there is none. */
static const char *line(const char *all, const char *start)
{
    static char found[512];
    found[0] = '\0';
    for (const char *at = all; at && *at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL)
        if (strncmp(at, start, strlen(start)) == 0) {
            text_format(found, sizeof found, "%.*s", (int)strcspn(at, "\n"), at);
            break;
        }
    return found;
}

static void assert_fits(const char *all, size_t width)
{
    for (const char *at = all; *at;) {
        char part[1024];
        size_t length = strcspn(at, "\n");
        text_format(part, sizeof part, "%.*s", (int)length, at);
        cr_assert_leq(term_columns(part), width, "%s", part);
        at += length + (at[length] == '\n');
    }
}

Test(status, shows_the_worst_first)
{
    fixture_walk(f, 0, REASON_NONE);
    fixture_walk(f, 1, REASON_NONE);
    fail_three_times(2, REASON_TLS_EXPIRED);
    const char *all = status(&plain, 4, false);
    cr_assert(strstr(all, "PARTNER") == all);
    cr_assert_lt(strstr(all, "\nwoodgrove"), strstr(all, "\ncontoso"));
    cr_assert_lt(strstr(all, "\ncontoso"), strstr(all, "\nfabrikam"));
    cr_assert_str_eq(line(all, "PARTNER"), "PARTNER    HEALTH    REASON      SINCE  COUNT 15m  CERT  LAST OK  ALARM");
    cr_assert_str_eq(line(all, "woodgrove"),
                     "woodgrove  CRITICAL  tlsExpired  3m     3                never    1 critical");
    cr_assert_str_eq(line(all, "contoso"), "contoso    ok                    3m                      3m");
    cr_assert_str_eq(line(all, "3 partners"), "3 partners: 1 critical, 2 ok, 1 alarm, 5 walks, as of 4s ago");
    assert_fits(all, 80);
}

Test(status, fits_whatever_the_width)
{
    struct conf *conf = fixture_conf(2);
    fixture_conf_name(conf, 0, "a-partner-with-a-name-of-32-bytes");
    fixture_conf_name(conf, 1, "b");
    fixture_bind(f, conf);
    fail_three_times(0, REASON_TLS_UNKNOWN_CRITICAL_EXTENSION);
    guess_passwords("bob", 40);
    ledger_self(f->ledger, REASON_MON_MASTER_LOST, true,
                "AgentX: no answer for a long time, which is told in more words than fit into eighty columns", f->wall,
                f->run);
    for (size_t width = 40; width <= 140; width += 5) {
        struct term term = {.width = width};
        assert_fits(status(&term, 4, true), width);
        assert_fits(status(&term, 4000, false), width);
    }
    struct term wide = {.width = 140};
    cr_assert(strstr(status(&wide, 4, false), "tlsUnknownCriticalExtension"));
    cr_assert(strstr(status(&plain, 4, false), "\na-partner-wit.. CRITICAL tlsUnknownCritical.. 3m    3 "), "%s", text);
}

Test(status, shows_what_has_no_partner)
{
    fixture_walk(f, 0, REASON_NONE);
    guess_passwords("bob", 40);
    ledger_self(f->ledger, REASON_MON_MASTER_LOST, true, "no answer since noon", f->wall, f->run);
    const char *all = status(&plain, 4, false);
    const char *monitor = strstr(all, "\nThe monitor itself\n"), *source = strstr(all, "\nSources that");
    cr_assert(monitor && source && monitor < source);
    cr_assert(strstr(monitor, "monMasterLost since 0s\n    no answer since noon\n"), "%s", all);
    cr_assert(strstr(source, "authBadCredentials since 0s, 40 in 15m\n    198.51.100.7\n    user bob"), "%s", all);
    cr_assert(strstr(all, "\n3 partners: 2 unknown, 1 ok, 2 alarms, 1 walk, as of"), "%s", all);
    cr_assert(strstr(line(all, "woodgrove"), "UNKNOWN  not looked at yet"));
}

Test(status, says_that_the_daemon_does_not_run)
{
    fixture_walk(f, 0, REASON_NONE);
    cr_assert(strstr(status(&plain, 50, false), "seems not to run") == NULL);
    cr_assert(strstr(status(&plain, 7300, false), "The daemon seems not to run: it has written nothing for 2h 1m"));
    struct show *fresh = shown(5), *stale = shown(61), *never = show_new(f->ledger, f->wall, f->run, CLOCK_NEVER);
    cr_assert_eq(status_exit(fresh), 0);
    cr_assert_eq(status_exit(stale), 3);
    cr_assert_eq(status_exit(never), 3);
    show_free(fresh);
    show_free(stale);
    show_free(never);
}

Test(status, exit_status_and_selection)
{
    char *one[] = {"fabrikam"}, *wrong[] = {"fabrikan"};
    fixture_walk(f, 1, REASON_NONE);
    fail_three_times(0, REASON_TCP_REFUSED);
    struct show *show = shown(1);
    cr_assert_eq(status_exit(show), 2);
    cr_assert_str_eq(show_select(show, wrong, 1), "fabrikan");
    cr_assert_str_eq(show_nearest(show, "fabrikan"), "fabrikam");
    cr_assert_null(show_select(show, one, 1));
    cr_assert_eq(show->count, 1);
    cr_assert_eq(show->alarm_count, 0);
    cr_assert_eq(status_exit(show), 0);
    show_free(show);
}

Test(status, tells_what_to_do)
{
    fail_three_times(0, REASON_TLS_EXPIRED);
    const char *all = status(&plain, 1, true);
    cr_assert(strstr(all, "cause: ") && strstr(all, "resolution: "));
    cr_assert(strstr(all, "who acts: partner (noc@example.net)"), "%s", all);
}

Test(status, keeps_to_the_height_of_a_terminal)
{
    struct conf *conf = fixture_conf(100);
    fixture_bind(f, conf);
    struct term term = {.width = 80, .height = 24};
    const char *all = status(&term, 1, false);
    size_t lines = 0;
    for (const char *at = all; *at; at++)
        lines += *at == '\n';
    cr_assert_leq(lines, 24);
    cr_assert_geq(lines, 18);
    cr_assert(strstr(all, " more that are no worse\n"));
    cr_assert(strstr(all, "100 partners: 100 unknown"));
}

Test(status, colours_and_marks_only_where_they_are_seen)
{
    struct term colour = {.width = 80, .colour = true, .utf8 = true};
    fail_three_times(0, REASON_TLS_EXPIRED);
    cr_assert(strchr(status(&plain, 1, false), '\033') == NULL);
    for (const char *at = text; *at; at++)
        cr_assert((unsigned char)*at < 0x80);
    cr_assert(strstr(status(&colour, 1, false), "\033[1;31mCRITICAL\033[0m"), "%s", text);
    cr_assert(strstr(text, " \u00b7 1 alarm"));
}

Test(status, hostile_text_is_inert)
{
    struct observation observation = fixture_probe(f, 0, PROBE_ENDPOINT, 9, REASON_TLS_EXPIRED);
    text_copy(observation.probe.target, sizeof observation.probe.target, "evil\033]0;owned\a.example");
    text_copy(observation.probe.detail, sizeof observation.probe.detail, "a\r\nb \u202e \033[2J \xff");
    for (int i = 0; i < 3; i++) {
        ledger_apply(f->ledger, &observation);
        fixture_walked(f, 0, REASON_TLS_EXPIRED, 1);
    }
    const char *all = status(&plain, 1, true);
    for (const char *at = all; *at; at++)
        cr_assert((*at >= ' ' && *at < 0x7f) || *at == '\n', "octet %02x", (unsigned char)*at);
    cr_assert(strstr(all, "evil\\x1b]0;owned\\x07.example"), "%s", all);
}

static json_t *status_object(void)
{
    size_t size;
    struct show *show = shown(3);
    free(text);
    FILE *out = open_memstream(&text, &size);
    status_json(out, show);
    fclose(out);
    show_free(show);
    cr_assert_eq(strchr(text, '\n'), text + size - 1, "one line");
    json_t *object = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    cr_assert(object, "%s", text);
    return object;
}

static const char *string(const json_t *object, const char *name)
{
    const char *value = json_string_value(json_object_get(object, name));
    cr_assert(value, "no string %s", name);
    return value;
}

Test(status, json_has_all_its_members)
{
    static const char *const partner_members[] = {
        "partner",  "health",          "reason",           "code",      "event",   "who",       "since",        "count",
        "window_s", "certificate_end", "certificate_days", "last_walk", "last_ok", "endpoints", "endpoints_ok", "walks",
        "alarm",    "severity"};
    fail_three_times(0, REASON_TLS_EXPIRED);
    guess_passwords("bob", 40);
    json_t *object = status_object();
    cr_assert_str_eq(string(object, "time"), "2026-01-01T00:03:00Z");
    cr_assert_str_eq(string(object, "written"), "2026-01-01T00:02:57Z");
    cr_assert_str_eq(string(object, "health"), "critical");
    cr_assert(json_is_false(json_object_get(object, "stale")));
    cr_assert_eq(json_integer_value(json_object_get(object, "critical")), 1);
    cr_assert_eq(json_integer_value(json_object_get(object, "unknown")), 2);
    const json_t *partners = json_object_get(object, "partners"), *first = json_array_get(partners, 0);
    cr_assert_eq(json_array_size(partners), 3);
    cr_assert_str_eq(string(first, "partner"), "contoso");
    cr_assert_str_eq(string(first, "reason"), "tlsExpired");
    cr_assert_str_eq(string(first, "severity"), "critical");
    cr_assert_str_eq(string(first, "since"), "2026-01-01T00:00:00Z");
    cr_assert_eq(json_integer_value(json_object_get(first, "count")), 3);
    cr_assert_eq(json_integer_value(json_object_get(first, "window_s")), 900);
    cr_assert(json_is_null(json_object_get(first, "last_ok")));
    cr_assert(json_is_null(json_object_get(first, "certificate_days")));
    for (size_t i = 0; i < json_array_size(partners); i++) {
        const json_t *row = json_array_get(partners, i);
        cr_assert_eq(json_object_size(row), sizeof partner_members / sizeof partner_members[0]);
        for (size_t k = 0; k < sizeof partner_members / sizeof partner_members[0]; k++)
            cr_assert(json_object_get(row, partner_members[k]), "%s", partner_members[k]);
    }
    const json_t *alarms = json_object_get(object, "alarms");
    cr_assert_eq(json_array_size(alarms), 2);
    cr_assert_str_eq(string(json_array_get(alarms, 0), "of"), "partner");
    cr_assert_str_eq(string(json_array_get(alarms, 1), "of"), "source");
    cr_assert_str_eq(string(json_array_get(alarms, 1), "address"), "198.51.100.7");
    cr_assert_eq(json_integer_value(json_object_get(json_array_get(alarms, 1), "count")), 40);
    json_decref(object);
}

/* ---- history ---- */

static const char *transition_shown(const struct transition *transition, bool json)
{
    size_t size;
    free(text);
    FILE *out = open_memstream(&text, &size);
    if (json)
        history_transition_json(out, transition);
    else
        history_transition_text(out, &plain, transition);
    fclose(out);
    return text;
}

Test(status, history_tells_what_happened)
{
    fail_three_times(0, REASON_TLS_EXPIRED);
    for (int i = 0; i < 2; i++) {
        fixture_walk(f, 0, REASON_NONE);
        fixture_advance(f, 60);
    }
    cr_assert_eq(f->count, 2);
    cr_assert_str_eq(transition_shown(&f->transitions[0], false),
                     "2026-01-01 00:02:00  raised 1      critical  contoso  tlsOutgoing  tlsExpired\n"
                     "                     sip10.example.net 192.0.2.10:5061\n"
                     "                     tlsExpired at 10\n");
    cr_assert(strstr(transition_shown(&f->transitions[1], false), "00:04:00  cleared 1     after 2m  contoso"), "%s",
              text);
    json_t *object = json_loads(transition_shown(&f->transitions[1], true), 0, NULL);
    cr_assert_str_eq(string(object, "kind"), "cleared");
    cr_assert_str_eq(string(object, "time"), "2026-01-01T00:04:00Z");
    cr_assert_str_eq(string(object, "event_name"), "tlsOutgoing");
    cr_assert_str_eq(string(object, "reason"), "tlsExpired");
    cr_assert_eq(json_integer_value(json_object_get(object, "duration_s")), 120);
    cr_assert_eq(json_integer_value(json_object_get(object, "alarm")), 1);
    cr_assert_eq(json_integer_value(json_object_get(object, "sequence")), (json_int_t)f->transitions[1].sequence);
    json_decref(object);
    object = json_loads(transition_shown(&f->transitions[0], true), 0, NULL);
    cr_assert(json_is_null(json_object_get(object, "duration_s")));
    json_decref(object);
}

Test(status, history_tells_failures)
{
    size_t size;
    struct history_failure_row row = {.wall = FIXTURE_WALL,
                                      .event = EVENT_DNS,
                                      .reason = REASON_DNS_NX_DOMAIN,
                                      .count = 7,
                                      .partner = "contoso",
                                      .target = "_sip._tls.contoso.example",
                                      .detail = "NXDOMAIN \033[31m"};
    FILE *out = open_memstream(&text, &size);
    history_failure_text(out, &plain, &row);
    history_failure_json(out, &row);
    fclose(out);
    cr_assert(strstr(text, "2026-01-01 00:00:00  contoso  dns  dnsNxDomain  7 times\n") == text, "%s", text);
    cr_assert(strstr(text, "NXDOMAIN \\x1b[31m\n"));
    json_t *object = json_loads(strchr(text, '{'), 0, NULL);
    cr_assert_str_eq(string(object, "time"), "2026-01-01T00:00:00Z");
    cr_assert_eq(json_integer_value(json_object_get(object, "count")), 7);
    json_decref(object);
}

/* ---- times ---- */

static int64_t parsed(const char *written)
{
    int64_t wall = -1;
    return when_parse(written, FIXTURE_WALL + 10 * 3600 * CLOCK_SECOND, &wall) ? (wall - FIXTURE_WALL) / CLOCK_SECOND
                                                                               : INT64_MIN;
}

Test(status, times_as_people_write_them)
{
    cr_assert_eq(parsed("now"), 36000);
    cr_assert_eq(parsed("today"), 0);
    cr_assert_eq(parsed("yesterday"), -86400);
    cr_assert_eq(parsed("2h"), 28800);
    cr_assert_eq(parsed("1d12h"), 36000 - 36 * 3600);
    cr_assert_eq(parsed("2w"), 36000 - 14 * 86400);
    cr_assert_eq(parsed("2026-01-02"), 86400);
    cr_assert_eq(parsed("2026-01-02T03:04"), 86400 + 3 * 3600 + 240);
    cr_assert_eq(parsed("2026-01-02 03:04:05"), 86400 + 3 * 3600 + 245);
    cr_assert_eq(parsed("2026-01-02T03:04:05Z"), 86400 + 3 * 3600 + 245);
    cr_assert_eq(parsed("2026-01-02T03:00+01:00"), 86400 + 2 * 3600);
    cr_assert_eq(parsed("2026-01-02T03:00:00-0130"), 86400 + 4 * 3600 + 1800);
    setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
    tzset();
    cr_assert_eq(parsed("2026-01-02"), 86400 - 3600);
    cr_assert_eq(parsed("2026-07-01"), 181 * 86400 - 7200);
    cr_assert_eq(parsed("2026-01-02T00:00Z"), 86400);
    static const char *const wrong[] = {"",
                                        "2",
                                        "h",
                                        "2x",
                                        "-2h",
                                        "99999999999h",
                                        "2026",
                                        "2026-13-01",
                                        "2026-02-30",
                                        "2026-01-02T",
                                        "2026-01-02T25:00",
                                        "2026-01-02T10:00X",
                                        "2026-01-02 10:00 Z",
                                        "tomorrow"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        cr_assert_eq(parsed(wrong[i]), INT64_MIN, "%s", wrong[i]);
}

Test(status, numbers_and_ages)
{
    char out[32];
    cr_assert_str_eq(term_number(0, out, sizeof out), "0");
    cr_assert_str_eq(term_number(999, out, sizeof out), "999");
    cr_assert_str_eq(term_number(1284003, out, sizeof out), "1,284,003");
    cr_assert_str_eq(term_age(59, out, sizeof out), "59s");
    cr_assert_str_eq(term_age(3599, out, sizeof out), "59m");
    cr_assert_str_eq(term_age(36 * 3600, out, sizeof out), "36h");
    cr_assert_str_eq(term_age(6 * 86400, out, sizeof out), "6d");
    cr_assert_str_eq(show_left(FIXTURE_WALL + 61 * 86400 * CLOCK_SECOND, FIXTURE_WALL, out, sizeof out), "61 d");
    cr_assert_str_eq(show_left(FIXTURE_WALL + 5 * 3600 * CLOCK_SECOND, FIXTURE_WALL, out, sizeof out), "5 h");
    cr_assert_str_eq(show_left(FIXTURE_WALL - 1, FIXTURE_WALL, out, sizeof out), "ended");
}
