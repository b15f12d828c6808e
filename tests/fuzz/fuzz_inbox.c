/*
 * libFuzzer: any octets as a message to the inbox.
 *
 * What must hold: inbox_parse ends with an observation that is what collect/inbox.h promises, or with an error that has
 * a printable text; either has an answer that is one JSON object.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "collect/inbox.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static struct conf_partner partners[] = {
    {.name = "contoso", .domain = "contoso.example"},
    {.name = "fabrikam", .domain = "fabrikam.example"},
};
static const struct conf conf = {.partner_count = 2, .partners = partners};

static void check_event(const struct observation *observation)
{
    const struct observation_event *event = &observation->event;
    struct address address = event->address;
    char name[OBSERVATION_NAME];
    require(observation->kind == OBSERVATION_EVENT, "kind");
    require(observation->partner < conf.partner_count || observation->partner == OBSERVATION_NO_PARTNER, "partner");
    require(event->event >= EVENT_TLS_OUTGOING && event->event <= EVENT_DNS, "event");
    require(reason_info(event->reason)->reason == event->reason && event->reason != REASON_NONE, "reason");
    require(event->count >= 1 && event->count <= INBOX_COUNT_MAX, "count");
    require(address.family <= ADDRESS_IPV6, "address");
    require(!*event->domain || (conf_hostname(event->domain, name) && strcmp(name, event->domain) == 0), "domain");
    require(strspn(event->serial, "0123456789abcdef") == strlen(event->serial), "serial");
    require_printable(event->target, sizeof event->target);
    require_printable(event->user, sizeof event->user);
    require_printable(event->subject, sizeof event->subject);
    require_printable(event->issuer, sizeof event->issuer);
    require_printable(event->detail, sizeof event->detail);
    require(observation->partner != OBSERVATION_NO_PARTNER || *event->domain || *event->target ||
                address.family != ADDRESS_UNKNOWN,
            "it is about somebody");
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    struct observation observation;
    struct inbox_error error;
    char answer[INBOX_ANSWER_MAX];
    json_error_t problem;
    bool good = inbox_parse((const char *)data, size, &conf, &observation, &error);
    if (good) {
        check_event(&observation);
    } else {
        require(*error.text, "an error has a text");
        require_printable(error.text, sizeof error.text);
        require_printable(error.field, sizeof error.field);
    }
    size_t length = inbox_answer(good ? NULL : &error, answer);
    json_t *object = json_loadb(answer, length, JSON_REJECT_DUPLICATES, &problem);
    require(object && json_is_boolean(json_object_get(object, "ok")), "an answer is JSON");
    json_decref(object);
    return 0;
}
