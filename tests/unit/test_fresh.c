/*
 * txn/fresh.h against arrays: chance puts, drops, commits and takes back; what a key holds, the order, and the bytes
 * that are counted must be the arrays'.
 */
#include "tests/sim/chance.h"
#include "txn/fresh.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { KEYS = 300, STEPS = 60000, DROPPED = 0 };

struct model {
    int value[KEYS]; /* DROPPED; odd: that number; even: gone */
};

static const char *key_of(int key)
{
    static char text[16];

    snprintf(text, sizeof text, "%0*d", key % 3 + 3, key); /* in byte order they are mixed */
    return text;
}

static struct image image_of(int value)
{
    static char text[16];

    snprintf(text, sizeof text, "%d", value);
    return value % 2 == 0 ? (struct image){ 0 } : (struct image){ true, bytes_str(text) };
}

static bool holds(const struct fresh_item *item, int value)
{
    struct image image = image_of(value);

    return item->image.present == image.present && bytes_equal(item->image.value, image.value) &&
           item->head.txn == (uint64_t)value && item->head.seq == (uint64_t)value + 1 && item->stored == HEAD_GONE;
}

static void check_all(struct fresh *f, const struct model *m)
{
    struct bytes last = { 0 };
    size_t count = 0, want = 0;

    for (int i = 0; i < KEYS; i++) {
        const struct fresh_item *item = fresh_get(f, bytes_str(key_of(i)));
        assert_int_equal(item != NULL, m->value[i] != DROPPED);
        assert_true(item == NULL || holds(item, m->value[i]));
        want += item != NULL;
    }
    for (struct fresh_node *n = fresh_from(f, last); n != NULL; n = fresh_after(n), count++) {
        assert_true(count == 0 || bytes_compare(last, n->by_key.key) < 0);
        last = n->by_key.key;
    }
    assert_int_equal(count, want);
}

static void check_from(struct fresh *f, const struct model *m, int key)
{
    char from[16];
    struct fresh_node *n;
    const char *least = NULL;
    char text[16];

    strcpy(from, key_of(key));
    n = fresh_from(f, bytes_str(from));
    for (int i = 0; i < KEYS; i++) {
        const char *other = key_of(i);
        if (m->value[i] != DROPPED && strcmp(other, from) >= 0 && (least == NULL || strcmp(other, least) < 0))
            least = strcpy(text, other);
    }
    assert_int_equal(n != NULL, least != NULL);
    assert_true(n == NULL || bytes_equal(n->by_key.key, bytes_str(least)));
}

static void it_is_as_arrays_would_have_it(void **state)
{
    uint64_t seed = getenv("SEED") != NULL ? strtoull(getenv("SEED"), NULL, 10) : (uint64_t)time(NULL);
    struct chance c = { seed };
    struct model now = { { 0 } }, committed = { { 0 } };
    struct fresh f;

    (void)state;
    print_message("SEED=%llu\n", (unsigned long long)seed);
    assert_int_equal(fresh_init(&f), OK);
    for (int step = 1; step <= STEPS; step++) {
        int key = (int)chance_below(&c, KEYS);
        struct image image = image_of(step);
        if (chance_one_in(&c, 3)) {
            fresh_drop(&f, bytes_str(key_of(key)));
            now.value[key] = DROPPED;
        } else {
            struct spot head = { (uint64_t)step, (uint64_t)step + 1 };
            assert_int_equal(fresh_put(&f, bytes_str(key_of(key)), &image, head, HEAD_GONE), OK);
            now.value[key] = step;
        }
        if (chance_one_in(&c, 20)) {
            fresh_commit(&f);
            committed = now;
        } else if (chance_one_in(&c, 20)) {
            fresh_rollback(&f);
            now = committed;
        }
        if (chance_one_in(&c, 50)) {
            check_all(&f, &now);
            check_from(&f, &now, (int)chance_below(&c, KEYS));
        }
    }
    for (int i = 0; i < KEYS; i++)
        fresh_drop(&f, bytes_str(key_of(i)));
    fresh_commit(&f);
    assert_int_equal(f.bytes, 0);
    assert_null(fresh_from(&f, bytes_of(NULL, 0)));
    fresh_fini(&f);
}

static void what_is_left_is_freed(void **state)
{
    struct image image = image_of(1);
    struct fresh f;

    (void)state;
    assert_int_equal(fresh_init(&f), OK);
    assert_int_equal(fresh_put(&f, bytes_str("a"), &image, (struct spot){ 1, 2 }, HEAD_KV), OK);
    fresh_commit(&f);
    assert_int_equal(fresh_put(&f, bytes_str("a"), &image, (struct spot){ 2, 2 }, HEAD_KV), OK);
    assert_int_equal(fresh_put(&f, bytes_str("b"), &image, (struct spot){ 2, 3 }, HEAD_KV), OK);
    fresh_fini(&f); /* in the middle of a transaction; a leak would be told by the sanitizer */
    fresh_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_as_arrays_would_have_it),
        cmocka_unit_test(what_is_left_is_freed),
    };

    alarm(120);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
