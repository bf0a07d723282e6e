/*
 * SQLite's usual files with a layer of ours before them, which asks whether an operation fails before it is done. What
 * fails may have been done in part: of a write that does, the first half is.
 */
#ifndef GRAFTD_TESTS_FAILING_VFS_H
#define GRAFTD_TESTS_FAILING_VFS_H

#include <stdbool.h>

enum vfs_operation { VFS_OPEN, VFS_READ, VFS_WRITE, VFS_SYNC, VFS_TRUNCATE };

/* SQLITE_OK: it is done; any other code: it fails with that. Called on the thread that works on the file. */
typedef int failing_vfs_ask(enum vfs_operation operation);

struct failing_vfs {
    failing_vfs_ask *ask;
    void (*broken_off)(void); /* called after the half of a write that fails: a machine may stop there; or NULL */
    bool for_all;             /* also for who asks for no VFS by name; "failing" is its name */
    bool no_sync;             /* a sync that does not fail does nothing: for tests in which nobody pulls a plug */
};

/* Once. False: SQLite will not have it. */
bool failing_vfs_register(const struct failing_vfs *options);

#endif
