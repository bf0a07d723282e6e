/* The undo log: newest first, twice is the same as once (T5), values shared and not copied. */
#include "txn/undo.h"

#include "lib/check.h"
#include "lib/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct kv kv;
static struct undo_log undo;
static struct kv_entry *a, *b;

static struct blob *text(const char *s) { return s == NULL ? NULL : blob_new(bytes_str(s)); }

static bool holds(const struct kv_entry *e, const char *s)
{
    return s == NULL ? e->value == NULL : e->value != NULL && bytes_equal(blob_bytes(e->value), bytes_str(s));
}

/* a was read from disk, b is of batch 7, which is not on disk. */
static int setup(void **state)
{
    (void)state;
    CHECK(kv_init(&kv, 10000) == OK);
    undo_init(&undo);
    CHECK(kv_pin_key(&kv, bytes_str("ka"), &a) == OK);
    CHECK(kv_pin_key(&kv, bytes_str("tb"), &b) == OK);
    kv_set(a, text("old"), 0);
    kv_set(b, NULL, 7);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    undo_fini(&undo);
    kv.durable = 100;
    kv_unpin(&kv, a);
    kv_unpin(&kv, b);
    kv_fini(&kv);
    return 0;
}

static void change(struct kv_entry *e, const char *value)
{
    assert_int_equal(undo_append(&undo, &kv, e, text(value)), OK);
    assert_true(holds(e, value));
    assert_int_equal(e->batch, KV_OPEN);
}

static void replays_newest_first(void **state)
{
    (void)state;
    change(a, "1");
    change(b, "2");
    change(a, NULL);
    change(a, "3");
    change(b, NULL);
    assert_int_equal(a->pins, 4);
    assert_int_equal(undo_play(&undo, &kv), 5);
    assert_true(holds(a, "old"));
    assert_true(holds(b, NULL));
    assert_int_equal(a->batch, 0);
    assert_int_equal(b->batch, 7);
    assert_int_equal(a->pins, 1);
    assert_int_equal(undo.bytes, 0);
}

static void replays_down_to_a_mark_and_keeps_the_rest(void **state)
{
    uint64_t bytes;

    (void)state;
    change(a, "1");
    change(b, "2");
    bytes = undo.bytes;
    for (int i = 0; i < 20; i++)
        change(a, i % 2 ? "odd" : NULL);
    assert_int_equal(undo_play_to(&undo, &kv, 2), 20);
    assert_int_equal(undo_play_to(&undo, &kv, 2), 0);
    assert_true(holds(a, "1"));
    assert_int_equal(a->batch, KV_OPEN);
    assert_int_equal(undo.bytes, bytes);
    change(b, NULL);
    assert_int_equal(undo_play(&undo, &kv), 3);
    assert_true(holds(a, "old"));
    assert_true(holds(b, NULL));
    assert_int_equal(b->batch, 7);
}

static void T5_twice_is_the_same_as_once(void **state)
{
    (void)state;
    change(a, "1");
    assert_int_equal(undo_play(&undo, &kv), 1);
    kv_set(a, text("later"), 8);
    assert_int_equal(undo_play(&undo, &kv), 0);
    assert_true(holds(a, "later"));
}

static void dropping_leaves_the_changes(void **state)
{
    (void)state;
    change(a, "1");
    change(b, "2");
    undo_assign(&undo, 9);
    assert_int_equal(a->batch, 9);
    undo_drop(&undo, &kv);
    assert_int_equal(undo_play(&undo, &kv), 0);
    assert_true(holds(a, "1"));
    assert_true(holds(b, "2"));
    assert_int_equal(a->pins, 1);
}

static void grows_past_its_inside_and_shares_values(void **state)
{
    struct blob *value = blob_new(bytes_str("shared"));
    uint64_t bytes;

    (void)state;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(undo_append(&undo, &kv, i % 2 ? a : b, blob_ref(value)), OK);
    assert_int_equal(value->refs, 1 + 1000 + 998 + 2); /* mine, after, before, the entries' */
    bytes = undo.bytes;
    assert_true(bytes >= 1000 * (sizeof(struct undo_record) + 1));
    undo_play(&undo, &kv);
    assert_int_equal(value->refs, 1);
    assert_true(holds(a, "old"));
    blob_drop(&value);
}

static void moves_whole(void **state)
{
    struct undo_log other;

    (void)state;
    undo_init(&other);
    for (int rounds = 1; rounds <= 20; rounds += 19) {
        for (int i = 0; i < rounds; i++)
            change(a, "x");
        undo_move(&other, &undo);
        assert_int_equal(undo.count, 0);
        assert_int_equal(undo.bytes, 0);
        change(a, "y");
        undo_play(&undo, &kv);
        assert_true(holds(a, "x"));
        assert_int_equal(undo_play(&other, &kv), rounds);
        assert_true(holds(a, "old"));
    }
    undo_fini(&other);
}

static void shows_the_store_what_changed_from_what_to_what(void **state)
{
    struct store_effect e[2];

    (void)state;
    change(a, NULL);
    change(b, "new");
    undo_show(&undo, e);
    assert_int_equal(e[0].resource, 'k');
    assert_true(bytes_equal(e[0].key, bytes_str("a")));
    assert_true(e[0].before.present && bytes_equal(e[0].before.value, bytes_str("old")));
    assert_false(e[0].after.present);
    assert_false(e[1].before.present);
    assert_true(e[1].after.present && bytes_equal(e[1].after.value, bytes_str("new")));
    undo_play(&undo, &kv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(replays_newest_first, setup, teardown),
        cmocka_unit_test_setup_teardown(replays_down_to_a_mark_and_keeps_the_rest, setup, teardown),
        cmocka_unit_test_setup_teardown(T5_twice_is_the_same_as_once, setup, teardown),
        cmocka_unit_test_setup_teardown(dropping_leaves_the_changes, setup, teardown),
        cmocka_unit_test_setup_teardown(grows_past_its_inside_and_shares_values, setup, teardown),
        cmocka_unit_test_setup_teardown(moves_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(shows_the_store_what_changed_from_what_to_what, setup, teardown),
    };

    alarm(60);
    hash_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
