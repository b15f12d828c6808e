/*
 * Instances in the order of SMI: by branch, column, key. A name is looked up in three steps: the branch among the
 * descriptors (linear: there are a dozen), the column by its bit, the row by binary search in the sorted index. A walk
 * asks for the row behind the one that it was given last, so each table remembers that row and looks there first;
 * asking for all columns of a row at once needs the same row again, so its predecessor is looked at too.
 *
 * Names from outside may be shorter or longer than those of instances and hold any numbers. A name that is a prefix
 * stands before everything below it: the missing parts of a key count as 0 and the first row not less is taken. What is
 * behind a full key does not matter: the row of that key stands before it.
 */

#include "report/table.h"

#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/text.h"

void value_integer(struct value *value, int64_t integer)
{
    value->type = VALUE_INTEGER;
    value->integer = integer > INT32_MAX ? INT32_MAX : integer < INT32_MIN ? INT32_MIN : (int32_t)integer;
}

void value_unsigned(struct value *value, uint64_t number)
{
    value->type = VALUE_UNSIGNED;
    value->number = number > UINT32_MAX ? UINT32_MAX : (uint32_t)number;
}

void value_counter(struct value *value, uint64_t count)
{
    value->type = VALUE_COUNTER64;
    value->counter64 = count;
}

void value_ticks(struct value *value, uint32_t centiseconds)
{
    value->type = VALUE_TIMETICKS;
    value->number = centiseconds;
}

void value_octets(struct value *value, const void *data, size_t length)
{
    value->type = VALUE_OCTETS;
    value->octets.data = data;
    value->octets.length = length;
}

void value_text(struct value *value, const char *text)
{
    size_t length = strnlen(text, VALUE_OCTETS_MAX + 1);
    if (length > VALUE_OCTETS_MAX) {
        length = VALUE_OCTETS_MAX;
        while (length && ((unsigned char)text[length] & 0xc0) == 0x80)
            length--;
    }
    value_octets(value, text, length);
}

void value_foreign(struct value *value, const char *text)
{
    static char printable[VALUE_OCTETS_MAX + 1];
    value_octets(value, printable, text_printable(printable, sizeof printable, text, strlen(text)));
}

static size_t address_length(const struct address *address)
{
    return address->family == ADDRESS_IPV4 ? 4 : address->family == ADDRESS_IPV6 ? 16 : 0;
}

void value_address_type(struct value *value, const struct address *address)
{
    value_integer(value, address_length(address) ? address->family : ADDRESS_UNKNOWN);
}

void value_address(struct value *value, const struct address *address)
{
    value_octets(value, address->octets, address_length(address));
}

void value_date(struct value *value, int64_t wall)
{
    memset(value->room, 0, sizeof value->room);
    time_t seconds = (time_t)(wall / CLOCK_SECOND);
    int64_t rest = wall % CLOCK_SECOND;
    if (rest < 0) {
        rest += CLOCK_SECOND;
        seconds--;
    }
    struct tm tm;
    /* the year has two octets; what lies outside is as good as never */
    if (wall == CLOCK_NEVER || !gmtime_r(&seconds, &tm) || tm.tm_year + 1900 < 1 || tm.tm_year + 1900 > 65535) {
        value_octets(value, value->room, 8);
        return;
    }
    unsigned year = (unsigned)tm.tm_year + 1900;
    const uint8_t date[11] = {(uint8_t)(year >> 8),
                              (uint8_t)year,
                              (uint8_t)(tm.tm_mon + 1),
                              (uint8_t)tm.tm_mday,
                              (uint8_t)tm.tm_hour,
                              (uint8_t)tm.tm_min,
                              (uint8_t)tm.tm_sec,
                              (uint8_t)(rest / (CLOCK_SECOND / 10)),
                              '+',
                              0,
                              0};
    memcpy(value->room, date, sizeof date);
    value_octets(value, value->room, sizeof date);
}

void value_age(struct value *value, const struct moment *moment, int64_t wall, int64_t run)
{
    if (wall == CLOCK_NEVER) {
        value_unsigned(value, UINT32_MAX);
        return;
    }
    int64_t age = (run ? moment->run - run : moment->wall - wall) / CLOCK_SECOND;
    value_unsigned(value, age < 0 ? 0 : age < UINT32_MAX ? (uint64_t)age : UINT32_MAX - 1);
}

void value_left(struct value *value, const struct moment *moment, int64_t wall)
{
    if (wall == CLOCK_NEVER) {
        value_integer(value, INT32_MAX);
        return;
    }
    int64_t span = wall - moment->wall;
    int64_t left = span / CLOCK_SECOND - (span % CLOCK_SECOND < 0); /* a second is over when it has begun */
    value_integer(value, left < INT32_MAX ? left : INT32_MAX - 1);
}

void value_uptime(struct value *value, const struct moment *moment, int64_t run)
{
    int64_t span = run - moment->uptime_zero;
    value_ticks(value, run && span > 0 ? (uint32_t)(span / (CLOCK_SECOND / 100)) : 0);
}

static struct index_entry scalar_entry;
const struct index table_scalar_row = {.parts = 1, .entries = &scalar_entry, .count = 1, .room = 1};

static bool column_readable(const struct table *table, uint32_t column)
{
    return column <= table->last && table->columns >> column & 1;
}

/* The first readable column not below `column`; 0 when there is none. */
static uint32_t column_from(const struct table *table, uint64_t column)
{
    for (; column <= table->last; column++)
        if (table->columns >> column & 1)
            return (uint32_t)column;
    return 0;
}

/* How many sub-identifiers lie before the key. */
static size_t prefix_length(const struct table *table)
{
    return table->scalars ? 2 : 3;
}

static bool same_key(const struct index *rows, size_t row, const uint32_t *key)
{
    return memcmp(rows->entries[row].key, key, rows->parts * sizeof *key) == 0;
}

/* The first instance of the set's tables from `table` on. */
static bool first_from(const struct table_set *set, const struct moment *moment, size_t table,
                       struct position *position)
{
    for (; table < set->count; table++) {
        const struct index *rows = set->tables[table]->rows(moment);
        if (!rows->count)
            continue;
        *position = (struct position){table, column_from(set->tables[table], 0), 0, rows};
        return true;
    }
    return false;
}

enum table_found table_get(struct table_set *set, const struct moment *moment, const uint32_t *name, size_t length,
                           struct position *position)
{
    size_t at = 0;
    while (at < set->count && length && set->tables[at]->branch != name[0])
        at++;
    if (!length || at == set->count)
        return TABLE_NO_OBJECT;
    const struct table *table = set->tables[at];
    size_t prefix = prefix_length(table);
    if (length < prefix || (!table->scalars && name[1] != 1) || !column_readable(table, name[prefix - 1]))
        return TABLE_NO_OBJECT;
    const struct index *rows = table->rows(moment);
    if (length != prefix + rows->parts)
        return TABLE_NO_INSTANCE;
    const uint32_t *key = name + prefix;
    size_t row = set->hints[at];
    if (row >= rows->count || !same_key(rows, row, key)) {
        row = index_from(rows, key);
        if (row == rows->count || !same_key(rows, row, key))
            return TABLE_NO_INSTANCE;
        set->hints[at] = row;
    }
    *position = (struct position){at, name[prefix - 1], row, rows};
    return TABLE_FOUND;
}

/* The first row behind a key that may be shorter or longer than those of the table. */
static size_t row_behind(struct table_set *set, size_t table, const struct index *rows, const uint32_t *key,
                         size_t length)
{
    if (length < rows->parts) {
        uint32_t padded[INDEX_PARTS] = {0};
        memcpy(padded, key, length * sizeof *key);
        return index_from(rows, padded);
    }
    size_t hint = set->hints[table];
    if (hint < rows->count && same_key(rows, hint, key))
        return set->hints[table] = hint + 1;
    if (hint && hint <= rows->count && same_key(rows, hint - 1, key))
        return hint;
    return set->hints[table] = index_after(rows, key);
}

bool table_next(struct table_set *set, const struct moment *moment, const uint32_t *name, size_t length,
                struct position *position)
{
    size_t at = 0;
    while (at < set->count && length && set->tables[at]->branch < name[0])
        at++;
    if (at == set->count)
        return false;
    const struct table *table = set->tables[at];
    size_t prefix = prefix_length(table);
    bool entry = !table->scalars && length >= 2;
    if (!length || name[0] < table->branch || length == 1 || (entry && name[1] < 1) ||
        (entry && length == 2 && name[1] == 1))
        return first_from(set, moment, at, position);
    if (entry && name[1] > 1)
        return first_from(set, moment, at + 1, position);

    const struct index *rows = table->rows(moment);
    uint32_t asked = name[prefix - 1], column = column_from(table, asked);
    size_t row = column == asked ? row_behind(set, at, rows, name + prefix, length - prefix) : 0;
    if (column && row >= rows->count) {
        column = column_from(table, (uint64_t)column + 1);
        row = 0;
    }
    if (!column || !rows->count)
        return first_from(set, moment, at + 1, position);
    *position = (struct position){at, column, row, rows};
    return true;
}

bool table_step(struct table_set *set, const struct moment *moment, struct position *position)
{
    if (++position->row < position->rows->count) {
        set->hints[position->table] = position->row;
        return true;
    }
    uint32_t column = column_from(set->tables[position->table], (uint64_t)position->column + 1);
    if (!column)
        return first_from(set, moment, position->table + 1, position);
    position->column = column;
    position->row = 0;
    return true;
}

size_t table_name(const struct table_set *set, const struct position *position, uint32_t *name)
{
    const struct table *table = set->tables[position->table];
    size_t length = 0;
    name[length++] = table->branch;
    if (!table->scalars)
        name[length++] = 1;
    name[length++] = position->column;
    for (unsigned i = 0; i < position->rows->parts; i++)
        name[length++] = position->rows->entries[position->row].key[i];
    return length;
}

void table_value(const struct table_set *set, const struct moment *moment, const struct position *position,
                 struct value *value)
{
    set->tables[position->table]->value(moment, &position->rows->entries[position->row], position->column, value);
}
