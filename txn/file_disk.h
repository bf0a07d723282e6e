/*
 * Files under the roots, as they are on disk: looked at, read, staged, and changed all or nothing. Used by the store's
 * thread alone, synchronous, and knows neither SQLite nor transactions' states; txn/sqlite_*.c calls it when the undo
 * records of a change are on disk (T4), when they are to be taken back (T5), and when they are forgotten.
 *
 * A path's first component names a root if there is one of that name; other paths are below the standard root. Each root
 * has a directory ".graftd" (0700) of its own, on the same file system and hidden from all paths, with a directory <txn>
 * for each transaction that changes something there or keeps what it changed:
 *
 *     new.<stage>   content on its way (a stage file)
 *     put.<seq>     what is to go to a path, whole
 *     old.<seq>     what a path held before: a hard link to it, or the file itself, never a copy
 *     was           what an undo must know: each deed, which file it put there, and the times of directories
 *
 * Every path is opened below its root by openat2 with RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV |
 * RESOLVE_NO_MAGICLINKS: a symbolic link anywhere in it is refused.
 *
 * Invariants
 *  1. A kept file never changes: what has another link is never written to in place.
 *  2. Whatever step files_apply() or files_undo() was interrupted in, files_undo() with the same changes leaves the tree
 *     as it was, byte for byte, mode and mtime included, of directories too, and nothing in .graftd (T5, T7).
 *  3. What is not what a change says it should be is not touched: ERR_CONFLICT, or, in an undo, ERR_UNKNOWN with a
 *     sentence that names the path and what to do (T10).
 */
#ifndef GRAFTD_TXN_FILE_DISK_H
#define GRAFTD_TXN_FILE_DISK_H

#include "lib/buf.h"
#include "lib/err.h"
#include "txn/file_image.h"

struct file_disk; /* opaque */

struct file_root {
    const char *name, *path; /* path: an absolute directory that exists */
};

enum { FILE_ROOT_MAX = 64, FILE_LIST_MAX = 65536 /* entries of a directory that is listed; more is ERR_LIMIT */ };

/* standard: the directory of the standard root, created if need be. Strings are copied. sync: false: nothing is
 * synced (durability off). ERR_STORAGE with a sentence: a root is not there, is or lies in another one, has a .graftd
 * that is not ours alone, … ERR_NOMEM. */
enum err file_disk_open(const char *standard, const struct file_root *roots, size_t count, bool sync,
                        struct file_disk **out, struct failure *why);
void file_disk_close(struct file_disk **d);

/* What stands at the path (a directory's without or with "/"): OK, ERR_ABSENT; ERR_BADARG: neither file nor directory,
 * a symbolic link on the way, not a directory where one must be; ERR_STORAGE. i->origin is borrowed from path. */
enum err files_stat(struct file_disk *d, struct bytes path, struct file_image *i, struct failure *why);
/* Direct children of the directory ("" or "a/b/"), those whose whole path is >= from, in byte order, at most max;
 * directories end in "/". What is neither file nor directory is left out. visit gives OK to go on. *more: there may be
 * more. ERR_WAIT: a large directory is read in slices, and this was one; nothing was visited. Asked again with the same,
 * and for no other listing in between, it goes on; what it tells in the end is so at its end, as far as graftd made it.
 * ERR_ABSENT: there is no such directory. */
enum err files_list(struct file_disk *d, struct bytes directory, struct bytes from, size_t max,
                    enum err (*visit)(struct bytes path, const struct file_image *i, void *user), void *user,
                    bool *more, struct failure *why);
/* At most len bytes of that file from offset on, into out (less at its end). txn: whose stage files it may speak of.
 * ERR_CONFLICT: the standing file is not the one that the image means any more. */
enum err files_read(struct file_disk *d, uint64_t txn, struct bytes path, const struct file_image *i, uint64_t offset,
                    size_t len, struct buf *out, struct failure *why);
/* Writes data at offset of the stage file, in the root of path, created if need be; what lay behind is cut off.
 * *inode: of the stage file. Not synced: files_apply() does. */
enum err files_stage(struct file_disk *d, uint64_t txn, struct bytes path, uint64_t stage, uint64_t offset,
                     struct bytes data, uint64_t *inode, struct failure *why);

/* The net change of one path by one transaction. before and after NULL: nothing there. */
struct file_change {
    struct bytes path; /* a directory's ends in "/" */
    const struct file_image *before, *after;
    uint64_t seq; /* of its first undo record: names what is kept */
};

/* All or nothing, in all roots; changes in any order, one for each path, their undo records are on disk. Synced when it
 * returns OK: content, directories, what is kept (file_apply.c tells the order). An overwritten file keeps owner, group
 * and mode, not its extended attributes; one that was renamed or put back is the very same. ERR_CONFLICT:
 * a path, or what an image is made of, is not what it must be, or a directory that is to go has something in it, if only
 * what no list tells of. ERR_CONFLICT, ERR_STORAGE: it has taken itself back, as files_undo() would (which leaves a
 * directory that somebody else uses). ERR_UNKNOWN: it could not, see invariant 3. */
enum err files_apply(struct file_disk *d, uint64_t txn, const struct file_change *changes, size_t count,
                     struct failure *why);
/* Takes back what files_apply() did or began, also after a crash in either; twice is the same as once. Synced. Of a
 * transaction that has ended (files_end) it takes nothing back. ERR_UNKNOWN: the sentence names the path, what to do, and
 * the directory to remove if all is to stay as it is; then it can be called again. */
enum err files_undo(struct file_disk *d, uint64_t txn, const struct file_change *changes, size_t count,
                    struct failure *why);
/* It is committed: its stage files go, what it kept stays. Harmless for one without files. */
void files_end(struct file_disk *d, uint64_t txn);
/* Its history is forgotten: what it kept goes. roots whose path list is not known: all are looked at. */
void files_forget(struct file_disk *d, uint64_t txn);
/* At start, after all undo: every stage file goes, and what is kept by transactions of which known() says false. */
void files_sweep(struct file_disk *d, bool (*known)(uint64_t txn, void *user), void *user);

#endif
