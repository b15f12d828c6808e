/*
 * A master agent of our own: the library listens, checks communities, users and views, and sends to trap sinks, all by
 * the lines of access_file, which is written as snmpd.conf is. Only what a manager expects of every agent is served
 * beside our module: the groups of SNMPv2-MIB and of the SNMPv3 modules, not the host's MIBs.
 *
 * Packets come in by a session of our own instead of the library's: its one looks into hosts.allow and hosts.deny and
 * logs a line for each packet. Who may ask is the matter of access_file.
 */

#include <net-snmp/net-snmp-config.h>
#include <net-snmp/net-snmp-includes.h>
#include <net-snmp/agent/net-snmp-agent-includes.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "report/wire.h"

/* Exported by libnetsnmpmibs and libnetsnmpagent, some without a public prototype. */
void init_system_mib(void);
void init_sysORTable(void);
void init_snmp_mib(void);
void init_snmpEngine(void);
void init_usmStats(void);
void init_usmUser(void);
void init_vacm_vars(void);
void init_setSerialNo(void);

bool standalone_open(const struct conf_agent *agent)
{
    if (agent->access_file[0] && access(agent->access_file, R_OK) < 0) {
        log_error("snmp", "agent.access_file %s: %s; without it nobody may ask. Create it or make it readable",
                  agent->access_file, strerror(errno));
        return false;
    }
    if (!agent->access_file[0])
        log_warning("snmp", "agent.access_file is not set: nobody may ask this agent, and no notification is sent");
    /* only what we name is read, and the library's own state */
    unsetenv("SNMPCONFPATH");
    set_configuration_directory("/nonexistent");
    if (agent->access_file[0])
        netsnmp_ds_set_string(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_OPTIONALCONFIG, agent->access_file);
    netsnmp_ds_set_boolean(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_ROLE, 0);
    if (init_agent(WIRE_NAME) != 0) {
        log_error("snmp", "the SNMP library does not start as an agent");
        return false;
    }
    init_system_mib();
    init_sysORTable();
    init_snmp_mib();
    init_snmpEngine();
    init_usmStats();
    init_usmUser();
    init_vacm_vars();
    init_setSerialNo();
    return true;
}

static int count_packet(netsnmp_session *session, netsnmp_transport *transport, void *peer, int peer_length)
{
    (void)session, (void)transport, (void)peer, (void)peer_length;
    snmp_increment_statistic(STAT_SNMPINPKTS);
    return 1;
}

static bool listen_on(const char *address)
{
    netsnmp_session session;
    netsnmp_transport *transport = netsnmp_transport_open_server("snmp", address);
    if (!transport) {
        log_error("snmp", "cannot listen on %s%s%s; check agent.listen, and whether another agent has that port",
                  address, errno ? ": " : "", errno ? strerror(errno) : "");
        return false;
    }
    snmp_sess_init(&session);
    session.version = SNMP_DEFAULT_VERSION;
    session.callback = handle_snmp_packet;
    session.flags = (u_long)netsnmp_ds_get_int(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_FLAGS);
    session.isAuthoritative = SNMP_SESS_AUTHORITATIVE;
    if (!snmp_add(&session, transport, count_packet, NULL)) {
        log_error("snmp", "cannot serve %s", address);
        return false;
    }
    log_notice("snmp", "serving on %s", address);
    return true;
}

bool standalone_start(const struct conf_agent *agent)
{
    if (wire_log_complaints() > 0) {
        log_error("snmp", "agent.access_file %s has errors; not starting", agent->access_file);
        return false;
    }
    /* What init_master_agent does, but without its ports: among them it opens that of SMUX, which nobody asked for. */
    netsnmp_set_lookup_cache_size(-1);
    char address[256];
    bool any = false;
    for (const char *at = agent->listen; *at;) {
        size_t length = strcspn(at, ",");
        size_t blank = strspn(at, " ");
        if (length > blank && length - blank < sizeof address) {
            memcpy(address, at + blank, length - blank);
            address[length - blank] = '\0';
            if (!listen_on(address))
                return false;
            any = true;
        }
        at += length + (at[length] == ',');
    }
    if (!any) {
        log_error("snmp", "agent.listen names no address; write for example \"udp:127.0.0.1:16161\"");
        return false;
    }
    /* at once, so that engine boots rise even after a crash */
    snmp_store(WIRE_NAME);
    return true;
}

enum wire_sent standalone_send(struct variable_list *variables)
{
    send_v2trap(variables);
    return WIRE_DONE;
}
