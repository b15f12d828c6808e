/*
 * systemd's journal. An entry becomes the line that rsyslog would write of it, "2026-01-31T23:59:59.123456+00:00 host
 * program[pid]: message", so that presets need not know where lines come from. Text of the entry that is not the
 * message is put into one word each, and a line end in the message becomes "#012" as in rsyslog: whoever writes to the
 * journal cannot forge a second line.
 *
 * The position is a cursor. An end of the journal that has no entry yet is its beginning: looking on from "the tail" of
 * an empty match would find nothing ever after.
 */
#include "collect/feed_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <systemd/sd-journal.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "collect/rule.h"

#define ENTRIES_A_LOOK 256
#define LINE_ROOM      (RULE_LINE_MAX + 64)
#define REOPEN_EVERY   (10 * CLOCK_SECOND)

struct feed_journal {
    struct feed *feed;
    sd_journal *journal; /* NULL: not open */
    sd_event_source *watch;
    int64_t opened_run; /* last try */
    bool started;       /* the first time is over: what comes later is new */
    uint64_t log;
    char cursor[256]; /* where it was left, "" none */
    char line[LINE_ROOM];
};

static void add_match(sd_journal *journal, const char *field, const char *value)
{
    char match[512];
    text_format(match, sizeof match, "%s=%s", field, value);
    if (sd_journal_add_match(journal, match, 0) < 0)
        abort();
}

static void add_matches(sd_journal *journal, const struct conf_feed *conf)
{
    char text[300];
    if (*conf->unit) {
        text_format(text, sizeof text, "%s%s", conf->unit, strchr(conf->unit, '.') ? "" : ".service");
        add_match(journal, "_SYSTEMD_UNIT", text);
    }
    if (*conf->identifier)
        add_match(journal, "SYSLOG_IDENTIFIER", conf->identifier);
    for (int priority = 0; conf->priority < 7 && priority <= conf->priority; priority++) {
        text_format(text, sizeof text, "%d", priority);
        add_match(journal, "PRIORITY", text);
    }
}

/* Behind what was read, or at the end of what there is. */
static int seek(struct feed_journal *journal)
{
    if (*journal->cursor) {
        int code = sd_journal_seek_cursor(journal->journal, journal->cursor);
        if (code < 0 || (code = sd_journal_next(journal->journal)) < 0)
            return code;
        /* The entry itself may be gone; then the next one is new. */
        if (code > 0 && sd_journal_test_cursor(journal->journal, journal->cursor) <= 0)
            return sd_journal_previous_skip(journal->journal, 1) > 0 ? 0 : sd_journal_seek_head(journal->journal);
        return 0;
    }
    if (journal->started)
        return sd_journal_seek_head(journal->journal);
    int code = sd_journal_seek_tail(journal->journal);
    if (code < 0 || (code = sd_journal_previous(journal->journal)) < 0)
        return code;
    return code > 0 ? 0 : sd_journal_seek_head(journal->journal);
}

static int changed(sd_event_source *source, int descriptor, uint32_t events, void *context)
{
    struct feed_journal *journal = context;
    (void)source;
    (void)descriptor;
    (void)events;
    int code = sd_journal_process(journal->journal);
    if (code < 0)
        log_info("feed", "%s: the journal tells of no changes (%s): it is looked at once a second",
                 feed_conf(journal->feed)->name, strerror(-code));
    feed_wake(journal->feed);
    return 0;
}

static void close_journal(struct feed_journal *journal)
{
    journal->watch = sd_event_source_disable_unref(journal->watch);
    sd_journal_close(journal->journal);
    journal->journal = NULL;
}

static void open_journal(struct feed_journal *journal, int64_t run)
{
    const char *folder = feeds_journal_dir();
    journal->opened_run = run;
    int code = folder ? sd_journal_open_directory(&journal->journal, folder, 0)
                      : sd_journal_open(&journal->journal, SD_JOURNAL_LOCAL_ONLY);
    if (code < 0) {
        journal->journal = NULL;
        feed_problem(journal->feed, false, "the journal%s%s cannot be opened: %s", folder ? " in " : "",
                     folder ? folder : "", strerror(-code));
        return;
    }
    sd_journal_set_data_threshold(journal->journal, LINE_ROOM);
    if (!folder && sd_journal_has_runtime_files(journal->journal) <= 0 &&
        sd_journal_has_persistent_files(journal->journal) <= 0) {
        feed_problem(journal->feed, false,
                     "no file of the journal can be read; add the user of fedwarden to the group systemd-journal");
        close_journal(journal);
        return;
    }
    add_matches(journal->journal, feed_conf(journal->feed));
    int descriptor = sd_journal_get_fd(journal->journal);
    if (descriptor >= 0)
        sd_event_add_io(feed_loop(journal->feed), &journal->watch, descriptor, EPOLLIN, changed, journal);
    code = seek(journal);
    if (code < 0) {
        feed_problem(journal->feed, false, "the journal cannot be read: %s", strerror(-code));
        close_journal(journal);
        return;
    }
    journal->started = true;
    feed_problem(journal->feed, true, "%s", "");
}

/* The value of a field; NULL when it has none. It lives until the next one is asked for. */
static const char *field(sd_journal *journal, const char *name, size_t *length)
{
    const void *data;
    size_t size, prefix = strlen(name) + 1;
    if (sd_journal_get_data(journal, name, &data, &size) < 0 || size < prefix)
        return NULL;
    *length = size - prefix;
    return (const char *)data + prefix;
}

/* One word of the head of a line: letters, digits and what names are made of; the first of two fields that is there. */
static void append_word(struct feed_journal *journal, size_t *used, const char *first, const char *second)
{
    size_t length;
    const char *value = field(journal->journal, first, &length);
    if (!value && second)
        value = field(journal->journal, second, &length);
    if (!value || !length) {
        journal->line[(*used)++] = '-';
        return;
    }
    for (size_t i = 0; i < length && i < 128; i++) {
        unsigned char c = (unsigned char)value[i];
        journal->line[(*used)++] = c <= ' ' || c == 0x7f || strchr("[]:", c) ? '_' : (char)c;
    }
}

static void append_pid(struct feed_journal *journal, size_t *used)
{
    size_t length;
    const char *value = field(journal->journal, "SYSLOG_PID", &length);
    if (!value)
        value = field(journal->journal, "_PID", &length);
    size_t digits = 0;
    while (value && digits < length && digits < 10 && value[digits] >= '0' && value[digits] <= '9')
        digits++;
    if (!digits)
        return;
    journal->line[(*used)++] = '[';
    memcpy(journal->line + *used, value, digits);
    *used += digits;
    journal->line[(*used)++] = ']';
}

static size_t append_time(struct feed_journal *journal)
{
    uint64_t wall = 0;
    struct tm parts;
    sd_journal_get_realtime_usec(journal->journal, &wall);
    time_t seconds = (time_t)(wall / CLOCK_SECOND);
    if (!gmtime_r(&seconds, &parts))
        parts = (struct tm){.tm_mday = 1, .tm_year = 70};
    size_t used = strftime(journal->line, 64, "%Y-%m-%dT%H:%M:%S", &parts);
    return used + (size_t)snprintf(journal->line + used, 32, ".%06u+00:00 ", (unsigned)(wall % CLOCK_SECOND));
}

/* The line of the present entry; 0 when it has no message. */
static size_t make_line(struct feed_journal *journal)
{
    size_t length;
    size_t used = append_time(journal);
    append_word(journal, &used, "_HOSTNAME", NULL);
    journal->line[used++] = ' ';
    append_word(journal, &used, "SYSLOG_IDENTIFIER", "_COMM");
    append_pid(journal, &used);
    journal->line[used++] = ':';
    journal->line[used++] = ' ';
    const char *message = field(journal->journal, "MESSAGE", &length);
    if (!message)
        return 0;
    for (size_t i = 0; i < length && used + 4 < LINE_ROOM; i++) {
        if (message[i] != '\n') {
            journal->line[used++] = message[i];
            continue;
        }
        memcpy(journal->line + used, "#012", 4);
        used += 4;
    }
    return used;
}

static void keep_cursor(struct feed_journal *journal)
{
    char *cursor = NULL;
    if (sd_journal_get_cursor(journal->journal, &cursor) >= 0)
        text_copy(journal->cursor, sizeof journal->cursor, cursor);
    free(cursor);
}

bool feed_journal_look(struct feed_journal *journal, int64_t run)
{
    if (!journal->journal && run - journal->opened_run >= REOPEN_EVERY)
        open_journal(journal, run);
    if (!journal->journal)
        return false;
    sd_journal_process(journal->journal);
    for (int i = 0; i < ENTRIES_A_LOOK; i++) {
        if (feed_blocked(journal->feed))
            return false;
        int code = sd_journal_next(journal->journal);
        if (code == 0)
            return false;
        if (code < 0) {
            feed_problem(journal->feed, false, "the journal cannot be read: %s", strerror(-code));
            close_journal(journal);
            return false;
        }
        feed_begins(journal->feed);
        keep_cursor(journal);
        feed_moved(journal->feed);
        size_t length = make_line(journal);
        if (length)
            feed_line(journal->feed, journal->line, length > RULE_LINE_MAX + 1 ? RULE_LINE_MAX + 1 : length);
    }
    return true;
}

struct feed_journal *feed_journal_new(struct feed *feed, const struct feed_state *from)
{
    struct feed_journal *journal = calloc(1, sizeof *journal);
    if (!journal)
        abort();
    const struct conf_feed *conf = feed_conf(feed);
    journal->feed = feed;
    journal->log =
        feed_hash(conf->unit, strlen(conf->unit)) * 31 + feed_hash(conf->identifier, strlen(conf->identifier));
    if (from && from->begun && from->log == journal->log) {
        text_copy(journal->cursor, sizeof journal->cursor, from->cursor);
        journal->started = true;
    }
    open_journal(journal, clock_run());
    if (journal->journal && !*journal->cursor && sd_journal_get_realtime_usec(journal->journal, &(uint64_t){0}) >= 0)
        keep_cursor(journal);
    return journal;
}

void feed_journal_free(struct feed_journal *journal)
{
    if (!journal)
        return;
    close_journal(journal);
    free(journal);
}

void feed_journal_state(const struct feed_journal *journal, struct feed_state *out)
{
    out->begun = journal->started;
    out->log = journal->log;
    text_copy(out->cursor, sizeof out->cursor, journal->cursor);
}
