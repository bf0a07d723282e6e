/*
 * Files on disk, in hostile trees: links, devices, other file systems and paths that lead out of the root are refused,
 * and nothing outside is ever written to.
 */
#include "tests/disk_case.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

static void symbolic_links_are_refused(void **state)
{
    static const char *const paths[] = { "in",         "out",   "dangling",        "proc",
                                         "self",       "dir/x", "d/up/b",          "d/up/d/x",
                                         "etc/passwd", "fd/0",  "root/etc/passwd", "loop",
                                         "loop/x" };
    struct file_image i;
    bool more;

    (void)state;
    link_to("a", "in");
    link_to("/etc/passwd", "out");
    link_to("nowhere", "dangling");
    link_to("/proc/self/exe", "proc");
    link_to(".", "self");
    link_to("d", "dir");
    link_to("..", "d/up");
    link_to("/etc", "etc");
    link_to("/proc/self/fd", "fd");
    link_to("/proc/self/root", "root");
    link_to("loop", "loop");
    for (size_t p = 0; p < sizeof paths / sizeof paths[0]; p++) {
        assert_int_equal(look(paths[p], &i), ERR_BADARG);
        assert_says("symbolic link");
        disk_kit_begin(&kit, 7);
        disk_kit_stage(&kit, paths[p], 1, 0, "evil");
        disk_kit_write(&kit, paths[p], "evil");
        assert_int_equal(apply(), ERR_CONFLICT);
    }
    assert_string_equal(list("", "", 100, &more), "a b d/ r/ ");
    assert_null(list("dir/", "", 100, &more));
    assert_text("a", "first file");
    assert_text("d/x", "in a directory");
    assert_false(exists("nowhere"));
}

static void only_files_and_directories_are_touched(void **state)
{
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    int sock = socket(AF_UNIX, SOCK_STREAM, 0);
    struct file_image i;
    bool more;

    (void)state;
    snprintf(name.sun_path, sizeof name.sun_path, "%s", disk_kit_real(&kit, "socket"));
    assert_int_equal(bind(sock, (struct sockaddr *)&name, sizeof name), 0);
    close(sock);
    assert_int_equal(mkfifo(disk_kit_real(&kit, "fifo"), 0666), 0);
    assert_int_equal(look("socket", &i), ERR_BADARG);
    assert_says("socket");
    assert_int_equal(look("fifo", &i), ERR_BADARG);
    assert_says("FIFO");
    if (mknod(disk_kit_real(&kit, "null"), S_IFCHR | 0666, 1 << 8 | 3) == 0) {
        assert_int_equal(look("null", &i), ERR_BADARG);
        assert_says("device");
    }
    assert_string_equal(list("", "", 100, &more), "a b d/ r/ ");
    disk_kit_write(&kit, "fifo", "x");
    assert_int_equal(apply(), ERR_CONFLICT);
}

static void paths_out_of_the_root_are_refused(void **state)
{
    static const char *const paths[] = { "../r/z", "d/../a", "/etc/passwd",   "",
                                         "d//x",   "./a",    ".graftd/7/was", ".graftd" };
    struct file_image i;

    (void)state;
    for (size_t p = 0; p < sizeof paths / sizeof paths[0]; p++) {
        assert_int_equal(look(paths[p], &i), ERR_BADARG);
        assert_int_equal(stage_error(paths[p]), ERR_BADARG);
    }
}

/* In a mount namespace of its own; what it finds is its exit status. */
static int mount_child(void)
{
    struct file_image i;
    bool more;

    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", disk_kit_real(&kit, "d"), "tmpfs", 0, NULL) != 0 ||
        mount(disk_kit_real(&kit, "r/z"), disk_kit_real(&kit, "b"), NULL, MS_BIND, NULL) != 0)
        return 77;
    disk_kit_reopen(&kit);
    if (look("d", &i) != ERR_BADARG || look("d/x", &i) != ERR_BADARG || look("b", &i) != ERR_BADARG)
        return 1;
    return strcmp(list("", "", 9, &more), "a r/ ") == 0 ? 0 : 2;
}

static void other_file_systems_are_refused(void **state)
{
    pid_t child = fork();
    int status;

    (void)state;
    if (child == 0) {
        _exit(mount_child());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip(); /* who may not mount cannot be shown a mount */
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void another_name_outside_is_never_written_to(void **state)
{
    char outside[128], text[64] = "";
    ino_t before = inode_of("a");
    struct stat s;
    int fd;

    (void)state;
    snprintf(outside, sizeof outside, "%s/outside", kit.top);
    assert_int_equal(link(disk_kit_real(&kit, "a"), outside), 0);
    disk_kit_append(&kit, "a", " and more");
    assert_applied();
    assert_true(inode_of("a") != before);
    fd = open(outside, O_RDONLY);
    assert_true(read(fd, text, sizeof text - 1) > 0 && fstat(fd, &s) == 0);
    close(fd);
    assert_string_equal(text, "first file");
    assert_int_equal(undo(), OK);
    assert_true(inode_of("a") == before);
    assert_text("a", "first file");
}

static void a_root_that_vanished_is_told(void **state)
{
    struct file_image i;
    char r[128];
    bool more;

    (void)state;
    snprintf(r, sizeof r, "%s/r", kit.top);
    nftw(r, disk_kit_rm, 16, FTW_DEPTH | FTW_PHYS);
    assert_int_equal(look("r/z", &i), ERR_ABSENT);
    assert_int_equal(stage_error("r/z"), ERR_STORAGE);
    list("r/", "", 9, &more);
    disk_kit_write(&kit, "b", "still good");
    assert_applied();
    assert_int_equal(undo(), OK);
    assert_text("b", "second");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(symbolic_links_are_refused),
        TEST(only_files_and_directories_are_touched),
        TEST(paths_out_of_the_root_are_refused),
        TEST(other_file_systems_are_refused),
        TEST(another_name_outside_is_never_written_to),
        TEST(a_root_that_vanished_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
