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
#include <sys/stat.h>
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

__attribute__((format(printf, 3, 0)))
static void write_line(enum log_level level, const char *module, const char *format, va_list arguments)
{
    static const struct {
        int priority; /* of syslog(3) */
        const char *name;
    } levels[] = {{3, "error"}, {4, "warning"}, {5, "notice"}, {6, "info"}, {7, "debug"}};
    int saved = errno;
    char message[LOG_LINE], line[2 * LOG_LINE], now[CLOCK_TEXT_SIZE];

    int length = vsnprintf(message, sizeof message, format, arguments);
    if (length < 0)
        length = 0;
    else if ((size_t)length >= sizeof message)
        length = sizeof message - 1;
    size_t used;
    if (to_journal())
        used = text_format(line, sizeof line, "<%d>%s: ", levels[level].priority, module);
    else
        used = text_format(line, sizeof line, "%s %s %s: ", clock_text(clock_wall(), now, sizeof now),
                           levels[level].name, module);
    used += text_printable(line + used, sizeof line - used - 1, message, (size_t)length);
    line[used++] = '\n';
    /* Nothing can be done about a log that takes no more. */
    if (write(STDERR_FILENO, line, used) < 0)
        errno = saved;
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
