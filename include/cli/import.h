#ifndef FEDWARDEN_CLI_IMPORT_H
#define FEDWARDEN_CLI_IMPORT_H

/*
 * What becomes a partner, as other tools have it. The readers call `found` for each; its texts live until it returns.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/conf.h"

#define IMPORT_OCTETS_MAX (16u << 20) /* of a file */

/* One setting of a partner: its name as in the configuration, and its text as it was written there. */
struct import_setting {
    const char *name;
    const char *text;
};

#define IMPORT_SETTINGS_MAX 24

struct import_partner {
    unsigned line;      /* of the file, from 1 */
    const char *target; /* "host:port", "[::1]:443", "https://host/path"; NULL: the settings tell all */
    const char *module; /* of blackbox_exporter; "" not told */
    size_t count;
    struct import_setting settings[IMPORT_SETTINGS_MAX];
};

typedef void import_found(void *context, const struct import_partner *partner);
/* import_wrong(context, line, text): what cannot be read, and what to do. */
typedef void import_wrong(void *context, unsigned line, const char *text);

/*
 * import_targets(text, length, found, wrong, context): groups of targets of Prometheus, in YAML or JSON: a file of
 * file_sd_configs, or a whole prometheus.yml with static_configs. False, told by `wrong`, when it is neither.
 */
bool import_targets(const char *text, size_t length, import_found *found, import_wrong *wrong, void *context);

/*
 * import_table(text, length, found, wrong, context): comma-separated values (RFC 4180) with a line of headings, each the
 * name of a setting. The text is changed. False, told by `wrong`, when the headings are none.
 */
bool import_table(char *text, size_t length, import_found *found, import_wrong *wrong, void *context);

/* import_heading(name): whether a partner has that setting, with a value that fits into a table. */
bool import_heading(const char *name);

#endif
