#include "base/reason.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Rows stand in the order of their numbers (a unit test holds the list to that), so a look-up is a binary search. */
static const struct reason_info reason_rows[] = {
#define REASON_ROW(number, enumerator, name, event, severity, actor, cause, resolution, aliases)                       \
    {REASON_##enumerator, #name, event, severity, actor, cause, resolution, aliases},
#include "base/reason_list.h"
#undef REASON_ROW
};

#define REASON_ROWS (sizeof reason_rows / sizeof reason_rows[0])

static int compare_number(const void *key, const void *row)
{
    int number = *(const int *)key;
    return number - (int)((const struct reason_info *)row)->reason;
}

static const struct reason_info *find_number(int number)
{
    return bsearch(&number, reason_rows, REASON_ROWS, sizeof reason_rows[0], compare_number);
}

const struct reason_info *reason_info(enum reason reason)
{
    const struct reason_info *row = find_number((int)reason);
    return row ? row : find_number(REASON_UNCLASSIFIED);
}

const char *reason_name(enum reason reason)
{
    return reason_info(reason)->name;
}

size_t reason_count(void)
{
    return REASON_ROWS;
}

const struct reason_info *reason_at(size_t i)
{
    return &reason_rows[i];
}

enum reason reason_find(const char *name)
{
    for (size_t i = 0; i < REASON_ROWS; i++)
        if (strcasecmp(reason_rows[i].name, name) == 0)
            return reason_rows[i].reason;
    return 0;
}

/* A number as people copy it: decimal, 0x..., bare hexadecimal of eight digits, or a negative HRESULT. */
static bool parse_number(const char *text, uint32_t *number)
{
    char *end;
    errno = 0;
    bool bare_hex = strlen(text) == 8 && strspn(text, "0123456789abcdefABCDEF") == 8;
    long long value = strtoll(text, &end, bare_hex ? 16 : 0);
    if (errno || end == text || *end || value < INT32_MIN || value > UINT32_MAX)
        return false;
    *number = (uint32_t)value;
    return true;
}

static bool alias_matches(const char *alias, size_t length, const char *text, bool is_number, uint32_t number)
{
    if (strlen(text) == length && strncasecmp(alias, text, length) == 0)
        return true;
    if (!is_number)
        return false;
    char word[64];
    uint32_t value;
    if (length >= sizeof word)
        return false;
    memcpy(word, alias, length);
    word[length] = '\0';
    if (!parse_number(word, &value))
        return false;
    /* 0x8007nnnn is HRESULT_FROM_WIN32(nnnn) */
    return value == number || (value >> 16 == 0x8007 && (value & 0xffff) == number);
}

static bool row_matches(const struct reason_info *row, const char *text, bool is_number, uint32_t number)
{
    if (strcasecmp(row->name, text) == 0 || (is_number && number == (uint32_t)row->reason))
        return true;
    for (const char *alias = row->aliases; *alias;) {
        size_t length = strcspn(alias, " ");
        if (alias_matches(alias, length, text, is_number, number))
            return true;
        alias += length + strspn(alias + length, " ");
    }
    return false;
}

size_t reason_search(const char *text, const struct reason_info **found, size_t max)
{
    uint32_t number = 0;
    bool is_number = parse_number(text, &number);
    size_t count = 0;
    for (size_t i = 0; i < REASON_ROWS; i++) {
        if (!row_matches(&reason_rows[i], text, is_number, number))
            continue;
        if (count < max)
            found[count] = &reason_rows[i];
        count++;
    }
    return count;
}

static const struct {
    enum severity severity;
    int rank;
    const char *name;
} severities[] = {
    {SEVERITY_CLEARED, 0, "cleared"}, {SEVERITY_INDETERMINATE, 1, "indeterminate"},
    {SEVERITY_WARNING, 2, "warning"}, {SEVERITY_MINOR, 3, "minor"},
    {SEVERITY_MAJOR, 4, "major"},     {SEVERITY_CRITICAL, 5, "critical"},
};
#define SEVERITIES (sizeof severities / sizeof severities[0])

enum reason reason_by_source(enum reason reason, enum event event)
{
    static const struct {
        enum reason partner, elsewhere, own;
    } rows[] = {
        {REASON_DOM_USER_UNKNOWN, REASON_AUTH_UNKNOWN_USER, REASON_DOM_USER_UNKNOWN},
        {REASON_DOM_SENDER_NOT_ALLOWED, REASON_AUTH_NOT_PERMITTED, REASON_DOM_SENDER_NOT_ALLOWED},
        {REASON_DOM_RECIPIENT_NOT_LOCAL, REASON_AUTH_NOT_PERMITTED, REASON_DOM_OUTBOUND_UNSUPPORTED},
        {REASON_DOM_BLOCKED_PARTNER, REASON_AUTH_SOURCE_NOT_ALLOWED, REASON_AUTH_NOT_PERMITTED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].partner != reason)
            continue;
        return event == EVENT_AUTH_SOURCE ? rows[i].elsewhere : event == EVENT_DOMAIN_LOCAL ? rows[i].own : reason;
    }
    return reason;
}

int severity_rank(enum severity severity)
{
    for (size_t i = 0; i < SEVERITIES; i++)
        if (severities[i].severity == severity)
            return severities[i].rank;
    return 0;
}

const char *severity_name(enum severity severity)
{
    for (size_t i = 0; i < SEVERITIES; i++)
        if (severities[i].severity == severity)
            return severities[i].name;
    return "indeterminate";
}

enum severity severity_find(const char *name)
{
    for (size_t i = 0; i < SEVERITIES; i++)
        if (strcasecmp(severities[i].name, name) == 0)
            return severities[i].severity;
    return 0;
}

const char *actor_name(enum actor actor)
{
    static const char *const names[] = {
        [ACTOR_NONE] = "none", [ACTOR_PARTNER] = "partner", [ACTOR_US] = "us", [ACTOR_NETWORK] = "network"};
    return actor >= ACTOR_NONE && actor <= ACTOR_NETWORK ? names[actor] : "none";
}

enum health reason_health(enum reason reason)
{
    if (reason == REASON_NONE)
        return HEALTH_OK;
    return severity_rank(reason_info(reason)->severity) >= severity_rank(SEVERITY_MAJOR) ? HEALTH_CRITICAL
                                                                                         : HEALTH_WARNING;
}

const char *health_name(enum health health)
{
    static const char *const names[] = {
        [HEALTH_OK] = "ok", [HEALTH_WARNING] = "warning", [HEALTH_CRITICAL] = "critical", [HEALTH_UNKNOWN] = "unknown"};
    return health >= HEALTH_OK && health <= HEALTH_UNKNOWN ? names[health] : "unknown";
}

static int reason_rank(enum reason reason)
{
    return reason == REASON_NONE ? -1 : severity_rank(reason_info(reason)->severity);
}

enum reason reason_worse(enum reason a, enum reason b)
{
    return reason_rank(b) > reason_rank(a) ? b : a;
}
