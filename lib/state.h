/*
 * A table-driven state machine: each state has a name and the set of states that may follow it. A move
 * that the table does not allow is our own bug.
 *
 * The tables stand in graftd/call.c, session.c, super.c and registry.c, the drawings in the headers of these.
 */
#ifndef GRAFTD_LIB_STATE_H
#define GRAFTD_LIB_STATE_H

#include "lib/check.h"

struct state {
    const char *name;
    unsigned next; /* bit n: state n may follow */
};

#define STATE_BIT(n) (1u << (n))

static inline void state_move(const struct state *table, unsigned *current, unsigned next)
{
    CHECK((table[*current].next & STATE_BIT(next)) != 0);
    *current = next;
}

#endif
