#ifndef FEDWARDEN_COLLECT_CURL_LOOP_H
#define FEDWARDEN_COLLECT_CURL_LOOP_H

/* libcurl's multi interface on an event loop, for proxy.c and fetch.c alone; one thread's. */

#include <curl/curl.h>
#include <stdbool.h>
#include <systemd/sd-event.h>

struct curl_loop {
    sd_event *loop;
    CURLM *multi;
    sd_event_source *timer;
    bool closing;
    /* A transfer ended; called from the loop, never from within a call of libcurl. Its CURLOPT_PRIVATE comes with it. */
    void (*done)(void *transfer, CURLcode code);
    /* libcurl has opened a socket for a transfer; NULL: nobody wants to know. */
    void (*opened)(void *transfer, curl_socket_t descriptor);
};

/*
 * curl_loop_open(curl, loop): with `done` and `opened` set before. False without memory or descriptors; curl_loop_close
 * after either. The transfers are the caller's: added to and removed from `multi` by him, all gone before it is closed.
 */
bool curl_loop_open(struct curl_loop *curl, sd_event *loop);
void curl_loop_close(struct curl_loop *curl);

#endif
