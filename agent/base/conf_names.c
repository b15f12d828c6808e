/*
 * Names and addresses as configurations, resolvers and certificates write them.
 *
 * A host name is brought into the one form in which it is compared and sent: A-labels, lower case, no dot at the end.
 * Unicode goes through libidn2 (UTS 46, non-transitional); names that are ASCII already only have their form checked,
 * since A-labels that IDNA2008 would no longer make are in use and can be resolved.
 */
#include "base/conf.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <idn2.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const protocol_names[] = {
    [PROTOCOL_SIP] = "sip",     [PROTOCOL_XMPP] = "xmpp", [PROTOCOL_SMTP] = "smtp",
    [PROTOCOL_HTTPS] = "https", [PROTOCOL_TLS] = "tls",   [PROTOCOL_IMAP] = "imap",
    [PROTOCOL_POP3] = "pop3",   [PROTOCOL_LDAP] = "ldap", [PROTOCOL_XMPP_CLIENT] = "xmpp-client",
};

const char *protocol_name(enum protocol protocol)
{
    return protocol >= PROTOCOL_SIP && protocol <= PROTOCOL_LAST ? protocol_names[protocol] : "unknown";
}

enum protocol protocol_find(const char *name)
{
    for (int i = PROTOCOL_SIP; i <= PROTOCOL_LAST; i++)
        if (strcasecmp(name, protocol_names[i]) == 0)
            return (enum protocol)i;
    return 0;
}

const char *conf_presets_dir(void)
{
    const char *folder = getenv("FEDWARDEN_PRESETS");
    return folder && *folder ? folder : PKGDATADIR "/presets";
}

/* One label of letters, digits, hyphens inside and underscores; its length, 0 when it is none. */
static size_t label_length(const char *label)
{
    size_t length = 0;
    while (isalnum((unsigned char)label[length]) || label[length] == '-' || label[length] == '_')
        length++;
    return length > 63 || *label == '-' || (length && label[length - 1] == '-') ? 0 : length;
}

/* The rules of RFC 1123 2.1, with underscores. The last label is not a number: that would be an address. */
static bool copy_ascii(const char *text, char *out)
{
    size_t length = strlen(text);
    if (length && text[length - 1] == '.')
        length--;
    if (length == 0 || length > 253 || text[length - 1] == '.')
        return false;
    const char *last = text;
    for (const char *p = text; p < text + length;) {
        size_t label = label_length(p);
        if (!label || (p[label] != '.' && p + label != text + length))
            return false;
        last = p;
        p += label + 1;
    }
    if (strspn(last, "0123456789") == (size_t)(text + length - last))
        return false;
    for (size_t i = 0; i < length; i++)
        out[i] = (char)tolower((unsigned char)text[i]);
    out[length] = '\0';
    return true;
}

bool conf_hostname(const char *text, char *out)
{
    *out = '\0';
    bool ascii = true;
    for (const char *p = text; *p; p++)
        ascii = ascii && !(*p & 0x80);
    if (ascii)
        return copy_ascii(text, out);
    if (strlen(text) > 1023)
        return false;
    char *encoded = NULL;
    int code = idn2_lookup_u8((const uint8_t *)text, (uint8_t **)&encoded, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
    bool legal = code == IDN2_OK && copy_ascii(encoded, out);
    idn2_free(encoded);
    return legal;
}

bool address_parse(const char *text, struct address *address)
{
    struct address result = {.family = ADDRESS_UNKNOWN};
    if (inet_pton(AF_INET, text, result.octets) == 1)
        result.family = ADDRESS_IPV4;
    else if (inet_pton(AF_INET6, text, result.octets) == 1)
        result.family = ADDRESS_IPV6;
    else
        return false;
    *address = result;
    return true;
}

const char *address_text(const struct address *address, char out[ADDRESS_TEXT_SIZE])
{
    out[0] = '\0';
    if (address->family == ADDRESS_IPV4)
        inet_ntop(AF_INET, address->octets, out, ADDRESS_TEXT_SIZE);
    else if (address->family == ADDRESS_IPV6)
        inet_ntop(AF_INET6, address->octets, out, ADDRESS_TEXT_SIZE);
    return out;
}

bool address_equal(const struct address *a, const struct address *b)
{
    size_t octets = a->family == ADDRESS_IPV4 ? 4 : a->family == ADDRESS_IPV6 ? 16 : 0;
    return a->family == b->family && memcmp(a->octets, b->octets, octets) == 0;
}
