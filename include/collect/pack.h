#ifndef FEDWARDEN_COLLECT_PACK_H
#define FEDWARDEN_COLLECT_PACK_H

/*
 * Values as octets, to be kept outside of the process and read back: little endian, texts and data behind their lengths.
 * Both directions remember that something did not fit, so that it is asked for once, at the end. Any thread; one each.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Octets that grow, up to `most`. {.most = ...} at first; `data` is freed by the caller. */
struct pack {
    unsigned char *data;
    size_t length, room, most;
    bool full; /* something did not fit and is not there */
};

void pack_u8(struct pack *pack, uint8_t value);
void pack_u32(struct pack *pack, uint32_t value);
void pack_u64(struct pack *pack, uint64_t value);
void pack_data(struct pack *pack, const void *data, size_t length);
void pack_text(struct pack *pack, const char *text);
/* pack_cut(pack, length): back to when it had so many octets; what did not fit since then is forgotten. */
void pack_cut(struct pack *pack, size_t length);
/* pack_set_u32(pack, at, value): replaces what pack_u32 put there. */
void pack_set_u32(struct pack *pack, size_t at, uint32_t value);

/* Octets that are read. Behind the first that are not there, everything is 0 or empty. */
struct unpack {
    const unsigned char *data;
    size_t length; /* that are left */
    bool bad;
};

uint8_t unpack_u8(struct unpack *unpack);
uint32_t unpack_u32(struct unpack *unpack);
uint64_t unpack_u64(struct unpack *unpack);
/* unpack_data(unpack, length, most): NULL when it is bad or longer than `most`, which is bad too. */
const unsigned char *unpack_data(struct unpack *unpack, size_t *length, size_t most);
/* unpack_text(unpack, out, size): terminated; bad when it does not fit or has a zero in it. */
void unpack_text(struct unpack *unpack, char *out, size_t size);

#endif
