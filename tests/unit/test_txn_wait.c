/*
 * Waiting for locks of others, and making others wait: who waits too long is told CONFLICT, who holds too long is
 * doomed (T6 costs nobody more time than was granted), and a wait may be given up at any moment.
 */
#include "tests/txn_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

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

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_wait_that_lasts_too_long_ends_in_conflict),
        TEST(a_wait_for_a_range_has_the_limit_of_any_wait),
        TEST(an_operation_changes_its_mind_about_what_it_waits_for),
        TEST(an_abort_while_waiting_lets_the_next_in),
        TEST(an_abort_while_a_value_is_read_is_safe),
        TEST(who_makes_others_wait_too_long_is_doomed),
        TEST(who_waits_itself_is_doomed_and_woken),
        TEST(the_patient_hold_as_long_as_they_like),
        TEST(holding_is_timed_from_when_it_began),
    };

    alarm(60);
    hash_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
