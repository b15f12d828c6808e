#ifndef FEDWARDEN_BASE_HASH_H
#define FEDWARDEN_BASE_HASH_H

/* A keyed hash for tables whose keys an attacker may choose: SipHash-2-4 (Aumasson, Bernstein 2012). Any thread. */

#include <stddef.h>
#include <stdint.h>

struct hash_key {
    uint64_t half[2];
};

/* hash_key_make(): a key that nobody outside the process can know. Aborts when the system gives no random octets. */
struct hash_key hash_key_make(void);

/* hash_octets(key, data, length): 64 bits that cannot be steered without knowing the key. */
uint64_t hash_octets(const struct hash_key *key, const void *data, size_t length);

#endif
