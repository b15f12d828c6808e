#ifndef FEDWARDEN_COLLECT_FEED_PARTS_H
#define FEDWARDEN_COLLECT_FEED_PARTS_H

/*
 * What the feed*.c files share; nobody else includes it. All of it belongs to the thread of the feeds, before it is
 * started and after it has ended to the one that starts and ends it.
 *
 *   feed.c          the thread: which feed looks when, lines to rules, events to the queue
 *   feed_file.c     which files a feed follows: names, rotation, patterns
 *   feed_tail.c     one file: how far it is read, whether it is still the same
 *   feed_journal.c  systemd's journal
 */

#include <systemd/sd-event.h>

#include "collect/feed.h"

struct feed;

/*
 * feed_line(feed, line, length): one line without its end. False: stop reading here, the line was taken; the feed is
 * woken when it may go on.
 */
bool feed_line(struct feed *feed, const char *line, size_t length);
/* feed_blocked(feed): feed_line would say so before the next line. */
bool feed_blocked(const struct feed *feed);
/* feed_problem(feed, readable, format, ...): what keeps the log from being read; "" nothing. Logged when it changes. */
void feed_problem(struct feed *feed, bool readable, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* feed_wake(feed): it looks again soon. */
void feed_wake(struct feed *feed);
const struct conf_feed *feed_conf(const struct feed *feed);
sd_event *feed_loop(const struct feed *feed);
/* feed_buffer(feed, size): room for reading, of the thread: what it holds is gone after the look. */
char *feed_buffer(const struct feed *feed, size_t *size);
/* feed_hash(data, length): for positions. */
uint64_t feed_hash(const void *data, size_t length);
/* feed_position_add(out, feed): one more, with the name of the feed. */
struct feed_position *feed_position_add(struct feed_positions *out, const struct feed *feed);

/* ---- one file ---- */

struct tail {
    int descriptor; /* -1: known, but not read */
    uint64_t device, inode;
    uint64_t offset; /* of the first line that was not read whole */
    bool skipping;   /* offset lies within a line that was cut */
    struct feed_head head, before; /* before: until it was truncated */
    char log[OBSERVATION_NAME];    /* name in its folder under which it was followed */
    bool present;      /* a name of the feed leads to it */
    bool seen;         /* in this survey */
    int64_t grown;     /* run time at which it was last longer than before */
    uint64_t size;     /* when it was last looked at */
    uint64_t part;     /* octets of a line without an end that were there at the last look */
    int64_t part_run;  /* since when there are as many */
    sd_event_source *watch;
};

enum tail_state { TAIL_END = 1, TAIL_MORE, TAIL_STOPPED, TAIL_BAD };

/* tail_check(tail): reads the head; whether the file is still what was read so far. It learns more of the head. */
bool tail_check(struct tail *tail);
/* tail_read(tail, feed, run): one buffer of lines. TAIL_BAD: it cannot be read, errno. */
enum tail_state tail_read(struct tail *tail, struct feed *feed, int64_t run);
/* tail_end_part(tail, feed): tells a line that will get no end. */
void tail_end_part(struct tail *tail, struct feed *feed);

/* ---- what a feed follows ---- */

struct feed_file;
/* feed_file_new(feed, from): finds its files and how far each was read. */
struct feed_file *feed_file_new(struct feed *feed, const struct feed_positions *from);
void feed_file_free(struct feed_file *file);
/* feed_file_look(file, run): looks for rotation, reads; whether there is more to read at once. */
bool feed_file_look(struct feed_file *file, int64_t run);
void feed_file_positions(const struct feed_file *file, struct feed_positions *out);

struct feed_journal;
struct feed_journal *feed_journal_new(struct feed *feed, const struct feed_positions *from);
void feed_journal_free(struct feed_journal *journal);
bool feed_journal_look(struct feed_journal *journal, int64_t run);
void feed_journal_positions(const struct feed_journal *journal, struct feed_positions *out);

#endif
