/*
 * The end of the daemon, in order:
 *
 *     no new work → running calls end → clients close ──► grafts leave → the zygote is told to die
 *         ▲                                             │
 *         └──────────── taken back ◄────────────────────┘ or before
 *
 * Each tick goes as far as clients. Whether and when the rest follows is for its owner to say, since then there is no way
 * back. What has not ended in the time given is rolled back; clients that do not read how it
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
/* Nothing new begins from now on (core->draining); what runs has so long. */
void drain_begin(struct drain *d, uint64_t ms);
/* On each tick; harmless before it has begun. True: no call, no transaction and no client is there any more. */
bool drain_step(struct drain *d);
/* After that, once: grafts and zygote go, too. */
void drain_leave(struct drain *d);
/* Or instead, at any time before: new work begins again. Clients that were closed are gone; it may begin another time. */
void drain_take_back(struct drain *d);

#endif
