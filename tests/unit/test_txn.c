/*
 * Transactions on the store in memory: the promises T1 to T7 by name, isolation by the names of what must not happen
 * (after Adya, and Kleppmann's Hermitage: G0, G1a, G1b, G1c, OTV, PMP, P4, G_single, G2_item, G2), early writes,
 * failing stores, ids, scans, marks, limits on holding locks.
 */
#include "tests/txn_kit.h"
#include "txn/inside.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

static int setup(void **state)
{
    static struct world w;

    world_init(&w);
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    struct txn_stats s;

    txn_stats(w->m, &s);
    if (s.open > 0)
        return -1; /* a test that failed has left them: let its message be seen */
    world_fini(w);
    return 0;
}

static void kit_nothing(struct store_request *r) { (void)r; }

/* Promises */

static void T1_others_see_effects_only_after_the_commit(void **state)
{
    struct world *w = *state;
    struct actor a, b;
    enum err err;

    assert_int_equal(world_put(w, "k", "old"), OK);
    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(actor_begin(&b, w), OK);
    assert_int_equal(do_put(&a, "k", "new"), OK);
    assert_string_equal(do_get(&a, "k"), "new");
    try_get(&b, "k", LOCK_SHARED, &err);
    assert_int_equal(err, ERR_WAIT);
    world_settle(w);
    assert_int_equal(b.woken, 0);
    assert_string_equal(world_disk(w, "k"), "old");
    actor_commit(&a);
    world_poll(w);
    assert_int_equal(b.woken, 1);
    assert_string_equal(try_get(&b, "k", LOCK_SHARED, &err), "new");
    assert_int_equal(actor_commit_end(&b), OK);
    assert_true(a.ended);
}

static void T2_success_is_told_when_it_is_on_disk_and_not_before(void **state)
{
    struct world *w = *state;
    struct actor a;

    store_mem_set_delay(w->store, 5);
    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(do_put(&a, "k", "v"), OK);
    actor_commit(&a);
    while (!a.ended) {
        assert_string_equal(world_disk(w, "k"), "ABSENT");
        world_poll(w);
    }
    assert_int_equal(a.why.err, OK);
    assert_string_equal(world_disk(w, "k"), "v");
}

static void T2_what_was_read_from_memory_is_told_when_that_is_on_disk(void **state)
{
    struct world *w = *state;
    struct actor writer, reader, refused, absent;
    enum err err;

    store_mem_set_delay(w->store, 5);
    assert_int_equal(actor_begin(&writer, w), OK);
    assert_int_equal(do_put(&writer, "k", "v"), OK);
    actor_commit(&writer);
    assert_int_equal(actor_begin(&reader, w), OK);
    assert_int_equal(actor_begin(&refused, w), OK);
    assert_int_equal(actor_begin(&absent, w), OK);
    assert_string_equal(try_get(&reader, "k", LOCK_SHARED, &err), "v");
    assert_string_equal(try_get(&refused, "k", LOCK_SHARED, &err), "v");
    assert_string_equal(do_get(&absent, "other"), "ABSENT");
    actor_commit(&reader);
    actor_abort(&refused);
    actor_commit(&absent);
    while (!writer.ended) {
        assert_false(reader.ended);
        assert_false(refused.ended);
        world_poll(w);
    }
    assert_true(absent.ended);
    assert_int_equal(actor_end(&reader), OK);
    assert_int_equal(actor_end(&refused), ERR_ABORTED);
}

static void T3_an_abort_leaves_nothing_and_is_told_after_its_undo(void **state)
{
    struct world *w = *state;
    struct actor a;

    world_put(w, "changed", "1");
    world_put(w, "deleted", "2");
    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(do_put(&a, "changed", "x"), OK);
    assert_int_equal(do_put(&a, "changed", "y"), OK);
    assert_int_equal(do_delete(&a, "deleted"), OK);
    assert_int_equal(do_put(&a, "made", "z"), OK);
    assert_int_equal(txn_effect_count(a.t), 4);
    actor_abort(&a);
    assert_string_equal(world_get(w, "changed"), "1");
    assert_string_equal(world_get(w, "deleted"), "2");
    assert_string_equal(world_get(w, "made"), "ABSENT");
    assert_true(a.ended);
    assert_int_equal(a.why.err, ERR_ABORTED);
    assert_string_equal(a.why.text, "the test said no");
    assert_int_equal(a.undone, 4);
    world_settle(w);
    assert_string_equal(disk_outcome(w->disk, a.id), "ABORTED");
}

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

static void T7_what_was_told_survives_a_crash_and_the_rest_whole_or_not(void **state)
{
    struct world *w = *state;

    for (size_t applied = 0; applied < 3; applied++) {
        struct actor told, flying, filling, open;
        world_put(w, "x", "0");
        world_put(w, "y", "0");
        store_mem_set_delay(w->store, 3);
        assert_int_equal(actor_begin(&told, w), OK);
        assert_int_equal(do_put(&told, "told", "yes"), OK);
        assert_int_equal(actor_commit_end(&told), OK);
        assert_int_equal(actor_begin(&flying, w), OK);
        assert_int_equal(do_put(&flying, "x", "1"), OK);
        assert_int_equal(do_put(&flying, "y", "1"), OK);
        actor_commit(&flying);
        world_poll(w);
        assert_int_equal(actor_begin(&filling, w), OK);
        assert_int_equal(do_put(&filling, "x", "2"), OK);
        actor_commit(&filling);
        assert_int_equal(actor_begin(&open, w), OK);
        assert_int_equal(do_put(&open, "y", "3"), OK);
        store_mem_crash(w->store, applied);
        assert_int_equal(actor_end(&flying), ERR_UNKNOWN);
        assert_int_equal(actor_end(&filling), ERR_UNKNOWN);
        assert_true(txn_manager_poisoned(w->m));
        actor_abort_end(&open);
        world_reopen(w);
        assert_string_equal(world_disk(w, "told"), "yes");
        assert_string_equal(world_disk(w, "x"), applied == 0 ? "0" : "1");
        assert_string_equal(world_disk(w, "y"), applied == 0 ? "0" : "1");
    }
}

/* Isolation: what must not happen */

static void T6_G0_two_writers_never_interleave(void **state)
{
    struct world *w = *state;
    struct actor a, b;

    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(actor_begin(&b, w), OK);
    assert_int_equal(do_put(&a, "x", "a"), OK);
    assert_int_equal(try_put(&b, "x", "b"), ERR_WAIT);
    assert_int_equal(do_put(&a, "y", "a"), OK);
    actor_commit(&a);
    assert_int_equal(do_put(&b, "x", "b"), OK);
    assert_int_equal(do_put(&b, "y", "b"), OK);
    assert_int_equal(actor_commit_end(&b), OK);
    assert_string_equal(world_get(w, "x"), "b");
    assert_string_equal(world_get(w, "y"), "b");
}

static void T6_G1a_what_was_aborted_is_never_read(void **state)
{
    struct world *w = *state;
    struct actor a, b;
    enum err err;

    world_put(w, "x", "old");
    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(actor_begin(&b, w), OK);
    assert_int_equal(do_put(&a, "x", "never"), OK);
    try_get(&b, "x", LOCK_SHARED, &err);
    assert_int_equal(err, ERR_WAIT);
    actor_abort(&a);
    assert_string_equal(do_get(&b, "x"), "old");
    assert_int_equal(actor_commit_end(&b), OK);
}

static void T6_G1b_what_was_overwritten_before_the_commit_is_never_read(void **state)
{
    struct world *w = *state;
    struct actor a, b;
    enum err err;

    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(actor_begin(&b, w), OK);
    assert_int_equal(do_put(&a, "x", "between"), OK);
    try_get(&b, "x", LOCK_SHARED, &err);
    assert_int_equal(err, ERR_WAIT);
    assert_int_equal(do_put(&a, "x", "final"), OK);
    actor_commit(&a);
    assert_string_equal(do_get(&b, "x"), "final");
    assert_int_equal(actor_commit_end(&b), OK);
}

static void T6_G1c_two_never_read_each_other(void **state)
{
    struct world *w = *state;
    struct actor a, b;
    enum err err;

    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(actor_begin(&b, w), OK);
    assert_int_equal(do_put(&a, "x", "a"), OK);
    assert_int_equal(do_put(&b, "y", "b"), OK);
    try_get(&a, "y", LOCK_SHARED, &err);
    assert_int_equal(err, ERR_WAIT);
    try_get(&b, "x", LOCK_SHARED, &err);
    assert_int_equal(err, ERR_DEADLOCK);
    assert_int_equal(try_put(&b, "z", "b"), ERR_DEADLOCK);
    actor_abort(&b);
    assert_string_equal(do_get(&a, "y"), "ABSENT");
    assert_int_equal(actor_commit_end(&a), OK);
    assert_int_equal(actor_end(&b), ERR_ABORTED);
}

static void T6_P4_no_update_is_lost(void **state)
{
    struct world *w = *state;
    struct actor a, b;

    world_put(w, "n", "1");
    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(actor_begin(&b, w), OK);
    assert_string_equal(do_get(&a, "n"), "1");
    assert_string_equal(do_get(&b, "n"), "1");
    assert_int_equal(try_put(&a, "n", "2"), ERR_WAIT);
    assert_int_equal(try_put(&b, "n", "2"), ERR_DEADLOCK);
    actor_quiet(&b);
    assert_int_equal(do_put(&a, "n", "2"), OK);
    assert_int_equal(actor_commit_end(&a), OK);
    assert_int_equal(actor_end(&b), ERR_DEADLOCK);
    assert_false(disk_has_row(w->disk, b.id));
    assert_string_equal(world_get(w, "n"), "2");
}

static void T6_G2_item_no_write_skew_on_keys(void **state)
{
    struct world *w = *state;
    struct actor a, b;

    world_put(w, "x", "1");
    world_put(w, "y", "1");
    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(actor_begin(&b, w), OK);
    assert_string_equal(do_get(&a, "x"), "1");
    assert_string_equal(do_get(&a, "y"), "1");
    assert_string_equal(do_get(&b, "x"), "1");
    assert_string_equal(do_get(&b, "y"), "1");
    assert_int_equal(try_put(&a, "x", "0"), ERR_WAIT);
    assert_int_equal(try_put(&b, "y", "0"), ERR_DEADLOCK);
    actor_abort(&b);
    assert_int_equal(do_put(&a, "x", "0"), OK);
    assert_int_equal(actor_commit_end(&a), OK);
    assert_string_equal(world_get(w, "y"), "1");
}

static void T6_OTV_what_was_observed_of_one_does_not_vanish(void **state)
{
    struct world *w = *state;
    struct actor a, b, c;
    enum err err;

    world_put(w, "x", "1");
    world_put(w, "y", "1");
    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(actor_begin(&b, w), OK);
    assert_int_equal(actor_begin(&c, w), OK);
    assert_int_equal(do_put(&a, "x", "a"), OK);
    assert_int_equal(do_put(&a, "y", "a"), OK);
    assert_int_equal(try_put(&b, "x", "b"), ERR_WAIT);
    actor_commit(&a);
    assert_int_equal(do_put(&b, "x", "b"), OK);
    try_get(&c, "x", LOCK_SHARED, &err);
    assert_int_equal(err, ERR_WAIT);
    assert_int_equal(do_put(&b, "y", "b"), OK);
    actor_commit(&b);
    assert_string_equal(do_get(&c, "x"), "b");
    assert_string_equal(do_get(&c, "y"), "b");
    assert_int_equal(actor_commit_end(&c), OK);
}

static void T6_PMP_what_a_range_had_it_has_until_the_end(void **state)
{
    struct world *w = *state;
    struct actor a, b, c;

    world_put(w, "p:1", "10");
    world_put(w, "p:2", "20");
    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(actor_begin(&b, w), OK);
    assert_int_equal(actor_begin(&c, w), OK);
    assert_string_equal(do_scan(&a, "p:", "", 10), "p:1=10 p:2=20");
    assert_int_equal(try_put(&b, "p:15", "30"), ERR_WAIT); /* into a gap */
    assert_int_equal(try_delete(&c, "p:2"), ERR_WAIT);
    world_settle(w);
    assert_string_equal(do_scan(&a, "p:", "", 10), "p:1=10 p:2=20");
    assert_int_equal(actor_commit_end(&a), OK);
    assert_int_equal(do_put(&b, "p:15", "30"), OK);
    assert_int_equal(do_delete(&c, "p:2"), OK);
    assert_int_equal(actor_commit_end(&b), OK);
    assert_int_equal(actor_commit_end(&c), OK);
    assert_int_equal(actor_begin(&a, w), OK);
    assert_string_equal(do_scan(&a, "p:", "", 10), "p:1=10 p:15=30");
    assert_int_equal(actor_commit_end(&a), OK);
}

static void T6_G_single_no_read_skew_between_key_and_range(void **state)
{
    struct world *w = *state;
    struct actor a, b;
    enum err err;

    world_put(w, "x", "10");
    world_put(w, "y", "20");
    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(actor_begin(&b, w), OK);
    assert_string_equal(do_get(&a, "x"), "10");
    assert_int_equal(do_put(&b, "y", "18"), OK);
    assert_int_equal(do_put(&b, "z", "1"), OK);
    assert_int_equal(try_put(&b, "x", "12"), ERR_WAIT);
    UNTIL_DONE(&a, err, try_scan(&a, "y", "", 10, &err));
    assert_int_equal(err, ERR_DEADLOCK);
    actor_abort(&a);
    assert_int_equal(do_put(&b, "x", "12"), OK);
    assert_int_equal(actor_commit_end(&b), OK);
    assert_int_equal(actor_end(&a), ERR_ABORTED);
}

static void T6_G2_no_write_skew_through_ranges(void **state)
{
    struct world *w = *state;
    struct actor a, b;

    world_put(w, "p:1", "10");
    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(actor_begin(&b, w), OK);
    assert_string_equal(do_scan(&a, "p:", "", 10), "p:1=10");
    assert_string_equal(do_scan(&b, "p:", "", 10), "p:1=10");
    assert_int_equal(try_put(&a, "p:3", "30"), ERR_WAIT);
    assert_int_equal(try_put(&b, "p:4", "42"), ERR_DEADLOCK);
    actor_abort(&b);
    assert_int_equal(do_put(&a, "p:3", "30"), OK);
    assert_int_equal(actor_commit_end(&a), OK);
    assert_int_equal(actor_end(&b), ERR_ABORTED);
    assert_string_equal(world_get(w, "p:4"), "ABSENT");
}

static void an_absent_key_that_was_read_stays_absent(void **state)
{
    struct world *w = *state;
    struct actor a, b;

    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(actor_begin(&b, w), OK);
    assert_string_equal(do_get(&a, "x"), "ABSENT");
    assert_int_equal(try_put(&b, "x", "b"), ERR_WAIT);
    world_settle(w);
    assert_string_equal(do_get(&a, "x"), "ABSENT");
    assert_int_equal(actor_commit_end(&a), OK);
    assert_int_equal(do_put(&b, "x", "b"), OK);
    assert_int_equal(actor_commit_end(&b), OK);
}

/* Waiting */

static void a_wait_that_lasts_too_long_ends_in_conflict(void **state)
{
    struct world *w = *state;
    struct actor a, b;
    struct failure why = { 0 };
    enum err err;

    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(actor_begin(&b, w), OK);
    assert_int_equal(do_put(&a, "x", "a"), OK);
    w->now_ms += 100000; /* nobody polled for long: the wait begins now all the same */
    try_get(&b, "x", LOCK_SHARED, &err);
    assert_int_equal(err, ERR_WAIT);
    world_poll(w);
    assert_int_equal(txn_next_deadline_ms(w->m), w->now_ms + 1000);
    w->now_ms += 999;
    world_poll(w);
    assert_int_equal(b.woken, 0);
    w->now_ms += 1;
    world_poll(w);
    assert_int_equal(b.woken, 1);
    assert_int_equal(txn_next_deadline_ms(w->m), -1);
    assert_int_equal(txn_put(b.t, bytes_str("y"), bytes_str("v"), &why), ERR_CONFLICT);
    assert_string_equal(why.text, "waited 1000 ms for key \"x\", which another transaction holds; try again");
    actor_abort(&b);
    assert_int_equal(actor_commit_end(&a), OK);
}

static void an_operation_changes_its_mind_about_what_it_waits_for(void **state)
{
    struct world *w = *state;
    struct actor a, b;
    enum err err;

    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(actor_begin(&b, w), OK);
    assert_int_equal(do_put(&a, "x", "a"), OK);
    try_get(&b, "x", LOCK_SHARED, &err);
    assert_int_equal(err, ERR_WAIT);
    assert_int_equal(try_put(&b, "", "v"), ERR_BADARG);
    assert_string_equal(do_get(&b, "y"), "ABSENT");
    assert_int_equal(txn_next_deadline_ms(w->m), -1);
    assert_int_equal(actor_commit_end(&a), OK);
    world_settle(w);
    assert_int_equal(actor_commit_end(&b), OK);
}

static void an_abort_while_waiting_lets_the_next_in(void **state)
{
    struct world *w = *state;
    struct actor a, b, c;
    enum err err;

    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(actor_begin(&b, w), OK);
    assert_int_equal(actor_begin(&c, w), OK);
    do_get(&a, "x");
    assert_int_equal(try_put(&b, "x", "b"), ERR_WAIT);
    try_get(&c, "x", LOCK_SHARED, &err);
    assert_int_equal(err, ERR_WAIT);
    actor_abort(&b);
    assert_string_equal(do_get(&c, "x"), "ABSENT");
    assert_int_equal(actor_end(&b), ERR_ABORTED);
    assert_int_equal(actor_commit_end(&c), OK);
    assert_int_equal(actor_commit_end(&a), OK);
}

static void an_abort_while_a_value_is_read_is_safe(void **state)
{
    struct world *w = *state;
    struct actor a, b;
    enum err err;

    disk_put(w->disk, bytes_str("x"), bytes_str("v"));
    store_mem_set_delay(w->store, 5);
    assert_int_equal(actor_begin(&a, w), OK);
    try_get(&a, "x", LOCK_EXCLUSIVE, &err);
    assert_int_equal(err, ERR_WAIT);
    actor_abort(&a);
    assert_int_equal(actor_begin(&b, w), OK);
    assert_string_equal(do_get(&b, "x"), "v");
    assert_int_equal(actor_commit_end(&b), OK);
    assert_int_equal(actor_end(&a), ERR_ABORTED);
}

/* Arguments, limits, ids, history, cache */

static void arguments_are_checked_and_leave_the_transaction_usable(void **state)
{
    struct world *w = *state;
    struct actor a;
    struct bytes value;
    struct txn_page page;
    char *large = calloc(1, 100001);

    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(txn_get(a.t, bytes_of(NULL, 0), LOCK_SHARED, &value, NULL), ERR_BADARG);
    assert_int_equal(txn_get(a.t, bytes_of(large, 1025), LOCK_SHARED, &value, NULL), ERR_BADARG);
    assert_int_equal(txn_put(a.t, bytes_str("k"), bytes_of(large, 100001), NULL), ERR_LIMIT);
    assert_int_equal(txn_scan(a.t, bytes_str(""), bytes_str(""), 0, &page, NULL), ERR_BADARG);
    assert_int_equal(txn_scan(a.t, bytes_str(""), bytes_str(""), TXN_PAGE_MAX + 1, &page, NULL), ERR_BADARG);
    assert_int_equal(do_delete(&a, "none"), ERR_ABSENT);
    assert_int_equal(txn_effect_count(a.t), 0);
    assert_int_equal(do_put(&a, "k", ""), OK);
    assert_string_equal(do_get(&a, "k"), "");
    assert_int_equal(actor_commit_end(&a), OK);
    free(large);
}

static void ids_rise_and_are_never_reused_after_a_crash(void **state)
{
    struct world *w = *state;
    uint64_t last = 0;

    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 12000; i++) {
            struct actor a;
            assert_int_equal(actor_begin(&a, w), OK);
            assert_true(a.id > last);
            last = a.id;
            actor_quiet(&a);
            world_poll(w);
            assert_true(a.ended);
        }
        store_mem_crash(w->store, 0);
        world_reopen(w);
    }
}

static void begins_that_outrun_the_reserve_wait_until_it_is_renewed(void **state)
{
    enum { FIRST = 5001, ALL = 30000 }; /* more than two blocks */
    struct world *w = *state;
    static struct actor actors[ALL];
    uint64_t last;

    store_mem_set_delay(w->store, 5);
    for (int i = 0; i < ALL; i++) {
        assert_int_equal(actor_begin(&actors[i], w), OK);
        if (i == FIRST)
            world_poll(w); /* the renewal is on its way */
    }
    assert_int_equal(txn_ready(actors[9999].t, NULL), OK);
    assert_int_equal(txn_ready(actors[10000].t, NULL), ERR_WAIT);
    assert_int_equal(try_put(&actors[ALL - 1], "k", "v"), ERR_WAIT);
    assert_int_equal(txn_ready(actors[ALL - 2].t, NULL), ERR_WAIT);
    actor_quiet(&actors[ALL - 2]); /* while it waits */
    for (int i = 0; i < 40; i++)
        world_poll(w);
    assert_int_equal(actors[10000].woken, 1);
    assert_int_equal(actors[ALL - 1].woken, 1);
    assert_int_equal(txn_ready(actors[10000].t, NULL), OK);
    assert_int_equal(do_put(&actors[ALL - 1], "k", "v"), OK);
    last = actors[ALL - 1].id;
    for (int i = 0; i < ALL; i++)
        if (actors[i].t != NULL)
            actor_quiet(&actors[i]);
    world_settle(w);
    store_mem_crash(w->store, 0);
    world_reopen(w);
    assert_int_equal(actor_begin(&actors[0], w), OK);
    assert_true(actors[0].id > last);
    actor_quiet(&actors[0]);
    world_settle(w);
}

static void who_waits_for_a_reserve_that_fails_is_told(void **state)
{
    enum { ALL = 10001 };
    struct world *w = *state;
    static struct actor actors[ALL];
    struct failure why = { 0 };

    for (int i = 0; i < ALL; i++)
        assert_int_equal(actor_begin(&actors[i], w), OK);
    assert_int_equal(txn_ready(actors[ALL - 1].t, NULL), ERR_WAIT);
    store_mem_fail_next(w->store, STORE_COMMIT, ERR_STORAGE, false);
    world_settle(w);
    assert_int_equal(actors[ALL - 1].woken, 1);
    assert_int_equal(txn_ready(actors[ALL - 1].t, &why), ERR_STORAGE);
    assert_non_null(strstr(why.text, "cannot reserve numbers"));
    for (int i = 0; i < ALL; i++)
        actor_quiet(&actors[i]);
    world_settle(w);
    assert_int_equal(world_put(w, "k", "v"), OK); /* the next one asks again */
}

static void what_changed_nothing_writes_nothing(void **state)
{
    struct world *w = *state;
    struct actor a;
    struct txn_stats before, after;

    world_put(w, "k", "v");
    txn_stats(w->m, &before);
    assert_int_equal(actor_begin(&a, w), OK);
    do_get(&a, "k");
    actor_commit(&a);
    world_poll(w);
    assert_true(a.ended);
    txn_stats(w->m, &after);
    assert_int_equal(after.batches, before.batches);
    assert_false(disk_has_row(w->disk, a.id));
}

static void history_tells_who_and_how(void **state)
{
    struct world *w = *state;
    struct actor a;
    struct store_request r = { .kind = STORE_SHOW };
    static const struct txn_events events = { .wake = actor_wake, .ended = actor_ended };
    char longest[300] = { 0 };
    struct txn_origin origin = { .function = longest, .uid = 5, .parent = 3, .depth = 2 };

    memset(longest, 'f', sizeof longest - 1);
    memset(&a, 0, sizeof a);
    a.w = w;
    assert_int_equal(txn_begin(w->m, &origin, &events, &a, 77, &a.t), OK);
    longest[0] = 'x'; /* it was copied */
    r.txn = txn_id(a.t);
    assert_int_equal(do_put(&a, "k", "v"), OK);
    txn_commit(a.t, 99, 3);
    assert_int_equal(actor_end(&a), OK);
    r.done = kit_nothing;
    w->store->ops->submit(w->store, &r);
    w->store->ops->poll(w->store);
    assert_int_equal(r.row_count, 1);
    assert_int_equal(r.effect_count, 1);
    assert_null(r.rows[0].graft);
    assert_int_equal(strlen(r.rows[0].function), 299);
    assert_int_equal(r.rows[0].function[0], 'f');
    assert_string_equal(r.rows[0].outcome, "committed");
    assert_int_equal(r.rows[0].begun_us, 77);
    assert_int_equal(r.rows[0].ended_us, 99);
    assert_int_equal(r.rows[0].cpu_us, 3);
    assert_int_equal(r.rows[0].uid, 5);
    assert_int_equal(r.rows[0].parent, 3);
    assert_int_equal(r.rows[0].depth, 2);
    store_request_fini(&r);
}

static void the_cache_stays_within_its_bytes(void **state)
{
    struct world *w = *state;
    struct txn_stats s;
    char key[32];

    w->options.cache_bytes = 2000;
    world_reopen(w);
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof key, "k%d", i);
        assert_int_equal(world_put(w, key, "some value"), OK);
    }
    txn_stats(w->m, &s);
    assert_true(s.cache_bytes <= 2000);
    assert_true(s.cache_keys < 30);
    assert_int_equal(s.dirty_keys, 0);
    assert_string_equal(world_get(w, "k0"), "some value");
    assert_string_equal(world_get(w, "k99"), "some value");
}

static void a_batch_carries_what_was_decided_while_another_was_written(void **state)
{
    struct world *w = *state;
    struct actor actors[50];
    struct txn_stats before, after;
    char key[32];

    store_mem_set_delay(w->store, 3);
    txn_stats(w->m, &before);
    for (int i = 0; i < 50; i++) {
        snprintf(key, sizeof key, "k%d", i);
        assert_int_equal(actor_begin(&actors[i], w), OK);
        assert_int_equal(do_put(&actors[i], key, "v"), OK);
    }
    for (int i = 0; i < 50; i++) {
        actor_commit(&actors[i]);
        if (i == 0)
            world_poll(w);
    }
    for (int i = 0; i < 50; i++)
        assert_int_equal(actor_end(&actors[i]), OK);
    txn_stats(w->m, &after);
    assert_int_equal(after.batches - before.batches, 2);
}

/* Scans */

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

static void a_wait_for_a_range_has_the_limit_of_any_wait(void **state)
{
    struct world *w = *state;
    struct actor a, b;

    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(actor_begin(&b, w), OK);
    assert_string_equal(do_scan(&a, "p:", "", 10), "");
    assert_int_equal(try_put(&b, "p:3", "b"), ERR_WAIT);
    world_poll(w);
    w->now_ms += 1000;
    world_poll(w);
    assert_int_equal(b.woken, 1);
    assert_int_equal(try_put(&b, "p:3", "b"), ERR_CONFLICT);
    assert_int_equal(actor_abort_end(&b), ERR_ABORTED);
    assert_int_equal(actor_commit_end(&a), OK);
}

/* Holding too long */

static void who_makes_others_wait_too_long_is_doomed(void **state)
{
    struct world *w = *state;
    struct actor a, b;
    struct failure why = { 0 };
    struct txn_stats s;

    w->options.hold_ms = 100;
    world_reopen(w);
    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(actor_begin(&b, w), OK);
    assert_int_equal(do_put(&a, "x", "a"), OK);
    w->now_ms += 10000; /* nobody waits: it may hold as long as it likes */
    world_poll(w);
    assert_int_equal(a.doomed, 0);
    assert_int_equal(try_put(&b, "x", "b"), ERR_WAIT);
    world_poll(w);
    assert_int_equal(txn_next_deadline_ms(w->m), w->now_ms + 100);
    w->now_ms += 99;
    world_poll(w);
    assert_int_equal(a.doomed, 0);
    w->now_ms += 1;
    world_poll(w);
    assert_int_equal(a.doomed, 1);
    assert_int_equal(txn_put(a.t, bytes_str("y"), bytes_str("v"), &why), ERR_CONFLICT);
    assert_string_equal(why.text, "held key \"x\" that others wait for longer than 100 ms; it was rolled back, try again");
    assert_int_equal(b.woken, 0);
    actor_quiet(&a);
    assert_int_equal(do_put(&b, "x", "b"), OK);
    assert_int_equal(actor_commit_end(&b), OK);
    assert_int_equal(actor_end(&a), ERR_CONFLICT);
    txn_stats(w->m, &s);
    assert_int_equal(s.held_too_long, 1);
}

static void who_waits_itself_is_doomed_and_woken(void **state)
{
    struct world *w = *state;
    struct actor a, b, c;
    unsigned woken;

    assert_int_equal(actor_begin_holding(&a, w, 50), OK); /* its own limit; the manager has none */
    assert_int_equal(actor_begin(&b, w), OK);
    assert_int_equal(actor_begin(&c, w), OK);
    assert_int_equal(do_put(&c, "z", "c"), OK);
    assert_string_equal(do_scan(&a, "p:", "", 10), "");
    assert_int_equal(try_put(&a, "z", "a"), ERR_WAIT);
    assert_int_equal(try_put(&b, "p:3", "b"), ERR_WAIT); /* for a range */
    world_poll(w);
    woken = a.woken;
    w->now_ms += 50;
    world_poll(w);
    assert_int_equal(a.doomed, 1);
    assert_int_equal(a.woken, woken + 1);
    assert_int_equal(c.doomed, 0);
    assert_int_equal(try_put(&a, "z", "a"), ERR_CONFLICT);
    assert_int_equal(actor_abort_end(&a), ERR_ABORTED);
    assert_int_equal(do_put(&b, "p:3", "b"), OK);
    assert_int_equal(actor_commit_end(&b), OK);
    assert_int_equal(actor_commit_end(&c), OK);
}

static void the_patient_hold_as_long_as_they_like(void **state)
{
    struct world *w = *state;
    struct actor a, b;

    w->options.hold_ms = 100;
    world_reopen(w);
    assert_int_equal(actor_begin_holding(&a, w, UINT64_MAX), OK);
    assert_int_equal(actor_begin(&b, w), OK);
    assert_int_equal(do_put(&a, "x", "a"), OK);
    assert_int_equal(try_put(&b, "x", "b"), ERR_WAIT);
    for (int i = 0; i < 99; i++) {
        world_poll(w);
        w->now_ms += 10;
    }
    assert_int_equal(a.doomed, 0);
    assert_int_equal(b.woken, 0);
    actor_quiet(&a);
    assert_int_equal(do_put(&b, "x", "b"), OK);
    assert_int_equal(actor_commit_end(&b), OK);
}

static void holding_is_timed_from_when_it_began(void **state)
{
    struct world *w = *state;
    struct actor a, b, c;

    w->options.hold_ms = 100;
    world_reopen(w);
    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(actor_begin(&b, w), OK);
    assert_int_equal(actor_begin(&c, w), OK);
    assert_int_equal(do_put(&a, "x", "a"), OK);
    assert_int_equal(try_put(&b, "x", "b"), ERR_WAIT);
    assert_int_equal(try_put(&c, "x", "c"), ERR_WAIT);
    world_poll(w);
    w->now_ms += 90;
    actor_commit(&a);
    world_poll(w);
    assert_int_equal(b.woken, 1);
    assert_int_equal(do_put(&b, "x", "b"), OK);
    w->now_ms += 99;
    world_poll(w);
    assert_int_equal(b.doomed, 0); /* c waits for 189 ms, but b has held for 99 */
    assert_int_equal(txn_next_deadline_ms(w->m), w->now_ms + 1);
    w->now_ms += 1;
    world_poll(w);
    assert_int_equal(b.doomed, 1);
    assert_int_equal(actor_abort_end(&b), ERR_ABORTED);
    assert_int_equal(do_put(&c, "x", "c"), OK);
    assert_int_equal(actor_commit_end(&c), OK);
}

/* Marks */

static void T8_going_back_to_a_mark_leaves_nothing_of_what_came_after(void **state)
{
    struct world *w = *state;
    struct actor a, b;
    struct txn_mark outer, inner;
    uint64_t undone = 99;

    world_put(w, "x", "0");
    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(actor_begin(&b, w), OK);
    assert_int_equal(do_put(&a, "x", "1"), OK);
    outer = txn_mark(a.t);
    assert_int_equal(do_put(&a, "x", "2"), OK);
    inner = txn_mark(a.t);
    assert_int_equal(do_delete(&a, "x"), OK);
    assert_int_equal(do_put(&a, "y", "3"), OK);
    assert_int_equal(do_rollback(&a, inner, &undone), OK);
    assert_int_equal(undone, 2);
    assert_string_equal(do_get(&a, "x"), "2");
    assert_int_equal(do_rollback(&a, inner, &undone), OK);
    assert_int_equal(undone, 0);
    assert_int_equal(do_put(&a, "z", "4"), OK);
    assert_int_equal(do_rollback(&a, outer, &undone), OK);
    assert_int_equal(undone, 2);
    assert_int_equal(txn_effect_count(a.t), 1);
    assert_int_equal(try_put(&b, "y", "b"), ERR_WAIT); /* locks stay */
    assert_int_equal(actor_commit_end(&a), OK);
    assert_string_equal(world_disk(w, "x"), "1");
    assert_string_equal(world_disk(w, "z"), "ABSENT");
    assert_int_equal(do_put(&b, "y", "b"), OK);
    assert_int_equal(actor_commit_end(&b), OK);
}

static void T8_what_was_taken_back_whole_writes_no_history(void **state)
{
    struct world *w = *state;
    struct actor a;
    struct txn_mark mark;
    uint64_t undone;

    assert_int_equal(actor_begin(&a, w), OK);
    mark = txn_mark(a.t);
    assert_int_equal(do_put(&a, "x", "1"), OK);
    assert_int_equal(do_rollback(&a, mark, &undone), OK);
    assert_int_equal(actor_commit_end(&a), OK);
    assert_false(disk_has_row(w->disk, a.id));
}

/* 30 effects, the first 5 before the mark; all are written early but the last ones. */
static struct txn_mark make_large(struct actor *a)
{
    struct txn_mark mark = { 0 };
    char key[16], value[16];

    for (int i = 0; i < 30; i++) {
        if (i == 5)
            mark = txn_mark(a->t);
        snprintf(key, sizeof key, "k%d", i % 7);
        snprintf(value, sizeof value, "%d", i);
        assert_int_equal(i % 11 == 10 ? do_delete(a, key) : do_put(a, key, value), OK);
    }
    return mark;
}

static void check_large(struct world *w)
{
    static const char *const want[] = { "0", "1", "2", "3", "4", "old", "old" };
    char key[16];

    for (int i = 0; i < 7; i++) {
        snprintf(key, sizeof key, "k%d", i);
        assert_string_equal(world_get(w, key), want[i]);
        assert_string_equal(world_disk(w, key), want[i]);
    }
}

static void T8_goes_back_behind_early_writes(void **state)
{
    static const uint64_t spills[] = { 1, 300, 700 }, caches[] = { 0, 1 << 20 };
    struct world *w = *state;
    struct actor a;
    uint64_t undone;

    for (int i = 0; i < 6; i++) {
        struct txn_mark mark;
        world_put(w, "k5", "old");
        world_put(w, "k6", "old");
        w->options.spill_bytes = spills[i % 3];
        w->options.cache_bytes = caches[i % 2];
        world_reopen(w);
        assert_int_equal(actor_begin(&a, w), OK);
        mark = make_large(&a);
        assert_int_equal(do_rollback(&a, mark, &undone), OK);
        assert_int_equal(undone, 25);
        assert_string_equal(do_get(&a, "k5"), "old");
        assert_string_equal(do_get(&a, "k4"), "4");
        assert_int_equal(actor_commit_end(&a), OK);
        check_large(w);
        for (int k = 0; k < 7; k++) {
            char key[16];
            snprintf(key, sizeof key, "k%d", k);
            assert_int_equal(actor_begin(&a, w), OK);
            do_delete(&a, key);
            assert_int_equal(actor_commit_end(&a), OK);
        }
    }
}

static void T8_an_abort_after_going_back_to_a_mark_leaves_nothing(void **state)
{
    struct world *w = *state;
    struct actor a;
    struct txn_mark mark;
    uint64_t undone;
    enum err err;

    world_put(w, "k5", "old");
    w->options.spill_bytes = 300;
    world_reopen(w);
    for (int half = 0; half < 2; half++) {
        assert_int_equal(actor_begin(&a, w), OK);
        mark = make_large(&a);
        world_settle(w);
        if (half) /* the store has been asked, no more */
            assert_int_equal(txn_rollback_to(a.t, mark, &undone, NULL), ERR_WAIT);
        else
            UNTIL_DONE(&a, err, err = txn_rollback_to(a.t, mark, &undone, NULL));
        assert_int_equal(actor_abort_end(&a), ERR_ABORTED);
        world_settle(w);
        assert_string_equal(world_disk(w, "k5"), "old");
        assert_string_equal(world_disk(w, "k0"), "ABSENT");
    }
}

static void a_mark_that_cannot_be_read_back_dooms(void **state)
{
    struct world *w = *state;
    struct actor a;
    struct txn_mark mark;
    uint64_t undone;

    w->options.spill_bytes = 300;
    world_reopen(w);
    assert_int_equal(actor_begin(&a, w), OK);
    mark = make_large(&a);
    store_mem_fail_next(w->store, STORE_SHOW, ERR_LIMIT, false);
    assert_int_equal(do_rollback(&a, mark, &undone), ERR_LIMIT);
    assert_int_equal(try_put(&a, "x", "v"), ERR_LIMIT);
    assert_int_equal(actor_abort_end(&a), ERR_ABORTED);
    world_settle(w);
    assert_string_equal(world_disk(w, "k0"), "ABSENT");
}

static void add_effect(const struct store_effect *e, void *user)
{
    struct bytes before = e->before.present ? e->before.value : bytes_str("-");
    struct bytes after = e->after.present ? e->after.value : bytes_str("-");
    char *text = user, one[64];

    snprintf(one, sizeof one, "%.*s:%.*s>%.*s ", (int)e->key.len, (const char *)e->key.data, (int)before.len,
             (const char *)before.data, (int)after.len, (const char *)after.data);
    strcat(text, one);
}

static void tells_what_was_done_so_far(void **state)
{
    struct world *w = *state;
    struct actor a;
    struct txn_mark mark;
    uint64_t undone;
    char text[512] = "";

    world_put(w, "x", "0");
    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(do_put(&a, "x", "1"), OK);
    mark = txn_mark(a.t);
    assert_int_equal(do_put(&a, "y", "2"), OK);
    assert_int_equal(do_rollback(&a, mark, &undone), OK);
    assert_int_equal(do_delete(&a, "x"), OK);
    txn_effects_each(a.t, add_effect, text);
    assert_string_equal(text, "x:0>1 x:1>- ");
    assert_int_equal(txn_effects_left_out(a.t), 0);
    actor_quiet(&a);
    assert_int_equal(actor_end(&a), ERR_ABORTED);
    w->options.spill_bytes = 1;
    world_reopen(w);
    assert_int_equal(actor_begin(&a, w), OK);
    for (int i = 0; i < 4; i++)
        assert_int_equal(do_put(&a, "y", i % 2 ? "1" : "0"), OK);
    text[0] = '\0';
    txn_effects_each(a.t, add_effect, text);
    assert_string_equal(text + strlen(text) - 6, "y:0>1 ");
    assert_int_equal(txn_effects_left_out(a.t) + strlen(text) / 6, 4);
    actor_quiet(&a);
    assert_int_equal(actor_end(&a), ERR_ABORTED);
}

/* Early writes */

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

/* Failing stores */

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

static void a_store_that_cannot_be_written_is_found_at_the_start(void **state)
{
    struct world *w = *state;
    struct failure why = { 0 };
    struct txn_manager *m = NULL;

    store_mem_fail_next(w->store, STORE_COMMIT, ERR_STORAGE, false);
    assert_int_equal(txn_manager_new(&w->options, &m, &why), ERR_STORAGE);
    assert_string_equal(why.text, "the store cannot be written: the test said so");
    assert_null(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(T1_others_see_effects_only_after_the_commit, setup, teardown),
        cmocka_unit_test_setup_teardown(T2_success_is_told_when_it_is_on_disk_and_not_before, setup, teardown),
        cmocka_unit_test_setup_teardown(T2_what_was_read_from_memory_is_told_when_that_is_on_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(T3_an_abort_leaves_nothing_and_is_told_after_its_undo, setup, teardown),
        cmocka_unit_test_setup_teardown(rows_of_failed_ones_wait_for_each_other_and_not_for_long, setup, teardown),
        cmocka_unit_test_setup_teardown(rows_go_with_the_next_commit, setup, teardown),
        cmocka_unit_test_setup_teardown(rows_are_written_for_one_who_wants_to_read_them, setup, teardown),
        cmocka_unit_test_setup_teardown(rows_do_not_pile_up, setup, teardown),
        cmocka_unit_test_setup_teardown(T4_a_large_transaction_is_written_early_with_its_undo_records, setup, teardown),
        cmocka_unit_test_setup_teardown(T5_undo_runs_newest_first_also_across_early_writes, setup, teardown),
        cmocka_unit_test_setup_teardown(T7_what_was_told_survives_a_crash_and_the_rest_whole_or_not, setup, teardown),
        cmocka_unit_test_setup_teardown(T6_G0_two_writers_never_interleave, setup, teardown),
        cmocka_unit_test_setup_teardown(T6_G1a_what_was_aborted_is_never_read, setup, teardown),
        cmocka_unit_test_setup_teardown(T6_G1b_what_was_overwritten_before_the_commit_is_never_read, setup, teardown),
        cmocka_unit_test_setup_teardown(T6_G1c_two_never_read_each_other, setup, teardown),
        cmocka_unit_test_setup_teardown(T6_P4_no_update_is_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(T6_G2_item_no_write_skew_on_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(T6_OTV_what_was_observed_of_one_does_not_vanish, setup, teardown),
        cmocka_unit_test_setup_teardown(T6_PMP_what_a_range_had_it_has_until_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(T6_G_single_no_read_skew_between_key_and_range, setup, teardown),
        cmocka_unit_test_setup_teardown(T6_G2_no_write_skew_through_ranges, setup, teardown),
        cmocka_unit_test_setup_teardown(an_absent_key_that_was_read_stays_absent, setup, teardown),
        cmocka_unit_test_setup_teardown(a_wait_that_lasts_too_long_ends_in_conflict, setup, teardown),
        cmocka_unit_test_setup_teardown(an_operation_changes_its_mind_about_what_it_waits_for, setup, teardown),
        cmocka_unit_test_setup_teardown(an_abort_while_waiting_lets_the_next_in, setup, teardown),
        cmocka_unit_test_setup_teardown(an_abort_while_a_value_is_read_is_safe, setup, teardown),
        cmocka_unit_test_setup_teardown(arguments_are_checked_and_leave_the_transaction_usable, setup, teardown),
        cmocka_unit_test_setup_teardown(ids_rise_and_are_never_reused_after_a_crash, setup, teardown),
        cmocka_unit_test_setup_teardown(begins_that_outrun_the_reserve_wait_until_it_is_renewed, setup, teardown),
        cmocka_unit_test_setup_teardown(who_waits_for_a_reserve_that_fails_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(what_changed_nothing_writes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(history_tells_who_and_how, setup, teardown),
        cmocka_unit_test_setup_teardown(the_cache_stays_within_its_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_batch_carries_what_was_decided_while_another_was_written, setup, teardown),
        cmocka_unit_test_setup_teardown(a_scan_sees_its_own_and_what_is_committed_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(a_scan_goes_on_past_pages_of_deleted_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(a_scan_waits_for_the_keys_of_others_and_looks_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_scan_waits_for_a_key_that_an_early_write_deleted_on_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(an_abort_during_a_scan_is_safe, setup, teardown),
        cmocka_unit_test_setup_teardown(a_scan_locks_what_it_looked_at_and_no_more, setup, teardown),
        cmocka_unit_test_setup_teardown(a_scan_of_memory_alone_stops_at_the_last_key_handed_out, setup, teardown),
        cmocka_unit_test_setup_teardown(a_scan_waits_for_a_key_that_does_not_exist_yet, setup, teardown),
        cmocka_unit_test_setup_teardown(a_scan_may_read_and_change_its_own_range, setup, teardown),
        cmocka_unit_test_setup_teardown(a_wait_for_a_range_has_the_limit_of_any_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(who_makes_others_wait_too_long_is_doomed, setup, teardown),
        cmocka_unit_test_setup_teardown(who_waits_itself_is_doomed_and_woken, setup, teardown),
        cmocka_unit_test_setup_teardown(the_patient_hold_as_long_as_they_like, setup, teardown),
        cmocka_unit_test_setup_teardown(holding_is_timed_from_when_it_began, setup, teardown),
        cmocka_unit_test_setup_teardown(T8_going_back_to_a_mark_leaves_nothing_of_what_came_after, setup, teardown),
        cmocka_unit_test_setup_teardown(T8_what_was_taken_back_whole_writes_no_history, setup, teardown),
        cmocka_unit_test_setup_teardown(T8_goes_back_behind_early_writes, setup, teardown),
        cmocka_unit_test_setup_teardown(T8_an_abort_after_going_back_to_a_mark_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_mark_that_cannot_be_read_back_dooms, setup, teardown),
        cmocka_unit_test_setup_teardown(tells_what_was_done_so_far, setup, teardown),
        cmocka_unit_test_setup_teardown(a_large_transaction_commits_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(keys_of_an_early_write_stay_locked_until_the_end_is_on_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(an_abort_before_the_early_write_was_submitted_undoes_it_too, setup, teardown),
        cmocka_unit_test_setup_teardown(T10_a_failed_undo_of_an_early_write_poisons, setup, teardown),
        cmocka_unit_test_setup_teardown(T3_a_refused_batch_takes_back_what_built_on_it_and_only_that, setup, teardown),
        cmocka_unit_test_setup_teardown(a_refused_early_write_dooms_its_transaction_only, setup, teardown),
        cmocka_unit_test_setup_teardown(a_refused_end_of_an_early_written_one_is_undone_on_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(an_unknown_outcome_is_told_as_such_and_ends_all_work, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failing_read_ends_who_asked, setup, teardown),
        cmocka_unit_test_setup_teardown(a_store_that_cannot_be_written_is_found_at_the_start, setup, teardown),
    };

    alarm(60);
    hash_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
