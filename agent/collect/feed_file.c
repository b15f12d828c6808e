/*
 * Which files a feed follows. A file is known by device and inode, not by its name: a survey asks which files the name
 * or the pattern leads to now. One that was not there before is new and read from its beginning; one that no name leads
 * to any more was rotated away: it stays open and is read to its end, and for LINGER after it last grew, since its
 * writer may still have it open. What took its name is read when the rest of the old one has been, so that lines keep
 * their order; a line without an end delays that for PART_PATIENCE, then it is told as it is.
 *
 * Between two surveys a log may be rotated twice. The file in between then has a name that rotation gives, was born
 * since the survey before the last one, and is unknown; it is read before the newest. After a restart there may be many
 * of them, the older ones compressed: of those the time of the last line counts, which compression keeps, since what was
 * compressed now may have been read long ago.
 *
 * Of a pattern, files that hold compressed data and copies of a file that is followed (copytruncate) are left out.
 *
 * Surveys are done when inotify tells of a change in the folder, and once a second in any case: inotify knows nothing
 * of what other hosts do, and its watches may be used up.
 */
#include "collect/feed_parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"

#define IGNORED_MAX   4096 /* files of a pattern that are known to be none of its logs */
#define LINGER        (60 * CLOCK_SECOND)
#define PART_PATIENCE (2 * CLOCK_SECOND)
#define MISSING_GRACE (60 * CLOCK_SECOND)
#define SURVEY_EVERY  (CLOCK_SECOND * 9 / 10)

struct known { /* a file by its identity */
    uint64_t device, inode;
    bool seen;
};

struct feed_file {
    struct feed *feed;
    char *folder;     /* "." when the path has none */
    const char *name; /* of the file, or the pattern */
    bool pattern;
    uint64_t log;                  /* hash of the setting */
    struct tail *tails[FILES_MAX]; /* in the order in which they were found */
    size_t count, next;            /* next: where the next look begins to read */
    struct known *ignored;
    size_t ignored_count;
    bool surveyed, changed;            /* changed: inotify told of something since the last survey */
    const struct feed_state *resuming; /* what is gone on from, until the first survey is over; NULL */
    bool again;                        /* names changed under the hands of this survey */
    size_t finished_count;
    struct feed_head finished[FINISHED_MAX]; /* of what is not followed any more, newest first */
    int64_t survey_run;
    int64_t survey_time[2]; /* nanoseconds of the file system's clock: of the last survey and the one before */
    int64_t missing_run;    /* since when there is no file; CLOCK_NEVER there is */
    sd_event_source *watch;
    struct known watched; /* the folder; seen: it is watched */
    bool watch_failed;
    char problem[160]; /* of the survey under way */
};

static void complain(struct feed_file *file, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void complain(struct feed_file *file, const char *format, ...)
{
    if (*file->problem)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(file->problem, sizeof file->problem, format, arguments);
    va_end(arguments);
}

static bool make_path(const struct feed_file *file, const char *name, char *out, size_t size)
{
    int length = snprintf(out, size, "%s/%s", strcmp(file->folder, "/") == 0 ? "" : file->folder, name);
    return length > 0 && (size_t)length < size;
}

/* ---- tails ---- */

static struct tail *find_tail(const struct feed_file *file, const struct stat *status)
{
    for (size_t i = 0; i < file->count; i++)
        if (file->tails[i]->device == status->st_dev && file->tails[i]->inode == status->st_ino)
            return file->tails[i];
    return NULL;
}

static int file_grew(sd_event_source *source, const struct inotify_event *event, void *context)
{
    struct feed_file *file = context;
    (void)source;
    (void)event;
    feed_wake(file->feed);
    return 0;
}

static void tail_close(struct tail *tail)
{
    tail->watch = sd_event_source_disable_unref(tail->watch);
    feed_gzip_free(tail->gzip);
    tail->gzip = NULL;
    if (tail->descriptor >= 0)
        close(tail->descriptor);
    tail->descriptor = -1;
}

static void note_finished(struct feed_file *file, const struct feed_head *head)
{
    if (head->length < COPY_HEAD_MIN)
        return;
    if (file->finished_count < FINISHED_MAX)
        file->finished_count++;
    memmove(&file->finished[1], &file->finished[0], (file->finished_count - 1) * sizeof file->finished[0]);
    file->finished[0] = *head;
}

static void remove_tail(struct feed_file *file, size_t position)
{
    tail_close(file->tails[position]);
    free(file->tails[position]);
    file->count--;
    feed_moved(file->feed);
    memmove(&file->tails[position], &file->tails[position + 1], (file->count - position) * sizeof *file->tails);
}

static struct tail *add_tail(struct feed_file *file, const char *log, const struct stat *status)
{
    if (file->count == FILES_MAX) {
        complain(file, "%s/%s: more than %d files: not all are followed; make the pattern narrower", file->folder,
                 file->name, FILES_MAX);
        return NULL;
    }
    struct tail *tail = calloc(1, sizeof *tail);
    if (!tail)
        abort();
    tail->descriptor = -1;
    tail->device = status->st_dev;
    tail->inode = status->st_ino;
    tail->head.hash = feed_hash("", 0);
    tail->grown = clock_run();
    text_copy(tail->log, sizeof tail->log, log);
    file->tails[file->count++] = tail;
    feed_moved(file->feed);
    return tail;
}

/* Opens `path` if it is still the file that `tail` is; `moved` (NULL: does not matter): it is another one or gone. */
static bool open_tail(struct feed_file *file, struct tail *tail, const char *path, bool *moved)
{
    struct stat status;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (descriptor < 0) {
        if (errno == EACCES || errno == EPERM)
            complain(file, "%s: %s; let the user of fedwarden read it (group adm, or setfacl)", path, strerror(errno));
        else if (errno != ENOENT)
            complain(file, "%s: %s", path, strerror(errno));
        else if (moved)
            *moved = true;
        return false;
    }
    if (fstat(descriptor, &status) < 0 || status.st_dev != tail->device || status.st_ino != tail->inode) {
        close(descriptor);
        if (moved)
            *moved = true;
        return false;
    }
    tail->descriptor = descriptor;
    int code = sd_event_add_inotify_fd(feed_loop(file->feed), &tail->watch, descriptor, IN_MODIFY | IN_ATTRIB,
                                       file_grew, file);
    if (code < 0 && !file->watch_failed) {
        file->watch_failed = true;
        log_info("feed", "%s: no watch (%s): it is looked at once a second", path, strerror(-code));
    }
    return true;
}

/* ---- what is no log ---- */

static bool is_ignored(struct feed_file *file, const struct stat *status)
{
    for (size_t i = 0; i < file->ignored_count; i++)
        if (file->ignored[i].device == status->st_dev && file->ignored[i].inode == status->st_ino)
            return file->ignored[i].seen = true;
    return false;
}

static void ignore(struct feed_file *file, const struct tail *tail)
{
    if (file->ignored_count == IGNORED_MAX)
        return;
    if (!file->ignored && !(file->ignored = malloc(IGNORED_MAX * sizeof *file->ignored)))
        abort();
    file->ignored[file->ignored_count++] = (struct known){tail->device, tail->inode, true};
}

static bool is_compressed(const unsigned char *data, size_t length)
{
    static const struct {
        unsigned char octets[6];
        size_t length;
    } magics[] = {
        {{0x1f, 0x8b}, 2},                     /* gzip */
        {{'B', 'Z', 'h'}, 3},                  /* bzip2 */
        {{0xfd, '7', 'z', 'X', 'Z', 0x00}, 6}, /* xz */
        {{0x28, 0xb5, 0x2f, 0xfd}, 4},         /* zstd */
        {{0x04, 0x22, 0x4d, 0x18}, 4},         /* lz4 */
    };
    for (size_t i = 0; i < sizeof magics / sizeof magics[0]; i++)
        if (length >= magics[i].length && memcmp(data, magics[i].octets, magics[i].length) == 0)
            return true;
    return false;
}

/* Whether it holds what another file of its stem holds or held: a copy. */
static bool has_head_of(const struct feed_file *file, const struct tail *tail, const unsigned char *data, size_t length)
{
    for (size_t i = 0; i < file->count; i++) {
        const struct tail *other = file->tails[i];
        if (other != tail && strncmp(tail->log, other->log, strcspn(other->log, ".")) == 0 &&
            (feed_same_head(&other->head, data, length) || feed_same_head(&other->before, data, length)))
            return true;
    }
    return false;
}

static bool is_no_log(const struct feed_file *file, const struct tail *tail)
{
    unsigned char data[FEED_HEAD_MAX];
    ssize_t got = tail->descriptor >= 0 ? pread(tail->descriptor, data, sizeof data, 0) : 0;
    return got > 0 && (is_compressed(data, (size_t)got) || has_head_of(file, tail, data, (size_t)got));
}

/* ---- survey ---- */

static int64_t file_system_time(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return (int64_t)now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

struct born { /* a file that came and was rotated away between two surveys */
    char name[OBSERVATION_NAME];
    struct stat status;
    int64_t time;
};

static int compare_born(const void *left, const void *right)
{
    const struct born *a = left, *b = right;
    return a->time < b->time ? -1 : a->time > b->time;
}

/* When the last line of a compressed file was written, as far as can be told; 0 it is none. */
static int64_t compressed_time(const char *path, const struct statx *status)
{
    int64_t time = (int64_t)status->stx_mtime.tv_sec;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (descriptor < 0)
        return 0;
    bool compressed = feed_gzip_is(descriptor);
    int64_t original = compressed ? feed_gzip_time(descriptor) : 0;
    close(descriptor);
    if (!compressed)
        return 0;
    return original && original < time ? original : time;
}

/* Whether it was followed before, but is not: it was truncated and holds other lines now. */
static bool was_followed(const struct feed_file *file, const struct stat *status)
{
    for (size_t i = 0; i < file->resuming->count; i++)
        if (file->resuming->positions[i].inode == status->st_ino &&
            file->resuming->positions[i].device == status->st_dev)
            return true;
    return false;
}

static bool born_since(const struct feed_file *file, const char *path, int64_t since, struct born *born)
{
    struct statx status;
    if (stat(path, &born->status) < 0 || !S_ISREG(born->status.st_mode) || !born->status.st_size ||
        find_tail(file, &born->status) || statx(AT_FDCWD, path, 0, STATX_BTIME | STATX_MTIME, &status) < 0)
        return false;
    const struct statx_timestamp *time = status.stx_mask & STATX_BTIME ? &status.stx_btime : &status.stx_mtime;
    int64_t came = (int64_t)time->tv_sec * INT64_C(1000000000) + time->tv_nsec;
    born->time = came;
    if (!file->resuming)
        return came >= since;
    born->time = (int64_t)status.stx_mtime.tv_sec * INT64_C(1000000000) + status.stx_mtime.tv_nsec;
    int64_t written = compressed_time(path, &status);
    return (came >= since || was_followed(file, &born->status)) && (!written || written >= since / INT64_C(1000000000));
}

static bool is_finished(const struct feed_file *file, const unsigned char *data, size_t length)
{
    for (size_t i = 0; i < file->finished_count; i++)
        if (feed_same_head(&file->finished[i], data, length))
            return true;
    return false;
}

/* Whether the file that was opened is to be read; learns its head where it is compressed. */
static bool is_between(const struct feed_file *file, struct tail *tail)
{
    unsigned char data[FEED_HEAD_MAX];
    ssize_t got = pread(tail->descriptor, data, sizeof data, 0);
    if (got > 0 && file->resuming && feed_gzip_is(tail->descriptor)) {
        size_t length = feed_gzip_head(tail->descriptor, data, sizeof data);
        tail->compressed = true;
        tail->head = (struct feed_head){feed_hash(data, length), (uint32_t)length};
        return length && !has_head_of(file, tail, data, length) && !is_finished(file, data, length);
    }
    tail_check(tail); /* it may be compressed before it is read */
    return got > 0 && !is_compressed(data, (size_t)got) && !has_head_of(file, tail, data, (size_t)got) &&
           !is_finished(file, data, (size_t)got);
}

/* Adds one of them; false when it has been renamed meanwhile. */
static bool add_between(struct feed_file *file, const char *log, const struct born *born)
{
    char path[4096];
    bool moved = false;
    if (find_tail(file, &born->status) || !make_path(file, born->name, path, sizeof path))
        return true;
    struct tail *tail = add_tail(file, log, &born->status);
    if (!tail)
        return true;
    if (!open_tail(file, tail, path, &moved) || !is_between(file, tail))
        remove_tail(file, file->count - 1);
    return !moved;
}

/*
 * Finds what was called `log` since the survey before the last one and is called otherwise now. False when names changed
 * under its hands: what was not found yet is found by the next survey.
 */
static bool find_between(struct feed_file *file, const char *log, uint64_t inode)
{
    enum { BORN_MAX = 64 };
    DIR *folder = opendir(file->folder);
    struct born *found = folder ? malloc(BORN_MAX * sizeof *found) : NULL;
    size_t count = 0, entries = 0;
    const struct dirent *entry;
    while (found && count < BORN_MAX && entries++ < FOLDER_MAX && (entry = readdir(folder))) {
        char path[4096];
        if (entry->d_ino != inode && feed_is_rotated(entry->d_name, log) &&
            make_path(file, entry->d_name, path, sizeof path) &&
            born_since(file, path, file->survey_time[1], &found[count]))
            text_copy(found[count++].name, sizeof found->name, entry->d_name);
    }
    if (count > 1)
        qsort(found, count, sizeof *found, compare_born);
    bool all = true;
    for (size_t i = 0; i < count && all; i++)
        all = add_between(file, log, &found[i]);
    free(found);
    if (folder)
        closedir(folder);
    return all;
}

static void mark_seen(struct feed_file *file, const char *log)
{
    for (size_t i = 0; i < file->count; i++)
        file->tails[i]->seen |= file->tails[i]->present && (!log || strcmp(file->tails[i]->log, log) == 0);
}

static void survey_again(struct feed_file *file)
{
    file->again = true;
    file->changed = true;
    feed_wake(file->feed);
}

/* A file that `name` leads to and that is not known. */
static void add_new(struct feed_file *file, const char *name, const char *path, const struct stat *status)
{
    if (file->surveyed && file->count < FILES_MAX && !find_between(file, name, status->st_ino)) {
        survey_again(file);
        return;
    }
    struct tail *tail = add_tail(file, name, status);
    if (!tail)
        return;
    tail->present = tail->seen = true;
    if (!file->surveyed)
        tail->offset = tail->size = (uint64_t)status->st_size;
    bool moved = false;
    if (!open_tail(file, tail, path, &moved)) {
        /* Rotated since it was looked at: it must not be known, so that it is found under its other name. */
        if (moved) {
            remove_tail(file, file->count - 1);
            survey_again(file);
        }
        return;
    }
    if (file->pattern && is_no_log(file, tail)) {
        ignore(file, tail);
        remove_tail(file, file->count - 1);
        return;
    }
    tail_check(tail);
}

static void consider(struct feed_file *file, const char *name)
{
    char path[4096];
    struct stat status;
    if (!make_path(file, name, path, sizeof path))
        return;
    if (stat(path, &status) < 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            return;
        complain(file, "%s: %s; let the user of fedwarden into the folder", path, strerror(errno));
        mark_seen(file, name);
        return;
    }
    if (!S_ISREG(status.st_mode)) {
        if (!file->pattern)
            complain(file, "%s is no regular file", path);
        return;
    }
    struct tail *tail = find_tail(file, &status);
    if (!tail && !is_ignored(file, &status)) {
        add_new(file, name, path, &status);
    } else if (tail) {
        tail->present = tail->seen = true;
        if (tail->descriptor < 0)
            open_tail(file, tail, path, NULL);
    }
}

static void consider_all(struct feed_file *file)
{
    DIR *folder = opendir(file->folder);
    const struct dirent *entry;
    size_t entries = 0;
    if (!folder) {
        complain(file, "the folder %s: %s", file->folder, strerror(errno));
        if (errno != ENOENT && errno != ENOTDIR)
            mark_seen(file, NULL);
        return;
    }
    while ((entry = readdir(folder))) {
        if (entries++ == FOLDER_MAX) {
            complain(file, "the folder %s holds more than %d files: not all are looked at", file->folder, FOLDER_MAX);
            mark_seen(file, NULL);
            break;
        }
        if (fnmatch(file->name, entry->d_name, FNM_PERIOD) == 0)
            consider(file, entry->d_name);
    }
    closedir(folder);
}

static int folder_changed(sd_event_source *source, const struct inotify_event *event, void *context)
{
    struct feed_file *file = context;
    (void)source;
    if (event->mask & (IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT))
        file->watched.seen = false;
    else if (event->len && !(event->mask & IN_Q_OVERFLOW) &&
             (file->pattern ? fnmatch(file->name, event->name, FNM_PERIOD) : strcmp(file->name, event->name)) != 0)
        return 0;
    file->changed = true;
    feed_wake(file->feed);
    return 0;
}

/* The folder that has its name now: it may have been replaced. */
static void watch_folder(struct feed_file *file)
{
    struct stat status;
    bool there = stat(file->folder, &status) == 0;
    if (there && file->watched.seen && file->watched.device == status.st_dev && file->watched.inode == status.st_ino)
        return;
    file->watch = sd_event_source_disable_unref(file->watch);
    file->watched = (struct known){0};
    if (there && sd_event_add_inotify(feed_loop(file->feed), &file->watch, file->folder,
                                      IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ATTRIB | IN_DELETE_SELF |
                                          IN_MOVE_SELF | IN_ONLYDIR,
                                      folder_changed, file) >= 0)
        file->watched = (struct known){status.st_dev, status.st_ino, true};
}

static void tell_missing(struct feed_file *file, int64_t run)
{
    size_t known = 0;
    for (size_t i = 0; i < file->count; i++)
        known += file->tails[i]->present || file->tails[i]->descriptor >= 0;
    if (known || *file->problem) {
        file->missing_run = CLOCK_NEVER;
        return;
    }
    if (file->missing_run == CLOCK_NEVER) {
        file->missing_run = run;
        log_warning("feed", "%s: %s/%s does not exist; it is waited for", feed_conf(file->feed)->name, file->folder,
                    file->name);
    }
    if (run - file->missing_run >= MISSING_GRACE)
        complain(file, "%s/%s does not exist; is the path right?", file->folder, file->name);
}

static void survey(struct feed_file *file, int64_t run)
{
    int64_t time = file_system_time();
    file->problem[0] = '\0';
    file->changed = file->again = false;
    file->survey_run = run;
    watch_folder(file);
    for (size_t i = 0; i < file->count; i++)
        file->tails[i]->seen = false;
    for (size_t i = 0; i < file->ignored_count; i++)
        file->ignored[i].seen = false;
    if (file->pattern)
        consider_all(file);
    else
        consider(file, file->name);
    for (size_t i = 0; i < file->count; i++) {
        struct tail *tail = file->tails[i];
        if (tail->present && !tail->seen)
            tail->grown = run;
        /* Those of find_between have no name, and never had. */
        tail->present = tail->seen;
    }
    size_t kept = 0;
    for (size_t i = 0; i < file->ignored_count; i++)
        if (file->ignored[i].seen)
            file->ignored[kept++] = file->ignored[i];
    file->ignored_count = kept;
    file->surveyed = true;
    /* What was not found for that is found by the next one, however long ago it was born. */
    if (!file->again) {
        file->survey_time[1] = file->survey_time[0] ? file->survey_time[0] : time;
        file->survey_time[0] = time;
        file->resuming = NULL;
    }
    tell_missing(file, run);
}

/* ---- reading ---- */

static bool has_successor(const struct feed_file *file, size_t position)
{
    for (size_t i = position + 1; i < file->count; i++)
        if (strcmp(file->tails[i]->log, file->tails[position]->log) == 0)
            return true;
    return false;
}

/* Whether nothing will be called so any more. */
static bool is_over(const struct feed_file *file, size_t position)
{
    const struct tail *tail = file->tails[position];
    struct stat status;
    if (tail->compressed || has_successor(file, position))
        return true;
    return !tail->present && (tail->descriptor < 0 || fstat(tail->descriptor, &status) < 0 || status.st_nlink == 0);
}

/* Follows what was found of `position`, wherever it is now; NULL: it is followed already, or cannot be. */
static struct tail *add_found(struct feed_file *file, const struct feed_position *position,
                              const struct feed_place *place)
{
    char path[4096];
    struct stat status = {.st_dev = place->device, .st_ino = place->inode};
    if (find_tail(file, &status) || !make_path(file, place->name, path, sizeof path))
        return NULL;
    struct tail *tail = add_tail(file, position->name, &status);
    if (!tail)
        return NULL;
    tail->offset = position->offset;
    tail->skipping = position->skipping;
    tail->head = position->head;
    tail->present = !place->moved;
    tail->compressed = place->compressed;
    open_tail(file, tail, path, NULL);
    return tail;
}

/*
 * What was not read of a log when it was truncated stands in the copy that was made of it (copytruncate): it is read
 * before the log goes on.
 */
static void read_copy(struct feed_file *file, size_t position, const struct feed_position *was)
{
    struct feed_place place;
    if (was->head.length < COPY_HEAD_MIN || !feed_find(file->folder, was, &place))
        return;
    struct tail *copy = add_found(file, was, &place);
    if (!copy)
        return;
    memmove(&file->tails[position + 1], &file->tails[position], (file->count - 1 - position) * sizeof *file->tails);
    file->tails[position] = copy;
    if (!copy->compressed && !tail_unread(copy)) {
        note_finished(file, &copy->head);
        remove_tail(file, position);
    }
}

/* An older file of the same log goes first. */
static bool must_wait(const struct feed_file *file, size_t position)
{
    for (size_t i = 0; i < position; i++)
        if (strcmp(file->tails[i]->log, file->tails[position]->log) == 0 && tail_unread(file->tails[i]))
            return true;
    return false;
}

static enum tail_state read_one(struct feed_file *file, size_t position, int64_t run, bool *moved)
{
    struct tail *tail = file->tails[position];
    uint64_t offset = tail->offset, head = tail->head.hash;
    struct feed_head before = tail->before;
    struct feed_position was = {
        .device = tail->device, .inode = tail->inode, .offset = offset, .skipping = tail->skipping, .head = tail->head};
    if (tail->descriptor < 0 || must_wait(file, position))
        return TAIL_END;
    if (file->pattern && !tail->compressed && tail->head.length == 0 && is_no_log(file, tail)) {
        ignore(file, tail);
        tail_close(tail);
        tail->present = false;
        return TAIL_END;
    }
    bool unread = tail_unread(tail);
    if (unread)
        feed_begins(file->feed);
    enum tail_state state = tail_read(tail, file->feed, run);
    /* A copy of what was truncated is known after a restart, too. */
    if (tail->before.hash != before.hash || tail->before.length != before.length) {
        note_finished(file, &tail->before);
        text_copy(was.name, sizeof was.name, tail->log);
        read_copy(file, position, &was);
        return state;
    }
    if (state == TAIL_BAD) {
        complain(file, "%s/%s: %s", file->folder, tail->log,
                 errno == EILSEQ ? "what gzip made of it is damaged; the rest of it is lost" : strerror(errno));
        tail_close(tail);
    } else if (state == TAIL_END && tail->part && run - tail->part_run >= PART_PATIENCE && is_over(file, position)) {
        tail_end_part(tail, file->feed);
    }
    if (tail->offset != offset || tail->head.hash != head) {
        feed_moved(file->feed);
        *moved |= tail->offset != offset;
    }
    *moved |= unread && !tail_unread(tail); /* a compressed one had ended where it was left */
    return state;
}

static void close_finished(struct feed_file *file, int64_t run)
{
    for (size_t i = file->count; i-- > 0;) {
        const struct tail *tail = file->tails[i];
        if (!tail->present &&
            (tail->descriptor < 0 || (run - tail->grown >= LINGER && !tail_unread(tail) && is_over(file, i)))) {
            note_finished(file, &tail->head);
            remove_tail(file, i);
        }
    }
}

static bool any_open(const struct feed_file *file)
{
    for (size_t i = 0; i < file->count; i++)
        if (file->tails[i]->descriptor >= 0)
            return true;
    return file->pattern && file->watched.seen && !*file->problem;
}

bool feed_file_look(struct feed_file *file, int64_t run)
{
    bool more = false, moved = false;
    if (file->changed || run - file->survey_run >= SURVEY_EVERY)
        survey(file, run);
    size_t count = file->count;
    size_t first = count ? file->next % count : 0;
    for (size_t i = 0; i < count; i++) {
        size_t position = (first + i) % count;
        if (feed_blocked(file->feed)) {
            file->next = position;
            return false;
        }
        more |= read_one(file, position, run, &moved) == TAIL_MORE;
    }
    file->next = first + 1;
    close_finished(file, run);
    feed_problem(file->feed, any_open(file), "%s", file->problem);
    /* What waited for an older file may be read now. */
    for (size_t i = 0; i < file->count && moved && !more; i++)
        more = file->tails[i]->part == 0 && tail_unread(file->tails[i]) && !must_wait(file, i);
    return more;
}

/* ---- positions ---- */

/* Goes on in what `position` is about, wherever it is now. Its own file that does not hold it any more is new. */
static void go_on(struct feed_file *file, const struct feed_position *position)
{
    struct feed_place place;
    /* Of what was empty nothing tells whether it was truncated meanwhile: it takes its place among those born since. */
    if (position->offset == 0 && position->head.length < COPY_HEAD_MIN)
        return;
    if (!feed_find(file->folder, position, &place)) {
        log_info("feed", "%s: what was called %s/%s and read up to octet %" PRIu64 " is not there any more",
                 feed_conf(file->feed)->name, file->folder, position->name, position->offset);
        return;
    }
    add_found(file, position, &place);
}

/* What was called as the log and is not any more, though nothing else is called so now. */
static void find_orphans(struct feed_file *file)
{
    struct stat status;
    char path[4096];
    if (!file->pattern && make_path(file, file->name, path, sizeof path) && stat(path, &status) < 0)
        find_between(file, file->name, 0);
}

struct feed_file *feed_file_new(struct feed *feed, const struct feed_state *from)
{
    const char *path = feed_conf(feed)->file;
    const char *slash = strrchr(path, '/');
    struct feed_file *file = calloc(1, sizeof *file);
    if (!file)
        abort();
    file->feed = feed;
    file->folder = slash == path ? strdup("/") : slash ? strndup(path, (size_t)(slash - path)) : strdup(".");
    if (!file->folder)
        abort();
    file->name = slash ? slash + 1 : path;
    file->pattern = strpbrk(file->name, "*?[") != NULL;
    file->log = feed_hash(path, strlen(path));
    file->survey_time[0] = file_system_time();
    if (from && from->begun && from->log == file->log) {
        file->surveyed = true;
        file->survey_time[0] = file->survey_time[1] = from->survey;
        memcpy(file->finished, from->finished, sizeof file->finished);
        file->finished_count = from->finished_count;
        for (size_t i = 0; i < from->count; i++)
            go_on(file, &from->positions[i]);
        file->resuming = from;
        find_orphans(file);
    }
    survey(file, clock_run());
    file->resuming = NULL;
    feed_problem(feed, any_open(file), "%s", file->problem);
    return file;
}

void feed_file_free(struct feed_file *file)
{
    if (!file)
        return;
    while (file->count)
        remove_tail(file, file->count - 1);
    sd_event_source_disable_unref(file->watch);
    free(file->ignored);
    free(file->folder);
    free(file);
}

void feed_file_state(const struct feed_file *file, struct feed_state *out)
{
    out->begun = true;
    out->log = file->log;
    out->survey = file->survey_time[1];
    memcpy(out->finished, file->finished, sizeof out->finished);
    out->finished_count = file->finished_count;
    for (size_t i = 0; i < file->count; i++) {
        const struct tail *tail = file->tails[i];
        struct feed_position *position = &out->positions[out->count++];
        text_copy(position->name, sizeof position->name, tail->log);
        position->device = tail->device;
        position->inode = tail->inode;
        position->offset = tail->offset;
        position->skipping = tail->skipping;
        position->head = tail->head;
    }
}
