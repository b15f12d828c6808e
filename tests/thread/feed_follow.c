/*
 * Logs that are written, rotated, truncated and compressed while a feed follows them: its events must be the lines that
 * were written, in their order, none lost, none twice. The rules are those of this file, which make an event of every
 * line that does not begin with "#": what is tested is how lines are found.
 *
 * Usage: feed_follow [SCENARIO]; exit 1 with what differs.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/observation.h"
#include "base/text.h"
#include "collect/feed.h"
#include "collect/rule.h"

#define PATIENCE (60 * CLOCK_SECOND)

/* ---- rules: every line is an event ---- */

struct rule_reader {
    rule_found *found;
    void *context;
    struct rule_counts counts;
};

struct rule_set *rule_set_load(const char *path, const char *head, struct conf_errors *errors)
{
    static char set;
    (void)path, (void)head, (void)errors;
    return (void *)&set;
}

void rule_set_free(struct rule_set *set)
{
    (void)set;
}

struct rule_reader *rule_reader_new(const struct rule_set *set, const struct conf *conf, rule_found *found,
                                    void *context)
{
    struct rule_reader *reader = calloc(1, sizeof *reader);
    (void)set, (void)conf;
    *reader = (struct rule_reader){.found = found, .context = context};
    return reader;
}

void rule_reader_free(struct rule_reader *reader)
{
    free(reader);
}

void rule_read(struct rule_reader *reader, const char *line, size_t length, int64_t run)
{
    struct rule_hit hit = {.line = ++reader->counts.lines, .first_line = reader->counts.lines};
    (void)run;
    reader->counts.cut += length > RULE_LINE_MAX;
    if (length && line[0] == '#')
        return;
    hit.event.event = EVENT_AUTH_SOURCE;
    hit.event.count = (uint32_t)length;
    text_printable(hit.event.detail, sizeof hit.event.detail, line, length);
    reader->counts.events++;
    reader->found(reader->context, &hit);
}

void rule_flush(struct rule_reader *reader, int64_t run)
{
    (void)reader, (void)run;
}

void rule_pack(const struct rule_reader *reader, int64_t run, struct pack *pack)
{
    (void)reader, (void)run, (void)pack;
}

void rule_unpack(struct rule_reader *reader, struct unpack *unpack, int64_t run)
{
    (void)reader, (void)unpack, (void)run;
}

bool rule_is_idle(const struct rule_reader *reader)
{
    (void)reader;
    return true;
}

struct rule_counts rule_reader_counts(const struct rule_reader *reader)
{
    return reader->counts;
}

/* ---- a log, its feed, and what was written and told ---- */

struct lines {
    size_t count, room;
    char **texts;
};

static char folder[64], path[128];
static struct conf_feed feed;
static struct conf conf;
static struct queue *queue;
static struct feeds *feeds;
static struct lines written, told;
static int log_file = -1;
static const char *scenario;

static void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

static void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: ", scenario);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static void check(bool holds, const char *what)
{
    if (!holds)
        fail("%s", what);
}

static void add(struct lines *lines, const char *text)
{
    if (lines->count == lines->room) {
        lines->room = lines->room ? 2 * lines->room : 1024;
        lines->texts = realloc(lines->texts, lines->room * sizeof *lines->texts);
    }
    lines->texts[lines->count++] = strdup(text);
}

static void clear(struct lines *lines)
{
    for (size_t i = 0; i < lines->count; i++)
        free(lines->texts[i]);
    free(lines->texts);
    *lines = (struct lines){0};
}

static const char *in_folder(const char *name)
{
    static char paths[4][192];
    static unsigned next;
    char *out = paths[next++ % 4];
    snprintf(out, sizeof paths[0], "%s/%s", folder, name);
    return out;
}

static int open_log(const char *name)
{
    int descriptor = open(in_folder(name), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    check(descriptor >= 0, "the log can be written");
    return descriptor;
}

static void put(int descriptor, const void *data, size_t length)
{
    check(write(descriptor, data, length) == (ssize_t)length, "written as a whole");
}

static void put_text(int descriptor, const char *text)
{
    put(descriptor, text, strlen(text));
}

/* One numbered line; its text is expected from then on. */
static void put_line(int descriptor, unsigned number)
{
    char line[128];
    int length = snprintf(line, sizeof line, "2026-11-22 line %u of %s\n", number, scenario);
    line[length - 1] = '\0';
    add(&written, line);
    line[length - 1] = '\n';
    put(descriptor, line, (size_t)length);
}

static void put_lines(int descriptor, unsigned first, unsigned count)
{
    for (unsigned i = first; i < first + count; i++)
        put_line(descriptor, i);
}

static void pause_for(int64_t microseconds)
{
    struct timespec time = {microseconds / CLOCK_SECOND, microseconds % CLOCK_SECOND * 1000};
    nanosleep(&time, NULL);
}

static size_t take(void)
{
    static struct observation batch[64];
    size_t count = queue_take(queue, batch, 64);
    for (size_t i = 0; i < count; i++) {
        if (batch[i].kind == OBSERVATION_MARK) {
            struct feed_marks marks;
            feeds_mark_take(feeds, batch[i].mark.number, &marks);
            feed_marks_clear(&marks);
            continue;
        }
        check(batch[i].kind == OBSERVATION_EVENT && batch[i].partner == OBSERVATION_NO_PARTNER, "an event of nobody");
        add(&told, batch[i].event.detail);
    }
    return count;
}

static void take_until(size_t count)
{
    int64_t end = clock_run() + PATIENCE;
    while (told.count < count && clock_run() < end) {
        take();
        pause_for(500);
    }
}

static void compare(void)
{
    for (size_t i = 0; i < told.count || i < written.count; i++) {
        const char *is = i < told.count ? told.texts[i] : "(nothing)";
        const char *was = i < written.count ? written.texts[i] : "(nothing)";
        if (strcmp(is, was) != 0)
            fail("event %zu of %zu is \"%s\"; line %zu of %zu was \"%s\"", i, told.count, is, i, written.count, was);
    }
    check(queue_dropped(queue) == 0, "nothing is dropped");
}

static void caught_up(void)
{
    take_until(written.count);
    compare();
}

static void start(const struct feed_marks *from)
{
    conf.feed_count = 1;
    conf.feeds = &feed;
    feeds = feeds_start(&conf, queue, from);
    check(feeds != NULL, "feeds start");
}

static void stop(struct feed_marks *marks)
{
    while (!feeds_stop(feeds))
        take();
    while (take() > 0)
        ;
    if (marks)
        feeds_marks(feeds, marks);
    feeds_free(feeds);
    feeds = NULL;
}

static void begin(const char *name, const char *file, size_t room)
{
    scenario = name;
    snprintf(folder, sizeof folder, "/tmp/fedwarden-feed-XXXXXX");
    check(mkdtemp(folder) != NULL, "a folder");
    snprintf(path, sizeof path, "%s/%s", folder, file);
    feed = (struct conf_feed){.name = "log",
                              .file = path,
                              .unit = "",
                              .identifier = "",
                              .priority = 7,
                              .preset = "none",
                              .head = "",
                              .enabled = true};
    queue = queue_new(room);
}

static void end(void)
{
    char command[128];
    stop(NULL);
    compare();
    printf("%-14s %zu lines\n", scenario, told.count);
    fflush(stdout);
    if (log_file >= 0)
        close(log_file);
    log_file = -1;
    queue_free(queue);
    clear(&written);
    clear(&told);
    snprintf(command, sizeof command, "rm -r %s", folder);
    check(system(command) == 0, "the folder goes");
}

static struct feed_status status(void)
{
    return feeds_status(feeds, 0);
}

static void wait_for_problem(const char *part, bool readable)
{
    int64_t patience = clock_run() + PATIENCE;
    while (clock_run() < patience &&
           (!strstr(status().problem, part) || (!*part && *status().problem) || status().readable != readable))
        pause_for(1000);
    if (!strstr(status().problem, part) || status().readable != readable)
        fail("the problem is \"%s\", readable %d, and not \"%s\"", status().problem, status().readable, part);
}

/* ---- rotation while lines are written ---- */

static void *write_and_rotate(void *context)
{
    unsigned number = 0;
    (void)context;
    for (unsigned rotation = 0; rotation < 60; rotation++) {
        char name[32];
        for (unsigned i = 0; i < 200; i++) {
            put_line(log_file, number++);
            if (i % 40 == 0)
                pause_for(3000);
        }
        /* Between two looks a log may be rotated twice, not more: on a busy machine the reader may be behind by more. */
        for (int64_t patience = clock_run() + PATIENCE; status().lines + 300 < number && clock_run() < patience;)
            pause_for(1000);
        snprintf(name, sizeof name, "a.log.%u", rotation);
        check(rename(in_folder("a.log"), in_folder(name)) == 0, "rotated");
        if (rotation % 2) /* the writer goes on in the old one for a while */
            for (unsigned i = 0; i < 20; i++)
                put_line(log_file, number++);
        int next = open_log("a.log");
        close(log_file);
        log_file = next;
    }
    return NULL;
}

static void rename_and_create(void)
{
    pthread_t writer;
    begin("rename", "a.log", 1024);
    log_file = open_log("a.log");
    put_text(log_file, "of before\n");
    start(NULL);
    check(pthread_create(&writer, NULL, write_and_rotate, NULL) == 0, "a writer");
    /* The lines that are expected belong to the writer until it has ended. */
    take_until(60 * 200 + 30 * 20);
    pthread_join(writer, NULL);
    caught_up();
    put_lines(log_file, 900000, 10);
    caught_up();
    end();
}

static void compress(void)
{
    begin("gzip", "a.log", 1024);
    log_file = open_log("a.log");
    start(NULL);
    for (unsigned rotation = 0; rotation < 5; rotation++) {
        char command[256];
        put_lines(log_file, rotation * 1000, 500);
        check(rename(in_folder("a.log"), in_folder("a.log.1")) == 0, "rotated");
        close(log_file);
        log_file = open_log("a.log");
        put_lines(log_file, rotation * 1000 + 500, 100);
        /* As logrotate does: at once, whether it has been read or not. */
        snprintf(command, sizeof command, "gzip -f %s", in_folder("a.log.1"));
        caught_up();
        check(system(command) == 0, "compressed");
    }
    caught_up();
    end();
}

/* No line is written between copy and truncation, and all were read: what else is not possible. */
static void copy_truncate(const char *name, const char *pattern)
{
    begin(name, pattern, 1024);
    log_file = open_log("a.log");
    put_text(log_file, "of before\n");
    start(NULL);
    for (unsigned rotation = 0; rotation < 8; rotation++) {
        char command[512];
        put_lines(log_file, rotation * 1000, 50 + 100 * (rotation % 3));
        caught_up();
        snprintf(command, sizeof command, "cp %s %s", in_folder("a.log"), in_folder("a.log.1"));
        check(system(command) == 0 && ftruncate(log_file, 0) == 0, "copied and truncated");
        /* Every other time it grows beyond where it was before it can be looked at. */
        if (rotation % 2)
            put_lines(log_file, rotation * 1000 + 500, 400);
    }
    caught_up();
    end();
}

static void copytruncate(void)
{
    copy_truncate("copytruncate", "a.log");
}

static void copytruncate_pattern(void)
{
    copy_truncate("copies", "a.log*");
}

/* The same octets again, but fewer: it begins anew. */
static void truncate_short(void)
{
    begin("truncate", "a.log", 1024);
    log_file = open_log("a.log");
    start(NULL);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 100 - 20 * round; i++) {
            add(&written, "always the same line");
            put_text(log_file, "always the same line\n");
        }
        caught_up();
        check(ftruncate(log_file, 0) == 0, "truncated");
        /* Seen empty, since the same octets could not be told from those of before. */
        pause_for(1500000);
    }
    end();
}

/* Truncated and written again while nobody looks, to more, fewer or as many octets, with another head or not. */
static void regrown(void)
{
    begin("regrown", "a.log", 1024);
    log_file = open_log("a.log");
    start(NULL);
    put_lines(log_file, 0, 100);
    caught_up();
    for (unsigned round = 0; round < 5; round++) {
        struct feed_marks marks = {0};
        const char *line = round < 4 ? "always the same line" : "other words, as long";
        stop(&marks);
        check(ftruncate(log_file, 0) == 0, "truncated");
        if (round < 2)
            put_lines(log_file, 1000 + 1000 * round, round ? 50 : 200);
        for (unsigned i = 0; round >= 2 && i < (round == 2 ? 100 : 50); i++) {
            add(&written, line);
            put_text(log_file, line);
            put_text(log_file, "\n");
        }
        start(&marks);
        feed_marks_clear(&marks);
        caught_up();
    }
    end();
}

/* ---- lines ---- */

static void part_lines(void)
{
    begin("parts", "a.log", 1024);
    log_file = open_log("a.log");
    start(NULL);
    put_text(log_file, "first ha");
    pause_for(1200000); /* looked at at least once */
    take();
    check(told.count == 0, "a line without an end is not told");
    put_text(log_file, "lf\nsecond\r\n\nthird");
    add(&written, "first half");
    add(&written, "second");
    add(&written, "");
    caught_up();
    check(rename(in_folder("a.log"), in_folder("a.log.1")) == 0, "rotated");
    put_text(log_file, ", written behind the rotation\nnever en");
    close(log_file);
    log_file = open_log("a.log");
    put_text(log_file, "of the next file\n");
    add(&written, "third, written behind the rotation");
    add(&written, "never en");
    add(&written, "of the next file");
    caught_up();
    end();
}

static void long_lines(void)
{
    begin("long", "a.log", 1024);
    log_file = open_log("a.log");
    start(NULL);
    size_t size = 1 << 20;
    char *line = malloc(size), text[OBSERVATION_DETAIL];
    memset(line, 'x', size);
    for (size_t length = RULE_LINE_MAX - 1; length <= RULE_LINE_MAX + 2; length++) {
        put(log_file, line, length);
        put_text(log_file, "\n");
        text_printable(text, sizeof text, line, length);
        add(&written, text);
    }
    caught_up();
    line[size - 1] = '\n';
    put(log_file, line, size);
    add(&written, text);
    caught_up();
    put(log_file, line, size - 1); /* told when it is too long, without its end */
    add(&written, text);
    caught_up();
    put(log_file, line, size - 1);
    put(log_file, "\n\0\xff\x1b[0m\xe2\x82\n", 10);
    add(&written, "\\x00\\xff\\x1b[0m\\xe2\\x82");
    put_line(log_file, 1);
    caught_up();
    free(line);
    end();
}

/* ---- names ---- */

static void late(void)
{
    begin("late", "sub/a.log", 1024);
    start(NULL);
    check(!status().readable && !*status().problem, "a log that does not exist yet is no problem");
    check(mkdir(in_folder("sub"), 0755) == 0, "a folder");
    log_file = open_log("sub/a.log");
    put_lines(log_file, 0, 10);
    caught_up();
    wait_for_problem("", true);
    /* The folder is replaced. */
    check(rename(in_folder("sub"), in_folder("gone")) == 0 && mkdir(in_folder("sub"), 0755) == 0, "replaced");
    put_lines(log_file, 10, 10);
    close(log_file);
    log_file = open_log("sub/a.log");
    put_lines(log_file, 20, 10);
    caught_up();
    /* What bears the name is no log. */
    check(unlink(in_folder("sub/a.log")) == 0 && mkdir(in_folder("sub/a.log"), 0755) == 0, "a folder of that name");
    wait_for_problem("is no regular file", true);
    check(rmdir(in_folder("sub/a.log")) == 0, "removed");
    close(log_file);
    log_file = open_log("sub/a.log");
    put_lines(log_file, 30, 10);
    caught_up();
    wait_for_problem("", true);
    check(symlink("a.log", in_folder("loop")) == 0 && rename(in_folder("loop"), in_folder("sub/a.log")) == 0, "a loop");
    wait_for_problem("symbolic links", true);
    end();
}

static void patterns(void)
{
    begin("pattern", "*.log", 4096);
    int other = open_log("b.log"), none = open_log("c.txt");
    put_text(other, "of before\n");
    start(NULL);
    put_line(other, 0);
    caught_up();
    put_text(none, "not matched\n");
    log_file = open_log("a.log");
    put_lines(log_file, 1, 10);
    caught_up();
    int hidden = open_log(".h.log"), packed = open_log("p.log");
    put_text(hidden, "hidden\n");
    put(packed, "\x1f\x8b\x08\n\n\n", 6);
    check(rename(in_folder("a.log"), in_folder("a2.log")) == 0, "renamed within the pattern");
    put_lines(log_file, 11, 10);
    caught_up();
    check(rename(in_folder("a2.log"), in_folder("a.old")) == 0, "renamed away");
    put_lines(log_file, 21, 10);
    close(log_file);
    log_file = open_log("a.log");
    put_lines(log_file, 31, 10);
    caught_up();
    int many[300];
    for (int i = 0; i < 300; i++) {
        char name[32];
        snprintf(name, sizeof name, "many%d.log", i);
        many[i] = open_log(name);
    }
    wait_for_problem("more than 256 files", true);
    for (int i = 0; i < 300; i++) {
        char name[32];
        snprintf(name, sizeof name, "many%d.log", i);
        unlink(in_folder(name));
        close(many[i]);
    }
    put_lines(log_file, 41, 10);
    caught_up();
    close(other);
    close(none);
    close(hidden);
    close(packed);
    end();
}

/* ---- the queue, and going on ---- */

static void full_queue(void)
{
    begin("full", "a.log", 16);
    log_file = open_log("a.log");
    start(NULL);
    put_lines(log_file, 0, 3000);
    int64_t patience = clock_run() + PATIENCE;
    while (status().events < 16 && clock_run() < patience)
        pause_for(1000);
    pause_for(1200000); /* time enough to read all of it */
    check(status().events >= 16 && status().events < 16 + 2 * 64, "it waits while the queue is full");
    check(rename(in_folder("a.log"), in_folder("a.log.1")) == 0, "rotated meanwhile");
    close(log_file);
    log_file = open_log("a.log");
    put_lines(log_file, 3000, 100);
    caught_up();
    end();
}

static void go_on(void)
{
    struct feed_marks marks = {0};
    begin("marks", "a.log", 64);
    start(NULL); /* there is no file yet */
    stop(&marks);
    log_file = open_log("a.log");
    unsigned number = 0;
    for (unsigned round = 0; round < 12; round++) {
        put_lines(log_file, number, 300);
        number += 300;
        if (round % 2)
            put_text(log_file, "begun and ");
        start(&marks);
        feed_marks_clear(&marks);
        if (round % 3 == 0)
            take_until(told.count + 50); /* stopped in the middle */
        else
            caught_up();
        stop(&marks);
        if (round % 2) {
            put_text(log_file, "ended\n");
            add(&written, "begun and ended");
        }
        for (unsigned rotations = round % 3; rotations > 0; rotations--) {
            char name[32];
            snprintf(name, sizeof name, "a.log.%u%u", round, rotations);
            put_lines(log_file, number, 50);
            number += 50;
            check(rename(in_folder("a.log"), in_folder(name)) == 0, "rotated while nobody looks");
            close(log_file);
            log_file = open_log("a.log");
            put_lines(log_file, number, 50);
            number += 50;
            pause_for(20000); /* files are ordered by their birth */
        }
    }
    start(&marks);
    feed_marks_clear(&marks);
    caught_up();
    end();
}

static void none(void)
{
    begin("none", "a.log", 1024);
    feed.enabled = false;
    log_file = open_log("a.log");
    start(NULL);
    put_text(log_file, "not followed\n");
    check(!status().readable && !*status().problem && !status().lines, "a feed that is off");
    check(feeds_status(feeds, 1).lines == 0, "a feed that does not exist");
    end();
    check(feeds_stop(NULL), "no feeds");
    feeds_free(NULL);
}

static const struct {
    const char *name;
    void (*run)(void);
} scenarios[] = {
    {"rename", rename_and_create},
    {"gzip", compress},
    {"copytruncate", copytruncate},
    {"copies", copytruncate_pattern},
    {"truncate", truncate_short},
    {"regrown", regrown},
    {"parts", part_lines},
    {"long", long_lines},
    {"late", late},
    {"pattern", patterns},
    {"full", full_queue},
    {"marks", go_on},
    {"none", none},
};

/* Each is a process of its own, all at once: they wait most of the time. */
static int run_all(void)
{
    size_t count = sizeof scenarios / sizeof scenarios[0], failed = 0;
    for (size_t i = 0; i < count; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            scenarios[i].run();
            exit(0);
        }
        failed += pid < 0;
    }
    for (int status; wait(&status) > 0;)
        failed += status != 0;
    return failed > 0;
}

int main(int argc, char **argv)
{
    log_level_set(LOG_LEVEL_ERROR);
    if (argc < 2)
        return run_all();
    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++)
        if (strcmp(argv[1], scenarios[i].name) == 0) {
            scenarios[i].run();
            return 0;
        }
    return 2;
}
