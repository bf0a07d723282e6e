/*
 * The walls round graft code, by purpose. How each is built is in the tables of jail.c; the walls' names, and which may
 * be missing, are in layer.h. This is the only home of seccomp, landlock, namespaces and rlimits.
 *
 *     keeper ── zygote ── template ── worker      each is the parent of the next and has more walls
 *
 * A wall that cannot be put up fails the whole purpose with a sentence that names it, unless it may be missing by the
 * operator's rules: then it is listed by jail_walls(). All functions act on the calling process, which has one thread,
 * and cannot be taken back.
 */
#ifndef GRAFTD_POLICY_JAIL_H
#define GRAFTD_POLICY_JAIL_H

#include "lib/err.h"
#include "policy/layer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    JAIL_CHANNEL = 3,     /* the one descriptor that a worker keeps and may read and write */
    JAIL_UID = 65534,     /* what a keeper started by root becomes */
    JAIL_WALLS_MAX = 512, /* bytes of jail_walls() */
};

/* What a worker may use: each becomes an rlimit, soft = hard. */
struct jail_limits {
    uint64_t address_space; /* bytes, all of it: code, heap, stacks */
    uint64_t stack;         /* bytes */
    uint32_t cpu_s;         /* seconds of CPU in the process's life */
};

/* The calling process is killed when its parent dies. life: a descriptor that hangs up when the parent's copy of the
 * other end is closed; if that has happened already the process ends at once. */
void jail_tie(int life);

/* For the process that the daemon starts: nobody's environment, descriptors, user and namespaces. Descriptors 0 to 3
 * are kept. Builds the system call filters too, which the others inherit by fork. probe: nothing is refused, what
 * cannot be put up is noted (jail_lack()); no graft may be run then. */
enum err jail_keeper(const struct layer_rules *rules, bool probe, struct failure *f);
/* For its child, first of the new namespaces: an empty world, no way to more rights. */
enum err jail_zygote(struct failure *f);
/* Before the first byte of a graft is read: memory, one file, children. */
enum err jail_template(struct failure *f);
/* Before the first instruction of a graft is run: read and write on JAIL_CHANNEL, and die. Everything else kills. */
enum err jail_worker(const struct jail_limits *limits, struct failure *f);

/* In the zygote, with jail_zygote() done: children in the whole jail of a worker, each tries one thing that is
 * forbidden, and must die of it. Names the first that did not. Takes some milliseconds. */
enum err jail_self_test(struct failure *f);

/* Memory that stays mapped as it is until the process ends. Done where the machine has mseal. */
enum err jail_seal(void *start, size_t size, struct failure *f);

/* fork(), with a pidfd unless pidfd is NULL, and a process namespace of its own for the child if it can have one. */
bool jail_has_nested_pids(void);
pid_t jail_fork(bool nested_pids, int *pidfd);

/* 0: the layer stands. Else the errno that it failed with. After jail_zygote() and jail_self_test(). */
int jail_lack(enum layer l);
/* "seccomp=2-stage/5e3a… ns=user,mnt landlock=7 … degraded=none". Returns out. */
const char *jail_walls(char *out, size_t size);

#endif
