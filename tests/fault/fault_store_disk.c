/*
 * The store on disks that are real: a directory or a file system that cannot be written is refused with a reason, and
 * a disk that was full serves again when there is room, with nothing lost (T3, T7).
 */
#include "tests/fault_disk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { NOBODY = 65534, SKIPPED = 77, SMALL_DISK = 2 * 1024 * 1024 };

/* In a process of its own, for it changes who and where it is. The body returns 0, or the line that it did not like. */
static void in_child(struct kit *k, int (*body)(struct kit *))
{
    int status, line = 0, fds[2];
    pid_t child;

    assert_int_equal(pipe(fds), 0);
    fflush(NULL);
    child = fork();
    if (child == 0) {
        line = body(k);
        _exit(write(fds[1], &line, sizeof line) == sizeof line ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(read(fds[0], &line, sizeof line), sizeof line);
    close(fds[0]);
    close(fds[1]);
    if (line == SKIPPED)
        skip();
    if (line != 0)
        fail_msg("line %d", line);
}

#define WANT(cond) do { if (!(cond)) return __LINE__; } while (0)

static int refused_with(struct kit *k, const char *because)
{
    struct failure why = { 0 };

    WANT(kit_open(k, &why) == ERR_STORAGE);
    if (strstr(why.text, because) == NULL) {
        fprintf(stderr, "'%s' is not in: %s\n", because, why.text);
        return __LINE__;
    }
    return 0;
}

/* As somebody to whom the directory does not belong. */
static int open_foreign(struct kit *k)
{
    if (geteuid() == 0)
        WANT(setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
    return refused_with(k, "Permission denied");
}

static int open_foreign_database(struct kit *k)
{
    if (geteuid() == 0)
        WANT(setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
    return refused_with(k, "cannot be written");
}

static bool write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);
    bool wrote = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0)
        close(fd);
    return wrote;
}

/* Who may not mount becomes root in a user namespace, if that is allowed. */
static bool may_mount(void)
{
    char uid[32], gid[32];

    if (unshare(CLONE_NEWNS) == 0)
        return true;
    snprintf(uid, sizeof uid, "0 %u 1", (unsigned)getuid());
    snprintf(gid, sizeof gid, "0 %u 1", (unsigned)getgid());
    return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && write_text("/proc/self/setgroups", "deny") &&
           write_text("/proc/self/uid_map", uid) && write_text("/proc/self/gid_map", gid);
}

/* A file system of our own, where only this process sees it; false: not on this machine. */
static bool mount_here(struct kit *k)
{
    char options[64];

    snprintf(options, sizeof options, "size=%d", SMALL_DISK);
    return may_mount() &&
           mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", k->directory, "tmpfs", 0, options) == 0;
}

static int read_only_file_system(struct kit *k)
{
    struct failure why = { 0 };

    if (!mount_here(k))
        return SKIPPED;
    WANT(mount(NULL, k->directory, NULL, MS_REMOUNT | MS_RDONLY, NULL) == 0);
    WANT(refused_with(k, "Read-only file system") == 0);
    WANT(mount(NULL, k->directory, NULL, MS_REMOUNT, NULL) == 0);
    WANT(kit_open(k, &why) == OK && put_step(k, 1) == OK);
    kit_close(k);
    WANT(mount(NULL, k->directory, NULL, MS_REMOUNT | MS_RDONLY, NULL) == 0);
    WANT(refused_with(k, "Read-only file system") == 0);
    WANT(mount(NULL, k->directory, NULL, MS_REMOUNT, NULL) == 0);
    WANT(kit_open(k, &why) == OK && kit_holds(k, "a", "1"));
    kit_close(k);
    return 0;
}

/* Until nothing fits any more, then with room again, twice. */
static int full_then_freed(struct kit *k)
{
    struct failure why = { 0 };
    static char ballast[512 * 1024];
    int n = 0, fd;

    if (!mount_here(k))
        return SKIPPED;
    WANT(kit_open(k, &why) == OK);
    for (int round = 0; round < 2; round++) {
        fd = open(kit_path(k, "ballast"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
        WANT(fd >= 0);
        while (write(fd, ballast, sizeof ballast) > 0)
            ;
        close(fd);
        while (put_step(k, n + 1) == OK)
            n++;
        WANT(put_step(k, n + 1) == ERR_STORAGE);
        WANT(kit_kept(k, (uint64_t)n + 1) == -1);
        unlink(kit_path(k, "ballast"));
        for (int i = 0; i < 3; i++)
            WANT(put_step(k, ++n) == OK);
    }
    kit_close(k);
    WANT(kit_open(k, &why) == OK);
    for (int i = 1; i <= n; i++)
        WANT(kit_kept(k, (uint64_t)i) == 2);
    kit_close(k);
    return 0;
}

static void a_directory_that_is_not_ours_is_refused(void **state)
{
    struct kit k;
    struct failure why = { 0 };

    (void)state;
    kit_init(&k);
    chmod(k.directory, 0555);
    in_child(&k, open_foreign);
    chmod(k.directory, 0755);
    assert_int_equal(kit_open(&k, &why), OK);
    assert_int_equal(put_step(&k, 1), OK);
    kit_close(&k);
    chmod(k.directory, 0777);
    chmod(kit_path(&k, "lock"), 0666);
    chmod(kit_path(&k, "graftd.db"), 0444);
    in_child(&k, open_foreign_database);
    assert_int_equal(kit_open(&k, &why), geteuid() == 0 ? OK : ERR_STORAGE);
    kit_fini(&k);
}

static void a_read_only_file_system_is_refused(void **state)
{
    struct kit k;

    (void)state;
    kit_init(&k);
    in_child(&k, read_only_file_system);
    kit_fini(&k);
}

static void a_disk_that_was_full_serves_again(void **state)
{
    struct kit k;

    (void)state;
    kit_init(&k);
    in_child(&k, full_then_freed);
    kit_fini(&k);
}

static int setup(void **state)
{
    (void)state;
    fault_disk_init();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_directory_that_is_not_ours_is_refused),
        cmocka_unit_test(a_read_only_file_system_is_refused),
        cmocka_unit_test(a_disk_that_was_full_serves_again),
    };

    alarm(300);
    return cmocka_run_group_tests(tests, setup, NULL);
}
