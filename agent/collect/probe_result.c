/*
 * What became of an endpoint, as steps for people and one row to be told. The stages in their order: those before the
 * failure are OK, the one that failed has the reason, those behind it were not reached. A handshake that failed over
 * the certificate, the name or our certificate shows that twice: the TLS step failed, and the step that says what in
 * it.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/text.h"
#include "collect/probe_parts.h"

#define PEER_CAS_MAX 64

static struct walk_step *add_step(struct endpoint *endpoint, enum stage stage, enum step_state state)
{
    struct walk_step *step = &endpoint->steps[endpoint->step_count++];
    step_init(step, stage, state);
    memcpy(step->target, endpoint->result.target, sizeof step->target);
    bool to_proxy = stage == STAGE_CONNECT && *endpoint->probe->partner->proxy;
    if (!to_proxy) { /* that of the proxy is libcurl's to know; its URL stands in the detail */
        step->address = endpoint->address;
        step->port = endpoint->port;
    }
    step->duration = endpoint->durations[stage];
    return step;
}

static void fail_step(struct walk_step *step, enum reason reason, const char *detail)
{
    step->state = STEP_FAILED;
    step->reason = reason;
    text_copy(step->detail, sizeof step->detail, detail);
}

static void skip_step(struct walk_step *step)
{
    step->state = STEP_SKIPPED;
    step->reason = REASON_NONE;
    step->detail[0] = '\0';
}

static bool stage_applies(const struct endpoint *endpoint, enum stage stage)
{
    const struct conf_partner *partner = endpoint->probe->partner;
    if (stage == STAGE_PROXY)
        return *partner->proxy != '\0';
    if (stage == STAGE_STARTTLS)
        return endpoint_starttls(partner) != 0;
    return true;
}

static void describe_proxy(struct endpoint *endpoint, struct walk_step *step)
{
    char name[OBSERVATION_NAME];
    text_format(step->detail, sizeof step->detail, "%s %s", step->stage == STAGE_CONNECT ? "to the proxy" : "through",
                proxy_text(endpoint->probe->partner->proxy, name, sizeof name));
}

/* The steps up to but without `until`, all of them OK. */
static void steps_before(struct endpoint *endpoint, enum stage until)
{
    for (enum stage stage = STAGE_CONNECT; stage < until; stage++) {
        if (!stage_applies(endpoint, stage))
            continue;
        struct walk_step *step = add_step(endpoint, stage, STEP_OK);
        if (stage <= STAGE_PROXY && *endpoint->probe->partner->proxy)
            describe_proxy(endpoint, step);
    }
}

static void steps_skipped(struct endpoint *endpoint, enum stage from)
{
    for (enum stage stage = from; stage <= STAGE_CLIENT; stage++)
        if (stage_applies(endpoint, stage))
            add_step(endpoint, stage, STEP_SKIPPED);
}

/* The row for the ledger; what TLS left is added by the caller. */
static struct observation_probe *tell(struct endpoint *endpoint, enum reason reason, const char *detail)
{
    struct observation_probe *told = &endpoint->result.probe;
    memset(told, 0, sizeof *told);
    told->kind = PROBE_ENDPOINT;
    memcpy(told->target, endpoint->result.target, sizeof told->target);
    told->address = endpoint->address;
    told->port = endpoint->port;
    told->reason = reason;
    told->event = reason == REASON_NONE ? EVENT_NONE : reason_info(reason)->event;
    told->interval = endpoint->probe->partner->interval;
    told->rcode = -1;
    told->ede = -1;
    told->alert = -1;
    told->not_after = CLOCK_NEVER;
    for (enum stage stage = STAGE_CONNECT; stage <= STAGE_APPLICATION; stage++)
        told->duration += endpoint->durations[stage];
    text_copy(told->detail, sizeof told->detail, detail);
    endpoint->result.reason = reason;
    return told;
}

static void end_stage(struct endpoint *endpoint)
{
    endpoint->durations[endpoint->stage] = (uint32_t)(clock_run() - endpoint->stage_started);
}

void endpoint_fail(struct endpoint *endpoint, enum reason reason, const char *detail)
{
    enum stage stage = endpoint->stage;
    end_stage(endpoint);
    steps_before(endpoint, stage);
    fail_step(add_step(endpoint, stage, STEP_FAILED), reason, detail);
    steps_skipped(endpoint, stage + 1);
    tell(endpoint, reason, detail);
}

static void copy_certificates(struct endpoint *endpoint, const struct tls_result *result)
{
    size_t count = result->certificate_count;
    if (count == 0)
        return;
    endpoint->result.certificates = calloc(count, sizeof result->certificates[0]);
    if (!endpoint->result.certificates)
        abort();
    endpoint->result.certificate_count = count;
    memcpy(endpoint->result.chain_sha256, result->chain_sha256, sizeof result->chain_sha256);
    for (size_t i = 0; i < count; i++) {
        struct observation_certificate *certificate = &endpoint->result.certificates[i];
        *certificate = result->certificates[i];
        memcpy(certificate->target, endpoint->result.target, sizeof certificate->target);
        certificate->address = endpoint->address;
        certificate->port = endpoint->port;
    }
}

static void describe_leaf(struct walk_step *step, const struct tls_result *result)
{
    char end[CLOCK_TEXT_SIZE];
    if (result->certificate_count == 0)
        return;
    const struct observation_certificate *leaf = &result->certificates[0];
    text_format(step->detail, sizeof step->detail, "%s, ends %s", *leaf->subject ? leaf->subject : leaf->names,
                clock_text(leaf->not_after, end, sizeof end));
}

static void copy_peer_cas(struct endpoint *endpoint, size_t count)
{
    if (count > PEER_CAS_MAX)
        count = PEER_CAS_MAX;
    if (count == 0)
        return;
    endpoint->result.peer_cas = calloc(count, sizeof endpoint->result.peer_cas[0]);
    if (!endpoint->result.peer_cas)
        abort();
    endpoint->result.peer_ca_count = tls_peer_cas(endpoint->tls, endpoint->result.peer_cas, count);
}

static void describe_client(struct walk_step *step, const struct tls_result *result)
{
    const struct tls_facts *facts = &result->facts;
    const char *text = "not asked for";
    if (facts->certificate_asked && !facts->certificate_sent)
        text = "asked for, none configured, and the peer goes on without";
    else if (result->client_certificate_accepted)
        text = "asked for, sent and accepted";
    else if (facts->certificate_asked)
        text = "asked for and sent; the peer has not refused it";
    text_copy(step->detail, sizeof step->detail, text);
    tls_describe_own(result, step->detail, sizeof step->detail);
}

/* What the service said inside TLS, as against a refusal of our certificate. */
static bool is_of_service(enum reason reason)
{
    return reason != REASON_NONE && reason < REASON_TLS_UNTRUSTED_ROOT;
}

/*
 * Certificate, name and our certificate. What the verification looked at is known even where the handshake failed;
 * without a chain nothing of it was reached.
 */
static void tls_details(struct endpoint *endpoint, const struct tls_result *result, bool through, enum reason refused,
                        const char *detail)
{
    if (result->certificate_count == 0) {
        steps_skipped(endpoint, STAGE_CERTIFICATE);
        return;
    }
    struct walk_step *step = add_step(endpoint, STAGE_CERTIFICATE, STEP_OK);
    if (result->certificate_reason != REASON_NONE)
        fail_step(step, result->certificate_reason, result->detail);
    else
        describe_leaf(step, result);
    step = add_step(endpoint, STAGE_NAME, STEP_OK);
    if (result->name_reason != REASON_NONE)
        fail_step(step, result->name_reason, result->detail);
    else
        text_copy(step->detail, sizeof step->detail, endpoint->target.verify_name);
    enum reason client = is_of_service(refused) || refused == REASON_NONE ? result->client_reason : refused;
    step = add_step(endpoint, STAGE_CLIENT, through || client != REASON_NONE ? STEP_OK : STEP_SKIPPED);
    if (client != REASON_NONE)
        fail_step(step, client, client == refused ? detail : result->detail);
    else if (through)
        describe_client(step, result);
}

static void describe_tls(struct walk_step *step, const struct tls_result *result)
{
    text_copy(step->tls_version, sizeof step->tls_version, result->version);
    text_copy(step->cipher, sizeof step->cipher, result->cipher);
    step->alert = result->facts.first_alert;
    if (*result->version)
        text_append(step->detail, sizeof step->detail, "%s%s%s%s%s", result->version, *result->group ? ", " : "",
                    result->group, *result->cipher ? ", " : "", result->cipher);
}

/* Whether a subject (RFC 4514) is `name`, or has it as its common name. */
static bool is_named(const char *subject, const char *name)
{
    size_t length = strlen(name);
    if (strcmp(subject, name) == 0)
        return true;
    for (const char *at = subject; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, "CN=", 3) == 0 && strncmp(at + 3, name, length) == 0 &&
            (at[3 + length] == ',' || at[3 + length] == '\0'))
            return true;
    }
    return false;
}

/* The certificate that a device on our side made, NULL none. */
static const struct observation_certificate *intercepted(const struct endpoint *endpoint,
                                                         const struct tls_result *result)
{
    const struct conf_trust *trust = endpoint->target.conf;
    for (size_t i = 0; i < result->certificate_count; i++)
        for (size_t j = 0; j < trust->inspection_count; j++)
            if (is_named(result->certificates[i].issuer, trust->inspection[j]))
                return &result->certificates[i];
    return NULL;
}

/*
 * Where a device inspects, nothing of what we see is the partner's: not its certificate, and not who refused ours. So
 * that is what the endpoint is told to have, whether or not the device's CA is trusted here.
 */
static struct observation_probe *judge_intercepted(struct endpoint *endpoint,
                                                   const struct observation_certificate *made)
{
    char detail[OBSERVATION_DETAIL];
    text_format(detail, sizeof detail, "\"%s\" was issued by \"%s\", one of inspection_cas", made->subject,
                made->issuer);
    for (size_t i = 0; i < endpoint->step_count; i++) {
        struct walk_step *step = &endpoint->steps[i];
        if (step->stage == STAGE_CERTIFICATE || (step->stage == STAGE_TLS && step->state == STEP_FAILED))
            fail_step(step, REASON_TLS_INTERCEPTED, detail);
        else if (step->stage > STAGE_CERTIFICATE && step->state == STEP_FAILED)
            skip_step(step);
    }
    return tell(endpoint, REASON_TLS_INTERCEPTED, detail);
}

void endpoint_judge_tls(struct endpoint *endpoint, enum reason override, const char *detail)
{
    const struct tls_result *result = tls_result(endpoint->tls);
    enum reason reason = override != REASON_NONE ? override : result->reason;
    const char *why = override != REASON_NONE ? detail : result->detail;
    bool through = result->reason == REASON_NONE || result->reason == REASON_TLS_EXPIRING_SOON;
    end_stage(endpoint);
    steps_before(endpoint, STAGE_TLS);
    struct walk_step *step = add_step(endpoint, STAGE_TLS, STEP_OK);
    describe_tls(step, result);
    if (!through)
        fail_step(step, reason, why);
    tls_details(endpoint, result, through, override, detail);
    if (override != REASON_NONE)
        fail_step(add_step(endpoint, STAGE_APPLICATION, STEP_FAILED), override, detail);
    else if (endpoint->app && through)
        text_copy(add_step(endpoint, STAGE_APPLICATION, STEP_OK)->detail, OBSERVATION_DETAIL, detail);

    const struct observation_certificate *made = intercepted(endpoint, result);
    struct observation_probe *told = made ? judge_intercepted(endpoint, made) : tell(endpoint, reason, why);
    text_copy(told->tls_version, sizeof told->tls_version, result->version);
    text_copy(told->cipher, sizeof told->cipher, result->cipher);
    told->verify_error = result->verify_error;
    told->alert = (int16_t)result->facts.first_alert;
    told->not_after = result->not_after;
    copy_certificates(endpoint, result);
    copy_peer_cas(endpoint, result->facts.ca_count);
}
