/* A path holds again what it held before a committed transaction (T9), if it holds what that made of it. */
#include "txn/file_item.h"

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
    char shown[FILE_SHOWN];

    file_show(path, shown);
    return fail(why, ERR_CONFLICT,
                "file \"%s\" no longer is what transaction %llu made of it; look with BLAME %s FILE: if no transaction "
                "changed it, somebody else than graftd did",
                shown, (unsigned long long)of_txn, shown);
}

/* What takes back an effect from before to after, where now is seen. */
static struct file_image image_back(const struct file_image *before, const struct file_image *after,
                                    const struct file_item *now, uint64_t of_txn, uint64_t seq, struct bytes path)
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
static enum err look_back(struct txn *t, struct bytes path, struct file_item *now, struct failure *why)
{
    bool directory = ((const char *)path.data)[path.len - 1] == '/';
    struct file_way way;
    enum err err = file_look_way(t, path, &way, why);

    if (err == OK && way.count > 0)
        return fail(why, ERR_CONFLICT, "its directory is gone");
    if (err == OK && directory)
        err = file_look_missing(t, path, why);
    return err == OK ? file_look(t, path, LOCK_EXCLUSIVE, now, why) : err;
}

static enum err enter_back(struct txn *t, struct bytes path, struct failure *why)
{
    enum err err = txn_enter(t, why);
    const char *fault;

    if (err == OK && !file_path_valid(path, false, &fault) && !file_path_valid(path, true, &fault))
        return file_damaged(t, path, why);
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
static enum err check_made(struct txn *t, struct bytes path, const struct file_item *now, const struct store_effect *e,
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
    if (file_item_is_changed(now))
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
    char shown[FILE_SHOWN], inside[FILE_SHOWN];
    struct txn_page page;
    enum err err = txn_scan_items(t, RESOURCE_FILE, directory, bytes_of(NULL, 0), 1, &page, why);

    if (err != OK || page.count == 0)
        return err;
    return fail(why, ERR_CONFLICT,
                "directory \"%s\", which transaction %llu made, has \"%s\" in it by now; that goes first",
                file_show(directory, shown), (unsigned long long)of_txn, file_show(page.items[0].key, inside));
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
    struct file_item now;

    if (err == OK && !read_effect(e, &images))
        err = file_damaged(t, e->key, why);
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
        return file_change(t, e->key, NULL, why);
    back = image_back(&images.before, &images.after, &now, of_txn, seq, e->key);
    return file_change(t, e->key, &back, why);
}
