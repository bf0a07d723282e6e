/*
 * The store on a disk that fails: the nth operation on a file fails, n = 1, 2, … until none was hit, each way
 * in which it can. Then the same directory, as it is at the end or as a crash right after the first error leaves it, is
 * opened with the good disk, and what was answered must hold:
 *     OK           it is there
 *     ERR_STORAGE  it is not there
 *     ERR_UNKNOWN  it is there whole or not at all, and nothing was taken on after it
 */
#include "tests/store_format_1.h"
#include "tests/store_kit.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { STEPS = 4 };

enum operation {
    OPERATION_OPEN,
    OPERATION_READ,
    OPERATION_WRITE,
    OPERATION_SYNC,
    OPERATION_TRUNCATE,
    OPERATION_FILE, /* of the system, on files that are not the database's */
    OPERATION_COUNT
};

/* --- the failing disk: SQLite's usual one with a counter --- */

enum mode {
    FAIL_ONCE,
    FAIL_FROM_THERE,
    FAIL_ONCE_AND_CRASH, /* when the first error was answered */
    MODE_COUNT
};

static struct {
    enum operation operation;
    int code;          /* what the failing one returns */
    int left;          /* operations until it fails; below 0: never */
    bool hit;
    bool lasting;      /* all after it fail too */
} fault;

static bool fails(enum operation operation)
{
    if (operation != fault.operation || fault.left < 0)
        return false;
    if (fault.left > 1) {
        fault.left--;
        return false;
    }
    if (!fault.lasting)
        fault.left = -1;
    fault.hit = true;
    return true;
}

struct shim {
    sqlite3_file base;
    sqlite3_file *real; /* behind this struct */
};

static sqlite3_vfs *usual;
static sqlite3_vfs failing;

static sqlite3_file *real(sqlite3_file *f) { return ((struct shim *)f)->real; }

static int shim_close(sqlite3_file *f) { return real(f)->pMethods->xClose(real(f)); }

static int shim_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
    return fails(OPERATION_READ) ? fault.code : real(f)->pMethods->xRead(real(f), p, n, at);
}

/* What fails may have been done in part. */
static int shim_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
    if (!fails(OPERATION_WRITE))
        return real(f)->pMethods->xWrite(real(f), p, n, at);
    real(f)->pMethods->xWrite(real(f), p, n / 2, at);
    return fault.code;
}

static int shim_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    return fails(OPERATION_TRUNCATE) ? fault.code : real(f)->pMethods->xTruncate(real(f), size);
}

/* Nobody pulls a plug here: what was written is there, so a sync costs nothing. */
static int shim_sync(sqlite3_file *f, int flags)
{
    (void)f;
    (void)flags;
    return fails(OPERATION_SYNC) ? fault.code : SQLITE_OK;
}

static int shim_size(sqlite3_file *f, sqlite3_int64 *size) { return real(f)->pMethods->xFileSize(real(f), size); }
static int shim_lock(sqlite3_file *f, int level) { return real(f)->pMethods->xLock(real(f), level); }
static int shim_unlock(sqlite3_file *f, int level) { return real(f)->pMethods->xUnlock(real(f), level); }
static int shim_reserved(sqlite3_file *f, int *out) { return real(f)->pMethods->xCheckReservedLock(real(f), out); }
static int shim_control(sqlite3_file *f, int op, void *arg)
{
    return real(f)->pMethods->xFileControl(real(f), op, arg);
}
static int shim_sector(sqlite3_file *f) { return real(f)->pMethods->xSectorSize(real(f)); }
static int shim_device(sqlite3_file *f) { return real(f)->pMethods->xDeviceCharacteristics(real(f)); }

static const sqlite3_io_methods methods = {
    .iVersion = 1,
    .xClose = shim_close,
    .xRead = shim_read,
    .xWrite = shim_write,
    .xTruncate = shim_truncate,
    .xSync = shim_sync,
    .xFileSize = shim_size,
    .xLock = shim_lock,
    .xUnlock = shim_unlock,
    .xCheckReservedLock = shim_reserved,
    .xFileControl = shim_control,
    .xSectorSize = shim_sector,
    .xDeviceCharacteristics = shim_device,
};

static int shim_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *out)
{
    struct shim *shim = (struct shim *)f;
    int code;

    (void)vfs;
    f->pMethods = NULL;
    if (fails(OPERATION_OPEN))
        return SQLITE_CANTOPEN;
    shim->real = (sqlite3_file *)(shim + 1);
    code = usual->xOpen(usual, name, shim->real, flags, out);
    if (code == SQLITE_OK)
        f->pMethods = &methods;
    return code;
}

static void failing_register(void)
{
    usual = sqlite3_vfs_find(NULL);
    failing = *usual;
    failing.zName = "failing";
    failing.szOsFile += (int)sizeof(struct shim);
    failing.xOpen = shim_open;
    assert_int_equal(sqlite3_vfs_register(&failing, 0), SQLITE_OK);
}

/* --- the body: some transactions, each answer written down --- */

struct answers {
    enum err opened;
    enum err step[STEPS]; /* of transaction i + 1 */
    enum err early, undo; /* of transaction 100, written early and then undone */
    enum err backup;
    int tried;            /* steps that were submitted */
    bool crashed;         /* the directory as it then was is kept beside the files, as crash.db… */
};

static char filler[9000];

/* Transaction n takes "a" from n - 1 to n and makes "n" with a value of some pages. */
static enum err put_step(struct kit *k, int n)
{
    char before[16], after[16], name[16];
    struct store_effect e[2];
    struct store_entry entry;
    struct failure why;

    snprintf(before, sizeof before, "%d", n - 1);
    snprintf(after, sizeof after, "%d", n);
    snprintf(name, sizeof name, "n%d", n);
    e[0] = kit_effect("a", before, after);
    e[1] = kit_effect(name, NULL, filler);
    entry = kit_entry((uint64_t)n, "committed", e, 2);
    return kit_commit(k, &entry, &why);
}

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

/* --- events, timers and files --- */

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

/* --- disks that are real --- */

enum { NOBODY = 65534, SKIPPED = 77, SMALL_DISK = 2 * 1024 * 1024 };

/* In a process of its own, for it changes who and where it is. The body returns 0, or the line that it did not like. */
static void in_child(struct kit *k, int (*body)(struct kit *))
{
    int status, line = 0, fds[2];
    pid_t child;

    assert_int_equal(pipe(fds), 0);
    fflush(NULL);
    child = fork();
    if (child == 0) {
        line = body(k);
        _exit(write(fds[1], &line, sizeof line) == sizeof line ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(read(fds[0], &line, sizeof line), sizeof line);
    close(fds[0]);
    close(fds[1]);
    if (line == SKIPPED)
        skip();
    if (line != 0)
        fail_msg("line %d", line);
}

#define WANT(cond) do { if (!(cond)) return __LINE__; } while (0)

static int refused_with(struct kit *k, const char *because)
{
    struct failure why = { 0 };

    WANT(kit_open(k, &why) == ERR_STORAGE);
    if (strstr(why.text, because) == NULL) {
        fprintf(stderr, "'%s' is not in: %s\n", because, why.text);
        return __LINE__;
    }
    return 0;
}

/* As somebody to whom the directory does not belong. */
static int open_foreign(struct kit *k)
{
    if (geteuid() == 0)
        WANT(setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
    return refused_with(k, "Permission denied");
}

static int open_foreign_database(struct kit *k)
{
    if (geteuid() == 0)
        WANT(setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
    return refused_with(k, "cannot be written");
}

static bool write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);
    bool wrote = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0)
        close(fd);
    return wrote;
}

/* Who may not mount becomes root in a user namespace, if that is allowed. */
static bool may_mount(void)
{
    char uid[32], gid[32];

    if (unshare(CLONE_NEWNS) == 0)
        return true;
    snprintf(uid, sizeof uid, "0 %u 1", (unsigned)getuid());
    snprintf(gid, sizeof gid, "0 %u 1", (unsigned)getgid());
    return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && write_text("/proc/self/setgroups", "deny") &&
           write_text("/proc/self/uid_map", uid) && write_text("/proc/self/gid_map", gid);
}

/* A file system of our own, where only this process sees it; false: not on this machine. */
static bool mount_here(struct kit *k)
{
    char options[64];

    snprintf(options, sizeof options, "size=%d", SMALL_DISK);
    return may_mount() &&
           mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", k->directory, "tmpfs", 0, options) == 0;
}

static int read_only_file_system(struct kit *k)
{
    struct failure why = { 0 };

    if (!mount_here(k))
        return SKIPPED;
    WANT(mount(NULL, k->directory, NULL, MS_REMOUNT | MS_RDONLY, NULL) == 0);
    WANT(refused_with(k, "Read-only file system") == 0);
    WANT(mount(NULL, k->directory, NULL, MS_REMOUNT, NULL) == 0);
    WANT(kit_open(k, &why) == OK && put_step(k, 1) == OK);
    kit_close(k);
    WANT(mount(NULL, k->directory, NULL, MS_REMOUNT | MS_RDONLY, NULL) == 0);
    WANT(refused_with(k, "Read-only file system") == 0);
    WANT(mount(NULL, k->directory, NULL, MS_REMOUNT, NULL) == 0);
    WANT(kit_open(k, &why) == OK && kit_holds(k, "a", "1"));
    kit_close(k);
    return 0;
}

/* Until nothing fits any more, then with room again, twice. */
static int full_then_freed(struct kit *k)
{
    struct failure why = { 0 };
    static char ballast[512 * 1024];
    int n = 0, fd;

    if (!mount_here(k))
        return SKIPPED;
    WANT(kit_open(k, &why) == OK);
    for (int round = 0; round < 2; round++) {
        fd = open(kit_path(k, "ballast"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
        WANT(fd >= 0);
        while (write(fd, ballast, sizeof ballast) > 0)
            ;
        close(fd);
        while (put_step(k, n + 1) == OK)
            n++;
        WANT(put_step(k, n + 1) == ERR_STORAGE);
        WANT(kit_kept(k, (uint64_t)n + 1) == -1);
        unlink(kit_path(k, "ballast"));
        for (int i = 0; i < 3; i++)
            WANT(put_step(k, ++n) == OK);
    }
    kit_close(k);
    WANT(kit_open(k, &why) == OK);
    for (int i = 1; i <= n; i++)
        WANT(kit_kept(k, (uint64_t)i) == 2);
    kit_close(k);
    return 0;
}

static void a_directory_that_is_not_ours_is_refused(void **state)
{
    struct kit k;
    struct failure why = { 0 };

    (void)state;
    kit_init(&k);
    chmod(k.directory, 0555);
    in_child(&k, open_foreign);
    chmod(k.directory, 0755);
    assert_int_equal(kit_open(&k, &why), OK);
    assert_int_equal(put_step(&k, 1), OK);
    kit_close(&k);
    chmod(k.directory, 0777);
    chmod(kit_path(&k, "lock"), 0666);
    chmod(kit_path(&k, "graftd.db"), 0444);
    in_child(&k, open_foreign_database);
    assert_int_equal(kit_open(&k, &why), geteuid() == 0 ? OK : ERR_STORAGE);
    kit_fini(&k);
}

static void a_read_only_file_system_is_refused(void **state)
{
    struct kit k;

    (void)state;
    kit_init(&k);
    in_child(&k, read_only_file_system);
    kit_fini(&k);
}

static void a_disk_that_was_full_serves_again(void **state)
{
    struct kit k;

    (void)state;
    kit_init(&k);
    in_child(&k, full_then_freed);
    kit_fini(&k);
}

static int setup(void **state)
{
    (void)state;
    failing_register();
    memset(filler, 'f', sizeof filler - 1);
    fault.left = -1;
    path_a = bytes_str("a");
    items = mmap(NULL, sizeof *items, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(items != MAP_FAILED);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_that_does_not_open), cmocka_unit_test(a_read_that_fails),
        cmocka_unit_test(a_write_that_fails),        cmocka_unit_test(a_write_to_a_full_disk),
        cmocka_unit_test(a_sync_that_fails),         cmocka_unit_test(a_truncate_that_fails),
        cmocka_unit_test(goes_on_after_a_full_disk), cmocka_unit_test(an_error_before_the_commit_is_clean),
        cmocka_unit_test(an_upgrade_on_a_disk_that_fails),
        cmocka_unit_test(files_are_not_touched_before_their_records_are_on_disk),
        cmocka_unit_test(events_timers_and_files_on_a_disk_that_fails),
        cmocka_unit_test(recovery_of_files_on_a_disk_that_fails),
        cmocka_unit_test(a_directory_that_is_not_ours_is_refused),
        cmocka_unit_test(a_read_only_file_system_is_refused),
        cmocka_unit_test(a_disk_that_was_full_serves_again),
    };

    alarm(300);
    return cmocka_run_group_tests(tests, setup, NULL);
}
