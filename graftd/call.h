/*
 * One call, from arrival to exactly one reply.
 *
 *     QUEUED → FETCHING → RUNNING → COMMITTING → DONE
 *        └────────┴──────────┴────→ ABORTING ───→ DONE, or after a deadlock QUEUED again
 *
 *     QUEUED      waits for a worker
 *     FETCHING    has a worker; locks the declared keys, in one order, and reads their values
 *     RUNNING     the graft runs; host calls come and go; its deadlines tick
 *     COMMITTING  the run went well, the worker is given back, the transaction is in a batch
 *     ABORTING    something failed; the worker that ran it is dead to us, the transaction is being undone
 *
 * The first failure wins. Replies, deadlines, kills and deaths only record what happened and run the machine (W3). A
 * failed call is undone before its error is told (T3). A call takes its worker before its locks: so whoever holds a lock
 * also has what it needs to finish, and waiting for a lock never hides waiting for a worker.
 */
#ifndef GRAFTD_CALL_H
#define GRAFTD_CALL_H

#include "graftd/core.h"

enum {
    CALL_KEY_MAX = 1024,   /* declared keys */
    CALL_ARG_MAX = 4096,
    CALL_FACTS_MAX = 160,  /* bytes of "cpu_ms=50 limit_ms=50" */
    CALL_LOG_MAX = 100,    /* log lines of one call; later ones are dropped */
    CALL_RETRY_MAX = 100,  /* runs of one call that a deadlock undid; one more is told to the caller */
};

struct graft;
struct call;

struct call_request {
    struct graft *graft;
    int function;                /* index in the manifest */
    const struct principal *who; /* copied */
    bool readonly;
    uint64_t timeout_ms;         /* 0: the grant's limits alone */
    const struct bytes *keys, *args; /* borrowed until done() */
    size_t key_count, arg_count;
};

struct call_events {
    /* The outcome is fixed, only its durability is awaited: what comes later sees its effects. Not called if it failed. */
    void (*decided)(void *owner);
    /* Once, last; the call is gone when this returns. OK: value is the reply (lib/value.h), empty for nil. Else why has the error with
     * its facts. */
    void (*done)(void *owner, const struct failure *why, struct bytes value);
};

/* ERR_BUSY, ERR_NOMEM, ERR_NOGRAFT, ERR_BADARG, ERR_DENIED: not begun, no event follows. Else *out is set before anything happens, and
 * done() may come before this returns. */
enum err call_begin(struct core *core, const struct call_request *request, const struct call_events *events, void *owner,
                    struct call **out, struct failure *why);
/* Ends it: ERR_KILLED by request, ERR_LOST when its client is gone. Harmless when its outcome is fixed. done() follows, or has come. */
void call_cancel(struct call *c, enum err err, const char *why);

/* All calls of that graft; NULL: of any. */
void call_cancel_all(struct core *core, const struct graft *graft, enum err err, const char *why);

/* For TXN LIST. */
struct call_view {
    uint64_t txn;
    const char *state, *graft, *function;
    uint32_t uid;
    int64_t begun_us;
    uint64_t effects;
};
void call_view(const struct call *c, struct call_view *v);
struct call *call_of(struct list *node); /* of core->calls */
struct call *call_find(struct core *core, uint64_t txn); /* NULL: no call of that id runs */

#endif
