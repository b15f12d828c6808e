#ifndef FEDWARDEN_CLI_MEMBER_H
#define FEDWARDEN_CLI_MEMBER_H

/* Members of JSON objects that are printed. All abort without memory. Main thread. */

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

/* member_string(text): a string; what is not UTF-8 becomes printable first. */
json_t *member_string(const char *text);

/* member_append(array, value): takes over `value`. */
void member_append(json_t *array, json_t *value);

/* member_set(object, name, value): takes over `value`. */
void member_set(json_t *object, const char *name, json_t *value);

void member_text(json_t *object, const char *name, const char *text);
void member_number(json_t *object, const char *name, int64_t number);

/* member_time(object, name, wall): RFC 3339 in UTC, to the second; null for CLOCK_NEVER. */
void member_time(json_t *object, const char *name, int64_t wall);

/* member_print(out, object, flags): compact, frees it; flags: more of jansson's. */
void member_print(FILE *out, json_t *object, size_t flags);

#endif
