/*
 * The commit of a transaction that changed files (T4).
 *
 *     all of its log written early, with its undo records ─► STORE_APPLY ─► the entry that commits
 *
 *  1. Files are touched when the way back is on disk, and the commit is told when they are: a crash between the two is
 *     undone at the next start.
 *  2. What the apply refuses fails this transaction alone, and STORE_UNDO takes back the rest. What it cannot tell
 *     poisons the manager, as an unknown commit does (T10).
 *  3. One that takes back others writes each part early under its own id, and all are applied and committed together.
 *  4. Locks are kept until the last batch is on disk, and then its images are forgotten: others read what stands.
 */
#include "txn/inside.h"

#include "lib/check.h"

#include <stdlib.h>

static bool is_file(const struct undo_record *r) { return item_resource(r->entry->node.key) == RESOURCE_FILE; }

static bool log_has_files(const struct undo_log *log)
{
    for (size_t i = 0; i < log->count; i++)
        if (is_file(&log->records[i]))
            return true;
    return false;
}

bool files_changed(const struct txn *t) { return t->files != NULL && (t->files->spilled || log_has_files(&t->log)); }

void files_spilled(struct txn *t)
{
    if (t->files != NULL)
        t->files->spilled = t->files->spilled || log_has_files(&t->spilling);
}

static void forget_file(struct bytes item, void *user)
{
    struct txn_manager *m = user;
    struct kv_entry *e = item_resource(item) == RESOURCE_FILE ? kv_find(&m->kv, item) : NULL;

    if (e != NULL && kv_durable(&m->kv, e))
        kv_forget(&m->kv, e);
}

void files_forget_images(struct txn *t)
{
    if (t->files != NULL)
        lock_each_exclusive(&t->locks, forget_file, t->m);
}

static void apply_done(struct store_request *r)
{
    struct txn *t = r->owner;
    struct txn_manager *m = t->m;
    struct failure why = r->why;

    m->request_count--;
    t->files->busy = false;
    t->files->applied = why.err == OK;
    store_request_fini(r);
    if (why.err != OK)
        fail(&t->failure, why.err, "%s", why.text);
    if (why.err == ERR_UNKNOWN)
        manager_poison(m);
    apply_step(t);
}

static void apply_submit(struct txn *t)
{
    struct store_request *r = &t->files->request;

    *r = (struct store_request){ .kind = STORE_APPLY, .done = apply_done, .owner = t, .txn = t->id };
    notes_parts(t, r);
    t->files->busy = true;
    manager_submit(t->m, r);
}

/* Committing: its last entry is in a batch. */
static bool apply_decided(struct txn *t)
{
    uint64_t number;

    if (batch_add(t, ITEM_COMMIT, &t->log, &number) != OK)
        return false;
    list_remove(&t->link);
    txn_move(t, TXN_COMMITTING);
    return true;
}

void apply_step(struct txn *t)
{
    bool memory = true;

    if (t->spill_batch != 0 || t->files->busy)
        return; /* its end runs this again */
    if (t->failure.err == OK && t->log.count > 0) {
        memory = txn_spill(t) == OK;
        if (memory)
            return;
    } else if (t->failure.err == OK && !t->files->applied) {
        apply_submit(t);
        return;
    } else if (t->failure.err == OK) {
        memory = apply_decided(t);
        if (memory)
            return;
    }
    if (!memory)
        fail(&t->failure, ERR_NOMEM, "no memory to commit; it was rolled back, try again later");
    list_remove(&t->link);
    txn_undo(t, true);
}

void apply_begin(struct txn *t)
{
    list_push(&t->m->open, &t->link);
    txn_move(t, TXN_APPLYING);
    if (!notes_keep_parts(t))
        fail(&t->failure, ERR_NOMEM, "no memory to commit; it was rolled back, try again later");
    apply_step(t);
}
