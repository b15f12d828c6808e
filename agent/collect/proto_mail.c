/*
 * SMTP, IMAP and POP3: a line is collected, looked at where it ends, and forgotten. Before TLS: greeting, the list of what
 * the server offers, the request for TLS and its answer. Inside TLS the list is asked for once more, and that is all.
 */
#include "collect/proto_parts.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

enum step { GREETING, LIST, START };

typedef enum proto_state take_line(struct proto *proto);

static bool begins(const struct proto *proto, const char *text)
{
    size_t length = strlen(text);
    return proto->length >= length && strncasecmp(proto->buffer, text, length) == 0;
}

/* Whether the line holds the word, among others that blanks part. */
static bool has_word(const struct proto *proto, const char *word)
{
    size_t length = strlen(word);
    for (size_t i = 0; i + length <= proto->length; i++) {
        bool starts = i == 0 || proto->buffer[i - 1] == ' ';
        bool ends = i + length == proto->length || proto->buffer[i + length] == ' ' || proto->buffer[i + length] == ']';
        if (starts && ends && strncasecmp(proto->buffer + i, word, length) == 0)
            return true;
    }
    return false;
}

static bool holds(const struct proto *proto, const char *text)
{
    return memmem(proto->buffer, proto->length, text, strlen(text)) != NULL;
}

static enum proto_state fail_line(struct proto *proto, enum reason reason, const char *what)
{
    return proto_fail(proto, reason, what, proto->buffer, proto->length);
}

/* Four octets of the greeting tell that this is another protocol, without a line end. */
static enum proto_state collect(struct proto *proto, char octet, const char *expected, const char *what, take_line *take)
{
    if (octet == '\n') {
        if (proto->length > 0 && proto->buffer[proto->length - 1] == '\r')
            proto->length--;
        take(proto);
        proto->length = 0;
        return proto->state;
    }
    if (!proto->inside && proto->total == 1 && (octet == 0x15 || octet == 0x16))
        return proto_fail(proto, REASON_APP_PROTOCOL_ERROR, "the peer speaks TLS at once, without STARTTLS", "", 0);
    if (proto->length == PROTO_LINE)
        return proto_fail(proto, REASON_APP_PROTOCOL_ERROR, "a reply line is too long", proto->buffer, 80);
    proto->buffer[proto->length++] = octet;
    bool foreign = proto->length == 4 && proto->step == GREETING && !strchr(expected, proto->buffer[0]);
    return foreign ? fail_line(proto, REASON_APP_PROTOCOL_ERROR, what) : proto->state;
}

static const char *waited_for_mail(const struct proto *proto)
{
    static const char *const names[] = {"the greeting", "the list of capabilities", "the go-ahead for TLS"};
    return names[proto->step];
}

static void ask_list(struct proto *proto, const char *text)
{
    proto_say(proto, text);
    proto->step = LIST;
}

/* ---- SMTP ---- */

static void smtp_hello(struct proto *proto)
{
    char line[PROTO_OUTPUT];
    text_format(line, sizeof line, "EHLO %s\r\n", proto->name);
    ask_list(proto, line);
}

static void smtp_begin(struct proto *proto, const struct proto_names *names)
{
    (void)names;
    if (proto->inside)
        smtp_hello(proto);
}

static enum proto_state smtp_refusal(struct proto *proto, int code, const char *what)
{
    return fail_line(proto, code == 421 ? REASON_APP_OVERLOADED : REASON_APP_REJECTED, what);
}

static enum proto_state smtp_ehlo(struct proto *proto, int code)
{
    bool unknown = code == 500 || code == 501 || code == 502 || code == 504;
    if (proto->inside)
        return code == 250 ? proto_well(proto, proto->buffer, proto->length)
                           : smtp_refusal(proto, code, "EHLO was refused inside TLS");
    if (unknown)
        return fail_line(proto, REASON_TLS_START_TLS_NOT_OFFERED, "EHLO is not known to the server");
    if (code != 250)
        return smtp_refusal(proto, code, "EHLO was refused");
    if (!proto->offered)
        return proto_fail(proto, REASON_TLS_START_TLS_NOT_OFFERED,
                          "STARTTLS is not among the extensions that EHLO lists", "", 0);
    proto_say(proto, "STARTTLS\r\n");
    proto->step = START;
    return proto->state;
}

/* A reply line without its line end is in the buffer: three digits, then '-' when more lines follow. */
static enum proto_state smtp_line(struct proto *proto)
{
    const char *line = proto->buffer;
    bool reply = proto->length >= 3 && line[0] >= '2' && line[0] <= '5' && isdigit((unsigned char)line[1]) &&
                 isdigit((unsigned char)line[2]) && (proto->length == 3 || line[3] == ' ' || line[3] == '-');
    if (!reply)
        return fail_line(proto, REASON_APP_PROTOCOL_ERROR, "this is no SMTP reply");
    int code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
    if (proto->step == LIST && code == 250 && proto->length >= 12 && strncasecmp(line + 4, "STARTTLS", 8) == 0 &&
        (proto->length == 12 || line[12] == ' '))
        proto->offered = true;
    if (proto->length > 3 && line[3] == '-')
        return proto->state;
    if (proto->step == GREETING) {
        if (code != 220)
            return smtp_refusal(proto, code, "the greeting refuses us");
        smtp_hello(proto);
        return proto->state;
    }
    if (proto->step == LIST)
        return smtp_ehlo(proto, code);
    if (code == 421)
        return smtp_refusal(proto, code, "STARTTLS was refused");
    return code == 220 ? proto_well(proto, "", 0)
                       : fail_line(proto, REASON_TLS_START_TLS_REFUSED, "STARTTLS was refused");
}

static enum proto_state smtp_octet(struct proto *proto, char octet)
{
    return collect(proto, octet, "0123456789", "this is no SMTP greeting", smtp_line);
}

static const char *smtp_waited_for(const struct proto *proto)
{
    static const char *const names[] = {"the greeting", "the reply to EHLO", "the reply to STARTTLS"};
    return names[proto->step];
}

const struct proto_machine proto_smtp = {smtp_begin, smtp_octet, smtp_waited_for};

/* ---- IMAP ---- */

static void imap_begin(struct proto *proto, const struct proto_names *names)
{
    (void)names;
    if (proto->inside)
        ask_list(proto, "a CAPABILITY\r\n");
}

/* RFC 5530: UNAVAILABLE, SERVERBUG and LIMIT pass by themselves. */
static enum proto_state imap_bye(struct proto *proto)
{
    bool busy = holds(proto, "[UNAVAILABLE]") || holds(proto, "[LIMIT]");
    return fail_line(proto, busy ? REASON_APP_OVERLOADED : REASON_APP_REJECTED, "the server says goodbye");
}

static enum proto_state imap_greeted(struct proto *proto)
{
    if (begins(proto, "* PREAUTH"))
        return fail_line(proto, REASON_TLS_START_TLS_NOT_OFFERED,
                         "the server has logged us in, after which there is no STARTTLS");
    if (!begins(proto, "* OK"))
        return fail_line(proto, REASON_APP_PROTOCOL_ERROR, "this is no IMAP greeting");
    ask_list(proto, "a CAPABILITY\r\n");
    return proto->state;
}

static enum proto_state imap_listed(struct proto *proto)
{
    if (!begins(proto, "a OK"))
        return fail_line(proto, REASON_APP_REJECTED, "CAPABILITY was refused");
    if (proto->inside)
        return proto_well(proto, proto->buffer, proto->length);
    if (!proto->offered)
        return proto_fail(proto, REASON_TLS_START_TLS_NOT_OFFERED, "STARTTLS is not among the capabilities", "", 0);
    proto_say(proto, "b STARTTLS\r\n");
    proto->step = START;
    return proto->state;
}

static enum proto_state imap_line(struct proto *proto)
{
    if (begins(proto, "* BYE"))
        return imap_bye(proto);
    if (proto->step == GREETING)
        return imap_greeted(proto);
    if (begins(proto, "* ")) { /* whatever else it tells */
        if (proto->step == LIST && begins(proto, "* CAPABILITY ") && has_word(proto, "STARTTLS"))
            proto->offered = true;
        return proto->state;
    }
    if (proto->step == LIST && begins(proto, "a "))
        return imap_listed(proto);
    if (proto->step != START || !begins(proto, "b "))
        return fail_line(proto, REASON_APP_PROTOCOL_ERROR, "this is no answer of IMAP");
    return begins(proto, "b OK") ? proto_well(proto, "", 0)
                                 : fail_line(proto, REASON_TLS_START_TLS_REFUSED, "STARTTLS was refused");
}

static enum proto_state imap_octet(struct proto *proto, char octet)
{
    return collect(proto, octet, "*", "this is no IMAP greeting", imap_line);
}

const struct proto_machine proto_imap = {imap_begin, imap_octet, waited_for_mail};

/* ---- POP3 ---- */

static void pop3_begin(struct proto *proto, const struct proto_names *names)
{
    (void)names;
    if (proto->inside)
        ask_list(proto, "CAPA\r\n");
}

static enum proto_state pop3_start(struct proto *proto)
{
    if (proto->inside)
        return proto_well(proto, "+OK", 3);
    if (!proto->offered)
        return proto_fail(proto, REASON_TLS_START_TLS_NOT_OFFERED, "STLS is not among the capabilities", "", 0);
    proto_say(proto, "STLS\r\n");
    proto->step = START;
    return proto->state;
}

/* Within the list `in_tag` is set: lines up to one that is a dot alone. A server without CAPA (RFC 2449) may have STLS. */
static enum proto_state pop3_list(struct proto *proto, bool good)
{
    if (!proto->in_tag && good) {
        proto->in_tag = true;
        return proto->state;
    }
    if (!proto->in_tag) {
        proto->offered = true;
        proto->code = -1;
        return pop3_start(proto);
    }
    if (proto->length == 1 && proto->buffer[0] == '.')
        return pop3_start(proto);
    if (proto->length == 4 && begins(proto, "STLS"))
        proto->offered = true;
    return proto->state;
}

static enum proto_state pop3_line(struct proto *proto)
{
    bool good = begins(proto, "+OK"), bad = begins(proto, "-ERR");
    bool busy = holds(proto, "[SYS/TEMP]") || holds(proto, "[IN-USE]");
    if (proto->step == LIST && (proto->in_tag || good || bad))
        return pop3_list(proto, good);
    if (!good && !bad)
        return fail_line(proto, REASON_APP_PROTOCOL_ERROR, "this is no answer of POP3");
    if (proto->step == GREETING && good) {
        ask_list(proto, "CAPA\r\n");
        return proto->state;
    }
    if (good)
        return proto_well(proto, "", 0);
    if (proto->step == START && !busy)
        return fail_line(proto, proto->code ? REASON_TLS_START_TLS_NOT_OFFERED : REASON_TLS_START_TLS_REFUSED,
                         "STLS was refused");
    return fail_line(proto, busy ? REASON_APP_OVERLOADED : REASON_APP_REJECTED, "the server refuses us");
}

static enum proto_state pop3_octet(struct proto *proto, char octet)
{
    return collect(proto, octet, "+-", "this is no POP3 greeting", pop3_line);
}

const struct proto_machine proto_pop3 = {pop3_begin, pop3_octet, waited_for_mail};
