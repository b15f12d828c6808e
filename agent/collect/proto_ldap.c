/*
 * LDAP's StartTLS (RFC 4511 section 4.14): one extended request, and one BER message that answers it. The message is
 * collected as a whole, since its length stands in front; what it claims beyond PROTO_TAG is not waited for.
 */
#include "collect/proto_parts.h"

#include <string.h>

#include "base/text.h"

#define REQUEST "0\x1d\x02\x01\x01w\x18\x80\x16" "1.3.6.1.4.1.1466.20037"

enum { TAG_SEQUENCE = 0x30, TAG_INTEGER = 2, TAG_ENUMERATED = 10, TAG_OCTETS = 4, TAG_EXTENDED_RESPONSE = 0x78 };
enum { RESULT_SUCCESS = 0, RESULT_PROTOCOL_ERROR = 2, RESULT_BUSY = 51, RESULT_UNAVAILABLE = 52 };

static void begin(struct proto *proto, const struct proto_names *names)
{
    (void)names;
    memcpy(proto->output, REQUEST, sizeof REQUEST - 1);
    proto->output_length = sizeof REQUEST - 1;
}

/* What is left to be read of a BER value. */
struct part {
    const unsigned char *at;
    size_t left;
};

/* Takes the element that comes first, if it has that tag and is whole. */
static bool take(struct part *from, unsigned tag, struct part *value)
{
    if (from->left < 2 || from->at[0] != tag)
        return false;
    size_t octets = from->at[1] & 0x80 ? from->at[1] & 0x7f : 0;
    size_t length = octets ? 0 : from->at[1];
    if (octets > 4 || from->left < 2 + octets || (from->at[1] & 0x80 && !octets))
        return false;
    for (size_t i = 0; i < octets; i++)
        length = length << 8 | from->at[2 + i];
    if (length > from->left - 2 - octets)
        return false;
    *value = (struct part){from->at + 2 + octets, length};
    from->left -= 2 + octets + length;
    from->at += 2 + octets + length;
    return true;
}

static enum proto_state refuse(struct proto *proto, bool asked, unsigned code, const struct part *message)
{
    char what[96];
    enum reason reason = REASON_TLS_START_TLS_REFUSED;
    if (code == RESULT_BUSY || code == RESULT_UNAVAILABLE)
        reason = REASON_APP_OVERLOADED;
    else if (!asked)
        reason = REASON_APP_REJECTED;
    else if (code == RESULT_PROTOCOL_ERROR) /* section 4.14.2: what a server answers that has no StartTLS */
        reason = REASON_TLS_START_TLS_NOT_OFFERED;
    text_format(what, sizeof what, "%s, result code %u",
                asked ? "StartTLS was refused" : "the server ended the connection", code);
    return proto_fail(proto, reason, what, (const char *)message->at, message->left);
}

static enum proto_state judge(struct proto *proto)
{
    struct part whole = {(const unsigned char *)proto->buffer, proto->length}, message, number, response, code, dn;
    struct part text = {whole.at, 0};
    if (!take(&whole, TAG_SEQUENCE, &message) || !take(&message, TAG_INTEGER, &number) || number.left != 1 ||
        number.at[0] > 1 || !take(&message, TAG_EXTENDED_RESPONSE, &response) ||
        !take(&response, TAG_ENUMERATED, &code) || code.left != 1)
        return proto_fail(proto, REASON_APP_PROTOCOL_ERROR, "this is no answer to StartTLS", proto->buffer,
                          proto->length < 40 ? proto->length : 40);
    if (take(&response, TAG_OCTETS, &dn))
        take(&response, TAG_OCTETS, &text);
    bool asked = number.at[0] == 1; /* 0: a notice of disconnection */
    if (asked && code.at[0] == RESULT_SUCCESS)
        return proto_well(proto, "", 0);
    return refuse(proto, asked, code.at[0], &text);
}

/* The length of the whole message, once its head is there; false when it is none that we would read. */
static bool measure(struct proto *proto)
{
    const unsigned char *head = (const unsigned char *)proto->buffer;
    size_t octets = proto->length < 2 ? 0 : head[1] & 0x80 ? head[1] & 0x7f : 0;
    size_t length = 0;
    if (proto->length < 2)
        return true;
    if (octets > 4 || head[1] == 0x80)
        return false;
    if (proto->length < 2 + octets)
        return true;
    for (size_t i = 0; i < octets; i++)
        length = length << 8 | head[2 + i];
    proto->wanted = 2 + octets + (octets ? length : head[1]);
    return proto->wanted <= PROTO_TAG;
}

static enum proto_state octet(struct proto *proto, char octet)
{
    proto->buffer[proto->length++] = octet;
    if (proto->length == 1 && (octet == 0x15 || octet == 0x16))
        return proto_fail(proto, REASON_APP_PROTOCOL_ERROR, "the peer speaks TLS at once, without StartTLS", "", 0);
    if ((unsigned char)proto->buffer[0] != TAG_SEQUENCE) { /* a few octets more tell what it is instead */
        bool enough = proto->length == 4 || octet == '\n';
        return enough ? proto_fail(proto, REASON_APP_PROTOCOL_ERROR, "this is no LDAP", proto->buffer, proto->length)
                      : proto->state;
    }
    if (!proto->wanted && !measure(proto))
        return proto_fail(proto, REASON_APP_PROTOCOL_ERROR, "an LDAP message is too long", "", 0);
    return proto->wanted && proto->length == proto->wanted ? judge(proto) : proto->state;
}

static const char *waited_for(const struct proto *proto)
{
    (void)proto;
    return "the answer to StartTLS";
}

const struct proto_machine proto_ldap = {begin, octet, waited_for};
