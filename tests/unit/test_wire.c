/* Every message of lib/wire.def round-trips, and nothing shorter, longer or larger is taken for one (W2). */
#include "lib/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { TEST_SECONDS_MAX = 60, BUF_MAX = 1024 * 1024, NUMBERS = 256 };

/* Values that differ from field to field, with bytes of 0 to 6. */
static uint64_t counter;

static void fill_u8(uint8_t *v) { *v = (uint8_t)(0xf0 + counter++); }
static void fill_u16(uint16_t *v) { *v = (uint16_t)(0xf1f0 + counter++); }
static void fill_u32(uint32_t *v) { *v = (uint32_t)(0xf3f2f1f0 + counter++); }
static void fill_u64(uint64_t *v) { *v = 0xf7f6f5f4f3f2f1f0 + counter++; }
static void fill_bytes(struct bytes *v) { *v = bytes_of("\0\xff""abcd", counter++ % 7); }

static bool same_u8(uint8_t a, uint8_t b) { return a == b; }
static bool same_u16(uint16_t a, uint16_t b) { return a == b; }
static bool same_u32(uint32_t a, uint32_t b) { return a == b; }
static bool same_u64(uint64_t a, uint64_t b) { return a == b; }
static bool same_bytes(struct bytes a, struct bytes b) { return bytes_equal(a, b); }

/* Bytes in memory of their exact size, so that a sanitizer sees a read past the end. */
static struct bytes exact_copy(struct bytes b)
{
    uint8_t *copy = malloc(b.len);

    if (b.len > 0)
        memcpy(copy, b.data, b.len);
    return bytes_of(copy, b.len);
}

static void free_copy(struct bytes b) { free((void *)(uintptr_t)b.data); }

/* How a message of either kind is read into memory that is thrown away. */
typedef bool read_fn(struct bytes body);

static void assert_read_to_the_last_byte(struct bytes body, read_fn *read)
{
    uint8_t *longer = calloc(1, body.len + 1);

    for (size_t n = 0; n < body.len; n++) {
        struct bytes cut = exact_copy(bytes_of(body.data, n));

        assert_false(read(cut));
        free_copy(cut);
    }
    if (body.len > 0)
        memcpy(longer, body.data, body.len);
    assert_false(read(bytes_of(longer, body.len + 1)));
    free(longer);
}

/* The frame comes out again only when it is whole. */
static struct bytes assert_frame(struct bytes frame, uint8_t want)
{
    uint8_t number = 0;
    struct bytes body = { NULL, 0 };
    size_t used;

    for (size_t n = 0; n < frame.len; n++) {
        struct bytes cut = exact_copy(bytes_of(frame.data, n));

        assert_int_equal(wire_next(cut, &number, &body, &used), ERR_AGAIN);
        assert_int_equal(used, n < 4 ? 0 : frame.len);
        assert_int_equal(number, 0);
        free_copy(cut);
    }
    assert_int_equal(wire_next(frame, &number, &body, &used), OK);
    assert_int_equal(number, want);
    assert_int_equal(used, frame.len);
    assert_int_equal(body.len, frame.len - WIRE_HEAD);
    return body;
}

#define FIELD(type, name) fill_##type(&m->name);
#define MESSAGE(name, number, ...) \
    static void fill_##name(struct wire_##name *m) \
    { \
        (void)m; \
        __VA_ARGS__ \
    }
#include "lib/wire.def"
#undef MESSAGE
#undef FIELD

#define FIELD(type, name) && same_##type(a->name, b->name)
#define MESSAGE(name, number, ...) \
    static bool same_##name(const struct wire_##name *a, const struct wire_##name *b) \
    { \
        (void)a, (void)b; \
        return true __VA_ARGS__; \
    }
#include "lib/wire.def"
#undef MESSAGE
#undef FIELD

#define MESSAGE(name, number, ...) \
    static bool discard_##name(struct bytes body) \
    { \
        struct wire_##name m; \
        return wire_read_##name(body, &m); \
    } \
    static void check_##name(void) \
    { \
        struct wire_##name m, back; \
        struct bytes body; \
        struct buf b; \
        buf_init(&b, BUF_MAX); \
        fill_##name(&m); \
        assert_int_equal(wire_add_##name(&b, &m), OK); \
        body = assert_frame(buf_bytes(&b), number); \
        assert_true(wire_read_##name(body, &back)); \
        assert_true(same_##name(&m, &back)); \
        assert_read_to_the_last_byte(body, discard_##name); \
        assert_string_equal(wire_name(number), #name); \
        buf_fini(&b); \
    }
#include "lib/wire.def"
#undef MESSAGE

static void every_message_round_trips_and_is_exact(void **state)
{
    (void)state;
    for (int round = 0; round < 7; round++) { /* each field of bytes has each length once */
        counter = (uint64_t)round;
#define MESSAGE(name, number, ...) check_##name();
#include "lib/wire.def"
#undef MESSAGE
    }
}

static void names_only_what_is_in_the_table(void **state)
{
    size_t named = 0, messages = 0;

    (void)state;
#define MESSAGE(name, number, ...) messages++;
#include "lib/wire.def"
#undef MESSAGE
    for (int n = 0; n < NUMBERS; n++)
        named += wire_name((uint8_t)n) != NULL;
    assert_int_equal(named, messages);
    assert_null(wire_name(0));
}

static void refuses_frames_of_impossible_length(void **state)
{
    struct bytes body;
    uint8_t number;
    size_t used;
    struct buf b;

    (void)state;
    buf_init(&b, BUF_MAX);
    assert_int_equal(buf_add_u32(&b, 0), OK);
    assert_int_equal(wire_next(buf_bytes(&b), &number, &body, &used), ERR_PROTOCOL);
    buf_clear(&b);
    assert_int_equal(buf_add_u32(&b, WIRE_FRAME_MAX), OK);
    assert_int_equal(wire_next(buf_bytes(&b), &number, &body, &used), ERR_AGAIN);
    assert_int_equal(used, sizeof(uint32_t) + WIRE_FRAME_MAX);
    buf_clear(&b);
    assert_int_equal(buf_add_u32(&b, WIRE_FRAME_MAX + 1), OK);
    assert_int_equal(wire_next(buf_bytes(&b), &number, &body, &used), ERR_PROTOCOL);
    buf_clear(&b);
    assert_int_equal(buf_add_u32(&b, UINT32_MAX), OK);
    assert_int_equal(wire_next(buf_bytes(&b), &number, &body, &used), ERR_PROTOCOL);
    buf_fini(&b);
}

static void adds_a_whole_frame_or_nothing(void **state)
{
    struct wire_KV_PUT m = { bytes_str("key"), bytes_str("value") };
    size_t whole = WIRE_HEAD + 4 + 3 + 4 + 5;
    struct buf b;

    (void)state;
    for (size_t max = 0; max <= whole; max++) {
        buf_init(&b, 2 + max);
        assert_int_equal(buf_add_str(&b, "xy"), OK);
        assert_int_equal(wire_add_KV_PUT(&b, &m), max == whole ? OK : ERR_LIMIT);
        assert_int_equal(buf_len(&b), max == whole ? 2 + whole : 2);
        assert_memory_equal(buf_bytes(&b).data, "xy", 2);
        buf_fini(&b);
    }
}

static void adds_no_frame_that_would_be_refused(void **state)
{
    size_t most = WIRE_FRAME_MAX - 1 - 4; /* the number and the length of the only field */
    struct wire_DYING m = { bytes_of(calloc(1, most + 1), most) };
    struct bytes body;
    uint8_t number;
    size_t used;
    struct buf b;

    (void)state;
    buf_init(&b, 2 * (size_t)WIRE_FRAME_MAX);
    assert_int_equal(wire_add_DYING(&b, &m), OK);
    assert_int_equal(wire_next(buf_bytes(&b), &number, &body, &used), OK);
    buf_clear(&b);
    m.text.len++;
    assert_int_equal(wire_add_DYING(&b, &m), ERR_LIMIT);
    assert_int_equal(buf_len(&b), 0);
    buf_fini(&b);
    free_copy(m.text);
}

static void takes_frames_one_after_the_other(void **state)
{
    struct wire_KV_GET get = { 1, bytes_str("k") };
    struct wire_READY ready;
    struct bytes body;
    uint8_t number;
    size_t used;
    struct buf b;

    (void)state;
    buf_init(&b, BUF_MAX);
    assert_int_equal(wire_add_READY(&b, &ready), OK);
    assert_int_equal(wire_add_KV_GET(&b, &get), OK);
    assert_int_equal(wire_next(buf_bytes(&b), &number, &body, &used), OK);
    assert_int_equal(number, WIRE_READY);
    assert_int_equal(body.len, 0);
    buf_consume(&b, used);
    assert_int_equal(wire_next(buf_bytes(&b), &number, &body, &used), OK);
    assert_int_equal(number, WIRE_KV_GET);
    buf_consume(&b, used);
    assert_int_equal(wire_next(buf_bytes(&b), &number, &body, &used), ERR_AGAIN);
    buf_fini(&b);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_round_trips_and_is_exact),
        cmocka_unit_test(names_only_what_is_in_the_table),
        cmocka_unit_test(refuses_frames_of_impossible_length),
        cmocka_unit_test(adds_a_whole_frame_or_nothing),
        cmocka_unit_test(adds_no_frame_that_would_be_refused),
        cmocka_unit_test(takes_frames_one_after_the_other),
    };

    alarm(TEST_SECONDS_MAX);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
