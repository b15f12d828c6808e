#ifndef FEDWARDEN_COLLECT_LISTEN_H
#define FEDWARDEN_COLLECT_LISTEN_H

/*
 * The mutual-TLS acceptor: a port where a partner can prove its client certificate. It asks for a certificate, verifies
 * it with the CAs and CRLs of a trust profile, says one line over TLS and closes:
 *
 *   ok contoso CN=sip.contoso.example                       the partner whom the certificate names
 *   ok, but no partner here has a name of it: CN=...
 *   tlsUntrustedRoot: issuer "CN=..." is neither sent nor trusted here
 *
 * A certificate that is refused, or none, is one OBSERVATION_EVENT of EVENT_INVALID_CERT. A good one is no event, nor
 * are connections that end without a certificate having been judged: they are only counted. One thread for all
 * addresses.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/conf.h"
#include "base/queue.h"

struct listeners;

/*
 * listeners_start(conf, queue, problem, size): opens the ports of conf->listen and starts the thread. NULL with "" in
 * `problem` when it is not enabled; NULL with what is wrong and what to do when it cannot be started (an address is
 * taken, a certificate cannot be used): then nothing listens and it can be tried again. `conf` and `queue` must outlive
 * listeners_stop. Main thread.
 */
struct listeners *listeners_start(const struct conf *conf, struct queue *queue, char *problem, size_t size);

/*
 * listeners_check(conf, problem, size): whether the certificate, the key and the CAs can be used, when it is enabled;
 * false with what is wrong. Nothing is opened to the network.
 */
bool listeners_check(const struct conf *conf, char *problem, size_t size);

/* listeners_stop(listeners): closes all connections and ends the thread, within milliseconds. NULL is allowed. */
void listeners_stop(struct listeners *listeners);

/* What became of the connections since the start. */
struct listeners_counts {
    uint64_t good;     /* certificates accepted */
    uint64_t refused;  /* certificates refused or absent: events */
    uint64_t limited;  /* closed at once: too many connections in all, of the address, or in its minute */
    uint64_t timeouts; /* handshakes that took too long */
    uint64_t other; /* ended before a certificate could be judged: no TLS, no version or cipher in common, scanners */
};

/* listeners_counts(listeners): each count is exact, all of them not of one moment. Any thread. */
struct listeners_counts listeners_counts(const struct listeners *listeners);

#endif
