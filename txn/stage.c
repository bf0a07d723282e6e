/*
 * What a transaction knows of files beside their images: those that it has used, pinned so that each looks the same to it
 * until its end, and the one request to the store that it waits for, which stages new content or reads some.
 *
 *  1. An operation that waits can be asked again, and finds its request by what it asked for; another operation lets it
 *     go. Whatever it staged then lies behind what any image counts, and is cut off by the next to stage there.
 *  2. Stage files are named after the transaction and go with it: at its commit, with STORE_UNDO, or by STORE_FILE_DROP.
 */
#include "txn/inside.h"

#include "lib/check.h"

#include <stdlib.h>
#include <string.h>

/* A file that was used. */
struct file_used {
    struct map_node node;
    struct kv_entry *entry; /* pinned; its name is the node's key */
};

struct stage_work {
    struct store_request request;
    struct txn_manager *m;
    struct txn *txn; /* NULL: it has gone, this ends when the store is through with it */
    bool busy;       /* the store has the request */
    bool delivered;  /* what was read was handed out */
    uint8_t text[];  /* path, then data */
};

/* ---- files that were used ---- */

enum err files_open(struct txn *t, struct failure *why)
{
    struct files *f = t->files;

    if (f != NULL)
        return OK;
    f = calloc(1, sizeof *f);
    if (f == NULL || map_init(&f->used) != OK) {
        free(f);
        return txn_no_memory(t, why);
    }
    t->files = f;
    return OK;
}

enum err files_keep(struct txn *t, struct failure *why)
{
    struct files *f = t->files;
    struct kv_entry *e = t->reached;
    struct file_used *used;

    if (map_find(&f->used, e->node.key) != NULL)
        return OK;
    if (f->used.count == FILE_USED_MAX) {
        txn_doom(t, ERR_LIMIT, "used more than %d files in one transaction. limit=%d", FILE_USED_MAX, FILE_USED_MAX);
        return fail(why, ERR_LIMIT, "%s", t->failure.text);
    }
    used = calloc(1, sizeof *used);
    if (used == NULL)
        return txn_no_memory(t, why);
    kv_pin(&t->m->kv, e);
    used->entry = e;
    used->node.key = e->node.key;
    map_add(&f->used, &used->node);
    return OK;
}

struct used_range {
    struct bytes prefix, from;
    const struct bytes *last;
    struct kv_entry **out;
    size_t count;
};

static void used_pick(struct map_node *node, void *user)
{
    struct kv_entry *e = map_entry(node, struct file_used, node)->entry;
    struct used_range *r = user;
    struct bytes item = e->node.key;

    if (e->known && e->value != NULL && bytes_start_with(item, r->prefix) && bytes_compare(item, r->from) >= 0 &&
        (r->last == NULL || bytes_compare(item, *r->last) <= 0))
        r->out[r->count++] = e;
}

size_t files_used_range(const struct txn *t, struct bytes prefix, struct bytes from, const struct bytes *last,
                        struct kv_entry **out)
{
    struct used_range r = { prefix, from, last, out, 0 };

    if (t->files != NULL && item_resource(prefix) == RESOURCE_FILE)
        map_each(&t->files->used, used_pick, &r);
    return r.count;
}

static void used_free(struct map_node *node, void *user)
{
    struct txn *t = user;
    struct file_used *used = map_entry(node, struct file_used, node);

    map_remove(&t->files->used, node);
    kv_unpin(&t->m->kv, used->entry);
    free(used);
}

void files_let_go(struct txn *t)
{
    if (t->files == NULL)
        return;
    stage_close(t);
    map_each(&t->files->used, used_free, t);
    t->files->refused_entry = NULL;
}

void files_free(struct txn *t)
{
    if (t->files == NULL)
        return;
    CHECK(t->files->used.count == 0 && t->files->work == NULL && !t->files->busy);
    map_fini(&t->files->used);
    free(t->files);
    t->files = NULL;
}

static void drop_done(struct store_request *r)
{
    struct files *f = r->owner;

    f->m->request_count--;
    store_request_fini(r);
    free(f);
}

void files_drop(struct txn *t)
{
    struct files *f = t->files;

    if (f == NULL || !f->staged)
        return;
    CHECK(f->used.count == 0 && f->work == NULL && !f->busy);
    map_fini(&f->used);
    f->m = t->m;
    f->request = (struct store_request){ .kind = STORE_FILE_DROP, .done = drop_done, .owner = f, .txn = t->id };
    t->files = NULL;
    manager_submit(f->m, &f->request);
}

/* ---- the request under way ---- */

static void work_free(struct stage_work *w)
{
    store_request_fini(&w->request);
    free(w);
}

void stage_close(struct txn *t)
{
    struct stage_work *w = t->files == NULL ? NULL : t->files->work;

    if (w == NULL)
        return;
    t->files->work = NULL;
    w->txn = NULL;
    if (!w->busy)
        work_free(w);
}

static void work_done(struct store_request *r)
{
    struct stage_work *w = r->owner;

    w->m->request_count--;
    w->busy = false;
    if (w->txn == NULL)
        work_free(w);
    else if (w->txn->waiting)
        txn_wake(w->txn);
}

static bool same_bytes(struct bytes a, struct bytes b) { return a.len == b.len && bytes_equal(a, b); }

static bool same_work(const struct stage_work *w, const struct store_request *r)
{
    const struct store_request *q = &w->request;

    return !w->delivered && q->kind == r->kind && q->stage == r->stage && q->offset == r->offset &&
           q->count_max == r->count_max && q->resource == r->resource && same_bytes(q->key, r->key) &&
           same_bytes(q->data, r->data);
}

static enum err work_begin(struct txn *t, const struct store_request *r, struct failure *why)
{
    struct stage_work *w = calloc(1, sizeof *w + r->key.len + r->data.len);

    if (w == NULL)
        return txn_no_memory(t, why);
    memcpy(w->text, r->key.data, r->key.len);
    if (r->data.len > 0)
        memcpy(w->text + r->key.len, r->data.data, r->data.len);
    w->m = t->m;
    w->txn = t;
    w->busy = true;
    w->request = *r;
    w->request.txn = r->kind == STORE_BLAME ? 0 : t->id;
    w->request.key = bytes_of(w->text, r->key.len);
    w->request.data = bytes_of(w->text + r->key.len, r->data.len);
    w->request.done = work_done;
    w->request.owner = w;
    t->files->work = w;
    t->files->staged = t->files->staged || r->kind == STORE_FILE_STAGE;
    manager_submit(t->m, &w->request);
    return OK;
}

/* The store said no. Not a file, or one that others changed, is the operation's own affair; the rest is the end. */
static enum err work_failed(struct txn *t, const struct failure *store, struct failure *why)
{
    struct failure said = *store;

    stage_close(t);
    if (said.err == ERR_BADARG)
        return fail(why, ERR_BADARG, "%s", said.text);
    if (said.err == ERR_CONFLICT && t->reached != NULL)
        kv_forget(&t->m->kv, t->reached); /* the next one looks again */
    txn_doom(t, said.err == ERR_CONFLICT || said.err == ERR_NOMEM || said.err == ERR_LIMIT ? said.err : ERR_STORAGE,
             "%s", said.text);
    return fail(why, t->failure.err, "%s", t->failure.text);
}

/* Until the request is done. Its answer stays t->files->work's. */
static enum err work_step(struct txn *t, const struct store_request *r, struct failure *why)
{
    struct stage_work *w = t->files->work;

    if (w != NULL && !same_work(w, r)) {
        stage_close(t);
        w = NULL;
    }
    if (w == NULL && work_begin(t, r, why) != OK)
        return ERR_NOMEM;
    w = t->files->work;
    if (w->busy) {
        t->waiting = true;
        return ERR_WAIT;
    }
    return w->request.why.err == OK ? OK : work_failed(t, &w->request.why, why);
}

enum err stage_write(struct txn *t, struct bytes path, uint64_t stage, uint64_t offset, struct bytes data,
                     uint64_t *inode, struct failure *why)
{
    struct store_request r = { .kind = STORE_FILE_STAGE, .key = path, .stage = stage, .offset = offset, .data = data };
    enum err err = work_step(t, &r, why);

    if (err != OK)
        return err;
    *inode = t->files->work->request.inode;
    stage_close(t);
    return OK;
}

enum err stage_read(struct txn *t, struct bytes path, struct bytes image, uint64_t offset, size_t len,
                    struct bytes *data, struct failure *why)
{
    struct store_request r = {
        .kind = STORE_FILE_READ, .key = path, .data = image, .offset = offset, .count_max = len
    };
    enum err err = work_step(t, &r, why);

    if (err != OK)
        return err;
    t->files->work->delivered = true;
    *data = t->files->work->request.pairs[0].value.value;
    return OK;
}

enum err stage_newest(struct txn *t, struct bytes path, struct image *after, struct failure *why)
{
    struct store_request r = { .kind = STORE_BLAME, .resource = RESOURCE_FILE, .key = path, .count_max = 1 };
    enum err err = work_step(t, &r, why);

    if (err != OK)
        return err;
    t->files->work->delivered = true;
    *after = (struct image){ 0 };
    if (t->files->work->request.row_count > 0)
        *after = t->files->work->request.effects[0].after;
    return OK;
}
