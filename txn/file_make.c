/*
 * Making ready: for each deed put.<seq>, which is to go to its path, and for a replaced file old.<seq>, a link to it. All
 * of it below .graftd: the tree changes in nothing but the number of links that a file has.
 *
 *     new content alone               the stage file itself, cut to its length
 *     a file that stands or is kept   a link: same inode, mode, mtime
 *     a part of one, or one and more  a new file, sharing blocks where the file system can
 *     a directory                     an empty one
 */
#include "txn/file_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SHOWN_MAX = 200, COPY_MAX = 64 * 1024 };

static enum err conflict(struct failure *why, struct bytes path)
{
    char shown[SHOWN_MAX];

    return fail(why, ERR_CONFLICT, "%s was changed by somebody else than graftd meanwhile; try again",
                bytes_show(path, shown, sizeof shown));
}

/* Without help from the file system. *from is 0 at the end of what there is. */
static ssize_t copy_plain(int from, off_t *at, int to, off_t *to_at, size_t len)
{
    char block[COPY_MAX];
    ssize_t n = pread(from, block, len < sizeof block ? len : sizeof block, *at);
    ssize_t wrote = n <= 0 ? n : pwrite(to, block, (size_t)n, *to_at);

    if (wrote > 0) {
        *at += wrote;
        *to_at += wrote;
    }
    return wrote;
}

/* The first len bytes of from, to offset `at` of to. */
static enum err copy(int from, int to, uint64_t at, uint64_t len, struct bytes path, struct failure *why)
{
    off_t from_at = 0, to_at = (off_t)at;
    bool plain = false;

    while ((uint64_t)from_at < len) {
        size_t left = (size_t)(len - (uint64_t)from_at);
        ssize_t n =
            plain ? copy_plain(from, &from_at, to, &to_at, left) : copy_file_range(from, &from_at, to, &to_at, left, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && !plain && errno != ENOSPC && errno != EIO && errno != EDQUOT) {
            plain = true; /* this pair of files cannot; reading and writing tells what is wrong, if anything is */
            continue;
        }
        if (n < 0)
            return file_fail(why, errno, path, "copy");
        if (n == 0)
            return conflict(why, path);
    }
    return OK;
}

/* What a file with new content is besides its content. One that runs as its owner for everybody ends to do so. */
static enum err dress(const struct work *w, int fd, const struct deed *d, uint32_t uid, uint32_t gid,
                      struct failure *why)
{
    const struct file_image *i = d->change->after;
    struct file_times times = file_times_of(i->mtime_ns);
    char shown[SHOWN_MAX];
    struct seen s;

    if (seen_at(fd, "", &s) != 0)
        return file_fail(why, errno, d->change->path, "look at the new content of");
    if ((s.uid != uid || s.gid != gid) && fchown(fd, uid, gid) != 0)
        return errno != EPERM ? file_fail(why, errno, d->change->path, "set the owner of")
                              : fail(why, ERR_STORAGE,
                                     "%s belongs to user %u and group %u, and graftd, which runs as "
                                     "user %u, cannot give that to its new content; change the owner, or run graftd as "
                                     "root",
                                     bytes_show(d->change->path, shown, sizeof shown), uid, gid, geteuid());
    if (fchmod(fd, i->mode & 01777) != 0)
        return file_fail(why, errno, d->change->path, "set the mode of");
    if (i->cut && futimens(fd, times.t) != 0)
        return file_fail(why, errno, d->change->path, "set the time of");
    if (w->d->sync && fsync(fd) != 0)
        return file_fail(why, errno, d->change->path, "sync");
    return OK;
}

static enum err make_new(const struct work *w, const struct deed *d, const char *put, struct failure *why)
{
    const struct file_image *i = d->change->after;
    char name[KEEP_NAME_MAX];
    struct seen s;
    int fd;
    enum err err = stage_open(w->dir, i, d->change->path, O_RDWR, &fd, why);

    if (err != OK)
        return err;
    if (seen_at(fd, "", &s) != 0 || (s.id.size > i->stage_len && ftruncate(fd, (off_t)i->stage_len) != 0))
        err = file_fail(why, errno, d->change->path, "cut the new content of");
    if (err == OK)
        err = dress(w, fd, d, d->uid, d->gid, why);
    close(fd);
    if (err == OK && renameat(w->dir, keep_name(name, "new", i->stage), w->dir, put) != 0)
        err = file_fail(why, errno, d->change->path, "make ready the new content of");
    return err;
}

static enum err add_staged(const struct work *w, const struct deed *d, int to, uint64_t at, struct failure *why)
{
    const struct file_image *i = d->change->after;
    enum err err;
    int fd;

    if (i->stage_len == 0)
        return OK;
    err = stage_open(w->dir, i, d->change->path, O_RDONLY, &fd, why);
    if (err != OK)
        return err;
    err = copy(fd, to, at, i->stage_len, d->change->path, why);
    close(fd);
    return err;
}

static enum err make_copy(const struct work *w, const struct deed *d, int base, const struct seen *of, const char *put,
                          struct failure *why)
{
    const struct file_image *i = d->change->after;
    int fd = openat(w->dir, put, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    struct seen now;
    enum err err;

    if (fd < 0)
        return file_fail(why, errno, d->change->path, "copy");
    err = copy(base, fd, 0, i->size, d->change->path, why);
    if (err == OK)
        err = add_staged(w, d, fd, i->size, why);
    if (err == OK && (seen_at(base, "", &now) != 0 || !file_id_equal(&now.id, &of->id)))
        err = conflict(why, d->change->path);
    if (err == OK)
        err = dress(w, fd, d, d->kind == DEED_REPLACE ? d->uid : of->uid, d->kind == DEED_REPLACE ? d->gid : of->gid,
                    why);
    close(fd);
    return err;
}

/* Links what stands at a path; it must be that very file. */
static enum err link_standing(const struct work *w, struct bytes path, const struct file_id *id, const char *to,
                              struct failure *why)
{
    struct spot s = spot_of(w->d, path);
    char name[FILE_NAME_MAX + 1];
    int parent = root_open_parent(s.root, s.rel, name);
    struct seen seen;
    enum err err = OK;

    if (parent < 0)
        return file_fail(why, errno, path, "keep");
    if (linkat(parent, name, w->dir, to, 0) != 0 || seen_at(w->dir, to, &seen) != 0)
        err = file_fail(why, errno, path, "keep");
    else if (seen.kind != SEEN_FILE || !file_id_equal(&seen.id, id))
        err = conflict(why, path);
    close(parent);
    return err;
}

static enum err link_kept(const struct work *w, const struct file_image *i, struct bytes path, const char *to,
                          struct failure *why)
{
    char name[KEEP_NAME_MAX];
    int from = keep_open(w->root, i->kept_txn, false);
    enum err err = OK;

    if (from < 0 || linkat(from, keep_name(name, "old", i->kept_seq), w->dir, to, 0) != 0)
        err = file_fail(why, errno, path, "put back what is kept of");
    if (from >= 0)
        close(from);
    return err;
}

static enum err make_from_base(const struct work *w, const struct deed *d, const char *put, struct failure *why)
{
    const struct file_image *i = d->change->after;
    struct file_id id = { i->inode, i->size, i->mtime_ns };
    struct seen of;
    int base;
    enum err err;

    if (spot_of(w->d, i->origin).root != w->root)
        return fail(why, ERR_STORAGE, "a file is not moved from one root to another");
    err = base_open(w->d, i, d->change->path, &base, &of, why);
    if (err != OK)
        return err;
    if (i->cut || i->stage_len > 0)
        err = make_copy(w, d, base, &of, put, why);
    else
        err = i->kind == FILE_KEPT ? link_kept(w, i, d->change->path, put, why)
                                   : link_standing(w, i->origin, &id, put, why);
    close(base);
    return err;
}

static enum err make_directory(const struct work *w, const struct deed *d, const char *put, struct failure *why)
{
    uint32_t mode = (d->change->after->mode & 01777) | (d->heir ? S_ISGID : 0);

    if (mkdirat(w->dir, put, 0700) != 0 || (d->heir && fchownat(w->dir, put, d->uid, d->gid, 0) != 0) ||
        fchmodat(w->dir, put, mode, 0) != 0)
        return file_fail(why, errno, d->change->path, "make the directory");
    return OK;
}

/* What comes new is ours, and of the group of a directory that passes its group on. */
static enum err find_owner(const struct work *w, struct deed *d, struct failure *why)
{
    struct bytes rel = d->rel;
    struct seen s = { .kind = SEEN_NOTHING };
    enum err err = OK;

    while (rel.len > 0 && s.kind != SEEN_DIRECTORY && err == OK) { /* nearest that is there already */
        struct spot spot;
        rel = parent_of(rel);
        spot = work_spot(w, rel);
        err = spot_look(&spot, &s, why);
    }
    d->heir = (s.mode & S_ISGID) != 0;
    d->uid = geteuid();
    d->gid = d->heir ? s.gid : getegid();
    return err;
}

static enum err make_put(const struct work *w, struct deed *d, struct failure *why)
{
    char put[KEEP_NAME_MAX];
    struct seen s;
    enum err err = d->kind == DEED_PLACE ? find_owner(w, d, why) : OK;

    keep_name(put, "put", d->seq);
    if (err != OK)
        return err;
    if (d->directory)
        err = make_directory(w, d, put, why);
    else if (d->change->after->kind == FILE_NEW)
        err = make_new(w, d, put, why);
    else
        err = make_from_base(w, d, put, why);
    if (err == OK && seen_at(w->dir, put, &s) != 0)
        err = file_fail(why, errno, d->change->path, "look at the new content of");
    if (err == OK)
        d->after = s.id;
    return err;
}

enum err work_prepare(struct work *w, struct failure *why)
{
    char old[KEEP_NAME_MAX];
    enum err err = OK;

    for (size_t i = 0; i < w->deed_count && err == OK; i++) {
        struct deed *d = &w->deeds[i];
        if (d->kind == DEED_PLACE || d->kind == DEED_REPLACE)
            err = make_put(w, d, why);
        if (err == OK && d->kind == DEED_REPLACE)
            err = link_standing(w, d->change->path, &d->before, keep_name(old, "old", d->seq), why);
    }
    return err;
}
