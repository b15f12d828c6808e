#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "history_fixture.h"

TestSuite(history, .init = history_enter, .fini = history_leave, .timeout = 120);

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
    expect_same(dump_ledger(life->fixture.ledger), before, "loaded");
    for (int i = 0; i < 100; i++)
        life_work(life);
    expect_same(dump_ledger(life->fixture.ledger), dump_after(7, 300), "gone on");
    life_end(life);
}
