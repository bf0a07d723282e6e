/*
 * What the files of the manager share, and nobody else sees.
 *
 *     manager.c  start, poll, end                     txn.c    a transaction's life
 *     batch.c    what is decided, on its way to disk  item.c   reading and changing one item
 *     scan.c     reading a range                      load.c   reading one image from the store
 *     note.c     what else the history tells          mark.c   going back to a mark
 *     stored.c   telling what is on disk              file.c   operations on files (file_item.c: on one path;
 *     stage.c    their content, on its way                     file_put_back.c: taking back what was committed)
 *     apply.c    the commit of one that changed files
 *
 * A transaction, and what is true in each state (the table in txn.c says the same in code):
 *
 *     IDLE ─► OPEN ────────────► COMMITTING ─► ENDED ─► IDLE
 *              │ └─► APPLYING ─┘   │             ▲
 *              └────────┴──────────┴─► UNDOING ──┘
 *
 *     IDLE        on the free list
 *     OPEN        the caller's; on manager.open
 *     APPLYING    it changed files: waits for its early writes to land, then for STORE_APPLY. On manager.open
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
    BATCH_ITEM_MAX = 1024,             /* transactions in one batch */
    BATCH_BYTES_MAX = 8 * 1024 * 1024, /* a batch that reached it takes no more */
    BATCH_SPARE_MAX = 4,
    ROW_WAIT_MS = 10,       /* so long rows wait for something that has to be written, */
    ROW_WAIT_MAX = 256,     /* unless they are so many */
    ID_BLOCK = 10000,       /* ids reserved at a time; renewed when half of them are used */
    ID_BLOCK_MAX = 1 << 20, /* when they are used faster */
    TXN_SPARE_MAX = 256,    /* ended transactions kept for reuse */
    TXN_NAMES_INLINE = 128, /* bytes of origin names that cost no allocation */
    TXN_PART_MAX = 1024,    /* transactions that one takes back */
    ITEM_SHOWN = 96,        /* bytes of an item in a message */
    FILE_USED_MAX = 16384,  /* files that one transaction uses */
};

enum txn_state { TXN_IDLE, TXN_OPEN, TXN_APPLYING, TXN_COMMITTING, TXN_UNDOING, TXN_ENDED };

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
    uint64_t *part_ids; /* owned: of parts but the first, which is the transaction; NULL: not needed yet */
    void *kept; /* owned: token and reply */
    struct txn_tale tale;
};

/* What a transaction has to do with files. */
struct files {
    struct map used;              /* of files that it used, pinned; at most FILE_USED_MAX */
    struct stage_work *work;      /* owned; NULL: no request of an operation */
    struct kv_entry *refused_entry; /* reached, and the store says that it is no file: why is in refused; NULL: none */
    struct failure refused;
    uint64_t stages;              /* stage files so far */
    bool staged;                  /* there may be some */
    bool spilled;                 /* an early write has effects on files */
    bool applied, busy;           /* APPLYING: it was done; the store has the request */
    struct store_request request; /* STORE_APPLY; then STORE_FILE_DROP, which outlives the transaction */
    struct txn_manager *m;        /* for that */
};

struct txn {
    struct txn_manager *m;
    struct lock_holder locks;
    uint64_t id;
    enum txn_state state;
    struct list link;          /* manager.open, .ending, .spare; or batch.readers */
    struct list wake_link;     /* kv_entry.waiters while an image is read, manager.unnumbered; then manager.waking */
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
    bool spilled_told;         /* some of them are such as stored.c tells of */
    uint64_t effect_count;     /* made in all */
    uint64_t named;            /* names given to items, see txn_item_name */
    struct store_request *undo; /* owned; taken at the first early write, so that an abort needs no memory */
    struct scan *scan;         /* owned; NULL: none */
    struct rollback *rollback; /* owned; NULL: none that takes back early writes */
    struct notes *notes;       /* owned; NULL: none */
    struct files *files;       /* owned; NULL: it has nothing to do with files */
    bool whole;                /* nothing of it is written early */
    uint64_t hold_ms;          /* UINT64_MAX: no limit */
    struct kv_entry *reached;  /* the item of the last operation, pinned; NULL: none */
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
    size_t rows;                 /* of them, ITEM_ROW */
    size_t entry_count, entry_cap;
    struct store_effect *effects; /* owned; filled when it is submitted */
    size_t effect_count, effect_cap;
    uint64_t bytes;
    struct list readers; /* transactions that end with it and have no item */
    struct store_request request;
};

/* What is to be told of what is on disk, in order. */
struct stored_notes {
    struct stored_note *list; /* owned */
    size_t count, cap;
    bool look; /* more is on disk than the list tells */
};

struct txn_manager {
    struct txn_options options;
    struct store *store; /* borrowed */
    struct lock_table locks;
    struct kv kv;
    uint8_t *item_text; /* owned: where item_name writes */
    char **root_names;  /* owned, with the names: options.root_count */
    int64_t now_ms; /* of the last poll */
    bool asked;     /* wanted() was called since the last poll began */
    bool poisoned;
    uint64_t hold_least;  /* the smallest hold_ms that any transaction was begun with */
    int64_t hold_due_ms;  /* before this nobody has held too long; INT64_MAX: nobody waits */
    struct txn *hold_found; /* of the search for one who has */
    struct list open, waking, ending, dooming, lock_waits, spare, warmed;
    size_t spare_count;
    struct list batches, spare_batches;
    size_t spare_batch_count;
    struct batch *in_flight; /* the first of batches, when it was submitted */
    int64_t rows_due_ms;     /* when a batch of rows alone is submitted; -1: none waits */
    bool rows_wanted;        /* somebody is about to read them */
    uint64_t batch_next;
    size_t request_count; /* the store has */
    uint64_t id_next, id_reserved; /* ids up to id_reserved are ours also after a crash */
    uint64_t id_block, id_block_began;
    bool id_wanted;                                /* the next commit renews the reserve, if need be an empty one */
    struct list unnumbered; /* transactions that wait for their id to be on disk, by wake_link */
    struct failure store_failure;                  /* the last one of a commit */
    struct stored_notes stored;
    struct txn_stats stats;
};

/* manager.c */
/* Somebody waits for a lock, or has one now that others may wait for: hold limits are looked at in time. */
void manager_hold_soon(struct txn_manager *m);
void manager_want(struct txn_manager *m); /* a poll, soon */
void manager_submit(struct txn_manager *m, struct store_request *r);
/* The next id. It may not be on disk yet: see txn_enter. */
uint64_t manager_take_id(struct txn_manager *m);
/* The ids are renewed if half of them are used. */
void manager_renew_ids(struct txn_manager *m);

/* txn.c */
/* It can only be aborted from now on (the first reason stays); woken if it waits. */
void txn_doom(struct txn *t, enum err err, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same for a reason that is no answer to its own operation: doomed() is called, unless it was doomed before. */
void txn_doom_told(struct txn *t, enum err err, const char *format, ...) __attribute__((format(printf, 3, 4)));
void txn_wake(struct txn *t);
void txn_move(struct txn *t, enum txn_state next);
/* To ENDED; t->failure says how. */
void txn_end(struct txn *t);
/* To UNDOING; t->failure says why. row: the history tells of it. */
void txn_undo(struct txn *t, bool row);
/* UNDOING: takes the next step that is possible. */
void txn_undo_step(struct txn *t);
/* Its locks go. */
void txn_unlock(struct txn *t);
/* Calls ended(). */
void txn_tell(struct txn *t);
/* To the free list if it was told and no batch refers to it. */
void txn_release(struct txn *t);
void txn_free(struct txn *t); /* IDLE, on no list */

/* item.c */
static inline char item_resource(struct bytes item) { return ((const char *)item.data)[0]; }
static inline struct bytes item_key(struct bytes item)
{
    return bytes_of((const char *)item.data + 1, item.len - 1);
}
/* For messages: key "acct:1", file "a/b". Returns out. */
const char *item_show(struct bytes item, char *out, size_t size);
/* Borrowed until the next one is asked for. The key has at most key_max or STORE_KEY_MAX bytes. */
struct bytes item_name(struct txn_manager *m, char resource, struct bytes key);
/* Begins an operation: OK, or why it can only be aborted. ERR_WAIT: its id is not on disk yet, and could be given out
 * again after a crash. */
enum err txn_enter(struct txn *t, struct failure *why);
/* The same while a way back to a mark may be under way. */
enum err txn_again(struct txn *t, struct failure *why);
enum err txn_lock_range(struct txn *t, const struct range *range, struct failure *why);
/* Room for one more effect. While one early write is on its way the next one fills; when that is full too, ERR_WAIT. */
enum err txn_room(struct txn *t, struct failure *why);
/* Lock, then image: t->reached is the item's entry. It stays pinned until the next one is reached, so that what was read
 * for it is there when it asks again. */
enum err txn_reach(struct txn *t, char resource, struct bytes key, enum lock_mode mode, struct failure *why);
/* The same for an item that is t's alone already, and of which the caller knows what it holds now. Never ERR_WAIT. */
enum err txn_reach_as(struct txn *t, char resource, struct bytes key, const struct image *now, struct failure *why);
void txn_let_go(struct txn *t); /* of what was reached */
/* The item that was reached. after: the caller's reference, taken if OK. */
enum err txn_change(struct txn *t, struct blob *after, struct failure *why);
enum err txn_change_to(struct txn *t, struct bytes value, struct failure *why);
/* All of the log is on its way to disk, with its undo records (T4). ERR_NOMEM: nothing happened. */
enum err txn_spill(struct txn *t);
/* ERR_WAIT until the early write on its way has landed. */
enum err txn_wait_room(struct txn *t);
/* Dooms it with ERR_NOMEM and tells the caller so. */
enum err txn_no_memory(struct txn *t, struct failure *why);

/* load.c */
/* The pinned entry's image is known (OK), is being read (ERR_WAIT), or cannot be. Notes what t depends on. */
enum err txn_see(struct txn *t, struct kv_entry *e, struct failure *why);

/* warm.c */
void warm_tell(struct txn_manager *m);

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
/* txn_scan for any resource; for files prefix is a directory, "" or "a/b/". ERR_BADARG: it cannot be listed. */
enum err txn_scan_items(struct txn *t, char resource, struct bytes prefix, struct bytes from, size_t count_max,
                        struct txn_page *page, struct failure *why);
void scan_close(struct txn *t); /* harmless without a scan */

/* note.c */
void notes_free(struct txn *t); /* harmless without any */
void notes_undone(struct txn *t); /* the transaction fails, and with it the calls inside it */
/* How many entries its commit takes. */
size_t notes_entry_count(const struct txn *t);
/* entries[0] has all its effects, or none of them if they were written early; there is room for notes_entry_count. */
void notes_split(const struct txn *t, struct store_entry *entries);
/* Makes ready for notes_parts; false: no memory. */
bool notes_keep_parts(struct txn *t);
/* Sets the parts of the request; borrowed until the transaction is released. */
void notes_parts(const struct txn *t, struct store_request *r);

/* stage.c */
enum err files_open(struct txn *t, struct failure *why); /* t->files is there from now on. ERR_NOMEM */
/* The reached file looks the same until the end. ERR_LIMIT, ERR_NOMEM. */
enum err files_keep(struct txn *t, struct failure *why);
/* Files that it used and that are there, as kv_dirty_range. 0 without files, and for other prefixes. */
size_t files_used_range(const struct txn *t, struct bytes prefix, struct bytes from, const struct bytes *last,
                        struct kv_entry **out);
void files_let_go(struct txn *t); /* no operation follows; harmless without files */
void files_free(struct txn *t);   /* the same */
/* Its stage files go, if there are any; nothing of it is on disk. t->files may be gone. */
void files_drop(struct txn *t);
/* The operation that waited is not asked again, or what it read is no longer needed. Harmless without one. */
void stage_close(struct txn *t);
/* At most once under way, see work in stage.c. ERR_WAIT, ERR_BADARG; what else fails, dooms. */
enum err stage_write(struct txn *t, struct bytes path, uint64_t stage, uint64_t offset, struct bytes data,
                     uint64_t *inode, struct failure *why);
/* *data is borrowed until the next operation. The file is the reached one. */
enum err stage_read(struct txn *t, struct bytes path, struct bytes image, uint64_t offset, size_t len,
                    struct bytes *data, struct failure *why);

/* *after: what the newest committed transaction that changed the file made of it; borrowed until the next operation. No
 * value if that is not known. */
enum err stage_newest(struct txn *t, struct bytes path, struct image *after, struct failure *why);

/* apply.c */
bool files_changed(const struct txn *t);   /* its commit has to do with files */
void files_spilled(struct txn *t);         /* an early write of it begins: t->spilling */
void files_forget_images(struct txn *t);   /* before its locks go: of what it has locked exclusively */
/* Its commit was asked for: to APPLYING, and on. It is on no list. */
void apply_begin(struct txn *t);
/* APPLYING: takes the next step that is possible. */
void apply_step(struct txn *t);

/* stored.c */
void stored_note(struct txn *t);    /* it is committed and on disk; its log is still there */
void stored_spilled(struct txn *t); /* an early write of it begins: t->spilling */
void stored_tell(struct txn_manager *m);
void stored_free(struct txn_manager *m);

/* mark.c */
void rollback_close(struct txn *t); /* harmless without one */

#endif
