/*
 * Keys that are read ahead of their locks: who locks them then need not wait; and what nobody may see, or is not true any
 * more, does not come in that way (T1, T6).
 */
#include "tests/txn_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

struct waiter {
    struct txn_warmup *warmup;
    unsigned ready;
};

static void ready(void *owner)
{
    struct waiter *waiter = owner;

    waiter->warmup = NULL;
    waiter->ready++;
}

static bool warm(struct world *w, struct waiter *waiter, const char *a, const char *b)
{
    struct bytes keys[] = { bytes_str(a), bytes_str(b) };

    *waiter = (struct waiter){ 0 };
    return txn_warm_up(w->m, keys, 2, ready, waiter, &waiter->warmup);
}

/* It is there without waiting. */
static void assert_at_hand(struct world *w, const char *key, const char *value)
{
    struct bytes got = { NULL, 0 };
    struct actor a;
    enum err err;

    assert_int_equal(actor_begin(&a, w), OK);
    err = txn_get(a.t, bytes_str(key), LOCK_EXCLUSIVE, &got, NULL);
    assert_int_equal(err, value == NULL ? ERR_ABSENT : OK);
    if (value != NULL)
        assert_true(bytes_equal(got, bytes_str(value)));
    actor_commit_end(&a);
}

static void what_was_read_ahead_is_at_hand(void **state)
{
    struct world *w = *state;
    struct waiter waiter;

    world_put(w, "a", "one");
    world_reopen(w);
    assert_true(warm(w, &waiter, "a", "none"));
    world_settle(w);
    assert_int_equal(waiter.ready, 1);
    assert_at_hand(w, "a", "one");
    assert_at_hand(w, "none", NULL);
    assert_false(warm(w, &waiter, "a", "none"));
}

static void nobody_is_called_who_left(void **state)
{
    struct world *w = *state;
    struct waiter waiter;

    world_put(w, "a", "one");
    world_reopen(w);
    assert_true(warm(w, &waiter, "a", "b"));
    txn_warm_drop(&waiter.warmup);
    world_settle(w);
    assert_int_equal(waiter.ready, 0);
    txn_warm_drop(&waiter.warmup);
}

static void what_is_changed_before_the_answer_stays_changed(void **state)
{
    struct world *w = *state;
    struct waiter waiter;
    struct actor a;

    world_put(w, "a", "old");
    world_reopen(w);
    store_mem_set_delay(w->store, 5);
    assert_true(warm(w, &waiter, "a", "b"));
    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(do_put(&a, "a", "new"), OK); /* it waited for its own read */
    assert_int_equal(waiter.ready, 1);
    assert_true(warm(w, &waiter, "c", "d"));
    actor_commit_end(&a);
    world_settle(w);
    assert_at_hand(w, "a", "new");
}

/* The store holds what an early write put there; it is nobody's until the transaction ends, and it may end badly. */
static void what_is_written_early_is_not_read_ahead(void **state)
{
    struct world *w = *state;
    struct waiter waiter;
    struct actor a;

    world_put(w, "a", "old");
    w->options.spill_bytes = 1;
    w->options.cache_bytes = 1;
    world_reopen(w);
    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(do_put(&a, "a", "dirty"), OK);
    assert_int_equal(do_put(&a, "b", "dirty"), OK);
    world_settle(w);
    assert_string_equal(world_disk(w, "a"), "dirty");
    assert_false(warm(w, &waiter, "a", "b"));
    actor_abort_end(&a);
    world_settle(w);
    assert_string_equal(world_get(w, "a"), "old");
    assert_string_equal(world_get(w, "b"), "ABSENT");
}

static void what_cannot_be_read_is_only_not_at_hand(void **state)
{
    struct world *w = *state;
    struct waiter waiter;

    world_put(w, "a", "one");
    world_reopen(w);
    store_mem_fail_next(w->store, STORE_GET, ERR_STORAGE, false);
    assert_true(warm(w, &waiter, "a", "b"));
    world_settle(w);
    assert_int_equal(waiter.ready, 1);
    assert_string_equal(world_get(w, "a"), "one");
    assert_false(warm(w, &waiter, "", "a")); /* nor is a key that cannot be one asked for */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_read_ahead_is_at_hand),
        TEST(nobody_is_called_who_left),
        TEST(what_is_changed_before_the_answer_stays_changed),
        TEST(what_is_written_early_is_not_read_ahead),
        TEST(what_cannot_be_read_is_only_not_at_hand),
    };

    alarm(60);
    hash_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
