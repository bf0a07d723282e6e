/*
 * A worker: forked from a template, runs graft_init in its jail, says READY, and serves calls one at a time until the
 * daemon hangs up or kills it.
 */
#ifndef GRAFTD_WORKER_SERVE_H
#define GRAFTD_WORKER_SERVE_H

#include "lib/wire.h"
#include "worker/load.h"

/* In the template: maps what workers of such an order have, for all of them to inherit, untouched. What is there already
 * stays; what cannot be mapped, each worker tries itself, and says why it cannot. */
void serve_prepare(const struct wire_SPAWN *order);

/* channel: descriptor of the stream socket, owned. */
_Noreturn void serve_run(const struct wire_SPAWN *order, const struct graft *graft, int channel);

#endif
