/*
 * Mutated frames: fuzz_wire [seed [count]].
 *
 * Holds, for any bytes from a worker (W2): nothing crashes or reads out of bounds; a frame that is taken lies whole in
 * what was received; a body that is believed is what its own fields encode to, byte for byte, so nothing in it went
 * unread; a reply that is believed can be cut nowhere and still be believed.
 */
#include "lib/check.h"
#include "lib/value.h"
#include "lib/wire.h"
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COUNT_DEFAULT = 20000, INPUT_MAX = 1024, FRAMES_MAX = 4 };

static struct corpus kept;

/* ---- good input: each message with random fields ---- */

static const char reply[] = "\6\3\0\0\0" "\0" "\1" "12345678" "\7\1\0\0\0" "\3\1\0\0\0" "k" "\4\2\0\0\0" "OK";

static void fill_u8(uint8_t *v) { *v = (uint8_t)random_below(3); }
static void fill_u16(uint16_t *v) { *v = (uint16_t)random_below(UINT16_MAX); }
static void fill_u32(uint32_t *v) { *v = (uint32_t)random_below(UINT32_MAX); }
static void fill_u64(uint64_t *v) { *v = random_below(SIZE_MAX); }
static void fill_bytes(struct bytes *v)
{
    *v = bytes_of(reply, random_below(4) == 0 ? sizeof reply - 1 : random_below(sizeof reply));
}

#define FIELD(type, name) fill_##type(&m.name);
#define MESSAGE(name, number, ...) \
    static enum err make_##name(struct buf *b) \
    { \
        struct wire_##name m; \
        __VA_ARGS__ \
        return wire_add_##name(b, &m); \
    }
#include "lib/wire.def"
#undef MESSAGE
#undef FIELD

/* A body that is believed encodes to itself. */
#define MESSAGE(name, number, ...) \
    static bool check_##name(struct bytes body, struct buf *again) \
    { \
        struct wire_##name m; \
        if (!wire_read_##name(body, &m)) \
            return false; \
        enum err err = wire_add_##name(again, &m); \
        CHECK(err == OK); \
        return true; \
    }
#include "lib/wire.def"
#undef MESSAGE

struct message {
    uint8_t number;
    enum err (*make)(struct buf *b);
    bool (*check)(struct bytes body, struct buf *again);
};

static const struct message messages[] = {
#define MESSAGE(name, number, ...) { number, make_##name, check_##name },
#include "lib/wire.def"
#undef MESSAGE
};

enum { MESSAGES = sizeof messages / sizeof messages[0] };

/* ---- mutation, in place ---- */

static void mutate_once(uint8_t *data, size_t *len)
{
    static const uint8_t edges[] = { 0, 1, 2, 3, 4, 5, 0x7f, 0x80, 0xff };
    size_t at = random_below(*len), n = 1 + random_below(6);

    switch (random_below(5)) {
    case 0:
        data[at] ^= (uint8_t)(1 << random_below(8));
        break;
    case 1:
        data[at] = edges[random_below(sizeof edges)];
        break;
    case 2: /* a length, most likely: the frame's own, or that of its first field */
        at = random_below(2) == 0 ? 0 : WIRE_HEAD;
        if (at < *len)
            data[at] = (uint8_t)(data[at] + random_below(5) - 2);
        break;
    case 3: /* bytes lost */
        n = n < *len - at ? n : *len - at;
        memmove(data + at, data + at + n, *len - at - n);
        *len -= n;
        break;
    case 4: /* the end lost */
        *len = random_below(4) == 0 ? at : *len;
        break;
    }
}

/* Some frames in memory of their exact size. Owned by the caller. */
static struct bytes make_input(void)
{
    uint8_t *data;
    struct buf b;
    size_t len;

    buf_init(&b, INPUT_MAX);
    if (random_below(2) == 0) {
        struct bytes from = kept.list[random_below(kept.count)];
        CHECK(buf_add(&b, from.data, from.len) == OK);
    }
    for (size_t n = 1 + random_below(FRAMES_MAX); n > 0; n--) {
        enum err err = messages[random_below(MESSAGES)].make(&b);

        CHECK(err == OK || err == ERR_LIMIT);
    }
    len = buf_len(&b);
    for (size_t n = random_below(4); n > 0 && len > 0; n--)
        mutate_once(b.data, &len);
    data = malloc(len);
    CHECK(data != NULL || len == 0);
    if (len > 0)
        memcpy(data, b.data, len);
    buf_fini(&b);
    return bytes_of(data, len);
}

/* ---- what must hold ---- */

static void check_message(const struct message *message, struct bytes body, bool named)
{
    struct buf again;

    buf_init(&again, 2 * INPUT_MAX);
    if (message->check(body, &again) && named) {
        CHECK(buf_len(&again) == WIRE_HEAD + body.len);
        CHECK(bytes_equal(bytes_of(again.data + WIRE_HEAD, body.len), body));
    }
    buf_fini(&again);
}

/* The body is read as what it says it is, and as everything else: a wrong phase must be as harmless. */
static void check_body(uint8_t number, struct bytes body)
{
    struct wire_DONE done;

    for (size_t i = 0; i < MESSAGES; i++)
        check_message(&messages[i], body, messages[i].number == number);
    if (number != WIRE_DONE || !wire_read_DONE(body, &done) || !value_valid(done.reply))
        return;
    for (size_t n = 0; n < done.reply.len; n++)
        CHECK(!value_valid(bytes_of(done.reply.data, n)));
}

/* How many bytes are left over. */
static size_t check_input(struct bytes in)
{
    struct bytes body;
    uint8_t number;
    size_t used;

    while (wire_next(in, &number, &body, &used) == OK) {
        CHECK(used <= in.len);
        CHECK(body.len == used - WIRE_HEAD);
        CHECK(body.data == (const uint8_t *)in.data + WIRE_HEAD);
        check_body(number, body);
        in = bytes_of((const uint8_t *)in.data + used, in.len - used);
    }
    return in.len;
}

int main(int argc, char **argv)
{
    uint64_t count = fuzz_begin("fuzz_wire", argc, argv, COUNT_DEFAULT);

    corpus_open(&kept, "wire", "");
    for (size_t i = 0; i < kept.count; i++)
        CHECK(check_input(kept.list[i]) == 0);
    for (uint64_t i = 0; corpus_goes_on(i, count); i++) {
        struct bytes in = make_input();

        check_input(in);
        free((void *)(uintptr_t)in.data);
    }
    corpus_close(&kept);
    return 0;
}
