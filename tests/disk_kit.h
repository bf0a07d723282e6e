/*
 * What the tests of files on disk share: a directory with a standard root and a root "r", and a transaction told in the
 * words of a client (write, append, remove, …), of which come the net changes that files_apply() takes and the tree that
 * must be there afterwards.
 */
#ifndef GRAFTD_TESTS_DISK_KIT_H
#define GRAFTD_TESTS_DISK_KIT_H

#include "lib/check.h"
#include "txn/file_disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DISK_KIT_PATHS = 64, DISK_KIT_TEXT = 4096, DISK_KIT_LINES = 1024 };

/* A path that the transaction changed. */
struct disk_kit_path {
    char path[FILE_PATH_MAX + 1];
    bool had, has;
    struct file_image before, after;
    char origin[FILE_PATH_MAX + 1]; /* of after */
    char text[DISK_KIT_TEXT];
    uint64_t seq;
};

struct disk_kit {
    char top[64]; /* top/files is the standard root, top/r the root r */
    struct file_disk *disk;
    uint64_t txn, stages, seqs;
    struct disk_kit_path paths[DISK_KIT_PATHS];
    size_t path_count;
    struct file_change changes[DISK_KIT_PATHS];
    size_t change_count;
};

/* Where a path is for everybody else. One of four buffers, in turn. */
static inline const char *disk_kit_real(const struct disk_kit *k, const char *path)
{
    static char out[4][FILE_PATH_MAX + 128];
    static unsigned turn;
    char *o = out[turn++ % 4];

    snprintf(o, sizeof out[0], "%s/%s%s", k->top, strncmp(path, "r/", 2) == 0 ? "" : "files/", path);
    return o;
}

static inline void disk_kit_reopen(struct disk_kit *k)
{
    char standard[128], r[128];
    struct file_root root = { "r", r };
    struct failure why = { 0 };

    snprintf(standard, sizeof standard, "%s/files", k->top);
    snprintf(r, sizeof r, "%s/r", k->top);
    file_disk_close(&k->disk);
    if (file_disk_open(standard, &root, 1, true, &k->disk, &why) != OK)
        fprintf(stderr, "%s\n", why.text);
    CHECK(k->disk != NULL);
}

static inline int disk_kit_rm(const char *path, const struct stat *s, int type, struct FTW *f)
{
    (void)s, (void)type, (void)f;
    return remove(path);
}

static inline void disk_kit_fini(struct disk_kit *k)
{
    file_disk_close(&k->disk);
    nftw(k->top, disk_kit_rm, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void disk_kit_begin(struct disk_kit *k, uint64_t txn)
{
    k->txn = txn;
    k->stages = k->seqs = 0;
    k->path_count = k->change_count = 0;
}

static inline void disk_kit_init(struct disk_kit *k)
{
    char r[128];

    memset(k, 0, sizeof *k);
    snprintf(k->top, sizeof k->top, "%s/graftd-disk-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    CHECK(mkdtemp(k->top) != NULL);
    snprintf(r, sizeof r, "%s/r", k->top);
    CHECK(mkdir(r, 0755) == 0);
    disk_kit_reopen(k);
    disk_kit_begin(k, 7);
}

/* ---- the tree, as others make it ---- */

static inline void disk_kit_age(const char *real, int seconds)
{
    struct timespec t[2] = { { .tv_sec = 1000000000 + seconds, .tv_nsec = 123456789 },
                             { .tv_sec = 1000000000 + seconds, .tv_nsec = 123456789 } };

    CHECK(utimensat(AT_FDCWD, real, t, AT_SYMLINK_NOFOLLOW) == 0);
}

static inline void disk_kit_put(const struct disk_kit *k, const char *path, const char *text, mode_t mode)
{
    const char *real = disk_kit_real(k, path);
    int fd = open(real, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    CHECK(fd >= 0);
    CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    CHECK(fchmod(fd, mode) == 0);
    close(fd);
    disk_kit_age(real, (int)strlen(path));
}

static inline void disk_kit_dir(const struct disk_kit *k, const char *path)
{
    CHECK(mkdir(disk_kit_real(k, path), 0755) == 0);
}

/* Directories get times that nothing else has. */
static inline int disk_kit_age_one(const char *path, const struct stat *s, int type, struct FTW *f)
{
    (void)s;
    if (type == FTW_D || type == FTW_DP)
        disk_kit_age(path, 1000 + f->level);
    return 0;
}
static inline void disk_kit_age_all(const struct disk_kit *k)
{
    nftw(k->top, disk_kit_age_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- the transaction ---- */

static inline struct disk_kit_path *disk_kit_find(struct disk_kit *k, const char *path)
{
    for (size_t i = 0; i < k->path_count; i++)
        if (strcmp(k->paths[i].path, path) == 0)
            return &k->paths[i];
    return NULL;
}

static inline void disk_kit_read(const struct disk_kit *k, struct disk_kit_path *p)
{
    int fd = open(disk_kit_real(k, p->path), O_RDONLY);

    CHECK(fd >= 0);
    CHECK(read(fd, p->text, sizeof p->text - 1) >= 0);
    close(fd);
}

static inline struct disk_kit_path *disk_kit_at(struct disk_kit *k, const char *path)
{
    struct disk_kit_path *p = disk_kit_find(k, path);
    enum err err;

    if (p != NULL)
        return p;
    CHECK(k->path_count < DISK_KIT_PATHS);
    p = &k->paths[k->path_count++];
    memset(p, 0, sizeof *p);
    snprintf(p->path, sizeof p->path, "%s", path);
    p->seq = k->seqs++;
    err = files_stat(k->disk, bytes_str(p->path), &p->before, NULL);
    CHECK(err == OK || err == ERR_ABSENT || err == ERR_BADARG);
    p->had = p->has = err == OK && (p->before.kind == FILE_DIRECTORY) == (path[strlen(path) - 1] == '/');
    p->after = p->before;
    snprintf(p->origin, sizeof p->origin, "%s", path);
    if (p->had && p->before.kind == FILE_STANDING)
        disk_kit_read(k, p);
    return p;
}

static inline void disk_kit_mkdir(struct disk_kit *k, const char *path)
{
    struct disk_kit_path *p = disk_kit_at(k, path);

    if (p->has)
        return;
    p->has = true;
    p->after = (struct file_image){ .kind = FILE_DIRECTORY, .mode = 0755 };
}

static inline void disk_kit_parents(struct disk_kit *k, const char *path)
{
    char parent[FILE_PATH_MAX + 1];

    for (const char *s = strchr(path, '/'); s != NULL && s[1] != '\0'; s = strchr(s + 1, '/')) {
        snprintf(parent, sizeof parent, "%.*s", (int)(s + 1 - path), path);
        if (strcmp(parent, "r/") != 0)
            disk_kit_mkdir(k, parent);
    }
}

static inline uint64_t disk_kit_stage(struct disk_kit *k, const char *path, uint64_t stage, uint64_t offset,
                                      const char *text)
{
    struct failure why = { 0 };
    uint64_t inode = 0;

    if (files_stage(k->disk, k->txn, bytes_str(path), stage, offset, bytes_str(text), &inode, &why) != OK)
        fprintf(stderr, "%s\n", why.text);
    CHECK(why.err == OK);
    return inode;
}

static inline void disk_kit_write(struct disk_kit *k, const char *path, const char *text)
{
    struct disk_kit_path *p;
    uint64_t stage = ++k->stages, inode = disk_kit_stage(k, path, stage, 0, text);

    disk_kit_parents(k, path);
    p = disk_kit_at(k, path);
    p->after = (struct file_image){ .kind = FILE_NEW,
                                    .mode = p->had ? p->before.mode : 0644,
                                    .inode = inode,
                                    .stage = stage,
                                    .stage_len = strlen(text) };
    p->has = true;
    p->origin[0] = '\0';
    snprintf(p->text, sizeof p->text, "%s", text);
}

static inline void disk_kit_append(struct disk_kit *k, const char *path, const char *text)
{
    struct disk_kit_path *p = disk_kit_at(k, path);
    size_t len = strlen(p->text);

    if (!p->has) {
        disk_kit_write(k, path, text);
        return;
    }
    CHECK(len + strlen(text) < sizeof p->text);
    if (p->after.stage == 0)
        p->after.stage = ++k->stages;
    disk_kit_stage(k, path, p->after.stage, p->after.stage_len, text);
    p->after.stage_len += strlen(text);
    snprintf(p->text + len, sizeof p->text - len, "%s", text);
}

static inline void disk_kit_remove(struct disk_kit *k, const char *path)
{
    struct disk_kit_path *p = disk_kit_at(k, path);

    CHECK(p->has);
    p->has = false;
    p->text[0] = '\0';
    memset(&p->after, 0, sizeof p->after);
}

static inline void disk_kit_rename(struct disk_kit *k, const char *from, const char *to)
{
    struct disk_kit_path *f, *t;

    disk_kit_parents(k, to);
    f = disk_kit_at(k, from);
    t = disk_kit_at(k, to);
    CHECK(f->has);
    t->after = f->after;
    memcpy(t->origin, f->origin, sizeof t->origin);
    memcpy(t->text, f->text, sizeof t->text);
    t->has = true;
    disk_kit_remove(k, from);
}

/* What transaction txn kept of the path `origin` as its record seq, of that text. */
static inline void disk_kit_keep(struct disk_kit *k, const char *path, const char *origin, uint64_t txn, uint64_t seq,
                                 const struct file_image *of, const char *text)
{
    struct disk_kit_path *p;

    disk_kit_parents(k, path);
    p = disk_kit_at(k, path);
    p->after = *of;
    p->after.kind = FILE_KEPT;
    p->after.kept_txn = txn;
    p->after.kept_seq = seq;
    p->has = true;
    snprintf(p->origin, sizeof p->origin, "%s", origin);
    snprintf(p->text, sizeof p->text, "%s", text);
}

enum { DISK_KIT_CUT_TIME = 999999999 }; /* seconds */
static inline void disk_kit_cut(struct disk_kit *k, const char *path, uint64_t size)
{
    struct disk_kit_path *p = disk_kit_at(k, path);

    p->after.cut = true;
    p->after.size = size;
    p->after.mtime_ns = DISK_KIT_CUT_TIME * 1000000000LL + 7;
    p->text[size] = '\0';
}

/* The net changes, by seq. */
static inline void disk_kit_end(struct disk_kit *k)
{
    k->change_count = 0;
    for (size_t i = 0; i < k->path_count; i++) {
        struct disk_kit_path *p = &k->paths[i];
        bool base = p->after.kind == FILE_STANDING || p->after.kind == FILE_KEPT;
        if (!p->had && !p->has)
            continue;
        if (p->before.kind == FILE_STANDING)
            p->before.origin = bytes_str(p->path);
        p->after.origin = base ? bytes_str(p->origin) : bytes_of(NULL, 0);
        k->changes[k->change_count++] =
            (struct file_change){ bytes_str(p->path), p->had ? &p->before : NULL, p->has ? &p->after : NULL, p->seq };
    }
}

static inline enum err disk_kit_apply(struct disk_kit *k, struct failure *why)
{
    return files_apply(k->disk, k->txn, k->changes, k->change_count, why);
}

static inline enum err disk_kit_undo(struct disk_kit *k, struct failure *why)
{
    return files_undo(k->disk, k->txn, k->changes, k->change_count, why);
}

/* ---- the tree, as it is ---- */

static struct buf *disk_kit_out; /* of nftw's function */

static inline int disk_kit_see(const char *path, const struct stat *s, int type, struct FTW *f)
{
    char text[DISK_KIT_TEXT] = "";
    int fd;

    (void)type, (void)f;
    if (strcmp(strrchr(path, '/'), "/.graftd") == 0)
        return 0;
    if (S_ISREG(s->st_mode)) {
        fd = open(path, O_RDONLY);
        CHECK(fd >= 0 && read(fd, text, sizeof text - 1) >= 0);
        close(fd);
    }
    CHECK(buf_addf(disk_kit_out, "%s %o %llu %lld.%09ld %lld %s\n", path, s->st_mode, (unsigned long long)s->st_ino,
                   (long long)s->st_mtim.tv_sec, s->st_mtim.tv_nsec, S_ISREG(s->st_mode) ? (long long)s->st_size : 0,
                   text) == OK);
    return 0;
}

static inline int disk_kit_line_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All there is, a line each: path, mode, inode, mtime, size, text. Owned. .graftd itself is not told, what is in it is. */
static inline char *disk_kit_tree(const struct disk_kit *k)
{
    char *lines[DISK_KIT_LINES], *out;
    size_t count = 0, at = 0;
    struct buf b;

    buf_init(&b, 1 << 24);
    disk_kit_out = &b;
    CHECK(nftw(k->top, disk_kit_see, 16, FTW_PHYS) == 0);
    CHECK(buf_add(&b, "", 1) == OK);
    for (char *s = strtok((char *)b.data, "\n"); s != NULL && count < DISK_KIT_LINES; s = strtok(NULL, "\n"))
        lines[count++] = s;
    qsort(lines, count, sizeof lines[0], disk_kit_line_compare);
    out = calloc(1, b.len + count + 1);
    CHECK(out != NULL);
    for (size_t i = 0; i < count; i++)
        at += (size_t)sprintf(out + at, "%s\n", lines[i]);
    buf_fini(&b);
    return out;
}

/* Whether that path holds what it must after the transaction. Of "a" and "a/" the other one may be there. */
static inline bool disk_kit_path_right(const struct disk_kit *k, const struct disk_kit_path *p,
                                       char text[DISK_KIT_TEXT])
{
    bool directory = p->path[strlen(p->path) - 1] == '/', right;
    char real[FILE_PATH_MAX + 128];
    struct stat s;
    int fd;

    snprintf(real, sizeof real, "%s", disk_kit_real(k, p->path));
    real[strlen(real) - directory] = '\0';
    if (lstat(real, &s) != 0 || S_ISDIR(s.st_mode) != directory)
        return !p->has;
    if (!p->has || directory)
        return p->has;
    fd = open(real, O_RDONLY);
    right = read(fd, text, DISK_KIT_TEXT - 1) >= 0 && strcmp(text, p->text) == 0 &&
            (s.st_mode & 07777) == p->after.mode && (!p->after.cut || s.st_mtim.tv_sec == DISK_KIT_CUT_TIME);
    close(fd);
    return right;
}

static inline bool disk_kit_is_after(const struct disk_kit *k)
{
    for (size_t i = 0; i < k->path_count; i++) {
        char text[DISK_KIT_TEXT] = "";
        if (disk_kit_path_right(k, &k->paths[i], text))
            continue;
        fprintf(stderr, "%s is not as it must be: \"%s\", not \"%s\"\n", k->paths[i].path, text,
                k->paths[i].has ? k->paths[i].text : "(nothing)");
        return false;
    }
    return true;
}

#endif
