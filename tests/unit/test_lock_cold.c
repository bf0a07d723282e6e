/*
 * Locks of a holder that has very many (txn/lock_cold.c): they are small, and otherwise as all others. Who has more than
 * warm_max claims is such a holder here: one that has more than two. (The random work of test_lock_model.c runs cold,
 * too.)
 */
#include "txn/lock_inside.h"

#include "tests/lock_kit.h"

enum { HOLDERS = 4, WARM = 2, MANY = 20000, KEYS = 12, RUNS = 200, STEPS = 400 };

static int setup_cold(void **state)
{
    setup(state);
    table.warm_max = WARM;
    return 0;
}

static struct bytes key_of(int key)
{
    static char text[24];

    snprintf(text, sizeof text, "key%06d", key);
    return bytes_str(text);
}

static enum err take(int holder, int key, enum lock_mode mode)
{
    return lock_take(&table, &holders[holder], key_of(key), mode, 1, NULL);
}

/* From key to key; the second is not in it. */
static enum err take_range(int holder, int from, int to)
{
    char low[24], high[24];
    struct range range = { { low, 0 }, { high, 0 }, false };

    range.low.len = (size_t)snprintf(low, sizeof low, "key%06d", from);
    range.high.len = (size_t)snprintf(high, sizeof high, "key%06d", to);
    return lock_take_range(&table, &holders[holder], &range, 1, NULL);
}

static void take_many(int holder, int from, int to)
{
    for (int key = from; key < to; key++)
        assert_int_equal(take(holder, key, LOCK_EXCLUSIVE), OK);
    assert_true(holders[holder].warm <= WARM + HOLDERS); /* and what others wait for */
}

static void a_cold_lock_is_held(void **state)
{
    (void)state;
    take_many(0, 0, 100);
    for (int key = 0; key < 100; key++) {
        assert_true(lock_holds(&table, &holders[0], key_of(key), LOCK_EXCLUSIVE));
        assert_int_equal(take(0, key, LOCK_SHARED), OK);
        assert_int_equal(take(0, key, LOCK_EXCLUSIVE), OK);
        assert_false(lock_holds(&table, &holders[1], key_of(key), LOCK_SHARED));
    }
}

static void who_wants_a_cold_lock_waits_for_its_holder(void **state)
{
    (void)state;
    take_many(0, 0, 100);
    assert_int_equal(take(1, 5, LOCK_SHARED), ERR_WAIT);
    assert_int_equal(take(2, 6, LOCK_EXCLUSIVE), ERR_WAIT);
    assert_int_equal(take(3, 5, LOCK_EXCLUSIVE), ERR_WAIT);
    assert_true(lock_holds(&table, &holders[0], key_of(5), LOCK_EXCLUSIVE));
    take_many(0, 100, 200); /* what is waited for stays warm */
    assert_int_equal(grants[1] + grants[2] + grants[3], 0);
    lock_release_all(&table, &holders[0]);
    assert_int_equal(grants[1], 1);
    assert_int_equal(grants[2], 1);
    assert_int_equal(grants[3], 0);
    lock_release_all(&table, &holders[1]);
    assert_int_equal(grants[3], 1);
}

static void what_was_let_go_is_free(void **state)
{
    (void)state;
    take_many(0, 0, 100);
    lock_release_all(&table, &holders[0]);
    take_many(1, 0, 100);
    assert_int_equal(take(0, 50, LOCK_SHARED), ERR_WAIT);
}

static void a_cycle_through_cold_locks_is_found(void **state)
{
    (void)state;
    take_many(0, 0, 50);
    take_many(1, 50, 100);
    assert_int_equal(take(0, 60, LOCK_EXCLUSIVE), ERR_WAIT);
    assert_int_equal(take(1, 10, LOCK_SHARED), ERR_DEADLOCK);
    assert_int_equal(take_range(1, 0, 20), ERR_DEADLOCK);
}

static void a_range_waits_for_cold_locks_of_others(void **state)
{
    (void)state;
    take_many(0, 0, 100);
    take_many(1, 200, 300);
    assert_int_equal(take_range(2, 100, 200), OK);
    assert_int_equal(take_range(2, 90, 95), ERR_WAIT);
    assert_int_equal(take_range(0, 0, 100), OK); /* its own */
    lock_release_all(&table, &holders[0]);
    assert_int_equal(grants[2], 1);
    assert_int_equal(take_range(2, 90, 95), OK);
    assert_int_equal(take_range(3, 250, 1000), ERR_WAIT);
    lock_release_all(&table, &holders[1]);
    assert_int_equal(take_range(3, 250, 1000), OK);
}

static void count_key(struct bytes key, void *user)
{
    unsigned *seen = user;

    seen[atoi((const char *)key.data + 3)]++;
}

static void each_is_visited_once(void **state)
{
    static unsigned seen[MANY];

    (void)state;
    memset(seen, 0, sizeof seen);
    take_many(0, 0, MANY);
    assert_int_equal(take(1, 7, LOCK_SHARED), ERR_WAIT); /* one that was thawed */
    lock_each_exclusive(&holders[0], count_key, seen);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(seen[i], 1);
}

static void very_many_are_small(void **state)
{
    (void)state;
    take_many(0, 0, MANY);
    assert_true(lock_bytes(&holders[0]) > MANY * 9);
    assert_true(lock_bytes(&holders[0]) < MANY * 30);
    for (int key = 0; key < MANY; key += 100)
        assert_int_equal(take(1, key, LOCK_EXCLUSIVE), ERR_WAIT);
    take_many(0, MANY, 2 * MANY);
    assert_true(lock_bytes(&holders[0]) < 2 * MANY * 40);
    lock_release_all(&table, &holders[0]);
    assert_int_equal(holders[0].bytes, 0);
}

/* ---- random work: nobody has what others have, and who waits gets it ---- */

static bool compatible_now(int a, int b, struct bytes key)
{
    bool shared = lock_holds(&table, &holders[b], key, LOCK_SHARED);

    return a == b || !lock_holds(&table, &holders[a], key, LOCK_EXCLUSIVE) || !shared;
}

static void check(void)
{
    for (int key = 0; key < KEYS; key++)
        for (int a = 0; a < HOLDERS; a++)
            for (int b = 0; b < HOLDERS; b++)
                assert_true(compatible_now(a, b, key_of(key)));
}

static bool waits(int holder) { return holders[holder].waiting != NULL; }

static void some_step(void)
{
    int holder = rand() % HOLDERS, key = rand() % KEYS, what = rand() % 12, free = 0;

    if (what == 0)
        lock_release_all(&table, &holders[holder]);
    else if (what == 1)
        lock_cancel(&table, &holders[holder]);
    else if (what < 4)
        take_range(holder, key, key + 1 + rand() % (KEYS - key));
    else
        take(holder, key, what < 10 ? LOCK_EXCLUSIVE : LOCK_SHARED);
    for (int i = 0; i < HOLDERS; i++)
        free += !waits(i);
    assert_true(free > 0); /* or it is a deadlock that nobody found */
}

static void random_work_keeps_them_apart(void **state)
{
    for (int run = 0; run < RUNS; run++) {
        srand((unsigned)run);
        table.warm_max = (size_t)run % 3;
        for (int i = 0; i < STEPS; i++) {
            some_step();
            check();
        }
        for (int i = 0; i < HOLDERS; i++) { /* one after the other ends, and nobody waits for ever */
            lock_release_all(&table, &holders[i]);
            check();
        }
        assert_int_equal(table.locks.count, 0);
        teardown(state);
        setup_cold(state);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_cold_lock_is_held, setup_cold, teardown),
        cmocka_unit_test_setup_teardown(who_wants_a_cold_lock_waits_for_its_holder, setup_cold, teardown),
        cmocka_unit_test_setup_teardown(what_was_let_go_is_free, setup_cold, teardown),
        cmocka_unit_test_setup_teardown(a_cycle_through_cold_locks_is_found, setup_cold, teardown),
        cmocka_unit_test_setup_teardown(a_range_waits_for_cold_locks_of_others, setup_cold, teardown),
        cmocka_unit_test_setup_teardown(each_is_visited_once, setup_cold, teardown),
        cmocka_unit_test_setup_teardown(very_many_are_small, setup_cold, teardown),
        cmocka_unit_test_setup_teardown(random_work_keeps_them_apart, setup_cold, teardown),
    };

    alarm(60);
    hash_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
