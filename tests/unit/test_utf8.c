/* utf8: what strangers wrote cannot reach a terminal as anything but visible characters. */
#include "lib/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void each_code_point_reads_back(void **state)
{
    (void)state;
    for (uint32_t c = 0; c <= 0x110000; c++) {
        uint8_t b[4];
        size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        uint32_t code = UINT32_MAX;
        bool valid = c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);

        for (size_t i = n - 1; i > 0; i--)
            b[i] = (uint8_t)(0x80 | (c >> 6 * (n - 1 - i) & 0x3f));
        b[0] = (uint8_t)(n == 1 ? c : (0xf00u >> n & 0xff) | c >> 6 * (n - 1));
        assert_int_equal(utf8_next(bytes_of(b, n), &code), valid ? n : 0);
        assert_int_equal(code, valid ? c : UINT32_MAX);
        assert_int_equal(utf8_next(bytes_of(b, n - 1), &code), 0); /* cut */
    }
}

static void refuses_what_is_not_utf8(void **state)
{
    static const char *const bad[] = {
        "\x80", "\xc0\x80", "\xc1\xbf",  "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xf8\x88\x80\x80\x80",
        "\xff", "\xc3(",    "\xe2\x82(", "\xf0\x9f\x98("
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint32_t code;
        assert_int_equal(utf8_next(bytes_str(bad[i]), &code), 0);
        assert_false(utf8_text(bytes_str(bad[i])));
    }
    assert_true(utf8_text(bytes_of(NULL, 0)));
    assert_true(utf8_text(bytes_str("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80")));
}

static void hides_nothing_and_turns_nothing_round(void **state)
{
    static const char *const hidden[] = { "\x1b[2J",      "\r",           "\x7f",
                                          "\xc2\x9b",     "\xe2\x80\x8b", "\xe2\x80\xae",
                                          "\xef\xbb\xbf", "\xe2\x81\xa6", "\xf3\xa0\x80\x81" };

    (void)state;
    for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++)
        assert_false(utf8_text(bytes_str(hidden[i])));
}

static void shows_the_rest_as_hex(void **state)
{
    struct buf out;
    size_t columns = 0;

    (void)state;
    buf_init(&out, 64);
    assert_int_equal(utf8_show(&out, bytes_of("\xc3\xbc\ta\0\xff\xe2\x80\xae", 9), &columns), OK);
    assert_int_equal(columns, 23);
    assert_int_equal(buf_add_u8(&out, 0), OK);
    assert_string_equal((char *)out.data, "\xc3\xbc a\\x00\\xff\\xe2\\x80\\xae");
    buf_fini(&out);
    buf_init(&out, 4);
    assert_int_equal(utf8_show(&out, bytes_str("12345"), NULL), ERR_LIMIT);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_code_point_reads_back),
        cmocka_unit_test(refuses_what_is_not_utf8),
        cmocka_unit_test(hides_nothing_and_turns_nothing_round),
        cmocka_unit_test(shows_the_rest_as_hex),
    };

    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
