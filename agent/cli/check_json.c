/* The members of these objects are a contract with what reads them: every one is always there, none changes its type.
 */
#include "cli/check.h"

#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/member.h"

static int64_t milliseconds(uint32_t microseconds)
{
    return (microseconds + 500) / 1000;
}

static json_t *rcode(int code)
{
    static const char *const names[] = {"NOERROR",  "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED",
                                        "YXDOMAIN", "YXRRSET", "NXRRSET",  "NOTAUTH",  "NOTZONE"};
    char number[32];
    if (code < 0)
        return member_string("");
    if ((size_t)code < sizeof names / sizeof names[0])
        return member_string(names[code]);
    text_format(number, sizeof number, "RCODE%d", code);
    return member_string(number);
}

static json_t *step_object(const struct walk_step *step)
{
    static const char *const states[] = {[STEP_OK] = "ok", [STEP_FAILED] = "failed", [STEP_SKIPPED] = "skipped"};
    char address[ADDRESS_TEXT_SIZE];
    json_t *object = json_object();
    member_text(object, "stage", stage_name(step->stage));
    member_text(object, "state", states[step->state]);
    member_text(object, "target", step->target);
    member_text(object, "address", address_text(&step->address, address));
    member_number(object, "port", step->port);
    member_text(object, "reason", reason_name(step->reason));
    member_number(object, "ms", milliseconds(step->duration));
    member_text(object, "resolver", step->resolver);
    member_set(object, "rcode", rcode(step->rcode));
    member_number(object, "ede", step->ede);
    member_number(object, "alert", step->alert > 0 ? step->alert : 0);
    member_text(object, "tls_version", step->tls_version);
    member_text(object, "cipher", step->cipher);
    member_text(object, "detail", step->detail);
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
        member_append(array, member_string(name));
        names += length + (end ? 2 : 0);
    }
    return array;
}

static json_t *certificate_object(const struct observation_certificate *certificate)
{
    char time[CLOCK_TEXT_SIZE], sha256[65];
    json_t *object = json_object(), *errors = json_array();
    member_number(object, "depth", certificate->depth);
    member_text(object, "subject", certificate->subject);
    member_set(object, "names", names_array(certificate->names));
    member_text(object, "issuer", certificate->issuer);
    member_text(object, "serial", certificate->serial);
    text_hex(sha256, sizeof sha256, certificate->sha256, sizeof certificate->sha256);
    member_text(object, "sha256", sha256);
    member_text(object, "not_before", clock_text(certificate->not_before, time, sizeof time));
    member_text(object, "not_after", clock_text(certificate->not_after, time, sizeof time));
    if (certificate->reason != REASON_NONE)
        member_append(errors, member_string(reason_name(certificate->reason)));
    member_set(object, "errors", errors);
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
        member_append(array, member_string(endpoint->peer_cas[i]));
    return array;
}

static json_t *certificate_array(const struct walk_endpoint *endpoint)
{
    json_t *array = json_array();
    for (size_t i = 0; endpoint && i < endpoint->certificate_count; i++)
        member_append(array, certificate_object(&endpoint->certificates[i]));
    return array;
}

void check_json(FILE *out, const struct walk *walk)
{
    const struct reason_info *info = reason_info(walk->reason);
    char address[ADDRESS_TEXT_SIZE], filled[REASON_RESOLUTION_MAX + 1];
    struct guidance known = walk_guidance(walk, address);
    json_t *object = json_object(), *steps = json_array();
    member_text(object, "partner", walk->partner->name);
    member_text(object, "domain", walk->partner->domain);
    member_text(object, "protocol", protocol_name(walk->partner->protocol));
    member_text(object, "health", health_name(reason_health(walk->reason)));
    member_text(object, "reason", info->name);
    member_number(object, "code", info->reason);
    member_number(object, "event", walk->reason == REASON_NONE ? EVENT_NONE : info->event);
    member_text(object, "stage", stage_name(walk->stage));
    member_text(object, "who", actor_name(info->actor));
    member_text(object, "cause", guidance_cause(walk->reason, &known, filled));
    member_text(object, "resolution", guidance_resolution(walk->reason, &known, filled));
    member_text(object, "detail", walk->detail);
    member_number(object, "duration_ms", milliseconds(walk->duration));
    for (size_t i = 0; i < walk->step_count; i++)
        member_append(steps, step_object(&walk->steps[i]));
    member_set(object, "steps", steps);
    member_set(object, "certificates", certificate_array(shown_endpoint(walk)));
    member_set(object, "peer_cas", peer_ca_array(shown_endpoint(walk)));
    member_print(out, object, 0);
    fputc('\n', out);
}
