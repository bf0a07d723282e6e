/*
 * What each purpose of jail.h is made of: one table of named steps each, entered in order.
 *
 * Why this order: the parent-death signal is cleared by a change of user, so it is set again after it; a process that
 * changed its user must be dumpable for a moment to write its own user map; no_new_privs comes before any filter; the
 * bounding set is emptied while there still is the capability to do so.
 */
#include "policy/jail.h"

#include "lib/check.h"
#include "policy/jail_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_MDWE_REFUSE_EXEC_GAIN 1
#endif

/* enter: 0, or -1 with errno. ns: the namespace's name in jail_walls(). */
struct step {
    const char *name;
    int (*enter)(void);
    bool may_lack;
    const char *ns;
};

static struct {
    bool degraded;                    /* steps may be missing if their row says so */
    const struct jail_limits *limits; /* of the worker being jailed */
    bool user, pid, mdwe;             /* these stand, user with its capabilities */
    char ns[64], missing[256];        /* comma-separated */
} jail;

static void list_add(char *list, size_t size, const char *name)
{
    size_t n = strlen(list);

    snprintf(list + n, size - n, "%s%s", n == 0 ? "" : ",", name);
}

static const char may_lack_advice[] =
    "allow it in the kernel's settings, or run without it by `sandbox degraded allow` in the policy";

static enum err run_steps(const char *who, const struct step *steps, size_t count, struct failure *f)
{
    for (size_t i = 0; i < count; i++) {
        const struct step *s = &steps[i];
        int e = s->enter() == 0 ? 0 : errno;

        if (e == 0 && s->ns != NULL)
            list_add(jail.ns, sizeof jail.ns, s->ns);
        else if (e != 0 && s->may_lack && jail.degraded)
            list_add(jail.missing, sizeof jail.missing, s->name);
        else if (e != 0)
            return fail(f, ERR_UNKNOWN, "the sandbox lacks a wall: \"%s\" round the %s failed: %s; %s", s->name, who,
                        strerror(e), s->may_lack ? may_lack_advice : "graftd cannot run grafts without it");
    }
    return OK;
}

#define RUN(who, steps, f) run_steps(who, steps, sizeof(steps) / sizeof(steps)[0], f)

/* ---- keeper ---- */

void jail_tie(int life)
{
    struct pollfd p = { .fd = life };

    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
        _exit(1);
    if (poll(&p, 1, 0) != 0)
        _exit(0);
}

/* 0 and 1 are opened on nothing, so that no later descriptor takes their place. */
static int enter_descriptors(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0)
        return -1;
    if (dup2(null, 0) < 0 || dup2(null, 1) < 0)
        return -1;
    return close_range(JAIL_CHANNEL + 1, ~0u, 0);
}

static int enter_session(void)
{
    if (clearenv() != 0)
        return -1;
    umask(077);
    setsid(); /* fails only for one that leads a group already */
    return chdir("/");
}

static int enter_pidfd(void)
{
    int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

    return fd < 0 ? -1 : close(fd);
}

static int enter_nobody(void)
{
    if (geteuid() != 0)
        return 0;
    if (setgroups(0, NULL) != 0 || setresgid(JAIL_UID, JAIL_UID, JAIL_UID) != 0)
        return -1;
    return setresuid(JAIL_UID, JAIL_UID, JAIL_UID);
}

static int enter_tie(void)
{
    jail_tie(JAIL_CHANNEL);
    return 0;
}

static int write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return -1;
    n = write(fd, text, strlen(text));
    close(fd);
    return n == (ssize_t)strlen(text) ? 0 : -1;
}

static int enter_user(void)
{
    char uid[32], gid[32];

    snprintf(uid, sizeof uid, "0 %u 1", (unsigned)geteuid());
    snprintf(gid, sizeof gid, "0 %u 1", (unsigned)getegid());
    if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0 || unshare(CLONE_NEWUSER) != 0)
        return -1;
    if (write_file("/proc/self/setgroups", "deny") != 0 || write_file("/proc/self/uid_map", uid) != 0 ||
        write_file("/proc/self/gid_map", gid) != 0)
        return -1;
    jail.user = true;
    return 0;
}

static int enter_mnt(void) { return unshare(CLONE_NEWNS); }
static int enter_net(void) { return unshare(CLONE_NEWNET); }
static int enter_ipc(void) { return unshare(CLONE_NEWIPC); }
static int enter_uts(void) { return unshare(CLONE_NEWUTS); }
static int enter_cgroup(void) { return unshare(CLONE_NEWCGROUP); }

static int enter_pid(void)
{
    if (unshare(CLONE_NEWPID) != 0)
        return -1;
    jail.pid = true;
    return 0;
}

static const struct step keeper_steps[] = {
    { "pidfd", enter_pidfd, false, NULL },
    { "descriptors", enter_descriptors, false, NULL },
    { "session", enter_session, false, NULL },
    { "system call filters", jail_filter_prepare, false, NULL },
    { "another user", enter_nobody, true, NULL },
    { "tie to the daemon", enter_tie, false, NULL },
    { "user namespace", enter_user, true, "user" },
    { "mount namespace", enter_mnt, true, "mnt" },
    { "process namespace", enter_pid, true, "pid" },
    { "network namespace", enter_net, true, "net" },
    { "ipc namespace", enter_ipc, true, "ipc" },
    { "uts namespace", enter_uts, true, "uts" },
    { "cgroup namespace", enter_cgroup, true, "cgroup" },
};

enum err jail_keeper(bool degraded, struct failure *f)
{
    jail.degraded = degraded;
    return RUN("keeper", keeper_steps, f);
}

/* ---- zygote ---- */

/* A root with nothing in it. /proc is there, for the user map was written in it, and is covered. */
static int enter_root(void)
{
    if (strstr(jail.ns, "mnt") == NULL) {
        errno = EPERM;
        return -1;
    }
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", "/proc", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k,nr_inodes=2,mode=0555") != 0 ||
        chdir("/proc") != 0 || syscall(SYS_pivot_root, ".", ".") != 0 || umount2(".", MNT_DETACH) != 0 ||
        chdir("/") != 0)
        return -1;
    return mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
}

static int set_capabilities(uint64_t set)
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3, .pid = 0 };
    uint32_t low = (uint32_t)set, high = (uint32_t)(set >> 32);
    struct __user_cap_data_struct data[2] = { { .effective = low, .permitted = low },
                                              { .effective = high, .permitted = high } };

    return (int)syscall(SYS_capset, &head, data);
}

static int close_bounding_set(void)
{
    for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
        if (cap != CAP_SYS_ADMIN && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0 && errno != EINVAL)
            return -1;
    return prctl(PR_SET_SECUREBITS, SECURE_ALL_BITS | SECURE_ALL_LOCKS, 0, 0, 0);
}

/* Inside a user namespace of one's own one capability is left: to give a child a process namespace. Some systems let
 * anyone make a user namespace but give no capability in it: then, as without one, none is left, and no_new_privs
 * keeps it so. */
static int enter_capabilities(void)
{
    jail.user = jail.user && close_bounding_set() == 0;
    return set_capabilities(jail.user ? (uint64_t)1 << CAP_SYS_ADMIN : 0);
}

static int enter_no_new_privs(void) { return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); }
static int enter_undumpable(void) { return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }
/* Without a process namespace, orphans come to the zygote all the same. */
static int enter_reaper(void) { return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }

/* Kernels before 6.3 do not have it: the filters forbid the same, but for memory mapped before they are shut. */
static int enter_mdwe(void)
{
    jail.mdwe = prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) == 0;
    return 0;
}

static int set_limit(int resource, uint64_t value)
{
    struct rlimit limit = { .rlim_cur = value, .rlim_max = value };

    return setrlimit(resource, &limit);
}

static int enter_no_files(void) { return set_limit(RLIMIT_CORE, 0) != 0 ? -1 : set_limit(RLIMIT_FSIZE, 0); }

static const struct step zygote_steps[] = {
    { "empty root", enter_root, true, NULL },
    { "capabilities", enter_capabilities, false, NULL },
    { "no_new_privs", enter_no_new_privs, false, NULL },
    { "not dumpable", enter_undumpable, false, NULL },
    { "orphans", enter_reaper, false, NULL },
    { "memory: write or execute", enter_mdwe, false, NULL },
    { "no core, no files", enter_no_files, false, NULL },
};

enum err jail_zygote(struct failure *f) { return RUN("zygote", zygote_steps, f); }

/* ---- template ---- */

static int enter_template_filter(void) { return jail_filter_enter(JAIL_FILTER_TEMPLATE); }

static const struct step template_steps[] = {
    { "system calls of a template", enter_template_filter, false, NULL },
};

enum err jail_template(struct failure *f) { return RUN("template", template_steps, f); }

/* ---- worker ---- */

/* Limits that are the same for every worker. RLIMIT_NPROC counts the user's processes everywhere: at 0 it stops this
 * one's. */
static const struct {
    int resource;
    uint64_t value;
} fixed_limits[] = {
    { RLIMIT_CORE, 0 },  { RLIMIT_FSIZE, 0 },    { RLIMIT_NPROC, 0 },       { RLIMIT_NOFILE, JAIL_CHANNEL + 1 },
    { RLIMIT_MEMLOCK, 0 }, { RLIMIT_MSGQUEUE, 0 }, { RLIMIT_SIGPENDING, 16 }, { RLIMIT_LOCKS, 0 },
    { RLIMIT_RTPRIO, 0 }, { RLIMIT_RTTIME, 0 },   { RLIMIT_NICE, 0 },
};

static int enter_limits(void)
{
    for (size_t i = 0; i < sizeof fixed_limits / sizeof fixed_limits[0]; i++)
        if (set_limit(fixed_limits[i].resource, fixed_limits[i].value) != 0)
            return -1;
    if (set_limit(RLIMIT_STACK, jail.limits->stack) != 0 || set_limit(RLIMIT_CPU, jail.limits->cpu_s) != 0)
        return -1;
    return set_limit(RLIMIT_AS, jail.limits->address_space);
}

static int enter_no_capabilities(void) { return set_capabilities(0); }
static int enter_worker_filter(void) { return jail_filter_enter(JAIL_FILTER_WORKER); }

static const struct step worker_steps[] = {
    { "limits", enter_limits, false, NULL },
    { "no capabilities", enter_no_capabilities, false, NULL },
    { "system calls of a worker", enter_worker_filter, false, NULL },
};

enum err jail_worker(const struct jail_limits *limits, struct failure *f)
{
    CHECK(limits->cpu_s > 0);
    jail.limits = limits;
    return RUN("worker", worker_steps, f);
}

/* ---- what stands ---- */

bool jail_has_nested_pids(void) { return jail.user && jail.pid; }

const char *jail_walls(char *out, size_t size)
{
    snprintf(out, size, "seccomp=1 ns=%s landlock=0 mdwe=%d nnp=1 degraded=%s", jail.ns[0] == '\0' ? "none" : jail.ns,
             jail.mdwe, jail.missing[0] == '\0' ? "none" : jail.missing);
    return out;
}
