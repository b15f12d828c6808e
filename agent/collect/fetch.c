/*
 * One transfer for each file, on libcurl's multi interface (curl_loop.h). The body is gathered in one block that grows
 * up to the bound of the request; a server that sends more is cut off. No cookies, no credentials, no compressed
 * bodies: what is fetched is public and small, and an archive that unpacks to gigabytes is none of it.
 */
#include "collect/fetch.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "collect/curl_loop.h"

#define FIRST_ROOM 16384
#define REDIRECTS  3

struct fetcher {
    struct curl_loop curl;
};

struct fetch {
    struct fetcher *fetcher;
    CURL *easy;
    fetch_done *done;
    void *context;
    size_t octets_max, size, room;
    uint8_t *data;
    bool too_large;
};

static void finish(void *context, CURLcode code);

struct fetcher *fetcher_new(sd_event *loop)
{
    struct fetcher *fetcher = calloc(1, sizeof *fetcher);
    if (!fetcher)
        return NULL;
    fetcher->curl.done = finish;
    if (!curl_loop_open(&fetcher->curl, loop)) {
        log_error("fetch", "libcurl cannot be started: out of memory or descriptors");
        fetcher_free(fetcher);
        return NULL;
    }
    return fetcher;
}

void fetcher_free(struct fetcher *fetcher)
{
    if (!fetcher)
        return;
    curl_loop_close(&fetcher->curl);
    free(fetcher);
}

static size_t take(char *data, size_t size, size_t count, void *context)
{
    struct fetch *fetch = context;
    size_t length = size * count;
    if (length > fetch->octets_max - fetch->size) {
        fetch->too_large = true;
        return 0;
    }
    if (fetch->size + length > fetch->room) {
        size_t room = fetch->room ? fetch->room : FIRST_ROOM;
        while (room < fetch->size + length)
            room *= 2;
        uint8_t *grown = realloc(fetch->data, room);
        if (!grown)
            return 0;
        fetch->data = grown;
        fetch->room = room;
    }
    memcpy(fetch->data + fetch->size, data, length);
    fetch->size += length;
    return length;
}

static void set_options(struct fetch *fetch, const struct fetch_request *request)
{
    CURL *easy = fetch->easy;
    curl_easy_setopt(easy, CURLOPT_URL, request->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(easy, CURLOPT_MAXREDIRS, (long)REDIRECTS);
    curl_easy_setopt(easy, CURLOPT_PROXY, request->proxy); /* "" also keeps the environment out */
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
    curl_easy_setopt(easy, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->milliseconds);
    curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)request->octets_max);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* a slow getaddrinfo must not delay a stop */
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "fedwarden");
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, fetch);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, (char *)fetch);
}

struct fetch *fetch_start(struct fetcher *fetcher, const struct fetch_request *request, fetch_done *done, void *context)
{
    struct fetch *fetch = calloc(1, sizeof *fetch);
    if (!fetch)
        return NULL;
    fetch->fetcher = fetcher;
    fetch->done = done;
    fetch->context = context;
    fetch->octets_max = request->octets_max;
    fetch->easy = curl_easy_init();
    if (fetch->easy)
        set_options(fetch, request);
    if (!fetch->easy || curl_multi_add_handle(fetcher->curl.multi, fetch->easy) != CURLM_OK) {
        fetch_cancel(fetch);
        return NULL;
    }
    return fetch;
}

void fetch_cancel(struct fetch *fetch)
{
    if (!fetch)
        return;
    if (fetch->easy) {
        curl_multi_remove_handle(fetch->fetcher->curl.multi, fetch->easy);
        curl_easy_cleanup(fetch->easy);
    }
    free(fetch->data);
    free(fetch);
}

static void describe(const struct fetch *fetch, CURLcode code, char *out, size_t size)
{
    long status = 0, error = 0;
    curl_easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(fetch->easy, CURLINFO_OS_ERRNO, &error);
    if (fetch->too_large || code == CURLE_FILESIZE_EXCEEDED)
        text_format(out, size, "larger than %zu octets", fetch->octets_max);
    else if (code == CURLE_HTTP_RETURNED_ERROR)
        text_format(out, size, "HTTP status %ld", status);
    else if (code == CURLE_COULDNT_CONNECT && error)
        text_format(out, size, "%s", strerrordesc_np((int)error));
    else if (code == CURLE_UNSUPPORTED_PROTOCOL)
        text_copy(out, size, "redirected to what is neither http nor https");
    else
        text_format(out, size, "%s", curl_easy_strerror(code));
}

static void finish(void *context, CURLcode code)
{
    struct fetch *fetch = context;
    struct fetch_outcome outcome = {.data = NULL};
    if (code != CURLE_OK)
        describe(fetch, code, outcome.problem, sizeof outcome.problem);
    else if (fetch->size == 0)
        text_copy(outcome.problem, sizeof outcome.problem, "an empty answer");
    else {
        outcome.data = fetch->data;
        outcome.size = fetch->size;
    }
    fetch_done *done = fetch->done;
    fetch->done = NULL;
    done(fetch->context, &outcome);
    fetch_cancel(fetch);
}
