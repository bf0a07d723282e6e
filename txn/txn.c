/*
 * A transaction's life. See txn.h for the contract and inside.h for the states.
 *
 * Nobody is called back but from txn_poll: a callback may use any function here but txn_poll itself.
 *
 * Must never know: SQL, clients, workers, the policy.
 */
#include "txn/inside.h"

#include "lib/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A transaction's states: what may follow, and what holds in it. */

static bool idle_holds(const struct txn *t)
{
    return t->log.count == 0 && t->spilling.count == 0 && t->item_count == 0;
}

static bool open_holds(const struct txn *t) { return list_linked(&t->link) && !t->told; }
static bool closed(const struct txn *t)
{
    return t->scan == NULL && t->rollback == NULL && !list_linked(&t->doom_link);
}

static bool applying_holds(const struct txn *t)
{
    return closed(t) && list_linked(&t->link) && t->files != NULL && t->files->work == NULL && !t->waiting;
}

static bool committing_holds(const struct txn *t) { return closed(t) && t->failure.err == OK && !t->waiting; }
static bool undoing_holds(const struct txn *t) { return closed(t) && t->log.count == 0 && t->failure.err != OK; }
static bool ended_holds(const struct txn *t)
{
    return t->log.count == 0 && t->spilling.count == 0 && t->spill_batch == 0 && list_empty(&t->locks.held);
}

static const struct {
    const char *name;
    unsigned next; /* bits: states that may follow */
    bool (*holds)(const struct txn *t);
} states[] = {
    [TXN_IDLE] = { "IDLE", 1u << TXN_OPEN, idle_holds },
    [TXN_OPEN] = { "OPEN", 1u << TXN_APPLYING | 1u << TXN_COMMITTING | 1u << TXN_UNDOING, open_holds },
    [TXN_APPLYING] = { "APPLYING", 1u << TXN_COMMITTING | 1u << TXN_UNDOING, applying_holds },
    [TXN_COMMITTING] = { "COMMITTING", 1u << TXN_UNDOING | 1u << TXN_ENDED, committing_holds },
    [TXN_UNDOING] = { "UNDOING", 1u << TXN_ENDED, undoing_holds },
    [TXN_ENDED] = { "ENDED", 1u << TXN_IDLE, ended_holds },
};

void txn_move(struct txn *t, enum txn_state next)
{
    CHECK(states[t->state].next >> next & 1u);
    t->state = next;
    CHECK(states[next].holds(t));
}

/* Waking, ending */

void txn_wake(struct txn *t)
{
    t->waiting = false;
    list_remove(&t->deadline_link);
    list_remove(&t->wake_link);
    list_push(&t->m->waking, &t->wake_link);
    manager_want(t->m);
}

static struct txn *txn_of_holder(struct lock_holder *h) { return list_entry(h, struct txn, locks); }

static void txn_granted(struct lock_holder *h)
{
    struct txn *t = txn_of_holder(h);

    list_remove(&t->deadline_link);
    manager_hold_soon(t->m);
    if (t->waiting)
        txn_wake(t);
}

static void doom(struct txn *t, enum err err, const char *format, va_list ap)
{
    char text[FAILURE_TEXT_MAX];

    vsnprintf(text, sizeof text, format, ap);
    fail(&t->failure, err, "%s", text);
    lock_cancel(&t->m->locks, &t->locks);
    list_remove(&t->deadline_link);
    if (t->waiting)
        txn_wake(t);
}

void txn_doom(struct txn *t, enum err err, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    doom(t, err, format, ap);
    va_end(ap);
}

void txn_doom_told(struct txn *t, enum err err, const char *format, ...)
{
    bool news = t->failure.err == OK;
    va_list ap;

    va_start(ap, format);
    doom(t, err, format, ap);
    va_end(ap);
    if (news)
        list_push(&t->m->dooming, &t->doom_link);
}

void txn_end(struct txn *t)
{
    txn_move(t, TXN_ENDED);
    list_push(&t->m->ending, &t->link);
    manager_want(t->m);
}

/* The same, once the batch it depends on is on disk. */
static void txn_end_after(struct txn *t)
{
    struct batch *b = t->depends > t->m->kv.durable ? batch_find(t->m, t->depends) : NULL;

    if (b == NULL)
        txn_end(t);
    else
        list_push(&b->readers, &t->link);
}

void txn_free(struct txn *t)
{
    undo_fini(&t->log);
    undo_fini(&t->spilling);
    free(t);
}

void txn_release(struct txn *t)
{
    struct txn_manager *m = t->m;

    if (!t->told || t->item_count > 0)
        return;
    txn_move(t, TXN_IDLE);
    if (t->names != t->names_small)
        free(t->names);
    notes_free(t);
    files_free(t);
    free(t->undo);
    t->undo = NULL;
    if (m->spare_count == TXN_SPARE_MAX) {
        txn_free(t);
        return;
    }
    list_push_front(&m->spare, &t->link);
    m->spare_count++;
}

void txn_tell(struct txn *t)
{
    struct txn_manager *m = t->m;
    bool good = t->failure.err == OK;

    *(good ? &m->stats.committed : &m->stats.aborted) += 1;
    m->stats.undone += good ? 0 : t->effect_count;
    m->stats.open--;
    t->events.ended(t->owner, &t->failure, good ? 0 : t->effect_count);
    t->told = true;
    txn_release(t);
}

/* Begin */

static size_t text_size(const char *s) { return s == NULL ? 0 : strlen(s) + 1; }

static const char *text_copy(char **at, const char *s)
{
    size_t n = text_size(s);
    char *copy = *at;

    if (s == NULL)
        return NULL;
    memcpy(copy, s, n);
    *at += n;
    return copy;
}

static uint64_t hold_limit(struct txn_manager *m, const struct txn_origin *o)
{
    uint64_t ms = o->hold_ms != 0 ? o->hold_ms : m->options.hold_ms;

    if (ms == 0)
        return UINT64_MAX;
    if (ms < m->hold_least)
        m->hold_least = ms;
    return ms;
}

static bool origin_copy(struct txn *t, const struct txn_origin *o, int64_t now_us)
{
    size_t size = text_size(o->graft) + text_size(o->version) + text_size(o->function);
    char *at = size <= sizeof t->names_small ? t->names_small : malloc(size);

    if (at == NULL)
        return false;
    t->names = at;
    t->hold_ms = hold_limit(t->m, o);
    t->whole = o->whole;
    t->history = (struct store_history){ .uid = o->uid, .gid = o->gid, .pid = o->pid, .begun_us = now_us,
                                         .parent = o->parent, .depth = o->depth };
    t->history.graft = text_copy(&at, o->graft);
    t->history.version = text_copy(&at, o->version);
    t->history.function = text_copy(&at, o->function);
    return true;
}

static struct txn *txn_new(struct txn_manager *m)
{
    struct list *spare = list_pop(&m->spare);
    struct txn *t;

    if (spare != NULL) {
        m->spare_count--;
        return list_entry(spare, struct txn, link);
    }
    t = malloc(sizeof *t);
    if (t == NULL)
        return NULL;
    memset(t, 0, sizeof *t);
    t->m = m;
    t->state = TXN_IDLE;
    undo_init(&t->log);
    undo_init(&t->spilling);
    return t;
}

/* All that a former life left; the rest was cleared as that one ended. */
static void txn_reset(struct txn *t)
{
    t->waiting = t->waiting_room = t->told = t->row = t->spill_stored = t->spilled_told = false;
    t->depends = t->spill_batch = t->spilled = t->effect_count = t->named = 0;
    t->tale = NULL;
    failure_clear(&t->failure);
    lock_holder_init(&t->locks, txn_granted);
}

enum err txn_begin(struct txn_manager *m, const struct txn_origin *origin, const struct txn_events *events, void *owner,
                   int64_t now_us, struct txn **out)
{
    struct txn *t;

    if (m->poisoned)
        return ERR_STORAGE;
    t = txn_new(m);
    if (t == NULL)
        return ERR_NOMEM;
    txn_reset(t);
    if (!origin_copy(t, origin, now_us)) {
        txn_free(t);
        return ERR_NOMEM;
    }
    t->id = manager_take_id(m);
    t->events = *events;
    t->owner = owner;
    list_push(&m->open, &t->link);
    txn_move(t, TXN_OPEN);
    m->stats.begun++;
    m->stats.open++;
    *out = t;
    return OK;
}

uint64_t txn_id(const struct txn *t) { return t->id; }
const struct failure *txn_failure(const struct txn *t) { return &t->failure; }

uint64_t txn_effect_count(const struct txn *t) { return t->effect_count; }

/* The end */

/* No operation follows. */
static void txn_close(struct txn *t, int64_t now_us, uint64_t cpu_us)
{
    CHECK(t->state == TXN_OPEN);
    t->waiting = false;
    list_remove(&t->wake_link);
    list_remove(&t->deadline_link);
    list_remove(&t->doom_link);
    lock_cancel(&t->m->locks, &t->locks);
    scan_close(t);
    rollback_close(t);
    blob_drop(&t->borrowed);
    files_let_go(t);
    txn_let_go(t);
    list_remove(&t->link);
    t->history.ended_us = now_us;
    t->history.cpu_us = cpu_us;
}

void txn_unlock(struct txn *t)
{
    files_forget_images(t);
    lock_release_all(&t->m->locks, &t->locks);
}

static void undo_finish(struct txn *t)
{
    uint64_t number;

    txn_unlock(t);
    if (!t->spill_stored)
        files_drop(t);
    if (t->row && !t->m->poisoned)
        batch_add(t, ITEM_ROW, NULL, &number); /* without memory the history lacks a row; the undo is complete */
    txn_end_after(t);
}

static void forget_key(struct bytes key, void *user)
{
    struct kv *kv = user;
    struct kv_entry *e = kv_find(kv, key);

    if (e != NULL && kv_durable(kv, e))
        kv_forget(kv, e);
}

/* T10: the disk still has what this transaction wrote early, under undo records that the next start will play. */
static void undo_failed(struct txn *t, const char *text)
{
    failure_clear(&t->failure);
    fail(&t->failure, ERR_STORAGE, "taking back what was written early failed, the next start will do it: %s", text);
    manager_poison(t->m);
}

static void undo_done(struct store_request *r)
{
    struct txn *t = r->owner;
    struct txn_manager *m = t->m;

    m->request_count--;
    if (r->why.err == OK)
        lock_each_exclusive(&t->locks, forget_key, &m->kv);
    else
        undo_failed(t, r->why.text);
    store_request_fini(r);
    undo_finish(t);
}

void txn_undo_step(struct txn *t)
{
    struct store_request *r = t->undo;

    if (t->spill_batch != 0)
        return; /* its end runs this again */
    if (!t->spill_stored || t->m->poisoned) {
        undo_finish(t);
        return;
    }
    t->row = false; /* the request carries it */
    *r = (struct store_request){ .kind = STORE_UNDO, .done = undo_done, .owner = t, .txn = t->id,
                                 .history = t->history };
    r->history.outcome = err_word(t->failure.err);
    r->history.error = t->failure.text;
    r->history.effect_count = t->effect_count;
    if (t->tale != NULL) {
        r->calls = t->tale->nested;
        r->call_count = t->tale->nested_count;
    }
    notes_parts(t, r);
    manager_submit(t->m, r);
}

void txn_undo(struct txn *t, bool row)
{
    t->row = row;
    notes_undone(t);
    undo_play(&t->log, &t->m->kv);
    txn_move(t, TXN_UNDOING);
    txn_undo_step(t);
}

bool txn_lingers(const struct txn *t) { return t->spilled > 0 || files_changed(t); }

void txn_commit(struct txn *t, int64_t now_us, uint64_t cpu_us)
{
    bool told = t->effect_count > 0 || t->history.undoes != 0 || (t->tale != NULL && t->tale->idem_token.len > 0);
    uint64_t number;

    txn_close(t, now_us, cpu_us);
    if (t->failure.err == OK && files_changed(t)) {
        apply_begin(t);
        return;
    }
    if (t->failure.err == OK && told) {
        if (batch_add(t, ITEM_COMMIT, &t->log, &number) == OK)
            undo_assign(&t->log, number);
        else
            txn_doom(t, ERR_NOMEM, "no memory to commit; it was rolled back, try again later");
    }
    if (t->failure.err != OK) {
        txn_undo(t, true);
        return;
    }
    txn_move(t, TXN_COMMITTING);
    if (t->spilled == 0)
        txn_unlock(t);
    files_drop(t); /* what was staged was taken back */
    if (!told)
        txn_end_after(t);
}

void txn_abort(struct txn *t, const struct failure *why, int64_t now_us, uint64_t cpu_us)
{
    txn_close(t, now_us, cpu_us);
    if (why != NULL)
        t->failure = *why;
    else if (t->failure.err == OK)
        fail(&t->failure, ERR_ABORTED, "rolled back");
    CHECK(t->failure.err != OK);
    txn_undo(t, why != NULL);
}
