/* Threads inherit the signal mask of the one that makes them, so it blocks all of them meanwhile. */
#include "collect/collector_thread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct collector_thread {
    pthread_t id;
};

struct collector_thread *collector_thread_start(const char *name, void *(*run)(void *context), void *context)
{
    struct collector_thread *thread = malloc(sizeof *thread);
    sigset_t all, before;
    if (!thread)
        return NULL;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&thread->id, NULL, run, context);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error) {
        free(thread);
        errno = error;
        return NULL;
    }
    pthread_setname_np(thread->id, name);
    return thread;
}

void collector_thread_join(struct collector_thread *thread)
{
    if (!thread)
        return;
    pthread_join(thread->id, NULL);
    free(thread);
}
