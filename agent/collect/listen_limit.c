/*
 * Who may connect: a bounded table of callers, in sets of a few places chosen by a hash with a random start, so that
 * nobody can aim at the place of somebody else. A caller has a bucket of a minute's connections, which fills evenly. In
 * a full set the one who was not seen for longest makes room, unless it has a connection open; when all have, the
 * newcomer is refused. An IPv6 caller is its /64, for whoever has one address of it has them all.
 *
 * Who has many addresses can make the table forget; the limit of connections in all holds for him too.
 */
#include "collect/listen_parts.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"

#define SETS   256
#define PLACES 8

struct caller {
    uint8_t family; /* 0: the place is free */
    uint8_t octets[8];
    uint32_t open;
    double tokens;
    int64_t at; /* when the tokens were counted */
};

struct callers {
    uint32_t per_address, per_minute;
    uint64_t start;
    struct caller sets[SETS][PLACES];
};

struct callers *callers_new(uint32_t per_address, uint32_t per_minute)
{
    struct callers *callers = calloc(1, sizeof *callers);
    if (!callers)
        return NULL;
    callers->per_address = per_address;
    callers->per_minute = per_minute;
    if (getrandom(&callers->start, sizeof callers->start, GRND_NONBLOCK) != sizeof callers->start)
        callers->start = (uint64_t)clock_run();
    return callers;
}

void callers_free(struct callers *callers)
{
    free(callers);
}

static struct caller *set_of(struct callers *callers, const struct caller *who)
{
    uint64_t hash = callers->start;
    for (size_t i = 0; i < sizeof who->octets; i++) {
        hash = (hash ^ who->octets[i]) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    }
    return callers->sets[(hash ^ who->family) % SETS];
}

/* The place of `who` in its set: its own, a free one, or that of the one who makes room; NULL when nobody does. */
static struct caller *place_of(struct caller *set, const struct caller *who)
{
    struct caller *best = NULL;
    for (struct caller *place = set; place < set + PLACES; place++) {
        if (place->family == who->family && memcmp(place->octets, who->octets, sizeof who->octets) == 0)
            return place;
        if (place->open == 0 && (!best || (best->family && (!place->family || place->at < best->at))))
            best = place;
    }
    return best;
}

struct caller *callers_admit(struct callers *callers, const struct address *address, int64_t now)
{
    struct caller who = {.family = address->family, .tokens = callers->per_minute, .at = now};
    memcpy(who.octets, address->octets, address->family == ADDRESS_IPV4 ? 4 : sizeof who.octets);
    struct caller *caller = place_of(set_of(callers, &who), &who);
    if (!caller)
        return NULL;
    if (caller->family != who.family || memcmp(caller->octets, who.octets, sizeof who.octets) != 0)
        *caller = who;
    double filled = (double)(now - caller->at) / (60.0 * CLOCK_SECOND) * callers->per_minute;
    caller->tokens = caller->tokens + filled < callers->per_minute ? caller->tokens + filled : callers->per_minute;
    caller->at = now;
    if (caller->open >= callers->per_address || caller->tokens < 1)
        return NULL;
    caller->tokens -= 1;
    caller->open++;
    return caller;
}

void callers_leave(struct caller *caller)
{
    caller->open--;
}
