/*
 * What the daemon does about its feeds besides starting and stopping them: once a second it looks at what each has come
 * to, and whether the inbox and the acceptor's ports are open, and tells the ledger when that changes. The acceptor is
 * tried again every ten seconds: its address may come later than we do. There is one alarm for logs and sockets that
 * cannot be read and one for lines that nobody understands; their detail names the first feed and how many there are.
 *
 * A preset does not fit when most lines of a log begin in no way that it knows. That is judged over at least
 * JUDGED_LINES lines, or over JUDGED_FEWER when a minute has passed, so that a few foreign lines mean nothing and a
 * slow log is judged too; the judgement holds until the next.
 */
#include "cli/run_feeds.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"

#define JUDGED_LINES 200
#define JUDGED_FEWER 20
#define JUDGED_AFTER (60 * CLOCK_SECOND)
#define LISTEN_AGAIN (10 * CLOCK_SECOND)

struct run_feed {
    uint64_t lines, unparsed; /* at the last judgement */
    int64_t judged_run;
    char misfit[OBSERVATION_DETAIL]; /* as it was first judged; "" the preset fits */
};

static void try_to_listen(struct run_feeds *run_feeds)
{
    char problem[OBSERVATION_DETAIL];
    run_feeds->listen_tried = clock_run();
    run_feeds->listeners = listeners_start(run_feeds->conf, run_feeds->queue, problem, sizeof problem);
    if (*problem && strcmp(problem, run_feeds->listen_problem) != 0)
        log_error("listen", "%s; no client is answered until it can be started, which is tried every 10 s", problem);
    text_copy(run_feeds->listen_problem, sizeof run_feeds->listen_problem, problem);
}

static bool is_on(const struct conf *conf, const char *feed)
{
    for (size_t i = 0; i < conf->feed_count; i++)
        if (strcmp(conf->feeds[i].name, feed) == 0)
            return conf->feeds[i].enabled;
    return false;
}

void run_feeds_restore(struct run_feeds *run_feeds, const struct conf *conf, struct history *history)
{
    const struct history_mark *marks;
    size_t count = history_marks(history, &marks);
    run_feeds->history = history;
    for (size_t i = 0; i < count; i++) {
        struct observation_mark *reports = &run_feeds->tlsrpt_mark;
        if (is_on(conf, marks[i].feed)) {
            feed_marks_put(&run_feeds->marks, marks[i].feed, marks[i].data, marks[i].length);
        } else if (strcmp(marks[i].feed, TLSRPT_MARK) != 0) {
            history_forget_mark(history, marks[i].feed);
        } else if (marks[i].length <= sizeof reports->data) {
            reports->length = (uint32_t)marks[i].length;
            memcpy(reports->data, marks[i].data, marks[i].length);
        }
    }
}

void run_feeds_forget(struct run_feeds *run_feeds, const struct conf *old, const struct conf *conf)
{
    for (size_t i = 0; run_feeds->history && i < old->feed_count; i++)
        if (!is_on(conf, old->feeds[i].name))
            history_forget_mark(run_feeds->history, old->feeds[i].name);
}

bool run_feeds_start(struct run_feeds *run_feeds, const struct conf *conf, struct queue *queue)
{
    free(run_feeds->each);
    run_feeds->each = calloc(conf->feed_count ? conf->feed_count : 1, sizeof *run_feeds->each);
    if (!run_feeds->each)
        abort();
    for (size_t i = 0; i < conf->feed_count; i++)
        run_feeds->each[i].judged_run = clock_run();
    run_feeds->conf = conf;
    run_feeds->queue = queue;
    run_feeds->marked = 0;
    try_to_listen(run_feeds);
    run_feeds->inbox = inbox_start(conf, queue, run_feeds->inbox);
    run_feeds->tlsrpt = tlsrpt_start(conf, queue, run_feeds->tlsrpt_mark.data, run_feeds->tlsrpt_mark.length);
    run_feeds->feeds = feeds_start(conf, queue, &run_feeds->marks);
    return run_feeds->feeds != NULL;
}

void run_feeds_stop(struct run_feeds *run_feeds, void (*drain)(void *context), void *context)
{
    listeners_stop(run_feeds->listeners);
    run_feeds->listeners = NULL;
    inbox_stop(run_feeds->inbox);
    while (!tlsrpt_stop(run_feeds->tlsrpt))
        drain(context);
    tlsrpt_free(run_feeds->tlsrpt);
    run_feeds->tlsrpt = NULL;
    if (!run_feeds->feeds)
        return;
    while (!feeds_stop(run_feeds->feeds))
        drain(context);
    for (size_t i = 0; i < run_feeds->conf->feed_count; i++) {
        struct feed_status status = feeds_status(run_feeds->feeds, i);
        run_feeds->lines += status.lines;
        run_feeds->unparsed += status.unparsed;
        run_feeds->events += status.events;
    }
    drain(context); /* marks can be taken as long as the feeds are there */
    feed_marks_clear(&run_feeds->marks);
    feeds_marks(run_feeds->feeds, &run_feeds->marks);
    feeds_free(run_feeds->feeds);
    run_feeds->feeds = NULL;
}

void run_feeds_mark(struct run_feeds *run_feeds, const struct observation *observation)
{
    struct feed_marks marks = {0};
    if (observation->origin == ORIGIN_FEEDS) {
        feeds_mark_take(run_feeds->feeds, observation->mark.number, &marks);
        if (!run_feeds->marked)
            run_feeds->marked = queue_taken(run_feeds->queue);
    } else if (observation->origin == ORIGIN_TLSRPT) {
        run_feeds->tlsrpt_mark = observation->mark;
        feed_marks_put(&marks, TLSRPT_MARK, observation->mark.data, observation->mark.length);
    }
    for (size_t i = 0; run_feeds->history && i < marks.count; i++) {
        struct history_mark mark = {.length = marks.marks[i].length, .data = marks.marks[i].data};
        text_copy(mark.feed, sizeof mark.feed, marks.marks[i].feed);
        history_mark(run_feeds->history, &mark);
    }
    feed_marks_clear(&marks);
}

bool run_feeds_safe(const struct run_feeds *run_feeds)
{
    if (run_feeds->marked)
        return queue_is_stored(run_feeds->queue, run_feeds->marked);
    for (size_t i = 0; i < run_feeds->conf->feed_count; i++)
        if (run_feeds->conf->feeds[i].enabled)
            return false;
    return true;
}

void run_feeds_end(struct run_feeds *run_feeds)
{
    inbox_free(run_feeds->inbox);
    feeds_free(run_feeds->feeds);
    feed_marks_clear(&run_feeds->marks);
    free(run_feeds->each);
    *run_feeds = (struct run_feeds){0};
}

static void judge(struct run_feed *feed, const struct conf_feed *conf, const struct feed_status *status, int64_t run)
{
    uint64_t lines = status->lines - feed->lines, unparsed = status->unparsed - feed->unparsed;
    if (lines < JUDGED_LINES && (lines < JUDGED_FEWER || run - feed->judged_run < JUDGED_AFTER))
        return;
    feed->lines = status->lines;
    feed->unparsed = status->unparsed;
    feed->judged_run = run;
    if (unparsed <= lines / 2)
        feed->misfit[0] = '\0';
    else if (!*feed->misfit)
        text_format(feed->misfit, sizeof feed->misfit,
                    "%" PRIu64 " of %" PRIu64 " lines begin in no way that the preset %s knows", unparsed, lines,
                    conf->preset);
}

/* What is told, in few words: the first, and how many more. */
static void add_detail(char *detail, size_t size, unsigned *count, const char *name, const char *what)
{
    if ((*count)++ == 0)
        text_format(detail, size, "%s: %s", name, what);
}

static void tell(struct ledger *ledger, enum reason reason, char *told, const char *detail, unsigned count,
                 int64_t wall, int64_t run)
{
    char text[OBSERVATION_DETAIL];
    text_copy(text, sizeof text, detail);
    if (count > 1)
        text_append(text, sizeof text, " (and %u more)", count - 1);
    if (strcmp(text, told) == 0)
        return;
    text_copy(told, OBSERVATION_DETAIL, text);
    ledger_self(ledger, reason, *text != '\0', text, wall, run);
}

void run_feeds_watch(struct run_feeds *run_feeds, struct ledger *ledger, struct session_status *status, int64_t wall,
                     int64_t run)
{
    char unreadable[OBSERVATION_DETAIL] = "", unread[OBSERVATION_DETAIL] = "";
    unsigned unreadable_count = 0, unread_count = 0;
    status->feed_lines = run_feeds->lines;
    status->feed_unparsed = run_feeds->unparsed;
    status->feed_events = run_feeds->events;
    for (size_t i = 0; run_feeds->feeds && i < run_feeds->conf->feed_count; i++) {
        const char *name = run_feeds->conf->feeds[i].name;
        struct run_feed *each = &run_feeds->each[i];
        struct feed_status feed = feeds_status(run_feeds->feeds, i);
        status->feed_lines += feed.lines;
        status->feed_unparsed += feed.unparsed;
        status->feed_events += feed.events;
        judge(each, &run_feeds->conf->feeds[i], &feed, run);
        if (*feed.problem && !feed.limits)
            add_detail(unreadable, sizeof unreadable, &unreadable_count, name, feed.problem);
        if (*feed.problem && feed.limits)
            add_detail(unread, sizeof unread, &unread_count, name, feed.problem);
        if (*each->misfit)
            add_detail(unread, sizeof unread, &unread_count, name, each->misfit);
    }
    if (run_feeds->inbox && *inbox_problem(run_feeds->inbox))
        add_detail(unreadable, sizeof unreadable, &unreadable_count, "inbox", inbox_problem(run_feeds->inbox));
    if (run_feeds->tlsrpt && *tlsrpt_problem(run_feeds->tlsrpt))
        add_detail(unreadable, sizeof unreadable, &unreadable_count, "tlsrpt", tlsrpt_problem(run_feeds->tlsrpt));
    if (*run_feeds->listen_problem && run - run_feeds->listen_tried > LISTEN_AGAIN)
        try_to_listen(run_feeds);
    if (*run_feeds->listen_problem)
        add_detail(unreadable, sizeof unreadable, &unreadable_count, "listen", run_feeds->listen_problem);
    tell(ledger, REASON_MON_FEED_UNREADABLE, run_feeds->unreadable, unreadable, unreadable_count, wall, run);
    tell(ledger, REASON_MON_FEED_UNPARSED, run_feeds->unread, unread, unread_count, wall, run);
}
