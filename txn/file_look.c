/*
 * Looking at the tree and reading from it: what stands there now, told as images.
 */
#include "txn/file_inside.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SHOWN_MAX = 200 };

static struct file_image image_of(struct bytes path, const struct seen *s)
{
    struct file_image i = { .kind = s->kind == SEEN_FILE ? FILE_STANDING : FILE_DIRECTORY,
                            .mode = s->mode,
                            .inode = s->id.inode,
                            .mtime_ns = s->id.mtime_ns };

    if (s->kind == SEEN_FILE) {
        i.size = s->id.size;
        i.origin = path;
    }
    return i;
}

static bool path_check(struct bytes path, struct failure *why)
{
    bool slash = path.len > 0 && ((const char *)path.data)[path.len - 1] == '/';
    const char *fault;

    if (file_path_valid(path, slash, &fault))
        return true;
    fail(why, ERR_BADARG, "%s", fault);
    return false;
}

enum err files_stat(struct file_disk *d, struct bytes path, struct file_image *i, struct failure *why)
{
    struct spot s = spot_of(d, path);
    char shown[SHOWN_MAX];
    struct seen seen;
    enum err err;

    if (!path_check(path, why))
        return ERR_BADARG;
    err = spot_look(&s, &seen, why);
    if (err != OK)
        return err;
    bytes_show(path, shown, sizeof shown);
    if (seen.kind == SEEN_NOTHING)
        return fail(why, ERR_ABSENT, "there is no file %s", shown);
    if (seen.other != NULL)
        return fail(why, ERR_BADARG, "%s is %s: neither a file nor a directory of this root", shown, seen.other);
    if (s.directory && seen.kind == SEEN_FILE)
        return fail(why, ERR_BADARG, "%s is a file, not a directory", shown);
    *i = image_of(path, &seen);
    return OK;
}

/* ---- listing ---- */

struct entry {
    char *path; /* owned; whole, a directory's ends in "/" */
    size_t len;
};

struct listing {
    struct file_disk *d;
    struct bytes directory, from;
    struct entry *entries;
    size_t count, cap;
    char shown[SHOWN_MAX];
};

static int entry_compare(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    return bytes_compare(bytes_of(x->path, x->len), bytes_of(y->path, y->len));
}

static enum err listing_room(struct listing *l, struct failure *why)
{
    size_t cap = l->cap == 0 ? 64 : 2 * l->cap;
    struct entry *grown;

    if (l->count == FILE_LIST_MAX)
        return fail(why, ERR_LIMIT, "the directory %s has more than %d entries, too many to list; use more directories",
                    l->shown, FILE_LIST_MAX);
    if (l->count < l->cap)
        return OK;
    grown = reallocarray(l->entries, cap, sizeof grown[0]);
    if (grown == NULL)
        return fail(why, ERR_NOMEM, "memory is short");
    l->entries = grown;
    l->cap = cap;
    return OK;
}

/* Adds what a path of ours can name, from `from` on. */
static enum err listing_add(struct listing *l, const char *name, bool directory, struct failure *why)
{
    size_t name_len = strlen(name);
    struct entry e = { .len = l->directory.len + name_len + directory };
    const char *fault;
    enum err err = OK;

    e.path = malloc(e.len + 1);
    if (e.path == NULL)
        return fail(why, ERR_NOMEM, "memory is short");
    if (l->directory.len > 0)
        memcpy(e.path, l->directory.data, l->directory.len);
    snprintf(e.path + l->directory.len, name_len + directory + 1, "%s%s", name, directory ? "/" : "");
    if (file_path_valid(bytes_of(e.path, e.len), directory, &fault) &&
        bytes_compare(bytes_of(e.path, e.len), l->from) >= 0) {
        err = listing_room(l, why);
        if (err == OK) {
            l->entries[l->count++] = e;
            return OK;
        }
    }
    free(e.path);
    return err;
}

/* A named root hides what the standard root has of that name. */
static bool is_root_name(const struct listing *l, const char *name)
{
    for (size_t i = 1; i < l->d->count && l->directory.len == 0; i++)
        if (strcmp(l->d->roots[i].name, name) == 0)
            return true;
    return false;
}

static enum err listing_add_found(struct listing *l, int fd, const struct dirent *e, struct failure *why)
{
    struct seen s = { .kind = e->d_type == DT_REG ? SEEN_FILE : e->d_type == DT_DIR ? SEEN_DIRECTORY : SEEN_OTHER };

    if (is_root_name(l, e->d_name))
        return OK;
    if (e->d_type == DT_UNKNOWN && seen_at(fd, e->d_name, &s) != 0)
        return file_fail(why, errno, l->directory, "list");
    if (s.kind != SEEN_FILE && s.kind != SEEN_DIRECTORY)
        return OK;
    return listing_add(l, e->d_name, s.kind == SEEN_DIRECTORY, why);
}

static enum err listing_read(struct listing *l, int fd, struct failure *why)
{
    DIR *stream = fdopendir(fd);
    enum err err = OK;

    if (stream == NULL) {
        close(fd);
        return file_fail(why, ENOMEM, l->directory, "list");
    }
    errno = 0;
    for (struct dirent *e = readdir(stream); e != NULL && err == OK; errno = 0, e = readdir(stream))
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            err = listing_add_found(l, fd, e, why);
    if (err == OK && errno != 0)
        err = file_fail(why, errno, l->directory, "list");
    for (size_t i = 1; i < l->d->count && err == OK && l->directory.len == 0; i++)
        err = listing_add(l, l->d->roots[i].name, true, why);
    closedir(stream);
    return err;
}

/* Opens it; ERR_ABSENT, ERR_BADARG. */
static enum err listing_open(struct listing *l, int *fd, struct failure *why)
{
    struct file_image i;
    struct spot s = spot_of(l->d, l->directory);
    enum err err = l->directory.len == 0 ? OK : files_stat(l->d, l->directory, &i, why);

    if (err != OK)
        return err;
    *fd = root_open(s.root, s.rel, O_RDONLY | O_DIRECTORY);
    return *fd >= 0 ? OK : file_fail(why, errno, l->directory, "list");
}

/* Hands out at most max; who went meanwhile, or is a mount point, is left out. */
static enum err listing_visit(const struct listing *l, size_t max,
                              enum err (*visit)(struct bytes path, const struct file_image *i, void *user), void *user,
                              bool *more, struct failure *why)
{
    size_t told = 0;
    enum err err = OK;

    *more = false;
    for (size_t i = 0; i < l->count && err == OK && !*more; i++) {
        struct bytes path = bytes_of(l->entries[i].path, l->entries[i].len);
        struct spot s = spot_of(l->d, path);
        struct file_image image;
        struct seen seen;
        err = spot_look(&s, &seen, why);
        if (err != OK || seen.kind != (s.directory ? SEEN_DIRECTORY : SEEN_FILE))
            continue;
        *more = told == max;
        image = image_of(path, &seen);
        if (told++ < max)
            err = visit(path, &image, user);
    }
    return err;
}

enum err files_list(struct file_disk *d, struct bytes directory, struct bytes from, size_t max,
                    enum err (*visit)(struct bytes path, const struct file_image *i, void *user), void *user,
                    bool *more, struct failure *why)
{
    struct listing l = { .d = d, .directory = directory, .from = from };
    const char *fault;
    int fd = -1;
    enum err err;

    if (directory.len > 0 && !file_path_valid(directory, true, &fault))
        return fail(why, ERR_BADARG, "%s", fault);
    bytes_show(directory, l.shown, sizeof l.shown);
    err = listing_open(&l, &fd, why);
    if (err == OK)
        err = listing_read(&l, fd, why);
    if (err == OK && l.count > 0)
        qsort(l.entries, l.count, sizeof l.entries[0], entry_compare);
    if (err == OK)
        err = listing_visit(&l, max, visit, user, more, why);
    for (size_t i = 0; i < l.count; i++)
        free(l.entries[i].path);
    free(l.entries);
    return err;
}

/* ---- reading ---- */

bool file_base_is(const struct file_image *i, const struct seen *s)
{
    struct file_id id = { i->inode, i->size, i->mtime_ns };

    if (s->kind != SEEN_FILE)
        return false;
    return i->cut ? s->id.size >= i->size : file_id_equal(&id, &s->id);
}

static enum err kept_open(struct file_disk *d, const struct file_image *i, int *fd, struct seen *seen,
                          struct failure *why)
{
    char name[KEEP_NAME_MAX];
    int dir = keep_open(spot_of(d, i->origin).root, i->kept_txn, false);
    enum err err = OK;

    *fd = dir < 0 ? -1
                  : openat(dir, keep_name(name, "old", i->kept_seq),
                           O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (*fd < 0 || seen_at(*fd, "", seen) != 0)
        err = file_fail(why, errno, i->origin, "open what is kept of");
    if (dir >= 0)
        close(dir);
    if (err != OK && *fd >= 0)
        close(*fd);
    return err;
}

enum err base_open(struct file_disk *d, const struct file_image *i, struct bytes path, int *fd, struct seen *seen,
                   struct failure *why)
{
    struct spot s = spot_of(d, i->origin);
    char shown[SHOWN_MAX];
    enum err err = i->kind == FILE_KEPT ? kept_open(d, i, fd, seen, why) : spot_open(&s, O_RDONLY, fd, seen, why);

    if (err == OK && file_base_is(i, seen))
        return OK;
    if (err == OK)
        close(*fd);
    if (err != OK && err != ERR_ABSENT && err != ERR_BADARG)
        return err;
    if (why != NULL)
        failure_clear(why);
    return fail(why, ERR_CONFLICT, "%s was changed by somebody else than graftd meanwhile; try again",
                bytes_show(path, shown, sizeof shown));
}

static enum err read_some(int fd, struct bytes path, uint64_t offset, size_t len, struct buf *out, struct failure *why)
{
    while (len > 0) {
        uint8_t *room;
        ssize_t n;
        enum err err = buf_reserve(out, len, &room);
        if (err != OK)
            return fail(why, err, err == ERR_NOMEM ? "memory is short" : "more was asked for than an answer can hold");
        n = pread(fd, room, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return file_fail(why, errno, path, "read");
        if (n == 0)
            return fail(why, ERR_CONFLICT, "a file became shorter while it was read; try again");
        buf_wrote(out, (size_t)n);
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
    return OK;
}

static uint64_t smaller(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* From the stage file, whose first byte is at i->size of the whole. */
static enum err read_staged(struct file_disk *d, uint64_t txn, struct bytes path, const struct file_image *i,
                            uint64_t offset, size_t len, struct buf *out, struct failure *why)
{
    int fd, dir = keep_open(spot_of(d, path).root, txn, false);
    enum err err;

    if (dir < 0)
        return file_fail(why, errno, path, "open the new content of");
    err = stage_open(dir, i, path, O_RDONLY, &fd, why);
    close(dir);
    if (err != OK)
        return err;
    err = read_some(fd, path, offset, len, out, why);
    close(fd);
    return err;
}

enum err files_read(struct file_disk *d, uint64_t txn, struct bytes path, const struct file_image *i, uint64_t offset,
                    size_t len, struct buf *out, struct failure *why)
{
    uint64_t size = file_image_size(i), from_base, from_stage;
    size_t begin = buf_len(out);
    struct seen seen;
    enum err err = OK;
    int fd;

    if (i->kind == FILE_DIRECTORY)
        return fail(why, ERR_BADARG, "a directory is listed, not read");
    len = offset >= size ? 0 : (size_t)smaller(len, size - offset);
    from_base = offset >= i->size ? 0 : smaller(len, i->size - offset);
    from_stage = len - from_base;
    if (i->kind != FILE_NEW) {
        err = base_open(d, i, path, &fd, &seen, why);
        if (err == OK) {
            err = read_some(fd, path, offset, (size_t)from_base, out, why);
            close(fd);
        }
    }
    if (err == OK && from_stage > 0)
        err = read_staged(d, txn, path, i, offset + from_base - i->size, (size_t)from_stage, out, why);
    if (err != OK)
        out->len = out->off + begin;
    return err;
}
