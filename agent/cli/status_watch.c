/*
 * On a terminal the picture lives on the alternate screen and is written over the one before, line by line, in one
 * write: nothing is erased that stays, so nothing flickers. Keys are read without waiting for a line; q ends it.
 * Signals only set flags, and are let in only while ppoll waits, so that none is missed. However it ends, the terminal
 * is as it was. Nothing is kept from one picture to the next; that of 100,000 partners takes seconds to read, so pauses
 * grow with it.
 */
#include "cli/status.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/when.h"

#define STATUS_UNKNOWN 3
#define WATCH_SHARE    4 /* a pause is at least so many times as long as the picture before it took to make */

struct watch {
    struct show_source *source;
    char *const *names;
    size_t count;
    bool json;
    bool screen; /* a terminal that can be painted on */
    bool keys;   /* standard input is a terminal, too */
    struct termios before;
    sigset_t inside; /* the mask while waiting */
    int status;
};

static volatile sig_atomic_t end_wanted, stop_wanted;

static void on_signal(int number)
{
    if (number == SIGTSTP)
        stop_wanted = 1;
    else if (number != SIGWINCH)
        end_wanted = 1;
}

static void catch_signals(struct watch *watch)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGWINCH};
    struct sigaction action = {.sa_handler = on_signal};
    sigset_t blocked;
    sigemptyset(&blocked);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        sigaction(numbers[i], &action, NULL);
        sigaddset(&blocked, numbers[i]);
    }
    sigprocmask(SIG_BLOCK, &blocked, &watch->inside);
    signal(SIGPIPE, SIG_IGN); /* the end of the output is seen where it is written */
}

/* ---- the terminal ---- */

static void write_all(const char *data, size_t length)
{
    while (length > 0) {
        ssize_t written = write(STDOUT_FILENO, data, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            end_wanted = 1;
            return;
        }
        data += written;
        length -= (size_t)written;
    }
}

static void say(const char *text)
{
    write_all(text, strlen(text));
}

static void enter_screen(struct watch *watch)
{
    if (!watch->screen)
        return;
    say("\033[?1049h\033[?25l");
    watch->keys = tcgetattr(STDIN_FILENO, &watch->before) == 0;
    if (watch->keys) {
        struct termios raw = watch->before;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
}

static void leave_screen(struct watch *watch)
{
    if (!watch->screen)
        return;
    if (watch->keys)
        tcsetattr(STDIN_FILENO, TCSANOW, &watch->before);
    say("\033[?25h\033[?1049l");
}

/* Ctrl-Z: the shell gets its terminal as it was. */
static void stop(struct watch *watch)
{
    stop_wanted = 0;
    leave_screen(watch);
    raise(SIGSTOP);
    enter_screen(watch);
}

/* ---- a picture ---- */

static void picture(struct watch *watch, FILE *out, const struct term *term)
{
    struct ledger *ledger = NULL;
    char problem[SHOW_PROBLEM];
    struct show *show = show_again(watch->source, &ledger, problem);
    watch->status = STATUS_UNKNOWN;
    if (!show) {
        if (watch->json)
            fprintf(stderr, "fedwarden status: %s\n", problem);
        else
            term_wrap(out, term, 0, problem);
        return;
    }
    const char *missing = watch->count ? show_select(show, watch->names, watch->count) : NULL;
    if (missing) {
        fprintf(watch->json ? stderr : out, "There is no partner \"%s\".\n", missing);
    } else {
        watch->status = status_exit(show);
        if (watch->json)
            status_json(out, show);
        else
            status_text(out, show, term, watch->count > 0);
    }
    show_free(show);
    ledger_free(ledger);
}

/* Each line over the one that stands there, what is left of that erased, and what is below. */
static void paint(const char *text, size_t height)
{
    char *data = NULL;
    size_t size = 0, lines = 0;
    FILE *out = open_memstream(&data, &size);
    if (!out)
        abort();
    fputs("\033[H", out);
    for (const char *line = text; *line && lines < height; lines++) {
        size_t length = strcspn(line, "\n");
        fprintf(out, "%s%.*s\033[K", lines ? "\r\n" : "", (int)length, line);
        line += length + (line[length] == '\n');
    }
    fputs("\033[J", out);
    if (fclose(out) != 0)
        abort();
    write_all(data, size);
    free(data);
}

static void show_picture(struct watch *watch)
{
    char *data = NULL, time[WHEN_TEXT_SIZE];
    size_t size = 0;
    struct term term = term_of(stdout);
    FILE *out = open_memstream(&data, &size);
    if (!out)
        abort();
    if (!watch->screen)
        term.height = 0;
    else if (term.height == 0)
        term.height = 24;
    size_t height = term.height;
    if (!watch->json)
        fprintf(out, "fedwarden status  %s%s\n", when_text(clock_wall(), time, sizeof time),
                watch->screen ? "  q ends" : "");
    if (term.height)
        term.height--;
    picture(watch, out, &term);
    if (!watch->screen && !watch->json)
        fputc('\n', out);
    if (fclose(out) != 0)
        abort();
    if (watch->screen)
        paint(data, height);
    else
        write_all(data, size);
    free(data);
}

/* ---- waiting ---- */

static void read_keys(struct watch *watch)
{
    char keys[64];
    ssize_t length = read(STDIN_FILENO, keys, sizeof keys);
    if (length <= 0)
        watch->keys = false;
    for (ssize_t i = 0; i < length; i++)
        if (keys[i] == 'q' || keys[i] == 'Q' || keys[i] == 3 || keys[i] == 4)
            end_wanted = 1;
}

/* Until it is time for the next picture, or something else asks for one. */
static void wait_next(struct watch *watch, int64_t pause)
{
    int64_t until = clock_run() + pause;
    while (!end_wanted) {
        int64_t left = until - clock_run();
        if (left <= 0)
            return;
        struct timespec timeout = {.tv_sec = left / CLOCK_SECOND, .tv_nsec = left % CLOCK_SECOND * 1000};
        struct pollfd descriptors[] = {{.fd = watch->keys ? STDIN_FILENO : -1, .events = POLLIN},
                                       {.fd = STDOUT_FILENO}}; /* its end: POLLERR */
        int ready = ppoll(descriptors, 2, &timeout, &watch->inside);
        if (stop_wanted)
            stop(watch);
        if (ready < 0)
            return;
        if (descriptors[1].revents & (POLLERR | POLLHUP))
            end_wanted = 1;
        if (descriptors[0].revents)
            read_keys(watch);
    }
}

int status_watch(struct show_source *source, char *const *names, size_t count, unsigned seconds, bool json)
{
    struct watch watch = {.source = source, .names = names, .count = count, .json = json};
    const char *kind = getenv("TERM");
    watch.screen = !json && isatty(STDOUT_FILENO) && kind && strcmp(kind, "dumb") != 0;
    catch_signals(&watch);
    enter_screen(&watch);
    while (!end_wanted) {
        int64_t begun = clock_run();
        show_picture(&watch);
        int64_t pause = WATCH_SHARE * (clock_run() - begun);
        wait_next(&watch, pause > seconds * CLOCK_SECOND ? pause : seconds * CLOCK_SECOND);
    }
    leave_screen(&watch);
    return watch.status;
}
