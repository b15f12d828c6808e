#ifndef FEDWARDEN_LEDGER_PEER_H
#define FEDWARDEN_LEDGER_PEER_H

/*
 * Which partner an address belongs to: the addresses of the endpoints that probes see, hashed. For the files of ledger/
 * alone.
 */

#include "ledger/ledger.h"

/* peer_add(ledger, partner, probe), peer_remove(ledger, probe): the row of an endpoint has come, or goes. O(1). */
void peer_add(struct ledger *ledger, struct ledger_partner *partner, struct ledger_probe *probe);
void peer_remove(struct ledger *ledger, struct ledger_probe *probe);

/* peer_at(ledger, address): a partner with a present endpoint of that address; NULL when there is none. */
struct ledger_partner *peer_at(const struct ledger *ledger, const struct address *address);
/* peer_has(ledger, partner, address): whether it is one of that partner's. */
bool peer_has(const struct ledger *ledger, const struct ledger_partner *partner, const struct address *address);

/* peers_bind(ledger): all rows anew, after another configuration has been put in force. peers_free(ledger). */
void peers_bind(struct ledger *ledger);
void peers_free(struct ledger *ledger);

#endif
