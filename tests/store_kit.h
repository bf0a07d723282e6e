/*
 * What the tests of the store share: a directory of their own, requests that wait for their answer, and
 * short ways to say "key a went from x to y".
 */
#ifndef GRAFTD_TESTS_STORE_KIT_H
#define GRAFTD_TESTS_STORE_KIT_H

#include "lib/check.h"
#include "txn/store.h"

#include <ftw.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct kit {
    char directory[64];
    struct store_options options;
    struct store *store;
    sem_t woken;
};

static inline void kit_woken(void *arg) { sem_post(arg); }

static inline void kit_init(struct kit *k)
{
    memset(k, 0, sizeof *k);
    /* Nobody pulls a plug in these tests: memory will do for a disk, and syncs in no time. */
    snprintf(k->directory, sizeof k->directory, "%s/graftd-store-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    CHECK(mkdtemp(k->directory) != NULL);
    sem_init(&k->woken, 0, 0);
    k->options = (struct store_options){ .directory = k->directory, .synchronous = 0, .history_ms = UINT64_MAX,
                                         .history_bytes = UINT64_MAX, .events_ms = UINT64_MAX,
                                         .events_bytes = UINT64_MAX, .wake = kit_woken, .wake_arg = &k->woken };
}

static inline enum err kit_open(struct kit *k, struct failure *why)
{
    return store_sqlite_open(&k->options, &k->store, why);
}

static inline void kit_close(struct kit *k)
{
    if (k->store != NULL)
        k->store->ops->close(k->store);
    k->store = NULL;
}

static inline const char *kit_path(const struct kit *k, const char *name)
{
    static char path[2][512];
    static int turn;

    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", k->directory, name);
    return path[turn];
}

static inline int kit_remove(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st;
    (void)type;
    return where->level == 0 ? 0 : remove(path);
}

static inline void kit_empty_directory(struct kit *k)
{
    nftw(k->directory, kit_remove, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void kit_fini(struct kit *k)
{
    kit_close(k);
    kit_empty_directory(k);
    rmdir(k->directory);
    sem_destroy(&k->woken);
}

static inline void kit_done(struct store_request *r) { *(bool *)r->owner = true; }

/* Submits and waits. */
static inline enum err kit_ask(struct kit *k, struct store_request *r)
{
    bool done = false;

    r->owner = &done;
    r->done = kit_done;
    k->store->ops->submit(k->store, r);
    while (!done) {
        sem_wait(&k->woken);
        k->store->ops->poll(k->store);
    }
    return r->why.err;
}

/* NULL: not there. Borrowed from the text. */
static inline struct image kit_image(const char *text)
{
    return text == NULL ? (struct image){ 0 } : (struct image){ true, bytes_str(text) };
}

static inline struct store_effect kit_effect(const char *key, const char *before, const char *after)
{
    return (struct store_effect){ 'k', bytes_str(key), kit_image(before), kit_image(after) };
}

/* outcome NULL: an early write. */
static inline struct store_entry kit_entry(uint64_t txn, const char *outcome, const struct store_effect *effects,
                                           size_t count)
{
    struct store_history h = { .graft = "bank",
                               .version = "1.0",
                               .function = "transfer",
                               .outcome = outcome,
                               .uid = 1000,
                               .gid = 100,
                               .pid = 7,
                               .begun_us = 1000000,
                               .ended_us = 2000000,
                               .cpu_us = 12,
                               .effect_count = count };
    return (struct store_entry){ .txn = txn, .history = h, .effect_count = count, .effects = effects };
}

static inline enum err kit_commit(struct kit *k, const struct store_entry *entry, struct failure *why)
{
    struct store_request r = { .kind = STORE_COMMIT, .entries = entry, .entry_count = 1 };
    enum err err = kit_ask(k, &r);

    if (why != NULL)
        *why = r.why;
    store_request_fini(&r);
    return err;
}

/* One key from before to after, as one transaction. */
static inline enum err kit_put(struct kit *k, uint64_t txn, const char *outcome, const char *key, const char *before,
                               const char *after)
{
    struct store_effect e = kit_effect(key, before, after);
    struct store_entry entry = kit_entry(txn, outcome, &e, 1);

    return kit_commit(k, &entry, NULL);
}

/* The key holds exactly this; NULL: nothing. */
static inline bool kit_holds(struct kit *k, const char *key, const char *text)
{
    struct bytes name = bytes_str(key);
    struct store_request r = { .kind = STORE_GET, .keys = &name, .key_count = 1 };
    struct image want = kit_image(text);
    bool same;

    CHECK(kit_ask(k, &r) == OK);
    same = r.pairs[0].value.present == want.present && bytes_equal(r.pairs[0].value.value, want.value);
    store_request_fini(&r);
    return same;
}

/* How many effects the history keeps of it; -1: it is not in the history. */
static inline int kit_kept(struct kit *k, uint64_t txn)
{
    struct store_request r = { .kind = STORE_SHOW, .txn = txn };
    int n;

    CHECK(kit_ask(k, &r) == OK);
    n = r.row_count == 0 ? -1 : (int)r.effect_count;
    store_request_fini(&r);
    return n;
}

#endif
