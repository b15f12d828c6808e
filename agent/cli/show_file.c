/* Where the history is: given, or where the configuration says. */
#include "cli/show.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"

static bool find_path(struct show_source *source)
{
    struct conf_errors errors = {0};
    char text[1024] = "it cannot be read";
    if (source->file) {
        text_copy(source->path, sizeof source->path, source->file);
        return true;
    }
    struct conf *conf = conf_load(source->conf_path, &errors);
    if (!conf) {
        if (errors.count)
            conf_error_text(&errors.errors[0], text, sizeof text);
        fprintf(stderr, "fedwarden %s: %s\nGive a configuration by -c, or the history itself by --file.\n",
                source->command, text);
    } else if (!*conf->history.file) {
        fprintf(stderr, "fedwarden %s: %s: no history is kept: history.file is \"\"\n", source->command,
                source->conf_path);
    } else {
        text_copy(source->path, sizeof source->path, conf->history.file);
    }
    bool found = conf && *conf->history.file;
    conf_errors_clear(&errors);
    conf_free(conf);
    return found;
}

bool show_open(struct show_source *source)
{
    char problem[SHOW_PROBLEM];
    if (!find_path(source))
        return false;
    source->reader = history_reader_open(source->path, problem, sizeof problem);
    if (!source->reader)
        fprintf(stderr, "fedwarden %s: %s\n", source->command, problem);
    return source->reader != NULL;
}

void show_close(struct show_source *source)
{
    history_reader_close(source->reader);
    source->reader = NULL;
}

static struct show *read_state(struct show_source *source, struct ledger **ledger, char problem[SHOW_PROBLEM])
{
    int64_t wall = clock_wall(), run = clock_run();
    *ledger = history_reader_ledger(source->reader, wall, run);
    if (*ledger)
        return show_new(*ledger, wall, run, history_reader_written(source->reader));
    text_format(problem, SHOW_PROBLEM, "%s holds no state yet, or cannot be read. Does the daemon run?", source->path);
    return NULL;
}

struct show *show_read(struct show_source *source, struct ledger **ledger)
{
    char problem[SHOW_PROBLEM];
    struct show *show = read_state(source, ledger, problem);
    if (!show)
        fprintf(stderr, "fedwarden %s: %s\n", source->command, problem);
    return show;
}

struct show *show_again(struct show_source *source, struct ledger **ledger, char problem[SHOW_PROBLEM])
{
    struct show *show = NULL;
    if (!source->reader)
        source->reader = history_reader_open(source->path, problem, SHOW_PROBLEM);
    if (source->reader)
        show = read_state(source, ledger, problem);
    show_close(source);
    return show;
}
