#ifndef FEDWARDEN_COLLECT_REVOCATION_H
#define FEDWARDEN_COLLECT_REVOCATION_H

/*
 * The revocation lists that a trust profile has URLs for: fetched in the background, given to the profile, fetched again
 * before they end. For the thread of the event loop alone.
 */

#include "collect/fetch.h"
#include "collect/tls.h"

struct revocation;

/* Called once, from the loop: every URL has been tried; what could not be had is unknown from now on. */
typedef void revocation_ready(void *context);

/*
 * revocation_new(fetcher, loop, conf, milliseconds, trust, ready, context): starts to fetch; each try lasts at most so
 * long. `conf` and `trust` outlive it. NULL without memory, or when the profile has no URL.
 */
struct revocation *revocation_new(struct fetcher *fetcher, sd_event *loop, const struct conf_trust *conf,
                                  uint32_t milliseconds, struct tls_trust *trust, revocation_ready *ready,
                                  void *context);
void revocation_free(struct revocation *revocation); /* NULL is allowed */

/* revocation_is_ready(revocation): whether `ready` has been called. NULL is ready. */
bool revocation_is_ready(const struct revocation *revocation);

/*
 * revocation_wait(now, next_update, failures): microseconds until a list is fetched again, pure: after a success
 * (`failures` 0) when nine tenths of the time to `next_update` (wall time like `now`; CLOCK_NEVER not known) are over, at
 * least a minute and at most a day; after a failure a minute, doubled for each in a row up to an hour.
 */
int64_t revocation_wait(int64_t now, int64_t next_update, unsigned failures);

#endif
