#include "graftd/timer.h"

#include "graftd/timer_impl.h"
#include "lib/check.h"
#include "lib/log.h"

#include <stdlib.h>
#include <string.h>

enum { SLEEP_MS_MAX = 60 * 1000 }; /* the wall clock may be set meanwhile */

#define NOT_QUEUED SIZE_MAX

/* ---- the queue: a binary heap by due ---- */

static void queue_set(struct timers *t, size_t at, struct armed *a)
{
    t->queue[at] = a;
    a->at = at;
}

static void queue_up(struct timers *t, struct armed *a, size_t at)
{
    while (at > 0 && t->queue[(at - 1) / 2]->due_us > a->due_us) {
        queue_set(t, at, t->queue[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    queue_set(t, at, a);
}

static void queue_down(struct timers *t, struct armed *a, size_t at)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child + 1 < t->queued && t->queue[child + 1]->due_us < t->queue[child]->due_us)
            child++;
        if (child >= t->queued || t->queue[child]->due_us >= a->due_us)
            break;
        queue_set(t, at, t->queue[child]);
        at = child;
    }
    queue_set(t, at, a);
}

static void queue_remove(struct timers *t, struct armed *a)
{
    size_t at = a->at;
    struct armed *last;

    if (at == NOT_QUEUED)
        return;
    a->at = NOT_QUEUED;
    last = t->queue[--t->queued];
    if (last == a)
        return;
    queue_up(t, last, at);
    queue_down(t, last, last->at);
}

/* There is room: each timer has its place from its making. */
void timer_queue(struct timers *t, struct armed *a)
{
    if (a->at == NOT_QUEUED && !a->parked && !a->firing)
        queue_up(t, a, t->queued++);
}

/* ---- what is armed ---- */

struct armed *timer_find(struct timers *t, struct bytes id)
{
    struct map_node *node = map_find(&t->all, id);

    return node == NULL ? NULL : map_entry(node, struct armed, node);
}

static bool queue_reserve(struct timers *t)
{
    size_t cap = t->queue_cap == 0 ? 64 : 2 * t->queue_cap;
    struct armed **queue;

    if (t->all.count < t->queue_cap)
        return true;
    queue = reallocarray(t->queue, cap, sizeof *queue);
    if (queue == NULL)
        return false;
    t->queue = queue;
    t->queue_cap = cap;
    return true;
}

static struct armed *armed_new(struct timers *t, struct bytes id)
{
    struct armed *a = queue_reserve(t) ? calloc(1, sizeof *a + id.len) : NULL;

    if (a == NULL)
        return NULL;
    a->at = NOT_QUEUED;
    memcpy(a->id, id.data, id.len);
    a->node.key = bytes_of(a->id, id.len);
    map_add(&t->all, &a->node);
    timer_place_filled(t, id);
    return a;
}

static void armed_free(struct timers *t, struct armed *a)
{
    queue_remove(t, a);
    list_remove(&a->held);
    map_remove(&t->all, &a->node);
    free(a);
}

void timer_forget(struct timers *t, struct bytes id)
{
    struct armed *a = timer_find(t, id);

    if (a != NULL)
        armed_free(t, a);
}

void timer_again(struct timers *t, struct bytes id, int64_t due_us)
{
    struct armed *a = timer_find(t, id);

    if (a != NULL) {
        a->firing = false;
        if (due_us != 0)
            a->due_us = due_us;
        timer_queue(t, a);
    }
    timers_fire(t);
}

static void armed_set(struct timers *t, struct bytes id, struct bytes image)
{
    struct armed *a = timer_find(t, id);
    struct timer timer;
    char shown[TIMER_ID_MAX];

    if (!timer_image_read(image, &timer)) {
        log_line(LOG_ERROR, "timer %s cannot be read and does not fire", bytes_show(id, shown, sizeof shown));
        return;
    }
    if (a == NULL && (a = armed_new(t, id)) == NULL) {
        log_line(LOG_ERROR, "no memory for timer %s: it fires after the next start of graftd",
                 bytes_show(id, shown, sizeof shown));
        return;
    }
    queue_remove(t, a);
    list_remove(&a->held);
    a->seen = t->reading;
    a->due_us = timer.due_us;
    a->parked = timer.parked;
    timer_queue(t, a);
}

/* ---- firing ---- */

/* Wakes up when the first one is due, but not more often than the wall clock is looked at anyway. */
static void sleep_until_due(struct timers *t, int64_t now_us)
{
    int64_t ms;

    if (t->queued == 0 || t->firing_count == TIMER_FIRING_MAX)
        return;
    ms = (t->queue[0]->due_us - now_us + 999) / 1000;
    t->core->port->ops->timer_start(t->timer, ms < 0 ? 0 : ms > SLEEP_MS_MAX ? SLEEP_MS_MAX : (uint64_t)ms);
}

void timers_fire(struct timers *t)
{
    int64_t now_us = port_wall_us(t->core->port);

    if (!t->started || t->core->draining)
        return;
    while (t->queued > 0 && t->queue[0]->due_us <= now_us && t->firing_count < TIMER_FIRING_MAX) {
        struct armed *a = t->queue[0];
        queue_remove(t, a);
        a->firing = true;
        if (timer_fire(t, a->node.key) == OK)
            continue;
        a->firing = false;
        a->due_us = now_us + 1000000; /* no memory now */
        timer_queue(t, a);
    }
    sleep_until_due(t, now_us);
}

static void due(void *owner) { timers_fire(owner); }

/* ---- reading what is stored ---- */

static void load(struct timers *t);

static void forget_unseen(struct map_node *node, void *user)
{
    struct timers *t = user;
    struct armed *a = map_entry(node, struct armed, node);

    if (a->seen != t->reading && !a->firing)
        armed_free(t, a);
}

/* All that is stored has been read; what was not found there was cancelled by a transaction that told no names. */
static void forget_gone(struct timers *t) { map_each(&t->all, forget_unseen, t); }

static void loaded(struct store_request *r)
{
    struct timers *t = r->owner;

    t->loading = false;
    if (r->why.err != OK)
        log_line(LOG_ERROR, "reading the timers: %s; they fire after the next start of graftd", r->why.text);
    for (size_t i = 0; i < r->pair_count; i++)
        armed_set(t, r->pairs[i].key, r->pairs[i].value.value);
    if (r->why.err == OK && r->more && r->pair_count > 0) {
        struct bytes last = r->pairs[r->pair_count - 1].key;
        memcpy(t->from, last.data, last.len);
        t->from[last.len] = '\0'; /* the first key behind it */
        t->from_len = last.len + 1;
    } else {
        t->from_len = 0;
    }
    store_request_fini(r);
    if (t->from_len > 0 || t->stale) {
        load(t);
        return;
    }
    if (r->why.err == OK)
        forget_gone(t);
    timer_places_read(t);
    t->started = true;
    timers_fire(t);
}

static void load(struct timers *t)
{
    t->loading = true;
    t->reading += t->from_len == 0;
    t->stale = t->stale && t->from_len > 0; /* from the beginning on it sees all that is stored now */
    t->request = (struct store_request){ .kind = STORE_SCAN,
                                         .resource = RESOURCE_TIMER,
                                         .from = bytes_of(t->from, t->from_len),
                                         .count_max = TIMER_PAGE,
                                         .done = loaded,
                                         .owner = t };
    t->core->store->ops->submit(t->core->store, &t->request);
}

void timers_start(struct timers *t)
{
    t->stale = true;
    load(t);
}

void timers_stored_any(struct timers *t)
{
    t->stale = true;
    if (t->started && !t->loading)
        load(t);
}

void timers_stored(struct timers *t, struct bytes id, const struct bytes *image)
{
    if (image == NULL)
        timer_forget(t, id);
    else
        armed_set(t, id, *image);
    timers_fire(t);
}

/* ---- life ---- */

enum err timers_new(struct core *core, struct timers **out)
{
    struct timers *t = calloc(1, sizeof *t);

    if (t == NULL)
        return ERR_NOMEM;
    t->core = core;
    list_init(&t->firings);
    list_init(&t->turns);
    t->timer = core->port->ops->timer_new(core->port, due, t);
    if (t->timer == NULL || map_init(&t->all) != OK || map_init(&t->places) != OK) {
        core->port->ops->timer_free(&t->timer);
        map_fini(&t->all);
        free(t);
        return ERR_NOMEM;
    }
    *out = t;
    return OK;
}

static void free_node(struct map_node *node, void *user) { armed_free(user, map_entry(node, struct armed, node)); }

void timers_free(struct timers **t)
{
    struct timers *old = *t;

    if (old == NULL)
        return;
    CHECK(timers_idle(old));
    map_each(&old->all, free_node, old);
    map_fini(&old->all);
    timer_places_read(old);
    CHECK(old->places.count == 0);
    map_fini(&old->places);
    old->core->port->ops->timer_free(&old->timer);
    free(old->queue);
    free(old);
    *t = NULL;
}

size_t timers_count(const struct timers *t) { return t->all.count; }

bool timers_firing(struct timers *t, struct bytes id)
{
    struct armed *a = timer_find(t, id);

    return a != NULL && a->firing;
}

bool timers_idle(const struct timers *t) { return t->firing_count == 0 && !t->loading; }
