/*
 * Rows of endpoints in chains by the hash of their address: whose zone chooses addresses does not choose chains. Many
 * partners may share one address (a hosting provider); then any of them is found, and peer_has tells for a certain one.
 */
#include "ledger/peer.h"

#include <stdlib.h>

#include "ledger/cell.h"

static struct ledger_probe **bucket_of(const struct ledger *ledger, const struct address *address)
{
    size_t length = address->family == ADDRESS_IPV4 ? 4 : 16;
    return &ledger->peers[hash_octets(&ledger->peer_key, address->octets, length) & (ledger->peer_buckets - 1)];
}

static bool has_address(const struct ledger_probe *probe)
{
    return probe->value.kind == PROBE_ENDPOINT && probe->value.address.family != ADDRESS_UNKNOWN;
}

void peer_add(struct ledger *ledger, struct ledger_partner *partner, struct ledger_probe *probe)
{
    if (!has_address(probe))
        return;
    struct ledger_probe **bucket = bucket_of(ledger, &probe->value.address);
    probe->partner = partner;
    probe->peer_next = *bucket;
    probe->peer_link = bucket;
    if (*bucket)
        (*bucket)->peer_link = &probe->peer_next;
    *bucket = probe;
}

void peer_remove(struct ledger *ledger, struct ledger_probe *probe)
{
    (void)ledger;
    if (!probe->peer_link)
        return;
    *probe->peer_link = probe->peer_next;
    if (probe->peer_next)
        probe->peer_next->peer_link = probe->peer_link;
    probe->peer_next = NULL;
    probe->peer_link = NULL;
}

struct ledger_partner *peer_at(const struct ledger *ledger, const struct address *address)
{
    if (address->family == ADDRESS_UNKNOWN)
        return NULL;
    for (const struct ledger_probe *at = *bucket_of(ledger, address); at; at = at->peer_next)
        if (at->present && address_equal(&at->value.address, address))
            return at->partner;
    return NULL;
}

bool peer_has(const struct ledger *ledger, const struct ledger_partner *partner, const struct address *address)
{
    for (size_t i = index_from(&ledger->probes, (uint32_t[]){partner->index, 0});
         i < ledger->probes.count && ledger->probes.entries[i].key[0] == partner->index; i++) {
        const struct ledger_probe *probe = ledger->probes.entries[i].cell;
        if (has_address(probe) && probe->present && address_equal(&probe->value.address, address))
            return true;
    }
    return false;
}

void peers_bind(struct ledger *ledger)
{
    if (!ledger->peers)
        ledger->peer_key = hash_key_make();
    free(ledger->peers);
    ledger->peer_buckets = 256;
    while (ledger->peer_buckets < 4 * ledger->partners.count)
        ledger->peer_buckets *= 2;
    ledger->peers = cell_allocate(ledger->peer_buckets * sizeof *ledger->peers);
    for (size_t i = 0; i < ledger->probes.count; i++) {
        const struct index_entry *entry = &ledger->probes.entries[i];
        peer_add(ledger, index_find(&ledger->partners, entry->key), entry->cell);
    }
}

void peers_free(struct ledger *ledger)
{
    free(ledger->peers);
    ledger->peers = NULL;
}
