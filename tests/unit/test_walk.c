#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "collect/walk.h"
#include "collect/walk_tell.h"

static const struct conf_partner partner = {.name = "contoso", .domain = "contoso.example", .interval = 300};

static void add_step(struct walk *walk, enum stage stage, enum step_state state, int endpoint, enum reason reason,
                     const char *detail)
{
    struct walk_step step;
    step_init(&step, stage, state);
    step.endpoint = endpoint;
    step.reason = reason;
    text_copy(step.detail, sizeof step.detail, detail);
    walk_add_step(walk, &step);
}

static void add_lookup(struct walk *walk, const char *target, enum reason reason)
{
    struct observation_probe told = {.kind = PROBE_ADDRESS, .reason = reason};
    text_copy(told.target, sizeof told.target, target);
    walk_add_lookup(walk, &told);
}

/* An endpoint with `count` certificates whose chain has the digest `chain` throughout. */
static size_t add_endpoint(struct walk *walk, uint16_t port, enum reason reason, size_t count, uint8_t chain)
{
    struct walk_endpoint endpoint = {.address = {ADDRESS_IPV4, {192, 0, 2, 1}}, .port = port, .reason = reason};
    text_copy(endpoint.target, sizeof endpoint.target, "sip.contoso.example");
    endpoint.probe.kind = PROBE_ENDPOINT;
    endpoint.probe.port = port;
    endpoint.probe.reason = reason;
    endpoint.probe.not_after = count ? (int64_t)port * CLOCK_SECOND : CLOCK_NEVER;
    endpoint.certificate_count = count;
    endpoint.certificates = count ? calloc(count, sizeof endpoint.certificates[0]) : NULL;
    for (size_t i = 0; i < count; i++) {
        endpoint.certificates[i].depth = (uint8_t)i;
        endpoint.certificates[i].length = (uint8_t)count;
    }
    memset(endpoint.chain_sha256, chain, sizeof endpoint.chain_sha256);
    return walk_add_endpoint(walk, &endpoint);
}

Test(walk, healthy)
{
    struct walk *walk = walk_new(&partner, 7);
    add_step(walk, STAGE_SERVICE, STEP_OK, -1, REASON_NONE, "1 target");
    add_endpoint(walk, 5061, REASON_NONE, 2, 1);
    walk_judge(walk);
    cr_assert_eq(walk->reason, REASON_NONE);
    cr_assert_eq(walk->stage, 0);
    cr_assert_str_eq(stage_name(walk->stage), "none");
    cr_assert_eq(walk->endpoint, -1);
    cr_assert_eq(walk_endpoints_ok(walk), 1);
    walk_free(walk);
}

/* The worst decides, of equals the first; what was skipped decides nothing. */
Test(walk, verdict)
{
    struct walk *walk = walk_new(&partner, 7);
    add_step(walk, STAGE_SERVICE, STEP_FAILED, -1, REASON_DNS_SRV_FOREIGN_TARGET, "foreign");
    add_step(walk, STAGE_CONNECT, STEP_FAILED, 0, REASON_TCP_REFUSED, "refused");
    add_step(walk, STAGE_TLS, STEP_SKIPPED, 0, REASON_TLS_EXPIRED, "never looked at");
    add_step(walk, STAGE_CONNECT, STEP_FAILED, 1, REASON_TCP_TIMEOUT, "timeout");
    add_endpoint(walk, 5061, REASON_TCP_REFUSED, 0, 0);
    add_endpoint(walk, 5062, REASON_TCP_TIMEOUT, 0, 0);
    walk_judge(walk);
    cr_assert_eq(walk->reason, REASON_TCP_REFUSED);
    cr_assert_eq(walk->stage, STAGE_CONNECT);
    cr_assert_eq(walk->endpoint, 0);
    cr_assert_str_eq(walk->detail, "refused");
    cr_assert_eq(walk->not_after, CLOCK_NEVER);
    cr_assert_eq(walk_endpoints_ok(walk), 0);

    add_step(walk, STAGE_TLS, STEP_FAILED, 2, REASON_TLS_EXPIRED, "expired");
    add_endpoint(walk, 9, REASON_TLS_EXPIRED, 1, 1);
    add_endpoint(walk, 5, REASON_NONE, 1, 1);
    walk_judge(walk);
    cr_assert_eq(walk->reason, REASON_TLS_EXPIRED);
    cr_assert_eq(walk->endpoint, 2);
    cr_assert_eq(walk->not_after, 5 * CLOCK_SECOND);
    cr_assert_eq(walk_endpoints_ok(walk), 1);
    walk_free(walk);
}

/* Tells `walk`, and counts what was told of each kind. */
static struct observation *tell(const struct walk *walk, const struct walk_memory *memory, size_t counts[4])
{
    size_t count;
    struct observation *list = walk_tell(walk, memory, &count);
    memset(counts, 0, 4 * sizeof counts[0]);
    for (size_t i = 0; i < count; i++) {
        counts[list[i].kind]++;
        cr_assert_eq(list[i].partner, 7);
        cr_assert_eq(list[i].wall, 11);
        cr_assert_eq(list[i].run, 12);
    }
    cr_assert_eq(list[count - 1].kind, OBSERVATION_WALK);
    return list;
}

static struct walk *sample(uint8_t chain, bool second)
{
    struct walk *walk = walk_new(&partner, 7);
    walk->wall = 11;
    walk->run = 12;
    walk->late = 13;
    walk->duration = 14;
    add_lookup(walk, "sip.contoso.example", REASON_NONE);
    add_endpoint(walk, 5061, REASON_NONE, 2, chain);
    if (second)
        add_endpoint(walk, 5062, REASON_TCP_REFUSED, 0, 0);
    walk_judge(walk);
    return walk;
}

Test(walk, told_in_order)
{
    struct walk *walk = sample(1, true);
    struct walk_memory memory = {0, NULL};
    size_t counts[4], count;
    free(tell(walk, &memory, counts));
    cr_assert_eq(counts[OBSERVATION_PROBE], 3);
    cr_assert_eq(counts[OBSERVATION_CERTIFICATE], 2);
    struct observation *list = walk_tell(walk, &memory, &count);
    cr_assert_eq(list[0].probe.kind, PROBE_ADDRESS);
    cr_assert_eq(list[1].probe.kind, PROBE_ENDPOINT);
    cr_assert_eq(list[2].certificate.depth, 0);
    cr_assert_eq(list[2].certificate.port, 5061);
    cr_assert_str_eq(list[2].certificate.target, "sip.contoso.example");
    cr_assert_eq(list[2].certificate.address.octets[0], 192);
    cr_assert_eq(list[3].certificate.depth, 1);
    cr_assert_eq(list[5].walk.late, 13);
    cr_assert_eq(list[5].walk.duration, 14);
    cr_assert_eq(list[5].walk.endpoints, 2);
    cr_assert_eq(list[5].walk.endpoints_ok, 1);
    free(list);
    walk_free(walk);
}

Test(walk, chains_are_told_when_they_change)
{
    struct walk *first = sample(1, false), *same = sample(1, true), *changed = sample(2, true);
    struct walk_memory memory = {0, NULL};
    size_t counts[4];
    free(tell(first, &memory, counts));
    cr_assert_eq(counts[OBSERVATION_CERTIFICATE], 2);
    /* not posted: told again */
    free(tell(first, &memory, counts));
    cr_assert_eq(counts[OBSERVATION_CERTIFICATE], 2);
    walk_told(first, &memory);
    free(tell(same, &memory, counts));
    cr_assert_eq(counts[OBSERVATION_CERTIFICATE], 0);
    walk_told(same, &memory);
    free(tell(changed, &memory, counts));
    cr_assert_eq(counts[OBSERVATION_CERTIFICATE], 2);
    walk_told(changed, &memory);
    free(tell(changed, &memory, counts));
    cr_assert_eq(counts[OBSERVATION_CERTIFICATE], 0);
    walk_memory_clear(&memory);
    walk_free(first);
    walk_free(same);
    walk_free(changed);
}

/* An endpoint that shows no chain for once keeps what was told; one that was not met is forgotten. */
Test(walk, memory_follows_the_endpoints)
{
    struct walk *first = sample(1, false), *without = walk_new(&partner, 7), *refused = walk_new(&partner, 7);
    struct walk_memory memory = {0, NULL};
    size_t counts[4];
    without->wall = refused->wall = 11;
    without->run = refused->run = 12;
    add_endpoint(refused, 5061, REASON_TCP_REFUSED, 0, 0);
    walk_told(first, &memory);
    free(tell(refused, &memory, counts));
    walk_told(refused, &memory);
    free(tell(first, &memory, counts));
    cr_assert_eq(counts[OBSERVATION_CERTIFICATE], 0);
    walk_told(without, &memory);
    cr_assert_eq(memory.count, 0);
    free(tell(first, &memory, counts));
    cr_assert_eq(counts[OBSERVATION_CERTIFICATE], 2);
    walk_memory_clear(&memory);
    walk_free(first);
    walk_free(without);
    walk_free(refused);
}
