/* The hash map: found while it grows bit by bit, removed in any state of growth, compared with a plain table. */
#include "lib/map.h"

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

enum { ITEMS = 3000, STEPS = 60000, SEED = 20240607 };

struct item {
    struct map_node node;
    char name[16];
    bool inside;
    unsigned visits;
};

static struct item items[ITEMS];
static struct map map;

static int setup(void **state)
{
    (void)state;
    memset(items, 0, sizeof items);
    for (unsigned i = 0; i < ITEMS; i++) {
        snprintf(items[i].name, sizeof items[i].name, "%u", i);
        items[i].node.key = bytes_str(items[i].name);
    }
    CHECK(map_init(&map) == OK);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    map_fini(&map);
    return 0;
}

static void add(struct item *item)
{
    map_add(&map, &item->node);
    item->inside = true;
}

static void take_out(struct item *item)
{
    map_remove(&map, &item->node);
    item->inside = false;
}

static void finds_every_key_at_every_size(void **state)
{
    (void)state;
    for (size_t i = 0; i < ITEMS; i++) {
        assert_null(map_find(&map, items[i].node.key));
        add(&items[i]);
        for (size_t j = i % 97; j <= i; j += 97)
            assert_ptr_equal(map_find(&map, items[j].node.key), &items[j].node);
    }
    assert_int_equal(map.count, ITEMS);
    assert_true(map.bucket_count >= ITEMS / 2);
}

static void keys_are_bytes_and_not_text(void **state)
{
    struct item zero = { .node.key = { "\0", 1 } }, two = { .node.key = { "\0\0", 2 } };
    struct item empty = { .node.key = { NULL, 0 } };

    (void)state;
    map_add(&map, &zero.node);
    map_add(&map, &two.node);
    map_add(&map, &empty.node);
    assert_ptr_equal(map_find(&map, bytes_of("\0", 1)), &zero.node);
    assert_ptr_equal(map_find(&map, bytes_of("\0\0", 2)), &two.node);
    assert_ptr_equal(map_find(&map, bytes_of("", 0)), &empty.node);
    assert_null(map_find(&map, bytes_of("\0\0\0", 3)));
}

static void visit_counting(struct map_node *node, void *user)
{
    struct item *item = map_entry(node, struct item, node);

    item->visits++;
    if (*(bool *)user)
        take_out(item);
}

static void each_visits_all_once_and_may_remove_what_it_visits(void **state)
{
    bool remove = false;
    size_t n;

    (void)state;
    for (n = 0; n < ITEMS && (n < 100 || map.old == NULL); n++) /* stop in the middle of a growth */
        add(&items[n]);
    assert_non_null(map.old);
    map_each(&map, visit_counting, &remove);
    for (size_t i = 0; i < ITEMS; i++)
        assert_int_equal(items[i].visits, i < n);
    remove = true;
    map_each(&map, visit_counting, &remove);
    assert_int_equal(map.count, 0);
}

static void random_work_agrees_with_a_table(void **state)
{
    size_t count = 0;

    (void)state;
    print_message("the seed is %d\n", SEED);
    srandom(SEED);
    for (int step = 0; step < STEPS; step++) {
        struct item *item = &items[(size_t)random() % ITEMS];
        assert_ptr_equal(map_find(&map, item->node.key), item->inside ? &item->node : NULL);
        if (!item->inside)
            add(item);
        else if (step % 3 > 0)
            take_out(item);
    }
    for (size_t i = 0; i < ITEMS; i++)
        count += items[i].inside;
    assert_int_equal(map.count, count);
    for (size_t i = 0; i < ITEMS; i++)
        assert_ptr_equal(map_find(&map, items[i].node.key), items[i].inside ? &items[i].node : NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(finds_every_key_at_every_size, setup, teardown),
        cmocka_unit_test_setup_teardown(keys_are_bytes_and_not_text, setup, teardown),
        cmocka_unit_test_setup_teardown(each_visits_all_once_and_may_remove_what_it_visits, setup, teardown),
        cmocka_unit_test_setup_teardown(random_work_agrees_with_a_table, setup, teardown),
    };

    alarm(60);
    hash_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
