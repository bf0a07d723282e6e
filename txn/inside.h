/*
 * What txn.c, batch.c and scan.c share, and nobody else sees.
 *
 *     manager.c  start, poll, end                     txn.c    a transaction's life and its operations
 *     batch.c    what is decided, on its way to disk  load.c   reading one image
 *     scan.c     reading a range                      mark.c   going back to a mark
 *     note.c     what else the history tells
 *
 * A transaction, and what is true in each state (the table in txn.c says the same in code):
 *
 *     IDLE ─► OPEN ─► COMMITTING ─► ENDED ─► IDLE
 *               │         │           ▲
 *               └─────────┴► UNDOING ─┘
 *
 *     IDLE        on the free list
 *     OPEN        the caller's; on manager.open
 *     COMMITTING  decided. In a batch; or, having changed nothing, among the readers of the batch that it depends on
 *     UNDOING     its log was played back. Waits for an early write of it to land, then for STORE_UNDO, then, as a
 *                 reader, for the batch that it depends on
 *     ENDED       on manager.ending until ended() was called; kept while a batch still tells its row
 */
#ifndef GRAFTD_TXN_INSIDE_H
#define GRAFTD_TXN_INSIDE_H

#include "txn/txn.h"
#include "txn/undo.h"

enum {
    BATCH_ITEM_MAX = 1024,            /* transactions in one batch */
    BATCH_BYTES_MAX = 8 * 1024 * 1024, /* a batch that reached it takes no more */
    BATCH_SPARE_MAX = 4,
    ID_BLOCK = 10000,                 /* ids reserved at a time; renewed when half of them are used */
    ID_BLOCK_MAX = 1 << 20,           /* when they are used faster */
    TXN_SPARE_MAX = 256,              /* ended transactions kept for reuse */
    TXN_NAMES_INLINE = 128,           /* bytes of origin names that cost no allocation */
    TXN_PART_MAX = 1024,              /* transactions that one takes back */
};

enum txn_state { TXN_IDLE, TXN_OPEN, TXN_COMMITTING, TXN_UNDOING, TXN_ENDED };

/* Effects from first on, told as transaction `id`, which takes back `undoes`. */
struct txn_part {
    uint64_t id, undoes, first;
};

/* What an entry tells beside the effects; borrowed until the transaction is released. */
struct txn_tale {
    const struct store_nested *nested;
    size_t nested_count;
    struct bytes idem_token, idem_reply;
};

struct notes {
    struct store_nested *nested; /* owned, with their texts; in the order of seq */
    size_t nested_count, nested_cap;
    struct txn_part *parts; /* owned */
    size_t part_count, part_cap;
    void *kept; /* owned: token and reply */
    struct txn_tale tale;
};

struct txn {
    struct txn_manager *m;
    struct lock_holder locks;
    uint64_t id;
    enum txn_state state;
    struct list link;          /* manager.open, .ending, .spare; or batch.readers */
    struct list wake_link;     /* kv_entry.waiters while an image is read; then manager.waking */
    struct list deadline_link; /* manager.lock_waits while waiting for a lock */
    struct list doom_link;     /* manager.dooming until doomed() is called */
    bool waiting;              /* the last operation said ERR_WAIT and nobody woke it since */
    bool waiting_room;         /* it waits for an early write to land */
    bool told;                 /* ended() was called */
    bool row;                  /* the abort leaves a row in the history */
    bool spill_stored;         /* an early write is on disk */
    uint64_t depends;          /* newest batch that it read from */
    struct undo_log log;       /* effects made since the last early write */
    struct undo_log spilling;  /* effects of the early write in spill_batch */
    uint64_t spill_batch;      /* 0: none is on its way */
    uint64_t spilled;          /* effects placed in early writes */
    uint64_t effect_count;     /* made in all */
    struct store_request *undo; /* owned; taken at the first early write, so that an abort needs no memory */
    struct scan *scan;         /* owned; NULL: none */
    struct rollback *rollback; /* owned; NULL: none that takes back early writes */
    struct notes *notes;       /* owned; NULL: none */
    bool whole;                /* nothing of it is written early */
    uint64_t hold_ms;          /* UINT64_MAX: no limit */
    struct kv_entry *reached;  /* the key of the last operation, pinned; NULL: none */
    struct blob *borrowed;     /* owned reference: what txn_get handed out */
    size_t item_count;         /* batch items that refer to it */
    struct txn_events events;
    void *owner; /* the caller's */
    struct failure failure; /* OPEN: why it can only be aborted; ENDED: how it ended */
    struct store_history history;
    const struct txn_tale *tale; /* of notes; NULL: nothing beside */
    char *names; /* names_small or owned */
    char names_small[TXN_NAMES_INLINE];
};

enum item_kind {
    ITEM_COMMIT, /* a decided transaction: txn.log */
    ITEM_SPILL,  /* an early write: txn.spilling */
    ITEM_ROW,    /* the history row of an aborted one */
};

struct batch_item {
    struct txn *txn;
    enum item_kind kind;
};

struct batch {
    struct list link; /* manager.batches, oldest first */
    struct txn_manager *m;
    uint64_t number;
    struct batch_item *items;    /* owned */
    struct store_entry *entries; /* owned; filled when it is submitted */
    size_t count, cap;           /* of items */
    size_t entry_count, entry_cap;
    struct store_effect *effects; /* owned; filled when it is submitted */
    size_t effect_count, effect_cap;
    uint64_t bytes;
    struct list readers; /* transactions that end with it and have no item */
    struct store_request request;
};

struct txn_manager {
    struct txn_options options;
    struct store *store; /* borrowed */
    struct lock_table locks;
    struct kv kv;
    int64_t now_ms; /* of the last poll */
    bool asked;     /* wanted() was called since the last poll began */
    bool poisoned;
    uint64_t hold_least;  /* the smallest hold_ms that any transaction was begun with */
    int64_t hold_due_ms;  /* before this nobody has held too long; INT64_MAX: nobody waits */
    struct txn *hold_found; /* of the search for one who has */
    struct list open, waking, ending, dooming, lock_waits, spare;
    size_t spare_count;
    struct list batches, spare_batches;
    size_t spare_batch_count;
    struct batch *in_flight; /* the first of batches, when it was submitted */
    uint64_t batch_next;
    size_t request_count; /* the store has */
    uint64_t id_next, id_reserved; /* ids up to id_reserved are ours also after a crash */
    uint64_t id_block, id_block_began;
    bool id_wanted;                                /* the next commit renews the reserve, if need be an empty one */
    struct failure store_failure;                  /* the last one of a commit */
    struct txn_stats stats;
};

/* manager.c */
/* Somebody waits for a lock, or has one now that others may wait for: hold limits are looked at in time. */
void manager_hold_soon(struct txn_manager *m);
void manager_want(struct txn_manager *m); /* a poll, soon */
void manager_submit(struct txn_manager *m, struct store_request *r);

/* txn.c */
/* It can only be aborted from now on (the first reason stays); woken if it waits. */
void txn_doom(struct txn *t, enum err err, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same for a reason that is no answer to its own operation: doomed() is called, unless it was doomed before. */
void txn_doom_told(struct txn *t, enum err err, const char *format, ...) __attribute__((format(printf, 3, 4)));
void txn_wake(struct txn *t);
void txn_move(struct txn *t, enum txn_state next);
/* To ENDED; t->failure says how. */
void txn_end(struct txn *t);
/* UNDOING: takes the next step that is possible. */
void txn_undo_step(struct txn *t);
/* Calls ended(). */
void txn_tell(struct txn *t);
/* To the free list if it was told and no batch refers to it. */
void txn_release(struct txn *t);
void txn_free(struct txn *t); /* IDLE, on no list */
/* Begins an operation: OK, or why it can only be aborted. */
enum err txn_enter(struct txn *t, struct failure *why);
/* The same while a way back to a mark may be under way. */
enum err txn_again(struct txn *t, struct failure *why);
enum err txn_lock_range(struct txn *t, const struct range *range, struct failure *why);
/* Room for one more effect. While one early write is on its way the next one fills; when that is full too, ERR_WAIT. */
enum err txn_room(struct txn *t, struct failure *why);
/* Lock, then image: t->reached is the key's entry. It stays pinned until the next one is reached, so that what was read
 * for it is there when it asks again. */
enum err txn_reach(struct txn *t, struct bytes key, enum lock_mode mode, struct failure *why);
/* The key that was reached. after: the caller's reference, taken if OK. */
enum err txn_change(struct txn *t, struct blob *after, struct failure *why);
/* ERR_WAIT until the early write on its way has landed. */
enum err txn_wait_room(struct txn *t);
/* Dooms it with ERR_NOMEM and tells the caller so. */
enum err txn_no_memory(struct txn *t, struct failure *why);

/* load.c */
/* The pinned entry's image is known (OK), is being read (ERR_WAIT), or cannot be. Notes what t depends on. */
enum err txn_see(struct txn *t, struct kv_entry *e, struct failure *why);

/* batch.c */
/* Adds an item to the filling batch, with room for its effects. ERR_NOMEM: nothing happened. */
enum err batch_add(struct txn *t, enum item_kind kind, const struct undo_log *log, uint64_t *number);
/* Submits the next batch if none is in flight and there is one. */
void batch_submit(struct txn_manager *m);
/* NULL: it has ended. */
struct batch *batch_find(struct txn_manager *m, uint64_t number);
/* Nothing new is accepted, what is not submitted yet fails with ERR_STORAGE. */
void manager_poison(struct txn_manager *m);
void batch_free_spare(struct txn_manager *m);

/* scan.c */
void scan_close(struct txn *t); /* harmless without a scan */

/* note.c */
void notes_free(struct txn *t); /* harmless without any */
void notes_undone(struct txn *t); /* the transaction fails, and with it the calls inside it */
/* How many entries its commit takes. */
size_t notes_entry_count(const struct txn *t);
/* entries[0] has all its effects; there is room for notes_entry_count. */
void notes_split(const struct txn *t, struct store_entry *entries);

/* mark.c */
void rollback_close(struct txn *t); /* harmless without one */

#endif
