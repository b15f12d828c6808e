/*
 * The settings of a partner, and what follows from them together. What is probed is one of
 *
 *   a fixed host or address    host, address and port as configured; no service look-up
 *   a record set               service: SRV, for SMTP the MX of a domain; ports come from SRV, for MX it is 25
 *   the domain itself          HTTPS, IMAP, POP3, LDAP
 */
#include "base/conf_parts.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

static const struct conf_word protocol_words[] = {
    {"sip", PROTOCOL_SIP},     {"xmpp", PROTOCOL_XMPP}, {"smtp", PROTOCOL_SMTP},
    {"https", PROTOCOL_HTTPS}, {"tls", PROTOCOL_TLS},   {"imap", PROTOCOL_IMAP},
    {"pop3", PROTOCOL_POP3},   {"ldap", PROTOCOL_LDAP}, {"xmpp-client", PROTOCOL_XMPP_CLIENT},
    {NULL, 0},
};

static const struct conf_word family_words[] = {
    {"auto", FAMILIES_AUTO}, {"ipv4", FAMILIES_IPV4}, {"ipv6", FAMILIES_IPV6}, {"both", FAMILIES_BOTH}, {NULL, 0},
};

#define MEMBER(name) offsetof(struct conf_partner, name), sizeof(((struct conf_partner *)0)->name)
#define NAMES_MAX    1000 /* octets of a name in Unicode, before it is encoded */
#define NETWORKS_MAX 256

const struct conf_row conf_partner_rows[] = {
    {"name", conf_read_name, MEMBER(name), 1, CONF_NAME_MAX, 0, "", NULL, true},
    {"domain", conf_read_hostname, MEMBER(domain), 1, NAMES_MAX, 0, "", NULL, true},
    {"index", conf_read_number, MEMBER(index), 0, INT32_MAX, 0, NULL, NULL, false},
    {"enabled", conf_read_switch, MEMBER(enabled), 0, 1, 1, NULL, NULL, false},
    {"service", conf_read_service, MEMBER(service), 0, NAMES_MAX, 0, "", NULL, false},
    {"host", conf_read_hostname, MEMBER(host), 0, NAMES_MAX, 0, "", NULL, false},
    {"address", conf_read_address, MEMBER(address), 0, 64, 0, NULL, NULL, false},
    {"port", conf_read_number, MEMBER(port), 1, 65535, 0, NULL, NULL, false},
    {"verify_name", conf_read_identity, MEMBER(verify_name), 0, NAMES_MAX, 0, "", NULL, false},
    {"sni", conf_read_hostname, MEMBER(sni), 0, NAMES_MAX, 0, "", NULL, false},
    {"expected", conf_read_expected, MEMBER(expected), 0, CONF_EXPECTED_MAX, 0, NULL, NULL, false},
    {"networks", conf_read_networks, MEMBER(networks), 0, NETWORKS_MAX, 0, NULL, NULL, false},
    {"views", conf_read_views, MEMBER(views), 0, CONF_PARTNER_RESOLVERS, 0, NULL, NULL, false},
    {"thresholds", conf_read_thresholds, MEMBER(thresholds), 0, 0, 0, NULL, NULL, false},
    /* from here on: in `defaults` as well */
    {"protocol", conf_read_word, MEMBER(protocol), 1, 64, PROTOCOL_SIP, NULL, protocol_words, false},
    {"interval", conf_read_number, MEMBER(interval), 1, 7 * 86400, 300, NULL, NULL, false},
    {"trust", conf_read_trust, MEMBER(trust), 1, CONF_NAME_MAX, 0, NULL, NULL, false},
    {"resolvers", conf_read_resolvers, MEMBER(resolvers), 0, CONF_PARTNER_RESOLVERS, 0, NULL, NULL, false},
    {"proxy", conf_read_proxy, MEMBER(proxy), 0, 1000, 0, "", NULL, false},
    {"allowed_targets", conf_read_allowed, MEMBER(allowed), 0, CONF_EXPECTED_MAX, 0, NULL, NULL, false},
    {"contact", conf_read_text, MEMBER(contact), 0, 255, 0, "", NULL, false},
    {"families", conf_read_word, MEMBER(families), 1, 64, FAMILIES_AUTO, NULL, family_words, false},
    {"app", conf_read_switch, MEMBER(app), 0, 1, 0, NULL, NULL, false},
    {"dane", conf_read_switch, MEMBER(dane), 0, 1, 1, NULL, NULL, false},
    {"expiry_days", conf_read_expiry, MEMBER(expiry_days), 0, 3650, 0, NULL, NULL, false},
};
const size_t conf_partner_row_count = sizeof conf_partner_rows / sizeof conf_partner_rows[0];
const size_t conf_partner_shared = 11;

#define EXPIRY_STEPS 3

static void set_expiry(struct conf_partner *partner, const uint32_t days[EXPIRY_STEPS])
{
    partner->expiry_days = days[0];
    partner->expiry_minor = days[1];
    partner->expiry_major = days[2];
}

void conf_expiry_initial(struct conf_partner *partner)
{
    set_expiry(partner, (const uint32_t[EXPIRY_STEPS]){30, 14, 7});
}

/* [30, 14, 7]: days from which the alarm is a warning, minor, major. One number halves for each step. */
void conf_read_expiry(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                      void *into)
{
    const struct conf_row step = {.name = row->name, .size = sizeof(uint32_t), .min = row->min, .max = row->max};
    int type = config_setting_type(setting);
    bool several = type == CONFIG_TYPE_LIST || type == CONFIG_TYPE_ARRAY;
    int count = several ? config_setting_length(setting) : 1;
    uint32_t days[EXPIRY_STEPS] = {0};
    if (count < 1 || count > EXPIRY_STEPS) {
        conf_wrong(reader, setting, "has %d elements: one to %d numbers of days, such as [30, 14, 7]", count,
                   EXPIRY_STEPS);
        return;
    }
    for (int i = 0; i < count; i++) {
        const config_setting_t *element = several ? config_setting_get_elem(setting, (unsigned)i) : setting;
        days[i] = UINT32_MAX;
        conf_read_number(reader, &step, element, &days[i]);
        if (days[i] == UINT32_MAX) /* told already */
            return;
        if (i > 0 && days[i] >= days[i - 1]) {
            conf_wrong(reader, element, "%u is not less than the %u before it: each step comes later", days[i],
                       days[i - 1]);
            return;
        }
    }
    if (!several) {
        days[1] = days[0] / 2;
        days[2] = days[0] / 4;
    }
    set_expiry(into, days);
}

/* The setting that `name` was read from; the group when it is absent. */
static const config_setting_t *member(const config_setting_t *group, const char *name)
{
    const config_setting_t *found = group ? config_setting_get_member(group, name) : NULL;
    return found ? found : group;
}

static uint16_t default_port(enum protocol protocol)
{
    switch (protocol) {
    case PROTOCOL_SIP:
        return 5061;
    case PROTOCOL_XMPP:
        return 5269;
    case PROTOCOL_SMTP:
        return 25;
    case PROTOCOL_HTTPS:
        return 443;
    case PROTOCOL_IMAP:
        return 143;
    case PROTOCOL_POP3:
        return 110;
    case PROTOCOL_LDAP:
        return 389;
    case PROTOCOL_XMPP_CLIENT:
        return 5222;
    case PROTOCOL_TLS:
        break;
    }
    return 0;
}

/* "_sip._tls": every label begins with an underscore, so the domain is still missing. A dot at the end says it is not.
 */
static bool service_is_relative(const char *service)
{
    for (const char *label = service; label; label = strchr(label, '.')) {
        label += label != service;
        if (*label != '_')
            return false;
    }
    return true;
}

static void complete_service(struct conf_reader *reader, struct conf_partner *partner, const config_setting_t *group)
{
    static const char *const services[] = {
        [PROTOCOL_SIP] = "_sipfederationtls._tcp",
        [PROTOCOL_XMPP] = "_xmpp-server._tcp",
        [PROTOCOL_XMPP_CLIENT] = "_xmpp-client._tcp",
    };
    char full[2 * OBSERVATION_NAME + NAMES_MAX], name[OBSERVATION_NAME];
    const char *service = *partner->service ? partner->service : services[partner->protocol];
    if (!service && partner->protocol == PROTOCOL_SMTP)
        service = partner->domain;
    if (!service)
        return;
    bool relative = service_is_relative(service);
    text_format(full, sizeof full, "%s%s%s", service, relative ? "." : "", relative ? partner->domain : "");
    if (conf_hostname(full, name))
        partner->service = conf_string(reader->blocks, name);
    else
        conf_wrong(reader, member(group, "service"), "the name of the service is too long: \"%.100s\"", full);
}

/* Names of MX targets carry no port in DNS; where SRV gives one, it must be said. */
static void complete_expected(struct conf_reader *reader, struct conf_partner *partner, const config_setting_t *group)
{
    struct address address;
    char text[OBSERVATION_NAME + 8];
    for (size_t i = 0; i < partner->expected_count; i++) {
        if (strchr(partner->expected[i], ':') || address_parse(partner->expected[i], &address))
            continue;
        if (!partner->port) {
            conf_wrong(reader, member(group, "expected"), "\"%s\" has no port: write \"%s:5061\"", partner->expected[i],
                       partner->expected[i]);
            continue;
        }
        text_format(text, sizeof text, "%s:%u", partner->expected[i], partner->port);
        partner->expected[i] = conf_string(reader->blocks, text);
    }
}

void conf_partner_complete(struct conf_reader *reader, struct conf_partner *partner, const config_setting_t *group)
{
    bool fixed = *partner->host || partner->address.family != ADDRESS_UNKNOWN;
    bool has_port = partner->port != 0;
    if (!*partner->domain) /* told already */
        return;
    if (fixed) {
        partner->service = "";
        partner->port = has_port ? partner->port : default_port(partner->protocol);
        if (!partner->port)
            conf_wrong(reader, group, "the setting \"port\" is missing: protocol \"tls\" has no port of its own");
    } else {
        complete_service(reader, partner, group);
        bool mail = partner->protocol == PROTOCOL_SMTP;
        if (has_port && *partner->service && !mail)
            conf_wrong(reader, member(group, "port"),
                       "has no effect: the SRV records give the port. Set host, or "
                       "leave port out");
        else if (!has_port && (mail || !*partner->service))
            partner->port = default_port(partner->protocol);
        if (partner->protocol == PROTOCOL_TLS && !*partner->service)
            conf_wrong(reader, group, "nothing to probe: protocol \"tls\" needs host or address, and port; or service");
    }
    complete_expected(reader, partner, group);
    if (partner->view_count == 1)
        conf_wrong(reader, member(group, "views"), "needs at least two resolvers: their answers are compared");
    if (partner->view_count > 0 && partner->address.family != ADDRESS_UNKNOWN)
        conf_wrong(reader, member(group, "views"), "has no effect: a fixed address is not asked of DNS");
}
