/*
 * Early writes: a transaction that grows too large is written before its end, with its undo records (T4); it is undone
 * newest first, whatever was on disk already (T5), and others see nothing of it (T1).
 */
#include "tests/txn_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

static void T4_a_large_transaction_is_written_early_with_its_undo_records(void **state)
{
    struct world *w = *state;
    struct actor a;

    world_put(w, "a", "old");
    w->options.spill_bytes = 1;
    world_reopen(w);
    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(do_put(&a, "a", "new"), OK);
    assert_int_equal(do_put(&a, "b", "new"), OK);
    world_settle(w);
    assert_string_equal(world_disk(w, "a"), "new");
    assert_true(disk_has_row(w->disk, a.id));
    assert_null(disk_outcome(w->disk, a.id));
    store_mem_crash(w->store, 0);
    actor_abort_end(&a);
    world_reopen(w);
    assert_string_equal(world_disk(w, "a"), "old");
    assert_string_equal(world_disk(w, "b"), "ABSENT");
    assert_string_equal(disk_outcome(w->disk, a.id), "KILLED");
}

static void T5_undo_runs_newest_first_also_across_early_writes(void **state)
{
    struct world *w = *state;
    struct actor a;
    char value[16];

    world_put(w, "k", "first");
    w->options.spill_bytes = 300;
    world_reopen(w);
    assert_int_equal(actor_begin(&a, w), OK);
    for (int i = 0; i < 50; i++) {
        snprintf(value, sizeof value, "%d", i);
        assert_int_equal(do_put(&a, i % 2 == 0 ? "k" : "other", value), OK);
    }
    assert_int_equal(actor_abort_end(&a), ERR_ABORTED);
    assert_int_equal(a.undone, 50);
    assert_string_equal(world_get(w, "k"), "first");
    assert_string_equal(world_get(w, "other"), "ABSENT");
    assert_string_equal(world_disk(w, "k"), "first");
    assert_string_equal(disk_outcome(w->disk, a.id), "ABORTED");
}

static void a_large_transaction_commits_whole(void **state)
{
    struct world *w = *state;
    struct actor a;
    struct txn_stats s;
    char key[32];

    w->options.spill_bytes = 1000;
    w->options.cache_bytes = 1000;
    world_reopen(w);
    assert_int_equal(actor_begin(&a, w), OK);
    for (int i = 0; i < 200; i++) {
        snprintf(key, sizeof key, "k%d", i);
        assert_int_equal(do_put(&a, key, "value"), OK);
    }
    txn_stats(w->m, &s);
    assert_true(s.spilled > 5);
    assert_true(s.cache_keys < 100);
    assert_string_equal(do_get(&a, "k0"), "value");
    assert_int_equal(actor_commit_end(&a), OK);
    assert_int_equal(disk_key_count(w->disk), 200);
    assert_string_equal(disk_outcome(w->disk, a.id), "committed");
}

static void keys_of_an_early_write_stay_locked_until_the_end_is_on_disk(void **state)
{
    struct world *w = *state;
    struct actor a, b;
    enum err err;

    w->options.spill_bytes = 1;
    w->options.cache_bytes = 0;
    world_reopen(w);
    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(do_put(&a, "k", "early"), OK);
    assert_int_equal(do_put(&a, "l", "later"), OK);
    world_settle(w);
    store_mem_set_delay(w->store, 4);
    actor_commit(&a);
    assert_int_equal(actor_begin(&b, w), OK);
    while (!a.ended) {
        try_get(&b, "k", LOCK_SHARED, &err);
        assert_int_equal(err, ERR_WAIT);
        world_poll(w);
    }
    assert_string_equal(do_get(&b, "k"), "early");
    assert_int_equal(actor_commit_end(&b), OK);
}

static void an_abort_before_the_early_write_was_submitted_undoes_it_too(void **state)
{
    struct world *w = *state;
    struct actor a;

    w->options.spill_bytes = 1;
    world_reopen(w);
    assert_string_equal(world_get(w, "k"), "ABSENT");
    assert_string_equal(world_get(w, "l"), "ABSENT");
    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(try_put(&a, "k", "1"), OK);
    assert_int_equal(try_put(&a, "l", "1"), OK);
    actor_abort(&a);
    assert_int_equal(actor_end(&a), ERR_ABORTED);
    assert_string_equal(world_get(w, "k"), "ABSENT");
    assert_int_equal(disk_key_count(w->disk), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(T4_a_large_transaction_is_written_early_with_its_undo_records),
        TEST(T5_undo_runs_newest_first_also_across_early_writes),
        TEST(a_large_transaction_commits_whole),
        TEST(keys_of_an_early_write_stay_locked_until_the_end_is_on_disk),
        TEST(an_abort_before_the_early_write_was_submitted_undoes_it_too),
    };

    alarm(60);
    hash_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
