/*
 * The engine of the simulated world, and a canary in front of it, which may leave out of a commit what it was told to
 * forget.
 */
#ifndef GRAFTD_TESTS_SIM_STORE_SIM_H
#define GRAFTD_TESTS_SIM_STORE_SIM_H

#include "tests/sim/chance.h"
#include "txn/store.h"

struct store_sim {
    struct store store; /* first */
    struct store *inner;
    struct chance *chance;
    bool (*forgets)(const struct store_effect *e); /* NULL: nothing */
    struct store_entry *entries;                   /* owned; of the commit that was falsified */
    struct store_effect *effects;
};

/* inner: owned until it is closed, with what is falsified. It forgets nothing until `forgets` is set. */
void store_sim_open(struct store_sim *s, struct store *inner, struct chance *chance);

/* What can be forgotten: the marks that calls leave, a timer that has fired. */
bool store_sim_is_mark(const struct store_effect *e);
bool store_sim_is_timer_gone(const struct store_effect *e);

#endif
