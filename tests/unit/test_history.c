#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "history_fixture.h"

TestSuite(history, .init = history_enter, .fini = history_leave, .timeout = 120);

/* Tells the first line that differs: whole dumps are too long to read. */
static void expect_same(const char *found, const char *wanted, const char *what)
{
    if (strcmp(found, wanted) == 0)
        return;
    size_t at = 0, line = 0;
    for (; found[at] && found[at] == wanted[at]; at++)
        if (found[at] == '\n')
            line = at + 1;
    cr_expect_fail("%s: found  %.*s\n wanted %.*s", what, (int)strcspn(found + line, "\n"), found + line,
                   (int)strcspn(wanted + line, "\n"), wanted + line);
}

Test(history, a_ledger_goes_on_as_it_was)
{
    struct life *life = life_begin(7);
    cr_expect_eq(life->opened, HISTORY_NEW);
    cr_expect_str_eq(life->problem, "");
    for (int i = 0; i < 200; i++)
        life_work(life);
    life_store(life);
    char *before = dump_ledger(life->fixture.ledger);
    life_end(life);

    life = life_begin(7);
    cr_expect_eq(life->opened, HISTORY_KEPT, "%s", life->problem);
    cr_expect_eq(life->step, 200);
    char *after = dump_ledger(life->fixture.ledger);
    expect_same(after, before, "loaded");
    for (int i = 0; i < 100; i++)
        life_work(life);
    char *later = dump_ledger(life->fixture.ledger), *wanted = dump_after(7, 300);
    expect_same(later, wanted, "gone on");
    life_end(life);
    free(before);
    free(after);
    free(later);
    free(wanted);
}
