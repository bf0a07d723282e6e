/*
 * T8, marks: going back to one undoes what came after it, and that alone, also what was written early; and the list of
 * what a transaction has done so far.
 */
#include "tests/txn_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

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

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(T8_going_back_to_a_mark_leaves_nothing_of_what_came_after),
        TEST(T8_what_was_taken_back_whole_writes_no_history),
        TEST(T8_goes_back_behind_early_writes),
        TEST(T8_an_abort_after_going_back_to_a_mark_leaves_nothing),
        TEST(a_mark_that_cannot_be_read_back_dooms),
        TEST(tells_what_was_done_so_far),
    };

    alarm(60);
    hash_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
