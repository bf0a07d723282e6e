/*
 * Events, timers and files on a disk that fails, as fault_store.c does it with keys: the nth operation of SQLite on its
 * files, or the nth call of txn/ on others, fails, also while it recovers; and then the process goes on or crashes. All
 * that a transaction did is there or nothing (T3, T7), and no file is touched before its undo record is on disk (T4).
 * Links --wrap for each of these calls.
 */
#include "tests/fault_disk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* The calls with which txn/ changes files. The linker leads them here; code is an errno then. */
static bool call_fails(void)
{
    bool hit = fails(OPERATION_FILE);

    if (hit)
        errno = fault.code;
    return hit;
}

#define FAILING(type, name, parameters, arguments) \
    type __real_##name parameters;                 \
    type __wrap_##name parameters;                 \
    type __wrap_##name parameters { return call_fails() ? -1 : __real_##name arguments; }

FAILING(int, fsync, (int fd), (fd))
FAILING(int, fdatasync, (int fd), (fd))
FAILING(int, mkdirat, (int fd, const char *path, mode_t mode), (fd, path, mode))
FAILING(int, unlinkat, (int fd, const char *path, int flags), (fd, path, flags))
FAILING(int, ftruncate, (int fd, off_t size), (fd, size))
FAILING(int, renameat, (int from_fd, const char *from, int to_fd, const char *to), (from_fd, from, to_fd, to))
FAILING(int, renameat2, (int from_fd, const char *from, int to_fd, const char *to, unsigned flags),
        (from_fd, from, to_fd, to, flags))
FAILING(int, linkat, (int from_fd, const char *from, int to_fd, const char *to, int flags),
        (from_fd, from, to_fd, to, flags))
FAILING(ssize_t, pwrite, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at))
FAILING(ssize_t, pread, (int fd, void *data, size_t size, off_t at), (fd, data, size, at))
FAILING(int, futimens, (int fd, const struct timespec times[2]), (fd, times))

enum item_step { ITEM_TELL, ITEM_EARLY, ITEM_APPLY, ITEM_END, ITEM_BACK_EARLY, ITEM_BACK_APPLY, ITEM_BACK, ITEM_LAST,
                 ITEM_STEPS };

static struct item_answers { /* shared with the process that runs them */
    enum err opened, answer[ITEM_STEPS];
    bool asked[ITEM_STEPS];
    bool hit;
} *items;

static struct bytes path_a;

/* What stands at path a, in out; present false: nothing. */
static struct image standing_a(struct kit *k, char out[FILE_IMAGE_MAX])
{
    struct store_request r = { .kind = STORE_GET, .resource = RESOURCE_FILE, .keys = &path_a, .key_count = 1 };
    struct image image = { 0 };

    if (kit_ask(k, &r) == OK && r.pairs[0].value.present) {
        image = (struct image){ true, bytes_of(out, r.pairs[0].value.value.len) };
        memcpy(out, r.pairs[0].value.value.data, image.value.len);
    }
    store_request_fini(&r);
    return image;
}

static enum err put_entry(struct kit *k, uint64_t txn, const char *outcome, uint64_t first, struct store_effect *e,
                          size_t count)
{
    struct store_entry entry = kit_entry(txn, outcome, e, count);

    entry.first_effect = first;
    entry.history.effect_count = first + count;
    return kit_commit(k, &entry, NULL);
}

/* An event, a timer, and file a written anew, before they end. */
static enum err put_items_early(struct kit *k, uint64_t txn, const char *content)
{
    char was[FILE_IMAGE_MAX], key[16], id[16];
    struct store_request stage = { .kind = STORE_FILE_STAGE, .txn = txn, .key = path_a, .stage = 1,
                                   .data = bytes_str(content) };
    struct file_image image = { .kind = FILE_NEW, .mode = 0644, .stage = 1, .stage_len = strlen(content) };
    struct store_effect e[3];
    struct buf b;
    enum err err = kit_ask(k, &stage);

    if (err != OK)
        return err;
    image.inode = stage.inode;
    buf_init(&b, FILE_IMAGE_MAX);
    CHECK(file_image_add(&b, &image));
    snprintf(key, sizeof key, "t%c%d", '\0', (int)txn);
    snprintf(id, sizeof id, "%d.1", (int)txn);
    e[0] = kit_effect("", NULL, content);
    e[0].resource = RESOURCE_EVENT;
    e[0].key = bytes_of(key, 2 + strlen(key + 2));
    e[1] = kit_effect(id, NULL, content);
    e[1].resource = RESOURCE_TIMER;
    e[2] = (struct store_effect){ RESOURCE_FILE, path_a, standing_a(k, was), { true, buf_bytes(&b) } };
    err = put_entry(k, txn, NULL, 0, e, 3);
    buf_fini(&b);
    return err;
}

static enum err apply_items(struct kit *k, uint64_t txn)
{
    struct store_request r = { .kind = STORE_APPLY, .txn = txn };

    return kit_ask(k, &r);
}

static enum err undo_items(struct kit *k, uint64_t txn)
{
    struct store_request r = { .kind = STORE_UNDO, .txn = txn, .history = kit_entry(txn, "ABORTED", NULL, 0).history };

    return kit_ask(k, &r);
}

static enum err tell_and_arm(struct kit *k, uint64_t txn)
{
    char key[16], id[16];
    struct store_effect e[2] = { kit_effect("", NULL, "told"), kit_effect(id, NULL, "armed") };

    snprintf(key, sizeof key, "t%c%d", '\0', (int)txn);
    snprintf(id, sizeof id, "%d.1", (int)txn);
    e[0].resource = RESOURCE_EVENT;
    e[0].key = bytes_of(key, 2 + strlen(key + 2));
    e[1] = kit_effect(id, NULL, "armed");
    e[1].resource = RESOURCE_TIMER;
    return put_entry(k, txn, "committed", 0, e, 2);
}

/* False: it was not OK. With crash the process ends there, as it is. */
static bool note(enum item_step step, enum err err, bool crash)
{
    items->asked[step] = true;
    items->answer[step] = err;
    items->hit = fault.hit;
    if (crash && err != OK)
        _exit(0);
    return err == OK;
}

/* Transaction 2 has an event and a timer; 3 these and a file; 4 as 3, and is taken back; 5 as 2. As the manager does
 * it: what failed is undone. */
static void run_items(struct kit *k, bool crash)
{
    note(ITEM_TELL, tell_and_arm(k, 2), crash);
    if (note(ITEM_EARLY, put_items_early(k, 3, "three"), crash) && note(ITEM_APPLY, apply_items(k, 3), crash))
        note(ITEM_END, put_entry(k, 3, "committed", 3, NULL, 0), crash);
    if (!items->asked[ITEM_END] || items->answer[ITEM_END] == ERR_STORAGE)
        undo_items(k, 3);
    if (note(ITEM_BACK_EARLY, put_items_early(k, 4, "four"), crash))
        note(ITEM_BACK_APPLY, apply_items(k, 4), crash);
    note(ITEM_BACK, undo_items(k, 4), crash);
    note(ITEM_LAST, tell_and_arm(k, 5), crash);
}

/* Before anything fails: transaction 1 made file a. leave: 9 has changed it, and not ended. */
static void prepare_items(struct kit *k, bool leave)
{
    struct failure why = { 0 };

    CHECK(kit_open(k, &why) == OK && put_items_early(k, 1, "one") == OK && apply_items(k, 1) == OK);
    CHECK(put_entry(k, 1, "committed", 3, NULL, 0) == OK);
    if (leave)
        CHECK(put_items_early(k, 9, "nine") == OK && apply_items(k, 9) == OK);
}

static void arm(enum operation operation, int code, bool lasting, int n)
{
    fault.operation = operation;
    fault.code = code;
    fault.lasting = lasting;
    fault.hit = false;
    fault.left = n;
}

static struct { /* of the fault that is tried */
    enum operation operation;
    int code;
    enum mode mode;
} trial;

/* With a fault, in a process of its own if that is to crash. Afterwards the disk is good again. */
static void in_process(void (*body)(struct kit *, int), struct kit *k, int n)
{
    pid_t child;
    int status;

    if (trial.mode != FAIL_ONCE_AND_CRASH) {
        body(k, n);
        fault.left = -1;
        return;
    }
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        body(k, n);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void try_items(struct kit *k, int n)
{
    prepare_items(k, false);
    arm(trial.operation, trial.code, trial.mode == FAIL_FROM_THERE, n);
    run_items(k, trial.mode == FAIL_ONCE_AND_CRASH);
    kit_close(k);
    items->hit = fault.hit;
}

static bool committed(struct kit *k, uint64_t txn)
{
    struct store_request r = { .kind = STORE_SHOW, .txn = txn };
    bool is;

    assert_int_equal(kit_ask(k, &r), OK);
    is = r.row_count == 1 && r.rows[0].outcome != NULL && strcmp(r.rows[0].outcome, "committed") == 0;
    store_request_fini(&r);
    return is;
}

/* What is told of txn, and that ids rise. */
static size_t told_of(struct kit *k, uint64_t txn)
{
    struct store_request r = { .kind = STORE_EVENTS, .key = bytes_str("t"), .count_max = 100 };
    uint64_t last = 0;
    size_t n = 0;

    assert_int_equal(kit_ask(k, &r), OK);
    for (size_t i = 0; i < r.event_count; i++) {
        assert_true(r.events[i].id > last);
        last = r.events[i].id;
        n += r.events[i].txn == txn;
    }
    assert_int_equal(r.topics[0].count, r.event_count);
    store_request_fini(&r);
    return n;
}

static bool armed(struct kit *k, uint64_t txn)
{
    char id[16];
    struct bytes key;
    struct store_request r = { .kind = STORE_GET, .resource = RESOURCE_TIMER, .keys = &key, .key_count = 1 };
    bool is;

    snprintf(id, sizeof id, "%d.1", (int)txn);
    key = bytes_str(id);
    assert_int_equal(kit_ask(k, &r), OK);
    is = r.pairs[0].value.present;
    store_request_fini(&r);
    return is;
}

static void check_items(struct kit *k, uint64_t txn, bool is)
{
    assert_int_equal(committed(k, txn), is);
    assert_int_equal(told_of(k, txn), is ? 1 : 0);
    assert_int_equal(armed(k, txn), is);
}

static void check_file_a(struct kit *k, const char *content)
{
    char now[100];
    int fd = open(kit_path(k, "files/a"), O_RDONLY);
    ssize_t n = read(fd, now, sizeof now - 1);

    assert_true(fd >= 0 && n >= 0);
    now[n] = '\0';
    close(fd);
    assert_string_equal(now, content);
}

/* OK: it is there; ERR_STORAGE: it is not; otherwise it is there whole or not at all. */
static void check_answer(struct kit *k, enum item_step step, uint64_t txn)
{
    bool is = committed(k, txn);

    if (items->asked[step] && items->answer[step] == OK)
        assert_true(is);
    if (!items->asked[step] || (items->answer[step] != OK && items->answer[step] != ERR_UNKNOWN))
        assert_false(is);
    check_items(k, txn, is);
}

static bool one_item_fault(int n)
{
    struct kit k;
    struct failure why = { 0 };

    kit_init(&k);
    memset(items, 0, sizeof *items);
    k.options.synchronous = 2;
    k.options.vfs = "failing";
    in_process(try_items, &k, n);
    k.options.vfs = NULL;
    if (kit_open(&k, &why) != OK)
        fail_msg("operation %d code %d mode %d n %d: %s", trial.operation, trial.code, trial.mode, n, why.text);
    check_items(&k, 1, true);
    check_answer(&k, ITEM_TELL, 2);
    check_answer(&k, ITEM_END, 3);
    check_items(&k, 4, false);
    check_answer(&k, ITEM_LAST, 5);
    check_file_a(&k, committed(&k, 3) ? "three" : "one");
    assert_int_equal(tell_and_arm(&k, 6), OK);
    check_items(&k, 6, true);
    kit_fini(&k);
    return items->hit;
}

static void try_recovery(struct kit *k, int n)
{
    struct failure why = { 0 };

    arm(trial.operation, trial.code, trial.mode == FAIL_FROM_THERE, n);
    items->opened = kit_open(k, &why);
    items->hit = fault.hit;
    CHECK(items->opened == OK || why.text[0] != '\0');
    if (trial.mode == FAIL_ONCE_AND_CRASH)
        _exit(0);
    kit_close(k);
}

/* Files and records are taken back by the next start that can. */
static bool one_recovery_fault(int n)
{
    struct kit k;
    struct failure why = { 0 };

    kit_init(&k);
    k.options.synchronous = 2;
    k.options.vfs = "failing";
    prepare_items(&k, true);
    kit_close(&k);
    check_file_a(&k, "nine");
    in_process(try_recovery, &k, n);
    k.options.vfs = NULL;
    if (kit_open(&k, &why) != OK)
        fail_msg("operation %d code %d mode %d n %d: %s", trial.operation, trial.code, trial.mode, n, why.text);
    check_items(&k, 1, true);
    check_items(&k, 9, false);
    check_file_a(&k, "one");
    kit_fini(&k);
    return items->hit;
}

static void every_trial(bool (*one)(int))
{
    static const struct {
        enum operation operation;
        int code, modes;
    } faults[] = { { OPERATION_WRITE, SQLITE_IOERR_WRITE, MODE_COUNT },
                   { OPERATION_WRITE, SQLITE_FULL, FAIL_ONCE + 1 },
                   { OPERATION_SYNC, SQLITE_IOERR_FSYNC, MODE_COUNT },
                   { OPERATION_FILE, EIO, MODE_COUNT },
                   { OPERATION_FILE, ENOSPC, FAIL_ONCE + 1 } };

    for (size_t i = 0; i < 5; i++)
        for (enum mode mode = FAIL_ONCE; (int)mode < faults[i].modes; mode++) {
            int n = 1;
            trial.operation = faults[i].operation;
            trial.code = faults[i].code;
            trial.mode = mode;
            while (one(n))
                n++;
            print_message("%d faults\n", n - 1);
            assert_true(n > 1);
        }
}

/* T4 also where a commit does not sync the log: what touches files syncs it first, and once only if that fails. */
static void files_are_not_touched_before_their_records_are_on_disk(void **state)
{
    struct kit k;
    struct failure why = { 0 };

    (void)state;
    kit_init(&k);
    k.options.synchronous = 1;
    prepare_items(&k, false);
    assert_int_equal(put_items_early(&k, 2, "two"), OK);
    arm(OPERATION_FILE, EIO, false, 1);
    assert_int_equal(apply_items(&k, 2), ERR_STORAGE);
    assert_true(fault.hit);
    assert_int_equal(apply_items(&k, 2), ERR_STORAGE);
    assert_int_equal(tell_and_arm(&k, 3), ERR_STORAGE);
    check_file_a(&k, "one");
    kit_close(&k);
    assert_int_equal(kit_open(&k, &why), OK);
    check_items(&k, 2, false);
    check_file_a(&k, "one");
    kit_fini(&k);
}

static void events_timers_and_files_on_a_disk_that_fails(void **state) { (void)state; every_trial(one_item_fault); }
static void recovery_of_files_on_a_disk_that_fails(void **state) { (void)state; every_trial(one_recovery_fault); }

static int setup(void **state)
{
    (void)state;
    fault_disk_init();
    path_a = bytes_str("a");
    items = mmap(NULL, sizeof *items, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(items != MAP_FAILED);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_not_touched_before_their_records_are_on_disk),
        cmocka_unit_test(events_timers_and_files_on_a_disk_that_fails),
        cmocka_unit_test(recovery_of_files_on_a_disk_that_fails),
    };

    alarm(300);
    return cmocka_run_group_tests(tests, setup, NULL);
}
