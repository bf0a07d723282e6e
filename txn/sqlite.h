/*
 * The engine behind store_sqlite.c, synchronous: one SQLite connection, used by one thread at a time.
 * Private to txn/sqlite_*.c and store_sqlite.c, and the only includer of sqlite3.h: a change of engine
 * stops here, and no code of SQLite's leaves these files untranslated.
 *
 *     sqlite_open.c       the directory's lock, which files are ours, the connection
 *     sqlite_statement.c  the tables, every statement, what SQLite's codes mean
 *     sqlite_write.c      groups of commits
 *     sqlite_image.c      what a key of each resource holds, and where its newest change is recorded
 *     sqlite_fold.c       kv is written later than the undo records that say what it holds
 *     sqlite_undo.c       undo, recovery
 *     sqlite_event.c      events: their ids, reading them, forgetting them
 *     sqlite_file.c       files: what the undo records of a transaction mean on disk
 *     sqlite_root.c       which directories the paths of files meant
 *     sqlite_read.c       the questions
 *     sqlite_trail.c      the questions about a key's past
 *     sqlite_tidy.c       forgetting old history, checkpoints
 *     sqlite_backup.c     a copy taken while running
 *
 * Invariants: between two calls no SQLite transaction is open. Once db->poison is set,
 * nothing is written any more: what is on disk is for the next open to recover.
 *
 * One connection is not a habit but a must: SQLite before 3.51.3 can damage a database when one
 * connection writes while another checkpoints.
 */
#ifndef GRAFTD_TXN_SQLITE_H
#define GRAFTD_TXN_SQLITE_H

#include "txn/fresh.h"
#include "txn/store.h"

#include <limits.h>
#include <sqlite3.h>

enum {
    DB_APPLICATION_ID = 0x67726674, /* "grft" */
    DB_FORMAT = 4,                  /* user_version: the schema in sqlite_statement.c */
    DB_FORMAT_OLDEST = 1,           /* what is brought up to date when it is opened */
    DB_PAGE_SIZE = 4096,
    DB_CACHE_KIB = 32 * 1024,
    DB_KEY_MAX = STORE_KEY_MAX,
    DB_VALUE_MAX = 16 * 1024 * 1024, /* bytes */
    DB_LARGE_VALUE = 64 * 1024       /* a longer one makes searches slow; the same number in from_3 */
};

/* Every statement, prepared once; the texts are in sqlite_statement.c. */
enum query {
    Q_BEGIN, Q_COMMIT, Q_ROLLBACK,
    Q_KV_GET, Q_KV_SCAN, Q_KV_PUT, Q_KV_DEL, Q_KV_HEAD,
    Q_GONE_GET, Q_GONE_PUT, Q_GONE_DEL, Q_GONE_FORGET,
    Q_HEAD_GET, Q_HEAD_PUT, Q_HEAD_DEL, Q_HEAD_FORGET,
    Q_TIMER_GET, Q_TIMER_SCAN, Q_TIMER_PUT, Q_TIMER_DEL,
    Q_TXN_PUT, Q_TXN_STATE, Q_TXN_OPEN, Q_TXN_OPEN_FILES, Q_TXN_OLDEST, Q_TXN_DEL, Q_TXN_END, Q_TXN_LIST, Q_TXN_SHOW, Q_TXN_ORDER,
    Q_TXN_UNDONE,
    Q_UNDO_ADD, Q_UNDO_BACK, Q_UNDO_DEL, Q_UNDO_DEL_SOME, Q_UNDO_COUNT, Q_UNDO_LIST, Q_UNDO_PREV, Q_UNDO_IMAGES,
    Q_UNDO_FIRST, Q_UNDO_KEYS, Q_UNDO_FILES, Q_UNDO_EVENTS,
    Q_EVENT_ADD, Q_EVENT_OLDEST, Q_EVENT_DEL, Q_EVENT_LIST,
    Q_TOPIC_ADD, Q_TOPIC_FORGET, Q_TOPIC_PAGE, Q_TOPIC_DEL, Q_TOPIC_GET, Q_TOPIC_LIST,
    Q_NESTED_ADD, Q_NESTED_DEL_SOME, Q_NESTED_COUNT, Q_NESTED_LIST,
    Q_IDEM_ADD, Q_IDEM_GET, Q_IDEM_OLDEST, Q_IDEM_DEL_SOME,
    Q_META_GET, Q_META_PUT,
    Q_REDO_LIST, Q_REDO_UNDO,
    Q_ROOT_TOUCHED, Q_ROOT_LIST, Q_ROOT_CLEAR, Q_ROOT_ADD,
    Q_GRAFT_PUT, Q_GRAFT_DEL, Q_GRAFT_COUNT, Q_GRAFT_LIST,
    Q_COUNT
};

/* What meta holds, as it will be when the open SQLite transaction commits. */
struct ledger {
    uint64_t reserve;        /* txn_reserve: ids up to this may have been given out */
    uint64_t history_bytes;  /* estimate of what txn and undo hold */
    uint64_t history_stored; /* the same as meta has it: it may lag by HISTORY_LAG_MAX */
    uint64_t forgetting;     /* this transaction's row is gone, its undo rows are going; 0: none */
    unsigned forgetting_touches; /* TOUCHES_… of that one */
    uint64_t serial;         /* of the last row of txn that was written: the order of commits */
    uint64_t serial_reserve; /* serials up to this may have been given out */
    uint64_t reach;          /* history is whole for what came after this serial */
    uint64_t event_last;     /* the newest event's id */
    uint64_t event_bytes;    /* what event holds, with EVENT_ROW_BYTES for each */
    uint64_t topic_mark, topic_mark_us; /* the newest event was topic_mark then; 0: not noted yet */
    uint64_t large;          /* 1: there may be values in kv that make each search that meets one slow */
    uint64_t redo_serial;    /* what has a serial up to this is in kv */
    uint64_t redo_txn;       /* what has a higher one has an id from this on */
    uint64_t redo_bytes;     /* estimate of what recovery would have to read */
    bool folding;            /* a sweep over the keys goes on; when it is through, these three are the ones above: */
    uint64_t fold_serial, fold_txn, fold_bytes; /* bytes: those that go from redo_bytes */
    uint64_t txn_seen;       /* the highest id that was written */
    uint64_t topic_reach;    /* topics of which nothing is known any more had their last event up to this one */
};

/* What a transaction changed beside kv: txn.resources. */
enum { TOUCHES_TIMER = 1, TOUCHES_FILE = 2, TOUCHES_EVENT = 4, TOUCHES_ALL = 7 };

struct place { /* of an effect in a group of commits */
    const struct store_effect *effect;
    size_t order;
    struct spot spot;
    bool waits; /* kv may be written later: the record that says what it holds is found by its transaction's end */
};

enum rest { REST_NONE, REST_QUIET, REST_LONG }; /* nobody waits since a moment, since long */

struct backup; /* sqlite_backup.c */

struct ids { /* of transactions */
    uint64_t *id; /* owned */
    size_t count, cap;
};

struct db {
    sqlite3 *handle;
    sqlite3_stmt *query[Q_COUNT];
    int lock_fd;             /* <directory>/lock, held for as long as we live */
    char path[PATH_MAX];     /* <directory>/graftd.db */
    const char *vfs;         /* borrowed, as in store_options */
    uint64_t history_ms, history_bytes;
    uint64_t events_ms, events_bytes;
    struct file_disk *files; /* owned; NULL: a copy, which has none */
    bool lazy;               /* a commit does not sync the log: what touches files does, before */
    sqlite3_file *log;       /* SQLite's: the log as its file layer has it */
    struct ids ended;        /* their stage files go when the SQLite transaction has committed */
    struct ids forgotten;    /* and what these keep of files */
    struct ledger ledger, before; /* before: as it was when the SQLite transaction began */
    int wal_pages;           /* frames in the write-ahead log */
    int checkpoint_at;       /* this many do not wait for a quiet moment */
    char topic_from[DB_KEY_MAX]; /* topics up to this one have been looked at since they were due */
    size_t topic_from_len;
    struct fresh fresh;      /* what kv does not have yet */
    uint64_t fresh_bytes, redo_bytes; /* a sweep begins when one of them is passed */
    size_t fold_keys;        /* folded in one commit, at least */
    char fold_from[DB_KEY_MAX]; /* where the sweep goes on */
    size_t fold_from_len;
    bool forget_waits;       /* something has to be forgotten, and is not in kv yet */
    bool full;               /* the disk was full: a checkpoint may help */
    struct place *places;    /* owned; scratch of a commit */
    struct spot *prev;       /* owned; scratch, as many */
    size_t place_max;
    struct backup *backup;   /* owned; NULL: none is running */
    struct failure poison;   /* why nothing is done any more */
    char engine[32];
    struct store_facts facts;
};

/* sqlite_open.c */
enum err db_open(struct db *db, const struct store_options *options, struct failure *why);
void db_close(struct db *db); /* checkpoints unless poisoned */
enum { DB_HEADER_SIZE = 100 };                              /* bytes at the front of an SQLite file */
bool db_header_ours(const uint8_t header[DB_HEADER_SIZE]); /* of some release of graftd */

/* sqlite_statement.c. Bind, then run (to the end) or step (a row at a time, then sqlite3_reset). What is bound is
 * borrowed until then. An int that is returned is SQLite's code. */
extern const char db_schema[];
extern const char *const db_schema_from[DB_FORMAT]; /* from format i to the next */
int db_prepare(struct db *db);
void db_finalize(struct db *db);
int db_run(struct db *db, enum query id);
int db_meta_get(struct db *db, const char *name, uint64_t *value); /* 0 when it is not there */
int db_meta_put(struct db *db, const char *name, uint64_t value);
void bind_u64(sqlite3_stmt *q, int at, uint64_t v);
void bind_id(sqlite3_stmt *q, int at, uint64_t txn); /* as somebody asks for it: it may be above all that were given */
void bind_text(sqlite3_stmt *q, int at, const char *text); /* NULL for NULL */
void bind_bytes(sqlite3_stmt *q, int at, struct bytes b);
void bind_name(sqlite3_stmt *q, int at, struct bytes b); /* as text */
void bind_resource(sqlite3_stmt *q, int at, char resource);
static inline void bind_spot(sqlite3_stmt *q, int at, struct spot spot)
{
    bind_u64(q, at, spot.txn);
    bind_u64(q, at + 1, spot.seq);
}
static inline struct bytes column_bytes(sqlite3_stmt *q, int at) /* borrowed until the next step */
{
    const void *data = sqlite3_column_blob(q, at);
    return bytes_of(data, (size_t)sqlite3_column_bytes(q, at));
}
static inline struct spot column_spot(sqlite3_stmt *q, int at)
{
    return (struct spot){ (uint64_t)sqlite3_column_int64(q, at), (uint64_t)sqlite3_column_int64(q, at + 1) };
}
static inline uint64_t column_u64(sqlite3_stmt *q, int at) { return (uint64_t)sqlite3_column_int64(q, at); }
/* SQLite's code for "what we were doing", as one of our errors with its sentence. Poisons db when nothing can be
 * trusted any more. */
enum err db_fail(struct db *db, int code, const char *doing, struct failure *why);
enum err db_poison(struct db *db, enum err err, struct failure *why, const char *sentence);

/* sqlite_write.c: each of the first three is one SQLite transaction. The result is in why. */
void db_commit(struct db *db, struct store_request *const *requests, size_t count, struct failure *why);
void db_graft_put(struct db *db, const struct store_graft *graft, struct failure *why);
void db_graft_del(struct db *db, const char *name, struct failure *why);
int db_begin(struct db *db);
/* Takes the code of what was done since db_begin, and commits or rolls back. */
enum err db_end(struct db *db, int code, const char *doing, struct failure *why);
/* Nothing may be done any more: true, with the reason. */
bool db_stopped(const struct db *db, struct failure *why);
/* For sqlite_undo.c. *bytes grows by the estimate. */
int db_nested_write(struct db *db, uint64_t txn, const struct store_nested *nested, size_t count, uint64_t *bytes);
int db_txn_put(struct db *db, uint64_t txn, const struct store_history *h, unsigned touches, uint64_t undo_bytes);
int db_serial_reserve(struct db *db);
enum { TXN_ROW_BYTES = 90 }; /* beside the texts; for the estimate of the history */
enum txn_state { TXN_NEVER_STORED, TXN_NOT_ENDED, TXN_ENDED };
int db_txn_state(struct db *db, uint64_t txn, enum txn_state *state, uint64_t *bytes, unsigned *touches);

/* sqlite_image.c */
/* Where the newest change of this key is recorded, and which table has its row. */
int db_head(struct db *db, char resource, struct bytes key, struct spot *head, enum head_place *place);
/* The key holds this from now on, and its newest change is recorded at head (nowhere: txn 0). was: which table had its
 * row. */
int db_image_put(struct db *db, char resource, struct bytes key, const struct image *image, struct spot head,
                 enum head_place was);

/* sqlite_fold.c. The first five: inside an SQLite transaction. */
/* As db_image_put for a key of kv, but its row may be written later. */
int db_image_later(struct db *db, struct bytes key, const struct image *image, struct spot head, enum head_place was);
void db_redo_note(struct db *db, uint64_t txn, uint64_t bytes); /* of its rows, some more were written */
int db_fold(struct db *db, size_t budget); /* a sweep goes on by so many keys; one begins when it is due */
int db_fold_ledger(struct db *db);         /* what changed since db_begin */
int db_redo(struct db *db);                /* at open: what committed and may not be in kv is fresh again */
bool db_fold_worth(const struct db *db, enum rest rest); /* a step beside the commits */
enum err db_fold_step(struct db *db, struct failure *why); /* an SQLite transaction of its own */
enum err db_fold_all(struct db *db, struct failure *why);  /* until kv is whole */
void db_fold_again(struct db *db);                         /* after a rollback */

/* sqlite_undo.c */
void db_undo(struct db *db, const struct store_request *r, struct failure *why);
/* What began and did not end is undone: files first, where db has them, then all else at once. */
enum err db_recover(struct db *db, uint64_t *undone, struct failure *why);

/* sqlite_event.c */
/* Inside an SQLite transaction: what txn, which commits, told gets its ids. */
int db_events_give(struct db *db, uint64_t txn, int64_t at_us);
/* Inside one: at most so many of the oldest, if they have to go. */
int db_events_forget(struct db *db, size_t budget);
bool db_events_due(struct db *db);
/* The same for topics without events: looks at some. */
int db_topics_forget(struct db *db, size_t budget);
bool db_topics_due(struct db *db);
int db_events_ledger(struct db *db); /* what changed since db_begin */
void read_events(struct db *db, struct store_request *r);
void read_topics(struct db *db, struct store_request *r);

/* sqlite_file.c: outside of SQLite transactions. */
enum err db_files_open(struct db *db, const struct store_options *options, struct failure *why);
void db_files_apply(struct db *db, const struct store_request *r, struct failure *why);
/* Of one transaction. A failure poisons db (T10). */
enum err db_files_undo(struct db *db, uint64_t txn, struct failure *why);
enum err db_files_recover(struct db *db, struct failure *why);
void db_files_sweep(struct db *db);
void db_files_stage(struct db *db, struct store_request *r);
void db_files_drop(struct db *db, const struct store_request *r, struct failure *why);
/* After db_end: what it was put off for. */
void db_files_settle(struct db *db, bool committed);
bool ids_add(struct ids *ids, uint64_t id); /* false: no memory */
void read_file(struct db *db, struct store_request *r);
bool db_read_files(struct db *db, struct store_request *r); /* STORE_SCAN of files; false: not yet, see files_list() */
void read_file_stat(struct db *db, struct store_request *r, struct bytes path, struct image *out);
/* txn and parts, each once, rising. False: no memory. Owned by the caller, ids->id freed with free(). */
bool ids_of(const struct store_request *r, struct ids *ids);

/* sqlite_root.c: at open. The check comes before anything is undone: ERR_STORAGE, a transaction that has to be taken
 * back changed files in a root that is not given, or elsewhere, now. What is remembered is what this open was given. */
enum err db_roots_check(struct db *db, const struct store_options *options, struct failure *why);
enum err db_roots_remember(struct db *db, const struct store_options *options, struct failure *why);

/* sqlite_tidy.c. Between db_begin and db_end: a step of forgetting old history, and old tokens. */
int db_forget(struct db *db, size_t rows_added, size_t tokens_added, size_t events_added);
/* Background work, a bounded piece. True: there is more to do at once. */
bool db_tidy(struct db *db, enum rest rest);
/* Moves the log into the database. False: it could not; poisoned if it must not be tried again. */
bool db_checkpoint(struct db *db, int mode);
/* What was committed is on disk; with `durability full` it is already, and off promises nothing. False: it may not be,
 * and db is poisoned, since a second try might sync nothing and say that all is well. */
bool db_log_sync(struct db *db);
/* What was committed is on disk. From another thread than the store's, too, but not while that syncs the log itself, in a
 * checkpoint. ERR_UNKNOWN. */
enum err db_sync(struct db *db);
/* It is time to move the log into the database. */
bool db_checkpoint_due(const struct db *db, enum rest rest);
void db_ledger_flush(struct db *db);
int64_t db_now_us(void);
static inline uint64_t less(uint64_t a, uint64_t b) { return a > b ? a - b : 0; } /* a - b, not below 0 */

/* sqlite_read.c: all questions; the answer and the result are in the request. */
void db_read(struct db *db, struct store_request *r);
/* For readers. A failure is in r->why; those that return bool are false then. */
void read_end(struct db *db, struct store_request *r, sqlite3_stmt *q);
bool read_image(struct store_request *r, sqlite3_stmt *q, int at, struct image *out);
bool read_row(struct store_request *r, sqlite3_stmt *q, struct store_row *row);     /* the columns of Q_TXN_SHOW */
bool read_matches(const struct store_filter *f, sqlite3_stmt *q);                   /* and whether to tell of it */
size_t read_count_max(struct store_request *r, size_t max);
/* True: the answer is full after some rows, which is no failure but a stop. */
bool read_stop_early(struct store_request *r, size_t rows);
bool read_bytes_of(struct store_request *r, sqlite3_stmt *q, int at, struct bytes *out);
void read_current(struct db *db, struct store_request *r, char resource, struct bytes key, struct image *out);
/* What is asked about; RESOURCE_KV unless the request says something else. */
static inline char read_resource(const struct store_request *r) { return r->resource == 0 ? RESOURCE_KV : r->resource; }

/* sqlite_trail.c */
void read_list_key(struct db *db, struct store_request *r);
void read_blame(struct db *db, struct store_request *r);
void read_at(struct db *db, struct store_request *r);
void read_dependents(struct db *db, struct store_request *r);
/* sqlite_backup.c */
/* db->backup is set, or it failed at once and r->why is. */
void db_backup_start(struct db *db, struct store_request *r);
/* Copies some pages. NULL: it goes on. The request when it ended, its result in r->why. */
struct store_request *db_backup_step(struct db *db);

#endif
