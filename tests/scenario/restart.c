/*
 * A daemon that ends and one that starts with what was kept of it. Whoever keeps rows moves their times as the history
 * does: on the same boot of the machine the run clock goes on; on another one the wall clock says how long it was off,
 * and one that runs backwards says nothing.
 */
#include "scenario.h"

#include <stdlib.h>

static void keep(struct scenario *s)
{
    char text[8192];
    struct row_store all;
    row_store_take(&s->store, s->ledger);
    row_store_init(&all);
    row_store_dump(&all, s->ledger);
    if (s->store.wrong)
        fail(s, "changes were told in the wrong order, or a row went that never was there");
    else if (row_store_differ(&s->store, &all, text, sizeof text))
        fail(s, "what was kept is not what there was: %s", text);
    row_store_clear(&all);
}

static void begin_again(struct scenario *s)
{
    size_t left_out;
    ledger_free(s->ledger);
    s->ledger = row_store_restore(&s->store, now_wall(s), now_run(s), s->report, s, &left_out);
    if (left_out)
        fail(s, "%zu rows were left out", left_out);
}

void restart(struct scenario *s, struct words *words)
{
    int64_t run = now_run(s), wall = now_wall(s);
    bool rebooted = false;
    keep(s);
    for (;;) {
        if (take_if(words, "after"))
            s->time += parse_time(s, take(s, words, "time"));
        else if (take_if(words, "wall"))
            jump_wall(s, words);
        else if (take_if(words, "reboot"))
            rebooted = true;
        else
            break;
    }
    if (rebooted) {
        s->run_offset = REBOOTED - RUN_START - s->time;
        row_store_move(&s->store, now_run(s) - run - (now_wall(s) > wall ? now_wall(s) - wall : 0));
    }
    begin_again(s);
}

void restart_unnoticed(struct scenario *s)
{
    char text[8192];
    struct row_store all;
    size_t told = s->count;
    keep(s);
    if (s->failed)
        return;
    begin_again(s);
    ledger_bind(s->ledger, s->conf, now_wall(s), now_run(s));
    row_store_init(&all);
    row_store_dump(&all, s->ledger);
    if (row_store_differ(&s->store, &all, text, sizeof text))
        fail(s, "what was restored is not what was kept: %s", text);
    row_store_take(&s->store, s->ledger);
    for (int kind = LEDGER_ROW_NAME; kind < LEDGER_ROW_END; kind++)
        if (s->store.told[kind])
            fail(s, "%zu rows %d were restored and count as changed", s->store.told[kind], kind);
    if (s->count != told)
        fail(s, "the restart told something");
    row_store_clear(&all);
}
