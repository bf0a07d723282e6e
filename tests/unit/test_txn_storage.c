/*
 * A store that fails: a refused batch takes back what built on it, and only that (T3); an outcome that nobody knows is
 * told as such; an undo that cannot be done stops all new work (T10).
 */
#include "tests/txn_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

static void T3_a_refused_batch_takes_back_what_built_on_it_and_only_that(void **state)
{
    struct world *w = *state;
    struct actor first, later, reader, open_on_it, apart, fine;

    world_put(w, "k", "old");
    world_put(w, "z", "old");
    assert_int_equal(actor_begin(&apart, w), OK);
    assert_int_equal(do_put(&apart, "z", "apart"), OK);
    assert_int_equal(actor_begin(&first, w), OK);
    assert_int_equal(do_put(&first, "k", "first"), OK);
    store_mem_set_delay(w->store, 3);
    store_mem_fail_next(w->store, STORE_COMMIT, ERR_STORAGE, false);
    actor_commit(&first);
    world_poll(w);
    assert_int_equal(actor_begin(&later, w), OK);
    assert_int_equal(try_put(&later, "k", "later"), OK);
    actor_commit(&later);
    assert_int_equal(actor_begin(&reader, w), OK);
    assert_string_equal(do_get(&reader, "k"), "later");
    actor_commit(&reader);
    assert_int_equal(actor_begin(&open_on_it, w), OK);
    assert_int_equal(try_put(&open_on_it, "k", "open"), OK);
    assert_int_equal(actor_end(&first), ERR_STORAGE);
    assert_int_equal(actor_end(&later), ERR_STORAGE);
    assert_int_equal(actor_end(&reader), ERR_STORAGE);
    assert_int_equal(first.undone, 1);
    assert_int_equal(try_put(&open_on_it, "other", "open"), ERR_STORAGE);
    actor_commit(&open_on_it);
    assert_int_equal(actor_end(&open_on_it), ERR_STORAGE);
    assert_int_equal(actor_commit_end(&apart), OK);
    assert_string_equal(world_get(w, "k"), "old");
    assert_string_equal(world_get(w, "z"), "apart");
    assert_int_equal(actor_begin(&fine, w), OK);
    assert_int_equal(do_put(&fine, "k", "new"), OK);
    assert_int_equal(actor_commit_end(&fine), OK);
    assert_false(txn_manager_poisoned(w->m));
    world_settle(w);
    assert_string_equal(world_disk(w, "k"), "new");
    assert_string_equal(world_disk(w, "z"), "apart");
}

static void a_refused_early_write_dooms_its_transaction_only(void **state)
{
    struct world *w = *state;
    struct actor a;

    w->options.spill_bytes = 1;
    world_reopen(w);
    world_put(w, "k", "old");
    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(do_put(&a, "k", "1"), OK);
    store_mem_fail_next(w->store, STORE_COMMIT, ERR_STORAGE, false);
    assert_int_equal(do_put(&a, "l", "1"), OK);
    world_settle(w);
    assert_int_equal(try_put(&a, "m", "1"), ERR_STORAGE);
    assert_int_equal(actor_abort_end(&a), ERR_ABORTED);
    assert_string_equal(world_get(w, "k"), "old");
    assert_int_equal(disk_key_count(w->disk), 1);
}

static void a_refused_end_of_an_early_written_one_is_undone_on_disk(void **state)
{
    struct world *w = *state;
    struct actor a;

    w->options.spill_bytes = 1;
    world_reopen(w);
    world_put(w, "k", "old");
    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(do_put(&a, "k", "1"), OK);
    assert_int_equal(do_put(&a, "l", "1"), OK);
    world_settle(w);
    assert_int_equal(do_put(&a, "m", "1"), OK);
    store_mem_fail_next(w->store, STORE_COMMIT, ERR_STORAGE, false);
    assert_int_equal(actor_commit_end(&a), ERR_STORAGE);
    assert_string_equal(world_disk(w, "k"), "old");
    assert_string_equal(world_get(w, "k"), "old");
    assert_int_equal(disk_key_count(w->disk), 1);
    assert_string_equal(disk_outcome(w->disk, a.id), "STORAGE");
}

static void T10_a_failed_undo_of_an_early_write_poisons(void **state)
{
    struct world *w = *state;
    struct actor a, b;

    world_put(w, "k", "old");
    w->options.spill_bytes = 1;
    world_reopen(w);
    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(actor_begin(&b, w), OK);
    assert_int_equal(do_put(&a, "k", "1"), OK);
    assert_int_equal(do_put(&a, "l", "1"), OK);
    world_settle(w);
    store_mem_fail_next(w->store, STORE_UNDO, ERR_STORAGE, false);
    assert_int_equal(actor_abort_end(&a), ERR_STORAGE);
    assert_true(txn_manager_poisoned(w->m));
    assert_int_equal(try_put(&b, "z", "1"), ERR_STORAGE);
    actor_abort_end(&b);
    assert_int_equal(actor_begin(&b, w), ERR_STORAGE);
    world_reopen(w);
    assert_string_equal(world_disk(w, "k"), "old");
    assert_string_equal(world_disk(w, "l"), "ABSENT");
}

static void an_unknown_outcome_is_told_as_such_and_ends_all_work(void **state)
{
    struct world *w = *state;
    struct actor a, open;

    for (int applied = 0; applied < 2; applied++) {
        world_put(w, "k", "old");
        assert_int_equal(actor_begin(&open, w), OK);
        assert_int_equal(actor_begin(&a, w), OK);
        assert_int_equal(do_put(&a, "k", "new"), OK);
        store_mem_fail_next(w->store, STORE_COMMIT, ERR_UNKNOWN, applied);
        assert_int_equal(actor_commit_end(&a), ERR_UNKNOWN);
        assert_true(txn_manager_poisoned(w->m));
        assert_int_equal(try_put(&open, "x", "y"), ERR_STORAGE);
        assert_int_equal(actor_abort_end(&open), ERR_ABORTED);
        assert_int_equal(actor_begin(&a, w), ERR_STORAGE);
        world_reopen(w);
        assert_string_equal(world_get(w, "k"), applied ? "new" : "old");
        assert_int_equal(world_put(w, "k", "x"), OK);
    }
}

static void a_failing_read_ends_who_asked(void **state)
{
    struct world *w = *state;
    struct actor a;

    assert_int_equal(actor_begin(&a, w), OK);
    store_mem_fail_next(w->store, STORE_GET, ERR_STORAGE, false);
    assert_string_equal(do_get(&a, "k"), "STORAGE");
    assert_int_equal(actor_commit_end(&a), ERR_STORAGE);
    assert_int_equal(actor_begin(&a, w), OK);
    store_mem_fail_next(w->store, STORE_SCAN, ERR_STORAGE, false);
    assert_string_equal(do_scan(&a, "", "", 5), "STORAGE");
    assert_int_equal(actor_abort_end(&a), ERR_ABORTED);
    assert_string_equal(world_get(w, "k"), "ABSENT");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(T3_a_refused_batch_takes_back_what_built_on_it_and_only_that),
        TEST(a_refused_early_write_dooms_its_transaction_only),
        TEST(a_refused_end_of_an_early_written_one_is_undone_on_disk),
        TEST(T10_a_failed_undo_of_an_early_write_poisons),
        TEST(an_unknown_outcome_is_told_as_such_and_ends_all_work),
        TEST(a_failing_read_ends_who_asked),
    };

    alarm(60);
    hash_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
