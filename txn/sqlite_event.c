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

enum { EVENT_ROW_BYTES = 40, KEEP_MS_MIN = 1000 /* topics without events are not looked at all the time */ };

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
    bind_u64(t, 3, db->ledger.topic_reach); /* it may have been there before: who read it then is told */
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

/* Topics have no time: what had its last event before the mark had none since the time of the mark. Each time that the
 * mark has come to the age all topics are looked at, some in a step, and then a new one is set. */
bool db_topics_due(struct db *db)
{
    uint64_t now = (uint64_t)db_now_us(), keep_ms = db->events_ms > KEEP_MS_MIN ? db->events_ms : KEEP_MS_MIN;

    if (db->ledger.event_last == 0 || keep_ms > UINT64_MAX / 2000)
        return false;
    return db->ledger.topic_mark_us == 0 || less(now, db->ledger.topic_mark_us) >= 2 * keep_ms * 1000;
}

static void topics_mark(struct db *db)
{
    db->ledger.topic_mark = db->ledger.event_last;
    db->ledger.topic_mark_us = (uint64_t)db_now_us();
    db->topic_from_len = 0;
}

/* Those behind the last ones: the name of the last, and the newest event of those that go. No name: there are none. */
static int topics_page(struct db *db, size_t count, char end[DB_KEY_MAX], size_t *end_len, uint64_t *reach)
{
    sqlite3_stmt *q = db->query[Q_TOPIC_PAGE];

    bind_name(q, 1, bytes_of(db->topic_from, db->topic_from_len));
    bind_u64(q, 2, db->ledger.topic_mark);
    bind_u64(q, 3, count);
    if (sqlite3_step(q) == SQLITE_ROW && sqlite3_column_type(q, 0) != SQLITE_NULL) {
        struct bytes name = column_bytes(q, 0);
        CHECK(name.len <= DB_KEY_MAX);
        memcpy(end, name.data, name.len);
        *end_len = name.len;
        *reach = column_u64(q, 1);
    }
    return sqlite3_reset(q);
}

int db_topics_forget(struct db *db, size_t budget)
{
    sqlite3_stmt *q = db->query[Q_TOPIC_DEL];
    char end[DB_KEY_MAX];
    size_t end_len = 0;
    uint64_t reach = 0;
    int code;

    if (!db_topics_due(db))
        return SQLITE_OK;
    code = db->ledger.topic_mark_us == 0 ? SQLITE_OK : topics_page(db, budget, end, &end_len, &reach);
    if (code == SQLITE_OK && end_len == 0)
        topics_mark(db);
    if (code != SQLITE_OK || end_len == 0)
        return code;
    bind_name(q, 1, bytes_of(db->topic_from, db->topic_from_len));
    bind_u64(q, 2, db->ledger.topic_mark);
    bind_name(q, 3, bytes_of(end, end_len));
    code = reach == 0 ? SQLITE_OK : db_run(db, Q_TOPIC_DEL);
    if (reach > db->ledger.topic_reach)
        db->ledger.topic_reach = reach;
    memcpy(db->topic_from, end, end_len);
    db->topic_from_len = end_len;
    return code;
}

static int ledger_put(struct db *db, const char *name, uint64_t value, uint64_t before)
{
    return value == before ? SQLITE_OK : db_meta_put(db, name, value);
}

int db_events_ledger(struct db *db)
{
    const struct ledger *l = &db->ledger, *was = &db->before;
    int code = ledger_put(db, "event_last", l->event_last, was->event_last);

    if (code == SQLITE_OK)
        code = ledger_put(db, "event_bytes", l->event_bytes, was->event_bytes);
    if (code == SQLITE_OK)
        code = ledger_put(db, "topic_mark", l->topic_mark, was->topic_mark);
    if (code == SQLITE_OK)
        code = ledger_put(db, "topic_mark_us", l->topic_mark_us, was->topic_mark_us);
    return code == SQLITE_OK ? ledger_put(db, "topic_reach", l->topic_reach, was->topic_reach) : code;
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

/* Also of one that is not known: then it is empty. */
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
        r->topics[0] = (struct store_topic){ .name = bytes_of(store_request_copy(r, r->key), r->key.len),
                                             .forgotten = db->ledger.topic_reach };
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
