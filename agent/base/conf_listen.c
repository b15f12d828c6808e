/*
 * The settings of the mutual-TLS acceptor. Its values are checked whether it is enabled or not; what it cannot do
 * without is demanded only when it is.
 */
#include "base/conf_parts.h"

#include <stdlib.h>
#include <string.h>

#define ENDPOINT_TEXT 64 /* octets of "[address]:port" */

#define MEMBER(name) offsetof(struct conf_listen, name), sizeof(((struct conf_listen *)0)->name)
#define NUMBER(name, min, max, initial)                                                                                \
    {                                                                                                                  \
#name, conf_read_number, MEMBER(name), min, max, initial, NULL, NULL, false                                    \
    }

/* "192.0.2.1:5061" or "[2001:db8::1]:5061". */
static bool parse_endpoint(const char *text, struct conf_endpoint *endpoint)
{
    char host[ENDPOINT_TEXT + 1];
    const char *colon = strrchr(text, ':');
    size_t length = colon ? (size_t)(colon - text) : 0;
    bool bracketed = length >= 2 && text[0] == '[' && text[length - 1] == ']';
    if (!colon || length > ENDPOINT_TEXT)
        return false;
    length -= bracketed ? 2 : 0;
    memcpy(host, text + bracketed, length);
    host[length] = '\0';
    size_t digits = strspn(colon + 1, "0123456789");
    int port = digits >= 1 && digits <= 5 && !colon[1 + digits] ? atoi(colon + 1) : 0;
    if (port < 1 || port > 65535 || !address_parse(host, &endpoint->address) ||
        bracketed != (endpoint->address.family == ADDRESS_IPV6))
        return false;
    endpoint->port = (uint16_t)port;
    return true;
}

static bool known(const struct conf_listen *listen, const struct conf_endpoint *endpoint)
{
    for (size_t i = 0; i < listen->endpoint_count; i++)
        if (listen->endpoints[i].port == endpoint->port &&
            address_equal(&listen->endpoints[i].address, &endpoint->address))
            return true;
    return false;
}

static void read_endpoints(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                           void *into)
{
    struct conf_listen *listen = into;
    int length = conf_texts_length(reader, setting, (int)row->max);
    listen->endpoints = conf_memory(reader->blocks, length > 0 ? (size_t)length : 0, sizeof *listen->endpoints);
    for (int i = 0; i < length; i++) {
        const char *text;
        struct conf_endpoint endpoint;
        const config_setting_t *element = conf_texts_element(setting, i);
        if (!conf_text(reader, element, ENDPOINT_TEXT, &text))
            continue;
        if (!parse_endpoint(text, &endpoint))
            conf_wrong(reader, element,
                       "\"%s\" is no address and port: write it as \"192.0.2.1:5061\" or \"[2001:db8::1]:5061\"; "
                       "\"0.0.0.0\" and \"[::]\" stand for all addresses",
                       text);
        else if (known(listen, &endpoint))
            conf_wrong(reader, element, "\"%s\" stands there twice", text);
        else
            listen->endpoints[listen->endpoint_count++] = endpoint;
    }
}

static const struct conf_row rows[] = {
    {"enabled", conf_read_switch, MEMBER(enabled), 0, 1, 0, NULL, NULL, false},
    {"address", read_endpoints, MEMBER(endpoints), 0, CONF_LISTEN_ENDPOINTS, 0, NULL, NULL, false},
    {"certificate", conf_read_certificates, MEMBER(certificate), 0, 1000, 0, "", NULL, false},
    {"key", conf_read_key, MEMBER(key), 0, 1000, 0, "", NULL, false},
    {"trust", conf_read_trust, MEMBER(trust), 0, CONF_NAME_MAX, 0, NULL, NULL, false},
    NUMBER(connections_max, 1, 4096, 64),
    NUMBER(connections_per_address, 1, 4096, 4),
    NUMBER(per_minute_per_address, 1, 60000, 30),
    NUMBER(handshake_seconds, 1, 300, 10),
    NUMBER(bytes_max, 4096, 1048576, 65536),
};
#define ROWS (sizeof rows / sizeof rows[0])

void conf_listen_initial(struct conf_listen *listen)
{
    conf_rows_initial(rows, ROWS, listen);
}

static void check(struct conf_reader *reader, const config_setting_t *group, const struct conf_listen *listen)
{
    const struct {
        const char *name;
        bool there;
        const char *why;
    } needed[] = {
        {"address", listen->endpoint_count > 0, "where to listen, as \"0.0.0.0:15061\""},
        {"certificate", *listen->certificate != '\0', "the certificate that is shown to who connects"},
        {"key", *listen->key != '\0', "the private key of the certificate"},
    };
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
        if (!needed[i].there)
            conf_wrong(reader, group, "the setting \"%s\" is missing or empty: %s", needed[i].name, needed[i].why);
    if (listen->connections_per_address > listen->connections_max)
        conf_wrong(reader, group, "connections_per_address (%u) is more than connections_max (%u)",
                   listen->connections_per_address, listen->connections_max);
}

void conf_read_listen(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                      void *into)
{
    struct conf_listen *listen = &((struct conf *)into)->listen;
    size_t before = reader->errors->count;
    conf_rows_read(reader, rows, ROWS, setting, listen);
    if (listen->enabled && reader->errors->count == before)
        check(reader, setting, listen);
    (void)row;
}
