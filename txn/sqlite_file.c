/*
 * Files between the undo log and the disk: what the records of a transaction mean to file_disk.h, and when.
 *
 *     early write (records on disk) ─► db_files_apply ─► entry that commits ─► files_end
 *                                           └──────────► db_files_undo, then the records go
 *     forgotten ─► files_forget
 *
 * T4: nothing of the tree is touched before the records are on disk, and while it may have been touched, they stay.
 * Ends and forgetting wait until the SQLite transaction that says so is on disk; what a crash cuts off there, the sweep
 * at open does.
 * T10: files that cannot be taken back poison the store, with the sentence that says why.
 */
#include "txn/sqlite.h"

#include "lib/check.h"

#include <stdio.h>
#include <stdlib.h>

/* --- ids --- */

bool ids_add(struct ids *ids, uint64_t id)
{
    if (ids->count == ids->cap) {
        size_t cap = ids->cap == 0 ? 16 : 2 * ids->cap;
        uint64_t *more = reallocarray(ids->id, cap, sizeof *more);
        if (more == NULL)
            return false;
        ids->id = more;
        ids->cap = cap;
    }
    ids->id[ids->count++] = id;
    return true;
}

static int rising(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

bool ids_of(const struct store_request *r, struct ids *ids)
{
    size_t n = 0;
    bool added = ids_add(ids, r->txn);

    for (size_t i = 0; i < r->part_count && added; i++)
        added = ids_add(ids, r->parts[i]);
    if (!added)
        return false;
    qsort(ids->id, ids->count, sizeof *ids->id, rising);
    for (size_t i = 0; i < ids->count; i++)
        if (n == 0 || ids->id[i] != ids->id[n - 1])
            ids->id[n++] = ids->id[i];
    ids->count = n;
    return true;
}

/* --- the net changes of a transaction --- */

struct net {                          /* of one path; its bytes are owned */
    struct bytes path, before, after; /* images as recorded; no data: nothing there */
    struct file_image before_image, after_image;
    uint64_t seq;
};

struct nets {
    struct net *net; /* owned */
    size_t count, cap;
    struct file_change *changes; /* owned; those that are left when what comes to nothing is left out */
    size_t change_count;
};

static void disown(struct bytes *b)
{
    free((void *)(uintptr_t)b->data);
    *b = (struct bytes){ 0 };
}

static void nets_fini(struct nets *n)
{
    for (size_t i = 0; i < n->count; i++) {
        disown(&n->net[i].path);
        disown(&n->net[i].before);
        disown(&n->net[i].after);
    }
    free(n->net);
    free(n->changes);
    *n = (struct nets){ 0 };
}

/* False: no memory. */
static bool own_column(sqlite3_stmt *q, int at, struct bytes *out)
{
    struct bytes b = column_bytes(q, at);

    disown(out);
    if (sqlite3_column_type(q, at) == SQLITE_NULL)
        return true;
    *out = bytes_of(bytes_dup(b), b.len);
    return out->data != NULL;
}

/* A further change of the last path, or the first of the next one. */
static int net_add(struct nets *n, sqlite3_stmt *q)
{
    struct net *last = n->count == 0 ? NULL : &n->net[n->count - 1], *more;

    if (last != NULL && bytes_equal(last->path, column_bytes(q, 0)))
        return own_column(q, 3, &last->after) ? SQLITE_OK : SQLITE_NOMEM;
    if (n->count == n->cap) {
        more = reallocarray(n->net, n->cap == 0 ? 16 : 2 * n->cap, sizeof *more);
        if (more == NULL)
            return SQLITE_NOMEM;
        n->net = more;
        n->cap = n->cap == 0 ? 16 : 2 * n->cap;
    }
    last = &n->net[n->count++];
    *last = (struct net){ .seq = column_u64(q, 1) };
    return own_column(q, 0, &last->path) && own_column(q, 2, &last->before) && own_column(q, 3, &last->after)
               ? SQLITE_OK
               : SQLITE_NOMEM;
}

/* False: what is recorded is no image. */
static bool decode(struct bytes b, struct file_image *image, const struct file_image **out)
{
    *out = b.data == NULL ? NULL : image;
    return b.data == NULL || file_image_read(b, image);
}

static int by_seq(const void *a, const void *b)
{
    const struct file_change *x = a, *y = b;

    return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static int changes_make(struct nets *n)
{
    n->changes = calloc(n->count + 1, sizeof *n->changes);
    if (n->changes == NULL)
        return SQLITE_NOMEM;
    for (size_t i = 0; i < n->count; i++) {
        struct net *net = &n->net[i];
        struct file_change *c = &n->changes[n->change_count];
        *c = (struct file_change){ .path = net->path, .seq = net->seq };
        if ((net->before.data == NULL) == (net->after.data == NULL) && bytes_equal(net->before, net->after))
            continue;
        if (!decode(net->before, &net->before_image, &c->before) || !decode(net->after, &net->after_image, &c->after))
            return SQLITE_CORRUPT;
        n->change_count++;
    }
    qsort(n->changes, n->change_count, sizeof *n->changes, by_seq);
    return SQLITE_OK;
}

static enum err nets_load(struct db *db, uint64_t txn, struct nets *n, struct failure *why)
{
    sqlite3_stmt *q = db->query[Q_UNDO_FILES];
    int code = SQLITE_OK, end;

    bind_u64(q, 1, txn);
    while (code == SQLITE_OK && sqlite3_step(q) == SQLITE_ROW)
        code = net_add(n, q);
    end = sqlite3_reset(q);
    if (code == SQLITE_OK)
        code = end;
    if (code == SQLITE_OK)
        code = changes_make(n);
    return code == SQLITE_OK ? OK : db_fail(db, code, "reading what to do with files", why);
}

/* --- all or nothing --- */

/* The sentence says what to do; a restart alone would not help. */
static enum err poison_with(struct db *db, struct failure *local, struct failure *why)
{
    if (db->poison.err == OK)
        fail(&db->poison, ERR_STORAGE, "the store has stopped: %s", local->text);
    return fail(why, ERR_UNKNOWN, "%s", local->text);
}

static enum err apply_one(struct db *db, uint64_t txn, struct failure *why)
{
    struct nets nets = { 0 };
    enum err err = nets_load(db, txn, &nets, why);

    if (err == OK && nets.change_count > 0)
        err = files_apply(db->files, txn, nets.changes, nets.change_count, why);
    nets_fini(&nets);
    return err;
}

enum err db_files_undo(struct db *db, uint64_t txn, struct failure *why)
{
    struct failure local = { 0 };
    struct nets nets = { 0 };
    enum err err = nets_load(db, txn, &nets, &local);

    if (err == OK && nets.change_count > 0)
        err = files_undo(db->files, txn, nets.changes, nets.change_count, &local);
    nets_fini(&nets);
    return err == OK ? OK : poison_with(db, &local, why);
}

static enum err apply_all(struct db *db, const struct ids *ids, struct failure *why)
{
    struct failure local = { 0 };
    enum err err = OK;
    size_t n = 0;

    while (n < ids->count && err == OK) {
        err = apply_one(db, ids->id[n], &local);
        n += err == OK;
    }
    if (err == OK)
        return OK;
    if (err == ERR_UNKNOWN)
        return poison_with(db, &local, why);
    while (n > 0)
        if (db_files_undo(db, ids->id[--n], why) != OK)
            return why->err;
    return fail(why, err, "%s", local.text);
}

void db_files_apply(struct db *db, const struct store_request *r, struct failure *why)
{
    struct ids ids = { 0 };

    db_log_sync(db);
    if (db_stopped(db, why))
        return;
    if (ids_of(r, &ids))
        apply_all(db, &ids, why);
    else
        fail(why, ERR_NOMEM, "no memory to change files; it was not done");
    free(ids.id);
}

/* --- beside and behind the commit --- */

void db_files_stage(struct db *db, struct store_request *r)
{
    if (!db_stopped(db, &r->why))
        files_stage(db->files, r->txn, r->key, r->stage, r->offset, r->data, &r->inode, &r->why);
}

void db_files_drop(struct db *db, const struct store_request *r, struct failure *why)
{
    if (!db_stopped(db, why))
        files_end(db->files, r->txn);
}

void db_files_settle(struct db *db, bool committed)
{
    if (committed && db->ended.count + db->forgotten.count > 0)
        committed = db_log_sync(db);
    for (size_t i = 0; i < db->ended.count && committed; i++)
        files_end(db->files, db->ended.id[i]);
    for (size_t i = 0; i < db->forgotten.count && committed; i++)
        files_forget(db->files, db->forgotten.id[i]);
    db->ended.count = db->forgotten.count = 0;
}

/* --- at open --- */

enum err db_files_open(struct db *db, const struct store_options *options, struct failure *why)
{
    char standard[PATH_MAX];

    CHECK(snprintf(standard, sizeof standard, "%s/files", options->directory) < PATH_MAX);
    return file_disk_open(standard, options->roots, options->root_count, options->synchronous > 0, &db->files, why);
}

enum err db_files_recover(struct db *db, struct failure *why)
{
    sqlite3_stmt *q = db->query[Q_TXN_OPEN_FILES];
    enum err err = OK;
    int code;

    while (err == OK && sqlite3_step(q) == SQLITE_ROW)
        err = db_files_undo(db, column_u64(q, 0), why);
    code = sqlite3_reset(q);
    return err == OK && code != SQLITE_OK ? db_fail(db, code, "recovery", why) : err;
}

/* Whether the history has it; in doubt it has. */
static bool known(uint64_t txn, void *user)
{
    struct db *db = user;
    enum txn_state state;
    uint64_t bytes;
    unsigned touched;

    return db_txn_state(db, txn, &state, &bytes, &touched) != SQLITE_OK || state != TXN_NEVER_STORED;
}

void db_files_sweep(struct db *db) { files_sweep(db->files, known, db); }

/* --- questions --- */

void read_file_stat(struct db *db, struct store_request *r, struct bytes path, struct image *out)
{
    struct file_image image;
    struct buf b;
    enum err err = files_stat(db->files, path, &image, &r->why);

    if (err != OK) {
        if (err == ERR_ABSENT)
            failure_clear(&r->why);
        return;
    }
    buf_init(&b, FILE_IMAGE_MAX);
    if (file_image_add(&b, &image)) {
        out->value = bytes_of(store_request_copy(r, buf_bytes(&b)), buf_len(&b));
        out->present = out->value.data != NULL;
    } else {
        fail(&r->why, ERR_NOMEM, "no memory to tell of a file");
    }
    buf_fini(&b);
}

struct listing {
    struct store_request *r;
    size_t max;
};

static enum err list_one(struct bytes path, const struct file_image *image, void *user)
{
    struct listing *l = user;
    struct store_request *r = l->r;
    struct store_pair *pair = &r->pairs[r->pair_count];
    struct buf b;

    CHECK(r->pair_count < l->max);
    pair->key = bytes_of(store_request_copy(r, path), path.len);
    buf_init(&b, FILE_IMAGE_MAX);
    if (!file_image_add(&b, image))
        fail(&r->why, ERR_NOMEM, "no memory to tell of a file");
    else
        pair->value = (struct image){ true, bytes_of(store_request_copy(r, buf_bytes(&b)), buf_len(&b)) };
    buf_fini(&b);
    if (r->why.err == OK)
        r->pair_count++;
    return r->why.err;
}

static bool scan_files(struct db *db, struct store_request *r)
{
    struct listing l = { .r = r, .max = read_count_max(r, STORE_PAIR_MAX) };
    struct failure why = { 0 };
    enum err err;

    r->pairs = store_request_alloc(r, l.max * sizeof *r->pairs);
    if (r->pairs == NULL)
        return true;
    err = files_list(db->files, r->prefix, r->from, l.max, list_one, &l, &r->more, &why);
    if (err == ERR_WAIT) {
        store_request_fini(r);
        return false;
    }
    if (!read_stop_early(r, r->pair_count) && err != OK && err != ERR_ABSENT && r->why.err == OK)
        r->why = why;
    return true;
}

bool db_read_files(struct db *db, struct store_request *r)
{
    struct failure why;

    if (db_stopped(db, &r->why))
        return true;
    if (!scan_files(db, r))
        return false;
    if (r->why.err != OK) {
        why = r->why; /* half an answer is none */
        store_request_fini(r);
        r->why = why;
    }
    return true;
}

void read_file(struct db *db, struct store_request *r)
{
    struct file_image image;
    struct buf b;

    if (!file_image_read(r->data, &image)) {
        fail(&r->why, ERR_BADARG, "what is to be read is no image of a file");
        return;
    }
    r->pairs = store_request_alloc(r, sizeof *r->pairs);
    if (r->pairs == NULL)
        return;
    buf_init(&b, r->count_max);
    if (files_read(db->files, r->txn, r->key, &image, r->offset, r->count_max, &b, &r->why) == OK) {
        r->pairs[0].key = bytes_of(store_request_copy(r, r->key), r->key.len);
        r->pairs[0].value = (struct image){ true, bytes_of(store_request_copy(r, buf_bytes(&b)), buf_len(&b)) };
        r->pair_count = 1;
    }
    buf_fini(&b);
}
