/*
 * What the end of a transaction says and leaves, and when: T1 (others see it after the commit), T2 (a success is told
 * when it is on disk), T3 (an abort leaves nothing), T7 (a crash leaves whole ones). Beside that its row in the
 * history, and the batch and the cache that it goes through.
 */
#include "tests/txn_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

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

static void kit_nothing(struct store_request *r) { (void)r; }

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

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(T1_others_see_effects_only_after_the_commit),
        TEST(T2_success_is_told_when_it_is_on_disk_and_not_before),
        TEST(T2_what_was_read_from_memory_is_told_when_that_is_on_disk),
        TEST(T3_an_abort_leaves_nothing_and_is_told_after_its_undo),
        TEST(T7_what_was_told_survives_a_crash_and_the_rest_whole_or_not),
        TEST(what_changed_nothing_writes_nothing),
        TEST(history_tells_who_and_how),
        TEST(the_cache_stays_within_its_bytes),
        TEST(a_batch_carries_what_was_decided_while_another_was_written),
    };

    alarm(60);
    hash_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
