/*
 * Rows are found by a keyed hash of event, address and name: who sends from chosen addresses cannot make chains long. A
 * row is in the list of use while it has no alarm; the least recently used one is the end of that list, so finding what
 * goes is O(1), and a row in alarm can never be it. When every row is in alarm a failure gets none and is refused: it
 * is in the totals only, counted, and told by monTableFull. What memory the table takes is bounded by its rows alone;
 * the row that goes is the one that is used again.
 *
 * The MIB reads rows in the order of their indexes. These rise, so the list of all rows in the order of their making is
 * in that order too, and the index for the MIB is filled from it when it is asked for and something has changed:
 * nothing is moved while events arrive. After 4,294,967,295 rows indexes begin at 1 again, leaving out those in use.
 */
#include "ledger/source.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "ledger/cell.h"
#include "ledger/changes.h"

struct source_table {
    struct hash_key key;
    uint32_t max, count;
    size_t bucket_count; /* a power of two */
    struct ledger_source **buckets, **index_buckets;
    struct ledger_source *newest, *oldest; /* without an alarm, by last use */
    uint64_t used;
    bool restored;                      /* the order of use is to be made */
    struct ledger_source *first, *last; /* all, by index */
    uint32_t index_last;
    bool index_wrapped;
    uint64_t evicted, refused;
    uint64_t refused_told;
    int64_t refused_run; /* when that was last seen to rise; CLOCK_NEVER: monTableFull is not raised for it */
    struct index rows;
    bool rows_stale;
};

static struct ledger_source *source_of(struct ledger_cell *cell)
{
    return (struct ledger_source *)((char *)cell - offsetof(struct ledger_source, cell));
}

static struct ledger_source **bucket_of(const struct source_table *table, enum event event,
                                        const struct address *address, const char *name)
{
    uint8_t octets[2 + sizeof address->octets + OBSERVATION_NAME] = {(uint8_t)event, address->family};
    size_t length = 2;
    size_t size = address->family == ADDRESS_IPV4 ? 4 : address->family == ADDRESS_IPV6 ? 16 : 0;
    memcpy(octets + length, address->octets, size);
    length += size;
    size_t name_length = strnlen(name, OBSERVATION_NAME);
    memcpy(octets + length, name, name_length);
    length += name_length;
    return &table->buckets[hash_octets(&table->key, octets, length) & (table->bucket_count - 1)];
}

static struct ledger_source **link_of(const struct source_table *table, enum event event, const struct address *address,
                                      const char *name)
{
    struct ledger_source **link = bucket_of(table, event, address, name);
    while (*link && ((*link)->cell.event != event || !address_equal(&(*link)->address, address) ||
                     strcmp((*link)->name, name) != 0))
        link = &(*link)->chain;
    return link;
}

struct ledger_source *source_find(const struct ledger *ledger, enum event event, const struct address *address,
                                  const char *name)
{
    return *link_of(ledger->sources, event, address, name);
}

/* ---- the list of use ---- */

static void use_take_out(struct source_table *table, struct ledger_source *source)
{
    *(source->newer ? &source->newer->older : &table->newest) = source->older;
    *(source->older ? &source->older->newer : &table->oldest) = source->newer;
    source->newer = source->older = NULL;
}

static void use_link_first(struct source_table *table, struct ledger_source *source)
{
    source->newer = NULL;
    source->older = table->newest;
    *(table->newest ? &table->newest->newer : &table->oldest) = source;
    table->newest = source;
}

static void use_put_first(struct source_table *table, struct ledger_source *source)
{
    source->used = ++table->used;
    use_link_first(table, source);
}

void source_pin(struct ledger *ledger, struct ledger_cell *cell)
{
    use_take_out(ledger->sources, source_of(cell));
}

void source_unpin(struct ledger *ledger, struct ledger_cell *cell)
{
    use_put_first(ledger->sources, source_of(cell)); /* the end of its alarm counts as a use */
    changes_cell(ledger, 0, cell);
}

/* Used first before used last. */
static int compare_uses(const void *a, const void *b)
{
    const struct ledger_source *x = *(struct ledger_source *const *)a, *y = *(struct ledger_source *const *)b;
    return (x->used > y->used) - (x->used < y->used);
}

static void use_sort(struct source_table *table)
{
    struct ledger_source **rows = cell_allocate((table->count + 1) * sizeof *rows);
    size_t count = 0;
    for (struct ledger_source *at = table->newest; at; at = at->older)
        rows[count++] = at;
    qsort(rows, count, sizeof *rows, compare_uses);
    table->newest = table->oldest = NULL;
    for (size_t i = 0; i < count; i++)
        use_link_first(table, rows[i]);
    free(rows);
}

/* ---- rows ---- */

/* Indexes rise, so their last bits alone spread them evenly. */
static struct ledger_source **index_link_of(const struct source_table *table, uint32_t index)
{
    struct ledger_source **link = &table->index_buckets[index & (table->bucket_count - 1)];
    while (*link && (*link)->index != index)
        link = &(*link)->index_chain;
    return link;
}

static uint32_t index_give(struct source_table *table)
{
    do {
        if (table->index_last == UINT32_MAX) {
            table->index_last = 0;
            table->index_wrapped = true;
        }
        table->index_last++;
    } while (table->index_wrapped && *index_link_of(table, table->index_last));
    return table->index_last;
}

static void take_out(struct ledger *ledger, struct ledger_source *source)
{
    struct source_table *table = ledger->sources;
    changes_gone(ledger, LEDGER_ROW_SOURCE, &source->cell.mark, &source->index);
    *link_of(table, source->cell.event, &source->address, source->name) = source->chain;
    *index_link_of(table, source->index) = source->index_chain;
    use_take_out(table, source);
    *(source->previous ? &source->previous->next : &table->first) = source->next;
    *(source->next ? &source->next->previous : &table->last) = source->previous;
    table->count--;
    table->rows_stale = true;
}

static void put_in_buckets(struct source_table *table, struct ledger_source *source)
{
    struct ledger_source **bucket = bucket_of(table, source->cell.event, &source->address, source->name);
    source->chain = *bucket;
    *bucket = source;
    bucket = &table->index_buckets[source->index & (table->bucket_count - 1)];
    source->index_chain = *bucket;
    *bucket = source;
}

static void put_in(struct source_table *table, struct ledger_source *source)
{
    put_in_buckets(table, source);
    source->previous = table->last;
    *(table->last ? &table->last->next : &table->first) = source;
    table->last = source;
    use_link_first(table, source);
    table->count++;
    table->rows_stale = true;
}

/* Room for a row that is made, out of the table already; NULL: all are in alarm. */
static struct ledger_source *room_for_one(struct ledger *ledger)
{
    struct source_table *table = ledger->sources;
    if (table->count < table->max)
        return cell_allocate(sizeof(struct ledger_source));
    struct ledger_source *oldest = table->oldest;
    if (!oldest)
        return NULL;
    take_out(ledger, oldest);
    table->evicted++;
    return oldest;
}

struct ledger_source *source_use(struct ledger *ledger, enum event event, const struct address *address,
                                 const char *name, int64_t wall)
{
    struct source_table *table = ledger->sources;
    struct ledger_source *source = source_find(ledger, event, address, name);
    if (source) {
        if (!source->cell.alarm && table->newest != source) {
            use_take_out(table, source);
            use_put_first(table, source);
        }
        changes_cell(ledger, 0, &source->cell);
        return source;
    }
    source = room_for_one(ledger);
    if (!source) {
        table->refused++;
        return NULL;
    }
    *source = (struct ledger_source){.index = index_give(table), .address = *address, .first_wall = wall};
    text_copy(source->name, sizeof source->name, name);
    source->cell.event = event;
    source->cell.health = HEALTH_UNKNOWN;
    source->cell.source = source->index;
    source->used = ++table->used;
    put_in(table, source);
    changes_cell(ledger, 0, &source->cell);
    return source;
}

static void remember_user(struct ledger_source *source, const char *user)
{
    size_t at = 0;
    while (at < source->user_count && strcmp(source->users[at], user) != 0)
        at++;
    if (at == SOURCE_USERS) {
        source->users_more = true;
        at--;
    } else if (at == source->user_count) {
        source->user_count++;
    }
    memmove(source->users[1], source->users[0], at * sizeof source->users[0]);
    text_copy(source->users[0], sizeof source->users[0], user);
}

void source_remember(struct ledger_source *source, const struct observation_event *event, enum reason reason)
{
    if (event->user[0])
        remember_user(source, event->user);
    if (event->subject[0] || event->issuer[0] || event->serial[0]) {
        text_copy(source->subject, sizeof source->subject, event->subject);
        text_copy(source->issuer, sizeof source->issuer, event->issuer);
        text_copy(source->serial, sizeof source->serial, event->serial);
    }
    size_t at = 0;
    while (at < source->reason_count && source->reasons[at].reason != reason)
        at++;
    if (at == SOURCE_REASONS) {
        source->reasons_other += event->count;
        return;
    }
    if (at == source->reason_count)
        source->reasons[source->reason_count++].reason = reason;
    source->reasons[at].count += event->count;
}

const struct index *sources_rows(const struct ledger *ledger)
{
    struct source_table *table = ledger->sources;
    if (table->rows_stale) {
        table->rows.count = 0;
        for (struct ledger_source *at = table->first; at; at = at->next)
            index_insert(&table->rows, &at->index, at);
        table->rows_stale = false;
    }
    return &table->rows;
}

struct ledger_source *source_at(const struct ledger *ledger, uint32_t index)
{
    return *index_link_of(ledger->sources, index);
}

struct source_counts sources_counts(const struct ledger *ledger)
{
    const struct source_table *table = ledger->sources;
    return (struct source_counts){table->count, table->max, table->evicted, table->refused, table->index_last};
}

void sources_tick(struct ledger *ledger, int64_t wall, int64_t run)
{
    struct source_table *table = ledger->sources;
    if (table->refused != table->refused_told) {
        bool raised = table->refused_run != CLOCK_NEVER;
        char detail[OBSERVATION_DETAIL];
        text_format(
            detail, sizeof detail,
            "all rows of fedwSourceTable are in alarm, further sources are refused; edge.sources_max is %" PRIu32,
            table->max);
        table->refused_told = table->refused;
        table->refused_run = run;
        if (!raised)
            ledger_full(ledger, LEDGER_FULL_SOURCES, true, detail, wall, run);
    } else if (table->refused_run != CLOCK_NEVER && run - table->refused_run > SOURCE_FULL_QUIET) {
        table->refused_run = CLOCK_NEVER;
        ledger_full(ledger, LEDGER_FULL_SOURCES, false, "", wall, run);
    }
}

/* ---- the whole table ---- */

static void buckets_make(struct source_table *table)
{
    size_t wanted = 64;
    while (wanted < table->max)
        wanted *= 2;
    if (wanted == table->bucket_count)
        return;
    free(table->buckets);
    free(table->index_buckets);
    table->bucket_count = wanted;
    table->buckets = cell_allocate(wanted * sizeof *table->buckets);
    table->index_buckets = cell_allocate(wanted * sizeof *table->index_buckets);
    for (struct ledger_source *at = table->first; at; at = at->next)
        put_in_buckets(table, at);
}

struct source_table *sources_new(void)
{
    struct source_table *table = cell_allocate(sizeof *table);
    table->key = hash_key_make();
    table->max = SOURCE_MAX;
    buckets_make(table);
    index_init(&table->rows, 1);
    return table;
}

void sources_restore(struct ledger *ledger, const struct source_counts *counts)
{
    struct source_table *table = ledger->sources;
    table->index_last = counts->index_last;
    table->evicted = counts->evicted;
    table->refused = table->refused_told = counts->refused;
}

bool source_restore(struct ledger *ledger, struct ledger_source *row)
{
    struct source_table *table = ledger->sources;
    if (source_at(ledger, row->index) || source_find(ledger, row->cell.event, &row->address, row->name))
        return false;
    put_in(table, row);
    if (table->used < row->used)
        table->used = row->used;
    if (row->index > table->index_last)
        table->index_wrapped = true;
    table->restored = true;
    return true;
}

void sources_free(struct source_table *table)
{
    if (!table)
        return;
    while (table->first) {
        struct ledger_source *source = table->first;
        table->first = source->next;
        free(source);
    }
    index_clear(&table->rows);
    free(table->buckets);
    free(table->index_buckets);
    free(table);
}

static uint32_t renumbered(const struct ledger *ledger, uint32_t index)
{
    const struct ledger_partner *partner = index ? index_find(&ledger->partners, &index) : NULL;
    return partner ? partner->next_index : 0;
}

void sources_bind(struct ledger *ledger, const struct conf *conf, int64_t run)
{
    struct source_table *table = ledger->sources;
    if (table->restored)
        use_sort(table);
    table->restored = false;
    table->max = conf->edge.sources_max ? conf->edge.sources_max : SOURCE_MAX;
    while (table->count > table->max && table->oldest) {
        struct ledger_source *oldest = table->oldest;
        take_out(ledger, oldest);
        table->evicted++;
        free(oldest);
    }
    buckets_make(table);
    for (struct ledger_source *at = table->first; at; at = at->next) {
        uint32_t partner = renumbered(ledger, at->partner), last = renumbered(ledger, at->cell.last.partner);
        bool resized = window_resize(&at->cell.window, conf->thresholds[at->cell.event].window, run);
        if (resized || partner != at->partner || last != at->cell.last.partner)
            changes_cell(ledger, 0, &at->cell);
        at->partner = partner;
        at->cell.last.partner = last;
    }
}
