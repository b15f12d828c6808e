/* The members of these objects are a contract with what reads them: every one is always there, none changes its type.
 */
#include "cli/check.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"

/* What is not UTF-8 (a partner's name of the configuration may be) becomes printable first. */
static json_t *text(const char *value)
{
    char safe[4 * OBSERVATION_DETAIL];
    json_t *json = json_string(value);
    if (json)
        return json;
    text_printable(safe, sizeof safe, value, strlen(value));
    return json_string(safe);
}

static void set(json_t *object, const char *name, json_t *value)
{
    if (!value || json_object_set_new(object, name, value) != 0)
        abort();
}

static json_int_t milliseconds(uint32_t microseconds)
{
    return (microseconds + 500) / 1000;
}

static json_t *rcode(int code)
{
    static const char *const names[] = {"NOERROR",  "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED",
                                        "YXDOMAIN", "YXRRSET", "NXRRSET",  "NOTAUTH",  "NOTZONE"};
    char number[32];
    if (code < 0)
        return text("");
    if ((size_t)code < sizeof names / sizeof names[0])
        return text(names[code]);
    text_format(number, sizeof number, "RCODE%d", code);
    return text(number);
}

static json_t *step_object(const struct walk_step *step)
{
    static const char *const states[] = {[STEP_OK] = "ok", [STEP_FAILED] = "failed", [STEP_SKIPPED] = "skipped"};
    char address[ADDRESS_TEXT_SIZE];
    json_t *object = json_object();
    set(object, "stage", text(stage_name(step->stage)));
    set(object, "state", text(states[step->state]));
    set(object, "target", text(step->target));
    set(object, "address", text(address_text(&step->address, address)));
    set(object, "port", json_integer(step->port));
    set(object, "reason", text(reason_name(step->reason)));
    set(object, "ms", json_integer(milliseconds(step->duration)));
    set(object, "resolver", text(step->resolver));
    set(object, "rcode", rcode(step->rcode));
    set(object, "ede", json_integer(step->ede));
    set(object, "alert", json_integer(step->alert > 0 ? step->alert : 0));
    set(object, "tls_version", text(step->tls_version));
    set(object, "cipher", text(step->cipher));
    set(object, "detail", text(step->detail));
    return object;
}

/* "DNS:a, URI:sip:b" as a list. */
static json_t *names_array(const char *names)
{
    char name[OBSERVATION_DETAIL];
    json_t *array = json_array();
    while (*names) {
        const char *end = strstr(names, ", ");
        size_t length = end ? (size_t)(end - names) : strlen(names);
        text_format(name, sizeof name, "%.*s", (int)length, names);
        if (json_array_append_new(array, text(name)) != 0)
            abort();
        names += length + (end ? 2 : 0);
    }
    return array;
}

static json_t *certificate_object(const struct observation_certificate *certificate)
{
    char time[CLOCK_TEXT_SIZE], sha256[65];
    json_t *object = json_object(), *errors = json_array();
    set(object, "depth", json_integer(certificate->depth));
    set(object, "subject", text(certificate->subject));
    set(object, "names", names_array(certificate->names));
    set(object, "issuer", text(certificate->issuer));
    set(object, "serial", text(certificate->serial));
    text_hex(sha256, sizeof sha256, certificate->sha256, sizeof certificate->sha256);
    set(object, "sha256", text(sha256));
    set(object, "not_before", text(clock_text(certificate->not_before, time, sizeof time)));
    set(object, "not_after", text(clock_text(certificate->not_after, time, sizeof time)));
    if (certificate->reason != REASON_NONE &&
        json_array_append_new(errors, text(reason_name(certificate->reason))) != 0)
        abort();
    set(object, "errors", errors);
    return object;
}

/* The endpoint that the verdict is about, or the first that showed a chain; NULL when there is none. */
static const struct walk_endpoint *shown_endpoint(const struct walk *walk)
{
    const struct walk_endpoint *endpoint = walk->endpoint >= 0 ? &walk->endpoints[walk->endpoint] : NULL;
    for (size_t i = 0; i < walk->endpoint_count && (!endpoint || endpoint->certificate_count == 0); i++)
        endpoint = &walk->endpoints[i];
    return endpoint;
}

static json_t *peer_ca_array(const struct walk_endpoint *endpoint)
{
    json_t *array = json_array();
    for (size_t i = 0; endpoint && i < endpoint->peer_ca_count; i++)
        if (json_array_append_new(array, text(endpoint->peer_cas[i])) != 0)
            abort();
    return array;
}

static json_t *certificate_array(const struct walk_endpoint *endpoint)
{
    json_t *array = json_array();
    for (size_t i = 0; endpoint && i < endpoint->certificate_count; i++)
        if (json_array_append_new(array, certificate_object(&endpoint->certificates[i])) != 0)
            abort();
    return array;
}

void check_json(FILE *out, const struct walk *walk)
{
    const struct reason_info *info = reason_info(walk->reason);
    json_t *object = json_object(), *steps = json_array();
    set(object, "partner", text(walk->partner->name));
    set(object, "domain", text(walk->partner->domain));
    set(object, "protocol", text(protocol_name(walk->partner->protocol)));
    set(object, "health", text(health_name(reason_health(walk->reason))));
    set(object, "reason", text(info->name));
    set(object, "code", json_integer(info->reason));
    set(object, "event", json_integer(walk->reason == REASON_NONE ? EVENT_NONE : info->event));
    set(object, "stage", text(stage_name(walk->stage)));
    set(object, "who", text(actor_name(info->actor)));
    set(object, "cause", text(info->cause));
    set(object, "resolution", text(info->resolution));
    set(object, "detail", text(walk->detail));
    set(object, "duration_ms", json_integer(milliseconds(walk->duration)));
    for (size_t i = 0; i < walk->step_count; i++)
        if (json_array_append_new(steps, step_object(&walk->steps[i])) != 0)
            abort();
    set(object, "steps", steps);
    set(object, "certificates", certificate_array(shown_endpoint(walk)));
    set(object, "peer_cas", peer_ca_array(shown_endpoint(walk)));
    if (json_dumpf(object, out, JSON_COMPACT) == 0)
        fputc('\n', out);
    json_decref(object);
}
