/*
 * The begin of transactions: ids that rise, are reserved in advance and are never given out twice, also after a crash;
 * a store that cannot be written is found before the first one. And what each operation checks before it does anything.
 */
#include "tests/txn_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

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

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ids_rise_and_are_never_reused_after_a_crash),
        TEST(begins_that_outrun_the_reserve_wait_until_it_is_renewed),
        TEST(who_waits_for_a_reserve_that_fails_is_told),
        TEST(a_store_that_cannot_be_written_is_found_at_the_start),
        TEST(arguments_are_checked_and_leave_the_transaction_usable),
    };

    alarm(60);
    hash_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
