/*
 * The daemon as a whole, which its few files share and nobody else sees:
 *
 *     main.c             options and policy; then open, run, close
 *     daemon_open.c      what is opened, in order, and closed again
 *     daemon_run.c       while it runs: ready, ticks, signals, the loss of the zygote, the drain
 *     daemon_takeover.c  the listening socket: from the daemon before, to the one after
 */
#ifndef GRAFTD_DAEMON_IMPL_H
#define GRAFTD_DAEMON_IMPL_H

#include "graftd/core.h"
#include "graftd/drain.h"
#include "graftd/inherit.h"
#include "graftd/objects.h"
#include "graftd/options.h"
#include "graftd/paths.h"
#include "graftd/super.h"

struct cgroup;
struct handover;
struct listener;

struct daemon {
    struct core core; /* first: handlers get it, and find us */
    struct options options;
    struct policy *policy; /* owned */
    struct paths paths;
    int data_fd; /* owned; the data directory */
    struct objects objects;
    struct cgroup *cgroup; /* owned; NULL: none */
    struct inherited inherited;
    struct handover *handover; /* owned; NULL: nobody takes over */
    bool ending;               /* whoever takes over */
    struct listener *listener;
    struct port_timer *lock_timer;
    struct drain drain;
    int status; /* of the process */
};

/* daemon_open.c */
/* All but grafts and socket: these follow when the zygote is ready. */
enum err daemon_open(struct daemon *d, struct failure *why);
void daemon_close(struct daemon *d); /* also what is half open */
/* Store and transactions alone: once more when a takeover has failed. */
enum err daemon_open_store(struct daemon *d, struct failure *why);

/* daemon_run.c */
/* Ticks, timers and signals come here from now on; it has its port. ERR_NOMEM. */
enum err daemon_watch(struct daemon *d);
extern const struct super_events daemon_super_events;
void daemon_drain(struct core *core); /* begins the end; harmless when it has begun */
/* It could not be started: says why on stderr, for it may be all that its user sees. */
void daemon_complain(struct daemon *d, const struct failure *why);

/* daemon_takeover.c */
/* The socket from systemd, or with --takeover from the one that runs, which has closed its store when this returns. */
enum err daemon_take_over(struct daemon *d, struct failure *why);
/* Who takes over gets the socket as it is, with everybody who waits in its queue. Answers r; then follows the drain. */
enum err daemon_hand_over(struct core *core, struct request *r, struct failure *why);
/* The drain is over: leaves, or gives the store away first and waits until the other one serves, or is gone. */
void daemon_drained(struct daemon *d);
void daemon_wait_no_more(struct daemon *d); /* for that: it ends */

#endif
