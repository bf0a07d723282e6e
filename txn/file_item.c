#include "txn/file_item.h"

#include "lib/check.h"

#include <string.h>

const char *file_show(struct bytes path, char out[FILE_SHOWN]) { return bytes_show(path, out, FILE_SHOWN); }

bool file_item_is_changed(const struct file_item *f)
{
    const struct file_image *i = &f->image;

    return i->kind == FILE_NEW || i->kind == FILE_KEPT || i->stage != 0 || i->cut;
}

enum err file_damaged(struct txn *t, struct bytes path, struct failure *why)
{
    char shown[FILE_SHOWN];

    txn_doom(t, ERR_STORAGE, "what is stored about file \"%s\" is damaged", file_show(path, shown));
    return fail(why, t->failure.err, "%s", t->failure.text);
}

/* The lock is had: the entry was reached, if only to wait for its image. */
static bool has_reached(const struct txn *t, struct bytes path)
{
    struct bytes item = t->reached == NULL ? bytes_of(NULL, 0) : t->reached->node.key;

    return item.len > 0 && item_resource(item) == RESOURCE_FILE && bytes_equal(item_key(item), path);
}

enum err file_look(struct txn *t, struct bytes path, enum lock_mode mode, struct file_item *out, struct failure *why)
{
    enum err err = txn_reach(t, RESOURCE_FILE, path, mode, why);

    if ((err == OK || err == ERR_WAIT) && has_reached(t, path) && files_keep(t, why) != OK)
        return t->failure.err;
    if (err != OK)
        return err;
    *out = (struct file_item){ .present = t->reached->value != NULL };
    if (out->present && !file_image_read(blob_bytes(t->reached->value), &out->image))
        return file_damaged(t, path, why);
    return OK;
}

enum err file_look_missing(struct txn *t, struct bytes path, struct failure *why)
{
    struct bytes name = bytes_of(path.data, path.len - 1);
    char shown[FILE_SHOWN];
    struct file_item seen;
    enum err err = file_look(t, path, LOCK_EXCLUSIVE, &seen, why);

    if (err == OK)
        err = file_look(t, name, LOCK_EXCLUSIVE, &seen, why);
    if (err == OK && seen.present && !file_item_is_directory(&seen))
        return fail(why, ERR_BADARG, "\"%s\" is a file, not a directory", file_show(name, shown));
    return err;
}

enum err file_look_way(struct txn *t, struct bytes path, struct file_way *way, struct failure *why)
{
    const char *text = path.data;
    struct file_item seen;
    enum err err = OK;

    way->count = 0;
    for (size_t i = 0; i + 1 < path.len && err == OK; i++) {
        struct bytes above = bytes_of(text, i + 1);
        if (text[i] != '/')
            continue;
        err = file_look(t, above, LOCK_SHARED, &seen, why);
        if (err != OK || seen.present)
            continue;
        CHECK(way->count < FILE_DEPTH_MAX);
        way->missing[way->count++] = i + 1;
        err = file_look_missing(t, above, why);
    }
    return err;
}

enum err file_change(struct txn *t, struct bytes path, const struct file_image *to, struct failure *why)
{
    struct file_item seen;
    struct buf image;
    enum err err = OK;

    buf_init(&image, FILE_IMAGE_MAX);
    if (to != NULL && !file_image_add(&image, to))
        err = txn_no_memory(t, why);
    if (err == OK)
        err = file_look(t, path, LOCK_EXCLUSIVE, &seen, why);
    CHECK(err != ERR_WAIT);
    if (err == OK)
        err = to == NULL ? txn_change(t, NULL, why) : txn_change_to(t, buf_bytes(&image), why);
    buf_fini(&image);
    return err;
}
