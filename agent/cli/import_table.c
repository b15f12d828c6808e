/* Comma-separated values as RFC 4180 has them: quoted cells may hold commas, line ends and doubled quotation marks. */
#include "cli/import.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

/* One cell at `*at`, ended in place; `*end` is what stood behind it: ',', '\n' or 0. False: a quotation mark is missing. */
static bool take_cell(char **at, char *limit, unsigned *line, char **cell, char *end)
{
    char *read = *at, *write;
    bool quoted = read < limit && *read == '"';
    *cell = write = quoted ? ++read : read;
    for (; read < limit; read++) {
        if (quoted && *read == '"') {
            if (read + 1 < limit && read[1] == '"') {
                read++;
            } else {
                quoted = false;
                continue;
            }
        } else if (!quoted && (*read == ',' || *read == '\n')) {
            break;
        }
        *line += *read == '\n';
        if (*read != '\r')
            *write++ = *read;
    }
    *end = read < limit ? *read : '\0';
    *line += *end == '\n';
    *write = '\0';
    *at = read < limit ? read + 1 : limit;
    return !quoted;
}

static size_t take_row(char **at, char *limit, unsigned *line, char *cells[], size_t most, bool *good)
{
    size_t count = 0;
    char end = ',', *cell;
    while (end == ',') {
        *good = take_cell(at, limit, line, &cell, &end) && *good;
        if (count < most)
            cells[count] = cell;
        count++;
    }
    return count;
}

static bool take_headings(char *cells[], size_t count, import_wrong *wrong, void *context)
{
    bool good = true, domain = false;
    char problem[256];
    for (size_t i = 0; i < count; i++) {
        domain = domain || strcmp(cells[i], "domain") == 0;
        if (import_heading(cells[i]))
            continue;
        text_format(problem, sizeof problem,
                    "the heading \"%.60s\" is no setting of a partner: name, domain, protocol, host, "
                    "address, port, service, verify_name, sni, contact, interval, trust, index",
                    cells[i]);
        wrong(context, 1, problem);
        good = false;
    }
    if (good && !domain)
        wrong(context, 1,
              "no heading is \"domain\": the first line must name the settings, such as name,domain,protocol");
    return good && domain;
}

bool import_table(char *text, size_t length, import_found *found, import_wrong *wrong, void *context)
{
    char *headings[IMPORT_SETTINGS_MAX], *cells[IMPORT_SETTINGS_MAX], *limit = text + length;
    unsigned line = 1;
    bool good = true;
    if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        text += 3; /* as spreadsheets write it */
    size_t columns = take_row(&text, limit, &line, headings, IMPORT_SETTINGS_MAX, &good);
    if (columns > IMPORT_SETTINGS_MAX || !good) {
        wrong(context, 1, "the first line names no settings");
        return false;
    }
    if (!take_headings(headings, columns, wrong, context))
        return false;
    while (text < limit) {
        struct import_partner partner = {.line = line, .module = ""};
        good = true;
        size_t count = take_row(&text, limit, &line, cells, IMPORT_SETTINGS_MAX, &good);
        if (count == 1 && !*cells[0])
            continue;
        if (count != columns || !good) {
            char problem[128];
            text_format(problem, sizeof problem,
                        good ? "%zu cells, but %zu headings" : "a quotation mark is not closed", count, columns);
            wrong(context, partner.line, problem);
            continue;
        }
        for (size_t i = 0; i < count; i++)
            if (*cells[i])
                partner.settings[partner.count++] = (struct import_setting){headings[i], cells[i]};
        found(context, &partner);
    }
    return true;
}
