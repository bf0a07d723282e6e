/*
 * One call, from arrival to exactly one reply.
 *
 *     QUEUED → FETCHING → SENT → RUNNING → COMMITTING → DONE
 *        │        ├───────────────↗│
 *        ├────────┼────────┼───────┼────→ ABORTING ───→ DONE, or QUEUED again: after a deadlock, when it was
 *        │        │                │                      taken back, or when somebody killed its worker
 *        └────────┴────────────────┴──────────────────→ DONE, when its holder drops it (call_discard)
 *
 *     QUEUED      waits for a worker
 *     FETCHING    has a worker; locks the declared keys, in one order, and reads their values
 *     SENT        the worker was sent it, and runs another before it
 *     RUNNING     the graft runs; host calls come and go; its deadlines tick
 *     COMMITTING  the run went well, the worker is given back, the transaction is in a batch; a nested call is DONE at once
 *     ABORTING    something failed; the worker that ran it is dead to us, the transaction is being undone
 *
 * The first failure wins. Replies, deadlines, kills and deaths only record what happened and run the machine (W3). A
 * failed call is undone before its error is told (T3). A call takes its worker before its locks: so whoever holds a lock
 * also has what it needs to finish, and waiting for a lock never hides waiting for a worker. Only a call with a
 * transaction of its own is SENT, and only while the one that runs before it does not wait: as soon as that one does, is
 * slow or fails, the call is taken back (see super.h). It has done nothing yet: its locks go, and it begins anew, unseen.
 */
#ifndef GRAFTD_CALL_H
#define GRAFTD_CALL_H

#include "graftd/core.h"

enum {
    CALL_KEY_MAX = 1024, /* declared keys */
    CALL_ARG_MAX = 4096,
};

struct graft;
struct call;
struct hold;

struct call_request {
    struct graft *graft;
    int function;                /* index in the manifest */
    const struct principal *who; /* copied */
    bool readonly;
    struct hold *hold;  /* the transaction that it is nested in; NULL: one of its own */
    bool inner;         /* a call waits for it, which speaks for it */
    uint32_t parent;    /* the number of that call in the transaction; 0: the transaction's own */
    bool trial;         /* a dry run: rolled back when it went well. With a transaction of its own alone */
    struct bytes token; /* the commit stores the reply for it, see txn_keep_reply; empty: none. Borrowed until done() */
    struct bytes timer; /* id of the timer that asks for it, which its transaction deletes first of all; empty: none.
                            Borrowed. done() with ERR_ABSENT: it was not armed any more */
    uint64_t asked_by;  /* for the history: the transaction that it was asked for in; 0: none */
    uint64_t timeout_ms; /* 0: the grant's limits alone */
    /* The one before it of the same connection, which is not decided; NULL: none. With a transaction of its own alone. */
    struct call *after;
    const struct bytes *keys, *args; /* borrowed until done() */
    size_t key_count, arg_count;
};

struct call_events {
    /* It had waited for a worker, and was sent to one: another may follow it. NULL: nobody wants to know. */
    void (*sent)(void *owner);
    /* Of a call with a transaction of its own: the outcome is fixed, only its durability is awaited: what comes later sees
     * its effects. Not called if it failed, nor if it keeps its locks until it is on disk (txn_lingers). */
    void (*decided)(void *owner);
    /* Of a dry run that went well: what it replied and, in t, what it did, before that is rolled back; done() follows with
     * OK and the same reply. Not OK: the call fails with that. */
    enum err (*tried)(void *owner, struct bytes reply, const struct txn *t);
    /* Once, last; the call is gone when this returns. OK: value is the reply (lib/value.h), empty for nil. Else why has the error with
     * its facts. */
    void (*done)(void *owner, const struct failure *why, struct bytes value);
};

/* ERR_BUSY, ERR_NOMEM, ERR_NOGRAFT, ERR_BADARG, ERR_DENIED: not begun, no event follows; nor with ERR_WAIT: it cannot follow
 * request->after now. Else *out is set before anything happens, and done() may come before this returns. */
enum err call_begin(struct core *core, const struct call_request *request, const struct call_events *events,
                    void *owner, struct call **out, struct failure *why);
/* Another of the same graft may be begun after it now, though it is not decided. */
bool call_takes_follower(const struct call *c);
/* Ends it: ERR_KILLED by request, ERR_LOST when its client is gone. Harmless when its outcome is fixed. done() follows, or has come. */
void call_cancel(struct call *c, enum err err, const char *why);

/* Ends a nested call because its transaction goes as a whole: its effects stay for the holder to take back. No event follows. */
void call_discard(struct call *c);

/* All calls of that graft, and those that call it; NULL: all calls. */
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
struct call *call_of(struct list *node);                 /* of core->calls */
struct call *call_find(struct core *core, uint64_t txn); /* NULL: no call of that id runs */

#endif
