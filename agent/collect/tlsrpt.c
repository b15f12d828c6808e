/*
 * One thread, one event loop. The folder is watched before it is searched, so that nothing is dropped unseen; a name
 * may then be met twice, and is gone the second time. A file that was written a moment ago when the folder is searched
 * may still be written: it waits for its own close, or for the next search.
 *
 * A file that is begun is moved into the folder "telling", under a name that no file had before, and into "done" when
 * what it told is stored. Its rows are offered in pieces, each with a mark behind it that says how many rows of each file
 * in "telling" were told; while the queue is full no other file is read, and the folder is the buffer. At the start the
 * files in "telling" come first: what the last mark says of them was counted, the rest was not.
 */
#include "collect/tlsrpt.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "collect/collector_thread.h"
#include "collect/pack.h"

#define RETRY      (CLOCK_SECOND / 100) /* between offers to a queue that was full */
#define SETTLED    2                    /* seconds after which a file that was found is taken for whole */
#define NAMES_MAX  10000                /* that wait; the folder is searched again for more */
#define SAME_MAX   1000                 /* files of one name in a folder of those that were read */
#define KEEP_SOON  (10 * CLOCK_SECOND)  /* after a file was put away until too many and too old ones go */
#define KEEP_LATER (3600 * CLOCK_SECOND)
#define PIECE      32 /* rows before a mark */
#define OPEN_MAX   32 /* files that are not stored yet; none is begun then */
#define VERSION    1  /* of marks */

static_assert(8 + OPEN_MAX * 12 <= OBSERVATION_MARK_MAX, "a mark has room for all of them");

struct name {
    struct name *next;
    bool begun; /* it is in "telling" */
    char text[];
};

struct open_file {     /* in "telling" */
    uint64_t identity; /* of its name there */
    uint32_t told;
    bool whole;      /* told to its end */
    uint64_t number; /* in the queue, of the mark behind it */
    char name[NAME_MAX + 1];
};

struct tlsrpt {
    const struct conf *conf;
    struct queue *queue;
    struct collector_thread *thread;
    sd_event *loop;
    int stop, stored, folder, telling, done, bad;
    sd_event_source *stop_source, *stored_source, *watch, *work, *retry_timer, *search_timer, *keep_timer;
    bool keep_soon;
    struct name *names, **names_end;
    size_t name_count;
    struct tlsrpt_report report; /* that is told; of the last one in `open` */
    bool telling_one;
    size_t open_count, before_count;
    struct open_file open[OPEN_MAX], before[OPEN_MAX]; /* before: as the mark says, at the start */
    char problem[160];
};

/* ---- names that wait ---- */

static void search_later(struct tlsrpt *tlsrpt)
{
    sd_event_source_set_time_relative(tlsrpt->search_timer, SETTLED * CLOCK_SECOND);
    sd_event_source_set_enabled(tlsrpt->search_timer, SD_EVENT_ONESHOT);
}

/* Whether the next file can be begun. */
static bool is_free(const struct tlsrpt *tlsrpt)
{
    return !tlsrpt->telling_one && tlsrpt->open_count < OPEN_MAX;
}

static void add_name(struct tlsrpt *tlsrpt, const char *text, bool begun)
{
    size_t size = strlen(text) + 1;
    if (text[0] == '.' || size == 1)
        return;
    if (tlsrpt->name_count >= NAMES_MAX) {
        search_later(tlsrpt);
        return;
    }
    struct name *name = malloc(sizeof *name + size);
    if (!name)
        abort();
    name->next = NULL;
    name->begun = begun;
    memcpy(name->text, text, size);
    *tlsrpt->names_end = name;
    tlsrpt->names_end = &name->next;
    tlsrpt->name_count++;
    if (is_free(tlsrpt))
        sd_event_source_set_enabled(tlsrpt->work, SD_EVENT_ON);
}

static struct name *take_name(struct tlsrpt *tlsrpt)
{
    struct name *name = tlsrpt->names;
    if (!name)
        return NULL;
    tlsrpt->names = name->next;
    if (!tlsrpt->names)
        tlsrpt->names_end = &tlsrpt->names;
    tlsrpt->name_count--;
    return name;
}

static void search(struct tlsrpt *tlsrpt)
{
    int copy = fcntl(tlsrpt->folder, F_DUPFD_CLOEXEC, 0);
    DIR *folder = copy >= 0 ? fdopendir(copy) : NULL;
    struct stat status;
    if (!folder) {
        log_error("tlsrpt", "%s cannot be searched: %s", tlsrpt->conf->tlsrpt.directory, strerrordesc_np(errno));
        if (copy >= 0)
            close(copy);
        return;
    }
    rewinddir(folder);
    for (const struct dirent *entry; (entry = readdir(folder));) {
        if (entry->d_name[0] == '.' || fstatat(tlsrpt->folder, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
            !S_ISREG(status.st_mode))
            continue;
        if (clock_wall() / CLOCK_SECOND - status.st_mtime >= SETTLED || status.st_mtime > clock_wall() / CLOCK_SECOND)
            add_name(tlsrpt, entry->d_name, false);
        else
            search_later(tlsrpt);
    }
    closedir(folder);
}

/* What was begun before, whatever is new. */
static void search_begun(struct tlsrpt *tlsrpt)
{
    int copy = fcntl(tlsrpt->telling, F_DUPFD_CLOEXEC, 0);
    DIR *folder = copy >= 0 ? fdopendir(copy) : NULL;
    if (!folder) {
        log_error("tlsrpt", "%s/telling cannot be searched: %s", tlsrpt->conf->tlsrpt.directory,
                  strerrordesc_np(errno));
        if (copy >= 0)
            close(copy);
        return;
    }
    for (const struct dirent *entry; (entry = readdir(folder));)
        add_name(tlsrpt, entry->d_name, true);
    closedir(folder);
}

/* ---- one file ---- */

/* The name of a file in "telling" without what was put before it. */
static const char *plain_name(const char *name)
{
    return strspn(name, "0123456789abcdef") == 16 && name[16] == '.' ? name + 17 : name;
}

static uint64_t identity_of(const char *name)
{
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * UINT64_C(1099511628211);
    return hash;
}

static void keep_after(struct tlsrpt *tlsrpt, int64_t microseconds)
{
    if (tlsrpt->keep_soon)
        return;
    tlsrpt->keep_soon = microseconds == KEEP_SOON;
    sd_event_source_set_time_relative(tlsrpt->keep_timer, (uint64_t)microseconds);
    sd_event_source_set_enabled(tlsrpt->keep_timer, SD_EVENT_ONESHOT);
}

/*
 * Moves it from "telling" into one of our folders, under another name when there is one of its name; where there are very
 * many of those under the one it has, because what stays in "telling" is counted again after a restart.
 */
static bool move_file(struct tlsrpt *tlsrpt, const char *name, int folder)
{
    char other[NAME_MAX + 1];
    text_copy(other, sizeof other, plain_name(name));
    for (int i = 1; i <= SAME_MAX; i++) {
        if (renameat2(tlsrpt->telling, name, folder, other, RENAME_NOREPLACE) == 0) {
            keep_after(tlsrpt, KEEP_SOON);
            return true;
        }
        if (errno != EEXIST)
            return false;
        text_format(other, sizeof other, "%d.%.200s", i, plain_name(name));
    }
    if (renameat2(tlsrpt->telling, name, folder, name, RENAME_NOREPLACE) < 0)
        return false;
    keep_after(tlsrpt, KEEP_SOON);
    return true;
}

/* Moves it to "telling"; `out` becomes its name there. */
static bool begin_file(struct tlsrpt *tlsrpt, const char *name, char out[NAME_MAX + 1])
{
    for (uint64_t number = (uint64_t)clock_wall();; number++) {
        text_format(out, NAME_MAX + 1, "%016" PRIx64 ".%.230s", number, name);
        if (renameat2(tlsrpt->folder, name, tlsrpt->telling, out, RENAME_NOREPLACE) == 0)
            return true;
        if (errno == EEXIST)
            continue;
        if (errno != ENOENT)
            log_error("tlsrpt",
                      "%s cannot be moved to %s/telling: %s; it is not counted, because it would be again and again",
                      name, tlsrpt->conf->tlsrpt.directory, strerrordesc_np(errno));
        return false;
    }
}

/* The octets of a regular file; NULL with what is wrong, or with nothing when it is not there any more. */
static char *read_file(const struct tlsrpt *tlsrpt, const char *name, size_t *length, char *error, size_t size)
{
    struct stat status;
    int descriptor = openat(tlsrpt->telling, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    char *data = NULL;
    *length = 0;
    *error = '\0';
    if (descriptor < 0 || fstat(descriptor, &status) < 0) {
        if (errno != ENOENT)
            text_format(error, size, "cannot be read: %s", strerrordesc_np(errno));
    } else if (!S_ISREG(status.st_mode)) {
        text_format(error, size, "is no regular file");
    } else if (status.st_size > TLSRPT_SIZE_MAX) {
        text_format(error, size, "is larger than %d octets", TLSRPT_SIZE_MAX);
    } else if (!(data = malloc((size_t)status.st_size + 1))) {
        abort();
    } else {
        ssize_t got = 0;
        while (*length < (size_t)status.st_size &&
               (got = read(descriptor, data + *length, (size_t)status.st_size - *length)) > 0)
            *length += (size_t)got;
        if (got < 0) {
            text_format(error, size, "cannot be read: %s", strerrordesc_np(errno));
            free(data);
            data = NULL;
        }
    }
    if (descriptor >= 0)
        close(descriptor);
    return data;
}

static void begin_report(struct tlsrpt *tlsrpt, const char *name)
{
    struct tlsrpt_report *report = &tlsrpt->report;
    struct open_file *file = &tlsrpt->open[tlsrpt->open_count++];
    *file = (struct open_file){.identity = identity_of(name)};
    text_copy(file->name, sizeof file->name, name);
    for (size_t i = 0; i < tlsrpt->before_count; i++)
        if (tlsrpt->before[i].identity == file->identity)
            file->told = tlsrpt->before[i].told;
    if (file->told > report->count)
        file->told = (uint32_t)report->count;
    log_info("tlsrpt", "%s: %s tells of %" PRIu64 " failed and %" PRIu64 " successful sessions until %s, report %s",
             plain_name(name), report->organization, report->failures, report->successes,
             *report->until ? report->until : "?", report->id);
    for (size_t i = 0; i < report->count; i++) {
        report->observations[i].origin = ORIGIN_TLSRPT;
        report->observations[i].wall = clock_wall();
        report->observations[i].run = clock_run();
    }
    tlsrpt->telling_one = true;
}

static void take_file(struct tlsrpt *tlsrpt, const struct name *from)
{
    char error[256], name[NAME_MAX + 1];
    size_t length;
    if (from->begun)
        text_copy(name, sizeof name, from->text);
    else if (!begin_file(tlsrpt, from->text, name))
        return;
    char *data = read_file(tlsrpt, name, &length, error, sizeof error);
    if (!data && !*error)
        return;
    if (data && tlsrpt_parse(data, length, tlsrpt->conf, &tlsrpt->report, error, sizeof error))
        begin_report(tlsrpt, name);
    else if (move_file(tlsrpt, name, tlsrpt->bad))
        log_warning("tlsrpt", "%s %s; it is in %s/bad now", plain_name(name), error, tlsrpt->conf->tlsrpt.directory);
    else
        log_warning("tlsrpt", "%s %s; it cannot be moved to %s/bad: %s", plain_name(name), error,
                    tlsrpt->conf->tlsrpt.directory, strerrordesc_np(errno));
    free(data);
}

/* ---- telling ---- */

static void make_mark(const struct tlsrpt *tlsrpt, struct observation *observation)
{
    struct pack pack = {.most = OBSERVATION_MARK_MAX};
    memset(observation, 0, sizeof *observation);
    observation->kind = OBSERVATION_MARK;
    observation->origin = ORIGIN_TLSRPT;
    observation->partner = OBSERVATION_NO_PARTNER;
    observation->wall = clock_wall();
    observation->run = clock_run();
    pack_u32(&pack, VERSION);
    pack_u32(&pack, (uint32_t)tlsrpt->open_count);
    for (size_t i = 0; i < tlsrpt->open_count; i++) {
        pack_u64(&pack, tlsrpt->open[i].identity);
        pack_u32(&pack, tlsrpt->open[i].told);
    }
    observation->mark.length = (uint32_t)pack.length;
    memcpy(observation->mark.data, pack.data, pack.length);
    free(pack.data);
}

/* Of any octets. */
static void read_mark(struct tlsrpt *tlsrpt, const void *data, size_t length)
{
    struct unpack unpack = {.data = data, .length = length};
    if (!data || unpack_u32(&unpack) != VERSION)
        return;
    size_t count = unpack_u32(&unpack);
    for (size_t i = 0; i < count && i < OPEN_MAX && !unpack.bad; i++) {
        struct open_file *file = &tlsrpt->before[i];
        file->identity = unpack_u64(&unpack);
        file->told = unpack_u32(&unpack);
        if (!unpack.bad)
            tlsrpt->before_count = i + 1;
    }
}

/* Offers what is left of the report, the last piece even when it is empty; whether all was taken. */
static bool tell(struct tlsrpt *tlsrpt)
{
    struct tlsrpt_report *report = &tlsrpt->report;
    struct observation piece[PIECE + 1];
    while (tlsrpt->telling_one) {
        struct open_file *file = &tlsrpt->open[tlsrpt->open_count - 1];
        uint32_t left = (uint32_t)report->count - file->told, count = left < PIECE ? left : PIECE;
        file->told += count;
        if (count)
            memcpy(piece, report->observations + file->told - count, count * sizeof piece[0]);
        make_mark(tlsrpt, &piece[count]);
        if (!queue_offer_whole(tlsrpt->queue, piece, count + 1, &file->number)) {
            file->told -= count;
            return false;
        }
        file->whole = file->told == report->count;
        tlsrpt->telling_one = !file->whole;
    }
    tlsrpt_clear(report);
    return true;
}

/* What is stored goes to "done". */
static void put_away(struct tlsrpt *tlsrpt)
{
    size_t kept = 0;
    for (size_t i = 0; i < tlsrpt->open_count; i++) {
        struct open_file *file = &tlsrpt->open[i];
        if (!file->whole || !queue_is_stored(tlsrpt->queue, file->number)) {
            if (kept != i)
                tlsrpt->open[kept] = *file;
            kept++;
        } else if (!move_file(tlsrpt, file->name, tlsrpt->done)) {
            log_error("tlsrpt", "%s was counted, but cannot be moved from %s/telling to done: %s; remove it there",
                      file->name, tlsrpt->conf->tlsrpt.directory, strerrordesc_np(errno));
        }
    }
    tlsrpt->open_count = kept;
}

/* ---- the thread ---- */

/* One file a turn, so that an end does not wait for all. */
static int do_work(sd_event_source *source, void *context)
{
    struct tlsrpt *tlsrpt = context;
    struct name *name = is_free(tlsrpt) ? take_name(tlsrpt) : NULL;
    if (name)
        take_file(tlsrpt, name);
    free(name);
    if (!tell(tlsrpt)) {
        sd_event_source_set_time_relative(tlsrpt->retry_timer, RETRY);
        sd_event_source_set_enabled(tlsrpt->retry_timer, SD_EVENT_ONESHOT);
        return sd_event_source_set_enabled(source, SD_EVENT_OFF);
    }
    put_away(tlsrpt);
    return tlsrpt->names && is_free(tlsrpt) ? 0 : sd_event_source_set_enabled(source, SD_EVENT_OFF);
}

static int tell_again(sd_event_source *timer, uint64_t now, void *context)
{
    struct tlsrpt *tlsrpt = context;
    (void)now;
    if (tell(tlsrpt))
        return sd_event_source_set_enabled(tlsrpt->work, SD_EVENT_ON);
    sd_event_source_set_time_relative(timer, RETRY);
    return sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
}

static int on_stored(sd_event_source *source, int descriptor, uint32_t events, void *context)
{
    struct tlsrpt *tlsrpt = context;
    eventfd_t value;
    (void)source;
    (void)events;
    eventfd_read(descriptor, &value);
    put_away(tlsrpt);
    return is_free(tlsrpt) ? sd_event_source_set_enabled(tlsrpt->work, SD_EVENT_ON) : 0;
}

static int search_again(sd_event_source *timer, uint64_t now, void *context)
{
    (void)timer;
    (void)now;
    search(context);
    return 0;
}

static int keep(sd_event_source *timer, uint64_t now, void *context)
{
    struct tlsrpt *tlsrpt = context;
    const struct conf_tlsrpt *conf = &tlsrpt->conf->tlsrpt;
    size_t removed = tlsrpt_keep(tlsrpt->done, conf->keep_files, conf->keep_days, clock_wall()) +
                     tlsrpt_keep(tlsrpt->bad, conf->keep_files, conf->keep_days, clock_wall());
    (void)timer;
    (void)now;
    if (removed)
        log_info("tlsrpt", "%zu files are gone from %s/done and bad: keep_files is %" PRIu32 ", keep_days %" PRIu32,
                 removed, conf->directory, conf->keep_files, conf->keep_days);
    tlsrpt->keep_soon = false;
    keep_after(tlsrpt, KEEP_LATER);
    return 0;
}

static int on_change(sd_event_source *source, const struct inotify_event *event, void *context)
{
    struct tlsrpt *tlsrpt = context;
    (void)source;
    if (event->mask & IN_Q_OVERFLOW)
        search_later(tlsrpt);
    else if (event->mask & (IN_DELETE_SELF | IN_MOVE_SELF))
        log_error("tlsrpt",
                  "%s was removed or renamed; no reports are read until fedwarden reads its configuration again",
                  tlsrpt->conf->tlsrpt.directory);
    else if (event->len && !(event->mask & IN_ISDIR))
        add_name(tlsrpt, event->name, false);
    return 0;
}

static int told_to_stop(sd_event_source *source, int descriptor, uint32_t events, void *context)
{
    struct tlsrpt *tlsrpt = context;
    (void)source;
    (void)descriptor;
    (void)events;
    return sd_event_exit(tlsrpt->loop, 0);
}

static void *run(void *context)
{
    struct tlsrpt *tlsrpt = context;
    search_begun(tlsrpt);
    search(tlsrpt);
    int result = sd_event_loop(tlsrpt->loop);
    if (result < 0)
        log_error("tlsrpt", "the event loop ended: %s; no reports are read any more, restart",
                  strerrordesc_np(-result));
    return NULL;
}

static void failed(struct tlsrpt *tlsrpt, int error, const char *what, const char *advice)
{
    const char *path = tlsrpt->conf->tlsrpt.directory;
    text_format(tlsrpt->problem, sizeof tlsrpt->problem, "%.60s%s: %s: %s", path, what, strerrordesc_np(error), advice);
    log_error("tlsrpt", "no reports are read: %s%s: %s: %s", path, what, strerrordesc_np(error), advice);
}

static int open_below(const struct tlsrpt *tlsrpt, const char *name)
{
    if (mkdirat(tlsrpt->folder, name, 0750) < 0 && errno != EEXIST)
        return -1;
    return openat(tlsrpt->folder, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

static bool open_folders(struct tlsrpt *tlsrpt)
{
    const char *advice = "fedwarden must be able to write to tlsrpt.directory";
    tlsrpt->folder = open(tlsrpt->conf->tlsrpt.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (tlsrpt->folder < 0)
        return failed(tlsrpt, errno, "", advice), false;
    if ((tlsrpt->telling = open_below(tlsrpt, "telling")) < 0)
        return failed(tlsrpt, errno, "/telling", advice), false;
    if ((tlsrpt->done = open_below(tlsrpt, "done")) < 0)
        return failed(tlsrpt, errno, "/done", advice), false;
    if ((tlsrpt->bad = open_below(tlsrpt, "bad")) < 0)
        return failed(tlsrpt, errno, "/bad", advice), false;
    return true;
}

static int prepare_loop(struct tlsrpt *tlsrpt)
{
    const uint32_t mask = IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
    int result;
    if ((tlsrpt->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0 ||
        (tlsrpt->stored = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
        return -errno;
    if ((result = sd_event_new(&tlsrpt->loop)) < 0 ||
        (result = sd_event_add_io(tlsrpt->loop, &tlsrpt->stop_source, tlsrpt->stop, EPOLLIN, told_to_stop, tlsrpt)) <
            0 ||
        (result = sd_event_add_io(tlsrpt->loop, &tlsrpt->stored_source, tlsrpt->stored, EPOLLIN, on_stored, tlsrpt)) <
            0 ||
        (result = sd_event_add_inotify(tlsrpt->loop, &tlsrpt->watch, tlsrpt->conf->tlsrpt.directory, mask, on_change,
                                       tlsrpt)) < 0 ||
        (result = sd_event_add_defer(tlsrpt->loop, &tlsrpt->work, do_work, tlsrpt)) < 0 ||
        (result = sd_event_add_time(tlsrpt->loop, &tlsrpt->retry_timer, CLOCK_BOOTTIME, 0, 1000, tell_again, tlsrpt)) <
            0 ||
        (result = sd_event_add_time(tlsrpt->loop, &tlsrpt->search_timer, CLOCK_BOOTTIME, 0, 1000, search_again,
                                    tlsrpt)) < 0 ||
        (result = sd_event_add_time(tlsrpt->loop, &tlsrpt->keep_timer, CLOCK_BOOTTIME, 0, 1000, keep, tlsrpt)) < 0)
        return result;
    sd_event_source_set_priority(tlsrpt->stop_source, SD_EVENT_PRIORITY_IMPORTANT);
    sd_event_source_set_priority(tlsrpt->work, SD_EVENT_PRIORITY_IDLE);
    sd_event_source_set_enabled(tlsrpt->work, SD_EVENT_OFF);
    sd_event_source_set_enabled(tlsrpt->retry_timer, SD_EVENT_OFF);
    sd_event_source_set_enabled(tlsrpt->search_timer, SD_EVENT_OFF);
    return 0;
}

struct tlsrpt *tlsrpt_start(const struct conf *conf, struct queue *queue, const void *mark, size_t length)
{
    struct tlsrpt *tlsrpt = calloc(1, sizeof *tlsrpt);
    if (!tlsrpt)
        abort();
    *tlsrpt = (struct tlsrpt){.conf = conf, .queue = queue, .names_end = &tlsrpt->names};
    tlsrpt->stop = tlsrpt->stored = tlsrpt->folder = tlsrpt->telling = tlsrpt->done = tlsrpt->bad = -1;
    read_mark(tlsrpt, mark, length);
    json_object_seed(0); /* before there are threads that would do it */
    if (!*conf->tlsrpt.directory || !open_folders(tlsrpt))
        return tlsrpt;
    int result = prepare_loop(tlsrpt);
    if (result < 0) {
        failed(tlsrpt, -result, "", "raise the limits (LimitNOFILE, fs.inotify.max_user_instances)");
        return tlsrpt;
    }
    queue_watch_stored(queue, tlsrpt->stored);
    tlsrpt->thread = collector_thread_start("tlsrpt", run, tlsrpt);
    if (!tlsrpt->thread)
        failed(tlsrpt, errno, "", "the thread cannot be started; raise the limits (TasksMax)");
    return tlsrpt;
}

const char *tlsrpt_problem(const struct tlsrpt *tlsrpt)
{
    return tlsrpt->problem;
}

bool tlsrpt_stop(struct tlsrpt *tlsrpt)
{
    if (!tlsrpt)
        return true;
    if (tlsrpt->thread) {
        eventfd_write(tlsrpt->stop, 1);
        collector_thread_join(tlsrpt->thread);
        tlsrpt->thread = NULL;
    }
    return tell(tlsrpt);
}

void tlsrpt_free(struct tlsrpt *tlsrpt)
{
    if (!tlsrpt)
        return;
    for (struct name *name; (name = take_name(tlsrpt));)
        free(name);
    tlsrpt_clear(&tlsrpt->report);
    queue_unwatch_stored(tlsrpt->queue, tlsrpt->stored);
    sd_event_source_disable_unref(tlsrpt->keep_timer);
    sd_event_source_disable_unref(tlsrpt->search_timer);
    sd_event_source_disable_unref(tlsrpt->retry_timer);
    sd_event_source_disable_unref(tlsrpt->work);
    sd_event_source_disable_unref(tlsrpt->watch);
    sd_event_source_disable_unref(tlsrpt->stop_source);
    sd_event_source_disable_unref(tlsrpt->stored_source);
    sd_event_unref(tlsrpt->loop);
    const int descriptors[] = {tlsrpt->bad,    tlsrpt->done,   tlsrpt->telling,
                               tlsrpt->folder, tlsrpt->stored, tlsrpt->stop};
    for (size_t i = 0; i < sizeof descriptors / sizeof descriptors[0]; i++)
        if (descriptors[i] >= 0)
            close(descriptors[i]);
    free(tlsrpt);
}
