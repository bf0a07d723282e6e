/*
 * Files on disk, while others are at work on them: what they change at the worst moment is a conflict, and an undo
 * never touches what is not ours: it stops and says so (T10).
 */
#include "tests/disk_watch.h"

static void meddle_with_a(void)
{
    assert_int_equal(unlink(disk_kit_real(&kit, "a")), 0);
    disk_kit_put(&kit, "a", "by somebody else", 0666);
}

static void meddle_with_new(void) { disk_kit_put(&kit, "new", "by somebody else", 0666); }
static void meddle_with_directory(void)
{
    nftw(disk_kit_real(&kit, "d"), disk_kit_rm, 16, FTW_DEPTH | FTW_PHYS);
    disk_kit_put(&kit, "d", "a file now", 0666);
}

static void meddle_with_link(void)
{
    nftw(disk_kit_real(&kit, "d"), disk_kit_rm, 16, FTW_DEPTH | FTW_PHYS);
    disk_kit_put(&kit, "elsewhere/new", "by somebody else", 0666);
    assert_int_equal(symlink("elsewhere", disk_kit_real(&kit, "d")), 0);
}

static void assert_conflict(void (*change)(void), void (*by)(void), const char *path, const char *text)
{
    disk_kit_begin(&kit, 7);
    change();
    disk_kit_write(&kit, "A", "goes first");
    disk_kit_append(&kit, "b", "grows");
    meddle = by;
    assert_int_equal(apply(), ERR_CONFLICT);
    assert_text(path, text);
    assert_false(exists("A"));
    assert_text("b", "second");
    assert_false(exists(".graftd/7"));
    assert_int_equal(undo(), OK);
    assert_text(path, text);
}

static void change_write(void) { disk_kit_write(&kit, "a", "ours"); }
static void change_append(void) { disk_kit_append(&kit, "a", "ours"); }
static void change_remove(void) { disk_kit_remove(&kit, "a"); }
static void change_new(void) { disk_kit_write(&kit, "new", "ours"); }
static void change_below(void) { disk_kit_write(&kit, "d/new", "ours"); }

static void what_changes_in_the_last_moment_is_a_conflict(void **state)
{
    (void)state;
    assert_conflict(change_write, meddle_with_a, "a", "by somebody else");
    assert_conflict(change_append, meddle_with_a, "a", "by somebody else");
    assert_conflict(change_remove, meddle_with_a, "a", "by somebody else");
    assert_conflict(change_new, meddle_with_new, "new", "by somebody else");
    assert_conflict(change_below, meddle_with_directory, "d", "a file now");
}

/* A link in the place of a directory is no directory that could not be opened: what was there has gone. */
static void a_directory_that_becomes_a_link_is_a_conflict(void **state)
{
    (void)state;
    disk_kit_dir(&kit, "elsewhere");
    assert_conflict(change_below, meddle_with_link, "elsewhere/new", "by somebody else");
}

static void what_changed_before_is_a_conflict(void **state)
{
    (void)state;
    disk_kit_append(&kit, "a", " ours");
    disk_kit_write(&kit, "new", "ours");
    disk_kit_put(&kit, "a", "changed in place", 0640);
    assert_int_equal(apply(), ERR_CONFLICT);
    assert_says("a is not what it was");
    assert_text("a", "changed in place");
    assert_false(exists("new") || exists(".graftd/7"));
}

/* T10: it says so, touches nothing, and goes on when the way is free. */
static void an_undo_never_touches_what_is_not_ours(void **state)
{
    (void)state;
    disk_kit_write(&kit, "a", "new content");
    disk_kit_write(&kit, "b", "new content");
    disk_kit_write(&kit, "n/new", "new content");
    assert_applied();
    disk_kit_put(&kit, "a", "by somebody else", 0640);
    assert_int_equal(undo(), ERR_UNKNOWN);
    assert_says("a in ");
    assert_says(".graftd/7");
    assert_text("a", "by somebody else");
    assert_text("b", "new content");
    assert_int_equal(rename(disk_kit_real(&kit, "a"), disk_kit_real(&kit, "mine")), 0);
    assert_int_equal(undo(), OK);
    assert_text("a", "first file");
    assert_text("b", "second");
    assert_text("mine", "by somebody else");
    assert_false(exists("n") || exists(".graftd/7"));
}

static void an_undo_cuts_only_what_was_appended(void **state)
{
    (void)state;
    disk_kit_append(&kit, "a", " ours");
    assert_applied();
    disk_kit_put(&kit, "a", "first file ours and theirs", 0640);
    assert_int_equal(undo(), ERR_UNKNOWN);
    assert_text("a", "first file ours and theirs");
    assert_int_equal(truncate(disk_kit_real(&kit, "a"), 12), 0);
    assert_int_equal(undo(), OK);
    assert_text("a", "first file");
}

static void a_directory_that_somebody_uses_stays(void **state)
{
    (void)state;
    disk_kit_write(&kit, "n/m/new", "new content");
    assert_applied();
    disk_kit_put(&kit, "n/theirs", "by somebody else", 0644);
    assert_int_equal(undo(), OK);
    assert_text("n/theirs", "by somebody else");
    assert_false(exists("n/m") || exists(".graftd/7"));
    disk_kit_begin(&kit, 8);
    disk_kit_remove(&kit, "n/");
    assert_int_equal(apply(), ERR_CONFLICT);
    assert_says("not empty");
    assert_text("n/theirs", "by somebody else");
    files_end(kit.disk, 8);
    assert_false(exists(".graftd/8"));
}

/* What no listing tells of. */
static void fill_with_links_and_devices(void)
{
    link_to("/etc/passwd", "n/link");
    assert_int_equal(mkfifo(disk_kit_real(&kit, "n/fifo"), 0600), 0);
    if (mknod(disk_kit_real(&kit, "n/device"), S_IFCHR | 0666, 0) != 0) /* 0:0 is anybody's to make */
        print_message("no device: %s\n", strerror(errno));
}

static void assert_filled(void)
{
    struct stat st;

    assert_int_equal(lstat(disk_kit_real(&kit, "n/link"), &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(lstat(disk_kit_real(&kit, "n/fifo"), &st), 0);
    assert_false(exists(".graftd/8"));
    unlink(disk_kit_real(&kit, "n/link"));
    unlink(disk_kit_real(&kit, "n/fifo"));
    unlink(disk_kit_real(&kit, "n/device"));
}

static void a_directory_with_links_and_devices_is_never_carried_away(void **state)
{
    void (*const when[])(void) = { NULL, fill_with_links_and_devices };

    (void)state;
    disk_kit_write(&kit, "n/new", "new content");
    assert_applied();
    fill_with_links_and_devices();
    assert_int_equal(undo(), OK);
    assert_filled();
    for (size_t i = 0; i < 3; i++) { /* before it begins, when it is planned, when it was looked at */
        disk_kit_begin(&kit, 8);
        disk_kit_remove(&kit, "n/");
        if (i == 0)
            fill_with_links_and_devices();
        meddle = when[i == 1];
        meddle_late = when[i == 2];
        assert_int_equal(apply(), ERR_CONFLICT);
        assert_says("not empty");
        assert_true(meddle == NULL && meddle_late == NULL);
        files_end(kit.disk, 8);
        assert_filled();
    }
}

static void damaged_notes_are_told(void **state)
{
    (void)state;
    disk_kit_write(&kit, "a", "new content");
    assert_applied();
    disk_kit_put(&kit, ".graftd/7/was", "was1 but not really", 0600);
    assert_int_equal(undo(), ERR_UNKNOWN);
    assert_says("was");
    assert_text("a", "new content");
}

static void an_undo_of_what_never_began_drops_its_stage_files(void **state)
{
    (void)state;
    disk_kit_write(&kit, "a", "new content");
    disk_kit_end(&kit);
    assert_true(exists(".graftd/7/new.1"));
    assert_int_equal(undo(), OK);
    assert_false(exists(".graftd/7"));
    assert_text("a", "first file");
}

/* After its end a transaction cannot be undone so; what it keeps stays. */
static void an_undo_of_what_ended_changes_nothing(void **state)
{
    (void)state;
    disk_kit_write(&kit, "a", "new content");
    disk_kit_remove(&kit, "b");
    assert_applied();
    files_end(kit.disk, 7);
    assert_int_equal(undo(), OK);
    assert_text("a", "new content");
    assert_false(exists("b"));
    assert_text(".graftd/7/old.0", "first file");
    assert_text(".graftd/7/old.1", "second");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_watched, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_changes_in_the_last_moment_is_a_conflict),
        TEST(a_directory_that_becomes_a_link_is_a_conflict),
        TEST(what_changed_before_is_a_conflict),
        TEST(an_undo_never_touches_what_is_not_ours),
        TEST(an_undo_cuts_only_what_was_appended),
        TEST(a_directory_that_somebody_uses_stays),
        TEST(a_directory_with_links_and_devices_is_never_carried_away),
        TEST(damaged_notes_are_told),
        TEST(an_undo_of_what_never_began_drops_its_stage_files),
        TEST(an_undo_of_what_ended_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
