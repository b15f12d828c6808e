/*
 * One libunbound context a resolver, made at its first question, because a context forwards everything it asks and must
 * ask nobody else: it never goes to the root servers by itself. Results come through a descriptor in the event loop.
 *
 * What libunbound would answer without asking (names of private networks, test.) is unblocked, and its caches are kept
 * for some seconds only: a probe wants to know what is so now, and keys and proofs of one walk are used again within it.
 * A server that did not answer is asked again as soon; libunbound would leave it alone for a quarter of an hour.
 *
 * A context takes its options from a file; ours is in memory.
 */

#include "config.h"

#include "collect/dnssec.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/text.h"

#ifdef HAVE_UNBOUND
#include <unbound.h>

#define CLASS_IN 1

struct forwarder {
    struct forwarder *next;
    struct dnssec *dnssec;
    char address[64];
    struct ub_ctx *context;
    sd_event_source *io;
};

struct dnssec {
    sd_event *loop;
    const char *anchors;
    struct forwarder *forwarders;
    char error[200];
};

struct dnssec_query {
    struct forwarder *forwarder;
    int id;
    dnssec_done *done;
    void *context;
};

static const char options[] = "server:\n"
                              "  verbosity: 0\n"
                              "  use-syslog: no\n"
                              "  do-not-query-localhost: no\n"
                              "  unblock-lan-zones: yes\n"
                              "  insecure-lan-zones: no\n"
                              "  local-zone: \"test.\" nodefault\n"
                              "  cache-max-ttl: 5\n"
                              "  cache-max-negative-ttl: 5\n"
                              "  infra-host-ttl: 5\n"
                              "  val-bogus-ttl: 1\n"
                              "  num-threads: 1\n"
                              "  msg-cache-size: 512k\n"
                              "  rrset-cache-size: 512k\n"
                              "  key-cache-size: 512k\n"
                              "  neg-cache-size: 128k\n";

static int set_options(struct ub_ctx *context)
{
    char path[64];
    int descriptor = memfd_create("unbound.conf", MFD_CLOEXEC);
    if (descriptor < 0 || write(descriptor, options, sizeof options - 1) != (ssize_t)sizeof options - 1) {
        if (descriptor >= 0)
            close(descriptor);
        return UB_READFILE;
    }
    text_format(path, sizeof path, "/proc/self/fd/%d", descriptor);
    int status = ub_ctx_config(context, path);
    close(descriptor);
    return status;
}

static int readable(sd_event_source *source, int descriptor, uint32_t events, void *userdata)
{
    struct forwarder *forwarder = userdata;
    (void)source, (void)descriptor, (void)events;
    ub_process(forwarder->context);
    return 0;
}

static void forwarder_free(struct forwarder *forwarder)
{
    sd_event_source_disable_unref(forwarder->io);
    if (forwarder->context)
        ub_ctx_delete(forwarder->context);
    free(forwarder);
}

static struct forwarder *forwarder_new(struct dnssec *dnssec, const char *address)
{
    struct forwarder *forwarder = calloc(1, sizeof *forwarder);
    if (!forwarder || !(forwarder->context = ub_ctx_create())) {
        free(forwarder);
        text_copy(dnssec->error, sizeof dnssec->error, "out of memory");
        return NULL;
    }
    forwarder->dnssec = dnssec;
    text_copy(forwarder->address, sizeof forwarder->address, address);
    ub_ctx_debugout(forwarder->context, NULL);
    int status = set_options(forwarder->context);
    if (status == 0)
        status = ub_ctx_add_ta_file(forwarder->context, dnssec->anchors);
    if (status == 0)
        status = ub_ctx_set_fwd(forwarder->context, address);
    if (status == 0)
        status = ub_ctx_async(forwarder->context, 1);
    if (status != 0 || sd_event_add_io(dnssec->loop, &forwarder->io, ub_fd(forwarder->context), EPOLLIN, readable,
                                       forwarder) < 0) {
        text_format(dnssec->error, sizeof dnssec->error, "%s", status ? ub_strerror(status) : "no place in the event loop");
        forwarder_free(forwarder);
        return NULL;
    }
    forwarder->next = dnssec->forwarders;
    dnssec->forwarders = forwarder;
    return forwarder;
}

static struct forwarder *forwarder_get(struct dnssec *dnssec, const char *address)
{
    for (struct forwarder *forwarder = dnssec->forwarders; forwarder; forwarder = forwarder->next)
        if (strcmp(forwarder->address, address) == 0)
            return forwarder;
    return forwarder_new(dnssec, address);
}

struct dnssec *dnssec_new(sd_event *loop, const char *anchors)
{
    struct dnssec *dnssec = calloc(1, sizeof *dnssec);
    if (!dnssec)
        return NULL;
    dnssec->loop = sd_event_ref(loop);
    dnssec->anchors = anchors;
    return dnssec;
}

void dnssec_free(struct dnssec *dnssec)
{
    if (!dnssec)
        return;
    while (dnssec->forwarders) {
        struct forwarder *next = dnssec->forwarders->next;
        forwarder_free(dnssec->forwarders);
        dnssec->forwarders = next;
    }
    sd_event_unref(dnssec->loop);
    free(dnssec);
}

/* libunbound says only in words that a signature has expired. */
static enum dnssec_state state_of(const struct ub_result *result)
{
    if (result->bogus)
        return result->why_bogus && strstr(result->why_bogus, "expired") ? DNSSEC_EXPIRED : DNSSEC_BOGUS;
    if (result->rcode != 0 && result->rcode != 3)
        return DNSSEC_FAILED;
    return result->secure ? DNSSEC_SECURE : DNSSEC_INSECURE;
}

static void resolved(void *userdata, int status, struct ub_result *result)
{
    struct dnssec_query *query = userdata;
    struct dnssec_verdict verdict = {.state = DNSSEC_FAILED, .why = ""};
    char why[200] = "";
    if (status == 0 && result) {
        verdict.state = state_of(result);
        if (result->why_bogus)
            text_printable(why, sizeof why, result->why_bogus, strlen(result->why_bogus));
        verdict.packet = result->answer_packet;
        verdict.length = result->answer_packet ? (size_t)result->answer_len : 0;
    } else {
        text_copy(why, sizeof why, ub_strerror(status));
    }
    verdict.why = why;
    query->done(query->context, &verdict);
    ub_resolve_free(result);
    free(query);
}

struct dnssec_query *dnssec_ask(struct dnssec *dnssec, const char *forwarder, const char *name, int type, dnssec_done *done,
                                void *context)
{
    struct forwarder *asked = forwarder_get(dnssec, forwarder);
    struct dnssec_query *query = asked ? malloc(sizeof *query) : NULL;
    if (!query)
        return NULL;
    *query = (struct dnssec_query){.forwarder = asked, .done = done, .context = context};
    int status = ub_resolve_async(asked->context, name, type, CLASS_IN, query, resolved, &query->id);
    if (status == 0)
        return query;
    text_copy(dnssec->error, sizeof dnssec->error, ub_strerror(status));
    free(query);
    return NULL;
}

void dnssec_cancel(struct dnssec_query *query)
{
    ub_cancel(query->forwarder->context, query->id);
    free(query);
}

const char *dnssec_error(const struct dnssec *dnssec)
{
    return dnssec->error;
}

#else

struct dnssec {
    char none;
};

struct dnssec *dnssec_new(sd_event *loop, const char *anchors)
{
    (void)loop, (void)anchors;
    return calloc(1, sizeof(struct dnssec));
}

void dnssec_free(struct dnssec *dnssec)
{
    free(dnssec);
}

struct dnssec_query *dnssec_ask(struct dnssec *dnssec, const char *forwarder, const char *name, int type, dnssec_done *done,
                                void *context)
{
    (void)dnssec, (void)forwarder, (void)name, (void)type, (void)done, (void)context;
    return NULL;
}

void dnssec_cancel(struct dnssec_query *query)
{
    (void)query;
}

const char *dnssec_error(const struct dnssec *dnssec)
{
    (void)dnssec;
    return "this build has no libunbound";
}

#endif
