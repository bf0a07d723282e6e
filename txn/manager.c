/*
 * The manager of transactions: starts, polls, ends.
 *
 * One poll: the store's answers are taken, lock waits that lasted too long end, the next batch is submitted, and only
 * then is anybody called back, so that a callback finds everything in order and may begin, ask, commit and abort.
 */
#include "txn/inside.h"

#include "lib/check.h"

#include <stdlib.h>
#include <time.h>

void manager_want(struct txn_manager *m)
{
    if (m->asked)
        return;
    m->asked = true;
    m->options.wanted(m->options.wanted_arg);
}

void manager_submit(struct txn_manager *m, struct store_request *r)
{
    m->request_count++;
    m->store->ops->submit(m->store, r);
}

/* All wait equally long, so the list is in order of deadlines; those who came since the last poll are timed from
 * now. */
static void poll_deadlines(struct txn_manager *m)
{
    int64_t wait_ms = (int64_t)m->options.lock_wait_ms;
    struct list *node;
    char key[80];

    for (node = m->lock_waits.prev; node != &m->lock_waits; node = node->prev) {
        struct txn *t = list_entry(node, struct txn, deadline_link);
        if (t->locks.waiting_since_ms >= 0)
            break;
        t->locks.waiting_since_ms = m->now_ms;
    }
    while ((node = list_first(&m->lock_waits)) != NULL) {
        struct txn *t = list_entry(node, struct txn, deadline_link);
        if (m->now_ms - t->locks.waiting_since_ms < wait_ms)
            break;
        m->stats.conflicts++;
        txn_doom(t, ERR_CONFLICT, "waited %lld ms for key \"%s\", which another transaction holds; try again",
                 (long long)wait_ms, bytes_show(lock_waits_for(&t->locks), key, sizeof key));
    }
}

/* Takes what is there now: what the callbacks add is for the next poll. */
static void list_take(struct list *to, struct list *from)
{
    list_init(to);
    if (list_empty(from))
        return;
    *to = *from;
    to->next->prev = to->prev->next = to;
    list_init(from);
}

static void poll_callbacks(struct txn_manager *m)
{
    struct list ending, waking, *node;

    list_take(&ending, &m->ending);
    list_take(&waking, &m->waking);
    while ((node = list_pop(&ending)) != NULL)
        txn_tell(list_entry(node, struct txn, link));
    while ((node = list_pop(&waking)) != NULL) {
        struct txn *t = list_entry(node, struct txn, wake_link);
        t->events.wake(t->owner);
    }
}

void txn_poll(struct txn_manager *m, int64_t now_ms)
{
    m->now_ms = now_ms;
    m->asked = false;
    m->store->ops->poll(m->store);
    poll_deadlines(m);
    batch_submit(m);
    poll_callbacks(m);
    batch_submit(m);
    if (list_empty(&m->ending) && list_empty(&m->waking))
        return;
    m->asked = false;
    manager_want(m);
}

int64_t txn_next_deadline_ms(const struct txn_manager *m)
{
    struct list *node = list_first(&m->lock_waits);
    int64_t since;

    if (node == NULL)
        return -1;
    since = list_entry(node, struct txn, deadline_link)->locks.waiting_since_ms;
    return since < 0 ? m->now_ms : since + (int64_t)m->options.lock_wait_ms;
}

bool txn_manager_poisoned(const struct txn_manager *m) { return m->poisoned; }

void txn_stats(const struct txn_manager *m, struct txn_stats *s)
{
    *s = m->stats;
    s->cache_bytes = m->kv.clean_bytes;
    s->cache_keys = m->kv.entries.count;
    s->dirty_keys = m->kv.pinned_count;
}

static void nap(void) { nanosleep(&(struct timespec){ .tv_nsec = 100 * 1000 }, NULL); }

static enum err ids_begin(struct txn_manager *m, struct failure *why)
{
    m->id_next = m->store->ops->facts(m->store)->txn_next;
    m->id_reserved = m->id_next - 1;
    m->id_block = ID_BLOCK;
    m->id_wanted = true;
    while (m->id_wanted) { /* ends: the store answers every request */
        txn_poll(m, 0);
        if (m->in_flight == NULL && m->id_wanted)
            return fail(why, ERR_NOMEM, "no memory to start");
        if (m->id_wanted)
            nap();
    }
    if (m->id_reserved < m->id_next)
        return fail(why, ERR_STORAGE, "the store cannot be written: %s", m->store_failure.text);
    return OK;
}

/* Fit to be freed in any case. */
static enum err manager_init(struct txn_manager *m, const struct txn_options *options)
{
    struct list *lists[] = { &m->open, &m->waking, &m->ending, &m->lock_waits, &m->spilled, &m->spare, &m->batches,
                             &m->spare_batches };
    enum err locks, values;

    m->options = *options;
    m->store = options->store;
    m->batch_next = 1;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        list_init(lists[i]);
    locks = lock_table_init(&m->locks);
    values = kv_init(&m->kv, options->cache_bytes);
    return locks != OK ? locks : values;
}

enum err txn_manager_new(const struct txn_options *options, struct txn_manager **out, struct failure *why)
{
    struct txn_manager *m = calloc(1, sizeof *m);
    enum err err;

    if (m == NULL)
        return fail(why, ERR_NOMEM, "no memory to start");
    err = manager_init(m, options) == OK ? ids_begin(m, why) : fail(why, ERR_NOMEM, "no memory to start");
    if (err != OK) {
        txn_manager_free(&m);
        return err;
    }
    *out = m;
    return OK;
}

void txn_manager_free(struct txn_manager **out)
{
    struct txn_manager *m = *out;
    struct list *node;

    if (m == NULL)
        return;
    CHECK(m->stats.open == 0);
    while (m->request_count > 0 || !list_empty(&m->batches)) { /* ends: the store answers every request */
        txn_poll(m, m->now_ms);
        if (m->request_count > 0)
            nap();
    }
    while ((node = list_pop(&m->spare)) != NULL)
        txn_free(list_entry(node, struct txn, link));
    batch_free_spare(m);
    lock_table_fini(&m->locks);
    kv_fini(&m->kv);
    free(m);
    *out = NULL;
}
