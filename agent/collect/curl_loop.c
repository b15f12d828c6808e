/*
 * One event source for each socket that libcurl names, kept by libcurl beside it (curl_multi_assign), and one timer.
 * After each action all transfers that ended are handed on.
 */
#include "collect/curl_loop.h"

#include <sys/epoll.h>

#include "base/clock.h"

static void collect_done(struct curl_loop *curl)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(curl->multi, &left))) {
        char *transfer = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
        curl->done(transfer, code);
    }
}

static int socket_ready(sd_event_source *source, int descriptor, uint32_t events, void *context)
{
    struct curl_loop *curl = context;
    int running, action = 0;
    (void)source;
    if (events & EPOLLIN)
        action |= CURL_CSELECT_IN;
    if (events & EPOLLOUT)
        action |= CURL_CSELECT_OUT;
    if (events & (EPOLLERR | EPOLLHUP))
        action |= CURL_CSELECT_ERR;
    curl_multi_socket_action(curl->multi, descriptor, action, &running);
    collect_done(curl);
    return 0;
}

static int watch_socket(CURL *easy, curl_socket_t descriptor, int what, void *context, void *assigned)
{
    struct curl_loop *curl = context;
    sd_event_source *source = assigned;
    char *transfer = NULL;
    if (what == CURL_POLL_REMOVE || curl->closing) {
        sd_event_source_disable_unref(source);
        return 0;
    }
    if (easy && curl->opened && curl_easy_getinfo(easy, CURLINFO_PRIVATE, &transfer) == CURLE_OK && transfer)
        curl->opened(transfer, descriptor);
    uint32_t events = ((what & CURL_POLL_IN) ? EPOLLIN : 0) | ((what & CURL_POLL_OUT) ? EPOLLOUT : 0);
    if (source)
        return sd_event_source_set_io_events(source, events) < 0 ? -1 : 0;
    if (sd_event_add_io(curl->loop, &source, descriptor, events, socket_ready, curl) < 0)
        return -1;
    curl_multi_assign(curl->multi, descriptor, source);
    return 0;
}

static int timer_fired(sd_event_source *source, uint64_t due, void *context)
{
    struct curl_loop *curl = context;
    int running;
    (void)source;
    (void)due;
    curl_multi_socket_action(curl->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect_done(curl);
    return 0;
}

static int set_timer(CURLM *multi, long milliseconds, void *context)
{
    struct curl_loop *curl = context;
    (void)multi;
    if (curl->closing)
        return 0;
    if (milliseconds < 0)
        return sd_event_source_set_enabled(curl->timer, SD_EVENT_OFF) < 0 ? -1 : 0;
    uint64_t due = (uint64_t)clock_run() + (uint64_t)milliseconds * 1000;
    if (sd_event_source_set_time(curl->timer, due) < 0 ||
        sd_event_source_set_enabled(curl->timer, SD_EVENT_ONESHOT) < 0)
        return -1;
    return 0;
}

bool curl_loop_open(struct curl_loop *curl, sd_event *loop)
{
    curl->loop = loop;
    curl_global_init(CURL_GLOBAL_DEFAULT); /* counted; safe from every thread since libcurl 7.84 */
    curl->multi = curl_multi_init();
    if (!curl->multi || sd_event_add_time(loop, &curl->timer, CLOCK_BOOTTIME, 0, 1000, timer_fired, curl) < 0)
        return false;
    sd_event_source_set_enabled(curl->timer, SD_EVENT_OFF);
    curl_multi_setopt(curl->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
    curl_multi_setopt(curl->multi, CURLMOPT_SOCKETDATA, curl);
    curl_multi_setopt(curl->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(curl->multi, CURLMOPT_TIMERDATA, curl);
    return true;
}

void curl_loop_close(struct curl_loop *curl)
{
    curl->closing = true;
    curl_multi_cleanup(curl->multi);
    sd_event_source_disable_unref(curl->timer);
    curl_global_cleanup();
}
