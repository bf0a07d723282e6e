/*
 * The history rows of transactions that failed: nobody waits for them, so they wait for something that has to be written
 * anyway, but not for long, and not beyond a number; who reads the history sees them.
 */
#include "tests/txn_kit.h"
#include "txn/inside.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

static void abort_one(struct world *w, const char *key, struct actor *a)
{
    assert_int_equal(actor_begin(a, w), OK);
    assert_int_equal(do_put(a, key, "x"), OK);
    actor_abort(a);
    world_poll(w);
    assert_true(a->ended);
}

static void rows_of_failed_ones_wait_for_each_other_and_not_for_long(void **state)
{
    struct world *w = *state;
    struct txn_stats before, after;
    struct actor first, second;

    txn_stats(w->m, &before);
    abort_one(w, "a", &first);
    assert_int_equal(txn_next_deadline_ms(w->m), w->now_ms + ROW_WAIT_MS);
    w->now_ms += ROW_WAIT_MS - 1;
    abort_one(w, "b", &second);
    txn_stats(w->m, &after);
    assert_int_equal(after.batches, before.batches);
    w->now_ms += 1;
    world_poll(w);
    world_poll(w);
    txn_stats(w->m, &after);
    assert_int_equal(after.batches, before.batches + 1);
    assert_string_equal(disk_outcome(w->disk, first.id), "ABORTED");
    assert_string_equal(disk_outcome(w->disk, second.id), "ABORTED");
    assert_int_equal(txn_next_deadline_ms(w->m), -1);
}

static void rows_go_with_the_next_commit(void **state)
{
    struct world *w = *state;
    struct txn_stats before, after;
    struct actor a;

    txn_stats(w->m, &before);
    abort_one(w, "a", &a);
    world_put(w, "b", "1");
    txn_stats(w->m, &after);
    assert_int_equal(after.batches, before.batches + 1);
    assert_string_equal(disk_outcome(w->disk, a.id), "ABORTED");
    assert_int_equal(txn_next_deadline_ms(w->m), -1);
}

static void rows_are_written_for_one_who_wants_to_read_them(void **state)
{
    struct world *w = *state;
    struct actor a;

    abort_one(w, "a", &a);
    txn_write_rows(w->m);
    world_poll(w);
    assert_string_equal(disk_outcome(w->disk, a.id), "ABORTED");
    assert_int_equal(txn_next_deadline_ms(w->m), -1);
    txn_write_rows(w->m); /* there are none: the next one waits again */
    abort_one(w, "b", &a);
    assert_int_equal(txn_next_deadline_ms(w->m), w->now_ms + ROW_WAIT_MS);
}

static void rows_do_not_pile_up(void **state)
{
    struct world *w = *state;
    struct txn_stats before, after;
    struct actor a;

    txn_stats(w->m, &before);
    for (int i = 0; i < 2 * ROW_WAIT_MAX; i++)
        abort_one(w, "a", &a);
    txn_stats(w->m, &after);
    assert_int_equal(after.batches, before.batches + 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(rows_of_failed_ones_wait_for_each_other_and_not_for_long),
        TEST(rows_go_with_the_next_commit),
        TEST(rows_are_written_for_one_who_wants_to_read_them),
        TEST(rows_do_not_pile_up),
    };

    alarm(60);
    hash_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
