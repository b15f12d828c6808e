/*
 * A notification carries 128 octets of detail, so the values that its resolution asks for come first: which users were
 * tried, which of the validations failed, whose certificate that was; then what the rule gave, and the rule.
 */
#include "base/text.h"
#include "ledger/event_apply.h"

#include <inttypes.h>

static void separate(char *out, size_t size)
{
    if (out[0])
        text_append(out, size, "; ");
}

static void add_users(const struct ledger_source *source, char *out, size_t size)
{
    for (size_t i = 0; i < source->user_count; i++)
        text_append(out, size, "%s%s",
                    i                                              ? ", "
                    : source->user_count > 1 || source->users_more ? "users "
                                                                   : "user ",
                    source->users[i]);
    if (source->users_more)
        text_append(out, size, " and others");
}

static void add_certificate(const struct observation_event *told, char *out, size_t size)
{
    const struct {
        const char *name, *value;
    } parts[] = {{"serial", told->serial}, {"issuer", told->issuer}, {"subject", told->subject}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (parts[i].value[0])
            text_append(out, size, "%s%s %.48s", out[0] ? ", " : "", parts[i].name, parts[i].value);
}

static void add_reasons(const struct ledger_source *source, char *out, size_t size)
{
    separate(out, size);
    for (size_t i = 0; i < source->reason_count; i++)
        text_append(out, size, "%s%s %" PRIu64, i ? ", " : "", reason_name(source->reasons[i].reason),
                    source->reasons[i].count);
    if (source->reasons_other)
        text_append(out, size, ", others %" PRIu64, source->reasons_other);
}

/* Which of the validations it was, and who asked for what. */
static void add_validation(enum reason reason, const struct observation_event *told, char *out, size_t size)
{
    char text[ADDRESS_TEXT_SIZE];
    const char *what = reason == REASON_DOM_USER_UNKNOWN           ? "unknown user"
                       : reason == REASON_DOM_SENDER_NOT_ALLOWED   ? "sender's domain not allowed"
                       : reason == REASON_DOM_RECIPIENT_NOT_LOCAL  ? "recipient's domain not ours"
                       : reason == REASON_DOM_OUTBOUND_UNSUPPORTED ? "domain not federated"
                       : reason == REASON_DOM_OUTBOUND_WRONG_ROUTE ? "wrong route"
                                                                   : reason_name(reason);
    text_append(out, size, "%s:", what);
    if (told->user[0])
        text_append(out, size, " user %s", told->user);
    if (told->domain[0])
        text_append(out, size, " of %s", told->domain);
    if (told->target[0])
        text_append(out, size, " to %s", told->target);
    if (told->address.family != ADDRESS_UNKNOWN)
        text_append(out, size, " from %s", address_text(&told->address, text));
}

void event_describe(enum event event, enum reason reason, const struct observation_event *told,
                    const struct ledger_source *source, char *out, size_t size)
{
    out[0] = '\0';
    switch (event) {
    case EVENT_AUTH_SOURCE:
        if (source && source->user_count)
            add_users(source, out, size);
        else if (told->user[0])
            text_append(out, size, "user %s", told->user);
        if (told->domain[0])
            text_append(out, size, "%sas %s", out[0] ? " " : "", told->domain);
        break;
    case EVENT_INVALID_CERT:
        add_certificate(told, out, size);
        if (source)
            add_reasons(source, out, size);
        break;
    case EVENT_DOMAIN_PARTNER:
    case EVENT_DOMAIN_LOCAL:
        add_validation(reason, told, out, size);
        break;
    default:
        if (told->user[0])
            text_append(out, size, "user %s", told->user);
        break;
    }
    if (told->detail[0]) {
        separate(out, size);
        text_append(out, size, "%s", told->detail);
    }
    if (told->rule[0])
        text_append(out, size, "%s(%s)", out[0] ? " " : "", told->rule);
}
