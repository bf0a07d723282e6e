/*
 * Keys that are folded into their table later than they are committed (txn/sqlite_fold.c): no reader can tell, nothing
 * is lost by a crash, a backup has them, and what the history forgets waits for them.
 */
#include "tests/fold_kit.h"
#include "tests/store_format_2.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <sys/wait.h>

enum { STEPS = 1200, FOLD_PAUSE_US = 30000 /* longer than the store's quiet moment */ };

static void reopen(struct kit *k)
{
    struct failure why = { 0 };

    kit_close(k);
    if (kit_open(k, &why) != OK)
        fail_msg("%s", why.text);
}

static int setup(void **state)
{
    static struct kit kit;

    kit_init(&kit);
    reopen(&kit);
    *state = &kit;
    alarm(300);
    return 0;
}

static int teardown(void **state)
{
    kit_fini(*state);
    return 0;
}

/* From one commit in a sweep to hundreds between two. */
static void choose_bounds(struct kit *k, struct chance *c)
{
    static const uint64_t bytes[] = { 1, 1000, 5000, 20000, 0 };

    k->options.fresh_bytes = bytes[chance_below(c, 5)];
    k->options.redo_bytes = bytes[chance_below(c, 5)];
    k->options.fold_keys = 1;
}

/* A key has a row in one table: there, or gone. The store is closed. */
static void each_key_is_in_one_place(struct kit *k)
{
    assert_int_equal(select_number(kit_path(k, "graftd.db"), "SELECT count(*) FROM old.kv JOIN old.gone USING(key)"),
                     0);
}

static void nobody_can_tell_what_is_folded(void **state)
{
    static struct fold_model m;
    struct kit *k = *state;
    uint64_t seed = fold_seed();
    struct chance c = { seed + 1 };
    const char *wrong;

    fold_init(&m, seed);
    for (int i = 0; i < STEPS; i++) {
        if (chance_one_in(&c, 50)) {
            kit_close(k);
            each_key_is_in_one_place(k);
            choose_bounds(k, &c);
            reopen(k);
            fold_recovered(&m);
        }
        fold_plan(&m);
        assert_int_equal(fold_ask(&m, k), OK);
        fold_apply(&m);
        if (chance_one_in(&c, 60))
            usleep(FOLD_PAUSE_US);
        wrong = fold_wrong(&m, k, &c, true);
        if (wrong != NULL)
            fail_msg("SEED=%llu: step %d: %s is wrong", (unsigned long long)seed, i, wrong);
    }
}

/* A process that does this and dies without closing its store. */
static void in_a_process_that_dies(struct kit *k, void (*work)(struct kit *k))
{
    int status;
    pid_t child;

    kit_close(k);
    child = fork();
    if (child == 0) {
        struct failure why = { 0 };
        CHECK(kit_open(k, &why) == OK);
        work(k);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static const char *number(uint64_t n)
{
    static char text[4][24];
    static unsigned turn;
    char *t = text[turn++ % 4];

    snprintf(t, sizeof text[0], "%llu", (unsigned long long)n);
    return t;
}

enum { MANY = 500 };

static void put_many(struct kit *k)
{
    for (uint64_t n = 1; n <= MANY; n++)
        CHECK(kit_put(k, n, "committed", number(n), NULL, "value") == OK);
    CHECK(kit_put(k, MANY + 1, "committed", "1", "value", NULL) == OK);
}

static void many_are_there(struct kit *k)
{
    assert_true(kit_holds(k, "1", NULL));
    for (uint64_t n = 2; n <= MANY; n++)
        assert_true(kit_holds(k, number(n), "value"));
}

static int64_t rows_of(struct kit *k, const char *file, const char *table)
{
    char sql[128];

    snprintf(sql, sizeof sql, "SELECT count(*) FROM old.%s", table);
    return select_number(kit_path(k, file), sql);
}

static void a_history_that_keeps_nothing_keeps_what_a_crash_needs(void **state)
{
    struct kit *k = *state;

    k->options.history_ms = k->options.history_bytes = 0;
    k->options.redo_bytes = 1 << 20;
    in_a_process_that_dies(k, put_many);
    reopen(k);
    many_are_there(k);
    while (kit_kept(k, MANY + 1) != -1)
        usleep(FOLD_PAUSE_US);
    many_are_there(k);
    kit_close(k);
    assert_int_equal(rows_of(k, "graftd.db", "kv"), MANY - 1);
    assert_int_equal(rows_of(k, "graftd.db", "txn"), 0);
    assert_int_equal(rows_of(k, "graftd.db", "undo"), 0);
    assert_int_equal(rows_of(k, "graftd.db", "gone"), 0);
    reopen(k);
}

static void after_a_clean_stop_the_table_has_all(void **state)
{
    struct kit *k = *state;

    put_many(k);
    kit_close(k);
    assert_int_equal(rows_of(k, "graftd.db", "kv"), MANY - 1);
    assert_int_equal(rows_of(k, "graftd.db", "gone"), 1);
    assert_int_equal(select_number(kit_path(k, "graftd.db"),
                                   "SELECT count(*) FROM old.kv JOIN old.undo USING(txn, seq) "
                                   "WHERE value IS NOT after OR kv.key <> undo.key"),
                     0);
    reopen(k);
}

static void a_backup_has_what_is_fresh(void **state)
{
    struct kit *k = *state;
    struct store_request r = { .kind = STORE_BACKUP };
    char path[512];
    struct kit copy;

    put_many(k);
    snprintf(path, sizeof path, "%s", kit_path(k, "copy"));
    r.path = path;
    assert_int_equal(kit_ask(k, &r), OK);
    store_request_fini(&r);
    assert_int_equal(rows_of(k, "copy", "kv"), MANY - 1);
    assert_int_equal(rows_of(k, "copy", "gone"), 1);
    kit_init(&copy);
    assert_int_equal(rename(path, kit_path(&copy, "graftd.db")), 0);
    reopen(&copy);
    many_are_there(&copy);
    assert_int_equal(kit_put(&copy, MANY + 2, "committed", "2", "value", "new"), OK);
    assert_true(kit_holds(&copy, "2", "new"));
    kit_fini(&copy);
}

/* Transaction 3 undoes 2 when both are fresh. */
static void undo_fresh(struct kit *k)
{
    struct store_effect back[] = { kit_effect("a", "two", "one"), kit_effect("b", "two", NULL) };
    struct store_effect two[] = { kit_effect("a", "one", "two"), kit_effect("b", NULL, "two") };
    struct store_entry e = kit_entry(2, "committed", two, 2);

    CHECK(kit_put(k, 1, "committed", "a", NULL, "one") == OK);
    CHECK(kit_commit(k, &e, NULL) == OK);
    e = kit_entry(3, "committed", back, 2);
    e.history.undoes = 2;
    CHECK(kit_commit(k, &e, NULL) == OK);
    CHECK(kit_holds(k, "a", "one") && kit_holds(k, "b", NULL));
}

static void check_undone(struct kit *k)
{
    struct store_request show = { .kind = STORE_SHOW, .txn = 2 }, later = { .kind = STORE_DEPENDENTS, .txn = 1 };
    struct store_request at = { .kind = STORE_AT, .txn = 2, .key = bytes_str("b") };

    assert_true(kit_holds(k, "a", "one") && kit_holds(k, "b", NULL));
    assert_int_equal(kit_ask(k, &show), OK);
    assert_int_equal(show.rows[0].undone_by, 3);
    assert_int_equal(kit_ask(k, &later), OK);
    assert_int_equal(later.row_count, 0);
    assert_int_equal(kit_ask(k, &at), OK);
    assert_true(bytes_equal(at.pairs[0].value.value, bytes_str("two")));
    store_request_fini(&show);
    store_request_fini(&later);
    store_request_fini(&at);
}

static void what_is_only_fresh_can_be_undone(void **state)
{
    struct kit *k = *state;

    in_a_process_that_dies(k, undo_fresh);
    reopen(k);
    check_undone(k);
    reopen(k);
    check_undone(k);
}

/* An early write changes what is fresh, and neither ends nor is undone before the crash. */
static void early_over_fresh(struct kit *k)
{
    CHECK(kit_put(k, 1, "committed", "a", NULL, "one") == OK);
    CHECK(kit_put(k, 2, "committed", "b", NULL, "one") == OK);
    CHECK(kit_put(k, 3, "committed", "b", "one", NULL) == OK);
    CHECK(kit_put(k, 4, NULL, "a", "one", NULL) == OK);
    CHECK(kit_put(k, 5, NULL, "b", NULL, "five") == OK);
    CHECK(kit_holds(k, "a", NULL) && kit_holds(k, "b", "five"));
}

static void an_early_write_over_what_is_fresh_goes_back_to_it(void **state)
{
    struct kit *k = *state;

    in_a_process_that_dies(k, early_over_fresh);
    reopen(k);
    assert_int_equal(k->store->ops->facts(k->store)->undone, 2);
    assert_true(kit_holds(k, "a", "one") && kit_holds(k, "b", NULL));
    kit_close(k);
    assert_int_equal(rows_of(k, "graftd.db", "kv"), 1);
    assert_int_equal(rows_of(k, "graftd.db", "gone"), 1);
    reopen(k);
}

static void an_early_write_that_is_undone_leaves_one_row(void **state)
{
    struct kit *k = *state;
    struct store_request undo = { .kind = STORE_UNDO, .txn = 4, .history = kit_entry(4, "ABORTED", NULL, 0).history };

    assert_int_equal(kit_put(k, 1, "committed", "a", NULL, "one"), OK);
    assert_int_equal(kit_put(k, 2, "committed", "a", "one", NULL), OK);
    reopen(k); /* a is gone, in the table of what is */
    assert_int_equal(kit_put(k, 3, "committed", "a", NULL, "three"), OK);
    assert_int_equal(kit_put(k, 4, NULL, "a", "three", "four"), OK);
    assert_int_equal(kit_ask(k, &undo), OK);
    assert_true(kit_holds(k, "a", "three"));
    kit_close(k);
    each_key_is_in_one_place(k);
    reopen(k);
    assert_true(kit_holds(k, "a", "three"));
}

/* A transaction that began long before the others, and commits behind a sweep that knew nothing of it. */
static void commit_an_old_one(struct kit *k)
{
    CHECK(kit_put(k, 10, "committed", "a", NULL, "ten") == OK);
    CHECK(kit_put(k, 11, "committed", "b", NULL, "eleven") == OK);
}

static void commit_a_lower_one(struct kit *k) { CHECK(kit_put(k, 2, "committed", "a", "ten", "two") == OK); }

static void a_lower_number_that_commits_later_is_found(void **state)
{
    struct kit *k = *state;

    commit_an_old_one(k);
    in_a_process_that_dies(k, commit_a_lower_one); /* a clean stop before it: all else is folded */
    reopen(k);
    assert_true(kit_holds(k, "a", "two") && kit_holds(k, "b", "eleven"));
}

static void touch_format_3(struct kit *k)
{
    CHECK(kit_holds(k, "2", "of format 3"));
    CHECK(kit_put(k, MANY + 2, "committed", "3", "value", "later") == OK);
}

/* Its keys are what its table says, whatever its records say: that release wrote both at once. */
static void a_database_of_format_3_is_taken_as_it_is(void **state)
{
    struct kit *k = *state;
    struct store_request blame = { .kind = STORE_BLAME, .key = bytes_str("3"), .count_max = 9 };

    put_many(k);
    kit_close(k);
    change_database(kit_path(k, "graftd.db"),
                    "DELETE FROM meta WHERE name LIKE 'redo%'; DROP TABLE root; PRAGMA user_version = 3;"
                    "UPDATE kv SET value = CAST('of format 3' AS BLOB) WHERE key = CAST('2' AS BLOB)");
    in_a_process_that_dies(k, touch_format_3);
    reopen(k);
    assert_true(kit_holds(k, "2", "of format 3") && kit_holds(k, "3", "later") && kit_holds(k, "4", "value"));
    assert_int_equal(kit_ask(k, &blame), OK);
    assert_int_equal(blame.row_count, 2);
    assert_true(blame.rows[0].txn == MANY + 2 && blame.rows[1].txn == 3);
    store_request_fini(&blame);
    kit_close(k);
    assert_int_equal(select_number(kit_path(k, "graftd.db"), "PRAGMA old.user_version"), 4);
    reopen(k);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(nobody_can_tell_what_is_folded),
        CASE(after_a_clean_stop_the_table_has_all),
        CASE(a_history_that_keeps_nothing_keeps_what_a_crash_needs),
        CASE(a_backup_has_what_is_fresh),
        CASE(what_is_only_fresh_can_be_undone),
        CASE(an_early_write_over_what_is_fresh_goes_back_to_it),
        CASE(an_early_write_that_is_undone_leaves_one_row),
        CASE(a_lower_number_that_commits_later_is_found),
        CASE(a_database_of_format_3_is_taken_as_it_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
