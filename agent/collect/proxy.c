/*
 * libcurl on the event loop (curl_loop.h). The transfer is CONNECT_ONLY to http://host:port/ with CONNECT_TO naming the address that we resolved, so nothing is looked up
 * twice. When it is done the socket is taken over: the close callback spares the descriptor that is marked as kept, and
 * removing the handle then makes libcurl forget it. The handle goes back to a small pool.
 *
 * What a proxy answers is judged from facts: the CONNECT status, the SOCKS reply, whether our socket to the proxy is
 * connected. libcurl's own error texts are not shown: some quote the proxy's URL with its password.
 */
#include "collect/proxy.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/log.h"
#include "base/text.h"
#include "collect/curl_loop.h"

#define POOL_MAX 16 /* idle handles that are kept */

struct proxy_pool {
    struct curl_loop curl;
    CURL *idle[POOL_MAX];
    size_t idle_count;
};

struct proxy_connect {
    struct proxy_pool *pool;
    CURL *easy;
    struct curl_slist *connect_to;
    proxy_done *done;
    void *context;
    int socket;                  /* to the proxy, while libcurl owns it */
    int kept;                    /* ours now; the close callback spares it */
    char name[OBSERVATION_NAME]; /* of the proxy, as it may be shown */
    char status[128];            /* status line of the reply to CONNECT */
    size_t head;                 /* octets of its head so far */
};

/* libcurl reads an answer to CONNECT octet by octet and returns to the loop only when none is left, up to 300 KB. */
#define HEAD_MAX 16384

const char *proxy_text(const char *url, char *out, size_t size)
{
    const char *rest = strstr(url, "://");
    rest = rest ? rest + 3 : url;
    size_t authority = strcspn(rest, "/?#");
    const char *at = memrchr(rest, '@', authority);
    const char *host = at ? at + 1 : rest;
    text_printable(out, size, url, (size_t)(rest - url));
    size_t used = strlen(out);
    if (used < size)
        text_printable(out + used, size - used, host, (size_t)(rest + authority - host));
    return out;
}

/* ---- the pool ---- */

static void finish(void *context, CURLcode code);

static void note_socket(void *context, curl_socket_t descriptor)
{
    struct proxy_connect *connect = context;
    connect->socket = descriptor;
}

struct proxy_pool *proxy_pool_new(sd_event *loop)
{
    struct proxy_pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return NULL;
    pool->curl.done = finish;
    pool->curl.opened = note_socket;
    if (!curl_loop_open(&pool->curl, loop)) {
        log_error("proxy", "libcurl cannot be started for connections through proxies: out of memory or descriptors");
        proxy_pool_free(pool);
        return NULL;
    }
    return pool;
}

void proxy_pool_free(struct proxy_pool *pool)
{
    if (!pool)
        return;
    for (size_t i = 0; i < pool->idle_count; i++)
        curl_easy_cleanup(pool->idle[i]);
    curl_loop_close(&pool->curl);
    free(pool);
}

/* ---- one connection ---- */

static int close_socket(void *context, curl_socket_t descriptor)
{
    struct proxy_connect *connect = context;
    if (connect && connect->kept == descriptor)
        return 0;
    if (connect && connect->socket == descriptor)
        connect->socket = -1;
    return close(descriptor);
}

/* Header lines of the proxy's reply to CONNECT: the status line has its words, X-Squid-Error the better ones. */
static size_t take_header(char *data, size_t size, size_t count, void *context)
{
    struct proxy_connect *connect = context;
    size_t length = size * count, shown = length;
    connect->head += length;
    if (connect->head > HEAD_MAX)
        return 0; /* ends it */
    while (shown > 0 && (data[shown - 1] == '\r' || data[shown - 1] == '\n'))
        shown--;
    if (shown > 9 && strncasecmp(data, "HTTP/", 5) == 0) {
        const char *blank = memchr(data, ' ', shown);
        size_t skip = blank ? (size_t)(blank - data) + 1 : 0;
        text_printable(connect->status, sizeof connect->status, data + skip, shown - skip);
    } else if (shown > 15 && strncasecmp(data, "X-Squid-Error: ", 15) == 0) {
        char words[64];
        text_printable(words, sizeof words, data + 15, shown - 15);
        text_append(connect->status, sizeof connect->status, " (%s)", words);
    }
    return length;
}

static size_t drop_body(char *data, size_t size, size_t count, void *context)
{
    (void)data;
    (void)context;
    return size * count;
}

static void set_options(struct proxy_connect *connect, const char *url, const char *proxy)
{
    CURL *easy = connect->easy;
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http");
    curl_easy_setopt(easy, CURLOPT_PROXY, proxy);
    curl_easy_setopt(easy, CURLOPT_NOPROXY, ""); /* no_proxy of the environment does not count */
    curl_easy_setopt(easy, CURLOPT_HTTPPROXYTUNNEL, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECT_TO, connect->connect_to);
    curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXYAUTH, (long)(CURLAUTH_BASIC | CURLAUTH_DIGEST));
    curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* a slow getaddrinfo of the proxy's name must not delay a stop */
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, 600000L); /* the stage's timer is ours */
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "fedwarden");
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, connect);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, drop_body);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, connect);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, (char *)connect);
}

struct proxy_connect *proxy_start(struct proxy_pool *pool, const char *url, const char *host,
                                  const struct address *address, uint16_t port, proxy_done *done, void *context)
{
    char text[ADDRESS_TEXT_SIZE], target[OBSERVATION_NAME + 16], map[OBSERVATION_NAME + 80];
    struct proxy_connect *connect = calloc(1, sizeof *connect);
    if (!connect)
        return NULL;
    connect->pool = pool;
    connect->done = done;
    connect->context = context;
    connect->socket = connect->kept = -1;
    proxy_text(url, connect->name, sizeof connect->name);
    connect->easy = pool->idle_count ? pool->idle[--pool->idle_count] : curl_easy_init();
    address_text(address, text);
    bool ipv6 = address->family == ADDRESS_IPV6;
    text_format(map, sizeof map, "%s:%u:%s%s%s:%u", host, port, ipv6 ? "[" : "", text, ipv6 ? "]" : "", port);
    connect->connect_to = curl_slist_append(NULL, map);
    if (!connect->easy || !connect->connect_to) {
        proxy_cancel(connect);
        return NULL;
    }
    text_format(target, sizeof target, "http://%s:%u/", host, port);
    set_options(connect, target, url);
    if (curl_multi_add_handle(pool->curl.multi, connect->easy) != CURLM_OK) {
        proxy_cancel(connect);
        return NULL;
    }
    return connect;
}

void proxy_cancel(struct proxy_connect *connect)
{
    if (!connect)
        return;
    struct proxy_pool *pool = connect->pool;
    if (connect->easy) {
        curl_multi_remove_handle(pool->curl.multi, connect->easy);
        curl_easy_reset(connect->easy);
        if (pool->idle_count < POOL_MAX)
            pool->idle[pool->idle_count++] = connect->easy;
        else
            curl_easy_cleanup(connect->easy);
    }
    curl_slist_free_all(connect->connect_to);
    free(connect);
}

/* ---- judgement ---- */

static bool socket_connected(int descriptor)
{
    struct sockaddr_storage peer;
    socklen_t length = sizeof peer;
    return descriptor >= 0 && getpeername(descriptor, (struct sockaddr *)&peer, &length) == 0;
}

static void tell(struct proxy_outcome *outcome, enum reason reason, const struct proxy_connect *connect,
                 const char *words)
{
    outcome->reason = reason;
    text_format(outcome->detail, sizeof outcome->detail, "%s: %s", connect->name, words);
}

/* What the proxy met behind it, from the words that it chose: Squid's error numbers, tinyproxy's and others' phrases.
 */
static enum reason upstream_reason(long code, const char *words)
{
    if (strcasestr(words, "refused") || strcasestr(words, "ERR_CONNECT_FAIL 111"))
        return REASON_TCP_REFUSED;
    if (code == 504 || strcasestr(words, "timeout") || strcasestr(words, "timed out") ||
        strcasestr(words, "ERR_CONNECT_FAIL 110"))
        return REASON_TCP_TIMEOUT;
    if (strcasestr(words, "unreachable") || strcasestr(words, "no route") ||
        strcasestr(words, "ERR_CONNECT_FAIL 113") || strcasestr(words, "ERR_CONNECT_FAIL 101"))
        return REASON_HOST_UNREACHABLE;
    return code == 502 ? REASON_TCP_REFUSED : REASON_CONNECTION_OTHER;
}

static void judge_http(struct proxy_outcome *outcome, const struct proxy_connect *connect, long code)
{
    char words[192];
    enum reason reason;
    text_format(words, sizeof words, "the proxy answers %s", *connect->status ? connect->status : "without a status");
    if (!*connect->status)
        text_format(words, sizeof words, "the proxy answers %ld", code);
    if (code == 407)
        reason = REASON_PROXY_AUTH_REQUIRED;
    else if (code >= 400 && code < 500 && code != 408)
        reason = REASON_PROXY_DENIED;
    else
        reason = upstream_reason(code, connect->status);
    tell(outcome, reason, connect, words);
}

static void judge_socks(struct proxy_outcome *outcome, const struct proxy_connect *connect, long error)
{
    switch (error) {
    case CURLPX_REPLY_NOT_ALLOWED:
        tell(outcome, REASON_PROXY_DENIED, connect, "SOCKS: connection not allowed by the rule set");
        return;
    case CURLPX_REPLY_CONNECTION_REFUSED:
        tell(outcome, REASON_TCP_REFUSED, connect, "SOCKS: connection refused");
        return;
    case CURLPX_REPLY_HOST_UNREACHABLE:
        tell(outcome, REASON_HOST_UNREACHABLE, connect, "SOCKS: host unreachable");
        return;
    case CURLPX_REPLY_NETWORK_UNREACHABLE:
        tell(outcome, REASON_NET_UNREACHABLE, connect, "SOCKS: network unreachable");
        return;
    case CURLPX_REPLY_TTL_EXPIRED:
        tell(outcome, REASON_TCP_TIMEOUT, connect, "SOCKS: TTL expired");
        return;
    case CURLPX_NO_AUTH:
    case CURLPX_USER_REJECTED:
    case CURLPX_IDENTD:
    case CURLPX_IDENTD_DIFFER:
    case CURLPX_GSSAPI:
    case CURLPX_GSSAPI_PERMSG:
    case CURLPX_GSSAPI_PROTECTION:
    case CURLPX_UNKNOWN_MODE:
        tell(outcome, REASON_PROXY_AUTH_REQUIRED, connect, "SOCKS: no acceptable authentication, or it was refused");
        return;
    case CURLPX_REPLY_GENERAL_SERVER_FAILURE:
        tell(outcome, REASON_CONNECTION_OTHER, connect, "SOCKS: general failure");
        return;
    case CURLPX_REPLY_COMMAND_NOT_SUPPORTED:
    case CURLPX_REPLY_ADDRESS_TYPE_NOT_SUPPORTED:
    case CURLPX_BAD_ADDRESS_TYPE:
        tell(outcome, REASON_PROXY_DENIED, connect, "SOCKS: command or address type not supported");
        return;
    case CURLPX_REQUEST_FAILED:
        tell(outcome, REASON_CONNECTION_OTHER, connect, "SOCKS 4: request rejected or failed");
        return;
    case CURLPX_BAD_VERSION:
        tell(outcome, REASON_PROXY_UNREACHABLE, connect, "what answers is no SOCKS proxy of this version");
        return;
    default:
        tell(outcome, REASON_PROXY_UNREACHABLE, connect, "the proxy closed the connection during the SOCKS exchange");
    }
}

static void judge_unconnected(struct proxy_outcome *outcome, const struct proxy_connect *connect, CURLcode code,
                              long error)
{
    char words[128];
    if (code == CURLE_COULDNT_RESOLVE_PROXY)
        tell(outcome, REASON_PROXY_UNREACHABLE, connect, "the proxy's name does not resolve");
    else if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM || error == EADDRNOTAVAIL)
        tell(outcome, REASON_LOCAL_RESOURCE, connect, strerrordesc_np((int)error));
    else if (error) {
        text_format(words, sizeof words, "connecting to the proxy: %s", strerrordesc_np((int)error));
        tell(outcome, REASON_PROXY_UNREACHABLE, connect, words);
    } else
        tell(outcome, REASON_PROXY_UNREACHABLE, connect, "no connection to the proxy");
}

static void judge(struct proxy_outcome *outcome, const struct proxy_connect *connect, CURLcode code)
{
    long status = 0, socks = 0, error = 0;
    char words[128];
    curl_easy_getinfo(connect->easy, CURLINFO_HTTP_CONNECTCODE, &status);
    curl_easy_getinfo(connect->easy, CURLINFO_PROXY_ERROR, &socks);
    curl_easy_getinfo(connect->easy, CURLINFO_OS_ERRNO, &error);
    outcome->reached = true;
    if (code == CURLE_PROXY) {
        judge_socks(outcome, connect, socks);
    } else if (status >= 300) {
        judge_http(outcome, connect, status);
    } else if (code == CURLE_COULDNT_RESOLVE_PROXY || code == CURLE_COULDNT_CONNECT) {
        outcome->reached = false;
        judge_unconnected(outcome, connect, code, error);
    } else if (code == CURLE_OUT_OF_MEMORY) {
        tell(outcome, REASON_LOCAL_RESOURCE, connect, "out of memory");
    } else if (connect->head > HEAD_MAX) {
        tell(outcome, REASON_PROXY_UNREACHABLE, connect, "the proxy's answer does not end");
    } else if (code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR || code == CURLE_GOT_NOTHING) {
        tell(outcome, REASON_PROXY_UNREACHABLE, connect, "the proxy closed the connection without an answer");
    } else {
        text_format(words, sizeof words, "%s", curl_easy_strerror(code));
        tell(outcome, REASON_PROXY_UNREACHABLE, connect, words);
    }
}

static void finish(void *context, CURLcode code)
{
    struct proxy_connect *connect = context;
    struct proxy_outcome outcome = {.descriptor = -1, .reason = REASON_NONE};
    curl_socket_t descriptor = CURL_SOCKET_BAD;
    if (code == CURLE_OK)
        curl_easy_getinfo(connect->easy, CURLINFO_ACTIVESOCKET, &descriptor);
    if (descriptor != CURL_SOCKET_BAD) {
        connect->kept = outcome.descriptor = descriptor;
        outcome.reached = true;
        text_copy(outcome.detail, sizeof outcome.detail, connect->name);
    } else {
        judge(&outcome, connect, code);
    }
    proxy_done *done = connect->done;
    void *waiting = connect->context;
    proxy_cancel(connect);
    done(waiting, &outcome);
}

void proxy_timeout(struct proxy_connect *connect, struct proxy_outcome *outcome)
{
    memset(outcome, 0, sizeof *outcome);
    outcome->descriptor = -1;
    outcome->reached = socket_connected(connect->socket);
    if (outcome->reached)
        tell(outcome, REASON_TCP_TIMEOUT, connect, "the proxy accepted the connection but did not open ours in time");
    else
        tell(outcome, REASON_PROXY_UNREACHABLE, connect, "no connection to the proxy in time");
    proxy_cancel(connect);
}
