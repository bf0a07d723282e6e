/*
 * The directory .graftd/<txn> that a transaction has in each root in which it changes files, and what lies there:
 * content on its way, what paths held before, notes for an undo. Made with the first stage file or by files_apply(), and
 * gone when nothing is kept in it any more. Nobody but graftd writes below .graftd; what lies there and has no name of
 * ours is left alone.
 */
#include "txn/file_inside.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *keep_directory(char out[KEEP_NAME_MAX], uint64_t txn)
{
    snprintf(out, KEEP_NAME_MAX, "%llu", (unsigned long long)txn);
    return out;
}

const char *keep_name(char out[KEEP_NAME_MAX], const char *what, uint64_t number)
{
    snprintf(out, KEEP_NAME_MAX, "%s.%llu", what, (unsigned long long)number);
    return out;
}

int keep_open(const struct root *r, uint64_t txn, bool make)
{
    char name[KEEP_NAME_MAX];

    keep_directory(name, txn);
    if (make && mkdirat(r->keep, name, 0700) != 0 && errno != EEXIST)
        return -1;
    return openat(r->keep, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static bool starts(const char *name, const char *with) { return strncmp(name, with, strlen(with)) == 0; }

bool keep_is_passing(const char *name)
{
    return starts(name, "new.") || starts(name, "put.") || strcmp(name, "was") == 0 || strcmp(name, "was.new") == 0;
}

bool keep_is_any(const char *name) { return keep_is_passing(name) || starts(name, "old."); }

/* A file, or an empty directory. */
static int remove_entry(int dir, const char *name)
{
    if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
        return 0;
    return errno == EISDIR || errno == EPERM ? unlinkat(dir, name, AT_REMOVEDIR) : -1;
}

/* Of what another open descriptor of the directory does this one's position knows nothing. */
static DIR *directory_stream(int dir)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);

    if (fd >= 0 && stream == NULL)
        close(fd);
    return stream;
}

int keep_clear(int dir, bool (*drop)(const char *name), bool *left)
{
    DIR *stream = directory_stream(dir);
    int error = 0;

    *left = false;
    if (stream == NULL)
        return -1;
    errno = 0;
    for (struct dirent *e = readdir(stream); e != NULL; errno = 0, e = readdir(stream)) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (!drop(e->d_name))
            *left = true;
        else if (remove_entry(dir, e->d_name) != 0 && error == 0)
            error = errno;
    }
    if (error == 0)
        error = errno;
    closedir(stream);
    errno = error;
    return error == 0 ? 0 : -1;
}

int directory_is_empty(int dir, bool *empty)
{
    DIR *stream = directory_stream(dir);
    size_t count = 0;
    int error;

    if (stream == NULL)
        return -1;
    errno = 0;
    while (count <= 2 && readdir(stream) != NULL) /* . and .. are two */
        count++;
    error = errno;
    closedir(stream);
    errno = error;
    *empty = count <= 2;
    return error == 0 ? 0 : -1;
}

int keep_remove(const struct root *r, uint64_t txn)
{
    char name[KEEP_NAME_MAX];

    if (unlinkat(r->keep, keep_directory(name, txn), AT_REMOVEDIR) == 0 || errno == ENOENT || errno == ENOTEMPTY)
        return 0;
    return -1;
}

/* What cannot be removed now is removed at the next start. */
static void drop(struct file_disk *d, uint64_t txn, bool (*which)(const char *name))
{
    bool left;

    for (size_t i = 0; i < d->count; i++) {
        int dir = keep_open(&d->roots[i], txn, false);
        if (dir < 0)
            continue;
        if (keep_clear(dir, which, &left) == 0 && !left)
            keep_remove(&d->roots[i], txn);
        close(dir);
    }
}

void files_end(struct file_disk *d, uint64_t txn) { drop(d, txn, keep_is_passing); }
void files_forget(struct file_disk *d, uint64_t txn) { drop(d, txn, keep_is_any); }

/* One pass of the names below .graftd; removing while it is read loses none that was there before it began. */
void files_sweep(struct file_disk *d, bool (*known)(uint64_t txn, void *user), void *user)
{
    for (size_t i = 0; i < d->count; i++) {
        DIR *stream = directory_stream(d->roots[i].keep);
        uint64_t txn;
        if (stream == NULL)
            continue;
        for (struct dirent *e = readdir(stream); e != NULL; e = readdir(stream))
            if (bytes_to_u64(bytes_str(e->d_name), &txn))
                drop(d, txn, known(txn, user) ? keep_is_passing : keep_is_any);
        closedir(stream);
    }
}

/* ---- stage files ---- */

enum err stage_open(int dir, const struct file_image *i, struct bytes path, int flags, int *fd, struct failure *why)
{
    char name[KEEP_NAME_MAX];
    struct seen s;
    int opened =
        openat(dir, keep_name(name, "new", i->stage), flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, 0600);

    if (opened < 0)
        return file_fail(why, errno, path, "open the new content of");
    if (seen_at(opened, "", &s) != 0)
        file_fail(why, errno, path, "look at the new content of");
    else if (s.kind == SEEN_FILE && s.id.size >= i->stage_len &&
             (i->kind != FILE_NEW || i->inode == 0 || i->inode == s.id.inode)) {
        *fd = opened;
        return OK;
    } else
        fail(why, ERR_STORAGE, "stage file %llu is not what was staged", (unsigned long long)i->stage);
    close(opened);
    return ERR_STORAGE;
}

static enum err stage_write(int fd, struct bytes path, uint64_t offset, struct bytes data, struct failure *why)
{
    for (size_t done = 0; done < data.len;) {
        ssize_t n = pwrite(fd, (const char *)data.data + done, data.len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return file_fail(why, n == 0 ? ENOSPC : errno, path, "write the new content of");
        done += (size_t)n;
    }
    if (ftruncate(fd, (off_t)(offset + data.len)) != 0)
        return file_fail(why, errno, path, "write the new content of");
    return OK;
}

enum err files_stage(struct file_disk *d, uint64_t txn, struct bytes path, uint64_t stage, uint64_t offset,
                     struct bytes data, uint64_t *inode, struct failure *why)
{
    struct file_image i = { .kind = FILE_STANDING, .stage = stage, .stage_len = offset };
    const char *fault;
    struct seen s;
    int dir = -1, fd = -1;
    enum err err;

    if (!file_path_valid(path, false, &fault))
        return fail(why, ERR_BADARG, "%s", fault);
    if (offset > INT64_MAX || data.len > INT64_MAX - offset)
        return fail(why, ERR_BADARG, "a file cannot be that large");
    dir = keep_open(spot_of(d, path).root, txn, true);
    if (dir < 0)
        return file_fail(why, errno, path, "stage the new content of");
    err = stage_open(dir, &i, path, O_RDWR | O_CREAT, &fd, why);
    if (err == OK)
        err = stage_write(fd, path, offset, data, why);
    if (err == OK && seen_at(fd, "", &s) != 0)
        err = file_fail(why, errno, path, "look at the new content of");
    if (err == OK)
        *inode = s.id.inode;
    if (fd >= 0)
        close(fd);
    close(dir);
    return err;
}
