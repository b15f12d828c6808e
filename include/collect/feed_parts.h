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
 *   feed_gzip.c     what a log holds that was compressed
 *   feed_find.c     where a file is that was read before
 *   feed_mark.c     how far a feed was read, as octets
 */

#include <systemd/sd-event.h>

#include "collect/feed.h"
#include "collect/pack.h"

struct feed;

#define FILES_MAX    256 /* of one feed */
#define FINISHED_MAX 64

/* The first octets of a log, by which it is known again: an inode number is given out anew. */
#define FEED_HEAD_MAX 256
struct feed_head {
    uint64_t hash;
    uint32_t length; /* of them that were there */
};

/* How far one file was read. */
struct feed_position {
    char name[OBSERVATION_NAME]; /* in its folder, under which it was followed */
    uint64_t device, inode;
    uint64_t offset; /* of the first line that was not read whole; of a compressed file, of what it holds */
    bool skipping;   /* offset lies within a line of which enough was read */
    struct feed_head head;
};

/* How far a feed was read. */
struct feed_state {
    bool begun;       /* false: the journal could not be opened yet, nothing is known */
    uint64_t log;     /* hash of what the feed followed: with another setting the state means nothing */
    int64_t survey;   /* file system's clock, nanoseconds: files born later are not known yet */
    char cursor[256]; /* of the journal, "" none */
    size_t finished_count;
    struct feed_head finished[FINISHED_MAX]; /* of files that were read to their end, newest first */
    size_t count;
    struct feed_position positions[FILES_MAX]; /* in the order in which they are to be read */
};

/*
 * feed_state_pack(state, pack): appends it. feed_state_unpack(unpack, state): false when it is none; any octets.
 */
void feed_state_pack(const struct feed_state *state, struct pack *pack);
bool feed_state_unpack(struct unpack *unpack, struct feed_state *state);

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
/* feed_moved(feed): what feed_state would tell is not what it was. */
void feed_moved(struct feed *feed);
/* feed_begins(feed): lines are about to be read, and nothing was told or moved in this look. */
void feed_begins(struct feed *feed);
const struct conf_feed *feed_conf(const struct feed *feed);
sd_event *feed_loop(const struct feed *feed);
/* feed_buffer(feed, size): room for reading, of the thread: what it holds is gone after the look. */
char *feed_buffer(const struct feed *feed, size_t *size);
/* feed_hash(data, length): for positions. */
uint64_t feed_hash(const void *data, size_t length);

/* ---- compressed files ---- */

struct feed_gzip; /* 200 KiB: made when it is read */
struct feed_gzip *feed_gzip_new(void);
void feed_gzip_free(struct feed_gzip *gzip); /* NULL is allowed */
/*
 * feed_gzip_read(gzip, descriptor, data, size, offset, later): of what the file holds; `offset` never before that of the
 * last call. 0: its end so far, or `later` is set: call again to come nearer. -1 with errno.
 * feed_gzip_ended: whether all that it holds was unpacked.
 */
ssize_t feed_gzip_read(struct feed_gzip *gzip, int descriptor, void *data, size_t size, uint64_t offset, bool *later);
bool feed_gzip_ended(const struct feed_gzip *gzip);
/* feed_gzip_is(descriptor): by its first octets. feed_gzip_time: when the original was written, seconds; 0 unknown. */
bool feed_gzip_is(int descriptor);
int64_t feed_gzip_time(int descriptor);
/* feed_gzip_head(descriptor, data, size): the first octets of what it holds. */
size_t feed_gzip_head(int descriptor, unsigned char *data, size_t size);

/* ---- files of before ---- */

#define FOLDER_MAX    10000 /* entries that are looked at */
#define COPY_HEAD_MIN 16    /* octets that must be the same in a copy */

struct feed_place {
    char name[OBSERVATION_NAME]; /* in its folder; "" nowhere */
    uint64_t device, inode;
    bool moved, compressed; /* moved: it is another file with the same octets */
};

/*
 * feed_find(folder, position, place): where what was read up to `position` is now: the file itself, a copy that has its
 * head and reaches so far, or one that was compressed. False: nowhere.
 */
bool feed_find(const char *folder, const struct feed_position *position, struct feed_place *place);
/* feed_is_rotated(name, log): whether rotation may have given it to a log: "a.log.1", "a.log-20260131.gz", "a-20260131.log" */
bool feed_is_rotated(const char *name, const char *log);
/* feed_same_head(head, data, length): whether a file that begins with `data` can be one that began with `head`. */
bool feed_same_head(const struct feed_head *head, const unsigned char *data, size_t length);

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
    bool compressed, drained; /* drained: the last look came to the end */
    struct feed_gzip *gzip;   /* of a compressed one that is being read */
};

enum tail_state { TAIL_END = 1, TAIL_MORE, TAIL_STOPPED, TAIL_BAD };

/* tail_check(tail): reads the head; whether the file is still what was read so far. It learns more of the head. */
bool tail_check(struct tail *tail);
/* tail_read(tail, feed, run): one buffer of lines. TAIL_BAD: it cannot be read, errno. */
enum tail_state tail_read(struct tail *tail, struct feed *feed, int64_t run);
/* tail_unread(tail): whether there is more than was read. */
bool tail_unread(const struct tail *tail);
/* tail_end_part(tail, feed): tells a line that will get no end. */
void tail_end_part(struct tail *tail, struct feed *feed);

/* ---- what a feed follows ---- */

struct feed_file;
/* feed_file_new(feed, from): finds its files and how far each was read; `from` NULL: it begins. */
struct feed_file *feed_file_new(struct feed *feed, const struct feed_state *from);
void feed_file_free(struct feed_file *file);
/* feed_file_look(file, run): looks for rotation, reads; whether there is more to read at once. */
bool feed_file_look(struct feed_file *file, int64_t run);
/* feed_file_state(file, out): of a zeroed state. The same for the journal. */
void feed_file_state(const struct feed_file *file, struct feed_state *out);

struct feed_journal;
struct feed_journal *feed_journal_new(struct feed *feed, const struct feed_state *from);
void feed_journal_free(struct feed_journal *journal);
bool feed_journal_look(struct feed_journal *journal, int64_t run);
void feed_journal_state(const struct feed_journal *journal, struct feed_state *out);

#endif
