/*
 * Lines -> events, on literal lines: what counts, what only looks so, and what must not stop the reader. The presets
 * are those of conf/presets; rules of their own stand where a mechanism is what is tested.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "collect/rule.h"

TestSuite(rule, .timeout = 60);

#define HITS_MAX 16

static struct conf_network own_networks[2], partner_networks[1];
static uint16_t own_ports[] = {15061};
static const char *own_domains[] = {"alpha.example"};
static struct conf_partner partners[1];
static struct conf conf;

static struct rule_set *set;
static struct rule_reader *reader;
static struct rule_hit hits[HITS_MAX];
static size_t hit_count;

static void found(void *context, const struct rule_hit *hit)
{
    (void)context;
    cr_assert_lt(hit_count, HITS_MAX);
    hits[hit_count++] = *hit;
}

static void make_conf(void)
{
    address_parse("10.10.0.0", &own_networks[0].address);
    own_networks[0].prefix = 16;
    address_parse("2001:db8:a::", &own_networks[1].address);
    own_networks[1].prefix = 64;
    address_parse("198.51.100.5", &partner_networks[0].address);
    partner_networks[0].prefix = 32;
    partners[0] = (struct conf_partner){
        .name = "beta", .domain = "beta.example", .enabled = true, .network_count = 1, .networks = partner_networks};
    conf = (struct conf){.path = "", .partner_count = 1, .partners = partners};
    conf.edge = (struct conf_edge){.network_count = 2,
                                   .networks = own_networks,
                                   .domain_count = 1,
                                   .domains = own_domains,
                                   .port_count = 1,
                                   .ports = own_ports};
}

static void open_path(const char *path, bool prefilter)
{
    struct conf_errors errors = {0};
    set = rule_set_load(path, "", &errors);
    for (size_t i = 0; i < errors.count; i++)
        fprintf(stderr, "%s:%u: %s: %s\n", path, errors.errors[i].line, errors.errors[i].setting,
                errors.errors[i].message);
    cr_assert(set);
    if (!prefilter)
        rule_set_no_prefilter(set);
    make_conf();
    hit_count = 0;
    reader = rule_reader_new(set, &conf, found, NULL);
}

static void open_preset(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s.conf", PRESETS, name);
    open_path(path, true);
}

/* Rules of the test's own, after "> ". */
static void open_rules(const char *rules)
{
    char path[] = "/tmp/test_rule.XXXXXX";
    int descriptor = mkstemp(path);
    FILE *file = fdopen(descriptor, "w");
    cr_assert(file);
    fprintf(file,
            "product = \"p\"; heads = ({ name = \"own\"; pattern = '^(?:(?<clock>\\d\\d:\\d\\d:\\d\\d) )?(?<pid>\\d*)> "
            "'; });\n"
            "rules = (%s);\n",
            rules);
    fclose(file);
    open_path(path, true);
    unlink(path);
}

static void close_rules(void)
{
    rule_reader_free(reader);
    rule_set_free(set);
    reader = NULL;
    set = NULL;
}

/* Events that the line brought. */
static size_t line(const char *text)
{
    size_t before = hit_count;
    rule_read(reader, text, strlen(text), 0);
    return hit_count - before;
}

static const char *field(const struct rule_hit *hit, const char *name)
{
    for (size_t i = 0; i < hit->field_count; i++)
        if (strcmp(hit->fields[i].name, name) == 0)
            return hit->fields[i].value;
    return "";
}

static void expect(enum event event, enum reason reason, const char *ip)
{
    char text[ADDRESS_TEXT_SIZE];
    cr_assert_gt(hit_count, 0);
    const struct observation_event *last = &hits[hit_count - 1].event;
    cr_expect_eq(last->event, event, "%s: event %d", last->rule, last->event);
    cr_expect_eq(last->reason, reason, "%s: %s", last->rule, reason_name(last->reason));
    cr_expect_str_eq(address_text(&last->address, text), ip, "%s: %s", last->rule, text);
}

#define KAMAILIO(pid, text) "Nov 22 05:45:09 sip-edge1 /usr/sbin/kamailio[" pid "]: " text

/* ---- What counts ---- */

Test(rule, kamailio_joins_four_lines)
{
    open_preset("kamailio");
    cr_expect_eq(line(KAMAILIO("1", "ERROR: tls [tls_server.c:1330]: tls_h_read_f(): protocol level error")), 0);
    cr_expect_eq(line(KAMAILIO("2", "ERROR: tls [tls_server.c:1330]: tls_h_read_f(): protocol level error")), 0);
    cr_expect_eq(line(KAMAILIO("1", "ERROR: tls [tls_util.h:50]: tls_err_ret(): TLS accept:error:0A0000C7:SSL "
                                    "routines::peer did not return a certificate (sni: unknown)")),
                 0);
    cr_expect_eq(line(KAMAILIO("2", "ERROR: tls [tls_util.h:50]: tls_err_ret(): TLS write:error:0A000086:SSL "
                                    "routines::certificate verify failed (sni: unknown)")),
                 0);
    cr_expect_eq(
        line(KAMAILIO("1", "ERROR: tls [tls_server.c:1334]: tls_h_read_f(): src addr: 2001:db8:bad::66:47385")), 0);
    cr_expect_eq(line(KAMAILIO("2", "ERROR: tls [tls_server.c:1334]: tls_h_read_f(): src addr: 198.51.100.6:15061")),
                 0);
    cr_expect_eq(line(KAMAILIO("1", "ERROR: tls [tls_server.c:1337]: tls_h_read_f(): dst addr: 192.0.2.10:15061")), 1);
    expect(EVENT_INVALID_CERT, REASON_TLS_NO_CERTIFICATE, "2001:db8:bad::66");
    cr_expect_eq(hits[0].event.port, 47385);
    cr_expect_eq(hits[0].first_line, 1);
    cr_expect_eq(hits[0].line, 3);
    cr_expect_eq(hits[0].last_line, 7);
    cr_expect_str_eq(hits[0].event.detail, "peer did not return a certificate", "of the line that has the reason");
    cr_expect_eq(line(KAMAILIO("2", "ERROR: tls [tls_server.c:1337]: tls_h_read_f(): dst addr: 192.0.2.10:59470")), 1);
    expect(EVENT_TLS_OUTGOING, REASON_TLS_OTHER, "198.51.100.6");
    /* the record is used up; without its reason nothing counts */
    cr_expect_eq(line(KAMAILIO("1", "ERROR: tls [tls_server.c:1337]: tls_h_read_f(): dst addr: 192.0.2.10:15061")), 0);
    close_rules();
}

Test(rule, kamailio_scanners_are_no_certificates)
{
    open_preset("kamailio");
    line(KAMAILIO("1", "ERROR: tls [tls_server.c:1330]: tls_h_read_f(): protocol level error"));
    line(KAMAILIO("1",
                  "ERROR: tls [tls_util.h:50]: tls_err_ret(): TLS accept:error:0A00010B:SSL routines::wrong version "
                  "number (sni: unknown)"));
    line(KAMAILIO("1", "ERROR: tls [tls_server.c:1334]: tls_h_read_f(): src addr: 203.0.113.42:1"));
    cr_expect_eq(line(KAMAILIO("1", "ERROR: tls [tls_server.c:1337]: tls_h_read_f(): dst addr: 192.0.2.10:15061")), 0);
    close_rules();
}

/* Alerts of a client are about our certificate; those of a server that we call tell that it refuses ours: event 1. */
Test(rule, kamailio_alerts)
{
    open_preset("kamailio");
    for (int accepted = 0; accepted < 2; accepted++) {
        line(KAMAILIO("1", "ERROR: tls [tls_server.c:1330]: tls_h_read_f(): protocol level error"));
        line(accepted ? KAMAILIO("1", "ERROR: tls [tls_util.h:50]: tls_err_ret(): TLS accept:error:0A000418:SSL "
                                      "routines::tlsv1 alert unknown ca (sni: unknown)")
                      : KAMAILIO("1", "ERROR: tls [tls_util.h:50]: tls_err_ret(): TLS connect:error:0A000418:SSL "
                                      "routines::tlsv1 alert unknown ca (sni: unknown)"));
        line(KAMAILIO("1", "ERROR: tls [tls_server.c:1334]: tls_h_read_f(): src addr: 198.51.100.6:5061"));
        cr_expect_eq(line(KAMAILIO("1", "ERROR: tls [tls_server.c:1337]: tls_h_read_f(): dst addr: 192.0.2.10:59470")),
                     accepted ? 0 : 1);
    }
    expect(EVENT_TLS_OUTGOING, REASON_TLS_CLIENT_CERT_REJECTED_CA, "198.51.100.6");
    close_rules();
}

#define OPENSIPS(text) "Nov 22 12:03:10 sip-edge1 /usr/sbin/opensips[8443]: " text

/* As OpenSIPS 4.1 writes: the level stands before what a script or pike says, the reason behind a failed handshake. */
Test(rule, opensips)
{
    open_preset("opensips");
    cr_expect_eq(line(OPENSIPS("NOTICE:fedevents: event=2 ip=203.0.113.40 reason=bad_password method=REGISTER "
                               "domain=\"alpha.example\" user=\"alice\"")),
                 1);
    expect(EVENT_AUTH_SOURCE, REASON_AUTH_BAD_CREDENTIALS, "203.0.113.40");
    cr_expect_eq(line(OPENSIPS("WARNING:PIKE - BLOCKing ip 203.0.113.41, node=0x7f27729a0668")), 1);
    expect(EVENT_AUTH_SOURCE, REASON_AUTH_RATE_LIMITED, "203.0.113.41");

    line(OPENSIPS("ERROR:tls_openssl:openssl_tls_accept: New TLS connection from 198.51.100.6:49151 failed to accept"));
    cr_expect_eq(
        line(OPENSIPS("ERROR:tls_openssl:tls_print_errstack: TLS errstack: error:0A0000C7:SSL routines::peer did "
                      "not return a certificate")),
        1);
    expect(EVENT_INVALID_CERT, REASON_TLS_NO_CERTIFICATE, "198.51.100.6");
    line(OPENSIPS("ERROR:tls_openssl:openssl_tls_accept: New TLS connection from 198.51.100.6:48825 failed to accept"));
    cr_expect_eq(line(OPENSIPS("ERROR:tls_openssl:tls_print_errstack: TLS errstack: error:0A000418:SSL routines::tlsv1 "
                               "alert unknown ca")),
                 0, "ours is refused");

    line(OPENSIPS("NOTICE:tls_openssl:verify_callback: depth = 0, verify failure"));
    line(OPENSIPS("NOTICE:tls_openssl:verify_callback: verify error: certificate has expired [error=10]"));
    cr_expect_eq(
        line(OPENSIPS("ERROR:tls_openssl:openssl_tls_accept: New TLS connection from 198.51.100.7:33489 failed "
                      "to accept")),
        1);
    expect(EVENT_INVALID_CERT, REASON_TLS_EXPIRED, "198.51.100.7");
    cr_expect_eq(line(OPENSIPS("ERROR:tls_openssl:tls_print_errstack: TLS errstack: error:0A000086:SSL "
                               "routines::certificate verify failed")),
                 0, "said before");

    for (int again = 0; again < 2; again++)
        cr_expect_eq(line(OPENSIPS("ERROR:tls_openssl:openssl_tls_async_connect: New TLS connection to "
                                   "198.51.100.5:15062 failed")),
                     again ? 0 : 1);
    close_rules();
}

Test(rule, kamailio_serial_is_told_in_hexadecimal)
{
    open_preset("kamailio");
    cr_expect_eq(line(KAMAILIO("1", "NOTICE: {1 1 OPTIONS a} <script>: fedevents: event=5 ip=198.51.100.6 "
                                    "serial=139641214725638 expired=0 selfsigned=0 revoked=1 "
                                    "issuer=\"Rogue%20Root%20CA%207\" subject=\"sip.gamma.example\"")),
                 1);
    expect(EVENT_INVALID_CERT, REASON_TLS_REVOKED, "198.51.100.6");
    cr_expect_str_eq(hits[0].event.serial, "7f00c0ffee06");
    cr_expect_str_eq(field(&hits[0], "serial"), "139641214725638");
    cr_expect_str_eq(hits[0].event.subject, "sip.gamma.example");
    cr_expect_str_eq(hits[0].event.issuer, "Rogue Root CA 7", "for people");
    cr_expect_str_eq(field(&hits[0], "issuer"), "Rogue%20Root%20CA%207", "as it stands in the line");
    cr_expect_str_eq(hits[0].event.detail, "", "all is told");
    close_rules();
}

Test(rule, escapes_are_resolved_where_our_snippet_writes_them)
{
    open_preset("kamailio");
    line(KAMAILIO("1", "NOTICE: {1 1 REGISTER a} <script>: fedevents: event=2 ip=203.0.113.40 rc=-3 "
                       "user=\"x%2522%20%0a%00%c3%a9%zz%4\""));
    expect(EVENT_AUTH_SOURCE, REASON_AUTH_UNKNOWN_USER, "203.0.113.40");
    cr_expect_str_eq(hits[0].event.user, "x%22 \\x0a\\x00\xc3\xa9%zz%4", "once, and printable: %s", hits[0].event.user);
    line(KAMAILIO("1", "NOTICE: {1 1 REGISTER a} <script>: Authentication failed for user a%20b from 203.0.113.40:9 (rc "
                       "-2)"));
    cr_expect_str_eq(hits[1].event.user, "a%20b", "elsewhere it may be the name itself");
    close_rules();
}

Test(rule, detail_is_what_the_rest_does_not_tell)
{
    open_rules("{ name = \"why\"; event = \"authSource\"; reason = \"authBadCredentials\"; "
               "pattern = '^user (?<user>\\S+) from (?<ip>\\S+) because (?<reason>.*)$'; }, "
               "{ name = \"who\"; event = \"authSource\"; reason = \"authBadCredentials\"; "
               "pattern = '^user (?<user>\\S+) from (?<ip>\\S+)$'; }, "
               "{ name = \"where\"; event = \"authSource\"; reason = \"authBadCredentials\"; "
               "pattern = '^somebody from (?<ip>\\S+) in (?<local>\\S+)$'; }");
    line("1> user bob from 203.0.113.1 because of \"this\"");
    line("1> user bob from 203.0.113.1 because -2");
    line("1> user bob from 203.0.113.1");
    line("1> somebody from 203.0.113.1 in space");
    cr_assert_eq(hit_count, 4);
    cr_expect_str_eq(hits[0].event.detail, "of \"this\"");
    cr_expect_str_eq(hits[1].event.detail, "", "a code is no explanation");
    cr_expect_str_eq(hits[2].event.detail, "");
    cr_expect_str_eq(hits[3].event.detail, "somebody from 203.0.113.1 in space");
    close_rules();
}

Test(rule, ocs_serial_is_put_right)
{
    open_preset("ms-ocs");
    cr_expect_eq(
        line("<11>Nov 22 08:02:11 EDGE LS_Protocol_Stack[0]: A significant number of invalid certificates have "
             "been provided by remote IP address 198.51.100.6 when attempting to establish an MTLS peer. There "
             "have been 6 such failures in the last 30 minutes.  Certificate Names associated with this peer "
             "were sip.gamma.example  The serial number of this certificate is 06EEFFC0007F  The issuer of this "
             "certificate is CN=Rogue Root CA 7  The specific failure types and their counts are identified "
             "below.  Instance count   - Failure Type  6                0x800B0109(CERT_E_UNTRUSTEDROOT)"),
        1);
    expect(EVENT_INVALID_CERT, REASON_TLS_UNTRUSTED_ROOT, "198.51.100.6");
    cr_expect_eq(hits[0].event.count, 6);
    cr_expect_str_eq(hits[0].event.serial, "7f00c0ffee06");
    close_rules();
}

#define REJECT(ip, what)                                                                                               \
    "Nov 22 05:42:32 h postfix/smtpd[1]: NOQUEUE: reject: RCPT from x[" ip "]: 554 5.7.1 " what                        \
    "; from=<a@b> to=<c@d> proto=ESMTP helo=<e>"

Test(rule, by_source)
{
    open_preset("postfix");
    cr_expect_eq(line(REJECT("10.10.0.21", "<x@nowhere.example>: Relay access denied")), 1);
    expect(EVENT_DOMAIN_LOCAL, REASON_DOM_RECIPIENT_NOT_LOCAL, "10.10.0.21");
    cr_expect_str_eq(hits[0].event.target, "nowhere.example");
    cr_expect_eq(reason_by_source(hits[0].event.reason, EVENT_DOMAIN_LOCAL), REASON_DOM_OUTBOUND_UNSUPPORTED);
    cr_expect_eq(line(REJECT("198.51.100.5", "<x@nowhere.example>: Relay access denied")), 1);
    expect(EVENT_DOMAIN_PARTNER, REASON_DOM_RECIPIENT_NOT_LOCAL, "198.51.100.5");
    cr_expect_str_eq(field(&hits[1], "partner"), "beta.example");
    cr_expect_eq(line(REJECT("203.0.113.9", "<x@nowhere.example>: Relay access denied")), 1);
    expect(EVENT_AUTH_SOURCE, REASON_DOM_RECIPIENT_NOT_LOCAL, "203.0.113.9");
    cr_expect(hits[2].event.by_source && !hits[2].event.known_only);
    cr_expect_eq(reason_by_source(hits[2].event.reason, EVENT_AUTH_SOURCE), REASON_AUTH_NOT_PERMITTED);
    /* an unknown recipient from elsewhere is spam: only the ledger may know better whose address it is */
    cr_expect_eq(line(REJECT("203.0.113.9", "<x@alpha.example>: Recipient address rejected: User unknown")), 1);
    cr_expect_eq(hits[3].event.event, EVENT_NONE);
    cr_expect(hits[3].event.known_only);
    close_rules();
}

Test(rule, once_a_connection)
{
    const char *untrusted =
        "Nov 22 05:42:33 h postfix/smtpd[7]: Untrusted TLS connection established from x[198.51.100.6]: "
        "TLSv1.3 with cipher A client-signature RSA";
    open_preset("postfix");
    cr_expect_eq(
        line("Nov 22 05:42:33 h postfix/smtpd[7]: certificate verification failed for x[198.51.100.6]: untrusted "
             "issuer /CN=Rogue"),
        1);
    expect(EVENT_INVALID_CERT, REASON_TLS_UNTRUSTED_ROOT, "198.51.100.6");
    cr_expect_str_eq(hits[0].event.issuer, "/CN=Rogue");
    cr_expect_eq(line(untrusted), 0);
    cr_expect_eq(line("Nov 22 05:42:34 h postfix/smtpd[7]: disconnect from x[198.51.100.6] quit=1 commands=1"), 0);
    cr_expect_eq(line(untrusted), 1);
    close_rules();
}

Test(rule, mapped_addresses_are_ipv4)
{
    open_preset("ejabberd");
    cr_expect_eq(
        line("2017-08-30 10:11:12.001 [info] <0.1.0>@ejabberd_s2s_in:f:206 (tls|<0.1.0>) Failed inbound s2s EXTERNAL "
             "authentication epsilon.example -> alpha.example (::FFFF:198.51.100.8): certificate has expired"),
        1);
    expect(EVENT_INVALID_CERT, REASON_TLS_EXPIRED, "198.51.100.8");
    cr_expect_str_eq(hits[0].event.domain, "epsilon.example");
    close_rules();
}

/* ---- Text that attackers choose ---- */

Test(rule, call_id_of_kamailio)
{
    open_preset("kamailio");
    cr_expect_eq(
        line(KAMAILIO("1", "INFO: {1 2 REGISTER Authentication failed for user bob from 198.51.100.5:5060} <script>: "
                           "Authentication ok for user bob from 10.10.0.22:56013")),
        0);
    cr_expect_eq(
        line(KAMAILIO("1", "INFO: {1 2 REGISTER aa} <script>: Authentication failed for user x from 198.51.100.5:1 "
                           "(rc -2)} <script>: Authentication ok for user bob from 10.10.0.22:40919")),
        0);
    cr_expect_eq(line(KAMAILIO("1", "NOTICE: {1 2 REGISTER aa} <script>: Authentication failed for user x from "
                                    "198.51.100.5:1 (rc -2)} <script>: Authentication failed for user y from "
                                    "203.0.113.42:2 (rc -3)")),
                 1);
    expect(EVENT_AUTH_SOURCE, REASON_AUTH_UNKNOWN_USER, "203.0.113.42");
    cr_expect_str_eq(hits[0].event.user, "y");
    cr_expect_eq(line(KAMAILIO("1", "ERROR: {1 2 MESSAGE z} <core> [core/tcp_main.c:2992]: tcpconn_1st_send(): connect "
                                    "198.51.100.5:5061 failed (RST) Connection refused} tm [ut.h:309]: x(): failed")),
                 0);
    close_rules();
}

Test(rule, user_of_dovecot_and_asterisk_and_freeswitch)
{
    open_preset("dovecot");
    cr_expect_eq(
        line("Nov 22 05:43:10 h dovecot: imap-login: Aborted login (auth failed, 3 attempts in 2 secs): user=<x>, "
             "method=PLAIN, rip=198.51.100.5, lip=1, session=<aaa>, method=PLAIN, rip=203.0.113.42, lip=192.0.2.10, "
             "session=<b>"),
        1);
    expect(EVENT_AUTH_SOURCE, REASON_AUTH_BAD_CREDENTIALS, "203.0.113.42");
    cr_expect_eq(hits[0].event.count, 3);
    close_rules();
    open_preset("asterisk");
    cr_expect_eq(
        line(
            "[2026-11-22 07:02:06] SECURITY[2101] res_security_log.c: SecurityEvent=\"InvalidAccountID\",EventTV=\"1\","
            "Severity=\"Error\",Service=\"PJSIP\",EventVersion=\"1\",AccountID=\"x\",SessionID=\"a\",LocalAddress="
            "\"IPV4/UDP/192.0.2.10/5060\",RemoteAddress=\"IPV4/UDP/198.51.100.5/5060\",SessionID=\"b\",LocalAddress="
            "\"IPV4/UDP/192.0.2.10/5060\",RemoteAddress=\"IPV4/UDP/203.0.113.42/5061\""),
        1);
    expect(EVENT_AUTH_SOURCE, REASON_AUTH_UNKNOWN_USER, "203.0.113.42");
    cr_expect_eq(
        line("[2026-11-22 07:03:03] NOTICE[1990] res_pjsip/pjsip_distributor.c: Request 'REGISTER' from '<sip:a@b>' "
             "failed for '198.51.100.5:5060' (callid: 1) - No matching endpoint found' failed for "
             "'203.0.113.42:5060' (callid: x) - No matching endpoint found"),
        0);
    close_rules();
    open_preset("freeswitch");
    cr_expect_eq(line("2026-11-22 07:10:24.054308 [WARNING] sofia_reg.c:1792 SIP auth failure (REGISTER) on sofia "
                      "profile 'e' for "
                      "[x@y] from ip 198.51.100.5 SIP auth failure (REGISTER) on sofia profile 'e' for [z] from ip "
                      "203.0.113.42"),
                 1);
    expect(EVENT_AUTH_SOURCE, REASON_AUTH_BAD_CREDENTIALS, "203.0.113.42");
    close_rules();
}

#define EJABBERD(pid, text) "2026-11-22 05:56:00.633098+00:00 [warning] <" pid ">@ejabberd_c2s:f/3:280 " text
#define ACCEPTED(pid, ip)   EJABBERD("0.1.0", "(<" pid ">) Accepted connection [::ffff:" ip "]:59227 -> [::]:16222")
#define FAILED(pid, who)    EJABBERD(pid, "(tls|<" pid ">) Failed c2s PLAIN authentication for " who)

Test(rule, forged_lines_of_ejabberd)
{
    open_preset("ejabberd");
    line(ACCEPTED("0.432.0", "203.0.113.42"));
    cr_expect_eq(line(FAILED("0.99.0", "bob@alpha.example from ::ffff:198.51.100.5: Invalid username or password")), 0,
                 "of a process that was never accepted");
    cr_expect_eq(line(FAILED("0.432.0", "bob@alpha.example from ::ffff:198.51.100.5: Invalid username or password")), 0,
                 "of another address");
    cr_expect_eq(line(FAILED("0.432.0", "eve")), 0);
    cr_expect_eq(line(FAILED("0.432.0", "bob@alpha.example from ::ffff:198.51.100.5: Invalid username or password")),
                 0);
    cr_expect_eq(
        line(EJABBERD("0.1.0", "Failed to establish outbound s2s connection alpha.example -> beta.example: DNS lookup "
                               "failed: non-existing domain; bouncing for 9 seconds")),
        0);
    cr_expect_eq(line(ACCEPTED("0.99.0", "198.51.100.5")), 0);
    cr_expect_eq(line("x@alpha.example from ::ffff:203.0.113.42: Invalid username or password"), 1);
    expect(EVENT_AUTH_SOURCE, REASON_AUTH_BAD_CREDENTIALS, "203.0.113.42");
    cr_expect_eq(hits[0].first_line, 4);
    cr_expect_eq(hits[0].last_line, 8);
    cr_expect_eq(line(FAILED("0.99.0", "bob@alpha.example from ::ffff:198.51.100.5: Invalid username or password")), 0,
                 "what was written into the text is not remembered");
    cr_expect_eq(line(FAILED("0.432.0", "eve@alpha.example from ::ffff:203.0.113.42: Invalid username or password")),
                 1);
    close_rules();
}

#define LOOKUP                                                                                                         \
    EJABBERD("0.1.0", "Failed to establish outbound s2s connection alpha.example -> beta.example: DNS lookup failed: " \
                      "non-existing domain; bouncing for 9 seconds")

Test(rule, a_text_without_end_does_not_blind)
{
    char big[8192];
    memset(big, 'x', sizeof big);
    open_preset("ejabberd");
    line(ACCEPTED("0.432.0", "203.0.113.42"));
    line(FAILED("0.432.0", "eve"));
    for (int i = 0; i < 70; i++)
        rule_read(reader, big, sizeof big, 0);
    cr_expect_eq(line(LOOKUP), 1);
    line(FAILED("0.432.0", "eve"));
    cr_expect_eq(line(LOOKUP), 0);
    rule_read(reader, LOOKUP, strlen(LOOKUP), INT64_C(11000000));
    cr_expect_eq(hit_count, 2, "time ends it");
    rule_read(reader, FAILED("0.432.0", "eve"), strlen(FAILED("0.432.0", "eve")), INT64_C(20000000));
    rule_flush(reader, INT64_C(31000000));
    rule_read(reader, LOOKUP, strlen(LOOKUP), INT64_C(22000000));
    cr_expect_eq(hit_count, 3, "and so does a flush");
    close_rules();
}

Test(rule, a_user_name_longer_than_a_line)
{
    size_t size = 40000;
    char *text = malloc(size);
    const char *begin = FAILED("0.432.0", ""),
               *end = "@alpha.example from ::ffff:203.0.113.42: Invalid username or password";
    memset(text, 'x', size);
    memcpy(text, begin, strlen(begin));
    memcpy(text + size - strlen(end), end, strlen(end));
    open_preset("ejabberd");
    line(ACCEPTED("0.432.0", "203.0.113.42"));
    rule_read(reader, text, size, 0);
    cr_expect_eq(hit_count, 1);
    expect(EVENT_AUTH_SOURCE, REASON_AUTH_BAD_CREDENTIALS, "203.0.113.42");
    cr_expect_eq(line(FAILED("0.432.0", "eve@alpha.example from ::ffff:203.0.113.42: Invalid username or password")),
                 1);
    close_rules();
    free(text);
}

Test(rule, text_of_events_is_printable)
{
    char text[] = "1> user \x1b[31m\xff\0\xe2\x80\xae.example from 203.0.113.1";
    open_rules("{ name = \"a\"; event = \"authSource\"; reason = \"authBadCredentials\"; "
               "pattern = '^user (?<user>.*) from (?<ip>\\S+)$'; }");
    rule_read(reader, text, sizeof text - 1, 0);
    cr_assert_eq(hit_count, 1);
    cr_expect_str_eq(hits[0].event.user, "\\x1b[31m\\xff\\x00\\xe2\\x80\\xae.example");
    cr_expect(!strpbrk(hits[0].event.detail, "\x1b\xff"));
    close_rules();
}

/* ---- Lines that must not stop it ---- */

Test(rule, any_octets)
{
    open_preset("kamailio");
    rule_read(reader, NULL, 0, 0);
    rule_read(reader, "", 0, 0);
    rule_read(reader, "\0\0\0", 3, 0);
    rule_read(reader, "\xff\xfe\x80", 3, 0);
    rule_read(reader, "\r", 1, 0);
    cr_expect_eq(rule_reader_counts(reader).lines, 5);
    cr_expect_eq(rule_reader_counts(reader).headless, 5);
    const char *crlf =
        KAMAILIO("1", "NOTICE: <script>: Authentication failed for user \xff\xfe from 203.0.113.40:1 (rc -2)\r");
    cr_expect_eq(line(crlf), 1);
    close_rules();
}

Test(rule, a_line_of_a_megabyte)
{
    size_t size = 1 << 20;
    char *text = malloc(size);
    memset(text, 'a', size);
    memcpy(text, KAMAILIO("1", "NOTICE: {"), strlen(KAMAILIO("1", "NOTICE: {")));
    open_path(PRESETS, true);
    rule_read(reader, text, size, 0);
    cr_expect_eq(rule_reader_counts(reader).cut, 1);
    cr_expect_eq(rule_reader_counts(reader).errors, 0);
    cr_expect_eq(hit_count, 0);
    close_rules();
    free(text);
}

static double milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

Test(rule, backtracking_ends)
{
    char text[RULE_LINE_MAX] = "1> ";
    open_rules("{ name = \"bomb\"; event = \"authSource\"; reason = \"authBadCredentials\"; pattern = '^(?:a+)+b$'; },"
               "{ name = \"next\"; event = \"dns\"; reason = \"dnsOther\"; pattern = '^a'; }");
    memset(text + 3, 'a', sizeof text - 3);
    text[sizeof text - 1] = 'b'; /* the prefilter lets it pass */
    text[sizeof text - 2] = 'c';
    double start = milliseconds();
    rule_read(reader, text, sizeof text, 0);
    cr_expect_lt(milliseconds() - start, 10.0);
    cr_expect_eq(rule_reader_counts(reader).errors, 1);
    cr_expect_str_eq(rule_reader_counts(reader).last_error_rule, "p/bomb");
    cr_expect_eq(hit_count, 1, "the rule behind it is tried");
    cr_expect_str_eq(hits[0].event.rule, "p/next");
    close_rules();
}

/* Such patterns overflow the usual JIT stack at 4 to 8 KB and then miss without a word. */
Test(rule, tempered_dot_on_the_longest_line)
{
    char text[RULE_LINE_MAX] = "1> ";
    open_rules("{ name = \"a\"; event = \"authSource\"; reason = \"authBadCredentials\"; "
               "pattern = '^(?:(?!from).)*from (?<ip>\\S+)$'; }");
    memset(text + 3, 'x', sizeof text - 3);
    memcpy(text + sizeof text - 16, "from 203.0.113.1", 16);
    rule_read(reader, text, sizeof text, 0);
    cr_expect_eq(rule_reader_counts(reader).errors, 0);
    cr_expect_eq(hit_count, 1);
    close_rules();
}

/* ---- Mechanisms ---- */

Test(rule, once_within_the_time_of_the_lines)
{
    open_rules("{ name = \"a\"; event = \"connection\"; reason = \"tcpRefused\"; once = (\"peer\"); within = 10; "
               "pattern = '^no (?<peer>\\S+)$'; }");
    cr_expect_eq(line("23:59:55 1> no a.example"), 1);
    cr_expect_eq(line("23:59:56 1> no b.example"), 1);
    cr_expect_eq(line("00:00:04 1> no a.example"), 0);
    cr_expect_eq(line("00:00:06 1> no a.example"), 1);
    cr_expect_eq(line("00:00:05 1> no a.example"), 0, "a little out of order");
    /* and of the reader, where lines tell no time */
    rule_read(reader, "1> no c.example", 15, 1000000);
    rule_read(reader, "1> no c.example", 15, 10000000);
    cr_expect_eq(hit_count, 4);
    rule_read(reader, "1> no c.example", 15, 12000000);
    cr_expect_eq(hit_count, 5);
    close_rules();
}

Test(rule, records_are_by_process_and_bounded)
{
    char text[64];
    open_rules("{ name = \"b\"; role = \"begin\"; pattern = '^begin (?<ip>\\S+)$'; },"
               "{ name = \"e\"; event = \"authSource\"; reason = \"authBadCredentials\"; join = true; last = true; "
               "needs = \"ip\"; "
               "pattern = '^failed'; }");
    line("1> begin 203.0.113.1");
    line("2> begin 203.0.113.2");
    cr_expect_eq(line("1> failed"), 1);
    expect(EVENT_AUTH_SOURCE, REASON_AUTH_BAD_CREDENTIALS, "203.0.113.1");
    cr_expect_eq(line("1> failed"), 0, "the record ended");
    cr_expect_eq(line("3> failed"), 0);
    for (int i = 1000; i < 30000; i++) {
        snprintf(text, sizeof text, "%d> begin 203.0.113.9", i);
        line(text);
    }
    cr_expect_eq(line("2> failed"), 0, "pushed out by newer ones");
    cr_expect_eq(line("29999> failed"), 1);
    close_rules();
}

Test(rule, the_first_rule_that_applies_decides)
{
    open_rules("{ name = \"worded\"; event = \"invalidCert\"; words = \"tls\"; pattern = '^bad (?<reason>.*)$'; },"
               "{ name = \"other\"; event = \"tlsOutgoing\"; reason = \"tlsOther\"; pattern = '^bad'; }");
    cr_expect_eq(line("1> bad certificate has expired"), 1);
    cr_expect_str_eq(hits[0].event.rule, "p/worded");
    cr_expect_eq(line("1> bad luck"), 1);
    cr_expect_str_eq(hits[1].event.rule, "p/other");
    cr_expect_eq(rule_reader_counts(reader).matched, 2);
    close_rules();
}

Test(rule, an_address_must_be_one)
{
    open_rules("{ name = \"a\"; event = \"authSource\"; reason = \"authBadCredentials\"; pattern = '^(?<ip>.*)$'; }");
    cr_expect_eq(line("1> 203.0.113.1"), 1);
    cr_expect_eq(line("1> [2001:db8::1]"), 1);
    cr_expect_eq(line("1> 203.0.113.300"), 0);
    cr_expect_eq(line("1> example.org"), 0);
    cr_expect_eq(line("1> "), 0);
    close_rules();
}

Test(rule, pairs)
{
    open_rules("{ name = \"a\"; event = \"authSource\"; reason = \"authBadCredentials\"; "
               "pattern = '^x ip=(?<ip>\\S+) (?<pairs>.*)$'; }");
    cr_expect_eq(line("1> x ip=203.0.113.1 user=\"a\" ip=203.0.113.2 user=\"b\" port=5 unknown=1 pid=9"), 1);
    expect(EVENT_AUTH_SOURCE, REASON_AUTH_BAD_CREDENTIALS, "203.0.113.1");
    cr_expect_str_eq(hits[0].event.user, "a", "the first of two");
    cr_expect_eq(hits[0].event.port, 5);
    cr_expect_eq(line("1> x ip=203.0.113.1 user=a\"b port=5"), 1);
    cr_expect_str_eq(hits[1].event.user, "", "what is no pair ends them");
    cr_expect_eq(hits[1].event.port, 0);
    close_rules();
}

Test(rule, rules_are_for_the_heads_of_their_preset)
{
    const char *message = "NOTICE: <script>: Authentication failed for user alice from 203.0.113.40:38702 (rc -2)";
    char text[256];
    open_path(PRESETS, true);
    snprintf(text, sizeof text, "Nov 22 05:44:56 h kamailio[1]: %s", message);
    cr_expect_eq(line(text), 1);
    snprintf(text, sizeof text, "Nov 22 05:44:56 h other[1]: %s", message);
    cr_expect_eq(line(text), 0, "of another program");
    snprintf(text, sizeof text, "[2026-11-22 07:01:02] NOTICE[1] %s", message);
    cr_expect_eq(line(text), 0, "behind a head that Kamailio does not write");
    close_rules();
}

/* Whatever a pattern looks like, the prefilter changes nothing but the time. */
Test(rule, prefilter_loses_nothing)
{
    static const struct {
        const char *pattern, *text;
    } rows[] = {
        {"^abcdef", "abcdef"},
        {"^abcd(?:efgh|ijkl)mnop", "abcdijklmnop"},
        {"^abcd(?:efgh)?ijkl", "abcdijkl"},
        {"^abcd(?<user>efgh)ijkl", "abcdefghijkl"},
        {"^abcd(?:efghij)?klmn", "abcdklmn"},
        {"^abcd(?:efghij)*klmn", "abcdklmn"},
        {"^abcd(?:efghij){0,3}klmn", "abcdklmn"},
        {"^abcd(?:efghij)+?klmn", "abcdefghijklmn"},
        {"^abcd(?:efgh(?:ijklmnop)?q)rst", "abcdefghqrst"},
        {"^abcd(?!ijklmnop)efgh", "abcdefgh"},
        {"^abcdx?efgh", "abcdefgh"},
        {"^abcdx*efgh", "abcdefgh"},
        {"^abcdx+efgh", "abcdxxefgh"},
        {"^abcdx{0,2}efgh", "abcdefgh"},
        {"^abcdx{2}efgh", "abcdxxefgh"},
        {"^abcd(?:ef)+gh", "abcdefefgh"},
        {"^abcd(?:ef){2}gh", "abcdefefgh"},
        {"^abcd(?>efgh)ijkl", "abcdefghijkl"},
        {"^abcd[)(|]efgh", "abcd|efgh"},
        {"^abcd[]x]efgh", "abcd]efgh"},
        {"^abcd[^]x]efgh", "abcdyefgh"},
        {"^abcd[[:digit:]]efgh", "abcd1efgh"},
        {"^abcd\\(efgh\\)", "abcd(efgh)"},
        {"^abcd\\x27efgh", "abcd'efgh"},
        {"^abcd\\tefgh", "abcd\tefgh"},
        {"^abcd\\defgh", "abcd1efgh"},
        {"^abcd\\Qe.g\\Eh", "abcde.gh"},
        {"^abcd|wxyz", "wxyz"},
        {"(?i)^abcdefgh", "ABCDEFGH"},
        {"^(?i:abcdefgh)", "ABCDEFGH"},
        {"^abcd(?!nope)efgh", "abcdefgh"},
        {"^abcd(?=efgh)efgh", "abcdefgh"},
        {"^abcdefgh(?<!nope)", "abcdefgh"},
        {"^(abcd)x\\1efgh", "abcdxabcdefgh"},
        {"^abcd(?#nope)efgh", "abcdefgh"},
        {"^abcd\\R?efgh", "abcdefgh"},
        {"^abcd\\x{65}fgh", "abcdefgh"},
        {"^abcd\\145fgh", "abcdefgh"},
        {"^abcd{x}efgh", "abcd{x}efgh"},
        {"(*NO_START_OPT)^abcdefgh", "abcdefgh"},
        {"^abcd(?|ef|gh)ijkl", "abcdghijkl"},
        {"^ab", "ab"},
    };
    char rule[256], text[128];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snprintf(rule, sizeof rule, "{ name = \"a\"; event = \"dns\"; reason = \"dnsOther\"; pattern = '%s'; }",
                 rows[i].pattern);
        open_rules(rule);
        snprintf(text, sizeof text, "1> %s", rows[i].text);
        cr_expect_eq(line(text), 1, "%s", rows[i].pattern);
        cr_expect_eq(line("1> zzzzzzzzzzzzz"), 0, "%s", rows[i].pattern);
        close_rules();
    }
}
