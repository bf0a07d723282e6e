/*
 * failing DIR OPTION…: graftd, with a disk that fails on request. It is the daemon as it is (graftd/main.c), with a layer
 * of ours between SQLite and its files (tests/failing_vfs.h). While one of these files is in DIR, the operation of that
 * name fails, each time that it is done:
 *
 *     sync write full read truncate
 *
 * "full" is a write that finds no room. A number N in the file: the first N - 1 succeed, from the file's appearance on.
 * DIR/hit appears when the first one failed.
 */
#undef main /* which is graftd's, here */

#include "tests/failing_vfs.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { OPERATIONS = 5, NAME_MAX_LEN = 16 };

static const struct {
    const char *name;
    int code;
} operations[OPERATIONS] = { { "sync", SQLITE_IOERR_FSYNC },
                             { "write", SQLITE_IOERR_WRITE },
                             { "full", SQLITE_FULL },
                             { "read", SQLITE_IOERR_READ },
                             { "truncate", SQLITE_IOERR_TRUNCATE } };
enum { SYNC, WRITE, FULL, READ, TRUNCATE };

int graftd_main(int argc, char **argv);

static int directory;         /* open */
static long done[OPERATIONS]; /* since the file appeared; only the store's thread works on files */

static bool fails(int operation)
{
    char text[NAME_MAX_LEN] = "";
    int fd = openat(directory, operations[operation].name, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0) {
        done[operation] = 0;
        return false;
    }
    n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n > 0 && ++done[operation] < atol(text))
        return false;
    fd = openat(directory, "hit", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    return true;
}

static int code_of(int operation) { return fails(operation) ? operations[operation].code : SQLITE_OK; }

static int ask(enum vfs_operation operation)
{
    int full;

    switch (operation) {
    case VFS_READ:
        return code_of(READ);
    case VFS_WRITE:
        full = code_of(FULL);
        return full != SQLITE_OK ? full : code_of(WRITE);
    case VFS_SYNC:
        return code_of(SYNC);
    case VFS_TRUNCATE:
        return code_of(TRUNCATE);
    case VFS_OPEN:
        break;
    }
    return SQLITE_OK;
}

int main(int argc, char **argv)
{
    struct failing_vfs vfs = { .ask = ask, .for_all = true };

    if (argc < 2 || (directory = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
        fprintf(stderr, "usage: failing DIR OPTION…\n");
        return 2;
    }
    if (!failing_vfs_register(&vfs))
        return 2;
    argv[1] = argv[0];
    return graftd_main(argc - 1, argv + 1);
}
