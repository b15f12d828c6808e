/*
 * One row a member: its name, the JSON types that it may have, and how its value is read. A member without a row is an
 * error, so that a typing mistake of a script does not pass as an event with less in it.
 */
#include "collect/inbox.h"

#include <ctype.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

#define EVENT_LAST EVENT_DNS /* the events behind it are the monitor's own */

struct parsing {
    const struct conf *conf;
    struct observation *observation;
    struct inbox_error *error;
    const char *member; /* that is read */
};

static bool wrong(struct parsing *parsing, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool wrong(struct parsing *parsing, const char *format, ...)
{
    char text[2 * sizeof parsing->error->text];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    text_printable(parsing->error->field, sizeof parsing->error->field, parsing->member, strlen(parsing->member));
    text_printable(parsing->error->text, sizeof parsing->error->text, text, strlen(text));
    return false;
}

/* `there is no <what> "word". Did you mean "..."?` */
static bool unknown(struct parsing *parsing, const char *what, const char *word, const char *const *list, size_t count)
{
    const char *near = text_nearest(word, list, count);
    return wrong(parsing, "there is no %s \"%.64s\"%s%s%s", what, word, near ? ". Did you mean \"" : "",
                 near ? near : "", near ? "\"?" : "");
}

static bool read_event(struct parsing *parsing, const json_t *value)
{
    struct observation_event *event = &parsing->observation->event;
    const char *names[EVENT_LAST];
    json_int_t number = json_is_integer(value) ? json_integer_value(value) : event_find(json_string_value(value));
    if (number > EVENT_NONE && number <= EVENT_LAST) {
        event->event = (enum event)number;
        return true;
    }
    if (number > EVENT_LAST && number < EVENT_END)
        return wrong(parsing, "%s is an event of the monitor itself; 1 to %d can be told", event_name((int)number),
                     EVENT_LAST);
    if (json_is_integer(value))
        return wrong(parsing, "there is no event %" JSON_INTEGER_FORMAT "; 1 to %d can be told", number, EVENT_LAST);
    for (int i = 0; i < EVENT_LAST; i++)
        names[i] = event_name((enum event)(i + 1));
    return unknown(parsing, "event", json_string_value(value), names, EVENT_LAST);
}

static bool unknown_reason(struct parsing *parsing, const char *name)
{
    const char **names = calloc(reason_count(), sizeof *names);
    if (!names)
        abort();
    for (size_t i = 0; i < reason_count(); i++)
        names[i] = reason_at(i)->name;
    unknown(parsing, "reason", name, names, reason_count());
    free(names);
    return false;
}

static bool read_reason(struct parsing *parsing, const json_t *value)
{
    json_int_t number = json_is_integer(value) ? json_integer_value(value) : reason_find(json_string_value(value));
    if (json_is_string(value) && number == 0 && strcasecmp(json_string_value(value), reason_name(REASON_NONE)) != 0)
        return unknown_reason(parsing, json_string_value(value));
    if (number < 0 || number > 999 || reason_info((enum reason)number)->reason != (enum reason)number)
        return wrong(parsing, "there is no reason %" JSON_INTEGER_FORMAT "; \"fedwarden explain --list\" shows all",
                     number);
    enum reason reason = (enum reason)number;
    if (reason == REASON_NONE || reason_info(reason)->event == EVENT_MONITOR_SELF)
        return wrong(parsing, "%s is no reason of a failure at the edge", reason_name(reason));
    parsing->observation->event.reason = reason;
    return true;
}

static bool read_partner(struct parsing *parsing, const json_t *value)
{
    const struct conf *conf = parsing->conf;
    const char *name = json_string_value(value);
    long position = conf_partner_find(conf, name);
    if (position >= 0) {
        parsing->observation->partner = (uint32_t)position;
        return true;
    }
    const char **names = calloc(conf->partner_count ? conf->partner_count : 1, sizeof *names);
    if (!names)
        abort();
    for (size_t i = 0; i < conf->partner_count; i++)
        names[i] = conf->partners[i].name;
    unknown(parsing, "partner", name, names, conf->partner_count);
    free(names);
    return false;
}

static bool read_domain(struct parsing *parsing, const json_t *value)
{
    if (!conf_hostname(json_string_value(value), parsing->observation->event.domain))
        return wrong(parsing, "\"%.100s\" is no legal host or domain name", json_string_value(value));
    return true;
}

static bool read_address(struct parsing *parsing, const json_t *value)
{
    if (!address_parse(json_string_value(value), &parsing->observation->event.address))
        return wrong(parsing, "\"%.64s\" is neither an IPv4 nor an IPv6 address", json_string_value(value));
    return true;
}

static bool in_range(struct parsing *parsing, const json_t *value, json_int_t max)
{
    json_int_t number = json_integer_value(value);
    return (number >= 1 && number <= max) ||
           wrong(parsing, "%" JSON_INTEGER_FORMAT " is out of range: 1 to %" JSON_INTEGER_FORMAT " is possible", number,
                 max);
}

static bool read_port(struct parsing *parsing, const json_t *value)
{
    if (!in_range(parsing, value, UINT16_MAX))
        return false;
    parsing->observation->event.port = (uint16_t)json_integer_value(value);
    return true;
}

static bool read_count(struct parsing *parsing, const json_t *value)
{
    if (!in_range(parsing, value, INBOX_COUNT_MAX))
        return false;
    parsing->observation->event.count = (uint32_t)json_integer_value(value);
    return true;
}

static bool read_serial(struct parsing *parsing, const json_t *value)
{
    struct observation_event *event = &parsing->observation->event;
    size_t length = 0;
    for (const char *from = json_string_value(value); *from; from++) {
        if (*from == ':')
            continue;
        if (!isxdigit((unsigned char)*from))
            return wrong(parsing, "must be hexadecimal digits, the most significant first");
        if (length + 1 >= sizeof event->serial)
            return wrong(parsing, "has more than %zu digits: no serial number does (RFC 5280)",
                         sizeof event->serial - 1);
        event->serial[length++] = (char)tolower((unsigned char)*from);
    }
    event->serial[length] = '\0';
    return true;
}

static bool keep(char *out, size_t size, const json_t *value)
{
    text_printable(out, size, json_string_value(value), json_string_length(value));
    return true;
}

static bool read_target(struct parsing *parsing, const json_t *value)
{
    return keep(parsing->observation->event.target, sizeof parsing->observation->event.target, value);
}

static bool read_user(struct parsing *parsing, const json_t *value)
{
    return keep(parsing->observation->event.user, sizeof parsing->observation->event.user, value);
}

static bool read_subject(struct parsing *parsing, const json_t *value)
{
    return keep(parsing->observation->event.subject, sizeof parsing->observation->event.subject, value);
}

static bool read_issuer(struct parsing *parsing, const json_t *value)
{
    return keep(parsing->observation->event.issuer, sizeof parsing->observation->event.issuer, value);
}

static bool read_detail(struct parsing *parsing, const json_t *value)
{
    return keep(parsing->observation->event.detail, sizeof parsing->observation->event.detail, value);
}

static const struct member {
    const char *name;
    bool text, number; /* which of them it may be */
    bool (*read)(struct parsing *parsing, const json_t *value);
} members[] = {
    {"event", true, true, read_event},      {"reason", true, true, read_reason},
    {"partner", true, false, read_partner}, {"domain", true, false, read_domain},
    {"address", true, false, read_address}, {"port", false, true, read_port},
    {"target", true, false, read_target},   {"user", true, false, read_user},
    {"subject", true, false, read_subject}, {"issuer", true, false, read_issuer},
    {"serial", true, false, read_serial},   {"count", false, true, read_count},
    {"detail", true, false, read_detail},
};
#define MEMBERS (sizeof members / sizeof members[0])

static bool read_member(struct parsing *parsing, const struct member *member, const json_t *value)
{
    parsing->member = member->name;
    if (member->text && json_is_string(value))
        return member->read(parsing, value);
    if (member->number && json_is_integer(value))
        return member->read(parsing, value);
    return wrong(parsing, "must be %s",
                 member->text && member->number ? "a name in quotes or a number"
                 : member->text                 ? "a text in quotes"
                                                : "a whole number, without quotes");
}

static bool known_members(struct parsing *parsing, json_t *object)
{
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        const char *names[MEMBERS];
        size_t i = 0;
        while (i < MEMBERS && strcmp(members[i].name, name) != 0)
            i++;
        if (i < MEMBERS)
            continue;
        for (i = 0; i < MEMBERS; i++)
            names[i] = members[i].name;
        parsing->member = name;
        return unknown(parsing, "member", name, names, MEMBERS);
    }
    return true;
}

static enum reason usual_reason(enum event event)
{
    switch (event) {
    case EVENT_AUTH_SOURCE:
        return REASON_AUTH_BAD_CREDENTIALS;
    case EVENT_DOMAIN_PARTNER:
        return REASON_DOM_USER_UNKNOWN;
    case EVENT_DOMAIN_LOCAL:
        return REASON_DOM_OUTBOUND_UNSUPPORTED;
    case EVENT_CONNECTION:
        return REASON_CONNECTION_OTHER;
    case EVENT_DNS:
        return REASON_DNS_OTHER;
    default:
        return REASON_TLS_OTHER;
    }
}

static bool complete(struct parsing *parsing)
{
    struct observation_event *event = &parsing->observation->event;
    parsing->member = "event";
    if (event->event == EVENT_NONE)
        return wrong(parsing, "is missing: the name or number of an event, such as \"authSource\"");
    if (parsing->observation->partner == OBSERVATION_NO_PARTNER && !*event->domain && !*event->target &&
        event->address.family == ADDRESS_UNKNOWN)
        return wrong(parsing, "%s: about whom? Give one of partner, domain, address and target",
                     event_name(event->event));
    if (event->reason == REASON_NONE)
        event->reason = usual_reason(event->event);
    return true;
}

static bool read_object(struct parsing *parsing, json_t *object)
{
    if (!json_is_object(object))
        return wrong(parsing, "must be one JSON object: {\"event\":\"authSource\",\"address\":\"192.0.2.1\"}");
    if (!known_members(parsing, object))
        return false;
    for (size_t i = 0; i < MEMBERS; i++) {
        const json_t *value = json_object_get(object, members[i].name);
        if (value && !read_member(parsing, &members[i], value))
            return false;
    }
    return complete(parsing);
}

bool inbox_parse(const char *data, size_t length, const struct conf *conf, struct observation *observation,
                 struct inbox_error *error)
{
    json_error_t problem;
    struct parsing parsing = {conf, observation, error, ""};
    *error = (struct inbox_error){0};
    memset(observation, 0, sizeof *observation);
    observation->kind = OBSERVATION_EVENT;
    observation->partner = OBSERVATION_NO_PARTNER;
    observation->event.count = 1;
    observation->event.reason = REASON_NONE;
    text_copy(observation->event.rule, sizeof observation->event.rule, "inbox");
    if (length > INBOX_MESSAGE_MAX)
        return wrong(&parsing, "is longer than %d octets", INBOX_MESSAGE_MAX);
    json_t *object = json_loadb(data, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &problem);
    if (!object)
        return wrong(&parsing, "is no JSON: %s (octet %d)", problem.text, problem.position);
    bool good = read_object(&parsing, object);
    json_decref(object);
    return good;
}

size_t inbox_answer(const struct inbox_error *error, char *out)
{
    json_t *answer = error ? json_pack("{s:b, s:s, s:s}", "ok", 0, "field", error->field, "error", error->text)
                           : json_pack("{s:b}", "ok", 1);
    if (!answer)
        abort();
    size_t length = json_dumpb(answer, out, INBOX_ANSWER_MAX - 1, JSON_COMPACT);
    if (length >= INBOX_ANSWER_MAX)
        abort(); /* 31 and 255 printable octets: at most doubled by escapes */
    out[length] = '\0';
    json_decref(answer);
    return length;
}
