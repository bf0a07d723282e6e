/*
 * The end of the daemon, in order:
 *
 *     no new work → running calls end → clients close → grafts leave → the zygote is told to die
 *
 * Each tick goes as far as it can. What has not ended in the time given is rolled back; clients that do not read how it
 * ended are dropped LEAVE_MS later. The port stops when the zygote is gone, which is for its owner to see.
 */
#ifndef GRAFTD_DRAIN_H
#define GRAFTD_DRAIN_H

#include "graftd/core.h"

struct drain {
    struct core *core;
    struct port_timer *timer; /* owned */
    bool late;                /* the time is over */
    bool closing_clients;
    bool leaving; /* grafts and zygote: no call and no client is there any more */
};

/* core has its port. ERR_NOMEM. */
enum err drain_init(struct drain *d, struct core *core);
void drain_fini(struct drain *d); /* harmless on a zeroed one */
/* Once. Nothing new begins from now on (core->draining); what runs has so long. */
void drain_begin(struct drain *d, uint64_t ms);
/* On each tick; harmless before it has begun. */
void drain_step(struct drain *d);

#endif
