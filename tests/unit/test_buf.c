/* The buffer keeps its bound and its content, against a plain model; readers refuse what is not there. */
#include "lib/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { TEST_SECONDS_MAX = 60 };

static void holds_exactly_its_maximum(void **state)
{
    struct buf b;
    uint8_t *room;

    (void)state;
    buf_init(&b, 10);
    assert_int_equal(buf_reserve(&b, 11, &room), ERR_LIMIT);
    assert_int_equal(buf_reserve(&b, SIZE_MAX, &room), ERR_LIMIT);
    assert_int_equal(buf_add(&b, "0123456789", 10), OK);
    assert_int_equal(buf_add(&b, "x", 1), ERR_LIMIT);
    assert_int_equal(buf_reserve(&b, SIZE_MAX - 5, &room), ERR_LIMIT);
    assert_int_equal(buf_add(&b, NULL, 0), OK);
    buf_consume(&b, 4);
    assert_int_equal(buf_add(&b, "abcde", 5), ERR_LIMIT);
    assert_int_equal(buf_add(&b, "abcd", 4), OK);
    assert_true(bytes_equal(buf_bytes(&b), bytes_str("456789abcd")));
    buf_clear(&b);
    assert_int_equal(buf_len(&b), 0);
    buf_fini(&b);
    assert_int_equal(buf_add(&b, "0123456789", 10), OK); /* usable again, same bound */
    assert_int_equal(buf_add_u8(&b, 0), ERR_LIMIT);
    buf_fini(&b);
}

static uint32_t next_random(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

static void agrees_with_a_plain_model(void **state)
{
    enum { MAX = 5000, STEPS = 20000, MOST = 900 };
    static uint8_t model[MAX];
    uint8_t piece[MOST];
    uint32_t seed = 20250807;
    size_t len = 0;
    struct buf b;

    (void)state;
    print_message("seed %u\n", seed);
    buf_init(&b, MAX);
    for (int step = 0; step < STEPS; step++) {
        size_t n = next_random(&seed) % MOST;

        if (next_random(&seed) % 2 == 0) {
            memset(piece, (int)(step & 0xff), n);
            assert_int_equal(buf_add(&b, piece, n), n > MAX - len ? ERR_LIMIT : OK);
            if (n <= MAX - len) {
                memcpy(model + len, piece, n);
                len += n;
            }
        } else {
            n = n < len ? n : len;
            buf_consume(&b, n);
            memmove(model, model + n, len - n);
            len -= n;
        }
        assert_true(bytes_equal(buf_bytes(&b), bytes_of(model, len)));
        assert_true(b.cap <= 4 * MAX); /* memory follows the bound, not the traffic */
    }
    buf_fini(&b);
}

static void reads_what_was_added_and_no_more(void **state)
{
    struct buf b;
    struct reader r;

    (void)state;
    buf_init(&b, 100);
    assert_int_equal(buf_add_u8(&b, 0xfe), OK);
    assert_int_equal(buf_add_u16(&b, 0xfedc), OK);
    assert_int_equal(buf_add_u32(&b, 0xfedcba98), OK);
    assert_int_equal(buf_add_u64(&b, 0xfedcba9876543210), OK);
    assert_int_equal(buf_add_bytes(&b, bytes_str("abc")), OK);
    assert_int_equal(buf_add_bytes(&b, bytes_of(NULL, 0)), OK);
    assert_memory_equal(b.data, "\xfe\xdc\xfe\x98\xba\xdc\xfe\x10\x32", 9);
    r = reader_of(buf_bytes(&b));
    assert_int_equal(read_u8(&r), 0xfe);
    assert_int_equal(read_u16(&r), 0xfedc);
    assert_int_equal(read_u32(&r), 0xfedcba98);
    assert_true(read_u64(&r) == 0xfedcba9876543210);
    assert_true(bytes_equal(read_bytes(&r), bytes_str("abc")));
    assert_false(reader_done(&r));
    assert_int_equal(read_bytes(&r).len, 0);
    assert_true(reader_done(&r));
    assert_int_equal(read_u8(&r), 0);
    assert_false(reader_done(&r));
    buf_fini(&b);
}

static void remembers_a_short_read(void **state)
{
    struct reader r = reader_of(bytes_of("\x01\x02\x03", 3));

    (void)state;
    assert_int_equal(read_u32(&r), 0);
    assert_true(r.bad);
    assert_int_equal(read_u8(&r), 0); /* bytes are left, but belief is not */
    r = reader_of(bytes_of("\xff\xff\xff\xff....", 8));
    assert_int_equal(read_bytes(&r).len, 0);
    assert_false(reader_done(&r));
    r = reader_of(bytes_of(NULL, 0));
    assert_true(reader_done(&r));
    assert_int_equal(read_u8(&r), 0);
    assert_true(r.bad);
}

static void reads_decimal_numbers_exactly(void **state)
{
    static const char *const bad[] = { "", "-", "+1", " 1", "1 ", "1x", "0x1", "--1", "9223372036854775808",
                                       "-9223372036854775809", "99999999999999999999999" };
    int64_t i = 7;
    uint64_t u = 7;

    (void)state;
    for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++)
        assert_false(bytes_to_i64(bytes_str(bad[k]), &i));
    assert_false(bytes_to_i64(bytes_of("1\0", 2), &i));
    assert_true(i == 7);
    assert_true(bytes_to_i64(bytes_str("-9223372036854775808"), &i) && i == INT64_MIN);
    assert_true(bytes_to_i64(bytes_str("9223372036854775807"), &i) && i == INT64_MAX);
    assert_true(bytes_to_i64(bytes_str("-0"), &i) && i == 0);
    assert_true(bytes_to_u64(bytes_str("18446744073709551615"), &u) && u == UINT64_MAX);
    assert_false(bytes_to_u64(bytes_str("18446744073709551616"), &u));
    assert_false(bytes_to_u64(bytes_str("18446744073709551620"), &u));
    assert_false(bytes_to_u64(bytes_str("-1"), &u));
    assert_true(u == UINT64_MAX);
}

static void compares_in_memcmp_order_shorter_first(void **state)
{
    (void)state;
    assert_true(bytes_compare(bytes_str("a"), bytes_str("b")) < 0);
    assert_true(bytes_compare(bytes_str("a"), bytes_str("ab")) < 0);
    assert_true(bytes_compare(bytes_str("\xff"), bytes_str("a")) > 0);
    assert_true(bytes_compare(bytes_of("a\0b", 3), bytes_of("a\0a", 3)) > 0);
    assert_int_equal(bytes_compare(bytes_of(NULL, 0), bytes_str("")), 0);
    assert_true(bytes_equal(bytes_of(NULL, 0), bytes_str("")));
    assert_true(bytes_start_with(bytes_str("abc"), bytes_str("ab")));
    assert_true(bytes_start_with(bytes_str("abc"), bytes_of(NULL, 0)));
    assert_false(bytes_start_with(bytes_str("a"), bytes_str("ab")));
}

static void shows_any_bytes_printable_and_cut(void **state)
{
    char out[16], *copy;

    (void)state;
    assert_string_equal(bytes_show(bytes_of("a\n\0~", 4), out, sizeof out), "a\\x0a\\x00~");
    assert_string_equal(bytes_show(bytes_of("\x7f\xff", 2), out, sizeof out), "\\x7f\\xff");
    assert_string_equal(bytes_show(bytes_of(NULL, 0), out, sizeof out), "");
    assert_string_equal(bytes_show(bytes_str("0123456789ab"), out, sizeof out), "0123456789ab");
    assert_string_equal(bytes_show(bytes_str("0123456789abcdefgh"), out, sizeof out), "0123456789ab…");
    assert_string_equal(bytes_show(bytes_str("0123456789\n"), out, sizeof out), "0123456789…");
    copy = bytes_dup(bytes_of("a\0b", 3));
    assert_memory_equal(copy, "a\0b\0", 4);
    free(copy);
}

static void formats_up_to_its_maximum(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 8);
    assert_int_equal(buf_addf(&b, "%d-%s", 42, "abc"), OK);
    assert_true(bytes_equal(buf_bytes(&b), bytes_str("42-abc")));
    assert_int_equal(buf_addf(&b, "%s", "abc"), ERR_LIMIT);
    assert_true(bytes_equal(buf_bytes(&b), bytes_str("42-abc")));
    buf_fini(&b);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_exactly_its_maximum),
        cmocka_unit_test(agrees_with_a_plain_model),
        cmocka_unit_test(reads_what_was_added_and_no_more),
        cmocka_unit_test(remembers_a_short_read),
        cmocka_unit_test(reads_decimal_numbers_exactly),
        cmocka_unit_test(compares_in_memcmp_order_shorter_first),
        cmocka_unit_test(shows_any_bytes_printable_and_cut),
        cmocka_unit_test(formats_up_to_its_maximum),
    };

    alarm(TEST_SECONDS_MAX);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
