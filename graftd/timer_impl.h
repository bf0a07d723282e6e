/*
 * What timer.c (when each is due), timer_fire.c (its call, and what follows), timer_turn.c and timer_place.c share, and
 * nobody else sees.
 */
#ifndef GRAFTD_TIMER_IMPL_H
#define GRAFTD_TIMER_IMPL_H

#include "graftd/timer.h"
#include "lib/list.h"
#include "lib/map.h"
#include "txn/timer_image.h"

struct timer_turn;                                          /* timer_place.c */
void timer_place_filled(struct timers *t, struct bytes id); /* it is stored, and counts itself */
void timer_places_read(struct timers *t);                   /* all that is stored has been read */

/* timer_turn.c */

/* One that is stored. */
struct armed {
    struct map_node node;
    size_t at; /* in the queue; SIZE_MAX: not in it, for it is parked or firing */
    int64_t due_us;
    bool parked, firing;
    uint64_t seen;    /* the reading of the store (timers.reading) that it was found in, or told of since */
    struct list held; /* waits for its graft's turn */
    char id[];
};

struct timers {
    struct core *core;
    struct map all;
    struct map places;          /* of those that are not stored yet */
    struct timer_place *unread; /* owned; of such as are, and are among what is still to be read */
    struct armed **queue;       /* owned array, a heap: the first is due first. Room for all */
    size_t queued, queue_cap;
    struct port_timer *timer;
    struct list firings;
    size_t firing_count;
    struct list turns;
    uint64_t reading; /* how often reading has begun from the beginning */
    bool started;     /* all that was stored has been read */
    bool loading;     /* the store has the request */
    bool stale;       /* to be read (again) from the beginning */
    char from[TIMER_ID_MAX + 1];
    size_t from_len;
    struct store_request request;
};

/* timer.c */
struct armed *timer_find(struct timers *t, struct bytes id); /* NULL: none */
void timer_forget(struct timers *t, struct bytes id);
/* Its call has ended: it fires again, when it is still stored. due_us 0: when the stored one is due. */
void timer_again(struct timers *t, struct bytes id, int64_t due_us);
/* It waits until it is due, unless it is parked or firing. */
void timer_queue(struct timers *t, struct armed *a);
/* Fires what is due. */
void timers_fire(struct timers *t);

/* timer_fire.c */
/* Reads it and makes its call; timer_again or timer_forget follows, later. ERR_NOMEM: nothing follows. */
enum err timer_fire(struct timers *t, struct bytes id);

/* timer_place.c */
void timer_place_filled(struct timers *t, struct bytes id); /* it is stored, and counts itself */
void timer_places_read(struct timers *t);                   /* all that is stored has been read */

/* timer_turn.c */
/* A place for a call of this function; given back by timer_turn_end. ERR_WAIT: there is none, and a (NULL: it is gone) is
 * held until one is free. ERR_NOMEM. */
enum err timer_turn_take(struct timers *t, struct bytes function, struct armed *a, struct timer_turn **out);
void timer_turn_end(struct timers *t, struct timer_turn **turn); /* *turn may be NULL */

#endif
