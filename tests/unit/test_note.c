/* What the history tells beside effects: calls inside, replies for tokens, several undone at once (txn/note.c). */
#include "tests/txn_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

static const struct txn_origin inner = { .graft = "bank", .version = "2.0", .function = "transfer" };
static const struct failure fine, aborted = { ERR_ABORTED, "no funds" };

static int setup(void **state)
{
    static struct world w;

    world_init(&w);
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    world_fini(*state);
    return 0;
}

static void nothing(struct store_request *r) { (void)r; }

static void ask(struct world *w, struct store_request *r)
{
    r->done = nothing;
    w->store->ops->submit(w->store, r);
    w->store->ops->poll(w->store);
    assert_int_equal(r->why.err, OK);
}

static struct store_request shown(struct world *w, uint64_t txn)
{
    struct store_request r = { .kind = STORE_SHOW, .txn = txn };

    ask(w, &r);
    assert_int_equal(r.row_count, 1);
    return r;
}

static void begin_whole(struct actor *a, struct world *w)
{
    static const struct txn_events events = { .wake = actor_wake, .ended = actor_ended };
    struct txn_origin origin = { .function = "TXN UNDO", .whole = true };

    memset(a, 0, sizeof *a);
    a->w = w;
    assert_int_equal(txn_begin(w->m, &origin, &events, a, 1000000, &a->t), OK);
    a->id = txn_id(a->t);
}

static void nested_is(const struct store_nested *n, uint32_t parent, const char *outcome, uint64_t first,
                      uint64_t count)
{
    assert_string_equal(n->function, "transfer");
    assert_string_equal(n->version, "2.0");
    assert_int_equal(n->parent_seq, parent);
    assert_string_equal(n->outcome, outcome);
    assert_int_equal(n->first_effect, first);
    assert_int_equal(n->effect_count, count);
}

static void calls_inside_are_told_with_their_effects(void **state)
{
    struct world *w = *state;
    struct store_request r;
    struct txn_mark mark;
    uint64_t undone;
    struct actor a;

    assert_int_equal(actor_begin(&a, w), OK);
    do_put(&a, "own", "1");
    assert_int_equal(txn_nested_begin(a.t, 0, &inner, 10), 1);
    do_put(&a, "x", "1");
    assert_int_equal(txn_nested_begin(a.t, 1, &inner, 11), 2);
    do_put(&a, "y", "1");
    txn_nested_end(a.t, 2, &fine, 13, 5);
    txn_nested_end(a.t, 1, &fine, 14, 6);
    mark = txn_mark(a.t);
    assert_int_equal(txn_nested_begin(a.t, 0, &inner, 15), 3);
    assert_int_equal(txn_nested_begin(a.t, 3, &inner, 16), 4);
    do_put(&a, "z", "1");
    txn_nested_end(a.t, 4, &fine, 17, 0);
    assert_int_equal(do_rollback(&a, mark, &undone), OK);
    txn_nested_end(a.t, 3, &aborted, 18, 0);
    assert_int_equal(actor_commit_end(&a), OK);
    r = shown(w, a.id);
    assert_int_equal(r.effect_count, 3);
    assert_int_equal(r.nested_count, 4);
    nested_is(&r.nested[0], 0, "committed", 1, 2);
    nested_is(&r.nested[1], 1, "committed", 2, 1);
    nested_is(&r.nested[2], 0, "ABORTED", 3, 0);
    nested_is(&r.nested[3], 3, "undone", 3, 1);
    assert_string_equal(r.nested[2].error, "no funds");
    assert_int_equal(r.nested[1].begun_us, 11);
    assert_int_equal(r.nested[1].ended_us, 13);
    assert_int_equal(r.nested[1].cpu_us, 5);
    store_request_fini(&r);
}

static void calls_inside_what_failed_are_told_too(void **state)
{
    struct world *w = *state;
    struct store_request r;
    struct actor a;

    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(txn_nested_begin(a.t, 0, &inner, 10), 1);
    do_put(&a, "x", "1");
    txn_nested_end(a.t, 1, &fine, 13, 5);
    assert_int_equal(actor_abort_end(&a), ERR_ABORTED);
    world_settle(w);
    r = shown(w, a.id);
    assert_int_equal(r.nested_count, 1);
    nested_is(&r.nested[0], 0, "undone", 0, 1);
    store_request_fini(&r);
}

static void only_so_many_are_told(void **state)
{
    struct world *w = *state;
    struct store_request r;
    struct actor a;

    assert_int_equal(actor_begin(&a, w), OK);
    for (uint32_t i = 1; i <= TXN_NESTED_MAX + 3; i++) {
        uint32_t seq = txn_nested_begin(a.t, 0, &inner, 10);
        assert_int_equal(seq, i <= TXN_NESTED_MAX ? i : 0);
        txn_nested_end(a.t, seq, &fine, 11, 0);
    }
    do_put(&a, "x", "1");
    assert_int_equal(actor_commit_end(&a), OK);
    r = shown(w, a.id);
    assert_int_equal(r.nested_count, TXN_NESTED_MAX);
    store_request_fini(&r);
}

static void T2_a_reply_is_stored_with_the_commit_also_of_what_changed_nothing(void **state)
{
    struct world *w = *state;
    struct store_request r = { .kind = STORE_IDEM, .uid = 1000, .token = bytes_str("once") };
    struct actor a;

    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(txn_keep_reply(a.t, bytes_str("once"), bytes_str("first")), OK);
    assert_int_equal(actor_abort_end(&a), ERR_ABORTED);
    world_settle(w);
    ask(w, &r);
    assert_false(r.idem.found);
    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(txn_keep_reply(a.t, bytes_str("once"), bytes_str("second")), OK);
    assert_int_equal(actor_commit_end(&a), OK);
    world_reopen(w);
    ask(w, &r);
    assert_true(r.idem.found);
    assert_int_equal(r.idem.txn, a.id);
    assert_true(bytes_equal(r.idem.reply, bytes_str("second")));
    store_request_fini(&r);
}

static void a_reply_that_is_too_large_is_refused(void **state)
{
    struct world *w = *state;
    char *large = calloc(1, STORE_REPLY_MAX + 1);
    struct actor a;

    assert_non_null(large);
    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(txn_keep_reply(a.t, bytes_str("t"), bytes_of(large, STORE_REPLY_MAX + 1)), ERR_LIMIT);
    assert_int_equal(txn_keep_reply(a.t, bytes_str("t"), bytes_of(large, STORE_REPLY_MAX)), OK);
    free(large);
    actor_quiet(&a);
    actor_end(&a);
}

/* k: 1, 2, 3, each by a transaction of its own; then all are taken back by one that is told as three. */
static void take_back(struct world *w, struct actor *a, const uint64_t did[3], uint64_t by[3])
{
    static const char *const before[] = { "2", "1" };

    begin_whole(a, w);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(txn_undoes(a->t, did[2 - i], &by[i]), OK);
        assert_int_equal(i < 2 ? do_put(a, "k", before[i]) : do_delete(a, "k"), OK);
    }
}

static void make_three(struct world *w, uint64_t did[3])
{
    static const char *const values[] = { "1", "2", "3" };

    for (int i = 0; i < 3; i++) {
        struct actor a;
        assert_int_equal(actor_begin(&a, w), OK);
        do_put(&a, "k", values[i]);
        did[i] = a.id;
        assert_int_equal(actor_commit_end(&a), OK);
    }
}

static void T9_several_are_taken_back_together_and_each_is_told(void **state)
{
    struct world *w = *state;
    uint64_t did[3], by[3];
    struct actor a;

    make_three(w, did);
    take_back(w, &a, did, by);
    assert_int_equal(actor_commit_end(&a), OK);
    assert_string_equal(world_disk(w, "k"), "ABSENT");
    assert_int_equal(by[0], a.id);
    for (int i = 0; i < 3; i++) {
        struct store_request undo = shown(w, by[i]), undone = shown(w, did[2 - i]);
        assert_int_equal(undo.rows[0].undoes, did[2 - i]);
        assert_int_equal(undo.effect_count, 1);
        assert_int_equal(undo.rows[0].effect_count, 1);
        assert_int_equal(undone.rows[0].undone_by, by[i]);
        store_request_fini(&undo);
        store_request_fini(&undone);
    }
    world_put(w, "k", "new"); /* ids go on behind those */
    world_reopen(w);
    assert_string_equal(world_get(w, "k"), "new");
}

static void T3_or_none_of_them_is(void **state)
{
    struct world *w = *state;
    uint64_t did[3], by[3];
    struct actor a;

    make_three(w, did);
    take_back(w, &a, did, by);
    store_mem_fail_next(w->store, STORE_COMMIT, ERR_STORAGE, false);
    assert_int_equal(actor_commit_end(&a), ERR_STORAGE);
    assert_string_equal(world_get(w, "k"), "3");
    take_back(w, &a, did, by);
    assert_int_equal(actor_abort_end(&a), ERR_ABORTED);
    assert_string_equal(world_get(w, "k"), "3");
    take_back(w, &a, did, by);
    assert_int_equal(actor_commit_end(&a), OK);
    assert_string_equal(world_get(w, "k"), "ABSENT");
}

static void what_is_whole_is_not_written_early_and_bounded(void **state)
{
    struct world *w = *state;
    enum { SIZE = 90000 };
    char *value = calloc(1, SIZE + 1);
    struct txn_stats s;
    struct actor a;
    enum err err = OK;
    char key[16];
    int i;

    assert_non_null(value);
    memset(value, 'v', SIZE);
    begin_whole(&a, w);
    for (i = 0; i < 2000 && err == OK; i++) {
        snprintf(key, sizeof key, "k%d", i);
        err = do_put(&a, key, value);
    }
    assert_int_equal(err, ERR_LIMIT);
    assert_in_range(i, TXN_WHOLE_MAX / SIZE, TXN_WHOLE_MAX / SIZE + 3);
    assert_int_equal(txn_effects_left_out(a.t), 0);
    actor_quiet(&a);
    actor_end(&a);
    txn_stats(w->m, &s);
    assert_int_equal(s.spilled, 0);
    free(value);
}

static void T4_calls_inside_a_large_one_are_told_when_it_is_undone(void **state)
{
    struct world *w = *state;
    char value[50000] = { 0 };
    struct store_request r;
    struct actor a;
    char key[16];

    memset(value, 'v', sizeof value - 1);
    assert_int_equal(actor_begin(&a, w), OK);
    assert_int_equal(txn_nested_begin(a.t, 0, &inner, 10), 1);
    for (int i = 0; i < 60; i++) {
        snprintf(key, sizeof key, "k%d", i);
        assert_int_equal(do_put(&a, key, value), OK);
    }
    txn_nested_end(a.t, 1, &fine, 11, 0);
    assert_int_equal(actor_abort_end(&a), ERR_ABORTED);
    r = shown(w, a.id);
    assert_int_equal(r.nested_count, 1);
    nested_is(&r.nested[0], 0, "undone", 0, 60);
    store_request_fini(&r);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(calls_inside_are_told_with_their_effects),
        TEST(calls_inside_what_failed_are_told_too),
        TEST(only_so_many_are_told),
        TEST(T2_a_reply_is_stored_with_the_commit_also_of_what_changed_nothing),
        TEST(a_reply_that_is_too_large_is_refused),
        TEST(T9_several_are_taken_back_together_and_each_is_told),
        TEST(T3_or_none_of_them_is),
        TEST(what_is_whole_is_not_written_early_and_bounded),
        TEST(T4_calls_inside_a_large_one_are_told_when_it_is_undone),
    };

    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
