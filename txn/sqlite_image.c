/*
 * What a key of each resource holds, and where its newest change is recorded: the head of its trail.
 *
 *     kv     value and head in kv; the head of one that is gone in gone. What is fresh (sqlite_fold.c) goes before both
 *     timer  value in timer, head in head
 *     file   the disk holds it: only its head is here
 *     event  neither: nothing depends on an event, and an event on nothing (sqlite_event.c gives it its place)
 */
#include "txn/sqlite.h"

#include "lib/check.h"
#include "txn/timer_image.h"

static int head_ask(struct db *db, enum query id, struct spot *head, bool *found)
{
    sqlite3_stmt *q = db->query[id];

    *found = sqlite3_step(q) == SQLITE_ROW;
    if (*found)
        *head = column_spot(q, 0);
    return sqlite3_reset(q);
}

static int stored_head(struct db *db, struct bytes key, struct spot *head, enum head_place *place)
{
    static const enum query asked[] = { Q_KV_HEAD, Q_GONE_GET };
    static const enum head_place places[] = { HEAD_KV, HEAD_GONE };
    int code = SQLITE_OK;
    bool found = false;

    for (int i = 0; i < 2 && code == SQLITE_OK && !found; i++) {
        bind_bytes(db->query[asked[i]], 1, key);
        code = head_ask(db, asked[i], head, &found);
        if (found)
            *place = places[i];
    }
    return code;
}

static int kv_head(struct db *db, struct bytes key, struct spot *head, enum head_place *place)
{
    const struct fresh_item *item = fresh_get(&db->fresh, key);

    if (item == NULL)
        return stored_head(db, key, head, place);
    *head = item->head;
    *place = item->stored;
    return SQLITE_OK;
}

int db_head(struct db *db, char resource, struct bytes key, struct spot *head, enum head_place *place)
{
    bool found = false;
    int code;

    *head = (struct spot){ 0 };
    *place = HEAD_NOWHERE;
    if (resource == RESOURCE_KV)
        return kv_head(db, key, head, place);
    if (resource == RESOURCE_EVENT)
        return SQLITE_OK;
    bind_bytes(db->query[Q_HEAD_GET], 1, key);
    bind_resource(db->query[Q_HEAD_GET], 2, resource);
    code = head_ask(db, Q_HEAD_GET, head, &found);
    if (found)
        *place = HEAD_OTHER;
    return code;
}

static int run_with_key(struct db *db, enum query id, struct bytes key)
{
    bind_bytes(db->query[id], 1, key);
    return db_run(db, id);
}

/* SQLite reads a whole row to compare its key, if the row is larger than its page. */
static int note_large(struct db *db, const struct image *image)
{
    if (!image->present || image->value.len <= DB_LARGE_VALUE || db->ledger.large)
        return SQLITE_OK;
    db->ledger.large = 1;
    return db_meta_put(db, "large_values", 1);
}

static int kv_put(struct db *db, struct bytes key, const struct image *image, struct spot head, bool may_be_gone)
{
    enum query id = image->present ? Q_KV_PUT : Q_GONE_PUT;
    sqlite3_stmt *q = db->query[id];
    int code = note_large(db, image);

    if (may_be_gone && code == SQLITE_OK)
        code = run_with_key(db, Q_GONE_DEL, key);
    if (!image->present && code == SQLITE_OK)
        code = run_with_key(db, Q_KV_DEL, key);
    if (code != SQLITE_OK || (!image->present && head.txn == 0))
        return code;
    bind_bytes(q, 1, key);
    if (image->present)
        bind_bytes(q, 2, image->value);
    bind_spot(q, image->present ? 3 : 2, head);
    return db_run(db, id);
}

/* The columns are for people; what is no timer leaves them empty. */
static int timer_put(struct db *db, struct bytes key, const struct image *image)
{
    sqlite3_stmt *q = db->query[Q_TIMER_PUT];
    struct timer timer;

    if (!image->present)
        return run_with_key(db, Q_TIMER_DEL, key);
    bind_bytes(q, 1, key);
    bind_bytes(q, 2, image->value);
    if (timer_image_read(image->value, &timer)) {
        sqlite3_bind_int64(q, 3, timer.due_us);
        bind_name(q, 4, timer.function);
        bind_u64(q, 5, timer.uid);
        bind_u64(q, 6, timer.parked);
    } else {
        for (int i = 3; i <= 6; i++)
            sqlite3_bind_null(q, i);
    }
    return db_run(db, Q_TIMER_PUT);
}

static int head_put(struct db *db, char resource, struct bytes key, struct spot head)
{
    enum query id = head.txn == 0 ? Q_HEAD_DEL : Q_HEAD_PUT;

    bind_resource(db->query[id], 2, resource);
    if (id == Q_HEAD_PUT)
        bind_spot(db->query[id], 3, head);
    return run_with_key(db, id, key);
}

int db_image_put(struct db *db, char resource, struct bytes key, const struct image *image, struct spot head,
                 enum head_place was)
{
    int code = SQLITE_OK;

    if (resource == RESOURCE_KV) {
        code = kv_put(db, key, image, head, was == HEAD_GONE || was == HEAD_UNKNOWN);
        if (code == SQLITE_OK)
            fresh_drop(&db->fresh, key); /* not before: the image may be its own */
        return code;
    }
    if (resource == RESOURCE_EVENT)
        return SQLITE_OK;
    if (resource == RESOURCE_TIMER)
        code = timer_put(db, key, image);
    return code == SQLITE_OK ? head_put(db, resource, key, head) : code;
}
