/*
 * failing DIR OPTION…: graftd, with a disk that fails on request. It is the daemon as it is (graftd/main.c), with a layer of
 * ours between SQLite and its files. While one of these files is in DIR, the operation of that name fails, each time that it is
 * done:
 *
 *     sync write full read truncate
 *
 * "full" is a write that finds no room. A number N in the file: the first N - 1 succeed, from the file's appearance on.
 * DIR/hit appears when the first one failed.
 */
#undef main /* which is graftd's, here */

#include <fcntl.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

struct shim {
    sqlite3_file base;
    sqlite3_file *real; /* behind this struct */
};

int graftd_main(int argc, char **argv);

static sqlite3_vfs *usual;
static sqlite3_vfs failing;
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

static sqlite3_file *real(sqlite3_file *f) { return ((struct shim *)(void *)f)->real; }

static int shim_close(sqlite3_file *f) { return real(f)->pMethods->xClose(real(f)); }

static int shim_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
    return fails(READ) ? operations[READ].code : real(f)->pMethods->xRead(real(f), p, n, at);
}

/* What fails may have been done in part. */
static int shim_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
    int operation = fails(FULL) ? FULL : fails(WRITE) ? WRITE : -1;

    if (operation < 0)
        return real(f)->pMethods->xWrite(real(f), p, n, at);
    real(f)->pMethods->xWrite(real(f), p, n / 2, at);
    return operations[operation].code;
}

static int shim_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    return fails(TRUNCATE) ? operations[TRUNCATE].code : real(f)->pMethods->xTruncate(real(f), size);
}

static int shim_sync(sqlite3_file *f, int flags)
{
    return fails(SYNC) ? operations[SYNC].code : real(f)->pMethods->xSync(real(f), flags);
}

static int shim_size(sqlite3_file *f, sqlite3_int64 *size) { return real(f)->pMethods->xFileSize(real(f), size); }
static int shim_lock(sqlite3_file *f, int level) { return real(f)->pMethods->xLock(real(f), level); }
static int shim_unlock(sqlite3_file *f, int level) { return real(f)->pMethods->xUnlock(real(f), level); }
static int shim_reserved(sqlite3_file *f, int *out) { return real(f)->pMethods->xCheckReservedLock(real(f), out); }
static int shim_control(sqlite3_file *f, int op, void *arg)
{
    return real(f)->pMethods->xFileControl(real(f), op, arg);
}
static int shim_sector(sqlite3_file *f) { return real(f)->pMethods->xSectorSize(real(f)); }
static int shim_device(sqlite3_file *f) { return real(f)->pMethods->xDeviceCharacteristics(real(f)); }

/* Version 1: no shared memory, as the daemon needs none. */
static const sqlite3_io_methods methods = {
    .iVersion = 1,
    .xClose = shim_close,
    .xRead = shim_read,
    .xWrite = shim_write,
    .xTruncate = shim_truncate,
    .xSync = shim_sync,
    .xFileSize = shim_size,
    .xLock = shim_lock,
    .xUnlock = shim_unlock,
    .xCheckReservedLock = shim_reserved,
    .xFileControl = shim_control,
    .xSectorSize = shim_sector,
    .xDeviceCharacteristics = shim_device,
};

static int shim_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *out)
{
    struct shim *shim = (struct shim *)(void *)f;
    int code;

    (void)vfs;
    f->pMethods = NULL;
    shim->real = (sqlite3_file *)(void *)(shim + 1);
    code = usual->xOpen(usual, name, shim->real, flags, out);
    if (code == SQLITE_OK)
        f->pMethods = &methods;
    return code;
}

int main(int argc, char **argv)
{
    if (argc < 2 || (directory = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
        fprintf(stderr, "usage: failing DIR OPTION…\n");
        return 2;
    }
    usual = sqlite3_vfs_find(NULL);
    failing = *usual;
    failing.zName = "failing";
    failing.szOsFile += (int)sizeof(struct shim);
    failing.xOpen = shim_open;
    if (sqlite3_vfs_register(&failing, 1) != SQLITE_OK)
        return 2;
    argv[1] = argv[0];
    return graftd_main(argc - 1, argv + 1);
}
