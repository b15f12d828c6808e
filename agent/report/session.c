/*
 * The loop of the main thread: one poll over the library's descriptors and ours. The library says anew before each turn
 * which descriptors it has, since it closes and opens them by itself, and when its next timer is due; the earliest of
 * that, of the ticks, of the link and of the notifications ends the wait. Roles differ in how the library is opened
 * only; without one (AGENT_NONE) the library is never touched.
 */

#include <net-snmp/net-snmp-config.h>
#include <net-snmp/net-snmp-includes.h>
#include <net-snmp/agent/net-snmp-agent-includes.h>
#include <net-snmp/library/large_fd_set.h>

#include "report/session.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "report/notify.h"
#include "report/wire.h"

#define WATCHES        32
#define TICKS          8
#define TIMEOUTS_EVERY (CLOCK_SECOND / 20)
#define POLLED         256 /* descriptors of one turn; the library has a handful */

struct watch {
    int descriptor; /* -1: free */
    void (*ready)(int descriptor, void *context);
    void *context;
};

struct tick {
    int64_t interval, due;
    void (*tick)(void *context);
    void *context;
};

static enum agent_mode mode = AGENT_NONE;
static bool opened;
static const struct ledger *served;
static bool connected_before; /* at the end of the last turn */
static struct watch watches[WATCHES];
static size_t watch_count;
static struct tick ticks[TICKS];
static size_t tick_count;
static netsnmp_large_fd_set library_set;

static unsigned complaints;

static int on_library_log(int major, int minor, void *argument, void *context)
{
    (void)major, (void)minor, (void)context;
    const struct snmp_log_message *message = argument;
    if (!message || !message->msg)
        return SNMP_ERR_NOERROR;
    int length = (int)strlen(message->msg);
    while (length && message->msg[length - 1] == '\n')
        length--;
    if (!length)
        return SNMP_ERR_NOERROR;
    /* "FILE: line N: Error: ..." and "FILE: line N: Warning: Unknown token: ..." */
    if (strstr(message->msg, ": line ") && (strstr(message->msg, "Error:") || strstr(message->msg, "Unknown token")))
        complaints++;
    if (message->priority <= LOG_ERR)
        log_error("snmp", "%.*s", length, message->msg);
    else if (message->priority == LOG_WARNING)
        log_warning("snmp", "%.*s", length, message->msg);
    else
        log_debug("snmp", "%.*s", length, message->msg);
    return SNMP_ERR_NOERROR;
}

void wire_log_open(void)
{
    complaints = 0;
    snmp_disable_log();
    snmp_enable_calllog();
    snmp_register_callback(SNMP_CALLBACK_LIBRARY, SNMP_CALLBACK_LOGGING, on_library_log, NULL);
}

unsigned wire_log_complaints(void)
{
    return complaints;
}

/* The library would make the folders of a path that does not begin with "/" below "/". */
static bool absolute_path(const char *path, char out[PATH_MAX])
{
    char here[PATH_MAX];
    if (*path == '/')
        return text_copy(out, PATH_MAX, path) == strlen(path);
    size_t length = strlen(path);
    if (!getcwd(here, sizeof here))
        return false;
    return text_format(out, PATH_MAX, "%s/%s", here, path) == strlen(here) + 1 + length;
}

void wire_state(const struct conf_agent *agent)
{
    char path[PATH_MAX];
    const char *wanted = getenv("SNMP_PERSISTENT_DIR");
    if (!wanted || !*wanted)
        wanted = agent->state_dir;
    if (!*wanted)
        return;
    errno = ENAMETOOLONG;
    bool whole = absolute_path(wanted, path);
    set_persistent_directory(whole ? path : wanted); /* in any case: there is a default, snmpd's own */
    if (agent->mode == AGENT_SUBAGENT)
        return;
    if (whole && mkdirhier(path, 0700, 0) == 0 && access(path, R_OK | W_OK | X_OK) == 0)
        return;
    /* everything else works: managers see another SNMPv3 engine after each start */
    log_error("snmp",
              "agent.state_dir %s cannot be written: %s; the SNMPv3 engine is not kept over a restart. Create it, mode "
              "0700, for the user that fedwarden runs as",
              wanted, strerror(errno));
    netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DONT_PERSIST_STATE, 1);
}

enum wire_sent wire_send(struct variable_list *variables, uint64_t tag)
{
    if (!opened || mode == AGENT_NONE)
        return WIRE_DOWN;
    return mode == AGENT_SUBAGENT ? uplink_send(variables, tag) : standalone_send(variables);
}

static void prepare_library(void)
{
    signal(SIGPIPE, SIG_IGN);
    /* names are not needed, and looking through modules takes time */
    setenv("MIBS", "", 1);
    setenv("MIBDIRS", "/nonexistent", 1);
    wire_log_open();
    netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_ALARM_DONT_USE_SIG, 1);
}

static bool open_library(const struct conf *conf, const struct ledger *ledger, const struct session_status *status)
{
    const struct conf_agent *agent = &conf->agent;
    bool subagent = agent->mode == AGENT_SUBAGENT;
    prepare_library();
    wire_state(agent);
    if (!(subagent ? uplink_open(agent) : standalone_open(agent)))
        return false;
    if (!frontend_open(ledger, status)) {
        log_error("snmp", "the SNMP library does not take our objects");
        return false;
    }
    init_snmp(WIRE_NAME);
    netsnmp_large_fd_set_init(&library_set, FD_SETSIZE);
    if (subagent)
        uplink_start();
    else if (!standalone_start(agent))
        return false;
    frontend_uptime();
    return true;
}

/* The library reads the file as the daemon would have it do, opens no port and keeps nothing. */
bool session_check(const struct conf_agent *agent)
{
    if (agent->mode != AGENT_STANDALONE)
        return true;
    prepare_library();
    set_persistent_directory("/nonexistent");
    netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DONT_PERSIST_STATE, 1);
    if (!standalone_open(agent))
        return false;
    init_snmp(WIRE_NAME);
    return wire_log_complaints() == 0;
}

bool session_open(const struct conf *conf, const struct ledger *ledger, const struct session_status *status)
{
    mode = conf->agent.mode;
    if (mode != AGENT_NONE && !open_library(conf, ledger, status))
        return false;
    served = ledger;
    opened = true;
    return true;
}

void session_close(void)
{
    if (opened && mode != AGENT_NONE) {
        if (mode == AGENT_SUBAGENT)
            uplink_close();
        snmp_shutdown(WIRE_NAME);
        shutdown_agent();
        frontend_close();
        netsnmp_large_fd_set_cleanup(&library_set);
        snmp_unregister_callback(SNMP_CALLBACK_LIBRARY, SNMP_CALLBACK_LOGGING, on_library_log, NULL, 1);
    }
    opened = connected_before = false;
    watch_count = tick_count = 0;
}

void session_watch(int descriptor, void (*ready)(int descriptor, void *context), void *context)
{
    if (watch_count == WATCHES) {
        log_error("session", "more than %d descriptors are watched", WATCHES);
        abort();
    }
    watches[watch_count++] = (struct watch){descriptor, ready, context};
}

void session_unwatch(int descriptor)
{
    for (size_t i = 0; i < watch_count; i++)
        if (watches[i].descriptor == descriptor)
            watches[i].descriptor = -1;
}

void session_every(unsigned seconds, void (*tick)(void *context), void *context)
{
    if (tick_count == TICKS) {
        log_error("session", "more than %d ticks", TICKS);
        abort();
    }
    int64_t interval = (int64_t)seconds * CLOCK_SECOND;
    ticks[tick_count++] = (struct tick){interval, clock_run() + interval, tick, context};
}

bool session_connected(void)
{
    return opened && (mode == AGENT_STANDALONE || (mode == AGENT_SUBAGENT && uplink_connected()));
}

static int64_t next_due(void)
{
    int64_t due = INT64_MAX;
    for (size_t i = 0; i < tick_count; i++)
        due = ticks[i].due < due ? ticks[i].due : due;
    if (mode == AGENT_SUBAGENT && uplink_due() < due)
        due = uplink_due();
    if (session_connected() && notify_due() < due)
        due = notify_due();
    return due;
}

/* The library's descriptors as poll wants them; its next timer lowers `wait`, in milliseconds. */
static size_t library_descriptors(struct pollfd *polled, size_t room, int64_t *wait)
{
    int limit = 0, block = 1;
    struct timeval timeout = {.tv_sec = 3600};
    NETSNMP_LARGE_FD_ZERO(&library_set);
    snmp_select_info2(&limit, &library_set, &timeout, &block);
    int64_t library_wait = (int64_t)timeout.tv_sec * 1000 + (timeout.tv_usec + 999) / 1000;
    if (!block && (*wait < 0 || library_wait < *wait))
        *wait = library_wait;
    size_t count = 0;
    for (int descriptor = 0; descriptor < limit && count < room; descriptor++)
        if (NETSNMP_LARGE_FD_ISSET(descriptor, &library_set))
            polled[count++] = (struct pollfd){.fd = descriptor, .events = POLLIN};
    return count;
}

static void library_turn(const struct pollfd *polled, size_t count)
{
    bool any = false;
    NETSNMP_LARGE_FD_ZERO(&library_set);
    for (size_t i = 0; i < count; i++)
        if (polled[i].revents) {
            NETSNMP_LARGE_FD_SET(polled[i].fd, &library_set);
            any = true;
        }
    if (any)
        snmp_read2(&library_set);
    /* goes through all that is awaited: not after each packet */
    static int64_t timeouts_seen;
    int64_t now = clock_run();
    if (!any || now - timeouts_seen > TIMEOUTS_EVERY) {
        snmp_timeout();
        timeouts_seen = now;
    }
    run_alarms();
    netsnmp_check_outstanding_agent_requests();
}

static void watches_turn(const struct pollfd *polled, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (polled[i].revents && watches[i].descriptor == polled[i].fd && polled[i].fd >= 0)
            watches[i].ready(watches[i].descriptor, watches[i].context);
    size_t left = 0;
    for (size_t i = 0; i < watch_count; i++)
        if (watches[i].descriptor >= 0)
            watches[left++] = watches[i];
    watch_count = left;
}

static void ticks_turn(int64_t now)
{
    for (size_t i = 0; i < tick_count; i++) {
        if (now < ticks[i].due)
            continue;
        ticks[i].due += ticks[i].interval;
        if (ticks[i].due <= now) /* after a long wait there is one tick, not many */
            ticks[i].due = now + ticks[i].interval;
        ticks[i].tick(ticks[i].context);
    }
}

void session_turn(void)
{
    struct pollfd polled[POLLED];
    int64_t due = next_due(), now = clock_run();
    int64_t wait = due == INT64_MAX ? -1 : due <= now ? 0 : (due - now + 999) / 1000;
    bool library = opened && mode != AGENT_NONE;

    size_t own = watch_count;
    for (size_t i = 0; i < own; i++)
        polled[i] = (struct pollfd){.fd = watches[i].descriptor, .events = POLLIN};
    size_t theirs = library ? library_descriptors(polled + own, POLLED - own, &wait) : 0;
    int ready = poll(polled, own + theirs, wait < 0 ? -1 : wait > 3600000 ? 3600000 : (int)wait);
    if (ready < 0)
        for (size_t i = 0; i < own + theirs; i++)
            polled[i].revents = 0;

    if (library)
        library_turn(polled + own, theirs);
    watches_turn(polled, own);
    now = clock_run();
    ticks_turn(now);
    if (mode == AGENT_SUBAGENT && opened)
        uplink_step(now);
    bool connected = session_connected();
    if (connected && !connected_before)
        notify_connected(served);
    connected_before = connected;
    if (connected)
        notify_step();
}
