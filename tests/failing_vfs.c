#include "tests/failing_vfs.h"

#include <sqlite3.h>
#include <stddef.h>

struct shim {
    sqlite3_file base;
    sqlite3_file *real; /* behind this struct */
};

static struct failing_vfs options;

static sqlite3_vfs *usual;
static sqlite3_vfs failing;

static sqlite3_file *real(sqlite3_file *f) { return ((struct shim *)(void *)f)->real; }

static int shim_close(sqlite3_file *f) { return real(f)->pMethods->xClose(real(f)); }

static int shim_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
    int code = options.ask(VFS_READ);

    return code != SQLITE_OK ? code : real(f)->pMethods->xRead(real(f), p, n, at);
}

static int shim_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
    int code = options.ask(VFS_WRITE);

    if (code == SQLITE_OK)
        return real(f)->pMethods->xWrite(real(f), p, n, at);
    real(f)->pMethods->xWrite(real(f), p, n / 2, at);
    if (options.broken_off != NULL)
        options.broken_off();
    return code;
}

static int shim_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    int code = options.ask(VFS_TRUNCATE);

    return code != SQLITE_OK ? code : real(f)->pMethods->xTruncate(real(f), size);
}

static int shim_sync(sqlite3_file *f, int flags)
{
    int code = options.ask(VFS_SYNC);

    return code != SQLITE_OK || options.no_sync ? code : real(f)->pMethods->xSync(real(f), flags);
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
    int code = options.ask(VFS_OPEN);

    (void)vfs;
    f->pMethods = NULL;
    if (code != SQLITE_OK)
        return code;
    shim->real = (sqlite3_file *)(void *)(shim + 1);
    code = usual->xOpen(usual, name, shim->real, flags, out);
    if (code == SQLITE_OK)
        f->pMethods = &methods;
    return code;
}

bool failing_vfs_register(const struct failing_vfs *asked)
{
    options = *asked;
    usual = sqlite3_vfs_find(NULL);
    failing = *usual;
    failing.zName = "failing";
    failing.szOsFile += (int)sizeof(struct shim);
    failing.xOpen = shim_open;
    return sqlite3_vfs_register(&failing, options.for_all) == SQLITE_OK;
}
