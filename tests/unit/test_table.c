/* report/table.h and its providers, over a ledger of literal observations and a moment that is given. */
#include <criterion/criterion.h>

#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "ledger_fixture.h"
#include "report/mib.h"

static struct fixture *fixture;
static struct session_status status;
static struct moment moment;
static struct table_set set;

static void set_up(void)
{
    fixture = fixture_new(3);
    fixture->conf->path = "";
    for (int i = 0; i < 3; i++) {
        fixture_walk(fixture, 0, REASON_TLS_EXPIRED);
        fixture_walk(fixture, 2, REASON_NONE);
        fixture_advance(fixture, 60);
    }
    status = (struct session_status){.start_wall = FIXTURE_WALL, .start_run = FIXTURE_START};
    moment = (struct moment){.ledger = fixture->ledger,
                             .status = &status,
                             .wall = fixture->wall,
                             .run = fixture->run,
                             .uptime_zero = FIXTURE_START - 5 * CLOCK_SECOND};
    mib_tables(&set);
}

static void tear_down(void)
{
    fixture_free(fixture);
}

TestSuite(table, .init = set_up, .fini = tear_down);

#define NAME(...) (const uint32_t[]){__VA_ARGS__}, sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t)

static struct value got(const uint32_t *name, size_t length)
{
    struct position position;
    struct value value;
    cr_assert_eq(table_get(&set, &moment, name, length, &position), TABLE_FOUND);
    table_value(&set, &moment, &position, &value);
    return value;
}

static void assert_next(const uint32_t *name, size_t length, const uint32_t *expected, size_t expected_length)
{
    struct position position;
    uint32_t found[TABLE_NAME_MAX];
    bool any = table_next(&set, &moment, name, length, &position);
    cr_assert_eq(any, expected_length > 0);
    if (!any)
        return;
    cr_assert_eq(table_name(&set, &position, found), expected_length);
    cr_assert_arr_eq(found, expected, expected_length * sizeof *found);
}

static int compare_names(const uint32_t *a, size_t a_length, const uint32_t *b, size_t b_length)
{
    for (size_t i = 0; i < a_length && i < b_length; i++)
        if (a[i] != b[i])
            return a[i] < b[i] ? -1 : 1;
    return a_length < b_length ? -1 : a_length > b_length;
}

Test(table, a_walk_ascends_and_each_instance_is_found_by_its_name)
{
    uint32_t name[TABLE_NAME_MAX], before[TABLE_NAME_MAX] = {0};
    size_t length = 0, before_length = 0, count = 0;
    struct position next, stepped, found;
    while (table_next(&set, &moment, before, before_length, &next)) {
        length = table_name(&set, &next, name);
        cr_assert_gt(compare_names(name, length, before, before_length), 0);
        if (count > 0) {
            cr_assert(table_step(&set, &moment, &stepped));
            cr_assert_eq(stepped.table, next.table);
            cr_assert_eq(stepped.column, next.column);
            cr_assert_eq(stepped.row, next.row);
        }
        stepped = next;
        cr_assert_eq(table_get(&set, &moment, name, length, &found), TABLE_FOUND);
        cr_assert_eq(found.row, next.row);
        struct value value = {0};
        table_value(&set, &moment, &next, &value);
        cr_assert_neq((int)value.type, 0, "%s column %u has no value", set.tables[next.table]->name, next.column);
        if (value.type == VALUE_OCTETS)
            cr_assert_leq(value.octets.length, VALUE_OCTETS_MAX);
        memcpy(before, name, sizeof before);
        before_length = length;
        count++;
    }
    cr_assert_not(table_step(&set, &moment, &stepped));
    /* 16 + 15 scalars, 10 events of 18 columns, 3 partners of 22, the catalogue of 12: at least these */
    cr_assert_gt(count, 31 + 180 + 66 + 12 * reason_count());
}

Test(table, hints_do_not_change_what_is_found)
{
    /* every name behind every name, in an order that no walk has */
    uint32_t names[64][TABLE_NAME_MAX];
    size_t lengths[64], count = 0;
    struct position position;
    uint32_t start[] = {MIB_PARTNER};
    cr_assert(table_next(&set, &moment, start, 1, &position));
    do
        lengths[count] = table_name(&set, &position, names[count]), count++;
    while (count < 64 && table_step(&set, &moment, &position));
    for (size_t i = 0; i < 64 * 64; i++) {
        size_t at = i * 37 % 63;
        assert_next(names[at], lengths[at], names[at + 1], lengths[at + 1]);
        if (i % 3 == 0)
            cr_assert_eq(table_get(&set, &moment, names[i % 64], lengths[i % 64], &position), TABLE_FOUND);
    }
}

Test(table, names_that_are_not_there)
{
    struct position position;
    static const struct {
        uint32_t name[8];
        size_t length;
        enum table_found found;
    } cases[] = {
        {{0}, 0, TABLE_NO_OBJECT},
        {{MIB_AGENT}, 1, TABLE_NO_OBJECT},
        {{MIB_AGENT, 27, 0}, 3, TABLE_NO_OBJECT},
        {{MIB_AGENT, 1}, 2, TABLE_NO_INSTANCE},
        {{MIB_AGENT, 1, 1}, 3, TABLE_NO_INSTANCE},
        {{MIB_AGENT, 1, 0, 0}, 4, TABLE_NO_INSTANCE},
        {{12, 1, 2, 1}, 4, TABLE_NO_OBJECT},
        {{MIB_SOURCE, 1, 2, 1}, 4, TABLE_NO_INSTANCE},
        {{MIB_PARTNER, 2, 2, 1}, 4, TABLE_NO_OBJECT},
        {{MIB_PARTNER, 1, 1, 1}, 4, TABLE_NO_OBJECT},
        {{MIB_PARTNER, 1, 32, 1}, 4, TABLE_NO_OBJECT},
        {{MIB_PARTNER, 1, UINT32_MAX, 1}, 4, TABLE_NO_OBJECT},
        {{MIB_PARTNER, 1, 2, 4}, 4, TABLE_NO_INSTANCE},
        {{MIB_PARTNER, 1, 2}, 3, TABLE_NO_INSTANCE},
        {{MIB_PARTNER, 1, 2, 1, 1}, 5, TABLE_NO_INSTANCE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        cr_assert_eq(table_get(&set, &moment, cases[i].name, cases[i].length, &position), cases[i].found, "%zu", i);
}

Test(table, next_of_names_that_are_not_there)
{
    assert_next(NULL, 0, NAME(MIB_AGENT, 1, 0));
    assert_next(NAME(0), NAME(MIB_AGENT, 1, 0));
    assert_next(NAME(MIB_AGENT, 1), NAME(MIB_AGENT, 1, 0));
    assert_next(NAME(MIB_AGENT, 1, 0, 5), NAME(MIB_AGENT, 2, 0));
    assert_next(NAME(MIB_AGENT, 13, 0), NAME(MIB_AGENT, 14, 0));
    assert_next(NAME(MIB_AGENT, 14), NAME(MIB_AGENT, 14, 0));
    assert_next(NAME(MIB_AGENT, 26, 0), NAME(MIB_SUMMARY, 1, 0));
    assert_next(NAME(MIB_SUMMARY, 15, 0), NAME(MIB_EVENT, 1, 2, 1));
    assert_next(NAME(MIB_EVENT, 1, 2, 10), NAME(MIB_EVENT, 1, 3, 1));
    assert_next(NAME(MIB_EVENT, 1, 1, 5), NAME(MIB_EVENT, 1, 2, 1));
    assert_next(NAME(MIB_EVENT, 1, 19, 10), NAME(MIB_PARTNER, 1, 2, 1));
    assert_next(NAME(MIB_EVENT, 2), NAME(MIB_PARTNER, 1, 2, 1));
    assert_next(NAME(MIB_PARTNER, 0, 7), NAME(MIB_PARTNER, 1, 2, 1));
    assert_next(NAME(MIB_PARTNER, 1, 2, 1, 9, 9), NAME(MIB_PARTNER, 1, 2, 2));
    assert_next(NAME(MIB_PARTNER, 1, 2, UINT32_MAX), NAME(MIB_PARTNER, 1, 3, 1));
    assert_next(NAME(MIB_PARTNER, 1, UINT32_MAX, 1), NAME(MIB_PARTNER_EVENT, 1, 1, 1, 1));
    assert_next(NAME(9), NAME(MIB_REASON, 1, 2, 1));
    assert_next(NAME(MIB_ALARM, 1, 25, 1), NULL, 0);
    assert_next(NAME(12), NULL, 0);
}

Test(table, a_table_without_rows_is_passed_over)
{
    fixture_free(fixture);
    fixture = fixture_new(0);
    moment.ledger = fixture->ledger;
    assert_next(NAME(MIB_EVENT, 1, 19, 10), NAME(MIB_REASON, 1, 2, 1));
    assert_next(NAME(MIB_PARTNER, 1, 2, 1), NAME(MIB_REASON, 1, 2, 1));
    assert_next(NAME(MIB_REASON, 1, 13, (uint32_t)reason_at(reason_count() - 1)->reason), NULL, 0);
}

Test(table, rows_that_come_and_go_between_two_steps)
{
    assert_next(NAME(MIB_PARTNER, 1, 2, 1), NAME(MIB_PARTNER, 1, 2, 2));
    struct conf *one = fixture_conf(1);
    fixture_conf_name(one, 0, "p2");
    fixture_bind(fixture, one);
    assert_next(NAME(MIB_PARTNER, 1, 2, 2), NAME(MIB_PARTNER, 1, 2, 3));
    assert_next(NAME(MIB_PARTNER, 1, 2, 3), NAME(MIB_PARTNER, 1, 3, 3));
}

static void edge_event(uint32_t partner, uint8_t octet, const char *user)
{
    struct observation observation = {
        .kind = OBSERVATION_EVENT, .partner = partner, .wall = fixture->wall, .run = fixture->run};
    observation.event = (struct observation_event){.event = EVENT_AUTH_SOURCE,
                                                   .reason = REASON_AUTH_BAD_CREDENTIALS,
                                                   .count = 1,
                                                   .address = {ADDRESS_IPV4, {203, 0, 113, octet}}};
    text_copy(observation.event.user, sizeof observation.event.user, user);
    ledger_apply(fixture->ledger, &observation);
}

/* More sources than rows: a walk over a table whose rows go while it is walked ascends and comes to an end. */
Test(table, sources_that_go_while_they_are_walked)
{
    fixture->conf->edge.sources_max = 16;
    ledger_bind(fixture->ledger, fixture->conf, fixture->wall, fixture->run);
    for (uint8_t i = 1; i <= 40; i++)
        edge_event(OBSERVATION_NO_PARTNER, i, "bob");
    assert_next(NAME(MIB_SOURCE), NAME(MIB_SOURCE, 1, 2, 25));
    assert_next(NAME(MIB_SOURCE, 1, 2, 25), NAME(MIB_SOURCE, 1, 2, 26));
    for (uint8_t i = 41; i <= 46; i++)
        edge_event(OBSERVATION_NO_PARTNER, i, "bob");
    assert_next(NAME(MIB_SOURCE, 1, 2, 26), NAME(MIB_SOURCE, 1, 2, 31));
    assert_next(NAME(MIB_SOURCE, 1, 2, 46), NAME(MIB_SOURCE, 1, 3, 31));
    cr_assert_eq(got(NAME(MIB_AGENT, 20, 0)).number, 16);
    cr_assert_eq(got(NAME(MIB_AGENT, 22, 0)).counter64, 30);
    edge_event(OBSERVATION_NO_PARTNER, 46, "car\nol");
    struct value users = got(NAME(MIB_SOURCE, 1, 19, 46));
    cr_assert_eq(users.octets.length, strlen("car\\x0aol, bob"));
    cr_assert_arr_eq(users.octets.data, "car\\x0aol, bob", users.octets.length);
}

static void assert_text(uint32_t partner, const char *expected)
{
    struct value value = got(NAME(MIB_PARTNER, 1, 30, partner));
    cr_assert_eq(value.octets.length, strlen(expected), "%.*s", (int)value.octets.length,
                 (const char *)value.octets.data);
    cr_assert_arr_eq(value.octets.data, expected, value.octets.length);
}

Test(table, partners_say_what_probes_and_edge_know)
{
    assert_text(1, "tlsExpired since 2026-01-01T00:00:00Z");
    edge_event(0, 1, "bob");
    edge_event(0, 1, "bob");
    assert_text(
        1, "tlsExpired since 2026-01-01T00:00:00Z; the edge saw 2 failures since 2026-01-01T00:03:00Z, the last by "
           "authBadCredentials");
    cr_assert_eq(got(NAME(MIB_PARTNER, 1, 24, 1)).number, 2);
    fixture_advance(fixture, 901);
    moment.run = fixture->run;
    moment.wall = fixture->wall;
    assert_text(1, "tlsExpired since 2026-01-01T00:00:00Z");
    cr_assert_eq(got(NAME(MIB_PARTNER, 1, 24, 1)).number, 2);
    cr_assert_eq(got(NAME(MIB_PARTNER, 1, 29, 1)).number, 901);
}

Test(table, values_follow_the_ledger_and_the_moment)
{
    cr_assert_eq(got(NAME(MIB_PARTNER, 1, 6, 1)).integer, HEALTH_CRITICAL);
    cr_assert_eq(got(NAME(MIB_PARTNER, 1, 7, 1)).integer, REASON_TLS_EXPIRED);
    cr_assert_eq(got(NAME(MIB_PARTNER, 1, 12, 1)).number, 60);
    cr_assert_eq(got(NAME(MIB_PARTNER, 1, 14, 1)).number, UINT32_MAX);
    cr_assert_eq(got(NAME(MIB_PARTNER, 1, 6, 2)).integer, HEALTH_UNKNOWN);
    cr_assert_eq(got(NAME(MIB_PARTNER, 1, 6, 3)).integer, HEALTH_OK);
    cr_assert_eq(got(NAME(MIB_EVENT, 1, 5, EVENT_TLS_OUTGOING)).counter64, 3);
    cr_assert_eq(got(NAME(MIB_REASON, 1, 9, REASON_TLS_EXPIRED)).counter64, 3);
    cr_assert_eq(got(NAME(MIB_SUMMARY, 1, 0)).integer, HEALTH_CRITICAL);
    cr_assert_eq(got(NAME(MIB_SUMMARY, 7, 0)).number, 1);
    cr_assert_eq(got(NAME(MIB_AGENT, 4, 0)).number, 500); /* the ledger began 5 s after sysUpTime */
    cr_assert_eq(got(NAME(MIB_SUMMARY, 9, 0)).number, 500 + 12000);
    moment.uptime_zero = fixture->run;
    cr_assert_eq(got(NAME(MIB_AGENT, 4, 0)).number, 0);
    fixture_walk(fixture, 0, REASON_NONE);
    moment.run = fixture->run + 1;
    cr_assert_eq(got(NAME(MIB_PARTNER, 1, 6, 1)).integer, HEALTH_OK);
}

Test(table, an_alarm_points_to_what_counted_it)
{
    struct value value = got(NAME(MIB_ALARM, 1, MIB_ALARM_RESOURCE, 1));
    size_t root = mib_root_length;
    cr_assert_eq(value.type, VALUE_OID);
    cr_assert_eq(value.oid_length, root + 6);
    cr_assert_arr_eq(value.oid, mib_root, root * sizeof(uint32_t));
    const uint32_t rest[] = {MIB_OBJECTS, MIB_PARTNER_EVENT, 1, 1, 1, EVENT_TLS_OUTGOING};
    cr_assert_arr_eq(value.oid + root, rest, sizeof rest);
    struct position position;
    cr_assert_eq(table_get(&set, &moment, value.oid + root + 1, 5, &position), TABLE_FOUND);

    ledger_self(fixture->ledger, REASON_MON_FEED_UNREADABLE, true, "", fixture->wall, fixture->run);
    value = got(NAME(MIB_ALARM, 1, MIB_ALARM_RESOURCE, 2));
    const uint32_t self[] = {MIB_OBJECTS, MIB_EVENT, 1, 2, EVENT_MONITOR_SELF};
    cr_assert_eq(value.oid_length, root + 5);
    cr_assert_arr_eq(value.oid + root, self, sizeof self);
}

Test(table, dates)
{
    struct value value;
    value_date(&value, FIXTURE_WALL + 3661 * CLOCK_SECOND + 750000);
    const uint8_t date[] = {0x07, 0xea, 1, 1, 1, 1, 1, 7, '+', 0, 0};
    cr_assert_eq(value.octets.length, sizeof date);
    cr_assert_arr_eq(value.octets.data, date, sizeof date);
    value_date(&value, -CLOCK_SECOND / 2); /* before 1970 */
    const uint8_t early[] = {0x07, 0xb1, 12, 31, 23, 59, 59, 5, '+', 0, 0};
    cr_assert_arr_eq(value.octets.data, early, sizeof early);
    const int64_t never[] = {CLOCK_NEVER, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < 3; i++) {
        value_date(&value, never[i]);
        cr_assert_eq(value.octets.length, 8);
        cr_assert_arr_eq(value.octets.data, "\0\0\0\0\0\0\0\0", 8);
    }
}

Test(table, spans)
{
    struct value value;
    value_age(&value, &moment, CLOCK_NEVER, 0);
    cr_assert_eq(value.number, UINT32_MAX);
    value_age(&value, &moment, moment.wall + 1, 0); /* the clock was set back */
    cr_assert_eq(value.number, 0);
    value_age(&value, &moment, 1, moment.run - 1999999); /* the wall clock does not matter where the other is known */
    cr_assert_eq(value.number, 1);
    value_age(&value, &moment, INT64_MIN / 2, 0);
    cr_assert_eq(value.number, UINT32_MAX - 1);
    value_left(&value, &moment, CLOCK_NEVER);
    cr_assert_eq(value.integer, INT32_MAX);
    value_left(&value, &moment, moment.wall + 90 * CLOCK_SECOND + 1);
    cr_assert_eq(value.integer, 90);
    value_left(&value, &moment, moment.wall - 1);
    cr_assert_eq(value.integer, -1);
    value_left(&value, &moment, moment.wall + INT64_C(4000000000) * CLOCK_SECOND);
    cr_assert_eq(value.integer, INT32_MAX - 1);
    value_left(&value, &moment, moment.wall - INT64_C(4000000000) * CLOCK_SECOND);
    cr_assert_eq(value.integer, INT32_MIN);
}

Test(table, texts_are_cut_between_characters)
{
    char text[400];
    struct value value;
    for (size_t i = 0; i + 2 < sizeof text; i += 2)
        memcpy(text + i, "\xc3\xa4", 3);
    value_text(&value, text);
    cr_assert_eq(value.octets.length, 254);
    value_text(&value, text + 145); /* 253 octets, the first of them half a character */
    cr_assert_eq(value.octets.length, 253);
    value_foreign(&value, "a\nb\xff");
    cr_assert_eq(value.octets.length, 10);
    cr_assert_arr_eq(value.octets.data, "a\\x0ab\\xff", 10);
    value_text(&value, "");
    cr_assert_eq(value.octets.length, 0);
}

Test(table, addresses)
{
    struct value value;
    const struct address none = {0}, four = {ADDRESS_IPV4, {192, 0, 2, 1}}, odd = {.family = 77};
    value_address_type(&value, &none);
    cr_assert_eq(value.integer, 0);
    value_address(&value, &four);
    cr_assert_eq(value.octets.length, 4);
    value_address_type(&value, &odd);
    cr_assert_eq(value.integer, 0);
    value_address(&value, &odd);
    cr_assert_eq(value.octets.length, 0);
}
