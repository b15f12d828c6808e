#ifndef FEDWARDEN_BASE_CONF_PRESET_H
#define FEDWARDEN_BASE_CONF_PRESET_H

/*
 * A preset: how the lines of one product's logs are read. Constant once it is read. Patterns are texts here; they are
 * compiled in collect/rule. A preset of one's own:
 *
 *     product = "mydaemon";
 *     heads = "syslog";                            # how lines begin: names of known heads, or patterns of one's own
 *     rules = (
 *         { name = "login"; event = "authSource"; reason = "authBadCredentials";
 *           pattern = '^login of (?<user>\S+) failed from (?<ip>\S+)$'; },
 *     );
 *
 * A text in single quotes is taken as it is. Settings of the file:
 *
 *   product    name of the product, before the "/" of its rules' names
 *   heads      "name" of a known head (preset_heads), or { base = "name"; inner = '...' } for what a product puts between
 *              the head and its message, or { name = "..."; pattern = '...' } of one's own. The message begins where the
 *              pattern ends. Named groups: host, program, pid, session, level, clock (hh:mm:ss)
 *   program    pattern that the program of the head must match, where the head has one; "" any
 *   words      what texts of this product mean: ( "name of a vocabulary" (preset_vocabulary),
 *              { text = "..."; reason = "..." }, ... )
 *   rules      tried in this order on the message; the first that applies decides
 *
 * Settings of a rule:
 *
 *   name       unique in the preset
 *   pattern    PCRE2 with named groups (preset_fields); begins with ^ unless it must be sought
 *   event      name of an event; "bySource": domainLocal from the own network, domainPartner from a partner, authSource
 *              from elsewhere; "bySourceKnown": the same, but nothing from elsewhere; "byGroup": number in group `event`.
 *              Without it the line is no event: see role
 *   role       what a line without an event does to the record of its process or session: "begin" starts it anew, "add"
 *              adds to it, "end" ends it (and what is counted `once`), "ignore" nothing
 *   reason     name of a reason
 *   words      looked for in group `read` before `reason`; without `reason`, a text that has none of them is no event
 *   read       group that the words are looked for in: "reason". "code": then also what fedwarden explain knows the code as
 *   program, session, level   patterns that these groups of the head must match
 *   key        the group that tells records apart: "pid"
 *   join       true: takes from the record what the line itself does not tell
 *   last       true: the event ends the record
 *   tells      the group whose line is named as the event's; without it the line that completes the event
 *   needs      groups that the line or its record must have
 *   same       groups that must be equal in the line and its record
 *   direction  "in" or "out": a TLS record that was accepted (group `op` is "accept", or `lport` is a port of the edge) or
 *              not
 *   once, within   groups that tell what is counted once within so many seconds (10), over all rules of the preset
 *   lasts      seconds that a record is kept: 30
 *   serial     how group `serial` is written: "hex", "decimal", "reversed" (octets in reverse order)
 *   until      the line is the beginning of a text with line ends in it: what follows is no record of its own up to the
 *              line that fits this pattern (on the whole line, and with `same` as the rule has it); then it is the event
 */

#include "base/conf.h"

#define PRESET_TEXT_MAX  4096 /* octets of a pattern */
#define PRESET_RULES_MAX 256
#define PRESET_HEADS_MAX 16
#define PRESET_WORDS_MAX 64
#define PRESET_NAMES_MAX 6

/* The named groups that a pattern may have. */
enum preset_field {
    FIELD_NONE = 0,
#define FIELD_ROW(enumerator, name) FIELD_##enumerator,
#include "base/preset_field_list.h"
#undef FIELD_ROW
    FIELD_END
};
const char *preset_field_name(enum preset_field field);
enum preset_field preset_field_find(const char *name, size_t length); /* FIELD_NONE: there is none */

enum preset_role {
    PRESET_EVENT = 1,
    PRESET_BEGIN,
    PRESET_ADD,
    PRESET_END,
    PRESET_IGNORE,
};

enum preset_source { /* how the event follows from where the line is about */
                     PRESET_FIXED = 0,
                     PRESET_BY_SOURCE,
                     PRESET_BY_SOURCE_KNOWN,
                     PRESET_BY_GROUP,
};

enum preset_direction { PRESET_ANY = 0, PRESET_IN, PRESET_OUT };
enum preset_serial { PRESET_HEX = 0, PRESET_DECIMAL, PRESET_REVERSED };

struct preset_word {
    const char *text; /* sought without regard to case */
    enum reason reason;
};

struct preset_words {
    size_t count;
    struct preset_word *words; /* in order: the first that is found decides */
};

struct preset_names {
    size_t count;
    enum preset_field fields[PRESET_NAMES_MAX];
};

struct preset_rule {
    const char *name;
    const char *pattern;
    enum preset_role role;
    enum preset_source source;
    enum event event;   /* PRESET_FIXED */
    enum reason reason; /* 0 none: only words make it an event */
    struct preset_words words;
    enum preset_field read;
    const char *program, *session, *level; /* "" any */
    enum preset_field key, tells;
    bool join, last;
    struct preset_names needs, same, once;
    uint32_t within, lasts; /* seconds */
    enum preset_direction direction;
    enum preset_serial serial;
    const char *until;
    unsigned line; /* of the rule in its file, 0 unknown */
    const char *file;
};

struct preset_head {
    const char *name;
    const char *pattern;
    const char *inner; /* "" none */
    unsigned line;
    const char *file;
};

struct preset {
    const char *path, *product, *program;
    size_t head_count, rule_count;
    struct preset_head heads[PRESET_HEADS_MAX];
    struct preset_rule *rules;
};

/*
 * preset_read(path, errors): the preset, owned by the caller; NULL with its mistakes added to `errors`, each with file
 * and line. Any thread.
 */
struct preset *preset_read(const char *path, struct conf_errors *errors);
void preset_free(struct preset *preset); /* NULL is allowed */

/*
 * preset_wrong(errors, file, line, setting, format, ...): a mistake that shows only when a pattern is compiled.
 */
void preset_wrong(struct conf_errors *errors, const char *file, unsigned line, const char *setting, const char *format,
                  ...) __attribute__((format(printf, 5, 6)));

/* The heads that are known by name, in the order in which they are tried; NULL behind the last. */
struct preset_known_head {
    const char *name, *pattern;
};
const struct preset_known_head *preset_heads(void);

/*
 * Vocabularies that products share because their libraries do: "tls" (what can be wrong with a certificate, in
 * the words of OpenSSL and GnuTLS), "handshake" (all else that can fail in TLS), "connection" (errors of the C library
 * and of Erlang), "dns". NULL: there is none of that name.
 */
const struct preset_words *preset_vocabulary(const char *name);
/* preset_word_find(words, text, length): the reason of the first word that `text` holds; 0 none. */
enum reason preset_word_find(const struct preset_words *words, const char *text, size_t length);

#endif
