/* What a simulated client makes of a reply: is it one that what was asked can have, and what does it show the model? */
#ifndef GRAFTD_TESTS_SIM_CLIENT_JUDGE_H
#define GRAFTD_TESTS_SIM_CLIENT_JUDGE_H

#include "tests/sim/client_sim.h"

void client_judge(struct client_sim *c, const struct asked *a, const struct resp_node *r);

#endif
