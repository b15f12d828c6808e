#ifndef FEDWARDEN_COLLECT_COLLECTOR_THREAD_H
#define FEDWARDEN_COLLECT_COLLECTOR_THREAD_H

/* A thread of a collector: all signals blocked, since the main thread handles them, and a name. */

struct collector_thread;

/*
 * collector_thread_start(name, run, context): a thread that runs `run`; NULL with errno. `name` has at most 15 octets.
 * collector_thread_join(thread): waits for its end; NULL is allowed.
 */
struct collector_thread *collector_thread_start(const char *name, void *(*run)(void *context), void *context);
void collector_thread_join(struct collector_thread *thread);

#endif
