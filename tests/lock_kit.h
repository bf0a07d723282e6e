/*
 * What the tests of locks share: a table and holders, each with a count of how often it was told that it got its lock.
 */
#ifndef GRAFTD_TESTS_LOCK_KIT_H
#define GRAFTD_TESTS_LOCK_KIT_H

#include "lib/check.h"
#include "lib/hash.h"
#include "txn/lock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

enum { HOLDERS_MAX = 6 };

static struct lock_table table;
static struct lock_holder holders[HOLDERS_MAX];
static unsigned grants[HOLDERS_MAX]; /* calls of granted() */

static inline void on_granted(struct lock_holder *h)
{
    assert_null(h->waiting);
    grants[h - holders]++;
}

static inline int setup(void **state)
{
    (void)state;
    CHECK(lock_table_init(&table) == OK);
    for (int i = 0; i < HOLDERS_MAX; i++)
        lock_holder_init(&holders[i], on_granted);
    memset(grants, 0, sizeof grants);
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < HOLDERS_MAX; i++)
        lock_release_all(&table, &holders[i]);
    lock_table_fini(&table);
    return 0;
}

#endif
