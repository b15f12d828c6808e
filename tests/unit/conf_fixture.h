#ifndef FEDWARDEN_TESTS_CONF_FIXTURE_H
#define FEDWARDEN_TESTS_CONF_FIXTURE_H

/* A folder of a test's own as its working folder, so that messages name files without it, and configurations in it. */

#include <stddef.h>

#include "base/conf.h"

/* conf_fixture_enter(), conf_fixture_leave(): for a suite's .init and .fini; the folder goes with all that is in it. */
void conf_fixture_enter(void);
void conf_fixture_leave(void);

void conf_fixture_write(const char *path, const char *text);

/* conf_fixture_load(text, errors, size): f.conf with this text, read; all errors as lines in `errors`. */
struct conf *conf_fixture_load(const char *text, char *errors, size_t size);

#endif
