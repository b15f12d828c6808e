/* Reports of others: what becomes of each part, and what is refused. The folder is tested by tests/system. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/clock.h"
#include "base/reason.h"
#include "collect/tlsrpt.h"

static struct conf_partner partners[] = {
    {.name = "contoso", .domain = "contoso.example", .enabled = true},
    {.name = "fabrikam", .domain = "fabrikam.example", .enabled = true},
};
static const char *domains[] = {"alpha.example"};
static const struct conf conf = {
    .partner_count = 2, .partners = partners, .edge = {.domain_count = 1, .domains = domains}};

static struct tlsrpt_report report;
static char error[256];

static void clear(void)
{
    tlsrpt_clear(&report);
}

TestSuite(tlsrpt, .fini = clear, .timeout = 60);

static bool parse(const char *text)
{
    tlsrpt_clear(&report);
    return tlsrpt_parse(text, strlen(text), &conf, &report, error, sizeof error);
}

#define HEAD                                                                                                           \
    "{\"organization-name\":\"Contoso Ltd\",\"date-range\":{\"start-datetime\":\"2026-11-20T00:00:00Z\","              \
    "\"end-datetime\":\"2026-11-20T23:59:59Z\"},\"contact-info\":\"mailto:tls@mail.contoso.example\","                 \
    "\"report-id\":\"20-c-7\",\"policies\":["
#define POLICY(domain, rest)                                                                                           \
    "{\"policy\":{\"policy-type\":\"sts\",\"policy-string\":[\"version: STSv1\",\"mode: enforce\"],"                   \
    "\"policy-domain\":\"" domain "\",\"mx-host\":[\"*.alpha.example\"]}" rest "}"
#define DETAIL(result, count)                                                                                          \
    "{\"result-type\":\"" result                                                                                       \
    "\",\"sending-mta-ip\":\"203.0.113.7\",\"receiving-mx-hostname\":\"mx1.alpha.example\","                           \
    "\"receiving-ip\":\"198.51.100.25\",\"failed-session-count\":" count "}"

Test(tlsrpt, details_become_events_of_the_partner)
{
    cr_assert(
        parse(HEAD POLICY("alpha.example",
                          ",\"summary\":{\"total-successful-session-count\":900,\"total-failure-session-count\":130},"
                          "\"failure-details\":[" DETAIL("certificate-expired",
                                                         "100") "," DETAIL("starttls-not-supported", "20") "]") "]}"),
        "%s", error);
    cr_expect_str_eq(report.organization, "Contoso Ltd");
    cr_expect_str_eq(report.id, "20-c-7");
    cr_expect_eq(report.successes, 900);
    cr_expect_eq(report.failures, 130);
    cr_assert_eq(report.count, 3);
    const struct observation_event *event = &report.observations[0].event;
    struct address address;
    address_parse("203.0.113.7", &address);
    cr_expect_eq(report.observations[0].kind, OBSERVATION_EVENT);
    cr_expect_eq(report.observations[0].partner, 0);
    cr_expect_eq(event->event, EVENT_TLS_OUTGOING);
    cr_expect_eq(event->reason, REASON_TLS_LOCAL_CERTIFICATE_PROBLEM);
    cr_expect_eq(event->count, 100);
    cr_expect(address_equal(&event->address, &address));
    cr_expect_str_eq(event->domain, "mail.contoso.example");
    cr_expect_str_eq(event->target, "mx1.alpha.example");
    cr_expect_str_eq(event->rule, "tlsrpt");
    cr_expect_str_eq(event->detail,
                     "certificate-expired: to mx1.alpha.example 198.51.100.25 from 203.0.113.7, policy sts of "
                     "alpha.example, until 2026-11-20");
    cr_expect_eq(report.observations[1].event.reason, REASON_TLS_REPORTED);
    cr_expect_eq(report.observations[1].event.count, 20);
    /* what the summary has beyond the details */
    cr_expect_eq(report.observations[2].event.count, 10);
    cr_expect_str_eq(report.observations[2].event.target, "alpha.example");
    cr_expect_str_eq(report.observations[2].event.detail,
                     "no details: to alpha.example, policy sts of alpha.example, until 2026-11-20");
}

Test(tlsrpt, we_have_to_act)
{
    static const char *const results[] = {"starttls-not-supported", "certificate-host-mismatch",
                                          "certificate-expired",    "certificate-not-trusted",
                                          "validation-failure",     "tlsa-invalid",
                                          "dnssec-invalid",         "dane-required",
                                          "sts-policy-fetch-error", "sts-policy-invalid",
                                          "sts-webpki-invalid",     "of a later RFC"};
    for (size_t i = 0; i < sizeof results / sizeof results[0]; i++) {
        char text[2048];
        snprintf(text, sizeof text,
                 HEAD POLICY("alpha.example",
                             ",\"failure-details\":[{\"result-type\":\"%s\",\"failed-session-count\":1}]") "]}",
                 results[i]);
        cr_assert(parse(text), "%s: %s", results[i], error);
        cr_assert_eq(report.count, 1);
        cr_expect_eq(reason_info(report.observations[0].event.reason)->actor, ACTOR_US, "%s", results[i]);
        cr_expect_eq(strncmp(report.observations[0].event.detail, results[i], strlen(results[i])), 0);
    }
}

Test(tlsrpt, who_sent_it)
{
    static const struct {
        const char *organization, *contact;
        uint32_t partner;
        const char *domain;
    } rows[] = {
        {"Contoso Ltd", "\"tls@contoso.example\"", 0, "contoso.example"},
        {"Contoso Ltd", "\"mailto:a@b@mx.Contoso.example\"", 0, "mx.contoso.example"},
        {"mta.fabrikam.example", "\"tls@hoster.example\"", 1, "hoster.example"},
        {"fabrikam.example", "null", 1, "fabrikam.example"},
        {"FABRIKAM", "\"nobody\"", 1, ""},
        {"Elsewhere", "\"tls@elsewhere.example\"", OBSERVATION_NO_PARTNER, "elsewhere.example"},
        {"Elsewhere", "\"tls@notcontoso.example\"", OBSERVATION_NO_PARTNER, "notcontoso.example"},
        {"Elsewhere", "\"tls@\"", OBSERVATION_NO_PARTNER, ""},
        {"Elsewhere", "7", OBSERVATION_NO_PARTNER, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[2048];
        snprintf(text, sizeof text,
                 "{\"organization-name\":\"%s\",\"contact-info\":%s,\"policies\":[" POLICY(
                     "alpha.example", ",\"summary\":{\"total-failure-session-count\":1}") "]}",
                 rows[i].organization, rows[i].contact);
        cr_assert(parse(text), "%zu: %s", i, error);
        cr_expect_eq(report.observations[0].partner, rows[i].partner, "%zu", i);
        cr_expect_str_eq(report.observations[0].event.domain, rows[i].domain, "%zu: %s", i,
                         report.observations[0].event.domain);
    }
}

Test(tlsrpt, good_days_and_other_domains)
{
    cr_assert(parse(HEAD POLICY("Alpha.Example", ",\"summary\":{\"total-successful-session-count\":5,"
                                                 "\"total-failure-session-count\":0},\"failure-details\":[]") "]}"));
    cr_expect_eq(report.count, 0);
    cr_expect_eq(report.successes, 5);
    cr_assert(parse(
        HEAD POLICY("sub.alpha.example", ",\"failure-details\":[" DETAIL("certificate-expired", "1") "]") "," POLICY(
            "other.example", ",\"failure-details\":[" DETAIL("certificate-expired", "9") "]") "]}"));
    cr_expect_eq(report.count, 1);
    cr_expect_eq(report.failures, 1);
    cr_expect_eq(report.foreign, 1);
    cr_assert(parse(HEAD POLICY("alpha.example", ",\"failure-details\":[" DETAIL("x", "9007199254740992") "]") "]}"));
    cr_expect_eq(report.observations[0].event.count, 1000000);
    cr_assert(
        parse(HEAD POLICY("alpha.example", ",\"failure-details\":[{\"result-type\":\"a\\nb\\u202e\","
                                           "\"failed-session-count\":1,\"sending-mta-ip\":\"no address\"}]") "]}"));
    cr_expect(strncmp(report.observations[0].event.detail, "a\\x0ab\\xe2\\x80\\xae: to", 22) == 0, "%s",
              report.observations[0].event.detail);
}

Test(tlsrpt, refuses)
{
    static const struct {
        const char *text, *error;
    } rows[] = {
        {"", "is no JSON"},
        {"{", "is no JSON"},
        {"<report/>", "is no JSON"},
        {"[]", "is no JSON object"},
        {"{}", "organization-name is missing: this is no report of RFC 8460"},
        {"{\"organization-name\":7}", "organization-name is missing"},
        {"{\"organization-name\":\"a\"}", "policies is missing or empty"},
        {"{\"organization-name\":\"a\",\"policies\":{}}", "policies is missing or empty"},
        {"{\"organization-name\":\"a\",\"organization-name\":\"b\"}", "is no JSON: duplicate object key"},
        {HEAD "]}", "policies is missing or empty"},
        {HEAD "1]}", "policies holds something that is no policy"},
        {HEAD "{\"policy\":{}}]}", "policy-domain \"\" is no legal domain name"},
        {HEAD POLICY("a b", "") "]}", "policy-domain \"a b\" is no legal domain name"},
        {HEAD POLICY("alpha.example", ",\"summary\":7") "]}", "policies holds something that is no policy"},
        {HEAD POLICY("alpha.example", ",\"summary\":{\"total-failure-session-count\":-1}") "]}",
         "total-failure-session-count is no number of sessions"},
        {HEAD POLICY("alpha.example", ",\"summary\":{\"total-failure-session-count\":\"3\"}") "]}",
         "total-failure-session-count is no number of sessions"},
        {HEAD POLICY("alpha.example", ",\"failure-details\":{}") "]}", "failure-details is no list"},
        {HEAD POLICY("alpha.example", ",\"failure-details\":[1]") "]}", "failure-details holds something"},
        {HEAD POLICY("alpha.example", ",\"failure-details\":[{\"failed-session-count\":1.5}]") "]}",
         "failed-session-count is no number of sessions"},
        {HEAD POLICY("other.example", "") "]}", "is about domains that are not ours"},
        {"\x1f\x8b", "is no whole gzip file"},
        {"\x1f\x8b\x08\x01\x01\x01\x01\x01\x01\x01garbage", "is no whole gzip file"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cr_expect_not(parse(rows[i].text), "%s", rows[i].text);
        cr_expect(strncmp(error, rows[i].error, strlen(rows[i].error)) == 0, "%s: %s", rows[i].text, error);
        cr_expect_eq(report.count, 0);
        cr_expect_null(report.observations);
    }
}

/* gzip of `size` octets that repeat `text`; the caller frees it. */
static unsigned char *pack(const char *text, size_t size, size_t *length)
{
    z_stream stream = {0};
    size_t unit = strlen(text), room = size / 100 + 4096;
    unsigned char *out = malloc(room);
    cr_assert_eq(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_out = out;
    stream.avail_out = (uInt)room;
    for (size_t done = 0; done < size; done += unit) {
        stream.next_in = (Bytef *)(uintptr_t)text;
        stream.avail_in = (uInt)unit;
        cr_assert_eq(deflate(&stream, done + unit < size ? Z_NO_FLUSH : Z_FINISH),
                     done + unit < size ? Z_OK : Z_STREAM_END);
    }
    *length = stream.total_out;
    deflateEnd(&stream);
    return out;
}

Test(tlsrpt, packed)
{
    const char *text =
        HEAD POLICY("alpha.example", ",\"failure-details\":[" DETAIL("certificate-expired", "3") "]") "]}";
    size_t length;
    unsigned char *packed = pack(text, strlen(text), &length);
    cr_assert(tlsrpt_parse(packed, length, &conf, &report, error, sizeof error), "%s", error);
    cr_expect_eq(report.failures, 3);
    for (size_t cut = 2; cut < length; cut++) {
        tlsrpt_clear(&report);
        cr_expect_not(tlsrpt_parse(packed, cut, &conf, &report, error, sizeof error), "cut at %zu", cut);
        cr_expect_str_eq(error, "is no whole gzip file");
    }
    free(packed);
}

Test(tlsrpt, bombs_and_giants)
{
    size_t length;
    char block[1025];
    memset(block, ' ', sizeof block - 1);
    block[sizeof block - 1] = '\0';
    unsigned char *packed = pack(block, (size_t)400 << 20, &length);
    cr_expect_lt(length, 1 << 20);
    cr_expect_not(tlsrpt_parse(packed, length, &conf, &report, error, sizeof error));
    cr_expect_str_eq(error, "is larger than 10485760 octets when it is unpacked");
    free(packed);
    packed = pack(block, TLSRPT_SIZE_MAX, &length);
    cr_expect_not(tlsrpt_parse(packed, length, &conf, &report, error, sizeof error));
    cr_expect(strncmp(error, "is no JSON", 10) == 0, "%s", error);
    free(packed);
    char *giant = malloc(TLSRPT_SIZE_MAX + 1);
    memset(giant, '[', TLSRPT_SIZE_MAX + 1);
    cr_expect_not(tlsrpt_parse(giant, TLSRPT_SIZE_MAX, &conf, &report, error, sizeof error));
    cr_expect_not(tlsrpt_parse(giant, TLSRPT_SIZE_MAX + 1, &conf, &report, error, sizeof error));
    cr_expect_str_eq(error, "is larger than 10485760 octets");
    free(giant);
}

Test(tlsrpt, more_details_than_rows)
{
    char *text = malloc(1 << 20);
    size_t length = (size_t)sprintf(text, "%s",
                                    HEAD "{\"policy\":{\"policy-domain\":\"alpha.example\"},\"summary\":"
                                         "{\"total-failure-session-count\":5000},\"failure-details\":[");
    for (int i = 0; i < 2000; i++)
        length += (size_t)sprintf(text + length, "%s{\"result-type\":\"tlsa-invalid\",\"failed-session-count\":2}",
                                  i ? "," : "");
    sprintf(text + length, "]}]}");
    cr_assert(parse(text), "%s", error);
    free(text);
    cr_expect_eq(report.count, TLSRPT_ROWS_MAX);
    cr_expect_eq(report.failures, 5000);
    uint64_t sum = 0;
    for (size_t i = 0; i < report.count; i++)
        sum += report.observations[i].event.count;
    cr_expect_eq(sum, 5000);
}

/* What a report calls a failure is explained as what it means when it is about us, beside what it means of a partner. */
Test(tlsrpt, result_types_are_explained)
{
    static const struct {
        const char *result;
        enum reason reason;
    } rows[] = {{"certificate-expired", REASON_TLS_LOCAL_CERTIFICATE_PROBLEM},
                {"certificate-host-mismatch", REASON_TLS_CLIENT_CERT_REJECTED},
                {"certificate-not-trusted", REASON_TLS_CLIENT_CERT_REJECTED_CA},
                {"starttls-not-supported", REASON_TLS_REPORTED},
                {"tlsa-invalid", REASON_TLS_REPORTED},
                {"validation-failure", REASON_TLS_REPORTED}};
    const struct reason_info *found[8];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t count = reason_search(rows[i].result, found, 8);
        bool told = false;
        for (size_t j = 0; j < count; j++)
            told |= found[j]->reason == rows[i].reason;
        cr_expect(told, "%s", rows[i].result);
    }
}

/* Files come one after the other; `wall` is then: the kernel gives change times, which nobody can set. */
Test(tlsrpt, keeps_some_files_for_some_time)
{
    char path[] = "/tmp/test_tlsrpt.XXXXXX", name[32];
    struct stat status;
    cr_assert(mkdtemp(path));
    int folder = open(path, O_RDONLY | O_DIRECTORY);
    cr_assert_geq(folder, 0);
    cr_assert_eq(mkdirat(folder, "sub", 0700), 0);
    int64_t came = 0;
    for (int i = 0; i < 5; i++) {
        snprintf(name, sizeof name, "%c", "caebd"[i]);
        do { /* until its time is another than that of the one before */
            unlinkat(folder, name, 0);
            close(openat(folder, name, O_CREAT | O_WRONLY, 0600));
            cr_assert_eq(fstatat(folder, name, &status, 0), 0);
        } while (status.st_ctim.tv_sec * CLOCK_SECOND + status.st_ctim.tv_nsec / 1000 <= came);
        came = status.st_ctim.tv_sec * CLOCK_SECOND + status.st_ctim.tv_nsec / 1000;
    }
    cr_expect_eq(tlsrpt_keep(folder, 5, 1, came), 0);
    cr_expect_eq(tlsrpt_keep(folder, 3, 1, came), 2, "the oldest go");
    cr_expect_neq(faccessat(folder, "c", F_OK, 0), 0);
    cr_expect_neq(faccessat(folder, "a", F_OK, 0), 0);
    cr_expect_eq(faccessat(folder, "e", F_OK, 0), 0);
    cr_expect_eq(tlsrpt_keep(folder, 3, 2, came + 2 * 86400 * CLOCK_SECOND), 2, "too old, but for the last");
    cr_expect_eq(faccessat(folder, "d", F_OK, 0), 0);
    cr_expect_eq(tlsrpt_keep(folder, 0, 2, came), 1, "none is wanted");
    cr_expect_eq(faccessat(folder, "sub", F_OK, 0), 0);
    cr_expect_eq(tlsrpt_keep(-1, 0, 0, came), 0);
    unlinkat(folder, "sub", AT_REMOVEDIR);
    close(folder);
    cr_expect_eq(rmdir(path), 0);
}
