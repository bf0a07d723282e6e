/*
 * A path as a transaction sees it: looking at it, under its lock, and changing it. For file.c and file_put_back.c.
 *
 * Retry style, as in txn.h. Whatever must be waited for is done first (locks, images); then all is changed at once.
 */
#ifndef GRAFTD_TXN_FILE_ITEM_H
#define GRAFTD_TXN_FILE_ITEM_H

#include "txn/file.h"
#include "txn/inside.h"

enum { FILE_SHOWN = 200 };                                      /* bytes of a path in a message */
const char *file_show(struct bytes path, char out[FILE_SHOWN]); /* returns out */

/* What a path holds. */
struct file_item {
    bool present;
    struct file_image image; /* origin is borrowed from the reached entry */
};
static inline bool file_item_is_directory(const struct file_item *f)
{
    return f->present && f->image.kind == FILE_DIRECTORY;
}
/* Not what stands in the tree: this transaction has changed it. */
bool file_item_is_changed(const struct file_item *f);

/* ERR_WAIT, ERR_STORAGE (which dooms), … */
enum err file_look(struct txn *t, struct bytes path, enum lock_mode mode, struct file_item *out, struct failure *why);
/* What is to be a directory ("a/b/") and is not there must be nothing else, now and until the end. ERR_BADARG: it is a
 * file. */
enum err file_look_missing(struct txn *t, struct bytes path, struct failure *why);

/* Directories above a path that are not there: so many bytes of the path each. */
struct file_way {
    size_t missing[FILE_DEPTH_MAX], count;
};
/* Locks those that are there shared, and those that are not as file_look_missing(). */
enum err file_look_way(struct txn *t, struct bytes path, struct file_way *way, struct failure *why);

/* What the path holds from now on; to NULL: nothing. It is locked and was looked at: never ERR_WAIT. */
enum err file_change(struct txn *t, struct bytes path, const struct file_image *to, struct failure *why);

/* What is stored about it cannot be read: dooms, and says so. */
enum err file_damaged(struct txn *t, struct bytes path, struct failure *why);

#endif
