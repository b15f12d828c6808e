/*
 * One event loop looks after all feeds: each has a deferred source that is enabled when there is something to look at,
 * so that feeds with much to read take turns of one buffer each; a timer wakes them all once a second.
 *
 * What rules find waits in an outbox until the queue has taken it. While anything waits there, no feed reads a line; a
 * second timer offers it again. So a full queue stops the reading, not the thread.
 *
 * A mark is made between two looks, when every feed is between two lines, and stands in the outbox behind all that was
 * found before. Its octets wait in one of a few places, by its number, until the main thread takes them; while all places
 * are full no mark is made. Feeds that did not move since their last mark are not in it. Where there were events it is
 * made at once, but not more often than MARK_EVERY, and later when marks are large: what they cost stays a few percent.
 *
 * Rules count time by the clock of this host. A mark keeps how old things were, and who goes on begins there: a record
 * that straddles a restart is joined however long that took. So that nothing is taken for younger than it is, a feed that
 * begins to read after a pause makes its mark anew.
 *
 * A feed's state for other threads is copied as words under a counter that is odd while they are written: readers take
 * it again when the counter moved. It is the only thing that is shared besides the queue.
 *
 * Feeds with the same preset and head share the compiled rules.
 */
#include "collect/feed.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/observation.h"
#include "base/text.h"
#include "collect/collector_thread.h"
#include "collect/feed_parts.h"
#include "collect/rule.h"

#define BUFFER_SIZE  131072
#define OUTBOX_OFFER 64                   /* events that are collected before they are offered */
#define OFFER_EVERY  (CLOCK_SECOND / 20)  /* to a queue that was full */
#define LIMITS_TOLD  (900 * CLOCK_SECOND) /* that a rule hit its limits */
#define MARK_EVERY   (CLOCK_SECOND / 50)  /* while events are found */
#define MARK_LATEST  (CLOCK_SECOND / 2)   /* and marks are large */
#define MARK_QUIET   CLOCK_SECOND         /* while lines are read, but nothing is found */
#define MARK_AGAIN   (CLOCK_SECOND / 50)  /* while all places are full */
#define MARKS_MAX    4                    /* that are not taken yet */

static_assert(BUFFER_SIZE > 2 * RULE_LINE_MAX, "a buffer holds a line and its end");
static_assert(sizeof(struct feed_status) % sizeof(uint64_t) == 0, "it is copied as words");
#define STATUS_WORDS (sizeof(struct feed_status) / sizeof(uint64_t))

struct shared_status {
    _Atomic uint64_t version; /* odd: being written */
    _Atomic uint64_t words[STATUS_WORDS];
};

struct feed {
    struct feeds *feeds;
    const struct conf_feed *conf;
    const struct rule_set *rules;
    struct rule_reader *reader;
    struct feed_file *file; /* one of the two, or none when the rules are missing */
    struct feed_journal *journal;
    sd_event_source *turn;
    bool moved;         /* since its last mark */
    int64_t run, wall;  /* of the look */
    uint64_t errors;    /* of rules, when last looked at */
    int64_t errors_run; /* when there were more of them; CLOCK_NEVER never */
    char limits[160];
    struct feed_status status; /* of the thread */
    struct shared_status shared;
};

struct rules { /* what feeds share */
    const char *preset, *head;
    struct rule_set *set;
};

struct feeds {
    const struct conf *conf;
    struct queue *queue;
    struct collector_thread *thread;
    sd_event *loop;
    sd_event_source *tick, *offer, *mark_timer, *stop_source;
    int stop;
    struct observation *outbox;
    size_t waiting, room;
    bool blocked; /* the queue was full */
    bool told;    /* events, since the last mark */
    int64_t mark_run;
    size_t mark_size; /* of the last one */
    uint64_t mark_number;
    _Atomic(struct feed_marks *) places[MARKS_MAX]; /* filled by the thread, emptied by the main one */
    atomic_bool stopping;
    char *buffer;
    size_t rules_count;
    struct rules *rules;
    size_t count;
    struct feed feeds[];
};

/* ---- what the sources of lines use ---- */

const struct conf_feed *feed_conf(const struct feed *feed)
{
    return feed->conf;
}

sd_event *feed_loop(const struct feed *feed)
{
    return feed->feeds->loop;
}

char *feed_buffer(const struct feed *feed, size_t *size)
{
    *size = BUFFER_SIZE;
    return feed->feeds->buffer;
}

uint64_t feed_hash(const void *data, size_t length)
{
    const unsigned char *octets = data;
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ octets[i]) * UINT64_C(1099511628211);
    return hash;
}

void feed_wake(struct feed *feed)
{
    if (feed->turn && !feed->feeds->blocked)
        sd_event_source_set_enabled(feed->turn, SD_EVENT_ONESHOT);
}

void feed_problem(struct feed *feed, bool readable, const char *format, ...)
{
    char problem[sizeof feed->status.problem];
    va_list arguments;
    va_start(arguments, format);
    char raw[256];
    vsnprintf(raw, sizeof raw, format, arguments);
    va_end(arguments);
    text_printable(problem, sizeof problem, raw, strlen(raw));
    if (*problem && strcmp(problem, feed->status.problem) != 0)
        log_warning("feed", "%s: %s", feed->conf->name, problem);
    else if (!*problem && readable && !feed->status.readable && *feed->status.problem)
        log_notice("feed", "%s: the log is read again", feed->conf->name);
    feed->status.readable = readable;
    text_copy(feed->status.problem, sizeof feed->status.problem, problem);
}

/* ---- the outbox ---- */

static struct observation *add_waiting(struct feeds *feeds)
{
    if (feeds->waiting == feeds->room) {
        feeds->room = feeds->room ? 2 * feeds->room : 2 * OUTBOX_OFFER;
        feeds->outbox = reallocarray(feeds->outbox, feeds->room, sizeof *feeds->outbox);
        if (!feeds->outbox)
            abort();
    }
    struct observation *observation = &feeds->outbox[feeds->waiting++];
    memset(observation, 0, sizeof *observation);
    observation->origin = ORIGIN_FEEDS;
    return observation;
}

/* Offers what waits; whether all of it was taken. */
static bool offer(struct feeds *feeds)
{
    if (feeds->waiting) {
        size_t taken = queue_offer(feeds->queue, feeds->outbox, feeds->waiting);
        feeds->waiting -= taken;
        memmove(feeds->outbox, feeds->outbox + taken, feeds->waiting * sizeof *feeds->outbox);
    }
    feeds->blocked = feeds->waiting > 0;
    return !feeds->blocked;
}

bool feed_blocked(const struct feed *feed)
{
    return feed->feeds->blocked || atomic_load_explicit(&feed->feeds->stopping, memory_order_relaxed);
}

bool feed_line(struct feed *feed, const char *line, size_t length)
{
    feed_moved(feed);
    rule_read(feed->reader, line, length, feed->run);
    if (feed->feeds->waiting >= OUTBOX_OFFER)
        offer(feed->feeds);
    return !feed_blocked(feed);
}

/* From rules. */
static void found(void *context, const struct rule_hit *hit)
{
    struct feed *feed = context;
    struct observation *observation = add_waiting(feed->feeds);
    observation->kind = OBSERVATION_EVENT;
    observation->partner = OBSERVATION_NO_PARTNER; /* the ledger weighs domain and address */
    observation->wall = feed->wall;
    observation->run = feed->run;
    observation->event = hit->event;
    feed->feeds->told = true;
}

/* ---- marks ---- */

static bool is_on(const struct feed *feed)
{
    return feed->file || feed->journal;
}

static size_t pack_feed(const struct feed *feed, struct feed_marks *out)
{
    struct pack pack = {.most = FEED_MARK_MAX};
    struct feed_state *state = calloc(1, sizeof *state);
    if (!state)
        abort();
    if (feed->file)
        feed_file_state(feed->file, state);
    else
        feed_journal_state(feed->journal, state);
    feed_state_pack(state, &pack);
    rule_pack(feed->reader, feed->run, &pack);
    feed_marks_put(out, feed->conf->name, pack.data, pack.length);
    free(state);
    free(pack.data);
    return pack.length;
}

/* Behind what waits. False: all places are full. */
static bool make_mark(struct feeds *feeds)
{
    _Atomic(struct feed_marks *) *place = &feeds->places[feeds->mark_number % MARKS_MAX];
    if (atomic_load_explicit(place, memory_order_acquire))
        return false;
    struct feed_marks *marks = calloc(1, sizeof *marks);
    if (!marks)
        abort();
    feeds->mark_size = 0;
    for (size_t i = 0; i < feeds->count; i++) {
        if (feeds->feeds[i].moved)
            feeds->mark_size += pack_feed(&feeds->feeds[i], marks);
        feeds->feeds[i].moved = false;
    }
    struct observation *observation = add_waiting(feeds);
    observation->kind = OBSERVATION_MARK;
    observation->partner = OBSERVATION_NO_PARTNER;
    observation->wall = clock_wall();
    observation->run = feeds->mark_run = clock_run();
    observation->mark.number = feeds->mark_number++;
    feeds->told = false;
    atomic_store_explicit(place, marks, memory_order_release);
    return true;
}

static bool any_moved(const struct feeds *feeds)
{
    for (size_t i = 0; i < feeds->count; i++)
        if (feeds->feeds[i].moved)
            return true;
    return false;
}

/* Makes a mark when it is time, or sets the timer for it. */
static void mark_in_time(struct feeds *feeds)
{
    int64_t now = clock_run(), pause = MARK_QUIET;
    if (!feeds->told && !any_moved(feeds)) {
        sd_event_source_set_enabled(feeds->mark_timer, SD_EVENT_OFF);
        return;
    }
    if (feeds->told) {
        pause = MARK_EVERY + (int64_t)feeds->mark_size;
        pause = pause > MARK_LATEST ? MARK_LATEST : pause;
    }
    int64_t due = feeds->mark_run == CLOCK_NEVER ? now : feeds->mark_run + pause;
    if (now >= due) {
        if (make_mark(feeds))
            return;
        due = now + MARK_AGAIN;
    }
    sd_event_source_set_time(feeds->mark_timer, (uint64_t)due);
    sd_event_source_set_enabled(feeds->mark_timer, SD_EVENT_ONESHOT);
}

void feed_moved(struct feed *feed)
{
    feed->moved = true;
}

void feed_begins(struct feed *feed)
{
    if (!feed->moved && feed->run - feed->feeds->mark_run >= MARK_QUIET && !rule_is_idle(feed->reader)) {
        feed->moved = true;
        make_mark(feed->feeds);
    }
}

void feeds_mark_take(struct feeds *feeds, uint64_t number, struct feed_marks *out)
{
    struct feed_marks *marks = atomic_exchange_explicit(&feeds->places[number % MARKS_MAX], NULL, memory_order_acq_rel);
    *out = marks ? *marks : (struct feed_marks){0};
    free(marks);
}

/* ---- status ---- */

static void store_status(struct shared_status *shared, const struct feed_status *status)
{
    uint64_t words[STATUS_WORDS];
    memcpy(words, status, sizeof words);
    uint64_t version = atomic_load_explicit(&shared->version, memory_order_relaxed);
    atomic_store_explicit(&shared->version, version + 1, memory_order_relaxed);
    /* Each released, so that who sees a new word sees that the version moved. */
    for (size_t i = 0; i < STATUS_WORDS; i++)
        atomic_store_explicit(&shared->words[i], words[i], memory_order_release);
    atomic_store_explicit(&shared->version, version + 2, memory_order_release);
}

static void publish(struct feed *feed)
{
    struct rule_counts counts = rule_reader_counts(feed->reader);
    struct feed_status status = feed->status;
    status.lines = counts.lines;
    status.events = counts.events;
    status.unparsed = counts.headless;
    if (counts.errors != feed->errors) {
        text_format(feed->limits, sizeof feed->limits, "rule %s hits its limits on some lines; simplify its pattern",
                    counts.last_error_rule ? counts.last_error_rule : "of the preset");
        if (!feed->errors)
            log_warning("feed", "%s: %s", feed->conf->name, feed->limits);
        feed->errors = counts.errors;
        feed->errors_run = feed->run;
    }
    if (!*status.problem && feed->errors_run != CLOCK_NEVER && feed->run - feed->errors_run < LIMITS_TOLD) {
        memcpy(status.problem, feed->limits, sizeof status.problem);
        status.limits = true;
    }
    store_status(&feed->shared, &status);
}

struct feed_status feeds_status(const struct feeds *feeds, size_t position)
{
    struct feed_status status = {0};
    uint64_t words[STATUS_WORDS], before, after;
    if (position >= feeds->count)
        return status;
    const struct shared_status *shared = &feeds->feeds[position].shared;
    do {
        before = atomic_load_explicit(&shared->version, memory_order_acquire);
        for (size_t i = 0; i < STATUS_WORDS; i++)
            words[i] = atomic_load_explicit(&shared->words[i], memory_order_acquire);
        after = atomic_load_explicit(&shared->version, memory_order_relaxed);
    } while (before != after || before % 2);
    memcpy(&status, words, sizeof status);
    return status;
}

/* ---- the loop ---- */

static bool look(struct feed *feed)
{
    feed->run = clock_run();
    feed->wall = clock_wall();
    return feed->file ? feed_file_look(feed->file, feed->run) : feed_journal_look(feed->journal, feed->run);
}

static int on_turn(sd_event_source *source, void *context)
{
    struct feed *feed = context;
    (void)source;
    bool more = look(feed);
    mark_in_time(feed->feeds);
    if (!offer(feed->feeds))
        sd_event_source_set_enabled(feed->feeds->offer, SD_EVENT_ON);
    else if (more)
        feed_wake(feed);
    publish(feed);
    return 0;
}

static int on_tick(sd_event_source *source, uint64_t time, void *context)
{
    struct feeds *feeds = context;
    for (size_t i = 0; i < feeds->count; i++) {
        struct feed *feed = &feeds->feeds[i];
        if (!is_on(feed) || feeds->blocked)
            continue;
        feed->run = clock_run();
        feed->wall = clock_wall();
        rule_flush(feed->reader, feed->run);
        feed_wake(feed);
    }
    (void)time;
    return sd_event_source_set_time(source, (uint64_t)(clock_run() + CLOCK_SECOND));
}

static int offer_again(struct feeds *feeds)
{
    bool all = offer(feeds);
    for (size_t i = 0; i < feeds->count && all; i++)
        feed_wake(&feeds->feeds[i]);
    return sd_event_source_set_enabled(feeds->offer, all ? SD_EVENT_OFF : SD_EVENT_ON);
}

static int on_offer(sd_event_source *source, uint64_t time, void *context)
{
    struct feeds *feeds = context;
    (void)time;
    sd_event_source_set_time(source, (uint64_t)(clock_run() + OFFER_EVERY));
    return offer_again(feeds);
}

static int on_mark(sd_event_source *source, uint64_t time, void *context)
{
    struct feeds *feeds = context;
    bool blocked = feeds->blocked;
    (void)source;
    (void)time;
    mark_in_time(feeds);
    return blocked || offer(feeds) ? 0 : sd_event_source_set_enabled(feeds->offer, SD_EVENT_ON);
}

static int told_to_stop(sd_event_source *source, int descriptor, uint32_t events, void *context)
{
    const struct feeds *feeds = context;
    (void)source;
    (void)descriptor;
    (void)events;
    return sd_event_exit(feeds->loop, 0);
}

static void *run(void *context)
{
    struct feeds *feeds = context;
    int result = sd_event_loop(feeds->loop);
    if (result < 0)
        log_error("feed", "the event loop of the feeds ended: %s; no log is read any more, restart",
                  strerrordesc_np(-result));
    return NULL;
}

/* ---- start ---- */

bool feeds_check(const struct conf *conf, struct conf_errors *errors)
{
    bool good = true;
    for (size_t i = 0; i < conf->feed_count; i++) {
        struct rule_set *set = rule_set_load(conf->feeds[i].preset, conf->feeds[i].head, errors);
        good = good && set;
        rule_set_free(set);
    }
    return good;
}

/* The rules of a feed; NULL with the first mistake in `problem`. */
static const struct rule_set *rules_of(struct feeds *feeds, const struct conf_feed *conf, char *problem, size_t size)
{
    for (size_t i = 0; i < feeds->rules_count; i++)
        if (strcmp(feeds->rules[i].preset, conf->preset) == 0 && strcmp(feeds->rules[i].head, conf->head) == 0)
            return feeds->rules[i].set;
    struct conf_errors errors = {0};
    struct rule_set *set = rule_set_load(conf->preset, conf->head, &errors);
    *problem = '\0';
    if (set)
        feeds->rules[feeds->rules_count++] = (struct rules){conf->preset, conf->head, set};
    else if (errors.count)
        conf_error_text(&errors.errors[0], problem, size);
    conf_errors_clear(&errors);
    return set;
}

/* Where the feed was left; NULL nowhere. What is left of the mark is the rules'. */
static struct feed_state *find_state(const struct feed *feed, const struct feed_marks *from, struct unpack *rest)
{
    *rest = (struct unpack){.bad = true};
    for (size_t i = 0; from && i < from->count; i++) {
        if (strcmp(from->marks[i].feed, feed->conf->name) != 0)
            continue;
        struct feed_state *state = calloc(1, sizeof *state);
        if (!state)
            abort();
        *rest = (struct unpack){.data = from->marks[i].data, .length = from->marks[i].length};
        if (feed_state_unpack(rest, state))
            return state;
        free(state);
        log_warning("feed", "%s: how far the log was read cannot be understood; it is followed from its end",
                    feed->conf->name);
    }
    return NULL;
}

static bool feed_make(struct feed *feed, const struct feed_marks *from)
{
    char problem[512];
    feed->rules = rules_of(feed->feeds, feed->conf, problem, sizeof problem);
    if (!feed->rules) {
        log_error("feed", "%s: the preset cannot be used, nothing is read: %s", feed->conf->name, problem);
        text_copy(feed->status.problem, sizeof feed->status.problem, problem);
        store_status(&feed->shared, &feed->status);
        return true;
    }
    if (sd_event_add_defer(feed->feeds->loop, &feed->turn, on_turn, feed) < 0)
        return false;
    feed->run = clock_run();
    feed->wall = clock_wall();
    feed->reader = rule_reader_new(feed->rules, feed->feeds->conf, found, feed);
    struct unpack rest;
    struct feed_state *state = find_state(feed, from, &rest);
    if (feed->conf->journal)
        feed->journal = feed_journal_new(feed, state);
    else
        feed->file = feed_file_new(feed, state);
    if (state)
        rule_unpack(feed->reader, &rest, feed->run);
    free(state);
    feed->moved = true;
    publish(feed);
    return true;
}

static bool loop_make(struct feeds *feeds)
{
    feeds->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    feeds->buffer = malloc(BUFFER_SIZE);
    if (feeds->stop < 0 || !feeds->buffer || sd_event_new(&feeds->loop) < 0 ||
        sd_event_add_io(feeds->loop, &feeds->stop_source, feeds->stop, EPOLLIN, told_to_stop, feeds) < 0 ||
        sd_event_add_time(feeds->loop, &feeds->tick, CLOCK_BOOTTIME, (uint64_t)(clock_run() + CLOCK_SECOND), 1000,
                          on_tick, feeds) < 0 ||
        sd_event_add_time(feeds->loop, &feeds->offer, CLOCK_BOOTTIME, 0, 1000, on_offer, feeds) < 0 ||
        sd_event_add_time(feeds->loop, &feeds->mark_timer, CLOCK_BOOTTIME, 0, 1000, on_mark, feeds) < 0)
        return false;
    sd_event_source_set_priority(feeds->stop_source, SD_EVENT_PRIORITY_IMPORTANT);
    sd_event_source_set_enabled(feeds->tick, SD_EVENT_ON);
    sd_event_source_set_enabled(feeds->offer, SD_EVENT_OFF);
    feeds->mark_run = CLOCK_NEVER;
    return true;
}

struct feeds *feeds_start(const struct conf *conf, struct queue *queue, const struct feed_marks *from)
{
    struct feeds *feeds = calloc(1, sizeof *feeds + conf->feed_count * sizeof feeds->feeds[0]);
    bool made = feeds != NULL, any = false;
    if (feeds) {
        feeds->conf = conf;
        feeds->queue = queue;
        feeds->stop = -1;
        feeds->rules = calloc(conf->feed_count ? conf->feed_count : 1, sizeof *feeds->rules);
        made = feeds->rules && loop_make(feeds);
    }
    for (size_t i = 0; made && i < conf->feed_count; i++) {
        feeds->feeds[i].feeds = feeds;
        feeds->feeds[i].conf = &conf->feeds[i];
        feeds->count = i + 1;
        if (conf->feeds[i].enabled) {
            made = feed_make(&feeds->feeds[i], from);
            any = any || is_on(&feeds->feeds[i]);
        }
    }
    if (made && any) {
        feeds->thread = collector_thread_start("feeds", run, feeds);
        made = feeds->thread != NULL;
    }
    if (made)
        return feeds;
    log_error("feed", "the thread of the feeds cannot be started: %s; raise the limits (LimitNOFILE, TasksMax)",
              strerror(errno));
    feeds_free(feeds);
    return NULL;
}

/* ---- end ---- */

static void join(struct feeds *feeds)
{
    if (!feeds->thread)
        return;
    atomic_store(&feeds->stopping, true);
    eventfd_write(feeds->stop, 1);
    collector_thread_join(feeds->thread);
    feeds->thread = NULL;
}

bool feeds_stop(struct feeds *feeds)
{
    if (!feeds)
        return true;
    join(feeds);
    for (size_t i = 0; i < feeds->count; i++)
        if (is_on(&feeds->feeds[i]))
            publish(&feeds->feeds[i]);
    if (!offer(feeds) || ((feeds->told || any_moved(feeds)) && !make_mark(feeds)))
        return false;
    return offer(feeds);
}

void feeds_marks(struct feeds *feeds, struct feed_marks *out)
{
    for (size_t i = 0; i < feeds->count; i++)
        if (is_on(&feeds->feeds[i]))
            pack_feed(&feeds->feeds[i], out);
}

void feeds_free(struct feeds *feeds)
{
    if (!feeds)
        return;
    join(feeds);
    for (size_t i = 0; i < feeds->count; i++) {
        struct feed *feed = &feeds->feeds[i];
        feed_file_free(feed->file);
        feed_journal_free(feed->journal);
        rule_reader_free(feed->reader);
        sd_event_source_disable_unref(feed->turn);
    }
    for (size_t i = 0; i < MARKS_MAX; i++) {
        struct feed_marks *marks = atomic_load_explicit(&feeds->places[i], memory_order_acquire);
        if (marks)
            feed_marks_clear(marks);
        free(marks);
    }
    for (size_t i = 0; i < feeds->rules_count; i++)
        rule_set_free(feeds->rules[i].set);
    sd_event_source_disable_unref(feeds->tick);
    sd_event_source_disable_unref(feeds->offer);
    sd_event_source_disable_unref(feeds->mark_timer);
    sd_event_source_disable_unref(feeds->stop_source);
    sd_event_unref(feeds->loop);
    if (feeds->stop >= 0)
        close(feeds->stop);
    free(feeds->buffer);
    free(feeds->outbox);
    free(feeds->rules);
    free(feeds);
}

const char *feeds_journal_dir(void)
{
    const char *folder = getenv("FEDWARDEN_JOURNAL");
    return folder && *folder ? folder : NULL;
}
