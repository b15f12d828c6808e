#ifndef FEDWARDEN_REPORT_WIRE_H
#define FEDWARDEN_REPORT_WIRE_H

/*
 * Between the files of report/ that know Net-SNMP: the front-end that answers from the tables, the two ways to be
 * reached (a link up to snmpd, or a master of our own), and what a notification needs of them. Main thread only.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/conf.h"
#include "ledger/ledger.h"
#include "report/session.h"

struct variable_list;

/* What the library calls us: the type of its configuration lines and the name of its state file. */
#define WIRE_NAME "fedwarden-snmp"

/* frontend_open(ledger, status): registers the one handler of all tables with the library. False: it refused. */
bool frontend_open(const struct ledger *ledger, const struct session_status *status);
void frontend_close(void);
/*
 * frontend_answer(variables, next): answers the varbinds of an AgentX Get, or of a GetNext with their search ranges as
 * the library has read them (the end is the value, and the type says whether the start is included; RFC 2741 sections
 * 5.2, 7.2.3.1 and 7.2.3.2).
 */
void frontend_answer(struct variable_list *variables, bool next);
/* frontend_oid(length): what is registered: the root of the objects. */
const unsigned long *frontend_oid(size_t *length);
/* frontend_uptime(): takes over the sysUpTime that the library knows now; called when there is a master. */
void frontend_uptime(void);

/* uplink_open(agent): prepares the library as a subagent; its init_snmp makes the first attempt to connect. */
bool uplink_open(const struct conf_agent *agent);
/* uplink_start(): after init_snmp. */
void uplink_start(void);
/* uplink_step(now): connects, pings and gives up when it is time to. uplink_due(): when it next has something to do. */
void uplink_step(int64_t now);
int64_t uplink_due(void);
bool uplink_connected(void);
/* uplink_close(): waits for snmpd for a second at most. */
void uplink_close(void);

/* standalone_open(agent): prepares the library as a master. standalone_start(agent): after init_snmp; listens. False:
 * logged. */
bool standalone_open(const struct conf_agent *agent);
bool standalone_start(const struct conf_agent *agent);

/*
 * wire_log_open(): messages of the library go to our log. wire_log_complaints(): lines about the configuration that it
 * complained of so far.
 */
void wire_log_open(void);
unsigned wire_log_complaints(void);
/*
 * wire_state(agent): where the library keeps its state: SNMP_PERSISTENT_DIR, else state_dir. A master needs it: makes the
 * folder then; where it cannot be written, that is logged and nothing is kept.
 */
void wire_state(const struct conf_agent *agent);

/*
 * How notifications leave. In the role of a subagent each is answered by the master: notify_answered is called with its
 * tag, or notify_lost when the link goes down, after which no answer to an earlier one comes any more. At most
 * WIRE_WINDOW may be unanswered, so that neither side can block the other one with a full socket.
 */
#define WIRE_WINDOW 16
enum wire_sent {
    WIRE_DOWN = 1, /* no master: try again later */
    WIRE_AWAITED,  /* sent; an answer comes */
    WIRE_DONE,     /* sent to the trap sinks; no answer comes */
};
/* wire_send(variables, tag): `variables` stay the caller's. */
enum wire_sent wire_send(struct variable_list *variables, uint64_t tag);
enum wire_sent uplink_send(struct variable_list *variables, uint64_t tag);
enum wire_sent standalone_send(struct variable_list *variables);
void notify_answered(uint64_t tag);
void notify_lost(void);
/*
 * notify_connected(ledger): a master is there, or there again. With agent.resend_alarms each alarm that is raised, and of
 * which nothing waits, is sent again with its id and its sequence, before all that waits and in the order of sequences.
 */
void notify_connected(const struct ledger *ledger);
/* notify_due(): when notify_step next has something to do; INT64_MAX: not before an answer or a new one. */
int64_t notify_due(void);

#endif
