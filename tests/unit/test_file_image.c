/* Images of files and timers in bytes, and the grammar of paths: what is read is exactly what was written, or refused. */
#include "txn/file_image.h"
#include "txn/timer_image.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct file_image images[] = {
    { .kind = FILE_DIRECTORY, .mode = 0755, .inode = 12, .mtime_ns = -5 },
    { .kind = FILE_STANDING,
      .mode = 0644,
      .inode = 99,
      .size = 1 << 30,
      .mtime_ns = 1700000000000000001,
      .origin = { "r/a b", 5 } },
    { .kind = FILE_STANDING, .mode = 04755, .inode = 7, .size = 3, .stage = 2, .stage_len = 9, .origin = { "x", 1 } },
    { .kind = FILE_STANDING, .cut = true, .mode = 0, .size = 3, .mtime_ns = 1, .origin = { "\xff\x01", 2 } },
    { .kind = FILE_KEPT,
      .mode = 0600,
      .inode = 1,
      .size = 0,
      .kept_txn = UINT64_MAX,
      .kept_seq = 1,
      .origin = { "d/e/f", 5 } },
    { .kind = FILE_NEW, .mode = 0644, .inode = 0, .stage = 1, .stage_len = 0 },
};
enum { IMAGES = sizeof images / sizeof images[0] };

static void images_come_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < IMAGES; i++) {
        struct file_image read;
        struct buf b;
        buf_init(&b, FILE_IMAGE_MAX);
        assert_true(file_image_add(&b, &images[i]));
        assert_true(file_image_read(buf_bytes(&b), &read));
        assert_int_equal(read.kind, images[i].kind);
        assert_int_equal(read.cut, images[i].cut);
        assert_int_equal(read.mode, images[i].mode);
        assert_true(read.inode == images[i].inode && read.size == images[i].size);
        assert_true(read.mtime_ns == images[i].mtime_ns && read.kept_txn == images[i].kept_txn);
        assert_true(read.kept_seq == images[i].kept_seq && read.stage == images[i].stage);
        assert_true(read.stage_len == images[i].stage_len && bytes_equal(read.origin, images[i].origin));
        buf_fini(&b);
    }
}

/* Whatever bit is turned: refused, or an image of which the very same bytes come. */
static void only_what_would_be_written_is_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < IMAGES; i++) {
        struct file_image read = { .kind = 77 };
        struct buf b, again;
        buf_init(&b, FILE_IMAGE_MAX);
        buf_init(&again, FILE_IMAGE_MAX);
        assert_true(file_image_add(&b, &images[i]));
        for (size_t len = 0; len < b.len; len++)
            assert_false(file_image_read(bytes_of(b.data, len), &read));
        assert_int_equal(buf_add_u8(&b, 0), OK);
        assert_false(file_image_read(buf_bytes(&b), &read));
        assert_int_equal(read.kind, 77);
        b.len--;
        for (size_t bit = 0; bit < 8 * b.len; bit++) {
            b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            if (file_image_read(buf_bytes(&b), &read)) {
                buf_clear(&again);
                assert_true(file_image_add(&again, &read));
                assert_true(bytes_equal(buf_bytes(&again), buf_bytes(&b)));
            }
            b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        buf_fini(&b);
        buf_fini(&again);
    }
}

static void impossible_images_are_refused(void **state)
{
    static const struct file_image wrong[] = {
        { .kind = 0 },
        { .kind = FILE_NEW + 1, .stage = 1 },
        { .kind = FILE_DIRECTORY, .mode = 010000 },
        { .kind = FILE_NEW }, /* of no stage file */
        { .kind = FILE_STANDING },
        { .kind = FILE_STANDING, .origin = { "../a", 4 } },
        { .kind = FILE_STANDING, .origin = { "a/", 2 } },
        { .kind = FILE_STANDING, .origin = { "a", 1 }, .size = (uint64_t)INT64_MAX + 1 },
        { .kind = FILE_STANDING, .origin = { "a", 1 }, .size = INT64_MAX, .stage = 1, .stage_len = 1 },
        { .kind = FILE_KEPT, .origin = { "a", 1 }, .kept_seq = 1 },
    };
    struct file_image read;
    struct buf b;

    (void)state;
    buf_init(&b, FILE_IMAGE_MAX);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        buf_clear(&b);
        assert_true(file_image_add(&b, &wrong[i]));
        assert_false(file_image_read(buf_bytes(&b), &read));
    }
    buf_fini(&b);
}

static void what_a_kind_does_not_have_is_not_written(void **state)
{
    struct file_image crooked = images[5], read;
    struct buf b;

    (void)state;
    crooked.size = 5;
    crooked.cut = true;
    crooked.kept_txn = 3;
    crooked.origin = bytes_str("a");
    buf_init(&b, FILE_IMAGE_MAX);
    assert_true(file_image_add(&b, &crooked));
    assert_true(file_image_read(buf_bytes(&b), &read));
    assert_true(read.size == 0 && !read.cut && read.kept_txn == 0 && read.origin.len == 0);
    buf_fini(&b);
}

static void no_room_leaves_nothing(void **state)
{
    (void)state;
    for (size_t max = 0; max < 71; max++) {
        struct buf b;
        buf_init(&b, max);
        assert_false(file_image_add(&b, &images[1]));
        assert_int_equal(buf_len(&b), 0);
        buf_fini(&b);
    }
}

static void images_are_told_to_people(void **state)
{
    char out[64];

    (void)state;
    assert_string_equal(file_image_show(&images[0], out, sizeof out), "directory");
    assert_string_equal(file_image_show(&images[4], out, sizeof out), "file 0 bytes mode 0600");
    assert_string_equal(file_image_show(&images[2], out, sizeof out), "file 3+9 bytes mode 4755");
}

static bool valid(const char *path, bool directory)
{
    const char *why = NULL;
    bool is = file_path_valid(bytes_str(path), directory, &why);

    assert_true(is == (why == NULL));
    return is;
}

static void paths_have_a_grammar(void **state)
{
    static const char *const good[] = { "a", "a/b", "r/.hidden", "...", "a b\n", "\xff\xfe", "a/..b", ".graft" };
    static const char *const bad[] = { "",           "/",         "/a",      "a//b",      ".",
                                       "..",         "a/.",       "a/..",    "../a",      "./a",
                                       "a/..",       "a/../../b", ".graftd", "a/.graftd", ".graftd/7/was",
                                       ".graftd-too" };
    char path[64];

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(valid(good[i], false));
        assert_false(valid(good[i], true));
        snprintf(path, sizeof path, "%s/", good[i]);
        assert_true(valid(path, true));
        assert_false(valid(path, false));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(valid(bad[i], false));
        snprintf(path, sizeof path, "%s/", bad[i]);
        assert_false(valid(path, true));
    }
}

static void paths_have_bounds(void **state)
{
    char path[FILE_PATH_MAX + 2];
    const char *why;

    (void)state;
    memset(path, 'a', sizeof path);
    assert_true(file_path_valid(bytes_of(path, FILE_NAME_MAX), false, &why));
    assert_false(file_path_valid(bytes_of(path, FILE_NAME_MAX + 1), false, &why));
    for (size_t i = 200; i < FILE_PATH_MAX; i += 200)
        path[i] = '/';
    assert_true(file_path_valid(bytes_of(path, FILE_PATH_MAX), false, &why));
    assert_false(file_path_valid(bytes_of(path, FILE_PATH_MAX + 1), false, &why));
    for (size_t i = 1; i < 2 * FILE_DEPTH_MAX + 2; i += 2)
        path[i] = '/';
    assert_true(file_path_valid(bytes_of(path, 2 * FILE_DEPTH_MAX - 1), false, &why));
    assert_true(file_path_valid(bytes_of(path, 2 * FILE_DEPTH_MAX), true, &why));
    assert_false(file_path_valid(bytes_of(path, 2 * FILE_DEPTH_MAX + 1), false, &why));
    assert_false(file_path_valid(bytes_of("a\0b", 3), false, &why));
}

/* ---- timers ---- */

static struct timer some_timer(void)
{
    struct timer t = { .due_us = -1,
                       .uid = 1000,
                       .gid = UINT32_MAX,
                       .group_count = 3,
                       .groups = { 4, 24, 27 },
                       .armed_by = 418,
                       .tries = 2,
                       .parked = true };

    t.function = bytes_str("bank.interest");
    t.args = bytes_of("\2\0\0\0\1\0\0\0a\0\0\0\0", 13);
    t.error = bytes_str("TIMEOUT");
    return t;
}

static void timers_come_back(void **state)
{
    struct timer t = some_timer(), read;
    struct buf b;

    (void)state;
    buf_init(&b, TIMER_IMAGE_MAX);
    assert_true(timer_image_add(&b, &t));
    assert_true(timer_image_read(buf_bytes(&b), &read));
    assert_true(read.due_us == -1 && read.uid == 1000 && read.gid == UINT32_MAX && read.group_count == 3);
    assert_memory_equal(read.groups, t.groups, sizeof t.groups);
    assert_true(read.armed_by == 418 && read.tries == 2 && read.parked);
    assert_true(bytes_equal(read.function, t.function) && bytes_equal(read.args, t.args));
    assert_true(bytes_equal(read.error, t.error));
    buf_fini(&b);
}

static void only_timers_that_would_be_written_are_read(void **state)
{
    struct timer t = some_timer(), read;
    struct buf b, again;

    (void)state;
    buf_init(&b, TIMER_IMAGE_MAX);
    buf_init(&again, TIMER_IMAGE_MAX);
    assert_true(timer_image_add(&b, &t));
    for (size_t len = 0; len < b.len; len++)
        assert_false(timer_image_read(bytes_of(b.data, len), &read));
    assert_int_equal(buf_add_u8(&b, 0), OK);
    assert_false(timer_image_read(buf_bytes(&b), &read));
    b.len--;
    for (size_t bit = 0; bit < 8 * b.len; bit++) {
        b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (timer_image_read(buf_bytes(&b), &read)) {
            buf_clear(&again);
            assert_true(timer_image_add(&again, &read));
            assert_true(bytes_equal(buf_bytes(&again), buf_bytes(&b)));
        }
        b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    buf_fini(&b);
    buf_fini(&again);
}

static bool timer_fits(const struct timer *t)
{
    struct buf b;
    bool fits;

    buf_init(&b, 2 * TIMER_IMAGE_MAX);
    fits = timer_image_add(&b, t);
    assert_true(fits ? buf_len(&b) <= TIMER_IMAGE_MAX : buf_len(&b) == 0);
    buf_fini(&b);
    return fits;
}

static void timers_have_bounds(void **state)
{
    char *much = calloc(1, TIMER_ARGS_MAX + 1);
    struct timer t = some_timer();
    uint32_t len = TIMER_ARGS_MAX - 8;

    (void)state;
    assert_non_null(much);
    much[0] = 1;
    memcpy(much + 4, &len, 4);
    t.args = bytes_of(much, TIMER_ARGS_MAX);
    t.group_count = TIMER_GROUPS_MAX;
    t.function = bytes_of(much, TIMER_FUNCTION_MAX);
    t.error = bytes_of(much, TIMER_ERROR_MAX);
    assert_true(timer_fits(&t));
    t.args.len++;
    assert_false(timer_fits(&t));
    t.args.len -= 2;
    assert_false(timer_fits(&t)); /* a list that is cut */
    t.args = bytes_of("\0\0\0\0", 4);
    assert_true(timer_fits(&t));
    t.args = bytes_of(NULL, 0);
    assert_false(timer_fits(&t));
    t = some_timer();
    t.function.len = 0;
    assert_false(timer_fits(&t));
    t.function = bytes_of(much, TIMER_FUNCTION_MAX + 1);
    assert_false(timer_fits(&t));
    t = some_timer();
    t.error = bytes_of(much, TIMER_ERROR_MAX + 1);
    assert_false(timer_fits(&t));
    t = some_timer();
    t.group_count = TIMER_GROUPS_MAX + 1;
    assert_false(timer_fits(&t));
    free(much);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(images_come_back),
        cmocka_unit_test(only_what_would_be_written_is_read),
        cmocka_unit_test(impossible_images_are_refused),
        cmocka_unit_test(what_a_kind_does_not_have_is_not_written),
        cmocka_unit_test(no_room_leaves_nothing),
        cmocka_unit_test(images_are_told_to_people),
        cmocka_unit_test(paths_have_a_grammar),
        cmocka_unit_test(paths_have_bounds),
        cmocka_unit_test(timers_come_back),
        cmocka_unit_test(only_timers_that_would_be_written_are_read),
        cmocka_unit_test(timers_have_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
