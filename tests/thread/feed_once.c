/*
 * Kill -9 at any moment: no line is lost, none is counted twice. The program plays the main thread and a history that
 * keeps, at each commit, what was counted so far and the marks that were drained with it. A life ends at a random moment:
 * the feeds are gone with all that they had read, so is what lies in the queue and what was counted since the commit.
 * The next one begins with the marks of the commit. Logs are written, rotated, copied and truncated, and compressed,
 * while the feeds live and between two lives. In the end each event must have been counted exactly once.
 *
 * One log holds records of four lines each that several Kamailio processes write in between each other, so that a record
 * straddles marks and lives; the other feed follows several files by a pattern. An event carries its number as the
 * address of the peer. The queue is small and drained slowly, so that it is full most of the time.
 *
 * Usage: feed_once [SEED [LIVES]]; exit 1 with what was lost or counted twice.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/observation.h"
#include "collect/feed.h"

enum { PROCESSES = 5, OTHERS = 3, EVENTS_MAX = 400000, ROOM = 256, LOGS_MAX = 90 };

#define PATIENCE (30 * CLOCK_SECOND)

static unsigned seed = 1, lives = 80, life;
static char folder[64], path[128], pattern[128];
static struct conf conf;
static struct conf_feed feed_confs[2];
static struct queue *queue;
static struct feeds *feeds;

static unsigned written; /* events: 0..written */
static unsigned lines;   /* they stand in place of times, by which real logs can be told from each other */
static uint8_t counted[EVENTS_MAX], stored[EVENTS_MAX];
static unsigned counted_count, stored_count;
static struct feed_marks marks, stored_marks;
static unsigned commits, losses, rotations, copies, compressions;

static int log_file = -1, other_files[OTHERS];
static struct {
    unsigned stage, number;
} processes[PROCESSES];

static void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

static void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "seed %u, life %u: ", seed, life);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "; the logs are in %s\n", folder);
    va_end(arguments);
    exit(1);
}

static void check(bool holds, const char *what)
{
    if (!holds)
        fail("%s", what);
}

/* xorshift */
static unsigned pick(unsigned below)
{
    static uint64_t state;
    if (!state)
        state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state >> 33) % below;
}

static const char *in_folder(const char *format, ...)
{
    static char paths[4][192];
    static unsigned next;
    char *out = paths[next++ % 4];
    int used = snprintf(out, sizeof paths[0], "%s/", folder);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(out + used, sizeof paths[0] - (size_t)used, format, arguments);
    va_end(arguments);
    return out;
}

static void pause_for(int64_t microseconds)
{
    struct timespec time = {microseconds / CLOCK_SECOND, microseconds % CLOCK_SECOND * 1000};
    nanosleep(&time, NULL);
}

/* ---- what is written ---- */

static int open_log(const char *name)
{
    int descriptor = open(in_folder("%s", name), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    check(descriptor >= 0, "a log can be written");
    return descriptor;
}

static unsigned new_event(void)
{
    check(written < EVENTS_MAX, "room for all events");
    return written++;
}

/* The next line of one process; with its fourth line the record is an event. */
static void write_record_line(void)
{
    unsigned process = pick(PROCESSES), number = processes[process].number;
    char line[256];
    int used = snprintf(line, sizeof line, "Nov 22 05:45:09 host%u /usr/sbin/kamailio[%u]: ", lines++, 100 + process);
    char *rest = line + used;
    size_t room = sizeof line - (size_t)used;
    switch (processes[process].stage++) {
    case 0:
        snprintf(rest, room, "ERROR: tls [tls_server.c:1330]: tls_h_read_f(): protocol level error\n");
        break;
    case 1:
        snprintf(rest, room,
                 "ERROR: tls [tls_util.h:50]: tls_err_ret(): TLS accept:error:0A0000C7:SSL routines::peer "
                 "did not return a certificate (sni: unknown)\n");
        break;
    case 2:
        number = processes[process].number = new_event();
        snprintf(rest, room, "ERROR: tls [tls_server.c:1334]: tls_h_read_f(): src addr: 10.%u.%u.%u:47385\n",
                 number >> 16, number >> 8 & 255, number & 255);
        break;
    default:
        snprintf(rest, room, "ERROR: tls [tls_server.c:1337]: tls_h_read_f(): dst addr: 192.0.2.10:15061\n");
        processes[process].stage = 0;
    }
    size_t length = strlen(line), first = pick(8) ? length : pick((unsigned)length);
    /* Now and then in two pieces, so that the first is seen without its end. */
    check(write(log_file, line, first) == (ssize_t)first, "written");
    check(write(log_file, line + first, length - first) == (ssize_t)(length - first), "written");
}

static void write_single(int descriptor, unsigned process)
{
    char line[256];
    unsigned number = new_event();
    int length = snprintf(line, sizeof line,
                          "Nov 22 05:45:09 host%u /usr/sbin/kamailio[%u]: NOTICE: <script>: Authentication failed "
                          "for user bob from 10.%u.%u.%u:5060 (rc -2)\n",
                          lines++, process, number >> 16, number >> 8 & 255, number & 255);
    check(write(descriptor, line, (size_t)length) == length, "written");
}

static void write_some(unsigned most)
{
    for (unsigned count = pick(most); count > 0; count--) {
        unsigned what = pick(10);
        if (what < 8)
            write_record_line();
        else if (what == 8)
            write_single(log_file, 99);
        else
            write_single(other_files[pick(OTHERS)], 98);
    }
}

/* ---- rotation ---- */

static bool exists(const char *name)
{
    struct stat status;
    return stat(name, &status) == 0;
}

static void shift_logs(void)
{
    for (int i = LOGS_MAX - 1; i > 0; i--) {
        if (exists(in_folder("a.log.%d", i)))
            rename(in_folder("a.log.%d", i), in_folder("a.log.%d", i + 1));
        if (exists(in_folder("a.log.%d.gz", i)))
            rename(in_folder("a.log.%d.gz", i), in_folder("a.log.%d.gz", i + 1));
    }
    check(!exists(in_folder("a.log.%d", LOGS_MAX)) && !exists(in_folder("a.log.%d.gz", LOGS_MAX)), "room for logs");
    rotations++;
}

static void rotate(void)
{
    shift_logs();
    check(rename(in_folder("a.log"), in_folder("a.log.1")) == 0, "rotated");
    close(log_file);
    log_file = open_log("a.log");
}

static void rotate_other(void)
{
    unsigned other = pick(OTHERS);
    static unsigned number;
    check(rename(in_folder("b%u.log", other), in_folder("b%u.log.%u", other, number++)) == 0, "rotated");
    close(other_files[other]);
    other_files[other] = open_log(strrchr(in_folder("b%u.log", other), '/') + 1);
}

static void copy_truncate(void)
{
    char data[8192];
    shift_logs();
    int from = open(in_folder("a.log"), O_RDONLY | O_CLOEXEC), to = open_log("a.log.1");
    for (ssize_t got; (got = read(from, data, sizeof data)) > 0;)
        check(write(to, data, (size_t)got) == got, "copied");
    close(from);
    close(to);
    check(ftruncate(log_file, 0) == 0, "truncated");
    copies++;
}

/* As gzip does: a new file with the time of the original, which goes. */
static void compress_log(int number)
{
    char data[8192];
    struct stat status;
    const char *name = in_folder("a.log.%d", number), *packed = in_folder("a.log.%d.gz", number);
    int from = open(name, O_RDONLY | O_CLOEXEC);
    if (from < 0)
        return;
    check(fstat(from, &status) == 0, "times");
    gzFile to = gzopen(packed, pick(2) ? "wb1" : "wb9");
    for (ssize_t got; (got = read(from, data, sizeof data)) > 0;)
        check(gzwrite(to, data, (unsigned)got) == (int)got, "compressed");
    check(gzclose(to) == Z_OK, "compressed");
    close(from);
    const struct timespec times[2] = {status.st_atim, status.st_mtim};
    check(utimensat(AT_FDCWD, packed, times, 0) == 0 && unlink(name) == 0, "compressed");
    compressions++;
}

/* ---- counting and storing ---- */

static void take_mark(const struct observation *observation)
{
    struct feed_marks taken;
    check(observation->origin == ORIGIN_FEEDS, "a mark of the feeds");
    feeds_mark_take(feeds, observation->mark.number, &taken);
    for (size_t i = 0; i < taken.count; i++)
        feed_marks_put(&marks, taken.marks[i].feed, taken.marks[i].data, taken.marks[i].length);
    feed_marks_clear(&taken);
}

static size_t drain(size_t most)
{
    static struct observation batch[ROOM];
    size_t count = queue_take(queue, batch, most < ROOM ? most : ROOM);
    for (size_t i = 0; i < count; i++) {
        const uint8_t *octets = batch[i].event.address.octets;
        if (batch[i].kind == OBSERVATION_MARK) {
            take_mark(&batch[i]);
            continue;
        }
        unsigned number = (unsigned)octets[1] << 16 | (unsigned)octets[2] << 8 | octets[3];
        check(batch[i].kind == OBSERVATION_EVENT && octets[0] == 10 && number < written, "an event that was written");
        if (counted[number]++)
            fail("event %u of %u is counted twice", number, written);
        counted_count++;
    }
    return count;
}

static void commit(void)
{
    if (!queue_settled(queue))
        return;
    memcpy(stored, counted, written);
    stored_count = counted_count;
    feed_marks_clear(&stored_marks);
    for (size_t i = 0; i < marks.count; i++)
        feed_marks_put(&stored_marks, marks.marks[i].feed, marks.marks[i].data, marks.marks[i].length);
    queue_stored(queue, queue_taken(queue));
    commits++;
}

static unsigned open_records(void)
{
    unsigned count = 0;
    for (unsigned i = 0; i < PROCESSES; i++)
        count += processes[i].stage == 3;
    return count;
}

/* Everything that can be counted is. */
static void catch_up(void)
{
    int64_t end = clock_run() + PATIENCE;
    while (counted_count + open_records() < written && clock_run() < end)
        if (drain(ROOM) == 0)
            pause_for(500);
    for (unsigned i = 0; i < written && counted_count + open_records() < written; i++) {
        bool open = false;
        for (unsigned process = 0; process < PROCESSES; process++)
            open = open || (processes[process].stage == 3 && processes[process].number == i);
        if (!counted[i] && !open)
            fail("event %u of %u is lost (%u are)", i, written, written - counted_count - open_records());
    }
}

static void catch_up_and_commit(void)
{
    int64_t end = clock_run() + PATIENCE;
    catch_up();
    while (!queue_settled(queue) && clock_run() < end)
        if (drain(ROOM) == 0)
            pause_for(500);
    check(queue_settled(queue), "after all events a mark comes");
    commit();
}

/* ---- lives ---- */

static void begin_life(void)
{
    queue = queue_new(ROOM);
    feeds = feeds_start(&conf, queue, &stored_marks);
    check(feeds != NULL, "feeds start");
}

static void die(void)
{
    feeds_free(feeds);
    queue_free(queue);
    losses += counted_count - stored_count;
    memcpy(counted, stored, written);
    counted_count = stored_count;
    feed_marks_clear(&marks);
    for (size_t i = 0; i < stored_marks.count; i++)
        feed_marks_put(&marks, stored_marks.marks[i].feed, stored_marks.marks[i].data, stored_marks.marks[i].length);
}

/* As a reload does. */
static void reload(void)
{
    while (!feeds_stop(feeds))
        drain(ROOM);
    while (drain(ROOM) > 0)
        ;
    check(queue_settled(queue), "a stop ends with a mark");
    struct feed_marks last = {0};
    feeds_marks(feeds, &last);
    feeds_free(feeds);
    feeds = feeds_start(&conf, queue, &last);
    feed_marks_clear(&last);
    check(feeds != NULL, "feeds start again");
}

static void live(void)
{
    for (unsigned step = pick(30); step > 0; step--) {
        write_some(60);
        if (pick(25) == 0)
            rotate();
        if (pick(25) == 0)
            rotate_other();
        if (pick(40) == 0)
            reload();
        if (pick(60) == 0) {
            /* What was not read is only in the copy then, which a feed that lives does not look at. */
            catch_up();
            copy_truncate();
        }
        pause_for(pick(4000));
        drain(1 + pick(2 * ROOM));
        if (pick(2))
            commit();
    }
}

/* Only what was read and stored may go. */
static void remove_old(void)
{
    for (int i = 3; i < LOGS_MAX; i++) {
        unlink(in_folder("a.log.%d", i));
        unlink(in_folder("a.log.%d.gz", i));
    }
}

static void while_nobody_looks(void)
{
    for (unsigned step = pick(4); step > 0; step--) {
        write_some(100);
        unsigned what = pick(6);
        if (what < 2)
            rotate();
        else if (what == 2)
            copy_truncate();
        pause_for(12000); /* the clock of the file system tells one from the next */
        for (int i = 1; i < 8; i++)
            if (pick(4) == 0)
                compress_log(i);
    }
    write_some(100);
}

static void remove_folder(void)
{
    DIR *entries = opendir(folder);
    for (const struct dirent *entry; (entry = readdir(entries));)
        unlink(in_folder("%s", entry->d_name));
    closedir(entries);
    check(rmdir(folder) == 0, "the folder goes");
}

int main(int argc, char **argv)
{
    static uint16_t ports[] = {15061};
    const char *presets = getenv("FEDWARDEN_PRESETS");
    char preset[256];
    if (argc > 1)
        seed = (unsigned)atoi(argv[1]);
    if (argc > 2)
        lives = (unsigned)atoi(argv[2]);
    log_level_set(LOG_LEVEL_ERROR);
    snprintf(folder, sizeof folder, "/tmp/fedwarden-once-XXXXXX");
    check(mkdtemp(folder) != NULL, "a folder");
    snprintf(path, sizeof path, "%s/a.log", folder);
    snprintf(pattern, sizeof pattern, "%s/b*.log", folder);
    snprintf(preset, sizeof preset, "%s/kamailio.conf", presets ? presets : "conf/presets");
    for (int i = 0; i < 2; i++)
        feed_confs[i] = (struct conf_feed){.name = i ? "others" : "log",
                                           .file = i ? pattern : path,
                                           .unit = "",
                                           .identifier = "",
                                           .priority = 7,
                                           .preset = preset,
                                           .head = "",
                                           .enabled = true};
    conf = (struct conf){.edge = {.port_count = 1, .ports = ports}, .feed_count = 2, .feeds = feed_confs};
    log_file = open_log("a.log");
    for (unsigned i = 0; i < OTHERS; i++)
        other_files[i] = open_log(strrchr(in_folder("b%u.log", i), '/') + 1);
    begin_life();
    catch_up_and_commit(); /* an existing log is followed from its end: the first mark is stored before anything is written */
    for (int64_t patience = clock_run() + PATIENCE; stored_marks.count < 2;) {
        check(clock_run() < patience, "both logs are followed");
        drain(ROOM);
        commit();
        pause_for(500);
    }
    for (life = 1; life <= lives; life++) {
        live();
        if (life % 15 == 0) {
            catch_up_and_commit();
            remove_old();
        }
        die();
        while_nobody_looks();
        begin_life();
    }
    catch_up_and_commit();
    check(counted_count + open_records() == written, "all are counted");
    printf("%u lives, %u events exactly once, %u counted again after a crash; %u commits, %u rotations, %u copies, %u "
           "compressed\n",
           lives, counted_count, losses, commits, rotations, copies, compressions);
    check(losses > 0 && copies > 0 && compressions > 0, "something was at stake");
    die();
    feed_marks_clear(&marks);
    feed_marks_clear(&stored_marks);
    close(log_file);
    for (unsigned i = 0; i < OTHERS; i++)
        close(other_files[i]);
    remove_folder();
    return 0;
}
