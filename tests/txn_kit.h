/*
 * What the tests of transactions share: a disk, a store in memory, a manager, and actors that hold a transaction each
 * and note what they are told. Time is a number that the test moves.
 */
#ifndef GRAFTD_TESTS_TXN_KIT_H
#define GRAFTD_TESTS_TXN_KIT_H

#include "lib/check.h"
#include "lib/hash.h"
#include "tests/sim/store_mem.h"
#include "txn/txn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KIT_POLLS_MAX = 10000 };

struct world {
    struct disk *disk;
    struct store *store;
    struct txn_manager *m;
    struct txn_options options;
    int64_t now_ms;
    unsigned wanted;
};

struct actor {
    struct world *w;
    struct txn *t;    /* NULL once given away */
    uint64_t id;
    unsigned woken, doomed;
    bool ended;
    uint64_t undone;
    struct failure why;
};

static inline void world_wanted(void *arg) { ((struct world *)arg)->wanted++; }

static inline enum err world_open(struct world *w, struct failure *why)
{
    w->store = store_mem_open(w->disk);
    w->options.store = w->store;
    return txn_manager_new(&w->options, &w->m, why);
}

static inline void world_init(struct world *w)
{
    memset(w, 0, sizeof *w);
    w->disk = disk_new();
    w->options = (struct txn_options){ .key_max = 1024, .value_max = 100000, .lock_wait_ms = 1000,
                                       .cache_bytes = 1 << 20, .spill_bytes = 1 << 20, .wanted = world_wanted,
                                       .wanted_arg = w };
    CHECK(world_open(w, NULL) == OK);
}

static inline void world_close(struct world *w)
{
    txn_manager_free(&w->m);
    w->store->ops->close(w->store);
    w->store = NULL;
}

static inline void world_reopen(struct world *w)
{
    world_close(w);
    CHECK(world_open(w, NULL) == OK);
}

static inline void world_fini(struct world *w)
{
    world_close(w);
    disk_free(&w->disk);
}

static inline void world_poll(struct world *w) { txn_poll(w->m, w->now_ms); }

static inline void world_settle(struct world *w)
{
    for (int i = 0; i < 20; i++) {
        txn_write_rows(w->m);
        world_poll(w);
    }
}

/* The first and the last of a test, for cmocka: *state is the world. */
static inline int world_setup(void **state)
{
    static struct world w;

    world_init(&w);
    *state = &w;
    return 0;
}

static inline int world_teardown(void **state)
{
    struct world *w = *state;
    struct txn_stats s;

    txn_stats(w->m, &s);
    if (s.open > 0)
        return -1; /* a test that failed has left them: let its message be seen */
    world_fini(w);
    return 0;
}

static inline void actor_wake(void *owner) { ((struct actor *)owner)->woken++; }

static inline void actor_doomed(void *owner) { ((struct actor *)owner)->doomed++; }

static inline void actor_ended(void *owner, const struct failure *why, uint64_t undone)
{
    struct actor *a = owner;

    CHECK(!a->ended);
    a->ended = true;
    a->why = *why;
    a->undone = undone;
}

/* hold_ms: as in txn_origin. */
static inline enum err actor_begin_holding(struct actor *a, struct world *w, uint64_t hold_ms)
{
    static const struct txn_events events = { .wake = actor_wake, .ended = actor_ended, .doomed = actor_doomed };
    struct txn_origin origin = { .graft = "bank", .version = "1.0", .function = "transfer",
                                 .uid = 1000, .gid = 100, .pid = 7, .hold_ms = hold_ms };
    enum err err;

    memset(a, 0, sizeof *a);
    a->w = w;
    err = txn_begin(w->m, &origin, &events, a, 1000000, &a->t);
    if (err == OK)
        a->id = txn_id(a->t);
    return err;
}

static inline enum err actor_begin(struct actor *a, struct world *w) { return actor_begin_holding(a, w, 0); }

static inline struct txn *actor_give(struct actor *a)
{
    struct txn *t = a->t;

    a->t = NULL;
    return t;
}

static inline void actor_commit(struct actor *a) { txn_commit(actor_give(a), 2000000, 12); }

static inline void actor_abort(struct actor *a)
{
    struct failure why = { ERR_ABORTED, "the test said no" };

    txn_abort(actor_give(a), &why, 2000000, 12);
}

static inline void actor_quiet(struct actor *a) { txn_abort(actor_give(a), NULL, 2000000, 12); }

/* Polls until it has ended. */
static inline enum err actor_end(struct actor *a)
{
    for (int i = 0; !a->ended; i++) {
        CHECK(i < KIT_POLLS_MAX);
        world_poll(a->w);
    }
    return a->why.err;
}

static inline enum err actor_commit_end(struct actor *a)
{
    actor_commit(a);
    return actor_end(a);
}

static inline enum err actor_abort_end(struct actor *a)
{
    actor_abort(a);
    return actor_end(a);
}

/* Once: may say ERR_WAIT. */
static inline enum err try_put(struct actor *a, const char *key, const char *value)
{
    return txn_put(a->t, bytes_str(key), bytes_str(value), NULL);
}

static inline enum err try_delete(struct actor *a, const char *key) { return txn_delete(a->t, bytes_str(key), NULL); }

/* The value as text, borrowed until the next try_get; *err says how it went. */
static inline const char *try_get(struct actor *a, const char *key, enum lock_mode mode, enum err *err)
{
    static char text[256];
    struct bytes value = { 0 };

    *err = txn_get(a->t, bytes_str(key), mode, &value, NULL);
    if (*err != OK)
        return err_name(*err);
    snprintf(text, sizeof text, "%.*s", (int)value.len, (const char *)value.data);
    return text;
}

/* The same, polling while they wait for the store. */
#define UNTIL_DONE(a, err, attempt) \
    do { \
        int polls_ = 0; \
        while ((attempt, (err)) == ERR_WAIT) { \
            CHECK(polls_++ < KIT_POLLS_MAX); \
            world_poll((a)->w); \
        } \
    } while (0)

static inline enum err do_put(struct actor *a, const char *key, const char *value)
{
    enum err err;

    UNTIL_DONE(a, err, err = try_put(a, key, value));
    return err;
}

static inline enum err do_delete(struct actor *a, const char *key)
{
    enum err err;

    UNTIL_DONE(a, err, err = try_delete(a, key));
    return err;
}

static inline const char *do_get(struct actor *a, const char *key)
{
    const char *text;
    enum err err;

    UNTIL_DONE(a, err, text = try_get(a, key, LOCK_SHARED, &err));
    return text;
}

/* "k=v k=v +" where the plus says that there may be more. */
static inline const char *page_text(const struct txn_page *page)
{
    static char text[4096];
    size_t n = 0;

    text[0] = '\0';
    for (size_t i = 0; i < page->count; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%.*s=%.*s", i == 0 ? "" : " ", (int)page->items[i].key.len,
                              (const char *)page->items[i].key.data, (int)page->items[i].value.value.len,
                              (const char *)page->items[i].value.value.data);
    if (page->more)
        snprintf(text + n, sizeof text - n, " +");
    return text;
}

static inline const char *try_scan(struct actor *a, const char *prefix, const char *from, size_t count, enum err *err)
{
    struct txn_page page;

    *err = txn_scan(a->t, bytes_str(prefix), bytes_str(from), count, &page, NULL);
    return *err == OK ? page_text(&page) : err_name(*err);
}

static inline const char *do_scan(struct actor *a, const char *prefix, const char *from, size_t count)
{
    const char *text;
    enum err err;

    UNTIL_DONE(a, err, text = try_scan(a, prefix, from, count, &err));
    return text;
}

static inline enum err do_rollback(struct actor *a, struct txn_mark mark, uint64_t *undone)
{
    enum err err;

    UNTIL_DONE(a, err, err = txn_rollback_to(a->t, mark, undone, NULL));
    return err;
}

/* One transaction that puts one key, to its end. */
static inline enum err world_put(struct world *w, const char *key, const char *value)
{
    struct actor a;

    CHECK(actor_begin(&a, w) == OK);
    CHECK(do_put(&a, key, value) == OK);
    return actor_commit_end(&a);
}

/* What a new transaction reads. */
static inline const char *world_get(struct world *w, const char *key)
{
    struct actor a;
    const char *text;

    CHECK(actor_begin(&a, w) == OK);
    text = do_get(&a, key);
    CHECK(actor_commit_end(&a) == OK);
    return text;
}

/* What the disk holds. */
static inline const char *world_disk(const struct world *w, const char *key)
{
    static char text[256];
    struct image i = disk_get(w->disk, bytes_str(key));

    if (!i.present)
        return "ABSENT";
    snprintf(text, sizeof text, "%.*s", (int)i.value.len, (const char *)i.value.data);
    return text;
}

#endif
