#include "tests/escape/attack_code.h"

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

static char page[8192] __attribute__((aligned(4096)));

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

long make_file(void)
{
    long fd = sys(SYS_openat, AT_FDCWD, (long)"/tmp/graft-escape", O_CREAT | O_EXCL | O_RDWR, 0600, 0, 0);

    if (fd >= 0)
        sys(SYS_unlink, (long)"/tmp/graft-escape", 0, 0, 0, 0, 0);
    return fd;
}

long make_dir(void)
{
    long rc = sys(SYS_mkdir, (long)"/tmp/graft-escape", 0700, 0, 0, 0, 0);

    if (rc == 0)
        sys(SYS_rmdir, (long)"/tmp/graft-escape", 0, 0, 0, 0, 0);
    return rc;
}

long make_link(void)
{
    long rc = sys(SYS_symlink, (long)"/etc/shadow", (long)"/tmp/graft-escape", 0, 0, 0, 0);

    if (rc == 0)
        sys(SYS_unlink, (long)"/tmp/graft-escape", 0, 0, 0, 0, 0);
    return rc;
}

/* The way out of a chroot that is only that. */
long climb_out(void)
{
    for (int i = 0; i < 40; i++) {
        long rc = sys(SYS_chdir, (long)"..", 0, 0, 0, 0, 0);
        if (rc < 0)
            return rc;
    }
    return open_read("etc/passwd");
}

long open_how(void)
{
    static const uint64_t how[3] = { O_RDONLY, 0, 0 };

    return sys(SYS_openat2, AT_FDCWD, (long)"/", (long)how, sizeof how, 0, 0);
}

/* ---- descriptors ---- */

long pass_descriptor(void)
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

long fork_old(void) { return child_or(sys(SYS_fork, 0, 0, 0, 0, 0, 0)); }
long fork_clone(void) { return child_or(sys(SYS_clone, SIGCHLD, 0, 0, 0, 0, 0)); }
long fork_user(void) { return child_or(sys(SYS_clone, SIGCHLD | CLONE_NEWUSER, 0, 0, 0, 0, 0)); }
long fork_pids(void) { return child_or(sys(SYS_clone, SIGCHLD | CLONE_NEWPID, 0, 0, 0, 0, 0)); }

long fork_clone3(void)
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

long exec_memfd(void)
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
long exec_shell(void) { return exec_path("/bin/sh"); }
long exec_self(void) { return exec_path("/proc/self/exe"); }

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
long connect_path(void) { return connect_to("/run/systemd/notify", 20); }
long connect_abstract(void) { return connect_to("\0graftd-escape", 14); }

long bind_abstract(void)
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
long tcp_connect(void)
{
    long rc = tcp(SYS_connect);
    return rc == -EINPROGRESS ? 0 : rc;
}
long tcp_bind(void) { return tcp(SYS_bind); }

/* ---- signals and peers ---- */

static long parent(void)
{
    long pid = sys(SYS_getppid, 0, 0, 0, 0, 0, 0);

    return pid > 0 ? pid : 1;
}
long signal_parent(void) { return sys(SYS_kill, parent(), 0, 0, 0, 0, 0); }
long trace_parent(void) { return sys(SYS_ptrace, 0x4206 /* SEIZE */, parent(), 0, 0, 0, 0); }
long read_parent(void)
{
    struct iovec here = { page, 8 }, there = { page, 8 };

    return sys(SYS_process_vm_readv, parent(), (long)&here, 1, (long)&there, 1, 0);
}
long write_parent(void)
{
    struct iovec here = { page, 0 }, there = { page, 0 };

    return sys(SYS_process_vm_writev, parent(), (long)&here, 1, (long)&there, 1, 0);
}
long steal_descriptor(void)
{
    long fd = sys(SYS_pidfd_open, parent(), 0, 0, 0, 0, 0);

    return fd < 0 ? fd : sys(SYS_pidfd_getfd, fd, 3, 0, 0, 0, 0);
}

/* ---- memory ---- */

/* Memory that is written and then run: code that returns. */
long run_written(void)
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
long run_shared(void)
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

long unmap_code(void)
{
    return sys(SYS_munmap, (long)((uintptr_t)unmap_code & ~(uintptr_t)4095) + (1 << 20), 4096, 0, 0, 0, 0);
}

/* Our own constants, made writable: what mseal is for. */
static const char constant[8192] __attribute__((aligned(4096))) = "constant";
long write_constant(void) { return sys(SYS_mprotect, (long)constant, 4096, PROT_READ | PROT_WRITE, 0, 0, 0); }

long map_bomb(void)
{
    for (int i = 0; i < 60000; i++) {
        long at = sys(SYS_mmap, 0, 4096, i % 2 != 0 ? PROT_READ : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (at < 0 && at > -4096)
            return at;
    }
    return 0;
}

static volatile uintptr_t nowhere = 16, kernel = 0xffffffff81000000;
long kernel_memory(void) { return *(volatile int *)kernel; }
long no_memory(void) { return *(volatile int *)nowhere; }
long run_data(void)
{
    page[0] = (char)0xc3;
    ((void (*)(void))(uintptr_t)page)();
    return 0;
}

/* ---- instructions ---- */

long instruction_in(void)
{
    uint8_t v;

    __asm__ volatile("inb $0x70, %0" : "=a"(v));
    return v;
}
long instruction_hlt(void)
{
    __asm__ volatile("hlt");
    return 0;
}
long instruction_msr(void)
{
    uint32_t low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(0x1b));
    return low;
}
long instruction_cr(void)
{
    uint64_t v;

    __asm__ volatile("mov %%cr0, %0" : "=r"(v));
    return (long)(v & 1);
}
long instruction_vsyscall(void)
{
    return ((long (*)(long))0xffffffffff600400)(0) > 0 ? 0 : -EPERM; /* time() of the old days */
}

/* ---- old ABIs ---- */

long int80_getpid(void) { return door_int80(20, (long[6]){ 0 }); }
long int80_open(void) { return door_int80(5, (long[6]){ 0 }); }
long int80_fork(void) { return child_or(door_int80(2, (long[6]){ 0 })); }
long int80_exit(void)
{
    door_int80(252, (long[6]){ ATTACK_EFFECT });
    return 0;
}
long int80_socketcall(void) { return door_int80(102, (long[6]){ 0 }); }

/* rt_sigreturn is allowed: a frame of one's own choice changes registers, which the code could do itself. */
long forged_frame(void) { return sys(SYS_rt_sigreturn, 0, 0, 0, 0, 0, 0); }
