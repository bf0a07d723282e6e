/*
 * The store on a disk that fails: the nth operation on a file fails, n = 1, 2, … until none was hit, each way
 * in which it can. Then the same directory, as it is at the end or as a crash right after the first error leaves it, is
 * opened with the good disk, and what was answered must hold (T2, T7):
 *     OK           it is there
 *     ERR_STORAGE  it is not there
 *     ERR_UNKNOWN  it is there whole or not at all, and nothing was taken on after it
 * Events, timers and files are in fault_store_item.c; disks that are truly full or not ours in fault_store_disk.c.
 */
#include "tests/fault_disk.h"
#include "tests/store_format_1.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

enum { STEPS = 4 };

struct answers {
    enum err opened;
    enum err step[STEPS]; /* of transaction i + 1 */
    enum err early, undo; /* of transaction 100, written early and then undone */
    enum err backup;
    int tried;            /* steps that were submitted */
    bool crashed;         /* the directory as it then was is kept beside the files, as crash.db… */
};

static void copy_file(const char *from, const char *to)
{
    char command[1100];

    snprintf(command, sizeof command, "cp %s %s", from, to);
    assert_int_equal(system(command), 0);
}

/* Tries transactions up to n; false: here the machine crashes. */
static bool try_steps(struct kit *k, struct answers *a, int n, bool crash)
{
    while (a->tried < n) {
        a->step[a->tried] = put_step(k, a->tried + 1);
        a->tried++;
        if (crash && a->step[a->tried - 1] != OK) {
            copy_file(kit_path(k, "graftd.db"), kit_path(k, "crash.db"));
            copy_file(kit_path(k, "graftd.db-wal"), kit_path(k, "crash.db-wal"));
            a->crashed = true;
            return false;
        }
    }
    return true;
}

static void run(struct kit *k, struct answers *a, bool crash)
{
    struct failure why = { 0 };
    struct store_request undo = { .kind = STORE_UNDO,
                                  .txn = 100,
                                  .history = kit_entry(100, "ABORTED", NULL, 0).history };
    struct store_request backup = { .kind = STORE_BACKUP, .path = kit_path(k, "copy") };

    memset(a, 0, sizeof *a);
    a->opened = kit_open(k, &why);
    if (a->opened != OK) {
        assert_true(why.text[0] != '\0');
        return;
    }
    if (!try_steps(k, a, STEPS / 2, crash))
        return;
    a->early = kit_put(k, 100, NULL, "early", NULL, filler);
    a->undo = kit_ask(k, &undo);
    a->backup = kit_ask(k, &backup);
    try_steps(k, a, STEPS, crash);
}

/* Which answers may follow which, and what a backup leaves. */
static void check_answers(struct kit *k, const struct answers *a)
{
    bool unknown = false;

    for (int i = 0; i < a->tried; i++) {
        assert_true(a->step[i] == OK || a->step[i] == ERR_STORAGE || a->step[i] == ERR_UNKNOWN);
        if (unknown)
            assert_int_equal(a->step[i], ERR_STORAGE);
        unknown = unknown || a->step[i] == ERR_UNKNOWN;
    }
    assert_int_not_equal(a->backup, ERR_UNKNOWN);
    if (a->opened == OK && a->tried > STEPS / 2)
        assert_int_equal(access(kit_path(k, "copy"), F_OK) == 0, a->backup == OK);
    assert_int_not_equal(access(kit_path(k, "copy.partial"), F_OK), 0);
}

static void check_disk(struct kit *k, const struct answers *a)
{
    char name[16], text[16];
    int last = 0;

    for (int n = 1; n <= a->tried; n++) {
        bool kept = kit_kept(k, (uint64_t)n) == 2;
        snprintf(name, sizeof name, "n%d", n);
        snprintf(text, sizeof text, "%d", n);
        if (a->step[n - 1] != ERR_UNKNOWN)
            assert_int_equal(kept, a->step[n - 1] == OK);
        assert_true(kit_holds(k, name, kept ? filler : NULL));
        last = kept ? n : last;
    }
    snprintf(text, sizeof text, "%d", last);
    assert_true(kit_holds(k, "a", last == 0 ? NULL : text));
    assert_true(kit_holds(k, "early", NULL)); /* undone by request, or by recovery, or never there */
}

/* False: nothing was hit, so n has passed the last operation. */
static bool one_fault(enum operation operation, int code, enum mode mode, int n)
{
    struct kit k;
    struct answers a;
    struct failure why = { 0 };
    bool hit;

    kit_init(&k);
    k.options.synchronous = 2;
    k.options.vfs = "failing";
    fault.operation = operation;
    fault.code = code;
    fault.lasting = mode == FAIL_FROM_THERE;
    fault.hit = false;
    fault.left = n;
    run(&k, &a, mode == FAIL_ONCE_AND_CRASH);
    kit_close(&k);
    fault.left = -1;
    hit = fault.hit;
    if (a.crashed) {
        assert_int_equal(rename(kit_path(&k, "crash.db"), kit_path(&k, "graftd.db")), 0);
        assert_int_equal(rename(kit_path(&k, "crash.db-wal"), kit_path(&k, "graftd.db-wal")), 0);
    }
    check_answers(&k, &a);
    k.options.vfs = NULL;
    if (kit_open(&k, &why) != OK)
        fail_msg("operation %d code %d n %d: %s", operation, code, n, why.text);
    check_disk(&k, &a);
    kit_fini(&k);
    return hit;
}

static void every_fault(enum operation operation, int code)
{
    for (enum mode mode = FAIL_ONCE; mode < MODE_COUNT; mode++) {
        int n = 1;
        while (one_fault(operation, code, mode, n))
            n++;
        print_message("%d faults\n", n - 1);
        assert_true(n > 1);
    }
}

static void a_file_that_does_not_open(void **state) { (void)state; every_fault(OPERATION_OPEN, SQLITE_CANTOPEN); }
static void a_read_that_fails(void **state) { (void)state; every_fault(OPERATION_READ, SQLITE_IOERR_READ); }
static void a_write_that_fails(void **state) { (void)state; every_fault(OPERATION_WRITE, SQLITE_IOERR_WRITE); }
static void a_write_to_a_full_disk(void **state) { (void)state; every_fault(OPERATION_WRITE, SQLITE_FULL); }
static void a_sync_that_fails(void **state) { (void)state; every_fault(OPERATION_SYNC, SQLITE_IOERR_FSYNC); }
static void a_truncate_that_fails(void **state) { (void)state; every_fault(OPERATION_TRUNCATE, SQLITE_IOERR_TRUNCATE); }

/* Brought up to date or not, never half: it opens as either when the disk is good again. */
static bool one_fault_of_an_upgrade(enum operation operation, int code, bool lasting, int n)
{
    struct kit k;
    struct failure why = { 0 };

    kit_init(&k);
    make_format_1(&k);
    k.options.synchronous = 2;
    k.options.vfs = "failing";
    fault.operation = operation;
    fault.code = code;
    fault.lasting = lasting;
    fault.hit = false;
    fault.left = n;
    if (kit_open(&k, &why) != OK)
        assert_true(why.err == ERR_STORAGE && why.text[0] != '\0');
    kit_close(&k);
    fault.left = -1;
    k.options.vfs = NULL;
    failure_clear(&why);
    if (kit_open(&k, &why) != OK)
        fail_msg("operation %d code %d n %d: %s", operation, code, n, why.text);
    assert_true(kit_holds(&k, "a", "one"));
    assert_true(kit_holds(&k, "b", NULL));
    assert_int_equal(kit_kept(&k, 1), 1);
    assert_int_equal(kit_put(&k, 101, "committed", "a", "one", "new"), OK);
    kit_fini(&k);
    return fault.hit;
}

static void an_upgrade_on_a_disk_that_fails(void **state)
{
    static const struct {
        enum operation operation;
        int code;
    } faults[] = { { OPERATION_READ, SQLITE_IOERR_READ },
                   { OPERATION_WRITE, SQLITE_IOERR_WRITE },
                   { OPERATION_WRITE, SQLITE_FULL },
                   { OPERATION_SYNC, SQLITE_IOERR_FSYNC } };

    (void)state;
    for (size_t i = 0; i < 8; i++) {
        int n = 1;
        while (one_fault_of_an_upgrade(faults[i / 2].operation, faults[i / 2].code, i % 2 == 1, n))
            n++;
        print_message("%d faults\n", n - 1);
        assert_true(n > 1);
    }
}

/* A full disk is no reason to stop: what fits later is taken. */
static void goes_on_after_a_full_disk(void **state)
{
    struct store_request reserve = { .kind = STORE_COMMIT, .txn_reserve = 1000 };
    struct kit k;
    struct failure why = { 0 };

    (void)state;
    kit_init(&k);
    k.options.vfs = "failing";
    assert_int_equal(kit_open(&k, &why), OK);
    fault.operation = OPERATION_WRITE;
    fault.code = SQLITE_FULL;
    fault.lasting = true;
    fault.left = 1;
    assert_int_equal(put_step(&k, 1), ERR_STORAGE);
    assert_true(kit_holds(&k, "a", NULL));
    assert_int_equal(kit_ask(&k, &reserve), ERR_STORAGE);
    fault.left = -1;
    assert_int_equal(put_step(&k, 1), OK);
    assert_true(kit_holds(&k, "a", "1"));
    assert_int_equal(kit_ask(&k, &reserve), OK);
    kit_close(&k);
    assert_int_equal(kit_open(&k, &why), OK);
    assert_int_equal(k.store->ops->facts(k.store)->txn_next, 1001);
    kit_fini(&k);
}

/* More than the page cache holds, so that pages go to the log before COMMIT: what fails there is rolled back, and known
 * to be. */
static void an_error_before_the_commit_is_clean(void **state)
{
    enum { SIZE = 12 * 1024 * 1024 };
    static char big[SIZE];
    struct kit k;
    struct failure why = { 0 };
    struct store_effect e[4];
    struct store_entry entry = kit_entry(7, "committed", e, 4);

    (void)state;
    for (int i = 0; i < 4; i++)
        e[i] = (struct store_effect){ 'k', bytes_of("abcd" + i, 1), { 0 }, { true, bytes_of(big, SIZE) } };
    kit_init(&k);
    k.options.vfs = "failing";
    assert_int_equal(kit_open(&k, &why), OK);
    for (int i = 0; i < 4; i++) {
        fault.operation = OPERATION_WRITE;
        fault.code = i % 2 == 0 ? SQLITE_IOERR_WRITE : SQLITE_FULL;
        fault.lasting = i > 1;
        fault.left = 1 + 100 * i;
        assert_int_equal(kit_commit(&k, &entry, NULL), ERR_STORAGE);
        fault.left = -1;
        assert_true(kit_holds(&k, "a", NULL));
    }
    assert_int_equal(kit_commit(&k, &entry, NULL), OK);
    assert_int_equal(kit_kept(&k, 7), 4);
    kit_fini(&k);
}

static int setup(void **state)
{
    (void)state;
    fault_disk_init();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_that_does_not_open),
        cmocka_unit_test(a_read_that_fails),
        cmocka_unit_test(a_write_that_fails),
        cmocka_unit_test(a_write_to_a_full_disk),
        cmocka_unit_test(a_sync_that_fails),
        cmocka_unit_test(a_truncate_that_fails),
        cmocka_unit_test(an_upgrade_on_a_disk_that_fails),
        cmocka_unit_test(goes_on_after_a_full_disk),
        cmocka_unit_test(an_error_before_the_commit_is_clean),
    };

    alarm(300);
    return cmocka_run_group_tests(tests, setup, NULL);
}
