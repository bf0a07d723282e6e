#include "graftctl/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_SIZE = 64 * 1024 };

/* The next piece into out, at most what fits; one byte more than fits is ERR_LIMIT. *n: as read(2) has it. */
static enum err read_piece(int fd, struct buf *out, ssize_t *n)
{
    size_t left = out->max - buf_len(out);
    uint8_t *room, extra;
    enum err err;

    if (left == 0) {
        *n = read(fd, &extra, 1);
        return *n > 0 ? ERR_LIMIT : OK;
    }
    if (left > READ_SIZE)
        left = READ_SIZE;
    err = buf_reserve(out, left, &room);
    if (err == OK && (*n = read(fd, room, left)) > 0)
        buf_wrote(out, (size_t)*n);
    return err;
}

enum err file_load(const char *path, struct buf *out, struct failure *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = 1;
    enum err err = OK;

    if (fd < 0)
        return fail(why, ERR_BADARG, "cannot read %s: %s", path, strerror(errno));
    while (err == OK && (n > 0 || (n < 0 && errno == EINTR)))
        err = read_piece(fd, out, &n);
    if (err == ERR_LIMIT)
        fail(why, err, "%s has more than the %zu bytes that it may have", path, out->max);
    else if (err != OK)
        fail(why, err, "out of memory for %s", path);
    else if (n != 0)
        err = fail(why, ERR_BADARG, "cannot read %s: %s", path, strerror(errno));
    close(fd);
    return err;
}

/* Closes fd. */
static enum err write_all(int fd, const char *path, struct bytes content, struct failure *why)
{
    const char *p = content.data;
    size_t left = content.len;
    ssize_t n = 0;

    while (left > 0 && ((n = write(fd, p, left)) >= 0 || errno == EINTR)) {
        p += n > 0 ? n : 0;
        left -= n > 0 ? (size_t)n : 0;
    }
    if (left == 0 && close(fd) == 0)
        return OK;
    fail(why, ERR_BADARG, "cannot write %s: %s", path, strerror(errno));
    if (left > 0)
        close(fd);
    return ERR_BADARG;
}

static enum err refuse(const char *path, struct failure *why)
{
    return fail(why, ERR_BADARG, "cannot write %s: %s", path, strerror(errno));
}

static mode_t mode_by_umask(mode_t mode)
{
    mode_t mask = umask(0);

    umask(mask);
    return mode & ~mask;
}

enum err file_save(const char *path, struct bytes content, struct failure *why)
{
    struct stat st;
    char *beside;
    int fd;
    enum err err;

    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        fd = open(path, O_WRONLY | O_CLOEXEC);
        return fd < 0 ? refuse(path, why) : write_all(fd, path, content, why);
    }
    if (asprintf(&beside, "%s.XXXXXX", path) < 0)
        return fail(why, ERR_NOMEM, "out of memory for %s", path);
    fd = mkostemp(beside, O_CLOEXEC);
    err = fd < 0 ? refuse(path, why) : OK;
    if (err == OK) {
        fchmod(fd, mode_by_umask(0666));
        err = write_all(fd, path, content, why);
        if (err == OK && rename(beside, path) != 0)
            err = refuse(path, why);
        if (err != OK)
            unlink(beside);
    }
    free(beside);
    return err;
}

enum err file_create(const char *path, struct bytes content, unsigned mode, struct failure *why)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);

    return fd < 0 ? refuse(path, why) : write_all(fd, path, content, why);
}
