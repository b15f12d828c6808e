/*
 * What the daemon has to say of itself, once a second: observations that were dropped, a master that is away, feeds, the
 * history. Each is an alarm of monitorSelf, raised when it begins and cleared when it is over. Then the ledger's own tick,
 * and a word to the service manager.
 */
#include "cli/run_parts.h"

#include <inttypes.h>
#include <systemd/sd-daemon.h>

#include "base/clock.h"
#include "base/text.h"
#include "report/notify.h"

#define MASTER_PATIENCE (30 * CLOCK_SECOND) /* without a master before that is an alarm */
#define DROPS_QUIET     (60 * CLOCK_SECOND) /* without a dropped observation before that alarm clears */

static void watch_drops(struct daemon *daemon, int64_t wall, int64_t run)
{
    uint64_t dropped = queue_dropped(daemon->queue);
    if (dropped != daemon->status.dropped) {
        char detail[OBSERVATION_DETAIL];
        text_format(detail, sizeof detail, "%" PRIu64 " observations dropped; collectors.queue is %" PRIu32, dropped,
                    daemon->conf->collectors.queue);
        daemon->status.dropped = dropped;
        daemon->dropped_run = run;
        ledger_full(daemon->ledger, LEDGER_FULL_QUEUE, true, detail, wall, run);
    } else if (daemon->dropped_run != CLOCK_NEVER && run - daemon->dropped_run > DROPS_QUIET) {
        daemon->dropped_run = CLOCK_NEVER;
        ledger_full(daemon->ledger, LEDGER_FULL_QUEUE, false, "", wall, run);
    }
}

static void watch_master(struct daemon *daemon, int64_t wall, int64_t run)
{
    if (daemon->conf->agent.mode != AGENT_SUBAGENT)
        return;
    if (session_connected()) {
        daemon->connected_run = run;
        if (daemon->master_lost) {
            daemon->master_lost = false;
            ledger_self(daemon->ledger, REASON_MON_MASTER_LOST, false, "", wall, run);
        }
    } else if (!daemon->master_lost && run - daemon->connected_run > MASTER_PATIENCE) {
        char detail[OBSERVATION_DETAIL];
        daemon->master_lost = true;
        text_format(detail, sizeof detail, "no SNMP master at %s", daemon->conf->agent.agentx_socket);
        ledger_self(daemon->ledger, REASON_MON_MASTER_LOST, true, detail, wall, run);
    }
}

static void tell_systemd(const struct daemon *daemon)
{
    struct ledger_summary summary;
    ledger_summarise(daemon->ledger, &summary);
    sd_notifyf(0, "WATCHDOG=1\nSTATUS=%" PRIu32 " partners: %" PRIu32 " critical, %" PRIu32 " warning, %" PRIu32
                  " ok, %" PRIu32 " not known yet; %" PRIu32 " alarms",
               summary.partners, summary.critical, summary.warning, summary.ok, summary.unknown, summary.alarms);
}

void run_watch(struct daemon *daemon)
{
    int64_t wall = clock_wall(), run = clock_run();
    watch_drops(daemon, wall, run);
    watch_master(daemon, wall, run);
    run_feeds_watch(&daemon->feeds, daemon->ledger, &daemon->status, wall, run);
    run_history_watch(daemon, wall, run);
    ledger_tick(daemon->ledger, wall, run);
    run_history_drained(daemon);
    notify_step();
    tell_systemd(daemon);
}
