/*
 * What each purpose of jail.h is made of: one table of named steps each, entered in order.
 *
 * Why this order: the parent-death signal is cleared by a change of user, so it is set again after it; a process that
 * changed its user must be dumpable for a moment to write its own user map; no_new_privs comes before any filter; the
 * bounding set is emptied while there still is the capability to do so.
 */
#include "policy/jail.h"

#include "lib/check.h"
#include "policy/jail_canary.h"
#include "policy/jail_filter.h"
#include "policy/jail_landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <link.h>
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

#ifndef SYS_mseal
#define SYS_mseal 462
#endif

/* enter: 0, or -1 with errno. A step that is no layer has a name instead, and may not fail. */
struct step {
    enum layer layer;
    int (*enter)(void);
    const char *name;
};

static struct {
    struct layer_rules rules;
    bool probe;                       /* go on, whatever is missing */
    const struct jail_limits *limits; /* of the worker being jailed */
    bool user_rights;                 /* the user namespace stands, with its capabilities */
    layer_set tried, stands;          /* tried: by this process or one above it */
    int lack[LAYER_COUNT];            /* errno */
} jail;

static bool stands(enum layer l) { return (jail.stands & layer_bit(l)) != 0; }

#ifdef GRAFTD_JAIL_SKIP
extern layer_set jail_skip; /* of tests/escape alone: layers that are left out */
#define SKIPPED(step) ((step)->layer != LAYER_NONE && (jail_skip & layer_bit((step)->layer)) != 0)
#else
#define SKIPPED(step) false
#endif

static void note(enum layer l, int e)
{
    if (l == LAYER_NONE)
        return;
    jail.tried |= layer_bit(l);
    jail.stands = e == 0 ? jail.stands | layer_bit(l) : jail.stands & ~layer_bit(l);
    jail.lack[l] = e;
}

static enum err refuse(const char *who, const struct step *s, int e, struct failure *f)
{
    if (s->layer == LAYER_NONE || layer_rows[s->layer].need == NEED_ALWAYS)
        return fail(f, ERR_UNKNOWN,
                    "the sandbox lacks a wall: \"%s\" round the %s failed: %s; graftd cannot run grafts "
                    "without it",
                    s->layer == LAYER_NONE ? s->name : layer_rows[s->layer].name, who, strerror(e));
    return fail(f, ERR_UNKNOWN,
                "the sandbox lacks a wall: \"%s\" round the %s failed: %s; `graftctl doctor` tells what "
                "to do, or run without it by `sandbox allow-missing %s` or `sandbox degraded allow` in the policy",
                layer_rows[s->layer].name, who, strerror(e), layer_rows[s->layer].name);
}

static enum err run_steps(const char *who, const struct step *steps, size_t count, struct failure *f)
{
    for (size_t i = 0; i < count; i++) {
        const struct step *s = &steps[i];
        int e = SKIPPED(s) ? EPERM : s->enter() == 0 ? 0 : errno;
        bool may_lack = s->layer != LAYER_NONE && (jail.probe || layer_may_lack(&jail.rules, s->layer, jail.stands));

        note(s->layer, e);
        if (e != 0 && !may_lack && !SKIPPED(s))
            return refuse(who, s, e, f);
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
    jail.user_rights = true;
    return 0;
}

static int enter_mnt(void) { return unshare(CLONE_NEWNS); }
static int enter_net(void) { return unshare(CLONE_NEWNET); }
static int enter_ipc(void) { return unshare(CLONE_NEWIPC); }
static int enter_uts(void) { return unshare(CLONE_NEWUTS); }
static int enter_cgroup(void) { return unshare(CLONE_NEWCGROUP); }

static int enter_pid(void) { return unshare(CLONE_NEWPID); }

static const struct step keeper_steps[] = {
    { LAYER_PIDFD, enter_pidfd, NULL },       { LAYER_NONE, enter_descriptors, "descriptors" },
    { LAYER_NONE, enter_session, "session" }, { LAYER_SECCOMP, jail_filter_prepare, NULL },
    { LAYER_USER, enter_nobody, NULL },       { LAYER_NONE, enter_tie, "tie to the daemon" },
    { LAYER_USERNS, enter_user, NULL },       { LAYER_MNTNS, enter_mnt, NULL },
    { LAYER_PIDNS, enter_pid, NULL },         { LAYER_NETNS, enter_net, NULL },
    { LAYER_IPCNS, enter_ipc, NULL },         { LAYER_UTSNS, enter_uts, NULL },
    { LAYER_CGROUPNS, enter_cgroup, NULL },
};

enum err jail_keeper(const struct layer_rules *rules, bool probe, struct failure *f)
{
    jail.rules = *rules;
    jail.probe = probe;
    return RUN("keeper", keeper_steps, f);
}

/* ---- zygote ---- */

/* A root with nothing in it. /proc is there, for the user map was written in it, and is covered. */
static int enter_root(void)
{
    if (!stands(LAYER_MNTNS)) {
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
    jail.user_rights = jail.user_rights && close_bounding_set() == 0;
    return set_capabilities(jail.user_rights ? (uint64_t)1 << CAP_SYS_ADMIN : 0);
}

static int enter_no_new_privs(void) { return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); }
static int enter_undumpable(void) { return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }
/* Without a process namespace, orphans come to the zygote all the same. */
static int enter_reaper(void) { return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }

/* The graft's file comes as an open descriptor, so nothing at all is left allowed. */
static int enter_landlock(void) { return landlock_enter(NULL, 0, true); }

/* Kernels before 6.3 do not have it: the filters forbid the same, but for memory mapped before they are shut. */
static int enter_mdwe(void) { return prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0); }

/* ---- mseal ---- */

static int seal(uintptr_t start, size_t size)
{
    const uintptr_t page = 4096;
    uintptr_t from = start & ~(page - 1), end = (start + size + page - 1) & ~(page - 1);

    return (int)syscall(SYS_mseal, from, end - from, 0);
}

/* Our own code and constants, and those of our libraries. */
static int seal_object(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    (void)arg;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];

        if (p->p_type == PT_LOAD && (p->p_flags & PF_W) == 0 && seal(info->dlpi_addr + p->p_vaddr, p->p_memsz) != 0)
            return -1;
    }
    return 0;
}

static int enter_mseal(void) { return dl_iterate_phdr(seal_object, NULL); }

enum err jail_seal(void *start, size_t size, struct failure *f)
{
    if (!stands(LAYER_MSEAL) || seal((uintptr_t)start, size) == 0)
        return OK;
    return fail(f, ERR_UNKNOWN, "memory cannot be sealed: %s", strerror(errno));
}

/* ---- limits ---- */

static int set_limit(int resource, uint64_t value)
{
    struct rlimit limit = { .rlim_cur = value, .rlim_max = value };

    return setrlimit(resource, &limit);
}

static int enter_no_files(void) { return set_limit(RLIMIT_CORE, 0) != 0 ? -1 : set_limit(RLIMIT_FSIZE, 0); }

static const struct step zygote_steps[] = {
    { LAYER_ROOT, enter_root, NULL },
    { LAYER_CAPABILITIES, enter_capabilities, NULL },
    { LAYER_NO_NEW_PRIVS, enter_no_new_privs, NULL },
    { LAYER_LANDLOCK, enter_landlock, NULL },
    { LAYER_UNDUMPABLE, enter_undumpable, NULL },
    { LAYER_NONE, enter_reaper, "orphans" },
    { LAYER_MDWE, enter_mdwe, NULL },
    { LAYER_MSEAL, enter_mseal, NULL },
    { LAYER_LIMITS, enter_no_files, NULL },
};

enum err jail_zygote(struct failure *f) { return RUN("zygote", zygote_steps, f); }

/* ---- template ---- */

static int enter_template_filter(void) { return jail_filter_enter(JAIL_FILTER_TEMPLATE); }

static const struct step template_steps[] = {
    { LAYER_SECCOMP, enter_template_filter, NULL },
};

enum err jail_template(struct failure *f) { return RUN("template", template_steps, f); }

/* ---- worker ---- */

/* Limits that are the same for every worker. RLIMIT_NPROC counts the user's processes everywhere: at 0 it stops this
 * one's. */
static const struct {
    int resource;
    uint64_t value;
} fixed_limits[] = {
    { RLIMIT_CORE, 0 },    { RLIMIT_FSIZE, 0 },    { RLIMIT_NPROC, 0 },       { RLIMIT_NOFILE, JAIL_CHANNEL + 1 },
    { RLIMIT_MEMLOCK, 0 }, { RLIMIT_MSGQUEUE, 0 }, { RLIMIT_SIGPENDING, 16 }, { RLIMIT_LOCKS, 0 },
    { RLIMIT_RTPRIO, 0 },  { RLIMIT_RTTIME, 0 },   { RLIMIT_NICE, 0 },
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
    { LAYER_LIMITS, enter_limits, NULL },
    { LAYER_CAPABILITIES, enter_no_capabilities, NULL },
    { LAYER_SECCOMP, enter_worker_filter, NULL },
};

enum err jail_worker(const struct jail_limits *limits, struct failure *f)
{
    CHECK(limits->cpu_s > 0);
    jail.limits = limits;
    return RUN("worker", worker_steps, f);
}

/* ---- forking ---- */

bool jail_has_nested_pids(void) { return jail.user_rights && stands(LAYER_PIDNS); }

pid_t jail_fork(bool nested_pids, int *pidfd)
{
    unsigned long flags = SIGCHLD | (pidfd != NULL ? CLONE_PIDFD : 0u) | (nested_pids ? CLONE_NEWPID : 0u);

    return (pid_t)syscall(SYS_clone, flags, NULL, pidfd, NULL, 0);
}

/* ---- what stands ---- */

int jail_lack(enum layer l) { return (jail.tried & layer_bit(l)) == 0 ? ENOSYS : jail.lack[l]; }

enum err jail_self_test(struct failure *f)
{
    enum err err = canary_test(f);

    note(LAYER_SELF_TEST, err == OK ? 0 : EPERM);
    return err;
}

static const struct {
    enum layer layer;
    const char *name;
} namespaces[] = {
    { LAYER_USERNS, "user" }, { LAYER_MNTNS, "mnt" }, { LAYER_PIDNS, "pid" },       { LAYER_NETNS, "net" },
    { LAYER_IPCNS, "ipc" },   { LAYER_UTSNS, "uts" }, { LAYER_CGROUPNS, "cgroup" },
};

static const char *namespace_list(char *out, size_t size)
{
    size_t n = 0;

    snprintf(out, size, "none");
    for (size_t i = 0; i < sizeof namespaces / sizeof namespaces[0]; i++)
        if (stands(namespaces[i].layer))
            n += (size_t)snprintf(out + n, size - n, "%s%s", n == 0 ? "" : ",", namespaces[i].name);
    return out;
}

const char *jail_walls(char *out, size_t size)
{
    char ns[64], missing[LAYER_LIST_MAX];

    layer_list(jail.tried & ~jail.stands, missing, sizeof missing);
    snprintf(out, size, "seccomp=2-stage/%s ns=%s root=%d landlock=%d mdwe=%d mseal=%d nnp=%d selftest=%d degraded=%s",
             jail_filter_hash(), namespace_list(ns, sizeof ns), stands(LAYER_ROOT),
             stands(LAYER_LANDLOCK) ? landlock_abi() : 0, stands(LAYER_MDWE), stands(LAYER_MSEAL),
             stands(LAYER_NO_NEW_PRIVS), stands(LAYER_SELF_TEST), missing[0] == '\0' ? "none" : missing);
    return out;
}
