/*
 * A ledger and one that was made of what was kept of it must be the same, whatever happened and whatever happens. What is
 * kept is a plain store of rows that only takes changes, compared with all that there is each time.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "ledger_fixture.h"
#include "row_store.h"

#define NAMES 9
#define TOLD  4096

static uint32_t random_state;

static uint32_t random_below(uint32_t bound)
{
    random_state = random_state * 1664525 + 1013904223;
    return (uint32_t)(((uint64_t)random_state * bound) >> 32);
}

/* A ledger, what is kept of it and what it has told since that was last looked at. */
struct side {
    struct ledger *ledger;
    struct row_store store;
    size_t count;
    struct transition told[TOLD];
    uint64_t failures[EVENT_COUNT], verdicts; /* as its hooks told */
};

static void on_transition(void *context, const struct transition *transition)
{
    struct side *side = context;
    cr_assert_lt(side->count, TOLD);
    side->told[side->count++] = *transition;
}

static void on_failure(void *context, const struct ledger_failure *failure, enum event event, uint32_t count,
                       const struct ledger_partner *partner, const struct ledger_source *source)
{
    struct side *side = context;
    cr_assert_neq(failure->wall, CLOCK_NEVER);
    cr_assert(!partner || partner->index);
    cr_assert(!source || source->cell.event == event);
    side->failures[event] += count;
}

static void on_verdict(void *context, const struct ledger_partner *partner)
{
    struct side *side = context;
    cr_assert_neq(partner->since_wall, CLOCK_NEVER);
    side->verdicts++;
}

static void assert_same(const struct row_store *a, const struct row_store *b, const char *what)
{
    char text[8192];
    bool differ = row_store_differ(a, b, text, sizeof text);
    cr_assert_not(differ, "%s: %s", what, text);
}

/* Takes what changed; then what is kept is what there is. */
static void side_take(struct side *side)
{
    struct row_store all;
    row_store_take(&side->store, side->ledger);
    cr_assert_not(ledger_changes_any(side->ledger));
    cr_assert_not(side->store.wrong);
    row_store_init(&all);
    row_store_dump(&all, side->ledger);
    assert_same(&side->store, &all, "kept and there");
    row_store_clear(&all);
}

static void side_open(struct side *side, struct ledger *ledger)
{
    side->ledger = ledger;
    ledger_failures(ledger, on_failure, side);
    ledger_verdicts(ledger, on_verdict, side);
}

static struct side *side_new(const struct fixture *at)
{
    struct side *side = calloc(1, sizeof *side);
    row_store_init(&side->store);
    side_open(side, ledger_new(at->conf, at->wall, at->run, on_transition, side));
    return side;
}

static void side_free(struct side *side)
{
    ledger_free(side->ledger);
    row_store_clear(&side->store);
    free(side);
}

/* Another process that begins with what is kept of `old`, in the same moment. */
static struct side *side_restored(const struct side *old, const struct fixture *at)
{
    struct side *side = calloc(1, sizeof *side);
    size_t left_out;
    row_store_init(&side->store);
    side_open(side, row_store_restore(&old->store, at->wall, at->run, on_transition, side, &left_out));
    cr_assert_eq(left_out, 0);
    ledger_bind(side->ledger, at->conf, at->wall, at->run);
    cr_assert_eq(side->count, 0);
    row_store_dump(&side->store, side->ledger);
    assert_same(&old->store, &side->store, "kept and restored");
    struct row_store changes;
    row_store_init(&changes);
    row_store_take(&changes, side->ledger);
    for (int kind = LEDGER_ROW_NAME; kind < LEDGER_ROW_END; kind++)
        cr_assert_eq(changes.told[kind], 0, "%zu rows %d count as changed", changes.told[kind], kind);
    row_store_clear(&changes);
    memcpy(side->failures, old->failures, sizeof side->failures);
    return side;
}

/* ---- what happens, to one ledger or to two ---- */

struct play {
    struct fixture *at; /* the configuration and the clocks */
    struct side *sides[2];
    size_t count;
    uint32_t names[NAMES]; /* of the partners of the configuration */
    bool failing[2];
};

static const enum reason self_reasons[2] = {REASON_MON_MASTER_LOST, REASON_MON_FEED_UNPARSED};

static void apply(struct play *play, const struct observation *observation)
{
    for (size_t i = 0; i < play->count; i++)
        ledger_apply(play->sides[i]->ledger, observation);
}

static struct conf *random_conf(struct play *play)
{
    static const uint32_t windows[] = {300, 900, 3600};
    static const char *const domains[NAMES] = {"p0.example", "p1.example", "p2.example", "p3.example", "p4.example",
                                               "p5.example", "p6.example", "p7.example", "p8.example"};
    struct conf *conf = fixture_conf(random_below(NAMES));
    uint32_t next = random_below(NAMES);
    conf->edge.sources_max = 16 + random_below(16);
    conf->thresholds[EVENT_AUTH_SOURCE] = (struct conf_threshold){20, windows[random_below(3)], 0};
    for (size_t i = 0; i < conf->partner_count; i++, next = (next + 5) % NAMES) {
        char name[8];
        text_format(name, sizeof name, "p%u", next);
        fixture_conf_name(conf, i, name);
        play->names[i] = next;
        conf->partners[i].domain = domains[next];
        conf->partners[i].enabled = random_below(8) != 0;
        conf->partners[i].index = random_below(6) ? 0 : 1 + random_below(12);
        uint32_t window = windows[random_below(3)];
        conf->partners[i].thresholds[EVENT_CONNECTION] = (struct conf_threshold){2, window, random_below(4)};
        conf->partners[i].thresholds[EVENT_TLS_OUTGOING] = (struct conf_threshold){3, window, 2};
    }
    return conf;
}

static void random_bind(struct play *play)
{
    struct conf *old = play->at->conf;
    play->at->conf = random_conf(play);
    for (size_t i = 0; i < play->count; i++)
        ledger_bind(play->sides[i]->ledger, play->at->conf, play->at->wall, play->at->run);
    fixture_conf_free(old);
}

static void random_chain(struct play *play, const struct observation *endpoint)
{
    struct observation observation = *endpoint;
    uint8_t length = (uint8_t)(1 + random_below(3));
    observation.kind = OBSERVATION_CERTIFICATE;
    for (uint8_t depth = 0; depth < length; depth++) {
        struct observation_certificate *value = &observation.certificate;
        *value = (struct observation_certificate){.address = endpoint->probe.address,
                                                  .port = endpoint->probe.port,
                                                  .depth = depth,
                                                  .length = length,
                                                  .not_after = play->at->wall + random_below(100) * CLOCK_SECOND,
                                                  .reason = REASON_NONE};
        text_copy(value->target, sizeof value->target, endpoint->probe.target);
        text_format(value->subject, sizeof value->subject, "CN=%u", random_below(100));
        apply(play, &observation);
    }
}

static const enum reason outcomes[] = {REASON_NONE,           REASON_NONE,       REASON_NONE,
                                       REASON_NONE,           REASON_TCP_REFUSED, REASON_TCP_TIMEOUT,
                                       REASON_TLS_EXPIRED,    REASON_TLS_OTHER,  REASON_TLS_EXPIRING_SOON,
                                       REASON_TLS_PIN_MISMATCH};

static void random_walk(struct play *play)
{
    struct fixture *at = play->at;
    if (!at->conf->partner_count)
        return;
    uint32_t p = random_below((uint32_t)at->conf->partner_count);
    bool dns = random_below(10) == 0;
    struct observation observation =
        fixture_probe(at, p, PROBE_SERVICE, 0, dns ? REASON_DNS_NX_DOMAIN : REASON_NONE);
    apply(play, &observation);
    enum reason verdict = observation.probe.reason;
    uint32_t endpoints = dns ? 0 : 1 + random_below(3);
    for (uint32_t i = 0; i < endpoints; i++) {
        enum reason reason = outcomes[random_below(sizeof outcomes / sizeof outcomes[0])];
        /* addresses of one partner alone, some of which come and go */
        uint8_t octet = (uint8_t)(10 * play->names[p] + i + random_below(2) * random_below(5));
        observation = fixture_probe(at, p, PROBE_ENDPOINT, octet, reason);
        observation.probe.not_after = random_below(2) ? at->wall + 86400 * CLOCK_SECOND : CLOCK_NEVER;
        apply(play, &observation);
        if (random_below(4) == 0)
            random_chain(play, &observation);
        verdict = verdict == REASON_NONE ? reason : reason_worse(verdict, reason);
    }
    observation = (struct observation){.kind = OBSERVATION_WALK, .partner = p, .wall = at->wall, .run = at->run};
    observation.walk = (struct observation_walk){.reason = verdict, .endpoints = endpoints};
    apply(play, &observation);
}

static void random_event(struct play *play)
{
    struct fixture *at = play->at;
    struct observation observation = {
        .kind = OBSERVATION_EVENT, .partner = OBSERVATION_NO_PARTNER, .wall = at->wall, .run = at->run};
    struct observation_event *event = &observation.event;
    event->count = 1 + random_below(3);
    event->by_source = random_below(2);
    event->event = event->by_source ? EVENT_NONE : EVENT_AUTH_SOURCE;
    event->reason = random_below(2) ? REASON_DOM_USER_UNKNOWN : REASON_AUTH_BAD_CREDENTIALS;
    switch (random_below(4)) {
    case 0: /* a few that come to an alarm */
        event->address = (struct address){ADDRESS_IPV4, {203, 0, 113, (uint8_t)random_below(4)}};
        event->count = 10;
        break;
    case 1: /* many that push each other out of the table */
        event->address = (struct address){ADDRESS_IPV4, {198, 51, 100, (uint8_t)random_below(60)}};
        break;
    case 2: /* that of an endpoint */
        event->address = (struct address){ADDRESS_IPV4, {192, 0, 2, (uint8_t)random_below(90)}};
        break;
    default:
        event->event = EVENT_DOMAIN_PARTNER;
        event->by_source = false;
        text_format(event->domain, sizeof event->domain, "p%u.example", random_below(NAMES + 2));
    }
    text_format(event->user, sizeof event->user, "user%u", random_below(9));
    apply(play, &observation);
}

static void tell_self(struct play *play, int which)
{
    for (size_t i = 0; i < play->count; i++)
        ledger_self(play->sides[i]->ledger, self_reasons[which], play->failing[which], "detail", play->at->wall,
                    play->at->run);
}

static void pass_time(struct play *play, uint32_t seconds)
{
    while (seconds--) {
        play->at->wall += CLOCK_SECOND;
        play->at->run += CLOCK_SECOND;
        for (size_t i = 0; i < play->count; i++)
            ledger_tick(play->sides[i]->ledger, play->at->wall, play->at->run);
    }
}

static void random_step(struct play *play)
{
    uint32_t what = random_below(100);
    if (what < 50) {
        random_walk(play);
    } else if (what < 70) {
        random_event(play);
    } else if (what < 73) {
        int which = (int)random_below(2);
        play->failing[which] = !play->failing[which];
        tell_self(play, which);
    } else if (what < 75) {
        random_bind(play);
    } else {
        pass_time(play, random_below(10) ? random_below(60) : random_below(1200));
    }
}

/* Both have told the same since they were last compared. */
static void compare_told(struct play *play)
{
    static char x[4096], y[4096];
    struct side *a = play->sides[0], *b = play->sides[1];
    cr_assert_eq(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        cr_assert_eq(a->told[i].kind, b->told[i].kind);
        cr_assert_eq(a->told[i].sequence, b->told[i].sequence);
        cr_assert_eq(a->told[i].wall, b->told[i].wall);
        row_text(LEDGER_ROW_ALARM, &a->told[i].alarm, x, sizeof x);
        row_text(LEDGER_ROW_ALARM, &b->told[i].alarm, y, sizeof y);
        cr_assert_str_eq(x, y);
    }
    a->count = b->count = 0;
}

static void compare_summaries(struct play *play)
{
    struct ledger_summary x, y;
    ledger_summarise(play->sides[0]->ledger, &x);
    ledger_summarise(play->sides[1]->ledger, &y);
    cr_assert_eq(x.health, y.health);
    cr_assert_eq(x.worst, y.worst);
    cr_assert_eq(x.alarms, y.alarms);
    cr_assert_eq(x.unknown, y.unknown);
    cr_assert_eq(x.not_after, y.not_after);
    cr_assert_eq(x.not_after_partner, y.not_after_partner);
    for (int event = 1; event < EVENT_COUNT; event++) {
        const struct ledger_cell *a = &play->sides[0]->ledger->events[event], *b = &play->sides[1]->ledger->events[event];
        cr_assert_eq(a->health, b->health);
        cr_assert_eq(a->count, play->sides[0]->failures[event]);
        cr_assert_eq(ledger_window(play->sides[0]->ledger, a, NULL, play->at->run),
                     ledger_window(play->sides[1]->ledger, b, NULL, play->at->run));
    }
}

/* The newer one goes on alone. */
static void end_older(struct play *play)
{
    side_free(play->sides[0]);
    play->sides[0] = play->sides[1];
    play->count = 1;
}

static size_t play_seed(uint32_t seed, int restarts)
{
    size_t told = 0;
    struct play play = {.count = 1};
    random_state = seed;
    play.at = calloc(1, sizeof *play.at);
    play.at->wall = FIXTURE_WALL;
    play.at->run = FIXTURE_START;
    play.at->conf = random_conf(&play);
    play.sides[0] = side_new(play.at);
    for (int i = 0; i < restarts; i++) {
        for (int step = 0; step < 40; step++) {
            random_step(&play);
            if (random_below(10) == 0)
                side_take(play.sides[0]);
        }
        pass_time(&play, 1);
        random_event(&play); /* so that what is kept tells of this second */
        side_take(play.sides[0]);
        told += play.sides[0]->count;
        play.sides[0]->count = 0;
        play.sides[1] = side_restored(play.sides[0], play.at);
        play.count = 2;
        for (int which = 0; which < 2; which++)
            if (play.failing[which])
                tell_self(&play, which);
        for (int step = 0; step < 40; step++) {
            random_step(&play);
            told += play.sides[0]->count;
            compare_told(&play);
        }
        compare_summaries(&play);
        side_take(play.sides[0]);
        side_take(play.sides[1]);
        assert_same(&play.sides[0]->store, &play.sides[1]->store, "the one and the other");
        end_older(&play);
    }
    side_free(play.sides[0]);
    fixture_conf_free(play.at->conf);
    free(play.at);
    return told;
}

Test(image, a_restored_ledger_cannot_be_told_from_the_other)
{
    size_t told = 0;
    for (uint32_t seed = 1; seed <= 6; seed++)
        told += play_seed(seed * 2654435761u, 30);
    cr_assert_gt(told, 500, "only %zu transitions", told);
}

/* ---- what counts as changed ---- */

static struct conf *conf_of(size_t count, size_t changed)
{
    struct conf *conf = fixture_conf(count);
    for (size_t i = 0; i < changed; i++)
        conf->partners[i * 100].thresholds[EVENT_CONNECTION].window *= 2;
    return conf;
}

static size_t told_in_all(const struct row_store *store)
{
    size_t told = 0;
    for (int kind = LEDGER_ROW_STATE; kind < LEDGER_ROW_END; kind++)
        told += store->told[kind];
    return told;
}

Test(image, a_reload_changes_what_it_changes)
{
    const size_t partners = 5000;
    struct fixture *f = fixture_new(partners);
    struct row_store store;
    row_store_init(&store);
    row_store_take(&store, f->ledger);
    cr_assert_eq(store.told[LEDGER_ROW_PARTNER], partners);
    cr_assert_eq(store.told[LEDGER_ROW_NAME], partners);
    cr_assert_not(ledger_changes_any(f->ledger));

    fixture_walk(f, 7, REASON_TCP_REFUSED);
    row_store_take(&store, f->ledger);
    cr_assert_leq(told_in_all(&store), 12, "one walk changes %zu rows", told_in_all(&store));
    fixture_walk(f, 0, REASON_TCP_REFUSED);
    row_store_take(&store, f->ledger);

    fixture_bind(f, conf_of(partners, 3)); /* of those windows one has counted something */
    row_store_take(&store, f->ledger);
    cr_assert_eq(told_in_all(&store), 2, "a reload changes %zu rows", told_in_all(&store));

    struct conf *conf = conf_of(partners, 3);
    conf->partners[7].index = 9000;
    conf->partners[8].enabled = false;
    fixture_bind(f, conf);
    row_store_take(&store, f->ledger);
    cr_assert_leq(told_in_all(&store), 40, "a number changes %zu rows", told_in_all(&store));
    cr_assert_eq(store.told[LEDGER_ROW_PARTNER], 3); /* 8 and 9 are gone, 9000 came */
    cr_assert_not(store.wrong);
    row_store_clear(&store);
    fixture_free(f);
}

/* What comes and goes between two takings is not told, however long they are apart. */
Test(image, changes_are_no_more_than_rows)
{
    struct fixture *f = fixture_new(1);
    f->conf->edge.sources_max = 16;
    ledger_bind(f->ledger, f->conf, f->wall, f->run);
    struct row_store store;
    row_store_init(&store);
    row_store_take(&store, f->ledger);
    for (int round = 0; round < 2; round++) {
        struct observation observation = {
            .kind = OBSERVATION_EVENT, .partner = OBSERVATION_NO_PARTNER, .wall = f->wall, .run = f->run};
        observation.event = (struct observation_event){
            .event = EVENT_AUTH_SOURCE, .reason = REASON_AUTH_BAD_CREDENTIALS, .count = 1};
        for (uint32_t i = 0; i < 20000; i++) {
            observation.event.address = (struct address){ADDRESS_IPV4, {11, 0, (uint8_t)(i >> 8), (uint8_t)i}};
            ledger_apply(f->ledger, &observation);
        }
        row_store_take(&store, f->ledger);
        cr_assert_eq(store.rows[LEDGER_ROW_SOURCE].count, 16);
        cr_assert_eq(store.told[LEDGER_ROW_SOURCE], round ? 32 : 16);
    }
    cr_assert_not(store.wrong);
    row_store_clear(&store);
    fixture_free(f);
}

/* ---- what is put right ---- */

/* The rest of a walk that was being told is lost with the process; the next one is judged by itself. */
Test(image, half_a_walk_does_not_count_in_the_next_one)
{
    struct fixture *f = fixture_new(1);
    struct row_store store;
    size_t left_out;
    row_store_init(&store);
    fixture_walk(f, 0, REASON_NONE);
    fixture_endpoint(f, 0, 10, REASON_TCP_REFUSED);
    row_store_take(&store, f->ledger);
    ledger_free(f->ledger);
    f->ledger = row_store_restore(&store, f->wall, f->run, fixture_report, f, &left_out);
    ledger_bind(f->ledger, f->conf, f->wall, f->run);
    const struct ledger_cell *cell = fixture_cell(f, 0, EVENT_CONNECTION);
    cr_assert_eq(cell->count, 1);
    cr_assert_eq(cell->failures_in_walk, 0);
    fixture_walk(f, 0, REASON_NONE);
    cr_assert_eq(cell->health, HEALTH_OK);
    cr_assert_eq(cell->count, 1);
    cr_assert_eq(f->ledger->bound[0]->endpoints_in_walk, 0);
    row_store_clear(&store);
    fixture_free(f);
}

static void damage_cell(struct ledger_cell *cell)
{
    cell->event = (enum event)4711;
    cell->health = (enum health)99;
    cell->last.reason = (enum reason)60000;
    cell->last.run = INT64_MAX;
    cell->last.address.family = 200;
    memset(cell->last.target, 'x', sizeof cell->last.target);
    memset(cell->last.detail, 'x', sizeof cell->last.detail);
    cell->quiet_since = INT64_MIN;
    cell->edge_run = INT64_MAX;
    cell->window.epoch = cell->count % 2 ? INT64_MAX : INT64_MIN;
}

static void damage(enum ledger_row kind, void *row)
{
    struct ledger_partner *partner = row;
    struct ledger_probe *probe = row;
    struct ledger_certificate *certificate = row;
    struct ledger_source *source = row;
    struct ledger_alarm *alarm = row;
    switch (kind) {
    case LEDGER_ROW_TOTAL:
    case LEDGER_ROW_SELF:
    case LEDGER_ROW_PARTNER_EVENT:
        damage_cell(row);
        break;
    case LEDGER_ROW_NAME:
        memset(((struct ledger_name *)row)->name + 2, 'x', CONF_NAME_MAX - 1);
        break;
    case LEDGER_ROW_PARTNER:
        partner->health = (enum health)-5;
        partner->reason = (enum reason)77777;
        partner->edge.event = (enum event)4711;
        partner->edge.last_run = partner->walk_run = INT64_MAX;
        partner->probe_count = UINT32_MAX;
        break;
    case LEDGER_ROW_PROBE:
        probe->health = (enum health)0;
        probe->value.event = (enum event)-1;
        probe->value.reason = (enum reason)-1;
        probe->certificate_count = SIZE_MAX;
        memset(probe->value.target, 'x', sizeof probe->value.target);
        break;
    case LEDGER_ROW_CERTIFICATE:
        memset(certificate->value.subject, 'x', sizeof certificate->value.subject);
        certificate->value.reason = (enum reason)-1;
        break;
    case LEDGER_ROW_SOURCE:
        source->user_count = source->reason_count = SIZE_MAX;
        memset(source->users, 'x', sizeof source->users);
        memset(source->name, 'x', sizeof source->name);
        source->cell.window.epoch = INT64_MIN;
        source->cell.last.run = INT64_MAX;
        break;
    case LEDGER_ROW_ALARM:
        alarm->severity = (enum severity)(alarm->id % 2 ? 77 : alarm->severity);
        alarm->told_reason = (enum reason)-1;
        alarm->told_run = INT64_MAX;
        memset(alarm->detail, 'x', sizeof alarm->detail);
        memset(alarm->name, 'x', sizeof alarm->name);
        break;
    default:
        break;
    }
}

Test(image, damaged_rows_do_no_harm)
{
    struct play play = {.count = 1};
    random_state = 20261122;
    play.at = calloc(1, sizeof *play.at);
    play.at->wall = FIXTURE_WALL;
    play.at->run = FIXTURE_START;
    play.at->conf = random_conf(&play);
    for (int round = 0; round < 20; round++) {
        size_t left_out;
        play.sides[0] = side_new(play.at);
        for (int step = 0; step < 200; step++)
            random_step(&play);
        side_take(play.sides[0]);
        struct side *side = play.sides[0], *restored = calloc(1, sizeof *restored);
        for (int kind = LEDGER_ROW_NAME; kind < LEDGER_ROW_END; kind++)
            for (size_t i = 0; i < side->store.rows[kind].count; i++)
                if (random_below(3) == 0)
                    damage(kind, side->store.rows[kind].entries[i].cell);
        row_store_init(&restored->store);
        side_open(restored,
                  row_store_restore(&side->store, play.at->wall, play.at->run, on_transition, restored, &left_out));
        row_store_dump(&restored->store, restored->ledger);
        ledger_bind(restored->ledger, play.at->conf, play.at->wall, play.at->run);
        side_free(side);
        play.sides[0] = restored;
        for (int step = 0; step < 100; step++)
            random_step(&play);
        side_take(restored);
        side_free(restored);
    }
    fixture_conf_free(play.at->conf);
    free(play.at);
}

Test(image, rows_that_fit_nothing_are_left_out)
{
    struct ledger *ledger = ledger_restore_begin(FIXTURE_WALL, FIXTURE_START, fixture_report, NULL);
    union {
        struct ledger_cell cell;
        struct ledger_partner partner;
        struct ledger_name name;
        struct ledger_probe probe;
        struct ledger_source source;
        struct ledger_alarm alarm;
    } row = {.name = {.name = "contoso", .index = 1}};
    cr_assert_not(ledger_restore_row(ledger, LEDGER_ROW_NAME, (uint32_t[]){0, 0, 0}, &row));
    cr_assert_not(ledger_restore_row(ledger, LEDGER_ROW_NAME, (uint32_t[]){UINT32_MAX, 0, 0}, &row));
    cr_assert(ledger_restore_row(ledger, LEDGER_ROW_NAME, (uint32_t[]){3, 0, 0}, &row));
    cr_assert(ledger_restore_row(ledger, LEDGER_ROW_NAME, (uint32_t[]){2, 0, 0}, &row)); /* the lower number has it */
    memset(&row, 0, sizeof row);
    cr_assert_not(ledger_restore_row(ledger, LEDGER_ROW_FIXED, (uint32_t[]){0, 0, 0}, &row));
    cr_assert_not(ledger_restore_row(ledger, LEDGER_ROW_TOTAL, (uint32_t[]){EVENT_COUNT, 0, 0}, &row));
    cr_assert_not(ledger_restore_row(ledger, LEDGER_ROW_REASON, (uint32_t[]){60000, 0, 0}, &row));
    row.partner.name = 3;
    cr_assert_not(ledger_restore_row(ledger, LEDGER_ROW_PARTNER, (uint32_t[]){1, 0, 0}, &row));
    row.partner.name = 2;
    cr_assert_not(ledger_restore_row(ledger, LEDGER_ROW_PARTNER, (uint32_t[]){5, 0, 0}, &row));
    cr_assert(ledger_restore_row(ledger, LEDGER_ROW_PARTNER, (uint32_t[]){1, 0, 0}, &row));
    cr_assert_not(ledger_restore_row(ledger, LEDGER_ROW_PARTNER, (uint32_t[]){1, 0, 0}, &row));
    memset(&row, 0, sizeof row);
    cr_assert_not(ledger_restore_row(ledger, LEDGER_ROW_PARTNER_EVENT, (uint32_t[]){2, 1, 0}, &row));
    cr_assert_not(ledger_restore_row(ledger, LEDGER_ROW_PARTNER_EVENT, (uint32_t[]){1, EVENT_COUNT, 0}, &row));
    cr_assert_not(ledger_restore_row(ledger, LEDGER_ROW_PROBE, (uint32_t[]){1, 1, 0}, &row)); /* of no kind */
    row.probe.value.kind = PROBE_ENDPOINT;
    for (uint32_t i = 1; i <= LEDGER_PROBES_MAX + 1; i++)
        cr_assert_eq(ledger_restore_row(ledger, LEDGER_ROW_PROBE, (uint32_t[]){1, i, 0}, &row), i <= LEDGER_PROBES_MAX);
    memset(&row, 0, sizeof row);
    cr_assert_not(ledger_restore_row(ledger, LEDGER_ROW_SOURCE, (uint32_t[]){1, 0, 0}, &row));
    row.alarm = (struct ledger_alarm){
        .state = ALARM_RAISED, .event = EVENT_CONNECTION, .severity = SEVERITY_MAJOR, .partner = 1};
    cr_assert_not(ledger_restore_row(ledger, LEDGER_ROW_ALARM, (uint32_t[]){1, 0, 0}, &row)); /* of no cell */
    cr_assert_not(ledger_restore_row(ledger, LEDGER_ROW_END, (uint32_t[]){1, 0, 0}, &row));

    struct fixture *f = fixture_new(0);
    ledger_bind(ledger, f->conf, f->wall, f->run);
    cr_assert_eq(ledger->partners.count, 0);
    cr_assert_eq(ledger->name_count, 1);
    ledger_free(ledger);
    fixture_free(f);
}
