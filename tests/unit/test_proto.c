#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collect/proto.h"

#define STREAM "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' " \
               "id='x>y' from=\"b.example\" version='1.0'>"
#define TLS "xmlns='urn:ietf:params:xml:ns:xmpp-tls'"
#define OFFER "<stream:features><starttls " TLS "><required/></starttls></stream:features>"

/* Before TLS; `name` is our host, and the domain that is asked for. */
static void start(struct proto *proto, enum proto_kind kind, const char *name)
{
    proto_start(proto, kind, false, &(struct proto_names){.host = name, .from = "", .to = name, .token = 7});
}

static void start_inside(struct proto *proto, enum proto_kind kind)
{
    proto_start(proto, kind, true,
                &(struct proto_names){.host = "us.example", .from = "a.example", .to = "b.example", .token = 7});
}

static const char *taken(struct proto *proto)
{
    static char text[PROTO_OUTPUT + 1];
    size_t length;
    const char *output = proto_output(proto, &length);
    memcpy(text, output, length);
    text[length] = '\0';
    proto_sent(proto, length);
    return text;
}

/* Feeds `text` in pieces of `size` octets; what cannot depend on the pieces must not. */
static enum proto_state feed(struct proto *proto, const char *text, size_t size)
{
    size_t length = strlen(text);
    for (size_t i = 0; i < length; i += size)
        proto_feed(proto, text + i, length - i < size ? length - i : size);
    return proto->state;
}

static const size_t pieces[] = {1, 2, 7, 4096};

Test(proto, smtp_reaches_tls)
{
    for (size_t i = 0; i < 4; i++) {
        struct proto proto;
        start(&proto, PROTO_SMTP, "us.example");
        cr_assert_str_eq(taken(&proto), "");
        cr_assert_eq(feed(&proto, "220-mx.example\r\n220 ESMTP\r\n", pieces[i]), PROTO_TALKING);
        cr_assert_str_eq(taken(&proto), "EHLO us.example\r\n");
        cr_assert_eq(feed(&proto, "250-mx.example\r\n250-SIZE 5\r\n250-starttls\r\n250 HELP\r\n", pieces[i]), PROTO_TALKING);
        cr_assert_str_eq(taken(&proto), "STARTTLS\r\n");
        cr_assert_eq(feed(&proto, "220 2.0.0 go\r\n", pieces[i]), PROTO_READY);
        cr_assert_eq(proto.reason, REASON_NONE);
    }
}

static struct proto smtp_after(const char *greeting, const char *ehlo, const char *starttls)
{
    struct proto proto;
    start(&proto, PROTO_SMTP, "us.example");
    const char *texts[] = {greeting, ehlo, starttls};
    for (size_t i = 0; i < 3 && texts[i] && proto.state == PROTO_TALKING; i++) {
        taken(&proto);
        feed(&proto, texts[i], 3);
    }
    return proto;
}

#define GREETING "220 mx\r\n"
#define EXTENSIONS "250-mx\r\n250 STARTTLS\r\n"

Test(proto, smtp_failures)
{
    static const struct {
        const char *greeting, *ehlo, *starttls;
        enum reason reason;
    } cases[] = {
        {"554 no\r\n", NULL, NULL, REASON_APP_REJECTED},
        {"421 busy\r\n", NULL, NULL, REASON_APP_OVERLOADED},
        {"HTTP/1.1 400 Bad\r\n", NULL, NULL, REASON_APP_PROTOCOL_ERROR},
        {"SSH-2.0-x\r\n", NULL, NULL, REASON_APP_PROTOCOL_ERROR},
        {"\x15\x03\x01", NULL, NULL, REASON_APP_PROTOCOL_ERROR},
        {"22\r\n", NULL, NULL, REASON_APP_PROTOCOL_ERROR},
        {"220x\r\n", NULL, NULL, REASON_APP_PROTOCOL_ERROR},
        {GREETING, "250-mx\r\n250 SIZE\r\n", NULL, REASON_TLS_START_TLS_NOT_OFFERED},
        {GREETING, "250-mx\r\n250 STARTTLSX\r\n", NULL, REASON_TLS_START_TLS_NOT_OFFERED},
        {GREETING, "250-STARTTL\r\n250 X-STARTTLS\r\n", NULL, REASON_TLS_START_TLS_NOT_OFFERED},
        {GREETING, "502 what\r\n", NULL, REASON_TLS_START_TLS_NOT_OFFERED},
        {GREETING, "550 go away\r\n", NULL, REASON_APP_REJECTED},
        {GREETING, "421 later\r\n", NULL, REASON_APP_OVERLOADED},
        {GREETING, EXTENSIONS, "454 no\r\n", REASON_TLS_START_TLS_REFUSED},
        {GREETING, EXTENSIONS, "501 no\r\n", REASON_TLS_START_TLS_REFUSED},
        {GREETING, EXTENSIONS, "421 bye\r\n", REASON_APP_OVERLOADED},
        {GREETING, EXTENSIONS, "hello\r\n", REASON_APP_PROTOCOL_ERROR},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct proto proto = smtp_after(cases[i].greeting, cases[i].ehlo, cases[i].starttls);
        cr_assert_eq(proto.state, PROTO_FAILED, "case %zu", i);
        cr_assert_eq(proto.reason, cases[i].reason, "case %zu: %s: %s", i, reason_name(proto.reason), proto.detail);
        cr_assert_neq(proto.detail[0], '\0');
    }
}

/* A go-ahead and more in one reception is an injection; cut before it, TLS begins and will see to it. */
Test(proto, injection)
{
    struct proto proto = smtp_after(GREETING, EXTENSIONS, NULL);
    proto_feed(&proto, "220 go\r\n250 evil", 16);
    cr_assert_eq(proto.reason, REASON_TLS_PROTOCOL_VIOLATION);
    cr_assert(strstr(proto.detail, "250 evil"));

    start(&proto, PROTO_XMPP, "b.example");
    feed(&proto, STREAM OFFER, 5);
    const char text[] = "<proceed " TLS "/> ";
    proto_feed(&proto, text, sizeof text - 1);
    cr_assert_eq(proto.reason, REASON_TLS_PROTOCOL_VIOLATION);
}

Test(proto, smtp_is_bounded)
{
    struct proto proto;
    char line[PROTO_LINE + 8];
    start(&proto, PROTO_SMTP, "us.example");
    memset(line, 'x', sizeof line);
    memcpy(line, "220-", 4);
    proto_feed(&proto, line, sizeof line);
    cr_assert_eq(proto.reason, REASON_APP_PROTOCOL_ERROR);

    start(&proto, PROTO_SMTP, "us.example");
    size_t fed = 0;
    while (proto.state == PROTO_TALKING && fed < 10 * PROTO_OCTETS) {
        proto_feed(&proto, "220-more\r\n", 10);
        fed += 10;
    }
    cr_assert_eq(proto.reason, REASON_APP_PROTOCOL_ERROR);
    cr_assert_leq(fed, PROTO_OCTETS + 10);
}

Test(proto, xmpp_reaches_tls)
{
    for (size_t i = 0; i < 4; i++) {
        struct proto proto;
        start(&proto, PROTO_XMPP, "b.example");
        const char *header = taken(&proto);
        cr_assert(strstr(header, " to='b.example'") && strstr(header, "xmlns='jabber:server'"));
        cr_assert_eq(feed(&proto, "\n" STREAM " " OFFER, pieces[i]), PROTO_TALKING, "%s", proto.detail);
        cr_assert_str_eq(taken(&proto), "<starttls " TLS "/>");
        cr_assert_eq(feed(&proto, i % 2 ? "<proceed " TLS "></proceed>" : "<proceed " TLS "/>", pieces[i]), PROTO_READY,
                     "%s", proto.detail);
    }
}

Test(proto, xmpp_features_before_and_beside)
{
    struct proto proto;
    start(&proto, PROTO_XMPP, "b.example");
    taken(&proto);
    feed(&proto,
         STREAM "<stream:features xmlns:q='x'><dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>"
                "<starttls xmlns=\"urn:ietf:params:xml:ns:xmpp-tls\"/></stream:features>",
         1);
    cr_assert_eq(proto.state, PROTO_TALKING);
    cr_assert_str_eq(taken(&proto), "<starttls " TLS "/>");
}

Test(proto, xmpp_failures)
{
    static const struct {
        const char *text;
        enum reason reason;
    } cases[] = {
        {"HTTP/1.1 400 Bad Request\r\n", REASON_APP_PROTOCOL_ERROR},
        {"\x15\x03\x01\x00\x02", REASON_APP_PROTOCOL_ERROR},
        {"<!DOCTYPE html><html>", REASON_APP_PROTOCOL_ERROR},
        {"<html>", REASON_APP_PROTOCOL_ERROR},
        {"<>", REASON_APP_PROTOCOL_ERROR},
        {"</stream:stream>", REASON_APP_PROTOCOL_ERROR},
        {"<stream:stream xmlns='jabber:server'>", REASON_TLS_START_TLS_NOT_OFFERED},
        {"<stream:stream version='0.9'>", REASON_TLS_START_TLS_NOT_OFFERED},
        {STREAM "<stream:features/>", REASON_TLS_START_TLS_NOT_OFFERED},
        {STREAM "<stream:features><starttls xmlns='other'/></stream:features>", REASON_TLS_START_TLS_NOT_OFFERED},
        {STREAM "<stream:features><x><starttls " TLS "/></x></stream:features>", REASON_TLS_START_TLS_NOT_OFFERED},
        {STREAM "<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
         REASON_APP_REJECTED},
        {STREAM "<stream:error><resource-constraint/></stream:error>", REASON_APP_OVERLOADED},
        {STREAM "<stream:error/>", REASON_APP_REJECTED},
        {STREAM "</stream:stream>", REASON_APP_REJECTED},
        {STREAM "<!-- c -->", REASON_APP_PROTOCOL_ERROR},
        {STREAM "<?pi?>", REASON_APP_PROTOCOL_ERROR},
        {STREAM OFFER "<failure " TLS "/>", REASON_TLS_START_TLS_REFUSED},
        {STREAM "<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a>", REASON_APP_PROTOCOL_ERROR},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (size_t k = 0; k < 4; k++) {
            struct proto proto;
            start(&proto, PROTO_XMPP, "b.example");
            feed(&proto, cases[i].text, pieces[k]);
            cr_assert_eq(proto.state, PROTO_FAILED, "case %zu", i);
            cr_assert_eq(proto.reason, cases[i].reason, "case %zu: %s: %s", i, reason_name(proto.reason), proto.detail);
        }
}

/* An attribute named in a value, or with a longer name, is no attribute; <proceed/> unasked is none. */
Test(proto, xmpp_is_not_fooled)
{
    struct proto proto;
    start(&proto, PROTO_XMPP, "b.example");
    feed(&proto, "<stream:stream id=' version=\"1.0\"' xversion='1.0'>", 1);
    cr_assert_eq(proto.reason, REASON_TLS_START_TLS_NOT_OFFERED);
    start(&proto, PROTO_XMPP, "b.example");
    feed(&proto, STREAM "<proceed " TLS "/>", 1);
    cr_assert_eq(proto.state, PROTO_TALKING);
    start(&proto, PROTO_XMPP, "b.example");
    feed(&proto, STREAM OFFER "<proceed/>", 1);
    cr_assert_eq(proto.state, PROTO_TALKING);
}

Test(proto, xmpp_is_bounded)
{
    struct proto proto;
    char tag[PROTO_TAG + 8];
    start(&proto, PROTO_XMPP, "b.example");
    memset(tag, 'x', sizeof tag);
    tag[0] = '<';
    proto_feed(&proto, tag, sizeof tag);
    cr_assert_eq(proto.reason, REASON_APP_PROTOCOL_ERROR);
    start(&proto, PROTO_XMPP, "b.example");
    feed(&proto, STREAM, 100);
    for (size_t i = 0; i < 10 * PROTO_OCTETS && proto.state == PROTO_TALKING; i++)
        proto_feed(&proto, " ", 1);
    cr_assert_eq(proto.reason, REASON_APP_PROTOCOL_ERROR);
}

Test(proto, silence_and_ends)
{
    struct proto proto;
    start(&proto, PROTO_SMTP, "us.example");
    proto_timeout(&proto);
    cr_assert_eq(proto.reason, REASON_APP_TIMEOUT);
    cr_assert(strstr(proto.detail, "the greeting"));
    proto = smtp_after(GREETING, EXTENSIONS, NULL);
    proto_timeout(&proto);
    cr_assert(strstr(proto.detail, "STARTTLS"));
    start(&proto, PROTO_XMPP, "b.example");
    proto_closed(&proto, true);
    cr_assert_eq(proto.reason, REASON_TCP_RESET);
    start(&proto, PROTO_XMPP, "b.example");
    feed(&proto, STREAM, 9);
    proto_closed(&proto, false);
    cr_assert_eq(proto.reason, REASON_APP_PROTOCOL_ERROR);
    start(&proto, PROTO_XMPP, "b.example");
    feed(&proto, STREAM OFFER "<proceed " TLS "/>", 4096);
    proto_closed(&proto, true);
    cr_assert_eq(proto.state, PROTO_READY);
}

/* Whatever comes, it ends, stays within its buffers (the sanitizers see to that) and gives a printable reason. */
Test(proto, noise)
{
    srandom(1);
    static const char alphabet[] = "<>/'\" =!?-\r\n2205.STARTLxmlns:stream\x00\xff\x15";
    for (int round = 0; round < 20000; round++) {
        struct proto proto;
        char data[64];
        start(&proto, round % 2 ? PROTO_SMTP : PROTO_XMPP, "b.example");
        for (int part = 0; part < 8; part++) {
            for (size_t i = 0; i < sizeof data; i++)
                data[i] = alphabet[(size_t)random() % (sizeof alphabet - 1)];
            proto_feed(&proto, data, sizeof data);
        }
        cr_assert_eq(proto.state == PROTO_FAILED, proto.reason != REASON_NONE);
        for (const char *c = proto.detail; *c; c++)
            cr_assert((unsigned char)*c >= ' ' && *c != 0x7f);
    }
}

Test(proto, farewell)
{
    char text[PROTO_OUTPUT];
    proto_farewell(PROTO_SMTP, &(struct proto_names){.host = "", .from = "", .to = ""}, false, text, sizeof text);
    cr_assert_str_eq(text, "QUIT\r\n");
    proto_farewell(PROTO_XMPP, &(struct proto_names){.host = "", .from = "", .to = "b.example"}, true, text, sizeof text);
    cr_assert_str_eq(text, "</stream:stream>");
    size_t length = proto_farewell(PROTO_XMPP, &(struct proto_names){.host = "", .from = "", .to = "b.example"}, false, text, sizeof text);
    cr_assert_eq(length, strlen(text));
    cr_assert(strstr(text, " to='b.example'") && strstr(text, "'1.0'></stream:stream>"));
}

/* ---- IMAP, POP3, LDAP ---- */

/* What becomes of the parts of `script`, of which each is fed when the one before has been answered. */
static struct proto converse(enum proto_kind kind, bool inside, const char *const script[], size_t count, size_t size)
{
    struct proto proto;
    if (inside)
        start_inside(&proto, kind);
    else
        start(&proto, kind, "us.example");
    for (size_t i = 0; i < count && script[i]; i++) {
        taken(&proto);
        feed(&proto, script[i], size);
    }
    return proto;
}

Test(proto, mail_reaches_tls)
{
    for (size_t i = 0; i < 4; i++) {
        struct proto proto;
        start(&proto, PROTO_IMAP, "us.example");
        cr_assert_str_eq(taken(&proto), "");
        feed(&proto, "* OK [CAPABILITY IMAP4rev1] ready\r\n", pieces[i]);
        cr_assert_str_eq(taken(&proto), "a CAPABILITY\r\n");
        feed(&proto, "* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\na OK done\r\n", pieces[i]);
        cr_assert_str_eq(taken(&proto), "b STARTTLS\r\n");
        cr_assert_eq(feed(&proto, "* 3 EXISTS\r\nb OK begin\r\n", pieces[i]), PROTO_READY, "%s", proto.detail);

        start(&proto, PROTO_POP3, "us.example");
        feed(&proto, "+OK ready <1@b>\r\n", pieces[i]);
        cr_assert_str_eq(taken(&proto), "CAPA\r\n");
        feed(&proto, "+OK\r\nUIDL\r\nSTLS\r\n.\r\n", pieces[i]);
        cr_assert_str_eq(taken(&proto), "STLS\r\n");
        cr_assert_eq(feed(&proto, "+OK begin\r\n", pieces[i]), PROTO_READY, "%s", proto.detail);
        start(&proto, PROTO_POP3, "us.example");
        feed(&proto, "+OK\r\n-ERR what\r\n", pieces[i]);
        cr_assert_str_eq(taken(&proto), "STLS\r\n", "a server without CAPA may have it");
    }
}

Test(proto, mail_failures)
{
#define IMAP_LIST "* OK\r\n", "* CAPABILITY STARTTLS\r\na OK\r\n"
#define POP3_LIST "+OK\r\n", "+OK\r\nSTLS\r\n.\r\n"
    static const struct {
        enum proto_kind kind;
        bool inside;
        const char *script[3];
        enum reason reason;
    } cases[] = {
        {PROTO_IMAP, false, {"* BYE go\r\n"}, REASON_APP_REJECTED},
        {PROTO_IMAP, false, {"* BYE [UNAVAILABLE] later\r\n"}, REASON_APP_OVERLOADED},
        {PROTO_IMAP, false, {"* PREAUTH\r\n"}, REASON_TLS_START_TLS_NOT_OFFERED},
        {PROTO_IMAP, false, {"220 smtp\r\n"}, REASON_APP_PROTOCOL_ERROR},
        {PROTO_IMAP, false, {"* what\r\n"}, REASON_APP_PROTOCOL_ERROR},
        {PROTO_IMAP, false, {"HTTP"}, REASON_APP_PROTOCOL_ERROR},
        {PROTO_IMAP, false, {"\x16\x03"}, REASON_APP_PROTOCOL_ERROR},
        {PROTO_IMAP, false, {"* OK\r\n", "* CAPABILITY STARTTLSX\r\na OK\r\n"}, REASON_TLS_START_TLS_NOT_OFFERED},
        {PROTO_IMAP, false, {"* OK\r\n", "* 1 STARTTLS\r\na OK\r\n"}, REASON_TLS_START_TLS_NOT_OFFERED},
        {PROTO_IMAP, false, {"* OK\r\n", "a BAD\r\n"}, REASON_APP_REJECTED},
        {PROTO_IMAP, false, {"* OK\r\n", "b OK\r\n"}, REASON_APP_PROTOCOL_ERROR},
        {PROTO_IMAP, false, {IMAP_LIST, "b NO not now\r\n"}, REASON_TLS_START_TLS_REFUSED},
        {PROTO_IMAP, false, {IMAP_LIST, "b OK\r\nevil"}, REASON_TLS_PROTOCOL_VIOLATION},
        {PROTO_IMAP, true, {"a NO\r\n"}, REASON_APP_REJECTED},
        {PROTO_IMAP, true, {"* CAPABILITY X\r\na OK\r\n"}, REASON_NONE},
        {PROTO_POP3, false, {"-ERR [SYS/TEMP] later\r\n"}, REASON_APP_OVERLOADED},
        {PROTO_POP3, false, {"-ERR no\r\n"}, REASON_APP_REJECTED},
        {PROTO_POP3, false, {"* OK imap\r\n"}, REASON_APP_PROTOCOL_ERROR},
        {PROTO_POP3, false, {"+OK\r\n", "+OK\r\nUIDL\r\nXSTLS\r\n.\r\n"}, REASON_TLS_START_TLS_NOT_OFFERED},
        {PROTO_POP3, false, {"+OK\r\n", "-ERR what\r\n", "-ERR what\r\n"}, REASON_TLS_START_TLS_NOT_OFFERED},
        {PROTO_POP3, false, {POP3_LIST, "-ERR no\r\n"}, REASON_TLS_START_TLS_REFUSED},
        {PROTO_POP3, false, {POP3_LIST, "+OK\r\nevil"}, REASON_TLS_PROTOCOL_VIOLATION},
        {PROTO_POP3, true, {"+OK\r\n.\r\n"}, REASON_NONE},
        {PROTO_POP3, true, {"what\r\n"}, REASON_APP_PROTOCOL_ERROR},
        {PROTO_SMTP, true, {"250-a\r\n250 b\r\n"}, REASON_NONE},
        {PROTO_SMTP, true, {"421 later\r\n"}, REASON_APP_OVERLOADED},
        {PROTO_SMTP, true, {"550 no\r\n"}, REASON_APP_REJECTED},
        {PROTO_XMPP, true, {STREAM "<stream:features/>"}, REASON_NONE},
        {PROTO_XMPP_CLIENT, true, {STREAM "<stream:error><conflict/></stream:error>"}, REASON_APP_REJECTED},
        {PROTO_XMPP, true, {STREAM "<stream:error><reset/></stream:error>"}, REASON_APP_OVERLOADED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (size_t k = cases[i].reason == REASON_TLS_PROTOCOL_VIOLATION ? 3 : 0; k < 4; k++) {
            struct proto proto = converse(cases[i].kind, cases[i].inside, cases[i].script, 3, pieces[k]);
            cr_assert_eq(proto.state, cases[i].reason == REASON_NONE ? PROTO_READY : PROTO_FAILED, "case %zu", i);
            cr_assert_eq(proto.reason, cases[i].reason, "case %zu: %s: %s", i, reason_name(proto.reason), proto.detail);
        }
}

#define LDAP_ANSWER(code) "0\x0c\x02\x01\x01x\x07\x0a\x01" code "\x04\x00\x04\x00"

Test(proto, ldap)
{
    static const struct {
        const char *text;
        size_t length;
        enum reason reason;
    } cases[] = {
#define CASE(text, reason) {text, sizeof text - 1, reason}
        CASE(LDAP_ANSWER("\x00"), REASON_NONE),
        CASE("0\x84\0\0\0\x10\x02\x01\x01x\x84\0\0\0\x07\x0a\x01\0\x04\0\x04\0", REASON_NONE), /* Active Directory's lengths */
        CASE(LDAP_ANSWER("\x02"), REASON_TLS_START_TLS_NOT_OFFERED),
        CASE(LDAP_ANSWER("\x01"), REASON_TLS_START_TLS_REFUSED),
        CASE(LDAP_ANSWER("\x33"), REASON_APP_OVERLOADED),
        CASE("0\x0c\x02\x01\x00x\x07\x0a\x01\x02\x04\x00\x04\x00", REASON_APP_REJECTED), /* notice of disconnection */
        CASE("0\x0c\x02\x01\x01" "a\x07\x0a\x01\x00\x04\x00\x04\x00", REASON_APP_PROTOCOL_ERROR),
        CASE("0\x0c\x02\x01\x01x\x09\x0a\x01\x00\x04\x00\x04\x00", REASON_APP_PROTOCOL_ERROR),
        CASE("0\x84\xff\xff\xff\xff", REASON_APP_PROTOCOL_ERROR),
        CASE("0\x88\0\0\0\0\0\0\0\1", REASON_APP_PROTOCOL_ERROR),
        CASE("0\x80", REASON_APP_PROTOCOL_ERROR),
        CASE("0\x00", REASON_APP_PROTOCOL_ERROR),
        CASE("220 mx\r\n", REASON_APP_PROTOCOL_ERROR),
        CASE("\x15\x03", REASON_APP_PROTOCOL_ERROR),
        CASE(LDAP_ANSWER("\x00") "evil", REASON_TLS_PROTOCOL_VIOLATION),
#undef CASE
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct proto proto;
        size_t length;
        start(&proto, PROTO_LDAP, "us.example");
        const char *request = proto_output(&proto, &length);
        cr_assert_eq(length, 31);
        cr_assert_eq(memcmp(request, "0\x1d\x02\x01\x01w\x18\x80\x16", 9), 0);
        cr_assert_eq(memcmp(request + 9, "1.3.6.1.4.1.1466.20037", 22), 0);
        proto_feed(&proto, cases[i].text, cases[i].length);
        cr_assert_eq(proto.reason, cases[i].reason, "case %zu: %s: %s", i, reason_name(proto.reason), proto.detail);
        cr_assert_eq(proto.state, cases[i].reason == REASON_NONE ? PROTO_READY : PROTO_FAILED);
    }
}

/* ---- inside TLS ---- */

Test(proto, sip_options)
{
    static const struct {
        const char *text;
        enum reason reason;
        const char *detail;
    } cases[] = {
        {"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", REASON_NONE, "SIP/2.0 200 OK"},
        {"\r\nSIP/2.0 100 Trying\r\nVia: x\r\n\r\nSIP/2.0 202 Well\r\n\r\n", REASON_NONE, "SIP/2.0 202 Well"},
        {"SIP/2.0 503 Full\r\nretry-after: 30\r\n\r\n", REASON_APP_OVERLOADED, "503 Full, retry-after: 30"},
        {"SIP/2.0 480 Away\r\n\r\n", REASON_APP_OVERLOADED, "480"},
        {"SIP/2.0 403 Forbidden\r\n\r\n", REASON_APP_REJECTED, "403 Forbidden"},
        {"SIP/2.0 407\r\n\r\n", REASON_APP_REJECTED, "407"},
        {"SIP/2.0 500 No\r\n\r\n", REASON_APP_REJECTED, "500"},
        {"SIP/2.0 301 There\r\n\r\n", REASON_APP_REJECTED, "301"},
        {"SIP/2.0 999 What\r\n\r\n", REASON_APP_PROTOCOL_ERROR, "999"},
        {"HTTP/1.1 400 Bad\r\n\r\n", REASON_APP_PROTOCOL_ERROR, "HTTP"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (size_t k = 0; k < 4; k++) {
            struct proto proto;
            start_inside(&proto, PROTO_SIP);
            const char *request = taken(&proto);
            cr_assert(strncmp(request, "OPTIONS sip:b.example SIP/2.0\r\nVia: SIP/2.0/TLS us.example;branch=z9hG4bK", 73) == 0);
            cr_assert(strstr(request, "From: <sip:fedwarden@a.example>;tag=") && strstr(request, "\r\n\r\n"));
            feed(&proto, cases[i].text, pieces[k]);
            cr_assert_eq(proto.reason, cases[i].reason, "case %zu: %s", i, proto.detail);
            cr_assert(strstr(proto.detail, cases[i].detail), "case %zu: %s", i, proto.detail);
        }
}

/* Headers that do not end leave the status as it is; no status at all is no answer. */
Test(proto, http_head)
{
    struct proto proto;
    start_inside(&proto, PROTO_HTTP);
    cr_assert(strncmp(taken(&proto), "HEAD / HTTP/1.1\r\nHost: b.example\r\n", 34) == 0);
    feed(&proto, "HTTP/1.1 301 Moved\r\nLocation: /", 5);
    cr_assert_eq(proto.state, PROTO_TALKING);
    proto_timeout(&proto);
    cr_assert_eq(proto.state, PROTO_READY);
    start_inside(&proto, PROTO_HTTP);
    feed(&proto, "HTTP/1.1 429 Slow\r\n", 5);
    proto_closed(&proto, false);
    cr_assert_eq(proto.reason, REASON_APP_OVERLOADED);
    start_inside(&proto, PROTO_HTTP);
    feed(&proto, "HTTP/1.1 404 None\r\n\r\n", 5);
    cr_assert_eq(proto.reason, REASON_APP_REJECTED);
    start_inside(&proto, PROTO_HTTP);
    proto_closed(&proto, false);
    cr_assert_eq(proto.reason, REASON_APP_PROTOCOL_ERROR);
    start_inside(&proto, PROTO_HTTP);
    proto_timeout(&proto);
    cr_assert_eq(proto.reason, REASON_APP_TIMEOUT);
}

Test(proto, stream_headers)
{
    char text[PROTO_OUTPUT];
    struct proto_names names = {.host = "us.example", .from = "a.example", .to = "b.example"};
    proto_stream_header(PROTO_XMPP, &names, text, sizeof text);
    cr_assert(strstr(text, "'jabber:server'") && strstr(text, " from='a.example' to='b.example'"));
    proto_stream_header(PROTO_XMPP_CLIENT, &names, text, sizeof text);
    cr_assert(strstr(text, "'jabber:client'") && !strstr(text, "from=") && strstr(text, " to='b.example'"));
    cr_assert_eq(proto_farewell(PROTO_LDAP, &names, false, text, sizeof text), 7);
    cr_assert_eq(proto_farewell(PROTO_SIP, &names, false, text, sizeof text), 0);
}

/* As `noise`, of every kind, before TLS and inside. */
Test(proto, noise_of_all)
{
    srandom(2);
    static const char alphabet[] = "0\x0c\x02\x01x\x0a\x04\x84 *+-.aOKSIP/2.0 HTTP/1.1 200\r\n\r\n<>/'=\x00\xff";
    for (int round = 0; round < 6000; round++) {
        struct proto proto;
        char data[64];
        enum proto_kind kind = 1 + (enum proto_kind)(round % PROTO_HTTP);
        if (kind >= PROTO_SIP || (kind != PROTO_LDAP && round / PROTO_HTTP % 2))
            start_inside(&proto, kind);
        else
            start(&proto, kind, "b.example");
        for (int part = 0; part < 8; part++) {
            for (size_t i = 0; i < sizeof data; i++)
                data[i] = alphabet[(size_t)random() % (sizeof alphabet - 1)];
            proto_feed(&proto, data, sizeof data);
        }
        proto_timeout(&proto);
        cr_assert_neq(proto.state, PROTO_TALKING);
        cr_assert_eq(proto.state == PROTO_FAILED, proto.reason != REASON_NONE);
        for (const char *c = proto.detail; *c; c++)
            cr_assert((unsigned char)*c >= ' ' && *c != 0x7f);
    }
}
