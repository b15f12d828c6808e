#ifndef FEDWARDEN_TESTS_ROW_STORE_H
#define FEDWARDEN_TESTS_ROW_STORE_H

/* What a database keeps of a ledger, in memory: for tests of ledger/image.h. */

#include "ledger/image.h"

struct row_store {
    struct index rows[LEDGER_ROW_END]; /* key -> copy of the row */
    size_t told[LEDGER_ROW_END];       /* by the last row_store_take */
    int last_kind;
    bool wrong; /* told in another order than that of enum ledger_row, or gone what never was there */
};

void row_store_init(struct row_store *store);
void row_store_clear(struct row_store *store);

/* row_store_take(store, ledger): takes the changes of the ledger. */
void row_store_take(struct row_store *store, struct ledger *ledger);

/* row_store_move(store, by): all run times, as on another boot of the machine. */
void row_store_move(struct row_store *store, int64_t by);

/* row_store_dump(store, ledger): all rows of the ledger as they are, whether they count as changed or not. */
void row_store_dump(struct row_store *store, struct ledger *ledger);

/* row_store_restore(store, wall, run, report, context, left_out): a ledger of them, not bound; and how many do not fit. */
struct ledger *row_store_restore(const struct row_store *store, int64_t wall, int64_t run, ledger_report *report,
                                 void *context, size_t *left_out);

/* row_store_differ(a, b, out, size): whether they differ in a value, and in which: text for people. */
bool row_store_differ(const struct row_store *a, const struct row_store *b, char *out, size_t size);

/* row_text(kind, row, out, size): all values of a row. */
void row_text(enum ledger_row kind, const void *row, char *out, size_t size);

#endif
