/*
 * A walk is a count of pieces under way: the service lookup, each host's addresses, each endpoint. A piece that ends
 * may begin others first; when the count falls to zero the parts are put together in the order in which they stand in
 * DNS, not in that in which they happened to end, and the walk is handed over. The whole has one timer; when it fires,
 * every piece still under way ends with its own stage's timeout. Endpoints that wait for their turn under the cap of
 * handshakes are our own delay and are not ended by it.
 */
#include "collect/probe.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "collect/probe_parts.h"

#define ROUTE_SECONDS 10

/* ---- the prober ---- */

struct prober *prober_new(sd_event *loop, const struct conf *conf)
{
    char name[OBSERVATION_NAME];
    struct prober *prober = calloc(1, sizeof *prober);
    if (!prober)
        return NULL;
    prober->loop = loop;
    prober->conf = conf;
    prober->waiting_end = &prober->waiting;
    prober->tokens_at = clock_run();
    prober->tokens = 1;
    prober->trusts = calloc(conf->trust_count ? conf->trust_count : 1, sizeof prober->trusts[0]);
    prober->revocations = calloc(conf->trust_count ? conf->trust_count : 1, sizeof prober->revocations[0]);
    prober->dns = dns_new(loop, conf);
    if (!prober->trusts || !prober->revocations || !prober->dns) {
        prober_free(prober);
        return NULL;
    }
    if (gethostname(name, sizeof name) != 0 || !memchr(name, '\0', sizeof name) ||
        !conf_hostname(name, prober->hostname))
        text_copy(prober->hostname, sizeof prober->hostname, "localhost");
    return prober;
}

void prober_free(struct prober *prober)
{
    if (!prober)
        return;
    sd_event_source_disable_unref(prober->waiting_timer);
    dns_free(prober->dns);
    proxy_pool_free(prober->proxies);
    for (size_t i = 0; prober->revocations && i < prober->conf->trust_count; i++)
        revocation_free(prober->revocations[i]);
    free(prober->revocations);
    fetcher_free(prober->fetcher);
    for (size_t i = 0; prober->trusts && i < prober->conf->trust_count; i++)
        tls_trust_free(prober->trusts[i]);
    free(prober->trusts);
    free(prober);
}

static void lists_ready(void *context);

static void watch_lists(struct prober *prober, uint32_t position)
{
    const struct conf_trust *conf = &prober->conf->trusts[position];
    if (conf->crl_url_count == 0)
        return;
    if (!prober->fetcher)
        prober->fetcher = fetcher_new(prober->loop);
    if (prober->fetcher)
        prober->revocations[position] =
            revocation_new(prober->fetcher, prober->loop, conf, prober->conf->collectors.budget.fetch,
                           prober->trusts[position], lists_ready, prober);
}

struct tls_trust *prober_trust(struct prober *prober, uint32_t position)
{
    char error[512] = "";
    if (prober->trusts[position])
        return prober->trusts[position];
    struct tls_trust *trust = tls_trust_new(&prober->conf->trusts[position], error, sizeof error);
    if (*error)
        log_error("probe", "%s", error);
    for (size_t i = 0; trust && i < prober->conf->trust_count; i++)
        if (prober->trusts[i]) {
            tls_trust_share(trust, prober->trusts[i]); /* what one knows of intermediates helps all */
            break;
        }
    prober->trusts[position] = trust;
    if (trust)
        watch_lists(prober, position);
    return trust;
}

/* A connected UDP socket sends nothing but has been routed. */
static bool has_route(const struct address *address)
{
    struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = htons(9)};
    struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_port = htons(9)};
    bool is_ipv6 = address->family == ADDRESS_IPV6;
    memcpy(&ipv4.sin_addr, address->octets, sizeof ipv4.sin_addr);
    memcpy(&ipv6.sin6_addr, address->octets, sizeof ipv6.sin6_addr);
    int descriptor = socket(is_ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        return errno != EAFNOSUPPORT;
    int result = is_ipv6 ? connect(descriptor, (const struct sockaddr *)&ipv6, sizeof ipv6)
                         : connect(descriptor, (const struct sockaddr *)&ipv4, sizeof ipv4);
    bool routed = result == 0 || (errno != ENETUNREACH && errno != EADDRNOTAVAIL && errno != EAFNOSUPPORT);
    close(descriptor);
    return routed;
}

bool prober_family_routed(struct prober *prober, enum address_family family)
{
    /* Any address of the network at large: that of a DNS root server. Nothing is sent to it. */
    static const struct address ipv4 = {ADDRESS_IPV4, {193, 0, 14, 129}};
    static const struct address ipv6 = {ADDRESS_IPV6, {0x20, 0x01, 0x07, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
    int64_t now = clock_run();
    if (prober->routes_checked == 0 || now - prober->routes_checked > ROUTE_SECONDS * CLOCK_SECOND) {
        prober->routes_checked = now;
        prober->route_ipv4 = has_route(&ipv4);
        prober->route_ipv6 = has_route(&ipv6);
    }
    return family == ADDRESS_IPV6 ? prober->route_ipv6 : prober->route_ipv4;
}

bool prober_address_usable(struct prober *prober, const struct address *address)
{
    /* Without a way to the network at large there may still be one to this address: a private or a local network. */
    return prober_family_routed(prober, address->family) || has_route(address);
}

/* ---- the cap of handshakes ---- */

static void refill_tokens(struct prober *prober)
{
    double rate = prober->conf->collectors.handshakes_per_second;
    double burst = rate > 10 ? rate / 10 : 1;
    int64_t now = clock_run();
    prober->tokens += (double)(now - prober->tokens_at) / (double)CLOCK_SECOND * rate;
    if (prober->tokens > burst)
        prober->tokens = burst;
    prober->tokens_at = now;
}

static int serve_waiting(sd_event_source *source, uint64_t due, void *context);

static void arm_waiting_timer(struct prober *prober)
{
    double missing = (1 - prober->tokens) / prober->conf->collectors.handshakes_per_second;
    uint64_t due = (uint64_t)clock_run() + (missing > 0 ? (uint64_t)(missing * (double)CLOCK_SECOND) + 1 : 0);
    if (prober->waiting_timer) {
        sd_event_source_set_time(prober->waiting_timer, due);
        sd_event_source_set_enabled(prober->waiting_timer, SD_EVENT_ONESHOT);
    } else if (sd_event_add_time(prober->loop, &prober->waiting_timer, CLOCK_BOOTTIME, due, 1, serve_waiting, prober) <
               0) {
        abort();
    }
}

static int serve_waiting(sd_event_source *source, uint64_t due, void *context)
{
    struct prober *prober = context;
    (void)source;
    (void)due;
    refill_tokens(prober);
    while (prober->waiting && prober->tokens >= 1) {
        struct endpoint *endpoint = prober->waiting;
        prober_leave_queue(prober, endpoint);
        prober->tokens -= 1;
        uint64_t waited = (uint64_t)(clock_run() - endpoint->waiting_since);
        if (waited > endpoint->probe->late)
            endpoint->probe->late = waited > UINT32_MAX ? UINT32_MAX : (uint32_t)waited;
        endpoint_go(endpoint);
    }
    if (prober->waiting)
        arm_waiting_timer(prober);
    return 0;
}

bool prober_take_token(struct prober *prober, struct endpoint *endpoint)
{
    if (prober->conf->collectors.handshakes_per_second == 0)
        return true;
    refill_tokens(prober);
    if (!prober->waiting && prober->tokens >= 1) {
        prober->tokens -= 1;
        return true;
    }
    bool first = !prober->waiting;
    endpoint->waiting_since = clock_run();
    endpoint->next_waiting = NULL;
    *prober->waiting_end = endpoint;
    prober->waiting_end = &endpoint->next_waiting;
    if (first)
        arm_waiting_timer(prober);
    return false;
}

void prober_leave_queue(struct prober *prober, struct endpoint *endpoint)
{
    for (struct endpoint **link = &prober->waiting; *link; link = &(*link)->next_waiting) {
        if (*link != endpoint)
            continue;
        *link = endpoint->next_waiting;
        if (prober->waiting_end == &endpoint->next_waiting)
            prober->waiting_end = link;
        return;
    }
}

/* ---- the walk ---- */

static void free_probe(struct probe *probe)
{
    sd_event_source_disable_unref(probe->timer);
    lookup_free(probe);
    free(probe);
}

static void add_host(struct walk *walk, struct host *host)
{
    if (!host->fixed) {
        walk_add_step(walk, &host->step);
        walk_add_lookup(walk, &host->told);
    }
    for (size_t i = 0; i < host->endpoint_count; i++) {
        struct endpoint *endpoint = host->endpoints[i];
        size_t position = walk_add_endpoint(walk, &endpoint->result);
        endpoint->result.certificates = NULL;
        endpoint->result.peer_cas = NULL;
        for (size_t k = 0; k < endpoint->step_count; k++) {
            endpoint->steps[k].endpoint = (int)position;
            walk_add_step(walk, &endpoint->steps[k]);
        }
    }
}

static struct walk *assemble(struct probe *probe)
{
    struct walk *walk = walk_new(probe->partner, probe->position);
    if (probe->service_asked) {
        walk_add_step(walk, &probe->service_step);
        walk_add_lookup(walk, &probe->service_told);
    }
    view_add(probe, walk);
    for (size_t i = 0; i < probe->host_count; i++)
        add_host(walk, &probe->hosts[i]);
    walk->wall = clock_wall();
    walk->run = clock_run();
    walk->duration = (uint32_t)(walk->run - probe->started);
    walk->late = probe->late;
    walk_judge(walk);
    return walk;
}

static void hand_over(struct probe *probe)
{
    struct walk *walk = assemble(probe);
    probe_done *done = probe->done;
    void *context = probe->context;
    free_probe(probe);
    done(context, walk);
}

static int time_is_over(sd_event_source *source, uint64_t due, void *context)
{
    struct probe *probe = context;
    (void)source;
    (void)due;
    if (probe->pieces == 0) {
        hand_over(probe);
        return 0;
    }
    /* Ending the last piece would free the probe under our feet: hold one more. */
    piece_begin(probe);
    lookup_timeout(probe);
    piece_end(probe);
    return 0;
}

void piece_begin(struct probe *probe)
{
    probe->pieces++;
}

void piece_end(struct probe *probe)
{
    if (--probe->pieces > 0)
        return;
    if (!probe->starting) {
        hand_over(probe);
        return;
    }
    sd_event_source_set_time(probe->timer, 0);
    sd_event_source_set_enabled(probe->timer, SD_EVENT_ONESHOT);
}

static void set_out(struct probe *probe)
{
    probe->starting = true;
    piece_begin(probe);
    lookup_start(probe);
    piece_end(probe);
    probe->starting = false;
}

/* Without its first revocation lists a profile would call everybody unknown who may be revoked, or healthy. */
static bool lists_are_ready(struct probe *probe)
{
    uint32_t position = probe->partner->trust;
    return probe->prober->conf->trusts[position].crl_url_count == 0 || !prober_trust(probe->prober, position) ||
           revocation_is_ready(probe->prober->revocations[position]);
}

static void lists_ready(void *context)
{
    struct prober *prober = context;
    struct probe **link = &prober->held;
    while (*link) {
        struct probe *probe = *link;
        if (!lists_are_ready(probe)) {
            link = &probe->next_held;
            continue;
        }
        *link = probe->next_held;
        probe->started = clock_run();
        uint64_t end = (uint64_t)(probe->started + (int64_t)prober->conf->collectors.budget.walk * 1000);
        sd_event_source_set_time(probe->timer, end);
        sd_event_source_set_enabled(probe->timer, SD_EVENT_ONESHOT);
        set_out(probe); /* it ends at the earliest in the next turn of the loop */
    }
}

struct probe *probe_start(struct prober *prober, uint32_t position, probe_done *done, void *context)
{
    struct probe *probe = calloc(1, sizeof *probe);
    if (!probe)
        return NULL;
    probe->prober = prober;
    probe->partner = &prober->conf->partners[position];
    probe->position = position;
    probe->done = done;
    probe->context = context;
    probe->started = clock_run();
    uint64_t end = (uint64_t)(probe->started + (int64_t)prober->conf->collectors.budget.walk * 1000);
    if (sd_event_add_time(prober->loop, &probe->timer, CLOCK_BOOTTIME, end, TIMER_ACCURACY, time_is_over, probe) < 0) {
        free(probe);
        return NULL;
    }
    if (lists_are_ready(probe))
        set_out(probe);
    else {
        sd_event_source_set_enabled(probe->timer, SD_EVENT_OFF);
        probe->next_held = prober->held;
        prober->held = probe;
    }
    return probe;
}

void probe_cancel(struct probe *probe)
{
    for (struct probe **link = &probe->prober->held; *link; link = &(*link)->next_held)
        if (*link == probe) {
            *link = probe->next_held;
            break;
        }
    free_probe(probe);
}
