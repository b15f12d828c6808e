/*
 * What the machines have in common. They take one octet after the other, so that it does not matter how the network cuts
 * them. Whatever comes after the go-ahead in the same reception was sent by somebody who did not wait for TLS: it would be
 * taken as if it had been protected (CVE-2011-0411), so it ends the conversation. Lines, tags, messages and the whole are
 * bounded.
 */
#include "collect/proto_parts.h"

#include <string.h>

#include "base/text.h"

static const struct proto_machine *const machines[] = {
    [PROTO_SMTP] = &proto_smtp, [PROTO_XMPP] = &proto_xmpp, [PROTO_XMPP_CLIENT] = &proto_xmpp,
    [PROTO_IMAP] = &proto_imap, [PROTO_POP3] = &proto_pop3, [PROTO_LDAP] = &proto_ldap,
    [PROTO_SIP] = &proto_status, [PROTO_HTTP] = &proto_status,
};

enum proto_state proto_fail(struct proto *proto, enum reason reason, const char *what, const char *data, size_t length)
{
    char text[160];
    text_printable(text, sizeof text, data, length);
    proto->state = PROTO_FAILED;
    proto->reason = reason;
    if (*text)
        text_format(proto->detail, sizeof proto->detail, "%s: %s", what, text);
    else
        text_copy(proto->detail, sizeof proto->detail, what);
    return proto->state;
}

enum proto_state proto_well(struct proto *proto, const char *data, size_t length)
{
    proto->state = PROTO_READY;
    if (proto->inside)
        text_printable(proto->detail, sizeof proto->detail, data, length);
    return proto->state;
}

void proto_say(struct proto *proto, const char *text)
{
    proto->output_length = text_copy(proto->output, sizeof proto->output, text);
    proto->output_sent = 0;
}

size_t proto_farewell(enum proto_kind kind, const struct proto_names *names, bool opened, char *out, size_t size)
{
    static const char unbind[] = {0x30, 5, 2, 1, 2, 0x42, 0}; /* RFC 4511 section 4.3 */
    out[0] = '\0';
    switch (kind) {
    case PROTO_SMTP:
    case PROTO_POP3:
        return text_copy(out, size, "QUIT\r\n");
    case PROTO_IMAP:
        return text_copy(out, size, "z LOGOUT\r\n");
    case PROTO_LDAP:
        memcpy(out, unbind, sizeof unbind);
        return sizeof unbind;
    case PROTO_XMPP:
    case PROTO_XMPP_CLIENT:
        if (!opened)
            proto_stream_header(kind, names, out, size);
        return text_append(out, size, "</stream:stream>");
    case PROTO_SIP:
    case PROTO_HTTP:
        break;
    }
    return 0;
}

void proto_start(struct proto *proto, enum proto_kind kind, bool inside, const struct proto_names *names)
{
    memset(proto, 0, sizeof *proto);
    proto->kind = kind;
    proto->inside = inside;
    proto->state = PROTO_TALKING;
    proto->reason = REASON_NONE;
    text_copy(proto->name, sizeof proto->name, names->host);
    machines[kind]->begin(proto, names);
}

const char *proto_output(const struct proto *proto, size_t *length)
{
    *length = proto->output_length - proto->output_sent;
    return proto->output + proto->output_sent;
}

void proto_sent(struct proto *proto, size_t count)
{
    size_t left = proto->output_length - proto->output_sent;
    proto->output_sent += count < left ? count : left;
}

enum proto_state proto_feed(struct proto *proto, const void *data, size_t length)
{
    const char *octets = data;
    for (size_t i = 0; i < length && proto->state == PROTO_TALKING; i++) {
        if (++proto->total > PROTO_OCTETS)
            return proto_fail(proto, REASON_APP_PROTOCOL_ERROR, "the peer talks without end", "", 0);
        proto->rest = octets + i;
        proto->rest_length = length - i < 40 ? length - i : 40;
        machines[proto->kind]->octet(proto, octets[i]);
        if (proto->state == PROTO_READY && !proto->inside && i + 1 < length)
            return proto_fail(proto, REASON_TLS_PROTOCOL_VIOLATION,
                              "octets follow the go-ahead for TLS, as in a STARTTLS injection", proto->rest + 1,
                              proto->rest_length - 1);
    }
    return proto->state;
}

void proto_closed(struct proto *proto, bool reset)
{
    char what[128];
    if (proto->state != PROTO_TALKING || proto_settle(proto))
        return;
    text_format(what, sizeof what, "the peer %s the connection before %s came", reset ? "reset" : "closed",
                machines[proto->kind]->waited_for(proto));
    bool lost = reset || (proto->total == 0 && !proto->inside);
    proto_fail(proto, lost ? REASON_TCP_RESET : REASON_APP_PROTOCOL_ERROR, what, "", 0);
}

void proto_timeout(struct proto *proto)
{
    char what[128];
    if (proto->state != PROTO_TALKING || proto_settle(proto))
        return;
    text_format(what, sizeof what, "%s did not come in time", machines[proto->kind]->waited_for(proto));
    proto_fail(proto, REASON_APP_TIMEOUT, what, "", 0);
}
