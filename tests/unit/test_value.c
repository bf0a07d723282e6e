/* What a worker sends as a reply is believed only when it is exactly one well-formed value within the bounds (W2). */
#include "lib/value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { TEST_SECONDS_MAX = 60, BUF_MAX = 2 * VALUE_SIZE_MAX };

#define LITERAL(s) bytes_of(s, sizeof(s) - 1)

/* Bytes in memory of their exact size, so that a sanitizer sees a read past the end. */
static bool valid(struct bytes b)
{
    uint8_t *copy = malloc(b.len);
    bool yes;

    if (b.len > 0)
        memcpy(copy, b.data, b.len);
    yes = value_valid(bytes_of(copy, b.len));
    free(copy);
    return yes;
}

static void accepts_each_kind_whole_and_exact(void **state)
{
    const struct bytes rows[] = {
        LITERAL("\0"),
        LITERAL("\1" "12345678"),
        LITERAL("\2" "12345678"),
        LITERAL("\3\0\0\0\0"),
        LITERAL("\3\4\0\0\0" "a\r\n\0"),
        LITERAL("\4\2\0\0\0" "OK"),
        LITERAL("\5\4\0\0\0" "ERR "),
        LITERAL("\6\0\0\0\0"),
        LITERAL("\6\2\0\0\0" "\0" "\6\1\0\0\0" "\0"),
        LITERAL("\7\0\0\0\0"),
        LITERAL("\7\1\0\0\0" "\0" "\7\1\0\0\0" "\0\0"),
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t longer[64] = { 0 };

        assert_true(valid(rows[i]));
        for (size_t n = 0; n < rows[i].len; n++)
            assert_false(valid(bytes_of(rows[i].data, n)));
        memcpy(longer, rows[i].data, rows[i].len);
        assert_false(valid(bytes_of(longer, rows[i].len + 1)));
    }
}

static void refuses_unknown_kinds(void **state)
{
    uint8_t in[64] = { 0 };

    (void)state;
    for (unsigned kind = VALUE_MAP + 1; kind <= UINT8_MAX; kind++) {
        in[0] = (uint8_t)kind;
        for (size_t n = 1; n < sizeof in; n++)
            assert_false(valid(bytes_of(in, n)));
    }
}

static void refuses_control_bytes_in_lines(void **state)
{
    uint8_t in[6] = { 0, 1, 0, 0, 0, 0 };

    (void)state;
    for (unsigned c = 0; c <= UINT8_MAX; c++) {
        bool plain = c >= 0x20 && c != 0x7f;

        in[5] = (uint8_t)c;
        in[0] = VALUE_STATUS;
        assert_int_equal(valid(bytes_of(in, sizeof in)), plain);
        in[0] = VALUE_ERROR;
        assert_int_equal(valid(bytes_of(in, sizeof in)), plain);
        in[0] = VALUE_BYTES;
        assert_true(valid(bytes_of(in, sizeof in)));
    }
}

/* Arrays or maps inside each other around one nil; a map's key is a nil. */
static bool valid_nested(enum value kind, size_t depth)
{
    struct buf b;
    bool yes;

    buf_init(&b, BUF_MAX);
    for (size_t i = 0; i < depth; i++) {
        assert_int_equal(buf_add_u8(&b, (uint8_t)kind), OK);
        assert_int_equal(buf_add_u32(&b, 1), OK);
        if (kind == VALUE_MAP)
            assert_int_equal(buf_add_u8(&b, VALUE_NIL), OK);
    }
    assert_int_equal(buf_add_u8(&b, VALUE_NIL), OK);
    yes = valid(buf_bytes(&b));
    buf_fini(&b);
    return yes;
}

static void nests_to_the_exact_depth(void **state)
{
    (void)state;
    assert_true(valid_nested(VALUE_ARRAY, VALUE_DEPTH_MAX));
    assert_false(valid_nested(VALUE_ARRAY, VALUE_DEPTH_MAX + 1));
    assert_true(valid_nested(VALUE_MAP, VALUE_DEPTH_MAX));
    assert_false(valid_nested(VALUE_MAP, VALUE_DEPTH_MAX + 1));
    assert_false(valid_nested(VALUE_ARRAY, 100000));
}

static void believes_a_count_only_as_far_as_bytes_back_it(void **state)
{
    const struct bytes bombs[] = {
        LITERAL("\6\xff\xff\xff\xff"),
        LITERAL("\6\xff\xff\xff\xff\0\0\0"),
        LITERAL("\7\xff\xff\xff\xff\0\0\0"),
        LITERAL("\7\0\0\0\x80"),             /* twice the count is 0 in 32 bits */
        LITERAL("\7\1\0\0\x80\0\0"),         /* and 2 here */
        LITERAL("\6\2\0\0\0\0"),
        LITERAL("\7\1\0\0\0\0"),             /* a key without its value */
        LITERAL("\3\xff\xff\xff\xff" "a"),
        LITERAL("\6\2\0\0\0\6\xff\xff\xff\xff\0"),
    };

    (void)state;
    for (size_t i = 0; i < sizeof bombs / sizeof bombs[0]; i++)
        assert_false(valid(bombs[i]));
}

/* A bytes value of n bytes in all. */
static bool valid_of_size(size_t n)
{
    uint8_t *in = calloc(1, n);
    size_t content = n - 5;
    bool yes;

    in[0] = VALUE_BYTES;
    for (size_t i = 0; i < 4; i++)
        in[1 + i] = (uint8_t)(content >> (8 * i));
    yes = value_valid(bytes_of(in, n));
    free(in);
    return yes;
}

static void holds_exactly_its_maximum(void **state)
{
    (void)state;
    assert_true(valid_of_size(VALUE_SIZE_MAX));
    assert_false(valid_of_size(VALUE_SIZE_MAX + 1));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_each_kind_whole_and_exact),
        cmocka_unit_test(refuses_unknown_kinds),
        cmocka_unit_test(refuses_control_bytes_in_lines),
        cmocka_unit_test(nests_to_the_exact_depth),
        cmocka_unit_test(believes_a_count_only_as_far_as_bytes_back_it),
        cmocka_unit_test(holds_exactly_its_maximum),
    };

    alarm(TEST_SECONDS_MAX);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
