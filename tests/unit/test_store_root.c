/*
 * T10 for files, in the real store: where one cannot go back, or its root is gone or elsewhere, the store stops and
 * stays closed until somebody has cleared the way; it never guesses.
 */
#include "tests/engine_file.h"
#include "tests/store_format_2.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

/* T10: it was applied, and then somebody else changed the file before it could be taken back. */
static void files_that_cannot_go_back_stop_the_store_and_keep_it_closed(void **state)
{
    struct world *w = *state;
    struct store_effect e = wrote(w, 1, "a", 1, "one");
    struct failure why = { 0 };
    struct store_request get = { .kind = STORE_GET };

    commit_files(w, 1, &e, 1);
    e = wrote(w, 2, "a", 1, "two");
    store(w, 2, NULL, 0, &e, 1);
    assert_int_equal(apply(w, 2), OK);
    put_outside(w, "a", "theirs");
    assert_int_equal(undo(w, 2), ERR_UNKNOWN);
    assert_int_equal(ask(w, &get), ERR_STORAGE);
    assert_non_null(strstr(get.why.text, "a"));
    shut(w);
    assert_int_equal(kit_open(&w->kit, &why), ERR_STORAGE);
    assert_non_null(strstr(why.text, "recovery failed"));
    assert_true(file_holds(w, "a", "theirs"));
    unlink(under_files(w, "a"));
    w->kit.store = NULL;
}

/* A root of this name beside the standard one, from the next open on; NULL: none. */
static void give_root(struct world *w, const char *name, const char *directory)
{
    static struct file_root root;
    static char path[512];

    snprintf(path, sizeof path, "%s/%s", w->kit.directory, directory);
    assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
    root = (struct file_root){ name, path };
    w->kit.options.roots = &root;
    w->kit.options.root_count = name != NULL;
}

static void must_refuse(struct world *w, const char *const parts[4])
{
    struct failure why = { 0 };

    assert_int_equal(kit_open(&w->kit, &why), ERR_STORAGE);
    w->kit.store = NULL;
    for (size_t i = 0; i < 4; i++)
        if (strstr(why.text, parts[i]) == NULL)
            fail_msg("no \"%s\" in: %s", parts[i], why.text);
}

static bool outside_holds(struct world *w, const char *name, const char *text)
{
    char content[64];
    int fd = open(kit_path(&w->kit, name), O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, content, sizeof content);

    if (fd >= 0)
        close(fd);
    return (n < 0) == (text == NULL) && (text == NULL || bytes_equal(bytes_of(content, (size_t)n), bytes_str(text)));
}

/* T10: where the undo would look is not where the change was made. */
static void what_changed_files_waits_for_the_root_in_which_it_did(void **state)
{
    struct world *w = *state;
    struct store_effect e;

    shut(w);
    give_root(w, "extra", "x");
    must_open(w);
    e = wrote(w, 7, "extra/a", 1, "one");
    store(w, 7, NULL, 0, &e, 1);
    assert_int_equal(apply(w, 7), OK);
    assert_true(outside_holds(w, "x/a", "one"));
    shut(w);
    give_root(w, NULL, "x");
    must_refuse(w, (const char *[]){ "transaction 7 ", "\"extra\"", kit_path(&w->kit, "x"), "put root extra" });
    must_refuse(w, (const char *[]){ "transaction 7 ", "\"extra\"", kit_path(&w->kit, "x"), "no longer" });
    give_root(w, "extra", "y");
    must_refuse(w, (const char *[]){ "transaction 7 ", kit_path(&w->kit, "x"), kit_path(&w->kit, "y"), "again" });
    assert_true(outside_holds(w, "x/a", "one"));
    give_root(w, "extra", "x");
    must_open(w);
    assert_int_equal(facts(w)->undone, 1);
    assert_true(outside_holds(w, "x/a", NULL));
    shut(w);
    give_root(w, NULL, "x"); /* nothing needs it any more */
    must_open(w);
}

static void what_changed_files_of_the_standard_root_is_not_looked_for_in_a_new_one(void **state)
{
    struct world *w = *state;
    struct store_effect e[] = { made_directory("extra/"), wrote(w, 7, "extra/a", 1, "one") };

    store(w, 7, NULL, 0, e, 2);
    assert_int_equal(apply(w, 7), OK);
    shut(w);
    give_root(w, "extra", "x");
    must_refuse(w, (const char *[]){ "transaction 7 ", "\"extra\"", kit_path(&w->kit, "x"), "out of the policy" });
    assert_true(file_holds(w, "extra/a", "one"));
    give_root(w, NULL, "x");
    must_open(w);
    assert_false(has_directory(w, "extra"));
    shut(w);
    give_root(w, "extra", "x");
    must_open(w);
    e[1] = wrote(w, 8, "extra/a", 1, "two");
    commit_files(w, 8, &e[1], 1);
    shut(w);
    give_root(w, "extra", "y"); /* what ended waits for nothing */
    must_open(w);
}

/* Format 3 as its first databases were: they are not asked, and remember from then on. */
static void a_database_that_remembers_no_roots_learns_them(void **state)
{
    struct world *w = *state;
    struct store_effect e;

    shut(w);
    change_database(kit_path(&w->kit, "graftd.db"), "DROP TABLE root; PRAGMA user_version = 3");
    give_root(w, "extra", "x");
    must_open(w);
    e = wrote(w, 7, "extra/a", 1, "one");
    store(w, 7, NULL, 0, &e, 1);
    shut(w);
    give_root(w, NULL, "x");
    must_refuse(w, (const char *[]){ "transaction 7 ", "\"extra\"", kit_path(&w->kit, "x"), "put root extra" });
    give_root(w, "extra", "x");
    must_open(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        REAL(files_that_cannot_go_back_stop_the_store_and_keep_it_closed),
        REAL(what_changed_files_waits_for_the_root_in_which_it_did),
        REAL(what_changed_files_of_the_standard_root_is_not_looked_for_in_a_new_one),
        REAL(a_database_that_remembers_no_roots_learns_them),
    };

    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
