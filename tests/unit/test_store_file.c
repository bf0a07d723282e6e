/*
 * Files behind txn/store.h, in either engine: changed between the early write and the end (T4), taken back with their
 * transaction (T5), a conflict where somebody else was at work.
 */
#include "tests/engine_file.h"

static void files_change_between_the_early_write_and_the_end(void **state)
{
    struct world *w = *state;
    struct store_effect e[] = { made_directory("a/"), wrote(w, 4, "a/b.txt", 1, "hello") };
    struct file_image image;
    struct store_request dir = {
        .kind = STORE_SCAN, .resource = RESOURCE_FILE, .prefix = bytes_str("a/"), .count_max = 9
    };

    assert_false(standing(w, "a/b.txt", &image).present);
    store(w, 4, NULL, 0, e, 2);
    assert_false(has_directory(w, "a/"));
    assert_int_equal(apply(w, 4), OK);
    assert_true(file_holds(w, "a/b.txt", "hello"));
    store(w, 4, "committed", 2, NULL, 0);
    assert_int_equal(hidden(w), 0);
    reopen(w);
    assert_int_equal(facts(w)->undone, 0);
    assert_true(file_holds(w, "a/b.txt", "hello"));
    assert_true(standing(w, "a/b.txt", &image).present);
    assert_true(image.kind == FILE_STANDING && image.size == 5 && bytes_equal(image.origin, bytes_str("a/b.txt")));
    assert_true(standing(w, "a/", &image).present && image.kind == FILE_DIRECTORY);
    ask_ok(w, &dir);
    assert_int_equal(dir.pair_count, 1);
    assert_true(bytes_equal(dir.pairs[0].key, bytes_str("a/b.txt")));
    store_request_fini(&dir);
    dir.prefix = bytes_str("nothing/");
    ask_ok(w, &dir);
    assert_int_equal(dir.pair_count, 0);
    store_request_fini(&dir);
}

static void content_on_its_way_is_read_by_who_wrote_it(void **state)
{
    struct world *w = *state;
    struct store_effect e = wrote(w, 4, "f", 1, "hello");
    struct store_request r = {
        .kind = STORE_FILE_READ, .txn = 4, .key = bytes_str("f"), .data = e.after.value, .offset = 1, .count_max = 3
    };
    struct store_request drop = { .kind = STORE_FILE_DROP, .txn = 4 };
    struct file_image image;

    ask_ok(w, &r);
    assert_true(bytes_equal(r.pairs[0].value.value, bytes_str("ell")));
    store_request_fini(&r);
    stage(w, 4, "f", 1, 5, " world");
    assert_true(file_image_read(e.after.value, &image));
    image.stage_len = 11;
    r.data = encoded(&image);
    r.offset = 4;
    r.count_max = 100;
    ask_ok(w, &r);
    assert_true(bytes_equal(r.pairs[0].value.value, bytes_str("o world")));
    store_request_fini(&r);
    ask_ok(w, &drop);
    assert_int_equal(hidden(w), 0);
    assert_true(file_holds(w, "f", NULL));
}

/* Written, appended to, removed, made: applied or not, by request or by recovery. */
static void files_go_back_with_their_transaction(void **state)
{
    struct world *w = *state;
    struct store_effect old[] = { wrote(w, 1, "a", 1, "old a"), wrote(w, 1, "b", 2, "old b"),
                                  wrote(w, 1, "c", 3, "old c") };

    commit_files(w, 1, old, 3);
    for (uint64_t i = 0; i < 4; i++) {
        struct file_image before[3], after[3];
        struct store_effect e[5];
        uint64_t txn = 2 + i;
        standing(w, "a", &before[0]);
        standing(w, "b", &before[1]);
        standing(w, "c", &before[2]);
        e[0] = wrote(w, txn, "a", 1, "new a");
        e[1] = appended(w, txn, "b", 2, " and more");
        e[2] = removed(w, "c");
        e[3] = made_directory("d/");
        e[4] = wrote(w, txn, "d/e", 3, "made");
        store(w, txn, NULL, 0, e, 5);
        if (i < 2) {
            assert_int_equal(apply(w, txn), OK);
            assert_true(file_holds(w, "a", "new a") && file_holds(w, "b", "old b and more"));
            assert_true(file_holds(w, "c", NULL) && file_holds(w, "d/e", "made"));
        }
        if (i % 2 == 0) {
            assert_int_equal(undo(w, txn), OK);
            assert_int_equal(undo(w, txn), OK);
        } else {
            reopen(w);
            assert_int_equal(facts(w)->undone, 1);
        }
        assert_true(file_holds(w, "a", "old a") && file_holds(w, "b", "old b") && file_holds(w, "c", "old c"));
        assert_false(has_directory(w, "d/"));
        standing(w, "a", &after[0]);
        standing(w, "b", &after[1]);
        standing(w, "c", &after[2]);
        for (int k = 0; k < 3; k++)
            assert_true(before[k].mtime_ns == after[k].mtime_ns && before[k].mode == after[k].mode);
        assert_int_equal(hidden(w), 0);
        assert_string_equal(changed_by(w, STORE_BLAME, RESOURCE_FILE, "a"), "1 ");
    }
}

static void only_the_net_change_of_a_path_is_applied(void **state)
{
    struct world *w = *state;
    struct store_effect first = wrote(w, 1, "a", 1, "one"), second = wrote(w, 1, "a", 2, "two");
    struct store_effect none = wrote(w, 1, "b", 3, "taken away"), back = none, e[4];

    second.before = first.after;
    back.before = none.after;
    back.after = none.before;
    e[0] = first;
    e[1] = none;
    e[2] = second;
    e[3] = back;
    store(w, 1, NULL, 0, e, 3);
    store(w, 1, NULL, 3, &e[3], 1);
    assert_int_equal(apply(w, 1), OK);
    store(w, 1, "committed", 4, NULL, 0);
    assert_true(file_holds(w, "a", "two") && file_holds(w, "b", NULL));
    assert_int_equal(hidden(w), 0);
}

static void a_file_that_somebody_else_changed_is_a_conflict_and_stays(void **state)
{
    struct world *w = *state;
    struct store_effect old[] = { wrote(w, 1, "a", 1, "old"), wrote(w, 1, "b", 2, "old") }, e[2];
    size_t kept;

    commit_files(w, 1, old, 2);
    kept = hidden(w);
    e[0] = wrote(w, 2, "b", 1, "new");
    e[1] = wrote(w, 2, "a", 2, "new");
    store(w, 2, NULL, 0, e, 2);
    put_outside(w, "a", "theirs, longer");
    assert_int_equal(apply(w, 2), ERR_CONFLICT);
    assert_true(file_holds(w, "a", "theirs, longer") && file_holds(w, "b", "old"));
    assert_int_equal(undo(w, 2), OK);
    assert_true(file_holds(w, "a", "theirs, longer") && file_holds(w, "b", "old"));
    assert_int_equal(hidden(w), kept);
}

static void files_have_their_past_and_their_dependents(void **state)
{
    struct world *w = *state;
    struct store_effect e;

    e = wrote(w, 1, "a", 1, "one");
    commit_files(w, 1, &e, 1);
    e = wrote(w, 2, "a", 1, "two");
    commit_files(w, 2, &e, 1);
    e = wrote(w, 3, "b", 1, "other");
    commit_files(w, 3, &e, 1);
    e = removed(w, "a");
    commit_files(w, 4, &e, 1);
    assert_string_equal(changed_by(w, STORE_BLAME, RESOURCE_FILE, "a"), "4 2 1 ");
    assert_string_equal(changed_by(w, STORE_LIST, RESOURCE_FILE, "a"), "4 2 1 ");
    assert_string_equal(changed_by(w, STORE_BLAME, RESOURCE_KV, "a"), "");
    assert_string_equal(dependents(w, 1), "4 2 ");
    assert_string_equal(dependents(w, 3), "");
}

/* 2 and 1 are taken back together, each as a transaction of its own. */
static void parts_are_applied_rising_and_undone_falling(void **state)
{
    struct world *w = *state;
    struct file_image first, second, kept = { .kind = FILE_KEPT, .kept_txn = 2, .origin = bytes_str("a") };
    struct store_effect e = wrote(w, 1, "a", 1, "one"), two_back, one_back;
    uint64_t part;

    commit_files(w, 1, &e, 1);
    standing(w, "a", &first);
    e = wrote(w, 2, "a", 1, "two");
    commit_files(w, 2, &e, 1);
    kept.inode = first.inode;
    kept.size = first.size;
    kept.mode = first.mode;
    kept.mtime_ns = first.mtime_ns;
    for (uint64_t txn = 11; txn <= 31; txn += 10) {
        struct store_request r = { .kind = STORE_APPLY, .txn = txn, .parts = &part, .part_count = 1 };
        struct store_request show = { .kind = STORE_SHOW, .txn = txn + 1 };
        part = txn + 1;
        two_back =
            (struct store_effect){ RESOURCE_FILE, bytes_str("a"), standing(w, "a", &second), { true, encoded(&kept) } };
        one_back = (struct store_effect){ RESOURCE_FILE, bytes_str("a"), two_back.after, { 0 } };
        store(w, txn, NULL, 0, &two_back, 1);
        store(w, txn + 1, NULL, 0, &one_back, 1);
        ask_ok(w, &r);
        assert_true(file_holds(w, "a", NULL));
        r.kind = STORE_UNDO;
        r.history = kit_entry(txn, "ABORTED", NULL, 0).history;
        if (txn == 31)
            break;
        if (txn == 11)
            ask_ok(w, &r);
        else
            reopen(w);
        assert_true(file_holds(w, "a", "two"));
        ask_ok(w, &show);
        assert_true(show.row_count == 1 && show.effect_count == 0 && strcmp(show.rows[0].outcome, "committed") != 0);
        store_request_fini(&show);
    }
    store(w, 31, "committed", 1, NULL, 0);
    store(w, 32, "committed", 1, NULL, 0);
    reopen(w);
    assert_true(file_holds(w, "a", NULL));
}

/* --- the real engine alone --- */

/* The bound of the history holds for what is kept of files, too. */
static void what_is_kept_of_files_counts_as_history(void **state)
{
    struct world *w = *state;
    char content[3001];
    struct store_effect e;

    memset(content, 'c', 3000);
    content[3000] = '\0';
    shut(w);
    w->kit.options.history_bytes = 20 * 1000;
    must_open(w);
    for (uint64_t txn = 1; txn <= 30; txn++) {
        e = wrote(w, txn, "a", 1, content);
        commit_files(w, txn, &e, 1);
    }
    while (hidden(w) > 7)
        usleep(20000);
    assert_true(hidden(w) > 3);
    assert_int_equal(kit_kept(&w->kit, 30), 1);
    for (uint64_t txn = 31; txn <= 60; txn++) { /* nothing is kept of these */
        e = txn == 31 ? wrote(w, txn, "b", 1, content) : appended(w, txn, "b", 1, "more ");
        commit_files(w, txn, &e, 1);
    }
    assert_int_equal(kit_kept(&w->kit, 31), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(files_change_between_the_early_write_and_the_end),
        BOTH(content_on_its_way_is_read_by_who_wrote_it),
        BOTH(files_go_back_with_their_transaction),
        BOTH(only_the_net_change_of_a_path_is_applied),
        BOTH(a_file_that_somebody_else_changed_is_a_conflict_and_stays),
        BOTH(files_have_their_past_and_their_dependents),
        BOTH(parts_are_applied_rising_and_undone_falling),
        REAL(what_is_kept_of_files_counts_as_history),
    };

    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
