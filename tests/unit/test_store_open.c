/*
 * Opening the real store: what is not ours is refused and left as it is, a directory has one owner, and a database of
 * the first release is brought up to date. (One of the second: test_store_item.c.)
 */
#include "tests/store_case.h"
#include "tests/store_format_1.h"
#include "tests/store_format_2.h"

#include <fcntl.h>
#include <sys/stat.h>

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
    data[63] = 5;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(refuses_files_that_are_not_ours_and_leaves_them),
        CASE(refuses_a_log_without_its_database),
        CASE(refuses_a_directory_in_use),
        CASE(an_earlier_release_s_database_is_brought_up_to_date),
    };

    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
