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
#include "txn/file_item.h"

#include <stdio.h>
#include <string.h>

enum {
    MODE_FILE = 0644,
    MODE_DIRECTORY = 0755,
};

/* ---- looking ---- */

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
    char shown[FILE_SHOWN];

    return fail(why, ERR_BADARG, "\"%s\" is a directory", file_show(path, shown));
}

/* As file_look, for what must be a file, or nothing. */
static enum err look_file(struct txn *t, struct bytes path, enum lock_mode mode, struct file_item *out,
                          struct failure *why)
{
    enum err err = file_look(t, path, mode, out, why);

    if (err == OK && (file_item_is_directory(out) || (!out->present && made_directory(t, path))))
        return refuse_directory(path, why);
    return err;
}

/* ---- changing ---- */

static enum err make_way(struct txn *t, struct bytes path, const struct file_way *way, struct failure *why)
{
    struct file_image directory = { .kind = FILE_DIRECTORY, .mode = MODE_DIRECTORY };
    enum err err = OK;

    for (size_t i = 0; i < way->count && err == OK; i++)
        err = file_change(t, bytes_of(path.data, way->missing[i]), &directory, why);
    return err;
}

static enum err change_file(struct txn *t, struct bytes path, const struct file_way *way, const struct file_image *to,
                            struct failure *why)
{
    enum err err = make_way(t, path, way, why);

    return err == OK ? file_change(t, path, to, why) : err;
}

/* ---- beginning ---- */

static enum err check_path(struct bytes path, struct failure *why)
{
    char shown[FILE_SHOWN];
    const char *fault;

    if (file_path_valid(path, false, &fault))
        return OK;
    return fail(why, ERR_BADARG, "\"%s\" names no file: %s", file_show(path, shown), fault);
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

enum err txn_file_stat(struct txn *t, struct bytes path, enum lock_mode mode, struct txn_file *out, struct failure *why)
{
    int64_t begun_ns = t->history.begun_us * 1000;
    enum err err = enter(t, path, why);
    struct file_item seen;

    if (err == OK)
        err = file_look(t, path, mode, &seen, why);
    if (err != OK)
        return err;
    if (!seen.present && made_directory(t, path)) {
        *out = (struct txn_file){ .directory = true, .mtime_ns = begun_ns };
        return OK;
    }
    if (!seen.present)
        return ERR_ABSENT;
    *out = (struct txn_file){ .directory = file_item_is_directory(&seen), .mtime_ns = seen.image.mtime_ns };
    if (!out->directory)
        out->size = file_image_size(&seen.image);
    if (file_item_is_changed(&seen))
        out->mtime_ns = begun_ns;
    return OK;
}

enum err txn_file_read(struct txn *t, struct bytes path, uint64_t offset, size_t len, struct bytes *data,
                       uint64_t *size, struct failure *why)
{
    enum err err = enter(t, path, why);
    struct file_item seen;

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
    char shown[FILE_SHOWN];
    const char *fault;

    if (directory.len > 0 && !file_path_valid(directory, true, &fault))
        return fail(why, ERR_BADARG, "\"%s\" names no directory: %s", file_show(directory, shown), fault);
    return txn_scan_items(t, RESOURCE_FILE, directory, from, count_max, page, why);
}

/* ---- writing ---- */

/* After what the path holds now, or in place of it. */
static enum err write_file(struct txn *t, struct bytes path, struct bytes data, bool append, struct failure *why)
{
    enum err err = enter_to_change(t, path, data.len, why);
    struct file_image image = { .kind = FILE_NEW, .mode = MODE_FILE };
    uint64_t inode = 0, stage;
    struct file_item seen;
    struct file_way way;

    if (err == OK)
        err = file_look_way(t, path, &way, why);
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
    struct file_item seen;

    if (err == OK)
        err = look_file(t, path, LOCK_EXCLUSIVE, &seen, why);
    if (err != OK)
        return err;
    return seen.present ? file_change(t, path, NULL, why) : ERR_ABSENT;
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
    char a[FILE_SHOWN], b[FILE_SHOWN];

    if (bytes_equal(root_of(t, from), root_of(t, to)))
        return OK;
    return fail(why, ERR_BADARG, "\"%s\" and \"%s\" are in different roots: write the one and remove the other",
                file_show(from, a), file_show(to, b));
}

enum err txn_file_rename(struct txn *t, struct bytes from, struct bytes to, struct failure *why)
{
    enum err err = enter_to_change(t, from, 0, why);
    char origin[FILE_PATH_MAX];
    struct file_image image;
    struct file_item seen;
    struct file_way way;

    if (err == OK)
        err = check_path(to, why);
    if (err == OK)
        err = check_roots(t, from, to, why);
    if (err == OK)
        err = file_look_way(t, to, &way, why);
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
    return err == OK ? file_change(t, from, NULL, why) : err;
}
