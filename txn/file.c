/*
 * Files: operations on paths. A file's image says what the path holds, never the content, which is staged at once
 * (stage.c) and read where it lies; so a file costs the manager no more than a small value, and everything else, locks,
 * undo records, marks, early writes, is as for any item. What must be done at the commit is in apply.c.
 *
 *  1. Whatever must be waited for is done first: locks, images, staging. Then all effects are made at once.
 *  2. A directory and a file of one name are two items. Who makes one has locked the other exclusively, and seen that
 *     nothing is there.
 *  3. Directories on the way to what is written are locked shared; they stay while it is.
 *  4. An append goes on in the stage file of the path's own image, behind what that counts: so going back to a mark needs
 *     no more than the older image.
 */
#include "txn/file.h"

#include "lib/check.h"
#include "txn/inside.h"

#include <stdio.h>
#include <string.h>

enum {
    MODE_FILE = 0644,
    MODE_DIRECTORY = 0755,
    PATH_SHOWN = 200, /* bytes of a path in a message */
};

/* What a path holds, as this transaction sees it. */
struct seen {
    bool present;
    struct file_image image; /* origin is borrowed from the reached entry */
};

/* Directories on the way that are to be made: so many bytes of the path each. */
struct way {
    size_t missing[FILE_DEPTH_MAX], count;
};

static const char *show(struct bytes path, char out[PATH_SHOWN]) { return bytes_show(path, out, PATH_SHOWN); }

/* ---- looking ---- */

static enum err damaged(struct txn *t, struct bytes path, struct failure *why)
{
    char shown[PATH_SHOWN];

    txn_doom(t, ERR_STORAGE, "what is stored about file \"%s\" is damaged", show(path, shown));
    return fail(why, t->failure.err, "%s", t->failure.text);
}

/* The lock is had: the entry was reached, if only to wait for its image. */
static bool has_reached(const struct txn *t, struct bytes path)
{
    struct bytes item = t->reached == NULL ? bytes_of(NULL, 0) : t->reached->node.key;

    return item.len > 0 && item_resource(item) == RESOURCE_FILE && bytes_equal(item_key(item), path);
}

static enum err look(struct txn *t, struct bytes path, enum lock_mode mode, struct seen *out, struct failure *why)
{
    enum err err = txn_reach(t, RESOURCE_FILE, path, mode, why);

    if ((err == OK || err == ERR_WAIT) && has_reached(t, path) && files_keep(t, why) != OK)
        return t->failure.err;
    if (err != OK)
        return err;
    *out = (struct seen){ .present = t->reached->value != NULL };
    if (out->present && !file_image_read(blob_bytes(t->reached->value), &out->image))
        return damaged(t, path, why);
    return OK;
}

static bool is_directory(const struct seen *s) { return s->present && s->image.kind == FILE_DIRECTORY; }

/* This transaction has made a directory of that name. */
static bool made_directory(struct txn *t, struct bytes path)
{
    char text[FILE_PATH_MAX + 1];
    struct kv_entry *e;

    if (path.len >= FILE_PATH_MAX)
        return false;
    memcpy(text, path.data, path.len);
    text[path.len] = '/';
    e = kv_find(&t->m->kv, item_name(t->m, RESOURCE_FILE, bytes_of(text, path.len + 1)));
    return e != NULL && e->known && e->value != NULL && map_find(&t->files->used, e->node.key) != NULL;
}

static enum err refuse_directory(struct bytes path, struct failure *why)
{
    char shown[PATH_SHOWN];

    return fail(why, ERR_BADARG, "\"%s\" is a directory", show(path, shown));
}

/* The same for what must be a file, or nothing. */
static enum err look_file(struct txn *t, struct bytes path, enum lock_mode mode, struct seen *out, struct failure *why)
{
    enum err err = look(t, path, mode, out, why);

    if (err == OK && (is_directory(out) || (!out->present && made_directory(t, path))))
        return refuse_directory(path, why);
    return err;
}

/* What is to be a directory and is not there must be nothing else, now and until the end. */
static enum err look_missing(struct txn *t, struct bytes path, struct failure *why)
{
    struct bytes name = bytes_of(path.data, path.len - 1);
    char shown[PATH_SHOWN];
    struct seen seen;
    enum err err = look(t, path, LOCK_EXCLUSIVE, &seen, why);

    if (err == OK)
        err = look(t, name, LOCK_EXCLUSIVE, &seen, why);
    if (err == OK && seen.present && !is_directory(&seen))
        return fail(why, ERR_BADARG, "\"%s\" is a file, not a directory", show(name, shown));
    return err;
}

/* The directories above the path. */
static enum err look_way(struct txn *t, struct bytes path, struct way *way, struct failure *why)
{
    const char *text = path.data;
    struct seen seen;
    enum err err = OK;

    way->count = 0;
    for (size_t i = 0; i + 1 < path.len && err == OK; i++) {
        struct bytes above = bytes_of(text, i + 1);
        if (text[i] != '/')
            continue;
        err = look(t, above, LOCK_SHARED, &seen, why);
        if (err != OK || seen.present)
            continue;
        CHECK(way->count < FILE_DEPTH_MAX);
        way->missing[way->count++] = i + 1;
        err = look_missing(t, above, why);
    }
    return err;
}

/* ---- changing ---- */

/* The path, which is locked and was looked at. */
static enum err change(struct txn *t, struct bytes path, const struct file_image *to, struct failure *why)
{
    struct seen seen;
    struct buf image;
    enum err err = OK;

    buf_init(&image, FILE_IMAGE_MAX);
    if (to != NULL && !file_image_add(&image, to))
        err = txn_no_memory(t, why);
    if (err == OK)
        err = look(t, path, LOCK_EXCLUSIVE, &seen, why);
    CHECK(err != ERR_WAIT);
    if (err == OK)
        err = to == NULL ? txn_change(t, NULL, why) : txn_change_to(t, buf_bytes(&image), why);
    buf_fini(&image);
    return err;
}

static enum err make_way(struct txn *t, struct bytes path, const struct way *way, struct failure *why)
{
    struct file_image directory = { .kind = FILE_DIRECTORY, .mode = MODE_DIRECTORY };
    enum err err = OK;

    for (size_t i = 0; i < way->count && err == OK; i++)
        err = change(t, bytes_of(path.data, way->missing[i]), &directory, why);
    return err;
}

static enum err change_file(struct txn *t, struct bytes path, const struct way *way, const struct file_image *to,
                            struct failure *why)
{
    enum err err = make_way(t, path, way, why);

    return err == OK ? change(t, path, to, why) : err;
}

/* ---- beginning ---- */

static enum err check_path(struct bytes path, struct failure *why)
{
    char shown[PATH_SHOWN];
    const char *fault;

    if (file_path_valid(path, false, &fault))
        return OK;
    return fail(why, ERR_BADARG, "\"%s\" names no file: %s", show(path, shown), fault);
}

static enum err enter(struct txn *t, struct bytes path, struct failure *why)
{
    enum err err = txn_enter(t, why);

    scan_close(t);
    if (err == OK)
        err = check_path(path, why);
    return err == OK ? files_open(t, why) : err;
}

/* len: bytes that it brings. */
static enum err enter_to_change(struct txn *t, struct bytes path, size_t len, struct failure *why)
{
    enum err err = enter(t, path, why);

    if (err == OK && len > t->m->options.value_max)
        return fail(why, ERR_LIMIT, "at most %llu bytes are written at once, these are %zu",
                    (unsigned long long)t->m->options.value_max, len);
    return err == OK ? txn_room(t, why) : err;
}

/* ---- reading ---- */

static bool is_changed(const struct file_image *i)
{
    return i->kind == FILE_NEW || i->kind == FILE_KEPT || i->stage != 0 || i->cut;
}

enum err txn_file_stat(struct txn *t, struct bytes path, enum lock_mode mode, struct txn_file *out, struct failure *why)
{
    int64_t begun_ns = t->history.begun_us * 1000;
    enum err err = enter(t, path, why);
    struct seen seen;

    if (err == OK)
        err = look(t, path, mode, &seen, why);
    if (err != OK)
        return err;
    if (!seen.present && made_directory(t, path)) {
        *out = (struct txn_file){ .directory = true, .mtime_ns = begun_ns };
        return OK;
    }
    if (!seen.present)
        return ERR_ABSENT;
    *out = (struct txn_file){ .directory = is_directory(&seen), .mtime_ns = seen.image.mtime_ns };
    if (!out->directory)
        out->size = file_image_size(&seen.image);
    if (is_changed(&seen.image))
        out->mtime_ns = begun_ns;
    return OK;
}

enum err txn_file_read(struct txn *t, struct bytes path, uint64_t offset, size_t len, struct bytes *data,
                       uint64_t *size, struct failure *why)
{
    enum err err = enter(t, path, why);
    struct seen seen;

    if (err == OK && len > t->m->options.value_max)
        return fail(why, ERR_LIMIT, "at most %llu bytes are read at once, this asks for %zu",
                    (unsigned long long)t->m->options.value_max, len);
    if (err == OK)
        err = look_file(t, path, LOCK_SHARED, &seen, why);
    if (err != OK)
        return err;
    if (!seen.present)
        return ERR_ABSENT;
    *data = bytes_of(NULL, 0);
    if (len > 0 && offset < file_image_size(&seen.image))
        err = stage_read(t, path, blob_bytes(t->reached->value), offset, len, data, why);
    if (err == OK)
        *size = file_image_size(&seen.image);
    return err;
}

enum err txn_file_list(struct txn *t, struct bytes directory, struct bytes from, size_t count_max,
                       struct txn_page *page, struct failure *why)
{
    char shown[PATH_SHOWN];
    const char *fault;

    if (directory.len > 0 && !file_path_valid(directory, true, &fault))
        return fail(why, ERR_BADARG, "\"%s\" names no directory: %s", show(directory, shown), fault);
    return txn_scan_items(t, RESOURCE_FILE, directory, from, count_max, page, why);
}

/* ---- writing ---- */

/* After what the path holds now, or in place of it. */
static enum err write_file(struct txn *t, struct bytes path, struct bytes data, bool append, struct failure *why)
{
    enum err err = enter_to_change(t, path, data.len, why);
    struct file_image image = { .kind = FILE_NEW, .mode = MODE_FILE };
    uint64_t inode = 0, stage;
    struct seen seen;
    struct way way;

    if (err == OK)
        err = look_way(t, path, &way, why);
    if (err == OK)
        err = look_file(t, path, LOCK_EXCLUSIVE, &seen, why);
    if (err != OK || (append && seen.present && data.len == 0))
        return err;
    if (seen.present)
        image.mode = seen.image.mode;
    if (append && seen.present)
        image = seen.image;
    stage = image.stage != 0 ? image.stage : t->files->stages + 1;
    err = stage_write(t, path, stage, image.stage_len, data, &inode, why);
    if (err != OK)
        return err;
    if (image.stage == 0)
        t->files->stages = image.stage = stage;
    if (image.kind == FILE_NEW)
        image.inode = inode;
    image.stage_len += data.len;
    return change_file(t, path, &way, &image, why);
}

enum err txn_file_write(struct txn *t, struct bytes path, struct bytes data, struct failure *why)
{
    return write_file(t, path, data, false, why);
}

enum err txn_file_append(struct txn *t, struct bytes path, struct bytes data, struct failure *why)
{
    return write_file(t, path, data, true, why);
}

enum err txn_file_remove(struct txn *t, struct bytes path, struct failure *why)
{
    enum err err = enter_to_change(t, path, 0, why);
    struct seen seen;

    if (err == OK)
        err = look_file(t, path, LOCK_EXCLUSIVE, &seen, why);
    if (err != OK)
        return err;
    return seen.present ? change(t, path, NULL, why) : ERR_ABSENT;
}

static struct bytes root_of(const struct txn *t, struct bytes path)
{
    const char *slash = memchr(path.data, '/', path.len);
    struct bytes first = bytes_of(path.data, slash == NULL ? 0 : (size_t)(slash - (const char *)path.data));

    for (size_t i = 0; i < t->m->options.root_count; i++)
        if (bytes_equal(first, bytes_str(t->m->root_names[i])))
            return first;
    return bytes_of(NULL, 0);
}

static enum err check_roots(const struct txn *t, struct bytes from, struct bytes to, struct failure *why)
{
    char a[PATH_SHOWN], b[PATH_SHOWN];

    if (bytes_equal(root_of(t, from), root_of(t, to)))
        return OK;
    return fail(why, ERR_BADARG, "\"%s\" and \"%s\" are in different roots: write the one and remove the other",
                show(from, a), show(to, b));
}

enum err txn_file_rename(struct txn *t, struct bytes from, struct bytes to, struct failure *why)
{
    enum err err = enter_to_change(t, from, 0, why);
    char origin[FILE_PATH_MAX];
    struct file_image image;
    struct seen seen;
    struct way way;

    if (err == OK)
        err = check_path(to, why);
    if (err == OK)
        err = check_roots(t, from, to, why);
    if (err == OK)
        err = look_way(t, to, &way, why);
    if (err == OK)
        err = look_file(t, to, LOCK_EXCLUSIVE, &seen, why);
    if (err == OK)
        err = look_file(t, from, LOCK_EXCLUSIVE, &seen, why);
    if (err != OK || !seen.present)
        return err == OK ? ERR_ABSENT : err;
    if (bytes_equal(from, to))
        return OK;
    image = seen.image;
    if (image.origin.len > 0)
        memcpy(origin, image.origin.data, image.origin.len);
    image.origin = bytes_of(origin, image.origin.len);
    err = change_file(t, to, &way, &image, why);
    return err == OK ? change(t, from, NULL, why) : err;
}

/* ---- taking back what was committed (T9) ---- */

static bool same_size(const struct file_image *a, const struct file_image *b)
{
    return file_image_size(a) == file_image_size(b);
}

/* An append, or one that is taken back, may have been made in another inode: which, only the disk knows. */
static bool is_pieced(const struct file_image *i) { return i->stage != 0 || i->cut; }

/* now is what came of the image `made` when that was committed: the same file, if it was left alone. */
static bool came_of(const struct file_image *now, const struct file_image *made)
{
    if (made->kind == FILE_DIRECTORY || now->kind == FILE_DIRECTORY)
        return made->kind == now->kind;
    if (!same_size(now, made) || now->inode != made->inode)
        return false;
    return made->kind == FILE_NEW || is_pieced(made) || now->cut || now->mtime_ns == made->mtime_ns;
}

static enum err refuse_changed(struct bytes path, uint64_t of_txn, struct failure *why)
{
    char shown[PATH_SHOWN];

    show(path, shown);
    return fail(why, ERR_CONFLICT,
                "file \"%s\" no longer is what transaction %llu made of it; look with BLAME %s FILE: if no transaction "
                "changed it, somebody else than graftd did",
                shown, (unsigned long long)of_txn, shown);
}

/* What takes back an effect from before to after, where now is seen. */
static struct file_image image_back(const struct file_image *before, const struct file_image *after,
                                    const struct seen *now, uint64_t of_txn, uint64_t seq, struct bytes path)
{
    struct file_image back = *before;

    if (before->kind == FILE_DIRECTORY)
        return back;
    if (after->stage != 0 && after->kind == before->kind && after->inode == before->inode) {
        /* it was written behind the file: what was before is the beginning of what is now, and may not be kept */
        back = now->image;
        back.mode = before->mode;
        back.cut = true;
        back.size = before->size;
        return back;
    }
    back.kind = FILE_KEPT;
    back.kept_txn = of_txn;
    back.kept_seq = seq;
    back.origin = path;
    return back;
}

struct effect_images {
    struct file_image before, after;
};

static bool read_effect(const struct store_effect *e, struct effect_images *out)
{
    *out = (struct effect_images){ 0 };
    return (!e->before.present || (file_image_read(e->before.value, &out->before) && out->before.stage == 0)) &&
           (!e->after.present || file_image_read(e->after.value, &out->after));
}

/* All locks for it, and what the path holds now. */
static enum err look_back(struct txn *t, struct bytes path, struct seen *now, struct failure *why)
{
    bool directory = ((const char *)path.data)[path.len - 1] == '/';
    struct way way;
    enum err err = look_way(t, path, &way, why);

    if (err == OK && way.count > 0)
        return fail(why, ERR_CONFLICT, "its directory is gone");
    if (err == OK && directory)
        err = look_missing(t, path, why);
    return err == OK ? look(t, path, LOCK_EXCLUSIVE, now, why) : err;
}

static enum err enter_back(struct txn *t, struct bytes path, struct failure *why)
{
    enum err err = txn_enter(t, why);
    const char *fault;

    if (err == OK && !file_path_valid(path, false, &fault) && !file_path_valid(path, true, &fault))
        return damaged(t, path, why);
    if (err == OK)
        err = txn_room(t, why);
    return err == OK ? files_open(t, why) : err;
}

/* The same size in another inode. */
static bool may_be_alike(const struct file_image *now, const struct file_image *made)
{
    return now->kind != FILE_DIRECTORY && made->kind != FILE_DIRECTORY && same_size(now, made) &&
           now->inode != made->inode;
}

/* ERR_CONFLICT: it is not what was made. */
static enum err check_made(struct txn *t, struct bytes path, const struct seen *now, const struct store_effect *e,
                           const struct file_image *made, bool *alike, struct failure *why)
{
    struct file_image newest;
    struct image after;
    enum err err;

    if (now->present != e->after.present)
        return ERR_CONFLICT;
    if (!now->present || came_of(&now->image, made))
        return OK;
    if (!may_be_alike(&now->image, made))
        return ERR_CONFLICT;
    *alike = true;
    if (is_changed(&now->image))
        return OK; /* by this transaction, which has looked at what stands */
    err = stage_newest(t, path, &after, why);
    if (err != OK)
        return err;
    if (!after.present || !file_image_read(after.value, &newest))
        return ERR_CONFLICT;
    return came_of(&now->image, &newest) || (is_pieced(&newest) && same_size(&now->image, &newest)) ? OK : ERR_CONFLICT;
}

/* A directory goes when nothing is in it: what others have put there is not on record as built on it. */
static enum err check_empty(struct txn *t, struct bytes directory, uint64_t of_txn, struct failure *why)
{
    char shown[PATH_SHOWN], inside[PATH_SHOWN];
    struct txn_page page;
    enum err err = txn_scan_items(t, RESOURCE_FILE, directory, bytes_of(NULL, 0), 1, &page, why);

    if (err != OK || page.count == 0)
        return err;
    return fail(why, ERR_CONFLICT,
                "directory \"%s\", which transaction %llu made, has \"%s\" in it by now; that goes first",
                show(directory, shown), (unsigned long long)of_txn, show(page.items[0].key, inside));
}

/* The file came back to what it was within its transaction. That is on record, for who builds on it, and so is this. */
static enum err change_nothing(struct txn *t, struct failure *why)
{
    struct blob *same = blob_ref(t->reached->value);
    enum err err = txn_change(t, same, why);

    if (err != OK)
        blob_drop(&same);
    return err;
}

enum err txn_file_put_back(struct txn *t, uint64_t of_txn, uint64_t seq, const struct store_effect *e, bool *alike,
                           struct failure *why)
{
    enum err err = enter_back(t, e->key, why);
    struct effect_images images;
    struct file_image back;
    struct seen now;

    if (err == OK && !read_effect(e, &images))
        err = damaged(t, e->key, why);
    if (err != OK)
        return err;
    err = look_back(t, e->key, &now, NULL);
    if (err == ERR_BADARG || err == ERR_CONFLICT)
        return t->failure.err != OK ? fail(why, err, "%s", t->failure.text) : refuse_changed(e->key, of_txn, why);
    if (err != OK)
        return err == ERR_WAIT ? err : fail(why, err, "%s", t->failure.text);
    err = check_made(t, e->key, &now, e, &images.after, alike, why);
    if (err != OK)
        return err == ERR_CONFLICT && t->failure.err == OK ? refuse_changed(e->key, of_txn, why) : err;
    if (e->before.present == e->after.present && bytes_equal(e->before.value, e->after.value))
        return change_nothing(t, why);
    if (!e->before.present && images.after.kind == FILE_DIRECTORY && (err = check_empty(t, e->key, of_txn, why)) != OK)
        return err;
    if (!e->before.present)
        return change(t, e->key, NULL, why);
    back = image_back(&images.before, &images.after, &now, of_txn, seq, e->key);
    return change(t, e->key, &back, why);
}
