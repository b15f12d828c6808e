/*
 * The settings of the history. Where its file lies follows from the state folder unless it is named; an empty name switches
 * it off. The file need not exist: it is made.
 */
#include "base/conf_parts.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define MEMBER(name) offsetof(struct conf_history, name), sizeof(((struct conf_history *)0)->name)
#define NUMBER(name, min, max, initial)                                                                                \
    {                                                                                                                  \
#name, conf_read_number, MEMBER(name), min, max, initial, NULL, NULL, false                                    \
    }

static const char unset[] = ""; /* by its address */

static void read_file(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                      void *into)
{
    struct conf_history *history = into;
    struct stat status;
    const char *path = conf_path(reader, row, setting);
    if (!path)
        return;
    history->file = path;
    if (!*path)
        return;
    bool slash = path[strlen(path) - 1] == '/';
    if (slash || (stat(path, &status) == 0 && S_ISDIR(status.st_mode)))
        conf_wrong(reader, setting, "\"%s\" is a folder: name the file that is to be made, as in \"%s%shistory.db\"",
                   path, path, slash ? "" : "/");
    else if (stat(path, &status) == 0 && !S_ISREG(status.st_mode))
        conf_wrong(reader, setting, "\"%s\" is no regular file: name another", path);
}

static const struct conf_row history_rows[] = {
    {"file", read_file, MEMBER(file), 0, 1000, 0, unset, NULL, false},
    NUMBER(days, 1, 3650, 90),
    NUMBER(transitions, 100, 10000000, 100000),
    NUMBER(verdicts, 100, 10000000, 200000),
    NUMBER(failures, 100, 10000000, 200000),
};
#define ROW_COUNT (sizeof history_rows / sizeof *history_rows)

void conf_history_initial(struct conf_history *history)
{
    conf_rows_initial(history_rows, ROW_COUNT, history);
}

void conf_read_history(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                       void *into)
{
    conf_rows_read(reader, history_rows, ROW_COUNT, setting, (char *)into + row->offset);
}

void conf_history_complete(struct conf_reader *reader)
{
    char path[4096];
    struct conf *conf = reader->conf;
    if (conf->history.file != unset)
        return;
    snprintf(path, sizeof path, "%s/history.db", conf->agent.state_dir);
    conf->history.file = conf_string(reader->blocks, path);
}
