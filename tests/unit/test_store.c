/* txn/store.h with the real engine: order, T5, T7, the history, backups, and files that are not ours. */
#include "tests/store_format_1.h"
#include "tests/store_format_2.h"
#include "tests/store_kit.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

enum { KILLS = 40, ACCOUNTS = 20, TRANSFERS = 400, TOLD_MAX = 1 << 20 };

static int setup(void **state)
{
    static struct kit kit;
    struct failure why = { 0 };

    kit_init(&kit);
    if (kit_open(&kit, &why) != OK)
        fail_msg("%s", why.text);
    *state = &kit;
    return 0;
}

static int teardown(void **state)
{
    kit_fini(*state);
    return 0;
}

static void reopen(struct kit *k)
{
    struct failure why = { 0 };

    kit_close(k);
    if (kit_open(k, &why) != OK)
        fail_msg("%s", why.text);
}

/* --- order and commits --- */

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

/* --- questions --- */

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

/* --- undo and recovery --- */

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

/* --- backup --- */

struct teller {
    struct kit *kit;
    struct store_request request;
    struct store_entry entry;
    struct store_effect effects[2];
    char text[4][16];
    int balance[ACCOUNTS];
    int left;
    char names[2][16];
};

static void transfer(struct store_request *r)
{
    struct teller *t = r->owner;
    int from = rand() % ACCOUNTS, to = (from + 1 + rand() % (ACCOUNTS - 1)) % ACCOUNTS;

    assert_int_equal(r->why.err, OK);
    if (t->left-- == 0)
        return;
    for (int i = 0; i < 2; i++) {
        int who = i == 0 ? from : to;
        snprintf(t->names[i], sizeof t->names[i], "acct:%d", who);
        snprintf(t->text[2 * i], sizeof t->text[0], "%d", t->balance[who]);
        t->balance[who] += i == 0 ? -1 : 1;
        snprintf(t->text[2 * i + 1], sizeof t->text[0], "%d", t->balance[who]);
        t->effects[i] = kit_effect(t->names[i], t->text[2 * i], t->text[2 * i + 1]);
    }
    t->entry = kit_entry(t->entry.txn + 1, "committed", t->effects, 2);
    t->kit->store->ops->submit(t->kit->store, r);
}

/* The copy, opened as a store, must hold accounts whose sum nobody changed, and nothing of a transaction that has not
 * ended. */
static void check_copy(const char *path)
{
    struct kit copy;
    struct failure why = { 0 };
    struct store_request scan = { .kind = STORE_SCAN, .prefix = bytes_str("acct:"), .count_max = 100 };
    int64_t sum = 0, balance = 0;

    kit_init(&copy);
    assert_int_equal(rename(path, kit_path(&copy, "graftd.db")), 0);
    if (kit_open(&copy, &why) != OK)
        fail_msg("%s", why.text);
    assert_int_equal(copy.store->ops->facts(copy.store)->undone, 0);
    assert_true(kit_holds(&copy, "open", NULL));
    assert_int_equal(kit_ask(&copy, &scan), OK);
    assert_int_equal(scan.pair_count, ACCOUNTS);
    for (size_t i = 0; i < scan.pair_count; i++) {
        assert_true(bytes_to_i64(scan.pairs[i].value.value, &balance));
        sum += balance;
    }
    assert_int_equal(sum, ACCOUNTS * 100);
    store_request_fini(&scan);
    kit_fini(&copy);
}

static void a_backup_taken_while_running_is_consistent(void **state)
{
    struct kit *k = *state;
    struct teller t = { .kit = k, .entry.txn = 10000, .left = TRANSFERS };
    char path[512];
    bool done = false;
    struct store_request backup = { .kind = STORE_BACKUP, .path = path, .done = kit_done, .owner = &done };
    static char filler[30000];

    snprintf(path, sizeof path, "%s", kit_path(k, "copy.db"));
    memset(filler, 'f', sizeof filler - 1);
    for (uint64_t i = 0; i < ACCOUNTS; i++) {
        char name[32];
        t.balance[i] = 100;
        snprintf(name, sizeof name, "acct:%d", (int)i);
        assert_int_equal(kit_put(k, i + 1, "committed", name, NULL, "100"), OK);
    }
    for (uint64_t i = 0; i < 100; i++) { /* enough pages for many steps */
        char name[32];
        snprintf(name, sizeof name, "filler:%d", (int)i);
        assert_int_equal(kit_put(k, 100 + i, "committed", name, NULL, filler), OK);
    }
    assert_int_equal(kit_put(k, 9999, NULL, "open", NULL, "not yet"), OK);
    t.request = (struct store_request){
        .kind = STORE_COMMIT, .entries = &t.entry, .entry_count = 1, .done = transfer, .owner = &t
    };
    transfer(&t.request);
    k->store->ops->submit(k->store, &backup);
    while (!done || t.left >= 0) {
        sem_wait(&k->woken);
        k->store->ops->poll(k->store);
    }
    assert_int_equal(backup.why.err, OK);
    assert_int_not_equal(access(kit_path(k, "copy.db.partial"), F_OK), 0);
    assert_int_not_equal(access(kit_path(k, "copy.db-wal"), F_OK), 0);
    assert_int_not_equal(access(kit_path(k, "copy.db.partial-wal"), F_OK), 0);
    check_copy(path);
    assert_true(kit_holds(k, "open", "not yet"));
}

static void a_backup_replaces_nothing(void **state)
{
    struct kit *k = *state;
    struct store_request backup = { .kind = STORE_BACKUP, .path = kit_path(k, "lock") };

    assert_int_equal(kit_ask(k, &backup), ERR_BADARG);
    backup.path = "relative.db";
    assert_int_equal(kit_ask(k, &backup), ERR_BADARG);
    backup.path = "/nonexistent/directory/copy.db";
    assert_int_equal(kit_ask(k, &backup), ERR_STORAGE);
    assert_int_equal(kit_put(k, 1, "committed", "a", NULL, "still works"), OK);
}

/* --- files that are not ours --- */

static struct bytes file_read(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY);
    char *data;

    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    data = malloc((size_t)st.st_size + 1);
    assert_int_equal(read(fd, data, (size_t)st.st_size), st.st_size);
    close(fd);
    return bytes_of(data, (size_t)st.st_size);
}

static void file_write(const char *path, struct bytes b)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, b.data, b.len), b.len);
    close(fd);
}

static void check_refused(struct kit *k, struct bytes content, const char *because)
{
    struct failure why = { 0 };
    struct bytes after;

    file_write(kit_path(k, "graftd.db"), content);
    assert_int_equal(kit_open(k, &why), ERR_STORAGE);
    if (strstr(why.text, because) == NULL)
        fail_msg("'%s' is not in: %s", because, why.text);
    after = file_read(kit_path(k, "graftd.db"));
    assert_true(bytes_equal(content, after));
    free((void *)(uintptr_t)after.data);
}

static void refuses_files_that_are_not_ours_and_leaves_them(void **state)
{
    struct kit *k = *state;
    struct bytes good, bad;
    struct failure why = { 0 };
    char *data;

    for (uint64_t n = 1; n <= 200; n++)
        assert_int_equal(kit_put(k, n, "committed", "a", "x", "y"), OK);
    kit_close(k);
    good = file_read(kit_path(k, "graftd.db"));
    data = malloc(good.len);
    bad = bytes_of(data, good.len);

    check_refused(k, bytes_of(NULL, 0), "no database");
    check_refused(k, bytes_str("something that somebody wrote and that is not a database at all, and long enough to be "
                               "one, though not by much"), "no database");
    memcpy(data, good.data, good.len);
    data[68] ^= 1;
    check_refused(k, bad, "another program");
    memcpy(data, good.data, good.len);
    data[63] = 4;
    check_refused(k, bad, "another release");
    check_refused(k, bytes_of(good.data, good.len - 4096), "damaged");
    check_refused(k, bytes_of(good.data, 4096), "damaged");
    memcpy(data, good.data, good.len);
    memset(data + 4096, 0xa5, 4096);
    check_refused(k, bad, "damaged");
    check_refused(k, bytes_of(good.data, 100), "damaged");

    file_write(kit_path(k, "graftd.db"), good);
    assert_int_equal(kit_open(k, &why), OK);
    assert_int_equal(kit_kept(k, 200), 1);
    free(data);
    free((void *)(uintptr_t)good.data);
}

static void refuses_a_log_without_its_database(void **state)
{
    struct kit *k = *state;
    struct failure why = { 0 };

    kit_close(k);
    unlink(kit_path(k, "graftd.db"));
    file_write(kit_path(k, "graftd.db-wal"), bytes_str("log"));
    assert_int_equal(kit_open(k, &why), ERR_STORAGE);
    assert_non_null(strstr(why.text, "is missing"));
}

static void refuses_a_directory_in_use(void **state)
{
    struct kit *k = *state;
    struct store *second = NULL;
    struct failure why = { 0 };
    char pid[32];

    assert_int_equal(store_sqlite_open(&k->options, &second, &why), ERR_STORAGE);
    snprintf(pid, sizeof pid, "(pid %d)", (int)getpid());
    assert_non_null(strstr(why.text, "in use by another graftd"));
    assert_non_null(strstr(why.text, pid));
    assert_int_equal(kit_put(k, 1, "committed", "a", NULL, "b"), OK);
}

/* --- a database of an earlier release --- */

/* Tables, columns, indexes and views, by name: as those of a new database. */
static bool same_schema_as_new(struct kit *k)
{
    static const char sql[] =
        "SELECT count(*) FROM (SELECT m.type, m.name, c.name FROM old.sqlite_schema m "
        "LEFT JOIN pragma_table_info(m.name, 'old') c EXCEPT SELECT m.type, m.name, c.name FROM new.sqlite_schema m "
        "LEFT JOIN pragma_table_info(m.name, 'new') c)";
    struct kit fresh;
    struct failure why = { 0 };
    char attach[600], other[600];
    bool same;

    kit_init(&fresh);
    assert_int_equal(kit_open(&fresh, &why), OK);
    kit_close(&fresh);
    snprintf(attach, sizeof attach, "ATTACH '%s' AS old; ATTACH '%s' AS new", kit_path(k, "graftd.db"),
             kit_path(&fresh, "graftd.db"));
    snprintf(other, sizeof other, "ATTACH '%s' AS new; ATTACH '%s' AS old", kit_path(k, "graftd.db"),
             kit_path(&fresh, "graftd.db"));
    same = select_with(attach, sql) == 0 && select_with(other, sql) == 0;
    kit_fini(&fresh);
    return same;
}

static void an_earlier_release_s_database_is_brought_up_to_date(void **state)
{
    struct kit *k = *state;
    struct store_request at = { .kind = STORE_AT, .txn = 1, .key = bytes_str("a") };
    struct store_request blame = { .kind = STORE_BLAME, .key = bytes_str("a"), .count_max = 9 };

    kit_close(k);
    make_format_1(k);
    reopen(k);
    assert_int_equal(k->store->ops->facts(k->store)->undone, 1);
    assert_int_equal(k->store->ops->facts(k->store)->txn_next, 101);
    assert_true(kit_holds(k, "a", "one"));
    assert_true(kit_holds(k, "b", NULL));
    assert_int_equal(kit_kept(k, 1), 1);
    assert_int_equal(kit_kept(k, 2), 0);
    assert_int_equal(kit_ask(k, &at), ERR_ABSENT); /* the order of its commits was not recorded */
    assert_int_equal(kit_put(k, 101, "committed", "a", "one", "new"), OK);
    assert_int_equal(kit_put(k, 102, "committed", "a", "new", "newer"), OK);
    reopen(k);
    at.txn = 101;
    assert_int_equal(kit_ask(k, &at), OK);
    assert_true(bytes_equal(at.pairs[0].value.value, bytes_str("new")));
    store_request_fini(&at);
    assert_int_equal(kit_ask(k, &blame), OK);
    assert_int_equal(blame.row_count, 2);
    assert_true(bytes_equal(blame.effects[1].before.value, bytes_str("one")));
    store_request_fini(&blame);
    kit_close(k);
    assert_true(same_schema_as_new(k));
    reopen(k);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

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
        CASE(undo_twice_is_undo_once),
        CASE(an_early_write_that_ends_is_committed),
        CASE(recovery_undoes_what_was_killed_before_its_end),
        CASE(killed_at_any_moment_transactions_are_whole_and_none_told_is_lost),
        CASE(old_history_is_forgotten),
        CASE(too_much_history_is_forgotten_from_the_oldest),
        CASE(a_large_transaction_is_forgotten_whole_though_in_steps),
        CASE(a_backup_taken_while_running_is_consistent),
        CASE(a_backup_replaces_nothing),
        CASE(refuses_files_that_are_not_ours_and_leaves_them),
        CASE(refuses_a_log_without_its_database),
        CASE(refuses_a_directory_in_use),
        CASE(an_earlier_release_s_database_is_brought_up_to_date),
    };

    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
