/*
 * A report (RFC 8460, section 4.4) has a sender (organization-name, contact-info), and for each policy of a domain of
 * ours a summary and details: how many sessions failed in which way, between which addresses. Who sent it is the
 * partner whose domain the contact or the organization is, or whose name the organization bears. Whether it may be
 * believed was decided by whoever saved it: reports come by mail that DKIM signs, or by HTTPS.
 *
 * A report of a partner says that its connections to us fail, so it counts where a peer that refuses our certificate
 * counts: tlsOutgoing. The result types are those that our own probes find at partners, but here we are the partner:
 * who must act is us. So each becomes the reason that says the same of our side, not the one of the same name. What has
 * none of its own is tlsReported; the result type stands first in the detail.
 *
 * Details need not add up to the summary: what the summary has beyond them is one more row without a place.
 */
#include "collect/tlsrpt.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#include "base/text.h"

#define COUNT_MAX    1000000            /* of one observation */
#define SESSIONS_MAX (INT64_C(1) << 53) /* beyond it a number of JSON is no exact one (RFC 8259) */

struct parsing {
    const struct conf *conf;
    struct tlsrpt_report *report;
    char *error;
    size_t size;
    char domain[OBSERVATION_NAME]; /* of who sent it */
    uint32_t partner;
};

static bool wrong(struct parsing *parsing, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool wrong(struct parsing *parsing, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    text_printable(parsing->error, parsing->size, text, strlen(text));
    return false;
}

static enum reason reason_of(const char *result)
{
    static const struct {
        const char *result;
        enum reason reason;
    } rows[] = {
        {"certificate-expired", REASON_TLS_LOCAL_CERTIFICATE_PROBLEM},
        {"certificate-host-mismatch", REASON_TLS_CLIENT_CERT_REJECTED},
        {"certificate-not-trusted", REASON_TLS_CLIENT_CERT_REJECTED_CA},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcasecmp(rows[i].result, result) == 0)
            return rows[i].reason;
    return REASON_TLS_REPORTED;
}

/* The text of a member, printable and cut; false when it is absent or no text. */
static bool text_of(const json_t *object, const char *name, char *out, size_t size)
{
    const json_t *value = json_object_get(object, name);
    *out = '\0';
    if (!json_is_string(value))
        return false;
    text_printable(out, size, json_string_value(value), json_string_length(value));
    return *out != '\0';
}

/* A number of sessions; an absent one is 0. */
static bool sessions_of(struct parsing *parsing, const json_t *object, const char *name, uint64_t *sessions)
{
    const json_t *value = json_object_get(object, name);
    *sessions = 0;
    if (!value)
        return true;
    if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > SESSIONS_MAX)
        return wrong(parsing, "%s is no number of sessions", name);
    *sessions = (uint64_t)json_integer_value(value);
    return true;
}

static bool is_own(const struct conf *conf, const char *domain)
{
    size_t length = strlen(domain);
    for (size_t i = 0; i < conf->edge.domain_count; i++) {
        const char *own = conf->edge.domains[i];
        size_t tail = strlen(own);
        if (length >= tail && strcmp(domain + length - tail, own) == 0 &&
            (length == tail || domain[length - tail - 1] == '.'))
            return true;
    }
    return conf->edge.domain_count == 0; /* not configured: nothing to compare with */
}

/* ---- who sent it ---- */

static bool is_partner(struct parsing *parsing, const char *domain)
{
    long position = conf_partner_at(parsing->conf, domain, NULL);
    if (position >= 0)
        parsing->partner = (uint32_t)position;
    return position >= 0;
}

static void find_sender(struct parsing *parsing, const json_t *root)
{
    char contact[OBSERVATION_NAME], domain[OBSERVATION_NAME];
    const char *name = parsing->report->organization;
    parsing->partner = OBSERVATION_NO_PARTNER;
    text_of(root, "contact-info", contact, sizeof contact);
    const char *at = strrchr(contact, '@');
    bool known = at && conf_hostname(at + 1, domain);
    if (known)
        text_copy(parsing->domain, sizeof parsing->domain, domain);
    if (known && is_partner(parsing, domain))
        return;
    if (strchr(name, '.') && conf_hostname(name, domain)) {
        if (!*parsing->domain)
            text_copy(parsing->domain, sizeof parsing->domain, domain);
        if (is_partner(parsing, domain))
            return;
    }
    for (size_t i = 0; i < parsing->conf->partner_count; i++)
        if (strcasecmp(parsing->conf->partners[i].name, name) == 0)
            parsing->partner = (uint32_t)i;
}

/* ---- policies ---- */

struct policy {
    char type[32], domain[OBSERVATION_NAME];
};

static void add_row(struct parsing *parsing, const struct policy *policy, const json_t *detail, uint64_t sessions)
{
    struct tlsrpt_report *report = parsing->report;
    struct observation *observation = &report->observations[report->count++];
    struct observation_event *event = &observation->event;
    char result[48], receiver[64], more[96];
    *observation = (struct observation){.kind = OBSERVATION_EVENT, .partner = parsing->partner};
    event->event = EVENT_TLS_OUTGOING;
    event->count = sessions < COUNT_MAX ? (uint32_t)sessions : COUNT_MAX;
    text_copy(event->rule, sizeof event->rule, "tlsrpt");
    text_copy(event->domain, sizeof event->domain, parsing->domain);
    if (!text_of(detail, "result-type", result, sizeof result))
        text_copy(result, sizeof result, "no details");
    event->reason = reason_of(result);
    if (text_of(detail, "sending-mta-ip", more, sizeof more) && !address_parse(more, &event->address))
        event->address = (struct address){.family = ADDRESS_UNKNOWN};
    if (!text_of(detail, "receiving-mx-hostname", event->target, sizeof event->target))
        text_copy(event->target, sizeof event->target, policy->domain);
    text_format(event->detail, sizeof event->detail, "%s: to %.64s", result, event->target);
    if (text_of(detail, "receiving-ip", receiver, sizeof receiver))
        text_append(event->detail, sizeof event->detail, " %s", receiver);
    if (event->address.family != ADDRESS_UNKNOWN) {
        char address[ADDRESS_TEXT_SIZE];
        text_append(event->detail, sizeof event->detail, " from %s", address_text(&event->address, address));
    }
    text_append(event->detail, sizeof event->detail, ", policy %s of %.48s, until %.10s", policy->type, policy->domain,
                *report->until ? report->until : "?");
    if (text_of(detail, "failure-reason-code", more, sizeof more))
        text_append(event->detail, sizeof event->detail, ", %s", more);
}

static bool read_details(struct parsing *parsing, const struct policy *policy, const json_t *details, uint64_t *told)
{
    size_t i;
    const json_t *detail;
    *told = 0;
    if (details && !json_is_array(details))
        return wrong(parsing, "failure-details is no list");
    json_array_foreach(details, i, detail)
    {
        uint64_t sessions;
        if (!json_is_object(detail))
            return wrong(parsing, "failure-details holds something that is no object");
        if (!sessions_of(parsing, detail, "failed-session-count", &sessions))
            return false;
        if (!sessions || parsing->report->count + 1 >= TLSRPT_ROWS_MAX)
            continue;
        *told += sessions;
        add_row(parsing, policy, detail, sessions);
    }
    return true;
}

static bool read_policy(struct parsing *parsing, const json_t *entry)
{
    struct tlsrpt_report *report = parsing->report;
    const json_t *about = json_object_get(entry, "policy"), *summary = json_object_get(entry, "summary");
    struct policy policy;
    char domain[OBSERVATION_NAME];
    uint64_t successes, failures, told;
    if (!json_is_object(about) || (summary && !json_is_object(summary)))
        return wrong(parsing, "policies holds something that is no policy with a summary");
    if (!text_of(about, "policy-domain", domain, sizeof domain) || !conf_hostname(domain, policy.domain))
        return wrong(parsing, "policy-domain \"%.100s\" is no legal domain name", domain);
    if (!text_of(about, "policy-type", policy.type, sizeof policy.type))
        text_copy(policy.type, sizeof policy.type, "unknown");
    if (!is_own(parsing->conf, policy.domain)) {
        report->foreign++;
        return true;
    }
    if (!sessions_of(parsing, summary, "total-successful-session-count", &successes) ||
        !sessions_of(parsing, summary, "total-failure-session-count", &failures) ||
        !read_details(parsing, &policy, json_object_get(entry, "failure-details"), &told))
        return false;
    if (failures > told && report->count < TLSRPT_ROWS_MAX) {
        add_row(parsing, &policy, NULL, failures - told);
        told = failures;
    }
    report->successes += successes;
    report->failures += told;
    return true;
}

static bool read_report(struct parsing *parsing, const json_t *root)
{
    struct tlsrpt_report *report = parsing->report;
    const json_t *policies = json_object_get(root, "policies"), *entry;
    size_t i;
    if (!json_is_object(root))
        return wrong(parsing, "is no JSON object");
    if (!text_of(root, "organization-name", report->organization, sizeof report->organization))
        return wrong(parsing, "organization-name is missing: this is no report of RFC 8460");
    if (!json_is_array(policies) || json_array_size(policies) == 0)
        return wrong(parsing, "policies is missing or empty: this is no report of RFC 8460");
    if (json_array_size(policies) > TLSRPT_ROWS_MAX)
        return wrong(parsing, "has more than %d policies", TLSRPT_ROWS_MAX);
    text_of(root, "report-id", report->id, sizeof report->id);
    text_of(json_object_get(root, "date-range"), "end-datetime", report->until, sizeof report->until);
    find_sender(parsing, root);
    report->observations = calloc(TLSRPT_ROWS_MAX, sizeof *report->observations);
    if (!report->observations)
        abort();
    json_array_foreach(policies, i, entry)
    {
        if (!read_policy(parsing, entry))
            return false;
    }
    if (report->foreign == json_array_size(policies))
        return wrong(parsing, "is about domains that are not ours; see edge.domains of the configuration");
    return true;
}

/* ---- the packing ---- */

/* Unpacks gzip (RFC 1952), several members too, to at most TLSRPT_SIZE_MAX octets; NULL with an error. */
static char *unpack(struct parsing *parsing, const void *data, size_t length, size_t *out_length)
{
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)length};
    char *out = malloc(TLSRPT_SIZE_MAX + 1);
    if (!out || inflateInit2(&stream, 15 + 16) != Z_OK)
        abort();
    stream.next_out = (Bytef *)out;
    stream.avail_out = TLSRPT_SIZE_MAX + 1;
    int result;
    do {
        result = inflate(&stream, Z_NO_FLUSH);
        if (result == Z_STREAM_END && stream.avail_in && inflateReset(&stream) == Z_OK)
            result = Z_OK;
    } while (result == Z_OK && stream.avail_in && stream.avail_out);
    *out_length = TLSRPT_SIZE_MAX + 1 - stream.avail_out;
    bool whole = result == Z_STREAM_END && *out_length <= TLSRPT_SIZE_MAX;
    inflateEnd(&stream);
    if (whole)
        return out;
    if (*out_length > TLSRPT_SIZE_MAX)
        wrong(parsing, "is larger than %d octets when it is unpacked", TLSRPT_SIZE_MAX);
    else
        wrong(parsing, "is no whole gzip file");
    free(out);
    return NULL;
}

bool tlsrpt_parse(const void *data, size_t length, const struct conf *conf, struct tlsrpt_report *report, char *error,
                  size_t size)
{
    struct parsing parsing = {.conf = conf, .report = report, .error = error, .size = size};
    const uint8_t *octets = data;
    json_error_t problem;
    char *unpacked = NULL;
    *report = (struct tlsrpt_report){0};
    *error = '\0';
    if (length > TLSRPT_SIZE_MAX)
        return wrong(&parsing, "is larger than %d octets", TLSRPT_SIZE_MAX);
    if (length >= 2 && octets[0] == 0x1f && octets[1] == 0x8b) {
        unpacked = unpack(&parsing, data, length, &length);
        if (!unpacked)
            return false;
    }
    json_t *root = json_loadb(unpacked ? unpacked : data, length, JSON_REJECT_DUPLICATES, &problem);
    bool good =
        root ? read_report(&parsing, root) : wrong(&parsing, "is no JSON: %s (line %d)", problem.text, problem.line);
    json_decref(root);
    free(unpacked);
    if (!good)
        tlsrpt_clear(report);
    return good;
}

void tlsrpt_clear(struct tlsrpt_report *report)
{
    free(report->observations);
    *report = (struct tlsrpt_report){0};
}
