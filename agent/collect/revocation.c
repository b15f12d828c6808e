/*
 * Each URL by itself: WAITING for its time -> FETCHING -> WAITING. A list that was fetched holds until the next one
 * comes, however often fetching fails meanwhile; when it ends before that, the verification itself finds it stale. So a
 * server of lists that cannot be reached makes nothing revoked and nothing healthy.
 */
#include "collect/revocation.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"

#define LIST_OCTETS (32 * 1024 * 1024)
#define WAIT_LEAST  (60 * CLOCK_SECOND)
#define WAIT_MOST   (86400 * CLOCK_SECOND)
#define RETRY_MOST  (3600 * CLOCK_SECOND)

struct place {
    struct revocation *revocation;
    const char *url;
    struct fetch *fetch; /* NULL while it waits */
    sd_event_source *timer;
    bool tried;
    unsigned failures; /* in a row */
    char problem[FETCH_PROBLEM];
};

struct revocation {
    struct fetcher *fetcher;
    sd_event *loop;
    const struct conf_trust *conf;
    uint32_t milliseconds;
    struct tls_trust *trust;
    revocation_ready *ready; /* NULL once it was called */
    void *context;
    size_t count;
    struct place places[CONF_CRL_URLS_MAX];
};

int64_t revocation_wait(int64_t now, int64_t next_update, unsigned failures)
{
    if (failures > 0) {
        int64_t wait = WAIT_LEAST;
        while (--failures > 0 && wait < RETRY_MOST)
            wait *= 2;
        return wait < RETRY_MOST ? wait : RETRY_MOST;
    }
    if (next_update == CLOCK_NEVER || next_update - now >= WAIT_MOST / 9 * 10)
        return WAIT_MOST;
    int64_t wait = (next_update - now) / 10 * 9;
    return wait > WAIT_LEAST ? wait : WAIT_LEAST;
}

/* What sessions tell beside "unknown": the first place that fails. */
static void tell_problem(struct revocation *revocation)
{
    char text[OBSERVATION_DETAIL] = "";
    for (size_t i = 0; i < revocation->count && !text[0]; i++) {
        const struct place *place = &revocation->places[i];
        if (place->failures > 0)
            text_format(text, sizeof text, "%.100s: %s", place->url, place->problem);
    }
    tls_trust_crl_problem(revocation->trust, text);
}

static void become_ready(struct revocation *revocation)
{
    for (size_t i = 0; i < revocation->count; i++)
        if (!revocation->places[i].tried)
            return;
    revocation_ready *ready = revocation->ready;
    revocation->ready = NULL;
    if (ready)
        ready(revocation->context);
}

static int time_has_come(sd_event_source *source, uint64_t due, void *context);

static void wait_for_next(struct place *place, int64_t wait)
{
    uint64_t due = (uint64_t)(clock_run() + wait);
    if (place->timer) {
        sd_event_source_set_time(place->timer, due);
        sd_event_source_set_enabled(place->timer, SD_EVENT_ONESHOT);
    } else if (sd_event_add_time(place->revocation->loop, &place->timer, CLOCK_BOOTTIME, due, CLOCK_SECOND,
                                 time_has_come, place) < 0)
        abort();
}

static void note_failure(struct place *place, const char *problem)
{
    if (place->failures++ == 0 || strcmp(place->problem, problem) != 0)
        log_warning("revocation", "trust profile \"%s\": %s: %s; revocation is unknown where no other list is in force",
                    place->revocation->conf->name, place->url, problem);
    text_copy(place->problem, sizeof place->problem, problem);
}

static void fetched(void *context, const struct fetch_outcome *outcome)
{
    struct place *place = context;
    struct revocation *revocation = place->revocation;
    int64_t next_update = CLOCK_NEVER;
    place->fetch = NULL;
    place->tried = true;
    if (!outcome->data)
        note_failure(place, outcome->problem);
    else if (!tls_trust_set_crls(revocation->trust, (size_t)(place - revocation->places), outcome->data, outcome->size,
                                 &next_update))
        note_failure(place, "what came is no revocation list");
    else {
        if (place->failures > 0)
            log_notice("revocation", "%s: fetched again", place->url);
        place->failures = 0;
    }
    tell_problem(revocation);
    wait_for_next(place, revocation_wait(clock_wall(), next_update, place->failures));
    become_ready(revocation);
}

static void start(struct place *place)
{
    struct revocation *revocation = place->revocation;
    struct fetch_request request = {.url = place->url,
                                    .proxy = revocation->conf->crl_proxy ? revocation->conf->crl_proxy : "",
                                    .octets_max = LIST_OCTETS,
                                    .milliseconds = revocation->milliseconds};
    place->fetch = fetch_start(revocation->fetcher, &request, fetched, place);
    if (place->fetch)
        return;
    note_failure(place, "out of memory");
    wait_for_next(place, WAIT_LEAST);
}

static int time_has_come(sd_event_source *source, uint64_t due, void *context)
{
    (void)source;
    (void)due;
    start(context);
    return 0;
}

struct revocation *revocation_new(struct fetcher *fetcher, sd_event *loop, const struct conf_trust *conf,
                                  uint32_t milliseconds, struct tls_trust *trust, revocation_ready *ready,
                                  void *context)
{
    struct revocation *revocation = conf->crl_url_count > 0 ? calloc(1, sizeof *revocation) : NULL;
    if (!revocation)
        return NULL;
    *revocation = (struct revocation){.fetcher = fetcher,
                                      .loop = loop,
                                      .conf = conf,
                                      .milliseconds = milliseconds,
                                      .trust = trust,
                                      .ready = ready,
                                      .context = context,
                                      .count = conf->crl_url_count};
    for (size_t i = 0; i < revocation->count; i++) {
        struct place *place = &revocation->places[i];
        place->revocation = revocation;
        place->url = conf->crl_urls[i];
        wait_for_next(place, 0);
    }
    return revocation;
}

void revocation_free(struct revocation *revocation)
{
    if (!revocation)
        return;
    for (size_t i = 0; i < revocation->count; i++) {
        fetch_cancel(revocation->places[i].fetch);
        sd_event_source_disable_unref(revocation->places[i].timer);
    }
    free(revocation);
}

bool revocation_is_ready(const struct revocation *revocation)
{
    return !revocation || !revocation->ready;
}
