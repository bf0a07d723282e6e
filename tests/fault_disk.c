#include "tests/fault_disk.h"

#include "tests/failing_vfs.h"

#include <sqlite3.h>

struct fault fault = { .left = -1 };
char filler[9000];

bool fails(enum operation operation)
{
    if (operation != fault.operation || fault.left < 0)
        return false;
    if (fault.left > 1) {
        fault.left--;
        return false;
    }
    if (!fault.lasting)
        fault.left = -1;
    fault.hit = true;
    return true;
}

static int ask(enum vfs_operation operation)
{
    static const enum operation operations[] = { [VFS_OPEN] = OPERATION_OPEN,
                                                 [VFS_READ] = OPERATION_READ,
                                                 [VFS_WRITE] = OPERATION_WRITE,
                                                 [VFS_SYNC] = OPERATION_SYNC,
                                                 [VFS_TRUNCATE] = OPERATION_TRUNCATE };

    return fails(operations[operation]) ? fault.code : SQLITE_OK;
}

void fault_disk_init(void)
{
    struct failing_vfs vfs = { .ask = ask, .no_sync = true };

    CHECK(failing_vfs_register(&vfs));
    memset(filler, 'f', sizeof filler - 1);
}

enum err put_step(struct kit *k, int n)
{
    char before[16], after[16], name[16];
    struct store_effect e[2];
    struct store_entry entry;
    struct failure why;

    snprintf(before, sizeof before, "%d", n - 1);
    snprintf(after, sizeof after, "%d", n);
    snprintf(name, sizeof name, "n%d", n);
    e[0] = kit_effect("a", before, after);
    e[1] = kit_effect(name, NULL, filler);
    entry = kit_entry((uint64_t)n, "committed", e, 2);
    return kit_commit(k, &entry, &why);
}
