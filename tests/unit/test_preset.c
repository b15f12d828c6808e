/* Presets as files: what a few lines give, and every mistake with its file, its line and what was probably meant. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/conf_preset.h"
#include "collect/rule.h"

TestSuite(preset, .timeout = 20);

static char path[64];

static void write_preset(const char *text)
{
    strcpy(path, "/tmp/test_preset.XXXXXX");
    int descriptor = mkstemp(path);
    cr_assert(descriptor >= 0);
    cr_assert_eq(write(descriptor, text, strlen(text)), (ssize_t)strlen(text));
    close(descriptor);
}

static struct preset *read_preset(const char *text, struct conf_errors *errors)
{
    *errors = (struct conf_errors){0};
    write_preset(text);
    struct preset *preset = preset_read(path, errors);
    unlink(path);
    return preset;
}

/* Compiling tells more than reading does. */
static void expect_error(const char *text, unsigned line, const char *message)
{
    struct conf_errors errors = {0};
    char told[2048] = "";
    write_preset(text);
    struct rule_set *set = rule_set_load(path, "", &errors);
    cr_assert_null(set, "no error for %s", text);
    cr_assert_geq(errors.count, 1);
    bool said = false;
    for (size_t i = 0; i < errors.count && !said; i++) {
        conf_error_text(&errors.errors[i], told, sizeof told);
        said = strstr(told, message) && errors.errors[i].line == line && strncmp(told, path, strlen(path)) == 0;
    }
    cr_expect(said, "\"%s\" does not say \"%s\" of line %u", told, message, line);
    unlink(path);
    conf_errors_clear(&errors);
}

Test(preset, few_lines)
{
    struct conf_errors errors;
    struct preset *preset = read_preset("product = \"mydaemon\";\n"
                                        "heads = (\"syslog\");\n"
                                        "rules = ({ name = \"login\"; event = \"authSource\"; "
                                        "reason = \"authBadCredentials\";\n"
                                        "  pattern = '^login of (?<user>\\S+) \"failed\" from (?<ip>\\S+)$'; });\n",
                                        &errors);
    cr_assert(preset);
    cr_expect_str_eq(preset->product, "mydaemon");
    cr_expect_eq(preset->head_count, 3);
    cr_assert_eq(preset->rule_count, 1);
    cr_expect_str_eq(preset->rules[0].pattern, "^login of (?<user>\\S+) \"failed\" from (?<ip>\\S+)$");
    cr_expect_eq(preset->rules[0].event, EVENT_AUTH_SOURCE);
    cr_expect_eq(preset->rules[0].reason, REASON_AUTH_BAD_CREDENTIALS);
    cr_expect_eq(preset->rules[0].key, FIELD_PID);
    cr_expect_eq(preset->rules[0].within, 10);
    cr_expect_eq(preset->rules[0].line, 3);
    preset_free(preset);
}

Test(preset, everything_of_a_rule)
{
    struct conf_errors errors;
    struct preset *preset = read_preset(
        "product = \"p\"; program = 'p'; heads = ( { name = \"own\"; pattern = '^> '; }, { base = \"syslog\"; inner = "
        "'x '; } );\n"
        "words = ( { text = \"gone\"; reason = \"tcpReset\"; } );\n"
        "rules = (\n"
        "  { name = \"a\"; role = \"begin\"; key = \"session\"; lasts = 60; pattern = 'a'; },\n"
        "  { name = \"b\"; event = \"bySource\"; words = (\"preset\", \"connection\"); read = \"code\"; pattern = 'b'; "
        "join = true;\n"
        "    last = true; tells = \"op\"; needs = (\"ip\", \"reason\"); same = \"ip\"; direction = \"out\"; serial = "
        "\"reversed\";\n"
        "    once = (\"peer\", \"name\"); within = 5; program = 'q'; session = 's'; level = 'l'; until = 'u'; },\n"
        ");\n",
        &errors);
    cr_assert(preset);
    const struct preset_rule *rule = &preset->rules[1];
    cr_expect_eq(preset->head_count, 4);
    cr_expect_eq(preset->rules[0].role, PRESET_BEGIN);
    cr_expect_eq(preset->rules[0].lasts, 60);
    cr_expect_eq(preset->rules[0].key, FIELD_SESSION);
    cr_expect_eq(rule->source, PRESET_BY_SOURCE);
    cr_expect_eq(rule->role, PRESET_EVENT);
    cr_expect_gt(rule->words.count, 10);
    cr_expect_str_eq(rule->words.words[0].text, "gone");
    cr_expect_eq(rule->needs.count, 2);
    cr_expect_eq(rule->same.fields[0], FIELD_IP);
    cr_expect_eq(rule->direction, PRESET_OUT);
    cr_expect_eq(rule->serial, PRESET_REVERSED);
    cr_expect_eq(rule->once.fields[1], FIELD_NAME);
    preset_free(preset);
}

#define HEAD "product = \"p\"; heads = (\"syslog\");\n"

Test(preset, mistakes)
{
    expect_error("product = \"p\"; heads = (\"sislog\"); rules = ();", 1, "Did you mean \"syslog\"?");
    expect_error("produkt = \"p\"; heads = (\"syslog\"); rules = ();", 1, "Did you mean \"product\"?");
    expect_error("product = \"P x\"; heads = (\"syslog\"); rules = ();", 1, "is no name");
    expect_error(HEAD "rules = (\n{ name = \"a\"; event = \"authSorce\"; reason = \"tlsExpired\"; pattern = 'a'; });",
                 3, "Did you mean \"authSource\"?");
    expect_error(HEAD "rules = ({ name = \"a\"; event = \"dns\"; reason = \"tlsExpird\"; pattern = 'a'; });", 2,
                 "Did you mean \"tlsExpired\"?");
    expect_error(HEAD "rules = ({ name = \"a\"; event = \"dns\"; pattern = 'a'; });", 2, "neither a reason nor words");
    expect_error(HEAD "rules = ({ name = \"a\"; pattern = 'a'; });", 2, "neither an event nor a role");
    expect_error(HEAD
                 "rules = ({ name = \"a\"; role = \"add\"; event = \"dns\"; reason = \"dnsOther\"; pattern = 'a'; });",
                 2, "either an event or a role");
    expect_error(HEAD "rules = ({ name = \"a\"; role = \"ad\"; pattern = 'a'; });", 2,
                 "none of begin, add, end, ignore");
    expect_error(HEAD "rules = ({ name = \"a\"; role = \"add\"; pattern = 'a'; },\n{ name = \"a\"; role = \"end\"; "
                      "pattern = 'a'; });",
                 3, "another rule is called \"a\" too");
    expect_error(HEAD "rules = ({ name = \"a\"; role = \"add\"; });", 2, "\"pattern\" is missing");
    expect_error(HEAD "rules = ({ name = \"a\"; role = \"add\"; needs = (\"ipp\"); pattern = 'a'; });", 2,
                 "Did you mean \"ip\"?");
    expect_error(HEAD "rules = ({ name = \"a\"; role = \"add\"; words = \"handshke\"; pattern = 'a'; });", 2,
                 "Did you mean \"handshake\"?");
    expect_error(HEAD "rules = ({ name = \"a\"; role = \"add\"; until = 'x'; pattern = 'a'; });", 2,
                 "\"until\" belongs");
    expect_error(HEAD "rules = ({ name = \"a\"; role = \"add\"; pattern = 'a(b'; });", 2,
                 "missing closing parenthesis");
    expect_error(HEAD "rules = ({ name = \"a\"; role = \"add\"; pattern = '(?<usr>a)'; });", 2,
                 "Did you mean \"user\"?");
    expect_error(HEAD "rules = ({ name = \"a\"; role = \"add\"; within = 0; pattern = 'a'; });", 2, "out of range");
    expect_error(HEAD "rules = ({ name = \"a\"; role = \"add\"; pattern = 'a; });", 2, "has no end");
    expect_error("product = \"p\"; heads = ({ name = \"h\"; }); rules = ();", 1, "either a base and an inner pattern");
    expect_error(HEAD "rules = ({ name = \"a\" role = \"add\"; pattern = 'a'; }", 2, "syntax error");
}

Test(preset, missing_file_and_empty_folder)
{
    struct conf_errors errors = {0};
    cr_expect_null(rule_set_load("/nonexistent/preset.conf", "", &errors));
    cr_expect_eq(errors.count, 1);
    cr_expect(strstr(errors.errors[0].message, "No such file"));
    conf_errors_clear(&errors);
    char folder[] = "/tmp/test_preset.XXXXXX";
    cr_assert(mkdtemp(folder));
    cr_expect_null(rule_set_load(folder, "", &errors));
    cr_expect(strstr(errors.errors[0].message, "no preset"));
    conf_errors_clear(&errors);
    rmdir(folder);
}

Test(preset, one_head_of_many)
{
    struct conf_errors errors = {0};
    write_preset(HEAD "rules = ({ name = \"a\"; role = \"ignore\"; pattern = 'a'; });");
    struct rule_set *set = rule_set_load(path, "syslog-iso", &errors);
    cr_expect(set);
    rule_set_free(set);
    cr_expect_null(rule_set_load(path, "syslog-izo", &errors));
    cr_expect(strstr(errors.errors[0].message, "Did you mean \"syslog-iso\"?"), "%s", errors.errors[0].message);
    conf_errors_clear(&errors);
    unlink(path);
}

Test(preset, words)
{
    static const struct {
        const char *vocabulary, *text;
        enum reason reason;
    } rows[] = {
        {"tls", "certificate has expired", REASON_TLS_EXPIRED},
        {"tls", "Certificate is not yet valid", REASON_TLS_NOT_YET_VALID},
        {"tls", "self-signed certificate", REASON_TLS_SELF_SIGNED},
        {"tls", "self signed certificate in certificate chain", REASON_TLS_UNTRUSTED_ROOT},
        {"tls", "unable to get local issuer certificate", REASON_TLS_UNTRUSTED_ROOT},
        {"tls", "unable to verify the first certificate", REASON_TLS_INCOMPLETE_CHAIN},
        {"tls", "num=62:hostname mismatch", REASON_TLS_WRONG_PRINCIPAL},
        {"tls", "tlsv1 alert unknown ca", REASON_TLS_CLIENT_CERT_REJECTED_CA},
        {"tls", "sslv3 alert certificate expired", REASON_TLS_CLIENT_CERT_REJECTED},
        {"tls", "tlsv13 alert certificate required", REASON_TLS_CLIENT_CERT_REQUIRED},
        {"tls", "peer did not return a certificate", REASON_TLS_NO_CERTIFICATE},
        {"tls", "wrong version number", 0},
        {"handshake", "wrong version number", REASON_TLS_PLAINTEXT},
        {"connection", "Connection refused", REASON_TCP_REFUSED},
        {"connection", "No route to host", REASON_HOST_UNREACHABLE},
        {"connection", "Connection timed out", REASON_TCP_TIMEOUT},
        {"dns", "Host not found, try again", REASON_DNS_SERV_FAIL},
        {"dns", "Host not found", REASON_DNS_NX_DOMAIN},
        {"dns", "NXDomain in AAAA lookup", REASON_DNS_NX_DOMAIN},
        {"dns", "", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        enum reason reason =
            preset_word_find(preset_vocabulary(rows[i].vocabulary), rows[i].text, strlen(rows[i].text));
        cr_expect_eq(reason, rows[i].reason, "%s: %s, not %s", rows[i].text, reason_name(reason),
                     reason_name(rows[i].reason));
    }
    cr_expect_null(preset_vocabulary("tsl"));
}
