/*
 * Transactions over keys, files, events and timers: begin, read, change, commit, abort (T1 to T7).
 *
 *     IDLE → OPEN → COMMITTING → ENDED          commit: effects and history go into the batch being filled, locks go,
 *            OPEN → UNDOING → ENDED             the end is told when the batch is on disk
 *            OPEN → APPLYING → COMMITTING       it changed files: that is done in between, see apply.c
 *      COMMITTING → UNDOING → ENDED             the store refused its batch, or to change the files (from APPLYING);
 *                                               ENDED goes back to IDLE when all is told
 *
 * Nothing here blocks. An operation that cannot be done now (a lock is held by another, a value is not in memory) gives
 * ERR_WAIT; the transaction's wake() is called when it is worth asking again with the very same arguments. Operations
 * are idempotent until they succeed. wake() and ended() are only called from inside txn_poll(), never from inside an
 * operation.
 *
 * Values not on disk yet live in memory (the overlay) together with a bounded cache of others. Effects are applied in
 * place, under an exclusive lock, with an undo record each; abort plays those back newest first. A transaction larger
 * than spill_bytes is written early with its undo records (T4); its abort is then the store's STORE_UNDO.
 *
 * Nobody keeps others waiting for long: a wait for a lock has a limit, and so has holding one that others wait for.
 *
 * One batch is being committed while the next one fills. A transaction that read a value of a batch that is not on disk
 * yet ends no earlier than that batch (T2), also when it is aborted: its refusal was computed from what it read. Locks
 * are freed when a transaction is placed in a batch: who reads its values lands in the same batch or a later one. One
 * that was written early keeps its locks until its last batch is on disk, because its keys may be on disk already.
 *
 * When the store refuses a batch cleanly, that batch and all decided after it are taken back in memory, newest first,
 * and end with ERR_STORAGE; open transactions that saw their values can only be aborted; the others go on.
 */
#ifndef GRAFTD_TXN_TXN_H
#define GRAFTD_TXN_TXN_H

#include "txn/lock.h"
#include "txn/store.h"

struct txn_manager; /* opaque */
struct txn;         /* opaque */

struct txn_options {
    struct store *store; /* borrowed */
    uint64_t key_max, value_max;
    uint64_t lock_wait_ms; /* a wait for a lock that lasts longer ends in ERR_CONFLICT */
    uint64_t hold_ms;      /* who holds what others wait for longer than this is doomed; 0: nobody is */
    uint64_t cache_bytes, spill_bytes;
    /* Called when txn_poll() has something to do soon, from inside an operation or txn_poll itself: the caller arranges
     * a call of txn_poll from its loop. May be called often. */
    void (*wanted)(void *arg);
    void *wanted_arg;
    uint64_t locks_bytes; /* keys and ranges that one transaction may hold locks on, together; more is ERR_LIMIT; 0: no
                             limit */
    /* Called from txn_poll when an effect of a committed transaction on anything but kv and files is on disk: what the
     * key holds now (NULL: nothing). resource 0: some that were written early are, look yourself. NULL: nobody wants to
     * know. */
    void (*stored)(void *arg, char resource, struct bytes key, const struct bytes *now);
    void *stored_arg;
    const struct file_root *roots; /* as in store_options; names are copied */
    size_t root_count;
};

/* Waits (only here) until the store has a first block of ids on disk. ERR_STORAGE: it could not; ERR_NOMEM. */
enum err txn_manager_new(const struct txn_options *options, struct txn_manager **m, struct failure *why);
/* Every transaction has ended. Waits for what the store still has of ours, history rows of failed transactions among it. */
void txn_manager_free(struct txn_manager **m);

/* Who asks; told in the history. Strings are copied. */
struct txn_origin {
    const char *graft, *version; /* NULL: a plain command */
    const char *function;        /* or the command's name */
    uint32_t uid, gid, pid;
    uint64_t hold_ms; /* its own limit in place of the manager's; 0: the manager's, UINT64_MAX: none (it is patient) */
    bool whole;       /* nothing of it is written early: its effects are in memory, TXN_WHOLE_MAX bytes or ERR_LIMIT */
    uint64_t parent;  /* as in store_history */
    uint32_t depth;   /* the same */
};

struct txn_events {
    void (*wake)(void *owner); /* ask again */
    /* It has ended and is freed when this returns: err OK (committed, durable as promised), or why not: what the commit
     * met (ERR_STORAGE, ERR_UNKNOWN), or for an abort the err it was aborted with; a quiet abort gives what had made
     * the transaction unfit to go on, else ERR_ABORTED. undone: number of effects taken back. */
    void (*ended)(void *owner, const struct failure *why, uint64_t undone);
    /* It can only be aborted from now on, for a reason that is no answer to its own operation: it held what others
     * waited for (ERR_CONFLICT), or had read what the store then refused (ERR_STORAGE). Its locks are free when it is
     * aborted; a running call can be ended at once. Its next operation says the same, and if it waits, wake() follows.
     * NULL: nobody wants to know. */
    void (*doomed)(void *owner);
};

/* now_us: wall clock, microseconds since 1970, for the history. Ids rise and are never reused, also after a crash: when
 * more are begun than ids are reserved on disk, the first operation waits. (One that ends without any has left nothing.)
 * ERR_STORAGE: the manager is poisoned; ERR_NOMEM. */
enum err txn_begin(struct txn_manager *m, const struct txn_origin *origin, const struct txn_events *events, void *owner,
                   int64_t now_us, struct txn **t);
uint64_t txn_id(const struct txn *t);
/* An operation that does nothing: OK means that the id may be told to others. ERR_WAIT; ERR_STORAGE, or else unfit. */
enum err txn_ready(struct txn *t, struct failure *why);
uint64_t txn_effect_count(const struct txn *t);
/* Why it can only be aborted; err OK if it can go on. Borrowed until it ends. */
const struct failure *txn_failure(const struct txn *t);

/* *value is borrowed until the next operation on t. OK, ERR_ABSENT, ERR_WAIT, or the transaction can only be aborted:
 * ERR_DEADLOCK, ERR_CONFLICT (waited or held too long), ERR_STORAGE, ERR_NOMEM. ERR_BADARG: empty or too long a key. */
enum err txn_get(struct txn *t, struct bytes key, enum lock_mode mode, struct bytes *value, struct failure *why);
/* The same errors; ERR_LIMIT: the value is too long. Copies. Reads the key first, so that
 * undo and history know what it held. */
enum err txn_put(struct txn *t, struct bytes key, struct bytes value, struct failure *why);
/* ERR_ABSENT: there is none, nothing is recorded. */
enum err txn_delete(struct txn *t, struct bytes key, struct failure *why);

/* The same for an item of another resource than kv and files (resource.h): txn_get, txn_put, txn_delete are these for
 * kv. Keys and values are bounded by STORE_KEY_MAX and value_max. */
enum err txn_get_item(struct txn *t, char resource, struct bytes key, enum lock_mode mode, struct bytes *value,
                      struct failure *why);
enum err txn_put_item(struct txn *t, char resource, struct bytes key, struct bytes value, struct failure *why);
enum err txn_delete_item(struct txn *t, char resource, struct bytes key, struct failure *why);

/* An event: ordered within its topic, told to others at commit and not before. topic: 1 to TXN_TOPIC_MAX bytes of letters,
 * digits and . _ - : /, else ERR_BADARG. Errors as txn_put. */
enum { TXN_TOPIC_MAX = 127 };
enum err txn_emit(struct txn *t, struct bytes topic, struct bytes data, struct failure *why);
/* A name that no other item of this and every other transaction has: "418.1", "418.2", …; for timers. Returns out. */
enum { TXN_ITEM_NAME_MAX = 48 }; /* bytes, with the NUL */
const char *txn_item_name(struct txn *t, char out[TXN_ITEM_NAME_MAX]);

/* Keys from `from` on that begin with prefix, in byte order, at most count_max (1 to TXN_PAGE_MAX) of them, as this
 * transaction sees them. All that was looked at is locked shared, with the gaps between keys: from `from`, or the
 * prefix's beginning, to the last key handed out, or to the prefix's end when the page says that there are no more
 * (T6: no phantoms). A little more may be locked when others changed keys meanwhile. Ranges that touch become one.
 * page->items is owned by the transaction until its next operation. */
enum { TXN_PAGE_MAX = 1024 };
struct txn_page {
    size_t count;
    const struct store_pair *items; /* all present */
    bool more;                      /* there may be keys after the last one; ask again from it with a zero byte added */
};
enum err txn_scan(struct txn *t, struct bytes prefix, struct bytes from, size_t count_max, struct txn_page *page,
                  struct failure *why);

/* Nesting (T8): a place in a transaction, and the way back to it. A mark is void once an older one was gone back to. */
struct txn_mark {
    uint64_t effects; /* made when it was set */
};
struct txn_mark txn_mark(const struct txn *t);
/* Takes back the effects made after the mark, newest first; keeps the locks. *undone: how many. The mark can be used
 * again. Errors as for txn_put, and ERR_WAIT while an early write is on its way or must be read back. Until it says
 * something else, no other operation but an abort is allowed.
 *
 * What was not written early disappears, also from the history. What was, is put back by new effects: the history tells
 * both, txn_effect_count counts both. It is read back from the store all at once: a transaction whose early writes
 * pass STORE_ANSWER_MAX bytes cannot go back into them and can only be aborted (ERR_LIMIT). */
enum err txn_rollback_to(struct txn *t, struct txn_mark mark, uint64_t *undone, struct failure *why);

/* Visits the effects made so far and not taken back, oldest first; borrowed during the visit. Those written early and
 * no longer in memory are left out: they are the oldest txn_effects_left_out(t) ones. */
void txn_effects_each(const struct txn *t, void (*visit)(const struct store_effect *, void *user), void *user);
uint64_t txn_effects_left_out(const struct txn *t);

/* What the history tells beside the effects. */

enum {
    TXN_NESTED_MAX = 256,             /* calls inside a transaction that its history tells of */
    TXN_WHOLE_MAX = 64 * 1024 * 1024, /* bytes of effects of one that is not written early */
};

/* A call inside it begins: its number, for its end and for the calls that it makes itself. parent: the number of the
 * call that made it, 0: the transaction's own. Texts are copied. 0: this one is not told of, there are TXN_NESTED_MAX
 * already or there is no memory. */
uint32_t txn_nested_begin(struct txn *t, uint32_t parent, const struct txn_origin *origin, int64_t now_us);
/* It has ended, and if it failed (why->err) its effects have been taken back. Harmless with 0. */
void txn_nested_end(struct txn *t, uint32_t seq, const struct failure *why, int64_t now_us, uint64_t cpu_us);

/* The commit stores this reply for the token, and then leaves a row also without effects (T2). The caller has asked
 * STORE_IDEM for the token, and keeps others off it until the end. Copies. ERR_LIMIT: past STORE_REPLY_MAX;
 * ERR_NOMEM. */
enum err txn_keep_reply(struct txn *t, struct bytes token, struct bytes reply);

/* From here on the effects are those of taking back that transaction, and the history tells them as a transaction of
 * their own: *id. Said first of all, and then again for each further one that is taken back; all commit together or
 * none does (T9). t was begun `whole`, later than that one, and never goes back to a mark. ERR_LIMIT: more than 1024;
 * ERR_NOMEM. */
enum err txn_undoes(struct txn *t, uint64_t undone, uint64_t *id);

/* The same work may succeed when it is done again from its beginning, at once. */
static inline bool txn_retryable(enum err err) { return err == ERR_DEADLOCK; }

/* Both take the transaction away from the caller: only ended() follows, from txn_poll. cpu_us goes into the history. A
 * commit without effects writes no history unless it keeps a reply. An abort with a reason leaves a history row; quiet
 * ones (why NULL) none. */
void txn_commit(struct txn *t, int64_t now_us, uint64_t cpu_us);
/* Its commit will keep its locks until it is on disk: it was written early, or changed files. Before it is given away. */
bool txn_lingers(const struct txn *t);
void txn_abort(struct txn *t, const struct failure *why, int64_t now_us, uint64_t cpu_us);

/* Drives the machine: takes finished store requests, wakes, fails waits that lasted too long, submits the next batch.
 * now_ms: monotonic. */
void txn_poll(struct txn_manager *m, int64_t now_ms);
/* When txn_poll should be called at the latest (monotonic ms), -1: no need. For lock waits, hold limits, and rows of the
 * history that wait to be written together. */
int64_t txn_next_deadline_ms(const struct txn_manager *m);
/* Reads what is not in memory of these keys of kv, ahead of their locks; of more than TXN_WARM_MAX only so many. True: ready()
 * is called once from txn_poll, when they are there or could not be had, and *w is gone then. False: there is nothing to wait for. */
enum { TXN_WARM_MAX = 64 };
struct txn_warmup;
bool txn_warm_up(struct txn_manager *m, const struct bytes *keys, size_t count, void (*ready)(void *owner), void *owner,
                 struct txn_warmup **w);
void txn_warm_drop(struct txn_warmup **w); /* ready() is not called any more; NULL inside is fine */
/* The history is about to be read: the rows of what failed so far are on their way to the store before the next request. */
void txn_write_rows(struct txn_manager *m);
/* The store said that an outcome is unknown: nothing more may be promised, the process should end. */
bool txn_manager_poisoned(const struct txn_manager *m);

struct txn_stats {
    uint64_t begun, committed, aborted, effects, undone, batches, deadlocks, conflicts, spilled;
    uint64_t held_too_long;                 /* doomed by hold_ms */
    uint64_t open, cache_bytes, cache_keys; /* cache_bytes: of keys that nobody uses now */
    uint64_t dirty_keys;                    /* in use, or not on disk yet */
};
void txn_stats(const struct txn_manager *m, struct txn_stats *s);

#endif
