/* How calls that were sent behind others went, in all runs: a world that is too kind would show nothing. */
#ifndef GRAFTD_TESTS_SIM_SEEN_H
#define GRAFTD_TESTS_SIM_SEEN_H

#include "graftd/super.h"
#include "tests/sim/client_sim.h"

enum { SEEDS = 300, SEEDS_FOR_RARE = 1000 }; /* runs that are many, and very many */

/* Adds one life. */
void seen_count(const struct super *super, const struct client_sim *clients, unsigned client_count);

/* Prints them. False: in that many runs something that can become of a call behind another never did; what is rare does in
 * very many. */
bool seen_all(uint64_t count);

#endif
