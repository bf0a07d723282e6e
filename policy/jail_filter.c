#include "policy/jail_filter.h"

#include "lib/hash.h"
#include "policy/jail.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    PROGRAM_MAX = 1024, /* instructions */
    HASH_SHOWN = 16,    /* characters */
};

/* Allowed when (argument & mask) == value; mask 0: always. Rules for the same call are alternatives. The kernel uses
 * 64 bits of an argument or the lower 32: comparing all 64 of a narrower one only refuses more. */
struct rule {
    const char *name;
    int number;
    unsigned argument;
    uint64_t mask, value;
};

#define ALLOW(call) { #call, SYS_##call, 0, 0, 0 }
#define ALLOW_IF(call, argument, value) { #call, SYS_##call, argument, UINT64_MAX, value }
#define ALLOW_WITHOUT(call, argument, bits) { #call, SYS_##call, argument, bits, 0 }

#ifndef SYS_mseal
#define SYS_mseal 462
#endif

#define CLONE_ALLOWED ((uint64_t)(CLONE_PIDFD | CLONE_NEWPID | CSIGNAL))

/* Reading and mapping one file, forking workers, and what these need until their own list is shut. */
static const struct rule template_rules[] = {
    ALLOW(pread64), ALLOW(munmap), ALLOW(mseal), ALLOW(close), ALLOW(close_range), ALLOW(dup2),
    ALLOW_WITHOUT(mmap, 2, PROT_WRITE), ALLOW_WITHOUT(mmap, 2, PROT_EXEC), /* never both */
    ALLOW_WITHOUT(mprotect, 2, PROT_EXEC),
    ALLOW_WITHOUT(clone, 0, ~CLONE_ALLOWED),
    ALLOW(pipe2), ALLOW(poll), ALLOW(signalfd4), ALLOW(read), ALLOW(write),
    ALLOW(recvmsg), ALLOW(sendmsg), ALLOW(waitid),
    ALLOW(rt_sigprocmask), ALLOW(rt_sigaction), ALLOW(rt_sigreturn), ALLOW(sigaltstack),
    ALLOW_IF(prctl, 0, PR_SET_PDEATHSIG), ALLOW(prlimit64), ALLOW(capset), ALLOW(seccomp),
    ALLOW(restart_syscall), ALLOW(exit_group),
};

/* rt_sigreturn: the way back from the fault handler, which dies of the same fault again. */
static const struct rule worker_rules[] = {
    ALLOW_IF(read, 0, JAIL_CHANNEL),
    ALLOW_IF(write, 0, JAIL_CHANNEL),
    ALLOW(rt_sigreturn),
    ALLOW(exit_group),
};

struct list {
    const struct rule *rules;
    size_t count;
};

static const struct list lists[JAIL_FILTER_COUNT] = {
    [JAIL_FILTER_TEMPLATE] = { template_rules, sizeof template_rules / sizeof template_rules[0] },
    [JAIL_FILTER_WORKER] = { worker_rules, sizeof worker_rules / sizeof worker_rules[0] },
};

static struct sock_filter programs[JAIL_FILTER_COUNT][PROGRAM_MAX];
static unsigned short program_lengths[JAIL_FILTER_COUNT];

/* libseccomp's negative errno as ours. */
static int negative(int rc)
{
    if (rc >= 0)
        return 0;
    errno = -rc;
    return -1;
}

static int add_rule(scmp_filter_ctx filter, const struct rule *r)
{
    struct scmp_arg_cmp cmp = { .arg = r->argument, .op = SCMP_CMP_MASKED_EQ, .datum_a = r->mask, .datum_b = r->value };

    return negative(seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, r->number, r->mask != 0 ? 1 : 0, &cmp));
}

/* libseccomp writes programs to descriptors only. */
static int export_program(scmp_filter_ctx filter, enum jail_filter which)
{
    int fd = memfd_create("filter", MFD_CLOEXEC), rc = -1;
    ssize_t n;

    if (fd < 0)
        return -1;
    if (negative(seccomp_export_bpf(filter, fd)) == 0) {
        n = pread(fd, programs[which], sizeof programs[which], 0);
        if (n > 0 && (size_t)n < sizeof programs[which]) {
            program_lengths[which] = (unsigned short)((size_t)n / sizeof programs[which][0]);
            rc = 0;
        } else if (n >= 0) {
            errno = E2BIG;
        }
    }
    close(fd);
    return rc;
}

static int prepare_one(enum jail_filter which)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    int rc = 0;

    if (filter == NULL) {
        errno = ENOMEM;
        return -1;
    }
    rc = negative(seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS));
    for (size_t i = 0; i < lists[which].count && rc == 0; i++)
        rc = add_rule(filter, &lists[which].rules[i]);
    if (rc == 0)
        rc = export_program(filter, which);
    seccomp_release(filter);
    return rc;
}

int jail_filter_prepare(void)
{
    uint32_t action = SECCOMP_RET_KILL_PROCESS;

    if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) != 0)
        return -1;
    for (int i = 0; i < JAIL_FILTER_COUNT; i++)
        if (prepare_one((enum jail_filter)i) != 0)
            return -1;
    return 0;
}

const char *jail_filter_hash(void)
{
    static char hex[SHA256_HEX + 1];

    hash_sha256(bytes_of(programs, sizeof programs), hex); /* behind its end each program is zero */
    hex[HASH_SHOWN] = '\0';
    return hex;
}

/* ---- for people ---- */

static const char *const list_names[JAIL_FILTER_COUNT] = {
    [JAIL_FILTER_TEMPLATE] = "template", [JAIL_FILTER_WORKER] = "worker, in addition"
};

static void show_rule(int fd, const struct rule *r)
{
    dprintf(fd, "    allow %s", r->name);
    if (r->mask == UINT64_MAX)
        dprintf(fd, " if argument %u is %llu", r->argument, (unsigned long long)r->value);
    else if (r->mask != 0)
        dprintf(fd, " if argument %u has none of the bits 0x%llx", r->argument, (unsigned long long)r->mask);
    dprintf(fd, "\n");
}

void jail_filter_show(int fd)
{
    dprintf(fd, "seccomp filters, %s. Arguments count from 0; rules for one call are alternatives.\n",
            jail_filter_hash());
    for (int i = 0; i < JAIL_FILTER_COUNT; i++) {
        dprintf(fd, "\n%s (%u instructions):\n", list_names[i], program_lengths[i]);
        for (size_t k = 0; k < lists[i].count; k++)
            show_rule(fd, &lists[i].rules[k]);
        dprintf(fd, "    anything else, and any call of another architecture (int 0x80, x32): kill the process\n");
    }
}

int jail_filter_enter(enum jail_filter which)
{
    struct sock_fprog program = { .len = program_lengths[which], .filter = programs[which] };

    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}
