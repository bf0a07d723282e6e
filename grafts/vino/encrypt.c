/*
 * Encrypts what flows by: VINO's encryption graft, with a cipher of today (ChaCha20, RFC 8439). The secret, 32 bytes,
 * is a key that the graft may read and the application need not. The second key counts, so that no stream of the cipher is
 * ever used twice; a call that fails gives its number back.
 *
 *     graftctl call encrypt.block --key secret:disk --key count:disk "some text"       number (8 bytes), cipher text
 */
#include <graft.h>

#include <string.h>

GRAFT_MODULE("encrypt", "1.0.0", "encrypts what flows by");

#define SECRET 32            /* bytes */
#define STREAM 64            /* bytes of a step of the cipher */
#define TEXT_MAX (64 * 1024) /* bytes */

static uint32_t rotate(uint32_t x, int by) { return x << by | x >> (32 - by); }

static void quarter(uint32_t *x, int a, int b, int c, int d)
{
    x[a] += x[b], x[d] = rotate(x[d] ^ x[a], 16);
    x[c] += x[d], x[b] = rotate(x[b] ^ x[c], 12);
    x[a] += x[b], x[d] = rotate(x[d] ^ x[a], 8);
    x[c] += x[d], x[b] = rotate(x[b] ^ x[c], 7);
}

/* One step: 64 bytes of the stream. */
static void stream(const uint32_t state[16], uint8_t out[STREAM])
{
    uint32_t x[16];

    memcpy(x, state, sizeof x);
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 4; i++)
            quarter(x, i, 4 + i, 8 + i, 12 + i);
        for (int i = 0; i < 4; i++)
            quarter(x, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4);
    }
    for (int i = 0; i < 16; i++)
        x[i] += state[i];
    memcpy(out, x, STREAM);
}

static void encrypt(const void *secret, uint64_t number, const uint8_t *text, size_t len, uint8_t *out)
{
    uint32_t state[16] = { 0x61707865, 0x3320646e, 0x79622d32, 0x6b206574 };
    uint8_t pad[STREAM];

    memcpy(state + 4, secret, SECRET);
    memcpy(state + 14, &number, sizeof number);
    for (size_t i = 0; i < len; i++) {
        if (i % STREAM == 0) {
            stream(state, pad);
            state[12]++;
        }
        out[i] = text[i] ^ pad[i % STREAM];
    }
}

GRAFT_FUNCTION(block, "text")
{
    static uint8_t out[sizeof(uint64_t) + TEXT_MAX];
    graft_bytes text = graft_arg(call, 0), secret;
    int64_t number;
    int err;

    if (text.len > TEXT_MAX)
        return graft_abort(call, "a text has at most %d bytes, not %zu", TEXT_MAX, text.len);
    if (graft_kv_get(call, graft_key(call, 0), &secret) != GRAFT_OK || secret.len != SECRET)
        return graft_abort(call, "the first key must hold a secret of %d bytes", SECRET);
    if ((err = graft_kv_add_i64(call, graft_key(call, 1), 1, &number)) != GRAFT_OK)
        return err;
    memcpy(out, &number, sizeof number);
    encrypt(secret.data, (uint64_t)number, text.data, text.len, out + sizeof number);
    return graft_reply_bytes(call, graft_bytes_of(out, sizeof number + text.len));
}
