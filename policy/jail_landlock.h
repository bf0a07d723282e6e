/*
 * Landlock: what a process may do with files, ports and peers, beneath what its user may. Rights that this kernel does
 * not know are left out, so that an older one gives what it has. By system calls: no C library knows them all.
 */
#ifndef GRAFTD_POLICY_JAIL_LANDLOCK_H
#define GRAFTD_POLICY_JAIL_LANDLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LANDLOCK_EXECUTE ((uint64_t)1 << 0)
#define LANDLOCK_WRITE_FILE ((uint64_t)1 << 1)
#define LANDLOCK_READ_FILE ((uint64_t)1 << 2)
#define LANDLOCK_READ_DIR ((uint64_t)1 << 3)
#define LANDLOCK_REMOVE_DIR ((uint64_t)1 << 4)
#define LANDLOCK_REMOVE_FILE ((uint64_t)1 << 5)
#define LANDLOCK_MAKE_DIR ((uint64_t)1 << 7)
#define LANDLOCK_MAKE_REG ((uint64_t)1 << 8)
#define LANDLOCK_MAKE_SOCK ((uint64_t)1 << 9)
#define LANDLOCK_REFER ((uint64_t)1 << 13)
#define LANDLOCK_TRUNCATE ((uint64_t)1 << 14)

/* What stays allowed beneath a path. A path that is not there is left out. */
struct landlock_path {
    const char *path;
    uint64_t rights;
};

/* The kernel's version of it, 0 when there is none. */
int landlock_abi(void);

/* From here on, for good and for all children: no file but beneath the paths, no TCP port. peers: no abstract socket
 * and no signal to a process outside, either. 0, or -1 with errno. no_new_privs must be set. Acts on the calling
 * thread. */
int landlock_enter(const struct landlock_path *paths, size_t count, bool peers);

#endif
