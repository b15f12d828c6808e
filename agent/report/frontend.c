/*
 * One handler for all of FEDWARDEN-MIB, registered once: GET, GETNEXT and GETBULK are answered from the tables.
 *
 * The agent library looks at the view of the varbinds of one step only. A handler that fills a whole GETBULK at once
 * would show what access control excludes, so that is done only where the view allows the whole module; elsewhere each
 * step is answered singly and goes through the library's check. The same holds where somebody registered something
 * below our root: the library then asks with an end that lies within it.
 *
 * What snmpd asks over AgentX goes past the handler (frontend_answer): the views are snmpd's matter there.
 */

#include <net-snmp/net-snmp-config.h>
#include <net-snmp/net-snmp-includes.h>
#include <net-snmp/agent/net-snmp-agent-includes.h>
#include <net-snmp/agent/bulk_to_next.h>

#include "base/clock.h"
#include "report/mib.h"
#include "report/wire.h"

#define ROOT_MAX 64

static oid root[ROOT_MAX];
static size_t root_length;
static struct table_set tables;
static const struct ledger *served_ledger;
static const struct session_status *served_status;
static int64_t uptime_zero;
static netsnmp_handler_registration *registration;

const unsigned long *frontend_oid(size_t *length)
{
    *length = root_length;
    return root;
}

void frontend_uptime(void)
{
    uptime_zero = clock_run() - (int64_t)netsnmp_get_agent_uptime() * (CLOCK_SECOND / 100);
}

static struct moment moment_now(void)
{
    return (struct moment){.ledger = served_ledger,
                           .status = served_status,
                           .wall = clock_wall(),
                           .run = clock_run(),
                           .uptime_zero = uptime_zero,
                           .notifications = notify_counts()};
}

static void put_value(netsnmp_variable_list *variable, const struct value *value)
{
    switch (value->type) {
    case VALUE_INTEGER:
        snmp_set_var_typed_integer(variable, ASN_INTEGER, value->integer);
        break;
    case VALUE_UNSIGNED:
        snmp_set_var_typed_integer(variable, ASN_GAUGE, (long)value->number);
        break;
    case VALUE_TIMETICKS:
        snmp_set_var_typed_integer(variable, ASN_TIMETICKS, (long)value->number);
        break;
    case VALUE_COUNTER64: {
        struct counter64 counter = {.high = (u_long)(value->counter64 >> 32),
                                    .low = (u_long)(uint32_t)value->counter64};
        snmp_set_var_typed_value(variable, ASN_COUNTER64, &counter, sizeof counter);
        break;
    }
    case VALUE_OCTETS:
        snmp_set_var_typed_value(variable, ASN_OCTET_STR, value->octets.data, value->octets.length);
        break;
    case VALUE_OID: {
        oid name[VALUE_OID_MAX];
        for (size_t i = 0; i < value->oid_length; i++)
            name[i] = value->oid[i];
        snmp_set_var_typed_value(variable, ASN_OBJECT_ID, name, value->oid_length * sizeof name[0]);
        break;
    }
    }
}

/* Writes the whole name of an instance to ROOT_MAX + TABLE_NAME_MAX sub-identifiers; returns how many. */
static size_t whole_name(const struct position *position, oid *whole)
{
    uint32_t name[TABLE_NAME_MAX];
    size_t length = table_name(&tables, position, name);
    memcpy(whole, root, root_length * sizeof root[0]);
    for (size_t i = 0; i < length; i++)
        whole[root_length + i] = name[i];
    return root_length + length;
}

static void put_position(netsnmp_variable_list *variable, const struct moment *moment, const struct position *position)
{
    oid whole[ROOT_MAX + TABLE_NAME_MAX];
    snmp_set_var_objid(variable, whole, whole_name(position, whole));
    struct value value;
    table_value(&tables, moment, position, &value);
    put_value(variable, &value);
}

/* What follows our root in a name; false when the name lies behind all of ours. A name before ours has no rest. */
static bool rest_of(const netsnmp_variable_list *variable, uint32_t *rest, size_t *length)
{
    *length = 0;
    size_t common = variable->name_length < root_length ? variable->name_length : root_length;
    for (size_t i = 0; i < common; i++)
        if (variable->name[i] != root[i])
            return variable->name[i] < root[i];
    for (size_t i = common; i < variable->name_length && *length <= TABLE_NAME_MAX; i++)
        rest[(*length)++] = variable->name[i] > UINT32_MAX ? UINT32_MAX : (uint32_t)variable->name[i];
    return true;
}

static enum table_found find_instance(const netsnmp_variable_list *variable, const struct moment *moment,
                                      struct position *position)
{
    uint32_t rest[TABLE_NAME_MAX + 1];
    size_t length;
    return rest_of(variable, rest, &length) ? table_get(&tables, moment, rest, length, position) : TABLE_NO_OBJECT;
}

static void answer_get(netsnmp_agent_request_info *info, netsnmp_request_info *request, const struct moment *moment)
{
    struct position position;
    enum table_found found = find_instance(request->requestvb, moment, &position);
    if (found == TABLE_NO_OBJECT) {
        netsnmp_set_request_error(info, request, SNMP_NOSUCHOBJECT);
        return;
    }
    if (found == TABLE_NO_INSTANCE) {
        netsnmp_set_request_error(info, request, SNMP_NOSUCHINSTANCE);
        return;
    }
    struct value value;
    table_value(&tables, moment, &position, &value);
    put_value(request->requestvb, &value);
}

static bool answer_next(netsnmp_request_info *request, const struct moment *moment, struct position *position)
{
    uint32_t rest[TABLE_NAME_MAX + 1];
    size_t length;
    if (!rest_of(request->requestvb, rest, &length) || !table_next(&tables, moment, rest, length, position))
        return false;
    put_position(request->requestvb, moment, position);
    return true;
}

/* Moves on to the next varbind of a repetition, which is to be answered from behind the one before. */
static void leave_to_library(netsnmp_request_info *request)
{
    netsnmp_variable_list *variable = request->requestvb, *next = variable->next_variable;
    request->repeat--;
    snmp_set_var_objid(next, variable->name, variable->name_length);
    next->type = ASN_PRIV_RETRY;
    request->requestvb = next;
    request->inclusive = 0;
}

static void answer_bulk(netsnmp_request_info *request, const struct moment *moment, bool whole)
{
    struct position position;
    if (!answer_next(request, moment, &position))
        return;
    /* the end of what this request may be answered with lies behind our last instance, unless somebody is below us */
    bool alone = snmp_oid_compare(request->range_end, request->range_end_len, root, root_length) > 0 &&
                 netsnmp_oid_is_subtree(root, root_length, request->range_end, request->range_end_len) != 0;
    if (!whole || !alone) {
        netsnmp_request_info *others = request->next;
        request->next = NULL;
        netsnmp_bulk_to_next_fix_requests(request);
        request->next = others;
        return;
    }
    while (request->repeat > 0 && request->requestvb->next_variable) {
        if (!table_step(&tables, moment, &position)) {
            leave_to_library(request);
            return;
        }
        request->repeat--;
        request->requestvb = request->requestvb->next_variable;
        put_position(request->requestvb, moment, &position);
    }
}

/* The end of a search range; a null one is none. */
static bool has_end(const oid *end, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (end[i])
            return true;
    return false;
}

static bool find_in_range(const netsnmp_variable_list *variable, const struct moment *moment, struct position *position)
{
    uint32_t rest[TABLE_NAME_MAX + 1];
    size_t length;
    if (!rest_of(variable, rest, &length))
        return false;
    if (variable->type == ASN_PRIV_INCL_RANGE && table_get(&tables, moment, rest, length, position) == TABLE_FOUND)
        return true;
    return table_next(&tables, moment, rest, length, position);
}

static void answer_range(netsnmp_variable_list *variable, const struct moment *moment)
{
    oid end[MAX_OID_LEN];
    size_t length = variable->val_len / sizeof end[0];
    struct position position;
    bool ranged = variable->type == ASN_PRIV_INCL_RANGE || variable->type == ASN_PRIV_EXCL_RANGE;
    if (!ranged || length > MAX_OID_LEN)
        length = 0;
    memcpy(end, variable->val.objid, length * sizeof end[0]);
    if (find_in_range(variable, moment, &position)) {
        oid name[ROOT_MAX + TABLE_NAME_MAX];
        size_t name_length = whole_name(&position, name);
        if (!has_end(end, length) || snmp_oid_compare(name, name_length, end, length) < 0) {
            put_position(variable, moment, &position);
            return;
        }
    }
    snmp_set_var_typed_value(variable, SNMP_ENDOFMIBVIEW, NULL, 0);
}

void frontend_answer(struct variable_list *variables, bool next)
{
    struct moment moment = moment_now();
    for (netsnmp_variable_list *variable = variables; variable; variable = variable->next_variable) {
        struct position position;
        enum table_found found;
        if (next) {
            answer_range(variable, &moment);
        } else if ((found = find_instance(variable, &moment, &position)) == TABLE_FOUND) {
            struct value value;
            table_value(&tables, &moment, &position, &value);
            put_value(variable, &value);
        } else {
            snmp_set_var_typed_value(variable, found == TABLE_NO_OBJECT ? SNMP_NOSUCHOBJECT : SNMP_NOSUCHINSTANCE, NULL,
                                     0);
        }
    }
}

static int answer(netsnmp_mib_handler *handler, netsnmp_handler_registration *asked, netsnmp_agent_request_info *info,
                  netsnmp_request_info *requests)
{
    (void)handler;
    (void)asked;
    struct moment moment = moment_now();
    bool whole =
        info->mode == MODE_GETBULK && netsnmp_acm_check_subtree(info->asp->pdu, root, root_length) == VACM_SUCCESS;
    for (netsnmp_request_info *request = requests; request; request = request->next) {
        struct position position;
        if (request->processed)
            continue;
        switch (info->mode) {
        case MODE_GET:
            answer_get(info, request, &moment);
            break;
        case MODE_GETNEXT:
            answer_next(request, &moment, &position);
            break;
        case MODE_GETBULK:
            answer_bulk(request, &moment, whole);
            break;
        default:
            netsnmp_set_request_error(info, request, SNMP_ERR_NOTWRITABLE);
        }
    }
    return SNMP_ERR_NOERROR;
}

bool frontend_open(const struct ledger *ledger, const struct session_status *status)
{
    served_ledger = ledger;
    served_status = status;
    mib_tables(&tables);
    root_length = 0;
    for (size_t i = 0; i < mib_root_length; i++)
        root[root_length++] = mib_root[i];
    root[root_length++] = MIB_OBJECTS;
    frontend_uptime();
    registration = netsnmp_create_handler_registration("fedwarden", answer, root, root_length,
                                                       HANDLER_CAN_RONLY | HANDLER_CAN_GETBULK);
    return registration && netsnmp_register_handler(registration) == MIB_REGISTERED_OK;
}

void frontend_close(void)
{
    served_ledger = NULL;
    served_status = NULL;
    registration = NULL;
}
