#ifndef FEDWARDEN_BASE_GUIDANCE_H
#define FEDWARDEN_BASE_GUIDANCE_H

/*
 * Cause and resolution with the values at hand. The texts of reason_list.h say "the partner", "the peer", "one address",
 * "the port": where it is known who or what that is, the name takes the place of those words. Any thread.
 */

#include <stdint.h>

#include "base/reason.h"

struct guidance {        /* "" or 0: not known */
    const char *partner; /* its name */
    const char *contact; /* whom to call there */
    const char *target;  /* host or domain */
    const char *address;
    uint16_t port;
    const char *detail; /* of an alarm or walk; NULL too: the resolution is then that of the list, with names */
};

/*
 * guidance_cause(reason, known, out), guidance_resolution(reason, known, out): the text, printable, in `out`, which is
 * returned. A name for which there is no room is left out.
 */
const char *guidance_cause(enum reason reason, const struct guidance *known, char out[REASON_CAUSE_MAX + 1]);
const char *guidance_resolution(enum reason reason, const struct guidance *known, char out[REASON_RESOLUTION_MAX + 1]);

#endif
