/*
 * The attacks. Those that are one system call are a row of numbers; the others a function.
 */
#include "tests/escape/attack.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef SYS_mseal
#define SYS_mseal 462
#endif

static char page[8192] __attribute__((aligned(4096)));
static uint64_t zeros[64];

long door_64(long number, const long args[6])
{
    register long r10 __asm__("r10") = args[3], r8 __asm__("r8") = args[4], r9 __asm__("r9") = args[5];
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(args[0]), "S"(args[1]), "d"(args[2]), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

long door_int80(long number, const long args[6])
{
    long result;

    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "a"(number), "b"(args[0]), "c"(args[1]), "d"(args[2]), "S"(args[3]), "D"(args[4])
                     : "memory", "r8", "r9", "r10", "r11");
    return (int)result;
}

static long sys(long number, long a, long b, long c, long d, long e, long f)
{
    const long args[6] = { a, b, c, d, e, f };

    return door_64(number, args);
}

static long open_read(const char *path)
{
    return sys(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_NONBLOCK, 0, 0, 0);
}

/* ---- files ---- */

static long make_file(void)
{
    long fd = sys(SYS_openat, AT_FDCWD, (long)"/tmp/graft-escape", O_CREAT | O_EXCL | O_RDWR, 0600, 0, 0);

    if (fd >= 0)
        sys(SYS_unlink, (long)"/tmp/graft-escape", 0, 0, 0, 0, 0);
    return fd;
}

static long make_dir(void)
{
    long rc = sys(SYS_mkdir, (long)"/tmp/graft-escape", 0700, 0, 0, 0, 0);

    if (rc == 0)
        sys(SYS_rmdir, (long)"/tmp/graft-escape", 0, 0, 0, 0, 0);
    return rc;
}

static long make_link(void)
{
    long rc = sys(SYS_symlink, (long)"/etc/shadow", (long)"/tmp/graft-escape", 0, 0, 0, 0);

    if (rc == 0)
        sys(SYS_unlink, (long)"/tmp/graft-escape", 0, 0, 0, 0, 0);
    return rc;
}

/* The way out of a chroot that is only that. */
static long climb_out(void)
{
    for (int i = 0; i < 40; i++) {
        long rc = sys(SYS_chdir, (long)"..", 0, 0, 0, 0, 0);
        if (rc < 0)
            return rc;
    }
    return open_read("etc/passwd");
}

static long open_how(void)
{
    static const uint64_t how[3] = { O_RDONLY, 0, 0 };

    return sys(SYS_openat2, AT_FDCWD, (long)"/", (long)how, sizeof how, 0, 0);
}

/* ---- descriptors ---- */

static long pass_descriptor(void)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control = { .room = { 0 } };
    struct iovec part = { page, 1 };
    struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &(int){ 3 }, sizeof(int));
    return sys(SYS_sendmsg, 3, (long)&m, MSG_DONTWAIT, 0, 0, 0);
}

/* ---- exec and clone ---- */

static long child_or(long pid)
{
    if (pid == 0)
        sys(SYS_exit_group, 0, 0, 0, 0, 0, 0);
    return pid;
}

static long fork_old(void) { return child_or(sys(SYS_fork, 0, 0, 0, 0, 0, 0)); }
static long fork_clone(void) { return child_or(sys(SYS_clone, SIGCHLD, 0, 0, 0, 0, 0)); }
static long fork_user(void) { return child_or(sys(SYS_clone, SIGCHLD | CLONE_NEWUSER, 0, 0, 0, 0, 0)); }
static long fork_pids(void) { return child_or(sys(SYS_clone, SIGCHLD | CLONE_NEWPID, 0, 0, 0, 0, 0)); }

static long fork_clone3(void)
{
    static uint64_t args[11];

    args[4] = SIGCHLD;
    return child_or(sys(SYS_clone3, (long)args, sizeof args, 0, 0, 0, 0));
}

/* exit_group(ATTACK_EFFECT), as a program. */
static size_t tiny_program(uint8_t out[256])
{
    static const uint8_t code[] = { 0xbf, ATTACK_EFFECT, 0, 0, 0, 0xb8, SYS_exit_group, 0, 0, 0, 0x0f, 0x05 };
    const uint64_t base = 0x400000, start = sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr);
    Elf64_Ehdr h = { .e_type = ET_EXEC,
                     .e_machine = EM_X86_64,
                     .e_version = EV_CURRENT,
                     .e_entry = base + start,
                     .e_phoff = sizeof h,
                     .e_ehsize = sizeof h,
                     .e_phentsize = sizeof(Elf64_Phdr),
                     .e_phnum = 1 };
    Elf64_Phdr p = { .p_type = PT_LOAD,
                     .p_flags = PF_R | PF_X,
                     .p_vaddr = base,
                     .p_paddr = base,
                     .p_filesz = start + sizeof code,
                     .p_memsz = start + sizeof code,
                     .p_align = 4096 };

    memcpy(h.e_ident, ELFMAG "\2\1\1", 7);
    memcpy(out, &h, sizeof h);
    memcpy(out + sizeof h, &p, sizeof p);
    memcpy(out + start, code, sizeof code);
    return start + sizeof code;
}

static long exec_memfd(void)
{
    static uint8_t program[256];
    static const char *const argv[] = { "x", NULL };
    size_t n = tiny_program(program);
    long fd = sys(SYS_memfd_create, (long)"x", 0, 0, 0, 0, 0), rc;

    if (fd < 0)
        return fd;
    rc = sys(SYS_write, fd, (long)program, (long)n, 0, 0, 0);
    return rc < 0 ? rc : sys(SYS_execveat, fd, (long)"", (long)argv, (long)(argv + 1), AT_EMPTY_PATH, 0);
}

static long exec_path(const char *path)
{
    static const char *const argv[] = { "sh", "-c", "exit 200", NULL };

    return sys(SYS_execve, (long)path, (long)argv, (long)(argv + 3), 0, 0, 0);
}
static long exec_shell(void) { return exec_path("/bin/sh"); }
static long exec_self(void) { return exec_path("/proc/self/exe"); }

/* ---- network ---- */

static long connect_to(const char *name, size_t n)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    long fd = sys(SYS_socket, AF_UNIX, SOCK_STREAM, 0, 0, 0, 0);

    if (fd < 0)
        return fd;
    memcpy(to.sun_path, name, n);
    return sys(SYS_connect, fd, (long)&to, (long)(offsetof(struct sockaddr_un, sun_path) + n), 0, 0, 0);
}
static long connect_path(void) { return connect_to("/run/systemd/notify", 20); }
static long connect_abstract(void) { return connect_to("\0graftd-escape", 14); }

static long bind_abstract(void)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = "\0graftd-escape-bind" };
    long fd = sys(SYS_socket, AF_UNIX, SOCK_STREAM, 0, 0, 0, 0);

    return fd < 0 ? fd : sys(SYS_bind, fd, (long)&at, 21, 0, 0, 0);
}

static long tcp(long call)
{
    static const uint8_t address[16] = { AF_INET, 0, 0x1f, 0x90, 127, 0, 0, 1 };
    long fd = sys(SYS_socket, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0, 0, 0, 0);

    return fd < 0 ? fd : sys(call, fd, (long)address, sizeof address, 0, 0, 0);
}
static long tcp_connect(void)
{
    long rc = tcp(SYS_connect);
    return rc == -EINPROGRESS ? 0 : rc;
}
static long tcp_bind(void) { return tcp(SYS_bind); }

/* ---- signals and peers ---- */

static long parent(void)
{
    long pid = sys(SYS_getppid, 0, 0, 0, 0, 0, 0);

    return pid > 0 ? pid : 1;
}
static long signal_parent(void) { return sys(SYS_kill, parent(), 0, 0, 0, 0, 0); }
static long trace_parent(void) { return sys(SYS_ptrace, 0x4206 /* SEIZE */, parent(), 0, 0, 0, 0); }
static long read_parent(void)
{
    struct iovec here = { page, 8 }, there = { page, 8 };

    return sys(SYS_process_vm_readv, parent(), (long)&here, 1, (long)&there, 1, 0);
}
static long write_parent(void)
{
    struct iovec here = { page, 0 }, there = { page, 0 };

    return sys(SYS_process_vm_writev, parent(), (long)&here, 1, (long)&there, 1, 0);
}
static long steal_descriptor(void)
{
    long fd = sys(SYS_pidfd_open, parent(), 0, 0, 0, 0, 0);

    return fd < 0 ? fd : sys(SYS_pidfd_getfd, fd, 3, 0, 0, 0, 0);
}

/* ---- memory ---- */

/* Memory that is written and then run: code that returns. */
static long run_written(void)
{
    long at = sys(SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), rc;

    if (at < 0 && at > -4096)
        return at;
    *(volatile uint8_t *)at = 0xc3;
    rc = sys(SYS_mprotect, at, 4096, PROT_READ | PROT_EXEC, 0, 0, 0);
    if (rc < 0)
        return rc;
    ((void (*)(void))at)();
    return 0;
}

/* The same memory twice: once to write, once to run. */
static long run_shared(void)
{
    long fd = sys(SYS_memfd_create, (long)"x", 0, 0, 0, 0, 0), at;

    if (fd < 0)
        return fd;
    sys(SYS_ftruncate, fd, 4096, 0, 0, 0, 0);
    at = sys(SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at < 0 && at > -4096)
        return at;
    return sys(SYS_mmap, 0, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
}

static long unmap_code(void)
{
    return sys(SYS_munmap, (long)((uintptr_t)unmap_code & ~(uintptr_t)4095) + (1 << 20), 4096, 0, 0, 0, 0);
}

/* Our own constants, made writable: what mseal is for. */
static const char constant[8192] __attribute__((aligned(4096))) = "constant";
static long write_constant(void) { return sys(SYS_mprotect, (long)constant, 4096, PROT_READ | PROT_WRITE, 0, 0, 0); }

static long map_bomb(void)
{
    for (int i = 0; i < 60000; i++) {
        long at = sys(SYS_mmap, 0, 4096, i % 2 != 0 ? PROT_READ : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (at < 0 && at > -4096)
            return at;
    }
    return 0;
}

static volatile uintptr_t nowhere = 16, kernel = 0xffffffff81000000;
static long kernel_memory(void) { return *(volatile int *)kernel; }
static long no_memory(void) { return *(volatile int *)nowhere; }
static long run_data(void)
{
    page[0] = (char)0xc3;
    ((void (*)(void))(uintptr_t)page)();
    return 0;
}

/* ---- instructions ---- */

static long instruction_in(void)
{
    uint8_t v;

    __asm__ volatile("inb $0x70, %0" : "=a"(v));
    return v;
}
static long instruction_hlt(void)
{
    __asm__ volatile("hlt");
    return 0;
}
static long instruction_msr(void)
{
    uint32_t low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(0x1b));
    return low;
}
static long instruction_cr(void)
{
    uint64_t v;

    __asm__ volatile("mov %%cr0, %0" : "=r"(v));
    return (long)(v & 1);
}
static long instruction_vsyscall(void)
{
    return ((long (*)(long))0xffffffffff600400)(0) > 0 ? 0 : -EPERM; /* time() of the old days */
}

/* ---- old ABIs ---- */

static long int80_getpid(void) { return door_int80(20, (long[6]){ 0 }); }
static long int80_open(void) { return door_int80(5, (long[6]){ 0 }); }
static long int80_fork(void) { return child_or(door_int80(2, (long[6]){ 0 })); }
static long int80_exit(void)
{
    door_int80(252, (long[6]){ ATTACK_EFFECT });
    return 0;
}
static long int80_socketcall(void) { return door_int80(102, (long[6]){ 0 }); }

/* rt_sigreturn is allowed: a frame of one's own choice changes registers, which the code could do itself. */
static long forged_frame(void) { return sys(SYS_rt_sigreturn, 0, 0, 0, 0, 0, 0); }

#define CALL(group, name, ...) \
    { \
        group, name, NULL, __VA_ARGS__ \
    }
#define CODE(group, name, run) \
    { \
        group, name, run, 0, { 0 } \
    }
#define P(...) ((long)(__VA_ARGS__))

const struct attack attacks[] = {
    CALL("files", "open /", SYS_open, { P("/"), O_RDONLY }),
    CALL("files", "openat /etc/passwd", SYS_openat, { AT_FDCWD, P("/etc/passwd"), O_RDONLY }),
    CODE("files", "openat2 /", open_how),
    CALL("files", "open O_PATH", SYS_openat, { AT_FDCWD, P("/"), O_PATH }),
    CALL("files", "creat", SYS_creat, { P("/graft-escape"), 0600 }),
    CODE("files", "make a file in /tmp", make_file),
    CODE("files", "make a directory", make_dir),
    CODE("files", "make a symbolic link", make_link),
    CALL("files", "unnamed file", SYS_openat, { AT_FDCWD, P("/tmp"), O_TMPFILE | O_RDWR, 0600 }),
    CALL("files", "stat /etc", SYS_stat, { P("/etc"), P(page) }),
    CALL("files", "statx /etc", SYS_statx, { AT_FDCWD, P("/etc"), 0, 0x7ff, P(page) }),
    CALL("files", "access /bin", SYS_access, { P("/bin"), 0 }),
    CALL("files", "readlink", SYS_readlink, { P("/proc/self/exe"), P(page), 100 }),
    CALL("files", "chdir ..", SYS_chdir, { P("..") }),
    CALL("files", "getcwd", SYS_getcwd, { P(page), 100 }),
    CODE("files", "climb out of the root", climb_out),
    CALL("files", "chroot", SYS_chroot, { P("/") }),
    CALL("files", "statfs", SYS_statfs, { P("/"), P(page) }),
    CALL("files", "umask", SYS_umask, { 0 }),
    CALL("files", "inotify", SYS_inotify_init1, { 0 }),
    CALL("files", "fanotify", SYS_fanotify_init, { 0, 0 }),
    CALL("files", "open by handle", SYS_open_by_handle_at, { AT_FDCWD, P(zeros), 0 }),
    CALL("files", "getxattr", SYS_getxattr, { P("/"), P("user.x"), P(page), 100 }),

    CALL("descriptors", "write to 2", SYS_write, { 2, P(page), 0 }),
    CALL("descriptors", "read from 0", SYS_read, { 0, P(page), 0 }),
    CALL("descriptors", "pread of the channel", SYS_pread64, { 3, P(page), 1, 0 }),
    CALL("descriptors", "writev to the channel", SYS_writev, { 3, P(zeros), 0 }),
    CALL("descriptors", "dup of the channel", SYS_dup, { 3 }),
    CALL("descriptors", "dup2", SYS_dup2, { 3, 5 }),
    CALL("descriptors", "close of the channel", SYS_close, { 3 }),
    CALL("descriptors", "close_range", SYS_close_range, { 0, 100, 0 }),
    CALL("descriptors", "fcntl F_SETOWN", SYS_fcntl, { 3, 8, 1 }),
    CALL("descriptors", "fcntl F_SETPIPE_SZ", SYS_fcntl, { 3, 1031, 4096 }),
    CALL("descriptors", "ioctl FIOASYNC", SYS_ioctl, { 3, 0x5452, P(page) }),
    CALL("descriptors", "fstat", SYS_fstat, { 3, P(page) }),
    CODE("descriptors", "pass a descriptor", pass_descriptor),
    CALL("descriptors", "recvmsg", SYS_recvmsg, { 3, P(zeros), MSG_DONTWAIT }),
    CALL("descriptors", "pipe", SYS_pipe2, { P(page), 0 }),
    CALL("descriptors", "eventfd", SYS_eventfd2, { 0, 0 }),
    CALL("descriptors", "epoll", SYS_epoll_create1, { 0 }),
    CALL("descriptors", "memfd", SYS_memfd_create, { P("x"), 0 }),
    CALL("descriptors", "secret memory", SYS_memfd_secret, { 0 }),
    CALL("descriptors", "splice", SYS_splice, { 3, 0, 3, 0, 1, 2 }),
    CALL("descriptors", "poll", SYS_poll, { P(zeros), 0, 0 }),
    CALL("descriptors", "flock", SYS_flock, { 3, 1 | 4 }),

    CALL("/proc", "own memory", SYS_openat, { AT_FDCWD, P("/proc/self/mem"), O_RDWR }),
    CALL("/proc", "own maps", SYS_openat, { AT_FDCWD, P("/proc/self/maps"), O_RDONLY }),
    CALL("/proc", "init's environment", SYS_openat, { AT_FDCWD, P("/proc/1/environ"), O_RDONLY }),
    CALL("/proc", "root of another", SYS_openat, { AT_FDCWD, P("/proc/1/root"), O_PATH }),
    CALL("/proc", "core_pattern", SYS_openat, { AT_FDCWD, P("/proc/sys/kernel/core_pattern"), O_WRONLY }),
    CALL("/proc", "sysrq", SYS_openat, { AT_FDCWD, P("/proc/sysrq-trigger"), O_WRONLY }),
    CALL("/proc", "mount of proc", SYS_mount, { P("proc"), P("/"), P("proc"), 0, 0 }),
    CALL("/proc", "/sys", SYS_openat, { AT_FDCWD, P("/sys/kernel"), O_RDONLY }),
    CALL("/proc", "/dev/mem", SYS_openat, { AT_FDCWD, P("/dev/mem"), O_RDONLY }),
    CALL("/proc", "/dev/kvm", SYS_openat, { AT_FDCWD, P("/dev/kvm"), O_RDWR }),

    CODE("exec and clone", "fork", fork_old),
    CODE("exec and clone", "clone", fork_clone),
    CODE("exec and clone", "clone3", fork_clone3),
    CODE("exec and clone", "clone, user namespace", fork_user),
    CODE("exec and clone", "clone, process namespace", fork_pids),
    CALL("exec and clone", "unshare user", SYS_unshare, { CLONE_NEWUSER }),
    CALL("exec and clone", "unshare mounts", SYS_unshare, { CLONE_NEWNS }),
    CALL("exec and clone", "unshare files", SYS_unshare, { CLONE_FILES }),
    CALL("exec and clone", "setns", SYS_setns, { 3, 0 }),
    CODE("exec and clone", "exec a shell", exec_shell),
    CODE("exec and clone", "exec itself", exec_self),
    CODE("exec and clone", "exec from memory", exec_memfd),
    CALL("exec and clone", "wait", SYS_wait4, { -1, 0, 1, 0 }),
    CALL("exec and clone", "set_tid_address", SYS_set_tid_address, { P(page) }),

    CALL("network", "socket unix", SYS_socket, { AF_UNIX, SOCK_STREAM, 0 }),
    CALL("network", "socket inet", SYS_socket, { AF_INET, SOCK_STREAM, 0 }),
    CALL("network", "socket inet6 udp", SYS_socket, { AF_INET6, SOCK_DGRAM, 0 }),
    CALL("network", "socket netlink", SYS_socket, { AF_NETLINK, SOCK_RAW, 0 }),
    CALL("network", "socket packet", SYS_socket, { AF_PACKET, SOCK_RAW, 0 }),
    CALL("network", "socket vsock", SYS_socket, { AF_VSOCK, SOCK_STREAM, 0 }),
    CALL("network", "socket alg", SYS_socket, { AF_ALG, SOCK_SEQPACKET, 0 }),
    CALL("network", "socketpair", SYS_socketpair, { AF_UNIX, SOCK_STREAM, 0, P(page) }),
    CODE("network", "connect to a path", connect_path),
    CODE("network", "connect to an abstract name", connect_abstract),
    CODE("network", "bind an abstract name", bind_abstract),
    CODE("network", "connect TCP", tcp_connect),
    CODE("network", "bind TCP", tcp_bind),
    CALL("network", "sendto on the channel", SYS_sendto, { 3, P(page), 1, MSG_DONTWAIT, 0, 0 }),
    CALL("network", "shutdown of the channel", SYS_shutdown, { 3, 2 }),
    CALL("network", "getsockopt SO_PEERPIDFD", SYS_getsockopt, { 3, SOL_SOCKET, 77, P(page), P(zeros) }),
    CALL("network", "sethostname", SYS_sethostname, { P("x"), 1 }),

    CALL("signals", "kill 1", SYS_kill, { 1, 0 }),
    CALL("signals", "kill all", SYS_kill, { -1, 0 }),
    CALL("signals", "kill own group", SYS_kill, { 0, 0 }),
    CODE("signals", "kill the parent", signal_parent),
    CALL("signals", "tgkill", SYS_tgkill, { 1, 1, 0 }),
    CALL("signals", "tkill", SYS_tkill, { 1, 0 }),
    CALL("signals", "rt_sigqueueinfo", SYS_rt_sigqueueinfo, { 1, 0, P(zeros) }),
    CALL("signals", "pidfd_send_signal", SYS_pidfd_send_signal, { 3, 0, 0, 0 }),
    CALL("signals", "ignore SIGSYS", SYS_rt_sigaction, { SIGSYS, P(zeros), 0, 8 }),
    CALL("signals", "block all", SYS_rt_sigprocmask, { 0, P(zeros), 0, 8 }),
    CALL("signals", "sigaltstack", SYS_sigaltstack, { 0, P(page) }),
    CALL("signals", "signalfd", SYS_signalfd4, { -1, P(zeros), 8, 0 }),
    CODE("signals", "rt_sigreturn to nowhere", forged_frame),

    CODE("peers", "ptrace the parent", trace_parent),
    CALL("peers", "ptrace me", SYS_ptrace, { 0, 0, 0, 0 }),
    CODE("peers", "read the parent's memory", read_parent),
    CODE("peers", "write the parent's memory", write_parent),
    CODE("peers", "a descriptor of the parent", steal_descriptor),
    CALL("peers", "pidfd_open", SYS_pidfd_open, { 1, 0 }),
    CALL("peers", "prlimit of another", SYS_prlimit64, { 1, 0, 0, P(page) }),
    CALL("peers", "raise a limit", SYS_setrlimit, { 0, P(zeros) }),
    CALL("peers", "setpriority", SYS_setpriority, { 0, 0, 5 }),
    CALL("peers", "sched_setaffinity", SYS_sched_setaffinity, { 0, 8, P(zeros) }),
    CALL("peers", "sched_setscheduler", SYS_sched_setscheduler, { 0, 3, P(zeros) }),
    CALL("peers", "getppid", SYS_getppid, { 0 }),
    CALL("peers", "getsid", SYS_getsid, { 0 }),
    CALL("peers", "setuid", SYS_setuid, { 0 }),
    CALL("peers", "setgroups", SYS_setgroups, { 0, 0 }),
    CALL("peers", "capget", SYS_capget, { P((const uint32_t[]){ 0x20080522, 0 }), P(page) }),
    CALL("peers", "kcmp", SYS_kcmp, { 1, 1, 0, 0, 0 }),
    CALL("peers", "process_madvise", SYS_process_madvise, { 3, P(zeros), 1, 4, 0 }),

    CALL("memory", "mmap", SYS_mmap, { 0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0 }),
    CALL("memory", "mmap to write and run", SYS_mmap, { 0, 4096, 7, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0 }),
    CALL("memory", "mmap at 0", SYS_mmap, { 0, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0 }),
    CODE("memory", "write, then run", run_written),
    CODE("memory", "one memory twice", run_shared),
    CODE("memory", "run data", run_data),
    CODE("memory", "make constants writable", write_constant),
    CODE("memory", "unmap", unmap_code),
    CODE("memory", "map bomb", map_bomb),
    CALL("memory", "mprotect to run", SYS_mprotect, { P(page), 4096, PROT_READ | PROT_EXEC }),
    CALL("memory", "mremap", SYS_mremap, { P(page), 4096, 4096, 0, 0 }),
    CALL("memory", "brk", SYS_brk, { 0 }),
    CALL("memory", "madvise", SYS_madvise, { P(page), 4096, 0 }),
    CALL("memory", "mlock", SYS_mlock, { P(page), 4096 }),
    CALL("memory", "mseal", SYS_mseal, { P(page), 0, 0 }),
    CALL("memory", "shmget", SYS_shmget, { 0, 4096, 0600 | 01000 }),
    CALL("memory", "pkey_alloc", SYS_pkey_alloc, { 0, 0 }),
    CALL("memory", "userfaultfd", SYS_userfaultfd, { 1 }),
    CALL("memory", "remap_file_pages", SYS_remap_file_pages, { P(page), 4096, 0, 0, 0 }),
    CODE("memory", "read the kernel", kernel_memory),
    CODE("memory", "read near 0", no_memory),

    CALL("timing", "clock_gettime", SYS_clock_gettime, { 0, P(page) }),
    CALL("timing", "gettimeofday", SYS_gettimeofday, { P(page), 0 }),
    CALL("timing", "nanosleep", SYS_nanosleep, { P(zeros), 0 }),
    CALL("timing", "timer_create", SYS_timer_create, { 0, 0, P(page) }),
    CALL("timing", "timerfd", SYS_timerfd_create, { 1, 0 }),
    CALL("timing", "setitimer", SYS_setitimer, { 0, P(zeros), 0 }),
    CALL("timing", "alarm", SYS_alarm, { 0 }),
    CALL("timing", "getrusage", SYS_getrusage, { 0, P(page) }),
    CALL("timing", "times", SYS_times, { P(page) }),
    CALL("timing", "set the clock", SYS_clock_settime, { 0, P(zeros) }),
    CALL("timing", "sched_yield", SYS_sched_yield, { 0 }),
    CALL("timing", "futex", SYS_futex, { P(page), 1, 1, 0, 0, 0 }),

    CALL("kernel", "perf_event_open", SYS_perf_event_open, { P((const uint32_t[32]){ 1, 112 }), 0, -1, -1, 0 }),
    CALL("kernel", "bpf", SYS_bpf, { 0, P((const uint32_t[32]){ 2, 4, 4, 1 }), 72 }),
    CALL("kernel", "io_uring", SYS_io_uring_setup, { 1, P(page) }),
    CALL("kernel", "io_setup", SYS_io_setup, { 1, P(zeros + 8) }),
    CALL("kernel", "add_key", SYS_add_key, { P("user"), P("x"), P("y"), 1, -1 }),
    CALL("kernel", "keyctl", SYS_keyctl, { 0, -3, 1 }),
    CALL("kernel", "semget", SYS_semget, { 0, 1, 0600 | 01000 }),
    CALL("kernel", "msgget", SYS_msgget, { 0, 0600 | 01000 }),
    CALL("kernel", "mq_open", SYS_mq_open, { P("x"), O_CREAT | O_RDWR, 0600, 0 }),
    CALL("kernel", "mount", SYS_mount, { P("none"), P("/"), P("tmpfs"), 0, 0 }),
    CALL("kernel", "fsopen", SYS_fsopen, { P("tmpfs"), 0 }),
    CALL("kernel", "open_tree", SYS_open_tree, { AT_FDCWD, P("/"), 0 }),
    CALL("kernel", "pivot_root", SYS_pivot_root, { P("."), P(".") }),
    CALL("kernel", "umount", SYS_umount2, { P("/"), 2 }),
    CALL("kernel", "prctl PR_SET_DUMPABLE", SYS_prctl, { 4, 1 }),
    CALL("kernel", "prctl PR_SET_NAME", SYS_prctl, { 15, P("x") }),
    CALL("kernel", "arch_prctl", SYS_arch_prctl, { 0x1003, P(page) }),
    CALL("kernel", "seccomp once more", SYS_seccomp, { 2, 0, P((const uint32_t[]){ 0x7fff0000 }) }),
    CALL("kernel", "landlock", SYS_landlock_create_ruleset, { 0, 0, 1 }),
    CALL("kernel", "personality", SYS_personality, { 0x0040000 }),
    CALL("kernel", "modify_ldt", SYS_modify_ldt, { 0, P(page), 16 }),
    CALL("kernel", "iopl", SYS_iopl, { 3 }),
    CALL("kernel", "init_module", SYS_init_module, { P(zeros), 8, P("") }),
    CALL("kernel", "kexec_load", SYS_kexec_load, { 0, 0, 0, 0 }),
    CALL("kernel", "reboot", SYS_reboot, { 0, 0, 0, 0 }),
    CALL("kernel", "syslog", SYS_syslog, { 10, 0, 0 }),
    CALL("kernel", "getrandom", SYS_getrandom, { P(page), 8, 0 }),
    CALL("kernel", "uname", SYS_uname, { P(page) }),
    CALL("kernel", "sysinfo", SYS_sysinfo, { P(page) }),
    CALL("kernel", "quotactl", SYS_quotactl, { 0, 0, 0, 0 }),
    CALL("kernel", "swapon", SYS_swapon, { P("/"), 0 }),
    CALL("kernel", "rseq", SYS_rseq, { P(zeros), 32, 1, 0 }),
    CALL("kernel", "membarrier", SYS_membarrier, { 0, 0, 0 }),
    CODE("kernel", "in from a port", instruction_in),
    CODE("kernel", "hlt", instruction_hlt),
    CODE("kernel", "rdmsr", instruction_msr),
    CODE("kernel", "read cr0", instruction_cr),

    CODE("old ABIs", "int 0x80 getpid", int80_getpid),
    CODE("old ABIs", "int 0x80 open", int80_open),
    CODE("old ABIs", "int 0x80 fork", int80_fork),
    CODE("old ABIs", "int 0x80 exit_group", int80_exit),
    CODE("old ABIs", "int 0x80 socketcall", int80_socketcall),
    CODE("old ABIs", "vsyscall", instruction_vsyscall),
    CALL("old ABIs", "x32 getpid", X32_BIT | SYS_getpid, { 0 }),
    CALL("old ABIs", "x32 write to the channel", X32_BIT | SYS_write, { 3, P(page), 0 }),
    CALL("old ABIs", "x32 own number", X32_BIT | 512, { 0 }),
    CALL("old ABIs", "number -1", -1, { 0 }),
    CALL("old ABIs", "number 2^31", 0x80000000, { 0 }),
};

const size_t attack_count = sizeof attacks / sizeof attacks[0];
