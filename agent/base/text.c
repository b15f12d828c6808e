/*
 * UTF-8 is checked by hand because every octet may come from an attacker: overlong forms, surrogates and code points
 * beyond U+10FFFF are not UTF-8 (RFC 3629). C1 controls (U+0080 to U+009F) and the line separators U+2028 and U+2029
 * are controls too: terminals and log readers act on them. So are the direction overrides U+202A to U+202E and U+2066 to
 * U+2069, with which a name can be shown as another.
 */
#include "base/text.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* The length of the UTF-8 character at `s`, 1 to 4, and its code point; 0 when `length` octets do not begin with one. */
static size_t utf8_character(const unsigned char *s, size_t length, uint32_t *point)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t size;
    uint32_t value;
    if (s[0] < 0x80) {
        *point = s[0];
        return 1;
    }
    if ((s[0] & 0xe0) == 0xc0) {
        size = 2;
        value = s[0] & 0x1f;
    } else if ((s[0] & 0xf0) == 0xe0) {
        size = 3;
        value = s[0] & 0x0f;
    } else if ((s[0] & 0xf8) == 0xf0) {
        size = 4;
        value = s[0] & 0x07;
    } else {
        return 0;
    }
    if (size > length)
        return 0;
    for (size_t i = 1; i < size; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (s[i] & 0x3f);
    }
    if (value < smallest[size] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
        return 0;
    *point = value;
    return size;
}

static bool is_control(uint32_t point)
{
    return point < 0x20 || (point >= 0x7f && point < 0xa0) || point == 0x2028 || point == 0x2029 ||
           (point >= 0x202a && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069);
}

/* Takes what is left of characters that were cut in two out of out[0..length); returns the octets that remain. */
static size_t drop_partial(char *out, size_t length)
{
    size_t kept = 0;
    for (size_t at = 0; at < length;) {
        uint32_t point;
        size_t octets = utf8_character((const unsigned char *)out + at, length - at, &point);
        if (octets && kept != at)
            memmove(out + kept, out + at, octets);
        kept += octets;
        at += octets ? octets : 1;
    }
    out[kept] = '\0';
    return kept;
}

size_t text_copy(char *out, size_t size, const char *text)
{
    if (size == 0)
        return 0;
    size_t length = strlen(text);
    if (length < size) {
        memcpy(out, text, length + 1);
        return length;
    }
    memcpy(out, text, size - 1);
    out[size - 1] = '\0';
    return drop_partial(out, size - 1);
}

__attribute__((format(printf, 3, 0)))
static size_t format_at(char *out, size_t size, const char *format, va_list arguments)
{
    if (size == 0)
        return 0;
    int length = vsnprintf(out, size, format, arguments);
    if (length < 0) {
        out[0] = '\0';
        return 0;
    }
    return drop_partial(out, (size_t)length < size ? (size_t)length : size - 1);
}

size_t text_format(char *out, size_t size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    size_t length = format_at(out, size, format, arguments);
    va_end(arguments);
    return length;
}

size_t text_append(char *out, size_t size, const char *format, ...)
{
    size_t have = strnlen(out, size);
    va_list arguments;
    va_start(arguments, format);
    size_t length = have + format_at(out + have, size - have, format, arguments);
    va_end(arguments);
    return length;
}

size_t text_printable(char *out, size_t size, const void *data, size_t length)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *s = data;
    size_t written = 0;
    if (size == 0)
        return 0;
    while (length > 0) {
        uint32_t point = 0;
        size_t octets = utf8_character(s, length, &point);
        if (octets == 0 || is_control(point)) {
            octets = octets ? octets : 1;
            if (written + 4 * octets >= size)
                break;
            for (size_t i = 0; i < octets; i++) {
                out[written++] = '\\';
                out[written++] = 'x';
                out[written++] = digits[s[i] >> 4];
                out[written++] = digits[s[i] & 15];
            }
        } else {
            if (written + octets >= size)
                break;
            memcpy(out + written, s, octets);
            written += octets;
        }
        s += octets;
        length -= octets;
    }
    out[written] = '\0';
    return written;
}

size_t text_hex(char *out, size_t size, const void *data, size_t length)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *s = data;
    size_t written = 0;
    if (size == 0)
        return 0;
    for (size_t i = 0; i < length && written + 2 < size; i++) {
        out[written++] = digits[s[i] >> 4];
        out[written++] = digits[s[i] & 15];
    }
    out[written] = '\0';
    return written;
}

#define NEAREST_MAX 63

/* Levenshtein's distance, one row at a time; a neighbour exchange counts as two. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t row[NEAREST_MAX + 1];
    size_t length = strlen(b);
    for (size_t j = 0; j <= length; j++)
        row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < length; j++) {
            size_t above = row[j + 1];
            size_t cost = diagonal + (tolower((unsigned char)a[i]) != tolower((unsigned char)b[j]));
            size_t best = above < row[j] ? above + 1 : row[j] + 1;
            row[j + 1] = cost < best ? cost : best;
            diagonal = above;
        }
    }
    return row[length];
}

const char *text_nearest(const char *word, const char *const *list, size_t count)
{
    size_t length = strlen(word);
    if (length == 0 || length > NEAREST_MAX)
        return NULL;
    size_t limit = (length + 2) / 3;
    const char *best = NULL;
    for (size_t i = 0; i < count; i++) {
        size_t other = strlen(list[i]);
        if (other > NEAREST_MAX || other > length + limit || length > other + limit)
            continue;
        size_t distance = edit_distance(word, list[i]);
        if (distance <= limit) {
            best = list[i];
            if (distance == 0)
                break;
            limit = distance - 1;
        }
    }
    return best;
}
