/*
 * The rows of a partner lie next to each other in ledger->probes and are at most LEDGER_PROBES_MAX, so a row is found
 * by looking at each. What names it (kind, target, address, port) is the partner's DNS to choose: rows come and go with
 * the answers, and a hostile zone that invents new targets all the time gets no more than its LEDGER_PROBES_MAX rows.
 *
 * Absence is judged only by a walk that would have seen the probe:
 *   a service lookup   by every walk
 *   an address lookup  when no service lookup failed
 *   an endpoint        when no service lookup failed, the address lookup of its target did not fail either, and the
 * walk told of as many endpoints as it had
 */
#include "ledger/probe_rows.h"

#include "ledger/changes.h"
#include "ledger/peer.h"

#include <stdlib.h>
#include <string.h>

static size_t first_row(const struct ledger *ledger, const struct ledger_partner *partner)
{
    return index_from(&ledger->probes, (uint32_t[]){partner->index, 0});
}

/* Positions from first_row on, while this is true. */
static bool is_row_of(const struct ledger *ledger, size_t position, const struct ledger_partner *partner)
{
    return position < ledger->probes.count && ledger->probes.entries[position].key[0] == partner->index;
}

static struct ledger_probe *row_find(const struct ledger *ledger, const struct ledger_partner *partner,
                                     enum probe_kind kind, const char *target, const struct address *address,
                                     uint16_t port)
{
    for (size_t i = first_row(ledger, partner); is_row_of(ledger, i, partner); i++) {
        struct ledger_probe *row = ledger->probes.entries[i].cell;
        if (row->value.kind == kind && row->value.port == port && address_equal(&row->value.address, address) &&
            strcmp(row->value.target, target) == 0)
            return row;
    }
    return NULL;
}

static void certificates_cut(struct ledger *ledger, const struct ledger_partner *partner, struct ledger_probe *row,
                             size_t length)
{
    uint32_t beyond[] = {partner->index, row->index, (uint32_t)length + 1};
    for (;;) {
        size_t position = index_from(&ledger->certificates, beyond);
        if (position == ledger->certificates.count)
            break;
        const struct index_entry *entry = &ledger->certificates.entries[position];
        if (entry->key[0] != partner->index || entry->key[1] != row->index)
            break;
        uint32_t key[] = {entry->key[0], entry->key[1], entry->key[2]};
        struct ledger_certificate *certificate = index_remove(&ledger->certificates, key);
        changes_gone(ledger, LEDGER_ROW_CERTIFICATE, &certificate->mark, key);
        free(certificate);
        row->certificate_count--;
        changes_probe(ledger, partner, row);
    }
}

static void row_remove(struct ledger *ledger, struct ledger_partner *partner, struct ledger_probe *row)
{
    certificates_cut(ledger, partner, row, 0);
    const uint32_t key[] = {partner->index, row->index};
    index_remove(&ledger->probes, key);
    changes_gone(ledger, LEDGER_ROW_PROBE, &row->mark, key);
    peer_remove(ledger, row);
    partner->probe_count--;
    changes_partner(ledger, partner);
    free(row);
}

/* Makes room for one row: what is not present goes before what is, then what was seen longest ago. */
static bool make_room(struct ledger *ledger, struct ledger_partner *partner)
{
    struct ledger_probe *oldest = NULL;
    for (size_t i = first_row(ledger, partner); is_row_of(ledger, i, partner); i++) {
        struct ledger_probe *row = ledger->probes.entries[i].cell;
        if (row->seen_in_walk)
            continue;
        if (!oldest || row->present < oldest->present ||
            (row->present == oldest->present && row->last_run < oldest->last_run))
            oldest = row;
    }
    if (!oldest)
        return false;
    row_remove(ledger, partner, oldest);
    return true;
}

static struct ledger_probe *row_make(struct ledger *ledger, struct ledger_partner *partner)
{
    if (partner->probe_count >= LEDGER_PROBES_MAX && !make_room(ledger, partner))
        return NULL;
    struct ledger_probe *row = calloc(1, sizeof *row);
    if (!row)
        abort();
    row->index = ++partner->probe_last;
    partner->probe_count++;
    index_insert(&ledger->probes, (uint32_t[]){partner->index, row->index}, row);
    changes_partner(ledger, partner);
    return row;
}

void probe_row_apply(struct ledger *ledger, struct ledger_partner *partner, const struct observation *observation)
{
    const struct observation_probe *probe = &observation->probe;
    struct ledger_probe *row = row_find(ledger, partner, probe->kind, probe->target, &probe->address, probe->port);
    bool made = !row;
    if (made)
        row = row_make(ledger, partner);
    if (!row)
        return;
    row->value = *probe;
    changes_probe(ledger, partner, row);
    if (made)
        peer_add(ledger, partner, row);
    row->last_wall = observation->wall;
    row->last_run = observation->run;
    row->health = reason_health(probe->reason);
    row->seen_in_walk = row->present = true;
    row->absent_walks = 0;
    if (probe->not_after != CLOCK_NEVER)
        row->not_after = probe->not_after;
    if (probe->reason == REASON_NONE) {
        row->success_wall = observation->wall;
        row->success_run = observation->run;
        row->successes++;
        row->failures_in_row = 0;
    } else {
        row->failures++;
        if (row->failures_in_row < UINT32_MAX)
            row->failures_in_row++;
    }
}

void probe_row_certificate(struct ledger *ledger, struct ledger_partner *partner, const struct observation *observation)
{
    const struct observation_certificate *certificate = &observation->certificate;
    if (certificate->length > OBSERVATION_CHAIN_MAX || certificate->depth >= certificate->length)
        return;
    struct ledger_probe *row =
        row_find(ledger, partner, PROBE_ENDPOINT, certificate->target, &certificate->address, certificate->port);
    if (!row)
        return;
    uint32_t key[] = {partner->index, row->index, certificate->depth + 1u};
    struct ledger_certificate *cell = index_find(&ledger->certificates, key);
    if (!cell) {
        cell = calloc(1, sizeof *cell);
        if (!cell)
            abort();
        index_insert(&ledger->certificates, key, cell);
        row->certificate_count++;
        changes_probe(ledger, partner, row);
    }
    cell->value = *certificate;
    cell->seen_wall = observation->wall;
    changes_row(ledger, LEDGER_ROW_CERTIFICATE, &cell->mark, key);
    certificates_cut(ledger, partner, row, certificate->length);
}

/* Whether this walk looked up the addresses of `target` in vain. */
static bool target_unresolved(const struct ledger *ledger, const struct ledger_partner *partner, const char *target)
{
    const struct ledger_probe *lookup = row_find(ledger, partner, PROBE_ADDRESS, target, &(struct address){0}, 0);
    if (!lookup || !lookup->seen_in_walk)
        return false;
    return lookup->value.reason != REASON_NONE && lookup->value.event != EVENT_CONFIG_DRIFT;
}

static bool walk_would_have_seen(const struct ledger *ledger, const struct ledger_partner *partner,
                                 const struct observation_walk *walk, const struct ledger_probe *row)
{
    if (row->value.kind == PROBE_SERVICE)
        return true;
    if (partner->service_failures_in_walk)
        return false;
    if (row->value.kind == PROBE_ADDRESS)
        return true;
    return partner->endpoints_in_walk >= walk->endpoints && !target_unresolved(ledger, partner, row->value.target);
}

void probe_row_walked(struct ledger *ledger, struct ledger_partner *partner, const struct observation_walk *walk)
{
    struct ledger_probe *gone[LEDGER_PROBES_MAX];
    size_t gone_count = 0;
    partner->not_after = CLOCK_NEVER;
    for (size_t i = first_row(ledger, partner); is_row_of(ledger, i, partner); i++) {
        struct ledger_probe *row = ledger->probes.entries[i].cell;
        if (!row->seen_in_walk && walk_would_have_seen(ledger, partner, walk, row)) {
            row->present = false;
            changes_probe(ledger, partner, row);
            if (++row->absent_walks >= LEDGER_ABSENT_WALKS)
                gone[gone_count++] = row;
        }
        if (row->present && row->not_after != CLOCK_NEVER &&
            (partner->not_after == CLOCK_NEVER || row->not_after < partner->not_after))
            partner->not_after = row->not_after;
    }
    for (size_t i = first_row(ledger, partner); is_row_of(ledger, i, partner); i++)
        ((struct ledger_probe *)ledger->probes.entries[i].cell)->seen_in_walk = false;
    for (size_t i = 0; i < gone_count; i++)
        row_remove(ledger, partner, gone[i]);
}
