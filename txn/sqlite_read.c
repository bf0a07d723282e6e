/*
 * The questions. Each is answered from one connection between two SQLite transactions, so it sees whole
 * batches only. Answers are copied: nothing of SQLite's memory leaves.
 */
#include "txn/sqlite.h"

#include "lib/check.h"

#include <string.h>

static void read_failed(struct db *db, struct store_request *r, int code)
{
    if (r->why.err == OK)
        db_fail(db, code, "the read", &r->why);
}

/* Ends a read: the statement's own error, unless the copy of a row failed first. */
void read_end(struct db *db, struct store_request *r, sqlite3_stmt *q)
{
    int code = sqlite3_reset(q);

    if (code != SQLITE_OK)
        read_failed(db, r, code);
}

bool read_bytes_of(struct store_request *r, sqlite3_stmt *q, int at, struct bytes *out)
{
    struct bytes b = column_bytes(q, at);

    *out = bytes_of(store_request_copy(r, b), b.len);
    return out->data != NULL;
}

bool read_image(struct store_request *r, sqlite3_stmt *q, int at, struct image *out)
{
    if (sqlite3_column_type(q, at) == SQLITE_NULL)
        return true;
    out->present = true;
    return read_bytes_of(r, q, at, &out->value);
}

static bool copy_text(struct store_request *r, sqlite3_stmt *q, int at, char **out)
{
    if (sqlite3_column_type(q, at) == SQLITE_NULL)
        return true;
    *out = store_request_copy(r, column_bytes(q, at));
    return *out != NULL;
}

static void copy_fixed(sqlite3_stmt *q, int at, char *out, size_t size)
{
    struct bytes b = column_bytes(q, at);
    size_t n = b.len < size ? b.len : size - 1;

    if (n > 0)
        memcpy(out, b.data, n);
    out[n] = '\0';
}

size_t read_count_max(struct store_request *r, size_t max) { return r->count_max < max ? r->count_max : max; }

bool read_stop_early(struct store_request *r, size_t rows)
{
    if (r->why.err != ERR_LIMIT || rows == 0)
        return false;
    failure_clear(&r->why);
    r->more = true;
    return true;
}

static bool copy_image(struct store_request *r, const struct image *image, struct image *out)
{
    if (!image->present)
        return true;
    out->present = true;
    out->value = bytes_of(store_request_copy(r, image->value), image->value.len);
    return out->value.data != NULL;
}

void read_current(struct db *db, struct store_request *r, char resource, struct bytes key, struct image *out)
{
    sqlite3_stmt *q = db->query[resource == RESOURCE_TIMER ? Q_TIMER_GET : Q_KV_GET];
    const struct fresh_item *fresh = resource == RESOURCE_KV ? fresh_get(&db->fresh, key) : NULL;

    if (key.len > DB_KEY_MAX)
        return; /* a longer one was never stored */
    if (resource == RESOURCE_FILE) {
        read_file_stat(db, r, key, out);
        return;
    }
    if (fresh != NULL) {
        copy_image(r, &fresh->image, out);
        return;
    }
    bind_bytes(q, 1, key);
    if (sqlite3_step(q) == SQLITE_ROW)
        read_image(r, q, 0, out);
    read_end(db, r, q);
}

static void read_get(struct db *db, struct store_request *r)
{
    CHECK(r->key_count <= STORE_PAIR_MAX);
    r->pairs = store_request_alloc(r, r->key_count * sizeof *r->pairs);
    if (r->pairs == NULL)
        return;
    for (size_t i = 0; i < r->key_count && r->why.err == OK; i++) {
        struct store_pair *pair = &r->pairs[i];
        pair->key = bytes_of(store_request_copy(r, r->keys[i]), r->keys[i].len);
        if (pair->key.data != NULL)
            read_current(db, r, read_resource(r), r->keys[i], &pair->value);
    }
    r->pair_count = r->key_count;
}

/* Two ordered rows of keys read as one: what is fresh goes before the row that is stored of the same key. */
struct merge {
    sqlite3_stmt *q;
    bool stored;              /* q is at a row */
    struct fresh_node *fresh; /* NULL: none is left */
};

static struct bytes merge_key(const struct merge *m, bool *fresh)
{
    int order = !m->stored ? -1 : m->fresh == NULL ? 1 : bytes_compare(m->fresh->by_key.key, column_bytes(m->q, 0));

    *fresh = order <= 0;
    return *fresh ? m->fresh->by_key.key : column_bytes(m->q, 0);
}

/* Past all that is known of this key, which is the one at which it is. */
static void merge_step(struct merge *m)
{
    bool fresh, both;
    struct bytes key = merge_key(m, &fresh);

    both = fresh && m->stored && bytes_equal(key, column_bytes(m->q, 0));
    if (fresh)
        m->fresh = fresh_after(m->fresh);
    if (!fresh || both)
        m->stored = sqlite3_step(m->q) == SQLITE_ROW;
}

/* To the next key that is there, which may be the one at which it is. False: none is left. */
static bool merge_there(struct merge *m, struct bytes *key, bool *fresh)
{
    while (m->stored || m->fresh != NULL) {
        *key = merge_key(m, fresh);
        if (!*fresh || m->fresh->item->image.present)
            return true;
        merge_step(m);
    }
    return false;
}

static bool copy_pair(struct store_request *r, const struct merge *m, struct bytes key, bool fresh,
                      struct store_pair *pair)
{
    pair->key = bytes_of(store_request_copy(r, key), key.len);
    if (pair->key.data == NULL)
        return false;
    return fresh ? copy_image(r, &m->fresh->item->image, &pair->value) : read_image(r, m->q, 1, &pair->value);
}

static void read_scan(struct db *db, struct store_request *r)
{
    sqlite3_stmt *q = db->query[read_resource(r) == RESOURCE_TIMER ? Q_TIMER_SCAN : Q_KV_SCAN];
    size_t max = read_count_max(r, STORE_PAIR_MAX);
    struct bytes key, from = bytes_compare(r->from, r->prefix) > 0 ? r->from : r->prefix;
    struct merge m = { .q = q };
    bool fresh;

    r->pairs = store_request_alloc(r, max * sizeof *r->pairs);
    if (r->pairs == NULL)
        return;
    if (from.len > DB_KEY_MAX)
        from.len = DB_KEY_MAX + 1; /* no key is so long, so no key lies between */
    bind_bytes(q, 1, from);
    m.stored = sqlite3_step(q) == SQLITE_ROW;
    m.fresh = read_resource(r) == RESOURCE_KV ? fresh_from(&db->fresh, from) : NULL;
    for (; merge_there(&m, &key, &fresh) && bytes_start_with(key, r->prefix); merge_step(&m)) {
        r->more = r->pair_count == max;
        if (r->more || !copy_pair(r, &m, key, fresh, &r->pairs[r->pair_count]))
            break;
        r->pair_count++;
    }
    read_stop_early(r, r->pair_count);
    read_end(db, r, q);
}

bool read_row(struct store_request *r, sqlite3_stmt *q, struct store_row *row)
{
    row->txn = column_u64(q, 0);
    row->uid = (uint32_t)column_u64(q, 6);
    row->gid = (uint32_t)column_u64(q, 7);
    row->pid = (uint32_t)column_u64(q, 8);
    row->begun_us = sqlite3_column_int64(q, 9);
    row->ended_us = sqlite3_column_int64(q, 10);
    row->cpu_us = column_u64(q, 11);
    row->effect_count = column_u64(q, 12);
    row->lock_wait_us = column_u64(q, 13);
    row->undoes = column_u64(q, 14);
    row->undone_by = column_u64(q, 15);
    row->parent = column_u64(q, 16);
    row->depth = (uint32_t)column_u64(q, 17);
    return copy_text(r, q, 1, &row->graft) && copy_text(r, q, 2, &row->version) && copy_text(r, q, 3, &row->function) &&
           copy_text(r, q, 4, &row->outcome) && copy_text(r, q, 5, &row->error);
}

static bool text_is(sqlite3_stmt *q, int at, const char *text)
{
    return text == NULL ||
           (sqlite3_column_type(q, at) != SQLITE_NULL && bytes_equal(column_bytes(q, at), bytes_str(text)));
}

bool read_matches(const struct store_filter *f, sqlite3_stmt *q)
{
    return text_is(q, 1, f->graft) && text_is(q, 3, f->function) && text_is(q, 4, f->outcome) &&
           (!f->has_uid || column_u64(q, 6) == f->uid) &&
           (f->since_us == 0 || sqlite3_column_int64(q, 9) >= f->since_us) &&
           (f->until_us == 0 || sqlite3_column_int64(q, 9) < f->until_us);
}

static void read_list(struct db *db, struct store_request *r)
{
    sqlite3_stmt *q = db->query[Q_TXN_LIST];
    size_t max = read_count_max(r, STORE_ROW_MAX), looked = 0;

    if (r->filter.has_key) {
        read_list_key(db, r);
        return;
    }
    r->rows = store_request_alloc(r, max * sizeof *r->rows);
    if (r->rows == NULL)
        return;
    r->next = r->txn;
    bind_id(q, 1, r->txn == 0 ? INT64_MAX : r->txn);
    while (sqlite3_step(q) == SQLITE_ROW) {
        bool matches = read_matches(&r->filter, q);
        r->more = (matches && r->row_count == max) || looked++ == STORE_PAGE_LOOK_MAX;
        if (r->more || (matches && !read_row(r, q, &r->rows[r->row_count])))
            break;
        r->row_count += matches;
        r->next = column_u64(q, 0);
    }
    read_stop_early(r, r->row_count);
    read_end(db, r, q);
}

static bool copy_effect(struct store_request *r, sqlite3_stmt *q, struct store_effect *e)
{
    char resource[2];

    copy_fixed(q, 0, resource, sizeof resource);
    e->resource = resource[0];
    return read_bytes_of(r, q, 1, &e->key) && read_image(r, q, 2, &e->before) && read_image(r, q, 3, &e->after);
}

/* The number that a counting statement answers. */
static size_t read_count(struct db *db, struct store_request *r, enum query id)
{
    sqlite3_stmt *q = db->query[id];
    size_t count = sqlite3_step(q) == SQLITE_ROW ? column_u64(q, 0) : 0;

    read_end(db, r, q);
    return count;
}

static void read_effects(struct db *db, struct store_request *r)
{
    sqlite3_stmt *q = db->query[Q_UNDO_LIST];
    size_t count;

    bind_id(db->query[Q_UNDO_COUNT], 1, r->txn);
    count = read_count(db, r, Q_UNDO_COUNT);
    if (r->why.err == OK)
        r->effects = store_request_alloc(r, count > STORE_ANSWER_MAX ? STORE_ANSWER_MAX : count * sizeof *r->effects);
    if (r->effects == NULL)
        return;
    bind_id(q, 1, r->txn);
    while (r->effect_count < count && sqlite3_step(q) == SQLITE_ROW && copy_effect(r, q, &r->effects[r->effect_count]))
        r->effect_count++;
    read_end(db, r, q);
}

static bool copy_nested(struct store_request *r, sqlite3_stmt *q, struct store_nested *n)
{
    const char **const texts[] = { &n->graft, &n->version, &n->function, &n->outcome, &n->error };

    for (int i = 0; i < 5; i++) {
        char *text = NULL;
        if (!copy_text(r, q, 2 + i, &text))
            return false;
        *texts[i] = text;
    }
    n->seq = (uint32_t)column_u64(q, 0);
    n->parent_seq = (uint32_t)column_u64(q, 1);
    n->begun_us = sqlite3_column_int64(q, 7);
    n->ended_us = sqlite3_column_int64(q, 8);
    n->cpu_us = column_u64(q, 9);
    n->first_effect = column_u64(q, 10);
    n->effect_count = column_u64(q, 11);
    return true;
}

static void read_nested(struct db *db, struct store_request *r)
{
    sqlite3_stmt *q = db->query[Q_NESTED_LIST];
    size_t count;

    bind_id(db->query[Q_NESTED_COUNT], 1, r->txn);
    count = read_count(db, r, Q_NESTED_COUNT);
    if (r->why.err == OK)
        r->nested = store_request_alloc(r, count > STORE_ANSWER_MAX ? STORE_ANSWER_MAX : count * sizeof *r->nested);
    if (r->nested == NULL)
        return;
    bind_id(q, 1, r->txn);
    while (r->nested_count < count && sqlite3_step(q) == SQLITE_ROW && copy_nested(r, q, &r->nested[r->nested_count]))
        r->nested_count++;
    read_end(db, r, q);
}

static void read_show(struct db *db, struct store_request *r)
{
    sqlite3_stmt *q = db->query[Q_TXN_SHOW];

    r->rows = store_request_alloc(r, sizeof *r->rows);
    if (r->rows == NULL)
        return;
    bind_id(q, 1, r->txn);
    if (sqlite3_step(q) == SQLITE_ROW && read_row(r, q, &r->rows[0]))
        r->row_count = 1;
    read_end(db, r, q);
    if (r->why.err == OK && r->row_count == 1)
        read_effects(db, r);
    if (r->why.err == OK && r->row_count == 1)
        read_nested(db, r);
}

static void read_idem(struct db *db, struct store_request *r)
{
    sqlite3_stmt *q = db->query[Q_IDEM_GET];

    if (r->token.len > STORE_TOKEN_MAX)
        return; /* a longer one was never stored */
    bind_u64(q, 1, r->uid);
    bind_bytes(q, 2, r->token);
    r->idem.found = sqlite3_step(q) == SQLITE_ROW;
    if (r->idem.found) {
        r->idem.txn = column_u64(q, 0);
        read_bytes_of(r, q, 1, &r->idem.reply);
    }
    read_end(db, r, q);
}

static void read_grafts(struct db *db, struct store_request *r)
{
    sqlite3_stmt *q = db->query[Q_GRAFT_LIST];
    size_t count = read_count(db, r, Q_GRAFT_COUNT);

    if (r->why.err == OK)
        r->grafts = store_request_alloc(r, count * sizeof *r->grafts);
    if (r->grafts == NULL)
        return;
    while (r->graft_count < count && sqlite3_step(q) == SQLITE_ROW) {
        struct store_graft *g = &r->grafts[r->graft_count++];
        copy_fixed(q, 0, g->name, sizeof g->name);
        copy_fixed(q, 1, g->version, sizeof g->version);
        copy_fixed(q, 2, g->sha256, sizeof g->sha256);
        g->size = column_u64(q, 3);
        g->loaded_by = (uint32_t)column_u64(q, 4);
        g->loaded_us = sqlite3_column_int64(q, 5);
    }
    read_end(db, r, q);
}

void db_read(struct db *db, struct store_request *r)
{
    static void (*const readers[])(struct db *, struct store_request *) = {
        [STORE_GET] = read_get,     [STORE_SCAN] = read_scan, [STORE_LIST] = read_list,
        [STORE_SHOW] = read_show,   [STORE_IDEM] = read_idem, [STORE_GRAFT_LIST] = read_grafts,
        [STORE_BLAME] = read_blame, [STORE_AT] = read_at,     [STORE_DEPENDENTS] = read_dependents,
        [STORE_EVENTS] = read_events, [STORE_TOPICS] = read_topics, [STORE_FILE_READ] = read_file,
    };
    struct failure why;

    if (db->poison.err != OK) {
        fail(&r->why, ERR_STORAGE, "%s", db->poison.text);
        return;
    }
    readers[r->kind](db, r);
    if (r->why.err != OK) {
        why = r->why; /* half an answer is none */
        store_request_fini(r);
        r->why = why;
    }
}
