/*
 * Locks on ranges and their gaps (T6): they bar keys that nobody has locked, take their turn with those who came
 * before, and cycles through them are found.
 */
#include "tests/lock_few.h"

static void a_range_bars_keys_that_nobody_has_locked(void **state)
{
    (void)state;
    assert_int_equal(take_range(0, 1, 3), OK);
    assert_int_equal(take(1, 2, LOCK_SHARED), OK);
    assert_int_equal(take(2, 0, LOCK_EXCLUSIVE), OK);
    assert_int_equal(take(2, 4, LOCK_EXCLUSIVE), OK);
    assert_int_equal(take(2, 3, LOCK_EXCLUSIVE), ERR_WAIT);
    assert_true(lock_holds(&table, &holders[0], key_of(3), LOCK_SHARED));
    assert_int_equal(take_range(1, 0, 4), ERR_WAIT); /* for 2, which has 0 and 4 */
    release(0);
    assert_int_equal(grants[2], 1);
    assert_int_equal(grants[1], 0);
}

static void a_range_waits_for_one_key_after_another(void **state)
{
    (void)state;
    assert_int_equal(take(0, 1, LOCK_EXCLUSIVE), OK);
    assert_int_equal(take(1, 3, LOCK_EXCLUSIVE), OK);
    assert_int_equal(take_range(2, 0, 4), ERR_WAIT);
    assert_int_equal(take_range(2, 0, 4), ERR_WAIT);
    assert_true(bytes_equal(lock_waits_for(&holders[2]), key_of(1)));
    release(0);
    assert_int_equal(grants[2], 1);
    assert_false(lock_holds(&table, &holders[2], key_of(2), LOCK_SHARED));
    assert_int_equal(take_range(2, 0, 4), ERR_WAIT);
    assert_true(bytes_equal(lock_waits_for(&holders[2]), key_of(3)));
    release(1);
    assert_int_equal(take_range(2, 0, 4), OK);
    assert_true(lock_holds(&table, &holders[2], key_of(2), LOCK_SHARED));
}

static void newcomers_wait_behind_a_wanted_range(void **state)
{
    (void)state;
    assert_int_equal(take(0, 1, LOCK_EXCLUSIVE), OK);
    assert_int_equal(take_range(1, 0, 3), ERR_WAIT);
    assert_int_equal(take(2, 2, LOCK_EXCLUSIVE), ERR_WAIT); /* nobody has it, but the range came first */
    assert_int_equal(take(0, 3, LOCK_EXCLUSIVE), OK);       /* the range waits for this one anyway */
    release(0);
    assert_int_equal(take_range(1, 0, 3), OK);
    assert_int_equal(grants[2], 0);
    release(1);
    assert_int_equal(grants[2], 1);
}

static void a_range_waits_behind_those_who_came_before(void **state)
{
    (void)state;
    assert_int_equal(take(0, 1, LOCK_SHARED), OK);
    assert_int_equal(take(1, 1, LOCK_EXCLUSIVE), ERR_WAIT);
    assert_int_equal(take_range(2, 0, 3), ERR_WAIT);
    assert_int_equal(take(3, 1, LOCK_EXCLUSIVE), ERR_WAIT);
    release(0);
    assert_int_equal(grants[1], 1);
    release(1);
    assert_int_equal(grants[2], 1);
    assert_int_equal(take_range(2, 0, 3), OK);
    assert_int_equal(grants[3], 0);
}

static void giving_up_a_wanted_range_lets_others_in(void **state)
{
    (void)state;
    assert_int_equal(take(0, 1, LOCK_EXCLUSIVE), OK);
    assert_int_equal(take_range(1, 0, 3), ERR_WAIT);
    assert_int_equal(take(2, 2, LOCK_EXCLUSIVE), ERR_WAIT);
    assert_int_equal(take(1, 4, LOCK_SHARED), OK);
    assert_int_equal(grants[2], 1);
    assert_int_equal(lock_waits_for(&holders[1]).len, 0);
}

static void who_changes_keys_in_its_own_range_goes_before_others(void **state)
{
    (void)state;
    assert_int_equal(take(0, 1, LOCK_EXCLUSIVE), OK);
    assert_int_equal(take_range(0, 0, 3), OK); /* its own key does not bar it */
    assert_int_equal(take(1, 2, LOCK_EXCLUSIVE), ERR_WAIT);
    assert_int_equal(take(0, 2, LOCK_EXCLUSIVE), OK);
    assert_int_equal(take(0, 2, LOCK_SHARED), OK);
    assert_int_equal(grants[1], 0);
    release(0);
    assert_int_equal(grants[1], 1);
}

static void two_who_insert_into_the_same_range_are_a_deadlock(void **state)
{
    (void)state;
    assert_int_equal(take_range(0, 0, 3), OK);
    assert_int_equal(take_range(1, 2, 4), OK);
    assert_int_equal(take(0, 3, LOCK_EXCLUSIVE), ERR_WAIT);
    assert_int_equal(take(1, 2, LOCK_EXCLUSIVE), ERR_DEADLOCK);
    assert_int_equal(take(1, 3, LOCK_EXCLUSIVE), ERR_DEADLOCK); /* the same key */
    release(1);
    assert_int_equal(grants[0], 1);
}

static void a_cycle_through_a_range_is_found(void **state)
{
    (void)state;
    assert_int_equal(take(0, 4, LOCK_EXCLUSIVE), OK);
    assert_int_equal(take_range(1, 0, 2), OK);
    assert_int_equal(take(2, 3, LOCK_EXCLUSIVE), OK);
    assert_int_equal(take(0, 1, LOCK_EXCLUSIVE), ERR_WAIT); /* for 1 */
    assert_int_equal(take_range(1, 3, 3), ERR_WAIT);        /* for 2 */
    assert_int_equal(take(2, 4, LOCK_SHARED), ERR_DEADLOCK);
    assert_int_equal(take_range(2, 4, 4), ERR_DEADLOCK);
    release(2);
    assert_int_equal(take_range(1, 3, 3), OK);
}

static size_t range_count(int holder)
{
    size_t n = 0;

    /* what the table tells of a holder's ranges: keys that it holds shared without having claimed them */
    for (int key = 0; key < KEYS; key++) {
        char behind[121];
        struct bytes k = key_of(key), gap = { behind, k.len + 1 };
        memcpy(behind, k.data, k.len);
        behind[k.len] = '\0';
        n += lock_holds(&table, &holders[holder], k, LOCK_SHARED) &&
             !lock_holds(&table, &holders[holder], gap, LOCK_SHARED);
    }
    return n + lock_holds(&table, &holders[holder], bytes_str("\xff"), LOCK_SHARED);
}

static void ranges_that_touch_become_one(void **state)
{
    (void)state;
    assert_int_equal(take_range(0, 0, 0), OK);
    assert_int_equal(take_range(0, 2, 2), OK);
    assert_int_equal(range_count(0), 2);
    assert_int_equal(take_range(0, 0, 2), OK);
    assert_int_equal(range_count(0), 1);
    assert_int_equal(take_range(0, 1, 1), OK);
    assert_int_equal(take_range(0, 1, 4), OK);
    assert_int_equal(range_count(0), 1);
    assert_int_equal(take(1, 3, LOCK_EXCLUSIVE), ERR_WAIT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_range_bars_keys_that_nobody_has_locked),
        TEST(a_range_waits_for_one_key_after_another),
        TEST(newcomers_wait_behind_a_wanted_range),
        TEST(a_range_waits_behind_those_who_came_before),
        TEST(giving_up_a_wanted_range_lets_others_in),
        TEST(who_changes_keys_in_its_own_range_goes_before_others),
        TEST(two_who_insert_into_the_same_range_are_a_deadlock),
        TEST(a_cycle_through_a_range_is_found),
        TEST(ranges_that_touch_become_one),
    };

    alarm(60);
    hash_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
