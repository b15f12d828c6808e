#include "row_store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "ledger/changes.h"

#define ROW_TEXT 8192

static const unsigned key_parts[LEDGER_ROW_END] = {
    [LEDGER_ROW_STATE] = 1,   [LEDGER_ROW_NAME] = 1,          [LEDGER_ROW_FIXED] = 1,
    [LEDGER_ROW_TOTAL] = 1,   [LEDGER_ROW_REASON] = 1,        [LEDGER_ROW_SELF] = 1,
    [LEDGER_ROW_PARTNER] = 1, [LEDGER_ROW_PARTNER_EVENT] = 2, [LEDGER_ROW_PARTNER_REASON] = 2,
    [LEDGER_ROW_PROBE] = 2,   [LEDGER_ROW_CERTIFICATE] = 3,   [LEDGER_ROW_SOURCE] = 1,
    [LEDGER_ROW_ALARM] = 1};

void row_store_init(struct row_store *store)
{
    *store = (struct row_store){.last_kind = 0};
    for (int kind = LEDGER_ROW_STATE; kind < LEDGER_ROW_END; kind++)
        index_init(&store->rows[kind], key_parts[kind]);
}

void row_store_clear(struct row_store *store)
{
    for (int kind = LEDGER_ROW_STATE; kind < LEDGER_ROW_END; kind++) {
        for (size_t i = 0; i < store->rows[kind].count; i++)
            free(store->rows[kind].entries[i].cell);
        index_clear(&store->rows[kind]);
    }
}

static void store_put(struct row_store *store, enum ledger_row kind, const uint32_t key[], const void *row)
{
    size_t size = ledger_row_size(kind);
    void *copy = index_find(&store->rows[kind], key);
    if (!copy) {
        copy = calloc(1, size + 1);
        index_insert(&store->rows[kind], key, copy);
    }
    memcpy(copy, row, size);
}

static void on_changed(void *context, enum ledger_row kind, const uint32_t key[INDEX_PARTS], const void *row)
{
    struct row_store *store = context;
    store->wrong |= (int)kind < store->last_kind;
    store->last_kind = (int)kind;
    store->told[kind]++;
    if (row) {
        store_put(store, kind, key, row);
        return;
    }
    void *gone = index_remove(&store->rows[kind], key);
    store->wrong |= !gone;
    free(gone);
}

void row_store_take(struct row_store *store, struct ledger *ledger)
{
    memset(store->told, 0, sizeof store->told);
    store->last_kind = 0;
    ledger_changes_take(ledger, store, on_changed);
}

static void dump_row(struct row_store *store, enum ledger_row kind, const uint32_t key[], const void *row)
{
    union any_row copy;
    memcpy(&copy, row, ledger_row_size(kind));
    image_strip(kind, &copy);
    store_put(store, kind, key, &copy);
}

static void dump_index(struct row_store *store, enum ledger_row kind, const struct index *index)
{
    for (size_t i = 0; i < index->count; i++)
        dump_row(store, kind, index->entries[i].key, index->entries[i].cell);
}

void row_store_dump(struct row_store *store, struct ledger *ledger)
{
    struct ledger_state state = image_state(ledger);
    store_put(store, LEDGER_ROW_STATE, (uint32_t[]){0}, &state);
    for (size_t i = 0; i < ledger->name_count; i++)
        dump_row(store, LEDGER_ROW_NAME, &ledger->names[i].number, &ledger->names[i]);
    for (size_t i = 0; i < ledger->fixed_count; i++)
        store_put(store, LEDGER_ROW_FIXED, &ledger->fixed[i], "");
    for (uint32_t event = 1; event < EVENT_COUNT; event++)
        dump_row(store, LEDGER_ROW_TOTAL, &event, &ledger->events[event]);
    dump_index(store, LEDGER_ROW_REASON, &ledger->reasons);
    dump_index(store, LEDGER_ROW_SELF, &ledger->self);
    dump_index(store, LEDGER_ROW_PARTNER, &ledger->partners);
    dump_index(store, LEDGER_ROW_PARTNER_EVENT, &ledger->partner_events);
    dump_index(store, LEDGER_ROW_PARTNER_REASON, &ledger->partner_reasons);
    dump_index(store, LEDGER_ROW_PROBE, &ledger->probes);
    dump_index(store, LEDGER_ROW_CERTIFICATE, &ledger->certificates);
    dump_index(store, LEDGER_ROW_SOURCE, sources_rows(ledger));
    dump_index(store, LEDGER_ROW_ALARM, &ledger->alarms);
}

void row_store_move(struct row_store *store, int64_t by)
{
    for (int kind = LEDGER_ROW_STATE; kind < LEDGER_ROW_END; kind++)
        for (size_t i = 0; i < store->rows[kind].count; i++)
            ledger_row_move(kind, store->rows[kind].entries[i].cell, by);
}

struct ledger *row_store_restore(const struct row_store *store, int64_t wall, int64_t run, ledger_report *report,
                                 void *context, size_t *left_out)
{
    struct ledger *ledger = ledger_restore_begin(wall, run, report, context);
    *left_out = 0;
    for (int kind = LEDGER_ROW_STATE; kind < LEDGER_ROW_END; kind++)
        for (size_t i = 0; i < store->rows[kind].count; i++) {
            const struct index_entry *entry = &store->rows[kind].entries[i];
            *left_out += !ledger_restore_row(ledger, kind, entry->key, entry->cell);
        }
    return ledger;
}

/* ---- the values of a row as text ---- */

#define SAY(...)         text_append(out, size, __VA_ARGS__)
#define NUMBER(of, name) SAY(" " #name " %" PRId64, (int64_t)(of)->name)
#define TEXT(of, name)   SAY(" " #name " \"%s\"", (of)->name)

static void say_address(const struct address *address, char *out, size_t size)
{
    char text[ADDRESS_TEXT_SIZE];
    SAY(" address %s", address_text(address, text));
}

static void say_window(const struct window *window, char *out, size_t size)
{
    SAY(" window %" PRIu32 "s %" PRId64 ":", window->seconds, window->epoch);
    for (int i = 0; i < WINDOW_BUCKETS; i++)
        SAY(" %" PRIu32, window->buckets[i]);
}

static void say_failure(const struct ledger_failure *failure, char *out, size_t size)
{
    NUMBER(failure, wall);
    NUMBER(failure, run);
    NUMBER(failure, reason);
    NUMBER(failure, partner);
    NUMBER(failure, port);
    NUMBER(failure, not_after);
    TEXT(failure, target);
    TEXT(failure, detail);
    say_address(&failure->address, out, size);
}

static void say_cell(const struct ledger_cell *cell, char *out, size_t size)
{
    NUMBER(cell, event);
    NUMBER(cell, count);
    NUMBER(cell, health);
    NUMBER(cell, successes_in_row);
    NUMBER(cell, quiet_since);
    NUMBER(cell, edge_run);
    NUMBER(cell, source);
    NUMBER(cell, failures_in_walk + cell->successes_in_walk + cell->held_in_walk);
    say_window(&cell->window, out, size);
    say_failure(&cell->last, out, size);
}

static void say_partner(const struct ledger_partner *partner, char *out, size_t size)
{
    NUMBER(partner, index);
    NUMBER(partner, name);
    NUMBER(partner, health);
    NUMBER(partner, reason);
    NUMBER(partner, since_wall);
    NUMBER(partner, walk_wall);
    NUMBER(partner, walk_run);
    NUMBER(partner, success_wall);
    NUMBER(partner, success_run);
    NUMBER(partner, failure_wall);
    NUMBER(partner, failure_run);
    NUMBER(partner, not_after);
    NUMBER(partner, endpoints);
    NUMBER(partner, endpoints_ok);
    NUMBER(partner, walks);
    NUMBER(partner, probe_last);
    NUMBER(partner, probe_count);
    NUMBER(partner, edge.count);
    NUMBER(partner, edge.since_wall);
    NUMBER(partner, edge.last_wall);
    NUMBER(partner, edge.last_run);
    NUMBER(partner, edge.event);
    NUMBER(partner, edge.reason);
}

static void say_probe(const struct ledger_probe *probe, char *out, size_t size)
{
    NUMBER(probe, index);
    NUMBER(probe, last_wall);
    NUMBER(probe, last_run);
    NUMBER(probe, success_wall);
    NUMBER(probe, success_run);
    NUMBER(probe, successes);
    NUMBER(probe, failures);
    NUMBER(probe, failures_in_row);
    NUMBER(probe, health);
    NUMBER(probe, seen_in_walk);
    NUMBER(probe, present);
    NUMBER(probe, absent_walks);
    NUMBER(probe, not_after);
    NUMBER(probe, certificate_count);
    const struct observation_probe *value = &probe->value;
    NUMBER(value, kind);
    NUMBER(value, port);
    NUMBER(value, reason);
    NUMBER(value, event);
    NUMBER(value, duration);
    NUMBER(value, not_after);
    TEXT(value, target);
    TEXT(value, resolver);
    TEXT(value, cipher);
    TEXT(value, detail);
    say_address(&value->address, out, size);
}

static void say_certificate(const struct ledger_certificate *certificate, char *out, size_t size)
{
    const struct observation_certificate *value = &certificate->value;
    NUMBER(certificate, seen_wall);
    NUMBER(value, depth);
    NUMBER(value, length);
    NUMBER(value, port);
    NUMBER(value, not_before);
    NUMBER(value, not_after);
    NUMBER(value, reason);
    TEXT(value, target);
    TEXT(value, subject);
    TEXT(value, serial);
    say_address(&value->address, out, size);
}

static void say_source(const struct ledger_source *source, char *out, size_t size)
{
    NUMBER(source, index);
    NUMBER(source, partner);
    NUMBER(source, first_wall);
    NUMBER(source, used);
    NUMBER(source, user_count);
    NUMBER(source, users_more);
    NUMBER(source, reason_count);
    NUMBER(source, reasons_other);
    TEXT(source, name);
    TEXT(source, subject);
    TEXT(source, issuer);
    TEXT(source, serial);
    for (size_t i = 0; i < source->user_count; i++)
        TEXT(source, users[i]);
    for (size_t i = 0; i < source->reason_count; i++) {
        NUMBER(source, reasons[i].reason);
        NUMBER(source, reasons[i].count);
    }
    say_address(&source->address, out, size);
    say_cell(&source->cell, out, size);
}

static void say_alarm(const struct ledger_alarm *alarm, char *out, size_t size)
{
    NUMBER(alarm, id);
    NUMBER(alarm, state);
    NUMBER(alarm, event);
    NUMBER(alarm, severity);
    NUMBER(alarm, reason);
    NUMBER(alarm, partner);
    NUMBER(alarm, port);
    NUMBER(alarm, raised_wall);
    NUMBER(alarm, changed_wall);
    NUMBER(alarm, window_count);
    NUMBER(alarm, window_seconds);
    NUMBER(alarm, total);
    NUMBER(alarm, source);
    NUMBER(alarm, told_reason);
    NUMBER(alarm, told_severity);
    NUMBER(alarm, told_run);
    NUMBER(alarm, told_sequence);
    TEXT(alarm, name);
    TEXT(alarm, contact);
    TEXT(alarm, target);
    TEXT(alarm, detail);
    say_address(&alarm->address, out, size);
}

/* The clocks of the last tick are in it when something else changed, too: they are no change of their own. */
static void say_state(const struct ledger_state *state, char *out, size_t size)
{
    NUMBER(state, counted_wall);
    NUMBER(state, counted_run);
    NUMBER(state, alarms_changed_wall);
    NUMBER(state, alarms_changed_run);
    NUMBER(state, clock_doubtful);
    NUMBER(state, walks);
    NUMBER(state, walks_late);
    NUMBER(state, observations);
    NUMBER(state, edge_failures);
    NUMBER(state, held);
    NUMBER(state, sequence);
    NUMBER(state, sources_evicted);
    NUMBER(state, sources_refused);
    NUMBER(state, partner_last);
    NUMBER(state, alarm_last);
    NUMBER(state, source_last);
}

void row_text(enum ledger_row kind, const void *row, char *out, size_t size)
{
    const union any_row *any = row;
    *out = '\0';
    switch (kind) {
    case LEDGER_ROW_STATE:
        say_state(&any->state, out, size);
        break;
    case LEDGER_ROW_NAME:
        TEXT(&any->name, name);
        NUMBER(&any->name, index);
        NUMBER(&any->name, number);
        break;
    case LEDGER_ROW_TOTAL:
    case LEDGER_ROW_SELF:
    case LEDGER_ROW_PARTNER_EVENT:
        say_cell(&any->cell, out, size);
        break;
    case LEDGER_ROW_REASON:
    case LEDGER_ROW_PARTNER_REASON:
        NUMBER(&any->reason, reason);
        NUMBER(&any->reason, count);
        NUMBER(&any->reason, first_wall);
        NUMBER(&any->reason, last_wall);
        break;
    case LEDGER_ROW_PARTNER:
        say_partner(&any->partner, out, size);
        break;
    case LEDGER_ROW_PROBE:
        say_probe(&any->probe, out, size);
        break;
    case LEDGER_ROW_CERTIFICATE:
        say_certificate(&any->certificate, out, size);
        break;
    case LEDGER_ROW_SOURCE:
        say_source(&any->source, out, size);
        break;
    case LEDGER_ROW_ALARM:
        say_alarm(&any->alarm, out, size);
        break;
    case LEDGER_ROW_FIXED:
    case LEDGER_ROW_END:
        break;
    }
}

static bool entries_differ(enum ledger_row kind, const struct index_entry *a, const struct index_entry *b, char *out,
                           size_t size)
{
    static char x[ROW_TEXT], y[ROW_TEXT];
    if (memcmp(a->key, b->key, sizeof a->key) != 0) {
        snprintf(out, size, "row %d of %" PRIu32 " %" PRIu32 " %" PRIu32 " against %" PRIu32 " %" PRIu32 " %" PRIu32,
                 kind, a->key[0], a->key[1], a->key[2], b->key[0], b->key[1], b->key[2]);
        return true;
    }
    if (memcmp(a->cell, b->cell, ledger_row_size(kind)) == 0)
        return false;
    row_text(kind, a->cell, x, sizeof x);
    row_text(kind, b->cell, y, sizeof y);
    if (strcmp(x, y) == 0)
        return false;
    snprintf(out, size, "row %d of %" PRIu32 " %" PRIu32 " %" PRIu32 ":\n%s\n%s", kind, a->key[0], a->key[1], a->key[2],
             x, y);
    return true;
}

bool row_store_differ(const struct row_store *a, const struct row_store *b, char *out, size_t size)
{
    for (int kind = LEDGER_ROW_STATE; kind < LEDGER_ROW_END; kind++) {
        const struct index *x = &a->rows[kind], *y = &b->rows[kind];
        for (size_t i = 0; i < x->count && i < y->count; i++)
            if (entries_differ(kind, &x->entries[i], &y->entries[i], out, size))
                return true;
        if (x->count != y->count) {
            snprintf(out, size, "%zu rows %d against %zu", x->count, kind, y->count);
            return true;
        }
    }
    return false;
}
