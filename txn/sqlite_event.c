/*
 * Events: told by transactions, kept for those who listen, forgotten by age and size.
 *
 * An event's id is given when its transaction commits, in the same SQLite transaction, from one counter for all topics:
 * so ids rise in the order of commits, who has seen one has seen all before it, and none is given twice. While an event
 * waits for that, it is an undo record of its transaction and nothing else. What was given an id stays when its
 * transaction is undone later: it was told (T9).
 */
#include "txn/sqlite.h"

#include "lib/check.h"

#include <string.h>

enum { EVENT_ROW_BYTES = 40 };

/* --- at commit --- */

/* The part of an event's key before the zero byte. */
static struct bytes topic_of(struct bytes key)
{
    const char *end = key.len == 0 ? NULL : memchr(key.data, '\0', key.len);

    CHECK(end != NULL);
    return bytes_of(key.data, (size_t)(end - (const char *)key.data));
}

static int event_add(struct db *db, uint64_t txn, int64_t at_us, struct bytes topic, struct bytes data)
{
    sqlite3_stmt *q = db->query[Q_EVENT_ADD], *t = db->query[Q_TOPIC_ADD];
    uint64_t id = ++db->ledger.event_last;
    int code;

    bind_u64(q, 1, id);
    bind_name(q, 2, topic);
    bind_u64(q, 3, txn);
    sqlite3_bind_int64(q, 4, at_us);
    bind_bytes(q, 5, data);
    code = db_run(db, Q_EVENT_ADD);
    if (code != SQLITE_OK)
        return code;
    db->ledger.event_bytes += EVENT_ROW_BYTES + topic.len + data.len;
    bind_name(t, 1, topic);
    bind_u64(t, 2, id);
    return db_run(db, Q_TOPIC_ADD);
}

int db_events_give(struct db *db, uint64_t txn, int64_t at_us)
{
    sqlite3_stmt *q = db->query[Q_UNDO_EVENTS];
    int code = SQLITE_OK, end;

    bind_u64(q, 1, txn);
    while (code == SQLITE_OK && sqlite3_step(q) == SQLITE_ROW)
        code = event_add(db, txn, at_us, topic_of(column_bytes(q, 0)), column_bytes(q, 1));
    end = sqlite3_reset(q);
    return code == SQLITE_OK ? end : code;
}

/* --- forgetting --- */

/* The oldest event, if it has to go; *id is 0 if not. The topic is borrowed until the statement is reset. */
static void oldest_due(struct db *db, sqlite3_stmt *q, uint64_t *id, struct bytes *topic, uint64_t *bytes)
{
    int64_t now = db_now_us();
    uint64_t age_ms;

    *id = 0;
    if (sqlite3_step(q) != SQLITE_ROW)
        return;
    age_ms = now > sqlite3_column_int64(q, 1) ? (uint64_t)(now - sqlite3_column_int64(q, 1)) / 1000 : 0;
    if (age_ms < db->events_ms && db->ledger.event_bytes <= db->events_bytes)
        return;
    *id = column_u64(q, 0);
    *topic = column_bytes(q, 2);
    *bytes = EVENT_ROW_BYTES + column_u64(q, 3);
}

static int forget_one(struct db *db, bool *more)
{
    sqlite3_stmt *q = db->query[Q_EVENT_OLDEST], *t = db->query[Q_TOPIC_FORGET];
    uint64_t id, bytes;
    struct bytes topic;
    int code = SQLITE_OK, end;

    oldest_due(db, q, &id, &topic, &bytes);
    *more = id != 0;
    if (id != 0) {
        bind_name(t, 1, topic);
        bind_u64(t, 2, id);
        code = db_run(db, Q_TOPIC_FORGET);
    }
    end = sqlite3_reset(q);
    if (id == 0 || code != SQLITE_OK || end != SQLITE_OK)
        return code == SQLITE_OK ? end : code;
    db->ledger.event_bytes = less(db->ledger.event_bytes, bytes);
    bind_u64(db->query[Q_EVENT_DEL], 1, id);
    return db_run(db, Q_EVENT_DEL);
}

int db_events_forget(struct db *db, size_t budget)
{
    int code = SQLITE_OK;
    bool more = true;

    for (; budget > 0 && more && code == SQLITE_OK; budget--)
        code = forget_one(db, &more);
    return code;
}

bool db_events_due(struct db *db)
{
    uint64_t id, bytes;
    struct bytes topic;

    oldest_due(db, db->query[Q_EVENT_OLDEST], &id, &topic, &bytes);
    return sqlite3_reset(db->query[Q_EVENT_OLDEST]) == SQLITE_OK && id != 0;
}

int db_events_ledger(struct db *db)
{
    int code = SQLITE_OK;

    if (db->ledger.event_last != db->before.event_last)
        code = db_meta_put(db, "event_last", db->ledger.event_last);
    if (code == SQLITE_OK && db->ledger.event_bytes != db->before.event_bytes)
        code = db_meta_put(db, "event_bytes", db->ledger.event_bytes);
    return code;
}

/* --- questions --- */

/* From the columns of Q_TOPIC_GET. */
static bool read_topic(struct store_request *r, sqlite3_stmt *q, struct store_topic *topic)
{
    topic->first = column_u64(q, 1);
    topic->last = column_u64(q, 2);
    topic->forgotten = column_u64(q, 3);
    topic->count = column_u64(q, 4);
    return read_bytes_of(r, q, 0, &topic->name);
}

/* Also of one that nobody ever told anything of: then it is empty. */
static void read_one_topic(struct db *db, struct store_request *r)
{
    sqlite3_stmt *q = db->query[Q_TOPIC_GET];

    r->topics = store_request_alloc(r, sizeof *r->topics);
    if (r->topics == NULL)
        return;
    bind_name(q, 1, r->key);
    if (sqlite3_step(q) == SQLITE_ROW)
        read_topic(r, q, &r->topics[0]);
    else
        r->topics[0].name = bytes_of(store_request_copy(r, r->key), r->key.len);
    r->topic_count = 1;
    read_end(db, r, q);
}

static bool read_event(struct store_request *r, sqlite3_stmt *q, struct store_event *event)
{
    event->id = column_u64(q, 0);
    event->txn = column_u64(q, 1);
    event->at_us = sqlite3_column_int64(q, 2);
    return read_bytes_of(r, q, 3, &event->data);
}

void read_events(struct db *db, struct store_request *r)
{
    sqlite3_stmt *q = db->query[Q_EVENT_LIST];
    size_t max = read_count_max(r, STORE_ROW_MAX);

    if (r->key.len > DB_KEY_MAX) {
        fail(&r->why, ERR_BADARG, "a topic of %zu bytes; none is longer than %d", r->key.len, DB_KEY_MAX);
        return;
    }
    read_one_topic(db, r);
    if (r->why.err == OK)
        r->events = store_request_alloc(r, max * sizeof *r->events);
    if (r->events == NULL)
        return;
    bind_name(q, 1, r->key);
    bind_id(q, 2, r->after);
    while (sqlite3_step(q) == SQLITE_ROW) {
        r->more = r->event_count == max;
        if (r->more || !read_event(r, q, &r->events[r->event_count]))
            break;
        r->event_count++;
    }
    read_stop_early(r, r->event_count);
    read_end(db, r, q);
}

void read_topics(struct db *db, struct store_request *r)
{
    sqlite3_stmt *q = db->query[Q_TOPIC_LIST];
    size_t max = read_count_max(r, STORE_ROW_MAX);
    struct bytes from = r->from;

    r->topics = store_request_alloc(r, max * sizeof *r->topics);
    if (r->topics == NULL)
        return;
    from.len = from.len > DB_KEY_MAX ? DB_KEY_MAX : from.len;
    bind_name(q, 1, from);
    while (sqlite3_step(q) == SQLITE_ROW) {
        r->more = r->topic_count == max;
        if (r->more || !read_topic(r, q, &r->topics[r->topic_count]))
            break;
        r->topic_count++;
    }
    read_stop_early(r, r->topic_count);
    read_end(db, r, q);
}
