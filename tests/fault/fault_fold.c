/*
 * Keys that are folded later, on a disk that fails or under a machine that stops: a script (tests/fold_kit.h) runs until
 * the nth write, n = 1, 2, … until it ends before that. Then the directory is opened with the good disk, and each
 * transaction must be there whole or not at all, those that were answered OK among them, and the past must tell of them.
 *     the machine stops at the nth write, which is done in part; and, some of the time, again while it recovers
 *     the nth write fails, for once or from there on
 *     the nth piece of memory is refused
 */
#include "tests/failing_vfs.h"
#include "tests/fold_kit.h"
#include "tests/store_format_2.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>

/* Processes are slow to make there: one fault of some. */
#ifdef __SANITIZE_ADDRESS__
enum { SPARSE = 7 };
#else
enum { SPARSE = 1 };
#endif

enum { STEPS = 40, FAULTS_MAX = 5000, STOPPED = 3 /* exit status */ };

/* ---- the disk ---- */

static struct {
    int left;     /* writes until it is hit; below 1: never */
    int code;     /* what the one that is hit returns; SQLITE_OK: the machine stops there */
    bool lasting; /* all after it fail too */
    bool hit;
} fault;

static int ask(enum vfs_operation operation)
{
    if (operation != VFS_WRITE || fault.left < 1 || --fault.left > 0)
        return SQLITE_OK;
    fault.hit = true;
    fault.left = fault.lasting ? 1 : 0;
    return fault.code != SQLITE_OK ? fault.code : SQLITE_IOERR;
}

static void broken_off(void)
{
    if (fault.code == SQLITE_OK)
        _exit(STOPPED);
}

/* ---- memory ---- */

static int memory_left; /* pieces until the store's thread is refused one; below 1: none is */
static pthread_t here;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    if (memory_left > 0 && !pthread_equal(here, pthread_self()) && --memory_left == 0) {
        fault.hit = true;
        return NULL;
    }
    return __real_malloc(size);
}

/* ---- the script ---- */

static struct fold_model model;
static struct kit kit;
static struct chance chance;
static uint64_t seed;

static void kit_begin(uint64_t n)
{
    static const uint64_t bytes[] = { 1, 4000, 12000, 0 };

    kit_init(&kit);
    kit.options.fresh_bytes = bytes[n % 4];
    kit.options.redo_bytes = bytes[n / 4 % 4];
    kit.options.fold_keys = 1;
    kit.options.vfs = "failing";
    fold_init(&model, seed);
}

static void must_open(void)
{
    struct failure why = { 0 };

    kit_close(&kit);
    fault.left = 0;
    if (kit_open(&kit, &why) != OK)
        fail_msg("SEED=%llu: %s", (unsigned long long)seed, why.text);
}

/* The step that was planned last was under way: is it there? What did not end is not, in any case. */
static void settle_last(void)
{
    const struct fold_step *s = &model.step;
    bool there = kit_kept(&kit, s->txn[0]) > 0;

    for (size_t i = 1; i < s->entry_count; i++)
        if (there != (kit_kept(&kit, s->txn[i]) > 0))
            fail_msg("SEED=%llu: half of a batch is there", (unsigned long long)seed);
    if (there && s->kind != FOLD_EARLY && s->kind != FOLD_UNDO)
        fold_apply(&model);
    fold_recovered(&model);
}

static void must_be_right(int n)
{
    for (int i = 0; i < 6; i++) {
        const char *wrong = fold_wrong(&model, &kit, &chance, true);
        if (wrong != NULL)
            fail_msg("SEED=%llu: fault %d: %s is wrong", (unsigned long long)seed, n, wrong);
    }
}

/* ---- a process that runs it, and its end ---- */

/* What it was answered; shared with it. */
static struct answers {
    int count; /* of steps that were answered */
    enum err err[STEPS];
    bool unknown; /* the one behind them was answered ERR_UNKNOWN */
    bool hit;     /* it reached its fault, and went on */
} * answers;

static enum what { DISK, MEMORY } what; /* has the fault */

static _Noreturn void run_script(int n)
{
    struct failure why = { 0 };
    bool unknown = false;
    int more = n % 5; /* steps after the fault */

    fault.hit = false;
    fault.left = what == DISK && fault.code == SQLITE_OK ? n : 0;
    CHECK(kit_open(&kit, &why) == OK);
    fault.left = what == DISK ? n : 0;
    for (int i = 0; i < STEPS && !unknown && more >= 0; i++) {
        enum err err;
        fold_plan(&model);
        if (what == MEMORY && i == STEPS / 3)
            memory_left = n;
        err = fold_ask(&model, &kit);
        CHECK(err == OK || fault.hit);
        if (err == OK)
            fold_apply(&model);
        unknown = err == ERR_UNKNOWN;
        answers->err[i] = err;
        answers->count += !unknown;
        answers->unknown = unknown;
        more -= fault.hit;
    }
    memory_left = 0;
    answers->hit = fault.hit;
    if (n % 2 == 0)
        kit_close(&kit); /* else it dies */
    _exit(0);
}

static _Noreturn void run_recovery(int n)
{
    struct failure why = { 0 };

    fault.left = n;
    kit_open(&kit, &why);
    _exit(0);
}

/* True: the machine stopped there. */
static bool in_child(void (*work)(int n), int n)
{
    pid_t child = fork();
    int status;

    if (child == 0)
        work(n);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == STOPPED));
    return WEXITSTATUS(status) == STOPPED;
}

/* True: the nth was reached. */
static bool fault_at(int n)
{
    bool stopped;

    kit_begin((uint64_t)n);
    *answers = (struct answers){ 0 };
    stopped = in_child(run_script, n);
    if (chance_one_in(&chance, 3))
        in_child(run_recovery, 1 + (int)chance_below(&chance, 40));
    must_open();
    for (int i = 0; i < answers->count; i++) {
        fold_plan(&model);
        if (answers->err[i] == OK)
            fold_apply(&model);
    }
    if (stopped || answers->unknown) {
        fold_plan(&model);
        settle_last();
    }
    fold_recovered(&model);
    must_be_right(n);
    kit_close(&kit);
    assert_int_equal(select_number(kit_path(&kit, "graftd.db"), "SELECT count(*) FROM old.kv JOIN old.gone USING(key)"),
                     0);
    kit_fini(&kit);
    return stopped || answers->hit;
}

static void fault_at_each_of(uint64_t its_seed, int step)
{
    int n;

    seed = its_seed;
    chance.state = seed + 1;
    n = 1 + (int)chance_below(&chance, (unsigned)step);
    while (n < FAULTS_MAX && fault_at(n))
        n += step;
    print_message("%d\n", n);
    assert_in_range(n, 20, FAULTS_MAX - 1);
}

static void fault_at_each(int step) { fault_at_each_of(fold_seed(), step); }

/* What a fold during the redo had brought to gone, and an undo after it back to kv, was in both. */
static void a_key_is_in_one_table_after_redo_and_undo(void **state)
{
    (void)state;
    what = DISK;
    fault.code = SQLITE_OK;
    fault_at_each_of(1795421247, SPARSE);
}

static void a_machine_that_stops_at_any_write_loses_nothing(void **state)
{
    (void)state;
    what = DISK;
    fault.code = SQLITE_OK;
    fault_at_each(SPARSE);
}

static void a_write_that_fails_takes_nothing_with_it(void **state)
{
    static const int codes[] = { SQLITE_FULL, SQLITE_IOERR_WRITE };

    (void)state;
    what = DISK;
    for (int i = 0; i < 4; i++) {
        fault.code = codes[i % 2];
        fault.lasting = i >= 2;
        fault_at_each(SPARSE * (i < 2 ? 1 : 3));
    }
}

static void a_commit_without_memory_leaves_nothing(void **state)
{
    (void)state;
    what = MEMORY;
    fault_at_each(SPARSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_commit_without_memory_leaves_nothing),
        cmocka_unit_test(a_key_is_in_one_table_after_redo_and_undo),
        cmocka_unit_test(a_write_that_fails_takes_nothing_with_it),
        cmocka_unit_test(a_machine_that_stops_at_any_write_loses_nothing),
    };

    here = pthread_self();
    answers = mmap(NULL, sizeof *answers, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(answers != MAP_FAILED);
    assert_true(failing_vfs_register(&(struct failing_vfs){ .ask = ask, .broken_off = broken_off, .no_sync = true }));
    alarm(600);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
