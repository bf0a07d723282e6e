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
static void read_end(struct db *db, struct store_request *r, sqlite3_stmt *q)
{
    int code = sqlite3_reset(q);

    if (code != SQLITE_OK)
        read_failed(db, r, code);
}

static bool copy_bytes(struct store_request *r, sqlite3_stmt *q, int at, struct bytes *out)
{
    struct bytes b = column_bytes(q, at);

    *out = bytes_of(store_request_copy(r, b), b.len);
    return out->data != NULL;
}

static bool copy_image(struct store_request *r, sqlite3_stmt *q, int at, struct image *out)
{
    if (sqlite3_column_type(q, at) == SQLITE_NULL)
        return true;
    out->present = true;
    return copy_bytes(r, q, at, &out->value);
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

static size_t count_clamp(size_t count, size_t max) { return count < max ? count : max; }

/* True: the answer is full after some rows, which is no failure but a stop. */
static bool stop_early(struct store_request *r, size_t rows)
{
    if (r->why.err != ERR_LIMIT || rows == 0)
        return false;
    failure_clear(&r->why);
    r->more = true;
    return true;
}

static void read_get(struct db *db, struct store_request *r)
{
    sqlite3_stmt *q = db->query[Q_KV_GET];

    CHECK(r->key_count <= STORE_PAIR_MAX);
    r->pairs = store_request_alloc(r, r->key_count * sizeof *r->pairs);
    if (r->pairs == NULL)
        return;
    for (size_t i = 0; i < r->key_count && r->why.err == OK; i++) {
        struct store_pair *pair = &r->pairs[i];
        pair->key = bytes_of(store_request_copy(r, r->keys[i]), r->keys[i].len);
        if (pair->key.data == NULL || pair->key.len > DB_KEY_MAX)
            continue; /* a longer one was never stored */
        bind_bytes(q, 1, r->keys[i]);
        if (sqlite3_step(q) == SQLITE_ROW)
            copy_image(r, q, 0, &pair->value);
        read_end(db, r, q);
    }
    r->pair_count = r->key_count;
}

static bool copy_pair(struct store_request *r, sqlite3_stmt *q, struct store_pair *pair)
{
    return copy_bytes(r, q, 0, &pair->key) && copy_image(r, q, 1, &pair->value);
}

static void read_scan(struct db *db, struct store_request *r)
{
    sqlite3_stmt *q = db->query[Q_KV_SCAN];
    size_t max = count_clamp(r->count_max, STORE_PAIR_MAX);
    struct bytes from = bytes_compare(r->from, r->prefix) > 0 ? r->from : r->prefix;

    r->pairs = store_request_alloc(r, max * sizeof *r->pairs);
    if (r->pairs == NULL)
        return;
    if (from.len > DB_KEY_MAX)
        from.len = DB_KEY_MAX + 1; /* no key is so long, so no key lies between */
    bind_bytes(q, 1, from);
    while (sqlite3_step(q) == SQLITE_ROW && bytes_start_with(column_bytes(q, 0), r->prefix)) {
        r->more = r->pair_count == max;
        if (r->more || !copy_pair(r, q, &r->pairs[r->pair_count]))
            break;
        r->pair_count++;
    }
    stop_early(r, r->pair_count);
    read_end(db, r, q);
}

/* The columns of Q_TXN_LIST and Q_TXN_SHOW. */
static bool copy_row(struct store_request *r, sqlite3_stmt *q, struct store_row *row)
{
    row->txn = column_u64(q, 0);
    row->uid = (uint32_t)column_u64(q, 6);
    row->gid = (uint32_t)column_u64(q, 7);
    row->pid = (uint32_t)column_u64(q, 8);
    row->begun_us = sqlite3_column_int64(q, 9);
    row->ended_us = sqlite3_column_int64(q, 10);
    row->cpu_us = column_u64(q, 11);
    row->effect_count = column_u64(q, 12);
    return copy_text(r, q, 1, &row->graft) && copy_text(r, q, 2, &row->version) && copy_text(r, q, 3, &row->function) &&
           copy_text(r, q, 4, &row->outcome) && copy_text(r, q, 5, &row->error);
}

static void read_list(struct db *db, struct store_request *r)
{
    sqlite3_stmt *q = db->query[Q_TXN_LIST];
    size_t max = count_clamp(r->count_max, STORE_ROW_MAX);

    r->rows = store_request_alloc(r, max * sizeof *r->rows);
    if (r->rows == NULL)
        return;
    bind_u64(q, 1, r->txn == 0 ? INT64_MAX : r->txn);
    bind_u64(q, 2, max + 1);
    while (sqlite3_step(q) == SQLITE_ROW) {
        r->more = r->row_count == max;
        if (r->more || !copy_row(r, q, &r->rows[r->row_count]))
            break;
        r->row_count++;
    }
    stop_early(r, r->row_count);
    read_end(db, r, q);
}

static bool copy_effect(struct store_request *r, sqlite3_stmt *q, struct store_effect *e)
{
    char resource[2];

    copy_fixed(q, 0, resource, sizeof resource);
    e->resource = resource[0];
    return copy_bytes(r, q, 1, &e->key) && copy_image(r, q, 2, &e->before) && copy_image(r, q, 3, &e->after);
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

    bind_u64(db->query[Q_UNDO_COUNT], 1, r->txn);
    count = read_count(db, r, Q_UNDO_COUNT);
    if (r->why.err == OK)
        r->effects = store_request_alloc(r, count > STORE_ANSWER_MAX ? STORE_ANSWER_MAX : count * sizeof *r->effects);
    if (r->effects == NULL)
        return;
    bind_u64(q, 1, r->txn);
    while (r->effect_count < count && sqlite3_step(q) == SQLITE_ROW && copy_effect(r, q, &r->effects[r->effect_count]))
        r->effect_count++;
    read_end(db, r, q);
}

static void read_show(struct db *db, struct store_request *r)
{
    sqlite3_stmt *q = db->query[Q_TXN_SHOW];

    r->rows = store_request_alloc(r, sizeof *r->rows);
    if (r->rows == NULL)
        return;
    bind_u64(q, 1, r->txn);
    if (sqlite3_step(q) == SQLITE_ROW && copy_row(r, q, &r->rows[0]))
        r->row_count = 1;
    read_end(db, r, q);
    if (r->why.err == OK && r->row_count == 1)
        read_effects(db, r);
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
        [STORE_GET] = read_get,   [STORE_SCAN] = read_scan,         [STORE_LIST] = read_list,
        [STORE_SHOW] = read_show, [STORE_GRAFT_LIST] = read_grafts,
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
