/*
 * Whose a domain and an address are. It is asked for every line of a log that says something, with up to 100,000
 * partners, so what can be prepared is prepared when the configuration is read.
 *
 * Networks nest or are disjoint. Sorted by their first address, larger ones first, and each with the position of the
 * nearest network around it, the longest prefix that holds an address is found from the last network that begins at or
 * before it outwards: one binary search and at most as many steps as networks nest.
 *
 * Domains are in a hash table under a hash that is computed from the last character to the first: one pass over a name
 * passes all domains above it on the way. Partners of one domain are a chain in the order of the file.
 *
 * A struct conf that was not made by conf_load has nothing prepared; then each partner is looked at, with the same
 * result.
 */
#include "base/conf_parts.h"

#include <stdlib.h>
#include <string.h>

#define NOBODY UINT32_MAX

struct span { /* a network of a set */
    struct conf_network network;
    uint32_t whose;  /* position in conf->partners */
    uint32_t around; /* position in the set; NOBODY none */
};

struct span_set {
    size_t count;
    struct span *spans;
};

struct conf_who {
    struct span_set partners, own;
    size_t mask;
    uint32_t *domains; /* positions in conf->partners by hash, open addressing; NOBODY free */
    uint32_t *next;    /* by position: the next partner of the same domain; NOBODY none */
};

/* An IPv4 address inside an IPv6 one (RFC 4291, 2.5.5.2), as sockets for both families tell it, is the IPv4 address. */
static struct address plain(const struct address *address)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct address result = {.family = address->family};
    if (address->family == ADDRESS_IPV6 && memcmp(address->octets, mapped, sizeof mapped) == 0) {
        result.family = ADDRESS_IPV4;
        memcpy(result.octets, address->octets + sizeof mapped, 4);
    } else {
        memcpy(result.octets, address->octets, address->family == ADDRESS_IPV4 ? 4 : 16);
    }
    return result;
}

static struct conf_network plain_network(const struct conf_network *network)
{
    struct conf_network result = {plain(&network->address), network->prefix};
    if (result.address.family == network->address.family)
        return result;
    return network->prefix >= 96 ? (struct conf_network){result.address, (uint8_t)(network->prefix - 96)} : *network;
}

static bool holds(const struct conf_network *network, const struct address *address)
{
    unsigned whole = network->prefix / 8, rest = network->prefix % 8;
    if (network->address.family != address->family || memcmp(network->address.octets, address->octets, whole) != 0)
        return false;
    return !rest || (network->address.octets[whole] ^ address->octets[whole]) >> (8 - rest) == 0;
}

bool network_holds(const struct conf_network *network, const struct address *address)
{
    struct conf_network at = plain_network(network);
    struct address of = plain(address);
    return of.family != ADDRESS_UNKNOWN && holds(&at, &of);
}

static uint8_t whole_prefix(const struct address *address)
{
    return address->family == ADDRESS_IPV4 ? 32 : 128;
}

/* ---- networks ---- */

static int compare(const void *left, const void *right)
{
    const struct span *a = left, *b = right;
    int order = memcmp(&a->network.address, &b->network.address, sizeof a->network.address);
    if (order == 0)
        order = (int)a->network.prefix - (int)b->network.prefix;
    return order ? order : a->whose < b->whose ? -1 : a->whose > b->whose;
}

static void add(struct span_set *set, const struct conf_network *network, uint32_t whose)
{
    set->spans[set->count++] = (struct span){plain_network(network), whose, NOBODY};
}

/* Sorts, keeps the first of equal networks, and finds what is around each. */
static void prepare(struct span_set *set)
{
    size_t kept = 0;
    if (set->count > 1)
        qsort(set->spans, set->count, sizeof *set->spans, compare);
    for (size_t i = 0; i < set->count; i++) {
        struct span *span = &set->spans[i], *before = kept ? &set->spans[kept - 1] : NULL;
        if (before && before->network.prefix == span->network.prefix &&
            memcmp(&before->network.address, &span->network.address, sizeof span->network.address) == 0)
            continue;
        uint32_t around = kept ? (uint32_t)(kept - 1) : NOBODY;
        while (around != NOBODY && !holds(&set->spans[around].network, &span->network.address))
            around = set->spans[around].around;
        span->around = around;
        set->spans[kept++] = *span;
    }
    set->count = kept;
}

static const struct span *find(const struct span_set *set, const struct address *address)
{
    size_t low = 0, high = set->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (memcmp(&set->spans[middle].network.address, address, sizeof *address) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    uint32_t at = low ? (uint32_t)(low - 1) : NOBODY;
    while (at != NOBODY && !holds(&set->spans[at].network, address))
        at = set->spans[at].around;
    return at == NOBODY ? NULL : &set->spans[at];
}

static struct span *room(size_t count)
{
    struct span *spans = calloc(count ? count : 1, sizeof *spans);
    if (!spans)
        abort();
    return spans;
}

static void prepare_networks(struct conf_who *who, const struct conf *conf)
{
    size_t count = 0;
    for (size_t i = 0; i < conf->partner_count; i++)
        count += conf->partners[i].network_count + 1;
    who->partners.spans = room(count);
    for (size_t i = 0; i < conf->partner_count; i++) {
        const struct conf_partner *partner = &conf->partners[i];
        for (size_t j = 0; j < partner->network_count; j++)
            add(&who->partners, &partner->networks[j], (uint32_t)i);
        if (partner->address.family != ADDRESS_UNKNOWN)
            add(&who->partners, &(struct conf_network){partner->address, whole_prefix(&partner->address)}, (uint32_t)i);
    }
    prepare(&who->partners);
    who->own.spans = room(conf->edge.network_count);
    for (size_t i = 0; i < conf->edge.network_count; i++)
        add(&who->own, &conf->edge.networks[i], 0);
    prepare(&who->own);
}

/* ---- domains ---- */

#define HASH_START UINT64_C(14695981039346656037)

/* FNV-1a, a character at a time. Its low bits are used after one more mixing. */
static uint64_t hash_more(uint64_t hash, char c)
{
    return (hash ^ (uint8_t)c) * UINT64_C(1099511628211);
}

static size_t slot_of(const struct conf_who *who, uint64_t hash)
{
    return (size_t)(hash ^ hash >> 32) & who->mask;
}

/* The slot that holds `domain`, or the free one where it belongs. */
static size_t find_slot(const struct conf_who *who, const struct conf *conf, uint64_t hash, const char *domain)
{
    size_t slot = slot_of(who, hash);
    while (who->domains[slot] != NOBODY && strcmp(conf->partners[who->domains[slot]].domain, domain) != 0)
        slot = (slot + 1) & who->mask;
    return slot;
}

static void prepare_domains(struct conf_who *who, const struct conf *conf)
{
    size_t size = 16;
    while (size < 2 * conf->partner_count)
        size *= 2;
    who->mask = size - 1;
    who->domains = malloc(size * sizeof *who->domains);
    who->next = malloc((conf->partner_count + 1) * sizeof *who->next);
    if (!who->domains || !who->next)
        abort();
    for (size_t i = 0; i < size; i++)
        who->domains[i] = NOBODY;
    for (size_t i = conf->partner_count; i-- > 0;) { /* the first is put last, in front */
        const char *domain = conf->partners[i].domain;
        uint64_t hash = HASH_START;
        for (size_t j = strlen(domain); j > 0; j--)
            hash = hash_more(hash, domain[j - 1]);
        size_t slot = find_slot(who, conf, hash, domain);
        who->next[i] = who->domains[slot];
        who->domains[slot] = (uint32_t)i;
    }
}

static long find_domain(const struct conf_who *who, const struct conf *conf, const char *name)
{
    uint64_t hash = HASH_START;
    long found = -1;
    for (size_t i = strlen(name); i > 0; i--) {
        hash = hash_more(hash, name[i - 1]);
        if (i > 1 && name[i - 2] != '.')
            continue;
        size_t slot = find_slot(who, conf, hash, name + i - 1);
        if (who->domains[slot] != NOBODY)
            found = who->domains[slot];
    }
    return found;
}

/* ---- without preparation ---- */

static bool lies_in(const char *name, const char *domain)
{
    size_t length = strlen(name), above = strlen(domain);
    return above && length >= above && strcmp(name + length - above, domain) == 0 &&
           (length == above || name[length - above - 1] == '.');
}

static long look_for_domain(const struct conf *conf, const char *name)
{
    long found = -1;
    for (size_t i = 0; i < conf->partner_count; i++)
        if (lies_in(name, conf->partners[i].domain) &&
            (found < 0 || strlen(conf->partners[i].domain) > strlen(conf->partners[found].domain)))
            found = (long)i;
    return found;
}

static long look_for_address(const struct conf *conf, const struct address *address)
{
    long found = -1;
    int longest = -1;
    for (size_t i = 0; i < conf->partner_count; i++) {
        const struct conf_partner *partner = &conf->partners[i];
        for (size_t j = 0; j <= partner->network_count; j++) {
            struct conf_network one = {partner->address, whole_prefix(&partner->address)};
            struct conf_network network = plain_network(j < partner->network_count ? &partner->networks[j] : &one);
            if (network.address.family == ADDRESS_UNKNOWN || network.prefix <= longest || !holds(&network, address))
                continue;
            longest = network.prefix;
            found = (long)i;
        }
    }
    return found;
}

/* ---- from outside ---- */

struct conf_who *conf_who_new(const struct conf *conf)
{
    struct conf_who *who = calloc(1, sizeof *who);
    if (!who)
        abort();
    prepare_networks(who, conf);
    prepare_domains(who, conf);
    return who;
}

void conf_who_free(struct conf_who *who)
{
    if (!who)
        return;
    free(who->partners.spans);
    free(who->own.spans);
    free(who->domains);
    free(who->next);
    free(who);
}

long conf_partner_at(const struct conf *conf, const char *domain, const struct address *address)
{
    char name[OBSERVATION_NAME];
    if (domain && *domain && conf_hostname(domain, name)) {
        long found = conf->who ? find_domain(conf->who, conf, name) : look_for_domain(conf, name);
        if (found >= 0)
            return found;
    }
    if (!address || address->family == ADDRESS_UNKNOWN)
        return -1;
    struct address at = plain(address);
    if (!conf->who)
        return look_for_address(conf, &at);
    const struct span *span = find(&conf->who->partners, &at);
    return span ? (long)span->whose : -1;
}

long conf_partner_next(const struct conf *conf, long position)
{
    if (conf->who)
        return conf->who->next[position] == NOBODY ? -1 : (long)conf->who->next[position];
    for (size_t i = (size_t)position + 1; i < conf->partner_count; i++)
        if (strcmp(conf->partners[i].domain, conf->partners[position].domain) == 0)
            return (long)i;
    return -1;
}

bool conf_is_own(const struct conf *conf, const struct address *address)
{
    if (address->family == ADDRESS_UNKNOWN)
        return false;
    struct address at = plain(address);
    if (conf->who)
        return find(&conf->who->own, &at) != NULL;
    for (size_t i = 0; i < conf->edge.network_count; i++)
        if (network_holds(&conf->edge.networks[i], &at))
            return true;
    return false;
}
