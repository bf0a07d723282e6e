/* The simulated port: timers, and work on another thread. */
#include "tests/sim/port_sim_inside.h"

#include <stdlib.h>

struct work {
    struct list link;
    void (*run)(void *);
    void (*done)(void *);
    void *owner;
};

/* ---- timers ---- */

struct port_timer *timer_new(struct port *p, void (*fired)(void *owner), void *owner)
{
    struct port_sim *s = simulated(p);
    struct port_timer *t = fault(s) ? NULL : calloc(1, sizeof *t);

    if (t == NULL)
        return NULL;
    *t = (struct port_timer){ .sim = s, .fired = fired, .owner = owner };
    list_push(&s->timers, &t->link);
    return t;
}

void timer_start(struct port_timer *t, uint64_t ms)
{
    t->running = true;
    t->due_ms = t->sim->now_ms + (int64_t)ms;
    t->order = ++t->sim->timer_order;
}

void timer_stop(struct port_timer *t) { t->running = false; }

void timer_free(struct port_timer **t)
{
    if (*t == NULL)
        return;
    list_remove(&(*t)->link);
    free(*t);
    *t = NULL;
}

struct port_timer *timer_first(struct port_sim *s)
{
    struct port_timer *first = NULL;

    list_each (node, &s->timers) {
        struct port_timer *t = list_entry(node, struct port_timer, link);
        if (t->running &&
            (first == NULL || t->due_ms < first->due_ms || (t->due_ms == first->due_ms && t->order < first->order)))
            first = t;
    }
    return first;
}

void timer_fires(struct port_sim *s, void *what)
{
    struct port_timer *t = what;

    (void)s;
    t->running = false;
    t->fired(t->owner);
}

/* ---- work on another thread ---- */

enum err work_queue(struct port *p, void (*run)(void *), void (*done)(void *), void *owner)
{
    struct work *w = fault(simulated(p)) ? NULL : calloc(1, sizeof *w);

    if (w == NULL)
        return ERR_NOMEM;
    *w = (struct work){ .run = run, .done = done, .owner = owner };
    list_push(&simulated(p)->works, &w->link);
    return OK;
}

static void work_ends(struct port_sim *s, void *what)
{
    struct work *w = what;

    (void)s;
    list_remove(&w->link);
    w->run(w->owner);
    w->done(w->owner);
    free(w);
}

void work_events(struct port_sim *s, struct turn *t)
{
    list_each (node, &s->works)
        can_happen(t, work_ends, list_entry(node, struct work, link));
}
