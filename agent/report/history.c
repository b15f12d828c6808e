/*
 * The handle, the main thread's. What changes waits in two places: rows of the ledger in the ledger itself, which knows
 * which of them changed, and what is appended in `waiting`. When the thread is free and it is time, both are copied into a
 * batch, with the marks of feeds that changed, and the batch is the thread's until it is stored. Meanwhile changes gather
 * as before. So a disk that is slow, full or away costs no memory but the one batch and what is appended, which is
 * bounded; and nothing of a failed batch has to be found again, because it is never given up.
 *
 * Only where the file is another one than before (it was removed, replaced or damaged) a batch comes back unwritten. Then
 * the next one is whole: every row that there is, all marks, and what the one that came back had to append.
 *
 * A batch is begun at once for a transition, because its notification waits for that, otherwise not sooner than GAP_MIN
 * and four times what the last one took after the last one began: rows that change again and again are written once. While
 * a sender of the inbox waits for its answer, twice what it took is enough: half of the time is left to gather more.
 */
#include "report/history_parts.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"

#define GAP_MIN     (CLOCK_SECOND / 4)
#define GAP_MAX     (5 * CLOCK_SECOND)
#define ALIVE       (10 * CLOCK_SECOND) /* a batch at least so often: readers see that a daemon writes */
#define CLOSE_MS    10000
#define CARRIED_MAX 50000 /* appended rows that are taken from one batch to the next */

struct kept_mark {
    char feed[CONF_NAME_MAX + 1];
    uint64_t skip;
    struct history_octets *octets; /* NULL: none */
    enum mark_change change;       /* 0: the file has it so */
};

struct history {
    struct history_file file;      /* the main thread's until the first batch is given, then the writing thread's */
    struct history_thread *thread; /* NULL: nothing is ever written, for the reason in `problem` */
    char problem[HISTORY_PROBLEM];
    struct history_waiting *waiting;
    struct history_keep keep;
    uint64_t number, stored; /* of batches: begun last, stored last */
    bool begun;              /* the first one was */
    bool busy;               /* the thread has one */
    bool want_whole;
    bool hurry;              /* somebody waits for the next one */
    bool base_known;
    struct history_batch *carried; /* came back; what it appends goes into the next one */
    int64_t begun_run;
    uint64_t lost; /* of what was carried */
    size_t mark_count, mark_room;
    struct kept_mark *marks;
    size_t loaded_count;
    struct history_mark *loaded; /* those of before, until the first batch */
};

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);
    if (!memory)
        abort();
    return memory;
}

/* ---- marks ---- */

static struct kept_mark *find_mark(struct history *history, const char *feed)
{
    for (size_t i = 0; i < history->mark_count; i++)
        if (strcmp(history->marks[i].feed, feed) == 0)
            return &history->marks[i];
    return NULL;
}

static struct kept_mark *make_mark(struct history *history, const char *feed)
{
    struct kept_mark *mark = find_mark(history, feed);
    if (mark)
        return mark;
    if (history->mark_count == history->mark_room) {
        history->mark_room = history->mark_room ? 2 * history->mark_room : 8;
        history->marks = reallocarray(history->marks, history->mark_room, sizeof *history->marks);
        if (!history->marks)
            abort();
    }
    mark = &history->marks[history->mark_count++];
    *mark = (struct kept_mark){0};
    text_copy(mark->feed, sizeof mark->feed, feed);
    return mark;
}

void history_mark(struct history *history, const struct history_mark *mark)
{
    struct kept_mark *kept = make_mark(history, mark->feed);
    bool whole = mark->data || kept->change == MARK_WHOLE || kept->change == MARK_GONE;
    kept->skip = mark->skip;
    if (mark->data) {
        history_octets_drop(kept->octets);
        kept->octets =
            history_octets_new(mark->data, mark->length < HISTORY_MARK_MAX ? mark->length : HISTORY_MARK_MAX);
    }
    kept->change = whole ? MARK_WHOLE : MARK_SKIP;
}

void history_forget_mark(struct history *history, const char *feed)
{
    struct kept_mark *kept = find_mark(history, feed);
    if (!kept)
        return;
    history_octets_drop(kept->octets);
    kept->octets = NULL;
    kept->change = MARK_GONE;
}

static bool marks_changed(const struct history *history)
{
    for (size_t i = 0; i < history->mark_count; i++)
        if (history->marks[i].change)
            return true;
    return false;
}

/* Those that changed, or all, into the batch; those that are gone are forgotten. */
static void take_marks(struct history *history, struct history_batch *batch)
{
    size_t left = 0;
    batch->marks = allocate(history->mark_count, sizeof *batch->marks);
    for (size_t i = 0; i < history->mark_count; i++) {
        struct kept_mark *kept = &history->marks[i];
        enum mark_change change = batch->whole && kept->change != MARK_GONE ? MARK_WHOLE : kept->change;
        if (change) {
            struct history_mark_change *taken = &batch->marks[batch->mark_count++];
            *taken = (struct history_mark_change){.change = change, .skip = kept->skip};
            text_copy(taken->feed, sizeof taken->feed, kept->feed);
            if (change == MARK_WHOLE && kept->octets) {
                taken->octets = kept->octets;
                kept->octets->users++;
            }
        }
        kept->change = 0;
        if (change != MARK_GONE)
            history->marks[left++] = *kept;
    }
    history->mark_count = left;
}

static int load_marks(struct history *history)
{
    sqlite3_stmt *statement;
    int code =
        sqlite3_prepare_v2(history->file.db, "SELECT feed, skip, data FROM marks ORDER BY feed", -1, &statement, NULL);
    if (code != SQLITE_OK)
        return code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        const char *feed = (const char *)sqlite3_column_text(statement, 0);
        const void *data = sqlite3_column_blob(statement, 2);
        int length = sqlite3_column_bytes(statement, 2);
        if (!feed || !*feed || strlen(feed) > CONF_NAME_MAX || length < 0 || (unsigned)length > HISTORY_MARK_MAX)
            continue;
        struct kept_mark *kept = make_mark(history, feed);
        kept->skip = (uint64_t)sqlite3_column_int64(statement, 1);
        kept->octets = length ? history_octets_new(data, (size_t)length) : NULL;
    }
    sqlite3_finalize(statement);
    history->loaded_count = history->mark_count;
    history->loaded = allocate(history->mark_count, sizeof *history->loaded);
    for (size_t i = 0; i < history->mark_count; i++) {
        struct kept_mark *kept = &history->marks[i];
        history->loaded[i] = (struct history_mark){.skip = kept->skip};
        text_copy(history->loaded[i].feed, sizeof history->loaded[i].feed, kept->feed);
        if (kept->octets) {
            history->loaded[i].data = kept->octets->data;
            history->loaded[i].length = kept->octets->length;
            kept->octets->users++; /* the array's */
        }
    }
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static void drop_loaded(struct history *history)
{
    for (size_t i = 0; i < history->loaded_count; i++)
        if (history->loaded[i].data)
            history_octets_drop((struct history_octets *)((const char *)history->loaded[i].data -
                                                          offsetof(struct history_octets, data)));
    free(history->loaded);
    history->loaded = NULL;
    history->loaded_count = 0;
}

size_t history_marks(const struct history *history, const struct history_mark **out)
{
    *out = history->loaded;
    return history->loaded_count;
}

/* ---- opening, loading ---- */

static enum history_opened set_aside_and_begin(struct history *history, char *problem, size_t size)
{
    char again[HISTORY_PROBLEM] = "";
    if (!history_file_set_aside(&history->file, problem, size))
        return HISTORY_NONE;
    if (history_file_open(&history->file, false, again, sizeof again) != FILE_MADE) {
        text_append(problem, size, ". A new one cannot be begun: %s", again);
        return HISTORY_NONE;
    }
    text_append(problem, size,
                ", and a new one is begun: counters begin again. If \"sqlite3 FILE .recover\" finds nothing"
                " that you want in it, remove it");
    return HISTORY_BROKEN;
}

static enum history_opened open_file(struct history *history, char *problem, size_t size)
{
    switch (history_file_open(&history->file, true, problem, size)) {
    case FILE_OPEN:
        if (load_marks(history) != SQLITE_OK) {
            text_format(problem, size, "%s cannot be read: %s", history->file.path, sqlite3_errmsg(history->file.db));
            return set_aside_and_begin(history, problem, size);
        }
        return HISTORY_KEPT;
    case FILE_MADE:
        return HISTORY_NEW;
    case FILE_DAMAGED:
        return set_aside_and_begin(history, problem, size);
    case FILE_TAKEN:
        return HISTORY_TAKEN;
    default:
        if (history_file_read(&history->file) != FILE_OPEN || load_marks(history) != SQLITE_OK)
            return HISTORY_NONE;
        text_append(problem, size, ". It is read, and goes on in memory until it can be written");
        return HISTORY_KEPT;
    }
}

struct history *history_open(const char *path, enum history_opened *opened, char *problem, size_t size)
{
    struct history *history = allocate(1, sizeof *history);
    char text[HISTORY_PROBLEM] = "";
    history_file_init(&history->file, path);
    history->waiting = history_waiting_new();
    *opened = open_file(history, text, sizeof text);
    history->file.continues = *opened != HISTORY_NONE && *opened != HISTORY_TAKEN;
    history->want_whole = *opened != HISTORY_KEPT;
    text_copy(history->problem, sizeof history->problem, text);
    if (*opened != HISTORY_TAKEN)
        history->thread = history_thread_start(&history->file);
    if (*opened != HISTORY_TAKEN && !history->thread) {
        *opened = HISTORY_NONE;
        text_format(text, sizeof text, "the thread that writes %s cannot be started", path);
        text_copy(history->problem, sizeof history->problem, text);
    }
    if (history->thread && (!history->file.continues || history->file.only_read))
        history_thread_fail(history->thread, text);
    text_copy(problem, size, text);
    return history;
}

/* Once: from then on both clocks are those of this process. */
static void know_base(struct history *history, int64_t wall, int64_t run)
{
    struct history_clock clock;
    if (history->base_known)
        return;
    history->base_known = true;
    history->file.base = history->file.db && history_load_clock(history->file.db, &clock)
                             ? history_base(&clock, history->file.boot, wall, run)
                             : wall - run;
}

struct ledger *history_load(struct history *history, int64_t wall, int64_t run, ledger_report *report, void *context)
{
    int code = SQLITE_OK;
    know_base(history, wall, run);
    if (!history->file.db)
        return NULL;
    struct ledger *ledger =
        history_load_ledger(history->file.db, history->file.base, wall, run, report, context, &code);
    if (!ledger)
        history->want_whole = true;
    if (code != SQLITE_OK) {
        log_error("history", "%s cannot be read: %s", history->file.path, sqlite3_errstr(code));
        history_file_close(&history->file);
        history->file.continues = false;
    }
    return ledger;
}

size_t history_unsent(struct history *history, size_t most, history_each_transition *each, void *context)
{
    return history->file.db ? history_load_unsent(history->file.db, history->file.base, most, each, context) : 0;
}

/* ---- what is appended ---- */

void history_transition(struct history *history, const struct transition *transition)
{
    history_waiting_transition(history->waiting, transition);
}

void history_verdict(struct history *history, const struct ledger_partner *partner, int64_t wall)
{
    struct history_verdict_row row = {.wall = wall, .health = partner->health, .reason = partner->reason};
    text_copy(row.partner, sizeof row.partner, partner->conf ? partner->conf->name : "");
    history_waiting_verdict(history->waiting, &row);
}

void history_failure(struct history *history, const struct ledger_failure *failure, enum event event, uint32_t count,
                     const struct ledger_partner *partner, const struct ledger_source *source)
{
    struct history_failure_row row = {.wall = failure->wall,
                                      .event = event,
                                      .reason = failure->reason,
                                      .count = count,
                                      .address = failure->address,
                                      .port = failure->port};
    text_copy(row.partner, sizeof row.partner, partner && partner->conf ? partner->conf->name : "");
    text_copy(row.target, sizeof row.target, failure->target);
    text_copy(row.detail, sizeof row.detail, failure->detail);
    history_waiting_failure(history->waiting, &row, partner ? partner->index : 0, source ? source->index : 0);
}

void history_sent(struct history *history, uint64_t sequence)
{
    history_waiting_sent(history->waiting, sequence);
}

void history_limits(struct history *history, const struct conf *conf)
{
    history->keep = (struct history_keep){.days = conf->history.days,
                                          .transitions = conf->history.transitions,
                                          .verdicts = conf->history.verdicts,
                                          .failures = conf->history.failures};
}

/* ---- batches ---- */

static void collect(struct history *history)
{
    enum write_outcome outcome;
    struct history_batch *batch = history->thread ? history_thread_take(history->thread, &outcome) : NULL;
    if (!batch)
        return;
    history->busy = false;
    if (outcome == WRITE_STORED) {
        history->stored = batch->number;
        history_batch_free(batch);
        return;
    }
    history->want_whole = true;
    history->carried = batch;
}

/* What the batch that came back had to append is part of this one. */
static void take_carried(struct history *history, struct history_batch *batch)
{
    struct history_batch *carried = history->carried;
    if (!carried)
        return;
    history->carried = NULL;
    if (carried->appended.rows > CARRIED_MAX) {
        history->lost += carried->appended.rows;
    } else {
        batch->appended = carried->appended;
        batch->sent = carried->sent;
        batch->sent_count = carried->sent_count;
        carried->appended = (struct history_buffer){0};
        carried->sent = NULL;
    }
    history_batch_free(carried);
}

static void take_row(void *context, enum ledger_row kind, const uint32_t key[INDEX_PARTS], const void *row)
{
    struct history_batch *batch = context;
    if (row || !batch->whole)
        history_pack(&batch->rows, kind, key, row);
}

static void begin(struct history *history, struct ledger *ledger, int64_t wall, int64_t run)
{
    struct history_batch *batch = allocate(1, sizeof *batch);
    know_base(history, wall, run);
    drop_loaded(history);
    *batch = (struct history_batch){
        .number = ++history->number, .whole = history->want_whole, .wall = wall, .run = run, .keep = history->keep};
    take_carried(history, batch);
    history_waiting_take(history->waiting, batch);
    if (batch->whole)
        ledger_changes_all(ledger);
    ledger_changes_take(ledger, batch, take_row);
    take_marks(history, batch);
    history->want_whole = history->hurry = false;
    if (!history->begun && history->file.only_read)
        history_file_close(&history->file);
    history->begun = history->busy = true;
    history->begun_run = run;
    history_thread_give(history->thread, batch);
}

static bool is_time(const struct history *history, const struct ledger *ledger, int64_t run)
{
    int64_t since = run - history->begun_run;
    if (!history->begun || history->want_whole || history_waiting_urgent(history->waiting) || since >= ALIVE)
        return true;
    int64_t took = 1000 * (int64_t)history_thread_counts(history->thread).batch_ms;
    int64_t gap = history->hurry ? 2 * took : 4 * took < GAP_MIN ? GAP_MIN : 4 * took;
    gap = gap > GAP_MAX ? GAP_MAX : gap;
    return since >= gap &&
           (ledger_changes_any(ledger) || history_waiting_any(history->waiting) || marks_changed(history));
}

uint64_t history_step(struct history *history, struct ledger *ledger, int64_t wall, int64_t run)
{
    collect(history);
    if (history->thread && !history->busy && is_time(history, ledger, run))
        begin(history, ledger, wall, run);
    return history->number;
}

void history_hurry(struct history *history)
{
    history->hurry = true;
}

int history_descriptor(const struct history *history)
{
    return history->thread ? history_thread_descriptor(history->thread) : -1;
}

uint64_t history_ended(struct history *history)
{
    collect(history);
    return history->stored;
}

bool history_failing(const struct history *history, char *problem, size_t size)
{
    if (history->thread)
        return history_thread_failing(history->thread, problem, size);
    text_copy(problem, size, history->problem);
    return true;
}

struct history_counts history_counts(const struct history *history)
{
    struct history_counts counts = {0};
    if (history->thread)
        counts = history_thread_counts(history->thread);
    counts.lost = history->lost + history_waiting_lost(history->waiting);
    return counts;
}

static bool wait_for(struct history *history, int64_t until)
{
    int64_t left = until - clock_run();
    if (!history_thread_wait(history->thread, left > 0 ? (int)(left / 1000) : 0))
        return false;
    collect(history);
    return true;
}

/* The batch that is under way, then all that is left; once more when the file has become another one. */
static bool write_rest(struct history *history, struct ledger *ledger, int64_t wall, int64_t run, int64_t until)
{
    history_thread_hurry(history->thread);
    if (history->busy && !wait_for(history, until))
        return false;
    for (int tries = 0; tries < 2; tries++) {
        begin(history, ledger, wall, run);
        if (!wait_for(history, until))
            return false;
        if (history->stored == history->number)
            return true;
    }
    return false;
}

void history_close(struct history *history, struct ledger *ledger, int64_t wall, int64_t run)
{
    char problem[HISTORY_PROBLEM];
    if (!history)
        return;
    int64_t until = clock_run() + CLOSE_MS * 1000;
    if (history->thread && ledger && !write_rest(history, ledger, wall, run, until)) {
        history_failing(history, problem, sizeof problem);
        log_error("history", "what happened last is not stored: %s",
                  *problem ? problem : "the disk did not take it in time");
    }
    int64_t left = until - clock_run();
    if (history->thread && !history_thread_stop(history->thread, left > 1000000 ? (int)(left / 1000) : 1000))
        return; /* the thread is stuck in the disk and uses the file: it stays as it is until the process ends */
    if (!history->thread)
        history_file_end(&history->file);
    drop_loaded(history);
    for (size_t i = 0; i < history->mark_count; i++)
        history_octets_drop(history->marks[i].octets);
    free(history->marks);
    history_batch_free(history->carried);
    history_waiting_free(history->waiting);
    free(history);
}
