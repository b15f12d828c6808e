/*
 * Worst first: critical, warning, not looked at yet, fine; within them by the severity of the alarm, then by name. A
 * partner whose walks are fine but who has an alarm (of what the edge saw, or one that waits for good walks) stands
 * before those without.
 */
#include "cli/show.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"

#define DAY (86400 * CLOCK_SECOND)

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);
    if (!memory)
        abort();
    return memory;
}

/* ---- order ---- */

static int health_rank(enum health health)
{
    static const int ranks[] = {[HEALTH_OK] = 0, [HEALTH_UNKNOWN] = 1, [HEALTH_WARNING] = 2, [HEALTH_CRITICAL] = 3};
    return ranks[health];
}

static int alarm_rank(const struct ledger_alarm *alarm)
{
    return alarm ? severity_rank(alarm->severity) : 0;
}

static int compare_partners(const void *a, const void *b)
{
    const struct show_partner *first = a, *second = b;
    int order = health_rank(second->health) - health_rank(first->health);
    if (order == 0)
        order = alarm_rank(second->alarm) - alarm_rank(first->alarm);
    return order ? order : strcmp(first->name, second->name);
}

static int compare_alarms(const void *a, const void *b)
{
    const struct ledger_alarm *first = *(const struct ledger_alarm *const *)a,
                              *second = *(const struct ledger_alarm *const *)b;
    int order = alarm_rank(second) - alarm_rank(first);
    return order ? order : (first->id > second->id) - (first->id < second->id);
}

/* ---- rows ---- */

static void add_partner(struct show *show, const char *name, const struct ledger_partner *partner)
{
    struct show_partner *row = &show->partners[show->count++];
    *row =
        (struct show_partner){.name = name, .partner = partner, .health = partner->health, .reason = partner->reason};
    for (int event = EVENT_NONE + 1; event < EVENT_END; event++) {
        const struct ledger_cell *cell = partner->events[event];
        if (cell && cell->alarm && alarm_rank(cell->alarm) > alarm_rank(row->alarm))
            row->alarm = cell->alarm;
    }
    if (row->alarm) {
        row->event = row->alarm->event;
        if (row->reason == REASON_NONE)
            row->reason = row->alarm->reason;
    } else if (row->reason != REASON_NONE) {
        row->event = reason_info(row->reason)->event;
    }
    const struct ledger_cell *cell = row->event ? partner->events[row->event] : NULL;
    if (cell && cell->window.seconds) {
        row->window = cell->window.seconds;
        row->count = window_sum(&cell->window, row->window, show->run);
    }
    show->of_health[row->health]++;
}

static void collect(struct show *show)
{
    const struct ledger *ledger = show->ledger;
    show->partners = allocate(ledger->name_count, sizeof *show->partners);
    for (size_t i = 0; i < ledger->name_count; i++) {
        const struct ledger_name *name = &ledger->names[i];
        const struct ledger_partner *partner = index_find(&ledger->partners, (uint32_t[INDEX_PARTS]){name->index});
        if (partner)
            add_partner(show, name->name, partner);
    }
    show->alarms = allocate(ledger->alarms.count, sizeof show->alarms[0]);
    for (size_t i = 0; i < ledger->alarms.count; i++)
        show->alarms[show->alarm_count++] = ledger->alarms.entries[i].cell;
    qsort(show->partners, show->count, sizeof *show->partners, compare_partners);
    qsort(show->alarms, show->alarm_count, sizeof show->alarms[0], compare_alarms);
}

struct show *show_new(const struct ledger *ledger, int64_t wall, int64_t run, int64_t written)
{
    struct show *show = allocate(1, sizeof *show);
    struct ledger_summary summary;
    *show = (struct show){.ledger = ledger, .wall = wall, .run = run, .written = written};
    collect(show);
    ledger_summarise(ledger, &summary);
    show->health = summary.health;
    return show;
}

void show_free(struct show *show)
{
    if (!show)
        return;
    free(show->partners);
    free(show->alarms);
    free(show);
}

static bool named(const char *name, char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static const char *find_missing(const struct show *show, char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool found = false;
        for (size_t k = 0; k < show->count && !found; k++)
            found = strcmp(show->partners[k].name, names[i]) == 0;
        if (!found)
            return names[i];
    }
    return NULL;
}

const char *show_select(struct show *show, char *const *names, size_t count)
{
    const char *missing = find_missing(show, names, count);
    if (missing)
        return missing;
    size_t kept = 0;
    memset(show->of_health, 0, sizeof show->of_health);
    show->health = HEALTH_OK;
    for (size_t i = 0; i < show->count; i++) {
        struct show_partner *row = &show->partners[i];
        if (!named(row->name, names, count))
            continue;
        enum health health = row->health;
        if (row->alarm && health < HEALTH_CRITICAL && reason_health(row->alarm->reason) > health)
            health = reason_health(row->alarm->reason);
        if (health > show->health)
            show->health = health;
        show->of_health[row->health]++;
        show->partners[kept++] = *row;
    }
    show->count = kept;
    kept = 0;
    for (size_t i = 0; i < show->alarm_count; i++)
        if (show_place(show->alarms[i]) == SHOW_PARTNER && named(show->alarms[i]->name, names, count))
            show->alarms[kept++] = show->alarms[i];
    show->alarm_count = kept;
    return NULL;
}

const char *show_nearest(const struct show *show, const char *name)
{
    const char **names = allocate(show->count, sizeof *names);
    for (size_t i = 0; i < show->count; i++)
        names[i] = show->partners[i].name;
    const char *nearest = text_nearest(name, names, show->count);
    free(names);
    return nearest;
}

bool show_stale(const struct show *show)
{
    return show->written == CLOCK_NEVER || show->wall - show->written > SHOW_STALE;
}

uint32_t show_window(const struct show *show, const struct ledger_alarm *alarm)
{
    const struct ledger_cell *cell = alarm->cell;
    return cell && cell->window.seconds ? window_sum(&cell->window, cell->window.seconds, show->run)
                                        : alarm->window_count;
}

/* ---- words ---- */

enum show_place show_place(const struct ledger_alarm *alarm)
{
    if (alarm->source)
        return SHOW_SOURCE;
    return alarm->partner || *alarm->name ? SHOW_PARTNER : SHOW_MONITOR;
}

const char *show_endpoint(const struct address *address, uint16_t port, char *out, size_t size)
{
    char text[ADDRESS_TEXT_SIZE];
    address_text(address, text);
    if (port)
        text_format(out, size, address->family == ADDRESS_IPV6 ? "[%s]:%u" : "%s:%u", text, port);
    else
        text_copy(out, size, text);
    return out;
}

void show_where(const struct ledger_alarm *alarm, char *out, size_t size)
{
    char endpoint[ADDRESS_TEXT_SIZE + 16];
    show_endpoint(&alarm->address, alarm->port, endpoint, sizeof endpoint);
    text_printable(out, size, alarm->target, strlen(alarm->target));
    if (*endpoint && strcmp(endpoint, out) != 0)
        text_append(out, size, "%s%s", *out ? " " : "", endpoint);
    if (show_place(alarm) == SHOW_SOURCE && *alarm->name)
        text_append(out, size, "%sof %s", *out ? " " : "", alarm->name);
}

long show_days(int64_t not_after, int64_t wall)
{
    int64_t left = not_after - wall;
    return (long)(left >= 0 ? left / DAY : -((-left + DAY - 1) / DAY));
}

const char *show_left(int64_t not_after, int64_t wall, char *out, size_t size)
{
    if (not_after == CLOCK_NEVER)
        text_copy(out, size, "");
    else if (not_after < wall)
        text_copy(out, size, "ended");
    else if (not_after - wall >= DAY)
        text_format(out, size, "%ld d", show_days(not_after, wall));
    else
        text_format(out, size, "%d h", (int)((not_after - wall) / (3600 * CLOCK_SECOND)));
    return out;
}
