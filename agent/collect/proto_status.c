/*
 * SIP OPTIONS and HTTP HEAD: a request, and the status of its final answer. Of the headers behind it only Retry-After is
 * read, so that who is overloaded can be quoted; when they do not end, the status stands alone.
 */
#include "collect/proto_parts.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

enum step { STATUS, HEADERS };

static void ask_sip(struct proto *proto, const struct proto_names *names)
{
    char text[PROTO_OUTPUT];
    const char *from = *names->from ? names->from : names->host;
    text_format(text, sizeof text,
                "OPTIONS sip:%s SIP/2.0\r\n"
                "Via: SIP/2.0/TLS %s;branch=z9hG4bK%016" PRIx64 ";rport\r\n"
                "Max-Forwards: 70\r\n"
                "From: <sip:fedwarden@%s>;tag=%08" PRIx32 "\r\n"
                "To: <sip:%s>\r\n"
                "Call-ID: %016" PRIx64 "@%s\r\n"
                "CSeq: 1 OPTIONS\r\n"
                "Contact: <sip:fedwarden@%s;transport=tls>\r\n"
                "Accept: application/sdp\r\n"
                "User-Agent: fedwarden\r\n"
                "Content-Length: 0\r\n\r\n",
                names->to, names->host, names->token, from, (uint32_t)names->token, names->to, ~names->token,
                names->host, names->host);
    proto_say(proto, text);
}

static void begin(struct proto *proto, const struct proto_names *names)
{
    char text[PROTO_OUTPUT];
    if (proto->kind == PROTO_SIP) {
        ask_sip(proto, names);
        return;
    }
    text_format(text, sizeof text,
                "HEAD / HTTP/1.1\r\nHost: %s\r\nUser-Agent: fedwarden\r\nConnection: close\r\n\r\n", names->to);
    proto_say(proto, text);
}

enum reason proto_status_reason(enum proto_kind kind, int code)
{
    bool busy = code == 503 || (kind == PROTO_SIP ? code == 480 : code == 429);
    if (busy)
        return REASON_APP_OVERLOADED;
    bool good = code >= 200 && code < (kind == PROTO_HTTP ? 400 : 300);
    return good ? REASON_NONE : REASON_APP_REJECTED;
}

/* The line of the status waits in `name`, that of Retry-After behind it. */
bool proto_settle(struct proto *proto)
{
    bool status = proto->kind == PROTO_SIP || proto->kind == PROTO_HTTP;
    if (!status || !proto->code)
        return false;
    enum reason reason = proto_status_reason(proto->kind, proto->code);
    if (reason == REASON_NONE)
        proto_well(proto, proto->name, strlen(proto->name));
    else
        proto_fail(proto, reason, proto->kind == PROTO_SIP ? "OPTIONS is answered" : "HEAD is answered", proto->name,
                   strlen(proto->name));
    return true;
}

/* "SIP/2.0 200 OK", "HTTP/1.1 404 Not Found": its code, 0 when it is no such line. */
static int status_code(const struct proto *proto)
{
    const char *version = proto->kind == PROTO_SIP ? "SIP/2.0 " : "HTTP/1.";
    size_t length = strlen(version), at = proto->kind == PROTO_SIP ? length : length + 2;
    const char *line = proto->buffer;
    bool right = proto->length >= at + 3 && strncasecmp(line, version, length) == 0 && line[at - 1] == ' ' &&
                 line[at] >= '1' && line[at] <= '6' && isdigit((unsigned char)line[at + 1]) &&
                 isdigit((unsigned char)line[at + 2]) && (proto->length == at + 3 || line[at + 3] == ' ');
    return right ? (line[at] - '0') * 100 + (line[at + 1] - '0') * 10 + (line[at + 2] - '0') : 0;
}

static enum proto_state take_line(struct proto *proto)
{
    if (proto->step == STATUS) {
        if (proto->length == 0) /* RFC 3261 section 7.5; the answer to a keep-alive */
            return proto->state;
        int code = status_code(proto);
        if (!code)
            return proto_fail(proto, REASON_APP_PROTOCOL_ERROR, "this is no answer to our request", proto->buffer,
                              proto->length);
        proto->step = HEADERS;
        proto->code = code >= 200 ? code : 0;
        text_printable(proto->name, 100, proto->buffer, proto->length);
        return proto->state;
    }
    if (proto->length == 0) { /* the end of the headers; behind a provisional status another comes */
        if (!proto_settle(proto))
            proto->step = STATUS;
        return proto->state;
    }
    if (proto->code && proto->length > 12 && strncasecmp(proto->buffer, "Retry-After:", 12) == 0) {
        char text[60];
        text_printable(text, sizeof text, proto->buffer, proto->length);
        text_append(proto->name, sizeof proto->name, ", %s", text);
    }
    return proto->state;
}

static enum proto_state octet(struct proto *proto, char octet)
{
    if (octet == '\n') {
        if (proto->length > 0 && proto->buffer[proto->length - 1] == '\r')
            proto->length--;
        take_line(proto);
        proto->length = 0;
    } else if (proto->length < PROTO_LINE) { /* of a header that is longer the beginning is enough */
        proto->buffer[proto->length++] = octet;
    }
    return proto->state;
}

static const char *waited_for(const struct proto *proto)
{
    return proto->kind == PROTO_SIP ? "the answer to OPTIONS" : "the answer to HEAD";
}

const struct proto_machine proto_status = {begin, octet, waited_for};
