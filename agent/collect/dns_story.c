/*
 * What became of a question, resolver by resolver, its proof, and the words for it. A story is that of the last try at one
 * resolver; the detail of a failure names every resolver that was asked and what it did, because which one it was is
 * what an operator asks first.
 */

#include <errno.h>
#include <string.h>

#include "base/text.h"
#include "collect/dns_parts.h"

struct story *dns_story(struct dns_query *query)
{
    return &query->stories[(query->turn - 1) % query->resolver_count];
}

/* Why no reply came: what the socket said is a fact about us and the network, silence is one about the resolver. */
static enum reason unanswered_reason(enum outcome outcome, int error)
{
    if (outcome != OUTCOME_BROKEN)
        return REASON_DNS_TIMEOUT;
    switch (error) {
    case ENETUNREACH:
    case EADDRNOTAVAIL: /* no address of ours in that family */
    case EAFNOSUPPORT:
    case EINVAL: /* an unreachable or blackhole route */
        return REASON_NET_UNREACHABLE;
    case EHOSTUNREACH:
    case EHOSTDOWN:
        return REASON_HOST_UNREACHABLE;
    case EACCES:
    case EPERM:
        return REASON_ADMIN_PROHIBITED;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
    case EADDRINUSE:
        return REASON_LOCAL_RESOURCE;
    default:
        return REASON_DNS_TIMEOUT;
    }
}

/*
 * Of several resolvers without a reply: that we have no means outranks all, and one that was asked in vain outranks one
 * that could not be asked, such as the IPv6 address of a resolver on a host without IPv6.
 */
static int unanswered_rank(enum reason reason)
{
    switch (reason) {
    case REASON_LOCAL_RESOURCE:
        return 4;
    case REASON_DNS_TIMEOUT:
        return 3;
    case REASON_ADMIN_PROHIBITED:
        return 2;
    case REASON_HOST_UNREACHABLE:
        return 1;
    default:
        return 0;
    }
}

void dns_story_note(struct dns_query *query, enum outcome outcome, bool tcp, int error)
{
    struct dns_answer *answer = &query->answer;
    struct story *story = dns_story(query);
    *story = (struct story){.tries = story->tries, .outcome = outcome, .tcp = tcp, .rcode = -1, .error = error};
    if (tcp) { /* a reply was there, but only in part */
        answer->reason = REASON_DNS_MALFORMED;
        answer->tcp = true;
        text_copy(answer->resolver, sizeof answer->resolver, query->resolver->text);
    } else if (answer->rcode < 0 && answer->reason != REASON_DNS_MALFORMED) {
        enum reason reason = unanswered_reason(outcome, error);
        if (answer->resolver[0] != '\0' && unanswered_rank(reason) < unanswered_rank(answer->reason))
            return;
        answer->reason = reason;
        text_copy(answer->resolver, sizeof answer->resolver, query->resolver->text);
    }
}

void dns_tell_question(const struct dns_answer *answer, char *out, size_t size)
{
    bool long_name = strlen(answer->name) > 100;
    text_format(out, size, "%.100s%s %s: ", answer->name, long_name ? "..." : "", dns_type_name(answer->type));
}

static void story_phrase(const struct dns_query *query, const struct story *story, char *out, size_t size)
{
    const char *way = story->tcp ? " by TCP, after a truncated reply by UDP," : "";
    switch ((enum outcome)story->outcome) {
    case OUTCOME_SILENT:
        text_format(out, size, "no reply%s from", way);
        break;
    case OUTCOME_BROKEN:
        if (story->error == ECONNREFUSED)
            text_format(out, size, "refused%s by", way);
        else if (story->error == 0 || story->error == ECONNRESET || story->error == EPIPE)
            text_format(out, size, "broken off%s by", way);
        else
            text_format(out, size, "cannot be sent%s (%s) to", way, strerrordesc_np(story->error));
        break;
    case OUTCOME_REPLY:
        if (story->reason == REASON_DNS_NO_DATA)
            text_format(out, size, "no %s record from", dns_type_name(query->answer.type));
        else if (story->reason == REASON_DNS_MALFORMED && story->rcode != 1)
            text_copy(out, size, "malformed reply from");
        else
            text_format(out, size, "%s from", dns_rcode_name(story->rcode));
        break;
    case OUTCOME_NONE:
        text_copy(out, size, "not asked:");
        break;
    }
}

/* What the resolvers but that of the answer did. */
static void tell_others(struct dns_query *query, char *out, size_t size)
{
    char phrase[96];
    for (size_t i = 0; i < query->resolver_count; i++) {
        const char *text = dns_resolver_at(query, i)->text;
        if (query->stories[i].tries == 0 || strcmp(text, query->answer.resolver) == 0)
            continue;
        story_phrase(query, &query->stories[i], phrase, sizeof phrase);
        text_append(out, size, "; %s %s", phrase, text);
    }
}

void dns_tell_reply(struct dns_query *query)
{
    struct dns_answer *answer = &query->answer;
    char detail[OBSERVATION_DETAIL] = "", others[OBSERVATION_DETAIL] = "";
    tell_others(query, others, sizeof others);
    if (answer->reason != REASON_NONE) {
        dns_tell_question(answer, detail, sizeof detail);
        text_append(detail, sizeof detail, "%s from %s", answer->detail, answer->resolver);
    } else if (*others) {
        text_format(detail, sizeof detail, "from %s", answer->resolver);
    }
    text_append(detail, sizeof detail, "%s", others);
    text_copy(answer->detail, sizeof answer->detail, detail);
}

/* What several resolvers have in common is said once. */
void dns_tell_failure(struct dns_query *query)
{
    struct dns_answer *answer = &query->answer;
    char detail[OBSERVATION_DETAIL], before[96] = "", phrase[96];
    dns_tell_question(answer, detail, sizeof detail);
    size_t empty = strlen(detail);
    for (size_t i = 0; i < query->resolver_count; i++) {
        const struct story *story = &query->stories[i];
        if (story->tries == 0)
            continue;
        story_phrase(query, story, phrase, sizeof phrase);
        bool same = strcmp(phrase, before) == 0;
        const char *joint = detail[empty] == '\0' ? "" : same ? ", " : "; ";
        text_append(detail, sizeof detail, "%s%s%s%s (%u %s)", joint, same ? "" : phrase, same ? "" : " ",
                    dns_resolver_at(query, i)->text, story->tries, story->tries == 1 ? "try" : "tries");
        text_copy(before, sizeof before, phrase);
    }
    if (answer->ede >= 0)
        text_append(detail, sizeof detail, "; EDE %d %s", answer->ede, answer->ede_text);
    if (query->resolver != NULL && query->state == WAITING)
        text_append(detail, sizeof detail, "%swaited for a place among %u questions to %s; see dns_in_flight",
                    detail[empty] == '\0' ? "" : "; ", query->resolver->in_flight, query->resolver->text);
    text_copy(answer->detail, sizeof answer->detail, detail);
}

static void unproven(struct dns_answer *answer, enum reason reason, const char *words, const char *why)
{
    char detail[OBSERVATION_DETAIL];
    answer->reason = reason;
    answer->authentic = false;
    answer->target_count = answer->address_count = answer->tlsa_count = 0;
    dns_tell_question(answer, detail, sizeof detail);
    text_append(detail, sizeof detail, "%s%s%s, by the reply of %s", words, *why ? ": " : "", why, answer->resolver);
    text_copy(answer->detail, sizeof answer->detail, detail);
}

/* What was proven takes the place of what came first. */
static void proven(struct dns_query *query, const struct dnssec_verdict *verdict)
{
    struct dns_answer *answer = &query->answer;
    enum reason before = answer->reason;
    if (verdict->packet == NULL || !dns_judge(answer, verdict->packet, verdict->length)) {
        unproven(answer, REASON_DNS_MALFORMED, "the validated reply cannot be read", "");
        return;
    }
    answer->authentic = true;
    dns_tell_reply(query);
    if (answer->reason == REASON_NONE && before != REASON_NONE)
        text_format(answer->detail, sizeof answer->detail, "proven here, although %s said %s", answer->resolver,
                    reason_name(before));
}

void dns_story_prove(struct dns_query *query, const struct dnssec_verdict *verdict)
{
    struct dns_answer *answer = &query->answer;
    switch (verdict->state) {
    case DNSSEC_SECURE:
        proven(query, verdict);
        return;
    case DNSSEC_INSECURE:
        answer->authentic = false;
        return;
    case DNSSEC_BOGUS:
        unproven(answer, REASON_DNS_BOGUS, "DNSSEC validation failed", verdict->why);
        return;
    case DNSSEC_EXPIRED:
        unproven(answer, REASON_DNS_SIGNATURE_EXPIRED, "DNSSEC validation failed", verdict->why);
        return;
    case DNSSEC_FAILED:
        break;
    }
    answer->authentic = false;
    if (answer->reason == REASON_NONE || answer->reason == REASON_DNS_SERVICE_DENIED)
        unproven(answer, REASON_DNS_SERV_FAIL, "the records came, but not what proves them", verdict->why);
}
