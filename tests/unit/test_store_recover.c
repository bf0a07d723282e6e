/*
 * The real store takes back: undo by request and by recovery, newest first, and twice is the same as once (T5); what
 * is written early has its undo records (T4); killed at any moment, each transaction is there whole or not at all, and
 * none that was told is lost (T7).
 */
#include "tests/store_case.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

enum { KILLS = 40, TOLD_MAX = 1 << 20 };

/* Two early writes of transaction 5 over what 1 left: a changed twice, b made, c deleted. */
static void write_early(struct kit *k)
{
    struct store_effect old[] = { kit_effect("a", NULL, "old"), kit_effect("c", NULL, "") };
    struct store_effect first[] = { kit_effect("a", "old", "new"), kit_effect("b", NULL, "made") };
    struct store_effect second[] = { kit_effect("a", "new", "newer"), kit_effect("c", "", NULL) };
    struct store_entry entry = kit_entry(1, "committed", old, 2);

    assert_int_equal(kit_commit(k, &entry, NULL), OK);
    entry = kit_entry(5, NULL, first, 2);
    assert_int_equal(kit_commit(k, &entry, NULL), OK);
    entry = kit_entry(5, NULL, second, 2);
    entry.first_effect = 2;
    assert_int_equal(kit_commit(k, &entry, NULL), OK);
}

static void check_undone(struct kit *k, const char *outcome)
{
    struct store_request show = { .kind = STORE_SHOW, .txn = 5 };

    assert_true(kit_holds(k, "a", "old"));
    assert_true(kit_holds(k, "b", NULL));
    assert_true(kit_holds(k, "c", ""));
    assert_int_equal(kit_ask(k, &show), OK);
    assert_string_equal(show.rows[0].outcome, outcome);
    assert_int_equal(show.effect_count, 0);
    store_request_fini(&show);
}

static void undo_twice_is_undo_once(void **state)
{
    struct kit *k = *state;
    struct store_request undo = { .kind = STORE_UNDO, .txn = 5, .history = kit_entry(5, "ABORTED", NULL, 0).history };
    struct store_request show = { .kind = STORE_SHOW, .txn = 6 };

    write_early(k);
    assert_true(kit_holds(k, "a", "newer"));
    assert_int_equal(kit_ask(k, &undo), OK);
    check_undone(k, "ABORTED");
    assert_int_equal(kit_put(k, 6, "committed", "b", NULL, "later"), OK);
    assert_int_equal(kit_ask(k, &undo), OK);
    assert_true(kit_holds(k, "b", "later"));
    undo.txn = 6; /* ended: neither its effects nor its row are to be touched */
    assert_int_equal(kit_ask(k, &undo), OK);
    assert_true(kit_holds(k, "b", "later"));
    assert_int_equal(kit_ask(k, &show), OK);
    assert_string_equal(show.rows[0].outcome, "committed");
    assert_int_equal(show.effect_count, 1);
    store_request_fini(&show);
}

static void an_early_write_that_ends_is_committed(void **state)
{
    struct kit *k = *state;
    struct store_effect e = kit_effect("a", "newer", "final");
    struct store_entry entry = kit_entry(5, "committed", &e, 1);

    write_early(k);
    entry.first_effect = 4;
    assert_int_equal(kit_commit(k, &entry, NULL), OK);
    reopen(k);
    assert_int_equal(k->store->ops->facts(k->store)->undone, 0);
    assert_true(kit_holds(k, "a", "final"));
    assert_int_equal(kit_kept(k, 5), 5);
}

static void recovery_undoes_what_was_killed_before_its_end(void **state)
{
    struct kit *k = *state;
    struct failure why = { 0 };
    pid_t child;
    int status;

    kit_close(k);
    child = fork();
    if (child == 0) {
        if (kit_open(k, &why) == OK)
            write_early(k);
        kill(getpid(), SIGKILL);
    }
    waitpid(child, &status, 0);
    assert_int_equal(kit_open(k, &why), OK);
    assert_int_equal(k->store->ops->facts(k->store)->undone, 1);
    check_undone(k, "ROLLEDBACK");
    reopen(k);
    assert_int_equal(k->store->ops->facts(k->store)->undone, 0);
    check_undone(k, "ROLLEDBACK");
}

/* Transaction n writes n to "n" and to "count": whole or not at all, and what was told is not lost (T7). Every third is
 * written early and ends one later. Forever, until killed. */
static _Noreturn void commit_until_killed(struct kit *k, int pipe_fd)
{
    struct failure why = { 0 };
    uint64_t n;

    if (kit_open(k, &why) != OK)
        _exit(1);
    for (n = k->store->ops->facts(k->store)->txn_next; n < TOLD_MAX; n++) {
        char text[32];
        struct store_effect e[2];
        struct store_entry entry;

        snprintf(text, sizeof text, "%llu", (unsigned long long)n);
        e[0] = kit_effect(text, NULL, text);
        e[1] = kit_effect("count", NULL, text);
        e[1].before = (struct image){ 0 };
        if (n % 3 == 0) {
            char early[40];
            struct store_effect early_effect;
            snprintf(early, sizeof early, "early:%llu", (unsigned long long)n);
            early_effect = kit_effect(early, NULL, text);
            entry = kit_entry(n, NULL, &early_effect, 1);
            if (kit_commit(k, &entry, NULL) != OK)
                _exit(1);
        }
        entry = kit_entry(n, "committed", e, 2);
        entry.first_effect = 1;
        if (kit_commit(k, &entry, NULL) != OK || write(pipe_fd, &n, sizeof n) != sizeof n)
            _exit(1);
    }
    _exit(1);
}

static bool told[TOLD_MAX]; /* which transactions the children said were done */

static void check_whole(struct kit *k, uint64_t last)
{
    uint64_t next = k->store->ops->facts(k->store)->txn_next;

    assert_true(next > last);
    for (uint64_t n = last > 20 ? last - 20 : 1; n <= next; n++) {
        char text[32], early[40];
        bool ended;

        snprintf(text, sizeof text, "%llu", (unsigned long long)n);
        snprintf(early, sizeof early, "early:%llu", (unsigned long long)n);
        ended = kit_kept(k, n) > 0;
        assert_true(ended || !told[n]);
        assert_true(kit_holds(k, text, ended ? text : NULL));
        assert_true(kit_holds(k, early, ended && n % 3 == 0 ? text : NULL));
    }
}

static void killed_at_any_moment_transactions_are_whole_and_none_told_is_lost(void **state)
{
    struct kit *k = *state;
    unsigned seed = (unsigned)time(NULL);
    uint64_t last = 0, n;

    print_message("seed %u\n", seed);
    srand(seed);
    k->options.synchronous = 1;
    for (int i = 0; i < KILLS; i++) {
        struct timespec pause = { 0, (2 + rand() % 25) * 1000000L };
        struct failure why = { 0 };
        int fds[2], status;
        pid_t child;

        kit_close(k);
        assert_int_equal(pipe(fds), 0);
        child = fork();
        if (child == 0)
            commit_until_killed(k, fds[1]);
        close(fds[1]);
        nanosleep(&pause, NULL);
        kill(child, SIGKILL);
        while (read(fds[0], &n, sizeof n) == sizeof n)
            told[last = n] = true;
        close(fds[0]);
        waitpid(child, &status, 0);
        assert_true(WIFSIGNALED(status));
        if (kit_open(k, &why) != OK)
            fail_msg("%s", why.text);
        check_whole(k, last);
    }
    print_message("%llu transactions\n", (unsigned long long)last);
    assert_true(last > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(undo_twice_is_undo_once),
        CASE(an_early_write_that_ends_is_committed),
        CASE(recovery_undoes_what_was_killed_before_its_end),
        CASE(killed_at_any_moment_transactions_are_whole_and_none_told_is_lost),
    };

    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
