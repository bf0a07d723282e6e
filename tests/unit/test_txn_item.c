/*
 * Events and timers in transactions, what is told when they are on disk, and the bound on what one transaction locks.
 */
#include "tests/txn_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

static struct world w;
static struct actor a, b;
static char told[4096]; /* what stored() said */

static void on_stored(void *arg, char resource, struct bytes key, const struct bytes *now)
{
    size_t n = strlen(told);

    assert_ptr_equal(arg, &w);
    if (resource == 0)
        snprintf(told + n, sizeof told - n, "look;");
    else
        snprintf(told + n, sizeof told - n, "%s %.*s=%.*s;", resource_name(resource), (int)strnlen(key.data, key.len),
                 (const char *)key.data, now == NULL ? 4 : (int)now->len,
                 now == NULL ? "none" : (const char *)now->data);
}

static int setup(void **state)
{
    (void)state;
    world_init(&w);
    world_close(&w);
    told[0] = '\0';
    w.options.stored = on_stored;
    w.options.stored_arg = &w;
    assert_int_equal(world_open(&w, NULL), OK);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_fini(&w);
    return 0;
}

static void begin(struct actor *x) { assert_int_equal(actor_begin(x, &w), OK); }

static enum err emit(struct actor *x, const char *topic, const char *data)
{
    return txn_emit(x->t, bytes_str(topic), bytes_str(data), NULL);
}

static enum err put_timer(struct actor *x, const char *id, const char *image)
{
    enum err err;

    UNTIL_DONE(x, err, err = txn_put_item(x->t, RESOURCE_TIMER, bytes_str(id), bytes_str(image), NULL));
    return err;
}

static enum err delete_timer(struct actor *x, const char *id)
{
    enum err err;

    UNTIL_DONE(x, err, err = txn_delete_item(x->t, RESOURCE_TIMER, bytes_str(id), NULL));
    return err;
}

/* ---- events ---- */

static void T1_events_are_told_at_commit_in_order_and_never_before(void **state)
{
    (void)state;
    begin(&a);
    begin(&b);
    assert_int_equal(emit(&a, "t", "a1"), OK);
    assert_int_equal(emit(&b, "t", "b1"), OK); /* nobody waits for anybody */
    assert_int_equal(emit(&a, "t", "a2"), OK);
    world_settle(&w);
    assert_int_equal(disk_event_count(w.disk), 0);
    assert_int_equal(actor_commit_end(&b), OK);
    assert_int_equal(actor_commit_end(&a), OK);
    assert_int_equal(disk_event_count(w.disk), 3);
    assert_true(bytes_equal(disk_event(w.disk, 0)->data, bytes_str("b1")));
    assert_true(bytes_equal(disk_event(w.disk, 1)->data, bytes_str("a1")));
    assert_true(bytes_equal(disk_event(w.disk, 2)->data, bytes_str("a2")));
    assert_true(bytes_equal(disk_event_topic(w.disk, 2), bytes_str("t")));
    assert_string_equal(told, "event t=b1;event t=a1;event t=a2;");
}

static void T3_an_abort_tells_nothing(void **state)
{
    struct txn_mark mark;
    uint64_t undone;

    (void)state;
    begin(&a);
    assert_int_equal(emit(&a, "t", "1"), OK);
    assert_int_equal(actor_abort_end(&a), ERR_ABORTED);
    begin(&a);
    mark = txn_mark(a.t);
    assert_int_equal(emit(&a, "t", "2"), OK);
    assert_int_equal(do_rollback(&a, mark, &undone), OK);
    assert_int_equal(undone, 1);
    assert_int_equal(emit(&a, "t", "3"), OK);
    assert_int_equal(actor_commit_end(&a), OK);
    assert_int_equal(disk_event_count(w.disk), 1);
    assert_string_equal(told, "event t=3;");
}

static void topics_and_sizes_are_checked(void **state)
{
    char longest[TXN_TOPIC_MAX + 2];
    struct bytes large = { calloc(1, 100001), 100001 };

    (void)state;
    memset(longest, 'x', sizeof longest);
    longest[TXN_TOPIC_MAX + 1] = '\0';
    begin(&a);
    assert_int_equal(emit(&a, "", "1"), ERR_BADARG);
    assert_int_equal(emit(&a, "a b", "1"), ERR_BADARG);
    assert_int_equal(emit(&a, "a*", "1"), ERR_BADARG);
    assert_int_equal(txn_emit(a.t, bytes_of("a\0b", 3), bytes_str("1"), NULL), ERR_BADARG);
    assert_int_equal(emit(&a, longest, "1"), ERR_BADARG);
    assert_int_equal(txn_emit(a.t, bytes_str("t"), large, NULL), ERR_LIMIT);
    longest[TXN_TOPIC_MAX] = '\0';
    assert_int_equal(emit(&a, longest, ""), OK);
    assert_int_equal(emit(&a, "a.b_c-d:e/F9", "1"), OK);
    assert_int_equal(actor_commit_end(&a), OK);
    assert_int_equal(disk_event_count(w.disk), 2);
    free((void *)(uintptr_t)large.data);
}

static void events_take_no_memory_when_they_are_told(void **state)
{
    struct txn_stats s;

    (void)state;
    begin(&a);
    for (int i = 0; i < 100; i++)
        assert_int_equal(emit(&a, "t", "some data"), OK);
    assert_int_equal(actor_commit_end(&a), OK);
    world_settle(&w);
    txn_stats(w.m, &s);
    assert_int_equal(s.cache_keys, 0);
}

/* ---- timers ---- */

static void resources_do_not_share_keys(void **state)
{
    struct bytes value;

    (void)state;
    begin(&a);
    assert_int_equal(do_put(&a, "1.1", "kv"), OK);
    assert_int_equal(put_timer(&a, "1.1", "timer"), OK);
    assert_string_equal(do_get(&a, "1.1"), "kv");
    assert_int_equal(txn_get_item(a.t, RESOURCE_TIMER, bytes_str("1.1"), LOCK_SHARED, &value, NULL), OK);
    assert_true(bytes_equal(value, bytes_str("timer")));
    assert_string_equal(do_scan(&a, "", "", 10), "1.1=kv");
    assert_int_equal(actor_commit_end(&a), OK);
    assert_true(bytes_equal(disk_timer(w.disk, bytes_str("1.1")).value, bytes_str("timer")));
    assert_string_equal(told, "timer 1.1=timer;");
}

static void names_are_never_the_same(void **state)
{
    char one[TXN_ITEM_NAME_MAX], two[TXN_ITEM_NAME_MAX], three[TXN_ITEM_NAME_MAX];

    (void)state;
    begin(&a);
    begin(&b);
    txn_item_name(a.t, one);
    txn_item_name(a.t, two);
    txn_item_name(b.t, three);
    assert_string_not_equal(one, two);
    assert_string_not_equal(one, three);
    assert_string_not_equal(two, three);
    assert_int_equal(actor_commit_end(&a), OK);
    assert_int_equal(actor_commit_end(&b), OK);
}

static void what_is_on_disk_is_told_before_the_end_and_only_then(void **state)
{
    (void)state;
    begin(&a);
    assert_int_equal(put_timer(&a, "x", "1"), OK);
    actor_commit(&a);
    while (!a.ended) {
        assert_string_equal(told, "");
        world_poll(&w);
    }
    assert_string_equal(told, "timer x=1;");
    begin(&a);
    assert_int_equal(delete_timer(&a, "x"), OK);
    assert_int_equal(delete_timer(&a, "x"), ERR_ABSENT);
    assert_int_equal(actor_commit_end(&a), OK);
    assert_string_equal(told, "timer x=1;timer x=none;");
    begin(&a);
    assert_int_equal(put_timer(&a, "y", "1"), OK);
    store_mem_fail_next(w.store, STORE_COMMIT, ERR_STORAGE, false);
    assert_int_equal(actor_commit_end(&a), ERR_STORAGE);
    assert_string_equal(told, "timer x=1;timer x=none;");
    assert_int_equal(disk_timer_count(w.disk), 0);
}

static void of_early_writes_the_listener_is_told_to_look(void **state)
{
    (void)state;
    world_close(&w);
    w.options.spill_bytes = 300;
    assert_int_equal(world_open(&w, NULL), OK);
    begin(&a);
    assert_int_equal(put_timer(&a, "x", "1"), OK);
    for (int i = 0; i < 20; i++)
        assert_int_equal(do_put(&a, "key", "value"), OK);
    world_settle(&w);
    assert_string_equal(told, "");
    assert_int_equal(actor_commit_end(&a), OK);
    assert_string_equal(told, "look;");
    begin(&a);
    for (int i = 0; i < 20; i++)
        assert_int_equal(do_put(&a, "key", "value"), OK);
    assert_int_equal(put_timer(&a, "y", "1"), OK);
    assert_int_equal(actor_commit_end(&a), OK);
    assert_string_equal(told, "look;timer y=1;");
}

/* ---- the bound on locks ---- */

static void locks_are_bounded(uint64_t bytes)
{
    world_close(&w);
    w.options.locks_bytes = bytes;
    assert_int_equal(world_open(&w, NULL), OK);
}

static void P4_what_one_transaction_locks_is_bounded(void **state)
{
    struct failure why = { 0 };
    struct bytes value;
    struct txn_stats s;
    char key[32];
    enum err err = ERR_ABSENT;
    int count = 0;

    (void)state;
    locks_are_bounded(100000);
    begin(&a);
    for (; err == ERR_ABSENT && count < 10000; count++) {
        snprintf(key, sizeof key, "absent:%d", count);
        UNTIL_DONE(&a, err, err = txn_get(a.t, bytes_str(key), LOCK_SHARED, &value, &why));
    }
    assert_int_equal(err, ERR_LIMIT);
    assert_true(count > 200 && count < 1000);
    assert_true(strstr(why.text, "\"limit locks\" is 100000") != NULL);
    assert_true(strstr(why.text, "limit=100000") != NULL && strstr(why.text, "used=100") != NULL);
    assert_int_equal(txn_failure(a.t)->err, ERR_LIMIT);
    assert_int_equal(actor_abort_end(&a), ERR_ABORTED);
    txn_stats(w.m, &s);
    assert_int_equal(s.dirty_keys, 0);
    begin(&a);
    assert_int_equal(do_put(&a, "k", "v"), OK);
    assert_int_equal(actor_commit_end(&a), OK);
}

static void a_key_that_is_held_costs_once(void **state)
{
    (void)state;
    locks_are_bounded(1000);
    begin(&a);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(do_put(&a, i % 2 ? "one" : "two", "v"), OK);
    assert_int_equal(actor_commit_end(&a), OK);
}

static void P4_ranges_count_too(void **state)
{
    struct txn_page page;
    char prefix[32];
    enum err err = OK;
    int count = 0;

    (void)state;
    locks_are_bounded(10000);
    begin(&a);
    for (; err == OK && count < 10000; count++) {
        snprintf(prefix, sizeof prefix, "gap:%d:", 2 * count);
        UNTIL_DONE(&a, err, err = txn_scan(a.t, bytes_str(prefix), bytes_str(""), 10, &page, NULL));
    }
    assert_int_equal(err, ERR_LIMIT);
    assert_true(count > 10 && count < 1000);
    assert_int_equal(actor_abort_end(&a), ERR_ABORTED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(T1_events_are_told_at_commit_in_order_and_never_before),
        TEST(T3_an_abort_tells_nothing),
        TEST(topics_and_sizes_are_checked),
        TEST(events_take_no_memory_when_they_are_told),
        TEST(resources_do_not_share_keys),
        TEST(names_are_never_the_same),
        TEST(what_is_on_disk_is_told_before_the_end_and_only_then),
        TEST(of_early_writes_the_listener_is_told_to_look),
        TEST(P4_what_one_transaction_locks_is_bounded),
        TEST(a_key_that_is_held_costs_once),
        TEST(P4_ranges_count_too),
    };

    alarm(60);
    hash_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
