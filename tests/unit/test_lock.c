/*
 * Locks on keys (T6): order of arrival, strengthening, cycles found when they close, and who is waited for. Ranges are
 * in test_lock_range.c, random work against a model in test_lock_model.c, very many locks in test_lock_cold.c.
 */
#include "tests/lock_few.h"

static void shared_locks_are_shared_and_exclusive_ones_are_not(void **state)
{
    (void)state;
    assert_int_equal(take(0, 0, LOCK_SHARED), OK);
    assert_int_equal(take(1, 0, LOCK_SHARED), OK);
    assert_int_equal(take(2, 0, LOCK_EXCLUSIVE), ERR_WAIT);
    assert_int_equal(take(2, 0, LOCK_EXCLUSIVE), ERR_WAIT);
    assert_true(bytes_equal(lock_waits_for(&holders[2]), key_of(0)));
    assert_int_equal(holders[2].waiting_since_ms, 7);
    release(0);
    assert_int_equal(grants[2], 0);
    release(1);
    assert_int_equal(grants[2], 1);
    assert_true(lock_holds(&table, &holders[2], key_of(0), LOCK_EXCLUSIVE));
    assert_int_equal(take(2, 0, LOCK_SHARED), OK);
    assert_int_equal(lock_waits_for(&holders[2]).len, 0);
}

static void those_who_wait_enter_in_order_of_arrival(void **state)
{
    (void)state;
    assert_int_equal(take(0, 0, LOCK_SHARED), OK);
    assert_int_equal(take(1, 0, LOCK_EXCLUSIVE), ERR_WAIT);
    assert_int_equal(take(2, 0, LOCK_SHARED), ERR_WAIT); /* does not overtake */
    assert_int_equal(take(3, 0, LOCK_SHARED), ERR_WAIT);
    assert_int_equal(take(4, 0, LOCK_EXCLUSIVE), ERR_WAIT);
    release(0);
    assert_int_equal(grants[1], 1);
    assert_int_equal(grants[2] + grants[3] + grants[4], 0);
    release(1);
    assert_int_equal(grants[2], 1);
    assert_int_equal(grants[3], 1);
    assert_int_equal(grants[4], 0);
    release(3);
    release(2);
    assert_int_equal(grants[4], 1);
}

static void who_strengthens_goes_before_those_who_enter(void **state)
{
    (void)state;
    assert_int_equal(take(0, 0, LOCK_SHARED), OK);
    assert_int_equal(take(0, 0, LOCK_EXCLUSIVE), OK);
    release(0);
    assert_int_equal(take(0, 0, LOCK_SHARED), OK);
    assert_int_equal(take(1, 0, LOCK_SHARED), OK);
    assert_int_equal(take(2, 0, LOCK_EXCLUSIVE), ERR_WAIT);
    assert_int_equal(take(0, 0, LOCK_EXCLUSIVE), ERR_WAIT);
    assert_true(lock_holds(&table, &holders[0], key_of(0), LOCK_SHARED));
    release(1);
    assert_int_equal(grants[0], 1);
    assert_int_equal(grants[2], 0);
    assert_true(lock_holds(&table, &holders[0], key_of(0), LOCK_EXCLUSIVE));
}

static void two_who_strengthen_the_same_lock_are_a_deadlock(void **state)
{
    struct failure why = { 0 };

    (void)state;
    assert_int_equal(take(0, 0, LOCK_SHARED), OK);
    assert_int_equal(take(1, 0, LOCK_SHARED), OK);
    assert_int_equal(take(0, 0, LOCK_EXCLUSIVE), ERR_WAIT);
    assert_int_equal(lock_take(&table, &holders[1], key_of(0), LOCK_EXCLUSIVE, 0, &why), ERR_DEADLOCK);
    assert_string_equal(why.text, "waiting for key \"00000\" would wait for itself: try again");
    assert_null(holders[1].waiting);
    assert_true(lock_holds(&table, &holders[1], key_of(0), LOCK_SHARED));
    release(1);
    assert_int_equal(grants[0], 1);
}

static void cycles_of_two_and_three_are_found_when_they_close(void **state)
{
    (void)state;
    assert_int_equal(take(0, 0, LOCK_EXCLUSIVE), OK);
    assert_int_equal(take(1, 1, LOCK_EXCLUSIVE), OK);
    assert_int_equal(take(2, 2, LOCK_EXCLUSIVE), OK);
    assert_int_equal(take(0, 1, LOCK_SHARED), ERR_WAIT);
    assert_int_equal(take(1, 0, LOCK_SHARED), ERR_DEADLOCK);
    assert_int_equal(take(1, 2, LOCK_SHARED), ERR_WAIT);
    assert_int_equal(take(2, 0, LOCK_SHARED), ERR_DEADLOCK);
    assert_int_equal(take(2, 1, LOCK_EXCLUSIVE), ERR_DEADLOCK);
    release(2);
    assert_int_equal(grants[1], 1);
    release(1);
    assert_int_equal(grants[0], 1);
}

static void a_cycle_through_a_queue_is_found(void **state)
{
    (void)state;
    assert_int_equal(take(0, 0, LOCK_SHARED), OK);
    assert_int_equal(take(1, 0, LOCK_EXCLUSIVE), ERR_WAIT);
    assert_int_equal(take(2, 1, LOCK_EXCLUSIVE), OK);
    assert_int_equal(take(2, 0, LOCK_SHARED), ERR_WAIT); /* behind 1, which waits for 0 */
    assert_int_equal(take(0, 1, LOCK_SHARED), ERR_DEADLOCK);
}

static void asking_for_another_gives_up_the_wait(void **state)
{
    (void)state;
    assert_int_equal(take(0, 0, LOCK_EXCLUSIVE), OK);
    assert_int_equal(take(1, 0, LOCK_EXCLUSIVE), ERR_WAIT);
    assert_int_equal(take(2, 0, LOCK_EXCLUSIVE), ERR_WAIT);
    assert_int_equal(take(1, 1, LOCK_EXCLUSIVE), OK);
    release(0);
    assert_int_equal(grants[1], 0);
    assert_int_equal(grants[2], 1);
    lock_cancel(&table, &holders[1]);
}

static void count_key(struct bytes key, void *user)
{
    (void)key;
    ++*(int *)user;
}

static void visits_what_is_held_exclusively(void **state)
{
    int n = 0;

    (void)state;
    take(0, 0, LOCK_EXCLUSIVE);
    take(0, 1, LOCK_SHARED);
    take(0, 2, LOCK_EXCLUSIVE);
    lock_each_exclusive(&holders[0], count_key, &n);
    assert_int_equal(n, 2);
}

struct blockers {
    int count;
    int64_t since_ms;
};

static void count_blocker(struct lock_holder *h, int64_t since_ms, void *user)
{
    struct blockers *b = user;

    (void)h;
    b->count++;
    b->since_ms = since_ms;
}

static void tells_who_holds_what_is_waited_for_and_since_when(void **state)
{
    struct blockers b = { 0 };

    (void)state;
    assert_int_equal(take(0, 1, LOCK_EXCLUSIVE), OK);
    assert_int_equal(take(1, 1, LOCK_EXCLUSIVE), ERR_WAIT);
    assert_int_equal(take(2, 1, LOCK_SHARED), ERR_WAIT);
    lock_each_blocker(&table, &holders[2], 50, count_blocker, &b);
    assert_int_equal(b.count, 1);
    assert_int_equal(b.since_ms, 0);
    release(0);
    lock_each_blocker(&table, &holders[2], 50, count_blocker, &b);
    assert_int_equal(b.since_ms, 50); /* it has just got it */
    lock_woke(&holders[1], 51);
    lock_each_blocker(&table, &holders[2], 60, count_blocker, &b);
    assert_int_equal(b.since_ms, 51);
    release(1);
    release(2);
    assert_int_equal(take_range(3, 0, 4), OK);
    assert_int_equal(take(4, 2, LOCK_EXCLUSIVE), ERR_WAIT);
    b.count = 0;
    lock_each_blocker(&table, &holders[4], 70, count_blocker, &b);
    assert_int_equal(b.count, 1);
    assert_int_equal(b.since_ms, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(shared_locks_are_shared_and_exclusive_ones_are_not),
        TEST(those_who_wait_enter_in_order_of_arrival),
        TEST(who_strengthens_goes_before_those_who_enter),
        TEST(two_who_strengthen_the_same_lock_are_a_deadlock),
        TEST(cycles_of_two_and_three_are_found_when_they_close),
        TEST(a_cycle_through_a_queue_is_found),
        TEST(asking_for_another_gives_up_the_wait),
        TEST(visits_what_is_held_exclusively),
        TEST(tells_who_holds_what_is_waited_for_and_since_when),
    };

    alarm(60);
    hash_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
