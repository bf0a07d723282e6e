/*
 * Canaries. A child of the zygote becomes what a template becomes, and forks one child for each row of the table; each
 * becomes what a worker becomes, by the same functions, and tries one thing. The first row is the one that lives: it
 * proves that the others die of what they do, and not of something before it.
 *
 * What they try is harmless where it succeeds. uretprobe (335) passes every filter by the kernel's design, and kills
 * who is not a probe.
 */
#include "policy/jail_canary.h"

#include "policy/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    SECONDS_MAX = 10,        /* for all of them */
    CANARY_MEMORY = 1 << 28, /* bytes of address space */
    CANARY_STACK = 1 << 20,
    LIVES = 7,        /* exit status of the one that does as it may */
    NOT_JAILED = 8,   /* exit status of one whose jail could not be entered */
    REPORT_MAX = 160, /* bytes: less than PIPE_BUF */
    SYS_URETPROBE = 335,
    X32 = 0x40000000,
};

static long call(long number, long a, long b, long c, long d)
{
    register long r10 __asm__("r10") = d;
    long result;

    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
    return result;
}

static const char path[] = "/";
static char page[4096] __attribute__((aligned(4096)));
static const uint64_t zeros[16];

static void try_nothing(void) { call(SYS_write, JAIL_CHANNEL, (long)path, 0, 0); }
static void try_open(void) { call(SYS_openat, AT_FDCWD, (long)path, O_RDONLY, 0); }
static void try_socket(void) { call(SYS_socket, 1, 1, 0, 0); }
static void try_fork(void) { call(SYS_clone3, (long)zeros, 64, 0, 0); }
static void try_exec(void) { call(SYS_execve, (long)path, 0, 0, 0); }
static void try_ptrace(void) { call(SYS_ptrace, 0, 0, 0, 0); }
static void try_x32(void) { call(X32 | SYS_getpid, 0, 0, 0, 0); }
static void try_map(void) { call(SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS); }
static void try_protect(void) { call(SYS_mprotect, (long)page, sizeof page, PROT_READ | PROT_EXEC, 0); }
static void try_kill(void) { call(SYS_kill, 0, 0, 0, 0); }
static void try_userfaultfd(void) { call(SYS_userfaultfd, 0, 0, 0, 0); }
static void try_io_uring(void) { call(SYS_io_uring_setup, 1, (long)zeros, 0, 0); }
static void try_perf(void) { call(SYS_perf_event_open, (long)zeros, 0, -1, -1); }
static void try_unshare(void) { call(SYS_unshare, 0x10000000, 0, 0, 0); }
static void try_mount(void) { call(SYS_mount, (long)path, (long)path, (long)path, 0); }
static void try_prctl(void) { call(SYS_prctl, 4, 1, 0, 0); }
static void try_memfd(void) { call(SYS_memfd_create, (long)path, 0, 0, 0); }
static void try_key(void) { call(SYS_keyctl, 0, -3, 1, 0); }
static void try_bpf(void) { call(SYS_bpf, 0, (long)zeros, sizeof zeros, 0); }
static void try_other_write(void) { call(SYS_write, 2, (long)path, 0, 0); }
static void try_other_read(void) { call(SYS_read, 0, (long)page, 0, 0); }
static void try_clock(void) { call(SYS_clock_gettime, 0, (long)page, 0, 0); }
static void try_uretprobe(void) { call(SYS_URETPROBE, 0, 0, 0, 0); }

static void try_int80(void)
{
    long result;

    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "r8", "r9", "r10", "r11", "memory");
}

#define BY(number) (1u << (number))

/* by: signals that it may die of; 0: it lives. A kernel without the 32-bit door answers int 0x80 with SIGSEGV, one
 * without uretprobe lets the filter have it. */
static const struct canary {
    const char *name;
    void (*try)(void);
    unsigned by;
} canaries[] = {
    { "write to the channel", try_nothing, 0 },
    { "open", try_open, BY(SIGSYS) },
    { "socket", try_socket, BY(SIGSYS) },
    { "clone3", try_fork, BY(SIGSYS) },
    { "execve", try_exec, BY(SIGSYS) },
    { "ptrace", try_ptrace, BY(SIGSYS) },
    { "int 0x80", try_int80, BY(SIGSYS) | BY(SIGSEGV) },
    { "a number of x32", try_x32, BY(SIGSYS) },
    { "mmap of memory to write and run", try_map, BY(SIGSYS) },
    { "mprotect to run", try_protect, BY(SIGSYS) },
    { "kill", try_kill, BY(SIGSYS) },
    { "userfaultfd", try_userfaultfd, BY(SIGSYS) },
    { "io_uring_setup", try_io_uring, BY(SIGSYS) },
    { "perf_event_open", try_perf, BY(SIGSYS) },
    { "unshare", try_unshare, BY(SIGSYS) },
    { "mount", try_mount, BY(SIGSYS) },
    { "prctl", try_prctl, BY(SIGSYS) },
    { "memfd_create", try_memfd, BY(SIGSYS) },
    { "keyctl", try_key, BY(SIGSYS) },
    { "bpf", try_bpf, BY(SIGSYS) },
    { "write to another descriptor", try_other_write, BY(SIGSYS) },
    { "read from another descriptor", try_other_read, BY(SIGSYS) },
    { "clock_gettime", try_clock, BY(SIGSYS) },
    { "uretprobe", try_uretprobe, BY(SIGSYS) | BY(SIGILL) },
};

enum { CANARY_COUNT = sizeof canaries / sizeof canaries[0] };

/* ---- one canary ---- */

static _Noreturn void be_canary(const struct canary *c)
{
    static const struct jail_limits limits = { .address_space = CANARY_MEMORY, .stack = CANARY_STACK, .cpu_s = 1 };
    struct failure f = { .err = OK };

    if (jail_worker(&limits, &f) != OK)
        _exit(NOT_JAILED);
    c->try();
    _exit(LIVES);
}

static bool ended_well(const struct canary *c, const siginfo_t *si)
{
    if (c->by == 0)
        return si->si_code == CLD_EXITED && si->si_status == LIVES;
    return (si->si_code == CLD_KILLED || si->si_code == CLD_DUMPED) && (c->by & BY(si->si_status)) != 0;
}

static void explain(const struct canary *c, const siginfo_t *si, char *out, size_t size)
{
    if (si->si_code == CLD_EXITED && si->si_status == NOT_JAILED)
        snprintf(out, size, "the jail of a worker cannot be entered");
    else if (c->by == 0)
        snprintf(out, size, "\"%s\", which a worker may do, was stopped", c->name);
    else if (si->si_code == CLD_EXITED)
        snprintf(out, size, "\"%s\" was not stopped", c->name);
    else
        snprintf(out, size, "\"%s\" ended by signal %d, and not by the filter", c->name, si->si_status);
}

/* ---- the process between: as a template ---- */

static _Noreturn void report(const char *text)
{
    (void)!write(JAIL_CHANNEL, text, strlen(text) + 1);
    _exit(0);
}

static const struct canary *canary_of(const pid_t pids[], pid_t pid)
{
    for (size_t i = 0; i < CANARY_COUNT; i++)
        if (pids[i] == pid)
            return &canaries[i];
    return NULL;
}

/* All at a time. Says the first that ended badly, or nothing but the end of a string. */
static _Noreturn void be_template(void)
{
    bool nested = jail_has_nested_pids();
    pid_t pids[CANARY_COUNT];
    char text[REPORT_MAX] = "";
    struct failure f = { .err = OK };
    siginfo_t si;

    if (jail_template(&f) != OK)
        report("the jail of a template cannot be entered");
    for (size_t i = 0; i < CANARY_COUNT; i++) {
        pids[i] = jail_fork(nested, NULL);
        if (pids[i] == 0)
            be_canary(&canaries[i]);
        if (pids[i] < 0)
            report("no process can be started");
    }
    for (size_t left = CANARY_COUNT; left > 0; left--) {
        const struct canary *c;

        if (waitid(P_ALL, 0, &si, WEXITED) != 0)
            report("a process was lost");
        c = canary_of(pids, si.si_pid);
        if (c != NULL && text[0] == '\0' && !ended_well(c, &si))
            explain(c, &si, text, sizeof text);
    }
    report(text);
}

/* ---- from the zygote ---- */

static void listen_to(int fd, char out[REPORT_MAX])
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    ssize_t n = 0;

    if (poll(&p, 1, SECONDS_MAX * 1000) > 0)
        n = read(fd, out, REPORT_MAX);
    if (n <= 0)
        snprintf(out, REPORT_MAX, n < 0 || p.revents == 0 ? "it did not end in %d seconds" : "it ended without a word",
                 SECONDS_MAX);
    out[REPORT_MAX - 1] = '\0';
}

enum err canary_test(struct failure *f)
{
    char text[REPORT_MAX];
    int ends[2];
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) != 0 || (pid = fork()) < 0)
        return fail(f, ERR_UNKNOWN, "the sandbox's self-test cannot be started: %s", strerror(errno));
    if (pid == 0) {
        if (dup2(ends[1], JAIL_CHANNEL) < 0)
            _exit(1);
        be_template();
    }
    close(ends[1]);
    listen_to(ends[0], text);
    close(ends[0]);
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    if (text[0] == '\0')
        return OK;
    return fail(f, ERR_UNKNOWN, "the sandbox's self-test failed: %s; graftd runs no graft on this machine", text);
}
