#include "conf_fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/text.h"

static char folder[64];

void conf_fixture_enter(void)
{
    snprintf(folder, sizeof folder, "/tmp/fedwarden-conf-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(chdir(folder), 0);
}

void conf_fixture_leave(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    cr_assert_eq(chdir("/"), 0);
    cr_assert_eq(system(command), 0);
}

void conf_fixture_write(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file, "%s", path);
    fputs(text, file);
    fclose(file);
}

struct conf *conf_fixture_load(const char *text, char *errors_text, size_t size)
{
    struct conf_errors errors;
    conf_fixture_write("f.conf", text);
    struct conf *conf = conf_load("f.conf", &errors);
    *errors_text = '\0';
    for (size_t i = 0; i < errors.count; i++) {
        char line[2048];
        conf_error_text(&errors.errors[i], line, sizeof line);
        text_append(errors_text, size, "%s%s", i ? "\n" : "", line);
    }
    conf_errors_clear(&errors);
    return conf;
}
