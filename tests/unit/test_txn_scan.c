/*
 * Scans: in order, over what is committed and the transaction's own changes, page by page; and T6 for ranges: a scan
 * locks what it looked at, and no more.
 */
#include "tests/txn_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

static void a_scan_sees_its_own_and_what_is_committed_in_order(void **state)
{
    struct world *w = *state;
    struct actor a;

    disk_put(w->disk, bytes_str("p:1"), bytes_str("disk"));
    disk_put(w->disk, bytes_str("p:3"), bytes_str("disk"));
    disk_put(w->disk, bytes_str("p:5"), bytes_str("disk"));
    disk_put(w->disk, bytes_str("q"), bytes_str("other"));
    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(do_put(&a, "p:2", "own"), OK);
    assert_int_equal(do_put(&a, "p:3", "own"), OK);
    assert_int_equal(do_delete(&a, "p:5"), OK);
    assert_int_equal(do_put(&a, "p:9", "own"), OK);
    assert_int_equal(do_put(&a, "o", "own"), OK);
    assert_string_equal(do_scan(&a, "p:", "", 10), "p:1=disk p:2=own p:3=own p:9=own");
    assert_string_equal(do_scan(&a, "p:", "p:2", 2), "p:2=own p:3=own +");
    assert_string_equal(do_scan(&a, "p:", "p:31", 2), "p:9=own");
    assert_string_equal(do_scan(&a, "", "", 1), "o=own +");
    assert_string_equal(do_scan(&a, "none", "", 1), "");
    assert_int_equal(actor_commit_end(&a), OK);
}

static void a_scan_goes_on_past_pages_of_deleted_keys(void **state)
{
    struct world *w = *state;
    struct actor a;
    char key[32];

    for (int i = 10; i < 40; i++) {
        snprintf(key, sizeof key, "k%d", i);
        disk_put(w->disk, bytes_str(key), bytes_str("v"));
    }
    assert_int_equal(actor_begin(&a, w), OK);
    for (int i = 10; i < 39; i++) {
        snprintf(key, sizeof key, "k%d", i);
        assert_int_equal(do_delete(&a, key), OK);
    }
    assert_string_equal(do_scan(&a, "k", "", 3), "k39=v");
    assert_int_equal(actor_abort_end(&a), ERR_ABORTED);
    assert_int_equal(actor_begin(&a, w), OK);
    assert_string_equal(do_scan(&a, "k", "", 2), "k10=v k11=v +");
    actor_quiet(&a);
    world_settle(w);
}

static void a_scan_waits_for_the_keys_of_others_and_looks_again(void **state)
{
    struct world *w = *state;
    struct actor other, a;
    enum err err;

    disk_put(w->disk, bytes_str("a"), bytes_str("1"));
    disk_put(w->disk, bytes_str("b"), bytes_str("1"));
    for (int commit = 0; commit < 2; commit++) {
        assert_int_equal(actor_begin(&other, w), OK);
        assert_int_equal(actor_begin(&a, w), OK);
        assert_int_equal(do_delete(&other, "a"), OK);
        assert_int_equal(do_put(&other, "c", "new"), OK);
        for (int i = 0; i < 5; i++) {
            try_scan(&a, "", "", 10, &err);
            assert_int_equal(err, ERR_WAIT);
            world_poll(w);
        }
        commit ? actor_commit(&other) : actor_abort(&other);
        assert_string_equal(do_scan(&a, "", "", 10), commit ? "b=1 c=new" : "a=1 b=1");
        actor_commit(&a);
        actor_end(&a);
        assert_true(other.ended);
    }
}

static void a_scan_waits_for_a_key_that_an_early_write_deleted_on_disk(void **state)
{
    struct world *w = *state;
    struct actor large, a;
    enum err err;

    disk_put(w->disk, bytes_str("a"), bytes_str("1"));
    disk_put(w->disk, bytes_str("b"), bytes_str("1"));
    w->options.spill_bytes = 1;
    w->options.cache_bytes = 0;
    world_reopen(w);
    assert_int_equal(actor_begin(&large, w), OK);
    assert_int_equal(do_delete(&large, "a"), OK);
    assert_int_equal(do_put(&large, "c", "x"), OK);
    assert_int_equal(do_put(&large, "d", "x"), OK);
    world_settle(w);
    assert_string_equal(world_disk(w, "a"), "ABSENT");
    assert_int_equal(actor_begin(&a, w), OK);
    for (int i = 0; i < 5; i++) {
        try_scan(&a, "", "", 10, &err);
        assert_int_equal(err, ERR_WAIT);
        world_poll(w);
    }
    actor_abort(&large);
    assert_string_equal(do_scan(&a, "", "", 10), "a=1 b=1");
    assert_int_equal(actor_commit_end(&a), OK);
    assert_int_equal(actor_end(&large), ERR_ABORTED);
}

static void an_abort_during_a_scan_is_safe(void **state)
{
    struct world *w = *state;
    struct actor a;
    enum err err;

    disk_put(w->disk, bytes_str("a"), bytes_str("1"));
    assert_int_equal(actor_begin(&a, w), OK);
    try_scan(&a, "", "", 10, &err);
    assert_int_equal(err, ERR_WAIT);
    assert_int_equal(actor_abort_end(&a), ERR_ABORTED);
    world_settle(w);
}

static void a_scan_locks_what_it_looked_at_and_no_more(void **state)
{
    struct world *w = *state;
    struct actor a, b;

    disk_put(w->disk, bytes_str("p:1"), bytes_str("v"));
    disk_put(w->disk, bytes_str("p:3"), bytes_str("v"));
    disk_put(w->disk, bytes_str("p:5"), bytes_str("v"));
    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(actor_begin(&b, w), OK);
    assert_string_equal(do_scan(&a, "p:", "p:2", 1), "p:3=v +");
    assert_int_equal(do_put(&b, "p:1", "b"), OK);
    assert_int_equal(do_put(&b, "p:19", "b"), OK);
    assert_int_equal(do_put(&b, "p:4", "b"), OK);
    assert_int_equal(do_put(&b, "q", "b"), OK);
    assert_int_equal(try_put(&b, "p:3", "b"), ERR_WAIT);
    assert_int_equal(try_put(&b, "p:2", "b"), ERR_WAIT);
    assert_int_equal(try_put(&b, "p:25", "b"), ERR_WAIT);
    assert_int_equal(actor_commit_end(&b), OK);
    assert_string_equal(do_scan(&a, "p:", "p:31", 2), "p:4=b p:5=v");
    assert_int_equal(actor_begin(&b, w), OK);
    assert_int_equal(do_put(&b, "q", "b"), OK);
    assert_int_equal(try_put(&b, "p:6", "b"), ERR_WAIT); /* there was no more: the end of the prefix is locked */
    assert_int_equal(do_put(&b, "p;", "b"), OK);
    assert_int_equal(actor_commit_end(&b), OK);
    assert_int_equal(actor_commit_end(&a), OK);
}

static void a_scan_of_memory_alone_stops_at_the_last_key_handed_out(void **state)
{
    struct world *w = *state;
    struct actor a, b;

    store_mem_set_delay(w->store, 4);
    assert_int_equal(actor_begin(&b, w), OK);
    assert_int_equal(do_put(&b, "p:1", "v"), OK);
    assert_int_equal(do_put(&b, "p:2", "v"), OK);
    assert_int_equal(do_put(&b, "p:3", "v"), OK);
    actor_commit(&b);
    assert_int_equal(actor_begin(&a, w), OK);
    assert_string_equal(do_scan(&a, "p:", "", 2), "p:1=v p:2=v +");
    assert_int_equal(actor_end(&b), OK);
    assert_int_equal(actor_begin(&b, w), OK);
    assert_int_equal(do_put(&b, "p:25", "b"), OK);
    assert_int_equal(try_put(&b, "p:11", "b"), ERR_WAIT);
    assert_int_equal(actor_commit_end(&b), OK);
    assert_int_equal(actor_commit_end(&a), OK);
}

static void a_scan_waits_for_a_key_that_does_not_exist_yet(void **state)
{
    struct world *w = *state;
    struct actor other, a;
    enum err err;

    disk_put(w->disk, bytes_str("p:1"), bytes_str("v"));
    w->options.cache_bytes = 0; /* nothing is remembered of what others stored meanwhile */
    world_reopen(w);
    for (int commit = 0; commit < 2; commit++) {
        assert_int_equal(actor_begin(&other, w), OK);
        assert_int_equal(actor_begin(&a, w), OK);
        try_get(&other, "p:2", LOCK_EXCLUSIVE, &err); /* locked, not made: nothing in memory tells of it */
        world_settle(w);
        for (int i = 0; i < 5; i++) {
            try_scan(&a, "p:", "", 10, &err);
            assert_int_equal(err, ERR_WAIT);
            world_poll(w);
        }
        assert_int_equal(do_put(&other, "p:2", "made"), OK);
        assert_int_equal(do_put(&other, "p:3", "made"), OK); /* the scan came first, but waits for it anyway */
        commit ? actor_commit_end(&other) : actor_abort_end(&other);
        assert_string_equal(do_scan(&a, "p:", "", 10), commit ? "p:1=v p:2=made p:3=made" : "p:1=v");
        assert_int_equal(actor_commit_end(&a), OK);
    }
}

static void a_scan_may_read_and_change_its_own_range(void **state)
{
    struct world *w = *state;
    struct actor a, b;

    disk_put(w->disk, bytes_str("p:1"), bytes_str("v"));
    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(actor_begin(&b, w), OK);
    assert_int_equal(do_put(&a, "p:2", "own"), OK);
    assert_string_equal(do_scan(&a, "p:", "", 10), "p:1=v p:2=own");
    assert_int_equal(try_put(&b, "p:3", "b"), ERR_WAIT);
    assert_int_equal(do_put(&a, "p:3", "own"), OK);
    assert_int_equal(do_delete(&a, "p:1"), OK);
    assert_string_equal(do_scan(&a, "p:", "", 10), "p:2=own p:3=own");
    assert_int_equal(actor_commit_end(&a), OK);
    assert_int_equal(do_put(&b, "p:3", "b"), OK);
    assert_int_equal(actor_commit_end(&b), OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_scan_sees_its_own_and_what_is_committed_in_order),
        TEST(a_scan_goes_on_past_pages_of_deleted_keys),
        TEST(a_scan_waits_for_the_keys_of_others_and_looks_again),
        TEST(a_scan_waits_for_a_key_that_an_early_write_deleted_on_disk),
        TEST(an_abort_during_a_scan_is_safe),
        TEST(a_scan_locks_what_it_looked_at_and_no_more),
        TEST(a_scan_of_memory_alone_stops_at_the_last_key_handed_out),
        TEST(a_scan_waits_for_a_key_that_does_not_exist_yet),
        TEST(a_scan_may_read_and_change_its_own_range),
    };

    alarm(60);
    hash_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
