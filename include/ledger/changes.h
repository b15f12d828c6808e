#ifndef FEDWARDEN_LEDGER_CHANGES_H
#define FEDWARDEN_LEDGER_CHANGES_H

/*
 * Which rows have changed since they were last taken: see image.c. For the files of ledger/ alone. Whoever changes what
 * is kept of a row says so here, at once or before anybody can take changes. All O(1).
 */

#include "ledger/image.h"

struct changes *changes_new(void);
void changes_free(struct changes *changes);

/* changes_row(ledger, kind, mark, key): the row has been made or changed. */
void changes_row(struct ledger *ledger, enum ledger_row kind, struct ledger_mark *mark, const uint32_t key[]);
/* changes_gone(ledger, kind, mark, key): it goes, or its key does: the mark is as new. */
void changes_gone(struct ledger *ledger, enum ledger_row kind, struct ledger_mark *mark, const uint32_t key[]);
/* changes_kept(ledger, kind, mark): it is as it is kept. */
void changes_kept(struct ledger *ledger, enum ledger_row kind, struct ledger_mark *mark);

/* The same for rows of certain kinds. changes_cell: `partner` is the index of the partner, 0 the monitor's own. */
void changes_state(struct ledger *ledger);
void changes_fixed(struct ledger *ledger, uint32_t index);
void changes_total(struct ledger *ledger, struct ledger_cell *cell);
void changes_partner(struct ledger *ledger, struct ledger_partner *partner);
void changes_cell(struct ledger *ledger, uint32_t partner, struct ledger_cell *cell);
void changes_probe(struct ledger *ledger, const struct ledger_partner *partner, struct ledger_probe *probe);
void changes_alarm(struct ledger *ledger, struct ledger_alarm *alarm);

/* changes_tick(ledger, run): once a tick, so that it is known until when the ledger was looked after. */
void changes_tick(struct ledger *ledger, int64_t run);

/* changes_mark_of(kind, row): the mark in it; NULL for kinds without one. */
struct ledger_mark *changes_mark_of(enum ledger_row kind, void *row);

/* Room for the struct of any row. */
union any_row {
    struct ledger_state state;
    struct ledger_name name;
    struct ledger_cell cell;
    struct ledger_partner partner;
    struct ledger_reason reason;
    struct ledger_probe probe;
    struct ledger_certificate certificate;
    struct ledger_source source;
    struct ledger_alarm alarm;
};

/* image_strip(kind, row): takes out what means nothing to another process. */
void image_strip(enum ledger_row kind, void *row);
struct ledger_state image_state(const struct ledger *ledger);
/* image_differs(ledger, kind, key): the row with that key is not as it was told. */
void image_differs(struct ledger *ledger, enum ledger_row kind, const uint32_t key[]);

/* ledger_name_at(ledger, number): the name; NULL when there is none. In ledger_bind.c, as names_sort(ledger): puts names
 * in their order, without one of the same name twice, after names were appended; and fixed_sort(ledger, count): the
 * `count` fixed indexes. */
struct ledger_name *ledger_name_at(const struct ledger *ledger, uint32_t number);
void names_sort(struct ledger *ledger);
void fixed_sort(struct ledger *ledger, size_t count);

/* restore_settle(ledger): before the first configuration is put in force. */
void restore_settle(struct ledger *ledger);

/* ledger_begin(wall, run, report, context): without a configuration and with counts from zero. */
struct ledger *ledger_begin(int64_t wall, int64_t run, ledger_report *report, void *context);

#endif
