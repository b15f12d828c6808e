#ifndef FEDWARDEN_BASE_REASON_H
#define FEDWARDEN_BASE_REASON_H

/* The reasons of base/reason_list.h and what follows from them. Constant data; any thread. */

#include <stddef.h>

#include "base/event.h"

enum reason {
#define REASON_ROW(number, enumerator, ...) REASON_##enumerator = number,
#include "base/reason_list.h"
#undef REASON_ROW
};

/* Perceived severity, numbered as ItuPerceivedSeverity (RFC 3877): not monotone, compare with severity_rank. */
enum severity {
    SEVERITY_CLEARED = 1,
    SEVERITY_INDETERMINATE = 2,
    SEVERITY_CRITICAL = 3,
    SEVERITY_MAJOR = 4,
    SEVERITY_MINOR = 5,
    SEVERITY_WARNING = 6,
};

/* Who has to act. */
enum actor {
    ACTOR_NONE = 1,
    ACTOR_PARTNER = 2,
    ACTOR_US = 3,
    ACTOR_NETWORK = 4,
};

/* Monotone, so that a threshold works on it; the numbers less one are the exit status of a Nagios plugin. */
enum health {
    HEALTH_OK = 1,
    HEALTH_WARNING = 2,
    HEALTH_CRITICAL = 3,
    HEALTH_UNKNOWN = 4,
};

#define REASON_CAUSE_MAX 128
#define REASON_RESOLUTION_MAX 200

struct reason_info {
    enum reason reason;
    const char *name;
    enum event event; /* where a probe counts it; a feed may count it elsewhere */
    enum severity severity;
    enum actor actor;
    const char *cause;
    const char *resolution;
    const char *aliases;
};

/* reason_info(reason): its row; the row of REASON_UNCLASSIFIED for a number that is no reason. Never NULL. */
const struct reason_info *reason_info(enum reason reason);

/* reason_name(reason): its name. Never NULL. */
const char *reason_name(enum reason reason);

/* reason_count(), reason_at(i): all rows in the order of their numbers, i from 0 to reason_count() - 1. */
size_t reason_count(void);
const struct reason_info *reason_at(size_t i);

/* reason_find(name): the reason of that exact name without regard to case; 0 when there is none. */
enum reason reason_find(const char *name);

/*
 * reason_search(text, found, max): what an operator may mean by `text`: a name, a number of the list, one of the aliases,
 * an HRESULT in hexadecimal or as the negative decimal that Windows prints, the Win32 code within an 0x8007.... HRESULT.
 * Writes at most `max` rows to `found`, in the order of the list, and returns how many there are in all.
 */
size_t reason_search(const char *text, const struct reason_info **found, size_t max);

/*
 * reason_by_source(reason, event): the same wording of a log has another reason when it is about the own network
 * (EVENT_DOMAIN_LOCAL) or about somebody unknown (EVENT_AUTH_SOURCE) than when it is about a partner: `reason` is that
 * for a partner.
 */
enum reason reason_by_source(enum reason reason, enum event event);

/* severity_rank(severity): 0 cleared, 1 indeterminate, 2 warning, 3 minor, 4 major, 5 critical. */
int severity_rank(enum severity severity);
const char *severity_name(enum severity severity);
/* severity_find(name): 0 when there is none of that name. */
enum severity severity_find(const char *name);

const char *actor_name(enum actor actor); /* "none", "partner", "us", "network" */

/* reason_health(reason): ok for none; critical for severities major and critical; else warning. */
enum health reason_health(enum reason reason);
/* health_name(health): "ok", "warning", "critical", "unknown": the words of interfaces and of FedwHealth. */
const char *health_name(enum health health);

/* reason_worse(a, b): the one of the two with the higher severity; `a` when they are equal, so that the first stands. */
enum reason reason_worse(enum reason a, enum reason b);

#endif
