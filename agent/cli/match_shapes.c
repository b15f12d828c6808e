/*
 * The shape of a line: digits and what belongs to them (hexadecimal, addresses, times) become one sign, texts in quotes
 * and brackets become another, words stay. So lines that a program writes with one format string fall together. Shapes
 * are kept under the hash of their text.
 */
#include "cli/match.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define SHAPES_MAX 10000
#define SHAPE_TEXT 512
#define SLOTS      32768 /* a power of two, more than twice the shapes */

struct entry {
    uint64_t hash; /* 0 free */
    struct match_shape shape;
};

struct match_shapes {
    size_t count;
    uint64_t others;
    struct entry *slots[SLOTS];
};

struct match_shapes *match_shapes_new(void)
{
    struct match_shapes *shapes = calloc(1, sizeof *shapes);
    if (!shapes)
        abort();
    return shapes;
}

void match_shapes_free(struct match_shapes *shapes)
{
    if (!shapes)
        return;
    for (size_t i = 0; i < SLOTS; i++)
        free(shapes->slots[i]);
    free(shapes);
}

static bool in_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '.' || c == ':' || c == '@' || c == '/' ||
           c == '%' || c == '+';
}

/* FNV-1a over the shape of the line. */
static uint64_t shape_of(const char *line, size_t length)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    if (length > SHAPE_TEXT)
        length = SHAPE_TEXT;
    for (size_t i = 0; i < length;) {
        char sign = line[i];
        size_t end = i + 1;
        if (in_word(sign)) {
            bool value = false;
            for (end = i; end < length && in_word(line[end]); end++)
                value = value || isdigit((unsigned char)line[end]) || line[end] == '@';
            if (!value) {
                for (; i < end; i++)
                    hash = (hash ^ (unsigned char)line[i]) * UINT64_C(0x100000001b3);
                continue;
            }
            sign = '\1';
        } else if (sign == '"' || sign == '<' || sign == '{') {
            const char *close = memchr(line + end, sign == '"' ? '"' : sign == '<' ? '>' : '}', length - end);
            if (close)
                end = (size_t)(close + 1 - line);
            sign = '\2';
        }
        hash = (hash ^ (unsigned char)sign) * UINT64_C(0x100000001b3);
        i = end;
    }
    return hash ? hash : 1;
}

void match_shapes_add(struct match_shapes *shapes, const char *line, size_t length, uint64_t number)
{
    uint64_t hash = shape_of(line, length);
    size_t slot = hash & (SLOTS - 1);
    while (shapes->slots[slot] && shapes->slots[slot]->hash != hash)
        slot = (slot + 1) & (SLOTS - 1);
    struct entry *entry = shapes->slots[slot];
    if (!entry && shapes->count == SHAPES_MAX) {
        shapes->others++;
        return;
    }
    if (!entry) {
        entry = calloc(1, sizeof *entry);
        if (!entry)
            abort();
        entry->hash = hash;
        entry->shape.first_line = number;
        text_printable(entry->shape.example, sizeof entry->shape.example, line, length);
        shapes->slots[slot] = entry;
        shapes->count++;
    }
    entry->shape.count++;
}

static int compare(const void *left, const void *right)
{
    const struct match_shape *a = *(const struct match_shape *const *)left,
                             *b = *(const struct match_shape *const *)right;
    if (a->count != b->count)
        return a->count > b->count ? -1 : 1;
    return a->first_line < b->first_line ? -1 : a->first_line > b->first_line;
}

size_t match_shapes_top(const struct match_shapes *shapes, struct match_shape *out, size_t most)
{
    const struct match_shape **all = calloc(shapes->count + 1, sizeof *all);
    size_t count = 0;
    if (!all)
        abort();
    for (size_t i = 0; i < SLOTS; i++)
        if (shapes->slots[i])
            all[count++] = &shapes->slots[i]->shape;
    qsort(all, count, sizeof *all, compare);
    if (count > most)
        count = most;
    for (size_t i = 0; i < count; i++)
        out[i] = *all[i];
    free(all);
    return count;
}

uint64_t match_shapes_others(const struct match_shapes *shapes)
{
    return shapes->others;
}
