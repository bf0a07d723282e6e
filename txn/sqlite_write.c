/*
 * Commits, and what else is written with them. One rule for each function: begin, do, end; db_end() alone decides
 * what a failure means.
 *
 * T7: a group of commits is one SQLite transaction.
 *
 * An I/O error at COMMIT leaves open what is on disk: SQLite says "failed", and after a crash the
 * transaction may be there all the same (its bytes were written, the sync failed). It is answered
 * ERR_UNKNOWN and the database is not touched again before recovery. A full disk is different: the
 * commit's last page was never written whole, so it is rolled back and stays so.
 */
#include "txn/sqlite.h"

#include "lib/check.h"

#include <stdlib.h>
#include <string.h>

enum {
    UNDO_ROW_BYTES = 30, NESTED_ROW_BYTES = 50, /* as TXN_ROW_BYTES */
    PLACE_MAX = 65536,           /* effects sorted at once: what a commit needs of memory is bounded */
    SERIAL_BLOCK = 1024 * 1024,  /* serials reserved at once */
    FOLD_FACTOR = 2,             /* keys folded for each that a commit changes: so a sweep comes to its end */
};

/* --- one SQLite transaction --- */

int db_begin(struct db *db)
{
    db->before = db->ledger;
    return db_run(db, Q_BEGIN);
}

static enum err commit_unknown(struct db *db, struct failure *why)
{
    return db_poison(db, ERR_UNKNOWN, why,
                     "an I/O error hit the commit itself; whether it holds is known only after recovery");
}

enum err db_end(struct db *db, int code, const char *doing, struct failure *why)
{
    if (code == SQLITE_OK) {
        code = db_run(db, Q_COMMIT);
        if (code == SQLITE_OK) {
            fresh_commit(&db->fresh);
            db_files_settle(db, true);
            return OK;
        }
        if ((code & 0xff) != SQLITE_FULL)
            return commit_unknown(db, why);
    }
    db_files_settle(db, false);
    db->ledger = db->before;
    fresh_rollback(&db->fresh);
    db_fold_again(db);
    db_fail(db, code, doing, why);
    if (!sqlite3_get_autocommit(db->handle) && db_run(db, Q_ROLLBACK) != SQLITE_OK)
        db_poison(db, ERR_STORAGE, NULL, "a failed write could not be rolled back");
    return why->err;
}

bool db_stopped(const struct db *db, struct failure *why)
{
    if (db->poison.err == OK)
        return false;
    fail(why, ERR_STORAGE, "%s", db->poison.text);
    return true;
}

/* --- rows --- */

static void bind_image(sqlite3_stmt *q, int at, const struct image *image)
{
    if (image->present)
        bind_bytes(q, at, image->value);
    else
        CHECK(sqlite3_bind_null(q, at) == SQLITE_OK);
}

static size_t text_len(const char *text) { return text == NULL ? 0 : strlen(text); }

int db_txn_put(struct db *db, uint64_t txn, const struct store_history *h, unsigned touches, uint64_t undo_bytes)
{
    uint64_t bytes = TXN_ROW_BYTES + undo_bytes + text_len(h->graft) + text_len(h->version) + text_len(h->function) +
                     text_len(h->outcome) + text_len(h->error);
    sqlite3_stmt *q = db->query[Q_TXN_PUT];

    bind_u64(q, 1, txn);
    bind_text(q, 2, h->graft);
    bind_text(q, 3, h->version);
    bind_text(q, 4, h->function);
    bind_u64(q, 5, h->uid);
    bind_u64(q, 6, h->gid);
    bind_u64(q, 7, h->pid);
    sqlite3_bind_int64(q, 8, h->begun_us);
    if (h->outcome == NULL)
        sqlite3_bind_null(q, 9);
    else
        sqlite3_bind_int64(q, 9, h->ended_us);
    bind_text(q, 10, h->outcome);
    bind_text(q, 11, h->error);
    bind_u64(q, 12, h->cpu_us);
    bind_u64(q, 13, h->effect_count);
    bind_u64(q, 14, bytes);
    bind_u64(q, 15, ++db->ledger.serial);
    bind_u64(q, 16, h->lock_wait_us);
    bind_u64(q, 17, h->undoes);
    bind_u64(q, 18, h->parent);
    bind_u64(q, 19, h->depth);
    bind_u64(q, 20, touches);
    db->ledger.history_bytes += bytes;
    return db_run(db, Q_TXN_PUT);
}

/* Txn took back what it undoes. If that had taken back another, the other stands again; if that one had, …: each has
 * a lower id than the one before. */
static int undone_mark(struct db *db, uint64_t txn, uint64_t undoes)
{
    sqlite3_stmt *mark = db->query[Q_TXN_UNDONE], *order = db->query[Q_TXN_ORDER];
    uint64_t by = txn, next;
    bool undone = true;
    int code = SQLITE_OK;

    CHECK(undoes < txn);
    for (; undoes != 0 && code == SQLITE_OK; by = undoes, undoes = next, undone = !undone) {
        bind_u64(mark, 1, undoes);
        bind_u64(mark, 2, undone ? by : 0);
        code = db_run(db, Q_TXN_UNDONE);
        if (code != SQLITE_OK)
            break;
        bind_u64(order, 1, undoes);
        next = sqlite3_step(order) == SQLITE_ROW ? column_u64(order, 2) : 0;
        code = sqlite3_reset(order);
        if (code == SQLITE_OK && next >= undoes)
            code = next == 0 ? SQLITE_OK : SQLITE_CORRUPT;
    }
    return code;
}

static int nested_add(struct db *db, uint64_t txn, const struct store_nested *n)
{
    sqlite3_stmt *q = db->query[Q_NESTED_ADD];

    bind_u64(q, 1, txn);
    bind_u64(q, 2, n->seq);
    bind_u64(q, 3, n->parent_seq);
    bind_text(q, 4, n->graft);
    bind_text(q, 5, n->version);
    bind_text(q, 6, n->function);
    bind_text(q, 7, n->outcome);
    bind_text(q, 8, n->error);
    sqlite3_bind_int64(q, 9, n->begun_us);
    sqlite3_bind_int64(q, 10, n->ended_us);
    bind_u64(q, 11, n->cpu_us);
    bind_u64(q, 12, n->first_effect);
    bind_u64(q, 13, n->effect_count);
    return db_run(db, Q_NESTED_ADD);
}

int db_nested_write(struct db *db, uint64_t txn, const struct store_nested *nested, size_t count, uint64_t *bytes)
{
    int code = SQLITE_OK;

    for (size_t i = 0; i < count && code == SQLITE_OK; i++) {
        const struct store_nested *n = &nested[i];
        *bytes += NESTED_ROW_BYTES + text_len(n->graft) + text_len(n->version) + text_len(n->function) +
                  text_len(n->outcome) + text_len(n->error);
        code = nested_add(db, txn, n);
    }
    return code;
}

static int idem_add(struct db *db, const struct store_entry *e)
{
    sqlite3_stmt *q = db->query[Q_IDEM_ADD];
    int code;

    CHECK(e->idem_token.len <= STORE_TOKEN_MAX);
    CHECK(e->idem_reply.len <= STORE_REPLY_MAX);
    bind_u64(q, 1, e->history.uid);
    bind_bytes(q, 2, e->idem_token);
    bind_u64(q, 3, e->txn);
    sqlite3_bind_int64(q, 4, e->history.ended_us);
    bind_bytes(q, 5, e->idem_reply);
    code = db_run(db, Q_IDEM_ADD);
    CHECK((code & 0xff) != SQLITE_CONSTRAINT); /* the manager asked, and kept others off */
    return code;
}

static int undo_add(struct db *db, struct spot spot, const struct store_effect *e, struct spot prev)
{
    sqlite3_stmt *q = db->query[Q_UNDO_ADD];

    CHECK(e->key.len <= DB_KEY_MAX);
    bind_spot(q, 1, spot);
    bind_resource(q, 3, e->resource);
    bind_bytes(q, 4, e->key);
    bind_image(q, 5, &e->before);
    bind_image(q, 6, &e->after);
    bind_spot(q, 7, prev);
    return db_run(db, Q_UNDO_ADD);
}

static uint64_t effect_bytes(const struct store_effect *e)
{
    return UNDO_ROW_BYTES + e->key.len + (e->before.present ? e->before.value.len : 0) +
           (e->after.present ? e->after.value.len : 0);
}

static bool image_of(const struct image *i, struct file_image *out)
{
    return i->present && file_image_read(i->value, out);
}

/* Whether the path holds a file that was made of what stood at this other path. */
static bool moved_from(const struct store_effect *e, struct bytes path)
{
    struct file_image i;

    return e->resource == RESOURCE_FILE && image_of(&e->after, &i) && i.kind == FILE_STANDING &&
           bytes_equal(i.origin, path);
}

/* Of the content that is kept for the undo of effect i: of what it replaces or removes, but not of what it appends to,
 * nor of what has only another name then, as the effect beside it says. */
static uint64_t kept_bytes(const struct store_entry *entry, size_t i)
{
    const struct store_effect *e = &entry->effects[i];
    struct file_image before;

    if (e->resource != RESOURCE_FILE || !image_of(&e->before, &before) || before.kind != FILE_STANDING ||
        moved_from(e, e->key) || (i > 0 && moved_from(e - 1, e->key)) ||
        (i + 1 < entry->effect_count && moved_from(e + 1, e->key)))
        return 0;
    return before.size;
}

/* --- commit --- */

static unsigned touches(char resource)
{
    switch (resource) {
    case RESOURCE_TIMER: return TOUCHES_TIMER;
    case RESOURCE_FILE: return TOUCHES_FILE;
    case RESOURCE_EVENT: return TOUCHES_EVENT;
    default: return 0;
    }
}

static bool commits(const struct store_entry *e)
{
    return e->history.outcome != NULL && strcmp(e->history.outcome, "committed") == 0;
}

/* All of it but its effects. *ends: it commits, and has more to it than rows and kv, or may have. */
static int entry_write(struct db *db, const struct store_entry *e, bool *ends)
{
    const struct store_history *h = &e->history;
    bool early = e->first_effect > 0 || h->effect_count > e->effect_count; /* some of it was written before */
    uint64_t bytes = 0, kept = 0;
    unsigned touched = 0;
    int code;

    CHECK(h->outcome != NULL || (e->nested_count == 0 && e->idem_token.len == 0));
    for (size_t i = 0; i < e->effect_count; i++) {
        bytes += effect_bytes(&e->effects[i]);
        kept += kept_bytes(e, i);
        touched |= touches(e->effects[i].resource);
    }
    *ends = commits(e) && (early || touched != 0);
    db_redo_note(db, e->txn, TXN_ROW_BYTES + bytes);
    code = db_nested_write(db, e->txn, e->nested, e->nested_count, &bytes);
    if (code == SQLITE_OK)
        code = db_txn_put(db, e->txn, h, touched, bytes + kept);
    if (code == SQLITE_OK && h->undoes != 0 && commits(e))
        code = undone_mark(db, e->txn, h->undoes);
    if (code == SQLITE_OK && e->idem_token.len > 0)
        code = idem_add(db, e);
    return code;
}

static int place_compare(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    int c = bytes_compare(x->effect->key, y->effect->key);

    if (c != 0)
        return c;
    if (x->effect->resource != y->effect->resource)
        return x->effect->resource < y->effect->resource ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static bool same_item(const struct place *a, const struct place *b)
{
    return a->effect->resource == b->effect->resource && bytes_equal(a->effect->key, b->effect->key);
}

/* Room for count, or for PLACE_MAX if that is less. */
static bool places_reserve(struct db *db, size_t count)
{
    size_t max = count < PLACE_MAX / 2 ? count * 2 : PLACE_MAX;

    if (count <= db->place_max || db->place_max == PLACE_MAX)
        return true;
    free(db->places);
    free(db->prev);
    db->places = malloc(max * sizeof *db->places);
    db->prev = malloc(max * sizeof *db->prev);
    db->place_max = db->places != NULL && db->prev != NULL ? max : 0;
    return db->place_max > 0;
}

static int image_write(struct db *db, const struct place *p, enum head_place was)
{
    const struct store_effect *e = p->effect;

    if (p->waits)
        return db_image_later(db, e->key, &e->after, p->spot, was);
    return db_image_put(db, e->resource, e->key, &e->after, p->spot, was);
}

/* Continues the trails of the keys and stores of each only the last image, in the order of the tree. The undo records
 * then know what came before them. */
static int images_write(struct db *db, size_t count)
{
    struct spot prev = { 0 };
    enum head_place head = HEAD_NOWHERE;
    int code = SQLITE_OK;

    if (count > 1)
        qsort(db->places, count, sizeof *db->places, place_compare);
    for (size_t i = 0; i < count && code == SQLITE_OK; i++) {
        const struct place *p = &db->places[i];
        const struct store_effect *e = p->effect;
        if (i == 0 || !same_item(p, p - 1))
            code = db_head(db, e->resource, e->key, &prev, &head);
        db->prev[p->order] = prev;
        prev = p->spot;
        if (code == SQLITE_OK && (i + 1 == count || !same_item(p, p + 1)))
            code = image_write(db, p, head);
    }
    return code;
}

/* The next effects of a group, in the order in which they were made, as many as are sorted at once. */
struct window {
    struct store_request *const *requests;
    size_t count;                  /* of requests */
    size_t request, entry, effect; /* the next one */
};

static size_t window_fill(struct db *db, struct window *w)
{
    size_t n = 0;

    for (; w->request < w->count; w->request++, w->entry = 0) {
        for (; w->entry < w->requests[w->request]->entry_count; w->entry++, w->effect = 0) {
            const struct store_entry *e = &w->requests[w->request]->entries[w->entry];
            bool ends = e->history.outcome != NULL;
            for (; w->effect < e->effect_count; w->effect++, n++) {
                if (n == db->place_max)
                    return n;
                db->places[n] = (struct place){ .effect = &e->effects[w->effect],
                                                .order = n,
                                                .spot = { e->txn, e->first_effect + w->effect },
                                                .waits = ends && e->effects[w->effect].resource == RESOURCE_KV };
            }
        }
    }
    return n;
}

static int effects_write(struct db *db, struct store_request *const *requests, size_t count, size_t effects)
{
    struct window w = { .requests = requests, .count = count };
    struct window again = w;
    int code = SQLITE_OK;
    size_t n;

    if (effects > 0 && !places_reserve(db, effects))
        return SQLITE_NOMEM;
    while (effects > 0 && code == SQLITE_OK && (n = window_fill(db, &w)) > 0) {
        code = images_write(db, n);
        window_fill(db, &again); /* in order once more */
        for (size_t i = 0; i < n && code == SQLITE_OK; i++)
            code = undo_add(db, db->places[i].spot, db->places[i].effect, db->prev[i]);
    }
    return code;
}

/* What is to be done when all of it is written, its early writes too. */
static int entry_end(struct db *db, const struct store_entry *e, size_t *events)
{
    enum txn_state state;
    uint64_t bytes, event_last = db->ledger.event_last;
    unsigned touched;
    int code = db_txn_state(db, e->txn, &state, &bytes, &touched);

    if (code == SQLITE_OK && (touched & TOUCHES_EVENT) != 0)
        code = db_events_give(db, e->txn, e->history.ended_us);
    *events += db->ledger.event_last - event_last;
    if (code == SQLITE_OK && (touched & TOUCHES_FILE) != 0 && !ids_add(&db->ended, e->txn))
        code = SQLITE_NOMEM;
    return code;
}

/* Asked for groups only in which some entry ends with more than rows and kv, so that the others pay nothing. */
static int group_end(struct db *db, struct store_request *const *requests, size_t count, size_t *events)
{
    int code = SQLITE_OK;

    for (size_t r = 0; r < count; r++)
        for (size_t e = 0; e < requests[r]->entry_count && code == SQLITE_OK; e++)
            if (commits(&requests[r]->entries[e]))
                code = entry_end(db, &requests[r]->entries[e], events);
    return code;
}

int db_txn_state(struct db *db, uint64_t txn, enum txn_state *state, uint64_t *bytes, unsigned *touched)
{
    sqlite3_stmt *q = db->query[Q_TXN_STATE];

    *state = TXN_NEVER_STORED;
    *bytes = 0;
    *touched = 0;
    bind_id(q, 1, txn);
    if (sqlite3_step(q) == SQLITE_ROW) {
        *state = column_u64(q, 0) == 1 ? TXN_NOT_ENDED : TXN_ENDED;
        *bytes = column_u64(q, 1);
        *touched = (unsigned)column_u64(q, 2);
    }
    return sqlite3_reset(q);
}

int db_serial_reserve(struct db *db)
{
    struct ledger *l = &db->ledger;

    if (l->serial <= l->serial_reserve)
        return SQLITE_OK;
    l->serial_reserve = l->serial + SERIAL_BLOCK;
    return db_meta_put(db, "serial_reserve", l->serial_reserve);
}

static int group_write(struct db *db, struct store_request *const *requests, size_t count)
{
    uint64_t reserve = db->ledger.reserve;
    size_t effects = 0, rows = 0, tokens = 0, events = 0;
    bool ends, some_end = false;
    int code = SQLITE_OK;

    for (size_t r = 0; r < count; r++) {
        for (size_t e = 0; e < requests[r]->entry_count && code == SQLITE_OK; e++) {
            const struct store_entry *entry = &requests[r]->entries[e];
            code = entry_write(db, entry, &ends);
            some_end = some_end || ends;
            effects += entry->effect_count;
            rows += 1 + entry->effect_count + entry->nested_count;
            tokens += entry->idem_token.len > 0;
        }
        if (requests[r]->txn_reserve > db->ledger.reserve)
            db->ledger.reserve = requests[r]->txn_reserve;
    }
    if (code == SQLITE_OK)
        code = effects_write(db, requests, count, effects);
    if (code == SQLITE_OK && some_end)
        code = group_end(db, requests, count, &events);
    if (code == SQLITE_OK && db->ledger.reserve != reserve)
        code = db_meta_put(db, "txn_reserve", db->ledger.reserve);
    if (code == SQLITE_OK)
        code = db_serial_reserve(db);
    if (code == SQLITE_OK)
        code = db_fold(db, effects * FOLD_FACTOR > db->fold_keys ? effects * FOLD_FACTOR : db->fold_keys);
    if (code == SQLITE_OK)
        code = db_fold_ledger(db);
    return code == SQLITE_OK ? db_forget(db, rows, tokens, events) : code;
}

void db_commit(struct db *db, struct store_request *const *requests, size_t count, struct failure *why)
{
    int code;

    if (db_stopped(db, why))
        return;
    code = db_begin(db);
    if (code == SQLITE_OK)
        code = group_write(db, requests, count);
    db_end(db, code, "the commit", why);
}

/* --- grafts --- */

void db_graft_put(struct db *db, const struct store_graft *graft, struct failure *why)
{
    sqlite3_stmt *q = db->query[Q_GRAFT_PUT];
    int code;

    if (db_stopped(db, why))
        return;
    bind_text(q, 1, graft->name);
    bind_text(q, 2, graft->version);
    bind_text(q, 3, graft->sha256);
    bind_u64(q, 4, graft->size);
    bind_u64(q, 5, graft->loaded_by);
    sqlite3_bind_int64(q, 6, graft->loaded_us);
    code = db_begin(db);
    if (code == SQLITE_OK)
        code = db_run(db, Q_GRAFT_PUT);
    db_end(db, code, "storing the graft", why);
}

void db_graft_del(struct db *db, const char *name, struct failure *why)
{
    int code;

    if (db_stopped(db, why))
        return;
    bind_text(db->query[Q_GRAFT_DEL], 1, name);
    code = db_begin(db);
    if (code == SQLITE_OK)
        code = db_run(db, Q_GRAFT_DEL);
    db_end(db, code, "removing the graft", why);
}
