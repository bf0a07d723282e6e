/*
 * files_undo(): what files_apply() did or began is taken back, from any point at which it, or an undo, was interrupted.
 * Each step asks the disk what is left to do, so that to do it again is to do the rest:
 *
 *  1. Without was nothing in the tree was touched: what was made ready goes, and that is all.
 *  2. Look at each deed. What stands at its path must be what was there before, or what we put there; else nothing is
 *     touched at all: ERR_UNKNOWN.
 *  3. Files that came go; directories that came go, inner first (not empty: somebody else uses it, it stays);
 *     directories that went come back, outer first; files that went or were replaced come back, by one rename each; what
 *     was appended is cut off.
 *  4. The touched directories get their times back. They are synced, and .graftd/<txn>.
 *  5. What was made ready and what is kept twice goes, then was, then .graftd/<txn>.
 */
#include "txn/file_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SHOWN_MAX = 120 };

/* What is left to do about a deed. */
enum todo { NOTHING, TAKE_AWAY /* what we put there */, PUT_BACK /* old.<seq> */, CUT };

static enum err unknown(const struct work *w, const struct deed *d, const char *what, struct failure *why)
{
    char shown[SHOWN_MAX];

    return fail(why, ERR_UNKNOWN,
                "%s in the root %.150s %s, and transaction %llu cannot be taken back there; move it away, or remove "
                ".graftd/%llu in that root to leave all files as they are, then start graftd again",
                bytes_show(d->rel, shown, sizeof shown), w->root->path, what, (unsigned long long)w->txn,
                (unsigned long long)w->txn);
}

static enum err keep_look(const struct work *w, const char *what, const struct deed *d, struct seen *s,
                          struct failure *why)
{
    char name[KEEP_NAME_MAX];

    if (seen_at(w->dir, keep_name(name, what, d->seq), s) != 0)
        return file_fail(why, errno, d->rel, "look at what is kept of");
    return OK;
}

static bool is_ours(const struct deed *d, const struct seen *s)
{
    if (d->directory)
        return s->kind == SEEN_DIRECTORY && s->id.inode == d->after.inode;
    return s->kind == SEEN_FILE && file_id_equal(&s->id, &d->after);
}

static bool is_free(const struct seen *s) { return s->kind == SEEN_NOTHING || s->kind == SEEN_BLOCKED; }

/* put.<seq> is gone: it went to its path. */
static enum err placed_left(const struct work *w, const struct deed *d, const struct seen *s, enum todo *todo,
                            struct failure *why)
{
    if (is_ours(d, s))
        *todo = TAKE_AWAY;
    else if (is_free(s) || d->directory)
        *todo = NOTHING;
    else if (s->kind == SEEN_DIRECTORY && work_find(w, d->rel, DEED_REMOVE, true) != NULL)
        *todo = NOTHING; /* the directory that stood here is back */
    else
        return unknown(w, d, "was changed by somebody else", why);
    return OK;
}

static enum err replaced_left(const struct work *w, const struct deed *d, const struct seen *s, enum todo *todo,
                              struct failure *why)
{
    struct seen old;
    enum err err = keep_look(w, "old", d, &old, why);

    if (err == OK && old.kind == SEEN_NOTHING)
        return unknown(w, d, "lost what is kept of it", why);
    if (err == OK && !is_ours(d, s) && s->kind != SEEN_NOTHING)
        return unknown(w, d, "was changed by somebody else", why);
    *todo = PUT_BACK;
    return err;
}

static enum err appended_left(const struct work *w, const struct deed *d, const struct seen *s, enum todo *todo,
                              struct failure *why)
{
    *todo = NOTHING;
    if (d->unbegun || file_id_equal(&s->id, &d->before))
        return OK;
    if (s->kind != SEEN_FILE || s->id.inode != d->before.inode || s->id.size < d->before.size ||
        s->id.size > d->after.size)
        return unknown(w, d, "was changed by somebody else", why);
    *todo = CUT;
    return OK;
}

/* What the disk says is left to do. */
static enum err deed_left(const struct work *w, const struct deed *d, enum todo *todo, struct failure *why)
{
    struct spot spot = work_spot(w, d->rel);
    struct seen s, kept = { .kind = SEEN_NOTHING };
    enum err err = spot_look(&spot, &s, why);

    *todo = NOTHING;
    if (err == OK && d->kind != DEED_APPEND)
        err = keep_look(w, d->kind == DEED_REMOVE ? "old" : "put", d, &kept, why);
    if (err != OK)
        return err;
    if (d->kind == DEED_APPEND)
        return appended_left(w, d, &s, todo, why);
    if (d->kind == DEED_REMOVE) {
        *todo = kept.kind == SEEN_NOTHING ? NOTHING : PUT_BACK;
        return OK;
    }
    if (kept.kind != SEEN_NOTHING) /* it was never put there */
        return OK;
    if (d->kind == DEED_PLACE)
        return placed_left(w, d, &s, todo, why);
    if (s.kind == SEEN_FILE && s.id.inode == d->before.inode)
        return OK;
    return replaced_left(w, d, &s, todo, why);
}

/* ---- one deed each ---- */

static enum err take_away(const struct work *w, const struct deed *d, int parent, const char *name, struct failure *why)
{
    if (unlinkat(parent, name, d->directory ? AT_REMOVEDIR : 0) == 0)
        return OK;
    if (d->directory && (errno == ENOTEMPTY || errno == EEXIST))
        return OK;
    (void)w;
    return file_fail(why, errno, d->rel, "remove");
}

static enum err put_back(const struct work *w, const struct deed *d, int parent, const char *name, struct failure *why)
{
    char old[KEEP_NAME_MAX];
    struct seen s;

    if (seen_at(parent, name, &s) != 0)
        return file_fail(why, errno, d->rel, "look at");
    if (d->directory && s.kind == SEEN_DIRECTORY)
        return OK; /* somebody else made it again */
    if (s.kind != SEEN_NOTHING && (d->kind == DEED_REMOVE || !is_ours(d, &s)))
        return unknown(w, d, "is there again, made by somebody else", why);
    if (renameat(w->dir, keep_name(old, "old", d->seq), parent, name) != 0)
        return file_fail(why, errno, d->rel, "put back");
    return OK;
}

static enum err cut(const struct work *w, const struct deed *d, struct failure *why)
{
    struct file_times times = file_times_of(d->before.mtime_ns);
    struct spot spot = work_spot(w, d->rel);
    struct seen s;
    int fd;
    enum err err = spot_open(&spot, O_WRONLY, &fd, &s, why);

    if (err != OK)
        return err;
    if (s.id.inode != d->before.inode || s.id.size < d->before.size || s.id.size > d->after.size)
        err = unknown(w, d, "was changed by somebody else", why);
    else if ((s.id.size > d->before.size && ftruncate(fd, (off_t)d->before.size) != 0) || futimens(fd, times.t) != 0 ||
             (w->d->sync && fsync(fd) != 0))
        err = file_fail(why, errno, d->rel, "cut what was appended to");
    close(fd);
    return err;
}

static enum err deed_undo(const struct work *w, const struct deed *d, struct failure *why)
{
    char name[FILE_NAME_MAX + 1];
    enum todo todo;
    int parent;
    enum err err = deed_left(w, d, &todo, why);

    if (err != OK || todo == NOTHING)
        return err;
    if (todo == CUT)
        return cut(w, d, why);
    parent = root_open_parent(w->root, d->rel, name);
    if (parent < 0)
        return file_fail(why, errno, d->rel, "take back the change of");
    err = todo == TAKE_AWAY ? take_away(w, d, parent, name, why) : put_back(w, d, parent, name, why);
    close(parent);
    return err;
}

/* ---- all ---- */

enum turn { CAME_FILES, CAME_DIRECTORIES, WENT_DIRECTORIES, WENT_FILES, TURN_COUNT };

static enum turn turn_of(const struct deed *d)
{
    if (d->kind == DEED_PLACE)
        return d->directory ? CAME_DIRECTORIES : CAME_FILES;
    return d->directory ? WENT_DIRECTORIES : WENT_FILES;
}

static enum err work_check(const struct work *w, struct failure *why)
{
    enum todo todo;
    enum err err = OK;

    for (size_t i = 0; i < w->deed_count && err == OK; i++)
        err = deed_left(w, &w->deeds[i], &todo, why);
    return err;
}

static enum err work_take_back(const struct work *w, struct failure *why)
{
    enum err err = OK;

    for (enum turn turn = 0; turn < TURN_COUNT; turn++)
        for (size_t i = 0; i < w->deed_count && err == OK; i++) {
            const struct deed *d = &w->deeds[turn == CAME_DIRECTORIES ? w->deed_count - 1 - i : i];
            if (turn_of(d) == turn)
                err = deed_undo(w, d, why);
        }
    return err;
}

/* A directory that is not graftd's keeps the time of its change: only its owner may set it. */
static enum err set_times(const struct work *w, struct failure *why)
{
    enum err err = OK;

    for (size_t i = 0; i < w->touched_count && err == OK; i++) {
        const struct touched *t = &w->touched[i];
        struct file_times times = file_times_of(t->mtime_ns);
        int fd = t->timed ? root_open(w->root, t->rel, O_RDONLY | O_DIRECTORY) : -1;
        if (t->timed && fd < 0 && !is_gone(errno))
            err = file_fail(why, errno, t->rel, "open the directory");
        else if (fd >= 0 && futimens(fd, times.t) != 0 && errno != EPERM)
            err = file_fail(why, errno, t->rel, "set the time of the directory");
        if (fd >= 0)
            close(fd);
    }
    return err;
}

static bool is_not_was(const char *name) { return keep_is_any(name) && strcmp(name, "was") != 0; }

static enum err work_clear(const struct work *w, bool (*drop)(const char *name), struct failure *why)
{
    bool left;

    if (keep_clear(w->dir, drop, &left) != 0 ||
        (drop == is_not_was && unlinkat(w->dir, "was", 0) != 0 && errno != ENOENT) ||
        keep_remove(w->root, w->txn) != 0 || (w->d->sync && fsync(w->root->keep) != 0))
        return file_fail(why, errno, bytes_str(w->root->path), "clear .graftd in");
    return OK;
}

/* old.<seq> is dropped where it is a second name of what stands: what a transaction that ended keeps is not. */
static enum err drop_links(const struct work *w, const struct file_change *changes, size_t count, struct failure *why)
{
    for (size_t i = 0; i < count; i++) {
        struct spot spot = spot_of(w->d, changes[i].path);
        char name[KEEP_NAME_MAX];
        struct seen s, old;
        enum err err;
        if (spot.root != w->root || changes[i].before == NULL)
            continue;
        if (seen_at(w->dir, keep_name(name, "old", changes[i].seq), &old) != 0)
            return file_fail(why, errno, changes[i].path, "look at what is kept of");
        err = old.kind == SEEN_FILE ? spot_look(&spot, &s, why) : OK;
        if (err != OK)
            return err;
        if (old.kind == SEEN_FILE && s.kind == SEEN_FILE && s.id.inode == old.id.inode &&
            unlinkat(w->dir, name, 0) != 0)
            return file_fail(why, errno, changes[i].path, "drop what is kept of");
    }
    return OK;
}

static enum err undo_unnoted(const struct work *w, const struct file_change *changes, size_t count, struct failure *why)
{
    enum err err = drop_links(w, changes, count, why);

    return err != OK ? err : work_clear(w, keep_is_passing, why);
}

static enum err undo_noted(const struct work *w, struct failure *why)
{
    enum err err = work_check(w, why);

    if (err == OK)
        err = work_take_back(w, why);
    if (err == OK)
        err = set_times(w, why);
    if (err == OK)
        err = work_sync(w, why);
    return err != OK ? err : work_clear(w, is_not_was, why);
}

enum err work_undo(struct work *w, const struct file_change *changes, size_t count, struct failure *why)
{
    return w->noted ? undo_noted(w, why) : undo_unnoted(w, changes, count, why);
}

/* In one root. */
static enum err root_undo(struct file_disk *d, struct root *r, uint64_t txn, const struct file_change *changes,
                          size_t count, struct failure *why)
{
    struct work w = { .d = d, .root = r, .txn = txn, .dir = keep_open(r, txn, false) };
    enum err err;

    if (w.dir < 0 && errno == ENOENT)
        return OK;
    if (w.dir < 0)
        return file_fail(why, errno, bytes_str(r->path), "open .graftd in");
    err = work_recall(&w, why);
    if (err == OK)
        err = work_undo(&w, changes, count, why);
    work_fini(&w);
    return err;
}

/* Roots are each for themselves: trouble in one keeps none of the others from being taken back. */
enum err files_undo(struct file_disk *d, uint64_t txn, const struct file_change *changes, size_t count,
                    struct failure *why)
{
    struct failure first = { 0 };

    d->changes++;
    for (size_t i = d->count; i-- > 0;) {
        struct failure f = { 0 };
        if (root_undo(d, &d->roots[i], txn, changes, count, &f) != OK && first.err == OK)
            first = f;
    }
    return first.err == OK ? OK : fail(why, ERR_UNKNOWN, "%s", first.text);
}
