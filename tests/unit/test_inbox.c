/* What the parser of the inbox takes and refuses; its socket is tested by tests/thread and tests/system. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collect/inbox.h"

static struct conf_partner partners[] = {
    {.name = "contoso", .domain = "contoso.example", .enabled = true},
    {.name = "fabrikam", .domain = "fabrikam.example"},
};
static const struct conf conf = {.partner_count = 2, .partners = partners};

static struct observation observation;
static struct inbox_error error;

static bool parse(const char *text)
{
    return inbox_parse(text, strlen(text), &conf, &observation, &error);
}

#define TAKES(message)                                                                                                 \
    do {                                                                                                               \
        cr_assert(parse(message), "%s: %s: %s", message, error.field, error.text);                                     \
    } while (0)

Test(inbox, every_member)
{
    TAKES("{\"event\":\"invalidCert\",\"reason\":\"tlsExpired\",\"partner\":\"fabrikam\",\"domain\":\"Edge.Fabrikam."
          "example.\","
          "\"address\":\"2001:db8::5\",\"port\":5061,\"user\":\"bob\",\"target\":\"alpha.example\",\"subject\":\"CN="
          "edge\","
          "\"issuer\":\"CN=CA\",\"serial\":\"0A:1b:2C\",\"count\":7,\"detail\":\"seen twice\"}");
    const struct observation_event *event = &observation.event;
    struct address address;
    address_parse("2001:db8::5", &address);
    cr_expect_eq(observation.kind, OBSERVATION_EVENT);
    cr_expect_eq(observation.partner, 1);
    cr_expect_eq(event->event, EVENT_INVALID_CERT);
    cr_expect_eq(event->reason, REASON_TLS_EXPIRED);
    cr_expect_not(event->by_source);
    cr_expect_str_eq(event->domain, "edge.fabrikam.example");
    cr_expect(address_equal(&event->address, &address));
    cr_expect_eq(event->port, 5061);
    cr_expect_str_eq(event->user, "bob");
    cr_expect_str_eq(event->target, "alpha.example");
    cr_expect_str_eq(event->subject, "CN=edge");
    cr_expect_str_eq(event->issuer, "CN=CA");
    cr_expect_str_eq(event->serial, "0a1b2c");
    cr_expect_eq(event->count, 7);
    cr_expect_str_eq(event->detail, "seen twice");
    cr_expect_str_eq(event->rule, "inbox");
}

Test(inbox, numbers_and_defaults)
{
    static const struct {
        const char *event;
        enum reason reason;
    } rows[] = {{"1", REASON_TLS_OTHER},        {"2", REASON_AUTH_BAD_CREDENTIALS},
                {"3", REASON_DOM_USER_UNKNOWN}, {"4", REASON_DOM_OUTBOUND_UNSUPPORTED},
                {"5", REASON_TLS_OTHER},        {"6", REASON_CONNECTION_OTHER},
                {"7", REASON_DNS_OTHER},        {"\"AUTHSOURCE\"", REASON_AUTH_BAD_CREDENTIALS}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[128];
        snprintf(text, sizeof text, "{\"event\":%s,\"address\":\"192.0.2.1\"}", rows[i].event);
        TAKES(text);
        cr_expect_eq(observation.event.reason, rows[i].reason, "%s", text);
        cr_expect_eq(observation.event.count, 1);
        cr_expect_eq(observation.partner, OBSERVATION_NO_PARTNER);
    }
    TAKES("{\"event\":5,\"reason\":304,\"address\":\"192.0.2.1\",\"count\":1000000,\"port\":65535}");
    cr_expect_eq(observation.event.reason, REASON_TLS_EXPIRED);
    cr_expect_eq(observation.event.count, 1000000);
    cr_expect_eq(observation.event.port, 65535);
    TAKES("{\"event\":3,\"target\":\"x\"}");
    TAKES("{\"event\":3,\"domain\":\"bücher.example\"}");
    cr_expect_str_eq(observation.event.domain, "xn--bcher-kva.example");
}

Test(inbox, hostile_text_is_cut_and_printable)
{
    char text[4096], user[2000];
    memset(user, 'u', sizeof user);
    user[sizeof user - 1] = '\0';
    snprintf(text, sizeof text,
             "{\"event\":2,\"address\":\"192.0.2.1\",\"user\":\"%s\",\"detail\":\"a\\nb\\u202ec\\u001b[2J\"}", user);
    TAKES(text);
    cr_expect_eq(strlen(observation.event.user), sizeof observation.event.user - 1);
    cr_expect_str_eq(observation.event.detail, "a\\x0ab\\xe2\\x80\\xaec\\x1b[2J");
}

Test(inbox, names_the_member)
{
    static const struct {
        const char *text, *field, *error;
    } rows[] = {
        {"", "", "is no JSON"},
        {"{", "", "is no JSON"},
        {"[]", "", "must be one JSON object: {\"event\":\"authSource\",\"address\":\"192.0.2.1\"}"},
        {"\"event\"", "", "must be one JSON object"},
        {"{}{}", "", "is no JSON: end of file expected"},
        {"{\"event\":2,\"event\":3}", "", "is no JSON: duplicate object key"},
        {"{\"event\":2,\"user\":\"a\\u0000b\"}", "", "is no JSON: \\u0000 is not allowed"},
        {"{\"event\":2,\"user\":\"\xff\"}", "", "is no JSON: unable to decode byte 0xff"},
        {"{}", "event", "is missing: the name or number of an event, such as \"authSource\""},
        {"{\"event\":2}", "event", "authSource: about whom? Give one of partner, domain, address and target"},
        {"{\"event\":2,\"user\":\"bob\"}", "event", "authSource: about whom?"},
        {"{\"event\":\"authSourc\"}", "event", "there is no event \"authSourc\". Did you mean \"authSource\"?"},
        {"{\"event\":\"zzz\"}", "event", "there is no event \"zzz\""},
        {"{\"event\":0}", "event", "there is no event 0; 1 to 7 can be told"},
        {"{\"event\":-1}", "event", "there is no event -1; 1 to 7 can be told"},
        {"{\"event\":4294967298}", "event", "there is no event 4294967298; 1 to 7 can be told"},
        {"{\"event\":99999999999999999999}", "", "is no JSON: too big integer"},
        {"{\"event\":10}", "event", "monitorSelf is an event of the monitor itself; 1 to 7 can be told"},
        {"{\"event\":\"certExpiry\"}", "event", "certExpiry is an event of the monitor itself; 1 to 7 can be told"},
        {"{\"event\":2.0}", "event", "must be a name in quotes or a number"},
        {"{\"event\":null}", "event", "must be a name in quotes or a number"},
        {"{\"event\":2,\"reson\":401}", "reson", "there is no member \"reson\". Did you mean \"reason\"?"},
        {"{\"event\":2,\"\\n\":1}", "\\x0a", "there is no member \"\\x0a\""},
        {"{\"event\":2,\"reason\":\"tlsExpird\"}", "reason",
         "there is no reason \"tlsExpird\". Did you mean \"tlsExpired\"?"},
        {"{\"event\":2,\"reason\":\"none\"}", "reason", "none is no reason of a failure at the edge"},
        {"{\"event\":2,\"reason\":\"\"}", "reason", "there is no reason \"\""},
        {"{\"event\":2,\"reason\":0}", "reason", "there is no reason 0;"},
        {"{\"event\":2,\"reason\":907}", "reason", "monMasterLost is no reason of a failure at the edge"},
        {"{\"event\":2,\"reason\":398}", "reason", "there is no reason 398; \"fedwarden explain --list\" shows all"},
        {"{\"event\":2,\"reason\":-1}", "reason", "there is no reason -1;"},
        {"{\"event\":2,\"reason\":4294967600}", "reason", "there is no reason 4294967600;"},
        {"{\"event\":2,\"partner\":\"contosso\"}", "partner",
         "there is no partner \"contosso\". Did you mean \"contoso\"?"},
        {"{\"event\":2,\"partner\":1}", "partner", "must be a text in quotes"},
        {"{\"event\":2,\"domain\":\"a b\"}", "domain", "\"a b\" is no legal host or domain name"},
        {"{\"event\":2,\"domain\":\"\"}", "domain", "\"\" is no legal host or domain name"},
        {"{\"event\":2,\"address\":\"192.0.2.256\"}", "address",
         "\"192.0.2.256\" is neither an IPv4 nor an IPv6 address"},
        {"{\"event\":2,\"address\":\"\"}", "address", "\"\" is neither"},
        {"{\"event\":2,\"address\":\"192.0.2.1\",\"port\":0}", "port", "0 is out of range: 1 to 65535 is possible"},
        {"{\"event\":2,\"address\":\"192.0.2.1\",\"port\":65536}", "port", "65536 is out of range"},
        {"{\"event\":2,\"address\":\"192.0.2.1\",\"port\":\"5061\"}", "port", "must be a whole number, without quotes"},
        {"{\"event\":2,\"address\":\"192.0.2.1\",\"count\":0}", "count", "0 is out of range: 1 to 1000000 is possible"},
        {"{\"event\":2,\"address\":\"192.0.2.1\",\"count\":-5}", "count", "-5 is out of range"},
        {"{\"event\":2,\"address\":\"192.0.2.1\",\"count\":1000001}", "count", "1000001 is out of range"},
        {"{\"event\":2,\"address\":\"192.0.2.1\",\"count\":4294967297}", "count", "4294967297 is out of range"},
        {"{\"event\":2,\"address\":\"192.0.2.1\",\"count\":1.5}", "count", "must be a whole number, without quotes"},
        {"{\"event\":2,\"address\":\"192.0.2.1\",\"count\":true}", "count", "must be a whole number, without quotes"},
        {"{\"event\":2,\"address\":\"192.0.2.1\",\"user\":{}}", "user", "must be a text in quotes"},
        {"{\"event\":5,\"address\":\"192.0.2.1\",\"serial\":\"0x1g\"}", "serial", "must be hexadecimal digits"},
        {"{\"event\":5,\"address\":\"192.0.2.1\",\"serial\":\"000000000011111111112222222222333333333344444444\"}",
         "serial", "has more than 47 digits"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cr_expect_not(parse(rows[i].text), "%s", rows[i].text);
        cr_expect_str_eq(error.field, rows[i].field, "%s: %s", rows[i].text, error.field);
        cr_expect(strncmp(error.text, rows[i].error, strlen(rows[i].error)) == 0, "%s: %s", rows[i].text, error.text);
    }
}

Test(inbox, length_has_its_limit)
{
    static char text[INBOX_MESSAGE_MAX + 2];
    const char *begin = "{\"event\":2,\"address\":\"192.0.2.1\",\"detail\":\"";
    memset(text, 'd', sizeof text);
    memcpy(text, begin, strlen(begin));
    memcpy(text + INBOX_MESSAGE_MAX - 2, "\"}", 2);
    cr_expect(inbox_parse(text, INBOX_MESSAGE_MAX, &conf, &observation, &error), "%s", error.text);
    memcpy(text + INBOX_MESSAGE_MAX - 2, "d\"}", 3);
    cr_expect_not(inbox_parse(text, INBOX_MESSAGE_MAX + 1, &conf, &observation, &error));
    cr_expect_str_eq(error.text, "is longer than 16384 octets");
    memset(text, '[', INBOX_MESSAGE_MAX);
    cr_expect_not(inbox_parse(text, INBOX_MESSAGE_MAX, &conf, &observation, &error));
    cr_expect_not(inbox_parse("\0\0", 2, &conf, &observation, &error));
}

Test(inbox, answers)
{
    char out[INBOX_ANSWER_MAX];
    cr_expect_eq(inbox_answer(NULL, out), 11);
    cr_expect_str_eq(out, "{\"ok\":true}");
    struct inbox_error some = {"reason", "there is no reason \"x\""};
    cr_expect_eq(inbox_answer(&some, out), strlen(out));
    cr_expect_str_eq(out, "{\"ok\":false,\"field\":\"reason\",\"error\":\"there is no reason \\\"x\\\"\"}");
    memset(some.field, '"', sizeof some.field - 1);
    memset(some.text, '\\', sizeof some.text - 1);
    cr_expect_eq(inbox_answer(&some, out), strlen(out));
    cr_expect_eq(out[strlen(out) - 1], '}');
}
