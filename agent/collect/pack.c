/*
 * Octet by octet, so that no alignment and no byte order of a machine comes in. A value either fits as a whole or is left
 * out.
 */
#include "collect/pack.h"

#include <stdlib.h>
#include <string.h>

/* Room for `length` more octets; NULL: they would be too many. */
static unsigned char *more(struct pack *pack, size_t length)
{
    if (pack->full || length > pack->most - pack->length) {
        pack->full = true;
        return NULL;
    }
    if (length > pack->room - pack->length) {
        size_t room = pack->room ? 2 * pack->room : 512;
        while (room < pack->length + length)
            room *= 2;
        pack->data = realloc(pack->data, room);
        if (!pack->data)
            abort();
        pack->room = room;
    }
    unsigned char *at = pack->data + pack->length;
    pack->length += length;
    return at;
}

static void put_number(unsigned char *at, uint64_t value, size_t octets)
{
    for (size_t i = 0; i < octets; i++)
        at[i] = (unsigned char)(value >> 8 * i);
}

static void pack_number(struct pack *pack, uint64_t value, size_t octets)
{
    unsigned char *at = more(pack, octets);
    if (at)
        put_number(at, value, octets);
}

void pack_u8(struct pack *pack, uint8_t value)
{
    pack_number(pack, value, 1);
}

void pack_u32(struct pack *pack, uint32_t value)
{
    pack_number(pack, value, 4);
}

void pack_u64(struct pack *pack, uint64_t value)
{
    pack_number(pack, value, 8);
}

void pack_data(struct pack *pack, const void *data, size_t length)
{
    unsigned char *at = length <= UINT32_MAX - 4 ? more(pack, 4 + length) : NULL;
    if (!at) {
        pack->full = true;
        return;
    }
    put_number(at, length, 4);
    if (length)
        memcpy(at + 4, data, length);
}

void pack_text(struct pack *pack, const char *text)
{
    pack_data(pack, text, strlen(text));
}

void pack_cut(struct pack *pack, size_t length)
{
    pack->length = length;
    pack->full = false;
}

void pack_set_u32(struct pack *pack, size_t at, uint32_t value)
{
    if (at + 4 <= pack->length)
        put_number(pack->data + at, value, 4);
}

static const unsigned char *next(struct unpack *unpack, size_t length)
{
    if (unpack->bad || length > unpack->length) {
        unpack->bad = true;
        return NULL;
    }
    const unsigned char *at = unpack->data;
    unpack->data += length;
    unpack->length -= length;
    return at;
}

static uint64_t unpack_number(struct unpack *unpack, size_t octets)
{
    const unsigned char *at = next(unpack, octets);
    uint64_t value = 0;
    for (size_t i = 0; at && i < octets; i++)
        value |= (uint64_t)at[i] << 8 * i;
    return value;
}

uint8_t unpack_u8(struct unpack *unpack)
{
    return (uint8_t)unpack_number(unpack, 1);
}

uint32_t unpack_u32(struct unpack *unpack)
{
    return (uint32_t)unpack_number(unpack, 4);
}

uint64_t unpack_u64(struct unpack *unpack)
{
    return unpack_number(unpack, 8);
}

const unsigned char *unpack_data(struct unpack *unpack, size_t *length, size_t most)
{
    size_t told = unpack_u32(unpack);
    if (told > most)
        unpack->bad = true;
    const unsigned char *at = next(unpack, told);
    *length = at ? told : 0;
    return at;
}

void unpack_text(struct unpack *unpack, char *out, size_t size)
{
    size_t length;
    const unsigned char *data = unpack_data(unpack, &length, size - 1);
    if (data && memchr(data, '\0', length)) {
        unpack->bad = true;
        length = 0;
    }
    if (length)
        memcpy(out, data, length);
    out[length] = '\0';
}
