#include "txn/store_sync.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct store_sync {
    struct store_sync_work work;
    pthread_t thread;
    pthread_mutex_t lock; /* for what follows */
    pthread_cond_t more;  /* something waits, or stop */
    pthread_cond_t idle;  /* nothing waits, nothing is being synced */
    struct list waiting;
    bool must; /* something that waits needs a sync */
    bool busy, stop, failed;
};

static bool is_idle(const struct store_sync *s) { return list_empty(&s->waiting) && !s->busy; }

/* What a failed sync leaves open. Those that failed before, and reads, keep their answer. */
static void refuse_all(struct list *requests)
{
    list_each (node, requests) {
        struct store_request *r = list_entry(node, struct store_request, link);
        if (r->why.err == OK && r->needs_sync)
            fail(&r->why, ERR_UNKNOWN,
                 "an I/O error hit the commit itself; whether it holds is known only after recovery");
    }
}

/* Before anybody is told: what is asked for after that is refused, and not written. */
static void note_failed(struct store_sync *s)
{
    pthread_mutex_lock(&s->lock);
    s->failed = true;
    pthread_mutex_unlock(&s->lock);
}

/* With the lock, which is given up meanwhile. */
static void serve_waiting(struct store_sync *s)
{
    struct list work;
    bool must = s->must, failed = s->failed;

    list_init(&work);
    list_move_all(&s->waiting, &work);
    s->must = false;
    s->busy = true;
    pthread_mutex_unlock(&s->lock);
    if (must && !failed && s->work.sync(s->work.owner) != OK) {
        failed = true;
        note_failed(s);
    }
    if (failed)
        refuse_all(&work);
    s->work.finished(s->work.owner, &work);
    pthread_mutex_lock(&s->lock);
    s->busy = false;
    if (is_idle(s))
        pthread_cond_broadcast(&s->idle);
}

static void *thread_main(void *arg)
{
    struct store_sync *s = arg;

    pthread_mutex_lock(&s->lock);
    while (!s->stop || !list_empty(&s->waiting)) {
        if (list_empty(&s->waiting))
            pthread_cond_wait(&s->more, &s->lock);
        else
            serve_waiting(s);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static void sync_delete(struct store_sync *s)
{
    pthread_cond_destroy(&s->idle);
    pthread_cond_destroy(&s->more);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

struct store_sync *store_sync_new(const struct store_sync_work *work)
{
    struct store_sync *s = calloc(1, sizeof *s);
    sigset_t all, old;
    int error;

    if (s == NULL)
        return NULL;
    s->work = *work;
    list_init(&s->waiting);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->more, NULL);
    pthread_cond_init(&s->idle, NULL);
    sigfillset(&all); /* signals are the loop's */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    error = pthread_create(&s->thread, NULL, thread_main, s);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (error == 0)
        return s;
    sync_delete(s);
    return NULL;
}

void store_sync_free(struct store_sync **out)
{
    struct store_sync *s = *out;

    if (s == NULL)
        return;
    *out = NULL;
    (void)store_sync_drain(s);
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_signal(&s->more);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    sync_delete(s);
}

void store_sync_add(struct store_sync *s, struct list *requests, bool must)
{
    pthread_mutex_lock(&s->lock);
    list_move_all(requests, &s->waiting);
    s->must |= must;
    pthread_cond_signal(&s->more);
    pthread_mutex_unlock(&s->lock);
}

void store_sync_now(struct store_sync *s, struct list *requests)
{
    bool failed = store_sync_failed(s);

    if (!failed && s->work.sync(s->work.owner) != OK) {
        failed = true;
        note_failed(s);
    }
    if (failed)
        refuse_all(requests);
    s->work.finished(s->work.owner, requests);
}

bool store_sync_idle(struct store_sync *s)
{
    bool idle;

    pthread_mutex_lock(&s->lock);
    idle = is_idle(s);
    pthread_mutex_unlock(&s->lock);
    return idle;
}

bool store_sync_drain(struct store_sync *s)
{
    bool failed;

    pthread_mutex_lock(&s->lock);
    while (!is_idle(s))
        pthread_cond_wait(&s->idle, &s->lock);
    failed = s->failed;
    pthread_mutex_unlock(&s->lock);
    return !failed;
}

bool store_sync_failed(struct store_sync *s)
{
    bool failed;

    pthread_mutex_lock(&s->lock);
    failed = s->failed;
    pthread_mutex_unlock(&s->lock);
    return failed;
}
