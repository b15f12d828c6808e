/* Alarms in the log. A cleared one is short: what to do was said when it was raised. */
#include "cli/run_log.h"

#include <inttypes.h>

#include "base/log.h"
#include "base/text.h"

/* A name may have several endpoints: "sip1.contoso.example 192.0.2.10 port 5061". */
static void write_place(const struct ledger_alarm *alarm, const char *address, char *out, size_t size)
{
    text_copy(out, size, alarm->target);
    if (alarm->port)
        text_append(out, size, " %s port %u", address, alarm->port);
}

void run_log_transition(const struct transition *transition)
{
    static const char *const kinds[] = {
        [TRANSITION_RAISED] = "raised", [TRANSITION_CHANGED] = "changed", [TRANSITION_CLEARED] = "cleared"};
    const struct ledger_alarm *alarm = &transition->alarm;
    const struct reason_info *reason = reason_info(alarm->reason);
    const char *name = *alarm->name ? alarm->name : alarm->source ? "no partner" : "fedwarden itself";
    char address[ADDRESS_TEXT_SIZE], place[OBSERVATION_NAME + ADDRESS_TEXT_SIZE + 16], id[16];
    char cause[REASON_CAUSE_MAX + 1], resolution[REASON_RESOLUTION_MAX + 1];
    struct guidance known = ledger_guidance(alarm, address);

    text_format(id, sizeof id, "%" PRIu32, alarm->id);
    write_place(alarm, address_text(&alarm->address, address), place, sizeof place);
    const struct log_field fields[] = {
        {"FEDWARDEN_ALARM", id},
        {"FEDWARDEN_STATE", kinds[transition->kind]},
        {"FEDWARDEN_EVENT", event_name(alarm->event)},
        {"FEDWARDEN_SEVERITY", severity_name(alarm->severity)},
        {"FEDWARDEN_REASON", reason->name},
        {"FEDWARDEN_PARTNER", alarm->name},
        {"FEDWARDEN_TARGET", alarm->target},
        {"FEDWARDEN_ADDRESS", address},
        {"FEDWARDEN_DETAIL", alarm->detail},
    };
    const size_t count = sizeof fields / sizeof fields[0];
    if (transition->kind == TRANSITION_CLEARED)
        log_record(LOG_LEVEL_NOTICE, "alarm", fields, count, "%s cleared: %s, %s, %s %s", id, name,
                   event_name(alarm->event), reason->name, place);
    else
        log_record(LOG_LEVEL_NOTICE, "alarm", fields, count, "%s %s: %s, %s, %s (%s) %s: %s Cause: %s Resolution: %s",
                   id, kinds[transition->kind], name, event_name(alarm->event), reason->name,
                   severity_name(alarm->severity), place, alarm->detail, guidance_cause(alarm->reason, &known, cause),
                   guidance_resolution(alarm->reason, &known, resolution));
}
