/* Silence: nothing can happen any more. What must be so then. */
#ifndef GRAFTD_TESTS_SIM_SILENCE_H
#define GRAFTD_TESTS_SIM_SILENCE_H

#include "tests/sim/client_sim.h"
#include "txn/store.h"

/* All borrowed. */
struct silence {
    struct core *core;
    struct store *store; /* the engine */
    const struct client_sim *clients;
    unsigned client_count;
    struct model *model; /* is told what is wrong */
};

/* Every request was answered and every client is gone, nothing runs, and the grafts that serve are those on disk. */
void silence_check(const struct silence *s);

#endif
