/*
 * Directories on disk, listed: in byte order, a page at a time, without reading all of a large one for each page or in one
 * go; and what changes meanwhile. Links --wrap=readdir, which counts.
 */
#include "tests/disk_case.h"

#include <dirent.h>
#include <time.h>

struct dirent *__real_readdir(DIR *stream);
struct dirent *__wrap_readdir(DIR *stream);
static size_t entries_read;

struct dirent *__wrap_readdir(DIR *stream)
{
    entries_read++;
    return __real_readdir(stream);
}

static void lists_in_byte_order(void **state)
{
    bool more;

    (void)state;
    disk_kit_put(&kit, "d.x", "", 0600); /* before "d/" in byte order, as "." is before "/" */
    disk_kit_put(&kit, "\xff\n odd", "", 0600);
    assert_string_equal(list("", "", 100, &more), "a b d.x d/ r/ \xff\n odd ");
    assert_false(more);
    assert_string_equal(list("", "b", 2, &more), "b d.x ");
    assert_true(more);
    assert_string_equal(list("", "d.x\x01", 3, &more), "d/ r/ \xff\n odd ");
    assert_false(more);
    assert_string_equal(list("", "", 0, &more), "");
    assert_true(more);
    assert_string_equal(list("d/", "", 9, &more), "d/x ");
    assert_string_equal(list("r/", "", 9, &more), "r/z ");
    assert_null(list("none/", "", 9, &more));
    assert_int_equal(why.err, ERR_ABSENT);
    assert_null(list("a/", "", 9, &more));
    assert_int_equal(why.err, ERR_BADARG);
    assert_null(list("d", "", 9, &more));
    assert_null(list("../", "", 9, &more));
}

static void a_directory_too_large_is_not_listed(void **state)
{
    char path[128];
    bool more;

    (void)state;
    disk_kit_dir(&kit, "many");
    for (int i = 0; i <= FILE_LIST_MAX; i++) {
        snprintf(path, sizeof path, "%s/files/many/%d", kit.top, i);
        assert_int_equal(mknod(path, S_IFREG | 0600, 0), 0);
    }
    assert_null(list("many/", "", 1, &more));
    assert_int_equal(why.err, ERR_LIMIT);
    assert_int_equal(unlink(path), 0);
    assert_string_equal(list("many/", "", 1, &more), "many/0 ");
    assert_true(more);
}

/* Until the directory's ctime is so old that a change must show in it. */
static void let_settle(const char *path)
{
    struct stat s;
    struct timespec now;

    assert_int_equal(stat(disk_kit_real(&kit, path), &s), 0);
    do {
        usleep(100000);
        clock_gettime(CLOCK_REALTIME, &now);
    } while (now.tv_sec - s.st_ctim.tv_sec < 4);
}

struct walk {
    char last[32];
    int count;
};

static enum err walk_on(struct bytes path, const struct file_image *i, void *user)
{
    struct walk *w = user;

    assert_int_equal(i->kind, FILE_STANDING);
    assert_true(bytes_compare(path, bytes_str(w->last)) > 0 && path.len < sizeof w->last);
    snprintf(w->last, sizeof w->last, "%.*s", (int)path.len, (const char *)path.data);
    w->count++;
    return OK;
}

/* All of it, page by page. */
static int walk_through(const char *directory, size_t page)
{
    struct walk w = { 0 };
    bool more = true;

    for (int turns = 0; more && turns < 1000; turns++) {
        enum err err = files_list(kit.disk, bytes_str(directory), bytes_of(w.last, strlen(w.last) + 1), page, walk_on,
                                  &w, &more, &why);
        assert_true(err == OK || err == ERR_WAIT);
        more = more || err == ERR_WAIT;
    }
    assert_false(more);
    return w.count;
}

static void the_pages_of_a_large_directory_do_not_each_read_it_whole(void **state)
{
    enum { FILES = 10000, PAGE = 100 };
    char path[128];
    bool more;

    (void)state;
    disk_kit_dir(&kit, "many");
    for (int i = 0; i < FILES; i++) {
        snprintf(path, sizeof path, "%s/files/many/%05d", kit.top, i * 7 % FILES);
        assert_int_equal(mknod(path, S_IFREG | 0600, 0), 0);
    }
    assert_int_equal(walk_through("many/", PAGE), FILES); /* changed just now: nothing may be kept of it */
    let_settle("many");
    entries_read = 0;
    assert_int_equal(walk_through("many/", PAGE), FILES);
    assert_in_range(entries_read, FILES, 4 * FILES);
    entries_read = 0;
    assert_int_equal(walk_through("many/", PAGE), FILES); /* of two who list it, the other one does not read it again */
    assert_in_range(entries_read, 0, FILES);

    /* What changed shows at once, also when it changes again within a tick of the clock. */
    assert_string_equal(list("many/", "many/00100", 2, &more), "many/00100 many/00101 ");
    disk_kit_put(&kit, "many/00100x", "", 0600);
    assert_string_equal(list("many/", "many/00100", 2, &more), "many/00100 many/00100x ");
    assert_int_equal(unlink(disk_kit_real(&kit, "many/00100")), 0);
    assert_string_equal(list("many/", "many/00100", 2, &more), "many/00100x many/00101 ");
    assert_int_equal(walk_through("many/", PAGE), FILES);
}

static void what_changes_while_it_is_read_in_slices_is_told(void **state)
{
    enum { FILES = 10000 };
    static const char *const first[] = { "many/!b", "many/!a" }; /* behind none of the others */
    char path[128];
    bool more;

    (void)state;
    disk_kit_dir(&kit, "many");
    for (int f = 0; f < FILES; f++) {
        snprintf(path, sizeof path, "%s/files/many/%05d", kit.top, f);
        assert_int_equal(mknod(path, S_IFREG | 0600, 0), 0);
    }
    for (int settled = 0; settled < 2; settled++) {
        if (settled == 1)
            let_settle("many");
        entries_read = 0;
        assert_int_equal(list_slice("many/", "", 1, &more), ERR_WAIT);
        assert_in_range(entries_read, 1, FILES / 2);
        disk_kit_begin(&kit, 7 + (uint64_t)settled);
        disk_kit_write(&kit, first[settled], "new");
        assert_applied();
        snprintf(path, sizeof path, "%s ", first[settled]);
        assert_string_equal(list("many/", "", 1, &more), path);
        assert_true(more);
    }
}

static void a_page_begins_where_it_is_asked_to(void **state)
{
    enum { FILES = 5000 };
    char path[128];
    bool more;

    (void)state;
    disk_kit_dir(&kit, "many");
    for (int i = 0; i < FILES; i++) {
        snprintf(path, sizeof path, "%s/files/many/%05d", kit.top, i);
        assert_int_equal(i == FILES - 1 ? mknod(path, S_IFREG | 0600, 0) : mkdir(path, 0700), 0);
    }
    assert_string_equal(list("many/", "many/04998", 2, &more), "many/04998/ many/04999 ");
    assert_false(more);
    assert_string_equal(list("many/", "many/04999/", 2, &more), "");
    assert_false(more);
    assert_string_equal(list("many/", "manz", 2, &more), "");
    assert_false(more);
    assert_string_equal(list("many/", "man", 1, &more), "many/00000/ ");
    assert_true(more);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lists_in_byte_order),
        TEST(a_directory_too_large_is_not_listed),
        TEST(the_pages_of_a_large_directory_do_not_each_read_it_whole),
        TEST(what_changes_while_it_is_read_in_slices_is_told),
        TEST(a_page_begins_where_it_is_asked_to),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
