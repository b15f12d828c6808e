#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collect/proto.h"

#define STREAM "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' " \
               "id='x>y' from=\"b.example\" version='1.0'>"
#define TLS "xmlns='urn:ietf:params:xml:ns:xmpp-tls'"
#define OFFER "<stream:features><starttls " TLS "><required/></starttls></stream:features>"

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
        proto_start(&proto, PROTO_SMTP, "us.example");
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
    proto_start(&proto, PROTO_SMTP, "us.example");
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

    proto_start(&proto, PROTO_XMPP, "b.example");
    feed(&proto, STREAM OFFER, 5);
    const char text[] = "<proceed " TLS "/> ";
    proto_feed(&proto, text, sizeof text - 1);
    cr_assert_eq(proto.reason, REASON_TLS_PROTOCOL_VIOLATION);
}

Test(proto, smtp_is_bounded)
{
    struct proto proto;
    char line[PROTO_LINE + 8];
    proto_start(&proto, PROTO_SMTP, "us.example");
    memset(line, 'x', sizeof line);
    memcpy(line, "220-", 4);
    proto_feed(&proto, line, sizeof line);
    cr_assert_eq(proto.reason, REASON_APP_PROTOCOL_ERROR);

    proto_start(&proto, PROTO_SMTP, "us.example");
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
        proto_start(&proto, PROTO_XMPP, "b.example");
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
    proto_start(&proto, PROTO_XMPP, "b.example");
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
            proto_start(&proto, PROTO_XMPP, "b.example");
            feed(&proto, cases[i].text, pieces[k]);
            cr_assert_eq(proto.state, PROTO_FAILED, "case %zu", i);
            cr_assert_eq(proto.reason, cases[i].reason, "case %zu: %s: %s", i, reason_name(proto.reason), proto.detail);
        }
}

/* An attribute named in a value, or with a longer name, is no attribute; <proceed/> unasked is none. */
Test(proto, xmpp_is_not_fooled)
{
    struct proto proto;
    proto_start(&proto, PROTO_XMPP, "b.example");
    feed(&proto, "<stream:stream id=' version=\"1.0\"' xversion='1.0'>", 1);
    cr_assert_eq(proto.reason, REASON_TLS_START_TLS_NOT_OFFERED);
    proto_start(&proto, PROTO_XMPP, "b.example");
    feed(&proto, STREAM "<proceed " TLS "/>", 1);
    cr_assert_eq(proto.state, PROTO_TALKING);
    proto_start(&proto, PROTO_XMPP, "b.example");
    feed(&proto, STREAM OFFER "<proceed/>", 1);
    cr_assert_eq(proto.state, PROTO_TALKING);
}

Test(proto, xmpp_is_bounded)
{
    struct proto proto;
    char tag[PROTO_TAG + 8];
    proto_start(&proto, PROTO_XMPP, "b.example");
    memset(tag, 'x', sizeof tag);
    tag[0] = '<';
    proto_feed(&proto, tag, sizeof tag);
    cr_assert_eq(proto.reason, REASON_APP_PROTOCOL_ERROR);
    proto_start(&proto, PROTO_XMPP, "b.example");
    feed(&proto, STREAM, 100);
    for (size_t i = 0; i < 10 * PROTO_OCTETS && proto.state == PROTO_TALKING; i++)
        proto_feed(&proto, " ", 1);
    cr_assert_eq(proto.reason, REASON_APP_PROTOCOL_ERROR);
}

Test(proto, silence_and_ends)
{
    struct proto proto;
    proto_start(&proto, PROTO_SMTP, "us.example");
    proto_timeout(&proto);
    cr_assert_eq(proto.reason, REASON_APP_TIMEOUT);
    cr_assert(strstr(proto.detail, "the greeting"));
    proto = smtp_after(GREETING, EXTENSIONS, NULL);
    proto_timeout(&proto);
    cr_assert(strstr(proto.detail, "STARTTLS"));
    proto_start(&proto, PROTO_XMPP, "b.example");
    proto_closed(&proto, true);
    cr_assert_eq(proto.reason, REASON_TCP_RESET);
    proto_start(&proto, PROTO_XMPP, "b.example");
    feed(&proto, STREAM, 9);
    proto_closed(&proto, false);
    cr_assert_eq(proto.reason, REASON_APP_PROTOCOL_ERROR);
    proto_start(&proto, PROTO_XMPP, "b.example");
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
        proto_start(&proto, round % 2 ? PROTO_SMTP : PROTO_XMPP, "b.example");
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
    proto_farewell(PROTO_SMTP, "", false, text, sizeof text);
    cr_assert_str_eq(text, "QUIT\r\n");
    proto_farewell(PROTO_XMPP, "b.example", true, text, sizeof text);
    cr_assert_str_eq(text, "</stream:stream>");
    size_t length = proto_farewell(PROTO_XMPP, "b.example", false, text, sizeof text);
    cr_assert_eq(length, strlen(text));
    cr_assert(strstr(text, " to='b.example'") && strstr(text, "'1.0'></stream:stream>"));
}
