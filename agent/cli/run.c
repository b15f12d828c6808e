/*
 * The daemon. Its main thread runs Net-SNMP's loop (report/session), which also watches the queue of the collectors, the
 * history and the signals; nothing else of the program runs in it. A turn is: a step of SNMP, a batch of observations
 * into the ledger, whose transitions are logged, stored and then notified, and once a second a tick.
 *
 * Order of start: self-test, configuration, queue, the history with the ledger of before, SNMP, collectors, feeds; of the
 * end: the reverse, the last batch of the history after SNMP. Reload: the new file is read and checked as a whole first;
 * when it is bad, nothing changes but the alarm monConfigInvalid; when it is good, feeds and collectors are stopped
 * (milliseconds), what they told is drained, the ledger is bound to the new partners by name, and they start again, the
 * feeds where they were left.
 */
#include "cli/check_config.h"
#include "cli/cli.h"
#include "cli/run_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "collect/tls.h"
#include "report/notify.h"

#define READY_PATIENCE (3 * CLOCK_SECOND) /* a disk that is slow must not keep the service manager waiting */

static size_t drain_batch(struct daemon *daemon)
{
    size_t count = queue_take(daemon->queue, daemon->batch, RUN_BATCH);
    bool awaited = false;
    for (size_t i = 0; i < count; i++) {
        awaited = awaited || daemon->batch[i].awaited;
        if (daemon->batch[i].kind == OBSERVATION_MARK)
            run_feeds_mark(&daemon->feeds, &daemon->batch[i]);
        else
            ledger_apply(daemon->ledger, &daemon->batch[i]);
    }
    if (awaited)
        run_history_awaited(daemon);
    run_history_drained(daemon);
    return count;
}

static void drain(void *context)
{
    while (drain_batch(context) > 0)
        ;
}

static void on_queue(int descriptor, void *context)
{
    (void)descriptor;
    drain_batch(context);
}

static void on_tick(void *context)
{
    run_watch(context);
}

static void log_errors(const struct conf_errors *errors)
{
    char text[1024];
    for (size_t i = 0; i < errors->count; i++) {
        conf_error_text(&errors->errors[i], text, sizeof text);
        log_error("conf", "%s", text);
    }
    if (errors->dropped)
        log_error("conf", "and %zu more errors", errors->dropped);
}

static bool same_text(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/* What the program opened at its start cannot be changed while it runs. */
static void warn_restart_needed(const struct conf *old, const struct conf *new)
{
    if (old->agent.mode != new->agent.mode || !same_text(old->agent.agentx_socket, new->agent.agentx_socket) ||
        !same_text(old->agent.listen, new->agent.listen) || !same_text(old->agent.state_dir, new->agent.state_dir) ||
        !same_text(old->agent.access_file, new->agent.access_file) || old->agent.reconnect != new->agent.reconnect)
        log_warning("run", "%s: the way to SNMP (agent.mode, agentx_socket, reconnect, listen, access_file, state_dir) "
                           "changed; this takes effect when fedwarden is restarted",
                    new->path);
    if (old->collectors.queue != new->collectors.queue)
        log_warning("run", "%s: collectors.queue changed; this takes effect when fedwarden is restarted", new->path);
    if (!same_text(old->history.file, new->history.file))
        log_warning("run", "%s: history.file changed; this takes effect when fedwarden is restarted", new->path);
}

static void put_in_force(struct daemon *daemon, struct conf *conf)
{
    struct conf *old = daemon->conf;
    warn_restart_needed(old, conf);
    run_feeds_stop(&daemon->feeds, drain, daemon);
    collectors_stop(daemon->collectors);
    drain(daemon);
    ledger_bind(daemon->ledger, conf, clock_wall(), clock_run());
    notify_open(&conf->agent);
    log_level_set(conf->log_level);
    daemon->conf = conf;
    run_history_bound(daemon, old);
    daemon->status.loaded_wall = conf->loaded;
    daemon->collectors = collectors_start(conf, daemon->queue);
    if (!daemon->collectors || !run_feeds_start(&daemon->feeds, conf, daemon->queue)) {
        log_error("run", "the collectors cannot be started again; ending so that the service manager restarts us");
        daemon->ending = true;
    }
    conf_free(old);
}

static void tell_error(const char *text)
{
    log_error("conf", "%s", text);
}

/* A configuration whose presets and trust profiles can be used, too. */
static struct conf *load(const char *path, struct conf_errors *errors)
{
    struct conf *conf = conf_load(path, errors);
    if (!conf || (feeds_check(conf, errors) && cli_check_trusts(conf, tell_error) == 0))
        return conf;
    conf_free(conf);
    return NULL;
}

static void reload(struct daemon *daemon)
{
    struct conf_errors errors = {0};
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, clock_run());
    struct conf *conf = load(daemon->path, &errors);
    int64_t wall = clock_wall(), run = clock_run();
    daemon->status.load_failed = !conf;
    if (conf) {
        daemon->status.load_error[0] = '\0';
        put_in_force(daemon, conf);
        ledger_self(daemon->ledger, REASON_MON_CONFIG_INVALID, false, "", wall, run);
        log_notice("run", "%s is in force: %zu partners", conf->path, conf->partner_count);
    } else {
        log_errors(&errors);
        log_error("run", "%s has errors; the configuration of before stays in force", daemon->path);
        text_copy(daemon->status.load_error, sizeof daemon->status.load_error,
                  "a trust profile cannot be used; fedwarden check-config says why");
        if (errors.count)
            conf_error_brief(&errors.errors[0], daemon->status.load_error, sizeof daemon->status.load_error);
        ledger_self(daemon->ledger, REASON_MON_CONFIG_INVALID, true, daemon->status.load_error, wall, run);
    }
    conf_errors_clear(&errors);
    daemon->ready_until = clock_run() + READY_PATIENCE;
}

/* From the moment at which the service manager hears that we are ready no line of a log is lost, however we end. */
static void tell_ready(struct daemon *daemon)
{
    if (!daemon->ready_until || (!run_feeds_safe(&daemon->feeds) && clock_run() < daemon->ready_until))
        return;
    daemon->ready_until = 0;
    sd_notify(0, "READY=1");
}

static void on_signal(int descriptor, void *context)
{
    struct daemon *daemon = context;
    struct signalfd_siginfo info;
    while (read(descriptor, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGHUP)
            reload(daemon);
        else
            daemon->ending = true;
    }
}

/* Blocked for all threads that come later; read from a descriptor by the main one. */
static int open_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -1;
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static bool start(struct daemon *daemon)
{
    char error[OBSERVATION_DETAIL];
    if (!tls_self_test(error, sizeof error)) {
        log_error("run", "the verification of certificates does not work as it must: %s. Not starting: every verdict "
                         "would be worthless. Reinstall OpenSSL (libssl3) and fedwarden",
                  error);
        return false;
    }
    struct conf_errors errors = {0};
    daemon->conf = load(daemon->path, &errors);
    log_errors(&errors);
    conf_errors_clear(&errors);
    if (!daemon->conf) {
        log_error("run", "%s has errors; not starting", daemon->path);
        return false;
    }
    log_level_set(daemon->conf->log_level);
    daemon->signals = open_signals();
    daemon->queue = queue_new(daemon->conf->collectors.queue);
    if (daemon->signals < 0 || !daemon->queue) {
        log_error("run", "cannot start: %s; raise the limits of the service (LimitNOFILE, MemoryMax)",
                  strerror(errno));
        return false;
    }
    int64_t wall = clock_wall(), run = clock_run();
    daemon->status.start_wall = wall;
    daemon->status.start_run = run;
    daemon->status.loaded_wall = daemon->conf->loaded;
    daemon->connected_run = run;
    if (!run_history_open(daemon, wall, run) || !session_open(daemon->conf, daemon->ledger, &daemon->status))
        return false;
    run_history_start(daemon);
    session_watch(queue_descriptor(daemon->queue), on_queue, daemon);
    session_watch(daemon->signals, on_signal, daemon);
    session_every(1, on_tick, daemon);
    daemon->collectors = collectors_start(daemon->conf, daemon->queue);
    return daemon->collectors && run_feeds_start(&daemon->feeds, daemon->conf, daemon->queue);
}

static void stop(struct daemon *daemon)
{
    run_feeds_stop(&daemon->feeds, drain, daemon);
    collectors_stop(daemon->collectors);
    if (daemon->ledger) {
        drain(daemon);
        run_history_flush(daemon);
        notify_step();
        session_close();
        notify_close();
    }
    run_history_close(daemon);
    ledger_free(daemon->ledger);
    run_feeds_end(&daemon->feeds);
    queue_free(daemon->queue);
    conf_free(daemon->conf);
    if (daemon->signals >= 0)
        close(daemon->signals);
}

static void usage(FILE *out)
{
    fputs("usage: fedwarden run [-c FILE]\n\n"
          "Probes the partners of FILE (" CLI_CONF_PATH ") and reports over SNMP, in the\n"
          "foreground. SIGHUP reads FILE again, SIGTERM ends.\n",
          out);
}

int cli_run(int argc, char **argv)
{
    static struct daemon daemon;
    daemon.signals = -1;
    int status = cli_config_option(argc, argv, usage, &daemon.path);
    if (status >= 0)
        return status;
    bool started = start(&daemon);
    if (started) {
        log_notice("run", "watching the partners of %s: %zu", daemon.path, daemon.conf->partner_count);
        daemon.ready_until = clock_run() + READY_PATIENCE;
        for (tell_ready(&daemon); !daemon.ending; tell_ready(&daemon))
            session_turn();
        sd_notify(0, "STOPPING=1");
        log_notice("run", "ending");
    }
    bool failed = !started || !daemon.collectors || !daemon.feeds.feeds;
    stop(&daemon);
    return failed ? 1 : 0;
}
