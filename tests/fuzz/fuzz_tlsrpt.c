/*
 * libFuzzer: any octets as a report of RFC 8460.
 *
 * What must hold: tlsrpt_parse ends, with rows that are what collect/tlsrpt.h promises and add up to the failures, or
 * with a printable error and an empty report.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "collect/tlsrpt.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static struct conf_partner partners[] = {
    {.name = "contoso", .domain = "contoso.example"},
    {.name = "fabrikam", .domain = "fabrikam.example"},
};
static const char *domains[] = {"alpha.example"};
static const struct conf conf = {
    .partner_count = 2, .partners = partners, .edge = {.domain_count = 1, .domains = domains}};

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    struct tlsrpt_report report;
    char error[256];
    if (!tlsrpt_parse(data, size, &conf, &report, error, sizeof error)) {
        require(*error && !report.observations && !report.count, "an error and nothing else");
        require_printable(error, sizeof error);
        return 0;
    }
    require(report.count <= TLSRPT_ROWS_MAX, "rows");
    uint64_t sum = 0;
    bool cut = false;
    for (size_t i = 0; i < report.count; i++) {
        const struct observation_event *event = &report.observations[i].event;
        require(report.observations[i].kind == OBSERVATION_EVENT && event->event == EVENT_TLS_OUTGOING, "event");
        require(event->count >= 1 && event->count <= 1000000, "count");
        require(reason_info(event->reason)->actor == ACTOR_US, "we have to act");
        require_printable(event->detail, sizeof event->detail);
        require_printable(event->target, sizeof event->target);
        require(*event->target, "target");
        sum += event->count;
        cut = cut || event->count == 1000000;
    }
    require(cut || sum == report.failures, "rows add up");
    require_printable(report.organization, sizeof report.organization);
    require_printable(report.id, sizeof report.id);
    tlsrpt_clear(&report);
    return 0;
}
