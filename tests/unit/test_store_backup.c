/*
 * Backups of the real store: a copy that is taken while transactions go on is one of their states, and replaces
 * nothing.
 */
#include "tests/store_case.h"

enum { ACCOUNTS = 20, TRANSFERS = 400 };

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_backup_taken_while_running_is_consistent),
        CASE(a_backup_replaces_nothing),
    };

    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
