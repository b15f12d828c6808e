/*
 * A new configuration is put in force in four steps: give every name an index, say which partner becomes what, clear
 * and free what goes, and build the indexes anew in the order of the new numbers.
 *
 * Indexes: each partner of the configuration claims a number: the one that is fixed for it, else the one that its name
 * had before. Where several claim the same number, a fixed claim goes before that of a partner in force, that before a
 * name that only is remembered, and the earlier in the file before the later. Who loses a fixed number keeps the one
 * that it had if nobody else claims it. Who gets nothing and who claims nothing is given the next number that never was anybody's: above partner_last, and never fixed.
 *
 * What is as it was counts as unchanged: rows are the same by partner, and only those of partners whose number changes go
 * under the old key and come under the new one.
 */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "ledger/alarm.h"
#include "ledger/cell.h"
#include "ledger/changes.h"
#include "ledger/peer.h"
#include "ledger/source.h"
#include "ledger/storm.h"

enum claim_weakness { CLAIM_FIXED, CLAIM_IN_FORCE, CLAIM_REMEMBERED, CLAIM_LOST };

struct claim {
    uint32_t index;
    enum claim_weakness weakness;
    size_t position; /* in conf->partners */
};

static void *array_allocate(size_t count, size_t size)
{
    void *array = calloc(count ? count : 1, size);
    if (!array)
        abort();
    return array;
}

static int compare_number(uint32_t a, uint32_t b)
{
    return (a > b) - (a < b);
}

static int compare_numbers(const void *a, const void *b)
{
    return compare_number(*(const uint32_t *)a, *(const uint32_t *)b);
}

static int compare_claims(const void *a, const void *b)
{
    const struct claim *x = a, *y = b;
    if (x->index != y->index)
        return compare_number(x->index, y->index);
    if (x->weakness != y->weakness)
        return (int)x->weakness - (int)y->weakness;
    return (x->position > y->position) - (x->position < y->position);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct ledger_name *)a)->name, ((const struct ledger_name *)b)->name);
}

/* The one of the lower number first. */
static int compare_names_all(const void *a, const void *b)
{
    const struct ledger_name *x = a, *y = b;
    int names = compare_names(a, b);
    return names ? names : compare_number(x->number, y->number);
}

static int compare_partners(const void *a, const void *b)
{
    const struct ledger_partner *x = *(struct ledger_partner *const *)a, *y = *(struct ledger_partner *const *)b;
    return compare_number(x->next_index, y->next_index);
}

static struct ledger_name *name_find(const struct ledger *ledger, const char *name)
{
    struct ledger_name key = {.index = 0};
    text_copy(key.name, sizeof key.name, name);
    return bsearch(&key, ledger->names, ledger->name_count, sizeof key, compare_names);
}

struct ledger_name *ledger_name_at(const struct ledger *ledger, uint32_t number)
{
    size_t position = number <= ledger->name_last && ledger->name_positions ? ledger->name_positions[number] : 0;
    return position ? &ledger->names[position - 1] : NULL;
}

void names_sort(struct ledger *ledger)
{
    size_t kept = 0;
    if (ledger->name_count)
        qsort(ledger->names, ledger->name_count, sizeof *ledger->names, compare_names_all);
    for (size_t i = 0; i < ledger->name_count; i++)
        if (i == 0 || compare_names(&ledger->names[i], &ledger->names[i - 1]) != 0)
            ledger->names[kept++] = ledger->names[i];
    ledger->name_count = kept;
    free(ledger->name_positions);
    ledger->name_positions = array_allocate((size_t)ledger->name_last + 1, sizeof *ledger->name_positions);
    for (size_t i = 0; i < kept; i++)
        ledger->name_positions[ledger->names[i].number] = i + 1;
}

static void names_add(struct ledger *ledger, const struct conf *conf)
{
    size_t known = ledger->name_count, room = known + conf->partner_count;
    ledger->names = reallocarray(ledger->names, room ? room : 1, sizeof *ledger->names);
    if (!ledger->names)
        abort();
    size_t count = known;
    for (size_t i = 0; i < conf->partner_count; i++) {
        if (name_find(ledger, conf->partners[i].name))
            continue;
        ledger->names[count] = (struct ledger_name){.number = ++ledger->name_last};
        text_copy(ledger->names[count++].name, sizeof ledger->names[0].name, conf->partners[i].name);
    }
    ledger->name_count = count;
    names_sort(ledger);
}

void fixed_sort(struct ledger *ledger, size_t count)
{
    if (count)
        qsort(ledger->fixed, count, sizeof *ledger->fixed, compare_numbers);
    ledger->fixed_count = 0;
    for (size_t i = 0; i < count; i++)
        if (i == 0 || ledger->fixed[i] != ledger->fixed[i - 1])
            ledger->fixed[ledger->fixed_count++] = ledger->fixed[i];
}

static bool is_fixed(const struct ledger *ledger, uint32_t index)
{
    return bsearch(&index, ledger->fixed, ledger->fixed_count, sizeof *ledger->fixed, compare_numbers);
}

static void fixed_add(struct ledger *ledger, const struct conf *conf)
{
    size_t room = ledger->fixed_count + conf->partner_count;
    ledger->fixed = reallocarray(ledger->fixed, room ? room : 1, sizeof *ledger->fixed);
    if (!ledger->fixed)
        abort();
    size_t count = ledger->fixed_count;
    for (size_t i = 0; i < conf->partner_count; i++)
        if (conf->partners[i].index && !is_fixed(ledger, conf->partners[i].index)) {
            ledger->fixed[count++] = conf->partners[i].index;
            changes_fixed(ledger, conf->partners[i].index);
        }
    fixed_sort(ledger, count);
}
static uint32_t index_next(struct ledger *ledger)
{
    do
        ledger->partner_last++;
    while (is_fixed(ledger, ledger->partner_last));
    return ledger->partner_last;
}

/* Fixed claims first: only who loses one needs another number. */
static void claims_settle(const struct claim *claims, size_t count, uint32_t *given)
{
    for (size_t i = 0; i < count; i++)
        if (claims[i].weakness == CLAIM_FIXED && (i == 0 || claims[i].index != claims[i - 1].index))
            given[claims[i].position] = claims[i].index;
    for (size_t i = 0, next; i < count; i = next) {
        bool taken = claims[i].weakness == CLAIM_FIXED;
        for (next = i; next < count && claims[next].index == claims[i].index; next++)
            if (!taken && !given[claims[next].position]) {
                given[claims[next].position] = claims[i].index;
                taken = true;
            }
    }
}

static void indexes_give(struct ledger *ledger, const struct conf *conf)
{
    struct claim *claims = array_allocate(2 * conf->partner_count, sizeof *claims);
    size_t count = 0;
    for (size_t i = 0; i < conf->partner_count; i++) {
        const struct ledger_name *name = name_find(ledger, conf->partners[i].name);
        uint32_t fixed = conf->partners[i].index;
        if (fixed)
            claims[count++] = (struct claim){fixed, CLAIM_FIXED, i};
        if (name->index && name->index != fixed)
            claims[count++] = (struct claim){name->index,
                                             fixed           ? CLAIM_LOST
                                             : name->partner ? CLAIM_IN_FORCE
                                                             : CLAIM_REMEMBERED,
                                             i};
    }
    qsort(claims, count, sizeof *claims, compare_claims);
    uint32_t *given = array_allocate(conf->partner_count, sizeof *given);
    claims_settle(claims, count, given);
    for (size_t i = 0; i < conf->partner_count; i++) {
        struct ledger_name *name = name_find(ledger, conf->partners[i].name);
        uint32_t before = name->index;
        name->index = given[i] ? given[i] : index_next(ledger);
        if (name->index != before)
            changes_row(ledger, LEDGER_ROW_NAME, &name->mark, &name->number);
    }
    free(given);
    free(claims);
}

/* A cell that outlives the change counts on in a window of the new length. */
static void windows_resize(struct ledger *ledger, struct ledger_partner *partner, const struct conf_partner *next,
                           int64_t run)
{
    for (int event = EVENT_NONE + 1; event < EVENT_END; event++)
        if (partner->events[event] &&
            window_resize(&partner->events[event]->window, next->thresholds[event].window, run))
            changes_cell(ledger, partner->index, partner->events[event]);
}

static struct ledger_partner *partner_make(void)
{
    struct ledger_partner *partner = array_allocate(1, sizeof *partner);
    partner->health = HEALTH_UNKNOWN;
    partner->reason = REASON_NONE;
    return partner;
}

/* Binds positions to partners, new ones included, and returns those that will be in force, by their new index. */
static struct ledger_partner **partners_bind(struct ledger *ledger, const struct conf *conf, int64_t run, size_t *count)
{
    struct ledger_partner **order = array_allocate(conf->partner_count, sizeof *order);
    free(ledger->bound);
    ledger->bound = array_allocate(conf->partner_count, sizeof *ledger->bound);
    *count = 0;
    for (size_t i = 0; i < conf->partner_count; i++) {
        const struct conf_partner *next = &conf->partners[i];
        if (!next->enabled)
            continue;
        struct ledger_name *name = name_find(ledger, next->name);
        if (name->partner)
            windows_resize(ledger, name->partner, next, run);
        else
            name->partner = partner_make();
        name->partner->conf = next;
        name->partner->name = name->number;
        name->partner->next_index = name->index;
        ledger->bound[i] = order[(*count)++] = name->partner;
    }
    qsort(order, *count, sizeof *order, compare_partners);
    return order;
}

/* The old configuration is still in force here: alarms that go are told as they were. */
static void alarms_clear_gone(struct ledger *ledger, int64_t wall, int64_t run)
{
    for (size_t i = 0; i < ledger->alarms.count;) {
        struct ledger_alarm *alarm = ledger->alarms.entries[i].cell;
        const struct ledger_partner *partner = index_find(&ledger->partners, (uint32_t[]){alarm->partner});
        if (partner && !partner->next_index && !alarm->source) {
            alarm_clear(ledger, alarm, wall, run);
            continue;
        }
        if (partner && partner->next_index != alarm->partner) {
            alarm->partner = partner->next_index;
            changes_alarm(ledger, alarm);
        }
        i++;
    }
}

static void totals_renumber(struct ledger *ledger)
{
    for (int event = EVENT_NONE + 1; event < EVENT_END; event++) {
        struct ledger_failure *last = &ledger->events[event].last;
        const struct ledger_partner *partner = index_find(&ledger->partners, (uint32_t[]){last->partner});
        uint32_t next = partner ? partner->next_index : 0;
        if (next != last->partner)
            changes_total(ledger, &ledger->events[event]);
        last->partner = next;
    }
}

static void row_rename(struct ledger *ledger, enum ledger_row kind, const struct index_entry *entry,
                       const uint32_t key[])
{
    struct ledger_mark *mark = changes_mark_of(kind, entry->cell);
    changes_gone(ledger, kind, mark, entry->key);
    changes_row(ledger, kind, mark, key);
}

/* Builds one index anew: entries of partners that stay, under their new numbers; cells of those that go are freed. */
static void index_rebuild(struct ledger *ledger, enum ledger_row kind, struct index *index,
                          struct ledger_partner *const *order, size_t count)
{
    struct index old = *index;
    index_init(index, old.parts);
    for (size_t i = 0; i < count; i++) {
        size_t position = order[i]->index ? index_from(&old, (uint32_t[INDEX_PARTS]){order[i]->index}) : old.count;
        for (; position < old.count && old.entries[position].key[0] == order[i]->index; position++) {
            struct index_entry *entry = &old.entries[position];
            const uint32_t key[] = {order[i]->next_index, entry->key[1], entry->key[2]};
            index_insert(index, key, entry->cell);
            if (key[0] != entry->key[0])
                row_rename(ledger, kind, entry, key);
            entry->cell = NULL;
        }
    }
    for (size_t i = 0; i < old.count; i++)
        if (old.entries[i].cell) {
            changes_gone(ledger, kind, changes_mark_of(kind, old.entries[i].cell), old.entries[i].key);
            free(old.entries[i].cell);
        }
    index_clear(&old);
}

static void partner_renumber(struct ledger *ledger, struct ledger_partner *partner)
{
    partner->index = partner->next_index;
    changes_partner(ledger, partner);
    for (int event = EVENT_NONE + 1; event < EVENT_END; event++)
        if (partner->events[event])
            partner->events[event]->last.partner = partner->events[event]->count ? partner->index : 0;
}

static void partners_renumber(struct ledger *ledger, struct ledger_partner *const *order, size_t count)
{
    index_rebuild(ledger, LEDGER_ROW_PARTNER_EVENT, &ledger->partner_events, order, count);
    index_rebuild(ledger, LEDGER_ROW_PARTNER_REASON, &ledger->partner_reasons, order, count);
    index_rebuild(ledger, LEDGER_ROW_PROBE, &ledger->probes, order, count);
    index_rebuild(ledger, LEDGER_ROW_CERTIFICATE, &ledger->certificates, order, count);
    for (size_t i = 0; i < ledger->partners.count; i++) {
        struct ledger_partner *partner = ledger->partners.entries[i].cell;
        if (partner->index != partner->next_index)
            changes_gone(ledger, LEDGER_ROW_PARTNER, &partner->mark, &partner->index);
        if (!partner->next_index)
            free(partner);
    }
    index_clear(&ledger->partners);
    for (size_t i = 0; i < count; i++) {
        struct ledger_partner *partner = order[i];
        if (partner->index != partner->next_index)
            partner_renumber(ledger, partner);
        index_insert(&ledger->partners, (uint32_t[]){partner->index}, partner);
    }
}

/* Cells that are certain to be counted stand from the start, so that their rows in the MIB do not come and go. */
static void cells_make(struct ledger *ledger, struct ledger_partner *partner)
{
    if (partner->conf->service[0] || partner->conf->address.family == ADDRESS_UNKNOWN)
        ledger_cell_make(ledger, partner, EVENT_DNS);
    ledger_cell_make(ledger, partner, EVENT_TLS_OUTGOING);
    ledger_cell_make(ledger, partner, EVENT_CONNECTION);
    if (partner->conf->expiry_days)
        ledger_cell_make(ledger, partner, EVENT_CERT_EXPIRY);
    if (partner->conf->expected_count)
        ledger_cell_make(ledger, partner, EVENT_CONFIG_DRIFT);
}

static void names_forget_gone(struct ledger *ledger)
{
    for (size_t i = 0; i < ledger->name_count; i++)
        if (ledger->names[i].partner && !ledger->names[i].partner->next_index)
            ledger->names[i].partner = NULL;
}

/* Cells that are not of one partner; those of sources are the table's. */
static void totals_resize(struct ledger *ledger, const struct conf *conf, int64_t run)
{
    for (int event = EVENT_NONE + 1; event < EVENT_END; event++)
        if (window_resize(&ledger->events[event].window, conf->thresholds[event].window, run))
            changes_total(ledger, &ledger->events[event]);
    for (size_t i = 0; i < ledger->self.count; i++) {
        struct ledger_cell *cell = ledger->self.entries[i].cell;
        if (window_resize(&cell->window, conf->thresholds[EVENT_MONITOR_SELF].window, run))
            changes_row(ledger, LEDGER_ROW_SELF, &cell->mark, ledger->self.entries[i].key);
    }
}

void ledger_bind(struct ledger *ledger, const struct conf *conf, int64_t wall, int64_t run)
{
    if (!ledger->conf)
        restore_settle(ledger);
    names_add(ledger, conf);
    fixed_add(ledger, conf);
    indexes_give(ledger, conf);
    for (size_t i = 0; i < ledger->partners.count; i++)
        ((struct ledger_partner *)ledger->partners.entries[i].cell)->next_index = 0;
    size_t count;
    struct ledger_partner **order = partners_bind(ledger, conf, run, &count);
    alarms_clear_gone(ledger, wall, run);
    totals_renumber(ledger);
    sources_bind(ledger, conf, run);
    storm_forget(ledger);
    names_forget_gone(ledger);
    partners_renumber(ledger, order, count);
    totals_resize(ledger, conf, run);
    ledger->conf = conf;
    for (size_t i = 0; i < count; i++)
        cells_make(ledger, order[i]);
    free(order);
    peers_bind(ledger);
    storm_bound(ledger, wall, run);
    changes_state(ledger);
}
