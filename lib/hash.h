/*
 * Digests, keyed hashes and random bytes: the only home of libsodium in the daemon and the tools.
 */
#ifndef GRAFTD_LIB_HASH_H
#define GRAFTD_LIB_HASH_H

#include "lib/buf.h"

enum { SHA256_HEX = 64 }; /* characters, without the NUL */

/* Once, before anything else here. */
void hash_init(void);
void hash_random(void *out, size_t n);
/* Keyed with a secret of this process, so that nobody outside can make keys collide (SipHash-2-4). */
uint64_t hash_bytes(struct bytes b);
void hash_sha256(struct bytes b, char hex[SHA256_HEX + 1]);

#endif
