#ifndef FEDWARDEN_COLLECT_LISTEN_PARTS_H
#define FEDWARDEN_COLLECT_LISTEN_PARTS_H

/* What the files of listen share, and their tests see. Nothing else includes it. */

#include "base/conf.h"
#include "base/observation.h"
#include "collect/tls.h"

/* Who connects, by IPv4 address or IPv6 /64, and how much of its limits each has used. */
struct callers;
struct caller;

/* callers_new(per_address, per_minute): `per_address` connections at once. NULL without memory. */
struct callers *callers_new(uint32_t per_address, uint32_t per_minute);
void callers_free(struct callers *callers); /* NULL is allowed */

/*
 * callers_admit(callers, address, now): a connection from `address` at `now` (clock_run): who it is, for callers_leave
 * when it ends; NULL when it is over a limit.
 */
struct caller *callers_admit(struct callers *callers, const struct address *address, int64_t now);
void callers_leave(struct caller *caller);

#define LISTEN_VERDICT (OBSERVATION_DETAIL + 64) /* octets of the line */
#define LISTEN_DOMAINS 32                        /* names of a certificate that are looked up */

/* What a connection came to. */
struct listen_judgement {
    bool said;                 /* the handshake is done: `line` can be sent */
    bool refused;              /* `event` is to be told */
    char line[LISTEN_VERDICT]; /* with its line end */
    struct observation event;
};

/*
 * listen_judge(conf, result, domains, count, address, port, judgement): from the result of tls_accept's session and the
 * domains that its certificate names. Pure except for the clocks.
 */
void listen_judge(const struct conf *conf, const struct tls_result *result, const char (*domains)[OBSERVATION_NAME],
                  size_t count, const struct address *address, uint16_t port, struct listen_judgement *judgement);

#endif
