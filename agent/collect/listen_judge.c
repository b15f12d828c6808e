/*
 * The result of a session -> the line that is said and the event that is told.
 *
 * Whether it is an event: when the handshake was done, whenever the verification found anything, or no certificate
 * came. When it was not, only if we ended it and because of the certificate: its key was not proven, it cannot be
 * decoded, or it had been found bad before. Who leaves, is silent, or sends an alert (our own certificate is not to his
 * liking, say) has not been refused for a certificate.
 *
 * Whose it is: a name in a certificate is worth something only when the key was proven and a trusted root stands behind
 * it; dates, usage or a missing CRL do not change that, a revocation does. Otherwise only the address counts, and
 * `domain` stays empty, so that nobody is blamed for a certificate that another one made.
 */
#include "collect/listen_parts.h"

#include <string.h>

#include "base/clock.h"
#include "base/text.h"

static bool is_refused(const struct tls_result *result)
{
    const struct tls_facts *facts = &result->facts;
    if (result->reason == REASON_NONE || facts->local_problem)
        return false;
    if (facts->phase == TLS_OPEN)
        return true;
    if (facts->timed_out || facts->flooded || facts->first_alert > 0 || facts->errno_value || facts->end_of_file)
        return false;
    return facts->error_count > 0 || result->reason == REASON_TLS_KEY_PROOF_FAILED ||
           result->reason == REASON_TLS_MALFORMED_CERTIFICATE;
}

static bool names_count(const struct tls_facts *facts)
{
    enum reason reasons[TLS_REASONS_MAX];
    size_t count = tls_reasons(facts, reasons);
    for (size_t i = 0; i < count; i++)
        if (reasons[i] != REASON_TLS_EXPIRED && reasons[i] != REASON_TLS_NOT_YET_VALID &&
            reasons[i] != REASON_TLS_WRONG_USAGE && reasons[i] != REASON_TLS_REVOCATION_UNKNOWN)
            return false;
    return facts->phase == TLS_OPEN && facts->chain_presented;
}

/* The partner of the first domain that is one's; -1 when there is none. */
static long partner_named(const struct conf *conf, const char (*domains)[OBSERVATION_NAME], size_t count,
                          const char **domain)
{
    for (size_t i = 0; i < count; i++) {
        long position = conf_partner_at(conf, domains[i], NULL);
        if (position >= 0) {
            *domain = domains[i];
            return position;
        }
    }
    *domain = count ? domains[0] : "";
    return -1;
}

static void write_line(const struct conf *conf, const struct tls_result *result, long partner, char *out, size_t size)
{
    const struct observation_certificate *leaf = &result->certificates[0];
    const char *who = leaf->subject[0] ? leaf->subject : leaf->names;
    if (result->reason == REASON_TLS_NO_CERTIFICATE)
        text_format(out, size - 1, "%s: no certificate came, and one was asked for", reason_name(result->reason));
    else if (result->reason != REASON_NONE)
        text_format(out, size - 1, "%s: %s", reason_name(result->reason), result->detail);
    else if (partner >= 0)
        text_format(out, size - 1, "ok %s %s", conf->partners[partner].name, who);
    else
        text_format(out, size - 1, "ok, but no partner here has a name of it: %s", who);
    text_append(out, size, "\n");
}

static void write_event(const struct tls_result *result, const struct address *address, uint16_t port,
                        struct observation_event *event)
{
    const struct observation_certificate *leaf = &result->certificates[0];
    event->event = EVENT_INVALID_CERT;
    event->reason = result->reason;
    event->count = 1;
    event->address = *address;
    event->port = port;
    text_copy(event->rule, sizeof event->rule, "listen");
    text_copy(event->detail, sizeof event->detail, result->detail);
    if (result->certificate_count == 0)
        return;
    text_copy(event->subject, sizeof event->subject, leaf->subject);
    text_copy(event->issuer, sizeof event->issuer, leaf->issuer);
    text_copy(event->serial, sizeof event->serial, leaf->serial);
    if (leaf->names[0])
        text_append(event->detail, sizeof event->detail, "; names %s", leaf->names);
}

void listen_judge(const struct conf *conf, const struct tls_result *result, const char (*domains)[OBSERVATION_NAME],
                  size_t count, const struct address *address, uint16_t port, struct listen_judgement *judgement)
{
    const char *domain = "";
    bool named = names_count(&result->facts);
    long partner = named ? partner_named(conf, domains, count, &domain) : -1;
    memset(judgement, 0, sizeof *judgement);
    judgement->said = result->facts.phase == TLS_OPEN && !result->facts.failed;
    judgement->refused = is_refused(result);
    if (judgement->said)
        write_line(conf, result, partner, judgement->line, sizeof judgement->line);
    if (!judgement->refused)
        return;
    struct observation *observation = &judgement->event;
    if (partner < 0)
        partner = conf_partner_at(conf, NULL, address);
    observation->kind = OBSERVATION_EVENT;
    observation->partner = partner >= 0 ? (uint32_t)partner : OBSERVATION_NO_PARTNER;
    observation->wall = clock_wall();
    observation->run = clock_run();
    write_event(result, address, port, &observation->event);
    text_copy(observation->event.domain, sizeof observation->event.domain, domain);
}
