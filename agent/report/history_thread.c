/*
 * The thread that writes. It has at most one batch, given by the main thread, and tries until that is stored, longer and
 * longer apart; then it puts it down to be taken back. What the two share is under one mutex, which is never held while
 * the disk is used, so the main thread never waits for it. Only the thread touches the file, from its start to its end.
 *
 * A disk can hold a thread for ever. At the end of the process it is waited for, but not longer than the caller says; then
 * it is left where it is, with all that it uses.
 */
#include "report/history_parts.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"

#define RETRY_FIRST 50 /* milliseconds */
#define RETRY_MAX   15000
#define SLOW        (10 * CLOCK_SECOND) /* a batch that takes longer is a failure that is told */

struct history_thread {
    pthread_t id;
    int descriptor;
    struct history_file *file; /* the thread's alone */
    pthread_mutex_t mutex;
    pthread_cond_t wake, ended; /* by CLOCK_MONOTONIC */
    /* shared, under the mutex */
    struct history_batch *todo, *done;
    enum write_outcome outcome;
    bool hurry, stop, gone;
    bool failing;
    int64_t begun; /* run time of the attempt that is under way; 0 none is */
    char problem[HISTORY_PROBLEM];
    struct history_counts counts;
};

static void deadline(struct timespec *at, int milliseconds)
{
    clock_gettime(CLOCK_MONOTONIC, at);
    at->tv_sec += milliseconds / 1000;
    at->tv_nsec += milliseconds % 1000 * 1000000L;
    if (at->tv_nsec >= 1000000000L) {
        at->tv_sec++;
        at->tv_nsec -= 1000000000L;
    }
}

/* One attempt. With the mutex; without it meanwhile. */
static enum write_outcome attempt(struct history_thread *thread)
{
    char problem[HISTORY_PROBLEM] = "";
    struct history_batch *batch = thread->todo;
    int64_t begun = thread->begun = clock_run();
    pthread_mutex_unlock(&thread->mutex);
    enum write_outcome outcome = history_write(thread->file, batch, problem, sizeof problem);
    uint64_t bytes = outcome == WRITE_STORED ? history_file_octets(thread->file) : 0;
    pthread_mutex_lock(&thread->mutex);
    thread->begun = 0;
    if (outcome == WRITE_STORED) {
        thread->counts.batches++;
        thread->counts.bytes = bytes;
        thread->counts.batch_ms = (uint32_t)((clock_run() - begun) / 1000);
        if (thread->failing)
            log_notice("history", "%s can be written again", thread->file->path);
        thread->failing = false;
    } else if (outcome == WRITE_FAILED) {
        thread->counts.failed_batches++;
        if (!thread->failing)
            log_error("history", "%s. What happens is kept in memory and written when that is possible again", problem);
        thread->failing = true;
        text_copy(thread->problem, sizeof thread->problem, problem);
    }
    return outcome;
}

/* Waits, unless it is in a hurry. False: it is not to be tried again. */
static bool wait_again(struct history_thread *thread, int milliseconds)
{
    struct timespec at;
    deadline(&at, milliseconds);
    while (!thread->hurry && !thread->stop && pthread_cond_timedwait(&thread->wake, &thread->mutex, &at) != ETIMEDOUT)
        ;
    return !thread->stop;
}

static void write_todo(struct history_thread *thread)
{
    int pause = RETRY_FIRST;
    enum write_outcome outcome;
    bool last;
    do {
        last = thread->hurry;
        outcome = attempt(thread);
        if (outcome != WRITE_FAILED || last || !wait_again(thread, pause))
            break;
        pause = pause * 2 < RETRY_MAX ? pause * 2 : RETRY_MAX;
    } while (true);
    thread->outcome = outcome;
    thread->done = thread->todo;
    thread->todo = NULL;
    eventfd_write(thread->descriptor, 1);
    pthread_cond_broadcast(&thread->ended);
}

static void *run(void *argument)
{
    struct history_thread *thread = argument;
    pthread_mutex_lock(&thread->mutex);
    while (!thread->stop) {
        if (thread->todo)
            write_todo(thread);
        else
            pthread_cond_wait(&thread->wake, &thread->mutex);
    }
    pthread_mutex_unlock(&thread->mutex);
    history_file_end(thread->file); /* a checkpoint: the log goes into the database */
    pthread_mutex_lock(&thread->mutex);
    thread->gone = true;
    pthread_cond_broadcast(&thread->ended);
    pthread_mutex_unlock(&thread->mutex);
    return NULL;
}

/* Threads inherit the signal mask of the one that makes them, so it blocks all of them meanwhile. */
static int start(struct history_thread *thread)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&thread->id, NULL, run, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

static void release(struct history_thread *thread)
{
    pthread_cond_destroy(&thread->wake);
    pthread_cond_destroy(&thread->ended);
    pthread_mutex_destroy(&thread->mutex);
    close(thread->descriptor);
    free(thread);
}

struct history_thread *history_thread_start(struct history_file *file)
{
    struct history_thread *thread = calloc(1, sizeof *thread);
    pthread_condattr_t monotonic;
    if (!thread)
        abort();
    thread->file = file;
    thread->descriptor = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (thread->descriptor < 0) {
        free(thread);
        return NULL;
    }
    pthread_mutex_init(&thread->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&thread->wake, &monotonic);
    pthread_cond_init(&thread->ended, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (start(thread) != 0) {
        release(thread);
        return NULL;
    }
    pthread_setname_np(thread->id, "history");
    return thread;
}

void history_thread_give(struct history_thread *thread, struct history_batch *batch)
{
    pthread_mutex_lock(&thread->mutex);
    thread->todo = batch;
    pthread_cond_signal(&thread->wake);
    pthread_mutex_unlock(&thread->mutex);
}

struct history_batch *history_thread_take(struct history_thread *thread, enum write_outcome *outcome)
{
    eventfd_t value;
    pthread_mutex_lock(&thread->mutex);
    struct history_batch *done = thread->done;
    *outcome = thread->outcome;
    thread->done = NULL;
    if (done)
        eventfd_read(thread->descriptor, &value);
    pthread_mutex_unlock(&thread->mutex);
    return done;
}

int history_thread_descriptor(const struct history_thread *thread)
{
    return thread->descriptor;
}

bool history_thread_wait(struct history_thread *thread, int milliseconds)
{
    struct timespec at;
    deadline(&at, milliseconds);
    pthread_mutex_lock(&thread->mutex);
    while (!thread->done && pthread_cond_timedwait(&thread->ended, &thread->mutex, &at) != ETIMEDOUT)
        ;
    bool ended = thread->done;
    pthread_mutex_unlock(&thread->mutex);
    return ended;
}

void history_thread_hurry(struct history_thread *thread)
{
    pthread_mutex_lock(&thread->mutex);
    thread->hurry = true;
    pthread_cond_signal(&thread->wake);
    pthread_mutex_unlock(&thread->mutex);
}

bool history_thread_stop(struct history_thread *thread, int milliseconds)
{
    struct timespec at;
    deadline(&at, milliseconds);
    pthread_mutex_lock(&thread->mutex);
    thread->stop = true;
    pthread_cond_signal(&thread->wake);
    while (!thread->gone && pthread_cond_timedwait(&thread->ended, &thread->mutex, &at) != ETIMEDOUT)
        ;
    bool gone = thread->gone;
    pthread_mutex_unlock(&thread->mutex);
    if (!gone) {
        pthread_detach(thread->id);
        return false;
    }
    pthread_join(thread->id, NULL);
    history_batch_free(thread->todo);
    history_batch_free(thread->done);
    release(thread);
    return true;
}

void history_thread_fail(struct history_thread *thread, const char *problem)
{
    pthread_mutex_lock(&thread->mutex);
    thread->failing = true;
    text_copy(thread->problem, sizeof thread->problem, problem);
    pthread_mutex_unlock(&thread->mutex);
}

bool history_thread_failing(struct history_thread *thread, char *problem, size_t size)
{
    pthread_mutex_lock(&thread->mutex);
    int64_t since = thread->begun ? clock_run() - thread->begun : 0;
    bool slow = since > SLOW, failing = thread->failing || slow;
    if (thread->failing)
        text_copy(problem, size, thread->problem);
    else if (slow)
        text_format(problem, size, "%s: the disk has not taken a batch for %d seconds", thread->file->path,
                    (int)(since / CLOCK_SECOND));
    else if (size)
        *problem = '\0';
    pthread_mutex_unlock(&thread->mutex);
    return failing;
}

struct history_counts history_thread_counts(struct history_thread *thread)
{
    pthread_mutex_lock(&thread->mutex);
    struct history_counts counts = thread->counts;
    pthread_mutex_unlock(&thread->mutex);
    return counts;
}
