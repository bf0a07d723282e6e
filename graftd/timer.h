/*
 * Timers: calls that grafts asked for in time to come.
 *
 * A timer is an item of the transaction that armed it (txn/resource.h): it is armed when that has committed, and in the
 * store, so it survives a restart. When it is due its function is called for the principal who armed it, as anyone's
 * call is, in a transaction whose first effect is to delete the timer: so what it does takes effect once. A call that
 * fails leaves the timer, to be tried again, each time twice as long after; when it has failed `timers tries` times it
 * is parked, until somebody releases or drops it.
 *
 *     ARMED → due → the call → gone, or ARMED again later, or PARKED
 *
 * Here is kept when each is due, not what it says: that is read when it fires. What is stored is the truth: a timer that
 * is fired here and not there any more is dropped without a word.
 */
#ifndef GRAFTD_TIMER_H
#define GRAFTD_TIMER_H

#include "graftd/core.h"

enum {
    TIMER_FIRING_MAX = 64,                /* calls of timers at a time; more wait */
    TIMER_GRAFT_MAX = 16,                 /* of functions of one graft */
    TIMER_BACKOFF_MS_MAX = 5 * 60 * 1000, /* between two tries, unless `timers backoff` is longer */
    TIMER_PAGE = 1000,                    /* read at a time when graftd starts */
};

enum err timers_new(struct core *core, struct timers **out); /* ERR_NOMEM */
/* Reads what is armed; what is due fires from then on. */
void timers_start(struct timers *t);
void timers_free(struct timers **t); /* after the last call has ended */

/* Armed, parked and firing. */
size_t timers_count(const struct timers *t);
/* What the store holds under this id now; NULL: nothing. */
void timers_stored(struct timers *t, struct bytes id, const struct bytes *image);
/* Some may have changed: all are read again. */
void timers_stored_any(struct timers *t);
/* A place within max for a timer that is being armed; *used: with it. effects: of the transaction, when it will be armed.
 * places: the transaction's; none: NULL. ERR_LIMIT: there is none; ERR_NOMEM. */
struct timer_place; /* opaque */
enum err timers_reserve(struct timers *t, struct bytes id, uint64_t effects, uint64_t max, uint64_t *used,
                        struct timer_place **places);
/* The transaction was taken back until so many effects are left. */
void timers_give_back(struct timers *t, uint64_t effects, struct timer_place **places);
/* The transaction has ended, and what it has stored was told. */
void timers_settle(struct timers *t, bool committed, struct timer_place **places);
/* It is being called now. */
bool timers_firing(struct timers *t, struct bytes id);
/* Nothing is being read or called. */
bool timers_idle(const struct timers *t);

#endif
