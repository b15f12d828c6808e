#include <criterion/criterion.h>
#include <openssl/ssl.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "collect/listen_parts.h"

#define MINUTE (60 * CLOCK_SECOND)

static struct address ipv4(uint32_t number)
{
    return (struct address){ADDRESS_IPV4, {10, (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number}};
}

/* ---- who may connect ---- */

Test(listen, so_many_connections_of_an_address_at_once)
{
    struct callers *callers = callers_new(2, 1000);
    struct address one = ipv4(1), other = ipv4(2);
    struct caller *first = callers_admit(callers, &one, 0);
    cr_assert_not_null(first);
    cr_assert_eq(callers_admit(callers, &one, 0), first);
    cr_expect_null(callers_admit(callers, &one, 0));
    cr_expect_not_null(callers_admit(callers, &other, 0));
    callers_leave(first);
    cr_expect_not_null(callers_admit(callers, &one, 0));
    cr_expect_null(callers_admit(callers, &one, 0));
    callers_free(callers);
}

Test(listen, so_many_connections_of_an_address_in_a_minute)
{
    struct callers *callers = callers_new(100, 30);
    struct address address = ipv4(1);
    size_t admitted = 0;
    for (int64_t now = 0; now < 10 * MINUTE; now += CLOCK_SECOND / 10) {
        struct caller *caller = callers_admit(callers, &address, now);
        if (!caller)
            continue;
        callers_leave(caller);
        admitted++;
    }
    cr_expect(admitted >= 328 && admitted <= 330, "%zu: a burst of 30 and 30 a minute", admitted);
    callers_free(callers);
}

Test(listen, a_network_of_ipv6_is_one_caller)
{
    struct callers *callers = callers_new(1, 1000);
    struct address a = {ADDRESS_IPV6, {0x20, 1, 0x0d, 0xb8, 0, 0, 0, 1, 1}}, b = a, c = a;
    b.octets[15] = 9;
    c.octets[7] = 2;
    cr_assert_not_null(callers_admit(callers, &a, 0));
    cr_expect_null(callers_admit(callers, &b, 0));
    cr_expect_not_null(callers_admit(callers, &c, 0));
    callers_free(callers);
}

Test(listen, a_flood_of_addresses_forgets_nobody_who_is_connected)
{
    struct callers *callers = callers_new(1, 30);
    struct address here = ipv4(0xffffff);
    struct caller *caller = callers_admit(callers, &here, 0);
    cr_assert_not_null(caller);
    for (uint32_t i = 0; i < 100000; i++) {
        struct address address = ipv4(i);
        struct caller *passing = callers_admit(callers, &address, (int64_t)i);
        cr_assert_not_null(passing, "%u", i);
        cr_assert_neq(passing, caller);
        callers_leave(passing);
    }
    cr_expect_null(callers_admit(callers, &here, MINUTE));
    callers_leave(caller);
    cr_expect_not_null(callers_admit(callers, &here, MINUTE));
    callers_free(callers);
}

Test(listen, many_open_connections_fill_the_table_and_no_more)
{
    struct callers *callers = callers_new(1, 30);
    size_t admitted = 0;
    for (uint32_t i = 0; i < 20000; i++) {
        struct address address = ipv4(i);
        admitted += callers_admit(callers, &address, 0) != NULL;
    }
    cr_expect_eq(admitted, 2048);
    callers_free(callers);
}

/* ---- what is said and told ---- */

static struct conf_network fabrikam_networks[] = {{{ADDRESS_IPV4, {10, 0, 0, 0}}, 24}};
static struct conf_partner partners[] = {
    {.name = "contoso", .domain = "contoso.test"},
    {.name = "fabrikam", .domain = "fabrikam.test", .network_count = 1, .networks = fabrikam_networks},
};
static const struct conf conf = {.partner_count = 2, .partners = partners};
static const char contoso[][OBSERVATION_NAME] = {"litware.test", "sip.contoso.test"};

static struct tls_result open_result(void)
{
    struct tls_result result = {
        .facts = {.phase = TLS_OPEN, .first_alert = -1, .own_alert = -1, .chain_presented = true, .answered = true},
        .reason = REASON_NONE,
        .certificate_count = 1};
    text_copy(result.certificates[0].subject, sizeof result.certificates[0].subject, "CN=sip.contoso.test");
    text_copy(result.certificates[0].issuer, sizeof result.certificates[0].issuer, "CN=CA");
    text_copy(result.certificates[0].serial, sizeof result.certificates[0].serial, "0a0b");
    text_copy(result.certificates[0].names, sizeof result.certificates[0].names, "DNS:sip.contoso.test");
    return result;
}

static void add_error(struct tls_result *result, int code, enum reason reason)
{
    result->facts.errors[result->facts.error_count++] = (struct tls_verify_error){.code = code};
    result->reason = reason;
    text_copy(result->detail, sizeof result->detail, "the detail");
}

static struct listen_judgement judge(const struct tls_result *result)
{
    struct listen_judgement judgement;
    struct address address = ipv4(7);
    listen_judge(&conf, result, contoso, 2, &address, 5000, &judgement);
    return judgement;
}

Test(listen, a_good_certificate_is_no_event)
{
    struct tls_result result = open_result();
    struct listen_judgement judgement = judge(&result);
    cr_expect(judgement.said);
    cr_expect_not(judgement.refused);
    cr_expect_str_eq(judgement.line, "ok contoso CN=sip.contoso.test\n");
}

Test(listen, a_certificate_without_a_subject_is_named_by_its_names)
{
    struct tls_result result = open_result();
    result.certificates[0].subject[0] = '\0';
    cr_expect_str_eq(judge(&result).line, "ok contoso DNS:sip.contoso.test\n");
}

Test(listen, an_expired_certificate_is_its_partners)
{
    struct tls_result result = open_result();
    add_error(&result, X509_V_ERR_CERT_HAS_EXPIRED, REASON_TLS_EXPIRED);
    struct listen_judgement judgement = judge(&result);
    const struct observation_event *event = &judgement.event.event;
    cr_expect(judgement.said && judgement.refused);
    cr_expect_str_eq(judgement.line, "tlsExpired: the detail\n");
    cr_expect_eq(judgement.event.kind, OBSERVATION_EVENT);
    cr_expect_eq(judgement.event.partner, 0);
    cr_expect_eq(event->event, EVENT_INVALID_CERT);
    cr_expect_eq(event->reason, REASON_TLS_EXPIRED);
    cr_expect_eq(event->count, 1);
    cr_expect_eq(event->port, 5000);
    cr_expect_str_eq(event->domain, "sip.contoso.test");
    cr_expect_str_eq(event->subject, "CN=sip.contoso.test");
    cr_expect_str_eq(event->issuer, "CN=CA");
    cr_expect_str_eq(event->serial, "0a0b");
    cr_expect_str_eq(event->rule, "listen");
    cr_expect_str_eq(event->detail, "the detail; names DNS:sip.contoso.test");
}

Test(listen, names_that_nobody_vouches_for_blame_nobody)
{
    static const struct {
        int code;
        enum reason reason;
    } rows[] = {
        {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, REASON_TLS_UNTRUSTED_ROOT},
        {X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, REASON_TLS_SELF_SIGNED},
        {X509_V_ERR_CERT_REVOKED, REASON_TLS_REVOKED},
        {X509_V_ERR_CERT_SIGNATURE_FAILURE, REASON_TLS_BAD_SIGNATURE},
        {X509_V_ERR_EE_KEY_TOO_SMALL, REASON_TLS_WEAK_KEY},
        {X509_V_ERR_UNSPECIFIED, REASON_TLS_OTHER},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct tls_result result = open_result();
        add_error(&result, X509_V_ERR_CERT_HAS_EXPIRED, REASON_TLS_EXPIRED);
        add_error(&result, rows[i].code, rows[i].reason);
        struct listen_judgement judgement = judge(&result);
        cr_expect(judgement.refused);
        cr_expect_eq(judgement.event.partner, 1, "%s: the one whose address it is", reason_name(rows[i].reason));
        cr_expect_str_eq(judgement.event.event.domain, "");
    }
}

Test(listen, who_leaves_was_not_refused)
{
    for (int i = 0; i < 5; i++) {
        struct tls_result result = open_result();
        add_error(&result, X509_V_ERR_CERT_HAS_EXPIRED, REASON_TLS_EXPIRED);
        result.facts.phase = TLS_HANDSHAKE;
        result.facts.failed = true;
        cr_expect(judge(&result).refused, "we ended it, with a bad certificate");
        cr_expect_eq(judge(&result).event.partner, 1, "its key was not proven");
        result.facts.timed_out = i == 0;
        result.facts.end_of_file = i == 1;
        result.facts.errno_value = i == 2 ? 104 : 0;
        result.facts.first_alert = i == 3 ? 42 : -1;
        result.facts.flooded = i == 4;
        cr_expect_not(judge(&result).refused);
        cr_expect_not(judge(&result).said);
    }
}

Test(listen, what_fails_for_the_certificate_before_its_verification)
{
    static const struct {
        enum reason reason;
        bool refused;
    } rows[] = {{REASON_TLS_KEY_PROOF_FAILED, true},    {REASON_TLS_MALFORMED_CERTIFICATE, true},
                {REASON_TLS_PLAINTEXT, false},          {REASON_TLS_NO_SHARED_PROTOCOL, false},
                {REASON_TLS_PROTOCOL_VIOLATION, false}, {REASON_TLS_OTHER, false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct tls_result result = {
            .facts = {.phase = TLS_HANDSHAKE, .failed = true, .first_alert = -1, .own_alert = 51},
            .reason = rows[i].reason};
        struct listen_judgement judgement = judge(&result);
        cr_expect_eq(judgement.refused, rows[i].refused, "%s", reason_name(rows[i].reason));
        cr_expect_not(judgement.said);
    }
}

Test(listen, the_line_has_its_end_however_long_it_is)
{
    struct tls_result result = open_result();
    add_error(&result, X509_V_ERR_CERT_HAS_EXPIRED, REASON_TLS_EXPIRED);
    memset(result.detail, 'x', sizeof result.detail - 1);
    memset(result.certificates[0].subject, 'y', sizeof result.certificates[0].subject - 1);
    struct listen_judgement judgement = judge(&result);
    cr_expect_eq(strchr(judgement.line, '\n'), judgement.line + strlen(judgement.line) - 1);
    cr_expect_eq(strlen(judgement.event.event.subject), sizeof judgement.event.event.subject - 1);
    result = open_result();
    memset(result.certificates[0].subject, 'y', sizeof result.certificates[0].subject - 1);
    judgement = judge(&result);
    cr_expect_eq(strchr(judgement.line, '\n'), judgement.line + strlen(judgement.line) - 1);
}
