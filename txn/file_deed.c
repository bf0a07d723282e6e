/*
 * The deeds of a transaction in one root: found from the net changes of its paths, and noted in was, which tells all that
 * an undo must know, so that it depends on nothing that could be guessed: what was at each path, which file was put
 * there, and at what time each directory of the tree was changed before.
 *
 *     was: u32 WAS_MAGIC  u32 touched  { bytes rel  u8 timed  u64 mtime_ns }…
 *          u32 deeds  { u8 kind  u8 directory  u64 seq  bytes rel  id before  id after }…     id: u64 inode size mtime_ns
 */
#include "txn/file_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SHOWN_MAX = 200, WAS_MAX = 256 * 1024 * 1024 /* bytes */, WAS_READ = 65536 };
static const uint32_t WAS_MAGIC = 0x31736177; /* "was1" */

void work_fini(struct work *w)
{
    if (w->dir >= 0)
        close(w->dir);
    w->dir = -1;
    free(w->deeds);
    free(w->touched);
    w->deeds = NULL;
    w->touched = NULL;
    w->deed_count = w->touched_count = 0;
    buf_fini(&w->was);
}

struct spot work_spot(const struct work *w, struct bytes rel) { return (struct spot){ w->root, rel, rel, false }; }

static int deed_compare(const void *a, const void *b)
{
    const struct deed *x = a, *y = b;
    int c = bytes_compare(x->rel, y->rel);

    return c != 0 ? c : (int)x->directory - (int)y->directory;
}

static int touched_compare(const void *a, const void *b)
{
    return bytes_compare(((const struct touched *)a)->rel, ((const struct touched *)b)->rel);
}

struct deed *work_find(const struct work *w, struct bytes rel, uint8_t kind, bool directory)
{
    struct deed key = { .rel = rel, .directory = directory };
    struct deed *found = w->deed_count == 0 ? NULL : bsearch(&key, w->deeds, w->deed_count, sizeof key, deed_compare);

    return found != NULL && found->kind == kind ? found : NULL;
}

/* ---- from changes to deeds ---- */

static enum err conflict(struct failure *why, struct bytes path, const char *what)
{
    char shown[SHOWN_MAX];

    return fail(why, ERR_CONFLICT, "%s %s: somebody else than graftd changed it meanwhile; try again",
                bytes_show(path, shown, sizeof shown), what);
}

/* Whether what stands there is what the image says. What an earlier part of the same undo made has an inode that its
 * image cannot know. */
static bool holds(const struct file_image *i, const struct seen *s)
{
    struct file_id id = { s->id.inode, file_image_size(i), s->id.mtime_ns };

    if (i->kind == FILE_DIRECTORY)
        return s->kind == SEEN_DIRECTORY;
    if (s->kind != SEEN_FILE)
        return false;
    if (i->cut || (i->kind != FILE_NEW && i->stage_len == 0))
        id.mtime_ns = i->mtime_ns;
    if ((i->stage == 0 && !i->cut) || (i->kind == FILE_NEW && i->inode != 0))
        id.inode = i->inode;
    return file_id_equal(&id, &s->id);
}

/* Appended in place: nobody else has the file under another name, and an undo can put its time back. */
static bool in_place(const struct file_change *c, const struct seen *s)
{
    const struct file_image *i = c->after;

    return i->kind == FILE_STANDING && !i->cut && i->stage_len > 0 && bytes_equal(i->origin, c->path) &&
           file_base_is(i, s) && s->links == 1 && (s->mode & 06000) == 0 && (geteuid() == 0 || s->uid == geteuid());
}

/* 0: nothing is to be done. */
static uint8_t deed_kind(const struct file_change *c, const struct seen *s)
{
    const struct file_image *i = c->after;

    if (c->before == NULL)
        return i == NULL ? 0 : DEED_PLACE;
    if (i == NULL)
        return DEED_REMOVE;
    if (i->kind == FILE_DIRECTORY || (i->kind == FILE_STANDING && !i->cut && i->stage_len == 0 &&
                                      bytes_equal(i->origin, c->path) && file_base_is(i, s)))
        return 0;
    return in_place(c, s) ? DEED_APPEND : DEED_REPLACE;
}

static bool change_valid(const struct file_change *c, bool directory)
{
    const char *fault;

    return file_path_valid(c->path, directory, &fault) &&
           (c->before == NULL || (c->before->kind == FILE_DIRECTORY) == directory) &&
           (c->after == NULL || (c->after->kind == FILE_DIRECTORY) == directory);
}

static enum err deed_add(struct work *w, const struct file_change *c, struct failure *why)
{
    struct spot s = spot_of(w->d, c->path);
    struct deed deed = { .directory = s.directory, .seq = c->seq, .rel = s.rel, .change = c };
    char shown[SHOWN_MAX];
    struct seen seen;
    enum err err;

    if (!change_valid(c, s.directory) || s.rel.len == 0)
        return fail(why, ERR_STORAGE, "an undo record of transaction %llu is damaged", (unsigned long long)w->txn);
    err = spot_look(&s, &seen, why);
    if (err != OK)
        return err;
    if (c->before != NULL && !holds(c->before, &seen))
        return conflict(why, c->path, "is not what it was");
    deed.kind = deed_kind(c, &seen);
    deed.before = seen.id;
    deed.mode = seen.mode;
    deed.uid = seen.uid;
    deed.gid = seen.gid;
    if (deed.kind == DEED_PLACE && seen.kind == SEEN_OTHER)
        return fail(why, ERR_CONFLICT, "%s is %s by now, and nothing can be put there; remove it",
                    bytes_show(c->path, shown, sizeof shown), seen.other);
    deed.unbegun = deed.kind == DEED_APPEND;
    deed.taken = deed.kind == DEED_PLACE && (seen.kind == SEEN_FILE || seen.kind == SEEN_DIRECTORY);
    if (deed.kind == DEED_APPEND)
        deed.after.size = seen.id.size + c->after->stage_len;
    if (deed.kind != 0)
        w->deeds[w->deed_count++] = deed;
    return OK;
}

/* Where something is to be put, nothing stands, or a file where a directory comes, or the other way round, which goes. */
static enum err work_check_free(const struct work *w, struct failure *why)
{
    for (size_t i = 0; i < w->deed_count; i++) {
        const struct deed *d = &w->deeds[i];
        if (d->taken && work_find(w, d->rel, DEED_REMOVE, !d->directory) == NULL)
            return conflict(why, d->change->path, "is there already");
    }
    return OK;
}

/* It must be open to us: for the sync in the end, and for its time in an undo. */
static enum err touched_look(const struct spot *s, struct seen *seen, struct failure *why)
{
    enum err err = spot_look(s, seen, why);
    int fd;

    if (err != OK || seen->kind != SEEN_DIRECTORY)
        return err;
    fd = root_open(s->root, s->rel, O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return file_fail(why, errno, s->rel.len == 0 ? bytes_str(s->root->path) : s->rel, "open the directory");
    close(fd);
    return OK;
}

/* The parents of all that changes, and the directories that come. */
static enum err work_find_touched(struct work *w, struct failure *why)
{
    size_t count = 0, kept = 0;
    enum err err = OK;

    w->touched = calloc(2 * w->deed_count + 1, sizeof w->touched[0]);
    if (w->touched == NULL)
        return fail(why, ERR_NOMEM, "memory is short");
    for (size_t i = 0; i < w->deed_count; i++) {
        w->touched[count++].rel = parent_of(w->deeds[i].rel);
        if (w->deeds[i].directory)
            w->touched[count++].rel = w->deeds[i].rel;
    }
    qsort(w->touched, count, sizeof w->touched[0], touched_compare);
    for (size_t i = 0; i < count && err == OK; i++) {
        struct touched *t = &w->touched[i];
        struct spot s = work_spot(w, t->rel);
        struct seen seen;
        if (kept > 0 && bytes_equal(w->touched[kept - 1].rel, t->rel))
            continue;
        err = touched_look(&s, &seen, why);
        w->touched[kept++] =
            (struct touched){ t->rel, err == OK && seen.kind == SEEN_DIRECTORY, err == OK ? seen.id.mtime_ns : 0 };
    }
    w->touched_count = kept;
    return err;
}

enum err work_plan(struct work *w, const struct file_change *changes, size_t count, struct failure *why)
{
    enum err err = OK;

    w->deeds = calloc(count + 1, sizeof w->deeds[0]);
    if (w->deeds == NULL)
        return fail(why, ERR_NOMEM, "memory is short");
    for (size_t i = 0; i < count && err == OK; i++)
        if (spot_of(w->d, changes[i].path).root == w->root)
            err = deed_add(w, &changes[i], why);
    if (err == OK)
        qsort(w->deeds, w->deed_count, sizeof w->deeds[0], deed_compare);
    for (size_t i = 1; i < w->deed_count && err == OK; i++)
        if (deed_compare(&w->deeds[i - 1], &w->deeds[i]) == 0)
            err = fail(why, ERR_STORAGE, "transaction %llu names a path twice", (unsigned long long)w->txn);
    if (err == OK)
        err = work_check_free(w, why);
    return err != OK ? err : work_find_touched(w, why);
}

/* ---- was ---- */

static bool add_id(struct buf *b, const struct file_id *id)
{
    return buf_add_u64(b, id->inode) == OK && buf_add_u64(b, id->size) == OK &&
           buf_add_u64(b, (uint64_t)id->mtime_ns) == OK;
}

static bool add_was(struct buf *b, const struct work *w)
{
    bool ok = buf_add_u32(b, WAS_MAGIC) == OK && buf_add_u32(b, (uint32_t)w->touched_count) == OK;

    for (size_t i = 0; i < w->touched_count && ok; i++) {
        const struct touched *t = &w->touched[i];
        ok = buf_add_bytes(b, t->rel) == OK && buf_add_u8(b, t->timed) == OK &&
             buf_add_u64(b, (uint64_t)t->mtime_ns) == OK;
    }
    ok = ok && buf_add_u32(b, (uint32_t)w->deed_count) == OK;
    for (size_t i = 0; i < w->deed_count && ok; i++) {
        const struct deed *d = &w->deeds[i];
        ok = buf_add_u8(b, d->kind) == OK && buf_add_u8(b, d->directory) == OK && buf_add_u64(b, d->seq) == OK &&
             buf_add_bytes(b, d->rel) == OK && add_id(b, &d->before) && add_id(b, &d->after);
    }
    return ok;
}

static enum err was_write(struct work *w, int fd, struct bytes b, struct failure *why)
{
    struct bytes where = bytes_str(w->root->path);

    for (size_t done = 0; done < b.len;) {
        ssize_t n = write(fd, (const char *)b.data + done, b.len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return file_fail(why, n == 0 ? ENOSPC : errno, where, "write notes for an undo in");
        done += (size_t)n;
    }
    if (w->d->sync && fsync(fd) != 0)
        return file_fail(why, errno, where, "sync notes for an undo in");
    return OK;
}

enum err work_note(struct work *w, struct failure *why)
{
    struct bytes where = bytes_str(w->root->path);
    struct buf b;
    enum err err = OK;
    int fd = -1;

    buf_init(&b, WAS_MAX);
    if (!add_was(&b, w))
        err = fail(why, ERR_STORAGE,
                   "the transaction changes too many files at once: its notes pass %d bytes, or memory "
                   "is short; change fewer",
                   WAS_MAX);
    if (err == OK) {
        fd = openat(w->dir, "was.new", O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
        err =
            fd < 0 ? file_fail(why, errno, where, "write notes for an undo in") : was_write(w, fd, buf_bytes(&b), why);
    }
    if (fd >= 0)
        close(fd);
    buf_fini(&b);
    if (err == OK && renameat(w->dir, "was.new", w->dir, "was") != 0)
        err = file_fail(why, errno, where, "write notes for an undo in");
    w->noted = err == OK;
    if (err == OK && w->d->sync && (fsync(w->dir) != 0 || fsync(w->root->keep) != 0))
        err = file_fail(why, errno, where, "sync notes for an undo in");
    return err;
}

static enum err was_read(struct work *w, int fd, struct failure *why)
{
    for (;;) {
        uint8_t *room;
        ssize_t n;
        enum err err = buf_reserve(&w->was, WAS_READ, &room);
        if (err != OK)
            return fail(why, err, "the notes for an undo are too large, or memory is short");
        n = read(fd, room, WAS_READ);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return file_fail(why, errno, bytes_str(w->root->path), "read notes for an undo in");
        if (n == 0)
            return OK;
        buf_wrote(&w->was, (size_t)n);
    }
}

static struct file_id read_id(struct reader *r)
{
    struct file_id id = { .inode = read_u64(r) };

    id.size = read_u64(r);
    id.mtime_ns = (int64_t)read_u64(r);
    return id;
}

static bool rel_valid(struct bytes rel, bool root_too)
{
    const char *fault;

    return (root_too && rel.len == 0) || file_path_valid(rel, false, &fault);
}

/* A count is believed only as far as bytes are left to back it. */
static bool take_touched(struct work *w, struct reader *r)
{
    uint32_t count = read_u32(r);

    if (r->bad || count > r->left)
        return false;
    w->touched = calloc((size_t)count + 1, sizeof w->touched[0]);
    for (; w->touched != NULL && w->touched_count < count && !r->bad; w->touched_count++) {
        struct touched *t = &w->touched[w->touched_count];
        t->rel = read_bytes(r);
        t->timed = read_u8(r) != 0;
        t->mtime_ns = (int64_t)read_u64(r);
        if (!rel_valid(t->rel, true))
            return false;
    }
    return w->touched != NULL && !r->bad;
}

static bool take_deeds(struct work *w, struct reader *r)
{
    uint32_t count = read_u32(r);

    if (r->bad || count > r->left)
        return false;
    w->deeds = calloc((size_t)count + 1, sizeof w->deeds[0]);
    for (; w->deeds != NULL && w->deed_count < count && !r->bad; w->deed_count++) {
        struct deed *d = &w->deeds[w->deed_count];
        d->kind = read_u8(r);
        d->directory = read_u8(r) != 0;
        d->seq = read_u64(r);
        d->rel = read_bytes(r);
        d->before = read_id(r);
        d->after = read_id(r);
        if (d->kind < DEED_PLACE || d->kind > DEED_APPEND || !rel_valid(d->rel, false))
            return false;
    }
    return w->deeds != NULL && !r->bad;
}

enum err work_recall(struct work *w, struct failure *why)
{
    int fd = openat(w->dir, "was", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct reader r;
    enum err err;

    buf_init(&w->was, WAS_MAX + WAS_READ);
    if (fd < 0 && errno == ENOENT)
        return OK;
    if (fd < 0)
        return file_fail(why, errno, bytes_str(w->root->path), "read notes for an undo in");
    err = was_read(w, fd, why);
    close(fd);
    if (err != OK)
        return err;
    w->noted = true;
    r = reader_of(buf_bytes(&w->was));
    if (read_u32(&r) == WAS_MAGIC && take_touched(w, &r) && take_deeds(w, &r) && reader_done(&r))
        return OK;
    return fail(why, ERR_UNKNOWN, "%s/.graftd/%llu/was, the notes for an undo, is damaged, or memory is short",
                w->root->path, (unsigned long long)w->txn);
}

enum err work_sync(const struct work *w, struct failure *why)
{
    enum err err = OK;

    for (size_t i = 0; w->d->sync && i < w->touched_count && err == OK; i++) {
        int fd = root_open(w->root, w->touched[i].rel, O_RDONLY | O_DIRECTORY);
        if (fd < 0 && is_gone(errno)) /* it came or went with this transaction */
            continue;
        if (fd < 0 || fsync(fd) != 0)
            err = file_fail(why, errno, w->touched[i].rel, "sync the directory");
        if (fd >= 0)
            close(fd);
    }
    if (err == OK && w->d->sync && fsync(w->dir) != 0)
        err = file_fail(why, errno, bytes_str(w->root->path), "sync .graftd in");
    return err;
}
