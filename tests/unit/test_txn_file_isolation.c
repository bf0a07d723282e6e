/*
 * Files and others: paths and directories are locked as keys and ranges are (T6); what somebody changes who is no
 * transaction is looked at anew, or is a conflict.
 */
#include "tests/file_case.h"

static struct actor a, b;

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(T6_paths_are_locked_as_keys_are),
        TEST(T6_a_directory_that_another_makes_is_waited_for),
        TEST(T6_no_file_appears_in_a_directory_that_was_listed),
        TEST(messages_name_the_file),
        TEST(files_that_others_change_are_looked_at_anew),
        TEST(a_file_that_changes_under_a_transaction_is_a_conflict),
        TEST(an_image_is_not_kept_when_nobody_uses_it),
        TEST(an_abort_while_staging_is_under_way),
        TEST(asking_something_else_lets_the_request_go),
    };

    alarm(60);
    hash_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
