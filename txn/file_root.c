/*
 * Roots, and the way to what lies below them.
 *
 * A path is never given to the kernel whole but below its root's descriptor, and the kernel refuses symbolic links,
 * other file systems and ways out of the root; the last component is then named in its parent's descriptor, and never
 * followed. What is opened is looked at again through its descriptor. Waits for nothing: no FIFO, no device is opened.
 */
#include "txn/file_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SHOWN_MAX = 200, ANCESTORS_MAX = 4096 };

struct reason {
    int error;
    enum err err;
    const char *text;
};

static const struct reason reasons[] = {
    { ENOSPC, ERR_STORAGE, "the disk is full; free some space" },
    { EDQUOT, ERR_STORAGE, "the disk quota of graftd's user is used up; raise it, or remove files" },
    { EIO, ERR_STORAGE, "the disk failed (input/output error); look at the kernel's log" },
    { EROFS, ERR_STORAGE, "the file system is mounted read-only; mount it writable" },
    { EACCES, ERR_STORAGE, "graftd's user has not the right; change the owner or the mode" },
    { EPERM, ERR_STORAGE, "the system does not let graftd's user; change the owner, or look for an immutable file" },
    { EMFILE, ERR_STORAGE, "graftd has too many open files; raise its limit (ulimit -n)" },
    { ENFILE, ERR_STORAGE, "the machine has too many open files; raise fs.file-max" },
    { EMLINK, ERR_STORAGE, "the file has too many links for this file system; forget history, or remove some" },
    { EFBIG, ERR_STORAGE, "the file would be too large for this file system, or for graftd's limit (ulimit -f)" },
    { ENOENT, ERR_STORAGE, "it is gone, or a directory on the way to it; put it back" },
    { EOPNOTSUPP, ERR_STORAGE,
      "this file system cannot do it; roots need one with links, as ext4, xfs and btrfs have" },
    { ENOSYS, ERR_STORAGE, "this kernel cannot do it; graftd needs Linux 5.8 or newer" },
    { ENOMEM, ERR_NOMEM, "memory is short" },
    { ELOOP, ERR_BADARG, "there is a symbolic link on the way, and graftd follows none" },
    { EXDEV, ERR_BADARG, "another file system is mounted on the way; make it a root of its own" },
    { ENOTDIR, ERR_BADARG, "something on the way is no directory" },
    { EISDIR, ERR_BADARG, "it is a directory" },
    { ENAMETOOLONG, ERR_BADARG, "the name is too long for this file system" },
    { EINVAL, ERR_BADARG, "this file system does not take the name, or cannot do it" },
};

enum err file_fail(struct failure *why, int error, struct bytes path, const char *doing)
{
    char shown[SHOWN_MAX];

    bytes_show(path, shown, sizeof shown);
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].error == error)
            return fail(why, reasons[i].err, "cannot %s %s: %s", doing, shown, reasons[i].text);
    return fail(why, ERR_STORAGE, "cannot %s %s: %s", doing, shown, strerror(error));
}

/* ---- spots ---- */

static struct bytes without_slash(struct bytes path)
{
    bool slash = path.len > 0 && ((const char *)path.data)[path.len - 1] == '/';

    return bytes_of(path.data, path.len - slash);
}

struct spot spot_of(struct file_disk *d, struct bytes path)
{
    struct bytes rel = without_slash(path);
    const char *slash = rel.len == 0 ? NULL : memchr(rel.data, '/', rel.len);
    size_t first = slash == NULL ? rel.len : (size_t)(slash - (const char *)rel.data);
    struct spot s = { &d->roots[0], path, rel, rel.len < path.len };

    for (size_t i = 1; i < d->count; i++) {
        if (!bytes_equal(bytes_str(d->roots[i].name), bytes_of(rel.data, first)))
            continue;
        s.root = &d->roots[i];
        s.rel = slash == NULL ? bytes_of(NULL, 0) : bytes_of(slash + 1, rel.len - first - 1);
    }
    return s;
}

int root_open(const struct root *r, struct bytes rel, int flags)
{
    char path[FILE_PATH_MAX + 1];
    struct open_how how = { .flags = (unsigned)(flags | O_CLOEXEC | ((flags & O_DIRECTORY) != 0 ? 0 : O_NOFOLLOW)),
                            .resolve =
                                RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV };

    if (rel.len >= sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    if (rel.len > 0)
        memcpy(path, rel.data, rel.len);
    path[rel.len] = '\0';
    return (int)syscall(SYS_openat2, r->fd, rel.len == 0 ? "." : path, &how, sizeof how);
}

int root_open_parent(const struct root *r, struct bytes rel, char name[FILE_NAME_MAX + 1])
{
    struct bytes parent = parent_of(rel);
    const char *last = (const char *)rel.data + (parent.len == 0 ? 0 : parent.len + 1);
    size_t len = rel.len - (parent.len == 0 ? 0 : parent.len + 1);

    if (len == 0 || len > FILE_NAME_MAX) {
        errno = len == 0 ? EISDIR : ENAMETOOLONG; /* the root itself is not for us to change */
        return -1;
    }
    memcpy(name, last, len);
    name[len] = '\0';
    return root_open(r, parent, O_PATH | O_DIRECTORY);
}

/* ---- looking ---- */

/* Seconds and nanoseconds as the kernel has them: before 1970 too the nanoseconds count upwards. */
struct file_times file_times_of(int64_t mtime_ns)
{
    int64_t part = mtime_ns % 1000000000;

    if (part < 0)
        part += 1000000000;
    return (struct file_times){ { { .tv_nsec = UTIME_OMIT },
                                  { .tv_sec = (mtime_ns - part) / 1000000000, .tv_nsec = part } } };
}

/* Beyond the year 2262 it wraps: good enough to tell one time from another. */
static int64_t ns_of(const struct statx_timestamp *t)
{
    return (int64_t)((uint64_t)t->tv_sec * 1000000000u + t->tv_nsec);
}

static const char *kind_name(uint32_t mode)
{
    return S_ISLNK(mode)    ? "a symbolic link"
           : S_ISFIFO(mode) ? "a FIFO"
           : S_ISSOCK(mode) ? "a socket"
           : S_ISREG(mode)  ? "a file that another one is mounted on"
           : S_ISDIR(mode)  ? "a directory that a file system is mounted on"
                            : "a device";
}

int seen_at(int directory, const char *name, struct seen *s)
{
    struct statx x;
    bool mount;

    *s = (struct seen){ .kind = SEEN_NOTHING };
    if (statx(directory, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (name[0] == '\0' ? AT_EMPTY_PATH : 0),
              STATX_BASIC_STATS, &x) != 0)
        return errno == ENOENT ? 0 : -1;
    mount = name[0] != '\0' && (x.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
    s->kind = mount ? SEEN_OTHER : S_ISREG(x.stx_mode) ? SEEN_FILE : S_ISDIR(x.stx_mode) ? SEEN_DIRECTORY : SEEN_OTHER;
    s->other = s->kind == SEEN_OTHER ? kind_name(x.stx_mode) : NULL;
    s->id = (struct file_id){ x.stx_ino, S_ISDIR(x.stx_mode) ? 0 : x.stx_size, ns_of(&x.stx_mtime) };
    s->changed_ns = ns_of(&x.stx_ctime);
    s->mode = x.stx_mode & 07777;
    s->links = x.stx_nlink;
    s->uid = x.stx_uid;
    s->gid = x.stx_gid;
    s->device = (uint64_t)x.stx_dev_major << 32 | x.stx_dev_minor;
    return 0;
}

/* What keeps us from even looking, if it is a thing that stands there. */
static bool blocked(int error, struct seen *s)
{
    if (error == ENOENT)
        *s = (struct seen){ .kind = SEEN_NOTHING };
    else if (error == ENOTDIR)
        *s = (struct seen){ .kind = SEEN_BLOCKED, .other = "something else where a directory must be" };
    else if (error == ELOOP)
        *s = (struct seen){ .kind = SEEN_BLOCKED, .other = "behind a symbolic link" };
    else if (error == EXDEV)
        *s = (struct seen){ .kind = SEEN_BLOCKED, .other = "on a file system that is mounted below the root" };
    else
        return false;
    return true;
}

enum err spot_look(const struct spot *s, struct seen *seen, struct failure *why)
{
    char name[FILE_NAME_MAX + 1] = "";
    int fd =
        s->rel.len == 0 ? root_open(s->root, s->rel, O_PATH | O_DIRECTORY) : root_open_parent(s->root, s->rel, name);
    enum err err = OK;

    if (fd < 0 && blocked(errno, seen))
        return OK;
    if (fd < 0)
        return file_fail(why, errno, s->path, "look at");
    if (seen_at(fd, name, seen) != 0)
        err = file_fail(why, errno, s->path, "look at");
    close(fd);
    return err;
}

static enum err refuse(const struct spot *s, const struct seen *seen, struct failure *why)
{
    char shown[SHOWN_MAX];

    bytes_show(s->path, shown, sizeof shown);
    if (seen->kind == SEEN_NOTHING)
        return fail(why, ERR_ABSENT, "there is no file %s", shown);
    return fail(why, ERR_BADARG, "%s is %s, not a file", shown,
                seen->kind == SEEN_DIRECTORY ? "a directory" : seen->other);
}

enum err spot_open(const struct spot *s, int flags, int *fd, struct seen *seen, struct failure *why)
{
    enum err err = spot_look(s, seen, why); /* opening can have effects: only what is a file is opened */
    int opened;

    if (err == OK && seen->kind != SEEN_FILE)
        err = refuse(s, seen, why);
    if (err != OK)
        return err;
    opened = root_open(s->root, s->rel, flags | O_NONBLOCK | O_NOCTTY);
    if (opened < 0 && blocked(errno, seen))
        return refuse(s, seen, why);
    if (opened < 0)
        return file_fail(why, errno, s->path, "open");
    if (seen_at(opened, "", seen) != 0)
        err = file_fail(why, errno, s->path, "look at");
    else if (seen->kind != SEEN_FILE)
        err = refuse(s, seen, why);
    if (err == OK)
        *fd = opened;
    else
        close(opened);
    return err;
}

/* ---- opening ---- */

static enum err keep_make(struct root *r, bool sync, struct failure *why)
{
    struct seen s;
    int fd;

    if (mkdirat(r->fd, ".graftd", 0700) != 0 && errno != EEXIST)
        return file_fail(why, errno, bytes_str(r->path), "make .graftd in");
    r->keep = root_open(r, bytes_str(".graftd"), O_RDONLY | O_DIRECTORY);
    if (r->keep < 0 || seen_at(r->keep, "", &s) != 0)
        return file_fail(why, errno, bytes_str(r->path), "open .graftd in");
    if (s.uid != geteuid() || (s.mode & 077) != 0)
        return fail(why, ERR_STORAGE,
                    "%s/.graftd belongs to user %u and has mode %04o; it must be graftd's own (user "
                    "%u) with mode 0700",
                    r->path, s.uid, s.mode, geteuid());
    fd = sync ? root_open(r, bytes_of(NULL, 0), O_RDONLY | O_DIRECTORY) : -1;
    if (sync && (fd < 0 || fsync(fd) != 0))
        file_fail(why, errno, bytes_str(r->path), "sync");
    if (fd >= 0)
        close(fd);
    return why->err;
}

enum err root_init(struct root *r, const char *name, const char *path, bool sync, struct failure *why)
{
    struct seen s;

    *r = (struct root){ .name = strdup(name), .path = strdup(path), .fd = -1, .keep = -1 };
    if (r->name == NULL || r->path == NULL)
        return fail(why, ERR_NOMEM, "memory is short");
    r->fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (r->fd < 0 || seen_at(r->fd, "", &s) != 0)
        return file_fail(why, errno, bytes_str(path), "open the root");
    r->inode = s.id.inode;
    r->device = s.device;
    return keep_make(r, sync, why);
}

void root_fini(struct root *r)
{
    if (r->fd >= 0)
        close(r->fd);
    if (r->keep >= 0)
        close(r->keep);
    free(r->name);
    free(r->path);
}

/* The root that this directory is, other than self; NULL: none. */
static const struct root *root_at(const struct file_disk *d, const struct root *self, const struct seen *s)
{
    for (size_t i = 0; i < d->count; i++)
        if (&d->roots[i] != self && d->roots[i].inode == s->id.inode && d->roots[i].device == s->device)
            return &d->roots[i];
    return NULL;
}

/* Climbs from r to the top of the tree. */
static enum err root_apart(const struct file_disk *d, const struct root *r, struct failure *why)
{
    const struct root *other = NULL;
    struct seen s = { 0 }, below;
    int fd = root_open(r, bytes_of(NULL, 0), O_PATH | O_DIRECTORY);

    for (size_t i = 0; i < ANCESTORS_MAX && fd >= 0 && other == NULL; i++) {
        int up = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
        below = s;
        if (seen_at(fd, "", &s) != 0 || (s.id.inode == below.id.inode && s.device == below.device)) {
            if (up >= 0)
                close(up);
            break;
        }
        other = root_at(d, r, &s);
        close(fd);
        fd = up;
    }
    if (fd >= 0)
        close(fd);
    if (other == NULL)
        return OK;
    return fail(why, ERR_STORAGE, "the root %s is, or lies in, the root %s: a file would have two names", r->path,
                other->path);
}

enum err roots_apart(const struct file_disk *d, struct failure *why)
{
    enum err err = OK;

    for (size_t i = 0; i < d->count && err == OK; i++)
        err = root_apart(d, &d->roots[i], why);
    return err;
}
