#include <criterion/criterion.h>
#include <ctype.h>
#include <string.h>

#include "base/reason.h"

Test(reason, rows_keep_the_rules_of_the_list)
{
    for (size_t i = 0; i < reason_count(); i++) {
        const struct reason_info *row = reason_at(i);
        cr_expect(i == 0 || row->reason > reason_at(i - 1)->reason, "%s stands out of order", row->name);
        cr_expect(strlen(row->cause) <= REASON_CAUSE_MAX, "cause of %s is too long", row->name);
        cr_expect(strlen(row->resolution) <= REASON_RESOLUTION_MAX, "resolution of %s is too long", row->name);
        cr_expect(islower((unsigned char)row->name[0]), "%s", row->name);
        if (row->reason == REASON_NONE)
            continue;
        cr_expect(*row->cause && *row->resolution, "%s has no text", row->name);
        cr_expect(event_info(row->event) != NULL, "%s has no event", row->name);
        cr_expect(row->actor >= ACTOR_PARTNER && row->actor <= ACTOR_NETWORK, "%s: nobody acts", row->name);
        cr_expect_eq(reason_find(row->name), row->reason);
        cr_expect_eq(reason_info(row->reason), row);
    }
}

static const struct {
    const char *text;
    enum reason first;
    size_t count;
} searches[] = {
    {"tlsExpired", REASON_TLS_EXPIRED, 1},
    {"TLSEXPIRED", REASON_TLS_EXPIRED, 1},
    {"304", REASON_TLS_EXPIRED, 1},
    {"0x800B0101", REASON_TLS_EXPIRED, 1},
    {"800b0101", REASON_TLS_EXPIRED, 1},
    {"-2146762495", REASON_TLS_EXPIRED, 1},
    {"2148204801", REASON_TLS_EXPIRED, 1},
    {"CERT_E_EXPIRED", REASON_TLS_EXPIRED, 1},
    {"36881", REASON_TLS_EXPIRED, 1},
    {"X509:10", REASON_TLS_EXPIRED, 1},
    {"10061", REASON_TCP_REFUSED, 1}, /* WSAECONNREFUSED, from its HRESULT */
    {"WSAECONNREFUSED", REASON_TCP_REFUSED, 1},
    {"9003", REASON_DNS_NX_DOMAIN, 1},
    {"rcode:3", REASON_DNS_NX_DOMAIN, 1},
    {"EDE:17", REASON_DNS_FILTERED, 1},
    {"1003", REASON_AUTH_UNKNOWN_USER, 2}, /* two failures share this event */
    {"certificate-expired", REASON_TLS_EXPIRED, 2}, /* theirs, and in a TLS report of others ours */
    {"nosuch", 0, 0},
    {"", 0, 0},
    {"99999999999999999999", 0, 0},
};

Test(reason, search)
{
    for (size_t i = 0; i < sizeof searches / sizeof searches[0]; i++) {
        const struct reason_info *found[4] = {NULL};
        size_t count = reason_search(searches[i].text, found, 4);
        cr_expect_eq(count, searches[i].count, "\"%s\" finds %zu", searches[i].text, count);
        if (count)
            cr_expect_eq(found[0]->reason, searches[i].first, "\"%s\" finds %s", searches[i].text, found[0]->name);
    }
}

Test(reason, health_and_severity)
{
    cr_assert_eq(reason_health(REASON_NONE), HEALTH_OK);
    cr_assert_eq(reason_health(REASON_TLS_EXPIRED), HEALTH_CRITICAL);
    cr_assert_eq(reason_health(REASON_TLS_INCOMPLETE_CHAIN), HEALTH_CRITICAL);
    cr_assert_eq(reason_health(REASON_TLS_EXPIRING_SOON), HEALTH_WARNING);
    cr_assert_eq(reason_worse(REASON_NONE, REASON_TLS_EXPIRING_SOON), REASON_TLS_EXPIRING_SOON);
    cr_assert_eq(reason_worse(REASON_TCP_REFUSED, REASON_DNS_NX_DOMAIN), REASON_TCP_REFUSED);
    cr_assert_eq(reason_worse(REASON_TCP_REFUSED, REASON_TLS_EXPIRED), REASON_TLS_EXPIRED);
    cr_assert_eq(reason_info(77), reason_info(REASON_UNCLASSIFIED));
    cr_assert_gt(severity_rank(SEVERITY_CRITICAL), severity_rank(SEVERITY_MAJOR));
    cr_assert_eq(severity_find("Minor"), SEVERITY_MINOR);
    cr_assert_eq(severity_find("none"), 0);
}

Test(event, rows)
{
    for (int i = 1; i < EVENT_COUNT; i++) {
        const struct event_info *row = event_info((enum event)i);
        cr_assert_not_null(row);
        cr_expect_eq(row->event, (enum event)i);
        cr_expect_eq(event_find(row->name), row->event);
        cr_expect(row->count >= 1 && row->window >= 1);
    }
    cr_assert_null(event_info(EVENT_NONE));
    cr_assert_null(event_info((enum event)EVENT_COUNT));
    cr_assert_str_eq(event_name(EVENT_NONE), "none");
}
