/*
 * The walls round graftd itself, each put up in a child that then tries what they forbid and what they must leave.
 */
#include "policy/jail_daemon.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { SECONDS_MAX = 60, INSTRUMENTED = 77 };

static char directory[] = "/tmp/graft-jail-daemon-XXXXXX";

static const char *in(const char *name)
{
    static char path[8][256];
    static size_t next;
    char *out = path[next++ % 8];

    snprintf(out, sizeof path[0], "%s/%s", directory, name);
    return out;
}

static void claim_failed(int line)
{
    fprintf(stderr, "claim in line %d does not hold: %s\n", line, strerror(errno));
    _exit(1);
}
#define CLAIM(x) ((x) ? (void)0 : claim_failed(__LINE__))
#define CLAIM_FAILS(call, e) CLAIM((call) == -1 && errno == (e))

static void in_child(void (*body)(void))
{
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(SECONDS_MAX);
        body();
        _exit(strcmp(jail_daemon_walls(), "none") == 0 ? INSTRUMENTED : 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == INSTRUMENTED)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

static bool instrumented(void) { return strcmp(jail_daemon_walls(), "none") == 0; }

static int bind_at(const char *path)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    return bind(fd, (const struct sockaddr *)&at, sizeof at);
}

static void *write_in_thread(void *path)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0600);

    return fd >= 0 ? (void *)1 : NULL;
}

static bool thread_writes(const char *path)
{
    pthread_t thread;
    void *wrote = NULL;

    CLAIM(pthread_create(&thread, NULL, write_in_thread, (void *)(uintptr_t)path) == 0);
    CLAIM(pthread_join(thread, &wrote) == 0);
    return wrote != NULL;
}

static void limit(const char *backup)
{
    static struct daemon_paths paths;
    struct failure f = { .err = OK };

    paths = (struct daemon_paths){
        .data = in("data"), .backup = backup, .socket = in("run/socket"), .policy = in("etc/policy"),
        .roots = { in("root") }, .root_count = 1 };
    CLAIM(jail_daemon_files(&paths, &f) == OK);
}

/* ---- files ---- */

static void inside_its_own(void)
{
    limit(in("backup"));
    if (strstr(jail_daemon_walls(), "landlock") == NULL)
        _exit(INSTRUMENTED);
    CLAIM(open(in("data/new"), O_RDWR | O_CREAT, 0600) >= 0);
    CLAIM(mkdir(in("data/dir"), 0700) == 0);
    CLAIM(rename(in("data/new"), in("data/dir/new")) == 0);
    CLAIM(truncate(in("data/dir/new"), 0) == 0);
    CLAIM(unlink(in("data/dir/new")) == 0);
    CLAIM(open(in("root/file"), O_RDWR | O_CREAT, 0600) >= 0);
    CLAIM(link(in("root/file"), in("root/dir/file")) == 0);
    CLAIM(open(in("backup/copy"), O_RDWR | O_CREAT, 0600) >= 0);
    CLAIM(open(in("etc/policy"), O_RDONLY) >= 0);
    CLAIM(open(in("etc/next"), O_RDONLY) >= 0); /* which may replace it */
    CLAIM(bind_at(in("run/socket")) == 0);
    CLAIM(unlink(in("run/socket")) == 0);
    CLAIM(open("/etc/passwd", O_RDONLY) >= 0);
    CLAIM(open("/proc/self/status", O_RDONLY) >= 0);
    CLAIM(thread_writes(in("data/thread")));
}

static void outside_its_own(void)
{
    limit(in("backup"));
    if (strstr(jail_daemon_walls(), "landlock") == NULL)
        _exit(INSTRUMENTED);
    CLAIM_FAILS(open(in("other"), O_RDONLY), EACCES);
    CLAIM_FAILS(open(in("other"), O_WRONLY), EACCES);
    CLAIM_FAILS(open(in("new"), O_RDWR | O_CREAT, 0600), EACCES);
    CLAIM_FAILS(open(in("run/file"), O_RDWR | O_CREAT, 0600), EACCES);
    CLAIM_FAILS(open(in("etc/policy"), O_WRONLY), EACCES);
    CLAIM_FAILS(open("/etc/shadow", O_RDONLY), EACCES);
    CLAIM_FAILS(unlink(in("other")), EACCES);
    CLAIM_FAILS(rename(in("data/kept"), in("moved")), EACCES);
    CLAIM_FAILS(symlink("/etc/shadow", in("data/link")), EACCES);
    CLAIM_FAILS(mkdir(in("dir"), 0700), EACCES);
    CLAIM_FAILS(bind_at(in("data/socket")), EACCES);
    CLAIM_FAILS(execl("/bin/true", "true", (char *)NULL), EACCES);
    CLAIM(!thread_writes(in("thread")));
}

static void anywhere(void)
{
    limit(NULL);
    CLAIM(open(in("elsewhere"), O_RDWR | O_CREAT, 0600) >= 0);
    CLAIM(strstr(jail_daemon_walls(), "landlock") == NULL);
}

/* ---- system calls ---- */

static int hold[2];

static void *fork_in_thread(void *unused)
{
    char byte;
    pid_t pid;

    (void)unused;
    CLAIM(read(hold[0], &byte, 1) == 1);
    pid = fork();
    if (pid == 0)
        _exit(0);
    return pid == -1 && errno == EPERM ? (void *)1 : NULL;
}

static void calls(void)
{
    struct failure f = { .err = OK };
    struct stat st;
    pthread_t before;
    void *refused = NULL;
    int pair[2];

    CLAIM(pipe(hold) == 0 && pthread_create(&before, NULL, fork_in_thread, NULL) == 0);
    limit(NULL);
    if (instrumented())
        _exit(INSTRUMENTED);
    CLAIM(jail_daemon_calls(&f) == OK);
    CLAIM(write(hold[1], "x", 1) == 1 && pthread_join(before, &refused) == 0 &&
          refused != NULL); /* threads of before, too */
    CLAIM_FAILS(fork(), EPERM);
    CLAIM_FAILS(execl("/bin/true", "true", (char *)NULL), EPERM);
    CLAIM_FAILS(socket(AF_INET, SOCK_STREAM, 0), EAFNOSUPPORT);
    CLAIM_FAILS(socket(AF_NETLINK, SOCK_RAW, 0), EAFNOSUPPORT);
    CLAIM_FAILS(syscall(SYS_ptrace, 0, 0, 0, 0), EPERM);
    CLAIM_FAILS(syscall(SYS_unshare, 0x10000000), EPERM);
    CLAIM_FAILS(syscall(SYS_mount, "none", "/", "tmpfs", 0, 0), EPERM);
    CLAIM_FAILS(syscall(SYS_bpf, 0, NULL, 0), EPERM);
    CLAIM_FAILS(syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0), EPERM);
    CLAIM_FAILS(syscall(SYS_io_uring_setup, 1, NULL), EPERM);
    CLAIM_FAILS(syscall(SYS_clone3, NULL, 0), ENOSYS);
    CLAIM_FAILS(setresuid(1, 1, 1), EPERM);
    CLAIM(mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED &&
          errno == EPERM);
    /* What it lives on. */
    CLAIM(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && socket(AF_UNIX, SOCK_SEQPACKET, 0) >= 0);
    CLAIM(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
    CLAIM(thread_writes(in("later")) && stat(in("later"), &st) == 0);
}

static void other_doors(void)
{
    struct failure f = { .err = OK };

    limit(NULL);
    if (instrumented())
        _exit(INSTRUMENTED);
    CLAIM(jail_daemon_calls(&f) == OK);
    syscall(0x40000000 | SYS_getpid);
    _exit(1);
}

/* ---- claims ---- */

static void its_own_files_are_left_to_it(void **state)
{
    (void)state;
    in_child(inside_its_own);
}
static void other_files_are_not(void **state)
{
    (void)state;
    in_child(outside_its_own);
}
static void without_a_place_for_backups_files_are_not_limited(void **state)
{
    (void)state;
    in_child(anywhere);
}
static void it_gives_up_system_calls_in_all_threads(void **state)
{
    (void)state;
    in_child(calls);
}

static void a_call_of_another_architecture_kills_it(void **state)
{
    pid_t pid = fork();
    int status;

    (void)state;
    if (pid == 0)
        other_doors();
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == INSTRUMENTED)
        skip();
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}

static int make_world(void **state)
{
    static const char *const directories[] = { "data", "backup", "run", "etc", "root", "root/dir" };
    static const char *const files[] = { "etc/policy", "etc/next", "other", "data/kept" };

    (void)state;
    for (size_t i = 0; i < sizeof directories / sizeof directories[0]; i++)
        if (mkdir(in(directories[i]), 0700) != 0)
            return -1;
    for (size_t i = 0; i < 4; i++) {
        int fd = open(in(files[i]), O_WRONLY | O_CREAT, 0600);

        if (fd < 0)
            return -1;
        close(fd);
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_own_files_are_left_to_it),
        cmocka_unit_test(other_files_are_not),
        cmocka_unit_test(without_a_place_for_backups_files_are_not_limited),
        cmocka_unit_test(it_gives_up_system_calls_in_all_threads),
        cmocka_unit_test(a_call_of_another_architecture_kills_it),
    };
    char command[256];
    int failed;

    if (mkdtemp(directory) == NULL)
        return 1;
    failed = cmocka_run_group_tests(tests, make_world, NULL);
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command) != 0 || failed != 0;
}
