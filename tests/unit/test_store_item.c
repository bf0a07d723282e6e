/*
 * Timers behind txn/store.h, in either engine; and in the real one what regards events, timers and files together:
 * plain tables, backups, a database of the second release, and what is kept of them with the history.
 */
#include "tests/engine_file.h"
#include "tests/store_format_2.h"
#include "txn/timer_image.h"

static void timers_are_kept_and_told_in_byte_order(void **state)
{
    struct world *w = *state;
    const char *a = "at five", *b = "at six";
    struct store_effect e[] = { effect(RESOURCE_TIMER, "4.2", NULL, b), effect(RESOURCE_TIMER, "4.1", NULL, a),
                                kit_effect("4.3", NULL, "no timer") };
    struct store_effect fired[] = { effect(RESOURCE_TIMER, "4.2", b, NULL) };
    struct store_request r = { .kind = STORE_SCAN, .resource = RESOURCE_TIMER, .count_max = 9 };

    store(w, 4, "committed", 0, e, 3);
    reopen(w);
    assert_true(timer_holds(w, "4.1", a) && timer_holds(w, "4.2", b) && timer_holds(w, "4.3", NULL));
    ask_ok(w, &r);
    assert_int_equal(r.pair_count, 2);
    assert_true(bytes_equal(r.pairs[0].key, bytes_str("4.1")) && bytes_equal(r.pairs[1].value.value, bytes_str(b)));
    store_request_fini(&r);
    store(w, 5, "committed", 0, fired, 1);
    assert_true(timer_holds(w, "4.2", NULL));
}

static void a_timer_has_its_past_and_its_dependents(void **state)
{
    struct world *w = *state;
    const char *a = "at one", *b = "at two";
    struct store_effect armed[] = { effect(RESOURCE_TIMER, "1.1", NULL, a) };
    struct store_effect again[] = { effect(RESOURCE_TIMER, "1.1", a, b), kit_effect("1.1", NULL, "another thing") };
    struct store_effect fired[] = { effect(RESOURCE_TIMER, "1.1", b, NULL) };
    struct store_effect kv[] = { kit_effect("1.1", "another thing", "changed") };

    store(w, 1, "committed", 0, armed, 1);
    store(w, 2, "committed", 0, again, 2);
    store(w, 3, "committed", 0, fired, 1);
    assert_string_equal(changed_by(w, STORE_BLAME, RESOURCE_TIMER, "1.1"), "3 2 1 ");
    assert_string_equal(changed_by(w, STORE_LIST, RESOURCE_TIMER, "1.1"), "3 2 1 ");
    assert_string_equal(changed_by(w, STORE_BLAME, RESOURCE_KV, "1.1"), "2 ");
    assert_string_equal(dependents(w, 1), "3 2 ");
    store(w, 4, "committed", 0, kv, 1);
    assert_string_equal(dependents(w, 2), "4 3 ");
    assert_string_equal(dependents(w, 3), "");
}

static void a_timer_goes_back_with_its_transaction(void **state)
{
    struct world *w = *state;
    const char *a = "at one", *b = "at two", *c = "at three";
    struct store_effect old[] = { effect(RESOURCE_TIMER, "1.1", NULL, a), effect(RESOURCE_TIMER, "1.2", NULL, a) };
    struct store_effect e[] = { effect(RESOURCE_TIMER, "1.1", a, b), effect(RESOURCE_TIMER, "2.1", NULL, c),
                                effect(RESOURCE_TIMER, "1.2", a, NULL), effect(RESOURCE_TIMER, "1.1", b, c) };

    store(w, 1, "committed", 0, old, 2);
    for (int i = 0; i < 2; i++) {
        store(w, 2 + (uint64_t)i, NULL, 0, e, 4);
        if (i == 0)
            assert_int_equal(undo(w, 2), OK);
        else
            reopen(w);
        assert_true(timer_holds(w, "1.1", a) && timer_holds(w, "1.2", a) && timer_holds(w, "2.1", NULL));
        assert_string_equal(changed_by(w, STORE_BLAME, RESOURCE_TIMER, "1.1"), "1 ");
        assert_string_equal(changed_by(w, STORE_LIST, RESOURCE_TIMER, "2.1"), "");
    }
}

/* --- the real engine alone --- */

static void sqlite3_reads_timers_events_and_changes(void **state)
{
    struct world *w = *state;
    struct timer t = { .due_us = 5000000,
                       .uid = 1000,
                       .parked = true,
                       .function = bytes_str("bank.remind"),
                       .args = bytes_of("\0\0\0\0", 4) };
    struct store_effect e[] = { effect(RESOURCE_TIMER, "1.1", NULL, NULL), event("orders", "1.2", NULL, "paid") };
    struct buf b;
    const char *path = kit_path(&w->kit, "graftd.db");

    buf_init(&b, TIMER_IMAGE_MAX);
    assert_true(timer_image_add(&b, &t));
    e[0].after = (struct image){ true, buf_bytes(&b) };
    store(w, 1, "committed", 0, e, 2);
    buf_fini(&b);
    shut(w);
    assert_int_equal(select_number(path,
                                   "SELECT count(*) FROM timer WHERE due_us = 5000000 AND uid = 1000 AND parked = 1 "
                                   "AND function = 'bank.remind'"),
                     1);
    assert_int_equal(select_number(path,
                                   "SELECT count(*) FROM timers WHERE id = '1.1' AND due = '1970-01-01 00:00:05'"),
                     1);
    assert_int_equal(select_number(path, "SELECT count(*) FROM events WHERE topic = 'orders' AND data = 'paid'"), 1);
    assert_int_equal(select_number(path, "SELECT count(*) FROM changes WHERE resource = 'e' AND after = 'paid'"), 1);
    must_open(w);
}

static int64_t heads(struct world *w)
{
    int64_t n;

    shut(w);
    n = select_number(kit_path(&w->kit, "graftd.db"), "SELECT count(*) FROM head");
    must_open(w);
    return n;
}

static void what_was_kept_of_files_and_trails_goes_with_the_history(void **state)
{
    struct world *w = *state;
    struct store_effect e = wrote(w, 1, "a", 1, "one"), timer[] = { effect(RESOURCE_TIMER, "2.1", NULL, "t") };

    commit_files(w, 1, &e, 1);
    e = wrote(w, 2, "a", 1, "two");
    commit_files(w, 2, &e, 1);
    store(w, 3, "committed", 0, timer, 1);
    assert_true(hidden(w) > 0);
    assert_int_equal(heads(w), 2);
    reopen_keeping(w, UINT64_MAX, UINT64_MAX, 1);
    while (kit_kept(&w->kit, 3) != -1 || hidden(w) > 0)
        usleep(20000);
    usleep(50000);
    assert_int_equal(heads(w), 0);
    assert_true(file_holds(w, "a", "two") && timer_holds(w, "2.1", "t"));
    assert_string_equal(changed_by(w, STORE_BLAME, RESOURCE_FILE, "a"), "");
}

static void a_backup_has_events_and_timers_and_leaves_files_alone(void **state)
{
    struct world *w = *state;
    struct store_effect e[] = { event("t", "1.1", NULL, "told"), effect(RESOURCE_TIMER, "1.2", NULL, "armed") };
    struct store_effect f = wrote(w, 2, "a", 1, "content");
    struct store_request backup = { .kind = STORE_BACKUP, .path = kit_path(&w->kit, "copy") };
    struct world copy = { .real = true };

    store(w, 1, "committed", 0, e, 2);
    store(w, 2, NULL, 0, &f, 1);
    assert_int_equal(apply(w, 2), OK);
    ask_ok(w, &backup);
    assert_true(file_holds(w, "a", "content"));
    kit_init(&copy.kit);
    assert_int_equal(rename(backup.path, kit_path(&copy.kit, "graftd.db")), 0);
    must_open(&copy);
    assert_int_equal(facts(&copy)->undone, 0);
    assert_int_equal(kit_kept(&copy.kit, 2), 0);
    assert_string_equal(told(&copy, "t", 0, 9), "1:told ");
    assert_true(timer_holds(&copy, "1.2", "armed"));
    tell(&copy, 3, "t", "goes on", 1);
    assert_string_equal(told(&copy, "t", 1, 9), "2:goes on ");
    kit_fini(&copy.kit);
    store(w, 2, "committed", 1, NULL, 0);
    reopen(w);
    assert_true(file_holds(w, "a", "content"));
}

static void an_earlier_release_s_database_gets_the_new_resources(void **state)
{
    struct world *w = *state;
    struct store_request at = { .kind = STORE_AT, .txn = 1, .key = bytes_str("a") };
    struct store_request idem = { .kind = STORE_IDEM, .uid = 1000, .token = bytes_str("token") };
    struct store_effect e[] = { event("t", "1", NULL, "told"), effect(RESOURCE_TIMER, "101.1", NULL, "armed"),
                                kit_effect("a", "two", "new") };
    struct store_effect f;

    shut(w);
    make_format_2(&w->kit);
    must_open(w);
    assert_int_equal(facts(w)->undone, 1);
    assert_true(kit_holds(&w->kit, "a", "two") && kit_holds(&w->kit, "b", NULL));
    store(w, 101, "committed", 0, e, 3);
    f = wrote(w, 102, "f", 1, "content");
    commit_files(w, 102, &f, 1);
    reopen(w);
    assert_string_equal(changed_by(w, STORE_BLAME, RESOURCE_KV, "a"), "101 2 1 ");
    assert_string_equal(changed_by(w, STORE_BLAME, RESOURCE_KV, "b"), "3 ");
    assert_string_equal(changed_by(w, STORE_BLAME, RESOURCE_FILE, "f"), "102 ");
    assert_string_equal(dependents(w, 1), "101 2 ");
    ask_ok(w, &at);
    assert_true(bytes_equal(at.pairs[0].value.value, bytes_str("one")));
    store_request_fini(&at);
    ask_ok(w, &idem);
    assert_true(idem.idem.found && bytes_equal(idem.idem.reply, bytes_str("reply")));
    store_request_fini(&idem);
    assert_string_equal(told(w, "t", 0, 9), "1:told ");
    assert_true(timer_holds(w, "101.1", "armed") && file_holds(w, "f", "content"));
    shut(w);
    assert_int_equal(select_number(kit_path(&w->kit, "graftd.db"), "PRAGMA old.user_version"), 4);
    must_open(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(timers_are_kept_and_told_in_byte_order),
        BOTH(a_timer_has_its_past_and_its_dependents),
        BOTH(a_timer_goes_back_with_its_transaction),
        REAL(sqlite3_reads_timers_events_and_changes),
        REAL(what_was_kept_of_files_and_trails_goes_with_the_history),
        REAL(a_backup_has_events_and_timers_and_leaves_files_alone),
        REAL(an_earlier_release_s_database_gets_the_new_resources),
    };

    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
