/*
 * Files on disk, looked at: what stands, content that is read as it was or not at all; and the roots that are opened for
 * it.
 */
#include "tests/disk_case.h"

static void says_what_stands(void **state)
{
    struct file_image i;

    (void)state;
    assert_int_equal(look("a", &i), OK);
    assert_true(i.kind == FILE_STANDING && i.size == 10 && i.mode == 0640 && i.inode == inode_of("a"));
    assert_true(i.mtime_ns == 1000000001123456789 && bytes_equal(i.origin, bytes_str("a")));
    assert_int_equal(look("d", &i), OK);
    assert_int_equal(i.kind, FILE_DIRECTORY);
    assert_int_equal(look("d/", &i), OK);
    assert_int_equal(look("r/", &i), OK);
    assert_int_equal(look("r", &i), OK);
    assert_int_equal(i.kind, FILE_DIRECTORY);
    assert_int_equal(look("none", &i), ERR_ABSENT);
    assert_int_equal(look("none/below", &i), ERR_ABSENT);
    assert_int_equal(look("a/", &i), ERR_BADARG);
    assert_int_equal(look("a/below", &i), ERR_BADARG);
    assert_int_equal(look("z", &i), ERR_ABSENT); /* it is in the root r */
}

static void reads_what_an_image_says(void **state)
{
    struct file_image i;
    char out[512];

    (void)state;
    assert_int_equal(look("a", &i), OK);
    assert_int_equal(read_all("a", &i, 0, 100, out), OK);
    assert_string_equal(out, "first file");
    assert_int_equal(read_all("a", &i, 6, 2, out), OK);
    assert_string_equal(out, "fi");
    assert_int_equal(read_all("a", &i, 10, 5, out), OK);
    assert_string_equal(out, "");
    assert_int_equal(read_all("a", &i, UINT64_MAX, 5, out), OK);
    i.stage = 3;
    i.stage_len = 5;
    disk_kit_stage(&kit, "a", 3, 0, " more, of which five");
    assert_int_equal(read_all("a", &i, 8, 100, out), OK);
    assert_string_equal(out, "le more");
    assert_int_equal(read_all("a", &i, 12, 2, out), OK);
    assert_string_equal(out, "or");
    i.cut = true;
    i.size = 5;
    assert_int_equal(read_all("a", &i, 0, 100, out), OK);
    assert_string_equal(out, "first more");
    disk_kit_put(&kit, "a", "tiny", 0640);
    assert_int_equal(read_all("a", &i, 0, 100, out), ERR_CONFLICT);
}

static void a_file_that_changed_is_not_read(void **state)
{
    struct file_image i;
    char out[512];

    (void)state;
    assert_int_equal(look("a", &i), OK);
    disk_kit_put(&kit, "a", "other file", 0640);
    disk_kit_age(disk_kit_real(&kit, "a"), 5);
    assert_int_equal(read_all("a", &i, 0, 100, out), ERR_CONFLICT);
    assert_int_equal(unlink(disk_kit_real(&kit, "a")), 0);
    assert_int_equal(read_all("a", &i, 0, 100, out), ERR_CONFLICT);
    assert_int_equal(look("b", &i), OK);
    assert_int_equal(unlink(disk_kit_real(&kit, "b")), 0);
    assert_int_equal(mkfifo(disk_kit_real(&kit, "b"), 0600), 0);
    assert_int_equal(read_all("b", &i, 0, 100, out), ERR_CONFLICT); /* and does not wait for a writer */
}

static enum err open_with(const char *first, const char *second)
{
    struct file_root roots[2] = { { "p", first }, { "q", second } };
    struct file_disk *d = NULL;
    char standard[128];
    enum err err;

    snprintf(standard, sizeof standard, "%s/files", kit.top);
    memset(&why, 0, sizeof why);
    err = file_disk_open(standard, roots, second == NULL ? 1 : 2, true, &d, &why);
    assert_true((err == OK) == (d != NULL));
    file_disk_close(&d);
    file_disk_close(&d);
    return err;
}

static void roots_that_cannot_be_are_refused(void **state)
{
    char r[128], other[128], inside[160], file[160];

    (void)state;
    snprintf(r, sizeof r, "%s/r", kit.top);
    snprintf(other, sizeof other, "%s/other", kit.top);
    snprintf(inside, sizeof inside, "%s/deep/deeper", r);
    snprintf(file, sizeof file, "%s/z", r);
    assert_int_equal(open_with(r, NULL), OK);
    assert_int_equal(open_with(other, NULL), ERR_STORAGE);
    assert_int_equal(open_with(file, NULL), ERR_STORAGE);
    assert_int_equal(symlink(r, other), 0);
    assert_int_equal(open_with(r, other), ERR_STORAGE); /* by another name */
    assert_says("two names");
    disk_kit_dir(&kit, "r/deep");
    disk_kit_dir(&kit, "r/deep/deeper");
    assert_int_equal(open_with(r, inside), ERR_STORAGE);
    assert_int_equal(open_with(kit.top, NULL), ERR_STORAGE); /* the standard root lies in it */
    assert_int_equal(open_with(inside, NULL), OK);
}

static void a_graftd_directory_that_is_not_ours_is_refused(void **state)
{
    char r[128];

    (void)state;
    snprintf(r, sizeof r, "%s/r", kit.top);
    assert_int_equal(chmod(disk_kit_real(&kit, "r/.graftd"), 0770), 0);
    assert_int_equal(open_with(r, NULL), ERR_STORAGE);
    assert_says("0700");
    assert_int_equal(rmdir(disk_kit_real(&kit, "r/.graftd")), 0);
    link_to("../files/.graftd", "r/.graftd");
    assert_int_equal(open_with(r, NULL), ERR_STORAGE);
    assert_int_equal(unlink(disk_kit_real(&kit, "r/.graftd")), 0);
    disk_kit_put(&kit, "r/.graftd", "", 0600);
    assert_int_equal(open_with(r, NULL), ERR_STORAGE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(says_what_stands),
        TEST(reads_what_an_image_says),
        TEST(a_file_that_changed_is_not_read),
        TEST(roots_that_cannot_be_are_refused),
        TEST(a_graftd_directory_that_is_not_ours_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
