/* The messages of collect/dns.h: what is asked, and what each reply, sound or hostile, is judged to be. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collect/dns.h"

enum { QUESTION = 12, POINTER = 0xc000 }; /* where the name of the question stands; the mark of a pointer */
enum { SOA = 6, OPT = 41, EDE = 15 };

struct message {
    size_t length;
    uint8_t octets[65535];
};

static struct message reply;
static struct dns_answer answer;

static void put8(unsigned value)
{
    reply.octets[reply.length++] = (uint8_t)value;
}

static void put16(unsigned value)
{
    put8(value >> 8);
    put8(value & 0xff);
}

static void put32(uint32_t value)
{
    put16(value >> 16);
    put16(value & 0xffff);
}

static void put_text(const void *octets, size_t length)
{
    memcpy(reply.octets + reply.length, octets, length);
    reply.length += length;
}

/* An uncompressed name of plain labels; "" is the root. */
static void put_name(const char *name)
{
    while (*name != '\0') {
        size_t length = strcspn(name, ".");
        put8((unsigned)length);
        put_text(name, length);
        name += length + (name[length] == '.');
    }
    put8(0);
}

static void count_add(unsigned section, int add)
{
    unsigned at = 6 + 2 * section, count = (unsigned)(reply.octets[at] << 8 | reply.octets[at + 1]) + (unsigned)add;
    reply.octets[at] = (uint8_t)(count >> 8);
    reply.octets[at + 1] = (uint8_t)count;
}

/* Starts a reply to `name`, `type` with that rcode. */
static void start(const char *name, enum dns_type type, unsigned rcode)
{
    memset(&answer, 0xa5, sizeof answer);
    answer.type = type;
    strcpy(answer.name, name);
    reply.length = dns_write(reply.octets, sizeof reply.octets, 0x1234, name, type) - 11; /* without OPT */
    reply.octets[2] |= 0x80;
    reply.octets[3] = (uint8_t)(0x80 | rcode);
    reply.octets[11] = 0;
}

static size_t length_at;

static void fixed_begin(unsigned section, unsigned type, uint32_t ttl)
{
    count_add(section, 1);
    put16(type);
    put16(1);
    put32(ttl);
    length_at = reply.length;
    put16(0);
}

/* A record whose owner is the question; its data follows. */
static void record_begin(unsigned section, unsigned type, uint32_t ttl)
{
    put16(POINTER | QUESTION);
    fixed_begin(section, type, ttl);
}

static void record_begin_of(const char *owner, unsigned section, unsigned type, uint32_t ttl)
{
    put_name(owner);
    fixed_begin(section, type, ttl);
}

static void record_end(void)
{
    size_t length = reply.length - length_at - 2;
    reply.octets[length_at] = (uint8_t)(length >> 8);
    reply.octets[length_at + 1] = (uint8_t)length;
}

static void add_srv(uint32_t ttl, unsigned priority, unsigned weight, unsigned port, const char *target)
{
    record_begin(0, DNS_SRV, ttl);
    put16(priority);
    put16(weight);
    put16(port);
    put_name(target);
    record_end();
}

static void add_a(const char *owner, uint32_t ttl, uint32_t address)
{
    record_begin_of(owner, 0, DNS_A, ttl);
    put32(address);
    record_end();
}

static void add_alias(const char *owner, uint32_t ttl, const char *target)
{
    record_begin_of(owner, 0, DNS_CNAME, ttl);
    put_name(target);
    record_end();
}

static void add_soa(uint32_t ttl, uint32_t minimum)
{
    record_begin_of("example", 1, SOA, ttl);
    put_name("ns.example");
    put_name("hostmaster.example");
    put32(1), put32(2), put32(3), put32(4), put32(minimum);
    record_end();
}

static void opt_begin(unsigned rcode_high)
{
    put8(0);
    count_add(2, 1);
    put16(OPT);
    put16(1232);
    put32((uint32_t)rcode_high << 24);
    length_at = reply.length;
    put16(0);
}

static void put_ede(unsigned code, const char *text)
{
    put16(EDE);
    put16(2 + (unsigned)strlen(text));
    put16(code);
    put_text(text, strlen(text));
}

static void add_ede(unsigned code, const char *text)
{
    opt_begin(0);
    put_ede(code, text);
    record_end();
}

/* From a copy of exactly that size, so that a sanitizer sees each octet read beyond it. */
static bool judge_prefix(size_t length)
{
    uint8_t *copy = malloc(length + (length == 0));
    memcpy(copy, reply.octets, length);
    bool is_reply = dns_judge(&answer, copy, length);
    free(copy);
    return is_reply;
}

static void judged(enum reason reason)
{
    cr_assert(judge_prefix(reply.length), "%s: taken for no reply", answer.name);
    cr_expect_eq(answer.reason, reason, "%s: %s, expected %s (%s)", answer.name, reason_name(answer.reason),
                 reason_name(reason), answer.detail);
    cr_expect_eq(answer.reason == REASON_NONE, answer.detail[0] == '\0', "\"%s\"", answer.detail);
}

Test(dns, writes_the_query_to_the_octet)
{
    static const uint8_t expected[] = {
        0xbe, 0xef, 0x01, 0x20, 0, 1, 0, 0, 0, 0, 0, 1, 1, 'A', 7, 'e', 'x', 'a', 'm', 'p', 'l', 'e',
        0, 0, 33, 0, 1, 0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0,
    };
    uint8_t out[512];
    cr_assert_eq(dns_write(out, sizeof out, 0xbeef, "A.example", DNS_SRV), sizeof expected);
    cr_expect_arr_eq(out, expected, sizeof expected);
    cr_expect_eq(dns_write(out, sizeof out, 0xbeef, "A.example.", DNS_SRV), sizeof expected);
    cr_expect_arr_eq(out, expected, sizeof expected);
    cr_expect_eq(dns_write(out, sizeof expected, 0xbeef, "A.example", DNS_SRV), sizeof expected);
    cr_expect_eq(dns_write(out, sizeof expected - 1, 0xbeef, "A.example", DNS_SRV), 0);
    cr_expect_eq(dns_write(out, sizeof out, 0, ".", DNS_MX), 12 + 1 + 4 + 11);
}

Test(dns, writes_escapes_and_refuses_what_is_no_name)
{
    static const char *const bad[] = {"", "..", ".a", "a..b", "a..", "a\\", "\\25", "\\256", "\\9x1", "\\999",
                                      "0123456789012345678901234567890123456789012345678901234567890123.x"};
    uint8_t out[512];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_eq(dns_write(out, sizeof out, 0, bad[i], DNS_A), 0, "\"%s\"", bad[i]);
    cr_expect_eq(dns_write(out, sizeof out, 0, "\\046\\.\\000b.c", DNS_A), 12 + 8 + 4 + 11);
    cr_expect_arr_eq(out + 12, "\4..\0b\1c", 8);
    cr_expect_eq(dns_write(out, sizeof out, 0, "012345678901234567890123456789012345678901234567890123456789012",
                           DNS_A), 12 + 65 + 4 + 11);
}

/* Four labels whose lengths sum to 255 octets in wire form are the longest name; one more is none. */
Test(dns, a_name_has_at_most_255_octets)
{
    char name[OBSERVATION_NAME + 1];
    uint8_t out[512];
    memset(name, 'x', sizeof name);
    name[63] = name[127] = name[191] = '.';
    name[253] = '\0';
    cr_expect_eq(dns_write(out, sizeof out, 0, name, DNS_A), 12 + 255 + 4 + 11);
    start(name, DNS_A, 0);
    record_begin(0, DNS_A, 60);
    put32(0xc0000201);
    record_end();
    judged(REASON_NONE);
    name[253] = 'x', name[254] = '\0';
    cr_expect_eq(dns_write(out, sizeof out, 0, name, DNS_A), 0);
}

Test(dns, reads_addresses_sorted_and_once)
{
    start("H.example", DNS_A, 0);
    add_a("h.EXAMPLE", 300, 0xc0000203);
    add_a("h.example", 200, 0xc0000201);
    add_a("h.example", 400, 0xc0000203);
    add_a("other.example", 1, 0xc0000299);
    judged(REASON_NONE);
    cr_expect_eq(answer.address_count, 2);
    cr_expect_eq(answer.address_total, 2);
    cr_expect_eq(answer.addresses[0].family, ADDRESS_IPV4);
    cr_expect_arr_eq(answer.addresses[0].octets, "\xc0\0\2\1\0", 5);
    cr_expect_arr_eq(answer.addresses[1].octets, "\xc0\0\2\3\0", 5);
    cr_expect_eq(answer.ttl, 200);
    cr_expect_eq(answer.rcode, 0);
    cr_expect_eq(answer.ede, -1);
    cr_expect_not(answer.authentic);
    cr_expect_str_empty(answer.canonical);
}

Test(dns, reads_ipv6_and_the_ad_bit)
{
    start("h.example", DNS_AAAA, 0);
    reply.octets[3] |= 0x20;
    record_begin(0, DNS_AAAA, 60);
    put_text("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x35", 16);
    record_end();
    judged(REASON_NONE);
    cr_expect(answer.authentic);
    cr_expect_eq(answer.addresses[0].family, ADDRESS_IPV6);
    cr_expect_arr_eq(answer.addresses[0].octets, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x35", 16);
}

Test(dns, keeps_the_lowest_addresses_in_any_order)
{
    start("h.example", DNS_A, 0);
    for (uint32_t i = 0; i < 40; i++)
        add_a("h.example", 60, 0xc0000200 + (i * 7 + 3) % 40);
    judged(REASON_NONE);
    cr_expect_eq(answer.address_count, DNS_ADDRESSES_MAX);
    cr_expect_eq(answer.address_total, 40);
    for (size_t i = 0; i < DNS_ADDRESSES_MAX; i++)
        cr_expect_eq(answer.addresses[i].octets[3], i);
}

Test(dns, sorts_targets_by_priority_weight_and_host)
{
    start("_sip._tcp.example", DNS_SRV, 0);
    add_srv(300, 20, 0, 5061, "backup.example");
    add_srv(300, 10, 5, 5061, "c.example");
    add_srv(100, 10, 60, 5061, "b.example");
    add_srv(300, 10, 60, 5061, "A.Example");
    add_srv(300, 10, 60, 5061, "a.example");
    judged(REASON_NONE);
    static const char *const hosts[] = {"a.example", "b.example", "c.example", "backup.example"};
    cr_assert_eq(answer.target_count, 4);
    cr_expect_eq(answer.target_total, 4);
    for (size_t i = 0; i < 4; i++)
        cr_expect_str_eq(answer.targets[i].host, hosts[i]);
    cr_expect_eq(answer.targets[3].priority, 20);
    cr_expect_eq(answer.targets[0].weight, 60);
    cr_expect_eq(answer.targets[0].port, 5061);
    cr_expect_eq(answer.ttl, 100);
}

Test(dns, keeps_the_first_targets_of_the_order)
{
    char host[32];
    start("_sip._tcp.example", DNS_SRV, 0);
    for (unsigned i = 0; i < 50; i++) {
        snprintf(host, sizeof host, "h%u.example", i);
        add_srv(60, 49 - i, 0, 5061, host);
    }
    judged(REASON_NONE);
    cr_assert_eq(answer.target_count, DNS_TARGETS_MAX);
    cr_expect_eq(answer.target_total, 50);
    for (unsigned i = 0; i < DNS_TARGETS_MAX; i++)
        cr_expect_eq(answer.targets[i].priority, i);
    cr_expect_str_eq(answer.targets[0].host, "h49.example");
}

Test(dns, reads_mx)
{
    start("x.example", DNS_MX, 0);
    record_begin(0, DNS_MX, 60);
    put16(10);
    put8(2), put_text("mx", 2), put16(POINTER | QUESTION);
    record_end();
    judged(REASON_NONE);
    cr_expect_str_eq(answer.targets[0].host, "mx.x.example");
    cr_expect_eq(answer.targets[0].priority, 10);
    cr_expect_eq(answer.targets[0].port, 0);
}

Test(dns, the_root_as_only_target_denies_the_service)
{
    start("_sip._tcp.example", DNS_SRV, 0);
    add_srv(60, 0, 0, 0, "");
    judged(REASON_DNS_SERVICE_DENIED);
    cr_expect_eq(answer.target_count, 1);
    cr_expect_str_empty(answer.targets[0].host);
    cr_expect_eq(answer.ttl, 60);
    add_srv(60, 0, 0, 5061, "a.example");
    judged(REASON_NONE);
    cr_expect_eq(answer.target_count, 1);
    cr_expect_str_eq(answer.targets[0].host, "a.example");
    start("x.example", DNS_MX, 0);
    record_begin(0, DNS_MX, 60);
    put16(0);
    put8(0);
    record_end();
    judged(REASON_DNS_SERVICE_DENIED);
}

Test(dns, follows_aliases_in_any_order)
{
    start("a.example", DNS_A, 0);
    add_a("c.example", 300, 0xc0000201);
    add_alias("b.example", 50, "C.example");
    add_alias("a.example", 100, "b.example");
    judged(REASON_NONE);
    cr_expect_str_eq(answer.canonical, "c.example");
    cr_expect_eq(answer.address_count, 1);
    cr_expect_eq(answer.ttl, 50);
}

static void chain(unsigned aliases)
{
    char owner[32], target[32];
    start("n0.example", DNS_A, 0);
    for (unsigned i = 0; i < aliases; i++) {
        snprintf(owner, sizeof owner, "n%u.example", i);
        snprintf(target, sizeof target, "n%u.example", i + 1);
        add_alias(owner, 60, target);
    }
    snprintf(owner, sizeof owner, "n%u.example", aliases);
    add_a(owner, 60, 0xc0000201);
}

Test(dns, a_chain_has_a_longest_length)
{
    chain(DNS_ALIASES_MAX);
    judged(REASON_NONE);
    chain(DNS_ALIASES_MAX + 1);
    judged(REASON_DNS_LOOP);
    chain(1500);
    judged(REASON_DNS_LOOP);
}

Test(dns, a_circle_of_aliases_is_a_loop)
{
    start("a.example", DNS_A, 0);
    add_alias("a.example", 60, "A.example");
    judged(REASON_DNS_LOOP);
    start("a.example", DNS_SRV, 3);
    add_alias("a.example", 60, "b.example");
    add_alias("b.example", 60, "a.example");
    judged(REASON_DNS_LOOP);
    cr_expect_not_null(strstr(answer.detail, "circle"));
}

Test(dns, an_alias_is_an_answer_to_its_own_type)
{
    start("a.example", DNS_CNAME, 0);
    add_alias("a.example", 60, "b.example");
    judged(REASON_NONE);
    cr_expect_str_eq(answer.canonical, "b.example");
}

static void add_tlsa(unsigned usage, size_t octets)
{
    record_begin(0, DNS_TLSA, 60);
    put8(usage), put8(1), put8(2);
    for (size_t i = 0; i < octets; i++)
        put8((unsigned)i & 0xff);
    record_end();
}

Test(dns, reads_tlsa_records)
{
    start("_25._tcp.a.example", DNS_TLSA, 0);
    add_tlsa(3, 32);
    add_tlsa(2, DNS_TLSA_OCTETS);
    add_tlsa(1, DNS_TLSA_OCTETS + 1); /* counted only */
    judged(REASON_NONE);
    cr_expect_eq(answer.tlsa_total, 3);
    cr_assert_eq(answer.tlsa_count, 2);
    cr_expect_eq(answer.tlsa[0].usage, 3);
    cr_expect_eq(answer.tlsa[0].selector, 1);
    cr_expect_eq(answer.tlsa[0].matching, 2);
    cr_expect_eq(answer.tlsa[0].length, 32);
    cr_expect_eq(answer.tlsa[0].data[31], 31);
    cr_expect_eq(answer.tlsa[1].length, DNS_TLSA_OCTETS);
    for (size_t i = 0; i < DNS_TLSA_MAX; i++)
        add_tlsa(3, 32);
    judged(REASON_NONE);
    cr_expect_eq(answer.tlsa_count, DNS_TLSA_MAX);
    cr_expect_eq(answer.tlsa_total, 3 + DNS_TLSA_MAX);
    for (size_t octets = 0; octets < 2; octets++) {
        start("_25._tcp.a.example", DNS_TLSA, 0);
        add_tlsa(3, octets);
        judged(octets == 0 ? REASON_DNS_MALFORMED : REASON_NONE);
    }
}

Test(dns, tells_no_data_from_no_name)
{
    start("a.example", DNS_SRV, 0);
    add_soa(3600, 600);
    judged(REASON_DNS_NO_DATA);
    cr_expect_eq(answer.ttl, 600);
    cr_expect_eq(answer.rcode, 0);
    cr_expect_str_eq(answer.detail, "no SRV record");

    start("a.example", DNS_SRV, 3);
    add_soa(30, 600);
    judged(REASON_DNS_NX_DOMAIN);
    cr_expect_eq(answer.ttl, 30);
    cr_expect_eq(answer.rcode, 3);
    cr_expect_str_eq(answer.detail, "NXDOMAIN");

    start("a.example", DNS_A, 3);
    judged(REASON_DNS_NX_DOMAIN);
    cr_expect_eq(answer.ttl, 0);
}

Test(dns, a_missing_alias_target_is_named)
{
    start("a.example", DNS_A, 3);
    add_alias("a.example", 60, "gone.example");
    add_soa(300, 300);
    judged(REASON_DNS_NX_DOMAIN);
    cr_expect_str_eq(answer.canonical, "gone.example");
    cr_expect_str_eq(answer.detail, "NXDOMAIN at its alias gone.example");
    cr_expect_eq(answer.ttl, 60);
}

Test(dns, each_rcode_has_its_reason)
{
    static const struct {
        unsigned high, low;
        enum reason reason;
    } rows[] = {
        {0, 1, REASON_DNS_MALFORMED},       {0, 2, REASON_DNS_SERV_FAIL}, {0, 3, REASON_DNS_NX_DOMAIN},
        {0, 4, REASON_DNS_NOT_IMPLEMENTED}, {0, 5, REASON_DNS_REFUSED},   {0, 9, REASON_DNS_OTHER},
        {0, 15, REASON_DNS_OTHER},          {1, 0, REASON_DNS_OTHER},     {1, 3, REASON_DNS_OTHER},
        {255, 15, REASON_DNS_OTHER},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        start("a.example", DNS_A, rows[i].low);
        opt_begin(rows[i].high);
        record_end();
        judged(rows[i].reason);
        cr_expect_eq(answer.rcode, (int)(rows[i].high << 4 | rows[i].low));
    }
}

Test(dns, extended_errors_refine_the_reason)
{
    static const struct {
        unsigned rcode, ede;
        enum reason reason;
    } rows[] = {
        {2, 6, REASON_DNS_BOGUS},       {2, 9, REASON_DNS_BOGUS},     {2, 7, REASON_DNS_SIGNATURE_EXPIRED},
        {2, 22, REASON_DNS_UNREACHABLE_AUTHORITY},                    {2, 23, REASON_DNS_UNREACHABLE_AUTHORITY},
        {2, 0, REASON_DNS_SERV_FAIL},   {2, 13, REASON_DNS_SERV_FAIL}, {2, 65535, REASON_DNS_SERV_FAIL},
        {3, 15, REASON_DNS_FILTERED},   {0, 17, REASON_DNS_FILTERED}, {5, 16, REASON_DNS_FILTERED},
        {5, 18, REASON_DNS_REFUSED},    {2, 18, REASON_DNS_FILTERED}, {3, 22, REASON_DNS_NX_DOMAIN},
        {3, 19, REASON_DNS_NX_DOMAIN},  {5, 6, REASON_DNS_REFUSED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        start("a.example", DNS_A, rows[i].rcode);
        add_ede(rows[i].ede, "why\n\x80");
        judged(rows[i].reason);
        cr_expect_eq(answer.ede, (int)rows[i].ede);
        cr_expect_str_eq(answer.ede_text, "why\\x0a\\x80");
        cr_expect_not_null(strstr(answer.detail, "(EDE "));
    }
}

Test(dns, the_extended_error_that_says_most_stands)
{
    start("a.example", DNS_A, 2);
    opt_begin(0);
    put16(10), put16(8), put_text("cookie!!", 8);
    put_ede(13, "cached");
    put_ede(6, "bogus");
    put_ede(22, "later");
    record_end();
    judged(REASON_DNS_BOGUS);
    cr_expect_eq(answer.ede, 6);
    cr_expect_str_eq(answer.ede_text, "bogus");
}

Test(dns, an_extended_error_does_not_spoil_an_answer)
{
    start("a.example", DNS_A, 0);
    add_a("a.example", 60, 0xc0000201);
    add_ede(3, "stale");
    judged(REASON_NONE);
    cr_expect_eq(answer.ede, 3);
}

Test(dns, a_long_extra_text_is_cut)
{
    char text[2000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    start("a.example", DNS_A, 2);
    add_ede(22, text);
    judged(REASON_DNS_UNREACHABLE_AUTHORITY);
    cr_expect_eq(strlen(answer.ede_text), sizeof answer.ede_text - 1);
}

Test(dns, bad_options_are_malformed)
{
    start("a.example", DNS_A, 0);
    add_a("a.example", 60, 0xc0000201);
    opt_begin(0), record_end();
    opt_begin(0), record_end();
    judged(REASON_DNS_MALFORMED); /* two OPT records, RFC 6891 */

    start("a.example", DNS_A, 2);
    record_begin(2, OPT, 0); /* not at the root */
    record_end();
    judged(REASON_DNS_MALFORMED);

    start("a.example", DNS_A, 2);
    opt_begin(0);
    put16(EDE), put16(9), put16(6); /* longer than the record */
    record_end();
    judged(REASON_DNS_MALFORMED);

    start("a.example", DNS_A, 2);
    opt_begin(0);
    put16(EDE), put16(1), put8(6); /* no room for the code */
    record_end();
    judged(REASON_DNS_MALFORMED);

    start("a.example", DNS_A, 2);
    opt_begin(0);
    put16(EDE), put8(0); /* no room for the length */
    record_end();
    judged(REASON_DNS_MALFORMED);
}

Test(dns, truncated_replies_are_no_answer)
{
    start("a.example", DNS_A, 0);
    add_a("a.example", 60, 0xc0000201);
    reply.octets[2] |= 0x02;
    judged(REASON_DNS_MALFORMED);
    cr_expect_str_eq(answer.detail, "truncated reply");
    cr_expect_eq(answer.address_count, 0);
}

Test(dns, a_reply_to_something_else_is_none)
{
    start("a.example", DNS_A, 0);
    add_a("a.example", 60, 0xc0000201);
    strcpy(answer.name, "b.example");
    cr_expect_not(judge_prefix(reply.length));
    strcpy(answer.name, "a.example");
    answer.type = DNS_AAAA;
    cr_expect_not(judge_prefix(reply.length));
    answer.type = DNS_A;
    cr_expect(judge_prefix(reply.length));
    strcpy(answer.name, "A.EXAMPLE.");
    cr_expect(judge_prefix(reply.length));

    static const struct {
        size_t at;
        uint8_t flip;
    } flips[] = {{2, 0x80}, {2, 0x08}, {2, 0x40}, {4, 1}, {5, 1}, {5, 2}, {25, 1}, {26, 2}};
    for (size_t i = 0; i < sizeof flips / sizeof *flips; i++) { /* QR, opcode, number of questions, type, class */
        reply.octets[flips[i].at] ^= flips[i].flip;
        cr_expect_not(judge_prefix(reply.length), "octet %zu", flips[i].at);
        cr_expect_eq(answer.rcode, -1);
        reply.octets[flips[i].at] ^= flips[i].flip;
    }
    strcpy(answer.name, "");
    cr_expect_not(judge_prefix(reply.length));
}

Test(dns, records_of_another_class_or_type_are_no_answer)
{
    start("a.example", DNS_A, 0);
    add_a("a.example", 60, 0xc0000201);
    reply.octets[length_at - 5] = 3; /* the class is now CHAOS */
    judged(REASON_DNS_NO_DATA);
    start("a.example", DNS_AAAA, 0);
    add_a("a.example", 60, 0xc0000201);
    judged(REASON_DNS_NO_DATA);
}

Test(dns, data_of_the_wrong_size_is_malformed)
{
    for (unsigned size = 0; size < 20; size++) {
        start("a.example", DNS_A, 0);
        record_begin(0, DNS_A, 60);
        put_text("01234567890123456789", size);
        record_end();
        judged(size == 4 ? REASON_NONE : REASON_DNS_MALFORMED);
        start("a.example", DNS_AAAA, 0);
        record_begin(0, DNS_AAAA, 60);
        put_text("01234567890123456789", size);
        record_end();
        judged(size == 16 ? REASON_NONE : REASON_DNS_MALFORMED);
    }
    start("a.example", DNS_SRV, 0);
    add_srv(60, 1, 2, 3, "h.example");
    put8(0); /* one octet behind the target */
    record_end();
    judged(REASON_DNS_MALFORMED);
    start("a.example", DNS_SRV, 0);
    record_begin(0, DNS_SRV, 60);
    put16(1), put16(2), put16(3);
    record_end();
    judged(REASON_DNS_MALFORMED);
    start("a.example", DNS_SRV, 0);
    record_begin(0, DNS_SRV, 60);
    put16(1), put16(2), put16(3), put8(60); /* the label runs out of the record, though not out of the reply */
    record_end();
    add_a("b.example", 60, 1);
    add_a("c.example", 60, 1);
    add_a("d.example", 60, 1);
    judged(REASON_DNS_MALFORMED);
}

/* Whatever is put where a name is expected must be refused, and end. */
static void bad_target(const void *octets, size_t length)
{
    start("a.example", DNS_SRV, 0);
    record_begin(0, DNS_SRV, 60);
    put16(1), put16(2), put16(3);
    put_text(octets, length);
    record_end();
    judged(REASON_DNS_MALFORMED);
}

Test(dns, pointers_lead_only_backwards)
{
    size_t target = QUESTION + 11 + 4 + 12 + 6; /* where the target of the SRV stands */
    uint8_t self[] = {(uint8_t)(0xc0 | target >> 8), (uint8_t)target};
    uint8_t ahead[] = {(uint8_t)(0xc0 | target >> 8), (uint8_t)(target + 2), 0};
    uint8_t circle[] = {1, 'x', (uint8_t)(0xc0 | target >> 8), (uint8_t)target};
    uint8_t ends[] = {0xc0};
    uint8_t header[] = {0xc0, 4};
    uint8_t far[] = {0xff, 0xff};
    uint8_t reserved[] = {0x41, 'x', 0}, reserved_too[] = {0x81, 'x', 0};
    start("a.example", DNS_SRV, 0);
    cr_assert_eq(reply.length + 12 + 6, target);
    bad_target(self, sizeof self);
    bad_target(ahead, sizeof ahead);
    bad_target(circle, sizeof circle);
    bad_target(ends, sizeof ends);
    bad_target(header, sizeof header);
    bad_target(far, sizeof far);
    bad_target(reserved, sizeof reserved);
    bad_target(reserved_too, sizeof reserved_too);
}

/* Each record's owner points to the one before it: more pointers than a name can have labels are refused. */
static void pointers(unsigned count)
{
    size_t before = QUESTION;
    start("a.example", DNS_A, 0);
    for (unsigned i = 0; i < count; i++) {
        size_t here = reply.length;
        put16(POINTER | (unsigned)before);
        fixed_begin(0, DNS_A, 60);
        put32(0xc0000201);
        record_end();
        before = here;
    }
}

Test(dns, chains_of_pointers_have_a_longest_length)
{
    pointers(127);
    judged(REASON_NONE);
    cr_expect_eq(answer.address_count, 1);
    pointers(128);
    judged(REASON_DNS_MALFORMED);
    pointers(1000);
    judged(REASON_DNS_MALFORMED);
}

/* Labels that lead on, by a pointer, to more than fit behind them. */
Test(dns, a_name_that_grows_too_long_is_malformed)
{
    start("a.example", DNS_A, 0);
    size_t first = reply.length;
    for (unsigned i = 0; i < 100; i++)
        put8(1), put8('x');
    put8(0);
    fixed_begin(0, DNS_A, 60);
    put32(1);
    record_end();
    judged(REASON_DNS_NO_DATA); /* 201 octets are a name */
    for (unsigned i = 0; i < 28; i++)
        put8(1), put8('y');
    put16(POINTER | (unsigned)first);
    fixed_begin(0, DNS_A, 60);
    put32(1);
    record_end();
    judged(REASON_DNS_MALFORMED); /* 257 are none */
}

Test(dns, hostile_labels_are_escaped)
{
    start("a.example", DNS_SRV, 0);
    record_begin(0, DNS_SRV, 60);
    put16(1), put16(2), put16(3);
    put8(10), put_text("e.x\n\0\\\"\xff Z", 10);
    put_name("example");
    record_end();
    judged(REASON_NONE);
    cr_expect_str_eq(answer.targets[0].host, "e\\046x\\010\\000\\092\\034\\255\\032z.example");
    uint8_t out[512];
    cr_expect_eq(dns_write(out, sizeof out, 0, answer.targets[0].host, DNS_A), 12 + 11 + 9 + 4 + 11);
    cr_expect_arr_eq(out + 12, "\12e.x\n\0\\\"\xff z\7example", 20);
}

/* A name of 255 octets that would need 1004 characters is not shown cut, as another name. */
Test(dns, a_target_that_cannot_be_written_is_not_used)
{
    start("a.example", DNS_SRV, 0);
    record_begin(0, DNS_SRV, 60);
    put16(1), put16(2), put16(3);
    for (int i = 0; i < 2; i++) {
        put8(63);
        for (int k = 0; k < 63; k++)
            put8(0x80);
    }
    put8(0);
    record_end();
    judged(REASON_DNS_MALFORMED);
    add_srv(60, 9, 9, 9, "good.example");
    judged(REASON_NONE);
    cr_expect_eq(answer.target_count, 1);
    cr_expect_eq(answer.target_total, 2);
}

Test(dns, counts_that_lie_are_malformed)
{
    for (unsigned section = 0; section < 3; section++) {
        start("a.example", DNS_A, 0);
        add_a("a.example", 60, 0xc0000201);
        count_add(section, 1);
        judged(REASON_DNS_MALFORMED);
        count_add(section, 60000);
        judged(REASON_DNS_MALFORMED);
        cr_expect_eq(answer.address_count, 0);
    }
    start("a.example", DNS_A, 0);
    add_a("a.example", 60, 0xc0000201);
    count_add(0, -1);
    judged(REASON_DNS_NO_DATA);
}

Test(dns, a_ttl_beyond_31_bits_is_zero)
{
    start("a.example", DNS_A, 0);
    add_a("a.example", 0x80000000, 0xc0000201);
    judged(REASON_NONE);
    cr_expect_eq(answer.ttl, 0);
}

/* Cut anywhere, a rich reply is malformed, or none at all where the question is not whole. */
Test(dns, every_prefix_is_refused)
{
    start("_sip._tcp.x.example", DNS_SRV, 0);
    size_t question_end = reply.length;
    add_alias("_sip._tcp.x.example", 60, "y.example");
    record_begin_of("y.example", 0, DNS_SRV, 60);
    put16(1), put16(2), put16(3), put_name("h.example");
    record_end();
    add_soa(60, 60);
    add_ede(22, "text");
    judged(REASON_NONE);
    cr_expect_eq(answer.target_count, 1);
    for (size_t length = 0; length < reply.length; length++) {
        cr_expect_eq(judge_prefix(length), length >= question_end, "%zu octets", length);
        cr_expect_eq(answer.reason, REASON_DNS_MALFORMED, "%zu octets", length);
        cr_expect_eq(answer.target_count, 0);
    }
}

/* Each octet of a rich reply set to each value: nothing but an end is asked for; a sanitizer watches. */
Test(dns, every_changed_octet_ends)
{
    start("a.example", DNS_SRV, 0);
    add_alias("a.example", 60, "b.example");
    add_srv(60, 1, 2, 3, "h.example");
    add_soa(60, 60);
    add_ede(6, "t");
    for (size_t at = 0; at < reply.length; at++) {
        uint8_t kept = reply.octets[at];
        for (unsigned value = 0; value < 256; value++) {
            reply.octets[at] = (uint8_t)value;
            judge_prefix(reply.length);
            cr_assert(answer.target_count <= DNS_TARGETS_MAX && strlen(answer.detail) < sizeof answer.detail);
        }
        reply.octets[at] = kept;
    }
}

Test(dns, names_types_and_rcodes)
{
    cr_expect_str_eq(dns_type_name(DNS_SRV), "SRV");
    cr_expect_str_eq(dns_type_name(DNS_TLSA), "TLSA");
    cr_expect_str_eq(dns_rcode_name(2), "SERVFAIL");
    cr_expect_str_eq(dns_rcode_name(16), "BADVERS");
    cr_expect_str_eq(dns_rcode_name(-1), dns_rcode_name(4095));
}
