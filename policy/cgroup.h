/*
 * Control groups, for one purpose: each loaded graft has a share of the CPU of its own, however many workers it has, and
 * graftd a larger one than all grafts together (W6). The kernel's versions 1 and 2. Only home of control groups.
 *
 *     OWN                            where graftd was started; it stays below this, and leaves other groups in it alone
 *     OWN/graftd-ID.daemon           graftd, keeper, zygote       four times as much as
 *     OWN/graftd-ID.grafts           no process of its own        on each processor as much as an ordinary process
 *     OWN/graftd-ID.grafts/graft-NAME-N          template and workers of one graft       as the policy says
 *     OWN/graftd-ID.grafts/graft-NAME-N-slow     those of them whose call uses much CPU  a tenth of that
 *
 * Workers are born where their template is, so nothing of this is on a call's path. All is opened before graftd's walls
 * go up, and reached by descriptor from then on. Version 2 wants no process in a group that shares out to others: so
 * graftd moves into a leaf of its own, which works where it is alone in OWN (systemd: Delegate=cpu).
 *
 * After cgroup_open() the functions may be called from any thread, and may sleep: the kernel takes milliseconds for a move.
 */
#ifndef GRAFTD_POLICY_CGROUP_H
#define GRAFTD_POLICY_CGROUP_H

#include "lib/err.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    CGROUP_ID_MAX = 40,           /* bytes of an ID, with its NUL */
    CGROUP_WEIGHT_MAX = 10000,    /* a weight is 1 to this */
    CGROUP_WEIGHT_STANDARD = 100, /* of grafts, and of other groups that nobody weighed */
};

/* What it looks at, and the calls that another file system would not answer as that of control groups does. */
struct cgroup_world {
    const char *self, *mounts;                      /* as /proc/self/cgroup, /proc/self/mountinfo */
    const char *root;                               /* goes before each path that they name */
    int (*make)(int directory, const char *name);   /* 0, or -1 with errno */
    int (*remove)(int directory, const char *name); /* the same; one with anybody in it or below it: EBUSY */
    int (*write)(int file, const char *text);       /* the same */
};

struct cgroup; /* owned by whoever opened it */

/* Finds OWN, removes what graftds that are gone have left there, makes the two groups and moves the process into its own.
 * id tells it from others (letters, digits, '-'): a group of that id which is still in use is given a second to get
 * empty. world: NULL for this machine. Anything but OK: nothing was changed, and the reason is in why. */
enum err cgroup_open(const struct cgroup_world *world, const char *id, struct cgroup **out, struct failure *why);
/* Moves the process back and removes all that was made, as far as nobody is in it. Harmless with NULL in *c. */
void cgroup_close(struct cgroup **c);

int cgroup_version(const struct cgroup *c);        /* 1 or 2 */
const char *cgroup_own(const struct cgroup *c);    /* path of OWN; borrowed from c. Below it groups are removed, */
const char *cgroup_grafts(const struct cgroup *c); /* and below this one they are made, written and removed */

/* One process of a graft. name: any bytes will do; number: tells grafts of one name apart. pidfd is of the same process as
 * pid: so that no other is moved, when it has ended. */
struct cgroup_member {
    const char *name;
    unsigned number;
    pid_t pid;
    int pidfd;
};

/* Groups for a graft, with its template in the first. On failure there are none. */
enum err cgroup_graft_open(const struct cgroup *c, const struct cgroup_member *template, uint32_t weight,
                           struct failure *why);
/* To the second one, for good. */
enum err cgroup_graft_slow(const struct cgroup *c, const struct cgroup_member *worker, struct failure *why);
/* Once all processes in them are gone. False: they are not. */
bool cgroup_graft_close(const struct cgroup *c, const char *name, unsigned number);

#endif
