/*
 * Looking at the tree and reading from it: what stands there now, told as images.
 */
#include "txn/file_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
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

struct listing {
    struct file_disk *d;
    struct bytes directory;
    int fd;     /* of the directory */
    size_t max; /* to be told */
    size_t told;
    bool more;
    enum err (*visit)(struct bytes path, const struct file_image *i, void *user);
    void *user;
};

/* Opens it; ERR_ABSENT, ERR_BADARG. */
static enum err listing_open(struct listing *l, struct failure *why)
{
    struct file_image i;
    struct spot s = spot_of(l->d, l->directory);
    enum err err = l->directory.len == 0 ? OK : files_stat(l->d, l->directory, &i, why);

    if (err != OK)
        return err;
    l->fd = root_open(s.root, s.rel, O_RDONLY | O_DIRECTORY);
    return l->fd >= 0 ? OK : file_fail(why, errno, l->directory, "list");
}

/* The names' order is that of whole paths, which all begin with the directory. False: all of them lie before from. */
static bool from_within(struct bytes directory, struct bytes from, struct bytes *name)
{
    *name = bytes_of(NULL, 0);
    if (bytes_start_with(from, directory))
        *name = bytes_of((const uint8_t *)from.data + directory.len, from.len - directory.len);
    return name->len > 0 || from.len == directory.len || bytes_compare(from, directory) < 0;
}

/* What stands there now. */
static enum err entry_look(const struct listing *l, const char *name, struct bytes path, struct seen *seen,
                           struct failure *why)
{
    char plain[WINDOW_NAME_MAX + 1];
    struct spot s = spot_of(l->d, path);

    snprintf(plain, sizeof plain, "%.*s", (int)strcspn(name, "/"), name);
    if (is_root_name(l->d, l->directory, plain))
        return spot_look(&s, seen, why);
    return seen_at(l->fd, plain, seen) == 0 ? OK : file_fail(why, errno, path, "look at");
}

/* Tells of one, if a path of ours can name it; who went meanwhile, or is a mount point, is left out. */
static enum err listing_tell(struct listing *l, const char *name, struct failure *why)
{
    char text[FILE_PATH_MAX + 1];
    int len = snprintf(text, sizeof text, "%.*s%s", (int)l->directory.len,
                       l->directory.len == 0 ? "" : (const char *)l->directory.data, name);
    bool directory = name[strlen(name) - 1] == '/';
    struct bytes path = bytes_of(text, (size_t)len);
    struct file_image image;
    struct seen seen;
    const char *fault;
    enum err err;

    if (path.len >= sizeof text || !file_path_valid(path, directory, &fault))
        return OK;
    err = entry_look(l, name, path, &seen, why);
    if (err != OK || seen.kind != (directory ? SEEN_DIRECTORY : SEEN_FILE))
        return err;
    if (l->told == l->max) {
        l->more = true;
        return OK;
    }
    l->told++;
    image = image_of(path, &seen);
    return l->visit(path, &image, l->user);
}

static size_t window_find(const struct window *w, struct bytes from)
{
    size_t low = 0, high = w->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (bytes_compare(bytes_str(w->names[middle]), from) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Window after window, as long as there is nothing in them to tell. A page ends with its window. */
static enum err listing_go(struct listing *l, struct bytes from, struct failure *why)
{
    enum { ROUND_MAX = FILE_LIST_MAX / WINDOW_NAMES_MAX + 1 };
    char last[WINDOW_NAME_MAX + 1];
    const struct window *w;

    for (int round = 0; round < ROUND_MAX; round++) {
        enum err err = window_open(l->d, l->fd, l->directory, from, &w, why);
        for (size_t i = err == OK ? window_find(w, from) : 0; err == OK && i < w->count && !l->more; i++)
            err = listing_tell(l, w->names[i], why);
        if (err != OK || l->more || w->whole)
            return err;
        l->more = l->told > 0;
        if (l->more)
            return OK;
        snprintf(last, sizeof last, "%s", w->names[w->count - 1]);
        from = bytes_of(last, strlen(last) + 1); /* what comes next in byte order */
    }
    return fail(why, ERR_CONFLICT, "a directory changes faster than it can be listed; try again");
}

enum err files_list(struct file_disk *d, struct bytes directory, struct bytes from, size_t max,
                    enum err (*visit)(struct bytes path, const struct file_image *i, void *user), void *user,
                    bool *more, struct failure *why)
{
    struct listing l = { .d = d, .directory = directory, .fd = -1, .max = max, .visit = visit, .user = user };
    struct bytes name;
    const char *fault;
    enum err err;

    if (directory.len > 0 && !file_path_valid(directory, true, &fault))
        return fail(why, ERR_BADARG, "%s", fault);
    err = listing_open(&l, why);
    if (err == OK && from_within(directory, from, &name))
        err = listing_go(&l, name, why);
    if (l.fd >= 0)
        close(l.fd);
    *more = l.more;
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
