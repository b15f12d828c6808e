/*
 * libFuzzer: dns_judge of hostile replies, and dns_write of hostile names.
 *
 *   clang -std=gnu11 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -Iinclude \
 *       tests/fuzz/fuzz_dns.c agent/collect/dns_packet.c agent/base/text.c -o fuzz_dns
 *   ./fuzz_dns -max_total_time=300 -max_len=2048 CORPUS tests/fuzz/seeds/dns
 *
 * The input is a reply. Name and type of the question are taken from it, so that the fuzzer need not guess them; when it
 * has no whole question the judgement must be that it is no reply.
 */

#include <stdlib.h>
#include <string.h>

#include "collect/dns.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool text_sound(const char *text, size_t room)
{
    size_t length = strnlen(text, room);
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return false;
    }
    return length < room;
}

static bool name_sound(const char *name)
{
    return text_sound(name, OBSERVATION_NAME) && strpbrk(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ \"';") == NULL;
}

/* The question as text: 0 when it is not there in plain labels. */
static unsigned question_copy(const uint8_t *data, size_t size, char name[OBSERVATION_NAME])
{
    size_t at = 12, length = 0;
    while (at < size && data[at] != 0) {
        size_t label = data[at++];
        if (label > 63 || size - at < label)
            return 0;
        for (size_t i = 0; i < label; i++) {
            if (length + 6 > OBSERVATION_NAME)
                return 0;
            unsigned octet = data[at++];
            name[length++] = '\\';
            name[length++] = (char)('0' + octet / 100);
            name[length++] = (char)('0' + octet / 10 % 10);
            name[length++] = (char)('0' + octet % 10);
        }
        name[length++] = '.';
    }
    if (length == 0)
        name[length++] = '.';
    name[length] = '\0';
    return at < size && size - at >= 5 ? (unsigned)(data[at + 1] << 8 | data[at + 2]) : 0;
}

static void answer_check(const struct dns_answer *answer, bool is_reply)
{
    require(answer->target_count <= DNS_TARGETS_MAX && answer->target_count <= answer->target_total);
    require(answer->address_count <= DNS_ADDRESSES_MAX && answer->address_count <= answer->address_total);
    require(answer->tlsa_count <= DNS_TLSA_MAX && answer->tlsa_count <= answer->tlsa_total);
    for (size_t i = 0; i < answer->tlsa_count; i++)
        require(answer->tlsa[i].length > 0 && answer->tlsa[i].length <= DNS_TLSA_OCTETS);
    require(is_reply || (answer->rcode == -1 && answer->reason == REASON_DNS_MALFORMED));
    require((answer->reason == REASON_NONE) == (answer->detail[0] == '\0'));
    require(answer->reason != REASON_NONE || answer->rcode == 0);
    require(name_sound(answer->canonical));
    require(text_sound(answer->ede_text, sizeof answer->ede_text));
    require(text_sound(answer->detail, sizeof answer->detail));
    for (size_t i = 0; i < answer->target_count; i++) {
        uint8_t message[512];
        const struct dns_target *target = &answer->targets[i];
        require(name_sound(target->host));
        require(target->host[0] != '\0' || answer->reason == REASON_DNS_SERVICE_DENIED);
        require(target->host[0] == '\0' || dns_write(message, sizeof message, 0, target->host, DNS_A) > 0);
        require(i == 0 || answer->targets[i - 1].priority <= target->priority);
    }
    for (size_t i = 1; i < answer->address_count; i++)
        require(memcmp(answer->addresses[i - 1].octets, answer->addresses[i].octets, 16) < 0);
}

static void write_check(const uint8_t *data, size_t size)
{
    char name[512];
    uint8_t message[512];
    size_t length = size < sizeof name - 1 ? size : sizeof name - 1;
    memcpy(name, data, length);
    name[length] = '\0';
    size_t written = dns_write(message, sizeof message, 1, name, DNS_SRV);
    require(written == 0 || (written >= 28 && written <= 12 + 255 + 4 + 11));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum dns_type types[] = {DNS_A, DNS_CNAME, DNS_MX, DNS_TXT, DNS_AAAA, DNS_SRV, DNS_TLSA};
    struct dns_answer answer;
    memset(&answer, 0xa5, sizeof answer);
    answer.type = DNS_A;
    unsigned type = question_copy(data, size, answer.name);
    bool known = false;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        known = known || types[i] == type;
    if (known)
        answer.type = type;
    bool is_reply = dns_judge(&answer, data, size);
    require(known || !is_reply);
    answer_check(&answer, is_reply);
    write_check(data, size);
    return 0;
}
