/*
 * The past, as the real store keeps it (T9): questions that can no longer be answered whole are refused, undo and redo
 * are told, and how long and how much is kept before it is forgotten. That its answers are true:
 * test_store_past_model.c.
 */
#include "tests/store_case.h"

#include <time.h>

static void reopen_with(struct kit *k, uint64_t history_ms, uint64_t history_bytes)
{
    struct failure why = { 0 };

    kit_close(k);
    k->options.history_ms = history_ms;
    k->options.history_bytes = history_bytes;
    if (kit_open(k, &why) != OK)
        fail_msg("%s", why.text);
}

static enum err at(struct kit *k, const char *key, uint64_t txn, const char *value)
{
    struct store_request r = { .kind = STORE_AT, .key = bytes_str(key), .txn = txn };
    struct image want = kit_image(value);
    enum err err = kit_ask(k, &r);

    if (err == OK)
        assert_true(r.pairs[0].value.present == want.present && bytes_equal(r.pairs[0].value.value, want.value));
    else
        assert_true(r.why.text[0] != '\0');
    store_request_fini(&r);
    return err;
}

/* The ids, as text. */
static const char *blame(struct kit *k, const char *key)
{
    static char out[512];
    struct store_request r = { .kind = STORE_BLAME, .key = bytes_str(key), .count_max = 20 };

    assert_int_equal(kit_ask(k, &r), OK);
    out[0] = '\0';
    for (size_t i = 0; i < r.row_count; i++)
        snprintf(out + strlen(out), sizeof out - strlen(out), "%llu ", (unsigned long long)r.rows[i].txn);
    store_request_fini(&r);
    return out;
}

static enum err dependents(struct kit *k, uint64_t txn, size_t count)
{
    struct store_request r = { .kind = STORE_DEPENDENTS, .txn = txn };
    enum err err = kit_ask(k, &r);

    if (err == OK)
        assert_int_equal(r.row_count, count);
    store_request_fini(&r);
    return err;
}

/* 5 began before 6 and ended after it, so it is newer, but it is forgotten first. */
static void what_is_no_longer_whole_is_refused_and_not_guessed(void **state)
{
    struct kit *k = *state;

    assert_int_equal(kit_put(k, 6, "committed", "k", NULL, "six"), OK);
    assert_int_equal(kit_put(k, 5, "committed", "k", "six", "five"), OK);
    assert_int_equal(kit_put(k, 8, "committed", "k", "five", "eight"), OK);
    assert_int_equal(kit_put(k, 9, "committed", "other", NULL, "nine"), OK);
    assert_string_equal(blame(k, "k"), "8 5 6 ");
    assert_int_equal(at(k, "k", 6, "six"), OK);
    assert_int_equal(dependents(k, 6, 2), OK);
    reopen_with(k, UINT64_MAX, 500);
    while (kit_kept(k, 5) != -1) /* the alarm ends a test that waits in vain */
        usleep(20000);
    assert_int_equal(kit_kept(k, 6), 1);
    assert_int_equal(at(k, "k", 5, NULL), ERR_ABSENT);
    assert_int_equal(at(k, "k", 6, NULL), ERR_ABSENT);
    assert_int_equal(dependents(k, 6, 0), ERR_ABSENT);
    reopen_with(k, UINT64_MAX, UINT64_MAX);
    assert_int_equal(at(k, "k", 6, NULL), ERR_ABSENT);
    assert_int_equal(at(k, "k", 8, "eight"), OK);
    assert_int_equal(at(k, "other", 8, NULL), OK); /* as it was before its first change */
    assert_int_equal(dependents(k, 8, 0), OK);
    assert_string_equal(blame(k, "k"), "8 ");
}

static void a_key_that_is_gone_has_its_past_until_that_is_forgotten(void **state)
{
    struct kit *k = *state;
    struct store_entry entry = kit_entry(4, "committed", NULL, 0);

    assert_int_equal(kit_put(k, 1, "committed", "k", NULL, "made"), OK);
    assert_int_equal(kit_put(k, 2, "committed", "k", "made", NULL), OK);
    assert_string_equal(blame(k, "k"), "2 1 ");
    assert_int_equal(at(k, "k", 1, "made"), OK);
    assert_int_equal(at(k, "k", 2, NULL), OK);
    assert_int_equal(kit_put(k, 3, "committed", "k", NULL, "again"), OK);
    assert_string_equal(blame(k, "k"), "3 2 1 ");
    assert_int_equal(kit_put(k, 4, "committed", "k", "again", NULL), OK);
    reopen_with(k, 1, UINT64_MAX);
    while (kit_kept(k, 4) != -1)
        usleep(20000);
    reopen_with(k, UINT64_MAX, UINT64_MAX);
    entry.txn = 5;
    assert_int_equal(kit_commit(k, &entry, NULL), OK);
    assert_string_equal(blame(k, "k"), "");
    assert_int_equal(at(k, "k", 5, NULL), OK);
}

/* Longer than what is sorted at once. */
static void a_long_transaction_keeps_its_trails(void **state)
{
    enum { MANY = 150000, FEW = 7 };
    struct kit *k = *state;
    struct store_effect *e = calloc(MANY, sizeof *e);
    struct store_entry entry = kit_entry(2, "committed", e, MANY);
    static char texts[MANY][16], names[FEW][16];
    struct store_request r = { .kind = STORE_BLAME, .key = bytes_str("3"), .count_max = 5 };

    for (int i = 0; i < MANY; i++) {
        snprintf(texts[i], sizeof texts[i], "%d", i);
        snprintf(names[i % FEW], sizeof names[0], "%d", i % FEW);
        e[i] = kit_effect(names[i % FEW], i < FEW ? NULL : texts[i - FEW], texts[i]);
    }
    assert_int_equal(kit_commit(k, &entry, NULL), OK);
    assert_int_equal(kit_put(k, 3, "committed", "3", "149999", "last"), OK);
    assert_int_equal(kit_kept(k, 2), MANY);
    assert_int_equal(kit_ask(k, &r), OK);
    assert_int_equal(r.row_count, 2);
    assert_false(r.effects[1].before.present);
    assert_true(bytes_equal(r.effects[1].after.value, bytes_str(texts[MANY - 1 - (MANY - 1 - 3) % FEW])));
    store_request_fini(&r);
    assert_int_equal(dependents(k, 2, 1), OK);
    assert_true(kit_holds(k, "0", texts[MANY - 1 - (MANY - 1) % FEW]));
    free(e);
}

static void a_reply_is_kept_for_its_token_a_day_at_least(void **state)
{
    static const char *const tokens[] = { "of yesterday", "of an hour ago" };
    struct kit *k = *state;
    int64_t now = (int64_t)time(NULL) * 1000000;
    struct store_request ask = { .kind = STORE_IDEM, .uid = 1000 };

    for (uint64_t i = 0; i < 2; i++) {
        struct store_entry entry = kit_entry(i + 1, "committed", NULL, 0);
        entry.history.ended_us = now - (i == 0 ? 25 : 1) * INT64_C(3600000000);
        entry.idem_token = bytes_str(tokens[i]);
        entry.idem_reply = bytes_str("reply");
        assert_int_equal(kit_commit(k, &entry, NULL), OK);
    }
    ask.token = bytes_str(tokens[0]);
    assert_int_equal(kit_ask(k, &ask), OK);
    assert_true(ask.idem.found && ask.idem.txn == 1 && bytes_equal(ask.idem.reply, bytes_str("reply")));
    store_request_fini(&ask);
    ask.uid = 1001;
    assert_int_equal(kit_ask(k, &ask), OK);
    assert_false(ask.idem.found);
    ask.uid = 1000;
    reopen_with(k, 1, UINT64_MAX);
    do {
        usleep(20000);
        store_request_fini(&ask);
        assert_int_equal(kit_ask(k, &ask), OK);
    } while (ask.idem.found);
    ask.token = bytes_str(tokens[1]);
    assert_int_equal(kit_ask(k, &ask), OK);
    assert_true(ask.idem.found);
    store_request_fini(&ask);
    assert_int_equal(kit_kept(k, 2), -1);
}

/* What a client writes where a number is expected. */
static void numbers_that_never_were_are_absent(void **state)
{
    static const enum store_kind kinds[] = { STORE_LIST, STORE_SHOW, STORE_BLAME, STORE_AT, STORE_DEPENDENTS };
    struct kit *k = *state;

    assert_int_equal(kit_put(k, 1, "committed", "k", NULL, "v"), OK);
    for (size_t i = 0; i < 5; i++) {
        struct store_request r = { .kind = kinds[i], .txn = UINT64_MAX, .key = bytes_str("k"), .count_max = 3 };
        assert_int_equal(kit_ask(k, &r), i < 3 ? OK : ERR_ABSENT);
        assert_int_equal(r.row_count, i == 0 ? 1 : 0);
        store_request_fini(&r);
    }
}

static void a_redo_takes_back_the_undo(void **state)
{
    struct kit *k = *state;
    struct store_effect e[] = { kit_effect("k", NULL, "v"), kit_effect("k", "v", NULL) };
    struct store_request list = { .kind = STORE_LIST, .count_max = 9 };
    struct store_entry entry;

    for (uint64_t n = 1; n <= 4; n++) { /* 2 undoes 1, 3 undoes 2, 4 undoes 3 */
        entry = kit_entry(n, "committed", &e[(n + 1) % 2], 1);
        entry.history.undoes = n - 1;
        assert_int_equal(kit_commit(k, &entry, NULL), OK);
        assert_int_equal(dependents(k, 1, 0), n % 2 == 1 ? OK : ERR_BADARG);
    }
    assert_int_equal(kit_ask(k, &list), OK);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(list.rows[i].undone_by, i % 2 == 0 ? 0 : list.rows[i].txn + 1);
    store_request_fini(&list);
}

/* --- how much of the past --- */

/* Until the history no longer has it; the alarm ends a test that waits in vain. */
static void wait_forgotten(struct kit *k, uint64_t txn)
{
    while (kit_kept(k, txn) != -1)
        usleep(50000); /* longer than the store's quiet moment */
}

static void old_history_is_forgotten(void **state)
{
    struct kit *k = *state;
    struct store_entry entry;

    for (uint64_t n = 1; n <= 300; n++)
        assert_int_equal(kit_put(k, n, "committed", "a", "x", "y"), OK);
    kit_close(k);
    k->options.history_ms = 60000;
    reopen(k);
    entry = kit_entry(301, "committed", NULL, 0);
    entry.history.ended_us = (int64_t)time(NULL) * 1000000;
    assert_int_equal(kit_commit(k, &entry, NULL), OK);
    wait_forgotten(k, 300);
    assert_int_equal(kit_kept(k, 1), -1);
    assert_int_equal(kit_kept(k, 301), 0);
    assert_true(kit_holds(k, "a", "y"));
}

static void too_much_history_is_forgotten_from_the_oldest(void **state)
{
    struct kit *k = *state;
    char value[1001];
    struct store_request list = { .kind = STORE_LIST, .count_max = STORE_ROW_MAX };

    memset(value, 'v', 1000);
    value[1000] = '\0';
    kit_close(k);
    k->options.history_bytes = 100 * 1000;
    reopen(k);
    assert_int_equal(kit_put(k, 1, NULL, "open", NULL, value), OK);
    for (uint64_t n = 2; n <= 500; n++)
        assert_int_equal(kit_put(k, n, "committed", "a", value, value), OK);
    assert_int_equal(kit_ask(k, &list), OK);
    assert_in_range(list.row_count, 30, 60);
    assert_int_equal(list.rows[0].txn, 500);
    assert_int_equal(list.rows[list.row_count - 1].txn, 1); /* not ended: never forgotten */
    store_request_fini(&list);
    assert_int_equal(kit_kept(k, 1), 1);
}

static void a_large_transaction_is_forgotten_whole_though_in_steps(void **state)
{
    enum { MANY = 5000 };
    struct kit *k = *state;
    struct store_effect *e = calloc(MANY, sizeof *e);
    struct store_entry entry;

    for (int i = 0; i < MANY; i++)
        e[i] = kit_effect("a", "x", "x");
    entry = kit_entry(1, "committed", e, MANY);
    assert_int_equal(kit_commit(k, &entry, NULL), OK);
    assert_int_equal(kit_kept(k, 1), MANY);
    kit_close(k);
    k->options.history_ms = 1;
    reopen(k);
    for (uint64_t n = 2; n < 20; n++) {
        int kept = kit_kept(k, 1);
        assert_true(kept == -1 || kept == MANY);
        entry = kit_entry(n, "committed", NULL, 0);
        assert_int_equal(kit_commit(k, &entry, NULL), OK);
        if (n % 4 == 0)
            reopen(k);
    }
    assert_int_equal(kit_kept(k, 1), -1);
    entry = kit_entry(1, "committed", e, 1);
    entry.first_effect = MANY - 1;
    while (kit_commit(k, &entry, NULL) != OK) /* refused for as long as the old record with this number is there */
        usleep(50000);
    free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_is_no_longer_whole_is_refused_and_not_guessed),
        CASE(a_key_that_is_gone_has_its_past_until_that_is_forgotten),
        CASE(a_long_transaction_keeps_its_trails),
        CASE(a_reply_is_kept_for_its_token_a_day_at_least),
        CASE(numbers_that_never_were_are_absent),
        CASE(a_redo_takes_back_the_undo),
        CASE(old_history_is_forgotten),
        CASE(too_much_history_is_forgotten_from_the_oldest),
        CASE(a_large_transaction_is_forgotten_whole_though_in_steps),
    };

    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
