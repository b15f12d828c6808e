#ifndef FEDWARDEN_COLLECT_PROXY_H
#define FEDWARDEN_COLLECT_PROXY_H

/*
 * Connections through an HTTP CONNECT or SOCKS proxy, by libcurl, on the event loop of one shard and for its thread
 * alone. What comes back is a connected socket that libcurl no longer knows.
 */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "base/observation.h"

struct proxy_pool;
struct proxy_connect; /* one that is under way */

struct proxy_outcome {
    int descriptor;     /* the callee's, non-blocking; -1 when it failed */
    enum reason reason; /* REASON_NONE when there is a descriptor */
    bool reached;       /* the proxy itself accepted the connection */
    char detail[OBSERVATION_DETAIL]; /* printable; never the credentials of the URL */
};

/* Called once, from the loop and never from within proxy_start; the outcome lives until it returns. */
typedef void proxy_done(void *context, const struct proxy_outcome *outcome);

/* proxy_pool_new(loop): NULL with a logged message when it cannot be. proxy_pool_free: NULL is allowed. */
struct proxy_pool *proxy_pool_new(sd_event *loop);
void proxy_pool_free(struct proxy_pool *pool);

/*
 * proxy_start(pool, url, host, address, port, done, context): asks the proxy for a connection to `address` and `port`,
 * which `host` resolved to. It has no time of its own: call proxy_timeout. NULL without memory.
 */
struct proxy_connect *proxy_start(struct proxy_pool *pool, const char *url, const char *host,
                                  const struct address *address, uint16_t port, proxy_done *done, void *context);

/*
 * proxy_timeout(connect, outcome): ends it because its time is over, without calling back, and tells how far it came.
 * proxy_cancel(connect): ends it without a word.
 */
void proxy_timeout(struct proxy_connect *connect, struct proxy_outcome *outcome);
void proxy_cancel(struct proxy_connect *connect);

/* proxy_text(url, out, size): the URL as it may be shown: scheme, host and port, without user and password. */
const char *proxy_text(const char *url, char *out, size_t size);

#endif
