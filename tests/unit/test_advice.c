/* What to do, filled in: of each group of reasons the values that whoever has to act needs. */
#include <criterion/criterion.h>
#include <ctype.h>
#include <string.h>

#include "base/advice.h"
#include "base/observation.h"

static char out[ADVICE_SIZE];
static const char address[] = "192.0.2.10";

static const char *advise(enum reason reason, const char *detail)
{
    const struct guidance facts = {"contoso", "", "sip1.contoso.example", address, 5061, detail};
    return reason_advice(reason, &facts, out);
}

static const struct {
    enum reason reason;
    const char *detail, *advice;
} cases[] = {
    {REASON_DNS_NX_DOMAIN, "_sip._tls.contoso.example SRV: NXDOMAIN from 192.0.2.53:53 (1 try)",
     "Ask contoso to publish the record, or correct the name here: "
     "_sip._tls.contoso.example SRV: NXDOMAIN from 192.0.2.53:53 (1 try)"},
    {REASON_DNS_REFUSED, "contoso.example A: REFUSED from 192.0.2.53:53 (1 try)",
     "Allow this host in the resolver's access list or configure another resolver: "
     "contoso.example A: REFUSED from 192.0.2.53:53 (1 try)"},
    {REASON_TCP_REFUSED, "Connection refused",
     "Ask contoso whether its service runs at sip1.contoso.example (192.0.2.10) port 5061; check the port in SRV or "
     "here: Connection refused"},
    {REASON_TCP_TIMEOUT, "",
     "Let this host out to sip1.contoso.example (192.0.2.10) port 5061 through the firewall; then ask contoso for its "
     "inbound rules"},
    {REASON_TLS_INCOMPLETE_CHAIN, "issuer \"CN=Issuing CA 3\" not sent",
     "Ask contoso to send the full chain: issuer \"CN=Issuing CA 3\" not sent; sip1.contoso.example (192.0.2.10) port "
     "5061"},
    {REASON_TLS_WRONG_PRINCIPAL, "wanted sip1.contoso.example, offered DNS:old.contoso.example",
     "Correct the name here, or ask contoso for a certificate with it: wanted sip1.contoso.example, offered "
     "DNS:old.contoso.example; sip1.contoso.example (192.0.2.10) port 5061"},
    {REASON_TLS_EXPIRED, "ended 2026-11-01T00:00:00Z: \"CN=sip1.contoso.example\"",
     "Ask contoso to renew; check this host's clock: ended 2026-11-01T00:00:00Z: \"CN=sip1.contoso.example\"; "
     "sip1.contoso.example (192.0.2.10) port 5061"},
    {REASON_TLS_CLIENT_CERT_REJECTED, "fatal alert 45 certificate_expired received for our certificate",
     "Check dates, names and usage of our certificate, and that contoso lists our name: fatal alert 45 "
     "certificate_expired received for our certificate; sip1.contoso.example (192.0.2.10) port 5061"},
    {REASON_AUTH_BAD_CREDENTIALS, "user bob (kamailio/register)",
     "Find out who owns 192.0.2.10; block it, or lock the account if it is yours: user bob (kamailio/register)"},
    {REASON_DOM_SENDER_NOT_ALLOWED, "sender's domain not allowed: user eve of other.example (prosody/claim)",
     "Add the domain to contoso if agreed; else report spoofing to it: sender's domain not allowed: user eve of "
     "other.example (prosody/claim)"},
    {REASON_MON_HISTORY_FAILING, "/var/lib/fedwarden/history: No space left on device",
     "Make room on the disk of agent.state_dir, or make it writable again: /var/lib/fedwarden/history: No space left "
     "on device"},
    {REASON_MON_CONFIG_INVALID, "fedwarden.conf:7: partners[1].protocol",
     "Run fedwarden check-config, mend what it names, then reload: fedwarden.conf:7: partners[1].protocol"},
    {REASON_NONE, "anything", ""},
};

Test(advice, names_the_case)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        cr_expect_str_eq(advise(cases[i].reason, cases[i].detail), cases[i].advice, "%s: %s",
                         reason_name(cases[i].reason), out);
}

/* A place or an address alone does not tell what failed, so each has the beginning of the detail, uncut. */
Test(advice, every_reason_has_the_values)
{
    const char *detail = "forty octets of values that are needed now";
    for (size_t i = 0; i < reason_count(); i++) {
        const struct reason_info *row = reason_at(i);
        if (row->reason == REASON_NONE)
            continue;
        advise(row->reason, detail);
        cr_expect(strstr(out, detail), "%s: %s", row->name, out);
        cr_expect_null(strpbrk(out, "[]{}"), "%s: %s", row->name, out);
        cr_expect_lt(strlen(out), ADVICE_SIZE);
    }
}

Test(advice, says_nothing_of_what_it_does_not_know)
{
    const struct guidance none = {0};
    const struct guidance empty = {"", "", "", "", 0, ""};
    for (size_t i = 0; i < reason_count(); i++) {
        const struct reason_info *row = reason_at(i);
        char other[ADVICE_SIZE];
        reason_advice(row->reason, &none, out);
        cr_expect_null(strpbrk(out, "[]{}"), "%s: %s", row->name, out);
        cr_expect_eq(row->reason == REASON_NONE, *out == '\0');
        cr_expect(*out == '\0' || strchr(".)`", out[strlen(out) - 1]) || isalnum((unsigned char)out[strlen(out) - 1]),
                  "%s: %s", row->name, out);
        cr_expect_str_eq(reason_advice(row->reason, &empty, other), out);
    }
    cr_expect_str_eq(reason_advice(REASON_TLS_INCOMPLETE_CHAIN, &none, out), "Ask the partner to send the full chain");
    cr_expect_str_eq(reason_advice(REASON_TCP_REFUSED, &none, out),
                     "Ask the partner whether its service runs at the service; check the port in SRV or here");
    cr_expect_str_eq(reason_advice(REASON_DNS_REFUSED, &none, out), reason_info(REASON_DNS_REFUSED)->resolution);
}

/* Whatever stands outside chooses: it is one line of at most 200 octets, of whole characters, the act first. */
Test(advice, is_bounded)
{
    char target[OBSERVATION_NAME], detail[OBSERVATION_DETAIL];
    memset(target, 't', sizeof target - 1);
    target[sizeof target - 1] = '\0';
    for (size_t i = 0; i + 2 < sizeof detail; i += 2)
        memcpy(detail + i, "\xc3\xa4", 3);
    const char *long_one = "2001:db8:101:101:101:101:101:101";
    const struct guidance facts = {"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn", "", target, long_one, 65535, detail};
    for (size_t i = 0; i < reason_count(); i++) {
        reason_advice(reason_at(i)->reason, &facts, out);
        size_t length = strlen(out);
        cr_expect_leq(length, REASON_RESOLUTION_MAX);
        for (size_t at = 0; at < length; at++)
            if (out[at] == '\xc3')
                cr_expect_eq(out[at + 1], '\xa4', "%s: half a character", reason_at(i)->name);
    }
    reason_advice(REASON_TLS_EXPIRED, &facts, out);
    cr_expect_eq(strncmp(out, "Ask nnnn", 8), 0);
    cr_expect_str_eq(out + strlen(out) - 3, "...");
    const struct guidance shorter = {"contoso", "", target, long_one, 65535, detail};
    reason_advice(REASON_TLS_EXPIRED, &shorter, out);
    cr_expect(strstr(out, "...; tttt"), "the place stands behind a detail that was cut: %s", out);
    cr_expect_eq(strlen(out), REASON_RESOLUTION_MAX);
    const struct guidance hostile = {"con\ntoso", "", "{detail}", address, 1, "a\x1b[31m]{place}\xff"};
    cr_expect_str_eq(
        reason_advice(REASON_TLS_EXPIRED, &hostile, out),
        "Ask con\\x0atoso to renew; check this host's clock: a\\x1b[31m]{place}\\xff; {detail} (192.0.2.10) "
        "port 1");
}
