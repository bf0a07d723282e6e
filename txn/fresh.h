/*
 * What committed and is not in the table kv yet: keys in byte order, each with what it holds now and where its newest
 * change is recorded. It is memory alone; the undo records on disk say the same (sqlite_fold.c).
 *
 * A hash map finds a key, a skip list has their order. Its heights come from keyed hashes, so that hostile keys cannot
 * make it a plain list. Changes belong to the open transaction of the engine: fresh_commit() makes them stay, fresh_rollback() takes all since then back.
 * Neither can fail.
 */
#ifndef GRAFTD_TXN_FRESH_H
#define GRAFTD_TXN_FRESH_H

#include "lib/list.h"
#include "lib/map.h"
#include "txn/store.h"

/* Where the undo record of a change is; txn 0: nowhere. The changes of a key are a trail: its head is with the key (in
 * kv, or in gone when it is not there), and each record has the place of the one before. */
struct spot {
    uint64_t txn, seq;
};

/* The table that has the row of a key. */
enum head_place { HEAD_NOWHERE, HEAD_KV, HEAD_GONE, HEAD_OTHER, HEAD_UNKNOWN /* in gone, perhaps */ };

struct fresh_item {
    struct image image; /* the value lies behind the item */
    struct spot head;
    enum head_place stored; /* the older row that the database has of this key */
};

enum { FRESH_HEIGHT_MAX = 12 };

struct fresh_node {
    struct map_node by_key;    /* its key lies behind the node */
    struct list touched;       /* on no list: not by the open transaction */
    struct fresh_item *item;   /* owned; NULL: dropped, and the node goes at the commit */
    struct fresh_item *before; /* owned; of a touched one: what it had; NULL: it was not there */
    int height;
    struct fresh_node *next[]; /* height of them */
};

struct fresh {
    struct map by_key;
    struct fresh_node *first[FRESH_HEIGHT_MAX];
    struct list touched;
    uint64_t bytes; /* that the nodes take, with what they hold now */
};

enum err fresh_init(struct fresh *f); /* ERR_NOMEM */
void fresh_fini(struct fresh *f);     /* of a zeroed one too */
/* NULL: not here, and kv has it if anything does. Borrowed until the next change. */
const struct fresh_item *fresh_get(struct fresh *f, struct bytes key);
/* ERR_NOMEM: nothing changed. */
enum err fresh_put(struct fresh *f, struct bytes key, const struct image *image, struct spot head,
                   enum head_place stored);
void fresh_drop(struct fresh *f, struct bytes key); /* from now on kv has it */
void fresh_commit(struct fresh *f);
void fresh_rollback(struct fresh *f);
/* In order: the first that is not below this key, and the one behind. NULL: none. A node that is dropped keeps its
 * place until the commit; these pass over it. */
struct fresh_node *fresh_from(const struct fresh *f, struct bytes key);
struct fresh_node *fresh_after(const struct fresh_node *node);

#endif
