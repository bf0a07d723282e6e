/*
 * What each test of the real store starts with: an open store in a directory of its own. *state is the kit.
 */
#ifndef GRAFTD_TESTS_STORE_CASE_H
#define GRAFTD_TESTS_STORE_CASE_H

#include "tests/store_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

static inline int setup(void **state)
{
    static struct kit kit;
    struct failure why = { 0 };

    kit_init(&kit);
    if (kit_open(&kit, &why) != OK)
        fail_msg("%s", why.text);
    *state = &kit;
    return 0;
}

static inline int teardown(void **state)
{
    kit_fini(*state);
    return 0;
}

static inline void reopen(struct kit *k)
{
    struct failure why = { 0 };

    kit_close(k);
    if (kit_open(k, &why) != OK)
        fail_msg("%s", why.text);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
