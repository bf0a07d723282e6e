/*
 * A transaction that a connection holds: from BEGIN to COMMIT or ROLLBACK, or while EXEC runs what MULTI put aside.
 *
 *     QUEUING → OPEN → COMMITTING → gone        QUEUING     after MULTI: requests are put aside
 *               OPEN → UNDOING → LOST → gone    OPEN        each request works in the transaction as a statement
 *     QUEUING → gone                            COMMITTING  in a batch; the connection goes on without it
 *     UNDOING → OPEN, EXEC after a deadlock     UNDOING     being rolled back
 *                                               LOST        rolled back; unasked: until the client ends it, else gone at once
 *
 * A statement that fails is taken back alone (T8). Its reply goes out at once: it holds only if the transaction
 * commits, and COMMIT is answered when that is as durable as promised (T2). Nobody is kept waiting for long: a
 * transaction that is idle past its limit, open past its TIMEOUT, or can only be aborted, is rolled back at once, and
 * all that would use it is told so until the client ends it. One that EXEC runs ends with its first failure.
 */
#ifndef GRAFTD_SESSION_H
#define GRAFTD_SESSION_H

#include "graftd/client.h"
#include "graftd/hold.h"

enum {
    SAVEPOINT_MAX = 16,
    SAVEPOINT_NAME_MAX = 64,       /* bytes */
    MULTI_MAX = 1024,              /* requests put aside by MULTI … */
    MULTI_BYTES_MAX = REQUEST_MAX, /* … and their bytes */
    EXEC_RETRY_MAX = 100,          /* times that a deadlock may undo one EXEC; one more is told */
    SESSION_FACTS_MAX = 80,
};

struct call_view;

/* ---- for what works in it ---- */

/* Before r begins a transaction: *hold is the one that it is to work in, or NULL: one of its own. False: r has been
 * refused, or will be: graftd is stopping, or its connection's transaction is lost. */
bool session_enter(struct request *r, struct hold **hold);
/* r works in the hold that it was given, by itself: wake(r) when it is worth asking again. */
void session_work(struct request *r, void (*wake)(void *request));
/* It is done: OK, and r->reply is complete; or it failed, and is refused once its effects are taken back. */
void session_worked(struct request *r, const struct failure *why);

/* ---- for the connection ---- */

void session_busy(struct session *s);                          /* a request begins */
void session_rest(struct session *s, const struct request *r); /* the outcome of r is fixed */
void session_refused(struct session *s);                       /* a request was: EXEC would not be what was meant */
void session_close(struct session *s, const char *why);        /* rolled back; the client has none any more */
/* After MULTI: true if r was put aside, or refused, and has its reply. */
bool session_queues(struct request *r);

/* ---- for the commands: each takes over r ---- */

void session_begin(struct request *r, uint64_t timeout_ms); /* 0: as long as it likes */
void session_commit(struct request *r);
void session_roll_back(struct request *r);
void session_savepoint(struct request *r, struct bytes name);
void session_roll_back_to(struct request *r, struct bytes name);
void session_release(struct request *r, struct bytes name);
void session_multi(struct request *r);
void session_exec(struct request *r);
void session_discard(struct request *r);

/* ---- for who operates graftd ---- */

struct session *session_of(struct list *node);                 /* of core->sessions: those that are OPEN */
struct session *session_find(struct core *core, uint64_t txn); /* NULL: none is open with that id */
/* What runs in it now shows itself as a call, too. */
void session_view(const struct session *s, struct call_view *v);
/* OPEN: rolled back; the client is told with what runs in it now, or its next request. why: a sentence with subject. */
void session_end(struct session *s, enum err err, const char *why);
void session_end_all(struct core *core, enum err err, const char *why);

#endif
