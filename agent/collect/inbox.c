/*
 * One thread, one event loop. Messages of a connection are parsed and offered to the queue at once; what they will be
 * answered stands in a ring, in their order, with the number that the event has in the queue: the answer is written when
 * that is stored, which a descriptor of the queue tells. A connection is not read while
 *
 *   the queue is full: message and observation are kept, and the connections that wait are offered again in the order in
 *   which they came, since the queue tells nobody when it has room
 *   its ring is full: the disk is slow, or the peer does not read its answers
 *   it has ended: nothing more comes, but answers may still be read
 *
 * So memory is bounded by the connections, and a sender that is quicker than the queue is slowed down by its own
 * socket. When all places are taken, the connection that was silent the longest goes if it was silent for a while;
 * otherwise the kernel keeps those that want in.
 *
 * The loop is turned by hand, so that it can go on in another thread after a reload: the socket, the connections and
 * what they wrote meanwhile stay. What waits is parsed again then, because partners have other positions.
 *
 * A socket that an earlier process left behind refuses connections, one that serves takes them: that tells them apart.
 * Permissions are set before the socket listens, until when nobody can connect.
 */
#include "collect/inbox.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "collect/collector_thread.h"

#define BURST        16                   /* messages of one connection before the next one has its turn */
#define RETRY        (CLOCK_SECOND / 100) /* between offers to a queue that was full */
#define ACCEPT_LATER CLOCK_SECOND         /* until the next look at who wants in, when nobody could be let in */
#define SILENT       (10 * CLOCK_SECOND)  /* after which a connection may have to give its place to another */
#define BACKLOG      128

struct answer {
    uint64_t number; /* of the event in the queue; 0 none */
    char *error;     /* NULL: taken */
};

struct connection {
    struct inbox *inbox;
    struct connection *next, **self; /* of all */
    struct connection *next_waiting;
    int descriptor;
    sd_event_source *source;
    pid_t pid;
    int64_t heard_run;
    bool waiting;
    bool parsed; /* `observation` is of the configuration in force */
    struct observation observation;
    char *message; /* while waiting */
    size_t length;
    bool ended;   /* the peer writes no more */
    bool blocked; /* the peer does not read its answers */
    size_t first, count;
    struct answer answers[INBOX_UNANSWERED];
};

struct inbox {
    const struct conf *conf;
    struct queue *queue;
    struct collector_thread *thread;
    sd_event *loop;
    int stop, stored;
    bool stopping;
    sd_event_source *stop_source, *stored_source, *accept_source, *retry_timer, *accept_timer;
    int listener; /* -1: off */
    char path[CONF_SOCKET_MAX + 1];
    uint32_t mode;
    char group[65];
    dev_t device; /* of the socket that was made */
    ino_t inode;
    size_t count;
    struct connection *connections;
    struct connection *waiting, **waiting_end;
    bool accept_logged;
    char problem[160];
    char buffer[INBOX_MESSAGE_MAX + 1];
};

/* ---- connections ---- */

static void disconnect(struct connection *connection)
{
    struct inbox *inbox = connection->inbox;
    if (connection->next)
        connection->next->self = connection->self;
    *connection->self = connection->next;
    inbox->count--;
    sd_event_source_disable_unref(connection->source);
    close(connection->descriptor);
    for (size_t i = 0; i < connection->count; i++)
        free(connection->answers[(connection->first + i) % INBOX_UNANSWERED].error);
    free(connection->message);
    free(connection);
    sd_event_source_set_enabled(inbox->accept_source, SD_EVENT_ON);
}

/* What is looked for. A peer that is gone is always told, so who looks for nothing must not look at all. */
static void look(struct connection *connection)
{
    bool reads = !connection->waiting && !connection->ended && connection->count < INBOX_UNANSWERED;
    uint32_t events = (reads ? (uint32_t)EPOLLIN : 0) | (connection->blocked ? (uint32_t)EPOLLOUT : 0);
    if (events)
        sd_event_source_set_io_events(connection->source, events);
    sd_event_source_set_enabled(connection->source, events ? SD_EVENT_ON : SD_EVENT_OFF);
}

/* Writes what can be answered; false: the connection is gone. */
static bool tell(struct connection *connection)
{
    char answer[INBOX_ANSWER_MAX];
    connection->blocked = false;
    while (connection->count) {
        struct answer *next = &connection->answers[connection->first];
        if (!next->error && !queue_is_stored(connection->inbox->queue, next->number))
            break;
        if (!next->error)
            inbox_answer(NULL, answer);
        const char *text = next->error ? next->error : answer;
        if (send(connection->descriptor, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
            if (errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOBUFS) {
                disconnect(connection);
                return false;
            }
            connection->blocked = true;
            break;
        }
        free(next->error);
        next->error = NULL;
        connection->first = (connection->first + 1) % INBOX_UNANSWERED;
        connection->count--;
    }
    if (connection->ended && !connection->count && !connection->waiting) {
        disconnect(connection);
        return false;
    }
    look(connection);
    return true;
}

/* The answer to the message at hand: behind those before it. */
static void add_answer(struct connection *connection, uint64_t number, const struct inbox_error *error)
{
    size_t position = (connection->first + connection->count++) % INBOX_UNANSWERED;
    char answer[INBOX_ANSWER_MAX];
    connection->answers[position] = (struct answer){.number = number};
    if (!error)
        return;
    inbox_answer(error, answer);
    connection->answers[position].error = strdup(answer);
    if (!connection->answers[position].error)
        abort();
}

static void log_refused(const struct connection *connection, const struct inbox_error *error)
{
    log_info("inbox", "process %d: %s%s%s", (int)connection->pid, error->field, *error->field ? ": " : "", error->text);
}

/* Offers what was parsed to the queue. */
static bool offer(struct connection *connection)
{
    uint64_t number;
    connection->observation.awaited = true;
    connection->observation.wall = clock_wall();
    connection->observation.run = clock_run();
    if (!queue_offer_whole(connection->inbox->queue, &connection->observation, 1, &number))
        return false;
    add_answer(connection, number, NULL);
    return true;
}

static void wait_for_room(struct connection *connection, const char *data, size_t length)
{
    struct inbox *inbox = connection->inbox;
    connection->message = malloc(length ? length : 1);
    if (!connection->message)
        abort();
    memcpy(connection->message, data, length);
    connection->length = length;
    connection->waiting = true;
    connection->next_waiting = NULL;
    *inbox->waiting_end = connection;
    inbox->waiting_end = &connection->next_waiting;
    look(connection);
    sd_event_source_set_time_relative(inbox->retry_timer, RETRY);
    sd_event_source_set_enabled(inbox->retry_timer, SD_EVENT_ONESHOT);
}

static void take_message(struct connection *connection, const char *data, size_t length)
{
    struct inbox_error error;
    if (!inbox_parse(data, length, connection->inbox->conf, &connection->observation, &error)) {
        log_refused(connection, &error);
        add_answer(connection, 0, &error);
        return;
    }
    connection->parsed = true;
    /* Who waits already comes first. */
    if (connection->inbox->waiting || !offer(connection))
        wait_for_room(connection, data, length);
}

/* What waits, in its order, as far as there is room. */
static int retry_waiting(sd_event_source *timer, uint64_t now, void *context)
{
    struct inbox *inbox = context;
    (void)now;
    while (inbox->waiting) {
        struct connection *connection = inbox->waiting;
        struct inbox_error error;
        bool good = connection->parsed ||
                    inbox_parse(connection->message, connection->length, inbox->conf, &connection->observation, &error);
        connection->parsed = good;
        if (good && !offer(connection)) {
            sd_event_source_set_time_relative(timer, RETRY);
            return sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
        }
        inbox->waiting = connection->next_waiting;
        if (!inbox->waiting)
            inbox->waiting_end = &inbox->waiting;
        connection->waiting = false;
        free(connection->message);
        connection->message = NULL;
        if (!good) {
            log_refused(connection, &error);
            add_answer(connection, 0, &error);
        }
        tell(connection);
    }
    return 0;
}

static int on_message(sd_event_source *source, int descriptor, uint32_t events, void *context)
{
    struct connection *connection = context;
    struct inbox *inbox = connection->inbox;
    connection->heard_run = clock_run();
    (void)source;
    for (int i = 0; i < BURST && events & (EPOLLIN | EPOLLHUP | EPOLLERR) && !connection->waiting &&
                    !connection->ended && connection->count < INBOX_UNANSWERED;
         i++) {
        ssize_t length = recv(descriptor, inbox->buffer, sizeof inbox->buffer, MSG_DONTWAIT);
        if (length < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
            break;
        if (length <= 0) {
            log_debug("inbox", "process %d has disconnected", (int)connection->pid);
            connection->ended = true;
        } else {
            take_message(connection, inbox->buffer, (size_t)length);
        }
    }
    tell(connection);
    return 0;
}

static void tell_all(struct inbox *inbox)
{
    struct connection *next;
    for (struct connection *connection = inbox->connections; connection; connection = next) {
        next = connection->next;
        if (connection->count)
            tell(connection);
    }
}

static int on_stored(sd_event_source *source, int descriptor, uint32_t events, void *context)
{
    eventfd_t value;
    (void)source;
    (void)events;
    eventfd_read(descriptor, &value);
    tell_all(context);
    return 0;
}

/* ---- the socket ---- */

static void connect_peer(struct inbox *inbox, int descriptor)
{
    struct ucred peer = {0};
    socklen_t size = sizeof peer;
    getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &size);
    struct connection *connection = calloc(1, sizeof *connection);
    if (!connection ||
        sd_event_add_io(inbox->loop, &connection->source, descriptor, EPOLLIN, on_message, connection) < 0) {
        log_warning("inbox", "process %d cannot be connected: out of memory or descriptors", (int)peer.pid);
        free(connection);
        close(descriptor);
        return;
    }
    connection->inbox = inbox;
    connection->descriptor = descriptor;
    connection->pid = peer.pid;
    connection->heard_run = clock_run();
    connection->next = inbox->connections;
    connection->self = &inbox->connections;
    if (connection->next)
        connection->next->self = &connection->next;
    inbox->connections = connection;
    inbox->count++;
    log_debug("inbox", "process %d of user %u, group %u has connected", (int)peer.pid, peer.uid, peer.gid);
}

/* Makes a place where there is none; false: all are in use. */
static bool make_place(struct inbox *inbox)
{
    struct connection *silent = NULL;
    if (inbox->count < inbox->conf->inbox.connections_max)
        return true;
    for (struct connection *connection = inbox->connections; connection; connection = connection->next)
        if (!connection->waiting && !connection->count && (!silent || connection->heard_run < silent->heard_run))
            silent = connection;
    if (!silent || clock_run() - silent->heard_run < SILENT)
        return false;
    log_debug("inbox", "process %d was silent and gives its place to another", (int)silent->pid);
    disconnect(silent);
    return true;
}

static void accept_later(struct inbox *inbox)
{
    sd_event_source_set_enabled(inbox->accept_source, SD_EVENT_OFF);
    sd_event_source_set_time_relative(inbox->accept_timer, ACCEPT_LATER);
    sd_event_source_set_enabled(inbox->accept_timer, SD_EVENT_ONESHOT);
}

static int on_accept(sd_event_source *source, int descriptor, uint32_t events, void *context)
{
    struct inbox *inbox = context;
    (void)source;
    (void)events;
    if (!make_place(inbox)) {
        if (!inbox->accept_logged)
            log_warning("inbox",
                        "%zu connections are in use, further senders wait; raise inbox.connections_max or let "
                        "senders disconnect",
                        inbox->count);
        inbox->accept_logged = true;
        accept_later(inbox);
        return 0;
    }
    int peer = accept4(descriptor, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (peer >= 0) {
        connect_peer(inbox, peer);
        return 0;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR || errno == ECONNABORTED)
        return 0;
    log_warning("inbox", "a sender cannot be let in: %s; raise the limits (LimitNOFILE)", strerrordesc_np(errno));
    accept_later(inbox);
    return 0;
}

static int look_again(sd_event_source *timer, uint64_t now, void *context)
{
    struct inbox *inbox = context;
    (void)timer;
    (void)now;
    return sd_event_source_set_enabled(inbox->accept_source, SD_EVENT_ON);
}

static void failed(struct inbox *inbox, int error, const char *advice)
{
    text_format(inbox->problem, sizeof inbox->problem, "%.60s: %s: %s", inbox->path, strerrordesc_np(error), advice);
    log_error("inbox", "no events are taken: %s: %s: %s", inbox->path, strerrordesc_np(error), advice);
}

static bool is_served(const struct sockaddr_un *address)
{
    int descriptor = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool served = descriptor < 0 || connect(descriptor, (const struct sockaddr *)address, sizeof *address) == 0 ||
                  errno != ECONNREFUSED;
    if (descriptor >= 0)
        close(descriptor);
    return served;
}

static bool bind_socket(int descriptor, const struct sockaddr_un *address)
{
    struct stat status;
    if (bind(descriptor, (const struct sockaddr *)address, sizeof *address) == 0)
        return true;
    if (errno != EADDRINUSE || lstat(address->sun_path, &status) < 0 || !S_ISSOCK(status.st_mode))
        return false;
    if (is_served(address)) {
        errno = EADDRINUSE;
        return false;
    }
    log_info("inbox", "%s was left behind and is replaced", address->sun_path);
    return unlink(address->sun_path) == 0 && bind(descriptor, (const struct sockaddr *)address, sizeof *address) == 0;
}

/* Owner and permissions, then it listens. */
static bool publish(struct inbox *inbox)
{
    struct stat status;
    struct group *group = *inbox->group ? getgrnam(inbox->group) : NULL;
    if (*inbox->group && !group) {
        errno = ENOENT;
        return false;
    }
    if (lstat(inbox->path, &status) < 0)
        return false;
    inbox->device = status.st_dev;
    inbox->inode = status.st_ino;
    return (!group || lchown(inbox->path, (uid_t)-1, group->gr_gid) == 0) && chmod(inbox->path, inbox->mode) == 0 &&
           listen(inbox->listener, BACKLOG) == 0;
}

static void remove_socket(struct inbox *inbox)
{
    struct stat status;
    if (inbox->inode && lstat(inbox->path, &status) == 0 && status.st_dev == inbox->device &&
        status.st_ino == inbox->inode)
        unlink(inbox->path);
}

static bool open_socket(struct inbox *inbox)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    text_copy(address.sun_path, sizeof address.sun_path, inbox->path);
    inbox->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool bound = inbox->listener >= 0 && bind_socket(inbox->listener, &address);
    if (bound && publish(inbox))
        return true;
    if (bound)
        failed(inbox, errno, "its group or permissions cannot be set; fedwarden must be a member of inbox.group");
    else if (errno == EADDRINUSE)
        failed(inbox, errno, "another process serves it; does a fedwarden run already? Name another inbox.path");
    else
        failed(inbox, errno, "the folder of inbox.path must exist and be writable for fedwarden");
    return false;
}

/* ---- the thread ---- */

static int told_to_stop(sd_event_source *source, int descriptor, uint32_t events, void *context)
{
    struct inbox *inbox = context;
    uint64_t value;
    (void)source;
    (void)events;
    if (read(descriptor, &value, sizeof value) == sizeof value)
        inbox->stopping = true;
    return 0;
}

static void *run(void *context)
{
    struct inbox *inbox = context;
    while (!inbox->stopping) {
        int result = sd_event_run(inbox->loop, UINT64_MAX);
        if (result < 0) {
            log_error("inbox", "the event loop ended: %s; no events are taken any more, restart",
                      strerrordesc_np(-result));
            break;
        }
    }
    return NULL;
}

static bool prepare_loop(struct inbox *inbox)
{
    inbox->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    inbox->stored = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (inbox->stop < 0 || inbox->stored < 0 || sd_event_new(&inbox->loop) < 0 ||
        sd_event_add_io(inbox->loop, &inbox->stored_source, inbox->stored, EPOLLIN, on_stored, inbox) < 0 ||
        sd_event_add_io(inbox->loop, &inbox->stop_source, inbox->stop, EPOLLIN, told_to_stop, inbox) < 0 ||
        sd_event_add_io(inbox->loop, &inbox->accept_source, inbox->listener, EPOLLIN, on_accept, inbox) < 0 ||
        sd_event_add_time(inbox->loop, &inbox->retry_timer, CLOCK_BOOTTIME, 0, 1000, retry_waiting, inbox) < 0 ||
        sd_event_add_time(inbox->loop, &inbox->accept_timer, CLOCK_BOOTTIME, 0, 1000, look_again, inbox) < 0)
        return false;
    sd_event_source_set_priority(inbox->stop_source, SD_EVENT_PRIORITY_IMPORTANT);
    sd_event_source_set_enabled(inbox->retry_timer, SD_EVENT_OFF);
    sd_event_source_set_enabled(inbox->accept_timer, SD_EVENT_OFF);
    return true;
}

static void shut(struct inbox *inbox)
{
    remove_socket(inbox);
    if (inbox->queue)
        tell_all(inbox);
    while (inbox->connections)
        disconnect(inbox->connections);
    inbox->retry_timer = sd_event_source_disable_unref(inbox->retry_timer);
    inbox->accept_timer = sd_event_source_disable_unref(inbox->accept_timer);
    inbox->accept_source = sd_event_source_disable_unref(inbox->accept_source);
    inbox->stop_source = sd_event_source_disable_unref(inbox->stop_source);
    inbox->stored_source = sd_event_source_disable_unref(inbox->stored_source);
    inbox->loop = sd_event_unref(inbox->loop);
    if (inbox->listener >= 0)
        close(inbox->listener);
    if (inbox->stop >= 0)
        close(inbox->stop);
    if (inbox->stored >= 0)
        close(inbox->stored);
    inbox->listener = inbox->stop = inbox->stored = -1;
    inbox->inode = 0;
}

static struct inbox *make(const struct conf *conf)
{
    struct inbox *inbox = calloc(1, sizeof *inbox);
    if (!inbox)
        abort();
    inbox->listener = inbox->stop = inbox->stored = -1;
    inbox->waiting_end = &inbox->waiting;
    inbox->mode = conf->inbox.mode;
    text_copy(inbox->path, sizeof inbox->path, conf->inbox.path);
    text_copy(inbox->group, sizeof inbox->group, conf->inbox.group);
    json_object_seed(0); /* before there are threads that would do it */
    if (!*inbox->path)
        return inbox;
    bool open = open_socket(inbox);
    if (open && prepare_loop(inbox))
        return inbox;
    if (open)
        failed(inbox, errno, "raise the limits of fedwarden (LimitNOFILE)");
    shut(inbox);
    return inbox;
}

static bool is_same(const struct inbox *inbox, const struct conf *conf)
{
    return inbox->listener >= 0 && strcmp(inbox->path, conf->inbox.path) == 0 && inbox->mode == conf->inbox.mode &&
           strcmp(inbox->group, conf->inbox.group) == 0;
}

struct inbox *inbox_start(const struct conf *conf, struct queue *queue, struct inbox *before)
{
    struct inbox *inbox = before;
    if (before && !is_same(before, conf)) {
        inbox_free(before);
        inbox = NULL;
    }
    if (!inbox)
        inbox = make(conf);
    if (inbox->listener < 0)
        return inbox;
    inbox->conf = conf;
    inbox->queue = queue;
    inbox->stopping = inbox->accept_logged = false;
    sd_event_source_set_enabled(inbox->accept_source, SD_EVENT_ON);
    for (struct connection *connection = inbox->connections; connection; connection = connection->next)
        connection->parsed = false;
    queue_watch_stored(queue, inbox->stored);
    eventfd_write(inbox->stored, 1);
    inbox->thread = collector_thread_start("inbox", run, inbox);
    if (!inbox->thread) {
        failed(inbox, errno, "the thread cannot be started; raise the limits of fedwarden (TasksMax)");
        queue_unwatch_stored(queue, inbox->stored);
        shut(inbox);
    }
    return inbox;
}

const char *inbox_problem(const struct inbox *inbox)
{
    return inbox->problem;
}

void inbox_stop(struct inbox *inbox)
{
    if (!inbox || !inbox->thread)
        return;
    eventfd_write(inbox->stop, 1);
    collector_thread_join(inbox->thread);
    inbox->thread = NULL;
    queue_unwatch_stored(inbox->queue, inbox->stored);
}

void inbox_free(struct inbox *inbox)
{
    if (!inbox)
        return;
    shut(inbox);
    free(inbox);
}
