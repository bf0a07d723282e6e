/*
 * T6, isolation: what must not happen between two transactions, by its names (after Adya, and Kleppmann's Hermitage:
 * G0, G1a, G1b, G1c, OTV, PMP, P4, G_single, G2_item, G2).
 */
#include "tests/txn_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

static void T6_G0_two_writers_never_interleave(void **state)
{
    struct world *w = *state;
    struct actor a, b;

    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(actor_begin(&b, w), OK);
    assert_int_equal(do_put(&a, "x", "a"), OK);
    assert_int_equal(try_put(&b, "x", "b"), ERR_WAIT);
    assert_int_equal(do_put(&a, "y", "a"), OK);
    actor_commit(&a);
    assert_int_equal(do_put(&b, "x", "b"), OK);
    assert_int_equal(do_put(&b, "y", "b"), OK);
    assert_int_equal(actor_commit_end(&b), OK);
    assert_string_equal(world_get(w, "x"), "b");
    assert_string_equal(world_get(w, "y"), "b");
}

static void T6_G1a_what_was_aborted_is_never_read(void **state)
{
    struct world *w = *state;
    struct actor a, b;
    enum err err;

    world_put(w, "x", "old");
    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(actor_begin(&b, w), OK);
    assert_int_equal(do_put(&a, "x", "never"), OK);
    try_get(&b, "x", LOCK_SHARED, &err);
    assert_int_equal(err, ERR_WAIT);
    actor_abort(&a);
    assert_string_equal(do_get(&b, "x"), "old");
    assert_int_equal(actor_commit_end(&b), OK);
}

static void T6_G1b_what_was_overwritten_before_the_commit_is_never_read(void **state)
{
    struct world *w = *state;
    struct actor a, b;
    enum err err;

    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(actor_begin(&b, w), OK);
    assert_int_equal(do_put(&a, "x", "between"), OK);
    try_get(&b, "x", LOCK_SHARED, &err);
    assert_int_equal(err, ERR_WAIT);
    assert_int_equal(do_put(&a, "x", "final"), OK);
    actor_commit(&a);
    assert_string_equal(do_get(&b, "x"), "final");
    assert_int_equal(actor_commit_end(&b), OK);
}

static void T6_G1c_two_never_read_each_other(void **state)
{
    struct world *w = *state;
    struct actor a, b;
    enum err err;

    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(actor_begin(&b, w), OK);
    assert_int_equal(do_put(&a, "x", "a"), OK);
    assert_int_equal(do_put(&b, "y", "b"), OK);
    try_get(&a, "y", LOCK_SHARED, &err);
    assert_int_equal(err, ERR_WAIT);
    try_get(&b, "x", LOCK_SHARED, &err);
    assert_int_equal(err, ERR_DEADLOCK);
    assert_int_equal(try_put(&b, "z", "b"), ERR_DEADLOCK);
    actor_abort(&b);
    assert_string_equal(do_get(&a, "y"), "ABSENT");
    assert_int_equal(actor_commit_end(&a), OK);
    assert_int_equal(actor_end(&b), ERR_ABORTED);
}

static void T6_P4_no_update_is_lost(void **state)
{
    struct world *w = *state;
    struct actor a, b;

    world_put(w, "n", "1");
    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(actor_begin(&b, w), OK);
    assert_string_equal(do_get(&a, "n"), "1");
    assert_string_equal(do_get(&b, "n"), "1");
    assert_int_equal(try_put(&a, "n", "2"), ERR_WAIT);
    assert_int_equal(try_put(&b, "n", "2"), ERR_DEADLOCK);
    actor_quiet(&b);
    assert_int_equal(do_put(&a, "n", "2"), OK);
    assert_int_equal(actor_commit_end(&a), OK);
    assert_int_equal(actor_end(&b), ERR_DEADLOCK);
    assert_false(disk_has_row(w->disk, b.id));
    assert_string_equal(world_get(w, "n"), "2");
}

static void T6_G2_item_no_write_skew_on_keys(void **state)
{
    struct world *w = *state;
    struct actor a, b;

    world_put(w, "x", "1");
    world_put(w, "y", "1");
    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(actor_begin(&b, w), OK);
    assert_string_equal(do_get(&a, "x"), "1");
    assert_string_equal(do_get(&a, "y"), "1");
    assert_string_equal(do_get(&b, "x"), "1");
    assert_string_equal(do_get(&b, "y"), "1");
    assert_int_equal(try_put(&a, "x", "0"), ERR_WAIT);
    assert_int_equal(try_put(&b, "y", "0"), ERR_DEADLOCK);
    actor_abort(&b);
    assert_int_equal(do_put(&a, "x", "0"), OK);
    assert_int_equal(actor_commit_end(&a), OK);
    assert_string_equal(world_get(w, "y"), "1");
}

static void T6_OTV_what_was_observed_of_one_does_not_vanish(void **state)
{
    struct world *w = *state;
    struct actor a, b, c;
    enum err err;

    world_put(w, "x", "1");
    world_put(w, "y", "1");
    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(actor_begin(&b, w), OK);
    assert_int_equal(actor_begin(&c, w), OK);
    assert_int_equal(do_put(&a, "x", "a"), OK);
    assert_int_equal(do_put(&a, "y", "a"), OK);
    assert_int_equal(try_put(&b, "x", "b"), ERR_WAIT);
    actor_commit(&a);
    assert_int_equal(do_put(&b, "x", "b"), OK);
    try_get(&c, "x", LOCK_SHARED, &err);
    assert_int_equal(err, ERR_WAIT);
    assert_int_equal(do_put(&b, "y", "b"), OK);
    actor_commit(&b);
    assert_string_equal(do_get(&c, "x"), "b");
    assert_string_equal(do_get(&c, "y"), "b");
    assert_int_equal(actor_commit_end(&c), OK);
}

static void T6_PMP_what_a_range_had_it_has_until_the_end(void **state)
{
    struct world *w = *state;
    struct actor a, b, c;

    world_put(w, "p:1", "10");
    world_put(w, "p:2", "20");
    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(actor_begin(&b, w), OK);
    assert_int_equal(actor_begin(&c, w), OK);
    assert_string_equal(do_scan(&a, "p:", "", 10), "p:1=10 p:2=20");
    assert_int_equal(try_put(&b, "p:15", "30"), ERR_WAIT); /* into a gap */
    assert_int_equal(try_delete(&c, "p:2"), ERR_WAIT);
    world_settle(w);
    assert_string_equal(do_scan(&a, "p:", "", 10), "p:1=10 p:2=20");
    assert_int_equal(actor_commit_end(&a), OK);
    assert_int_equal(do_put(&b, "p:15", "30"), OK);
    assert_int_equal(do_delete(&c, "p:2"), OK);
    assert_int_equal(actor_commit_end(&b), OK);
    assert_int_equal(actor_commit_end(&c), OK);
    assert_int_equal(actor_begin(&a, w), OK);
    assert_string_equal(do_scan(&a, "p:", "", 10), "p:1=10 p:15=30");
    assert_int_equal(actor_commit_end(&a), OK);
}

static void T6_G_single_no_read_skew_between_key_and_range(void **state)
{
    struct world *w = *state;
    struct actor a, b;
    enum err err;

    world_put(w, "x", "10");
    world_put(w, "y", "20");
    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(actor_begin(&b, w), OK);
    assert_string_equal(do_get(&a, "x"), "10");
    assert_int_equal(do_put(&b, "y", "18"), OK);
    assert_int_equal(do_put(&b, "z", "1"), OK);
    assert_int_equal(try_put(&b, "x", "12"), ERR_WAIT);
    UNTIL_DONE(&a, err, try_scan(&a, "y", "", 10, &err));
    assert_int_equal(err, ERR_DEADLOCK);
    actor_abort(&a);
    assert_int_equal(do_put(&b, "x", "12"), OK);
    assert_int_equal(actor_commit_end(&b), OK);
    assert_int_equal(actor_end(&a), ERR_ABORTED);
}

static void T6_G2_no_write_skew_through_ranges(void **state)
{
    struct world *w = *state;
    struct actor a, b;

    world_put(w, "p:1", "10");
    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(actor_begin(&b, w), OK);
    assert_string_equal(do_scan(&a, "p:", "", 10), "p:1=10");
    assert_string_equal(do_scan(&b, "p:", "", 10), "p:1=10");
    assert_int_equal(try_put(&a, "p:3", "30"), ERR_WAIT);
    assert_int_equal(try_put(&b, "p:4", "42"), ERR_DEADLOCK);
    actor_abort(&b);
    assert_int_equal(do_put(&a, "p:3", "30"), OK);
    assert_int_equal(actor_commit_end(&a), OK);
    assert_int_equal(actor_end(&b), ERR_ABORTED);
    assert_string_equal(world_get(w, "p:4"), "ABSENT");
}

static void an_absent_key_that_was_read_stays_absent(void **state)
{
    struct world *w = *state;
    struct actor a, b;

    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(actor_begin(&b, w), OK);
    assert_string_equal(do_get(&a, "x"), "ABSENT");
    assert_int_equal(try_put(&b, "x", "b"), ERR_WAIT);
    world_settle(w);
    assert_string_equal(do_get(&a, "x"), "ABSENT");
    assert_int_equal(actor_commit_end(&a), OK);
    assert_int_equal(do_put(&b, "x", "b"), OK);
    assert_int_equal(actor_commit_end(&b), OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(T6_G0_two_writers_never_interleave),
        TEST(T6_G1a_what_was_aborted_is_never_read),
        TEST(T6_G1b_what_was_overwritten_before_the_commit_is_never_read),
        TEST(T6_G1c_two_never_read_each_other),
        TEST(T6_P4_no_update_is_lost),
        TEST(T6_G2_item_no_write_skew_on_keys),
        TEST(T6_OTV_what_was_observed_of_one_does_not_vanish),
        TEST(T6_PMP_what_a_range_had_it_has_until_the_end),
        TEST(T6_G_single_no_read_skew_between_key_and_range),
        TEST(T6_G2_no_write_skew_through_ranges),
        TEST(an_absent_key_that_was_read_stays_absent),
    };

    alarm(60);
    hash_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
