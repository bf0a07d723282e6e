/*
 * What a worker may ask while a call of its graft runs: the table of requests, each with its check and
 * its answer (W1, W2). A request that is not in the table, not whole, or past a bound is an attack: it ends the call and
 * the worker.
 */
#ifndef GRAFTD_HOSTCALL_H
#define GRAFTD_HOSTCALL_H

#include "graftd/core.h"
#include "policy/grant.h"
#include "txn/timer_image.h"

/* What a request is checked against, and done to. Part of a call. */
struct hostcall_context {
    struct audit *audit; /* NULL: no notes are taken */
    struct port *port;
    struct port_process *worker;
    struct txn *txn;
    const struct principal *who; /* borrowed: who made the call */
    const struct grant *grant;
    const struct policy_limits *bounds;
    struct timers *timers;       /* all that are armed; borrowed */
    struct timer_place **places; /* of those that the transaction arms; borrowed */
    const char *label;           /* "bank.transfer", for the log */
    bool readonly;
    int64_t now_us;               /* what graft_now() answers, since 1970 */
    uint64_t disk_used;           /* bytes of file content that it wrote */
    char timer[TIMER_ID_MAX + 1]; /* the id of the timer that is being armed; empty: none is */
    unsigned log_lines;
    bool memory_refused; /* the heap said no: what follows is a limit, not a crash */
    uint64_t memory_wanted, memory_used, memory_allowed;
    char facts[160]; /* of the failure: key=value … */
};

/* OK: done, and answered if the request has an answer. ERR_WAIT: later, with the same message, when the transaction wakes.
 * Else the call has failed: why says how. */
enum err hostcall_do(struct hostcall_context *h, uint8_t number, struct bytes body, struct failure *why);

#endif
