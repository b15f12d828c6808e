/*
 * The members are a contract with what reads them: every one is always there; a time or a number that is not known is
 * null. Rows are written one by one, so that a hundred thousand of them are never in memory together.
 */
#include "cli/status.h"

#include <stdlib.h>

#include "base/clock.h"
#include "cli/member.h"

static json_t *partner_object(const struct show *show, const struct show_partner *row)
{
    const struct ledger_partner *partner = row->partner;
    const struct ledger_alarm *alarm = row->alarm;
    const struct reason_info *info = reason_info(row->reason);
    json_t *object = json_object();
    member_text(object, "partner", row->name);
    member_text(object, "health", health_name(row->health));
    member_text(object, "reason", info->name);
    member_number(object, "code", info->reason);
    member_number(object, "event", row->event);
    member_text(object, "who", actor_name(info->actor));
    member_time(object, "since", partner->since_wall);
    member_number(object, "count", row->count);
    member_number(object, "window_s", row->window);
    member_time(object, "certificate_end", partner->not_after);
    member_set(object, "certificate_days",
               partner->not_after == CLOCK_NEVER ? json_null()
                                                 : json_integer(show_days(partner->not_after, show->wall)));
    member_time(object, "last_walk", partner->walk_wall);
    member_time(object, "last_ok", partner->success_wall);
    member_number(object, "endpoints", partner->endpoints);
    member_number(object, "endpoints_ok", partner->endpoints_ok);
    member_number(object, "walks", (int64_t)partner->walks);
    member_set(object, "alarm", alarm ? json_integer(alarm->id) : json_null());
    member_text(object, "severity", severity_name(alarm ? alarm->severity : SEVERITY_CLEARED));
    return object;
}

json_t *status_alarm_object(const struct ledger_alarm *alarm, uint32_t count)
{
    static const char *const places[] = {
        [SHOW_PARTNER] = "partner", [SHOW_SOURCE] = "source", [SHOW_MONITOR] = "monitor"};
    const struct reason_info *info = reason_info(alarm->reason);
    char address[ADDRESS_TEXT_SIZE], filled[REASON_RESOLUTION_MAX + 1];
    struct guidance known = ledger_guidance(alarm, address);
    json_t *object = json_object();
    member_number(object, "alarm", alarm->id);
    member_text(object, "of", places[show_place(alarm)]);
    member_text(object, "severity", severity_name(alarm->severity));
    member_number(object, "event", alarm->event);
    member_text(object, "event_name", event_name(alarm->event));
    member_text(object, "reason", info->name);
    member_number(object, "code", info->reason);
    member_text(object, "partner", alarm->name);
    member_text(object, "target", alarm->target);
    member_text(object, "address", address_text(&alarm->address, address));
    member_number(object, "port", alarm->port);
    member_time(object, "raised", alarm->raised_wall);
    member_time(object, "changed", alarm->changed_wall);
    member_number(object, "count", count);
    member_number(object, "window_s", alarm->window_seconds);
    member_number(object, "total", (int64_t)alarm->total);
    member_text(object, "detail", alarm->detail);
    member_text(object, "cause", guidance_cause(alarm->reason, &known, filled));
    member_text(object, "resolution", guidance_resolution(alarm->reason, &known, filled));
    member_text(object, "who", actor_name(info->actor));
    member_text(object, "contact", alarm->contact);
    return object;
}

static json_t *head_object(const struct show *show)
{
    json_t *object = json_object();
    member_time(object, "time", show->wall);
    member_time(object, "written", show->written);
    member_set(object, "stale", json_boolean(show_stale(show)));
    member_text(object, "health", health_name(show->health));
    member_number(object, "ok", (int64_t)show->of_health[HEALTH_OK]);
    member_number(object, "warning", (int64_t)show->of_health[HEALTH_WARNING]);
    member_number(object, "critical", (int64_t)show->of_health[HEALTH_CRITICAL]);
    member_number(object, "unknown", (int64_t)show->of_health[HEALTH_UNKNOWN]);
    member_number(object, "walks", (int64_t)show->ledger->walks);
    return object;
}

void status_json(FILE *out, const struct show *show)
{
    fputc('{', out);
    member_print(out, head_object(show), JSON_EMBED);
    fputs(",\"partners\":[", out);
    for (size_t i = 0; i < show->count; i++) {
        fputs(i ? "," : "", out);
        member_print(out, partner_object(show, &show->partners[i]), 0);
    }
    fputs("],\"alarms\":[", out);
    for (size_t i = 0; i < show->alarm_count; i++) {
        fputs(i ? "," : "", out);
        member_print(out, status_alarm_object(show->alarms[i], show_window(show, show->alarms[i])), 0);
    }
    fputs("]}\n", out);
}
