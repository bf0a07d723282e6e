/*
 * What was written is synced on a thread of its own, in order, and one sync serves all that wait (T2); reads of
 * keys need not wait for it; after a sync that failed nothing is called durable any more (T7).
 */
#include "tests/store_kit.h"
#include "txn/store_sync.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* ---- the thread, with a disk whose syncs take as long as the test likes ---- */

struct slow_disk {
    sem_t begun, may_end;
    int syncs;
    bool fails;
    char order[16]; /* of what is finished, one letter each */
    size_t finished;
    struct store_sync *sync;
};

struct named {
    struct store_request r;
    char name;
};

static enum err slow_sync(void *owner)
{
    struct slow_disk *d = owner;

    d->syncs++;
    sem_post(&d->begun);
    sem_wait(&d->may_end);
    return d->fails ? ERR_UNKNOWN : OK;
}

static void finished(void *owner, struct list *requests)
{
    struct slow_disk *d = owner;
    struct list *node;

    while ((node = list_pop(requests)) != NULL)
        d->order[d->finished++] = list_entry(node, struct named, r.link)->name;
}

static int slow_setup(void **state)
{
    struct slow_disk *d = calloc(1, sizeof *d);

    sem_init(&d->begun, 0, 0);
    sem_init(&d->may_end, 0, 0);
    d->sync = store_sync_new(&(struct store_sync_work){ slow_sync, finished, d });
    *state = d;
    return d->sync == NULL;
}

static int slow_teardown(void **state)
{
    struct slow_disk *d = *state;

    store_sync_free(&d->sync);
    sem_destroy(&d->begun);
    sem_destroy(&d->may_end);
    free(d);
    return 0;
}

static void add(struct slow_disk *d, struct named *n, char name, bool must)
{
    struct list one;

    *n = (struct named){ .name = name, .r.needs_sync = must };
    list_init(&one);
    list_push(&one, &n->r.link);
    store_sync_add(d->sync, &one, must);
}

static void one_sync_serves_all_that_came_while_another_ran(void **state)
{
    struct slow_disk *d = *state;
    struct named a, b, c, reading;

    add(d, &a, 'a', true);
    sem_wait(&d->begun);
    add(d, &b, 'b', true);
    add(d, &reading, 'r', false);
    add(d, &c, 'c', true);
    assert_false(store_sync_idle(d->sync));
    sem_post(&d->may_end);
    sem_wait(&d->begun); /* b was not in time for the first */
    sem_post(&d->may_end);
    assert_true(store_sync_drain(d->sync));
    assert_string_equal(d->order, "abrc");
    assert_int_equal(d->syncs, 2);
    assert_int_equal(c.r.why.err, OK);
}

static void what_wrote_nothing_waits_and_asks_for_no_sync(void **state)
{
    struct slow_disk *d = *state;
    struct named a, reading;

    add(d, &a, 'a', true);
    sem_wait(&d->begun);
    add(d, &reading, 'r', false);
    assert_int_equal(d->finished, 0);
    sem_post(&d->may_end);
    assert_true(store_sync_drain(d->sync));
    assert_true(store_sync_idle(d->sync));
    assert_string_equal(d->order, "ar");
    assert_int_equal(d->syncs, 1);
}

static void who_is_alone_need_not_wait_for_the_thread(void **state)
{
    struct slow_disk *d = *state;
    struct named a = { .name = 'a', .r.needs_sync = true }, b = { .name = 'b', .r.needs_sync = true };
    struct list one;

    list_init(&one);
    list_push(&one, &a.r.link);
    sem_post(&d->may_end);
    store_sync_now(d->sync, &one);
    assert_string_equal(d->order, "a");
    assert_int_equal(d->syncs, 1);
    assert_int_equal(a.r.why.err, OK);
    d->fails = true;
    list_push(&one, &b.r.link);
    sem_post(&d->may_end);
    store_sync_now(d->sync, &one);
    assert_int_equal(b.r.why.err, ERR_UNKNOWN);
    assert_true(store_sync_failed(d->sync));
}

static void after_a_failed_sync_there_is_no_other(void **state)
{
    struct slow_disk *d = *state;
    struct named a, b, later, reading, refused;

    d->fails = true;
    add(d, &a, 'a', true);
    sem_wait(&d->begun);
    add(d, &b, 'b', true);
    sem_post(&d->may_end);
    assert_false(store_sync_drain(d->sync));
    d->fails = false;
    add(d, &later, 'l', true);
    add(d, &reading, 'r', false);
    add(d, &refused, 'x', false);
    assert_false(store_sync_drain(d->sync));
    assert_true(store_sync_failed(d->sync));
    assert_int_equal(d->syncs, 1);
    assert_string_equal(d->order, "ablrx");
    assert_int_equal(a.r.why.err, ERR_UNKNOWN);
    assert_int_equal(b.r.why.err, ERR_UNKNOWN);
    assert_int_equal(later.r.why.err, ERR_UNKNOWN);
    assert_int_equal(reading.r.why.err, OK);
}

/* ---- the store ---- */

static struct kit kit;

static int kit_setup(void **state)
{
    struct failure why = { 0 };

    (void)state;
    kit_init(&kit);
    kit.options.synchronous = 2;
    return kit_open(&kit, &why) != OK;
}

static int kit_teardown(void **state)
{
    (void)state;
    kit_fini(&kit);
    return 0;
}

/* The order in which requests are done. */
static char order[8];

static void noted(struct store_request *r)
{
    size_t n = strlen(order);

    assert_int_equal(r->why.err, OK);
    order[n] = *(const char *)r->owner;
    order[n + 1] = '\0';
}

static void drain(size_t count)
{
    while (strlen(order) < count) {
        sem_wait(&kit.woken);
        kit.store->ops->poll(kit.store);
    }
}

/* The reads of others may go before a commit that is being synced, but nothing else does; each sees what was submitted before it. */
static void requests_are_done_in_order_but_for_reads_of_keys(void **state)
{
    char c = 'c', g = 'g', l = 'l';
    struct bytes key = bytes_str("k");
    struct store_effect e[2] = { kit_effect("k", NULL, "1"), kit_effect("k", "1", "2") };
    struct store_entry entry[2] = { kit_entry(1, "committed", &e[0], 1), kit_entry(2, "committed", &e[1], 1) };
    struct store_request commit, get, list;

    (void)state;
    for (int apart = 0; apart < 2; apart++) {
        order[0] = '\0';
        commit = (struct store_request){ .kind = STORE_COMMIT,
                                         .entries = &entry[apart],
                                         .entry_count = 1,
                                         .apart = apart == 1,
                                         .done = noted,
                                         .owner = &c };
        list = (struct store_request){ .kind = STORE_LIST, .count_max = 4, .done = noted, .owner = &l };
        get = (struct store_request){ .kind = STORE_GET, .keys = &key, .key_count = 1, .done = noted, .owner = &g };
        kit.store->ops->submit(kit.store, &commit);
        kit.store->ops->submit(kit.store, &list);
        kit.store->ops->submit(kit.store, &get);
        drain(3);
        assert_true(strchr(order, 'c') < strchr(order, 'l'));
        assert_int_equal(list.row_count, 1 + apart);
        assert_true(bytes_equal(get.pairs[0].value.value, bytes_str(apart == 0 ? "1" : "2")));
        store_request_fini(&get);
        store_request_fini(&list);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_sync_serves_all_that_came_while_another_ran, slow_setup, slow_teardown),
        cmocka_unit_test_setup_teardown(what_wrote_nothing_waits_and_asks_for_no_sync, slow_setup, slow_teardown),
        cmocka_unit_test_setup_teardown(who_is_alone_need_not_wait_for_the_thread, slow_setup, slow_teardown),
        cmocka_unit_test_setup_teardown(after_a_failed_sync_there_is_no_other, slow_setup, slow_teardown),
        cmocka_unit_test_setup_teardown(requests_are_done_in_order_but_for_reads_of_keys, kit_setup, kit_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
