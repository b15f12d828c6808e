/*
 * The values of a line -> an event. Text is chosen by attackers: only what the server itself printed as an address is
 * one, domains must be legal names to be used as such, everything else becomes printable and is cut.
 */
#include "collect/rule_internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

static bool is_set(const struct rule_values *values, enum preset_field field)
{
    return values->of[field].text != NULL;
}

/* A value as a text; "" when there is none or it does not fit. */
static const char *text_of(const struct rule_values *values, enum preset_field field, char *out, size_t size)
{
    const struct rule_value *value = &values->of[field];
    out[0] = '\0';
    if (value->text && value->length < size && !memchr(value->text, '\0', value->length)) {
        memcpy(out, value->text, value->length);
        out[value->length] = '\0';
    }
    return out;
}

static uint32_t number_of(const struct rule_values *values, enum preset_field field, uint32_t initial)
{
    char text[16];
    text_of(values, field, text, sizeof text);
    if (!*text || text[strspn(text, "0123456789")] || strlen(text) > 9)
        return initial;
    return (uint32_t)strtoul(text, NULL, 10);
}

/* ::ffff:192.0.2.1 is 192.0.2.1 (RFC 4291, 2.5.5.2). */
static void fold(struct address *address)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (address->family != ADDRESS_IPV6 || memcmp(address->octets, mapped, sizeof mapped) != 0)
        return;
    memmove(address->octets, address->octets + 12, 4);
    memset(address->octets + 4, 0, 12);
    address->family = ADDRESS_IPV4;
}

bool rule_address(const struct rule_values *values, struct address *address)
{
    char text[64];
    *address = (struct address){0};
    if (!is_set(values, FIELD_IP))
        return true;
    text_of(values, FIELD_IP, text, sizeof text);
    size_t length = strlen(text);
    if (length > 2 && text[0] == '[' && text[length - 1] == ']') {
        memmove(text, text + 1, length - 2);
        text[length - 2] = '\0';
    }
    if (!address_parse(text, address))
        return false;
    fold(address);
    return true;
}

bool rule_inbound(const struct conf *conf, const struct rule_values *values)
{
    const struct rule_value *op = &values->of[FIELD_OP];
    if (op->text && op->length == 6 && memcmp(op->text, "accept", 6) == 0)
        return true;
    uint32_t port = number_of(values, FIELD_LOCAL_PORT, 0);
    for (size_t i = 0; port && conf && i < conf->edge.port_count; i++)
        if (conf->edge.ports[i] == port)
            return true;
    return false;
}

enum reason rule_reason(const struct preset_rule *rule, const struct rule_values *values)
{
    const struct rule_value *text = &values->of[rule->read];
    enum reason reason = text->text ? preset_word_find(&rule->words, text->text, text->length) : 0;
    if (!reason && rule->read == FIELD_CODE) {
        const struct reason_info *known;
        char code[32];
        if (*text_of(values, FIELD_CODE, code, sizeof code) && reason_search(code, &known, 1))
            reason = known->reason;
    }
    return reason ? reason : rule->reason;
}

/* ---- name=value pairs ---- */

/* One pair at `text`; the octets it takes with the blank behind it, 0 when it is none. */
static size_t pair_length(const char *text, size_t length, size_t *name, struct rule_value *value)
{
    size_t at = 0;
    while (at < length && (islower((unsigned char)text[at]) || text[at] == '_'))
        at++;
    *name = at;
    if (!at || at == length || text[at++] != '=')
        return 0;
    bool quoted = at < length && text[at] == '"';
    at += quoted;
    size_t start = at;
    while (at < length && text[at] != '"' && text[at] != ' ')
        at++;
    *value = (struct rule_value){.text = text + start, .length = at - start, .escaped = quoted};
    if (quoted && (at == length || text[at++] != '"'))
        return 0;
    if (at < length && text[at] != ' ')
        return 0;
    return at + (at < length);
}

void rule_pairs(struct rule_values *values)
{
    const struct rule_value pairs = values->of[FIELD_PAIRS];
    for (size_t at = 0; at < pairs.length;) {
        size_t name;
        struct rule_value value;
        size_t length = pair_length(pairs.text + at, pairs.length - at, &name, &value);
        if (!length)
            return;
        enum preset_field field = preset_field_find(pairs.text + at, name);
        /* what stands in the line itself, and the first of two, is what counts */
        if (field && field != FIELD_IP && field != FIELD_EVENT && (!is_set(values, field) || values->by_head[field])) {
            values->of[field] = value;
            values->by_head[field] = false;
        }
        at += length;
    }
}

/* ---- Into the event ---- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* "Rogue%20Root" -> "Rogue Root", where `value` is escaped; as much of it as there is room for. Returns its octets. */
static size_t unescape(const struct rule_value *value, char *out, size_t size)
{
    size_t length = 0;
    for (size_t i = 0; i < value->length && length < size; i++) {
        bool escape = value->escaped && value->text[i] == '%' && i + 2 < value->length &&
                      hex_digit(value->text[i + 1]) >= 0 && hex_digit(value->text[i + 2]) >= 0;
        out[length++] =
            escape ? (char)(hex_digit(value->text[i + 1]) << 4 | hex_digit(value->text[i + 2])) : value->text[i];
        i += escape ? 2 : 0;
    }
    return length;
}

/* For people. */
static void put_text(char *out, size_t size, const struct rule_value *value)
{
    char plain[VALUE_MAX];
    if (!value->text)
        out[0] = '\0';
    else if (value->escaped)
        text_printable(out, size, plain, unescape(value, plain, sizeof plain));
    else
        text_printable(out, size, value->text, value->length);
}

/* A legal name in its one form; false when there is none. */
static bool put_name(char out[OBSERVATION_NAME], const struct rule_values *values, enum preset_field field)
{
    char text[OBSERVATION_NAME];
    return is_set(values, field) && conf_hostname(text_of(values, field, text, sizeof text), out);
}

static bool is_own_domain(const struct conf *conf, const char *domain)
{
    for (size_t i = 0; conf && i < conf->edge.domain_count; i++)
        if (strcmp(conf->edge.domains[i], domain) == 0)
            return true;
    return false;
}

static void put_domains(struct observation_event *event, const struct conf *conf, const struct rule_values *values)
{
    static const enum preset_field domains[] = {FIELD_PARTNER, FIELD_PEER, FIELD_FROM_DOMAIN, FIELD_NAME};
    static const enum preset_field targets[] = {FIELD_TO_DOMAIN, FIELD_NAME, FIELD_DOMAIN};
    bool found = false;
    for (size_t i = 0; !found && i < sizeof domains / sizeof domains[0]; i++)
        found = put_name(event->domain, values, domains[i]);
    if (found && is_own_domain(conf, event->domain))
        event->domain[0] = '\0';
    found = false;
    for (size_t i = 0; !found && i < sizeof targets / sizeof targets[0]; i++)
        found = put_name(event->target, values, targets[i]);
    const struct rule_value *to = &values->of[FIELD_TO];
    const char *at = !found && to->text ? memrchr(to->text, '@', to->length) : NULL;
    if (at) {
        struct rule_values domain = {0};
        domain.of[FIELD_TO_DOMAIN] =
            (struct rule_value){.text = at + 1, .length = to->length - (size_t)(at + 1 - to->text)};
        put_name(event->target, &domain, FIELD_TO_DOMAIN);
    }
}

/* Decimal digits -> hexadecimal, most significant octet first, in whole octets. */
static void serial_from_decimal(const struct rule_value *value, char *out, size_t size)
{
    uint8_t octets[24] = {0};
    for (size_t i = 0; i < value->length; i++) {
        unsigned carry = (unsigned)(value->text[i] - '0');
        if (carry > 9)
            return;
        for (size_t o = sizeof octets; o-- > 0;) {
            carry += octets[o] * 10u;
            octets[o] = (uint8_t)carry;
            carry >>= 8;
        }
        if (carry)
            return;
    }
    size_t first = 0;
    while (first + 1 < sizeof octets && !octets[first])
        first++;
    text_hex(out, size, octets + first, sizeof octets - first);
}

static void put_serial(struct observation_event *event, const struct preset_rule *rule,
                       const struct rule_values *values)
{
    const struct rule_value *value = &values->of[FIELD_SERIAL];
    char digits[sizeof event->serial];
    size_t count = 0;
    if (!value->text)
        return;
    if (rule->serial == PRESET_DECIMAL) {
        serial_from_decimal(value, event->serial, sizeof event->serial);
        return;
    }
    for (size_t i = 0; i < value->length; i++) {
        if (value->text[i] == ':')
            continue;
        if (!isxdigit((unsigned char)value->text[i]) || count + 2 > sizeof digits)
            return;
        digits[count++] = (char)tolower((unsigned char)value->text[i]);
    }
    digits[count] = '\0';
    if (rule->serial == PRESET_REVERSED && count % 2 == 0)
        for (size_t i = 0; i < count / 2; i += 2) {
            char octet[2] = {digits[i], digits[i + 1]};
            memcpy(&digits[i], &digits[count - 2 - i], 2);
            memcpy(&digits[count - 2 - i], octet, 2);
        }
    text_copy(event->serial, sizeof event->serial, digits);
}

/* Which event; false: none. */
static bool put_event(struct observation_event *event, const struct preset_rule *rule, const struct conf *conf,
                      const struct rule_values *values)
{
    event->event = rule->event;
    if (rule->source == PRESET_BY_GROUP)
        event->event = (enum event)number_of(values, FIELD_EVENT, 0);
    if (rule->source == PRESET_BY_SOURCE || rule->source == PRESET_BY_SOURCE_KNOWN) {
        event->by_source = true;
        event->known_only = rule->source == PRESET_BY_SOURCE_KNOWN;
        if (conf && conf_is_own(conf, &event->address))
            event->event = EVENT_DOMAIN_LOCAL;
        else if (conf && conf_partner_at(conf, NULL, &event->address) >= 0)
            event->event = EVENT_DOMAIN_PARTNER;
        else
            event->event = event->known_only ? EVENT_NONE : EVENT_AUTH_SOURCE;
        return true;
    }
    return event->event >= EVENT_TLS_OUTGOING && event->event <= EVENT_DNS;
}

/* The partner whose address it is, where the line does not tell one. */
static void put_partner(struct rule_hit *hit, const struct conf *conf, const struct rule_values *values)
{
    const size_t most = sizeof hit->fields / sizeof hit->fields[0];
    if (!conf || !hit->event.by_source || is_set(values, FIELD_PARTNER) || hit->field_count == most)
        return;
    long partner = conf_partner_at(conf, NULL, &hit->event.address);
    if (partner < 0 || hit->event.event != EVENT_DOMAIN_PARTNER)
        return;
    hit->fields[hit->field_count].name = preset_field_name(FIELD_PARTNER);
    text_copy(hit->fields[hit->field_count++].value, sizeof hit->fields[0].value, conf->partners[partner].domain);
}

static void put_fields(struct rule_hit *hit, const struct rule_values *values)
{
    const size_t most = sizeof hit->fields / sizeof hit->fields[0];
    hit->field_count = 0;
    for (int i = FIELD_NONE + 1; i < FIELD_END && hit->field_count < most; i++) {
        const struct rule_value *value = &values->of[i];
        if (!value->text || values->by_head[i] || i == FIELD_PAIRS || i == FIELD_EVENT)
            continue;
        char *out = hit->fields[hit->field_count].value;
        const size_t size = sizeof hit->fields[0].value;
        hit->fields[hit->field_count++].name = preset_field_name((enum preset_field)i);
        text_printable(out, size, value->text, value->length);
        char name[OBSERVATION_NAME];
        if ((i == FIELD_PEER || i == FIELD_PARTNER || i == FIELD_TO_DOMAIN || i == FIELD_FROM_DOMAIN ||
             i == FIELD_NAME || i == FIELD_DOMAIN) &&
            put_name(name, values, (enum preset_field)i))
            text_copy(out, size, name);
        if (i == FIELD_IP)
            address_text(&hit->event.address, out);
    }
}

static bool has_letter(const struct rule_value *value)
{
    for (size_t i = 0; value->text && i < value->length; i++)
        if (isalpha((unsigned char)value->text[i]))
            return true;
    return false;
}

/*
 * What the other members do not say: the product's own words for the reason, from whichever line of the record has them;
 * where the rule reads none, the message, unless the rule reads who or whose certificate it was: then that says it all.
 */
static void put_detail(struct observation_event *event, const struct rule_values *values,
                       const struct rule_value *message)
{
    static const enum preset_field tellers[] = {FIELD_USER,    FIELD_SUBJECT, FIELD_ISSUER,    FIELD_SERIAL,
                                                FIELD_PARTNER, FIELD_TO,      FIELD_TO_DOMAIN, FIELD_FROM_DOMAIN};
    const struct rule_value *reason = &values->of[FIELD_REASON];
    bool told = has_letter(reason);
    if (told)
        put_text(event->detail, sizeof event->detail, reason);
    for (size_t i = 0; !told && i < sizeof tellers / sizeof tellers[0]; i++)
        told = is_set(values, tellers[i]) && !values->by_head[tellers[i]] && values->of[tellers[i]].length;
    if (!told)
        put_text(event->detail, sizeof event->detail, message);
}

bool rule_event(const struct rule *rule, const struct conf *conf, const struct rule_values *values,
                const struct rule_value *message, struct rule_hit *hit)
{
    struct observation_event *event = &hit->event;
    memset(event, 0, sizeof *event);
    if (!rule_address(values, &event->address))
        return false;
    event->reason = rule_reason(rule->preset_rule, values);
    if (!event->reason || !put_event(event, rule->preset_rule, conf, values))
        return false;
    event->count = number_of(values, FIELD_COUNT, 1);
    if (!event->count)
        event->count = 1;
    uint32_t port = number_of(values, FIELD_PORT, 0);
    event->port = port <= UINT16_MAX ? (uint16_t)port : 0;
    put_domains(event, conf, values);
    put_text(event->user, sizeof event->user, &values->of[FIELD_USER]);
    put_text(event->subject, sizeof event->subject, &values->of[FIELD_SUBJECT]);
    put_text(event->issuer, sizeof event->issuer, &values->of[FIELD_ISSUER]);
    put_serial(event, rule->preset_rule, values);
    text_copy(event->rule, sizeof event->rule, rule->name);
    put_detail(event, values, message);
    put_fields(hit, values);
    put_partner(hit, conf, values);
    return true;
}
