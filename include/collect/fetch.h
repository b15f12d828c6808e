#ifndef FEDWARDEN_COLLECT_FETCH_H
#define FEDWARDEN_COLLECT_FETCH_H

/*
 * Files over HTTP and HTTPS, by libcurl, in the background of an event loop and for its thread alone. Nothing but these
 * two schemes is ever followed, whatever a server redirects to; size and time are bounded.
 */

#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct fetcher;
struct fetch; /* one that is under way */

struct fetch_request {
    const char *url;
    const char *proxy; /* as conf_partner has it; "" none. The environment names no proxy */
    size_t octets_max;
    uint32_t milliseconds; /* of the whole */
};

#define FETCH_PROBLEM 160

struct fetch_outcome {
    const uint8_t *data; /* NULL when it failed; it lives until the callback returns */
    size_t size;
    char problem[FETCH_PROBLEM]; /* why it failed, printable; never the URL or credentials */
};

/* Called once, from the loop and never from within fetch_start. */
typedef void fetch_done(void *context, const struct fetch_outcome *outcome);

/* fetcher_new(loop): NULL without memory or descriptors. fetcher_free: after its fetches ended; NULL is allowed. */
struct fetcher *fetcher_new(sd_event *loop);
void fetcher_free(struct fetcher *fetcher);

/* fetch_start(fetcher, request, done, context): NULL without memory. fetch_cancel(fetch): `done` is not called. */
struct fetch *fetch_start(struct fetcher *fetcher, const struct fetch_request *request, fetch_done *done,
                          void *context);
void fetch_cancel(struct fetch *fetch);

#endif
