#include <criterion/criterion.h>
#include <string.h>

#include "base/guidance.h"

static char cause[REASON_CAUSE_MAX + 1], resolution[REASON_RESOLUTION_MAX + 1];

static void fill(enum reason reason, const struct guidance *known)
{
    guidance_cause(reason, known, cause);
    guidance_resolution(reason, known, resolution);
}

Test(guidance, without_values_it_is_the_list)
{
    const struct guidance nobody = {"", "", "", "", 0, NULL};
    for (size_t i = 0; i < reason_count(); i++) {
        fill(reason_at(i)->reason, &nobody);
        cr_expect_str_eq(cause, reason_at(i)->cause);
        cr_expect_str_eq(resolution, reason_at(i)->resolution);
    }
}

Test(guidance, names_who_is_meant)
{
    const struct guidance known = {"contoso", "noc@contoso.example", "sip.contoso.example", "192.0.2.10", 5061, NULL};
    static const struct {
        enum reason reason;
        const char *cause, *resolution;
    } rows[] = {
        {REASON_TLS_EXPIRED, "sip.contoso.example's certificate (or one in its chain) has expired.",
         "Ask contoso (noc@contoso.example) to renew; check this host's clock."},
        {REASON_DNS_NX_DOMAIN, "The name sip.contoso.example does not exist in DNS.",
         "SRV: check the partner domain is spelled right and really federates; ask contoso (noc@contoso.example) to "
         "publish the record. A: fix the host name in the SRV target or your zone."},
        {REASON_TCP_REFUSED, "sip.contoso.example answers but nothing listens on port 5061.",
         "Check the port in SRV/configuration; ask contoso (noc@contoso.example) whether the edge service is running."},
        {REASON_AUTH_BAD_CREDENTIALS, "Repeated wrong user name or password from 192.0.2.10.",
         "Find out who owns 192.0.2.10; block it at the firewall or lock the account if it is not yours."},
        {REASON_DOM_RECIPIENT_NOT_LOCAL, "contoso sends to sip.contoso.example, a domain you do not host.",
         "Check your supported-domains list; ask contoso (noc@contoso.example) to correct its route."},
        {REASON_DOM_OUTBOUND_UNSUPPORTED, "Your users send to sip.contoso.example, a domain that is not federated.",
         "Federate with that domain or tell the users; correct a misspelt domain."},
        {REASON_AUTH_DIALBACK_FAILED, "The domain could not be verified by call-back.",
         "Check contoso's DNS and that its server answers for that domain."},
        {REASON_TLS_CONSTRAINT_VIOLATED, "A CA in the chain may not issue this certificate.",
         "Ask the partner/CA to reissue."},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        fill(rows[i].reason, &known);
        cr_expect_str_eq(cause, rows[i].cause);
        cr_expect_str_eq(resolution, rows[i].resolution);
    }
}

Test(guidance, of_an_address_alone)
{
    const struct guidance known = {"", "", "", "203.0.113.7", 0, NULL};
    fill(REASON_TLS_UNTRUSTED_ROOT, &known);
    cr_expect_str_eq(cause, "203.0.113.7's certificate ends in a root this system does not trust.");
    cr_expect_str_eq(resolution, reason_info(REASON_TLS_UNTRUSTED_ROOT)->resolution);
}

/* No text becomes longer than one of the list may be, whatever the names are: a notification has to hold them all. */
Test(guidance, has_bounds)
{
    static char host[256], name[33], contact[129];
    memset(host, 'h', sizeof host - 1);
    memset(name, '\x01', sizeof name - 1);
    memset(contact, 'c', sizeof contact - 1);
    const struct guidance hostile[] = {{name, contact, host, "2001:db8:1111:2222:3333:4444:5555:6666", 65535, ""},
                                       {"p", "", "the partner", "", 1, ""}};
    for (size_t h = 0; h < 2; h++)
        for (size_t i = 0; i < reason_count(); i++) {
            fill(reason_at(i)->reason, &hostile[h]);
            cr_expect(strlen(cause) <= REASON_CAUSE_MAX && strlen(resolution) <= REASON_RESOLUTION_MAX);
            cr_expect(!strchr(cause, '\x01') && !strchr(resolution, '\x01'));
        }
}
