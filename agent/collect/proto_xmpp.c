/*
 * An XMPP stream. One tag is collected at a time (text between tags is dropped) and counted how deep it is nested: the
 * stream is at depth 1, its children at 2. Before TLS the stream's features have to offer STARTTLS; inside TLS it is
 * enough that they come.
 */
#include "collect/proto_parts.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

enum xmpp_step { XMPP_BEGIN, XMPP_STREAM, XMPP_FEATURES, XMPP_PROCEED };
enum xmpp_child { CHILD_NONE, CHILD_FEATURES, CHILD_ERROR, CHILD_PROCEED, CHILD_FAILURE, CHILD_OTHER };

#define XMPP_DEPTH_MAX     16
#define XMPP_TLS_NAMESPACE "urn:ietf:params:xml:ns:xmpp-tls"

size_t proto_stream_header(enum proto_kind kind, const struct proto_names *names, char *out, size_t size)
{
    bool client = kind == PROTO_XMPP_CLIENT;
    bool told = !client && *names->from;
    return text_format(out, size,
                       "<?xml version='1.0'?><stream:stream xmlns='jabber:%s' "
                       "xmlns:stream='http://etherx.jabber.org/streams'%s%s%s to='%s' version='1.0'>",
                       client ? "client" : "server", told ? " from='" : "", told ? names->from : "", told ? "'" : "",
                       names->to);
}

static void begin(struct proto *proto, const struct proto_names *names)
{
    char header[PROTO_OUTPUT];
    proto_stream_header(proto->kind, names, header, sizeof header);
    proto_say(proto, header);
}

/* The name of a tag without its prefix, cut out of "<prefix:name attribute='...'/>" without the brackets. */
static void local_name(const char *tag, size_t length, char *out, size_t size)
{
    size_t begin = length > 0 && tag[0] == '/' ? 1 : 0;
    size_t end = begin;
    while (end < length && !isspace((unsigned char)tag[end]) && tag[end] != '/')
        end++;
    const char *colon = memchr(tag + begin, ':', end - begin);
    if (colon)
        begin = (size_t)(colon - tag) + 1;
    size_t count = end - begin < size - 1 ? end - begin : size - 1;
    memcpy(out, tag + begin, count);
    out[count] = '\0';
}

/* The value of an attribute of the tag in the buffer; false when it has none of that name. */
static bool attribute(const struct proto *proto, const char *name, char *out, size_t size)
{
    const char *tag = proto->buffer;
    size_t length = proto->length, name_length = strlen(name);
    for (size_t i = 0; i < length;) {
        if (tag[i] == '\'' || tag[i] == '"') { /* over a value */
            const char *end = memchr(tag + i + 1, tag[i], length - i - 1);
            if (!end)
                return false;
            i = (size_t)(end - tag) + 1;
            continue;
        }
        bool begins = i > 0 && isspace((unsigned char)tag[i - 1]) && length - i > name_length &&
                      memcmp(tag + i, name, name_length) == 0;
        size_t at = i + name_length;
        while (begins && at < length && isspace((unsigned char)tag[at]))
            at++;
        if (!begins || at >= length || tag[at] != '=') {
            i++;
            continue;
        }
        for (at++; at < length && isspace((unsigned char)tag[at]); at++)
            ;
        if (at >= length || (tag[at] != '\'' && tag[at] != '"'))
            return false;
        const char *end = memchr(tag + at + 1, tag[at], length - at - 1);
        if (!end)
            return false;
        text_printable(out, size, tag + at + 1, (size_t)(end - tag) - at - 1);
        return true;
    }
    return false;
}

static enum proto_state xmpp_stream_opened(struct proto *proto, const char *name)
{
    char version[16];
    if (strcmp(name, "stream") != 0)
        return proto_fail(proto, REASON_APP_PROTOCOL_ERROR, "this is no XMPP stream", proto->buffer, proto->length);
    proto->step = XMPP_FEATURES;
    if (!proto->inside && (!attribute(proto, "version", version, sizeof version) || atoi(version) < 1))
        return proto_fail(proto, REASON_TLS_START_TLS_NOT_OFFERED,
                    "the peer's stream has no version='1.0', so it offers no STARTTLS", "", 0);
    return proto->state;
}

static void xmpp_child_opened(struct proto *proto, const char *name)
{
    char namespace[64];
    bool tls = attribute(proto, "xmlns", namespace, sizeof namespace) && strcmp(namespace, XMPP_TLS_NAMESPACE) == 0;
    if (strcmp(name, "features") == 0)
        proto->within = CHILD_FEATURES;
    else if (strcmp(name, "error") == 0)
        proto->within = CHILD_ERROR;
    else if (proto->step == XMPP_PROCEED && tls && strcmp(name, "proceed") == 0)
        proto->within = CHILD_PROCEED;
    else if (proto->step == XMPP_PROCEED && tls && strcmp(name, "failure") == 0)
        proto->within = CHILD_FAILURE;
    else
        proto->within = CHILD_OTHER;
}

/* RFC 6120 section 4.9.3: the defined condition is the first child of <stream:error/>. */
static enum proto_state xmpp_condition(struct proto *proto, const char *name)
{
    bool busy =
        strcmp(name, "resource-constraint") == 0 || strcmp(name, "system-shutdown") == 0 || strcmp(name, "reset") == 0;
    return proto_fail(proto, busy ? REASON_APP_OVERLOADED : REASON_APP_REJECTED, "stream error", name, strlen(name));
}

static enum proto_state xmpp_child_closed(struct proto *proto)
{
    int child = proto->within;
    proto->within = CHILD_NONE;
    switch (child) {
    case CHILD_FEATURES:
        if (proto->step != XMPP_FEATURES)
            return proto->state;
        if (proto->inside)
            return proto_well(proto, "the stream was opened", 21);
        if (!proto->offered)
            return proto_fail(proto, REASON_TLS_START_TLS_NOT_OFFERED, "STARTTLS is not among the stream's features", "", 0);
        proto_say(proto, "<starttls xmlns='" XMPP_TLS_NAMESPACE "'/>");
        proto->step = XMPP_PROCEED;
        return proto->state;
    case CHILD_ERROR:
        return proto_fail(proto, REASON_APP_REJECTED, "stream error without a condition", "", 0);
    case CHILD_PROCEED:
        return proto_well(proto, "", 0);
    case CHILD_FAILURE:
        return proto_fail(proto, REASON_TLS_START_TLS_REFUSED, "STARTTLS was answered by <failure/>", "", 0);
    default:
        return proto->state;
    }
}

static enum proto_state xmpp_opened(struct proto *proto, const char *name)
{
    char namespace[64];
    if (++proto->depth > XMPP_DEPTH_MAX)
        return proto_fail(proto, REASON_APP_PROTOCOL_ERROR, "XML elements are nested too deeply", "", 0);
    if (proto->depth == 1)
        return xmpp_stream_opened(proto, name);
    if (proto->depth == 2)
        xmpp_child_opened(proto, name);
    else if (proto->depth == 3 && proto->within == CHILD_ERROR)
        return xmpp_condition(proto, name);
    else if (proto->depth == 3 && proto->within == CHILD_FEATURES && strcmp(name, "starttls") == 0 &&
             attribute(proto, "xmlns", namespace, sizeof namespace) && strcmp(namespace, XMPP_TLS_NAMESPACE) == 0)
        proto->offered = true;
    return proto->state;
}

static enum proto_state xmpp_closed(struct proto *proto)
{
    if (proto->depth == 0)
        return proto_fail(proto, REASON_APP_PROTOCOL_ERROR, "an XML element ends that never began", proto->buffer,
                    proto->length);
    proto->depth--;
    if (proto->depth == 0)
        return proto_fail(proto, REASON_APP_REJECTED, "the peer closed the stream", "", 0);
    return proto->depth == 1 ? xmpp_child_closed(proto) : proto->state;
}

/* A whole tag without its brackets is in the buffer. */
static enum proto_state xmpp_tag(struct proto *proto)
{
    char name[64];
    if (proto->length > 0 && proto->buffer[0] == '?') {
        if (proto->step != XMPP_BEGIN)
            return proto_fail(proto, REASON_APP_PROTOCOL_ERROR, "a processing instruction inside the stream", proto->buffer,
                        proto->length);
        proto->step = XMPP_STREAM;
        return proto->state;
    }
    if (proto->length > 0 && proto->buffer[0] == '!') {
        bool html = proto->length >= 8 && strncasecmp(proto->buffer, "!DOCTYPE", 8) == 0;
        return proto_fail(proto, REASON_APP_PROTOCOL_ERROR,
                    html ? "a document type, so this is no XMPP" : "XML that XMPP forbids", proto->buffer,
                    proto->length);
    }
    local_name(proto->buffer, proto->length, name, sizeof name);
    if (proto->buffer[0] == '/')
        return xmpp_closed(proto);
    bool empty = proto->length > 0 && proto->buffer[proto->length - 1] == '/';
    enum proto_state state = xmpp_opened(proto, name);
    return empty && state == PROTO_TALKING ? xmpp_closed(proto) : state;
}

/* Before the stream begins there is nothing but blanks: other text is another protocol. */
static enum proto_state foreign(struct proto *proto, char octet)
{
    if (octet == 0x15 || octet == 0x16)
        return proto_fail(proto, REASON_APP_PROTOCOL_ERROR, "the peer speaks TLS at once, without STARTTLS", "", 0);
    return proto_fail(proto, REASON_APP_PROTOCOL_ERROR, "this is no XMPP stream", proto->rest,
                      proto->rest_length);
}

static enum proto_state octet(struct proto *proto, char octet)
{
    if (proto->depth == 0 && !proto->in_tag && octet != '<' && !isspace((unsigned char)octet))
        return foreign(proto, octet);
    if (!proto->in_tag) {
        if (octet == '<') {
            proto->in_tag = true;
            proto->quote = '\0';
            proto->length = 0;
        }
        return proto->state;
    }
    if (proto->quote) {
        if (octet == proto->quote)
            proto->quote = '\0';
    } else if (octet == '\'' || octet == '"') {
        proto->quote = octet;
    } else if (octet == '>') {
        proto->in_tag = false;
        if (proto->length == 0)
            return proto_fail(proto, REASON_APP_PROTOCOL_ERROR, "an XML tag without a name", "", 0);
        return xmpp_tag(proto);
    }
    if (proto->length == PROTO_TAG)
        return proto_fail(proto, REASON_APP_PROTOCOL_ERROR, "an XML tag is too long", proto->buffer, 80);
    proto->buffer[proto->length++] = octet;
    return proto->state;
}

static const char *waited_for(const struct proto *proto)
{
    static const char *const names[] = {"the stream", "the stream", "the stream's features", "<proceed/>"};
    return names[proto->step];
}

const struct proto_machine proto_xmpp = {begin, octet, waited_for};
