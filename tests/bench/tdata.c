/*
 * What our tables are measured against: a table of 20 columns as Net-SNMP's own table_tdata helper serves it, of the
 * same kinds of values (8 Integer32, 8 Counter64, 4 strings).
 *
 *   tests/bench/tdata subagent SOCKET ROWS
 *   tests/bench/tdata standalone ADDRESS ROWS       (reads ./tdata.conf for rocommunity)
 *
 * The table is 1.3.6.1.4.1.8072.9999.9999.77, columns 2 to 21. Ends on SIGTERM.
 */
#include <net-snmp/net-snmp-config.h>
#include <net-snmp/net-snmp-includes.h>
#include <net-snmp/agent/net-snmp-agent-includes.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMN_FIRST 2
#define COLUMN_LAST  21

void init_vacm_vars(void); /* exported by libnetsnmpmibs */

static oid table_oid[] = {1, 3, 6, 1, 4, 1, 8072, 9999, 9999, 77};
static volatile sig_atomic_t ending;

struct row {
    u_long index;
    long integers[8];
    struct counter64 counters[8];
    char texts[4][32];
};

static void on_end(int number)
{
    (void)number;
    ending = 1;
}

static void put_column(netsnmp_variable_list *variable, const struct row *row, unsigned column)
{
    unsigned at = column - COLUMN_FIRST;
    if (at < 8)
        snmp_set_var_typed_integer(variable, ASN_INTEGER, row->integers[at]);
    else if (at < 16)
        snmp_set_var_typed_value(variable, ASN_COUNTER64, &row->counters[at - 8], sizeof row->counters[0]);
    else
        snmp_set_var_typed_value(variable, ASN_OCTET_STR, row->texts[at - 16], strlen(row->texts[at - 16]));
}

static int answer(netsnmp_mib_handler *handler, netsnmp_handler_registration *registration,
                  netsnmp_agent_request_info *info, netsnmp_request_info *requests)
{
    (void)handler, (void)registration;
    for (netsnmp_request_info *request = requests; request; request = request->next) {
        if (request->processed)
            continue;
        const struct row *row = netsnmp_tdata_extract_entry(request);
        netsnmp_table_request_info *asked = netsnmp_extract_table_info(request);
        if (row)
            put_column(request->requestvb, row, asked->colnum);
        else
            netsnmp_set_request_error(info, request, SNMP_NOSUCHINSTANCE);
    }
    return SNMP_ERR_NOERROR;
}

static void fill(netsnmp_tdata *table, unsigned long count)
{
    for (unsigned long i = 1; i <= count; i++) {
        struct row *row = calloc(1, sizeof *row);
        netsnmp_tdata_row *entry = netsnmp_tdata_create_row();
        if (!row || !entry)
            abort();
        row->index = i;
        for (unsigned k = 0; k < 8; k++) {
            row->integers[k] = (long)(i + k);
            row->counters[k] = (struct counter64){.high = k, .low = i};
        }
        for (unsigned k = 0; k < 4; k++)
            snprintf(row->texts[k], sizeof row->texts[k], "text %u of row %lu", k, i);
        entry->data = row;
        netsnmp_tdata_row_add_index(entry, ASN_UNSIGNED, &row->index, sizeof row->index);
        netsnmp_tdata_add_row(table, entry);
    }
}

static void serve_table(unsigned long count)
{
    netsnmp_tdata *table = netsnmp_tdata_create_table("reference", 0);
    netsnmp_table_registration_info *shape = SNMP_MALLOC_TYPEDEF(netsnmp_table_registration_info);
    netsnmp_table_helper_add_indexes(shape, ASN_UNSIGNED, 0);
    shape->min_column = COLUMN_FIRST;
    shape->max_column = COLUMN_LAST;
    netsnmp_handler_registration *registration =
        netsnmp_create_handler_registration("reference", answer, table_oid, OID_LENGTH(table_oid), HANDLER_CAN_RONLY);
    netsnmp_tdata_register(registration, table, shape);
    fill(table, count);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fputs("usage: tdata subagent|standalone ADDRESS ROWS\n", stderr);
        return 2;
    }
    int subagent = strcmp(argv[1], "subagent") == 0;
    signal(SIGTERM, on_end);
    setenv("MIBS", "", 1);
    snmp_enable_stderrlog();
    netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DISABLE_PERSISTENT_SAVE, 1);
    netsnmp_ds_set_boolean(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_DONT_LOG_TCPWRAPPERS_CONNECTS, 1);
    set_configuration_directory(".");
    if (subagent) {
        netsnmp_enable_subagent();
        netsnmp_ds_set_string(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_X_SOCKET, argv[2]);
    }
    init_agent("tdata");
    serve_table(strtoul(argv[3], NULL, 10));
    if (!subagent)
        init_vacm_vars();
    init_snmp("tdata");
    netsnmp_set_lookup_cache_size(-1);
    /* not init_master_agent: it would listen on the port of SMUX too */
    if (!subagent && netsnmp_register_agent_nsap(netsnmp_transport_open_server("snmp", argv[2])) < 0)
        return 1;
    while (!ending)
        agent_check_and_process(1);
    snmp_shutdown("tdata");
    return 0;
}
