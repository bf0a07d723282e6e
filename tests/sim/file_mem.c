#include "tests/sim/file_mem.h"

#include "lib/check.h"

#include <stdlib.h>
#include <string.h>

struct inode { /* counted: paths, kept ones and stage files refer to it */
    size_t refs;
    uint64_t number;
    bool directory;
    uint32_t mode;
    int64_t mtime_ns;
    char *data; /* owned */
    size_t len;
};

struct entry {
    struct bytes path; /* owned; a directory's ends in / */
    struct inode *inode;
};

struct stage {
    uint64_t txn, number;
    struct inode *inode;
};

enum kept_kind { KEPT_NOTHING, KEPT_INODE, KEPT_LENGTH };

struct kept { /* what a path held before; in the order in which it was changed */
    uint64_t txn, seq;
    struct bytes path; /* owned */
    enum kept_kind kind;
    struct inode *inode; /* KEPT_INODE */
    size_t len;          /* KEPT_LENGTH: appended in place to what was so long, and of that time */
    int64_t mtime_ns;
};

struct file_mem {
    struct entry *entries; /* in byte order */
    size_t count, cap;
    struct stage *stages;
    size_t stage_count, stage_cap;
    struct kept *kept;
    size_t kept_count, kept_cap;
    uint64_t inode_last;
    int64_t now_ns;
};

static struct bytes own(struct bytes b)
{
    char *copy = bytes_dup(b);

    CHECK(copy != NULL);
    return bytes_of(copy, b.len);
}

static void disown(struct bytes b) { free((void *)(uintptr_t)b.data); }

static void *grow(void *array, size_t count, size_t *cap, size_t size)
{
    if (count < *cap)
        return array;
    *cap = *cap == 0 ? 16 : 2 * *cap;
    array = reallocarray(array, *cap, size);
    CHECK(array != NULL);
    return array;
}

/* --- inodes --- */

static struct inode *inode_new(struct file_mem *m, bool directory, uint32_t mode, struct bytes data)
{
    struct inode *i = calloc(1, sizeof *i);

    CHECK(i != NULL);
    m->now_ns += 1000000;
    *i = (struct inode){ .refs = 1,
                         .number = ++m->inode_last,
                         .directory = directory,
                         .mode = mode,
                         .mtime_ns = m->now_ns,
                         .len = data.len,
                         .data = bytes_dup(data) };
    CHECK(i->data != NULL);
    return i;
}

static struct inode *inode_ref(struct inode *i)
{
    i->refs++;
    return i;
}

static void inode_drop(struct inode *i)
{
    if (i == NULL || --i->refs > 0)
        return;
    free(i->data);
    free(i);
}

/* The content is the first at bytes, then these. */
static void inode_write(struct file_mem *m, struct inode *i, size_t at, struct bytes data)
{
    CHECK(at <= i->len);
    i->data = realloc(i->data, at + data.len + 1);
    CHECK(i->data != NULL);
    if (data.len > 0)
        memcpy(i->data + at, data.data, data.len);
    i->len = at + data.len;
    m->now_ns += 1000000;
    i->mtime_ns = m->now_ns;
}

/* --- the tree --- */

struct file_mem *file_mem_new(void)
{
    struct file_mem *m = calloc(1, sizeof *m);

    CHECK(m != NULL);
    return m;
}

void file_mem_free(struct file_mem **out)
{
    struct file_mem *m = *out;

    for (size_t i = 0; i < m->count; i++) {
        disown(m->entries[i].path);
        inode_drop(m->entries[i].inode);
    }
    for (size_t i = 0; i < m->stage_count; i++)
        inode_drop(m->stages[i].inode);
    for (size_t i = 0; i < m->kept_count; i++) {
        disown(m->kept[i].path);
        inode_drop(m->kept[i].inode);
    }
    free(m->entries);
    free(m->stages);
    free(m->kept);
    free(m);
    *out = NULL;
}

static size_t seek(const struct file_mem *m, struct bytes path)
{
    size_t i = 0;

    while (i < m->count && bytes_compare(m->entries[i].path, path) < 0)
        i++;
    return i;
}

static struct inode *find(const struct file_mem *m, struct bytes path)
{
    size_t i = seek(m, path);

    return i < m->count && bytes_equal(m->entries[i].path, path) ? m->entries[i].inode : NULL;
}

/* Takes the reference; NULL: nothing is there. */
static void set(struct file_mem *m, struct bytes path, struct inode *inode)
{
    size_t i = seek(m, path);
    bool there = i < m->count && bytes_equal(m->entries[i].path, path);

    if (there)
        inode_drop(m->entries[i].inode);
    if (there && inode != NULL) {
        m->entries[i].inode = inode;
    } else if (there) {
        disown(m->entries[i].path);
        memmove(&m->entries[i], &m->entries[i + 1], (--m->count - i) * sizeof m->entries[0]);
    } else if (inode != NULL) {
        m->entries = grow(m->entries, m->count, &m->cap, sizeof m->entries[0]);
        memmove(&m->entries[i + 1], &m->entries[i], (m->count++ - i) * sizeof m->entries[0]);
        m->entries[i] = (struct entry){ own(path), inode };
    }
}

static bool is_directory(struct bytes path) { return path.len > 0 && ((const char *)path.data)[path.len - 1] == '/'; }

/* The same path as a directory's, or without that; in out. */
static struct bytes other_form(struct bytes path, char out[FILE_PATH_MAX + 2])
{
    CHECK(path.len <= FILE_PATH_MAX);
    memcpy(out, path.data, path.len);
    out[path.len] = '/';
    return bytes_of(out, is_directory(path) ? path.len - 1 : path.len + 1);
}

/* The directory that the path is in; empty: the root. */
static struct bytes parent_of(struct bytes path)
{
    size_t n = is_directory(path) ? path.len - 1 : path.len;

    while (n > 0 && ((const char *)path.data)[n - 1] != '/')
        n--;
    return bytes_of(path.data, n);
}

static struct file_image image_of(const struct inode *i, struct bytes path)
{
    return i->directory ? (struct file_image){ .kind = FILE_DIRECTORY,
                                               .mode = i->mode,
                                               .inode = i->number,
                                               .mtime_ns = i->mtime_ns,
                                               .origin = path }
                        : (struct file_image){ .kind = FILE_STANDING,
                                               .mode = i->mode,
                                               .inode = i->number,
                                               .size = i->len,
                                               .mtime_ns = i->mtime_ns,
                                               .origin = path };
}

/* OK unless something on the way is a file. */
static enum err check_way(const struct file_mem *m, struct bytes path, struct failure *why)
{
    char name[FILE_PATH_MAX + 2];

    for (path = parent_of(path); path.len > 0; path = parent_of(path))
        if (find(m, other_form(path, name)) != NULL)
            return fail(why, ERR_BADARG, "a file is in the way");
    return OK;
}

enum err file_mem_stat(struct file_mem *m, struct bytes path, struct file_image *i, struct failure *why)
{
    char name[FILE_PATH_MAX + 2];
    struct inode *inode = find(m, path), *other = find(m, other_form(path, name));
    enum err err = check_way(m, path, why);

    if (err != OK)
        return err;
    if (inode == NULL && other != NULL && is_directory(path))
        return fail(why, ERR_BADARG, "a file is where a directory must be");
    inode = inode == NULL ? other : inode;
    if (inode == NULL)
        return ERR_ABSENT;
    *i = image_of(inode, path);
    return OK;
}

enum err file_mem_list(struct file_mem *m, struct bytes directory, struct bytes from, size_t max,
                       enum err (*visit)(struct bytes path, const struct file_image *i, void *user), void *user,
                       bool *more)
{
    size_t n = 0;
    enum err err = OK;

    *more = false;
    if (directory.len > 0 && find(m, directory) == NULL)
        return ERR_ABSENT;
    for (size_t i = 0; i < m->count && err == OK; i++) {
        struct entry *e = &m->entries[i];
        struct file_image image = image_of(e->inode, e->path);
        if (!bytes_equal(parent_of(e->path), directory) || bytes_compare(e->path, from) < 0)
            continue;
        *more = n == max;
        if (*more)
            break;
        n++;
        err = visit(e->path, &image, user);
    }
    return err;
}

/* --- content on its way --- */

static struct stage *stage_find(const struct file_mem *m, uint64_t txn, uint64_t number)
{
    for (size_t i = 0; i < m->stage_count; i++)
        if (m->stages[i].txn == txn && m->stages[i].number == number)
            return &m->stages[i];
    return NULL;
}

void file_mem_stage(struct file_mem *m, uint64_t txn, uint64_t number, uint64_t offset, struct bytes data,
                    uint64_t *inode)
{
    struct stage *s = stage_find(m, txn, number);

    CHECK(number > 0);
    if (s == NULL) {
        m->stages = grow(m->stages, m->stage_count, &m->stage_cap, sizeof m->stages[0]);
        s = &m->stages[m->stage_count++];
        *s = (struct stage){ txn, number, inode_new(m, false, 0644, bytes_of(NULL, 0)) };
    }
    inode_write(m, s->inode, (size_t)offset, data);
    *inode = s->inode->number;
}

static struct kept *kept_find(const struct file_mem *m, uint64_t txn, uint64_t seq)
{
    for (size_t i = 0; i < m->kept_count; i++)
        if (m->kept[i].txn == txn && m->kept[i].seq == seq)
            return &m->kept[i];
    return NULL;
}

/* What an image is made of without what is staged; NULL: a new file. */
static enum err base_of(const struct file_mem *m, const struct file_image *i, struct inode **out, struct failure *why)
{
    struct kept *kept;

    *out = NULL;
    if (i->kind == FILE_STANDING)
        *out = find(m, i->origin);
    if (i->kind == FILE_KEPT) {
        kept = kept_find(m, i->kept_txn, i->kept_seq);
        *out = kept == NULL ? NULL : kept->inode;
    }
    if (i->kind == FILE_NEW)
        return OK;
    if (*out == NULL || (*out)->directory || (i->cut ? (*out)->len < i->size : (*out)->len != i->size) ||
        (!i->cut && i->kind == FILE_STANDING && (*out)->number != i->inode))
        return fail(why, ERR_CONFLICT, "the file is not the one that it was");
    return OK;
}

/* The whole content of an image, owned by the caller. */
static enum err content_of(const struct file_mem *m, uint64_t txn, const struct file_image *i, struct buf *out,
                           struct failure *why)
{
    struct inode *base;
    struct stage *s = i->stage == 0 ? NULL : stage_find(m, txn, i->stage);
    enum err err = base_of(m, i, &base, why);

    if (err != OK)
        return err;
    CHECK(i->stage_len == 0 || (s != NULL && s->inode->len >= i->stage_len));
    buf_init(out, SIZE_MAX / 2);
    if (base != NULL)
        CHECK(buf_add(out, base->data, (size_t)i->size) == OK);
    if (i->stage_len > 0)
        CHECK(buf_add(out, s->inode->data, (size_t)i->stage_len) == OK);
    return OK;
}

enum err file_mem_read(struct file_mem *m, uint64_t txn, const struct file_image *i, uint64_t offset, size_t len,
                       struct buf *out, struct failure *why)
{
    struct buf all;
    enum err err = content_of(m, txn, i, &all, why);

    if (err != OK)
        return err;
    if (offset < buf_len(&all)) {
        buf_consume(&all, (size_t)offset);
        CHECK(buf_add(out, buf_bytes(&all).data, buf_len(&all) < len ? buf_len(&all) : len) == OK);
    }
    buf_fini(&all);
    return OK;
}

/* --- all or nothing --- */

struct step {             /* of one change */
    struct inode *result; /* a reference; NULL: nothing is to be there, or it is changed in place */
    bool in_place;
    struct buf content; /* in place: all of it */
};

/* What stands is what the change says: by inode, where that can be known beforehand. */
static bool as_before(const struct file_mem *m, const struct file_change *c)
{
    const struct file_image *b = c->before;
    char name[FILE_PATH_MAX + 2];
    struct inode *i = find(m, c->path);

    if (b == NULL)
        return i == NULL && find(m, other_form(c->path, name)) == NULL;
    if (i == NULL || i->directory != (b->kind == FILE_DIRECTORY))
        return false;
    if (i->directory)
        return true;
    if (i->len != file_image_size(b))
        return false;
    return b->kind != FILE_STANDING || b->cut || b->stage_len > 0 ||
           (i->number == b->inode && i->mtime_ns == b->mtime_ns);
}

static bool is_plain(const struct file_image *i) { return i->stage_len == 0 && !i->cut; }

static enum err step_make(struct file_mem *m, uint64_t txn, const struct file_change *c, struct step *s,
                          struct failure *why)
{
    const struct file_image *a = c->after;
    struct inode *base;
    enum err err;

    if (a == NULL)
        return OK;
    if (a->kind == FILE_DIRECTORY) {
        s->result = inode_new(m, true, a->mode, bytes_of(NULL, 0));
        return OK;
    }
    err = content_of(m, txn, a, &s->content, why);
    if (err != OK)
        return err;
    base_of(m, a, &base, NULL);
    if (base != NULL && is_plain(a)) {
        s->result = inode_ref(base);
    } else if (base != NULL && base->refs == 1 && !a->cut && a->kind == FILE_STANDING &&
               bytes_equal(a->origin, c->path)) {
        s->in_place = true;
    } else if (base == NULL && a->stage != 0) {
        s->result = inode_ref(stage_find(m, txn, a->stage)->inode);
        if (s->result->len != a->stage_len)
            inode_write(m, s->result, (size_t)a->stage_len, bytes_of(NULL, 0));
        s->result->mode = a->mode;
    } else {
        s->result = inode_new(m, false, a->mode, buf_bytes(&s->content));
    }
    return OK;
}

static void step_do(struct file_mem *m, uint64_t txn, const struct file_change *c, struct step *s)
{
    struct inode *now = find(m, c->path);
    struct kept k = { .txn = txn, .seq = c->seq, .path = own(c->path) };

    if (s->in_place) {
        k.kind = KEPT_LENGTH;
        k.len = now->len;
        k.mtime_ns = now->mtime_ns;
        inode_write(m, now, 0, buf_bytes(&s->content));
    } else {
        k.kind = now == NULL ? KEPT_NOTHING : KEPT_INODE;
        k.inode = now == NULL ? NULL : inode_ref(now);
        set(m, c->path, s->result);
        s->result = NULL;
    }
    m->kept = grow(m->kept, m->kept_count, &m->kept_cap, sizeof m->kept[0]);
    m->kept[m->kept_count++] = k;
}

/* Everything is in a directory. */
static bool tree_is_whole(const struct file_mem *m)
{
    for (size_t i = 0; i < m->count; i++) {
        struct bytes parent = parent_of(m->entries[i].path);
        if (parent.len > 0 && find(m, parent) == NULL)
            return false;
    }
    return true;
}

enum err file_mem_apply(struct file_mem *m, uint64_t txn, const struct file_change *changes, size_t count,
                        struct failure *why)
{
    struct step *steps = calloc(count + 1, sizeof *steps);
    enum err err = OK;

    CHECK(steps != NULL);
    for (size_t i = 0; i < count && err == OK; i++)
        err = as_before(m, &changes[i]) ? step_make(m, txn, &changes[i], &steps[i], why)
                                        : fail(why, ERR_CONFLICT, "somebody else than graftd changed a file meanwhile");
    for (size_t i = 0; i < count && err == OK; i++)
        step_do(m, txn, &changes[i], &steps[i]);
    for (size_t i = 0; i < count; i++) {
        inode_drop(steps[i].result);
        buf_fini(&steps[i].content);
    }
    free(steps);
    if (err == OK && !tree_is_whole(m)) {
        file_mem_undo(m, txn);
        err = fail(why, ERR_CONFLICT, "a directory is not there, or not empty");
    }
    return err;
}

static void kept_drop(struct file_mem *m, size_t at)
{
    disown(m->kept[at].path);
    inode_drop(m->kept[at].inode);
    memmove(&m->kept[at], &m->kept[at + 1], (--m->kept_count - at) * sizeof m->kept[0]);
}

void file_mem_undo(struct file_mem *m, uint64_t txn)
{
    for (size_t i = m->kept_count; i > 0; i--) {
        struct kept *k = &m->kept[i - 1];
        struct inode *now = find(m, k->path);
        if (k->txn != txn)
            continue;
        if (k->kind == KEPT_LENGTH) {
            CHECK(now != NULL);
            inode_write(m, now, k->len, bytes_of(NULL, 0));
            now->mtime_ns = k->mtime_ns;
        } else {
            set(m, k->path, k->inode == NULL ? NULL : inode_ref(k->inode));
        }
        kept_drop(m, i - 1);
    }
    CHECK(tree_is_whole(m));
}

void file_mem_end(struct file_mem *m, uint64_t txn)
{
    for (size_t i = m->stage_count; i > 0; i--) {
        if (m->stages[i - 1].txn != txn)
            continue;
        inode_drop(m->stages[i - 1].inode);
        m->stages[i - 1] = m->stages[--m->stage_count];
    }
    for (size_t i = m->kept_count; i > 0; i--)
        if (m->kept[i - 1].txn == txn && m->kept[i - 1].kind != KEPT_INODE)
            kept_drop(m, i - 1);
}

void file_mem_sweep(struct file_mem *m, bool (*known)(uint64_t txn, void *user), void *user)
{
    while (m->stage_count > 0)
        inode_drop(m->stages[--m->stage_count].inode);
    for (size_t i = m->kept_count; i > 0; i--)
        if (!known(m->kept[i - 1].txn, user))
            kept_drop(m, i - 1);
}

/* --- for tests --- */

bool file_mem_content(const struct file_mem *m, struct bytes path, struct bytes *content)
{
    struct inode *i = find(m, path);

    if (i == NULL || i->directory)
        return false;
    *content = bytes_of(i->data, i->len);
    return true;
}

bool file_mem_has_directory(const struct file_mem *m, struct bytes path)
{
    CHECK(is_directory(path));
    return find(m, path) != NULL;
}

size_t file_mem_count(const struct file_mem *m) { return m->count; }
size_t file_mem_stage_count(const struct file_mem *m) { return m->stage_count; }
size_t file_mem_kept_count(const struct file_mem *m) { return m->kept_count; }

void file_mem_put(struct file_mem *m, struct bytes path, struct bytes content)
{
    for (struct bytes parent = parent_of(path); parent.len > 0; parent = parent_of(parent))
        if (find(m, parent) == NULL)
            set(m, parent, inode_new(m, true, 0755, bytes_of(NULL, 0)));
    set(m, path, inode_new(m, false, 0644, content));
}

void file_mem_remove(struct file_mem *m, struct bytes path)
{
    set(m, path, NULL);
    CHECK(tree_is_whole(m));
}
