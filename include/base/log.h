#ifndef FEDWARDEN_BASE_LOG_H
#define FEDWARDEN_BASE_LOG_H

/*
 * The log: one line a call, to standard error, with the priority prefix of sd-daemon(3) when standard error goes to
 * the journal. Safe from every thread; errno is kept. A message says what happened, to what, and what to do next; it
 * holds no secret; control characters in it are written as \xNN, so that nobody can forge a second line.
 */

#include <stddef.h>

enum log_level { LOG_LEVEL_ERROR = 0, LOG_LEVEL_WARNING, LOG_LEVEL_NOTICE, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* log_level_set(level): messages above `level` are not written. Default: notice. */
void log_level_set(enum log_level level);
enum log_level log_level_get(void);

/* log_error(module, format, ...) and so on: `module` is the name of the file without its ending, such as "dns". */
void log_error(const char *module, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_warning(const char *module, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_notice(const char *module, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_info(const char *module, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_debug(const char *module, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * log_record(level, module, fields, count, format, ...): the same with fields beside the text: to the journal as fields of
 * the entry (systemd.journal-fields(7)), elsewhere they are left out. Names are upper case; empty texts are left out; at
 * most LOG_FIELDS_MAX.
 */
struct log_field {
    const char *name;
    const char *text;
};
#define LOG_FIELDS_MAX 16
void log_record(enum log_level level, const char *module, const struct log_field *fields, size_t count,
                const char *format, ...) __attribute__((format(printf, 5, 6)));

#endif
