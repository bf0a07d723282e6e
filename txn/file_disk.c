/*
 * Opening and closing the roots. What is done with them: file_look.c (stat, list, read), file_window.c (names), file_keep.c (stage, end, forget,
 * sweep), file_apply.c, whose top tells the recipe of a change, and file_undo.c.
 */
#include "txn/file_inside.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

/* Its parent is there already. */
static enum err standard_make(const char *path, struct failure *why)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return file_fail(why, errno, bytes_str(path), "make the directory");
    return OK;
}

static enum err root_add(struct file_disk *d, const char *name, const char *path, struct failure *why)
{
    return root_init(&d->roots[d->count++], name, path, d->sync, why);
}

enum err file_disk_open(const char *standard, const struct file_root *roots, size_t count, bool sync,
                        struct file_disk **out, struct failure *why)
{
    struct file_disk *d = calloc(1, sizeof *d);
    struct failure first = { 0 };
    enum err err;

    if (d == NULL || count > FILE_ROOT_MAX) {
        free(d);
        return d == NULL ? fail(why, ERR_NOMEM, "memory is short")
                         : fail(why, ERR_STORAGE, "%zu roots are too many: at most %d", count, FILE_ROOT_MAX);
    }
    d->sync = sync;
    err = standard_make(standard, &first);
    if (err == OK)
        err = root_add(d, "", standard, &first);
    for (size_t i = 0; i < count && err == OK; i++)
        err = root_add(d, roots[i].name, roots[i].path, &first);
    if (err == OK)
        err = roots_apart(d, &first);
    if (err == OK)
        *out = d;
    else
        file_disk_close(&d);
    return err == OK ? OK : fail(why, err == ERR_NOMEM ? ERR_NOMEM : ERR_STORAGE, "%s", first.text);
}

void file_disk_close(struct file_disk **d)
{
    if (*d == NULL)
        return;
    for (size_t i = 0; i < (*d)->count; i++)
        root_fini(&(*d)->roots[i]);
    windows_fini(*d);
    free(*d);
    *d = NULL;
}
