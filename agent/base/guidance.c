/*
 * The words that stand for somebody are the placeholders, so that the list reads well where nobody is meant: in explain,
 * the catalogue of the MIB and the manual. Each value is named once in a text, at the first of its words; of words that
 * begin alike the longer ones come first.
 */
#include "base/guidance.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "base/advice.h"
#include "base/text.h"

enum value { PARTNER, WHOM, TARGET, PEER, ADDRESS, PORT, VALUES };

static const struct phrase {
    const char *words;
    enum value value;
    const char *before, *after; /* what remains around the value */
} phrases[] = {
    {"The partner", PARTNER, "", ""},
    {"Partner sends", PARTNER, "", " sends"},
    {"from a partner", PARTNER, "from ", ", a partner"},
    {"this partner", PARTNER, "", ""},
    {"the partner's", PARTNER, "", "'s"},
    {"sk the partner", WHOM, "sk ", ""},
    {"ell the partner", WHOM, "ell ", ""},
    {"end the partner", WHOM, "end ", ""},
    {"nform the partner", WHOM, "nform ", ""},
    {"with the partner", WHOM, "with ", ""},
    {"to the partner", WHOM, "to ", ""},
    {"The peer", PEER, "", ""},
    {"The host answers", TARGET, "", " answers"},
    {"The name does", TARGET, "The name ", " does"},
    {"The domain exists", TARGET, "The domain ", " exists"},
    {"to a domain", TARGET, "to ", ", a domain"},
    {"cannot reach the domain", TARGET, "cannot reach ", ""},
    {"for this domain", TARGET, "for ", ""},
    {"from one address", ADDRESS, "from ", ""},
    {"owns the address", ADDRESS, "owns ", ""},
    {"block the source", ADDRESS, "block ", ""},
    {"blocked the source", ADDRESS, "blocked ", ""},
    {"Peer address is", ADDRESS, "The address ", " is"},
    {"on the port", PORT, "on port ", ""},
    {"for this port", PORT, "for port ", ""},
};

/* The place of the words in the text, as a whole and in that sense: "the partner domain" is none. */
static char *find(char *text, const char *words)
{
    size_t length = strlen(words);
    for (char *at = text; (at = strstr(at, words)); at += length)
        if (!isalnum((unsigned char)at[length]) && at[length] != '/' && strncmp(at + length, " domain", 7) != 0)
            return at;
    return NULL;
}

/* Replaces the words of the phrase when there is room for the value. */
static bool replace(char *text, size_t size, const struct phrase *phrase, const char *value)
{
    char rest[REASON_RESOLUTION_MAX + 1];
    char *at = find(text, phrase->words);
    if (!at)
        return false;
    text_copy(rest, sizeof rest, at + strlen(phrase->words));
    if ((size_t)(at - text) + strlen(phrase->before) + strlen(value) + strlen(phrase->after) + strlen(rest) >= size)
        return false;
    text_format(at, size - (size_t)(at - text), "%s%s%s%s", phrase->before, value, phrase->after, rest);
    return true;
}

static void fill(char *text, size_t size, const struct guidance *known)
{
    char values[VALUES][REASON_RESOLUTION_MAX + 1] = {""};
    text_printable(values[PARTNER], sizeof values[PARTNER], known->partner, strlen(known->partner));
    text_copy(values[WHOM], sizeof values[WHOM], values[PARTNER]);
    if (*known->partner && *known->contact) {
        char contact[REASON_RESOLUTION_MAX + 1];
        text_printable(contact, sizeof contact, known->contact, strlen(known->contact));
        text_format(values[WHOM], sizeof values[WHOM], "%s (%s)", values[PARTNER], contact);
    }
    text_printable(values[TARGET], sizeof values[TARGET], known->target, strlen(known->target));
    text_copy(values[ADDRESS], sizeof values[ADDRESS], known->address);
    text_copy(values[PEER], sizeof values[PEER], *values[TARGET] ? values[TARGET] : values[ADDRESS]);
    if (known->port)
        text_format(values[PORT], sizeof values[PORT], "%u", known->port);
    for (size_t i = 0; i < sizeof phrases / sizeof phrases[0]; i++) {
        char *value = values[phrases[i].value];
        if (*value && replace(text, size, &phrases[i], value))
            *value = '\0';
    }
}

const char *guidance_cause(enum reason reason, const struct guidance *known, char out[REASON_CAUSE_MAX + 1])
{
    text_copy(out, REASON_CAUSE_MAX + 1, reason_info(reason)->cause);
    fill(out, REASON_CAUSE_MAX + 1, known);
    return out;
}

const char *guidance_resolution(enum reason reason, const struct guidance *known, char out[REASON_RESOLUTION_MAX + 1])
{
    if (known->detail && *known->detail)
        return reason_advice(reason, known, out);
    text_copy(out, REASON_RESOLUTION_MAX + 1, reason_info(reason)->resolution);
    fill(out, REASON_RESOLUTION_MAX + 1, known);
    return out;
}
