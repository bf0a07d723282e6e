/*
 * Files that go back: to a mark (T8), with an early write (T4), when the store fails, and after a crash at any moment
 * (T7); an outcome that nobody knows is left to the next start (T10).
 */
#include "tests/file_case.h"

static struct actor a, b;

static void T8_going_back_to_a_mark_is_a_shorter_stage(void **state)
{
    struct txn_mark mark;
    uint64_t undone;

    (void)state;
    world_put_file(&w, "log", "0");
    begin(&a);
    assert_int_equal(do_append(&a, "log", "1"), OK);
    mark = txn_mark(a.t);
    assert_int_equal(do_append(&a, "log", "22"), OK);
    assert_int_equal(do_write(&a, "log", "other"), OK);
    assert_int_equal(do_append(&a, "log", "!"), OK);
    assert_int_equal(do_write(&a, "new", "n"), OK);
    assert_int_equal(do_rollback(&a, mark, &undone), OK);
    assert_int_equal(undone, 4);
    assert_string_equal(do_read(&a, "log"), "01");
    assert_string_equal(do_read(&a, "new"), "ABSENT");
    assert_int_equal(do_append(&a, "log", "3"), OK);
    assert_string_equal(do_read(&a, "log"), "013");
    assert_int_equal(actor_commit_end(&a), OK);
    assert_string_equal(world_file(&w, "log"), "013");
    assert_string_equal(world_file(&w, "new"), "ABSENT");
}

static void T8_what_was_staged_goes_when_all_was_taken_back(void **state)
{
    struct txn_mark mark;
    uint64_t undone;

    (void)state;
    begin(&a);
    assert_int_equal(do_put(&a, "k", "v"), OK);
    mark = txn_mark(a.t);
    assert_int_equal(do_write(&a, "new", "n"), OK);
    assert_int_equal(do_rollback(&a, mark, &undone), OK);
    assert_int_equal(actor_commit_end(&a), OK);
    world_check_clean(&w);
    assert_int_equal(file_mem_count(disk_files(w.disk)), 0);
    assert_string_equal(world_disk(&w, "k"), "v");
}

static void small_spill(void)
{
    world_close(&w);
    w.options.spill_bytes = 500;
    assert_int_equal(world_open(&w, NULL), OK);
}

static void fill(struct actor *x, int from, int to)
{
    char path[32];

    for (int i = from; i < to; i++) {
        snprintf(path, sizeof path, "d%d/f%d", i % 3, i);
        assert_int_equal(do_write(x, path, path), OK);
        snprintf(path, sizeof path, "k%d", i);
        assert_int_equal(do_put(x, path, path), OK);
    }
}

static void T4_early_writes_with_files_commit_and_abort(void **state)
{
    struct txn_stats stats;

    (void)state;
    small_spill();
    begin(&a);
    fill(&a, 0, 30);
    txn_stats(w.m, &stats);
    assert_true(stats.spilled > 2);
    assert_int_equal(file_mem_count(disk_files(w.disk)), 0);
    assert_int_equal(actor_commit_end(&a), OK);
    assert_int_equal(file_mem_count(disk_files(w.disk)), 33);
    assert_string_equal(world_file(&w, "d2/f29"), "d2/f29");
    begin(&a);
    fill(&a, 25, 60);
    assert_int_equal(actor_abort_end(&a), ERR_ABORTED);
    world_check_clean(&w);
    assert_int_equal(file_mem_count(disk_files(w.disk)), 33);
    assert_string_equal(world_disk(&w, "k40"), "ABSENT");
}

static void T8_going_back_behind_early_writes(void **state)
{
    struct txn_mark mark;
    uint64_t undone;

    (void)state;
    small_spill();
    world_put_file(&w, "log", "0");
    begin(&a);
    assert_int_equal(do_append(&a, "log", "1"), OK);
    assert_int_equal(txn_emit(a.t, bytes_str("t"), bytes_str("kept"), NULL), OK);
    mark = txn_mark(a.t);
    assert_int_equal(do_append(&a, "log", "2"), OK);
    assert_int_equal(txn_emit(a.t, bytes_str("t"), bytes_str("not told"), NULL), OK);
    fill(&a, 0, 20);
    assert_int_equal(do_rollback(&a, mark, &undone), OK);
    assert_string_equal(do_read(&a, "log"), "01");
    assert_int_equal(do_append(&a, "log", "3"), OK);
    assert_int_equal(actor_commit_end(&a), OK);
    assert_string_equal(world_file(&w, "log"), "013");
    assert_int_equal(file_mem_count(disk_files(w.disk)), 1);
    assert_int_equal(disk_event_count(w.disk), 1);
    assert_true(bytes_equal(disk_event(w.disk, 0)->data, bytes_str("kept")));
}

static void change_all(struct actor *x)
{
    begin(x);
    assert_int_equal(do_write(x, "new", "n"), OK);
    assert_int_equal(do_append(x, "old", "!"), OK);
    assert_int_equal(do_put(x, "k", "v"), OK);
}

static void check_untouched(void)
{
    assert_string_equal(world_file(&w, "new"), "ABSENT");
    assert_string_equal(world_file(&w, "old"), "before");
    assert_string_equal(world_disk(&w, "k"), "ABSENT");
}

static void a_failing_apply_fails_its_transaction_alone(void **state)
{
    (void)state;
    world_put_file(&w, "old", "before");
    change_all(&a);
    begin(&b);
    assert_int_equal(do_put(&b, "other", "1"), OK);
    store_mem_fail_next(w.store, STORE_APPLY, ERR_STORAGE, false);
    actor_commit(&a);
    assert_int_equal(actor_commit_end(&b), OK);
    assert_int_equal(actor_end(&a), ERR_STORAGE);
    check_untouched();
    assert_string_equal(disk_outcome(w.disk, a.id), "STORAGE");
    world_check_clean(&w);
    change_all(&a);
    assert_int_equal(actor_commit_end(&a), OK);
    assert_string_equal(world_file(&w, "old"), "before!");
}

static void a_failing_early_write_or_last_entry_takes_all_back(void **state)
{
    (void)state;
    world_put_file(&w, "old", "before");
    change_all(&a);
    store_mem_fail_next(w.store, STORE_COMMIT, ERR_STORAGE, false);
    assert_int_equal(actor_commit_end(&a), ERR_STORAGE);
    world_check_clean(&w);
    check_untouched();
    change_all(&a);
    actor_commit(&a);
    while (strcmp(world_file(&w, "new"), "n") != 0)
        world_poll(&w);
    store_mem_fail_next(w.store, STORE_COMMIT, ERR_STORAGE, false);
    assert_int_equal(actor_end(&a), ERR_STORAGE);
    world_check_clean(&w);
    check_untouched();
}

static void T10_an_unknown_apply_poisons_and_the_next_start_undoes(void **state)
{
    (void)state;
    for (int applied = 0; applied < 2; applied++) {
        world_put_file(&w, "old", "before");
        change_all(&a);
        store_mem_fail_next(w.store, STORE_APPLY, ERR_UNKNOWN, applied != 0);
        assert_int_equal(actor_commit_end(&a), ERR_UNKNOWN);
        assert_true(txn_manager_poisoned(w.m));
        assert_int_equal(actor_begin(&b, &w), ERR_STORAGE);
        world_reopen(&w);
        check_untouched();
        assert_int_equal(file_mem_stage_count(disk_files(w.disk)), 0);
    }
}

static void T7_a_crash_at_any_poll_leaves_all_or_nothing(void **state)
{
    unsigned whole = 0, nothing = 0;

    (void)state;
    for (int polls = 0; polls < 12; polls++) {
        world_put_file(&w, "old", "before");
        change_all(&a);
        actor_commit(&a);
        for (int i = 0; i < polls && !a.ended; i++)
            world_poll(&w);
        if (!a.ended) {
            store_mem_crash(w.store, polls % 2 ? store_mem_waiting(w.store) : 0);
            actor_end(&a);
            world_reopen(&w);
        }
        if (strcmp(world_disk(&w, "k"), "v") == 0) {
            assert_string_equal(world_file(&w, "old"), "before!");
            assert_string_equal(world_file(&w, "new"), "n");
            whole++;
            begin(&b);
            assert_int_equal(do_delete(&b, "k"), OK);
            assert_int_equal(do_remove(&b, "new"), OK);
            assert_int_equal(actor_commit_end(&b), OK);
        } else {
            assert_true(!a.ended || a.why.err != OK);
            check_untouched();
            nothing++;
        }
    }
    assert_true(whole > 0 && nothing > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(T8_going_back_to_a_mark_is_a_shorter_stage),
        TEST(T8_what_was_staged_goes_when_all_was_taken_back),
        TEST(T4_early_writes_with_files_commit_and_abort),
        TEST(T8_going_back_behind_early_writes),
        TEST(a_failing_apply_fails_its_transaction_alone),
        TEST(a_failing_early_write_or_last_entry_takes_all_back),
        TEST(T10_an_unknown_apply_poisons_and_the_next_start_undoes),
        TEST(T7_a_crash_at_any_poll_leaves_all_or_nothing),
    };

    alarm(60);
    hash_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
