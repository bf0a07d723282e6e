/*
 * The walls round graftd itself: it serves hostile clients and hears hostile workers, so it gives up, once it has
 * started, what it will never need. Two steps, because the first one covers only threads that come later and forbids
 * what the keeper must do, and the second one forbids what a start needs.
 *
 *     the keeper is started → jail_daemon_files() → threads, store, socket → jail_daemon_calls() → serving
 */
#ifndef GRAFTD_POLICY_JAIL_DAEMON_H
#define GRAFTD_POLICY_JAIL_DAEMON_H

#include "lib/err.h"

#include <stddef.h>

enum { JAIL_ROOT_MAX = 64 };

/* All absolute, borrowed for the call. */
struct daemon_paths {
    const char *data;   /* read and written, with all below it */
    const char *backup; /* the same; NULL: backups may go anywhere, so files are not limited */
    const char *socket; /* its directory: sockets are made and removed there */
    const char *roots[JAIL_ROOT_MAX]; /* of grafts' files: read and written, with all below */
    size_t root_count;
    const char *groups;       /* OWN of cgroup.h, where groups are removed; NULL: none */
    const char *graft_groups; /* the group below it where they are made and written, too; NULL: none */
    const char *policy; /* its directory is read, for a file is replaced rather than written; NULL: none */
};

/* no_new_privs; and, where the machine has landlock and backups have a place of their own: no file but these and what
 * the system's libraries read, no program, no TCP. ERR_UNKNOWN. */
enum err jail_daemon_files(const struct daemon_paths *paths, struct failure *f);
/* In all threads, those of now too: no new process or program, no socket but Unix ones, nothing that changes the
 * machine. What is refused fails with EPERM. ERR_UNKNOWN. */
enum err jail_daemon_calls(struct failure *f);
/* "nnp,seccomp,landlock", as far as they stand; "none". */
const char *jail_daemon_walls(void);

#endif
