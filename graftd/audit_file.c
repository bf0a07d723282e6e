#include "graftd/audit_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char file_name[] = "audit.log";

static int open_at(int data_fd)
{
    int fd = openat(data_fd, file_name, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    struct stat st;

    if (fd < 0)
        return -1;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() && st.st_nlink == 1)
        return fd;
    close(fd);
    errno = EINVAL;
    return -1;
}

/* A crash, or a full disk, left half a line. */
static bool is_torn(int fd)
{
    struct stat st;
    char last = '\n';

    return fstat(fd, &st) == 0 && st.st_size > 0 && pread(fd, &last, 1, st.st_size - 1) == 1 && last != '\n';
}

enum err audit_file_open(struct audit_file *f, int data_fd, struct failure *why)
{
    *f = (struct audit_file){ .data_fd = data_fd, .fd = open_at(data_fd) };
    if (f->fd < 0)
        return fail(why, ERR_STORAGE, "cannot write %s in the data directory: %s", file_name,
                    errno == EINVAL || errno == ELOOP ? "it is not a plain file of ours" : strerror(errno));
    f->torn = is_torn(f->fd);
    return OK;
}

void audit_file_close(struct audit_file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
}

int audit_file_reopen(struct audit_file *f)
{
    int fd = open_at(f->data_fd);

    if (fd < 0)
        return errno;
    audit_file_close(f);
    f->fd = fd;
    f->torn = is_torn(fd);
    return 0;
}

static uint64_t lines_in(struct bytes text)
{
    const char *p = text.data;
    uint64_t n = 0;

    for (size_t i = 0; i < text.len; i++)
        n += p[i] == '\n';
    return n;
}

/* Some of it, or -1. */
static ssize_t append(struct audit_file *f, struct bytes text)
{
    ssize_t n;

    if (f->torn && write(f->fd, "\n", 1) != 1)
        return -1;
    f->torn = false;
    n = write(f->fd, text.data, text.len);
    if (n > 0)
        f->torn = ((const char *)text.data)[n - 1] != '\n';
    return n;
}

uint64_t audit_file_write(struct audit_file *f, struct buf *lines, int *errnum)
{
    uint64_t lost = 0;

    while (buf_len(lines) > 0 && lost == 0) {
        ssize_t n = append(f, buf_bytes(lines));
        if (n < 0 && errno == EINTR)
            continue;
        if (n >= 0)
            buf_consume(lines, (size_t)n);
        if (n < 0 || f->torn) { /* cut short is a full disk; the half line counts as lost */
            *errnum = n < 0 ? errno : ENOSPC;
            lost = lines_in(buf_bytes(lines));
        }
    }
    buf_clear(lines);
    return lost;
}

enum err audit_file_tail(const struct audit_file *f, size_t count, struct buf *out)
{
    struct stat st;
    size_t want, begin = 0, lines = 0;
    uint8_t *room;
    ssize_t n;
    enum err err;

    if (fstat(f->fd, &st) != 0)
        return ERR_STORAGE;
    want = st.st_size < (off_t)out->max ? (size_t)st.st_size : out->max;
    err = buf_reserve(out, want, &room);
    if (err != OK)
        return err;
    n = pread(f->fd, room, want, st.st_size - (off_t)want);
    if (n < 0)
        return ERR_STORAGE;
    buf_wrote(out, (size_t)n);
    for (size_t i = (size_t)n; i > 0 && lines <= count; i--)
        if (room[i - 1] == '\n' && lines++ == count)
            begin = i;
    if (lines <= count && (off_t)want < st.st_size) /* the first of them is cut */
        while (begin < (size_t)n && room[begin++] != '\n')
            ;
    buf_consume(out, begin);
    return OK;
}
