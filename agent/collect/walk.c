/*
 * A walk is three lists that only grow: steps in the order in which people read them, the lookups and the endpoints as
 * they will be told. The verdict is taken from the failed steps alone, so that what is printed and what is told agree.
 */
#include "collect/walk.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"

const char *stage_name(enum stage stage)
{
    static const char *const names[] = {
        [STAGE_SERVICE] = "srv",
        [STAGE_ADDRESS] = "address",
        [STAGE_CONNECT] = "connect",
        [STAGE_PROXY] = "proxy",
        [STAGE_STARTTLS] = "starttls",
        [STAGE_TLS] = "tls",
        [STAGE_CERTIFICATE] = "certificate",
        [STAGE_NAME] = "name",
        [STAGE_CLIENT] = "client",
        [STAGE_APPLICATION] = "app",
    };
    return stage >= STAGE_SERVICE && stage <= STAGE_APPLICATION ? names[stage] : "none";
}

struct walk *walk_new(const struct conf_partner *partner, uint32_t position)
{
    struct walk *walk = calloc(1, sizeof *walk);
    if (!walk)
        abort();
    walk->partner = partner;
    walk->position = position;
    walk->reason = REASON_NONE;
    walk->endpoint = -1;
    walk->not_after = CLOCK_NEVER;
    return walk;
}

void walk_free(struct walk *walk)
{
    if (!walk)
        return;
    for (size_t i = 0; i < walk->endpoint_count; i++) {
        free(walk->endpoints[i].certificates);
        free(walk->endpoints[i].peer_cas);
    }
    free(walk->endpoints);
    free(walk->lookups);
    free(walk->steps);
    free(walk);
}

/* Room for one more of `size` octets in a list that doubles from 8. */
static void *make_room(void *list, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return list;
    *room = *room ? *room * 2 : 8;
    list = reallocarray(list, *room, size);
    if (!list)
        abort();
    return list;
}

void walk_add_step(struct walk *walk, const struct walk_step *step)
{
    walk->steps = make_room(walk->steps, walk->step_count, &walk->step_room, sizeof *step);
    walk->steps[walk->step_count++] = *step;
}

void walk_add_lookup(struct walk *walk, const struct observation_probe *probe)
{
    walk->lookups = make_room(walk->lookups, walk->lookup_count, &walk->lookup_room, sizeof walk->lookups[0]);
    walk->lookups[walk->lookup_count++].probe = *probe;
}

size_t walk_add_endpoint(struct walk *walk, const struct walk_endpoint *endpoint)
{
    walk->endpoints = make_room(walk->endpoints, walk->endpoint_count, &walk->endpoint_room, sizeof *endpoint);
    walk->endpoints[walk->endpoint_count] = *endpoint;
    return walk->endpoint_count++;
}

void step_init(struct walk_step *step, enum stage stage, enum step_state state)
{
    memset(step, 0, sizeof *step);
    step->stage = stage;
    step->state = state;
    step->endpoint = -1;
    step->reason = REASON_NONE;
    step->rcode = -1;
    step->ede = -1;
    step->alert = -1;
}

void step_worsen(struct walk_step *step, enum reason reason, const char *detail)
{
    if (reason_worse(step->reason, reason) == step->reason && step->reason != REASON_NONE)
        return;
    step->reason = reason;
    step->state = STEP_FAILED;
    text_copy(step->detail, sizeof step->detail, detail);
}

void walk_judge(struct walk *walk)
{
    walk->reason = REASON_NONE;
    walk->stage = 0;
    walk->endpoint = -1;
    walk->detail[0] = '\0';
    for (size_t i = 0; i < walk->step_count; i++) {
        const struct walk_step *step = &walk->steps[i];
        if (step->state != STEP_FAILED || reason_worse(walk->reason, step->reason) == walk->reason)
            continue;
        walk->reason = step->reason;
        walk->stage = step->stage;
        walk->endpoint = step->endpoint;
        text_copy(walk->detail, sizeof walk->detail, step->detail);
    }
    walk->not_after = CLOCK_NEVER;
    for (size_t i = 0; i < walk->endpoint_count; i++) {
        int64_t end = walk->endpoints[i].probe.not_after;
        if (end != CLOCK_NEVER && (walk->not_after == CLOCK_NEVER || end < walk->not_after))
            walk->not_after = end;
    }
}

struct guidance walk_guidance(const struct walk *walk, char address[ADDRESS_TEXT_SIZE])
{
    struct guidance known = {.partner = walk->partner->name,
                             .contact = walk->partner->contact,
                             .target = "",
                             .address = "",
                             .detail = walk->detail};
    if (walk->endpoint >= 0) {
        const struct walk_endpoint *endpoint = &walk->endpoints[walk->endpoint];
        known.target = endpoint->target;
        known.address = address_text(&endpoint->address, address);
        known.port = endpoint->port;
    }
    for (size_t i = 0; walk->endpoint < 0 && !*known.target && i < walk->step_count; i++)
        if (walk->steps[i].endpoint < 0 && walk->steps[i].reason == walk->reason)
            known.target = walk->steps[i].target;
    return known;
}

size_t walk_endpoints_ok(const struct walk *walk)
{
    size_t ok = 0;
    for (size_t i = 0; i < walk->endpoint_count; i++)
        ok += walk->endpoints[i].reason == REASON_NONE;
    return ok;
}
