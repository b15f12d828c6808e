#ifndef FEDWARDEN_BASE_CONF_PARTS_H
#define FEDWARDEN_BASE_CONF_PARTS_H

/*
 * What the conf*.c files share; nobody else includes it.
 *
 *   conf_source.c   files and their includes -> one text, a token a line, and where each line came from
 *   conf_schema.c   rows of settings, and how a group is read by them
 *   conf_value.c    how one value is read and checked: names, addresses, references, files
 *   conf_edge.c     the values that describe the edge and its logs
 *   conf_inbox.c    those of what is pushed: a socket, its permissions, a folder that is written
 *   conf_listen.c   the settings of the mutual-TLS acceptor
 *   conf_history.c  the settings of the history
 *   conf_partner.c  what follows from several settings of a partner
 *   conf_shard.c    which agent probes a partner
 *   conf_who.c      whose a domain and an address are
 *   conf.c          the sections of the file, in order
 */

#include <stdarg.h>
#include <libconfig.h>

#include "base/conf.h"

/* Where a setting stands. `position` is the line of the expanded text: errors are told in its order. */
struct conf_place {
    const char *file;
    unsigned line;
    unsigned position;
};

/* conf_error_add(errors, place, setting, format, arguments): one more error; counts it only when there are too many. */
void conf_error_add(struct conf_errors *errors, const struct conf_place *place, const char *setting, const char *format,
                    va_list arguments) __attribute__((format(printf, 4, 0)));
/* conf_errors_sort(errors): into the order of reading. */
void conf_errors_sort(struct conf_errors *errors);

struct conf_source_line {
    uint32_t file; /* position in files */
    uint32_t line;
};

struct conf_source {
    char *text; /* for libconfig, terminated */
    size_t length, room;
    char **files;
    size_t file_count;
    struct conf_source_line *lines; /* of text, from its first line on */
    size_t line_count, line_room;
};

/* conf_source_read(source, path, errors): false with at least one error. conf_source_clear after either. */
bool conf_source_read(struct conf_source *source, const char *path, struct conf_errors *errors);
void conf_source_clear(struct conf_source *source);
/* conf_source_place(source, line): where line `line` of the text, counted from 1, came from. */
struct conf_place conf_source_place(const struct conf_source *source, unsigned line);
/* conf_source_token(source, line, out, size): the text of that line, printable. */
void conf_source_token(const struct conf_source *source, unsigned line, char *out, size_t size);

/* Strings and lists of a conf live in blocks that go with it. */
struct conf_block;
const char *conf_string(struct conf_block **blocks, const char *text);
/* conf_memory(blocks, count, size): zeroed, aligned for pointers; NULL for none. */
void *conf_memory(struct conf_block **blocks, size_t count, size_t size);

/* What is known while a file is read. */
struct conf_reader {
    struct conf *conf;
    struct conf_block **blocks;
    struct conf_errors *errors;
    const struct conf_source *source;
    struct conf_partner initial; /* what a partner has before its own settings are read */
    const char **trust_names;    /* for references and "did you mean" */
    const char **resolver_names;
};

/* conf_wrong(reader, setting, format, ...): an error at the line of `setting`, with its path. */
void conf_wrong(struct conf_reader *reader, const config_setting_t *setting, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

struct conf_row;
/* Reads `setting` as `row` says; `into` is the structure that row->offset lies in. */
typedef void conf_read(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                       void *into);

struct conf_word {
    const char *name; /* NULL ends a list */
    int value;
};

struct conf_row {
    const char *name;
    conf_read *read;
    size_t offset;
    size_t size;      /* of the member */
    int64_t min, max; /* of a number; octets of a text */
    int64_t initial;  /* number, word, switch */
    const char *text; /* initial text; NULL: no text */
    const struct conf_word *words;
    bool required;
};

#define CONF_ROWS_MAX 64 /* of one table */

/* conf_rows_initial(rows, count, into): the values that hold when a setting is absent. */
void conf_rows_initial(const struct conf_row *rows, size_t count, void *into);

/*
 * conf_rows_read(reader, rows, count, group, into): reads the settings of `group`, in the order of the rows, and tells
 * of settings that have no row and of required ones that are absent. Returns a bit for each row that was there.
 */
uint64_t conf_rows_read(struct conf_reader *reader, const struct conf_row *rows, size_t count,
                        const config_setting_t *group, void *into);

/* The readers of conf_schema.c: plain values. */
conf_read conf_read_number, conf_read_switch, conf_read_text, conf_read_word;
/* Those of conf_value.c. */
conf_read conf_read_name, conf_read_hostname, conf_read_identity, conf_read_address, conf_read_service, conf_read_proxy,
    conf_read_trust, conf_read_resolvers, conf_read_views, conf_read_expected, conf_read_allowed, conf_read_thresholds, conf_read_pins,
    conf_read_inspection,
    conf_read_certificates, conf_read_crls, conf_read_key, conf_read_folder, conf_read_file, conf_read_path;
/* Those of conf_edge.c. The first three write the number of elements before the list. */
conf_read conf_read_networks, conf_read_domains, conf_read_ports, conf_read_log, conf_read_preset;
/* conf_partner.c: expiry_days and what goes with it; conf_expiry_initial(partner): the steps when nothing is said. */
conf_read conf_read_expiry;
/* conf_value.c: crl_urls of a trust profile. */
conf_read conf_read_urls;
void conf_expiry_initial(struct conf_partner *partner);
/* Those of conf_inbox.c. */
conf_read conf_read_socket, conf_read_mode, conf_read_group, conf_read_drop;

/*
 * Lists of texts: ("a", "b"), ["a", "b"], or "a" for one. conf_texts_length: the number of elements, at most `max`; -1
 * with an error. conf_texts_element(setting, i): the setting of one.
 */
int conf_texts_length(struct conf_reader *reader, const config_setting_t *setting, int max);
const config_setting_t *conf_texts_element(const config_setting_t *setting, int i);
/* conf_hostname_checked(reader, setting, text, name): conf_hostname; an error when it is no legal name. */
bool conf_hostname_checked(struct conf_reader *reader, const config_setting_t *setting, const char *text, char *name);
/* conf_path(reader, row, setting): a path, a relative one beside the file that names it; NULL with an error. */
const char *conf_path(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting);
/* conf_check_file(reader, setting, path): an error when it is no regular file that can be read. */
void conf_check_file(struct conf_reader *reader, const config_setting_t *setting, const char *path);

/* conf_text(reader, setting, max, text): the printable UTF-8 of a string setting, at most `max` octets; or an error. */
bool conf_text(struct conf_reader *reader, const config_setting_t *setting, int64_t max, const char **text);
/* conf_join(out, size, list, count): "a, b, c", cut with "..." where it does not fit. */
void conf_join(char *out, size_t size, const char *const *list, size_t count);
/* conf_unknown(reader, setting, what, word, list, count): `no <what> "word" (have: ...). Did you mean "..."?` */
void conf_unknown(struct conf_reader *reader, const config_setting_t *setting, const char *what, const char *word,
                  const char *const *list, size_t count);

/* The settings of a partner; the last CONF_PARTNER_SHARED may also stand in `defaults`. */
extern const struct conf_row conf_partner_rows[];
extern const size_t conf_partner_row_count, conf_partner_shared;

/*
 * conf_partner_complete(reader, partner, group): what follows from the settings together: the record set, the port.
 * `group` is NULL for a partner that is made without a file.
 */
void conf_partner_complete(struct conf_reader *reader, struct conf_partner *partner, const config_setting_t *group);

/* The setting `shard`. */
conf_read conf_read_shard;

/* The group `listen`: its reader, into the struct conf, and its initial values. */
conf_read conf_read_listen;
void conf_listen_initial(struct conf_listen *listen);

/* The group `history`: its reader, its initial values, and what follows from the other settings. */
conf_read conf_read_history;
void conf_history_initial(struct conf_history *history);
void conf_history_complete(struct conf_reader *reader);

/* conf_who_new(conf): what conf_partner_at and conf_is_own use. conf_who_free(NULL) is allowed. */
struct conf_who *conf_who_new(const struct conf *conf);
void conf_who_free(struct conf_who *who);

#endif
