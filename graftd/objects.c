#include "graftd/objects.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OBJECT_NAME_MAX = SHA256_HEX + 16 };

static void object_name(char out[OBJECT_NAME_MAX], const char *sha256)
{
    snprintf(out, OBJECT_NAME_MAX, "%s.graft", sha256);
}

static void remove_unfinished(int directory)
{
    int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *e;

    if (d == NULL) {
        if (fd >= 0)
            close(fd);
        return;
    }
    while ((e = readdir(d)) != NULL)
        if (strstr(e->d_name, ".new.") != NULL)
            unlinkat(directory, e->d_name, 0);
    closedir(d);
}

enum err objects_open(struct objects *o, int data, struct failure *why)
{
    if (mkdirat(data, "grafts", 0700) != 0 && errno != EEXIST)
        return fail(why, ERR_STORAGE, "cannot make the directory grafts: %s", strerror(errno));
    o->directory = openat(data, "grafts", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (o->directory < 0)
        return fail(why, ERR_STORAGE, "cannot open the directory grafts: %s", strerror(errno));
    remove_unfinished(o->directory);
    return OK;
}

void objects_close(struct objects *o)
{
    if (o->directory >= 0)
        close(o->directory);
    o->directory = -1;
}

static bool write_all(int fd, struct bytes b)
{
    const char *p = b.data;

    while (b.len > 0) {
        ssize_t n = write(fd, p, b.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        p += n;
        b.len -= (size_t)n;
    }
    return true;
}

enum err objects_put(const struct objects *o, const char *sha256, struct bytes content, int *fd, struct failure *why)
{
    char name[OBJECT_NAME_MAX], fresh[OBJECT_NAME_MAX + 32];
    struct failure missing = { 0 };
    unsigned long salt;
    int file;

    if (objects_get(o, sha256, fd, &missing) == OK)
        return OK;
    hash_random(&salt, sizeof salt);
    object_name(name, sha256);
    snprintf(fresh, sizeof fresh, "%.16s.new.%016lx", sha256, salt);
    file = openat(o->directory, fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400);
    if (file < 0)
        return fail(why, ERR_STORAGE, "cannot store the graft: %s", strerror(errno));
    if (!write_all(file, content) || fsync(file) != 0 || renameat(o->directory, fresh, o->directory, name) != 0 ||
        fsync(o->directory) != 0) {
        fail(why, ERR_STORAGE, "cannot store the graft: %s", strerror(errno));
        unlinkat(o->directory, fresh, 0);
        close(file);
        return why->err;
    }
    close(file);
    return objects_get(o, sha256, fd, why);
}

static enum err check_content(int file, const char *sha256, struct failure *why)
{
    char found[SHA256_HEX + 1];
    struct stat st;
    uint8_t *content;
    size_t at = 0, size;
    ssize_t n = 0;

    if (fstat(file, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size < 0 || st.st_size > OBJECT_SIZE_MAX)
        return fail(why, ERR_STORAGE, "the stored graft %.16s… is not a file of possible size", sha256);
    size = (size_t)st.st_size;
    content = malloc(size + 1);
    if (content == NULL)
        return fail(why, ERR_NOMEM, "no memory to check the stored graft");
    while (at < size && ((n = pread(file, content + at, size - at, (off_t)at)) > 0 || (n < 0 && errno == EINTR)))
        at += n > 0 ? (size_t)n : 0;
    hash_sha256(bytes_of(content, at), found);
    free(content);
    if (at != size || strcmp(found, sha256) != 0)
        return fail(why, ERR_STORAGE, "the stored graft %.16s… is damaged: its content does not match its name",
                    sha256);
    return OK;
}

enum err objects_get(const struct objects *o, const char *sha256, int *fd, struct failure *why)
{
    char name[OBJECT_NAME_MAX];
    int file;

    object_name(name, sha256);
    file = openat(o->directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (file < 0)
        return fail(why, ERR_STORAGE, "the stored graft %.16s… cannot be opened: %s", sha256, strerror(errno));
    if (check_content(file, sha256, why) != OK) {
        close(file);
        return why->err;
    }
    *fd = file;
    return OK;
}

enum err object_temporary(struct bytes content, int *fd, struct failure *why)
{
    int file = memfd_create("graft", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (file < 0)
        return fail(why, ERR_NOMEM, "cannot open the graft: %s", strerror(errno));
    if (!write_all(file, content) ||
        fcntl(file, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0) {
        close(file);
        return fail(why, ERR_NOMEM, "cannot open the graft: %s", strerror(errno));
    }
    *fd = file;
    return OK;
}
