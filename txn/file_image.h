/*
 * What a path holds, or is to hold, as undo records and the history keep it: never the content, but where that is.
 *
 *     FILE_DIRECTORY  a directory
 *     FILE_STANDING   the regular file that stands at `origin` on disk; size, mtime, mode and inode say which
 *     FILE_KEPT       the before-image that transaction kept_txn keeps of `origin`, as undo record kept_seq tells
 *     FILE_NEW        a file of staged content alone
 *
 * A file may have staged content behind what it is made of: the first stage_len bytes of stage file number `stage` of
 * the transaction at work (an append). cut: only the first `size` bytes of what stands or is kept count (an append that
 * is taken back). A path that holds nothing has no image.
 */
#ifndef GRAFTD_TXN_FILE_IMAGE_H
#define GRAFTD_TXN_FILE_IMAGE_H

#include "lib/buf.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    FILE_PATH_MAX = 1024,     /* bytes of a path */
    FILE_NAME_MAX = 255,      /* bytes of one component */
    FILE_DEPTH_MAX = 32,      /* components */
    FILE_IMAGE_MAX = FILE_PATH_MAX + 128, /* bytes, encoded */
};

enum file_kind { FILE_DIRECTORY = 1, FILE_STANDING, FILE_KEPT, FILE_NEW };

struct file_image {
    uint8_t kind;
    bool cut;
    uint32_t mode;        /* permission bits; what a new file gets, or the old one has */
    uint64_t inode;       /* STANDING, KEPT: which file it is. NEW: of its stage file, 0 until it is known */
    uint64_t size;        /* bytes of STANDING or KEPT, without what is staged; 0 for NEW */
    int64_t mtime_ns;     /* since 1970, of STANDING or KEPT */
    uint64_t kept_txn, kept_seq;
    uint64_t stage;       /* from 1; 0: nothing is staged */
    uint64_t stage_len;   /* bytes */
    struct bytes origin;  /* a path; empty for NEW. Decoded: borrowed from what was decoded */
};

static inline uint64_t file_image_size(const struct file_image *i) { return i->size + i->stage_len; }

/* False: no room in b. At most FILE_IMAGE_MAX bytes. */
bool file_image_add(struct buf *b, const struct file_image *i);
/* False: these bytes are none. */
bool file_image_read(struct bytes b, struct file_image *i);
/* For people: "directory", "file 120 bytes mode 0644", "file 120+30 bytes mode 0644". Returns out. */
const char *file_image_show(const struct file_image *i, char *out, size_t size);

/* A path as grafts name files: relative, components of 1 to FILE_NAME_MAX bytes between single slashes, none of them
 * "." or "..", none that begins with ".graftd", no zero byte, valid UTF-8 not required; a directory's ends in "/".
 * *why: what is wrong with it. */
bool file_path_valid(struct bytes path, bool directory, const char **why);

#endif
