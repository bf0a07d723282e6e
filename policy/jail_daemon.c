/*
 * A list of what graftd never does, refused with an error: an allow list of what SQLite, libuv and the C library do
 * would have to follow each of their versions. No process can be started and no file be run, so nothing that is let
 * through is of use to a program from outside.
 */
#include "policy/jail_daemon.h"

#include "policy/jail_landlock.h"

#include <errno.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    PROGRAM_MAX = 256, /* instructions */
    X32 = 0x40000000,
};

static const char *walls = "none";

/* AddressSanitizer's search for leaks at the end forks and traces: an instrumented graftd stays open. */
#ifdef __SANITIZE_ADDRESS__
#define INSTRUMENTED true
#else
#define INSTRUMENTED false
#endif

/* ---- files ---- */

#define READ (LANDLOCK_READ_FILE | LANDLOCK_READ_DIR)
#define WRITE \
    (READ | LANDLOCK_WRITE_FILE | LANDLOCK_TRUNCATE | LANDLOCK_MAKE_REG | LANDLOCK_MAKE_DIR | LANDLOCK_REMOVE_FILE | \
     LANDLOCK_REMOVE_DIR | LANDLOCK_REFER)

/* What the C library reads to name users and times, and libuv, jemalloc and we to count processors and find a process's
 * number. */
static const struct landlock_path everyones[] = {
    { "/etc/passwd", READ },
    { "/etc/group", READ },
    { "/etc/nsswitch.conf", READ },
    { "/etc/localtime", READ },
    { "/etc/ld.so.cache", READ },
    { "/usr", READ },
    { "/lib", READ },
    { "/lib64", READ },
    { "/proc", READ },
    { "/sys/devices/system", READ },
    { "/sys/fs/cgroup", READ },
    { "/dev/urandom", READ },
    { "/dev/null", READ | LANDLOCK_WRITE_FILE },
};

/* The directory that a file is in. Returns out. */
static const char *directory_of(const char *path, char out[PATH_MAX])
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL)
        snprintf(out, PATH_MAX, ".");
    else
        snprintf(out, PATH_MAX, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    return out;
}

static const char *policy_directory(const char *path, char out[PATH_MAX])
{
    struct stat st;

    if (path == NULL)
        return "/dev/null"; /* allowed anyway */
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode) ? path : directory_of(path, out);
}

static enum err limit_files(const struct daemon_paths *paths, struct failure *f)
{
    enum { OWN_MAX = 6 + JAIL_ROOT_MAX, EVERYONES = sizeof everyones / sizeof everyones[0] };
    struct landlock_path allowed[OWN_MAX + EVERYONES];
    char socket_at[PATH_MAX], policy_at[PATH_MAX];
    size_t n = 0;

    allowed[n++] = (struct landlock_path){ paths->data, WRITE };
    allowed[n++] = (struct landlock_path){ paths->backup, WRITE };
    allowed[n++] =
        (struct landlock_path){ directory_of(paths->socket, socket_at), LANDLOCK_MAKE_SOCK | LANDLOCK_REMOVE_FILE };
    allowed[n++] = (struct landlock_path){ policy_directory(paths->policy, policy_at), READ };
    if (paths->groups != NULL)
        allowed[n++] = (struct landlock_path){ paths->groups, READ | LANDLOCK_REMOVE_DIR };
    if (paths->graft_groups != NULL)
        allowed[n++] = (struct landlock_path){ paths->graft_groups, READ | LANDLOCK_WRITE_FILE | LANDLOCK_MAKE_DIR };
    for (size_t i = 0; i < paths->root_count && i < JAIL_ROOT_MAX; i++)
        allowed[n++] = (struct landlock_path){ paths->roots[i], WRITE };
    memcpy(&allowed[n], everyones, sizeof everyones);
    if (landlock_enter(allowed, n + EVERYONES, false) != 0)
        return fail(f, ERR_UNKNOWN,
                    "graftd cannot limit itself to its files: %s; `sandbox daemon off` in the policy runs it "
                    "without these walls",
                    strerror(errno));
    return OK;
}

static bool files_limited;

enum err jail_daemon_files(const struct daemon_paths *paths, struct failure *f)
{
    enum err err = OK;

    if (INSTRUMENTED)
        return OK;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return fail(f, ERR_UNKNOWN, "graftd cannot give up new privileges: %s", strerror(errno));
    files_limited = paths->backup != NULL && landlock_abi() > 0;
    if (files_limited)
        err = limit_files(paths, f);
    walls = files_limited ? "nnp,landlock" : "nnp";
    return err;
}

/* ---- system calls ---- */

static const int refused[] = {
    SYS_execve,
    SYS_execveat,
    SYS_fork,
    SYS_vfork,
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_process_madvise,
    SYS_kcmp,
    SYS_pidfd_getfd,
    SYS_unshare,
    SYS_setns,
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_move_mount,
    SYS_open_tree,
    SYS_fsopen,
    SYS_fsconfig,
    SYS_fsmount,
    SYS_fspick,
    SYS_mount_setattr,
    SYS_open_by_handle_at,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_io_uring_setup,
    SYS_io_uring_enter,
    SYS_io_uring_register,
    SYS_kexec_load,
    SYS_kexec_file_load,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    SYS_reboot,
    SYS_swapon,
    SYS_swapoff,
    SYS_acct,
    SYS_quotactl,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_clock_adjtime,
    SYS_adjtimex,
    SYS_sethostname,
    SYS_setdomainname,
    SYS_syslog,
    SYS_iopl,
    SYS_ioperm,
    SYS_modify_ldt,
    SYS_personality,
    SYS_vhangup,
    SYS_memfd_secret,
    SYS_setuid,
    SYS_setgid,
    SYS_setreuid,
    SYS_setregid,
    SYS_setresuid,
    SYS_setresgid,
    SYS_setfsuid,
    SYS_setfsgid,
    SYS_setgroups,
    SYS_capset,
    SYS_mknod,
    SYS_mknodat,
};

struct program {
    struct sock_filter code[PROGRAM_MAX];
    unsigned short length;
};

static void add(struct program *p, uint16_t code, uint32_t k, uint8_t yes, uint8_t no)
{
    if (p->length < PROGRAM_MAX)
        p->code[p->length++] = (struct sock_filter){ code, yes, no, k };
}

static void load(struct program *p, size_t offset) { add(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0); }
static void give(struct program *p, uint32_t action) { add(p, BPF_RET | BPF_K, action, 0, 0); }
static void refuse(struct program *p, int e) { give(p, SECCOMP_RET_ERRNO | (uint32_t)e); }

/* The number stands in the accumulator, before and after; the lower half of one argument is looked at. */
static void refuse_unless(struct program *p, int number, unsigned argument, uint16_t test, uint32_t k, int e)
{
    add(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 4);
    load(p, offsetof(struct seccomp_data, args) + argument * sizeof(uint64_t));
    add(p, (uint16_t)(BPF_JMP | BPF_K | test), k, 1, 0);
    refuse(p, e);
    give(p, SECCOMP_RET_ALLOW);
}

/* Not both: memory that is written and run. */
static void refuse_both(struct program *p, int number, uint32_t bits)
{
    add(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 5);
    load(p, offsetof(struct seccomp_data, args) + 2 * sizeof(uint64_t));
    add(p, BPF_ALU | BPF_AND | BPF_K, bits, 0, 0);
    add(p, BPF_JMP | BPF_JEQ | BPF_K, bits, 0, 1);
    refuse(p, EPERM);
    give(p, SECCOMP_RET_ALLOW);
}

static void build(struct program *p)
{
    load(p, offsetof(struct seccomp_data, arch));
    add(p, BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
    give(p, SECCOMP_RET_KILL_PROCESS);
    load(p, offsetof(struct seccomp_data, nr));
    add(p, BPF_JMP | BPF_JGE | BPF_K, X32, 0, 1);
    give(p, SECCOMP_RET_KILL_PROCESS);
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        add(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)refused[i], 0, 1);
        refuse(p, EPERM);
    }
    add(p, BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1);
    refuse(p, ENOSYS); /* its flags cannot be seen; the C library takes clone then */
    refuse_unless(p, SYS_clone, 0, BPF_JSET, CLONE_THREAD, EPERM);
    refuse_unless(p, SYS_socket, 0, BPF_JEQ, AF_UNIX, EAFNOSUPPORT);
    refuse_both(p, SYS_mmap, PROT_WRITE | PROT_EXEC);
    refuse_both(p, SYS_mprotect, PROT_WRITE | PROT_EXEC);
    give(p, SECCOMP_RET_ALLOW);
}

enum err jail_daemon_calls(struct failure *f)
{
    static struct program p;
    struct sock_fprog filter;

    if (INSTRUMENTED)
        return OK;
    p.length = 0;
    build(&p);
    filter = (struct sock_fprog){ .len = p.length, .filter = p.code };
    if (p.length == PROGRAM_MAX ||
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter) != 0)
        return fail(f, ERR_UNKNOWN,
                    "graftd cannot give up system calls: %s; `sandbox daemon off` in the policy runs it "
                    "without these walls",
                    strerror(errno));
    walls = files_limited ? "nnp,seccomp,landlock" : "nnp,seccomp";
    return OK;
}

const char *jail_daemon_walls(void) { return walls; }
