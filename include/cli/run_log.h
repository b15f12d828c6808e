#ifndef FEDWARDEN_CLI_RUN_LOG_H
#define FEDWARDEN_CLI_RUN_LOG_H

#include "ledger/ledger.h"

/*
 * run_log_transition(transition): what happened to an alarm, as one line of the log; to the journal with fields that can
 * be searched for: FEDWARDEN_ALARM, _STATE, _EVENT, _SEVERITY, _REASON, _PARTNER, _TARGET, _ADDRESS, _DETAIL. Main thread.
 */
void run_log_transition(const struct transition *transition);

#endif
