/*
 * A simulated world behind graftd/port.h: clock, timers, processes, connections, all in one process, fixed by a seed.
 *
 * Whatever can happen next is an event: a tick, a due timer, work on another thread, a birth, a death, a step of a
 * graft, bytes arriving from a worker or a client, a reply being read. A step picks one of them by chance; the order
 * within one channel is kept, all else is not. Time passes by an event of its own, or when nothing else can happen.
 *
 * It keeps the port's promises (graftd/port.h) to the letter and no better, and does as the real one where that is
 * allowed to differ: what a worker said before it died is heard first, after a kill it is not heard at all, a resumed
 * message may come from inside process_resume() or later.
 */
#ifndef GRAFTD_TESTS_SIM_PORT_SIM_H
#define GRAFTD_TESTS_SIM_PORT_SIM_H

#include "graftd/port.h"
#include "lib/list.h"
#include "tests/sim/chance.h"

/* The far end of a connection. */
struct peer {
    struct list link;
    struct port_stream *stream; /* NULL: not connected, or the connection is gone */
    struct buf say, hear;
    bool deaf;   /* does not read its replies now */
    bool finish; /* half-closes when all is said */
    bool hangup; /* goes away, whatever is on its way */
    bool eof;    /* the daemon closed, and all that it sent was read */
    bool (*can_act)(struct peer *);
    void (*act)(struct peer *);
    void (*heard)(struct peer *); /* bytes came to hear, or eof */
};

struct port_sim_options {
    struct chance *chance;     /* borrowed */
    unsigned fault_one_in;     /* of the things that can fail (spawns, births, timers, streams) one fails; 0: none */
    bool echo;                 /* canary: now and then a reply is sent twice */
    bool (*disk_busy)(void *); /* the store would wake the loop */
    void *disk;
};

struct port *port_sim_new(const struct port_sim_options *options);
/* Nothing of it is in use any more; says what is (NULL: nothing) and leaves it then. */
const char *port_sim_free(struct port **p);
/* One event. False: nothing can happen any more. */
bool port_sim_step(struct port *p);
/* The stream that is opened next is peer's; peer acts from now on until it was forgotten. */
void port_sim_peer(struct port *p, struct peer *peer);
void peer_forget(struct peer *peer);
void port_sim_set_faults(struct port *p, unsigned one_in);

#endif
