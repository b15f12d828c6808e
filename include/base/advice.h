#ifndef FEDWARDEN_BASE_ADVICE_H
#define FEDWARDEN_BASE_ADVICE_H

/*
 * What to do about a reason in one case: the resolution of base/reason_list.h says it for all cases, this one names the
 * partner, the place or the source address, and the values that the detail begins with: the missing issuer, the name
 * that was wanted and those that were offered, the certificate and its date, the alert, the question and the resolver,
 * the users that were tried. Pure; any thread.
 */

#include <stddef.h>

#include "base/guidance.h"

/* Room for an advice: no longer than a resolution, so that a notification and the table say the same. */
#define ADVICE_SIZE (REASON_RESOLUTION_MAX + 1)

/*
 * reason_advice(reason, facts, out): the advice, one line of at most REASON_RESOLUTION_MAX octets; "" for REASON_NONE.
 * What is too long ends in "..."; what is needed most stands first. Returns `out`.
 */
const char *reason_advice(enum reason reason, const struct guidance *facts, char out[ADVICE_SIZE]);

#endif
