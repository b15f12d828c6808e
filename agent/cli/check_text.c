/*
 * For people. The look-ups and the endpoint that the verdict is about are shown step by step; each other endpoint gets
 * one line, so that what matters is seen at once. Marks and colours only where the style says they can be seen.
 */
#include "cli/check.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/show.h"

#define TEXT_COLUMNS 64 /* of the middle column */

#define DAY (86400 * CLOCK_SECOND)

long check_days(int64_t not_after)
{
    return show_days(not_after, clock_wall());
}

static void print_mark(FILE *out, enum step_state state, enum reason reason, const struct check_style *style)
{
    const char *mark = state == STEP_OK       ? (style->term.utf8 ? "\u2713" : "+")
                       : state == STEP_FAILED ? (style->term.utf8 ? "\u2717" : "x")
                                              : (style->term.utf8 ? "\u2013" : "-");
    const char *code = state == STEP_OK       ? term_health_colour(&style->term, HEALTH_OK)
                       : state == STEP_FAILED ? term_health_colour(&style->term, reason_health(reason))
                                              : "";
    fprintf(out, "  %s%s%s ", code, mark, *code ? "\033[0m" : "");
}

static void pad(FILE *out, const char *text, size_t width)
{
    fputs(text, out);
    for (size_t used = term_columns(text); used < width; used++)
        fputc(' ', out);
}

static const char *protocol_title(enum protocol protocol)
{
    static const char *const titles[] = {[PROTOCOL_SIP] = "SIP federation over TLS",
                                         [PROTOCOL_XMPP] = "XMPP between servers",
                                         [PROTOCOL_SMTP] = "SMTP with STARTTLS",
                                         [PROTOCOL_HTTPS] = "HTTPS",
                                         [PROTOCOL_TLS] = "TLS",
                                         [PROTOCOL_IMAP] = "IMAP with STARTTLS",
                                         [PROTOCOL_POP3] = "POP3 with STARTTLS",
                                         [PROTOCOL_LDAP] = "LDAP with STARTTLS",
                                         [PROTOCOL_XMPP_CLIENT] = "XMPP of clients"};
    return titles[protocol];
}

static void print_verdict(FILE *out, const struct walk *walk, const struct check_style *style)
{
    enum health health = reason_health(walk->reason);
    fprintf(out, "%s%s%s", term_health_colour(&style->term, health), term_health_word(health), term_end(&style->term));
    if (walk->reason != REASON_NONE)
        fprintf(out, "  %s (%d)", reason_name(walk->reason), (int)reason_info(walk->reason)->reason);
}

/* "192.0.2.10:5061", "[2001:db8::10]:5061" */
static void endpoint_text(const struct address *address, uint16_t port, char *out, size_t size)
{
    char text[ADDRESS_TEXT_SIZE];
    address_text(address, text);
    text_format(out, size, address->family == ADDRESS_IPV6 ? "[%s]:%u" : "%s:%u", text, port);
}

static const char *step_label(const struct walk *walk, enum stage stage)
{
    switch (stage) {
    case STAGE_SERVICE:
        return walk->partner->protocol == PROTOCOL_SMTP ? "MX" : "SRV";
    case STAGE_STARTTLS:
        return "STARTTLS";
    case STAGE_TLS:
        return "TLS";
    case STAGE_CLIENT:
        return "our cert";
    case STAGE_APPLICATION:
        return "protocol";
    default:
        return stage_name(stage);
    }
}

/* What of a step is shown between its label and its time. */
static void describe_step(const struct walk_step *step, char *out, size_t size)
{
    char place[64];
    if (step->stage == STAGE_SERVICE || step->stage == STAGE_ADDRESS) {
        bool named = strncmp(step->detail, step->target, strlen(step->target)) == 0;
        text_format(out, size, "%s%s%s", named ? "" : step->target, named ? "" : "  ", step->detail);
        if (step->stage == STAGE_SERVICE && step->state == STEP_OK && step->ttl)
            text_append(out, size, ", TTL %u", step->ttl);
    } else if (step->stage == STAGE_CONNECT && step->address.family != ADDRESS_UNKNOWN) {
        endpoint_text(&step->address, step->port, place, sizeof place);
        text_format(out, size, "%s  %s", place, step->detail);
    } else if (step->stage == STAGE_TLS && step->state == STEP_FAILED && *step->tls_version) {
        text_format(out, size, "%s, %s: %s", step->tls_version, step->cipher, step->detail);
    } else {
        text_copy(out, size, step->detail);
    }
}

static void print_step(FILE *out, const struct walk *walk, const struct walk_step *step,
                       const struct check_style *style)
{
    char middle[2 * OBSERVATION_DETAIL];
    describe_step(step, middle, sizeof middle);
    for (size_t end = strlen(middle); end > 0 && middle[end - 1] == ' ';)
        middle[--end] = '\0';
    print_mark(out, step->state, step->reason, style);
    pad(out, step_label(walk, step->stage), 13);
    pad(out, middle, TEXT_COLUMNS);
    fputc(' ', out);
    pad(out, step->resolver, 16);
    if (step->duration > 0)
        fprintf(out, " %5u ms", (unsigned)((step->duration + 500) / 1000));
    fputc('\n', out);
}

static unsigned count_names(const char *names)
{
    unsigned count = *names != '\0';
    while ((names = strstr(names, ", "))) {
        count++;
        names += 2;
    }
    return count;
}

static void print_end(FILE *out, int64_t not_after)
{
    char span[32];
    int64_t left = not_after - clock_wall();
    long days = labs((long)(left / DAY));
    if (days > 0)
        text_format(span, sizeof span, "%ld %s", days, days == 1 ? "day" : "days");
    else
        clock_span((left < 0 ? -left : left) / CLOCK_SECOND, span, sizeof span);
    fprintf(out, left < 0 ? "ended %s ago" : "ends in %s", span);
}

static void print_certificates(FILE *out, const struct walk_endpoint *endpoint)
{
    for (size_t i = 0; i < endpoint->certificate_count; i++) {
        const struct observation_certificate *certificate = &endpoint->certificates[i];
        unsigned names = count_names(certificate->names);
        fprintf(out, "                 %-9s%s, ", i == 0 ? "leaf" : "sent",
                *certificate->subject ? certificate->subject : certificate->names);
        if (i == 0)
            fprintf(out, "%u %s, ", names, names == 1 ? "name" : "names");
        print_end(out, certificate->not_after);
        if (certificate->reason != REASON_NONE)
            fprintf(out, "  <- %s", reason_name(certificate->reason));
        fputc('\n', out);
        if (i + 1 == endpoint->certificate_count)
            fprintf(out, "                 %-9s%s\n", "issuer", certificate->issuer);
    }
}

static void print_peer_cas(FILE *out, const struct walk_endpoint *endpoint)
{
    for (size_t i = 0; i < endpoint->peer_ca_count; i++)
        fprintf(out, "                 %-9s%s\n", i == 0 ? "takes" : "", endpoint->peer_cas[i]);
}

/* Steps of one endpoint in full; those that were not reached share a line. */
static void print_endpoint(FILE *out, const struct walk *walk, size_t number, const struct check_style *style)
{
    char skipped[128] = "";
    for (size_t i = 0; i < walk->step_count; i++) {
        const struct walk_step *step = &walk->steps[i];
        if (step->endpoint != (int)number)
            continue;
        if (step->state == STEP_SKIPPED) {
            text_append(skipped, sizeof skipped, "%s%s", *skipped ? ", " : "", step_label(walk, step->stage));
            continue;
        }
        print_step(out, walk, step, style);
        if (step->stage == STAGE_TLS)
            print_certificates(out, &walk->endpoints[number]);
        if (step->stage == STAGE_CLIENT && style->verbose)
            print_peer_cas(out, &walk->endpoints[number]);
    }
    if (!*skipped)
        return;
    print_mark(out, STEP_SKIPPED, REASON_NONE, style);
    pad(out, skipped, 13 + TEXT_COLUMNS - 12);
    fputs(" not reached\n", out);
}

static void print_other_endpoint(FILE *out, const struct walk_endpoint *endpoint, const struct walk_endpoint *shown,
                                 const struct check_style *style)
{
    char place[64];
    endpoint_text(&endpoint->address, endpoint->port, place, sizeof place);
    print_mark(out, endpoint->reason == REASON_NONE ? STEP_OK : STEP_FAILED, endpoint->reason, style);
    fprintf(out, "%s %s  ", endpoint->target, place);
    if (endpoint->reason == REASON_NONE) {
        fputs("healthy", out);
        if (endpoint->probe.not_after != CLOCK_NEVER) {
            fputs(", certificate ", out);
            print_end(out, endpoint->probe.not_after);
        }
    } else if (endpoint->reason == shown->reason && strcmp(endpoint->probe.detail, shown->probe.detail) == 0) {
        fputs("the same", out);
    } else {
        fprintf(out, "%s  %s", reason_name(endpoint->reason), endpoint->probe.detail);
    }
    fputc('\n', out);
}

static void print_steps(FILE *out, const struct walk *walk, const struct check_style *style)
{
    int shown = walk->endpoint >= 0 ? walk->endpoint : 0, last = -1;
    for (size_t i = 0; i < walk->step_count; i++) {
        const struct walk_step *step = &walk->steps[i];
        if (step->endpoint < 0) {
            print_step(out, walk, step, style);
            continue;
        }
        if (step->endpoint == last)
            continue;
        last = step->endpoint;
        if (last == shown || style->verbose)
            print_endpoint(out, walk, (size_t)last, style);
        else
            print_other_endpoint(out, &walk->endpoints[last], &walk->endpoints[shown], style);
    }
}

static void print_guidance(FILE *out, const struct walk *walk)
{
    const struct reason_info *info = reason_info(walk->reason);
    char address[ADDRESS_TEXT_SIZE], cause[REASON_CAUSE_MAX + 1], resolution[REASON_RESOLUTION_MAX + 1];
    struct guidance known = walk_guidance(walk, address);
    fputc('\n', out);
    if (*walk->detail)
        fprintf(out, "  detail      %s\n", walk->detail);
    fprintf(out, "  cause       %s\n  resolution  %s\n  who acts    %s", guidance_cause(walk->reason, &known, cause),
            guidance_resolution(walk->reason, &known, resolution), actor_name(info->actor));
    if (info->actor == ACTOR_PARTNER && *walk->partner->contact)
        fprintf(out, " (%s)", walk->partner->contact);
    fprintf(out, "          more: fedwarden explain %s\n", info->name);
}

static void print_title(FILE *out, const struct walk *walk, size_t width)
{
    char title[OBSERVATION_NAME + 128];
    const char *name = walk->partner->name, *domain = walk->partner->domain;
    text_format(title, sizeof title, "%s%s%s  %s", name, strcmp(name, domain) ? "  " : "",
                strcmp(name, domain) ? domain : "", protocol_title(walk->partner->protocol));
    pad(out, title, width);
}

void check_text_full(FILE *out, const struct walk *walk, const struct check_style *style)
{
    print_title(out, walk, TEXT_COLUMNS + 14);
    fputs("  ", out);
    print_verdict(out, walk, style);
    fputc('\n', out);
    print_steps(out, walk, style);
    if (walk->reason != REASON_NONE)
        print_guidance(out, walk);
}

void check_text_line(FILE *out, const struct walk *walk, const struct check_style *style)
{
    char place[80] = "";
    if (walk->endpoint >= 0) {
        const struct walk_endpoint *endpoint = &walk->endpoints[walk->endpoint];
        endpoint_text(&endpoint->address, endpoint->port, place, sizeof place);
        text_append(place, sizeof place, ": ");
    }
    pad(out, walk->partner->name, 24);
    fputs("  ", out);
    print_verdict(out, walk, style);
    fprintf(out, "  %s%s  (%s)\n", place, walk->detail, actor_name(reason_info(walk->reason)->actor));
}
