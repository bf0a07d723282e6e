/*
 * The file resource: what a transaction does to files (T1 to T5, T8, T9). Others see it at commit, and only then is a
 * file of the tree touched; meanwhile new content waits in stage files, and the transaction sees its own changes.
 *
 * Retry style, as in txn.h: ERR_WAIT, then ask again with the very same arguments; errors as for txn_put, and
 *     ERR_ABSENT    there is no such file
 *     ERR_BADARG    the path is none, or leads through something that is no directory, a symbolic link among it
 *     ERR_CONFLICT  somebody else than graftd changed the file meanwhile
 * Paths are locked as keys are; writing to a path locks its missing directories too, which are then made. A listing
 * locks the directory's range: no file appears in it or goes until the end (T6).
 */
#ifndef GRAFTD_TXN_FILE_H
#define GRAFTD_TXN_FILE_H

#include "txn/file_image.h"
#include "txn/txn.h"

struct txn_file {
    bool directory;
    uint64_t size;    /* bytes */
    int64_t mtime_ns; /* since 1970; of one that this transaction changed: when it began */
};

enum err txn_file_stat(struct txn *t, struct bytes path, enum lock_mode mode, struct txn_file *out, struct failure *why);
/* At most len bytes from offset on. *data is borrowed until the next operation; *size: of the whole file. ERR_LIMIT: len
 * passes value_max. */
enum err txn_file_read(struct txn *t, struct bytes path, uint64_t offset, size_t len, struct bytes *data,
                       uint64_t *size, struct failure *why);
/* The whole content. A file that was there keeps its mode; a new one has 0644. */
enum err txn_file_write(struct txn *t, struct bytes path, struct bytes data, struct failure *why);
enum err txn_file_append(struct txn *t, struct bytes path, struct bytes data, struct failure *why); /* makes it if absent */
enum err txn_file_remove(struct txn *t, struct bytes path, struct failure *why);
/* What `to` held is replaced. Both are files, in the same root (else ERR_BADARG). Two effects. */
enum err txn_file_rename(struct txn *t, struct bytes from, struct bytes to, struct failure *why);
/* Direct children of directory ("" or "a/b/") from the path `from` on, own changes included; page->items: paths
 * (directories end in "/") with encoded images (file_image.h). An absent directory is an empty one. */
enum err txn_file_list(struct txn *t, struct bytes directory, struct bytes from, size_t count_max,
                       struct txn_page *page, struct failure *why);
/* The path holds again what it held before effect e, which is undo record seq of the committed transaction of_txn (T9). ERR_CONFLICT: it
 * does not hold what that made of it.
 *
 * A file is known by its inode. When an append was taken back, the same content stands in another one: then what stands
 * must be what the newest transaction made that changed the path, and *alike is set: the caller asks STORE_DEPENDENTS
 * once more, now that the path is locked, whether what was made since is all undone. */
enum err txn_file_put_back(struct txn *t, uint64_t of_txn, uint64_t seq, const struct store_effect *e, bool *alike,
                           struct failure *why);

#endif
