#ifndef FEDWARDEN_BASE_TEXT_H
#define FEDWARDEN_BASE_TEXT_H

/* Text of fixed room. Any thread. What comes from outside passes text_printable before anyone sees it. */

#include <stdarg.h>
#include <stddef.h>

/*
 * text_copy(out, size, text): copies `text` into the `size` octets of `out`, cut on the boundary of a UTF-8 character
 * where it does not fit, always terminated. Returns the octets written, without the terminator.
 */
size_t text_copy(char *out, size_t size, const char *text);

/*
 * text_format(out, size, format, ...): as snprintf, but cut on the boundary of a character, at the end and where a
 * precision such as %.20s cuts; octets that are not UTF-8 are left out. Returns octets written.
 */
size_t text_format(char *out, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* text_append(out, size, format, ...): the same behind what `out` already holds. Returns the octets now in `out`. */
size_t text_append(char *out, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

/*
 * text_printable(out, size, data, length): copies `length` octets from outside as printable UTF-8: control characters,
 * NUL, line ends and octets that are not UTF-8 become \xNN. Cut on a character's boundary. Returns octets written.
 */
size_t text_printable(char *out, size_t size, const void *data, size_t length);

/* text_hex(out, size, data, length): lower-case hexadecimal; cut at `size`. Returns octets written. */
size_t text_hex(char *out, size_t size, const void *data, size_t length);

/*
 * text_nearest(word, list, count): the entry of `list` that a mistyped `word` most likely means (edit distance of at
 * most a third of its length), or NULL. For "did you mean".
 */
const char *text_nearest(const char *word, const char *const *list, size_t count);

#endif
