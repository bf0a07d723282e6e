/*
 * Files on disk, changed: what a change leaves and keeps, what its undo brings back (T5), what is refused whole, and
 * that everything is synced before something leans on it (T4). That all holds at every system call is for
 * tests/fault/fault_file.c.
 */
#include "tests/disk_watch.h"

static void what_a_change_leaves_and_keeps(void **state)
{
    ino_t a = inode_of("a"), b = inode_of("b"), x = inode_of("d/x");
    struct stat s;

    (void)state;
    disk_kit_write(&kit, "a", "new content"); /* replaced: mode stays */
    disk_kit_append(&kit, "b", " and more");  /* in place: inode stays */
    disk_kit_rename(&kit, "d/x", "n/moved");  /* inode, mode, time stay */
    disk_kit_write(&kit, "n/new", "");
    assert_applied();
    assert_true(inode_of("a") != a && inode_of("b") == b && inode_of("n/moved") == x);
    assert_int_equal(lstat(disk_kit_real(&kit, "n/moved"), &s), 0);
    assert_true(s.st_mtim.tv_sec == 1000000003 && (s.st_mode & 07777) == 0644);
    assert_int_equal(lstat(disk_kit_real(&kit, "n"), &s), 0);
    assert_int_equal(s.st_mode & 07777, 0755);
    files_end(kit.disk, 7);
    assert_true(exists(".graftd/7/old.0"));
    assert_false(exists(".graftd/7/was"));
    assert_false(exists(".graftd/7/new.2"));
}

static void what_nothing_is_kept_of_leaves_nothing(void **state)
{
    (void)state;
    disk_kit_write(&kit, "new", "content");
    disk_kit_append(&kit, "b", " and more");
    assert_applied();
    files_end(kit.disk, 7);
    assert_false(exists(".graftd/7"));
    files_end(kit.disk, 7);
    files_end(kit.disk, 8);
    files_forget(kit.disk, 8);
}

static void kept_files_come_back_as_they_were(void **state)
{
    ino_t a = inode_of("a");
    struct file_image of;
    struct stat s;
    char out[512];

    (void)state;
    disk_kit_write(&kit, "a", "new content");
    assert_applied();
    files_end(kit.disk, 7);
    of = kit.paths[0].before;
    disk_kit_begin(&kit, 8);
    disk_kit_keep(&kit, "a", "a", 7, 0, &of, "first file");
    disk_kit_end(&kit);
    assert_int_equal(read_all("a", &kit.paths[0].after, 0, 99, out), OK);
    assert_string_equal(out, "first file");
    assert_applied();
    files_end(kit.disk, 8);
    assert_true(inode_of("a") == a);
    assert_int_equal(lstat(disk_kit_real(&kit, "a"), &s), 0);
    assert_true((s.st_mode & 07777) == 0640 && s.st_mtim.tv_sec == 1000000001);
    /* It has two links now, so an append leaves the kept one alone. */
    disk_kit_begin(&kit, 9);
    disk_kit_append(&kit, "a", "!");
    assert_applied();
    assert_true(inode_of("a") != a);
    assert_text(".graftd/7/old.0", "first file");
    files_forget(kit.disk, 7);
    assert_false(exists(".graftd/7"));
    assert_int_equal(undo(), OK);
    assert_text("a", "first file");
}

static void a_kept_file_that_somebody_changed_is_a_conflict(void **state)
{
    struct file_image of;

    (void)state;
    disk_kit_write(&kit, "a", "new content");
    assert_applied();
    of = kit.paths[0].before;
    disk_kit_put(&kit, ".graftd/7/old.0", "meddled", 0640);
    disk_kit_begin(&kit, 8);
    disk_kit_keep(&kit, "a", "a", 7, 0, &of, "first file");
    assert_int_equal(apply(), ERR_CONFLICT);
    assert_text("a", "new content");
}

/* As an undo of two transactions does it, newest first: what the first puts there, the second finds. */
static void parts_follow_each_other(void **state)
{
    struct file_image written_over, appended_to;

    (void)state;
    disk_kit_write(&kit, "a", "new content");
    assert_applied();
    written_over = kit.paths[0].before;
    files_end(kit.disk, 7);
    disk_kit_begin(&kit, 8);
    disk_kit_append(&kit, "a", " appended");
    assert_applied();
    appended_to = kit.paths[0].before;
    files_end(kit.disk, 8);

    disk_kit_begin(&kit, 9);
    disk_kit_cut(&kit, "a", appended_to.size);
    assert_applied();
    appended_to = kit.paths[0].after; /* the second part speaks of it so */
    disk_kit_begin(&kit, 10);
    disk_kit_keep(&kit, "a", "a", 7, 0, &written_over, "first file");
    kit.paths[0].before = appended_to;
    assert_applied();
    assert_int_equal(undo(), OK);
    assert_text("a", "new content");
    kit.txn = 9;
    assert_int_equal(undo(), OK);
    assert_text("a", "new content appended");
}

static void owner_and_mode_stay(void **state)
{
    struct stat s;

    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(chown(disk_kit_real(&kit, "a"), 1234, 2345), 0);
    assert_int_equal(chown(disk_kit_real(&kit, "b"), 1234, 2345), 0);
    assert_int_equal(chmod(disk_kit_real(&kit, "b"), 06755), 0);
    disk_kit_write(&kit, "a", "new content");
    disk_kit_append(&kit, "b", " and more");
    disk_kit_at(&kit, "b")->after.mode = 0755; /* what ran as its owner for all does so no more */
    disk_kit_end(&kit);
    kit.paths[1].after.mode = 06755;
    assert_int_equal(disk_kit_apply(&kit, &why), OK);
    assert_int_equal(lstat(disk_kit_real(&kit, "a"), &s), 0);
    assert_true(s.st_uid == 1234 && s.st_gid == 2345 && (s.st_mode & 07777) == 0640);
    assert_int_equal(lstat(disk_kit_real(&kit, "b"), &s), 0);
    assert_true(s.st_uid == 1234 && s.st_gid == 2345 && (s.st_mode & 07777) == 0755);
    assert_int_equal(undo(), OK);
    assert_int_equal(lstat(disk_kit_real(&kit, "b"), &s), 0);
    assert_true(s.st_uid == 1234 && (s.st_mode & 07777) == 06755);
}

static void assert_refused(const char *path, void (*change)(struct disk_kit *, const char *, const char *),
                           const char *word)
{
    char *before = disk_kit_tree(&kit), *after;

    disk_kit_begin(&kit, 7);
    change(&kit, path, "not ours to write");
    assert_int_equal(apply(), ERR_STORAGE);
    assert_says(word);
    after = disk_kit_tree(&kit);
    assert_string_equal(before, after);
    free(before);
    free(after);
}

/* graftd as a plain user in a tree that root has a part in: refused with a reason, and never half done. */
static void what_the_user_may_not_is_refused_whole(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    disk_kit_fini(&kit);
    assert_int_equal(seteuid(65534), 0);
    disk_kit_init(&kit);
    assert_int_equal(seteuid(0), 0);
    disk_kit_put(&kit, "roots", "of root, for all to write", 0666);
    assert_int_equal(seteuid(65534), 0);
    disk_kit_dir(&kit, "shut");
    assert_int_equal(chmod(disk_kit_real(&kit, "shut"), 0500), 0);
    assert_refused("roots", disk_kit_write, "belongs to user 0");
    assert_refused("roots", disk_kit_append, "belongs to user 0");
    assert_refused("shut/new", disk_kit_write, "has not the right");
    assert_int_equal(seteuid(0), 0);
}

static void an_unreadable_directory_is_refused_before_it_is_touched(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    disk_kit_fini(&kit);
    assert_int_equal(seteuid(65534), 0);
    disk_kit_init(&kit);
    disk_kit_dir(&kit, "blind");
    assert_int_equal(chmod(disk_kit_real(&kit, "blind"), 0300), 0);
    disk_kit_write(&kit, "blind/new", "x");
    assert_int_equal(apply(), ERR_STORAGE);
    assert_says("has not the right");
    assert_false(exists("blind/new") || exists(".graftd/7"));
    assert_int_equal(seteuid(0), 0);
}

static void a_directory_passes_its_group_on(void **state)
{
    struct stat s;

    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(chown(disk_kit_real(&kit, "d"), 0, 2345), 0);
    assert_int_equal(chmod(disk_kit_real(&kit, "d"), 02775), 0);
    disk_kit_write(&kit, "d/n/new", "new content");
    assert_applied();
    assert_int_equal(lstat(disk_kit_real(&kit, "d/n"), &s), 0);
    assert_true(s.st_gid == 2345 && (s.st_mode & 07777) == 02755);
    assert_int_equal(lstat(disk_kit_real(&kit, "d/n/new"), &s), 0);
    assert_true(s.st_gid == 2345 && (s.st_mode & 07777) == 0644);
}

/* Of a time before 1970, too. */
static void an_undo_puts_times_back(void **state)
{
    struct timespec t[2] = { { .tv_sec = -3, .tv_nsec = 999999999 }, { .tv_sec = -7, .tv_nsec = 1 } };
    char *before;
    char *after;

    (void)state;
    assert_int_equal(utimensat(AT_FDCWD, disk_kit_real(&kit, "a"), t, 0), 0);
    assert_int_equal(utimensat(AT_FDCWD, disk_kit_real(&kit, "d"), t, 0), 0);
    before = disk_kit_tree(&kit);
    disk_kit_append(&kit, "a", " more");
    disk_kit_write(&kit, "d/new", "new content");
    assert_applied();
    assert_int_equal(undo(), OK);
    after = disk_kit_tree(&kit);
    assert_string_equal(after, before);
    free(before);
    free(after);
}

static void stage_files_are_continued_and_cut(void **state)
{
    struct file_image i = { .kind = FILE_NEW, .stage = 4 };
    uint64_t inode = disk_kit_stage(&kit, "q", 4, 0, "one two three"), other = 0;
    char out[512];

    (void)state;
    assert_true(disk_kit_stage(&kit, "q", 4, 4, "2") == inode);
    i.stage_len = 5;
    i.inode = inode;
    assert_int_equal(read_all("q", &i, 0, 99, out), OK);
    assert_string_equal(out, "one 2");
    i.stage_len = 6;
    assert_int_equal(read_all("q", &i, 0, 99, out), ERR_STORAGE);
    assert_int_equal(files_stage(kit.disk, 7, bytes_str("q"), 4, 99, bytes_str("x"), &other, &why), ERR_STORAGE);
    files_end(kit.disk, 7); /* it is dropped */
    assert_false(exists(".graftd/7"));
}

static bool knows_7(uint64_t txn, void *user)
{
    (*(unsigned *)user)++;
    return txn == 7;
}

static void a_sweep_drops_the_rest(void **state)
{
    unsigned asked = 0;

    (void)state;
    disk_kit_write(&kit, "a", "new content");
    disk_kit_write(&kit, "r/z", "new content");
    assert_applied();
    disk_kit_begin(&kit, 8);
    disk_kit_write(&kit, "b", "new content");
    assert_applied();
    disk_kit_begin(&kit, 9);
    disk_kit_stage(&kit, "d/x", 1, 0, "left by a crash");
    disk_kit_put(&kit, ".graftd/stray", "not ours to judge", 0600);
    files_sweep(kit.disk, knows_7, &asked);
    assert_int_equal(asked, 4); /* 7 in both roots, 8 and 9 in one */
    assert_true(exists(".graftd/7/old.0") && exists("r/.graftd/7/old.1") && exists(".graftd/stray"));
    assert_false(exists(".graftd/7/was") || exists(".graftd/8") || exists(".graftd/9"));
    assert_text("b", "new content");
}

/* ---- order of syncs ---- */

/* Content, then notes, then .graftd, and only then the tree; in the end every directory that was touched. */
static void syncs_before_it_leans_on_it(void **state)
{
    size_t was, first;

    (void)state;
    disk_kit_write(&kit, "d/x", "new content");
    disk_kit_write(&kit, "n/new", "new content");
    disk_kit_append(&kit, "a", " more");
    disk_kit_remove(&kit, "b");
    event_count = 0;
    assert_applied();
    was = event_at("rename files/.graftd/7/was");
    assert_true(event_at("sync files/.graftd/7/new.1") < was);
    assert_true(event_at("sync files/.graftd/7/new.2") < was);
    assert_true(event_at("sync files/.graftd/7/was.new") < was);
    first = event_at("rename files/.graftd/7/old.5");
    assert_true(first < event_at("rename files/n") && first < event_at("rename files/d/x"));
    assert_true(event_at("rename files/n") < event_at("rename files/n/new"));
    assert_true(was < event_at("sync files/.graftd/7") && event_at("sync files/.graftd/7") < first);
    assert_true(was < event_at("sync files/.graftd") && event_at("sync files/.graftd") < first);
    first = event_at("rename files/n/new");
    assert_true(event_at("sync files") > event_at("rename files/n") && event_at("sync files") < first);
    assert_true(event_at("sync files/a") > event_at("rename files/d/x"));
    assert_true(last_event("sync files") > first && last_event("sync files/d") > first);
    assert_true(last_event("sync files/n") > first && last_event("sync files/.graftd/7") > first);
}

static void without_sync_there_is_none(void **state)
{
    char standard[128];

    (void)state;
    file_disk_close(&kit.disk);
    snprintf(standard, sizeof standard, "%s/files", kit.top);
    assert_int_equal(file_disk_open(standard, NULL, 0, false, &kit.disk, &why), OK);
    event_count = 0;
    disk_kit_write(&kit, "d/x", "new content");
    disk_kit_append(&kit, "a", " more");
    assert_applied();
    assert_int_equal(undo(), OK);
    for (size_t i = 0; i < event_count; i++)
        assert_true(strncmp(events[i], "sync", 4) != 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_watched, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_a_change_leaves_and_keeps),
        TEST(what_nothing_is_kept_of_leaves_nothing),
        TEST(kept_files_come_back_as_they_were),
        TEST(a_kept_file_that_somebody_changed_is_a_conflict),
        TEST(parts_follow_each_other),
        TEST(owner_and_mode_stay),
        TEST(what_the_user_may_not_is_refused_whole),
        TEST(an_unreadable_directory_is_refused_before_it_is_touched),
        TEST(a_directory_passes_its_group_on),
        TEST(an_undo_puts_times_back),
        TEST(stage_files_are_continued_and_cut),
        TEST(a_sweep_drops_the_rest),
        TEST(syncs_before_it_leans_on_it),
        TEST(without_sync_there_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
