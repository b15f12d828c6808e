/*
 * What presets may name instead of writing it out: the heads of well-known log formats, and the words for failures that
 * many products take over from OpenSSL, GnuTLS, the C library and resolvers.
 *
 * A head ends where the message begins. More specific heads stand before those that would fit their lines too.
 */
#include "base/conf_preset.h"

#include <ctype.h>
#include <string.h>

#define MONTH_DAY   "[A-Z][a-z]{2} [ \\d]\\d "
#define CLOCK       "(?<clock>\\d\\d:\\d\\d:\\d\\d)"
#define ISO_DATE    "\\d{4}-\\d\\d-\\d\\d"
#define SYSLOG_NAME "(?<host>\\S+) (?<program>[^\\s:\\[]+)(?:\\[(?<pid>\\d+)\\])?: "

const struct preset_known_head *preset_heads(void)
{
    static const struct preset_known_head heads[] = {
        /* RFC 5424; rsyslog keeps the blank of the message, so there may be two */
        {"syslog-rfc5424",
         "^<\\d{1,3}>1 (?:" ISO_DATE "T" CLOCK "\\S*|-) (?<host>\\S+) (?<program>\\S+) (?<pid>\\S+) \\S+ "
         "(?:-|(?:\\[(?:[^\\]\"\\\\]|\"(?:[^\"\\\\]|\\\\.)*+\"|\\\\.)*+\\])++)(?: {1,2}|$)"},
        {"syslog-iso", "^" ISO_DATE "T" CLOCK "(?:[.,]\\d+)?(?:Z|[+-]\\d\\d:?\\d\\d) " SYSLOG_NAME},
        {"dovecot", "^" MONTH_DAY CLOCK " (?=[a-z0-9-]+(?:\\([^)]*\\))?(?:<[^>]*>)*: "
                    "(?:Info|Error|Warning|Debug|Fatal|Panic): )"},
        {"unbound", "^(?:" MONTH_DAY CLOCK "|\\[\\d+\\]) unbound\\[\\d+:\\d+\\] "},
        {"prosody", "^" MONTH_DAY CLOCK " (?<session>\\S+)\\t(?<level>[a-z]+)\\t"},
        /* RFC 3164, also with its priority in front */
        {"syslog-bsd", "^(?:<\\d{1,3}>)?" MONTH_DAY CLOCK " " SYSLOG_NAME},
        {"ejabberd",
         "^" ISO_DATE "[ T]" CLOCK "\\.\\d+(?:Z|[+-]\\d\\d:\\d\\d)? \\[(?<level>\\w+)\\] (?<pid><[\\d.]+>)@\\w+:"
         "[\\w?]+(?:/\\d+)?:\\d+ "},
        {"kamailio-stderr", "^ *\\d+\\((?<pid>\\d+)\\) (?=(?:ALERT|BUG|CRITICAL|ERROR|WARNING|NOTICE|INFO|DEBUG): )"},
        {"named", "^(?:" ISO_DATE "T" CLOCK "[\\d.]*Z?|\\d\\d-[A-Z][a-z]{2}-\\d{4} [\\d:.]+) "},
        {"asterisk", "^\\[(?:" ISO_DATE "|" MONTH_DAY
                     ")[ T]?(?<clock>\\d\\d:\\d\\d:\\d\\d)[^\\]]*\\] (?<level>[A-Z]+) ?\\[(?<pid>\\d+)\\]"
                     "(?:\\[C-[0-9a-f]+\\])?:? "},
        {"freeswitch", "^(?:[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12} )?" ISO_DATE " " CLOCK
                       "\\.\\d+ (?:\\d+\\.\\d+% )?\\[(?<level>[A-Z]+)\\] \\S+\\.c:\\d+ "},
        /* only the time, whoever writes behind it */
        {"any-bsd", "^(?:<\\d{1,3}>)?" MONTH_DAY CLOCK " "},
        {"any-iso", "^(?:<\\d{1,3}>)?" ISO_DATE "T" CLOCK "(?:[.,]\\d+)?(?:Z|[+-]\\d\\d:?\\d\\d) "},
        {"any-json", "^(?=\\{\")"},
        {NULL, NULL},
    };
    return heads;
}

/* The longer and clearer words first: the first that a text holds decides. */
static struct preset_word tls_words[] = {
    /* our certificate, refused by the peer: alerts */
    {"alert unknown ca", REASON_TLS_CLIENT_CERT_REJECTED_CA},
    {"alert bad certificate", REASON_TLS_CLIENT_CERT_REJECTED},
    {"alert certificate required", REASON_TLS_CLIENT_CERT_REQUIRED},
    {"alert certificate", REASON_TLS_CLIENT_CERT_REJECTED},
    {"alert unsupported certificate", REASON_TLS_CLIENT_CERT_REJECTED},
    {"alert access denied", REASON_TLS_CLIENT_CERT_REJECTED},
    {"alert protocol version", REASON_TLS_NO_SHARED_PROTOCOL},
    {"alert handshake failure", REASON_TLS_NO_SHARED_CIPHER},
    {"alert unrecognized name", REASON_TLS_SNI_REJECTED},
    {"alert no application protocol", REASON_TLS_ALPN_MISMATCH},
    {"alert internal error", REASON_TLS_PEER_INTERNAL_ERROR},
    /* the certificate of the peer */
    {"did not return a certificate", REASON_TLS_NO_CERTIFICATE},
    {"failed to get peer certificate", REASON_TLS_NO_CERTIFICATE},
    {"no client certificate", REASON_TLS_NO_CERTIFICATE},
    {"no certificate", REASON_TLS_NO_CERTIFICATE},
    {"peer certificate not", REASON_TLS_NO_CERTIFICATE},
    {"not yet valid", REASON_TLS_NOT_YET_VALID},
    {"not yet active", REASON_TLS_NOT_YET_VALID},
    {"not yet activated", REASON_TLS_NOT_YET_VALID},
    {"expired", REASON_TLS_EXPIRED},
    {"revoked", REASON_TLS_REVOKED},
    {"unable to get certificate crl", REASON_TLS_REVOCATION_UNKNOWN},
    {"crl is not", REASON_TLS_REVOCATION_UNKNOWN},
    {"self-signed certificate in certificate chain", REASON_TLS_UNTRUSTED_ROOT},
    {"self signed certificate in certificate chain", REASON_TLS_UNTRUSTED_ROOT},
    {"self-signed", REASON_TLS_SELF_SIGNED},
    {"self signed", REASON_TLS_SELF_SIGNED},
    {"unable to get local issuer", REASON_TLS_UNTRUSTED_ROOT},
    {"unable to get issuer", REASON_TLS_INCOMPLETE_CHAIN},
    {"unable to verify the first", REASON_TLS_INCOMPLETE_CHAIN},
    {"untrusted", REASON_TLS_UNTRUSTED_ROOT},
    {"not trusted", REASON_TLS_UNTRUSTED_ROOT},
    {"unknown ca", REASON_TLS_UNTRUSTED_ROOT},
    {"unknown issuer", REASON_TLS_UNTRUSTED_ROOT},
    {"unsupported certificate purpose", REASON_TLS_WRONG_USAGE},
    {"unsuitable certificate purpose", REASON_TLS_WRONG_USAGE},
    {"invalid purpose", REASON_TLS_WRONG_USAGE},
    {"hostname mismatch", REASON_TLS_WRONG_PRINCIPAL},
    {"host name mismatch", REASON_TLS_WRONG_PRINCIPAL},
    {"name mismatch", REASON_TLS_WRONG_PRINCIPAL},
    {"not valid for this name", REASON_TLS_WRONG_PRINCIPAL},
    {"does not match", REASON_TLS_WRONG_PRINCIPAL},
    {"invalid ca certificate", REASON_TLS_CONSTRAINT_VIOLATED},
    {"path length constraint", REASON_TLS_CONSTRAINT_VIOLATED},
    {"permitted subtree violation", REASON_TLS_CONSTRAINT_VIOLATED},
    {"excluded subtree violation", REASON_TLS_CONSTRAINT_VIOLATED},
    {"certificate chain too long", REASON_TLS_DEPTH_EXCEEDED},
    {"certificate signature failure", REASON_TLS_BAD_SIGNATURE},
    {"key too small", REASON_TLS_WEAK_KEY},
    {"key too weak", REASON_TLS_WEAK_KEY},
    {"md too weak", REASON_TLS_WEAK_SIGNATURE},
    {"digest algorithm too weak", REASON_TLS_WEAK_SIGNATURE},
    {"unhandled critical extension", REASON_TLS_UNKNOWN_CRITICAL_EXTENSION},
    {"certificate rejected", REASON_TLS_DISTRUSTED},
    {"dane", REASON_TLS_DANE_MISMATCH},
    {"bad certificate", REASON_TLS_MALFORMED_CERTIFICATE},
    {"certificate verify failed", REASON_TLS_OTHER},
    {"could not be validated", REASON_TLS_OTHER},
    {"verification failed", REASON_TLS_OTHER},
};

/* The handshake itself; these are no fault of a certificate. */
static struct preset_word handshake_words[] = {
    {"wrong version number", REASON_TLS_PLAINTEXT},
    {"http request", REASON_TLS_PLAINTEXT},
    {"packet length too long", REASON_TLS_PLAINTEXT},
    {"was not offered", REASON_TLS_START_TLS_NOT_OFFERED},
    {"starttls required", REASON_TLS_START_TLS_NOT_OFFERED},
    {"unsupported protocol", REASON_TLS_NO_SHARED_PROTOCOL},
    {"no protocols available", REASON_TLS_NO_SHARED_PROTOCOL},
    {"protocol version", REASON_TLS_NO_SHARED_PROTOCOL},
    {"no shared cipher", REASON_TLS_NO_SHARED_CIPHER},
    {"no suitable", REASON_TLS_NO_SHARED_CIPHER},
    {"handshake failure", REASON_TLS_NO_SHARED_CIPHER},
    {"dh key too small", REASON_TLS_WEAK_PARAMETERS},
    {"unexpected eof", REASON_TLS_CLOSED_DURING_HANDSHAKE},
    {"lost connection", REASON_TLS_CLOSED_DURING_HANDSHAKE},
    {"reset by peer", REASON_TLS_CLOSED_DURING_HANDSHAKE},
    {"closed", REASON_TLS_CLOSED_DURING_HANDSHAKE},
    {"timed out", REASON_TLS_HANDSHAKE_TIMEOUT},
    {"timeout", REASON_TLS_HANDSHAKE_TIMEOUT},
    {"internal error", REASON_TLS_PEER_INTERNAL_ERROR},
};

static struct preset_word connection_words[] = {
    {"refused", REASON_TCP_REFUSED},
    {"(RST)", REASON_TCP_REFUSED},
    {"no route to host", REASON_HOST_UNREACHABLE},
    {"host is unreachable", REASON_HOST_UNREACHABLE},
    {"host unreachable", REASON_HOST_UNREACHABLE},
    {"network is unreachable", REASON_NET_UNREACHABLE},
    {"network unreachable", REASON_NET_UNREACHABLE},
    {"unreachable", REASON_HOST_UNREACHABLE},
    {"timed out", REASON_TCP_TIMEOUT},
    {"timeout", REASON_TCP_TIMEOUT},
    {"no response", REASON_TCP_TIMEOUT},
    {"reset by peer", REASON_TCP_RESET},
    {"connection reset", REASON_TCP_RESET},
    {"lost connection", REASON_TCP_RESET},
    {"connection closed", REASON_TCP_RESET},
    {"closed", REASON_TCP_RESET},
    {"permission denied", REASON_ADMIN_PROHIBITED},
    {"prohibited", REASON_ADMIN_PROHIBITED},
    {"too many open files", REASON_LOCAL_RESOURCE},
    {"cannot assign requested address", REASON_LOCAL_RESOURCE},
    {"address family not supported", REASON_NO_USABLE_ADDRESS},
};

static struct preset_word dns_words[] = {
    {"nxdomain", REASON_DNS_NX_DOMAIN},
    {"nodata", REASON_DNS_NO_DATA},
    {"no data", REASON_DNS_NO_DATA},
    {"no address associated", REASON_DNS_NO_DATA},
    {"found but no data", REASON_DNS_NO_DATA},
    {"host not found, try again", REASON_DNS_SERV_FAIL},
    {"temporary failure", REASON_DNS_SERV_FAIL},
    {"resource temporarily unavailable", REASON_DNS_SERV_FAIL},
    {"host not found", REASON_DNS_NX_DOMAIN},
    {"domain not found", REASON_DNS_NX_DOMAIN},
    {"non-existing domain", REASON_DNS_NX_DOMAIN},
    {"enoname", REASON_DNS_NX_DOMAIN},
    {"name or service not known", REASON_DNS_NX_DOMAIN},
    {"malformed or unexpected name server reply", REASON_DNS_MALFORMED},
    {"signature expired", REASON_DNS_SIGNATURE_EXPIRED},
    {"validation failure", REASON_DNS_BOGUS},
    {"bogus", REASON_DNS_BOGUS},
    {"exceeded the maximum", REASON_DNS_UNREACHABLE_AUTHORITY},
    {"timed out", REASON_DNS_TIMEOUT},
    {"timeout", REASON_DNS_TIMEOUT},
    {"servfail", REASON_DNS_SERV_FAIL},
    {"refused", REASON_DNS_REFUSED},
    {"notimp", REASON_DNS_NOT_IMPLEMENTED},
    {"formerr", REASON_DNS_MALFORMED},
};

const struct preset_words *preset_vocabulary(const char *name)
{
#define VOCABULARY(name, words)                                                                                        \
    {                                                                                                                  \
        name,                                                                                                          \
        {                                                                                                              \
            sizeof(words) / sizeof((words)[0]), words                                                                  \
        }                                                                                                              \
    }
    static const struct {
        const char *name;
        struct preset_words words;
    } vocabularies[] = {
        VOCABULARY("tls", tls_words),
        VOCABULARY("handshake", handshake_words),
        VOCABULARY("connection", connection_words),
        VOCABULARY("dns", dns_words),
    };
#undef VOCABULARY
    for (size_t i = 0; i < sizeof vocabularies / sizeof vocabularies[0]; i++)
        if (strcmp(vocabularies[i].name, name) == 0)
            return &vocabularies[i].words;
    return NULL;
}

static bool holds(const char *text, size_t length, const char *word)
{
    size_t size = strlen(word);
    int first = tolower((unsigned char)*word);
    for (size_t at = 0; at + size <= length; at++) {
        if (tolower((unsigned char)text[at]) != first)
            continue;
        size_t same = 1;
        while (same < size && tolower((unsigned char)text[at + same]) == tolower((unsigned char)word[same]))
            same++;
        if (same == size)
            return true;
    }
    return false;
}

enum reason preset_word_find(const struct preset_words *words, const char *text, size_t length)
{
    for (size_t i = 0; i < words->count; i++)
        if (holds(text, length, words->words[i].text))
            return words->words[i].reason;
    return 0;
}
