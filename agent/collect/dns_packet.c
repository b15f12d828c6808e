/*
 * DNS messages (RFC 1035): the query that is sent and the judgement of the reply. Pure: no I/O, no clock, no allocation.
 *
 * A name is compared in its wire form, uncompressed and in lower case, so that no label can be mistaken for another one;
 * text is made only of what is kept. Reading a name ends because each compression pointer must lead to before the
 * labels that it was found behind, because a name has at most 255 octets, and because more pointers than a name can
 * have labels are refused: without that a reply of 64 KiB could cost a tenth of a second.
 *
 * A reply is walked twice: once over all records, which proves its structure and finds OPT and SOA, and once over the
 * answers alone for those that belong to the question. Aliases are followed within the reply, at most DNS_ALIASES_MAX.
 *
 * Targets and addresses are kept sorted and without duplicates while they are read, so that the ones kept of a large set
 * do not depend on the order in which a resolver happens to rotate them.
 */

#include "collect/dns.h"

#include <string.h>

#include "base/text.h"

#define HEADER_SIZE 12
#define NAME_OCTETS 255 /* RFC 1035, 2.3.4, with the root label */
#define LABEL_OCTETS 63
#define EDNS_SIZE 1232 /* fits one unfragmented packet on every path */
#define OPT_SIZE 11
#define CLASS_IN 1
#define TYPE_SOA 6
#define TYPE_OPT 41
#define OPTION_EDE 15

enum { FLAG_REPLY = 0x80, FLAG_OPCODE = 0x78, FLAG_TRUNCATED = 0x02, FLAG_RECURSION_DESIRED = 0x01 }; /* octet 2 */
enum { FLAG_AUTHENTIC = 0x20, FLAG_RCODE = 0x0f };                                                    /* octet 3 */

enum rcode { FORMERR = 1, SERVFAIL = 2, NXDOMAIN = 3, NOTIMP = 4, REFUSED = 5 };

struct name {
    size_t length; /* with the root label */
    uint8_t octets[NAME_OCTETS];
};

struct packet {
    const uint8_t *octets;
    size_t length;
    size_t at; /* reading position, at most length */
};

struct record {
    struct name owner;
    uint16_t type;
    uint16_t class;
    uint32_t ttl;
    size_t data; /* position of its data */
    size_t length;
};

/* What a walk over the whole reply found. */
struct sections {
    size_t answers; /* position of the first record */
    uint16_t answer_count;
    bool aliases; /* there is at least one CNAME */
    bool opt;
    uint8_t rcode_high;
    bool soa;
    uint32_t negative_ttl;
};

static uint8_t lower(uint8_t octet)
{
    return octet >= 'A' && octet <= 'Z' ? octet + ('a' - 'A') : octet;
}

static uint16_t get16(const uint8_t *octets)
{
    return (uint16_t)(octets[0] << 8 | octets[1]);
}

static uint32_t get32(const uint8_t *octets)
{
    return (uint32_t)get16(octets) << 16 | get16(octets + 2);
}

static void put16(uint8_t *octets, unsigned value)
{
    octets[0] = (uint8_t)(value >> 8);
    octets[1] = (uint8_t)value;
}

static bool name_equal(const struct name *a, const struct name *b)
{
    return a->length == b->length && memcmp(a->octets, b->octets, a->length) == 0;
}

/* Reads one character of a name in presentation form, with its escapes; -1 when it is none. */
static int character_parse(const char **text)
{
    const char *at = *text;
    if (*at != '\\') {
        ++*text;
        return (uint8_t)*at;
    }
    if (at[1] < '0' || at[1] > '9') {
        *text += at[1] == '\0' ? 1 : 2;
        return at[1] == '\0' ? -1 : (uint8_t)at[1];
    }
    int value = 0;
    for (int i = 1; i <= 3; i++) {
        if (at[i] < '0' || at[i] > '9')
            return -1;
        value = value * 10 + (at[i] - '0');
    }
    *text += 4;
    return value <= 255 ? value : -1;
}

/* Presentation form, with or without the dot at the end, "." for the root; false when it is no name. */
static bool name_parse(const char *text, struct name *name)
{
    if (strcmp(text, ".") == 0) {
        name->length = 1;
        name->octets[0] = 0;
        return true;
    }
    size_t label = 0; /* where the length of the current label stands */
    size_t length = 1;
    while (*text != '\0') {
        if (*text == '.') {
            if (length - label == 1 || length >= NAME_OCTETS)
                return false;
            name->octets[label] = (uint8_t)(length - label - 1);
            label = length++;
            text++;
            continue;
        }
        int value = character_parse(&text);
        if (value < 0 || length >= NAME_OCTETS || length - label > LABEL_OCTETS)
            return false;
        name->octets[length++] = (uint8_t)value;
    }
    name->octets[label] = (uint8_t)(length - label - 1);
    if (length - label > 1) {
        if (length >= NAME_OCTETS)
            return false;
        name->octets[length++] = 0;
    }
    name->length = length;
    return length > 1;
}

static void name_lower(struct name *name)
{
    for (size_t i = 0; i < name->length; i++) /* a label's length is below 64, where no letter is */
        name->octets[i] = lower(name->octets[i]);
}

/* Characters that stand for themselves in names that are shown; the others are written as \DDD. */
static bool plain(uint8_t octet)
{
    return (octet >= 'a' && octet <= 'z') || (octet >= '0' && octet <= '9') || (octet != 0 && strchr("-_*/+=", octet));
}

/* Presentation form without the dot at the end, "" for the root; false when it does not fit. */
static bool name_text(const struct name *name, char out[OBSERVATION_NAME])
{
    size_t length = 0;
    for (size_t at = 0; name->octets[at] != 0; at += name->octets[at] + 1u) {
        if (at > 0 && length < OBSERVATION_NAME - 1)
            out[length++] = '.';
        for (size_t i = at + 1; i <= at + name->octets[at]; i++) {
            uint8_t octet = name->octets[i];
            size_t need = plain(octet) ? 1 : 4;
            if (length + need > OBSERVATION_NAME - 1)
                return false;
            if (need == 1) {
                out[length++] = (char)octet;
                continue;
            }
            out[length++] = '\\';
            out[length++] = (char)('0' + octet / 100);
            out[length++] = (char)('0' + octet / 10 % 10);
            out[length++] = (char)('0' + octet % 10);
        }
    }
    out[length] = '\0';
    return true;
}

/* Reads a name at the position of `packet`, in lower case; false when it is not well formed. */
static bool name_read(struct packet *packet, struct name *name)
{
    size_t at = packet->at, start = packet->at, end = 0;
    unsigned pointers = 0;
    name->length = 0;
    for (;;) {
        if (at >= packet->length)
            return false;
        uint8_t length = packet->octets[at];
        if ((length & 0xc0) == 0xc0) {
            if (packet->length - at < 2)
                return false;
            size_t target = get16(packet->octets + at) & 0x3fff;
            if (end == 0)
                end = at + 2;
            if (target >= start || target < HEADER_SIZE || ++pointers > NAME_OCTETS / 2)
                return false;
            at = start = target;
            continue;
        }
        if (length > LABEL_OCTETS || packet->length - at <= length || name->length + length + 1 > NAME_OCTETS)
            return false;
        name->octets[name->length++] = length;
        for (size_t i = 1; i <= length; i++)
            name->octets[name->length++] = lower(packet->octets[at + i]);
        at += length + 1u;
        if (length == 0)
            break;
    }
    packet->at = end != 0 ? end : at;
    return true;
}

static bool record_read(struct packet *packet, struct record *record)
{
    if (!name_read(packet, &record->owner) || packet->length - packet->at < 10)
        return false;
    const uint8_t *fixed = packet->octets + packet->at;
    record->type = get16(fixed);
    record->class = get16(fixed + 2);
    record->ttl = get32(fixed + 4);
    if (record->ttl > INT32_MAX && record->type != TYPE_OPT) /* RFC 2181, 8 */
        record->ttl = 0;
    record->length = get16(fixed + 8);
    packet->at += 10;
    if (packet->length - packet->at < record->length)
        return false;
    record->data = packet->at;
    packet->at += record->length;
    return true;
}

/* A name that fills the rest of the record's data from `offset` on. */
static bool record_name(const struct packet *packet, const struct record *record, size_t offset, struct name *name)
{
    if (record->length <= offset)
        return false;
    struct packet data = {.octets = packet->octets, .length = record->data + record->length, .at = record->data + offset};
    return name_read(&data, name) && data.at == data.length;
}

const char *dns_type_name(enum dns_type type)
{
    switch (type) {
    case DNS_A:
        return "A";
    case DNS_CNAME:
        return "CNAME";
    case DNS_MX:
        return "MX";
    case DNS_TXT:
        return "TXT";
    case DNS_AAAA:
        return "AAAA";
    case DNS_SRV:
        return "SRV";
    case DNS_TLSA:
        return "TLSA";
    }
    return "?";
}

const char *dns_rcode_name(int rcode)
{
    static const char *const names[] = {"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP",  "REFUSED",
                                        "YXDOMAIN", "YXRRSET", "NXRRSET",  "NOTAUTH",  "NOTZONE", "DSOTYPENI"};
    if (rcode >= 0 && (size_t)rcode < sizeof names / sizeof *names)
        return names[rcode];
    return rcode == 16 ? "BADVERS" : rcode == 23 ? "BADCOOKIE" : "an unknown rcode";
}

/* RFC 8914 and the registry of IANA. */
static const char *ede_name(int ede)
{
    static const char *const names[] = {
        "Other",           "Unsupported DNSKEY Algorithm", "Unsupported DS Digest Type", "Stale Answer",
        "Forged Answer",   "DNSSEC Indeterminate",         "DNSSEC Bogus",               "Signature Expired",
        "Signature Not Yet Valid", "DNSKEY Missing",       "RRSIGs Missing",             "No Zone Key Bit Set",
        "NSEC Missing",    "Cached Error",                 "Not Ready",                  "Blocked",
        "Censored",        "Filtered",                     "Prohibited",                 "Stale NXDOMAIN Answer",
        "Not Authoritative", "Not Supported",              "No Reachable Authority",     "Network Error",
        "Invalid Data",
    };
    return ede >= 0 && (size_t)ede < sizeof names / sizeof *names ? names[ede] : "unassigned";
}

/* The reason that an extended error refines a failure to; 0 when it says no more than the rcode. */
static enum reason ede_reason(int ede, int rcode)
{
    switch (ede) {
    case 15: /* blocked, censored, filtered: by policy, whatever rcode the policy chose */
    case 16:
    case 17:
        return REASON_DNS_FILTERED;
    case 18: /* prohibited: of REFUSED it says that we are not on the access list, which is what dnsRefused says */
        return rcode == REFUSED ? 0 : REASON_DNS_FILTERED;
    case 6:
    case 8:
    case 9:
    case 10:
    case 11:
    case 12:
        return rcode == SERVFAIL ? REASON_DNS_BOGUS : 0;
    case 7:
        return rcode == SERVFAIL ? REASON_DNS_SIGNATURE_EXPIRED : 0;
    case 22:
    case 23:
        return rcode == SERVFAIL ? REASON_DNS_UNREACHABLE_AUTHORITY : 0;
    default:
        return 0;
    }
}

static enum reason rcode_reason(int rcode)
{
    switch (rcode) {
    case FORMERR:
        return REASON_DNS_MALFORMED;
    case SERVFAIL:
        return REASON_DNS_SERV_FAIL;
    case NXDOMAIN:
        return REASON_DNS_NX_DOMAIN;
    case NOTIMP:
        return REASON_DNS_NOT_IMPLEMENTED;
    case REFUSED:
        return REASON_DNS_REFUSED;
    default:
        return REASON_DNS_OTHER;
    }
}

/* Of several extended errors the first stands, unless a later one is the first that refines the reason. */
static void ede_read(struct dns_answer *answer, const uint8_t *data, size_t length)
{
    int ede = get16(data);
    if (answer->ede >= 0 && (ede_reason(answer->ede, SERVFAIL) != 0 || ede_reason(ede, SERVFAIL) == 0))
        return;
    answer->ede = ede;
    text_printable(answer->ede_text, sizeof answer->ede_text, data + 2, length - 2);
}

static bool opt_read(struct dns_answer *answer, struct sections *sections, const struct packet *packet,
                     const struct record *record)
{
    if (sections->opt || record->owner.length != 1)
        return false;
    sections->opt = true;
    sections->rcode_high = (uint8_t)(record->ttl >> 24);
    const uint8_t *at = packet->octets + record->data;
    size_t left = record->length;
    while (left > 0) {
        if (left < 4 || left - 4 < get16(at + 2))
            return false;
        size_t length = get16(at + 2);
        if (get16(at) == OPTION_EDE) {
            if (length < 2)
                return false;
            ede_read(answer, at + 4, length);
        }
        at += 4 + length;
        left -= 4 + length;
    }
    return true;
}

/* How long a negative answer holds (RFC 2308, 5). */
static bool soa_read(struct sections *sections, const struct packet *packet, const struct record *record)
{
    struct packet data = {.octets = packet->octets, .length = record->data + record->length, .at = record->data};
    struct name name;
    if (!name_read(&data, &name) || !name_read(&data, &name) || data.length - data.at != 20)
        return false;
    uint32_t minimum = get32(data.octets + data.at + 16);
    if (!sections->soa)
        sections->negative_ttl = minimum < record->ttl ? minimum : record->ttl;
    sections->soa = true;
    return true;
}

/* Walks all records behind the question; false when the reply ends before its counts do or holds what cannot be. */
static bool sections_read(struct sections *sections, struct dns_answer *answer, struct packet *packet)
{
    uint16_t counts[3];
    for (int i = 0; i < 3; i++)
        counts[i] = get16(packet->octets + 6 + 2 * i);
    *sections = (struct sections){.answers = packet->at, .answer_count = counts[0]};
    for (int section = 0; section < 3; section++) {
        for (unsigned i = 0; i < counts[section]; i++) {
            struct record record;
            if (!record_read(packet, &record))
                return false;
            if (section == 0 && record.type == DNS_CNAME)
                sections->aliases = true;
            if (section == 1 && record.type == TYPE_SOA && record.class == CLASS_IN &&
                !soa_read(sections, packet, &record))
                return false;
            if (section == 2 && record.type == TYPE_OPT && !opt_read(answer, sections, packet, &record))
                return false;
        }
    }
    return true;
}

/* The verdict, with a phrase for people. */
static void verdict(struct dns_answer *answer, enum reason reason, const char *phrase)
{
    answer->reason = reason;
    text_copy(answer->detail, sizeof answer->detail, phrase);
}

static void ttl_take(struct dns_answer *answer, uint32_t ttl, bool *first)
{
    if (*first || ttl < answer->ttl)
        answer->ttl = ttl;
    *first = false;
}

/* Finds the next answer of `type` that `owner` has, from packet->at on; `left` counts the answers yet to read. */
static bool answer_next(struct packet *packet, unsigned *left, const struct name *owner, unsigned type,
                        struct record *record)
{
    while (*left > 0) {
        --*left;
        if (!record_read(packet, record))
            return false;
        if (record->type == type && record->class == CLASS_IN && name_equal(&record->owner, owner))
            return true;
    }
    return false;
}

/* Follows the aliases of `name` to where they end; false with a verdict when they cannot be followed. */
static bool aliases_follow(struct dns_answer *answer, const struct sections *sections, struct packet *packet,
                           struct name *name, bool *first_ttl)
{
    struct name seen[DNS_ALIASES_MAX + 1];
    for (size_t count = 0;; count++) {
        struct record record;
        unsigned left = sections->answer_count;
        packet->at = sections->answers;
        if (!answer_next(packet, &left, name, DNS_CNAME, &record))
            return true;
        if (count == DNS_ALIASES_MAX) {
            verdict(answer, REASON_DNS_LOOP, "too many aliases in a row");
            return false;
        }
        seen[count] = *name;
        ttl_take(answer, record.ttl, first_ttl);
        if (!record_name(packet, &record, 0, name) || !name_text(name, answer->canonical)) {
            answer->canonical[0] = '\0';
            verdict(answer, REASON_DNS_MALFORMED, "malformed reply: an alias is no name");
            return false;
        }
        for (size_t i = 0; i <= count; i++) {
            if (name_equal(&seen[i], name)) {
                verdict(answer, REASON_DNS_LOOP, "the aliases go round in a circle");
                return false;
            }
        }
    }
}

static int target_compare(const struct dns_target *a, const struct dns_target *b)
{
    if (a->priority != b->priority)
        return a->priority < b->priority ? -1 : 1;
    if (a->weight != b->weight)
        return a->weight > b->weight ? -1 : 1;
    int order = strcmp(a->host, b->host);
    return order != 0 ? order : a->port - b->port;
}

static void target_insert(struct dns_answer *answer, const struct dns_target *target)
{
    size_t at = 0;
    int order = 1;
    while (at < answer->target_count && (order = target_compare(target, &answer->targets[at])) > 0)
        at++;
    if (at < answer->target_count && order == 0)
        return;
    answer->target_total++;
    if (at == DNS_TARGETS_MAX)
        return;
    size_t behind = answer->target_count - at;
    if (answer->target_count == DNS_TARGETS_MAX)
        behind--;
    else
        answer->target_count++;
    memmove(&answer->targets[at + 1], &answer->targets[at], behind * sizeof *target);
    answer->targets[at] = *target;
}

static void address_insert(struct dns_answer *answer, const struct address *address)
{
    size_t at = 0;
    int order = 1;
    while (at < answer->address_count &&
           (order = memcmp(address->octets, answer->addresses[at].octets, sizeof address->octets)) > 0)
        at++;
    if (at < answer->address_count && order == 0)
        return;
    answer->address_total++;
    if (at == DNS_ADDRESSES_MAX)
        return;
    size_t behind = answer->address_count - at;
    if (answer->address_count == DNS_ADDRESSES_MAX)
        behind--;
    else
        answer->address_count++;
    memmove(&answer->addresses[at + 1], &answer->addresses[at], behind * sizeof *address);
    answer->addresses[at] = *address;
}

/* Counts of the records of the type, by what they hold. */
struct tally {
    size_t records;
    size_t roots;      /* SRV or MX whose target is the root */
    size_t unwritable; /* targets that have no text of OBSERVATION_NAME octets */
};

/* A record that is too long to be kept is one that nobody should have published: a digest has 64 octets at most. */
static bool tlsa_read(struct dns_answer *answer, const uint8_t *data, size_t length)
{
    if (length < 4)
        return false;
    answer->tlsa_total++;
    if (length - 3 > DNS_TLSA_OCTETS || answer->tlsa_count == DNS_TLSA_MAX)
        return true;
    struct dns_tlsa *tlsa = &answer->tlsa[answer->tlsa_count++];
    *tlsa = (struct dns_tlsa){.usage = data[0], .selector = data[1], .matching = data[2], .length = (uint16_t)(length - 3)};
    memcpy(tlsa->data, data + 3, length - 3);
    return true;
}

/* Takes one record of the type into the answer; false when its data is not what the type says. */
static bool data_read(struct dns_answer *answer, struct tally *tally, const struct packet *packet,
                      const struct record *record)
{
    const uint8_t *data = packet->octets + record->data;
    size_t fixed = answer->type == DNS_SRV ? 6 : 2;
    struct address address = {0};
    struct dns_target target = {0};
    struct name name;
    tally->records++;
    switch (answer->type) {
    case DNS_A:
    case DNS_AAAA:
        if (record->length != (answer->type == DNS_A ? 4 : 16))
            return false;
        address.family = answer->type == DNS_A ? ADDRESS_IPV4 : ADDRESS_IPV6;
        memcpy(address.octets, data, record->length);
        address_insert(answer, &address);
        return true;
    case DNS_SRV:
    case DNS_MX:
        if (!record_name(packet, record, fixed, &name))
            return false;
        target.priority = get16(data);
        if (answer->type == DNS_SRV) {
            target.weight = get16(data + 2);
            target.port = get16(data + 4);
        }
        if (name.length == 1)
            tally->roots++;
        else if (name_text(&name, target.host))
            target_insert(answer, &target);
        else
            tally->unwritable++;
        return true;
    case DNS_CNAME:
        return record_name(packet, record, 0, &name) && name_text(&name, answer->canonical);
    case DNS_TLSA:
        return tlsa_read(answer, data, record->length);
    case DNS_TXT:
        return true;
    }
    return false;
}

/* Reads the records of the type that `name` has and judges what they amount to. */
static void records_judge(struct dns_answer *answer, const struct sections *sections, struct packet *packet,
                          const struct name *name, bool first_ttl)
{
    struct tally tally = {0};
    struct record record;
    unsigned left = sections->answer_count;
    packet->at = sections->answers;
    while (answer_next(packet, &left, name, answer->type, &record)) {
        if (!data_read(answer, &tally, packet, &record)) {
            verdict(answer, REASON_DNS_MALFORMED, "malformed reply: a record does not hold what its type says");
            return;
        }
        ttl_take(answer, record.ttl, &first_ttl);
    }
    answer->target_total += tally.unwritable;
    if (tally.records == 0) {
        if (sections->soa)
            ttl_take(answer, sections->negative_ttl, &first_ttl);
        else
            answer->ttl = 0;
        enum reason refined = ede_reason(answer->ede, 0);
        verdict(answer, refined != 0 ? refined : REASON_DNS_NO_DATA, "");
        text_format(answer->detail, sizeof answer->detail, "no %s record", dns_type_name(answer->type));
    } else if (tally.roots == tally.records) {
        answer->target_count = answer->target_total = 1; /* one target, the root */
        answer->targets[0] = (struct dns_target){0};
        verdict(answer, REASON_DNS_SERVICE_DENIED,
                answer->type == DNS_MX ? "the target is \".\": the domain takes no mail"
                                       : "the target is \".\": the service is not offered");
    } else if ((answer->type == DNS_SRV || answer->type == DNS_MX) && answer->target_count == 0) {
        verdict(answer, REASON_DNS_MALFORMED, "malformed reply: no target is a host name");
    } else {
        answer->reason = REASON_NONE;
    }
}

/* All but what was asked, and what only the transport knows. */
static void answer_clear(struct dns_answer *answer)
{
    answer->reason = REASON_DNS_MALFORMED;
    answer->rcode = -1;
    answer->ede = -1;
    answer->ede_text[0] = '\0';
    answer->authentic = false;
    answer->ttl = 0;
    answer->detail[0] = '\0';
    answer->canonical[0] = '\0';
    answer->target_count = answer->target_total = 0;
    answer->address_count = answer->address_total = 0;
    answer->tlsa_count = answer->tlsa_total = 0;
}

/* Whether the packet is a reply to the question of `answer`; then packet->at is behind the question. */
static bool question_match(const struct dns_answer *answer, struct packet *packet, struct name *question)
{
    struct name asked;
    if (packet->length < HEADER_SIZE || (packet->octets[2] & (FLAG_REPLY | FLAG_OPCODE)) != FLAG_REPLY ||
        get16(packet->octets + 4) != 1 || !name_parse(answer->name, question))
        return false;
    name_lower(question);
    packet->at = HEADER_SIZE;
    if (!name_read(packet, &asked) || packet->length - packet->at < 4)
        return false;
    unsigned type = get16(packet->octets + packet->at), class = get16(packet->octets + packet->at + 2);
    packet->at += 4;
    return type == answer->type && class == CLASS_IN && name_equal(&asked, question);
}

/* Judges a reply of which the structure is sound. */
static void reply_judge(struct dns_answer *answer, const struct sections *sections, struct packet *packet,
                        struct name *name)
{
    bool first_ttl = true;
    bool exists = answer->rcode == 0, absent = answer->rcode == NXDOMAIN;
    if ((exists || absent) && sections->aliases && answer->type != DNS_CNAME &&
        !aliases_follow(answer, sections, packet, name, &first_ttl))
        return;
    if (exists) {
        records_judge(answer, sections, packet, name, first_ttl);
        return;
    }
    enum reason refined = ede_reason(answer->ede, answer->rcode);
    verdict(answer, refined != 0 ? refined : rcode_reason(answer->rcode), dns_rcode_name(answer->rcode));
    if (absent && sections->soa)
        ttl_take(answer, sections->negative_ttl, &first_ttl);
    else
        answer->ttl = 0;
}

bool dns_judge(struct dns_answer *answer, const uint8_t *octets, size_t length)
{
    struct packet packet = {.octets = octets, .length = length};
    struct sections sections;
    struct name name;

    answer_clear(answer);
    if (!question_match(answer, &packet, &name)) {
        verdict(answer, REASON_DNS_MALFORMED, "no reply to the question");
        return false;
    }
    answer->rcode = octets[3] & FLAG_RCODE;
    if (octets[2] & FLAG_TRUNCATED) {
        verdict(answer, REASON_DNS_MALFORMED, "truncated reply");
        return true;
    }
    if (!sections_read(&sections, answer, &packet)) {
        verdict(answer, REASON_DNS_MALFORMED, "malformed reply");
        return true;
    }
    answer->rcode |= sections.rcode_high << 4;
    answer->authentic = (octets[3] & FLAG_AUTHENTIC) != 0;
    reply_judge(answer, &sections, &packet, &name);
    if (answer->reason != REASON_NONE) {
        if (answer->canonical[0] != '\0' && answer->type != DNS_CNAME)
            text_append(answer->detail, sizeof answer->detail, " at its alias %.120s", answer->canonical);
        if (answer->ede >= 0)
            text_append(answer->detail, sizeof answer->detail, " (EDE %d %s%s%s)", answer->ede, ede_name(answer->ede),
                        answer->ede_text[0] != '\0' ? ": " : "", answer->ede_text);
    }
    return true;
}

size_t dns_write(uint8_t *out, size_t size, uint16_t id, const char *name, enum dns_type type)
{
    struct name question;
    if (!name_parse(name, &question) || size < HEADER_SIZE + question.length + 4 + OPT_SIZE)
        return 0;
    memset(out, 0, HEADER_SIZE);
    put16(out, id);
    out[2] = FLAG_RECURSION_DESIRED;
    out[3] = FLAG_AUTHENTIC; /* RFC 6840, 5.7: we understand the bit in the reply */
    put16(out + 4, 1);
    put16(out + 10, 1);
    uint8_t *at = out + HEADER_SIZE;
    memcpy(at, question.octets, question.length);
    at += question.length;
    put16(at, type);
    put16(at + 2, CLASS_IN);
    at += 4;
    memset(at, 0, OPT_SIZE); /* root, type, size, no extended rcode, version 0, no flags, no options */
    put16(at + 1, TYPE_OPT);
    put16(at + 3, EDNS_SIZE);
    return (size_t)(at + OPT_SIZE - out);
}
