/* Every row counts as changed: for a file that is begun anew while the ledger goes on. */
#include "ledger/changes.h"

static void mark_all(struct ledger *ledger, enum ledger_row kind, const struct index *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        changes_row(ledger, kind, changes_mark_of(kind, rows->entries[i].cell), rows->entries[i].key);
}

void ledger_changes_all(struct ledger *ledger)
{
    changes_state(ledger);
    for (size_t i = 0; i < ledger->name_count; i++)
        changes_row(ledger, LEDGER_ROW_NAME, &ledger->names[i].mark, &ledger->names[i].number);
    for (size_t i = 0; i < ledger->fixed_count; i++)
        changes_fixed(ledger, ledger->fixed[i]);
    for (int event = EVENT_NONE + 1; event < EVENT_END; event++)
        changes_total(ledger, &ledger->events[event]);
    mark_all(ledger, LEDGER_ROW_REASON, &ledger->reasons);
    mark_all(ledger, LEDGER_ROW_SELF, &ledger->self);
    mark_all(ledger, LEDGER_ROW_PARTNER, &ledger->partners);
    mark_all(ledger, LEDGER_ROW_PARTNER_EVENT, &ledger->partner_events);
    mark_all(ledger, LEDGER_ROW_PARTNER_REASON, &ledger->partner_reasons);
    mark_all(ledger, LEDGER_ROW_PROBE, &ledger->probes);
    mark_all(ledger, LEDGER_ROW_CERTIFICATE, &ledger->certificates);
    mark_all(ledger, LEDGER_ROW_SOURCE, sources_rows(ledger));
    mark_all(ledger, LEDGER_ROW_ALARM, &ledger->alarms);
}
