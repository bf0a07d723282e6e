/* Values in memory: who is kept, who goes, what is not durable yet, and blobs that many share. */
#include "txn/kv.h"

#include "lib/check.h"
#include "lib/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct kv kv;

static int setup(void **state)
{
    (void)state;
    CHECK(kv_init(&kv, 2000) == OK);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kv_fini(&kv);
    return 0;
}

static struct kv_entry *pin(const char *key)
{
    struct kv_entry *e;

    assert_int_equal(kv_pin_key(&kv, bytes_str(key), &e), OK);
    return e;
}

static struct blob *text(const char *s)
{
    struct blob *b = blob_new(bytes_str(s));

    assert_non_null(b);
    return b;
}

static struct kv_entry *add(const char *key, const char *value, uint64_t batch)
{
    struct kv_entry *e = pin(key);

    kv_set(e, text(value), batch);
    return e;
}

static void blobs_go_with_their_last_reference(void **state)
{
    struct blob *a = text("shared"), *b = blob_ref(a), *none = blob_ref(NULL);

    (void)state;
    blob_drop(&a);
    assert_null(a);
    assert_true(bytes_equal(blob_bytes(b), bytes_str("shared")));
    blob_drop(&b);
    blob_drop(&none);
    b = blob_new(bytes_of(NULL, 0));
    assert_int_equal(b->len, 0);
    blob_drop(&b);
}

static void a_key_is_one_entry(void **state)
{
    struct kv_entry *e = pin("k");

    (void)state;
    assert_false(e->known);
    assert_ptr_equal(pin("k"), e);
    assert_ptr_equal(kv_find(&kv, bytes_str("k")), e);
    assert_null(kv_find(&kv, bytes_str("kk")));
    assert_int_equal(e->pins, 2);
    kv_unpin(&kv, e);
    kv_unpin(&kv, e);
    assert_null(kv_find(&kv, bytes_str("k"))); /* it was never known */
}

static void the_least_recently_used_go_first_and_pinned_ones_never(void **state)
{
    struct kv_entry *kept = add("kept", "v", 0);
    char key[32];

    (void)state;
    for (int i = 0; i < 200; i++) {
        snprintf(key, sizeof key, "k%d", i);
        kv_unpin(&kv, add(key, "value", 0));
        if (i > 0)
            kv_unpin(&kv, pin("k0")); /* in use all the time */
        assert_true(kv.clean_bytes <= 2000);
    }
    assert_non_null(kv_find(&kv, bytes_str("k0")));
    assert_non_null(kv_find(&kv, bytes_str("k199")));
    assert_null(kv_find(&kv, bytes_str("k1")));
    assert_ptr_equal(kv_find(&kv, bytes_str("kept")), kept);
    kv_unpin(&kv, kept);
}

static void a_value_larger_than_the_cache_is_not_kept(void **state)
{
    char *large = calloc(1, 4000);
    struct kv_entry *e;

    (void)state;
    memset(large, 'x', 3999);
    e = add("large", large, 0);
    assert_int_equal(e->value->len, 3999);
    kv_unpin(&kv, e);
    assert_null(kv_find(&kv, bytes_str("large")));
    assert_int_equal(kv.clean_bytes, 0);
    free(large);
}

static void what_is_forgotten_must_be_read_again(void **state)
{
    struct kv_entry *e = add("k", "v", 0);

    (void)state;
    kv_forget(&kv, e);
    assert_false(e->known);
    assert_null(e->value);
    kv_set(e, text("again"), 0);
    kv_unpin(&kv, e);
    kv_forget(&kv, e);
    assert_null(kv_find(&kv, bytes_str("k")));
    assert_int_equal(kv.clean_bytes, 0);
}

static bool has(struct kv_entry **found, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (bytes_equal(found[i]->node.key, bytes_str(key)))
            return true;
    return false;
}

static void a_range_finds_what_is_not_durable(void **state)
{
    struct kv_entry *all[] = { add("p:1", "v", 5), add("p:2", "v", 4), add("p:3", "v", KV_OPEN), add("p:4", "v", 6),
                               add("q", "v", 6), pin("p:5") };
    struct kv_entry *found[6];
    struct bytes last = bytes_str("p:3");
    size_t n;

    (void)state;
    kv.durable = 4;
    n = kv_dirty_range(&kv, bytes_str("p:"), bytes_str(""), NULL, found);
    assert_int_equal(n, 3);
    assert_true(has(found, n, "p:1") && has(found, n, "p:3") && has(found, n, "p:4"));
    n = kv_dirty_range(&kv, bytes_str("p:"), bytes_str("p:10"), &last, found);
    assert_int_equal(n, 1);
    assert_true(has(found, n, "p:3"));
    kv.durable = 10;
    kv_set(all[2], NULL, 10);
    for (size_t i = 0; i < 6; i++)
        kv_unpin(&kv, all[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blobs_go_with_their_last_reference),
        cmocka_unit_test_setup_teardown(a_key_is_one_entry, setup, teardown),
        cmocka_unit_test_setup_teardown(the_least_recently_used_go_first_and_pinned_ones_never, setup, teardown),
        cmocka_unit_test_setup_teardown(a_value_larger_than_the_cache_is_not_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_forgotten_must_be_read_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_range_finds_what_is_not_durable, setup, teardown),
    };

    alarm(60);
    hash_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
