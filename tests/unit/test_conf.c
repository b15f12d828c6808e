#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/conf.h"
#include "base/conf_parts.h"
#include "base/text.h"
#include "conf_fixture.h"

#define CERTIFICATE "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"
#define KEY         "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n"
#define CRL         "-----BEGIN X509 CRL-----\nAA==\n-----END X509 CRL-----\n"
#define PIN         "sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg="

static void write_file(const char *path, const char *text, size_t length)
{
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file, "%s", path);
    cr_assert_eq(fwrite(text, 1, length, file), length);
    fclose(file);
}

static void enter_folder(void)
{
    conf_fixture_enter();
    write_file("cert.pem", CERTIFICATE, strlen(CERTIFICATE));
    write_file("key.pem", KEY, strlen(KEY));
    write_file("crl.pem", CRL, strlen(CRL));
    write_file("text.txt", "no PEM\n", 7);
    mkdir("sub", 0700);
    mkdir("presets", 0700);
    write_file("presets/kamailio.conf", "", 0);
    write_file("presets/postfix.conf", "", 0);
    cr_assert_eq(setenv("FEDWARDEN_PRESETS", "presets", 1), 0);
}

TestSuite(conf, .init = enter_folder, .fini = conf_fixture_leave, .timeout = 120);

/* All errors of the text as lines. */
static void load_errors(const char *text, size_t length, char *out, size_t size)
{
    struct conf_errors errors;
    write_file("f.conf", text, length);
    struct conf *conf = conf_load("f.conf", &errors);
    *out = '\0';
    for (size_t i = 0; i < errors.count; i++) {
        char line[2048];
        conf_error_text(&errors.errors[i], line, sizeof line);
        text_append(out, size, "%s%s", i ? "\n" : "", line);
    }
    cr_expect_eq(conf == NULL, errors.count > 0);
    conf_errors_clear(&errors);
    conf_free(conf);
}

static struct conf *load(const char *text)
{
    struct conf_errors errors;
    char line[2048] = "";
    write_file("f.conf", text, strlen(text));
    struct conf *conf = conf_load("f.conf", &errors);
    if (errors.count)
        conf_error_text(&errors.errors[0], line, sizeof line);
    cr_assert_not_null(conf, "%s", line);
    conf_errors_clear(&errors);
    return conf;
}

#define PARTNER(settings) "partners: ( { name = \"p\"; domain = \"p.example\"; " settings " } );"
#define TRUST(settings)   "trusts: ( { name = \"t\"; " settings " } );"
#define FEED(settings)    "feeds: ( { name = \"f\"; preset = \"kamailio\"; " settings " } );"

static const struct {
    const char *text;
    const char *errors;
} rules[] = {
    /* syntax */
    {"log_level = \"info\"\nagent: { mode = ; };",
     "f.conf:2: syntax error at or before \";\": is a \";\", a \",\" or a "
     "bracket missing?"},
    {"log_level = \"info\";\nlog_level = \"info\";", "f.conf:2: duplicate setting name at \"log_level\""},
    {"a = \"x\n", "f.conf:1: this string has no end: close it with a quote on the same line"},
    {"\n/* x\n\n", "f.conf:2: this comment has no end: close it with */"},
    {"log_level = notice;",
     "f.conf:1: syntax error at or before \"notice\": is a \";\", a \",\" or a bracket missing?"},
    {"a = 1;\nb = $x;", "f.conf:2: \"$\" has no meaning here: texts stand in quotes"},
    {"a = \"b\\x00c\";", "f.conf:1: a string may not hold NUL"},
    {"agent: { reconnect = 4294967298; };",
     "f.conf:1: agent.reconnect: 4294967298 is out of range: 1 to 60 is possible"},
    {"agent: { reconnect = 0x100000002; };",
     "f.conf:1: agent.reconnect: 4294967298 is out of range: 1 to 60 is possible"},
    {"agent: { reconnect = -4294967294; };",
     "f.conf:1: agent.reconnect: -4294967294 is out of range: 1 to 60 is possible"},
    {"agent: { reconnect = 9223372036854775808; };", "f.conf:1: the number 9223372036854775808 is out of range"},
    {"agent: { reconnect = 99999999999999999999L; };", "f.conf:1: the number 99999999999999999999L is out of range"},
    {"a = 11111111111111111111111111111111111111;", "f.conf:1: the number is too long"},
    {"a = ((((((((((((((((((", "f.conf:1: brackets are nested more than 16 deep"},
    /* includes */
    {"\n@include \"none.conf\"\n@include \"sub\"\n@include \"/dev/null\"",
     "f.conf:2: the included file \"none.conf\" cannot be read: No such file or directory\n"
     "f.conf:3: the included file \"sub\" cannot be read: it is no regular file\n"
     "f.conf:4: the included file \"/dev/null\" cannot be read: it is no regular file"},
    {"@include \"f.conf\"", "f.conf:1: files include each other more than 8 deep: does one include itself?"},
    {"@include f.conf", "f.conf:1: @include needs a file name in quotes"},
    /* unknown settings */
    {"lgo_level = \"info\";", "f.conf:1: lgo_level: there is no such setting. Did you mean \"log_level\"?"},
    {"agent: { zzzzzz = 1; };",
     "f.conf:1: agent.zzzzzz: there is no such setting (have: mode, agentx_socket, reconnect, listen, access_file, "
     "vantage, state_dir, notifications_per_minute, notifications_burst, notifications_kept, resend_alarms)"},
    {"collectors: { budgets: { conect = 1; }; };",
     "f.conf:1: collectors.budgets.conect: there is no such setting. Did you mean \"connect\"?"},
    {"defaults: { enable = true; };",
     "f.conf:1: defaults.enable: there is no such setting (have: protocol, interval, trust, resolvers, proxy, "
     "allowed_targets, contact, families, app, dane, expiry_days)"},
    {PARTNER("\n prxy = \"\";"), "f.conf:2: partners[0].prxy: there is no such setting. Did you mean \"proxy\"?"},
    {"thresholds: { tlsOutgoin: { }; };",
     "f.conf:1: thresholds.tlsOutgoin: no event \"tlsOutgoin\" (have: tlsOutgoing, authSource, domainPartner, "
     "domainLocal, invalidCert, connection, dns, certExpiry, configDrift, monitorSelf). Did you mean \"tlsOutgoing\"?"},
    /* types */
    {"agent: { reconnect = \"2\"; };", "f.conf:1: agent.reconnect: must be a whole number, 1 to 60"},
    {"agent: { reconnect = 2.0; };", "f.conf:1: agent.reconnect: must be a whole number, 1 to 60"},
    {"agent: { listen = 5; };", "f.conf:1: agent.listen: must be a text in quotes"},
    {"agent = 1;", "f.conf:1: agent: must be a group of settings: { name = value; ... }"},
    {"partners: { };",
     "f.conf:1: partners: must be a list of groups: ( { name = \"a\"; ... }, { name = \"b\"; ... } )"},
    {"partners: ( 1 );", "f.conf:1: partners[0]: must be a group of settings: { name = value; ... }"},
    {"thresholds = 1;", "f.conf:1: thresholds: must be a group: { tlsOutgoing: { count = 3; window = 900; }; }"},
    {PARTNER("enabled = 1;"), "f.conf:1: partners[0].enabled: must be true or false, without quotes"},
    {PARTNER("expected = 5;"), "f.conf:1: partners[0].expected: must be a list of texts: (\"a\", \"b\")"},
    {PARTNER("expected = (\n5\n);"), "f.conf:2: partners[0].expected[0]: must be a text in quotes"},
    /* ranges */
    {"agent: { reconnect = 61; };", "f.conf:1: agent.reconnect: 61 is out of range: 1 to 60 is possible"},
    {"agent: { reconnect = 4294967298L; };",
     "f.conf:1: agent.reconnect: 4294967298 is out of range: 1 to 60 is possible"},
    {"collectors: { threads = -1; };", "f.conf:1: collectors.threads: -1 is out of range: 1 to 16 is possible"},
    {PARTNER("interval = 0;"), "f.conf:1: partners[0].interval: 0 is out of range: 1 to 604800 is possible"},
    {"thresholds: { dns: { count = 0; }; };",
     "f.conf:1: thresholds.dns.count: 0 is out of range: 1 to 1000000 is possible"},
    {"log_level = \"verbose\";", "f.conf:1: log_level: \"verbose\" is none of error, warning, notice, info, debug"},
    {PARTNER("protocol = \"htps\";"),
     "f.conf:1: partners[0].protocol: \"htps\" is none of sip, xmpp, smtp, https, tls, imap, pop3, "
     "ldap, xmpp-client. Did you mean \"https\"?"},
    {PARTNER("contact = \"a\\nb\";"),
     "f.conf:1: partners[0].contact: holds control characters or is not UTF-8: \"a\\x0ab\""},
    {PARTNER("resolvers = (\"a\", \"b\", \"c\", \"d\", \"e\");"),
     "f.conf:1: partners[0].resolvers: has 5 elements: at most 4 are possible"},
    {"partners: ( { name = \"a234567890123456789012345678901234\"; domain = \"p.example\"; } );",
     "f.conf:1: partners[0].name: is 34 octets long: at most 32 are possible"},
    {"partners: ( { name = \" a\"; domain = \"p.example\"; } );",
     "f.conf:1: partners[0].name: may not begin or end with a space"},
    /* duplicates */
    {"partners: (\n{ name = \"a\"; domain = \"a.example\"; },\n{ name = \"a\"; domain = \"b.example\"; }\n);",
     "f.conf:3: partners[1].name: \"a\" is taken already, at f.conf:2: every name may stand there once"},
    {"partners: (\n{ name = \"a\"; domain = \"a.example\"; index = 7; },\n"
     "{ name = \"b\"; domain = \"b.example\";\nindex = 7; }\n);",
     "f.conf:4: partners[1].index: 7 is taken already, at f.conf:2: every index may stand there once"},
    {"trusts: ( { name = \"t\"; },\n { name = \"t\"; } );",
     "f.conf:2: trusts[1].name: \"t\" is taken already, at f.conf:1: every name may stand there once"},
    {"resolvers: ( { name = \"r\"; address = \"::1\"; },\n { name = \"r\"; address = \"::1\"; } );",
     "f.conf:2: resolvers[1].name: \"r\" is taken already, at f.conf:1: every name may stand there once"},
    /* what is missing */
    {"partners: (\n { } );", "f.conf:2: partners[0]: the setting \"domain\" is missing\n"
                             "f.conf:2: partners[0]: the setting \"name\" is missing"},
    {"trusts: ( { } );", "f.conf:1: trusts[0]: the setting \"name\" is missing"},
    {"resolvers: ( { name = \"r\"; } );", "f.conf:1: resolvers[0]: the setting \"address\" is missing"},
    {"agent: { mode = \"standalone\"; };",
     "f.conf:1: agent: the setting \"access_file\" is missing: without it mode \"standalone\" answers nobody"},
    /* references */
    {"trusts: ( { name = \"public\"; }, { name = \"contoso\"; } );\n" PARTNER("trust = \"publc\";"),
     "f.conf:2: partners[0].trust: no trust profile \"publc\" (have: public, contoso). Did you mean \"public\"?"},
    {PARTNER("trust = \"public\";"), "f.conf:1: partners[0].trust: no trust profile \"public\" (have: system)"},
    {PARTNER("resolvers = (\"a\");"), "f.conf:1: partners[0].resolvers[0]: no resolver \"a\" (have: none)"},
    {"dnssec = \"valid\";", "f.conf:1: dnssec: \"valid\" is none of off, validate"},
    {PARTNER("views = (\"a\");"), "f.conf:1: partners[0].views[0]: no resolver \"a\" (have: none)"},
    {"resolvers: ( { name = \"r\"; address = \"::1\"; } );\n" PARTNER("views = (\"r\");"),
     "f.conf:2: partners[0].views: needs at least two resolvers: their answers are compared"},
    {"resolvers: ( { name = \"r\"; address = \"::1\"; }, { name = \"s\"; address = \"::2\"; } );\n" PARTNER(
         "address = \"192.0.2.1\"; views = (\"r\", \"s\");"),
     "f.conf:2: partners[0].views: has no effect: a fixed address is not asked of DNS"},
    {"defaults: { trust = \"x\"; };", "f.conf:1: defaults.trust: no trust profile \"x\" (have: system)"},
    /* files */
    {TRUST("ca_file = \"none.pem\";"), "f.conf:1: trusts[0].ca_file: \"none.pem\" cannot be read: No such file or "
                                       "directory"},
    {TRUST("ca_file = \"sub\";"), "f.conf:1: trusts[0].ca_file: \"sub\" is no regular file"},
    {TRUST("ca_file = \"text.txt\";"), "f.conf:1: trusts[0].ca_file: \"text.txt\" holds no certificate in PEM: no line "
                                       "\"-----BEGIN ... CERTIFICATE-----\""},
    {PARTNER("expiry_days = [7, 14];"),
     "f.conf:1: partners[0].expiry_days[1]: 14 is not less than the 7 before it: each "
     "step comes later"},
    {PARTNER("expiry_days = [30, 14, 7, 1];"), "f.conf:1: partners[0].expiry_days: has 4 elements: one to 3 numbers of "
                                               "days, such as [30, 14, 7]"},
    {PARTNER("expiry_days = [];"),
     "f.conf:1: partners[0].expiry_days: has 0 elements: one to 3 numbers of days, such as "
     "[30, 14, 7]"},
    {PARTNER("expiry_days = [3651];"),
     "f.conf:1: partners[0].expiry_days[0]: 3651 is out of range: 0 to 3650 is possible"},
    {PARTNER("expiry_days = \"14\";"), "f.conf:1: partners[0].expiry_days: must be a whole number, 0 to 3650"},
    {TRUST("crl_urls = (\"file:///etc/passwd\");"), "f.conf:1: trusts[0].crl_urls[0]: \"file:///etc/passwd\" is no URL "
                                                    "that begins with http:// or https://"},
    {TRUST("crl_urls = \"http://u:p@a.example/x\";"),
     "f.conf:1: trusts[0].crl_urls: \"http://u:p@a.example/x\" holds a "
     "user or password; it would be shown"},
    {TRUST("crl_urls = [\"http:///x\"];"), "f.conf:1: trusts[0].crl_urls[0]: \"http:///x\" names no host"},
    {TRUST("crl_urls = [\"https://a/b c\"];"), "f.conf:1: trusts[0].crl_urls[0]: \"https://a/b c\" holds a blank or a "
                                               "character that is not ASCII; write it as %20 and so on"},
    {TRUST("crl_proxy = \"ftp://a:1\";"), "f.conf:1: trusts[0].crl_proxy: the URL of a proxy begins with http://, "
                                          "socks5://, socks5h:// or socks4a://"},
    {TRUST("crl_file = \"cert.pem\";"), "f.conf:1: trusts[0].crl_file: \"cert.pem\" holds no certificate revocation "
                                        "list in PEM: no line \"-----BEGIN ... CRL-----\""},
    {TRUST("certificate = \"cert.pem\"; key = \"cert.pem\";"),
     "f.conf:1: trusts[0].key: \"cert.pem\" holds no private key in PEM: no line \"-----BEGIN ... PRIVATE KEY-----\""},
    {TRUST("certificate = \"cert.pem\";"),
     "f.conf:1: trusts[0].certificate: needs its private key: the setting \"key\" "
     "is missing"},
    {TRUST("key = \"key.pem\";"), "f.conf:1: trusts[0].key: needs its certificate: the setting \"certificate\" is "
                                  "missing"},
    {TRUST("ca_dir = \"none\";"), "f.conf:1: trusts[0].ca_dir: the folder \"none\" cannot be read: No such file or "
                                  "directory"},
    {TRUST("tls_min = \"1.1\";"), "f.conf:1: trusts[0].tls_min: \"1.1\" is none of 1.2, 1.3. Did you mean \"1.2\"?"},
    {TRUST("pins = (\"sha256//AAAA\");"), "f.conf:1: trusts[0].pins[0]: is no pin: \"sha256//\" and the Base64 of the "
                                          "SHA-256 of a public key"},
    {"agent: { access_file = \"none\"; };", "f.conf:1: agent.access_file: \"none\" cannot be read: No such file or "
                                            "directory"},
    /* names and addresses */
    {"partners: ( { name = \"p\"; domain = \"p..example\"; } );",
     "f.conf:1: partners[0].domain: \"p..example\" is no legal host or domain name"},
    {PARTNER("host = \"192.0.2.1\";"), "f.conf:1: partners[0].host: \"192.0.2.1\" is an address, not a name: write "
                                       "address = \"192.0.2.1\""},
    {PARTNER("address = \"192.0.2.256\";"),
     "f.conf:1: partners[0].address: \"192.0.2.256\" is neither an IPv4 nor an IPv6 address"},
    {PARTNER("service = \"_sip tls\";"),
     "f.conf:1: partners[0].service: \"_sip tls\" is no legal name of a service, such as \"_sip._tls\""},
    {PARTNER("sni = \"-a\";"), "f.conf:1: partners[0].sni: \"-a\" is no legal host or domain name"},
    {PARTNER("allowed_targets = (\"a b\");"),
     "f.conf:1: partners[0].allowed_targets[0]: \"a b\" is no legal host or domain name"},
    {PARTNER("expected = (\"a.example:0\");"),
     "f.conf:1: partners[0].expected[0]: \"a.example:0\" is neither \"host:port\" nor an address"},
    {PARTNER("expected = (\"a.example\");"),
     "f.conf:1: partners[0].expected: \"a.example\" has no port: write \"a.example:5061\""},
    {PARTNER("proxy = \"ftp://u:secret@h:1\";"), "f.conf:1: partners[0].proxy: the URL of a proxy begins with http://, "
                                                 "socks5://, socks5h:// or socks4a://"},
    {PARTNER("proxy = \"http://u:secret@h\";"),
     "f.conf:1: partners[0].proxy: the URL of a proxy ends with its port, as "
     "in http://proxy.example.net:3128"},
    {PARTNER("proxy = \"http://u:secret@:80\";"),
     "f.conf:1: partners[0].proxy: the URL of the proxy holds no legal host"},
    {PARTNER("proxy = \"http://[192.0.2.1]:80\";"),
     "f.conf:1: partners[0].proxy: the URL of the proxy holds no legal IPv6 address in its brackets"},
    /* what settings say together */
    {PARTNER("protocol = \"tls\";"),
     "f.conf:1: partners[0]: nothing to probe: protocol \"tls\" needs host or address, and port; or service"},
    {PARTNER("protocol = \"tls\"; host = \"h.example\";"),
     "f.conf:1: partners[0]: the setting \"port\" is missing: protocol \"tls\" has no port of its own"},
    {PARTNER("port = 5061;"),
     "f.conf:1: partners[0].port: has no effect: the SRV records give the port. Set host, or leave port out"},
    /* networks, ports */
    {"edge: { networks = (\"10.10.0.0/16\",\n\"10.10.5.0/16\", \"2001:db8:a::1/64\"); };",
     "f.conf:2: edge.networks[1]: \"10.10.5.0/16\" has bits set behind its prefix: \"10.10.0.0/16\" was probably "
     "meant; or \"10.10.5.0\" for this one address\n"
     "f.conf:2: edge.networks[2]: \"2001:db8:a::1/64\" has bits set behind its prefix: \"2001:db8:a::/64\" was "
     "probably "
     "meant; or \"2001:db8:a::1\" for this one address"},
    {"edge: { networks = (\"192.0.2.0/33\"); };",
     "f.conf:1: edge.networks[0]: \"192.0.2.0/33\": the length of the prefix is a number, 1 to 32"},
    {"edge: { networks = (\"192.0.2.0/255.0.255.0\"); };",
     "f.conf:1: edge.networks[0]: \"192.0.2.0/255.0.255.0\": the length of the prefix is a number, 1 to 32"},
    {"edge: { networks = (\"2001:db8::/129\"); };",
     "f.conf:1: edge.networks[0]: \"2001:db8::/129\": the length of the prefix is a number, 1 to 128"},
    {"edge: { networks = (\"2001:db8::/\"); };",
     "f.conf:1: edge.networks[0]: \"2001:db8::/\": the length of the prefix is a number, 1 to 128"},
    {"edge: { networks = (\"0.0.0.0/0\"); };", "f.conf:1: edge.networks[0]: \"0.0.0.0/0\" holds every address: then "
                                               "nobody is unknown any more. Name the networks"},
    {"edge: { networks = (\"10.10/16\"); };",
     "f.conf:1: edge.networks[0]: \"10.10/16\" is no network: write it as \"192.0.2.0/24\" or \"2001:db8::/32\", or "
     "one address"},
    {"edge: { networks = (\"\"); };",
     "f.conf:1: edge.networks[0]: \"\" is no network: write it as \"192.0.2.0/24\" or \"2001:db8::/32\", or one "
     "address"},
    {"edge: { networks = (10); };", "f.conf:1: edge.networks[0]: must be a text in quotes"},
    {"edge: { networks = 10; };", "f.conf:1: edge.networks: must be a list of texts: (\"a\", \"b\")"},
    {PARTNER("\nnetworks = (\"198.51.100.5/28\");"),
     "f.conf:2: partners[0].networks[0]: \"198.51.100.5/28\" has bits set behind its prefix: \"198.51.100.0/28\" was "
     "probably meant; or \"198.51.100.5\" for this one address"},
    {"defaults: { networks = (\"192.0.2.1\"); };",
     "f.conf:1: defaults.networks: there is no such setting (have: protocol, interval, trust, resolvers, proxy, "
     "allowed_targets, contact, families, app, dane, expiry_days)"},
    {"edge: { domains = (\"a b\"); };", "f.conf:1: edge.domains[0]: \"a b\" is no legal host or domain name"},
    {"edge: { ports = (5061, 0, 65536); };", "f.conf:1: edge.ports[1]: 0 is out of range: 1 to 65535 is possible\n"
                                             "f.conf:1: edge.ports[2]: 65536 is out of range: 1 to 65535 is possible"},
    {"edge: { ports = \"5061\"; };", "f.conf:1: edge.ports: must be a whole number, 1 to 65535"},
    {"edge: { ports = (1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33,34,35,"
     "36,37,38,39,40,41,42,43,44,45,46,47,48,49,50,51,52,53,54,55,56,57,58,59,60,61,62,63,64,65); };",
     "f.conf:1: edge.ports: has 65 elements: at most 64 are possible"},
    {"edge: { sources_max = 15; };", "f.conf:1: edge.sources_max: 15 is out of range: 16 to 65536 is possible"},
    {"edge: { sourcesmax = 16; };",
     "f.conf:1: edge.sourcesmax: there is no such setting. Did you mean \"sources_max\"?"},
    /* feeds */
    {FEED(""), "f.conf:1: feeds[0]: nothing to follow: the setting \"file\", or journal = true, is missing"},
    {FEED("file = \"\";"), "f.conf:1: feeds[0].file: may not be empty without journal = true"},
    {FEED("file = \"a.log\";\njournal = true;"),
     "f.conf:2: feeds[0].journal: excludes \"file\": one feed follows one of them; make two feeds"},
    {FEED("file = \"a.log\"; unit = \"u\"; priority = 3;"),
     "f.conf:1: feeds[0].unit: has no effect on a file: it needs journal = true\n"
     "f.conf:1: feeds[0].priority: has no effect on a file: it needs journal = true"},
    {FEED("journal = true; priority = 8;"), "f.conf:1: feeds[0].priority: 8 is out of range: 0 to 7 is possible"},
    {FEED("file = \"sub\";"),
     "f.conf:1: feeds[0].file: \"sub\" is a folder: write \"sub/*\" to follow all files in it"},
    {FEED("file = \"none/\";"),
     "f.conf:1: feeds[0].file: \"none/\" is a folder: write \"none/*\" to follow all files in it"},
    {FEED("file = \"/var/log/*/a.log\";"),
     "f.conf:1: feeds[0].file: \"/var/log/*/a.log\": only the name of the file may be a pattern, not its folder"},
    {"feeds: ( { name = \"a\"; preset = \"kamailio\"; journal = true; },\n{ name = \"a\"; preset = \"postfix\"; "
     "journal "
     "= true; } );",
     "f.conf:2: feeds[1].name: \"a\" is taken already, at f.conf:1: every name may stand there once"},
    {"feeds: ( { journal = true; } );", "f.conf:1: feeds[0]: the setting \"name\" is missing\n"
                                        "f.conf:1: feeds[0]: the setting \"preset\" is missing"},
    {"feeds: ( { name = \"a\"; preset = \"kamalio\"; journal = true; } );",
     "f.conf:1: feeds[0].preset: no preset in presets called \"kamalio\" (have: kamailio, postfix). Did you mean "
     "\"kamailio\"?"},
    {"feeds: ( { name = \"a\"; preset = \"./none.conf\"; journal = true; } );",
     "f.conf:1: feeds[0].preset: \"./none.conf\" cannot be read: No such file or directory"},
    {"feeds: ( { name = \"a\"; preset = \"sub/\"; journal = true; } );",
     "f.conf:1: feeds[0].preset: \"sub/\" is no regular file"},
    {"feeds: ( { name = \"a\"; preset = \"\"; journal = true; } );", "f.conf:1: feeds[0].preset: may not be empty"},
    {"feeds: { };", "f.conf:1: feeds: must be a list of groups: ( { name = \"a\"; ... }, { name = \"b\"; ... } )"},
    /* several at once, in the order of the file */
    {"log_level = 1;\nagent: { reconnect = 0; lisen = \"\"; };\npartners: ( { name = \"p\"; domain = \"-\"; } );",
     "f.conf:1: log_level: must be a text in quotes\n"
     "f.conf:2: agent.reconnect: 0 is out of range: 1 to 60 is possible\n"
     "f.conf:2: agent.lisen: there is no such setting. Did you mean \"listen\"?\n"
     "f.conf:3: partners[0].domain: \"-\" is no legal host or domain name"},
};

Test(conf, tells_every_error_with_its_line)
{
    char got[8192];
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        load_errors(rules[i].text, strlen(rules[i].text), got, sizeof got);
        cr_expect_str_eq(got, rules[i].errors, "%s\n  is\n%s\n  and not\n%s", rules[i].text, got, rules[i].errors);
    }
}

Test(conf, refuses_octets_that_hide_text)
{
    char got[512];
    load_errors("log_level = \"info\0\";", 20, got, sizeof got);
    cr_expect_str_eq(got, "f.conf:1: a string may not hold NUL");
    load_errors("\0log_level = \"zzz\";", 19, got, sizeof got);
    cr_expect_str_eq(got, "f.conf:1: \"\\x00\" has no meaning here: texts stand in quotes");
    load_errors("defaults: { contact = \"\xff\"; };", 29, got, sizeof got);
    cr_expect_str_eq(got, "f.conf:1: defaults.contact: holds control characters or is not UTF-8: \"\\xff\"");
}

Test(conf, a_missing_file_is_one_error)
{
    struct conf_errors errors;
    char text[256];
    cr_assert_null(conf_load("none.conf", &errors));
    cr_assert_eq(errors.count, 1);
    conf_error_text(&errors.errors[0], text, sizeof text);
    cr_assert_str_eq(text, "none.conf: the file cannot be read: No such file or directory");
    conf_errors_clear(&errors);
    cr_assert_null(conf_load("sub", &errors));
    conf_error_text(&errors.errors[0], text, sizeof text);
    cr_assert_str_eq(text, "sub: the file cannot be read: it is no regular file");
    conf_errors_clear(&errors);
}

Test(conf, counts_errors_beyond_two_hundred)
{
    char *text = NULL;
    size_t length = 0;
    struct conf_errors errors;
    FILE *out = open_memstream(&text, &length);
    for (int i = 0; i < 300; i++)
        fprintf(out, "zzzzzzzzzzzzz%d = 1;\n", i);
    fclose(out);
    write_file("f.conf", text, length);
    cr_assert_null(conf_load("f.conf", &errors));
    cr_assert_eq(errors.count, 200);
    cr_assert_eq(errors.dropped, 100);
    conf_errors_clear(&errors);
    free(text);
}

Test(conf, an_empty_file_is_all_defaults)
{
    struct conf *conf = load("");
    cr_assert_eq(conf->log_level, LOG_LEVEL_NOTICE);
    cr_assert_eq(conf->agent.mode, AGENT_SUBAGENT);
    cr_assert_str_eq(conf->agent.agentx_socket, "/var/agentx/master");
    cr_assert_eq(conf->agent.reconnect, 2);
    cr_assert_str_eq(conf->agent.listen, "udp:127.0.0.1:16161");
    cr_assert_str_eq(conf->agent.access_file, "");
    cr_assert_eq(conf->agent.notifications_per_minute, 600);
    cr_assert_eq(conf->agent.notifications_burst, 16);
    cr_assert_eq(conf->agent.notifications_kept, 10000);
    cr_assert_not(conf->agent.resend_alarms);
    static const struct conf_collectors collectors = {
        1, 512, 100, 8, 200, 16384, 2, 60, 3, {1500, 5000, 4000, 6000, 8000, 6000, 300, 4000, 15000, 15000}};
    cr_assert_eq(memcmp(&conf->collectors, &collectors, sizeof collectors), 0);
    cr_assert_eq(conf->partner_count, 0);
    cr_assert_eq(conf->resolver_count, 0);
    cr_assert_eq(conf->trust_count, 1);
    cr_assert_str_eq(conf->trusts[0].name, "system");
    cr_assert_str_eq(conf->trusts[0].ca_file, "");
    cr_assert_str_eq(conf->trusts[0].ca_dir, "");
    cr_assert_eq(conf->trusts[0].tls_min, 0x0303);
    cr_assert_eq(conf->thresholds[EVENT_TLS_OUTGOING].count, 3);
    cr_assert_eq(conf_partner_find(conf, "x"), -1);
    cr_assert_eq(conf->edge.network_count + conf->edge.domain_count + conf->edge.port_count, 0);
    cr_assert_eq(conf->edge.sources_max, 4096);
    cr_assert_eq(conf->feed_count, 0);
    struct address address;
    cr_assert(address_parse("192.0.2.1", &address));
    cr_assert_eq(conf_partner_at(conf, "x.example", &address), -1);
    cr_assert_not(conf_is_own(conf, &address));
    conf_free(conf);
    conf_free(NULL);
}

Test(conf, reads_profiles_and_resolvers)
{
    struct conf *conf = load(
        "trusts: ( { name = \"a\"; }, { name = \"b\"; ca_file = \"cert.pem\"; ca_dir = \"sub\"; crl_file = "
        "\"crl.pem\"; "
        "certificate = \"cert.pem\"; key = \"key.pem\"; tls_min = \"1.3\"; pins = (\"" PIN "\", \"" PIN "\"); } );\n"
        "resolvers: ( { name = \"x\"; address = \"192.0.2.53\"; }, { name = \"y\"; address = \"2001:db8::53\"; "
        "port = 5353; trusted = true; } );\n"
        "defaults: { trust = \"b\"; resolvers = (\"y\", \"x\"); proxy = \"socks5h://u:p@[::1]:1080\"; };\n"
        "partners: ( { name = \"p\"; domain = \"p.example\"; }, { name = \"q\"; domain = \"q.example\"; trust = \"a\"; "
        "resolvers = \"x\"; proxy = \"\"; }, { name = \"r\"; domain = \"r.example\"; resolvers = (); } );");
    const struct conf_trust *trust = &conf->trusts[1];
    cr_assert_eq(conf->trust_count, 2);
    cr_assert_str_eq(trust->ca_file, "cert.pem");
    cr_assert_eq(trust->tls_min, 0x0304);
    cr_assert_eq(trust->pin_count, 2);
    static const uint8_t pin[] = {0x60, 0xb8, 0x75, 0x75, 0x44, 0x7d, 0xcb, 0xa2, 0xa3, 0x6b, 0x7d,
                                  0x11, 0xac, 0x09, 0xfb, 0x24, 0xa9, 0xdb, 0x40, 0x6f, 0xee, 0x12,
                                  0xd2, 0xcc, 0x90, 0x18, 0x05, 0x17, 0x61, 0x6e, 0x8a, 0x18};
    cr_assert_eq(memcmp(trust->pins[1], pin, sizeof pin), 0);
    cr_assert_eq(conf->resolvers[0].port, 53);
    cr_assert_not(conf->resolvers[0].trusted);
    cr_assert_eq(conf->resolvers[1].address.family, ADDRESS_IPV6);
    cr_assert_eq(conf->resolvers[1].port, 5353);
    cr_assert(conf->resolvers[1].trusted);
    const struct conf_partner *partner = conf->partners;
    cr_assert_eq(partner[0].trust, 1);
    cr_assert_eq(partner[0].resolver_count, 2);
    cr_assert_eq(partner[0].resolvers[0], 1);
    cr_assert_str_eq(partner[0].proxy, "socks5h://u:p@[::1]:1080");
    cr_assert_eq(partner[1].trust, 0);
    cr_assert_eq(partner[1].resolver_count, 1);
    cr_assert_eq(partner[1].resolvers[0], 0);
    cr_assert_str_eq(partner[1].proxy, "");
    cr_assert_eq(partner[2].resolver_count, 0);
    conf_free(conf);
}

/* What is probed follows from the settings together. */
static const struct {
    const char *settings;
    const char *service, *host;
    unsigned port;
} probed[] = {
    {"", "_sipfederationtls._tcp.p.example", "", 0},
    {"protocol = \"sip\"; service = \"_sips._tcp\";", "_sips._tcp.p.example", "", 0},
    {"service = \"_sip._tls.Other.example\";", "_sip._tls.other.example", "", 0},
    {"service = \"_sip._tls.\";", "_sip._tls", "", 0},
    {"protocol = \"xmpp\";", "_xmpp-server._tcp.p.example", "", 0},
    {"protocol = \"smtp\";", "p.example", "", 25},
    {"protocol = \"smtp\"; service = \"mail.example\"; port = 2525;", "mail.example", "", 2525},
    {"protocol = \"https\";", "", "", 443},
    {"protocol = \"https\"; port = 8443;", "", "", 8443},
    {"protocol = \"https\"; service = \"_https._tcp\";", "_https._tcp.p.example", "", 0},
    {"protocol = \"tls\"; service = \"_ldaps._tcp\";", "_ldaps._tcp.p.example", "", 0},
    {"protocol = \"tls\"; host = \"h.example\"; port = 636;", "", "h.example", 636},
    {"host = \"H.example.\";", "", "h.example", 5061},
    {"service = \"_sips._tcp\"; host = \"h.example\";", "", "h.example", 5061},
    {"address = \"192.0.2.1\";", "", "", 5061},
    {"protocol = \"xmpp\"; address = \"::1\";", "", "", 5269},
    {"protocol = \"smtp\"; host = \"m.example\";", "", "m.example", 25},
};

Test(conf, completes_what_is_probed)
{
    char text[512];
    for (size_t i = 0; i < sizeof probed / sizeof probed[0]; i++) {
        snprintf(text, sizeof text, PARTNER("%s"), probed[i].settings);
        struct conf *conf = load(text);
        const struct conf_partner *partner = conf->partners;
        cr_expect_str_eq(partner->service, probed[i].service, "%s: %s", text, partner->service);
        cr_expect_str_eq(partner->host, probed[i].host, "%s: %s", text, partner->host);
        cr_expect_eq(partner->port, probed[i].port, "%s: %u", text, partner->port);
        conf_free(conf);
    }
}

Test(conf, steps_of_expiry)
{
    static const struct {
        const char *setting;
        uint32_t days[3];
    } cases[] = {
        {"", {30, 14, 7}},
        {"expiry_days = 14;", {14, 7, 3}},
        {"expiry_days = 0;", {0, 0, 0}},
        {"expiry_days = [60];", {60, 0, 0}},
        {"expiry_days = (60, 0);", {60, 0, 0}},
        {"expiry_days = [3650, 20, 1];", {3650, 20, 1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[512];
        snprintf(text, sizeof text, PARTNER("%s"), cases[i].setting);
        struct conf *conf = load(text);
        cr_expect_eq(conf->partners[0].expiry_days, cases[i].days[0], "%s", cases[i].setting);
        cr_expect_eq(conf->partners[0].expiry_minor, cases[i].days[1], "%s", cases[i].setting);
        cr_expect_eq(conf->partners[0].expiry_major, cases[i].days[2], "%s", cases[i].setting);
        conf_free(conf);
    }
}

Test(conf, brings_values_into_their_form)
{
    struct conf *conf = load(PARTNER("verify_name = \"2001:DB8::0001\"; sni = \"B\xc3\xbc"
                                     "cher.example\"; "
                                     "expected = (\"SIP.p.example:05061\", \"2001:0db8::1\",); "
                                     "allowed_targets = [\"Hoster.example.\", \"*\"]; families = \"both\"; "
                                     "interval = 0x3C; index = 2147483647; expiry_days = 0; enabled = false; "
                                     "contact = \"a\" \" b\";"));
    const struct conf_partner *partner = conf->partners;
    cr_assert_str_eq(partner->verify_name, "2001:db8::1");
    cr_assert_str_eq(partner->sni, "xn--bcher-kva.example");
    cr_assert_eq(partner->expected_count, 2);
    cr_assert_str_eq(partner->expected[0], "sip.p.example:5061");
    cr_assert_str_eq(partner->expected[1], "2001:db8::1");
    cr_assert_eq(partner->allowed_count, 2);
    cr_assert_str_eq(partner->allowed[0], "hoster.example");
    cr_assert_str_eq(partner->allowed[1], "*");
    cr_assert_eq(partner->families, FAMILIES_BOTH);
    cr_assert_eq(partner->interval, 60);
    cr_assert_eq(partner->index, 2147483647);
    cr_assert_eq(partner->expiry_days, 0);
    cr_assert_not(partner->enabled);
    cr_assert_str_eq(partner->contact, "a b");
    conf_free(conf);
    conf = load(PARTNER("protocol = \"smtp\"; expected = \"mx.p.example\";"));
    cr_assert_str_eq(conf->partners[0].expected[0], "mx.p.example:25");
    conf_free(conf);
}

Test(conf, merges_thresholds)
{
    struct conf *conf =
        load("partners: ( { name = \"p\"; domain = \"p.example\"; thresholds: { tlsOutgoing: { clear = 5; "
             "}; connection: { window = 60; }; }; }, { name = \"q\"; domain = \"q.example\"; } );\n"
             "thresholds: { tlsOutgoing: { count = 9; window = 60; }; };");
    const struct conf_threshold *own = conf->partners[0].thresholds, *other = conf->partners[1].thresholds;
    const struct conf_threshold merged = {9, 60, 5}, of_file = {9, 60, 2}, connection = {3, 60, 2},
                                initial = {3, 900, 2};
    cr_assert_eq(memcmp(&own[EVENT_TLS_OUTGOING], &merged, sizeof merged), 0);
    cr_assert_eq(memcmp(&own[EVENT_CONNECTION], &connection, sizeof merged), 0);
    cr_assert_eq(memcmp(&own[EVENT_DNS], &initial, sizeof merged), 0);
    cr_assert_eq(memcmp(&other[EVENT_TLS_OUTGOING], &of_file, sizeof merged), 0);
    cr_assert_eq(memcmp(&other[EVENT_CONNECTION], &initial, sizeof merged), 0);
    cr_assert_eq(memcmp(&conf->thresholds[EVENT_TLS_OUTGOING], &of_file, sizeof merged), 0);
    cr_assert_eq(memcmp(&conf->thresholds[EVENT_CONNECTION], &initial, sizeof merged), 0);
    conf_free(conf);
}

Test(conf, includes_stand_in_their_place)
{
    char got[2048];
    mkdir("sub/sub", 0700);
    conf_fixture_write("sub/ca.pem", CERTIFICATE);
    conf_fixture_write("sub/trusts.conf",
                       "trusts: ( { name = \"t\"; ca_file = \"ca.pem\"; } );\n@include \"sub/more.conf\"\n");
    conf_fixture_write("sub/sub/more.conf", "# a comment\n\ndefaults: { interval = 7; };\n");
    conf_fixture_write("one.conf", "{ name = \"one\"; domain = \"one.example\"; },");
    struct conf *conf =
        load("@include \"sub/trusts.conf\"\npartners: ( @include \"one.conf\"\n { name = \"two\"; domain = "
             "\"two.example\"; } );");
    cr_assert_str_eq(conf->trusts[0].ca_file, "sub/ca.pem");
    cr_assert_eq(conf->partner_count, 2);
    cr_assert_str_eq(conf->partners[0].name, "one");
    cr_assert_eq(conf->partners[1].interval, 7);
    conf_free(conf);
    conf_fixture_write("sub/sub/more.conf", "# a comment\n\ndefaults: { interval = 0; };\n");
    static const char text[] = "@include \"sub/trusts.conf\"\nlog_level = \"\";";
    load_errors(text, sizeof text - 1, got, sizeof got);
    cr_assert_str_eq(got, "sub/sub/more.conf:3: defaults.interval: 0 is out of range: 1 to 604800 is possible\n"
                          "f.conf:2: log_level: \"\" is none of error, warning, notice, info, debug");
}

Test(conf, finds_partners_by_name)
{
    struct conf *conf = load("partners: ( { name = \"c\"; domain = \"c.example\"; }, { name = \"a\"; domain = "
                             "\"a.example\"; }, { name = \"b\"; domain = \"b.example\"; } );");
    static const char *const names[] = {"c", "a", "b"};
    for (int ordered = 1; ordered >= 0; ordered--) {
        for (long i = 0; i < 3; i++)
            cr_expect_eq(conf_partner_find(conf, names[i]), i);
        cr_expect_eq(conf_partner_find(conf, "aa"), -1);
        cr_expect_eq(conf_partner_find(conf, ""), -1);
        cr_expect_eq(conf_partner_find(conf, "d"), -1);
        conf->partner_order = NULL;
    }
    conf_free(conf);
}

Test(conf, reads_the_edge_and_its_feeds)
{
    write_file("mine.conf", "", 0);
    struct conf *conf =
        load("edge: { networks = (\"10.10.0.0/16\", \"2001:db8:a::/64\", \"192.0.2.1\", "
             "\"172.16.0.0/255.240.0.0\");\n"
             "domains = (\"Alpha.example.\", \"b\xc3\xbc"
             "cher.example\"); ports = (5061, 15061); };\n"
             "feeds: ( { name = \"k\"; preset = \"kamailio\"; file = \"logs/none-yet.log\"; head = \"h\"; },\n"
             "{ name = \"j\"; preset = \"./mine.conf\"; journal = true; unit = \"u.service\"; identifier = "
             "\"i\"; priority = 4; enabled = false; },\n"
             "{ name = \"p\"; preset = \"postfix.conf\"; file = \"/var/log/mail*\"; } );");
    const struct conf_edge *edge = &conf->edge;
    char text[ADDRESS_TEXT_SIZE];
    static const char *const networks[] = {"10.10.0.0", "2001:db8:a::", "192.0.2.1", "172.16.0.0"};
    static const uint8_t prefixes[] = {16, 64, 32, 12};
    cr_assert_eq(edge->network_count, 4);
    for (size_t i = 0; i < 4; i++) {
        cr_expect_str_eq(address_text(&edge->networks[i].address, text), networks[i]);
        cr_expect_eq(edge->networks[i].prefix, prefixes[i]);
    }
    cr_assert_eq(edge->domain_count, 2);
    cr_assert_str_eq(edge->domains[0], "alpha.example");
    cr_assert_str_eq(edge->domains[1], "xn--bcher-kva.example");
    cr_assert_eq(edge->port_count, 2);
    cr_assert_eq(edge->ports[0], 5061);
    cr_assert_eq(edge->ports[1], 15061);
    cr_assert_eq(edge->sources_max, 4096);
    cr_assert_eq(conf->feed_count, 3);
    const struct conf_feed *feed = conf->feeds;
    cr_assert_str_eq(feed[0].name, "k");
    cr_assert_str_eq(feed[0].preset, "presets/kamailio.conf");
    cr_assert_str_eq(feed[0].file, "logs/none-yet.log");
    cr_assert_str_eq(feed[0].head, "h");
    cr_assert(feed[0].enabled && !feed[0].journal);
    cr_assert_str_eq(feed[1].preset, "./mine.conf");
    cr_assert(feed[1].journal && !feed[1].enabled);
    cr_assert_str_eq(feed[1].unit, "u.service");
    cr_assert_str_eq(feed[1].identifier, "i");
    cr_assert_eq(feed[1].priority, 4);
    cr_assert_str_eq(feed[1].file, "");
    cr_assert_str_eq(feed[2].preset, "presets/postfix.conf");
    cr_assert_str_eq(feed[2].file, "/var/log/mail*");
    cr_assert_eq(feed[2].priority, 7);
    conf_free(conf);
    write_file("sub/g.conf", "feeds: ( { name = \"k\"; preset = \"kamailio\"; file = \"x.log\"; } );", 63);
    conf = load("@include \"sub/g.conf\"\n");
    cr_assert_str_eq(conf->feeds[0].file, "sub/x.log");
    conf_free(conf);
}

static long at(const struct conf *conf, const char *domain, const char *text)
{
    struct address address = {0};
    cr_assert(!text || address_parse(text, &address), "%s", text);
    long found = conf_partner_at(conf, domain, text ? &address : NULL);
    struct conf plain = *conf;
    plain.who = NULL;
    cr_expect_eq(conf_partner_at(&plain, domain, text ? &address : NULL), found, "%s %s", domain, text);
    cr_expect_eq(conf_is_own(conf, &address), conf_is_own(&plain, &address), "%s", text);
    for (size_t i = 0; i < conf->partner_count; i++)
        cr_expect_eq(conf_partner_next(conf, (long)i), conf_partner_next(&plain, (long)i));
    return found;
}

Test(conf, tells_whose_a_line_is)
{
    struct conf *conf = load(
        "edge: { networks = (\"10.0.0.0/8\", \"10.10.0.0/16\", \"2001:db8:a::/64\"); };\n"
        "partners: (\n"
        "{ name = \"0\"; domain = \"contoso.example\"; networks = (\"198.51.100.0/28\", \"198.51.100.5\"); },\n"
        "{ name = \"1\"; domain = \"eu.contoso.example\"; networks = (\"198.51.100.0/24\", \"2001:db8::/32\"); },\n"
        "{ name = \"2\"; domain = \"other.example\"; networks = \"2001:db8:1::/48\"; enabled = false; },\n"
        "{ name = \"3\"; domain = \"fixed.example\"; address = \"198.51.100.6\"; },\n"
        "{ name = \"4\"; domain = \"other.example\"; networks = (\"198.51.100.0/28\", \"192.0.2.128/25\"); } );");
    /* by domain */
    cr_expect_eq(at(conf, "contoso.example", NULL), 0);
    cr_expect_eq(at(conf, "SIP1.Contoso.Example.", NULL), 0);
    cr_expect_eq(at(conf, "a.b.eu.contoso.example", NULL), 1);
    cr_expect_eq(at(conf, "eu.contoso.example", NULL), 1);
    cr_expect_eq(at(conf, "xeu.contoso.example", NULL), 0);
    cr_expect_eq(at(conf, "xcontoso.example", NULL), -1);
    cr_expect_eq(at(conf, "example", NULL), -1);
    cr_expect_eq(at(conf, "other.example", NULL), 2);
    cr_expect_eq(at(conf, "", NULL), -1);
    cr_expect_eq(at(conf, NULL, NULL), -1);
    cr_expect_eq(at(conf, "a b\xff.contoso.example", NULL), -1, "no legal name");
    cr_expect_eq(at(conf, "contoso.example", "192.0.2.130"), 0, "the domain goes first");
    cr_expect_eq(at(conf, "nobody.example", "192.0.2.130"), 4);
    cr_expect_eq(conf_partner_next(conf, 2), 4, "of the same domain");
    cr_expect_eq(conf_partner_next(conf, 4), -1);
    cr_expect_eq(conf_partner_next(conf, 0), -1);
    /* by address */
    cr_expect_eq(at(conf, NULL, "198.51.100.5"), 0);
    cr_expect_eq(at(conf, NULL, "198.51.100.6"), 3);
    cr_expect_eq(at(conf, NULL, "198.51.100.7"), 0, "of equal networks the first");
    cr_expect_eq(at(conf, NULL, "198.51.100.15"), 0);
    cr_expect_eq(at(conf, NULL, "198.51.100.16"), 1);
    cr_expect_eq(at(conf, NULL, "198.51.100.255"), 1);
    cr_expect_eq(at(conf, NULL, "198.51.101.0"), -1);
    cr_expect_eq(at(conf, NULL, "192.0.2.127"), -1);
    cr_expect_eq(at(conf, NULL, "192.0.2.128"), 4);
    cr_expect_eq(at(conf, NULL, "::ffff:192.0.2.128"), 4);
    cr_expect_eq(at(conf, NULL, "2001:db8:0:ffff::1"), 1);
    cr_expect_eq(at(conf, NULL, "2001:db8:1::"), 2);
    cr_expect_eq(at(conf, NULL, "2001:db8:1:ffff:ffff:ffff:ffff:ffff"), 2);
    cr_expect_eq(at(conf, NULL, "2001:db8:2::"), 1);
    cr_expect_eq(at(conf, NULL, "c633:6405::"), -1, "the octets of an IPv4 network");
    cr_expect_eq(at(conf, NULL, "0.0.0.0"), -1);
    cr_expect_eq(at(conf, NULL, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), -1);
    /* own */
    static const struct {
        const char *address;
        bool own;
    } owns[] = {{"10.10.255.255", true}, {"10.255.0.0", true},      {"::ffff:10.1.2.3", true}, {"11.0.0.0", false},
                {"2001:db8:a::1", true}, {"2001:db8:a:1::", false}, {"9.255.255.255", false},  {"2001:db8:9::", false}};
    struct address address;
    for (size_t i = 0; i < sizeof owns / sizeof owns[0]; i++) {
        cr_assert(address_parse(owns[i].address, &address));
        cr_expect_eq(conf_is_own(conf, &address), owns[i].own, "%s", owns[i].address);
        at(conf, NULL, owns[i].address);
    }
    address = (struct address){0};
    cr_expect_not(conf_is_own(conf, &address));
    cr_expect_not(network_holds(&conf->edge.networks[0], &address));
    conf_free(conf);
}

/* Random networks of few bits, so that many nest and touch: the prepared answer against the one that looks at each. */
Test(conf, whose_a_line_is_agrees_with_looking_at_each)
{
    uint64_t state = 1;
    char *text = malloc(1 << 20);
    for (int round = 0; round < 20; round++) {
        size_t used = (size_t)sprintf(text, "partners: (\n");
        for (int i = 0; i < 60; i++) {
            state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
            unsigned bits = (unsigned)(state >> 40), prefix = 1 + (unsigned)(state >> 33) % 32;
            uint32_t start = (bits & 0xff) << 24 | (bits >> 8 & 3) << 22 | (bits >> 10 & 3);
            start &= UINT32_MAX << (32 - prefix);
            used += (size_t)sprintf(text + used,
                                    "{ name = \"%d\"; domain = \"%s%c%c.example\"; networks = (\"%u.%u.%u.%u/%u\", "
                                    "\"%x:%x::/%u\"); },\n",
                                    i, bits & 1 ? "x." : "", 'a' + (int)(bits >> 1 & 3), 'a' + (int)(bits >> 3 & 3),
                                    start >> 24, start >> 16 & 255, start >> 8 & 255, start & 255, prefix, start >> 16,
                                    start & 0xffff, prefix);
        }
        sprintf(text + used, ");\n");
        struct conf *conf = load(text);
        for (int i = 0; i < 2000; i++) {
            char address[64], name[64];
            state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
            unsigned bits = (unsigned)(state >> 40);
            if (bits & 1)
                snprintf(address, sizeof address, "%u.%u.0.%u", bits >> 1 & 255, bits >> 3 & 192, bits >> 9 & 3);
            else
                snprintf(address, sizeof address, "%x:%x::%x", bits >> 1 & 0xffff, bits >> 17 & 3, bits & 3);
            snprintf(name, sizeof name, "%sx.%c%c.example", bits & 2 ? "y." : "", 'a' + (int)(bits >> 4 & 3),
                     'a' + (int)(bits >> 6 & 3));
            at(conf, NULL, address);
            at(conf, bits & 4 ? name : name + 2, address);
        }
        conf_free(conf);
    }
    free(text);
}

Test(conf, a_hundred_thousand_partners_load_quickly)
{
    FILE *out = fopen("f.conf", "w");
    cr_assert_not_null(out);
    fputs("partners: (\n", out);
    for (int i = 0; i < CONF_PARTNERS_MAX; i++)
        fprintf(out,
                "  { name = \"partner%d\"; domain = \"d%d.example\"; index = %d; contact = \"noc\"; networks = "
                "\"%d.%d.%d.0/24\"; },\n",
                i, i, i + 1, 1 + (i >> 16), i >> 8 & 255, i & 255);
    fputs(");\n", out);
    fclose(out);
    struct conf_errors errors;
    clock_t start = clock();
    struct conf *conf = conf_load("f.conf", &errors);
    clock_t loaded = clock();
    cr_assert_not_null(conf);
    cr_assert_eq(conf->partner_count, CONF_PARTNERS_MAX);
    for (int i = 0; i < CONF_PARTNERS_MAX; i++) {
        char name[32];
        snprintf(name, sizeof name, "partner%d", i);
        if (conf_partner_find(conf, name) != i)
            cr_assert_fail("%s is not found", name);
    }
    clock_t found = clock();
    for (int i = 0; i < CONF_PARTNERS_MAX; i++) {
        char domain[64];
        snprintf(domain, sizeof domain, "sip.d%d.example", i);
        struct address address = {ADDRESS_IPV4, {(uint8_t)(1 + (i >> 16)), (uint8_t)(i >> 8), (uint8_t)i, 7}};
        if (conf_partner_at(conf, domain, NULL) != i || conf_partner_at(conf, "none.example", &address) != i)
            cr_assert_fail("it is not told that %s is partner%d", domain, i);
    }
    clock_t told = clock();
    cr_log_info("100,000 partners: %.2f s of processor time for 200,000 times whose a line is\n",
                (double)(told - found) / CLOCKS_PER_SEC);
    cr_expect_lt(told - found, 4 * CLOCKS_PER_SEC, "processor time; the bound leaves room for sanitizers");
    cr_log_info("100,000 partners: %.2f s of processor time to load, %.2f s to find\n",
                (double)(loaded - start) / CLOCKS_PER_SEC, (double)(found - loaded) / CLOCKS_PER_SEC);
    cr_expect_lt(loaded - start, 20 * CLOCKS_PER_SEC, "processor time; the bound leaves room for sanitizers");
    conf_free(conf);
    conf_errors_clear(&errors);
}

/* Settings that would cost quadratic time or deep recursion end early. */
Test(conf, hostile_sizes_end_early)
{
    char got[1024];
    clock_t start = clock();
    FILE *out = fopen("big.conf", "w");
    for (int i = 0; i < 300000; i++)
        fprintf(out, "a%d = 1;\n", i);
    fclose(out);
    load_errors("@include \"big.conf\"", 19, got, sizeof got);
    cr_expect_str_eq(got, "big.conf:1001: more than 1000 settings in one group");
    char *deep = malloc(1000000);
    memset(deep, '(', 1000000);
    memcpy(deep, "a = ", 4);
    load_errors(deep, 1000000, got, sizeof got);
    cr_expect_str_eq(got, "f.conf:1: brackets are nested more than 16 deep");
    free(deep);
    out = fopen("f.conf", "w");
    fputs("partners: (", out);
    for (int i = 0; i <= CONF_PARTNERS_MAX; i++)
        fputs("{},", out);
    fputs(");", out);
    fclose(out);
    struct conf_errors errors;
    cr_expect_null(conf_load("f.conf", &errors));
    cr_assert_eq(errors.count, 1);
    cr_expect_str_eq(errors.errors[0].message, "has 100001 elements: at most 100000 are possible");
    conf_errors_clear(&errors);
    cr_expect_lt(clock() - start, 20 * CLOCKS_PER_SEC);
}

Test(conf, adhoc)
{
    struct conf_errors errors;
    struct conf *conf = conf_adhoc(PROTOCOL_SIP, "Contoso.Example.", &errors);
    cr_assert_not_null(conf);
    cr_assert_eq(conf->partner_count, 1);
    cr_assert_str_eq(conf->partners[0].name, "contoso.example");
    cr_assert_str_eq(conf->partners[0].domain, "contoso.example");
    cr_assert_str_eq(conf->partners[0].service, "_sipfederationtls._tcp.contoso.example");
    cr_assert(conf->partners[0].enabled);
    cr_assert_eq(conf->partners[0].thresholds[EVENT_DNS].count, 3);
    cr_assert_str_eq(conf->path, "");
    cr_assert_eq(conf_partner_find(conf, "contoso.example"), 0);
    conf_free(conf);
    conf = conf_adhoc(PROTOCOL_TLS, "a-name-that-is-longer-than-a-partners-name.example", &errors);
    cr_assert_str_eq(conf->partners[0].name, "a-name-that-is-longer-than-a-par");
    cr_assert_str_eq(conf->partners[0].host, "a-name-that-is-longer-than-a-partners-name.example");
    cr_assert_eq(conf->partners[0].port, 443);
    conf_free(conf);
    char text[256], label[64], domain[256];
    cr_assert_null(conf_adhoc(PROTOCOL_SIP, "a b", &errors));
    conf_error_text(&errors.errors[0], text, sizeof text);
    cr_assert_str_eq(text, "\"a b\" is no legal host or domain name");
    conf_errors_clear(&errors);
    memset(label, 'a', 62);
    label[62] = '\0';
    snprintf(domain, sizeof domain, "%s.%s.%s.%s", label, label, label, label);
    cr_assert_null(conf_adhoc(PROTOCOL_SIP, domain, &errors));
    cr_assert_eq(strncmp(errors.errors[0].message, "the name of the service is too long", 35), 0);
    conf_errors_clear(&errors);
}

static const struct {
    const char *in, *out; /* NULL: no legal name */
} hostnames[] = {
    {"example.net", "example.net"},
    {"Example.NET.", "example.net"},
    {"localhost", "localhost"},
    {"_sip._tls.example.net", "_sip._tls.example.net"},
    {"3com.example", "3com.example"},
    {"a-b.example", "a-b.example"},
    {"xn--bcher-kva.example", "xn--bcher-kva.example"},
    {"B\xc3\x9c"
     "CHER.example",
     "xn--bcher-kva.example"},
    {"bu\xcc\x88"
     "cher.example",
     "xn--bcher-kva.example"}, /* decomposed */
    {"stra\xc3\x9f"
     "e.example",
     "xn--strae-oqa.example"}, /* non-transitional: not strasse */
    {"_sip._tls.b\xc3\xbc"
     "cher.example",
     "_sip._tls.xn--bcher-kva.example"},
    {"b\xc3\xbc"
     "cher\xe3\x80\x82"
     "example",
     "xn--bcher-kva.example"}, /* ideographic full stop */
    {"", NULL},
    {".", NULL},
    {".example", NULL},
    {"a..example", NULL},
    {"a.example..", NULL},
    {"-a.example", NULL},
    {"a-.example", NULL},
    {"a b.example", NULL},
    {"a*.example", NULL},
    {"a/b", NULL},
    {"192.0.2.1", NULL},
    {"example.1", NULL},
    {"::1", NULL},
    {"a\xff.example", NULL},
    {"a\xc2\xa0"
     "b.example",
     NULL},
    {"\xe2\x80\xae.example", NULL},
    {"a123456789012345678901234567890123456789012345678901234567890123.example", NULL},
    {"a12345678901234567890123456789012345678901234567890123456789012.example",
     "a12345678901234567890123456789012345678901234567890123456789012.example"},
};

Test(conf, hostname)
{
    char out[OBSERVATION_NAME];
    for (size_t i = 0; i < sizeof hostnames / sizeof hostnames[0]; i++) {
        bool legal = conf_hostname(hostnames[i].in, out);
        cr_expect_eq(legal, hostnames[i].out != NULL, "%s", hostnames[i].in);
        cr_expect_str_eq(out, hostnames[i].out ? hostnames[i].out : "", "%s: %s", hostnames[i].in, out);
    }
    char name[300] = "";
    for (int i = 0; i < 127; i++)
        strcat(name, i < 126 ? "a." : "a");
    cr_expect(conf_hostname(name, out), "253 octets");
    strcat(name, ".a");
    cr_expect_not(conf_hostname(name, out), "255 octets");
}

Test(conf, address)
{
    static const char *const legal[][2] = {{"192.0.2.1", "192.0.2.1"},
                                           {"2001:DB8:0::1", "2001:db8::1"},
                                           {"::", "::"},
                                           {"::ffff:192.0.2.1", "::ffff:192.0.2.1"},
                                           {"255.255.255.255", "255.255.255.255"}};
    static const char *const illegal[] = {"",        "192.0.2",    "192.0.2.256", "192.0.2.1 ", "0x7f.1",
                                          "1::2::3", "fe80::1%lo", "[::1]",       "example"};
    struct address address, other;
    char text[ADDRESS_TEXT_SIZE];
    for (size_t i = 0; i < sizeof legal / sizeof legal[0]; i++) {
        cr_expect(address_parse(legal[i][0], &address), "%s", legal[i][0]);
        cr_expect_str_eq(address_text(&address, text), legal[i][1]);
    }
    for (size_t i = 0; i < sizeof illegal / sizeof illegal[0]; i++) {
        other = address;
        cr_expect_not(address_parse(illegal[i], &other), "%s", illegal[i]);
        cr_expect_eq(memcmp(&other, &address, sizeof address), 0, "%s changed the address", illegal[i]);
    }
    address = (struct address){0};
    cr_expect_str_eq(address_text(&address, text), "");
    other = (struct address){.octets = {1}};
    cr_expect(address_equal(&address, &other), "octets that are not used do not count");
    cr_expect(address_parse("192.0.2.1", &address) && address_parse("192.0.2.1", &other));
    other.octets[15] = 1;
    cr_expect(address_equal(&address, &other));
    other.octets[3] = 2;
    cr_expect_not(address_equal(&address, &other));
    cr_expect(address_parse("c000:201::", &other));
    cr_expect_not(address_equal(&address, &other));
}

Test(conf, protocols)
{
    for (int protocol = PROTOCOL_SIP; protocol <= PROTOCOL_TLS; protocol++)
        cr_expect_eq(protocol_find(protocol_name(protocol)), protocol);
    cr_expect_str_eq(protocol_name(PROTOCOL_XMPP), "xmpp");
    cr_expect_eq(protocol_find("XMPP"), PROTOCOL_XMPP);
    cr_expect_eq(protocol_find("ftp"), 0);
    cr_expect_eq(protocol_find(""), 0);
}

/* The file that is shipped, "" when it is not beside the sources. */
static char *shipped_text(void)
{
    char path[4096], *slash;
    static char text[65536];
    text_copy(path, sizeof path, __FILE__);
    slash = strstr(path, "tests/unit/test_conf.c");
    *slash = '\0';
    text_append(path, sizeof path, "conf/fedwarden.conf");
    FILE *file = fopen(path, "r");
    size_t length = file ? fread(text, 1, sizeof text - 1, file) : 0;
    text[length] = '\0';
    if (file)
        fclose(file);
    return text;
}

/* Takes the comment mark from lines that hold a setting or a bracket behind it. */
static void uncomment(char *text)
{
    for (char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        char *mark = line + strspn(line, " ");
        if (mark[0] != '#' || mark[1] != ' ')
            continue;
        char *rest = mark + 1 + strspn(mark + 1, " ");
        size_t word = strspn(rest, "abcdefghijklmnopqrstuvwxyz_");
        if ((word && (strncmp(rest + word, " = ", 3) == 0 || strncmp(rest + word, ": (", 3) == 0 ||
                      strncmp(rest + word, ": {", 3) == 0)) ||
            strchr("{})", *rest))
            *mark = ' ';
    }
}

Test(conf, the_shipped_file_holds_every_setting_and_its_default)
{
    char *text = shipped_text();
    if (!*text)
        cr_skip("conf/fedwarden.conf is not beside the sources");
    struct conf *initial = load(""), *conf = load(text);
    cr_expect_eq(memcmp(&conf->collectors, &initial->collectors, sizeof conf->collectors), 0);
    cr_expect_eq(memcmp(conf->thresholds, initial->thresholds, sizeof conf->thresholds), 0);
    cr_expect_eq(conf->log_level, initial->log_level);
    cr_expect_eq(conf->agent.mode, initial->agent.mode);
    cr_expect_eq(conf->agent.reconnect, initial->agent.reconnect);
    cr_expect_str_eq(conf->agent.agentx_socket, initial->agent.agentx_socket);
    cr_expect_str_eq(conf->agent.listen, initial->agent.listen);
    cr_expect_str_eq(conf->agent.state_dir, initial->agent.state_dir);
    cr_expect_eq(conf->agent.notifications_per_minute, initial->agent.notifications_per_minute);
    cr_expect_eq(conf->agent.notifications_burst, initial->agent.notifications_burst);
    cr_expect_eq(conf->agent.notifications_kept, initial->agent.notifications_kept);
    cr_expect_eq(conf->agent.resend_alarms, initial->agent.resend_alarms);
    cr_expect_str_eq(conf->history.file, initial->history.file);
    cr_expect_eq(conf->history.days, initial->history.days);
    cr_expect_eq(conf->history.transitions, initial->history.transitions);
    cr_expect_eq(conf->history.verdicts, initial->history.verdicts);
    cr_expect_eq(conf->history.failures, initial->history.failures);
    cr_expect_eq(conf->trust_count, initial->trust_count);
    cr_expect_eq(conf->partners[0].interval, 300);
    cr_expect_eq(conf->partners[0].expiry_days, 30);
    cr_expect_eq(conf->partners[0].families, FAMILIES_AUTO);
    for (size_t i = 0; i < conf->partner_count; i++)
        cr_expect_not(conf->partners[i].enabled);
    conf_free(conf);
    conf_free(initial);

    for (size_t i = 0; i < conf_partner_row_count; i++)
        cr_expect(strstr(text, conf_partner_rows[i].name), "%s is not explained", conf_partner_rows[i].name);
    mkdir("ca.d", 0700);
    mkdir("tlsrpt", 0700);
    conf_fixture_write("access.conf", "");
    conf_fixture_write("contoso-ca.pem", CERTIFICATE);
    conf_fixture_write("contoso-crl.pem", CRL);
    conf_fixture_write("edge.pem", CERTIFICATE);
    conf_fixture_write("edge.key", KEY);
    uncomment(text);
    conf = load(text);
    cr_expect_eq(conf->trust_count, 2);
    cr_expect_eq(conf->trusts[1].pin_count, 1);
    cr_expect_eq(conf->resolver_count, 2);
    cr_expect_eq(conf->partners[0].index, 7);
    cr_expect_eq(conf->partners[0].expected_count, 2);
    cr_expect_eq(conf->partners[0].network_count, 2);
    cr_expect_eq(conf->edge.network_count, 2);
    cr_expect_eq(conf->edge.sources_max, 4096);
    cr_expect_eq(conf->feed_count, 2);
    cr_expect_str_eq(conf->inbox.path, "/run/fedwarden/inbox");
    cr_expect_eq(conf->inbox.mode, 0660);
    cr_expect_eq(conf->inbox.connections_max, 64);
    cr_expect_str_eq(conf->tlsrpt.directory, "tlsrpt");
    cr_expect_str_eq(conf->feeds[0].file, "/var/log/kamailio.log");
    cr_expect(conf->feeds[1].journal);
    cr_expect_eq(conf->feeds[1].priority, 7);
    cr_expect_str_eq(conf->partners[1].verify_name, "trunk.example");
    conf_free(conf);
}
