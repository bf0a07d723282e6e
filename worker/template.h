/*
 * A template: one graft, checked and mapped but never started, and the nursery of its workers.
 */
#ifndef GRAFTD_WORKER_TEMPLATE_H
#define GRAFTD_WORKER_TEMPLATE_H

#include "lib/wire.h"

/* A nursery's child (nursery.h). fds: [0] control socket, [1] the graft's file, read-only. */
_Noreturn void template_run(const struct wire_SPAWN *order, const int fds[]);

#endif
