#ifndef FEDWARDEN_LEDGER_SOURCE_H
#define FEDWARDEN_LEDGER_SOURCE_H

/*
 * Where failures come from that are counted by their source and not by a partner: the rows of fedwSourceTable. A row is
 * one event of one key: events 2 and 5 of an address, event 4 of an internal address and the domain that it asked for,
 * others of the name that is told where no partner is known. The table is bounded; see source.c. Main thread only.
 */

#include "ledger/ledger.h"

#define SOURCE_USERS      6    /* user names that were tried last */
#define SOURCE_REASONS    8    /* reasons that are counted apart; failures with further ones count as others */
#define SOURCE_MAX        4096 /* rows when the configuration says nothing */
#define SOURCE_FULL_QUIET (60 * CLOCK_SECOND) /* nothing refused for so long clears monTableFull */

struct ledger_source {
    uint32_t index;              /* rises; never used for another row (see source.c) */
    struct address address;      /* ADDRESS_UNKNOWN: none is told */
    char name[OBSERVATION_NAME]; /* "" where the address is the whole key */
    uint32_t partner;            /* index of the MIB of the partner whose address it is; 0 nobody's */
    struct ledger_cell cell;     /* counted with the threshold of the event, not of a partner */
    int64_t first_wall;
    uint64_t used; /* rises with each use of any row */
    char users[SOURCE_USERS][64]; /* distinct, the newest first */
    size_t user_count;
    bool users_more; /* others were tried before these */
    /* the certificate that was shown last; "" none */
    char subject[128];
    char issuer[128];
    char serial[48]; /* hexadecimal, most significant octet first */
    struct {
        enum reason reason;
        uint64_t count;
    } reasons[SOURCE_REASONS];
    size_t reason_count;
    uint64_t reasons_other;

    struct ledger_source *chain;           /* of the same bucket by key, */
    struct ledger_source *index_chain;     /* and by index */
    struct ledger_source *newer, *older;   /* by last use; only rows without an alarm are in that list */
    struct ledger_source *next, *previous; /* by index */
};

/* source_find(ledger, event, address, name): the row with that key; NULL when there is none. O(1). */
struct ledger_source *source_find(const struct ledger *ledger, enum event event, const struct address *address,
                                  const char *name);

/* source_at(ledger, index): the row of that index; NULL when it is gone. */
struct ledger_source *source_at(const struct ledger *ledger, uint32_t index);

/*
 * source_use(ledger, event, address, name, wall): the same, as the one that is used last; made when there is none, for
 * which the row that was used longest ago goes when the table is full. NULL, counted as refused, when all rows are in
 * alarm. O(1).
 */
struct ledger_source *source_use(struct ledger *ledger, enum event event, const struct address *address,
                                 const char *name, int64_t wall);

/* source_remember(source, event, reason): takes over user, certificate and reason of an event. */
void source_remember(struct ledger_source *source, const struct observation_event *event, enum reason reason);

/* source_pin(ledger, cell), source_unpin(ledger, cell): the cell of a row has got an alarm, or has none any more. */
void source_pin(struct ledger *ledger, struct ledger_cell *cell);
void source_unpin(struct ledger *ledger, struct ledger_cell *cell);

/* sources_rows(ledger): (source) -> struct ledger_source, for the MIB; valid until something is applied. */
const struct index *sources_rows(const struct ledger *ledger);

struct source_counts {
    uint32_t rows, max;
    uint64_t evicted; /* rows that had to go for newer ones */
    uint64_t refused; /* failures that found no row because all rows are in alarm */
    uint32_t index_last; /* the index that was given last */
};
struct source_counts sources_counts(const struct ledger *ledger);

/* sources_tick(ledger, wall, run): tells by monTableFull that failures are refused, and when that is over. */
void sources_tick(struct ledger *ledger, int64_t wall, int64_t run);

/*
 * sources_new(), sources_free(). sources_bind(ledger, conf, run): within ledger_bind, before the old configuration and
 * the old numbers of partners are gone.
 */
struct source_table *sources_new(void);
void sources_free(struct source_table *table);
void sources_bind(struct ledger *ledger, const struct conf *conf, int64_t run);

/* sources_restore(ledger, counts): those of a table that is restored. source_restore(ledger, row): puts a row into it, in
 * the order of indexes; rows are in their order of use from sources_bind on. False: its index or key is
 * taken. */
void sources_restore(struct ledger *ledger, const struct source_counts *counts);
bool source_restore(struct ledger *ledger, struct ledger_source *row);

#endif
