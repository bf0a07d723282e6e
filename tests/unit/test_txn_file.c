/*
 * Files in transactions: nothing is touched before the commit, then all or nothing (T1, T3, T4); own writes are seen;
 * locks, marks, early writes and listings as for keys (T6, T8); recovery (T7).
 */
#include "tests/file_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

static struct world w;
static struct actor a, b;

static int setup(void **state)
{
    (void)state;
    world_init(&w);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_check_clean(&w);
    world_fini(&w);
    return 0;
}

static void begin(struct actor *x) { assert_int_equal(actor_begin(x, &w), OK); }

/* ---- writing ---- */

static void T1_nothing_is_touched_before_the_commit(void **state)
{
    (void)state;
    world_put_file(&w, "old", "before");
    begin(&a);
    assert_int_equal(do_write(&a, "new", "hello"), OK);
    assert_int_equal(do_write(&a, "old", "after"), OK);
    assert_string_equal(world_file(&w, "new"), "ABSENT");
    assert_string_equal(world_file(&w, "old"), "before");
    assert_int_equal(actor_commit_end(&a), OK);
    assert_string_equal(world_file(&w, "new"), "hello");
    assert_string_equal(world_file(&w, "old"), "after");
    assert_string_equal(disk_outcome(w.disk, a.id), "committed");
}

static void T3_an_abort_leaves_nothing(void **state)
{
    (void)state;
    world_put_file(&w, "old", "before");
    begin(&a);
    assert_int_equal(do_write(&a, "x/y/new", "hello"), OK);
    assert_int_equal(do_append(&a, "old", "more"), OK);
    assert_int_equal(file_mem_stage_count(disk_files(w.disk)), 2);
    assert_int_equal(actor_abort_end(&a), ERR_ABORTED);
    world_check_clean(&w);
    assert_string_equal(world_file(&w, "old"), "before");
    assert_int_equal(file_mem_count(disk_files(w.disk)), 1);
}

static void own_writes_are_seen(void **state)
{
    struct txn_file f;

    (void)state;
    world_put_file(&w, "log", "one ");
    begin(&a);
    assert_string_equal(do_read(&a, "new"), "ABSENT");
    assert_int_equal(do_write(&a, "new", "hello"), OK);
    assert_string_equal(do_read(&a, "new"), "hello");
    assert_int_equal(do_append(&a, "log", "two "), OK);
    assert_int_equal(do_append(&a, "log", "three"), OK);
    assert_string_equal(do_read(&a, "log"), "one two three");
    assert_string_equal(do_read_part(&a, "log", 2, 5), "e two");
    assert_string_equal(do_read_part(&a, "log", 100, 5), "");
    assert_int_equal(do_stat(&a, "log", &f), OK);
    assert_int_equal(f.size, 13);
    assert_int_equal(f.mtime_ns, 1000000000); /* when it began */
    assert_int_equal(do_remove(&a, "new"), OK);
    assert_string_equal(do_read(&a, "new"), "ABSENT");
    assert_int_equal(do_remove(&a, "new"), ERR_ABSENT);
    assert_int_equal(do_append(&a, "new", "again"), OK);
    assert_int_equal(actor_commit_end(&a), OK);
    assert_string_equal(world_file(&w, "log"), "one two three");
    assert_string_equal(world_file(&w, "new"), "again");
}

static void an_empty_file_is_a_file(void **state)
{
    struct txn_file f;

    (void)state;
    begin(&a);
    assert_int_equal(do_append(&a, "e1", ""), OK);
    assert_int_equal(do_write(&a, "e2", ""), OK);
    assert_string_equal(do_read(&a, "e2"), "");
    assert_int_equal(actor_commit_end(&a), OK);
    begin(&a);
    assert_int_equal(do_append(&a, "e1", ""), OK);
    assert_int_equal(txn_effect_count(a.t), 0);
    assert_int_equal(do_stat(&a, "e1", &f), OK);
    assert_int_equal(f.size, 0);
    assert_int_equal(actor_commit_end(&a), OK);
    assert_string_equal(world_file(&w, "e2"), "");
}

static void directories_on_the_way_are_made_and_told(void **state)
{
    struct txn_file f;

    (void)state;
    begin(&a);
    assert_int_equal(do_write(&a, "x/y/z", "1"), OK);
    assert_int_equal(txn_effect_count(a.t), 3);
    assert_int_equal(do_write(&a, "x/y/u", "2"), OK);
    assert_int_equal(txn_effect_count(a.t), 4);
    assert_int_equal(do_stat(&a, "x/y", &f), OK);
    assert_true(f.directory);
    assert_int_equal(do_write(&a, "x", "no"), ERR_BADARG);
    assert_string_equal(do_read(&a, "x/y"), "BADARG");
    assert_int_equal(actor_commit_end(&a), OK);
    assert_true(file_mem_has_directory(disk_files(w.disk), bytes_str("x/y/")));
    assert_string_equal(world_file(&w, "x/y/z"), "1");
    begin(&a);
    assert_int_equal(do_stat(&a, "x", &f), OK);
    assert_true(f.directory);
    assert_int_equal(do_write(&a, "x/y/z/deeper", "no"), ERR_BADARG);
    assert_int_equal(do_write(&a, "x/y", "no"), ERR_BADARG);
    assert_int_equal(do_remove(&a, "x/y"), ERR_BADARG);
    assert_int_equal(do_write(&a, "v", "file"), OK);
    assert_int_equal(do_write(&a, "v/w", "no"), ERR_BADARG);
    assert_int_equal(actor_commit_end(&a), OK);
}

static void what_names_no_file_is_refused_and_the_transaction_goes_on(void **state)
{
    static const char *const bad[] = {
        "", "/", "/a", "a//b", "a/", ".", "..", "a/../b", ".graftd/1/new.1", "a/.graftd"
    };

    (void)state;
    begin(&a);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(do_write(&a, bad[i], "x"), ERR_BADARG);
        assert_string_equal(do_read(&a, bad[i]), "BADARG");
        assert_int_equal(do_rename(&a, "a", bad[i]), ERR_BADARG);
    }
    assert_int_equal(do_write(&a, "a", "x"), OK);
    assert_int_equal(actor_commit_end(&a), OK);
    assert_int_equal(file_mem_count(disk_files(w.disk)), 1);
}

static void a_rename_replaces_and_is_two_effects(void **state)
{
    (void)state;
    world_put_file(&w, "from", "moved");
    world_put_file(&w, "to", "gone");
    begin(&a);
    assert_int_equal(do_rename(&a, "nothing", "to"), ERR_ABSENT);
    assert_int_equal(do_rename(&a, "from", "from"), OK);
    assert_int_equal(txn_effect_count(a.t), 0);
    assert_int_equal(do_rename(&a, "from", "to"), OK);
    assert_int_equal(txn_effect_count(a.t), 2);
    assert_string_equal(do_read(&a, "to"), "moved");
    assert_string_equal(do_read(&a, "from"), "ABSENT");
    assert_int_equal(do_append(&a, "to", " on"), OK);
    assert_int_equal(do_rename(&a, "to", "d/far"), OK);
    assert_string_equal(do_read(&a, "d/far"), "moved on");
    assert_int_equal(actor_commit_end(&a), OK);
    assert_string_equal(world_file(&w, "d/far"), "moved on");
    assert_string_equal(world_file(&w, "to"), "ABSENT");
    assert_string_equal(world_file(&w, "from"), "ABSENT");
}

static void renames_between_roots_are_refused(void **state)
{
    static const struct file_root roots[] = { { "export", "/export" } };

    (void)state;
    world_close(&w);
    w.options.roots = roots;
    w.options.root_count = 1;
    assert_int_equal(world_open(&w, NULL), OK);
    world_put_file(&w, "a", "1");
    begin(&a);
    assert_int_equal(do_rename(&a, "a", "export/a"), ERR_BADARG);
    assert_int_equal(do_rename(&a, "a", "exports/a"), OK);
    assert_int_equal(actor_commit_end(&a), OK);
}

/* ---- others ---- */

static void T6_paths_are_locked_as_keys_are(void **state)
{
    struct bytes data;
    uint64_t size;

    (void)state;
    world_put_file(&w, "f", "1");
    begin(&a);
    begin(&b);
    assert_int_equal(do_write(&a, "f", "2"), OK);
    assert_int_equal(txn_file_read(b.t, bytes_str("f"), 0, 10, &data, &size, NULL), ERR_WAIT);
    actor_commit(&a);
    assert_string_equal(do_read(&b, "f"), "2");
    assert_int_equal(actor_end(&a), OK);
    assert_int_equal(actor_commit_end(&b), OK);
}

static void T6_a_directory_that_another_makes_is_waited_for(void **state)
{
    (void)state;
    begin(&a);
    begin(&b);
    assert_int_equal(do_write(&a, "d/1", "a"), OK);
    assert_int_equal(try_write(&b, "d/2", "b"), ERR_WAIT);
    actor_commit(&a);
    assert_int_equal(do_write(&b, "d/2", "b"), OK);
    assert_int_equal(txn_effect_count(b.t), 1);
    assert_int_equal(actor_commit_end(&b), OK);
    assert_string_equal(world_file(&w, "d/1"), "a");
    assert_string_equal(world_file(&w, "d/2"), "b");
}

static void messages_name_the_file(void **state)
{
    struct failure why = { 0 };
    struct bytes data;
    uint64_t size;

    (void)state;
    world_put_file(&w, "a/b", "1");
    begin(&a);
    begin(&b);
    assert_int_equal(do_write(&a, "a/b", "2"), OK);
    assert_int_equal(txn_file_read(b.t, bytes_str("a/b"), 0, 10, &data, &size, NULL), ERR_WAIT);
    world_poll(&w);
    w.now_ms += 1000;
    world_poll(&w);
    assert_int_equal(txn_file_read(b.t, bytes_str("a/b"), 0, 10, &data, &size, &why), ERR_CONFLICT);
    assert_string_equal(why.text, "waited 1000 ms for file \"a/b\", which another transaction holds; try again");
    assert_int_equal(actor_abort_end(&b), ERR_ABORTED);
    assert_int_equal(actor_commit_end(&a), OK);
}

static void files_that_others_change_are_looked_at_anew(void **state)
{
    (void)state;
    world_put_file(&w, "f", "1");
    begin(&a);
    assert_string_equal(do_read(&a, "f"), "1");
    assert_int_equal(actor_commit_end(&a), OK);
    world_put_file(&w, "f", "longer");
    begin(&a);
    assert_string_equal(do_read(&a, "f"), "longer");
    assert_int_equal(actor_commit_end(&a), OK);
}

static void a_file_that_changes_under_a_transaction_is_a_conflict(void **state)
{
    struct failure why = { 0 };
    struct txn_file f;

    (void)state;
    world_put_file(&w, "f", "1");
    begin(&a);
    assert_int_equal(do_stat(&a, "f", &f), OK);
    world_put_file(&w, "f", "longer");
    assert_int_equal(do_stat(&a, "f", &f), OK);
    assert_int_equal(f.size, 1); /* the same until its end */
    assert_string_equal(do_read(&a, "f"), "CONFLICT");
    assert_int_equal(actor_abort_end(&a), ERR_ABORTED);
    begin(&a);
    assert_int_equal(do_write(&a, "f", "mine"), OK);
    assert_int_equal(do_put(&a, "k", "v"), OK);
    world_put_file(&w, "f", "theirs");
    assert_int_equal(actor_commit_end(&a), ERR_CONFLICT);
    assert_true(strstr(a.why.text, "somebody else than graftd") != NULL);
    assert_string_equal(world_file(&w, "f"), "theirs");
    assert_string_equal(world_disk(&w, "k"), "ABSENT");
    assert_string_equal(disk_outcome(w.disk, a.id), "CONFLICT");
    assert_int_equal(a.undone, 2);
    (void)why;
}

static void an_image_is_not_kept_when_nobody_uses_it(void **state)
{
    struct txn_stats before, after;

    (void)state;
    world_settle(&w);
    txn_stats(w.m, &before);
    world_put_file(&w, "f", "1");
    begin(&a);
    assert_string_equal(do_read(&a, "f"), "1");
    assert_string_equal(do_list(&a, ""), "f");
    assert_int_equal(do_write(&a, "g", "2"), OK);
    assert_int_equal(actor_commit_end(&a), OK);
    world_settle(&w);
    txn_stats(w.m, &after);
    assert_int_equal(after.cache_keys, before.cache_keys);
}

/* ---- listing ---- */

static void a_listing_merges_the_disk_and_own_changes(void **state)
{
    (void)state;
    world_put_file(&w, "d/b", "1");
    world_put_file(&w, "d/sub/x", "1");
    world_put_file(&w, "d/z", "1");
    world_put_file(&w, "other", "1");
    begin(&a);
    assert_string_equal(do_list(&a, ""), "d/ other");
    assert_string_equal(do_list(&a, "d/"), "d/b d/sub/ d/z");
    assert_int_equal(do_write(&a, "d/a", "1"), OK);
    assert_int_equal(do_write(&a, "d/own/y", "1"), OK);
    assert_int_equal(do_remove(&a, "d/z"), OK);
    assert_int_equal(do_rename(&a, "d/b", "d/c"), OK);
    assert_string_equal(do_list(&a, "d/"), "d/a d/c d/own/ d/sub/");
    assert_string_equal(do_list_from(&a, "d/", "d/b", 2), "d/c d/own/ +");
    assert_string_equal(do_list_from(&a, "d/", "d/own/", 1), "d/own/ +");
    assert_string_equal(do_list(&a, "d/own/"), "d/own/y");
    assert_string_equal(do_list(&a, "nothing/"), "");
    assert_int_equal(actor_commit_end(&a), OK);
}

static void a_listing_goes_on_page_by_page(void **state)
{
    char path[32], from[40] = "", all[2000] = "";
    struct txn_page page;
    enum err err;

    (void)state;
    for (int i = 0; i < 40; i++) {
        snprintf(path, sizeof path, i % 3 == 0 ? "d/%02d/x" : "d/%02d", i);
        world_put_file(&w, path, "");
    }
    begin(&a);
    for (int i = 0; i < 40; i += 4) {
        snprintf(path, sizeof path, "d/%02d+", i);
        assert_int_equal(do_write(&a, path, "x"), OK);
    }
    do {
        UNTIL_DONE(&a, err,
                   err = txn_file_list(a.t, bytes_str("d/"), bytes_of(from, strlen(from) + (from[0] != '\0')), 7, &page,
                                       NULL));
        assert_int_equal(err, OK);
        for (size_t i = 0; i < page.count; i++) {
            snprintf(from, sizeof from, "%.*s", (int)page.items[i].key.len, (const char *)page.items[i].key.data);
            snprintf(all + strlen(all), sizeof all - strlen(all), "%s ", from + 2);
        }
    } while (page.more);
    assert_true(strncmp(all, "00+ 00/ 01 02 03/ 04 04+ 05 06/ 07 08 08+ 09/ ", 40) == 0);
    assert_int_equal(strlen(all), 10 * 4 + 14 * 4 + 26 * 3);
    assert_int_equal(actor_commit_end(&a), OK);
}

static void T6_no_file_appears_in_a_directory_that_was_listed(void **state)
{
    (void)state;
    world_put_file(&w, "d/1", "1");
    begin(&a);
    begin(&b);
    assert_string_equal(do_list(&a, "d/"), "d/1");
    for (int i = 0; i < 10 && try_write(&b, "d/2", "2") == ERR_WAIT; i++)
        world_poll(&w);
    assert_string_equal(do_list(&a, "d/"), "d/1");
    actor_commit(&a);
    assert_int_equal(do_write(&b, "d/2", "2"), OK);
    assert_int_equal(actor_commit_end(&b), OK);
}

/* ---- marks and early writes ---- */

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

/* ---- when the store fails ---- */

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

static void an_abort_while_staging_is_under_way(void **state)
{
    (void)state;
    store_mem_set_delay(w.store, 3);
    begin(&a);
    while (file_mem_stage_count(disk_files(w.disk)) == 0) { /* it is staged, and not told yet */
        assert_int_equal(try_write(&a, "f", "content"), ERR_WAIT);
        world_poll(&w);
    }
    assert_int_equal(actor_abort_end(&a), ERR_ABORTED);
    store_mem_set_delay(w.store, 1);
    world_check_clean(&w);
    assert_int_equal(file_mem_count(disk_files(w.disk)), 0);
}

static void asking_something_else_lets_the_request_go(void **state)
{
    (void)state;
    store_mem_set_delay(w.store, 2);
    begin(&a);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(try_write(&a, "f", "content"), ERR_WAIT);
        world_poll(&w);
    }
    assert_int_equal(do_put(&a, "k", "v"), OK);
    assert_int_equal(do_write(&a, "f", "else"), OK);
    assert_string_equal(do_read(&a, "f"), "else");
    assert_int_equal(actor_commit_end(&a), OK);
    store_mem_set_delay(w.store, 1);
    assert_string_equal(world_file(&w, "f"), "else");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(T1_nothing_is_touched_before_the_commit),
        TEST(T3_an_abort_leaves_nothing),
        TEST(own_writes_are_seen),
        TEST(an_empty_file_is_a_file),
        TEST(directories_on_the_way_are_made_and_told),
        TEST(what_names_no_file_is_refused_and_the_transaction_goes_on),
        TEST(a_rename_replaces_and_is_two_effects),
        TEST(renames_between_roots_are_refused),
        TEST(T6_paths_are_locked_as_keys_are),
        TEST(T6_a_directory_that_another_makes_is_waited_for),
        TEST(messages_name_the_file),
        TEST(files_that_others_change_are_looked_at_anew),
        TEST(a_file_that_changes_under_a_transaction_is_a_conflict),
        TEST(an_image_is_not_kept_when_nobody_uses_it),
        TEST(a_listing_merges_the_disk_and_own_changes),
        TEST(a_listing_goes_on_page_by_page),
        TEST(T6_no_file_appears_in_a_directory_that_was_listed),
        TEST(T8_going_back_to_a_mark_is_a_shorter_stage),
        TEST(T8_what_was_staged_goes_when_all_was_taken_back),
        TEST(T4_early_writes_with_files_commit_and_abort),
        TEST(T8_going_back_behind_early_writes),
        TEST(a_failing_apply_fails_its_transaction_alone),
        TEST(a_failing_early_write_or_last_entry_takes_all_back),
        TEST(T10_an_unknown_apply_poisons_and_the_next_start_undoes),
        TEST(T7_a_crash_at_any_poll_leaves_all_or_nothing),
        TEST(an_abort_while_staging_is_under_way),
        TEST(asking_something_else_lets_the_request_go),
    };

    alarm(60);
    hash_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
