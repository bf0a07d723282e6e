/*
 * What timer.c (when each is due) and timer_fire.c (its call, and what follows) share, and nobody else sees.
 */
#ifndef GRAFTD_TIMER_IMPL_H
#define GRAFTD_TIMER_IMPL_H

#include "graftd/timer.h"
#include "lib/list.h"
#include "lib/map.h"
#include "txn/timer_image.h"

/* One that is stored. */
struct armed {
    struct map_node node;
    size_t at; /* in the queue; SIZE_MAX: not in it, for it is parked or firing */
    int64_t due_us;
    bool parked, firing;
    char id[];
};

struct timers {
    struct core *core;
    struct map all;
    struct armed **queue; /* owned array, a heap: the first is due first. Room for all */
    size_t queued, queue_cap;
    struct port_timer *timer;
    struct list firings;
    size_t firing_count;
    bool started; /* all that was stored has been read */
    bool loading; /* the store has the request */
    bool stale;   /* to be read (again) from the beginning */
    char from[TIMER_ID_MAX + 1];
    size_t from_len;
    struct store_request request;
};

/* timer.c */
struct armed *timer_find(struct timers *t, struct bytes id); /* NULL: none */
void timer_forget(struct timers *t, struct bytes id);
/* Its call has ended: it fires again, when it is still stored. due_us 0: when the stored one is due. */
void timer_again(struct timers *t, struct bytes id, int64_t due_us);
/* Fires what is due. */
void timers_fire(struct timers *t);

/* timer_fire.c */
/* Reads it and makes its call; timer_again or timer_forget follows, later. ERR_NOMEM: nothing follows. */
enum err timer_fire(struct timers *t, struct bytes id);

#endif
