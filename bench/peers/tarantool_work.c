/* The same functions as in tarantool.lua, as C procedures of Tarantool. Numbers and texts are msgpack; from the load generator come
 * texts of the form 0xda and numbers of the form 0xcf alone. */
#include <module.h>

#include <string.h>

#include "../spin.h"

enum { SPACE = 600, KEY_MAX = 64, TUPLE_MAX = 128 };

struct key {
    const char *text; /* in the arguments */
    size_t len;
};

static uint64_t big_endian(const char *p, int bytes)
{
    uint64_t n = 0;

    while (bytes-- > 0)
        n = n << 8 | (uint8_t)*p++;
    return n;
}

/* p moves behind what was read. */
static bool read_number(const char **p, const char *end, uint64_t *n)
{
    int head = (uint8_t) * *p, bytes = head < 0x80 ? 0 : head >= 0xcc && head <= 0xcf ? 1 << (head - 0xcc) : -1;

    if (bytes < 0 || end - *p < 1 + bytes)
        return false;
    *n = bytes == 0 ? (uint64_t)head : big_endian(*p + 1, bytes);
    *p += 1 + bytes;
    return true;
}

static bool read_key(const char **p, const char *end, struct key *key)
{
    if (end - *p < 3 || (uint8_t) * *p != 0xda)
        return false;
    *key = (struct key){ *p + 3, big_endian(*p + 1, 2) };
    *p += 3 + key->len;
    return key->len <= KEY_MAX && *p <= end;
}

static char *write_text(char *p, struct key key)
{
    *p++ = (char)0xda;
    *p++ = (char)(key.len >> 8);
    *p++ = (char)key.len;
    memcpy(p, key.text, key.len);
    return p + key.len;
}

static char *write_number(char *p, uint64_t n)
{
    *p++ = (char)0xcf;
    for (int shift = 56; shift >= 0; shift -= 8)
        *p++ = (char)(n >> shift);
    return p;
}

static int get(struct key key, uint64_t *value)
{
    char request[TUPLE_MAX] = { (char)0x91 }, *end = write_text(request + 1, key);
    box_tuple_t *tuple;
    const char *field;

    if (box_index_get(SPACE, 0, request, end, &tuple) != 0)
        return -1;
    if (tuple == NULL || (field = box_tuple_field(tuple, 1)) == NULL || !read_number(&field, field + 9, value))
        return box_error_raise(ER_PROC_C, "no such account");
    return 0;
}

static int put(struct key key, uint64_t value)
{
    char tuple[TUPLE_MAX] = { (char)0x92 }, *end = write_number(write_text(tuple + 1, key), value);

    return box_replace(SPACE, tuple, end, NULL);
}

static int reply(box_function_ctx_t *ctx, uint64_t n)
{
    char out[16];

    return box_return_mp(ctx, out, write_number(out, n));
}

static int bad_arguments(void) { return box_error_raise(ER_PROC_C, "bad arguments"); }

int nop(box_function_ctx_t *ctx, const char *args, const char *end) { return box_return_mp(ctx, args + 1, end); }

int spin_(box_function_ctx_t *ctx, const char *args, const char *end) __asm__("spin");
int spin_(box_function_ctx_t *ctx, const char *args, const char *end)
{
    uint64_t rounds;

    args++;
    if (!read_number(&args, end, &rounds))
        return bad_arguments();
    return reply(ctx, (uint64_t)spin((int64_t)rounds));
}

static int move(struct key from, struct key to, uint64_t amount, uint64_t *left)
{
    uint64_t have, there;

    if (get(from, &have) != 0 || get(to, &there) != 0)
        return -1;
    if (have < amount)
        return box_error_raise(ER_PROC_C, "insufficient funds");
    *left = have - amount;
    return put(from, have - amount) != 0 || put(to, there + amount) != 0 ? -1 : 0;
}

int transfer(box_function_ctx_t *ctx, const char *args, const char *end)
{
    struct key from, to;
    uint64_t amount, left = 0;

    args++;
    if (!read_key(&args, end, &from) || !read_key(&args, end, &to) || !read_number(&args, end, &amount))
        return bad_arguments();
    if (box_txn_begin() != 0)
        return -1;
    if (move(from, to, amount, &left) != 0) {
        box_txn_rollback();
        return -1;
    }
    return box_txn_commit() != 0 ? -1 : reply(ctx, left);
}

int give_up(box_function_ctx_t *ctx, const char *args, const char *end)
{
    struct key one, two;

    (void)ctx;
    args++;
    if (!read_key(&args, end, &one) || !read_key(&args, end, &two))
        return bad_arguments();
    if (box_txn_begin() != 0 || put(one, 1) != 0 || put(two, 2) != 0)
        return -1;
    box_txn_rollback();
    return box_error_raise(ER_PROC_C, "as it was to");
}
