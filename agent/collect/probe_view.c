/*
 * Views: the same records as several resolvers see them, side by side. Partners find us through public resolvers, while
 * this host may be answered from inside; and an edge whose SRV record names a host that only the inside knows works for
 * us and for nobody else. So each view is followed as a partner would: the record set, then the addresses of its targets,
 * all from one resolver.
 *
 * A view fails by itself where a partner would fail (no record set, a target without an address), and otherwise by what
 * differs: from `expected` where that names records of the kind, else from the first view that has the records. That
 * makes a split horizon that is meant possible: `expected` then lists the addresses of either side.
 *
 * Each view is one piece of the walk. What it found is judged when the walk is put together, because only then all have
 * ended.
 */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "collect/probe_parts.h"

#define VIEW_ADDRESSES_MAX (2 * (size_t)DNS_ADDRESSES_MAX)

struct view_host {
    struct view *view;
    char name[OBSERVATION_NAME];
    struct view_query {
        struct view_host *host;
        struct dns_query *query; /* NULL when not under way */
        struct dns_answer *answer;
    } queries[2]; /* A, AAAA */
};

struct view {
    struct probe *probe;
    const uint32_t *resolver; /* the one that is asked */
    const char *name;
    size_t asked;               /* questions under way */
    struct dns_query *query;    /* of the record set */
    struct dns_answer *service; /* NULL: there is no record set to ask for */
    size_t host_count;
    struct view_host *hosts;
};

/* ---- asking ---- */

static struct dns_answer *keep(const struct dns_answer *answer)
{
    struct dns_answer *kept = malloc(sizeof *kept);
    if (!kept)
        abort();
    *kept = *answer;
    return kept;
}

static struct dns_query *ask(struct view *view, const char *name, enum dns_type type, dns_done *done, void *context)
{
    const struct dns_question question = {.name = name, .type = type, .resolvers = view->resolver, .resolver_count = 1};
    struct dns_query *query = dns_ask(view->probe->prober->dns, &question, done, context);
    if (!query)
        abort();
    view->asked++;
    return query;
}

static void answered(struct view *view)
{
    if (--view->asked == 0)
        piece_end(view->probe);
}

static void address_answered(void *context, const struct dns_answer *answer)
{
    struct view_query *query = context;
    query->query = NULL;
    query->answer = keep(answer);
    answered(query->host->view);
}

static void add_host(struct view *view, const char *name)
{
    for (size_t i = 0; i < view->host_count; i++)
        if (strcmp(view->hosts[i].name, name) == 0)
            return;
    struct view_host *host = &view->hosts[view->host_count++];
    host->view = view;
    text_copy(host->name, sizeof host->name, name);
}

static void ask_hosts(struct view *view)
{
    static const enum dns_type types[2] = {DNS_A, DNS_AAAA};
    for (size_t i = 0; i < view->host_count; i++)
        for (size_t k = 0; k < 2; k++) {
            struct view_query *query = &view->hosts[i].queries[k];
            query->host = &view->hosts[i];
            query->query = ask(view, view->hosts[i].name, types[k], address_answered, query);
        }
}

static void make_hosts(struct view *view, size_t count)
{
    view->hosts = calloc(count, sizeof view->hosts[0]);
    if (!view->hosts)
        abort();
}

/* RFC 5321 section 5.1: without MX records the domain's own addresses stand for them. */
static bool implicit_mx(const struct view *view)
{
    return view->service->type == DNS_MX && view->service->reason == REASON_DNS_NO_DATA;
}

static void service_answered(void *context, const struct dns_answer *answer)
{
    struct view *view = context;
    struct address literal;
    view->query = NULL;
    view->service = keep(answer);
    make_hosts(view, answer->target_count + 1);
    for (size_t i = 0; i < answer->target_count && answer->reason == REASON_NONE; i++)
        if (*answer->targets[i].host && !address_parse(answer->targets[i].host, &literal))
            add_host(view, answer->targets[i].host);
    if (implicit_mx(view))
        add_host(view, view->probe->partner->domain);
    if (!view->probe->over)
        ask_hosts(view);
    answered(view);
}

void view_start(struct probe *probe)
{
    const struct conf_partner *partner = probe->partner;
    if (partner->view_count == 0)
        return;
    probe->views = calloc(partner->view_count, sizeof probe->views[0]);
    if (!probe->views)
        abort();
    for (size_t i = 0; i < partner->view_count; i++) {
        struct view *view = &probe->views[i];
        view->probe = probe;
        view->resolver = &partner->views[i];
        view->name = probe->prober->conf->resolvers[partner->views[i]].name;
        piece_begin(probe);
        if (*partner->service) {
            view->query = ask(view, partner->service, partner->protocol == PROTOCOL_SMTP ? DNS_MX : DNS_SRV,
                              service_answered, view);
        } else {
            make_hosts(view, 1);
            add_host(view, *partner->host ? partner->host : partner->domain);
            ask_hosts(view);
        }
    }
}

void view_timeout(struct probe *probe)
{
    struct dns_answer answer;
    for (size_t i = 0; probe->views && i < probe->partner->view_count; i++) {
        struct view *view = &probe->views[i];
        if (view->query) {
            dns_cancel(view->query);
            lookup_timeout_answer(&answer, probe->partner->service, DNS_SRV, probe);
            service_answered(view, &answer);
        }
        for (size_t h = 0; h < 2 * view->host_count; h++) {
            struct view_query *query = &view->hosts[h / 2].queries[h % 2];
            if (!query->query)
                continue;
            dns_cancel(query->query);
            lookup_timeout_answer(&answer, view->hosts[h / 2].name, h % 2 == 0 ? DNS_A : DNS_AAAA, probe);
            address_answered(query, &answer);
        }
    }
}

void view_free(struct probe *probe)
{
    for (size_t i = 0; probe->views && i < probe->partner->view_count; i++) {
        struct view *view = &probe->views[i];
        if (view->query)
            dns_cancel(view->query);
        free(view->service);
        for (size_t h = 0; h < 2 * view->host_count; h++) {
            struct view_query *query = &view->hosts[h / 2].queries[h % 2];
            if (query->query)
                dns_cancel(query->query);
            free(query->answer);
        }
        free(view->hosts);
    }
    free(probe->views);
}

/* ---- judging ---- */

static bool has_target(const struct dns_answer *answer, const struct dns_target *target)
{
    for (size_t i = 0; i < answer->target_count; i++)
        if (answer->targets[i].port == target->port && answer->targets[i].priority == target->priority &&
            answer->targets[i].weight == target->weight && strcmp(answer->targets[i].host, target->host) == 0)
            return true;
    return false;
}

static void target_text(const struct dns_answer *answer, const struct dns_target *target, char *out, size_t size)
{
    if (answer->type == DNS_MX)
        text_format(out, size, "%u %.120s", target->priority, target->host);
    else
        text_format(out, size, "%u %u %.120s:%u", target->priority, target->weight, target->host, target->port);
}

/* " has A but not B" of the first target that either lacks; false when both are the same. */
static bool targets_differ(const struct dns_answer *here, const struct dns_answer *there, char *out, size_t size)
{
    const struct dns_answer *sides[2] = {here, there};
    const char *words[2] = {"has", "lacks"};
    char target[OBSERVATION_NAME];
    *out = '\0';
    for (size_t side = 0; side < 2; side++)
        for (size_t i = 0; i < sides[side]->target_count; i++) {
            if (has_target(sides[1 - side], &sides[side]->targets[i]))
                continue;
            target_text(here, &sides[side]->targets[i], target, sizeof target);
            text_append(out, size, "%s %s %s", *out ? " and" : "", words[side], target);
            break;
        }
    return *out != '\0';
}

static size_t host_addresses(const struct view_host *host, struct address all[VIEW_ADDRESSES_MAX])
{
    size_t count = 0;
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; host->queries[k].answer && i < host->queries[k].answer->address_count; i++)
            all[count++] = host->queries[k].answer->addresses[i];
    return count;
}

static void addresses_text(const struct address *addresses, size_t count, char *out, size_t size)
{
    char text[ADDRESS_TEXT_SIZE];
    *out = '\0';
    for (size_t i = 0; i < count && i < 4; i++)
        text_append(out, size, "%s%s", i ? ", " : "", address_text(&addresses[i], text));
    if (count > 4)
        text_append(out, size, " and %zu more", count - 4);
}

static const struct view_host *find_host(const struct view *view, const char *name)
{
    for (size_t i = 0; i < view->host_count; i++)
        if (strcmp(view->hosts[i].name, name) == 0)
            return &view->hosts[i];
    return NULL;
}

/* Both lists are in the order in which answers have them. */
static void compare_hosts(const struct view *first, const struct view_host *host, const struct address *addresses,
                          size_t count, struct walk_step *step)
{
    struct address others[VIEW_ADDRESSES_MAX];
    char here[120], there[120], detail[OBSERVATION_DETAIL];
    const struct view_host *other = find_host(first, host->name);
    size_t other_count = other ? host_addresses(other, others) : 0;
    bool same = count == other_count;
    for (size_t i = 0; same && i < count; i++)
        same = address_equal(&addresses[i], &others[i]);
    if (same || other_count == 0)
        return;
    addresses_text(addresses, count, here, sizeof here);
    addresses_text(others, other_count, there, sizeof there);
    text_format(detail, sizeof detail, "%.100s is %s for resolver \"%s\" but %s for \"%s\"", host->name, here,
                host->view->name, there, first->name);
    step_worsen(step, REASON_DNS_UNEXPECTED_ANSWER, detail);
}

static void judge_host(const struct view *first, const struct view_host *host, struct walk_step *step)
{
    const struct dns_answer *a = host->queries[0].answer, *aaaa = host->queries[1].answer;
    struct address addresses[VIEW_ADDRESSES_MAX];
    char detail[OBSERVATION_DETAIL];
    size_t count = host_addresses(host, addresses);
    if (!a || !aaaa) /* the time of the walk was over before they were asked */
        return;
    if (count == 0) {
        const struct dns_answer *telling = lookup_more_telling(a, aaaa);
        bool hollow = host->view->service && telling->reason == REASON_DNS_NO_DATA;
        text_copy(detail, sizeof detail, telling->detail);
        if (hollow)
            text_format(detail, sizeof detail, "target %.120s has neither an A nor an AAAA record for resolver \"%s\"",
                        host->name, host->view->name);
        step_worsen(step, hollow ? REASON_DNS_SRV_BAD_TARGET : telling->reason, detail);
        return;
    }
    if (step->state == STEP_OK) {
        addresses_text(addresses, count, detail, sizeof detail);
        text_append(step->detail, sizeof step->detail, "%s%.80s %s", *step->detail ? "; " : "", host->name, detail);
    }
    if (!expected_addresses(host->view->probe->partner, host->name, addresses, count, step) && first != host->view)
        compare_hosts(first, host, addresses, count, step);
}

static void judge_service(const struct view *first, const struct view *view, struct walk_step *step)
{
    const struct dns_answer *answer = view->service;
    char detail[OBSERVATION_DETAIL], difference[OBSERVATION_DETAIL];
    if (implicit_mx(view) && first->service->reason == REASON_NONE) {
        text_format(detail, sizeof detail, "resolver \"%s\" has no MX record, unlike \"%s\"", view->name, first->name);
        step_worsen(step, REASON_DNS_UNEXPECTED_ANSWER, detail);
    } else if (answer->reason != REASON_NONE && !implicit_mx(view)) {
        step_worsen(step, answer->reason, answer->detail);
    }
    if (answer->reason != REASON_NONE)
        return;
    text_format(step->detail, sizeof step->detail, "%zu %s", answer->target_total,
                answer->target_total == 1 ? "target" : "targets");
    if (expected_targets(view->probe->partner, answer, step) || first == view ||
        !targets_differ(answer, first->service, difference, sizeof difference))
        return;
    text_format(detail, sizeof detail, "resolver \"%s\"%s, unlike \"%s\"", view->name, difference, first->name);
    step_worsen(step, REASON_DNS_UNEXPECTED_ANSWER, detail);
}

/* The view that others are compared with: the first that has the records, of which there may be none. */
static const struct view *first_view(const struct probe *probe)
{
    for (size_t i = 0; i < probe->partner->view_count; i++) {
        const struct view *view = &probe->views[i];
        if (!view->service || view->service->reason == REASON_NONE)
            return view;
    }
    return &probe->views[0];
}

void view_add(struct probe *probe, struct walk *walk)
{
    for (size_t i = 0; probe->views && i < probe->partner->view_count; i++) {
        const struct view *view = &probe->views[i];
        const struct dns_answer *answer = view->service ? view->service : view->hosts[0].queries[0].answer;
        struct observation_probe told;
        struct walk_step step;
        step_init(&step, view->service ? STAGE_SERVICE : STAGE_ADDRESS, STEP_OK);
        text_format(step.target, sizeof step.target, "%s@%s", answer->name, view->name);
        text_copy(step.resolver, sizeof step.resolver, answer->resolver);
        step.rcode = answer->rcode;
        step.ede = answer->ede;
        step.ttl = answer->ttl;
        step.duration = answer->duration;
        if (view->service)
            judge_service(first_view(probe), view, &step);
        for (size_t h = 0; h < view->host_count; h++)
            judge_host(first_view(probe), &view->hosts[h], &step);
        lookup_told_init(&told, view->service ? PROBE_SERVICE : PROBE_ADDRESS, probe->partner);
        lookup_tell(&told, &step);
        walk_add_step(walk, &step);
        walk_add_lookup(walk, &told);
    }
}
