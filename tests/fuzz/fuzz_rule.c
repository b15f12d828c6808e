/*
 * libFuzzer: lines through all presets, and patterns of any kind, each with the prefilter and without it: what is told
 * must be the same and be printable text within its room.
 *
 *   FEDWARDEN_PRESETS=conf/presets ./fuzz_rule -max_total_time=300 -max_len=8192 CORPUS tests/fuzz/seeds/rule
 *
 * An input that begins with "/" is a pattern up to the first line end; the lines behind it are read by it. Any other
 * input is lines of logs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "collect/rule.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HITS_MAX 4096

struct told {
    size_t count;
    struct {
        uint64_t first_line, line, last_line;
        struct observation_event event;
    } hits[HITS_MAX];
};

static struct told with, without;
static struct rule_set *sets[2];
static struct conf conf;

static void check_text(const char *text, size_t room)
{
    size_t length = strnlen(text, room);
    require(length < room);
    for (size_t i = 0; i < length; i++)
        require((unsigned char)text[i] >= 0x20 && text[i] != 0x7f);
}

static void found(void *context, const struct rule_hit *hit)
{
    struct told *told = context;
    const struct observation_event *event = &hit->event;
    require(hit->first_line <= hit->line && hit->line <= hit->last_line && hit->first_line > 0);
    require(event->count >= 1 && (event->event <= EVENT_DNS) && (event->event != EVENT_NONE || event->known_only));
    require(event->address.family <= ADDRESS_IPV6 && hit->field_count <= sizeof hit->fields / sizeof hit->fields[0]);
    check_text(event->domain, sizeof event->domain);
    check_text(event->target, sizeof event->target);
    check_text(event->user, sizeof event->user);
    check_text(event->subject, sizeof event->subject);
    check_text(event->issuer, sizeof event->issuer);
    check_text(event->serial, sizeof event->serial);
    check_text(event->detail, sizeof event->detail);
    for (size_t i = 0; i < hit->field_count; i++)
        check_text(hit->fields[i].value, sizeof hit->fields[i].value);
    if (told->count < HITS_MAX) {
        told->hits[told->count].first_line = hit->first_line;
        told->hits[told->count].line = hit->line;
        told->hits[told->count].last_line = hit->last_line;
        told->hits[told->count++].event = *event;
    }
}

static uint64_t read_lines(const struct rule_set *set, const uint8_t *data, size_t size, struct told *told)
{
    const char *at = (const char *)data, *end = at + size;
    told->count = 0;
    struct rule_reader *reader = rule_reader_new(set, &conf, found, told);
    while (at < end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        line_end = line_end ? line_end : end;
        rule_read(reader, at, (size_t)(line_end - at), 0);
        at = line_end + (line_end < end);
    }
    rule_flush(reader, 1000000000);
    uint64_t errors = rule_reader_counts(reader).errors;
    rule_reader_free(reader);
    return errors;
}

/* Without the prefilter more rules are tried, so more may hit their limits; then the results may differ. */
static void compare(const uint8_t *data, size_t size)
{
    uint64_t errors = read_lines(sets[0], data, size, &with) + read_lines(sets[1], data, size, &without);
    if (errors)
        return;
    require(with.count == without.count);
    require(memcmp(with.hits, without.hits, with.count * sizeof with.hits[0]) == 0);
}

static struct rule_set *load(const char *path, bool prefilter)
{
    struct conf_errors errors = {0};
    struct rule_set *set = rule_set_load(path, "", &errors);
    require((set == NULL) == (errors.count > 0));
    conf_errors_clear(&errors);
    if (set && !prefilter)
        rule_set_no_prefilter(set);
    return set;
}

static void try_pattern(const uint8_t *pattern, size_t length, const uint8_t *lines, size_t size)
{
    static struct rule_set *kept[2];
    char path[64];
    int file = memfd_create("preset", MFD_CLOEXEC);
    if (file < 0 || length > 512 || memchr(pattern, '\'', length) || memchr(pattern, '\0', length)) {
        close(file);
        return;
    }
    dprintf(file,
            "product = \"p\"; heads = ({ name = \"own\"; pattern = '^'; });\n"
            "rules = ({ name = \"a\"; event = \"dns\"; reason = \"dnsOther\"; pattern = '%.*s'; });\n",
            (int)length, (const char *)pattern);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    memcpy(kept, sets, sizeof kept);
    sets[0] = load(path, true);
    sets[1] = load(path, false);
    require(!sets[0] == !sets[1]);
    if (sets[0])
        compare(lines, size);
    rule_set_free(sets[0]);
    rule_set_free(sets[1]);
    memcpy(sets, kept, sizeof kept);
    close(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!sets[0]) {
        const char *presets = getenv("FEDWARDEN_PRESETS");
        conf.path = "";
        require((sets[0] = load(presets ? presets : "conf/presets", true)) != NULL);
        require((sets[1] = load(presets ? presets : "conf/presets", false)) != NULL);
    }
    if (size && *data == '/') {
        const uint8_t *end = memchr(data, '\n', size);
        if (end)
            try_pattern(data + 1, (size_t)(end - data - 1), end + 1, size - (size_t)(end + 1 - data));
        return 0;
    }
    compare(data, size);
    return 0;
}
