/*
 * How fast an agent is walked: a bare SNMPv2c client that asks GETBULK after GETBULK and does nothing with the values
 * but count them. Prints one line of JSON: {"varbinds":N,"messages":N,"seconds":S,"rate":N,"retries":N}.
 *
 *   tests/bench/walker PORT OID REPETITIONS [COLUMNS]
 *
 * Walks all of OID at 127.0.0.1 with community "public"; with COLUMNS, OID is an entry and its columns 2 to COLUMNS + 1
 * are walked side by side.
 *
 * To compare, pin agent, snmpd and walker to one CPU (taskset -c 1), run the agents in turns and take medians:
 *   tests/snmp/serve --mode standalone --partners 10000 ...      walker PORT 1.3.6.1.4.1.8072.9999.9999.1.1.4.1 50
 *   tests/bench/tdata standalone udp:127.0.0.1:PORT 10000        walker PORT 1.3.6.1.4.1.8072.9999.9999.77.1 50
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define COLUMNS_MAX     64
#define NAME_MAX_OCTETS 120
#define PATIENCE        5000 /* milliseconds */

enum {
    BER_INTEGER = 2,
    BER_OCTETS = 4,
    BER_NULL = 5,
    BER_OID = 6,
    BER_SEQUENCE = 0x30,
    GETBULK = 0xa5,
    END_OF_VIEW = 0x82
};

struct name { /* an encoded object identifier, without tag and length */
    uint8_t octets[NAME_MAX_OCTETS];
    size_t length;
};

struct writer {
    uint8_t *at; /* everything is written backwards, so that lengths are known */
};

struct reader {
    const uint8_t *at, *end;
};

static int server;
static uint32_t request_id = 1;
static unsigned long retries;

static void fail(const char *what)
{
    fprintf(stderr, "walker: %s\n", what);
    exit(1);
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void encode_part(struct name *name, uint32_t part)
{
    uint8_t groups[5];
    size_t count = 0;
    do
        groups[count++] = part & 0x7f;
    while (part >>= 7);
    while (count--)
        name->octets[name->length++] = (uint8_t)(groups[count] | (count ? 0x80 : 0));
}

static struct name encode_name(const char *text)
{
    struct name name = {.length = 0};
    char *end;
    uint32_t first = (uint32_t)strtoul(text, &end, 10);
    if (*end != '.')
        fail("the OID is to be written as numbers");
    encode_part(&name, first * 40 + (uint32_t)strtoul(end + 1, &end, 10));
    while (*end == '.' && name.length + 5 < NAME_MAX_OCTETS - 10)
        encode_part(&name, (uint32_t)strtoul(end + 1, &end, 10));
    return name;
}

static void put_octets(struct writer *writer, const void *octets, size_t length)
{
    writer->at -= length;
    memcpy(writer->at, octets, length);
}

static void put_head(struct writer *writer, uint8_t tag, const uint8_t *end)
{
    size_t length = (size_t)(end - writer->at);
    uint8_t head[4] = {tag, 0x82, (uint8_t)(length >> 8), (uint8_t)length};
    put_octets(writer, head, sizeof head);
}

static void put_integer(struct writer *writer, uint32_t value)
{
    uint8_t integer[6] = {BER_INTEGER,   4, (uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
                          (uint8_t)value};
    put_octets(writer, integer, sizeof integer);
}

/* Writes a GetBulk of these names to the end of `room`; returns where it begins. */
static const uint8_t *build(uint8_t *room, size_t size, const struct name *names, size_t count, uint32_t repetitions)
{
    uint8_t *end = room + size;
    struct writer writer = {end};
    for (size_t i = count; i-- > 0;) {
        uint8_t *varbind_end = writer.at;
        put_octets(&writer, (uint8_t[]){BER_NULL, 0}, 2);
        put_octets(&writer, names[i].octets, names[i].length);
        put_octets(&writer, (uint8_t[]){BER_OID, (uint8_t)names[i].length}, 2);
        put_head(&writer, BER_SEQUENCE, varbind_end);
    }
    put_head(&writer, BER_SEQUENCE, end);
    put_integer(&writer, repetitions);
    put_integer(&writer, 0);
    put_integer(&writer, request_id);
    put_head(&writer, GETBULK, end);
    put_octets(&writer, "\x04\x06public", 8);
    put_octets(&writer, "\x02\x01\x01", 3);
    put_head(&writer, BER_SEQUENCE, end);
    return writer.at;
}

/* Reads a tag and a length: the reader is then at the content, whose end is returned. */
static struct reader open_value(struct reader *reader, int *tag)
{
    if (reader->end - reader->at < 2)
        fail("a truncated answer");
    *tag = *reader->at++;
    size_t length = *reader->at++;
    if (length & 0x80) {
        size_t octets = length & 0x7f;
        length = 0;
        while (octets-- && reader->at < reader->end)
            length = length << 8 | *reader->at++;
    }
    if (length > (size_t)(reader->end - reader->at))
        fail("a length beyond the answer");
    struct reader content = {reader->at, reader->at + length};
    reader->at += length;
    return content;
}

static uint32_t read_integer(struct reader *reader)
{
    int tag;
    uint32_t value = 0;
    struct reader content = open_value(reader, &tag);
    while (content.at < content.end)
        value = value << 8 | *content.at++;
    return value;
}

/* Opens the varbind list of an answer to the current request; false: it answers another one. */
static bool open_answer(const uint8_t *message, size_t length, struct reader *varbinds)
{
    int tag;
    struct reader whole = {message, message + length}, body = open_value(&whole, &tag);
    read_integer(&body);
    open_value(&body, &tag);
    struct reader pdu = open_value(&body, &tag);
    if (read_integer(&pdu) != request_id)
        return false;
    if (read_integer(&pdu) != 0)
        fail("the agent answers with an error");
    read_integer(&pdu);
    *varbinds = open_value(&pdu, &tag);
    return true;
}

static void exchange(const struct name *names, size_t count, uint32_t repetitions, struct reader *varbinds)
{
    static uint8_t request[16384], answer[65536];
    request_id++;
    const uint8_t *begin = build(request, sizeof request, names, count, repetitions);
    for (int attempt = 0; attempt < 3; attempt++, retries++) {
        if (send(server, begin, (size_t)(request + sizeof request - begin), 0) < 0)
            fail("cannot send");
        struct pollfd wait = {.fd = server, .events = POLLIN};
        while (poll(&wait, 1, PATIENCE) > 0) {
            ssize_t length = recv(server, answer, sizeof answer, 0);
            if (length < 0)
                fail("nobody listens there");
            if (open_answer(answer, (size_t)length, varbinds))
                return;
        }
    }
    fail("no answer");
}

int main(int argc, char **argv)
{
    if (argc < 4)
        fail("usage: walker PORT OID REPETITIONS [COLUMNS]");
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    uint32_t repetitions = (uint32_t)atoi(argv[3]);
    size_t columns = argc > 4 ? (size_t)atoi(argv[4]) : 0, count = columns ? columns : 1;
    if (count > COLUMNS_MAX)
        fail("too many columns");
    struct name within[COLUMNS_MAX], names[COLUMNS_MAX];
    for (size_t i = 0; i < count; i++) {
        within[i] = encode_name(argv[2]);
        if (columns)
            encode_part(&within[i], (uint32_t)i + 2);
        names[i] = within[i];
    }
    server = socket(AF_INET, SOCK_DGRAM, 0);
    if (connect(server, (struct sockaddr *)&address, sizeof address) < 0)
        fail("cannot connect");

    unsigned long varbinds = 0, messages = 0;
    double begun = seconds();
    for (bool more = true; more; messages++) {
        struct reader list;
        exchange(names, count, repetitions, &list);
        more = false;
        for (size_t i = 0; list.at < list.end; i = (i + 1) % count) {
            int tag;
            struct reader varbind = open_value(&list, &tag), name = open_value(&varbind, &tag);
            size_t length = (size_t)(name.end - name.at);
            open_value(&varbind, &tag);
            bool inside = tag != END_OF_VIEW && length > within[i].length && length < NAME_MAX_OCTETS &&
                          memcmp(name.at, within[i].octets, within[i].length) == 0;
            if (!inside) {
                if (count == 1) {
                    more = false;
                    break;
                }
                continue;
            }
            varbinds++;
            more = true;
            memcpy(names[i].octets, name.at, length);
            names[i].length = length;
        }
    }
    double taken = seconds() - begun;
    printf("{\"varbinds\":%lu,\"messages\":%lu,\"seconds\":%.4f,\"rate\":%.0f,\"retries\":%lu}\n", varbinds, messages,
           taken, (double)varbinds / taken, retries);
    return 0;
}
