/*
 * Both machines take one octet after the other, so that it does not matter how the network cuts them. SMTP collects a
 * line, looks at it at its LF, and forgets it. XMPP collects one tag (text between tags is dropped) and counts how deep
 * it is nested: the stream is at depth 1, its children at 2. Whatever comes after the go-ahead in the same reception
 * was sent by somebody who did not wait for TLS: it would be taken as if it had been protected (CVE-2011-0411), so it
 * ends the conversation. Lines, tags, the nesting and the whole are bounded.
 */
#include "collect/proto.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

enum smtp_step { SMTP_GREETING, SMTP_EHLO, SMTP_STARTTLS };
enum xmpp_step { XMPP_BEGIN, XMPP_STREAM, XMPP_FEATURES, XMPP_PROCEED };
enum xmpp_child { CHILD_NONE, CHILD_FEATURES, CHILD_ERROR, CHILD_PROCEED, CHILD_FAILURE, CHILD_OTHER };

#define XMPP_DEPTH_MAX     16
#define XMPP_TLS_NAMESPACE "urn:ietf:params:xml:ns:xmpp-tls"

static enum proto_state fail(struct proto *proto, enum reason reason, const char *what, const char *data, size_t length)
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

static void say(struct proto *proto, const char *text)
{
    size_t used = text_copy(proto->output, sizeof proto->output, text);
    proto->output_length = used;
    proto->output_sent = 0;
}

size_t proto_stream_header(const char *name, char *out, size_t size)
{
    return text_format(out, size,
                       "<?xml version='1.0'?><stream:stream xmlns='jabber:server' "
                       "xmlns:stream='http://etherx.jabber.org/streams' to='%s' version='1.0'>",
                       name);
}

size_t proto_farewell(enum proto_kind kind, const char *name, bool opened, char *out, size_t size)
{
    if (kind == PROTO_SMTP)
        return text_copy(out, size, "QUIT\r\n");
    out[0] = '\0';
    if (!opened)
        proto_stream_header(name, out, size);
    return text_append(out, size, "</stream:stream>");
}

void proto_start(struct proto *proto, enum proto_kind kind, const char *name)
{
    memset(proto, 0, sizeof *proto);
    proto->kind = kind;
    proto->state = PROTO_TALKING;
    proto->reason = REASON_NONE;
    text_copy(proto->name, sizeof proto->name, name);
    if (kind == PROTO_XMPP) {
        char header[PROTO_OUTPUT];
        proto_stream_header(proto->name, header, sizeof header);
        say(proto, header);
    }
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

/* ---- SMTP ---- */

static enum proto_state smtp_refusal(struct proto *proto, int code, const char *what)
{
    enum reason reason = code == 421 ? REASON_APP_OVERLOADED : REASON_APP_REJECTED;
    return fail(proto, reason, what, proto->buffer, proto->length);
}

static enum proto_state smtp_greeting(struct proto *proto, int code)
{
    if (code != 220)
        return smtp_refusal(proto, code, "the greeting refuses us");
    char line[PROTO_OUTPUT];
    text_format(line, sizeof line, "EHLO %s\r\n", proto->name);
    say(proto, line);
    proto->step = SMTP_EHLO;
    return proto->state;
}

static enum proto_state smtp_ehlo(struct proto *proto, int code)
{
    if (code == 421 || (code >= 400 && code < 500))
        return smtp_refusal(proto, code, "EHLO was refused");
    if (code == 500 || code == 501 || code == 502 || code == 504)
        return fail(proto, REASON_TLS_START_TLS_NOT_OFFERED, "EHLO is not known to the server", proto->buffer,
                    proto->length);
    if (code != 250)
        return smtp_refusal(proto, code, "EHLO was refused");
    if (!proto->offered)
        return fail(proto, REASON_TLS_START_TLS_NOT_OFFERED, "STARTTLS is not among the extensions that EHLO lists", "",
                    0);
    say(proto, "STARTTLS\r\n");
    proto->step = SMTP_STARTTLS;
    return proto->state;
}

/* A reply line without its line end is in the buffer: three digits, then '-' when more lines follow. */
static enum proto_state smtp_line(struct proto *proto)
{
    const char *line = proto->buffer;
    bool reply = proto->length >= 3 && line[0] >= '2' && line[0] <= '5' && isdigit((unsigned char)line[1]) &&
                 isdigit((unsigned char)line[2]) && (proto->length == 3 || line[3] == ' ' || line[3] == '-');
    if (!reply)
        return fail(proto, REASON_APP_PROTOCOL_ERROR, "this is no SMTP reply", line, proto->length);
    int code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
    if (proto->step == SMTP_EHLO && code == 250 && proto->length >= 12 && strncasecmp(line + 4, "STARTTLS", 8) == 0 &&
        (proto->length == 12 || line[12] == ' '))
        proto->offered = true;
    if (proto->length > 3 && line[3] == '-')
        return proto->state;
    if (proto->step == SMTP_GREETING)
        return smtp_greeting(proto, code);
    if (proto->step == SMTP_EHLO)
        return smtp_ehlo(proto, code);
    if (code == 421)
        return smtp_refusal(proto, code, "STARTTLS was refused");
    if (code != 220)
        return fail(proto, REASON_TLS_START_TLS_REFUSED, "STARTTLS was refused", line, proto->length);
    proto->state = PROTO_READY;
    return proto->state;
}

static enum proto_state smtp_octet(struct proto *proto, char octet)
{
    if (octet == '\n') {
        if (proto->length > 0 && proto->buffer[proto->length - 1] == '\r')
            proto->length--;
        smtp_line(proto);
        proto->length = 0;
        return proto->state;
    }
    if (proto->step == SMTP_GREETING && proto->total == 1 && (octet == 0x15 || octet == 0x16))
        return fail(proto, REASON_APP_PROTOCOL_ERROR, "the peer speaks TLS at once, without STARTTLS", "", 0);
    if (proto->length == PROTO_LINE)
        return fail(proto, REASON_APP_PROTOCOL_ERROR, "a reply line is too long", proto->buffer, 80);
    proto->buffer[proto->length++] = octet;
    /* "HTTP", "SSH-", "<?xm": told by four octets, no line end needed. */
    if (proto->step == SMTP_GREETING && proto->length == 4 && !isdigit((unsigned char)proto->buffer[0]))
        return fail(proto, REASON_APP_PROTOCOL_ERROR, "this is no SMTP greeting", proto->buffer, proto->length);
    return proto->state;
}

/* ---- XMPP ---- */

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
        return fail(proto, REASON_APP_PROTOCOL_ERROR, "this is no XMPP stream", proto->buffer, proto->length);
    proto->step = XMPP_FEATURES;
    if (!attribute(proto, "version", version, sizeof version) || atoi(version) < 1)
        return fail(proto, REASON_TLS_START_TLS_NOT_OFFERED,
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
    return fail(proto, busy ? REASON_APP_OVERLOADED : REASON_APP_REJECTED, "stream error", name, strlen(name));
}

static enum proto_state xmpp_child_closed(struct proto *proto)
{
    int child = proto->within;
    proto->within = CHILD_NONE;
    switch (child) {
    case CHILD_FEATURES:
        if (proto->step != XMPP_FEATURES)
            return proto->state;
        if (!proto->offered)
            return fail(proto, REASON_TLS_START_TLS_NOT_OFFERED, "STARTTLS is not among the stream's features", "", 0);
        say(proto, "<starttls xmlns='" XMPP_TLS_NAMESPACE "'/>");
        proto->step = XMPP_PROCEED;
        return proto->state;
    case CHILD_ERROR:
        return fail(proto, REASON_APP_REJECTED, "stream error without a condition", "", 0);
    case CHILD_PROCEED:
        proto->state = PROTO_READY;
        return proto->state;
    case CHILD_FAILURE:
        return fail(proto, REASON_TLS_START_TLS_REFUSED, "STARTTLS was answered by <failure/>", "", 0);
    default:
        return proto->state;
    }
}

static enum proto_state xmpp_opened(struct proto *proto, const char *name)
{
    char namespace[64];
    if (++proto->depth > XMPP_DEPTH_MAX)
        return fail(proto, REASON_APP_PROTOCOL_ERROR, "XML elements are nested too deeply", "", 0);
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
        return fail(proto, REASON_APP_PROTOCOL_ERROR, "an XML element ends that never began", proto->buffer,
                    proto->length);
    proto->depth--;
    if (proto->depth == 0)
        return fail(proto, REASON_APP_REJECTED, "the peer closed the stream", "", 0);
    return proto->depth == 1 ? xmpp_child_closed(proto) : proto->state;
}

/* A whole tag without its brackets is in the buffer. */
static enum proto_state xmpp_tag(struct proto *proto)
{
    char name[64];
    if (proto->length > 0 && proto->buffer[0] == '?') {
        if (proto->step != XMPP_BEGIN)
            return fail(proto, REASON_APP_PROTOCOL_ERROR, "a processing instruction inside the stream", proto->buffer,
                        proto->length);
        proto->step = XMPP_STREAM;
        return proto->state;
    }
    if (proto->length > 0 && proto->buffer[0] == '!') {
        bool html = proto->length >= 8 && strncasecmp(proto->buffer, "!DOCTYPE", 8) == 0;
        return fail(proto, REASON_APP_PROTOCOL_ERROR,
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

static enum proto_state xmpp_octet(struct proto *proto, char octet)
{
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
            return fail(proto, REASON_APP_PROTOCOL_ERROR, "an XML tag without a name", "", 0);
        return xmpp_tag(proto);
    }
    if (proto->length == PROTO_TAG)
        return fail(proto, REASON_APP_PROTOCOL_ERROR, "an XML tag is too long", proto->buffer, 80);
    proto->buffer[proto->length++] = octet;
    return proto->state;
}

/* Before the stream begins there is nothing but blanks: other text is another protocol, and its beginning tells which.
 */
static bool is_foreign(const struct proto *proto, char octet)
{
    return proto->kind == PROTO_XMPP && proto->depth == 0 && !proto->in_tag && octet != '<' &&
           !isspace((unsigned char)octet);
}

static enum proto_state fail_foreign(struct proto *proto, const char *octets, size_t length)
{
    if (*octets == 0x15 || *octets == 0x16)
        return fail(proto, REASON_APP_PROTOCOL_ERROR, "the peer speaks TLS at once, without STARTTLS", "", 0);
    return fail(proto, REASON_APP_PROTOCOL_ERROR, "this is no XMPP stream", octets, length < 40 ? length : 40);
}

/* ---- both ---- */

enum proto_state proto_feed(struct proto *proto, const void *data, size_t length)
{
    const char *octets = data;
    for (size_t i = 0; i < length && proto->state == PROTO_TALKING; i++) {
        if (++proto->total > PROTO_OCTETS)
            return fail(proto, REASON_APP_PROTOCOL_ERROR, "the peer talks without end before TLS", "", 0);
        if (is_foreign(proto, octets[i]))
            return fail_foreign(proto, octets + i, length - i);
        if (proto->kind == PROTO_SMTP)
            smtp_octet(proto, octets[i]);
        else
            xmpp_octet(proto, octets[i]);
        if (proto->state == PROTO_READY && i + 1 < length)
            return fail(proto, REASON_TLS_PROTOCOL_VIOLATION,
                        "octets follow the go-ahead for TLS, as in a STARTTLS injection", octets + i + 1,
                        length - i - 1 < 40 ? length - i - 1 : 40);
    }
    return proto->state;
}

static const char *waited_for(const struct proto *proto)
{
    static const char *const smtp[] = {"the greeting", "the reply to EHLO", "the reply to STARTTLS"};
    static const char *const xmpp[] = {"the stream", "the stream", "the stream's features", "<proceed/>"};
    return proto->kind == PROTO_SMTP ? smtp[proto->step] : xmpp[proto->step];
}

void proto_closed(struct proto *proto, bool reset)
{
    char what[128];
    if (proto->state != PROTO_TALKING)
        return;
    text_format(what, sizeof what, "the peer %s the connection before %s came", reset ? "reset" : "closed",
                waited_for(proto));
    fail(proto, proto->total == 0 || reset ? REASON_TCP_RESET : REASON_APP_PROTOCOL_ERROR, what, "", 0);
}

void proto_timeout(struct proto *proto)
{
    char what[128];
    if (proto->state != PROTO_TALKING)
        return;
    text_format(what, sizeof what, "%s did not come in time", waited_for(proto));
    fail(proto, REASON_APP_TIMEOUT, what, "", 0);
}
