/* The histogram that the bench's percentiles come from. */
#include "bench/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct histogram h;

static int setup(void **state)
{
    (void)state;
    memset(&h, 0, sizeof h);
    return 0;
}

static void is_near(double got, double wanted)
{
    assert_true(got <= wanted);
    assert_true(got >= wanted * (1 - 1.0 / HISTOGRAM_STEPS));
}

static void short_durations_are_exact(void **state)
{
    (void)state;
    for (uint64_t ns = 0; ns < 100; ns++)
        histogram_add(&h, ns);
    assert_true(histogram_at(&h, 0.5) == 50);
    assert_true(histogram_at(&h, 0.99) == 99);
    assert_int_equal(h.max, 99);
}

static void percentiles_are_right_to_a_step(void **state)
{
    (void)state;
    for (uint64_t us = 1; us <= 100000; us++)
        histogram_add(&h, us * 1000);
    is_near(histogram_at(&h, 0.5), 50001e3);
    is_near(histogram_at(&h, 0.99), 99001e3);
    is_near(histogram_at(&h, 0.999), 99901e3);
}

static void each_duration_is_found_near_itself(void **state)
{
    (void)state;
    for (int bit = 0; bit < 64; bit++)
        for (int off = -1; off <= 1; off++) {
            uint64_t ns = (UINT64_C(1) << bit) + (uint64_t)off;

            if (bit == 0 || (bit == 63 && off > 0))
                continue;
            memset(&h, 0, sizeof h);
            histogram_add(&h, ns);
            is_near(histogram_at(&h, 0.5), (double)ns);
        }
}

static void nothing_is_nothing(void **state)
{
    (void)state;
    assert_true(histogram_at(&h, 0.99) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(short_durations_are_exact, setup),
        cmocka_unit_test_setup(percentiles_are_right_to_a_step, setup),
        cmocka_unit_test_setup(each_duration_is_found_near_itself, setup),
        cmocka_unit_test_setup(nothing_is_nothing, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
