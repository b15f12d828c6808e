/*
 * Each message is formatted into one buffer and written by one write(2), so lines of several threads never mix and no
 * lock is needed. Under systemd (JOURNAL_STREAM names our standard error) a line begins with its priority, <0> to <7>.
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define SD_JOURNAL_SUPPRESS_LOCATION /* where it was called from is the same for all */
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

#define LOG_LINE 2048

static atomic_int level_now = LOG_LEVEL_NOTICE;

void log_level_set(enum log_level level)
{
    atomic_store(&level_now, level);
}

enum log_level log_level_get(void)
{
    return (enum log_level)atomic_load(&level_now);
}

/* Whether standard error is the journal's stream, as sd_journal_stream in systemd.exec(5) defines it. */
static bool to_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat status;
    unsigned long long device, inode;
    return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(STDERR_FILENO, &status) == 0 &&
           status.st_dev == device && status.st_ino == inode;
}

static const struct {
    int priority; /* of syslog(3) */
    const char *name;
} levels[] = {{3, "error"}, {4, "warning"}, {5, "notice"}, {6, "info"}, {7, "debug"}};

__attribute__((format(printf, 3, 0)))
static size_t write_text(char *out, size_t size, const char *format, va_list arguments)
{
    char message[LOG_LINE];
    int length = vsnprintf(message, sizeof message, format, arguments);
    if (length < 0)
        length = 0;
    else if ((size_t)length >= sizeof message)
        length = sizeof message - 1;
    return text_printable(out, size, message, (size_t)length);
}

__attribute__((format(printf, 3, 0)))
static void write_line(enum log_level level, const char *module, const char *format, va_list arguments)
{
    int saved = errno;
    char line[2 * LOG_LINE], now[CLOCK_TEXT_SIZE];

    size_t used;
    if (to_journal())
        used = text_format(line, sizeof line, "<%d>%s: ", levels[level].priority, module);
    else
        used = text_format(line, sizeof line, "%s %s %s: ", clock_text(clock_wall(), now, sizeof now),
                           levels[level].name, module);
    used += write_text(line + used, sizeof line - used - 1, format, arguments);
    line[used++] = '\n';
    /* Nothing can be done about a log that takes no more. */
    if (write(STDERR_FILENO, line, used) < 0)
        errno = saved;
    errno = saved;
}

/* One field of an entry of the journal: NAME=text, printable. */
static struct iovec make_field(char *out, size_t size, const char *name, const char *text)
{
    size_t used = text_format(out, size, "%s=", name);
    used += text_printable(out + used, size - used, text, strlen(text));
    return (struct iovec){out, used};
}

__attribute__((format(printf, 5, 0)))
static bool send_record(enum log_level level, const char *module, const struct log_field *fields, size_t count,
                        const char *format, va_list arguments)
{
    enum { OWN = 3, FIELD = 512 };
    char message[2 * LOG_LINE], priority[16], texts[LOG_FIELDS_MAX][FIELD];
    struct iovec entry[OWN + LOG_FIELDS_MAX];
    size_t used = text_format(message, sizeof message, "MESSAGE=%s: ", module), parts = OWN;
    used += write_text(message + used, sizeof message - used, format, arguments);
    text_format(priority, sizeof priority, "PRIORITY=%d", levels[level].priority);
    entry[0] = (struct iovec){message, used};
    entry[1] = (struct iovec){priority, strlen(priority)};
    entry[2] = (struct iovec){(char[]){"SYSLOG_IDENTIFIER=fedwarden"}, strlen("SYSLOG_IDENTIFIER=fedwarden")};
    for (size_t i = 0; i < count && i < LOG_FIELDS_MAX; i++)
        if (*fields[i].text)
            entry[parts++] = make_field(texts[i], FIELD, fields[i].name, fields[i].text);
    return sd_journal_sendv(entry, (int)parts) == 0;
}

void log_record(enum log_level level, const char *module, const struct log_field *fields, size_t count,
                const char *format, ...)
{
    if ((int)level > atomic_load_explicit(&level_now, memory_order_relaxed))
        return;
    int saved = errno;
    va_list arguments;
    va_start(arguments, format);
    bool sent = to_journal() && send_record(level, module, fields, count, format, arguments);
    va_end(arguments);
    if (!sent) {
        va_start(arguments, format);
        write_line(level, module, format, arguments);
        va_end(arguments);
    }
    errno = saved;
}

#define LOG_FUNCTION(function, level)                                                                                  \
    void function(const char *module, const char *format, ...)                                                         \
    {                                                                                                                  \
        if ((int)(level) > atomic_load_explicit(&level_now, memory_order_relaxed))                                     \
            return;                                                                                                    \
        va_list arguments;                                                                                             \
        va_start(arguments, format);                                                                                   \
        write_line(level, module, format, arguments);                                                                  \
        va_end(arguments);                                                                                             \
    }

LOG_FUNCTION(log_error, LOG_LEVEL_ERROR)
LOG_FUNCTION(log_warning, LOG_LEVEL_WARNING)
LOG_FUNCTION(log_notice, LOG_LEVEL_NOTICE)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO)
LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG)
