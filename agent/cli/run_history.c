/*
 * What outlives the process. At the start the ledger of before is read, with how far each log was read and which
 * notifications were not sent; from then on what changes is stored in batches, by report/history, which has a thread for
 * it: the main thread never waits for a disk.
 *
 * A batch may begin only between two moments at which the queue is settled (base/queue.h), so that what was counted and
 * how far it was read are stored together. It is looked at after each drained part of the queue, whenever a batch has
 * ended, each second, and, where a batch was not begun although there is something for it, a moment later by a timer. What a
 * batch holds is known by two numbers: the observation taken last (those who wait for an answer wait for that one) and the
 * transition told last (its notification waits for it).
 *
 * While the history cannot be written, or takes a batch for too long, nobody waits for it: the daemon goes on in memory and
 * says so by monHistoryFailing.
 */
#include "cli/run_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "cli/run_log.h"
#include "ledger/image.h"
#include "report/notify.h"

#define AGAIN         (CLOCK_SECOND / 20)
#define AGAIN_SOON    (CLOCK_SECOND / 500) /* somebody waits */
#define UNSETTLED_MAX (10 * CLOCK_SECOND) /* then it is better to store what there is */
#define SLOW          (5 * CLOCK_SECOND)  /* a batch takes so long: nobody waits for it any more */
#define STUCK         (20 * CLOCK_SECOND) /* and that is an alarm */
#define LOST_TOLD     (3600 * CLOCK_SECOND)
#define FLUSH         (2 * CLOCK_SECOND)

static void on_transition(void *context, const struct transition *transition)
{
    struct daemon *daemon = context;
    run_log_transition(transition);
    if (daemon->history.history)
        history_transition(daemon->history.history, transition);
    notify_submit(transition);
}

static void on_failure(void *context, const struct ledger_failure *failure, enum event event, uint32_t count,
                       const struct ledger_partner *partner, const struct ledger_source *source)
{
    struct daemon *daemon = context;
    history_failure(daemon->history.history, failure, event, count, partner, source);
}

static void on_verdict(void *context, const struct ledger_partner *partner)
{
    struct daemon *daemon = context;
    history_verdict(daemon->history.history, partner, partner->since_wall);
}

static void on_sent(void *context, uint64_t sequence)
{
    struct daemon *daemon = context;
    history_sent(daemon->history.history, sequence);
}

static void submit_again(void *context, const struct transition *transition)
{
    (void)context;
    notify_submit(transition);
}

/* ---- at the start ---- */

static void tell_restored(const struct ledger *ledger, const char *file, int64_t wall, int64_t run)
{
    char since[CLOCK_TEXT_SIZE], seen[CLOCK_TEXT_SIZE], span[32];
    int64_t away = ledger->seen_run > 0 ? run - ledger->seen_run : 0;
    log_notice("history",
               "%s goes on: %zu partners, %zu alarms that stand, counters since %s; its end is %s, and nothing ran for %s",
               file, ledger->partners.count, ledger->alarms.count,
               clock_text(ledger->counted_wall, since, sizeof since), clock_text(wall - away, seen, sizeof seen),
               clock_span(away / CLOCK_SECOND, span, sizeof span));
}

/* Notifications of before that were not handed over come before those of now. */
static void submit_unsent(struct daemon *daemon)
{
    size_t most = daemon->conf->agent.notifications_kept;
    size_t count = history_unsent(daemon->history.history, most, submit_again, NULL);
    if (count)
        log_notice("history", "%zu notifications were not sent before; %s%zu are now", count,
                   count > most ? "the newest " : "", count > most ? most : count);
}

static struct ledger *restore(struct daemon *daemon, enum history_opened opened, char *problem, size_t size,
                              int64_t wall, int64_t run)
{
    struct run_history *state = &daemon->history;
    const char *file = daemon->conf->history.file;
    struct ledger *ledger = opened == HISTORY_KEPT ? history_load(state->history, wall, run, on_transition, daemon) : NULL;
    if (opened == HISTORY_KEPT && !ledger)
        text_format(problem, size, "%s holds nothing that can be used; counters begin again", file);
    if (*problem)
        log_error("history", "%s", problem);
    if (opened == HISTORY_BROKEN || (opened == HISTORY_KEPT && !ledger))
        text_copy(state->lost, sizeof state->lost, problem);
    if (opened == HISTORY_NEW)
        log_notice("history", "%s is new: counters begin", file);
    if (!ledger)
        return NULL;
    tell_restored(ledger, file, wall, run);
    submit_unsent(daemon);
    return ledger;
}

bool run_history_open(struct daemon *daemon, int64_t wall, int64_t run)
{
    struct run_history *state = &daemon->history;
    const struct conf *conf = daemon->conf;
    char problem[OBSERVATION_DETAIL * 2] = "";
    enum history_opened opened = HISTORY_NONE;
    state->timer = -1;
    notify_open(&conf->agent);
    if (*conf->history.file) {
        state->history = history_open(conf->history.file, &opened, problem, sizeof problem);
        if (opened == HISTORY_TAKEN) {
            log_error("run", "%s. Not starting: two of us would count everything twice", problem);
            return false;
        }
        history_limits(state->history, conf);
        notify_watch(on_sent, daemon);
        daemon->ledger = restore(daemon, opened, problem, sizeof problem, wall, run);
        run_feeds_restore(&daemon->feeds, conf, state->history);
    } else {
        log_notice("history", "history.file is \"\": nothing is kept over a restart");
    }
    if (daemon->ledger) {
        notify_stored(daemon->ledger->sequence); /* what stands in the history is stored */
        ledger_bind(daemon->ledger, conf, wall, run);
    } else {
        daemon->ledger = ledger_new(conf, wall, run, on_transition, daemon);
    }
    if (state->history) {
        ledger_failures(daemon->ledger, on_failure, daemon);
        ledger_verdicts(daemon->ledger, on_verdict, daemon);
    }
    if (*state->lost) {
        state->lost_run = run;
        ledger_self(daemon->ledger, REASON_MON_HISTORY_LOST, true, state->lost, wall, run);
    }
    return true;
}

/* ---- batches ---- */

static bool is_slow(const struct run_history *state, int64_t run, int64_t limit)
{
    return state->batch && !state->ended && run - state->begun_run > limit;
}

/* Whoever waits for something to be stored waits for what the last batch holds, or for nothing. */
static void note_stored(struct daemon *daemon, int64_t run)
{
    struct run_history *state = &daemon->history;
    char problem[OBSERVATION_DETAIL];
    if (!state->ended && history_ended(state->history) >= state->batch) {
        state->ended = true;
        notify_stored(state->sequence);
        queue_stored(daemon->queue, state->number);
    }
    bool failing = history_failing(state->history, problem, sizeof problem);
    notify_hold(!failing);
    if (failing || is_slow(state, run, SLOW))
        queue_stored(daemon->queue, queue_taken(daemon->queue));
}

static bool is_settled(struct daemon *daemon, int64_t run)
{
    struct run_history *state = &daemon->history;
    if (queue_settled(daemon->queue)) {
        state->unsettled_run = 0;
        return true;
    }
    if (!state->unsettled_run)
        state->unsettled_run = run;
    return run - state->unsettled_run > UNSETTLED_MAX;
}

static void look_again(struct daemon *daemon)
{
    struct run_history *state = &daemon->history;
    bool waits = queue_taken(daemon->queue) > state->number || daemon->ledger->sequence > state->sequence;
    if (waits && state->ended && state->timer >= 0) {
        const struct itimerspec soon = {.it_value.tv_nsec = (state->hurry ? AGAIN_SOON : AGAIN) * 1000};
        timerfd_settime(state->timer, 0, &soon, NULL);
    }
}

static void step(struct daemon *daemon)
{
    struct run_history *state = &daemon->history;
    int64_t wall = clock_wall(), run = clock_run();
    note_stored(daemon, run);
    if (!is_settled(daemon, run))
        return;
    uint64_t batch = history_step(state->history, daemon->ledger, wall, run);
    if (batch != state->batch) {
        state->batch = batch;
        state->number = queue_taken(daemon->queue);
        state->sequence = daemon->ledger->sequence;
        state->begun_run = run;
        state->ended = state->hurry = false;
    }
    look_again(daemon);
}

void run_history_awaited(struct daemon *daemon)
{
    if (!daemon->history.history)
        return;
    daemon->history.hurry = true;
    history_hurry(daemon->history.history);
}

void run_history_drained(struct daemon *daemon)
{
    if (daemon->history.history)
        step(daemon);
    else
        queue_stored(daemon->queue, queue_taken(daemon->queue));
}

static void on_ended(int descriptor, void *context)
{
    (void)descriptor;
    step(context);
}

static void on_timer(int descriptor, void *context)
{
    uint64_t times;
    if (read(descriptor, &times, sizeof times) == sizeof times)
        step(context);
}

void run_history_start(struct daemon *daemon)
{
    struct run_history *state = &daemon->history;
    if (!state->history)
        return;
    state->ended = true;
    state->sequence = daemon->ledger->sequence;
    state->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (state->timer < 0)
        log_warning("history", "no timer: %s; batches may be stored a second late", strerror(errno));
    else
        session_watch(state->timer, on_timer, daemon);
    if (history_descriptor(state->history) >= 0)
        session_watch(history_descriptor(state->history), on_ended, daemon);
}

void run_history_watch(struct daemon *daemon, int64_t wall, int64_t run)
{
    struct run_history *state = &daemon->history;
    char problem[OBSERVATION_DETAIL] = "";
    if (!state->history)
        return;
    if (!history_failing(state->history, problem, sizeof problem) && is_slow(state, run, STUCK)) {
        text_format(problem, sizeof problem, "%s: the disk has not taken what is to be written for %d s",
                    daemon->conf->history.file, (int)(STUCK / CLOCK_SECOND));
        if (!*state->failing)
            log_error("history", "%s; going on in memory", problem);
    }
    if (strcmp(problem, state->failing) != 0) {
        text_copy(state->failing, sizeof state->failing, problem);
        ledger_self(daemon->ledger, REASON_MON_HISTORY_FAILING, *problem != '\0', problem, wall, run);
    }
    if (state->lost_run && run - state->lost_run > LOST_TOLD) {
        state->lost_run = 0;
        ledger_self(daemon->ledger, REASON_MON_HISTORY_LOST, false, "", wall, run);
    }
}

void run_history_bound(struct daemon *daemon, const struct conf *old)
{
    struct run_history *state = &daemon->history;
    if (!state->history)
        return;
    history_limits(state->history, daemon->conf);
    run_feeds_forget(&daemon->feeds, old, daemon->conf);
}

/* ---- at the end ---- */

void run_history_flush(struct daemon *daemon)
{
    struct run_history *state = &daemon->history;
    int64_t until = clock_run() + FLUSH;
    if (!state->history || history_descriptor(state->history) < 0 || is_slow(state, clock_run(), FLUSH / 4))
        return;
    for (;;) {
        int64_t now = clock_run();
        step(daemon);
        if ((state->ended && daemon->ledger->sequence <= state->sequence) || *state->failing || now >= until)
            return;
        struct pollfd polled = {.fd = history_descriptor(state->history), .events = POLLIN};
        poll(&polled, 1, state->ended ? (int)(AGAIN / 1000) : (int)((until - now) / 1000) + 1);
    }
}

void run_history_close(struct daemon *daemon)
{
    struct run_history *state = &daemon->history;
    notify_watch(NULL, NULL);
    history_close(state->history, daemon->ledger, clock_wall(), clock_run());
    if (state->history && state->timer >= 0)
        close(state->timer);
    *state = (struct run_history){0};
}
