#include "lib/hash.h"

#include "lib/check.h"

#include <sodium.h>
#include <string.h>

static unsigned char hash_key[crypto_shorthash_KEYBYTES];

void hash_init(void)
{
    int ready = sodium_init();

    CHECK(ready >= 0);
    crypto_shorthash_keygen(hash_key);
}

/* One system call however much is asked for: the kernel gives the key of a stream. */
void hash_random(void *out, size_t n)
{
    unsigned char seed[randombytes_SEEDBYTES];

    randombytes_buf(seed, sizeof seed);
    randombytes_buf_deterministic(out, n, seed);
    sodium_memzero(seed, sizeof seed);
}

uint64_t hash_bytes(struct bytes b)
{
    unsigned char out[crypto_shorthash_BYTES];
    uint64_t h;

    crypto_shorthash(out, b.data, b.len, hash_key);
    memcpy(&h, out, sizeof h);
    return h;
}

void hash_sha256(struct bytes b, char hex[SHA256_HEX + 1])
{
    unsigned char digest[crypto_hash_sha256_BYTES];

    crypto_hash_sha256(digest, b.data, b.len);
    sodium_bin2hex(hex, SHA256_HEX + 1, digest, sizeof digest);
}
