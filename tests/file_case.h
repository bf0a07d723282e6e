/*
 * What each test of files in transactions starts with: a world; and at its end nothing on its way or staged.
 */
#ifndef GRAFTD_TESTS_FILE_CASE_H
#define GRAFTD_TESTS_FILE_CASE_H

#include "tests/file_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

static struct world w;

static inline int setup(void **state)
{
    (void)state;
    world_init(&w);
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    world_check_clean(&w);
    world_fini(&w);
    return 0;
}

static inline void begin(struct actor *x) { assert_int_equal(actor_begin(x, &w), OK); }

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
