#ifndef FEDWARDEN_TESTS_FUZZ_REQUIRE_H
#define FEDWARDEN_TESTS_FUZZ_REQUIRE_H

/* What must hold whatever the input is; the fuzzer keeps an input for which it does not. */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

/* require(condition), require(condition, "in words"): tells and aborts. */
#define require(holds, ...) require_that((holds), #holds, "" __VA_ARGS__)
static inline void require_that(bool holds, const char *condition, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "broken promise: %s (%s)\n", what, condition);
    abort();
}

static inline void require_printable(const char *text, size_t room)
{
    char printable[4 * 1024];
    require(strnlen(text, room) < room, "text has an end");
    text_printable(printable, sizeof printable, text, strlen(text));
    require(strcmp(text, printable) == 0, "text is printable");
}

#endif
