/*
 * Each reason has a sentence with fields:
 *
 *   {partner}  its name, "the partner"
 *   {place}    "sip.contoso.example (192.0.2.10) port 5061", what is known of it, "the service"
 *   {source}   the address, "the source"
 *   {detail}   the detail, which begins with the values that whoever has to act needs
 *   [...]      is left out where a field in it is not known
 *
 * The detail is taken whole and never read: it is text from outside. A place is named before it where the place is what
 * to act upon, behind it where the values of a certificate are. A reason without a sentence has the one of the catalogue
 * and the detail behind it.
 */
#include "base/advice.h"

#include <stdbool.h>
#include <string.h>

#include "base/observation.h"
#include "base/text.h"

#define TARGET_OCTETS 64  /* of a name: it stands whole in the notification's own variable */
#define DETAIL_OCTETS 130 /* leaves room for the place behind it */

static const struct {
    enum reason reason;
    const char *sentence;
} sentences[] = {
    {REASON_UNCLASSIFIED, "Repeat with fedwarden check, and report the text[: {detail}][; {place}]"},

    {REASON_DNS_NX_DOMAIN, "Ask {partner} to publish the record, or correct the name here[: {detail}]"},
    {REASON_DNS_NO_DATA, "Ask {partner} to publish the record, or set a fixed host here[: {detail}]"},
    {REASON_DNS_SERV_FAIL,
     "Ask the zone's servers directly: if they answer, mend the resolver, else tell {partner}[: {detail}]"},
    {REASON_DNS_BOGUS, "Check this host's clock and trust anchor, then tell {partner}; keep validation on[: {detail}]"},
    {REASON_DNS_SIGNATURE_EXPIRED, "Ask {partner} to re-sign the zone; check this host's clock[: {detail}]"},
    {REASON_DNS_FILTERED, "Ask whoever runs the resolver to allow the name[: {detail}]"},
    {REASON_DNS_UNREACHABLE_AUTHORITY,
     "Check the way to the zone's name servers; if they are down, tell {partner}[: {detail}]"},
    {REASON_DNS_SERVICE_DENIED, "Confirm with {partner}; remove the probe if it offers this no more[: {detail}]"},
    {REASON_DNS_SRV_FOREIGN_TARGET,
     "Allow the target here if {partner} confirms it, else ask for one inside the domain[: {detail}]"},
    {REASON_DNS_SRV_BAD_TARGET, "Ask {partner} to point the SRV at a host name with A or AAAA records[: {detail}]"},
    {REASON_DNS_UNEXPECTED_ANSWER,
     "Ask {partner} by another channel whether it meant this; if so, configure it[: {detail}]"},
    {REASON_DNS_LOOP, "Ask {partner} to fix the CNAME chain[: {detail}]"},
    {REASON_DNS_NOT_IMPLEMENTED, "Use another resolver, or find what drops this type of query[: {detail}]"},

    {REASON_TCP_REFUSED,
     "Ask {partner} whether its service runs at {place}; check the port in SRV or here[: {detail}]"},
    {REASON_TCP_TIMEOUT,
     "Let this host out to {place} through the firewall; then ask {partner} for its inbound rules[: {detail}]"},
    {REASON_TCP_RESET, "Ask {partner} for allow list and limits of {place}; look for a device that resets[: {detail}]"},
    {REASON_NET_UNREACHABLE, "Check this host's routes to {place}, and that it has IPv6 if it needs it[: {detail}]"},
    {REASON_HOST_UNREACHABLE, "Trace the path to {place}; report to the network's owner[: {detail}]"},
    {REASON_ADMIN_PROHIBITED, "Ask the owner of the hop that rejects it to permit {place}[: {detail}]"},
    {REASON_APP_TIMEOUT, "Ask {partner} about {place}: overloaded, or a proxy without a backend[: {detail}]"},
    {REASON_APP_PROTOCOL_ERROR, "Check port and protocol of {place}; another service may own it[: {detail}]"},
    {REASON_APP_REJECTED, "Ask {partner} whether {place} lets us in[: {detail}]"},
    {REASON_APP_OVERLOADED, "Wait; tell {partner} if it lasts[: {detail}][; {place}]"},
    {REASON_PROXY_DENIED, "Ask for a CONNECT rule for {place}[: {detail}]"},
    {REASON_TLS_INTERCEPTED, "Exempt {place} from TLS inspection; mutual TLS cannot pass it[: {detail}]"},
    {REASON_CONNECTION_OTHER, "Look at the way to {place}[: {detail}]"},

    {REASON_TLS_UNTRUSTED_ROOT,
     "Install that CA's root here if you trust it, else ask {partner} for another CA[: {detail}][; {place}]"},
    {REASON_TLS_INCOMPLETE_CHAIN, "Ask {partner} to send the full chain[: {detail}][; {place}]"},
    {REASON_TLS_WRONG_PRINCIPAL,
     "Correct the name here, or ask {partner} for a certificate with it[: {detail}][; {place}]"},
    {REASON_TLS_EXPIRED, "Ask {partner} to renew; check this host's clock[: {detail}][; {place}]"},
    {REASON_TLS_NOT_YET_VALID,
     "Check this host's clock; else ask {partner} to wait or reinstall[: {detail}][; {place}]"},
    {REASON_TLS_SELF_SIGNED,
     "Ask {partner} for a CA-issued certificate, or pin this one by agreement[: {detail}][; {place}]"},
    {REASON_TLS_REVOKED, "Ask {partner} to replace certificate and key at once[: {detail}][; {place}]"},
    {REASON_TLS_REVOCATION_UNKNOWN,
     "Allow access to the CRL or OCSP URL; it need not be revoked[: {detail}][; {place}]"},
    {REASON_TLS_WRONG_USAGE, "Ask {partner} for one with server and client usage[: {detail}][; {place}]"},
    {REASON_TLS_WEAK_KEY, "Ask {partner} for RSA 2048 or ECDSA P-256 and more[: {detail}][; {place}]"},
    {REASON_TLS_WEAK_SIGNATURE, "Ask {partner} for one signed with SHA-256 or better[: {detail}][; {place}]"},
    {REASON_TLS_BAD_SIGNATURE,
     "Check that the right issuer is installed; {partner} may mix old and new CA keys[: {detail}][; {place}]"},
    {REASON_TLS_CONSTRAINT_VIOLATED, "Ask {partner} and its CA to reissue[: {detail}][; {place}]"},
    {REASON_TLS_DANE_MISMATCH, "Ask {partner} to roll TLSA and certificate together[: {detail}][; {place}]"},
    {REASON_TLS_PIN_MISMATCH,
     "Verify the change with {partner} by another channel, then update the pin[: {detail}][; {place}]"},
    {REASON_TLS_EXPIRING_SOON, "Ask {partner} to renew in time, or renew it if it is ours[: {detail}][; {place}]"},
    {REASON_TLS_NO_CERTIFICATE, "Ask {partner} to configure its certificate[: {detail}][; {place}]"},
    {REASON_TLS_MALFORMED_CERTIFICATE, "Ask {partner} to reissue[: {detail}][; {place}]"},
    {REASON_TLS_DEPTH_EXCEEDED, "Raise the limit or ask {partner} for a shorter chain[: {detail}][; {place}]"},
    {REASON_TLS_UNKNOWN_CRITICAL_EXTENSION, "Ask {partner} to reissue without that extension[: {detail}][; {place}]"},
    {REASON_TLS_DISTRUSTED,
     "Undo the distrust here if it is not meant, else ask {partner} for another CA[: {detail}][; {place}]"},
    {REASON_TLS_NO_SHARED_PROTOCOL,
     "Compare versions with {partner}; the older side must enable TLS 1.2[: {detail}][; {place}]"},
    {REASON_TLS_NO_SHARED_CIPHER,
     "Compare ciphers with {partner}; enable a common modern suite[: {detail}][; {place}]"},
    {REASON_TLS_CLIENT_CERT_REQUIRED, "Configure the edge's certificate and chain here[: {detail}][; {place}]"},
    {REASON_TLS_CLIENT_CERT_REJECTED_CA,
     "Send {partner} our root to install; check that we send our full chain[: {detail}][; {place}]"},
    {REASON_TLS_CLIENT_CERT_REJECTED,
     "Check dates, names and usage of our certificate, and that {partner} lists our name[: {detail}][; {place}]"},
    {REASON_TLS_CLOSED_DURING_HANDSHAKE,
     "Ask {partner} to look for our certificate in its log and allow list[: {detail}][; {place}]"},
    {REASON_TLS_HANDSHAKE_TIMEOUT, "Suspect MTU or packet loss, or an overloaded peer[: {detail}][; {place}]"},
    {REASON_TLS_PLAINTEXT, "Check port, or probe with STARTTLS[: {detail}][; {place}]"},
    {REASON_TLS_START_TLS_NOT_OFFERED,
     "Ask {partner} to enable STARTTLS; look for a middlebox that strips it[: {detail}][; {place}]"},
    {REASON_TLS_START_TLS_REFUSED, "Tell {partner} the reply to STARTTLS[: {detail}][; {place}]"},
    {REASON_TLS_SNI_REJECTED, "Check the domain sent as SNI or stream `to`[: {detail}][; {place}]"},
    {REASON_TLS_ALPN_MISMATCH, "Check the protocol, e.g. xmpp-server[: {detail}][; {place}]"},
    {REASON_TLS_LOCAL_CERTIFICATE_PROBLEM, "Renew our own certificate, or fix path, permissions, key[: {detail}]"},
    {REASON_TLS_PEER_INTERNAL_ERROR, "Tell {partner}, quote the time[: {detail}][; {place}]"},
    {REASON_TLS_PROTOCOL_VIOLATION,
     "Tell {partner}; look for a device in between that alters TLS[: {detail}][; {place}]"},
    {REASON_TLS_WEAK_PARAMETERS,
     "Ask {partner} to use X25519, P-256 or DH of 2048 bits and more[: {detail}][; {place}]"},
    {REASON_TLS_KEY_PROOF_FAILED,
     "Possible interception: ask {partner} if certificate and key match on every node[: {detail}][; {place}]"},
    {REASON_TLS_REPORTED, "Mend what we offer {partner}[: {detail}]"},
    {REASON_TLS_OTHER, "Ask {partner}, quote this[: {detail}][; {place}]"},

    {REASON_AUTH_BAD_CREDENTIALS,
     "Find out who owns {source}; block it, or lock the account if it is yours[: {detail}]"},
    {REASON_AUTH_UNKNOWN_USER, "Typical of scanning: block {source}[: {detail}]"},
    {REASON_AUTH_NOT_PERMITTED, "Check the policy for {source}[: {detail}]"},
    {REASON_AUTH_SOURCE_NOT_ALLOWED,
     "Add {source} to the allow list if it is new of {partner}, or block it[: {detail}]"},
    {REASON_AUTH_TIME_SKEW, "Synchronise time here and at {source}[: {detail}]"},
    {REASON_AUTH_REPLAY, "Treat {source} as an attacker unless its clock is wrong[: {detail}]"},
    {REASON_AUTH_RATE_LIMITED, "Review whether to keep the block of {source}[: {detail}]"},
    {REASON_AUTH_DIALBACK_FAILED,
     "Check the DNS of {partner} and that its server answers for that domain[: {detail}][; {source}]"},
    {REASON_AUTH_SASL_EXTERNAL_FAILED, "Check the names in our certificate; ask {partner}[: {detail}][; {source}]"},

    {REASON_DOM_USER_UNKNOWN, "Check the addresses; a wide spread suggests harvesting[: {detail}]"},
    {REASON_DOM_SENDER_NOT_ALLOWED, "Add the domain to {partner} if agreed; else report spoofing to it[: {detail}]"},
    {REASON_DOM_RECIPIENT_NOT_LOCAL, "Check your list of domains; ask {partner} to correct its route[: {detail}]"},
    {REASON_DOM_OUTBOUND_UNSUPPORTED,
     "Federate with that domain or tell the users; correct a misspelt one[: {detail}]"},
    {REASON_DOM_OUTBOUND_WRONG_ROUTE, "Correct the static route or next hop on the internal servers[: {detail}]"},
    {REASON_DOM_PARTNER_OVER_LIMIT, "Allow {partner} for good, block it, or leave it limited[: {detail}]"},
    {REASON_DOM_BLOCKED_PARTNER, "No action, or unblock {partner}[: {detail}][; {source}]"},
    {REASON_DOM_IDENTITY_MISMATCH,
     "Ask {partner} for a certificate with the domain, or allow its provider[: {detail}][; {source}]"},

    {REASON_MON_MASTER_LOST, "Check that snmpd runs with \"master agentx\" and lets the fedwarden user in[: {detail}]"},
    {REASON_MON_NETWORK_DOWN, "Check this host's interfaces, routes, firewall, proxy and limits[: {detail}]"},
    {REASON_MON_RESOLVERS_DOWN,
     "Check the resolvers, their access lists, and port 53 through the firewall[: {detail}]"},
    {REASON_MON_HISTORY_LOST, "Find out what damaged the file. Managers read their tables again[: {detail}]"},
    {REASON_MON_HISTORY_FAILING, "Make room on the disk of agent.state_dir, or make it writable again[: {detail}]"},
};

enum field { PARTNER, PLACE, SOURCE, DETAIL, FIELDS };

static const struct {
    const char *name, *unknown;
} fields[FIELDS] = {
    [PARTNER] = {"{partner}", "the partner"},
    [PLACE] = {"{place}", "the service"},
    [SOURCE] = {"{source}", "the source"},
    [DETAIL] = {"{detail}", ""},
};

struct writer {
    char *out;
    bool cut;
    char values[FIELDS][OBSERVATION_DETAIL];
};

/* At most `octets` of a text from outside. */
static void take(char *out, size_t size, size_t octets, const char *text)
{
    char whole[OBSERVATION_DETAIL];
    text_printable(whole, sizeof whole, text ? text : "", text ? strlen(text) : 0);
    if (strlen(whole) <= octets) {
        text_copy(out, size, whole);
    } else {
        text_copy(out, octets - 2, whole);
        text_append(out, size, "...");
    }
}

static void make_values(struct writer *writer, const struct guidance *facts)
{
    char target[TARGET_OCTETS + 1], *place = writer->values[PLACE], *source = writer->values[SOURCE];
    const size_t size = sizeof writer->values[0];
    take(writer->values[PARTNER], size, TARGET_OCTETS, facts->partner);
    take(writer->values[DETAIL], size, DETAIL_OCTETS, facts->detail);
    take(target, sizeof target, TARGET_OCTETS, facts->target);
    take(source, size, TARGET_OCTETS, facts->address);
    text_copy(place, size, *target ? target : source);
    if (*target && *source && strcmp(target, source) != 0)
        text_append(place, size, " (%s)", source);
    if (*place && facts->port)
        text_append(place, size, " port %u", facts->port);
}

static void put(struct writer *writer, const char *text, size_t length)
{
    size_t used = strlen(writer->out);
    if (writer->cut)
        return;
    text_append(writer->out, ADVICE_SIZE, "%.*s", (int)length, text);
    writer->cut = strlen(writer->out) < used + length;
}

/* The field that `text` begins with, FIELDS none. */
static enum field field_at(const char *text)
{
    enum field field = 0;
    while (field < FIELDS && strncmp(text, fields[field].name, strlen(fields[field].name)) != 0)
        field++;
    return field;
}

static bool knows_all(const struct writer *writer, const char *group, const char *end)
{
    for (; group < end; group++) {
        enum field field = field_at(group);
        if (field < FIELDS && writer->values[field][0] == '\0')
            return false;
    }
    return true;
}

static void write_sentence(struct writer *writer, const char *sentence)
{
    for (const char *at = sentence; *at;) {
        const char *end = strchr(at, ']');
        enum field field = field_at(at);
        if (field < FIELDS) {
            const char *value = writer->values[field][0] ? writer->values[field] : fields[field].unknown;
            put(writer, value, strlen(value));
            at += strlen(fields[field].name);
        } else if (*at == '[' && !knows_all(writer, at, end)) {
            at = end + 1;
        } else if (*at == '[' || *at == ']') {
            at++;
        } else {
            size_t length = 1 + strcspn(at + 1, "{[]");
            put(writer, at, length);
            at += length;
        }
    }
}

/* The one of the catalogue has no field; it ends in a full stop, which goes where the detail follows. */
static void write_general(struct writer *writer, enum reason reason)
{
    const char *text = reason_info(reason)->resolution, *detail = writer->values[DETAIL];
    size_t length = strlen(text);
    put(writer, text, length - (*detail && length && text[length - 1] == '.'));
    if (*detail && length) {
        put(writer, ": ", 2);
        put(writer, detail, strlen(detail));
    }
}

const char *reason_advice(enum reason reason, const struct guidance *facts, char out[ADVICE_SIZE])
{
    struct writer writer = {.out = out};
    size_t i = 0;
    out[0] = '\0';
    if (reason == REASON_NONE)
        return out;
    make_values(&writer, facts);
    while (i < sizeof sentences / sizeof sentences[0] && sentences[i].reason != reason)
        i++;
    if (i < sizeof sentences / sizeof sentences[0])
        write_sentence(&writer, sentences[i].sentence);
    else
        write_general(&writer, reason);
    if (writer.cut) {
        char whole[ADVICE_SIZE];
        text_copy(whole, sizeof whole, out);
        text_copy(out, ADVICE_SIZE - 3, whole);
        text_append(out, ADVICE_SIZE, "...");
    }
    return out;
}
