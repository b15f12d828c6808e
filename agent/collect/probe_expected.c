/*
 * The records that the operator expects (the setting `expected`), compared with those that DNS has. An entry is a target
 * with its port or an address; only what has an entry of its kind is compared.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "collect/probe_parts.h"

/* Splits "host:port", "host" and "[2001:db8::1]:port" of the setting `expected`; port 0 when there is none. */
static void split_expected(const char *text, char *host, size_t size, uint16_t *port)
{
    const char *colon = strrchr(text, ':');
    bool literal = strchr(text, ':') != colon && *text != '[';
    *port = 0;
    text_copy(host, size, text);
    if (!colon || literal || colon[1] == ']')
        return;
    *port = (uint16_t)strtoul(colon + 1, NULL, 10);
    size_t length = (size_t)(colon - text);
    if (length < size)
        host[length] = '\0';
    size_t used = strlen(host);
    if (*host == '[' && used > 2 && host[used - 1] == ']') {
        memmove(host, host + 1, used - 2);
        host[used - 2] = '\0';
    }
}

static bool expected_is_address(const char *text, struct address *address)
{
    char host[OBSERVATION_NAME];
    uint16_t port;
    split_expected(text, host, sizeof host, &port);
    return address_parse(host, address);
}

static bool target_is_expected(const char *text, const struct dns_target *target)
{
    char host[OBSERVATION_NAME];
    uint16_t port;
    split_expected(text, host, sizeof host, &port);
    return strcasecmp(host, target->host) == 0 && (port == 0 || target->port == 0 || port == target->port);
}

bool expected_targets(const struct conf_partner *partner, const struct dns_answer *answer, struct walk_step *step)
{
    bool found[CONF_EXPECTED_MAX] = {false}, any = false;
    char detail[OBSERVATION_DETAIL];
    struct address address;
    for (size_t k = 0; k < partner->expected_count; k++)
        any = any || !expected_is_address(partner->expected[k], &address);
    if (!any)
        return false;
    for (size_t i = 0; i < answer->target_count; i++) {
        bool known = false;
        for (size_t k = 0; k < partner->expected_count; k++)
            if (target_is_expected(partner->expected[k], &answer->targets[i]))
                known = found[k] = true;
        if (known)
            continue;
        text_format(detail, sizeof detail, "target %s", answer->targets[i].host);
        if (answer->targets[i].port)
            text_append(detail, sizeof detail, ":%u", answer->targets[i].port);
        text_append(detail, sizeof detail, " is not among those that are expected");
        step_worsen(step, REASON_DNS_UNEXPECTED_ANSWER, detail);
    }
    for (size_t k = 0; k < partner->expected_count; k++) {
        if (found[k] || expected_is_address(partner->expected[k], &address))
            continue;
        text_format(detail, sizeof detail, "expected target %s is missing", partner->expected[k]);
        step_worsen(step, REASON_DNS_UNEXPECTED_ANSWER, detail);
    }
    return true;
}

bool expected_addresses(const struct conf_partner *partner, const char *name, const struct address *addresses,
                        size_t count, struct walk_step *step)
{
    char text[ADDRESS_TEXT_SIZE], detail[OBSERVATION_DETAIL];
    struct address expected[CONF_EXPECTED_MAX];
    size_t expected_count = 0;
    for (size_t k = 0; k < partner->expected_count; k++)
        expected_count += expected_is_address(partner->expected[k], &expected[expected_count]);
    for (size_t i = 0; i < count && expected_count > 0; i++) {
        size_t k = 0;
        while (k < expected_count && !address_equal(&expected[k], &addresses[i]))
            k++;
        if (k < expected_count)
            continue;
        text_format(detail, sizeof detail, "address %s of %s is not among those that are expected",
                    address_text(&addresses[i], text), name);
        step_worsen(step, REASON_DNS_UNEXPECTED_ANSWER, detail);
    }
    return expected_count > 0;
}
