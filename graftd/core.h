/*
 * What the parts of the daemon share: one struct of borrowed pointers, wired in main.c and daemon_open.c.
 */
#ifndef GRAFTD_CORE_H
#define GRAFTD_CORE_H

#include "graftd/port.h"
#include "lib/list.h"
#include "policy/policy.h"
#include "txn/txn.h"

struct super;
struct registry;
struct objects;
struct events;
struct timers;
struct audit;
struct reload;
struct account;
struct request;

struct core {
    struct port *port;
    const struct policy *policy;
    struct store *store; /* NULL, with txns, while a graftd that takes over has it: no client and no call is there then */
    struct txn_manager *txns;
    struct super *super;
    struct registry *registry;
    struct objects *objects;
    struct events *events; /* who waits for which, see event.h */
    struct timers *timers; /* what is armed, see timer.h */
    struct audit *audit;   /* NULL: no notes are taken, see audit.h */
    struct reload *reload; /* reads the policy again, see reload.h */
    struct list calls;    /* running, for TXN LIST and KILL; see call.h */
    struct list clients;  /* connected; see client.h */
    struct list sessions; /* with an open transaction; see session.h */
    size_t call_count, client_count, session_count; /* clients: also those that are closed but still owe replies */
    struct account *accounts;                       /* of the users with a client; see account.h */
    size_t client_bytes;                            /* held by all of them */
    struct port_timer *client_timer; /* while clients are there: calls client_sweep(); NULL: nobody sweeps */
    bool client_timer_armed;
    bool draining;                /* SIGTERM or SHUTDOWN: nothing new begins */
    void (*drain)(struct core *); /* begins the end; harmless when it has begun */
    /* Answers r with the listening socket, and begins the end. */
    enum err (*hand_over)(struct core *, struct request *r, struct failure *why);
    const char *cgroup; /* "v1", "v2" or "none": by what grafts share the CPU, see policy/cgroup.h */
    int64_t started_us;
    struct {
        uint64_t commands, calls, committed, retries, failed[64]; /* failed: by enum err */
        uint64_t turned_away, stalled, heavy; /* clients: not let in, closed for waiting, closed for what they held */
    } stats;
};

/* OK if who may do this to subject. ERR_NOPERM: not; why names the rule, or says that there is none, and the audit log has
 * it (P1). */
enum err core_may(struct core *core, const struct principal *who, enum right right, struct bytes subject,
                  struct failure *why);
/* The manager's `stored`: those who wait for events and timers are told. core: a struct core. */
void core_stored(void *core, char resource, struct bytes key, const struct bytes *now);

#endif
