#ifndef FEDWARDEN_TESTS_LEDGER_FIXTURE_H
#define FEDWARDEN_TESTS_LEDGER_FIXTURE_H

/* A configuration, a ledger in virtual time and the transitions it told, for tests of ledger/. */

#include "ledger/ledger.h"

#define FIXTURE_START       (1000 * CLOCK_SECOND)
#define FIXTURE_WALL        (INT64_C(1767225600) * CLOCK_SECOND) /* 2026-01-01 */
#define FIXTURE_TRANSITIONS 4096

struct fixture {
    struct conf *conf;
    struct ledger *ledger;
    int64_t wall, run;
    size_t count;
    struct transition transitions[FIXTURE_TRANSITIONS]; /* those beyond are counted only */
};

/* fixture_conf(count): partners p0, p1, ... with the default thresholds. fixture_conf_free: NULL is allowed. */
struct conf *fixture_conf(size_t count);
void fixture_conf_free(struct conf *conf);
void fixture_conf_name(struct conf *conf, size_t position, const char *name);

struct fixture *fixture_new(size_t partners);
void fixture_free(struct fixture *fixture);
void fixture_report(void *context, const struct transition *transition);

/* fixture_bind(fixture, conf): a reload; owns `conf` from then on. */
void fixture_bind(struct fixture *fixture, struct conf *conf);
/* fixture_advance(fixture, seconds): with a tick each second. */
void fixture_advance(struct fixture *fixture, int64_t seconds);
/* A probe whose endpoint, if it is one, is 192.0.2.`octet`:5061. */
struct observation fixture_probe(const struct fixture *fixture, uint32_t partner, enum probe_kind kind, uint8_t octet,
                                 enum reason reason);
void fixture_lookup(struct fixture *fixture, uint32_t partner, enum reason reason);
void fixture_endpoint(struct fixture *fixture, uint32_t partner, uint8_t octet, enum reason reason);
void fixture_walked(struct fixture *fixture, uint32_t partner, enum reason reason, uint32_t endpoints);
/* A whole walk: a healthy lookup and one endpoint with this reason. */
void fixture_walk(struct fixture *fixture, uint32_t partner, enum reason reason);
struct ledger_cell *fixture_cell(struct fixture *fixture, uint32_t partner, enum event event);

#endif
