/*
 * The link up to snmpd: AgentX (RFC 2741) by Net-SNMP's subagent library, but with when and how often decided here.
 *
 * The library's own reconnecting is switched off (ping interval 0), for three reasons. A failed Register goes unnoticed
 * there and our objects stay dead until the next reconnect; here it ends the link, which is then opened again. Its
 * timer is armed once more by each attempt that the other side cuts off, so that attempts double each time. And it
 * waits a whole ping interval before it tries; here the first attempts follow each other quickly.
 *
 * What the library does with snmpd at once (Open, Register, Ping, Close) it waits for within the call:
 * EXCHANGE_TIMEOUT, no second try, so that a master that accepts and says nothing holds the main thread for a fraction
 * of a second, once every agent.reconnect seconds. Giving up a link does not ask the master: its socket is shut down
 * and the library tidies up when it reads the end.
 *
 * Get and GetNext are answered from our tables without the library's agent (on_packet).
 *
 * states: down (attempt_due) -> open and registered (ping_due) -> broken: shut down, not yet tidied up -> down
 */

#include <net-snmp/net-snmp-config.h>
#include <net-snmp/net-snmp-includes.h>
#include <net-snmp/agent/net-snmp-agent-includes.h>
#include <net-snmp/agent/agent_callbacks.h>
#include <net-snmp/agent/var_struct.h>

#include <fcntl.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "report/wire.h"

#define EXCHANGE_TIMEOUT 250000 /* microseconds */
#define SEND_TIMEOUT     250000 /* of a write to a socket that is full */
#define FIRST_DELAY      (CLOCK_SECOND / 4)
#define ANSWER_SECONDS   60 /* a Notify that is not answered within is lost with its link */
#define AGENTX_CLOSE     2  /* RFC 2741, 6.1 */
#define AGENTX_GET       5
#define AGENTX_GET_NEXT  6
#define AGENTX_NOTIFY    12
#define AGENTX_RESPONSE  18
#define AGENTX_CONTEXT   0x08 /* flags of the header: NON_DEFAULT_CONTEXT */
#define AGENTX_ORDER     0x10 /* NETWORK_BYTE_ORDER */
#define AGENTX_VERSION_1 0xc1 /* how the library tells AgentX from the versions of SNMP */

/* Exported by libnetsnmpagent without a public prototype. */
int subagent_open_master_session(void);
int agentx_register(netsnmp_session *session, oid *start, size_t length, int priority, int range_subid,
                    oid range_ubound, int timeout, u_char flags, const char *context);
int agentx_unregister(netsnmp_session *session, oid *start, size_t length, int priority, int range_subid,
                      oid range_ubound, const char *context);
int agentx_send_ping(netsnmp_session *session);

static netsnmp_session *link_session;   /* NULL: down */
static netsnmp_callback library_packet; /* what the library does with a packet */
static bool registered;
static int64_t reconnect, delay, attempt_due, ping_due;
static bool told_down;
static uint64_t generation; /* of the link: answers to what an earlier one sent do not count */

static int link_socket(void)
{
    netsnmp_transport *transport = snmp_sess_transport(snmp_sess_pointer(link_session));
    return transport ? transport->sock : -1;
}

static void give_up(const char *why)
{
    log_warning("snmp", "the link to snmpd is given up: %s", why);
    registered = false;
    int descriptor = link_socket();
    if (descriptor >= 0)
        shutdown(descriptor, SHUT_RDWR);
}

static int on_session(int major, int minor, void *argument, void *context)
{
    (void)major, (void)minor, (void)context;
    netsnmp_session *session = argument;
    if (session->version == AGENTX_VERSION_1) {
        session->timeout = EXCHANGE_TIMEOUT;
        session->retries = 0;
    }
    return SNMP_ERR_NOERROR;
}

/*
 * Gets and GetNexts are answered here and now. The library would carry each through an agent of its own behind a pair
 * of pipes: three turns of the loop and seven more system calls a varbind, and snmpd asks for one varbind at a time.
 */
static int on_packet(int operation, netsnmp_session *session, int request, netsnmp_pdu *pdu, void *context)
{
    bool known = operation == NETSNMP_CALLBACK_OP_RECEIVED_MESSAGE && session == link_session && registered && pdu;
    if (known && pdu->command == AGENTX_CLOSE) { /* nothing in the library looks at that */
        give_up("it has closed the session");
        return 1;
    }
    bool ours =
        known && (pdu->command == AGENTX_GET || pdu->command == AGENTX_GET_NEXT) && !(pdu->flags & AGENTX_CONTEXT);
    netsnmp_pdu *response = ours ? snmp_pdu_create(AGENTX_RESPONSE) : NULL;
    if (!response)
        return library_packet(operation, session, request, pdu, context);
    response->version = pdu->version;
    response->flags = pdu->flags & AGENTX_ORDER;
    response->sessid = pdu->sessid;
    response->transid = pdu->transid;
    response->reqid = pdu->reqid;
    response->msgid = pdu->msgid;
    response->errstat = SNMP_ERR_NOERROR;
    response->errindex = 0;
    response->variables = pdu->variables;
    pdu->variables = NULL;
    frontend_answer(response->variables, pdu->command == AGENTX_GET_NEXT);
    if (!snmp_send(session, response))
        snmp_free_pdu(response);
    return 1;
}

static int on_open(int major, int minor, void *argument, void *context)
{
    (void)major, (void)minor, (void)context;
    link_session = argument;
    library_packet = link_session->callback;
    link_session->callback = on_packet;
    generation++;
    const struct timeval patience = {.tv_usec = SEND_TIMEOUT};
    int descriptor = link_socket();
    if (descriptor >= 0) {
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        fcntl(descriptor, F_SETFD, FD_CLOEXEC);
    }
    return SNMP_ERR_NOERROR;
}

/* When the library has read the end of the link; also when that comes in the middle of an Open, which was no link yet.
 */
static int on_down(int major, int minor, void *argument, void *context)
{
    (void)major, (void)minor, (void)argument, (void)context;
    if (!link_session)
        return SNMP_ERR_NOERROR;
    link_session = NULL;
    registered = false;
    delay = FIRST_DELAY;
    attempt_due = clock_run() + delay;
    log_warning("snmp", "the link to snmpd is down; it is tried again");
    told_down = true;
    notify_lost();
    return SNMP_ERR_NOERROR;
}

static void register_objects(void)
{
    size_t length;
    oid *root = (oid *)(uintptr_t)frontend_oid(&length);
    if (!agentx_register(link_session, root, length, DEFAULT_MIB_PRIORITY, 0, 0, -1, 0, NULL)) {
        if (link_session)
            give_up(
                "it did not take our registration; another instance may hold it, or the old link is not yet closed");
        return;
    }
    registered = true;
    delay = FIRST_DELAY;
    frontend_uptime();
    ping_due = clock_run() + reconnect;
    log_notice("snmp", "snmpd serves our objects");
    told_down = false;
}

static void attempt(void)
{
    if (!link_session && subagent_open_master_session() != 0) {
        if (!told_down)
            log_warning("snmp",
                        "no SNMP master at %s; it is tried again. Check that snmpd runs with \"master agentx\" "
                        "and that this user may use its socket",
                        netsnmp_ds_get_string(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_X_SOCKET));
        told_down = true;
        delay = delay * 2 < reconnect ? delay * 2 : reconnect;
    }
    if (link_session && !registered)
        register_objects();
    attempt_due = clock_run() + delay;
}

void uplink_step(int64_t now)
{
    if (registered) {
        if (now < ping_due)
            return;
        if (!agentx_send_ping(link_session) && link_session)
            give_up("it does not answer");
        ping_due = clock_run() + reconnect;
    } else if (now >= attempt_due && !link_session) {
        int64_t started = clock_run();
        attempt();
        /* one that says nothing is asked seldom: each time costs an exchange's patience */
        if (!registered && clock_run() - started >= EXCHANGE_TIMEOUT)
            attempt_due = clock_run() + reconnect;
    }
}

int64_t uplink_due(void)
{
    return registered ? ping_due : link_session ? INT64_MAX : attempt_due;
}

bool uplink_connected(void)
{
    return registered;
}

void uplink_start(void)
{
    if (link_session)
        register_objects();
    attempt_due = clock_run();
}

bool uplink_open(const struct conf_agent *agent)
{
    reconnect = (int64_t)(agent->reconnect ? agent->reconnect : 1) * CLOCK_SECOND;
    delay = FIRST_DELAY;
    told_down = false;
    netsnmp_enable_subagent();
    /* no files of the library: what it has to know is in our configuration */
    netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DONT_PERSIST_STATE, 1);
    netsnmp_ds_set_boolean(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_NO_CONNECTION_WARNINGS, 1);
    if (agent->agentx_socket[0])
        netsnmp_ds_set_string(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_X_SOCKET, agent->agentx_socket);
    snmp_register_callback(SNMP_CALLBACK_LIBRARY, SNMP_CALLBACK_SESSION_INIT, on_session, NULL);
    snmp_register_callback(SNMP_CALLBACK_APPLICATION, SNMPD_CALLBACK_INDEX_START, on_open, NULL);
    snmp_register_callback(SNMP_CALLBACK_APPLICATION, SNMPD_CALLBACK_INDEX_STOP, on_down, NULL);
    if (init_agent(WIRE_NAME) != 0)
        return false;
    netsnmp_ds_set_int(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_AGENTX_PING_INTERVAL, 0);
    return true;
}

void uplink_close(void)
{
    if (link_session && registered) {
        size_t length;
        oid *root = (oid *)(uintptr_t)frontend_oid(&length);
        agentx_unregister(link_session, root, length, DEFAULT_MIB_PRIORITY, 0, 0, NULL);
    }
    snmp_unregister_callback(SNMP_CALLBACK_APPLICATION, SNMPD_CALLBACK_INDEX_STOP, on_down, NULL, 1);
    snmp_unregister_callback(SNMP_CALLBACK_APPLICATION, SNMPD_CALLBACK_INDEX_START, on_open, NULL, 1);
    generation++;
    link_session = NULL;
    registered = false;
}

/* What is to be known when the answer to a Notify comes. */
struct awaited {
    uint64_t generation, tag;
};

static int on_answer(int operation, netsnmp_session *session, int request, netsnmp_pdu *pdu, void *context)
{
    (void)session, (void)request;
    if (operation == NETSNMP_CALLBACK_OP_RESEND)
        return 1;
    struct awaited *awaited = context;
    bool current = awaited->generation == generation && link_session;
    uint64_t tag = awaited->tag;
    free(awaited);
    if (!current)
        return 1;
    if (operation == NETSNMP_CALLBACK_OP_RECEIVED_MESSAGE) {
        if (pdu->errstat)
            log_warning("snmp", "snmpd refused a notification: AgentX error %ld", pdu->errstat);
        notify_answered(tag);
    } else {
        give_up("it does not answer a notification");
    }
    return 1;
}

enum wire_sent uplink_send(struct variable_list *variables, uint64_t tag)
{
    if (!registered)
        return WIRE_DOWN;
    netsnmp_pdu *pdu = snmp_pdu_create(AGENTX_NOTIFY);
    struct awaited *awaited = malloc(sizeof *awaited);
    if (!pdu || !awaited)
        abort();
    *awaited = (struct awaited){generation, tag};
    pdu->version = link_session->version;
    pdu->sessid = link_session->sessid;
    pdu->flags |= UCD_MSG_FLAG_PDU_TIMEOUT;
    pdu->time = ANSWER_SECONDS;
    pdu->variables = snmp_clone_varbind(variables);
    if (snmp_async_send(link_session, pdu, on_answer, awaited))
        return WIRE_AWAITED;
    /* on_answer has seen the failure, freed `awaited` and given up the link */
    snmp_free_pdu(pdu);
    return WIRE_DOWN;
}
