/* What a scenario expects: transitions in their order, and how the ledger is now. */
#include "scenario.h"

#include <string.h>
#include <strings.h>

#include "base/text.h"

static void describe(const struct ledger_alarm *alarm, char *out, size_t size)
{
    char address[ADDRESS_TEXT_SIZE];
    text_format(out, size, "%s %s %s %s count %u total %llu id %u target %s address %s: %s",
                alarm->name[0] ? alarm->name : "-", event_name(alarm->event), reason_name(alarm->reason),
                severity_name(alarm->severity), alarm->window_count, (unsigned long long)alarm->total, alarm->id,
                alarm->target[0] ? alarm->target : "-", address_text(&alarm->address, address), alarm->detail);
}

/* PARTNER EVENT REASON SEVERITY and what else is said of an alarm; `time`: when it was told, since the start. */
static void expect_values(struct scenario *s, struct words *words, const struct ledger_alarm *alarm, int64_t time)
{
    char address[ADDRESS_TEXT_SIZE];
    bool same = strcmp(take(s, words, "partner"), alarm->name[0] ? alarm->name : "-") == 0;
    same &= parse_event(s, take(s, words, "event")) == alarm->event;
    same &= parse_reason(s, take(s, words, "reason")) == alarm->reason;
    same &= strcasecmp(take(s, words, "severity"), severity_name(alarm->severity)) == 0;
    while (words->next < words->count && !s->failed) {
        if (take_if(words, "count"))
            same &= parse_number(s, take(s, words, "count")) == alarm->window_count;
        else if (take_if(words, "total"))
            same &= parse_number(s, take(s, words, "total")) == alarm->total;
        else if (take_if(words, "id"))
            same &= parse_number(s, take(s, words, "id")) == alarm->id;
        else if (take_if(words, "at"))
            same &= parse_time(s, take(s, words, "time")) == time;
        else if (take_if(words, "target"))
            same &= strcmp(take(s, words, "target"), alarm->target) == 0;
        else if (take_if(words, "address"))
            same &= strcmp(take(s, words, "address"), address_text(&alarm->address, address)) == 0;
        else if (take_if(words, "says"))
            same &= strstr(alarm->detail, take(s, words, "word")) != NULL;
        else
            fail(s, "\"%s\" says nothing about an alarm", words->word[words->next]);
    }
    char text[640];
    describe(alarm, text, sizeof text);
    if (!same)
        fail(s, "it is: %s (told at %llds)", text, (long long)(time / CLOCK_SECOND));
}

static const char *kind_name(enum transition_kind kind)
{
    return kind == TRANSITION_RAISED ? "raised" : kind == TRANSITION_CHANGED ? "changed" : "cleared";
}

static void expect_transition(struct scenario *s, struct words *words, enum transition_kind kind)
{
    if (s->expected == s->count) {
        fail(s, "nothing was told");
        return;
    }
    const struct transition *transition = &s->transitions[s->expected++];
    char text[640];
    describe(&transition->alarm, text, sizeof text);
    if (transition->kind != kind)
        fail(s, "%s was told: %s", kind_name(transition->kind), text);
    else if (transition->sequence != s->expected)
        fail(s, "transition %zu has sequence %llu", s->expected, (unsigned long long)transition->sequence);
    else if ((transition->alarm.state == ALARM_CLEARED) != (kind == TRANSITION_CLEARED))
        fail(s, "the state does not belong to a %s", kind_name(kind));
    else
        expect_values(s, words, &transition->alarm, transition->alarm.told_run - RUN_START - s->run_offset);
}

void expect_nothing(struct scenario *s)
{
    if (s->expected == s->count)
        return;
    char text[640];
    describe(&s->transitions[s->expected].alarm, text, sizeof text);
    fail(s, "was told and not expected: %s %s", kind_name(s->transitions[s->expected].kind), text);
}

static const struct ledger_alarm *alarm_find(const struct scenario *s, const char *name, enum event event,
                                             enum reason reason)
{
    for (size_t i = 0; i < s->ledger->alarms.count; i++) {
        const struct ledger_alarm *alarm = s->ledger->alarms.entries[i].cell;
        if (alarm->event == event && strcmp(name, alarm->name[0] ? alarm->name : "-") == 0 &&
            (alarm->name[0] || alarm->reason == reason))
            return alarm;
    }
    return NULL;
}

static void expect_alarm(struct scenario *s, struct words *words)
{
    if (words->next + 3 > words->count) {
        fail(s, "expect alarm PARTNER EVENT REASON SEVERITY");
        return;
    }
    char **word = &words->word[words->next];
    const struct ledger_alarm *alarm = alarm_find(s, word[0], parse_event(s, word[1]), parse_reason(s, word[2]));
    if (alarm)
        expect_values(s, words, alarm, alarm->told_run - RUN_START - s->run_offset);
    else
        fail(s, "there is no alarm of %s %s", word[0], word[1]);
}

static void expect_no_alarm(struct scenario *s, struct words *words)
{
    if (words->next == words->count) {
        if (s->ledger->alarms.count)
            fail(s, "there are %zu alarms", s->ledger->alarms.count);
        return;
    }
    const char *name = take(s, words, "partner");
    enum event event = parse_event(s, take(s, words, "event"));
    if (alarm_find(s, name, event, REASON_NONE))
        fail(s, "there is an alarm");
}

static void expect_number(struct scenario *s, struct words *words, uint64_t is)
{
    uint64_t expected = parse_number(s, take(s, words, "number"));
    if (expected != is)
        fail(s, "it is %llu, not %llu", (unsigned long long)is, (unsigned long long)expected);
}

static void expect_cell(struct scenario *s, struct words *words, bool window)
{
    const char *name = take(s, words, "partner");
    enum event event = parse_event(s, take(s, words, "event"));
    bool total = strcmp(name, "total") == 0;
    const struct ledger_partner *partner = total ? NULL : partner_of(s, name);
    if (s->failed)
        return;
    const struct ledger_cell *cell = total ? &s->ledger->events[event] : partner->events[event];
    if (window)
        expect_number(s, words, cell ? ledger_window(s->ledger, cell, partner, now_run(s)) : 0);
    else
        expect_number(s, words, cell ? cell->count : 0);
}

static void expect_reason(struct scenario *s, struct words *words)
{
    const char *name = take(s, words, "partner");
    uint32_t reason = (uint32_t)parse_reason(s, take(s, words, "reason"));
    const struct ledger_reason *row;
    if (strcmp(name, "total") == 0) {
        row = index_find(&s->ledger->reasons, (uint32_t[]){reason});
    } else {
        const struct ledger_partner *partner = partner_of(s, name);
        row = partner ? index_find(&s->ledger->partner_reasons, (uint32_t[]){partner->index, reason}) : NULL;
    }
    expect_number(s, words, row ? row->count : 0);
}

static void expect_health(struct scenario *s, struct words *words)
{
    const struct ledger_partner *partner = partner_of(s, take(s, words, "partner"));
    const char *health = take(s, words, "health");
    enum reason reason = parse_reason(s, take(s, words, "reason"));
    if (partner && (strcmp(health, health_name(partner->health)) != 0 || reason != partner->reason))
        fail(s, "it is %s, %s", health_name(partner->health), reason_name(partner->reason));
}

static void expect_summary(struct scenario *s, struct words *words)
{
    struct ledger_summary summary;
    ledger_summarise(s->ledger, &summary);
    const char *health = take(s, words, "health");
    if (strcmp(health, health_name(summary.health)) != 0)
        fail(s, "it is %s", health_name(summary.health));
    expect_number(s, words, summary.alarms);
}

/* EVENT ADDRESS|NAME N|none */
static void expect_source(struct scenario *s, struct words *words)
{
    enum event event = parse_event(s, take(s, words, "event"));
    const char *key = take(s, words, "key");
    const struct index *rows = sources_rows(s->ledger);
    const struct ledger_source *found = NULL;
    for (size_t i = 0; i < rows->count; i++) {
        const struct ledger_source *row = rows->entries[i].cell;
        char address[ADDRESS_TEXT_SIZE];
        if (row->cell.event == event &&
            (strcmp(row->name, key) == 0 || strcmp(address_text(&row->address, address), key) == 0))
            found = row;
    }
    if (take_if(words, "none")) {
        if (found)
            fail(s, "there is one, with %llu", (unsigned long long)found->cell.count);
    } else if (found) {
        expect_number(s, words, found->cell.count);
    } else {
        fail(s, "there is no such row");
    }
}

static void expect_edge(struct scenario *s, struct words *words)
{
    const struct ledger_partner *partner = partner_of(s, take(s, words, "partner"));
    if (!partner)
        return;
    expect_number(s, words, partner->edge.count);
    enum reason reason = parse_reason(s, take(s, words, "reason"));
    if (partner->edge.reason != reason)
        fail(s, "it is %s", reason_name(partner->edge.reason));
}

static void expect_gone(struct scenario *s, struct words *words)
{
    const char *name = take(s, words, "partner");
    for (size_t i = 0; i < s->ledger->partners.count; i++) {
        const struct ledger_partner *partner = s->ledger->partners.entries[i].cell;
        if (strcmp(partner->conf->name, name) == 0)
            fail(s, "it has index %u", partner->index);
    }
}

void run_expect(struct scenario *s, struct words *words)
{
    if (take_if(words, "raised")) {
        expect_transition(s, words, TRANSITION_RAISED);
    } else if (take_if(words, "changed")) {
        expect_transition(s, words, TRANSITION_CHANGED);
    } else if (take_if(words, "cleared")) {
        expect_transition(s, words, TRANSITION_CLEARED);
    } else if (take_if(words, "nothing")) {
        expect_nothing(s);
    } else if (take_if(words, "alarm")) {
        expect_alarm(s, words);
    } else if (take_if(words, "no")) {
        take_if(words, "alarm");
        expect_no_alarm(s, words);
    } else if (take_if(words, "count")) {
        expect_cell(s, words, false);
    } else if (take_if(words, "window")) {
        expect_cell(s, words, true);
    } else if (take_if(words, "reason")) {
        expect_reason(s, words);
    } else if (take_if(words, "health")) {
        expect_health(s, words);
    } else if (take_if(words, "summary")) {
        expect_summary(s, words);
    } else if (take_if(words, "source")) {
        expect_source(s, words);
    } else if (take_if(words, "edge")) {
        expect_edge(s, words);
    } else if (take_if(words, "rows")) {
        expect_number(s, words, sources_counts(s->ledger).rows);
    } else if (take_if(words, "evicted")) {
        expect_number(s, words, sources_counts(s->ledger).evicted);
    } else if (take_if(words, "refused")) {
        expect_number(s, words, sources_counts(s->ledger).refused);
    } else if (take_if(words, "held")) {
        expect_number(s, words, s->ledger->storm.held);
    } else if (take_if(words, "late")) {
        expect_number(s, words, s->ledger->walks_late);
    } else if (take_if(words, "gone")) {
        expect_gone(s, words);
    } else {
        bool index = take_if(words, "index");
        if (!index && !take_if(words, "probes")) {
            fail(s, "\"%s\" cannot be expected", take(s, words, "what"));
            return;
        }
        const struct ledger_partner *partner = partner_of(s, take(s, words, "partner"));
        if (partner)
            expect_number(s, words, index ? partner->index : partner->probe_count);
    }
    if (!s->failed && words->next < words->count)
        fail(s, "\"%s\" is too much", words->word[words->next]);
}
