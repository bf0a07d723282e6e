/*
 * The manager of transactions: starts, polls, ends.
 *
 * One poll: the store's answers are taken, lock waits that lasted too long end, those who made others wait too long are
 * doomed, the next batch is submitted, and only then is anybody called back, so that a callback finds everything in
 * order and may begin, ask, commit and abort.
 */
#include "txn/inside.h"

#include "lib/check.h"

#include <stdlib.h>
#include <string.h>
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

void manager_renew_ids(struct txn_manager *m)
{
    if (m->id_wanted || m->id_next + m->id_block / 2 <= m->id_reserved)
        return;
    m->id_wanted = true;
    manager_want(m);
}

uint64_t manager_take_id(struct txn_manager *m)
{
    manager_renew_ids(m);
    return m->id_next++;
}

void manager_hold_soon(struct txn_manager *m)
{
    int64_t least = m->hold_least > INT64_MAX / 2 ? INT64_MAX : m->now_ms + (int64_t)m->hold_least;

    if (least < m->hold_due_ms)
        m->hold_due_ms = least;
}

/* All wait equally long, so the list is in order of deadlines; those who came since the last poll are timed from
 * now. */
static void poll_deadlines(struct txn_manager *m)
{
    int64_t wait_ms = (int64_t)m->options.lock_wait_ms;
    struct list *node;
    char item[ITEM_SHOWN];

    for (node = m->lock_waits.prev; node != &m->lock_waits; node = node->prev) {
        struct txn *t = list_entry(node, struct txn, deadline_link);
        if (t->locks.waiting_since_ms >= 0)
            break;
        t->locks.waiting_since_ms = m->now_ms;
        manager_hold_soon(m);
    }
    while ((node = list_first(&m->lock_waits)) != NULL) {
        struct txn *t = list_entry(node, struct txn, deadline_link);
        if (m->now_ms - t->locks.waiting_since_ms < wait_ms)
            break;
        m->stats.conflicts++;
        t->history.lock_wait_us += m->options.lock_wait_ms * 1000;
        txn_doom(t, ERR_CONFLICT, "waited %lld ms for %s, which another transaction holds; try again",
                 (long long)wait_ms, item_show(lock_waits_for(&t->locks), item, sizeof item));
    }
}

/* One who holds what t waits for. */
static void hold_look(struct lock_holder *h, int64_t since_ms, void *user)
{
    struct txn *holder = list_entry(h, struct txn, locks), *t = user;
    struct txn_manager *m = t->m;
    int64_t due;

    if (holder->state != TXN_OPEN || holder->failure.err != OK || holder->hold_ms > INT64_MAX / 2)
        return;
    if (since_ms < t->locks.waiting_since_ms)
        since_ms = t->locks.waiting_since_ms;
    due = since_ms + (int64_t)holder->hold_ms;
    if (due > m->now_ms) {
        m->hold_due_ms = due < m->hold_due_ms ? due : m->hold_due_ms;
        return;
    }
    m->hold_found = holder;
}

/* Dooming one lets others go on, so the search begins anew: each round dooms one, which is not found again. */
static void poll_holds(struct txn_manager *m)
{
    char item[ITEM_SHOWN];

    while (m->now_ms >= m->hold_due_ms) {
        m->hold_due_ms = INT64_MAX;
        m->hold_found = NULL;
        list_each (node, &m->lock_waits) {
            struct txn *t = list_entry(node, struct txn, deadline_link);
            lock_each_blocker(&m->locks, &t->locks, m->now_ms, hold_look, t);
            if (m->hold_found == NULL)
                continue;
            m->hold_due_ms = m->now_ms;
            m->stats.held_too_long++;
            txn_doom_told(m->hold_found, ERR_CONFLICT,
                          "held %s that others wait for longer than %llu ms; it was rolled back, try again",
                          item_show(lock_waits_for(&t->locks), item, sizeof item),
                          (unsigned long long)m->hold_found->hold_ms);
            break;
        }
    }
}

/* It goes on with what it waited for. */
static void note_waited(struct txn *t)
{
    int64_t since_ms = t->locks.waiting_since_ms, now_ms = t->m->now_ms;

    if (t->locks.got != NULL && since_ms >= 0 && now_ms > since_ms)
        t->history.lock_wait_us += (uint64_t)(now_ms - since_ms) * 1000;
    lock_woke(&t->locks, now_ms);
}

/* Takes what is there now: what the callbacks add is for the next poll. */
static void list_take(struct list *to, struct list *from)
{
    list_init(to);
    list_move_all(from, to);
}

static void poll_callbacks(struct txn_manager *m)
{
    struct list ending, dooming, waking, *node;

    list_take(&ending, &m->ending);
    list_take(&dooming, &m->dooming);
    list_take(&waking, &m->waking);
    stored_tell(m);
    while ((node = list_pop(&ending)) != NULL)
        txn_tell(list_entry(node, struct txn, link));
    while ((node = list_pop(&dooming)) != NULL) {
        struct txn *t = list_entry(node, struct txn, doom_link);
        if (t->events.doomed != NULL)
            t->events.doomed(t->owner);
    }
    while ((node = list_pop(&waking)) != NULL) {
        struct txn *t = list_entry(node, struct txn, wake_link);
        note_waited(t);
        t->events.wake(t->owner);
    }
    warm_tell(m);
}

void txn_poll(struct txn_manager *m, int64_t now_ms)
{
    m->now_ms = now_ms;
    m->asked = false;
    m->store->ops->poll(m->store);
    poll_deadlines(m);
    poll_holds(m);
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
    int64_t since, due;

    if (node == NULL)
        return m->rows_due_ms;
    since = list_entry(node, struct txn, deadline_link)->locks.waiting_since_ms;
    due = since < 0 ? m->now_ms : since + (int64_t)m->options.lock_wait_ms;
    due = m->rows_due_ms >= 0 && m->rows_due_ms < due ? m->rows_due_ms : due;
    return due < m->hold_due_ms ? due : m->hold_due_ms;
}

void txn_write_rows(struct txn_manager *m)
{
    m->rows_wanted = !list_empty(&m->batches);
    batch_submit(m);
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
    struct list *lists[] = { &m->open, &m->waking, &m->ending, &m->dooming, &m->lock_waits, &m->spare, &m->warmed, &m->batches,
                             &m->spare_batches, &m->unnumbered };
    size_t roots = options->root_count;
    uint64_t key_max = options->key_max > STORE_KEY_MAX ? options->key_max : STORE_KEY_MAX;
    enum err locks, values;

    m->options = *options;
    m->store = options->store;
    m->batch_next = 1;
    m->hold_least = options->hold_ms == 0 ? UINT64_MAX : options->hold_ms;
    m->hold_due_ms = INT64_MAX;
    m->rows_due_ms = -1;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        list_init(lists[i]);
    locks = lock_table_init(&m->locks);
    m->locks.show = item_show;
    values = kv_init(&m->kv, options->cache_bytes);
    m->item_text = malloc(key_max + 1);
    m->root_names = calloc(roots + 1, sizeof m->root_names[0]);
    if (m->item_text == NULL || m->root_names == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < roots; i++)
        if ((m->root_names[i] = strdup(options->roots[i].name)) == NULL)
            return ERR_NOMEM;
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
        txn_write_rows(m);
        txn_poll(m, m->now_ms);
        if (m->request_count > 0)
            nap();
    }
    while ((node = list_pop(&m->spare)) != NULL)
        txn_free(list_entry(node, struct txn, link));
    batch_free_spare(m);
    stored_free(m);
    lock_table_fini(&m->locks);
    kv_fini(&m->kv);
    for (size_t i = 0; m->root_names != NULL && i < m->options.root_count; i++)
        free(m->root_names[i]);
    free(m->root_names);
    free(m->item_text);
    free(m);
    *out = NULL;
}
