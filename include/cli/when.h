#ifndef FEDWARDEN_CLI_WHEN_H
#define FEDWARDEN_CLI_WHEN_H

/* Times as people write and read them on a command line. Main thread. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WHEN_FORMS "2h, 1d12h, today, 2026-11-22, 2026-11-22T10:00, 2026-11-22T09:00:00Z"

/*
 * when_parse(text, now, wall): a time: a span before `now` (s, m, h, d, w: "90m", "1d12h"), "now", "today",
 * "yesterday", a date or a date and time, in local time unless it ends with Z or +HH:MM. False when it is none of them.
 */
bool when_parse(const char *text, int64_t now, int64_t *wall);

/* when_text(wall, out, size): local time to the second, "2026-11-22 10:27:45"; "never". */
#define WHEN_TEXT_SIZE 40
const char *when_text(int64_t wall, char *out, size_t size);

#endif
