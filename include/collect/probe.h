#ifndef FEDWARDEN_COLLECT_PROBE_H
#define FEDWARDEN_COLLECT_PROBE_H

/*
 * Walks of partners through the stages SRV -> A and AAAA -> connect (or proxy) -> STARTTLS -> TLS -> after. A prober is
 * what one shard needs for it: DNS channels, trust profiles, the connections to proxies. Its thread's alone.
 */

#include <systemd/sd-event.h>

#include "collect/walk.h"

struct prober;
struct probe; /* a walk under way */

/* prober_new(loop, conf): NULL with a logged message when it cannot be. */
struct prober *prober_new(sd_event *loop, const struct conf *conf);
/* prober_free(prober): after its walks ended or were cancelled. NULL is allowed. */
void prober_free(struct prober *prober);

/* Called once a walk, from the loop and never from within probe_start; `walk` becomes the callee's (walk_free). */
typedef void probe_done(void *context, struct walk *walk);

/* probe_start(prober, position, done, context): walks conf->partners[position]. NULL only without memory. */
struct probe *probe_start(struct prober *prober, uint32_t position, probe_done *done, void *context);
/* probe_cancel(probe): ends it at once; `done` is not called. */
void probe_cancel(struct probe *probe);

#endif
