/*
 * One line, as the guidelines for Nagios plugins have it: state, text, '|', values. '|' and quotes would end the text,
 * so they are replaced in it. Of several partners the worst are named.
 */
#include "cli/check.h"

#include <string.h>

#include "base/clock.h"
#include "base/text.h"

#define NAMED_MAX 10

static void append_safe(char *out, size_t size, const char *text)
{
    size_t used = strlen(out);
    text_append(out, size, "%s", text);
    for (; out[used]; used++)
        if (out[used] == '|')
            out[used] = '/';
        else if (out[used] == '\n' || out[used] == '\r')
            out[used] = ' ';
}

static enum health worst_of(struct walk *const *walks, size_t count)
{
    enum health worst = HEALTH_OK;
    for (size_t i = 0; i < count; i++)
        if (reason_health(walks[i]->reason) > worst)
            worst = reason_health(walks[i]->reason);
    return worst;
}

static void describe_one(char *out, size_t size, const struct walk *walk)
{
    const struct reason_info *info = reason_info(walk->reason);
    append_safe(out, size, walk->partner->name);
    if (walk->reason == REASON_NONE) {
        text_append(out, size, ": healthy");
        if (walk->not_after != CLOCK_NEVER)
            text_append(out, size, ", certificate ends in %ld days", check_days(walk->not_after));
        return;
    }
    text_append(out, size, ": %s", info->name);
    if (*walk->detail) {
        text_append(out, size, ", ");
        append_safe(out, size, walk->detail);
    }
    text_append(out, size, " (%s %s)", info->actor == ACTOR_US ? "we" : actor_name(info->actor),
                info->actor == ACTOR_US ? "act" : "acts");
}

static void describe_many(char *out, size_t size, struct walk *const *walks, size_t count)
{
    size_t failing = 0, named = 0;
    for (size_t i = 0; i < count; i++)
        failing += walks[i]->reason != REASON_NONE;
    if (failing == 0) {
        text_append(out, size, "%zu partners healthy", count);
        return;
    }
    text_append(out, size, "%zu of %zu partners fail:", failing, count);
    for (enum health health = HEALTH_CRITICAL; health > HEALTH_OK; health--)
        for (size_t i = 0; i < count && named < NAMED_MAX; i++) {
            if (reason_health(walks[i]->reason) != health)
                continue;
            text_append(out, size, "%s", named++ ? ", " : " ");
            append_safe(out, size, walks[i]->partner->name);
            text_append(out, size, " %s", reason_name(walks[i]->reason));
        }
    if (failing > named)
        text_append(out, size, " and %zu more", failing - named);
}

/* Times and endpoints of all, the days of the certificate that ends first. */
static void print_values(FILE *out, struct walk *const *walks, size_t count)
{
    size_t endpoints = 0, ok = 0;
    uint32_t longest = 0;
    const struct walk *first = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct walk *walk = walks[i];
        endpoints += walk->endpoint_count;
        ok += walk_endpoints_ok(walk);
        if (walk->duration > longest)
            longest = walk->duration;
        if (walk->not_after != CLOCK_NEVER && (!first || walk->not_after < first->not_after))
            first = walk;
    }
    const struct conf_partner *partner = first ? first->partner : walks[0]->partner;
    fprintf(out, " | time=%.3fs;;;0 cert_days=", (double)longest / 1e6);
    if (first)
        fprintf(out, "%ld", check_days(first->not_after));
    else
        fputc('U', out);
    fprintf(out, ";%u;%u endpoints_ok=%zu;;;0;%zu\n", partner->expiry_days, partner->expiry_major, ok, endpoints);
}

void check_nagios(FILE *out, struct walk *const *walks, size_t count)
{
    static const char *const states[] = {
        [HEALTH_OK] = "OK", [HEALTH_WARNING] = "WARNING", [HEALTH_CRITICAL] = "CRITICAL", [HEALTH_UNKNOWN] = "UNKNOWN"};
    char text[2048] = "";
    if (count == 1)
        describe_one(text, sizeof text, walks[0]);
    else
        describe_many(text, sizeof text, walks, count);
    fprintf(out, "FEDWARDEN %s - %s", states[worst_of(walks, count)], text);
    print_values(out, walks, count);
}
