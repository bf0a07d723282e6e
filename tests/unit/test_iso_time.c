/* Times as people write them: what is one, which it is, and what is none. */
#include "lib/iso_time.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { SECOND = 1000000 };
static const int64_t day = (int64_t)1795392000 * SECOND; /* 2026-11-23 */

static int64_t read(const char *text)
{
    int64_t us = -1;

    assert_true(iso_time_read(bytes_str(text), &us));
    return us;
}

static void is_none(const char *text)
{
    int64_t us = -1;

    assert_false(iso_time_read(bytes_str(text), &us));
    assert_int_equal(us, -1); /* untouched */
}

static void reads_what_it_writes(void **state)
{
    char text[32];

    (void)state;
    assert_string_equal(iso_time(day + 36000 * (int64_t)SECOND + 123000, text), "2026-11-23T10:00:00.123Z");
    assert_int_equal(read(text), day + 36000 * (int64_t)SECOND + 123000);
}

static void its_end_may_be_missing(void **state)
{
    (void)state;
    assert_int_equal(read("2026-11-23"), day);
    assert_int_equal(read("2026-11-23Z"), day);
    assert_int_equal(read("2026-11-23T10"), day + 36000 * (int64_t)SECOND);
    assert_int_equal(read("2026-11-23T10:30"), day + 37800 * (int64_t)SECOND);
    assert_int_equal(read("2026-11-23T10:30Z"), day + 37800 * (int64_t)SECOND);
    assert_int_equal(read("2026-11-23T10:30:05"), day + 37805 * (int64_t)SECOND);
    assert_int_equal(read("2026-11-23T10:30:05.25"), day + 37805 * (int64_t)SECOND + 250000);
    assert_int_equal(read("2026-11-23T10:30:05.000001Z"), day + 37805 * (int64_t)SECOND + 1);
}

static void a_number_is_seconds(void **state)
{
    (void)state;
    assert_int_equal(read("0"), 0);
    assert_int_equal(read("1795392000"), day);
    is_none("9223372036855"); /* as microseconds it is more than there are */
    is_none("18446744073709551616");
}

static void a_day_is_one_of_the_calendar(void **state)
{
    (void)state;
    assert_int_equal(read("2028-02-29"), (int64_t)1835395200 * SECOND);
    is_none("2026-02-29");
    is_none("2026-02-31");
    is_none("2026-04-31");
    is_none("2026-13-01");
    is_none("2026-00-01");
    is_none("2026-01-00");
    is_none("1969-12-31");
}

static void anything_else_is_none(void **state)
{
    (void)state;
    is_none("");
    is_none("yesterday");
    is_none("-1");
    is_none("2026-11");
    is_none("2026-1-23");
    is_none(" 2026-11-23");
    is_none("2026-11-23 10:00");
    is_none("2026-11-23T");
    is_none("2026-11-23T24:00");
    is_none("2026-11-23T10:60");
    is_none("2026-11-23T10:00:61");
    is_none("2026-11-23T10:00:005"); /* no fraction without its point */
    is_none("2026-11-23T10:00:00.");
    is_none("2026-11-23T10:00:00.1234567");
    is_none("2026-11-23T10:00.5");
    is_none("2026-11-23T10:00:00ZZ");
    is_none("2026-11-23T10:00:00+01:00");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_it_writes),  cmocka_unit_test(its_end_may_be_missing),
        cmocka_unit_test(a_number_is_seconds),   cmocka_unit_test(a_day_is_one_of_the_calendar),
        cmocka_unit_test(anything_else_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
