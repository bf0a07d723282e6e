/*
 * Images of files in bytes, and the grammar of paths. What is read is refused unless it is exactly what
 * file_image_add() would write: it may come from a damaged disk.
 *
 *     u8 kind  u8 cut  u32 mode  u64 inode  u64 size  u64 mtime_ns  u64 kept_txn  u64 kept_seq  u64 stage  u64 stage_len
 *     bytes origin
 */
#include "txn/file_image.h"

#include "lib/check.h"

#include <stdio.h>
#include <string.h>

/* Whether the image is made of a file that is there already. */
static bool has_base(const struct file_image *i) { return i->kind == FILE_STANDING || i->kind == FILE_KEPT; }

/* What its kind says nothing about is zero. */
static struct file_image canonical(const struct file_image *i)
{
    struct file_image c = *i;

    if (!has_base(i)) {
        c.cut = false;
        c.size = 0;
        c.origin = bytes_of(NULL, 0);
    }
    if (i->kind == FILE_NEW)
        c.mtime_ns = 0;
    if (i->kind == FILE_DIRECTORY)
        c.stage = c.stage_len = 0;
    if (i->kind != FILE_KEPT)
        c.kept_txn = c.kept_seq = 0;
    if (c.stage == 0)
        c.stage_len = 0;
    return c;
}

bool file_image_add(struct buf *b, const struct file_image *i)
{
    struct file_image c = canonical(i);
    size_t begin = buf_len(b);

    CHECK(c.origin.len <= FILE_PATH_MAX);
    if (buf_add_u8(b, c.kind) == OK && buf_add_u8(b, c.cut) == OK && buf_add_u32(b, c.mode) == OK &&
        buf_add_u64(b, c.inode) == OK && buf_add_u64(b, c.size) == OK && buf_add_u64(b, (uint64_t)c.mtime_ns) == OK &&
        buf_add_u64(b, c.kept_txn) == OK && buf_add_u64(b, c.kept_seq) == OK && buf_add_u64(b, c.stage) == OK &&
        buf_add_u64(b, c.stage_len) == OK && buf_add_bytes(b, c.origin) == OK)
        return true;
    b->len = b->off + begin; /* the room was short: nothing of it stays */
    return false;
}

static bool same_numbers(const struct file_image *a, const struct file_image *b)
{
    return a->cut == b->cut && a->size == b->size && a->mtime_ns == b->mtime_ns && a->kept_txn == b->kept_txn &&
           a->kept_seq == b->kept_seq && a->stage == b->stage && a->stage_len == b->stage_len &&
           a->origin.len == b->origin.len;
}

static bool makes_sense(const struct file_image *i)
{
    struct file_image c = canonical(i);
    const char *why;

    if (i->kind < FILE_DIRECTORY || i->kind > FILE_NEW || i->mode > 07777 || !same_numbers(i, &c))
        return false;
    if (i->size > INT64_MAX || i->stage_len > INT64_MAX - i->size)
        return false;
    if (has_base(i) && !file_path_valid(i->origin, false, &why))
        return false;
    if (i->kind == FILE_KEPT && i->kept_txn == 0)
        return false;
    return i->kind != FILE_NEW || i->stage > 0;
}

bool file_image_read(struct bytes b, struct file_image *i)
{
    struct reader r = reader_of(b);
    struct file_image read = { .kind = read_u8(&r) };
    uint8_t cut = read_u8(&r);

    read.cut = cut != 0;
    read.mode = read_u32(&r);
    read.inode = read_u64(&r);
    read.size = read_u64(&r);
    read.mtime_ns = (int64_t)read_u64(&r);
    read.kept_txn = read_u64(&r);
    read.kept_seq = read_u64(&r);
    read.stage = read_u64(&r);
    read.stage_len = read_u64(&r);
    read.origin = read_bytes(&r);
    if (!reader_done(&r) || cut > 1 || !makes_sense(&read))
        return false;
    *i = read;
    return true;
}

const char *file_image_show(const struct file_image *i, char *out, size_t size)
{
    if (i->kind == FILE_DIRECTORY)
        snprintf(out, size, "directory");
    else if (has_base(i) && i->stage_len > 0)
        snprintf(out, size, "file %llu+%llu bytes mode %04o", (unsigned long long)i->size,
                 (unsigned long long)i->stage_len, i->mode);
    else
        snprintf(out, size, "file %llu bytes mode %04o", (unsigned long long)file_image_size(i), i->mode);
    return out;
}

/* NULL: it is a good name. */
static const char *name_fault(const char *name, size_t len)
{
    if (len == 0)
        return "the path has an empty part: it begins with a slash, or has two in a row";
    if (len > FILE_NAME_MAX)
        return "a part of the path is longer than 255 bytes";
    if ((len == 1 && name[0] == '.') || (len == 2 && name[0] == '.' && name[1] == '.'))
        return "the path has . or .. in it: write it without";
    if (len >= strlen(".graftd") && memcmp(name, ".graftd", strlen(".graftd")) == 0)
        return "names that begin with .graftd are graftd's own";
    return NULL;
}

static const char *path_fault(struct bytes path)
{
    const char *p = path.data;
    const char *fault = NULL;
    size_t depth = 0;

    for (size_t i = 0, begin = 0; i <= path.len && fault == NULL; i++) {
        if (i < path.len && p[i] != '/')
            continue;
        fault = name_fault(p + begin, i - begin);
        if (fault == NULL && ++depth > FILE_DEPTH_MAX)
            fault = "the path has more than 32 parts";
        begin = i + 1;
    }
    return fault;
}

bool file_path_valid(struct bytes path, bool directory, const char **why)
{
    const char *p = path.data;
    const char *fault = NULL;

    if (path.len == 0)
        fault = "the path is empty";
    else if (path.len > FILE_PATH_MAX)
        fault = "the path is longer than 1024 bytes";
    else if (memchr(p, 0, path.len) != NULL)
        fault = "the path has a zero byte in it";
    else if (directory && p[path.len - 1] != '/')
        fault = "the path of a directory ends in /";
    else if (!directory && p[path.len - 1] == '/')
        fault = "the path ends in /, as a directory's does";
    else
        fault = path_fault(bytes_of(p, path.len - directory));
    if (fault != NULL)
        *why = fault;
    return fault == NULL;
}
