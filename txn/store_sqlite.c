/*
 * The store on its thread: two lists and one worker. The caller's thread submits and polls; the store's
 * thread serves in order, merges neighbouring commits into one, and tidies up when nobody waits. What is
 * done to the database is in txn/sqlite_*.c; here is only who waits for whom.
 *
 *     submit ──► waiting ──► store's thread: db_commit, db_read, … ──► finished ──► poll ──► done()
 *                                                          └──► sync ─────┘
 *
 * While others are at work, what was written is synced on a thread of its own (store_sync.h), so that their reads need not wait for
 * the disk. All else that stands behind it does, so that requests are done in their order.
 *
 * Invariants: a request is on one list, or in a thread's hands, or in a backup. wake() is called once
 * each time that finished stops being empty. The database belongs to the store's thread from its start to its end, but for
 * the sync of its log.
 */
#include "lib/check.h"
#include "txn/sqlite.h"
#include "txn/store_sync.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    GROUP_MAX = 64, /* neighbouring commits merged into one */
    QUIET_MS = 20,  /* without requests: time to tidy up */
    TIDY_MS = 5000, /* between looks for old history when nothing happens */
};

struct store_sqlite {
    struct store base;
    void (*wake)(void *);
    void *wake_arg;
    size_t outstanding; /* submitted and not done; the caller's thread alone */
    pthread_t thread;
    struct db db;         /* the store's thread alone */
    struct list backups;  /* the store's thread alone: those that wait for the running one */
    struct list listings; /* the same: of directories; the first is being read */
    struct store_sync *sync; /* owned; NULL: nothing waits for a sync, as the durability says */
    pthread_mutex_t lock; /* for what follows */
    pthread_cond_t more;  /* something is waiting, or stop */
    pthread_cond_t some;  /* something is finished */
    struct list waiting, finished;
    bool stop;
};

static struct store_sqlite *of(const struct store *store) { return (struct store_sqlite *)(void *)store; }

/* --- the store's thread --- */

/* On either thread. */
static void finish_all(void *store, struct list *requests)
{
    struct store_sqlite *s = store;
    bool first;

    pthread_mutex_lock(&s->lock);
    first = list_empty(&s->finished) && !list_empty(requests);
    list_move_all(requests, &s->finished);
    pthread_cond_signal(&s->some);
    pthread_mutex_unlock(&s->lock);
    if (first)
        s->wake(s->wake_arg);
}

/* Behind what is being synced; must: it is to be synced, too, apart: on the other thread. */
static void pass_on(struct store_sqlite *s, struct list *requests, bool must, bool apart)
{
    bool idle = s->sync == NULL || store_sync_idle(s->sync);

    if (s->sync == NULL || (!must && idle))
        finish_all(s, requests);
    else if (idle && !apart)
        store_sync_now(s->sync, requests);
    else
        store_sync_add(s->sync, requests, must);
}

static bool writes(enum store_kind kind)
{
    return kind == STORE_COMMIT || kind == STORE_UNDO || kind == STORE_APPLY || kind == STORE_GRAFT_PUT ||
           kind == STORE_GRAFT_DEL;
}

static void finish(struct store_sqlite *s, struct store_request *r)
{
    struct list one;

    list_init(&one);
    list_push(&one, &r->link);
    r->needs_sync = writes(r->kind) && r->why.err == OK;
    if (r->kind == STORE_GET)
        finish_all(s, &one);
    else
        pass_on(s, &one, r->needs_sync, false);
}

static struct store_request *request_of(struct list *node) { return list_entry(node, struct store_request, link); }

/* Commits what stands at the head of the list, and the commits right behind it. */
static void serve_commits(struct store_sqlite *s, struct list *work)
{
    struct store_request *group[GROUP_MAX];
    struct failure why = { 0 };
    struct list done;
    size_t n = 0;
    bool apart = false;

    list_init(&done);
    while (n < GROUP_MAX && !list_empty(work) && request_of(list_first(work))->kind == STORE_COMMIT) {
        group[n] = request_of(list_pop(work));
        list_push(&done, &group[n++]->link);
    }
    db_commit(&s->db, group, n, &why);
    for (size_t i = 0; i < n; i++) {
        group[i]->why = why;
        group[i]->needs_sync = why.err == OK;
        apart |= group[i]->apart;
    }
    pass_on(s, &done, why.err == OK, apart);
}

static void backup_next(struct store_sqlite *s)
{
    struct store_request *r;

    while (s->db.backup == NULL && !list_empty(&s->backups)) {
        r = request_of(list_pop(&s->backups));
        db_backup_start(&s->db, r);
        if (s->db.backup == NULL)
            finish(s, r);
    }
}

/* What was written is not known to be on disk, and will not be before recovery. */
static void heed_failed_sync(struct store_sqlite *s)
{
    if (s->sync != NULL && s->db.poison.err == OK && store_sync_failed(s->sync))
        db_poison(&s->db, ERR_UNKNOWN, NULL, "an I/O error hit the sync of what was committed");
}

/* A slice of the first one. True: there is more to do. */
static bool listing_next(struct store_sqlite *s)
{
    struct store_request *r = list_empty(&s->listings) ? NULL : request_of(list_first(&s->listings));

    if (r != NULL)
        heed_failed_sync(s);
    if (r != NULL && db_read_files(&s->db, r)) {
        list_remove(&r->link);
        finish(s, r);
    }
    return !list_empty(&s->listings);
}

/* Most are done at once; behind one of a large directory they wait, so that commits need not. */
static void listing_serve(struct store_sqlite *s, struct store_request *r)
{
    list_push(&s->listings, &r->link);
    if (list_first(&s->listings) == &r->link)
        listing_next(s);
}

static void serve_one(struct store_sqlite *s, struct store_request *r)
{
    if (r->kind == STORE_SCAN && read_resource(r) == RESOURCE_FILE) {
        listing_serve(s, r);
        return;
    }
    switch (r->kind) {
    case STORE_BACKUP:
        list_push(&s->backups, &r->link);
        return;
    case STORE_UNDO:
        db_undo(&s->db, r, &r->why);
        break;
    case STORE_APPLY:
        db_files_apply(&s->db, r, &r->why);
        break;
    case STORE_FILE_STAGE:
        db_files_stage(&s->db, r);
        break;
    case STORE_FILE_DROP:
        db_files_drop(&s->db, r, &r->why);
        break;
    case STORE_GRAFT_PUT:
        db_graft_put(&s->db, &r->graft, &r->why);
        break;
    case STORE_GRAFT_DEL:
        db_graft_del(&s->db, r->graft.name, &r->why);
        break;
    case STORE_COMMIT: /* serve_commits has these */
    case STORE_GET:
    case STORE_SCAN:
    case STORE_LIST:
    case STORE_SHOW:
    case STORE_BLAME:
    case STORE_AT:
    case STORE_DEPENDENTS:
    case STORE_IDEM:
    case STORE_EVENTS:
    case STORE_TOPICS:
    case STORE_FILE_READ:
    case STORE_GRAFT_LIST:
        db_read(&s->db, r);
        break;
    }
    finish(s, r);
}

static void serve(struct store_sqlite *s, struct list *work)
{
    struct list *node;

    while ((node = list_first(work)) != NULL) {
        heed_failed_sync(s);
        if (request_of(node)->kind == STORE_COMMIT) {
            serve_commits(s, work);
        } else {
            list_remove(node);
            serve_one(s, request_of(node));
        }
    }
}

/* The log is synced by one thread at a time. True: something was done, and there may be more. */
static bool move_log(struct store_sqlite *s, enum rest rest)
{
    if (s->db.poison.err != OK || !db_checkpoint_due(&s->db, rest))
        return false;
    if (s->sync == NULL || store_sync_drain(s->sync))
        return db_checkpoint(&s->db, SQLITE_CHECKPOINT_PASSIVE) && rest != REST_NONE;
    heed_failed_sync(s);
    return false;
}

static bool tidy(struct store_sqlite *s, enum rest rest)
{
    bool more = db_tidy(&s->db, rest);

    return move_log(s, more ? REST_NONE : rest) || more;
}

/* A piece of what nobody waits for at once. True: there is more. */
static bool background(struct store_sqlite *s, enum rest rest)
{
    struct store_request *r;

    backup_next(s);
    if (s->db.backup != NULL) {
        r = db_backup_step(&s->db);
        if (r != NULL)
            finish(s, r);
        (void)tidy(s, REST_NONE);
        return true;
    }
    return tidy(s, rest);
}

/* All that is waiting, after at most wait_ms. False: nothing is, and the store closes. */
static bool take_work(struct store_sqlite *s, int wait_ms, struct list *work)
{
    struct timespec until;
    bool on;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += wait_ms / 1000;
    until.tv_nsec += wait_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&s->lock);
    while (wait_ms > 0 && list_empty(&s->waiting) && !s->stop)
        if (pthread_cond_timedwait(&s->more, &s->lock, &until) == ETIMEDOUT)
            break;
    list_move_all(&s->waiting, work);
    on = !list_empty(work) || !s->stop;
    pthread_mutex_unlock(&s->lock);
    return on;
}

static void *thread_main(void *arg)
{
    struct store_sqlite *s = arg;
    struct list work;
    int wait_ms = QUIET_MS;
    enum rest rest = REST_NONE;
    bool reading;

    list_init(&work);
    while (take_work(s, wait_ms, &work)) {
        if (!list_empty(&work) || !list_empty(&s->listings))
            rest = REST_NONE;
        else if (rest == REST_NONE)
            rest = REST_QUIET;
        else if (wait_ms == TIDY_MS)
            rest = REST_LONG;
        serve(s, &work);
        reading = listing_next(s);
        if (background(s, rest) || reading)
            wait_ms = 0;
        else
            wait_ms = rest == REST_NONE ? QUIET_MS : TIDY_MS;
    }
    heed_failed_sync(s);
    store_sync_free(&s->sync);
    db_close(&s->db);
    return NULL;
}

/* --- the caller's thread --- */

static void submit(struct store *store, struct store_request *r)
{
    struct store_sqlite *s = of(store);

    CHECK(s->outstanding < STORE_QUEUE_MAX);
    s->outstanding++;
    failure_clear(&r->why);
    pthread_mutex_lock(&s->lock);
    list_push(&s->waiting, &r->link);
    pthread_cond_signal(&s->more);
    pthread_mutex_unlock(&s->lock);
}

static void poll(struct store *store)
{
    struct store_sqlite *s = of(store);
    struct list finished;
    struct store_request *r;

    list_init(&finished);
    pthread_mutex_lock(&s->lock);
    list_move_all(&s->finished, &finished);
    pthread_mutex_unlock(&s->lock);
    while (!list_empty(&finished)) {
        r = request_of(list_pop(&finished));
        s->outstanding--;
        r->done(r);
    }
}

static const struct store_facts *facts(const struct store *store) { return &of(store)->db.facts; }

static void wait_finished(struct store_sqlite *s)
{
    pthread_mutex_lock(&s->lock);
    while (list_empty(&s->finished))
        pthread_cond_wait(&s->some, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

static void store_free(struct store_sqlite *s)
{
    pthread_cond_destroy(&s->some);
    pthread_cond_destroy(&s->more);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static void close_store(struct store *store)
{
    struct store_sqlite *s = of(store);

    while (s->outstanding > 0) {
        wait_finished(s);
        poll(store);
    }
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_signal(&s->more);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    store_free(s);
}

static const struct store_ops ops = { .submit = submit, .poll = poll, .facts = facts, .close = close_store };

static struct store_sqlite *store_new(const struct store_options *options)
{
    struct store_sqlite *s = calloc(1, sizeof *s);
    pthread_condattr_t monotonic;

    if (s == NULL)
        return NULL;
    s->base.ops = &ops;
    s->wake = options->wake;
    s->wake_arg = options->wake_arg;
    list_init(&s->backups);
    list_init(&s->listings);
    list_init(&s->waiting);
    list_init(&s->finished);
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s->more, &monotonic);
    pthread_cond_init(&s->some, NULL);
    pthread_condattr_destroy(&monotonic);
    return s;
}

/* Without signals: they are the loop's. */
static enum err sync_log(void *store) { return db_sync(&((struct store_sqlite *)store)->db); }

static int thread_start(struct store_sqlite *s)
{
    sigset_t all, old;
    int error;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    error = pthread_create(&s->thread, NULL, thread_main, s);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return error;
}

enum err store_sqlite_open(const struct store_options *options, struct store **out, struct failure *why)
{
    struct store_sqlite *s = store_new(options);
    enum err err;
    int error;

    if (s == NULL)
        return fail(why, ERR_NOMEM, "no memory for the store");
    err = db_open(&s->db, options, why);
    if (err != OK) {
        store_free(s);
        return err;
    }
    if (options->synchronous == 2)
        s->sync = store_sync_new(&(struct store_sync_work){ .sync = sync_log, .finished = finish_all, .owner = s });
    error = options->synchronous == 2 && s->sync == NULL ? EAGAIN : thread_start(s);
    if (error != 0) {
        store_sync_free(&s->sync);
        db_close(&s->db);
        store_free(s);
        return fail(why, ERR_STORAGE, "cannot start the store's threads: %s", strerror(error));
    }
    *out = &s->base;
    return OK;
}
