/*
 * One thread, one event loop. The folder is watched before it is searched, so that nothing is dropped unseen; a name
 * may then be met twice, and is gone the second time. A file that was written a moment ago when the folder is searched
 * may still be written: it waits for its own close, or for the next search.
 *
 * A file is moved away before it is told, so that a crash may lose a report but none is counted twice: what is not told
 * then would have been lost in the queue as well. Its rows are offered until the queue has taken them; meanwhile no
 * other file is read, and the folder is the buffer.
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

#define RETRY     (CLOCK_SECOND / 100) /* between offers to a queue that was full */
#define SETTLED   2                    /* seconds after which a file that was found is taken for whole */
#define NAMES_MAX 10000                /* that wait; the folder is searched again for more */
#define SAME_MAX  1000                 /* files of one name in a folder of those that were read */

struct name {
    struct name *next;
    char text[];
};

struct tlsrpt {
    const struct conf *conf;
    struct queue *queue;
    struct collector_thread *thread;
    sd_event *loop;
    int stop, folder, done, bad;
    sd_event_source *stop_source, *watch, *work, *retry_timer, *search_timer;
    struct name *names, **names_end;
    size_t name_count;
    struct tlsrpt_report report; /* that is told */
    size_t told;
    char problem[160];
};

/* ---- names that wait ---- */

static void search_later(struct tlsrpt *tlsrpt)
{
    sd_event_source_set_time_relative(tlsrpt->search_timer, SETTLED * CLOCK_SECOND);
    sd_event_source_set_enabled(tlsrpt->search_timer, SD_EVENT_ONESHOT);
}

static void add_name(struct tlsrpt *tlsrpt, const char *text)
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
    memcpy(name->text, text, size);
    *tlsrpt->names_end = name;
    tlsrpt->names_end = &name->next;
    tlsrpt->name_count++;
    if (tlsrpt->told == tlsrpt->report.count)
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
            add_name(tlsrpt, entry->d_name);
        else
            search_later(tlsrpt);
    }
    closedir(folder);
}

/* ---- one file ---- */

/* Moves it into one of our folders, under another name when there is one of its name. */
static bool move_file(struct tlsrpt *tlsrpt, const char *name, int folder)
{
    char other[NAME_MAX + 1];
    text_copy(other, sizeof other, name);
    for (int i = 1; i <= SAME_MAX; i++) {
        if (renameat2(tlsrpt->folder, name, folder, other, RENAME_NOREPLACE) == 0)
            return true;
        if (errno != EEXIST)
            return false;
        text_format(other, sizeof other, "%d.%.200s", i, name);
    }
    return false;
}

/* The octets of a regular file; NULL with what is wrong, or with nothing when it is not there any more. */
static char *read_file(const struct tlsrpt *tlsrpt, const char *name, size_t *length, char *error, size_t size)
{
    struct stat status;
    int descriptor = openat(tlsrpt->folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
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
    if (!move_file(tlsrpt, name, tlsrpt->done)) {
        log_error("tlsrpt", "%s cannot be moved to %s/done: %s; it is not counted, because it would be again and again",
                  name, tlsrpt->conf->tlsrpt.directory, strerrordesc_np(errno));
        tlsrpt_clear(report);
        return;
    }
    log_info("tlsrpt", "%s: %s tells of %" PRIu64 " failed and %" PRIu64 " successful sessions until %s, report %s",
             name, report->organization, report->failures, report->successes, *report->until ? report->until : "?",
             report->id);
    for (size_t i = 0; i < report->count; i++) {
        report->observations[i].wall = clock_wall();
        report->observations[i].run = clock_run();
    }
    tlsrpt->told = 0;
}

static void take_file(struct tlsrpt *tlsrpt, const char *name)
{
    char error[256];
    size_t length;
    char *data = read_file(tlsrpt, name, &length, error, sizeof error);
    if (!data && !*error)
        return;
    if (data && tlsrpt_parse(data, length, tlsrpt->conf, &tlsrpt->report, error, sizeof error))
        begin_report(tlsrpt, name);
    else if (move_file(tlsrpt, name, tlsrpt->bad))
        log_warning("tlsrpt", "%s %s; it is in %s/bad now", name, error, tlsrpt->conf->tlsrpt.directory);
    else
        log_warning("tlsrpt", "%s %s; it cannot be moved to %s/bad: %s", name, error, tlsrpt->conf->tlsrpt.directory,
                    strerrordesc_np(errno));
    free(data);
}

/* Offers what is left of the report; whether all was taken. */
static bool tell(struct tlsrpt *tlsrpt)
{
    struct tlsrpt_report *report = &tlsrpt->report;
    if (tlsrpt->told < report->count)
        tlsrpt->told += queue_offer(tlsrpt->queue, report->observations + tlsrpt->told, report->count - tlsrpt->told);
    if (tlsrpt->told < report->count)
        return false;
    tlsrpt_clear(report);
    tlsrpt->told = 0;
    return true;
}

/* ---- the thread ---- */

/* One file a turn, so that an end does not wait for all. */
static int do_work(sd_event_source *source, void *context)
{
    struct tlsrpt *tlsrpt = context;
    struct name *name = take_name(tlsrpt);
    if (name)
        take_file(tlsrpt, name->text);
    free(name);
    if (!tell(tlsrpt)) {
        sd_event_source_set_time_relative(tlsrpt->retry_timer, RETRY);
        sd_event_source_set_enabled(tlsrpt->retry_timer, SD_EVENT_ONESHOT);
        return sd_event_source_set_enabled(source, SD_EVENT_OFF);
    }
    return tlsrpt->names ? 0 : sd_event_source_set_enabled(source, SD_EVENT_OFF);
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

static int search_again(sd_event_source *timer, uint64_t now, void *context)
{
    (void)timer;
    (void)now;
    search(context);
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
        add_name(tlsrpt, event->name);
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
    if ((tlsrpt->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
        return -errno;
    if ((result = sd_event_new(&tlsrpt->loop)) < 0 ||
        (result = sd_event_add_io(tlsrpt->loop, &tlsrpt->stop_source, tlsrpt->stop, EPOLLIN, told_to_stop, tlsrpt)) <
            0 ||
        (result = sd_event_add_inotify(tlsrpt->loop, &tlsrpt->watch, tlsrpt->conf->tlsrpt.directory, mask, on_change,
                                       tlsrpt)) < 0 ||
        (result = sd_event_add_defer(tlsrpt->loop, &tlsrpt->work, do_work, tlsrpt)) < 0 ||
        (result = sd_event_add_time(tlsrpt->loop, &tlsrpt->retry_timer, CLOCK_BOOTTIME, 0, 1000, tell_again, tlsrpt)) <
            0 ||
        (result =
             sd_event_add_time(tlsrpt->loop, &tlsrpt->search_timer, CLOCK_BOOTTIME, 0, 1000, search_again, tlsrpt)) < 0)
        return result;
    sd_event_source_set_priority(tlsrpt->stop_source, SD_EVENT_PRIORITY_IMPORTANT);
    sd_event_source_set_priority(tlsrpt->work, SD_EVENT_PRIORITY_IDLE);
    sd_event_source_set_enabled(tlsrpt->work, SD_EVENT_OFF);
    sd_event_source_set_enabled(tlsrpt->retry_timer, SD_EVENT_OFF);
    sd_event_source_set_enabled(tlsrpt->search_timer, SD_EVENT_OFF);
    return 0;
}

struct tlsrpt *tlsrpt_start(const struct conf *conf, struct queue *queue)
{
    struct tlsrpt *tlsrpt = calloc(1, sizeof *tlsrpt);
    if (!tlsrpt)
        abort();
    *tlsrpt = (struct tlsrpt){
        .conf = conf, .queue = queue, .stop = -1, .folder = -1, .done = -1, .bad = -1, .names_end = &tlsrpt->names};
    json_object_seed(0); /* before there are threads that would do it */
    if (!*conf->tlsrpt.directory || !open_folders(tlsrpt))
        return tlsrpt;
    int result = prepare_loop(tlsrpt);
    if (result < 0) {
        failed(tlsrpt, -result, "", "raise the limits (LimitNOFILE, fs.inotify.max_user_instances)");
        return tlsrpt;
    }
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
    sd_event_source_disable_unref(tlsrpt->search_timer);
    sd_event_source_disable_unref(tlsrpt->retry_timer);
    sd_event_source_disable_unref(tlsrpt->work);
    sd_event_source_disable_unref(tlsrpt->watch);
    sd_event_source_disable_unref(tlsrpt->stop_source);
    sd_event_unref(tlsrpt->loop);
    const int descriptors[] = {tlsrpt->bad, tlsrpt->done, tlsrpt->folder, tlsrpt->stop};
    for (size_t i = 0; i < sizeof descriptors / sizeof descriptors[0]; i++)
        if (descriptors[i] >= 0)
            close(descriptors[i]);
    free(tlsrpt);
}
