#ifndef FEDWARDEN_REPORT_SESSION_H
#define FEDWARDEN_REPORT_SESSION_H

/*
 * The way to SNMP: an AgentX subagent of the system's snmpd, or a master of its own, by Net-SNMP's library, which is
 * also the event loop of the main thread. Main thread only. No call waits longer than a second for a master, whatever
 * it does.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/conf.h"
#include "ledger/ledger.h"

/* What the daemon itself counts, for the agent scalars; the caller keeps it up to date. */
struct session_status {
    int64_t start_wall, start_run;
    int64_t loaded_wall;  /* of the configuration in force */
    bool load_failed;     /* the last reload */
    char load_error[256]; /* its first error, "" none */
    uint64_t dropped;     /* observations */
    uint64_t feed_lines, feed_unparsed, feed_events; /* of all feeds since the start; unparsed: no head of the preset fits */
};

/*
 * session_open(conf, ledger, status): registers the MIB over `ledger` and `status`, which must live until
 * session_close. False with a logged message only for what cannot heal by itself (a bad address or access file in
 * standalone mode); a master that is not there is no failure: it is tried again for ever.
 */
bool session_open(const struct conf *conf, const struct ledger *ledger, const struct session_status *status);

/*
 * session_check(agent): whether the library understands every line of access_file, where it is used; what it does not is
 * logged with file and line. Instead of session_open, once a process: the library cannot forget what it read.
 */
bool session_check(const struct conf_agent *agent);

/* session_close(): unregisters and closes properly, within a second. */
void session_close(void);

/* session_watch(descriptor, ready, context): calls `ready` when readable. session_unwatch(descriptor). */
void session_watch(int descriptor, void (*ready)(int descriptor, void *context), void *context);
void session_unwatch(int descriptor);
/* session_every(seconds, tick, context): calls `tick` again and again. */
void session_every(unsigned seconds, void (*tick)(void *context), void *context);

/* session_turn(): waits for the next thing and handles it; returns at the latest when a tick is due. */
void session_turn(void);

/* session_connected(): a master holds our registrations, or we are one. */
bool session_connected(void);

#endif
