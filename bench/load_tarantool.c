/*
 * Load for Tarantool: iproto over a Unix socket, as guest, with no more msgpack than it takes. The first word is a function to call
 * with the others, or `replace` (a key and a value) or `add` (1 to a key) in the space SPACE.
 *
 * A message is its length (0xce, 4 bytes), a header map and a body map; numbers are big-endian. An answer's header has
 * under 0 its code, and from 0x8000 on that is an error. Answers may come in any order: their latencies are then those of
 * the oldest request that waits, so only the mean of a pipeline is exact.
 */
#include "bench/load.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    SPACE = 600,
    GREETING = 128,
    PREFIX = 5, /* of a message: its length */
    KEY_CODE = 0x00,
    KEY_SYNC = 0x01,
    KEY_SPACE = 0x10,
    KEY_INDEX = 0x11,
    KEY_KEY = 0x20,
    KEY_TUPLE = 0x21,
    KEY_FUNCTION = 0x22,
    CODE_REPLACE = 3,
    CODE_UPDATE = 4,
    CODE_CALL = 10,
    CODE_ERROR = 0x8000,
};

static void put(struct client *c, unsigned byte) { load_want(buf_add_u8(&c->out, (uint8_t)byte)); }
static void put_map(struct client *c, unsigned count) { put(c, 0x80 | count); }
static void put_array(struct client *c, size_t count) { put(c, 0x90 | (unsigned)count); } /* up to 15 */

static void put_text(struct client *c, struct bytes b)
{
    const uint8_t head[] = { 0xda, (uint8_t)(b.len >> 8), (uint8_t)b.len };

    load_want(buf_add(&c->out, head, sizeof head));
    load_want(buf_add(&c->out, b.data, b.len));
}

/* What looks like a number is one. */
static void put_word(struct client *c, struct bytes b)
{
    uint64_t n;

    if (!bytes_to_u64(b, &n)) {
        put_text(c, b);
        return;
    }
    put(c, 0xcf);
    for (int shift = 56; shift >= 0; shift -= 8)
        put(c, (unsigned)(n >> shift) & 0xff);
}

static void put_space(struct client *c)
{
    const uint8_t space[] = { KEY_SPACE, 0xcd, SPACE >> 8, SPACE & 0xff };

    load_want(buf_add(&c->out, space, sizeof space));
}

static void put_tuple(struct client *c, unsigned key, const struct bytes *words, size_t count)
{
    put(c, key);
    put_array(c, count);
    for (size_t i = 0; i < count; i++)
        put_word(c, words[i]);
}

static void put_header(struct client *c, unsigned code)
{
    put_map(c, 2);
    put(c, KEY_CODE);
    put(c, code);
    put(c, KEY_SYNC);
    put(c, 0);
}

static void put_replace(struct client *c, const struct bytes *words, size_t count)
{
    put_header(c, CODE_REPLACE);
    put_map(c, 2);
    put_space(c);
    put_tuple(c, KEY_TUPLE, words + 1, count - 1);
}

static void put_add(struct client *c, const struct bytes *words)
{
    put_header(c, CODE_UPDATE);
    put_map(c, 4);
    put_space(c);
    put(c, KEY_INDEX);
    put(c, 0);
    put_tuple(c, KEY_KEY, words + 1, 1);
    put(c, KEY_TUPLE);
    put_array(c, 1);
    put_array(c, 3); /* add to field 1 (from 0) the number 1 */
    put_text(c, bytes_str("+"));
    put(c, 1);
    put(c, 1);
}

static void put_call(struct client *c, const struct bytes *words, size_t count)
{
    put_header(c, CODE_CALL);
    put_map(c, 2);
    put(c, KEY_FUNCTION);
    put_text(c, words[0]);
    put_tuple(c, KEY_TUPLE, words + 1, count - 1);
}

static void ask(struct client *c, const struct bytes *words, size_t count)
{
    uint8_t *prefix;
    size_t begin = buf_len(&c->out), len;

    load_want(buf_reserve(&c->out, PREFIX, &prefix));
    buf_wrote(&c->out, PREFIX);
    if (bytes_equal(words[0], bytes_str("replace")))
        put_replace(c, words, count);
    else if (bytes_equal(words[0], bytes_str("add")))
        put_add(c, words);
    else
        put_call(c, words, count);
    len = buf_len(&c->out) - begin - PREFIX;
    prefix = c->out.data + c->out.off + begin; /* the buffer may have moved */
    prefix[0] = 0xce;
    for (size_t i = 1; i < PREFIX; i++)
        prefix[i] = (uint8_t)(len >> (8 * (PREFIX - 1 - i)));
}

static uint32_t big_endian(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Tarantool writes the header's code first, as a number of 4 bytes. */
static bool next(struct client *c, struct answer *answer)
{
    struct bytes in = buf_bytes(&c->in);
    const uint8_t *p = in.data;
    size_t size;

    if (in.len < PREFIX)
        return false;
    size = PREFIX + big_endian(p + 1);
    if (in.len < size)
        return false;
    if (p[0] != 0xce || size < PREFIX + 7 || p[PREFIX + 1] != KEY_CODE || p[PREFIX + 2] != 0xce)
        load_die("the server sent no iproto");
    answer->is_error = big_endian(p + PREFIX + 3) >= CODE_ERROR;
    answer->text = bytes_of(p + PREFIX, size - PREFIX);
    buf_consume(&c->in, size);
    return true;
}

static void open_tarantool(struct client *c, const char *address, const struct bytes *words, size_t count)
{
    char greeting[GREETING];

    (void)words;
    (void)count;
    c->fd = stream_connect(address);
    for (size_t have = 0; have < sizeof greeting;) {
        ssize_t n = read(c->fd, greeting + have, sizeof greeting - have);

        if (n <= 0)
            load_die("no greeting from Tarantool");
        have += (size_t)n;
    }
}

int main(int argc, char **argv)
{
    static const struct protocol tarantool = { open_tarantool, ask, stream_send, stream_receive, next };

    return load_main(argc, argv, &tarantool);
}
