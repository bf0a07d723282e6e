/*
 * The one door to the engine: a struct of functions, asynchronous, whose unit is *commit a batch*.
 *
 * The transaction manager speaks to this and never to SQL; txn/store_sqlite.c is the real engine, on one
 * thread, with one exclusive connection, and txn/sqlite.h is the only includer of SQLite. tests/sim has
 * another engine that can crash.
 *
 * Requests are served strictly in the order of submission: a read sees every batch that was submitted
 * before it; and they are done in that order, with three exceptions. Two may be overtaken, so that those behind do not wait:
 * STORE_BACKUP, whose copy holds at least all that was submitted before it, and STORE_SCAN of files, which tells what is so
 * when it is finished: nothing that is finished later. STORE_GET may overtake commits that are written and not yet synced:
 * the manager asks for nothing that one of them changes. A request belongs to the store from submission until its done() was called,
 * which happens inside poll() on the caller's thread, never inside submit().
 *
 * T2: the reply that a token is to repeat is stored in the commit that it tells of.
 * T4, T7: an early write carries its undo records in the same commit; what recovery finds begun and not
 * ended, it undoes, newest first.
 */
#ifndef GRAFTD_TXN_STORE_H
#define GRAFTD_TXN_STORE_H

#include "lib/buf.h"
#include "lib/list.h"
#include "txn/file_disk.h"
#include "txn/resource.h"

#include <stdint.h>

/* What a key held: nothing, or bytes. */
struct image {
    bool present;
    struct bytes value;
};

/* One undo record: what changed, from what, to what. */
struct store_effect {
    char resource; /* enum resource */
    struct bytes key;
    struct image before, after;
};

/* How a transaction is told in the history. Strings are borrowed, NULL for none. */
struct store_history {
    const char *graft, *version, *function; /* NULL for plain commands; function is then the command */
    const char *outcome;                    /* "committed" or the error word; NULL: not ended yet (an early write) */
    const char *error;                      /* sentence, NULL when committed */
    uint32_t uid, gid, pid;
    int64_t begun_us, ended_us; /* since 1970 */
    uint64_t cpu_us;
    uint64_t effect_count; /* made in all; undone if the outcome is not "committed" */
    uint64_t lock_wait_us; /* waited for locks */
    uint64_t undoes;       /* the transaction that this one takes back (T9), with a lower id; 0: none */
    uint64_t parent;       /* the transaction in which this one was asked for; 0: none */
    uint32_t depth;        /* of nesting; 0: outermost */
};

/* A nested call of a transaction. seq numbers them from 1 in the order in which they began; parent_seq 0: called by the
 * transaction's own function. Its effects are first_effect up to first_effect + effect_count, and what lies within. */
struct store_nested {
    uint32_t seq, parent_seq;
    const char *graft, *version, *function, *outcome, *error; /* as in store_history */
    int64_t begun_us, ended_us;
    uint64_t cpu_us, first_effect, effect_count;
};

/* One transaction's share of a batch. Effects are applied in order: `after` becomes the stored value. first_effect is
 * the sequence number of effects[0] within the transaction (an earlier early write carried the ones before). Nested
 * calls and the token come with the entry that ends the transaction, not with an early write. */
struct store_entry {
    uint64_t txn;
    struct store_history history;
    uint64_t first_effect;
    size_t effect_count;
    const struct store_effect *effects;
    const struct store_nested *nested;
    size_t nested_count;
    struct bytes idem_token; /* empty: none. The caller asked STORE_IDEM first and kept others off: one that is there
                                already is its bug */
    struct bytes idem_reply; /* what a repeat is answered, at most STORE_REPLY_MAX */
};

struct store_graft {
    char name[64], version[32], sha256[65];
    uint64_t size;
    uint32_t loaded_by;
    int64_t loaded_us;
};

/* A row of history as read back. Strings are owned by the request, NUL-ended. */
struct store_row {
    uint64_t txn;
    char *graft, *version, *function, *outcome, *error; /* NULL where the column is NULL */
    uint32_t uid, gid, pid;
    int64_t begun_us, ended_us;
    uint64_t cpu_us, effect_count;
    uint64_t lock_wait_us, undoes, parent;
    uint64_t undone_by; /* the transaction that took this one back, if that holds: it is 0 again after a redo */
    uint32_t depth;
};

/* What STORE_LIST tells of: all that is set must hold. Strings and key are borrowed until done. */
struct store_filter {
    const char *graft, *function, *outcome; /* NULL: any */
    bool has_uid, has_key;
    uint32_t uid;
    int64_t since_us, until_us; /* begun at or after, begun before; 0: any */
    struct bytes key;           /* changed this key */
};

struct store_pair {
    struct bytes key;
    struct image value;
};

/* An event as it is read back; owned by the request. */
struct store_event {
    uint64_t id; /* rises within a topic, and over all topics, in the order of commits */
    uint64_t txn;
    int64_t at_us; /* when that transaction ended */
    struct bytes data;
};

struct store_topic {
    struct bytes name;
    uint64_t first;       /* id of the oldest event that is kept; 0: none is */
    uint64_t last;        /* of the newest that there ever was; 0: there never was any */
    uint64_t forgotten;   /* events up to this id are no longer kept; 0: all that ever were are. A topic of which nothing
                             is known (any more) has the newest that any such one can have had */
    uint64_t count;       /* kept */
};

enum store_kind {
    STORE_COMMIT, /* in: entries, txn_reserve. All or nothing, as durable as the store was opened to be. Of kv and
                     timers the images become the stored ones, at once. Of events those that are there in the end (an
                     early write may tell of one that a later entry takes away) get their ids with the entry that
                     commits, in the order of their undo records. Of files nothing but the records is written: an early
                     write, STORE_APPLY and then the entry that commits come one after the other */
    STORE_GET,    /* in: resource (kv, timer, file), keys[n]. out: pairs[n]. file: what stands on disk, as an image */
    STORE_SCAN, /* in: resource (kv, timer, file), prefix, from, count_max. out: pairs, in byte order, keys >= from that
                   begin with prefix; more. file: prefix is a directory, "" or "a/b/", and only its direct children are
                   told */
    STORE_UNDO, /* in: txn, history (how it ended), calls, parts. Takes back what early writes of it and of its parts
                   stored and what STORE_APPLY did, newest first, and ends them. Nothing happens to a transaction that has
                   ended: twice is the same as once (T5). Their stage files go in any case. A part keeps its row, which
                   then tells the same end. ERR_UNKNOWN: files could not be taken back (T10) */
    STORE_APPLY, /* in: txn, parts. The files of what was written early of them become what its undo records say, all
                    or nothing and synced (T4). ERR_CONFLICT, ERR_STORAGE: none changed. ERR_UNKNOWN: some may have, and
                    the store takes no more requests (T10) */
    STORE_FILE_STAGE, /* in: txn, key (the path), stage, offset, data. out: inode */
    STORE_FILE_READ,  /* in: txn, key (the path), data (the image, encoded), offset, count_max (bytes). out: pairs (1):
                         the bytes, fewer at the end of the file */
    STORE_FILE_DROP,  /* in: txn. Its stage files go: it made some, and was rolled back before it was written early */
    STORE_EVENTS, /* in: key (topic), after (0: from the oldest kept), count_max. out: events, by id; more; topics (1) */
    STORE_TOPICS, /* in: from, count_max. out: topics, in byte order; more */
    STORE_LIST, /* in: count_max, filter, txn (ids below this, 0: from the newest). out: rows, newest first; more, next.
                   With a key it is asked and ordered as STORE_BLAME, and tells of what has not ended too */
    STORE_SHOW, /* in: txn. out: rows (0 or 1), effects, oldest first: all that are kept, or none; nested, by seq */
    STORE_BLAME, /* in: resource, key, filter, count_max, txn (0, or next of the answer before). out: rows: the committed
                    transactions that changed the key, in the order of their commits (which is not that of their ids),
                    newest first; effects: of each its whole change of that key; more, next */
    STORE_AT, /* in: key, txn. out: pairs (1): what the key of kv held when txn had just committed */
    STORE_DEPENDENTS, /* in: txn. out: rows: those that must be undone before txn can be, in this order (newest first).
                         One builds on another if it changed one of the same keys later and was not itself undone; what
                         it read is not recorded and does not count. True of the moment: whoever undoes asks again, or
                         compares images, when it holds the locks. At most STORE_ROW_MAX, or ERR_LIMIT */
    STORE_IDEM, /* in: uid, token. out: idem */
    STORE_BACKUP, /* in: path (absolute; must not exist, nor path.partial). A consistent copy, taken while running, of
                     whole transactions only: what is begun and not ended in it is undone in the copy. Events and timers
                     are in it, files are not: what it says of them is what was recorded */
    STORE_GRAFT_PUT,  /* in: graft */
    STORE_GRAFT_DEL,  /* in: graft.name */
    STORE_GRAFT_LIST, /* out: grafts */
};

enum {
    STORE_KEY_MAX = 4096, /* bytes, of every resource */
    STORE_PAIR_MAX = 4096,
    STORE_ROW_MAX = 4096,                /* per request; a larger count_max is taken as this */
    STORE_ANSWER_MAX = 64 * 1024 * 1024, /* bytes of one request's out side. SCAN and LIST stop early and set more */
    STORE_QUEUE_MAX = 4 * 1024 * 1024,   /* requests submitted and not done; the caller keeps below */
    STORE_TOKEN_MAX = 255,               /* bytes */
    STORE_REPLY_MAX = 1024 * 1024,       /* bytes of a reply kept for its token */
    STORE_PAGE_LOOK_MAX = 65536,         /* rows that one LIST or BLAME looks at: then it stops early and sets more */
    STORE_LOOK_MAX = 1024 * 1024,        /* changes of keys that AT or DEPENDENTS looks at: then ERR_LIMIT */
};

/* why: OK, or
 *     ERR_STORAGE  not done, cleanly
 *     ERR_NOMEM    not done: memory was short
 *     ERR_UNKNOWN  an I/O error hit the commit itself. The store takes no more requests: all later ones get ERR_STORAGE
 *     ERR_LIMIT    the answer passes STORE_ANSWER_MAX, or the way to it STORE_LOOK_MAX
 *     ERR_BADARG   the backup's path exists already, or is not absolute; AT, DEPENDENTS: txn did not commit;
 *                  DEPENDENTS: it was undone already; what a path leads through is no directory (file_disk.h)
 *     ERR_CONFLICT a file is not what the image or the undo record says any more
 *     ERR_ABSENT   AT, DEPENDENTS: txn is not in the history, or the history is not whole from there on */
struct store_request {
    enum store_kind kind;
    struct list link; /* the store's */
    void (*done)(struct store_request *); /* on the caller's thread, inside poll */
    bool apart; /* in: of a commit: others are at work, whose reads need not wait for its sync */
    bool needs_sync;                      /* the store's: it wrote something, and is done when that is synced */
    void *owner;                          /* the caller's */
    struct failure why;                   /* the result, as above */
    /* in: borrowed until done */
    const struct store_entry *entries;
    size_t entry_count;
    uint64_t txn_reserve; /* ids up to this may be in use: txn_next after a crash is above it. 0: as before */
    const struct bytes *keys;
    size_t key_count;
    struct bytes prefix, from;
    size_t count_max;
    uint64_t txn;
    struct store_history history;
    const char *path;
    struct store_graft graft;
    struct store_filter filter;
    struct bytes key, token;
    uint32_t uid;
    const struct store_nested *calls; /* of what STORE_UNDO ends */
    size_t call_count;
    char resource;         /* enum resource; 0: kv */
    const uint64_t *parts; /* ids that go with txn, rising: it takes back others (see txn_undoes) */
    size_t part_count;
    struct bytes data;
    uint64_t stage, offset, after;
    /* out: owned by the request, freed by store_request_fini() */
    struct store_pair *pairs;
    size_t pair_count;
    bool more;
    struct store_row *rows;
    size_t row_count;
    struct store_effect *effects;
    size_t effect_count;
    struct store_graft *grafts;
    size_t graft_count;
    struct store_nested *nested;
    size_t nested_count;
    uint64_t next; /* with more: what to put in txn for the rest. A page may be empty and have more behind it */
    struct {
        bool found;
        uint64_t txn;
        struct bytes reply;
    } idem;
    struct store_event *events;
    size_t event_count;
    struct store_topic *topics;
    size_t topic_count;
    uint64_t inode;
    void *memory; /* what the above point into */
};

void store_request_fini(struct store_request *r); /* frees the out side */

/* For engines: zeroed memory of the request's out side, freed by store_request_fini. NULL with r->why set: ERR_NOMEM,
 * or ERR_LIMIT past STORE_ANSWER_MAX. */
void *store_request_alloc(struct store_request *r, size_t size);
/* Copies, NUL behind (not counted). An empty one is not NULL. */
void *store_request_copy(struct store_request *r, struct bytes b);

/* What the engine can do and what it found at start. */
struct store_facts {
    const char *engine; /* "sqlite 3.40.1" */
    const char *engine_warning; /* what is known to be wrong with that release, and why it does not matter here; NULL: nothing */
    uint64_t txn_next;  /* first id that was never given out */
    uint64_t undone;    /* transactions that recovery took back at open, their files too */
    uint64_t key_max, value_max; /* bytes */
};

struct store {
    const struct store_ops *ops;
};

struct store_ops {
    void (*submit)(struct store *, struct store_request *);
    /* Calls done() of what has finished. The wake function given at open says when to. */
    void (*poll)(struct store *);
    const struct store_facts *(*facts)(const struct store *);
    /* Finishes what was submitted (their done() is called), closes, frees. */
    void (*close)(struct store *);
};

struct store_options {
    const char *directory;  /* exists, ours; the database is <directory>/graftd.db */
    int synchronous;        /* 2 full, 1 normal, 0 off */
    uint64_t history_ms, history_bytes; /* how much of the past is kept, at most; 0: nothing. Replies kept for tokens
                                           live history_ms too, but 24 h at least */
    const char *vfs;                    /* SQLite's file layer; NULL: the usual one. Tests put failing disks here */
    uint64_t events_ms, events_bytes;   /* how much of the events is kept, at most; 0: nothing */
    uint64_t fresh_bytes; /* of memory for what committed and is not in the table of keys yet; 0: the usual */
    uint64_t redo_bytes;  /* about what recovery may have to read again of what committed; 0: the usual. Both may be
                             passed by as much again while the keys are brought up to date */
    size_t fold_keys;     /* brought up to date in one commit, at least, while that goes on; 0: the usual */
    const struct file_root *roots;      /* named ones; the standard root is <directory>/files */
    size_t root_count;
    void (*wake)(void *);   /* called from the store's thread: poll() has something to do. Must be thread-safe */
    void *wake_arg;
};

/* Opens or creates, recovers, starts the thread. ERR_STORAGE with a sentence: in use by another process, not a graftd
 * database, damaged, newer format, disk full, … Nothing is changed then. */
enum err store_sqlite_open(const struct store_options *options, struct store **out, struct failure *why);

#endif
