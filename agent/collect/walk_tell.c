/*
 * The memory of a partner is as long as its last walk had endpoints: what a walk did not meet is forgotten, so it is
 * told anew when it comes back. An endpoint that showed no chain this time (it refused the connection) keeps what was
 * told of it. It is changed only after the queue took the walk: what was dropped is told again.
 */
#include "collect/walk_tell.h"

#include <stdlib.h>
#include <string.h>

struct told_chain {
    char *target;
    struct address address;
    uint16_t port;
    uint8_t chain_sha256[32];
};

static const struct told_chain *find_chain(const struct walk_memory *memory, const struct walk_endpoint *endpoint)
{
    for (size_t i = 0; i < memory->count; i++) {
        const struct told_chain *chain = &memory->chains[i];
        if (chain->port == endpoint->port && address_equal(&chain->address, &endpoint->address) &&
            strcmp(chain->target, endpoint->target) == 0)
            return chain;
    }
    return NULL;
}

static bool chain_is_new(const struct walk_memory *memory, const struct walk_endpoint *endpoint)
{
    if (endpoint->certificate_count == 0)
        return false;
    const struct told_chain *told = find_chain(memory, endpoint);
    return !told || memcmp(told->chain_sha256, endpoint->chain_sha256, sizeof told->chain_sha256) != 0;
}

static struct observation *add(struct observation *list, size_t *count, const struct walk *walk,
                               enum observation_kind kind)
{
    struct observation *observation = &list[(*count)++];
    observation->kind = kind;
    observation->partner = walk->position;
    observation->wall = walk->wall;
    observation->run = walk->run;
    return observation;
}

static void add_certificates(struct observation *list, size_t *count, const struct walk *walk,
                             const struct walk_endpoint *endpoint)
{
    for (size_t i = 0; i < endpoint->certificate_count; i++) {
        struct observation *observation = add(list, count, walk, OBSERVATION_CERTIFICATE);
        observation->certificate = endpoint->certificates[i];
        memcpy(observation->certificate.target, endpoint->target, sizeof endpoint->target);
        observation->certificate.address = endpoint->address;
        observation->certificate.port = endpoint->port;
    }
}

struct observation *walk_tell(const struct walk *walk, const struct walk_memory *memory, size_t *count)
{
    size_t room = walk->lookup_count + walk->endpoint_count + 1;
    for (size_t i = 0; i < walk->endpoint_count; i++)
        if (chain_is_new(memory, &walk->endpoints[i]))
            room += walk->endpoints[i].certificate_count;
    struct observation *list = calloc(room, sizeof *list);
    if (!list)
        abort();
    *count = 0;
    for (size_t i = 0; i < walk->lookup_count; i++)
        add(list, count, walk, OBSERVATION_PROBE)->probe = walk->lookups[i].probe;
    for (size_t i = 0; i < walk->endpoint_count; i++) {
        add(list, count, walk, OBSERVATION_PROBE)->probe = walk->endpoints[i].probe;
        if (chain_is_new(memory, &walk->endpoints[i]))
            add_certificates(list, count, walk, &walk->endpoints[i]);
    }
    struct observation_walk *verdict = &add(list, count, walk, OBSERVATION_WALK)->walk;
    verdict->reason = walk->reason;
    verdict->duration = walk->duration;
    verdict->late = walk->late;
    verdict->endpoints = (uint32_t)walk->endpoint_count;
    verdict->endpoints_ok = (uint32_t)walk_endpoints_ok(walk);
    return list;
}

static void remember(struct walk_memory *memory, const struct walk_endpoint *endpoint, const uint8_t sha256[32])
{
    struct told_chain *chain = &memory->chains[memory->count++];
    chain->target = strdup(endpoint->target);
    if (!chain->target)
        abort();
    chain->address = endpoint->address;
    chain->port = endpoint->port;
    memcpy(chain->chain_sha256, sha256, sizeof chain->chain_sha256);
}

/* Whether the memory already is what the walk shows: the usual case, which then allocates nothing. */
static bool nothing_changed(const struct walk *walk, const struct walk_memory *memory)
{
    size_t known = 0;
    for (size_t i = 0; i < walk->endpoint_count; i++) {
        if (chain_is_new(memory, &walk->endpoints[i]))
            return false;
        known += find_chain(memory, &walk->endpoints[i]) != NULL;
    }
    return known == memory->count;
}

void walk_told(const struct walk *walk, struct walk_memory *memory)
{
    if (nothing_changed(walk, memory))
        return;
    struct walk_memory fresh = {0, NULL};
    if (walk->endpoint_count > 0) {
        fresh.chains = calloc(walk->endpoint_count, sizeof fresh.chains[0]);
        if (!fresh.chains)
            abort();
    }
    for (size_t i = 0; i < walk->endpoint_count; i++) {
        const struct walk_endpoint *endpoint = &walk->endpoints[i];
        const struct told_chain *told = find_chain(memory, endpoint);
        if (endpoint->certificate_count > 0)
            remember(&fresh, endpoint, endpoint->chain_sha256);
        else if (told)
            remember(&fresh, endpoint, told->chain_sha256);
    }
    walk_memory_clear(memory);
    *memory = fresh;
}

void walk_memory_clear(struct walk_memory *memory)
{
    for (size_t i = 0; i < memory->count; i++)
        free(memory->chains[i].target);
    free(memory->chains);
    memory->count = 0;
    memory->chains = NULL;
}
