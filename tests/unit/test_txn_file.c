/*
 * Files in transactions: nothing is touched before the commit (T1), an abort leaves nothing (T3), own writes are seen,
 * also by listings; directories on the way are made, and what names no file is refused.
 */
#include "tests/file_case.h"

static struct actor a;

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
        TEST(a_listing_merges_the_disk_and_own_changes),
        TEST(a_listing_goes_on_page_by_page),
    };

    alarm(60);
    hash_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
