/*
 * The real store, day by day: requests are done in the order in which they were submitted, commits stay as they were
 * written, numbers are not given out twice, and what is asked is answered in order and in bounds.
 */
#include "tests/store_case.h"

static int order_next;

static void done_in_order(struct store_request *r)
{
    assert_ptr_equal(r->owner, (void *)(uintptr_t)order_next);
    order_next++;
}

static void reads_see_what_was_submitted_before(void **state)
{
    struct kit *k = *state;
    struct store_request r[6] = { 0 };
    struct store_effect e[3] = { kit_effect("a", NULL, "1"), kit_effect("a", "1", "2"), kit_effect("a", "2", NULL) };
    struct store_entry entry[3];
    struct bytes key = bytes_str("a");

    order_next = 0;
    for (uintptr_t i = 0; i < 3; i++) {
        entry[i] = kit_entry(i + 1, "committed", &e[i], 1);
        r[2 * i] = (struct store_request){ .kind = STORE_COMMIT, .entries = &entry[i], .entry_count = 1 };
        r[2 * i + 1] = (struct store_request){ .kind = STORE_GET, .keys = &key, .key_count = 1 };
    }
    for (uintptr_t i = 0; i < 6; i++) {
        r[i].done = done_in_order;
        r[i].owner = (void *)i;
        k->store->ops->submit(k->store, &r[i]);
    }
    while (order_next < 6) {
        sem_wait(&k->woken);
        k->store->ops->poll(k->store);
    }
    assert_memory_equal(r[1].pairs[0].value.value.data, "1", 1);
    assert_memory_equal(r[3].pairs[0].value.value.data, "2", 1);
    assert_false(r[5].pairs[0].value.present);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(r[i].why.err, OK);
        store_request_fini(&r[i]);
    }
}

static void close_finishes_what_was_submitted(void **state)
{
    struct kit *k = *state;
    struct store_effect e = kit_effect("last", NULL, "words");
    struct store_entry entry = kit_entry(1, "committed", &e, 1);
    struct store_request r = { .kind = STORE_COMMIT, .entries = &entry, .entry_count = 1, .done = done_in_order };

    order_next = 0;
    k->store->ops->submit(k->store, &r);
    kit_close(k);
    assert_int_equal(order_next, 1);
    reopen(k);
    assert_true(kit_holds(k, "last", "words"));
}

static void neighbours_that_change_the_same_key_leave_the_last_image(void **state)
{
    enum { MANY = 150 };
    struct kit *k = *state;
    struct store_request r[MANY];
    struct store_effect e[MANY];
    struct store_entry entry[MANY];
    char text[MANY + 1][16];

    order_next = 0;
    for (int i = 0; i <= MANY; i++)
        snprintf(text[i], sizeof text[i], "%d", i);
    for (uintptr_t i = 0; i < MANY; i++) {
        e[i] = kit_effect("counter", i == 0 ? NULL : text[i - 1], text[i]);
        entry[i] = kit_entry(i + 1, "committed", &e[i], 1);
        r[i] = (struct store_request){
            .kind = STORE_COMMIT, .entries = &entry[i], .entry_count = 1, .done = done_in_order, .owner = (void *)i
        };
        k->store->ops->submit(k->store, &r[i]);
    }
    while (order_next < MANY) {
        sem_wait(&k->woken);
        k->store->ops->poll(k->store);
    }
    assert_true(kit_holds(k, "counter", text[MANY - 1]));
    assert_int_equal(kit_kept(k, MANY), 1);
}

static void commits_survive_a_reopen_byte_for_byte(void **state)
{
    struct kit *k = *state;
    struct bytes binary = bytes_of("\0\xff\n'", 4);
    struct store_effect e[] = { kit_effect("empty", NULL, ""),
                                kit_effect("gone", NULL, "x"),
                                kit_effect("gone", "x", NULL),
                                { 'k', binary, { 0 }, { true, binary } } };
    struct store_entry entry = kit_entry(9, "committed", e, 4);
    struct store_request get = { .kind = STORE_GET, .keys = &binary, .key_count = 1 };

    assert_int_equal(kit_commit(k, &entry, NULL), OK);
    reopen(k);
    assert_true(kit_holds(k, "empty", ""));
    assert_true(kit_holds(k, "gone", NULL));
    assert_int_equal(kit_ask(k, &get), OK);
    assert_true(get.pairs[0].value.present && bytes_equal(get.pairs[0].value.value, binary));
    store_request_fini(&get);
    assert_int_equal(kit_kept(k, 9), 4);
    assert_int_equal(k->store->ops->facts(k->store)->txn_next, 10);
}

static void reserved_numbers_are_not_given_out_again(void **state)
{
    struct kit *k = *state;
    struct store_request r = { .kind = STORE_COMMIT, .txn_reserve = 1000 };

    assert_int_equal(kit_ask(k, &r), OK);
    r = (struct store_request){ .kind = STORE_COMMIT, .txn_reserve = 500 };
    assert_int_equal(kit_ask(k, &r), OK);
    reopen(k);
    assert_int_equal(k->store->ops->facts(k->store)->txn_next, 1001);
}

static void scan_answers_in_byte_order_within_the_prefix(void **state)
{
    struct kit *k = *state;
    const char *keys[] = { "a", "acct:", "acct:1", "acct:10", "acct:2", "acct;", "b" };
    struct store_request r = { .kind = STORE_SCAN, .prefix = bytes_str("acct:"), .count_max = 2 };

    for (uint64_t i = 0; i < 7; i++)
        assert_int_equal(kit_put(k, i + 1, "committed", keys[6 - i], NULL, "v"), OK);
    assert_int_equal(kit_ask(k, &r), OK);
    assert_int_equal(r.pair_count, 2);
    assert_true(r.more && bytes_equal(r.pairs[1].key, bytes_str("acct:1")));
    store_request_fini(&r);
    r.from = bytes_str("acct:10");
    r.count_max = 100000;
    assert_int_equal(kit_ask(k, &r), OK);
    assert_int_equal(r.pair_count, 2);
    assert_true(!r.more && bytes_equal(r.pairs[1].key, bytes_str("acct:2")));
    store_request_fini(&r);
}

static void answers_are_bounded(void **state)
{
    struct kit *k = *state;
    char *big = calloc(1, 16 * 1024 * 1024);
    struct bytes keys[5];
    struct store_effect e = { 'k', bytes_str("big"), { 0 }, { true, bytes_of(big, 16 * 1024 * 1024) } };
    struct store_entry entry = kit_entry(1, "committed", &e, 1);
    struct store_request get = { .kind = STORE_GET, .keys = keys, .key_count = 5 };

    assert_int_equal(kit_commit(k, &entry, NULL), OK);
    for (int i = 0; i < 5; i++)
        keys[i] = bytes_str("big");
    assert_int_equal(kit_ask(k, &get), ERR_LIMIT);
    assert_null(get.pairs);
    get.key_count = 1;
    assert_int_equal(kit_ask(k, &get), OK);
    assert_int_equal(get.pairs[0].value.value.len, 16 * 1024 * 1024);
    store_request_fini(&get);
    free(big);
}

static void history_is_told_newest_first(void **state)
{
    struct kit *k = *state;
    struct store_request list = { .kind = STORE_LIST, .count_max = 2 };
    struct store_request show = { .kind = STORE_SHOW, .txn = 2 };
    struct store_entry failed = kit_entry(3, "TIMEOUT", NULL, 0);

    failed.history.error = "used its 50 ms";
    failed.history.graft = NULL;
    assert_int_equal(kit_put(k, 1, "committed", "a", NULL, "1"), OK);
    assert_int_equal(kit_put(k, 2, "committed", "a", "1", NULL), OK);
    assert_int_equal(kit_commit(k, &failed, NULL), OK);
    assert_int_equal(kit_ask(k, &list), OK);
    assert_int_equal(list.row_count, 2);
    assert_true(list.more);
    assert_int_equal(list.rows[0].txn, 3);
    assert_string_equal(list.rows[0].error, "used its 50 ms");
    assert_null(list.rows[0].graft);
    assert_string_equal(list.rows[1].graft, "bank");
    store_request_fini(&list);
    list.txn = 2;
    assert_int_equal(kit_ask(k, &list), OK);
    assert_int_equal(list.row_count, 1);
    assert_false(list.more);
    store_request_fini(&list);
    assert_int_equal(kit_ask(k, &show), OK);
    assert_int_equal(show.effect_count, 1);
    assert_true(show.effects[0].before.present && !show.effects[0].after.present);
    assert_int_equal(show.rows[0].ended_us, 2000000);
    store_request_fini(&show);
}

static void grafts_are_kept_by_name(void **state)
{
    struct kit *k = *state;
    struct store_request put = { .kind = STORE_GRAFT_PUT, .graft = { "bank", "1.0", "ab12", 77, 1000, 5 } };
    struct store_request list = { .kind = STORE_GRAFT_LIST };

    assert_int_equal(kit_ask(k, &put), OK);
    put.graft.size = 78;
    assert_int_equal(kit_ask(k, &put), OK);
    reopen(k);
    assert_int_equal(kit_ask(k, &list), OK);
    assert_int_equal(list.graft_count, 1);
    assert_string_equal(list.grafts[0].sha256, "ab12");
    assert_int_equal(list.grafts[0].size, 78);
    store_request_fini(&list);
    put.kind = STORE_GRAFT_DEL;
    assert_int_equal(kit_ask(k, &put), OK);
    assert_int_equal(kit_ask(k, &list), OK);
    assert_int_equal(list.graft_count, 0);
    store_request_fini(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(reads_see_what_was_submitted_before),
        CASE(close_finishes_what_was_submitted),
        CASE(neighbours_that_change_the_same_key_leave_the_last_image),
        CASE(commits_survive_a_reopen_byte_for_byte),
        CASE(reserved_numbers_are_not_given_out_again),
        CASE(scan_answers_in_byte_order_within_the_prefix),
        CASE(answers_are_bounded),
        CASE(history_is_told_newest_first),
        CASE(grafts_are_kept_by_name),
    };

    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
